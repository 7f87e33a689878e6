defmodule Slipring.Choices do
  @moduledoc false
  # Tells the log which form was chosen and why, for who has asked for it by `Slipring.log_choices/1`.
  #
  # In development the log takes all there is, so its level alone must not decide: every message would
  # stand in it. The native part knows whether somebody has asked, and answers `:told` where it would say
  # `:ok`; so what nobody asks for costs nothing here.

  require Logger

  alias Slipring.{Native, Table, Tensor}

  defmacrop if_asked(do: block) do
    quote do
      if Native.choices_logged(), do: unquote(block)
      :ok
    end
  end

  # Says so of a term that was sent.
  def sent(producer, term, value?), do: tell(producer, [term], value?)

  # And of the first so many of a list, if somebody has asked.
  def sent(producer, terms, value?, count),
    do: if_asked(do: tell(producer, Enum.take(terms, count), value?))

  # How the structs of a module travel from now on.
  def registered(module, {name, version, _fields}) do
    if_asked do
      Logger.debug("slipring: #{inspect(module)} is sent as #{name}, version #{version}")
    end
  end

  # A struct that is sent as what its own implementation gives.
  def prepared(module) do
    if_asked do
      Logger.debug(
        "slipring: #{inspect(module)} is sent as what Slipring.Encodable.encode/1 gives"
      )
    end
  end

  # An object of another version, made by the module that reads it.
  def loaded(module, name, version) do
    if_asked do
      Logger.debug("slipring: #{name}, version #{version}, arrives by #{inspect(module)}.load/2")
    end
  end

  defp tell(producer, terms, value?) do
    for {nature, terms} <- Enum.group_by(terms, &nature(&1, value?)) do
      frames = length(terms)
      {format, reason} = choice(nature)

      Logger.debug(
        fn -> "slipring: #{count(frames)} on #{producer.ring} as #{format}: #{reason}" end,
        ring: producer.ring,
        format: format,
        frames: frames
      )
    end

    :ok
  end

  defp count(1), do: "sent"
  defp count(frames), do: "sent #{frames} frames"

  # As `Slipring.Explanation` names them.
  defp nature(%Table{}, _value?), do: "table"
  defp nature(%Table.Under{}, _value?), do: "table"
  defp nature(_term, true), do: :asked
  defp nature(term, false) when is_binary(term), do: "bytes"
  defp nature(%Tensor{}, false), do: "array"

  defp nature(terms, false) when is_list(terms),
    do: if(match?({:ok, _bytes}, Native.records(terms)), do: "records", else: "value")

  defp nature(_term, false), do: "value"

  defp choice(:asked), do: {:value, "it was asked for by format: :value"}

  defp choice(nature) do
    selected = Native.select(nil, nature, {nil, nil, nil}, {0, 0, 0, 0})
    [{format, true, reason, _size, _time} | _others] = selected
    {format, reason}
  end
end

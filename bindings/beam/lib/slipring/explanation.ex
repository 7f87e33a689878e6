defmodule Slipring.Explanation do
  @moduledoc """
  Which format a term goes in, and why: what `Slipring.explain/1` answers.

    * `format` - the one that `Slipring.send/3` takes, or `nil` if none holds the term
    * `reason` - why
    * `candidates` - all formats, the one that is taken first: maps of `format`, `fits`, `reason` and, for
      those that hold the term, `size` in bytes and `time` in microseconds, measured by writing it once
  """

  alias Slipring.{Error, Native, Table, Tensor}

  @type candidate :: %{
          format: atom,
          fits: boolean,
          reason: String.t(),
          size: non_neg_integer | nil,
          time: number | nil
        }
  @type t :: %__MODULE__{format: atom, reason: String.t(), candidates: [candidate]}

  defstruct [:format, :reason, candidates: []]

  @doc false
  def of(%Table{} = table) do
    {spent, size} = :timer.tc(fn -> Native.table_size(table) end)

    candidates =
      case size do
        {:error, fault} -> raise Error.new(fault, :explain, nil)
        size -> candidates("table", nil, nil, fn :arrow -> {size, spent} end)
      end

    first(candidates)
  end

  def of(term) do
    {spent, encoded} = :timer.tc(fn -> Slipring.encode(term) end)

    {looked, records} =
      :timer.tc(fn -> if is_list(term), do: Native.records(term), else: :other end)

    {nature, refused} =
      case {term, encoded, records} do
        {term, _, _} when is_binary(term) -> {"bytes", nil}
        {%Tensor{}, {:ok, _}, _} -> {"array", nil}
        {_, _, {:ok, _}} -> {"records", nil}
        {_, {:ok, _}, _} -> {"value", nil}
        {_, {:error, error}, _} -> {"other", Exception.message(error)}
      end

    table = with {:no, why} <- records, do: why, else: (_ -> nil)

    first(
      candidates(nature, refused, table, fn
        :value -> {byte_size(elem(encoded, 1)), spent}
        :raw -> copied(term)
        :ndarray -> copied(term.data)
        :arrow -> {elem(records, 1), looked}
      end)
    )
  end

  defp candidates(nature, refused, table, cost) do
    for {format, fits, reason} <- Native.select(nature, refused, table) do
      {size, time} = if fits, do: cost.(format), else: {nil, nil}
      %{format: format, fits: fits, reason: reason, size: size, time: time}
    end
  end

  defp first([first | _] = candidates) do
    %__MODULE__{
      format: if(first.fits, do: first.format),
      reason: first.reason,
      candidates: candidates
    }
  end

  defp copied(bytes) do
    {spent, copy} = :timer.tc(fn -> :binary.copy(bytes) end)
    {byte_size(copy), spent}
  end
end

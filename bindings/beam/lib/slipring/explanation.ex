defmodule Slipring.Explanation do
  @moduledoc """
  Which format a term goes in, and why: what `Slipring.explain/1` answers.

    * `format` - the one that `Slipring.send/3` takes, or `nil` if none holds the term
    * `reason` - why
    * `candidates` - all formats, the one that is taken first: maps of `format`, `fits`, `reason` and, for
      those that hold the term, `size` in bytes and `time` in microseconds; `measured` says that it was written once to
      find that out. What is only copied is not: its time is what such frames took before

  A map of columns, and a list of maps that is no table unasked, name `:arrow` among the formats that fit: what `format: :arrow` would send.
  """

  alias Slipring.{Error, Native, Table, Tensor}

  @type candidate :: %{
          format: atom,
          fits: boolean,
          reason: String.t(),
          size: non_neg_integer | nil,
          time: number | nil,
          measured: boolean
        }
  @type t :: %__MODULE__{format: atom, reason: String.t(), candidates: [candidate]}

  defstruct [:format, :reason, candidates: []]

  @doc false
  def of(%Table{} = table) do
    case Native.table_size(table) do
      {:error, fault} -> raise Error.new(fault, :explain, nil)
      size -> first(table, "table", {nil, nil, nil}, {0, 0, 0, size}, nil)
    end
  end

  def of(term) do
    value = :timer.tc(fn -> Slipring.encode(term) end)
    json = :timer.tc(fn -> Slipring.JSON.encode(term) end)

    records = if is_list(term), do: Native.records(term), else: :other

    nature =
      case {term, value, records} do
        {%Slipring.JSON.Raw{}, _, _} -> "json"
        {term, _, _} when is_binary(term) -> "bytes"
        {%Tensor{}, {_, {:ok, _}}, _} -> "array"
        {_, _, {:ok, _}} -> "records"
        {_, {_, {:ok, _}}, _} -> "value"
        _ -> "other"
      end

    refused =
      {refusal(value), refusal(json), with({:no, why} <- records, do: why, else: (_ -> nil))}

    table = with {:ok, bytes} <- records, do: bytes, else: (_ -> 0)
    sizes = {plain(term), size(value), size(json), table}
    explained = first(term, nature, refused, sizes, {value, json})
    if nature == "value", do: with_table(explained, term), else: explained
  end

  # What is a table where that is asked for.
  defp with_table(%{candidates: candidates} = explained, term) do
    with {:ok, table} <- Table.Asked.of(term),
         size when is_integer(size) <- Native.table_size(table) do
      %{candidates: [as_table | _]} = first(table, "table", {nil, nil, nil}, {0, 0, 0, size}, nil)

      {refused, others} = Enum.split_with(candidates, &(&1.format == :arrow))
      {fitting, unfit} = Enum.split_with(others, & &1.fits)
      why = Enum.map_join(refused, &": #{&1.reason}")
      reason = "holds it too, as a table, and is taken only where it is asked for#{why}"
      %{explained | candidates: fitting ++ [%{as_table | reason: reason}] ++ unfit}
    else
      _none -> explained
    end
  end

  defp first(term, nature, refused, sizes, written) do
    candidates =
      for {format, fits, reason, size, estimate} <- Native.select(term, nature, refused, sizes) do
        {spent, measured} = if fits, do: spent(format, written, estimate), else: {nil, false}
        size = if fits, do: size

        %{
          format: format,
          fits: fits,
          reason: reason,
          size: size,
          time: spent,
          measured: measured
        }
      end

    [first | _] = candidates

    %__MODULE__{
      format: if(first.fits, do: first.format),
      reason: first.reason,
      candidates: candidates
    }
  end

  defp refusal({_spent, {:ok, _bytes}}), do: nil
  defp refusal({_spent, {:error, error}}), do: Exception.message(error)

  defp size({_spent, {:ok, bytes}}), do: byte_size(bytes)
  defp size({_spent, {:error, _error}}), do: 0

  defp plain(bytes) when is_binary(bytes), do: byte_size(bytes)
  defp plain(%Tensor{data: data}) when is_binary(data), do: byte_size(data)
  defp plain(_term), do: 0

  defp spent(:value, {{spent, _}, _json}, _estimate), do: {spent, true}
  defp spent(:json, {_value, {spent, _}}, _estimate), do: {spent, true}
  defp spent(_format, _written, estimate), do: {estimate / 1000, false}
end

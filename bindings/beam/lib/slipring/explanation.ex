defmodule Slipring.Explanation do
  @moduledoc """
  Which format a term goes in, and why: what `Slipring.explain/1` answers.

    * `format` - the one that `Slipring.send/3` takes, or `nil` if none holds the term
    * `reason` - why
    * `candidates` - all formats, the one that is taken first: maps of `format`, `fits`, `reason` and, for
      those that hold the term, `size` in bytes and `time` in microseconds; `measured` says that it was written once to
      find that out. What is only copied is not: its time is what such frames took before
  """

  alias Slipring.{Native, Tensor}

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
  def of(term) do
    value = :timer.tc(fn -> Slipring.encode(term) end)
    json = :timer.tc(fn -> Slipring.JSON.encode(term) end)

    nature =
      case {term, value} do
        {%Slipring.JSON.Raw{}, _} -> "json"
        {term, _} when is_binary(term) -> "bytes"
        {%Tensor{}, {_, {:ok, _}}} -> "array"
        {_, {_, {:ok, _}}} -> "value"
        _ -> "other"
      end

    sizes = {plain(term), size(value), size(json)}
    selected = Native.select(term, nature, refusal(value), refusal(json), sizes)

    candidates =
      for {format, fits, reason, size, estimate} <- selected do
        {spent, measured} = spent(format, value, json, estimate)

        if fits do
          cost = %{size: size, time: spent, measured: measured}
          Map.merge(%{format: format, fits: true, reason: reason}, cost)
        else
          cost = %{size: nil, time: nil, measured: false}
          Map.merge(%{format: format, fits: false, reason: reason}, cost)
        end
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

  defp spent(:value, {spent, _}, _json, _estimate), do: {spent, true}
  defp spent(:json, _value, {spent, _}, _estimate), do: {spent, true}
  defp spent(_format, _value, _json, estimate), do: {estimate / 1000, false}
end

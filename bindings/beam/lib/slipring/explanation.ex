defmodule Slipring.Explanation do
  @moduledoc """
  Which format a term goes in, and why: what `Slipring.explain/1` answers.

    * `format` - the one that `Slipring.send/3` takes, or `nil` if none holds the term
    * `reason` - why
    * `candidates` - all formats, the one that is taken first: maps of `format`, `fits`, `reason` and, for
      those that hold the term, `size` in bytes and `time` in microseconds, measured by writing it once
  """

  alias Slipring.{Native, Tensor}

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

    candidates =
      for {format, fits, reason} <- Native.select(nature, refusal(value), refusal(json)) do
        {size, time} = if fits, do: cost(format, term, value, json), else: {nil, nil}
        %{format: format, fits: fits, reason: reason, size: size, time: time}
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

  defp cost(:value, _term, {spent, {:ok, bytes}}, _json), do: {byte_size(bytes), spent}
  defp cost(:json, _term, _value, {spent, {:ok, text}}), do: {byte_size(text), spent}
  defp cost(:raw, bytes, _value, _json), do: copied(bytes)
  defp cost(:ndarray, tensor, _value, _json), do: copied(tensor.data)

  defp copied(bytes) do
    {spent, copy} = :timer.tc(fn -> :binary.copy(bytes) end)
    {byte_size(copy), spent}
  end
end

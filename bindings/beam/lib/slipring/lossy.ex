defmodule Slipring.Lossy do
  @moduledoc false
  # Warns of what a value lost as it became a term, once for each kind of loss.

  import Bitwise

  require Logger

  # By the bits of `notes` in the native part.
  @losses [
    {1, "an atom that does not exist here arrived as a string",
     "mention it in code that is loaded, or send text"},
    {2, "a float that the BEAM can't hold arrived as :nan, :infinity or :neg_infinity",
     "send such floats as an array, or decode with nan: :error"},
    {4, "a time arrived with more than six digits of a second, and the rest was cut",
     "send nanoseconds as an integer"},
    {8, "a frozen set arrived as a MapSet, and goes on as a set", "send a set"},
    {16, "one element of an array arrived as a number or a binary, without its dtype",
     "send an array of one element, or a number, text or bytes"},
    {32, "what a decimal's NaN says was dropped", "send it as text"},
    {64, "fields that the struct does not have were dropped",
     "decode with structs: false, or read them by Slipring.Object's load/2"},
    {128, "an object of a version that its struct does not read stayed a Slipring.Object",
     "upgrade this side, or read it by Slipring.Object's load/2"}
  ]
  @all Enum.reduce(@losses, 0, fn {bit, _what, _instead}, all -> all ||| bit end)

  def warn(notes) when (notes &&& @all) == 0, do: :ok

  def warn(notes) do
    for {bit, what, instead} <- @losses, (notes &&& bit) != 0 do
      key = {__MODULE__, bit}

      unless :persistent_term.get(key, false) do
        :persistent_term.put(key, true)
        Logger.warning("slipring: #{what}; #{instead} (said once)")
      end
    end

    :ok
  end
end

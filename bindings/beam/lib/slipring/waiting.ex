defmodule Slipring.Waiting do
  @moduledoc false
  # Deadlines, and the news of the threads that wait for rings.

  alias Slipring.Native

  # `:now` is the deadline of those who do not wait at all, `:drop` of those who make room instead:
  # they wait for other calls on the same end only.
  def deadline(:infinity), do: :infinity
  def deadline(0), do: :now
  def deadline(:drop), do: :drop
  def deadline(ms), do: System.monotonic_time(:millisecond) + ms

  def left(:infinity), do: :infinity
  def left(:now), do: 0
  def left(:drop), do: :infinity
  def left(deadline), do: max(deadline - System.monotonic_time(:millisecond), 0)

  # Until the watch is told: `:ready`, or `:timeout`.
  def await(id, tag, deadline) do
    receive do
      {^tag, :ready} -> :ready
    after
      left(deadline) -> if take_back(id, tag), do: :timeout, else: :ready
    end
  end

  # A watch that can't be taken back has been told. `false` then, and its message is gone.
  def take_back(id, tag) do
    Native.unwatch(id) or
      receive do
        {^tag, :ready} -> false
      end
  end
end

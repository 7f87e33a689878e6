defmodule Slipring.Receiving do
  @moduledoc false
  # Taking one frame or many, and waiting for them.

  alias Slipring.{Consumer, Error, Frame, Native, Waiting}

  # More frames than a ring holds or a list should.
  @most 2 ** 31
  # How long a consumer looks again and again before it sleeps.
  @spin System.convert_time_unit(20, :microsecond, :native)
  # How often it looks again whether the schedulers have let go of garbage, with a millisecond between.
  @tries 4

  # The next frame.
  def one(%Consumer{ref: ref} = consumer, timeout) do
    case Native.recv(ref) do
      frame when tuple_size(frame) == 8 -> {:ok, Frame.new(frame)}
      other -> receive_until(consumer, other, fn -> Native.recv(ref) end, timeout, :recv)
    end
  end

  # The next frame of a stream of tables; `last` is `{producer, sequence}` of the one before, or `nil`. A frame that another call can read
  # is there for it.
  def table(%Consumer{ref: ref} = consumer, last, timeout) do
    attempt = fn -> Native.recv_table(ref, last) end
    receive_until(consumer, attempt.(), attempt, timeout, :stream)
  end

  # One frame at least, and what else is there.
  def many(%Consumer{ref: ref} = consumer, most, timeout) do
    # The native part takes fewer at a time in any case.
    most = min(most, @most)
    attempt = fn -> batch(ref, most, :first) end

    with {:ok, frames} <- receive_until(consumer, attempt.(), attempt, timeout, :recv_many) do
      {:ok, frames ++ rest(ref, most - length(frames))}
    end
  end

  # What is there, a list of frames, or why there is none, for a caller as the native part knows them.
  def batch(ref, most, caller) do
    case Native.recv_many(ref, most, caller, Frame.blank(most)) do
      {:unfinished, frames} -> Enum.map(frames, &Frame.new/1)
      answer -> answer
    end
  end

  # A dead letter.
  def dead(%Consumer{ref: ref} = consumer) do
    case Native.recv_dead(ref) do
      :busy ->
        Process.sleep(1)
        dead(consumer)

      other ->
        take(consumer, other, fn -> Native.recv_dead(ref) end, :now, true, :recv_dead)
    end
  end

  # What else is there. An error comes again when it is asked for next.
  defp rest(_ref, 0), do: []

  defp rest(ref, most) do
    case batch(ref, most, :rest) do
      frames when is_list(frames) -> frames ++ rest(ref, most - length(frames))
      _other -> []
    end
  end

  # Collects garbage, as much as takes no longer than to copy so many bytes to fresh memory: what is alive is copied, and
  # that is a part of the heap.
  def collect(bytes) do
    {:total_heap_size, words} = Process.info(self(), :total_heap_size)
    small? = words * :erlang.system_info(:wordsize) <= 4 * bytes
    :erlang.garbage_collect(self(), type: if(small?, do: :major, else: :minor))
    # The scheduler lets go of resources that were collected when it is its turn.
    :erlang.yield()
  end

  defp receive_until(consumer, answer, attempt, timeout, operation) do
    take(consumer, answer, attempt, Waiting.deadline(timeout), timeout == 0, operation)
  end

  defp take(_consumer, frame, _attempt, _deadline, _poll?, _operation)
       when tuple_size(frame) == 8,
       do: {:ok, Frame.new(frame)}

  defp take(_consumer, frames, _attempt, _deadline, _poll?, _operation) when is_list(frames),
    do: {:ok, frames}

  # What holds all that may be held may be garbage.
  defp take(consumer, {:error, fault}, attempt, deadline, poll?, operation)
       when elem(fault, 0) == :share_held do
    :erlang.garbage_collect()
    :erlang.yield()

    case once_freed(attempt, @tries) do
      {:error, fault} -> {:error, Error.new(fault, operation, consumer.ring)}
      answer -> take(consumer, answer, attempt, deadline, poll?, operation)
    end
  end

  defp take(consumer, {:error, fault}, _attempt, _deadline, _poll?, operation),
    do: {:error, Error.new(fault, operation, consumer.ring)}

  defp take(consumer, :empty, _attempt, _deadline, true, operation),
    do: {:error, Error.empty(operation, consumer.ring)}

  defp take(consumer, {:crowded, bytes}, attempt, deadline, poll?, operation) do
    collect(bytes)
    take(consumer, attempt.(), attempt, deadline, poll?, operation)
  end

  # An answer that is on its way comes sooner than the waiting could be arranged.
  defp take(consumer, wait, attempt, deadline, poll?, operation) do
    case spin(attempt, wait, System.monotonic_time() + @spin) do
      wait when wait in [:empty, :busy] ->
        sleep(consumer, attempt, deadline, poll?, operation)

      answer ->
        take(consumer, answer, attempt, deadline, poll?, operation)
    end
  end

  # The schedulers let go of what was collected soon, not at once. Nothing else is to be collected then, so `:crowded`, which is
  # said once, is answered by trying again.
  defp once_freed(attempt, tries) do
    case attempt.() do
      {:error, fault} when elem(fault, 0) == :share_held and tries > 0 ->
        Process.sleep(1)
        once_freed(attempt, tries - 1)

      {:crowded, _bytes} ->
        attempt.()

      answer ->
        answer
    end
  end

  # Others run in between.
  defp spin(attempt, wait, until) when wait in [:empty, :busy] do
    if System.monotonic_time() < until do
      :erlang.yield()
      spin(attempt, attempt.(), until)
    else
      wait
    end
  end

  defp spin(_attempt, answer, _until), do: answer

  defp sleep(consumer, attempt, deadline, poll?, operation) do
    case await(consumer, deadline) do
      :ready -> take(consumer, attempt.(), attempt, deadline, poll?, operation)
      :timeout -> {:error, Error.late(operation, consumer.ring, Native.why_empty(consumer.ref))}
      {:error, fault} -> {:error, Error.new(fault, operation, consumer.ring)}
    end
  end

  # Until there is something to receive, or the consumer is closed.
  defp await(consumer, deadline) do
    tag = make_ref()

    case Native.watch(consumer.ref, tag) do
      id when is_integer(id) ->
        Waiting.await(id, tag, deadline)

      :busy ->
        :erlang.yield()
        if Waiting.left(deadline) == 0, do: :timeout, else: :ready

      error ->
        error
    end
  end
end

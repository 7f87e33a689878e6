# An Elixir worker of the storm, on either side of the ring, to be killed at any moment: see storm.py.
#
#     elixir -pa EBIN worker.exs produce|consume RING LIFE FOLDER manual|auto one|many drop|wait
#
# Several processes share its work, where the ring has many of its kind. Each has a log of its own, and each that sends has a life of its own.

defmodule Worker do
  alias Slipring.{Error, Frame}

  @begun 1
  @sent 2
  @got 3
  @acked 4
  @given_back 5

  @unsaid 2 ** 32 - 1
  @longest 3 * 1024 * 1024
  @period 65_521

  @wait 50

  def main([role, name, life, folder, delivery, ends, drop]) do
    state = %{
      ring: Slipring.open!(name),
      life: String.to_integer(life),
      logs: Path.join(folder, "#{role}-#{life}."),
      stop: Path.join(folder, "stop-#{role}"),
      manual?: delivery == "manual",
      drops?: drop == "drop"
    }

    :persistent_term.put(:table, table())
    processes = if ends == "many", do: 3, else: 1

    work = if role == "produce", do: &produce/2, else: &consume/2
    Enum.map(1..processes, &start(work, state, &1)) |> Enum.each(&watch(&1, work, state))
  end

  defp start(work, state, n) do
    {_pid, monitor} =
      spawn_monitor(fn ->
        # The first log is the one that each worker has.
        path = state.logs <> if(n == 1, do: "log", else: "#{n}.log")
        {:ok, file} = :file.open(path, [:append, :raw, :binary])
        :rand.seed(:exsss, {state.life, n, System.os_time()})
        work.(Map.put(state, :log, file), n)
      end)

    {monitor, n}
  end

  defp watch({monitor, n}, work, state) do
    receive do
      {:DOWN, ^monitor, _, _, :normal} -> :ok
      {:DOWN, ^monitor, _, _, :replace} -> start(work, state, n) |> watch(work, state)
      {:DOWN, ^monitor, _, _, reason} -> exit(reason)
    end
  end

  defp log(%{log: file}, step, {life, number, handle, len}, again \\ 0) do
    record =
      <<life::little-32, number::little-32, handle::little-32, len::little-32, step, again, 0::16,
        System.os_time(:nanosecond)::little-64>>

    :ok = :file.write(file, record)
  end

  defp stopped?(state), do: File.exists?(state.stop, [:raw])

  defp dice(sides), do: :rand.uniform(sides) - 1

  # Producing --------------------------------------------------------------------------------------

  defp produce(state, n) do
    tx = Slipring.producer!(state.ring)
    produce(tx, {state.life + (n - 1) * 1_000_000, 0}, state)
  end

  defp produce(tx, {life, number}, state) do
    unless stopped?(state) do
      produce(tx, {life, number + send(tx, life, number, state)}, state)
    end
  end

  # Now and then several at once, which go in order up to one, and none beyond it. How many went.
  defp send(tx, life, number, state) do
    count = if dice(4) == 0, do: 1 + dice(8), else: 1
    ids = for further <- 0..(count - 1), do: {life, number + further, 0, len(dice(100))}
    for id <- ids, do: log(state, @begun, id)
    wait = if state.drops? and dice(2) == 0, do: [drop_oldest: true], else: [timeout: 500]

    sent =
      case Slipring.send_many(tx, Enum.map(ids, &fill/1), wait) do
        {:ok, sent} -> sent
        {:error, %Error{reason: reason, sent: sent}} when reason in [:timeout, :full] -> sent
      end

    for id <- Enum.take(ids, sent), do: log(state, @sent, id)
    sent
  end

  # Most frames are small, some empty, few of several MiB.
  defp len(kind) when kind < 60, do: dice(160)
  defp len(kind) when kind < 65, do: 0
  defp len(kind) when kind < 70, do: dice(12)
  defp len(kind) when kind < 90, do: dice(8000)
  defp len(kind) when kind < 99, do: dice(300_000)
  defp len(_kind), do: dice(@longest)

  # The whole frame.
  defp fill({_life, number, _handle, len}) when len < 12, do: piece(0, number, len)

  defp fill({life, number, _handle, len}) do
    <<life::little-32, number::little-32, len::little-32, piece(life, number, len - 12)::binary>>
  end

  defp piece(life, number, len) do
    binary_part(:persistent_term.get(:table), rem(life * 31 + number * 7919, @period), len)
  end

  # Bytes that look random, and begin anew after a prime.
  defp table do
    next = &Bitwise.band(&1 * 1_103_515_245 + 12_345, 0x7FFFFFFF)
    states = next.(1) |> Stream.iterate(next) |> Enum.take(@period)
    once = for state <- states, into: <<>>, do: <<Bitwise.bsr(state, 16)>>
    :binary.copy(once, div(@longest, @period) + 2)
  end

  # Consuming --------------------------------------------------------------------------------------

  # As they come, as messages, or when told: what is taken and not handled is lost without
  # acknowledgement, so that the last two are for those who acknowledge.
  defp consume(%{manual?: false} = state, _n),
    do: consume(Slipring.consumer!(state.ring), :recv, [], state)

  defp consume(state, n) do
    way = rem(n - 1 + state.life, 3)
    {way, active} = elem({{:recv, false}, {:messages, true}, {:told, false}}, way)
    rx = Slipring.consumer!(state.ring, ack: :manual, limit: 16, active: active)
    consume(rx, way, [], state)
  end

  defp consume(rx, way, held, state) do
    taken = take(rx, way)

    for frame <- List.wrap(taken),
        do: log(state, @got, check(frame), if(frame.redeliveries > 0, do: 1, else: 0))

    held = settle(List.wrap(taken) ++ held, taken == nil, state)

    cond do
      taken == nil and stopped?(state) -> :ok
      # The next one goes on; what this one holds, and what is on its way to it, goes back.
      state.manual? and dice(500) == 0 -> exit(:replace)
      true -> consume(rx, way, held, state)
    end
  end

  # A list of frames, or `nil` after some time.
  defp take(rx, :recv) do
    case Slipring.recv(rx, @wait) do
      {:ok, frame} -> [frame]
      {:error, %Error{reason: :unacknowledged}} -> []
      {:error, %Error{reason: :timeout}} -> nil
    end
  end

  defp take(rx, :messages) do
    receive do
      {:slipring, ^rx, frame} -> [frame]
    after
      @wait -> nil
    end
  end

  defp take(rx, :told) do
    :ok = Slipring.active(rx, :notify)

    receive do
      {:slipring_readable, ^rx} ->
        case Slipring.recv_many(rx, 8, 0) do
          {:ok, frames} -> frames
          {:error, %Error{reason: reason}} when reason in [:empty, :unacknowledged] -> []
        end
    after
      @wait -> nil
    end
  end

  defp settle([], _all?, _state), do: []

  defp settle(held, all?, state) do
    if all? or length(held) > 8 or dice(2) == 0 do
      {frame, held} = List.pop_at(held, dice(length(held)))
      id = check(frame)

      if state.manual? and not stopped?(state) and dice(20) == 0 do
        log(state, @given_back, id)
        :ok = Slipring.nack(frame)
        # It goes back when nobody has a binary of it.
        :erlang.garbage_collect()
      else
        :ok = Slipring.ack(frame)
        log(state, @acked, id)
      end

      settle(held, all?, state)
    else
      held
    end
  end

  defp check(frame) do
    value = Frame.value(frame)

    life =
      case value do
        <<life::little-32, _number::little-32, _len::little-32, _::binary>> -> life
        _short -> @unsaid
      end

    id = {life, frame.sequence, frame.producer, byte_size(value)}
    if value != fill(id), do: raise("frame #{inspect(id)} is damaged")
    id
  end
end

Worker.main(System.argv())

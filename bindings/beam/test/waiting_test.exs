defmodule Slipring.WaitingTest do
  # By itself: it measures what the whole VM uses.
  use Slipring.Case

  # Processor time of this OS process, in milliseconds.
  defp cpu do
    [_name, rest] = "/proc/self/stat" |> File.read!() |> String.split(") ", parts: 2)
    fields = String.split(rest)
    # Clock ticks of 10 ms.
    10 * (String.to_integer(Enum.at(fields, 11)) + String.to_integer(Enum.at(fields, 12)))
  end

  # In thousandths of one processor, while `ms` pass.
  defp usage(ms) do
    before = cpu()
    Process.sleep(ms)
    div(1_000 * (cpu() - before), ms)
  end

  defp threads(name) do
    threads = Path.wildcard("/proc/self/task/*/comm") |> Enum.map(&File.read!/1)
    Enum.count(threads, &(&1 == name <> "\n"))
  end

  defp started(wait) do
    task = Task.async(wait)
    assert wait_for(fn -> Process.info(task.pid, :status) == {:status, :waiting} end)
    task
  end

  test "who waits for a frame, or for room, uses no processor (P8)", %{name: name} do
    {_ring, _tx, empty} = pair(name <> "-empty")
    {_ring, tx, full} = pair(name <> "-full", slots: 8)
    Slipring.send_many!(tx, List.duplicate("full", 8))
    receiver = started(fn -> Slipring.recv(empty) end)
    sender = started(fn -> Slipring.send(tx, "one more") end)
    many = started(fn -> Slipring.send_many(tx, ["and", "two"]) end)
    Process.sleep(200)
    assert usage(2_000) < 25

    Slipring.close(empty)
    assert {:error, %Error{reason: :detached}} = Task.await(receiver)
    for _ <- 1..3, do: Slipring.recv!(full)
    assert :ok = Task.await(sender)
    assert {:ok, 2} = Task.await(many)
  end

  test "who waits for room is told soon (P7)", %{name: name} do
    {_ring, tx, rx} = pair(name, [slots: 8, capacity: {1, :mib}], lease: :always)
    Slipring.send_many!(tx, List.duplicate("full", 8))

    waits =
      for _ <- 1..20 do
        sender =
          started(fn -> Slipring.send(tx, "one") && System.monotonic_time(:microsecond) end)

        Process.sleep(5)
        start = System.monotonic_time(:microsecond)
        Slipring.recv!(rx)
        Task.await(sender) - start
      end

    # A tick of 100 ms, or a polling of 4, would show.
    assert Enum.at(Enum.sort(waits), 10) < 2_000

    # Room in the pool is told of, too: in a ring whose pool garbage has no part in.
    {_ring, tx, rx} = pair(name <> "-pool", [slots: 8, capacity: {1, :mib}], lease: :always)
    large = :binary.copy(<<7>>, 200_000)
    {:error, %Error{sent: sent}} = Slipring.send_many(tx, List.duplicate(large, 8), timeout: 0)
    frames = Slipring.recv_many!(rx, sent)
    sender = started(fn -> Slipring.send(tx, large) end)
    assert Enum.all?(frames, &(Frame.release(&1) == :ok))
    assert :ok = Task.await(sender)
  end

  test "a sender that waits hears of the end, and of its own end", %{name: name} do
    {ring, tx, _rx} = pair(name, slots: 8)
    Slipring.send_many!(tx, List.duplicate("full", 8))
    assert {:error, %Error{reason: :timeout}} = Slipring.send(tx, "x", timeout: 30)
    sender = started(fn -> Slipring.send(tx, "x") end)
    Slipring.finish(ring)
    assert {:error, %Error{reason: :closed}} = Task.await(sender)

    {_ring, tx, _rx} = pair(name <> "-other", slots: 8)
    Slipring.send_many!(tx, List.duplicate("full", 8))
    sender = started(fn -> Slipring.send(tx, "x") end)
    Slipring.close(tx)
    assert {:error, %Error{reason: :detached}} = Task.await(sender)
    refute_received _anything
  end

  test "many wait for one consumer, and are told", %{name: name} do
    {_ring, tx, rx} = pair(name)
    waits = 200
    receivers = for _ <- 1..waits, do: started(fn -> Frame.value(Slipring.recv!(rx)) end)
    Process.sleep(200)
    assert usage(1_000) < 50
    Slipring.send_many!(tx, for(n <- 1..waits, do: <<n>>))
    got = Task.await_many(receivers, 10_000)
    assert Enum.sort(got) == for(n <- 1..waits, do: <<n>>)
  end

  test "more rings than one thread can sleep on get another thread (P8)", %{name: name} do
    pairs = for n <- 1..150, do: pair("#{name}-#{n}", slots: 8, capacity: {1, :mib})
    receivers = for {_, _, rx} <- pairs, do: started(fn -> Frame.value(Slipring.recv!(rx)) end)
    Process.sleep(200)
    assert threads("slipring-wait") == 2
    assert usage(1_000) < 50
    for {_, tx, _} <- pairs, do: Slipring.send!(tx, "news")
    assert Task.await_many(receivers, 10_000) == List.duplicate("news", 150)
  end

  test "what takes long is not done by the threads that tell news", %{name: name} do
    ring = Slipring.create!(name)
    Slipring.close(ring)
    assert threads("slipring-unmap") == 1
  end
end

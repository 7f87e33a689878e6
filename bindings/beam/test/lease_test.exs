defmodule Slipring.LeaseTest do
  use Slipring.Case, async: true

  @large 100_000

  defp bytes(length \\ @large), do: :crypto.strong_rand_bytes(length)
  defp held(name), do: Slipring.info!(name).held

  test "small frames are copied, large ones stay in the segment (R3.3)", %{name: name} do
    {_ring, tx, rx} = pair(name, capacity: {16, :mib})
    Slipring.send_many!(tx, [bytes(65_536), bytes(65_537)])
    [small, large] = Slipring.recv_many!(rx, 2)
    refute Frame.in_place?(small)
    assert Frame.in_place?(large)
    assert held(name) == 1
  end

  test "the consumer says otherwise", %{name: name} do
    {_ring, tx, rx} = pair(name, [capacity: {64, :mib}], lease: :never)
    # One to be copied at once, one on a dirty scheduler, and several in a batch.
    sent = [bytes(10), bytes(5_000_000)] ++ for(_ <- 1..4, do: bytes(2_000_000))
    Slipring.send_many!(tx, sent)
    frames = Slipring.recv_many!(rx, 10)
    assert Enum.map(frames, &Frame.value/1) == sent
    refute Enum.any?(frames, &Frame.in_place?/1)
    assert held(name) == 0
    Slipring.close(rx)

    rx = Slipring.consumer!(name, lease: :always)
    Slipring.send!(tx, "tiny")
    frame = Slipring.recv!(rx)
    assert Frame.in_place?(frame)
    assert Frame.value(frame) == "tiny"
  end

  test "are limited, so that forgotten ones leave room (P7)", %{name: name} do
    {_ring, tx, rx} = pair(name, capacity: {16, :mib})
    frames = for _ <- 1..12, do: Slipring.send!(tx, bytes()) && Slipring.recv!(rx)

    assert Enum.map(frames, &Frame.in_place?/1) ==
             List.duplicate(true, 8) ++ List.duplicate(false, 4)

    assert held(name) == 8
    # A quarter of the pool in bytes is another limit.
    for frame <- frames, do: Frame.release(frame)
    :erlang.garbage_collect()
    assert wait_for(fn -> held(name) == 0 end)
    Slipring.send_many!(tx, for(_ <- 1..3, do: bytes(2_000_000)))
    # A list ends before frames would be copied for its own sake.
    held = Slipring.recv_many!(rx, 3)
    assert Enum.map(held, &Frame.in_place?/1) == [true, true]
    refute Frame.in_place?(Slipring.recv!(rx))
    for frame <- held, do: Frame.release(frame)
  end

  test "that nobody holds any more make room for others (P5)", %{name: name} do
    {_ring, tx, rx} = pair(name, capacity: {16, :mib})
    test = self()
    one = fn -> Slipring.send!(tx, bytes(200_000)) && Frame.in_place?(Slipring.recv!(rx)) end
    several = fn n -> for _ <- 1..n, do: one.() end

    # Of this process nothing is collected by itself. Eight frames take all leases; with the ninth there is a collection, and
    # the schedulers let go of what was collected as soon as they can.
    :erlang.spawn_opt(
      fn ->
        first = several.(8)
        one.()
        Process.sleep(100)
        Kernel.send(test, {:seen, first ++ several.(7)})
      end,
      [:link, min_bin_vheap_size: 100_000_000, min_heap_size: 40_000]
    )

    assert_receive {:seen, seen}, 5000
    assert seen == List.duplicate(true, 15)
  end

  test "are counted, and so are the copies made for want of them (R7.1)", %{name: name} do
    {ring, tx, rx} = pair(name, capacity: {16, :mib})
    counts = fn -> Map.take(Slipring.info!(name), [:leases, :leased, :copied]) end
    assert counts.() == %{leases: 0, leased: 0, copied: 0}
    Slipring.send_many!(tx, ["small" | for(_ <- 1..10, do: bytes())])
    frames = Slipring.recv_many!(rx, 11)
    frames = frames ++ for _ <- 1..2, do: Slipring.recv!(rx)
    assert counts.() == %{leases: 8, leased: 8 * @large, copied: 2}
    assert Map.take(Slipring.info!(ring), [:leases, :copied]) == %{leases: 8, copied: 2}
    for frame <- frames, do: assert(Frame.release(frame) == :ok)
    assert counts.() == %{leases: 0, leased: 0, copied: 2}
    Slipring.send!(tx, bytes())
    value = Frame.value(frame = Slipring.recv!(rx))
    assert Frame.release(frame) == :deferred
    assert counts.().leases == 1
    assert byte_size(value) == @large
  end

  test "end by release, with the last binary, or as garbage (P5)", %{name: name} do
    {_ring, tx, rx} = pair(name)

    # Nothing was made of it: at once.
    Slipring.send!(tx, bytes())
    frame = Slipring.recv!(rx)
    assert held(name) == 1
    assert Frame.release(frame) == :ok
    assert held(name) == 0
    assert {:error, %Error{reason: :released}} = Frame.release(frame)
    assert_raise Error, ~r/released/, fn -> Frame.value(frame) end

    # A binary lies in it: not before that is garbage.
    sent = bytes()
    test = self()

    reader =
      spawn_link(fn ->
        Slipring.send!(tx, sent)
        frame = Slipring.recv!(rx)
        <<part::binary-size(500), _::binary>> = Frame.value(frame)
        Kernel.send(test, {:released, Frame.release(frame)})
        receive do: (:compare -> Kernel.send(test, {:same, part == binary_part(sent, 0, 500)}))
        receive do: (:end -> :ok)
      end)

    assert_receive {:released, :deferred}
    :erlang.garbage_collect(reader)
    assert held(name) == 1
    Kernel.send(reader, :compare)
    assert_receive {:same, true}
    Kernel.send(reader, :end)
    assert wait_for(fn -> held(name) == 0 end)

    # Forgotten by a process that ends.
    {:ok, task} = Task.start(fn -> Slipring.send!(tx, bytes()) && Slipring.recv!(rx) end)
    monitor = Process.monitor(task)
    assert_receive {:DOWN, ^monitor, _, _, :normal}
    assert wait_for(fn -> held(name) == 0 end)
  end

  test "a copied frame has nothing to release", %{name: name} do
    {_ring, tx, rx} = pair(name)
    Slipring.send!(tx, "small")
    frame = Slipring.recv!(rx)
    assert Frame.release(frame) == :ok
    assert Frame.release(frame) == :ok
    assert Frame.value(frame) == "small"
  end

  test "one held for ever does not stop the ring (P5)", %{name: name} do
    {_ring, tx, rx} = pair(name, slots: 8)
    Slipring.send!(tx, first = bytes())
    held = Slipring.recv!(rx)
    value = Frame.value(held)

    for n <- 1..2_000 do
      Slipring.send!(tx, <<n::size(800_000)>>)
      Frame.release(Slipring.recv!(rx))
    end

    assert value == first
  end
end

defmodule Slipring.ActiveTest do
  use Slipring.Case, async: true

  defp value({:slipring, _rx, frame}), do: Frame.value(frame)

  test "true: all frames come, in order, and the end is told (P8)", %{name: name} do
    {ring, tx, rx} = pair(name, [], active: true)
    Slipring.send_many!(tx, for(n <- 1..500, do: <<n::16>>))

    for n <- 1..500 do
      assert_receive {:slipring, ^rx, frame}, 2_000
      assert Frame.value(frame) == <<n::16>>
    end

    assert {:error, %Error{reason: :active}} = Slipring.recv(rx, 0)
    assert {:error, %Error{reason: :active}} = Slipring.recv_many(rx, 10)
    Slipring.finish(ring)
    assert_receive {:slipring_closed, ^rx}, 2_000
    assert {:error, %Error{reason: :closed}} = Slipring.recv(rx)
    # Asked again, it is told again.
    Slipring.active(rx, :once)
    assert_receive {:slipring_closed, ^rx}, 2_000
  end

  test ":once: one at a time", %{name: name} do
    {_ring, tx, rx} = pair(name, [], active: :once)
    Slipring.send_many!(tx, ["a", "b"])
    assert_receive {:slipring, ^rx, _} = message, 2_000
    assert value(message) == "a"
    refute_receive {:slipring, _, _}, 50
    assert :ok = Slipring.active(rx, :once)
    assert_receive {:slipring, ^rx, _} = message, 2_000
    assert value(message) == "b"
    # Passive again: it may be asked.
    Slipring.send!(tx, "c")
    assert wait_for(fn -> match?({:ok, _}, Slipring.recv(rx, 0)) end)
  end

  test "a number: so many, then passive; numbers add up", %{name: name} do
    {_ring, tx, rx} = pair(name, [], active: 2)
    Slipring.active(rx, 1)
    Slipring.send_many!(tx, ["a", "b", "c", "d"])
    for _ <- 1..3, do: assert_receive({:slipring, ^rx, _}, 2_000)
    assert_receive {:slipring_passive, ^rx}, 2_000
    refute_receive {:slipring, _, _}, 50
    assert {:ok, frame} = Slipring.recv(rx, 1_000)
    assert Frame.value(frame) == "d"
    Slipring.active(rx, 3)
    Slipring.active(rx, -3)
    assert_receive {:slipring_passive, ^rx}, 2_000
  end

  test ":notify: told once, taken by the owner", %{name: name} do
    {_ring, tx, rx} = pair(name, [], active: :notify)
    refute_receive {:slipring_readable, _}, 50
    Slipring.send_many!(tx, ["a", "b"])
    assert_receive {:slipring_readable, ^rx}, 2_000
    assert [_, _] = Slipring.recv_many!(rx, 10)
    Slipring.send!(tx, "c")
    refute_receive {:slipring_readable, _}, 50
    Slipring.active(rx, :notify)
    assert_receive {:slipring_readable, ^rx}, 2_000
  end

  test ":notify: the end is told when no frame is left", %{name: name} do
    {ring, tx, rx} = pair(name)
    Slipring.send!(tx, "last")
    Slipring.finish(ring)
    Slipring.active(rx, :notify)
    assert_receive {:slipring_readable, ^rx}, 2_000
    assert [_] = Slipring.recv_many!(rx, 10)
    Slipring.active(rx, :notify)
    assert_receive {:slipring_closed, ^rx}, 2_000
    refute_received {:slipring_readable, _}

    {ring, _tx, rx} = pair(name <> "-empty", [], active: :notify)
    Slipring.finish(ring)
    assert_receive {:slipring_closed, ^rx}, 2_000
    assert {:error, %Error{reason: :closed}} = Slipring.recv(rx)
  end

  test "false: no more than was on its way", %{name: name} do
    {_ring, tx, rx} = pair(name, [], active: true)
    Slipring.active(rx, false)
    Slipring.send!(tx, "kept")
    refute_receive {:slipring, _, _}, 50
    assert {:ok, _frame} = Slipring.recv(rx, 1_000)
  end

  test "true: a slow owner is not flooded, and gets everything (P7)", %{name: name} do
    {_ring, tx, rx} = pair(name, [slots: 64], active: true)
    sender = Task.async(fn -> Slipring.send_many(tx, for(n <- 1..20_000, do: <<n::32>>)) end)
    Process.sleep(200)
    {:message_queue_len, queued} = Process.info(self(), :message_queue_len)
    assert queued <= 400

    for n <- 1..20_000 do
      assert_receive {:slipring, ^rx, frame}, 5_000
      assert Frame.value(frame) == <<n::32>>
    end

    assert {:ok, 20_000} = Task.await(sender)
  end

  test "true: messages that the owner leaves alone do not stop it", %{name: name} do
    for n <- 1..2_000, do: Kernel.send(self(), {:unrelated, n})
    {_ring, tx, rx} = pair(name, [], active: true)
    sender = Task.async(fn -> Slipring.send_many(tx, for(n <- 1..3_000, do: <<n::32>>)) end)
    for _ <- 1..3_000, do: assert_receive({:slipring, ^rx, _frame}, 5_000)
    assert {:ok, 3_000} = Task.await(sender)
  end

  test "frames go to the owner, and to the new one after a change", %{name: name} do
    {_ring, tx, rx} = pair(name, [], active: true)
    test = self()

    other =
      spawn_link(fn ->
        receive do:
                  ({:slipring, rx, frame} -> Kernel.send(test, {:other, rx, Frame.value(frame)}))

        receive do: (:end -> :ok)
      end)

    :ok = Slipring.controlling_process(rx, other)
    Slipring.send!(tx, "for the other")
    assert_receive {:other, ^rx, "for the other"}, 2_000
    refute_received {:slipring, _, _}
  end

  test "a closed consumer's feeder ends with it", %{name: name} do
    {_ring, tx, rx} = pair(name, [], active: :once)
    Slipring.send!(tx, "a")
    assert_receive {:slipring, ^rx, _frame}, 2_000
    {feeder, owner} = Slipring.Native.feeder(rx.ref)
    assert owner == self()
    monitor = Process.monitor(feeder)
    Slipring.close(rx)
    assert_receive {:DOWN, ^monitor, _, _, :normal}, 2_000
  end

  test "one whose owner has ended is asked in vain, and answers", %{name: name} do
    ring = Slipring.create!(name)
    {:ok, owner} = Task.start(fn -> Process.sleep(:infinity) end)
    rx = Slipring.consumer!(ring)
    :ok = Slipring.controlling_process(rx, owner)
    monitor = Process.monitor(owner)
    Process.exit(owner, :kill)
    assert_receive {:DOWN, ^monitor, _, _, _}
    assert :ok = Slipring.active(rx, :once)
    assert {:error, %Error{reason: :detached}} = Slipring.recv(rx, 100)
  end

  test "many consumers share one thread", %{name: name} do
    pairs =
      for n <- 1..40 do
        {_ring, tx, rx} = pair("#{name}-#{n}", [capacity: {1, :mib}], active: true)
        {n, tx, rx}
      end

    for {n, tx, _rx} <- pairs, do: Slipring.send!(tx, <<n>>)

    for {n, _tx, rx} <- pairs do
      assert_receive {:slipring, ^rx, frame}, 5_000
      assert Frame.value(frame) == <<n>>
    end

    threads = Path.wildcard("/proc/self/task/*/comm") |> Enum.map(&File.read!/1)
    assert Enum.count(threads, &(&1 == "slipring-wait\n")) == 1
  end
end

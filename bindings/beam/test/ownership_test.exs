defmodule Slipring.OwnershipTest do
  use Slipring.Case, async: true

  # Runs `made` in a process of its own, which lives until it is told to end.
  defp in_process(made) do
    test = self()

    pid =
      spawn(fn ->
        Kernel.send(test, {self(), made.()})
        receive do: (:end -> :ok)
      end)

    receive do: ({^pid, value} -> {pid, value})
  end

  test "a role is free when its owner has ended, killed or not (P6)", %{name: name} do
    ring = Slipring.create!(name)

    for finish <- [&Process.exit(&1, :kill), &Kernel.send(&1, :end)],
        make <- [&Slipring.producer/1, &Slipring.consumer/1] do
      {pid, {:ok, _handle}} = in_process(fn -> make.(ring) end)
      assert {:error, %Error{reason: :role_taken, got: os_pid}} = make.(ring)
      assert Integer.to_string(os_pid) == System.pid()
      finish.(pid)
      handle = eventually(fn -> make.(ring) end)
      Slipring.close(handle)
    end
  end

  test "who waits with an end whose owner ends is told", %{name: name} do
    ring = Slipring.create!(name)
    {pid, rx} = in_process(fn -> Slipring.consumer!(ring) end)
    waiting = Task.async(fn -> Slipring.recv(rx) end)
    Process.sleep(20)
    Process.exit(pid, :kill)
    assert {:error, %Error{reason: :detached}} = Task.await(waiting)
  end

  test "an end is handed to another process by its owner", %{name: name} do
    ring = Slipring.create!(name)
    {new, :ok} = in_process(fn -> :ok end)

    {old, {tx, rx}} =
      in_process(fn ->
        ends = {Slipring.producer!(ring), Slipring.consumer!(ring)}
        for handle <- Tuple.to_list(ends), do: :ok = Slipring.controlling_process(handle, new)
        ends
      end)

    assert {:error, %Error{reason: :not_controlling}} = Slipring.controlling_process(tx, self())
    assert {:error, %Error{reason: :not_controlling}} = Slipring.controlling_process(rx, self())
    monitor = Process.monitor(old)
    Kernel.send(old, :end)
    assert_receive {:DOWN, ^monitor, _, _, _}
    assert :ok = Slipring.send(tx, "still here")
    assert {:ok, _frame} = Slipring.recv(rx, 1_000)
    Kernel.send(new, :end)
    assert wait_for(fn -> match?({:error, %{reason: :detached}}, Slipring.send(tx, "x")) end)
  end

  test "a dead process can't own an end", %{name: name} do
    {_ring, tx, _rx} = pair(name)
    {pid, _} = Process.spawn(fn -> :ok end, [:monitor])
    assert_receive {:DOWN, _, _, ^pid, _}
    assert {:error, %Error{reason: :no_process}} = Slipring.controlling_process(tx, pid)
    assert :ok = Slipring.send(tx, "mine still")
  end

  test "frames outlive the consumer and the ring's handles (P5)", %{name: name} do
    {ring, tx, rx} = pair(name, [], lease: :always)
    bytes = :crypto.strong_rand_bytes(100_000)
    Slipring.send!(tx, bytes)
    frame = Slipring.recv!(rx)
    for handle <- [tx, rx, ring], do: Slipring.close(handle)
    :erlang.garbage_collect()
    assert Frame.in_place?(frame)
    assert Frame.value(frame) == bytes
    assert Frame.release(frame) in [:ok, :deferred]
  end

  test "a supervisor keeps a ring, and takes it over after a crash", %{name: name} do
    server = :"server_#{name}"
    children = [{Slipring, ring: name, name: server, capacity: {1, :mib}}]
    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
    tx = Slipring.producer!(name)
    Slipring.send!(tx, "before")
    old = Process.whereis(server)
    Process.exit(old, :kill)
    assert wait_for(fn -> Process.whereis(server) not in [nil, old] end)
    assert Frame.value(Slipring.recv!(Slipring.consumer!(name), 1_000)) == "before"
    Slipring.close(tx)
    Supervisor.stop(supervisor)

    assert_raise ArgumentError, ~r/unknown options \[:size\].*:ring.*:replace.*:capacity/, fn ->
      Slipring.child_spec(ring: name, size: 1)
    end

    assert_raise ArgumentError, ~r/give ring:/, fn -> Slipring.child_spec(capacity: 1) end
  end

  defp supervised(name, options) do
    {:ok, supervisor} = Supervisor.start_link([], strategy: :one_for_one)
    {Supervisor.start_child(supervisor, {Slipring, [ring: name] ++ options}), supervisor}
  end

  test "a supervised ring is not taken over when it is finished, but replaced if asked",
       %{name: name} do
    ring = Slipring.create!(name)
    tx = Slipring.producer!(ring)
    Slipring.send!(tx, "unread")
    Slipring.finish(ring)
    assert {{:error, {error, _child}}, _} = supervised(name, [])
    assert %Error{reason: :closed, ring: ^name} = error
    assert Exception.message(error) =~ "finished"
    assert Exception.message(error) =~ "replace: true"

    assert {{:ok, server}, supervisor} = supervised(name, replace: true)
    assert %{finished: false, waiting: 0} = Slipring.info!(name)
    assert :ok = Slipring.send(Slipring.producer!(name), "new")
    # Who was attached keeps the old one.
    assert Frame.value(Slipring.recv!(Slipring.consumer!(ring))) == "unread"

    # One that fits is not replaced.
    Process.exit(server, :kill)
    assert wait_for(fn -> Supervisor.count_children(supervisor).active == 1 end)
    assert %{waiting: 1} = Slipring.info!(name)
  end

  test "a supervised ring has the measures that were asked for", %{name: name} do
    ring = Slipring.create!(name, slots: 64, capacity: 1_000_000, cell: 100)

    for {options, expected, got} <- [
          {[capacity: {2, :mib}], %{capacity: 2_097_152}, %{capacity: 1_048_576}},
          {[slots: 128, capacity: 1_000_000], %{slots: 128}, %{slots: 64}},
          {[cell: 200], %{cell: 256}, %{cell: 128}},
          {[mode: :mpmc], %{mode: :mpmc}, %{mode: :spsc}}
        ] do
      assert {{:error, {error, _child}}, _} = supervised(name, options)
      assert %Error{reason: :exists, expected: ^expected, got: ^got} = error
      for {_key, size} <- Map.merge(expected, got), do: assert(error.message =~ "#{size}")
    end

    # What was not asked for may be anything; what was is rounded as in creating.
    for options <- [[], [slots: 64, capacity: 1_000_000, cell: 100], [capacity: {1, :mib}]] do
      assert {{:ok, _server}, supervisor} = supervised(name, options)
      Supervisor.stop(supervisor)
    end

    assert {{:ok, _server}, _} = supervised(name, capacity: {2, :mib}, replace: true)
    assert Slipring.info!(name).capacity == 2_097_152
    assert Slipring.info!(ring).capacity == 1_048_576
  end
end

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

    assert_raise ArgumentError, ~r/unknown options \[:size\]/, fn ->
      Slipring.child_spec(ring: name, size: 1)
    end

    assert_raise ArgumentError, ~r/give ring:/, fn -> Slipring.child_spec(capacity: 1) end
  end
end

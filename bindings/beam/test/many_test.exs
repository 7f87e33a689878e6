defmodule Slipring.ManyTest do
  # Rings for many: who gets what, and what becomes of frames that nobody acknowledges.
  use Slipring.Case, async: true

  @large 100_000

  defp create(name, options \\ []) do
    Slipring.create!(name, Keyword.merge([mode: :mpmc, slots: 8, capacity: {4, :mib}], options))
  end

  defp manual(ring, options \\ []), do: Slipring.consumer!(ring, [ack: :manual] ++ options)
  defp value({:ok, frame}), do: Frame.value(frame)
  defp reason({:error, %Error{reason: reason}}), do: reason

  # Runs `made` in a process of its own, which lives until it is killed; gives what it made.
  defp in_process(made) do
    test = self()

    pid =
      spawn(fn ->
        Kernel.send(test, {self(), made.()})
        Process.sleep(:infinity)
      end)

    receive do: ({^pid, value} -> {pid, value})
  end

  defp gone(pid) do
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^monitor, _, _, _}
  end

  describe "a ring" do
    test "has a mode, which says what may be there twice (P2)", %{name: name} do
      for mode <- [:spsc, :mpsc, :spmc, :mpmc] do
        ring = create(name, mode: mode)
        assert %{mode: ^mode} = Slipring.info!(ring)
        <<produce, _p, consume, _c>> = Atom.to_string(mode)

        for {letter, make} <- [{produce, &Slipring.producer/1}, {consume, &Slipring.consumer/1}] do
          assert {:ok, first} = make.(ring)

          case letter do
            ?s -> assert reason(make.(ring)) == :role_taken
            ?m -> assert {:ok, _} = make.(ring)
          end

          Slipring.close(first)
        end

        Slipring.unlink!(name)
      end

      assert_raise ArgumentError, ~r/:mode is :many.*:spsc, :mpsc, :spmc or :mpmc/, fn ->
        Slipring.create(name, mode: :many)
      end
    end

    test "gives each frame to one of many processes, in each sender's order (P2)", %{name: name} do
      ring = create(name)
      each = 2_000

      consumers =
        for _ <- 1..3 do
          Task.async(fn ->
            for frame <- Slipring.consumer!(ring), do: Frame.value(frame)
          end)
        end

      producers =
        for n <- 1..3 do
          Task.async(fn ->
            tx = Slipring.producer!(ring)
            for m <- 1..div(each, 2), do: :ok = Slipring.send(tx, <<n, m::32>>)
            Slipring.send_many!(tx, for(m <- (div(each, 2) + 1)..each, do: <<n, m::32>>))
          end)
        end

      Task.await_many(producers, 30_000)
      Slipring.finish!(ring)
      got = Task.await_many(consumers, 30_000)
      assert Enum.sort(Enum.concat(got)) == for(n <- 1..3, m <- 1..each, do: <<n, m::32>>)

      for mine <- got, n <- 1..3 do
        of_one = for <<^n, m::32>> <- mine, do: m
        assert of_one == Enum.sort(of_one)
      end
    end

    test "is shared by VMs; what a killed one had not acknowledged comes here (P6)",
         %{name: name} do
      ring = create(name, slots: 64)
      tx = Slipring.producer!(ring)
      Slipring.send_many!(tx, for(n <- 1..20, do: <<n>>))

      port =
        other_beam(
          """
          [name] = System.argv()
          rx = Slipring.consumer!(name, ack: :manual)
          for _ <- 1..3, do: Slipring.ack!(Slipring.recv!(rx))
          held = Slipring.recv_many!(rx, 5)
          IO.write("taken")
          Process.sleep(:infinity)
          IO.inspect(held)
          """,
          [name]
        )

      assert_receive {^port, {:data, "taken"}}, 20_000
      {:os_pid, os_pid} = Port.info(port, :os_pid)
      rx = manual(ring)
      assert Frame.value(ninth = Slipring.recv!(rx)) == <<9>>
      System.cmd("kill", ["-9", "#{os_pid}"])
      assert_receive {^port, {:exit_status, 137}}, 10_000

      frames = for _ <- 4..19, do: Slipring.recv!(rx, 5_000)
      {again, first} = Enum.split_with(frames, &(&1.redeliveries > 0))
      assert again |> Enum.map(&Frame.value/1) |> Enum.sort() == for(n <- 4..8, do: <<n>>)
      assert Enum.map(first, &Frame.value/1) == for(n <- 10..20, do: <<n>>)
      for frame <- [ninth | frames], do: Slipring.ack!(frame)
    end

    test "may limit what one process holds of its pool (P7)", %{name: name} do
      ring = create(name, slots: 64, share: 25)
      bodies = List.duplicate(:binary.copy(<<1>>, 60_000), 64)
      tx = Slipring.producer!(ring)

      assert {:error, %Error{reason: :full, sent: sent}} =
               Slipring.send_many(tx, bodies, timeout: 0)

      assert sent in 15..17

      # Nor in what it has received. What is copied is no question.
      rx = Slipring.consumer!(ring, lease: :always)
      held = for _ <- 1..sent, do: Slipring.recv!(rx)
      # A small frame takes nothing of the pool.
      :ok = Slipring.send(tx, "small")

      assert {:error, %Error{reason: :share_held, expected: limit, got: got}} =
               Slipring.recv(rx, 5000)

      assert got >= limit and limit == 1_048_576
      for frame <- held, do: :ok = Frame.release(frame)
      assert Frame.value(Slipring.recv!(rx)) == "small"

      # An active one goes on by itself once some are let go of.
      for _ <- 1..sent, do: :ok = Slipring.send(tx, :binary.copy(<<2>>, 60_000))
      Slipring.active(rx, true)
      held = for _ <- 1..sent, do: assert_receive({:slipring, ^rx, frame}, 5000) && frame
      :ok = Slipring.send(tx, "small")
      refute_receive {:slipring, ^rx, _frame}, 50
      for frame <- held, do: :ok = Frame.release(frame)
      assert_receive {:slipring, ^rx, _frame}, 5000

      for share <- [0, 101],
          do: assert(reason(Slipring.create(name <> "-other", share: share)) == :invalid_option)

      assert_raise ArgumentError, ~r/0 to 255/, fn -> Slipring.create(name, share: 256) end
    end

    test "goes on when what held its share is garbage (P6, P7)", %{name: name} do
      for {lease, share, bytes} <- [
            {:always, 50, 60_000},
            {:auto, 25, 500_000},
            {:auto, 10, 100_000}
          ] do
        # A ring is gone with the last that hold it, whenever that is: each has its own name.
        name = "#{name}-#{share}"
        ring = create(name, slots: 64, share: share)
        sending = Slipring.open!(name)
        rx = Slipring.consumer!(ring, lease: lease)
        tx = Slipring.producer!(sending)
        body = :binary.copy(<<1>>, bytes)

        sender =
          Task.async(fn -> for _ <- 1..120, do: :ok = Slipring.send(tx, body, timeout: 20_000) end)

        # One who looks at each frame and forgets it, and collects nothing by itself.
        for _ <- 1..60, do: assert({:ok, _frame} = Slipring.recv(rx, 5000))
        Slipring.active(rx, true)
        for _ <- 1..60, do: assert_receive({:slipring, ^rx, _frame}, 5000)
        Task.await(sender)
        Slipring.close(tx)
        Slipring.close(rx)
      end
    end

    test "goes on so while it waits, too (P6, P7)", %{name: name} do
      ring = create(name, slots: 64, share: 25)
      tx = Slipring.producer!(Slipring.open!(name))
      body = :binary.copy(<<1>>, 200_000)
      test = self()

      receiver =
        Task.async(fn ->
          rx = Slipring.consumer!(ring, lease: :always)
          # Takes its share, and forgets it.
          for _ <- 1..6, do: {:ok, _frame} = Slipring.recv(rx, 5000)
          send(test, :waiting)
          Slipring.recv(rx, 5000)
        end)

      for _ <- 1..5, do: :ok = Slipring.send(tx, body, timeout: 5000)
      :ok = Slipring.send(tx, body, timeout: 5000)
      assert_receive :waiting, 5000
      Process.sleep(20)
      :ok = Slipring.send(tx, body, timeout: 5000)
      assert {:ok, %Frame{}} = Task.await(receiver)
    end
  end

  describe "a frame that is to be acknowledged" do
    test "comes again until it is (P6)", %{name: name} do
      ring = create(name)
      tx = Slipring.producer!(ring)
      rx = manual(ring)
      large = :crypto.strong_rand_bytes(@large)
      Slipring.send_many!(tx, ["small", large])
      [small, leased] = Slipring.recv_many!(rx, 2)

      assert {small.redeliveries, Frame.in_place?(small), Frame.in_place?(leased)} ==
               {0, false, true}

      # A copy of the bytes is no acknowledgement: both are still held.
      assert %{held: 2, leases: 1} = Slipring.info!(ring)

      assert :ok = Slipring.ack(small)
      assert %{held: 1} = Slipring.info!(ring)
      assert {:ok, :ok} = {Slipring.ack(small), Frame.release(small)}
      assert reason(Slipring.nack(small)) == :acknowledged
      assert Frame.value(small) == "small"

      :erlang.garbage_collect()
      assert :ok = Slipring.nack(leased)
      assert {:ok, :ok} = {Slipring.nack(leased), Slipring.nack(leased)}
      assert reason(Slipring.ack(leased)) == :given_back
      assert reason(Frame.release(leased)) == :released
      assert_raise Error, ~r/given back/, fn -> Frame.value(leased) end

      again = Slipring.recv!(rx, 1_000)
      assert {again.redeliveries, again.sequence} == {1, 1}
      assert Frame.value(again) == large
      assert :ok = Slipring.ack(again)
      # Acknowledged, and still read.
      assert Frame.value(again) == large
      assert reason(Slipring.nack(again)) == :acknowledged
      assert reason(Slipring.recv(rx, 0)) == :empty
    end

    test "goes back when it is released or forgotten (P6)", %{name: name} do
      ring = create(name)
      rx = manual(ring)

      for body <- ["small", :binary.copy(<<1>>, @large), Tensor.from_list([1], {1}, {:u, 8})] do
        Slipring.send!(Slipring.producer!(ring), body)
        frame = Slipring.recv!(rx)
        assert Frame.release(frame) == :ok
        frame = Slipring.recv!(rx, 1_000)
        assert frame.redeliveries == 1
        {:ok, task} = Task.start(fn -> Frame.release(frame) end)
        monitor = Process.monitor(task)
        assert_receive {:DOWN, ^monitor, _, _, _}

        # A process takes it and ends; nobody else has it.
        Task.await(Task.async(fn -> Slipring.recv!(rx, 1_000).redeliveries end))
        last = Slipring.recv!(rx, 1_000)
        assert last.redeliveries == 3
        Slipring.ack!(last)
      end
    end

    test "goes back when its consumer is closed, or the owner killed, whoever has it (P6)",
         %{name: name} do
      ring = create(name)
      tx = Slipring.producer!(ring)
      heir = manual(ring)

      for body <- ["small", :binary.copy(<<1>>, @large)] do
        # Frames here, so that no garbage collection gives them back.
        Slipring.send!(tx, body)
        {owner, frame} = in_process(fn -> Slipring.recv!(manual(ring)) end)
        gone(owner)
        again = Slipring.recv!(heir, 1_000)
        assert again.redeliveries == 1
        assert reason(Slipring.ack(frame)) == :given_back
        Slipring.ack!(again)

        Slipring.send!(tx, body)
        frame = Slipring.recv!(rx = manual(ring))
        Slipring.close(rx)
        again = Slipring.recv!(heir, 0)
        assert again.redeliveries == 1
        assert reason(Slipring.ack(frame)) == :given_back
        Slipring.ack!(again)
      end
    end

    test "waits for its binaries, which are never taken away (P5)", %{name: name} do
      ring = create(name)
      large = :crypto.strong_rand_bytes(@large)
      Slipring.send!(Slipring.producer!(ring), large)
      rx = manual(ring)

      {reader, :ok} =
        in_process(fn ->
          frame = Slipring.recv!(rx)
          Process.put(:kept, Frame.value(frame))
          Slipring.nack(frame)
        end)

      assert reason(Slipring.recv(rx, 50)) == :timeout
      assert {:dictionary, [{:kept, ^large}]} = List.keyfind(info(reader), :dictionary, 0)
      :erlang.garbage_collect()
      gone(reader)
      assert Slipring.recv!(rx, 1_000).redeliveries == 1
    end

    defp info(pid), do: pid |> Process.info([:dictionary]) |> Enum.map(&only_kept/1)

    defp only_kept({:dictionary, entries}),
      do: {:dictionary, Enum.filter(entries, &match?({:kept, _}, &1))}

    test "is read elsewhere where it is long, and is to be acknowledged still", %{name: name} do
      ring = create(name, capacity: {16, :mib})
      tx = Slipring.producer!(ring)
      # Long metadata, and much to copy, which are read elsewhere.
      meta = %{"value" => Enum.to_list(1..20_000)}
      Slipring.send!(tx, "x", meta: meta)
      Slipring.send!(tx, body = :binary.copy(<<5>>, 1_900_000), meta: meta)

      for {lease, n} <- [never: 1, always: 2] do
        rx = manual(ring, lease: lease)
        frames = [%{meta: ^meta}, %{meta: ^meta}] = Slipring.recv_many!(rx, 2)
        assert Enum.map(frames, &Frame.value/1) == ["x", body]
        assert Enum.map(frames, & &1.redeliveries) == [n - 1, n - 1]
        assert %{held: 2} = Slipring.info!(ring)
        for frame <- frames, do: if(n == 2, do: Slipring.ack!(frame), else: Slipring.nack!(frame))
        Slipring.close(rx)
      end
    end

    test "is one of a limited number (P6)", %{name: name} do
      ring = create(name)
      tx = Slipring.producer!(ring)
      rx = manual(ring, limit: 2)
      Slipring.send_many!(tx, ["a", "b", "c"])
      [a, b] = Slipring.recv_many!(rx, 3)
      assert {:error, %Error{reason: :unacknowledged, expected: 2} = error} = Slipring.recv(rx)
      assert Exception.message(error) =~ "acknowledge or give back some"
      assert reason(Slipring.recv_many(rx, 2)) == :unacknowledged
      Slipring.ack!(a)
      assert value(Slipring.recv(rx)) == "c"
      Slipring.nack!(b)

      for wrong <- [0, -1, 2 ** 32] do
        assert_raise ArgumentError, ~r/:limit/, fn -> manual(ring, limit: wrong) end
      end

      assert_raise ArgumentError, ~r/manual/, fn -> Slipring.consumer(ring, limit: 3) end

      assert_raise ArgumentError, ~r/:auto or :manual/, fn ->
        Slipring.consumer(ring, ack: true)
      end
    end

    test "is a dead letter after too many deliveries (P6)", %{name: name} do
      ring = create(name, max_deliveries: 1)
      Slipring.send!(Slipring.producer!(ring), "poison")
      rx = manual(ring)
      for _ <- 1..2, do: rx |> Slipring.recv!() |> Slipring.nack!()
      assert reason(Slipring.recv(rx, 0)) == :empty
      assert %{dead: 1, returned: 0} = Slipring.info!(ring)
      letter = Slipring.recv_dead!(rx)
      assert Frame.value(letter) == "poison"
      assert %{dead: 0, held: 1} = Slipring.info!(ring)
      Slipring.ack!(letter)
      assert reason(Slipring.recv_dead(rx)) == :empty
      assert %{dead: 0, held: 0} = Slipring.info!(ring)
    end

    test "is acknowledged already where nothing else was asked for", %{name: name} do
      ring = create(name)
      Slipring.send_many!(Slipring.producer!(ring), ["small", :binary.copy(<<1>>, @large)])

      for frame <- Slipring.recv_many!(Slipring.consumer!(ring), 2) do
        assert :ok = Slipring.ack(frame)
        assert reason(Slipring.nack(frame)) == :acknowledged
      end
    end
  end

  describe "active consumers" do
    test "share the frames, and are all told of the end (P8)", %{name: name} do
      ring = create(name)
      test = self()

      for n <- 1..4 do
        spawn_link(fn ->
          active = elem({true, 7, :once, true}, n - 1)
          rx = Slipring.consumer!(ring, ack: :manual, limit: 4, active: active)
          Kernel.send(test, {:closed, serve(rx, active, [])})
        end)
      end

      tx = Slipring.producer!(ring)
      assert {:ok, 3_000} = Slipring.send_many(tx, for(n <- 1..3_000, do: <<n::32>>))
      Slipring.finish!(ring)

      got =
        for _ <- 1..4 do
          assert_receive {:closed, got}, 20_000
          got
        end

      assert Enum.sort(Enum.concat(got)) == for(n <- 1..3_000, do: <<n::32>>)
    end

    defp serve(rx, active, got) do
      receive do
        {:slipring, ^rx, frame} ->
          Slipring.ack!(frame)
          if active == :once, do: Slipring.active(rx, :once)
          serve(rx, active, [Frame.value(frame) | got])

        {:slipring_passive, ^rx} ->
          Slipring.active(rx, active)
          serve(rx, active, got)

        {:slipring_closed, ^rx} ->
          got
      end
    end

    test "get as many as may be open, and more when some are not (P7)", %{name: name} do
      ring = create(name, slots: 64)
      Slipring.send_many!(Slipring.producer!(ring), for(n <- 1..20, do: <<n>>))
      rx = manual(ring, limit: 3, active: true)
      next = fn -> assert_receive({:slipring, ^rx, frame}, 2_000) && frame end
      [a, b, c] = for _ <- 1..3, do: next.()
      refute_receive {:slipring, _, _}, 50
      Slipring.ack!(a)
      d = next.()
      Slipring.nack!(b)
      e = next.()
      Frame.release(c)
      f = next.()
      refute_receive {:slipring, _, _}, 50
      # What is open must not be garbage before here.
      assert Enum.map([d, e, f], &{Frame.value(&1), &1.redeliveries}) ==
               [{<<4>>, 0}, {<<2>>, 1}, {<<3>>, 1}]
    end

    test "get another for one that was forgotten", %{name: name} do
      ring = create(name)
      Slipring.send!(Slipring.producer!(ring), "job")
      rx = manual(ring, limit: 1, active: true)

      for n <- 0..3 do
        assert_receive {:slipring, ^rx, %Frame{redeliveries: ^n}}, 2_000
        refute_receive {:slipring, ^rx, _}, 20
        :erlang.garbage_collect()
      end
    end

    test ":notify is no news while as many are open as may be", %{name: name} do
      ring = create(name)
      Slipring.send_many!(Slipring.producer!(ring), ["a", "b"])
      rx = manual(ring, limit: 1, active: :notify)
      assert_receive {:slipring_readable, ^rx}, 2_000
      frame = Slipring.recv!(rx, 0)
      Slipring.active(rx, :notify)
      refute_receive {:slipring_readable, _}, 50
      Slipring.ack!(frame)
      assert_receive {:slipring_readable, ^rx}, 2_000
      assert value(Slipring.recv(rx, 0)) == "b"
    end

    test ":notify: who finds that another was faster waits for the next", %{name: name} do
      ring = create(name)
      tx = Slipring.producer!(ring)
      [one, two] = for _ <- 1..2, do: Slipring.consumer!(ring, active: :notify)

      for n <- 1..20 do
        Slipring.send!(tx, <<n>>)
        assert_receive {:slipring_readable, ^one}, 2_000
        assert_receive {:slipring_readable, ^two}, 2_000
        assert value(Slipring.recv(one, 0)) == <<n>>
        assert reason(Slipring.recv(two, 0)) == :empty
        for rx <- [one, two], do: Slipring.active(rx, :notify)
        refute_receive {:slipring_readable, _}, 5
      end
    end

    test "that are killed give back what was on its way to them (P6)", %{name: name} do
      ring = create(name, slots: 64)
      Slipring.send_many!(Slipring.producer!(ring), for(n <- 1..20, do: <<n>>))
      {owner, _rx} = in_process(fn -> manual(ring, active: true) end)
      assert wait_for(fn -> Slipring.info!(ring).held == 20 end)
      gone(owner)
      rx = manual(ring)
      got = for _ <- 1..20, do: Frame.value(Slipring.recv!(rx, 2_000))
      assert Enum.sort(got) == for(n <- 1..20, do: <<n>>)
    end
  end

  describe "dropping the oldest" do
    test "makes room where the ring was created for it, and is counted (P7)", %{name: name} do
      ring = create(name, drop_oldest: true)
      tx = Slipring.producer!(ring)
      rx = Slipring.consumer!(ring)
      for n <- 0..19, do: :ok = Slipring.send(tx, <<n>>, drop_oldest: true)
      assert %{dropped: 12, waiting: 8} = Slipring.info!(ring)
      frames = Slipring.recv_many!(rx, 20)
      assert Enum.map(frames, & &1.sequence) == Enum.to_list(12..19)
      assert {:ok, 300} = Slipring.send_many(tx, List.duplicate("x", 300), drop_oldest: true)
      assert %{dropped: 304} = Slipring.info!(ring)
      other = Slipring.producer!(ring)
      assert {Slipring.dropped(tx), Slipring.dropped(other)} == {{:ok, 304}, {:ok, 0}}
      Slipring.close(other)
      assert {:error, %{reason: :detached}} = Slipring.dropped(other)

      # Large ones, and by a dirty scheduler.
      huge = :binary.copy(<<1>>, 1_500_000)
      for _ <- 1..5, do: :ok = Slipring.send(tx, huge, drop_oldest: true, meta: %{n: 1})
      assert value(Slipring.recv(rx)) == huge

      assert_raise ArgumentError, ~r/either :timeout or :drop_oldest/, fn ->
        Slipring.send(tx, "x", drop_oldest: true, timeout: 1)
      end
    end

    test "drops no view that somebody has: full at once", %{name: name} do
      ring = create(name, drop_oldest: true, capacity: {1, :mib})
      tx = Slipring.producer!(ring)
      rx = Slipring.consumer!(ring, lease: :always)
      body = :binary.copy(<<1>>, 200_000)
      {:error, %Error{sent: sent}} = Slipring.send_many(tx, List.duplicate(body, 8), timeout: 0)
      held = Slipring.recv_many!(rx, sent)
      assert reason(Slipring.send(tx, body, drop_oldest: true)) == :full
      assert Enum.all?(held, &(Frame.value(&1) == body))
    end

    test "is refused on other rings", %{name: name} do
      tx = name |> create() |> Slipring.producer!()
      Slipring.send_many!(tx, List.duplicate("x", 8))
      assert reason(Slipring.send(tx, "x", drop_oldest: true)) == :invalid_option
      assert reason(Slipring.create(name <> "-other", drop_oldest: true)) == :invalid_option
    end
  end

  test "a full ring and an empty one say whose turn it is (P9)", %{name: name} do
    ring = create(name)
    tx = Slipring.producer!(ring)
    rx = Slipring.consumer!(ring)
    {:error, late} = Slipring.recv(rx, 5)
    assert {late.reason, late.path} == {:timeout, Slipring.info!(ring).path}

    assert Exception.message(late) =~
             "no frame came to #{late.path} in time: its producer is this"

    Slipring.send_many!(tx, List.duplicate("x", 8))

    for {timeout, reason, begin} <- [{0, :full, ": /"}, {5, :timeout, "the time ran out: /"}],
        call <- [
          &Slipring.send(tx, "x", timeout: &1),
          &Slipring.send_many(tx, ["x"], timeout: &1)
        ] do
      assert {:error, %Error{reason: ^reason} = error} = call.(timeout)
      message = Exception.message(error)
      assert message =~ begin
      assert message =~ "all 8 slots hold frames that wait; its consumer is this process"
      assert message =~ "take frames faster"
    end

    Slipring.close(rx)
  end

  test "idle memory goes back to the system, and what is used can be locked (R8.4)", %{name: name} do
    ring = Slipring.create!(name, capacity: {8, :mib})
    {tx, rx} = {Slipring.producer!(ring), Slipring.consumer!(ring)}
    :ok = Slipring.send(tx, :binary.copy("x", 5_000_000))
    assert Slipring.trim(tx) == {:ok, 0}
    {:ok, frame} = Slipring.recv(rx, 0)
    assert byte_size(Frame.value(frame)) == 5_000_000
    :ok = Slipring.close(rx)
    frame = nil
    assert frame == nil

    freed =
      Enum.find_value(1..100, fn _ ->
        :erlang.garbage_collect()
        Process.sleep(10)
        with {:ok, 0} <- Slipring.trim(tx), do: nil
      end)

    assert {:ok, bytes} = freed
    assert bytes >= 5_000_000

    refute "lo" in mapped_with(name)

    case Slipring.lock_memory(ring) do
      :ok ->
        assert "lo" in mapped_with(name)

      {:error, %Error{reason: :os} = error} ->
        assert Exception.message(error) =~ "lock /dev/shm/slipring.#{name}: "
        refute "lo" in mapped_with(name)
    end

    assert_raise ArgumentError, ~r/a Slipring.Producer/, fn -> Slipring.trim(ring) end
    assert_raise ArgumentError, ~r/a Slipring.Ring/, fn -> Slipring.lock_memory(tx) end
  end

  test "huge pages can be asked for, but of a kernel without them", %{name: name} do
    ring = Slipring.create!(name, capacity: {4, :mib})
    refute "hg" in mapped_with(name)

    if File.exists?("/sys/kernel/mm/transparent_hugepage") do
      assert Slipring.use_huge_pages(ring) == :ok
      assert "hg" in mapped_with(name)
    else
      assert {:error, %Error{reason: :os} = error} = Slipring.use_huge_pages(ring)
      assert Exception.message(error) =~ "huge pages"
      refute "hg" in mapped_with(name)
    end

    # Garbage would be closed, and gone.
    Slipring.close(ring)
  end

  # What the system says of the VM's mapping of the ring (`VmFlags` in `man 5 proc_pid_smaps`), which has no name.
  defp mapped_with(name) do
    inode = File.stat!("/dev/shm/slipring.#{name}").inode
    [_, maps] = "/proc/self/smaps" |> File.read!() |> String.split(~r/ #{inode} /, parts: 2)
    [flags] = Regex.run(~r/^VmFlags: (.*)$/m, maps, capture: :all_but_first)
    String.split(flags)
  end
end

defmodule SlipringTest do
  use Slipring.Case, async: true

  describe "rings" do
    test "are found by name, and gone with the last handle (P1)", %{name: name} do
      ring = Slipring.create!(name)
      assert name in Slipring.list()
      other = Slipring.open!(name)
      assert :ok = Slipring.close(ring)
      assert name in Slipring.list()
      assert :ok = Slipring.close(other)
      refute name in Slipring.list()
      assert :ok = Slipring.close(other)
    end

    test "are left when their handles are garbage", %{name: name} do
      test = self()

      spawn(fn ->
        ring = Slipring.create!(name)
        Kernel.send(test, {:listed, name in Slipring.list(), ring.name})
      end)

      assert_receive {:listed, true, ^name}, 5_000
      assert wait_for(fn -> name not in Slipring.list() end)
    end

    test "may be files (P1)" do
      path = Path.join(System.tmp_dir!(), "slipring-ex-#{System.unique_integer([:positive])}")
      {:ok, ring} = Slipring.create({:path, path}, capacity: {1, :mib})
      :ok = Slipring.send(Slipring.producer!({:path, path}), "in a file")
      assert {:ok, frame} = Slipring.recv(Slipring.consumer!({:path, path}), 1_000)
      assert Frame.value(frame) == "in a file"
      assert %{path: ^path} = Slipring.info!(ring)
      Slipring.unlink!({:path, path})
      refute File.exists?(path)
    end

    test "are waited for", %{name: name} do
      maker =
        Task.async(fn ->
          Process.sleep(50)
          Slipring.create!(name)
          Process.sleep(:infinity)
        end)

      assert {:ok, %Ring{name: ^name}} = Slipring.open(name, wait: 5_000)
      Task.shutdown(maker, :brutal_kill)
    end

    test "that are missing are answered with those there are (R9.1)", %{name: name} do
      ring = Slipring.create!(name)
      assert {:error, %Error{reason: :not_found} = error} = Slipring.open("#{name}-not")
      # Until here it must not be garbage.
      Slipring.close(ring)
      assert name in error.expected
      assert error.path =~ "#{name}-not"
      assert Exception.message(error) =~ name

      assert_raise Error, ~r/no ring at/, fn -> Slipring.open!("#{name}-not") end
    end

    test "are made once, and have names that can't leave their folder (P10)", %{name: name} do
      ring = Slipring.create!(name)
      assert {:error, %Error{reason: :exists}} = Slipring.create(name)
      # Until here it must not be garbage.
      Slipring.close(ring)

      for bad <- [<<255, 1>>, "a\0b"], call <- [&Slipring.create/1, &Slipring.open/1] do
        assert {:error, %Error{reason: :invalid_name}} = call.(bad)
      end

      for bad <- ["../etc", "a/b", "", String.duplicate("x", 300)] do
        assert {:error, %Error{reason: :invalid_name, got: ^bad}} = Slipring.create(bad)
        assert {:error, %Error{reason: :invalid_name}} = Slipring.unlink(bad)
      end

      assert {:error, %Error{reason: :invalid_option, path: "slots", got: "100"}} =
               Slipring.create("#{name}-odd", slots: 100)
    end

    test "that are none are refused (P9)" do
      path = Path.join(System.tmp_dir!(), "slipring-ex-#{System.unique_integer([:positive])}")
      File.write!(path, String.duplicate("no segment ", 1000))
      File.chmod!(path, 0o600)
      assert {:error, %Error{reason: :foreign} = error} = Slipring.open({:path, path})
      assert error.path == path
      assert error.hint =~ "slipring"
      assert {:error, %Error{reason: :foreign}} = Slipring.info({:path, path})
      File.rm!(path)
    end

    test "are looked into from outside and inside (R7.1)", %{name: name} do
      {ring, tx, rx} = pair(name, slots: 64)
      Slipring.send_many!(tx, ["a", "b", "c"])
      Slipring.recv!(rx)
      pid = String.to_integer(System.pid())

      for info <- [Slipring.info!(ring), Slipring.info!(name)] do
        assert %{slots: 64, waiting: 2, finished: false, capacity: 4_194_304} = info
        assert [%{pid: ^pid, alive: true, produces: true, consumes: true}] = info.processes
      end
    end

    test "that are closed say so", %{name: name} do
      {ring, tx, rx} = pair(name)
      for handle <- [ring, tx, rx], do: assert(:ok = Slipring.close(handle))
      assert {:error, %Error{reason: :detached, operation: :send}} = Slipring.send(tx, "x")
      assert {:error, %Error{reason: :detached, operation: :recv}} = Slipring.recv(rx)
      assert {:error, %Error{reason: :detached}} = Slipring.producer(ring)
      assert {:error, %Error{reason: :detached}} = Slipring.info(ring)
    end
  end

  describe "options" do
    test "that are unknown are named beside the allowed ones (R9.1)", %{name: name} do
      assert_raise ArgumentError, ~r/unknown options \[:size\].*:capacity/, fn ->
        Slipring.create(name, size: 1)
      end

      assert_raise ArgumentError, ~r/:active.*:lease/, fn ->
        Slipring.consumer(name, activ: true)
      end

      assert_raise ArgumentError, ~r/:capacity is "64 MiB", but must be bytes/, fn ->
        Slipring.create(name, capacity: "64 MiB")
      end

      assert_raise ArgumentError, ~r/option :active is :twice/, fn ->
        Slipring.consumer(name, active: :twice)
      end

      {_ring, tx, rx} = pair(name)
      assert_raise ArgumentError, ~r/:meta/, fn -> Slipring.send(tx, "x", mata: %{}) end
      assert_raise ArgumentError, ~r/timeout is -1/, fn -> Slipring.recv(rx, -1) end
      assert_raise ArgumentError, ~r/a ring's name/, fn -> Slipring.open(:camera) end

      for make <- [&Slipring.consumer/2, &Slipring.producer/2] do
        assert_raise ArgumentError, ~r/\[:waitt\]; there are: .*:wait/, fn ->
          make.(name, waitt: 5)
        end
      end
    end

    test "and arguments that can't be meant are refused (R9.1)", %{name: name} do
      for options <- [[slots: 2 ** 70], [capacity: {2 ** 60, :gib}], [cell: -1], [slots: 8.0]] do
        assert_raise ArgumentError, ~r/but must be/, fn -> Slipring.create(name, options) end
      end

      {_ring, tx, rx} = pair(name)
      Slipring.send_many!(tx, ["a", "b", "c"])

      for timeout <- [:bogus, -1, 1.5, 2 ** 70, nil] do
        assert_raise ArgumentError, ~r/timeout is/, fn -> Slipring.recv(rx, timeout) end
        assert_raise ArgumentError, ~r/timeout is/, fn -> Slipring.recv_many(rx, 1, timeout) end
      end

      for most <- [0, -1, 1.0, :all] do
        assert_raise ArgumentError, ~r/at least 1, not/, fn -> Slipring.recv_many(rx, most) end
      end

      assert {:ok, [_, _, _]} = Slipring.recv_many(rx, 2 ** 70, 0)
    end

    test "and handles of another kind say what was expected (R9.1)", %{name: name} do
      {ring, tx, rx} = pair(name)

      for {call, expected} <- [
            {fn -> Slipring.send(rx, "x") end, "Slipring.Producer"},
            {fn -> Slipring.send(name, "x", timeout: 0) end, "Slipring.Producer"},
            {fn -> Slipring.send_many(ring, ["x"]) end, "Slipring.Producer"},
            {fn -> Slipring.recv(tx) end, "Slipring.Consumer"},
            {fn -> Slipring.recv_many(ring, 1) end, "Slipring.Consumer"},
            {fn -> Slipring.stream(tx) end, "Slipring.Consumer"},
            {fn -> Slipring.active(tx, true) end, "Slipring.Consumer"},
            {fn -> Slipring.finish(tx) end, "a ring's address"},
            {fn -> Slipring.ack({:ok, :frame}) end, "Slipring.Frame, as recv gives it"},
            {fn -> Slipring.nack(nil) end, "Slipring.Frame, as recv gives it"},
            {fn -> Frame.value({:ok, :frame}) end, "Slipring.Frame, as recv gives it"},
            {fn -> Slipring.close(name) end, "Slipring.Ring, Slipring.Producer or"},
            {fn -> Slipring.controlling_process(ring, self()) end, "Slipring.Producer or"},
            {fn -> Slipring.controlling_process(tx, :me) end, "a pid"},
            {fn -> Slipring.producer(rx) end, "a ring's name"},
            {fn -> Slipring.info(tx) end, "a ring's name"}
          ] do
        assert assert_raise(ArgumentError, call).message =~ expected
      end
    end

    test "and a ring is finished by its name, too", %{name: name} do
      {_ring, tx, rx} = pair(name)
      assert Slipring.finish(name) == :ok
      assert {:error, %Error{reason: :closed}} = Slipring.send(tx, "x", timeout: 0)
      assert {:error, %Error{reason: :closed}} = Slipring.recv(rx, 1_000)
      assert {:error, %Error{reason: :not_found}} = Slipring.finish(name <> "-not")
    end

    test "hints come with what is raised (R9.1)", %{name: name} do
      {_ring, tx, _rx} = pair(name)
      Slipring.close(tx)
      message = assert_raise(Error, fn -> Slipring.send!(tx, "x") end) |> Exception.message()
      assert message =~ "this handle was closed, or its owner has ended; open the ring again"
      assert {:error, error} = Slipring.send(tx, %{}, [])
      # Once, not twice.
      assert length(String.split(Exception.message(error), error.hint)) == 2
    end
  end

  describe "what is easily mistaken" do
    test "is told with what to do instead (R9.1)", %{name: name} do
      {ring, tx, rx} = pair(name)

      for {call, told} <- [
            {fn -> Slipring.send(ring, 1) end, ~r/Slipring.producer!\/2 makes one/},
            {fn -> Slipring.send(name, 1) end, ~r/Slipring.producer!\/2 makes one/},
            {fn -> Slipring.send({:ok, tx}, 1) end, ~r/match {:ok, producer} first/},
            {fn -> Slipring.recv({:ok, rx}) end, ~r/match {:ok, consumer} first/},
            {fn -> Slipring.recv(name) end, ~r/Slipring.consumer!\/2 makes one/},
            {fn -> Slipring.stream(ring) end, ~r/Slipring.consumer!\/2 makes one/},
            {fn -> Slipring.producer(:camera) end, ~r/a name is a binary, "camera"/},
            {fn -> Slipring.create('camera') end, ~r/a name is a binary, "camera"/},
            {fn -> Slipring.create(5) end, ~r/give a ring's name, .* not 5$/},
            {fn -> Slipring.send_many(tx, %URI{}) end, ~r/a list, or another Enumerable/},
            {fn -> Slipring.send_many(tx, "ab") end, ~r/a list, or another Enumerable/},
            {fn -> Slipring.JSON.decode('{}') end, ~r/decode\/2 takes a binary/},
            {fn -> Slipring.JSON.decode!(nil) end, ~r/decode\/2 takes a binary/},
            {fn -> Frame.release({:ok, 1}) end, ~r/as recv gives it/},
            {fn -> Slipring.Table.new([%{a: 1}]) end, ~r/Slipring.Table.from_maps\/2/},
            {fn -> Slipring.Table.from_maps(%{a: [1]}) end, ~r/Slipring.Table.new\/2/},
            {fn -> Slipring.Table.from_maps(5) end, ~r/takes a list of maps/},
            {fn -> Tensor.from_list([[1], [2]], {2, 1}, {:u, 8}) end, ~r/List.flatten\/1/}
          ] do
        assert_raise ArgumentError, told, call
      end

      assert Slipring.Table.from_maps!(Stream.map([1, 2], &%{a: &1})).rows == 2
      assert {:ok, 2} = Slipring.send_many(tx, MapSet.new([1, 2]))
    end
  end

  describe "frames" do
    test "carry bytes of any length, in order (P3, R3.1)", %{name: name} do
      {_ring, tx, rx} = pair(name, capacity: {16, :mib})

      for length <- [0, 1, 63, 64, 65, 192, 193, 4096, 65_536, 65_537, 1_000_000, 5_000_000] do
        bytes = :crypto.strong_rand_bytes(length)
        before = System.os_time(:nanosecond)
        assert :ok = Slipring.send(tx, bytes)
        assert {:ok, frame} = Slipring.recv(rx, 1_000)
        assert Frame.value(frame) == bytes
        assert %Frame{format: :raw, meta: nil} = frame
        assert_in_delta frame.timestamp, before, 5_000_000_000
        Frame.release(frame)
        :erlang.garbage_collect()
      end
    end

    test "are numbered", %{name: name} do
      {_ring, tx, rx} = pair(name)
      assert {:ok, 3} = Slipring.send_many(tx, ["a", "b", "c"])
      assert {:ok, frames} = Slipring.recv_many(rx, 10, 1_000)
      assert Enum.map(frames, &{&1.sequence, Frame.value(&1)}) == [{0, "a"}, {1, "b"}, {2, "c"}]
    end

    test "are the same one by one and many together", %{name: name} do
      {_ring, tx, rx} = pair(name)
      tagged = %{"day" => ~D[2024-02-29]}

      sent = [
        {"bytes", []},
        {"with metadata", meta: %{"n" => 1}},
        {"with tags in it", meta: tagged},
        {Tensor.from_list([1, 2], {2}, {:u, 16}), []},
        {%{"a" => [1, 2.5, nil]}, []},
        {for(n <- 1..50, do: %{"n" => n}), []},
        {:binary.copy("large", 20_000), meta: tagged},
        {"", []}
      ]

      send_all = fn -> for {term, options} <- sent, do: :ok = Slipring.send(tx, term, options) end
      send_all.()
      one_by_one = for _ <- sent, do: Slipring.recv!(rx)
      send_all.()
      together = Slipring.recv_many!(rx, length(sent))
      assert length(together) == length(sent)

      for {one, other} <- Enum.zip(one_by_one, together) do
        assert Map.keys(one) == Map.keys(other)
        assert other.sequence == one.sequence + length(sent)
        assert other.timestamp >= one.timestamp
        assert Frame.value(one) == Frame.value(other)
        same = [:format, :meta, :producer, :redeliveries, :stream]
        assert Map.take(one, same) == Map.take(other, same)
        # What the native part has made is a map like any other.
        assert :erlang.binary_to_term(:erlang.term_to_binary(%{other | lease: nil})) ==
                 %{other | lease: nil}
      end

      assert Enum.map(together, & &1.meta) == Enum.map(sent, fn {_, o} -> o[:meta] end)
      # The first one and those behind it take different ways.
      Slipring.send_many!(tx, List.duplicate("x", 100))
      frames = Slipring.recv_many!(rx, 100)
      assert Enum.map(frames, & &1.sequence) == Enum.to_list(16..115)

      assert frames |> Enum.map(&%{&1 | sequence: 0, timestamp: 0}) |> Enum.uniq() |> length() ==
               1
    end

    test "carry metadata both ways (R3.5)", %{name: name} do
      {_ring, tx, rx} = pair(name)

      meta = %{
        "text" => "Grüße",
        "bytes" => <<255, 0>>,
        "numbers" => [0, -1, 23, 24, 1.5, 4_294_967_296, 2 ** 64 - 1, -(2 ** 64)],
        "nested" => %{"deep" => [%{}, [], nil, true, false]}
      }

      for term <- ["", "bytes", Tensor.from_list([1, 2], {2}, {:u, 16})] do
        assert :ok = Slipring.send(tx, term, meta: meta)
        frame = Slipring.recv!(rx, 1_000)
        assert frame.meta == meta
        assert Frame.value(frame) == term
      end

      assert :ok = Slipring.send(tx, "x", meta: %{site: :roof, ok: nil})
      assert Slipring.recv!(rx).meta == %{"site" => "roof", "ok" => nil}
      assert :ok = Slipring.send(tx, "x", meta: %{})
      assert Slipring.recv!(rx).meta == %{}
    end

    test "carry metadata of any value (R3.5, R13.3)", %{name: name} do
      {_ring, tx, rx} = pair(name)

      meta = %{
        "at" => ~U[2026-11-21 10:46:28.5Z],
        "from" => ["a", {"b", 2 ** 70, [:ok, ~D[2026-11-21]]}, MapSet.new([1])],
        "by" => %{{1, 2} => %{3 => 4.5}, nil => 1},
        "big" => -(2 ** 64) - 1,
        "tensor" => Tensor.new(:binary.copy(<<1>>, 600), {600}, {:u, 8})
      }

      for term <- ["bytes", %{"a" => 1}], lease <- [:always, :never] do
        Slipring.close(rx)
        rx = Slipring.consumer!(name, lease: lease)
        assert :ok = Slipring.send(tx, term, meta: meta)
        frame = Slipring.recv!(rx, 1_000)
        assert frame.meta == meta
        assert Frame.value(frame) == term
        Slipring.close(rx)
      end
    end

    test "refuse what they can't carry, with the path to it (R6.5)", %{name: name} do
      {_ring, tx, _rx} = pair(name)

      for {meta, path} <- [
            {%{a: [1, self()]}, "$.meta.a[1]"},
            {%{"x" => %{y: make_ref()}}, "$.meta.x.y"},
            {%{f: {1, self()}}, "$.meta.f[1]"},
            {%{f: [%{1 => {make_ref()}}]}, "$.meta.f[0].{1}[0]"},
            {%{1 => 2}, "$.meta"},
            {%{:a => 1, "a" => 2}, "$.meta"},
            {%{l: [1 | 2]}, "$.meta.l"},
            {%{b: <<1::3>>}, "$.meta.b"},
            {%{s: [%URI{}]}, "$.meta.s[0]"},
            {%{s: %{inner: {%URI{}}}}, "$.meta.s.inner"}
          ] do
        assert {:error, %Error{reason: :encode, path: ^path} = error} =
                 Slipring.send(tx, "x", meta: meta)

        assert is_binary(error.hint)
      end

      {:error, error} = Slipring.send(tx, "x", meta: %{day: %URI{}})
      assert error.got == "URI"
      assert Exception.message(error) =~ "a struct URI, at $.meta.day; give text"

      deep = Enum.reduce(1..300, 0, fn _, inner -> [inner] end)
      assert {:error, %Error{reason: :encode}} = Slipring.send(tx, "x", meta: %{deep: deep})

      for term <- [self(), make_ref(), <<1::7>>, &is_map/1] do
        assert {:error, %Error{reason: :unsupported_type, path: "$", got: kind}} =
                 Slipring.send(tx, term)

        assert is_binary(kind)

        assert {:error, %Error{reason: :unsupported_type, path: "$[1]", sent: 0}} =
                 Slipring.send_many(tx, ["a", term])
      end

      # Nothing of a list that can't be sent was sent.
      assert %{waiting: 0} = Slipring.info!(name)
    end

    test "that can never fit say what would (P7)", %{name: name} do
      {_ring, tx, _rx} = pair(name, capacity: {1, :mib})

      for bytes <- [2_000_000, 6_000_000] do
        large = :binary.copy(<<0>>, bytes)
        assert {:error, %Error{reason: :too_large} = error} = Slipring.send(tx, large)
        assert error.got == bytes
        assert error.expected < 1_048_576

        assert {:error, %Error{reason: :too_large, path: "$[1]", sent: 0}} =
                 Slipring.send_many(tx, ["fits", large])
      end
    end

    test "that can never fit are refused at once where the ring is full, too (P7)", %{name: name} do
      {_ring, tx, _rx} = pair(name, slots: 8, capacity: {1, :mib})
      Slipring.send_many!(tx, List.duplicate("full", 8))
      limit = Slipring.info!(name).capacity

      for bytes <- [2_000_000, 6_000_000], options <- [[], [timeout: 0], [meta: %{a: 1}]] do
        large = :binary.copy(<<0>>, bytes)
        assert {:error, %Error{reason: :too_large} = error} = Slipring.send(tx, large, options)
        assert error.expected in (limit - 1_000)..limit
      end
    end

    test "are all looked at before one of a list is sent", %{name: name} do
      {_ring, tx, _rx} = pair(name, capacity: {1, :mib})
      good = Tensor.from_list([1, 2], {2}, {:u, 8})
      many = List.duplicate(good, 1_000)

      for {bad, path} <- [
            {%{good | shape: {3}}, "$[1001].data"},
            {%{good | type: {:u, 7}}, "$[1001].type"},
            {%{good | data: [1]}, "$[1001].data"}
          ] do
        assert {:error, %Error{reason: :encode, path: ^path, sent: 0} = error} =
                 Slipring.send_many(tx, many ++ ["b", bad, "c"])

        assert Exception.message(error) =~ "index 1001 of the list"
      end

      assert %{waiting: 0} = Slipring.info!(name)
    end

    test "that the ring's end stops are counted", %{name: name} do
      {ring, tx, rx} = pair(name, slots: 8)
      sender = Task.async(fn -> Slipring.send_many(tx, List.duplicate("x", 20)) end)
      assert wait_for(fn -> Slipring.info!(name).waiting == 8 end)
      Slipring.finish(ring)
      assert {:error, %Error{reason: :closed, sent: 8}} = Task.await(sender)
      assert length(Slipring.recv_many!(rx, 20)) == 8
    end
  end

  describe "a full ring" do
    test "is refused, waited for, or given time (P7)", %{name: name} do
      {_ring, tx, rx} = pair(name, slots: 8)
      for n <- 1..8, do: assert(:ok = Slipring.send(tx, "#{n}", timeout: 0))
      assert {:error, %Error{reason: :full}} = Slipring.send(tx, "9", timeout: 0)
      assert {:error, %Error{reason: :timeout}} = Slipring.send(tx, "9", timeout: 20)
      assert {:error, %Error{reason: :full, sent: 0}} = Slipring.send_many(tx, ["9"], timeout: 0)
      Slipring.recv!(rx)

      assert {:error, %Error{reason: :timeout, sent: 1} = error} =
               Slipring.send_many(tx, ["9", "10", "11"], timeout: 20)

      assert Exception.message(error) =~ "1 sent before"
      assert Enum.map(Slipring.recv_many!(rx, 8), &Frame.value/1) == Enum.map(2..9, &"#{&1}")
      {:ok, 8} = Slipring.send_many(tx, Enum.map(1..8, &"#{&1}"))

      reader =
        Task.async(fn ->
          Process.sleep(30)
          for _ <- 1..16, do: Frame.value(Slipring.recv!(rx, 5_000))
        end)

      assert {:ok, 8} = Slipring.send_many(tx, Enum.map(9..16, &"#{&1}"))
      assert Task.await(reader) == Enum.map(1..16, &"#{&1}")
    end

    test "of large frames is one whose pool is full", %{name: name} do
      {_ring, tx, rx} = pair(name, [capacity: {1, :mib}], lease: :always)
      large = :binary.copy(<<7>>, 200_000)

      {:error, %Error{reason: :full, sent: sent}} =
        Slipring.send_many(tx, List.duplicate(large, 20), timeout: 0)

      assert sent in 1..5
      frames = Slipring.recv_many!(rx, sent)
      # All taken, all held: no room for another.
      assert {:error, %Error{reason: :full}} = Slipring.send(tx, large, timeout: 0)
      assert Enum.all?(frames, &(Frame.release(&1) == :ok))
      assert :ok = Slipring.send(tx, large, timeout: 0)
    end

    test "lets other processes run", %{name: name} do
      {_ring, tx, rx} = pair(name, slots: 8)
      sender = Task.async(fn -> Slipring.send_many(tx, for(n <- 1..10_000, do: <<n::32>>)) end)

      got =
        for _ <- 1..10_000 do
          <<n::32>> = Frame.value(Slipring.recv!(rx, 5_000))
          n
        end

      assert got == Enum.to_list(1..10_000)
      assert {:ok, 10_000} = Task.await(sender)
    end
  end

  describe "receiving" do
    test "waits, and not longer than told (P8)", %{name: name} do
      {_ring, tx, rx} = pair(name)
      assert {:error, %Error{reason: :empty}} = Slipring.recv(rx, 0)
      {time, outcome} = :timer.tc(fn -> Slipring.recv(rx, 50) end)
      assert {:error, %Error{reason: :timeout}} = outcome
      assert time >= 45_000

      test = self()
      waiting = Task.async(fn -> Kernel.send(test, :waiting) && Slipring.recv(rx, 10_000) end)
      assert_receive :waiting
      Process.sleep(20)
      Slipring.send(tx, "late")
      assert {:ok, frame} = Task.await(waiting)
      assert Frame.value(frame) == "late"
      refute_received _anything
    end

    test "by many processes gives each frame to one of them", %{name: name} do
      {_ring, tx, rx} = pair(name)

      readers =
        for _ <- 1..8,
            do: Task.async(fn -> for _ <- 1..50, do: Frame.value(Slipring.recv!(rx)) end)

      {:ok, 400} = Slipring.send_many(tx, for(n <- 1..400, do: <<n::16>>))
      got = readers |> Task.await_many(20_000) |> List.flatten()
      assert Enum.sort(got) == for(n <- 1..400, do: <<n::16>>)
    end

    test "ends when the ring is finished, after all that was sent", %{name: name} do
      {ring, tx, rx} = pair(name)
      Slipring.send_many!(tx, ["a", "b"])
      waiting = Task.async(fn -> Enum.map(rx, &Frame.value/1) end)
      Process.sleep(20)
      assert :ok = Slipring.finish(ring)
      assert Task.await(waiting) == ["a", "b"]
      assert {:error, %Error{reason: :closed}} = Slipring.recv(rx)
      assert {:error, %Error{reason: :closed}} = Slipring.send(tx, "c")
    end

    test "ends when the consumer is closed meanwhile", %{name: name} do
      {_ring, _tx, rx} = pair(name)
      waiting = Task.async(fn -> Slipring.recv(rx) end)
      Process.sleep(20)
      Slipring.close(rx)
      assert {:error, %Error{reason: :detached}} = Task.await(waiting)
    end

    test "takes no more from a stream than it is asked for", %{name: name} do
      {_ring, tx, rx} = pair(name)
      Enum.into(["a", "b", "c"], tx)
      assert rx |> Slipring.stream() |> Enum.take(2) |> Enum.map(&Frame.value/1) == ["a", "b"]
      assert Frame.value(Slipring.recv!(rx)) == "c"
    end

    test "many at a time crosses the bounds of a batch", %{name: name} do
      {_ring, tx, rx} = pair(name)
      Slipring.send_many!(tx, for(n <- 1..300, do: <<n::16>>))
      assert length(Slipring.recv_many!(rx, 200)) == 200
      assert length(Slipring.recv_many!(rx, 200)) == 100
      assert {:error, %Error{reason: :empty}} = Slipring.recv_many(rx, 200, 0)
    end
  end
end

defmodule Slipring.SchedulerTest do
  use Slipring.Case, async: true

  alias Slipring.Native

  # What a normal scheduler leaves to a dirty one, by the answers of the native part (P8).

  test "metadata of any length crosses; long ones leave the normal schedulers", %{name: name} do
    {_ring, tx, rx} = pair(name)
    # Fresh memory is not what is looked at here.
    for _ <- 1..2, do: Slipring.send!(tx, :binary.copy(<<0>>, 600_000)) && Slipring.recv!(rx)

    for {value, send, recv} <- [
          {Enum.to_list(1..100), :ok, nil},
          {Enum.to_list(1..5_000), :ok, :copy},
          {Enum.to_list(1..100_000), :large, :meta},
          {Map.new(1..10_000, &{"key #{&1}", &1}), :large, :meta},
          {:binary.copy("text", 50_000), :large, :meta}
        ] do
      meta = %{"value" => value}
      # Leases that are garbage would count, and make copies.
      :erlang.garbage_collect()
      assert Native.send(tx.ref, "x", meta, 0, %{}, []) == send
      if send == :large, do: assert(Native.send_large(tx.ref, "x", meta, 0, %{}, []) == :ok)
      assert {:raw, _, _, _, _, _, later, _} = frame = Native.recv(rx.ref)
      assert match?({^recv, _}, later) or later == recv
      assert %{meta: ^meta} = frame = Frame.new(frame)
      assert Frame.value(frame) == "x"

      # And as people send.
      for term <- ["x", Tensor.from_list([1], {1}, {:u, 8})] do
        Slipring.send!(tx, term, meta: meta)
        assert %{meta: ^meta} = frame = Slipring.recv!(rx)
        assert Frame.value(frame) == term
      end
    end
  end

  test "a leased frame's metadata, too", %{name: name} do
    {_ring, tx, rx} = pair(name, [], lease: :always)
    meta = %{"value" => Enum.to_list(1..100_000)}
    Slipring.send!(tx, "x", meta: meta)
    assert {:raw, nil, nil, _, _, _, {:meta, _}, _} = frame = Native.recv(rx.ref)
    assert %{meta: ^meta} = frame = Frame.new(frame)
    assert Frame.in_place?(frame)
    assert Frame.value(frame) == "x"
    assert Frame.release(frame) in [:ok, :deferred]
  end

  test "much fresh memory for the pool, and that once", %{name: name} do
    {_ring, tx, rx} = pair(name)
    large = :binary.copy(<<1>>, 4_000_000)
    assert Native.send(tx.ref, large, nil, 0, %{}, []) == :large
    assert {0, [^large], :large} = Native.send_many(tx.ref, [large], 0, %{})
    assert Slipring.send_many(tx, [large]) == {:ok, 1}
    Frame.release(Slipring.recv!(rx))
    assert Native.send(tx.ref, large, nil, 0, %{}, []) == :ok
    assert Frame.value(Slipring.recv!(rx)) == large
  end

  test "a chunk of a huge pool, which is large", %{name: name} do
    {_ring, tx, rx} = pair(name, capacity: {256, :gib})
    assert Slipring.info!(name).chunk > 1_048_576
    assert Native.send(tx.ref, :binary.copy("x", 1_000), nil, 0, %{}, []) == :large
    assert :ok = Slipring.send(tx, :binary.copy("x", 1_000))
    assert {:ok, _frame} = Slipring.recv(rx, 0)
  end

  test "much to copy", %{name: name} do
    {_ring, tx, rx} = pair(name, [capacity: {32, :mib}, populate: true], lease: :never)
    huge = :crypto.strong_rand_bytes(5_000_000)
    assert Native.send(tx.ref, huge, nil, 0, %{}, []) == :large
    Slipring.send!(tx, huge)
    assert {:raw, nil, nil, _, _, _, {:copy, _}, _} = frame = Native.recv(rx.ref)
    assert Frame.value(Frame.new(frame)) == huge
  end

  test "a process that sends or receives much pays for it in reductions", %{name: name} do
    {_ring, tx, rx} = pair(name, [slots: 1024, capacity: {32, :mib}], lease: :never)
    body = :binary.copy(<<0>>, 1_000_000)
    Slipring.send!(tx, body) && Slipring.recv!(rx)

    for call <- [
          fn -> Slipring.send!(tx, body) && Slipring.recv!(rx) end,
          fn ->
            Slipring.send!(tx, "", meta: %{n: Enum.to_list(1..1_000)}) && Slipring.recv!(rx)
          end
        ] do
      {:reductions, before} = Process.info(self(), :reductions)
      for _ <- 1..20, do: call.()
      {:reductions, later} = Process.info(self(), :reductions)
      # A time slice is 4,000; each round takes about 100 us or more.
      assert later - before > 20 * 200
    end
  end
end

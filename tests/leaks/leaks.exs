# Sends and takes what there is, many times over, and fails where the BEAM or the ring holds more than before:
#
#     elixir -pa LIBRARY leaks.exs [--trips N] [--only KIND] [--leak]
#
# Each round of trips has a process and ends of its own. What is counted after each, when the first has filled every cache, and all
# processes were swept:
#
# - memory of the process as the kernel counts it, of the BEAM's own count all, and of that binaries, where the NIF's resources are;
# - atoms, processes, ports, tables of terms, threads, open files, and mappings of rings;
# - frames that the ring holds, leases, ends, and names of rings.
#
# A leak grows with each trip. Of memory half a word a trip is put up with, less than any term, resource or allocation takes, and once
# what allocators keep and give back as they like; of all else nothing at all.

defmodule Leaks do
  alias Slipring.{Column, Frame, JSON, Table, Tensor}

  # Rounds that are measured; there are as many trips in the one ahead of them, which is not.
  @rounds 4
  # Of a trip.
  @bytes 4
  # What may come and go without being a trip's: about three times the most that was seen in a million trips.
  @slack %{resident: 4 * 1024 * 1024, total: 256 * 1024, binary: 16 * 1024}
  # What is to be gone after each round: these may be no more than none, since leases are limited and their number can't grow.
  @gone [:frames, :leases, :ends, :mappings]

  # Of so many trips.
  @shares [values: 0.5, json: 0.15, binaries: 0.15, arrays: 0.1, errors: 0.04, active: 0.04, tables: 0.015, ends: 0.005]

  defmodule Point do
    @derive {Slipring.Encodable, name: "leaks.Point", version: 2}
    @behaviour Slipring.Object
    defstruct [:x, :y]

    @impl true
    def migrate(1, fields), do: fields
  end

  def main(arguments) do
    options = [trips: :integer, only: :string, leak: :boolean]
    {options, []} = OptionParser.parse!(arguments, strict: options)
    Logger.configure(level: :error)
    :persistent_term.put(:too_large, :binary.copy(<<0>>, 17 * 1024 * 1024))
    if options[:leak], do: :ets.new(:kept, [:named_table, :public])
    kinds = for {kind, share} <- @shares, options[:only] in [nil, "#{kind}"], do: {kind, share}
    grew = for {kind, share} <- kinds, do: run(kind, trunc((options[:trips] || 1_000_000) * share))
    if Enum.any?(grew), do: System.halt(1)
    IO.puts("flat")
  end

  # Makes so many trips in all of the rounds. Whether something has grown.
  defp run(kind, trips) do
    began = System.monotonic_time(:millisecond)
    each = max(div(trips, @rounds + 1), 1)
    ring = Slipring.create!("leaks-#{System.pid()}-#{kind}", capacity: {16, :mib}, slots: 64, mode: :mpmc, max_deliveries: 0)
    Slipring.announce!(ring, "readings", [id: {:s, 32}], version: 1)
    Slipring.announce!(ring, "readings", [id: {:s, 64}, note: :string], version: 2)

    counts =
      for _ <- 0..@rounds do
        in_process(fn -> round(kind, ring, each) end)
        measured(ring)
      end

    {first, last} = {hd(counts), List.last(counts)}
    grown = for {what, now} <- last, do: {what, now - if(what in @gone, do: 0, else: first[what])}
    faults = for {what, by} <- grown, by > allowed(what, each * @rounds), do: {what, by}
    seconds = (System.monotonic_time(:millisecond) - began) / 1000
    changed = for {what, by} <- grown, by != 0, do: "#{what} #{by}"
    IO.puts("#{kind}: #{trips} trips in #{Float.round(seconds, 1)} s: #{Enum.join(changed, ", ")}")

    for {what, by} <- faults,
        do: IO.puts("LEAK: #{kind}: #{what} grew by #{by}, #{Float.round(by / (each * @rounds), 3)} a trip")

    Slipring.close(ring)
    faults != []
  after
    Slipring.unlink("leaks-#{System.pid()}-#{kind}")
  end

  defp allowed(what, trips), do: with(%{^what => slack} <- @slack, do: slack + @bytes * trips, else: (_ -> 0))

  defp in_process(work) do
    {pid, monitor} = spawn_monitor(work)

    receive do
      {:DOWN, ^monitor, :process, ^pid, :normal} -> :ok
      {:DOWN, ^monitor, :process, ^pid, reason} -> exit(reason)
    end
  end

  defp round(kind, ring, trips) do
    tx = Slipring.producer!(ring)
    rx = unless kind in [:active, :ends], do: Slipring.consumer!(ring)
    if kind == :tables, do: expect(rx)

    for n <- 1..trips do
      trip(kind, n, ring, tx, rx)
      # Unmapping goes on beside the trips: it is not to fall behind. Messages that come late hold their ends.
      if kind == :ends and rem(n, 20) == 0, do: settle(ring, &(flush() == :ok and &1.mappings == 0))
      if :ets.whereis(:kept) != :undefined, do: :ets.insert(:kept, {make_ref()})
    end
  end

  # What is let go of takes a moment: frames as garbage, ends with their owners, and mappings in a thread of their own.
  defp settle(ring, settled?, turns \\ 500) do
    Enum.each(Process.list(), &:erlang.garbage_collect/1)
    info = Slipring.info!(ring)
    mapped = ~r"/dev/shm/\S+" |> Regex.scan(File.read!("/proc/self/maps")) |> Enum.uniq()

    left = %{
      frames: info.held + info.offered + info.filling + info.returned + info.dead + info.waiting,
      leases: info.leases,
      ends: Enum.count(info.processes, &(&1.produces or &1.consumes)),
      # Of other rings than this one.
      mappings: length(mapped) - 1
    }

    if settled?.(left) or turns == 0 do
      left
    else
      Process.sleep(10)
      settle(ring, settled?, turns - 1)
    end
  end

  defp measured(ring) do
    left = settle(ring, &Enum.all?(&1, fn {_what, count} -> count == 0 end))
    Process.sleep(50)
    status = File.read!("/proc/self/status")
    number = &(~r/^#{&1}:\s+(\d+)/m |> Regex.run(status) |> List.last() |> String.to_integer())

    Map.merge(left, %{
      resident: 1024 * number.("VmRSS"),
      total: :erlang.memory(:total),
      binary: :erlang.memory(:binary),
      atoms: :erlang.system_info(:atom_count),
      processes: length(Process.list()),
      ports: length(Port.list()),
      tables: length(:ets.all()),
      threads: number.("Threads"),
      files: length(File.ls!("/proc/self/fd")),
      rings: Enum.count(Slipring.list(), &String.starts_with?(&1, ring.name))
    })
  end

  # Trips ---------------------------------------------------------------------------------------------

  defp taken(tx, rx, term, options \\ []) do
    :ok = Slipring.send(tx, term, options)
    Slipring.recv!(rx, 1_000)
  end

  # Keeps a few, which go in another order than they came.
  defp keep(what), do: Process.put(:kept, [what | Process.get(:kept, []) |> List.delete_at(1) |> Enum.take(3)])

  defp value do
    %{
      "n" => [1, 2 ** 70, -1.5, nil, true, "grüß", <<255, 0>>, :ok, {}, {1, [2]}],
      7 => [~D[2026-11-21], ~T[10:46:28.5], ~N[2026-11-21 10:46:28], ~U[2026-11-21 10:46:28Z], 1..9//2, MapSet.new([1])],
      {:a} => %Slipring.UUID{bytes: "0123456789abcdef"},
      of: [%Slipring.Decimal{coef: 125, exp: -2}, %Slipring.Duration{seconds: -1}, %Slipring.Tag{number: 4711, value: "x"}],
      point: %Point{x: 1, y: 2.5}
    }
  end

  defp trip(:values, n, _ring, tx, rx) do
    value = value()
    frame = taken(tx, rx, value, meta: %{n: n, deep: [%{a: nil}]})
    ^value = Frame.value(frame)
    %{"n" => ^n} = frame.meta
    ^value = Slipring.decode!(Slipring.encode!(value))
    Frame.describe(frame)
    # An atom that nobody has made.
    name = "leaks-none-#{n}"
    ^name = Slipring.decode!(<<0xD9, 47602::16, 0x60 + byte_size(name), name::binary>>)
  end

  defp trip(:binaries, n, _ring, tx, rx) do
    large = :binary.copy(<<n::16>>, 40_000)
    frame = taken(tx, rx, large)

    case rem(n, 4) do
      0 -> keep(binary_part(Frame.value(frame), 500, 1_000))
      1 -> keep(frame)
      2 -> {Frame.value(frame), Frame.release(frame)}
      3 -> :ok = Frame.release(frame)
    end

    # In a value, and many at once.
    keep(Frame.value(taken(tx, rx, [large, {large}])))
    {:ok, 3} = Slipring.send_many(tx, ["small", large, [n]])
    for frame <- Slipring.recv_many!(rx, 3), do: Frame.value(frame)
    empty(rx)
  end

  defp trip(:arrays, n, _ring, tx, rx) do
    tensor = Tensor.new(:binary.copy(<<n::16>>, 40_000), {200, 200}, {:s, 16}, byte_order: :big, order: :fortran)
    got = Frame.value(taken(tx, rx, tensor))
    true = Tensor.at(got, {3, 4}) == Tensor.at(tensor, {3, 4})
    keep(got)
    small = Tensor.from_list([1, n, 3], {3}, {:f, 64})
    %{"a" => [^tensor, ^small]} = Frame.value(taken(tx, rx, %{"a" => [tensor, small]}))
  end

  defp trip(:json, n, _ring, tx, rx) do
    document = %{"users" => for(i <- 1..5, do: %{"id" => i, "x" => i / 3, "é" => [nil, true, 2 ** 80 + n]})}
    frame = taken(tx, rx, document, format: :json)
    ^document = Frame.value(frame)
    ^document = JSON.decode!(JSON.encode!(document))
    {:error, %{reason: :decode}} = JSON.decode(~s({"a": [1, 2))
    {:error, %{}} = JSON.encode(%{a: self()})
  end

  defp trip(:tables, n, ring, tx, rx) do
    records = for i <- 1..130, do: %{"id" => i, "name" => "name #{n}", "at" => ~U[2026-11-21 10:46:28Z]}
    ^records = Frame.value(taken(tx, rx, records))
    table = Table.new(id: Enum.to_list(1..9_000), name: List.duplicate("n", 9_000), tags: List.duplicate([nil, "x"], 9_000))
    got = Frame.value(taken(tx, rx, table))
    keep(got["id"])
    true = Column.sum(got["id"]) == 9_000 * 9_001 / 2
    [%{"id" => 5}] = got |> Table.slice(4, 1) |> Table.to_maps()
    %{"in" => [%Table{rows: 9_000}]} = Frame.value(taken(tx, rx, %{"in" => [table]}))
    schema = hd(Slipring.schemas!(ring))
    %Table{rows: 2} = migrated = Frame.value(taken(tx, rx, [%{id: n}, %{id: 2}], schema: schema))
    [%{"note" => "new"} | _] = Table.to_maps(migrated)
    {:error, %{}} = Table.from_maps([%{a: 1}, %{a: self()}])
  end

  # As messages, in each mode, and acknowledged by hand.
  defp trip(:active, n, ring, tx, nil) do
    mode = Enum.at([true, :once, 2, :notify], rem(n, 4))
    rx = Slipring.consumer!(ring, active: mode, ack: if(rem(n, 3) == 0, do: :manual, else: :auto))
    :ok = Slipring.send(tx, :binary.copy(<<n>>, 70_000))

    receive do
      {:slipring, ^rx, frame} -> {Frame.value(frame), Slipring.ack(frame)}
      {:slipring_readable, ^rx} -> rx |> Slipring.recv!() |> Slipring.ack()
    after
      5_000 -> raise "no message in the mode #{inspect(mode)}"
    end

    # A letter that nobody takes the first time.
    if rem(n, 10) == 0, do: dead_letter(ring, tx, rx), else: Slipring.close(rx)
    flush()
  end

  defp trip(:errors, n, ring, tx, rx) do
    for bytes <- [<<0xA2, 1, 1, 1, 2>>, <<0x82, 1>>, <<0xD9, 47613::16, 0x82, 0x40, 0x40>>, <<0xD8, 37, 0x41, 0>>] do
      {:error, %{reason: :decode}} = Slipring.decode(bytes)
    end

    {:error, %{reason: :unsupported_type}} = Slipring.send(tx, [1, %{a: [self()]}])
    {:error, %{reason: :unsupported_type}} = Slipring.encode({make_ref()})
    {:error, %{reason: :too_large}} = Slipring.send(tx, :persistent_term.get(:too_large))
    {:error, %{reason: :full}} = Slipring.send_many(tx, List.duplicate(n, 70), timeout: 0)
    empty(rx)
    {:error, %{reason: :empty}} = Slipring.recv(rx, 0)
    if rem(n, 16) == 0, do: {:error, %{reason: :timeout}} = Slipring.recv(rx, 1)
    {:error, %{reason: :not_found}} = Slipring.open("leaks-nowhere")
    {:error, %{reason: :released}} = with(frame = taken(tx, rx, <<0::600_000>>), :ok <- Frame.release(frame), do: Frame.release(frame))
    {:error, %{}} = Slipring.announce(ring, "readings", [id: :string], version: 3)
  end

  # Rings and their ends: closed, left to the garbage collector, and of owners that end, with frames on their way.
  defp trip(:ends, n, ring, tx, nil) do
    for end_of <- [:closed, :garbage, :ended] do
      own = fn ->
        other = Slipring.create!("#{ring.name}-#{n}", capacity: {256, :kib}, mode: :mpmc)
        # One that is active lives as long as its owner.
        active = if end_of == :garbage, do: false, else: Enum.at([false, true, :once], rem(n, 3))
        rx = Slipring.consumer!(other, ack: :manual, active: active)
        own = Slipring.producer!(other)
        {:ok, 2} = Slipring.send_many(own, [n, :binary.copy("x", 70_000)])
        flush()
        if rem(n, 2) == 0, do: Slipring.finish!(other)
        if end_of == :closed, do: for(handle <- [rx, own, other], do: Slipring.close(handle))
        Slipring.unlink("#{ring.name}-#{n}")
        if end_of == :garbage, do: :erlang.garbage_collect()
      end

      if end_of == :ended, do: in_process(own), else: own.()
    end

    rx = Slipring.consumer!(Slipring.open!(ring.name))
    ^n = Frame.value(taken(tx, rx, n))
    in_process(fn -> Slipring.controlling_process(Slipring.producer!(ring), self()) end)
    Slipring.close(rx)
  end

  defp expect(rx) do
    noted = fn table -> for row <- table, do: %{id: row["id"], note: "new"} end
    :ok = Slipring.expect(rx, "readings", [id: {:s, 64}, note: :string], version: 2, migrations: %{1 => noted})
  end

  defp dead_letter(ring, tx, rx) do
    Slipring.close(rx)
    rx = Slipring.consumer!(ring, ack: :manual)
    :ok = Slipring.nack(taken(tx, rx, "poison"))
    {:ok, letter} = Slipring.recv_dead(rx)
    :ok = Slipring.ack(letter)
    Slipring.close(rx)
  end

  defp empty(rx), do: with({:ok, _} <- Slipring.recv(rx, 0), do: empty(rx))

  defp flush do
    receive do
      _message -> flush()
    after
      0 -> :ok
    end
  end
end

Leaks.main(System.argv())

# Measures tables in Elixir against the same data in the BEAM's own external term format, and prints one line of JSON
# for each case and peer.
#
#     elixir -pa bindings/beam/_build/dev/lib/slipring/ebin benches/beam/tables.exs [--rounds 15] [--rows 1000000]
#
# The peers take turns, a sample each, so that a drift of the machine meets both. A sample is as many calls as take about 5 ms, one
# at least, in a process of its own whose heap has room: what is made is garbage when it ends.

defmodule Tables do
  alias Slipring.{Column, Frame, Table}

  # In microseconds, and in words.
  @sample 5_000
  @heap 8_000_000
  # Of processes that make little of a large frame: the frame counts as garbage to come, and has them collect a heap again and again.
  @small 1_000

  def main(args) do
    {options, [], []} = OptionParser.parse(args, strict: [rounds: :integer, rows: :integer])
    rounds = Keyword.get(options, :rounds, 15)
    rows = Keyword.get(options, :rows, 1_000_000)
    name = "bench-tables-#{System.pid()}"
    ring = Slipring.create!(name, capacity: {512, :mib})
    tx = Slipring.producer!(ring)
    rx = Slipring.consumer!(ring, lease: :always)

    {table, columns} = data(rows)
    Slipring.send!(tx, table)
    frame = Slipring.recv!(rx)
    received = Frame.value(frame)
    external = :erlang.term_to_binary(columns)
    shape = "#{short(rows)}x5"

    read = [
      {"slipring", fn -> Frame.value(frame) end},
      {"external term", fn -> :erlang.binary_to_term(external) end}
    ]

    measure("read/#{shape}", rounds, read, @small)

    # Offsets of texts are checked, each of them; without texts rows don't count.
    {_names, numbers} = pop_in(table["name"])
    Slipring.send!(tx, numbers)
    numbers = Slipring.recv!(rx)

    measure(
      "read/#{short(rows)}x4",
      rounds,
      [{"slipring", fn -> Frame.value(numbers) end}],
      @small
    )

    measure("write/#{shape}", rounds, [
      {"slipring",
       fn ->
         Slipring.send!(tx, received)
         Frame.release(Slipring.recv!(rx))
       end},
      {"external term", fn -> :erlang.term_to_binary(columns) end}
    ])

    measure("to_columns/#{shape}", rounds, [
      {"slipring", fn -> Table.to_columns(received) end},
      {"external term", fn -> :erlang.binary_to_term(external) end}
    ])

    measure("mean/#{short(rows)}", rounds, [
      {"slipring", fn -> Column.mean(received["x"]) end},
      {"slipring, comprehension", fn -> comprehension(received["x"].data, 0.0) / rows end},
      {"slipring, to_list", fn -> Enum.sum(Column.to_list(received["x"])) / rows end}
    ])

    few = min(rows, 10_000)
    shape = "#{short(few)}x5"
    part = Table.slice(received, 0, few)

    # The keys of these are the same terms in all; of those that are read again each map has its own.
    maps = Table.to_maps(part)
    bytes = :erlang.term_to_binary(maps)
    others = :erlang.binary_to_term(bytes)

    measure("to_maps/#{shape}", rounds, [
      {"slipring", fn -> Table.to_maps(part) end},
      {"slipring, value", fn -> Slipring.decode!(Slipring.encode!(maps)) end},
      {"external term", fn -> :erlang.binary_to_term(bytes) end}
    ])

    for {name, maps} <- [{"from_maps", maps}, {"from_maps_own_keys", others}] do
      measure("#{name}/#{shape}", rounds, [
        {"slipring", fn -> Table.from_maps!(maps) end},
        {"external term", fn -> :erlang.term_to_binary(maps) end}
      ])
    end

    for handle <- [tx, rx, ring], do: Slipring.close(handle)
    Slipring.unlink(name)
  end

  defp short(rows) when rem(rows, 1_000_000) == 0, do: "#{div(rows, 1_000_000)}M"
  defp short(rows) when rem(rows, 1_000) == 0, do: "#{div(rows, 1_000)}K"
  defp short(rows), do: "#{rows}"

  defp comprehension(<<x::float-little-64, rest::binary>>, sum), do: comprehension(rest, sum + x)
  defp comprehension(<<>>, sum), do: sum

  defp data(rows) do
    columns = %{
      "id" => Enum.to_list(1..rows),
      "x" => for(i <- 1..rows, do: i / 3),
      "small" => for(i <- 1..rows, do: rem(i, 100)),
      "name" => for(i <- 1..rows, do: "name #{rem(i, 1000)}"),
      "ok" => for(i <- 1..rows, do: rem(i, 3) == 0)
    }

    {Table.new(columns, types: %{small: {:s, 32}}), columns}
  end

  defp measure(id, rounds, works, heap \\ @heap) do
    works =
      for {peer, work} <- works do
        sample(work, 1, heap)
        {peer, work, max(1, round(@sample / sample(work, 1, heap)))}
      end

    samples =
      for _ <- 1..rounds, {peer, work, calls} <- works, do: {peer, sample(work, calls, heap)}

    for {peer, _work, _calls} <- works do
      times = Enum.sort(for {^peer, time} <- samples, do: time)
      at = &Float.round(Enum.at(times, &1), 3)
      facts = ~s("median": #{at.(div(rounds, 2))}, "min": #{at.(0)}, "max": #{at.(rounds - 1)})

      IO.puts(
        ~s({"case": "beam/table/#{id}", "peer": "#{peer}", "metric": "time", "unit": "us", #{facts}})
      )
    end
  end

  # Microseconds a call.
  defp sample(work, calls, heap) do
    here = self()

    run = fn ->
      # What the work holds has become this process's own.
      :erlang.garbage_collect()
      begun = :erlang.monotonic_time(:nanosecond)
      repeat(work, calls)
      Kernel.send(here, {:took, (:erlang.monotonic_time(:nanosecond) - begun) / 1000 / calls})
    end

    :erlang.spawn_opt(run, [:link, min_heap_size: heap])
    receive do: ({:took, time} -> time)
  end

  defp repeat(_work, 0), do: :ok

  defp repeat(work, calls) do
    work.()
    repeat(work, calls - 1)
  end
end

Tables.main(System.argv())

# Measures tables in Elixir against the same data in the BEAM's own external term format, and prints one line of JSON
# for each case and peer.
#
#     elixir -pa bindings/beam/_build/dev/lib/slipring/ebin benches/beam/tables.exs [--rounds 15] [--rows 1000000]
#
# The peers take turns, a sample each, so that a drift of the machine meets both. Each sample is a call in a process of its
# own; what it makes is garbage when it ends.

defmodule Tables do
  alias Slipring.{Column, Frame, Table}

  def main(args) do
    {options, [], []} = OptionParser.parse(args, strict: [rounds: :integer, rows: :integer])
    rounds = Keyword.get(options, :rounds, 15)
    rows = Keyword.get(options, :rows, 1_000_000)
    ring = Slipring.create!("bench-tables-#{System.pid()}", capacity: {512, :mib})
    tx = Slipring.producer!(ring)
    rx = Slipring.consumer!(ring, lease: :always)

    {table, columns} = data(rows)
    Slipring.send!(tx, table)
    frame = Slipring.recv!(rx)
    external = :erlang.term_to_binary(columns)

    measure("receive/#{rows}x5", rounds, [
      {"slipring, as views", fn -> Frame.value(frame) end},
      {"external term", fn -> :erlang.binary_to_term(external) end}
    ])

    received = Frame.value(frame)

    measure("to_columns/#{rows}x5", rounds, [
      {"slipring", fn -> Table.to_columns(received) end},
      {"external term", fn -> :erlang.binary_to_term(external) end}
    ])

    measure("mean of a column/#{rows}", rounds, [
      {"slipring, natively", fn -> Column.mean(received["x"]) end},
      {"slipring, comprehension", fn -> comprehension(received["x"].data, 0.0) / rows end},
      {"slipring, to_list", fn -> Enum.sum(Column.to_list(received["x"])) / rows end}
    ])

    measure("send/#{rows}x5", rounds, [
      {"slipring",
       fn ->
         Slipring.send!(tx, received)
         Frame.release(Slipring.recv!(rx))
       end},
      {"external term of the columns", fn -> :erlang.term_to_binary(columns) end}
    ])

    few = min(rows, 10_000)
    part = Table.slice(received, 0, few)
    maps = Table.to_maps(part)
    bytes = :erlang.term_to_binary(maps)

    measure("to_maps/#{few}x5", 4 * rounds, [
      {"slipring", fn -> Table.to_maps(part) end},
      {"slipring, value", fn -> Slipring.decode!(Slipring.encode!(maps)) end},
      {"external term", fn -> :erlang.binary_to_term(bytes) end}
    ])

    measure("from_maps/#{few}x5", 4 * rounds, [
      {"slipring", fn -> Table.from_maps!(maps) end},
      {"external term", fn -> :erlang.term_to_binary(maps) end}
    ])

    Slipring.close(ring)
  end

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

  defp measure(id, rounds, works) do
    samples = for _ <- 1..rounds, {peer, work} <- works, do: {peer, sample(work)}

    for {peer, _work} <- works do
      times = Enum.sort(for {^peer, time} <- samples, do: time)

      facts =
        ~s("median": #{Enum.at(times, div(rounds, 2))}, "min": #{hd(times)}, "max": #{List.last(times)})

      IO.puts(
        ~s({"case": "beam/tables/#{id}", "peer": "#{peer}", "metric": "time", "unit": "us", #{facts}})
      )
    end
  end

  # Microseconds.
  defp sample(work) do
    here = self()

    spawn(fn ->
      {time, _made} = :timer.tc(work)
      send(here, {:took, time})
    end)

    receive do
      {:took, time} -> time
    end
  end
end

Tables.main(System.argv())

# Measures values against the BEAM's own external term format, and prints one line of JSON for each case
# and peer.
#
#     elixir -pa bindings/beam/_build/dev/lib/slipring/ebin benches/beam/codec.exs [--rounds 41] [--case encode/ints]
#
# The peers take turns, a sample each, so that a drift of the machine meets both. A sample is as many calls
# as take about 5 ms, in a process of its own whose heap has room for what they make: what garbage costs
# is a matter of the heap and not of the format.

defmodule Codec do
  @peers [
    {"slipring", &Slipring.encode!/1, &Slipring.decode!/1},
    {"external term", &:erlang.term_to_binary/1, &:erlang.binary_to_term/1}
  ]
  @sample 5_000_000
  @heap 8_000_000

  def main(args) do
    {options, [], []} = OptionParser.parse(args, strict: [rounds: :integer, case: :string])
    rounds = Keyword.get(options, :rounds, 41)

    for {name, term} <- terms(), direction <- ["encode", "decode"] do
      id = "beam/#{direction}/#{name}"

      if String.contains?(id, Keyword.get(options, :case, "")),
        do: measure(id, direction, term, rounds)
    end
  end

  defp measure(id, direction, term, rounds) do
    works =
      for {peer, encode, decode} <- @peers do
        bytes = encode.(term)
        ^term = decode.(bytes)

        work =
          if direction == "encode", do: fn -> encode.(term) end, else: fn -> decode.(bytes) end

        sample(work, 10)
        calls = max(1, div(@sample, max(1, round(sample(work, 10) * 1000))))
        {peer, work, calls}
      end

    samples = for _ <- 1..rounds, {peer, work, calls} <- works, do: {peer, sample(work, calls)}

    for {peer, _work, _calls} <- works do
      times = Enum.sort(for {^peer, time} <- samples, do: time)
      at = &Float.round(Enum.at(times, &1), 3)
      facts = ~s("median": #{at.(div(rounds, 2))}, "min": #{at.(0)}, "max": #{at.(rounds - 1)})
      IO.puts(~s({"case": "#{id}", "peer": "#{peer}", "metric": "time", "unit": "us", #{facts}}))
    end
  end

  # Microseconds a call.
  defp sample(work, calls) do
    here = self()

    run = fn ->
      work.()
      :erlang.garbage_collect()
      begun = :erlang.monotonic_time(:nanosecond)
      repeat(work, calls)
      Kernel.send(here, {:took, (:erlang.monotonic_time(:nanosecond) - begun) / 1000 / calls})
    end

    :erlang.spawn_opt(run, [:link, min_heap_size: @heap])
    receive do: ({:took, time} -> time)
  end

  defp repeat(_work, 0), do: :ok

  defp repeat(work, calls) do
    work.()
    repeat(work, calls - 1)
  end

  defp terms do
    maps =
      for n <- 1..1000 do
        %{
          "id" => n,
          "name" => "item #{n}",
          "price" => n * 1.37,
          "count" => rem(n * 7919, 100_000),
          "tag" => "t#{rem(n, 10)}",
          "weight" => n / 3
        }
      end

    [
      {"maps1000", maps},
      {"ints", for(n <- 1..10_000, do: rem(n * 7919, 1_000_000))},
      {"floats", for(n <- 1..10_000, do: n * 1.37)},
      {"strings", for(n <- 1..10_000, do: "string number #{n}")},
      {"small", %{"id" => 1, "name" => "one", "at" => 1.5}},
      {"atoms", for(n <- 1..1000, do: %{id: n, name: "item", price: n * 1.37, kind: :part})}
    ]
  end
end

Codec.main(System.argv())

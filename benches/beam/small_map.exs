# What a small map costs on its way from Python to Elixir, on top of 64 bytes as they are.
#
#     elixir -pa bindings/beam/_build/dev/lib/slipring/ebin benches/beam/small_map.exs [PYTHON] [ROUNDS]
#
# The two ends take turns, so that neither hides behind the other: Python fills the ring, then Elixir takes
# every frame and its value, first of one kind and then of the other. Prints a line of JSON for sending and for taking each:
# microseconds a frame over the rounds, slipring's the map's; and for the map what it takes on top of raw, of each round.

defmodule SmallMap do
  @frames 512
  @peers ["raw", "map"]

  def main(args) do
    python = Enum.at(args, 0, ".venv/bin/python")
    rounds = args |> Enum.at(1, "201") |> String.to_integer()
    name = "bench-small-#{System.pid()}"
    ring = Slipring.create!(name)
    rx = Slipring.consumer!(ring)
    far = Path.join(__DIR__, "small_map.py")
    port = Port.open({:spawn_executable, python}, [:binary, line: 100, args: [far, name]])
    for _ <- 1..20, what <- @peers, do: round(port, rx, what)
    samples = for _ <- 1..rounds, do: Map.new(@peers, &{&1, round(port, rx, &1)})
    Slipring.unlink!(name)

    for {part, of} <- [{"sent", &elem(&1, 0)}, {"taken", &elem(&1, 1)}],
        {what, peer} <- [{"map", "slipring"}, {"raw", "raw"}] do
      tell("beam/small-map/#{part}", peer, for(sample <- samples, do: of.(sample[what])))
    end

    more = for %{"raw" => {a, b}, "map" => {c, d}} <- samples, do: c + d - a - b
    tell("beam/small-map/on-top-of-raw", "slipring", more)
  end

  defp tell(id, peer, times) do
    times = Enum.sort(times)
    at = &Float.round(Enum.at(times, &1), 3)
    facts = ~s("median": #{at.(div(length(times), 2))}, "min": #{at.(0)}, "max": #{at.(-1)})
    IO.puts(~s({"case": "#{id}", "peer": "#{peer}", "metric": "time", "unit": "us", #{facts}}))
  end

  defp round(port, rx, what) do
    Port.command(port, "#{what} #{@frames}\n")
    sent = receive do: ({^port, {:data, {:eol, line}}} -> String.to_float(line))
    # In a process of its own, with room for what is made.
    here = self()

    :erlang.spawn_opt(
      fn ->
        begun = System.monotonic_time(:nanosecond)
        take(rx, @frames)
        send(here, {:took, (System.monotonic_time(:nanosecond) - begun) / 1000 / @frames})
      end,
      [:link, min_heap_size: 1_000_000]
    )

    receive do: ({:took, taken} -> {sent, taken})
  end

  defp take(_rx, 0), do: :ok

  defp take(rx, left) do
    _ = rx |> Slipring.recv!(20_000) |> Slipring.Frame.value()
    take(rx, left - 1)
  end
end

SmallMap.main(System.argv())

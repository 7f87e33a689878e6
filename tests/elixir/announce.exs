# On the ring NAME, announces version 2 of "weather", is refused a version 3, sends two tables under version 2, and then what it
# was told of the other.
[name] = System.argv()
ring = Slipring.open!(name, wait: 20_000)
tx = Slipring.producer!(ring)
columns = [id: {:s, 32}, temp: {:f, 32}, site: :string]
weather = Slipring.announce!(ring, "weather", columns, version: 2)
{:error, error} = Slipring.announce(ring, "weather", [id: :string], version: 3)
table = Slipring.Table.new([site: ["north"], temp: [0.5], id: [7]], types: columns)
for _ <- 1..2, do: Slipring.send!(tx, table, schema: weather)
Slipring.send!(tx, Map.take(error, [:path, :got, :expected, :message]))

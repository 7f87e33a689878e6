# Takes a stream of tables from NAME-there, and sends what it found of each batch to NAME-back.
[name] = System.argv()
rx = Slipring.consumer!(name <> "-there", wait: 20_000)
tx = Slipring.producer!(name <> "-back", wait: 20_000)

found =
  for table <- Slipring.Table.stream(rx, timeout: 20_000) do
    %{rows: table.rows, sum: Slipring.Column.sum(table["id"])}
  end

Slipring.send!(tx, Slipring.Table.from_maps!(found))

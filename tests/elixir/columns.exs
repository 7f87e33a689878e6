# Takes tables from NAME-there, and sends to NAME-back what it makes of their terms and types: of columns, of rows, and of rows
# and columns under the schema that the metadata names.
[name] = System.argv()
Logger.configure(level: :error)
rx = Slipring.consumer!(name <> "-there", wait: 20_000)
tx = Slipring.producer!(name <> "-back", wait: 20_000)

for frame <- rx do
  table = Slipring.Frame.value(frame)
  types = for field <- table.fields, do: {field.name, field.type}
  rows = Slipring.Table.to_maps(table)

  Slipring.send!(tx, Slipring.Table.new(Slipring.Table.to_columns(table), types: types))
  Slipring.send!(tx, Slipring.Table.from_maps!(rows, types: types))
  Slipring.send!(tx, rows, schema: frame.meta["schema"])
  Slipring.send!(tx, Slipring.Table.to_columns(table), schema: frame.meta["schema"])
end

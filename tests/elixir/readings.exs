# Versions of a schema as it grew, a row of each: as in test_cross.py.
#
#   readings.exs read NAME VERSION   expects that version on NAME-there, and sends on NAME-back what it reads, or the error
#   readings.exs write NAME          waits until somebody says on NAME what is expected, and sends a table of each version
defmodule Readings do
  alias Slipring.{Column, Table}

  def versions do
    %{
      1 => {[field("id", {:s, 32}, false), field("temp", {:f, 32})], %{"id" => 1, "temp" => 0.5}},
      2 =>
        {[field("temp", {:f, 32}), field("id", {:s, 32}, false), field("note", :string)],
         %{"id" => 2, "temp" => 1.5, "note" => "dry"}},
      3 =>
        {[
           field("number", {:s, 64}, false, %{"slipring.aliases" => "id"}),
           field("temp", {:f, 64}),
           field("level", {:s, 8}, false, %{"slipring.default" => "9"})
         ], %{"number" => 3, "temp" => 2.5, "level" => 4}}
    }
  end

  defp field(name, type, nullable \\ true, metadata \\ %{}),
    do: %{Column.new([], name: name, type: type) | nullable: nullable, metadata: metadata}

  # Of version 1 to one of version 2, which the rules would do otherwise.
  defp noted(table), do: Map.put(Table.to_columns(table), "note", ["migrated"])

  def read(name, version) do
    {fields, _row} = versions()[version]
    rx = Slipring.consumer!(name <> "-there", wait: 20_000)
    tx = Slipring.producer!(name <> "-back", wait: 20_000)
    migrations = if version == 2, do: %{1 => &typed(noted(&1))}, else: %{}
    Slipring.expect!(rx, "reading", fields, version: version, migrations: migrations)

    for frame <- rx do
      try do
        Slipring.send!(tx, Slipring.Frame.value(frame))
      rescue
        error in Slipring.Error ->
          facts = Map.take(error, [:reason, :path, :got, :expected, :message])
          Slipring.send!(tx, facts)
      end
    end
  end

  defp typed(columns), do: Table.new(columns, types: %{"id" => {:s, 32}, "temp" => {:f, 32}})

  def write(name) do
    ring = Slipring.open!(name, wait: 20_000)
    tx = Slipring.producer!(ring)

    announced =
      for {version, {fields, row}} <- versions() do
        columns =
          for field <- fields do
            made = Column.new([row[field.name]], name: field.name, type: field.type)
            %{made | nullable: field.nullable, metadata: field.metadata}
          end

        {Slipring.announce!(ring, "reading", fields, version: version), Table.new(columns)}
      end

    wanted = wanted(tx)
    Slipring.send!(tx, Tuple.to_list(wanted))
    for {schema, table} <- announced, do: Slipring.send!(tx, table, schema: schema)
  end

  defp wanted(tx) do
    with nil <- Slipring.wanted!(tx, "reading") do
      Process.sleep(5)
      wanted(tx)
    end
  end
end

case System.argv() do
  ["read", name, version] -> Readings.read(name, String.to_integer(version))
  ["write", name] -> Readings.write(name)
end

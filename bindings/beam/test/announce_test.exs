defmodule Slipring.AnnounceTest do
  @moduledoc "Schemas of tables: announced, and what is sent under them. R2.4, R5.5, R13.2."

  use ExUnit.Case, async: true

  import Bitwise
  alias Slipring.{Column, Error, Frame, Table}

  @one [id: {:s, 32}, temp: {:f, 32}]

  setup do
    name = "ex-announce-#{System.pid()}-#{System.unique_integer([:positive])}"
    ring = Slipring.create!(name, capacity: {16, :mib})
    on_exit(fn -> Slipring.unlink(name) end)
    {:ok, ring: ring, name: name}
  end

  defp ends(ring, options \\ []),
    do: {Slipring.producer!(ring), Slipring.consumer!(ring, options)}

  defp weather(rows) do
    temp = for row <- 1..rows//1, do: if(rem(row, 3) == 0, do: nil, else: row / 2)
    Table.new([temp: temp, id: Enum.to_list(1..rows//1)], types: Map.new(@one))
  end

  defp strict(name, type), do: %{Column.new([], name: name, type: type) | nullable: false}

  # R2.4, R13.2: the ring keeps it, and all who are attached see it.
  test "a schema is announced", %{ring: ring, name: name} do
    assert {:ok, one} = Slipring.announce(ring, "weather", @one, version: 1)
    assert %{id: 1, kind: 3, name: "weather", version: 1} = one
    wider = @one ++ [site: :string]
    assert {:ok, %{id: 2, version: 2}} = Slipring.announce(ring, "weather", wider, version: 2)
    assert [^one, %{id: 2}] = Slipring.schemas!(name)

    # Again it is the same one, also as a table, from elsewhere and with other metadata of the whole.
    again = %{Table.new(id: [1], temp: [2.5]) | metadata: %{"made" => "here"}}

    again = %{
      again
      | fields: for({name, type} <- @one, do: Column.new([], name: name, type: type))
    }

    assert Slipring.announce(Slipring.open!(name), "weather", again, version: 1) == {:ok, one}
  end

  # R2.4: all faults, the versions, and what to do; and nothing is kept.
  test "a version that can't follow is refused", %{ring: ring} do
    Slipring.announce!(ring, "weather", @one, version: 1)
    new = [strict("site", :string), {"temp", {:s, 64}}, {"id", {:s, 64}}]

    assert {:error, %Error{reason: :schema, operation: :announce} = error} =
             Slipring.announce(ring, "weather", new, version: 2)

    assert {error.path, error.got, error.expected} == {"$.columns.site", 1, 2}
    assert error.hint =~ ~s(register a migration of "weather" from version 1 to 2)
    message = Exception.message(error)
    assert message =~ "column site" and message =~ "column temp"
    assert String.ends_with?(message, error.hint)
    assert String.ends_with?(error.hint, "say breaking: true")
    assert [%{version: 1}] = Slipring.schemas!(ring)
    assert %{version: 2} = Slipring.announce!(ring, "weather", new, version: 2, breaking: true)
  end

  # R2.4: one between two others must suit both.
  test "versions are held against their neighbours", %{ring: ring} do
    Slipring.announce!(ring, "n", [x: {:s, 32}], version: 10)
    Slipring.announce!(ring, "n", [x: {:s, 64}], version: 30)
    assert {:error, error} = Slipring.announce(ring, "n", [x: {:f, 64}], version: 20)
    assert {error.path, error.got, error.expected} == {"$.columns.x", 20, 30}
    assert %{version: 20} = Slipring.announce!(ring, "n", [x: {:s, 64}], version: 20)
  end

  test "a version is one schema", %{ring: ring} do
    Slipring.announce!(ring, "weather", @one, version: 1)

    assert {:error, %{reason: :schema} = error} =
             Slipring.announce(ring, "weather", @one ++ [note: :string], version: 1)

    assert error.path == "$.columns.note"
    assert error.message =~ ~s(the schema is not what was announced as "weather", version 1)
    assert error.hint == "announce it as version 2"

    assert {:error, %{reason: :schema} = error} =
             Slipring.announce(ring, "weather", Enum.reverse(@one), version: 1)

    assert error.message =~ "another order, nullability or metadata"
    assert {error.path, error.hint} == {"$.columns", "announce this as version 2"}
  end

  test "what can't be announced is told", %{ring: ring} do
    for options <- [[], [version: 0], [version: 65_536], [version: 1, other: 1]],
        do: assert_raise(ArgumentError, fn -> Slipring.announce(ring, "n", @one, options) end)

    for schema <- [:no, "no", [1], [{nil, :string}], 5, [x: :nonsense]],
        do:
          assert_raise(ArgumentError, fn -> Slipring.announce(ring, "n", schema, version: 1) end)

    assert {:error, %{reason: :encode}} =
             Slipring.announce(ring, "n", %Table{fields: 5}, version: 1)

    assert {:error, _invalid} = Slipring.announce(ring, "", @one, version: 1)
    assert Slipring.schemas!(ring) == []
    Slipring.close(ring)
    assert {:error, %{reason: :detached}} = Slipring.announce(ring, "n", @one, version: 1)
  end

  # R2.4, R14.3: in the announced order, smaller by the schema; from a copy, in place, and of many batches.
  test "tables are sent under a schema", %{ring: ring} do
    one = Slipring.announce!(ring, "weather", @one, version: 1)

    long =
      "a name that takes room in each frame that has it, which is none but those with a schema of their own"

    wide = Slipring.announce!(ring, "wide", [{long, {:s, 64}}], version: 1)

    for {lease, in_place?} <- [never: false, always: true], rows <- [0, 3, 100_000] do
      {tx, rx} = ends(ring, lease: lease)
      table = weather(rows)
      :ok = Slipring.send(tx, table, schema: one, meta: %{n: rows}, timeout: 0)
      frame = Slipring.recv!(rx, 1_000)
      assert {Frame.in_place?(frame), frame.meta} == {in_place?, %{"n" => rows}}
      got = Frame.value(frame)
      assert Table.names(got) == ["id", "temp"]
      assert Table.to_columns(got) == Table.to_columns(table)
      assert %{columns: [{"id", {:s, 32}, _}, {"temp", {:f, 32}, _}]} = Frame.describe(frame)

      both = Table.concat([table, weather(2)])
      :ok = Slipring.send(tx, both, schema: one)
      assert Table.to_columns(Frame.value(Slipring.recv!(rx, 1_000))) == Table.to_columns(both)

      # And what was received, under another schema or none.
      :ok = Slipring.send(tx, got)
      assert Table.to_columns(Frame.value(Slipring.recv!(rx, 1_000))) == Table.to_columns(table)
      Slipring.close(tx)
      Slipring.close(rx)
    end

    {tx, rx} = ends(ring, lease: :never)
    table = Table.new([{long, [1]}])

    for options <- [[], [schema: wide], [schema: "wide"]],
        do: :ok = Slipring.send(tx, table, options)

    [plain, under, named] = for _ <- 1..3, do: Slipring.recv!(rx, 1_000)
    size = fn frame -> byte_size(elem(frame.content, 2)) end
    assert size.(plain) - size.(under) > byte_size(long)
    assert size.(named) == size.(under)
    assert Enum.uniq(for frame <- [plain, under, named], do: Frame.value(frame)) |> length() == 1
  end

  # A frame that was copied is read when its ring is gone.
  test "a copied table outlives its ring", %{ring: ring, name: name} do
    one = Slipring.announce!(ring, "weather", @one, version: 1)
    {tx, rx} = ends(ring, lease: :never)
    :ok = Slipring.send(tx, weather(4), schema: one)
    frame = Slipring.recv!(rx, 1_000)
    for handle <- [tx, rx, ring], do: Slipring.close(handle)
    Slipring.unlink(name)
    assert Table.to_columns(Frame.value(frame)) == Table.to_columns(weather(4))
  end

  # R9.2: a number of no schema, of another kind, or of another version, in frames that are copied and in place.
  test "a frame that names a schema that is not its", %{ring: ring, name: name} do
    version = 51_966
    one = Slipring.announce!(ring, "weather", @one, version: version)
    {:ok, 2} = Slipring.Native.add_schema(ring.ref, 1, "other kind", version, "x")
    {:ok, 3} = Slipring.Native.add_schema(ring.ref, 3, "damaged", version, "no schema at all")
    %{path: path} = Slipring.info!(name)

    for lease <- [:never, :always],
        {id, told} <- [{2, "not of tables"}, {3, ""}, {9, "no schema"}] do
      {tx, rx} = ends(ring, lease: lease)
      :ok = Slipring.send(tx, weather(3), schema: one, meta: %{n: 1})
      # The segment is a file; the header of a frame has version and number side by side.
      header = <<version::little-16, one.id::little-32>>
      file = File.open!(path, [:read, :write, :raw, :binary])
      {:ok, bytes} = :file.pread(file, 0, 24 * 1024 * 1024)

      for {at, _len} <- :binary.matches(bytes, header),
          do: :ok = :file.pwrite(file, at, <<version::little-16, id::little-32>>)

      File.close(file)
      :ok = Slipring.send(tx, "after")
      frame = Slipring.recv!(rx, 1_000)
      assert {frame.format, frame.meta} == {:arrow, %{"n" => 1}}

      for read <- [&Frame.value/1, &Frame.table/1, &Frame.describe/1] do
        error = assert_raise Error, fn -> read.(frame) end
        assert error.reason == :decode and error.message =~ told
        if told != "", do: assert({error.path, error.got} == {"$.schema_id", id})
      end

      assert Frame.value(Slipring.recv!(rx, 1_000)) == "after"
      Slipring.close(tx)
      Slipring.close(rx)
    end
  end

  test "records and columns become tables of the schema", %{ring: ring} do
    Slipring.announce!(ring, "n", [x: {:s, 64}, y: :string], version: 1)
    {tx, rx} = ends(ring)
    :ok = Slipring.send(tx, [%{y: "a", x: 1}, %{x: 2}], schema: "n")
    :ok = Slipring.send(tx, %{y: ["a", nil], x: [1, 2]}, schema: "n")

    for _ <- 1..2 do
      assert Table.to_columns(Frame.value(Slipring.recv!(rx, 1_000))) ==
               %{"x" => [1, 2], "y" => ["a", nil]}
    end
  end

  # The name means the newest version, also one that another has announced meanwhile.
  test "the newest version of a name", %{ring: ring, name: name} do
    {tx, rx} = ends(ring)
    one = Slipring.announce!(ring, "n", [x: {:s, 32}], version: 1)
    narrow = Table.new([x: [1]], types: %{x: {:s, 32}})
    :ok = Slipring.send(tx, narrow, schema: "n")
    Slipring.announce!(Slipring.open!(name), "n", [x: {:s, 64}], version: 2)
    # By the rules a smaller number is one of the larger type, and no larger one is cut.
    :ok = Slipring.send(tx, narrow, schema: "n")

    assert {:error, %{path: "$.columns.x", got: 1}} =
             Slipring.send(tx, Table.new(x: [1]), schema: one)

    :ok = Slipring.send(tx, Table.new(x: [1]), schema: "n")
    :ok = Slipring.send(tx, narrow, schema: one)
    tables = for _ <- 1..4, do: Frame.value(Slipring.recv!(rx, 1_000))
    assert Enum.map(tables, & &1["x"].type) == [{:s, 32}, {:s, 64}, {:s, 64}, {:s, 32}]
  end

  # R8.1, R2.1: records have no types of their own, and none of them has a whole number that must not be one.
  test "records go into the types that were announced", %{ring: ring} do
    one = Slipring.announce!(ring, "w", [id: {:s, 32}, temp: {:f, 64}, site: :string], version: 1)
    {tx, rx} = ends(ring)
    value = fn -> Frame.value(Slipring.recv!(rx, 1_000)) end
    :ok = Slipring.send(tx, [%{id: 1, temp: 2}, %{temp: 3}], schema: one)
    {:ok, 2} = Slipring.send_many(tx, [[%{id: 1, site: nil}], []], schema: "w")
    :ok = Slipring.send(tx, %{id: [], temp: [], site: []}, schema: one)
    assert [first, second, third, fourth] = for(_ <- 1..4, do: value.())
    assert Enum.map(first.fields, & &1.type) == [{:s, 32}, {:f, 64}, :string]

    assert Table.to_maps(first) == [
             %{"id" => 1, "temp" => 2.0, "site" => nil},
             %{"id" => nil, "temp" => 3.0, "site" => nil}
           ]

    assert Table.to_maps(second) == [%{"id" => 1, "temp" => nil, "site" => nil}]

    for table <- [third, fourth],
        do: assert({Table.names(table), table.rows} == {Table.names(first), 0})

    assert first.metadata == %{}

    for refused <- [[%{id: 1 <<< 31}], [%{id: 1.5}], [%{other: 1}], [%{temp: (1 <<< 53) + 1}]],
        do: assert({:error, %{reason: :schema}} = Slipring.send(tx, refused, schema: one))
  end

  # R5.5: names and types are held against the announced ones.
  test "what was not announced is not sent", %{ring: ring} do
    one =
      Slipring.announce!(ring, "weather", [strict("id", {:s, 32}), {"temp", {:f, 32}}], version: 1)

    {tx, rx} = ends(ring)
    other = Table.new([id: [1], more: ["x"]], types: %{id: {:s, 32}})

    assert {:error, %Error{reason: :schema, operation: :send} = error} =
             Slipring.send(tx, other, schema: one)

    assert {error.path, error.got, error.expected} == {"$.columns.temp", 1, 1}
    assert error.message =~ "column temp" and error.message =~ "column more"
    assert error.message =~ ~s(the table does not fit what was announced as "weather", version 1)
    assert error.hint == "send what was announced, or announce it as version 2"

    nulls = Table.new([id: [1, nil], temp: [0.5, 1]], types: Map.new(@one))
    assert {:error, %{reason: :schema} = error} = Slipring.send(tx, nulls, schema: one)
    assert {error.path, error.hint} == {"$.columns.id", "announce it as nullable, as version 2"}
    :ok = Slipring.send(tx, weather(2), schema: one)

    assert {:error, %{reason: :encode}} = Slipring.send(tx, 5, schema: one)

    for format <- [:value, :json] do
      assert_raise ArgumentError, ~r/:schema or :format/, fn ->
        Slipring.send(tx, weather(2), schema: one, format: format)
      end
    end

    for schema <- [5, %{}, %{one | id: -1}, %{one | version: 65_536}] do
      assert_raise ArgumentError, ~r/announce/, fn ->
        Slipring.send(tx, weather(2), schema: schema)
      end
    end

    # What another ring has told, by number, name or version; and none.
    for schema <- [%{one | id: 9}, %{one | id: 0}, %{one | name: "x"}, %{one | version: 2}, "x"] do
      assert {:error, %{reason: :schema} = error} = Slipring.send(tx, weather(2), schema: schema)
      assert error.hint =~ "announce/4"
    end

    assert Frame.value(Slipring.recv!(rx, 1_000)).rows == 2
    assert {:error, %{reason: :empty}} = Slipring.recv(rx, 0)
  end

  # A schema that is long to read, and a table that waits for room.
  test "long schemas, and full rings", %{ring: ring} do
    names = for n <- 1..2_000, do: "column number #{n}"
    long = Slipring.announce!(ring, "long", for(name <- names, do: {name, {:u, 8}}), version: 1)
    assert long.size > 65_536
    {tx, rx} = ends(ring)

    columns = for name <- names, do: Column.new([1, 2], name: name, type: {:u, 8})
    table = Table.new(columns)
    :ok = Slipring.send(tx, table, schema: long)
    assert Table.names(Frame.value(Slipring.recv!(rx, 1_000))) == names

    small = "#{System.pid()}-full-#{System.unique_integer([:positive])}"
    narrow = Slipring.create!(small, slots: 8)
    one = Slipring.announce!(narrow, "weather", @one, version: 1)
    {tx, rx} = ends(narrow)
    for _ <- 1..8, do: :ok = Slipring.send(tx, weather(2), schema: one, timeout: 0)
    assert {:error, %{reason: :full}} = Slipring.send(tx, weather(2), schema: one, timeout: 0)
    waiting = Task.async(fn -> Slipring.send(tx, weather(3), schema: one, timeout: 5_000) end)
    rows = for _ <- 1..9, do: Frame.value(Slipring.recv!(rx, 5_000)).rows
    assert {rows, Task.await(waiting)} == {List.duplicate(2, 8) ++ [3], :ok}
    Slipring.unlink!(small)
  end
end

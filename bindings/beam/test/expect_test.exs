defmodule Slipring.ExpectTest do
  @moduledoc "Tables that are read as a version which was not written. R2.4, R5.2, R5.3, R5.5."

  use ExUnit.Case, async: true

  import Slipring.Case, only: [wait_for: 1, other_beam: 2]
  alias Slipring.{Column, Error, Frame, Table}

  setup do
    name = "ex-expect-#{System.pid()}-#{System.unique_integer([:positive])}"
    ring = Slipring.create!(name, capacity: {16, :mib})
    on_exit(fn -> Slipring.unlink(name) end)
    {:ok, ring: ring, name: name, tx: Slipring.producer!(ring), rx: Slipring.consumer!(ring)}
  end

  defp field(name, type, options \\ []) do
    options = Map.new(options)

    %{
      Column.new([], name: name, type: type)
      | nullable: Map.get(options, :nullable, true),
        metadata:
          for(
            {key, value} <- options,
            key != :nullable,
            into: %{},
            do: {"slipring.#{key}", value}
          )
    }
  end

  # A table with these columns, of one row or more.
  defp table(fields, rows) do
    columns =
      for field <- fields do
        made =
          Column.new(for(row <- rows, do: row[field.name]), name: field.name, type: field.type)

        %{made | nullable: field.nullable, metadata: field.metadata}
      end

    Table.new(columns)
  end

  defp send!(tx, fields, rows, schema),
    do: Slipring.send!(tx, table(fields, rows), schema: schema)

  defp next(rx), do: Slipring.recv!(rx, 5_000)
  defp maps(rx), do: rx |> next() |> Frame.value() |> Table.to_maps()

  defp refused(rx) do
    frame = next(rx)
    assert_raise Error, fn -> Frame.value(frame) end
  end

  # A schema as it grew, with a row of each version: as in Python's test.
  defp readings do
    %{
      1 =>
        {[field("id", {:s, 32}, nullable: false), field("temp", {:f, 32})],
         %{"id" => 1, "temp" => 0.5}},
      2 =>
        {[
           field("temp", {:f, 32}),
           field("id", {:s, 32}, nullable: false),
           field("note", :string)
         ], %{"id" => 2, "temp" => 1.5, "note" => "dry"}},
      3 =>
        {[
           field("number", {:s, 64}, nullable: false, aliases: "id"),
           field("temp", {:f, 64}),
           field("level", {:s, 8}, nullable: false, default: "9")
         ], %{"number" => 3, "temp" => 2.5, "level" => 4}}
    }
  end

  # What who expects a version reads of each that was written, or the column that is in the way.
  @matrix %{
    {1, 1} => %{"id" => 1, "temp" => 0.5},
    {1, 2} => %{"temp" => 0.5, "id" => 1, "note" => nil},
    {1, 3} => %{"number" => 1, "temp" => 0.5, "level" => 9},
    {2, 1} => %{"id" => 2, "temp" => 1.5},
    {2, 2} => %{"temp" => 1.5, "id" => 2, "note" => "dry"},
    {2, 3} => %{"number" => 2, "temp" => 1.5, "level" => 9},
    {3, 1} => "id",
    {3, 2} => "temp",
    {3, 3} => %{"number" => 3, "temp" => 2.5, "level" => 4}
  }

  for {{written, wanted}, expected} <- @matrix, lease <- [:never, :always] do
    # R2.4, R5.2, R5.3: writer version x reader version, copied and in place.
    test "version #{written} is read as #{wanted}, lease #{lease}", %{ring: ring, tx: tx, rx: rx} do
      Slipring.close(rx)
      rx = Slipring.consumer!(ring, lease: unquote(lease))
      {written, wanted} = {unquote(written), unquote(wanted)}
      all = readings()

      announced =
        Map.new(all, fn {version, {fields, _row}} ->
          {version, Slipring.announce!(ring, "reading", fields, version: version)}
        end)

      {wanted_fields, wanted_row} = all[wanted]
      {written_fields, row} = all[written]
      :ok = Slipring.expect(rx, "reading", wanted_fields, version: wanted)
      send!(tx, written_fields, [row], announced[written])

      case unquote(Macro.escape(expected)) do
        %{} = expected ->
          frame = next(rx)
          got = Frame.value(frame)
          assert Table.to_maps(got) == [expected]
          facts = &{&1.name, &1.type, &1.nullable, &1.metadata}
          assert Enum.map(got.fields, facts) == Enum.map(wanted_fields, facts)

          # What it was written as is still told.
          names = for {name, _type, _nullable} <- Frame.describe(frame).columns, do: name
          assert names == Enum.map(written_fields, & &1.name)

        column ->
          error = refused(rx)
          assert {error.reason, error.path} == {:schema, "$.columns.#{column}"}
          assert {error.got, error.expected} == {written, wanted}

          told =
            ~s("reading" of version #{written} can't be read as version #{wanted}: column #{column} )

          assert error.message =~ told
          # There are none backwards.
          refute error.hint =~ "register a migration"

          # The ring goes on.
          send!(tx, wanted_fields, [wanted_row], announced[wanted])
          assert maps(rx) == [@matrix[{wanted, wanted}]]
      end
    end
  end

  # R5.3: each change of the rules, as a writer of the older version and a reader of the newer one see it.
  @changes [
    {"widened", {"x", {:s, 8}, []}, {"x", {:f, 64}, []}, [7, nil], [7.0, nil]},
    {"widened text", {"x", :string, []}, {"x", :string_view, []}, ["a text of some length", nil],
     ["a text of some length", nil]},
    {"widened list", {"x", {:list, {:s, 64}}, []}, {"x", {:large_list, {:s, 64}}, []},
     [[1, 2], []], [[1, 2], []]},
    {"widened date", {"x", {:date, :day}, []}, {"x", {:naive_datetime, :second}, []},
     [~D[2026-11-21]], [~N[2026-11-21 00:00:00]]},
    {"renamed", {"old", :string, []}, {"x", :string, [aliases: "older,old"]}, ["a"], ["a"]},
    {"null allowed", {"x", {:s, 8}, [nullable: false]}, {"x", {:s, 8}, []}, [1], [1]},
    {"added", {"other", {:s, 8}, []}, {"x", :boolean, []}, [1, 2], [nil, nil]},
    {"added with default", {"other", {:s, 8}, []},
     {"x", :string, [default: "none", nullable: false]}, [1, 2], ["none", "none"]}
  ]

  for {what, old, new, written, read} <- @changes do
    test "a column that is #{what}", %{ring: ring, tx: tx, rx: rx} do
      [{_, _, _} = old, {_, _, _} = new] = unquote(Macro.escape([old, new]))
      [old, new] = for {name, type, options} <- [old, new], do: field(name, type, options)
      one = Slipring.announce!(ring, "n", [old], version: 1)
      Slipring.announce!(ring, "n", [new], version: 2)
      :ok = Slipring.expect(rx, "n", [new], version: 2)
      rows = for element <- unquote(Macro.escape(written)), do: %{old.name => element}
      send!(tx, [old], rows, one)
      assert for(row <- maps(rx), do: row["x"]) == unquote(Macro.escape(read))
    end
  end

  for {what, old, new, path} <- [
        {"narrowed", {"x", {:s, 64}, []}, {"x", {:s, 32}, []}, "x"},
        {"missing", {"other", {:s, 8}, []}, {"x", {:s, 8}, [nullable: false]}, "x"},
        {"null forbidden", {"x", {:s, 8}, []}, {"x", {:s, 8}, [nullable: false]}, "x"},
        {"narrowed within", {"x", {:list, {:s, 64}}, []}, {"x", {:list, :string}, []}, "x[]"}
      ] do
    test "a column that is #{what} needs a migration", %{ring: ring, tx: tx, rx: rx} do
      [old, new] =
        for {name, type, options} <- unquote(Macro.escape([old, new])),
            do: field(name, type, options)

      one = Slipring.announce!(ring, "n", [old], version: 1)
      :ok = Slipring.expect(rx, "n", [new], version: 2)
      send!(tx, [old], [%{}], one)
      error = refused(rx)
      assert {error.reason, error.operation} == {:schema, :value}
      assert {error.path, error.got, error.expected} == {"$.columns.#{unquote(path)}", 1, 2}
      assert error.hint == ~s(register a migration of "n" from version 1 to 2)
      assert String.ends_with?(Exception.message(error), error.hint)
    end
  end

  # R2.3: what a projection keeps is read where it lies in the segment; what it makes outlives the frame.
  test "columns that stay are not copied", %{ring: ring, tx: tx, rx: rx} do
    old = Table.new(keep: Enum.to_list(1..100_000), widen: Column.new(1..100_000, type: {:s, 32}))
    one = Slipring.announce!(ring, "t", old, version: 1)
    Slipring.close(rx)

    for lease <- [:always, :never] do
      rx = Slipring.consumer!(ring, lease: lease)
      :ok = Slipring.expect(rx, "t", [widen: {:s, 64}, keep: {:s, 64}], version: 2)
      :ok = Slipring.send(tx, old, schema: one)
      frame = next(rx)
      got = Frame.value(frame)
      assert Table.names(got) == ["widen", "keep"]

      if lease == :always do
        assert Slipring.Native.in_place(frame.lease, got["keep"].data)
        refute Slipring.Native.in_place(frame.lease, got["widen"].data)
      end

      assert Column.sum(got["widen"]) == Column.sum(got["keep"])
      assert Column.to_list(Column.slice(got["widen"], 99_998, 2)) == [99_999, 100_000]
      Slipring.close(rx)
      # What was made is there without the frame.
      Frame.release(frame)
      assert Column.to_list(Column.slice(got["widen"], 0, 2)) == [1, 2]
    end
  end

  # R5.2, R12.4: 1 -by function-> 2 -by the rules-> 3 -by function-> 4.
  test "migrations are chained", %{ring: ring, tx: tx, rx: rx} do
    strict = &field(&1, &2, nullable: false)
    one = [strict.("name", :string), strict.("fahrenheit", {:f, 64})]
    two = [strict.("name", :string), strict.("celsius", {:f, 32})]
    three = [strict.("name", :string), strict.("celsius", {:f, 64}), field("note", :string)]
    four = [strict.("name", :large_string), strict.("kelvin", {:f, 64})]

    [first, _second, third, fourth] =
      for {fields, version} <- Enum.with_index([one, two, three, four], 1),
          do: Slipring.announce!(ring, "temp", fields, version: version, breaking: true)

    test = self()

    to_celsius = fn %Table{} = table ->
      send(test, {1, Table.names(table)})
      celsius = for f <- Column.to_list(table["fahrenheit"]), do: (f - 32) / 1.8
      Table.new([name: table["name"], celsius: celsius], types: %{celsius: {:f, 32}})
    end

    # Records do as well.
    to_kelvin = fn table ->
      send(test, {3, Table.names(table)})
      for row <- table, do: %{name: row["name"], kelvin: row["celsius"] + 273.15}
    end

    steps = %{1 => to_celsius, 3 => to_kelvin}
    :ok = Slipring.expect(rx, "temp", four, version: 4, migrations: steps)
    send!(tx, one, [%{"name" => "a", "fahrenheit" => 212.0}], first)
    send!(tx, three, [%{"name" => "b", "celsius" => 0.0, "note" => "x"}], third)
    send!(tx, four, [%{"name" => "c", "kelvin" => 1.0}], fourth)

    assert [[%{"name" => "a"} = a], [%{"name" => "b"} = b], [%{"name" => "c"} = c]] =
             for(_ <- 1..3, do: maps(rx))

    assert for(row <- [a, b, c], do: Float.round(row["kelvin"], 2)) == [373.15, 273.15, 1.0]
    assert_received {1, ["name", "fahrenheit"]}
    # By the rules it became what was announced in between.
    assert_received {3, ["name", "celsius", "note"]}
    assert_received {3, ["name", "celsius", "note"]}
    refute_received {_step, _names}
  end

  # R5.3: of a chain the step that is missing, also where it is not the first, and announced after the first frame came.
  test "a missing migration is named", %{ring: ring, tx: tx, rx: rx} do
    one = Slipring.announce!(ring, "n", [x: {:s, 32}], version: 1)
    :ok = Slipring.expect(rx, "n", [x: :string], version: 3)
    send!(tx, [field("x", {:s, 32})], [%{"x" => 1}], one)
    assert refused(rx).hint == ~s(register a migration of "n" from version 1 to 3)
    Slipring.announce!(ring, "n", [x: {:s, 64}], version: 2)
    Slipring.announce!(ring, "n", [x: :string], version: 3, breaking: true)
    send!(tx, [field("x", {:s, 32})], [%{"x" => 1}], one)
    error = refused(rx)
    assert {error.got, error.expected, error.path} == {1, 3, "$.columns.x"}
    assert error.hint == ~s(register a migration of "n" from version 2 to 3)
    assert String.ends_with?(error.message, error.hint)
  end

  # R9.1: what it raises, or that it gives no table, or one that does not suit.
  test "a migration that fails is named", %{ring: ring, tx: tx, rx: rx} do
    one = Slipring.announce!(ring, "n", [x: {:s, 32}], version: 1)
    fields = [field("x", {:s, 32})]

    for {migrate, why} <- [
          {fn _table -> raise "no luck" end, "failed: no luck"},
          {fn _table -> 5 end, "failed: "},
          {fn table -> %{table | fields: 5} end, "no list"},
          {fn _table -> %{x: ["a"]} end, "column x is Utf8, and Int32 is expected"}
        ] do
      :ok = Slipring.expect(rx, "n", [x: {:s, 32}], version: 2, migrations: %{1 => migrate})
      send!(tx, fields, [%{"x" => 1}], one)
      error = refused(rx)
      assert error.message =~ why

      if why =~ "failed" do
        assert {error.reason, error.got, error.expected} == {:schema, 1, 2}
        assert error.message =~ ~s(the migration of "n" from version 1 to 2 failed)
      end
    end

    # What is thrown is the caller's.
    :ok = Slipring.expect(rx, "n", [x: {:s, 32}], version: 2, migrations: %{1 => &throw/1})
    send!(tx, fields, [%{"x" => 1}], one)
    frame = next(rx)
    assert %Table{} = catch_throw(Frame.value(frame))
  end

  # R2.4: producers see what all consumers read, until these are closed or their processes end, and older tables are refused.
  test "the oldest is agreed on", %{ring: ring, tx: tx, rx: rx} do
    one = Slipring.announce!(ring, "n", [x: {:s, 32}], version: 1)
    assert Slipring.wanted(tx, "n") == {:ok, nil}
    :ok = Slipring.expect(rx, "n", [x: {:s, 32}], version: 4, oldest: 2)
    assert Slipring.wanted!(tx, "n") == {2, 4}
    :ok = Slipring.expect(rx, "n", [x: {:s, 32}], version: 3, oldest: 2)
    assert Slipring.wanted!(tx, "n") == {2, 3}
    assert [%{wanted: {2, 3}}] = Slipring.schemas!(ring)
    send!(tx, [field("x", {:s, 32})], [%{"x" => 1}], one)
    error = refused(rx)
    assert {error.reason, error.got, error.expected} == {:schema, 1, 3}
    assert error.message =~ "version 1 came, and 2 is the oldest"
    assert error.hint == "expect it with oldest: 1, or have a newer version sent"
    Slipring.close(rx)
    assert Slipring.wanted!(tx, "n") == nil
    Slipring.close(tx)
    assert {:error, %{reason: :detached}} = Slipring.wanted(tx, "n")
  end

  test "wants end with the owner, with garbage, and with the BEAM", %{
    ring: ring,
    name: name,
    tx: tx
  } do
    many = "#{name}-many"
    shared = Slipring.create!(many, mode: :mpmc)
    on_exit(fn -> Slipring.unlink(many) end)
    tx_many = Slipring.producer!(shared)
    Slipring.close(tx)

    {owner, monitor} =
      spawn_monitor(fn ->
        :ok = Slipring.expect(Slipring.consumer!(shared), "n", [x: :string], version: 2)
        receive do: (:end -> :ok)
      end)

    assert wait_for(fn -> Slipring.wanted!(tx_many, "n") == {1, 2} end)
    # Two that read different versions.
    rx = Slipring.consumer!(shared)
    :ok = Slipring.expect(rx, "n", [x: :string], version: 5, oldest: 2)
    assert Slipring.wanted!(tx_many, "n") == {2, 2}
    send(owner, :end)
    assert_receive {:DOWN, ^monitor, :process, _pid, _reason}, 5_000
    assert wait_for(fn -> Slipring.wanted!(tx_many, "n") == {2, 5} end)

    # One that nobody refers to any more.
    holder =
      spawn(fn ->
        (fn ->
           :ok = Slipring.expect(Slipring.consumer!(shared), "n", [x: :string], version: 4)
         end).()

        receive do: (:forget -> :erlang.garbage_collect())
        receive do: (:end -> :ok)
      end)

    assert wait_for(fn -> Slipring.wanted!(tx_many, "n") == {2, 4} end)
    send(holder, :forget)
    assert wait_for(fn -> Slipring.wanted!(tx_many, "n") == {2, 5} end)
    assert Process.alive?(holder)
    send(holder, :end)

    # A BEAM that is killed.
    code = """
    rx = Slipring.consumer!(hd(System.argv()))
    :ok = Slipring.expect(rx, "n", [x: :string], version: 3)
    IO.puts("said")
    Process.sleep(:infinity)
    """

    port = other_beam(code, [many])
    assert_receive {^port, {:data, "said\n"}}, 30_000
    assert Slipring.wanted!(tx_many, "n") == {2, 3}
    {:os_pid, pid} = Port.info(port, :os_pid)
    System.cmd("kill", ["-9", "#{pid}"])
    assert wait_for(fn -> Slipring.wanted!(tx_many, "n") == {2, 5} end)
    for handle <- [rx, ring], do: Slipring.close(handle)
  end

  # A frame that was copied is read when its ring is gone, by its migrations and what was announced between.
  test "an expected table outlives its ring", %{ring: ring, name: name, tx: tx, rx: rx} do
    Slipring.close(rx)
    rx = Slipring.consumer!(ring, lease: :never)
    one = Slipring.announce!(ring, "n", [x: {:s, 32}], version: 1)
    Slipring.announce!(ring, "n", [x: {:s, 64}, y: :string], version: 2)
    names = fn table -> %{names: Table.names(table)} end
    :ok = Slipring.expect(rx, "n", [names: :string], version: 3, migrations: %{2 => names})
    send!(tx, [field("x", {:s, 32})], [%{"x" => 1}], one)
    frame = next(rx)
    for handle <- [tx, rx, ring], do: Slipring.close(handle)
    refute name in Slipring.list()
    # Also in another process.
    assert Task.await(Task.async(fn -> Table.to_columns(Frame.value(frame)) end)) ==
             %{"names" => ["x", "y"]}
  end

  # R8.1, R2.4: each frame of a stream; by messages; and of a batch.
  test "streams and batches go under a schema", %{ring: ring, tx: tx, rx: rx} do
    {fields, _row} = readings()[1]
    one = Slipring.announce!(ring, "reading", fields, version: 1)
    {wanted, _row} = readings()[3]
    :ok = Slipring.expect(rx, "reading", wanted, version: 3)
    rows = for id <- 0..9, do: %{"id" => id, "temp" => nil}
    assert {:ok, 3} = Table.send_batches(tx, table(fields, rows), rows: 4, schema: one)
    read = for part <- Table.stream(rx, timeout: 5_000), row <- part, do: row
    expected = for id <- 0..9, do: %{"number" => id, "temp" => nil, "level" => 9}
    assert read == expected

    tables = for row <- rows, do: table(fields, [row])
    assert Slipring.send_many(tx, tables, schema: "reading", timeout: 0) == {:ok, 10}
    Slipring.active(rx, true)

    got =
      for _ <- 1..10 do
        assert_receive {:slipring, ^rx, frame}, 5_000
        hd(Table.to_maps(Frame.value(frame)))
      end

    assert got == expected
    Slipring.active(rx, false)

    # Nothing is sent where one does not suit.
    other = Table.new(id: ["a"])

    assert {:error, %Error{reason: :schema, sent: 0, path: "$[1].columns" <> _} = error} =
             Slipring.send_many(tx, [hd(tables), other], schema: one)

    assert error.operation == :send_many
    assert error.message =~ "at index 1 of the list"

    assert {:error, %{reason: :encode, path: "$[1]"}} =
             Slipring.send_many(tx, [hd(tables), 5], schema: one)

    assert {:error, %{reason: :schema, sent: 0}} =
             Slipring.send_many(tx, tables, schema: "nothing")

    assert {:error, %{reason: :schema, sent: 0}} =
             Table.send_batches(tx, hd(tables), schema: "nothing")

    assert {:error, %{reason: :schema, sent: 0}} = Table.send_batches(tx, other, schema: one)

    long =
      Table.new([id: 1..3_000_000, temp: List.duplicate(0.5, 3_000_000)],
        types: %{id: {:s, 32}, temp: {:f, 32}}
      )

    assert {:error, %{reason: :too_large, path: "$[1]"}} =
             Slipring.send_many(tx, [hd(tables), long], schema: one)

    assert {:error, %{reason: :empty}} = Slipring.recv(rx, 0)

    assert_raise ArgumentError, ~r/:schema or :format/, fn ->
      Slipring.send_many(tx, tables, schema: one, format: :json)
    end
  end

  # R5.5, R9.3: the column and the row.
  test "a value beyond the type is named", %{ring: ring, tx: tx, rx: rx} do
    fields = [field("at", {:naive_datetime, :second})]
    one = Slipring.announce!(ring, "t", fields, version: 1)
    :ok = Slipring.expect(rx, "t", [at: {:naive_datetime, :nanosecond}], version: 2)

    send!(
      tx,
      fields,
      [%{"at" => ~N[2026-01-01 00:00:00]}, %{"at" => ~N[2300-01-01 00:00:00]}],
      one
    )

    error = refused(rx)
    assert {error.reason, error.path} == {:decode, "$.columns.at"}
    assert error.message =~ "column at: element 1 is beyond"
    assert error.hint =~ "coarser type"
  end

  # R5.5: also where a column says nothing of them.
  test "a migration that makes nulls", %{ring: ring, tx: tx, rx: rx} do
    one = Slipring.announce!(ring, "w", [a: {:s, 8}], version: 1)

    for type <- [{:run_end_encoded, {:s, 16}, {:s, 8}}, {:dictionary, {:s, 8}, {:s, 8}}] do
      read = fn elements ->
        made = Table.new(%{"a" => elements}, types: %{"a" => type})
        options = [version: 2, migrations: %{1 => fn _ -> made end}]
        :ok = Slipring.expect(rx, "w", [field("a", type, nullable: false)], options)
        :ok = Slipring.send(tx, [%{a: 1}], schema: one)
        rx |> next() |> Frame.value() |> Table.to_columns()
      end

      assert read.([1, 1]) == %{"a" => [1, 1]}
      error = assert_raise Error, fn -> read.([1, nil]) end
      assert error.message =~ "column a"
      assert error.message =~ "may have nulls"
    end
  end

  # R8.4: what a migration gives is its own, and not the sender's.
  test "what a migration gives", %{ring: ring, tx: tx, rx: rx} do
    one = Slipring.announce!(ring, "w", [x: {:s, 32}], version: 1)
    wanted = [field("x", {:s, 32}, nullable: false), field("y", :string)]

    read = fn made, version ->
      :ok =
        Slipring.expect(rx, "w", wanted, version: version, migrations: %{1 => fn _ -> made end})

      :ok = Slipring.send(tx, [%{x: 1}], schema: one)
      Frame.value(next(rx))
    end

    for made <- [[], [%{x: 7}], %{x: [7], y: [nil]}] do
      table = read.(made, 2)
      assert Enum.map(table.fields, & &1.type) == [{:s, 32}, :string]
      assert Table.to_maps(table) == if(made == [], do: [], else: [%{"x" => 7, "y" => nil}])
    end

    error = assert_raise Error, fn -> read.([%{x: "a"}], 2) end

    assert error.message =~
             ~s(what the migration of "w" from version 1 to 2 gave can't be read as version 2: column x)

    assert error.hint == "correct the migration from version 1 to 2"
    error = assert_raise Error, fn -> read.([%{x: "a"}], 3) end
    assert error.hint =~ "correct it, or register a migration of \"w\" from version 2 to 3"
  end

  # Only what has the name; and from now on.
  test "other tables stay as they are", %{ring: ring, tx: tx, rx: rx} do
    one = Slipring.announce!(ring, "n", [x: {:s, 32}], version: 1)
    other = Slipring.announce!(ring, "other", [x: {:s, 32}], version: 1)
    fields = [field("x", {:s, 32})]
    send!(tx, fields, [%{"x" => 1}], one)
    before = next(rx)
    :ok = Slipring.expect(rx, "n", [x: {:s, 64}], version: 2)
    for schema <- [one, other], do: send!(tx, fields, [%{"x" => 1}], schema)
    :ok = Slipring.send(tx, table(fields, [%{"x" => 1}]))
    :ok = Slipring.send(tx, "bytes")
    frames = [before | for(_ <- 1..3, do: next(rx))]
    types = for frame <- frames, do: Frame.value(frame)["x"].type
    assert types == [{:s, 32}, {:s, 64}, {:s, 32}, {:s, 32}]
    assert Frame.value(next(rx)) == "bytes"
  end

  # What takes long is done elsewhere: wide schemas, and many rows that are made.
  test "large ones", %{ring: ring, tx: tx, rx: rx} do
    names = for n <- 1..2_000, do: "column number #{n}"
    one = Slipring.announce!(ring, "wide", for(name <- names, do: {name, {:u, 8}}), version: 1)
    assert one.size > 65_536
    wanted = for name <- Enum.reverse(names), do: {name, {:u, 16}}
    :ok = Slipring.expect(rx, "wide", wanted, version: 2)
    columns = for name <- names, do: Column.new([1, 2], name: name, type: {:u, 8})
    :ok = Slipring.send(tx, Table.new(columns), schema: one)
    got = Frame.value(next(rx))
    assert Table.names(got) == Enum.reverse(names)
    assert Column.to_list(got[1_999]) == [1, 2]

    long = Slipring.announce!(ring, "long", [x: {:u, 8}], version: 1)
    :ok = Slipring.expect(rx, "long", [x: {:f, 64}], version: 2)

    :ok =
      Slipring.send(tx, Table.new([x: List.duplicate(1, 300_000)], types: %{x: {:u, 8}}),
        schema: long
      )

    assert Column.sum(Frame.value(next(rx))["x"]) == 300_000.0
  end

  test "what can't be expected is told", %{rx: rx, tx: tx} do
    for options <- [
          [],
          [version: 0],
          [version: 65_536],
          [version: 2, oldest: 3],
          [version: 2, oldest: 0],
          [version: 2, migrations: [1]],
          [version: 2, migrations: %{2 => & &1}],
          [version: 2, migrations: %{1 => &Map.put/3}],
          [version: 2, migrations: %{0 => & &1}],
          [version: 2, other: 1]
        ],
        do: assert_raise(ArgumentError, fn -> Slipring.expect(rx, "n", [x: :string], options) end)

    for {name, schema} <- [{5, [x: :string]}, {"n", :no}, {"n", [1]}, {"n", [x: :nonsense]}],
        do: assert_raise(ArgumentError, fn -> Slipring.expect(rx, name, schema, version: 1) end)

    assert_raise ArgumentError, fn -> Slipring.expect(tx, "n", [x: :string], version: 1) end
    assert_raise ArgumentError, fn -> Slipring.wanted(rx, "n") end
    assert_raise ArgumentError, fn -> Slipring.wanted(tx, :n) end
    assert {:error, %{reason: :encode}} = Slipring.expect(rx, "n", %Table{fields: 5}, version: 1)

    # One VM can say it of so many names.
    for n <- 1..10, do: :ok = Slipring.expect(rx, "n#{n}", [x: :string], version: 1)

    assert {:error, %{reason: :too_many_wanted, expected: 10}} =
             Slipring.expect(rx, "n", [x: :string], version: 1)

    :ok = Slipring.expect(rx, "n10", [x: :string], version: 2)
    Slipring.close(rx)
    assert {:error, %{reason: :detached}} = Slipring.expect(rx, "n", [x: :string], version: 1)
  end
end

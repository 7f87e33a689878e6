defmodule Slipring.TableTypesTest do
  @moduledoc "Columns of every type of Arrow's from terms, and what is refused. R2.1, R2.2, R2.5."

  # By itself: others look at the memory of the whole process.
  use Slipring.Case, async: false

  import Bitwise
  alias Slipring.{Column, Decimal, Duration, Table}

  @long String.duplicate("long ", 9)
  @union [{5, {"i", {:s, 8}}}, {7, {"t", :string}}]
  @interval {:interval, :month_day_nano}

  # Types that `types:` alone says, and elements that come back as they are.
  defp cases do
    [
      {{:f, 16}, [1.5, nil, -0.25, 65_504.0, 5.960464477539063e-8, :nan, :infinity, -0.0]},
      {:string_view, ["", nil, "twelve bytes", @long, "é", @long]},
      {:binary_view, [<<255>>, nil, "", :binary.copy(<<254>>, 40)]},
      {{:decimal, 256, 76, -3}, [decimal(-5, 3), nil, decimal(1 <<< 200, 3)]},
      {{:decimal, 256, 76, 2}, [decimal(-(10 ** 76 - 1), -2), nil, decimal(7, -2)]},
      {{:interval, :month}, [%{months: 14}, nil, %{months: -(1 <<< 31)}]},
      {{:interval, :day_time},
       [%{days: -3, milliseconds: 500}, nil, %{days: 1, milliseconds: -1}]},
      {@interval, [%{months: -1, days: 2, nanoseconds: -3}, nil, months((1 <<< 63) - 1)]},
      {{:list_view, {:s, 16}}, [[1, nil], nil, [], [-3]]},
      {{:large_list_view, :string_view}, [["a", @long], nil, [], ["b", nil]]},
      {{:union, :dense, @union}, [1, "a", nil, "b", -128]},
      {{:union, :sparse, @union}, [1, "a", nil, "b", -128]},
      {{:dictionary, {:s, 8}, {:s, 64}}, [5, nil, 1 <<< 40, 5]},
      {{:dictionary, {:u, 16}, {:f, 64}}, [0.0, nil, -0.0, 0.0, :nan, :nan]},
      {{:dictionary, {:s, 32}, {:date, :day}}, [~D[2026-11-21], nil, ~D[1970-01-01]]},
      {{:dictionary, {:u, 8}, :boolean}, [true, nil, false, true]},
      {{:dictionary, {:s, 8}, {:fixed_binary, 2}}, ["ab", nil, "cd", "ab"]},
      {{:dictionary, {:s, 8}, {:decimal, 256, 40, 1}}, [decimal(5, -1), nil, decimal(6, -1)]},
      {{:dictionary, {:s, 8}, {:list, {:f, 64}}}, [[-0.0], nil, [0.0], [-0.0]]},
      {{:dictionary, {:s, 8}, {:struct, [{"a", :string_view}]}},
       [%{"a" => "x"}, nil, %{"a" => nil}, %{"a" => "x"}]},
      {{:run_end_encoded, {:s, 16}, :string}, ["x", "x", nil, nil, "y", "x"]},
      {{:run_end_encoded, {:s, 32}, {:f, 64}}, [0.0, -0.0, -0.0, nil, 1.5]},
      {{:run_end_encoded, {:s, 64}, {:list, {:s, 8}}}, [[1], [1], nil, [2]]},
      {{:map, {:s, 8}, {:f, 16}}, [[{1, 1.5}, {2, nil}], nil, [], [{1, 0.5}, {1, 2.5}]]},
      {{:fixed_list, 2, @interval}, [[months(1), nil], nil, [months(2), months(3)]]}
    ]
  end

  defp decimal(digits, exponent),
    do: %Decimal{sign: if(digits < 0, do: -1, else: 1), coef: abs(digits), exp: exponent}

  defp months(n), do: %{months: 0, days: 0, nanoseconds: n}

  # Each by itself, and within others.
  defp nested do
    for {type, list} <- cases(), {type, list} <- [{type, list} | within(type, list)] do
      {type, list}
    end
  end

  defp within(type, list) do
    pair = %{"a" => List.last(list), "b" => 1}

    [
      {{:list, type}, [list, nil, [], Enum.reverse(list)]},
      {{:large_list_view, type}, [[], list, nil]},
      {{:struct, [{"a", type}, {"b", {:u, 8}}]}, [pair, nil, %{pair | "a" => hd(list)}]},
      {{:map, :string, type}, [for(element <- list, do: {"k", element}), nil]},
      {{:union, :dense, [{0, {"i", {:u, 64}}}, {1, {"l", {:list, type}}}]}, [7, list, 8, []]}
    ]
  end

  test "there and back, whole and in slices (R2.1, R2.2)", %{name: name} do
    {_ring, tx, rx} = pair(name, capacity: {8, :mib})

    for {type, list} <- nested(), list <- [list, [], Enum.map(list, fn _ -> nil end)] do
      told = inspect(type)
      column = Column.new(list, name: "c", type: type)
      assert Column.to_list(column) == list, told
      assert column.type == type
      Slipring.send!(tx, Table.new([column]))
      got = Slipring.recv!(rx, 1_000) |> Frame.value()
      assert {hd(got.fields).type, Table.to_columns(got)} == {type, %{"c" => list}}, told
      assert got["c"].null_count == column.null_count, told

      # What was read is said again, by columns and by rows: the same elements of the same types.
      types = for field <- got.fields, do: {field.name, field.type}
      again = Table.new(Table.to_columns(got), types: types)
      {:ok, by_rows} = Table.from_maps(Table.to_maps(got), types: types)

      for table <- [again, by_rows] do
        assert for(field <- table.fields, do: {field.name, field.type}) == types
        assert Table.to_columns(table) == %{"c" => list}, told
      end

      for from <- 0..length(list) do
        slice = Column.slice(column, from, length(list) - from)
        assert Column.to_list(slice) == Enum.drop(list, from), told
      end
    end
  end

  test "a type of any depth, on either kind of scheduler (P9)" do
    deep = fn type, wrap -> Enum.reduce(1..60, type, fn _, type -> wrap.(type) end) end
    union = &{:union, :dense, [{0, {"text", :string}}, {1, {"more", &1}}]}

    for {type, term} <- [
          {deep.({:s, 8}, &{:list, &1}), deep.(7, &[&1])},
          {deep.({:s, 8}, &{:struct, [{"a", &1}]}), deep.(7, &%{"a" => &1})},
          {deep.({:s, 8}, union), 7},
          {deep.({:s, 8}, &{:list_view, &1}), deep.(7, &[&1])}
        ],
        rows <- [1, 2_000] do
      list = List.duplicate(term, rows)
      assert Column.to_list(Column.new(list, type: type)) == list
    end
  end

  test "floats of 16 bits are the nearest, of two the even one" do
    above = :math.pow(2, -40)

    for {value, nearest} <- [
          {1 + :math.pow(2, -11), 1.0},
          {1 + :math.pow(2, -11) + above, 1.0009765625},
          {1 + 3 * :math.pow(2, -11), 1.001953125},
          {1 + 3 * :math.pow(2, -11) - above, 1.0009765625},
          {-65_519.99, -65_504.0},
          {:math.pow(2, -25), 0.0},
          {:math.pow(2, -25) + above, 5.960464477539063e-8},
          {2048, 2048.0},
          {-4096, -4096.0}
        ],
        do: assert(Column.to_list(Column.new([value], type: {:f, 16})) == [nearest])
  end

  test "unions take the member that gives a term back as it is, or the one that is named" do
    members = [
      {0, {"f", {:f, 64}}},
      {1, {"s", :string}},
      {2, {"i", {:s, 8}}},
      {3, {"b", :boolean}},
      {4, {"m", {:struct, [{"a", {:s, 8}}]}}},
      {5, {"n", {:struct, [{"a", {:s, 8}}, {"b", {:s, 8}}]}}}
    ]

    for mode <- [:dense, :sparse] do
      type = {:union, mode, members}
      build = &Column.new(&1, type: type)

      terms = [1, 1.5, "a", :nan, true, %{"a" => 1}, %{"a" => 1, "b" => 2}, nil]
      assert build.(terms).data == <<2, 0, 1, 0, 3, 4, 5, 0>>
      assert Column.to_list(build.(terms)) == terms
      # None gives these back: the first that holds them.
      assert Column.to_list(build.([300, :atom, %{b: 3}])) ==
               [300.0, "atom", %{"a" => nil, "b" => 3}]

      named = [{"f", 1}, {:s, "x"}, {2, 3}, {"i", nil}, {:n, %{a: 1}}]
      assert build.(named).data == <<0, 1, 2, 2, 5>>
      assert Column.to_list(build.(named)) == [1.0, "x", 3, nil, %{"a" => 1, "b" => nil}]
    end
  end

  test "dictionaries hold each element once, and runs none twice in a row" do
    column = Column.new([1, 1.0, nil, 2, 1], type: {:dictionary, {:s, 8}, {:f, 64}})
    assert Column.to_list(column.dictionary) == [1.0, 2.0]
    assert column.data == <<0, 0, 0, 1, 0>>
    column = Column.new([:a, "a", "b"], type: {:dictionary, {:u, 8}, :string_view})
    assert Column.to_list(column.dictionary) == ["a", "b"]
    full = Enum.to_list(0..255)
    column = Column.new(full, type: {:dictionary, {:u, 8}, {:s, 64}})
    assert Column.to_list(column) == full

    runs = Column.new([1, 1, nil, nil, 2], type: {:run_end_encoded, {:s, 16}, {:s, 8}})
    assert Enum.map(runs.children, &Column.to_list/1) == [[2, 4, 5], [1, nil, 2]]
  end

  test "maps are of maps or of pairs, sorted where the type says so" do
    sorted =
      {:map,
       {"entries", {:struct, [{"key", :string, %{nullable: false}}, {"value", {:s, 8}}]},
        %{nullable: false}}, true}

    column = Column.new([%{b: 1, a: 2}, [{"d", 3}, {"c", 4}]], type: sorted)
    assert Column.to_list(column) == [[{"a", 2}, {"b", 1}], [{"c", 4}, {"d", 3}]]
    pairs = [{"d", 3}, {"c", 4}, {"d", 5}]
    assert Column.to_list(Column.new([pairs], type: {:map, :string, {:s, 8}})) == [pairs]
  end

  test "decimals of more than 38 digits find their type" do
    list = [decimal(10 ** 50, -1), decimal(-3, 2)]
    assert %{type: {:decimal, 256, 51, 1}} = column = Column.new(list)
    assert Column.to_list(column) == [decimal(10 ** 50, -1), decimal(-3000, -1)]

    assert {:error, %{path: "$.columns.x[1]"}} =
             Column.build([decimal(1, -40), decimal(10 ** 50, 0)], name: "x")
  end

  test "what is not of the type is told with its path and what to do (R2.5, R6.5)" do
    strict = fn type -> {"item", type, %{nullable: false}} end
    union = {:union, :dense, @union}
    map = {:map, :string, {:s, 8}}

    for {list, type, path, told} <- [
          {[1, 2, "x"], {:s, 16}, "[2]", "a binary of 1 byte is no element of the type Int16"},
          {[0.5, 65_520.0], {:f, 16}, "[1]", "the float 65520.0"},
          {[2049], {:f, 16}, "[0]", "the integer 2049"},
          {[(1 <<< 24) + 1], {:f, 32}, "[0]", "the integer 16777217"},
          {["abcd"], {:fixed_binary, 3}, "[0]", "a binary of 4 bytes"},
          {[[1, 2], [1]], {:fixed_list, 2, {:s, 8}}, "[1]", "a list of 1 item"},
          {[[1], [2, "x"]], {:list_view, {:s, 8}}, "[1][1]", "Int8"},
          {[[1 | 2]], {:large_list_view, {:s, 8}}, "[0]", "an improper list"},
          {["a", <<255>>], :string_view, "[1]", "it is not UTF-8"},
          {[1], :binary_view, "[0]", "the integer 1"},
          {["a", nil, 1], {:dictionary, {:s, 8}, :string}, "[2]", "the integer 1"},
          {["a", nil, "a", <<255>>], {:dictionary, {:s, 8}, :string}, "[3]", "not UTF-8"},
          {[1, 1, nil, "a"], {:dictionary, {:s, 8}, {:u, 8}}, "[3]", "UInt8"},
          {[[1], [1], ["a"]], {:dictionary, {:s, 8}, {:list, {:u, 8}}}, "[2][0]", "UInt8"},
          {Enum.to_list(0..128), {:dictionary, {:s, 8}, {:s, 64}}, "[128]", "wider type"},
          {[1, 1, "x"], {:run_end_encoded, {:s, 16}, {:s, 8}}, "[2]", "Int8"},
          {List.duplicate(1, 32_768), {:run_end_encoded, {:s, 16}, {:s, 8}}, "[32767]", "wider"},
          {[1, 2.5], union, "[1]", ~s(of no member of the union; there are: 5 "i" of Int8)},
          {[1, {"z", 1}], union, "[1]", "no member of the union has this name or number"},
          {[{9, 1}], union, "[0]", "no member of the union has this name or number"},
          {[1, {"i", "no"}], union, "[1]", "a binary of 2 bytes is no element of the type Int8"},
          {[{1, 2, 3}], union, "[0]", "a tuple is of no member"},
          {[1], {:union, :sparse, []}, "[0]", "there are: none"},
          {[[{"a", 1}], [{"b", 2}, {nil, 1}]], map, "[1][1]", "a key that is nil"},
          {[%{:a => 1, "a" => 2}], map, "[0]", "the atom a stands there as a binary, too"},
          {[[{"a", 1, 2}]], map, "[0]", "a list of 1 item"},
          {[nil, %{a: "x"}], map, "[1][0].value", "Int8"},
          {[~D[2026-11-21]], map, "[0]", "a Date"},
          {[%{months: 1, days: 1}], {:interval, :month}, "[0]", "it is %{months: n}"},
          {[%{months: 1 <<< 31}], {:interval, :month}, "[0]", "32 bits"},
          {[%{days: 1}], {:interval, :day_time}, "[0]", "milliseconds: n"},
          {[nil, 5], @interval, "[1]", "nanoseconds: n"},
          {[501], {:decimal, 256, 76, -3}, "[0]", "the integer 501"},
          {[decimal(10 ** 76, 0)], {:decimal, 256, 76, 0}, "[0]", "Decimal256"},
          {[decimal(5, 9_000_000_000)], {:decimal, 128, 38, 0}, "[0]", "Decimal128"},
          {[[1, nil]], {:list, strict.({:s, 8})}, "[0][1]", ~s(nil where "item" of Int8)},
          {[nil, [1, nil]], {:fixed_list, 2, strict.({:s, 8})}, "[1][1]", "may not be null"},
          {[nil, %{}], {:struct, [strict.({:s, 8})]}, "[1].item", "may not be null"},
          {[1, 1, nil], {:run_end_encoded, {:s, 16}, strict.({:s, 8})}, "[2]", "may not be null"},
          {[nil], {:union, :dense, [{0, strict.({:s, 8})}]}, "[0]", "no member"},
          {[1, {"item", nil}], {:union, :dense, [{0, strict.({:s, 8})}]}, "[1]", "be null"},
          {[1, {"item", nil}], {:union, :sparse, [{0, strict.({:s, 8})}]}, "[1]", "be null"},
          {[%{nil => 1}], {:struct, [{"a", {:s, 8}}]}, "[0].nil", "no name"},
          {[%{a: 1}, %{b: 1}], {:struct, [{"a", {:s, 8}}]}, "[1]", "which has: a"},
          {[%{}], {:struct, [{"a", :null}, {"a", :null}]}, "[0]", ~s(two fields are named "a")},
          {[nil, nil], {:fixed_list, 1 <<< 30, {:s, 8}}, "[0]", "more than a column takes"}
        ] do
      assert {:error, %{reason: :encode} = error} = Column.build(list, name: "x", type: type)

      assert error.path == "$.columns.x" <> path
      assert error.message =~ told
      assert error.message =~ error.hint
      rows = Enum.map(list, &%{"x" => &1})
      assert {:error, by_rows} = Table.from_maps(rows, types: %{x: type})

      "$.columns.x" <> within = error.path
      [_, row, rest] = Regex.run(~r/^(\[\d+\])(.*)$/, within)
      assert by_rows.path == "$" <> row <> ".x" <> rest
    end
  end

  test "what is of the kind, and beyond the type, is told as that (R6.5)" do
    for {type, term, told} <- [
          {{:decimal, 64, 5, 1}, decimal(155, -2), "a digit would be lost"},
          {{:decimal, 256, 76, 1}, 10 ** 76, "a digit would be lost, or there are more"},
          {{:dictionary, {:s, 8}, {:decimal, 32, 5, 1}}, 100_000, "a digit would be lost"},
          {{:naive_datetime, :nanosecond}, ~N[2262-04-12 00:00:00],
           "beyond what the unit counts"},
          {{:datetime, :second, "UTC"}, ~U[2026-01-01 00:00:00.5Z], "or between its steps"},
          {{:time, :second}, ~T[01:02:03.004], "or between its steps"},
          {{:duration, :nanosecond}, %Duration{seconds: 1 <<< 62}, "beyond what the unit counts"}
        ] do
      error =
        assert_raise Slipring.Error, fn -> Column.new([nil, term], type: type, name: "c") end

      assert error.message =~ told
      assert error.path == "$.columns.c[1]"
    end

    for {type, term} <- [
          {{:decimal, 64, 5, 1}, "x"},
          {{:naive_datetime, :second}, ~U[2026-01-01 00:00:00Z]}
        ] do
      error = assert_raise Slipring.Error, fn -> Column.new([term], type: type) end
      refute error.message =~ "digit would" or error.message =~ "unit counts"
    end
  end

  test "decimals have no more digits than their bits (R6.5)" do
    for {bits, most} <- [{32, 9}, {64, 18}, {128, 38}, {256, 76}] do
      assert Column.new([7], type: {:decimal, bits, most, 0}).type == {:decimal, bits, most, 0}

      for precision <- [0, most + 1] do
        assert_raise ArgumentError, ~r/must be a type/, fn ->
          Column.new([7], type: {:decimal, bits, precision, 0})
        end
      end
    end
  end

  test "an error advises types only where they help" do
    for {list, advice} <- [
          {[1, "a"], ~r/one that holds all by :types/},
          {[1, self()], ~r/leave it out, or send the terms as a value$/},
          {[1 <<< 70], ~r/by :types/},
          {[%{1 => 2}], ~r/keys are atoms or texts/}
        ] do
      assert {:error, error} = Column.build(list, name: "x")
      assert error.hint =~ advice
    end

    # As it says.
    type = {:union, :dense, [{0, {"i", {:s, 64}}}, {1, {"t", :string}}]}
    assert Column.to_list(Column.new([1, "a"], type: type)) == [1, "a"]
    assert Column.to_list(Column.new([1 <<< 62], type: {:decimal, 256, 76, 0})) != []
  end

  describe "option :types" do
    test "of no column is an error in new/2, and nulls in from_maps/2 (R6.5)" do
      for types <- [%{b: :string}, [a: {:s, 8}, b: :string]] do
        assert_raise ArgumentError,
                     ~r/type for "b", which is no column; there are: "a", "c"/,
                     fn ->
                       Table.new([a: [1], c: [2]], types: types)
                     end
      end

      types = [z: {:dictionary, {:s, 8}, {:s, 64}}, a: {:s, 8}, b: {:union, :dense, @union}]

      for {maps, rows} <- [{[%{a: 1}, %{c: 2}], 2}, {[%{}, %{}], 2}, {[], 0}] do
        table = Table.from_maps!(maps, types: types)
        assert table.rows == rows
        found = for map <- maps, {name, _} <- map, do: "#{name}"
        assert Table.names(table) == found ++ (~w(z a b) -- found)
        for {name, type} <- types, do: assert(table[name].type == type)
        assert Column.to_list(table["z"]) == List.duplicate(nil, rows)
      end
    end

    test "is what rows are of, whatever they seem to be" do
      for {type, list, elements} <- [
            {{:f, 64}, [1, nil, 2], [1.0, nil, 2.0]},
            {{:f, 64}, [1, 2.5], [1.0, 2.5]},
            {{:s, 64}, [1, nil], [1, nil]},
            {:string, ["a", nil], ["a", nil]},
            {:string, ["a", :b, true], ["a", "b", "true"]},
            {:binary, ["a", <<255>>], ["a", <<255>>]},
            {:boolean, [nil, true], [nil, true]},
            {:boolean, [nil, nil], [nil, nil]}
          ] do
        table = Table.from_maps!(Enum.map(list, &%{a: &1}), types: [a: type])
        assert {table["a"].type, Column.to_list(table["a"])} == {type, elements}
      end

      for {type, list, row} <- [
            {:string, [1], 0},
            {:string, ["a", <<255>>], 1},
            {{:s, 64}, [1, 2.5], 1},
            {{:s, 64}, ["a"], 0},
            {{:f, 64}, [1, (1 <<< 53) + 1], 1},
            {{:f, 64}, [true], 0},
            {:boolean, [true, 1], 1}
          ] do
        path = "$[#{row}].a"
        maps = Enum.map(list, &%{a: &1})
        assert {:error, %{path: ^path}} = Table.from_maps(maps, types: [a: type])
      end
    end

    test "says one type of a name, and none else of a column that has one" do
      column = Column.new([1], name: "a")
      assert Table.new([column], types: %{a: {:s, 64}})["a"] == column

      assert_raise ArgumentError, ~r/"a" is of the type s64, not of string/, fn ->
        Table.new([column], types: %{a: :string})
      end

      for types <- [[{:a, :string}, {"a", :string}], [a: :string, a: :string]] do
        assert_raise ArgumentError, ~r/not two for "a"/, fn ->
          Table.new([a: [1]], types: types)
        end
      end
    end

    test "takes a day as its midnight, as the rules of schemas do" do
      table = Table.new([at: [~D[2026-11-21], nil]], types: [at: {:naive_datetime, :millisecond}])
      assert Column.to_list(table["at"]) == [~N[2026-11-21 00:00:00.000], nil]
    end
  end

  describe "under a schema" do
    @announced [
      f32: {:f, 32},
      f16: {:f, 16},
      id: {:fixed_binary, 2},
      pair: {:fixed_list, 2, {:s, 8}},
      map: {:map, :string, {:s, 8}},
      kind: {:dictionary, {:s, 8}, :string},
      code: {:dictionary, {:u, 8}, {:s, 64}},
      view: :string_view,
      span: {:interval, :day_time},
      either: {:union, :sparse, @union},
      runs: {:run_end_encoded, {:s, 32}, {:s, 8}},
      wide: {:decimal, 256, 50, 1},
      took: {:duration, :second}
    ]

    defp record do
      %{
        f32: 0.1,
        f16: 2,
        id: "ab",
        pair: [1, nil],
        map: %{k: 1},
        kind: :a,
        code: 1 <<< 40,
        view: @long,
        span: %{days: 1, milliseconds: 2},
        either: "text",
        runs: 7,
        wide: 3,
        took: %Duration{seconds: 3, microseconds: 0}
      }
    end

    defp expected do
      <<f32::float-32>> = <<0.1::float-32>>
      changed = %{f32: f32, f16: 2.0, map: [{"k", 1}], kind: "a", wide: decimal(30, -1)}
      for {name, value} <- Map.merge(record(), changed), into: %{}, do: {"#{name}", value}
    end

    test "records and columns are written as it says (R2.1, R2.4)", %{name: name} do
      {ring, tx, rx} = pair(name, capacity: {8, :mib})
      one = Slipring.announce!(ring, "all", @announced, version: 1)
      nulls = for {key, _} <- @announced, into: %{}, do: {"#{key}", nil}
      columns = for {key, value} <- record(), into: %{}, do: {key, [value, nil]}

      for schema <- [one, "all"],
          {rows, expected} <- [
            {[record(), %{}], [expected(), nulls]},
            {columns, [expected(), nulls]},
            {Map.to_list(columns), [expected(), nulls]},
            {[%{f32: 1}], [%{nulls | "f32" => 1.0}]},
            {[], []}
          ] do
        :ok = Slipring.send(tx, rows, schema: schema)
        {:ok, 2} = Slipring.send_many(tx, [rows, []], schema: schema)
        [first, second, _empty] = for _ <- 1..3, do: Frame.value(Slipring.recv!(rx, 1_000))

        for table <- [first, second] do
          assert for(field <- table.fields, do: {field.name, field.type}) ==
                   for({name, type} <- @announced, do: {"#{name}", type})

          assert Table.to_maps(table) == expected
        end
      end
    end

    test "is said with what a column may be, as fields within types are (R2.4)", %{name: name} do
      {ring, tx, rx} = pair(name)
      default = %{"slipring.default" => "7"}
      fields = [{"a", {:s, 8}, %{nullable: false}}, {:b, {:s, 16}, %{metadata: default}}]
      schema = Slipring.announce!(ring, "w", fields, version: 1)
      Slipring.send!(tx, [%{a: 1}], schema: schema)
      table = Frame.value(Slipring.recv!(rx, 1_000))
      assert Table.to_maps(table) == [%{"a" => 1, "b" => 7}]
      told = for field <- table.fields, do: {field.name, field.nullable, field.metadata}
      assert told == [{"a", false, %{}}, {"b", true, default}]

      for {said, text} <- [
            {%{nullable: nil}, ~r/column "a" is said with :nullable => nil/},
            {%{null: false}, ~r/:null => false, but with nullable: or ordered/},
            {:no, ~r/a schema is made of {name, type}, {name, type, %{nullable: false/}
          ] do
        assert_raise ArgumentError, text, fn ->
          Slipring.announce!(ring, "v", [{"a", {:s, 8}, said}], version: 1)
        end
      end
    end

    test "has no nulls where none were announced, of unions and runs as well (R5.5)", %{
      name: name
    } do
      {ring, tx, rx} = pair(name)
      union = fn mode -> {:union, mode, [{0, {"i", {:s, 8}}}, {1, {"t", :string}}]} end

      for {type, number} <-
            Enum.with_index([
              union.(:dense),
              union.(:sparse),
              {:run_end_encoded, {:s, 16}, {:s, 8}},
              {:dictionary, {:s, 8}, {:s, 8}},
              {:s, 8}
            ]) do
        strict = %{Column.new([], name: "a", type: type) | nullable: false}
        schema = Slipring.announce!(ring, "w#{number}", [strict], version: 1)

        for rows <- [[%{a: 1}, %{a: 1}, %{a: nil}], %{a: [1, 1, nil]}] do
          assert {:error, error} = Slipring.send(tx, rows, schema: schema)
          assert {error.reason, error.path} == {:schema, "$.columns.a"}
          assert error.message =~ "there are 1, the first in row 2"
        end

        Slipring.send!(tx, [%{a: 1}, %{a: 1}], schema: schema)
        assert Table.to_maps(Frame.value(Slipring.recv!(rx, 1_000))) == [%{"a" => 1}, %{"a" => 1}]
      end
    end

    test "what does not fit is told by row and column (R5.5, R6.5)", %{name: name} do
      {ring, tx, _rx} = pair(name)
      one = Slipring.announce!(ring, "all", @announced, version: 3)

      for {key, {value, told}} <- [
            f32: {"x", "Float32"},
            f16: {1.0e6, "Float16"},
            id: {"abc", "a binary of 3 bytes"},
            pair: {[1], "a list of 1 item"},
            map: {%{k: "x"}, "Int8"},
            kind: {5, "the integer 5"},
            either: {{"q", 1}, "no member of the union"}
          ] do
        within = if key == :map, do: "[0].value", else: ""
        rows = [record(), Map.put(record(), key, value)]
        columns = %{key => [record()[key], value]}

        for {term, path} <- [
              {rows, "$[1].#{key}#{within}"},
              {columns, "$.columns.#{key}[1]#{within}"}
            ] do
          assert {:error, %{reason: :schema} = error} = Slipring.send(tx, term, schema: one)
          assert {error.path, error.got, error.expected} == {path, 3, 3}
          assert error.message =~ ~s(does not fit what was announced as "all", version 3: )
          assert error.message =~ told
          assert error.hint == "give what was announced, or announce it as version 4"
          assert Exception.message(error) =~ "send on ring"
          assert {:error, error} = Slipring.send_many(tx, [[], term], schema: one)
          assert {error.path, error.sent} == {String.replace(path, "$", "$[1]"), 0}
        end
      end

      for {term, path} <- [
            {[record(), %{f32: 1, other: 2}], "$[1].other"},
            {%{f32: [1], other: [2]}, "$.columns.other"}
          ] do
        assert {:error, error} = Slipring.send(tx, term, schema: one)
        assert {error.reason, error.path, error.got} == {:schema, path, 3}
        assert error.message =~ ~s("other" was not announced, but "code", "either",)
      end

      # What has a type keeps it.
      for column <- [Column.new([0.5]), Tensor.from_list([0.5], {1}, {:f, 64})] do
        assert {:error, %{reason: :schema, path: "$.columns.f32"}} =
                 Slipring.send(tx, %{f32: column}, schema: one)
      end
    end

    test "a migration's rows are written as its version says (R13.2)", %{name: name} do
      {ring, tx, rx} = pair(name)
      one = Slipring.announce!(ring, "m", [x: {:s, 64}], version: 1)
      two = [x: {:f, 32}, k: {:dictionary, {:s, 8}, :string}]
      migrate = fn table -> for %{"x" => x} <- table, do: %{x: x / 4, k: "k#{x}"} end
      :ok = Slipring.expect(rx, "m", two, version: 2, migrations: %{1 => migrate})
      :ok = Slipring.send(tx, Table.new(x: [1, 2]), schema: one)
      table = Frame.value(Slipring.recv!(rx, 1_000))
      assert for(field <- table.fields, do: field.type) == Keyword.values(two)
      assert Table.to_columns(table) == %{"x" => [0.25, 0.5], "k" => ["k1", "k2"]}
    end
  end
end

defmodule Slipring.TableTest do
  use Slipring.Case, async: true

  import Bitwise

  alias Slipring.{Column, Native, Table}

  @units [:second, :millisecond, :microsecond, :nanosecond]

  # Types, and elements that come back as they are.
  defp built do
    [
      {:null, [nil, nil, nil]},
      {:boolean, [true, nil, false, true, true, false, false, true, nil, true]},
      {{:f, 32}, [1.5, nil, -0.25, :nan, :infinity, :neg_infinity]},
      {{:f, 64}, [1.0e300, nil, -0.1, :nan, :infinity, :neg_infinity]},
      {:string, ["", "a", nil, "é", String.duplicate("x", 70_000)]},
      {:large_string, ["", "a", nil, "é"]},
      {:binary, [<<255>>, "", nil]},
      {:large_binary, [<<255>>, "", nil]},
      {{:fixed_binary, 3}, ["abc", nil, <<0, 255, 0>>]},
      {{:date, :day}, [~D[1970-01-01], nil, ~D[-0044-03-15], ~D[9999-12-31]]},
      {{:date, :millisecond}, [~D[1969-12-31], nil, ~D[2026-11-21]]},
      {{:list, {:s, 16}}, [[1, nil, -3], nil, [], [4]]},
      {{:large_list, :string}, [["a"], nil, [], ["b", nil]]},
      {{:fixed_list, 2, {:u, 8}}, [[1, 2], nil, [3, nil]]},
      {{:struct, [{"a", {:s, 8}}, {"b", {:list, :boolean}}]},
       [%{"a" => 1, "b" => [true]}, nil, %{"a" => nil, "b" => nil}]},
      {{:map, :string, {:f, 64}}, [[{"k", 1.5}, {"l", nil}], nil, []]},
      {{:dictionary, {:s, 8}, :string}, ["x", nil, "y", "x"]},
      {{:dictionary, {:u, 64}, :binary}, ["x", nil, <<255>>, "x"]},
      {{:datetime, :second, "UTC"}, [~U[2026-11-21 10:46:00Z], nil, ~U[1900-01-01 00:00:00Z]]}
    ] ++
      for(
        {kind, low, high} <- [{:s, -1, 1}, {:u, 0, 2}],
        bits <- [8, 16, 32, 64],
        do: {{kind, bits}, [low <<< (bits - 1), nil, (high <<< (bits - 1)) - 1, 7]}
      ) ++
      for(
        bits <- [32, 64, 128, 256],
        do:
          {{:decimal, bits, 9, 2},
           [
             %Slipring.Decimal{sign: -1, coef: 123_456_789, exp: -2},
             nil,
             %Slipring.Decimal{sign: 1, coef: 0, exp: -2}
           ]}
      ) ++
      Enum.flat_map(Enum.zip(@units, [0, 3, 6, 6]), fn {unit, digits} ->
        us = if digits == 0, do: 0, else: 12_000
        naive = %{~N[2026-11-21 10:46:28] | microsecond: {us, digits}}

        [
          {{:time, unit}, [%{~T[23:59:59] | microsecond: {us, digits}}, nil]},
          {{:naive_datetime, unit}, [naive, nil]},
          {{:datetime, unit, "Europe/Berlin"}, [DateTime.from_naive!(naive, "Etc/UTC"), nil]},
          {{:duration, unit}, [%Slipring.Duration{seconds: -3, microseconds: us}, nil]}
        ]
      end)
  end

  # Columns of types that terms don't become.
  defp made do
    column = fn type, length, fields -> struct!(%Column{type: type, length: length}, fields) end
    ints = Column.new([10, 20, 30, 40], name: "i")
    texts = Column.new(["p", nil, "q", "r"], name: "t")
    long = "longer than twelve bytes"
    union = fn mode -> {:union, mode, [{5, {"i", {:s, 64}}}, {7, {"t", :string}}]} end
    ids = <<5, 7, 5, 7>>

    short = fn text ->
      <<byte_size(text)::little-32, text::binary, 0::size(12 - byte_size(text))-unit(8)>>
    end

    view = <<byte_size(long)::little-32, "long", 0::little-32, 3::little-32>>
    views = short.("abc") <> view <> short.("") <> short.("twelve bytes")

    [
      {column.(union.(:sparse), 4, data: ids, children: [ints, texts]), [10, nil, 30, "r"]},
      {column.(union.(:dense), 4,
         data: ids,
         offsets: <<3::little-32, 0::little-32, 0::little-32, 2::little-32>>,
         children: [ints, texts]
       ), [40, "p", 10, "q"]},
      {column.({:run_end_encoded, {:s, 16}, :string}, 6,
         children: [
           Column.new([2, 3, 5, 9], type: {:s, 16}, name: "run_ends"),
           Column.new(["x", nil, "y", "z"], name: "values")
         ]
       ), ["x", "x", nil, "y", "y", "z"]},
      {column.({:list_view, {:s, 64}}, 4,
         offsets: <<2::little-32, 0::little-32, 0::little-32, 4::little-32>>,
         sizes: <<2::little-32, 4::little-32, 0::little-32, 0::little-32>>,
         validity: <<0b0111>>,
         null_count: 1,
         children: [%{ints | name: "item"}]
       ), [[30, 40], [10, 20, 30, 40], [], nil]},
      {column.({:large_list_view, {:s, 64}}, 2,
         offsets: <<3::little-64, 0::little-64>>,
         sizes: <<1::little-64, 2::little-64>>,
         children: [%{ints | name: "item"}]
       ), [[40], [10, 20]]},
      {column.(:string_view, 4, data: views, buffers: ["---" <> long]),
       ["abc", long, "", "twelve bytes"]},
      {column.(:binary_view, 4,
         data: views,
         buffers: ["---" <> long],
         validity: <<0b1011>>,
         null_count: 1
       ), ["abc", long, nil, "twelve bytes"]},
      {column.({:f, 16}, 3, data: <<0x3E00::little-16, 0x7C00::little-16, 0xC000::little-16>>),
       [1.5, :infinity, -2.0]},
      {column.({:interval, :month}, 2, data: <<14::little-32, -1::little-32>>),
       [%{months: 14}, %{months: -1}]},
      {column.({:interval, :day_time}, 1, data: <<-3::little-32, 500::little-32>>),
       [%{days: -3, milliseconds: 500}]},
      {column.({:interval, :month_day_nano}, 1,
         data: <<1::little-32, -2::little-32, 3::little-64>>
       ), [%{months: 1, days: -2, nanoseconds: 3}]},
      {column.({:datetime, :second, "+05:30"}, 1, data: <<0::64>>),
       [
         %{
           ~U[1970-01-01 05:30:00Z]
           | utc_offset: 19_800,
             time_zone: "+05:30",
             zone_abbr: "+05:30"
         }
       ]},
      {column.({:decimal, 256, 76, -3}, 2, data: <<-5::little-256, 1 <<< 200::little-256>>),
       [
         %Slipring.Decimal{sign: -1, coef: 5, exp: 3},
         %Slipring.Decimal{sign: 1, coef: 1 <<< 200, exp: 3}
       ]}
    ]
  end

  defp columns do
    for({type, list} <- built(), do: {Column.new(list, type: type), list}) ++ made()
  end

  test "every type of Arrow there and back, in place and copied (R2.2, R14.2)", %{name: name} do
    {_ring, tx, rx} = pair(name, capacity: {8, :mib})
    Slipring.close(rx)

    for lease <- [:always, :never] do
      rx = Slipring.consumer!(name, lease: lease)

      for {column, list} <- columns() do
        assert Column.to_list(column) == list, inspect(column.type)
        table = Table.new([%{column | name: "c"}])
        Slipring.send!(tx, table)
        frame = Slipring.recv!(rx, 1_000)
        assert frame.format == :arrow
        assert Frame.in_place?(frame) == (lease == :always)
        got = Frame.value(frame)

        assert [%{name: "c", type: type, length: length}] =
                 got.fields |> Enum.map(&%{&1 | length: column.length})

        assert {type, length} == {column.type, column.length}
        assert Column.to_list(got["c"]) == list
        assert got["c"].null_count == column.null_count

        # What goes on is what came.
        Slipring.send!(tx, got)
        again = tx |> then(fn _ -> Slipring.recv!(rx, 1_000) end) |> Frame.value()
        assert again.fields == got.fields
        assert Column.to_list(again["c"]) == list
        Frame.release(frame)
      end

      Slipring.close(rx)
    end
  end

  test "slices and columns put together hold what they should" do
    for {column, list} <- columns() do
      length = column.length

      for from <- 0..length, count <- 0..(length - from) do
        slice = Column.slice(column, from, count)
        expected = Enum.slice(list, from, count)
        assert Column.to_list(slice) == expected, inspect({column.type, from, count})
        if slice.validity, do: assert(slice.null_count == Enum.count(expected, &is_nil/1))
        # A slice of a slice, and one that is put together with another.
        if count > 1,
          do: assert(Column.to_list(Column.slice(slice, 1, count - 1)) == tl(expected))
      end

      middle = Column.slice(column, 1, length - 1)
      joined = Column.concat([middle, column, Column.slice(column, 0, 0)])
      assert Column.to_list(joined) == tl(list) ++ list, inspect(column.type)
    end
  end

  test "slices are cut when they are sent", %{name: name} do
    {_ring, tx, rx} = pair(name)

    for {column, list} <- columns(), column.length > 1 do
      slice = Column.slice(column, 1, column.length - 1)
      Slipring.send!(tx, Table.new([%{slice | name: "c"}]))

      assert Slipring.recv!(rx, 1_000) |> Frame.value() |> Table.to_columns() == %{
               "c" => tl(list)
             }
    end
  end

  describe "a table" do
    test "of columns, of maps, and as both again (R2.1, R2.2)" do
      table =
        Table.new(%{
          "a" => [1, nil],
          b: ["x", "y"],
          c: Tensor.from_list([1.5, 2.5], {2}, {:f, 32})
        })

      assert Table.names(table) == ["b", "c", "a"] or Enum.sort(Table.names(table)) == ~w(a b c)
      assert Table.to_columns(table) == %{"a" => [1, nil], "b" => ["x", "y"], "c" => [1.5, 2.5]}
      maps = [%{"a" => 1, "b" => "x", "c" => 1.5}, %{"a" => nil, "b" => "y", "c" => 2.5}]
      assert Table.to_maps(table) == maps
      assert Enum.to_list(table) == maps
      assert Enum.at(table, -1) == List.last(maps)
      assert Enum.slice(table, 0..1//1) == maps
      assert Enum.count(table) == 2 and hd(maps) in table
      assert Table.to_maps(Table.from_maps!(maps)) == maps
      assert table["nothing"] == nil
      assert table[:a] == table["a"]
      assert_raise KeyError, fn -> Table.column(table, "nothing") end
      assert {_, popped} = pop_in(table["b"])
      assert Enum.sort(Table.names(popped)) == ["a", "c"]
      put = put_in(table["b"], [true, false])
      assert Column.to_list(put["b"]) == [true, false]
    end

    test "two columns of one name are told, and none is lost" do
      table = Table.new([{"a", [1]}, {"b", [2]}, {"a", [3]}])

      assert_raise ArgumentError, ~r/two columns are named "a".*column\/2/, fn ->
        Table.to_columns(table)
      end

      assert Enum.map([0, 2], &Slipring.Column.to_list(Table.column(table, &1))) == [[1], [3]]
    end

    test "without rows, without columns, without batches", %{name: name} do
      {_ring, tx, rx} = pair(name)
      {:ok, keyless} = Table.from_maps([%{}, %{}])
      {:ok, none} = Table.from_maps([])

      for {table, maps} <- [
            {Table.new(a: [], b: Column.new([], type: :string)), []},
            {keyless, [%{}, %{}]},
            {none, []},
            {Table.new([]), []},
            {%{Table.new(a: [1]) | batches: [], rows: 0}, []}
          ] do
        Slipring.send!(tx, table)
        got = Frame.value(Slipring.recv!(rx, 1_000))
        assert Table.names(got) == Table.names(table)
        assert {Table.to_maps(got), Enum.to_list(got), got.rows} == {maps, maps, length(maps)}
        assert inspect(got) =~ "#Slipring.Table<"
      end
    end

    test "of several batches", %{name: name} do
      {_ring, tx, rx} = pair(name)

      tables =
        for ids <- [[1, 2], [], [3], [4, nil, 6]],
            do: Table.new(id: ids, t: Enum.map(ids, &"#{&1}")) |> typed()

      whole = Table.concat(tables)
      Slipring.send!(tx, whole)
      got = Frame.value(Slipring.recv!(rx, 1_000))
      ids = [1, 2, 3, 4, nil, 6]
      assert got.rows == 6 and length(got.batches) == 4
      assert Column.to_list(got["id"]) == ids
      assert Table.to_columns(got)["id"] == ids
      assert Enum.map(got, & &1["id"]) == ids
      assert got |> Table.batches() |> Enum.map(& &1.rows) == [2, 0, 1, 3]

      for from <- 0..6, count <- 0..(6 - from) do
        assert got |> Table.slice(from, count) |> Table.to_maps() |> Enum.map(& &1["id"]) ==
                 Enum.slice(ids, from, count)
      end

      assert_raise ArgumentError, fn -> Table.slice(got, 3, 4) end

      assert_raise ArgumentError, ~r/different columns/, fn ->
        Table.concat([got, Table.new(x: [1])])
      end
    end

    defp typed(table) do
      Table.new(
        [id: Column.to_list(table["id"]), t: Column.to_list(table["t"])],
        types: %{id: {:s, 64}, t: :string}
      )
    end

    test "of many rows goes by dirty schedulers, and comes back", %{name: name} do
      {_ring, tx, rx} = pair(name, capacity: {64, :mib})
      n = 200_000
      maps = for i <- 1..n, do: %{id: i, half: i / 2, text: "row #{i}", at: nil}
      table = Table.from_maps!(maps)
      Slipring.send!(tx, table)
      got = Frame.value(Slipring.recv!(rx, 5_000))
      assert Column.to_list(got["text"]) == Enum.map(maps, & &1.text)
      assert Column.sum(got["id"]) == div(n * (n + 1), 2)
      assert length(Table.to_maps(got)) == n

      assert Enum.at(got, n - 1) == %{
               "id" => n,
               "half" => n / 2,
               "text" => "row #{n}",
               "at" => nil
             }

      assert Column.sum(got["half"]) == n * (n + 1) / 4
    end

    test "shows itself" do
      many = for i <- 1..30, do: {"column #{i}", ["a\nb", String.duplicate("wide ", 20)]}
      shown = inspect(Table.new(many))
      assert shown =~ "2 rows, 30 columns" and shown =~ "more"
      assert Enum.all?(String.split(shown, "\n"), &(String.length(&1) < 125))
      damaged = %{Table.new(a: ["x"]) | fields: [Column.new([<<1>>], name: "a", type: :string)]}
      bad = Column.new(<<255>>, type: {:u, 8})

      text = %Column{
        type: :string,
        length: 1,
        data: bad.data,
        offsets: <<0::32, 1::little-32>>,
        name: "a"
      }

      assert inspect(%{damaged | batches: [{1, [text]}]}) =~ "unreadable"
      assert inspect(text) =~ "unreadable"
    end
  end

  describe "inference" do
    test "finds the type that holds all (R2.1)" do
      for {list, type} <- [
            {[], :null},
            {[nil], :null},
            {[1, nil], {:s, 64}},
            {[1, 1 <<< 63], {:u, 64}},
            {[1, 2.5], {:f, 64}},
            {[:nan, 1], {:f, 64}},
            {["a", :b], :string},
            {["a", <<255>>], :binary},
            {[~T[10:00:00], ~T[10:00:00.5]], {:time, :millisecond}},
            {[~N[2026-01-01 00:00:00]], {:naive_datetime, :second}},
            {[~N[2026-01-01 00:00:00.000001]], {:naive_datetime, :microsecond}},
            {[%Slipring.Duration{seconds: 1}], {:duration, :microsecond}},
            {[%Slipring.Decimal{coef: 15, exp: -1}, %Slipring.Decimal{coef: 3, exp: 2}],
             {:decimal, 128, 4, 1}},
            {[[1], [2.5, nil]], {:list, {:f, 64}}},
            {[%{a: 1}, %{"b" => [%{c: nil}]}],
             {:struct, [{"a", {:s, 64}}, {"b", {:list, {:struct, [{"c", :null}]}}}]}}
          ] do
        assert Column.new(list).type == type
      end
    end

    # The pass over maps guesses; columns by themselves are looked at twice.
    test "of maps is that of each column by itself (R2.1, R2.5)" do
      :rand.seed(:exsss, {2026, 11, 21})
      pick = fn list -> Enum.at(list, :rand.uniform(length(list)) - 1) end

      kinds = [
        [1, -7, 9_007_199_254_740_993, nil],
        [1, 2, 2.5, -0.0, nil],
        [1, 2, 9_007_199_254_740_993, 2.5],
        [1.5, 2.5, 3],
        [0, 18_446_744_073_709_551_615, nil],
        [-1, 18_446_744_073_709_551_615],
        [1, 18_446_744_073_709_551_616],
        ["a", "", "é", String.duplicate("long ", 20), nil],
        ["a", <<255>>, nil],
        # Two that are UTF-8 only together.
        [<<0xC3>>, <<0xA9>>],
        ["a", :b, nil],
        ["a", <<1::3>>],
        [true, false, nil],
        [true, "true"],
        [true, 1],
        [nil],
        [1.5, :nan, :infinity],
        [~D[2026-11-21], nil],
        [[1], [], nil],
        [%{"x" => 1}, %{y: nil}, nil],
        [1, self()]
      ]

      names = ["a", :b, "c", :d]

      outcomes =
        for _ <- 1..600 do
          columns = for name <- names, do: {name, pick.(kinds)}
          # Also such as have keys missing, or no two keys of one word.
          missing = pick.([0, 0, 0.2, 0.8])

          maps =
            for _ <- 1..:rand.uniform(20) do
              for {name, kind} <- columns, :rand.uniform() >= missing, into: %{} do
                name = if is_binary(name), do: String.slice(name <> " ", 0, 1), else: name
                {name, pick.(kind)}
              end
            end

          found = for map <- maps, {name, _value} <- map, uniq: true, do: name

          by_itself =
            try do
              {:ok,
               for name <- found do
                 column = Column.new(Enum.map(maps, & &1[name]), name: name)

                 {column.name, column.type, column.null_count, column.validity,
                  Column.to_list(column)}
               end}
            rescue
              error in Error -> {:error, error.reason, error.got}
            end

          of_maps =
            case Table.from_maps(maps) do
              {:ok, table} ->
                assert table.rows == length(maps)

                {:ok,
                 for name <- found do
                   column = table[name]

                   {column.name, column.type, column.null_count, column.validity,
                    Column.to_list(column)}
                 end}

              {:error, error} ->
                assert error.path =~ ~r/^\$\[\d+\]\./
                {:error, error.reason, error.got}
            end

          # Of several that can't be built either may be told.
          if elem(by_itself, 0) == :error,
            do: assert(elem(of_maps, 0) == :error),
            else: assert(of_maps == by_itself)

          elem(of_maps, 0)
        end

      assert %{ok: some, error: others} = Enum.frequencies(outcomes)
      assert some > 60 and others > 60

      # Types that are asked for, and keys that stand twice, or are none.
      {:ok, table} =
        Table.from_maps([%{a: 1, b: nil}, %{b: 2, c: "x"}], types: %{a: {:u, 8}, c: :binary})

      assert for(field <- table.fields, do: field.type) == [{:u, 8}, {:s, 64}, :binary]
      assert Table.to_columns(table) == %{"a" => [1, nil], "b" => [nil, 2], "c" => [nil, "x"]}

      for maps <- [
            [%{:a => 1, "a" => 1}],
            [%{}, %{1 => 1}],
            [%{nil => 1}],
            [%{a: 1}, ~D[2026-11-21]]
          ],
          do: assert({:error, %Error{reason: :encode}} = Table.from_maps(maps))

      assert {:error, %{path: "$[1].a"}} =
               Table.from_maps([%{a: 1}, %{a: "x"}], types: %{a: {:s, 8}})
    end

    test "says where what is mixed stands (R2.5, R6.5)" do
      for {list, path} <- [
            {[1, "a"], "$.columns.x[1]"},
            {[(1 <<< 53) + 1, 0.5], "$.columns.x[0]"},
            {[-1, 1 <<< 63], "$.columns.x[1]"},
            {[1 <<< 64], "$.columns.x[0]"},
            {[[1], [2, nil, "x"]], "$.columns.x[1][2]"},
            {[%{a: [1]}, nil, %{a: [2, [3]]}], "$.columns.x[2].a[1]"},
            {[self()], "$.columns.x[0]"},
            {[{1, 2}], "$.columns.x[0]"},
            {[%{1 => 2}], "$.columns.x[0].{1}"},
            {[%{:a => 1, "a" => 2}], "$.columns.x[0]"},
            {[[1 | 2]], "$.columns.x[0]"},
            {[1..2], "$.columns.x[0]"}
          ] do
        assert {:error, %{reason: :encode, path: ^path}} = Column.build(list, name: "x"), path
      end

      for {list, type, path} <- [
            {[1, 300], {:u, 8}, "$.columns.x[1]"},
            {[1.0e39], {:f, 32}, "$.columns.x[0]"},
            {["ab", "a"], {:fixed_binary, 2}, "$.columns.x[1]"},
            {[<<255>>], :string, "$.columns.x[0]"},
            {[~T[10:00:00.5]], {:time, :second}, "$.columns.x[0]"},
            {[~N[2026-01-01 00:00:00]], {:datetime, :second, "UTC"}, "$.columns.x[0]"},
            {[[1, 2], [1]], {:fixed_list, 2, {:s, 64}}, "$.columns.x[1]"},
            {[%{a: 1, b: 2}], {:struct, [{"a", {:s, 64}}]}, "$.columns.x[0]"},
            {[%Slipring.Decimal{coef: 15, exp: -3}], {:decimal, 128, 9, 2}, "$.columns.x[0]"},
            {[%Slipring.Decimal{coef: 1000, exp: 0}], {:decimal, 32, 4, 2}, "$.columns.x[0]"},
            {Enum.map(0..128, &"#{&1}"), {:dictionary, {:s, 8}, :string}, "$.columns.x[128]"}
          ] do
        assert {:error, %{reason: :encode, path: ^path}} =
                 Column.build(list, name: "x", type: type)
      end

      assert {:error, %{path: "$[1].id"}} = Table.from_maps([%{id: 1}, %{id: "a"}])
      assert {:error, %{path: "$[1].a.b[0]"}} = Table.from_maps([%{a: nil}, %{a: %{b: [self()]}}])
      assert {:error, %{path: "$[1]"}} = Table.from_maps([%{id: 1}, 5])
      assert_raise ArgumentError, ~r/must be a type/, fn -> Column.new([1], type: {:s, 7}) end
      assert_raise ArgumentError, ~r/"b" has 1 elements/, fn -> Table.new(a: [1, 2], b: [1]) end
    end
  end

  describe "records" do
    test "of text keys and plain values go as a table, and come back as they are (R2.2)", %{
      name: name
    } do
      {_ring, tx, rx} = pair(name)

      alike =
        for i <- 1..200,
            do: %{
              "id" => i,
              "name" => "n#{i}",
              "ok" => rem(i, 2) == 0,
              "x" => if(rem(i, 3) > 0, do: i / 3)
            }

      missing =
        for i <- 1..200,
            do: if(rem(i, 2) == 0, do: %{"id" => i}, else: %{"id" => i, "only" => "odd"})

      for maps <- [alike, missing] do
        assert Slipring.explain(maps).format == :arrow
        Slipring.send!(tx, maps)
        {:ok, 2} = Slipring.send_many(tx, [maps, maps])
        frames = Slipring.recv_many!(rx, 3, 1_000)
        assert Enum.map(frames, & &1.format) == [:arrow, :arrow, :arrow]
        assert Enum.all?(frames, &(Frame.value(&1) == maps))
        assert Frame.table(hd(frames)).rows == 200
      end

      # What would not come back as it is goes as a value.
      for maps <- [
            Enum.take(alike, 127),
            Enum.map(alike, &Map.new(&1, fn {k, v} -> {String.to_atom(k), v} end)),
            Enum.map(alike, &Map.put(&1, "atom", :a)),
            Enum.map(alike, &Map.put(&1, "list", [])),
            List.replace_at(alike, 150, %{"id" => "text"}),
            List.replace_at(alike, 150, %{"id" => 2.5}),
            missing ++ [%{"id" => 1, "only" => nil}],
            alike ++ [nil],
            alike ++ [~D[2026-11-21]]
          ] do
        explained = Slipring.explain(maps)
        assert explained.format == :value

        assert [reason] =
                 for(%{format: :arrow, reason: reason} <- explained.candidates, do: reason)

        assert reason =~ ~r/record|missing/
        Slipring.send!(tx, maps)
        frame = Slipring.recv!(rx, 1_000)
        assert {frame.format, Frame.value(frame)} == {:value, maps}
      end

      Slipring.send!(tx, alike, format: :value)
      assert Slipring.recv!(rx, 1_000).format == :value
    end

    test "many of them go by a dirty scheduler", %{name: name} do
      {_ring, tx, rx} = pair(name, capacity: {64, :mib})
      maps = for i <- 1..50_000, do: %{"id" => i, "x" => i / 2}
      Slipring.send!(tx, maps)
      assert {:ok, 1} = Slipring.send_many(tx, [maps])

      for frame <- Slipring.recv_many!(rx, 2, 5_000),
          do: assert({frame.format, Frame.value(frame)} == {:arrow, maps})
    end

    test "and columns go as tables where that is asked for (R2.1)", %{name: name} do
      {_ring, tx, rx} = pair(name)
      day = ~D[2026-11-21]

      for {term, maps} <- [
            {[%{id: 1, day: day}], [%{"id" => 1, "day" => day}]},
            {%{id: [1, 2], day: [day, nil]},
             [%{"id" => 1, "day" => day}, %{"id" => 2, "day" => nil}]},
            {[id: [1]], [%{"id" => 1}]},
            {Table.new(id: [1]), [%{"id" => 1}]}
          ] do
        Slipring.send!(tx, term, format: :arrow)
        assert {:ok, 1} = Slipring.send_many(tx, [term], format: :arrow)

        for frame <- Slipring.recv_many!(rx, 2, 1_000),
            do: assert(Table.to_maps(Frame.value(frame)) == maps)
      end

      for {term, path} <- [
            {[%{a: 1}, %{a: "b"}], "[1].a"},
            {%{a: [1, []]}, ".columns.a[1]"},
            {"text", ""},
            {[1], ""}
          ] do
        at = "$" <> path
        assert {:error, %{reason: :encode, path: ^at}} = Slipring.send(tx, term, format: :arrow)
        at = "$[1]" <> path

        assert {:error, %{reason: :encode, path: ^at, sent: 0}} =
                 Slipring.send_many(tx, [[%{}], term], format: :arrow)
      end
    end
  end

  describe "what a column shares" do
    test "keeps its frame, and no other column's (R14.2)", %{name: name} do
      {ring, tx, rx} = pair(name, [capacity: {4, :mib}], lease: :always)
      table = Table.new(a: Enum.to_list(1..1000), b: Enum.map(1..1000, &"text #{&1}"))
      Slipring.send!(tx, table)
      frame = Slipring.recv!(rx, 1_000)
      column = held(frame)
      assert Frame.release(frame) == :deferred
      assert {:error, %{reason: :released}} = Frame.release(frame)
      assert_raise Error, fn -> Frame.value(frame) end
      :erlang.garbage_collect()
      assert Slipring.info!(ring).held == 1

      # The rest of the ring is written over meanwhile.
      for _ <- 1..50 do
        Slipring.send!(tx, :binary.copy(<<255>>, 300_000))
        Frame.release(Slipring.recv!(rx, 1_000))
      end

      assert Column.to_list(column) == Enum.to_list(1..1000)
      assert Column.to_list(Column.slice(column, 10, 5)) == Enum.to_list(11..15)
      _ = column
      assert wait_for(fn -> :erlang.garbage_collect() && Slipring.info!(ring).held == 0 end)
    end

    defp held(frame), do: Frame.value(frame)["a"]

    test "is acknowledged and given back as any frame", %{name: name} do
      {_ring, tx, rx} = pair(name, [], ack: :manual, lease: :always)
      Slipring.send!(tx, Table.new(a: [1, 2]))
      frame = Slipring.recv!(rx, 1_000)
      assert Column.to_list(Frame.value(frame)["a"]) == [1, 2]
      :erlang.garbage_collect()
      Slipring.nack!(frame)
      frame = Slipring.recv!(rx, 1_000)
      table = Frame.value(frame)
      Slipring.ack!(frame)
      assert {frame.redeliveries, Column.to_list(table["a"])} == {1, [1, 2]}
    end
  end

  describe "streams" do
    test "of batches there and back, in little memory (R2.2)", %{name: name} do
      {_ring, tx, rx} = pair(name, capacity: {1, :mib}, slots: 8)
      test = self()

      reader =
        Task.async(fn ->
          send(test, :ready)
          rx |> Table.stream(timeout: 10_000) |> Enum.map(&Column.sum(&1["id"]))
        end)

      assert_receive :ready
      # Ten times what the ring holds.
      tables = Stream.map(1..40, fn i -> Table.new(id: List.duplicate(i, 32_000)) end)
      assert {:ok, 160} = Table.send_batches(tx, tables, rows: 8_000, timeout: 10_000)
      assert Task.await(reader, 20_000) == for(i <- 1..40, _ <- 1..4, do: i * 8_000)
    end

    test "say where they begin and end, and what is no part of one is refused", %{name: name} do
      {_ring, tx, rx} = pair(name)
      table = Table.new(id: [1, 2, 3])
      assert {:ok, 3} = Table.send_batches(tx, table, rows: 1, meta: %{site: 4})
      frames = Slipring.recv_many!(rx, 3, 1_000)

      assert Enum.map(frames, &{&1.stream, &1.meta}) == [
               {:first, %{"site" => 4}},
               {nil, nil},
               {:last, nil}
             ]

      # A piece between passes for no table by itself, and the stream goes no further.
      assert {:ok, 3} = Table.send_batches(tx, table, rows: 1)
      Slipring.recv!(rx)

      for _ <- 1..2,
          do: assert_raise(Error, ~r/first frames/, fn -> Enum.to_list(Table.stream(rx)) end)

      assert {:ok, 3} = Table.send_batches(tx, table, rows: 1)

      assert_raise Error, ~r/frames of the stream are missing/, fn ->
        Enum.each(Table.stream(rx), fn _table -> Slipring.recv!(rx) end)
      end

      # The frame that told so is still there.
      assert %{stream: :last} = Slipring.recv!(rx, 0)

      # Nor do tables that are not alike.
      other = Table.new(b: [1])
      assert {:error, error} = Table.send_batches(tx, [table, other])
      assert {error.sent, error.reason} == {0, :encode}
      assert error.hint =~ "streams of their own"
      assert {:error, error} = Table.send_batches(tx, [table, table, other])
      assert error.sent == 1
      assert %{stream: :first} = Slipring.recv!(rx)

      assert_raise ArgumentError, ~r/rows/, fn -> Table.send_batches(tx, table, rows: 0) end

      assert {:ok, 1} = Table.send_batches(tx, table)
      assert {:ok, 0} = Table.send_batches(tx, [])
      assert Slipring.recv!(rx, 1_000).stream == :only
      Slipring.send!(tx, table)
      Slipring.send!(tx, [%{n: 1}], format: :arrow)
      assert [%Table{rows: 3}] = Enum.to_list(Table.stream(rx))
      assert %{stream: :only, producer: producer} = Slipring.recv!(rx)
      assert is_integer(producer)

      {:ok, 2} = Table.send_batches(tx, table, rows: 2)
      Slipring.recv!(rx)
      assert_raise Error, ~r/first frames/, fn -> Enum.to_list(Table.stream(rx)) end
      Slipring.send!(tx, "no table")

      for _ <- 1..2 do
        error = assert_raise Error, fn -> Enum.to_list(Table.stream(rx)) end
        assert {error.reason, error.operation, error.ring} == {:decode, :stream, name}
        assert error.message =~ ~r/of format raw came where a table should; let one producer/
        assert error.hint =~ "one producer"
      end

      assert Slipring.Frame.value(Slipring.recv!(rx, 0)) == "no table"
      assert_raise Error, fn -> Enum.to_list(Table.stream(rx, timeout: 0)) end
    end

    test "lose nothing where one breaks: what another call can read is there for it (P6, R2.2)",
         %{name: name} do
      {ring, tx, rx} = pair(name)
      table = Table.new(id: [1, 2, 3])

      broken = fn pattern ->
        assert_raise Error, pattern, fn -> Enum.to_list(Table.stream(rx, timeout: 0)) end
      end

      begin = fn -> {:error, _} = Table.send_batches(tx, [table, table, Table.new(b: [1])]) end

      # A stream that never ended, and another one, whole: that is read next.
      begin.()
      {:ok, 2} = Table.send_batches(tx, table, rows: 2)
      broken.(~r/another stream began/)
      assert rx |> Table.stream(timeout: 0) |> Enum.map(& &1.rows) == [2, 1]

      # Whatever comes between comes to whoever asks, in its place, however it is asked for.
      for take <- [
            fn -> Slipring.recv!(rx, 0) end,
            fn -> hd(Slipring.recv_many!(rx, 1, 0)) end,
            fn -> rx |> Slipring.stream() |> Enum.take(1) |> hd() end,
            fn ->
              Slipring.active(rx, :once)
              assert_receive {:slipring, ^rx, frame}
              frame
            end,
            fn ->
              Slipring.active(rx, :notify)
              assert_receive {:slipring_readable, ^rx}
              Slipring.recv!(rx, 0)
            end
          ] do
        begin.()
        Slipring.send!(tx, %{"no" => "table"})
        Slipring.send!(tx, "next")
        broken.(~r/of format value came where a table should/)
        assert Frame.value(take.()) == %{"no" => "table"}
        assert Frame.value(Slipring.recv!(rx, 0)) == "next"
      end

      # A finished ring has still what was kept.
      begin.()
      Slipring.send!(tx, "kept")
      broken.(~r/of format raw/)
      # Who has found nothing just before does not sleep over it.
      assert Slipring.Native.watch(rx.ref, make_ref()) == :busy
      Slipring.finish(ring)
      assert rx |> Slipring.stream() |> Enum.map(&Frame.value/1) == ["kept"]
      Slipring.close(rx)
      assert Slipring.info!(name).held == 0
    end

    test "give back what they kept and nobody took, where frames are acknowledged (P6)", %{
      name: name
    } do
      ring = Slipring.create!(name)
      tx = Slipring.producer!(ring)
      rx = Slipring.consumer!(ring, ack: :manual)
      Slipring.send!(tx, "kept")
      assert_raise Error, ~r/of format raw/, fn -> Enum.to_list(Table.stream(rx)) end
      Slipring.close(rx)
      again = Slipring.consumer!(ring, ack: :manual)
      frame = Slipring.recv!(again, 1_000)
      assert {Frame.value(frame), frame.redeliveries} == {"kept", 1}
      Slipring.ack!(frame)
    end
  end

  test "nothing is no table, and is told so" do
    assert_raise ArgumentError, ~r/at least one/, fn -> Table.concat([]) end
  end

  describe "with others" do
    test "columns of numbers are tensors and Nx's, over the same memory (R4.1)" do
      column = Column.new([1.5, 2.5])
      assert Tensor.to_list(Column.to_tensor(column)) == [1.5, 2.5]
      assert %Nx.Tensor{type: {:f, 64}, shape: {2}} = nx = Column.to_nx(column)
      assert nx.data == column.data
      assert Column.to_list(Column.new(Column.to_nx(column))) == [1.5, 2.5]

      assert_raise ArgumentError, ~r/without nulls/, fn ->
        Column.to_tensor(Column.new([1, nil]))
      end

      assert_raise ArgumentError, ~r/without nulls/, fn -> Column.to_tensor(Column.new(["a"])) end
      big = Tensor.new(<<1::big-16, 2::big-16>>, {2}, {:s, 16}, byte_order: :big)
      assert Column.to_list(Column.new(big)) == [1, 2]

      assert_raise ArgumentError, ~r/one dimension/, fn ->
        Column.new(Tensor.new(<<1>>, {1, 1}, {:u, 8}))
      end
    end

    test "tables are Explorer's data frames, by the data where Explorer has it as it is" do
      table = Table.new(a: [1, 2], b: ["x", nil])
      assert [{"a", a}, {"b", b}] = Table.to_explorer(table).columns
      assert {a.data, a.dtype} == {table["a"].data, {:s, 64}}
      assert {b.data, b.dtype} == {["x", nil], :string}
      assert_raise ArgumentError, ~r/empty/, fn -> Column.to_nx(Column.new([], type: {:s, 8})) end

      of = fn list, type ->
        table = Table.new(c: Column.new(list, type: type))
        [{"c", series}] = Table.to_explorer(table).columns
        {if(series.data == table["c"].data, do: :data, else: series.data), series.dtype}
      end

      moment = ~N[2024-02-29 12:00:00.500]
      long = %Slipring.Duration{seconds: 90, microseconds: 5}

      for {list, type, expected} <- [
            {[1.5, nil], {:f, 32}, {[1.5, nil], {:f, 32}}},
            {<<0x3E00::16-little, 0x7E00::16-little>>, {:f, 16}, {[1.5, :nan], {:f, 32}}},
            {[255], {:u, 8}, {:data, {:u, 8}}},
            {[nil, nil], {:u, 64}, {[nil, nil], {:u, 64}}},
            {[true, false], :boolean, {[true, false], :boolean}},
            {[<<255>>, ""], :binary, {[<<255>>, ""], :binary}},
            {["ab"], {:fixed_binary, 2}, {["ab"], :binary}},
            {["a", "b", "a"], :large_string, {["a", "b", "a"], :string}},
            {[~D[2024-02-29]], {:date, :day}, {:data, :date}},
            {[~D[2024-02-29], nil], {:date, :day}, {[~D[2024-02-29], nil], :date}},
            {[~D[2024-02-29]], {:date, :millisecond}, {[~D[2024-02-29]], :date}},
            {[~T[12:00:00.000000]], {:time, :nanosecond}, {:data, :time}},
            {[~T[12:00:00]], {:time, :second}, {[~T[12:00:00]], :time}},
            {[moment], {:naive_datetime, :millisecond}, {:data, {:naive_datetime, :millisecond}}},
            {[moment, nil], {:naive_datetime, :millisecond},
             {[moment, nil], {:naive_datetime, :millisecond}}},
            {[long], {:duration, :microsecond}, {:data, {:duration, :microsecond}}},
            {[long, nil], {:duration, :nanosecond},
             {[90_000_005, nil], {:duration, :microsecond}}},
            {[[1], nil], {:list, {:s, 64}}, {[[1], nil], nil}}
          ] do
        assert {of.(list, type), type} == {expected, type}
      end
    end

    test "sums are right, with and without nulls" do
      for {list, type, sum, least, most, mean} <- [
            {[3, nil, -1], {:s, 8}, 2, -1, 3, 1.0},
            {[(1 <<< 64) - 1, (1 <<< 64) - 1], {:u, 64}, (1 <<< 65) - 2, (1 <<< 64) - 1,
             (1 <<< 64) - 1, 1.8446744073709552e19},
            {[1.5, :nan, 0.5], {:f, 64}, :nan, 0.5, 1.5, :nan},
            {[0.5, nil], {:f, 32}, 0.5, 0.5, 0.5, 0.5},
            {[nil], {:s, 64}, 0, nil, nil, nil},
            {[], {:f, 64}, 0.0, nil, nil, nil},
            {[:infinity, 1.0], {:f, 64}, :infinity, 1.0, :infinity, :infinity}
          ] do
        column = Column.new(list, type: type)

        assert {Column.sum(column), Column.min(column), Column.max(column), Column.mean(column)} ==
                 {sum, least, most, mean}
      end

      assert_raise ArgumentError, ~r/has no sum/, fn -> Column.sum(Column.new(["a"])) end
    end

    test "options are those of values" do
      column = Column.new([:nan, 1.0], name: "x")
      assert_raise Error, ~r/\$\.columns\.x\[0\]/, fn -> Column.to_list(column, nan: :error) end
      assert [%{x: :nan}, %{x: 1.0}] = Table.to_maps(Table.new([column]), keys: :existing_atoms)
      assert %{x: [:nan, 1.0]} = Table.to_columns(Table.new([column]), keys: :existing_atoms)
      assert_raise ArgumentError, ~r/unknown options/, fn -> Column.to_list(column, nul: 1) end
    end
  end

  describe "hostile" do
    test "structs are refused with a path, and lead nowhere (R6.5)", %{name: name} do
      {_ring, tx, _rx} = pair(name)
      text = Column.new(["ab", "c"], name: "t")
      list = Column.new([[1, 2], [3]], name: "l")
      dictionary = Column.new(["x", "y"], name: "d", type: {:dictionary, {:s, 8}, :string})
      union = made() |> hd() |> elem(0)

      # What can't be a column at all.
      for {column, path} <- [
            {%{text | length: 3}, "$.columns.t.offsets"},
            {%{text | length: -1}, "$.columns.t.length"},
            {%{text | length: 1 <<< 60}, "$.columns.t.length"},
            {%{text | offsets: nil}, "$.columns.t.offsets"},
            {%{text | validity: ""}, "$.columns.t.validity"},
            {%{text | data: [1]}, "$.columns.t.data"},
            {%{text | type: {:s, 7}}, "$.columns.t.type"},
            {%{text | metadata: 5}, "$.columns.t.metadata"},
            {%{text | name: <<255>>}, "$.columns[\"\"].name"},
            {%{list | children: []}, "$.columns.l.children"},
            {%{list | children: [hd(list.children) | 5]}, "$.columns.l.children"},
            {%{dictionary | dictionary: nil}, "$.columns.d"},
            {%{union | name: "u", children: Enum.map(union.children, &Column.slice(&1, 0, 2))},
             "$.columns.u"},
            {Map.delete(text, :sizes), "$.columns.t.sizes"}
          ] do
        assert {:error, {:encode, _, found, _, _, _, _}} = Native.column_check(column)
        assert String.starts_with?(found, path), found
        if column.type != {:s, 7}, do: assert_raise(Error, fn -> Column.to_list(column) end)
        table = %Table{fields: [column], rows: 2, batches: [{2, [column]}]}
        assert {:error, %{reason: :encode}} = Slipring.send(tx, table)
      end

      # What stands in the buffers is looked at when it is used.
      for {column, row} <- [
            {%{text | offsets: <<0::32, 9::little-32, 9::little-32>>}, 0},
            {%{text | offsets: <<0::32, 2::little-32, -1::little-32>>}, 1},
            {%{text | offsets: <<0::32, 2::little-32, 1::little-32>>}, 1},
            {%{text | data: <<?a, ?b, 255>>}, 1},
            {%{list | offsets: <<0::32, 2::little-32, 4::little-32>>}, 1},
            {%{dictionary | data: <<0, 2>>}, 1},
            {%{dictionary | data: <<-1, 0>>}, 0},
            {%{union | data: <<5, 6, 5, 5>>}, 1}
          ] do
        path = "$.columns#{if column.name == "", do: "[\"\"]", else: "." <> column.name}[#{row}]"
        error = catch_error(Column.to_list(column))
        assert %Error{reason: :decode, path: ^path} = error

        table = %Table{
          fields: [Column.slice(Column.new([]), 0, 0)],
          rows: column.length,
          batches: [{column.length, [column]}]
        }

        assert {:error, %{reason: :encode}} = Slipring.send(tx, %{table | fields: [column]})
      end

      # Elements that take no memory.
      endless = %Column{type: :null, length: 1 <<< 47, name: "n"}
      assert_raise Error, ~r/by slices/, fn -> Column.to_list(endless) end
      assert Column.to_list(Column.slice(endless, 1 <<< 40, 2)) == [nil, nil]
      keyless = %Table{rows: 1 <<< 47, batches: [{1 <<< 47, []}]}
      assert_raise Error, ~r/by slices/, fn -> Table.to_maps(keyless) end
      assert Enum.take(keyless, 2) == [%{}, %{}]
      assert Enum.take(Table.new([endless]), 1) == [%{"n" => nil}]
    end

    test "records whose maps the frame did not pay for are refused (R6.4)", %{name: name} do
      {_ring, tx, rx} = pair(name, capacity: {8, :mib})
      sent_as = %{"slipring.records" => "1"}

      # Columns of nulls take no memory: what was asked for 8e9 elements were 64 GB.
      rows = 4_000_000
      column = &%Column{type: :null, length: rows, null_count: rows, name: "c#{&1}"}
      wide = Table.new(Enum.map(1..2_000, column))

      # Neither do rows of no columns, and each batch is small enough by itself.
      rows = 30_000_000
      keyless = %Table{rows: 3 * rows, batches: List.duplicate({rows, []}, 3)}

      for table <- [wide, keyless] do
        Slipring.send!(tx, %{table | metadata: sent_as})
        frame = Slipring.recv!(rx, 1_000)

        assert %Error{reason: :decode, operation: :value, path: "$.columns", hint: hint} =
                 catch_error(Slipring.Frame.value(frame))

        assert hint =~ "by slices"
      end

      # Of a table in hand, as ever.
      assert_raise Error, ~r/more than \d+ elements/, fn -> Table.to_maps(wide) end
      assert [%{"c1" => nil}, _] = Enum.take(wide, 2)
    end

    test "what earlier batches and later ones take is one batch's no more (R6.4)" do
      most = 1 <<< 26
      column = Column.new([1, 2, 3], name: "a")
      forms = Slipring.Structs.forms()
      rows = &Native.table_rows_large([column], {0, 3}, 0, forms, &1)

      # Three rows, and an element in each.
      assert {[%{"a" => 1}, _, _], 0, 6} = rows.(0)
      assert {[_, _, _], 0, 6} = rows.(most - 6)
      assert {:error, {:decode, _, "$.columns", _, _, _, _}} = rows.(most - 5)
      assert {:error, _} = rows.(1 <<< 48)
      assert :large = Native.table_rows([column], {0, 3}, 0, forms, most - 5)
    end

    test "columns that claim more than there is memory are not put together, nor checked (R6.4)" do
      # Lists of no items: the bits of their nulls would take 16 TB.
      few = Column.new([[], nil], name: "l", type: {:fixed_list, 0, {:s, 8}})
      many = %{few | length: 1 <<< 47, null_count: 0, validity: nil}
      error = catch_error(Column.concat([few, many]))
      assert %Error{path: "$.columns.l", hint: hint} = error
      assert hint != nil and Exception.message(error) =~ "memory"
      assert [[], nil, [], nil] = Column.to_list(Column.concat([few, few]))

      # A text that each element is.
      union = Enum.find(Enum.map(made(), &elem(&1, 0)), &match?(%{type: {:union, :dense, _}}, &1))
      assert Column.concat([union, union]).length == 2 * union.length
      <<id, _::binary>> = union.data
      shared = %{union | length: 2, data: <<id, id>>, offsets: <<0::64>>}
      assert [same, same] = Column.to_list(shared)
      assert_raise Error, ~r/share values/, fn -> Column.concat([shared, shared]) end
    end

    test "bytes of frames give errors, and nothing worse (R6.4)", %{name: name} do
      {_ring, tx, rx} = pair(name, [capacity: {8, :mib}], lease: :never)
      :rand.seed(:exsss, {1, 2, 3})

      columns =
        for {{column, list}, i} <- Enum.with_index(columns()),
            length(list) >= 4,
            column.type != :string,
            do: %{Column.slice(column, 0, 4) | name: "c#{i}"}

      Slipring.send!(tx, Table.new(columns))
      %{content: {flags, type, body}} = Slipring.recv!(rx, 1_000)

      read =
        for _ <- 1..4_000 do
          at = :rand.uniform(byte_size(body)) - 1
          value = Enum.random([0, 1, 127, 128, 255, :rand.uniform(256) - 1])
          <<front::binary-size(at), _, rest::binary>> = body

          case Native.table({flags, type, front <> <<value>> <> rest}) do
            {:error, {:decode, message, path, _, _, _, _}} ->
              assert is_binary(message) and is_binary(path)
              :refused

            {_fields, _metadata, _rows, batches} ->
              for {_rows, columns} <- batches, column <- columns, do: touch(column)
              :read
          end
        end

      # Most bytes are data, and some are neither.
      counts = Enum.frequencies(read)
      assert counts.refused > 200 and counts.read > 200
    end

    defp touch(column) do
      Column.to_list(column)
      Column.to_list(Column.slice(column, div(column.length, 2), div(column.length, 3)))
      inspect(column)
    rescue
      error in Error -> assert error.reason in [:decode, :encode]
    end

    test "bytes that change under a column give errors, and nothing worse" do
      :rand.seed(:exsss, {4, 5, 6})

      for {column, _list} <- columns(), _ <- 1..60 do
        column |> mutated() |> touch()

        # Also when it is put together, which looks at all of it.
        try do
          Column.concat([mutated(column), column])
        rescue
          error in Error -> assert error.reason == :encode
        end
      end
    end

    defp mutated(%Column{} = column) do
      flip = fn
        bytes when is_binary(bytes) and bytes != "" ->
          at = :rand.uniform(byte_size(bytes)) - 1
          <<front::binary-size(at), _, rest::binary>> = bytes
          front <> <<Enum.random([0, 1, 3, 127, 128, 255])>> <> rest

        other ->
          other
      end

      %{
        column
        | data: flip.(column.data),
          offsets: flip.(column.offsets),
          sizes: flip.(column.sizes),
          validity: flip.(column.validity),
          children: Enum.map(column.children, &mutated/1),
          dictionary: column.dictionary && mutated(column.dictionary)
      }
    end
  end
end

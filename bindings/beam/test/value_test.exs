defmodule Slipring.ValueTest do
  use Slipring.Case, async: true

  alias Slipring.{Bytes, Decimal, Duration, Object, Tag, Text, UUID}
  alias Slipring.Test.{Celsius, Endless, Nested, Plain, Point, Price, Terms, Unknown}

  # What Elixir makes of each golden value. Those of `:read` go out as something else, or never.
  @golden [
    {"null", nil},
    {"false", false},
    {"true", true},
    {"int 0", 0},
    {"int 23", 23},
    {"int 24", 24},
    {"int 2^64 - 1", 2 ** 64 - 1},
    {"int -1", -1},
    {"int -2^63 - 1", -(2 ** 63) - 1},
    {"int -2^64", -(2 ** 64)},
    {"int 2^64", 2 ** 64},
    {"int -2^64 - 1", -(2 ** 64) - 1},
    {"int 10^30", 10 ** 30},
    {"float 1.5", 1.5},
    {"float -0.0", -0.0},
    {"float nan", {:read, :nan}},
    {"float infinity", {:read, :infinity}},
    {"text", "grüß dich"},
    {"bytes", <<0, 255>>},
    {"list", [1, 2.0, "three", []]},
    {"tuple", {1, "a"}},
    {"empty tuple", {}},
    {"map", %{"id" => 1}},
    {"map of a list key", %{[1] => 2}},
    {"map of tuple key", %{{1, 2} => true}},
    {"set", {:same, MapSet.new([7])}},
    {"frozen set", {:read, MapSet.new([7])}},
    {"atom", :ok},
    {"range 1..9 by 2", {:same, 1..9//2}},
    {"range 3..1", {:same, 3..1//-1}},
    {"date", {:same, ~D[2026-11-21]}},
    {"date -0001-01-01", {:same, ~D[-0001-01-01]}},
    {"time", {:same, ~T[10:46:28.123456]}},
    {"time of whole seconds", {:same, ~T[10:46:28]}},
    {"naive datetime", {:same, ~N[2026-11-21 10:46:28.500000]}},
    {"datetime utc", {:same, ~U[2026-11-21 10:46:28Z]}},
    {"datetime offset", :offset},
    {"datetime zone", :zone},
    {"epoch", {:read, ~U[1970-01-01 00:00:01Z]}},
    {"duration", {:same, %Duration{seconds: -1, microseconds: 500_000}}},
    {"duration of whole seconds", {:same, %Duration{seconds: 90}}},
    {"decimal 1.50", {:same, %Decimal{coef: 150, exp: -2}}},
    {"decimal -3E+2", {:same, %Decimal{sign: -1, coef: 3, exp: 2}}},
    {"decimal nan", {:same, %Decimal{coef: :NaN}}},
    {"decimal -infinity", {:same, %Decimal{sign: -1, coef: :inf}}},
    {"decimal -0", {:same, %Decimal{sign: -1}}},
    {"ratio 1/3", {:same, %Tag{number: 30, value: [1, 3]}}},
    {"complex 1-2j", {:same, %Tag{number: 43000, value: [1.0, -2.0]}}},
    {"uuid", {:same, %UUID{bytes: <<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>>}}},
    {"array <i2 3", {:tensor, [1, -2, 3], {3}, {:s, 16}}},
    {"array >f4 2", :big},
    {"array u1 0", {:tensor, [], {0}, {:u, 8}}},
    {"array <f8 2x2", {:tensor, [1.0, 2.0, 3.0, 4.0], {2, 2}, {:f, 64}}},
    {"array <u4 2x2 F", :fortran},
    {"array <i8 no dimension", {:tensor, [-1], {}, {:s, 64}}},
    {"array bool 2", {:tensor, [true, false], {2}, {:bool, 8}}},
    {"element <i4", {:read, -5}},
    {"object", {:same, %Object{name: "shop.order", version: 2, fields: %{"id" => 17}}}},
    {"tag", {:same, %Tag{number: 4711, value: "any"}}}
  ]

  defp meant({:read, term}), do: term
  defp meant({:same, term}), do: term
  defp meant({:tensor, list, shape, type}), do: Tensor.from_list(list, shape, type)

  defp meant(:big),
    do: Tensor.new(<<1.5::32-float, -2.5::32-float>>, {2}, {:f, 32}, byte_order: :big)

  defp meant(:fortran),
    do: %{Tensor.from_list([1, 3, 2, 4], {2, 2}, {:u, 32}) | order: :fortran}

  defp meant(:offset) do
    zone = %{utc_offset: -12_600, time_zone: "-03:30", zone_abbr: "-03:30"}
    Map.merge(~U[2026-11-21 10:46:28.000001Z], zone)
  end

  defp meant(:zone), do: berlin()
  defp meant(term), do: term

  defp berlin do
    zone = %{utc_offset: 3600, std_offset: 3600, time_zone: "Europe/Berlin", zone_abbr: "CEST"}
    Map.merge(~U[2026-07-01 12:00:00Z], zone)
  end

  # There is no parser of JSON in the oldest Elixir; the file is written line by line.
  defp golden_file do
    text = File.read!(Path.join(__DIR__, "../../../tests/golden/values.json"))

    for [name, hex] <-
          Regex.scan(~r/"name": "(.*)",\s+"hex": "(.*)"/, text, capture: :all_but_first),
        do: {name, Base.decode16!(hex, case: :lower)}
  end

  describe "values" do
    test "have the golden bytes, and come of them (R6.1)" do
      file = golden_file()
      assert Enum.map(file, &elem(&1, 0)) == Enum.map(@golden, &elem(&1, 0))

      for {{name, bytes}, {name, given}} <- Enum.zip(file, @golden) do
        term = meant(given)
        assert {name, Slipring.decode(bytes)} === {name, {:ok, term}}

        unless match?({:read, _}, given),
          do: assert({name, Slipring.encode!(term)} === {name, bytes})
      end
    end

    test "by chance come back as they were, with and without a ring (R6.1)", %{name: name} do
      {_ring, tx, rx} = pair(name)

      Enum.reduce(1..600, 4711, fn _, state ->
        {term, state} = Terms.term(state, 4)
        bytes = Slipring.encode!(term)
        assert Slipring.decode!(bytes) === term
        # The same, if the BEAM's own format has it so.
        assert :erlang.binary_to_term(:erlang.term_to_binary(term)) === term
        :ok = Slipring.send(tx, term, format: :value)
        frame = Slipring.recv!(rx, 1_000)
        assert frame.format == :value
        assert Frame.value(frame) === term
        assert is_map(Frame.describe(frame))
        state
      end)
    end

    test "of every length around the bounds of heads and places come back (R6.1)", %{name: name} do
      {_ring, tx, rx} = pair(name, capacity: {16, :mib}, slots: 64)

      lengths = [
        0,
        1,
        14,
        15,
        16,
        17,
        23,
        24,
        63,
        64,
        65,
        200,
        255,
        256,
        257,
        4000,
        65_535,
        65_536
      ]

      for length <- lengths ++ [200, 16, 0] do
        text = String.duplicate("x", length)
        bytes = :binary.copy(<<255>>, length)
        list = Enum.to_list(1..length//1)
        map = Map.new(list, &{&1, -&1})
        tensor = Tensor.new(bytes, {length}, {:u, 8})

        for term <- [
              [text],
              {bytes},
              list,
              %{text => bytes},
              map,
              List.to_tuple(list),
              [tensor, text]
            ] do
          assert Slipring.decode!(Slipring.encode!(term)) === term
          Slipring.send!(tx, term)
          frame = Slipring.recv!(rx, 1_000)
          assert Frame.value(frame) === term
          Frame.release(frame)
        end

        :erlang.garbage_collect()
      end
    end

    test "have the shortest head for a list of each length, wherever it is written (R4.1)", %{
      name: name
    } do
      {_ring, tx, rx} = pair(name, capacity: {16, :mib}, slots: 64)

      for length <- [0, 23, 24, 254, 255, 256, 257, 65_535, 65_536, 65_537, 70_000] do
        list = Enum.map(1..length//1, &rem(&1, 3))

        head =
          cond do
            length < 24 -> <<0x80 + length>>
            length < 256 -> <<0x98, length>>
            length < 65_536 -> <<0x99, length::16>>
            true -> <<0x9A, length::32>>
          end

        written = head <> :binary.list_to_bin(list)
        assert {length, Slipring.encode!(list)} == {length, written}
        # With something around it, and text before.
        outer = ["a", list, list, 1]
        around = <<0x84, 0x61, ?a>> <> written <> written <> <<1>>
        assert {length, Slipring.encode!(outer)} == {length, around}

        # Into the segment, where there is too little room at first, and enough then.
        for _ <- 1..2 do
          Slipring.send!(tx, outer)
          frame = Slipring.recv!(rx, 1_000)
          assert Frame.value(frame) === outer
          Frame.release(frame)
        end

        meta = %{"list" => {Enum.take(list, 300)}}
        Slipring.send!(tx, 1, meta: meta)
        assert Slipring.recv!(rx, 1_000).meta === meta
      end

      for length <- [1, 254, 255, 256, 70_000] do
        improper = Enum.to_list(1..length) ++ :end
        assert {:error, %Error{got: "improper list", path: "$[0]"}} = Slipring.encode([improper])
        late = Enum.to_list(1..length) ++ [self()]
        path = "$[#{length}]"
        assert {:error, %Error{got: "pid", path: ^path}} = Slipring.encode(late)
      end
    end

    test "are read from maps of one shape whose keys come in any order (R6.1)" do
      head = fn n -> if n < 24, do: <<0xA0 + n>>, else: <<0xB8, n>> end

      written = fn pairs ->
        [
          head.(length(pairs))
          | for({k, v} <- pairs, do: [Slipring.encode!(k), Slipring.encode!(v)])
        ]
      end

      for count <- [1, 2, 6, 31, 32, 33, 40] do
        keys = for n <- 1..count, do: "key #{rem(n * 7, 41)}"
        rows = for n <- 1..5, do: Enum.map(keys, &{&1, "#{&1} of #{n}"})
        # Another shape between them, the same keys in another order, and maps within.
        odd = Enum.reverse(hd(rows))
        other = [{"b", 1}, {"a", [%{"y" => 1, "x" => 2}]}]
        all = Enum.take(rows, 3) ++ [other, other, odd, odd, odd] ++ rows
        bytes = IO.iodata_to_binary([<<0x98, length(all)>> | Enum.map(all, written)])
        assert Slipring.decode!(bytes) === Enum.map(all, &Map.new/1)
        # A key that stands twice is found wherever it comes.
        twice = [hd(rows), hd(rows), hd(rows) |> Enum.map(fn {_k, v} -> {"key 7", v} end)]

        if count > 1 do
          bytes = IO.iodata_to_binary([<<0x83>> | Enum.map(twice, written)])
          assert {:error, %Error{path: ~s($[2]["key 7"])}} = Slipring.decode(bytes)
        end
      end
    end

    test "keep keys apart that are, also where maps of other shapes follow (R6.1)" do
      maps = for n <- 1..50, do: Map.new(1..rem(n * 7, 40)//1, &{"key #{rem(&1 * n, 45)}", n})
      nested = for m <- maps, do: %{"a" => m, "b" => [m], :a => %{a: m}, "key 1" => 1}

      mixed = [
        %{1 => 1, 1.0 => 2, "1" => 3, :"1" => 4, [1] => 5, {1} => 6},
        %{:a => nil, nil => true}
      ]

      assert Slipring.decode!(Slipring.encode!([maps, nested, mixed])) === [maps, nested, mixed]
    end

    test "have binaries as text or bytes, as is said" do
      assert Slipring.encode!(["a", <<255>>]) == <<0x82, 0x61, ?a, 0x41, 255>>
      assert Slipring.encode!(%{"a" => "b"}, binaries: :bytes) == <<0xA1, 0x41, ?a, 0x41, ?b>>

      assert Slipring.encode!([%Bytes{data: "a"}, %Text{data: "a"}]) ==
               <<0x82, 0x41, ?a, 0x61, ?a>>

      text = %Text{data: "a"}
      assert Slipring.encode!(%{text => 1}, binaries: :bytes) == <<0xA1, 0x61, ?a, 1>>
    end

    test "arrive as the options say" do
      assert Slipring.decode!(Slipring.encode!(%{"ok" => 1, "no such atom ever" => 2}),
               keys: :existing_atoms
             ) == %{:ok => 1, "no such atom ever" => 2}

      # The shortest atom, first of all.
      assert Slipring.decode!(Slipring.encode!([%{"" => 1}]), keys: :existing_atoms) == [%{"": 1}]

      uuid = UUID.new!("00112233-4455-6677-8899-aabbccddeeff")
      assert Slipring.decode!(Slipring.encode!(uuid), uuid: :string) == to_string(uuid)
      assert inspect(uuid) == "#Slipring.UUID<00112233-4455-6677-8899-aabbccddeeff>"
      assert_raise ArgumentError, ~r/32 hexadecimal digits/, fn -> UUID.new!("0011") end

      for bits <- [0x7FF8000000000000, 0x7FF0000000000000, 0xFFF0000000000000] do
        bytes = <<0x81, 0xFB, bits::64>>
        assert [atom] = Slipring.decode!(bytes)
        assert atom in [:nan, :infinity, :neg_infinity]

        assert {:error, %Error{reason: :decode, path: "$[0]", offset: 1}} =
                 Slipring.decode(bytes, nan: :error)
      end
    end

    test "of unknown options are not even tried" do
      for call <- [
            fn -> Slipring.encode(1, binary: :bytes) end,
            fn -> Slipring.decode("", key: :atoms) end,
            fn -> Slipring.decode("", keys: :atoms) end,
            fn -> Slipring.encode(1, binaries: :text) end
          ] do
        assert_raise ArgumentError, ~r/(unknown options|must be)/, call
      end

      assert_raise ArgumentError, ~r/a binary, not :a/, fn -> Slipring.decode(:a) end
    end

    test "come of all well-formed CBOR" do
      for {bytes, term} <- [
            {<<0x18, 1>>, 1},
            {<<0x1B, 1::64>>, 1},
            {<<0x3B, 0::64>>, -1},
            {<<0xF9, 0x3E00::16>>, 1.5},
            {<<0xFA, 1.5::32-float>>, 1.5},
            {<<0x9F, 1, 0x9F, 0xFF, 0xFF>>, [1, []]},
            {<<0xBF, 0x61, ?a, 1, 0xFF>>, %{"a" => 1}},
            {<<0x7F, 0x61, ?a, 0x61, ?b, 0xFF>>, "ab"},
            {<<0x5F, 0x41, 1, 0x40, 0xFF>>, <<1>>},
            {<<0x7F, 0xFF>>, ""},
            {<<0xD9, 0xD9F7::16, 1>>, 1},
            {<<0xC2, 0x40>>, 0},
            {<<0xC3, 0x41, 0>>, -1},
            {<<0xC2, 0x5F, 0x41, 1, 0x41, 0, 0xFF>>, 256},
            {<<0xD9, 47601::16, 0x9F, 1, 0xFF>>, {1}},
            {<<0xC1, 0xFB, 1.5::float>>, ~U[1970-01-01 00:00:01.500000Z]},
            {<<0xC1, 0x20>>, ~U[1969-12-31 23:59:59Z]},
            {<<0xD8, 100, 0>>, ~D[1970-01-01]},
            {<<0xC0, 0x74, "2026-11-21t10:46:28z">>, ~U[2026-11-21 10:46:28Z]},
            {<<0xC0, 0x78, 25, "2026-11-21T10:46:28+00:00">>, ~U[2026-11-21 10:46:28Z]},
            {<<0xD9, 47608::16, 0x6E, "10:46:28+01:00">>,
             %Tag{number: 47608, value: "10:46:28+01:00"}},
            {<<0xD9, 47609::16, 0x64, "sNaN">>, %Decimal{coef: :NaN}},
            {<<0xD9, 47609::16, 0x65, "-0.00">>, %Decimal{sign: -1, exp: -2}},
            {<<0xD9, 47609::16, 0x65, "-0E-2">>, %Decimal{sign: -1, exp: -2}},
            {<<0xD9, 47611::16, 0xD8, 85, 0x44, 1.5::32-float-little>>, 1.5},
            {<<0xD9, 47611::16, 0xD8, 84, 0x42, 0, 0x3E>>, 1.5},
            # As NumPy has its texts and bytes.
            {single("U<", for(c <- [?é, 0x1F600, 0, 0], into: <<>>, do: <<c::32-little>>)),
             "é😀"},
            {single("U>", <<?a::32, 0::32, ?b::32>>), <<?a, 0, ?b>>},
            {single("U<", <<0::32>>), ""},
            {single("S|", "ab\0\0"), "ab"},
            {single("S|", ""), ""}
          ] do
        assert {bytes, Slipring.decode!(bytes)} === {bytes, term}
      end

      # What is no character stays what it is.
      assert %Tensor{data: <<0, 0xD8, 0, 0>>} =
               Slipring.decode!(single("U<", <<0xD800::32-little>>))
    end

    # One element without a dimension, all of its data.
    defp single(<<kind, byte_order>>, data) do
      head = <<1, kind, byte_order, "C", byte_size(data)::32-little, 0::64>>

      <<0xD9, 47611::16, 0xD9, 47610::16, 0x82, 0x50, head::binary, 0x58, byte_size(data),
        data::binary>>
    end
  end

  describe "what has no form" do
    test "is refused with the path, its type, and what to do (R6.5)", %{name: name} do
      {_ring, tx, _rx} = pair(name)
      port = hd(Port.list())
      good = Tensor.from_list([1, 2], {2}, {:u, 8})

      for {term, reason, path, got} <- [
            {%{users: [1, 2, 3, %{"photo" => self()}]}, :unsupported_type, "$.users[3].photo",
             "pid"},
            {[make_ref()], :unsupported_type, "$[0]", "reference"},
            {{1, &is_map/1}, :unsupported_type, "$[1]", "function"},
            {port, :unsupported_type, "$", "port"},
            {%{1 => <<1::3>>}, :unsupported_type, "$.{1}", "bitstring"},
            {%{{1} => self()}, :unsupported_type, "$.{tuple}", "pid"},
            {%{self() => 1}, :unsupported_type, "$.<key 0>", "pid"},
            {%{"two words" => self()}, :unsupported_type, ~s($["two words"]), "pid"},
            {MapSet.new([self()]), :unsupported_type, "$[0]", "pid"},
            {%Unknown{x: 1}, :unsupported_type, "$", "Slipring.Test.Unknown"},
            {[%{a: %Unknown{}}], :unsupported_type, "$[0].a", "Slipring.Test.Unknown"},
            {%Point{x: [self()]}, :unsupported_type, "$.x[0]", "pid"},
            {%Tag{number: 5000, value: self()}, :unsupported_type, "$.<tag 5000>", "pid"},
            {[1 | 2], :encode, "$", "improper list"},
            {%{a: [1, [2 | 3]]}, :encode, "$.a[1]", "improper list"},
            {[%Text{data: <<255>>}], :encode, "$[0]", "Slipring.Text"},
            {%Tag{number: 47600, value: 0}, :encode, "$", "Slipring.Tag"},
            {%Tag{number: -1, value: 0}, :encode, "$.number", "Slipring.Tag"},
            {%UUID{bytes: "short"}, :encode, "$.bytes", "Slipring.UUID"},
            {%Decimal{coef: -1}, :encode, "$.coef", "Slipring.Decimal"},
            {%Decimal{exp: 2 ** 64}, :encode, "$.exp", "Slipring.Decimal"},
            {%Duration{seconds: 1.5}, :encode, "$.seconds", "Slipring.Duration"},
            {%Object{name: :a, version: 1, fields: %{}}, :encode, "$.name", "Slipring.Object"},
            {%Object{name: "a", version: -1, fields: %{}}, :encode, "$.version",
             "Slipring.Object"},
            {%Object{name: "a", version: 1, fields: %{:a => 1, "a" => 2}}, :encode, "$", "map"},
            {%{~D[2026-11-21] | day: 31}, :encode, "$.day", "Date"},
            {%{~D[2026-11-21] | month: 13}, :encode, "$.month", "Date"},
            {%{~T[10:00:00] | hour: 25}, :encode, "$.hour", "Time"},
            {%{~T[10:00:00] | minute: 60}, :encode, "$.minute", "Time"},
            {%{~N[2026-11-21 10:00:00] | second: 60}, :encode, "$.second", "NaiveDateTime"},
            {%{~T[10:00:00] | microsecond: {0, 7}}, :encode, "$.microsecond", "Time"},
            {%{~D[2026-11-21] | calendar: Other}, :encode, "$", "Date"},
            {%{~T[10:00:00] | microsecond: 7}, :encode, "$.microsecond", "Time"},
            {%{~U[2026-11-21 10:00:00Z] | time_zone: "a]b", utc_offset: 60}, :encode,
             "$.time_zone", "DateTime"},
            {[%{good | shape: {3}}], :encode, "$[0].data", "Slipring.Tensor"},
            {[%{good | type: {:u, 7}}], :encode, "$[0].type", "Slipring.Tensor"},
            {[Map.delete(~D[2026-11-21], :day)], :encode, "$[0]", "Date"},
            {[%Nx.Tensor{type: {:bf, 16}, shape: {1}, data: <<0, 0>>}], :unsupported_type, "$[0]",
             "Nx.Tensor of type {:bf, 16}"}
          ] do
        assert {:error, %Error{} = error} = Slipring.encode(term)
        assert {term, error.reason, error.path, error.got} == {term, reason, path, got}
        assert is_binary(error.hint) and Exception.message(error) =~ error.hint

        assert {:error, %Error{reason: ^reason, path: ^path}} =
                 Slipring.send(tx, term, format: :value)

        many = "$[1]" <> String.trim_leading(path, "$")

        assert {:error, %Error{reason: ^reason, path: ^many, sent: 0}} =
                 Slipring.send_many(tx, [%{"fine" => 1}, term], format: :value)
      end

      assert %{waiting: 0} = Slipring.info!(name)
      {:error, error} = Slipring.encode([%Unknown{}])
      assert error.hint =~ "derive Slipring.Encodable in Slipring.Test.Unknown"
      assert error.hint =~ "Map.from_struct"
      assert_raise Error, ~r/a pid has no form, at \$/, fn -> Slipring.encode!(self()) end
    end

    test "is a map with a key that is written like another one (R1.3)", %{name: name} do
      {_ring, tx, _rx} = pair(name)

      for {map, options} <- [
            {%{"a" => 1, %Text{data: "a"} => 2}, []},
            {%{<<255>> => 1, %Bytes{data: <<255>>} => 2}, []},
            {%{"a" => 1, %Bytes{data: "a"} => 2}, [binaries: :bytes]},
            {%{{"a", 1} => 1, {%Text{data: "a"}, 1} => 2}, []},
            {%{:b => 1, %Tag{number: 47602, value: "b"} => 2}, []},
            {%{["a"] => 1, [%Text{data: "a"}] => 2}, []}
          ] do
        assert {:error, %Error{reason: :encode, path: "$[0].<key 1>"} = error} =
                 Slipring.encode([map], options)

        assert Exception.message(error) =~ "twice"
      end

      assert {:error, %Error{path: "$.<key 1>"}} =
               Slipring.send(tx, %{"a" => 1, %Text{data: "a"} => 2}, format: :value)

      fields = %{"a" => 1, %Text{data: "a"} => 2}
      assert {:error, %Error{}} = Slipring.encode(%Object{name: "n", version: 1, fields: fields})

      different = %{
        "a" => 1,
        %Bytes{data: "a"} => 2,
        ~D[2026-11-21] => 3,
        {1, [2]} => 4,
        %Text{data: "b"} => 5
      }

      assert {:ok, _data} = Slipring.encode(different)
    end

    test "is a value that is too deep, and not one level less (R6.5)", %{name: name} do
      {_ring, tx, rx} = pair(name)
      nest = fn n, wrap -> Enum.reduce(1..n, 0, fn _, inner -> wrap.(inner) end) end

      for {wrap, most} <- [
            {&[&1], 256},
            {&%{"k" => &1}, 256},
            {&%{&1 => 1}, 256},
            {&{&1}, 128},
            {&MapSet.new([&1]), 128},
            {&%Tag{number: 4711, value: &1}, 256},
            {&%Point{x: &1}, 85},
            {&%Object{name: "n", version: 1, fields: [&1]}, 85}
          ] do
        deepest = nest.(most, wrap)
        assert Slipring.decode!(Slipring.encode!(deepest)) === deepest
        :ok = Slipring.send(tx, deepest)
        assert Frame.value(Slipring.recv!(rx, 1_000)) === deepest

        for more <- [1, 50, 10_000] do
          assert {:error, %Error{reason: :encode, path: path}} =
                   Slipring.encode(nest.(most + more, wrap))

          assert path =~ "..." and byte_size(path) < 300
        end

        # The stack of a dirty scheduler is the smallest.
        large = [nest.(most - 1, wrap) | Enum.to_list(1..200_000)]
        assert Slipring.decode!(Slipring.encode!(large)) === large
      end

      for opening <- [<<0x81>>, <<0x9F>>, <<0xA1, 1>>, <<0xD9, 4711::16>>, <<0xD9, 0xD9F7::16>>] do
        assert {:ok, _} = Slipring.decode(closed(opening, 256))

        assert {:error, %Error{reason: :decode, offset: offset}} =
                 Slipring.decode(closed(opening, 257))

        assert offset == 256 * byte_size(opening)
        assert {:error, %Error{}} = Slipring.decode(:binary.copy(opening, 1_000_000))
      end
    end

    defp closed(opening, times) do
      breaks = if opening == <<0x9F>>, do: :binary.copy(<<0xFF>>, times), else: ""
      :binary.copy(opening, times) <> if(breaks == "", do: <<0>>, else: breaks)
    end
  end

  describe "structs" do
    test "that derive it come back as they are, with defaults for what was left out (R6.4)" do
      assert Slipring.decode!(Slipring.encode!(%Point{x: 1, y: %Point{}, cache: :full})) ==
               %Point{x: 1, y: %Point{}}

      assert Slipring.decode!(Slipring.encode!(%Plain{a: [1], b: {2}})) == %Plain{a: [1], b: {2}}

      assert Slipring.decode!(Slipring.encode!(%Point{x: 1}), structs: false) ==
               %Object{name: "test.point", version: 2, fields: %{"x" => 1, "y" => 0}}

      many = for n <- 1..100, do: %Point{x: n, y: {n, [%Plain{a: n}]}}
      assert Slipring.decode!(Slipring.encode!(many)) == many
      # The name and the fields are on the wire, and nothing else.
      refute Slipring.encode!(%Point{cache: "secret"}) =~ "secret"
    end

    test "are objects by their names, whoever sends them (R6.4, R12.4)" do
      object = &Slipring.encode!(%Object{name: "test.point", version: &1, fields: &2})
      assert Slipring.decode!(object.(2, %{"x" => 7})) == %Point{x: 7}
      # An older version has what it has; a newer one can't be known.
      assert Slipring.decode!(object.(1, %{"y" => 7, "gone" => 1})) == %Point{y: 7}
      assert %Object{version: 3} = Slipring.decode!(object.(3, %{"x" => 7}))
      assert %Object{fields: [1]} = Slipring.decode!(object.(2, [1]))
      # It is not the sender who says which struct it is.
      hostile = %{"__struct__" => "Elixir.URI", "x" => 1}
      assert Slipring.decode!(object.(2, hostile)) == %Point{x: 1}
      twice = <<0xD9, 47603::16, 0x83, 0x6A, "test.point", 2, 0xA2, 0x61, ?x, 1, 0x61, ?x, 2>>
      assert {:error, %Error{path: path}} = Slipring.decode(twice)
      assert path =~ ".x"
      assert {:error, %Error{}} = Slipring.decode(String.replace(twice, "x", "q"))
    end

    test "are loaded from other versions by their modules (R5.2)" do
      old = %Object{name: "test.price", version: 1, fields: %{"euros" => 3}}
      price = %Price{cents: 300, currency: "EUR"}
      term = [1, {old, %{"k" => old}}, MapSet.new([old]), %Point{x: old}]
      loaded = [1, {price, %{"k" => price}}, MapSet.new([price]), %Point{x: price}]
      assert Slipring.decode!(Slipring.encode!(term)) == loaded
      assert Slipring.decode!(Slipring.encode!(price)) == price

      newer = %Object{old | version: 9}
      assert {:error, %Error{reason: :decode} = error} = Slipring.decode(Slipring.encode!(newer))
      assert Exception.message(error) =~ "could not be loaded"
    end

    test "are made by implementations, nested and many (R6.4)" do
      assert Slipring.decode!(Slipring.encode!(%Celsius{degrees: 20})) == {:celsius, 20}

      term =
        for n <- 1..50 do
          %{"n" => n, "t" => %Nested{inner: [%Celsius{degrees: n}, %Nested{inner: %Point{x: n}}]}}
        end

      expected =
        for n <- 1..50 do
          %{"n" => n, "t" => %{"inner" => [{:celsius, n}, %{"inner" => %Point{x: n}}]}}
        end

      assert Slipring.decode!(Slipring.encode!(term)) == expected
      assert {:error, %Error{reason: :encode}} = Slipring.encode([%Endless{}])
    end

    test "of other libraries are registered, under names of their own (R6.4)" do
      assert {:error, %Error{reason: :unsupported_type}} =
               Slipring.encode(%Version{major: 1, minor: 2, patch: 3})

      assert Slipring.register(Version, name: "version", except: [:build]) == :ok
      version = Version.parse!("1.2.3-rc.1")
      assert Slipring.decode!(Slipring.encode!(version)) == version

      assert_raise ArgumentError, ~r/taken by Version/, fn ->
        Slipring.register(Regex, name: "version")
      end

      for {module, options} <- [
            {Nowhere, []},
            {:lists, []},
            {Version, [name: :a]},
            {Version, [version: -1]},
            # Nothing is of version 0, in any language.
            {Version, [version: 0]},
            {Version, [only: [:none]]},
            {Version, [fields: []]}
          ] do
        assert_raise ArgumentError, fn -> Slipring.register(module, options) end
      end
    end

    test "of Nx are tensors (R4.1)", %{name: name} do
      {_ring, tx, rx} = pair(name)
      nx = %Nx.Tensor{data: <<1::32-native, 2::32-native>>, type: {:s, 32}, shape: {2}}
      assert Tensor.to_list(Slipring.decode!(Slipring.encode!(nx))) == [1, 2]
      Slipring.send!(tx, nx)
      {:ok, 3} = Slipring.send_many(tx, [nx, %{"a" => nx}, %Nested{inner: nx}])
      formats = for frame <- Slipring.recv_many!(rx, 4), do: frame.format
      assert formats == [:ndarray, :ndarray, :value, :value]
    end

    test "are known by their names before one was sent, consolidated or not (R6.4)" do
      code = """
      defmodule Early do
        @derive {Slipring.Encodable, name: "early"}
        defstruct [:x]
      end

      defmodule Told do
        def told(module), do: [name: inspect(module)]
      end

      bytes = Slipring.encode!(%Slipring.Object{name: "early", version: 1, fields: %{"x" => 1}})

      if System.argv() == ["consolidated"] do
        {:ok, binary} = Protocol.consolidate(Slipring.Encodable, [Early])
        :code.purge(Slipring.Encodable)
        {:module, _} = :code.load_binary(Slipring.Encodable, 'none', binary)
        {:consolidated, _} = Slipring.Encodable.__protocol__(:impls)
      end

      %{__struct__: Early, x: 1} = Slipring.decode!(bytes)
      %{__struct__: Slipring.Object} = Slipring.decode!(String.replace(bytes, "early", "never"))
      IO.puts("known")
      """

      for how <- ["as it is", "consolidated"] do
        assert output(other_beam(code, [how])) =~ "known"
      end
    end
  end

  describe "hostile bytes" do
    test "make no struct, and damaged structs no harm (P9)" do
      struct =
        Base.decode16!(
          "a2d9b9f26a5f5f7374727563745f5fd9b9f26d456c697869722e4d6170536574d9b9f2636d617005",
          case: :lower
        )

      assert {:error, %Error{reason: :decode, hint: hint}} = Slipring.decode(struct)
      assert hint =~ "__struct__"
      text = Slipring.encode!(%{"__struct__" => "Elixir.MapSet"})

      assert {:ok, %{"__struct__" => "Elixir.MapSet"}} =
               Slipring.decode(text, keys: :existing_atoms)

      damaged = %{__struct__: MapSet, map: 5}
      for _ <- 1..2000, do: assert({:error, %Error{}} = Slipring.encode(damaged))
    end

    test "text and bytes of the same octets are one key, and one member, and that is said (R6.2, R9.1)" do
      # {"k": {"a": 1, b"a": 2}}, and {"k": {"a", b"a"}} of a set.
      for {inner, path} <- [
            {<<0xA2, 0x61, ?a, 1, 0x41, ?a, 2>>, "$.k.a"},
            {<<0xD9, 258::16, 0x82, 0x61, ?a, 0x41, ?a>>, "$.k.<tag 258>"}
          ] do
        assert {:error, error} = Slipring.decode(<<0xA1, 0x61, ?k>> <> inner)
        assert {error.reason, error.path} == {:decode, path}
        assert error.hint =~ "text and bytes of the same octets are one here"
      end

      assert Slipring.decode!(<<0x82, 0x61, ?a, 0x41, ?a>>) == ["a", "a"]
    end

    test "with a key twice are refused however large the map is (R9.3)" do
      for n <- [1, 31, 32, 33, 100] do
        pairs = for i <- 1..n, into: <<>>, do: <<0x19, i::16, 0>>
        twice = <<0xB9, n + 1::16>> <> pairs <> <<0x19, 1::16, 0>>
        assert {:error, %Error{reason: :decode}} = Slipring.decode(twice)
        assert {:ok, map} = Slipring.decode(<<0xB9, n::16>> <> pairs)
        assert map_size(map) == n
      end
    end

    test "are refused, with path and offset (R9.2, R9.3)" do
      for {bytes, path, offset} <- [
            {<<>>, "$", 0},
            {<<0x82, 1>>, "$", 1},
            {<<0x83, 1, 2>>, "$", 1},
            {<<1, 2>>, "$", 1},
            {<<0x82, 1, 0x61, 0xFF>>, "$[1]", 3},
            {<<0xA1, 0x61, 0xC3, 1>>, "$.<key 0>", 2},
            {<<0xA2, 0x61, ?a, 1, 0x61, ?a, 2>>, "$.a", 0},
            {<<0xA2, 0x61, ?a, 1, 0x41, ?a, 2>>, "$.a", 0},
            {<<0xA2, 1, 1, 0x18, 1, 2>>, "$.{1}", 0},
            {<<0x81, 0xF7>>, "$[0]", 1},
            {<<0x81, 0xE0>>, "$[0]", 1},
            {<<0x81, 0xFF>>, "$[0]", 1},
            {<<0x1C>>, "$", 0},
            {<<0xF8, 20>>, "$", 0},
            {<<0x9B, -1::64>>, "$", 9},
            {<<0xBB, 0x4000000000000000::64>>, "$", 9},
            {<<0x7B, -1::64, "abc">>, "$", 9},
            {<<0x5A, -1::32, "abc">>, "$", 5},
            {<<0x7F, 0x41, 1, 0xFF>>, "$", 1},
            {<<0xA1, 0x61, ?k, 0xD9, 47600::16, 0>>, "$.k.<tag 47600>", 3},
            {<<0xD9, 258::16, 0x82, 1, 1>>, "$.<tag 258>", 0},
            {<<0xD9, 47602::16, 1>>, "$.<tag 47602>", 0},
            {<<0xD9, 47604::16, 0x83, 1, 2, 0>>, "$.<tag 47604>", 0},
            {<<0xD9, 47604::16, 0x82, 1, 2>>, "$.<tag 47604>", 0},
            {<<0xD9, 1004::16, 0x6A, "2026-02-29">>, "$.<tag 1004>", 0},
            {<<0xD9, 47608::16, 0x68, "24:00:00">>, "$.<tag 47608>", 0},
            {<<0xD9, 47606::16, 0x73, "2026-11-21T10:46:60">>, "$.<tag 47606>", 0},
            {<<0xC0, 0x73, "2026-11-21T10:46:28">>, "$.<tag 0>", 0},
            {<<0xC1, 0x1B, -1::64>>, "$.<tag 1>", 0},
            {<<0xD8, 37, 0x41, 1>>, "$.<tag 37>", 0},
            {<<0xD9, 1002::16, 0xA2, 1, 1, 1, 1>>, "$.<tag 1002>", 0},
            {<<0xC4, 0x82, 1>>, "$.<tag 4>", 2},
            {<<0xD9, 47609::16, 0x61, "7">>, "$.<tag 47609>", 0},
            {<<0xD8, 77, 0x43, 1, 2, 3>>, "$.<tag 77>", 2},
            {<<0xD8, 40, 0x82, 0x81, 3, 0xD8, 64, 0x42, 1, 2>>, "$.<tag 40>", 7},
            {<<0xD9, 47611::16, 0xD8, 64, 0x42, 1, 2>>, "$.<tag 47611>", 0}
          ] do
        assert {:error, %Error{reason: :decode} = error} = Slipring.decode(bytes)
        assert {bytes, error.path, error.offset} == {bytes, path, offset}
        assert is_binary(error.hint)
      end
    end

    test "that claim much get nothing for it (R9.2)" do
      # Each container claims what is left; together that is more than there is.
      nested = for n <- 1..200, into: <<>>, do: <<0x9A, 1000 - n::32>>
      bytes = nested <> :binary.copy(<<0>>, 1000)
      {:memory, before} = Process.info(self(), :memory)
      assert {:error, %Error{reason: :decode}} = Slipring.decode(bytes)
      {:memory, later} = Process.info(self(), :memory)
      assert later - before < 1_000_000
      # A claim of what is there is no crime.
      assert {:ok, list} = Slipring.decode(<<0x99, 1000::16>> <> :binary.copy(<<0>>, 1000))
      assert length(list) == 1000
    end

    test "by chance are answered, and the VM lives (R9.2)" do
      seeds =
        for {_name, bytes} <- golden_file() do
          bytes
        end ++
          for seed <- 1..40 do
            {term, _} = Terms.term(seed * 7919, 4)
            Slipring.encode!(term)
          end

      {good, bad} =
        Enum.reduce(1..20_000, {{0, 0}, 99}, fn _, {{good, bad}, state} ->
          {at, state} = Terms.below(state, length(seeds))
          {bytes, state} = mutate(Enum.at(seeds, at), state)

          case Slipring.decode(bytes) do
            {:ok, term} ->
              # What was read can be sent again, if no two things became one in between.
              assert match?({:ok, _}, Slipring.encode(term)) or inspect(term) =~ "Slipring"
              {{good + 1, bad}, state}

            {:error, %Error{reason: :decode, offset: offset}} ->
              assert offset <= byte_size(bytes)
              {{good, bad + 1}, state}
          end
        end)
        |> elem(0)

      # Both happen, else it is not much of a test.
      assert good > 1_000 and bad > 1_000
    end

    defp mutate("", state), do: {<<0xFF>>, state}

    defp mutate(bytes, state) do
      {kind, state} = Terms.below(state, 4)
      {at, state} = Terms.below(state, byte_size(bytes))
      {byte, state} = Terms.below(state, 256)
      <<front::binary-size(at), old, back::binary>> = bytes

      case kind do
        0 -> {<<front::binary, byte, back::binary>>, state}
        1 -> {front, state}
        2 -> {<<front::binary, byte, old, back::binary>>, state}
        3 -> {<<front::binary, back::binary>>, state}
      end
    end

    test "in a frame are answered, and the VM lives (R9.2)", %{name: name} do
      {_ring, tx, rx} = pair(name)
      large = :binary.copy(<<255>>, 70_000)
      tensor = Tensor.new(:binary.copy(<<1>>, 300), {300}, {:u, 8})
      Slipring.send!(tx, %{"large" => large, "tensor" => tensor}, meta: %{a: 1})
      frame = Slipring.recv!(rx, 1_000)
      {flags, type, body} = copied(frame)

      Enum.reduce(1..3_000, 5, fn _, state ->
        {at, state} = Terms.below(state, 200)
        {byte, state} = Terms.below(state, 256)
        <<front::binary-size(at), _, back::binary>> = body

        damaged = %{
          frame
          | lease: nil,
            content: {flags, type, <<front::binary, byte, back::binary>>}
        }

        try do
          Frame.value(damaged)
          Frame.describe(damaged)
        rescue
          error in Error -> assert error.reason == :decode
        end

        state
      end)
    end

    defp copied(frame), do: Slipring.Native.content(frame.lease, false)
  end

  @late """
  defmodule Late do
    @derive Slipring.Encodable
    defstruct [:a]
  end

  {:error, error} = Slipring.encode(struct(Late, a: 1))
  IO.puts(error.hint)
  :ok = Slipring.register(Late)
  IO.inspect(Slipring.decode!(Slipring.encode!(struct(Late, a: 2))))
  """

  @doc "R6.5, R9.1."
  test "what is derived after consolidation is told apart, and can be registered", %{name: name} do
    dir = Path.join(System.tmp_dir!(), name)
    File.mkdir!(dir)
    on_exit(fn -> File.rm_rf!(dir) end)
    ebin = Application.app_dir(:slipring, "ebin")
    {:ok, binary} = Protocol.consolidate(Slipring.Encodable, [])
    File.write!(Path.join(dir, "Elixir.Slipring.Encodable.beam"), binary)
    arguments = ["-pa", ebin, "-pa", dir, "-e", @late]
    {printed, 0} = System.cmd("elixir", arguments, stderr_to_stdout: true)
    assert printed =~ "consolidated before Late was compiled: call Slipring.register(Late)"
    assert printed =~ "%Late{a: 2}"
  end

  describe "costs" do
    test "are measured in use, one send of 64 (R1.4, R7.1)", %{name: name} do
      {_ring, tx, rx} = pair(name)
      text = [String.duplicate("x", 9_000)]

      for _ <- 1..(64 * 30) do
        :ok = Slipring.send(tx, text)
        Slipring.recv!(rx)
      end

      sizes =
        for %{format: :value, kind: "text", size: size, time: time} <- Slipring.costs(),
            time > 0,
            do: size

      assert Enum.any?(sizes, &(&1 in 8_500..9_500))
      # What is only copied is estimated by what was copied before, or by a seed.
      explained = Slipring.explain(String.duplicate("x", 1_000_000))

      assert [%{format: :raw, measured: false, size: 1_000_000, time: time} | _] =
               explained.candidates

      assert time > 1 and time < 10_000
    end

    test "stay with the segment for whoever comes next (R1.4)", %{name: name} do
      {_ring, tx, rx} = pair(name)
      for _ <- 1..64, do: [Slipring.send!(tx, [1.5]), Slipring.recv!(rx)]
      file = File.open!(Slipring.info!(name).path, [:read, :write, :raw, :binary])
      # The BEAM's words, as `selection.md` says: format, then kind, then size.
      words = 512 + 4 * 512
      {:ok, figures} = :file.pread(file, words, 4 * 210)
      assert for(<<figure::little-32 <- figures>>, figure > 0, do: figure) != []
      # 100 ns and 100 bytes, of a pickle's scalar: nothing in this BEAM measures one.
      :ok = :file.pwrite(file, words + 4 * (4 * 7 * 5), <<0x42C842C8::little-32>>)
      File.close(file)
      Slipring.close(tx)
      {:ok, _} = Slipring.producer(Slipring.open!(name))

      assert %{kind: "scalar", size: 100, time: 0.1} =
               Enum.find(Slipring.costs(), &(&1.format == :pickle))
    end
  end

  describe "explain" do
    test "says what send does, why, and what it costs (R1.5)", %{name: name} do
      ring = Slipring.create!(name)
      {tx, rx} = {Slipring.producer!(ring), Slipring.consumer!(ring)}
      tensor = Slipring.Tensor.from_list([1, 2, 3], {3}, {:u, 8})

      for term <- ["bytes", tensor, %{"a" => [1, tensor]}, {:tuple, 2.5}, nil] do
        explained = Slipring.explain(term)
        :ok = Slipring.send(tx, term)
        assert Slipring.recv!(rx).format == explained.format
        assert [%{fits: true, size: size, time: time} | _] = explained.candidates
        assert size > 0 and time >= 0 and is_binary(explained.reason)
      end

      for term <- [self(), [1 | 2], %{"f" => &is_map/1}] do
        explained = Slipring.explain(term)
        assert explained.format == nil
        assert Enum.all?(explained.candidates, &(not &1.fits and &1.size == nil))
      end

      assert hd(Slipring.explain(%{"f" => &is_map/1}).candidates).reason =~ "$.f"
    end

    test "names a table where format: :arrow makes one, and only there (R1.5)", %{name: name} do
      {_ring, tx, rx} = pair(name)
      record = &%{"a" => &1, "b" => %{"x" => &1}}

      for {term, why} <- [
            {%{"a" => [1, 2, 3], b: [1.5, nil, 2.5]}, nil},
            {[a: [1, 2], b: ["x", "y"]], nil},
            {%{}, nil},
            {Enum.map(1..200, record), ~s(record 0 has a term of type map under "b")},
            {[%{"a" => 1}], "1 records: a table is worth it"},
            {Enum.map(1..200, &%{a: &1}), "no text"},
            {Enum.map(1..200, &%{"a" => [&1]}), "type list"}
          ] do
        explained = Slipring.explain(term)
        assert explained.format == :value
        assert [%{fits: true, measured: false} = table] = of(explained, :arrow)
        assert table.reason =~ "only where it is asked for"
        if why, do: assert(table.reason =~ why)
        assert Enum.all?(Enum.take_while(explained.candidates, &(&1 != table)), & &1.fits)

        :ok = Slipring.send(tx, term, format: :arrow)
        frame = Slipring.recv!(rx, 1_000)
        assert %{kind: :table} = Frame.describe(frame)
        # What is measured is the body, in which the table stands alone.
        assert table.size > 0 and is_number(table.time)
      end

      for term <- [
            %{"a" => 1},
            %{"a" => [1], "b" => [1, 2]},
            %{"a" => [1, "x"]},
            [1, 2],
            [%{"a" => 1}, 2],
            [{1, 2}],
            []
          ] do
        explained = Slipring.explain(term)
        assert explained.format == :value
        assert {term, Enum.filter(of(explained, :arrow), & &1.fits)} == {term, []}
        assert {:error, %Error{} = error} = Slipring.send(tx, term, format: :arrow)
        assert Exception.message(error) =~ error.hint
      end

      for term <- [[1 | 2], [%{"a" => 1} | 2], [{:a, [1]} | 2]] do
        assert Slipring.explain(term).format == nil
        assert {:error, %Error{}} = Slipring.send(tx, term, format: :arrow)
      end

      # A table by itself already.
      assert Slipring.explain(Enum.map(1..200, &%{"a" => &1})).format == :arrow
    end

    defp of(explained, format), do: Enum.filter(explained.candidates, &(&1.format == format))
  end

  describe "in frames" do
    test "large binaries and tensors lie in the segment (R14.2)", %{name: name} do
      {_ring, tx, rx} = pair(name)
      large = :crypto.strong_rand_bytes(100_000)
      tensor = Tensor.new(:crypto.strong_rand_bytes(8_000), {1_000}, {:f, 64})
      term = %{"large" => large, "tensor" => tensor, "small" => [1, "two"]}
      Slipring.send!(tx, term)
      frame = Slipring.recv!(rx, 1_000)
      assert Frame.in_place?(frame)
      value = Frame.value(frame)
      assert value == term

      for data <- [value["large"], value["tensor"].data],
          do: assert(Slipring.Native.in_place(frame.lease, data))

      refute Slipring.Native.in_place(frame.lease, hd(tl(value["small"])))
      assert Frame.release(frame) == :deferred
      assert value == term
      assert_raise Error, ~r/released/, fn -> Frame.value(frame) end
      assert_raise Error, ~r/released/, fn -> Frame.describe(frame) end
    end

    test "without large parts are free when they are released (R8.4)", %{name: name} do
      {_ring, tx, rx} = pair(name, [], lease: :always)
      Slipring.send!(tx, %{"a" => [1, 2, "three"]})
      frame = Slipring.recv!(rx, 1_000)
      assert Frame.value(frame) == %{"a" => [1, 2, "three"]}
      assert Frame.release(frame) == :ok
      assert Slipring.info!(name).held == 0
    end

    test "carry metadata beside, and are described without a look at the rest (R13.2)",
         %{name: name} do
      {_ring, tx, rx} = pair(name)
      tensor = Tensor.new(:binary.copy(<<0>>, 24), {2, 3}, {:f, 32}, order: :fortran)

      shape = %{
        kind: :tensor,
        shape: {2, 3},
        type: {:f, 32},
        order: :fortran,
        byte_order: :little
      }

      keys = for n <- 1..100, do: "key #{n}"

      for {term, format, facts} <- [
            {"raw", :raw, %{kind: :bytes, length: 3}},
            {tensor, :ndarray, shape},
            {[tensor], :value, %{kind: :list, length: 1}},
            {%Tag{number: 55799, value: tensor}, :value, shape},
            {nil, :value, %{kind: nil}},
            {true, :value, %{kind: :boolean}},
            {2 ** 70, :value, %{kind: :integer}},
            {1.5, :value, %{kind: :float}},
            {:ok, :value, %{kind: :atom}},
            {{1, 2}, :value, %{kind: :tuple, length: 2}},
            {MapSet.new([1]), :value, %{kind: :set, length: 1}},
            {%{"b" => [1, [2]], :a => %{}, 3 => 4}, :value, %{kind: :map, length: 3}},
            {%Point{}, :value,
             %{kind: :object, name: "test.point", version: 2, length: 2, keys: ["x", "y"]}},
            {%Tag{number: 9, value: 1}, :value, %{kind: :tag, number: 9}},
            {~D[2026-11-21], :value, %{kind: :date}},
            {1..2, :value, %{kind: :range}},
            {Map.new(keys, &{&1, &1}), :value, %{kind: :map, length: 100}}
          ],
          lease <- [:always, :never] do
        Slipring.close(rx)
        rx = Slipring.consumer!(name, lease: lease)
        Slipring.send!(tx, term, meta: %{site: 4})
        frame = Slipring.recv!(rx, 1_000)
        assert frame.meta == %{"site" => 4}
        described = Frame.describe(frame)
        assert described.format == format
        assert Map.take(described, Map.keys(facts)) == facts
        if facts[:kind] == :map, do: assert(length(described.keys) == min(facts.length, 64))
        assert Frame.value(frame) == if(match?(%Tag{number: 55799}, term), do: tensor, else: term)
        Frame.release(frame)
        Slipring.close(rx)
      end
    end

    test "go as asked: formats and options (R9.1)", %{name: name} do
      {_ring, tx, rx} = pair(name)
      tensor = Tensor.from_list([1], {1}, {:u, 8})

      for {term, options, format} <- [
            {"raw", [], :raw},
            {"raw", [format: :value], :value},
            {tensor, [], :ndarray},
            {tensor, [format: :value], :value},
            {["a"], [binaries: :bytes], :value},
            {%Bytes{data: "a"}, [], :value}
          ] do
        Slipring.send!(tx, term, options)
        {:ok, 1} = Slipring.send_many(tx, [term], options)
        assert [one, two] = Slipring.recv_many!(rx, 2, 1_000)
        assert {one.format, two.format} == {format, format}
        assert Frame.value(one) == if(term == %Bytes{data: "a"}, do: "a", else: term)
        assert Frame.value(one) == Frame.value(two)
      end

      assert_raise ArgumentError, ~r/:auto, :value, :json or :arrow/, fn ->
        Slipring.send(tx, 1, format: :raw)
      end

      Slipring.send!(tx, 1)
      frame = Slipring.recv!(rx)

      assert_raise ArgumentError, ~r/unknown options \[:nam\]/, fn ->
        Frame.value(frame, nam: 1)
      end
    end

    test "of many lengths in turn find room, and leave it (P7, R8.4)", %{name: name} do
      {_ring, tx, rx} = pair(name, capacity: {2, :mib})

      Enum.reduce(1..3_000, 17, fn n, state ->
        {bits, state} = Terms.below(state, 19)
        term = [n, :binary.copy(<<255>>, Bitwise.bsl(1, bits)), String.duplicate("x", div(n, 10))]
        :ok = Slipring.send(tx, term, timeout: 5_000)
        frame = Slipring.recv!(rx, 1_000)
        assert Frame.value(frame) === term
        Frame.release(frame)
        if rem(n, 50) == 0, do: :erlang.garbage_collect()
        state
      end)

      # After a large one, small ones don't hold as much.
      Slipring.send!(tx, [:binary.copy("x", 500_000)]) && Slipring.recv!(rx)
      {:ok, 200} = Slipring.send_many(tx, for(n <- 1..200, do: %{"n" => n}), timeout: 1_000)
      assert length(Slipring.recv_many!(rx, 200)) > 0
    end

    test "that wait for a slot are written once (R14.1)", %{name: name} do
      {_ring, tx, rx} = pair(name, slots: 8)
      term = fn n -> %{"n" => n, "rest" => Enum.to_list(1..1_000)} end
      {:ok, 8} = Slipring.send_many(tx, Enum.map(1..8, term))
      assert {:error, %Error{reason: :full}} = Slipring.send(tx, term.(9), timeout: 0)
      assert {:error, %Error{reason: :timeout}} = Slipring.send(tx, term.(9), timeout: 20)
      registry = Slipring.Structs.registry()
      assert {:full, pending} = Slipring.Native.send(tx.ref, term.(9), nil, 0, registry, [])
      assert Slipring.Native.commit(tx.ref, pending, 0) == :full
      waiting = Task.async(fn -> Slipring.send(tx, term.(10), timeout: 5_000) end)
      first = Frame.value(Slipring.recv!(rx))
      assert first["n"] == 1
      assert Task.await(waiting) == :ok
      Slipring.recv!(rx)
      assert Slipring.Native.commit(tx.ref, pending, 0) == :ok
      numbers = for frame <- Slipring.recv_many!(rx, 20), do: Frame.value(frame)["n"]
      assert numbers == [3, 4, 5, 6, 7, 8, 10, 9]
    end

    test "may drop the oldest (P7)", %{name: name} do
      {_ring, tx, rx} = pair(name, slots: 8, mode: :mpmc, drop_oldest: true)
      terms = for n <- 1..20, do: %{"n" => n, "rest" => Enum.to_list(1..1_000)}
      for term <- terms, do: :ok = Slipring.send(tx, term, drop_oldest: true)
      kept = for frame <- Slipring.recv_many!(rx, 20), do: Frame.value(frame)
      assert kept == Enum.take(terms, -length(kept))
      assert length(kept) in 1..8
    end

    test "that can never fit are refused at once, with the limit (P7)", %{name: name} do
      {_ring, tx, _rx} = pair(name, capacity: {1, :mib})

      for term <- [[:binary.copy(<<255>>, 2_000_000)], Enum.to_list(1..1_000_000)] do
        assert {:error, %Error{reason: :too_large, expected: limit}} = Slipring.send(tx, term)
        assert limit < 1_048_576

        assert {:error, %Error{reason: :too_large, path: "$[1]", sent: 0}} =
                 Slipring.send_many(tx, [[1], term])
      end

      assert Slipring.send(tx, ["fits"]) == :ok
    end

    test "many at a time, of all kinds (R6.1)", %{name: name} do
      {_ring, tx, rx} = pair(name, slots: 1024, capacity: {32, :mib})

      {terms, _} = Enum.map_reduce(1..700, 3, fn _, state -> Terms.term(state, 3) end)
      terms = terms ++ [Enum.to_list(1..100_000), %Celsius{degrees: 1}, "raw", %Point{x: 1}]
      sender = Task.async(fn -> Slipring.send_many(tx, terms) end)

      got =
        Stream.repeatedly(fn -> Slipring.recv_many!(rx, 64, 5_000) end)
        |> Enum.reduce_while([], fn frames, got ->
          got = got ++ Enum.map(frames, &Frame.value/1)
          if length(got) == length(terms), do: {:halt, got}, else: {:cont, got}
        end)

      assert Task.await(sender) == {:ok, length(terms)}
      assert got === List.replace_at(terms, 701, {:celsius, 1})
    end
  end

  describe "schedulers" do
    test "are left for dirty ones by what takes long (P8)", %{name: name} do
      {_ring, tx, rx} = pair(name, capacity: {32, :mib}, populate: true)
      registry = Slipring.Structs.registry()
      forms = Slipring.Structs.forms()
      long = Enum.to_list(1..200_000)
      short = Enum.to_list(1..1_000)
      assert Slipring.Native.encode(long, false, registry, []) == :large
      assert is_binary(Slipring.Native.encode(short, false, registry, []))
      assert Slipring.Native.decode(Slipring.encode!(long), 0, forms) == :large
      assert {^short, 0} = Slipring.Native.decode(Slipring.encode!(short), 0, forms)
      # Few bytes, and many items.
      zeros = <<0x9A, 100_000::32>> <> :binary.copy(<<0>>, 100_000)
      assert Slipring.Native.decode(zeros, 0, forms) == :large

      assert Slipring.Native.send(tx.ref, long, nil, 0, registry, []) == :large
      assert Slipring.Native.send_large(tx.ref, long, nil, 0, registry, []) == :ok
      # Another one is not even begun, and a short one is once it has been seen.
      assert Slipring.Native.send(tx.ref, short, nil, 0, registry, []) == :large
      assert Slipring.Native.send_large(tx.ref, short, nil, 0, registry, []) == :ok
      assert Slipring.Native.send(tx.ref, short, nil, 0, registry, []) == :ok
      assert {0, [^long], :large} = Slipring.Native.check_many([long], tx.limit, 0, registry)
      assert {:ok, 3} = Slipring.send_many(tx, [short, long, short])
      values = for frame <- Slipring.recv_many!(rx, 10), do: Frame.value(frame)
      assert values == [long, short, short, short, long, short]
    end

    test "are paid for in reductions (P8)" do
      term = for n <- 1..1_000, do: %{"n" => n, "x" => n * 1.5}
      bytes = Slipring.encode!(term)

      for call <- [fn -> Slipring.encode!(term) end, fn -> Slipring.decode!(bytes) end] do
        {:reductions, before} = Process.info(self(), :reductions)
        for _ <- 1..20, do: call.()
        {:reductions, later} = Process.info(self(), :reductions)
        assert later - before > 20 * 100
      end
    end
  end

  describe "numbers in a row" do
    # Rows are read some at a time: each length around that, and what ends them.
    test "of any length come as they were, whatever follows (R6.1)" do
      for len <- Enum.concat([0..70, 90..100, 250..330]),
          row = for(n <- 1..len//1, do: n * 1.37 - 40),
          behind <- [[], [7], ["x", 2.5, 2.5], [nil | row], [-1, 2 ** 70, 1.5]] do
        for list <- [row ++ behind, behind ++ row, [row, behind, row]] do
          assert list == Slipring.decode!(Slipring.encode!(list))
          # Another writer, and another reader.
          assert list == Slipring.decode!(cbor(list))
          assert cbor(list) == Slipring.encode!(list)
        end
      end
    end

    test "tell where the one stands that the BEAM can't hold (R6.3, R9.1)" do
      for at <- [0, 1, 31, 32, 33, 63, 64, 95, 99] do
        items = for n <- 0..99, do: if(n == at, do: <<0xFB, 0x7FF8::16, 0::48>>, else: cbor(0.5))
        bytes = IO.iodata_to_binary([<<0x98, 100>>, items])
        list = Slipring.decode!(bytes)
        assert Enum.at(list, at) == :nan
        assert Enum.count(list, &(&1 == 0.5)) == 99
        assert {:error, error} = Slipring.decode(bytes, nan: :error)
        assert error.path == "$[#{at}]"
      end
    end

    test "that end too early are refused, wherever (R9.2)" do
      bytes = Slipring.encode!(for n <- 1..100, do: n * 0.5)

      for len <- 0..(byte_size(bytes) - 1),
          do: assert({:error, _} = Slipring.decode(binary_part(bytes, 0, len)))
    end

    test "of a list without an end are refused with it (R6.5)" do
      for len <- [1, 31, 32, 33, 254, 255, 256, 286, 287, 288, 320] do
        row = for n <- 1..len, do: n * 0.5
        assert {:error, error} = Slipring.encode(List.foldr(row, 1.5, &[&1 | &2]))
        assert Exception.message(error) =~ "improper list"
      end
    end

    # The shortest form, for numbers, text and lists.
    defp cbor(nil), do: <<0xF6>>
    defp cbor(x) when is_float(x), do: <<0xFB, x::float>>

    defp cbor(n) when is_integer(n) and n >= 0x1_0000_0000_0000_0000,
      do:
        [<<0xC2>>, head(2, byte_size(:binary.encode_unsigned(n))), :binary.encode_unsigned(n)]
        |> IO.iodata_to_binary()

    defp cbor(n) when is_integer(n) and n >= 0, do: head(0, n)
    defp cbor(n) when is_integer(n), do: head(1, -1 - n)
    defp cbor(text) when is_binary(text), do: head(3, byte_size(text)) <> text

    defp cbor(list) when is_list(list),
      do: IO.iodata_to_binary([head(4, length(list)) | Enum.map(list, &cbor/1)])

    defp head(major, n) when n < 24, do: <<major::3, n::5>>
    defp head(major, n) when n < 0x100, do: <<major::3, 24::5, n>>
    defp head(major, n) when n < 0x1_0000, do: <<major::3, 25::5, n::16>>
    defp head(major, n), do: <<major::3, 26::5, n::32>>
  end

  @tag :memory
  test "memory stays what it is over many round trips (R8.4)", %{name: name} do
    {ring, tx, rx} = pair(name, capacity: {8, :mib})

    turn = fn n ->
      term = %{
        "n" => n,
        "atom" => :ok,
        "big" => 2 ** 200,
        "bytes" => :binary.copy(<<255>>, 70_000),
        "struct" => %Celsius{degrees: n},
        "tensor" => Tensor.new(:binary.copy(<<1>>, 400), {400}, {:u, 8}),
        "list" => Enum.to_list(1..2_000)
      }

      Slipring.send!(tx, term)
      frame = Slipring.recv!(rx, 1_000)
      Frame.value(frame)
      Frame.release(frame)
      Slipring.decode!(Slipring.encode!(term))
      {:error, _} = Slipring.encode([term, self()])
      {:error, _} = Slipring.decode(<<0x82, 1>>)
    end

    run = fn turns ->
      Task.await(Task.async(fn -> for n <- 1..turns, do: turn.(n) end), 60_000)
      :erlang.garbage_collect()
      resident()
    end

    run.(300)
    # What leaks does so in each of them; what other tests take meanwhile does not.
    sizes = for _ <- 1..4, do: run.(1_000)
    growths = for [before, later] <- Enum.chunk_every(sizes, 2, 1, :discard), do: later - before
    assert Enum.min(growths) < 8_000_000, "bytes after each thousand: #{inspect(sizes)}"
    assert Slipring.info!(ring).leases in 0..8
  end

  defp resident do
    # Without what is shared: other tests have rings at the same time.
    [_all, pages, shared | _] = "/proc/self/statm" |> File.read!() |> String.split()
    (String.to_integer(pages) - String.to_integer(shared)) * 4096
  end

  test "what is lost on the way is told once for each kind, and what keeps it (R6.3)" do
    code = """
    defmodule LossyPoint do
      @derive {Slipring.Encodable, name: "p"}
      defstruct [:x]
    end

    Slipring.encode!(%{__struct__: LossyPoint, x: 1})
    object = fn version, fields -> Slipring.encode!(%Slipring.Object{name: "p", version: version, fields: fields}) end
    hex = &Base.decode16!/1

    for _ <- 1..3, bytes <- [
          hex.("D9B9F2") <> <<0x67, "no_such">>,
          hex.("FB7FF8000000000000"),
          hex.("D9B9F8") <> <<0x70, "10:46:28.1234567">>,
          hex.("D9B9F5D9010280"),
          hex.("D9B9FBD84001") |> binary_part(0, 0) |> Kernel.<>(hex.("D9B9FBD8404101")),
          hex.("D9B9F9") <> <<0x64, "sNaN">>,
          object.(1, %{"gone" => 1}),
          object.(2, %{"x" => 1})
        ] do
      Slipring.decode!(bytes)
    end
    """

    printed = output(other_beam(code, []))
    assert length(Regex.scan(~r/\(said once\)/, printed)) == 8

    for words <- [
          "an atom that does not exist",
          ":nan, :infinity",
          "six digits",
          "frozen set",
          "one element",
          "decimal's NaN",
          "fields that the struct does not have",
          "of a version"
        ] do
      assert printed =~ words
    end
  end

  test "Decimal's own struct comes where it is loaded, and goes in any case" do
    code = """
    defmodule Decimal do
      defstruct sign: 1, coef: 0, exp: 0
    end

    decimal = struct(Decimal, coef: 150, exp: -2)
    ^decimal = Slipring.decode!(Slipring.encode!(decimal))
    ^decimal = Slipring.decode!(Slipring.encode!(%Slipring.Decimal{coef: 150, exp: -2}))

    # Elixir's own since 1.17.
    unless Code.ensure_loaded?(Duration) do
      defmodule Duration do
        defstruct year: 0, month: 0, week: 0, day: 0, hour: 0, minute: 0, second: 0, microsecond: {0, 0}
      end
    end

    duration = struct(Duration, week: 1, day: 1, hour: -1, second: 2, microsecond: {-3, 6})
    %Slipring.Duration{seconds: 687_602, microseconds: -3} = Slipring.decode!(Slipring.encode!(duration))
    {:error, %{reason: :encode}} = Slipring.encode(struct(Duration, month: 1))
    IO.puts("fine")
    """

    assert output(other_beam(code, [])) =~ "fine"
  end
end

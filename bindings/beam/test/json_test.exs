defmodule Slipring.JSONTest do
  use Slipring.Case, async: true

  alias Slipring.{Bytes, Decimal, JSON, Object, Text, UUID}
  alias Slipring.Test.{Point, Unknown}

  @golden JSON.decode!(File.read!(Path.join(__DIR__, "../../../tests/golden/json.json")))

  @suite Path.join(__DIR__, "../../../tests/data/json_test_suite")

  defp data(%{"hex" => hex}), do: Base.decode16!(hex, case: :lower)
  defp data(%{"text" => text}), do: text

  defp deep(levels, inner \\ ""),
    do: String.duplicate("[", levels) <> inner <> String.duplicate("]", levels)

  describe "golden texts" do
    test "have the values and the errors that they have in all languages (R6.1, R9.1)" do
      assert length(@golden) > 80

      for golden <- @golden do
        case {JSON.decode(data(golden)), golden} do
          {{:ok, term}, %{"cbor" => hex}} ->
            assert {golden["name"], term} ===
                     {golden["name"], Slipring.decode!(Base.decode16!(hex, case: :lower))}

            assert JSON.decode!(JSON.encode!(term)) === term

          {{:error, error}, %{"error" => expected}} ->
            found = Map.take(error, [:line, :column, :path, :offset])
            found = Map.new(found, fn {key, value} -> {Atom.to_string(key), value} end)
            assert {golden["name"], found} == {golden["name"], Map.delete(expected, "what")}
            assert error.reason == :decode
            assert String.starts_with?(error.message, expected["what"] <> ": line ")
            assert is_binary(error.hint)
        end
      end
    end

    test "are the same from frames, copied and leased (R14.2)", %{name: name} do
      for lease <- [:never, :always] do
        {_ring, tx, rx} = pair("#{name}-#{lease}", [slots: 256], lease: lease)

        for golden <- @golden, text = data(golden), String.valid?(text) do
          :ok = Slipring.send(tx, %JSON.Raw{data: text}, meta: %{n: 1})
          frame = Slipring.recv!(rx, 1_000)
          assert {frame.format, frame.meta} == {:json, %{"n" => 1}}

          case golden do
            %{"cbor" => hex} ->
              term = Slipring.decode!(Base.decode16!(hex, case: :lower))
              assert Frame.value(frame) === term
              assert Frame.describe(frame).length == byte_size(text)

            %{"error" => expected} ->
              error = catch_error(Frame.value(frame))
              assert {error.line, error.path} == {expected["line"], expected["path"]}
          end

          Frame.release(frame)
        end
      end
    end
  end

  describe "JSONTestSuite" do
    defp documents do
      files = Path.wildcard(Path.join(@suite, "test_parsing/*.json"))
      Map.new(files, &{Path.basename(&1, ".json"), File.read!(&1)})
    end

    # What is said of a text, and where, which has to be true.
    defp refused(name, text) do
      assert {^name, {:error, error}} = {name, JSON.decode(text)}
      assert error.reason == :decode and is_binary(error.hint)
      before = String.split(binary_part(text, 0, error.offset), "\n")
      place = {length(before), length(String.codepoints(List.last(before))) + 1}
      assert {name, {error.line, error.column}} == {name, place}
      error
    end

    test "is read where it must be, and refused where it must not (J1)" do
      groups = Enum.group_by(documents(), fn {name, _} -> String.first(name) end)
      assert %{"y" => 95, "n" => 188} = Map.new(groups, fn {key, all} -> {key, length(all)} end)

      for {name, text} <- groups["y"] do
        assert {^name, {:ok, term}} = {name, JSON.decode(text)}
        assert {name, JSON.decode!(JSON.encode!(term))} === {name, term}
      end

      for {name, text} <- groups["n"], do: refused(name, text)
    end

    test "is judged as decided where it may be either (J1, R9.1)" do
      documents = documents()
      rows = JSON.decode!(File.read!(Path.join(@suite, "decisions.json")))
      names = Enum.flat_map(rows, & &1["documents"])
      assert Enum.sort(names) == for({"i_" <> _ = name, _} <- documents, do: name) |> Enum.sort()

      for row <- rows, name <- row["documents"], text = documents[name] do
        case row do
          %{"error" => what, "path" => path} ->
            error = refused(name, text)
            assert {name, error.path} == {name, path}
            assert String.starts_with?(error.message, what <> ": line ")

          %{"depth" => levels} ->
            assert JSON.encode!(JSON.decode!(text)) == deep(levels)

          %{"cbor" => hex} ->
            expected = Slipring.decode!(Base.decode16!(hex, case: :lower))
            assert {name, JSON.decode!(text)} === {name, expected}
        end
      end
    end
  end

  describe "terms" do
    test "are written and come back (R6.1, R14.1)", %{name: name} do
      {_ring, tx, rx} = pair(name, capacity: {16, :mib})

      terms = [
        nil,
        true,
        "",
        "grüß \\ \"\n\0",
        0,
        -1,
        2 ** 63,
        -(2 ** 63) - 1,
        10 ** 400,
        -(10 ** 400) + 1,
        0.1,
        -0.0,
        1.7976931348623157e308,
        5.0e-324,
        [],
        %{},
        [[], %{"a" => [%{"b" => nil}]}],
        Enum.to_list(1..5_000),
        for(n <- 1..500, do: %{"id" => n, "name" => "n#{n}é", "at" => n / 7}),
        String.duplicate("x\n", 100_000)
      ]

      for term <- terms, meta <- [nil, %{"site" => 4}] do
        options = if meta, do: [format: :json, meta: meta], else: [format: :json]
        :ok = Slipring.send(tx, term, options)
        frame = Slipring.recv!(rx, 1_000)
        assert {frame.format, frame.meta} == {:json, meta}
        assert Frame.value(frame) === term
        assert JSON.decode!(JSON.encode!(term)) === term
      end

      assert {:ok, 3} = Slipring.send_many(tx, ["a", 1, %{b: 2}], format: :json)
      {:ok, frames} = Slipring.recv_many(rx, 3)

      assert Enum.map(frames, &{&1.format, Frame.value(&1)}) ==
               [json: "a", json: 1, json: %{"b" => 2}]
    end

    test "of each type have their form (R6.1)" do
      for {term, text} <- [
            {%{b: 1}, ~s({"b":1})},
            {[:ok, nil, true], ~s(["ok",null,true])},
            {~D[2026-11-21], ~s("2026-11-21")},
            {~T[10:46:28.5], ~s("10:46:28.5")},
            {~N[2026-11-21 10:46:28], ~s("2026-11-21T10:46:28")},
            {~U[2026-11-21 10:46:28.25Z], ~s("2026-11-21T10:46:28.25Z")},
            {%{
               ~U[2026-07-01 12:00:00Z]
               | utc_offset: 3600,
                 std_offset: 3600,
                 time_zone: "Europe/Berlin",
                 zone_abbr: "CEST"
             }, ~s("2026-07-01T12:00:00+02:00")},
            {UUID.new!("00112233-4455-6677-8899-aabbccddeeff"),
             ~s("00112233-4455-6677-8899-aabbccddeeff")},
            {%Text{data: "a"}, ~s("a")},
            {[%JSON.Raw{data: "{ }"}, 1], "[{ },1]"},
            {%Object{name: "p", version: 1, fields: %{"x" => 1}}, ~s({"x":1})},
            {%Decimal{coef: 150, exp: -2}, "1.50"},
            {%Decimal{coef: 5, exp: -3, sign: -1}, "-0.005"},
            {%Decimal{coef: 3, exp: 2}, "3e2"},
            {%Decimal{coef: 1, exp: -40}, "1e-40"},
            {%Decimal{coef: 0, exp: 0, sign: -1}, "-0"},
            {%Decimal{coef: 10 ** 30, exp: -30}, "1." <> String.duplicate("0", 30)}
          ] do
        assert JSON.encode!(term) == text
      end
    end

    test "that take part by Slipring.Encodable are their fields (R6.4)", %{name: name} do
      {_ring, tx, rx} = pair(name)

      for term <- [%Point{x: 1, y: 2.5}, [%{"p" => %Point{x: 1, y: 2.5}}]] do
        :ok = Slipring.send(tx, term, format: :json)
        assert inspect(Frame.value(Slipring.recv!(rx, 1_000))) =~ ~s("x" => 1)
      end
    end

    test "without a form are refused with their path (R6.5, R9.3)" do
      for {term, path, reason} <- [
            {{1, 2}, "$", :unsupported_type},
            {[1, [2, self()]], "$[1][1]", :unsupported_type},
            {%{"a" => [MapSet.new()]}, "$.a[0]", :unsupported_type},
            {%{a: 1..2}, "$.a", :unsupported_type},
            {[<<255>>], "$[0]", :encode},
            {[<<1::1>>], "$[0]", :unsupported_type},
            {[1 | 2], "$", :encode},
            {%{"a" => %{1 => 2}}, "$.a.{1}", :encode},
            {%{"b" => %{:a => 1, "a" => 2}}, "$.b.a", :encode},
            {%Bytes{data: ""}, "$", :unsupported_type},
            {[%Decimal{coef: :NaN}], "$[0]", :encode},
            {[%JSON.Raw{data: <<255>>}], "$[0]", :encode},
            {%{x: ~D[-0001-01-01]}, "$.x", :encode},
            {[[%Unknown{}]], "$[0][0]", :unsupported_type}
          ] do
        assert {:error, error} = JSON.encode(term)
        assert {term, error.path, error.reason} == {term, path, reason}
        assert is_binary(error.hint)
      end
    end

    test "are refused and nothing is sent (R9.1)", %{name: name} do
      {_ring, tx, rx} = pair(name)

      assert {:error, %{reason: :encode, path: "$.a"}} =
               Slipring.send(tx, %{a: <<255>>}, format: :json)

      assert {:error, %{reason: :empty}} = Slipring.recv(rx, 0)
    end

    test "nest to the depth that Python has, on any scheduler (R6.5)" do
      term = JSON.decode!(deep(1024))
      assert JSON.encode!(term) == deep(1024)
      assert {:error, %{message: message}} = JSON.encode([term])
      assert message =~ "1024"
      assert {:error, %{offset: 1024, path: path}} = JSON.decode(deep(1025))
      ten = String.duplicate("[0]", 10)
      assert path == "$" <> ten <> "..." <> ten
      # What is long goes to a dirty one, whose stack is smaller.
      long = Enum.join(1..200_000, ",")
      assert JSON.encode!(JSON.decode!(deep(1024, long))) == deep(1024, long)
    end
  end

  describe "options" do
    test "read keys as atoms that exist, and never make one" do
      assert JSON.decode!(~s({"ok": {"no such atom yet #{1}": 1}}), keys: :existing_atoms) ==
               %{ok: %{"no such atom yet #{1}" => 1}}

      assert JSON.decode!(~s([{"a":1,"a":2},{"ok":1,"ok":2}]), keys: :existing_atoms) ==
               [%{a: 2}, %{ok: 2}]
    end

    test "read numbers exactly (R6.3)" do
      read = &JSON.decode!(&1, floats: :decimals)

      for {text, sign, coef, exp} <- [
            {"1.10", 1, 110, -2},
            {"-0.0", -1, 0, -1},
            {"1E400", 1, 1, 400},
            {"-1.5e-3", -1, 15, -4},
            {"0.1000000000000000055511151231257827", 1,
             1_000_000_000_000_000_055_511_151_231_257_827, -34}
          ] do
        assert [%{sign: ^sign, coef: ^coef, exp: ^exp} = decimal, 7] = read.("[#{text},7]")
        assert read.(JSON.encode!(decimal)) == decimal or JSON.encode!(decimal) == "-0.0"
      end

      assert {:error, %{path: "$[1]", offset: 4}} =
               JSON.decode("[1, 1e99999999999999999999]", floats: :decimals)

      assert_raise ArgumentError, ~r/:decimals/, fn -> JSON.decode("1", floats: :exact) end
    end

    test "say what becomes of numbers that are none (R6.3, R9.1)", %{name: name} do
      texts = [
        {"NaN", :nan},
        {"[1,Infinity]", [1, :infinity]},
        {~s({"a":[-Infinity,NaN,-1]}), %{"a" => [:neg_infinity, :nan, -1]}},
        {"[1e400,-1E+999]", [:infinity, :neg_infinity]}
      ]

      {_ring, tx, rx} = pair(name)

      for {text, term} <- texts do
        assert JSON.decode!(text, nan: :atoms) === term
        :ok = Slipring.send(tx, %JSON.Raw{data: text})
        frame = Slipring.recv!(rx, 1_000)
        assert Frame.value(frame, nan: :atoms) === term

        for options <- [[], [nan: :error]] do
          assert {:error, %{reason: :decode} = error} = JSON.decode(text, options)
          assert Exception.message(error) =~ error.hint
          if text =~ ~r/N|I/, do: assert(error.hint =~ "nan: :atoms")
          assert_raise Slipring.Error, fn -> Frame.value(frame, options) end
        end
      end

      assert JSON.decode!(~s(["NaN"])) == ["NaN"]

      # Decimals have no end.
      assert [:nan, %Decimal{exp: 400}] =
               JSON.decode!("[NaN,1e400]", nan: :atoms, floats: :decimals)

      for text <- ["Na", "NaNs", "-Inf", "Infinit", "--Infinity", "-NaN"],
          do: assert({:error, %{reason: :decode}} = JSON.decode(text, nan: :atoms))

      assert_raise ArgumentError, ~r/:atoms or :error/, fn -> JSON.decode("1", nan: :null) end

      term = %{"x" => [1.5, :nan, :infinity, :neg_infinity], :nan => :other}
      written = &~s({"nan":"other","x":[1.5,#{&1}]})
      assert JSON.encode!(term) == written.(~s("nan","infinity","neg_infinity"))
      assert JSON.encode!(term, nan: :text) == JSON.encode!(term)
      assert JSON.encode!(term, nan: :null) == written.("null,null,null")
      constants = JSON.encode!(term, nan: :constants)
      assert constants == written.("NaN,Infinity,-Infinity")
      back = JSON.decode!(constants, nan: :atoms)
      assert back == %{"x" => term["x"], "nan" => "other"}
      assert {:error, error} = JSON.encode(term, nan: :error)
      assert {error.reason, error.path, error.got} == {:encode, "$.x[1]", "atom"}
      assert Exception.message(error) =~ "NaN" and error.hint =~ "nan: :null"
      # And of what Elixir prepares first.
      assert JSON.encode!([%Point{x: 1, y: :nan}], nan: :null) =~ ~s("y":null)
      assert_raise ArgumentError, ~r/:constants/, fn -> JSON.encode(1, nan: :atoms) end
      Slipring.send!(tx, [:nan], format: :json)
      assert Frame.value(Slipring.recv!(rx, 1_000)) == ["nan"]
    end

    test "of objects with many keys keep the last of each" do
      pairs = Enum.map_join(1..100, ",", &~s("k#{rem(&1, 50)}":#{&1}))
      assert JSON.decode!("{#{pairs}}") == Map.new(1..100, &{"k#{rem(&1, 50)}", &1})
    end
  end

  test "integers of many digits take no minutes, and have a limit" do
    {spent, n} = :timer.tc(fn -> JSON.decode!(String.duplicate("7", 200_000)) end)
    assert spent < 5_000_000
    assert JSON.encode!(n) == String.duplicate("7", 200_000)
    assert {:error, %{hint: hint}} = JSON.decode("[" <> String.duplicate("7", 1_000_001) <> "]")
    assert hint =~ "string"
    assert {:error, %{path: "$[0]"}} = JSON.encode([Bitwise.bsl(1, 8 * 500_000)])
  end

  test "any bytes end well (P9)" do
    :rand.seed(:exsss, {1, 2, 3})
    letters = ~c([]{}:,"\\u0d8e.+-1tfn \n)

    for _ <- 1..20_000 do
      text = for _ <- 1..:rand.uniform(12), into: "", do: <<Enum.random(letters)>>

      case JSON.decode(text) do
        {:ok, term} -> assert JSON.decode!(JSON.encode!(term)) === term
        {:error, error} -> assert error.line >= 1 and error.offset <= byte_size(text)
      end
    end
  end
end

defmodule Slipring.ShapeTest do
  @moduledoc """
  Maps that follow others with the same keys are made without the BEAM's comparing, and share its tuple of keys. The
  oracle is the BEAM: what it makes of the same pairs, and what it does with either.
  """
  use Slipring.Case, async: true

  alias Slipring.{JSON, Table}

  # So many that most of them are made by what an earlier one has shown.
  @maps 12

  # CBOR by hand: the wire has any order of keys, and a key twice.
  defp head(major, n) when n < 24, do: <<major::3, n::5>>
  defp head(major, n) when n < 256, do: <<major::3, 24::5, n>>

  defp cbor_map(pairs),
    do: [head(5, length(pairs)) | for({key, value} <- pairs, do: [cbor(key), value])]

  defp cbor_list(items), do: [head(4, length(items)) | items]
  defp cbor(term), do: Slipring.encode!(term)
  defp binary(iodata), do: IO.iodata_to_binary(iodata)

  defp external(term), do: term |> :erlang.term_to_binary() |> :erlang.binary_to_term()

  # Keys of all kinds. Those of the first four are one term in all maps; of the mixed ones some are made anew for each.
  defp key(n, :text), do: "key #{n}"

  defp key(n, :scalar),
    do: Enum.at([n, "t#{n}", -n, :"shape_#{n}", nil, true], if(n < 5, do: n, else: rem(n, 4)))

  defp key(n, :integer), do: n * 7919 - 40_000
  defp key(n, :long), do: String.duplicate("k", 60 + n)

  defp key(n, :mixed),
    do:
      Enum.at(
        [n, "t#{n}", -n - 1, n * 1.5, [n], {n, "x"}, {:a, n}, %{n => n}, 2 ** 70 + n],
        rem(n, 9)
      )

  defp keys(0, _kind, _order), do: []
  defp keys(n, kind, order), do: 1..n |> Enum.map(&key(&1, kind)) |> ordered(order)

  defp ordered(keys, :sorted), do: Enum.sort(keys)
  defp ordered(keys, :reversed), do: Enum.sort(keys, :desc)

  defp ordered(keys, seed) do
    {ranked, _state} =
      Enum.map_reduce(keys, :rand.seed_s(:exsss, seed), fn key, state ->
        {rank, state} = :rand.uniform_s(state)
        {{rank, key}, state}
      end)

    ranked |> Enum.sort() |> Enum.map(&elem(&1, 1))
  end

  defp value(n), do: Enum.at([n, n * 1.25, "value #{n}", nil, [n, "x"], 2 ** 64 + n], rem(n, 6))

  # What two terms have to have in common, and what is done with them.
  defp assert_same(ours, theirs) do
    assert ours === theirs
    assert :erlang.phash2(ours) == :erlang.phash2(theirs)
    assert :erlang.term_to_binary(ours) == :erlang.term_to_binary(theirs)
    assert :erts_debug.flat_size(ours) == :erts_debug.flat_size(theirs)
    assert inspect(ours) == inspect(theirs)
  end

  defp assert_map(ours, theirs) do
    assert_same(ours, theirs)
    assert map_size(ours) == map_size(theirs)
    assert Map.keys(ours) == Map.keys(theirs)
    assert Map.values(ours) == Map.values(theirs)
    assert Map.to_list(ours) == Map.to_list(theirs)
    assert Map.equal?(ours, theirs)
    assert pairs(:maps.iterator(ours)) == pairs(:maps.iterator(theirs))
    assert_same(Map.put(ours, :more, 1), Map.put(theirs, :more, 1))
    assert_same(Map.merge(ours, %{0 => 1, "z" => 2}), Map.merge(theirs, %{0 => 1, "z" => 2}))
    assert_same(Map.merge(%{0 => 1}, ours), Map.merge(%{0 => 1}, theirs))
    refute is_map_key(ours, "no such key")

    for {key, value} <- theirs do
      assert %{^key => ^value} = ours
      assert :erlang.map_get(key, ours) === value
      assert_same(%{ours | key => :other}, %{theirs | key => :other})
      assert_same(Map.delete(ours, key), Map.delete(theirs, key))
      assert_same(Map.put(ours, key, [1]), Map.put(theirs, key, [1]))
    end
  end

  defp pairs(iterator) do
    case :maps.next(iterator) do
      {key, value, next} -> [{key, value} | pairs(next)]
      :none -> []
    end
  end

  # In all places that a term comes to. `make` is called there, so that collecting meets what it has just made.
  defp everywhere(make, expected) do
    made = make.()
    assert_same(made, expected)
    :erlang.garbage_collect()
    assert_same(made, expected)

    # In a heap that grows and is collected again and again, while the terms grow old.
    grown =
      Task.async(fn ->
        kept = for n <- 1..6, do: {n, make.(), List.duplicate(n, 2_000)}
        :erlang.garbage_collect(self(), type: :minor)
        also = make.()
        :erlang.garbage_collect()
        for {n, _made, numbers} <- kept, do: ^numbers = List.duplicate(n, 2_000)
        [also | Enum.map(kept, &elem(&1, 1))]
      end)

    for made <- Task.await(grown, 60_000), do: assert_same(made, expected)

    # By a message, by a message of which parts are known, by a table and by a literal.
    here = self()
    spawn_link(fn -> Kernel.send(here, {:made, make.()}) end)
    assert_receive {:made, sent}, 60_000
    assert_same(sent, expected)

    table = :ets.new(:shapes, [:set, :public])
    compressed = :ets.new(:shapes, [:set, :compressed])

    for table <- [table, compressed] do
      :ets.insert(table, {:made, made})
      [{:made, found}] = :ets.lookup(table, :made)
      assert_same(found, expected)
    end

    :persistent_term.put({__MODULE__, here}, made)
    assert_same(:persistent_term.get({__MODULE__, here}), expected)
    :persistent_term.erase({__MODULE__, here})
    assert_same(external(made), expected)
    made
  end

  for n <- [0, 1, 2, 3, 4, 6, 11, 15, 16, 17, 27, 31, 32, 33, 40],
      kind <- [:text, :scalar, :mixed] do
    test "#{n} keys (#{kind}), in any order of the wire, are those of the BEAM's maps" do
      for order <- [:sorted, :reversed, 1] do
        keys = keys(unquote(n), unquote(kind), order)

        rows = for row <- 1..@maps, do: Enum.with_index(keys, &{&1, value(row * 41 + &2)})

        wire =
          binary(cbor_list(for row <- rows, do: cbor_map(for {k, v} <- row, do: {k, cbor(v)})))

        expected = external(Enum.map(rows, &Map.new/1))
        made = everywhere(fn -> Slipring.decode!(wire) end, expected)
        for {ours, theirs} <- Enum.zip(made, expected), do: assert_map(ours, theirs)
      end
    end
  end

  test "keys are shared, as the BEAM shares them" do
    wire =
      binary(cbor_list(for n <- 1..100, do: cbor_map(for k <- ~w(c a d b), do: {k, cbor(n)})))

    made = Slipring.decode!(wire)
    [_first, _second, _third | later] = Enum.map(made, &:erts_internal.map_to_tuple_keys/1)
    assert [keys] = Enum.uniq_by(later, & &1)
    assert keys == {"a", "b", "c", "d"}

    # A map of four is seven words, a cell two; the keys are few. Maps with keys of their own are twelve. Elsewhere nobody has looked.
    few? = :erts_debug.size(made) < 100 * 9 + 80
    assert few? == String.to_integer(System.otp_release()) in 25..28
  end

  test "atoms, integers and long texts as keys" do
    for kind <- [:integer, :long], n <- [2, 7, 32], order <- [:sorted, :reversed, 5] do
      keys = keys(n, kind, order)
      wire = binary(cbor_list(for i <- 1..@maps, do: cbor_map(for k <- keys, do: {k, cbor(i)})))
      expected = external(for i <- 1..@maps, do: Map.new(keys, &{&1, i}))
      everywhere(fn -> Slipring.decode!(wire) end, expected)
    end

    names = ~w(zero alpha node_down element byte_size ok name error)a

    for order <- [:sorted, :reversed, 1, 2, 3, 4] do
      names = ordered(names, order)
      texts = Enum.map(names, &Atom.to_string/1) ++ ["no such atom at all"]
      wire = binary(cbor_list(for i <- 1..@maps, do: cbor_map(for k <- texts, do: {k, cbor(i)})))
      decode = fn -> Slipring.decode!(wire, keys: :existing_atoms) end
      keys = names ++ ["no such atom at all"]
      expected = external(for i <- 1..@maps, do: Map.new(keys, &{&1, i}))
      made = everywhere(decode, expected)
      for {ours, theirs} <- Enum.zip(made, expected), do: assert_map(ours, theirs)
    end
  end

  test "shapes that take turns, grow, shrink and stand within others" do
    row = fn n ->
      keys = ordered(~w(id name inner list price), rem(div(n, 5), 3) + 1)
      keys = if rem(n, 11) == 0, do: ["more" | keys], else: keys
      keys = if rem(n, 13) == 0, do: tl(keys), else: keys
      inner = for k <- Enum.take(~w(y x z), 1 + rem(div(n, 7), 3)), do: {k, n}
      list = for i <- 1..rem(n, 5)//1, do: [{"q", i}, {"p", [{"deep", n}, {"a", i}]}]

      for key <- keys do
        case key do
          "inner" -> {key, inner}
          "list" -> {key, {:list, list}}
          _ -> {key, n}
        end
      end
    end

    rows = Enum.map(1..200, row)
    wire = binary(cbor_list_of(rows))
    everywhere(fn -> Slipring.decode!(wire) end, external(Enum.map(rows, &plain/1)))
    json = binary(json({:list, rows}))
    everywhere(fn -> JSON.decode!(json) end, external(Enum.map(rows, &plain/1)))
  end

  defp cbor_list_of(rows), do: [<<4::3, 25::5, length(rows)::16>> | Enum.map(rows, &wire/1)]
  defp wire({:list, items}), do: cbor_list(Enum.map(items, &wire/1))

  defp wire([{_key, _value} | _] = pairs),
    do: cbor_map(for {key, value} <- pairs, do: {key, wire(value)})

  defp wire(other), do: cbor(other)

  defp json({:list, items}), do: ["[", Enum.map_intersperse(items, ",", &json/1), "]"]

  defp json([{_key, _value} | _] = pairs),
    do: ["{", Enum.map_intersperse(pairs, ",", fn {k, v} -> [inspect(k), ":", json(v)] end), "}"]

  defp json(other), do: to_string(other)

  defp plain({:list, items}), do: Enum.map(items, &plain/1)
  defp plain([{_key, _value} | _] = pairs), do: Map.new(pairs, fn {k, v} -> {k, plain(v)} end)
  defp plain(other), do: other

  test "maps as keys and in sets, sorted and compared" do
    items = for n <- 1..@maps, do: cbor_map([{"b", cbor(rem(n, 5))}, {"a", cbor(n)}])
    keyed = for item <- items, do: {item, cbor(1)}

    wire =
      binary([head(4, 2), cbor_list(items), head(5, @maps), for({k, v} <- keyed, do: [k, v])])

    [list, map] = Slipring.decode!(wire)
    theirs = external(for n <- 1..@maps, do: %{"a" => n, "b" => rem(n, 5)})
    assert_same(list, theirs)
    assert Enum.sort(list, :desc) === Enum.sort(theirs, :desc)
    assert MapSet.new(list) == MapSet.new(theirs)
    assert map === Map.new(theirs, &{&1, 1})
  end

  test "a key twice is refused after maps of any number of keys (R6.1)" do
    for n <- [2, 3, 8, 32, 33], before <- 0..6, order <- [:sorted, :reversed, 1] do
      keys = keys(n, :text, order)
      good = for i <- 1..before//1, do: cbor_map(for k <- keys, do: {k, cbor(i)})

      for twice <- [
            List.replace_at(keys, -1, hd(keys)),
            List.replace_at(keys, 0, List.last(keys)),
            List.replace_at(keys, 1, hd(keys))
          ] do
        bad = cbor_map(for k <- twice, do: {k, cbor(1)})
        wire = binary(cbor_list(good ++ [bad] ++ good))
        assert {:error, error} = Slipring.decode(wire)
        assert error.message =~ "a map holds this key twice"
        assert String.starts_with?(error.path, "$[#{before}]")
      end
    end
  end

  test "of a key twice in JSON the last value stays, whatever came before" do
    for before <- 0..6 do
      good = List.duplicate(~s({"b":1,"a":2,"c":3}), before)
      abc = List.duplicate(%{"a" => 2, "b" => 1, "c" => 3}, before)

      for {text, map} <- [
            {~s({"b":1,"a":2,"b":3}), %{"a" => 2, "b" => 3}},
            {~s({"b":1,"b":2,"c":3}), %{"b" => 2, "c" => 3}}
          ] do
        made = JSON.decode!("[" <> Enum.join(good ++ List.duplicate(text, 5) ++ good, ",") <> "]")
        assert made === abc ++ List.duplicate(map, 5) ++ abc
      end
    end
  end

  test "rows of tables, and structs within columns" do
    rows =
      for n <- 1..300 do
        inner = %{"y" => n, "x" => "t#{n}", "b" => n * 0.5}
        %{"z" => n, "m" => inner, "a" => for(i <- 1..rem(n, 4)//1, do: %{"q" => i, "c" => n})}
      end

    types = [
      z: {:s, 64},
      m: {:struct, [y: {:s, 64}, x: :string, b: {:f, 64}]},
      a: {:list, {:struct, [q: {:s, 64}, c: {:s, 64}]}}
    ]

    table = Table.from_maps!(rows, types: types)
    everywhere(fn -> Table.to_maps(table) end, external(rows))
    # Keys that rows lack.
    holes =
      for {row, n} <- Enum.with_index(rows),
          do: if(rem(n, 3) == 0, do: Map.delete(row, "z"), else: row)

    wire = Slipring.encode!(holes)
    everywhere(fn -> Slipring.decode!(wire) end, external(holes))
  end

  test "what is read on a dirty scheduler, and in many processes at once" do
    keys = ~w(weight id tag name price count)
    rows = for n <- 1..20_000, do: Enum.with_index(keys, &{&1, value(n + &2)})
    head = <<4::3, 26::5, length(rows)::32>>
    wire = binary([head | for(row <- rows, do: cbor_map(for {k, v} <- row, do: {k, cbor(v)}))])
    expected = external(Enum.map(rows, &Map.new/1))

    1..4
    |> Task.async_stream(
      fn _ ->
        for _ <- 1..3 do
          made = Slipring.decode!(wire)
          :erlang.garbage_collect()
          assert made === expected
          made = Enum.map(made, &Map.put(&1, "id", 0))
          assert made === Enum.map(expected, &Map.put(&1, "id", 0))
        end
      end,
      timeout: 120_000
    )
    |> Stream.run()
  end
end

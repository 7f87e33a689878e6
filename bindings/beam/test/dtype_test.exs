defmodule Slipring.DtypeTest do
  use Slipring.Case, async: true
  import Bitwise

  @inner {:struct,
          %{
            size: 6,
            aligned: false,
            fields: [
              %{name: "tag", title: nil, offset: 0, type: {:bytes, 2}, byte_order: :little},
              %{name: "letter", title: nil, offset: 2, type: {:text, 1}, byte_order: :big}
            ]
          }}
  @record {:struct,
           %{
             size: 40,
             aligned: true,
             fields: [
               %{name: "id", title: "number", offset: 0, type: {:u, 16}, byte_order: :big},
               %{
                 name: "xy",
                 title: nil,
                 offset: 4,
                 type: {:array, {{2}, {:f, 32}, :little}},
                 byte_order: :little
               },
               %{name: "in", title: nil, offset: 12, type: @inner, byte_order: :little},
               %{
                 name: "when",
                 title: nil,
                 offset: 24,
                 type: {:datetime, {25, "s"}},
                 byte_order: :little
               },
               %{name: "rest", title: nil, offset: 32, type: {:void, 3}, byte_order: :little}
             ]
           }}
  @types [
    {{:datetime, {1, "ns"}}, "<M8[ns]"},
    {{:timedelta, {3, "h"}}, "<m8[3h]"},
    {{:datetime, {1, "generic"}}, "<M8"},
    {{:bytes, 5}, "|S5"},
    {{:bytes, 0}, "|S0"},
    {{:text, 3}, "<U3"},
    {{:void, 7}, "|V7"},
    {{:long_double, "x87"}, "<f16"},
    {{:complex_long_double, "binary128"}, "<c32"},
    {@inner, "[('tag', 'S2'), ('letter', '>U1')]"}
  ]

  test "every dtype survives, with its name (R4.3, R4.5)", %{name: name} do
    {_ring, tx, rx} = pair(name)

    for {type, dtype} <- [{@record, nil} | @types],
        shape <- [{}, {0}, {3}, {2, 3}],
        order <- [:c, :fortran] do
      tensor = Tensor.new("", {0}, type)
      data = :crypto.strong_rand_bytes(Tuple.product(shape) * Tensor.item_size(tensor))
      tensor = Tensor.new(data, shape, type, order: order)
      assert dtype == nil or Tensor.dtype(tensor) == dtype
      Slipring.send!(tx, tensor)
      got = Frame.value(Slipring.recv!(rx, 1_000))
      assert got == tensor
    end

    for type <- [{:text, 2}, {:datetime, {1, "D"}}, {:long_double, "x87"}] do
      size = Tensor.item_size(Tensor.new("", {0}, type))
      tensor = Tensor.new(:binary.copy(<<1>>, size), {}, type, byte_order: :big)
      Slipring.send!(tx, tensor)
      assert Frame.value(Slipring.recv!(rx, 1_000)) == tensor
      assert ">" <> _ = Tensor.dtype(tensor)
    end
  end

  test "elements are read as what they are (R4.3)" do
    times =
      Tensor.new(<<5::64, -1::64, 1 <<< 63::64>>, {3}, {:datetime, {25, "s"}}, byte_order: :big)

    assert Tensor.to_list(times) == [5, -1, :nat]
    assert Tensor.to_list(Tensor.new("ab\0\0\0c\0\0", {2}, {:bytes, 4})) == ["ab", "\0c"]
    assert Tensor.to_list(Tensor.new("", {2}, {:bytes, 0})) == ["", ""]

    text = <<?é::little-32, 0x1D11E::little-32, ?a::little-32, 0::32>>
    assert Tensor.to_list(Tensor.new(text, {2}, {:text, 2})) == ["é𝄞", "a"]
    surrogate = <<0xD800::32, 0x110000::32>>

    assert Tensor.to_list(Tensor.new(surrogate, {2}, {:text, 1}, byte_order: :big)) == [
             "\uFFFD",
             "\uFFFD"
           ]

    assert Tensor.at(Tensor.new("abcd", {2}, {:void, 2}), {1}) == "cd"
    assert Tensor.at(Tensor.new(<<7::128>>, {}, {:long_double, "x87"}), {}) == <<7::128>>

    record =
      <<258::16, 0::16, 1.5::float-little-32, -1.0::float-little-32, "a\0", ?ü::32, 0::48,
        1::little-64, "xyz", 0::40>>

    assert Tensor.to_list(Tensor.new(record, {1}, @record)) == [
             %{
               "id" => 258,
               "xy" => [1.5, -1.0],
               "in" => %{"tag" => "a", "letter" => "ü"},
               "when" => 1,
               "rest" => "xyz"
             }
           ]
  end

  @strings {:string, %{coerce: true, missing: nil}}

  test "strings of any length come as such, missing ones as nil (R4.3)", %{name: name} do
    {_ring, tx, rx} = pair(name)
    # "a", "", "é", missing; then the same in two columns.
    offsets = for at <- [0, 1, 1, 3, 3], into: "", do: <<at::little-64>>
    data = offsets <> <<0b1000>> <> "aé"

    for {shape, order, list} <- [
          {{4}, :c, ["a", "", "é", nil]},
          {{2, 2}, :c, [["a", ""], ["é", nil]]},
          {{2, 2}, :fortran, [["a", "é"], ["", nil]]}
        ] do
      tensor = Tensor.new(data, shape, @strings, order: order)
      Slipring.send!(tx, tensor)
      frame = Slipring.recv!(rx, 1_000)
      assert Frame.value(frame) == tensor
      assert Tensor.to_list(Frame.value(frame)) == list
    end

    assert Tensor.item_size(Tensor.new(data, {4}, @strings)) == 0
    assert Tensor.to_list(Tensor.new(<<0::64>>, {0}, @strings)) == []

    for missing <- [:no, :nan, "n/a"] do
      tensor = Tensor.new(<<0::64>>, {0}, {:string, %{coerce: false, missing: missing}})
      Slipring.send!(tx, tensor)
      assert Frame.value(Slipring.recv!(rx, 1_000)) == tensor
    end
  end

  test "strings that lead astray are refused, not followed (P9)" do
    for offsets <- [[0, 2], [0, 4], [0, 1 <<< 63]] do
      data = for(at <- offsets, into: "", do: <<at::little-64>>) <> <<0>> <> "abc"
      assert_raise ArgumentError, ~r/takes/, fn -> Tensor.new(data, {1}, @strings) end
    end

    bad = %Tensor{data: <<9::little-64, 3::little-64, 0, "abc">>, shape: {1}, type: @strings}
    assert_raise ArgumentError, ~r/outside/, fn -> Tensor.to_list(bad) end
    not_text = Tensor.new(<<0::64, 1::little-64, 0, 0xFF>>, {1}, @strings)
    assert_raise ArgumentError, ~r/UTF-8/, fn -> Tensor.to_list(not_text) end
  end

  test "types that are none are refused (R9.1)", %{name: name} do
    {_ring, tx, _rx} = pair(name)
    field = fn offset, type -> %{name: "f", offset: offset, type: type, byte_order: :little} end
    struct = fn fields -> {:struct, %{size: 8, aligned: false, fields: fields}} end

    deep = Enum.reduce(1..40, {:u, 8}, fn _, type -> struct.([field.(0, type)]) end)

    for bad <- [
          {:datetime, {0, "s"}},
          {:datetime, {1, "x"}},
          {:datetime, "s"},
          {:bytes, -1},
          {:text, 1 <<< 31},
          {:long_double, "x86"},
          {:array, {{2}, {:u, 8}, :little}},
          struct.([field.(1, {:u, 64})]),
          struct.([field.(0, {:u, 8}), field.(1, {:u, 8})]),
          struct.([field.(0, @strings)]),
          struct.([%{}]),
          {:struct, %{}},
          {:string, %{coerce: true, missing: 1}},
          deep,
          {:u},
          :u8
        ] do
      assert_raise ArgumentError, ~r/type/, fn -> Tensor.new("", {0}, bad) end

      assert {:error, %Error{reason: :encode}} =
               Slipring.send(tx, %Tensor{data: "", shape: {0}, type: bad})
    end
  end

  test "a title may be left out" do
    type =
      {:struct,
       %{
         size: 1,
         aligned: false,
         fields: [%{name: "f", offset: 0, type: {:u, 8}, byte_order: :little}]
       }}

    assert Tensor.dtype(Tensor.new("", {0}, type)) == "[('f', 'u1')]"
  end
end

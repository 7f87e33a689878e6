defmodule Slipring.TensorTest do
  use Slipring.Case, async: true

  @types [s: 8, s: 16, s: 32, s: 64, u: 8, u: 16, u: 32, u: 64] ++
           [f: 16, f: 32, f: 64, c: 64, c: 128, bool: 8]

  test "every type, order and byte order survives, in place and copied (R4.1, R4.2)",
       %{name: name} do
    {_ring, tx, rx} = pair(name)
    Slipring.close(rx)

    for lease <- [:always, :never] do
      rx = Slipring.consumer!(name, lease: lease)

      for {_kind, bits} = type <- @types,
          shape <- [{}, {0}, {3}, {2, 3}, {2, 0, 4}, {2, 3, 4}],
          order <- [:c, :fortran],
          byte_order <- if(bits == 8, do: [:little], else: [:little, :big]) do
        data = :crypto.strong_rand_bytes(Tuple.product(shape) * div(bits, 8))
        tensor = Tensor.new(data, shape, type, order: order, byte_order: byte_order)
        Slipring.send!(tx, tensor)
        frame = Slipring.recv!(rx, 1_000)
        assert frame.format == :ndarray
        assert_same(Frame.value(frame), tensor)
        assert Frame.in_place?(frame) == (lease == :always)
        Frame.release(frame)
      end

      Slipring.close(rx)
    end
  end

  # With at most one dimension and no order to speak of both orders are one.
  defp assert_same(got, sent) do
    assert %{got | order: :c, byte_order: :little} == %{sent | order: :c, byte_order: :little}
    assert got.order == sent.order or tuple_size(sent.shape) < 2 or Tuple.product(sent.shape) == 0
    assert got.byte_order == sent.byte_order or sent.type == {:bool, 8}
  end

  test "elements are read by index and as lists" do
    for {kind, _bits} = type <- @types, kind not in [:c, :bool] do
      numbers = if kind == :f, do: Enum.map(1..6, &(&1 * 1.0)), else: Enum.to_list(1..6)
      tensor = Tensor.from_list(numbers, {2, 3}, type)
      assert Tensor.to_list(tensor) == Enum.chunk_every(numbers, 3)
      assert Tensor.at(tensor, {1, 2}) == 6
    end

    assert Tensor.to_list(Tensor.from_list([{1.0, -2.0}], {1}, {:c, 64})) == [{1.0, -2.0}]
    assert Tensor.to_list(Tensor.from_list([true, false], {2}, {:bool, 8})) == [true, false]

    assert Tensor.to_list(Tensor.new(<<1.5::float-big-64>>, {}, {:f, 64}, byte_order: :big)) ==
             1.5

    assert Tensor.to_list(Tensor.new("", {2, 0}, {:u, 8})) == [[], []]

    fortran = Tensor.new(<<1, 2, 3, 4, 5, 6>>, {2, 3}, {:s, 8}, order: :fortran)
    assert Tensor.to_list(fortran) == [[1, 3, 5], [2, 4, 6]]
    assert Tensor.at(fortran, {1, 0}) == 2
    assert_raise ArgumentError, ~r/outside the shape/, fn -> Tensor.at(fortran, {2, 0}) end
    assert_raise ArgumentError, ~r/outside the shape/, fn -> Tensor.at(fortran, {-1, 0}) end
  end

  test "floats that the BEAM does not have are atoms" do
    not_finite = <<0x7F800000::little-32, 0xFF800000::little-32, 0x7FC00001::little-32>>
    tensor = Tensor.new(not_finite, {3}, {:f, 32})
    assert Tensor.to_list(tensor) == [:infinity, :neg_infinity, :nan]
    half = Tensor.new(<<0x7C00::16, 0x7E00::16>>, {2}, {:f, 16}, byte_order: :big)
    assert Tensor.to_list(half) == [:infinity, :nan]
    double = Tensor.new(<<0xFFF0000000000000::little-64>>, {1}, {:f, 64})
    assert Tensor.to_list(double) == [:neg_infinity]
  end

  test "what is none is refused (R6.5)", %{name: name} do
    {_ring, tx, _rx} = pair(name)
    good = Tensor.from_list([1, 2], {2}, {:u, 8})

    for {bad, path} <- [
          {%{good | shape: {3}}, "$.data"},
          {%{good | shape: {-1}}, "$.shape"},
          {%{good | shape: [2]}, "$.shape"},
          {%{good | type: {:u, 7}}, "$.type"},
          {%{good | type: {:x, 8}}, "$.type"},
          {%{good | type: :u8}, "$.type"},
          {%{good | order: :row}, "$.order"},
          {%{good | byte_order: :middle}, "$.byte_order"},
          {%{good | shape: {2 ** 63, 2 ** 63}}, "$"},
          {%{good | shape: List.to_tuple(List.duplicate(1, 65))}, "$"}
        ] do
      assert {:error, %Error{reason: :encode, path: ^path}} = Slipring.send(tx, bad)
    end

    for data <- [nil, [1], <<1::12>>] do
      assert {:error, %Error{reason: :encode, path: "$.data"}} =
               Slipring.send(tx, %{good | data: data})
    end

    assert_raise ArgumentError, ~r/takes 6 bytes, the data has 5/, fn ->
      Tensor.new("12345", {3}, {:s, 16})
    end
  end

  test "is not made of what is none (R6.5)" do
    for {data, shape, type, options, message} <- [
          {[1, 2], {2}, {:u, 8}, [], ~r/data is a binary, not \[1, 2\]/},
          {<<1, 2>>, {2}, {:u, 7}, [], ~r/type is \{:s \| :u, 8.*, not \{:u, 7\}/},
          {<<1, 2>>, {2}, :u8, [], ~r/type is .*, not :u8/},
          {<<1, 2>>, [2], {:u, 8}, [], ~r/shape is a tuple of up to 64 lengths, not \[2\]/},
          {<<1, 2>>, {-2}, {:u, 8}, [], ~r/shape is/},
          {<<1, 2>>, {2.0}, {:u, 8}, [], ~r/shape is/},
          {<<1>>, List.to_tuple(List.duplicate(1, 65)), {:u, 8}, [], ~r/shape is/},
          {<<1, 2>>, {2}, {:u, 8}, [order: :row], ~r/order is :c or :fortran, not :row/},
          {<<1, 2>>, {2}, {:u, 8}, [byte_order: :native], ~r/byte_order is :little or :big/},
          {<<1, 2>>, {2}, {:u, 8}, [endian: :big], ~r/unknown keys \[:endian\]/}
        ] do
      assert_raise ArgumentError, message, fn -> Tensor.new(data, shape, type, options) end
    end

    tensor = Tensor.new(<<1, 2>>, {2}, {:u, 8})

    for index <- [0, {}, {0, 0}],
        do: assert_raise(ArgumentError, fn -> Tensor.at(tensor, index) end)
  end

  test "holds a list's numbers or says which it can't (R6.5)" do
    for {number, type, range} <- [
          {256, {:u, 8}, "0 to 255"},
          {-1, {:u, 64}, "0 to 18446744073709551615"},
          {128, {:s, 8}, "-128 to 127"},
          {-(2 ** 63) - 1, {:s, 64}, "-9223372036854775808 to"},
          {1.5, {:s, 32}, "integers from"},
          {2, {:bool, 8}, "true, false, 1 and 0"},
          {65_520.0, {:f, 16}, "-65504.0 to 65504.0"},
          {1.0e39, {:f, 32}, "-3.4028234663852886e38 to 3.4028234663852886e38"},
          {2 ** 2000, {:f, 64}, "1.7976931348623157e308"},
          {"1", {:f, 64}, "numbers from"},
          {1.0, {:c, 64}, "{real, imaginary}"},
          {{1.0, 1.0e39}, {:c, 64}, "3.4028234663852886e38"}
        ] do
      good = if elem(type, 0) == :c, do: {1, 1}, else: 1
      error = assert_raise ArgumentError, fn -> Tensor.from_list([good, number], {2}, type) end
      assert error.message =~ "#{inspect(number)} at index 1 is no #{inspect(type)}"
      assert error.message =~ range
    end

    assert_raise ArgumentError, ~r/flat list/, fn -> Tensor.from_list(1..2, {2}, {:u, 8}) end

    for type <- [f: 16, f: 32, f: 64] do
      list = [:nan, :infinity, :neg_infinity, -0.5]
      assert Tensor.to_list(Tensor.from_list(list, {4}, type)) == list
    end

    for type <- [s: 8, s: 64, u: 8, u: 64], bits = elem(type, 1) do
      low = if elem(type, 0) == :s, do: -(2 ** (bits - 1)), else: 0
      list = [low, low + 2 ** bits - 1]
      assert Tensor.to_list(Tensor.from_list(list, {2}, type)) == list
    end
  end

  test "is shown by what it is" do
    shown = inspect(Tensor.new(<<0::64>>, {2}, {:f, 32}))
    assert shown == "#Slipring.Tensor<[shape: {2}, type: {:f, 32}, order: :c], 8 bytes>"
  end
end

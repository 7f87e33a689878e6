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

    assert {:error, %Error{reason: :encode}} = Slipring.send(tx, %{good | data: nil})

    assert_raise ArgumentError, ~r/takes 6 bytes, the data has 5/, fn ->
      Tensor.new("12345", {3}, {:s, 16})
    end
  end

  test "is shown by what it is" do
    shown = inspect(Tensor.new(<<0::64>>, {2}, {:f, 32}))
    assert shown == "#Slipring.Tensor<[shape: {2}, type: {:f, 32}, order: :c], 8 bytes>"
  end
end

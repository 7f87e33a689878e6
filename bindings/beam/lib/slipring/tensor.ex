defmodule Slipring.Tensor do
  @moduledoc """
  An array of numbers: the elements as one binary, and what they are.

    * `data` - the elements, one after the other
    * `shape` - a tuple of lengths; `{}` is a single element
    * `type` - as Nx writes it: `{:s | :u, 8 | 16 | 32 | 64}`, `{:f, 16 | 32 | 64}`,
      `{:c, 64 | 128}` (two floats), and `{:bool, 8}` for NumPy's bool
    * `order` - `:c`, the last index runs fastest, or `:fortran`, the first does
    * `byte_order` - `:little` or `:big`

  In Python it is a `numpy.ndarray` of the same dtype, shape and order.

      iex> tensor = Slipring.Tensor.new(<<1, 2, 3, 4, 5, 6>>, {2, 3}, {:u, 8})
      iex> Slipring.Tensor.to_list(tensor)
      [[1, 2, 3], [4, 5, 6]]
  """

  import Bitwise, only: [<<<: 2]

  @type type ::
          {:s | :u, 8 | 16 | 32 | 64} | {:f, 16 | 32 | 64} | {:c, 64 | 128} | {:bool, 8}

  @type t :: %__MODULE__{
          data: binary,
          shape: tuple,
          type: type,
          order: :c | :fortran,
          byte_order: :little | :big
        }

  @enforce_keys [:data, :shape, :type]
  defstruct [:data, :shape, :type, order: :c, byte_order: :little]

  @types for(kind <- [:s, :u], bits <- [8, 16, 32, 64], do: {kind, bits}) ++
           [f: 16, f: 32, f: 64, c: 64, c: 128, bool: 8]
  @wanted "{:s | :u, 8 | 16 | 32 | 64}, {:f, 16 | 32 | 64}, {:c, 64 | 128} or {:bool, 8}"
  # Of Nx's elements.
  @native if(<<1::native-16>> == <<1::little-16>>, do: :little, else: :big)
  # As many as a frame's head can say.
  @dimensions 64

  @doc """
  A tensor over `data`. Options are `:order` and `:byte_order`.

  Raises an `ArgumentError` if the shape and the type are none, or do not make up the size of the
  data.
  """
  @spec new(binary, tuple, type, keyword) :: t
  def new(data, shape, type, options \\ []) do
    options = Keyword.validate!(options, order: :c, byte_order: :little)
    check!(is_binary(data), "data", "a binary", data)
    check!(type in @types, "type", @wanted, type)

    check!(shape?(shape), "shape", "a tuple of up to #{@dimensions} lengths", shape)
    tensor = struct!(%__MODULE__{data: data, shape: shape, type: type}, options)
    check!(tensor.order in [:c, :fortran], "order", ":c or :fortran", tensor.order)
    %{byte_order: byte_order} = tensor
    check!(byte_order in [:little, :big], "byte_order", ":little or :big", byte_order)
    needed = size(tensor) * item_size(tensor)

    if needed != byte_size(data) do
      raise ArgumentError,
            "shape #{inspect(shape)} of type #{inspect(type)} takes #{needed} bytes, " <>
              "the data has #{byte_size(data)}"
    end

    tensor
  end

  defp shape?(shape) do
    is_tuple(shape) and tuple_size(shape) <= @dimensions and
      shape |> Tuple.to_list() |> Enum.all?(&(is_integer(&1) and &1 >= 0))
  end

  defp check!(true, _field, _expected, _got), do: :ok

  defp check!(false, field, expected, got) do
    raise ArgumentError, "a tensor's #{field} is #{expected}, not #{inspect(got, limit: 5)}"
  end

  @doc """
  A tensor of little-endian elements, in C order, from a flat list of numbers.

  They are written as `to_list/1` gives them: complex numbers as `{real, imaginary}`, and `:nan`,
  `:infinity` and `:neg_infinity` among floats. Raises an `ArgumentError` with the index of a number
  that the type can't hold.

      iex> Slipring.Tensor.from_list([1.5, 2.5], {2}, {:f, 32}).data
      <<1.5::float-little-32, 2.5::float-little-32>>
  """
  @spec from_list([number | boolean | atom | tuple], tuple, type) :: t
  def from_list(numbers, shape, type) do
    check!(is_list(numbers), "list", "a flat list of numbers", numbers)
    check!(type in @types, "type", @wanted, type)

    data =
      for {n, index} <- Enum.with_index(numbers), into: <<>> do
        encode(n, type) || refuse!(n, index, type)
      end

    new(data, shape, type)
  end

  defp refuse!(n, index, {kind, bits} = type) do
    range =
      case kind do
        :bool -> "true, false, 1 and 0"
        :u -> "integers from 0 to #{2 ** bits - 1}"
        :s -> "integers from #{-(2 ** (bits - 1))} to #{2 ** (bits - 1) - 1}"
        :f -> float_range(bits)
        :c -> "{real, imaginary} of #{float_range(div(bits, 2))}"
      end

    raise ArgumentError,
          "#{inspect(n)} at index #{index} is no #{inspect(type)}, which is #{range}"
  end

  defp float_range(bits) do
    # The largest finite number: all bits of the exponent but the last, all of the mantissa.
    exponent = exponent(bits)

    <<largest::float-size(bits)>> =
      <<2 ** (bits - 1) - 2 ** (bits - 1 - exponent) - 1::size(bits)>>

    "numbers from #{-largest} to #{largest}, :nan, :infinity and :neg_infinity"
  end

  @doc """
  How many elements there are.

      iex> Slipring.Tensor.size(Slipring.Tensor.new(<<0::96>>, {2, 3}, {:s, 16}))
      6
  """
  @spec size(t) :: non_neg_integer
  def size(%__MODULE__{shape: shape}), do: Tuple.product(shape)

  @doc "Bytes per element."
  @spec item_size(t) :: pos_integer
  def item_size(%__MODULE__{type: {_kind, bits}}), do: div(bits, 8)

  @doc """
  The elements as nested lists, by shape; one element for the shape `{}`.

  Complex numbers are `{real, imaginary}`; NaN and the infinities, which the BEAM's floats can't
  hold, are `:nan`, `:infinity` and `:neg_infinity`.

      iex> columns = Slipring.Tensor.new(<<1, 2, 3, 4, 5, 6>>, {2, 3}, {:u, 8}, order: :fortran)
      iex> Slipring.Tensor.to_list(columns)
      [[1, 3, 5], [2, 4, 6]]
  """
  @spec to_list(t) :: list | number | boolean | atom | tuple
  def to_list(%__MODULE__{shape: shape, order: order} = tensor) do
    lengths = Tuple.to_list(shape)
    item = item_size(tensor)
    nest(lengths, strides(lengths, order, item), 0, &element(tensor, &1))
  end

  @doc """
  The element at an index, a tuple with a number for each dimension.

      iex> tensor = Slipring.Tensor.from_list([1, 2, 3, 4], {2, 2}, {:s, 32})
      iex> Slipring.Tensor.at(tensor, {1, 0})
      3
  """
  @spec at(t, tuple) :: number | boolean | atom | tuple
  def at(%__MODULE__{shape: shape, order: order} = tensor, index) do
    unless is_tuple(index) and tuple_size(index) == tuple_size(shape) do
      raise ArgumentError,
            "index #{inspect(index)} is no tuple of #{tuple_size(shape)} numbers, " <>
              "as the shape #{inspect(shape)} needs"
    end

    lengths = Tuple.to_list(shape)

    offset =
      [Tuple.to_list(index), lengths, strides(lengths, order, item_size(tensor))]
      |> Enum.zip_reduce(0, fn [at, length, stride], offset ->
        if at not in 0..(length - 1)//1 do
          raise ArgumentError, "index #{inspect(index)} is outside the shape #{inspect(shape)}"
        end

        offset + at * stride
      end)

    element(tensor, offset)
  end

  defp strides(lengths, :fortran, item), do: lengths |> Enum.scan(item, &*/2) |> shift(item)

  defp strides(lengths, :c, item),
    do: lengths |> Enum.reverse() |> strides(:fortran, item) |> Enum.reverse()

  # Each dimension's stride is what the ones that run faster take together.
  defp shift(products, item), do: Enum.take([item | products], length(products))

  defp nest([], [], offset, element), do: element.(offset)

  defp nest([length | lengths], [stride | strides], offset, element) do
    for at <- 0..(length - 1)//1, do: nest(lengths, strides, offset + at * stride, element)
  end

  defp element(%{data: data, type: {:c, bits}, byte_order: byte_order}, offset) do
    half = div(bits, 2)

    {decode(data, offset, :f, half, byte_order),
     decode(data, offset + div(half, 8), :f, half, byte_order)}
  end

  defp element(%{data: data, type: {kind, bits}, byte_order: byte_order}, offset),
    do: decode(data, offset, kind, bits, byte_order)

  defp decode(data, offset, kind, bits, byte_order) do
    bytes = binary_part(data, offset, div(bits, 8))

    case {kind, byte_order} do
      {:bool, _} ->
        bytes != <<0>>

      {:s, :little} ->
        <<n::signed-little-size(bits)>> = bytes
        n

      {:s, :big} ->
        <<n::signed-big-size(bits)>> = bytes
        n

      {:u, :little} ->
        <<n::little-size(bits)>> = bytes
        n

      {:u, :big} ->
        <<n::big-size(bits)>> = bytes
        n

      {:f, :little} ->
        <<n::little-size(bits)>> = bytes
        float(<<n::size(bits)>>, bits)

      {:f, :big} ->
        float(bytes, bits)
    end
  end

  defp float(big_endian, bits) do
    case big_endian do
      <<n::float-size(bits)>> -> n
      _ -> not_finite(big_endian, bits)
    end
  end

  defp not_finite(bytes, bits) do
    exponent = exponent(bits)
    mantissa = bits - 1 - exponent

    case bytes do
      <<0::1, _::size(exponent), 0::size(mantissa)>> -> :infinity
      <<1::1, _::size(exponent), 0::size(mantissa)>> -> :neg_infinity
      _ -> :nan
    end
  end

  defp exponent(bits), do: %{16 => 5, 32 => 8, 64 => 11}[bits]

  # `nil` for what the type can't hold.
  defp encode(n, {:bool, 8}) when n in [true, 1], do: <<1>>
  defp encode(n, {:bool, 8}) when n in [false, 0], do: <<0>>

  defp encode(n, {:u, bits}) when is_integer(n) and n >= 0 and n < 1 <<< bits,
    do: <<n::little-size(bits)>>

  defp encode(n, {:s, bits})
       when is_integer(n) and n >= -(1 <<< (bits - 1)) and n < 1 <<< (bits - 1),
       do: <<n::little-size(bits)>>

  defp encode(n, {:f, bits}), do: encode_float(n, bits)

  defp encode({re, im}, {:c, bits}) do
    half = div(bits, 2)
    {re, im} = {encode_float(re, half), encode_float(im, half)}
    re && im && re <> im
  end

  defp encode(_other, _type), do: nil

  defp encode_float(n, bits) when is_number(n) do
    # Beyond the largest number the BEAM writes an infinity, which it does not read as a float.
    case <<n::float-size(bits)>> do
      <<_finite::float-size(bits)>> -> <<n::float-little-size(bits)>>
      _infinity -> nil
    end
  rescue
    # An integer beyond all floats.
    ArgumentError -> nil
  end

  defp encode_float(n, bits) when n in [:nan, :infinity, :neg_infinity] do
    exponent = exponent(bits)
    mantissa = bits - 1 - exponent
    # All bits of the exponent are set; of the mantissa the first, where it is no number.
    all = 2 ** exponent - 1
    sign = if n == :neg_infinity, do: 1, else: 0
    quiet = if n == :nan, do: 2 ** (mantissa - 1), else: 0
    <<pattern::size(bits)>> = <<sign::1, all::size(exponent), quiet::size(mantissa)>>
    <<pattern::little-size(bits)>>
  end

  defp encode_float(_other, _bits), do: nil

  @doc false
  # Of an `Nx.Tensor`, or the type that there is none for.
  def of_nx(%{__struct__: Nx.Tensor, type: type, shape: shape} = tensor) do
    if type in @types,
      do: {:ok, new(apply(Nx, :to_binary, [tensor]), shape, type, byte_order: @native)},
      else: {:error, type}
  end

  defimpl Inspect do
    import Inspect.Algebra

    def inspect(tensor, options) do
      facts = [shape: tensor.shape, type: tensor.type, order: tensor.order]
      bytes = "#{byte_size(tensor.data)} bytes"
      concat(["#Slipring.Tensor<", to_doc(facts, options), ", ", bytes, ">"])
    end
  end
end

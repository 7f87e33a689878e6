defmodule Slipring.Tensor do
  @moduledoc """
  An array: the elements as one binary, and what they are.

    * `data` - the elements, one after the other
    * `shape` - a tuple of lengths; `{}` is a single element
    * `type` - as Nx writes it: `{:s | :u, 8 | 16 | 32 | 64}`, `{:f, 16 | 32 | 64}`,
      `{:c, 64 | 128}` (two floats), and `{:bool, 8}` for NumPy's bool; for other dtypes see below
    * `order` - `:c`, the last index runs fastest, or `:fortran`, the first does
    * `byte_order` - `:little` or `:big`

  In Python it is a `numpy.ndarray` of the same dtype, shape and order.

      iex> tensor = Slipring.Tensor.new(<<1, 2, 3, 4, 5, 6>>, {2, 3}, {:u, 8})
      iex> Slipring.Tensor.to_list(tensor)
      [[1, 2, 3], [4, 5, 6]]

  Every dtype of NumPy but objects has a type, and `dtype/1` says its name:

  | type | element | as `to_list/1` gives it |
  |---|---|---|
  | `{:datetime, {count, unit}}` | 64 bits: steps of `count` units since 1970 | integer, or `:nat` |
  | `{:timedelta, {count, unit}}` | 64 bits: steps of `count` units | integer, or `:nat` |
  | `{:bytes, length}` | bytes, filled up with zeros | binary, without these |
  | `{:text, length}` | code points of 32 bits, filled up with zeros | string, without these |
  | `{:void, length}` | bytes of which nothing is known | binary |
  | `{:long_double, format}` | 16 bytes, of `"x87"` or `"binary128"` | binary |
  | `{:complex_long_double, format}` | two of them | binary |
  | `{:struct, %{size: bytes, aligned: bool, fields: [field]}}` | fields | map of names |
  | `{:array, {shape, type, byte_order}}` | in a struct: elements in C order | nested lists |
  | `{:string, %{coerce: bool, missing: value}}` | text of any length | string, or `nil` |

  A unit is one of NumPy's, such as `"s"` or `"ns"`; `"generic"` is none. A field is a map of `:name`,
  `:title` (or `nil`), `:offset` in bytes, `:type` and `:byte_order`. What stands for a missing string in Python is
  `:no` (none is missing), `nil`, `:nan` or a text. How the data of strings lies is said in
  `docs/frame-format.md`; that of all others is one element after the other.
  """

  import Bitwise, only: [<<<: 2, >>>: 2, &&&: 2]
  alias Slipring.Native

  @type type ::
          {:s | :u, 8 | 16 | 32 | 64}
          | {:f, 16 | 32 | 64}
          | {:c, 64 | 128}
          | {:bool, 8}
          | {:datetime | :timedelta, {pos_integer, String.t()}}
          | {:bytes | :text | :void, non_neg_integer}
          | {:long_double | :complex_long_double, String.t()}
          | {:struct, %{size: non_neg_integer, aligned: boolean, fields: [map]}}
          | {:array, {tuple, type, :little | :big}}
          | {:string, %{coerce: boolean, missing: :no | nil | :nan | String.t()}}

  @type t :: %__MODULE__{
          data: binary,
          shape: tuple,
          type: type,
          order: :c | :fortran,
          byte_order: :little | :big
        }

  @typedoc "An element: complex numbers are tuples, structs maps, subarrays lists."
  @type element :: number | boolean | atom | tuple | binary | map | list

  @enforce_keys [:data, :shape, :type]
  defstruct [:data, :shape, :type, order: :c, byte_order: :little]

  @types for(kind <- [:s, :u], bits <- [8, 16, 32, 64], do: {kind, bits}) ++
           [f: 16, f: 32, f: 64, c: 64, c: 128, bool: 8]
  @numbers "{:s | :u, 8 | 16 | 32 | 64}, {:f, 16 | 32 | 64}, {:c, 64 | 128} or {:bool, 8}"
  @wanted "#{@numbers}, or another that Slipring.Tensor names"
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
    check!(type in @types or Native.dtype(type, :little) != :error, "type", @wanted, type)

    check!(shape?(shape), "shape", "a tuple of up to #{@dimensions} lengths", shape)
    tensor = struct!(%__MODULE__{data: data, shape: shape, type: type}, options)
    check!(tensor.order in [:c, :fortran], "order", ":c or :fortran", tensor.order)
    %{byte_order: byte_order} = tensor
    check!(byte_order in [:little, :big], "byte_order", ":little or :big", byte_order)
    needed = needed(tensor)

    if needed != byte_size(data) do
      raise ArgumentError,
            "shape #{inspect(shape)} of type #{inspect(type)} takes #{needed} bytes, " <>
              "the data has #{byte_size(data)}"
    end

    tensor
  end

  # Strings take as much as their last offset says.
  defp needed(%{type: {:string, _}} = tensor) do
    front = front(size(tensor))

    case tensor.data do
      <<data::binary-size(front), rest::binary>> ->
        front + min(last(data, size(tensor)), byte_size(rest) + 1)

      _short ->
        front
    end
  end

  defp needed(tensor), do: size(tensor) * item_size(tensor)

  # What stands before the texts of strings: offsets and a bit for each.
  defp front(n), do: (n + 1) * 8 + div(n + 7, 8)

  defp last(data, n) do
    <<_::binary-size(n * 8), last::little-64, _::binary>> = data
    last
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
    check!(type in @types, "type", @numbers, type)

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
          "#{inspect(n)} at index #{index} is no #{inspect(type)}, which is #{range}" <>
            if(is_list(n), do: "; give all elements in one list: List.flatten/1", else: "")
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

  @doc "Bytes per element; 0 for strings, which have no common size."
  @spec item_size(t) :: non_neg_integer
  def item_size(%__MODULE__{type: type}), do: bytes(type)

  defp bytes({kind, length}) when kind in [:bytes, :void], do: length
  defp bytes({:text, length}), do: 4 * length
  defp bytes({kind, _unit}) when kind in [:datetime, :timedelta], do: 8
  defp bytes({:long_double, _format}), do: 16
  defp bytes({:complex_long_double, _format}), do: 32
  defp bytes({:struct, %{size: size}}), do: size
  defp bytes({:array, {shape, type, _byte_order}}), do: Tuple.product(shape) * bytes(type)
  defp bytes({:string, _}), do: 0
  defp bytes({_number, bits}), do: div(bits, 8)

  @doc """
  The name of the dtype, as NumPy writes it.

      iex> Slipring.Tensor.dtype(Slipring.Tensor.new(<<0::64>>, {}, {:datetime, {25, "s"}}))
      "<M8[25s]"
  """
  @spec dtype(t) :: String.t()
  def dtype(%__MODULE__{type: type, byte_order: byte_order}) do
    case Native.dtype(type, byte_order) do
      {:ok, name} -> name
      :error -> check!(false, "type", @wanted, type)
    end
  end

  @doc """
  The elements as nested lists, by shape; one element for the shape `{}`.

  Complex numbers are `{real, imaginary}`; NaN and the infinities, which the BEAM's floats can't
  hold, are `:nan`, `:infinity` and `:neg_infinity`.

      iex> columns = Slipring.Tensor.new(<<1, 2, 3, 4, 5, 6>>, {2, 3}, {:u, 8}, order: :fortran)
      iex> Slipring.Tensor.to_list(columns)
      [[1, 3, 5], [2, 4, 6]]
  """
  @spec to_list(t) :: list | element
  def to_list(%__MODULE__{shape: shape, order: order} = tensor) do
    lengths = Tuple.to_list(shape)
    nest(lengths, strides(lengths, order, step(tensor)), 0, &element(tensor, &1))
  end

  # Strings are counted, all others have their offset in bytes.
  defp step(%{type: {:string, _}}), do: 1
  defp step(tensor), do: item_size(tensor)

  @doc """
  The element at an index, a tuple with a number for each dimension.

      iex> tensor = Slipring.Tensor.from_list([1, 2, 3, 4], {2, 2}, {:s, 32})
      iex> Slipring.Tensor.at(tensor, {1, 0})
      3
  """
  @spec at(t, tuple) :: element
  def at(%__MODULE__{shape: shape, order: order} = tensor, index) do
    unless is_tuple(index) and tuple_size(index) == tuple_size(shape) do
      raise ArgumentError,
            "index #{inspect(index)} is no tuple of #{tuple_size(shape)} numbers, " <>
              "as the shape #{inspect(shape)} needs"
    end

    lengths = Tuple.to_list(shape)

    offset =
      [Tuple.to_list(index), lengths, strides(lengths, order, step(tensor))]
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

  defp element(%{data: data, type: {:string, _}} = tensor, index),
    do: string(data, index, size(tensor))

  defp element(%{data: data, type: type, byte_order: byte_order}, offset),
    do: element(data, offset, type, byte_order)

  defp element(data, offset, {:c, bits}, byte_order) do
    half = div(bits, 2)

    {decode(data, offset, :f, half, byte_order),
     decode(data, offset + div(half, 8), :f, half, byte_order)}
  end

  defp element(data, offset, {kind, _unit}, byte_order) when kind in [:datetime, :timedelta] do
    case decode(data, offset, :s, 64, byte_order) do
      -0x8000000000000000 -> :nat
      n -> n
    end
  end

  defp element(data, offset, {:bytes, length}, _byte_order),
    do: data |> binary_part(offset, length) |> trim(1)

  defp element(data, offset, {:text, length}, byte_order) do
    points = data |> binary_part(offset, length * 4) |> trim(4)

    case byte_order do
      :little -> for <<point::little-32 <- points>>, into: "", do: character(point)
      :big -> for <<point::big-32 <- points>>, into: "", do: character(point)
    end
  end

  defp element(data, offset, {kind, _} = type, _byte_order)
       when kind in [:void, :long_double, :complex_long_double],
       do: binary_part(data, offset, bytes(type))

  defp element(data, offset, {:struct, %{fields: fields}}, _byte_order) do
    for field <- fields, into: %{} do
      {field.name, element(data, offset + field.offset, field.type, field.byte_order)}
    end
  end

  defp element(data, offset, {:array, {shape, type, byte_order}}, _byte_order) do
    lengths = Tuple.to_list(shape)
    strides = strides(lengths, :c, bytes(type))
    nest(lengths, strides, offset, &element(data, &1, type, byte_order))
  end

  defp element(data, offset, {kind, bits}, byte_order),
    do: decode(data, offset, kind, bits, byte_order)

  # Without the zeros at its end, in steps of so many bytes.
  defp trim(bytes, step) do
    rest = byte_size(bytes) - step

    case bytes do
      <<kept::binary-size(rest), 0::size(step)-unit(8)>> when rest >= 0 -> trim(kept, step)
      _ -> bytes
    end
  end

  # What is no character stands for one that is unknown.
  defp character(point) when point in 0..0xD7FF or point in 0xE000..0x10FFFF, do: <<point::utf8>>
  defp character(_point), do: "\uFFFD"

  defp string(data, index, n) do
    at = front(n)
    <<_::binary-size(index * 8), first::little-64, last::little-64, _::binary>> = data
    <<_::binary-size((n + 1) * 8 + div(index, 8)), bits, _::binary>> = data

    cond do
      (bits >>> rem(index, 8) &&& 1) == 1 ->
        nil

      first <= last and at + last <= byte_size(data) ->
        text!(binary_part(data, at + first, last - first))

      true ->
        raise ArgumentError, "string #{index} lies outside the data of its tensor"
    end
  end

  defp text!(text) do
    if String.valid?(text), do: text, else: raise(ArgumentError, "a string is not UTF-8")
  end

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

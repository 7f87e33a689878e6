defmodule Slipring.Column do
  @moduledoc """
  A column of a table: an array of Arrow's, its buffers as binaries.

      iex> column = Slipring.Column.new([1, nil, 3], name: "id")
      iex> {column.type, column.length, column.null_count}
      {{:s, 64}, 3, 1}
      iex> column.data
      <<1::little-64, 0::little-64, 3::little-64>>
      iex> Slipring.Column.to_list(column)
      [1, nil, 3]

  Of a table that was received the binaries lie in the segment, if the frame was leased: nothing is copied, and a column that
  is kept keeps the frame. Numbers can be read with a comprehension, which looks at the memory as it is:

      iex> temperatures = Slipring.Column.new([20.5, 21.25])
      iex> for <<t::float-little-64 <- temperatures.data>>, do: t * 2
      [41.0, 42.5]

  Where there are nulls, and for all other types, `to_list/2` gives the elements as terms.

    * `name`, `nullable`, `metadata` - what the schema says of the column
    * `type` - see below; `ordered` - whether the values of a dictionary have an order
    * `length`, `null_count` - elements, and those of them that are null
    * `validity` - a bit for each element, 0 where it is null, the lowest bit of a byte first; `nil` where none is null
    * `data` - the elements of fixed size, one after the other, little-endian; of booleans a bit each; of strings and binaries all
      bytes, which `offsets` cut; of a dictionary the indices; of a union the type ids; of views the views
    * `offsets`, `sizes` - where elements lie in `data`, in the child, or in a child
    * `buffers` - what views point to; `children` - the columns within; `dictionary` - the values

  ## Types

  | type | Arrow | an element as a term |
  |---|---|---|
  | `:null` | null | `nil` |
  | `:boolean` | bool | boolean |
  | `{:s, 8 \\| 16 \\| 32 \\| 64}`, `{:u, ...}` | int, uint | integer |
  | `{:f, 16 \\| 32 \\| 64}` | float | float; `:nan`, `:infinity`, `:neg_infinity` |
  | `{:decimal, 32 \\| 64 \\| 128 \\| 256, precision, scale}` | decimal | `Decimal` if loaded, else `Slipring.Decimal` |
  | `:string`, `:large_string`, `:string_view` | utf8 | string |
  | `:binary`, `:large_binary`, `:binary_view` | binary | binary |
  | `{:fixed_binary, size}` | fixed-size binary | binary; `Slipring.UUID` where the metadata says `arrow.uuid` |
  | `{:date, :day \\| :millisecond}` | date32, date64 | `Date` |
  | `{:time, unit}` | time32, time64 | `Time` |
  | `{:naive_datetime, unit}` | timestamp | `NaiveDateTime` |
  | `{:datetime, unit, zone}` | timestamp with a zone | `DateTime`: in UTC, or in the zone that is an offset |
  | `{:duration, unit}` | duration | `Slipring.Duration` |
  | `{:interval, :month}` | interval | `%{months: n}` |
  | `{:interval, :day_time}` | interval | `%{days: n, milliseconds: n}` |
  | `{:interval, :month_day_nano}` | interval | `%{months: n, days: n, nanoseconds: n}` |
  | `{:list, item}`, `:large_list`, `:list_view`, `:large_list_view` | list | list |
  | `{:fixed_list, size, item}` | fixed-size list | list |
  | `{:struct, [{name, type}]}` | struct | map of names |
  | `{:map, key, value}` | map | list of `{key, value}` |
  | `{:union, :sparse \\| :dense, [{id, {name, type}}]}` | union | the value |
  | `{:dictionary, index, type}` | dictionary | the value |
  | `{:run_end_encoded, ends, type}` | run-end encoded | the value |

  A unit is `:second`, `:millisecond`, `:microsecond` or `:nanosecond`; of nanoseconds terms keep microseconds, with a
  warning where that cuts something. Any type within another may be a field with a name of its own, `{name, type}`, or
  `{name, type, %{nullable: false, metadata: %{...}}}`. Points in time are moments: where a zone has a name, its `DateTime` is
  told in UTC, and `DateTime.shift_zone/2` tells it there.

  Each type takes the terms that its elements come back as, and some besides: an integer among floats and decimals, an atom as a text, a
  map for Arrow's map. In a union a term is of the member that gives it back as it is, or of the one that it names:

      iex> either = {:union, :dense, [{0, {"id", {:s, 64}}}, {1, {"name", :string}}, {2, {"ratio", {:f, 32}}}]}
      iex> Slipring.Column.to_list(Slipring.Column.new([7, "x", 0.5, {"ratio", 1}, nil], type: either))
      [7, "x", 0.5, 1.0, nil]
      iex> codes = Slipring.Column.new([404, 200, nil, 404], type: {:dictionary, {:u, 8}, {:s, 64}})
      iex> {codes.data, Slipring.Column.to_list(codes.dictionary)}
      {<<0, 1, 0, 0>>, [404, 200]}
  """

  alias Slipring.{Error, Lossy, Native, Options, Structs, Table, Tensor}

  @type unit :: :second | :millisecond | :microsecond | :nanosecond
  @type type :: atom | tuple

  @type t :: %__MODULE__{
          name: String.t(),
          type: type,
          nullable: boolean,
          ordered: boolean,
          metadata: %{String.t() => String.t()},
          length: non_neg_integer,
          null_count: non_neg_integer,
          validity: binary | nil,
          data: binary,
          offsets: binary | nil,
          sizes: binary | nil,
          buffers: [binary],
          children: [t],
          dictionary: t | nil
        }

  @enforce_keys [:type, :length]
  defstruct [
    :type,
    :length,
    :validity,
    :offsets,
    :sizes,
    :dictionary,
    name: "",
    nullable: true,
    ordered: false,
    metadata: %{},
    null_count: 0,
    data: "",
    buffers: [],
    children: []
  ]

  @new [
    name: {"", &__MODULE__.name_option/1},
    type: {nil, &__MODULE__.type_option/1}
  ]

  @doc false
  def name_option(name) when is_atom(name) and name != nil, do: {:ok, Atom.to_string(name)}
  def name_option(name) when is_binary(name), do: {:ok, name}
  def name_option(_name), do: {:error, "text or an atom"}

  @doc false
  def type_option(nil), do: {:ok, nil}

  def type_option(type) do
    if Native.column_type(type) == :error,
      do: {:error, "a type that Slipring.Column lists"},
      else: {:ok, type}
  end

  @doc """
  A column of a list, a `Slipring.Tensor` or an `Nx.Tensor` of one dimension, or a binary that is its data.

    * `:name` - text or an atom
    * `:type` - of the elements. Without it, it is found: integers become `{:s, 64}` (`{:u, 64}` where one needs it), and go
      together with floats where these hold all of them exactly; times are told in as many digits as the finest has. Of a
      binary it has to be given, and be one of fixed size

  A tensor's data becomes the column's, without a copy. A list is written into memory of its own.

  Raises a `Slipring.Error` with the path to an element that the column can't hold.

      iex> Slipring.Column.new([~D[2026-11-21], nil]).type
      {:date, :day}
      iex> Slipring.Column.new(<<1.5::float-little-32, 2.5::float-little-32>>, type: {:f, 32}).length
      2
      iex> {:error, error} = Slipring.Column.build([1, "one"], name: :id)
      iex> {error.reason, error.path}
      {:encode, "$.columns.id[1]"}
  """
  @spec new(list | binary | Tensor.t() | struct, keyword) :: t
  def new(elements, options \\ []) do
    case build(elements, options) do
      {:ok, column} -> column
      {:error, error} -> raise error
    end
  end

  @doc "As `new/2`, but answers `{:ok, column}` or `{:error, error}`."
  @spec build(list | binary | Tensor.t() | struct, keyword) :: {:ok, t} | {:error, Error.t()}
  def build(elements, options \\ []) do
    %{name: name, type: type} = Options.check!(options, @new)
    make(elements, name, type)
  end

  defp make(list, name, type) when is_list(list) do
    answer =
      with :large <- Native.column_build(name, list, type),
           do: Native.column_build_large(name, list, type)

    answered(answer, :column)
  end

  defp make(%__MODULE__{} = column, "", nil), do: {:ok, column}
  defp make(%__MODULE__{} = column, name, nil), do: {:ok, %{column | name: name}}

  defp make(%Tensor{} = tensor, name, type) do
    case tensor do
      %{type: {kind, _}, shape: {length}, byte_order: :little} = tensor
      when kind in [:s, :u, :f] and type in [nil, tensor.type] ->
        checked(%__MODULE__{name: name, type: tensor.type, length: length, data: tensor.data})

      %{shape: {_length}} ->
        make(Tensor.to_list(tensor), name, type)

      %{shape: shape} ->
        raise ArgumentError,
              "a column is made of a tensor of one dimension, not of the shape #{inspect(shape)}"
    end
  end

  defp make(%{__struct__: Nx.Tensor} = nx, name, type) do
    case Tensor.of_nx(nx) do
      {:ok, tensor} -> make(tensor, name, type)
      {:error, other} -> raise ArgumentError, "no column holds the type #{inspect(other)}"
    end
  end

  defp make(data, name, type) when is_binary(data) do
    case width(type) do
      nil ->
        raise ArgumentError,
              "a binary becomes a column of a type of fixed size, given by :type, not " <>
                "#{inspect(type)}; give a list of strings as a list"

      width when rem(byte_size(data), width) == 0 ->
        checked(%__MODULE__{
          name: name,
          type: type,
          length: div(byte_size(data), width),
          data: data
        })

      width ->
        raise ArgumentError,
              "#{byte_size(data)} bytes are no number of elements of #{width} bytes each"
    end
  end

  defp make(map, _name, _type) when is_map(map) and not is_struct(map), do: none!(map)

  defp make(other, name, type) do
    if Enumerable.impl_for(other), do: make(Enum.to_list(other), name, type), else: none!(other)
  end

  @spec none!(term) :: no_return
  defp none!(other) do
    raise ArgumentError,
          "a column is made of a list, a tensor of one dimension or a binary with its type, " <>
            "not of #{inspect(other, limit: 5)}"
  end

  defp checked(column) do
    case Native.column_check(column) do
      :ok -> {:ok, column}
      {:error, fault} -> {:error, Error.new(fault, :column, nil)}
    end
  end

  @doc false
  # Bytes of an element, where all have as many.
  def width({kind, bits}) when kind in [:s, :u, :f] and is_integer(bits), do: div(bits, 8)
  def width({:decimal, bits, _precision, _scale}), do: div(bits, 8)
  def width({:fixed_binary, size}) when size > 0, do: size
  def width({:date, :day}), do: 4
  def width({:date, :millisecond}), do: 8
  def width({:time, unit}) when unit in [:second, :millisecond], do: 4
  def width({kind, _unit}) when kind in [:time, :naive_datetime, :duration], do: 8
  def width({:datetime, _unit, _zone}), do: 8
  def width({:interval, :month}), do: 4
  def width({:interval, :day_time}), do: 8
  def width({:interval, :month_day_nano}), do: 16
  def width(_other), do: nil

  @doc """
  The elements as terms, nil where they are null.

  Options: `:keys` (of structs), `:nan`, as of `Slipring.Frame.value/2`. Raises a `Slipring.Error` with the path to an element that
  can't be read, such as a text that is not UTF-8.

      iex> Slipring.Column.to_list(Slipring.Column.new([%{a: 1}, %{b: ["x"]}]))
      [%{"a" => 1, "b" => nil}, %{"a" => nil, "b" => ["x"]}]
  """
  @spec to_list(t, keyword) :: list
  def to_list(%__MODULE__{length: length} = column, options \\ []),
    do: elements(column, {0, length}, options)

  @doc """
  The element at an index, counted from 0.

      iex> Slipring.Column.at(Slipring.Column.new(["a", "b"]), 1)
      "b"
  """
  @spec at(t, non_neg_integer, keyword) :: term
  def at(%__MODULE__{length: length} = column, index, options \\ []) do
    unless is_integer(index) and index in 0..(length - 1)//1 do
      raise ArgumentError, "index #{inspect(index)} is outside a column of #{length} elements"
    end

    [element] = elements(column, {index, 1}, options)
    element
  end

  defp elements(column, rows, options) do
    bits = Slipring.Value.decode_options(options)

    read(
      &Native.column_values(column, rows, bits, &1),
      &Native.column_values_large(column, rows, bits, &1)
    )
  end

  @doc false
  # `read` and `read_large` are given what structs are made of.
  def read(read, read_large), do: read |> counted(read_large) |> elem(0)

  @doc false
  # As `read/2`, with the elements that were made.
  def counted(read, read_large) do
    forms = Structs.forms()

    case with(:large <- read.(forms), do: read_large.(forms)) do
      {:error, fault} ->
        raise Error.new(fault, :value, nil)

      {list, notes, elements} ->
        Lossy.warn(notes)
        {list, elements}
    end
  end

  @doc """
  Some elements, as a column: views on the same binaries, wherever that can be.

      iex> column = Slipring.Column.slice(Slipring.Column.new([1, 2, nil, 4]), 1, 2)
      iex> {Slipring.Column.to_list(column), column.null_count}
      {[2, nil], 1}
  """
  @spec slice(t, non_neg_integer, non_neg_integer) :: t
  def slice(%__MODULE__{length: length} = column, from, count) do
    Table.within!(from, count, length)

    if count == length, do: column, else: bang(Native.column_slice(column, from, count))
  end

  @doc """
  Columns of one type, one after the other, as one: a copy.

      iex> columns = [Slipring.Column.new([1, 2]), Slipring.Column.new([3])]
      iex> Slipring.Column.to_list(Slipring.Column.concat(columns))
      [1, 2, 3]
  """
  @spec concat([t, ...]) :: t
  def concat([%__MODULE__{} = column]), do: column
  def concat([%__MODULE__{} | _] = columns), do: bang(Native.column_concat(columns))

  @doc """
  The sum of a column of numbers, nulls passed over. Integers are summed exactly, floats in their order. 0 where there is none.

      iex> Slipring.Column.sum(Slipring.Column.new([1, nil, 2]))
      3
  """
  @spec sum(t) :: number | :nan | :infinity | :neg_infinity
  def sum(%__MODULE__{} = column), do: reduce(column, :sum)

  @doc "The least of a column of numbers, nulls and NaN passed over; `nil` where there is none."
  @spec min(t) :: number | atom
  def min(%__MODULE__{} = column), do: reduce(column, :min)

  @doc "The largest of a column of numbers, nulls and NaN passed over; `nil` where there is none."
  @spec max(t) :: number | atom
  def max(%__MODULE__{} = column), do: reduce(column, :max)

  @doc """
  The mean of a column of numbers, nulls passed over; `nil` where there is none.

      iex> Slipring.Column.mean(Slipring.Column.new([1, nil, 2]))
      1.5
  """
  @spec mean(t) :: float | atom
  def mean(%__MODULE__{} = column) do
    case {column.length - column.null_count, reduce(column, :sum)} do
      {0, _sum} -> nil
      {count, sum} when is_number(sum) -> sum / count
      {_count, none} -> none
    end
  end

  defp reduce(column, how) do
    case with(:large <- Native.column_sum(column, how), do: Native.column_sum_large(column, how)) do
      {:error, fault} ->
        raise Error.new(fault, how, nil)

      :error ->
        raise ArgumentError,
              "a column of the type #{inspect(column.type)} has no #{how}: take Slipring.Column.to_list/2"

      number ->
        number
    end
  end

  @doc """
  The column as a `Slipring.Tensor` of one dimension, over the same memory. It must be of numbers, and none be null.

      iex> Slipring.Column.to_tensor(Slipring.Column.new([1.5, 2.5]))
      Slipring.Tensor.from_list([1.5, 2.5], {2}, {:f, 64})
  """
  @spec to_tensor(t) :: Tensor.t()
  def to_tensor(%__MODULE__{type: {kind, _bits} = type, null_count: 0} = column)
      when kind in [:s, :u, :f],
      do: Tensor.new(column.data, {column.length}, type)

  def to_tensor(%__MODULE__{type: type, null_count: nulls}) do
    raise ArgumentError,
          "a tensor is made of a column of numbers without nulls, not of #{nulls} nulls in " <>
            "one of the type #{inspect(type)}"
  end

  @doc """
  The column as an `Nx.Tensor`, where Nx is loaded. It must be of numbers, none be null, and one at least: Nx has no empty tensors.
  """
  @spec to_nx(t) :: struct
  def to_nx(%__MODULE__{} = column) do
    %{data: data, type: type} = to_tensor(column)
    apply(needed!(Nx, "Nx"), :from_binary, [data, type])
  end

  @doc false
  def needed!(module, name) do
    unless Code.ensure_loaded?(module) do
      raise ArgumentError, "#{name} is not loaded: add it to the dependencies of your project"
    end

    module
  end

  @doc false
  def answered({:error, fault}, operation), do: {:error, Error.new(fault, operation, nil)}
  def answered(made, _operation), do: {:ok, made}

  defp bang({:error, fault}), do: raise(Error.new(fault, :column, nil))
  defp bang(column), do: column

  @doc """
  The type in short, as `inspect/2` shows it.

      iex> Slipring.Column.type_name({:list, {:f, 64}})
      "list<f64>"
  """
  @spec type_name(type) :: String.t()
  def type_name(type)

  def type_name({kind, bits}) when kind in [:s, :u, :f] and is_integer(bits),
    do: "#{kind}#{bits}"

  def type_name({:decimal, _bits, precision, scale}), do: "decimal(#{precision}, #{scale})"
  def type_name({:fixed_binary, size}), do: "binary(#{size})"
  def type_name({:datetime, unit, zone}), do: "datetime(#{unit}, #{zone})"
  def type_name({:fixed_list, size, item}), do: "list<#{type_name(item)}, #{size}>"

  def type_name({kind, item}) when kind in [:list, :large_list, :list_view, :large_list_view],
    do: "#{kind}<#{type_name(item)}>"

  def type_name({:struct, fields}),
    do: "struct<#{Enum.map_join(fields, ", ", &"#{elem(&1, 0)}: #{type_name(elem(&1, 1))}")}>"

  def type_name({:map, key, value}) when not is_boolean(value),
    do: "map<#{type_name(key)}, #{type_name(value)}>"

  def type_name({:map, {_name, {:struct, [key, value]}, _said}, _sorted}),
    do: "map<#{type_name(key)}, #{type_name(value)}>"

  def type_name({:union, mode, _fields}), do: "#{mode} union"
  def type_name({:dictionary, _index, values}), do: "dictionary<#{type_name(values)}>"
  def type_name({:run_end_encoded, _ends, values}), do: "runs<#{type_name(values)}>"
  def type_name({name, type}) when is_binary(name), do: type_name(type)
  def type_name({name, type, _said}) when is_binary(name), do: type_name(type)
  def type_name({kind, unit}) when is_atom(unit), do: "#{kind}(#{unit})"
  def type_name(type) when is_atom(type), do: Atom.to_string(type)
  def type_name(other), do: inspect(other)

  defimpl Enumerable do
    # So many elements are made terms of at a time.
    @batch 1024

    alias Slipring.Column

    def count(column), do: {:ok, column.length}
    def member?(_column, _element), do: {:error, __MODULE__}

    def slice(column) do
      {:ok, column.length,
       fn from, count, step ->
         column |> Column.slice(from, count * step) |> Column.to_list() |> Enum.take_every(step)
       end}
    end

    def reduce(column, acc, fun) do
      0..(column.length - 1)//@batch
      |> Stream.flat_map(fn from ->
        Column.to_list(Column.slice(column, from, Kernel.min(@batch, column.length - from)))
      end)
      |> Enumerable.reduce(acc, fun)
    end
  end

  defimpl Inspect do
    import Inspect.Algebra

    alias Slipring.Column

    def inspect(column, _options) do
      name = if column.name == "", do: "", else: Kernel.inspect(column.name) <> ", "
      nulls = if column.null_count > 0, do: ", #{column.null_count} null", else: ""
      facts = "#{name}#{Column.type_name(column.type)}, length: #{column.length}#{nulls}"
      concat(["#Slipring.Column<", facts, ", ", elements(column), ">"])
    end

    defp elements(column) do
      shown = column |> Column.slice(0, Kernel.min(column.length, 5)) |> Column.to_list()
      shown = Enum.map_join(shown, ", ", &Kernel.inspect(&1, limit: 5))
      "[#{shown}#{if column.length > 5, do: ", ..."}]"
    rescue
      error in Slipring.Error -> "unreadable: #{Exception.message(error)}"
      _damaged in [ArgumentError, FunctionClauseError] -> "damaged"
    end
  end
end

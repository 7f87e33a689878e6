defmodule Slipring.Table do
  @moduledoc """
  A table: record batches of Arrow's, of one schema.

      iex> table = Slipring.Table.new(city: ["Oslo", "Cairo", nil], rain: [763, 18, 901])
      iex> table["rain"].type
      {:s, 64}
      iex> Slipring.Table.to_maps(table) |> List.last()
      %{"city" => nil, "rain" => 901}
      iex> Enum.count(table)
      3

  A table that was received has its columns in the segment, if the frame was leased, see `Slipring.Column`: to read one
  column touches no other, and copies nothing. In Python it is an object that pyarrow, pandas, polars and DuckDB take without
  a copy.

      iex> ring = Slipring.create!("table-doc")
      iex> tx = Slipring.producer!(ring)
      iex> :ok = Slipring.send(tx, Slipring.Table.new(month: [1, 1, 2], rain: [2.5, 0.0, 7.25]))
      iex> table = ring |> Slipring.consumer!() |> Slipring.recv!() |> Slipring.Frame.value()
      iex> months = Slipring.Column.to_list(table["month"])
      iex> rain = for <<x::float-little-64 <- table["rain"].data>>, do: x
      iex> Enum.zip(months, rain) |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
      %{1 => [2.5, 0.0], 2 => [7.25]}

  `Enum` and `Stream` see its rows as maps; `table["name"]` is a column.

    * `fields` - the schema: columns without elements
    * `metadata` - of the schema, a map of texts
    * `rows` - of all batches
    * `batches` - `{rows, columns}` of each, see `batches/1`
  """

  @behaviour Access

  alias Slipring.{Column, Error, Frame, Native, Options, Producer, Receiving, Schemas, Sending}

  @type t :: %__MODULE__{
          fields: [Column.t()],
          metadata: %{String.t() => String.t()},
          rows: non_neg_integer,
          batches: [{non_neg_integer, [Column.t()]}]
        }
  @type name :: String.t() | atom | non_neg_integer

  defstruct fields: [], metadata: %{}, rows: 0, batches: []

  # More elements than any call makes, in a number that the native part takes.
  @beyond 281_474_976_710_656

  @new [
    types: {[], &__MODULE__.types_option/1},
    metadata: {%{}, &__MODULE__.metadata_option/1}
  ]
  @send_batches [
    rows: {nil, &__MODULE__.rows_option/1},
    meta: {nil, &Options.meta/1},
    schema: {nil, &Options.schema/1},
    timeout: {:infinity, &Options.timeout/1}
  ]

  @doc false
  # A list of names, as texts, and types.
  def types_option(types) do
    if Enumerable.impl_for(types) && Enum.all?(types, &match?({_name, _type}, &1)) do
      wrong = Enum.find(types, &match?({:error, _}, Column.type_option(elem(&1, 1))))
      types = for {name, type} <- types, type != nil, do: {to_string(name), type}
      names = Enum.map(types, &elem(&1, 0))

      case {wrong, names -- Enum.uniq(names)} do
        {nil, []} ->
          {:ok, types}

        {nil, [twice | _]} ->
          {:error, "one type for each name, not two for #{inspect(twice)}"}

        {{name, _}, _} ->
          {:error, "types that Slipring.Column lists, also of #{inspect(name)}"}
      end
    else
      {:error, "a map or keyword list of names and types"}
    end
  end

  @doc false
  def rows_option(rows) do
    case Options.count(rows) do
      {:ok, rows} when rows > 0 -> {:ok, rows}
      _other -> {:error, "a number of rows from 1 on"}
    end
  end

  @doc false
  def metadata_option(metadata) do
    if is_map(metadata) and Enum.all?(metadata, fn {k, v} -> is_binary(k) and is_binary(v) end),
      do: {:ok, metadata},
      else: {:error, "a map of texts"}
  end

  defmodule Under do
    @moduledoc false
    # A table, and the schema of the ring that it is sent under.
    defstruct [:table, :schema]
  end

  # Made ---------------------------------------------------------------------------------------------

  @doc """
  A table of columns: a map, a keyword list or a list of `{name, column}`, or a list of columns that have names. Each is a
  list, a `Slipring.Column`, a `Slipring.Tensor` or an `Nx.Tensor` of one dimension, or an enumerable; all are of one length.

    * `:types` - types by name, where they are not to be found from the elements; see `Slipring.Column.new/2`
    * `:metadata` - of the schema, a map of texts

  Raises a `Slipring.Error` with the path to an element that its column can't hold, and an `ArgumentError` for columns of
  different lengths and for a type of a name that no column has, or that is another type than a given `Slipring.Column`'s.

      iex> table = Slipring.Table.new(%{"id" => [1, 2], "at" => [~U[2026-11-21 10:46:00Z], nil]}, types: %{id: {:u, 8}})
      iex> for field <- table.fields, do: {field.name, field.type}
      [{"at", {:datetime, :second, "UTC"}}, {"id", {:u, 8}}]
  """
  @spec new(Enumerable.t(), keyword) :: t
  def new(columns, options \\ []) do
    %{types: types, metadata: metadata} = Options.check!(options, @new)

    columns =
      for column <- columns do
        case column do
          %Column{} = column ->
            as_said!(column, type(types, column.name))

          {name, elements} when is_binary(name) or (is_atom(name) and name != nil) ->
            Column.new(elements, name: name, type: type(types, to_string(name)))

          other ->
            raise ArgumentError,
                  "a table is made of columns with names, {name, elements}, not of " <>
                    inspect(other, limit: 5) <>
                    if(is_map(other),
                      do: "; of maps Slipring.Table.from_maps/2 makes one",
                      else: ""
                    )
        end
      end

    names = Enum.map(columns, & &1.name)

    case Enum.find(types, fn {name, _type} -> name not in names end) do
      nil ->
        of_columns(columns, metadata)

      {name, _type} ->
        raise ArgumentError,
              "option :types has a type for #{inspect(name)}, which is no column; there are: " <>
                Enum.map_join(names, ", ", &inspect/1)
    end
  end

  defp type(types, name), do: with({_name, type} <- List.keyfind(types, name, 0), do: type)

  defp as_said!(column, nil), do: column

  defp as_said!(%{type: type} = column, said) do
    if Native.column_type(said) == type do
      column
    else
      raise ArgumentError,
            "the column #{inspect(column.name)} is of the type #{Column.type_name(type)}, not of " <>
              "#{Column.type_name(said)} as option :types has it: give its elements, as a list"
    end
  end

  defp of_columns([], metadata), do: %__MODULE__{metadata: metadata}

  defp of_columns([%{length: rows} | _] = columns, metadata) do
    case Enum.find(columns, &(&1.length != rows)) do
      nil ->
        %__MODULE__{
          fields: Enum.map(columns, &Column.slice(&1, 0, 0)),
          metadata: metadata,
          rows: rows,
          batches: [{rows, columns}]
        }

      other ->
        raise ArgumentError,
              "the column #{inspect(other.name)} has #{other.length} elements, the first one #{rows}"
    end
  end

  @doc """
  A table of a list of maps: their keys, text or atoms, are the names. A key that a map lacks is null in its row.

  Option: `:types`, as in `new/2`; a name that no map has becomes a column of nulls behind the others. Answers `{:error, error}` with
  the path to what no column holds, such as a text among numbers.

      iex> {:ok, table} = Slipring.Table.from_maps([%{id: 1, tags: ["a"]}, %{id: 2.5}])
      iex> for field <- table.fields, do: {field.name, Slipring.Column.type_name(field.type)}
      [{"id", "f64"}, {"tags", "list<string>"}]
      iex> {:error, error} = Slipring.Table.from_maps([%{id: 1}, %{id: "two"}])
      iex> error.path
      "$[1].id"
      iex> table = Slipring.Table.from_maps!([%{id: 1}], types: [id: {:u, 8}, note: :string_view])
      iex> Slipring.Table.to_columns(table)
      %{"id" => [1], "note" => [nil]}
  """
  @spec from_maps([map], keyword) :: {:ok, t} | {:error, Error.t()}
  def from_maps(maps, options \\ []) do
    %{types: types, metadata: metadata} = Options.check!(options, @new)
    maps = rows!(maps)

    with {:ok, columns} <- built(maps, Map.new(types)),
         {:ok, nulls} <- nulls(types, columns, maps),
         do: {:ok, of_rows(columns ++ nulls, maps, metadata)}
  end

  @doc false
  # The columns of maps, of the types that there are for their names.
  def built(maps, types) do
    answer =
      with :large <- Native.table_build(maps, types),
           do: Native.table_build_large(maps, types)

    Column.answered(answer, :from_maps)
  end

  # Columns that no map has.
  defp nulls(types, columns, maps) do
    types
    |> Enum.reject(fn {name, _type} -> Enum.any?(columns, &(&1.name == name)) end)
    |> Enum.reduce_while({:ok, []}, fn {name, type}, {:ok, nulls} ->
      case Column.build(List.duplicate(nil, length(maps)), name: name, type: type) do
        {:ok, column} -> {:cont, {:ok, nulls ++ [column]}}
        error -> {:halt, error}
      end
    end)
  end

  defp rows!(maps) when is_list(maps), do: maps

  defp rows!(maps) do
    columns? = is_map(maps) and not is_struct(maps)

    if Enumerable.impl_for(maps) == nil or columns? do
      instead = if columns?, do: "; of columns Slipring.Table.new/2 makes one"

      raise ArgumentError,
            "Slipring.Table.from_maps/2 takes a list of maps, not #{inspect(maps, limit: 5)}#{instead}"
    end

    Enum.to_list(maps)
  end

  @doc false
  # Maps without keys are rows all the same.
  def of_rows(columns, maps, metadata \\ %{})

  def of_rows([], [_ | _] = maps, metadata) do
    rows = length(maps)
    %__MODULE__{metadata: metadata, rows: rows, batches: [{rows, []}]}
  end

  def of_rows(columns, _maps, metadata), do: of_columns(columns, metadata)

  @doc "As `from_maps/2`, or raises."
  @spec from_maps!([map], keyword) :: t
  def from_maps!(maps, options \\ []) do
    case from_maps(maps, options) do
      {:ok, table} -> table
      {:error, error} -> raise error
    end
  end

  @doc false
  # What the native part has read.
  def read(read, read_large) do
    parts(with :large <- read.(), do: read_large.())
  end

  defp parts({:error, fault}), do: raise(Error.new(fault, :value, nil))

  defp parts({fields, metadata, rows, batches}),
    do: %__MODULE__{fields: fields, metadata: metadata, rows: rows, batches: batches}

  # An older version than is expected, as far as the rules lead.
  defp parts({:migrate, {route, from}, table}),
    do: parts(Schemas.migrate(route, from, parts(table)))

  @doc false
  # What a frame's value is: the table, or what was sent as one.
  def value(%__MODULE__{metadata: %{"slipring.records" => _}} = table, options),
    do: to_maps(table, options)

  def value(%__MODULE__{metadata: %{"slipring.column" => _}, fields: [_one]} = table, _options),
    do: at(table, 0)

  def value(table, _options), do: table

  # Columns ------------------------------------------------------------------------------------------

  @doc "The names of the columns, in order."
  @spec names(t) :: [String.t()]
  def names(%__MODULE__{fields: fields}), do: Enum.map(fields, & &1.name)

  @doc """
  A column, by its name or its number, counted from 0; of several with one name the first.

  Of a table of one batch, as most are, it is that batch's. Those of several batches are put together, which copies them:
  `batches/1` leaves them where they are. Raises a `KeyError` for a name that there is not.
  """
  @spec column(t, name) :: Column.t()
  def column(%__MODULE__{} = table, name) do
    case fetch(table, name) do
      {:ok, column} -> column
      :error -> raise KeyError, key: name, term: names(table)
    end
  end

  @impl Access
  def fetch(%__MODULE__{fields: fields} = table, name) do
    case index(fields, name) do
      nil -> :error
      index -> {:ok, at(table, index)}
    end
  end

  defp index(fields, index) when is_integer(index) and index >= 0,
    do: if(index < length(fields), do: index)

  defp index(fields, name) when is_atom(name), do: index(fields, Atom.to_string(name))
  defp index(fields, name), do: Enum.find_index(fields, &(&1.name == name))

  defp at(%{batches: [], fields: fields}, index), do: Enum.at(fields, index)
  defp at(%{batches: [{_rows, columns}]}, index), do: Enum.at(columns, index)

  defp at(%{batches: batches}, index),
    do: Column.concat(for {_rows, columns} <- batches, do: Enum.at(columns, index))

  @impl Access
  def get_and_update(%__MODULE__{} = table, name, function) do
    current = table[name]

    case function.(current) do
      :pop ->
        pop(table, name)

      {got, new} ->
        new = Column.new(new, name: if(is_integer(name), do: current.name, else: name))
        columns = columns(table)

        columns =
          case index(table.fields, name) do
            nil -> columns ++ [new]
            index -> List.replace_at(columns, index, new)
          end

        {got, of_columns(columns, table.metadata)}
    end
  end

  @impl Access
  def pop(%__MODULE__{} = table, name) do
    case index(table.fields, name) do
      nil ->
        {nil, table}

      index ->
        batches = for {rows, columns} <- table.batches, do: {rows, List.delete_at(columns, index)}

        {at(table, index),
         %{table | fields: List.delete_at(table.fields, index), batches: batches}}
    end
  end

  defp columns(%{fields: fields} = table),
    do: for({_field, index} <- Enum.with_index(fields), do: at(table, index))

  # Rows ---------------------------------------------------------------------------------------------

  @doc """
  The columns as lists, by name. Options as of `Slipring.Column.to_list/2`; with `keys: :existing_atoms` names are atoms, where there are.

      iex> Slipring.Table.to_columns(Slipring.Table.new(id: [1, 2], name: ["a", nil]))
      %{"id" => [1, 2], "name" => ["a", nil]}
  """
  @spec to_columns(t, keyword) :: %{(String.t() | atom) => list}
  def to_columns(%__MODULE__{fields: fields, batches: batches}, options \\ []) do
    names = Enum.map(fields, & &1.name)

    for twice <- Enum.take(names -- Enum.uniq(names), 1) do
      raise ArgumentError,
            "two columns are named #{inspect(twice)}, and a map holds one of them: take them by their places with Slipring.Table.column/2, or rename them"
    end

    for {field, index} <- Enum.with_index(fields), into: %{} do
      lists =
        for {_, columns} <- batches, do: columns |> Enum.at(index) |> Column.to_list(options)

      {key(field.name, options), joined(lists)}
    end
  end

  defp key(name, options) do
    if options[:keys] == :existing_atoms, do: String.to_existing_atom(name), else: name
  rescue
    ArgumentError -> name
  end

  @doc """
  The rows as maps. Options as of `Slipring.Column.to_list/2`; with `keys: :existing_atoms` names are atoms, where there are.

      iex> Slipring.Table.to_maps(Slipring.Table.new(id: [1, 2]), keys: :existing_atoms)
      [%{id: 1}, %{id: 2}]
  """
  @spec to_maps(t, keyword) :: [map]
  def to_maps(%__MODULE__{batches: batches}, options \\ []) do
    bits = Slipring.Value.decode_options(options)

    # What may be made is limited for all batches together: a batch may take what earlier ones have left and later
    # ones don't need, so that too many rows are refused before any is made.
    needed = batches |> Enum.map(&least/1) |> Enum.sum()

    {lists, _spent} =
      Enum.map_reduce(batches, needed, fn {rows, columns} = batch, spent ->
        others = spent - least(batch)
        spent = min(others, @beyond)

        {list, elements} =
          Column.counted(
            &Native.table_rows(columns, {0, rows}, bits, &1, spent),
            &Native.table_rows_large(columns, {0, rows}, bits, &1, spent)
          )

        {list, others + elements}
      end)

    joined(lists)
  end

  # The elements that the maps of a batch take: each row, and one of each column.
  defp least({rows, columns}), do: rows * (1 + length(columns))

  # The list of most tables is not made anew.
  defp joined([list]), do: list
  defp joined(lists), do: Enum.concat(lists)

  @doc false
  # Some rows of a table of one batch.
  def rows(%__MODULE__{batches: [{_rows, columns}]}, from, count) do
    Column.read(
      &Native.table_rows(columns, {from, count}, 0, &1, 0),
      &Native.table_rows_large(columns, {from, count}, 0, &1, 0)
    )
  end

  @doc """
  Some rows, as a table: views on the same columns, wherever that can be.

      iex> table = Slipring.Table.new(id: [1, 2, 3, 4])
      iex> Slipring.Table.to_maps(Slipring.Table.slice(table, 1, 2))
      [%{"id" => 2}, %{"id" => 3}]
  """
  @spec slice(t, non_neg_integer, non_neg_integer) :: t
  def slice(%__MODULE__{rows: rows, batches: batches} = table, from, count) do
    within!(from, count, rows)

    {batches, _passed} =
      Enum.flat_map_reduce(batches, 0, fn {rows, columns}, passed ->
        first = max(from - passed, 0)
        taken = min(from + count - passed, rows) - first

        part =
          cond do
            taken <= 0 -> []
            taken == rows -> [{rows, columns}]
            true -> [{taken, Enum.map(columns, &Column.slice(&1, first, taken))}]
          end

        {part, passed + rows}
      end)

    %{table | rows: count, batches: batches}
  end

  @doc false
  def within!(from, count, rows) do
    unless is_integer(from) and is_integer(count) and from >= 0 and count >= 0 and
             from + count <= rows do
      raise ArgumentError,
            "rows #{inspect(from)} and #{inspect(count)} more are not all among #{rows} rows"
    end
  end

  @doc """
  The batches, a table of each.

      iex> tables = for ids <- [[1, 2], [3]], do: Slipring.Table.new(id: ids)
      iex> tables |> Slipring.Table.concat() |> Slipring.Table.batches() |> Enum.map(& &1.rows)
      [2, 1]
  """
  @spec batches(t) :: [t]
  def batches(%__MODULE__{batches: batches} = table),
    do: for({rows, _columns} = batch <- batches, do: %{table | rows: rows, batches: [batch]})

  @doc """
  Tables of one schema, one after the other, as one: their batches, where they are. Raises an `ArgumentError` if their columns
  differ in name or type.
  """
  @spec concat([t, ...]) :: t
  def concat([]),
    do: raise(ArgumentError, "there are no tables to put together: give at least one")

  def concat([%__MODULE__{} = first | _] = tables) do
    for table <- tables, facts(table) != facts(first) do
      raise ArgumentError,
            "tables of different columns can't be put together: #{inspect(facts(first))} and " <>
              inspect(facts(table))
    end

    %{
      first
      | rows: tables |> Enum.map(& &1.rows) |> Enum.sum(),
        batches: Enum.flat_map(tables, & &1.batches)
    }
  end

  defp facts(%{fields: fields}), do: Enum.map(fields, &{&1.name, &1.type})

  @doc """
  The table as an `Explorer.DataFrame`, where Explorer is loaded. Columns without nulls go by their data where Explorer has their type
  (numbers but halves, days, nanoseconds of a day, moments without a zone and durations but in seconds), others as lists.
  """
  @spec to_explorer(t) :: struct
  def to_explorer(%__MODULE__{} = table) do
    frame = Column.needed!(Explorer.DataFrame, "Explorer")
    columns = for column <- columns(table), do: {column.name, series(column)}
    apply(frame, :new, [columns])
  end

  defp series(%{type: type, null_count: nulls, data: data} = column) do
    case dtype(type) do
      {:data, dtype} when nulls == 0 ->
        apply(Explorer.Series, :from_binary, [data, dtype])

      # As items they are of microseconds.
      {_how, {:duration, _unit}} ->
        apply(Explorer.Series, :from_list, [items(column), [dtype: {:duration, :microsecond}]])

      # Terms alone do not tell bytes from text, or of what type nulls are.
      {_how, dtype} ->
        apply(Explorer.Series, :from_list, [items(column), [dtype: dtype]])

      nil ->
        apply(Explorer.Series, :from_list, [items(column)])
    end
  end

  defp items(column), do: column |> Column.to_list() |> Enum.map(&item/1)

  # Explorer knows no structs of ours.
  defp item(%Slipring.Duration{seconds: s, microseconds: us}), do: s * 1_000_000 + us
  defp item(%Slipring.UUID{bytes: bytes}), do: bytes
  defp item(other), do: other

  # As Explorer calls the type, and whether its data is the same there.
  defp dtype({kind, _bits} = type) when kind in [:s, :u], do: {:data, type}
  defp dtype({:f, 16}), do: {:list, {:f, 32}}
  defp dtype({:f, _bits} = type), do: {:data, type}
  defp dtype({:date, :day}), do: {:data, :date}
  defp dtype({:date, _unit}), do: {:list, :date}
  defp dtype({:time, :nanosecond}), do: {:data, :time}
  defp dtype({:time, _unit}), do: {:list, :time}
  defp dtype({:naive_datetime, :second}), do: {:list, {:naive_datetime, :millisecond}}
  defp dtype({:naive_datetime, _unit} = type), do: {:data, type}
  defp dtype({:duration, :second} = type), do: {:list, type}
  defp dtype({:duration, _unit} = type), do: {:data, type}
  defp dtype(:boolean), do: {:list, :boolean}
  defp dtype(text) when text in [:string, :large_string, :string_view], do: {:list, :string}
  defp dtype(bytes) when bytes in [:binary, :large_binary, :binary_view], do: {:list, :binary}
  defp dtype({:fixed_binary, _size}), do: {:list, :binary}
  defp dtype({:dictionary, _index, type}) when is_atom(type), do: dtype(type)
  defp dtype(_other), do: nil

  # Streams ------------------------------------------------------------------------------------------

  @doc """
  Sends a table batch by batch, or each of many tables, as frames of their own: no more of it stands in the ring at a time
  than the receiver leaves there. Tables may be a stream, of which one is held at a time.

    * `:rows` - at most so many in a frame; default as the batches are
    * `:meta` - goes with the first frame; `:timeout` - for each; as in `Slipring.send/3`
    * `:schema` - that they are all sent under, as in `Slipring.send/3`; by its name, the version that is the newest when the first
      is sent

  All have the same columns. The first frame says in its header that a stream begins, the last that it ends. Answers `{:ok, frames}`, or an error whose
  `sent` says how many went before it.

      iex> ring = Slipring.create!("batches-doc")
      iex> tx = Slipring.producer!(ring)
      iex> Slipring.Table.send_batches(tx, Slipring.Table.new(id: [1, 2, 3]), rows: 2)
      {:ok, 2}
      iex> Slipring.finish(ring)
      iex> frames = ring |> Slipring.consumer!() |> Slipring.stream()
      iex> for frame <- frames, row <- Slipring.Frame.value(frame), do: row["id"]
      [1, 2, 3]
  """
  @spec send_batches(Producer.t(), t | Enumerable.t(), keyword) ::
          {:ok, non_neg_integer} | {:error, Error.t()}
  def send_batches(%Producer{} = producer, tables, options \\ []) do
    %{rows: most} = options = Options.check!(options, @send_batches)

    with {:ok, under} <- under(producer, options.schema),
         do: send_parts(producer, tables, most, under, options)
  end

  defp under(_producer, nil), do: {:ok, & &1}

  defp under(%{ring: ring} = producer, schema) do
    case Schemas.suits(producer, schema, []) do
      {:ok, schema} -> {:ok, &%Under{table: &1, schema: schema}}
      {:error, fault} -> {:error, %{Error.new(fault, :send_batches, ring) | sent: 0}}
    end
  end

  defp send_parts(producer, tables, most, under, %{meta: meta, timeout: timeout} = options) do
    # Each goes when it is known whether another follows.
    parts = tables |> tables() |> Stream.flat_map(&parts(&1, most)) |> Stream.concat([:last])

    outcome =
      Enum.reduce_while(parts, nil, fn
        part, nil ->
          {:cont, {part, held_to(part, options), 0}}

        next, {part, columns, sent} ->
          flags = Sending.stream(sent == 0, next == :last)
          coming = held_to(next, options)

          with :ok <- if(coming in [nil, columns], do: :ok, else: unlike(part, next, producer)),
               meta = if(sent == 0, do: meta),
               :ok <- Sending.one(producer, under.(part), meta, flags, timeout) do
            {:cont, {next, coming, sent + 1}}
          else
            {:error, error} -> {:halt, {:error, %{error | sent: sent}}}
          end
      end)

    case outcome do
      {:last, _columns, sent} -> {:ok, sent}
      error -> error
    end
  end

  # A stream is of one schema. Under one that was announced each table is held against that.
  defp held_to(%__MODULE__{} = table, %{schema: nil}), do: schema(table)
  defp held_to(_part, _options), do: nil

  defp unlike(part, next, %{ring: ring}) do
    hint = "send them as streams of their own, or under a schema"

    told =
      "the tables of a stream have the same columns: #{shown(next)} came after #{shown(part)}; #{hint}"

    fault = {:encode, told, "$", nil, "Slipring.Table", hint, nil}
    {:error, Error.new(fault, :send_batches, ring)}
  end

  defp schema(%{fields: fields}),
    do: Enum.map(fields, &{&1.name, &1.type, &1.nullable, &1.metadata})

  defp shown(%{fields: fields}),
    do: Enum.map_join(fields, ", ", &"#{&1.name}: #{Column.type_name(&1.type)}")

  @doc """
  The tables of one stream that somebody sends batch by batch, in Elixir or Python, one at a time: of what was taken only the
  table at hand is held. A table that was sent by itself is a stream of one.

  `:timeout` is how long each frame is waited for; default `:infinity`. Raises a `Slipring.Error` when none comes, or when
  what comes is no part of the stream: no table, of another producer, not the next one that the producer has sent, or the first of
  another stream. That frame is there for the next `stream/2` or `Slipring.recv/2`; a piece of a stream whose beginning is gone is
  taken, and so is the next piece where its columns are others.

      iex> ring = Slipring.create!("table-stream-doc")
      iex> {:ok, 2} = Slipring.Table.send_batches(Slipring.producer!(ring), Slipring.Table.new(id: [1, 2, 3]), rows: 2)
      iex> rx = Slipring.consumer!(ring)
      iex> rx |> Slipring.Table.stream() |> Enum.map(&Slipring.Column.sum(&1["id"]))
      [3, 3]
  """
  @spec stream(Slipring.Consumer.t(), keyword) :: Enumerable.t()
  def stream(%Slipring.Consumer{} = consumer, options \\ []) do
    %{timeout: timeout} = Options.check!(options, timeout: {:infinity, &Options.timeout/1})

    Stream.resource(
      fn -> :begin end,
      fn
        :ended -> {:halt, :ended}
        at -> next(at, consumer, Options.timeout!(timeout))
      end,
      fn _at -> :ok end
    )
  end

  # `at` is `:begin`, or what the frames before were: `{producer, sequence, facts}`.
  defp next(at, consumer, timeout) do
    last = if at != :begin, do: {elem(at, 0), elem(at, 1)}

    frame =
      case Receiving.table(consumer, last, timeout) do
        {:ok, frame} -> frame
        {:error, error} -> raise error
      end

    table = Frame.table(frame)
    facts = schema(table)

    if at != :begin and elem(at, 2) != facts,
      do: broken!("a frame has another schema than the stream", consumer)

    # What is to be acknowledged has arrived.
    with {:error, error} <- Frame.ack(frame), do: raise(error)
    # Older writers gave a table by itself no flag.
    ended? = frame.stream in [:last, :only] or (frame.stream == nil and at == :begin)
    {[table], if(ended?, do: :ended, else: {frame.producer, frame.sequence, facts})}
  end

  @spec broken!(String.t(), Slipring.Consumer.t()) :: no_return
  defp broken!(what, consumer) do
    hint = "let one producer send the stream, and one consumer take it"

    raise Error.new(
            {:decode, "#{what}; #{hint}", nil, nil, nil, hint, nil},
            :stream,
            consumer.ring
          )
  end

  defp tables(%__MODULE__{} = table), do: [table]
  defp tables(tables), do: tables

  # A table without rows is a frame all the same: its columns are told.
  defp parts(%__MODULE__{batches: []} = table, _most), do: [table]

  defp parts(%__MODULE__{} = table, most) do
    for batch <- batches(table), part <- cut(batch, most), do: part
  end

  defp parts(other, _most) do
    raise ArgumentError, "send_batches sends tables, not #{inspect(other, limit: 5)}"
  end

  defp cut(%{rows: rows} = batch, most) when most == nil or rows <= most, do: [batch]

  defp cut(%{rows: rows} = batch, most),
    do: for(from <- 0..(rows - 1)//most, do: slice(batch, from, min(most, rows - from)))

  defimpl Enumerable do
    # So many rows are made maps at a time.
    @chunk 1024

    alias Slipring.Table

    def count(table), do: {:ok, table.rows}
    def member?(_table, _row), do: {:error, __MODULE__}

    def slice(table) do
      {:ok, table.rows,
       fn from, count, step ->
         count = min(count * step, table.rows - from)
         table |> Table.slice(from, count) |> Table.to_maps() |> Enum.take_every(step)
       end}
    end

    def reduce(table, acc, fun) do
      table
      |> Table.batches()
      |> Stream.flat_map(fn batch ->
        Stream.flat_map(0..(batch.rows - 1)//@chunk, fn from ->
          Table.rows(batch, from, min(@chunk, batch.rows - from))
        end)
      end)
      |> Enumerable.reduce(acc, fun)
    end
  end

  defimpl Inspect do
    def inspect(table, _options), do: Slipring.Table.Preview.text(table)
  end
end

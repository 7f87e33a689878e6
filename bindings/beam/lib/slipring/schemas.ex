defmodule Slipring.Schemas do
  @moduledoc false
  # Schemas that tables are sent under and read as, see docs/evolution.md.

  alias Slipring.{Error, Native, Sending, Table}
  alias Slipring.Table.Asked

  # How long another process's call on the same consumer is given, in milliseconds.
  @pause 1

  @inferred %{"slipring.inferred" => "1"}

  # What is sent -----------------------------------------------------------------------------------

  # A term as it is sent: under a schema, or asked to be a table, it is made one.
  def asked(term, producer, %{schema: schema, format: format}) when schema != nil do
    tables_only!(format)

    with {:ok, given} <- given(producer, schema, [term]),
         {:ok, table} <- under(term, given),
         do: {:ok, %Table.Under{table: table, schema: given.schema}}
  end

  def asked(term, _producer, %{format: :arrow}), do: Asked.of(term)
  def asked(term, _producer, _options), do: {:ok, term}

  # The same of many, all of one version; or an error whose path has the index.
  def all_asked(terms, producer, %{schema: schema, format: format}) when schema != nil do
    tables_only!(format)

    with {:ok, given} <- given(producer, schema, terms),
         {:ok, tables} <- all_tables(terms, &under(&1, given)),
         {:ok, schema} <- suits(producer, given.schema, tables),
         do: {:ok, Enum.map(tables, &%Table.Under{table: &1, schema: schema})}
  end

  def all_asked(terms, _producer, %{format: :arrow}), do: all_tables(terms, &Asked.of/1)
  def all_asked(terms, _producer, _options), do: {:ok, terms}

  defp tables_only!(format) do
    if format in [:value, :json] do
      raise ArgumentError,
            "a table under a schema goes as a table: leave out either :schema or :format"
    end
  end

  # The schema, and its types by name where terms are to be made tables of it: then it is told as the one version that has them.
  defp given(%{ref: ref, ring: ring} = producer, schema, terms) do
    if Enum.all?(terms, &typed?/1) do
      {:ok, %{schema: schema, types: %{}}}
    else
      case with(:large <- Native.under(ref, schema), do: Native.under_large(ref, schema)) do
        {:ok, schema, types} -> {:ok, %{schema: schema, types: types, ring: ring}}
        {:error, fault} -> {:error, Error.new(fault, :send, ring)}
        :busy -> given_later(producer, schema, terms)
      end
    end
  end

  defp given_later(producer, schema, terms) do
    Process.sleep(@pause)
    given(producer, schema, terms)
  end

  defp typed?(term), do: term == [] or is_struct(term, Table)

  # A table of a term, its columns of the announced types. Of what else it has the types are found: the native part is told, and
  # puts them into those that were announced, or says that they were not.
  defp made(%Table{} = table, _types), do: {:ok, table}
  defp made([], _types), do: {:ok, %Table{metadata: @inferred}}

  defp made(term, types),
    do: with({:ok, table} <- Asked.of(term, types), do: {:ok, %{table | metadata: @inferred}})

  defp under(%Table{} = table, _given), do: {:ok, table}

  defp under(term, %{types: types} = given) do
    case made(term, types) do
      # An element that is not what was announced. What is no table is told as that.
      {:error, %{path: path} = error} when path != "$" ->
        {:error,
         misplaced(String.replace_suffix(error.message, "; #{error.hint}", ""), path, given)}

      {:ok, %{fields: fields} = table} when types != %{} ->
        case Enum.find(fields, &(not is_map_key(types, &1.name))) do
          nil -> {:ok, table}
          field -> {:error, unknown(field.name, term, given)}
        end

      made ->
        made
    end
  end

  defp unknown(name, term, %{types: types} = given) do
    there = types |> Map.keys() |> Enum.sort() |> Enum.map_join(", ", &inspect/1)
    row = is_list(term) && Enum.find_index(term, &(is_map(&1) and has?(&1, name)))
    path = if row, do: "$[#{row}].#{name}", else: "$.columns.#{name}"
    misplaced("#{inspect(name)} was not announced, but #{there}, at #{path}", path, given)
  end

  defp has?(map, name), do: Enum.any?(map, fn {key, _value} -> to_string(key) == name end)

  defp misplaced(what, path, %{schema: {_id, name, version}, ring: ring}) do
    hint = "give what was announced, or announce it as version #{version + 1}"

    message =
      "the table does not fit what was announced as #{inspect(name)}, version #{version}: #{what}; #{hint}"

    Error.new({:schema, message, path, version, version, hint, nil}, :send, ring)
  end

  defp all_tables(terms, asked) do
    terms
    |> Enum.with_index()
    |> Enum.reduce_while({:ok, []}, fn {term, index}, {:ok, tables} ->
      case asked.(term) do
        {:ok, table} -> {:cont, {:ok, [table | tables]}}
        {:error, error} -> {:halt, {:error, Error.under(error, "$[#{index}]")}}
      end
    end)
    |> then(&with({:ok, tables} <- &1, do: {:ok, Enum.reverse(tables)}))
  end

  # The schema by number, name and version, which the tables suit.
  def suits(producer, schema, tables) do
    case Native.suits(producer.ref, schema, tables) do
      {:error, index, fault} -> {:error, Sending.at(fault, index)}
      other -> other
    end
  end

  # What is read -----------------------------------------------------------------------------------

  def expect(ref, name, schema, %{version: version, oldest: oldest, migrations: migrations}) do
    from = Map.keys(migrations)

    cond do
      version == nil ->
        raise ArgumentError,
              "Slipring.expect/4 needs the option :version, that of the schema, a number from 1 on"

      oldest > version ->
        raise ArgumentError,
              "option :oldest is #{oldest}, but must be at most the version that is expected, #{version}"

      Enum.any?(from, &(&1 >= version)) ->
        raise ArgumentError,
              "option :migrations has one from version #{Enum.max(from)}, but must have those from " <>
                "versions before #{version}"

      true ->
        say(ref, name, Asked.announced(schema), {version, oldest, from, migrations})
    end
  end

  defp say(ref, name, table, {version, oldest, from, migrations} = what) do
    with :busy <- Native.expect(ref, name, table, version, oldest, from, migrations) do
      Process.sleep(@pause)
      say(ref, name, table, what)
    end
  end

  # Goes on with a table that was read as far as the rules lead: what a function makes of it is of the next version.
  def migrate(route, from, table) do
    {migrate, name, types} = Native.migration(route, from)
    Native.table_migrated(route, from + 1, migrated(migrate, types, table, {name, from}))
  end

  defp migrated(migrate, types, table, step) do
    case attempt(migrate, types, table) do
      {:ok, %Table{} = table} -> table
      {:error, error} -> failed!(error, step)
    end
  end

  defp attempt(migrate, types, table) do
    given = migrate.(table)
    # What stands in the way is told when it is read as that version.
    with {:error, _misplaced} <- made(given, types), do: made(given, %{})
  rescue
    error -> {:error, error}
  end

  @spec failed!(Exception.t(), {String.t(), pos_integer}) :: no_return
  defp failed!(error, {name, from}) do
    hint = "correct the migration of #{inspect(name)} from version #{from} to #{from + 1}"

    message =
      "the migration of #{inspect(name)} from version #{from} to #{from + 1} failed: #{Exception.message(error)}; #{hint}"

    raise Error.new({:schema, message, "$", from + 1, from, hint, nil}, :value, nil)
  end
end

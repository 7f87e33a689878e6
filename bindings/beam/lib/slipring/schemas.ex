defmodule Slipring.Schemas do
  @moduledoc false
  # Schemas that tables are sent under and read as, see docs/evolution.md.

  alias Slipring.{Error, Native, Sending, Table}

  # How long another process's call on the same consumer is given, in milliseconds.
  @pause 1

  @inferred %{"slipring.inferred" => "1"}

  # What is sent -----------------------------------------------------------------------------------

  # A term as it is sent: under a schema, or asked to be a table, it is made one.
  def asked(term, %{schema: schema, format: format}) when schema != nil do
    tables_only!(format)
    with {:ok, table} <- made(term), do: {:ok, %Table.Under{table: table, schema: schema}}
  end

  def asked(term, %{format: :arrow}), do: Table.asked(term)
  def asked(term, _options), do: {:ok, term}

  # The same of many, all of one version; or an error whose path has the index.
  def all_asked(terms, producer, %{schema: schema, format: format}) when schema != nil do
    tables_only!(format)

    with {:ok, tables} <- all_tables(terms, &made/1),
         {:ok, schema} <- suits(producer, schema, tables),
         do: {:ok, Enum.map(tables, &%Table.Under{table: &1, schema: schema})}
  end

  def all_asked(terms, _producer, %{format: :arrow}), do: all_tables(terms, &Table.asked/1)
  def all_asked(terms, _producer, _options), do: {:ok, terms}

  defp tables_only!(format) do
    if format in [:value, :json] do
      raise ArgumentError,
            "a table under a schema goes as a table: leave out either :schema or :format"
    end
  end

  # A table of a term. Of one that was made of elements the native part is told: their types are only those that were found, and
  # go into those that were announced.
  defp made(%Table{} = table), do: {:ok, table}
  defp made([]), do: {:ok, %Table{metadata: @inferred}}

  defp made(term),
    do: with({:ok, table} <- Table.asked(term), do: {:ok, %{table | metadata: @inferred}})

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
        say(ref, name, Table.announced(schema), {version, oldest, from, migrations})
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
    {migrate, name} = Native.migration(route, from)
    Native.table_migrated(route, from + 1, migrated(migrate, table, {name, from}))
  end

  defp migrated(migrate, table, step) do
    case attempt(migrate, table) do
      {:ok, %Table{} = table} -> table
      {:error, error} -> failed!(error, step)
    end
  end

  defp attempt(migrate, table) do
    made(migrate.(table))
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

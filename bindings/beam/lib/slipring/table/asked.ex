defmodule Slipring.Table.Asked do
  @moduledoc false
  # Tables of terms that are no table by themselves, where one is asked for.

  alias Slipring.{Column, Error, Table, Tensor}

  # The table that `format: :arrow` makes of a term, or that goes under a schema: columns of the names in `types` are of these.
  def of(term, types \\ %{})

  def of(%Table{} = table, _types), do: {:ok, table}

  def of([first | _] = maps, types) when is_map(first) do
    case Table.built(maps, types) do
      {:ok, columns} -> {:ok, Table.of_rows(columns, maps)}
      {:error, error} -> {:error, %{error | operation: :send}}
    end
  end

  def of(columns, types) when is_map(columns) and not is_struct(columns),
    do: of_columns(columns, types)

  def of(columns, types) when is_list(columns) do
    if columns != [] and not List.improper?(columns) and
         Enum.all?(columns, &match?({_name, _elements}, &1)),
       do: of_columns(columns, types),
       else: no_table(columns)
  end

  def of(other, _types), do: no_table(other)

  defp of_columns(columns, types) do
    {:ok, Table.new(for column <- columns, do: typed(column, types))}
  rescue
    error in Error -> {:error, %{error | operation: :send}}
    error in ArgumentError -> no_table(columns, Exception.message(error))
  end

  # What has a type of its own keeps it.
  defp typed({_name, %struct{}} = column, _types) when struct in [Column, Tensor, Nx.Tensor],
    do: column

  defp typed({name, elements}, types) when is_binary(name) or (is_atom(name) and name != nil),
    do: Column.new(elements, name: name, type: types[to_string(name)])

  defp typed(other, _types), do: other

  defp no_table(term, why \\ "this term is no table") do
    hint = "give a Slipring.Table, a list of maps, or a map of columns"
    fault = {:encode, "#{why}, at $; #{hint}", "$", nil, kind(term), hint, nil}
    {:error, Error.new(fault, :send, nil)}
  end

  defp kind(%module{}), do: inspect(module)
  defp kind(term) when is_map(term), do: "map"
  defp kind(term) when is_list(term), do: "list"
  defp kind(term) when is_binary(term), do: "binary"
  defp kind(_other), do: "term"

  # What is announced: the columns of a table, or those that are listed.
  def announced(%Table{} = table), do: table

  def announced(columns) when is_list(columns) or (is_map(columns) and not is_struct(columns)) do
    fields =
      for column <- columns do
        case column do
          %Column{} = column ->
            Column.slice(column, 0, 0)

          {name, type} when is_binary(name) or (is_atom(name) and name != nil) ->
            Column.new([], name: name, type: type)

          {name, type, %{} = said}
          when not is_struct(said) and (is_binary(name) or (is_atom(name) and name != nil)) ->
            said(Column.new([], name: name, type: type), said)

          other ->
            raise ArgumentError,
                  "a schema is made of {name, type}, {name, type, %{nullable: false, metadata: %{...}}} or columns, not of #{inspect(other, limit: 5)}"
        end
      end

    %Table{fields: fields}
  end

  def announced(other) do
    raise ArgumentError,
          "give a Slipring.Table, or a list of {name, type} or of columns, not #{inspect(other, limit: 5)}"
  end

  # As fields within types say it.
  defp said(column, said) do
    Enum.reduce(said, column, fn
      {key, truth}, column when key in [:nullable, :ordered] and is_boolean(truth) ->
        Map.put(column, key, truth)

      {:metadata, %{} = metadata}, column when not is_struct(metadata) ->
        %{column | metadata: metadata}

      {key, value}, column ->
        raise ArgumentError,
              "column #{inspect(column.name)} is said with #{inspect(key)} => #{inspect(value, limit: 5)}, but with nullable: or ordered: a boolean and metadata: a map only"
    end)
  end
end

defmodule Slipring.Table.Preview do
  @moduledoc false
  # A table as it is inspected: names, types and some rows, aligned, no wider than a terminal mostly is.

  alias Slipring.{Column, Table}

  @rows 5
  @cell 24
  @width 100

  def text(%Table{} = table) do
    head = "#Slipring.Table<#{count(table.rows, "row")}, #{count(length(table.fields), "column")}"

    case lines(table) do
      [] -> head <> ">"
      lines -> Enum.join([head | lines], "\n  ") <> ">"
    end
  end

  defp count(1, what), do: "1 #{what}"
  defp count(n, what), do: "#{n} #{what}s"

  defp lines(%{fields: []}), do: []

  defp lines(table) do
    columns = table |> columns() |> fit(0)
    more = length(table.fields) - length(columns)

    columns =
      if more > 0, do: columns ++ [["... #{more} more" | blanks(hd(columns))]], else: columns

    rows =
      columns
      |> Enum.map(&pad/1)
      |> Enum.zip_with(&String.trim_trailing(Enum.join(&1, "  ")))

    if table.rows > @rows, do: rows ++ ["..."], else: rows
  end

  defp blanks([_name | cells]), do: Enum.map(cells, fn _ -> "" end)

  # The cells of each column: its name, its type, and its first elements.
  defp columns(table) do
    shown = Table.slice(table, 0, min(table.rows, @rows))

    for {field, index} <- Enum.with_index(table.fields) do
      [cut(field.name), cut(Column.type_name(field.type)) | cells(shown, index)]
    end
  end

  defp cells(shown, index) do
    for {_rows, columns} <- shown.batches,
        element <- columns |> Enum.at(index) |> Column.to_list(),
        do: cell(element)
  rescue
    Slipring.Error -> List.duplicate("unreadable", shown.rows)
  end

  defp cell(nil), do: "nil"
  defp cell(text) when is_binary(text), do: cut(inspect(text, printable_limit: @cell))
  defp cell(%module{} = time) when module in [Date, Time, DateTime], do: to_string(time)
  defp cell(%NaiveDateTime{} = time), do: to_string(time)
  defp cell(other), do: cut(inspect(other, limit: 5))

  defp cut(text) do
    text = text |> String.replace(~r/[[:cntrl:]]/u, "?")
    if String.length(text) > @cell, do: String.slice(text, 0, @cell - 3) <> "...", else: text
  end

  defp fit([column | columns], used) do
    width = width(column) + 2
    if used > 0 and used + width > @width, do: [], else: [column | fit(columns, used + width)]
  end

  defp fit([], _used), do: []

  defp width(column), do: column |> Enum.map(&String.length/1) |> Enum.max()

  defp pad(column) do
    width = width(column)
    Enum.map(column, &String.pad_trailing(&1, width))
  end
end

defmodule Weather do
  @moduledoc """
  Months out of days: sums and extremes over the columns of a table, which are read where they lie.
  """

  alias Slipring.{Column, Table}

  @doc """
  A row for each month, given a row for each day, in order: its first day, how many days there are, precipitation, lowest, mean
  and highest temperature, and days with precipitation. A day's mean is that of its lowest and its highest.

      iex> days = Slipring.Table.new(
      ...>   date: [~N[2012-01-30 00:00:00], ~N[2012-01-31 00:00:00], ~N[2012-02-01 00:00:00]],
      ...>   precipitation: [0.0, 2.5, 1.0],
      ...>   temp_min: [-1.0, 1.0, 2.0],
      ...>   temp_max: [5.0, 7.0, 4.0]
      ...> )
      iex> months = Weather.by_month(days)
      iex> for month <- months, do: {month["month"].month, month["days"], month["precipitation"], month["temp_mean"]}
      [{1, 2, 2.5, 3.0}, {2, 1, 1.0, 3.0}]
  """
  @spec by_month(Table.t()) :: Table.t()
  def by_month(days) do
    months =
      for {month, from, count} <- spans(days["date"]), do: {month, Table.slice(days, from, count)}

    column = fn function -> for {_month, days} <- months, do: function.(days) end

    Table.new(
      month: Enum.map(months, &elem(&1, 0)),
      days: column.(& &1.rows),
      precipitation: column.(&Column.sum(&1["precipitation"])),
      temp_min: column.(&Column.min(&1["temp_min"])),
      temp_mean: column.(&((Column.mean(&1["temp_min"]) + Column.mean(&1["temp_max"])) / 2)),
      temp_max: column.(&Column.max(&1["temp_max"])),
      wet_days: column.(&wet(&1["precipitation"].data))
    )
  end

  defp wet(precipitation),
    do: Enum.count(for <<fallen::float-little-64 <- precipitation>>, fallen > 0, do: fallen)

  # The first day of each month, where its rows begin, and how many there are.
  defp spans(dates) do
    dates
    |> Column.to_list()
    |> Enum.with_index(&{NaiveDateTime.new!(&1.year, &1.month, 1, 0, 0, 0), &2})
    |> Enum.chunk_by(&elem(&1, 0))
    |> Enum.map(fn [{month, from} | _] = days -> {month, from, length(days)} end)
  end
end

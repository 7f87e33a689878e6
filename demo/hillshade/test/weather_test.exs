defmodule WeatherTest do
  use ExUnit.Case, async: true
  doctest Weather

  alias Slipring.{Column, Table}

  test "each month has its own extremes, and one that comes again in another year is another" do
    days =
      Table.new(
        date: [~N[2012-01-01 00:00:00], ~N[2012-01-02 00:00:00], ~N[2013-01-01 00:00:00]],
        precipitation: [0.0, 1.5, 0.25],
        temp_min: [-3.0, 1.0, 7.0],
        temp_max: [2.0, 4.0, 8.0]
      )

    months = Weather.by_month(days)
    assert Column.to_list(months["days"]) == [2, 1]
    assert Column.to_list(months["temp_min"]) == [-3.0, 7.0]
    assert Column.to_list(months["temp_max"]) == [4.0, 8.0]
    assert Column.to_list(months["wet_days"]) == [1, 1]
  end
end

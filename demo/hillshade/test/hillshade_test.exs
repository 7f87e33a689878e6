defmodule HillshadeTest do
  use ExUnit.Case, async: true
  doctest Hillshade

  @sun %{"dx" => 30.0, "dy" => 30.0, "azimuth" => 90.0, "altitude" => 45.0}

  defp tile(rows), do: for(row <- rows, n <- row, into: <<>>, do: <<n::float-little-32>>)
  defp floats(binary), do: for(<<n::float-little-32 <- binary>>, do: n)

  test "a slope of 45 degrees towards the sun is as bright as can be, away from it is dark" do
    falling_east = for _ <- 1..3, do: [60.0, 30.0, 0.0]
    rising_east = for _ <- 1..3, do: [0.0, 30.0, 60.0]
    assert [towards] = falling_east |> tile() |> Hillshade.shade(3, @sun) |> floats()
    assert_in_delta towards, 1.0, 1.0e-6
    assert [+0.0] = rising_east |> tile() |> Hillshade.shade(3, @sun) |> floats()
  end

  test "the first row is the northernmost" do
    falling_north = [[0.0, 0.0, 0.0], [30.0, 30.0, 30.0], [60.0, 60.0, 60.0]]
    sun = %{@sun | "azimuth" => 0.0}
    assert [bright] = falling_north |> tile() |> Hillshade.shade(3, sun) |> floats()
    assert_in_delta bright, 1.0, 1.0e-6
  end

  test "the result is a row and a column smaller on each side" do
    rows = for r <- 1..6, do: for(c <- 1..9, do: r * c * 1.0)
    assert length(floats(Hillshade.shade(tile(rows), 9, @sun))) == 4 * 7
  end
end

defmodule Hillshade do
  @moduledoc """
  How bright the ground is under a low sun: the cosine of the angle between the sun's direction and
  the ground's normal, and 0 where the ground faces away.

  The slope comes from a cell's eight neighbours, after B. K. P. Horn, "Hill shading and the reflectance
  map", Proceedings of the IEEE 69(1), 1981:

      a b c      east  = ((c + 2f + i) - (a + 2d + g)) / 8 dx
      d e f      north = ((a + 2b + c) - (g + 2h + i)) / 8 dy
      g h i

  """

  @doc """
  The brightness, 0 to 1, of all cells but those at the edge, row by row.

  Elevations and brightness are little-endian floats of 32 bits. The first row is the northernmost. `dx`
  and `dy` are a cell's width and height in the unit of the elevations; azimuth, clockwise from north,
  and altitude of the sun are in degrees.

      iex> flat = for _ <- 1..9, into: <<>>, do: <<100.0::float-little-32>>
      iex> sun = %{"dx" => 10.0, "dy" => 10.0, "azimuth" => 315.0, "altitude" => 30.0}
      iex> <<brightness::float-little-32>> = Hillshade.shade(flat, 3, sun)
      iex> Float.round(brightness, 4)
      0.5
  """
  @spec shade(binary, pos_integer, map) :: binary
  def shade(elevations, columns, meta) do
    %{"dx" => dx, "dy" => dy, "azimuth" => azimuth, "altitude" => altitude} = meta
    {azimuth, altitude} = {radians(azimuth), radians(altitude)}

    # The sun's direction, the two horizontal parts divided by what the slopes are to be divided by.
    sun = {
      :math.cos(altitude) * :math.sin(azimuth),
      :math.cos(altitude) * :math.cos(azimuth),
      :math.sin(altitude),
      8 * dx,
      8 * dy
    }

    rows(elevations, 4 * columns, sun, [])
  end

  # Three rows at a time. The binaries are parts of the tile, and nothing is copied.
  defp rows(elevations, stride, sun, done) when byte_size(elevations) >= 3 * stride do
    <<above::binary-size(stride), here::binary-size(stride), below::binary-size(stride),
      _::binary>> = elevations

    <<_::binary-size(stride), next::binary>> = elevations
    rows(next, stride, sun, [done | cells(above, here, below, sun, <<>>)])
  end

  defp rows(_elevations, _stride, _sun, done), do: IO.iodata_to_binary(done)

  defp cells(
         <<a::float-little-32, above::binary>>,
         <<d::float-little-32, here::binary>>,
         <<g::float-little-32, below::binary>>,
         sun,
         done
       ) do
    case {above, here, below} do
      {<<b::float-little-32, c::float-little-32, _::binary>>,
       <<_e::float-little-32, f::float-little-32, _::binary>>,
       <<h::float-little-32, i::float-little-32, _::binary>>} ->
        {sun_east, sun_north, sun_up, dx, dy} = sun
        east = (c + 2 * f + i - (a + 2 * d + g)) / dx
        north = (a + 2 * b + c - (g + 2 * h + i)) / dy

        cosine =
          (sun_up - east * sun_east - north * sun_north) /
            :math.sqrt(1 + east * east + north * north)

        cells(above, here, below, sun, <<done::binary, max(cosine, 0.0)::float-little-32>>)

      _ ->
        done
    end
  end

  defp radians(degrees), do: degrees * :math.pi() / 180
end

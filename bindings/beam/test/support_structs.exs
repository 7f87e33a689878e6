defmodule Slipring.Test.Point do
  @derive {Slipring.Encodable, name: "test.point", version: 2, only: [:x, :y]}
  defstruct x: 0, y: 0, cache: :none
end

defmodule Slipring.Test.Plain do
  @derive Slipring.Encodable
  defstruct [:a, :b]
end

defmodule Slipring.Test.Price do
  @behaviour Slipring.Object
  @derive {Slipring.Encodable, name: "test.price", version: 2}
  defstruct [:cents, :currency]

  @impl true
  def load(1, %{"euros" => euros}), do: %__MODULE__{cents: 100 * euros, currency: "EUR"}
end

defmodule Slipring.Test.Item do
  @behaviour Slipring.Object
  @derive {Slipring.Encodable, name: "test.item", version: 4}
  defstruct cents: 0, currency: "EUR", note: nil

  @impl true
  def migrate(1, %{"euros" => euros}), do: %{"cents" => 100 * euros, "gone" => true}
  def migrate(3, fields), do: Map.update!(fields, "note", &String.upcase/1)
end

defmodule Slipring.Test.Foreign do
  defstruct [:x, :y]
end

defmodule Slipring.Test.Celsius do
  defstruct [:degrees]

  defimpl Slipring.Encodable do
    def encode(celsius), do: {:celsius, celsius.degrees}
  end
end

defmodule Slipring.Test.Nested do
  defstruct [:inner]

  defimpl Slipring.Encodable do
    def encode(nested), do: %{"inner" => nested.inner}
  end
end

defmodule Slipring.Test.Endless do
  defstruct []

  defimpl Slipring.Encodable do
    def encode(endless), do: endless
  end
end

defmodule Slipring.Test.Unknown do
  defstruct [:x]
end

# Stand-ins with the fields and functions that are used of the libraries, and what these refuse of what they are given. Read for it were
# Nx 0.13.1 (`Nx.from_binary/3`, `Nx.to_binary/2`, the fields of `Nx.Tensor`), and Explorer 0.11.1 and what is to be 0.12.0
# (`Explorer.Series.from_binary/3` and `from_list/2`, `Explorer.DataFrame.new/2`, `Explorer.Shared.normalise_dtype/1`): all take the options as
# a last argument that may be left away.
defmodule Nx.Tensor do
  defstruct [:data, :type, :shape, :names, :vectorized_axes]
end

defmodule Nx do
  def to_binary(%Nx.Tensor{data: data}), do: data

  def from_binary("", _type), do: raise(ArgumentError, "cannot build an empty tensor")

  def from_binary(data, {_kind, bits} = type) when rem(bit_size(data), bits) == 0,
    do: %Nx.Tensor{data: data, type: type, shape: {div(bit_size(data), bits)}, names: [nil]}
end

defmodule Explorer.Series do
  defstruct [:data, :dtype, :name]

  @by_data for(k <- [:s, :u], b <- [8, 16, 32, 64], do: {k, b}) ++
             for(b <- [32, 64], do: {:f, b}) ++
             for(
               k <- [:naive_datetime, :duration],
               u <- [:millisecond, :microsecond, :nanosecond],
               do: {k, u}
             ) ++ [:boolean, :date, :time]
  @dtypes @by_data ++ [:null, :binary, :string, :category]

  def from_binary(data, dtype) when is_binary(data) and dtype in @by_data,
    do: %__MODULE__{data: data, dtype: dtype}

  def from_list(list, options \\ []) do
    [dtype: dtype] = Keyword.validate!(options, dtype: nil)
    true = dtype in [nil | @dtypes]
    Enum.each(list, &known!/1)
    %__MODULE__{data: list, dtype: dtype}
  end

  # Structs that it can make an element of.
  defp known!(%{__struct__: of}) when of not in [Date, Time, NaiveDateTime, DateTime, Decimal],
    do: raise(ArgumentError, "unsupported datatype")

  defp known!(_item), do: :ok
end

defmodule Explorer.DataFrame do
  defstruct [:columns]

  def new([{_name, %Explorer.Series{}} | _more] = columns) do
    for {name, %Explorer.Series{}} <- columns, do: true = is_binary(name)
    %__MODULE__{columns: columns}
  end
end

defmodule Slipring.Test.Terms do
  @moduledoc "Terms by chance, the same ones for the same seed."
  import Bitwise

  @doc "A term and the next state; `size` bounds how deep and wide it is."
  def term(state, size) do
    {kind, state} = below(state, if(size > 0, do: 22, else: 14))

    case kind do
      0 -> pick([nil, true, false], state)
      1 -> integer(state)
      2 -> integer(state)
      3 -> float(state)
      4 -> text(state)
      5 -> text(state)
      6 -> bytes(state)
      7 -> pick([:ok, :error, :a, :"grüß dich", :žluť, :"with space", :"", Enum, :nan], state)
      8 -> date(state)
      9 -> time(state)
      10 -> moment(state)
      11 -> decimal(state)
      12 -> range(state)
      13 -> other(state)
      n when n in [14, 15, 16] -> list(state, size)
      17 -> map_state(list(state, size), &List.to_tuple/1)
      18 -> map_state(list(state, size), &MapSet.new/1)
      _ -> map(state, size)
    end
  end

  # The constants of Knuth's MMIX.
  def next(state),
    do: state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407 &&& (1 <<< 64) - 1

  def below(state, limit) do
    state = next(state)
    {rem(state >>> 16, limit), state}
  end

  defp pick(options, state) do
    {at, state} = below(state, length(options))
    {Enum.at(options, at), state}
  end

  defp map_state({term, state}, fun), do: {fun.(term), state}

  defp integer(state) do
    {bits, state} = below(state, 140)
    {low, state} = below(state, 1 <<< 48)
    {sign, state} = below(state, 2)
    n = rem(low * low * low + low, 1 <<< max(bits, 1))
    {if(sign == 0, do: n, else: -n - 1), state}
  end

  defp float(state) do
    state = next(state)

    case <<state::64>> do
      <<x::float>> -> {x, state}
      _ -> {0.5, state}
    end
  end

  defp text(state) do
    {length, state} = below(state, 40)
    letters = ~w(a b z 0 _ ä ß € 😀) ++ [" ", "\n", <<0>>]

    Enum.map_reduce(List.duplicate(0, length), state, fn _, s -> pick(letters, s) end)
    |> map_state(&Enum.join/1)
  end

  defp bytes(state) do
    {length, state} = below(state, 100)

    Enum.map_reduce(List.duplicate(0, length), state, fn _, s -> below(s, 256) end)
    |> map_state(&:binary.list_to_bin/1)
  end

  defp date(state) do
    {days, state} = below(state, 7_304_000)
    {Date.add(~D[-9999-01-02], days), state}
  end

  defp time(state) do
    {us, state} = below(state, 86_400_000_000)
    {precision, state} = below(state, 7)
    cut = div(us, 10 ** (6 - precision)) * 10 ** (6 - precision)
    seconds = div(cut, 1_000_000)

    {Time.new!(div(seconds, 3600), rem(div(seconds, 60), 60), rem(seconds, 60), {
       rem(cut, 1_000_000),
       precision
     }), state}
  end

  defp moment(state) do
    {date, state} = date(state)
    {time, state} = time(state)

    case below(state, 4) do
      {0, state} -> {NaiveDateTime.new!(date, time), state}
      {1, state} -> {DateTime.new!(date, time), state}
      {2, state} -> offset(date, time, state)
      {3, state} -> zoned(date, time, state)
    end
  end

  defp offset(date, time, state) do
    {minutes, state} = below(state, 24 * 60 - 1)
    minutes = minutes + 1
    pad = &String.pad_leading(Integer.to_string(&1), 2, "0")
    name = "-#{pad.(div(minutes, 60))}:#{pad.(rem(minutes, 60))}"
    utc = DateTime.new!(date, time)
    {%{utc | utc_offset: -60 * minutes, time_zone: name, zone_abbr: name}, state}
  end

  defp zoned(date, time, state) do
    {saving, state} = pick([0, 3600, 1800], state)
    utc = DateTime.new!(date, time)
    zone = %{utc_offset: 3600, std_offset: saving, time_zone: "Europe/Berlin", zone_abbr: "CEST"}
    {Map.merge(utc, zone), state}
  end

  defp decimal(state) do
    {coef, state} = integer(state)
    {exp, state} = below(state, 40)

    {%Slipring.Decimal{sign: if(coef < 0, do: -1, else: 1), coef: abs(coef), exp: exp - 20},
     state}
  end

  defp range(state) do
    {first, state} = integer(state)
    {last, state} = integer(state)
    {step, state} = pick([1, -1, 7, -100], state)
    {Range.new(first, last, step), state}
  end

  defp other(state) do
    tensor = Slipring.Tensor.new(<<1, 2, 3, 4, 5, 6, 7, 8>>, {2, 2}, {:s, 16}, byte_order: :big)

    pick(
      [
        %Slipring.UUID{bytes: "0123456789abcdef"},
        %Slipring.Duration{seconds: -5, microseconds: 7},
        %Slipring.Tag{number: 4711, value: ["kept"]},
        %Slipring.Object{name: "other", version: 3, fields: %{"a" => [1]}},
        %Slipring.Test.Point{x: 1, y: [2]},
        tensor,
        Slipring.Tensor.new(:binary.copy(<<7>>, 300), {300}, {:u, 8}),
        Slipring.Tensor.new(<<1, 0>>, {2}, {:bool, 8})
      ],
      state
    )
  end

  defp list(state, size) do
    {length, state} = below(state, 5)
    Enum.map_reduce(List.duplicate(0, length), state, fn _, s -> term(s, size - 1) end)
  end

  defp map(state, size) do
    {length, state} = pick([0, 1, 3, 6, 40], state)

    Enum.map_reduce(1..length//1, state, fn n, s ->
      {key, s} = if rem(n, 3) == 0, do: term(s, 0), else: text(s)
      {value, s} = term(s, size - 1)
      {{key, value}, s}
    end)
    |> map_state(&Map.new/1)
  end
end

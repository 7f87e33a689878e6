defmodule Slipring.Text do
  @moduledoc """
  A binary that goes as text. Where it is not UTF-8 it is refused.

  Binaries within values go as text where they are UTF-8, and as bytes else. This and `Slipring.Bytes`
  say which; either arrives as a binary.

      iex> Slipring.encode!(["ab", %Slipring.Text{data: "ab"}, %Slipring.Bytes{data: "ab"}])
      <<0x83, 0x62, "ab", 0x62, "ab", 0x42, "ab">>
  """

  @type t :: %__MODULE__{data: String.t()}
  @enforce_keys [:data]
  defstruct [:data]
end

defmodule Slipring.Bytes do
  @moduledoc "A binary that goes as bytes, also where it is UTF-8. See `Slipring.Text`."

  @type t :: %__MODULE__{data: binary}
  @enforce_keys [:data]
  defstruct [:data]
end

defmodule Slipring.Decimal do
  @moduledoc """
  A decimal number as it arrives where the library Decimal is not there, with the fields of its struct:
  `sign * coef * 10 ** exp`. `coef` is `:NaN` or `:inf` for what is no number.
  """

  @type t :: %__MODULE__{sign: 1 | -1, coef: non_neg_integer | :NaN | :inf, exp: integer}
  defstruct sign: 1, coef: 0, exp: 0
end

defmodule Slipring.Duration do
  @moduledoc """
  A length of time, Python's `timedelta`. The two numbers add up, and may each be negative.
  """

  @type t :: %__MODULE__{seconds: integer, microseconds: integer}
  defstruct seconds: 0, microseconds: 0
end

defmodule Slipring.UUID do
  @moduledoc """
  A UUID: 16 bytes.

      iex> uuid = Slipring.UUID.new!("00112233-4455-6677-8899-AABBCCDDEEFF")
      iex> to_string(uuid)
      "00112233-4455-6677-8899-aabbccddeeff"
      iex> Slipring.decode!(Slipring.encode!(uuid)) == uuid
      true
  """

  @type t :: %__MODULE__{bytes: <<_::128>>}
  @enforce_keys [:bytes]
  defstruct [:bytes]

  @doc "Of its text. Raises an `ArgumentError` if it is none."
  @spec new!(String.t()) :: t
  def new!(<<a::binary-8, ?-, b::binary-4, ?-, c::binary-4, ?-, d::binary-4, ?-, e::binary-12>>) do
    case Base.decode16(a <> b <> c <> d <> e, case: :mixed) do
      {:ok, bytes} -> %__MODULE__{bytes: bytes}
      :error -> none!(Enum.join([a, b, c, d, e], "-"))
    end
  end

  def new!(other), do: none!(other)

  @spec none!(term) :: no_return
  defp none!(text) do
    raise ArgumentError,
          "a UUID is written as 32 hexadecimal digits with dashes, not #{inspect(text)}"
  end

  defimpl String.Chars do
    def to_string(%{bytes: <<a::32, b::16, c::16, d::16, e::48>>}) do
      [{a, 8}, {b, 4}, {c, 4}, {d, 4}, {e, 12}]
      |> Enum.map_join("-", fn {n, digits} ->
        n |> Integer.to_string(16) |> String.downcase() |> String.pad_leading(digits, "0")
      end)
    end
  end

  defimpl Inspect do
    def inspect(%{bytes: <<_::128>>} = uuid, _options), do: "#Slipring.UUID<#{uuid}>"
    def inspect(other, options), do: Inspect.Any.inspect(other, options)
  end
end

defmodule Slipring.Tag do
  @moduledoc """
  An item with a tag of CBOR that has no type here: ratios, complex numbers, whatever another sender
  has. It goes on as it came.

      iex> Slipring.decode!(<<0xD8, 30, 0x82, 1, 3>>)
      %Slipring.Tag{number: 30, value: [1, 3]}
  """

  @type t :: %__MODULE__{number: non_neg_integer, value: term}
  @enforce_keys [:number, :value]
  defstruct [:number, :value]
end

defmodule Slipring.Object do
  @moduledoc """
  An object whose name is not registered here: its name, the version of its type, and its fields, a map
  with binaries as keys. It goes on as it came. See `Slipring.Encodable` for names that are registered.

  ## Other versions

  A module with a registered struct may read the other versions of it, as this behaviour:

      defmodule Shop.Price do
        @behaviour Slipring.Object
        @derive {Slipring.Encodable, name: "shop.price", version: 2}
        defstruct [:cents, :currency]

        @impl true
        def load(1, %{"euros" => euros}), do: %__MODULE__{cents: 100 * euros, currency: "EUR"}
      end

  Or it says only what is different from one version to the next. What is older goes through all steps from its
  own version on, and what comes out becomes the struct, by the names of the fields:

      defmodule Shop.Item do
        @behaviour Slipring.Object
        @derive {Slipring.Encodable, name: "shop.item", version: 3}
        defstruct [:cents, :currency]

        @impl true
        def migrate(1, %{"euros" => euros}), do: %{"cents" => 100 * euros}
        def migrate(2, fields), do: Map.put(fields, "currency", "EUR")
      end

  A step that is missing is an error with the reason `:schema`, which names it. For structs of others
  `Slipring.register/2` takes such functions.

  Without either, an older version gives its struct what fields it has, by their names, and a newer version
  stays a `Slipring.Object`.
  """

  @type t :: %__MODULE__{name: String.t(), version: non_neg_integer, fields: term}
  @enforce_keys [:name, :version, :fields]
  defstruct [:name, :version, :fields]

  @doc "The struct, of an object of another version."
  @callback load(version :: non_neg_integer, fields :: term) :: struct

  @doc "The fields as the next version has them, of those of a version."
  @callback migrate(version :: non_neg_integer, fields :: term) :: term

  @optional_callbacks load: 2, migrate: 2
end

defmodule Slipring.Prepared do
  @moduledoc false
  # A term to be sent, with what its structs have become.
  @enforce_keys [:value, :prepared]
  defstruct [:value, :prepared]
end

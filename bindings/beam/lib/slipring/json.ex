defmodule Slipring.JSON do
  @moduledoc """
  JSON (RFC 8259), strict: what `Slipring.send/3` sends with `format: :json`, without a ring.

      iex> Slipring.JSON.encode!(%{"id" => 7, "at" => [1.5, nil], "name" => "é"})
      ~s({"at":[1.5,null],"id":7,"name":"é"})
      iex> Slipring.JSON.decode!(~s({"id": 12345678901234567890123}))
      %{"id" => 12345678901234567890123}

  An error says where it is and what to do:

      iex> {:error, error} = Slipring.JSON.decode(~s({"users": [{"photo": nul}]}))
      iex> {error.line, error.column, error.path}
      {1, 22, "$.users[0].photo"}
  """

  alias Slipring.{Error, Value}

  defmodule Raw do
    @moduledoc """
    Text that is JSON already: it is written as it is, wherever it stands, and sent as a JSON frame. It must be UTF-8;
    whether it is JSON is for who reads it.

        iex> Slipring.JSON.encode!([1, %Slipring.JSON.Raw{data: ~s({"id": 7})}])
        ~s([1,{"id": 7}])
    """

    @type t :: %__MODULE__{data: String.t()}
    @enforce_keys [:data]
    defstruct [:data]
  end

  @doc """
  A term as JSON.

  Written are `nil`, booleans, integers of up to a million digits, floats in the fewest digits that give them back, binaries that are UTF-8,
  other atoms as text, lists, maps whose keys are binaries or atoms, decimals (exactly), dates and times (RFC 3339),
  `Slipring.UUID`, `Slipring.Text`, `Slipring.JSON.Raw`, and of structs with `Slipring.Encodable` and `Slipring.Object` the
  fields. Anything else (tuples, sets, other binaries) is an error with its path.

  The BEAM's floats are always numbers. NaN and the infinities, which JSON does not have, come from elsewhere as the atoms `:nan`,
  `:infinity` and `:neg_infinity`. What becomes of these says `:nan`:

    * `:text`, the default - text, as of other atoms: `"nan"`. So does `Slipring.send/3` with `format: :json`
    * `:null` - `null`
    * `:error` - an error with the path
    * `:constants` - `NaN`, `Infinity` and `-Infinity`, which are no JSON, though some read them, `decode/2` with `nan: :atoms` too

  As keys they are text in any case.

      iex> Slipring.JSON.encode!([1.5, :nan], nan: :null)
      "[1.5,null]"
  """
  @spec encode(term, keyword) :: {:ok, String.t()} | {:error, Error.t()}
  def encode(term, options \\ []), do: Value.json_encode(term, options)

  @doc """
  The term that JSON says: maps have binaries as keys, and of a key that stands twice the last value stays.

  Options:

    * `:keys` - `:strings`, the default, or `:existing_atoms`, where there is such an atom
    * `:floats` - what numbers with a point or an exponent become: `:floats`, the default, or `:decimals`, which keep all
      their digits (`Decimal` where that library is loaded, else `Slipring.Decimal`)
    * `:nan` - `NaN`, `Infinity` and `-Infinity` are no JSON, and numbers such as `1e400` no floats: `:error`, the default,
      refuses them, and `:atoms` makes `:nan`, `:infinity` and `:neg_infinity` of them

  The same holds for `Slipring.Frame.value/2` of a JSON frame.

      iex> Slipring.JSON.decode!("[NaN, -1e400]", nan: :atoms)
      [:nan, :neg_infinity]
  """
  @spec decode(binary, keyword) :: {:ok, term} | {:error, Error.t()}
  def decode(text, options \\ [])
  def decode(text, options) when is_binary(text), do: Value.json_decode(text, options)

  def decode(other, _options),
    do: raise(ArgumentError, "Slipring.JSON.decode/2 takes a binary, not #{inspect(other)}")

  @doc "As `encode/2`, or raises."
  @spec encode!(term, keyword) :: String.t()
  def encode!(term, options \\ []), do: bang(encode(term, options))

  @doc "As `decode/2`, or raises."
  @spec decode!(binary, keyword) :: term
  def decode!(text, options \\ []), do: bang(decode(text, options))

  defp bang({:ok, done}), do: done
  defp bang({:error, error}), do: raise(error)
end

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
  """
  @spec encode(term) :: {:ok, String.t()} | {:error, Error.t()}
  def encode(term), do: Value.json_encode(term)

  @doc """
  The term that JSON says: maps have binaries as keys, and of a key that stands twice the last value stays.

  Options:

    * `:keys` - `:strings`, the default, or `:existing_atoms`, where there is such an atom
    * `:floats` - what numbers with a point or an exponent become: `:floats`, the default, or `:decimals`, which keep all
      their digits (`Decimal` where that library is loaded, else `Slipring.Decimal`)
  """
  @spec decode(binary, keyword) :: {:ok, term} | {:error, Error.t()}
  def decode(text, options \\ []) when is_binary(text), do: Value.json_decode(text, options)

  @doc "As `encode/1`, or raises."
  @spec encode!(term) :: String.t()
  def encode!(term), do: bang(encode(term))

  @doc "As `decode/2`, or raises."
  @spec decode!(binary, keyword) :: term
  def decode!(text, options \\ []), do: bang(decode(text, options))

  defp bang({:ok, done}), do: done
  defp bang({:error, error}), do: raise(error)
end

defmodule Slipring.Value do
  @moduledoc false
  # Values to bytes and back, with what the native part leaves to Elixir.

  import Bitwise

  alias Slipring.{Error, Lossy, Native, Options, Structs}

  @encode [binaries: {:auto, &Options.binaries/1}]
  @decode [
    keys: {:strings, &Options.keys/1},
    nan: {nil, &Options.nan/1},
    uuid: {:struct, &Options.uuid/1},
    floats: {:floats, &Options.floats/1},
    structs: {true, &Options.boolean/1}
  ]

  # As bits, for the native part.
  def decode_options([]), do: 0

  def decode_options(options) do
    options = Options.check!(options, @decode)

    bit(options.keys == :existing_atoms, 1) ||| bit(options.nan == :error, 2) |||
      bit(options.uuid == :string, 4) ||| bit(not options.structs, 8) |||
      bit(options.floats == :decimals, 16) ||| bit(options.nan == :atoms, 32)
  end

  defp bit(true, bit), do: bit
  defp bit(false, _bit), do: 0

  # By the notes of the native part.
  @unknown 1 <<< 16
  @load 1 <<< 17

  def encode(term, options) do
    bytes? = options != [] and Options.check!(options, @encode).binaries == :bytes
    encode(term, bytes?, [])
  end

  defp encode(term, bytes?, prepared) do
    registry = Structs.registry()

    answer =
      with :large <- Native.encode(term, bytes?, registry, prepared),
           do: Native.encode_large(term, bytes?, registry, prepared)

    case answer do
      bytes when is_binary(bytes) -> {:ok, bytes}
      {:need, met} -> encode(term, bytes?, Structs.prepare(met, prepared))
      {:error, fault} -> {:error, Error.new(fault, :encode, nil)}
    end
  end

  # How the native part names what becomes of the atoms that stand for NaN and the infinities.
  @json_nan %{text: 0, null: 1, constants: 2, error: 3}

  def json_encode(term, []), do: json_encode(term, 0, [])

  def json_encode(term, options) do
    options = Options.check!(options, nan: {:text, &Options.json_nan/1})
    json_encode(term, Map.fetch!(@json_nan, options.nan), [])
  end

  defp json_encode(term, nan, prepared) do
    registry = Structs.registry()

    answer =
      with :large <- Native.json_encode(term, nan, registry, prepared),
           do: Native.json_encode_large(term, nan, registry, prepared)

    case answer do
      text when is_binary(text) -> {:ok, text}
      {:need, met} -> json_encode(term, nan, Structs.prepare(met, prepared))
      {:error, fault} -> {:error, Error.new(fault, :encode, nil)}
    end
  end

  def json_decode(text, options) do
    bits = decode_options(options)
    read(:decode, &Native.json_decode(text, bits, &1), &Native.json_decode_large(text, bits, &1))
  end

  def decode(bytes, options) do
    bits = decode_options(options)
    read(:decode, &Native.decode(bytes, bits, &1), &Native.decode_large(bytes, bits, &1))
  end

  # `read` and `read_large` are given what structs are made of. Gives `{:ok, term}` or an error.
  def read(operation, read, read_large) do
    case attempt(read, read_large) do
      # A term may be the atom :error.
      {:error, fault} when is_tuple(fault) -> {:error, Error.new(fault, operation, nil)}
      {term, 0} -> {:ok, term}
      {term, notes} -> finish(operation, term, notes, read, read_large)
    end
  end

  defp attempt(read, read_large) do
    forms = Structs.forms()
    with :large <- read.(forms), do: read_large.(forms)
  end

  defp finish(operation, term, notes, read, read_large) do
    # Names that were looked for before are known by now, if they can be.
    if (notes &&& @unknown) != 0 and Structs.discover() do
      read(operation, read, read_large)
    else
      Lossy.warn(notes)
      if (notes &&& @load) != 0, do: load(operation, term), else: {:ok, term}
    end
  end

  defp load(operation, term) do
    {:ok, Structs.load(term)}
  rescue
    error in Error ->
      {:error, %{error | operation: operation}}

    error ->
      hint = "make load/2 of its module read that version"
      message = "an object could not be loaded: #{Exception.message(error)}; #{hint}"
      {:error, Error.new({:decode, message, "$", nil, nil, hint, nil}, operation, nil)}
  end
end

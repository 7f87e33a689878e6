defmodule Slipring.Options do
  @moduledoc false
  # Options are checked before anything is done, and unknown ones are named.

  @units %{b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3}

  # What fits in the native part's numbers.
  @most 2 ** 63 - 1

  # `schema` is a keyword list of `{default, check}`, where `check` gives `{:ok, value}` or
  # `{:error, expected}`. Gives a map.
  def check!(options, schema) do
    unless Keyword.keyword?(options) do
      raise ArgumentError, "options are a keyword list, not #{inspect(options)}"
    end

    allowed = Keyword.keys(schema)

    case Keyword.keys(options) -- allowed do
      [] ->
        Map.new(schema, fn {key, {default, check}} ->
          {key, one!(key, Keyword.fetch(options, key), default, check)}
        end)

      unknown ->
        raise ArgumentError,
              "unknown options #{inspect(Enum.uniq(unknown))}; there are: #{inspect(allowed)}"
    end
  end

  defp one!(_key, :error, default, _check), do: default

  defp one!(key, {:ok, value}, _default, check) do
    case check.(value) do
      {:ok, value} ->
        value

      {:error, expected} ->
        raise ArgumentError,
              "option #{inspect(key)} is #{inspect(value)}, but must be #{expected}"
    end
  end

  def any(value), do: {:ok, value}

  def boolean(value) when is_boolean(value), do: {:ok, value}
  def boolean(_value), do: {:error, "true or false"}

  def mode(mode) when mode in [:spsc, :mpsc, :spmc, :mpmc], do: {:ok, Atom.to_string(mode)}
  def mode(_value), do: {:error, ":spsc, :mpsc, :spmc or :mpmc"}

  def byte(value) when value in 0..255, do: {:ok, value}
  def byte(_value), do: {:error, "a number from 0 to 255"}

  def schemas(value) when value in 0..4096, do: {:ok, value}
  def schemas(_value), do: {:error, "a number from 0 to 4096"}

  def count(value) when value in 0..@most, do: {:ok, value}
  def count(_value), do: {:error, "a number of at least 0 and below 2^63"}

  def bytes({count, unit}) when is_integer(count) and is_map_key(@units, unit),
    do: bytes(count * @units[unit])

  def bytes(count) when count in 0..@most, do: {:ok, count}

  def bytes(_value),
    do: {:error, "bytes below 2^63, or {n, unit} with :b, :kib, :mib or :gib"}

  def timeout(:infinity), do: {:ok, :infinity}
  # The BEAM's timers go no further.
  def timeout(ms) when is_integer(ms) and ms in 0..0xFFFFFFFF, do: {:ok, ms}
  def timeout(_value), do: {:error, "milliseconds up to 2^32 - 1, 0 not to wait, or :infinity"}

  # Of an argument that is no option.
  def timeout!(value) do
    case timeout(value) do
      {:ok, timeout} ->
        timeout

      {:error, expected} ->
        raise ArgumentError, "timeout is #{inspect(value)}, but must be #{expected}"
    end
  end

  def meta(nil), do: {:ok, nil}
  def meta(meta) when is_map(meta) and not is_struct(meta), do: {:ok, meta}
  def meta(_value), do: {:error, "a map"}

  def format(format) when format in [:auto, :value, :json, :arrow], do: {:ok, format}
  def format(_value), do: {:error, ":auto, :value, :json or :arrow"}

  def version(version) when version in 1..65535, do: {:ok, version}
  def version(_value), do: {:error, "a version, from 1 to 65535"}

  # Functions, by the version that each starts from.
  def migrations(migrations) do
    good? = fn {from, migrate} -> from in 1..65535 and is_function(migrate, 1) end

    if is_map(migrations) and not is_struct(migrations) and Enum.all?(migrations, good?),
      do: {:ok, migrations},
      else:
        {:error,
         "a map of functions from a table to one, each by the version that it starts from"}
  end

  # By number, name and version, or by name alone.
  def schema(nil), do: {:ok, nil}
  def schema(name) when is_binary(name), do: {:ok, name}

  def schema(%{id: id, name: name, version: version})
      when id in 0..0xFFFFFFFF and is_binary(name) and version in 0..65535,
      do: {:ok, {id, name, version}}

  def schema(_value),
    do: {:error, "a schema, as Slipring.announce/4 or Slipring.schemas/1 gives it, or its name"}

  def binaries(binaries) when binaries in [:auto, :bytes], do: {:ok, binaries}
  def binaries(_value), do: {:error, ":auto or :bytes"}

  def keys(keys) when keys in [:strings, :existing_atoms], do: {:ok, keys}
  def keys(_value), do: {:error, ":strings or :existing_atoms"}

  def nan(nan) when nan in [:atoms, :error], do: {:ok, nan}
  def nan(_value), do: {:error, ":atoms or :error"}

  def json_nan(nan) when nan in [:text, :null, :constants, :error], do: {:ok, nan}
  def json_nan(_value), do: {:error, ":text, :null, :constants or :error"}

  def floats(floats) when floats in [:floats, :decimals], do: {:ok, floats}
  def floats(_value), do: {:error, ":floats or :decimals"}

  def uuid(uuid) when uuid in [:struct, :string], do: {:ok, uuid}
  def uuid(_value), do: {:error, ":struct or :string"}

  def lease(policy) when policy in [:auto, :always, :never], do: {:ok, policy}
  def lease(_value), do: {:error, ":auto, :always or :never"}

  def ack(ack) when ack in [:auto, :manual], do: {:ok, ack}
  def ack(_value), do: {:error, ":auto or :manual"}

  def limit(value) when value in 1..0xFFFFFFFF, do: {:ok, value}
  def limit(_value), do: {:error, "a number of frames from 1 to 2^32 - 1"}

  def active(mode) when mode in [true, false, :once, :notify], do: {:ok, mode}
  def active(count) when is_integer(count) and count in -32768..32767, do: {:ok, count}

  def active(_value),
    do: {:error, "false, true, :once, :notify, or a number of frames from -32768 to 32767"}
end

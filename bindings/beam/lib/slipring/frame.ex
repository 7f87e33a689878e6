defmodule Slipring.Frame do
  @moduledoc """
  A frame that was received.

    * `format` - `:raw`, `:ndarray`, `:arrow`, `:value`, `:json`, or another that this version can't decode
    * `meta` - the sender's metadata, a map with binaries as keys, or `nil`
    * `sequence` - the frame's number with its producer
    * `producer` - the number of that producer, which no other of the ring ever has
    * `timestamp` - when it was sent, in nanoseconds since 1970
    * `redeliveries` - how often it was delivered before, and not acknowledged
    * `stream` - of tables `:first`, `:last` or `:only`, where a stream begins or ends with it; see `Slipring.Table.stream/2`

  What was sent comes from `value/1`.

  A small frame was copied out of the ring when it was received. A large one is *leased*: its value, or
  what is large of it, lies in the segment, and its memory is free for other frames when the value, all parts of it and
  the frame are garbage, or after `release/1`. A process that keeps frames for long, or that seldom
  collects its garbage, should release them. The consumer's option `:lease` says which are leased.

  ## Acknowledgement

  A frame from a consumer with `ack: :manual` is delivered again, to whichever consumer of the ring,
  unless somebody calls `ack/1` first. It goes back by `nack/1`, by `release/1` before `ack/1`, when it
  is garbage, and at once when its consumer is closed or its consumer's owner ends, wherever the frame
  is by then. A leased one whose value somebody still has goes back when that is garbage.
  """

  import Bitwise

  alias Slipring.{Error, Native, Structs, Table, Tensor, Value}

  @type t :: %__MODULE__{
          format: atom,
          meta: %{String.t() => term} | nil,
          sequence: non_neg_integer,
          producer: non_neg_integer,
          timestamp: non_neg_integer,
          redeliveries: 0..255,
          stream: :first | :last | :only | nil,
          content: term,
          lease: reference | nil
        }

  @derive {Inspect, only: [:format, :meta, :sequence, :timestamp, :redeliveries]}
  defstruct [
    :format,
    :meta,
    :sequence,
    :producer,
    :timestamp,
    :stream,
    :content,
    :lease,
    redeliveries: 0
  ]

  @doc """
  What was sent: a binary, a `Slipring.Tensor`, a `Slipring.Table`, or any other term.

  Of a leased frame, binaries lie in the segment and keep it: those that were sent as they are, and of
  other terms the large ones, the data of tensors, and the columns of tables.

  Terms that are none of these are decoded each time, as the options say:

    * `:keys` - keys of maps that are text: `:strings`, the default, or `:existing_atoms`, where there is
      such an atom
    * `:nan` - what becomes of floats that the BEAM can't hold: `:atoms`, the default, for `:nan`,
      `:infinity` and `:neg_infinity`, or `:error`. JSON has none: there `:error` is the default, and `:atoms` reads what is none
    * `:uuid` - `:struct`, the default, for `Slipring.UUID`, or `:string`
    * `:floats` - of JSON, what numbers with a point or an exponent become: `:floats`, the default, or `:decimals`, which keep
      all their digits (`Decimal` where that library is loaded, else `Slipring.Decimal`)
    * `:structs` - whether objects of registered names become structs; default true. Else they are a
      `Slipring.Object`

  A table of a schema that its consumer expects is read as that, see `Slipring.expect/4`.

  Raises a `Slipring.Error` if the frame can't be decoded (`:decode`, `:untrusted_pickle`), or not as what is expected (`:schema`),
  or is leased and was released (`:released`) or given back (`:given_back`).

      iex> ring = Slipring.create!("frame-value-doc")
      iex> tx = Slipring.producer!(ring)
      iex> {:ok, 2} = Slipring.send_many(tx, ["hello", %{"id" => 1, now: ~T[10:46:28.5]}])
      iex> {:ok, [hello, map]} = Slipring.recv_many(Slipring.consumer!(ring), 2)
      iex> Slipring.Frame.value(hello)
      "hello"
      iex> Slipring.Frame.value(map)
      %{"id" => 1, now: ~T[10:46:28.5]}
      iex> Slipring.Frame.value(map, keys: :existing_atoms)
      %{id: 1, now: ~T[10:46:28.5]}
  """
  @spec value(t, keyword) :: term
  def value(frame, options \\ [])

  def value(%__MODULE__{format: format, content: nil, lease: lease}, options)
      when format in [:value, :json] do
    bits = Value.decode_options(options)

    :value
    |> Value.read(
      &Native.decode_lease(lease, bits, &1),
      &Native.decode_lease_large(lease, bits, &1)
    )
    |> bang()
  end

  def value(%__MODULE__{format: format, content: {_flags, _type, _body} = content}, options)
      when format in [:value, :json] do
    {bits, code} = {Value.decode_options(options), code(format)}

    :value
    |> Value.read(
      &Native.decode_frame(code, content, bits, &1),
      &Native.decode_frame_large(code, content, bits, &1)
    )
    |> bang()
  end

  def value(%__MODULE__{format: :arrow} = frame, options) do
    Value.decode_options(options)
    frame |> table() |> Table.value(options)
  end

  def value(%__MODULE__{content: content, lease: lease}, options) do
    Value.decode_options(options)
    present(content || Native.content(lease, true))
  end

  def value(other, _options), do: wrong!("value/2", other)

  # As the frame's header has it.
  defp code(:value), do: 1
  defp code(:json), do: 5

  defp bang({:ok, term}), do: term
  defp bang({:error, error}), do: raise(error)

  @doc """
  The table of a frame of the format `:arrow`: what `value/2` gives, unless that is records or a column, which travel as tables too.

      iex> ring = Slipring.create!("frame-table-doc")
      iex> :ok = Slipring.send(Slipring.producer!(ring), for(n <- 1..1000, do: %{"n" => n}))
      iex> {:ok, frame} = Slipring.recv(Slipring.consumer!(ring))
      iex> {length(Slipring.Frame.value(frame)), Slipring.Frame.table(frame).rows}
      {1000, 1000}
  """
  @spec table(t) :: Table.t()
  def table(%__MODULE__{format: :arrow} = frame), do: read(frame, false)

  def table(%__MODULE__{format: format}) do
    raise ArgumentError, "a frame of the format #{inspect(format)} holds no table"
  end

  def table(other), do: wrong!("table/1", other)

  defp read(%{content: {:error, fault}}, _as_written?), do: raise(Error.new(fault, :table, nil))

  defp read(%{content: nil, lease: lease}, as_written?) do
    Table.read(
      fn -> Native.table_lease(lease, as_written?) end,
      fn -> Native.table_lease_large(lease, as_written?) end
    )
  end

  defp read(%{content: content}, as_written?) do
    content = if as_written?, do: as_written(content), else: content
    Table.read(fn -> Native.table(content) end, fn -> Native.table_large(content) end)
  end

  defp as_written({flags, type, body, schema, _route}), do: {flags, type, body, schema, nil}
  defp as_written(content), do: content

  @doc """
  What the frame holds, without decoding it: a map with `:format`, and

    * `:kind` - `:bytes`, `:tensor`, `:table`, and of values also `nil`, `:boolean`, `:integer`, `:float`, `:text`, `:atom`, `:list`,
      `:tuple`, `:map`, `:set`, `:range`, `:date`, `:time`, `:naive_datetime`, `:datetime`, `:duration`, `:decimal`,
      `:uuid`, `:object`, `:tag`, `:element`, `:pickle`
    * `:length` - of bytes, text and JSON in bytes, of lists, tuples, sets and maps in items
    * `:keys` - of maps and objects, up to 64 of them
    * `:shape`, `:type`, `:order`, `:byte_order` - of tensors
    * `:rows`, `:columns` - of tables as they were written, whatever is expected, the second as `{name, type, nullable}` each:
      `nullable` says whether the column may have nulls
    * `:name`, `:version` - of objects; `:number` of tags
    * `:buffers` - of values, how many pieces lie out of line

  Of a format that this version can't decode there is the format alone.

      iex> ring = Slipring.create!("describe-doc")
      iex> :ok = Slipring.send(Slipring.producer!(ring), %{"id" => 1, "tags" => ["a", "b"]})
      iex> {:ok, frame} = Slipring.recv(Slipring.consumer!(ring))
      iex> Slipring.Frame.describe(frame)
      %{format: :value, kind: :map, length: 2, keys: ["id", "tags"], buffers: 0}

      iex> ring = Slipring.create!("describe-table-doc")
      iex> :ok = Slipring.send(Slipring.producer!(ring), Slipring.Table.new(id: [1, 2], name: ["a", nil]))
      iex> Slipring.consumer!(ring) |> Slipring.recv!() |> Slipring.Frame.describe()
      %{format: :arrow, kind: :table, rows: 2, columns: [{"id", {:s, 64}, true}, {"name", :string, true}]}
  """
  @spec describe(t) :: map
  def describe(%__MODULE__{format: :arrow} = frame) do
    table = read(frame, true)
    columns = for field <- table.fields, do: {field.name, field.type, field.nullable}
    %{format: :arrow, kind: :table, rows: table.rows, columns: columns}
  end

  def describe(%__MODULE__{format: format}) when format not in [:raw, :ndarray, :value, :json],
    do: %{format: format}

  def describe(%__MODULE__{format: format, content: nil, lease: lease}),
    do: described(format, Native.describe_lease(lease, Structs.forms()))

  def describe(%__MODULE__{content: {:error, fault}}), do: raise(Error.new(fault, :describe, nil))

  def describe(%__MODULE__{format: :raw, content: content}),
    do: %{format: :raw, kind: :bytes, length: byte_size(content)}

  def describe(%__MODULE__{format: :ndarray, content: content}) do
    facts = content |> present() |> Map.take([:shape, :type, :order, :byte_order])
    Map.merge(%{format: :ndarray, kind: :tensor}, facts)
  end

  def describe(%__MODULE__{format: format, content: content}) when format in [:value, :json],
    do: described(format, Native.describe_frame(code(format), content, Structs.forms()))

  def describe(other), do: wrong!("describe/1", other)

  defp described(_format, {:error, fault}), do: raise(Error.new(fault, :describe, nil))
  defp described(format, facts), do: Map.put(facts, :format, format)

  @doc """
  Acknowledges the frame: it is not delivered again. Its value stays.

  `:ok` also the second time, and where frames are acknowledged as they are taken. `:given_back` if the
  frame was given back before, or its consumer is closed.

      iex> ring = Slipring.create!("ack-doc")
      iex> Slipring.send!(Slipring.producer!(ring), "job")
      iex> rx = Slipring.consumer!(ring, ack: :manual)
      iex> Slipring.Frame.nack(Slipring.recv!(rx))
      :ok
      iex> frame = Slipring.recv!(rx)
      iex> {Slipring.Frame.value(frame), frame.redeliveries}
      {"job", 1}
      iex> Slipring.Frame.ack(frame)
      :ok
  """
  @spec ack(t) :: :ok | {:error, Error.t()}
  def ack(%__MODULE__{lease: nil}), do: :ok
  def ack(%__MODULE__{lease: lease}), do: settled(Native.ack(lease), :ack)
  def ack(other), do: wrong!("ack/1", other)

  @doc """
  Gives the frame back, to be delivered again. A leased one can't be read from then on.

  `:ok` also the second time. `:acknowledged` if it was acknowledged, as it is where it is taken with
  `ack: :auto`.
  """
  @spec nack(t) :: :ok | {:error, Error.t()}
  def nack(%__MODULE__{lease: nil}) do
    message = "the frame was acknowledged as it was taken, and can't be given back"
    hint = "take it with ack: :manual"
    {:error, Error.new({:acknowledged, message, nil, nil, nil, hint, nil}, :nack, nil)}
  end

  def nack(%__MODULE__{lease: lease}), do: settled(Native.nack(lease), :nack)

  def nack(other), do: wrong!("nack/1", other)

  defp settled(:ok, _operation), do: :ok
  defp settled({:error, fault}, operation), do: {:error, Error.new(fault, operation, nil)}

  @doc """
  Gives the memory of a leased frame back; and the frame, if it was to be acknowledged and was not.

    * `:ok` - at once; a frame that was copied has no memory to give back
    * `:deferred` - as soon as the binaries that were made of its value are garbage. Memory is never
      taken from under a binary.
    * `{:error, error}` - it was released before
  """
  @spec release(t) :: :ok | :deferred | {:error, Error.t()}
  def release(%__MODULE__{lease: nil}), do: :ok

  def release(%__MODULE__{lease: lease}) do
    with {:error, _} = error <- Native.release(lease), do: settled(error, :release)
  end

  def release(other), do: wrong!("release/1", other)

  @doc """
  Whether the value lies in the segment itself, by the address of its bytes; of a term that is decoded,
  whether it is decoded from there.
  """
  @spec in_place?(t) :: boolean
  def in_place?(%__MODULE__{content: content}) when content != nil, do: false

  def in_place?(%__MODULE__{lease: lease}) do
    bytes =
      case present(Native.content(lease, false)) do
        %Tensor{data: data} -> data
        {_flags, _type, body} -> body
        data -> data
      end

    case Native.in_place(lease, bytes) do
      {:error, fault} -> raise Error.new(fault, :in_place?, nil)
      inside? -> inside?
    end
  end

  @doc false
  # What the native part makes frames like. A sequence that the compiler does not know makes it a map of its own.
  def blank(sequence), do: %__MODULE__{sequence: sequence}

  @doc false
  # From what the native part tells. What takes too long for a normal scheduler was left to be done now.
  def new(%__MODULE__{} = frame), do: frame

  def new({format, nil, nil, sequence, timestamp, redeliveries, {later, lease}, stream}) do
    {content, meta, lease} =
      case later do
        :copy -> Native.copy_out(lease)
        :meta -> Native.read_meta(lease)
      end

    new({format, content, meta, sequence, timestamp, redeliveries, lease, stream})
  end

  # Metadata with more than plain values in it.
  def new({format, content, {:cbor, bytes}, sequence, timestamp, redeliveries, lease, stream}) do
    {content, meta} =
      case Value.decode(bytes, []) do
        {:ok, meta} -> {content, meta}
        {:error, error} -> {{:error, Error.fault(error, "$.meta")}, nil}
      end

    new({format, content, meta, sequence, timestamp, redeliveries, lease, stream})
  end

  def new({format, content, meta, sequence, timestamp, redeliveries, lease, stream}) do
    %__MODULE__{
      format: format,
      content: content,
      meta: meta,
      sequence: sequence,
      producer: stream >>> 2,
      timestamp: timestamp,
      redeliveries: redeliveries,
      lease: lease,
      stream: elem({nil, :first, :last, :only}, stream &&& 3)
    }
  end

  defp present(content) when is_binary(content), do: content

  defp present({data, shape, type, order, byte_order}) do
    %Tensor{data: data, shape: shape, type: type, order: order, byte_order: byte_order}
  end

  defp present({_flags, _type, _body} = value), do: value
  defp present({:error, fault}), do: raise(Error.new(fault, :value, nil))

  defp wrong!(call, other) do
    raise ArgumentError,
          "Slipring.Frame.#{call} takes a Slipring.Frame, as recv gives it in {:ok, frame}, " <>
            "not #{inspect(other)}"
  end
end

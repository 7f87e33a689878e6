defmodule Slipring.Frame do
  @moduledoc """
  A frame that was received.

    * `format` - `:raw`, `:ndarray`, or another that this version can't decode
    * `meta` - the sender's metadata, a map with binaries as keys, or `nil`
    * `sequence` - the frame's number with its producer
    * `timestamp` - when it was sent, in nanoseconds since 1970

  What was sent comes from `value/1`.

  A small frame was copied out of the ring when it was received. A large one is *leased*: its value
  lies in the segment, and its memory is free for other frames when the value, all parts of it and
  the frame are garbage, or after `release/1`. A process that keeps frames for long, or that seldom
  collects its garbage, should release them. The consumer's option `:lease` says which are leased.
  """

  alias Slipring.{Error, Native, Tensor}

  @type t :: %__MODULE__{
          format: atom,
          meta: %{String.t() => term} | nil,
          sequence: non_neg_integer,
          timestamp: non_neg_integer,
          content: term,
          lease: reference | nil
        }

  @derive {Inspect, only: [:format, :meta, :sequence, :timestamp]}
  defstruct [:format, :meta, :sequence, :timestamp, :content, :lease]

  @doc """
  What was sent: a binary, or a `Slipring.Tensor`.

  Of a leased frame, binaries lie in the segment and keep it.

  Raises a `Slipring.Error` if the frame can't be decoded (`:decode`, `:untrusted_pickle`) or was
  released (`:released`).

      iex> ring = Slipring.create!("frame-value-doc")
      iex> :ok = Slipring.send(Slipring.producer!(ring), "hello")
      iex> {:ok, frame} = Slipring.recv(Slipring.consumer!(ring))
      iex> Slipring.Frame.value(frame)
      "hello"
  """
  @spec value(t) :: binary | Tensor.t()
  def value(%__MODULE__{lease: nil, content: content}), do: present(content)
  def value(%__MODULE__{lease: lease}), do: present(Native.content(lease))

  @doc """
  Gives the memory of a leased frame back.

    * `:ok` - at once; a frame that was copied has nothing to give back
    * `:deferred` - as soon as the binaries that were made of its value are garbage. Memory is never
      taken from under a binary.
    * `{:error, error}` - it was released before
  """
  @spec release(t) :: :ok | :deferred | {:error, Error.t()}
  def release(%__MODULE__{lease: nil}), do: :ok

  def release(%__MODULE__{lease: lease}) do
    with {:error, fault} <- Native.release(lease), do: {:error, Error.new(fault, :release, nil)}
  end

  @doc """
  Whether the value lies in the segment itself, by the address of its bytes.
  """
  @spec in_place?(t) :: boolean
  def in_place?(%__MODULE__{lease: nil}), do: false

  def in_place?(%__MODULE__{lease: lease} = frame) do
    bytes =
      case value(frame) do
        %Tensor{data: data} -> data
        data -> data
      end

    case Native.in_place(lease, bytes) do
      {:error, fault} -> raise Error.new(fault, :in_place?, nil)
      inside? -> inside?
    end
  end

  @doc false
  # From what the native part tells.
  def new({format, content, meta, sequence, timestamp, lease}) when not is_tuple(lease) do
    %__MODULE__{
      format: format,
      content: content,
      meta: meta,
      sequence: sequence,
      timestamp: timestamp,
      lease: lease
    }
  end

  # What takes too long for a normal scheduler was left to be done now.
  def new({format, nil, nil, sequence, timestamp, {:copy, lease}}) do
    {content, meta} = Native.copy_out(lease)
    new({format, content, meta, sequence, timestamp, nil})
  end

  def new({format, nil, nil, sequence, timestamp, {:meta, lease}}) do
    case Native.read_meta(lease) do
      {:ok, meta} ->
        new({format, nil, meta, sequence, timestamp, lease})

      error ->
        Native.release(lease)
        new({format, error, nil, sequence, timestamp, nil})
    end
  end

  defp present(content) when is_binary(content), do: content

  defp present({data, shape, type, order, byte_order}) do
    %Tensor{data: data, shape: shape, type: type, order: order, byte_order: byte_order}
  end

  defp present({:error, fault}), do: raise(Error.new(fault, :value, nil))
end

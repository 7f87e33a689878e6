defmodule Slipring.Frame do
  @moduledoc """
  A frame that was received.

    * `format` - `:raw`, `:ndarray`, or another that this version can't decode
    * `meta` - the sender's metadata, a map with binaries as keys, or `nil`
    * `sequence` - the frame's number with its producer
    * `timestamp` - when it was sent, in nanoseconds since 1970
    * `redeliveries` - how often it was delivered before, and not acknowledged

  What was sent comes from `value/1`.

  A small frame was copied out of the ring when it was received. A large one is *leased*: its value
  lies in the segment, and its memory is free for other frames when the value, all parts of it and
  the frame are garbage, or after `release/1`. A process that keeps frames for long, or that seldom
  collects its garbage, should release them. The consumer's option `:lease` says which are leased.

  ## Acknowledgement

  A frame from a consumer with `ack: :manual` is delivered again, to whichever consumer of the ring,
  unless somebody calls `ack/1` first. It goes back by `nack/1`, by `release/1` before `ack/1`, when it
  is garbage, and at once when its consumer is closed or its consumer's owner ends, wherever the frame
  is by then. A leased one whose value somebody still has goes back when that is garbage.
  """

  alias Slipring.{Error, Native, Tensor}

  @type t :: %__MODULE__{
          format: atom,
          meta: %{String.t() => term} | nil,
          sequence: non_neg_integer,
          timestamp: non_neg_integer,
          redeliveries: 0..255,
          content: term,
          lease: reference | nil
        }

  @derive {Inspect, only: [:format, :meta, :sequence, :timestamp, :redeliveries]}
  defstruct [:format, :meta, :sequence, :timestamp, :content, :lease, redeliveries: 0]

  @doc """
  What was sent: a binary, or a `Slipring.Tensor`.

  Of a leased frame, binaries lie in the segment and keep it.

  Raises a `Slipring.Error` if the frame can't be decoded (`:decode`, `:untrusted_pickle`), or is
  leased and was released (`:released`) or given back (`:given_back`).

      iex> ring = Slipring.create!("frame-value-doc")
      iex> :ok = Slipring.send(Slipring.producer!(ring), "hello")
      iex> {:ok, frame} = Slipring.recv(Slipring.consumer!(ring))
      iex> Slipring.Frame.value(frame)
      "hello"
  """
  @spec value(t) :: binary | Tensor.t()
  def value(%__MODULE__{content: nil, lease: lease}), do: present(Native.content(lease))
  def value(%__MODULE__{content: content}), do: present(content)
  def value(other), do: wrong!("value/1", other)

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
    {:error, Error.new({:acknowledged, message, nil, nil, nil, hint}, :nack, nil)}
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

  @doc """
  Whether the value lies in the segment itself, by the address of its bytes.
  """
  @spec in_place?(t) :: boolean
  def in_place?(%__MODULE__{content: content}) when content != nil, do: false

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
  # From what the native part tells. What takes too long for a normal scheduler was left to be done now.
  def new({format, nil, nil, sequence, timestamp, redeliveries, {later, lease}}) do
    {content, meta, lease} =
      case later do
        :copy -> Native.copy_out(lease)
        :meta -> Native.read_meta(lease)
      end

    new({format, content, meta, sequence, timestamp, redeliveries, lease})
  end

  def new({format, content, meta, sequence, timestamp, redeliveries, lease}) do
    %__MODULE__{
      format: format,
      content: content,
      meta: meta,
      sequence: sequence,
      timestamp: timestamp,
      redeliveries: redeliveries,
      lease: lease
    }
  end

  defp present(content) when is_binary(content), do: content

  defp present({data, shape, type, order, byte_order}) do
    %Tensor{data: data, shape: shape, type: type, order: order, byte_order: byte_order}
  end

  defp present({:error, fault}), do: raise(Error.new(fault, :value, nil))

  defp wrong!(call, other) do
    raise ArgumentError,
          "Slipring.Frame.#{call} takes a Slipring.Frame, as recv gives it in {:ok, frame}, " <>
            "not #{inspect(other)}"
  end
end

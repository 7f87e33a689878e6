defmodule Slipring.Feeder do
  @moduledoc false
  # The process that turns the frames of an active consumer into messages to its owner.
  #
  # It pulls them in batches. The waiter's thread only says that there is something to pull. With
  # `true` and large counts it keeps the owner's mailbox short: it goes on when the owner has caught
  # up, so that a fast producer meets a full ring and not a full memory.
  #
  # It ends with the consumer's owner, or when the ring is finished.

  use GenServer

  alias Slipring.{Error, Frame, Native}

  @batch 64
  # Messages in the owner's mailbox beyond which it is given time.
  @mailbox 256
  @pause 1

  def set_mode(rx, mode) do
    {feeder, owner} = Native.feeder(rx.ref)
    feeder = feeder || start(rx, owner)

    try do
      GenServer.call(feeder, {:mode, mode}, :infinity)
    catch
      # It has told that the ring is finished, and ended. Another one will tell so again.
      :exit, {reason, _call} when reason in [:normal, :noproc] ->
        Native.set_feeder(rx.ref, feeder, nil)
        set_mode(rx, mode)
    end
  end

  def set_owner(rx, owner) do
    {feeder, _owner} = Native.feeder(rx.ref)
    if feeder, do: GenServer.cast(feeder, {:owner, owner}), else: :ok
  end

  # Two processes may start one at once; the first to be entered stays.
  defp start(rx, owner) do
    {:ok, feeder} = GenServer.start(__MODULE__, {rx, owner || self()})
    entered = Native.set_feeder(rx.ref, nil, feeder)
    if entered != feeder, do: GenServer.stop(feeder)
    entered
  end

  @impl GenServer
  def init({rx, owner}) do
    state = %{
      rx: rx,
      owner: owner,
      monitor: Process.monitor(owner),
      mode: false,
      watch: nil,
      # Whether a message :feed is on its way.
      due?: false,
      # How long the owner's mailbox was after the last batch.
      mailbox: 0
    }

    {:ok, state}
  end

  @impl GenServer
  def handle_call({:mode, mode}, _from, state) do
    {:reply, :ok, state |> put_mode(add(state.mode, mode)) |> feed_soon()}
  end

  @impl GenServer
  def handle_cast({:owner, owner}, state) do
    Process.demonitor(state.monitor, [:flush])
    {:noreply, %{state | owner: owner, monitor: Process.monitor(owner)}}
  end

  @impl GenServer
  def handle_info(:feed, state) do
    case feed(%{state | due?: false}) do
      {:stop, state} -> {:stop, :normal, state}
      state -> {:noreply, state}
    end
  end

  def handle_info({tag, :ready}, %{watch: {tag, _id}, mode: :notify} = state) do
    Kernel.send(state.owner, {:slipring_readable, state.rx})
    {:noreply, put_mode(%{state | watch: nil}, false)}
  end

  def handle_info({tag, :ready}, %{watch: {tag, _id}} = state),
    do: {:noreply, feed_soon(%{state | watch: nil})}

  def handle_info({:DOWN, monitor, :process, _owner, _reason}, %{monitor: monitor} = state),
    do: {:stop, :normal, state}

  # A watch that was taken back too late.
  def handle_info(_other, state), do: {:noreply, state}

  # Counts add up, as with :inet.setopts/2.
  defp add(old, new) when is_integer(old) and is_integer(new), do: old + new
  defp add(_old, new), do: new

  defp put_mode(state, mode) when is_integer(mode) and mode <= 0 do
    Kernel.send(state.owner, {:slipring_passive, state.rx})
    put_mode(state, false)
  end

  # Who is to be told only may take the frames himself.
  defp put_mode(state, mode) do
    Native.set_active(state.rx.ref, mode not in [false, :notify])
    %{state | mode: mode}
  end

  defp feed_soon(%{due?: true} = state), do: state

  defp feed_soon(state) do
    Kernel.send(self(), :feed)
    %{state | due?: true}
  end

  defp feed_later(%{due?: true} = state), do: state

  defp feed_later(state) do
    Process.send_after(self(), :feed, @pause)
    %{state | due?: true}
  end

  defp feed(%{mode: false} = state), do: unwatch(state)
  defp feed(%{mode: :notify} = state), do: watch(state)

  defp feed(state) do
    if caught_up?(state), do: pull(state), else: feed_later(state)
  end

  # Messages of others that the owner leaves alone must not stop it: then it is enough that the
  # mailbox has become shorter by half a batch.
  defp caught_up?(%{mode: :once}), do: true

  defp caught_up?(state) do
    case Process.info(state.owner, :message_queue_len) do
      {:message_queue_len, length} ->
        length <= @mailbox or length <= state.mailbox - div(@batch, 2)

      nil ->
        true
    end
  end

  defp pull(state) do
    case Native.recv_many(state.rx.ref, most(state.mode), true) do
      frames when is_list(frames) ->
        for frame <- frames,
            do: Kernel.send(state.owner, {:slipring, state.rx, Frame.new(frame)})

        state |> note_mailbox() |> put_mode(left(state.mode, length(frames))) |> feed_soon()

      :empty ->
        watch(state)

      :busy ->
        feed_later(state)

      {:error, {:closed, _, _, _, _, _}} ->
        Kernel.send(state.owner, {:slipring_closed, state.rx})
        {:stop, put_mode(state, false)}

      {:error, {:detached, _, _, _, _, _}} ->
        Kernel.send(state.owner, {:slipring_closed, state.rx})
        {:stop, state}

      {:error, fault} ->
        error = Error.new(fault, :recv, state.rx.ring)
        Kernel.send(state.owner, {:slipring_error, state.rx, error})
        put_mode(state, false)
    end
  end

  defp note_mailbox(state) do
    case Process.info(state.owner, :message_queue_len) do
      {:message_queue_len, length} -> %{state | mailbox: length}
      nil -> state
    end
  end

  defp most(:once), do: 1
  defp most(true), do: @batch
  defp most(count), do: min(count, @batch)

  defp left(:once, _taken), do: false
  defp left(true, _taken), do: true
  defp left(count, taken), do: count - taken

  defp watch(%{watch: nil} = state) do
    tag = make_ref()

    case Native.watch(state.rx.ref, tag) do
      id when is_integer(id) ->
        %{state | watch: {tag, id}}

      :busy ->
        feed_later(state)

      {:error, _detached} ->
        Kernel.send(state.owner, {:slipring_closed, state.rx})
        {:stop, state}
    end
  end

  defp watch(state), do: state

  defp unwatch(%{watch: nil} = state), do: state

  defp unwatch(%{watch: {_tag, id}} = state) do
    Native.unwatch(id)
    %{state | watch: nil}
  end
end

defmodule Slipring.Feeder do
  @moduledoc false
  # The process that turns the frames of an active consumer into messages to its owner.
  #
  # It pulls them in batches. The waiter's thread only says that there is something to pull. With
  # `true` and large counts it keeps the owner's mailbox short: it goes on when the owner has caught
  # up, so that a fast producer meets a full ring and not a full memory. Where frames are to be
  # acknowledged, those that are not bound it as well.
  #
  # It ends with the consumer's owner, or when the ring is finished.

  use GenServer

  alias Slipring.{Error, Native, Receiving}

  @batch 64
  # Messages in the owner's mailbox beyond which it is given time.
  @mailbox 256
  @pause 1
  # The longest it waits before it looks again whether frames that hold the pool are garbage.
  @longest 64

  def set_mode(rx, mode) do
    {feeder, owner} = Native.feeder(rx.ref)

    cond do
      # Nobody is there to be fed; the consumer is closed, or about to be.
      owner && !Process.alive?(owner) ->
        :ok

      call(feeder || start(rx, owner), {:mode, mode}) == :ended ->
        # It has told that the ring is finished. Another one will tell so again.
        Native.set_feeder(rx.ref, feeder, nil)
        set_mode(rx, mode)

      true ->
        :ok
    end
  end

  def stop(rx) do
    {feeder, _owner} = Native.feeder(rx.ref)
    if feeder, do: GenServer.cast(feeder, :stop)
    :ok
  end

  def set_owner(rx, owner) do
    {feeder, _owner} = Native.feeder(rx.ref)
    if feeder, do: call(feeder, {:owner, owner})
    :ok
  end

  defp call(feeder, request) do
    GenServer.call(feeder, request, :infinity)
  catch
    :exit, {reason, _call} when reason in [:normal, :noproc] -> :ended
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
      # Whether frames with a lease were handed on, to which garbage of this process refers.
      leased?: false,
      # How long the owner's mailbox may be for the next batch, and was before the last.
      mailbox: :infinity,
      before: 0,
      # How long it waits next time for frames that hold the pool.
      pause: @pause
    }

    {:ok, state}
  end

  @impl GenServer
  def handle_call({:mode, mode}, _from, state) do
    {:reply, :ok, state |> put_mode(add(state.mode, mode)) |> feed_soon()}
  end

  def handle_call({:owner, owner}, _from, state) do
    Process.demonitor(state.monitor, [:flush])
    {:reply, :ok, %{state | owner: owner, monitor: Process.monitor(owner)}}
  end

  @impl GenServer
  def handle_cast(:stop, state), do: {:stop, :normal, state}

  @impl GenServer
  def handle_info(:feed, state) do
    case feed(%{state | due?: false}) do
      {:stop, state} -> {:stop, :normal, state}
      state -> {:noreply, rest(state)}
    end
  end

  def handle_info({tag, :ready}, %{watch: {tag, _id}} = state),
    do: {:noreply, feed_soon(%{state | watch: nil})}

  def handle_info({:DOWN, monitor, :process, _owner, _reason}, %{monitor: monitor} = state),
    do: {:stop, :normal, state}

  # Where it was no garbage it looks again, ever more rarely.
  def handle_info({:garbage_collect, :held, _done?}, %{due?: false} = state) do
    Process.send_after(self(), :feed, state.pause)
    {:noreply, %{state | due?: true, pause: min(2 * state.pause, @longest)}}
  end

  def handle_info({:garbage_collect, :crowded, _done?}, state), do: {:noreply, feed_soon(state)}

  # A watch that was taken back too late.
  def handle_info(_other, state), do: {:noreply, state}

  # Who rests collects no garbage: it would keep frames that their owner has forgotten.
  defp rest(%{due?: false, leased?: true} = state) do
    :erlang.garbage_collect()
    %{state | leased?: false}
  end

  defp rest(state), do: state

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
  defp feed(%{mode: :notify} = state), do: notify(state)
  defp feed(%{mode: :once} = state), do: pull(state)

  defp feed(state) do
    length = mailbox_length(state.owner)
    # An atom is more than any number.
    if length <= state.mailbox,
      do: pull(%{state | before: length}),
      else: feed_later(state)
  end

  defp mailbox_length(owner) do
    case Process.info(owner, :message_queue_len) do
      {:message_queue_len, length} -> length
      nil -> 0
    end
  end

  # The owner takes the frames himself, and so is told of the end only when there are none.
  defp notify(state) do
    case Native.readable(state.rx.ref) do
      :ready ->
        Kernel.send(state.owner, {:slipring_readable, state.rx})
        put_mode(state, false)

      other ->
        no_frame(other, state)
    end
  end

  defp pull(state) do
    case Receiving.batch(state.rx.ref, most(state.mode), :feeder) do
      frames when is_list(frames) ->
        for frame <- frames, do: Kernel.send(state.owner, {:slipring, state.rx, frame})

        taken = length(frames)
        # Messages of others that the owner leaves alone must not stop it: beyond the bound it is
        # enough that half of what was sent last is gone.
        mailbox = max(@mailbox, state.before + div(taken, 2))
        leased? = state.leased? or Enum.any?(frames, & &1.lease)

        %{state | mailbox: mailbox, leased?: leased?, pause: @pause}
        |> put_mode(left(state.mode, taken))
        |> feed_soon()

      other ->
        no_frame(other, state)
    end
  end

  defp no_frame(:empty, state), do: watch(state, &Native.watch/2)
  # As many frames are open as may be: until some are not, it is all the same whether others wait.
  defp no_frame(:spent, state), do: watch(state, &Native.watch_credit/2)
  # As in Receiving; what the owner has let go of counts here, too.
  defp no_frame({:crowded, bytes}, state) do
    Receiving.collect(bytes)
    :erlang.garbage_collect(state.owner, type: :minor, async: :crowded)
    state
  end

  # Garbage may hold the pool, the owner's and this process's: who waits for messages collects none by itself.
  defp no_frame(:held, state) do
    :erlang.garbage_collect()
    :erlang.garbage_collect(state.owner, async: :held)
    %{state | leased?: false}
  end

  defp no_frame(:busy, state), do: feed_later(state)

  defp no_frame({:error, fault}, state) when elem(fault, 0) in [:closed, :detached] do
    Kernel.send(state.owner, {:slipring_closed, state.rx})
    {:stop, put_mode(state, false)}
  end

  defp no_frame({:error, fault}, state) do
    error = Error.new(fault, :recv, state.rx.ring)
    Kernel.send(state.owner, {:slipring_error, state.rx, error})
    put_mode(state, false)
  end

  defp most(:once), do: 1
  defp most(true), do: @batch
  defp most(count), do: min(count, @batch)

  defp left(:once, _taken), do: false
  defp left(true, _taken), do: true
  defp left(count, taken), do: count - taken

  defp watch(%{watch: nil} = state, watch) do
    tag = make_ref()

    case watch.(state.rx.ref, tag) do
      id when is_integer(id) ->
        %{state | watch: {tag, id}}

      :busy ->
        feed_later(state)

      {:error, _detached} ->
        Kernel.send(state.owner, {:slipring_closed, state.rx})
        {:stop, state}
    end
  end

  defp watch(state, _watch), do: state

  defp unwatch(%{watch: nil} = state), do: state

  defp unwatch(%{watch: {_tag, id}} = state) do
    Native.unwatch(id)
    %{state | watch: nil}
  end
end

# Measures one peer in one case, Elixir at this end and Python (far.py) at the other, and prints one
# line of JSON.
#
#     elixir ring.exs --python python3 --far far.py --peer port --case beam/recv/64B/batch --seconds 0.3
#
# A peer is one module with
#
#     open(far)           starts `far` ({program, args}); a handle
#     send(handle, body)  one frame; waits while there is no room
#     recv(handle)        the next frame's body; waits
#     take(handle)        the bodies of the frames that it gets in one go, one at least; waits
#
# Elixir has its frames as binaries in hand when they are counted. What it sends is one binary again
# and again. The emulator runs on the near end's core, so it has one scheduler.

defmodule PortPeer do
  # Packets of up to 2 GiB over the program's standard input and output.
  def open({program, args}) do
    Port.open({:spawn_executable, program}, [:binary, {:packet, 4}, {:args, args}])
  end

  def send(port, body), do: Port.command(port, body)

  def recv(port) do
    receive do
      {^port, {:data, body}} -> body
    after
      20_000 -> Bench.give_up("nothing came for 20 s")
    end
  end

  def take(port), do: [recv(port)]
end

defmodule UnixPeer do
  # The mailbox holds what has come, as with a port; `active: n` keeps it from growing for ever.
  @credit 512
  # With the default of 1,460 bytes for packets the emulator asks the system for a few small frames at a time: half the speed.
  @buffers [buffer: 64 * 1024, recbuf: 256 * 1024, sndbuf: 256 * 1024]

  def open({program, args}) do
    path = Path.join(System.tmp_dir!(), "slipring-bench-#{System.pid()}.sock")
    options = [:binary, packet: 4, active: false, ifaddr: {:local, path}] ++ @buffers
    {:ok, listener} = :gen_tcp.listen(0, options)
    spawn_link(fn -> System.cmd(program, args ++ ["--socket", path]) end)
    {:ok, socket} = :gen_tcp.accept(listener, 20_000)
    File.rm!(path)
    :ok = :inet.setopts(socket, active: @credit)
    socket
  end

  def send(socket, body), do: :ok = :gen_tcp.send(socket, body)

  def recv(socket) do
    receive do
      {:tcp, ^socket, body} ->
        body

      {:tcp_passive, ^socket} ->
        :ok = :inet.setopts(socket, active: @credit)
        recv(socket)
    after
      20_000 -> Bench.give_up("nothing came for 20 s")
    end
  end

  def take(socket), do: [recv(socket)]
end

defmodule SlipringPeer do
  # Two rings. In batch cases frames are sent and taken 64 at a time.
  @batch 64

  def open({program, [_far, pattern | _] = args}) do
    unless Code.ensure_loaded?(Slipring), do: Bench.not_installed("slipring; run make setup")
    name = "bench-#{System.pid()}"
    [there, back] = for way <- ["there", "back"], do: Slipring.create!("#{name}-#{way}")
    spawn_link(fn -> System.cmd(program, args ++ ["--ring", name]) end)
    for ring <- [there, back], do: unlink_when_shared(ring)
    Process.put(:sends, [])
    {Slipring.producer!(there), Slipring.consumer!(back), pattern}
  end

  # From then on nothing is left behind, however the two ends end.
  defp unlink_when_shared(ring) do
    if length(Slipring.info!(ring).processes) == 2,
      do: Slipring.unlink!(ring.name),
      else: Process.sleep(5) && unlink_when_shared(ring)
  end

  def send({tx, _rx, "send"}, body) do
    bodies = [body | Process.get(:sends)]

    if length(bodies) == @batch or body == "" do
      Slipring.send_many!(tx, Enum.reverse(bodies))
      Process.put(:sends, [])
    else
      Process.put(:sends, bodies)
    end
  end

  def send({tx, _rx, _pattern}, body), do: Slipring.send!(tx, body)

  def recv({_tx, rx, _pattern}), do: Slipring.Frame.value(Slipring.recv!(rx, 20_000))

  def take({_tx, rx, _pattern}),
    do: for(frame <- Slipring.recv_many!(rx, @batch, 20_000), do: Slipring.Frame.value(frame))
end

defmodule Bench do
  @peers %{"port" => PortPeer, "slipring" => SlipringPeer, "unix" => UnixPeer}

  def main(args) do
    keys = [:python, :far, :peer, :case, :seconds]
    {options, [], []} = OptionParser.parse(args, strict: Enum.map(keys, &{&1, :string}))
    [python, far, peer, name, seconds] = Enum.map(keys, &Keyword.fetch!(options, &1))
    ["beam", pattern, size, _variant] = String.split(name, "/")
    {size, {seconds, ""}} = {bytes(size), Float.parse(seconds)}
    peer = Map.fetch!(@peers, peer)
    # A warm-up of a third of the measured time, at both ends.
    total = seconds * 4 / 3

    program =
      System.find_executable(python) || not_installed("Python at #{python}; set SLIPRING_PYTHON")

    handle = peer.open({program, [far, pattern, Integer.to_string(size), to_string(total)]})

    case pattern do
      "recv" -> recv(peer, handle, size, total / 4)
      "send" -> send(peer, handle, size, total)
      "rtt" -> rtt(peer, handle, size, total / 4, total)
    end
    |> IO.puts()
  end

  defp recv(peer, handle, size, warm) do
    # The clock starts with the first frame: Python takes its time to start.
    {_, false} = tally(peer.take(handle), size, 0)
    _ = count(peer, handle, size, now() + nanos(warm), 0, 64)
    begun = now()
    frames = count(peer, handle, size, :infinity, 0, 64)
    rate(frames, now() - begun)
  end

  # Until that time, or until the empty frame; integers sort before atoms. The clock costs as much as a small frame: it is looked at
  # when `look` frames are there.
  defp count(peer, handle, size, until, frames, look) do
    case tally(peer.take(handle), size, frames) do
      {frames, true} ->
        frames

      {frames, false} when frames < look ->
        count(peer, handle, size, until, frames, look)

      {frames, false} ->
        if now() < until, do: count(peer, handle, size, until, frames, frames + 64), else: frames
    end
  end

  # How many frames there are, and whether the last of them was the empty one.
  defp tally([], _size, frames), do: {frames, false}
  defp tally([""], _size, frames), do: {frames, true}

  defp tally([body | bodies], size, frames) when byte_size(body) == size,
    do: tally(bodies, size, frames + 1)

  defp send(peer, handle, size, total) do
    sent = flood(peer, handle, :binary.copy(<<0>>, size), now() + nanos(total), 0)
    peer.send(handle, "")
    answer = peer.recv(handle)

    # Nothing may have been lost.
    if answer =~ ~s("frames": #{sent}}), do: answer, else: give_up("sent #{sent}, but #{answer}")
  end

  defp flood(peer, handle, body, until, sent) do
    for _ <- 1..16, do: peer.send(handle, body)
    if now() < until, do: flood(peer, handle, body, until, sent + 16), else: sent + 16
  end

  defp rtt(peer, handle, size, warm, total) do
    body = :binary.copy(<<0>>, size)
    trip(peer, handle, body)
    begun = now()
    trips = trips(peer, handle, body, begun + nanos(warm), begun + nanos(total), begun, [])
    sorted = trips |> Enum.sort() |> List.to_tuple()

    at = fn share ->
      elem(sorted, min(tuple_size(sorted) - 1, trunc(share * tuple_size(sorted))))
    end

    ~s({"median": #{at.(0.5)}, "p99": #{at.(0.99)}, "p999": #{at.(0.999)}})
  end

  defp trips(peer, handle, body, warm, until, last, trips) do
    trip(peer, handle, body)
    now = now()
    trips = if last >= warm, do: [now - last | trips], else: trips

    if now < until or trips == [],
      do: trips(peer, handle, body, warm, until, now, trips),
      else: trips
  end

  defp trip(peer, handle, body) do
    peer.send(handle, body)
    size = byte_size(body)
    ^size = byte_size(peer.recv(handle))
  end

  defp rate(frames, nanos) when frames > 0,
    do: ~s({"frames_per_s": #{frames * 1.0e9 / max(nanos, 1)}})

  defp rate(_, _), do: give_up("no frame came after the warm-up")

  defp now, do: System.monotonic_time(:nanosecond)
  defp nanos(seconds), do: trunc(seconds * 1.0e9)

  defp bytes(text) do
    case Integer.parse(text) do
      {n, "B"} -> n
      {n, "KiB"} -> n * 1024
      {n, "MiB"} -> n * 1024 * 1024
    end
  end

  def not_installed(what) do
    IO.puts(~s({"not_installed": "#{what}"}))
    System.halt(0)
  end

  def give_up(why) do
    IO.puts(:stderr, why)
    System.halt(1)
  end
end

Bench.main(System.argv())

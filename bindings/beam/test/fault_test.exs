defmodule Slipring.FaultTest do
  use Slipring.Case, async: true

  @out_of_memory """
  [name] = System.argv()
  large = :binary.copy(<<1>>, 500_000)
  {:error, %{reason: :out_of_memory} = error} = Slipring.create(name, populate: true)
  true = error.path =~ name and error.expected > 0
  ring = Slipring.create!(name, slots: 64, capacity: {16, :mib})
  tx = Slipring.producer!(ring)
  {:error, %{reason: :out_of_memory, sent: sent} = error} =
    Slipring.send_many(tx, List.duplicate(large, 64))
  true = sent in 1..8 and Exception.message(error) =~ "no room"
  {:error, %{reason: :out_of_memory}} = Slipring.send(tx, large)
  # What was sent is there, and its space serves again.
  rx = Slipring.consumer!(ring, lease: :never)
  for _ <- 1..50 do
    true = Slipring.Frame.value(Slipring.recv!(rx, 0)) == large
    :ok = Slipring.send(tx, large)
  end
  IO.write("done")
  """

  test "shared memory that runs out is an error, at creation and at sending (P9)", %{name: name} do
    # A BEAM with a small /dev/shm of its own.
    {uid, 0} = System.cmd("id", ["-u"])
    spaces = if String.trim(uid) == "0", do: "-m", else: "-rm"
    mount = ~s(mount -t tmpfs -o size=4m none /dev/shm && exec "$0" "$@")
    port = other_beam(@out_of_memory, [name], ["unshare", spaces, "sh", "-c", mount])
    assert output(port) == "done"
  end

  # As docs/segment-format.md has them.
  @participants_at 112
  @cursors_at 120
  @slots_at 136
  @cells_at 168

  # Overwrites eight bytes of the segment, in the part whose place the header tells at `field`.
  defp overwrite(name, field, index, word) do
    {:ok, file} = :file.open(Slipring.info!(name).path, [:read, :write, :binary, :raw])
    {:ok, <<at::little-64>>} = :file.pread(file, field, 8)
    :ok = :file.pwrite(file, at + 8 * index, <<word::little-64>>)
    :ok = :file.close(file)
  end

  # What this OS process, the first to attach, writes into the words that it owns.
  defp tag(name) do
    {:ok, file} = :file.open(Slipring.info!(name).path, [:read, :binary, :raw])
    {:ok, <<at::little-64>>} = :file.pread(file, @participants_at, 8)
    {:ok, <<entry::little-64>>} = :file.pread(file, at + 128, 8)
    :ok = :file.close(file)
    <<incarnation::30, _state::34>> = <<entry::64>>
    <<tag::16>> = <<incarnation::8, 1::8>>
    tag
  end

  test "words that nobody writes are told, in every way of receiving (P9)", %{name: name} do
    {_ring, tx, rx} = pair(name)
    Slipring.send!(tx, "x")
    overwrite(name, @slots_at, 0, 0x7FFFFFFFFFFFFFFF)

    for call <- [&Slipring.recv(&1, 1_000), &Slipring.recv_many(&1, 2, 0)] do
      assert {:error, %Error{reason: :corrupt, path: "slot 0", got: got} = error} = call.(rx)
      assert got == 0x7FFFFFFFFFFFFFFF
      assert Exception.message(error) =~ "unlink the ring and create it anew"
    end

    assert_raise Error, ~r/slot 0/, fn -> Enum.to_list(rx) end
    Slipring.active(rx, :once)
    assert_receive {:slipring_error, ^rx, %Error{reason: :corrupt}}, 2_000
  end

  test "a frame that can't be read is to be acknowledged like any other (P9)", %{name: name} do
    {_ring, tx, rx} = pair(name, [], ack: :manual)
    Slipring.send!(tx, "x")
    # The first word of its header, with the format's version.
    overwrite(name, @cells_at, 0, 99 * 256)

    for {settle, redeliveries} <- [
          {&Slipring.nack/1, 0},
          {&Frame.release/1, 1},
          {&Slipring.ack/1, 2}
        ] do
      frame = Slipring.recv!(rx, 0)
      assert frame.redeliveries == redeliveries
      assert_raise Error, ~r/format version 99/, fn -> Frame.value(frame) end
      assert settle.(frame) == :ok
    end

    assert {:error, %Error{reason: :empty}} = Slipring.recv(rx, 0)
  end

  test "a finished ring waits for what is on its way, and does not whirl (P6)", %{name: name} do
    # A frame that is complete and stands in no slot yet: the control word of a cell says so.
    {ring, tx, rx} = pair(name)
    leave = fn -> overwrite(name, @slots_at, 1, tag(name) * 16 + 2) end
    arrive = fn -> overwrite(name, @slots_at, 1, 0) end
    leave.()
    Slipring.finish!(ring)
    assert {:error, %Error{reason: :empty}} = Slipring.recv(rx, 0)
    assert {:error, %Error{reason: :timeout}} = Slipring.recv_many(rx, 2, 20)
    receiver = Task.async(fn -> Slipring.recv(rx) end)
    {:reductions, before} = Process.info(receiver.pid, :reductions)
    Process.sleep(300)
    {:reductions, later} = Process.info(receiver.pid, :reductions)
    assert later - before < 50_000
    arrive.()
    assert {:error, %Error{reason: :closed}} = Task.await(receiver)

    leave.()
    Slipring.active(rx, true)
    refute_receive {:slipring_closed, _}, 50
    arrive.()
    assert_receive {:slipring_closed, ^rx}, 2_000
    assert {:error, %Error{reason: :closed}} = Slipring.send(tx, "late")
  end

  test "and so they are to a sender", %{name: name} do
    {_ring, tx, _rx} = pair(name, slots: 8)
    Slipring.send_many!(tx, List.duplicate("x", 8))
    overwrite(name, @cursors_at, 0, 1_000)
    assert {:error, %Error{reason: :corrupt, got: 1_000}} = Slipring.send(tx, "y")

    assert {:error, %Error{reason: :corrupt, sent: 0}} = Slipring.send_many(tx, ["y", "z"])
  end
end

defmodule Slipring.ChoicesTest.Spot do
  @behaviour Slipring.Object
  defstruct x: 0

  @impl true
  def load(1, %{"x" => x}), do: %__MODULE__{x: x}
end

defmodule Slipring.ChoicesTest.Own do
  defstruct []

  defimpl Slipring.Encodable do
    def encode(_own), do: "own"
  end
end

defmodule Slipring.ChoicesTest do
  # The counts are the VM's, and so is the log: nothing else sends meanwhile.
  use Slipring.Case, async: false

  import ExUnit.CaptureLog
  alias Slipring.ChoicesTest.{Own, Spot}

  @formats [:raw, :ndarray, :value]

  # Frames and bytes by format, since then.
  defp since(before, way) do
    now = Slipring.stats()

    for format <- @formats do
      [old, new] = for counts <- [before, now], do: counts[way][format] || %{frames: 0, bytes: 0}
      {new.frames - old.frames, new.bytes - old.bytes}
    end
  end

  @doc "R1.5, R7.1."
  test "what is sent is counted, by format, with the bytes of the bodies", %{name: name} do
    {_ring, tx, rx} = pair(name)
    before = Slipring.stats()
    tensor = Tensor.new(<<0::size(300)-unit(8)>>, {300}, {:u, 8})
    # One byte for a small integer, an array's head beside its data.
    for term <- ["abc", 7, tensor], do: :ok = Slipring.send(tx, term)
    assert {:ok, 3} = Slipring.send_many(tx, ["x", 8, ""])
    assert [{3, 4}, {1, array}, {2, 2}] = since(before, :sent)
    assert array in 364..600

    # What is refused, or finds no room, is not.
    assert {:error, %{reason: :unsupported_type}} = Slipring.send(tx, self())
    assert {:error, %{reason: :encode}} = Slipring.send(tx, "abc", meta: %{"a" => <<1::1>>})
    assert [{3, 4}, {1, ^array}, {2, 2}] = since(before, :sent)

    {:ok, frames} = Slipring.recv_many(rx, 6)
    # Copied: binaries and tensors are terms already, values are not.
    assert [{3, 4}, {1, ^array}, {0, 0}] = since(before, :decoded)
    for frame <- frames, _ <- 1..2, do: Frame.value(frame)
    assert [{3, 4}, {1, ^array}, {4, 4}] = since(before, :decoded)
  end

  @doc "R1.5."
  test "leased frames count when their value is asked for, and failures never", %{name: name} do
    {_ring, tx, rx} = pair(name, [slots: 8], lease: :always)
    for term <- ["abc", [1, 2]], do: :ok = Slipring.send(tx, term)
    before = Slipring.stats()
    {:ok, [bytes, value]} = Slipring.recv_many(rx, 2)
    assert Frame.in_place?(bytes)
    assert %{kind: :list} = Frame.describe(value)
    assert since(before, :decoded) == [{0, 0}, {0, 0}, {0, 0}]
    assert {"abc", [1, 2]} = {Frame.value(bytes), Frame.value(value)}
    assert since(before, :decoded) == [{1, 3}, {0, 0}, {1, 3}]
    Frame.release(value)
    assert_raise Error, fn -> Frame.value(value) end
    assert since(before, :decoded) == [{1, 3}, {0, 0}, {1, 3}]
  end

  @doc "R1.5: whichever way they take into the ring, and whichever scheduler counts."
  test "large values, kept ones and many schedulers count", %{name: name} do
    {_ring, tx, rx} = pair(name, slots: 8, capacity: {16, :mib})
    before = Slipring.stats()
    large = List.duplicate("text of some length", 100_000)
    first = [large | List.duplicate(Enum.to_list(1..200), 7)]
    last = Enum.to_list(1..300)
    for term <- first, do: :ok = Slipring.send(tx, term)
    # Written, and counted only when there is a slot for it.
    waiting = Task.async(fn -> Slipring.send(tx, last) end)
    Process.sleep(50)
    assert [{0, 0}, {0, 0}, {8, _}] = since(before, :sent)
    for _ <- 1..8, do: Slipring.recv!(rx)
    assert Task.await(waiting) == :ok
    bytes = Enum.sum(for term <- [last | first], do: byte_size(Slipring.encode!(term)))
    assert [{0, 0}, {0, 0}, {9, ^bytes}] = since(before, :sent)
    Slipring.recv!(rx)

    before = Slipring.stats()

    frames =
      for n <- 1..200 do
        :ok = Slipring.send(tx, n)
        Slipring.recv!(rx)
      end

    frames |> Task.async_stream(&Frame.value/1, max_concurrency: 8) |> Stream.run()
    # Integers up to 23 take one byte, the others two.
    assert [{0, 0}, {0, 0}, {200, 377}] = since(before, :decoded)
  end

  @doc "R1.5, R12.5: the log says what was chosen and why, to who asks."
  test "choices are logged", %{name: name} do
    {_ring, tx, _rx} = pair(name)
    assert capture_log(fn -> :ok = Slipring.send(tx, "unasked") end) == ""
    on_exit(fn -> Slipring.log_choices(false) end)
    assert Slipring.log_choices(true) == :ok

    logged = fn send -> capture_log([metadata: [:format, :frames]], send) end
    log = logged.(fn -> :ok = Slipring.send(tx, "abc") end)
    assert log =~ "slipring: sent on #{name} as raw: bytes are the frame as they are"
    assert log =~ "[debug]" and log =~ "format=raw" and log =~ "frames=1"
    assert logged.(fn -> :ok = Slipring.send(tx, [1]) end) =~ "on #{name} as value: "

    assert logged.(fn -> :ok = Slipring.send(tx, "a", format: :value) end) =~
             "as value: it was asked"

    tensor = Tensor.new("abcd", {4}, {:u, 8})
    assert logged.(fn -> :ok = Slipring.send(tx, tensor, meta: %{a: 1}) end) =~ "as ndarray: "

    log = logged.(fn -> {:ok, 3} = Slipring.send_many(tx, ["a", 1, "b"]) end)
    assert log =~ "sent 2 frames on #{name} as raw" and log =~ "sent on #{name} as value"

    # What was not sent is not said to be.
    refused = fn -> {:error, _} = Slipring.send_many(tx, ["a", self()]) end
    assert logged.(refused) == ""

    Slipring.log_choices(false)
    assert logged.(fn -> :ok = Slipring.send(tx, "abc") end) == ""
    assert_raise ArgumentError, ~r/true or false/, fn -> Slipring.log_choices(:yes) end
  end

  @doc "R12.5."
  test "the ways of structs are logged", %{name: name} do
    {_ring, tx, _rx} = pair(name)
    on_exit(fn -> Slipring.log_choices(false) end)
    Slipring.log_choices(true)
    log = capture_log(fn -> :ok = Slipring.register(Spot, name: "a.spot", version: 3) end)
    assert log =~ "Slipring.ChoicesTest.Spot is sent as a.spot, version 3"
    log = capture_log(fn -> :ok = Slipring.send(tx, %Own{}) end)
    assert log =~ "Slipring.ChoicesTest.Own is sent as what Slipring.Encodable.encode/1 gives"
    old = %Slipring.Object{name: "a.spot", version: 1, fields: %{"x" => 4}}
    bytes = Slipring.encode!(old)
    log = capture_log(fn -> assert %{x: 4} = Slipring.decode!(bytes) end)
    assert log =~ "a.spot, version 1, arrives by Slipring.ChoicesTest.Spot.load/2"
  end
end

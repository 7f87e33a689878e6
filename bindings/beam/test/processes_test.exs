defmodule Slipring.ProcessesTest do
  use Slipring.Case, async: true

  @echo """
  [name] = System.argv()
  rx = Slipring.consumer!(name <> "-there", wait: 10_000)
  tx = Slipring.producer!(name <> "-back", wait: 10_000)
  for frame <- rx do
    Slipring.send!(tx, Slipring.Frame.value(frame), meta: Map.put(frame.meta || %{}, "by", System.pid()))
  end
  IO.write("done")
  """

  test "frames cross between two BEAMs and back (P1)", %{name: name} do
    there = Slipring.create!(name <> "-there", capacity: {4, :mib})
    back = Slipring.create!(name <> "-back", capacity: {4, :mib})
    port = other_beam(@echo, [name])
    tx = Slipring.producer!(there)
    rx = Slipring.consumer!(back)
    {:os_pid, os_pid} = Port.info(port, :os_pid)

    for term <- [
          "",
          "small",
          :crypto.strong_rand_bytes(300_000),
          Tensor.from_list([1, 2], {2}, {:s, 64})
        ] do
      Slipring.send!(tx, term, meta: %{n: 1})
      frame = Slipring.recv!(rx, 20_000)
      assert Frame.value(frame) == term
      assert %{"n" => 1, "by" => by} = frame.meta
      assert String.to_integer(by) == os_pid
    end

    Slipring.finish(there)
    assert output(port) == "done"
  end

  # A run of the tests that is killed must not break the next one.
  test "rings that were left are gone, and others stay" do
    number = System.unique_integer([:positive])
    names = for end_ <- ["-doc", ""], do: "left-#{System.pid()}-#{number}#{end_}"

    code = """
    for name <- System.argv() do
      ring = Slipring.create!(name)
      Slipring.send!(Slipring.producer!(ring), "a frame that waits")
    end
    IO.puts("made")
    Process.sleep(:infinity)
    """

    port = other_beam(code, names)
    assert_receive {^port, {:data, "made\n"}}, 30_000
    Slipring.Leftovers.unlink()
    assert names -- Slipring.list() == []
    {:os_pid, os_pid} = Port.info(port, :os_pid)
    System.cmd("kill", ["-9", "#{os_pid}"])
    assert_receive {^port, {:exit_status, _killed}}, 20_000
    Slipring.Leftovers.unlink()
    [example, other] = names
    refute example in Slipring.list()
    assert other in Slipring.list()
    Slipring.unlink!(other)
  end

  @endless """
  [name] = System.argv()
  rx = Slipring.consumer!(name, wait: 10_000)
  for frame <- rx, do: IO.write([Slipring.Frame.value(frame), " "])
  """

  test "a consumer that is killed is replaced, and no other frame is lost (P6)", %{name: name} do
    ring = Slipring.create!(name, slots: 8)
    tx = Slipring.producer!(ring)
    port = other_beam(@endless, [name])
    Slipring.send_many!(tx, ["1", "2", "3"])
    assert_receive {^port, {:data, "1 " <> _}}, 20_000
    {:os_pid, os_pid} = Port.info(port, :os_pid)
    System.cmd("kill", ["-9", "#{os_pid}"])
    assert_receive {^port, {:exit_status, 137}}, 10_000

    rx = eventually(fn -> Slipring.consumer(ring) end)
    Slipring.send_many!(tx, ["4", "5"])
    # What the dead one had not taken comes first; what it had is gone with it.
    rest = for frame <- drain(rx), do: Frame.value(frame)
    assert rest in [["2", "3", "4", "5"], ["3", "4", "5"], ["4", "5"]]
  end

  defp drain(rx) do
    case Slipring.recv(rx, 200) do
      {:ok, frame} -> [frame | drain(rx)]
      {:error, %Error{reason: :timeout}} -> []
    end
  end
end

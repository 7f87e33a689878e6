# Takes numbers from NAME as three processes do, which are to acknowledge, and prints for each how it came:
# `NUMBER REDELIVERIES`. DEED says what is done with it: `ack`, `nack` once and then ack, or `hold`.
[name, deed] = System.argv()
ring = Slipring.open!(name, wait: 20_000)
ways = [false, true, :once]

work = fn deed, frame ->
  <<number::little-64, _::binary>> = Slipring.Frame.value(frame)
  IO.puts("#{number} #{frame.redeliveries}")

  case deed do
    "nack" when frame.redeliveries == 0 -> Slipring.nack!(frame)
    "hold" -> Process.put(number, frame)
    _ -> Slipring.ack!(frame)
  end
end

loop = fn loop, rx ->
  receive do
    {:slipring, ^rx, frame} ->
      work.(deed, frame)
      Slipring.active(rx, :once)
      loop.(loop, rx)

    {:slipring_closed, ^rx} ->
      :ok
  end
end

ways
|> Enum.map(fn active ->
  Task.async(fn ->
    rx = Slipring.consumer!(ring, ack: :manual, active: active)
    if active, do: loop.(loop, rx), else: Enum.each(rx, &work.(deed, &1))
  end)
end)
|> Task.await_many(:infinity)

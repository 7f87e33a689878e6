# Prints the number in each frame that comes through NAME, a line each, until the ring is finished.
[name] = System.argv()

for frame <- Slipring.consumer!(name, wait: 20_000) do
  <<number::little-64, _::binary>> = Slipring.Frame.value(frame)
  IO.puts(number)
end

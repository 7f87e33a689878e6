# Sends numbers from FIRST on into NAME, in frames of SIZE bytes, for ever.
[name, first, size] = System.argv()
tx = Slipring.producer!(name, wait: 20_000)
padding = :binary.copy(<<0>>, String.to_integer(size) - 8)

first
|> String.to_integer()
|> Stream.iterate(&(&1 + 1))
|> Enum.each(&Slipring.send!(tx, <<&1::little-64, padding::binary>>))

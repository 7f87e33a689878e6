# Sends terms of every type on the first ring, and says which come back on the second as something else.
[to, from] = System.argv()
Logger.configure(level: :error)
Code.require_file("../../bindings/beam/test/support_structs.exs", __DIR__)
alias Slipring.{Bytes, Column, Decimal, Duration, Frame, Object, Table, Tag, Tensor, Text, UUID}
alias Slipring.Test.{Point, Terms}

tx = Slipring.producer!(to, wait: 20_000)
rx = Slipring.consumer!(from, wait: 20_000)

there_and_back = fn term, options ->
  :ok = Slipring.send(tx, term, [timeout: 20_000] ++ options)
  Slipring.recv!(rx, 20_000)
end

# As the tests of the library have it: the same term; and as text, since 0.0 === -0.0 before OTP 27. Tables lie where they lie.
told = &inspect(&1, limit: :infinity, printable_limit: :infinity)

same = fn
  %Table{} = got, %Table{} = wanted ->
    typed = fn table -> {table.metadata, for(f <- table.fields, do: {f.name, f.type, f.nullable})} end
    typed.(got) === typed.(wanted) and told.(Table.to_columns(got)) === told.(Table.to_columns(wanted))

  got, wanted ->
    got === wanted and told.(got) === told.(wanted)
end

check = fn what, got, wanted ->
  unless same.(got, wanted), do: IO.puts("#{what}: #{told.(wanted)} came back as #{told.(got)}")
end

zone = fn name, offset, saving ->
  fields = %{utc_offset: offset, std_offset: saving, time_zone: name, zone_abbr: name}
  Map.merge(~U[2026-07-01 12:00:00.50Z], fields)
end

large = :binary.copy(<<255, 0>>, 50_000)

# The type table, row by row. `{:as, wanted}`: as what it comes back.
types = [
  [nil, true, false],
  [0, -1, 2 ** 63, 2 ** 64 - 1, 2 ** 64, -(2 ** 64) - 1, -(10 ** 400)],
  [0.0, -0.0, 1.5, 1.0e300, 5.0e-324],
  [:nan, :infinity, :neg_infinity],
  ["", "grüß", <<255>>, large, {%Text{data: "a"}, :as, "a"}, {%Bytes{data: "a"}, :as, "a"}],
  [:ok, :"with space", Enum],
  [[], [1, [2.5, [nil]]], {}, {1, {"two", []}}, [a: 1, b: 2], 'charlist'],
  [%{}, %{"a" => %{b: 1}}, %{1 => :int, 1.0 => :float, nil => 0, {1} => 2, [1] => 3, %{} => 4, -0.5 => 5}],
  [MapSet.new(), MapSet.new([1, "a", MapSet.new([{}])])],
  [~D[2026-11-21], ~D[-0001-01-01], ~T[10:46:28], ~T[10:46:28.120], ~N[2026-11-21 10:46:28.000001]],
  [~U[2026-11-21 10:46:28Z], zone.("Europe/Berlin", 3600, 3600), zone.("-03:30", -12_600, 0)],
  [%Duration{seconds: -1, microseconds: 7}],
  for({coef, exp} <- [{150, -2}, {0, 0}, {10 ** 60, 400}, {:NaN, 0}, {:inf, 0}], do: %Decimal{sign: -1, coef: coef, exp: exp}),
  [1..9//2, 3..1//-1, 1..(2 ** 70)],
  [UUID.new!("00112233-4455-6677-8899-aabbccddeeff")],
  for(type <- [s: 8, s: 64, u: 16, f: 16, f: 32, f: 64, c: 64, c: 128], do: Tensor.new(:binary.copy(<<60>>, 96), {div(768, elem(type, 1))}, type)),
  for(shape <- [{}, {0}, {3, 0}, {1, 1, 1}], do: Tensor.new(:binary.copy(<<7>>, Tuple.product(shape)), shape, {:u, 8})),
  [Tensor.new(large, {250, 100}, {:f, 32}, byte_order: :big, order: :fortran), Tensor.from_list([true, false], {2}, {:bool, 8})],
  [Table.new(id: [1, nil], at: [~U[2026-11-21 10:46:28Z], nil], tags: [["a", nil], []], of: [%{a: 1}, nil])],
  [Table.new([Column.new([1, "a", 1], name: "u", type: {:union, :dense, [{0, {"i", {:s, 8}}}, {1, {"t", :string}}]})])],
  [struct!(Point, x: 1, y: [2]), %Object{name: "other", version: 3, fields: %{"a" => [1]}}, %Tag{number: 4711, value: ["kept"]}]
]

for row <- types, one <- row do
  {term, wanted} = with {term, :as, wanted} <- one, do: {term, wanted}, else: (_ -> {one, one})
  check.("alone", Frame.value(there_and_back.(term, [])), wanted)
  check.("as a value", Frame.value(there_and_back.(term, format: :value)), wanted)
  [{one}, %{"in" => other}] = Frame.value(there_and_back.([{term}, %{"in" => term}], []))
  for got <- [one, other], do: check.("within", got, wanted)
end

Enum.reduce(1..300, 4711, fn _, state ->
  {term, state} = Terms.term(state, 4)
  check.("by chance", Frame.value(there_and_back.(term, format: :value)), term)
  state
end)

# Many alike maps are a table on the way.
rows = for n <- 1..500, do: %{"id" => n, "name" => "n#{n}", "x" => n / 2, "ok" => rem(n, 2) == 0}
frame = there_and_back.(rows, [])
check.("format of rows", frame.format, :arrow)
check.("rows", Frame.value(frame), rows)

document = %{"a" => [1, -0.5, nil, true, 2 ** 200, %{"é\n" => "\u007f"}], "b" => []}
frame = there_and_back.(document, format: :json)
check.("format of JSON", frame.format, :json)
check.("JSON", Frame.value(frame), document)

meta = %{"n" => [1, -(2 ** 64), 1.5, nil, true], "b" => <<255>>, "m" => %{"" => ["é"]}}
check.("metadata", there_and_back.("", meta: meta).meta, meta)

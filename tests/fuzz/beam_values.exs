# Has hostile bytes read by the Elixir library, for a while.
#
#     python mutations.py >SEEDS; elixir -pa EBIN beam_values.exs SECONDS FOLDER SEEDS [--seed N] [--try FILE]
#
# Values go through `Slipring.decode/2`; bodies and metadata through rings of which the frame's header says what the
# sender would never say. Each input is in FOLDER/beam-last before it is tried, so that one which kills the VM is
# there; one that breaks a promise is kept as FOLDER/beam-DIGEST. Without a seed there is a new one for each run,
# and it is printed. `--try` takes such a file.
#
# What is promised of any bytes: a term or an error of slipring's (P9, R9.2), and of a term, that what it is
# written as is read, and written the same again (R6.1).

defmodule Fuzz.Mutation do
  # As in mutations.py.
  @heads for(
           number <- [258, 1002, 1004, 1040 | Enum.to_list(47600..47613)],
           do: <<0xD9, number::16>>
         ) ++
           for(number <- [30, 37, 40, 64, 69, 77, 78, 82, 86, 87, 100], do: <<0xD8, number>>) ++
           for(
             major <- 0..7,
             length <- [0, 1, 23, 24, 25, 26, 27, 31],
             do: <<major::3, length::5>>
           ) ++
           [
             <<0xFF>>,
             <<0x1B, -1::64>>,
             <<0x5A, 65_536::32>>,
             <<0x9B, 0x7FFFFFFFFFFFFFFF::64>>,
             <<0xFB, 0x7FF8::16, 0::48>>
           ]
  @heads_tuple List.to_tuple(@heads)

  def pick(tuple), do: elem(tuple, :rand.uniform(tuple_size(tuple)) - 1)
  def below(n), do: :rand.uniform(n) - 1

  # One to four changes; `others` lend pieces of themselves.
  def mutate(data, others), do: mutate(data, others, pick({1, 1, 2, 4}))
  defp mutate(data, _others, 0), do: data

  defp mutate(data, others, changes) do
    at = below(byte_size(data) + 1)
    <<front::binary-size(at), back::binary>> = data
    mutate(change(below(8), front, back, others), others, changes - 1)
  end

  defp change(0, front, back, _others), do: front <> <<below(256)>> <> drop(back, 1)

  defp change(1, front, <<byte, back::binary>>, _others),
    do: <<front::binary, Bitwise.bxor(byte, Bitwise.bsl(1, below(8))), back::binary>>

  defp change(kind, front, _back, _others) when kind in [1, 2], do: front
  defp change(3, front, back, _others), do: front <> drop(back, pick({1, 1, 2, 8}))
  defp change(4, front, back, _others), do: front <> pick(@heads_tuple) <> back

  defp change(5, front, back, _others) do
    head = pick(@heads_tuple)
    front <> head <> drop(back, byte_size(head))
  end

  defp change(6, front, back, others) do
    other = pick(others)
    piece = drop(other, below(byte_size(other) + 1))
    front <> take(piece, pick({4, 16, 64, 65_536})) <> back
  end

  defp change(7, front, back, _others),
    do: front <> :binary.copy(take(back, 32), pick({1, 2, 300})) <> back

  defp drop(data, n), do: binary_part(data, min(n, byte_size(data)), max(byte_size(data) - n, 0))
  defp take(data, n), do: binary_part(data, 0, min(n, byte_size(data)))
end

defmodule Fuzz.Frames do
  # A ring of this VM alone, and its memory as a hostile peer has it.
  @header 64

  def new(name, lease) do
    path = Path.join(System.tmp_dir!(), "slipring-fuzz-#{System.pid()}-#{name}")
    ring = Slipring.create!({:path, path}, capacity: {2, :mib}, slots: 8)
    {:ok, file} = :file.open(path, [:read, :write, :raw, :binary])
    frames = {Slipring.producer!(ring), Slipring.consumer!(ring, lease: lease), file, path}
    {frames, fn -> File.rm(path) end}
  end

  # Whether the frame of this header and body is read.
  def read({tx, rx, file, path}, {format, version, flags, code}, body) do
    Slipring.send!(tx, body)
    at = place(file, path, body)
    :ok = :file.pwrite(file, at - @header, <<format, version, flags::16-little, code::16-little>>)
    frame = Slipring.recv!(rx, 0)

    looks = [
      fn -> Slipring.Frame.value(frame) end,
      fn ->
        Slipring.Frame.value(frame,
          keys: :existing_atoms,
          nan: :error,
          uuid: :string,
          structs: false
        )
      end,
      fn -> Slipring.Frame.describe(frame) end
    ]

    read = Enum.all?(looks, &Fuzz.read?/1)
    Slipring.Frame.release(frame)
    read
  end

  # Where the body lies: mostly where the last one of about its length did.
  defp place(file, path, body) do
    length = byte_size(body)
    key = {path, length |> div(64) |> Integer.digits(2) |> length()}
    places = Process.get(key, [])
    read = fn at -> :file.pread(file, at - @header + 16, 48 + length) end
    at = Enum.find(places, &lies?(read.(&1), length, body)) || search(path, length, body)
    Process.put(key, [at | List.delete(places, at)])
    at
  end

  defp lies?({:ok, <<length::64-little, _rest::binary-size(40), body::binary>>}, length, body),
    do: true

  defp lies?(_read, _length, _body), do: false

  # By the length in its header, since bodies may hold themselves.
  defp search(path, length, body) do
    memory = File.read!(path)

    at =
      Enum.find_value(:binary.matches(memory, <<length::64-little>>), fn {said, 8} ->
        at = said - 16 + @header

        if at + length <= byte_size(memory) and binary_part(memory, at, length) == body,
          do: at
      end)

    true = is_integer(at)
    at
  end
end

defmodule Fuzz do
  alias Fuzz.{Frames, Mutation}
  alias Slipring.Error

  def main(args) do
    {options, [seconds, folder, seeds], []} =
      OptionParser.parse(args, strict: [seed: :integer, try: :string])

    Logger.configure(level: :error)

    {frames, clean} =
      [copied: :never, leased: :always]
      |> Enum.map(fn {name, lease} -> Frames.new(name, lease) end)
      |> Enum.unzip()

    try do
      case options[:try] do
        nil -> run(String.to_integer(seconds), folder, seeds, options[:seed], frames)
        file -> again(File.read!(file), frames)
      end
    after
      Enum.each(clean, & &1.())
    end
  end

  defp again(
         <<kind::binary-size(5), format, version, flags::16-little, code::16-little,
           length::32-little, rest::binary>>,
         frames
       ) do
    {kind, data} = {String.trim_trailing(kind, "\0"), binary_part(rest, 0, length)}
    fields = {format, version, flags, code}
    said = if tried(frames, kind, fields, data), do: "read", else: "refused"
    IO.puts("#{kind} #{inspect(fields)} #{Base.encode16(data, case: :lower)}: #{said}")
  end

  defp run(seconds, folder, seeds, seed, frames) do
    File.mkdir_p!(folder)
    seed = seed || :rand.uniform(4_294_967_296)
    IO.puts("beam-values: seed #{seed}")
    :rand.seed(:exsss, seed)

    {values, bodies} =
      seeds
      |> File.stream!()
      |> Enum.map(&String.split/1)
      |> Enum.split_with(&match?(["-" | _], &1))

    values = List.to_tuple(for [_, _, _, hex] <- values, do: unhex(hex))

    bodies =
      for [format, flags, code, hex] <- bodies do
        [format, flags, code] = Enum.map([format, flags, code], &String.to_integer/1)
        {format, flags, code, unhex(hex)}
      end

    # A pickle alone.
    refused =
      for {format, flags, code, body} <- bodies,
          not tried(frames, "body", {format, 1, flags, code}, body),
          do: body

    true = length(refused) < 5

    last = Path.join(folder, "beam-last")
    {:ok, record} = :file.open(last, [:write, :raw, :binary])

    state = %{
      folder: folder,
      frames: frames,
      values: values,
      bodies: List.to_tuple(bodies),
      record: record
    }

    state = Map.put(state, :only, List.to_tuple(for {_, _, _, body} <- bodies, do: body))
    counts = loop(state, System.monotonic_time(:millisecond) + 1000 * seconds, %{})
    File.rm!(last)

    said =
      for {{kind, read?}, n} <- Enum.sort(counts),
          do: "#{n} #{if read?, do: "good", else: "bad"} #{kind}"

    IO.puts("beam-values: #{Enum.join(said, ", ")}")
    # Both happen of each, else it is not much of a test.
    true = map_size(counts) == 4 and Enum.all?(counts, fn {_kind, n} -> n > seconds end)
  end

  defp unhex(""), do: ""
  defp unhex(hex), do: Base.decode16!(hex, case: :lower)

  defp loop(state, until, counts) do
    if System.monotonic_time(:millisecond) > until,
      do: counts,
      else:
        loop(state, until, Enum.reduce(1..200, counts, fn _, counts -> one(state, counts) end))
  end

  defp one(state, counts) do
    {kind, {format, version, flags, code} = fields, data} = input(state)

    packed =
      <<String.pad_trailing(kind, 5, "\0")::binary, format, version, flags::16-little,
        code::16-little, byte_size(data)::32-little, data::binary>>

    :ok = :file.pwrite(state.record, 0, packed)

    try do
      tried(state.frames, kind, fields, data)
    rescue
      error -> broken(state, packed, Exception.format(:error, error, __STACKTRACE__))
    else
      read? -> Map.update(counts, {kind, read?}, 1, &(&1 + 1))
    end
  end

  @spec broken(map, binary, String.t()) :: no_return
  defp broken(state, packed, why) do
    digest = :crypto.hash(:sha256, packed) |> Base.encode16(case: :lower) |> binary_part(0, 16)
    found = Path.join(state.folder, "beam-#{digest}")
    File.write!(found, packed)
    IO.puts("#{why}\nbeam-values: a promise is broken by #{found}")
    exit({:shutdown, 1})
  end

  defp input(state) do
    if Mutation.below(10) < 6 do
      {"value", {0, 0, 0, 0}, Mutation.mutate(Mutation.pick(state.values), state.values)}
    else
      {format, flags, code, body} = Mutation.pick(state.bodies)
      version = if Mutation.below(100) == 0, do: 2, else: 1

      fields =
        if Mutation.below(5) == 0,
          do:
            {Mutation.below(7), version, Mutation.below(64), Mutation.pick({0, 5, code, 0x6608})},
          else: {format, version, flags, code}

      # A frame without bytes is found by nothing.
      data = Mutation.mutate(body, state.only)
      {"body", fields, if(data == "", do: <<0>>, else: data)}
    end
  end

  defp tried(_frames, "value", _fields, data) do
    case Slipring.decode(data) do
      {:ok, term} ->
        {:ok, _} = Slipring.decode(data, keys: :existing_atoms, uuid: :string, structs: false)
        stable(term)
        true

      {:error, %Error{reason: :decode, offset: offset, path: "$" <> _, hint: hint}}
      when offset <= byte_size(data) and is_binary(hint) ->
        false
    end
  end

  defp tried(frames, "body", fields, data),
    do: frames |> Enum.map(&Frames.read(&1, fields, data)) |> Enum.all?()

  defp stable(term) do
    # What only the other form had room for is refused.
    with {:ok, written} <- Slipring.encode(term) do
      {:ok, same} = Slipring.decode(written)
      {:ok, again} = Slipring.encode(same)
      if again != written, do: raise("#{inspect(written)} is written as #{inspect(again)}")
    end
  end

  def read?(look) do
    look.()
    true
  rescue
    error in Error ->
      true = error.reason in [:decode, :untrusted_pickle]
      false
  end
end

Fuzz.main(System.argv())

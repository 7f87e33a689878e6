defmodule Slipring do
  @moduledoc """
  Typed frames between processes on one machine, through shared memory.

  A ring is a segment of shared memory with a name. One process sends into it, another receives, or
  many on either side; each may be written in Elixir, Python or Rust, and any may be killed at any
  instruction: the others go on, and another takes its place.

      iex> ring = Slipring.create!("camera-doc", capacity: {8, :mib})
      iex> tx = Slipring.producer!(ring)
      iex> Slipring.send(tx, "hello", meta: %{site: 4})
      :ok
      iex> rx = Slipring.consumer!("camera-doc")
      iex> {:ok, frame} = Slipring.recv(rx, 1_000)
      iex> {Slipring.Frame.value(frame), frame.meta}
      {"hello", %{"site" => 4}}

  What can be sent: any term but pids, ports, references, functions and bitstrings of odd bits. A
  binary goes as it is, a `Slipring.Tensor` as an array, a `Slipring.Table` as one, everything else as a value, in which Python and
  Rust find their own types: numbers of any size, binaries, atoms, lists, tuples, maps, sets, ranges,
  dates and times, decimals, tensors. Structs of your own take part by `Slipring.Encodable`.

      iex> order = %{id: 17, day: ~D[2026-11-21], items: [{"bolt", 200}, {"nut", 200}]}
      iex> order |> Slipring.encode!() |> Slipring.decode!() == order
      true

  ## Handles

  A producer and a consumer belong to the process that made them, and are closed when it ends;
  `controlling_process/2` hands them to another one. Any process may use them. A ring, and what was
  received of it, may be held by anybody; the segment is left when the last of them is closed or
  garbage. Its name goes with the last process that leaves it, if no frame waits in it.

  ## Acknowledgement

  A frame goes to one consumer. With `ack: :manual` it is that one's to acknowledge, see `ack/1`; what
  is not acknowledged when its consumer or its process ends is delivered again.

  ## Waiting

  No function blocks a scheduler: who waits for a frame, or for room, waits for a message from a thread
  that watches all rings. Timeouts are milliseconds, `:infinity`, or 0 not to wait at all.

  ## Errors

  Functions answer `{:error, %Slipring.Error{}}`, and those with a bang raise it. Wrong arguments raise
  an `ArgumentError` that says what was expected.
  """

  alias Slipring.{
    Consumer,
    Error,
    Explanation,
    Feeder,
    Frame,
    Native,
    Options,
    Producer,
    Receiving,
    Ring,
    Schemas,
    Sending,
    Structs,
    Table,
    Value,
    Waiting
  }

  @typedoc "The name of a ring in shared memory, or the path of a file."
  @type address :: String.t() | {:path, Path.t()}
  @type active :: false | true | :once | :notify | -32_768..32_767
  @type failure :: {:error, Error.t()}
  @type counts :: %{atom => %{frames: pos_integer, bytes: non_neg_integer}}

  # How long closing waits for the segment to be unmapped.
  @patience 5_000

  @create [
    mode: {"spsc", &Options.mode/1},
    slots: {nil, &Options.count/1},
    cell: {nil, &Options.bytes/1},
    capacity: {nil, &Options.bytes/1},
    populate: {false, &Options.boolean/1},
    keep: {false, &Options.boolean/1},
    drop_oldest: {false, &Options.boolean/1},
    max_deliveries: {nil, &Options.byte/1},
    share: {nil, &Options.byte/1},
    schemas: {nil, &Options.schemas/1}
  ]
  @supervised [
    ring: {nil, &Options.any/1},
    name: {nil, &Options.any/1},
    replace: {false, &Options.boolean/1}
  ]
  @open [wait: {0, &Options.timeout/1}]
  @consumer [
    active: {false, &Options.active/1},
    lease: {:auto, &Options.lease/1},
    ack: {:auto, &Options.ack/1},
    limit: {nil, &Options.limit/1}
  ]
  # Frames that may be open, where nothing else is said.
  @limit 1024
  @send_many [
    timeout: {:infinity, &Options.timeout/1},
    drop_oldest: {false, &Options.boolean/1},
    format: {:auto, &Options.format/1},
    binaries: {:auto, &Options.binaries/1},
    schema: {nil, &Options.schema/1}
  ]
  @send [{:meta, {nil, &Options.meta/1}} | @send_many]
  @announce [version: {nil, &Options.version/1}, breaking: {false, &Options.boolean/1}]
  @expect [
    version: {nil, &Options.version/1},
    oldest: {1, &Options.version/1},
    migrations: {%{}, &Options.migrations/1}
  ]

  # Rings ------------------------------------------------------------------------------------------

  @doc """
  Makes a ring and attaches to it. The address is a name, or `{:path, path}` for a file.

    * `:mode` - how many ends of either kind there may be at once: `:spsc`, the default and the fastest,
      has a single producer and a single consumer, `:mpsc` many producers, `:spmc` many consumers,
      `:mpmc` many of both
    * `:slots` - frames that can wait in it, a power of two; default 1024
    * `:capacity` - the pool for larger frames, in bytes or as `{64, :mib}`, the default
    * `:cell` - the longest body in bytes that travels without the pool; default 192
    * `:populate` - take all memory now; default false
    * `:keep` - keep the name when the last process has left; default false
    * `:max_deliveries` - how often a frame that was not acknowledged is delivered again before it is a
      dead letter (`recv_dead/1`); default 5
    * `:drop_oldest` - let `send/3` drop what waits longest; not with `:spsc`; default false
    * `:share` - the part of the pool that one OS process may hold, in percent: with so much it sends no more by the pool, and with
      so much in frames that it leases, or has not acknowledged, it receives no more (`:share_held`); default all for a ring with one producer, else 50
    * `:schemas` - how many schemas `announce/4` has room for, at most 4096; default 256

          iex> {:error, error} = Slipring.create("no/name")
          iex> error.reason
          :invalid_name
  """
  @spec create(address, keyword) :: {:ok, Ring.t()} | failure
  def create(address, options \\ []) do
    options = Options.check!(options, @create)
    {named?, text} = address(address)
    ring(Native.create(named?, text, options), :create, text)
  end

  @doc """
  Attaches to a ring that is there. With `wait: ms`, or `:infinity`, it waits for it.

      iex> {:error, error} = Slipring.open("nowhere-doc", wait: 10)
      iex> error.reason
      :not_found
  """
  @spec open(address, keyword) :: {:ok, Ring.t()} | failure
  def open(address, options \\ []) do
    %{wait: wait} = Options.check!(options, @open)
    {named?, text} = address(address)
    open_until(named?, text, Waiting.deadline(wait))
  end

  defp open_until(named?, text, deadline) do
    with {:error, %{reason: :not_found}} = missing <-
           ring(Native.open(named?, text), :open, text) do
      case Waiting.left(deadline) do
        0 ->
          missing

        left ->
          Process.sleep(min(left, 5))
          open_until(named?, text, deadline)
      end
    end
  end

  defp ring({:ok, ref}, _operation, text), do: {:ok, %Ring{ref: ref, name: text}}

  defp ring({:error, fault}, operation, text),
    do: {:error, Error.new(fault, operation, text)}

  @doc """
  The names of the rings in shared memory.

      iex> ring = Slipring.create!("list-doc")
      iex> "list-doc" in Slipring.list()
      true
      iex> Slipring.close(ring)
      iex> "list-doc" in Slipring.list()
      false
  """
  @spec list() :: [String.t()]
  defdelegate list, to: Native

  @doc """
  Removes a ring's name. Processes that are attached keep the ring until they leave it.
  """
  @spec unlink(address) :: :ok | failure
  def unlink(address) do
    {named?, text} = address(address)
    result(Native.unlink(named?, text), :unlink, text)
  end

  @doc """
  What is in a ring, from all processes: `:path`, `:mode`, `:size` in bytes, `:slots`, `:cell`,
  `:capacity`, `:finished`, `:head` and `:tail` (frames ever taken and sent), `:waiting`, the pool's
  chunks, frames that are `:filling`, `:offered` and `:held`, that wait to be delivered again
  (`:returned`), that are `:dead` letters, and that were ever `:dropped`; and the `:processes`, each with
  its OS `:pid`, whether it is `:alive`, and whether it `:produces` or `:consumes`; and the `:schemas`, as
  `schemas/1` gives them.

  And what this VM has out of it: `:leases` and `:leased`, how many frames and bytes are held in
  place, and `:copied`, how many large ones were copied because too much was held (see `:lease` in
  `consumer/2`).

  By name it looks from outside and changes nothing.

      iex> ring = Slipring.create!("info-doc")
      iex> :ok = Slipring.send(Slipring.producer!(ring), "one")
      iex> {:ok, info} = Slipring.info("info-doc")
      iex> {info.waiting, info.finished}
      {1, false}
      iex> Slipring.unlink!("info-doc")
      :ok
  """
  @spec info(Ring.t() | address) :: {:ok, map} | failure
  def info(%Ring{ref: ref, name: name}), do: result(Native.info(ref), :info, name)

  def info(address) do
    {named?, text} = address(address)
    result(Native.inspect(named?, text), :info, text)
  end

  @doc """
  The schemas that a ring keeps for its frames, in the order in which they were added. Each has its
  `:id`, which frames name, `:kind` (the number of the format whose bodies it describes), `:name`, `:version`
  (0 for a name of which there is no version yet), `:size` in bytes, `:created_ns`, and `:wanted`: the
  oldest and the newest version that all consumers read which have said so, or `nil`.

      iex> ring = Slipring.create!("schemas-doc")
      iex> Slipring.schemas(ring)
      {:ok, []}
      iex> Slipring.unlink!("schemas-doc")
      :ok
  """
  @spec schemas(Ring.t() | address) :: {:ok, [map]} | failure
  def schemas(%Ring{ref: ref, name: name}), do: result(Native.schemas(ref), :schemas, name)

  def schemas(address) do
    {named?, text} = address(address)
    found = result(Native.inspect(named?, text), :schemas, text)
    with {:ok, info} <- found, do: {:ok, info.schemas}
  end

  @doc """
  Announces a version of a schema: the ring keeps it, and tables can be sent under it.

  The schema is that of a table, or a list of `{name, type}`, `{name, type, %{nullable: false, metadata: %{...}}}`
  (types as `Slipring.Column` lists them) or of columns. Answers the
  schema as `schemas/1` lists it.

    * `:version` - from 1 on; needed
    * `:breaking` - whether it may break the rules by which it follows the version before it; default false

  By these rules (`docs/evolution.md`), whoever expects a version can be given what was written as the one before it. What
  breaks them is an error with the reason `:schema`: its `path` is the first column that does, `got` the older version,
  `expected` the newer one, and the message tells all such columns. Announced again, a version must be the same.

      iex> ring = Slipring.create!("announce-doc")
      iex> {:ok, weather} = Slipring.announce(ring, "weather", [id: {:s, 32}, temp: {:f, 32}], version: 1)
      iex> table = Slipring.Table.new([temp: [21.5, nil], id: [7, 8]], types: [temp: {:f, 32}, id: {:s, 32}])
      iex> Slipring.send(Slipring.producer!(ring), table, schema: weather)
      :ok
      iex> ring |> Slipring.consumer!() |> Slipring.recv!() |> Slipring.Frame.value() |> Slipring.Table.names()
      ["id", "temp"]
      iex> {:error, error} = Slipring.announce(ring, "weather", [id: {:s, 64}, temp: {:s, 64}], version: 2)
      iex> {error.reason, error.path, error.got, error.expected}
      {:schema, "$.columns.temp", 1, 2}
  """
  @spec announce(Ring.t(), String.t(), Table.t() | Enumerable.t(), keyword) ::
          {:ok, map} | failure
  def announce(ring, name, schema, options \\ [])

  def announce(%Ring{ref: ref, name: ring}, name, schema, options) when is_binary(name) do
    %{version: version, breaking: breaking} = Options.check!(options, @announce)

    unless version do
      raise ArgumentError, "Slipring.announce/4 needs the option :version, a number from 1 on"
    end

    ref
    |> Native.announce(name, Table.Asked.announced(schema), version, breaking)
    |> result(:announce, ring)
  end

  def announce(%Ring{}, other, _schema, _options),
    do: wrong!("announce/4", "the name of a schema", other)

  def announce(other, _name, _schema, _options),
    do: wrong!("announce/4", "a Slipring.Ring", other)

  @doc """
  Ends the sending, for all processes: consumers get `:closed` when they have taken what is there.
  """
  @spec finish(Ring.t() | address) :: :ok | failure
  def finish(%Ring{ref: ref, name: name}), do: result(Native.finish(ref), :finish, name)

  def finish(address) when is_binary(address) or is_tuple(address) do
    with {:ok, ring} <- open(address) do
      finished = finish(ring)
      close(ring)
      finished
    end
  end

  def finish(other), do: wrong!("finish/1", "a Slipring.Ring or a ring's address", other)

  @doc """
  Keeps what is in use of the ring in memory from now on, within the limit of `ulimit -l`. An error (`:os`)
  beyond it, and before Linux 4.4.
  """
  @spec lock_memory(Ring.t()) :: :ok | failure
  def lock_memory(%Ring{ref: ref, name: name}) do
    result(Native.lock_memory(ref), :lock_memory, name)
  end

  def lock_memory(other), do: wrong!("lock_memory/1", "a Slipring.Ring", other)

  @doc """
  Asks the system to map the ring by huge pages in this VM, where it can. An error (`:os`) where the kernel was built
  without them.
  """
  @spec use_huge_pages(Ring.t()) :: :ok | failure
  def use_huge_pages(%Ring{ref: ref, name: name}) do
    result(Native.use_huge_pages(ref), :use_huge_pages, name)
  end

  def use_huge_pages(other), do: wrong!("use_huge_pages/1", "a Slipring.Ring", other)

  @doc """
  Gives the memory of the pool that is in no use back to the system. Answers how many bytes.

      iex> ring = Slipring.create!("trim-doc", capacity: {4, :mib})
      iex> Slipring.trim(Slipring.producer!(ring))
      {:ok, 0}
  """
  @spec trim(Producer.t()) :: {:ok, non_neg_integer} | failure
  def trim(%Producer{ref: ref, ring: name}) do
    case Native.trim(ref) do
      :busy -> {:ok, 0}
      trimmed -> result(trimmed, :trim, name)
    end
  end

  def trim(other), do: wrong!("trim/1", "a Slipring.Producer", other)

  @doc """
  Closes a ring's handle, a producer or a consumer. Closing what is closed does nothing.

  When nothing in this VM refers to the segment any more it has been left when this returns.
  """
  @spec close(Ring.t() | Producer.t() | Consumer.t()) :: :ok
  def close(%Ring{ref: ref}), do: close_with(&Native.close_ring(ref, &1))
  def close(%Producer{ref: ref}), do: close_with(&Native.close_producer(ref, &1))

  def close(%Consumer{ref: ref} = consumer) do
    close_with(fn tag ->
      # What it reads of schemas is taken back.
      with :large <- Native.close_consumer(ref, tag), do: Native.close_consumer_large(ref, tag)
    end)

    Feeder.stop(consumer)
  end

  def close(other) do
    wrong!("close/1", "a Slipring.Ring, Slipring.Producer or Slipring.Consumer", other)
  end

  defp close_with(close) do
    tag = make_ref()

    if close.(tag) == :last do
      receive do
        {^tag, :detached} -> :ok
      after
        @patience -> :ok
      end
    else
      :ok
    end
  end

  @doc """
  For a supervisor: makes the ring, or takes it over where an earlier life left it, with the frames in
  it, and keeps it.

    * `:ring` - its address
    * `:name` - to register the process by; default not at all
    * `:replace` - what to do about a ring that can't be taken over, because it is finished or has
      another `:mode`, `:slots`, `:cell` or `:capacity` than asked for here. `false`, the default: the process
      does not start, and its error says what differs. `true`: the ring is unlinked and made anew;
      processes that are attached keep the old one until they leave it
    * those of `create/2`

          children = [{Slipring, ring: "camera", capacity: {256, :mib}}, MyApp.Camera]
  """
  @spec child_spec(keyword) :: Supervisor.child_spec()
  def child_spec(options) do
    Options.check!(options, @supervised ++ @create)

    unless Keyword.has_key?(options, :ring) do
      raise ArgumentError, "give ring: the ring's name, beside #{inspect(options)}"
    end

    %{
      id: {__MODULE__, options[:ring]},
      start: {Slipring.Server, :start_link, [options]},
      shutdown: @patience + 1_000
    }
  end

  # Sending ----------------------------------------------------------------------------------------

  @doc """
  The producer of a ring, given by its handle or address; with an address, `wait:` as in `open/2`.

  Where its mode says so, a ring has one at a time: another one is refused while the first lives, with
  `:role_taken`. Else each process makes its own.
  """
  @spec producer(Ring.t() | address, keyword) :: {:ok, Producer.t()} | failure
  def producer(ring, options \\ [])

  def producer(%Ring{ref: ref, name: name}, options) do
    Options.check!(options, [])

    case Native.producer(ref, self()) do
      {:ok, end_ref, limit} -> {:ok, %Producer{ref: end_ref, ring: name, limit: limit}}
      {:error, fault} -> {:error, Error.new(fault, :producer, name)}
    end
  end

  def producer(address, options),
    do: with({:ok, ring} <- open(address, options), do: through(ring, &producer/1))

  # The end keeps the segment; the ring's handle has done its work.
  defp through(ring, make) do
    made = make.(ring)
    close(ring)
    made
  end

  @doc """
  Sends a term.

    * `:meta` - a map that travels with it; keys are atoms or binaries, and arrive as binaries. Values
      are those that can be sent, except structs that take part by `Slipring.Encodable`; atoms in lists
      and maps arrive as binaries
    * `:schema` - for a table: the schema that it is sent under, as `announce/4` has given it, or the name, for its newest
      version. Names and types of the columns must be the announced ones, in any order. The frame is smaller by its schema, and
      who expects another version reads it as that. A list of maps or a map of columns becomes a table of these types
    * `:timeout` - what to do about a full ring; default `:infinity`
    * `:drop_oldest` - instead of that: drop the frames that wait longest, until there is room. On a ring
      that was created for it; `info/1` counts, and the receivers see gaps in the `sequence`
    * `:format` - `:auto`, the default: a binary, a `Slipring.Tensor` and a `Slipring.Table` go as they are, `Slipring.JSON.Raw` as
      the JSON that it is, and a list of 128 maps and more as a table where it comes back the same: the same text keys, and
      under each plain values of one type. `:value`: all but tables go as values. `:json`: as JSON, as `Slipring.JSON.encode/1` writes
      it. `:arrow`: as a table, of a list of maps or a map of columns; it arrives as a `Slipring.Table`
    * `:binaries` - within a value, `:auto`, the default: as text where they are UTF-8, else as bytes.
      `:bytes`: all as bytes. `Slipring.Text` and `Slipring.Bytes` say it of one

  A frame that can never fit is refused at once, with `:too_large` and the limit; a term that has no form
  with `:unsupported_type` or `:encode` and the path to what is wrong.

      iex> tx = "send-doc" |> Slipring.create!() |> Slipring.producer!()
      iex> {:error, error} = Slipring.send(tx, %{users: [%{name: "Ada", photo: self()}]})
      iex> {error.reason, error.path, error.got}
      {:unsupported_type, "$.users[0].photo", "pid"}
  """
  @spec send(Producer.t(), term, keyword) :: :ok | failure
  def send(producer, term, options \\ [])

  def send(%Producer{ref: ref} = producer, term, []) when is_binary(term) do
    with outcome when outcome != :ok <- Native.send(ref, term, nil, 0, %{}, []) do
      work = {:send, term, nil, 0, []}
      Sending.go_on(producer, Sending.resolve(outcome, ref, work), work, :infinity)
    end
  end

  def send(%Producer{} = producer, term, []), do: Sending.one(producer, term, nil, 0, :infinity)

  def send(%Producer{} = producer, term, options) do
    %{meta: meta, timeout: timeout} = options = checked(options, @send)

    with {:ok, term} <- Schemas.asked(term, producer, options),
         do: Sending.one(producer, term, meta, Sending.how(options), timeout)
  end

  def send(other, _term, _options), do: wrong!("send/3", "a Slipring.Producer", other)

  # Who drops does not wait.
  defp checked(options, schema) do
    case Options.check!(options, schema) do
      %{drop_oldest: true} = checked ->
        if Keyword.has_key?(options, :timeout) do
          raise ArgumentError,
                "give either :timeout or :drop_oldest, not both: nobody waits who drops"
        end

        %{checked | timeout: :drop}

      checked ->
        checked
    end
  end

  @doc """
  Sends several, in order. `{:ok, count}` says that all were sent.

  All are looked at before the first is sent: one that can't be sent, or can never fit, is an error
  whose `path` has its index, and nothing is sent. What happens later stops the sending (`:timeout`,
  `:full` with a timeout of 0, `:closed`, ...); the error's `sent` says how many went before it.

  Options: `:timeout`, for all of them together, or `:drop_oldest`; `:format`, `:binaries` and `:schema`, as in `send/3`. By its
  name, all go under the version that is the newest now.

      iex> ring = Slipring.create!("many-doc", slots: 8)
      iex> tx = Slipring.producer!(ring)
      iex> Slipring.send_many(tx, ["a", "b", "c"])
      {:ok, 3}
      iex> {:error, error} = Slipring.send_many(tx, Enum.map(1..10, &<<&1>>), timeout: 0)
      iex> {error.reason, error.sent}
      {:full, 5}
      iex> Slipring.unlink!("many-doc")
      :ok
  """
  @spec send_many(Producer.t(), Enumerable.t(), keyword) :: {:ok, non_neg_integer} | failure
  def send_many(producer, terms, options \\ [])

  def send_many(%Producer{ring: ring} = producer, terms, options) do
    %{timeout: timeout} = options = checked(options, @send_many)
    how = Sending.how(options)

    terms =
      if Enumerable.impl_for(terms),
        do: Enum.to_list(terms),
        else: wrong!("send_many/3", "a list, or another Enumerable, of what is sent", terms)

    with {:ok, terms} <- Schemas.all_asked(terms, producer, options),
         {:ok, terms} <- Sending.checked(producer, terms, how) do
      Sending.many(producer, terms, how, timeout)
    else
      {:error, %Error{} = error} -> {:error, %{error | operation: :send_many, sent: 0}}
      {:error, fault} -> {:error, %{Error.new(fault, :send_many, ring) | sent: 0}}
    end
  end

  def send_many(other, _terms, _options),
    do: wrong!("send_many/3", "a Slipring.Producer", other)

  @doc """
  The oldest and the newest version of a schema that all consumers of the ring read which have said so by `expect/4`: `{:ok, {oldest,
  newest}}`, the first greater where there is none that all read, or `{:ok, nil}` where nobody has.

  A producer may send a version within it for as long as an old consumer is there. It looks at each process: ask once for a batch,
  not for a small frame. A process that was killed counts for a tenth of a second at most.

      iex> ring = Slipring.create!("wanted-doc")
      iex> tx = Slipring.producer!(ring)
      iex> Slipring.wanted(tx, "weather")
      {:ok, nil}
      iex> rx = Slipring.consumer!(ring)
      iex> Slipring.expect(rx, "weather", [id: {:s, 64}], version: 3, oldest: 2)
      :ok
      iex> Slipring.wanted(tx, "weather")
      {:ok, {2, 3}}
      iex> Slipring.close(rx)
      iex> Slipring.wanted(tx, "weather")
      {:ok, nil}
  """
  @spec wanted(Producer.t(), String.t()) :: {:ok, {pos_integer, pos_integer} | nil} | failure
  def wanted(%Producer{ref: ref, ring: ring}, name) when is_binary(name),
    do: result(Native.wanted(ref, name), :wanted, ring)

  def wanted(%Producer{}, other), do: wrong!("wanted/2", "the name of a schema", other)
  def wanted(other, _name), do: wrong!("wanted/2", "a Slipring.Producer", other)

  @doc """
  How many frames a producer has dropped to make room (`:drop_oldest` in `send/3`). `info/1` has those of all.

      iex> ring = Slipring.create!("dropped-doc", mode: :mpmc, slots: 8, drop_oldest: true)
      iex> tx = Slipring.producer!(ring)
      iex> Slipring.send_many!(tx, Enum.map(1..11, &<<&1>>), drop_oldest: true)
      iex> {Slipring.dropped(tx), Slipring.dropped(Slipring.producer!(ring)), Slipring.info!(ring).dropped}
      {{:ok, 3}, {:ok, 0}, 3}
      iex> Slipring.unlink!("dropped-doc")
      :ok
  """
  @spec dropped(Producer.t()) :: {:ok, non_neg_integer} | failure
  def dropped(%Producer{ref: ref, ring: ring}), do: result(Native.dropped(ref), :dropped, ring)
  def dropped(other), do: wrong!("dropped/1", "a Slipring.Producer", other)

  # Values without a ring --------------------------------------------------------------------------

  @doc """
  A term as bytes: the value that `send/3` would send, with nothing out of line. It is CBOR (RFC 8949),
  which others can read; Python's `slipring.encode` gives the same.

  Option: `:binaries`, as in `send/3`.

      iex> Slipring.encode(%{"a" => [1, 2.5]})
      {:ok, <<0xA1, 0x61, "a", 0x82, 1, 0xFB, 2.5::float>>}
      iex> {:error, error} = Slipring.encode([1 | 2])
      iex> {error.reason, error.path}
      {:encode, "$"}
  """
  @spec encode(term, keyword) :: {:ok, binary} | failure
  def encode(term, options \\ []), do: Value.encode(term, options)

  @doc """
  The term of such bytes, or of any CBOR.

  Options: as of `Slipring.Frame.value/2`. Byte strings of 64 KiB and more, and the data of tensors from
  256 bytes on, are parts of the binary and keep it.

      iex> Slipring.decode(<<0xA1, 0x61, "a", 0x82, 1, 0xF9, 0x7E00::16>>)
      {:ok, %{"a" => [1, :nan]}}
      iex> {:error, error} = Slipring.decode(<<0x82, 1, 0x61, 0xFF>>)
      iex> {error.reason, error.path, error.offset}
      {:decode, "$[1]", 3}
  """
  @spec decode(binary, keyword) :: {:ok, term} | failure
  def decode(bytes, options \\ [])
  def decode(bytes, options) when is_binary(bytes), do: Value.decode(bytes, options)
  def decode(other, _options), do: wrong!("decode/2", "a binary", other)

  @doc """
  Gives the struct of a module a name on the wire: it is sent as an object of that name, and objects that
  arrive with it become the struct. For structs that don't derive `Slipring.Encodable`; those that do are
  registered by themselves, as soon as one is sent or its name arrives.

  Options: `:name`, `:version`, `:only` and `:except`, as there; and `:migrations`, functions from the fields of a version
  to those of the next, by the version that each starts from (`%{1 => &to_two/1}`; see `Slipring.Object`). Raises an
  `ArgumentError` if another module has the name.

      iex> Slipring.register(URI, name: "uri", only: [:scheme, :host])
      :ok
      iex> Slipring.decode!(Slipring.encode!(%URI{scheme: "https", host: "example.org", port: 443}))
      %URI{scheme: "https", host: "example.org"}
  """
  @spec register(module, keyword) :: :ok
  def register(module, options \\ []) do
    unless is_atom(module) and Code.ensure_loaded?(module) and
             function_exported?(module, :__struct__, 0),
           do: wrong!("register/2", "a module that has a struct", module)

    {migrations, options} =
      if Keyword.keyword?(options),
        do: Keyword.pop(options, :migrations, %{}),
        else: {%{}, options}

    {_name, version, _fields} = type = Structs.type!(module, module.__struct__(), options)
    migrations = Structs.migrations!(migrations, version)

    with {:taken, other} <- Structs.register(module, type, migrations) do
      raise ArgumentError,
            "the name #{inspect(elem(type, 0))} is taken by #{inspect(other)}: give another name:"
    end
  end

  # Receiving --------------------------------------------------------------------------------------

  @doc """
  The consumer of a ring, given by its handle or address; with an address, `wait:` as in `open/2`.

    * `:active` - how frames come, as with `:gen_tcp`; default `false`
      * `false` - when asked for: `recv/2`, `recv_many/3`, `stream/2`
      * `true` - as messages `{:slipring, consumer, frame}` to the owner, as fast as it takes them
      * `:once` - one message, then passive again
      * a number - so many messages, then `{:slipring_passive, consumer}`; numbers add up
      * `:notify` - one message `{:slipring_readable, consumer}`, for who then calls `recv_many/3`

      When the ring is finished `{:slipring_closed, consumer}` comes, and when something is wrong
      `{:slipring_error, consumer, error}`.
    * `:lease` - what becomes of a frame's bytes; default `:auto`
      * `:auto` - copied up to 64 KiB; beyond, they stay in the segment until the frame is garbage or
        released, unless 8 frames or a quarter of the pool are held in this way already. Before one is copied for that, the
        calling process' young garbage is collected
      * `:always` - they stay in the segment
      * `:never` - copied
    * `:ack` - default `:auto`
      * `:auto` - a frame is acknowledged as it is taken: delivered once at most
      * `:manual` - a frame is delivered again until `ack/1`: once at least
    * `:limit` - with `ack: :manual`, how many frames may be open, neither acknowledged nor given back;
      default 1024. With so many there are no more: `:unacknowledged`, and an active consumer sends no
      more messages. A small one shares the work evenly among many consumers

  When a consumer is closed or garbage, or its owner ends, what is open is given back at once. So keep
  the consumer as long as its frames.

      iex> ring = Slipring.create!("many-consumers-doc", mode: :mpmc)
      iex> Slipring.send_many!(Slipring.producer!(ring), ["a", "b"])
      iex> [one, two] = for _ <- 1..2, do: Slipring.consumer!(ring, ack: :manual, limit: 1)
      iex> a = Slipring.recv!(one)
      iex> {Slipring.Frame.value(a), a.redeliveries}
      {"a", 0}
      iex> {:error, error} = Slipring.recv(one, 0)
      iex> {error.reason, error.expected}
      {:unacknowledged, 1}
      iex> Slipring.close(one)
      iex> {:error, error} = Slipring.ack(a)
      iex> error.reason
      :given_back
      iex> frame = Slipring.recv!(two)
      iex> {Slipring.Frame.value(frame), frame.redeliveries}
      {"a", 1}
      iex> Slipring.ack!(frame)
      iex> Slipring.ack!(Slipring.recv!(two))
      iex> Slipring.unlink!("many-consumers-doc")
      :ok
  """
  @spec consumer(Ring.t() | address, keyword) :: {:ok, Consumer.t()} | failure
  def consumer(ring, options \\ [])

  def consumer(%Ring{ref: ref, name: name}, options) do
    %{active: active, lease: lease} = options = Options.check!(options, @consumer)

    case Native.consumer(ref, self(), lease, limit(options)) do
      {:ok, end_ref} ->
        consumer = %Consumer{ref: end_ref, ring: name}
        if active != false, do: active(consumer, active)
        {:ok, consumer}

      {:error, fault} ->
        {:error, Error.new(fault, :consumer, name)}
    end
  end

  def consumer(address, options) do
    Options.check!(options, @open ++ @consumer)
    {open, own} = Keyword.split(options, [:wait])
    with {:ok, ring} <- open(address, open), do: through(ring, &consumer(&1, own))
  end

  defp limit(%{ack: :manual, limit: limit}), do: limit || @limit
  defp limit(%{ack: :auto, limit: nil}), do: nil
  defp limit(_both), do: raise(ArgumentError, "limit: goes with ack: :manual only")

  @doc """
  Reads tables that are sent under a name as this schema from now on, whichever version was written: columns by name or former
  name, widened, dropped, or filled in, by the rules of `docs/evolution.md`. What stays as it was is not copied.

  The schema is given as in `announce/4`. It need not have been announced.

    * `:version` - that of the schema, from 1 on; needed
    * `:oldest` - older tables are refused; default 1. Producers see from which version to which one is read, `wanted/2`, until the
      consumer is closed or its owner ends
    * `:migrations` - functions by the version that each starts from, `%{1 => fun, 2 => fun}`: each takes a `Slipring.Table` of its
      version, and gives one of the next, or a list of maps, or a map of columns. An older table goes through them from its own version
      on, one after the other, in the process that asks for its value

  A table that can't be read so is an error of its frame, with the reason `:schema`, raised by `Slipring.Frame.value/2`: its `path` is the
  first column in the way, `got` the version that was written, `expected` this one, and the `hint` names the migration that is
  needed. The ring goes on.

      iex> ring = Slipring.create!("expect-doc")
      iex> one = Slipring.announce!(ring, "weather", [id: {:s, 32}, fahrenheit: {:f, 32}], version: 1)
      iex> rx = Slipring.consumer!(ring)
      iex> celsius = fn table ->
      ...>   for row <- table, do: %{id: row["id"], celsius: (row["fahrenheit"] - 32) / 1.8}
      ...> end
      iex> Slipring.expect(rx, "weather", [id: {:s, 64}, celsius: {:f, 64}], version: 2, migrations: %{1 => celsius})
      :ok
      iex> table = Slipring.Table.new([id: [7], fahrenheit: [212]], types: [id: {:s, 32}, fahrenheit: {:f, 32}])
      iex> Slipring.send(Slipring.producer!(ring), table, schema: one)
      :ok
      iex> rx |> Slipring.recv!() |> Slipring.Frame.value() |> Enum.to_list()
      [%{"id" => 7, "celsius" => 100.0}]
  """
  @spec expect(Consumer.t(), String.t(), Table.t() | Enumerable.t(), keyword) :: :ok | failure
  def expect(consumer, name, schema, options)

  def expect(%Consumer{ref: ref, ring: ring}, name, schema, options) when is_binary(name) do
    options = Options.check!(options, @expect)
    ref |> Schemas.expect(name, schema, options) |> result(:expect, ring)
  end

  def expect(%Consumer{}, other, _schema, _options),
    do: wrong!("expect/4", "the name of a schema", other)

  def expect(other, _name, _schema, _options),
    do: wrong!("expect/4", "a Slipring.Consumer", other)

  @doc """
  Takes the next frame, waiting for it if need be.

      iex> rx = "recv-doc" |> Slipring.create!() |> Slipring.consumer!()
      iex> {:error, error} = Slipring.recv(rx, 0)
      iex> error.reason
      :empty
  """
  @spec recv(Consumer.t(), timeout) :: {:ok, Frame.t()} | failure
  def recv(consumer, timeout \\ :infinity)

  def recv(%Consumer{} = consumer, timeout),
    do: Receiving.one(consumer, Options.timeout!(timeout))

  def recv(other, _timeout), do: wrong!("recv/2", "a Slipring.Consumer", other)

  @doc """
  Waits for a frame, then takes what is there, up to `most` frames. The list ends sooner where the next one would have to be
  copied because of those in it (`:lease` in `consumer/2`).
  """
  @spec recv_many(Consumer.t(), pos_integer, timeout) :: {:ok, [Frame.t(), ...]} | failure
  def recv_many(consumer, most, timeout \\ :infinity)

  def recv_many(%Consumer{} = consumer, most, timeout) when is_integer(most) and most > 0,
    do: Receiving.many(consumer, most, Options.timeout!(timeout))

  def recv_many(%Consumer{}, most, _timeout),
    do: wrong!("recv_many/3", "a number of frames of at least 1", most)

  def recv_many(other, _most, _timeout),
    do: wrong!("recv_many/3", "a Slipring.Consumer", other)

  @doc """
  Acknowledges a frame, see `Slipring.Frame.ack/1`.
  """
  @spec ack(Frame.t()) :: :ok | failure
  defdelegate ack(frame), to: Frame

  @doc """
  Gives a frame back to be delivered again, see `Slipring.Frame.nack/1`.
  """
  @spec nack(Frame.t()) :: :ok | failure
  defdelegate nack(frame), to: Frame

  @doc """
  Takes a dead letter: a frame that was given back more often than the ring's `:max_deliveries`. It is
  then this consumer's like any other. `:empty` if there is none; nothing tells when there is one, but
  `info/1` counts them. To a consumer with `ack: :manual` it comes again and again until it is acknowledged, others only after it.

      iex> ring = Slipring.create!("dead-doc", max_deliveries: 0)
      iex> Slipring.send!(Slipring.producer!(ring), "poison")
      iex> rx = Slipring.consumer!(ring, ack: :manual)
      iex> Slipring.nack!(Slipring.recv!(rx))
      iex> {:error, %{reason: :empty}} = Slipring.recv(rx, 0)
      iex> {:ok, letter} = Slipring.recv_dead(rx)
      iex> Slipring.ack!(letter)
      iex> Slipring.Frame.value(letter)
      "poison"
  """
  @spec recv_dead(Consumer.t()) :: {:ok, Frame.t()} | failure
  def recv_dead(%Consumer{} = consumer), do: Receiving.dead(consumer)
  def recv_dead(other), do: wrong!("recv_dead/1", "a Slipring.Consumer", other)

  @doc """
  The frames as a stream, which ends when the ring is finished and empty. Raises a `Slipring.Error`
  if receiving fails.

  `:batch` is how many are taken at a time. A stream that is not read to its end loses the rest of
  its batch, so the default is 1.

      iex> ring = Slipring.create!("stream-doc")
      iex> Enum.into(["a", "b"], Slipring.producer!(ring))
      iex> rx = Slipring.consumer!(ring)
      iex> Slipring.finish(ring)
      iex> rx |> Slipring.stream() |> Enum.map(&Slipring.Frame.value/1)
      ["a", "b"]
  """
  @spec stream(Consumer.t(), keyword) :: Enumerable.t()
  def stream(consumer, options \\ [])

  def stream(%Consumer{} = consumer, options) do
    %{batch: batch} = Options.check!(options, batch: {1, &Options.count/1})

    Stream.repeatedly(fn -> recv_many(consumer, max(batch, 1)) end)
    |> Stream.transform(nil, fn
      {:ok, frames}, acc -> {frames, acc}
      {:error, %Error{reason: :closed}}, acc -> {:halt, acc}
      {:error, error}, _acc -> raise error
    end)
  end

  def stream(other, _options), do: wrong!("stream/2", "a Slipring.Consumer", other)

  @doc """
  Changes how frames come, see `consumer/2`.
  """
  @spec active(Consumer.t(), active) :: :ok
  def active(%Consumer{} = consumer, mode) do
    case Options.active(mode) do
      {:ok, mode} ->
        Feeder.set_mode(consumer, mode)

      {:error, expected} ->
        raise ArgumentError, "active is #{inspect(mode)}, but must be #{expected}"
    end
  end

  def active(other, _mode), do: wrong!("active/2", "a Slipring.Consumer", other)

  @doc """
  Hands a producer or consumer to another process. Only its owner can. Messages that came already stay
  where they are.
  """
  @spec controlling_process(Producer.t() | Consumer.t(), pid) :: :ok | failure
  def controlling_process(%Producer{ref: ref, ring: ring}, pid) when is_pid(pid),
    do: result(Native.hand_over_producer(ref, pid), :controlling_process, ring)

  def controlling_process(%Consumer{ref: ref, ring: ring} = consumer, pid) when is_pid(pid) do
    with :ok <- result(Native.hand_over_consumer(ref, pid), :controlling_process, ring),
         do: Feeder.set_owner(consumer, pid)
  end

  def controlling_process(handle, pid) when is_pid(pid) do
    expected = "a Slipring.Producer or Slipring.Consumer"
    wrong!("controlling_process/2", expected, handle)
  end

  def controlling_process(_handle, other), do: wrong!("controlling_process/2", "a pid", other)

  @doc """
  Says which format `send/3` takes for a term, why, and what the others would have cost: a
  `Slipring.Explanation`.

      iex> Slipring.explain(%{"a" => 1}).format
      :value
      iex> Slipring.explain("bytes").format
      :raw
      iex> explained = Slipring.explain([self()])
      iex> {explained.format, hd(explained.candidates).reason =~ "$[0]"}
      {nil, true}
  """
  @spec explain(term) :: Explanation.t()
  def explain(term), do: Explanation.of(term)

  @doc """
  What this VM has sent and decoded since the library was loaded, on all rings: frames and the bytes of
  their bodies, by format.

  A frame counts as sent when it stands in the ring, and as decoded each time its content is made a
  term: of a binary or a tensor that is copied, when it is taken; of one that is leased, and of every
  other term, when `Slipring.Frame.value/2` gives it.

      iex> before = get_in(Slipring.stats(), [:sent, :raw, :frames]) || 0
      iex> tx = "stats-doc" |> Slipring.create!() |> Slipring.producer!()
      iex> :ok = Slipring.send(tx, "abc")
      iex> Slipring.stats().sent.raw.frames > before
      true
      iex> Slipring.unlink!("stats-doc")
      :ok
  """
  @spec stats() :: %{sent: counts, decoded: counts}
  def stats do
    {sent, decoded} = Native.stats()
    %{sent: named(sent), decoded: named(decoded)}
  end

  defp named(counts) do
    Map.new(counts, fn {format, {frames, bytes}} -> {format, %{frames: frames, bytes: bytes}} end)
  end

  @doc """
  Has the log say, from now on or no more, in which format each frame is sent and why, and in which form
  structs travel: at the level `:debug`, with `:ring`, `:format` and `:frames` as metadata.

  It is off until it is asked for, whatever the log's level is: in development that takes all there is,
  and this is a line for each call that sends.

      iex> Slipring.log_choices(true)
      :ok
      iex> Slipring.log_choices(false)
      :ok
  """
  @spec log_choices(boolean) :: :ok
  def log_choices(on?) when is_boolean(on?), do: Native.log_choices(on?)
  def log_choices(other), do: wrong!("log_choices/1", "true or false", other)

  @doc """
  What sending took in this BEAM: maps of `format`, of `kind` (what the terms were made of: `"scalar"`, `"text"`, `"numbers"`,
  `"records"`, `"arrays"`, `"bytes"`), and of the mean `size` in bytes and `time` in microseconds. One send of 64 of each
  producer is timed.

      iex> tx = "costs-doc" |> Slipring.create!(slots: 128) |> Slipring.producer!()
      iex> for n <- 1..64, do: Slipring.send!(tx, [%{"n" => n}])
      iex> [%{kind: "records", size: size} | _] = for %{format: :value} = cost <- Slipring.costs(), do: cost
      iex> size > 0
      true
      iex> Slipring.unlink!("costs-doc")
      :ok
  """
  @spec costs() :: [%{format: atom, kind: String.t(), size: non_neg_integer, time: float}]
  def costs do
    for {format, kind, size, nanoseconds} <- Native.costs(),
        do: %{format: format, kind: kind, size: size, time: nanoseconds / 1000}
  end

  # Twins that raise -------------------------------------------------------------------------------

  @doc "As `create/2`, or raises."
  @spec create!(address, keyword) :: Ring.t()
  def create!(address, options \\ []), do: bang(create(address, options))

  @doc "As `open/2`, or raises."
  @spec open!(address, keyword) :: Ring.t()
  def open!(address, options \\ []), do: bang(open(address, options))

  @doc "As `producer/2`, or raises."
  @spec producer!(Ring.t() | address, keyword) :: Producer.t()
  def producer!(ring, options \\ []), do: bang(producer(ring, options))

  @doc "As `consumer/2`, or raises."
  @spec consumer!(Ring.t() | address, keyword) :: Consumer.t()
  def consumer!(ring, options \\ []), do: bang(consumer(ring, options))

  @doc "As `send/3`, or raises."
  @spec send!(Producer.t(), term, keyword) :: :ok
  def send!(producer, term, options \\ []), do: bang(send(producer, term, options))

  @doc "As `send_many/3`, or raises."
  @spec send_many!(Producer.t(), Enumerable.t(), keyword) :: non_neg_integer
  def send_many!(producer, terms, options \\ []),
    do: bang(send_many(producer, terms, options))

  @doc "As `wanted/2`, or raises."
  @spec wanted!(Producer.t(), String.t()) :: {pos_integer, pos_integer} | nil
  def wanted!(producer, name), do: bang(wanted(producer, name))

  @doc "As `expect/4`, or raises."
  @spec expect!(Consumer.t(), String.t(), Table.t() | Enumerable.t(), keyword) :: :ok
  def expect!(consumer, name, schema, options),
    do: bang(expect(consumer, name, schema, options))

  @doc "As `encode/2`, or raises."
  @spec encode!(term, keyword) :: binary
  def encode!(term, options \\ []), do: bang(encode(term, options))

  @doc "As `decode/2`, or raises."
  @spec decode!(binary, keyword) :: term
  def decode!(bytes, options \\ []), do: bang(decode(bytes, options))

  @doc "As `recv/2`, or raises."
  @spec recv!(Consumer.t(), timeout) :: Frame.t()
  def recv!(consumer, timeout \\ :infinity), do: bang(recv(consumer, timeout))

  @doc "As `recv_many/3`, or raises."
  @spec recv_many!(Consumer.t(), pos_integer, timeout) :: [Frame.t(), ...]
  def recv_many!(consumer, most, timeout \\ :infinity),
    do: bang(recv_many(consumer, most, timeout))

  @doc "As `recv_dead/1`, or raises."
  @spec recv_dead!(Consumer.t()) :: Frame.t()
  def recv_dead!(consumer), do: bang(recv_dead(consumer))

  @doc "As `ack/1`, or raises."
  @spec ack!(Frame.t()) :: :ok
  def ack!(frame), do: bang(ack(frame))

  @doc "As `nack/1`, or raises."
  @spec nack!(Frame.t()) :: :ok
  def nack!(frame), do: bang(nack(frame))

  @doc "As `unlink/1`, or raises."
  @spec unlink!(address) :: :ok
  def unlink!(address), do: bang(unlink(address))

  @doc "As `info/1`, or raises."
  @spec info!(Ring.t() | address) :: map
  def info!(ring), do: bang(info(ring))

  @doc "As `schemas/1`, or raises."
  @spec schemas!(Ring.t() | address) :: [map]
  def schemas!(ring), do: bang(schemas(ring))

  @doc "As `announce/4`, or raises."
  @spec announce!(Ring.t(), String.t(), Table.t() | Enumerable.t(), keyword) :: map
  def announce!(ring, name, schema, options), do: bang(announce(ring, name, schema, options))

  @doc "As `finish/1`, or raises."
  @spec finish!(Ring.t() | address) :: :ok
  def finish!(ring), do: bang(finish(ring))

  defp bang(:ok), do: :ok
  defp bang({:ok, value}), do: value
  defp bang({:error, error}), do: raise(error)

  # ------------------------------------------------------------------------------------------------

  defp result({:error, fault}, operation, ring), do: {:error, Error.new(fault, operation, ring)}
  defp result(done, _operation, _ring), do: done

  defp address(name) when is_binary(name), do: {true, name}

  defp address({:path, path}) when is_binary(path) or is_list(path),
    do: {false, IO.chardata_to_string(path)}

  defp address(other) do
    raise ArgumentError,
          "give a ring's name, {:path, path} or a handle, not #{inspect(other)}#{as_name(other)}"
  end

  defp as_name(name) when is_atom(name) and name != nil, do: as_name(Atom.to_charlist(name))

  defp as_name([_ | _] = name) do
    if List.ascii_printable?(name), do: "; a name is a binary, #{inspect(List.to_string(name))}"
  end

  defp as_name(_other), do: nil

  @spec wrong!(String.t(), String.t(), term) :: no_return
  defp wrong!(function, expected, got) do
    raise ArgumentError,
          "Slipring.#{function} takes #{expected}, not #{inspect(got)}#{instead(expected, got)}"
  end

  defp instead("a Slipring." <> kind, {:ok, _handle}),
    do: "; match {:ok, #{String.downcase(kind)}} first, or call the function with a bang"

  defp instead("a Slipring.Producer", _got), do: "; Slipring.producer!/2 makes one of a ring"
  defp instead("a Slipring.Consumer", _got), do: "; Slipring.consumer!/2 makes one of a ring"
  defp instead(_expected, _got), do: nil
end

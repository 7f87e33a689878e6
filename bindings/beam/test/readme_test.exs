defmodule Slipring.ReadmeTest do
  use Slipring.Case, async: true

  # The README's blocks of code that have `text` in them.
  defp block(text) do
    [_before | blocks] =
      __DIR__ |> Path.join("../README.md") |> File.read!() |> String.split("```elixir\n")

    code = for block <- blocks, do: block |> String.split("```") |> hd()
    Enum.find(code, &(&1 =~ text)) || raise "no code in the README has #{inspect(text)}"
  end

  defp named(code, names),
    do:
      Enum.reduce(names, code, fn {from, to}, code ->
        String.replace(code, ~s("#{from}"), ~s("#{to}"))
      end)

  test "its first frames go from one process to another (R6.1)", %{name: name} do
    first = named(block("Slipring.create!(\"camera\""), [{"camera", name}])
    image = Tensor.new(<<1, 2, 3>>, {3}, {:u, 8})
    {_done, sent} = Code.eval_string(first, image: image, a: 1, b: "two", c: {:three})
    second = named(block("wait: 5_000)\n{:ok, frame}"), [{"camera", name}])
    test = self()

    receiving =
      Task.async(fn ->
        printed =
          ExUnit.CaptureIO.capture_io(fn ->
            Kernel.send(test, {:read, elem(Code.eval_string(second), 1)})
          end)

        {printed, self()}
      end)

    assert wait_for(fn -> Slipring.info!(name).waiting == 0 end)
    Slipring.finish(sent[:ring])
    {printed, _pid} = Task.await(receiving)
    assert printed == ~s(1\n"two"\n{:three}\n)
    assert_received {:read, bindings}
    assert Frame.value(bindings[:frame]) == image
    assert bindings[:frame].meta == %{"site" => 4}
  end

  test "its arrays are what it says" do
    bindings = [pixels: :binary.copy(<<7>>, 480 * 640 * 3)]
    assert {1.5, bindings} = Code.eval_string(block("Tensor.from_list"), bindings)
    assert Tensor.size(bindings[:image]) == 921_600
  end

  test "its table of the weather is summed up by month (R2.1, R2.2)", %{name: name} do
    {_ring, tx, rx} = pair(name)
    days = [~D[2026-01-01], ~D[2026-01-02], ~D[2026-02-01]]
    Slipring.send!(tx, Slipring.Table.new(date: days, temp_max: [1.0, 2.0, 5.5]))
    Code.eval_string(block("temp_max"), tx: tx, rx: rx)

    assert Slipring.Table.to_maps(Frame.value(Slipring.recv!(rx, 1_000))) == [
             %{"month" => 1, "days" => 2, "mean" => 1.5},
             %{"month" => 2, "days" => 1, "mean" => 5.5}
           ]
  end

  test "its records become tables by themselves, or where that is asked for (R2.2)", %{
    name: name
  } do
    {_ring, tx, rx} = pair(name)

    arrived = fn term, options ->
      :ok = Slipring.send(tx, term, options)
      frame = Slipring.recv!(rx, 1_000)
      {frame.format, Frame.value(frame)}
    end

    plain = for n <- 1..128, do: %{"id" => n, "name" => "n#{n}"}
    assert arrived.(plain, []) == {:arrow, plain}
    nested = for n <- 1..128, do: %{id: n, at: %{x: n, tags: [:a]}}
    assert arrived.(nested, []) == {:value, nested}

    assert {:arrow, %Slipring.Table{} = table} = arrived.(nested, format: :arrow)
    assert table["at"].type == {:struct, [{"tags", {:list, :string}}, {"x", {:s, 64}}]}
    assert hd(Slipring.Table.to_maps(table)) == %{"id" => 1, "at" => %{"x" => 1, "tags" => ["a"]}}

    rows = [%{"a" => %{"x" => 1}}, %{"a" => %{"y" => 2.5}, "b" => [1, 2.5]}, %{}]
    {:arrow, table} = arrived.(rows, format: :arrow)

    assert Slipring.Table.to_maps(table) == [
             %{"a" => %{"x" => 1, "y" => nil}, "b" => nil},
             %{"a" => %{"x" => nil, "y" => 2.5}, "b" => [1.0, 2.5]},
             %{"a" => nil, "b" => nil}
           ]

    for {term, path, kind} <- [
          {{1, 2}, "$[1].a.x", "tuple"},
          {MapSet.new(), "$[1].a.x", "MapSet"},
          {[x: 1], "$[1].a.x[0]", "tuple"},
          {2 ** 70, "$[1].a.x", "integer"},
          {[1, "two"], "$[1].a.x[1]", "binary"}
        ] do
      rows = [%{"a" => nil}, %{"a" => %{"x" => term}}]
      assert {:error, error} = Slipring.send(tx, rows, format: :arrow)
      assert {error.path, error.got, error.operation} == {path, kind, :send}
      if kind in ["tuple", "MapSet"], do: assert(error.message =~ "of type #{kind} has no type")
      assert {:value, ^rows} = arrived.(rows, [])
    end
  end

  test "its consumer reads an older table as it expects (R2.4, R5.2)", %{name: name} do
    {ring, tx, rx} = pair(name)
    columns = [date: {:date, :day}, celsius: {:f, 32}]
    one = Slipring.announce!(ring, "weather", columns, version: 1)
    table = Slipring.Table.new([date: [~D[2026-01-01]], celsius: [0.5]], types: columns)
    Slipring.send!(tx, table, schema: one)
    {_table, bindings} = Code.eval_string(block("Slipring.expect(rx"), tx: tx, rx: rx)

    assert Slipring.Table.to_maps(bindings[:table]) == [
             %{"date" => ~D[2026-01-01], "kelvin" => 273.65}
           ]

    assert Slipring.wanted!(tx, "weather") == {1, 2}
  end

  test "its terms and structs go through a ring, and are loaded (R6.1, R5.2)", %{name: name} do
    {_ring, tx, rx} = pair(name)
    Code.eval_string(block("order = %{id: 17"), tx: tx, rx: rx)
    Code.compile_string(block("defmodule Shop.Cart"))
    order = struct(Shop.Cart, id: 17, items: [1])
    Slipring.send!(tx, Map.put(order, :cache, %{a: 1}))
    assert Frame.value(Slipring.recv!(rx, 1_000)) == order
    old = %Slipring.Object{name: "shop.cart", version: 1, fields: %{"number" => 17}}
    Slipring.send!(tx, old)
    assert Frame.value(Slipring.recv!(rx, 1_000)) == %{order | items: []}
  end

  @tag :capture_log
  test "its Python worker is started anew, and ends with the VM's side of it", %{name: name} do
    Code.compile_string(block("defmodule PythonWorker"))
    note = Path.join(System.tmp_dir!(), name)

    script = """
    import os, sys, threading
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
    threading.Event().wait()
    """

    child = {PythonWorker, ["-c", script, note]}
    {:ok, supervisor} = Supervisor.start_link([child], strategy: :one_for_one)
    [first] = eventually(fn -> pids(note, 1) end)
    {_, 0} = System.cmd("kill", ["-9", first])
    [^first, second] = eventually(fn -> pids(note, 2) end)
    Supervisor.stop(supervisor)
    eventually(fn -> {if(File.exists?("/proc/#{second}"), do: :there, else: :ok), second} end)
    File.rm!(note)
  end

  defp pids(note, count) do
    with {:ok, text} <- File.read(note),
         pids when length(pids) == count <- String.split(text),
         do: {:ok, pids}
  end

  test "its process answers, through the rings that its supervisor keeps", %{name: name} do
    {from, to} = {name <> "-images", name <> "-brighter"}
    Code.compile_string(block("defmodule Brighter"))
    rings = [{"images", from}, {"brighter", to}]
    {children, _} = Code.eval_string(named(block("children ="), rings))
    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)

    tx = Slipring.producer!(from)
    rx = Slipring.consumer!(to)
    for id <- 1..3, do: Slipring.send!(tx, <<id, 200>>, meta: %{id: id})

    for id <- 1..3 do
      assert %{meta: %{"id" => ^id}} = frame = Slipring.recv!(rx, 2_000)
      assert Frame.value(frame) == <<2 * id, 255>>
    end

    gone = named(block("with {:error"), rings)
    # Nobody sends for the time that it waits.
    assert {:slow, _} = Code.eval_string(gone, rx: rx)
    Slipring.close(tx)
    assert {:gone, _} = Code.eval_string(gone, rx: rx)
    Supervisor.stop(supervisor)
  end

  @tag :capture_log
  test "its workers share the jobs, and what crashes them is a dead letter", %{name: name} do
    test = self()

    job = fn
      "poison", redeliveries ->
        Kernel.send(test, {:crashed, redeliveries})
        exit(:poisoned)

      value, _redeliveries ->
        Kernel.send(test, {:done, value})
    end

    Code.compile_string(block("defmodule Resize"))
    code = named(block("children = [{Slipring, ring: \"jobs\""), [{"jobs", name}])
    {children, _} = Code.eval_string(code, job: job)
    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one, max_restarts: 10)
    tx = Slipring.producer!(name)
    Slipring.send_many!(tx, ["a", "poison", "b", "c"])
    for redeliveries <- 0..3, do: assert_receive({:crashed, ^redeliveries}, 2_000)
    for value <- ["a", "b", "c"], do: assert_receive({:done, ^value}, 2_000)
    assert wait_for(fn -> match?(%{dead: 1, held: 0, waiting: 0}, Slipring.info!(name)) end)
    rx = Slipring.consumer!(name)
    assert Frame.value(Slipring.recv_dead!(rx)) == "poison"
    refute_received {:crashed, _}
    Slipring.close(rx)
    Supervisor.stop(supervisor)
  end
end

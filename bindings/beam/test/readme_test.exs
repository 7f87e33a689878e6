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

# A machine may be busy with more than this.
ExUnit.start(timeout: 180_000)
Code.require_file("support_structs.exs", __DIR__)

defmodule Slipring.Leftovers do
  @moduledoc "What a run that was killed has left: examples have rings of fixed names."

  @doc "Unlinks the rings of examples in which no process lives, and those of tests whose process is gone."
  def unlink do
    for ring <- Slipring.list(), left?(ring), do: Slipring.unlink(ring)
    :ok
  end

  defp left?(ring) do
    case Regex.run(~r/^ex-(?:[a-z]+-)?(\d+)-|-doc$/, ring) do
      [_test, pid] -> not File.exists?("/proc/#{pid}")
      [_example] -> abandoned?(ring)
      nil -> false
    end
  end

  defp abandoned?(ring) do
    case Slipring.info(ring) do
      {:ok, %{processes: processes}} -> not Enum.any?(processes, & &1.alive)
      # A test has damaged it.
      {:error, %{reason: reason}} -> reason != :not_found
    end
  end
end

Slipring.Leftovers.unlink()

defmodule Slipring.Case do
  @moduledoc "Rings with names of their own, gone after each test."
  use ExUnit.CaseTemplate

  using do
    quote do
      import Slipring.Case
      alias Slipring.{Consumer, Error, Frame, Producer, Ring, Tensor}
    end
  end

  setup do
    name = "ex-#{System.pid()}-#{System.unique_integer([:positive])}"

    on_exit(fn ->
      # Handles end with the test's process; the thread that unmaps needs a moment. Then the name is
      # gone, unless frames wait in the ring.
      for ring <- Slipring.list(), String.starts_with?(ring, name) do
        assert wait_for(fn -> abandoned?(ring) end), "something still holds the ring #{ring}"
        Slipring.unlink(ring)
      end
    end)

    {:ok, name: name}
  end

  @doc "Asks again and again, for five seconds."
  def wait_for(check, turns \\ 500) do
    cond do
      check.() -> true
      turns == 0 -> false
      true -> Process.sleep(10) && wait_for(check, turns - 1)
    end
  end

  defp abandoned?(ring) do
    case Slipring.info(ring) do
      {:ok, %{processes: []}} -> true
      {:ok, _attached} -> false
      {:error, %{reason: :not_found}} -> true
    end
  end

  @doc "Tries until it is answered `{:ok, value}`, for five seconds; gives the value."
  def eventually(attempt, turns \\ 500) do
    case attempt.() do
      {:ok, value} -> value
      other when turns == 0 -> raise "still #{inspect(other)}"
      _other -> Process.sleep(10) && eventually(attempt, turns - 1)
    end
  end

  @doc "A ring with its two ends."
  def pair(name, ring_options \\ [], consumer_options \\ []) do
    ring = Slipring.create!(name, Keyword.put_new(ring_options, :capacity, {4, :mib}))
    {ring, Slipring.producer!(ring), Slipring.consumer!(ring, consumer_options)}
  end

  @doc """
  Runs `code` in another BEAM, with this library. Gives a port that tells what it prints. `wrapper` is
  a command that runs the one that follows it.
  """
  def other_beam(code, arguments, wrapper \\ []) do
    ebin = Application.app_dir(:slipring, "ebin")
    elixir = [System.find_executable("elixir"), "-pa", ebin, "-e", code, "--" | arguments]
    [program | arguments] = wrapper ++ elixir

    Port.open({:spawn_executable, System.find_executable(program)}, [
      :binary,
      :exit_status,
      :stderr_to_stdout,
      args: arguments
    ])
  end

  @doc "All that the other BEAM prints until it ends, which it must do well."
  def output(port, printed \\ "") do
    receive do
      {^port, {:data, more}} -> output(port, printed <> more)
      {^port, {:exit_status, 0}} -> printed
      {^port, {:exit_status, status}} -> raise "the other BEAM ended with #{status}: #{printed}"
    after
      60_000 -> raise "the other BEAM hangs; it printed: #{printed}"
    end
  end
end

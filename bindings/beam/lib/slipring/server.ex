defmodule Slipring.Server do
  @moduledoc false
  # Keeps a ring for as long as it is supervised, see `Slipring.child_spec/1`.

  use GenServer

  def start_link(options) do
    {name, options} = Keyword.pop(options, :name)
    {ring, options} = Keyword.pop!(options, :ring)
    GenServer.start_link(__MODULE__, {ring, options}, if(name, do: [name: name], else: []))
  end

  @impl GenServer
  def init({name, options}) do
    Process.flag(:trap_exit, true)

    case create_or_open(name, options) do
      {:ok, ring} -> {:ok, ring}
      {:error, error} -> {:stop, error}
    end
  end

  # What an earlier life left, or another process made first, is taken over with what is in it.
  defp create_or_open(name, options) do
    with {:error, %{reason: :exists}} <- Slipring.create(name, options),
         {:error, %{reason: :not_found}} <- Slipring.open(name) do
      create_or_open(name, options)
    end
  end

  @impl GenServer
  def handle_call(:ring, _from, ring), do: {:reply, ring, ring}

  @impl GenServer
  def terminate(_reason, ring), do: Slipring.close(ring)
end

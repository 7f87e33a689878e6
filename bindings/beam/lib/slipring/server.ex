defmodule Slipring.Server do
  @moduledoc false
  # Keeps a ring for as long as it is supervised, see `Slipring.child_spec/1`.

  use GenServer

  alias Slipring.Error

  def start_link(options) do
    {name, options} = Keyword.pop(options, :name)
    {ring, options} = Keyword.pop!(options, :ring)
    {replace?, options} = Keyword.pop(options, :replace, false)
    named = if name, do: [name: name], else: []
    GenServer.start_link(__MODULE__, {ring, options, replace?}, named)
  end

  @impl GenServer
  def init({address, options, replace?}) do
    Process.flag(:trap_exit, true)

    case create_or_open(address, options, replace?) do
      {:ok, ring} -> {:ok, ring}
      {:error, error} -> {:stop, error}
    end
  end

  # What an earlier life left, or another process made first, is taken over with what is in it, if
  # it is as it was asked for.
  defp create_or_open(address, options, replace?) do
    with {:error, %{reason: :exists}} <- Slipring.create(address, options),
         {:ok, ring} <- Slipring.open(address),
         {:error, error} <- fits(ring, options) do
      Slipring.close(ring)
      if replace?, do: replace(address, options), else: {:error, error}
    else
      # It has gone meanwhile.
      {:error, %{reason: :not_found}} -> create_or_open(address, options, replace?)
      outcome -> outcome
    end
  end

  defp replace(address, options) do
    with {:error, %{reason: reason} = error} when reason != :not_found <- Slipring.unlink(address) do
      {:error, error}
    else
      # Another may have made one meanwhile: it is asked whether that fits.
      _gone -> create_or_open(address, options, true)
    end
  end

  defp fits(ring, options) do
    info = Slipring.info!(ring)

    differs =
      for key <- [:mode, :slots, :cell, :capacity],
          {:ok, asked} <- [Keyword.fetch(options, key)] do
        {key, rounded(key, asked, info), Map.fetch!(info, key)}
      end
      |> Enum.find(fn {_key, asked, has} -> asked != has end)

    cond do
      info.finished ->
        refused(ring, info, :closed, "the ring at #{info.path} is there and finished", {nil, nil})

      differs ->
        {key, asked, has} = differs

        message =
          "the ring at #{info.path} is there with #{key} #{has}, not #{asked} as asked for"

        refused(ring, info, :exists, message, {%{key => asked}, %{key => has}})

      true ->
        {:ok, ring}
    end
  end

  # As `Slipring.create/2` makes it of what is asked for.
  defp rounded(key, asked, _info) when key in [:mode, :slots], do: asked
  defp rounded(:cell, asked, _info), do: up(bytes(asked), 64)
  defp rounded(:capacity, asked, info), do: up(bytes(asked), info.chunk)

  defp bytes(asked) do
    {:ok, bytes} = Slipring.Options.bytes(asked)
    bytes
  end

  defp up(bytes, unit), do: div(bytes + unit - 1, unit) * unit

  defp refused(ring, info, reason, message, {expected, got}) do
    hint = "unlink it, or give replace: true, which does so; who is attached keeps the old one"

    {:error,
     %Error{
       reason: reason,
       operation: :start_link,
       ring: ring.name,
       path: info.path,
       expected: expected,
       got: got,
       hint: hint,
       message: "#{message}; #{hint}"
     }}
  end

  @impl GenServer
  def handle_call(:ring, _from, ring), do: {:reply, ring, ring}

  @impl GenServer
  def terminate(_reason, ring), do: Slipring.close(ring)
end

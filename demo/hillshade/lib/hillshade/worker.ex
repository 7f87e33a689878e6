defmodule Hillshade.Worker do
  @moduledoc """
  Takes tiles from the ring `NAME-tiles`, shades them, and sends them back through `NAME-shades`.

  A frame with metadata is a tile: the elevations in metres with one more cell on each side, and with
  them `dx` and `dy`, `azimuth` and `altitude`. The answer has the same metadata and `in_place`, whether
  the elevations were read in the segment.

  A table whose metadata asks to `aggregate` its days into months is answered by one, see `Weather`.

  Frames without metadata are counted only. Metadata with `report` ends the counting and asks for it.

  The VM stops when the ring is finished, or when nobody feeds it any more.
  """

  use Task, restart: :transient

  alias Slipring.{Frame, Tensor}

  # How often it is asked whether somebody still sends.
  @tick 1_000
  # For one that was started first.
  @patience 60_000

  def start_link(rings), do: Task.start_link(__MODULE__, :run, [rings])

  def run(rings) do
    # On request every frame stays where it is, small as it is.
    with {:ok, rx} <- Slipring.consumer(rings <> "-tiles", lease: :always, wait: @patience),
         {:ok, tx} <- Slipring.producer(rings <> "-shades", wait: @patience),
         :ok <- work(rings <> "-tiles", rx, tx, {0, 0}) do
      Slipring.close(rx)
      Slipring.close(tx)
      System.stop(0)
    else
      {:error, error} ->
        IO.puts(:stderr, "hillshade: #{Exception.message(error)}")
        drain(rings <> "-shades")
        System.stop(1)
    end
  end

  # A ring's name goes with the last who leaves it empty: takes what a dead one can't take any more. A
  # living one keeps its role, and its frames.
  defp drain(shades) do
    with {:ok, rx} <- Slipring.consumer(shades) do
      drain_frames(rx)
      Slipring.close(rx)
    end
  end

  defp drain_frames(rx) do
    with {:ok, frame} <- Slipring.recv(rx, 0) do
      Frame.release(frame)
      drain_frames(rx)
    end
  end

  defp work(tiles, rx, tx, counted) do
    case Slipring.recv_many(rx, 64, @tick) do
      {:ok, frames} ->
        work(tiles, rx, tx, Enum.reduce(frames, counted, &handle(&1, tx, &2)))

      {:error, %{reason: :closed}} ->
        :ok

      {:error, %{reason: :timeout} = error} ->
        if fed?(tiles),
          do: work(tiles, rx, tx, counted),
          else: {:error, %{error | message: "nobody sends tiles any more"}}

      error ->
        error
    end
  end

  defp fed?(tiles) do
    case Slipring.info(tiles) do
      {:ok, info} -> Enum.any?(info.processes, &(&1.produces and &1.alive))
      {:error, _gone} -> false
    end
  end

  defp handle(%Frame{meta: nil} = frame, _tx, {frames, bytes}) do
    size = byte_size(Frame.value(frame).data)
    Frame.release(frame)
    {frames + 1, bytes + size}
  end

  defp handle(%Frame{meta: %{"report" => true}}, tx, {frames, bytes}) do
    Slipring.send!(tx, "", meta: %{"frames" => frames, "bytes" => bytes})
    {0, 0}
  end

  defp handle(%Frame{meta: %{"aggregate" => "months"}} = frame, tx, counted) do
    months = Weather.by_month(Frame.value(frame))
    Slipring.send!(tx, months, meta: %{"in_place" => Frame.in_place?(frame)})
    Frame.release(frame)
    counted
  end

  defp handle(%Frame{meta: meta} = frame, tx, counted) do
    %Tensor{data: data, shape: {rows, columns}, type: {:f, 32}} = Frame.value(frame)
    shade = Hillshade.shade(data, columns, meta)
    result = Tensor.new(shade, {rows - 2, columns - 2}, {:f, 32})
    Slipring.send!(tx, result, meta: Map.put(meta, "in_place", Frame.in_place?(frame)))
    Frame.release(frame)
    counted
  end
end

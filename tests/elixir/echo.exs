# Sends on what comes on the first ring to the second, with what Elixir makes of it in the metadata.
[from, to] = System.argv()
# What is lost on the way is told once each; here it is meant.
Logger.configure(level: :error)
rx = Slipring.consumer!(from, wait: 20_000)
tx = Slipring.producer!(to, wait: 20_000)

describe = fn
  %Slipring.Tensor{type: {kind, _}} = tensor when kind not in [:s, :u, :f, :c, :bool] ->
    %{
      "shape" => Tuple.to_list(tensor.shape),
      "dtype" => Slipring.Tensor.dtype(tensor),
      "order" => Atom.to_string(tensor.order),
      "elements" => inspect(Slipring.Tensor.to_list(tensor), limit: :infinity)
    }

  %Slipring.Tensor{} = tensor ->
    numbers = List.flatten([Slipring.Tensor.to_list(tensor)])
    real = for n <- numbers, do: if(is_tuple(n), do: elem(n, 0), else: n)

    %{
      "shape" => Tuple.to_list(tensor.shape),
      "type" => Enum.join(Tuple.to_list(tensor.type)),
      "byte_order" => Atom.to_string(tensor.byte_order),
      "order" => Atom.to_string(tensor.order),
      "sum" =>
        real |> Enum.map(&if(is_boolean(&1), do: if(&1, do: 1, else: 0), else: &1)) |> Enum.sum()
    }

  binary when is_binary(binary) ->
    %{"size" => byte_size(binary)}

  %Slipring.Table{} = table ->
    half = div(table.rows, 2)

    %{
      "columns" => Slipring.Table.to_columns(table),
      "half" => table |> Slipring.Table.slice(half, table.rows - half) |> Slipring.Table.to_columns()
    }

  # To print long ones takes its time.
  list when is_list(list) and length(list) > 100 ->
    all = :erlang.term_to_binary(list, [:deterministic])
    %{"term" => inspect(hd(list), limit: :infinity), "hash" => Base.encode16(:erlang.md5(all))}

  term ->
    %{"term" => inspect(term, limit: :infinity)}
end

for frame <- rx do
  {value, about} =
    try do
      value = Slipring.Frame.value(frame)
      {value, describe.(value)}
    rescue
      error in Slipring.Error ->
        about = error |> Map.take([:path, :got, :hint, :message]) |> Map.new(fn {k, v} -> {"#{k}", v} end)
        {"", Map.put(about, "reason", Atom.to_string(error.reason))}
    end

  format = if frame.format == :json, do: :json, else: :auto
  Slipring.send!(tx, value, format: format, meta: %{"meta" => frame.meta, "about" => about})
end

Slipring.finish!(to)

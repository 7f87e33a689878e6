defmodule Slipring.Sending do
  @moduledoc false
  # Sending one frame or many, and waiting for room.

  alias Slipring.{Error, Native, Producer, Tensor, Waiting}

  # A full ring is looked at again so many times before a message about room is waited for.
  @eager 32
  # How long another process's call on the same producer is given, in milliseconds.
  @pause 1

  # What the native part sends.
  def payload(binary) when is_binary(binary), do: {:ok, binary}

  def payload(%Tensor{} = tensor),
    do: {:ok, {tensor.data, tensor.shape, tensor.type, tensor.order, tensor.byte_order}}

  def payload(term) do
    kind = kind(term)
    hint = "send a binary or a Slipring.Tensor"

    {:error,
     {:encode, "a term of type #{kind} can't be sent, at $; #{hint}", "$", nil, kind, hint}}
  end

  # Those of a list, all of them looked at.
  def payloads(%Producer{limit: limit}, terms) do
    if Enum.all?(terms, &(is_binary(&1) and byte_size(&1) <= limit)) do
      {:ok, terms}
    else
      with {:ok, payloads} <- convert(terms, 0, []),
           :ok <- check(payloads, limit, 0),
           do: {:ok, payloads}
    end
  end

  defp convert([], _index, payloads), do: {:ok, Enum.reverse(payloads)}

  defp convert([term | terms], index, payloads) do
    case payload(term) do
      {:ok, payload} -> convert(terms, index + 1, [payload | payloads])
      {:error, fault} -> {:error, at(fault, index)}
    end
  end

  defp check([], _limit, _index), do: :ok

  defp check(payloads, limit, index) do
    case Native.check_many(payloads, limit) do
      {seen, rest, :ok} -> check(rest, limit, index + seen)
      {seen, _rest, {:error, fault}} -> {:error, at(fault, index + seen)}
    end
  end

  defp at({reason, message, path, expected, got, hint}, index) do
    path = "$[#{index}]" <> String.replace_prefix(path || "$", "$", "")
    {reason, "at index #{index} of the list: #{message}", path, expected, got, hint}
  end

  # Goes on after a first attempt that was answered `outcome`: `:ok` or an error.
  def go_on(%Producer{ref: ref} = producer, outcome, payload, meta, timeout) do
    attempt = fn -> attempt(ref, payload, meta, timeout == :drop) end

    case settle(outcome, ref, attempt, Waiting.deadline(timeout)) do
      :ok -> :ok
      stopped -> {:error, error(stopped, :send, producer)}
    end
  end

  # `{:ok, count}` for all, or an error that says how many were sent.
  def many(producer, payloads, timeout),
    do: many(producer, payloads, 0, Waiting.deadline(timeout))

  defp many(_producer, [], sent, _deadline), do: {:ok, sent}

  defp many(%Producer{ref: ref} = producer, payloads, sent, deadline) do
    case Native.send_many(ref, payloads, deadline == :drop) do
      {now, rest, :ok} ->
        many(producer, rest, sent + now, deadline)

      {now, [next | rest], outcome} ->
        again = fn -> attempt(ref, next, nil, deadline == :drop) end

        case settle(outcome, ref, again, deadline) do
          :ok ->
            many(producer, rest, sent + now + 1, deadline)

          stopped ->
            {:error, %{error(stopped, :send_many, producer) | sent: sent + now}}
        end
    end
  end

  defp error({:error, fault}, operation, producer),
    do: Error.new(fault, operation, producer.ring)

  defp error(outcome, operation, producer),
    do: Error.full(outcome, operation, producer.ring, Native.why_full(producer.ref))

  defp attempt(ref, payload, meta, drop?) do
    with :large <- Native.send(ref, payload, meta, drop?),
         do: Native.send_large(ref, payload, meta, drop?)
  end

  # `:ok`, `:full` (there was no time to wait), `:timeout` or `{:error, fault}`.
  defp settle(:large, ref, attempt, deadline), do: settle(attempt.(), ref, attempt, deadline)
  defp settle(:full, _ref, _attempt, deadline) when deadline in [:now, :drop], do: :full

  defp settle(wait, ref, attempt, deadline) when wait in [:full, :busy],
    do: look_again(ref, attempt, deadline, @eager)

  defp settle(done, _ref, _attempt, _deadline), do: done

  # Others run in between.
  defp look_again(ref, attempt, deadline, 0), do: wait(ref, attempt, deadline)

  defp look_again(ref, attempt, deadline, turns) do
    :erlang.yield()

    case attempt.() do
      :full when deadline == :drop -> :full
      wait when wait in [:full, :busy] -> look_again(ref, attempt, deadline, turns - 1)
      done -> done
    end
  end

  # What another call holds up only.
  defp wait(ref, attempt, :drop), do: pause(ref, attempt, :drop)

  defp wait(ref, attempt, deadline) do
    tag = make_ref()

    case Native.watch_room(ref, tag) do
      id when is_integer(id) ->
        # What was freed before the watch it does not tell of.
        case attempt.() do
          :full ->
            if Waiting.await(id, tag, deadline) == :ready,
              do: look_again(ref, attempt, deadline, 1),
              else: :timeout

          outcome ->
            Waiting.take_back(id, tag)
            if outcome == :busy, do: pause(ref, attempt, deadline), else: outcome
        end

      :busy ->
        pause(ref, attempt, deadline)

      error ->
        error
    end
  end

  defp pause(ref, attempt, deadline) do
    case Waiting.left(deadline) do
      0 ->
        :timeout

      left ->
        Process.sleep(min(left, @pause))
        look_again(ref, attempt, deadline, 1)
    end
  end

  defp kind(%module{}), do: inspect(module)
  defp kind(term) when is_map(term), do: "map"
  defp kind(term) when is_list(term), do: "list"
  defp kind(term) when is_tuple(term), do: "tuple"
  defp kind(term) when is_atom(term), do: "atom"
  defp kind(term) when is_integer(term), do: "integer"
  defp kind(term) when is_float(term), do: "float"
  defp kind(term) when is_bitstring(term), do: "bitstring"
  defp kind(term) when is_function(term), do: "function"
  defp kind(term) when is_pid(term), do: "pid"
  defp kind(term) when is_reference(term), do: "reference"
  defp kind(_term), do: "port"
end

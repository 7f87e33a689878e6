defmodule Slipring.Sending do
  @moduledoc false
  # Sending one frame or many, and waiting for room.

  import Bitwise

  alias Slipring.{Choices, Error, Native, Prepared, Producer, Structs, Tensor, Waiting}

  # A full ring is looked at again so many times before a message about room is waited for.
  @eager 32
  # How long another process's call on the same producer is given, in milliseconds.
  @pause 1

  # How terms are sent, as bits for the native part.
  @drop 1
  @value 2
  @bytes 4
  @json 8
  @not_first 16
  @not_last 32

  def how(options) do
    bit(options.timeout == :drop, @drop) ||| bit(options.format == :value, @value) |||
      bit(options.binaries == :bytes, @bytes) ||| bit(options.format == :json, @json)
  end

  # A frame of a stream.
  def stream(first?, last?), do: bit(not first?, @not_first) ||| bit(not last?, @not_last)

  defp bit(true, bit), do: bit
  defp bit(false, _bit), do: 0

  # Sends one term.
  def one(%Producer{ref: ref} = producer, term, meta, how, timeout) do
    work = {:send, plain(term, how), meta, how, []}
    go_on(producer, attempt(ref, work), work, timeout)
  end

  defp value?(how), do: (how &&& @value) != 0

  # A tensor of Nx alone is an array.
  defp plain(%{__struct__: Nx.Tensor} = tensor, how) when (how &&& (@value ||| @json)) == 0 do
    case Tensor.of_nx(tensor) do
      {:ok, tensor} -> tensor
      {:error, _type} -> tensor
    end
  end

  defp plain(term, _how), do: term

  # The terms of a list, all of them looked at; with what their structs become.
  def checked(%Producer{limit: limit}, terms, how) do
    if (how &&& (@value ||| @json)) == 0 and
         Enum.all?(terms, &(is_binary(&1) and byte_size(&1) <= limit)),
       do: {:ok, terms},
       else: check(terms, limit, how, 0)
  end

  defp check([], _limit, _how, _index), do: {:ok, []}

  defp check(terms, limit, how, index) do
    registry = Structs.registry()

    answer =
      with {0, _terms, :large} <- Native.check_many(terms, limit, how, registry),
           do: Native.check_large(terms, limit, how, registry)

    case answer do
      {seen, rest, {:error, fault}} when is_list(rest) ->
        {:error, at(fault, index + seen)}

      {seen, [next | rest], {:need, met}} ->
        # Not seen yet: it is looked at again, with what was prepared.
        splice(terms, seen, check([prepared(next, met, how) | rest], limit, how, index + seen))

      {seen, rest, _enough} ->
        splice(terms, seen, check(rest, limit, how, index + seen))
    end
  end

  defp splice(terms, seen, {:ok, checked}), do: {:ok, Enum.take(terms, seen) ++ checked}
  defp splice(_terms, _seen, error), do: error

  defp prepared(%Prepared{} = next, met, _how),
    do: %{next | prepared: Structs.prepare(met, next.prepared)}

  defp prepared(next, met, how) do
    case plain(next, how) do
      %Tensor{} = tensor -> tensor
      ^next -> %Prepared{value: next, prepared: Structs.prepare(met, [])}
    end
  end

  # The error of one of a list.
  def at({reason, message, path, expected, got, hint, offset}, index) do
    path = "$[#{index}]" <> String.replace_prefix(path || "$", "$", "")
    {reason, "at index #{index} of the list: #{message}", path, expected, got, hint, offset}
  end

  # One attempt: `{outcome, work}`, the outcome `:ok`, `:told`, `:full`, `:busy` or `{:error, fault}`, and what is to be
  # done by the next one.
  defp attempt(ref, {:commit, pending, how} = work), do: {Native.commit(ref, pending, how), work}

  defp attempt(ref, {:send, term, meta, how, prepared} = work) do
    ref
    |> Native.send(term, meta, how, Structs.registry(), prepared)
    |> resolve(ref, work)
  end

  def resolve(:large, ref, {:send, term, meta, how, prepared} = work) do
    ref
    |> Native.send_large(term, meta, how, Structs.registry(), prepared)
    |> resolve(ref, work)
  end

  def resolve({:need, met}, ref, {:send, %Prepared{} = term, meta, how, []}) do
    prepared = Structs.prepare(met, term.prepared)
    attempt(ref, {:send, term.value, meta, how, prepared})
  end

  def resolve({:need, met}, ref, {:send, term, meta, how, prepared}),
    do: attempt(ref, {:send, term, meta, how, Structs.prepare(met, prepared)})

  # It is written, and not written again.
  def resolve({:full, pending}, _ref, {:send, _term, _meta, how, _prepared}),
    do: {:full, {:commit, pending, how}}

  def resolve(outcome, _ref, work), do: {outcome, work}

  # Goes on after a first attempt at `asked`, of which `work` is left: `:ok` or an error.
  def go_on(_producer, {:ok, _work}, _asked, _timeout), do: :ok

  def go_on(%Producer{ref: ref} = producer, {outcome, work}, asked, timeout) do
    {:send, term, _meta, how, _prepared} = asked

    case settle(outcome, ref, work, Waiting.deadline(timeout)) do
      :ok -> :ok
      :told -> Choices.sent(producer, term, value?(how))
      stopped -> {:error, error(stopped, :send, producer)}
    end
  end

  # `{:ok, count}` for all, or an error that says how many were sent.
  def many(producer, terms, how, timeout) do
    outcome = many(producer, terms, how, 0, Waiting.deadline(timeout))

    count =
      case outcome do
        {:ok, count} -> count
        {:error, error} -> error.sent
      end

    Choices.sent(producer, terms, value?(how), count)
    outcome
  end

  defp many(_producer, [], _how, sent, _deadline), do: {:ok, sent}

  defp many(%Producer{ref: ref} = producer, terms, how, sent, deadline) do
    case Native.send_many(ref, terms, how, Structs.registry()) do
      {now, rest, done} when done in [:ok, :told] ->
        many(producer, rest, how, sent + now, deadline)

      {now, [next | rest], outcome} ->
        {outcome, work} = resolve(outcome, ref, {:send, next, nil, how, []})

        case settle(outcome, ref, work, deadline) do
          done when done in [:ok, :told] ->
            many(producer, rest, how, sent + now + 1, deadline)

          stopped ->
            {:error, %{error(stopped, :send_many, producer) | sent: sent + now}}
        end
    end
  end

  defp error({:error, fault}, operation, producer),
    do: Error.new(fault, operation, producer.ring)

  defp error(outcome, operation, producer),
    do: Error.full(outcome, operation, producer.ring, Native.why_full(producer.ref))

  # `:ok`, `:told`, `:full` (there was no time to wait), `:timeout` or `{:error, fault}`.
  defp settle(:full, _ref, _work, deadline) when deadline in [:now, :drop], do: :full

  defp settle(wait, ref, work, deadline) when wait in [:full, :busy],
    do: look_again(ref, work, deadline, @eager)

  defp settle(done, _ref, _work, _deadline), do: done

  # Others run in between.
  defp look_again(ref, work, deadline, 0), do: wait(ref, work, deadline)

  defp look_again(ref, work, deadline, turns) do
    :erlang.yield()

    case attempt(ref, work) do
      {:full, _work} when deadline == :drop -> :full
      {wait, work} when wait in [:full, :busy] -> look_again(ref, work, deadline, turns - 1)
      {done, _work} -> done
    end
  end

  # What another call holds up only.
  defp wait(ref, work, :drop), do: pause(ref, work, :drop)

  defp wait(ref, work, deadline) do
    tag = make_ref()

    case Native.watch_room(ref, tag) do
      id when is_integer(id) ->
        # What was freed before the watch it does not tell of.
        case attempt(ref, work) do
          {:full, work} ->
            if Waiting.await(id, tag, deadline) == :ready,
              do: look_again(ref, work, deadline, 1),
              else: :timeout

          {outcome, work} ->
            Waiting.take_back(id, tag)
            if outcome == :busy, do: pause(ref, work, deadline), else: outcome
        end

      :busy ->
        pause(ref, work, deadline)

      error ->
        error
    end
  end

  defp pause(ref, work, deadline) do
    case Waiting.left(deadline) do
      0 ->
        :timeout

      left ->
        Process.sleep(min(left, @pause))
        look_again(ref, work, deadline, 1)
    end
  end
end

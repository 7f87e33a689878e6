defmodule Slipring.Error do
  @moduledoc """
  Why something was not done: what happened, where, and what to do.

    * `reason` - an atom to match on, see below
    * `operation` - the function of `Slipring` that was called
    * `ring` - the ring's name or path
    * `path` - of the file, or the way to the place within a value (`$.meta.site`)
    * `offset` - of the bytes that can't be decoded, counted from their beginning
    * `line`, `column` - of JSON that can't be decoded, counted from 1
    * `expected`, `got` - what it must have been, and what it was, where there is such a thing
    * `sent` - with `Slipring.send_many/3`, how many frames were sent before it
    * `hint` - what to do, where there is one thing to do
    * `message` - what happened, as a sentence; `Exception.message/1` gives all of it

  Ordinary outcomes are `:full` and `:empty` (a timeout of 0 found the ring so), `:timeout`, and
  `:closed` (nothing will come any more, or nothing can be sent). Others:

  | reason | meaning |
  |---|---|
  | `:not_found` | no such ring; `expected` lists those there are |
  | `:exists` | there is a ring of this name already |
  | `:invalid_name`, `:invalid_option` | not a name for a ring, not a value for an option |
  | `:foreign` | the file is no segment, or of another version, or damaged |
  | `:not_owner` | the file belongs to another user |
  | `:role_taken` | another producer or consumer lives; `got` is its OS process |
  | `:too_large` | the frame can never fit; `expected` is the limit in bytes |
  | `:out_of_memory` | the shared memory or the disk is full |
  | `:schema` | an object of version `got` can't be read as version `expected`; `hint` names the migration needed. Of tables: a version that can't follow another, a table that was not announced so, or one that can't be read as what is expected, with the column in `path` |
  | `:encode`, `:decode` | a term that can't be sent, a frame that can't be read; with a path |
  | `:unsupported_type` | a term of a type that has no form: `got`, at `path` |
  | `:untrusted_pickle` | a pickle came, which is code |
  | `:detached`, `:released` | a handle that was closed, a frame that was released |
  | `:unacknowledged` | so many frames are open as may be, `expected`: acknowledge or give back some |
  | `:share_held` | this VM holds `got` bytes of the pool in frames, and may hold `expected`: acknowledge and let go of some |
  | `:acknowledged` | the frame was acknowledged, and can't be given back |
  | `:given_back` | the frame was given back, and can't be acknowledged or read |
  | `:active` | frames come as messages and can't be asked for |
  | `:not_controlling`, `:no_process` | the caller does not own the handle, the new owner is dead |
  | `:no_schemas` | the ring has no schema table |
  | `:schemas_full`, `:no_room_for_schema`, `:schema_too_large` | a schema has no room; `expected` is the limit, `got` its bytes |
  | `:schema_conflict` | another schema of this kind, name (`path`) and version is there |
  | `:too_many_wanted` | of so many schemas, `expected`, one VM can say which versions it reads |
  | `:corrupt` | something wrote where it should not; `path` and `got` say what was found |
  | `:os`, `:too_many_participants`, `:other` | as `message` says |
  """

  @type t :: %__MODULE__{
          reason: atom,
          operation: atom | nil,
          ring: String.t() | nil,
          path: String.t() | nil,
          offset: non_neg_integer | nil,
          line: pos_integer | nil,
          column: pos_integer | nil,
          expected: term,
          got: term,
          sent: non_neg_integer | nil,
          hint: String.t() | nil,
          message: String.t()
        }

  defexception [
    :reason,
    :operation,
    :ring,
    :path,
    :offset,
    :line,
    :column,
    :expected,
    :got,
    :sent,
    :hint,
    message: ""
  ]

  @impl Exception
  def message(%__MODULE__{} = error) do
    where =
      case error do
        %{operation: nil} -> ""
        %{operation: operation, ring: nil} -> "#{operation}: "
        %{operation: operation, ring: ring} -> "#{operation} on ring #{inspect(ring)}: "
      end

    # Most messages end with the hint already.
    hint = error.hint
    rest = if hint && not String.contains?(error.message, hint), do: "; #{hint}", else: ""
    sent = if error.sent, do: " (#{error.sent} sent before)", else: ""
    where <> error.message <> rest <> sent
  end

  @doc false
  # From what the native part tells.
  def new({reason, message, path, expected, got, hint, place}, operation, ring) do
    {offset, line, column} = if is_tuple(place), do: place, else: {place, nil, nil}

    %__MODULE__{
      reason: reason,
      operation: operation,
      ring: ring,
      path: path,
      offset: offset,
      line: line,
      column: column,
      expected: expected,
      got: got,
      hint: hint,
      message: message
    }
  end

  @doc false
  # The other way round, of a value that stands at `path`.
  def fault(%__MODULE__{} = error, path) do
    path = path <> String.replace_prefix(error.path || "$", "$", "")
    message = "in #{path}: #{error.message}"
    place = if error.line, do: {error.offset, error.line, error.column}, else: error.offset
    {error.reason, message, path, error.expected, error.got, error.hint, place}
  end

  @doc false
  # With the place of the value that it is about.
  def under(%__MODULE__{} = error, path),
    do: %{error | path: path <> String.replace_prefix(error.path || "$", "$", "")}

  @doc false
  def empty(operation, ring) do
    %__MODULE__{reason: :empty, operation: operation, ring: ring, message: "no frame waits"}
  end

  @doc false
  # `:full`, or `:timeout` where there was time to wait, with what a look into the ring has told.
  def full(reason, operation, ring, told) do
    begin = if reason == :timeout, do: "the time ran out: ", else: ""
    {path, why} = why(told)

    %__MODULE__{
      reason: reason,
      operation: operation,
      ring: ring,
      path: path,
      hint: "take frames faster, let go of frames, or create it larger",
      message: "#{begin}#{path || "the ring"} is full#{why}"
    }
  end

  @doc false
  # No frame came in time.
  def late(operation, ring, told) do
    {path, why} = why(told)

    %__MODULE__{
      reason: :timeout,
      operation: operation,
      ring: ring,
      path: path,
      message: "no frame came to #{path || "the ring"} in time#{why}"
    }
  end

  defp why({:ok, path, why}), do: {path, ": " <> why}
  # The handle was closed meanwhile.
  defp why({:error, _fault}), do: {nil, ""}
end

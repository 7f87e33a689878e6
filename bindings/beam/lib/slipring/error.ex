defmodule Slipring.Error do
  @moduledoc """
  Why something was not done: what happened, where, and what to do.

    * `reason` - an atom to match on, see below
    * `operation` - the function of `Slipring` that was called
    * `ring` - the ring's name or path
    * `path` - of the file, or the way to the place within a value (`$.meta.site`)
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
  | `:encode`, `:decode` | a term that can't be sent, a frame that can't be read; with a path |
  | `:untrusted_pickle` | a pickle came, which is code |
  | `:detached`, `:released` | a handle that was closed, a frame that was released |
  | `:active` | frames come as messages and can't be asked for |
  | `:not_controlling`, `:no_process` | the caller does not own the handle, the new owner is dead |
  | `:corrupt` | something wrote where it should not; `path` and `got` say what was found |
  | `:os`, `:too_many_participants`, `:other` | as `message` says |
  """

  @type t :: %__MODULE__{
          reason: atom,
          operation: atom | nil,
          ring: String.t() | nil,
          path: String.t() | nil,
          expected: term,
          got: term,
          sent: non_neg_integer | nil,
          hint: String.t() | nil,
          message: String.t()
        }

  defexception [:reason, :operation, :ring, :path, :expected, :got, :sent, :hint, message: ""]

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
  def new({reason, message, path, expected, got, hint}, operation, ring) do
    %__MODULE__{
      reason: reason,
      operation: operation,
      ring: ring,
      path: path,
      expected: expected,
      got: got,
      hint: hint,
      message: message
    }
  end

  @doc false
  # An outcome of waiting, which has no more to tell than its reason.
  def outcome(reason, operation, ring) do
    %__MODULE__{
      reason: reason,
      operation: operation,
      ring: ring,
      message: outcome_message(reason)
    }
  end

  defp outcome_message(:full), do: "the ring is full, or has no room for this frame"
  defp outcome_message(:empty), do: "no frame waits"
  defp outcome_message(:timeout), do: "the time is over"
end

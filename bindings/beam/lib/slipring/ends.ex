defmodule Slipring.Ring do
  @moduledoc "A ring that this VM is attached to, from `Slipring.create/2` or `Slipring.open/2`."

  @type t :: %__MODULE__{ref: reference, name: String.t()}
  @derive {Inspect, only: [:name]}
  @enforce_keys [:ref, :name]
  defstruct [:ref, :name]
end

defmodule Slipring.Producer do
  @moduledoc """
  The sending end of a ring, from `Slipring.producer/2`.

  It is `Collectable`: `Enum.into(terms, producer)` sends them one after the other, waits while the
  ring is full, and raises a `Slipring.Error` if one can't be sent.
  """

  @typedoc "`limit` is the longest frame that its ring can carry, in bytes."
  @type t :: %__MODULE__{ref: reference, ring: String.t(), limit: pos_integer}
  @derive {Inspect, only: [:ring]}
  @enforce_keys [:ref, :ring, :limit]
  defstruct [:ref, :ring, :limit]

  defimpl Collectable do
    def into(producer) do
      collect = fn
        producer, {:cont, term} ->
          Slipring.send!(producer, term)
          producer

        producer, :done ->
          producer

        _producer, :halt ->
          :ok
      end

      {producer, collect}
    end
  end
end

defmodule Slipring.Consumer do
  @moduledoc """
  The receiving end of a ring, from `Slipring.consumer/2`.

  It is `Enumerable`, as `Slipring.stream/2`: `for frame <- consumer, do: ...` takes frames until the
  ring is finished.
  """

  @type t :: %__MODULE__{ref: reference, ring: String.t()}
  @derive {Inspect, only: [:ring]}
  @enforce_keys [:ref, :ring]
  defstruct [:ref, :ring]

  defimpl Enumerable do
    def reduce(consumer, acc, fun), do: Enumerable.reduce(Slipring.stream(consumer), acc, fun)
    def count(_consumer), do: {:error, __MODULE__}
    def member?(_consumer, _frame), do: {:error, __MODULE__}
    def slice(_consumer), do: {:error, __MODULE__}
  end
end

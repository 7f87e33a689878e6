defprotocol Slipring.Encodable do
  @moduledoc """
  How a struct is sent.

  Derived, it goes as an object with a name and its fields, and comes back as the struct wherever that is
  known; in Python it is the class that is registered by that name, or a `slipring.Object`.

      defmodule Shop.Order do
        @derive {Slipring.Encodable, name: "shop.order", version: 1, only: [:id, :items]}
        defstruct [:id, :items, :cache]
      end

    * `:name` - what the type is called on the wire; default the module's name, `"Shop.Order"`
    * `:version` - a number that goes up when the fields change; default 1. See `Slipring.Object` for
      reading other ones
    * `:only`, `:except` - which fields are sent; default all. The others have their defaults when it
      arrives

  In a project everything is compiled before protocols are consolidated. What is compiled later, in `iex`, in
  a script that `mix run` starts or in a test's `.exs`, comes too late: Elixir warns that the implementation has
  no effect, derived or not, the struct is refused with `:unsupported_type`, and its objects arrive as
  `Slipring.Object`. `Slipring.register/2` works there too. So does deriving where nothing is consolidated: with
  `consolidate_protocols: false` in the project, and in a plain `elixir script.exs`.

  A struct of a module that is not yours is registered by `Slipring.register/2`, with the same options.

  Or implement it: `encode/1` gives any other term that can be sent.

      defimpl Slipring.Encodable, for: Geo.Point do
        def encode(point), do: %{"lat" => point.lat, "lon" => point.lon}
      end
  """

  @doc "The term that is sent for the struct."
  @spec encode(t) :: term
  def encode(struct)
end

defimpl Slipring.Encodable, for: Any do
  defmacro __deriving__(module, struct, options) do
    type = Slipring.Structs.type!(module, struct, options)
    # Compiled anew in a VM that knows it already.
    Slipring.Structs.forget(module)

    quote do
      defimpl Slipring.Encodable, for: unquote(module) do
        def encode(struct), do: Slipring.Structs.object(struct, __slipring__())
        def __slipring__, do: unquote(Macro.escape(type))
      end
    end
  end

  def encode(struct) do
    raise Protocol.UndefinedError, protocol: @protocol, value: struct
  end
end

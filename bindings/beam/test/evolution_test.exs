defmodule Slipring.EvolutionTest do
  @moduledoc "Registered structs of other versions. R5.2, R5.3, R12.4."

  use ExUnit.Case, async: true

  alias Slipring.{Error, Object}
  alias Slipring.Test.{Foreign, Item}

  defp sent(name, version, fields),
    do: Slipring.encode!(%Object{name: name, version: version, fields: fields})

  defp item(version, fields), do: Slipring.decode(sent("test.item", version, fields))

  # R5.2, R12.4: each from the sender's version on, unseen by the caller.
  test "an older struct goes through its migrations" do
    assert {:ok, %Item{cents: 700, currency: "EUR", note: "A"}} =
             item(3, %{"cents" => 700, "note" => "a"})

    assert {:ok, %Item{cents: 5, note: nil}} = item(4, %{"cents" => 5})
    # Within other values, too, and its own inner objects first.
    inner = %Object{name: "test.item", version: 3, fields: %{"note" => "in"}}
    outer = sent("test.item", 3, %{"note" => "out", "currency" => inner})

    assert {:ok, [%Item{note: "OUT", currency: %Item{note: "IN"}}]} =
             Slipring.decode(<<0x81, outer::binary>>)
  end

  # R5.3: the error names both versions and the step.
  test "a step that is missing is named" do
    assert {:error, %Error{reason: :schema} = error} = item(1, %{"euros" => 7})
    assert {error.got, error.expected, error.path} == {1, 4, "$"}
    assert error.hint == "register a migration of \"test.item\" from version 2 to 3"
    message = Exception.message(error)
    assert message =~ "\"test.item\" of version 1 can't be read as version 4"
    assert String.ends_with?(message, error.hint)
    assert {:error, %Error{hint: hint}} = item(0, %{})
    assert hint =~ "from version 0 to 1"
  end

  # R9.1: what a step raises is told, with the step.
  test "a step that fails is named" do
    for fields <- [%{"cents" => 1}, %{"note" => 5}] do
      assert {:error, %Error{reason: :schema, message: message}} = item(3, fields)
      assert message =~ "the migration from version 3 to 4 failed: "
    end
  end

  test "a newer struct stays an object" do
    assert {:ok, %Object{name: "test.item", version: 5, fields: %{"x" => 1}}} =
             item(5, %{"x" => 1})
  end

  # R6.4: a struct of another's module.
  test "migrations are registered" do
    steps = %{
      1 => fn fields -> Map.put(fields, "x", fields["x"] + 1) end,
      2 => fn fields -> Map.put(fields, "y", 2 * fields["x"]) end
    }

    :ok = Slipring.register(Foreign, name: "test.foreign", version: 3, migrations: steps)
    decode = &Slipring.decode(sent("test.foreign", &1, &2))
    assert {:ok, %Foreign{x: 2, y: 4}} = decode.(1, %{"x" => 1})
    assert {:ok, %Foreign{x: 1, y: 2}} = decode.(2, %{"x" => 1})
    assert {:ok, %Foreign{x: 1, y: nil}} = decode.(3, %{"x" => 1})
    assert {:error, %Error{reason: :schema, hint: hint}} = decode.(0, %{"x" => 1})
    assert hint == "register a migration of \"test.foreign\" from version 0 to 1"

    :ok =
      Slipring.register(Foreign,
        name: "test.foreign",
        version: 3,
        migrations: %{2 => fn _ -> 5 end}
      )

    assert {:error, %Error{reason: :schema, message: message}} = decode.(2, %{})
    assert message =~ "gave 5, which is no map"

    for bad <- [%{3 => &Map.new/1}, %{1 => &Map.put/3}, [1], %{"1" => &Map.new/1}] do
      assert_raise ArgumentError, ~r/option :migrations/, fn ->
        Slipring.register(Foreign, name: "test.foreign", version: 3, migrations: bad)
      end
    end
  end
end

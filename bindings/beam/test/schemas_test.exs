defmodule Slipring.SchemasTest do
  use ExUnit.Case, async: true

  alias Slipring.Native

  @table 3
  @value 1

  defp name, do: "ex-schemas-#{System.pid()}-#{System.unique_integer([:positive])}"

  defp add(ring, kind, name, version, data),
    do: Native.add_schema(ring.ref, kind, name, version, data)

  # R13.2: by whoever is attached, and from outside, in the order in which they came.
  test "schemas are listed" do
    name = name()
    {ring, other} = {Slipring.create!(name), Slipring.open!(name)}
    assert Slipring.schemas(ring) == {:ok, []}
    assert add(ring, @table, "weather", 1, "one") == {:ok, 1}
    assert add(other, @table, "weather", 2, "two, larger") == {:ok, 2}
    assert add(other, @value, "Punkt µ", 1, "") == {:ok, 3}
    assert add(ring, @table, "weather", 1, "one") == {:ok, 1}

    assert [first, second, third] = Slipring.schemas!(other)
    assert %{id: 1, kind: @table, name: "weather", version: 1, size: 3, wanted: nil} = first
    assert %{id: 2, version: 2, size: 11} = second
    assert %{id: 3, kind: @value, name: "Punkt µ", version: 1, size: 0} = third
    assert first.created_ns > 1_600_000_000_000_000_000
    assert Slipring.schemas!(name) == [first, second, third]
    assert Slipring.info!(name).schemas == [first, second, third]

    bytes = for id <- 0..4, do: Native.schema(ring.ref, id)
    assert bytes == [ok: nil, ok: "one", ok: "two, larger", ok: "", ok: nil]
    Slipring.unlink!(name)
  end

  # R2.4, R5.5: what can't be added is told.
  test "another schema of the same version is refused" do
    name = name()
    ring = Slipring.create!(name)
    {:ok, 1} = add(ring, @table, "weather", 1, "one")
    assert {:error, refused} = add(ring, @table, "weather", 1, "onE")
    error = Slipring.Error.new(refused, :add_schema, name)
    assert %{reason: :schema_conflict, path: "weather"} = error
    assert Exception.message(error) =~ "as schema 1"

    too_large = :binary.copy("x", 2_097_152)
    assert {:error, refused} = add(ring, @table, "large", 1, too_large)

    assert %{reason: :schema_too_large, expected: 1_048_576} =
             Slipring.Error.new(refused, :add, name)

    for n <- 1..255, do: {:ok, _id} = add(ring, @table, "many", n, "")
    assert {:error, refused} = add(ring, @table, "one more", 1, "")
    assert %{reason: :schemas_full, expected: 256} = Slipring.Error.new(refused, :add, name)
    Slipring.close(ring)
    assert {:error, %{reason: :detached}} = Slipring.schemas(ring)
    assert {:error, %{reason: :not_found}} = Slipring.schemas("no-such-ring")
  end
end

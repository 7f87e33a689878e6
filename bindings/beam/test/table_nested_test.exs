defmodule Slipring.TableNestedTest do
  use Slipring.Case, async: true

  alias Slipring.{Column, Table}

  defp table,
    do:
      Table.new(
        [
          id: Enum.to_list(1..2000),
          name: for(n <- 1..2000, do: if(rem(n, 7) != 0, do: "name #{n}")),
          kind:
            Column.new(for(n <- 1..2000, do: "k#{rem(n, 3)}"),
              type: {:dictionary, {:s, 8}, :string}
            )
        ],
        metadata: %{"from" => "here"}
      )

  # What a term holds, whatever its columns are made of.
  defp plain(%Table{} = table) do
    types = for field <- table.fields, do: {field.name, field.type}
    {Table, types, table.metadata, table.rows, Table.to_columns(table)}
  end

  defp plain(%{} = map), do: Map.new(map, fn {key, value} -> {key, plain(value)} end)
  defp plain(list) when is_list(list), do: Enum.map(list, &plain/1)
  defp plain(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> plain()
  defp plain(other), do: other

  test "a table in a value comes back as one, from bytes and from frames (R4.1, R6.1)", %{
    name: name
  } do
    term = %{"id" => 7, "frame" => table(), "more" => [{1, table()}, Table.new(a: [])]}
    assert {:ok, bytes} = Slipring.encode(term)
    assert plain(Slipring.decode!(bytes)) == plain(term)
    # Alone.
    assert table() |> Slipring.encode!() |> Slipring.decode!() |> plain() == plain(table())

    for lease <- [:never, :always] do
      {_ring, tx, rx} = pair("#{name}-#{lease}", [], lease: lease)
      # Twice: once there is a guess of how much room it takes, and once there was none.
      for _time <- 1..2 do
        :ok = Slipring.send(tx, term)
        frame = Slipring.recv!(rx, 1_000)
        assert frame.format == :value
        found = Frame.value(frame)
        assert plain(found) == plain(term)

        assert found["frame"] |> Table.to_maps() |> List.last() == %{
                 "id" => 2000,
                 "name" => "name 2000",
                 "kind" => "k2"
               }

        assert Frame.describe(frame).kind == :map
      end
    end
  end

  test "its columns lie in the frame (R1.4)", %{name: name} do
    {_ring, tx, rx} = pair(name, [], lease: :always)
    :ok = Slipring.send(tx, %{"frame" => table()})
    frame = Slipring.recv!(rx, 1_000)
    %{"frame" => found} = Frame.value(frame)
    assert Slipring.Native.in_place(frame.lease, found["id"].data)
    # Its memory is that of the frame, which goes with the last of its columns.
    assert Frame.release(frame) == :deferred
    assert Column.to_list(found["id"]) == Enum.to_list(1..2000)
    # And sent on, it is the same.
    :ok = Slipring.send(tx, [found])
    assert rx |> Slipring.recv!(1_000) |> Frame.value() |> plain() == [plain(table())]
  end

  test "a large one goes by a dirty scheduler", %{name: name} do
    {_ring, tx, rx} = pair(name, [capacity: {64, :mib}], lease: :always)
    large = Table.new(x: Enum.to_list(1..400_000))
    :ok = Slipring.send(tx, {large, large})
    {a, b} = rx |> Slipring.recv!(1_000) |> Frame.value()
    assert plain(a) == plain(large) and plain(b) == plain(large)
    assert Column.sum(a["x"]) == div(400_000 * 400_001, 2)
  end

  test "what is no table is refused with its path (R9.1)" do
    damaged = %{table() | batches: [{3, []}]}
    assert {:error, error} = Slipring.encode(%{"frame" => [damaged]})
    assert {error.reason, error.path, error.got} == {:encode, "$.frame[0]", "Slipring.Table"}
    assert error.message =~ "0 columns, where the table has 3, at $.batches[0] of the table"
    assert {:error, error} = Slipring.JSON.encode(%{"frame" => table()})
    assert {error.path, error.got} == {"$.frame", "Slipring.Table"}
    assert error.hint == "send a list: Slipring.Table.to_maps/1"
  end

  test "JSON says of which module a struct is that was tampered with (R9.1)" do
    damaged = %Slipring.Decimal{sign: 1, coef: :none, exp: 0}
    assert {:error, error} = Slipring.JSON.encode(%{"price" => [damaged]})
    assert {error.path, error.got} == {"$.price[0].coef", "Slipring.Decimal"}
    assert {:error, same} = Slipring.encode(%{"price" => [damaged]})
    assert {same.path, same.got} == {error.path, error.got}
  end

  test "what a peer can write is refused or read, and never a buffer twice (P9)" do
    bytes = Slipring.encode!(Table.new(a: [1, 2, nil], b: ["x", "yy", nil]))
    assert <<0xD9, 0xB9, 0xFD, 0x82, _rest::binary>> = bytes
    :rand.seed(:exsss, 7)

    {refused, read} =
      Enum.reduce(1..3000, {0, 0}, fn _turn, {refused, read} ->
        at = :rand.uniform(byte_size(bytes) - 3) - 1
        word = Enum.random([0, 1, 2, 7, 255, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
        <<before::binary-size(at), _old::32, behind::binary>> = bytes

        case Slipring.decode(<<before::binary, word::little-32, behind::binary>>) do
          {:error, %{reason: :decode, path: "$" <> _}} ->
            {refused + 1, read}

          {:ok, %Table{} = table} ->
            try do
              Table.to_maps(table)
            rescue
              Slipring.Error -> :refused
            end

            {refused, read + 1}

          {:ok, _other} ->
            {refused, read + 1}
        end
      end)

    assert refused > 500 and read > 100

    for head <- [
          "",
          <<0x80>>,
          <<0x81, 0>>,
          <<0x81, 0x40>>,
          <<0x82, 0x40, 0x00>>,
          <<0x81, 0xD9, 47600::16, 0>>,
          <<0x9B, -1::64>>
        ],
        do:
          assert(
            {:error, %{reason: :decode}} = Slipring.decode(<<0xD9, 47613::16, head::binary>>)
          )
  end
end

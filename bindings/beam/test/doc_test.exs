defmodule Slipring.DocTest do
  use ExUnit.Case, async: true
  doctest Slipring
  doctest Slipring.Frame
  doctest Slipring.JSON
  doctest Slipring.JSON.Raw
  doctest Slipring.Text
  doctest Slipring.UUID
  doctest Slipring.Tag
  doctest Slipring.Tensor
end

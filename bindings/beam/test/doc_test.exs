defmodule Slipring.DocTest do
  use ExUnit.Case, async: true
  doctest Slipring
  doctest Slipring.Frame
  doctest Slipring.Tensor
end

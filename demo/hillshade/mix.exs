defmodule Hillshade.MixProject do
  use Mix.Project

  def project do
    [app: :hillshade, version: "0.1.0", elixir: "~> 1.14", deps: deps()]
  end

  def application do
    [mod: {Hillshade.Application, []}, extra_applications: [:logger]]
  end

  defp deps do
    [{:slipring, path: "../../bindings/beam"}]
  end
end

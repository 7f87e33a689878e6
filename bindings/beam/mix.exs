# The compiler of the native part has to be there before the project it compiles. It stands outside
# lib, since in there it would be compiled again and be defined twice.
Code.require_file("mix/compile.slipring.ex", __DIR__)

defmodule Slipring.MixProject do
  use Mix.Project

  @version "0.1.0"
  @source "https://github.com/slipring/slipring"

  def project do
    [
      app: :slipring,
      version: @version,
      elixir: "~> 1.14",
      compilers: [:slipring] ++ Mix.compilers(),
      start_permanent: Mix.env() == :prod,
      deps: [],
      # Tests bring implementations of their own.
      consolidate_protocols: Mix.env() != :test,
      description: "Typed frames between processes on one machine through shared memory",
      source_url: @source,
      package: package()
    ]
  end

  def application do
    [extra_applications: [:logger]]
  end

  defp package do
    [
      licenses: ["MIT", "Apache-2.0"],
      links: %{"Repository" => @source},
      files: ~w(lib mix native/src native/Cargo.toml mix.exs .formatter.exs)
    ]
  end
end

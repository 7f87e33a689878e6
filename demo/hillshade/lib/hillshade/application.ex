defmodule Hillshade.Application do
  @moduledoc false
  # Shades what comes through the rings that HILLSHADE_RINGS names, in one supervised worker.

  use Application

  @impl Application
  def start(_type, _args) do
    children =
      case System.get_env("HILLSHADE_RINGS") do
        # Started for its functions, as the tests do.
        nil -> []
        rings -> [{Hillshade.Worker, rings}]
      end

    Supervisor.start_link(children, strategy: :one_for_one, name: Hillshade.Supervisor)
  end
end

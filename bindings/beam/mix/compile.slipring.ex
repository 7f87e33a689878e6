defmodule Mix.Tasks.Compile.Slipring do
  @shortdoc "Builds the native part of slipring with cargo"

  @moduledoc """
  Builds the Rust library behind slipring and puts it at `priv/native/slipring_beam.so`.

  Cargo decides what has to be built again; it is asked on every compilation. The environment may say
  otherwise:

    * `SLIPRING_NATIVE_PATH` - a library that was built before: it is taken as it is, cargo is not
      needed;
    * `SLIPRING_SKIP_NATIVE` - `1` or `true`: nothing is built and nothing is replaced.

  A library that a running VM has loaded is never written to. The new one is written beside it and
  renamed over it, so a running VM keeps the old file and every later one finds the new file whole.
  """

  use Mix.Task.Compiler

  @crate "slipring_beam"
  @installed Path.join(["priv", "native", "slipring_beam.so"])

  @impl Mix.Task.Compiler
  def run(_args) do
    precompiled = System.get_env("SLIPRING_NATIVE_PATH", "")

    cond do
      System.get_env("SLIPRING_SKIP_NATIVE") in ["1", "true"] -> {:noop, []}
      precompiled != "" -> install(precompiled, "SLIPRING_NATIVE_PATH")
      true -> install(build(), "cargo")
    end
  end

  @impl Mix.Task.Compiler
  def clean do
    File.rm_rf!(Path.dirname(@installed))
    :ok
  end

  # Gives the path of the library.
  defp build do
    cargo =
      System.find_executable("cargo") ||
        Mix.raise("""
        slipring: its native part is written in Rust, and cargo is not on PATH.

        Install Rust (https://rustup.rs) and compile again, or set SLIPRING_NATIVE_PATH to a library
        that was built before.
        """)

    manifest = Path.join("native", "Cargo.toml")

    color = if IO.ANSI.enabled?(), do: "always", else: "never"

    args =
      ~w(build --release --message-format=json-render-diagnostics --color) ++
        [color, "--manifest-path", manifest]

    options = [:binary, :exit_status, :stderr_to_stdout, line: 65_536, args: args]

    case follow(Port.open({:spawn_executable, cargo}, options), "", [], false) do
      {0, messages} ->
        library_in(messages) ||
          Mix.raise("""
          slipring: cargo built #{manifest} but named no dynamic library #{@crate}.

          Its Cargo.toml needs: [lib] name = "#{@crate}", crate-type = ["cdylib"].
          """)

      {status, _messages} ->
        Mix.raise(
          "slipring: cargo could not build #{manifest} (exit status #{status}); its own words are above."
        )
    end
  end

  # Of cargo's lines some are messages, one JSON object each, and the others are for people. Those
  # are shown as they come; that it has finished only if it had something to do.
  defp follow(port, started, messages, said?) do
    receive do
      {^port, {:data, {:noeol, part}}} ->
        follow(port, started <> part, messages, said?)

      {^port, {:data, {:eol, part}}} ->
        case started <> part do
          "{" <> _ = message ->
            follow(port, "", [message | messages], said?)

          line ->
            show? = said? or not (line =~ "Finished")
            if show?, do: IO.puts(:stderr, line)
            follow(port, "", messages, show?)
        end

      {^port, {:exit_status, status}} ->
        {status, Enum.reverse(messages)}
    end
  end

  # Where the library lies depends on the workspace, CARGO_TARGET_DIR and cargo's configuration, so
  # cargo's word is taken for it. The oldest Elixir supported has no JSON parser; the one field that
  # is wanted has a fixed shape.
  defp library_in(messages) do
    messages
    |> Enum.filter(&(&1 =~ ~s("reason":"compiler-artifact") and &1 =~ ~s("name":"#{@crate}")))
    |> Enum.flat_map(&Regex.scan(~r/"filenames":\[(.*?)\]/, &1, capture: :all_but_first))
    |> Enum.flat_map(fn [list] ->
      Regex.scan(~r/"((?:[^"\\]|\\.)*)"/, list, capture: :all_but_first)
    end)
    |> Enum.map(fn [path] -> Regex.replace(~r/\\(.)/, path, "\\1") end)
    |> Enum.find(&(Path.extname(&1) in [".so", ".dylib", ".dll"]))
  end

  defp install(library, source) do
    wanted =
      case File.read(library) do
        {:ok, bytes} ->
          bytes

        {:error, reason} ->
          Mix.raise(
            "slipring: #{library} (from #{source}) can't be read: #{:file.format_error(reason)}."
          )
      end

    status = if File.read(@installed) == {:ok, wanted}, do: :noop, else: replace(wanted)
    link_priv()
    {status, []}
  end

  defp replace(bytes) do
    File.mkdir_p!(Path.dirname(@installed))
    beside = "#{@installed}.#{System.pid()}"
    File.write!(beside, bytes)
    File.rename!(beside, @installed)
    :ok
  end

  # Mix links priv into the build folder before compilers run, when there may have been none yet.
  defp link_priv do
    unless File.dir?(Path.join(Mix.Project.app_path(), "priv")), do: Mix.Project.build_structure()
  end
end

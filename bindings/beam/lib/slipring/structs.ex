defmodule Slipring.Structs do
  @moduledoc false
  # Which structs go by which names, and what the native part makes structs of.
  #
  # The native part looks types up in two maps, which so must be terms without a process: a persistent
  # term, put anew when a type is added. That happens once for each, when its first value is sent, when
  # its name arrives first, or by `Slipring.register/2`.

  alias Slipring.{Choices, Encodable, Object, Tensor}

  @key __MODULE__

  @options [:name, :version, :only, :except]

  # `{%{module => {name, version, {{field, text}, ...}}}, {templates, %{name => {template, version, loads?}}},
  #   %{module => %{version => migration}}}`
  defp state, do: :persistent_term.get(@key, nil) || change(& &1)

  def registry, do: elem(state(), 0)
  def forms, do: elem(state(), 1)

  # One at a time, on this node.
  defp change(change) do
    :global.trans({@key, self()}, fn -> put(change) end, [node()])
  end

  defp put(change) do
    old = :persistent_term.get(@key, nil)
    new = change.(old || {%{}, {templates(), %{}}, %{}})
    if new != old, do: :persistent_term.put(@key, new)
    new
  end

  # In the order of `form` in the native part.
  defp templates do
    decimal = if Code.ensure_loaded?(Decimal), do: Decimal, else: Slipring.Decimal

    {MapSet.new(), 0..0//1, ~D[1970-01-01], ~T[00:00:00], ~N[1970-01-01 00:00:00],
     ~U[1970-01-01 00:00:00Z], struct(decimal), %Slipring.Duration{},
     %Slipring.UUID{bytes: <<0::128>>}, Tensor.new("", {0}, {:u, 8}),
     %Slipring.Tag{number: 0, value: nil}, %Object{name: "", version: 0, fields: nil},
     %Slipring.Table{}}
  end

  # Types ------------------------------------------------------------------------------------------

  # A type of these options, which are checked.
  def type!(module, struct, options) do
    unless Keyword.keyword?(options) and Keyword.keys(options) -- @options == [] do
      raise ArgumentError,
            "options of Slipring.Encodable are #{inspect(@options)}, not #{inspect(options)}"
    end

    fields = struct |> Map.keys() |> List.delete(:__struct__)
    only = Keyword.get(options, :only, fields)
    except = Keyword.get(options, :except, [])
    name = Keyword.get(options, :name, inspect(module))
    version = Keyword.get(options, :version, 1)

    check!(is_binary(name) and String.valid?(name) and name != "", :name, "text", name)

    # As in Python, 0 is what came before any version: nothing has it, and migrations may start from it.
    good? = is_integer(version) and version in 1..0xFFFFFFFF
    check!(good?, :version, "a whole number from 1 to 4294967295", version)

    for {key, given} <- [only: only, except: except] do
      wanted = "a list of fields of #{inspect(module)}"
      check!(is_list(given) and given -- fields == [], key, wanted, given)
    end

    {name, version, List.to_tuple(for f <- only -- except, do: {f, Atom.to_string(f)})}
  end

  defp check!(true, _option, _expected, _got), do: :ok

  defp check!(false, option, expected, got) do
    raise ArgumentError, "option #{inspect(option)} is #{inspect(got)}, but must be #{expected}"
  end

  # Functions by the version that each starts from, which are checked.
  def migrations!(migrations, version) do
    good? = fn {from, migrate} -> from in 0..(version - 1)//1 and is_function(migrate, 1) end

    check!(
      is_map(migrations) and Enum.all?(migrations, good?),
      :migrations,
      "a map of functions, each by the version below #{version} that it starts from",
      migrations
    )

    migrations
  end

  # `:ok`, or the module that has the name.
  def register(module, {name, version, _fields} = type, migrations \\ %{}) do
    template = module.__struct__()
    loads? = loads?(module) or migrations != %{}

    {types, {_templates, names}, _migrations} =
      change(fn {types, {templates, names}, steps} = state ->
        case names do
          %{^name => {%{__struct__: other}, _version, _loads?}} when other != module ->
            state

          _free ->
            {types, names} = without(types, names, module)
            names = Map.put(names, name, {template, version, loads?})
            {Map.put(types, module, type), {templates, names}, Map.put(steps, module, migrations)}
        end
      end)

    case {types, names} do
      {%{^module => ^type}, _names} -> Choices.registered(module, type)
      {_types, %{^name => {%{__struct__: other}, _version, _loads?}}} -> {:taken, other}
    end
  end

  def forget(module) do
    case :persistent_term.get(@key, nil) do
      {%{^module => _type}, _forms, _migrations} ->
        change(fn {types, {templates, names}, migrations} ->
          {types, names} = without(types, names, module)
          {types, {templates, names}, Map.delete(migrations, module)}
        end)

        :ok

      _not_there ->
        :ok
    end
  end

  defp without(types, names, module) do
    names = for {name, {%{__struct__: m}, _, _} = entry} <- names, m != module, do: {name, entry}
    {Map.delete(types, module), Map.new(names)}
  end

  defp loads?(module) do
    behaviours = for {:behaviour, list} <- module.module_info(:attributes), b <- list, do: b
    Object in behaviours
  end

  # A derived struct as what is sent of it.
  def object(struct, {name, version, fields}) do
    fields =
      for {field, text} <- Tuple.to_list(fields), into: %{}, do: {text, Map.get(struct, field)}

    %Object{name: name, version: version, fields: fields}
  end

  # Sending ----------------------------------------------------------------------------------------

  # Of what a walk has met: structs, and lists of those within what was prepared before. Gives all that
  # is prepared, in their order.
  def prepare(met, prepared) do
    {prepared, _none} =
      Enum.flat_map_reduce(met, prepared, fn
        inside, [{:as, term, inner} | rest] when is_list(inside) ->
          {[{:as, term, prepare(inside, inner)}], rest}

        struct, rest ->
          {one(struct), rest}
      end)

    prepared
  end

  defp one(%{__struct__: Nx.Tensor} = tensor) do
    case Tensor.of_nx(tensor) do
      {:ok, tensor} ->
        [{:as, tensor, []}]

      {:error, type} ->
        [{:refuse, "Nx.Tensor of type #{inspect(type)}", "convert it by Nx.as_type/2"}]
    end
  end

  defp one(%{__struct__: module} = struct) do
    case implementation(struct) do
      nil ->
        [{:refuse, inspect(module), hint(module)}]

      impl ->
        with type when type != nil <- type_of(impl),
             :ok <- register(module, type) do
          # From now on the native part knows it.
          []
        else
          _own_form ->
            Choices.prepared(module)
            [{:as, impl.encode(struct), []}]
        end
    end
  end

  # Whatever else has a `__struct__`.
  defp implementation(struct) do
    Encodable.impl_for(struct)
  rescue
    _error -> nil
  end

  defp type_of(impl) do
    if Code.ensure_loaded?(impl) and function_exported?(impl, :__slipring__, 0),
      do: impl.__slipring__()
  end

  defp hint(module) do
    name = inspect(module)

    # An implementation that nobody asks.
    if Code.ensure_loaded?(Module.concat(Encodable, module)),
      do:
        "Slipring.Encodable was consolidated before #{name} was compiled: call Slipring.register(#{name})",
      else:
        "derive Slipring.Encodable in #{name}, call Slipring.register(#{name}), or send Map.from_struct/1 of it"
  end

  # Receiving --------------------------------------------------------------------------------------

  # Whether types were found that were not known. Of a consolidated protocol all are known at once; else
  # it is asked again each time, for modules may be loaded any time.
  def discover do
    known = map_size(registry())
    for module <- implementing(), do: discover(module)
    map_size(registry()) > known
  end

  defp discover(module) do
    with type when type != nil <- type_of(Module.concat(Encodable, module)),
         true <- Code.ensure_loaded?(module),
         false <- is_map_key(registry(), module),
         do: register(module, type)
  end

  defp implementing do
    case Encodable.__protocol__(:impls) do
      {:consolidated, modules} -> if once(:consolidated), do: modules, else: []
      :not_consolidated -> if(once(:paths), do: in_paths(), else: []) ++ loaded()
    end
  end

  defp once(what) do
    key = {@key, what}
    seen? = :persistent_term.get(key, false)
    unless seen?, do: :persistent_term.put(key, true)
    not seen?
  end

  defp in_paths, do: Protocol.extract_impls(Encodable, :code.get_path())

  defp loaded do
    prefix = "#{Encodable}."

    for {module, _file} <- :code.all_loaded(),
        text = Atom.to_string(module),
        String.starts_with?(text, prefix),
        do:
          String.to_atom(
            "Elixir." <> binary_part(text, byte_size(prefix), byte_size(text) - byte_size(prefix))
          )
  end

  # Objects of other versions, made by the modules that read them; the rest as it is.
  def load(term) do
    {_templates, names} = forms()
    load(term, names)
  end

  defp load(%Object{} = object, names) do
    object = %{object | fields: load(object.fields, names)}

    case Map.get(names, object.name) do
      {template, version, true} when version != object.version ->
        Choices.loaded(template.__struct__, object.name, object.version)
        other_version(object, template, version)

      _not_ours ->
        object
    end
  end

  defp load(%MapSet{} = set, names), do: MapSet.new(set, &load(&1, names))

  defp load(%{__struct__: _} = struct, names),
    do: Map.merge(struct, struct |> Map.from_struct() |> load(names))

  defp load(%{} = map, names), do: Map.new(map, fn {k, v} -> {load(k, names), load(v, names)} end)
  defp load(list, names) when is_list(list), do: Enum.map(list, &load(&1, names))

  defp load(tuple, names) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> load(names) |> List.to_tuple()

  defp load(other, _names), do: other

  defp other_version(object, %{__struct__: module} = template, version) do
    steps = Map.get(elem(state(), 2), module, %{})
    migrates? = steps != %{} or function_exported?(module, :migrate, 2)

    cond do
      migrates? and object.version < version ->
        object.version..(version - 1)
        |> Enum.reduce(object.fields, &migrate(&2, &1, module, steps, {object, version}))
        |> by_name(template, {object, version})

      function_exported?(module, :load, 2) ->
        module.load(object.version, object.fields)

      true ->
        object
    end
  end

  # One step: the function that was registered for it, else that of the module.
  defp migrate(fields, step, module, steps, versions) do
    case steps do
      %{^step => migrate} ->
        migrate.(fields)

      _not_registered ->
        if function_exported?(module, :migrate, 2),
          do: module.migrate(step, fields),
          else: missing!(step, versions)
    end
  rescue
    error in FunctionClauseError ->
      case error do
        %{module: ^module, function: :migrate, arity: 2} -> missing!(step, versions)
        _within -> failed!(error, step, versions)
      end

    error in Slipring.Error ->
      reraise error, __STACKTRACE__

    error ->
      failed!(error, step, versions)
  end

  defp by_name(%{} = fields, template, _versions) do
    known = template |> Map.from_struct() |> Map.keys()

    given =
      for key <- known, {:ok, value} <- [Map.fetch(fields, Atom.to_string(key))], do: {key, value}

    struct(template, given)
  end

  defp by_name(other, _template, {_object, version} = versions) do
    hint = "let the migration to version #{version} give a map"

    schema!(
      "its migrations gave #{inspect(other, limit: 5)}, which is no map of fields",
      hint,
      versions
    )
  end

  defp missing!(step, {object, _version} = versions) do
    hint = "register a migration of #{inspect(object.name)} from version #{step} to #{step + 1}"
    schema!("there is no migration from version #{step}", hint, versions)
  end

  defp failed!(error, step, versions) do
    message =
      "the migration from version #{step} to #{step + 1} failed: #{Exception.message(error)}"

    schema!(message, "correct it", versions)
  end

  defp schema!(why, hint, {object, version}) do
    raise Slipring.Error,
      reason: :schema,
      path: "$",
      got: object.version,
      expected: version,
      hint: hint,
      message:
        "#{inspect(object.name)} of version #{object.version} can't be read as version #{version}: " <>
          "#{why}; #{hint}"
  end
end

"""The fields of a class: of a dataclass, of attrs, of a TypedDict."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any, TypeVar

from . import _types
from ._options import KEY, Meta

#: How a field is read and written.
SLOT, PLAIN, ATTRIBUTE = 0, 1, 2
#: What stands for a field that is missing.
NOTHING, VALUE, FACTORY = 0, 1, 2
#: How an object is made: filled in, by a call, or as a dict.
FILLED, CALLED, DICT = 0, 1, 2

#: What is said of a value by a validator that says nothing.
REFUSED = "Invalid value."

_EMPTY = Meta()


@dataclasses.dataclass(slots=True)
class Field:
    """A field as the plan wants it; ``name`` is the attribute's, ``argument`` that of ``__init__``."""

    name: str
    argument: str
    type: Any
    meta: Meta
    default: tuple[int, Any] = (NOTHING, None)
    #: Taken by ``__init__``.
    init: bool = True
    #: Set by the generated ``__init__`` when no value is given.
    set: bool = True
    #: Not handed to ``__init__`` alone: an attribute.
    stored: bool = True
    #: Must be there.
    required: bool = True
    #: Says of which class an object is, and nothing else.
    tag: bool = False


def tag(cls: type, said: str | int, name: str, names: set[str]) -> Field:
    """The field that says of which class an object is, which is an attribute of the class."""
    if typing.is_typeddict(cls):
        raise TypeError(f"{cls.__qualname__}: a TypedDict has no tag: give it a key that is a Literal")
    if name in names or name in _slots(cls):
        raise TypeError(f"{cls.__qualname__} has a field {name!r}: give another name by tag_field=")
    value = cls.__name__ if said is True else said
    if name not in vars(cls):
        setattr(cls, name, value)
    elif vars(cls)[name] != value:
        raise TypeError(f"{cls.__qualname__} has an attribute {name!r}: give another name by tag_field=")
    literal = typing.Literal[value]  # type: ignore[valid-type]
    return Field(name, name, literal, _EMPTY, init=False, set=False, required=False, tag=True)


def _slots(cls: type) -> set[str]:
    return {name for base in cls.__mro__ for name in _listed(vars(base).get("__slots__", ()))}


def _listed(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def hints(cls: type, env: dict[Any, Any]) -> dict[str, Any]:
    """The annotations of a class, forward references resolved, with what the type variables of the class that declares
    each stand for."""
    found = _resolved(cls, cls, {})
    owners = {name: (base, inner) for name, base, inner in _declared(cls, env)}
    for name, hint in found.items():
        if isinstance(hint, dataclasses.InitVar):
            found[name] = dataclasses.InitVar(_within(hint, owners.get(name, (cls, env))[0], cls))
    return {name: (hint, owners[name][1] if name in owners else env) for name, hint in found.items()}


def _resolved(holder: type, cls: type, names: dict[str, Any]) -> dict[str, Any]:
    """The annotations of a class, or of what holds some of its own, with the names in them replaced."""
    try:
        return typing.get_type_hints(holder, localns=names or None, include_extras=True)
    except NameError as error:
        # Of classes in functions the names are not to be found: these at least are known.
        known = {base.__name__: base for base in cls.__mro__}
        try:
            return typing.get_type_hints(holder, localns=known | names, include_extras=True)
        except NameError as unknown:
            raise TypeError(
                f"{cls.__qualname__} is annotated with {unknown.name!r}, which its module does not know: "
                "declare it at the module's level, or without quotes"
            ) from error


def _within(hint: dataclasses.InitVar, base: type, cls: type) -> Any:
    """What an InitVar is of, which Python leaves as it is written."""
    holder = type(base.__name__, (), {"__module__": base.__module__, "__annotations__": {"it": hint.type}})
    return _resolved(holder, cls, {one.__name__: one for one in parameters(base)})["it"]


def _declared(cls: type, env: dict[Any, Any]) -> Iterator[tuple[str, type, dict[Any, Any]]]:
    """Each annotated name with the class that has declared it and that one's type variables, the nearest class last."""
    environments = {cls: env}
    for base in cls.__mro__:
        inner = environments.get(base, {})
        for generic in getattr(base, "__dict__", {}).get("__orig_bases__", ()):
            origin = typing.get_origin(generic)
            if isinstance(origin, type) and origin is not typing.Generic:
                given = [_types.bound(one, inner) for one in typing.get_args(generic)]
                environments.setdefault(origin, dict(zip(parameters(origin), given)))
    for base in reversed(cls.__mro__):
        for name in inspect.get_annotations(base) if isinstance(base, type) else ():
            yield name, base, environments.get(base, {})


def parameters(cls: Any) -> tuple[Any, ...]:
    """The type variables of a generic class, in order."""
    return getattr(cls, "__parameters__", ()) or getattr(cls, "__type_params__", ())


def is_class(cls: Any) -> bool:
    """Whether it is a class with fields."""
    if not isinstance(cls, type):
        return False
    return dataclasses.is_dataclass(cls) or hasattr(cls, "__attrs_attrs__") or typing.is_typeddict(cls)


def fields(cls: type, env: dict[Any, Any]) -> list[tuple[Field, dict[Any, Any]]]:
    """The fields of a class, each with the type variables of the class that has declared it."""
    known = hints(cls, env)
    if typing.is_typeddict(cls):
        return list(_of_typeddict(cls, known))
    if "__attrs_attrs__" in vars(cls) or not dataclasses.is_dataclass(cls):
        return list(_of_attrs(cls, known))
    return list(_of_dataclass(cls, known))


def _meta(metadata: Any) -> Meta:
    given = metadata.get(KEY) if metadata else None
    if given is None:
        return _EMPTY
    if not isinstance(given, Meta):
        raise TypeError(f"a field's metadata holds {given!r} under {KEY!r}: give slipring.dataclass.meta(...)")
    return given


def _of_dataclass(cls: type, known: dict[str, Any]) -> Iterator[tuple[Field, dict[Any, Any]]]:
    for field in cls.__dataclass_fields__.values():  # type: ignore[attr-defined]
        kind = field._field_type.name  # type: ignore[attr-defined]
        if kind == "_FIELD_CLASSVAR":
            continue
        stored = kind != "_FIELD_INITVAR"
        hint, env = known.get(field.name, (field.type, {}))
        if isinstance(hint, dataclasses.InitVar):
            hint = hint.type
        if field.default is not dataclasses.MISSING:
            default = (VALUE, field.default)
        elif field.default_factory is not dataclasses.MISSING:
            default = (FACTORY, field.default_factory)
        else:
            default = (NOTHING, None)
        # As the generated __init__ has it: without init only what a factory makes is set, or what has no other place.
        set_by_init = field.init or default[0] == FACTORY or (default[0] == VALUE and "__slots__" in vars(cls))
        yield Field(
            field.name,
            field.name,
            hint,
            _meta(field.metadata),
            default,
            init=field.init,
            set=stored and set_by_init,
            stored=stored,
            required=field.init and default[0] == NOTHING,
        ), env


def _of_attrs(cls: type, known: dict[str, Any]) -> Iterator[tuple[Field, dict[Any, Any]]]:
    attr = sys.modules["attr"]
    for field in cls.__attrs_attrs__:  # type: ignore[attr-defined]
        hint, env = known.get(field.name, (field.type or Any, {}))
        # What has a default is left to __init__: a factory may want the object itself.
        has_default = field.default is not attr.NOTHING
        meta = _meta(field.metadata)
        # What a converter makes of the value, and who wants the object, is left to __init__ as well, and to `judge`.
        if _is_by_value(field):
            meta = Meta(validate=_checking(field)).over(meta)
        yield Field(
            field.name,
            getattr(field, "alias", None) or field.name.lstrip("_"),
            hint,
            meta,
            init=field.init,
            set=False,
            required=field.init and not has_default,
        ), env


#: What validators of attrs that are made of others hold them as.
_PARTS = (
    *("_validators", "validators", "validator"),
    *("member_validator", "iterable_validator"),
    *("key_validator", "value_validator", "mapping_validator"),
)


def _is_of_attrs(validator: Any) -> bool:
    """Whether it is one of ``attrs.validators``, all through: these look at the value alone."""
    if isinstance(validator, (tuple, list)):
        return all(map(_is_of_attrs, validator))
    kind = type(validator)
    if kind.__module__ not in ("attr.validators", "attr._make"):
        return False
    parts = (getattr(validator, name, None) for name in _PARTS)
    return all(_is_of_attrs(part) for part in parts if part is not None)


def _is_by_value(field: Any) -> bool:
    """Whether a field of attrs is validated by nothing but its value, as it is given."""
    return field.validator is not None and field.init and field.converter is None and _is_of_attrs(field.validator)


def _checking(field: Any) -> Any:
    """What attrs checks in ``__init__`` as a validator of the field, so that each field's faults are told, and told there."""
    attr = sys.modules["attr"]

    def check(value: Any) -> None:
        if not attr.get_run_validators():
            return
        try:
            field.validator(None, field, value)
        except (TypeError, ValueError) as error:
            raise ValueError(_of_attrs_validator(error)) from error

    return check


def _of_attrs_validator(error: Exception) -> Any:
    # Behind the message stand the field and what was expected.
    return error.args[0] if error.args else str(error)


def judge(cls: Any, keys: dict[str, str]) -> Any:
    """Who tells what validators of an attrs class say that may want the object, each at its field by its name outside (``keys``);
    None if the class has none, or is not made as attrs does it.

    ``judge(obj)`` is asked where ``__init__`` has raised: attrs sets all fields before it calls the first validator, so that each
    can be asked. ``judge(None, values, failed)`` is asked where some fields are not valid and no object was made: of one that has the
    others only. What a validator then raises for want of the others is not told.
    """
    attr = sys.modules.get("attr")
    if not hasattr(cls, "__attrs_attrs__") or attr is None:
        return None
    # Those that `__init__` sets.
    known = [field for field in cls.__attrs_attrs__ if field.init or field.default is not attr.NOTHING]
    checked = [field for field in known if field.validator is not None]
    code = getattr(cls.__init__, "__code__", None)
    if (
        all(map(_is_by_value, checked))
        or not getattr(code, "co_filename", "").startswith("<attrs generated ")
        or cls.__new__ is not object.__new__
        or type(cls).__call__ is not type.__call__
    ):
        return None

    def judge(obj: Any, values: dict[str, Any] | None = None, failed: Any = ()) -> dict[str, Any] | None:
        if not attr.get_run_validators():
            return None
        if values is None:
            asked = checked
            if not all(_is_set(obj, field.name) for field in known):
                return None
        else:
            obj = _partial(cls, known, values, failed, attr)
            asked = [
                field for field in checked if field.converter is None and not _is_by_value(field) and _is_set(obj, field.name)
            ]
        said: dict[str, Any] = {}
        for field in asked:
            for validator in _each(field.validator):
                try:
                    validator(obj, field, getattr(obj, field.name))
                except Exception as error:
                    more = _refusal(error, validator)
                    if more is None:
                        if values is None:
                            raise
                        continue
                    former = said.setdefault(keys[field.name], more)
                    # Messages of another form can't be joined: the first ones stay.
                    if former is not more and isinstance(former, list) and isinstance(more, list):
                        former.extend(more)
        return said or None

    return judge


def _is_set(obj: Any, name: str) -> bool:
    try:
        object.__getattribute__(obj, name)
    except AttributeError:
        return False
    return True


def _partial(cls: Any, known: list[Any], values: dict[str, Any], failed: Any, attr: Any) -> Any:
    """An object with some of its fields, and what others have by default; what goes through converters is left out."""
    obj = object.__new__(cls)
    for field in known:
        if field.converter is not None or field.name in failed:
            continue
        value = values.get(field.name, field.default)
        if isinstance(value, attr.Factory) and value is field.default:
            if value.takes_self:
                continue
            value = value.factory()
        if value is not attr.NOTHING:
            object.__setattr__(obj, field.name, value)
    return obj


def _each(validator: Any) -> Iterator[Any]:
    """A validator, or those that were joined to one."""
    if type(validator).__module__ == "attr._make" and (parts := getattr(validator, "_validators", None)):
        for part in parts:
            yield from _each(part)
    else:
        yield validator


def _refusal(error: Exception, validator: Any) -> Any:
    """What a validator that has raised says of a value; None if that is no refusal."""
    messages = getattr(error, "messages", None)
    if isinstance(messages, (dict, list)):
        return list(messages) if isinstance(messages, list) else messages
    if isinstance(error, (TypeError, ValueError)) and _is_of_attrs(validator):
        return [_of_attrs_validator(error)]
    return [str(error) or REFUSED] if isinstance(error, ValueError) else None


def _of_typeddict(cls: type, known: dict[str, Any]) -> Iterator[tuple[Field, dict[Any, Any]]]:
    required = cls.__required_keys__  # type: ignore[attr-defined]
    for name, (hint, env) in known.items():
        needed = name in required
        # Under `from __future__ import annotations` the class itself has not seen these.
        while (origin := typing.get_origin(hint)) is not None and getattr(origin, "_name", None) in (
            "Required",
            "NotRequired",
            "ReadOnly",
        ):
            if origin._name != "ReadOnly":
                needed = origin._name == "Required"
            hint = typing.get_args(hint)[0]
        yield Field(name, name, hint, _EMPTY, required=needed), env


def way(cls: type, all_fields: list[Field]) -> tuple[int, Any]:
    """How an object is made, and its ``__post_init__``, if that is called by who makes it."""
    if typing.is_typeddict(cls):
        return DICT, None
    init = cls.__init__
    code = getattr(init, "__code__", None)
    generated = (
        "__dataclass_params__" in dir(cls)
        and "__attrs_attrs__" not in vars(cls)
        and isinstance(init, types.FunctionType)
        and code is not None
        and _is_generated(code)
        and cls.__dataclass_params__.init  # type: ignore[attr-defined]
    )
    own_setattr = cls.__setattr__ is not object.__setattr__ and not (
        cls.__dataclass_params__.frozen if generated else False  # type: ignore[attr-defined]
    )
    if (
        not generated
        or own_setattr
        or cls.__new__ is not object.__new__
        or type(cls).__call__ is not type.__call__
        or inspect.isabstract(cls)
        or not _same_fields(cls)
        or any(place(cls, field.name)[0] == ATTRIBUTE for field in all_fields if field.stored)
    ):
        return CALLED, None
    return FILLED, getattr(cls, "__post_init__", None)


def _is_generated(code: types.CodeType) -> bool:
    """Whether dataclasses has made this ``__init__``; a subclass that is no dataclass itself inherits it.

    It comes from no file, as does all that ``exec`` and ``python -c`` run, and out of a function that dataclasses writes
    around it: that name stays in the code when the function gets its class's.
    """
    return code.co_filename == "<string>" and code.co_qualname == "__create_fn__.<locals>.__init__"


def _same_fields(cls: type) -> bool:
    """Whether the ``__init__`` that is inherited is that of these fields."""
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
    return vars(owner).get("__dataclass_fields__") is cls.__dataclass_fields__  # type: ignore[attr-defined]


def place(cls: type, name: str) -> tuple[int, Any]:
    """How an attribute is read and written: through the descriptor of its slot, in the ``__dict__``, or as any other."""
    if cls.__getattribute__ is not object.__getattribute__:
        return ATTRIBUTE, None
    for base in cls.__mro__:
        found = vars(base).get(name, _EMPTY)
        if found is _EMPTY:
            continue
        if isinstance(found, types.MemberDescriptorType):
            return SLOT, found
        if hasattr(type(found), "__set__") or hasattr(type(found), "__delete__"):
            return ATTRIBUTE, None
        if not hasattr(type(found), "__get__"):
            return PLAIN, None
        # A default that is a function: the __dict__ goes first all the same.
        return PLAIN, None
    return PLAIN, None


__all__ = ["Field", "fields", "hints", "is_class", "parameters", "place", "way"]

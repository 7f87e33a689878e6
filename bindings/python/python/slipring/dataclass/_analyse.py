"""From types to the description of a plan: tuples that Rust compiles.

Each node is a tuple of its kind and what belongs to it; nodes name each other by their place in the list, so that a
type may contain itself. What is said with :class:`Meta` goes down to the type that it is about: through Optional to what
is inside.
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import sys
import types
import typing
import uuid
from typing import Any, TypeVar

from .. import _native, values
from . import _choices, _fields, _types
from ._options import KEY, Meta, of, renamed

#: Plans are kept under this name on their class.
PLAN = "__slipring_plan__"
#: Plans of other types, such as list[Order]: so many at most, the latest.
KEPT = 512
#: Forms of one generic class in a plan; more come of one that contains a larger one of itself.
FORMS = 64

_WITHOUT_HASH = {
    "list": ("a list", "annotate a tuple"),
    "set": ("a set", "annotate a frozenset"),
    "dict": ("a dict", "make it a NamedTuple or a frozen dataclass"),
    "array": ("an array", "annotate a tuple"),
}

_EMPTY = Meta()
#: What is said of some types only.
_FITS = {
    "places": "a Decimal",
    "rounding": "a Decimal",
    "format": "datetime, date and time",
    "by": "an Enum",
    "discriminator": "a union of at least two classes",
}
#: By type; of types that are equal but for the order of something in them the one that was asked for last.
_plans: dict[Any, Any] = {}
#: By type and order.
_ordered: dict[Any, Any] = {}

_LEAVES: dict[Any, str] = {
    Any: "any",
    object: "any",
    None: "none",
    type(None): "none",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    bytes: "bytes",
    uuid.UUID: "uuid",
    datetime.timedelta: "timedelta",
}
_TEMPORAL: dict[Any, str] = {datetime.datetime: "datetime", datetime.date: "date", datetime.time: "time"}
_LISTS = (list, collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Iterable, collections.abc.Collection)
_SETS = (set, collections.abc.Set, collections.abc.MutableSet)
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_WRAPPERS = ("Required", "NotRequired", "ReadOnly", "Final", "ClassVar")


def plan(tp: Any) -> Any:
    """The plan of a type, made once."""
    if _fields.is_class(tp) and not isinstance(tp, types.GenericAlias):
        found = vars(tp).get(PLAN)
        if found is not None:
            return found
        found = _compile(tp)
        try:
            setattr(tp, PLAN, found)
        except (AttributeError, TypeError):
            # A class that takes no attributes is kept with the other types.
            pass
        else:
            return found
    try:
        order = _types.order(tp)
        found = _ordered.get((tp, order)) if order else _plans.get(tp)
    except TypeError:
        # It has a part without a hash, such as a function's arguments in Annotated: it is analysed each time.
        return _compile(tp)
    if found is None:
        found = _compile(tp)
        if order:
            _keep(_ordered, (tp, order), found)
    _keep(_plans, tp, found)
    return found


def _keep(book: dict[Any, Any], key: Any, found: Any) -> None:
    """The oldest goes for what is new."""
    book[key] = found
    while len(book) > KEPT:
        try:
            oldest = next(iter(book))
        except (RuntimeError, StopIteration):
            # Another thread is at it; no lock, which a fork might leave locked.
            continue
        book.pop(oldest, None)


def _compile(tp: Any) -> Any:
    if not _types.is_type(tp):
        if type(tp) is list and len(tp) == 1 and _types.is_type(tp[0]):
            raise TypeError(f"{tp!r} is a list and no type: give list[...] for many")
        raise TypeError(
            f"an object of type {type(tp).__qualname__} is no type that can be dumped and loaded; "
            "give the type first: load(type, data), dump(type, obj), but last: to_frame(tx, obj, type)"
        )
    nodes = Nodes()
    root = nodes.add(tp, {}, _EMPTY)
    return _native._dataclass.compile(tp, nodes.finish(), root, bool(_types.order(tp)))


class Nodes:
    """The nodes of one plan while they are found."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.classes: dict[Any, int] = {}
        self.unions: list[tuple[int, tuple[int, ...], str | None]] = []
        #: Sets and dicts, whose items and keys must have a hash.
        self.hashed: list[int] = []
        #: What is said of the type at hand and has found what it is about.
        self.used: set[str] = set()

    def place(self, node: Any = None) -> int:
        self.made.append(node)
        return len(self.made) - 1

    def add(self, tp: Any, env: dict[Any, Any], meta: Meta) -> int:
        """The node of a type; ``env`` says what type variables stand for."""
        origin = typing.get_origin(tp)
        if origin is typing.Annotated:
            inner, *extras = typing.get_args(tp)
            said: set[str] = set()
            # The last one is the outermost, and goes first.
            for extra in reversed(extras):
                if isinstance(extra, Meta):
                    meta = meta.over(extra)
                    said |= _said(extra)
                elif extra is Meta or (type(extra) is dict and KEY in extra):
                    raise TypeError(f"{tp!r}: Annotated takes Meta(...); meta(...) is for a field's metadata")
            outer, self.used = self.used, set()
            place = self.add(inner, env, meta)
            self.check_used(said, tp)
            self.used |= outer
            return place
        if isinstance(tp, TypeVar):
            return self.variable(tp, env, meta)
        if tp is typing.Self and tp in env:
            return self.add(env[tp], {}, meta)
        if isinstance(tp, typing.NewType):
            return self.add(tp.__supertype__, env, meta)
        if isinstance(tp, getattr(typing, "TypeAliasType", ())) or type(tp).__name__ == "TypeAliasType":
            return self.add(tp.__value__, env, meta)
        if isinstance(origin, getattr(typing, "TypeAliasType", ())) or type(origin).__name__ == "TypeAliasType":
            inner_env = dict(zip(origin.__type_params__, (self.closed(arg, env) for arg in typing.get_args(tp))))
            return self.add(origin.__value__, inner_env, meta)
        if isinstance(tp, dataclasses.InitVar):
            return self.add(tp.type, env, meta)
        if origin is not None and getattr(origin, "_name", None) in _WRAPPERS:
            return self.add(typing.get_args(tp)[0], env, meta)
        if isinstance(tp, (str, typing.ForwardRef)):
            name = tp if isinstance(tp, str) else tp.__forward_arg__
            raise TypeError(f"{name!r} is a name and not a type: give the type itself")
        if origin is typing.Union or origin is types.UnionType:
            return self.union(typing.get_args(tp), env, meta)
        if origin is typing.Literal:
            return self.checked(meta, lambda: self.place(_choices.literal(typing.get_args(tp))))
        if _is_bare(meta):
            # Without a detour: types within types are as many calls deep.
            return self.plain(tp, origin, env, meta)
        return self.checked(meta, lambda: self.plain(tp, origin, env, meta))

    def checked(self, meta: Meta, make: Any) -> int:
        """What ``make`` makes, with validators and messages around it."""
        if _is_bare(meta):
            return make()
        place = self.place()
        self.made[place] = ("checked", make(), meta.validate, meta.none, meta.invalid)
        return place

    def part(self, tp: Any, env: dict[Any, Any], meta: Meta = _EMPTY, where: Any = None) -> int:
        """The node of a type within another one; what is said of that one ends here."""
        outer, self.used = self.used, set()
        place = self.add(tp, env, meta)
        self.check_used(_said(meta), where)
        self.used = outer
        return place

    def of_field(self, field: Any, env: dict[Any, Any], where: str) -> int:
        try:
            return self.part(field.type, env, field.meta, where)
        except TypeError as error:
            # Where it stands is told once, and nearest to it.
            if hasattr(error, "where") or str(error).startswith(where):
                raise
            told = TypeError(f"{where}: {error}")
            told.where = where  # type: ignore[attr-defined]
            raise told from error

    def check_used(self, said: set[str], where: Any) -> None:
        """All that is said must be about something."""
        for name in sorted(said - self.used):
            raise TypeError(
                f"{where}: {name}= is for {_FITS[name]}; "
                f"of what a container holds say it there, as in list[Annotated[T, Meta({name}=...)]]"
            )

    def variable(self, variable: TypeVar, env: dict[Any, Any], meta: Meta) -> int:
        # It may be of this form of its class only that nothing fits.
        self.used |= _said(meta)
        if variable in env and env[variable] is not variable:
            return self.add(env[variable], {}, meta)
        if variable.__constraints__:
            return self.union(variable.__constraints__, env, meta)
        bound = variable.__bound__
        if isinstance(bound, (str, typing.ForwardRef)):
            name = bound if isinstance(bound, str) else bound.__forward_arg__
            bound = vars(sys.modules.get(variable.__module__, typing)).get(name, Any)
        return self.add(Any if bound is None else bound, env, meta)

    def closed(self, tp: Any, env: dict[Any, Any]) -> Any:
        """The type without variables and Self, where they stand for something."""
        if tp is typing.Self:
            return env.get(tp, tp)
        if typing.Self in env and _types.has_self(tp):
            return _types.with_args(tp, tuple(self.closed(arg, env) for arg in tp.__args__))
        return _types.bound(tp, env)

    def plain(self, tp: Any, origin: Any, env: dict[Any, Any], meta: Meta) -> int:
        args = typing.get_args(tp)
        try:
            leaf = _LEAVES.get(tp)
        except TypeError:
            leaf = None
        if leaf is not None:
            return self.place((leaf,))
        if tp is decimal.Decimal:
            if meta.places is None and meta.rounding is not None:
                raise TypeError("rounding= is for a Decimal with places=: give both")
            self.used |= {"places", "rounding"}
            step = None if meta.places is None else decimal.Decimal((0, (1,), -meta.places))
            return self.place(("decimal", step, meta.rounding))
        cls = origin if origin is not None else tp
        if not isinstance(cls, type):
            raise TypeError(f"{tp!r} is no type that can be dumped and loaded")
        if cls in _TEMPORAL:
            self.used.add("format")
            return self.place((_TEMPORAL[cls], cls, meta.format))
        if _types.is_array(cls):
            return self.place(("array", cls, _types.dtype(args, env)))
        if issubclass(cls, enum.Enum):
            self.used.add("by")
            return self.place(_choices.enumeration(cls, meta))
        if _fields.is_class(cls):
            return self.record(cls, tuple(self.closed(arg, env) for arg in args))
        if cls in values._by_type and not hasattr(cls, "_fields"):
            return self.place(("registered", cls, f"Not a valid {cls.__name__}."))
        if issubclass(cls, tuple):
            # Of tuple[()] there are no arguments either.
            is_empty = origin is tuple and not args and tp is not typing.Tuple
            return self.tuple(cls, ((),) if is_empty else args, env)
        inner = args or (Any, Any)
        if cls in _LISTS:
            return self.container("list", inner[0], env)
        if cls in _SETS:
            return self.container("set", inner[0], env)
        if cls is frozenset:
            return self.container("frozenset", inner[0], env)
        if cls in _DICTS:
            place = self.place()
            self.hashed.append(place)
            self.made[place] = ("dict", self.part(inner[0], env), self.part(inner[1], env))
            return place
        raise TypeError(f"{cls.__qualname__} is no type that can be dumped and loaded: {_instead(cls)}")

    def container(self, kind: str, inner: Any, env: dict[Any, Any]) -> int:
        place = self.place()
        if kind != "list":
            self.hashed.append(place)
        self.made[place] = (kind, self.part(inner, env))
        return place

    def tuple(self, cls: type, args: tuple[Any, ...], env: dict[Any, Any]) -> int:
        if hasattr(cls, "_fields"):
            return self.named(cls, tuple(self.closed(arg, env) for arg in args))
        if cls is not tuple:
            raise TypeError(f"{cls.__qualname__} is no type that can be dumped and loaded: annotate the field with tuple")
        args = _types.unpacked(args)
        place = self.place()
        if not args or (len(args) == 2 and args[1] is ...):
            self.made[place] = ("tuple_of", self.part(args[0] if args else Any, env))
        else:
            args = () if args == ((),) else args
            self.made[place] = ("tuple", tuple(self.part(arg, env) for arg in args), None, len(args))
        return place

    def named(self, cls: type, args: tuple[Any, ...]) -> int:
        """A NamedTuple."""
        said = of(cls)
        for option in ("tag", "rename", "omit_none"):
            if getattr(said, option):
                raise TypeError(f"{cls.__qualname__}: a NamedTuple, which is a list outside, has no {option}: make it a dataclass")
        place, known = self.form(cls, args)
        if known:
            return place
        names = cls._fields  # type: ignore[attr-defined]
        hints = _fields.hints(cls, dict(zip(_fields.parameters(cls), args)))
        own = {typing.Self: cls[args] if args else cls}  # type: ignore[index]
        items = []
        for name in names:
            hint, env = hints.get(name, (Any, {}))
            for option, given in (("alias", _types.alias(hint)), ("required", _types.required(_EMPTY, hint))):
                if given is not None:
                    where = f"{cls.__qualname__}.{name}"
                    raise TypeError(f"{where}: a NamedTuple is a list outside, without names, so there is nothing for {option}=")
            items.append(self.part(hint, env | own))
        required = len(names) - len(cls._field_defaults)  # type: ignore[attr-defined]
        self.made[place] = ("tuple", tuple(items), cls, required)
        return place

    def union(self, args: tuple[Any, ...], env: dict[Any, Any], meta: Meta) -> int:
        args = tuple(flat for arg in args for flat in _types.alternatives(arg, env))
        some = [arg for arg in args if arg is not type(None) and arg is not None]
        if any(arg is Any or arg is object for arg in some):
            return self.checked(meta, lambda: self.place(("any",)))
        place = self.place()
        if len(some) == 1:
            inner = self.add(some[0], env, meta)
        else:
            inner = self.checked(meta, lambda: self.alternatives(some, env, meta))
        self.made[place] = ("optional", inner) if len(some) < len(args) else ("same", inner)
        return place

    def alternatives(self, args: list[Any], env: dict[Any, Any], meta: Meta) -> int:
        place = self.place()
        self.used.add("discriminator")
        inner = dataclasses.replace(meta, validate=None, none=None, invalid=None)
        items = tuple(self.add(arg, env, inner) for arg in args)
        self.made[place] = ("union", items, None)
        self.unions.append((place, items, meta.discriminator))
        return place

    def finish(self) -> tuple[Any, ...]:
        """All nodes. Of unions the discriminators are found last: their classes may be ones that contain them."""
        for place, items, declared in self.unions:
            self.made[place] = ("union", items, self.discriminator(items, declared))
        for place in self.hashed:
            found = self.without_hash(self.made[place][1], set())
            if found is not None:
                role = "a key of a dict" if self.made[place][0] == "dict" else "in a set"
                raise TypeError(f"{found[0]} has no hash, so it can't be {role}: {found[1]}")
        return tuple(self.made)

    def without_hash(self, item: int, seen: set[int]) -> tuple[str, str] | None:
        """What in a node keeps its objects from having a hash, and what to do."""
        if item in seen:
            return None
        seen.add(item)
        node = self.made[self.bare(item)]
        kind = node[0]
        if kind == "class" and node[2] == _fields.DICT:
            return node[1].__qualname__, "make it a NamedTuple"
        if kind == "class" and node[1].__hash__ is None:
            return node[1].__qualname__, "make it frozen"
        if kind == "registered" and node[1].__hash__ is None:
            return node[1].__qualname__, "give it a __hash__"
        if kind in _WITHOUT_HASH:
            return _WITHOUT_HASH[kind]
        inner = node[1] if kind in ("tuple", "union") else node[1:2] if kind in ("tuple_of", "optional") else ()
        return next((found for one in inner if (found := self.without_hash(one, seen)) is not None), None)

    def bare(self, item: int) -> int:
        """The node within validators and messages."""
        while self.made[item][0] in ("checked", "same"):
            item = self.made[item][1]
        return item

    def discriminator(self, items: tuple[int, ...], declared: str | None) -> Any:
        """The name of the field that tells the classes of a union apart, with the class for each of its values."""
        records = [item for item in items if self.made[self.bare(item)][0] == "class"]
        self.check_tags(records)
        if len(records) < 2:
            if declared is not None:
                raise TypeError(f"discriminator={declared!r} is for a union of at least two classes")
            return None
        # By the type as well: True is 1.
        found: dict[str, dict[Any, int]] = collections.defaultdict(dict)
        counts: collections.Counter[str] = collections.Counter()
        for item in records:
            for field in self.made[self.bare(item)][4]:
                node = self.made[self.bare(field[2])]
                if node[0] == "choice":
                    tags = [(type(outer), outer) for _, outer in node[2]]
                    if all(kind in (str, int, bool) for kind, _ in tags):
                        found[field[1]].update({tag: item for tag in tags if tag not in found[field[1]]})
                        counts[field[1]] += len(tags)
        # Each class has the field, and no value stands for two of them.
        fitting = [
            key
            for key, tags in found.items()
            if set(tags.values()) == set(records) and counts[key] == len(tags)
        ]
        if declared is None:
            if not fitting:
                return None
            declared = fitting[0]
        if declared not in fitting:
            raise TypeError(
                f"discriminator={declared!r} names no field that tells the classes apart: give each a Literal of its own there"
            )
        return declared, tuple((tag, item) for (_, tag), item in found[declared].items())

    def check_tags(self, records: list[int]) -> None:
        """No tag stands for two classes, of which the second would come back as the first."""
        tagged: dict[Any, type] = {}
        for _, cls, _, _, fields, *_ in (self.made[self.bare(item)] for item in records):
            for _, key, node, _, _, _, (*_, is_tag), *_ in fields:
                if is_tag:
                    ((_, tag),) = self.made[self.bare(node)][2]
                    other = tagged.setdefault((key, type(tag), tag), cls)
                    if other is not cls:
                        names = f"{other.__qualname__} and {cls.__qualname__}"
                        raise TypeError(f"{names} have the tag {tag!r} in one union: give each one of its own")

    def form(self, cls: type, args: tuple[Any, ...]) -> tuple[int, bool]:
        """The place of a class in one of its forms, and whether it is known there: it may contain itself."""
        key = (cls, args, tuple(_types.order(arg) for arg in args))
        if key in self.classes:
            return self.classes[key], True
        if sum(known is cls for known, *_ in self.classes) >= FORMS:
            raise TypeError(f"{cls.__qualname__} comes in more than {FORMS} forms: does it contain a larger one of itself?")
        self.classes[key] = self.place()
        return self.classes[key], False

    def record(self, cls: type, args: tuple[Any, ...]) -> int:
        place, known = self.form(cls, args)
        if known:
            return place
        own = {typing.Self: cls[args] if args else cls}  # type: ignore[index]
        env = dict(zip(_fields.parameters(cls), args))
        options = of(cls)
        found = _fields.fields(cls, env)
        real = [field for field, _ in found]
        if options.tag is not None:
            found = [(_fields.tag(cls, options.tag, options.tag_field, {field.name for field in real}), {}), *found]
        made = []
        outside: dict[str, str] = {}
        for field, owner in found:
            key_outside = field.meta.alias if field.meta.alias is not None else _types.alias(field.type)
            key_outside = key_outside if key_outside is not None else renamed(field.name, None if field.tag else options.rename)
            if key_outside in outside:
                raise TypeError(f"{cls.__qualname__}: {outside[key_outside]} and {field.name} are both called {key_outside!r} outside")
            outside[key_outside] = field.name
            is_placed = field.stored and not field.tag
            where = _fields.place(cls, field.name) if is_placed else (_fields.ATTRIBUTE, None)
            made.append(
                (
                    sys.intern(field.name),
                    sys.intern(key_outside),
                    self.of_field(field, owner | own, f"{cls.__qualname__}.{field.name}"),
                    *field.default,
                    sys.intern(field.argument),
                    (field.init, field.set, field.stored, field.required, field.tag),
                    *where,
                    _types.required(field.meta, field.type),
                )
            )
        way, call = _fields.way(cls, real)
        if way == _fields.CALLED:
            call = _fields.judge(cls, {name: key for key, name in outside.items()})
        self.made[place] = (
            "class",
            cls,
            way,
            call,
            tuple(made),
            options.unknown == "raise",
            options.omit_none,
            values._name(cls),
        )
        return place


#: What stands for types that are much like it.
_PLAIN = {
    (collections.abc.MutableSequence, collections.abc.Iterator, collections.abc.Generator, range): "list",
    (collections.abc.Mapping,): "dict",
    (bytearray, memoryview): "bytes",
}


def _instead(cls: type) -> str:
    """What to do about a type that has no plan."""
    register = f"slipring.register({cls.__name__}, encode=..., decode=...) gives it a form"
    for bases, name in reversed(_PLAIN.items()):
        if issubclass(cls, bases):
            return f"annotate the field with {name}" + ("" if cls.__module__.startswith("collections") else f", or {register}")
    if cls.__module__ in ("types", "typing", "collections.abc") or cls.__name__ in ("function", "builtin_function_or_method"):
        return "annotate the field with a type of data"
    if cls.__module__.partition(".")[0] in sys.stdlib_module_names:
        return register
    return f"make it a dataclass; or {register}"


def _said(meta: Meta) -> set[str]:
    """What is said that not every type is about."""
    return {name for name in _FITS if getattr(meta, name) is not None}


def _is_bare(meta: Meta) -> bool:
    """Whether it has neither validators nor messages."""
    return not meta.validate and meta.none is None and meta.invalid is None


__all__ = ["plan"]

"""Types that values have and Python has not, and types of your own.

>>> import slipring
>>> slipring.decode(slipring.encode({slipring.Atom("ok"): 1}))
{Atom('ok'): 1}
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import inspect
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, overload

from . import _sparse
from .errors import SchemaError, SchemaFault

T = TypeVar("T")

_log = logging.getLogger("slipring")


class Atom(str):
    """An atom of Elixir's: a ``str`` that goes back as an atom."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Atom({str.__repr__(self)})"


class Tag(NamedTuple):
    """A CBOR value under a tag that has no type here. It goes back as it came."""

    number: int
    value: Any


class Object(NamedTuple):
    """An object whose ``name`` nobody has registered here, with its ``fields``."""

    name: str
    version: int
    fields: Any


@dataclasses.dataclass(frozen=True, slots=True)
class _Registered:
    cls: type
    name: str
    version: int
    encode: Callable[[Any], Any]
    decode: Callable[[Any, int], Any]
    migrations: Mapping[int, Callable[[Any], Any]]
    #: Objects are made of their fields alone, by no ``decode`` of the user's.
    by_fields: bool

    def fields_of(self, obj: Any) -> Any:
        fields = self.encode(obj)
        _log.debug("%s is sent as %s, version %d", self.cls.__qualname__, self.name, self.version)
        return fields

    def build(self, fields: Any, version: int) -> Any:
        obj = self.decode(*self.migrated(fields, version))
        self.arrived(version)
        return obj

    def arrived(self, version: int) -> None:
        _log.debug("%s, version %d, arrives as %s", self.name, version, self.cls.__qualname__)

    def brought(self, fields: Any, version: int) -> Any:
        """The fields under the names of today, for who makes the object of them, and sees what is missing."""
        fields, version = self.migrated(fields, version)
        if version == self.version or not dataclasses.is_dataclass(self.cls) or not isinstance(fields, dict):
            return fields
        return _by_name_of(self.cls, fields)[0]

    def unread(self, version: int) -> str | None:
        """Why fields may be missing in what was written as this version; None where it has gone through migrations."""
        if self.migrations and version < self.version:
            return None
        step = (version, self.version) if version < self.version else None
        return str(_incompatible(self.name, version, self.version, [], step))

    def migrated(self, fields: Any, version: int) -> tuple[Any, int]:
        """The fields as ``decode`` takes them, and their version then."""
        if not self.migrations or version >= self.version:
            return fields, version
        # A sender can claim any version: the first step that is missing ends it.
        for step in range(version, self.version):
            migrate = self.migrations.get(step)
            if migrate is None:
                raise _incompatible(self.name, version, self.version, [], (step, step + 1))
            former = fields
            try:
                fields = migrate(former)
            except Exception as error:
                what = f"the migration of {_quoted(self.name)} from version {step} to {step + 1} failed"
                raise _schema_error(
                    f"{what}: {type(error).__name__}: {error}; correct it", self.name, version, self.version, [],
                    (step, step + 1),
                ) from error
            if fields is None and former is not None:
                what = f"the migration of {_quoted(self.name)} from version {step} to {step + 1} gave None"
                raise _schema_error(
                    f"{what}: return the fields of version {step + 1}", self.name, version, self.version, [],
                    (step, step + 1),
                )
        return fields, self.version


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _schema_error(
    message: str, name: str, written: int, wanted: int, faults: list[SchemaFault], migration: tuple[int, int] | None
) -> SchemaError:
    error = SchemaError(message)
    error.name, error.written, error.wanted = name, written, wanted
    error.faults, error.migration = faults, migration
    return error


def _incompatible(
    name: str, written: int, wanted: int, faults: list[SchemaFault], step: tuple[int, int] | None
) -> SchemaError:
    """What was written as one version, and can't be read as another."""
    told = [f"{_quoted(name)} of version {written} can't be read as version {wanted}"]
    reasons = {"missing": "is not there and has no default", "ambiguous": "is there under two names"}
    why = "; ".join(f"field {fault.path} {reasons[fault.reason]}" for fault in faults)
    if why:
        told = [f"{told[0]}: {why}"]
    if step is not None:
        told.append(f"register a migration of {_quoted(name)} from version {step[0]} to {step[1]}")
    else:
        told.append(f"upgrade this side, which knows {_quoted(name)} up to version {wanted}, or have version {wanted} sent")
    return _schema_error("; ".join(told), name, written, wanted, faults, step)


_by_type: dict[type, _Registered] = {}
_by_name: dict[str, _Registered] = {}

#: What a class may derive from and be sent as.
_BASES = (dict, list, tuple, set, frozenset, str, bytes, int, float)

#: Of the flags of a type: that it was made at run time.
_HEAP_TYPE = 1 << 9
_BUILTIN = type(int.__new__)

#: Types whose form is fixed: registering one would change what others send.
_BASIC = (object, bool, int, float, str, bytes, list, tuple, dict, type(None))


def _name(cls: type) -> str:
    """The name under which objects of a class travel unless another is given."""
    # The script itself has another name where multiprocessing has started the process.
    module = "" if cls.__module__ in ("builtins", "__main__", "__mp_main__") else f"{cls.__module__}."
    return module + cls.__qualname__


def _dataclass_fields(obj: Any) -> dict[str, Any]:
    return {field.name: getattr(obj, field.name) for field in dataclasses.fields(obj)}


def _known(obj: Any) -> tuple[str, Any] | None:
    """Name and fields of an object whose type nobody has registered, if it is a dataclass's or sparse."""
    # One that is a list, say, at heart has items beside its fields.
    if dataclasses.is_dataclass(obj) and not isinstance(obj, (type, *_BASES)):
        return _name(type(obj)), _dataclass_fields(obj)
    if _sparse.is_sparse(obj):
        return _sparse.to_components(obj)
    return None


def _build(name: str, fields: Any) -> Any:
    """The object of a name that nobody has registered; ``None`` where it is not known here."""
    if name not in _sparse.NAMES:
        return None
    try:
        return _sparse.from_components(name, fields)
    except ImportError:
        return None


def _holds_more(cls: type) -> str | None:
    """Where objects of a class keep what is neither in a ``__dict__`` nor a field, if they do."""
    is_dataclass = dataclasses.is_dataclass(cls)
    known = {"__dict__", "__weakref__", *_attributes(cls)}
    for base in cls.__mro__[:-1]:
        # A type that is not written in Python has a ``__new__`` of its own, as copyreg takes it.
        new = base.__new__
        if not base.__flags__ & _HEAP_TYPE or (isinstance(new, _BUILTIN) and new.__self__ is base):
            # The fields of a dataclass are all of an exception.
            if not (is_dataclass and issubclass(base, BaseException)):
                return base.__name__
        slots = base.__dict__.get("__slots__", ())
        slots = {slots} if isinstance(slots, str) else set(slots)
        if not is_dataclass and slots - known:
            return "__slots__"
    return None


def _attributes(cls: type) -> list[str]:
    """The fields of a class of attrs, which may have no ``__dict__``."""
    return [field.name for field in getattr(cls, "__attrs_attrs__", ())]


def _state(obj: Any) -> dict[str, Any]:
    slots = {name: getattr(obj, name) for name in _attributes(type(obj)) if hasattr(obj, name)}
    return slots | getattr(obj, "__dict__", {})


def _by_base(cls: type) -> tuple[Callable[[Any], Any], Callable[[Any, int], Any]] | None:
    """How objects that are a basic type's at heart are sent and made again, if the class's are."""
    if issubclass(cls, enum.Enum):
        return (lambda obj: obj.value), (lambda value, version: cls(value))
    base = next((base for base in _BASES if issubclass(cls, base)), None)
    if base is None:
        return None
    if dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__name__} has fields beside what a {base.__name__} holds: give encode= and decode=")
    if issubclass(cls, collections.defaultdict):
        raise TypeError(f"{cls.__name__} is made with a function, which can't be sent: give encode= and decode=")
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return (lambda obj: obj._asdict()), (lambda fields, version: cls(**fields))

    def encode(obj: Any) -> Any:
        if getattr(obj, "__dict__", None):
            raise TypeError("it has attributes beside what it derives from: give encode= and decode=")
        return base(obj.items()) if base is dict else base(obj)

    return encode, lambda value, version: cls(value)


#: Key of the metadata of a dataclass's field: its former names, separated by commas.
_ALIASES = "slipring.aliases"


def _by_name_of(cls: type, fields: Any) -> tuple[dict[str, Any], list[dataclasses.Field[Any]]]:
    """Of another version's fields those that a dataclass has, by their names or former names, and what is missing."""
    taken: dict[str, Any] = {}
    missing = []
    for field in dataclasses.fields(cls):
        aliases = [alias.strip() for alias in field.metadata.get(_ALIASES, "").split(",")]
        there = next((former for former in (field.name, *aliases) if former in fields), None)
        if there is not None:
            taken[field.name] = fields[there]
        elif field.init and field.default is field.default_factory is dataclasses.MISSING:
            missing.append(field)
    return taken, missing


def _kind(field: dataclasses.Field[Any]) -> str:
    return field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))


def _restore(cls: type, name: str, wanted: int) -> Callable[[Any, int], Any]:
    """Makes an object from its fields: a dataclass by its ``__init__``, another as ``pickle`` would.

    Fields of another version suit a dataclass by name: what it does not have is dropped, what it has under a former name
    is taken from there, and what is not there has its default.
    """

    slots = {name for name in _attributes(cls) if inspect.ismemberdescriptor(getattr(cls, name, None))}

    def restore(fields: Any, version: int) -> Any:
        if not dataclasses.is_dataclass(cls):
            obj = cls.__new__(cls)
            for field, value in fields.items():
                if field in slots:
                    object.__setattr__(obj, field, value)
                else:
                    vars(obj)[field] = value
            return obj
        if version != wanted:
            fields, missing = _by_name_of(cls, fields)
            if missing:
                faults = [SchemaFault(field.name, None, _kind(field), "missing") for field in missing]
                step = (version, wanted) if version < wanted else None
                raise _incompatible(name, version, wanted, faults, step)
        known = {field.name: field.init for field in dataclasses.fields(cls)}
        obj = cls(**{name: value for name, value in fields.items() if known.get(name, True)})
        for field, value in fields.items():
            if known.get(field) is False:
                object.__setattr__(obj, field, value)
        return obj

    return restore


def _check_takes(name: str, function: Any, parameters: str) -> None:
    """Refuses what is no function of so many arguments, as far as that can be told."""
    if function is None:
        return
    if not callable(function):
        raise TypeError(f"{name} must be a function of ({parameters}), not {function!r}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # Not every function of C says what it takes.
    try:
        signature.bind(*parameters.split(", "))
    except TypeError:
        raise TypeError(f"{name} is called with ({parameters}), which {function!r} does not take") from None


@overload
def register(
    cls: type[T],
    *,
    name: str | None = None,
    version: int = 1,
    encode: Callable[[T], Any] | None = None,
    decode: Callable[[Any, int], T] | None = None,
    migrations: Mapping[int, Callable[[Any], Any]] | None = None,
) -> type[T]: ...
@overload
def register(
    *,
    name: str | None = None,
    version: int = 1,
    encode: Callable[[Any], Any] | None = None,
    decode: Callable[[Any, int], Any] | None = None,
    migrations: Mapping[int, Callable[[Any], Any]] | None = None,
) -> Callable[[type[T]], type[T]]: ...
def register(
    cls: type | None = None,
    *,
    name: str | None = None,
    version: int = 1,
    encode: Callable[[Any], Any] | None = None,
    decode: Callable[[Any, int], Any] | None = None,
    migrations: Mapping[int, Callable[[Any], Any]] | None = None,
) -> Any:
    """Lets objects of ``cls`` travel, as ``name`` and ``version`` with what ``encode`` makes of them.

    ``encode(obj)`` gives any value, usually a dict of fields; without it a dataclass gives its fields and
    another object its ``__dict__``. ``decode(fields, version)`` gives the object back; ``version`` is the
    sender's, so that what was sent by older programs can be read. An Enum goes as its value, and a class that
    derives from a basic type as that. The name, unless one is given, is the module's and the class's, of a script the class's alone. The other side, in whatever language, gets
    its own type if it has registered the name, else an :class:`Object`.

    ``migrations={1: function, 2: function}`` gives for older versions the functions from the fields of a version to those of
    the next. What is older than ``version`` goes through all of them from its own on, one after the other, before ``decode``,
    which is then told ``version``; one that is missing is a :class:`SchemaError`. Without migrations a dataclass takes the fields
    of another version by their names: what it does not have is dropped, what is not there has its default, and
    ``field(metadata={"slipring.aliases": "old, older"})`` gives former names.

    Usable as a decorator::

        @slipring.register(name="acme.Point", version=2)
        @dataclass
        class Point: ...

    Registering a type or a name again replaces the former.
    """
    if cls is None:
        return lambda cls: register(
            cls, name=name, version=version, encode=encode, decode=decode, migrations=migrations
        )
    if not isinstance(cls, type):
        raise TypeError(f"register takes a class, not {cls!r}")
    if cls in _BASIC:
        raise TypeError(f"{cls.__name__} has a form of its own: register a class of yours")
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version < 2**63:
        raise ValueError(f"version is {version!r}: give a whole number from 1 on")
    name = _name(cls) if name is None else name
    if not isinstance(name, str) or not name or any("\ud800" <= letter <= "\udfff" for letter in name):
        raise ValueError(f"name is {name!r}: give a text that is not empty")
    for function, value, example in (("encode", encode, "obj"), ("decode", decode, "fields, version")):
        _check_takes(function, value, example)
    if not isinstance(migrations or {}, Mapping):
        raise TypeError(f"migrations must be a dict of functions by versions, not {migrations!r}")
    for step, migrate in (migrations or {}).items():
        if not isinstance(step, int) or not 0 <= step < version or not callable(migrate):
            raise ValueError(
                f"migrations has {step!r}: {migrate!r}: give functions, each by the version it starts from, below {version}"
            )
    is_dataclass = dataclasses.is_dataclass(cls)
    if encode is None and decode is None and (by_base := _by_base(cls)) is not None:
        encode, decode = by_base
    has_attributes = is_dataclass or hasattr(cls, "__attrs_attrs__") or cls.__dictoffset__ != 0
    if decode is None and encode is not None and not has_attributes:
        raise TypeError(f"{cls.__name__} has no __dict__, which could be filled again: give decode=, too")
    if encode is None and not has_attributes:
        raise TypeError(f"{cls.__name__} has no __dict__: give encode= and decode=")
    if encode is None and (more := _holds_more(cls)):
        raise TypeError(f"{cls.__name__} keeps something in its {more}, which nobody would send: give encode= and decode=")
    entry = _Registered(
        cls,
        name,
        version,
        encode or (_dataclass_fields if is_dataclass else _state),
        decode or _restore(cls, name, version),
        dict(migrations or {}),
        decode is None and (is_dataclass or hasattr(cls, "__attrs_attrs__")),
    )
    former = _by_type.get(cls)
    if former is not None and _by_name.get(former.name) is former:
        del _by_name[former.name]
    _by_type[cls] = _by_name[entry.name] = entry
    return cls

"""What may be said of a field, of a type, and of a class."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar, Union

T = TypeVar("T")

#: Under this key a field's metadata holds its :class:`Meta`.
KEY = "slipring"
#: Under this name a class holds its options.
OPTIONS = "__slipring_options__"

Validator = Union[Callable[[Any], Any], tuple[Callable[[Any], Any], str]]
Rename = Union[Literal["camelCase", "PascalCase", "kebab-case", "SCREAMING_CASE"], Callable[[str], str]]

_ROUNDINGS = frozenset(
    "ROUND_CEILING ROUND_DOWN ROUND_FLOOR ROUND_HALF_DOWN ROUND_HALF_EVEN ROUND_HALF_UP ROUND_UP ROUND_05UP".split()
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Meta:
    """What is said of a field or of a type, as in ``Annotated[int, Meta(validate=...)]``.

    ``alias`` is the name outside. ``validate`` is a function, or several, each of which may stand with its message as
    ``(function, message)``: it gets the value that was loaded, and refuses it by ``ValueError`` or by giving False.
    ``required``, ``none`` and ``invalid`` replace the messages of a value that is missing, null, or of another type.
    ``places`` and ``rounding`` are for Decimals, ``format`` is strftime's for dates and times, ``by`` says whether
    members of an Enum go by ``"value"`` or by ``"name"``, ``discriminator`` names the field that tells the classes of a
    union apart.
    """

    alias: str | None = None
    validate: Validator | Iterable[Validator] | None = None
    required: str | None = None
    none: str | None = None
    invalid: str | None = None
    places: int | None = None
    rounding: str | None = None
    format: str | None = None
    by: Literal["value", "name", None] = None
    discriminator: str | None = None

    def __post_init__(self) -> None:
        for name in ("alias", "required", "none", "invalid", "format", "discriminator"):
            given = getattr(self, name)
            if given is not None and not isinstance(given, str):
                raise TypeError(f"{name} must be a str, not {type(given).__name__}")
        if self.places is not None and (type(self.places) is not int or not 0 <= self.places <= 1000):
            raise ValueError(f"places is {self.places!r}: give 0 to 1000 digits behind the point")
        if self.rounding is not None and self.rounding not in _ROUNDINGS:
            raise ValueError(f"rounding is {self.rounding!r}: give one of decimal's, such as decimal.ROUND_HALF_UP")
        if self.format is not None and "%" not in self.format:
            raise ValueError(
                f"format is {self.format!r}: give strftime's, such as '%d.%m.%Y'; without one dates and times are RFC 3339's"
            )
        if self.by not in (None, "value", "name"):
            raise ValueError(f'by is {self.by!r}: give "value" or "name"')
        object.__setattr__(self, "validate", _validators(self.validate))

    def over(self, other: Meta) -> Meta:
        """This, and what the other one says beside it; validators of both, the other's first."""
        said = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(Meta)
            if getattr(self, field.name) is not None
        }
        said["validate"] = (*other.validate, *self.validate)  # type: ignore[misc]
        return dataclasses.replace(other, **said)


def _validators(given: Any) -> tuple[tuple[Callable[[Any], Any], str | None], ...]:
    if given is None:
        return ()
    if callable(given) or (isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], str)):
        given = [given]
    made = []
    if not isinstance(given, Iterable):
        raise TypeError(f"validate must be a function, or several, not {type(given).__name__}")
    for one in given:
        function, message = one if isinstance(one, tuple) else (one, None)
        if not callable(function) or not (message is None or isinstance(message, str)):
            raise TypeError(f"a validator is a function, or a function and its message, not {one!r}")
        made.append((function, message))
    return tuple(made)


def meta(
    *,
    alias: str | None = None,
    validate: Validator | Iterable[Validator] | None = None,
    required: str | None = None,
    none: str | None = None,
    invalid: str | None = None,
    places: int | None = None,
    rounding: str | None = None,
    format: str | None = None,
    by: Literal["value", "name", None] = None,
    discriminator: str | None = None,
) -> Mapping[str, Meta]:
    """A :class:`Meta` as a field's metadata: ``dataclasses.field(metadata=slipring.dataclass.meta(places=2))``."""
    return {
        KEY: Meta(
            alias=alias,
            validate=validate,
            required=required,
            none=none,
            invalid=invalid,
            places=places,
            rounding=rounding,
            format=format,
            by=by,
            discriminator=discriminator,
        )
    }


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """What is said of a class."""

    rename: Rename | None = None
    unknown: Literal["ignore", "raise"] = "ignore"
    omit_none: bool = False
    #: That of the class which says it, or True for the name of each.
    tag: str | int | None = None
    tag_field: str = "type"


def options(
    *,
    rename: Rename | None = None,
    unknown: Literal["ignore", "raise", None] = None,
    omit_none: bool | None = None,
    tag: str | int | None = None,
    tag_field: str | None = None,
) -> Callable[[type[T]], type[T]]:
    """Says of a class, and of those that derive from it, how it is dumped and loaded; a decorator.

    ``rename`` makes the names outside: ``"camelCase"``, ``"PascalCase"``, ``"kebab-case"``, ``"SCREAMING_CASE"``, or a
    function. A field that is ``unknown`` is passed over, or with ``"raise"`` an error. ``omit_none`` leaves fields out
    that are None.

    With a ``tag`` its objects are dumped with one more field, ``tag_field`` (``"type"``), that says of which class they are: a str,
    an int, or with True the name of the class, and of those that derive from it theirs. It tells the classes of a union apart. The
    class has it as an attribute. Loading takes objects without it where one class is expected, and no other tag.
    """
    if tag is not None and (type(tag) not in (str, int, bool) or tag is False):
        raise TypeError(f"tag is {tag!r}: give a str, an int, or True for the name of the class")
    if tag_field is not None and not (isinstance(tag_field, str) and tag_field):
        raise TypeError(f"tag_field is {tag_field!r}: give the name of a field")
    if not (rename is None or callable(rename) or rename in _CASES):
        raise ValueError(f"rename is {rename!r}: give one of {', '.join(_CASES)}, or a function")
    if unknown not in (None, "ignore", "raise"):
        raise ValueError(f'unknown is {unknown!r}: give "ignore" or "raise"')

    def decorate(cls: type[T]) -> type[T]:
        former = of(cls)
        made = Options(
            former.rename if rename is None else rename,
            former.unknown if unknown is None else unknown,
            former.omit_none if omit_none is None else bool(omit_none),
            (former.tag if former.tag is True else None) if tag is None else tag,
            former.tag_field if tag_field is None else tag_field,
        )
        setattr(cls, OPTIONS, made)
        return cls

    return decorate


def of(cls: type) -> Options:
    """The options of a class, or of what it derives from: a tag is one class's, unless it is its name."""
    found = getattr(cls, OPTIONS, None)
    if not isinstance(found, Options):
        return Options()
    if found.tag in (None, True) and type(found.tag) is not int:
        return found
    return found if vars(cls).get(OPTIONS) is found else dataclasses.replace(found, tag=None)


def _words(name: str) -> list[str]:
    return [word for word in name.split("_") if word]


def _camel(name: str) -> str:
    first, *rest = _words(name) or [name]
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _pascal(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in _words(name)) or name


_CASES: dict[Any, Callable[[str], str]] = {
    "camelCase": _camel,
    "PascalCase": _pascal,
    "kebab-case": lambda name: "-".join(_words(name)) or name,
    "SCREAMING_CASE": str.upper,
}


def renamed(name: str, rename: Rename | None) -> str:
    """A field's name outside."""
    if rename is None:
        return name
    made = _CASES.get(rename, rename)(name)  # type: ignore[operator]
    if not isinstance(made, str):
        raise TypeError(f"rename gave {made!r} for {name!r}: give a str")
    return made

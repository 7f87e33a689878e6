"""What types say of themselves: annotations taken apart, without a look at what they are of."""

from __future__ import annotations

import dataclasses
import functools
import operator
import sys
import types
import typing
from typing import Any, TypeVar

from ._options import Meta


def order(tp: Any) -> tuple[Any, ...]:
    """What is in a type in an order that its hash and ``==`` pass over: ``A | B == B | A``, and yet A is tried first."""
    args = getattr(tp, "__args__", None)
    if not isinstance(args, tuple):
        return ()
    origin = typing.get_origin(tp)
    if origin is typing.Literal:
        return tuple((type(arg), arg) for arg in args) if len(args) > 1 else ()
    found = tuple(inner for arg in args for inner in order(arg))
    if origin is typing.Union or origin is types.UnionType:
        some = tuple(arg for arg in args if arg is not type(None))
        return (some, *found) if len(some) > 1 else found
    return found


def bound(tp: Any, env: dict[Any, Any]) -> Any:
    """The type with what its variables stand for, within its arguments, too."""
    if isinstance(tp, TypeVar):
        return env.get(tp, tp)
    free = getattr(tp, "__parameters__", ())
    if not free or isinstance(tp, type) and not isinstance(tp, types.GenericAlias):
        return tp
    return tp[tuple(env.get(variable, variable) for variable in free)]


def has_self(tp: Any) -> bool:
    args = getattr(tp, "__args__", ())
    return isinstance(args, tuple) and any(arg is typing.Self or has_self(arg) for arg in args)


def with_args(tp: Any, args: tuple[Any, ...]) -> Any:
    """The same type of others."""
    if isinstance(tp, types.UnionType):
        return functools.reduce(operator.or_, args)
    if isinstance(tp, types.GenericAlias):
        return types.GenericAlias(tp.__origin__, args)
    return tp.copy_with(args)


def is_type(tp: Any) -> bool:
    """Whether it is a type or may stand for one; all else is an object that came in a type's place."""
    if isinstance(tp, str):
        return tp[:1].isidentifier()
    return (
        tp is None
        or isinstance(tp, (type, TypeVar, dataclasses.InitVar))
        or type(tp).__module__ in ("typing", "types", "typing_extensions")
        or typing.get_origin(tp) is not None
    )


def is_array(cls: type) -> bool:
    """Whether it is NumPy's array; who has not imported NumPy has none."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(cls, numpy.ndarray)


def dtype(args: tuple[Any, ...], env: dict[Any, Any]) -> Any:
    """The dtype of ``ndarray[shape, dtype[scalar]]``, which is what ``NDArray[scalar]`` stands for; None if it is not said."""
    numpy = sys.modules["numpy"]
    scalar = typing.get_args(args[1])[0] if len(args) == 2 and typing.get_args(args[1]) else None
    scalar = env.get(scalar, scalar) if isinstance(scalar, TypeVar) else scalar
    if not isinstance(scalar, type) or scalar in (numpy.generic, numpy.number, numpy.integer, numpy.floating):
        return None
    return numpy.dtype(scalar)


def extras(tp: Any) -> list[Meta]:
    if typing.get_origin(tp) is not typing.Annotated:
        return []
    return [extra for extra in typing.get_args(tp)[1:] if isinstance(extra, Meta)]


def alias(tp: Any) -> str | None:
    return next((extra.alias for extra in reversed(extras(tp)) if extra.alias is not None), None)


def required(meta: Meta, tp: Any) -> str | None:
    if meta.required is not None:
        return meta.required
    return next((extra.required for extra in reversed(extras(tp)) if extra.required is not None), None)


def alternatives(tp: Any, env: dict[Any, Any]) -> list[Any]:
    """The types of a union, those of unions within it included."""
    while isinstance(tp, TypeVar) and tp in env and env[tp] is not tp:
        tp = env[tp]
    origin = typing.get_origin(tp)
    if origin is typing.Union or origin is types.UnionType:
        return [flat for arg in typing.get_args(tp) for flat in alternatives(arg, env)]
    return [tp]


def unpacked(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A tuple's types, with those of tuples that are unpacked among them in their place."""
    flat: list[Any] = []
    for arg in args:
        inner = arg
        if typing.get_origin(arg) is typing.Unpack:
            inner = typing.get_args(arg)[0]
        elif not getattr(arg, "__unpacked__", False):
            flat.append(arg)
            continue
        items = unpacked(typing.get_args(inner))
        if typing.get_origin(inner) is not tuple or (... in items and len(args) > 1):
            raise TypeError(
                f"{arg!r} stands for any number of a tuple's items: give tuple[T, ...] of one type, or each of the types"
            )
        flat.extend(() if items == ((),) else items)
    # Nothing is left of tuple[*tuple[()]], which is not any tuple.
    return tuple(flat) if flat or not args else ((),)

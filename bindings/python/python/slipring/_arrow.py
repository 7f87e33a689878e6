"""Elements of tables as Python's objects: those that Python itself makes better than Rust does."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import functools
import zoneinfo

_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_EPOCH = datetime.datetime(1970, 1, 1)
_EPOCH_UTC = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_DAY = datetime.date(1970, 1, 1).toordinal()
_EXACT = decimal.Context(prec=80, Emin=-decimal.MAX_EMAX, Emax=decimal.MAX_EMAX)


@functools.lru_cache(maxsize=64)
def _zone(name: str) -> datetime.tzinfo:
    """A zone by its name, or ``+hh:mm``."""
    if name.upper() in ("UTC", "Z"):
        return datetime.timezone.utc
    if name[0] in "+-":
        hours, _, minutes = name[1:].partition(":")
        offset = datetime.timedelta(hours=int(hours), minutes=int(minutes or 0))
        return datetime.timezone(-offset if name[0] == "-" else offset)
    return zoneinfo.ZoneInfo(name)


def _delta(count: int, unit: str) -> datetime.timedelta:
    seconds, rest = divmod(count, _SECOND[unit])
    micros, finer = divmod(rest * 1_000_000, _SECOND[unit])
    if finer:
        raise ValueError(f"{count} {unit} is finer than Python's microseconds")
    return datetime.timedelta(seconds=seconds, microseconds=micros)


def duration(count: int, unit: str) -> datetime.timedelta:
    return _delta(count, unit)


def timestamp(count: int, unit: str, zone: str | None) -> datetime.datetime:
    if zone is None:
        return _EPOCH + _delta(count, unit)
    return (_EPOCH_UTC + _delta(count, unit)).astimezone(_zone(zone))


def date(days: int) -> datetime.date:
    return datetime.date.fromordinal(_DAY + days)


def time(count: int, unit: str) -> datetime.time:
    delta = _delta(count, unit)
    if not 0 <= delta.days < 1:
        raise ValueError(f"{count} {unit} is no time of a day")
    return (_EPOCH + delta).time()


def number(digits: int, scale: int) -> decimal.Decimal:
    return decimal.Decimal(digits).scaleb(-scale, _EXACT)


def _names(kind: type) -> list[str] | None:
    """The fields of a dataclass or a NamedTuple; ``None`` of what is neither."""
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return list(kind._fields) if issubclass(kind, tuple) and hasattr(kind, "_fields") else None


def fields(item: object) -> dict[str, object] | None:
    """A dataclass or a NamedTuple as a dict of its fields; ``None`` for what is neither."""
    names = _names(type(item))
    return None if names is None else {name: getattr(item, name) for name in names}


def records(items: list[object]) -> list[object]:
    """Dataclasses and NamedTuples as dicts of their fields, anything else as it is."""
    names = _names(type(items[0])) if items else None
    if names is None:
        return items
    kind = type(items[0])
    return [{name: getattr(item, name) for name in names} if type(item) is kind else item for item in items]

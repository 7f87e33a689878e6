"""Rows of numbers and truth values, as lists and as NumPy's arrays of any type, shape and layout: written by `slipring.json` as what
they are to Python's own module (J1), and read again.

An input's bytes are the items. Its fields say what they are, how they lie, with which options they are written, and how much
text stands before them, so that any item may be the one for which there is no more room.
"""

import json
import math
import re
import struct

import numpy as np

import slipring

#: What rows are: a list of ints, of floats, of truth values, or of several; or an array of such a type, in either byte order.
LISTS = ("q", "d", "?", "mixed")
ARRAYS = [order + code for order in "<>" for code in ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")]
KINDS = (*LISTS, *ARRAYS)
LAYOUTS = (
    lambda a: a,
    lambda a: a[::2],
    lambda a: a[::-1],
    lambda a: a.reshape(-1, 1),
    lambda a: a[: len(a) // 3 * 3].reshape(-1, 3),
    lambda a: a[: len(a) // 3 * 3].reshape(-1, 3).T,
    lambda a: a[: len(a) // 3 * 3].reshape(3, -1)[:, ::-2],
    lambda a: np.asfortranarray(a[: len(a) // 4 * 4].reshape(2, -1, 2)),
    lambda a: a.reshape(1, len(a), 1, 1),
    lambda a: np.broadcast_to(a, (2, len(a))),
    lambda a: a[:0].reshape(2, 0, 3),
    lambda a: a[: len(a) // 2 * 2].reshape(-1, 2).astype(object),
    lambda a: a[:1].reshape(()) if len(a) else a,
    lambda a: a[0] if len(a) else a,
)
INDENTS = (None, None, None, 0, 1, "\t")
NANS = ("error", "null", "constants")
#: What is written is looked at by its numbers that have a point or an exponent, for in these the two differ.
FLOAT = re.compile(r"-?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+)")


def drawn(chance):
    """The fields and the bytes of one."""
    kind = chance.randrange(len(KINDS))
    size = chance.choice((chance.randrange(5), chance.randrange(5), chance.randrange(40), chance.randrange(300), chance.randrange(2000)))
    before = chance.choice((0, chance.randrange(40), chance.randrange(880, 1120), chance.randrange(5000)))
    return (kind, chance.randrange(len(LAYOUTS)), chance.randrange(1 << 16), before), items(chance, KINDS[kind], size)


def items(chance, kind, size):
    """The bytes of so many items."""
    if kind == "mixed":
        other = chance.choice((1, 1, 3, 8))
        return b"".join(bytes([chance.randrange(other)]) + struct.pack("<q", whole(chance, 64)) for _ in range(size))
    dtype = np.dtype(kind)
    if chance.random() < 0.3:
        return chance.randbytes(size * dtype.itemsize)
    if dtype.kind != "f":
        bits = 8 * dtype.itemsize
        order = "big" if kind[0] == ">" else "little"
        return b"".join((whole(chance, bits) % (1 << bits)).to_bytes(bits // 8, order) for _ in range(size))
    special = chance.choice(((), (-0.0, 5e-324, 2.0**53), (math.nan, math.inf, -math.inf)))
    divisor = chance.choice((1, 7, 8, 10, 1000, 1e-300, 1e300))
    xs = [chance.choice(special) if special and chance.random() < 0.1 else whole(chance, 64) / divisor for _ in range(size)]
    with np.errstate(over="ignore"):
        return np.array(xs, "f8").astype(dtype).tobytes()


def whole(chance, bits):
    """An int of so many bits, with its sign; as often a short one as a long one."""
    limit = 1 << chance.randrange(bits)
    n = chance.choice((chance.randrange(limit), limit - 1, 10 ** chance.randrange(math.ceil(bits * 0.301)) - chance.randrange(2)))
    return n - (1 << bits) if n >= 1 << bits - 1 else chance.choice((n, -n))


def row(kind, data):
    """The list that these bytes are."""
    if kind != "mixed":
        dtype = np.dtype(kind)
        return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype).tolist()
    made = []
    for which, n in struct.iter_unpack("<Bq", data[: len(data) // 9 * 9]):
        x = n / 8
        made.append((n, x, n % 2 == 0, n**3, None, "ab\n"[n % 4 :], [n, [x]], {"k": n % 2 > 0})[which % 8])
    return made


def plain(value):
    """What Python's own module can write of an array: the digits of short floats are their own."""
    if isinstance(value, (np.ndarray, np.generic)):
        short = value.dtype.kind == "f" and value.dtype.itemsize < 8
        return digits(value.astype("f4").tolist(), value.astype("f4")) if short else value.tolist()
    return value


def digits(value, array):
    if isinstance(value, list):
        return [digits(item, part) for item, part in zip(value, array)]
    return float(str(np.float32(value)))


def endless(value, path=""):
    """The path to the first number that is none, or endless; None where there is none."""
    if isinstance(value, list):
        return next((found for n, item in enumerate(value) if (found := endless(item, f"{path}[{n}]"))), None)
    return path or "$" if isinstance(value, float) and not math.isfinite(value) else None


def without(value):
    """Null where JSON has no number."""
    if isinstance(value, list):
        return [without(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def same_digits(found):
    """A number with a point or an exponent as Python has it; it has no digits but those that it needs."""
    x = repr(float(found[0]))
    assert significant(found[0]) == significant(x), (found[0], x)
    return x


def significant(number):
    return number.split("e")[0].replace(".", "").strip("-0")


def tried(frames, fields, data):
    """Whether the rows of this input are written."""
    kind, layout, options, before = fields
    kind = KINDS[kind % len(KINDS)]
    if kind in LISTS:
        value = row(kind, data)
        value = tuple(value) if layout % 4 == 3 else value
    else:
        dtype = np.dtype(kind)
        value = LAYOUTS[layout % len(LAYOUTS)](np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype))
    options, wrap = divmod(options, 3)
    options, nan = divmod(options, len(NANS))
    options, indent = divmod(options, len(INDENTS))
    nan, indent, ascii, sort_keys, sent = NANS[nan], INDENTS[indent], options % 4 == 1, options % 4 == 2, options % 16 > 12
    text = "é" * (before % 7) + "x" * before
    put = (lambda rows: rows, lambda rows: [text, rows, 0.5], lambda rows: {"before": text, "rows": rows})[wrap]
    expected = list(value) if isinstance(value, tuple) else plain(value)
    if (wrong := endless(expected)) and nan == "error":
        try:
            slipring.json.dumps(put(value), indent=indent, ascii=ascii, sort_keys=sort_keys)
        except slipring.EncodeError as error:
            path = ("$", "$[1]", "$.rows")[wrap] + wrong.removeprefix("$")
            assert error.path == path and error.hint, (error.path, path)
            return False
        raise AssertionError("a number that JSON has not is written")
    expected = put(without(expected) if nan == "null" else expected)
    written = slipring.json.dumps(put(value), indent=indent, ascii=ascii, sort_keys=sort_keys, nan=nan)
    separators = (",", ":" if indent is None else ": ")
    theirs = json.dumps(expected, indent=indent, ensure_ascii=ascii, sort_keys=sort_keys, separators=separators)
    assert FLOAT.sub(same_digits, written.decode()) == FLOAT.sub(lambda x: repr(float(x[0])), theirs)
    assert repr(slipring.json.loads(written, nan=nan == "constants")) == repr(json.loads(written)) == repr(expected)
    if sent and not wrong:
        # Into a frame, whose room is counted first.
        frames.tx.send(put(value), format="json")
        frame = frames.rx.recv(0)
        assert bytes(frame.view) == slipring.json.dumps(put(value))
        frame.release()
    return True

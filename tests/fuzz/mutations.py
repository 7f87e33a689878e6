"""Inputs for the bindings' fuzzing: what is well-formed, and what becomes of it by chance."""

import json
import pathlib
import re
import struct

ROOT = pathlib.Path(__file__).resolve().parents[2]

#: The formats, by their codes.
FORMATS = ("raw", "value", "ndarray", "arrow", "pickle", "json")

#: What lengths, tags and their like begin with.
HEADS = [
    *(b"\xd9" + struct.pack(">H", number) for number in (258, 1002, 1004, 1040, *range(47600, 47614))),
    *(b"\xd8" + bytes([number]) for number in (30, 37, 40, 64, 69, 77, 78, 82, 86, 87, 100)),
    *(bytes([major << 5 | length]) for major in range(8) for length in (0, 1, 23, 24, 25, 26, 27, 31)),
    b"\xff", b"\x1b" + b"\xff" * 8, b"\x5a\x00\x01\x00\x00", b"\x9b\x7f" + b"\xff" * 7, b"\xfb\x7f\xf8" + bytes(6),
]  # fmt: skip


def values():
    """The golden values' bytes."""
    golden = json.loads((ROOT / "tests/golden/values.json").read_text())
    return [bytes.fromhex(value["hex"]) for value in golden]


def bodies(values):
    """Bodies as (format, flags, type code, bytes): the golden ones, and values with metadata and buffers."""
    made = []
    for file in sorted((ROOT / "crates/codec/tests/golden").glob("*.hex")):
        text = file.read_text()
        code = re.search(r"type code (\w+)", text.splitlines()[0])
        code = int(code[1], 0) if code else 0
        data = bytes.fromhex("".join(line.split("#")[0] for line in text.splitlines()))
        flags = 0 if "no part table" in text else 1 | (2 if "meta" in file.name else 0)
        made.append((FORMATS.index(file.stem.split("-")[0]), flags, code, data))
    meta = b"\xa3dsite\x04dwhen\xd9\x03\xecj2026-11-21dlist\x83\x01\x61a\xfb?\xf8\0\0\0\0\0\0"
    for head in values:
        made.append((1, 3, 0, body(head, meta, [])))
    pointing = b"\x82\xd9\xb9\xf0\x00\xd8\x40\xd9\xb9\xf0\x01"
    made.append((1, 3, 0, body(pointing, meta, [b"x" * 300, b"\x01\x02" * 200])))
    made.append((4, 1, 5, body(b"\x80\x05N.", None, [b"x" * 300])))
    return made


def body(head, meta, buffers):
    """A body with a part table, by docs/frame-format.md."""
    parts = [(1, head, 8)] + ([(3, meta, 8)] if meta is not None else []) + [(2, b, 64) for b in buffers]
    data = bytearray(8 + 24 * len(parts))
    struct.pack_into("<HHI", data, 0, len(parts), 0, 0)
    for n, (kind, part, alignment) in enumerate(parts):
        data += bytes(-len(data) % alignment)
        struct.pack_into("<IIQQ", data, 8 + 24 * n, kind, 0, len(data), len(part))
        data += part
    return bytes(data)


def mutate(draw, data, others):
    """One to four changes, by a ``random.Random``; ``others`` lend pieces of themselves."""
    data = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(data) + 1)
        kind = draw.randrange(8)
        if kind == 0:
            data[at : at + 1] = bytes([draw.randrange(256)])
        elif kind == 1:
            data[at : at + 1] = bytes([data[at] ^ 1 << draw.randrange(8)]) if at < len(data) else b""
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + draw.choice((1, 1, 2, 8))]
        elif kind == 4:
            data[at:at] = draw.choice(HEADS)
        elif kind == 5:
            head = draw.choice(HEADS)
            data[at : at + len(head)] = head
        elif kind == 6:
            other = draw.choice(others)
            begin = draw.randrange(len(other) + 1)
            data[at:at] = other[begin : begin + draw.choice((4, 16, 64, 1 << 16))]
        else:
            data[at:at] = data[at : at + 32] * draw.choice((1, 2, 300))
    return bytes(data)


if __name__ == "__main__":
    # For those who are not written in Python: format, flags, type code and bytes, a line each; - is a value.
    for data in values():
        print("-", "-", "-", data.hex())
    for form, flags, code, data in bodies(values()):
        print(form, flags, code, data.hex())

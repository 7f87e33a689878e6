"""Lays out the body of an arrow frame, with messages and buffers that pyarrow has written. Shares nothing with the codec.

    python crates/codec/tests/golden/arrow.py > crates/codec/tests/golden/arrow-mixed.hex

With the word `value`, that of a value with the table in it, value-table.hex.
"""

import io
import sys

import pyarrow as pa


def parts(batches):
    """The head and the buffers of a frame of these batches."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    head, buffers = b"", []
    for message in pa.ipc.MessageReader.open_stream(sink.getvalue()):
        metadata = message.metadata.to_pybytes()
        metadata += bytes(-len(metadata) % 8)
        head += b"\xff\xff\xff\xff" + len(metadata).to_bytes(4, "little") + metadata
        if message.body is not None and message.body.size:
            buffers.append(message.body.to_pybytes())
    return head, buffers


def layout(head, buffers):
    """Pieces of a body with what each is; the gaps between them are zeros."""
    count = 1 + len(buffers)
    at = 8 + 24 * count
    pieces = [("table: count", 0, count.to_bytes(2, "little") + bytes(6))]
    found = [(1, "head", 8, head)] + [(2, f"buffer {i}", 64, b) for i, b in enumerate(buffers)]
    behind = []
    for number, (kind, name, align, data) in enumerate(found):
        at += -at % align
        entry = kind.to_bytes(8, "little") + at.to_bytes(8, "little") + len(data).to_bytes(8, "little")
        pieces.append((f"entry: {name}", 8 + 24 * number, entry))
        behind.append((name, at, data))
        at += len(data)
    return pieces + behind


def body(batches):
    """The body of a frame, whose flags are PARTS."""
    out = bytearray()
    for _, at, data in layout(*parts(batches)):
        out += bytes(at - len(out)) + data
    return bytes(out)


def mixed():
    """What the golden file holds."""
    return pa.record_batch(
        {
            "id": pa.array([1, None, -3], pa.int64()),
            "name": pa.array(["a", None, "\u00e9\u00e9"]),
            "tags": pa.array([["x"], [], None], pa.list_(pa.string())),
            "kind": pa.array(["p", "q", "p"]).dictionary_encode(),
            "at": pa.array([0, 1, None], pa.timestamp("us", "UTC")),
            "view": pa.array(["short", "longer than twelve bytes", None], pa.string_view()),
        }
    )


def in_a_value(head, buffers):
    """The head of a value {"id": 7, "frame": table}, and its buffers."""
    table = b"\xd9\xb9\xfd" + bytes([0x80 | 1 + len(buffers)]) + b"\x59" + len(head).to_bytes(2, "big") + head
    table += b"".join(b"\xd9\xb9\xf0" + bytes([number]) for number in range(len(buffers)))
    return b"\xa2\x62id\x07\x65frame" + table, buffers


if __name__ == "__main__":
    end = 0
    found = parts([mixed()])
    if sys.argv[1:] == ["value"]:
        print("# value with a table; type code 0")
        found = in_a_value(*found)
    for name, at, data in layout(*found):
        if at > end:
            print(f"{bytes(at - end).hex()}  # {end}: nobody's")
        for start in range(0, max(len(data), 1), 32):
            note = f"  # {at}: {name}" if start == 0 else ""
            print(data[start : start + 32].hex(" ", 8) + note)
        end = at + len(data)

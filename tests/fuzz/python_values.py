"""Has hostile bytes read by the Python package, for a while: see walk.py.

Values go through `slipring.decode`; bodies and metadata through a ring of which the frame's header says what the
sender would never say.

What is promised of any bytes: a value or an error of slipring's (P9, R9.2), and of a value, that what it is
written as is read, and written the same again (R6.1).
"""

import slipring

import mutations
import walk


def read(data):
    """Whether the bytes are a value."""
    try:
        value = slipring.decode(data)
    except slipring.DecodeError as error:
        assert error.path.startswith("$") and error.hint, error
        return False
    try:
        written = slipring.encode(value)
    except slipring.EncodeError:
        return True  # a key or a depth that only the other form had room for
    again = slipring.encode(slipring.decode(written))
    assert again == written, f"{written.hex()} is written as {again.hex()}"
    return True


def read_frame(frames, fields, body):
    """Whether the frame of this header and body is read."""
    frame = frames.recv(fields, body)
    if frame is None:
        return False
    done = True
    for look in (lambda: frame.value, lambda: frame.meta, frame.describe, lambda: frame.view):
        try:
            look()
        except (slipring.DecodeError, slipring.UntrustedPickle) as error:
            assert str(error)
            done = False
    return done


def prepare(folder):
    frames = walk.Frames(folder)
    values = mutations.values()
    bodies = mutations.bodies(values)
    only = [body for *_, body in bodies]
    # Pickles, and what Python has no form for: a year before 1.
    refused = [body for form, *fields, body in bodies if not read_frame(frames, (form, 1, *fields), body)]
    assert len(refused) < 5, [body.hex() for body in refused]

    def draw(chance):
        if chance.random() < 0.6:
            return walk.Input("value", (0, 0, 0, 0), mutations.mutate(chance, chance.choice(values), values))
        form, flags, code, data = chance.choice(bodies)
        data = mutations.mutate(chance, data, only) or b"\0"  # a frame without bytes is found by nothing
        if chance.random() < 0.2:
            form, flags, code = chance.randrange(7), chance.randrange(64), chance.choice((0, 5, code, 0x6608))
        return walk.Input("body", (form, 1 if chance.random() < 0.99 else 2, flags, code), data)

    def tried(given):
        return read(given.data) if given.kind == "value" else read_frame(frames, given.fields, given.data)

    return draw, tried


walk.main("values", prepare)

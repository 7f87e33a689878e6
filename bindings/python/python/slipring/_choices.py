"""What the log says of the formats that are chosen, to who asks by ``slipring.log_choices``."""

from __future__ import annotations

import logging

_log = logging.getLogger("slipring")


def sent(ring: str, format: str, reason: str, kind: str | None, frames: int) -> None:
    """So many frames were sent. The record is of the line that sent them."""
    what = "sent" if frames == 1 else f"sent {frames} frames"
    of = f" ({kind})" if kind else ""
    extra = {"ring": ring, "format": format, "frames": frames, "type": kind}
    _log.debug("%s on %s as %s: %s%s", what, ring, format, reason, of, extra=extra, stacklevel=2)

"""Reading what comes back over HTTP within bounds of size and time."""

from __future__ import annotations

from collections.abc import Callable


def read_bounded(read: Callable[[int], bytes], late: Callable[[], bool], at_most: int) -> bytes | None:
    """All that `read` gives, piece by piece until it gives nothing; None where it is too late or too long.

    `read` must give what has come (as `read1` does), not wait until its measure is full: else a slow drip goes by
    unseen until it is over.
    """
    text = b""
    while piece := read(64 * 1024):
        text += piece
        if late() or len(text) > at_most:
            return None
    return text

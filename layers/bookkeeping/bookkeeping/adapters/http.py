"""Reading what comes back over HTTP within bounds of size and time."""

from __future__ import annotations

import time

import requests


def read_bounded(response: requests.Response, deadline: float, at_most: int) -> bytes | None:
    """The body of a streamed response; None where it is longer than that, or not there at that `time.monotonic()`."""
    text = b""
    # read1 gives what has come: to wait for a full measure would let a slow drip go by unseen until it is over
    while piece := response.raw.read1(64 * 1024, decode_content=True):
        text += piece
        if time.monotonic() > deadline or len(text) > at_most:
            return None
    return text

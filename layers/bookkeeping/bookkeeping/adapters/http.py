"""HTTP as every client here uses it: one session for all companies, answers within bounds of size and time."""

from __future__ import annotations

import time
from http.cookiejar import DefaultCookiePolicy

import requests
from requests.adapters import HTTPAdapter


def session(calls_at_once: int) -> requests.Session:
    """A session that serves every company, and so takes nothing from one to the next. It sends nothing twice."""
    made = requests.Session()
    # a .netrc of the machine would put its own password in place of the Authorization header
    made.trust_env = False
    # a cookie would carry something from one company to the next
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = HTTPAdapter(pool_maxsize=calls_at_once, max_retries=0)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


def read_bounded(response: requests.Response, deadline: float, at_most: int) -> bytes | None:
    """The body of a streamed response; None where it is longer than that, or not there at that `time.monotonic()`."""
    text = b""
    # read1 gives what has come: to wait for a full measure would let a slow drip go by unseen until it is over
    while piece := response.raw.read1(64 * 1024, decode_content=True):
        text += piece
        if time.monotonic() > deadline or len(text) > at_most:
            return None
    return text

"""ADAPTER: HTTP as every client here uses it: one session for all companies, answers within bounds of size and time."""

from __future__ import annotations

from collections.abc import Callable
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

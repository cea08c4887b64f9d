"""A pace for threads that do the same thing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from bookkeeping.domain.moments import LONG_AGO


class Pace:
    """Lets threads go on one after the other, so far apart."""

    def __init__(self, now: Callable[[], datetime], sleep: Callable[[float], None], apart: timedelta) -> None:
        self._now = now
        self._sleep = sleep
        self._apart = apart
        self._next_at = LONG_AGO
        self._lock = threading.Lock()

    def wait(self) -> None:
        now = self._now()
        with self._lock:
            at = max(now, self._next_at)
            self._next_at = at + self._apart
        if at > now:
            self._sleep((at - now).total_seconds())

"""Time for the simulated Xero: wall time that can be moved, or virtual time that moves when told."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What a world needs of time. Moments are aware, in UTC; durations are seconds."""

    def now(self) -> datetime: ...

    def sleep(self, seconds: float) -> None: ...

    def advance(self, seconds: float) -> None: ...


class WallClock:
    """The machine's clock plus whatever it was advanced by; an advance wakes sleepers whose time has come."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._moved = threading.Condition()

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC) + self._offset

    def sleep(self, seconds: float) -> None:
        until = self.now() + timedelta(seconds=seconds)
        with self._moved:
            while (left := (until - self.now()).total_seconds()) > 0:
                self._moved.wait(timeout=left)

    def advance(self, seconds: float) -> None:
        with self._moved:
            self._offset += timedelta(seconds=seconds)
            self._moved.notify_all()


class VirtualClock:
    """Time that stands still: sleeping moves it at once."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.advance(max(seconds, 0))

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

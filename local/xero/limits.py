"""Xero's four rate limits, in fixed windows that start at another moment for every tenant."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from datetime import datetime

from local.xero.replies import Reply

MINUTE = 60
DAY = 86_400
CALLS_A_MINUTE = 60
CALLS_A_MINUTE_OF_AN_APP = 10_000
CALLS_AT_ONCE = 5


@dataclass
class _Window:
    """Calls counted in one fixed window of `seconds`, aligned to `offset`."""

    seconds: int
    offset: int
    number: int = -1
    count: int = 0

    def roll(self, now: datetime) -> None:
        number = math.floor((now.timestamp() - self.offset) / self.seconds)
        if number != self.number:
            self.number, self.count = number, 0

    def left(self, now: datetime) -> int:
        """Whole seconds until the window ends, at least 1."""
        end = (self.number + 1) * self.seconds + self.offset
        return max(1, math.ceil(end - now.timestamp()))


@dataclass
class _Lane:
    minute: _Window
    day: _Window
    running: int = 0


class RateLimits:
    """Counts per app and tenant. Not thread-safe: call it under the world's lock."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._apps: dict[str, _Window] = {}

    def _lane(self, client_id: str, tenant_id: str) -> _Lane:
        key = (client_id, tenant_id)
        if key not in self._lanes:
            start = uuid.UUID(tenant_id).int
            self._lanes[key] = _Lane(_Window(MINUTE, start % MINUTE), _Window(DAY, start % DAY))
        return self._lanes[key]

    def _windows(self, client_id: str, tenant_id: str, now: datetime) -> tuple[_Lane, _Window]:
        lane = self._lane(client_id, tenant_id)
        app = self._apps.setdefault(client_id, _Window(MINUTE, 0))
        for window in (lane.minute, lane.day, app):
            window.roll(now)
        return lane, app

    def enter(self, client_id: str, tenant_id: str, now: datetime, day_limit: int) -> str | None:
        """Count a call and take a place, or name the limit it breaks. A refused call isn't counted."""
        lane, app = self._windows(client_id, tenant_id, now)
        if lane.running >= CALLS_AT_ONCE:
            return "concurrent"
        if lane.minute.count >= CALLS_A_MINUTE:
            return "minute"
        if lane.day.count >= day_limit:
            return "day"
        if app.count >= CALLS_A_MINUTE_OF_AN_APP:
            return "appminute"
        lane.running += 1
        for window in (lane.minute, lane.day, app):
            window.count += 1
        return None

    def leave(self, client_id: str, tenant_id: str) -> None:
        self._lane(client_id, tenant_id).running -= 1

    def headers(self, client_id: str, tenant_id: str, now: datetime, day_limit: int) -> dict[str, str]:
        lane, app = self._windows(client_id, tenant_id, now)
        return {
            "X-MinLimit-Remaining": str(max(0, CALLS_A_MINUTE - lane.minute.count)),
            "X-DayLimit-Remaining": str(max(0, day_limit - lane.day.count)),
            "X-AppMinLimit-Remaining": str(max(0, CALLS_A_MINUTE_OF_AN_APP - app.count)),
        }

    def seconds_left(self, client_id: str, tenant_id: str, now: datetime, limit: str) -> int:
        lane, app = self._windows(client_id, tenant_id, now)
        return {"minute": lane.minute, "day": lane.day}.get(limit, app).left(now)


def too_many(limit: str, retry_after: int | None) -> Reply:
    """429. Its body is no JSON; what is known stands in the headers."""
    headers = {"X-Rate-Limit-Problem": limit}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return Reply(429, text="oauth_problem=rate%20limit%20exceeded", headers=headers)

"""How many calls to Xero may start now.

For each app on each organisation, Xero allows 60 calls a minute, 5 at a time, and a number of calls a day. It does not
say when its minute begins. So we allow 57 calls in any 60 seconds, which stays under the limit wherever that minute
begins. That leaves 3 calls and one of the 5 places for the lists and checks of the settings page.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

BATCH_SIZE: Final = 50
"""Documents a call: what Xero recommends."""
IN_TROUBLE: Final = 10
"""After this many failed attempts in a row, the attempts back off and an alarm is raised."""
FAILS: Final = 3
"""After this many failed attempts in a row, the Orders page shows that orders wait for Xero."""
IN_VAIN: Final = 3
"""After so many calls for a batch without a usable answer, its documents are sent in parts."""
NEARLY_GONE: Final = 100
"""Calls of the day that are left, each for up to 50 documents: a tenth of the smallest daily limit."""
CALLS_A_MINUTE: Final = 57
CALLS_AT_ONCE: Final = 4
LANES_AT_ONCE: Final = 10
"""As many wake-ups as the template gives one invocation."""
MINUTE: Final = timedelta(seconds=60)
ASK_AGAIN: Final = timedelta(seconds=5)
"""How long to wait after Xero said that no calls are left. It does not say when its minute ends."""


GATHER: Final = timedelta(seconds=1)
"""How long orders gather for a call, where a lane was at work a moment ago. Their wake-up is that late in the queue."""
QUIET_FOR: Final = timedelta(seconds=5)
"""A lane without a call for so long is woken at once."""


@dataclass(frozen=True)
class Limits:
    """The calls that are left, from an answer's headers; None if a header was missing."""

    minute: int | None
    day: int | None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Limits:
        def number(name: str) -> int | None:
            text = headers.get(name, "")
            return int(text) if text.isdecimal() and len(text) < 10 else None

        return cls(minute=number("X-MinLimit-Remaining"), day=number("X-DayLimit-Remaining"))


@dataclass(frozen=True)
class Waits:
    """Every length of time posting depends on. `scaled` multiplies them all by one factor, for tests."""

    call_time_out: timedelta = timedelta(seconds=30)
    lease: timedelta = timedelta(seconds=90)
    """Much longer than a call, so that nobody takes the lane while its holder waits for an answer."""
    turn: timedelta = timedelta(seconds=60)
    short_turn: timedelta = timedelta(seconds=10)
    """Work that is left then continues in a long turn, so that it does not delay lanes with little to do."""
    overdue: timedelta = timedelta(minutes=3)
    """If a long turn has not begun this long after its time, its wake-up is taken to be lost."""
    last_look: timedelta = timedelta(seconds=15)
    """When a lane is read once more, if it was rung for orders that nobody named: longer than an index lags."""
    same_key: timedelta = timedelta(minutes=4)
    """How long a call is retried under its Idempotency-Key. Xero remembers a key for 6 minutes from the first call."""
    late_commit: timedelta = timedelta(seconds=150)
    """How long after a call that timed out Xero may still carry it out."""
    settle_again: timedelta = timedelta(seconds=10)
    in_vain: timedelta = timedelta(hours=1)
    """How long a document without a usable answer is sent again while Xero takes others."""
    in_vain_at_most: timedelta = timedelta(days=1)
    """The same while nothing shows that Xero takes others: an outage must not stop orders."""
    failing_at_most: timedelta = timedelta(minutes=15)
    """The longest wait between attempts while Xero gives no usable answer.

    Each attempt takes 4 calls, and the smallest daily limit is 1,000 calls."""
    name_sure: timedelta = timedelta(seconds=10)
    """How long after Xero said a contact's name several batches for it may go out together."""
    token: timedelta = timedelta(seconds=15)
    offline: timedelta = timedelta(seconds=30)
    offline_at_most: timedelta = timedelta(minutes=2)
    organisation_offline: timedelta = timedelta(minutes=5)
    concurrent: timedelta = timedelta(seconds=5)
    minute: timedelta = timedelta(seconds=60)

    def scaled(self, factor: float) -> Waits:
        return Waits(**{name: value * factor for name, value in vars(self).items()})


def back_off(attempt: int, first: timedelta, at_most: timedelta, chance: random.Random) -> timedelta:
    """The wait after an attempt (1 is the first): it doubles up to `at_most`, plus up to a quarter of jitter."""
    wait = min(first * 2 ** min(attempt - 1, 20), at_most)
    return timedelta(seconds=wait.total_seconds() * chance.uniform(1.0, 1.25))


@dataclass
class Budget:
    """The calls of one lane in the last minute, and what Xero said is left."""

    calls: list[datetime] = field(default_factory=list)
    left: int | None = None
    left_at: datetime | None = None

    def allowed(self, now: datetime, out: int = 0) -> int:
        """How many calls may start now, where so many are out: at most CALLS_AT_ONCE in all."""
        self.calls = [at for at in self.calls if now - at < MINUTE]
        allowed = CALLS_A_MINUTE - len(self.calls)
        if self.left is not None and self.left_at is not None and now - self.left_at < ASK_AGAIN:
            # Xero's count includes the calls of a holder that crashed and those of the settings page
            allowed = min(allowed, self.left - sum(at > self.left_at for at in self.calls))
        return max(0, min(allowed, self.places(out)))

    @staticmethod
    def places(out: int) -> int:
        """How many more calls may be out at the same time."""
        return CALLS_AT_ONCE - out

    def free_at(self, now: datetime) -> datetime:
        """When the minute allows the next call; `now` if at once."""
        if self.allowed(now) > 0:
            return now
        if len(self.calls) >= CALLS_A_MINUTE:
            return self.calls[0] + MINUTE
        return (self.left_at or now) + ASK_AGAIN

    def spend(self, now: datetime) -> None:
        self.calls.append(now)

    def observe(self, limits: Limits, now: datetime) -> None:
        if limits.minute is not None:
            self.left, self.left_at = limits.minute, now

    @classmethod
    def resumed(cls, calls: Iterable[datetime]) -> Budget:
        return cls(calls=sorted(calls))

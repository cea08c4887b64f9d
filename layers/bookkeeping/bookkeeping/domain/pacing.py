"""How many calls may go out now. Pure: times are passed in.

Xero counts 60 calls a minute, 5 at a time and a day's allowance for each app on each organisation, in windows whose
start it does not tell. 57 calls in any 60 seconds stay under the minute limit wherever its window begins, and leave
3 calls and one of the 5 places to the lists and checks a person asks for meanwhile.
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
"""So many tries in vain are more than bad weather: they grow apart, and whoever runs this is told."""
FAILS: Final = 3
"""So many tries in vain are no accident: orders say that they wait for it."""
UNREADABLE: Final = 3
"""So many answers that are not Xero's to one batch, and its documents are sent in smaller ones."""
CALLS_A_MINUTE: Final = 57
CALLS_AT_ONCE: Final = 4
MINUTE: Final = timedelta(seconds=60)
ASK_AGAIN: Final = timedelta(seconds=5)
"""Where Xero said that nothing is left: its window ends at a moment it does not tell."""


@dataclass(frozen=True)
class Limits:
    """What is left, from an answer's headers; None where a header was missing."""

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
    """Every length of time posting depends on. `scaled` shortens them all by one factor, for a test machine."""

    call_time_out: timedelta = timedelta(seconds=30)
    lease: timedelta = timedelta(seconds=90)
    """Outlasts a call by far: nobody else takes the lane while a call of its holder is under way."""
    turn: timedelta = timedelta(seconds=60)
    short_turn: timedelta = timedelta(seconds=10)
    """What is not done by then goes on in a turn of the other kind, and holds up nobody who has little to do."""
    overdue: timedelta = timedelta(minutes=3)
    """A long turn that has not begun this long after it should have: its wake-up was lost."""
    gather: timedelta = timedelta(seconds=1)
    """How long a lane must have been quiet before a batch leaves that is not full."""
    gather_at_most: timedelta = timedelta(seconds=3)
    last_look: timedelta = timedelta(seconds=15)
    """Longer than an index lags behind its table."""
    same_key: timedelta = timedelta(minutes=4)
    """Xero remembers an Idempotency-Key for 6 minutes from the first call."""
    late_commit: timedelta = timedelta(seconds=150)
    """A call that timed out may still be carried out this much later."""
    settle_again: timedelta = timedelta(seconds=10)
    unreadable: timedelta = timedelta(hours=1)
    """How long a document alone is sent again while the answers are not Xero's."""
    failing_at_most: timedelta = timedelta(minutes=15)
    """Between tries where Xero goes on giving no usable answer: 4 calls each, a day's allowance is 1,000."""
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
    """The `attempt`-th wait (from 1): doubling, capped, with a quarter of jitter so that lanes don't march in step."""
    wait = min(first * 2 ** min(attempt - 1, 20), at_most)
    return timedelta(seconds=wait.total_seconds() * chance.uniform(1.0, 1.25))


@dataclass
class Budget:
    """The calls of one lane in the last minute, and what Xero said is left."""

    calls: list[datetime] = field(default_factory=list)
    left: int | None = None
    left_at: datetime | None = None

    def allowed(self, now: datetime) -> int:
        """How many calls may start now, at most CALLS_AT_ONCE."""
        self.calls = [at for at in self.calls if now - at < MINUTE]
        allowed = CALLS_A_MINUTE - len(self.calls)
        if self.left is not None and self.left_at is not None and now - self.left_at < ASK_AGAIN:
            # Xero's own count also knows the calls of a holder that crashed and of the people at the settings page
            allowed = min(allowed, self.left - sum(at > self.left_at for at in self.calls))
        return max(0, min(allowed, CALLS_AT_ONCE))

    def free_at(self, now: datetime) -> datetime:
        """When a call may start; `now` where one may start at once."""
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

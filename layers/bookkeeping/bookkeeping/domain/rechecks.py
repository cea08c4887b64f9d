"""When Xero is read again for orders that stopped for something a person can put right there, and what it said then.

That is kept for each lane. It is read often for an hour after the latest such order stopped, and while somebody has the
Orders tab open; then seldom; and not at all where no such order is left.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Self

from bookkeeping.domain.amounts import plain_number
from bookkeeping.domain.moments import LONG_AGO
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.problems.catalogue import CATALOGUE, Watch
from bookkeeping.domain.stored import Stored

OFTEN: Final = timedelta(minutes=4, seconds=30)
"""With the minute in which the sweep wakes the lane, that is about five minutes."""
SOON: Final = timedelta(minutes=1)
"""Where Xero could not be read for a reason that passes, such as a token that is being renewed."""
INDEX_LAGS: Final = timedelta(minutes=1)
"""An index may not show yet that an order stopped so lately."""
SELDOM: Final = timedelta(hours=1)
OFTEN_FOR: Final = timedelta(hours=1)
"""After the latest order stopped."""
OPEN_FOR: Final = timedelta(minutes=3)
"""An Orders tab says every minute that it is open."""
SAID_EVERY: Final = timedelta(minutes=1)
ASKED_EVERY: Final = timedelta(seconds=10)
"""How often a person can have Xero read again."""
SHARE: Final = 20
"""One call in so many of the day's may be for this: 5 %."""
DAY_LIMITS: Final = (1_000, 5_000)
"""Calls a day that Xero allows an app on an organisation, by its plan."""
HOUR: Final = 3600
HOURS_COUNTED: Final = 25
"""A day, and the part of an hour at its beginning: what Xero counts as a day begins at a time nobody knows."""
RESOURCE_OF: Final[Mapping[Watch, str]] = {
    "organisation": "Organisation",
    "accounts": "Accounts",
    "tax_rates": "TaxRates",
    "currencies": "Currencies",
}
"""What is read, with one call each. Contacts are looked up by their names."""
MIXED: Final = ""
"""In place of a fingerprint: orders stopped while Xero said different things. The next reading counts as a change."""
NOT_USABLE: Final = frozenset({"contact_not_found", "contact_archived", "contact_not_unique"})
"""Problems that are gone once the contact can be used; the others once it was edited."""


@dataclass(frozen=True)
class Recheck(Stored):
    """When Xero is read again for a lane's stopped orders, and what it said when they stopped."""

    stopped_at: datetime = LONG_AGO
    """When the latest of them stopped."""
    read_at: datetime = LONG_AGO
    """When Xero last said how things are."""
    looked_at: datetime = LONG_AGO
    """When it was last seen to, whether or not Xero could be read."""
    next_at: datetime | None = None
    """When Xero is read next; None: no order waits for that."""
    seen: Mapping[Watch, str] = field(default_factory=dict)
    """What is watched → a fingerprint of what Xero said of it."""
    calls: Mapping[str, int] = field(default_factory=dict)
    """The hour, counted from 1970 → how many calls were made for this in it."""
    most_left: int = 0
    """The most calls of a day that Xero said were left, which tells how many it allows."""
    spent: bool = False
    """Whether its share of the day's calls is used up, so that it has to wait until `next_at`."""

    def stopped(self, seen: Mapping[Watch, str], now: datetime) -> Self:
        """An order stopped, while Xero said this of what it waits for."""
        mixed = {watch: MIXED if self.seen.get(watch, said) != said else said for watch, said in seen.items()}
        first = self.next_at is None
        return replace(
            self,
            stopped_at=now,
            read_at=now if first else self.read_at,
            looked_at=now if first else self.looked_at,
            next_at=now + OFTEN if first else self.next_at,
            seen={**self.seen, **mixed},
        )

    def due(self, now: datetime, opened_at: datetime, asked_at: datetime) -> bool:
        """Whether Xero is to be read now. `asked_at`: when a person, or a new connection, last asked for it."""
        if self.next_at is not None and self.next_at <= now:
            return True
        is_open = now - opened_at < OPEN_FOR and now - self.looked_at >= OFTEN
        return not self.spent and (is_open or asked_at > self.looked_at)

    def planned(self, now: datetime, opened_at: datetime) -> datetime | None:
        """When Xero is read next, seen from now."""
        if self.next_at is None:
            return None
        often = not self.spent and (now - self.stopped_at < OFTEN_FOR or now - opened_at < OPEN_FOR)
        # an order that stops long after the last look has it done now: a lane is never due in the past
        return max(now, min(self.next_at, self.looked_at + OFTEN) if often else self.next_at)

    def read(self, now: datetime, seen: Mapping[Watch, str]) -> Self:
        """After Xero was read, with what it says now; for another time soon or late."""
        often = now - self.stopped_at < OFTEN_FOR
        return replace(
            self,
            read_at=now,
            looked_at=now,
            seen={**self.seen, **seen},
            next_at=now + (OFTEN if often else SELDOM),
            spent=False,
        )

    def put_off(self, now: datetime, wait: timedelta) -> Self:
        """Xero is not read now: another time."""
        return replace(self, looked_at=now, next_at=now + wait)

    def without_company(self, now: datetime) -> Self:
        """No company is connected through the lane. Whoever connects has Xero read."""
        return replace(self, looked_at=now, next_at=None)

    def over(self, now: datetime) -> Self:
        """No order waits any more. The calls still count."""
        return replace(self, looked_at=now, next_at=None, seen={}, spent=False)

    # --- its share of the day's calls

    def left(self, now: datetime, day_left: int | None) -> int:
        """How many calls are left of its share."""
        most = max(self.most_left, day_left or 0)
        limit = next((limit for limit in DAY_LIMITS if most <= limit), DAY_LIMITS[-1])
        return limit // SHARE - sum(self._counted(now).values())

    def called(self, calls: int, now: datetime, day_left: int | None) -> Self:
        """After so many calls."""
        counted = self._counted(now)
        hour = str(int(now.timestamp()) // HOUR)
        if calls:
            counted[hour] = counted.get(hour, 0) + calls
        return replace(self, calls=counted, most_left=max(self.most_left, day_left or 0))

    def without_calls(self, now: datetime) -> Self:
        """Its share of the calls is used up: until the earliest of them count no more."""
        first = min(map(int, self._counted(now)), default=int(now.timestamp()) // HOUR)
        again = datetime.fromtimestamp((first + HOURS_COUNTED) * HOUR, now.tzinfo)
        return replace(self, looked_at=now, next_at=again, spent=True)

    def _counted(self, now: datetime) -> dict[str, int]:
        since = int(now.timestamp()) // HOUR - HOURS_COUNTED
        return {hour: int(calls) for hour, calls in self.calls.items() if int(hour) > since}


def watched(code: str) -> frozenset[Watch]:
    """What in Xero is read again for orders with that problem."""
    return CATALOGUE[code].watches if code in CATALOGUE else frozenset()


def fingerprint(watch: Watch, organisation: Organisation) -> str:
    """The same as long as Xero says the same of it."""
    facts: Mapping[Watch, Any] = {
        "organisation": [
            organisation.period_lock_date,
            organisation.end_of_year_lock_date,
            organisation.pays_tax,
            organisation.base_currency,
        ],
        "accounts": sorted(_text(asdict(account)) for account in organisation.accounts),
        "tax_rates": sorted(_text(asdict(rate)) for rate in organisation.tax_rates),
        "currencies": sorted(organisation.currencies),
    }
    return hashlib.sha256(_text(facts[watch]).encode()).hexdigest()[:16]


def _text(facts: Any) -> str:
    return json.dumps(facts, default=lambda one: plain_number(one) if isinstance(one, Decimal) else str(one))

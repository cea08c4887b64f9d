"""The storm over pauses: posting is paused and resumed at random moments, for a company or for all, while orders flow.

Everything ends as in any other storm. And between a pause and the moment it ends, Xero is told of no document that was
not on its way when the pause began.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from unittest.mock import patch

from bookkeeping.adapters.tables.pauses import ALL, Pauses
from bookkeeping.domain.ledger import Books
from bookkeeping.use_cases.posting.company_turn import STILL_NEW, CompanyTurn
from bookkeeping.use_cases.posting.lane_holder import LaneHolder
from operations.pauses import pause, resume
from tests.storms.auditor import Report
from tests.storms.environment import F1, Environment, Weather
from tests.storms.posting import SEED, audited, bytes_a_call, judged
from tests.storms.table import Job, Outcome
from tests.storms.workload import Company, Workload, large

ON_ITS_WAY = STILL_NEW + timedelta(seconds=4)
"""How long after a pause a call may still go out: what was read a moment before it, and the writes before a call."""
# a process that stands still sends what it was about to send whenever it goes on
WEATHER = replace(F1, pause=0.0)


@dataclass
class Paused:
    who: str
    since: datetime | None = None
    until: datetime | None = None


@dataclass
class Operator:
    """Pauses and resumes at random moments."""

    environment: Environment
    companies: list[Company]
    chance: random.Random
    pauses: list[Paused] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._table = Pauses(self.environment.store, "ConnectionsTable")
        self._over_at = self.environment.now()

    def begin(self, seconds: float) -> None:
        """Pause and resume everybody again and again, for so long."""
        self._over_at = self.environment.now() + timedelta(seconds=seconds)
        for who in (ALL, *(company.ref for company in self.companies)):
            self._pause_later(who)

    def _pause_later(self, who: str) -> None:
        at = self.environment.now() + timedelta(seconds=self.chance.uniform(5, 300))
        if at < self._over_at:
            paused = Paused(who)
            self.pauses.append(paused)
            self._at(at, partial(self._pause, paused))

    def _at(self, at: datetime, command: Callable[[], None]) -> None:
        """Give the command then; one that ends in an error or a crash is given again."""
        self.environment.scheduler.at(at, partial(self.environment.press, command))

    def _pause(self, paused: Paused) -> None:
        pause(self.environment.page, self._table, paused.who, "operator", "a storm")
        paused.since = self.environment.now()
        until = paused.since + timedelta(seconds=self.chance.uniform(10, 240))
        self._at(until, partial(self._resume, paused))

    def _resume(self, paused: Paused) -> None:
        paused.until = paused.until or self.environment.now()
        companies = [company.ref for company in self.companies] if paused.who == ALL else [paused.who]
        resume(self.environment.page, self._table, paused.who, "operator", companies)
        self._pause_later(paused.who)

    def made_while_paused(self) -> list[str]:
        """The documents that went out although their company's posting was paused."""
        found: list[str] = []
        prefixes = {company.prefix: company.ref for company in self.companies}
        for entry in self.environment.xero.log.entries:
            for done in entry.committed:
                company = next(
                    (
                        ref
                        for prefix, ref in prefixes.items()
                        if str(done.get("number", "")).startswith(prefix)
                    ),
                    "",
                )
                if company and any(_within(entry.at, paused, company) for paused in self.pauses):
                    found.append(
                        f"{done['number']} went out at {entry.at:%H:%M:%S} though {company} was paused"
                    )
        return found


def _within(at: datetime, paused: Paused, company: str) -> bool:
    if paused.who not in (ALL, company) or paused.since is None:
        return False
    return paused.since + ON_ITS_WAY < at and (paused.until is None or at < paused.until)


def played(seed: object, orders: int, companies: int, seconds: float, weather: Weather = WEATHER) -> Report:
    environment = Environment(f"pauses {seed}", weather)
    try:
        chance = random.Random(f"pauses {seed}")
        work: Workload = large(environment, orders, companies, seconds, chance)
        operator = Operator(environment, work.companies, chance)
        operator.begin(2 * seconds)
        environment.faults_of_xero()
        environment.run(timedelta(hours=4))
        report = audited(environment, work)
        report.unexpected += operator.made_while_paused()
        met = [paused for paused in operator.pauses if paused.since and paused.until]
        assert len(met) == len(operator.pauses), "a pause did not begin or end"
        return report
    finally:
        environment.close()


# --- mutants


@contextmanager
def paused_posting_goes_on() -> Iterator[None]:
    """Nobody reads the pause."""
    real = LaneHolder.books

    def books(holder: LaneHolder, company: str) -> Books:
        return replace(real(holder, company), pause=None)

    with patch.object(LaneHolder, "books", books):
        yield


@contextmanager
def unanswered_is_sent_again() -> Iterator[None]:
    """A pause stops what is new; what had no answer is sent once more."""
    with patch.object(Books, "may_send", property(lambda books: books.settings.enabled)):
        yield


@contextmanager
def nobody_rings() -> Iterator[None]:
    """Whoever resumes leaves it to the next order to wake the lane."""
    with patch("operations.pauses.ring", lambda *_: None):
        yield


@contextmanager
def known_until_the_turn_ends() -> Iterator[None]:
    """What a turn has read of a company holds for all that it sends."""
    with patch.object(CompanyTurn, "outdated", lambda _: False):
        yield


LOST = Weather(request_lost=0.3, lag=10)
SLOW = Weather(slow_answer=0.8, slow_seconds=8, lag=10)
Mutant = Callable[[], AbstractContextManager[None]]
MUTANTS: dict[Mutant, Weather] = {
    paused_posting_goes_on: LOST,
    unanswered_is_sent_again: LOST,
    nobody_rings: Weather(lag=10),
    known_until_the_turn_ends: SLOW,
}
"""Each with a weather in which it shows."""


def caught(mutant: Mutant, seeds: int) -> int:
    """The first of so many storms that ends badly with the mutant; 0: none."""
    for seed in range(1, seeds + 1):
        # a document a call: a turn has several calls to make
        with mutant(), bytes_a_call(1):
            if not played(seed, 40, 3, 240, MUTANTS[mutant]).clean:
                return seed
    return 0


# --- the storms in full


def _tried(seed: int) -> Outcome:

    return judged(f"pauses, seed {seed}", played(seed, 400, 12, 900), Counter())


def jobs(promise: str) -> list[Job]:
    first = 1 + 10 * (SEED - 1)
    return [
        Job(promise, f"pauses, seed {seed}", partial(_tried, seed), 8) for seed in range(first, first + 10)
    ]

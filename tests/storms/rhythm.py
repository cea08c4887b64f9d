"""How often tokens are renewed: by one caller of many, seldom enough, in time, and not too many a second.

At most 60 secret versions a day stay clear of the hundred that a secret holds, none of which goes in its first day.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

from bookkeeping.adapters.pace import Pace
from bookkeeping.adapters.secrets import Tokens
from bookkeeping.adapters.xero_identity import CALLS_AT_ONCE
from bookkeeping.use_cases import token_renewal
from bookkeeping.use_cases.token_renewal import Times
from local.xero.identity import PROVIDER_MODELS, ProviderModel
from tests.storms.keeping_alive import CALM, TICK, VERSIONS_A_DAY, Storm, most_in_a_day, no_lease
from tests.storms.posting import SEED
from tests.storms.scheduler import Scheduler
from tests.storms.table import Job, Outcome

IDLE_VERSIONS_A_DAY = 2


# --- many callers at once


@dataclass
class Asked:
    """What came of many asking for the same tokens at the same moment."""

    callers: int
    calls: int
    """To Xero."""
    good: int
    """Callers that got tokens which Xero takes."""
    renewed: int
    """Callers that say they renewed them."""

    @property
    def well(self) -> bool:
        return (self.calls, self.good, self.renewed) == (1, self.callers, 1)


def asked_at_expiry(callers: int, model: ProviderModel, seed: int) -> Asked:
    """Threads that ask at once when the tokens have all but run out, Xero taking a while to answer."""
    storm = Storm(1, model, seed)
    [company] = storm.companies
    storm.clock.advance(timedelta(minutes=29).total_seconds())
    storm.perils["before"] = lambda call, _: time.sleep(0.3) if call == "refresh" else None
    start, began = storm.clock.now(), time.monotonic()
    adapters = replace(
        storm.adapters,
        now=lambda: start + timedelta(seconds=time.monotonic() - began),
        sleep=time.sleep,
        # a mutant that can't write its tokens tries for so long, in real time
        times=Times(look_again=timedelta(milliseconds=50), renewal=timedelta(seconds=10)),
    )
    gate = threading.Barrier(callers)

    def ask(_: int) -> token_renewal.RenewalResult | None:
        gate.wait()
        try:
            return token_renewal.renew(adapters, company)
        except Exception:  # noqa: BLE001 who got no answer got no tokens
            return None

    with ThreadPoolExecutor(callers) as threads:
        outcomes = list(filter(None, threads.map(ask, range(callers))))
    return Asked(
        callers,
        calls=sum(entry.grant_type == "refresh_token" for entry in storm.xero.log.entries),
        good=sum(_good(storm, outcome.tokens) for outcome in outcomes),
        renewed=sum(outcome.what == "renewed" for outcome in outcomes),
    )


def _good(storm: Storm, tokens: Tokens | None) -> bool:
    bearer = storm.xero.identity.bearer(f"Bearer {tokens.access_token}" if tokens else None)
    return bearer is not None and not bearer.revoked and bearer.expires_at > storm.clock.now()


# --- a quiet week


@dataclass
class Quiet:
    """What came of days on which nothing went wrong."""

    at_work: int
    """The most versions a day of a connection at work."""
    idle: int
    """And of one that is not."""
    stale: int
    """How often a tick found tokens of a connection at work out of date."""
    calls: int

    @property
    def well(self) -> bool:
        return self.at_work <= VERSIONS_A_DAY and self.idle <= IDLE_VERSIONS_A_DAY and not self.stale


def quiet_days(companies: int, days: int, model: ProviderModel, seed: int) -> Quiet:
    """Half of the connections are at work all the time; the schedule is up to a minute late."""
    storm = Storm(companies, model, seed, CALM)
    working, idle = storm.companies[: companies // 2], storm.companies[companies // 2 :]
    stale, tick_at = 0, storm.clock.now()
    for _ in range(days * 288):
        tick_at += TICK
        storm.move_to(tick_at + timedelta(seconds=storm.chance.uniform(0, 59)))
        for company in working:
            storm.adapters.connections.note_work(company, storm.clock.now())
            tokens = storm.adapters.tokens.read(company)
            stale += tokens is None or tokens.expires_at <= storm.clock.now()
        token_renewal.renew_due(storm.adapters)
    most = {
        company: most_in_a_day(storm.secrets.staged.get(f"kornit-xero/{company}/tokens", []))
        for company in storm.companies
    }
    return Quiet(
        at_work=max(most[company] for company in working),
        idle=max(most[company] for company in idle),
        stale=stale,
        calls=sum(entry.grant_type == "refresh_token" for entry in storm.xero.log.entries),
    )


# --- all at once


@dataclass
class Crowd:
    """What came of a tick in which the tokens of every company were due."""

    companies: int
    renewed: int
    seconds: float
    throttled: int
    """By Secrets Manager."""
    most_a_second: int
    """Calls to Xero."""

    @property
    def well(self) -> bool:
        return (self.renewed, self.throttled) == (self.companies, 0) and self.most_a_second <= 21


def all_due(companies: int, model: ProviderModel, seed: int, answer_seconds: float = 0.6) -> Crowd:
    """One tick on the virtual clock, with the threads that the function has."""
    scheduler = Scheduler()
    storm = Storm(companies, model, seed, CALM, clock=scheduler)
    for company in storm.companies:
        storm.adapters.connections.note_work(company, scheduler.now())
    scheduler.advance(timedelta(minutes=30).total_seconds())
    called: list[float] = []
    began = scheduler.now()

    def answering(call: str, _: str) -> None:
        if call == "refresh":
            called.append((scheduler.now() - began).total_seconds())
            scheduler.sleep(answer_seconds)

    storm.perils["before"] = answering

    def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
        left, results = deque(calls), list[Any]()

        def thread() -> None:
            while left:
                results.append(left.popleft()())

        threads = [scheduler.call(thread) for _ in range(CALLS_AT_ONCE)]
        while waiting := [thread for thread in threads if not thread.done()]:
            scheduler.await_first(waiting)
        return results

    outcomes: list[token_renewal.RenewalResult] = []
    adapters = replace(storm.adapters, together=together)
    scheduler.start(lambda: outcomes.extend(token_renewal.renew_due(adapters)))
    scheduler.run(began + TICK)
    return Crowd(
        companies,
        renewed=sum(outcome.what == "renewed" for outcome in outcomes),
        seconds=max(called, default=0),
        throttled=storm.secrets.throttled,
        most_a_second=max(
            sum(at <= other < at + 1 for other in called[place : place + 100])
            for place, at in enumerate(called)
        ),
    )


# --- mutants


@contextmanager
def _ahead(minutes: float) -> Iterator[None]:
    with patch.object(token_renewal, "AHEAD", timedelta(minutes=minutes)):
        yield


def renewed_too_early() -> AbstractContextManager[None]:
    return _ahead(12)


def renewed_at_the_last_moment() -> AbstractContextManager[None]:
    return _ahead(1)


def idle_ones_like_those_at_work() -> AbstractContextManager[Any]:
    return patch.object(token_renewal, "at_work", lambda *_: True)


def not_paced() -> AbstractContextManager[Any]:
    return patch.object(Pace, "wait", lambda _: None)


def _all_at_once() -> bool:
    return all_due(200, "newest_and_parent", SEED).well


def _among_many() -> bool:
    return asked_at_expiry(50, "newest_and_parent", SEED).well


def _on_quiet_days() -> bool:
    return quiet_days(10, 3, "newest_and_parent", SEED).well


MUTANTS: dict[str, tuple[Callable[[], AbstractContextManager[Any]], Callable[[], bool]]] = {
    mutant.__name__: (mutant, ends_well)
    for mutant, ends_well in (
        (no_lease, _among_many),
        (renewed_too_early, _on_quiet_days),
        (renewed_at_the_last_moment, _on_quiet_days),
        (idle_ones_like_those_at_work, _on_quiet_days),
        (not_paced, _all_at_once),
    )
}
"""Each with what shows that it is one."""


# --- promise P6, in full


def many_asked(callers: int, times: int, model: ProviderModel) -> Outcome:
    outcome = Outcome(runs=times)
    for seed in range(times * SEED, times * (SEED + 1)):
        asked = asked_at_expiry(callers, model, seed)
        outcome.figures["callers at expiry"] += callers
        outcome.figures["token calls for them"] += asked.calls
        outcome.lost += callers - asked.good
        outcome.duplicated += abs(asked.calls - 1)
        if not asked.well:
            outcome.bad.append(f"seed {seed}, {model}: {asked}")
    return outcome


def quiet(companies: int, days: int, model: ProviderModel) -> Outcome:
    week = quiet_days(companies, days, model, SEED)
    said = (
        f"{model}: at most {week.at_work} versions a day at work (at most {VERSIONS_A_DAY}),"
        f" {week.idle} idle (at most {IDLE_VERSIONS_A_DAY}), tokens found out of date {week.stale} times"
    )
    return Outcome(
        unexpected=int(not week.well),
        bad=[] if week.well else [f"seed {SEED}, {said}"],
        figures=Counter({"token calls on quiet days": week.calls}),
        said=[said],
    )


def crowd(companies: int, model: ProviderModel) -> Outcome:
    tick = all_due(companies, model, SEED)
    said = (
        f"{companies} due at once: {tick.renewed} renewed in one tick, the last begun after {tick.seconds:.0f} s,"
        f" at most {tick.most_a_second} a second, {tick.throttled} writes throttled"
    )
    return Outcome(
        unexpected=int(not tick.well), bad=[] if tick.well else [f"seed {SEED}, {said}"], said=[said]
    )


def mutant_tried(name: str) -> Outcome:
    mutant, ends_well = MUTANTS[name]
    with mutant():
        caught = not ends_well()
    return Outcome(mutants=1, caught=int(caught), bad=[] if caught else [f"mutant {name}: not caught"])


def jobs(promise: str) -> list[Job]:
    return [
        *(
            Job(promise, f"50 callers at expiry, {model}", partial(many_asked, 50, 10, model), 6)
            for model in PROVIDER_MODELS
        ),
        *(
            Job(promise, f"40 connections, 7 quiet days, {model}", partial(quiet, 40, 7, model), 9)
            for model in PROVIDER_MODELS
        ),
        Job(promise, "5,000 connections due at once", partial(crowd, 5000, "newest_and_parent"), 20),
        *(Job(promise, f"mutant {name}", partial(mutant_tried, name), 2) for name in MUTANTS),
    ]

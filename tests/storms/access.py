"""The storms over access that is taken away while orders flow, and over people who set right what stopped orders."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from unittest.mock import patch

from bookkeeping.adapters.tables import books
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.domain import ledger
from bookkeeping.domain.errors import AccessRefused
from bookkeeping.domain.ledger import Books, State
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.use_cases.page.orders import can_retry
from bookkeeping.use_cases.page.retry import retry, retry_all
from bookkeeping.use_cases.posting import lane_holder
from bookkeeping.use_cases.posting.lane_holder import LaneHolder
from bookkeeping.use_cases.posting.publishing import Publisher
from tests.storms.auditor import Report
from tests.storms.environment import F1, Environment, Weather, person
from tests.storms.lanes import INTAKE_BATCH, LAG, bounded, calls_in, caught, played
from tests.storms.posting import SEED
from tests.storms.table import Job, Outcome
from tests.storms.workload import Company, Workload, large

MINUTE = timedelta(minutes=1)
TAKEN, GIVEN_BACK = 5 * MINUTE, 17 * MINUTE


@dataclass(frozen=True)
class Taking:
    """A way to take access away, and what a person does to give it back."""

    words: str
    take: Callable[[Environment, Company], None]
    give_back: Callable[[Environment, Company], None]
    heals: bool = False
    """No person is needed."""


def app_of(company: Company) -> str:
    return f"APP{company.ref:0>29}"


def _disconnected_in_xero(environment: Environment, company: Company) -> None:
    environment.xero.connections.drop(client_id=app_of(company), tenant_id=company.organisation_id)


def _revoked(environment: Environment, company: Company) -> None:
    environment.xero.identity.revoke_all(app_of(company), None)


def _refusing(kind: str) -> Callable[[Environment, Company], None]:
    def refuse(environment: Environment, company: Company) -> None:
        rule = {"kind": kind, "tenant_id": company.organisation_id, "path_prefix": "/api.xro/"}
        environment.xero.faults.add(rule | {"probability": 1.0})

    return refuse


def _ends_early(environment: Environment, company: Company) -> None:
    """The token that the company has is refused. For 15 seconds no other can be at work, and then it is renewed."""
    faults = environment.xero.faults
    rule = {"kind": "token_expired", "tenant_id": company.organisation_id, "path_prefix": "/api.xro/"}
    fault = faults.add(rule | {"probability": 1.0})
    environment.scheduler.at(environment.now() + timedelta(seconds=10), lambda: _over(environment, fault.id))


def _over(environment: Environment, fault_id: str) -> None:
    environment.xero.faults.remove(fault_id)


def _archived(environment: Environment, company: Company) -> None:
    environment.xero.change_organisation(
        environment.xero.organisations[company.organisation_id], {"gone": True}
    )


def _pressed(environment: Environment, company: Company) -> None:
    environment.disconnect(company.ref)


def _reconnect(environment: Environment, company: Company) -> None:
    organisation = environment.xero.organisations[company.organisation_id]
    environment.xero.change_organisation(organisation, {"gone": False})
    faults = environment.xero.faults
    for rule in [rule for rule in faults.rules if rule.tenant_id == company.organisation_id]:
        faults.remove(rule.id)
    environment.reconnect(company.ref)


def _nothing(environment: Environment, company: Company) -> None:
    """It heals by itself."""


WAYS = (
    Taking("a person disconnects the app in Xero (403)", _disconnected_in_xero, _reconnect),
    Taking("the tokens are revoked (401)", _revoked, _reconnect),
    Taking("a scope is taken (401)", _refusing("authorization_unsuccessful"), _reconnect),
    Taking("the organisation is gone (403)", _archived, _reconnect),
    Taking("a person presses Disconnect", _pressed, _reconnect),
    Taking("the access token ends early (401)", _ends_early, _nothing, heals=True),
)


def taken_away(each: int, calm: float = 2) -> Outcome:
    """Every way at once, each for another company, in the middle of a burst; and a company that shares a lane."""
    environment = Environment(f"taken {SEED}", LAG, intake_batch=INTAKE_BATCH, travel=2)
    work = Workload(environment)
    companies = [work.company(tracked=place % 3 == 0) for place in range(len(WAYS))]
    # its own tokens for the same organisation: nothing is taken from it
    sharer = work.company(tracked=False, with_=companies[-2])
    began = environment.now()
    chance = random.Random(f"taken {SEED}")
    for company in (*companies, sharer):
        for place in range(each):
            # a burst of half of them is on its way when access is taken
            burst = place % 2
            after = chance.uniform(-5, -1) if burst else chance.uniform(-299, 1500)
            work.order(company, place, after=TAKEN.total_seconds() + after)
    for way, company in zip(WAYS, companies, strict=True):
        environment.scheduler.at(began + TAKEN, partial(way.take, environment, company))
        environment.scheduler.at(began + GIVEN_BACK, partial(way.give_back, environment, company))

    def judge(_: Report, outcome: Outcome) -> None:
        away = [
            call
            for call in calls_in(environment)
            if began + TAKEN <= call.at < began + GIVEN_BACK and call.status in (401, 403)
        ]
        # Xero's name for the company that shares the lane is the same: none of its calls is refused
        refused = Counter(str(call.tenant_id) for call in away)
        worst = max(refused.values(), default=0)
        bounded(outcome, "access taken: refused calls, a connection", worst, at_most=5)
        bounded(outcome, "access taken: refused connections", len(refused), at_least=5)
        _restored(environment, outcome, companies)

    return played("access taken", environment, work, judge, hours=0.75, calm=calm)


def _restored(environment: Environment, outcome: Outcome, companies: list[Company]) -> None:
    """Each loss and each return was told; and what was posted in between waited for the return."""
    told = Counter((event["type"], event["company"]) for event in environment.bus.events if "status" in event)
    for way, company in zip(WAYS, companies, strict=True):
        for type_ in ("ConnectionLost", "ConnectionRestored"):
            if bool(told[type_, company.ref]) == way.heals:
                outcome.bad.append(f"{way.words}: {type_} was told {told[type_, company.ref]} times")


def taken_in_a_storm(orders: int) -> Outcome:
    """Within F1: access taken from some and given back, and an organisation that takes 20 s for an answer."""
    environment = Environment(f"taken F1 {SEED}", F1)
    chance = random.Random(f"taken F1 {SEED}")
    work = large(environment, orders, 12, 900, chance)
    began = environment.now()
    # companies that share a lane with none
    alone = [
        company
        for company in work.companies
        if sum(other.organisation_id == company.organisation_id for other in work.companies) == 1
    ]
    for way, company in zip(WAYS, alone, strict=False):
        at = began + timedelta(seconds=chance.uniform(60, 600))
        environment.scheduler.at(at, partial(way.take, environment, company))
        environment.scheduler.at(at + 20 * MINUTE, partial(way.give_back, environment, company))
    slow = {"kind": "slow_answer", "seconds": 20, "probability": 0.8, "path_prefix": "/api.xro/"}
    environment.xero.faults.add(slow | {"tenant_id": alone[-1].organisation_id})
    return played("access taken in F1", environment, work, lambda *_: None)


def set_right(orders: int, weather: Weather = F1) -> Outcome:
    """Orders stop for a currency; in the middle of the storm a person adds it in Xero and presses Retry."""
    environment = Environment(f"set right {SEED}", weather)
    work = Workload(environment)
    companies = [work.company(tracked=place % 3 == 1) for place in range(4)]
    chance = random.Random(f"set right {SEED}")
    began = environment.now()
    stopped: dict[str, list[str]] = {company.ref: [] for company in companies}
    for place in range(orders):
        company = companies[place % len(companies)]
        changes: dict[str, str] = {"currency_code": "CHF"} if chance.random() < 0.3 else {}
        sent = work.order(company, place, after=chance.uniform(0, 300), **changes)
        if changes:
            stopped[company.ref].append(sent.order_id)
        if chance.random() < 0.2:
            work.again(sent, chance.uniform(300, 900))

    def enable(company: Company) -> None:
        organisation = environment.xero.organisations[company.organisation_id]
        environment.xero.change_organisation(organisation, {"subscribe_currency": "CHF"})

    def press_retry_all(company: Company) -> None:
        retry_all(environment.page, person(company.ref), "currency_not_enabled")

    def press_retry_each(company: Company) -> None:
        for order_id in stopped[company.ref]:
            entry = environment.orders.get(company.ref, order_id)
            if entry is not None and can_retry(entry):
                retry(environment.page, person(company.ref), entry)

    for company in companies:
        # late enough that a lane whose holder was killed has been taken again, and its orders have stopped
        enabled = began + timedelta(seconds=chance.uniform(900, 1200))
        environment.scheduler.at(enabled, partial(enable, company))
        # some press once for all, some for each order, and all of them more than once
        button = partial(press_retry_all if company.tracked else press_retry_each, company)
        for later in (5, 6, 400, 1800):
            environment.scheduler.at(enabled + timedelta(seconds=later), partial(environment.press, button))

    def judge(_: Report, outcome: Outcome) -> None:
        freed = sum(
            row["state"] == "posted" and bool(row.get("history"))
            for row in environment.store.tables["OrdersTable"].items.values()
        )
        # the others were posted by themselves once the currency was there
        bounded(outcome, "set right: orders freed by a person", freed, at_least=orders / 200)

    return played("set right", environment, work, judge)


# --- mutants


@contextmanager
def refusals_not_heeded() -> Iterator[None]:
    """A refused company is tried again a moment later, and so are all that come after it."""

    def lose(hold: LaneHolder, company: str, _: AccessRefused) -> None:
        hold.held[company] = hold.now + hold.adapters.waits.settle_again

    with patch.object(LaneHolder, "_lose", lose):
        yield


@contextmanager
def connection_known_from_the_beginning() -> Iterator[None]:
    """How a company keeps its books is read once, and goes on being believed."""
    real = books.books_to_post
    known: dict[str, Books | None] = {}

    def books_to_post(settings: SettingsTable, connections: ConnectionsTable, company: str) -> Books | None:
        if company not in known:
            known[company] = real(settings, connections, company)
        return known[company]

    with patch.object(lane_holder, "books_to_post", books_to_post):
        yield


@contextmanager
def refused_for_good() -> Iterator[None]:
    """An order that meets a refusal counts as failed."""
    real = LaneHolder._lose

    def lose(hold: LaneHolder, company: str, error: AccessRefused) -> None:
        real(hold, company, error)
        orders = hold.adapters.orders
        for entry in orders.get_many(orders.in_list(company, State.QUEUED, "", 10)):
            if entry.state is State.QUEUED:
                problem = Problem("our_fault", {"order": entry.order_id, "reference": "?"})
                Publisher(hold).save(ledger.stop(entry, problem, hold.now))

    with patch.object(LaneHolder, "_lose", lose):
        yield


# quick forms, which catch the mutants too
TAKEN_AWAY = partial(taken_away, 40, calm=0.25)


def jobs(promise: str) -> list[Job]:
    return [
        Job(promise, "access taken and given back", partial(taken_away, 400), 40),
        Job(promise, "the same within F1", partial(taken_in_a_storm, 900), 30),
        *(
            Job(promise, f"mutant: {change.__name__}", partial(caught, change, TAKEN_AWAY), 15)
            for change in (refusals_not_heeded, connection_known_from_the_beginning, refused_for_good)
        ),
    ]


def people(promise: str) -> list[Job]:
    return [Job(promise, "people set right what stopped orders", partial(set_right, 800), 20)]

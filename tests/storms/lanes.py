"""The storms over lanes: bursts at Xero's limits, companies beside each other, and Xero away for hours."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

from bookkeeping.adapters.tables.orders import entry_from_item
from bookkeeping.domain import ledger
from bookkeeping.domain.pacing import BATCH_SIZE, CALLS_A_MINUTE, GATHER
from bookkeeping.use_cases.posting import lane_holder, settlement
from bookkeeping.use_cases.posting.lane_holder import LaneHolder
from bookkeeping.use_cases.posting.settlement import Settlement
from bookkeeping.use_cases.posting.turn import Turn
from local.xero.truth_log import Entry
from tests.storms.auditor import Report, most_at_once
from tests.storms.environment import F1, Environment, Weather, _Message
from tests.storms.posting import SEED, audited, bytes_a_call, judged
from tests.storms.table import Job, Outcome
from tests.storms.workload import Company, Workload

LAG = Weather(lag=10)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
TWO_SECONDS = Weather(slow_answer=1, slow_seconds=2, lag=10)
THROTTLED = Weather(refused=0.2, throttle=0.01, conflict=0.01, lag=10)
INTAKE_BATCH = 100
"""As the template has it. Where processes crash at every hundredth step, none would live through so many."""


def played(
    name: str,
    environment: Environment,
    work: Workload,
    judge: Callable[[Report, Outcome], None],
    *,
    hours: float = 4,
    calm: float = 2,
) -> Outcome:
    """Run what was put together to its end, and judge it."""
    try:
        environment.faults_of_xero()
        environment.run(timedelta(hours=hours), timedelta(hours=calm))
        report = audited(environment, work)
        outcome = judged(name, report, environment.met)
        judge(report, outcome)
        outcome.bad[:] = [each if each.startswith(name) else f"{name}: {each}" for each in outcome.bad]
        return outcome
    finally:
        environment.close()


def bounded(
    outcome: Outcome, what: str, value: float, *, at_most: float | None = None, at_least: float | None = None
) -> None:
    """Say a figure with its bound, and hold it to it."""
    bound = f"at most {at_most:g}" if at_least is None else f"at least {at_least:g}"
    said = f"{what} {value:.3g} ({bound})"
    outcome.said.append(said)
    if (at_most is not None and value > at_most) or (at_least is not None and value < at_least):
        outcome.bad.append(said)


def calls_in(environment: Environment, *organisations: str) -> list[Entry]:
    """The calls to the accounting API, of these organisations or of all."""
    return [
        entry
        for entry in environment.xero.log.entries
        if entry.path.startswith("/api.xro/") and (not organisations or entry.tenant_id in organisations)
    ]


def used(calls: Sequence[Entry]) -> float:
    """Per cent of 57 calls a minute, over the whole minutes from the first call to the last."""
    minutes = (calls[-1].at - calls[0].at) // timedelta(minutes=1)
    assert minutes > 0, "too few calls to tell"
    until = calls[0].at + timedelta(minutes=minutes)
    return 100 * sum(call.at < until for call in calls) / (minutes * CALLS_A_MINUTE)


def within_limits(environment: Environment, report: Report, outcome: Outcome, name: str) -> None:
    bounded(outcome, f"{name}: calls in any minute", report.most_a_minute, at_most=60)
    bounded(outcome, f"{name}: % answered 429", 100 * report.limited / report.calls, at_most=1)
    queues = (environment.orders_queue, environment.posting_queue, environment.backlog_queue)
    dead = environment.met["intake redriven"] + sum(len(queue.dead) for queue in queues)
    bounded(outcome, f"{name}: dead letters", dead, at_most=0)


def tokens_kept_fresh(environment: Environment, work: Workload, until: datetime) -> None:
    """Renewed before they end, as they are for a company at work."""
    for company in work.companies:
        environment._renewed(company.ref)
    later = environment.now() + timedelta(minutes=10)
    if later < until:
        environment.scheduler.at(later, partial(tokens_kept_fresh, environment, work, until))


# --- P7: bursts


def burst(orders: int, weather: Weather = TWO_SECONDS, *, name: str = "burst") -> Outcome:
    """All orders of one company at once."""
    environment = Environment(f"{name} {SEED}", weather, intake_batch=INTAKE_BATCH)
    work = Workload(environment)
    company = work.company(tracked=False)
    for place in range(orders):
        work.order(company, place, after=place * 5 / orders)

    def judge(report: Report, outcome: Outcome) -> None:
        within_limits(environment, report, outcome, name)
        if weather is TWO_SECONDS:
            bounded(outcome, f"{name}: % of 57 calls used", used(calls_in(environment)), at_least=95)

    return played(name, environment, work, judge)


def burst_in_a_storm(orders: int) -> Outcome:
    """Two companies' bursts within F1: no order fails, and the limits hold though processes forget their calls."""
    environment = Environment(f"storm {SEED}", F1)
    work = Workload(environment)
    companies = [work.company(tracked=tracked) for tracked in (False, True)]
    for place in range(orders):
        work.order(companies[place % 2], place, after=place * 20 / orders)

    def judge(report: Report, outcome: Outcome) -> None:
        name = "burst in F1"
        bounded(outcome, f"{name}: calls in any minute", report.most_a_minute, at_most=60)
        bounded(outcome, f"{name}: % answered 429", 100 * report.limited / report.calls, at_most=1)

    return played("burst in F1", environment, work, judge)


def shared_lane(orders: int) -> Outcome:
    """Two companies with one app and one organisation, both with all their orders at once."""
    environment = Environment(f"shared {SEED}", TWO_SECONDS, intake_batch=INTAKE_BATCH)
    work = Workload(environment)
    first = work.company(tracked=False)
    second = work.company(tracked=False, with_=first)
    for place in range(orders):
        # the second one's orders all come after the first one's
        work.order(second if place >= orders / 2 else first, place, after=place * 5 / orders)

    def judge(report: Report, outcome: Outcome) -> None:
        within_limits(environment, report, outcome, "shared lane")
        calls = calls_in(environment)
        bounded(outcome, "shared lane: % of 57 calls used", used(calls), at_least=95)
        # while both have orders left, and indexes show those of both
        firsts, seconds = (documents_of(calls, company) for company in (first, second))
        since, until = calls[0].at + timedelta(seconds=20), min(firsts[-1], seconds[-1])
        counts = [sum(since <= at <= until for at in mine) for mine in (firsts, seconds)]
        least = 100 * min(counts) / sum(counts)
        bounded(outcome, "shared lane: % for the one with less", least, at_least=33)

    return played("shared lane", environment, work, judge)


def documents_of(calls: Sequence[Entry], company: Company) -> list[datetime]:
    """When each document of the company was created."""
    return [
        call.at
        for call in calls
        for done in call.committed
        if str(done.get("number", "")).startswith(company.prefix)
    ]


def one_app_for_all(orders: int) -> Outcome:
    """An app on four organisations, and an allowance of its own that is less than theirs together."""
    with patch("local.xero.limits.CALLS_A_MINUTE_OF_AN_APP", 100):
        environment = Environment(f"app {SEED}", LAG, intake_batch=INTAKE_BATCH)
        work = Workload(environment)
        first = work.company(tracked=False)
        companies = [first, *(work.company(tracked=False, app_of=first) for _ in range(3))]
        for place in range(orders):
            work.order(companies[place % 4], place, after=place * 5 / orders)

        def judge(report: Report, outcome: Outcome) -> None:
            limits = Counter(call.limit for call in calls_in(environment) if call.limit)
            bounded(outcome, "one app: calls that met its limit", limits.pop("appminute", 0), at_least=1)
            bounded(outcome, "one app: calls that met another", limits.total(), at_most=0)

        # a document a call: else its minute would never be used up
        with bytes_a_call(1):
            return played("one app", environment, work, judge)


def day_limit(orders: int, allowance: int) -> Outcome:
    """An organisation whose allowance for the day runs out; what is left of the burst is posted once it is back."""
    environment = Environment(f"day {SEED}", LAG, intake_batch=INTAKE_BATCH)
    work = Workload(environment)
    company = work.company(tracked=False)
    lane = (f"APP{company.ref:0>29}", company.organisation_id)
    environment.xero.organisations[company.organisation_id].day_limit = allowance
    left = timedelta(seconds=environment.xero.limits.seconds_left(*lane, environment.now(), "day"))
    reset_at = environment.now() + left
    after = 0.0
    if left < timedelta(minutes=15):
        # too short a day: the burst comes in the next one
        after, reset_at = left.total_seconds() + 60, reset_at + timedelta(days=1)
    for place in range(orders):
        work.order(company, place, after=after + place * 5 / orders)

    def judge(_: Report, outcome: Outcome) -> None:
        calls = calls_in(environment)
        refused = Counter((call.at - reset_at) // DAY for call in calls if call.limit == "day")
        bounded(outcome, "day limit: days it ran out", len(refused), at_least=1)
        # those in flight at the same time
        bounded(outcome, "day limit: refused a day", max(refused.values()), at_most=4)
        resets = [reset_at + (day + 1) * DAY for day in refused]
        resumed = (min(call.at for call in calls if call.at >= reset) - reset for reset in resets)
        seconds = max(resumed).total_seconds()
        bounded(outcome, "day limit: seconds from its reset", seconds, at_most=120)

    return played("day limit", environment, work, judge, hours=50)


# --- P8: companies beside each other


def beside(workers: int, each: int, quiet: int, minutes: float) -> Outcome:
    """Twice as many companies busy as there are workers, with slow answers; others have an order now and then.

    There are as many workers for long turns as for short ones.
    """
    environment = Environment(f"beside {SEED}", LAG, workers=workers, intake_batch=INTAKE_BATCH)
    work = Workload(environment)
    chance, began = random.Random(f"beside {SEED}"), environment.now()
    busy = [work.company(tracked=False) for _ in range(2 * 2 * workers)]
    begins = 120
    for company in busy:
        slow = {"kind": "slow_answer", "seconds": 20, "probability": 1.0, "path_prefix": "/api.xro/"}
        environment.xero.faults.add(slow | {"tenant_id": company.organisation_id})
    for place in range(len(busy) * each):
        # each has posted something before: what is known of an organisation is known for half a day
        after = 0 if place < len(busy) else begins + place * 60 / (len(busy) * each)
        work.order(busy[place % len(busy)], place, after=after)
    now_and_then: list[tuple[str, str]] = []
    for place in range(quiet):
        company = work.company(tracked=place % 3 == 1)
        after = chance.uniform(0, min(300, minutes * 60))
        while after < minutes * 60:
            sent = work.order(company, len(work.sent), after=after)
            now_and_then.append((company.ref, sent.order_id))
            after += chance.uniform(120, 480)

    tokens_kept_fresh(environment, work, began + timedelta(minutes=minutes))

    def judge(_: Report, outcome: Outcome) -> None:
        calls = calls_in(environment, *(company.organisation_id for company in busy))
        since = began + timedelta(seconds=begins)
        meanwhile = [order for order in now_and_then if since <= _sent_at(work, order[1]) <= calls[-1].at]
        took = sorted(seconds_to_posted(environment, work, *order) for order in meanwhile)
        bounded(outcome, "quiet companies: p99 in seconds", took[len(took) * 99 // 100], at_most=30)
        bounded(outcome, "quiet companies: orders meanwhile", len(took), at_least=quiet / 2)

    return played("beside", environment, work, judge)


def one_of_ten(companies: int = 20, minutes: int = 5) -> Outcome:
    """Every company has an order at the same moment, again and again. One lane can't be taken, one has slow answers."""
    environment = Environment(f"one of ten {SEED}", LAG, workers=2, intake_batch=INTAKE_BATCH)
    work = Workload(environment)
    all_ = [work.company(tracked=False) for _ in range(companies)]
    # wake-ups come in this order: the first few begin alone, and then many wait for an invocation
    failing, slow = all_[companies // 2 : companies // 2 + 2]
    lane = f"APP{failing.ref:0>29}#{failing.organisation_id}"
    row = ("posting", f"ConnectionsTable lane#{lane}/lane")
    began = environment.now()
    environment.scheduler.at(began + timedelta(seconds=30), lambda: environment.refused.add(row))
    environment.scheduler.at(began + timedelta(minutes=minutes + 1), lambda: environment.refused.remove(row))
    answers = {"kind": "slow_answer", "seconds": 25, "probability": 1.0, "path_prefix": "/api.xro/"}
    environment.xero.faults.add(answers | {"tenant_id": slow.organisation_id})
    sent: list[tuple[str, str]] = []
    for minute in range(minutes + 1):
        for company in all_:
            order = work.order(company, len(work.sent), after=minute * 60)
            # with its first order, the organisation is read
            sent += [(company.ref, order.order_id)] if minute and company not in (failing, slow) else []

    def judge(_: Report, outcome: Outcome) -> None:
        slowest = max(seconds_to_posted(environment, work, *order) for order in sent)
        bounded(outcome, "one of ten: slowest of the others in seconds", slowest, at_most=15)
        again = sum(lane not in body for body in environment.delivered_again)
        bounded(outcome, "one of ten: wake-ups of the others delivered again", again, at_most=0)
        bounded(outcome, "one of ten: its own delivered again", len(environment.delivered_again), at_least=1)

    return played("one of ten", environment, work, judge)


def _spell(calls: Sequence[Entry]) -> float:
    return (calls[-1].at - calls[0].at).total_seconds()


def _sent_at(work: Workload, order_id: str) -> datetime:
    return datetime.fromtimestamp(work.sent[order_id].messages[0][0] / 1000, UTC)


def seconds_to_posted(environment: Environment, work: Workload, company: str, order_id: str) -> float:
    """From the message to the last document in the ledger."""
    row = environment.store.tables["OrdersTable"].items[(f"{company}#{order_id}",)]
    posted_at = max(posted.at for posted in entry_from_item(row).documents.values())
    return (posted_at - _sent_at(work, order_id)).total_seconds()


# --- P19: Xero is away


def outage(companies: int, each: int, hours: float) -> Outcome:
    """Nothing but 503 for hours, and orders all the while."""
    environment = Environment(f"outage {SEED}", LAG, intake_batch=INTAKE_BATCH)
    work = Workload(environment)
    all_ = [work.company(tracked=False) for _ in range(companies)]
    chance = random.Random(f"outage {SEED}")
    begins, ends = timedelta(seconds=60), timedelta(seconds=60, hours=hours)
    began = environment.now()

    def away() -> None:
        environment.xero.faults.add({"kind": "maintenance", "path_prefix": "/", "probability": 1.0})

    def back_again() -> None:
        environment.xero.faults.remove(None)

    environment.scheduler.at(began + begins, away)
    environment.scheduler.at(began + ends, back_again)
    for place in range(companies * each):
        after = place / companies / each * ends.total_seconds()
        if place < companies * 200:
            # a burst, half of it on its way when Xero goes
            after = chance.uniform(begins.total_seconds() - 5, begins.total_seconds() + 5)
        work.order(all_[place % companies], place, after=after)

    tokens_kept_fresh(environment, work, began + ends + timedelta(minutes=30))

    def judge(_: Report, outcome: Outcome) -> None:
        # what is in flight when Xero goes is no sign of impatience
        gone = began + begins + timedelta(minutes=1)
        back = began + ends
        away = [call for call in calls_in(environment) if gone <= call.at < back]
        per_lane = most_at_once(away)
        bounded(outcome, "outage: calls in any minute, a company", per_lane, at_most=2)
        slowest_start = slowest_drain = 0.0
        for company in all_:
            calls = [call for call in calls_in(environment, company.organisation_id) if call.at >= back]
            allowed = len(calls) / (0.9 * CALLS_A_MINUTE) * 60
            slowest_start = max(slowest_start, (calls[0].at - back).total_seconds())
            # a last call that is not full may wait for more orders
            spell = _spell(calls) - GATHER.total_seconds()
            slowest_drain = max(slowest_drain, 100 * spell / allowed)
        # the longest wait, and who is looked after by the sweep only
        bounded(outcome, "outage: seconds until resumed", slowest_start, at_most=150)
        bounded(outcome, "outage: % of backlog ÷ (0.9 × limit)", slowest_drain, at_most=100)

    # an order or two a call: the backlog is worth minutes
    with bytes_a_call(3_000):
        return played("outage", environment, work, judge, hours=hours + 4)


# --- P20: a document that Xero always fails on


def failed_on(companies: int, each: int, weather: Weather = LAG, *, latest: float = 15) -> Outcome:
    """Of each company's orders, all sent at once, one has a document that Xero always answers 500."""
    environment = Environment(f"failed on {SEED}", weather)
    work = Workload(environment)
    all_ = [work.company(tracked=number % 3 == 1) for number in range(companies)]
    for place in range(companies * each):
        company, bad = all_[place % companies], place // companies == each // 2
        provoked = "needs_attention xero_fails" if bad else ""
        sent = work.order(company, place, after=3 * place / companies / each, provoked=provoked)
        if bad:
            number = f'"{company.prefix}{sent.order_id}"'
            always = {"kind": "error_before_commit", "method": "PUT", "times": None, "body_has": number}
            environment.xero.faults.add(always)
    began = environment.now()
    tokens_kept_fresh(environment, work, began + timedelta(hours=4))

    def judge(_: Report, outcome: Outcome) -> None:
        calls = calls_in(environment)
        last = max(call.committed_at or began for call in calls if call.committed)
        bounded(
            outcome, "failed on: minutes until the others are in", (last - began) / MINUTE, at_most=latest
        )
        bounded(outcome, "failed on: calls a company", len(calls) / companies, at_most=140)

    return played("failed on", environment, work, judge)


# --- mutants


@contextmanager
def batches_always_whole() -> Iterator[None]:
    """What had no usable answer goes out whole, time after time."""
    real = Settlement._in_vain

    def whole(*about: Any) -> dict[str, Any]:
        return real(*about) | {"at_most": BATCH_SIZE}

    with patch.object(Settlement, "_in_vain", whole):
        yield


@contextmanager
def outage_retried_at_once() -> Iterator[None]:
    def at_once(*_: object) -> timedelta:
        return timedelta(seconds=1)

    with patch.object(lane_holder, "back_off", at_once), patch.object(settlement, "back_off", at_once):
        yield


@contextmanager
def turns_as_long_as_there_is_work() -> Iterator[None]:
    """One kind of turn for all, as long as it takes."""
    real = LaneHolder.note_due

    def note_due(holder: LaneHolder, due: int, *, more: bool) -> bool:
        return real(holder, due, more=more) or True

    with (
        patch.object(LaneHolder, "_is_over", lambda *_: False),
        patch.object(LaneHolder, "note_due", note_due),
    ):
        yield


@contextmanager
def one_after_the_other() -> Iterator[None]:
    """The lanes of an invocation wait for each other."""

    def post(environment: Environment, messages: list[_Message]) -> list[str]:
        failed: list[str] = []
        for message in messages:
            try:
                environment._post_one(message.body)
            except Exception:  # noqa: BLE001 as the function does
                failed.append(message.id)
        return failed

    with patch.object(Environment, "_post", post):
        yield


@contextmanager
def one_fails_all() -> Iterator[None]:
    """A lane that fails fails its whole invocation."""
    real = Environment._post

    def post(environment: Environment, messages: list[_Message]) -> list[str]:
        return [message.id for message in messages] if real(environment, messages) else []

    with patch.object(Environment, "_post", post):
        yield


@contextmanager
def first_come_first_served() -> Iterator[None]:
    """No share for each company of a lane: whoever was due first goes first."""
    real = Turn._due

    def due(turn: Turn) -> dict[str, list[ledger.Entry]]:
        found = real(turn)
        entries = sorted((entry for mine in found.values() for entry in mine), key=_due_at)
        first = entries[:BATCH_SIZE]
        return {
            company: [entry for entry in mine if entry in first]
            for company, mine in found.items()
            if any(entry in first for entry in mine)
        }

    with patch.object(Turn, "_due", due):
        yield


def _due_at(entry: ledger.Entry) -> tuple[datetime | None, str]:
    return entry.due_at, entry.order_id


def caught(change: Callable[[], AbstractContextManager[None]], scene: Callable[[], Outcome]) -> Outcome:
    """Whether the storm, which the real code stands, finds the mutant out."""
    control = scene()
    with change():
        weakened = scene()
    bad = [] if control.kept else [f"{change.__name__}: the real code ends badly as well: {control.bad}"]
    if weakened.kept:
        bad.append(f"mutant {change.__name__}: not caught")
    return Outcome(mutants=1, caught=int(not weakened.kept), bad=bad)


# --- jobs


def bursts(promise: str) -> list[Job]:
    return [
        Job(promise, "6,000 orders at once", partial(burst, 6000), 25),
        Job(promise, "the same, throttled", partial(burst, 3000, THROTTLED, name="throttled"), 25),
        Job(promise, "bursts in F1", partial(burst_in_a_storm, 2000), 40),
        Job(promise, "two companies in one lane", partial(shared_lane, 6000), 30),
        Job(promise, "an app's own minute", partial(one_app_for_all, 600), 15),
        Job(promise, "a day's allowance", partial(day_limit, 4000, 40), 25),
        Job(promise, "mutant: no shares", partial(caught, first_come_first_served, SHARED), 20),
    ]


def beside_each_other(promise: str) -> list[Job]:
    return [
        Job(promise, "busy companies and quiet ones", partial(beside, 2, 6000, 50, 60), 180),
        Job(promise, "one of ten lanes failing, one slow", one_of_ten, 20),
        Job(
            promise, "mutant: one lane after the other", partial(caught, one_after_the_other, ONE_OF_TEN), 30
        ),
        Job(promise, "mutant: one fails all", partial(caught, one_fails_all, ONE_OF_TEN), 30),
        Job(promise, "mutant: long turns", partial(caught, turns_as_long_as_there_is_work, BESIDE), 20),
    ]


def outages(promise: str) -> list[Job]:
    return [
        Job(promise, "four hours without Xero", partial(outage, 6, 250, 4), 30),
        Job(promise, "mutant: no patience", partial(caught, outage_retried_at_once, SHORT_OUTAGE), 5),
    ]


def failed_documents(promise: str) -> list[Job]:
    return [
        Job(promise, "documents that Xero always fails on", partial(failed_on, 6, 120), 30),
        Job(promise, "the same in F1", partial(failed_on, 3, 60, F1, latest=120), 30),
        Job(promise, "mutant: always whole", partial(caught, batches_always_whole, FAILED_ON), 10),
    ]


# quick forms, which catch the mutants too
# enough that both companies have orders left when the first minute is over
SHARED = partial(shared_lane, 6000)
ONE_OF_TEN = partial(one_of_ten, 12, 3)
BESIDE = partial(beside, 2, 300, 20, 10)
OUTAGE = partial(outage, 1, 220, 0.3)
FAILED_ON = partial(failed_on, 2, 50)
SHORT_OUTAGE = partial(outage, 1, 60, 0.2)

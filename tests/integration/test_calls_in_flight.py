"""Calls to Xero beside each other: how many are out, when the next one starts, and one that goes wrong among others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any

import pytest

from bookkeeping.adapters import from_environment
from bookkeeping.domain.pacing import CALLS_AT_ONCE
from local.xero.truth_log import Entry
from tests.storms.environment import Environment
from tests.storms.lanes import calls_in
from tests.storms.posting import audited
from tests.storms.workload import Workload

FACTS_AND_CONTACT = 6
"""Calls that read the organisation's facts and the contact, before the first batch."""
BATCHES = 12
ORDERS = 50 * BATCHES


class Books:
    """One company, and a burst of its orders."""

    def __init__(self) -> None:
        self.environment = Environment("calls in flight", intake_batch=100, travel=0.0)
        self.work = Workload(self.environment)
        self.company = self.work.company(tracked=False)

    def answer(
        self, seconds: float, kind: str = "slow_answer", times: int | None = None, **more: Any
    ) -> None:
        """What the next invoices are answered with."""
        rule = {"kind": kind, "method": "PUT", "path_prefix": "/api.xro/", "seconds": seconds, "times": times}
        self.environment.xero.faults.add(rule | more)

    def run(self) -> list[Entry]:
        """Send the burst, and wait until all is over. The calls that create invoices."""
        for place in range(ORDERS):
            self.work.order(self.company, place)
        self.environment.run(timedelta(hours=1))
        report = audited(self.environment, self.work)
        assert report.clean, report
        return self.puts

    @property
    def puts(self) -> list[Entry]:
        return [call for call in calls_in(self.environment) if call.method == "PUT"]


@pytest.fixture
def books() -> Iterator[Books]:
    books = Books()
    yield books
    books.environment.close()


def ended(call: Entry, seconds: float) -> datetime:
    return call.at + timedelta(seconds=seconds)


def test_a_burst_takes_a_call_for_fifty_orders_and_four_calls_at_a_time(books: Books) -> None:
    books.answer(2)
    puts = books.run()
    assert len(puts) == BATCHES
    assert len(calls_in(books.environment)) == BATCHES + FACTS_AND_CONTACT
    out = [sum(call.at <= moment < ended(call, 2) for call in puts) for moment in (call.at for call in puts)]
    assert max(out) == CALLS_AT_ONCE


def test_the_next_call_starts_when_one_comes_back_not_when_all_have(books: Books) -> None:
    books.answer(1, times=1)  # the first one goes alone, for the contact's name
    books.answer(25, times=1)
    books.answer(1)
    slow = books.run()[1]
    beside = [call for call in books.puts if slow.at < call.at < ended(slow, 25)]
    assert len(beside) == BATCHES - 2


@pytest.mark.parametrize(
    ("kind", "seconds", "repeated"),
    [
        ("reply_lost", 0, 1),
        ("request_lost", 0, 1),
        ("error_before_commit", 0, 1),
        ("error_after_commit", 0, 1),
        ("html_400", 0, 1),
        ("maintenance", 0, 1),
        ("rate_limit_minute", 0, 1),
        ("token_expired", 0, 1),
        ("slow_answer", 40, 1),
        ("slow_commit", 80, 2),
    ],
)
def test_one_call_that_goes_wrong_costs_the_others_nothing(
    books: Books, kind: str, seconds: float, repeated: int
) -> None:
    books.answer(2, times=2)
    books.answer(seconds, kind, times=1, **({"retry_after": 20} if kind == "rate_limit_minute" else {}))
    books.answer(2)
    puts = books.run()
    assert len(puts) <= BATCHES + repeated


def test_on_lambda_a_call_that_is_done_is_told_of_while_others_are_out() -> None:
    start, go_on = from_environment.threads(CALLS_AT_ONCE), threading.Event()
    slow: list[Future[Any]] = [start(lambda: go_on.wait(30)) for _ in range(CALLS_AT_ONCE - 1)]
    quick = start(lambda: "answer")
    from_environment.await_first([*slow, quick])
    assert quick.result(0) == "answer"
    assert not any(call.done() for call in slow)
    go_on.set()
    assert all(call.result(30) for call in slow)

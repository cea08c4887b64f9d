"""Documents to which Xero gives no usable answer, alone among others and all at once, on virtual time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
from moto import mock_aws

from bookkeeping.adapters.queues import WakeUp
from local.samples import TRACKED, UNTRACKED, Maker
from tests.integration.one_process import XERO, Killed, OneProcess, in_memory
from tests.integration.test_containment import retry
from tests.integration.test_unreadable_answers import ends, numbers

BAD = "CAN-NOT-BE-TAKEN"
RESOURCES = {"invoice": "Invoices", "purchase_order": "PurchaseOrders"}


@pytest.fixture
def books() -> Iterator[OneProcess]:
    with mock_aws():
        yield OneProcess(tables=in_memory)


def company(books: OneProcess, name: str) -> str:
    """Untracked orders in one company, tracked ones in the other."""
    if name == TRACKED:
        australian = books.organisation("Demo Company (AU)")
        return books.company(TRACKED, australian, process_method="tracked")
    return books.company(UNTRACKED)


def orders(count: int, name: str = UNTRACKED, bad: Sequence[int] = ()) -> list[dict[str, Any]]:
    make = Maker()
    made = [make.order(name, place, 1) for place in range(count)]
    for place in bad:
        made[place]["ref"] = BAD
    return made


def fails(books: OneProcess, how: str, resource: str = "Invoices", **about: Any) -> None:
    """Xero fails on each call that creates such documents; with `body_has`, on those that hold this text."""
    if how != "no answer in time":
        path = f"/api.xro/2.0/{resource}"
        books.xero.faults.add({"kind": how, "method": "PUT", "path_prefix": path, "times": None, **about})
        return
    adapter: Any = books.posting.xero.session.get_adapter(XERO)
    through, text = adapter.send, about.get("body_has", "")

    def send(request: Any, *more: Any, **named: Any) -> Any:
        if request.method == "PUT" and f"/{resource}?" in request.url and text in str(request.body):
            books.clock.advance(30)
            raise requests.exceptions.ReadTimeout
        return through(request, *more, **named)

    adapter.send = send


def run(books: OneProcess, **time: float) -> None:
    books.run(timedelta(**time), until_quiet=False)


@pytest.mark.parametrize(
    ("how", "place"), [("error_before_commit", 24), ("request_lost", 0), ("no answer in time", 49)]
)
def test_one_document_that_xero_fails_on_holds_no_other_up_and_stops_in_words(
    books: OneProcess, how: str, place: int
) -> None:
    company(books, UNTRACKED)
    sent = orders(50, bad=[place])
    fails(books, how, body_has=BAD)
    books.send(*sent)
    run(books, minutes=20)
    others = [order for order in sent if order is not sent[place]]
    assert {ends(books.entry(order)) for order in others} == {"posted"}
    assert ends(books.entry(sent[place])) == "posting"
    run(books, minutes=70)
    stopped = books.entry(sent[place])
    assert ends(stopped) == "needs_attention xero_fails"
    assert stopped.problem is not None
    assert f"KX-{sent[place]['id']}" in stopped.problem.sentence
    assert numbers(books) == sorted(f"KX-{order['id']}" for order in others)
    assert len(books.calls()) < 110


def test_so_do_several_of_them_and_they_are_posted_by_retry_once_xero_takes_them(books: OneProcess) -> None:
    company(books, UNTRACKED)
    bad = [3, 4, 30, 31, 49]
    sent = orders(50, bad=bad)
    fails(books, "error_before_commit", body_has=BAD)
    books.send(*sent)
    run(books, minutes=60)
    assert sum(ends(books.entry(order)) == "posted" for order in sent) == 45
    run(books, hours=2)
    assert {ends(books.entry(sent[place])) for place in bad} == {"needs_attention xero_fails"}
    books.xero.faults.remove()
    for place in bad:
        retry(books, sent[place])
    assert {ends(books.entry(order)) for order in sent} == {"posted"}
    assert len(numbers(books)) == 50


def test_a_purchase_order_that_xero_fails_on_holds_no_other_up(books: OneProcess) -> None:
    company(books, TRACKED)
    sent = orders(30, TRACKED, bad=[7])
    fails(books, "error_before_commit", "PurchaseOrders", body_has=BAD)
    books.send(*sent)
    run(books, hours=1.5)
    assert [place for place, order in enumerate(sent) if ends(books.entry(order, TRACKED)) != "posted"] == [7]
    assert ends(books.entry(sent[7], TRACKED)) == "needs_attention xero_fails"
    assert len(numbers(books)) == len(numbers(books, "purchase_order")) == 29


def test_a_document_that_was_in_the_books_all_along_never_stops(books: OneProcess) -> None:
    company(books, UNTRACKED)
    sent = orders(8, bad=[2])
    fails(books, "error_after_commit", body_has=BAD)
    books.send(*sent)
    run(books, hours=3)
    assert {ends(books.entry(order)) for order in sent} == {"posted"}
    assert len(numbers(books)) == 8


def test_one_that_is_in_the_books_as_it_is_given_up_leaves_no_other_behind(books: OneProcess) -> None:
    """After an hour Xero takes one of three, fails on two, and creates one of them without an answer."""
    company(books, UNTRACKED)
    sent = orders(6, bad=[1, 3, 4])
    adapter: Any = books.posting.xero.session.get_adapter(XERO)
    through, to_come = adapter.send, ["answered", "not created", "created"]

    def send(request: Any, *more: Any, **named: Any) -> Any:
        if request.method != "PUT" or BAD not in str(request.body) or not to_come:
            return through(request, *more, **named)
        [batch] = books.lanes.batches(books.entry(sent[1]).lane)
        over = batch.works_since and books.clock.now() - batch.works_since >= books.waits.in_vain
        how = to_come.pop(0) if over else "not created"
        answer = None if how == "not created" else through(request, *more, **named)
        if how == "answered":
            return answer
        raise requests.exceptions.ReadTimeout

    adapter.send = send
    books.send(*sent)
    run(books, hours=2)
    assert not to_come
    assert {ends(books.entry(order)) for order in sent} == {"posted"}
    assert len(numbers(books)) == 6


def test_a_refusal_is_not_believed_while_the_call_of_a_turn_that_crashed_may_be_carried_out(
    books: OneProcess,
) -> None:
    """Five calls are lost. The process ends during the sixth, which Xero carries out long after."""
    company(books, UNTRACKED)
    [order] = orders(1)
    adapter: Any = books.posting.xero.session.get_adapter(XERO)
    through, calls = adapter.send, []

    def send(request: Any, *more: Any, **named: Any) -> Any:
        if request.method != "PUT":
            return through(request, *more, **named)
        calls.append(books.clock.now())
        if len(calls) < 6:
            books.clock.advance(30)
            raise requests.exceptions.ReadTimeout
        if len(calls) > 6:
            return through(request, *more, **named)
        books.xero.faults.add({"kind": "slow_commit", "method": "PUT", "seconds": 130})
        # its answer does not arrive: the process is killed
        with contextlib.suppress(requests.exceptions.RequestException):
            through(request, *more, **named)
        books.xero.faults.add({"kind": "refused", "method": "PUT", "message": "Not today."})
        raise Killed

    adapter.send = send
    books.send(order)
    while len(calls) < 6:
        run(books, seconds=1)
    books.clock.advance(books.waits.lease.total_seconds() + 1)
    books.turn(WakeUp(books.entry(order).lane).to_json())
    run(books, minutes=30)
    assert len(calls) > 6, "it is sent again before the sixth call is carried out"
    assert ends(books.entry(order)) == "posted"
    assert len(numbers(books)) == 1


def test_an_order_alone_stops_once_xero_has_taken_others_for_an_hour(books: OneProcess) -> None:
    company(books, UNTRACKED)
    [alone] = orders(1, bad=[0])
    others = orders(40)[1:]
    fails(books, "error_before_commit", body_has=BAD)
    books.send(alone)
    run(books, hours=3)
    assert ends(books.entry(alone)) == "posting"
    for other in others[:9]:
        books.send(other)
        run(books, minutes=10)
    assert ends(books.entry(alone)) == "needs_attention xero_fails"
    assert {ends(books.entry(other)) for other in others[:9]} == {"posted"}


def test_an_order_alone_stops_after_a_day_though_no_other_tells_that_xero_works(books: OneProcess) -> None:
    assert books.waits.in_vain_at_most == timedelta(days=1)
    books.posting = replace(books.posting, waits=replace(books.waits, in_vain_at_most=timedelta(hours=4)))
    company(books, UNTRACKED)
    [alone] = orders(1, bad=[0])
    fails(books, "error_before_commit", body_has=BAD)
    books.send(alone)
    run(books, hours=3.9)
    assert ends(books.entry(alone)) == "posting"
    run(books, hours=0.3)
    assert ends(books.entry(alone)) == "needs_attention xero_fails"


@pytest.mark.parametrize(
    ("how", "kind", "most"),
    [
        ("error_before_commit", "invoice", 160),
        ("error_before_commit", "purchase_order", 95),
        ("no answer in time", "invoice", 160),
    ],
)
def test_six_hours_in_which_xero_fails_on_every_document_cost_few_calls_and_stop_nothing(
    books: OneProcess, how: str, kind: str, most: int
) -> None:
    name = TRACKED if kind == "purchase_order" else UNTRACKED
    company(books, name)
    sent = orders(50, name)
    fails(books, how, RESOURCES[kind])
    adapter: Any = books.posting.xero.session.get_adapter(XERO)
    through, tried = adapter.send, []

    def send(request: Any, *more: Any, **named: Any) -> Any:
        tried.append(request)
        return through(request, *more, **named)

    adapter.send = send
    books.send(*sent)
    run(books, hours=6)
    assert len(tried) <= most
    if how == "no answer in time":
        del adapter.send
    books.xero.faults.remove()
    run(books, minutes=20)
    assert {ends(books.entry(order, name)) for order in sent} == {"posted"}
    assert len(numbers(books, kind)) == 50
    assert not books.bus.of("OrderNeedsAttention")


def test_an_outage_that_ends_bit_by_bit_stops_nothing(books: OneProcess) -> None:
    """After two hours some calls succeed, and most still fail for half an hour."""
    company(books, UNTRACKED)
    sent = orders(8)
    fails(books, "error_before_commit")
    for order in sent:
        books.send(order)
        run(books, minutes=15)
    books.xero.faults.remove()
    fails(books, "error_before_commit", probability=0.8, seed=3)
    run(books, minutes=30)
    books.xero.faults.remove()
    run(books, minutes=20)
    assert {ends(books.entry(order)) for order in sent} == {"posted"}
    assert len(numbers(books)) == 8

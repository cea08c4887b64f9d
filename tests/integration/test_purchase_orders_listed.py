"""How purchase orders of an unsettled batch are found again, and what that costs in calls, on virtual time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from moto import mock_aws

from bookkeeping.adapters.tables.pauses import Pauses
from bookkeeping.domain.ledger import Pause
from local.samples import TRACKED, Maker
from tests.grants import acting_as
from tests.integration.one_process import OneProcess, in_memory
from tests.integration.test_unreadable_answers import ends, numbers


@pytest.fixture
def books() -> Iterator[OneProcess]:
    with mock_aws():
        world = OneProcess(tables=in_memory)
        world.company(TRACKED, world.organisation("Demo Company (AU)"), process_method="tracked")
        yield world


def fails_once(books: OneProcess, kind: str) -> None:
    books.xero.faults.add({"kind": kind, "method": "PUT", "path_prefix": "/api.xro/2.0/PurchaseOrders"})


def sent(books: OneProcess, count: int) -> list[dict[str, Any]]:
    make = Maker()
    orders = [make.order(TRACKED, place, 1) for place in range(count)]
    books.send(*orders)
    return orders


def calls(books: OneProcess) -> list[str]:
    """The calls for purchase orders, those of a kind that follow each other once."""
    kinds = [
        "create" if call.method == "PUT" else "read one" if "KX-" in call.path else "list"
        for call in books.calls(path="/PurchaseOrders")
    ]
    return [f"{kind} × {len(list(each))}" for kind, each in itertools.groupby(kinds)]


def all_posted_once(books: OneProcess, orders: list[dict[str, Any]]) -> None:
    assert {ends(books.entry(order, TRACKED)) for order in orders} == {"posted"}
    for kind in ("purchase_order", "invoice"):
        assert numbers(books, kind) == sorted(f"KX-{order['id']}" for order in orders)


def test_fifty_that_are_there_are_found_by_one_list(books: OneProcess) -> None:
    fails_once(books, "error_after_commit")
    orders = sent(books, 50)
    books.run()
    all_posted_once(books, orders)
    assert calls(books) == ["create × 1", "list × 1"]


def test_fifty_that_are_not_there_are_sent_again_after_one_list(books: OneProcess) -> None:
    fails_once(books, "error_before_commit")
    orders = sent(books, 50)
    books.run()
    all_posted_once(books, orders)
    assert calls(books) == ["create × 1", "list × 1", "create × 1"]


def test_one_that_the_list_does_not_show_is_refused_and_read_alone(
    books: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person dated it otherwise meanwhile."""
    fails_once(books, "error_after_commit")
    adapter = books.posting.xero
    real = adapter.purchase_orders

    def dated_otherwise(*about: Any) -> Any:
        documents = books.organisation("Demo Company (AU)").documents.values()
        next(one for one in documents if one.number == f"KX-{orders[4]['id']}").dated_on -= timedelta(days=40)
        return real(*about)

    monkeypatch.setattr(adapter, "purchase_orders", dated_otherwise)
    orders = sent(books, 20)
    books.run()
    all_posted_once(books, orders)
    assert calls(books) == ["create × 1", "list × 1", "create × 1", "read one × 1"]


def test_a_few_are_not_listed(books: OneProcess) -> None:
    fails_once(books, "error_after_commit")
    orders = sent(books, 3)
    books.run()
    all_posted_once(books, orders)
    assert calls(books) == ["create × 2", "read one × 3"]


def test_of_more_than_three_pages_only_the_first_is_read(
    books: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_once(books, "error_after_commit")
    adapter = books.posting.xero
    real, asked = adapter.purchase_orders, []

    def long(*about: Any) -> Any:
        asked.append(about[2])
        found, _ = real(*about)
        return found[:2], 4

    monkeypatch.setattr(adapter, "purchase_orders", long)
    orders = sent(books, 6)
    books.run()
    all_posted_once(books, orders)
    assert asked == [1]
    assert calls(books) == ["create × 1", "list × 1", "create × 1", "read one × 4"]


def test_three_pages_are_read_until_all_are_found(books: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_once(books, "error_after_commit")
    adapter = books.posting.xero
    real, asked = adapter.purchase_orders, []

    def in_pages(*about: Any) -> Any:
        first, last, page, access, observe = about
        asked.append(page)
        found, _ = real(first, last, 1, access, observe)
        return found[4 * page - 4 : 4 * page], 3

    monkeypatch.setattr(adapter, "purchase_orders", in_pages)
    orders = sent(books, 6)
    books.run()
    all_posted_once(books, orders)
    assert asked == [1, 2]


def test_a_list_that_fails_keeps_no_purchase_order_from_its_outcome(books: OneProcess) -> None:
    books.xero.faults.add(
        {
            "kind": "error_before_commit",
            "method": "GET",
            "path_prefix": "/api.xro/2.0/PurchaseOrders",
            "times": 1,
        }
    )
    fails_once(books, "error_after_commit")
    orders = sent(books, 6)
    books.run()
    all_posted_once(books, orders)
    assert calls(books) == ["create × 1", "list × 1", "create × 1", "list × 1"]


@pytest.mark.parametrize("stopped", ["paused", "switched off"])
@pytest.mark.parametrize("kind", ["error_before_commit", "error_after_commit"])
def test_many_that_may_not_be_sent_again_are_settled_within_the_minutes_that_their_reads_take(
    books: OneProcess, stopped: str, kind: str
) -> None:
    # more than Xero allows calls in a minute
    for _ in range(2):
        fails_once(books, kind)
    pauses, send = Pauses(books.resource, "ConnectionsTable"), books.posting.xero.create

    def stop_and_send(*about: Any, **more: Any) -> Any:
        with acting_as(""):
            if stopped == "paused":
                pauses.add(TRACKED, Pause("grace", books.clock.now()))
            else:
                books.save_settings(TRACKED, enabled=False)
        return send(*about, **more)

    with patch.object(books.posting.xero, "create", stop_and_send):
        orders = sent(books, 100)
        books.run(timedelta(hours=2))
    assert not {books.entry(order, TRACKED).batch for order in orders} - {""}
    assert len(books.calls(path="/PurchaseOrders")) < 2 * 100 + 20
    assert not books.committed("invoice")
    pauses.remove(TRACKED)
    books.ring(books.entry(orders[0], TRACKED))
    if stopped == "paused":
        books.run()
        all_posted_once(books, orders)

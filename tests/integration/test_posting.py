"""An order's way from its message into the books, through faults of every kind, at the wire and on virtual time."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from moto import mock_aws
from urllib3 import HTTPResponse

from bookkeeping.adapters.tables.lanes import Lanes
from bookkeeping.domain import ledger
from bookkeeping.domain.ledger import Entry, State
from bookkeeping.use_cases.posting import turn
from local.samples import TRACKED, UNTRACKED, Maker, cost, gross
from tests import grants
from tests.grants import Use
from tests.integration.one_process import XERO, Killed, OneProcess, in_memory
from tests.storms.dynamodb import DynamoDB, refused
from tests.storms.environment import table_properties

PUT_INVOICES = {"method": "PUT", "path_prefix": "/api.xro/2.0/Invoices"}
PUT_PURCHASE_ORDERS = {"method": "PUT", "path_prefix": "/api.xro/2.0/PurchaseOrders"}


@pytest.fixture
def books() -> Iterator[OneProcess]:
    # moto copies every table for each transaction; these tables are held against moto and the local AWS
    with mock_aws():
        yield OneProcess(tables=in_memory)


@pytest.fixture
def untracked(books: OneProcess) -> OneProcess:
    books.company(UNTRACKED)
    return books


@pytest.fixture
def tracked(books: OneProcess) -> OneProcess:
    books.company(TRACKED, books.organisation("Demo Company (AU)"), process_method="tracked")
    return books


def orders(count: int, company: str = UNTRACKED, **changes: Any) -> list[dict[str, Any]]:
    make = Maker()
    return [make.order(company, place, 1 + place % 3, **changes) for place in range(count)]


def invoices_are(books: OneProcess, sent: list[dict[str, Any]], prefix: str = "KX-") -> None:
    """Each order has one invoice, no more, with the total the order carries."""
    created = books.committed("invoice")
    assert sorted(done["number"] for done in created) == sorted(f"{prefix}{order['id']}" for order in sent)
    totals = {done["number"]: Decimal(str(done["total"])) for done in created}
    assert totals == {f"{prefix}{order['id']}": gross(order) for order in sent}


def all_posted(books: OneProcess, sent: list[dict[str, Any]], company: str = UNTRACKED) -> list[Entry]:
    entries = [books.entry(order, company) for order in sent]
    assert {entry.state for entry in entries} == {State.POSTED}, [
        (entry.order_id, entry.state, entry.reason, entry.problem)
        for entry in entries
        if entry.state != State.POSTED
    ]
    assert not any(entry.batch or entry.problem for entry in entries)
    return entries


# --- the plain way


def test_an_order_becomes_one_invoice_that_equals_it_to_the_cent(untracked: OneProcess) -> None:
    sent = orders(1)
    untracked.send(*sent)
    untracked.run()
    (entry,) = all_posted(untracked, sent)
    invoices_are(untracked, sent)
    assert entry.documents["invoice"].number == entry.number == f"KX-{sent[0]['id']}"
    assert [event["order_id"] for event in untracked.bus.of("OrderPosted")] == [str(sent[0]["id"])]


def test_a_tracked_order_becomes_items_a_purchase_order_and_an_invoice(tracked: OneProcess) -> None:
    sent = orders(3, TRACKED)
    tracked.send(*sent)
    tracked.run()
    all_posted(tracked, sent, TRACKED)
    invoices_are(tracked, sent)
    bought = {done["number"]: done for done in tracked.committed("purchase_order")}
    assert sorted(bought) == sorted(f"KX-{order['id']}" for order in sent)
    assert {number: Decimal(str(done["subtotal"])) for number, done in bought.items()} == {
        f"KX-{order['id']}": cost(order) for order in sent
    }
    created = {done["code"] for done in tracked.committed("item")}
    assert created == {item["sku"] for order in sent for item in order["items"]}


def test_orders_that_come_in_a_burst_travel_fifty_to_a_call(untracked: OneProcess) -> None:
    sent = orders(200)
    for start in range(0, 200, 40):
        untracked.send(*sent[start : start + 40])
    untracked.run()
    all_posted(untracked, sent)
    invoices_are(untracked, sent)
    assert len(untracked.calls("PUT")) == 4
    assert len(untracked.calls("GET")) == 6


def test_one_bad_order_holds_no_other_up(untracked: OneProcess) -> None:
    sent = orders(5)
    sent[2]["currency_code"] = "CHF"
    untracked.send(*sent)
    untracked.run()
    good = [order for order in sent if order is not sent[2]]
    all_posted(untracked, good)
    invoices_are(untracked, good)
    stopped = untracked.entry(sent[2])
    assert stopped.state is State.NEEDS_ATTENTION
    assert stopped.problem is not None
    assert "CHF" in stopped.problem.sentence
    assert [event["problem"] for event in untracked.bus.of("OrderNeedsAttention")] == ["currency_not_enabled"]


def test_a_document_xero_refuses_stops_only_its_own_order(untracked: OneProcess) -> None:
    sent = orders(5)
    untracked.send(sent[0])
    untracked.run()
    organisation = untracked.organisation("Demo Company (UK)")
    untracked.xero.change_organisation(organisation, {"archive_account": "200"})
    untracked.send(*sent[1:])
    untracked.run()
    for order in sent[1:]:
        problem = untracked.entry(order).problem
        assert problem is not None
        assert problem.code == "account_archived"
    invoices_are(untracked, sent[:1])


# --- the same order again


def test_the_same_message_many_times_is_one_invoice(untracked: OneProcess) -> None:
    sent = orders(1)
    for _ in range(3):
        untracked.send(*sent, *sent)
        untracked.run()
    invoices_are(untracked, sent)
    untracked.clock.advance(30 * 24 * 3600)
    untracked.send(*sent)
    untracked.run()
    invoices_are(untracked, sent)


def test_until_sent_the_newest_message_holds_whatever_the_order_of_arrival(untracked: OneProcess) -> None:
    (old,) = orders(1)
    new = json.loads(json.dumps(old))
    new["items"][0]["quantity"] = 7
    now = int(untracked.clock.now().timestamp() * 1000)
    untracked.send(new, sent_at=now + 1)
    untracked.send(old, sent_at=now)
    untracked.run()
    invoices_are(untracked, [new])


def test_a_change_after_posting_is_shown_and_overwrites_nothing(untracked: OneProcess) -> None:
    (old,) = orders(1)
    untracked.send(old)
    untracked.run()
    new = json.loads(json.dumps(old))
    new["items"][0]["quantity"] = 7
    untracked.send(new)
    untracked.run()
    invoices_are(untracked, [old])
    assert untracked.entry(old).changes == ("Line 1, quantity: 1 → 7",)
    assert len(untracked.bus.of("OrderChangedAfterPosting")) == 1
    assert not untracked.calls("POST")


def test_on_hold_is_skipped_and_posted_once_released(untracked: OneProcess) -> None:
    (order,) = orders(1)
    untracked.send(order | {"status": 256, "status_name": "On Hold"})
    untracked.run()
    assert (untracked.entry(order).state, untracked.entry(order).reason) == (State.SKIPPED, "on_hold")
    untracked.clock.advance(60)
    untracked.send(order)
    untracked.run()
    invoices_are(untracked, [order])


def test_a_cancelled_message_that_comes_while_the_order_is_being_sent_is_shown(untracked: OneProcess) -> None:
    (order,) = orders(1)
    untracked.send(order)
    cancelled = order | {"status": 128, "status_name": "Cancelled"}
    start = untracked.posting.start

    def meanwhile(call: Any) -> Any:
        if untracked.entry(order).state is State.POSTING:
            untracked.clock.advance(1)
            untracked.send(cancelled)
        return start(call)

    object.__setattr__(untracked.posting, "start", meanwhile)
    untracked.run()
    invoices_are(untracked, [order])
    assert untracked.entry(order).changes == ("The order is now cancelled.",)


# --- outcomes that never arrive


@pytest.mark.parametrize(
    "kind",
    [
        "reply_lost",
        "request_lost",
        "error_after_commit",
        "error_before_commit",
        "cut_body",
        "malformed_json",
        "html_body",
        "html_400",
        "empty_body",
        "slow_answer",
        "slow_commit",
        "maintenance",
        "organisation_offline",
    ],
)
@pytest.mark.parametrize("times", [1, 2, 5])
def test_an_unknown_outcome_ends_as_exactly_one_invoice(untracked: OneProcess, kind: str, times: int) -> None:
    sent = orders(7)
    untracked.xero.faults.add({"kind": kind, "times": times, "seconds": 100, **PUT_INVOICES})
    untracked.send(*sent)
    untracked.run()
    all_posted(untracked, sent)
    invoices_are(untracked, sent)
    assert not untracked.lanes.batches(untracked.entry(sent[0]).lane)


@pytest.mark.parametrize(
    "kind", ["reply_lost", "error_after_commit", "cut_body", "slow_commit", "request_lost"]
)
def test_an_unknown_outcome_ends_as_exactly_one_purchase_order(tracked: OneProcess, kind: str) -> None:
    sent = orders(4, TRACKED)
    tracked.xero.faults.add({"kind": kind, "times": 2, "seconds": 100, **PUT_PURCHASE_ORDERS})
    tracked.send(*sent)
    tracked.run()
    all_posted(tracked, sent, TRACKED)
    numbers = sorted(done["number"] for done in tracked.committed("purchase_order"))
    assert numbers == sorted(f"KX-{order['id']}" for order in sent)
    invoices_are(tracked, sent)


def test_items_whose_creation_never_answered_are_not_created_twice(tracked: OneProcess) -> None:
    sent = orders(4, TRACKED)
    tracked.xero.faults.add({"kind": "reply_lost", "method": "PUT", "path_prefix": "/api.xro/2.0/Items"})
    tracked.send(*sent)
    tracked.run()
    all_posted(tracked, sent, TRACKED)
    created = [done["code"] for done in tracked.committed("item")]
    assert len(created) == len(set(created))


# --- limits and access


@pytest.mark.parametrize(
    "kind", ["rate_limit_minute", "rate_limit_day", "rate_limit_concurrent", "rate_limit_appminute"]
)
def test_throttling_only_delays(untracked: OneProcess, kind: str) -> None:
    sent = orders(3)
    untracked.xero.faults.add({"kind": kind, "times": 3, "retry_after": 50, **PUT_INVOICES})
    untracked.send(*sent)
    untracked.run()
    all_posted(untracked, sent)
    invoices_are(untracked, sent)


def test_a_day_limit_of_hours_is_waited_for_and_says_so(untracked: OneProcess) -> None:
    sent = orders(2)
    untracked.xero.faults.add({"kind": "rate_limit_day", "retry_after": 36_000, **PUT_INVOICES})
    untracked.send(*sent)
    untracked.run(timedelta(hours=9), until_quiet=False)
    entry = untracked.entry(sent[0])
    assert entry.state is State.QUEUED
    pause = untracked.lanes.paused(entry.lane, UNTRACKED)
    assert pause is not None
    assert pause[0] == "day_limit"
    calls = len(untracked.calls())
    untracked.run(timedelta(hours=1, minutes=2), until_quiet=False)
    all_posted(untracked, sent)
    # the contact is looked up anew after so long, by two reads
    assert len(untracked.calls()) <= calls + 3


def test_access_taken_away_makes_orders_wait_and_tells_the_bus_once(untracked: OneProcess) -> None:
    sent = orders(60)
    untracked.send(*sent[:1])
    untracked.run()
    untracked.xero.connections.drop()
    untracked.send(*sent[1:])
    before = len(untracked.calls())
    untracked.run()
    assert {untracked.entry(order).state for order in sent[1:]} == {State.WAITING}
    assert {untracked.entry(order).reason for order in sent[1:]} == {"reconnect"}
    assert len(untracked.bus.of("ConnectionLost")) == 1
    assert len(untracked.calls()) - before <= 5


def test_a_token_refused_as_expired_is_renewed_and_nothing_is_lost(untracked: OneProcess) -> None:
    sent = orders(2)
    untracked.xero.faults.add({"kind": "token_expired", **PUT_INVOICES})
    untracked.send(*sent)
    untracked.run()
    all_posted(untracked, sent)
    assert set(untracked.renewals) == {UNTRACKED}


def test_an_outage_of_four_hours_is_not_hammered_and_ends_by_itself(untracked: OneProcess) -> None:
    sent = orders(30)
    fault = untracked.xero.faults.add({"kind": "maintenance", "times": None})
    untracked.send(*sent)
    untracked.run(timedelta(hours=4), until_quiet=False)
    assert len(untracked.calls()) <= 2 * 4 * 60
    untracked.xero.faults.remove(fault.id)
    untracked.run()
    all_posted(untracked, sent)
    invoices_are(untracked, sent)


# --- whose document it is


def test_a_number_somebody_else_used_is_a_problem_and_stays_untouched(untracked: OneProcess) -> None:
    sent = orders(2)
    theirs = {**sent[0], "ref": "FFFF000011112222"}
    other = untracked.organisation("Demo Company (UK)")
    untracked.company("500500", other, number_prefix="KX-")
    untracked.send({**theirs, "company_ref_id": 500500})
    untracked.run()
    before = untracked.committed("invoice")
    untracked.send(*sent)
    untracked.run()
    problem = untracked.entry(sent[0]).problem
    assert problem is not None
    assert problem.code == "number_taken"
    all_posted(untracked, sent[1:])
    assert untracked.committed("invoice")[:1] == before
    assert not untracked.calls("POST")


def test_both_companies_of_an_order_in_one_organisation_book_it_once(untracked: OneProcess) -> None:
    organisation = untracked.organisation("Demo Company (UK)")
    untracked.company("500500", organisation, number_prefix="B-")
    (order,) = orders(1)
    order["secondary_company_ref_id"] = "500500"
    untracked.send(order)
    untracked.run()
    invoices_are(untracked, [order], prefix="B-")
    skipped = untracked.entry(order)
    assert (skipped.state, skipped.reason, skipped.through) == (State.SKIPPED, "already_in_books", "500500")


def test_a_lane_with_more_due_orders_than_one_read_shows_posts_them_all(untracked: OneProcess) -> None:
    sent = orders(7)
    untracked.send(*sent)
    with patch.object(turn, "LOOKED_AT", 3):
        untracked.run()
    all_posted(untracked, sent)
    # to ask for the orders behind those takes a right of its own
    assert Use("order_posting", "dynamodb:Query", "ConnectionsTable", "app#") in grants.noted


def test_switched_off_means_nothing_is_sent_any_more(untracked: OneProcess) -> None:
    sent = orders(2)
    untracked.send(*sent)
    untracked.save_settings(UNTRACKED, enabled=False)
    untracked.run()
    assert {untracked.entry(order).reason for order in sent} == {"integration_off"}
    assert not untracked.committed("invoice")


def test_an_order_of_a_company_not_yet_connected_waits(books: OneProcess) -> None:
    books.save_settings(UNTRACKED, contact_name="x")
    (order,) = orders(1)
    books.send(order)
    books.run()
    assert (books.entry(order).state, books.entry(order).reason) == (State.WAITING, "not_connected")


def test_a_lost_wake_up_is_made_good_by_the_sweep(untracked: OneProcess) -> None:
    sent = orders(3)
    untracked.queue.lose = lambda: True
    untracked.send(*sent)
    untracked.queue.lose = lambda: False
    untracked.run()
    all_posted(untracked, sent)


def test_what_stops_the_invoice_stops_the_order_before_its_purchase_order_is_sent(
    tracked: OneProcess,
) -> None:
    (order,) = orders(1, TRACKED)
    for name in ("unit_sale_price", "unit_sale_price_inc_tax"):
        del order["items"][0][name]
    tracked.send(order)
    tracked.run()
    problem = tracked.entry(order, TRACKED).problem
    assert problem is not None
    assert problem.code == "missing_price"
    assert not tracked.committed("purchase_order")


@pytest.mark.parametrize("later", [0, 301])
def test_an_item_refused_for_its_account_names_the_setting_at_fault(
    tracked: OneProcess, later: float
) -> None:
    make = Maker()
    first, second = make.order(TRACKED, 1), make.order(TRACKED, 2)
    second["items"][0]["sku"] = "NEW-SKU"
    tracked.send(first)
    tracked.run()
    tracked.save_settings(TRACKED, sales_account_code="260")
    organisation = tracked.organisation("Demo Company (AU)")
    account = next(one for one in organisation.accounts if one.code == "260")
    tracked.send(make.order(TRACKED, 3, sku="OTHER"))
    tracked.run()
    account.status = "ARCHIVED"
    tracked.clock.advance(later)
    tracked.send(second)
    tracked.run()
    problem = tracked.entry(second, TRACKED).problem
    assert problem is not None
    assert "account 260 (“Sales account”)" in problem.sentence


def test_a_person_says_whose_document_it_is_by_writing_the_orders_reference_on_it(
    untracked: OneProcess,
) -> None:
    (order,) = orders(1)
    organisation = untracked.organisation("Demo Company (UK)")
    untracked.company("500500", organisation, number_prefix="KX-")
    untracked.send({**order, "company_ref_id": 500500, "ref": "FFFF000011112222"})
    untracked.run()
    untracked.send(order)
    untracked.run()
    stopped = untracked.entry(order)
    assert stopped.problem is not None
    assert order["ref"] in stopped.problem.fix
    document = next(iter(organisation.documents.values()))
    document.reference = f"{document.reference} {order['ref']}"
    books = untracked.books("412077")
    freed = ledger.retry(stopped, books, "Ada", untracked.clock.now())
    assert freed is not None
    untracked.orders.save(freed)
    untracked.ring(freed)
    untracked.run()
    (entry,) = all_posted(untracked, [order])
    assert entry.documents["invoice"].adopted
    assert len(untracked.committed("invoice")) == 1


@pytest.mark.parametrize("kind", ["invoice", "purchase_order"])
def test_a_document_deleted_before_we_learnt_of_it_is_not_taken_for_posted(
    tracked: OneProcess, kind: str
) -> None:
    (order,) = orders(1, TRACKED)
    put = PUT_INVOICES if kind == "invoice" else PUT_PURCHASE_ORDERS
    tracked.xero.faults.add({"kind": "error_after_commit", **put})
    tracked.send(order)
    while not tracked.committed(kind):
        tracked.run(timedelta(seconds=1), until_quiet=False)
    organisation = tracked.organisation("Demo Company (AU)")
    [document] = [
        one for one in organisation.documents.values() if one.id == tracked.committed(kind)[0]["id"]
    ]
    document.status = "DELETED"
    tracked.run()
    stopped = tracked.entry(order, TRACKED)
    assert stopped.problem is not None
    assert stopped.problem.code == "number_spent"
    assert kind not in stopped.documents
    assert len(tracked.committed(kind)) == 1


def test_a_dead_document_is_not_adopted_though_a_person_wrote_the_orders_reference_on_it(
    untracked: OneProcess,
) -> None:
    (order,) = orders(1)
    organisation = untracked.organisation("Demo Company (UK)")
    untracked.company("500500", organisation, number_prefix="KX-")
    untracked.send({**order, "company_ref_id": 500500, "ref": "FFFF000011112222"})
    untracked.run()
    document = next(iter(organisation.documents.values()))
    document.reference, document.status = f"{document.reference} {order['ref']}", "DELETED"
    untracked.send(order)
    untracked.run()
    problem = untracked.entry(order).problem
    assert problem is not None
    assert problem.code == "number_spent"


def test_a_number_that_a_call_refused_as_a_whole_calls_taken_is_looked_up(untracked: OneProcess) -> None:
    sent = orders(3)
    adapter: Any = untracked.posting.xero.session.get_adapter(XERO)
    through, first = adapter.send, [True]

    def send(request: Any, *about: Any, **more: Any) -> Any:
        answer = through(request, *about, **more)
        if request.method != "PUT" or not (first and first.pop()):
            return answer
        taken = {"ValidationErrors": [{"Message": "Invoice # must be unique."}]}
        elements = [one | taken for one in json.loads(request.body)["Invoices"][:2]]
        body = io.BytesIO(json.dumps({"ErrorNumber": 10, "Elements": elements}).encode())
        return adapter.build_response(request, HTTPResponse(body=body, status=400, preload_content=False))

    adapter.send = send
    untracked.send(*sent)
    untracked.run()
    all_posted(untracked, sent)
    invoices_are(untracked, sent)


# --- what storms have found


def test_a_stopped_order_is_told_of_though_the_process_ends_before_it_tells(
    untracked: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    (order,) = orders(1, currency_code="CHF")
    untracked.send(order)
    put, ends = untracked.bus.put_events, [True]

    def die_once(Entries: Any) -> Any:  # noqa: N803
        if ends and ends.pop():
            raise Killed
        return put(Entries)

    monkeypatch.setattr(untracked.bus, "put_events", die_once)
    untracked.run()
    assert untracked.entry(order).state is State.NEEDS_ATTENTION
    assert untracked.entry(order).due_at is None
    assert len(untracked.bus.of("OrderNeedsAttention")) == 1


def test_an_order_due_again_after_its_purchase_order_does_not_wait_for_an_index(
    tracked: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = orders(2, TRACKED)
    monkeypatch.setattr(tracked.orders, "due", lambda *_: ([], None))
    tracked.send(*sent)
    tracked.run()
    all_posted(tracked, sent, TRACKED)


def test_an_order_that_an_index_hid_is_looked_for_again_though_its_wake_up_was_lost(
    untracked: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    due, sent_at = untracked.orders.due, untracked.clock.now()

    def lagging(lane: str, now: datetime, limit: int) -> tuple[list[str], datetime | None]:
        return due(lane, now, limit) if now - sent_at > timedelta(seconds=70) else ([], None)

    monkeypatch.setattr(untracked.orders, "due", lagging)
    untracked.queue.lose = lambda: True
    sent = orders(1)
    untracked.send(*sent)
    untracked.queue.lose = lambda: False
    untracked.run()
    all_posted(untracked, sent)


def test_a_lost_connection_is_told_of_though_the_process_ends_once_it_is_marked(
    untracked: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = orders(1)
    untracked.send(*sent)
    untracked.xero.connections.drop()
    lose, ends = untracked.connections.lose_connection, [True]

    def die_once(*about: Any) -> bool:
        lost = lose(*about)
        if ends and ends.pop():
            raise Killed
        return lost

    monkeypatch.setattr(untracked.connections, "lose_connection", die_once)
    untracked.run()
    assert untracked.entry(sent[0]).reason == "reconnect"
    assert untracked.bus.of("ConnectionLost")


def test_a_bell_is_heard_though_the_library_repeats_the_write_that_hears_it() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    store = DynamoDB(lambda: now, table_properties())
    lanes = Lanes(store, "ConnectionsTable")
    lane = lanes.take("app#organisation", now, timedelta(seconds=90))
    assert lane is not None
    lanes.ring(lane.key, now)
    store.repeats = lambda: True
    assert lanes.keep(lane, now, timedelta(seconds=90), [])
    assert not lanes.keep(lane, now, timedelta(seconds=90), [])


def test_a_write_waits_for_a_transaction_that_has_a_hand_on_its_row(untracked: OneProcess) -> None:
    table = untracked.lanes._table
    update, in_the_way = table.update_item, [True, True]

    def update_item(**request: Any) -> Any:
        if in_the_way:
            in_the_way.pop()
            raise refused("UpdateItem", "TransactionConflictException")
        return update(**request)

    table.update_item = update_item
    assert untracked.lanes.ring("app#organisation", untracked.clock.now()) is not None
    assert not in_the_way


def test_orders_as_long_as_may_be_go_out_in_batches_a_transaction_can_hold(untracked: OneProcess) -> None:
    make = Maker()
    sent = [make.order(UNTRACKED, place, 500) for place in range(45)]
    untracked.send(*sent)
    untracked.run()
    all_posted(untracked, sent)
    assert len(untracked.calls("PUT")) == 2

"""One bad thing never holds up another: an exception that nobody foresaw stops the order or company at hand alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from bookkeeping.adapters import containment
from bookkeeping.adapters.containment import contained, is_ours, noted
from bookkeeping.adapters.tables import orders as orders_table
from bookkeeping.adapters.tables.books import books_of
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.adapters.tables.releases import Release
from bookkeeping.adapters.xero_api import Xero
from bookkeeping.domain import ledger
from bookkeeping.domain.documents import sales_invoice
from bookkeeping.domain.errors import Conflict, MessageFailed, StillBeingSent, StoreUnavailable
from bookkeeping.domain.events import events
from bookkeeping.domain.ledger import Entry, State
from bookkeeping.domain.order_message import identify
from bookkeeping.domain.organisation import TaxRate
from bookkeeping.use_cases import intake, release
from bookkeeping.use_cases.page.orders import View, can_retry
from bookkeeping.use_cases.posting import company_turn, publishing, settlement, turn
from bookkeeping.use_cases.posting.items import TrackedItems
from bookkeeping.use_cases.release import save
from bookkeeping.use_cases.xero_facts import XeroFacts
from local.samples import TRACKED, UNTRACKED, Maker
from tests.integration.one_process import Killed, OneProcess, in_memory, raw, spoil
from tests.integration.popup import Browser, Popup
from tests.our_faults import Fault

OTHER = "412099"
IN_TIME = timedelta(minutes=5)
SENT_AT = 1795425600000
CHOKED_ON = "a consumer's own words"


class Unforeseen(Exception):
    """What nobody foresaw. Its text must be seen nowhere."""


@pytest.fixture
def world() -> Iterator[OneProcess]:
    with mock_aws():
        yield OneProcess(tables=in_memory)


@pytest.fixture
def books(world: OneProcess) -> OneProcess:
    world.company(UNTRACKED)
    return world


def orders(count: int, company: str = UNTRACKED, **changes: Any) -> list[dict[str, Any]]:
    make = Maker()
    return [make.order(company, place, 1 + place % 3, **changes) for place in range(count)]


def poisoned(
    function: Callable[..., Any], bad: dict[str, Any], times: int | None = None
) -> Callable[..., Any]:
    """The function, failing for that order: always, or so many times."""
    left = [times]

    def call(*given: Any, **more: Any) -> Any:
        about = [*given, *more.values()]
        ids = {str(getattr(one, name, "")) for one in about for name in ("id", "order_id")}
        if str(bad["id"]) in ids and left[0] != 0:
            left[0] = None if left[0] is None else left[0] - 1
            raise Unforeseen(CHOKED_ON)
        return function(*given, **more)

    return call


def failing(function: Callable[..., Any], times: int | None = None) -> Callable[..., Any]:
    left = [times]

    def call(*given: Any, **more: Any) -> Any:
        if left[0] == 0:
            return function(*given, **more)
        left[0] = None if left[0] is None else left[0] - 1
        raise Unforeseen(CHOKED_ON)

    return call


def provoked(our_faults: list[Fault]) -> list[Fault]:
    """The faults until now, which the test has provoked."""
    found = list(our_faults)
    assert found
    our_faults.clear()
    return found


def states(books: OneProcess, sent: Sequence[dict[str, Any]], company: str = UNTRACKED) -> list[str]:
    return [f"{entry.state} {entry.why}".strip() for entry in (books.entry(one, company) for one in sent)]


def retry(books: OneProcess, order: dict[str, Any], company: str = UNTRACKED) -> None:
    """A person presses Retry, and the order is posted."""
    entry = books.entry(order, company)
    assert can_retry(entry)
    freed = save(books.release_adapters, "Ann", entry, books.books(company))
    assert freed is not None
    release.publish(books.release_adapters, [freed])
    books.run()
    assert states(books, [order], company) == ["posted"]


def numbers(books: OneProcess, kind: str = "invoice") -> list[str]:
    return sorted(done["number"] for done in books.committed(kind))


# --- the mechanism


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (KeyError("x"), True),
        (Conflict(), False),
        (StillBeingSent(), False),
        (StoreUnavailable("PutSecretValue", "Throttled"), False),
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "PutItem"), False),
        (ClientError({"Error": {"Code": "ValidationException"}}, "PutItem"), True),
        (
            ClientError(
                {
                    "Error": {"Code": "TransactionCanceledException"},
                    "CancellationReasons": [{"Code": "None"}, {"Code": "ValidationError"}],
                },
                "TransactWriteItems",
            ),
            True,
        ),
    ],
    ids=repr,
)
def test_what_means_wait_is_not_contained_and_what_aws_never_takes_is(
    error: Exception, ours: bool, our_faults: list[Fault]
) -> None:
    assert is_ours(error) == ours
    assert noted(error) != ""
    assert bool(our_faults) == ours
    our_faults.clear()
    if not ours:
        with pytest.raises(type(error)), contained("1"):
            raise error


def test_a_fault_is_logged_by_its_kind_and_lines_and_counted_without_a_value_of_it(
    our_faults: list[Fault], capsys: pytest.CaptureFixture[str]
) -> None:
    references = list[str]()
    logged: list[dict[str, Any]] = []
    with patch.object(containment, "Logger") as logger:
        logger.return_value.error.side_effect = lambda words, **about: logged.append(about)
        for _ in range(2):
            with contained("412077", "7", references.append):
                raise Unforeseen(CHOKED_ON)
    provoked(our_faults)
    first, second = logged
    assert first == second
    assert (first["kind"], first["company"], first["order_id"]) == ("Unforeseen", "412077", "7")
    assert any("test_a_fault_is_logged" in frame for frame in first["frames"])
    assert references == [first["reference"]] * 2
    assert CHOKED_ON not in json.dumps(logged, ensure_ascii=False)
    counted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [line["OurFaults"] for line in counted] == [[1.0]] * 2
    assert {line["service"] for line in counted} == {"tests"}


# --- intake


def test_a_message_that_fails_for_one_company_reaches_the_other(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    books.company(OTHER, books.organisation("Marlow Print Works Ltd"), number_prefix="M-")
    [order] = orders(1, secondary_company_ref_id=OTHER)
    spoil(books, "SettingsTable", {"company": UNTRACKED, "version": "current"}, settings="{")
    with pytest.raises(MessageFailed):
        books.send(order, sent_at=SENT_AT)
    provoked(our_faults)
    assert states(books, [order], OTHER) == ["queued"]
    assert books.orders.get(UNTRACKED, str(order["id"])) is None
    # its last receive
    kept = intake.Intake(
        intake.IntakeAdapters(books.orders, books.settings, books.connections, books.clock.now)
    )
    kept.keep_our_fault(json.dumps(order), SENT_AT, "message-1")
    provoked(our_faults)
    assert states(books, [order], UNTRACKED) == ["needs_attention our_fault"]
    assert states(books, [order], OTHER) == ["queued"]
    # again, as the dead-letter reader does
    kept.keep_our_fault(json.dumps(order), SENT_AT, "message-1")
    provoked(our_faults)
    assert states(books, [order], UNTRACKED) == ["needs_attention our_fault"]


def test_a_row_that_can_not_be_read_shows_it_when_a_message_of_it_was_given_up(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    [order] = orders(1)
    books.send(order)
    key = {"key": order_key(UNTRACKED, str(order["id"]))}
    spoil(books, "OrdersTable", key, received_at="yesterday")
    kept = intake.Intake(
        intake.IntakeAdapters(books.orders, books.settings, books.connections, books.clock.now)
    )
    kept.keep_our_fault(json.dumps(order | {"currency_code": "EUR"}), SENT_AT, "message-1")
    provoked(our_faults)
    spoil(books, "OrdersTable", key, received_at="2026-11-23T09:00:00+00:00")
    assert states(books, [order]) == ["needs_attention our_fault"]


def test_a_message_that_can_not_even_be_told_apart_is_kept_under_its_own_id(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    kept = intake.Intake(
        intake.IntakeAdapters(books.orders, books.settings, books.connections, books.clock.now)
    )
    with patch("bookkeeping.use_cases.intake.identify", failing(identify)):
        kept.keep_our_fault(json.dumps(orders(1)[0]), SENT_AT, "message-1")
    provoked(our_faults)
    found = books.orders.get(intake.NO_COMPANY, "message-1")
    assert found is not None
    assert found.why == "our_fault"


def test_an_order_whose_event_can_not_be_told_is_rung_for_all_the_same(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    [order] = orders(1)
    with patch("bookkeeping.use_cases.intake.events", failing(events)):
        batch = intake.Intake(
            intake.IntakeAdapters(books.orders, books.settings, books.connections, books.clock.now)
        )
        with pytest.raises(MessageFailed):
            batch.accept(json.dumps(order), SENT_AT, "message-1")
    provoked(our_faults)
    assert batch.rung


# --- the way to a document


def test_an_order_that_no_document_can_be_made_of_stops_alone_and_retry_frees_it(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = orders(5)
    with patch("bookkeeping.use_cases.posting.company_turn.sales_invoice", poisoned(sales_invoice, sent[2])):
        books.send(*sent)
        books.run(IN_TIME)
    [fault] = provoked(our_faults)
    assert (fault.company, fault.order_id) == (UNTRACKED, str(sent[2]["id"]))
    assert states(books, sent) == ["posted", "posted", "needs_attention our_fault", "posted", "posted"]
    [told] = books.bus.of("OrderNeedsAttention")
    assert (told["problem"], told["order_id"]) == ("our_fault", str(sent[2]["id"]))
    assert CHOKED_ON not in json.dumps(told)
    retry(books, sent[2])
    assert len(set(numbers(books))) == len(numbers(books)) == 5


def test_an_order_whose_settings_are_gone_stops_alone(books: OneProcess, our_faults: list[Fault]) -> None:
    first, second = orders(2)
    books.send(first)
    books.save_settings(UNTRACKED, payment_terms_days=14)
    books.send(second)
    books.settings._table.delete_item(Key={"company": UNTRACKED, "version": "v00000001"})
    books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, [first, second]) == ["needs_attention our_fault", "posted"]


@pytest.mark.parametrize("where", ["tracked_items", "misfit", "recall"])
def test_an_order_whose_items_we_fail_on_stops_alone(
    world: OneProcess, our_faults: list[Fault], where: str
) -> None:
    world.company(TRACKED, world.organisation("Demo Company (AU)"), process_method="tracked")
    sent = orders(3, TRACKED)
    for place, order in enumerate(sent):
        order["items"] = order["items"][:1]
        order["items"][0]["sku"] = f"SKU-{place}"

    def bad_code(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(found: Any, codes: Any, **more: Any) -> Any:
            if "SKU-1" in codes:
                raise Unforeseen(CHOKED_ON)
            return function(found, codes, **more)

        return call

    owner: Any = company_turn if where == "tracked_items" else TrackedItems
    real = getattr(owner, where)
    weakened = poisoned(real, sent[1]) if where == "tracked_items" else bad_code(real)
    with patch.object(owner, where, weakened):
        world.send(*sent)
        world.run(IN_TIME)
    provoked(our_faults)
    assert states(world, sent, TRACKED) == ["posted", "needs_attention our_fault", "posted"]
    retry(world, sent[1], TRACKED)


def test_a_row_that_can_not_be_read_holds_no_other_up_and_shows_the_fault(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = orders(3)
    books.send(*sent)
    key = {"key": order_key(UNTRACKED, str(sent[1]["id"]))}
    spoil(books, "OrdersTable", key, received_at="yesterday")
    books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, [sent[0], sent[2]]) == ["posted", "posted"]
    row = raw(books, "OrdersTable", key)
    assert (row["state"], row["problem"]["code"]) == ("needs_attention", "our_fault")
    # mended, it can be read
    spoil(books, "OrdersTable", key, received_at="2026-11-23T09:00:00+00:00")
    retry(books, sent[1])


def test_a_fault_of_a_company_is_tried_again_and_then_shown_while_another_in_its_lane_posts(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    organisation = books.organisation("Demo Company (UK)")
    books.company(OTHER, organisation, number_prefix="M-")
    known = books.connections.connection(OTHER)
    assert known is not None
    mine, others = orders(2), orders(2)
    for order in others:
        order["company_ref_id"] = int(OTHER)
        order["id"] += 100
    real = XeroFacts.organisation

    def facts(found: Any, kept: timedelta) -> Any:
        if held.get("company") == UNTRACKED:
            raise Unforeseen(CHOKED_ON)
        return real(found, kept)

    held: dict[str, str] = {}
    of = company_turn.CompanyTurn.of.__func__  # type: ignore[attr-defined]

    def turn_of(cls: Any, its: Any, *about: Any) -> Any:
        held["company"] = its.company
        return of(cls, its, *about)

    with (
        patch.object(XeroFacts, "organisation", facts),
        patch.object(company_turn.CompanyTurn, "of", classmethod(turn_of)),
    ):
        books.send(*mine, *others)
        books.run(IN_TIME)
    assert len(provoked(our_faults)) >= 2
    assert states(books, others, OTHER) == ["posted", "posted"]
    assert states(books, mine) == ["needs_attention our_fault"] * 2
    for order in mine:
        retry(books, order)


def test_a_fault_of_a_company_that_passes_stops_no_order(books: OneProcess, our_faults: list[Fault]) -> None:
    sent = orders(3)
    once = failing(XeroFacts.organisation, times=1)
    with patch.object(XeroFacts, "organisation", once):
        books.send(*sent)
        books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent) == ["posted"] * 3


def test_an_order_that_can_not_be_moved_holds_no_other_up(books: OneProcess, our_faults: list[Fault]) -> None:
    sent = orders(3)
    books.send(*sent)
    books.save_settings(UNTRACKED, enabled=False)
    with patch.object(ledger, "decide", poisoned(ledger.decide, sent[1])):
        books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent) == [
        "skipped integration_off",
        "needs_attention our_fault",
        "skipped integration_off",
    ]


def test_an_order_that_can_not_be_written_down_goes_alone_and_stops_alone(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = orders(4)
    with patch.object(ledger, "begin", poisoned(ledger.begin, sent[3])):
        books.send(*sent)
        books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent) == ["posted", "posted", "posted", "needs_attention our_fault"]
    retry(books, sent[3])
    assert len(numbers(books)) == 4


def test_a_row_too_long_for_the_table_stops_its_own_order(books: OneProcess, our_faults: list[Fault]) -> None:
    sent = orders(3)
    real = orders_table.entry_to_item

    def long(entry: Entry) -> Any:
        item = real(entry)
        return item | ({"x": "x" * 500_000} if entry.batch and entry.order_id == str(sent[0]["id"]) else {})

    with patch.object(orders_table, "entry_to_item", long):
        books.send(*sent)
        books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent) == ["needs_attention our_fault", "posted", "posted"]


def test_where_even_the_stop_fails_the_row_shows_the_fault(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = orders(2)
    with (
        patch("bookkeeping.use_cases.posting.company_turn.sales_invoice", poisoned(sales_invoice, sent[0])),
        patch.object(ledger, "stop_for_our_fault", failing(ledger.stop_for_our_fault)),
    ):
        books.send(*sent)
        books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent) == ["needs_attention our_fault", "posted"]
    retry(books, sent[0])


def test_an_event_that_can_not_be_made_holds_up_neither_orders_nor_other_events(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = orders(3)
    with patch("bookkeeping.use_cases.posting.publishing.events", poisoned(events, sent[1])):
        books.send(*sent)
        books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent) == ["posted"] * 3
    told = [event["order_id"] for event in books.bus.of("OrderPosted")]
    assert told == [str(sent[0]["id"]), str(sent[2]["id"])]


def test_an_order_at_rest_that_can_not_be_told_of_holds_no_other_up(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = orders(2)
    sent[0]["currency_code"] = "CHF"
    real = publishing.Publisher.publish_and_remove

    def remove(publisher: Any, entry: Entry) -> None:
        if entry.order_id == str(sent[0]["id"]):
            raise Unforeseen(CHOKED_ON)
        real(publisher, entry)

    with patch.object(publishing.Publisher, "publish_and_remove", remove):
        books.send(*sent)
        books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent)[1] == "posted"
    assert states(books, sent)[0].startswith("needs_attention")


def test_a_fault_of_a_turn_lets_the_lane_go_and_the_next_turn_goes_on(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = orders(2)
    once = failing(turn.Turn._work, times=1)
    with patch.object(turn.Turn, "_work", once):
        books.send(*sent)
        books.run(timedelta(minutes=2))
    provoked(our_faults)
    assert states(books, sent) == ["posted"] * 2


# --- what Xero answers


def test_an_answer_that_can_not_be_read_is_looked_up_by_number(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = orders(3)
    once = failing(Xero.create, times=1)

    def create(xero: Xero, *about: Any) -> Any:
        real_create(xero, *about)
        return once(xero, *about)

    real_create = Xero.create
    with patch.object(Xero, "create", create):
        books.send(*sent)
        books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent) == ["posted"] * 3
    assert len(numbers(books)) == len(set(numbers(books))) == 3
    assert books.calls("GET", "Invoices")
    assert all(entry.documents["invoice"].adopted for entry in (books.entry(one) for one in sent))


def test_an_outcome_that_we_fail_on_once_is_found_by_number(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = orders(3)
    weakened = poisoned(ledger.settle_posted, sent[1], times=1)
    with patch.object(ledger, "settle_posted", weakened):
        books.send(*sent)
        books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent) == ["posted"] * 3
    assert len(numbers(books)) == 3
    assert not list(books.lanes.batches(books.entry(sent[0]).lane))


def test_an_outcome_that_we_always_fail_on_shows_on_its_order_which_stays_in_its_batch(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = orders(3)
    weakened = poisoned(ledger.settle_posted, sent[1])
    with patch.object(ledger, "settle_posted", weakened):
        books.send(*sent)
        books.run(IN_TIME)
        provoked(our_faults)
        assert states(books, sent) == ["posted", "needs_attention our_fault", "posted"]
        entry = books.entry(sent[1])
        assert entry.batch
        assert [batch.id for batch in books.lanes.batches(entry.lane)] == [entry.batch]
        [told] = books.bus.of("OrderNeedsAttention")
        assert told["order_id"] == str(sent[1]["id"])
        # looked up again and again; it is told once
        books.run(timedelta(minutes=20), until_quiet=False)
        provoked(our_faults)
        assert len(books.bus.of("OrderNeedsAttention")) == 1
    retry(books, sent[1])
    assert len(numbers(books)) == 3
    assert not books.entry(sent[1]).batch
    assert not list(books.lanes.batches(entry.lane))


def test_once_mended_such_an_order_is_posted_without_a_person(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = orders(2)
    with patch.object(ledger, "settle_posted", poisoned(ledger.settle_posted, sent[1])):
        books.send(*sent)
        books.run(IN_TIME)
    provoked(our_faults)
    books.run(timedelta(minutes=10), until_quiet=False)
    assert states(books, sent) == ["posted", "posted"]


def test_an_outcome_that_can_not_be_written_holds_up_none_of_its_batch(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = orders(3)
    real = orders_table.entry_to_item

    def unwritable(entry: Entry) -> Any:
        if entry.documents and entry.order_id == str(sent[2]["id"]):
            raise Unforeseen(CHOKED_ON)
        return real(entry)

    with patch.object(orders_table, "entry_to_item", unwritable):
        books.send(*sent)
        books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent) == ["posted", "posted", "needs_attention our_fault"]
    retry(books, sent[2])
    assert len(numbers(books)) == 3


def killed_with_a_batch(books: OneProcess) -> None:
    """The process dies once the batch is written down, before it is sent."""
    with patch.object(settlement.Settlement, "send", side_effect=Killed):
        books.run(timedelta(seconds=5), until_quiet=False)


def test_a_row_of_a_batch_that_can_not_be_read_keeps_its_batch(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = orders(3)
    books.send(*sent)
    key = {"key": order_key(UNTRACKED, str(sent[1]["id"]))}
    killed_with_a_batch(books)
    batch = books.entry(sent[1]).batch
    assert batch
    spoil(books, "OrdersTable", key, received_at="yesterday")
    books.run(IN_TIME, until_quiet=False)
    provoked(our_faults)
    assert states(books, [sent[0], sent[2]]) == ["posted", "posted"]
    row = raw(books, "OrdersTable", key)
    assert (row["state"], row["problem"]["code"], row["batch"]) == ("needs_attention", "our_fault", batch)
    spoil(books, "OrdersTable", key, received_at="2026-11-23T09:00:00+00:00")
    books.run(timedelta(minutes=10), until_quiet=False)
    our_faults.clear()
    assert states(books, sent) == ["posted"] * 3
    assert len(numbers(books)) == 3


@pytest.mark.parametrize("always", [False, True])
def test_a_batch_that_can_not_be_settled_is_tried_again_and_then_shows(
    books: OneProcess, our_faults: list[Fault], always: bool
) -> None:
    sent = orders(2)
    books.xero.faults.add(
        {"kind": "reply_lost", "method": "PUT", "path_prefix": "/api.xro/2.0/Invoices", "times": 1}
    )
    weakened = failing(settlement.Settlement._rebuilt, times=None if always else 1)
    with patch.object(settlement.Settlement, "_rebuilt", weakened):
        books.send(*sent)
        books.run(IN_TIME, until_quiet=False)
    provoked(our_faults)
    assert states(books, sent) == (["needs_attention our_fault"] * 2 if always else ["posted"] * 2)
    books.run(timedelta(minutes=10), until_quiet=False)
    assert states(books, sent) == ["posted"] * 2
    assert len(numbers(books)) == 2


@pytest.mark.parametrize("where", ["carries_ref", "item_code"])
def test_an_order_whose_document_we_fail_to_know_again_holds_no_other_up(
    books: OneProcess, our_faults: list[Fault], where: str
) -> None:
    sent = orders(3)
    books.xero.faults.add(
        {"kind": "error_after_commit", "method": "PUT", "path_prefix": "/api.xro/2.0/Invoices", "times": 1}
    )
    bad_sku = sent[1]["items"][0]["sku"] = "BAD-SKU"
    real = getattr(settlement, where)

    def weakened(*about: Any) -> Any:
        if bad_sku in about or str(sent[1]["id"]) in {getattr(one, "id", "") for one in about}:
            raise Unforeseen(CHOKED_ON)
        return real(*about)

    with patch.object(settlement, where, weakened):
        books.send(*sent)
        books.run(IN_TIME, until_quiet=False)
    provoked(our_faults)
    ends = states(books, sent)
    assert (ends[0], ends[2]) == ("posted", "posted")
    assert ends[1] in ("posted", "needs_attention our_fault")
    books.run(timedelta(minutes=10), until_quiet=False)
    assert states(books, sent) == ["posted"] * 3
    assert len(numbers(books)) == 3


def test_a_batch_record_that_can_not_be_read_holds_up_no_other(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    first, second = orders(2)
    books.send(first)
    killed_with_a_batch(books)
    entry = books.entry(first)
    key = {"pk": f"lane#{entry.lane}", "sk": f"batch#{entry.batch}"}
    spoil(books, "ConnectionsTable", key, first_sent_at="yesterday")
    books.send(second)
    books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, [first, second]) == ["posting", "posted"]


def test_a_lane_that_can_not_be_read_keeps_no_other_asleep(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    books.company(OTHER, books.organisation("Marlow Print Works Ltd"), number_prefix="M-")
    [mine], [other] = orders(1), orders(1, company_ref_id=int(OTHER))
    books.queue.lose = lambda: True
    books.send(mine, other)
    books.queue.lose = lambda: False
    lane = books.entry(mine).lane
    spoil(books, "ConnectionsTable", {"pk": f"lane#{lane}", "sk": "lane"}, lease_until="yesterday")
    assert list(books.lanes.to_wake(books.clock.now() + timedelta(seconds=10))) == [
        books.entry(other, OTHER).lane
    ]
    provoked(our_faults)


# --- what is freed


def freed_later(books: OneProcess) -> list[dict[str, Any]]:
    """Orders that wait for their company's connection."""
    sent = orders(3)
    connection = books.connections.connection(UNTRACKED)
    assert connection is not None
    books.connections.lose_connection(connection, "needs_reconnect", books.clock.now())
    books.send(*sent)
    assert states(books, sent) == ["waiting reconnect"] * 3
    books.connect(UNTRACKED, books.organisation("Demo Company (UK)"))
    lane = books.connections.connection(UNTRACKED).lane  # type: ignore[union-attr]
    books.clock.advance(1)
    books.releases.ask(release.once_connected(UNTRACKED, [lane], books.clock.now(), "r"))
    return sent


def test_an_order_that_can_not_be_freed_shows_it_and_the_others_are_freed(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = freed_later(books)
    with patch.object(ledger, "retry", poisoned(ledger.retry, sent[0])):
        books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent) == ["needs_attention our_fault", "posted", "posted"]
    assert [told["order_id"] for told in books.bus.of("OrderNeedsAttention")] == [str(sent[0]["id"])]
    retry(books, sent[0])


def test_a_row_that_can_not_be_read_is_not_freed_and_holds_no_other_up(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = freed_later(books)
    key = {"key": order_key(UNTRACKED, str(sent[0]["id"]))}
    spoil(books, "OrdersTable", key, received_at="yesterday")
    books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent[1:]) == ["posted", "posted"]
    row = raw(books, "OrdersTable", key)
    assert row["problem"]["code"] == "our_fault"


@pytest.mark.parametrize(("times", "ends"), [(1, "posted"), (None, "needs_attention our_fault")])
def test_orders_that_can_not_be_freed_at_all_are_tried_again_and_then_show_it(
    books: OneProcess, our_faults: list[Fault], times: int | None, ends: str
) -> None:
    sent = freed_later(books)
    weakened = failing(books_of, times)
    with patch("bookkeeping.use_cases.release.books_of", weakened):
        books.run(IN_TIME, until_quiet=False)
    provoked(our_faults)
    assert states(books, sent) == [ends] * 3


def test_a_release_that_fails_goes_on_later(books: OneProcess, our_faults: list[Fault]) -> None:
    sent = freed_later(books)
    once = failing(release._publish_first, times=1)
    with patch.object(release, "_publish_first", once):
        books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent) == ["posted"] * 3


def test_an_event_of_a_freed_order_that_can_not_be_made_holds_none_up(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    sent = freed_later(books)
    with patch("bookkeeping.use_cases.release.events", poisoned(events, sent[0])):
        books.run(IN_TIME)
    provoked(our_faults)
    assert states(books, sent) == ["posted"] * 3


def test_an_order_freed_by_a_person_is_posted_though_the_page_ends_before_it_rings(books: OneProcess) -> None:
    [order] = orders(1, currency_code="CHF")
    books.send(order)
    books.run()
    assert states(books, [order]) == ["needs_attention currency_not_enabled"]
    books.xero.change_organisation(books.organisation("Demo Company (UK)"), {"subscribe_currency": "CHF"})
    how = Release(UNTRACKED, "", books.clock.now(), books.clock.now(), by="Ann")
    save(books.release_adapters, "Ann", books.entry(order), books.books(UNTRACKED), how)
    books.run()
    assert states(books, [order]) == ["posted"]


# --- what is kept


def test_an_organisation_of_23_000_tax_rates_can_be_posted_to(books: OneProcess) -> None:
    organisation = books.organisation("Demo Company (UK)")
    real = Organisations.save
    asked: list[int] = []

    def many(table: Organisations, found: Any, read_at: Any) -> None:
        more = tuple(
            TaxRate(f"TAX{place:05}", f"County {place}", "ACTIVE", Decimal(20), False, False, False)
            for place in range(23_000)
        )
        asked.append(len(more))
        real(table, replace(found, tax_rates=(*found.tax_rates, *more)), read_at)

    sent = orders(2)
    with patch.object(Organisations, "save", many):
        books.send(*sent)
        books.run()
    assert asked
    assert states(books, sent) == ["posted"] * 2
    kept = books.organisations.get(organisation.id)
    assert kept is not None
    assert len(kept[0].tax_rates) > 23_000


def test_facts_that_do_not_fit_into_a_row_are_asked_for_anew(books: OneProcess) -> None:
    first, second = orders(2)
    with patch("bookkeeping.adapters.tables.organisations.MOST_FACTS", 10):
        books.send(first)
        books.run()
        books.send(second)
        books.run()
    assert states(books, [first, second]) == ["posted"] * 2
    assert books.organisations.get(books.organisation("Demo Company (UK)").id) is None


def test_facts_that_can_not_be_read_any_more_are_asked_for_anew(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    first, second = orders(2)
    books.send(first)
    books.run()
    id_ = books.organisation("Demo Company (UK)").id
    spoil(books, "ConnectionsTable", {"pk": f"organisation#{id_}", "sk": "facts"}, facts="{}")
    books.send(second)
    books.run()
    provoked(our_faults)
    assert states(books, [first, second]) == ["posted"] * 2


def test_900_messages_about_one_document_are_kept_in_part(books: OneProcess) -> None:
    [order] = orders(1)
    words = [f"{place}: " + "Ünbekannter Fehler " * 40 for place in range(900)]
    real: Callable[..., Any] = settlement.Settlement._settle_answer

    def settle(settling: Any, batch: Any, ready_batch: Any, answer: Any) -> None:
        refused = [replace(one, id="", messages=tuple(words)) for one in answer]
        real(settling, batch, ready_batch, refused)

    with patch.object(settlement.Settlement, "_settle_answer", settle):
        books.send(order)
        books.run(IN_TIME)
    entry = books.entry(order)
    assert entry.state is State.NEEDS_ATTENTION
    assert entry.problem is not None
    assert 1 <= len(entry.problem.xero_says) <= 20
    assert all(len(said.encode()) <= 600 for said in entry.problem.xero_says)


def test_a_version_of_the_settings_that_can_not_be_read_leaves_the_others_in_the_history(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    for days in (1, 2, 3):
        books.save_settings(UNTRACKED, payment_terms_days=days)
    spoil(books, "SettingsTable", {"company": UNTRACKED, "version": "v00000002"}, settings="{")
    assert [saved.number for saved in books.settings.latest(UNTRACKED, 10)] == [4, 3, 1]
    provoked(our_faults)


# --- what a person sees


@pytest.fixture
def office(popup: Popup) -> Browser:
    popup.world.company(UNTRACKED)
    return popup.browser()


def listed(office: Browser) -> dict[str, dict[str, Any]]:
    answer = office.get("orders")
    assert answer.status == 200
    return {order["id"]: order for order in answer.json["orders"]}


def test_a_row_that_can_not_be_read_is_named_and_does_not_empty_the_page(
    popup: Popup, office: Browser, our_faults: list[Fault]
) -> None:
    sent = orders(3)
    popup.world.send(*sent)
    key = {"key": order_key(UNTRACKED, str(sent[1]["id"]))}
    spoil(popup.world, "OrdersTable", key, received_at="yesterday")
    shown = listed(office)
    provoked(our_faults)
    assert shown.keys() == {str(order["id"]) for order in sent}
    named = shown[str(sent[1]["id"])]
    assert (named["state"], named["problem"]["code"], named["can_retry"]) == (
        "needs_attention",
        "our_fault",
        False,
    )
    assert shown[str(sent[0]["id"])]["words"] == "On its way to Xero."


def test_retry_all_frees_the_others_where_one_row_can_not_be_read(
    popup: Popup, office: Browser, our_faults: list[Fault]
) -> None:
    sent = orders(3)
    office.save(enabled=False)
    popup.world.send(*sent)
    key = {"key": order_key(UNTRACKED, str(sent[1]["id"]))}
    spoil(popup.world, "OrdersTable", key, received_at="yesterday")
    office.save(enabled=True)
    assert office.post("orders/retry", {"problem": "integration_off"}).json["retried"] == 2
    provoked(our_faults)
    assert states(popup.world, [sent[0], sent[2]]) == ["queued", "queued"]
    row = raw(popup.world, "OrdersTable", key)
    assert (row["state"], row["problem"]["code"]) == ("needs_attention", "our_fault")


def test_a_row_that_can_not_be_shown_is_named_and_does_not_empty_the_page(
    popup: Popup, office: Browser, our_faults: list[Fault]
) -> None:
    sent = orders(3)
    popup.world.send(*sent)
    real = View._words

    def words(view: View, entry: Entry) -> Any:
        if entry.order_id == str(sent[2]["id"]) and entry.state is State.QUEUED:
            raise Unforeseen(CHOKED_ON)
        return real(view, entry)

    with patch.object(View, "_words", words):
        shown = listed(office)
    [fault] = provoked(our_faults)
    assert fault.order_id == str(sent[2]["id"])
    assert [shown[str(order["id"])]["state"] for order in sent] == ["queued", "queued", "needs_attention"]


def test_a_request_that_we_fail_on_is_recorded_without_its_text(
    popup: Popup, office: Browser, our_faults: list[Fault], capsys: pytest.CaptureFixture[str]
) -> None:
    with patch("bookkeeping.use_cases.page.orders.View.order", failing(View.order)):
        popup.world.send(*orders(1))
        assert office.get("orders").error == "our_fault"
    provoked(our_faults)
    assert CHOKED_ON not in capsys.readouterr().out


def test_a_person_frees_an_order_in_its_batch_which_is_then_looked_up(
    popup: Popup, office: Browser, our_faults: list[Fault]
) -> None:
    world = popup.world
    [order] = orders(1)
    with patch.object(ledger, "settle_posted", failing(ledger.settle_posted)):
        world.send(order)
        world.run(IN_TIME)
    provoked(our_faults)
    entry = world.entry(order)
    assert (entry.why, bool(entry.batch)) == ("our_fault", True)
    shown = listed(office)[str(order["id"])]
    assert shown["can_retry"]
    answer = office.post(f"orders/{order['id']}/retry", {})
    assert (answer.status, answer.json["state"]) == (200, "posting")
    assert office.post(f"orders/{order['id']}/retry", {}).error == "nothing_to_retry"
    world.run(timedelta(minutes=10), until_quiet=False)
    assert states(world, [order]) == ["posted"]
    assert len(numbers(world)) == 1

"""Orders that were cancelled or changed after they were posted: their documents leave the books, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from moto import mock_aws

from bookkeeping.domain.corrections import Credited
from bookkeeping.domain.ledger import Entry, State
from bookkeeping.domain.page_access import Person
from bookkeeping.use_cases.page import corrections
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.order_list import Asked
from bookkeeping.use_cases.page.order_list import orders as shown
from local.samples import UNTRACKED, Maker
from local.xero.organisations import Document
from tests.integration.one_process import OneProcess, in_memory

CANCELLED = {"status": 128, "status_name": "Cancelled"}


@pytest.fixture
def books() -> Iterator[OneProcess]:
    with mock_aws():
        world = OneProcess(tables=in_memory)
        yield world


def posted(books: OneProcess, **changes: Any) -> dict[str, Any]:
    """An order that is in the books."""
    order = Maker().order(UNTRACKED, 0, 3, **changes)
    books.send(order)
    books.run()
    assert books.entry(order).state is State.POSTED
    return order


def page(books: OneProcess) -> PageAdapters:
    return PageAdapters(
        orders=books.orders,
        settings=books.settings,
        connections=books.connections,
        lanes=books.lanes,
        organisations=books.organisations,
        releases=books.releases,
        apps=None,  # type: ignore[arg-type]
        wake_ups=books.wake_ups,
        events=books.events,
        ask=None,  # type: ignore[arg-type]
        together=lambda calls: [call() for call in calls],
        web_url="",
        matches=books.matches,
        mails=None,  # type: ignore[arg-type]
        mail_from="",
        mail_waits=None,  # type: ignore[arg-type]
        now=books.clock.now,
        new_id=lambda: "id",
    )


def ask(books: OneProcess, order: dict[str, Any], asked: corrections.Asked, **how: Any) -> Entry:
    person = Person("7", "Ada", UNTRACKED, may_credit=True)
    entry = books.entry(order)
    return corrections.correct(page(books), person, entry, asked, version=entry.version, **how)


def in_xero(books: OneProcess, number: str) -> Document:
    found = [
        document
        for organisation in books.xero.organisations.values()
        for document in organisation.documents.values()
        if document.number == number
    ]
    assert len(found) == 1, (number, found)
    return found[0]


def test_a_draft_of_a_cancelled_order_is_deleted(books: OneProcess) -> None:
    books.company()
    order = posted(books)
    books.send(order | CANCELLED)
    assert books.entry(order).reason == "changed"
    ask(books, order, "cancel")
    books.run()
    entry = books.entry(order)
    assert (entry.state, entry.reason, entry.correction) == (State.POSTED, "", None)
    assert entry.documents["invoice"].status == "DELETED"
    assert in_xero(books, entry.number).status == "DELETED"


def test_an_approved_invoice_of_a_cancelled_order_is_credited_in_full_and_paid_by_the_note(
    books: OneProcess,
) -> None:
    books.company(invoice_status="AUTHORISED")
    order = posted(books)
    books.send(order | CANCELLED)
    ask(books, order, "cancel")
    books.run()
    entry = books.entry(order)
    assert (entry.reason, entry.correction) == ("", None)
    invoice, note = in_xero(books, entry.number), in_xero(books, f"{entry.number}-CN")
    assert (invoice.status, invoice.outstanding) == ("PAID", Decimal(0))
    assert (note.total, note.status, note.outstanding) == (invoice.total, "PAID", Decimal(0))
    assert (note.sub_total, note.total_tax) == (invoice.sub_total, invoice.total_tax)
    assert len(entry.credit_notes) == 1


def test_two_lines_cancelled_one_after_the_other_are_credited_once_each(books: OneProcess) -> None:
    books.company(invoice_status="AUTHORISED", cancellations="all")
    order = posted(books)
    first = [dict(item) for item in order["items"]]
    first[0]["status"] = 7
    books.send(order | {"items": first})
    books.run()
    second = [dict(item) for item in first]
    second[1]["status"] = 7
    books.send(order | {"items": second})
    books.run()
    entry = books.entry(order)
    assert (entry.reason, entry.correction) == ("", None)
    assert [[one.line for one in note.credited] for note in entry.credit_notes] == [[1], [2]]
    invoice = in_xero(books, entry.number)
    notes = [in_xero(books, f"{entry.number}-CN"), in_xero(books, f"{entry.number}-CN2")]
    assert invoice.outstanding == invoice.total - sum(note.total for note in notes)
    books.send(order | CANCELLED)
    books.run()
    last = in_xero(books, f"{entry.number}-CN3")
    assert in_xero(books, entry.number).outstanding == 0
    assert sum(note.total_tax for note in (*notes, last)) == invoice.total_tax


def test_a_draft_with_one_line_cancelled_is_deleted_and_posted_again_with_what_is_left(
    books: OneProcess,
) -> None:
    books.company(cancellations="drafts")
    order = posted(books)
    items = [dict(item) for item in order["items"]]
    items[0]["status"] = 7
    books.send(order | {"items": items})
    books.run()
    entry = books.entry(order)
    assert (entry.state, entry.number, entry.reason) == (State.POSTED, f"KX-{order['id']}-2", "")
    assert in_xero(books, f"KX-{order['id']}").status == "DELETED"
    assert len(in_xero(books, entry.number).lines) == len(items) - 1 + bool(order["shipping_price"])


def test_what_a_person_changed_in_xero_is_left_alone_and_shown(books: OneProcess) -> None:
    books.company(invoice_status="AUTHORISED")
    order = posted(books)
    number = books.entry(order).number
    in_xero(books, number).lines[0] = replace(in_xero(books, number).lines[0], description="Changed")
    books.send(order | CANCELLED)
    ask(books, order, "cancel")
    books.run()
    entry = books.entry(order)
    assert entry.correction is not None
    assert entry.correction.problem is not None
    assert entry.correction.problem.code == "document_edited"
    assert (entry.reason, in_xero(books, number).status) == ("correction_stopped", "AUTHORISED")
    ask(books, order, "done_by_hand")
    assert books.entry(order).reason == ""


def test_an_allocation_whose_answer_is_lost_is_not_made_twice(books: OneProcess) -> None:
    books.company(invoice_status="AUTHORISED")
    order = posted(books)
    books.send(order | CANCELLED)
    books.xero.faults.add(
        {"kind": "reply_lost", "method": "PUT", "path_prefix": "/api.xro/2.0/CreditNotes", "times": 2}
    )
    ask(books, order, "cancel")
    books.run()
    entry = books.entry(order)
    assert entry.correction is None
    note = in_xero(books, f"{entry.number}-CN")
    assert (len(note.allocations), note.outstanding) == (1, Decimal(0))


def test_a_person_credits_a_quantity_and_an_amount(books: OneProcess) -> None:
    books.company(invoice_status="AUTHORISED")
    order = posted(books)
    ask(books, order, "credit", lines=[Credited(1, pieces="1"), Credited(2, amount="1.50")])
    books.run()
    entry = books.entry(order)
    assert entry.correction is None
    assert [[(one.line, one.pieces) for one in note.credited] for note in entry.credit_notes] == [
        [(1, "1"), (2, "")]
    ]
    listed = shown(page(books), UNTRACKED, Asked())
    [told], [note] = listed["orders"], entry.credit_notes
    assert told["credited"] == note.total
    assert Decimal(told["comes_to"]) == Decimal(entry.documents["invoice"].total) - Decimal(note.total)
    assert listed["money"]["posted"] == {note.currency: told["comes_to"]}, "the list sums up the same figure"


def test_an_order_is_posted_again_only_where_its_invoice_is_gone(books: OneProcess) -> None:
    books.company()
    order = posted(books)
    ask(books, order, "post_again")
    books.run()
    stopped = books.entry(order).correction
    assert stopped is not None
    assert stopped.problem is not None
    assert stopped.problem.code == "still_in_xero"
    [told] = shown(page(books), UNTRACKED, Asked())["orders"]
    assert told["credited"] is None
    assert told["correction"]["problem"]["fix"] == stopped.problem.fix
    in_xero(books, f"KX-{order['id']}").status = "DELETED"
    ask(books, order, "try_again")
    books.run()
    entry = books.entry(order)
    assert (entry.state, entry.number) == (State.POSTED, f"KX-{order['id']}-2")


def test_an_order_is_found_by_the_number_of_any_document_it_has_or_had(books: OneProcess) -> None:
    books.company(invoice_status="AUTHORISED")
    order = posted(books)
    for _ in range(2):
        ask(books, order, "credit", lines=[Credited(1, amount="1.00")])
        books.run()
    number = f"KX-{order['id']}"
    assert [note.number for note in books.entry(order).credit_notes] == [f"{number}-CN", f"{number}-CN2"]

    def found(search: str) -> list[str]:
        return [one["id"] for one in shown(page(books), UNTRACKED, Asked(search=search))["orders"]]

    assert found(f"{number}-CN") == found(f"{number}-CN2") == found(number.casefold()) == [str(order["id"])]
    assert found(f"{number}-CN3") == found(f"{number}-2") == []


def test_an_order_that_was_posted_again_is_found_by_both_its_numbers(books: OneProcess) -> None:
    books.company()
    order = posted(books)
    number = f"KX-{order['id']}"
    in_xero(books, number).status = "DELETED"
    ask(books, order, "post_again")
    books.run()
    for search in (number, f"{number}-2"):
        [one] = shown(page(books), UNTRACKED, Asked(search=search))["orders"]
        assert one["number"] == f"{number}-2"


def test_a_draft_credit_note_is_allocated_once_a_person_has_approved_it(books: OneProcess) -> None:
    books.company(invoice_status="AUTHORISED", credit_note_status="DRAFT")
    order = posted(books)
    books.send(order | CANCELLED)
    ask(books, order, "cancel")
    books.run(timedelta(minutes=5))
    assert books.entry(order).reason == "note_is_draft"
    in_xero(books, f"KX-{order['id']}-CN").status = "AUTHORISED"
    books.run(timedelta(hours=2), until_quiet=False)
    assert books.entry(order).reason == ""
    assert in_xero(books, f"KX-{order['id']}").outstanding == 0

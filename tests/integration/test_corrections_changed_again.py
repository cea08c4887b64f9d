"""Orders that change once more after their documents were corrected, or that people deal with in Xero meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from moto import mock_aws

from bookkeeping.domain import ledger
from bookkeeping.domain.book_match import expected
from local.xero.people import change_document
from tests.integration.one_process import OneProcess, in_memory
from tests.integration.test_book_match import found, matched
from tests.integration.test_corrections import CANCELLED, ask, in_xero, posted

APPROVED: dict[str, Any] = {"invoice_status": "AUTHORISED"}
LIVE = {"status": 4, "status_name": "In Production"}


@pytest.fixture
def books() -> Iterator[OneProcess]:
    with mock_aws():
        yield OneProcess(tables=in_memory)


def lines(order: dict[str, Any], *cancelled: int) -> dict[str, Any]:
    """The order's lines, those at these places cancelled."""
    items = [dict(item) for item in order["items"]]
    for place in cancelled:
        items[place - 1]["status"] = 7
    return {"items": items}


def test_an_order_that_was_credited_and_is_sold_again_but_for_a_line_stays_with_a_person(
    books: OneProcess,
) -> None:
    books.company(**APPROVED, cancellations="all")
    order = posted(books)
    books.send(order | CANCELLED)
    books.run()
    books.send(order | LIVE | lines(order, 2))
    books.run()
    entry = books.entry(order)
    assert (entry.reason, len(entry.credit_notes)) == ("changed", 1)


def test_a_credited_line_that_is_back_while_another_is_cancelled_stays_with_a_person(
    books: OneProcess,
) -> None:
    books.company(**APPROVED, cancellations="all")
    order = posted(books)
    books.send(order | lines(order, 1))
    books.run()
    books.send(order | lines(order, 2))
    books.run()
    entry = books.entry(order)
    assert (entry.reason, len(entry.credit_notes)) == ("changed", 1)


def test_an_order_cancelled_a_second_time_is_credited_a_second_time_where_the_first_note_was_voided(
    books: OneProcess,
) -> None:
    books.company(**APPROVED, cancellations="all")
    order = posted(books)
    books.send(order | CANCELLED)
    books.run()
    books.send(order | LIVE)
    books.run()
    assert books.entry(order).reason == "changed"
    organisation, number = books.organisation("Demo Company (UK)"), books.entry(order).number
    for changes in ({"Unallocate": True}, {"Status": "VOIDED"}):
        change_document(books.xero, organisation, in_xero(books, f"{number}-CN"), changes)
    books.send(order | CANCELLED)
    books.run()
    assert books.entry(order).reason == ""
    assert in_xero(books, number).outstanding == 0


@pytest.mark.parametrize("later", [[LIVE], [LIVE, CANCELLED]])
def test_what_was_done_by_hand_is_looked_at_again_once_the_platform_says_something_else(
    books: OneProcess, later: list[dict[str, Any]]
) -> None:
    books.company(**APPROVED)
    order = posted(books)
    books.send(order | CANCELLED)
    ask(books, order, "done_by_hand")
    assert books.entry(order).reason == ""
    for message in later:
        books.clock.advance(1)
        books.send(order | message)
    assert books.entry(order).reason == "changed"


def test_a_draft_that_somebody_deleted_stays_a_difference_after_another_change_was_done_by_hand(
    books: OneProcess,
) -> None:
    books.company()
    order = posted(books)
    books.send(order | {"external_ref": "another"})
    ask(books, order, "done_by_hand")
    entry = books.entry(order)
    read = replace(entry.documents["invoice"], status="DELETED", stands="deleted")
    books.orders.save(replace(entry, documents={"invoice": read}))
    assert [one.gone for one in expected(books.entry(order))] == [False]
    books.send(order | CANCELLED)
    ask(books, order, "done_by_hand")
    assert [one.gone for one in expected(books.entry(order))] == [True]


def test_a_draft_note_that_a_person_changed_before_approving_it_is_shown_and_not_allocated(
    books: OneProcess,
) -> None:
    books.company(**APPROVED, credit_note_status="DRAFT")
    order = posted(books)
    books.send(order | CANCELLED)
    ask(books, order, "cancel")
    books.run(timedelta(minutes=5))
    organisation, number = books.organisation("Demo Company (UK)"), books.entry(order).number
    line = {"Description": "Less", "UnitAmount": 1, "AccountCode": "200", "TaxType": "ZERORATEDOUTPUT"}
    for changes in ({"LineItems": [line]}, {"Status": "AUTHORISED"}):
        change_document(books.xero, organisation, in_xero(books, f"{number}-CN"), changes)
    books.run(timedelta(hours=1), until_quiet=False)
    correction = books.entry(order).correction
    assert correction is not None
    assert correction.problem is not None
    assert (correction.problem.code, correction.problem.details["number"]) == (
        "document_edited",
        f"{number}-CN",
    )


def test_a_draft_note_that_a_person_deleted_is_not_made_again_when_the_platform_repeats_itself(
    books: OneProcess,
) -> None:
    books.company(**APPROVED, credit_note_status="DRAFT", cancellations="all")
    order = posted(books)
    books.send(order | CANCELLED)
    books.run(timedelta(minutes=5))
    organisation, number = books.organisation("Demo Company (UK)"), books.entry(order).number
    change_document(books.xero, organisation, in_xero(books, f"{number}-CN"), {"Status": "DELETED"})
    books.run(timedelta(hours=1), until_quiet=False)
    books.send(order | CANCELLED)
    books.run()
    assert (books.entry(order).reason, len(books.entry(order).credit_notes)) == ("changed", 1)


def test_a_draft_note_of_an_order_that_is_sold_again_is_not_allocated(books: OneProcess) -> None:
    books.company(**APPROVED, credit_note_status="DRAFT")
    order = posted(books)
    books.send(order | CANCELLED)
    ask(books, order, "cancel")
    books.run(timedelta(minutes=5))
    books.send(order | LIVE)
    assert books.entry(order).reason == "changed"
    organisation, number = books.organisation("Demo Company (UK)"), books.entry(order).number
    change_document(books.xero, organisation, in_xero(books, f"{number}-CN"), {"Status": "AUTHORISED"})
    books.run(timedelta(hours=2), until_quiet=False)
    assert in_xero(books, number).outstanding == in_xero(books, number).total
    assert books.entry(order).reason == "changed"


def test_a_newer_cancellation_shows_where_an_older_correction_rests(books: OneProcess) -> None:
    books.company(**APPROVED)
    order = posted(books)
    number = books.entry(order).number
    in_xero(books, number).lines[0] = replace(in_xero(books, number).lines[0], description="Changed")
    books.send(order | lines(order, 1))
    ask(books, order, "cancel")
    books.run()
    assert books.entry(order).reason == "correction_stopped"
    books.send(order | CANCELLED)
    assert books.entry(order).reason == "changed"
    ask(books, order, "done_by_hand")
    assert books.entry(order).reason == ""


def test_a_payment_that_was_read_and_taken_back_is_no_difference(books: OneProcess) -> None:
    books.company(**APPROVED)
    order = posted(books)
    paid = ledger.as_read(books.entry(order).documents["invoice"], "PAID", "paid", books.clock.now())
    assert (paid.status, paid.stood) == ("AUTHORISED", "paid")


def test_a_credit_note_that_a_person_dates_otherwise_is_told_by_the_book_match(books: OneProcess) -> None:
    books.company(**APPROVED)
    order = posted(books)
    books.send(order | CANCELLED)
    ask(books, order, "cancel")
    books.run()
    number = f"{books.entry(order).number}-CN"
    assert found(matched(books)) == Counter()
    in_xero(books, number).dated_on -= timedelta(days=3)
    [difference] = matched(books).differences
    assert (difference.code, difference.number) == ("changed", number)
    assert [field for field, _, _ in difference.changes] == ["date"]

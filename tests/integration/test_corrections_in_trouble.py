"""Corrections among people, crashes and bad answers: nothing twice, nothing over a person's edit, nothing forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from moto import mock_aws

from bookkeeping.adapters.tables.pauses import Pauses
from bookkeeping.domain.corrections import Credited
from bookkeeping.domain.ledger import Entry, Pause, State
from bookkeeping.domain.page_access import Person
from bookkeeping.use_cases.page import corrections as page_corrections
from bookkeeping.use_cases.page.retry import retry
from bookkeeping.use_cases.posting import corrections
from local.samples import TRACKED, UNTRACKED, Maker
from local.xero.organisations import Document
from local.xero.people import change_document
from tests.grants import acting_as
from tests.integration.one_process import XERO, Killed, OneProcess, in_memory
from tests.integration.test_corrections import CANCELLED, ask, in_xero, page
from tests.our_faults import Fault

APPROVED: dict[str, Any] = {"invoice_status": "AUTHORISED"}


@pytest.fixture
def books() -> Iterator[OneProcess]:
    with mock_aws():
        yield OneProcess(tables=in_memory)


def posted(books: OneProcess, place: int = 0, **changes: Any) -> dict[str, Any]:
    """An order of three lines that is in the books."""
    order = an_order(place, 3, **changes)
    books.send(order)
    books.run()
    assert books.entry(order).state is State.POSTED
    return order


def an_order(place: int, lines: int, **changes: Any) -> dict[str, Any]:
    return Maker().order(UNTRACKED, place, lines, **({"id": 61530000 + place} | changes))


def cancelled(books: OneProcess, order: dict[str, Any], *lines: int) -> None:
    """The platform says that the order, or these lines of it, are cancelled."""
    order |= CANCELLED if not lines else {}
    for line in lines:
        order["items"][line - 1]["status"] = 7
    books.clock.advance(1)
    books.send(order)


def at_call(
    books: OneProcess,
    method: str,
    path: str,
    then: Callable[[], object],
    *,
    after: bool = False,
    skip: int = 0,
) -> None:
    """Do it once, before (or after) Xero gets the next such call, but for so many of them."""
    adapter = books.posting.xero.session.get_adapter(XERO)
    real, left = adapter.send, [skip, 1]

    def send(request: Any, *about: Any, **more: Any) -> Any:
        mine = request.method == method and path in request.url
        if mine and left[0]:
            left[0] -= 1
            mine = False
        mine = bool(mine and left[1])
        left[1] -= mine
        if mine and not after:
            then()
        response = real(request, *about, **more)
        if mine and after:
            then()
        return response

    adapter.send = send  # type: ignore[method-assign]


def dies() -> None:
    raise Killed


def by_hand(books: OneProcess, number: str, **changes: Any) -> None:
    """A person changes the document in Xero."""
    document = in_xero(books, number)
    organisation = next(one for one in books.xero.organisations.values() if document.id in one.documents)
    reply = change_document(books.xero, organisation, document, changes)
    assert reply.status == 200, reply.payload


def line_edited(books: OneProcess, number: str) -> None:
    document = in_xero(books, number)
    document.lines[0] = replace(document.lines[0], description="Changed by hand")
    document.updated_at = books.clock.now()


def notes_of(books: OneProcess, number: str) -> list[Document]:
    return [
        document
        for organisation in books.xero.organisations.values()
        for document in organisation.documents.values()
        if document.kind == "ACCRECCREDIT" and document.reference == number
    ]


def problem(entry: Entry) -> str:
    found = entry.correction and entry.correction.problem
    return found.code if found else ""


# --- nothing is forgotten


def test_a_correction_that_waits_is_not_forgotten_when_the_lane_has_other_work(books: OneProcess) -> None:
    books.company(**APPROVED, credit_note_status="DRAFT")
    order = posted(books)
    cancelled(books, order)
    ask(books, order, "cancel")
    books.run(timedelta(minutes=5))
    assert books.entry(order).reason == "note_is_draft"
    books.send(an_order(1, 1))
    books.run(timedelta(minutes=2))
    # a wake-up that is lost costs nothing
    books.queue.waiting.clear()
    by_hand(books, f"KX-{order['id']}-CN", Status="AUTHORISED")
    books.run(timedelta(hours=3), until_quiet=False)
    assert books.entry(order).reason == ""
    assert in_xero(books, f"KX-{order['id']}").outstanding == 0


def test_nor_when_the_process_dies_that_has_just_written_how_long_it_waits(books: OneProcess) -> None:
    books.company(**APPROVED, credit_note_status="DRAFT")
    order = posted(books)
    cancelled(books, order)
    release = books.lanes.release

    def dying(*about: Any, **more: Any) -> bool:
        if books.entry(order).reason == "note_is_draft":
            books.lanes.release = release  # type: ignore[method-assign]
            raise Killed
        return release(*about, **more)

    books.lanes.release = dying  # type: ignore[method-assign]
    ask(books, order, "cancel")
    books.run(timedelta(minutes=5))
    assert books.entry(order).reason == "note_is_draft"
    by_hand(books, f"KX-{order['id']}-CN", Status="AUTHORISED")
    books.run(timedelta(hours=3), until_quiet=False)
    assert books.entry(order).reason == ""


def test_more_orders_than_a_round_corrects_are_all_corrected_however_late_an_index_shows_them(
    books: OneProcess,
) -> None:
    books.company()
    orders = [an_order(place, 1) for place in range(corrections_a_round() + 5)]
    books.send(*orders)
    books.run()
    for order in orders:
        cancelled(books, order)
        ask(books, order, "cancel")
    # the index shows nothing for a while
    real = books.orders.due
    until = books.clock.now() + timedelta(seconds=10)

    def late(lane: str, now: datetime, limit: int) -> tuple[list[str], datetime | None]:
        return real(lane, now, limit) if now > until else ([], None)

    books.orders.due = late  # type: ignore[method-assign]
    books.run()
    assert {books.entry(order).reason for order in orders} == {""}


def corrections_a_round() -> int:
    from bookkeeping.use_cases.posting.turn import CORRECTED_A_ROUND

    return CORRECTED_A_ROUND


# --- a note in a document's history is worth nothing


@pytest.mark.parametrize(
    "fault", ["forbidden", "not_found", "error_before_commit", "reply_lost", "rate_limit_minute"]
)
def test_a_history_note_that_fails_holds_nothing_up(books: OneProcess, fault: str) -> None:
    books.company()
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order)
    books.xero.faults.add(
        {
            "kind": fault,
            "method": "PUT",
            "path_prefix": f"/api.xro/2.0/Invoices/{in_xero(books, number).id}/History",
            **({"retry_after": 20} if fault.startswith("rate") else {}),
        }
    )
    began = books.clock.now()
    ask(books, order, "cancel")
    other = an_order(1, 1)
    books.send(other)
    books.run(timedelta(minutes=1))
    assert books.entry(order).correction is None
    assert books.entry(other).state is State.POSTED
    connection = books.connections.connection("412077")
    assert connection is not None
    assert connection.status == "connected"
    if not fault.startswith("rate"):
        assert books.entry(other).documents["invoice"].at - began < timedelta(seconds=5)


def test_an_edit_in_between_is_shown_even_where_the_history_note_is_refused_for_too_many_calls(
    books: OneProcess,
) -> None:
    books.company()
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order)
    books.xero.faults.add(
        {
            "kind": "rate_limit_minute",
            "method": "PUT",
            "path_prefix": "/api.xro/2.0/Invoices/",
            "retry_after": 20,
        }
    )
    at_call(books, "POST", "/Invoices/", lambda: line_edited(books, number))
    ask(books, order, "cancel")
    books.run()
    assert problem(books.entry(order)) == "edited_meanwhile"


# --- a person's edit


def test_an_edit_between_the_reading_and_the_deleting_is_shown_also_after_a_crash(books: OneProcess) -> None:
    books.company()
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order)
    at_call(books, "POST", "/Invoices/", lambda: line_edited(books, number))
    at_call(books, "PUT", "/History", dies)
    ask(books, order, "cancel")
    books.run()
    assert problem(books.entry(order)) == "edited_meanwhile"


def test_an_edit_between_the_reading_and_the_credit_note_is_shown_and_nothing_further_is_done(
    books: OneProcess,
) -> None:
    books.company(**APPROVED)
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order)
    at_call(books, "PUT", "/CreditNotes", lambda: line_edited(books, number))
    ask(books, order, "cancel")
    books.run()
    assert problem(books.entry(order)) == "edited_meanwhile"
    [note] = notes_of(books, number)
    assert not note.allocations
    ask(books, order, "done_by_hand")
    assert books.entry(order).reason == ""


@pytest.mark.parametrize("part", ["/CreditNotes?", "/Allocations"])
def test_such_an_edit_is_shown_also_where_the_answer_is_lost(books: OneProcess, part: str) -> None:
    books.company(**APPROVED)
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order)
    at_call(books, "PUT", "/CreditNotes?", lambda: line_edited(books, number))
    at_call(books, "PUT", part, dies, after=True)
    ask(books, order, "cancel")
    books.run()
    assert problem(books.entry(order)) == "edited_meanwhile"


def test_a_document_that_was_read_while_xero_answered_slowly_is_read_again_before_anything_is_done(
    books: OneProcess,
) -> None:
    books.company()
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order)

    def slow() -> None:
        line_edited(books, number)
        books.clock.advance(8)

    at_call(books, "GET", f"/Invoices/{in_xero(books, number).id}", slow, after=True)
    ask(books, order, "cancel")
    books.run()
    assert problem(books.entry(order)) == "document_edited"
    assert in_xero(books, number).status == "DRAFT"


def test_xero_is_asked_at_longer_and_longer_intervals_while_each_answer_is_too_old_to_act_on(
    books: OneProcess,
) -> None:
    books.company()
    order = posted(books)
    cancelled(books, order)
    books.xero.faults.add(
        {
            "kind": "slow_answer",
            "method": "GET",
            "path_prefix": "/api.xro/2.0/Invoices/",
            "seconds": 8,
            "times": 1000,
        }
    )
    ask(books, order, "cancel")
    before = len(books.calls())
    books.run(timedelta(minutes=10), until_quiet=False)
    assert len(books.calls()) - before < 40
    books.xero.faults.remove()
    books.run(timedelta(hours=1), until_quiet=False)
    assert books.entry(order).documents["invoice"].status == "DELETED"


def test_a_draft_that_a_person_deletes_in_the_same_moment_is_as_good_as_deleted_from_here(
    books: OneProcess,
) -> None:
    books.company()
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order)
    at_call(books, "POST", "/Invoices/", lambda: by_hand(books, number, Status="DELETED"))
    ask(books, order, "cancel")
    books.run()
    assert (books.entry(order).reason, books.entry(order).correction) == ("", None)


def test_a_person_who_pays_in_the_same_moment_keeps_the_note_unallocated_and_is_told(
    books: OneProcess,
) -> None:
    books.company(**APPROVED)
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order)
    total = in_xero(books, number).total
    at_call(books, "PUT", "/Allocations", lambda: by_hand(books, number, Pay=total))
    ask(books, order, "cancel")
    books.run()
    [note] = notes_of(books, number)
    assert (note.total, note.allocations) == (total, [])
    assert problem(books.entry(order)) == "correction_refused"
    ask(books, order, "try_again")
    books.run()
    assert books.entry(order).correction is None
    assert len(notes_of(books, number)) == 1


def credited_by_hand(books: OneProcess, number: str, amount: str, note: str = "BY-HAND") -> None:
    """A person makes a credit note of their own in Xero, and allocates it to the invoice."""
    from local.xero.people import add_document

    invoice = in_xero(books, number)
    organisation = next(one for one in books.xero.organisations.values() if invoice.id in one.documents)
    given = {
        "Type": "ACCRECCREDIT",
        "CreditNoteNumber": note,
        "Contact": {"ContactID": invoice.contact_id},
        "Date": "2026-11-29",
        "DueDate": "2026-11-29",
        "CurrencyCode": invoice.currency,
        "Status": "AUTHORISED",
        "LineAmountTypes": "NoTax",
        "LineItems": [
            {"Description": "By hand", "Quantity": 1, "UnitAmount": Decimal(amount), "AccountCode": "200"}
        ],
    }
    assert add_document(books.xero, organisation, given).status == 200
    by_hand(books, note, Allocate={"Invoice": number})


def test_what_a_person_has_credited_in_xero_is_not_credited_again(books: OneProcess) -> None:
    books.company(**APPROVED)
    order = posted(books)
    number = books.entry(order).number
    total = in_xero(books, number).total
    credited_by_hand(books, number, str(total))
    cancelled(books, order)
    ask(books, order, "cancel")
    books.run()
    assert notes_of(books, number) == []
    assert problem(books.entry(order)) == "credited_by_hand"
    ask(books, order, "done_by_hand")
    assert books.entry(order).reason == ""


def test_what_a_person_credits_in_the_same_moment_is_shown(books: OneProcess) -> None:
    books.company(**APPROVED)
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order)
    at_call(books, "PUT", "/CreditNotes?", lambda: credited_by_hand(books, number, "5.00"))
    ask(books, order, "cancel")
    books.run()
    assert problem(books.entry(order)) == "credited_by_hand"


def test_a_draft_note_that_a_person_deletes_is_left_to_the_person(books: OneProcess) -> None:
    books.company(**APPROVED, credit_note_status="DRAFT")
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order)
    ask(books, order, "cancel")
    books.run(timedelta(minutes=5))
    by_hand(books, f"{number}-CN", Status="DELETED")
    books.run(timedelta(hours=2), until_quiet=False)
    entry = books.entry(order)
    assert (entry.reason, entry.correction) == ("changed", None)
    ask(books, order, "cancel")
    books.run(timedelta(minutes=5))
    assert [note.number for note in notes_of(books, number)] == [f"{number}-CN", f"{number}-CN2"]
    assert books.entry(order).reason == "note_is_draft"


def test_a_draft_that_a_person_has_deleted_is_not_taken_for_one_that_lost_a_line(books: OneProcess) -> None:
    books.company(cancellations="drafts")
    order = posted(books)
    number = books.entry(order).number
    by_hand(books, number, Status="DELETED")
    cancelled(books, order, 1)
    books.run()
    entry = books.entry(order)
    assert (entry.number, entry.reason, entry.correction) == (number, "changed", None)
    ask(books, order, "post_again")
    books.run()
    assert books.entry(order).number == f"{number}-2"


# --- numbers


def taken(books: OneProcess, number: str, reference: str = "") -> None:
    """Somebody else's credit note has the number."""
    from local.xero.people import add_document

    organisation = books.organisation("Demo Company (UK)")
    given = {
        "Type": "ACCRECCREDIT",
        "CreditNoteNumber": number,
        "Reference": reference,
        "Contact": {"ContactID": next(iter(organisation.contacts))},
        "Status": "DRAFT",
        "LineAmountTypes": "NoTax",
        "LineItems": [{"Description": "x", "Quantity": 1, "UnitAmount": Decimal(3), "AccountCode": "200"}],
    }
    assert add_document(books.xero, organisation, given).status == 200


def test_two_lines_of_the_same_price_are_two_notes_also_where_the_first_number_was_taken(
    books: OneProcess,
) -> None:
    books.company(**APPROVED)
    order = an_order(0, 3)
    for item in order["items"]:
        item |= {name: order["items"][0][name] for name in order["items"][0] if name not in ("id", "sku")}
    books.send(order)
    books.run()
    number = books.entry(order).number
    taken(books, f"{number}-CN")
    for line in (1, 2):
        cancelled(books, order, line)
        ask(books, order, "cancel")
        books.run()
    entry = books.entry(order)
    assert [note.number for note in entry.credit_notes] == [f"{number}-CN2", f"{number}-CN3"]
    assert len({note.id for note in entry.credit_notes}) == 2
    assert len(notes_of(books, number)) == 2


def test_a_note_whose_total_xero_rounds_otherwise_is_known_again_when_its_answer_was_lost(
    books: OneProcess,
) -> None:
    books.company(**APPROVED)
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order, 1)

    def a_cent_less() -> None:
        [note] = notes_of(books, number)
        note.total -= Decimal("0.01")
        raise Killed

    at_call(books, "PUT", "/CreditNotes?", a_cent_less, after=True)
    ask(books, order, "cancel")
    books.run()
    [note] = notes_of(books, number)
    [kept] = books.entry(order).credit_notes
    assert (kept.number, kept.total) == (note.number, f"{note.total:.2f}")


def test_an_order_that_is_posted_again_and_again_has_the_numbers_two_and_three(books: OneProcess) -> None:
    books.company()
    order = posted(books, id=2)
    for number in ("KX-2", "KX-2-2"):
        by_hand(books, number, Status="DELETED")
        ask(books, order, "post_again")
        books.run()
    assert books.entry(order).number == "KX-2-3"


# --- calls that end late, and calls that are refused


def test_nothing_else_is_decided_while_a_call_may_still_be_carried_out(books: OneProcess) -> None:
    """A void that ends late must not meet a credit note that was made instead of it."""
    books.company(**APPROVED, void_approved=True)
    order = posted(books, sale_datetime="2026-11-28 10:00:00")
    number = books.entry(order).number
    cancelled(books, order)
    books.xero.faults.add(
        {"kind": "slow_commit", "method": "POST", "path_prefix": "/api.xro/2.0/Invoices", "seconds": 100}
    )
    ask(books, order, "cancel")
    books.run(timedelta(seconds=40), until_quiet=False)
    books.save_settings("412077", void_approved=False)
    books.run(timedelta(hours=1), until_quiet=False)
    assert in_xero(books, number).status == "VOIDED"
    assert notes_of(books, number) == []
    assert books.entry(order).correction is None


# --- switching off, pausing, moving


def test_switched_off_while_a_call_has_no_answer_it_is_found_out_and_the_rest_left_to_a_person(
    books: OneProcess,
) -> None:
    books.company(**APPROVED)
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order)
    at_call(books, "PUT", "/CreditNotes?", dies, after=True)
    ask(books, order, "cancel")
    books.run(timedelta(seconds=5))
    books.save_settings("412077", enabled=False)
    books.run()
    entry = books.entry(order)
    assert (entry.reason, entry.correction) == ("changed", None)
    assert [note.number for note in entry.credit_notes] == [f"{number}-CN"]
    books.save_settings("412077", enabled=True)
    ask(books, order, "cancel")
    books.run()
    assert books.entry(order).reason == ""
    [note] = notes_of(books, number)
    assert len(note.allocations) == 1


def test_switched_off_between_two_orders_the_second_stays_as_it_is(books: OneProcess) -> None:
    books.company()
    orders = [posted(books, place) for place in range(3)]
    for order in orders:
        cancelled(books, order)

    def off() -> None:
        books.save_settings("412077", enabled=False)
        books.clock.advance(3)

    at_call(books, "POST", "/Invoices/", off, after=True)
    for order in orders:
        ask(books, order, "cancel")
    books.run()
    statuses = sorted(in_xero(books, f"KX-{order['id']}").status for order in orders)
    assert statuses == ["DELETED", "DRAFT", "DRAFT"]
    assert sorted(books.entry(order).reason for order in orders) == ["", "changed", "changed"]


def test_paused_between_two_steps_the_second_waits_until_it_is_resumed(books: OneProcess) -> None:
    books.company(**APPROVED)
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order)
    pauses = Pauses(books.resource, "ConnectionsTable")

    def pause() -> None:
        with acting_as(""):
            pauses.add("412077", Pause("operator", books.clock.now()))
        books.clock.advance(3)

    at_call(books, "PUT", "/CreditNotes?", pause, after=True)
    ask(books, order, "cancel")
    books.run(timedelta(minutes=30), until_quiet=False)
    [note] = notes_of(books, number)
    assert (note.allocations, books.entry(order).reason) == ([], "correcting")
    pauses.remove("412077")
    books.ring(books.entry(order))
    books.run()
    assert books.entry(order).reason == ""
    assert in_xero(books, number).outstanding == 0


def test_a_correction_goes_with_its_company_into_another_lane(books: OneProcess) -> None:
    books.company()
    order = posted(books)
    cancelled(books, order)
    ask(books, order, "cancel")
    connection = books.connections.connection("412077")
    assert connection is not None
    other = replace(connection, client_id=f"APP{413000:0>29}")
    # the same organisation through another app; nobody freed anything
    books.connect("413000", books.organisation("Demo Company (UK)"))
    tokens = books.secrets.get_secret_value(SecretId="kornitx-xero/413000/tokens")["SecretString"]
    held = json.loads(tokens)
    books.secrets.put_secret_value(SecretId="kornitx-xero/412077/tokens", SecretString=json.dumps(held))
    books.connections.save_connection(other)
    books.run()
    assert books.entry(order).documents["invoice"].status == "DELETED"


# --- messages in between


def test_an_order_that_is_live_again_before_anything_was_done_keeps_its_documents(books: OneProcess) -> None:
    books.company(cancellations="all")
    order = posted(books)
    live = json.loads(json.dumps(order))

    def live_again() -> None:
        books.clock.advance(1)
        books.send(live)

    at_call(books, "GET", "/Invoices/", live_again)
    cancelled(books, order)
    books.run()
    entry = books.entry(order)
    assert in_xero(books, entry.number).status == "DRAFT"
    assert (entry.reason, entry.correction) == ("", None)


def test_what_is_cancelled_while_another_line_is_corrected_is_corrected_by_itself_as_well(
    books: OneProcess,
) -> None:
    books.company(**APPROVED, cancellations="all")
    order = posted(books)
    cancelled(books, order, 1)
    at_call(books, "PUT", "/Allocations", lambda: cancelled(books, order, 2))
    books.run()
    entry = books.entry(order)
    assert [[one.line for one in note.credited] for note in entry.credit_notes] == [[1], [2]]
    assert (entry.reason, entry.correction) == ("", None)


def test_a_message_that_cannot_be_read_does_not_bring_back_the_cancelled_line(books: OneProcess) -> None:
    books.company(cancellations="drafts")
    order = posted(books)
    number = books.entry(order).number
    unreadable = json.loads(json.dumps(order)) | {"items": "none"}
    cancelled(books, order, 1)

    def said_badly() -> None:
        books.clock.advance(1)
        books.send(unreadable)

    at_call(books, "POST", "/Invoices/", said_badly, after=True)
    books.run()
    assert in_xero(books, number).status == "DELETED"
    live = [
        document
        for document in books.organisation("Demo Company (UK)").documents.values()
        if document.number.startswith(number) and document.status not in ("DELETED", "VOIDED")
    ]
    assert live == []
    assert books.entry(order).state is State.NEEDS_ATTENTION


def test_the_rest_of_a_line_is_credited_when_it_is_cancelled_after_some_pieces_of_it_were(
    books: OneProcess,
) -> None:
    books.company(**APPROVED)
    order = an_order(0, 3)
    order["items"][0]["quantity"] = 3
    books.send(order)
    books.run()
    ask(books, order, "credit", lines=[Credited(1, pieces="1")])
    books.run()
    cancelled(books, order, 1, 2)
    ask(books, order, "cancel")
    books.run()
    entry = books.entry(order)
    assert [[(one.line, one.pieces) for one in note.credited] for note in entry.credit_notes] == [
        [(1, "1")],
        [(1, "2"), (2, f"{order['items'][1]['quantity']}")],
    ]
    assert entry.reason == ""


def test_an_order_posted_again_that_ends_otherwise_is_told_of(books: OneProcess) -> None:
    books.company()
    order = posted(books)
    number = books.entry(order).number
    by_hand(books, number, Status="DELETED")
    cancelled(books, order)
    ask(books, order, "post_again")
    books.run()
    entry = books.entry(order)
    assert (entry.state, entry.reason, entry.due_at) == (State.SKIPPED, "cancelled", None)
    assert [event["order_id"] for event in books.bus.of("OrderSkipped")] == [str(order["id"])]


def test_approved_purchase_orders_are_no_drafts(books: OneProcess) -> None:
    australia = books.organisation("Demo Company (AU)")
    books.company(
        TRACKED,
        australia,
        process_method="tracked",
        purchase_order_status="AUTHORISED",
        cancellations="drafts",
    )
    order = Maker().order(TRACKED, 0, 1, status=1, status_name="Received")
    books.send(order)
    books.run()
    entry = books.entry(order, TRACKED)
    assert entry.state is State.POSTED, entry
    cancelled(books, order)
    books.run()
    entry = books.entry(order, TRACKED)
    assert {kind: one.status for kind, one in entry.documents.items()} == {
        "invoice": "DELETED",
        "purchase_order": "AUTHORISED",
    }
    assert (entry.reason, entry.correction) == ("changed", None)


# --- faults of ours


def test_a_fault_of_ours_after_the_call_forgets_nothing_of_it(
    books: OneProcess, monkeypatch: pytest.MonkeyPatch, our_faults: list[Fault]
) -> None:
    books.company(**APPROVED)
    order = posted(books)
    number = books.entry(order).number
    cancelled(books, order)
    with monkeypatch.context() as patched:
        patched.setattr(corrections._Carried, "_note_made", lambda *_: 1 / 0)
        ask(books, order, "cancel")
        books.run()
    assert problem(books.entry(order)) == "correction_fault"
    our_faults.clear()
    ask(books, order, "try_again")
    books.run()
    assert books.entry(order).correction is None
    assert len(notes_of(books, number)) == 1


def test_an_allocation_that_a_fault_of_ours_met_is_still_waited_for(
    books: OneProcess, monkeypatch: pytest.MonkeyPatch, our_faults: list[Fault]
) -> None:
    books.company(**APPROVED)
    order = posted(books)
    cancelled(books, order)
    fault = {"kind": "slow_commit", "method": "PUT", "path_prefix": "/api.xro/2.0/CreditNotes/"}
    with monkeypatch.context() as patched:
        patched.setattr(corrections, "back_off", lambda *_: 1 / 0)
        at_call(
            books,
            "PUT",
            "/Allocations",
            lambda: books.xero.faults.add(
                fault | {"path_prefix": "/api.xro/2.0/CreditNotes", "seconds": 100}
            ),
        )
        ask(books, order, "cancel")
        books.run(timedelta(seconds=40), until_quiet=False)
    assert problem(books.entry(order)) == "correction_fault"
    our_faults.clear()
    began = books.clock.now()
    ask(books, order, "try_again")
    books.run()
    assert books.entry(order).correction is None
    assert len(books.calls("PUT", "/Allocations")) == 1
    assert books.calls("GET", "/CreditNotes/")[-1].at - began > timedelta(seconds=60)


def test_a_fault_of_ours_that_even_stopping_meets_is_shown_and_tried_again(
    books: OneProcess, monkeypatch: pytest.MonkeyPatch, our_faults: list[Fault]
) -> None:
    books.company()
    order, other = posted(books), an_order(1, 1)
    cancelled(books, order)
    with monkeypatch.context() as patched:
        patched.setattr(corrections, "_with", lambda *_, **__: 1 / 0)
        ask(books, order, "cancel")
        books.send(other)
        books.run(timedelta(minutes=5))
    entry = books.entry(order)
    assert (entry.state, entry.why) == (State.NEEDS_ATTENTION, "our_fault")
    assert books.entry(other).state is State.POSTED
    our_faults.clear()
    retry(page(books), Person("7", "Ada", UNTRACKED), entry)
    books.run()
    entry = books.entry(order)
    assert (entry.state, entry.reason, entry.correction) == (State.POSTED, "", None)
    assert entry.documents["invoice"].status == "DELETED"


# --- calls


@pytest.mark.parametrize(
    ("settings", "at_most"),
    [
        pytest.param({}, 3, id="a draft deleted"),
        pytest.param(APPROVED, 6, id="an approved one credited"),
        pytest.param(APPROVED | {"void_approved": True}, 3, id="an approved one voided"),
    ],
)
def test_a_correction_takes_few_calls(books: OneProcess, settings: dict[str, Any], at_most: int) -> None:
    books.company(**settings)
    order = posted(books, sale_datetime="2026-11-22 10:00:00")
    cancelled(books, order)
    before = len(books.calls())
    ask(books, order, "cancel")
    books.run()
    made = [f"{call.method} {call.path}" for call in books.calls()[before:]]
    assert books.entry(order).reason == ""
    assert len([call for call in made if not call.endswith("/History")]) <= at_most, made
    assert len(made) <= at_most + 2, made


def test_an_edit_of_the_last_document_is_shown_as_well(books: OneProcess) -> None:
    australia = books.organisation("Demo Company (AU)")
    books.company(TRACKED, australia, process_method="tracked")
    order = Maker().order(TRACKED, 0, 1)
    books.send(order)
    books.run()
    cancelled(books, order)
    document = books.entry(order, TRACKED).documents["purchase_order"]

    def edited() -> None:
        in_books = australia.documents[document.id]
        in_books.dated_on -= timedelta(days=1)

    at_call(books, "POST", "/PurchaseOrders/", edited)
    entry = books.entry(order, TRACKED)
    person = Person("7", "Ada", TRACKED, may_credit=True)
    page_corrections.correct(page(books), person, entry, "cancel", version=entry.version)
    books.run()
    assert problem(books.entry(order, TRACKED)) == "edited_meanwhile"


def test_what_a_person_asked_for_is_done_though_the_page_died_before_it_woke_anybody(
    books: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.company()
    order = posted(books)
    cancelled(books, order)
    books.clock.advance(600)
    with monkeypatch.context() as patched:
        patched.setattr(books.bus, "put_events", lambda **_: dies())
        with pytest.raises(Killed):
            ask(books, order, "cancel")
    books.run()
    assert books.entry(order).documents["invoice"].status == "DELETED"


def test_what_has_just_begun_to_wait_is_not_forgotten_by_a_turn_that_no_index_shows_it(
    books: OneProcess,
) -> None:
    books.company(**APPROVED)
    order = posted(books)
    cancelled(books, order)
    at_call(books, "PUT", "/CreditNotes?", dies)
    ask(books, order, "cancel")
    books.run(timedelta(seconds=20))
    real = books.orders.due
    hidden_until: list[datetime] = []

    def due(lane: str, now: datetime, limit: int) -> tuple[list[str], datetime | None]:
        keys, later = real(lane, now, limit)
        if books.entry(order).due_at and not hidden_until:
            hidden_until.append(now + timedelta(seconds=10))
        return (keys, later) if not hidden_until or now > hidden_until[0] else ([], None)

    def waits() -> None:
        # the wait is written, and at once another order comes
        books.orders.due = due  # type: ignore[method-assign]
        books.send(an_order(1, 1))

    at_call(books, "GET", "/CreditNotes/", waits)
    books.run(timedelta(hours=1))
    books.queue.waiting.clear()
    books.run(timedelta(hours=1))
    assert books.entry(order).correction is None


def test_a_correction_is_left_to_a_person_once_the_company_is_connected_to_another_organisation(
    books: OneProcess,
) -> None:
    books.company()
    order = posted(books)
    cancelled(books, order)
    at_call(books, "POST", "/Invoices/", dies)
    ask(books, order, "cancel")
    books.run(timedelta(seconds=5))
    books.connect("412077", books.organisation("Demo Company (NZ)"))
    books.run()
    assert problem(books.entry(order)) == "posted_elsewhere"
    assert in_xero(books, f"KX-{order['id']}").status == "DRAFT"
    assert not [call for call in books.calls("POST", "/Invoices/") if call.committed]


def test_an_order_of_two_companies_in_one_organisation_is_taken_out_of_it_once(books: OneProcess) -> None:
    books.company(cancellations="all")
    books.company("413000", number_prefix="K2-", cancellations="all")
    order = an_order(0, 2, secondary_company_ref_id="413000")
    books.send(order)
    books.run()
    states = sorted(books.entry(order, ref).state for ref in ("412077", "413000"))
    assert states == [State.POSTED, State.SKIPPED]
    cancelled(books, order)
    books.run()
    ended = [call for call in books.calls("POST", "/Invoices/") if call.committed]
    assert len(ended) == 1
    live = [
        document
        for document in books.organisation("Demo Company (UK)").documents.values()
        if str(order["id"]) in document.number and document.status != "DELETED"
    ]
    assert live == []


def test_an_order_whose_correction_cannot_even_be_looked_at_does_not_hold_up_its_lane(
    books: OneProcess, monkeypatch: pytest.MonkeyPatch, our_faults: list[Fault]
) -> None:
    books.company()
    order, other = posted(books), an_order(1, 1)
    cancelled(books, order)
    ask(books, order, "cancel")
    real: Any = Entry.__dict__["to_do"]
    broken = property(
        lambda entry: (
            1 / 0 if entry.correction and not entry.correction.problem else real.__get__(entry, Entry)
        )
    )
    books.clock.advance(60)
    books.send(other)
    with monkeypatch.context() as patched:
        patched.setattr(Entry, "to_do", broken)
        books.run(timedelta(minutes=5))
    assert books.entry(other).state is State.POSTED
    assert problem(books.entry(order)) == "correction_fault"
    our_faults.clear()

"""What an accountant finds in Xero after an order was cancelled or refunded: documents, tax, dates and stock.

In the books of three countries, from a draft to an invoice that is paid.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from moto import mock_aws

from bookkeeping.domain.corrections import Credited
from bookkeeping.domain.ledger import Entry, State
from local.xero.organisations import Document, Organisation
from local.xero.people import add_document, change_document
from tests.integration.one_process import OneProcess, in_memory
from tests.integration.test_corrections import CANCELLED, ask, in_xero

Json = dict[str, Any]
D: Final = Decimal
COMPANY: Final = "412077"
REFUNDED: Final = {"status": 1024, "status_name": "Refunded"}
CHARTS: Final[dict[str, Json]] = {
    "UK": {},
    "AU": {"tax_types": [{"rate": "0", "tax_type": "EXEMPTOUTPUT"}]},
    "US": {
        "sales_account_code": "4000",
        "shipping_account_code": "4100",
        "cogs_account_code": "5000",
        "inventory_asset_account_code": "1400",
        "tax_types": [{"rate": "0", "tax_type": "NONE"}],
    },
}
CURRENCY: Final = {"UK": "GBP", "AU": "AUD", "US": "USD"}
AT_NOON: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def books() -> Iterator[OneProcess]:
    with mock_aws():
        yield OneProcess(tables=in_memory)


def company(books: OneProcess, country: str = "UK", **settings: Any) -> Organisation:
    """A company that keeps its books in that country, with approved invoices unless the settings say otherwise."""
    organisation = books.organisation(f"Demo Company ({country})")
    about = {"invoice_status": "AUTHORISED", **CHARTS[country], **settings}
    books.company(COMPANY, organisation, **about)
    return organisation


def sold(net: object, gross: object, rate: object, quantity: object = 1, **more: Any) -> Json:
    prices = {"unit_sale_price": net, "unit_sale_price_inc_tax": gross, "sale_vat_rate": rate}
    return {**prices, "unit_cost_price": "4.00", "quantity": quantity, "status": 1, **more}


MUGS: Final = sold("10.00", "12.00", "0.2", 3)
BIB: Final = sold("8.50", "8.50", "0")
SHIPPING: Final = {"shipping_price": "3.29", "shipping_price_inc_tax": "3.95", "shipping_tax_rate": "0.2"}
NO_SHIPPING: Final = {"shipping_price": 0, "shipping_price_inc_tax": 0}


def order(*items: Json, **more: Any) -> Json:
    lines = [
        {"id": place, "sku": f"S{place}", "description": f"Thing {place}", **item}
        for place, item in enumerate(items, 1)
    ]
    return {
        "id": 61530418,
        "company_ref_id": int(COMPANY),
        "ref": "REF61530418",
        "status": 1,
        "status_name": "Received",
        "sale_datetime": "2026-11-20 19:42:07",
        "items": lines,
        **SHIPPING,
        **more,
    }


NUMBER: Final = "KX-61530418"


def posted(books: OneProcess, message: Json) -> Document:
    """The sales invoice of the order."""
    books.send(message)
    books.run()
    entry = books.entry(message)
    assert entry.state is State.POSTED, entry.problem
    return in_xero_invoice(books)


def in_xero_invoice(books: OneProcess, number: str = NUMBER) -> Document:
    return _of_kind(books, "ACCREC", number)


def _of_kind(books: OneProcess, kind: str, number: str) -> Document:
    [found] = [
        document
        for organisation in books.xero.organisations.values()
        for document in organisation.documents.values()
        if (document.kind, document.number) == (kind, number)
    ]
    return found


def cancelled(books: OneProcess, message: Json, **how: Any) -> Entry:
    """The order after the platform has cancelled it and a person has pressed “Cancel it in Xero”."""
    books.send(message | CANCELLED)
    ask(books, message, "cancel", **how)
    books.run()
    return books.entry(message)


def credited(books: OneProcess, message: Json, *lines: Credited, **how: Any) -> Entry:
    """The order after a person has credited a part of it."""
    ask(books, message, "credit", lines=lines, **how)
    books.run()
    return books.entry(message)


def line_cancelled(message: Json, *places: int) -> Json:
    items = [
        item | ({"status": 7} if place in places else {}) for place, item in enumerate(message["items"], 1)
    ]
    return message | {"items": items}


def pay(books: OneProcess, organisation: Organisation, document: Document, amount: object) -> None:
    assert change_document(books.xero, organisation, document, {"Pay": str(amount)}).status == 200


def problem(entry: Entry) -> str:
    assert entry.correction is not None
    assert entry.correction.problem is not None
    return entry.correction.problem.code


def figures(*documents: Document) -> tuple[Decimal, Decimal, Decimal]:
    """Net, tax and total of them together."""
    return (
        sum((document.sub_total for document in documents), D(0)),
        sum((document.total_tax for document in documents), D(0)),
        sum((document.total for document in documents), D(0)),
    )


def lines(document: Document) -> list[tuple[Any, ...]]:
    return [
        (line.description, line.quantity, line.unit_amount, line.tax_type, line.account_code)
        for line in document.lines
    ]


# --- twelve cases, from draft to paid ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["DRAFT", "SUBMITTED"])
def test_british_draft_is_deleted_and_leaves_no_credit_note(books: OneProcess, status: str) -> None:
    company(books, invoice_status=status)
    message = order(MUGS)
    invoice = posted(books, message)
    entry = cancelled(books, message)
    assert (invoice.status, entry.reason, entry.credit_notes) == ("DELETED", "", ())
    assert [note.details for note in invoice.history if note.details] == [
        "Kornit X order 61530418: deleted, asked for by Ada. The order is now cancelled."
    ]


def test_british_approved_invoice_is_credited_line_by_line_and_nothing_is_due(books: OneProcess) -> None:
    organisation = company(books, tracking_categories=[{"Name": "Region", "Option": "North"}])
    theme = organisation.branding_themes[1].id
    books.save_settings(COMPANY, branding_theme_id=theme)
    message = order(MUGS, BIB)
    invoice = posted(books, message)
    cancelled(books, message)
    note = in_xero(books, f"{NUMBER}-CN")
    assert lines(note) == lines(invoice)
    assert figures(note) == figures(invoice)
    assert (note.contact_id, note.currency, note.line_amount_types) == (
        invoice.contact_id,
        invoice.currency,
        invoice.line_amount_types,
    )
    assert [line.tracking for line in note.lines] == [line.tracking for line in invoice.lines]
    assert (note.reference, note.branding_theme_id, note.dated_on) == (NUMBER, theme, date(2026, 11, 23))
    assert (invoice.status, invoice.outstanding, invoice.amount_allocated) == ("PAID", D(0), invoice.total)
    assert [one.details for one in (*note.history, *invoice.history) if one.details] == [
        f"Kornit X order 61530418: credited by {NUMBER}-CN, asked for by Ada. The order is now cancelled."
    ] * 2


def test_australian_invoice_paid_in_part_is_credited_in_full_and_allocated_as_far_as_it_is_due(
    books: OneProcess,
) -> None:
    organisation = company(books, "AU")
    message = order(
        sold("22.7273", "25.00", "10", 4),
        shipping_tax_rate="10",
        shipping_price="9.09",
        shipping_price_inc_tax="10.00",
    )
    invoice = posted(books, message)
    pay(books, organisation, invoice, "40.00")
    cancelled(books, message)
    note = in_xero(books, f"{NUMBER}-CN")
    assert figures(note) == figures(invoice) == (D("100.00"), D("10.00"), D("110.00"))
    assert (note.amount_allocated, note.outstanding, note.status) == (D(70), D(40), "AUTHORISED")
    assert (invoice.status, invoice.amount_paid, invoice.amount_allocated) == ("PAID", D(40), D(70))


def test_australian_invoice_that_is_paid_is_credited_and_the_note_stays_open(books: OneProcess) -> None:
    organisation = company(books, "AU", void_approved=True)
    message = order(sold("22.7273", "25.00", "10", 4), **NO_SHIPPING)
    invoice = posted(books, message)
    pay(books, organisation, invoice, invoice.total)
    entry = cancelled(books, message)
    note = in_xero(books, f"{NUMBER}-CN")
    assert (entry.reason, invoice.status) == ("", "PAID")
    assert (note.total, note.outstanding, note.allocations) == (invoice.total, invoice.total, [])


def test_american_sales_tax_is_credited_to_the_cent_and_the_rest_of_the_invoice_stands(
    books: OneProcess,
) -> None:
    organisation = company(books, "US", cancellations="all")
    rate = next(one for one in organisation.tax_rates.values() if one.tax_type == "OUTPUT")
    percent = rate.effective / 100
    net, shipping = D("19.99"), {"shipping_price": "5.00", "shipping_price_inc_tax": None}
    message = order(
        sold(str(net), None, str(percent)),
        sold("3.33", None, str(percent), 3),
        **shipping,
        shipping_tax_rate="0",
    )
    invoice = posted(books, message)
    assert invoice.line_amount_types == "Exclusive"
    books.send(line_cancelled(message, 1))
    books.run()
    note = in_xero(books, f"{NUMBER}-CN")
    assert (note.sub_total, note.total_tax) == (net, invoice.lines[0].tax_amount)
    assert invoice.outstanding == invoice.total - note.total > 0
    books.send(message | CANCELLED)
    books.run()
    assert figures(note, in_xero(books, f"{NUMBER}-CN2")) == figures(invoice)


def test_american_draft_with_one_line_cancelled_is_posted_again_with_the_rest(books: OneProcess) -> None:
    company(books, "US", invoice_status="DRAFT", cancellations="drafts")
    message = order(sold("20.00", None, "0"), sold("5.00", None, "0"), **NO_SHIPPING)
    first = posted(books, message)
    books.send(line_cancelled(message, 2))
    books.run()
    again = in_xero_invoice(books, f"{NUMBER}-2")
    assert (first.status, again.status, again.total) == ("DELETED", "DRAFT", D(20))
    assert [line.description for line in again.lines] == ["Thing 1, S1"]


@pytest.mark.parametrize("lock", ["period_lock_date", "end_of_year_lock_date"])
def test_credit_note_moves_out_of_a_locked_period_and_the_locked_invoice_stays(
    books: OneProcess, lock: str
) -> None:
    organisation = company(books, void_approved=True)
    message = order(MUGS)
    invoice = posted(books, message)
    setattr(organisation, lock, date(2026, 11, 30))
    books.organisations.forget(organisation.id)
    entry = cancelled(books, message)
    note = in_xero(books, f"{NUMBER}-CN")
    assert (note.dated_on, note.total) == (date(2026, 12, 1), invoice.total)
    assert (invoice.dated_on, invoice.total, entry.credit_notes[0].number) == (
        date(2026, 11, 20),
        note.total,
        note.number,
    )


def test_lock_date_set_a_moment_ago_is_read_and_the_note_moved(books: OneProcess) -> None:
    organisation = company(books)
    message = order(MUGS)
    posted(books, message)
    organisation.period_lock_date = date(2026, 11, 30)
    books.xero.unconfirmed.choose("allocation_in_a_locked_period", "accepted")
    entry = cancelled(books, message)
    assert (entry.reason, in_xero(books, f"{NUMBER}-CN").dated_on) == ("", date(2026, 12, 1))


def test_foreign_currency_is_credited_at_the_invoice_s_rate_and_not_at_the_day_s(books: OneProcess) -> None:
    company(books)
    message = order(MUGS, currency_code="EUR")
    invoice = posted(books, message)
    books.clock.advance(timedelta(days=4).total_seconds())
    cancelled(books, message)
    note = in_xero(books, f"{NUMBER}-CN")
    assert note.dated_on == date(2026, 11, 27)
    assert (note.currency, note.currency_rate) == ("EUR", invoice.currency_rate)
    assert invoice.outstanding == 0


def tracked(books: OneProcess, country: str = "UK", **settings: Any) -> Organisation:
    return company(books, country, process_method="tracked", **settings)


def stocked(organisation: Organisation, code: str, pieces: int, cost: str) -> None:
    """A bill has brought so many pieces at that cost."""
    item = organisation.items[code]
    item.on_hand, item.cost_pool, item.average_cost = D(pieces), pieces * D(cost), D(cost)


def with_stock(books: OneProcess, organisation: Organisation, message: Json, pieces: int = 10) -> Document:
    """The invoice of an order whose item was in stock."""
    other = order(MUGS, id=61530000, ref="OTHER")
    books.send(other)
    books.run()
    for document in [*organisation.documents.values()]:
        assert document.number == "KX-61530000"
    item = organisation.items["S1"]
    item.on_back_order = D(0)
    stocked(organisation, "S1", pieces, "4.00")
    return posted(books, message)


def test_tracked_order_cancelled_before_production_brings_stock_and_cost_back(books: OneProcess) -> None:
    organisation = tracked(books)
    message = order(MUGS)
    invoice = with_stock(books, organisation, message)
    item = organisation.items["S1"]
    assert (item.on_hand, item.cost_pool) == (D(7), D(28))
    entry = cancelled(books, message)
    note = in_xero(books, f"{NUMBER}-CN")
    assert [line.item_code for line in note.lines] == ["S1", None]
    assert (item.on_hand, item.cost_pool) == (D(10), D(40))
    assert figures(note) == figures(invoice)
    assert (_of_kind(books, "PURCHASEORDER", NUMBER).status, entry.reason) == ("DELETED", "")


@pytest.mark.parametrize(("goods_are_back", "on_hand"), [(False, 7), (True, 10)])
def test_tracked_order_cancelled_in_production_leaves_stock_alone_unless_the_goods_are_back(
    books: OneProcess, on_hand: int, *, goods_are_back: bool
) -> None:
    organisation = tracked(books)
    message = order(MUGS)
    with_stock(books, organisation, message)
    made = message | {"status": 4, "status_name": "In Production"}
    books.send(made)
    entry = cancelled(books, made, goods_are_back=goods_are_back)
    note = in_xero(books, f"{NUMBER}-CN")
    assert note.lines[0].item_code == ("S1" if goods_are_back else None)
    assert (organisation.items["S1"].on_hand, organisation.items["S1"].cost_pool) == (
        D(on_hand),
        D(on_hand * 4),
    )
    assert (_of_kind(books, "PURCHASEORDER", NUMBER).status, entry.reason) == ("DRAFT", "ask_supplier")


def test_refund_in_part_is_credited_by_quantity_and_by_amount_as_a_person_enters_it(
    books: OneProcess,
) -> None:
    company(books, cancellations="all")
    message = order(MUGS, BIB)
    invoice = posted(books, message)
    books.send(message | REFUNDED)
    books.run()
    assert (books.entry(message).reason, books.entry(message).correction) == ("changed", None)
    entry = credited(books, message, Credited(1, pieces="1"), Credited(2, amount="2.50"))
    note = in_xero(books, f"{NUMBER}-CN")
    assert [(line.quantity, line.unit_amount, line.tax_amount) for line in note.lines] == [
        (D(1), D(12), D(2)),
        (D(1), D("2.50"), D(0)),
    ]
    assert (entry.reason, note.total, invoice.outstanding) == (
        "",
        D("14.50"),
        invoice.total - note.total,
    )
    credited(books, message, Credited(1, pieces="2"))
    assert in_xero(books, f"{NUMBER}-CN2").total == 24
    entry = credited(books, message, Credited(1, pieces="1"))
    assert (problem(entry), len(entry.credit_notes)) == ("credit_too_much", 2)


# --- days --------------------------------------------------------------------------------------------------------


def test_note_is_dated_the_organisation_s_day_of_the_first_message_that_cancelled(books: OneProcess) -> None:
    company(books, "AU")
    message = order(sold("22.7273", "25.00", "10"), **NO_SHIPPING)
    posted(books, message)
    books.clock.advance((AT_NOON + timedelta(hours=2) - books.clock.now()).total_seconds())
    books.send(message | CANCELLED)
    books.clock.advance(timedelta(days=3).total_seconds())
    books.send(message | CANCELLED)
    ask(books, message, "cancel")
    books.run()
    # 14:00 on the 23rd in Greenwich is the 24th in Sydney
    assert in_xero(books, f"{NUMBER}-CN").dated_on == date(2026, 11, 24)


def test_second_credit_is_dated_the_day_on_which_a_person_asked_for_it(books: OneProcess) -> None:
    company(books)
    message = order(MUGS, BIB)
    posted(books, message)
    books.send(message | REFUNDED)
    credited(books, message, Credited(1, pieces="1"))
    books.clock.advance(timedelta(days=20).total_seconds())
    credited(books, message, Credited(1, pieces="1"))
    days = [in_xero(books, f"{NUMBER}-CN{which}").dated_on for which in ("", "2")]
    assert days == [date(2026, 11, 23), date(2026, 12, 13)]


# --- numbers -----------------------------------------------------------------------------------------------------


def by_hand(books: OneProcess, organisation: Organisation, number: str, reference: str = "by hand") -> None:
    """A credit note that a person enters in Xero."""
    note = {
        "Type": "ACCRECCREDIT",
        "CreditNoteNumber": number,
        "Reference": reference,
        "Status": "AUTHORISED",
        "Contact": {"ContactID": next(iter(organisation.contacts))},
        "DueDate": "2026-12-01",
        "LineItems": [{"Description": "By hand", "UnitAmount": "5.00", "AccountCode": "200"}],
    }
    assert add_document(books.xero, organisation, note).status == 200


def test_number_of_somebody_else_s_note_is_left_to_it_and_no_number_is_used_twice(books: OneProcess) -> None:
    organisation = company(books)
    by_hand(books, organisation, f"{NUMBER}-CN")
    message = order(MUGS, BIB)
    posted(books, message)
    for _ in range(2):
        credited(books, message, Credited(1, pieces="1"))
    entry = books.entry(message)
    assert [(note.number, note.total) for note in entry.credit_notes] == [
        (f"{NUMBER}-CN2", "12.00"),
        (f"{NUMBER}-CN3", "12.00"),
    ]
    assert len({note.id for note in entry.credit_notes}) == 2


def test_invoice_that_a_person_has_credited_by_hand_is_not_credited_again(books: OneProcess) -> None:
    organisation = company(books, cancellations="all")
    message = order(MUGS)
    invoice = posted(books, message)
    by_hand(books, organisation, "CN-1")
    note = _of_kind(books, "ACCRECCREDIT", "CN-1")
    assert (
        change_document(books.xero, organisation, note, {"Allocate": {"Invoice": invoice.id}}).status == 200
    )
    books.send(message | CANCELLED)
    books.run()
    assert problem(books.entry(message)) == "credited_by_hand"
    assert books.entry(message).credit_notes == ()


def test_credit_note_that_a_person_voids_in_xero_makes_room_for_another(books: OneProcess) -> None:
    organisation = company(books)
    message = order(MUGS, **NO_SHIPPING)
    invoice = posted(books, message)
    credited(books, message, Credited(1, pieces="2"))
    note = in_xero(books, f"{NUMBER}-CN")
    for change in ({"Unallocate": True}, {"Status": "VOIDED"}):
        assert change_document(books.xero, organisation, note, change).status == 200
    cancelled(books, message)
    again = in_xero(books, f"{NUMBER}-CN2")
    assert (figures(again), invoice.outstanding) == (figures(invoice), D(0))


# --- lines -------------------------------------------------------------------------------------------------------


def test_coupon_line_is_credited_with_its_negative_price(books: OneProcess) -> None:
    company(books)
    message = order(MUGS, sold("-5.00", "-6.00", "0.2"))
    invoice = posted(books, message)
    cancelled(books, message)
    note = in_xero(books, f"{NUMBER}-CN")
    assert [line.unit_amount for line in note.lines] == [12, -6, D("3.95")]
    assert figures(note) == figures(invoice)


def test_more_than_a_coupon_leaves_of_the_invoice_is_not_credited(books: OneProcess) -> None:
    company(books)
    message = order(MUGS, sold("-25.00", "-30.00", "0.2"), **NO_SHIPPING)
    posted(books, message)
    assert problem(credited(books, message, Credited(1, pieces="3"))) == "credit_too_much"
    ask(books, message, "done_by_hand")
    raised = credited(books, message, Credited(2, pieces="1"))
    assert problem(raised) == "credit_too_much"
    assert raised.correction
    assert raised.correction.problem
    assert "30.00 GBP would have to be billed again" in raised.correction.problem.sentence
    assert raised.correction.problem.fix.startswith("Bill 30.00 GBP in Xero by hand.")
    ask(books, message, "done_by_hand")
    entry = credited(books, message, Credited(1, pieces="3"), Credited(2, pieces="1"))
    assert [note.total for note in entry.credit_notes] == ["6.00"]


def test_line_whose_price_xero_can_t_hold_is_credited_piece_by_piece_to_its_last_cent(
    books: OneProcess,
) -> None:
    company(books)
    message = order(sold("3.61111111", "4.33333333", "0.2", 3), **NO_SHIPPING)
    invoice = posted(books, message)
    assert [(line.quantity, line.line_amount) for line in invoice.lines] == [(D(1), D(13))]
    notes = []
    for which in ("", "2", "3"):
        credited(books, message, Credited(1, pieces="1"))
        notes.append(in_xero(books, f"{NUMBER}-CN{which}"))
    assert [note.total for note in notes] == [D("4.33"), D("4.34"), D("4.33")]
    assert figures(*notes) == figures(invoice)


def test_tracked_item_in_two_lines_is_credited_from_the_first_on(books: OneProcess) -> None:
    organisation = tracked(books, "UK", line_amounts="exclusive")
    message = order(sold(None, "13.00", "0.2", 250), **NO_SHIPPING)
    invoice = posted(books, message)
    assert [line.unit_amount for line in invoice.lines] == [D("10.8334"), D("10.8333")]
    before = organisation.items["S1"].on_back_order
    pieces = [int(invoice.lines[0].quantity) + 20, 250 - int(invoice.lines[0].quantity) - 20]
    notes = []
    for many, which in zip(pieces, ("", "2"), strict=True):
        credited(books, message, Credited(1, pieces=str(many)))
        notes.append(in_xero(books, f"{NUMBER}-CN{which}"))
    assert [sum(line.quantity for line in note.lines if line.item_code) for note in notes] == pieces
    assert figures(*notes)[2] == invoice.total
    assert abs(figures(*notes)[1] - invoice.total_tax) <= D("0.02")
    assert organisation.items["S1"].on_back_order == before - 250


def test_shipping_is_credited_only_with_the_whole_order(books: OneProcess) -> None:
    company(books, cancellations="all")
    message = order(MUGS, BIB)
    invoice = posted(books, message)
    books.send(line_cancelled(message, 1))
    books.run()
    assert in_xero(books, f"{NUMBER}-CN").total == 36
    books.send(line_cancelled(message, 1, 2))
    books.run()
    last = in_xero(books, f"{NUMBER}-CN2")
    assert [line.line_amount for line in last.lines] == [D("8.50"), D("3.95")]
    assert invoice.outstanding == 0


def test_last_note_takes_the_rounding_line_and_the_last_cent(books: OneProcess) -> None:
    company(books)
    thirds = sold("0.33333333", "0.33333333", "0", 1)
    message = order(thirds, thirds, thirds, sold("0.3333", "0.3333", "0", 3), **NO_SHIPPING)
    invoice = posted(books, message)
    assert invoice.lines[-1].description == "Rounding"
    credited(books, message, Credited(4, pieces="1"))
    credited(books, message, Credited(4, pieces="2"), Credited(1, pieces="1"))
    notes = [in_xero(books, f"{NUMBER}-CN{which}") for which in ("", "2")]
    assert not any(line.description == "Rounding" for note in notes for line in note.lines)
    cancelled(books, message)
    last = in_xero(books, f"{NUMBER}-CN3")
    own = invoice.lines[-1]
    assert (last.lines[-1].description, last.lines[-1].account_code, last.lines[-1].tax_type) == (
        "Rounding",
        own.account_code,
        own.tax_type,
    )
    assert figures(*notes, last) == figures(invoice)


def test_the_last_cent_is_taken_by_a_person_s_last_credit_too(books: OneProcess) -> None:
    company(books)
    message = order(sold("0.3333", "0.3333", "0", 3), **NO_SHIPPING)
    invoice = posted(books, message)
    for _ in range(3):
        entry = credited(books, message, Credited(1, pieces="1"))
    assert [note.total for note in entry.credit_notes] == ["0.33", "0.33", "0.34"]
    assert (invoice.total, invoice.outstanding) == (D(1), D(0))


@pytest.mark.parametrize("ties", ["half_up", "half_even"])
def test_no_note_depends_on_how_xero_rounds_half_a_cent(books: OneProcess, ties: Any) -> None:
    organisation = company(books, line_amounts="exclusive")
    organisation.tie_rounding = ties
    message = order(sold("0.1250", "0.15", "0.2", 4), sold("0.50", "0.525", "0.05", 2), **NO_SHIPPING)
    invoice = posted(books, message)
    for place in (1, 2):
        credited(books, message, Credited(place, pieces="1"))
    cancelled(books, message)
    notes = [in_xero(books, f"{NUMBER}-CN{which}") for which in ("", "2", "3")]
    assert [note.total for note in notes[:2]] == [D("0.16"), D("0.53")]
    assert figures(*notes) == figures(invoice)


def test_line_that_was_credited_in_part_and_is_then_cancelled_is_credited_for_the_rest(
    books: OneProcess,
) -> None:
    company(books, cancellations="all")
    message = order(MUGS, BIB)
    posted(books, message)
    credited(books, message, Credited(1, pieces="1"))
    books.send(line_cancelled(message, 1))
    books.run()
    entry = books.entry(message)
    assert [(one.line, one.pieces) for one in entry.credit_notes[1].credited] == [(1, "2")]
    assert (entry.reason, len(entry.credit_notes)) == ("", 2)


def test_cancelled_line_that_costs_nothing_needs_no_note(books: OneProcess) -> None:
    company(books, cancellations="all")
    message = order(MUGS, sold("0", "0", "0.2"))
    posted(books, message)
    books.send(line_cancelled(message, 2))
    books.run()
    assert (books.entry(message).reason, books.entry(message).credit_notes) == ("", ())


def test_line_cancelled_while_another_one_is_being_credited_is_credited_after_it(books: OneProcess) -> None:
    company(books, cancellations="all", credit_note_status="DRAFT")
    message = order(MUGS, BIB)
    posted(books, message)
    books.send(line_cancelled(message, 1))
    books.run(timedelta(minutes=5))
    assert books.entry(message).reason == "note_is_draft"
    books.send(line_cancelled(message, 1, 2))
    in_xero(books, f"{NUMBER}-CN").status = "AUTHORISED"
    books.run(timedelta(hours=2), until_quiet=False)
    entry = books.entry(message)
    assert [[one.line for one in note.credited] for note in entry.credit_notes] == [[1], [2, 0]]


# --- voids -------------------------------------------------------------------------------------------------------


def test_approved_invoice_of_this_month_is_voided_where_the_setting_allows_it(books: OneProcess) -> None:
    company(books, void_approved=True)
    message = order(MUGS)
    invoice = posted(books, message)
    entry = cancelled(books, message)
    assert (invoice.status, entry.credit_notes, entry.reason) == ("VOIDED", (), "")
    assert [note.details for note in invoice.history if note.details] == [
        "Kornit X order 61530418: voided, asked for by Ada. The order is now cancelled."
    ]


@pytest.mark.parametrize(
    "why", ["not allowed", "sent", "last month", "locked", "paid in part", "credited", "made, with stock"]
)
def test_approved_invoice_is_credited_where_one_condition_of_a_void_is_missing(
    books: OneProcess, why: str
) -> None:
    settings = {"process_method": "tracked"} if why == "made, with stock" else {}
    organisation = company(books, void_approved=why != "not allowed", **settings)
    message = order(MUGS, BIB)
    invoice = posted(books, message)
    if why == "sent":
        invoice.sent_to_contact = True
    elif why == "last month":
        books.clock.advance(timedelta(days=10).total_seconds())
    elif why == "locked":
        organisation.period_lock_date = date(2026, 11, 20)
        books.organisations.forget(organisation.id)
        books.xero.unconfirmed.choose("allocation_in_a_locked_period", "accepted")
    elif why == "paid in part":
        pay(books, organisation, invoice, "1.00")
    elif why == "credited":
        credited(books, message, Credited(1, pieces="1"))
    elif why == "made, with stock":
        message |= {"status": 4, "status_name": "In Production"}
        books.send(message)
    entry = cancelled(books, message)
    assert entry.credit_notes
    assert (invoice.status, invoice.outstanding) == ("PAID", D(0))


def test_month_of_a_void_is_the_organisation_s_own(books: OneProcess) -> None:
    company(books, "AU", void_approved=True)
    books.clock.advance((datetime(2026, 11, 30, 12, 0, tzinfo=UTC) - books.clock.now()).total_seconds())
    message = order(sold("22.7273", "25.00", "10"), **NO_SHIPPING, sale_datetime="2026-11-30 20:00:00")
    invoice = posted(books, message)
    books.clock.advance((datetime(2026, 11, 30, 14, 0, tzinfo=UTC) - books.clock.now()).total_seconds())
    # in Sydney it is December by now
    assert cancelled(books, message).credit_notes
    assert invoice.status == "PAID"


def test_nil_invoice_is_voided_and_its_stock_returns(books: OneProcess) -> None:
    organisation = tracked(books, free_of_charge="nil_invoice")
    gift = order(MUGS, is_free_of_charge=True)
    invoice = with_stock(books, organisation, gift)
    assert (invoice.total, organisation.items["S1"].on_hand) == (D(0), D(7))
    entry = cancelled(books, gift)
    assert (invoice.status, entry.credit_notes, entry.reason) == ("VOIDED", (), "")
    assert organisation.items["S1"].on_hand == 10


# --- purchase orders ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["in production", "billed", "sent", "a line only"])
def test_purchase_order_stays_and_the_supplier_is_to_be_asked(books: OneProcess, why: str) -> None:
    status = "AUTHORISED" if why in ("billed", "sent") else "DRAFT"
    organisation = tracked(books, purchase_order_status=status)
    message = order(MUGS, BIB)
    posted(books, message)
    purchase = _of_kind(books, "PURCHASEORDER", NUMBER)
    if why == "in production":
        message |= {"status": 4, "status_name": "In Production"}
        books.send(message)
    elif why == "billed":
        assert change_document(books.xero, organisation, purchase, {"Status": "BILLED"}).status == 200
    elif why == "sent":
        purchase.sent_to_contact = True
    before = _of_kind(books, "PURCHASEORDER", NUMBER).status
    if why == "a line only":
        books.send(line_cancelled(message, 1))
        ask(books, message, "cancel")
        books.run()
        entry = books.entry(message)
    else:
        entry = cancelled(books, message)
    assert (_of_kind(books, "PURCHASEORDER", NUMBER).status, entry.reason) == (before, "ask_supplier")
    assert in_xero_invoice(books).amount_allocated > 0
    ask(books, message, "done_by_hand")
    assert books.entry(message).reason == ""


def test_platform_hears_once_what_was_done_with_the_numbers(books: OneProcess) -> None:
    tracked(books)
    message = order(MUGS, BIB)
    posted(books, message)
    books.send(line_cancelled(message, 1))
    ask(books, message, "cancel")
    books.run()
    [first] = books.bus.of("OrderCorrected")
    assert [(one["number"], one["status"], one["total"]) for one in first["corrected"]] == [
        (f"{NUMBER}-CN", "PAID", "36.00")
    ]
    cancelled(books, message)
    _, second = books.bus.of("OrderCorrected")
    assert [(one["kind"], one["number"], one["status"]) for one in second["corrected"]] == [
        ("purchase_order", NUMBER, "DELETED"),
        ("credit_note", f"{NUMBER}-CN", "PAID"),
        ("credit_note", f"{NUMBER}-CN2", "PAID"),
    ]
    assert [one["kind"] for one in second["documents"]] == ["invoice"]


def test_supplier_is_to_be_asked_where_a_draft_is_posted_again_without_a_cancelled_line(
    books: OneProcess,
) -> None:
    tracked(books, invoice_status="DRAFT")
    message = order(MUGS, BIB)
    posted(books, message)
    books.send(line_cancelled(message, 1))
    ask(books, message, "cancel")
    books.run()
    entry = books.entry(message)
    assert (entry.number, entry.reason) == (f"{NUMBER}-2", "ask_supplier")
    assert in_xero_invoice(books, f"{NUMBER}-2").status == "DRAFT"
    assert _of_kind(books, "PURCHASEORDER", NUMBER).status == "DRAFT"
    # cancelled as a whole, the second draft and the purchase order go as well
    books.save_settings(COMPANY, cancellations="all")
    books.send(message | CANCELLED)
    books.run()
    assert in_xero_invoice(books, f"{NUMBER}-2").status == "DELETED"
    assert (_of_kind(books, "PURCHASEORDER", NUMBER).status, books.entry(message).reason) == ("DELETED", "")


def test_purchase_order_of_a_gift_is_posted_again_only_once_it_is_deleted(books: OneProcess) -> None:
    organisation = tracked(books)
    gift = order(MUGS, is_free_of_charge=True)
    books.send(gift)
    books.run()
    purchase = _of_kind(books, "PURCHASEORDER", NUMBER)
    assert change_document(books.xero, organisation, purchase, {"Date": "2026-11-24"}).status == 200
    assert problem(cancelled(books, gift)) == "document_edited"
    ask(books, gift, "post_again")
    books.run()
    assert problem(books.entry(gift)) == "still_in_xero"
    assert change_document(books.xero, organisation, purchase, {"Status": "DELETED"}).status == 200
    books.send(gift)
    ask(books, gift, "try_again")
    books.run()
    assert _of_kind(books, "PURCHASEORDER", f"{NUMBER}-2").status == "DRAFT"

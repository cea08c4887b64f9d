"""Xero's own Python SDK takes the simulated Xero for Xero: it writes, reads and decodes everything through it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from xero_python.accounting import (
    AccountingApi,
    Allocation,
    Allocations,
    Contact,
    Contacts,
    CreditNote,
    CreditNotes,
    Currency,
    CurrencyCode,
    HistoryRecord,
    HistoryRecords,
    Invoice,
    Invoices,
    Item,
    Items,
    LineAmountTypes,
    LineItem,
    Purchase,
    PurchaseOrder,
    PurchaseOrders,
)
from xero_python.api_client import ApiClient, Configuration
from xero_python.api_client.oauth2 import OAuth2Token
from xero_python.exceptions import AccountingBadRequestException, HTTPStatusException
from xero_python.identity import IdentityApi

from local.xero.clock import WallClock
from local.xero.server import make_server
from local.xero.visitor import Visitor
from local.xero.world import World


@dataclass
class Sdk:
    books: Any
    identity: Any
    tenant: str
    visitor: Visitor


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, World]]:
    world = World(WallClock(), demo=False)
    server = make_server(world, 0)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    yield f"http://localhost:{server.port}", world
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def xero(address: tuple[str, World]) -> Sdk:
    url, world = address
    visitor = Visitor(world)
    # The SDK sends the scopes back with a refresh and wants them as a list.
    token = {**visitor.tokens, "scope": visitor.tokens["scope"].split()}
    configuration = Configuration(oauth2_token=OAuth2Token(visitor.app.client_id, visitor.app.secret))
    client = ApiClient(configuration)
    client.oauth2_token_getter(lambda: token)
    client.oauth2_token_saver(lambda _: None)
    return Sdk(
        AccountingApi(client, base_url=f"{url}/api.xro/2.0"),
        IdentityApi(client, base_url=url),
        visitor.organisation.id,
        visitor,
    )


def invoice(xero: Sdk, number: str = "KX-1", account: str = "200") -> Any:
    return Invoice(
        type="ACCREC",
        invoice_number=number,
        contact=Contact(contact_id=xero.visitor.contact.id),
        date=date(2026, 11, 23),
        due_date=date(2026, 12, 23),
        line_amount_types=LineAmountTypes.INCLUSIVE,
        reference="5C1F",
        status="AUTHORISED",
        line_items=[
            LineItem(
                description="Mug", quantity=2.0, unit_amount=13.0, account_code=account, tax_type="OUTPUT2"
            )
        ],
    )


def test_invoices_are_created_and_read_back(xero: Sdk) -> None:
    created = xero.books.create_invoices(xero.tenant, Invoices(invoices=[invoice(xero)]), unitdp=4).invoices[
        0
    ]
    assert (created.sub_total, created.total_tax, created.total) == (
        Decimal("21.67"),
        Decimal("4.33"),
        Decimal("26.00"),
    )
    read = xero.books.get_invoice(xero.tenant, created.invoice_id).invoices[0]
    assert (read.invoice_number, read.date, read.due_date) == ("KX-1", date(2026, 11, 23), date(2026, 12, 23))
    assert read.line_amount_types is LineAmountTypes.INCLUSIVE
    assert read.currency_code is CurrencyCode.GBP
    found = xero.books.get_invoices(
        xero.tenant, invoice_numbers=["KX-1", "KX-2"], page=1, page_size=50, created_by_my_app=True
    )
    assert [one.invoice_id for one in found.invoices] == [created.invoice_id]
    assert found.pagination.item_count == 1


def test_a_refused_invoice_raises_with_xeros_words(xero: Sdk) -> None:
    with pytest.raises(AccountingBadRequestException) as refused:
        xero.books.create_invoices(
            xero.tenant, Invoices(invoices=[invoice(xero, account="999")]), summarize_errors=True
        )
    assert refused.value.status == 400
    assert refused.value.reason == "Account code '999' is not a valid code for this document."


def test_a_batch_answers_for_each_element(xero: Sdk) -> None:
    batch = Invoices(invoices=[invoice(xero), invoice(xero)])
    answered = xero.books.create_invoices(xero.tenant, batch, summarize_errors=False).invoices
    assert [one.status_attribute_string for one in answered] == ["OK", "ERROR"]
    assert answered[1].has_errors
    assert [error.message for error in answered[1].validation_errors] == ["Invoice # must be unique."]


def test_update_or_create_overwrites(xero: Sdk) -> None:
    first = xero.books.create_invoices(xero.tenant, Invoices(invoices=[invoice(xero)])).invoices[0]
    again = xero.books.update_or_create_invoices(xero.tenant, Invoices(invoices=[invoice(xero)])).invoices[0]
    assert again.invoice_id == first.invoice_id
    void = Invoices(invoices=[Invoice(invoice_id=first.invoice_id, status="VOIDED")])
    assert xero.books.update_invoice(xero.tenant, first.invoice_id, void).invoices[0].status == "VOIDED"


def test_purchase_orders_are_created_and_read_back(xero: Sdk) -> None:
    order = PurchaseOrder(
        purchase_order_number="KX-1",
        contact=Contact(contact_id=xero.visitor.contact.id),
        date=date(2026, 11, 23),
        status="AUTHORISED",
        line_items=[
            LineItem(
                description="Blank", quantity=3.0, unit_amount=9.4, account_code="310", tax_type="INPUT2"
            )
        ],
    )
    batch = PurchaseOrders(purchase_orders=[order])
    created = xero.books.create_purchase_orders(xero.tenant, batch).purchase_orders[0]
    assert created.sub_total == Decimal("28.20")
    assert (
        xero.books.get_purchase_order_by_number(xero.tenant, "KX-1").purchase_orders[0].status == "AUTHORISED"
    )
    assert len(xero.books.get_purchase_orders(xero.tenant, page=1).purchase_orders) == 1


def credit_note(xero: Sdk, number: str = "KX-1-CN", amount: float = 13.0) -> Any:
    return CreditNote(
        type="ACCRECCREDIT",
        credit_note_number=number,
        contact=Contact(contact_id=xero.visitor.contact.id),
        date=date(2026, 11, 24),
        line_amount_types=LineAmountTypes.INCLUSIVE,
        reference="KX-1",
        status="AUTHORISED",
        line_items=[LineItem(description="Mug", unit_amount=amount, account_code="200", tax_type="OUTPUT2")],
    )


def test_credit_notes_are_created_and_read_back(xero: Sdk) -> None:
    notes = CreditNotes(credit_notes=[credit_note(xero), credit_note(xero, "KX-2-CN"), credit_note(xero)])
    answered = xero.books.create_credit_notes(
        xero.tenant, notes, summarize_errors=False, unitdp=4
    ).credit_notes
    assert [one.status_attribute_string for one in answered] == ["OK", "OK", "ERROR"]
    assert [error.message for error in answered[2].validation_errors] == ["Credit Note # must be unique."]
    created = answered[0]
    assert (created.sub_total, created.total_tax, created.total, created.remaining_credit) == (
        Decimal("10.83"),
        Decimal("2.17"),
        13,
        13,
    )
    read = xero.books.get_credit_note(xero.tenant, created.credit_note_id, unitdp=4).credit_notes[0]
    assert (read.date, read.reference, read.line_amount_types) == (
        date(2026, 11, 24),
        "KX-1",
        LineAmountTypes.INCLUSIVE,
    )
    found = xero.books.get_credit_notes(
        xero.tenant,
        where="Date>=DateTime(2026,11,01) AND Date<DateTime(2026,12,01)",
        order="CreditNoteID",
        page=1,
        page_size=1000,
    )
    assert {one.credit_note_number for one in found.credit_notes} == {"KX-1-CN", "KX-2-CN"}
    assert (found.pagination.item_count, found.pagination.page_count) == (2, 1)
    again = xero.books.update_or_create_credit_notes(
        xero.tenant, CreditNotes(credit_notes=[credit_note(xero, amount=5.0)])
    )
    assert again.credit_notes[0].credit_note_id == created.credit_note_id


def test_credit_notes_are_allocated_and_the_allocation_is_deleted(xero: Sdk) -> None:
    sold = xero.books.create_invoices(xero.tenant, Invoices(invoices=[invoice(xero)])).invoices[0]
    credit = xero.books.create_credit_notes(xero.tenant, CreditNotes(credit_notes=[credit_note(xero)]))
    note_id = credit.credit_notes[0].credit_note_id

    def allocate(amount: float) -> Any:
        allocation = Allocation(
            invoice=Invoice(invoice_id=sold.invoice_id), amount=amount, date=date(2026, 11, 23)
        )
        batch = Allocations(allocations=[allocation])
        return xero.books.create_credit_note_allocation(xero.tenant, note_id, batch).allocations[0]

    made = allocate(12.5)
    assert (made.amount, made.invoice.invoice_id, made.credit_note.credit_note_id) == (
        Decimal("12.5"),
        sold.invoice_id,
        note_id,
    )
    with pytest.raises(AccountingBadRequestException) as refused:
        allocate(12.5)
    assert "greater than amount outstanding" in refused.value.reason
    read = xero.books.get_invoice(xero.tenant, sold.invoice_id).invoices[0]
    assert (read.amount_due, read.amount_paid, read.amount_credited) == (Decimal("13.5"), 0, Decimal("12.5"))
    assert read.credit_notes[0].applied_amount == Decimal("12.5")
    kept = xero.books.get_credit_note(xero.tenant, note_id).credit_notes[0]
    assert (kept.remaining_credit, kept.allocations[0].date) == (Decimal("0.5"), date(2026, 11, 24))
    allocation_id = kept.allocations[0].allocation_id
    deleted = xero.books.delete_credit_note_allocations(xero.tenant, note_id, allocation_id)
    assert (deleted.is_deleted, deleted.allocation_id) == (True, allocation_id)
    void = CreditNotes(credit_notes=[CreditNote(credit_note_id=note_id, status="VOIDED")])
    voided = xero.books.update_credit_note(xero.tenant, note_id, void, unitdp=4).credit_notes[0]
    assert (voided.status, voided.remaining_credit) == ("VOIDED", 0)


def test_what_a_person_did_after_posting_decodes(xero: Sdk) -> None:
    sold = xero.books.create_invoices(xero.tenant, Invoices(invoices=[invoice(xero)])).invoices[0]
    books = f"/_simulator/organisations/{xero.tenant}/documents"
    assert xero.visitor.site("PATCH", f"{books}/KX-1", json={"Pay": 26}).ok
    summary = xero.books.get_invoices(
        xero.tenant,
        where='Type=="ACCREC" AND Date>=DateTime(2026,11,01) AND Date<DateTime(2026,12,01)',
        order="InvoiceId",
        created_by_my_app=True,
        summary_only=True,
        page=1,
        page_size=1000,
    ).invoices[0]
    assert (summary.status, summary.amount_paid, summary.total_tax, summary.payments) == (
        "PAID",
        26,
        Decimal("4.33"),
        None,
    )
    read = xero.books.get_invoice(xero.tenant, sold.invoice_id).invoices[0]
    today = xero.visitor.organisation.today(xero.visitor.world.now())
    assert [(one.amount, one.date) for one in read.payments] == [(26, today)]
    assert read.fully_paid_on_date == today
    since = xero.visitor.world.now() + timedelta(days=1)
    assert xero.books.get_invoices(xero.tenant, if_modified_since=since).invoices == []


def test_histories_decode(xero: Sdk) -> None:
    sold = xero.books.create_invoices(xero.tenant, Invoices(invoices=[invoice(xero)])).invoices[0]
    credit = xero.books.create_credit_notes(xero.tenant, CreditNotes(credit_notes=[credit_note(xero)]))
    ordered = PurchaseOrder(
        contact=Contact(contact_id=xero.visitor.contact.id),
        line_items=[LineItem(description="Blank", unit_amount=9.4, account_code="310", tax_type="INPUT2")],
    )
    bought = xero.books.create_purchase_orders(xero.tenant, PurchaseOrders(purchase_orders=[ordered]))
    books, note = xero.books, HistoryRecords(history_records=[HistoryRecord(details="Cancelled by Ann")])
    for add, read, document_id in (
        (books.create_invoice_history, books.get_invoice_history, sold.invoice_id),
        (
            books.create_credit_note_history,
            books.get_credit_note_history,
            credit.credit_notes[0].credit_note_id,
        ),
        (
            books.create_purchase_order_history,
            books.get_purchase_order_history,
            bought.purchase_orders[0].purchase_order_id,
        ),
    ):
        assert add(xero.tenant, document_id, note).history_records[0].details == "Cancelled by Ann"
        newest = read(xero.tenant, document_id).history_records[0]
        assert (newest.details, newest.user) == ("Cancelled by Ann", "System Generated")
        assert isinstance(newest.date_utc, datetime)


def test_many_invoices_end_in_one_call(xero: Sdk) -> None:
    made = [invoice(xero, number) for number in ("KX-1", "KX-2")]
    made[1].status = "DRAFT"
    stored = xero.books.create_invoices(xero.tenant, Invoices(invoices=made)).invoices
    void = Invoices(invoices=[Invoice(invoice_id=one.invoice_id, status="VOIDED") for one in stored])
    answered = xero.books.update_or_create_invoices(
        xero.tenant, void, summarize_errors=False, unitdp=4
    ).invoices
    assert [(one.status, one.status_attribute_string) for one in answered] == [
        ("VOIDED", "OK"),
        ("VOIDED", "ERROR"),
    ]
    assert answered[1].validation_errors[0].message == "Invoice not of valid status for modification"


def test_items_are_created_and_read_back(xero: Sdk) -> None:
    tracked = Item(
        code="TEE",
        name="Tee",
        inventory_asset_account_code="630",
        sales_details=Purchase(unit_price=20.0, account_code="200", tax_type="OUTPUT2"),
        purchase_details=Purchase(unit_price=9.4, cogs_account_code="310", tax_type="INPUT2"),
    )
    created = xero.books.create_items(xero.tenant, Items(items=[tracked, Item(code="MUG")])).items
    assert [one.is_tracked_as_inventory for one in created] == [True, False]
    read = xero.books.get_item(xero.tenant, "TEE", unitdp=4).items[0]
    assert (read.quantity_on_hand, read.purchase_details.cogs_account_code) == (0, "310")
    assert len(xero.books.get_items(xero.tenant).items) == 2


def test_contacts_are_created_and_found(xero: Sdk) -> None:
    made = xero.books.create_contacts(xero.tenant, Contacts(contacts=[Contact(name="Zoë & Sons")])).contacts[
        0
    ]
    found = xero.books.get_contacts(xero.tenant, where='Name=="Zoë & Sons"').contacts
    assert [one.contact_id for one in found] == [made.contact_id]
    assert xero.books.get_contacts(xero.tenant, search_term="sons", page=1).contacts[0].name == "Zoë & Sons"
    assert xero.books.get_contact(xero.tenant, made.contact_id).contacts[0].contact_status == "ACTIVE"


def test_the_organisations_own_facts_decode(xero: Sdk) -> None:
    organisation = xero.books.get_organisations(xero.tenant).organisations[0]
    assert (organisation.short_code[0], organisation.base_currency) == ("!", CurrencyCode.GBP)
    actions = xero.books.get_organisation_actions(xero.tenant).actions
    assert {action.name for action in actions} >= {"UseMulticurrency", "CreateApprovedInvoice"}
    accounts = xero.books.get_accounts(xero.tenant, where='Type=="REVENUE"').accounts
    assert "200" in {account.code for account in accounts}
    rates = {rate.tax_type: rate.effective_rate for rate in xero.books.get_tax_rates(xero.tenant).tax_rates}
    assert rates["OUTPUT2"] == 20
    assert xero.books.get_tax_rate_by_tax_type(xero.tenant, "RROUTPUT").tax_rates[0].effective_rate == 5
    assert len(xero.books.get_currencies(xero.tenant).currencies) == 3
    added = xero.books.create_currency(
        xero.tenant, Currency(code=CurrencyCode.CHF, description="Swiss Franc")
    )
    assert added.currencies[0].code is CurrencyCode.CHF
    assert len(xero.books.get_branding_themes(xero.tenant).branding_themes) == 2
    assert len(xero.books.get_tracking_categories(xero.tenant).tracking_categories[0].options) == 2


def test_connections_decode(xero: Sdk) -> None:
    connection = xero.identity.get_connections()[0]
    assert (connection.tenant_id, connection.tenant_type) == (xero.tenant, "ORGANISATION")
    xero.identity.delete_connection(connection.id)
    with pytest.raises(HTTPStatusException) as refused:
        xero.books.get_organisations(xero.tenant)
    assert refused.value.status == 403

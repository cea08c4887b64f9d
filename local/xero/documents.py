"""What all documents share: numbers, currency, lock dates, lines, how they are stored, the record of a commit."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from local.xero import fields
from local.xero.calls import Call
from local.xero.contacts import MeantContact, meant_contact
from local.xero.lines import LINE_AMOUNT_TYPES, DocumentRules, line_as_given, read_line
from local.xero.organisations import DEAD, SALES, Document, DocumentKind, HistoryRecord, Line
from local.xero.query import page_of, sifted
from local.xero.replies import Reply
from local.xero.stock import move_stock, tracked_quantities, undo_stock
from local.xero.wire import Json

NO_LINES = "One or more line items must be specified"
SYSTEM = "System Generated"
A_PERSON = "Ada Moore"


@dataclass
class LinesReading:
    lines: list[Line]
    errors: list[list[str]]
    document_errors: list[str] = field(default_factory=list)


def read_lines(call: Call, given: Json, rules: DocumentRules, known: Document | None) -> LinesReading:
    """The document's lines. An update without any sends the stored ones again, rounded anew, unless it is paid."""
    posted = fields.parts(given, "LineItems")
    if posted is None and known and (known.payments or known.allocations):
        return LinesReading(list(known.lines), [[] for _ in known.lines])
    if posted is None and known:
        stored = [read_line(call, line_as_given(line), rules) for line in known.lines]
        return LinesReading(
            [reading.line for reading in stored], [], [error for one in stored for error in one.errors]
        )
    if not posted:
        # A credit note may be drafted with its contact alone.
        empty = rules.kind == "ACCRECCREDIT" and rules.status == "DRAFT"
        return LinesReading([], [], [] if empty else [NO_LINES])
    readings = [read_line(call, line, rules) for line in posted]
    return LinesReading([reading.line for reading in readings], [reading.errors for reading in readings])


def holders(call: Call, kind: DocumentKind, number: str) -> list[Document]:
    """The documents that keep others from having this number."""
    same_case = call.unconfirmed["number_case"] == "kept"
    found = list(call.organisation.numbered(kind, number, same_case=same_case))
    if kind == "ACCRECCREDIT" and call.unconfirmed["credit_note_number_of_an_invoice"] == "refused":
        found += call.organisation.numbered("ACCREC", number, same_case=same_case)
    if call.unconfirmed["dead_number_reuse"] == "allowed":
        found = [document for document in found if document.status not in DEAD]
    return found


def overwritten_by_post(call: Call, kind: DocumentKind, number: str) -> Document | None:
    """The document a POST under this number changes: a live one before a dead one."""
    same_case = call.unconfirmed["number_case"] == "kept"
    found = list(call.organisation.numbered(kind, number, same_case=same_case))
    live = [document for document in found if document.status not in DEAD]
    if live:
        return live[-1]
    return found[-1] if found and call.unconfirmed["post_on_dead_number"] == "refused" else None


def document_contact(call: Call, given: Json, known: Document | None, *, may_create: bool) -> MeantContact:
    """The contact that is given; an update without one keeps the document's."""
    if known and given.get("Contact") is None:
        return MeantContact(call.organisation.contacts[known.contact_id])
    return meant_contact(call, given, may_create=may_create)


def documents_page(
    call: Call,
    collection: str,
    rows: list[Document],
    view: Callable[[Document], Json],
    *,
    paged: bool = False,
) -> Reply:
    """The documents that the query lets through, the last updated last unless `order` says otherwise."""
    rows = sorted(rows, key=lambda document: document.updated_at)
    kind = collection.removesuffix("s")
    found = sifted(call, rows, kind, lambda document: _judged_by(call, document, kind))
    return page_of(call, collection, found, view, always=paged)


def _judged_by(call: Call, document: Document, kind: str) -> Json:
    """What a list of documents can be filtered and ordered by: less work than all of each document."""
    contact = call.organisation.contacts[document.contact_id]
    return {
        f"{kind}ID": document.id,
        f"{kind}Number": document.number,
        "Type": document.kind,
        "Status": document.status,
        "Date": document.dated_on,
        "DueDate": document.due_on,
        "DeliveryDate": document.delivery_on,
        "ExpectedPaymentDate": document.expected_on,
        "FullyPaidOnDate": document.fully_paid_on,
        "UpdatedDateUTC": document.updated_at,
        "Contact": {"ContactID": contact.id, "Name": contact.name, "ContactNumber": contact.number},
        "Reference": document.reference,
        "CurrencyCode": document.currency,
        "LineAmountTypes": document.line_amount_types,
        "SubTotal": document.sub_total,
        "TotalTax": document.total_tax,
        "Total": document.total,
        "AmountDue": document.outstanding,
        "RemainingCredit": document.outstanding,
        "AmountPaid": document.amount_paid,
        "AmountCredited": document.amount_allocated,
        "Url": document.url,
        "BrandingThemeID": document.branding_theme_id,
        "SentToContact": document.sent_to_contact,
        "HasAttachments": False,
    }


def line_amount_types(given: Json, known: Document | None) -> str:
    chosen = fields.one_of(given, "LineAmountTypes", LINE_AMOUNT_TYPES)
    return chosen or (known.line_amount_types if known else "Exclusive")


def currency(call: Call, given: Json, known: Document | None) -> tuple[str, list[str]]:
    code = fields.text(given, "CurrencyCode")
    if not code:
        return known.currency if known else call.organisation.base_currency, []
    if code in call.organisation.currencies:
        return code, []
    return code, [call.unconfirmed["unsubscribed_currency_text"].format(currency=code)]


def currency_rate(call: Call, given: Json, code: str, dated_on: date) -> Decimal:
    """As given, else the day's: another one each day."""
    if code == call.organisation.base_currency:
        return Decimal("1.000000")
    rate = fields.number(given, "CurrencyRate") or Decimal("1.25") + dated_on.day * Decimal("0.001")
    return rate.quantize(Decimal("0.000001"))


def branding_theme(call: Call, given: Json, known: Document | None) -> tuple[str | None, list[str]]:
    theme_id = fields.identifier(given, "BrandingThemeID")
    if theme_id is None:
        return known.branding_theme_id if known else None, []
    if any(theme.id == theme_id for theme in call.organisation.branding_themes):
        return theme_id, []
    return None, ["The BrandingThemeID does not match a branding theme of this organisation."]


def dates_locked(call: Call, document_date: date, known: Document | None, *, draft: bool) -> list[str]:
    """Complaints for a date in a locked period, or of an approved document that lies in one already."""
    if known and known.status in ("AUTHORISED", "PAID") and (errors := lock_errors(call, known.dated_on)):
        return errors
    return lock_errors(call, document_date, draft=draft)


def lock_errors(
    call: Call, document_date: date, *, draft: bool = False, purchase_order: bool = False
) -> list[str]:
    """Complaints for a date that isn't after both lock dates."""
    if draft and call.unconfirmed["lock_date_for_drafts"] == "no":
        return []
    if purchase_order and call.unconfirmed["lock_date_for_purchase_orders"] == "no":
        return []
    organisation = call.organisation
    locks = (
        ("end of year lock date", organisation.end_of_year_lock_date),
        ("period lock date", organisation.period_lock_date),
    )
    return [
        f"The document date cannot be before the {name}, currently set at {_shown(call, name, lock)}"
        for name, lock in locks
        if lock and document_date <= lock
    ][:1]


def _shown(call: Call, name: str, lock: date) -> str:
    if name == "period lock date" and call.unconfirmed["lock_date_format_of_period"] == "iso":
        return lock.isoformat()
    return lock.strftime("%d-%b-%Y")


def begun(
    call: Call,
    given: Json,
    known: Document | None,
    *,
    kind: DocumentKind,
    dated_on: date,
    amounts: str,
    code: str,
) -> Document:
    """What the changes go into before anything is stored: a copy of the known document, or a new one."""
    if known:
        return copy(known)
    return Document(
        kind=kind,
        id=call.world.new_id(),
        number="",
        contact_id="",
        dated_on=dated_on,
        status="DRAFT",
        line_amount_types=amounts,
        currency=code,
        currency_rate=currency_rate(call, given, code, dated_on),
        created_by=call.client_id,
        created_at=call.now,
        updated_at=call.now,
    )


def store(call: Call, document: Document, known: Document | None, number: str) -> None:
    """Put the document into the books in place of `known`, and move stock as it says."""
    organisation = call.organisation
    contact = organisation.contacts[document.contact_id]
    if document.kind in SALES:
        contact.is_customer = True
    else:
        contact.is_supplier = True
    if known is None or number != known.number or not _unseen(call, known, document):
        document.updated_at = call.now
    if known:
        _restock(call, known, document)
        if number != known.number:
            organisation.renumber(known, number)
            document.number = number
        organisation.documents[known.id] = document
    else:
        document.number = number
        organisation.add(document)
        _restock(call, None, document)
    record_commit(call, document, "changed" if known else "created")


def _restock(call: Call, known: Document | None, document: Document) -> None:
    """An edit that leaves the items alone leaves what they cost alone, too."""
    organisation = call.organisation
    approved = document.kind != "PURCHASEORDER" and document.status in ("AUTHORISED", "PAID")
    if known and known.stock_moves:
        same = tracked_quantities(organisation, known.lines) == tracked_quantities(
            organisation, document.lines
        )
        if same and approved:
            return
        undo_stock(organisation, known)
        document.stock_moves = []
    if approved:
        move_stock(call, document)


def _unseen(call: Call, before: Document, after: Document) -> bool:
    """Whether an edit is one that UpdatedDateUTC does not tell of."""
    if len(before.lines) != len(after.lines):
        return False
    pairs = list(zip(after.lines, before.lines, strict=True))
    same = replace(after, lines=[replace(line, id=old.id) for line, old in pairs])
    if same == before:
        return False
    if call.unconfirmed["update_time_of_an_account_code"] == "stays":
        same.lines = [
            replace(line, id=old.id, account_code=old.account_code, account_id=old.account_id)
            for line, old in pairs
        ]
    if before.payments or before.allocations:
        same.due_on, same.sent_to_contact = before.due_on, before.sent_to_contact
    return same == before


def record_commit(call: Call, document: Document, action: str) -> None:
    """Tell the truth log and the document's history, and remember which items documents use."""
    changes = "Edited" if action == "changed" else "Created"
    remember(call, document, document.status.capitalize() if document.status in DEAD else changes)
    call.organisation.item_codes_in_use |= {line.item_code for line in document.lines if line.item_code}
    call.committed.append(
        commit_record(call.organisation.contacts[document.contact_id].name, document, action)
    )


def remember(call: Call, document: Document, changes: str, details: str = "") -> None:
    """Add to the document's history, which does not count as an update."""
    user = SYSTEM
    if call.by_a_person:
        user = A_PERSON
    elif not details and call.unconfirmed["user_of_an_apps_edit"] == "the app's name":
        user = call.app_name
    document.history.append(HistoryRecord(changes, call.now, user, details))


def commit_record(contact_name: str, document: Document, action: str) -> Json:
    return {
        "kind": document.kind,
        "action": action,
        "id": document.id,
        "number": document.number,
        "reference": document.reference,
        "subtotal": document.sub_total,
        "total": document.total,
        "currency": document.currency,
        "contact_id": document.contact_id,
        "contact": contact_name,
        "status": document.status,
        "lines": len(document.lines),
    }

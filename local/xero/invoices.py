"""Invoices and bills: PUT creates, POST overwrites what has the same id or number, GET lists."""

from __future__ import annotations

from copy import copy
from urllib.parse import urlsplit

from local.xero import fields
from local.xero.batches import Outcome, write_each
from local.xero.calls import Call
from local.xero.contacts import MeantContact, meant_contact
from local.xero.documents import (
    branding_theme,
    currency,
    currency_rate,
    holders,
    line_amount_types,
    lock_errors,
    overwritten_by_post,
    read_lines,
    record_commit,
)
from local.xero.lines import DocumentRules, add_up
from local.xero.organisations import DEAD, Document, DocumentKind
from local.xero.query import listed, page_number, page_of
from local.xero.replies import Reply, not_found
from local.xero.stock import move_stock, stock_errors, undo_stock
from local.xero.views import invoice_view
from local.xero.wire import Json

STATUSES = ("DRAFT", "SUBMITTED", "AUTHORISED", "PAID", "VOIDED", "DELETED")
_ON_CREATION = frozenset({"DRAFT", "SUBMITTED", "AUTHORISED"})
_NEXT = {
    "DRAFT": frozenset({"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"}),
    "SUBMITTED": frozenset({"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"}),
    "AUTHORISED": frozenset({"AUTHORISED", "VOIDED"}),
}
_LENGTHS = {"InvoiceNumber": 255, "Reference": 255}
# What may still change once a payment is on the invoice.
_OPEN_AFTER_PAYMENT = frozenset(
    {
        "InvoiceID",
        "Reference",
        "DueDate",
        "InvoiceNumber",
        "BrandingThemeID",
        "Url",
        "Contact",
        "Type",
        "Status",
    }
)
NOT_UNIQUE = "Invoice # must be unique."
NOT_FOR_CREATION = "Invoice not of valid status for creation"
NOT_FOR_MODIFICATION = "Invoice not of valid status for modification"
CAP_REACHED = "You have reached the limit of invoices you can approve"


def get_invoices(call: Call) -> Reply:
    rows = [document for document in call.organisation.documents.values() if document.is_invoice]
    query = call.query
    if ids := query.get("ids"):
        rows = [document for document in rows if document.id in ids.lower().split(",")]
    if numbers := query.get("invoicenumbers"):
        wanted = {number.strip().casefold() for number in numbers.split(",")}
        rows = [document for document in rows if document.number.casefold() in wanted]
    if contacts := query.get("contactids"):
        rows = [document for document in rows if document.contact_id in contacts.lower().split(",")]
    if statuses := query.get("statuses"):
        rows = [document for document in rows if document.status in statuses.upper().split(",")]
    elif call.unconfirmed["dead_documents_listed"] == "no":
        rows = [document for document in rows if document.status not in DEAD]
    if call.flag("createdByMyApp"):
        rows = [document for document in rows if document.created_by == call.client_id]
    if term := query.get("searchterm"):
        needle = term.casefold()
        rows = [one for one in rows if needle in one.number.casefold() or needle in one.reference.casefold()]
    summary = call.flag("summaryOnly")
    with_lines = page_number(call) is not None and not summary
    views = [_view(call, document, lines=with_lines, summary=summary) for document in rows]
    return page_of(call, "Invoices", listed(call, views, "Invoice"))


def get_invoice(call: Call, key: str) -> Reply:
    document = _find(call, key)
    return call.envelope({"Invoices": [_view(call, document)]}) if document else not_found()


def put_invoices(call: Call) -> Reply:
    return write_each(call, "Invoices", "InvoiceID", lambda given: _save(call, given, None))


def post_invoices(call: Call) -> Reply:
    def save(given: Json) -> Outcome:
        invoice_id, number = fields.identifier(given, "InvoiceID"), fields.text(given, "InvoiceNumber")
        if invoice_id:
            known = call.organisation.documents.get(invoice_id)
            if known is None or not known.is_invoice:
                return Outcome(given, [NOT_FOR_MODIFICATION])
            return _save(call, given, known)
        kind = _kind(given, None)
        # Sales invoice numbers are unique, so POST overwrites; bills may share one.
        overwritten = overwritten_by_post(call, kind, number) if number and kind == "ACCREC" else None
        return _save(call, given, overwritten)

    return write_each(call, "Invoices", "InvoiceID", save)


def post_invoice(call: Call, key: str) -> Reply:
    document = _find(call, key)
    if document is None:
        return not_found()
    changes = call.elements("Invoices")[:1]
    return write_each(call, "Invoices", "InvoiceID", lambda given: _save(call, given, document), only=changes)


def _find(call: Call, key: str) -> Document | None:
    document = call.organisation.documents.get(key.lower())
    if document and document.is_invoice:
        return document
    same_case = call.unconfirmed["number_case"] == "kept"
    return next(call.organisation.numbered("ACCREC", key, same_case=same_case), None)


def _view(call: Call, document: Document, *, lines: bool = True, summary: bool = False) -> Json:
    return invoice_view(
        call.organisation, document, lines=lines, places=call.unit_places, ties=call.ties, summary=summary
    )


def _kind(given: Json, known: Document | None) -> DocumentKind:
    if known:
        return known.kind
    return "ACCPAY" if fields.one_of(given, "Type", ("ACCREC", "ACCPAY")) == "ACCPAY" else "ACCREC"


def _save(call: Call, given: Json, known: Document | None) -> Outcome:
    """Create, or overwrite `known` with what is given."""
    organisation, unconfirmed = call.organisation, call.unconfirmed
    errors = fields.length_errors(given, _LENGTHS, unconfirmed)
    if known is None and not fields.text(given, "Type"):
        errors.append("Invoice Type must be specified")
    kind = _kind(given, known)
    status = fields.one_of(given, "Status", STATUSES) or (known.status if known else "DRAFT")
    if refusal := _status_refusal(known, status, given):
        return Outcome(given, [refusal])
    if known and status in DEAD:
        return _end(call, given, known, status)

    number = fields.text(given, "InvoiceNumber") or (known.number if known else None)
    if number and kind == "ACCREC" and any(holder is not known for holder in holders(call, kind, number)):
        errors.append(NOT_UNIQUE)
    contact = (
        MeantContact(organisation.contacts[known.contact_id])
        if known and given.get("Contact") is None
        else meant_contact(call, given, may_create=True)
    )
    code, currency_errors = currency(call, given, known)
    theme_id, theme_errors = branding_theme(call, given, known)
    errors += currency_errors + theme_errors + _url_errors(given)
    document_date = fields.day(given, "Date") or (known.dated_on if known else organisation.today(call.now))
    due_date = fields.day(given, "DueDate") or (known.due_on if known else None)
    if due_date is None and _needs_due_date(call, status):
        errors.append("The document DueDate field must be specified.")
    errors += lock_errors(call, document_date, draft=status == "DRAFT", purchase_order=False)
    amounts = line_amount_types(given, known)
    rules = DocumentRules(kind, status, amounts, call.unit_places)
    reading = read_lines(call, given, rules, known)
    errors += reading.document_errors
    newly_approved = status == "AUTHORISED" and (known is None or known.status != "AUTHORISED")
    if newly_approved and kind == "ACCREC" and _cap_reached(call):
        errors.append(CAP_REACHED)
    checks_stock = status == "AUTHORISED" or unconfirmed["stock_of_drafts"] == "checked"
    if kind == "ACCREC" and checks_stock:
        errors += stock_errors(call, reading.lines, known)

    document = (
        copy(known)
        if known
        else Document(
            kind=kind,
            id=call.world.new_id(),
            number=number or "",
            contact_id="",
            dated_on=document_date,
            status=status,
            line_amount_types=amounts,
            currency=code,
            currency_rate=currency_rate(call, given, code),
            created_by=call.client_id,
            created_at=call.now,
            updated_at=call.now,
        )
    )
    document.lines = reading.lines
    document.line_amount_types = amounts
    add_up(document)
    errors += _total_errors(call, given, document)
    outcome = Outcome(
        {**given, "InvoiceNumber": number} if number else given,
        errors,
        line_errors=reading.errors,
        contact_errors=list(contact.errors),
    )
    if known:
        outcome.element = {**outcome.element, "InvoiceID": known.id}
    if outcome.failed:
        return outcome

    document.status, document.dated_on, document.due_on = status, document_date, due_date
    document.currency, document.branding_theme_id = code, theme_id
    if known and given.get("CurrencyCode"):
        document.currency_rate = currency_rate(call, given, code)
    _set_details(document, given)
    document.contact_id = contact.settle(call).id
    _store(call, document, known, number or organisation.next_number(kind))
    return Outcome(_view(call, document))


def _set_details(document: Document, given: Json) -> None:
    """What of an invoice no rule depends on."""
    reference = fields.text(given, "Reference")
    if document.kind == "ACCREC" and reference is not None:
        document.reference = reference
    document.url = fields.text(given, "Url") or document.url
    document.expected_on = fields.day(given, "ExpectedPaymentDate") or document.expected_on
    if document.status == "AUTHORISED":
        document.sent_to_contact = fields.flag(given, "SentToContact") or document.sent_to_contact


def _store(call: Call, document: Document, known: Document | None, number: str) -> None:
    organisation = call.organisation
    contact = organisation.contacts[document.contact_id]
    if document.kind == "ACCREC":
        contact.is_customer = True
    else:
        contact.is_supplier = True
    document.updated_at = call.now
    if known:
        undo_stock(organisation, known)
        document.stock_moves = []
        if number != known.number:
            organisation.renumber(known, number)
            document.number = number
        organisation.documents[known.id] = document
    else:
        document.number = number
        organisation.add(document)
    if document.status == "AUTHORISED":
        move_stock(organisation, document)
    record_commit(call, document, "changed" if known else "created")


def _end(call: Call, given: Json, known: Document, status: str) -> Outcome:
    """Void or delete."""
    if errors := lock_errors(call, known.dated_on, draft=status == "DELETED", purchase_order=False):
        return Outcome(given, errors)
    undo_stock(call.organisation, known)
    known.status, known.updated_at = status, call.now
    record_commit(call, known, "changed")
    return Outcome(_view(call, known))


def _status_refusal(known: Document | None, status: str, given: Json) -> str | None:
    if known is None:
        return None if status in _ON_CREATION else NOT_FOR_CREATION
    if known.amount_paid:
        if status == "VOIDED":
            return (
                "The status VOIDED cannot be applied to the invoice because it has payments or credit notes "
                "allocated to it."
            )
        if set(given) - _OPEN_AFTER_PAYMENT:
            return "This document cannot be edited as it has a payment or credit note allocated to it."
    return None if status in _NEXT.get(known.status, frozenset()) else NOT_FOR_MODIFICATION


def _needs_due_date(call: Call, status: str) -> bool:
    if status == "SUBMITTED":
        return call.unconfirmed["due_date_when_submitted"] == "required"
    return status == "AUTHORISED"


def _cap_reached(call: Call) -> bool:
    cap = call.organisation.approval_cap
    return cap is not None and call.organisation.approved_in_month(call.now) >= cap


def _url_errors(given: Json) -> list[str]:
    url = fields.text(given, "Url")
    if not url:
        return []
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return ["The Url must be a valid absolute URL."]
    return ["The Url can't contain 'xero'."] if "xero" in url.lower() else []


def _total_errors(call: Call, given: Json, document: Document) -> list[str]:
    total = fields.number(given, "Total")
    if total is None or total == document.total or call.unconfirmed["supplied_total"] == "ignored":
        return []
    return ["The invoice total does not equal the sum of the lines."]

"""Credit notes for sales: PUT creates, POST overwrites what has the same id or number, and the invoices they pay."""

from __future__ import annotations

from typing import Final

from local.xero import fields
from local.xero.batches import Outcome, write_each, write_one
from local.xero.calls import Call
from local.xero.documents import (
    begun,
    branding_theme,
    currency,
    currency_rate,
    dates_locked,
    document_contact,
    documents_page,
    holders,
    line_amount_types,
    overwritten_by_post,
    read_lines,
    store,
)
from local.xero.lines import DocumentRules, add_up
from local.xero.organisations import DEAD, Document
from local.xero.query import page_number
from local.xero.replies import Reply, not_found
from local.xero.statuses import STATUSES, end, settle, status_refusal
from local.xero.views import credit_note_view
from local.xero.wire import Json

KIND: Final = "ACCRECCREDIT"


def get_credit_notes(call: Call) -> Reply:
    """Only `where` filters: Statuses, IDs, createdByMyApp and summaryOnly are the invoices'."""
    rows = [document for document in call.organisation.documents.values() if document.kind == KIND]
    if call.unconfirmed["dead_documents_listed"] == "no":
        rows = [document for document in rows if document.status not in DEAD]
    if (ids := call.query.get("ids")) and call.unconfirmed["ids_of_credit_notes"] == "filter":
        rows = [document for document in rows if document.id in ids.lower().split(",")]
    lines = page_number(call) is not None
    return documents_page(call, "CreditNotes", rows, lambda document: _view(call, document, lines=lines))


def get_credit_note(call: Call, key: str) -> Reply:
    document = find(call, key)
    return call.envelope({"CreditNotes": [_view(call, document)]}) if document else not_found()


def put_credit_notes(call: Call) -> Reply:
    return write_each(call, "CreditNotes", "CreditNoteID", lambda given: _save(call, given, None))


def post_credit_notes(call: Call) -> Reply:
    def save(given: Json) -> Outcome:
        note_id, number = fields.identifier(given, "CreditNoteID"), fields.text(given, "CreditNoteNumber")
        if note_id:
            known = call.organisation.documents.get(note_id)
            if known is None or known.kind != KIND:
                return Outcome(given, [call.unconfirmed["credit_note_status_text"]])
            return _save(call, given, known)
        return _save(call, given, overwritten_by_post(call, KIND, number) if number else None)

    return write_each(call, "CreditNotes", "CreditNoteID", save)


def post_credit_note(call: Call, key: str) -> Reply:
    document = find(call, key)
    if document is None:
        return not_found()
    return write_one(call, "CreditNotes", "CreditNoteID", lambda given: _save(call, given, document))


def find(call: Call, key: str) -> Document | None:
    """By id or number."""
    document = call.organisation.documents.get(key.lower())
    if document and document.kind == KIND:
        return document
    same_case = call.unconfirmed["number_case"] == "kept"
    return next(call.organisation.numbered(KIND, key, same_case=same_case), None)


def _view(call: Call, document: Document, *, lines: bool = True) -> Json:
    return credit_note_view(call.organisation, document, lines=lines, places=call.unit_places, ties=call.ties)


def _save(call: Call, given: Json, known: Document | None) -> Outcome:
    """Create, or overwrite `known` with what is given. Allocations among it are passed over, as Xero does."""
    organisation, unconfirmed = call.organisation, call.unconfirmed
    longest = int(unconfirmed["longest_credit_note_number"])
    errors = fields.length_errors(given, {"CreditNoteNumber": longest, "Reference": 255}, unconfirmed)
    if known is None and fields.one_of(given, "Type", (KIND,)) is None:
        errors.append("Credit note Type must be specified")
    status = fields.one_of(given, "Status", STATUSES) or (known.status if known else "DRAFT")
    if refusal := status_refusal(call, known, status, given):
        return Outcome(given, [refusal])
    if known and status in DEAD:
        return end(call, given, known, status, _view)

    number = fields.text(given, "CreditNoteNumber") or (known.number if known else None)
    if number and any(holder is not known for holder in holders(call, KIND, number)):
        errors.append(unconfirmed["credit_note_number_taken_text"])
    contact = document_contact(call, given, known, may_create=True)
    code, currency_errors = currency(call, given, known)
    theme_id, theme_errors = branding_theme(call, given, known)
    errors += currency_errors + theme_errors
    document_date = fields.day(given, "Date") or (known.dated_on if known else organisation.today(call.now))
    due_date = fields.day(given, "DueDate") or (known.due_on if known else None)
    if due_date is None and status == "AUTHORISED" and unconfirmed["due_date_of_credit_notes"] == "required":
        errors.append("The document DueDate field must be specified.")
    errors += dates_locked(call, document_date, known, draft=status == "DRAFT")
    amounts = line_amount_types(given, known)
    reading = read_lines(call, given, DocumentRules(KIND, status, amounts, call.unit_places), known)
    errors += reading.document_errors

    outcome = Outcome(
        {**given, "CreditNoteNumber": number} if number else given,
        errors,
        line_errors=reading.errors,
        contact_errors=list(contact.errors),
    )
    if known:
        outcome.element = {**outcome.element, "CreditNoteID": known.id}
    if outcome.failed:
        return outcome

    document = begun(call, given, known, kind=KIND, dated_on=document_date, amounts=amounts, code=code)
    document.lines, document.line_amount_types = reading.lines, amounts
    add_up(document)
    document.status, document.dated_on, document.due_on = status, document_date, due_date
    document.currency, document.branding_theme_id = code, theme_id
    if known and given.get("CurrencyCode"):
        document.currency_rate = currency_rate(call, given, code, document_date)
    reference = fields.text(given, "Reference")
    document.reference = document.reference if reference is None else reference
    # Xero marks a credit note as sent when a person sends it; an app can't.
    document.sent_to_contact |= bool(fields.flag(given, "SentToContact") and call.by_a_person)
    document.contact_id = contact.settle(call).id
    settle(call, document)
    store(call, document, known, number or organisation.next_number(KIND))
    return Outcome(_view(call, document))

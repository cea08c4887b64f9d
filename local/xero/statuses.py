"""Statuses of invoices, bills and credit notes: which may follow which, and what a payment or a credit locks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from local.xero import fields
from local.xero.batches import Outcome
from local.xero.calls import Call
from local.xero.documents import NO_LINES, LinesReading, lock_errors, read_lines, record_commit
from local.xero.lines import DocumentRules, add_up, line_as_given, recreated
from local.xero.organisations import Document, Line
from local.xero.stock import sold_stock_errors, undo_stock
from local.xero.wire import Json

STATUSES = ("DRAFT", "SUBMITTED", "AUTHORISED", "PAID", "VOIDED", "DELETED")
_ON_CREATION = frozenset({"DRAFT", "SUBMITTED", "AUTHORISED"})
_NEXT = {
    "DRAFT": frozenset({"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"}),
    "SUBMITTED": frozenset({"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"}),
    "AUTHORISED": frozenset({"AUTHORISED", "VOIDED"}),
    "PAID": frozenset({"PAID"}),
}
# What may still change of an invoice once a payment is on it. A credit note's contact binds the invoice's.
_OPEN_AFTER_PAYMENT = frozenset(
    {
        "InvoiceID",
        "Reference",
        "DueDate",
        "InvoiceNumber",
        "BrandingThemeID",
        "Url",
        "Contact",
        "LineItems",
        "SentToContact",
        "Type",
        "Status",
    }
)
_OPEN_OF_A_USED_CREDIT_NOTE = frozenset({"CreditNoteID", "SentToContact", "Type", "Status"})
NOT_FOR_CREATION = "Invoice not of valid status for creation"
NOT_FOR_MODIFICATION = "Invoice not of valid status for modification"
LOCKED_BY_PAYMENT = "This document cannot be edited as it has a payment or credit note allocated to it."
NO_LINE_ITEM_ID = "To update fields on a paid invoice line item, you must supply a LineItemID"


def wrong_status(call: Call, known: Document) -> str:
    """What a change is answered that the document's status doesn't allow."""
    if known.kind == "ACCRECCREDIT":
        return call.unconfirmed["credit_note_status_text"]
    return NOT_FOR_MODIFICATION


def status_refusal(call: Call, known: Document | None, status: str, given: Json) -> str | None:
    """Why the document may not be created in this status, or not change to it or in it."""
    if known is None:
        return None if status in _ON_CREATION else NOT_FOR_CREATION
    if known.payments or known.allocations:
        if status != known.status:
            return (
                f"The status {status} cannot be applied to the invoice because it has payments or credit "
                "notes allocated to it."
            )
        if set(given) - _open_after_payment(known):
            return LOCKED_BY_PAYMENT
    return None if status in _NEXT.get(known.status, frozenset()) else wrong_status(call, known)


def _open_after_payment(known: Document) -> frozenset[str]:
    if known.kind == "ACCRECCREDIT":
        return _OPEN_OF_A_USED_CREDIT_NOTE
    return _OPEN_AFTER_PAYMENT - {"Contact"} if known.allocations else _OPEN_AFTER_PAYMENT


def read_open_lines(call: Call, given: Json, rules: DocumentRules, known: Document | None) -> LinesReading:
    """An invoice's lines. Once there is a payment, each needs its id, and little of it may change."""
    posted = fields.parts(given, "LineItems")
    if posted is None or known is None or not (known.payments or known.allocations):
        return read_lines(call, given, rules, known)
    stored = {line.id: line for line in known.lines}
    ids = [fields.identifier(line, "LineItemID") for line in posted]
    if None in ids:
        return LinesReading([], [], [NO_LINE_ITEM_ID])
    if set(ids) != set(stored):
        return LinesReading([], [], [LOCKED_BY_PAYMENT])
    kept = {line.id: {**line_as_given(line), "TaxAmount": line.tax_amount} for line in known.lines}
    whole = [{**kept[id_ or ""], **line} for id_, line in zip(ids, posted, strict=True)]
    reading = read_lines(call, {**given, "LineItems": whole}, rules, known)
    if any(_more_than_texts_differ(stored[line.id], line) for line in reading.lines):
        reading.document_errors.append(LOCKED_BY_PAYMENT)
    return reading


def _more_than_texts_differ(before: Line, after: Line) -> bool:
    """Whether a line changed in more than its text, account and tracking."""
    same = replace(
        after,
        description=before.description,
        account_code=before.account_code,
        account_id=before.account_id,
        tracking=before.tracking,
    )
    return same != before


def end(
    call: Call, given: Json, known: Document, status: str, view: Callable[[Call, Document], Json]
) -> Outcome:
    """Void or delete: for good, and not in a locked period."""
    locked = lock_errors(call, known.dated_on, draft=status == "DELETED")
    if locked and call.unconfirmed["void_in_a_locked_period_text"] == "not_of_valid_status":
        locked = [wrong_status(call, known)]
    errors = locked + sold_stock_errors(call, known)
    if given.get("LineItems") == [] and call.unconfirmed["empty_lines_on_a_void"] == "refused":
        errors.append(NO_LINES)
    if errors:
        return Outcome(given, errors)
    undo_stock(call.organisation, known)
    known.stock_moves = []
    if call.unconfirmed["lines_of_a_void"] == "recreated":
        rules = DocumentRules(known.kind, status, known.line_amount_types, call.unit_places)
        known.lines = [recreated(call, line, rules) for line in known.lines]
        add_up(known)
    known.status, known.updated_at = status, call.now
    record_commit(call, known, "changed")
    return Outcome(view(call, known))


def settle(call: Call, document: Document) -> None:
    """Paid is what nothing is outstanding of. Only Xero itself sets that, and takes it back."""
    if document.status not in ("AUTHORISED", "PAID"):
        return
    untouched = not document.payments and not document.allocations
    if untouched and (document.total or call.unconfirmed["nil_document_status"] == "AUTHORISED"):
        document.status = "AUTHORISED"
    else:
        document.status = "PAID" if document.outstanding <= 0 else "AUTHORISED"

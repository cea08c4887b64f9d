"""What to do next in Xero about an order that was cancelled, refunded or changed after it was posted. Pure.

A draft is deleted. An approved invoice is credited, or voided where the settings and the dates allow that. What a
person has changed in Xero is left alone, and shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from bookkeeping.domain.corrections import Correction, CreditNote
from bookkeeping.domain.credit_notes import credit_note
from bookkeeping.domain.document_kinds import DOCUMENT_KINDS, DocumentKind
from bookkeeping.domain.documents_in_xero import UNAPPROVED, VOID_OR_DELETED, DocumentInXero, versions
from bookkeeping.domain.ledger import Entry
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.problems.problem import OrderStopped, Problem
from bookkeeping.domain.settings import Settings


@dataclass(frozen=True)
class SetStatus:
    """Delete or void a document."""

    kind: DocumentKind
    status: Literal["DELETED", "VOIDED"]


@dataclass(frozen=True)
class MakeNote:
    note: CreditNote
    body: dict[str, Any]


@dataclass(frozen=True)
class Allocate:
    """Let a credit note pay its invoice."""

    note: CreditNote
    amount: Decimal


@dataclass(frozen=True)
class Rest:
    """A person has to do something in Xero, or outside of it, first. `why` is a code of `CHANGED`."""

    why: str


@dataclass(frozen=True)
class HandBack:
    """Nothing is done by itself: a person decides."""


@dataclass(frozen=True)
class PostAgain:
    """Its documents are gone from the books: it is posted under the next number."""


@dataclass(frozen=True)
class Finish:
    """Nothing is left to do."""


NextStep = SetStatus | MakeNote | Allocate | Rest | HandBack | PostAgain | Finish


@dataclass(frozen=True)
class Read:
    """What was just read from Xero."""

    documents: Mapping[DocumentKind, DocumentInXero]
    notes: Mapping[str, DocumentInXero]
    """Credit note's id → the note, of those that are not settled."""


def next_step(
    entry: Entry, read: Read, settings: Settings, organisation: Organisation, today: date, cancelled_on: date
) -> NextStep:
    """What to do next about the order's documents, which were just read. Raises OrderStopped.

    `today` and `cancelled_on` are days of the organisation.
    """
    correction = entry.correction
    if correction is None:
        return Finish()
    if correction.what == "post_again":
        _check_gone(entry, read)
        return PostAgain()
    basis = _Basis(entry, correction, read, settings, organisation, today, cancelled_on)
    return _of_invoice(basis) or _of_purchase_order(basis) or Finish()


@dataclass(frozen=True)
class _Basis:
    entry: Entry
    correction: Correction
    read: Read
    settings: Settings
    organisation: Organisation
    today: date
    cancelled_on: date

    def stop(self, code: str, **details: str) -> OrderStopped:
        return OrderStopped(Problem(code, {"order": self.entry.order_id, **details}))


def _check_gone(entry: Entry, read: Read) -> None:
    """Raises OrderStopped where a document still stands that would be posted again."""
    document = read.documents.get("invoice") or read.documents.get("purchase_order")
    if document is not None and not document.void_or_deleted:
        words = DOCUMENT_KINDS[document.kind].words
        raise OrderStopped(
            Problem("still_in_xero", {"order": entry.order_id, "number": document.number, "document": words})
        )


def _of_invoice(basis: _Basis) -> NextStep | None:
    correction, invoice = basis.correction, basis.read.documents.get("invoice")
    if invoice is None or invoice.void_or_deleted:
        if correction.what != "credit":
            return None
        # of a draft, what was not cancelled is posted again; one that a person deleted is theirs
        return PostAgain() if correction.deleted else HandBack()
    notes = [note for note in basis.entry.credit_notes if note.invoice_id == invoice.id]
    _check_untouched(basis, invoice, notes)
    if unsettled := next((note for note in notes if not note.settled), None):
        return _of_note(basis, unsettled, invoice)
    if correction.noted:
        mine = next(note for note in notes if note.number == correction.noted)
        # a person has deleted the note: they decide what becomes of the rest
        return None if mine.counts else HandBack()
    return _of_uncredited(basis, invoice)


def _check_untouched(basis: _Basis, invoice: DocumentInXero, notes: Sequence[CreditNote]) -> None:
    """Raises OrderStopped where a person has changed or credited the invoice in Xero."""
    if basis.correction.noted:
        if edited := edited_meanwhile(basis.entry, invoice, "credited"):
            raise OrderStopped(edited)
    else:
        _check_as_posted(basis, invoice)
    if {*invoice.credited_by} - {note.id for note in notes}:
        details = {"credited": f"{invoice.credited:.2f}", "currency": invoice.currency}
        raise basis.stop("credited_by_hand", number=invoice.number, **details)


def _of_uncredited(basis: _Basis, invoice: DocumentInXero) -> NextStep | None:
    """What is done with an invoice that this correction has not credited."""
    correction = basis.correction
    if invoice.status in UNAPPROVED:
        if correction.what == "credit" and not correction.of_message:
            raise basis.stop("still_a_draft", number=invoice.number)
        return SetStatus("invoice", "DELETED")
    if correction.drafts_only:
        return HandBack()
    if correction.what == "take_back" and _may_void(basis, invoice):
        return SetStatus("invoice", "VOIDED")
    if invoice.total == 0:
        raise basis.stop("nothing_to_credit", number=invoice.number)
    made = credit_note(
        basis.entry, correction, invoice, basis.settings, basis.organisation, basis.cancelled_on
    )
    return made and MakeNote(*made)


def _of_note(basis: _Basis, note: CreditNote, invoice: DocumentInXero) -> NextStep | None:
    in_xero = basis.read.notes[note.id]
    if in_xero.status in UNAPPROVED:
        return Rest("note_is_draft")
    if f"{in_xero.total:.2f}" != note.total:
        raise basis.stop("document_edited", number=note.number, **versions(note, in_xero))
    amount = min(in_xero.remaining_credit, invoice.due)
    allocated = any(one.invoice_id == invoice.id for one in in_xero.allocated)
    return Allocate(note, amount) if amount > 0 and not allocated else None


def _check_as_posted(basis: _Basis, document: DocumentInXero) -> None:
    """Raises OrderStopped where a person has changed the document in Xero, or that can't be told."""
    posted = basis.entry.documents[document.kind]
    if posted.fingerprint == document.fingerprint:
        return
    if not posted.fingerprint:
        raise basis.stop("posted_unrecorded", number=posted.number)
    raise basis.stop("document_edited", number=posted.number, **versions(posted, document))


def edited_meanwhile(entry: Entry, document: DocumentInXero, done: str) -> Problem | None:
    """The problem where a person changed the document between the reading and what was done."""
    posted = entry.documents[document.kind]
    if document.fingerprint == posted.fingerprint:
        return None
    details = {"order": entry.order_id, "number": posted.number, "done": done}
    return Problem("edited_meanwhile", details | versions(posted, document))


def _may_void(basis: _Basis, invoice: DocumentInXero) -> bool:
    """Whether the approved invoice is voided instead of credited."""
    if invoice.paid or invoice.credited or any(note.counts for note in basis.entry.credit_notes):
        return False
    if invoice.total == 0:
        # nothing of it could be credited
        return True
    if not basis.correction.with_stock and any(line.item_code for line in invoice.lines):
        # a void would bring back stock that is gone
        return False
    on, locked = invoice.dated_on, basis.organisation.lock_date
    return (
        basis.settings.void_approved
        and not invoice.sent_to_contact
        and on is not None
        and (on.year, on.month) == (basis.today.year, basis.today.month)
        and (locked is None or on > locked)
    )


def _of_purchase_order(basis: _Basis) -> NextStep | None:
    """A purchase order that the supplier may have acted on stays, and a person is told to ask for a credit."""
    order = basis.read.documents.get("purchase_order")
    if order is None or order.void_or_deleted:
        return None
    if basis.correction.what == "credit" or not basis.entry.before_production:
        return Rest("ask_supplier")
    if order.status == "BILLED" or order.sent_to_contact:
        return Rest("ask_supplier")
    if basis.correction.drafts_only and order.status not in UNAPPROVED:
        return HandBack()
    _check_as_posted(basis, order)
    return SetStatus("purchase_order", "DELETED")


def done_words(entry: Entry, correction: Correction, number: str, status: str) -> str:
    """What stands in the document's history in Xero: what was done, who asked for it, and why."""
    done = {"DELETED": "deleted", "VOIDED": "voided"}.get(status, f"credited by {number}")
    who = correction.by or "the setting “Cancelled after posting”"
    why = " ".join(entry.changes) or "The order is unchanged on the platform."
    return f"Kornit X order {entry.order_id}: {done}, asked for by {who}. {why}"


def kinds_of(entry: Entry) -> Sequence[DocumentKind]:
    """The documents of the order that may still stand in Xero."""
    return [
        kind
        for kind in DOCUMENT_KINDS
        if kind in entry.documents and entry.documents[kind].status not in VOID_OR_DELETED
    ]

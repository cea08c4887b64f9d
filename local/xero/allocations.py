"""Allocations: the parts of a credit note that pay invoices. Each call adds one; both documents keep it."""

from __future__ import annotations

from decimal import Decimal

from local.xero import fields
from local.xero.batches import Outcome, messages, write_each
from local.xero.calls import Call
from local.xero.credit_notes import find
from local.xero.documents import lock_errors, remember
from local.xero.money import ZERO, rounded
from local.xero.organisations import Allocation, Document
from local.xero.replies import Reply, not_found, validation_exception
from local.xero.statuses import settle
from local.xero.wire import Json

PAID_OFF = "The invoice you are trying to allocate to has already been paid off"
TOO_MUCH = "Credit Note cannot be allocated as amount is greater than amount outstanding"
ONE_AT_A_TIME = "Only one allocation can be made at a time"
_APPROVED = ("AUTHORISED", "PAID")


def put_allocations(call: Call, key: str) -> Reply:
    note = find(call, key)
    if note is None:
        return not_found()
    elements = call.elements("Allocations")
    if not any({"Invoice", "Amount", "AppliedAmount"} & set(element) for element in elements):
        raise call.no_data("Allocations")
    alone = len(elements) == 1 or call.unconfirmed["several_allocations_in_one_call"] == "accepted"

    def save(given: Json) -> Outcome:
        return _allocate(call, note, given) if alone else Outcome(given, [ONE_AT_A_TIME])

    return write_each(call, "Allocations", "AllocationID", save, only=elements)


def _allocate(call: Call, note: Document, given: Json) -> Outcome:
    invoice_id = fields.identifier(fields.part(given, "Invoice") or {}, "InvoiceID")
    invoice = call.organisation.documents.get(invoice_id or "")
    if invoice is None or not invoice.is_invoice:
        return Outcome(given, [call.unconfirmed["allocation_to_nothing_text"]])
    # `AppliedAmount`, its name in XML, is none in JSON.
    amount = rounded(fields.number(given, "Amount") or ZERO, 2, call.ties)
    sent_on, dated_on = fields.day(given, "Date"), max(note.dated_on, invoice.dated_on)
    if sent_on and call.unconfirmed["date_of_an_allocation"] == "as_sent":
        dated_on = sent_on
    errors = _pair_errors(call, note, invoice) + _amount_errors(call, note, invoice, amount)
    if sent_on is None and call.unconfirmed["allocation_without_date"] == "refused":
        errors.append("The Date field must be specified.")
    if call.unconfirmed["allocation_in_a_locked_period"] == "refused":
        errors += lock_errors(call, dated_on)
    if errors:
        return Outcome(given, errors)
    allocation = Allocation(call.world.new_id(), note.id, invoice.id, amount, dated_on)
    for document in (note, invoice):
        document.allocations.append(allocation)
    _settle_both(call, note, invoice, allocation, "created")
    answered: Json = {
        "Amount": amount,
        "Date": dated_on,
        "Invoice": {"InvoiceID": invoice.id, "LineItems": []},
        "CreditNote": {"CreditNoteID": note.id},
    }
    if call.unconfirmed["allocation_id_in_the_reply"] == "present":
        answered["AllocationID"] = allocation.id
    return Outcome(answered)


def _pair_errors(call: Call, note: Document, invoice: Document) -> list[str]:
    """What is wrong with paying this invoice by this credit note, however much."""
    unconfirmed, errors = call.unconfirmed, []
    if note.status not in _APPROVED:
        errors.append(unconfirmed["allocation_of_an_unapproved_note_text"])
    if invoice.kind != "ACCREC":
        errors.append(unconfirmed["allocation_to_a_bill_text"])
    if invoice.status == "PAID":
        errors.append(PAID_OFF)
    elif invoice.status not in _APPROVED:
        errors.append(unconfirmed["allocation_to_an_unapproved_invoice_text"])
    if invoice.contact_id != note.contact_id:
        errors.append(unconfirmed["allocation_to_another_contact_text"])
    if invoice.currency != note.currency:
        errors.append(unconfirmed["allocation_in_another_currency_text"])
    return errors


def _amount_errors(call: Call, note: Document, invoice: Document, amount: Decimal) -> list[str]:
    if amount <= 0:
        return [call.unconfirmed["allocation_of_nothing_text"]]
    return [TOO_MUCH] if amount > min(note.outstanding, invoice.outstanding) else []


def delete_allocation(call: Call, key: str, allocation_id: str) -> Reply:
    note = find(call, key)
    allocation = next(
        (one for one in (note.allocations if note else []) if one.id == allocation_id.lower()), None
    )
    if note is None or allocation is None:
        return not_found()
    errors = [call.refusal] if call.refusal else []
    if call.unconfirmed["allocation_in_a_locked_period"] == "refused":
        errors += lock_errors(call, allocation.dated_on)
    if errors:
        return validation_exception([{"AllocationID": allocation.id, "ValidationErrors": messages(errors)}])
    invoice = call.organisation.documents[allocation.invoice_id]
    for document in (note, invoice):
        document.allocations.remove(allocation)
    _settle_both(call, note, invoice, allocation, "deleted")
    deleted: Json = {
        "AllocationID": allocation.id,
        "Date": allocation.dated_on,
        "Invoice": {"InvoiceID": invoice.id, "LineItems": []},
        "IsDeleted": True,
    }
    if call.unconfirmed["amount_of_a_deleted_allocation"] == "present":
        deleted["Amount"] = allocation.amount
    return Reply(200, deleted, root="Allocation")


def _settle_both(call: Call, note: Document, invoice: Document, allocation: Allocation, action: str) -> None:
    """The documents after it, and the record of it."""
    note.updated_at = call.now
    if call.unconfirmed["update_time_of_an_allocated_invoice"] == "moves":
        invoice.updated_at = call.now
    for document in (note, invoice):
        settle(call, document)
        applied = call.unconfirmed["credit_in_a_history"]
        remember(call, document, applied if action == "created" else f"{applied}: undone")
    call.committed.append(
        {
            "kind": "allocation",
            "action": action,
            "id": allocation.id,
            "credit_note_id": note.id,
            "credit_note": note.number,
            "invoice_id": invoice.id,
            "invoice": invoice.number,
            "amount": allocation.amount,
            "currency": note.currency,
        }
    )

"""What a person does inside Xero: enters, edits, approves, voids, deletes, pays or credits a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from local.xero.allocations import delete_allocation, put_allocations
from local.xero.batches import messages
from local.xero.calls import Call
from local.xero.credit_notes import post_credit_note, put_credit_notes
from local.xero.documents import lock_errors, remember
from local.xero.invoices import post_invoice, put_invoices
from local.xero.money import CENT
from local.xero.organisations import Document, DocumentKind, Organisation, Payment
from local.xero.purchase_orders import post_purchase_order, put_purchase_orders
from local.xero.replies import RefusedError, Reply, validation_exception
from local.xero.statuses import settle
from local.xero.wire import Json, to_json
from local.xero.world import World

_POSTS: Mapping[DocumentKind, Callable[[Call, str], Reply]] = {
    "ACCREC": post_invoice,
    "ACCPAY": post_invoice,
    "ACCRECCREDIT": post_credit_note,
    "PURCHASEORDER": post_purchase_order,
}


def find_document(organisation: Organisation, key: str, kind: str | None) -> Document | None:
    """By id or number; `kind` tells an invoice from a purchase order or credit note of the same number."""
    if key in organisation.documents:
        return organisation.documents[key]
    wanted = key.casefold()
    return next(
        (
            document
            for document in organisation.documents.values()
            if document.number.casefold() == wanted and kind in (None, document.kind)
        ),
        None,
    )


def add_document(world: World, organisation: Organisation, given: Json) -> Reply:
    """A document that a person enters in Xero by hand: its kind is told by its type or by its number's name."""
    put = put_purchase_orders if "PurchaseOrderNumber" in given else put_invoices
    if given.get("Type") == "ACCRECCREDIT":
        put = put_credit_notes
    with world.lock:
        return _by_hand(world, organisation, "entered by a person", given, put)


def change_document(world: World, organisation: Organisation, document: Document, changes: Json) -> Reply:
    """Apply `changes` (Xero's field names, or one of the deeds below) as a person would, with Xero's checks."""

    def change(call: Call) -> Reply:
        for deed, do in _DEEDS.items():
            if deed in changes:
                return do(call, document, changes[deed])
        return _POSTS[document.kind](call, document.id)

    with world.lock:
        return _by_hand(world, organisation, "edited by a person", changes, change, document.id)


def _by_hand(
    world: World,
    organisation: Organisation,
    outcome: str,
    given: Json,
    work: Callable[[Call], Reply],
    document_id: str = "",
) -> Reply:
    """Do the work as a person, with an entry in the truth log."""
    path = "/".join(filter(None, ("organisation", organisation.id, document_id)))
    entry = world.log.open(world.now(), "PERSON", f"/{path}", "")
    entry.tenant_id, entry.outcome = organisation.id, outcome
    call = Call(
        world=world,
        organisation=organisation,
        client_id="",
        app_name="Xero",
        method="POST",
        query={"unitdp": "4", "summarizeerrors": "true", "allowbackorders": "true"},
        headers={},
        body=to_json(given).encode(),
        committed=entry.committed,
    )
    try:
        reply = work(call)
    except RefusedError as refusal:
        reply = refusal.reply
    entry.status, entry.committed_at = reply.status, world.now()
    return reply


def _pay(call: Call, document: Document, amount: Any) -> Reply:
    """Book money received for an invoice, paid for a bill, or refunded for a credit note: all of it or a part."""
    paid = Decimal(str(amount)).quantize(CENT)
    if document.kind == "PURCHASEORDER" or document.status not in ("AUTHORISED", "PAID"):
        raise _refused(f"A payment needs an approved invoice or credit note: {document.number} is none")
    if not 0 < paid <= document.outstanding:
        raise _refused(f"{document.outstanding} is outstanding: {paid} can't be paid")
    today = call.organisation.today(call.now)
    if locked := lock_errors(call, today):
        raise _refused(*locked)
    _book(call, document, [Payment(call.world.new_id(), paid, today)], "created")
    return call.envelope({})


def _unpay(call: Call, document: Document, _: Any) -> Reply:
    """Take all payments back."""
    _book(call, document, document.payments, "deleted")
    return call.envelope({})


def _book(call: Call, document: Document, payments: list[Payment], action: str) -> None:
    for payment in list(payments):
        if action == "created":
            document.payments.append(payment)
        else:
            document.payments.remove(payment)
        call.committed.append(
            {
                "kind": "payment",
                "action": action,
                "id": payment.id,
                "document_id": document.id,
                "number": document.number,
                "amount": payment.amount,
                "currency": document.currency,
            }
        )
    settle(call, document)
    document.updated_at = call.now
    remember(call, document, "Paid" if action == "created" else "Payment Removed")


def _allocate(call: Call, note: Document, given: Any) -> Reply:
    """`Invoice` by id or number, and `Amount`, or as much as goes."""
    invoice = find_document(call.organisation, str(given["Invoice"]), "ACCREC")
    if note.kind != "ACCRECCREDIT" or invoice is None:
        raise _refused(
            f"A credit note is allocated to a sales invoice, {note.number} not to {given['Invoice']}"
        )
    amount = given.get("Amount", min(note.outstanding, invoice.outstanding))
    allocation = {"Invoice": {"InvoiceID": invoice.id}, "Amount": amount}
    return put_allocations(replace(call, body=to_json(allocation).encode()), note.id)


def _unallocate(call: Call, note: Document, _: Any) -> Reply:
    """Take all allocations back."""
    for allocation in list(note.allocations):
        reply = delete_allocation(call, allocation.credit_note_id, allocation.id)
        if reply.status != 200:
            return reply
    return call.envelope({})


_DEEDS: Mapping[str, Callable[[Call, Document, Any], Reply]] = {
    "Pay": _pay,
    "Unpay": _unpay,
    "Allocate": _allocate,
    "Unallocate": _unallocate,
}
"""What a person does that is no field of the document."""


def _refused(*texts: str) -> RefusedError:
    return RefusedError(validation_exception([{"ValidationErrors": messages(list(texts))}]))

"""What a person does inside Xero: edits, approves, voids, deletes or pays a document."""

from __future__ import annotations

from decimal import Decimal

from local.xero.calls import Call
from local.xero.documents import record_commit
from local.xero.invoices import post_invoice
from local.xero.money import CENT
from local.xero.organisations import Document, Organisation
from local.xero.purchase_orders import post_purchase_order
from local.xero.replies import RefusedError, Reply
from local.xero.wire import Json, to_json
from local.xero.world import World


def find_document(organisation: Organisation, key: str, kind: str | None) -> Document | None:
    """By id or number; `kind` tells an invoice from a purchase order of the same number."""
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


def change_document(world: World, organisation: Organisation, document: Document, changes: Json) -> Reply:
    """Apply `changes` (Xero's field names, or `Pay` with an amount) as a person would, with Xero's checks."""
    with world.lock:
        entry = world.log.open(world.now(), "PERSON", f"/organisation/{organisation.id}/{document.id}", "")
        entry.tenant_id, entry.outcome = organisation.id, "edited by a person"
        call = Call(
            world=world,
            organisation=organisation,
            client_id="",
            app_name="Xero",
            method="POST",
            query={"unitdp": "4", "summarizeerrors": "true", "allowbackorders": "true"},
            headers={},
            body=to_json(changes).encode(),
            committed=entry.committed,
        )
        if "Pay" in changes:
            reply = _pay(call, document, Decimal(str(changes["Pay"])).quantize(CENT))
        else:
            post = post_invoice if document.is_invoice else post_purchase_order
            try:
                reply = post(call, document.id)
            except RefusedError as refusal:
                reply = refusal.reply
        entry.status, entry.committed_at = reply.status, world.now()
        return reply


def _pay(call: Call, document: Document, amount: Decimal) -> Reply:
    document.amount_paid += amount
    if document.amount_paid >= document.total:
        document.status = "PAID"
    document.updated_at = call.now
    record_commit(call, document, "changed")
    return call.envelope({"Invoices": []})

"""What a person does inside Xero: enters, edits, approves, voids, deletes or pays a document."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from local.xero.calls import Call
from local.xero.documents import record_commit
from local.xero.invoices import post_invoice, put_invoices
from local.xero.money import CENT
from local.xero.organisations import Document, Organisation
from local.xero.purchase_orders import post_purchase_order, put_purchase_orders
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


def add_document(world: World, organisation: Organisation, given: Json) -> Reply:
    """A document that a person enters in Xero by hand: a purchase order where it has such a number, else an invoice."""
    put = put_purchase_orders if "PurchaseOrderNumber" in given else put_invoices
    with world.lock:
        return _by_hand(world, organisation, "entered by a person", given, put)


def change_document(world: World, organisation: Organisation, document: Document, changes: Json) -> Reply:
    """Apply `changes` (Xero's field names, or `Pay` with an amount) as a person would, with Xero's checks."""

    def change(call: Call) -> Reply:
        if "Pay" in changes:
            return _pay(call, document, Decimal(str(changes["Pay"])).quantize(CENT))
        post = post_invoice if document.is_invoice else post_purchase_order
        return post(call, document.id)

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


def _pay(call: Call, document: Document, amount: Decimal) -> Reply:
    document.amount_paid += amount
    if document.amount_paid >= document.total:
        document.status = "PAID"
    document.updated_at = call.now
    record_commit(call, document, "changed")
    return call.envelope({"Invoices": []})

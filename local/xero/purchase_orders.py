"""Purchase orders: a number space of their own, existing contacts only, no effect on stock or ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from local.xero import fields
from local.xero.batches import Outcome, write_each, write_one
from local.xero.calls import Call
from local.xero.documents import (
    NO_LINES,
    begun,
    branding_theme,
    currency,
    document_contact,
    documents_page,
    holders,
    line_amount_types,
    lock_errors,
    overwritten_by_post,
    read_lines,
    record_commit,
    store,
)
from local.xero.lines import DocumentRules, add_up
from local.xero.organisations import DEAD, Document
from local.xero.replies import Reply, not_found
from local.xero.views import purchase_order_view
from local.xero.wire import Json

STATUSES = ("DRAFT", "SUBMITTED", "AUTHORISED", "BILLED", "DELETED")
_NEXT = {
    "DRAFT": frozenset({"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"}),
    "SUBMITTED": frozenset({"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"}),
    "AUTHORISED": frozenset({"AUTHORISED", "BILLED", "DELETED"}),
    "BILLED": frozenset({"BILLED"}),
}
_LENGTHS = {"PurchaseOrderNumber": 255, "Reference": 255, "DeliveryInstructions": 500}
NOT_UNIQUE = "Order number must be unique"
NOT_FOR_CREATION = "Purchase order not of valid status for creation"
NOT_FOR_MODIFICATION = "Purchase order not of valid status for modification"
SENT_TOO_EARLY = "Only AUTHORISED and BILLED purchase orders may have SentToContact updated."


def get_purchase_orders(call: Call) -> Reply:
    rows = [one for one in call.organisation.documents.values() if one.kind == "PURCHASEORDER"]
    query = call.query
    if status := query.get("status"):
        rows = [document for document in rows if document.status == status.upper()]
    elif call.unconfirmed["dead_documents_listed"] == "no":
        rows = [document for document in rows if document.status not in DEAD]
    if since := _query_day(query.get("datefrom")):
        rows = [document for document in rows if document.dated_on >= since]
    if until := _query_day(query.get("dateto")):
        rows = [document for document in rows if document.dated_on <= until]
    if call.flag("createdByMyApp") and call.unconfirmed["created_by_my_app_of_purchase_orders"] == "filters":
        rows = [document for document in rows if document.created_by == call.client_id]
    # Neither where nor unitdp; paging is always on.
    query = {key: value for key, value in query.items() if key != "where"}
    if call.unconfirmed["order_of_purchase_orders"] == "ignored":
        query.pop("order", None)
    return documents_page(
        replace(call, query=query),
        "PurchaseOrders",
        rows,
        lambda document: purchase_order_view(call.organisation, document, call.ties),
        paged=True,
    )


def _query_day(text: str | None) -> date | None:
    return fields.day({"Date": text}, "Date") if text else None


def get_purchase_order(call: Call, key: str) -> Reply:
    document = _find(call, key)
    if document is None:
        return not_found()
    return call.envelope({"PurchaseOrders": [purchase_order_view(call.organisation, document, call.ties)]})


def put_purchase_orders(call: Call) -> Reply:
    return write_each(call, "PurchaseOrders", "PurchaseOrderID", lambda given: _save(call, given, None))


def post_purchase_orders(call: Call) -> Reply:
    def save(given: Json) -> Outcome:
        bare = set(given) <= {"PurchaseOrderID", "PurchaseOrderNumber", "Status"}
        if bare and call.unconfirmed["bare_status_of_purchase_orders"] == "refused":
            return Outcome(given, [NO_LINES])
        order_id = fields.identifier(given, "PurchaseOrderID")
        number = fields.text(given, "PurchaseOrderNumber")
        if order_id:
            known = call.organisation.documents.get(order_id)
            if known is None or known.kind != "PURCHASEORDER":
                return Outcome(given, [NOT_FOR_MODIFICATION])
            return _save(call, given, known)
        return _save(call, given, overwritten_by_post(call, "PURCHASEORDER", number) if number else None)

    return write_each(call, "PurchaseOrders", "PurchaseOrderID", save)


def post_purchase_order(call: Call, key: str) -> Reply:
    document = _find(call, key)
    if document is None:
        return not_found()
    return write_one(call, "PurchaseOrders", "PurchaseOrderID", lambda given: _save(call, given, document))


def _find(call: Call, key: str) -> Document | None:
    document = call.organisation.documents.get(key.lower())
    if document and document.kind == "PURCHASEORDER":
        return document
    same_case = call.unconfirmed["number_case"] == "kept"
    return next(call.organisation.numbered("PURCHASEORDER", key, same_case=same_case), None)


def _save(call: Call, given: Json, known: Document | None) -> Outcome:
    """Create, or overwrite `known` with what is given."""
    organisation = call.organisation
    errors = fields.length_errors(given, _LENGTHS, call.unconfirmed)
    status = fields.one_of(given, "Status", STATUSES) or (known.status if known else "DRAFT")
    if known is None and status == "DELETED":
        return Outcome(given, [NOT_FOR_CREATION])
    if known and status not in _next(call, known, given):
        return Outcome(given, [NOT_FOR_MODIFICATION])
    if known and status == "DELETED":
        if locked := lock_errors(call, known.dated_on, purchase_order=True):
            return Outcome(given, locked)
        known.status, known.updated_at = status, call.now
        record_commit(call, known, "changed")
        return Outcome(purchase_order_view(organisation, known, call.ties))

    number = fields.text(given, "PurchaseOrderNumber") or (known.number if known else None)
    if number and any(holder is not known for holder in holders(call, "PURCHASEORDER", number)):
        errors.append(NOT_UNIQUE)
    contact = document_contact(call, given, known, may_create=False)
    code, currency_errors = currency(call, given, known)
    theme_id, theme_errors = branding_theme(call, given, known)
    errors += currency_errors + theme_errors
    document_date = fields.day(given, "Date") or (known.dated_on if known else organisation.today(call.now))
    errors += lock_errors(call, document_date, draft=status == "DRAFT", purchase_order=True)
    amounts = line_amount_types(given, known)
    # Purchase orders have no unitdp and always keep four decimals.
    reading = read_lines(call, given, DocumentRules("PURCHASEORDER", status, amounts, 4), known)
    errors += reading.document_errors
    outcome = Outcome(
        {**given, "PurchaseOrderNumber": number} if number else given,
        errors,
        line_errors=reading.errors,
        contact_errors=list(contact.errors),
    )
    if known:
        outcome.element = {**outcome.element, "PurchaseOrderID": known.id}
    if outcome.failed:
        return outcome

    document = begun(
        call, given, known, kind="PURCHASEORDER", dated_on=document_date, amounts=amounts, code=code
    )
    document.lines, document.line_amount_types = reading.lines, amounts
    add_up(document)
    document.status, document.dated_on, document.currency = status, document_date, code
    document.branding_theme_id = theme_id
    _set_details(document, given)
    warnings = []
    if fields.flag(given, "SentToContact"):
        if status in ("AUTHORISED", "BILLED"):
            document.sent_to_contact = True
        else:
            warnings.append(SENT_TOO_EARLY)
    document.contact_id = contact.settle(call).id
    store(call, document, known, number or organisation.next_number("PURCHASEORDER"))
    return Outcome(purchase_order_view(organisation, document, call.ties), warnings=warnings)


def _next(call: Call, known: Document, given: Json) -> frozenset[str]:
    """The statuses that may follow, the same one among them where edits are allowed."""
    following = _NEXT.get(known.status, frozenset())
    unconfirmed = call.unconfirmed
    if known.status in ("DRAFT", "SUBMITTED") and unconfirmed["billing_of_unapproved_orders"] == "allowed":
        following |= {"BILLED"}
    if known.status == "BILLED":
        edits = set(given) - {"PurchaseOrderID", "PurchaseOrderNumber", "Status"}
        if edits and unconfirmed["edits_of_billed_orders"] == "refused":
            return frozenset()
        if unconfirmed["billed_orders_reopened"] == "allowed":
            following |= {"AUTHORISED"}
        if unconfirmed["billed_orders_deleted"] == "allowed":
            following |= {"DELETED"}
    return following


def _set_details(document: Document, given: Json) -> None:
    """What of a purchase order no rule depends on."""
    document.delivery_on = fields.day(given, "DeliveryDate") or document.delivery_on
    document.expected_on = fields.day(given, "ExpectedArrivalDate") or document.expected_on
    for key, attribute in (
        ("Reference", "reference"),
        ("DeliveryAddress", "delivery_address"),
        ("AttentionTo", "attention_to"),
        ("Telephone", "telephone"),
        ("DeliveryInstructions", "delivery_instructions"),
    ):
        if (value := fields.text(given, key)) is not None:
            setattr(document, attribute, value)

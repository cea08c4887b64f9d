"""Purchase orders: a number space of their own, existing contacts only, no effect on stock or ledger."""

from __future__ import annotations

from copy import copy
from datetime import date

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
from local.xero.organisations import DEAD, Document, Organisation
from local.xero.query import listed, page_of
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
    rows = [document for document in call.organisation.documents.values() if not document.is_invoice]
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
    views = [purchase_order_view(call.organisation, document, call.ties) for document in rows]
    # Purchase orders can't be filtered by where; paging is always on.
    if since_header := call.headers.get("if-modified-since"):
        views = listed(_only_since(call, since_header), views, "Invoice")
    return page_of(call, "PurchaseOrders", views, always=True)


def _only_since(call: Call, since: str) -> Call:
    reduced = copy(call)
    reduced.query, reduced.headers = {}, {"if-modified-since": since}
    return reduced


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
        order_id = fields.identifier(given, "PurchaseOrderID")
        number = fields.text(given, "PurchaseOrderNumber")
        if order_id:
            known = call.organisation.documents.get(order_id)
            if known is None or known.is_invoice:
                return Outcome(given, [NOT_FOR_MODIFICATION])
            return _save(call, given, known)
        return _save(call, given, overwritten_by_post(call, "PURCHASEORDER", number) if number else None)

    return write_each(call, "PurchaseOrders", "PurchaseOrderID", save)


def post_purchase_order(call: Call, key: str) -> Reply:
    document = _find(call, key)
    if document is None:
        return not_found()
    changes = call.elements("PurchaseOrders")[:1]
    return write_each(
        call, "PurchaseOrders", "PurchaseOrderID", lambda given: _save(call, given, document), only=changes
    )


def _find(call: Call, key: str) -> Document | None:
    document = call.organisation.documents.get(key.lower())
    if document and not document.is_invoice:
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
    if known and status not in _NEXT.get(known.status, frozenset()):
        return Outcome(given, [NOT_FOR_MODIFICATION])
    if known and status == "DELETED":
        known.status, known.updated_at = status, call.now
        record_commit(call, known, "changed")
        return Outcome(purchase_order_view(organisation, known, call.ties))

    number = fields.text(given, "PurchaseOrderNumber") or (known.number if known else None)
    if number and any(holder is not known for holder in holders(call, "PURCHASEORDER", number)):
        errors.append(NOT_UNIQUE)
    contact = (
        MeantContact(organisation.contacts[known.contact_id])
        if known and given.get("Contact") is None
        else meant_contact(call, given, may_create=False)
    )
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

    document = (
        copy(known)
        if known
        else Document(
            kind="PURCHASEORDER",
            id=call.world.new_id(),
            number="",
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
    settled = contact.settle(call)
    document.contact_id, settled.is_supplier, document.updated_at = settled.id, True, call.now
    _store(organisation, document, known, number or organisation.next_number("PURCHASEORDER"))
    record_commit(call, document, "changed" if known else "created")
    return Outcome(purchase_order_view(organisation, document, call.ties), warnings=warnings)


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


def _store(organisation: Organisation, document: Document, known: Document | None, number: str) -> None:
    if known:
        if number != known.number:
            organisation.renumber(known, number)
            document.number = number
        organisation.documents[known.id] = document
    else:
        document.number = number
        organisation.add(document)

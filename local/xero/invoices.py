"""Invoices and bills: PUT creates, POST overwrites what has the same id or number, GET lists."""

from __future__ import annotations

from urllib.parse import urlsplit

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
    store,
)
from local.xero.lines import DocumentRules, add_up
from local.xero.organisations import DEAD, Document, DocumentKind, Line
from local.xero.query import page_number
from local.xero.replies import Reply, not_found, query_parse_error
from local.xero.statuses import (
    NOT_FOR_MODIFICATION,
    STATUSES,
    end,
    read_open_lines,
    settle,
    status_refusal,
)
from local.xero.stock import stock_errors
from local.xero.views import invoice_view
from local.xero.wire import Json

_LENGTHS = {"InvoiceNumber": 255, "Reference": 255}
_NOT_IN_A_SUMMARY = frozenset({"Payments", "HasAttachments", "LineItems", "CISDeduction"})
_PERHAPS_NOT_IN_A_SUMMARY = frozenset({"Url", "SentToContact", "CreditNotes"})
NOT_UNIQUE = "Invoice # must be unique."
SENT_TOO_EARLY = "Only AUTHORISED invoices may have SentToContact updated."
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
    if summary and any(name in query.get("where", "") for name in _NOT_IN_A_SUMMARY):
        raise query_parse_error("A summary can't be filtered by what it leaves out")
    lines = (page_number(call) is not None or "statuses" in query) and not summary
    without = _left_out(call) if summary else frozenset()
    return documents_page(
        call,
        "Invoices",
        rows,
        lambda document: _view(call, document, lines=lines, without=without),
        paged=summary,
    )


def _left_out(call: Call) -> frozenset[str]:
    """The fields that a summary leaves out."""
    if call.unconfirmed["summary_fields"] == "all_but_the_four_named":
        return _NOT_IN_A_SUMMARY
    return _NOT_IN_A_SUMMARY | _PERHAPS_NOT_IN_A_SUMMARY


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
    return write_one(call, "Invoices", "InvoiceID", lambda given: _save(call, given, document))


def _find(call: Call, key: str) -> Document | None:
    document = call.organisation.documents.get(key.lower())
    if document and document.is_invoice:
        return document
    same_case = call.unconfirmed["number_case"] == "kept"
    return next(call.organisation.numbered("ACCREC", key, same_case=same_case), None)


def _view(
    call: Call, document: Document, *, lines: bool = True, without: frozenset[str] = frozenset()
) -> Json:
    return invoice_view(
        call.organisation, document, lines=lines, places=call.unit_places, ties=call.ties, without=without
    )


def _kind(given: Json, known: Document | None) -> DocumentKind:
    if known:
        return known.kind
    return "ACCPAY" if fields.one_of(given, "Type", ("ACCREC", "ACCPAY")) == "ACCPAY" else "ACCREC"


def _save(call: Call, given: Json, known: Document | None) -> Outcome:
    """Create, or overwrite `known` with what is given."""
    organisation = call.organisation
    errors = fields.length_errors(given, _LENGTHS, call.unconfirmed)
    if known is None and not fields.text(given, "Type"):
        errors.append("Invoice Type must be specified")
    kind = _kind(given, known)
    status = fields.one_of(given, "Status", STATUSES) or (known.status if known else "DRAFT")
    if refusal := status_refusal(call, known, status, given):
        return Outcome(given, [refusal])
    if known and status in DEAD:
        return end(call, given, known, status, _view)

    number = fields.text(given, "InvoiceNumber") or (known.number if known else None)
    if number and kind == "ACCREC" and any(holder is not known for holder in holders(call, kind, number)):
        errors.append(NOT_UNIQUE)
    contact = document_contact(call, given, known, may_create=True)
    code, currency_errors = currency(call, given, known)
    theme_id, theme_errors = branding_theme(call, given, known)
    errors += currency_errors + theme_errors + _url_errors(given)
    document_date = fields.day(given, "Date") or (known.dated_on if known else organisation.today(call.now))
    due_date = fields.day(given, "DueDate") or (known.due_on if known else None)
    if due_date is None and _needs_due_date(call, status):
        errors.append("The document DueDate field must be specified.")
    errors += dates_locked(call, document_date, known, draft=status == "DRAFT")
    amounts = line_amount_types(given, known)
    rules = DocumentRules(kind, status, amounts, call.unit_places)
    reading = read_open_lines(call, given, rules, known)
    errors += reading.document_errors
    if kind == "ACCREC":
        errors += _sale_errors(call, status, reading.lines, known)

    document = begun(call, given, known, kind=kind, dated_on=document_date, amounts=amounts, code=code)
    document.lines, document.line_amount_types = reading.lines, amounts
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
        document.currency_rate = currency_rate(call, given, code, document_date)
    warnings = _set_details(document, given)
    document.contact_id = contact.settle(call).id
    settle(call, document)
    store(call, document, known, number or organisation.next_number(kind))
    return Outcome(_view(call, document), warnings=warnings)


def _set_details(document: Document, given: Json) -> list[str]:
    """What of an invoice no rule depends on, but whether it was sent. Returns warnings."""
    reference = fields.text(given, "Reference")
    if document.kind == "ACCREC" and reference is not None:
        document.reference = reference
    document.url = fields.text(given, "Url") or document.url
    document.expected_on = fields.day(given, "ExpectedPaymentDate") or document.expected_on
    if not fields.flag(given, "SentToContact"):
        return []
    if document.status not in ("AUTHORISED", "PAID"):
        return [SENT_TOO_EARLY]
    document.sent_to_contact = True
    return []


def _sale_errors(call: Call, status: str, lines: list[Line], known: Document | None) -> list[str]:
    """What the plan's cap and the stock say."""
    newly_approved = status == "AUTHORISED" and (known is None or known.status != "AUTHORISED")
    capped = [CAP_REACHED] if newly_approved and _cap_reached(call) else []
    checked = status == "AUTHORISED" or call.unconfirmed["stock_of_drafts"] == "checked"
    return capped + (stock_errors(call, lines, known) if checked else [])


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

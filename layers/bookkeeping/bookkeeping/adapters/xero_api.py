"""Xero's Accounting API. Every call is bounded in time, and every answer becomes data or an error of `errors`.

What Xero answers is never trusted to be JSON, nor its keys to be spelt alike: see xero_refusals.
"""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

import requests
from urllib3.exceptions import HTTPError

from bookkeeping.adapters.http import read_bounded, session
from bookkeeping.adapters.xero_refusals import error_for, validation_errors
from bookkeeping.domain.amounts import to_json
from bookkeeping.domain.book_match import Listed, ListedKind, Wanted, lines_check
from bookkeeping.domain.document_kinds import DOCUMENT_KINDS, DocumentKind
from bookkeeping.domain.documents_in_xero import DocumentInXero, in_xero
from bookkeeping.domain.errors import CallRefused, OutcomeUnknown
from bookkeeping.domain.pacing import CALLS_AT_ONCE, Limits

LISTED_A_PAGE: Final = 1000
"""What Xero gives at most."""
ANSWER_AT_MOST: Final = 32 * 1024 * 1024
LONGEST_HISTORY: Final = 250
"""Characters of a note in a document's history, by the older of two pages of Xero's."""
NO_ID: Final = "00000000-0000-0000-0000-000000000000"
NO_REASON: Final = "Xero refused it and gave no reason"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LISTS: Final = {"Organisation": "Organisations", "Organisation/Actions": "Actions"}
"""Resource → the list in its answer, where the two have different names."""
_NEVER_EMPTY: Final = ("Organisation", "Accounts", "TaxRates")
"""What every organisation has."""

Observe = Callable[[Limits], None]
Json = Any


@dataclass(frozen=True)
class Access:
    """What lets one company into its organisation."""

    organisation_id: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Answered:
    """What Xero said of one document: `messages` where it was refused, else the document as it now stands."""

    id: str
    number: str
    status: str
    total: Decimal | None
    net: Decimal | None
    tax: Decimal | None
    taxes: Mapping[str, Decimal] | None
    """Tax type → the tax of its lines, those without tax left out; None where Xero did not list the lines."""
    currency: str
    dated_on: str
    """As in 2026-11-23; empty where Xero did not say it."""
    lines_check: str
    """The check value of its lines' accounts, tax types and amounts; empty where Xero did not list them."""
    contact_id: str
    contact_name: str
    reference: str
    messages: tuple[str, ...]
    explained: bool
    """Whether `messages` are Xero's own."""
    warnings: tuple[str, ...]
    fingerprint: str = ""
    """Of the document with its lines; empty where Xero did not list them."""

    @property
    def ok(self) -> bool:
        return not self.messages

    @property
    def void_or_deleted(self) -> bool:
        """Deleted or voided: it is in no books any more, and its number stays spent."""
        return self.status in ("DELETED", "VOIDED")


class Xero:
    """Calls to Xero. Safe to use from several threads; `observe` is told what each answer's headers say is left."""

    def __init__(self, base_url: str, call_time_out: float, calls_at_once: int = CALLS_AT_ONCE) -> None:
        self._base = f"{base_url.rstrip('/')}/api.xro/2.0/"
        self._time_out = call_time_out
        self.session = session(calls_at_once)

    def create(
        self, kind: DocumentKind, bodies: Sequence[Json], access: Access, key: str, observe: Observe
    ) -> list[Answered]:
        """Create documents in one call. One bad document does not hold the others; missing answers are left out."""
        params = {"summarizeErrors": "false", **_exact(kind)}
        if kind == "invoice":
            params["allowBackorders"] = "true"
        resource = DOCUMENT_KINDS[kind].resource
        answer = self._call(
            "PUT", resource, access, observe, params=params, body={resource: list(bodies)}, key=key
        )
        return [answered(kind, element) for element in _elements(answer, resource)]

    def invoices_by_number(
        self, numbers: Sequence[str], access: Access, observe: Observe, *, created_by_my_app: bool = False
    ) -> list[Answered]:
        """The invoices that stand under these numbers, deleted and voided ones too."""
        # a page of them has their lines
        params = {"InvoiceNumbers": ",".join(numbers), "page": "1", **_exact("invoice")}
        if created_by_my_app:
            params["createdByMyApp"] = "true"
        answer = self._call("GET", "Invoices", access, observe, params=params)
        found = [answered("invoice", element) for element in _elements(answer, "Invoices")]
        return [invoice for invoice in found if invoice.number in numbers]

    def purchase_order(self, number: str, access: Access, observe: Observe) -> Answered | None:
        try:
            answer = self._call("GET", f"PurchaseOrders/{number}", access, observe)
        except CallRefused as refused:
            if refused.status == 404:
                return None
            raise
        found = [answered("purchase_order", element) for element in _elements(answer, "PurchaseOrders")]
        return next((order for order in found if order.number == number), None)

    def purchase_orders(
        self, first: str, last: str, page: int, access: Access, observe: Observe
    ) -> tuple[list[Answered], int]:
        """A page of the purchase orders dated from the first day to the last, and how many pages there are."""
        params = {"DateFrom": first, "DateTo": last, "page": str(page), "pageSize": str(LISTED_A_PAGE)}
        answer = self._call("GET", "PurchaseOrders", access, observe, params=params)
        found = [answered("purchase_order", element) for element in _elements(answer, "PurchaseOrders")]
        return found, _pages(answer)

    def listed(
        self, wanted: Wanted, page: int, page_size: int, access: Access, observe: Observe
    ) -> tuple[list[Listed], int]:
        """A page of the documents of a kind, void ones too, and how many pages there are."""
        names = _LISTED[wanted.kind]
        params = {"page": str(page), "pageSize": str(page_size), "order": names.id_key}
        if wanted.kind == "purchase_order":
            days = {"DateFrom": wanted.first, "DateTo": wanted.last}
            params |= {name: day for name, day in days.items() if day}
        else:
            params |= {"where": _where(names.type, wanted.first, wanted.last), "unitdp": "4"}
        if wanted.kind == "invoice":
            params["summaryOnly"] = "true"
        headers = {"If-Modified-Since": wanted.since} if wanted.since else {}
        answer = self._call("GET", names.resource, access, observe, params=params, headers=headers)
        found = [listed(wanted.kind, element) for element in _elements(answer, names.resource)]
        return found, _pages(answer)

    def invoices_by_id(self, ids: Sequence[str], access: Access, observe: Observe) -> list[Listed]:
        """The invoices with these ids, with their lines."""
        params = {"IDs": ",".join(ids), "page": "1", "pageSize": str(LISTED_A_PAGE), "unitdp": "4"}
        answer = self._call("GET", "Invoices", access, observe, params=params)
        found = [listed("invoice", element) for element in _elements(answer, "Invoices")]
        return [invoice for invoice in found if invoice.id in ids]

    def listed_by_id(self, kind: ListedKind, id_: str, access: Access, observe: Observe) -> Listed | None:
        """One document by its id; None where Xero has none."""
        names = _LISTED[kind]
        try:
            answer = self._call("GET", f"{names.resource}/{quote(id_, safe='')}", access, observe)
        except CallRefused as refused:
            if refused.status == 404:
                return None
            raise
        found = [listed(kind, element) for element in _elements(answer, names.resource)]
        return next((one for one in found if one.id == id_), None)

    def document(
        self, kind: DocumentKind, id_or_number: str, access: Access, observe: Observe
    ) -> DocumentInXero | None:
        """The document with its lines; None where there is none."""
        resource = DOCUMENT_KINDS[kind].resource
        try:
            answer = self._call("GET", f"{resource}/{id_or_number}", access, observe, params=_exact(kind))
        except CallRefused as refused:
            if refused.status == 404:
                return None
            raise
        found = [_whole(kind, element) for element in _elements(answer, resource)]
        return next((one for one in found if id_or_number in (one.id, one.number)), None)

    def set_status(
        self, kind: DocumentKind, id_: str, status: str, access: Access, key: str, observe: Observe
    ) -> None:
        """Delete or void a document. Only its id and status are sent, so that nothing else of it changes."""
        of = DOCUMENT_KINDS[kind]
        body = {of.id_key: id_, "Status": status}
        path = f"{of.resource}/{id_}"
        self._call("POST", path, access, observe, params=_exact(kind), body=body, key=key)

    def allocate(
        self,
        note_id: str,
        invoice_id: str,
        amount: Decimal,
        on: str,
        access: Access,
        key: str,
        observe: Observe,
    ) -> None:
        """Let a credit note pay so much of an invoice. The same call again adds another allocation."""
        allocation = {"Invoice": {"InvoiceID": invoice_id}, "Amount": amount, "Date": on}
        path = f"CreditNotes/{note_id}/Allocations"
        answer = self._call("PUT", path, access, observe, body={"Allocations": [allocation]}, key=key)
        refused = (text for one in _elements(answer, "Allocations") for text in validation_errors(one))
        if messages := tuple(refused):
            raise CallRefused(400, messages)

    def add_history(
        self, kind: DocumentKind, id_: str, details: str, access: Access, key: str, observe: Observe
    ) -> None:
        """Add a note to what Xero shows as the document's history."""
        path = f"{DOCUMENT_KINDS[kind].resource}/{id_}/History"
        body = {"HistoryRecords": [{"Details": details[:LONGEST_HISTORY]}]}
        self._call("PUT", path, access, observe, body=body, key=key)

    def create_items(
        self, items: Sequence[Json], access: Access, key: str, observe: Observe
    ) -> dict[str, tuple[bool, tuple[str, ...]]]:
        """Create items. Code → (whether it is tracked, why it was refused)."""
        params = {"summarizeErrors": "false", "unitdp": "4"}
        answer = self._call(
            "PUT", "Items", access, observe, params=params, body={"Items": list(items)}, key=key
        )
        elements = _elements(answer, "Items")
        codes = [str(element.get("Code") or "") for element in elements]
        if len(elements) == len(items) and not all(codes):
            # refused elements may come without their code; their order is all there is then
            codes = [str(item["Code"]) for item in items]
        return {
            code: (element.get("IsTrackedAsInventory") is True, _messages(element, "ItemID"))
            for code, element in zip(codes, elements, strict=True)
        }

    def items(self, access: Access, observe: Observe) -> dict[str, bool]:
        """Every item of the organisation: code → whether it is tracked."""
        answer = self._call("GET", "Items", access, observe, params={"unitdp": "4"})
        return {
            str(item.get("Code", "")): item.get("IsTrackedAsInventory") is True
            for item in _elements(answer, "Items")
        }

    def item(self, code: str, access: Access, observe: Observe) -> bool | None:
        """Whether the item is tracked; None where there is none."""
        if code in (".", ".."):
            # in a path these are no name, but a way to another place
            return self.items(access, observe).get(code)
        try:
            answer = self._call("GET", f"Items/{quote(code, safe='')}", access, observe)
        except CallRefused as refused:
            if refused.status == 404:
                return None
            raise
        found = [item for item in _elements(answer, "Items") if item.get("Code") == code]
        return any(item.get("IsTrackedAsInventory") is True for item in found) if found else None

    def read(self, resource: str, access: Access, observe: Observe, **params: str) -> Json:
        """The answer to a GET, as Xero gave it. One without what was asked for is none."""
        answer = self._call("GET", resource, access, observe, params=params)
        if not _elements(answer, _LISTS.get(resource, resource)) and resource in _NEVER_EMPTY:
            raise OutcomeUnknown(f"200 with no {resource}", answered=True)
        return answer

    def _call(
        self,
        method: str,
        path: str,
        access: Access,
        observe: Observe,
        *,
        params: Mapping[str, str] | None = None,
        body: Json = None,
        key: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        headers = {
            **(headers or {}),
            "Authorization": f"Bearer {access.token}",
            "Xero-Tenant-Id": access.organisation_id,
            "Accept": "application/json",
        }
        if body is not None:
            headers |= {"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": key}
        # requests' own time-out starts anew with every byte that comes: a slow drip would outlast the lease
        deadline = time.monotonic() + self._time_out
        failure = "no answer in time"
        try:
            with self.session.request(
                method,
                self._base + path,
                params=params,
                data=None if body is None else to_json(body),
                headers=headers,
                timeout=(min(5.0, self._time_out), self._time_out),
                allow_redirects=False,
                stream=True,
            ) as response:
                observe(Limits.from_headers(response.headers))
                text = read_bounded(response, deadline, ANSWER_AT_MOST)
                if text is not None:
                    return parsed(response.status_code, response.headers, text, read=method == "GET")
                failure = "the answer is too slow or too long"
        except requests.exceptions.Timeout:
            pass
        except (requests.exceptions.RequestException, HTTPError) as error:
            failure = type(error).__name__
        # outside the handlers: the library's errors quote headers, and a chained one would carry them into a log
        raise OutcomeUnknown(f"{method} {path}: {failure}")


def parsed(status: int, headers: Mapping[str, str], text: bytes, *, read: bool = False) -> Json:
    """The JSON of a good answer, amounts as Decimal; raises what any other answer means."""
    if status != 200:
        raise error_for(status, headers, text, read=read)
    try:
        payload = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        raise OutcomeUnknown("200 with a body that can't be read", answered=True)
    return payload


def _elements(payload: Json, name: str) -> list[Mapping[str, Any]]:
    elements = payload.get(name)
    if not isinstance(elements, list):
        raise OutcomeUnknown(f"200 without {name}", answered=True)
    # an empty element neither takes nor refuses anything
    return [element for element in elements if isinstance(element, dict) and element]


def answered(kind: DocumentKind, element: Mapping[str, Any]) -> Answered:
    """What one element of an answer says. It is refused if any of Xero's three ways of saying so does."""
    id_key = DOCUMENT_KINDS[kind].id_key
    messages, warnings = _messages(element, id_key), element.get("Warnings")
    contact = element.get("Contact")
    return Answered(
        id=str(element.get(id_key) or ""),
        number=str(element.get(DOCUMENT_KINDS[kind].number_key) or ""),
        status=str(element.get("Status") or ""),
        total=_amount(element.get("Total")),
        net=_amount(element.get("SubTotal")),
        tax=_amount(element.get("TotalTax")),
        taxes=_taxes(element.get("LineItems")),
        currency=str(element.get("CurrencyCode") or ""),
        dated_on=_day(element),
        lines_check=_lines_check(element.get("LineItems")),
        contact_id=str(contact.get("ContactID") or "") if isinstance(contact, dict) else "",
        contact_name=str(contact.get("Name") or "") if isinstance(contact, dict) else "",
        reference=str(element.get("Reference") or ""),
        messages=messages,
        explained=messages not in ((), (NO_REASON,)),
        warnings=tuple(
            str(warning.get("Message", ""))
            for warning in (warnings if isinstance(warnings, list) else ())
            if isinstance(warning, dict)
        ),
        fingerprint="" if messages else _fingerprint(kind, element),
    )


def _fingerprint(kind: DocumentKind, element: Mapping[str, Any]) -> str:
    try:
        return in_xero(kind, element).fingerprint if element.get("LineItems") else ""
    except ValueError:
        # not listed as it should be: as good as not listed
        return ""


def _whole(kind: DocumentKind, element: Mapping[str, Any]) -> DocumentInXero:
    try:
        return in_xero(kind, element)
    except ValueError as error:
        raise OutcomeUnknown(f"200 with {error}", answered=True) from None


def _exact(kind: DocumentKind) -> dict[str, str]:
    """Unit prices with their four decimals. Purchase orders always have them."""
    return {} if kind == "purchase_order" else {"unitdp": "4"}


def _messages(element: Mapping[str, Any], id_key: str) -> tuple[str, ...]:
    """Why Xero refused an element; empty where it did not."""
    messages = tuple(validation_errors(element))
    refused = element.get("StatusAttributeString") == "ERROR" or str(element.get(id_key) or "") in ("", NO_ID)
    return messages or ((NO_REASON,) if refused else ())


def _taxes(lines: Json) -> Mapping[str, Decimal] | None:
    if not isinstance(lines, list) or not lines:
        return None
    taxes = defaultdict[str, Decimal](Decimal)
    for line in lines:
        amount = _amount(line.get("TaxAmount")) if isinstance(line, dict) else None
        if amount is None:
            return None
        taxes[str(line.get("TaxType") or "")] += amount
    return {tax_type: tax for tax_type, tax in taxes.items() if tax}


def listed(kind: ListedKind, element: Mapping[str, Any]) -> Listed:
    """A document as a list shows it."""
    names, contact = _LISTED[kind], element.get("Contact")
    return Listed(
        kind=kind,
        id=str(element.get(names.id_key) or ""),
        number=str(element.get(names.number_key) or ""),
        status=str(element.get("Status") or ""),
        currency=str(element.get("CurrencyCode") or ""),
        dated_on=_day(element),
        contact_id=str(contact.get("ContactID") or "") if isinstance(contact, dict) else "",
        net=_amount(element.get("SubTotal")),
        tax=_amount(element.get("TotalTax")),
        total=_amount(element.get("Total")),
        paid=_amount(element.get("AmountPaid")),
        credited=_amount(element.get("AmountCredited")),
        lines_check=_lines_check(element.get("LineItems")),
        updated_at=_moment(element.get("UpdatedDateUTC")),
    )


@dataclass(frozen=True)
class _Names:
    """What a kind of document is called in a list of Xero's."""

    resource: str
    id_key: str
    number_key: str
    type: str = ""


_LISTED: Final[Mapping[ListedKind, _Names]] = {
    "invoice": _Names("Invoices", "InvoiceID", "InvoiceNumber", "ACCREC"),
    "credit_note": _Names("CreditNotes", "CreditNoteID", "CreditNoteNumber", "ACCRECCREDIT"),
    "purchase_order": _Names("PurchaseOrders", "PurchaseOrderID", "PurchaseOrderNumber"),
}


def _where(type_: str, first: str, last: str) -> str:
    """Xero's condition for documents dated from the first day to the last; either may be open."""
    conditions = [f'Type=="{type_}"']
    if first:
        conditions.append(f"Date>={_xero_day(date.fromisoformat(first))}")
    if last:
        conditions.append(f"Date<{_xero_day(date.fromisoformat(last) + timedelta(days=1))}")
    return " AND ".join(conditions)


def _xero_day(day: date) -> str:
    return f"DateTime({day.year},{day.month:02},{day.day:02})"


def _pages(answer: Json) -> int:
    pagination = answer.get("pagination")
    pages = pagination.get("pageCount") if isinstance(pagination, dict) else None
    return pages if isinstance(pages, int) else 1


def _day(element: Mapping[str, Any]) -> str:
    """The document's date, as in 2026-11-23."""
    with suppress(ValueError):
        return date.fromisoformat(str(element.get("DateString") or "")[:10]).isoformat()
    at = _moment(element.get("Date"))
    return at.date().isoformat() if at else ""


def _moment(value: Json) -> datetime | None:
    """A moment in Xero's JSON, as in /Date(1795426212123+0000)/: milliseconds."""
    found = re.match(r"/Date\((-?[0-9]{1,13})", value) if isinstance(value, str) else None
    return _EPOCH + timedelta(milliseconds=int(found[1])) if found else None


def _lines_check(lines: Json) -> str:
    if not isinstance(lines, list) or not lines or not all(isinstance(line, dict) for line in lines):
        return ""
    amounts = (_amount(line.get("LineAmount")) for line in lines)
    return "" if None in amounts else lines_check(lines)


def _amount(value: Json) -> Decimal | None:
    return Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None

"""A document as it stands in Xero: what is read before anything is done to it, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal, Protocol

from bookkeeping.domain.document_kinds import DOCUMENT_KINDS, DocumentKind
from bookkeeping.domain.organisation import xero_date
from bookkeeping.domain.texts import check_value

VOID_OR_DELETED: Final = frozenset({"DELETED", "VOIDED"})
UNAPPROVED: Final = frozenset({"DRAFT", "SUBMITTED"})
Stands = Literal[
    "",
    "draft",
    "awaiting_approval",
    "approved",
    "part_paid",
    "part_credited",
    "paid",
    "credited",
    "billed",
    "voided",
    "deleted",
]
"""Where a document stands in Xero; empty: not known."""
_STANDS: Final[Mapping[str, Stands]] = {
    "DRAFT": "draft",
    "SUBMITTED": "awaiting_approval",
    "AUTHORISED": "approved",
    "PAID": "paid",
    "BILLED": "billed",
    "VOIDED": "voided",
    "DELETED": "deleted",
}
_NONE: Final = Decimal(0)
_FINGERPRINT: Final = 16
"""Hexadecimal digits."""


@dataclass(frozen=True)
class LineInXero:
    """A line of a document in Xero. Its amounts are in the document's currency, with tax where that says Inclusive."""

    description: str
    quantity: Decimal
    unit_amount: Decimal
    amount: Decimal
    tax: Decimal
    account_code: str
    tax_type: str
    item_code: str
    tracking: tuple[Mapping[str, str], ...] = ()
    """The tracking categories: name and option, as Xero takes them."""


@dataclass(frozen=True)
class Allocated:
    """A part of a credit note that pays an invoice."""

    invoice_id: str
    amount: Decimal


@dataclass(frozen=True)
class DocumentInXero:
    """A sales invoice, a purchase order or a credit note, as read."""

    kind: DocumentKind
    id: str
    number: str
    status: str
    reference: str
    contact_id: str
    contact_name: str
    dated_on: date | None
    currency: str
    currency_rate: Decimal | None
    line_amount_types: str
    lines: tuple[LineInXero, ...]
    net: Decimal
    tax: Decimal
    total: Decimal
    due: Decimal = _NONE
    """What of an invoice is neither paid nor credited."""
    paid: Decimal = _NONE
    credited: Decimal = _NONE
    credited_by: tuple[str, ...] = ()
    """The ids of the credit notes that are allocated to an invoice."""
    remaining_credit: Decimal = _NONE
    """What of a credit note is neither allocated nor refunded."""
    allocated: tuple[Allocated, ...] = ()
    sent_to_contact: bool = False
    branding_theme_id: str = ""

    @property
    def void_or_deleted(self) -> bool:
        """Deleted or voided: it is in no books any more."""
        return self.status in VOID_OR_DELETED

    @property
    def stands(self) -> Stands:
        """Where it stands in Xero, which calls an invoice paid that is credited in full."""
        if self.status == "PAID" and self.credited and not self.paid:
            return "credited"
        if self.status == "AUTHORISED" and (self.paid or self.credited):
            return "part_paid" if self.paid else "part_credited"
        return stands_by(self.status)

    @property
    def fingerprint(self) -> str:
        """The same as long as nobody changes its contact, date, currency or lines. A status is no such change."""
        return _fingerprint(self)


def stands_by(status: str) -> Stands:
    """Where a document stands, as far as its status tells."""
    return _STANDS.get(status, "")


def in_xero(kind: DocumentKind, element: Mapping[str, Any]) -> DocumentInXero:
    """One element of an answer of Xero's, amounts as Decimal. Raises ValueError where it is no whole document."""
    contact = element.get("Contact")
    contact = contact if isinstance(contact, Mapping) else {}
    lines = element.get("LineItems")
    if not isinstance(lines, list) or not all(isinstance(line, Mapping) for line in lines):
        raise ValueError(f"a {DOCUMENT_KINDS[kind].words} without its lines")
    allocations, notes = element.get("Allocations"), element.get("CreditNotes")
    return DocumentInXero(
        kind=kind,
        id=_text(element, DOCUMENT_KINDS[kind].id_key),
        number=_text(element, DOCUMENT_KINDS[kind].number_key),
        status=_text(element, "Status"),
        reference=_text(element, "Reference"),
        contact_id=_text(contact, "ContactID"),
        contact_name=_text(contact, "Name"),
        dated_on=xero_date(element.get("DateString") or element.get("Date")),
        currency=_text(element, "CurrencyCode"),
        currency_rate=_number(element.get("CurrencyRate")),
        line_amount_types=_text(element, "LineAmountTypes"),
        lines=tuple(map(_line, lines)),
        net=_amount(element, "SubTotal"),
        tax=_amount(element, "TotalTax"),
        total=_amount(element, "Total"),
        due=_amount(element, "AmountDue"),
        paid=_amount(element, "AmountPaid"),
        credited=_amount(element, "AmountCredited"),
        credited_by=tuple(
            _text(note, "CreditNoteID")
            for note in (notes if isinstance(notes, list) else ())
            if isinstance(note, Mapping)
        ),
        remaining_credit=_amount(element, "RemainingCredit"),
        allocated=tuple(
            Allocated(_text(invoice, "InvoiceID"), _amount(one, "Amount"))
            for one in (allocations if isinstance(allocations, list) else ())
            if isinstance(one, Mapping) and isinstance(invoice := one.get("Invoice"), Mapping)
        ),
        sent_to_contact=element.get("SentToContact") is True,
        branding_theme_id=_text(element, "BrandingThemeID"),
    )


def _line(line: Mapping[str, Any]) -> LineInXero:
    tracking = line.get("Tracking")
    return LineInXero(
        description=_text(line, "Description"),
        quantity=_amount(line, "Quantity"),
        unit_amount=_amount(line, "UnitAmount"),
        amount=_amount(line, "LineAmount"),
        tax=_amount(line, "TaxAmount"),
        account_code=_text(line, "AccountCode"),
        tax_type=_text(line, "TaxType"),
        item_code=_text(line, "ItemCode"),
        tracking=tuple(
            {"Name": _text(one, "Name"), "Option": _text(one, "Option")}
            for one in (tracking if isinstance(tracking, list) else ())
            if isinstance(one, Mapping)
        ),
    )


class Made(Protocol):
    """What is known of a document as it was posted."""

    @property
    def total(self) -> str: ...
    @property
    def currency(self) -> str: ...
    @property
    def dated_on(self) -> str: ...
    @property
    def contact_check(self) -> str: ...


def versions(made: Made, document: DocumentInXero) -> dict[str, str]:
    """A document as posted, and as it is in Xero now, in words for a problem."""
    posted = f"{made.total} {made.currency}"
    if made.dated_on:
        posted += f", dated {made.dated_on}"
    if made.contact_check not in ("", check_value(document.contact_id)):
        posted += ", for another contact"
    lines = len(document.lines)
    now = (
        f"{document.total:.2f} {document.currency}, dated {document.dated_on}, for “{document.contact_name}”,"
        f" {lines} {'line' if lines == 1 else 'lines'}"
    )
    return {"posted": posted, "now": now}


def _fingerprint(document: DocumentInXero) -> str:
    what = [
        document.contact_id,
        document.dated_on.isoformat() if document.dated_on else "",
        document.currency,
        document.line_amount_types,
        *map(_plain, (document.net, document.tax, document.total)),
        [
            [
                line.description,
                *map(_plain, (line.quantity, line.unit_amount, line.amount, line.tax)),
                line.account_code,
                line.tax_type,
                line.item_code,
                list(line.tracking),
            ]
            for line in document.lines
        ],
    ]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:_FINGERPRINT]


def _plain(number: Decimal) -> str:
    """The same for 2.0 and 2.00, and short whatever its exponent."""
    return str(number.normalize())


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _number(value: Any) -> Decimal | None:
    return Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def _amount(members: Mapping[str, Any], name: str) -> Decimal:
    return _number(members.get(name)) or _NONE

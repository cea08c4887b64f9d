"""What invoices and purchase orders share: numbers, currency, lock dates, lines, the record of a commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from local.xero import fields
from local.xero.calls import Call
from local.xero.lines import LINE_AMOUNT_TYPES, DocumentRules, line_as_given, read_line
from local.xero.organisations import DEAD, Document, DocumentKind, Line
from local.xero.wire import Json

NO_LINES = "One or more line items must be specified"


@dataclass
class LinesReading:
    lines: list[Line]
    errors: list[list[str]]
    document_errors: list[str] = field(default_factory=list)


def read_lines(call: Call, given: Json, rules: DocumentRules, known: Document | None) -> LinesReading:
    """The document's lines. An update without any sends the stored ones again, rounded anew."""
    posted = fields.parts(given, "LineItems")
    if posted is None and known:
        stored = [read_line(call, line_as_given(line), rules) for line in known.lines]
        return LinesReading(
            [reading.line for reading in stored], [], [error for one in stored for error in one.errors]
        )
    if not posted:
        return LinesReading([], [], [NO_LINES])
    readings = [read_line(call, line, rules) for line in posted]
    return LinesReading([reading.line for reading in readings], [reading.errors for reading in readings])


def holders(call: Call, kind: DocumentKind, number: str) -> list[Document]:
    """The documents that keep others from having this number."""
    same_case = call.unconfirmed["number_case"] == "kept"
    found = list(call.organisation.numbered(kind, number, same_case=same_case))
    if call.unconfirmed["dead_number_reuse"] == "allowed":
        found = [document for document in found if document.status not in DEAD]
    return found


def overwritten_by_post(call: Call, kind: DocumentKind, number: str) -> Document | None:
    """The document a POST under this number changes: a live one before a dead one."""
    same_case = call.unconfirmed["number_case"] == "kept"
    found = list(call.organisation.numbered(kind, number, same_case=same_case))
    live = [document for document in found if document.status not in DEAD]
    if live:
        return live[-1]
    return found[-1] if found and call.unconfirmed["post_on_dead_number"] == "refused" else None


def line_amount_types(given: Json, known: Document | None) -> str:
    chosen = fields.one_of(given, "LineAmountTypes", LINE_AMOUNT_TYPES)
    return chosen or (known.line_amount_types if known else "Exclusive")


def currency(call: Call, given: Json, known: Document | None) -> tuple[str, list[str]]:
    code = fields.text(given, "CurrencyCode")
    if not code:
        return known.currency if known else call.organisation.base_currency, []
    if code in call.organisation.currencies:
        return code, []
    return code, [call.unconfirmed["unsubscribed_currency_text"].format(currency=code)]


def currency_rate(call: Call, given: Json, code: str) -> Decimal:
    if code == call.organisation.base_currency:
        return Decimal("1.000000")
    given_rate = fields.number(given, "CurrencyRate")
    return (given_rate if given_rate else Decimal("1.25")).quantize(Decimal("0.000001"))


def branding_theme(call: Call, given: Json, known: Document | None) -> tuple[str | None, list[str]]:
    theme_id = fields.identifier(given, "BrandingThemeID")
    if theme_id is None:
        return known.branding_theme_id if known else None, []
    if any(theme.id == theme_id for theme in call.organisation.branding_themes):
        return theme_id, []
    return None, ["The BrandingThemeID does not match a branding theme of this organisation."]


def lock_errors(call: Call, document_date: date, *, draft: bool, purchase_order: bool) -> list[str]:
    """Complaints for a date that isn't after both lock dates."""
    if draft and call.unconfirmed["lock_date_for_drafts"] == "no":
        return []
    if purchase_order and call.unconfirmed["lock_date_for_purchase_orders"] == "no":
        return []
    organisation = call.organisation
    locks = (
        ("end of year lock date", organisation.end_of_year_lock_date),
        ("period lock date", organisation.period_lock_date),
    )
    return [
        f"The document date cannot be before the {name}, currently set at {_shown(call, name, lock)}"
        for name, lock in locks
        if lock and document_date <= lock
    ][:1]


def _shown(call: Call, name: str, lock: date) -> str:
    if name == "period lock date" and call.unconfirmed["lock_date_format_of_period"] == "iso":
        return lock.isoformat()
    return lock.strftime("%d-%b-%Y")


def record_commit(call: Call, document: Document, action: str) -> None:
    """Tell the truth log, and remember which items documents use."""
    call.organisation.item_codes_in_use |= {line.item_code for line in document.lines if line.item_code}
    call.committed.append(
        commit_record(call.organisation.contacts[document.contact_id].name, document, action)
    )


def commit_record(contact_name: str, document: Document, action: str) -> Json:
    return {
        "kind": document.kind,
        "action": action,
        "id": document.id,
        "number": document.number,
        "reference": document.reference,
        "subtotal": document.sub_total,
        "total": document.total,
        "currency": document.currency,
        "contact_id": document.contact_id,
        "contact": contact_name,
        "status": document.status,
        "lines": len(document.lines),
    }

"""An order's documents with the reason of everything in them.

The reasons of a document that is in Xero are made again, from what is known for good: the order's content, which is
frozen, and the version of the settings that its row names. Only the organisation's facts are those of today.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from bookkeeping.domain import ledger
from bookkeeping.domain.contacts import Contact
from bookkeeping.domain.document_kinds import DocumentKind, contact_setting
from bookkeeping.domain.documents import Document, item_code, moved_to, purchase_order, sales_invoice
from bookkeeping.domain.ledger import Entry, Posted
from bookkeeping.domain.orders import Order
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.problems.problem import OrderStopped
from bookkeeping.domain.reasons import CHANGED_SINCE, Explanation, Reason, SettingsVersion
from bookkeeping.domain.settings import Settings, freed_by
from bookkeeping.use_cases.page.adapters import PageAdapters


class Made(NamedTuple):
    """What a document is made from, of whichever kind."""

    order: Order
    settings: Settings
    organisation: Organisation
    contact: Contact
    number: str
    sent_on: date

    def document(self, kind: DocumentKind, *, untracked_items: frozenset[str], as_draft: bool) -> Document:
        order, settings, organisation, contact, number, sent_on = self
        if kind == "purchase_order":
            return purchase_order(
                order,
                settings,
                organisation,
                contact=contact,
                number=number,
                sent_on=sent_on,
                untracked_items=untracked_items,
            )
        return sales_invoice(
            order,
            settings,
            organisation,
            contact=contact,
            number=number,
            sent_on=sent_on,
            as_draft=as_draft,
        )


def documents_in_xero(adapters: PageAdapters, entry: Entry) -> list[dict[str, Any]]:
    """The order's documents that are in Xero, line by line, each with its reasons."""
    known = adapters.organisations.get(entry.organisation_id) if entry.documents else None
    if known is None:
        return []
    organisation, read_at = known
    untracked = untracked_items(adapters, entry, organisation)
    saved = adapters.settings.saved(entry.company)
    shown = []
    for kind, posted in entry.documents.items():
        number = posted.settings_version or entry.settings_version
        if saved is not None and saved.number == number:
            version = SettingsVersion(saved.settings, number)
        else:
            settings = adapters.settings.version(entry.company, number)
            changed = freed_by(settings, saved.settings) if saved else frozenset()
            version = SettingsVersion(settings, number, dict.fromkeys(changed, CHANGED_SINCE))
        about: dict[str, Any] = {
            "kind": kind,
            "settings_version": number,
            "facts_read_at": read_at.isoformat(),
        }
        try:
            document = _made_again(entry, kind, posted, version.settings, organisation, untracked)
            about |= explained(Explanation(document, entry.message.order, version, organisation))
            about["remark"] = _remark(document, posted)
        except OrderStopped as stopped:
            # what Xero says of accounts and tax rates is another thing by now
            about |= {
                "lines": [],
                "why": [],
                "remark": f"As known today, it could not be posted: {stopped.problem.sentence}",
            }
        shown.append(about)
    return shown


def untracked_items(adapters: PageAdapters, entry: Entry, organisation: Organisation) -> frozenset[str]:
    """The order's items that a person said are to be used as they are, which is untracked."""
    if not entry.items_as_they_are:
        return frozenset()
    codes = [code for line in entry.message.order.lines if (code := item_code(line.sku))]
    known = adapters.organisations.items(organisation.id, codes)
    return frozenset(code for code, tracked in known.items() if not tracked)


def _made_again(
    entry: Entry,
    kind: DocumentKind,
    posted: Posted,
    settings: Settings,
    organisation: Organisation,
    untracked: frozenset[str],
) -> Document:
    """The document as it was made. Lock dates of today say nothing of it: where one moved it, its notes say so."""
    moved = moved_to(posted.notes)
    locked = moved and moved - timedelta(days=1)
    organisation = replace(organisation, period_lock_date=locked, end_of_year_lock_date=None)
    contact = Contact("", getattr(settings, contact_setting(kind, settings)), "ACTIVE")
    sent_on = organisation.calendar(settings.order_time_zone).day(ledger.sent_at(entry.message))
    about = Made(entry.message.order, settings, organisation, contact, posted.number, sent_on)
    return about.document(kind, untracked_items=untracked, as_draft=posted.status == "DRAFT")


def _remark(document: Document, posted: Posted) -> str | None:
    total = f"{document.figures.total:.2f}"
    if posted.total in ("", total):
        return None
    return f"It came to {posted.total} in Xero. As known today, it would come to {total}."


def explained(explanation: Explanation) -> dict[str, Any]:
    """A document's figures and lines as JSON, each line with its reasons."""
    document = explanation.document
    organisation, body, figures = explanation.organisation, document.body, document.figures
    return {
        "number": document.number,
        "date": body["Date"],
        "due_date": body.get("DueDate"),
        "currency": body["CurrencyCode"],
        "amounts": body["LineAmountTypes"],
        "net": plain(figures.net),
        "taxes": [
            {"name": organisation.tax_type_in_words(tax_type), "tax": plain(tax)}
            for tax_type, tax in figures.taxes.items()
        ],
        "total": plain(figures.total),
        "why": [_reason(reason) for reason in explanation.of_document()],
        "lines": [
            {
                "description": item["Description"],
                "quantity": plain(item["Quantity"]),
                "price": plain(item["UnitAmount"]),
                "why": [_reason(reason) for reason in reasons],
            }
            for item, reasons in zip(body["LineItems"], explanation.of_lines(), strict=True)
        ],
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "about": reason.about,
        "words": reason.words,
        "setting": {"name": reason.setting, "title": Settings.label(reason.setting)}
        if reason.setting
        else None,
        "field": reason.field or None,
    }


def plain(value: Any) -> Any:
    """Amounts as text, so that none becomes a float."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value

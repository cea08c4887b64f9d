"""What the popup refuses in a company's settings, or warns of, as far as its organisation is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from bookkeeping.domain.amounts import plain_number
from bookkeeping.domain.contacts import same_name
from bookkeeping.domain.countries import place_words
from bookkeeping.domain.organisation import Organisation, TaxRate
from bookkeeping.domain.settings import RefusedValue, Settings, TaxRow

MOST_NAMED: Final = 3


@dataclass(frozen=True)
class Advice:
    """Something to know about one setting, in words."""

    name: str
    message: str


def unusable_tax_rows(settings: Settings, organisation: Organisation) -> tuple[RefusedValue, ...]:
    """The rows of “Tax rates” whose tax type cannot be used for sales, or has another percentage than the row."""
    reasons = ((row, _why_unusable(row, organisation)) for row in settings.tax_types)
    return tuple(
        RefusedValue(f"tax_types.{index}.tax_type", row.tax_type, reason)
        for index, (row, reason) in enumerate(reasons)
        if reason
    )


def _why_unusable(row: TaxRow, organisation: Organisation) -> str:
    """In words; empty where it can be used."""
    found = organisation.tax_rate(row.tax_type)
    if found is None:
        return _unknown(row.tax_type, organisation)
    if found.status != "ACTIVE":
        return f"{_named(found)} is deleted in Xero; restore it there, or choose another one{_like(row, organisation)}"
    if not found.fits("REVENUE"):
        return f"{_named(found)} is not for sales but for purchases; choose one for sales{_like(row, organisation)}"
    if found.effective_rate != row.percent:
        return f"{found.name} ({row.tax_type}) has {plain_number(found.effective_rate)} % in Xero, and {_wanted(row)}"
    return ""


def _unknown(tax_type: str, organisation: Organisation) -> str:
    for rate in organisation.tax_rates:
        if same_name(tax_type, rate.tax_type) or same_name(tax_type, rate.name):
            return f"the tax type has to be as Xero writes it: {rate.tax_type}"
    usable = {
        word: _named(rate)
        for rate in organisation.tax_rates
        if rate.fits("REVENUE")
        for word in (rate.tax_type.casefold(), rate.name.casefold())
    }
    near = dict.fromkeys(usable[word] for word in get_close_matches(tax_type.casefold(), usable))
    there_are = f"there is {' or '.join(near)}" if near else "choose it from the list"
    return f"the tax type {tax_type} does not exist in Xero; {there_are}"


def _named(rate: TaxRate) -> str:
    return f"{rate.name} ({rate.tax_type}, {plain_number(rate.effective_rate)} %)"


def _like(row: TaxRow, organisation: Organisation) -> str:
    """The usual tax rates that the row could have."""
    names = [_named(rate) for rate in organisation.fitting_tax_rates("REVENUE", row.percent)[:MOST_NAMED]]
    return f", such as {' or '.join(names)}" if names else ""


def _wanted(row: TaxRow) -> str:
    return "a row without tax needs 0 %" if row.reverse_charge else f"the row is for {row.rate} %"


def advice(settings: Settings, organisation: Organisation | None) -> Iterator[Advice]:
    """What the settings page warns of."""
    yield from _of_tax_rows(settings, organisation)
    if settings.process_method == "tracked":
        yield from _of_tracked(settings, organisation)


def _of_tracked(settings: Settings, organisation: Organisation | None) -> Iterator[Advice]:
    registered = organisation is not None and organisation.pays_tax
    if registered and not settings.purchase_tax_type and not settings.purchase_tax_types:
        yield Advice(
            "purchase_tax_type",
            "Nobody chose the tax rate of purchases yet. Purchase orders take the tax rate of the cost of goods sold"
            " account, and each order says so.",
        )
    if settings.invoice_price == "trade":
        yield Advice(
            "invoice_price",
            "In Tracked, invoices at the trade price sell the stock for what it cost, so Xero shows no profit.",
        )
    supplier = settings.purchase_order_contact_name or settings.contact_name
    if settings.contact_name and same_name(supplier, settings.contact_name):
        yield Advice(
            "purchase_order_contact_name",
            "Purchase orders and sales invoices are for the same contact. Usually the supplier is not the customer.",
        )


def _of_tax_rows(settings: Settings, organisation: Organisation | None) -> Iterator[Advice]:
    if organisation is not None:
        for wrong in unusable_tax_rows(settings, organisation):
            yield Advice("tax_types", f"{wrong.reason}. Orders that need it stop.")
    for row in settings.tax_types:
        if row.reverse_charge:
            yield Advice(
                "tax_types",
                f"Orders at {row.rate} % shipped to {place_words(row.ships_to)} are billed without their tax. Each of"
                " them shows its total with and without it.",
            )

"""What is wrong, or worth a second look, about settings in the light of what is known of the organisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bookkeeping.domain.amounts import plain_number
from bookkeeping.domain.contacts import same_name
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.settings import RefusedValue, Settings, TaxRow


@dataclass(frozen=True)
class Advice:
    """Something to know about one setting, in words."""

    name: str
    message: str


def rows_of_other_rates(settings: Settings, organisation: Organisation) -> tuple[RefusedValue, ...]:
    """The rows of “Tax rates” that would change the order's own tax, each with both percentages."""
    wrong = []
    for index, row in enumerate(settings.tax_types):
        found = organisation.tax_rate(row.tax_type)
        if found is not None and found.effective_rate != row.percent:
            has = plain_number(found.effective_rate)
            reason = f"{row.tax_type} has {has} % in Xero, and {_wanted(row)}"
            wrong.append(RefusedValue(f"tax_types.{index}.tax_type", row.tax_type, reason))
    return tuple(wrong)


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
            "Nobody chose the tax rate of purchases yet. Until then purchase orders take that of the cost of goods sold"
            " account, and each order says so.",
        )
    if settings.invoice_price == "trade":
        yield Advice(
            "invoice_price",
            "In Tracked, invoices at the trade price sell the stock for what it cost: Xero shows no margin.",
        )
    supplier = settings.purchase_order_contact_name or settings.contact_name
    if settings.contact_name and same_name(supplier, settings.contact_name):
        yield Advice(
            "purchase_order_contact_name",
            "Purchase orders and sales invoices are for one and the same contact. In Tracked the supplier is usually"
            " another one than the customer.",
        )


def _of_tax_rows(settings: Settings, organisation: Organisation | None) -> Iterator[Advice]:
    if organisation is not None:
        for wrong in rows_of_other_rates(settings, organisation):
            yield Advice("tax_types", f"{wrong.reason}. Orders that need it stop.")
    for row in settings.tax_types:
        if row.reverse_charge:
            yield Advice(
                "tax_types",
                f"Orders at {row.rate} % shipped to {row.ships_to} are billed without their tax: of a price with tax,"
                " only the part without it. Each such order shows both totals.",
            )

"""What an order comes to by its own prices and rates, whatever the settings make of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import Final

from bookkeeping.domain.documents import CENT, EXACT
from bookkeeping.domain.documents_in_xero import VOID_OR_DELETED
from bookkeeping.domain.ledger import Entry
from bookkeeping.domain.orders import Order

LONGEST_AMOUNT: Final = 30
"""Digits, on either side of the point. One with more is none."""


@dataclass(frozen=True)
class Money:
    currency: str
    """Empty where an order names none: it is then that of the books."""
    amount: Decimal


def comes_to(entry: Entry) -> Money | None:
    """What the order's invoice comes to in Xero, less what was credited; before there is one, the order itself.

    None where neither can be told.
    """
    invoice = entry.documents.get("invoice")
    if invoice is None:
        order = entry.message.order if entry.message.content else None
        totals = order_totals(order) if order else None
        return Money(order.currency or "", totals.total) if order and totals else None
    if invoice.status in VOID_OR_DELETED:
        return Money(_currency(invoice.currency), Decimal(0))
    total = _amount(invoice.total)
    return None if total is None else Money(_currency(invoice.currency), total - (credited(entry) or 0))


def credited(entry: Entry) -> Decimal | None:
    """What the credit notes of the order's invoice that stand in Xero come to; None where there are none."""
    invoice = entry.documents.get("invoice")
    # a former invoice's note stays with the order that is posted again
    own = [note for note in entry.credit_notes if invoice is not None and note.invoice_id == invoice.id]
    amounts = [_amount(note.total) for note in own if note.counts and note.id]
    return sum(filter(None, amounts), Decimal(0)) if amounts else None


def _amount(text: str) -> Decimal | None:
    """An amount as Xero answered it, which may be anything."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount.adjusted()) < LONGEST_AMOUNT else None


def _currency(text: str) -> str:
    return text if len(text) == len("GBP") and text.isalpha() else ""


@dataclass(frozen=True)
class OrderTotals:
    """In the order's currency, 2 decimals each."""

    net: Decimal
    taxes: Mapping[Decimal | None, Decimal]
    """Percent as stated → tax. None: no rate is stated, and the tax is what the two prices differ by."""
    total: Decimal


def order_totals(order: Order) -> OrderTotals | None:
    """Quantity times price, with tax where such a price is told; None where a part can't be read or has no price."""
    if order.flaw is not None:
        return None
    lines = [line for line in order.lines if not line.cancelled]
    if not order.free_of_charge and any(line.price is None and line.price_inc_tax is None for line in lines):
        return None
    charges = [(line.quantity, line.price, line.price_inc_tax, line.tax_rate) for line in lines]
    shipping = order.shipping
    charges.append((Decimal(1), shipping.price, shipping.price_inc_tax, shipping.tax_rate))
    taxes, total = defaultdict[Decimal | None, Decimal](Decimal), Decimal(0)
    with localcontext(EXACT):
        for quantity, net, gross, rate in charges:
            if gross is not None:
                total += quantity * gross
                taxes[rate] += _tax_within(
                    quantity * gross, quantity * net if net is not None else None, rate
                )
            elif net is not None:
                tax = _cents(_cents(quantity * net) * (rate or 0) / 100)
                total += quantity * net + tax
                taxes[rate] += tax
        total = _cents(total)
        stated = {rate: tax for rate, tax in taxes.items() if tax or rate}
        return OrderTotals(total - sum(taxes.values()), stated, total)


def _tax_within(gross: Decimal, net: Decimal | None, rate: Decimal | None) -> Decimal:
    if rate is not None:
        return _cents(_cents(gross) * rate / (100 + rate))
    return Decimal(0) if net is None else _cents(gross) - _cents(net)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)

"""Xero's sums: unit amounts rounded first, line totals to the cent, tax per line and then added up."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Literal

Ties = Literal["half_up", "half_even"]

CENT = Decimal("0.01")
ZERO = Decimal("0.00")
HUNDRED = Decimal(100)


def rounded(amount: Decimal, places: int, ties: Ties) -> Decimal:
    """The amount at so many decimals; never a negative zero."""
    quantum = Decimal(1).scaleb(-places)
    result = amount.quantize(quantum, ROUND_HALF_UP if ties == "half_up" else ROUND_HALF_EVEN)
    return abs(result) if result == 0 else result


def line_total(
    quantity: Decimal,
    unit_amount: Decimal,
    discount_rate: Decimal | None,
    discount_amount: Decimal | None,
    ties: Ties,
) -> Decimal:
    """Quantity × unit amount less the discount, to the cent."""
    gross = quantity * unit_amount
    if discount_rate is not None:
        return rounded(gross * (HUNDRED - discount_rate) / HUNDRED, 2, ties)
    return rounded(gross - (discount_amount or ZERO), 2, ties)


def line_tax(total: Decimal, percent: Decimal, *, inclusive: bool, ties: Ties) -> Decimal:
    """A line's tax to the cent: on top of its total, or the part of it that is tax."""
    divisor = HUNDRED + percent if inclusive else HUNDRED
    return rounded(total * percent / divisor, 2, ties)

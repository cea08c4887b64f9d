"""Exact amounts: as text for people and for Xero, and what two prices tell of a tax rate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any, Final

_EXACT: Final = Context(prec=120, rounding=ROUND_HALF_UP)


def plain_number(number: Decimal) -> str:
    """A number as its shortest plain text, without an exponent: `20`, `5.5`."""
    text = format(abs(number) if number == 0 else number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def to_json(body: Any) -> bytes:
    """A body as UTF-8 JSON: the same bytes for the same content, decimals as plain numbers, never a float."""
    return _json(body).encode()


def _json(value: Any) -> str:
    match value:
        case Decimal():
            if not value.is_finite():
                raise ValueError("an amount must be finite")
            return plain_number(value)
        case float():
            raise TypeError("an amount must be a Decimal")
        case Mapping():
            members = (f"{json.dumps(str(key))}:{_json(value[key])}" for key in sorted(value))
            return "{" + ",".join(members) + "}"
        case list() | tuple():
            return "[" + ",".join(_json(one) for one in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def decimals(number: Decimal) -> int:
    """Decimals a number needs, trailing zeros apart."""
    exponent = number.normalize(_EXACT).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def noise(number: Decimal) -> Decimal:
    """One unit of the 15th significant digit, to which senders that reckon in binary are exact."""
    return Decimal(1).scaleb(number.adjusted() - 14)


def bears_out(rate: Decimal, net: Decimal, gross: Decimal, places: int) -> bool:
    """Whether one of two prices is the other at this rate, rounded half up; which one was rounded, nobody says.

    Both are compared at the larger of the decimals sent and the currency's own (`places`), to 15 significant digits.
    """
    places = max(places, decimals(net), decimals(gross))
    with_tax = 1 + rate / 100
    with localcontext(_EXACT):
        return _is(gross, net * with_tax, places) or _is(net, gross / with_tax, places)


def _is(sent: Decimal, reckoned: Decimal, places: int) -> bool:
    rounded = reckoned.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _EXACT)
    return rounded == sent or abs(reckoned - sent) < noise(sent)


def is_quotient(rate: Decimal, net: Decimal, gross: Decimal) -> bool:
    """Whether a rate in percent is merely what two prices give when divided, at the decimals it was stated with."""
    return bool(net) and abs((_EXACT.divide(gross, net) - 1) * 100 - rate) <= Decimal("0.5").scaleb(
        -decimals(rate)
    )


_CURRENCY_DECIMALS: Final = dict.fromkeys(
    (
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ),
    0,
) | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)


def currency_decimals(currency: str) -> int:
    return _CURRENCY_DECIMALS.get(currency, 2)

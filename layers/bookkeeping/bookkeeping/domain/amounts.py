"""Exact amounts: as text for people and for Xero, and what two prices tell of a tax rate."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any, Final

_EXACT: Final = Context(prec=120, rounding=ROUND_HALF_UP)
HALF: Final = Decimal("0.5")


def plain_number(number: Decimal) -> str:
    """A number as its shortest plain text, without an exponent: `20`, `5.5`."""
    text = format(abs(number) if number == 0 else number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def with_cents(number: Decimal) -> str:
    """An amount as plain text with 2 decimals, or with all of its own where it has more."""
    return f"{number:.2f}" if decimals(number) <= 2 else plain_number(number)


def to_json(body: Any) -> bytes:
    """A body as UTF-8 JSON. The same content gives the same bytes; a Decimal becomes a plain number."""
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
            members = (f"{_encoded(str(key))}:{_json(value[key])}" for key in sorted(value))
            return "{" + ",".join(members) + "}"
        case list() | tuple():
            return "[" + ",".join(_json(one) for one in value) + "]"
        case _:
            return _encoded(value)


# one encoder for all, since `json.dumps` makes one for each value
_encoded: Final = json.JSONEncoder(ensure_ascii=False).encode


def decimals(number: Decimal) -> int:
    """Decimals a number needs, trailing zeros apart."""
    exponent = number.normalize(_EXACT).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def noise(number: Decimal) -> Decimal:
    """One unit of the 15th significant digit. Senders that calculate in binary are exact down to it."""
    return Decimal(1).scaleb(number.adjusted() - 14)


def rates_between(net: Decimal, gross: Decimal, rates: Iterable[Decimal], places: int) -> list[Decimal]:
    """The rates in percent at which one of two prices is the other, rounded half up.

    Which one was rounded, nobody says: it is the one with more decimals, and either where they have as many. They are
    compared at the larger of the decimals sent and the currency's own (`places`), to 15 significant digits. A zero at
    the end of a price may have been dropped on the way: where no rate fits, either price may be the rounded one.
    """
    net_places, gross_places = max(places, decimals(net)), max(places, decimals(gross))
    finest = max(net_places, gross_places)
    rates = list(rates)

    def fitting(*, to_gross: bool, to_net: bool) -> list[Decimal]:
        with localcontext(_EXACT):
            return [
                rate
                for rate in rates
                if (to_gross and _is(gross, net * (1 + rate / 100), finest))
                or (to_net and _is(net, gross / (1 + rate / 100), finest))
            ]

    to_gross, to_net = gross_places >= net_places, net_places >= gross_places
    return fitting(to_gross=to_gross, to_net=to_net) or fitting(to_gross=True, to_net=True)


def _is(sent: Decimal, reckoned: Decimal, places: int) -> bool:
    rounded = reckoned.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _EXACT)
    return rounded == sent or abs(reckoned - sent) < noise(sent)


def is_quotient(rate: Decimal, net: Decimal, gross: Decimal) -> bool:
    """Whether a rate in percent is merely what two prices give when divided, at the decimals it was stated with.

    Nobody states a whole percentage that was divided: of cheap goods, many would be as near.
    """
    places = decimals(rate)
    return bool(net and places) and abs((_EXACT.divide(gross, net) - 1) * 100 - rate) <= HALF.scaleb(-places)


def rounding_explains(net: Decimal, gross: Decimal, rate: Decimal, places: int) -> bool:
    """Whether two prices can be those of that rate, each rounded to its decimals, at least `places`."""

    def half_a_step(price: Decimal) -> Decimal:
        return max(HALF.scaleb(-max(places, decimals(price))), noise(price))

    factor = 1 + rate / 100
    return abs(net * factor - gross) < half_a_step(net) * factor + half_a_step(gross)


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

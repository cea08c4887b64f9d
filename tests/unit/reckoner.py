"""What an order comes to, reckoned from its message and the organisation's tax rates by definition alone.

Fractions throughout, and nothing of the code: a second opinion.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

Json = dict[str, Any]
HALF = Fraction(1, 2)


def rounded(value: Fraction, places: int = 2) -> Fraction:
    """Half up, away from zero."""
    scaled = abs(value) * 10**places
    whole = Fraction(int(scaled + HALF), 10**places)
    return whole if value >= 0 else -whole


def to_even(value: Fraction, places: int = 2) -> Fraction:
    return Fraction(round(value * 10**places), 10**places)


def places_of(text: str) -> int:
    """Decimals that were sent, trailing zeros apart."""
    return len(text.partition(".")[2].rstrip("0"))


class NoReading(Exception):
    """Nobody can tell which rate is meant: none, or more than one."""


@dataclass(frozen=True)
class Thing:
    """Something that is charged: a line or the shipping, as the message tells it."""

    quantity: Fraction
    net: str | None
    gross: str | None
    rate: str | None
    """In percent."""
    cost: str | None = None
    true_rate: str | None = None
    """The rate from which a generator made the prices, for those that are known to come from one."""

    @property
    def free(self) -> bool:
        return not any(Fraction(price) for price in (self.net, self.gross) if price is not None)


@dataclass(frozen=True)
class Reckoned:
    net: Fraction
    taxes: Mapping[Fraction, Fraction]
    """Percentage → tax."""
    total: Fraction


def things(message: Json) -> list[Thing]:
    def text(value: Any) -> str | None:
        return None if value is None else f"{value}"

    def percent(value: Any) -> str | None:
        rate = None if value is None else Decimal(str(value))
        if rate is None or rate < 0:
            return None
        return f"{rate * 100 if rate < 1 else rate:f}"

    found = [
        Thing(
            Fraction(str(item["quantity"])),
            text(item.get("unit_sale_price")),
            text(item.get("unit_sale_price_inc_tax")),
            percent(item.get("sale_vat_rate")),
            text(item.get("unit_cost_price")),
            text(item.get("true_rate")),
        )
        for item in message["items"]
        if item.get("status") != 7
    ]
    shipping = Thing(
        Fraction(1),
        text(message.get("shipping_price")),
        text(message.get("shipping_price_inc_tax")),
        percent(message.get("shipping_tax_rate")),
        None,
        text(message.get("true_shipping_rate")),
    )
    return found if shipping.free else [*found, shipping]


def near(one: Fraction, other: Fraction) -> bool:
    """The same to 15 significant digits."""
    digits = len(str(int(abs(other)))) if abs(other) >= 1 else 1
    return abs(one - other) < Fraction(1, 10 ** (15 - digits))


def fits(rate: Fraction, net: str, gross: str) -> bool:
    factor = 1 + rate / 100
    in_net, in_gross = places_of(net), places_of(gross)
    places = max(2, in_net, in_gross)
    made_gross, made_net = Fraction(net) * factor, Fraction(gross) / factor
    gross_is = rounded(made_gross, places) == Fraction(gross) or near(made_gross, Fraction(gross))
    net_is = rounded(made_net, places) == Fraction(net) or near(made_net, Fraction(net))
    if max(in_net, 2) > max(in_gross, 2):
        return net_is
    return gross_is if max(in_gross, 2) > max(in_net, 2) else gross_is or net_is


def rate_of(thing: Thing, known: frozenset[Fraction], stated: frozenset[Fraction]) -> Fraction:
    if thing.rate is not None:
        told = Fraction(thing.rate)
        if told in known:
            return told
        if thing.net is None or thing.gross is None or not Fraction(thing.net):
            raise NoReading
        quotient = (Fraction(thing.gross) / Fraction(thing.net) - 1) * 100
        if told.denominator == 1 or abs(quotient - told) > HALF / 10 ** places_of(thing.rate):
            raise NoReading
    if thing.net is None or thing.gross is None:
        raise NoReading
    found = [rate for rate in known if fits(rate, thing.net, thing.gross)]
    if len(found) != 1:
        found = [rate for rate in found if rate in stated]
    if len(found) != 1:
        raise NoReading
    return found[0]


def read_or_true(thing: Thing, known: frozenset[Fraction], stated: frozenset[Fraction]) -> Fraction:
    try:
        return rate_of(thing, known, stated)
    except NoReading:
        return Fraction(thing.true_rate or 0)


def net_price(thing: Thing, rate: Fraction, *, trade: bool) -> Fraction:
    """One unit without tax: the trade price if asked for; shipping has none and is taken at its sale price."""
    price = thing.cost if trade and thing.cost is not None else thing.net
    if price is None:
        assert thing.gross is not None
        return rounded(Fraction(thing.gross) / (1 + rate / 100))
    return Fraction(price)


def reckon(message: Json, known: Iterable[Fraction], *, trade: bool = False, true: bool = False) -> Reckoned:
    """Net, tax for each rate and total. `known`: the percentages that sales can have. Raises NoReading.

    `true`: where nobody can tell the rate, at the one from which the prices were made.
    """
    charged = things(message)
    known = frozenset(known)
    stated = frozenset(Fraction(one.rate) for one in charged if one.rate is not None and not one.free) & known
    net = share = Fraction(0)
    taxes = defaultdict[Fraction, Fraction](Fraction)
    for thing in charged:
        if thing.free and not trade:
            continue
        rate = read_or_true(thing, known, stated) if true else rate_of(thing, known, stated)
        if trade or thing.gross is None:
            price = net_price(thing, rate, trade=trade)
            line = rounded(thing.quantity * price)
            tax = rounded(line * rate / 100)
            share += thing.quantity * price + tax
        else:
            gross = rounded(thing.quantity * Fraction(thing.gross))
            tax = rounded(gross * rate / (100 + rate))
            line = gross - tax
            share += thing.quantity * Fraction(thing.gross)
        net += line
        taxes[rate] += tax
    tax_total = sum(taxes.values(), Fraction(0))
    total = rounded(share)
    return Reckoned(total - tax_total, {rate: tax for rate, tax in taxes.items() if tax}, total)


def xeros(body: Json, percents: Mapping[str, Fraction], *, even: bool) -> Reckoned:
    """Xero's SubTotal, tax for each percentage and Total of a body; half cents go up, or to the even cent."""
    turn = to_even if even else rounded
    mode = body["LineAmountTypes"]
    amounts = Fraction(0)
    taxes = defaultdict[Fraction, Fraction](Fraction)
    for line in body["LineItems"]:
        unit = turn(Fraction(str(line["UnitAmount"])), 4)
        amount = turn(turn(Fraction(str(line["Quantity"])), 4) * unit)
        amounts += amount
        rate = percents[line["TaxType"]] if "TaxType" in line else Fraction(0)
        if "TaxAmount" in line:
            taxes[rate] += Fraction(str(line["TaxAmount"]))
        elif mode != "NoTax":
            taxes[rate] += turn(amount * rate / (100 + rate if mode == "Inclusive" else 100))
    tax = sum(taxes.values(), Fraction(0))
    told = {rate: each for rate, each in taxes.items() if each}
    if mode == "Inclusive":
        return Reckoned(amounts - tax, told, amounts)
    return Reckoned(amounts, told, amounts + tax)

"""Books of six countries, and orders whose prices were made from the tax rates in them, from a seed.

Every order carries the rates its prices were made from, under keys that nobody reads but a reckoner.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Any

from bookkeeping.domain.organisation import Organisation, organisation_from_xero
from local.xero import wire
from local.xero.organisations import Organisation as Ledger
from local.xero.organisations import TaxRate, new_organisation
from local.xero.views import account_view, currency_view, tax_rate_view

D = Decimal
EXACT = Context(prec=60)
COUNTRIES = ("UK", "AU", "NZ", "US", "IE", "ZA")
ZERO_TYPE = {"UK": "ZERORATEDOUTPUT", "AU": "EXEMPTOUTPUT", "NZ": "ZERORATED", "US": "TAX002"}
NEVER_BY_PERCENTAGE = ("DRCHARGE", "ECZR", "CAPEX", "GSTONIMPORTS", "REVERSECHARGES")
COMMONWEALTH = {
    "sales_account_code": "200",
    "cogs_account_code": "310",
    "inventory_asset_account_code": "630",
}
AMERICAN = {
    "sales_account_code": "4000",
    "cogs_account_code": "5000",
    "inventory_asset_account_code": "1400",
}
Json = dict[str, Any]


# --- books -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Books:
    """An organisation, and what an accountant knows of it."""

    organisation: Organisation
    percents: dict[str, Fraction]
    """Tax type → its percentage."""
    sales: tuple[Decimal, ...]
    """The percentages that sales can have."""
    accounts: Json
    rows: list[Json]
    """“Tax rates” of the settings."""


def read_from_xero(country: str, chance: random.Random, *, pays_tax: bool = True, own: int = 0) -> Books:
    """A country's books with so many rates of the company's own, of up to 4 decimals."""
    made = new_organisation(country, f"Books of {country}", chance, datetime(2026, 11, 20, tzinfo=UTC))
    add_rates(made, chance, own)
    about = {"OrganisationID": "org", "Name": made.name, "BaseCurrency": made.base_currency}

    def read(name: str, views: list[Any]) -> Json:
        parsed: Json = json.loads(wire.to_json({name: views}), parse_float=Decimal)
        return parsed

    organisation = organisation_from_xero(
        {"Organisations": [about | {"PaysTax": pays_tax, "CountryCode": made.country.code}]},
        read("Accounts", [account_view(one, made) for one in made.accounts]),
        read("TaxRates", [tax_rate_view(one) for one in made.tax_rates.values()]),
        read("Currencies", [currency_view(code) for code in made.currencies]),
    )
    return Books(
        organisation,
        {rate.tax_type: Fraction(rate.effective) for rate in made.tax_rates.values()},
        percentages(made),
        AMERICAN if country == "US" else COMMONWEALTH,
        rows(made, chance),
    )


def add_rates(made: Ledger, chance: random.Random, count: int) -> None:
    """Sales rates that the company adds itself, of up to 4 decimals."""
    applies = frozenset({"REVENUE", "EQUITY", "LIABILITY", "ASSET"})
    for number in range(count):
        percent = D(chance.randrange(1, 300_000)).scaleb(-4)
        tax_type = f"TAX9{number:02}"
        made.tax_rates[tax_type] = TaxRate(tax_type, f"Own {percent}", percent, percent, applies)


def _usual(made: Ledger) -> list[TaxRate]:
    return [
        rate
        for rate in made.tax_rates.values()
        if rate.status == "ACTIVE"
        and "REVENUE" in rate.applies_to
        and not rate.tax_type.startswith(NEVER_BY_PERCENTAGE)
    ]


def percentages(made: Ledger) -> tuple[Decimal, ...]:
    """Those that sales can have."""
    return tuple(sorted({rate.effective for rate in _usual(made)}))


def rows(made: Ledger, chance: random.Random) -> list[Json]:
    """“Tax rates” as an accountant fills them in: which 0 % it is, and which of several of one percentage."""
    country = made.country.version if made.country.version in ZERO_TYPE else ""
    account = made.account("200") or made.account("4000")
    found = [{"rate": "0", "tax_type": ZERO_TYPE.get(country, "ZERORATEDOUTPUT")}]
    for percent in percentages(made):
        alike = [rate.tax_type for rate in _usual(made) if rate.effective == percent]
        if percent and len(alike) > 1 and account and account.tax_type not in alike:
            found.append({"rate": f"{percent:f}", "tax_type": chance.choice(alike)})
    return found


def all_books(seed: object) -> list[Books]:
    """Books of six countries: as they come, with rates of their own, and not registered for tax."""
    chance = random.Random(f"books {seed}")
    usual = [read_from_xero(country, chance) for country in COUNTRIES]
    own = [read_from_xero(country, chance, own=chance.randrange(1, 7)) for country in COUNTRIES * 2]
    untaxed = [read_from_xero(country, chance, pays_tax=False) for country in ("UK", "AU")]
    return [*usual, *own, *untaxed]


# --- generated orders --------------------------------------------------------------------------------------------


def number(chance: random.Random, decimals: int) -> Decimal:
    largest = chance.choice((2, 10, 100, 100, 1000))
    return D(chance.randrange(1, largest * 10**decimals + 1)).scaleb(-decimals)


def at(value: Decimal, places: int) -> Decimal:
    return value.quantize(D(1).scaleb(-places), ROUND_HALF_UP, EXACT)


def pair(chance: random.Random, rate: Decimal) -> tuple[Decimal, Decimal]:
    """One unit's prices without and with tax, one of them reckoned from the other, in cents at least."""
    places = chance.choices((0, 1, 2, 3, 4, 6, 9, 12, 15, 16), (3, 3, 40, 6, 20, 5, 3, 3, 3, 3))[0]
    given = number(chance, min(places, 6) if chance.random() < 0.5 else 2)
    finest = max(2, places)
    factor = EXACT.divide(100 + rate, D(100))
    if chance.random() < 0.5:
        return given, at(EXACT.multiply(given, factor), finest)
    return at(EXACT.divide(given, factor), finest), given


def as_sent(chance: random.Random, price: Decimal | None) -> object:
    if price is None:
        return None
    plain = f"{price:f}"
    return plain if chance.random() < 0.5 else plain.rstrip("0").rstrip(".") if "." in plain else plain


def priced(chance: random.Random, rates: tuple[Decimal, ...], sender: str) -> Json:
    """Prices and rate of a thing, under the short names net, gross and rate."""
    rate = chance.choice(rates)
    shape = chance.choices(("both", "gross", "net", "free"), (60, 12, 12, 4))[0]
    stated: object = f"{rate:f}" if rate > 1 and chance.random() < 0.5 else f"{rate / 100:f}"
    if shape == "free":
        return {"net": "0", "gross": "0.00", "rate": chance.choice((stated, None, -1)), "true": f"{rate:f}"}
    if sender == "rate-less" or (sender == "now and then" and chance.random() < 0.4):
        net, gross = pair(chance, rate)
        stated = chance.choice((None, -1, "-0.2"))
        if net and chance.random() < 0.3:
            stated = f"{at(EXACT.divide(gross, net) * 100 - 100, chance.choice((2, 4))):f}"
            stated = None if not 1 < D(stated) <= 100 else stated
        return {
            "net": as_sent(chance, net),
            "gross": as_sent(chance, gross),
            "rate": stated,
            "true": f"{rate:f}",
        }
    net, gross = pair(chance, rate)
    kept = {"both": (net, gross), "gross": (None, gross), "net": (net, None)}[shape]
    return {
        "net": as_sent(chance, kept[0]),
        "gross": as_sent(chance, kept[1]),
        "rate": stated,
        "true": f"{rate:f}",
    }


def order(chance: random.Random, rates: tuple[Decimal, ...], place: int) -> Json:
    sender = chance.choices(("states rates", "rate-less", "now and then"), (6, 3, 2))[0]
    count = chance.choices((1, 2, 3, 6, 20, 60), (40, 25, 20, 10, 5, 2))[0]
    items = []
    for line in range(count):
        told = priced(chance, rates, sender)
        quantity: object = chance.choices(
            (1, chance.randrange(2, 13), chance.randrange(13, 2001)), (50, 40, 4)
        )[0]
        if chance.random() < 0.03:
            quantity = chance.choice(("0.5", "1.25", "0.3333", "2.0001"))
        items.append(
            {
                "id": line + 1,
                "sku": chance.choice(("", f"SKU-{line}", f"A-LONG-SKU-OF-A-PERSONALISED-PRODUCT-{line}")),
                "description": "Mug",
                "quantity": quantity,
                "status": 7 if line and chance.random() < 0.05 else 1,
                "unit_sale_price": told["net"],
                "unit_sale_price_inc_tax": told["gross"],
                "sale_vat_rate": told["rate"],
                "true_rate": told["true"],
                "unit_cost_price": f"{number(chance, chance.choice((2, 2, 3, 4, 6))):f}",
            }
        )
    shipping = (
        priced(chance, rates, sender)
        if chance.random() < 0.6
        else {"net": 0, "gross": 0, "rate": -1, "true": "0"}
    )
    return {
        "id": place,
        "company_ref_id": 1,
        "ref": f"REF{place}",
        "sale_datetime": "2026-11-20",
        "shipping_price": shipping["net"],
        "shipping_price_inc_tax": shipping["gross"],
        "shipping_tax_rate": shipping["rate"],
        "true_shipping_rate": shipping["true"],
        "items": items,
    }

"""Sample orders for the demonstration and the whole-system tests, each with what must become of it.

What must become of an order is calculated here from the catalogue's prices, without the code that posts it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from local.sample_kinds import DISPATCHED, KINDS, STRANGER

UNTRACKED: Final = "412077"
TRACKED: Final = "413995"

CENT: Final = Decimal("0.01")

CATALOGUE: Final[tuple[tuple[str, str, str, str, str, str], ...]] = (
    # sku, description, price, price inc. tax, tax rate, unit cost
    ("MUG-11OZ-WHT", "11oz mug", "10.8333", "13.00", "0.2", "4.15"),
    ("TEE-ORG-NVY-M", "Organic tee, navy, M", "16.6667", "20.00", "0.2", "9.40"),
    ("BIB-ORG-WHT", "Baby bib", "8.50", "8.50", "0", "3.10"),
    ("TOTE-NAT", "Tote bag, natural", "7.4917", "8.99", "0.2", "2.85"),
    ("PRINT-A3", "Art print, A3", "12.4583", "14.95", "0.2", "3.4275"),
    ("BOOK-STORY", "Personalised story book", "14.99", "14.99", "0", "5.60"),
)
TRACKED_CATALOGUE: Final[tuple[tuple[str, str, str, str, str, str], ...]] = tuple(
    (f"CAP-{colour}-{size}", f"Cap, {colour.lower()}, {size}", "22.7273", "25.00", "10", "8.20")
    for colour in ("RED", "BLUE", "GREEN", "BLACK", "SAND")
    for size in ("S", "M", "L", "XL")
)


@dataclass(frozen=True)
class Sample:
    """An order as the platform sends it, in one message or several, and what must become of it."""

    what: str
    company: str
    order_id: str
    bodies: tuple[str, ...]
    """Messages of the first wave, in the order they are sent."""
    later: tuple[str, ...] = ()
    """Messages of the second wave, sent when the first has come to rest."""
    ends: str = "posted"
    """State and, where there is one, the reason or the problem: `skipped cancelled`, `needs_attention bad_date`."""
    invoice: Decimal | None = None
    purchase_order: Decimal | None = None
    changed: bool = False
    gone: frozenset[str] = frozenset()
    """Kinds of its documents that are deleted or voided in the end."""
    credited: Decimal = Decimal(0)
    """What its credit notes come to."""

    @property
    def documents(self) -> Mapping[str, Decimal]:
        """Kind → what Xero's total (invoice) or subtotal (purchase order) must be."""
        totals = {"purchase_order": self.purchase_order, "invoice": self.invoice}
        return {kind: total for kind, total in totals.items() if total is not None}


@dataclass
class Maker:
    """Makes orders whose ids count up from `first_id`; the same start gives the same orders."""

    first_id: int = 61530000
    _ids: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self._ids = itertools.count(self.first_id)

    def order(self, company: str, place: int, lines: int = 2, **changes: Any) -> dict[str, Any]:
        """An order of the platform; `place` varies its lines, quantities and shipping."""
        id_ = next(self._ids)
        catalogue = TRACKED_CATALOGUE if company == TRACKED else CATALOGUE
        chosen = [catalogue[(place + step) % len(catalogue)] for step in range(lines)]
        shipping = ("3.29", "3.95", "0.2") if company != TRACKED else ("9.09", "10.00", "10")
        return {
            "id": id_,
            "company_ref_id": int(company),
            "secondary_company_ref_id": "",
            "ref": f"{id_ * 2654435761 % 2**64:016X}",
            "status": 1,
            "status_name": "Received",
            "external_ref": f"WEB-{id_ % 100000}",
            "sale_datetime": "2026-11-20 19:42:07",
            "completion_datetime": "0000-00-00 00:00:00",
            "has_been_completed": False,
            "has_error": False,
            "is_free_of_charge": False,
            "currency_code": "AUD" if company == TRACKED else "GBP",
            "customer_name": "Zoë O'Brien",
            "customer_email": "zoe@example.com",
            "shipping_address_1": "18 Harbour Row",
            "shipping_price": shipping[0],
            "shipping_price_inc_tax": shipping[1],
            "shipping_tax_rate": shipping[2],
            "items": [
                {
                    "id": id_ * 10 + step,
                    "sku": sku,
                    "description": description,
                    "quantity": 1 + (place + step) % 3,
                    "status": 1,
                    "type": 3,
                    "unit_sale_price": price,
                    "unit_sale_price_inc_tax": inc,
                    "sale_vat_rate": rate,
                    "unit_cost_price": cost,
                }
                for step, (sku, description, price, inc, rate, cost) in enumerate(chosen)
            ],
            "pdfs": [],
        } | changes

    def plain(self, company: str, count: int) -> list[Sample]:
        """Orders with nothing unusual about them."""
        return [posted("plain", company, self.order(company, place, 1 + place % 4)) for place in range(count)]


def gross(order: Mapping[str, Any]) -> Decimal:
    """What the consumer paid: quantity times price inc. tax of what is not cancelled, and shipping."""
    total = Decimal(str(order["shipping_price_inc_tax"]))
    for item in order["items"]:
        if item["status"] != 7:
            total += Decimal(str(item["quantity"])) * Decimal(str(item["unit_sale_price_inc_tax"]))
    return total.quantize(CENT, ROUND_HALF_UP)


def cost(order: Mapping[str, Any]) -> Decimal:
    """What the goods cost before tax."""
    lines = (
        (Decimal(str(item["quantity"])) * Decimal(str(item["unit_cost_price"]))).quantize(CENT, ROUND_HALF_UP)
        for item in order["items"]
        if item["status"] != 7
    )
    return sum(lines, Decimal(0))


def posted(what: str, company: str, order: dict[str, Any], *more: dict[str, Any]) -> Sample:
    """An order that must end in the books; `more` are messages of the first wave that change nothing."""
    bodies = tuple(json.dumps(each, ensure_ascii=False) for each in (order, *more))
    free = order["is_free_of_charge"]
    return Sample(
        what,
        company,
        str(order["id"]),
        bodies,
        invoice=None if free else gross(order),
        purchase_order=cost(order) if company == TRACKED else None,
    )


def sample(make: Maker, name: str, company: str, place: int) -> Sample:
    """An order of that kind, and what must become of it where settings and organisation fit."""
    kind = KINDS[name]
    order = make.order(company, place, kind.lines)
    message = kind.message(order)
    body = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    ends = kind.ends
    if isinstance(message, dict) and message.get("is_free_of_charge") is True and company == TRACKED:
        # there is nothing to invoice, but goods to buy
        ends = "posted"
    if ends == "posted" and isinstance(message, dict):
        made = posted(name, company, message.get("order", message))
        return replace(made, bodies=(body,))
    concerned = STRANGER if ends == "no company" else company
    return Sample(name, concerned, str(order["id"]), (body,), ends=ends)


def demonstration() -> list[Sample]:
    """Every kind of order that the demonstration's two companies can show, and messages that come again."""
    make = Maker()
    samples = [*make.plain(UNTRACKED, 48), *make.plain(TRACKED, 36)]
    for currency in ("EUR", "USD", "EUR", "USD", "EUR", "USD"):
        samples.append(sample(make, f"in {currency}", UNTRACKED, len(samples) % 6))
    samples += [sample(make, "amounts as numbers", UNTRACKED, place) for place in range(4)]
    samples += [sample(make, name, company, place) for name, company, place in _KINDS]
    paperwork = make.order(UNTRACKED, 5, pdfs=["JVBERi0x" * 80_000])
    samples.append(posted("with its paperwork", UNTRACKED, paperwork))
    return samples + _sent_again(make)


_KINDS: Final = (
    ("without a currency", UNTRACKED, 1),
    ("free shipping, rate -1", UNTRACKED, 2),
    ("one line cancelled", UNTRACKED, 3),
    ("quantity as text, other scripts", UNTRACKED, 4),
    ("200 lines", UNTRACKED, 0),
    ("wrapped", UNTRACKED, 2),
    ("free of charge", TRACKED, 0),
    ("free of charge", TRACKED, 1),
    ("free of charge", TRACKED, 2),
    ("cancelled", UNTRACKED, 0),
    ("cancelled", UNTRACKED, 1),
    ("cancelled", TRACKED, 2),
    ("free of charge", UNTRACKED, 0),
    ("free of charge", UNTRACKED, 1),
    ("on hold", UNTRACKED, 3),
    ("in error", UNTRACKED, 4),
    ("of no company here", UNTRACKED, 0),
    ("of no company here", UNTRACKED, 1),
    ("price missing", UNTRACKED, 1),
    ("price missing", TRACKED, 1),
    ("cost missing", TRACKED, 2),
    ("tax rate nobody knows", UNTRACKED, 0),
    ("currency not in Xero", UNTRACKED, 1),
    ("impossible date", UNTRACKED, 2),
    ("price that is no number", UNTRACKED, 3),
    ("negative quantity", UNTRACKED, 4),
    ("no lines", UNTRACKED, 5),
    ("broken JSON", UNTRACKED, 0),
    ("refunded", UNTRACKED, 1),
)
"""Kind, company and place of the demonstration's other orders."""


def _sent_again(make: Maker) -> list[Sample]:
    found: list[Sample] = []
    for place in range(3):
        held = make.order(UNTRACKED, place, status=256, status_name="On Hold")
        released = held | {"status": 1, "status_name": "Received"}
        made = posted("on hold, then released", UNTRACKED, released)
        found.append(replace(made, bodies=(json.dumps(held),), later=made.bodies))
    for company in (UNTRACKED, UNTRACKED, TRACKED):
        order = make.order(company, 7)
        made = posted("received, then dispatched", company, order)
        found.append(replace(made, later=(json.dumps(order | DISPATCHED),)))
    for company in (UNTRACKED, UNTRACKED, TRACKED):
        order = make.order(company, 9)
        found.append(posted("sent three times", company, order, order, order))
    for company in (UNTRACKED, TRACKED):
        order = make.order(company, 8)
        other = json.loads(json.dumps(order))
        other["items"][0]["quantity"] = 9
        made = posted("other content after posting", company, order)
        found.append(replace(made, later=(json.dumps(other),), ends="posted changed", changed=True))
    return found

"""Sample orders for the demonstration and the whole-system tests, each with what must become of it.

What must become of an order is reckoned here from the catalogue's prices, without the code that posts it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

UNTRACKED: Final = "412077"
TRACKED: Final = "413995"
STRANGER: Final = "999001"

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


def numbers(order: dict[str, Any]) -> dict[str, Any]:
    """The order with its amounts as JSON numbers, as most senders write them."""
    text = json.dumps(order)
    for name in (
        "unit_sale_price",
        "unit_sale_price_inc_tax",
        "sale_vat_rate",
        "unit_cost_price",
        "shipping_price",
    ):
        for item in (order, *order["items"]):
            if isinstance(item.get(name), str):
                text = text.replace(f'"{name}": "{item[name]}"', f'"{name}": {item[name]}')
    decoded: dict[str, Any] = json.loads(text)
    return decoded


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


def ends(what: str, company: str, order: dict[str, Any], end: str) -> Sample:
    return Sample(what, company, str(order["id"]), (json.dumps(order, ensure_ascii=False),), ends=end)


def demonstration() -> list[Sample]:
    """Every kind of order the platform is known to send, and some it should not."""
    make = Maker()
    samples = [*make.plain(UNTRACKED, 48), *make.plain(TRACKED, 36)]
    samples += _unusual(make)
    samples += _not_posted(make)
    samples += _sent_again(make)
    return samples + _refused(make)


def _unusual(make: Maker) -> list[Sample]:
    found: list[Sample] = []
    for place, currency in enumerate(("EUR", "USD", "EUR", "USD", "EUR", "USD")):
        order = make.order(UNTRACKED, place, currency_code=currency)
        found.append(posted(f"in {currency}", UNTRACKED, order))
    for place in range(4):
        found.append(posted("amounts as numbers", UNTRACKED, numbers(make.order(UNTRACKED, place, 3))))
    found.append(posted("currency null", UNTRACKED, make.order(UNTRACKED, 1, currency_code=None)))
    free_shipping: dict[str, Any] = {
        "shipping_price": 0,
        "shipping_price_inc_tax": 0,
        "shipping_tax_rate": -1,
    }
    found.append(posted("free shipping, rate -1", UNTRACKED, make.order(UNTRACKED, 2, 2, **free_shipping)))
    order = make.order(UNTRACKED, 3, 3)
    order["items"][1]["status"] = 7
    found.append(posted("one line cancelled", UNTRACKED, order))
    order = make.order(UNTRACKED, 4)
    order["items"][0] |= {"quantity": "2.0000", "description": "Tasse „Größe“ 马克杯 كوب"}
    found.append(posted("quantity as text, other scripts", UNTRACKED, order))
    found.append(posted("200 lines", UNTRACKED, make.order(UNTRACKED, 0, 200)))
    found.append(
        posted("with its paperwork", UNTRACKED, make.order(UNTRACKED, 5, pdfs=["JVBERi0x" * 80_000]))
    )
    order = make.order(UNTRACKED, 2)
    found.append(posted("wrapped", UNTRACKED, order))
    found[-1] = Sample(**{**vars(found[-1]), "bodies": (json.dumps({"order": order}),)})
    for place in range(3):
        free = posted("free of charge", TRACKED, make.order(TRACKED, place, is_free_of_charge=True))
        found.append(free)
    return found


def _not_posted(make: Maker) -> list[Sample]:
    cancelled: dict[str, Any] = {"status": 128, "status_name": "Cancelled"}
    found = [
        ends("cancelled", company, make.order(company, place, **cancelled), "skipped cancelled")
        for place, company in enumerate((UNTRACKED, UNTRACKED, TRACKED))
    ]
    for place in range(2):
        order = make.order(UNTRACKED, place, is_free_of_charge=True)
        found.append(ends("free of charge", UNTRACKED, order, "skipped free_of_charge"))
    on_hold = make.order(UNTRACKED, 3, status=256, status_name="On Hold")
    found.append(ends("on hold", UNTRACKED, on_hold, "skipped on_hold"))
    in_error = make.order(UNTRACKED, 4, has_error=True, error_message="artwork missing")
    found.append(ends("in error", UNTRACKED, in_error, "skipped error"))
    found += [
        ends("of no company here", STRANGER, make.order(STRANGER, place), "no company") for place in range(2)
    ]
    return found


def _sent_again(make: Maker) -> list[Sample]:
    found: list[Sample] = []
    for place in range(3):
        held = make.order(UNTRACKED, place, status=256, status_name="On Hold")
        released = held | {"status": 1, "status_name": "Received"}
        sample = posted("on hold, then released", UNTRACKED, released)
        found.append(Sample(**{**vars(sample), "bodies": (json.dumps(held),), "later": sample.bodies}))
    dispatched = {"status": 8, "status_name": "Dispatched", "completion_datetime": "2026-11-21 15:03:55"}
    for company in (UNTRACKED, UNTRACKED, TRACKED):
        order = make.order(company, 7)
        sample = posted("received, then dispatched", company, order)
        found.append(Sample(**{**vars(sample), "later": (json.dumps(order | dispatched),)}))
    for company in (UNTRACKED, UNTRACKED, TRACKED):
        order = make.order(company, 9)
        found.append(posted("sent three times", company, order, order, order))
    for company in (UNTRACKED, TRACKED):
        order = make.order(company, 8)
        other = json.loads(json.dumps(order))
        other["items"][0]["quantity"] = 9
        sample = posted("other content after posting", company, order)
        found.append(Sample(**{**vars(sample), "later": (json.dumps(other),), "changed": True}))
    return found


def _refused(make: Maker) -> list[Sample]:
    found: list[Sample] = []
    for company in (UNTRACKED, TRACKED):
        order = make.order(company, 1)
        for name in ("unit_sale_price", "unit_sale_price_inc_tax"):
            del order["items"][0][name]
        found.append(ends("price missing", company, order, "needs_attention missing_price"))
    order = make.order(TRACKED, 2)
    del order["items"][0]["unit_cost_price"]
    found.append(ends("cost missing", TRACKED, order, "needs_attention missing_cost"))
    order = make.order(UNTRACKED, 0, 1)
    order["items"][0] |= {
        "unit_sale_price": "10.00",
        "unit_sale_price_inc_tax": "11.30",
        "sale_vat_rate": "13",
    }
    found.append(ends("tax rate nobody knows", UNTRACKED, order, "needs_attention no_tax_type"))
    order = make.order(UNTRACKED, 1, currency_code="CHF")
    found.append(ends("currency not in Xero", UNTRACKED, order, "needs_attention currency_not_enabled"))
    order = make.order(UNTRACKED, 2, sale_datetime="2026-06-31 10:00:00")
    found.append(ends("impossible date", UNTRACKED, order, "needs_attention bad_date"))
    order = make.order(UNTRACKED, 3)
    order["items"][0]["unit_sale_price"] = "12,50"
    found.append(ends("price that is no number", UNTRACKED, order, "needs_attention bad_number"))
    order = make.order(UNTRACKED, 4)
    order["items"][0]["quantity"] = -1
    found.append(ends("negative quantity", UNTRACKED, order, "needs_attention bad_quantity"))
    found.append(ends("no lines", UNTRACKED, make.order(UNTRACKED, 5, 0), "needs_attention no_lines"))
    order = make.order(UNTRACKED, 0)
    broken = json.dumps(order)[:-40]
    found.append(
        Sample("broken JSON", UNTRACKED, str(order["id"]), (broken,), ends="needs_attention unreadable_json")
    )
    refunded = make.order(UNTRACKED, 1, status=1024, status_name="Refunded")
    found.append(ends("refunded", UNTRACKED, refunded, "needs_attention no_sale"))
    return found

"""Every kind of order the platform is known to send, and some it should not: what each shows, and how it is made."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Order = dict[str, Any]
Message = Order | str
"""What is put on the queue: an order, or text where it must not be proper JSON."""

FREE_SHIPPING: Final[Order] = {"shipping_price": 0, "shipping_price_inc_tax": 0, "shipping_tax_rate": -1}
DISPATCHED: Final[Order] = {
    "status": 8,
    "status_name": "Dispatched",
    "has_been_completed": True,
    "completion_datetime": "2026-11-21 15:03:55",
}
STRANGER: Final = "999001"
"""A company that nobody has set up."""


@dataclass(frozen=True)
class SampleKind:
    """A kind of order. `change` makes it from an ordinary one."""

    name: str
    shows: str
    """What it shows, in plain words."""
    change: Callable[[Order], Message]
    ends: str = "posted"
    """State, and reason or problem, where settings and organisation fit."""
    lines: int = 2
    tracked: bool = False
    """Whether it shows this only where the process method is Tracked."""
    company: str = ""
    """The message attribute `company`, where one is sent."""

    @property
    def group(self) -> str:
        return self.ends.split()[0]

    def message(self, order: Order) -> Message:
        """The message made from an ordinary order, which stays as it is."""
        return self.change(copy.deepcopy(order))


def with_fields(**fields: Any) -> Callable[[Order], Order]:
    """The order with these fields changed."""
    return lambda order: order | fields


def with_line(**fields: Any) -> Callable[[Order], Order]:
    """The order with its first line changed; None takes a field out."""

    def change(order: Order) -> Order:
        line = order["items"][0] | fields
        order["items"][0] = {name: value for name, value in line.items() if value is not None}
        return order

    return change


def numbers(order: Order) -> Order:
    """The order with its amounts as JSON numbers."""
    text = json.dumps(order)
    names = (
        "unit_sale_price",
        "unit_sale_price_inc_tax",
        "sale_vat_rate",
        "unit_cost_price",
        "shipping_price",
    )
    for name in names:
        for item in (order, *order["items"]):
            if isinstance(item.get(name), str):
                text = text.replace(f'"{name}": "{item[name]}"', f'"{name}": {item[name]}')
    decoded: Order = json.loads(text)
    return decoded


def _cancelled_lines(*places: int) -> Callable[[Order], Order]:
    def change(order: Order) -> Order:
        for place in places:
            order["items"][place]["status"] = 7
        return order

    return change


def _thirds(order: Order) -> Order:
    """Three lines of a third: 1.00 on the order, and 0.99 in Xero."""
    third = {"unit_sale_price": None, "unit_sale_price_inc_tax": "0.3333", "quantity": 1}
    return order | {"items": [line | third for line in order["items"]]} | FREE_SHIPPING


def _nested(levels: int) -> Order:
    inner: Order = {}
    for _ in range(levels):
        inner = {"deeper": inner}
    return inner


def _text(order: Order) -> str:
    return json.dumps(order, ensure_ascii=False, indent=2)


def _negative(order: Order) -> Order:
    change = with_line(unit_sale_price="-50", unit_sale_price_inc_tax="-60", sale_vat_rate="20", quantity=1)
    return change(order) | FREE_SHIPPING


def _cheap(order: Order) -> Order:
    change = with_line(unit_sale_price="0.03", unit_sale_price_inc_tax="0.03", sale_vat_rate=None)
    return change(order) | FREE_SHIPPING


_POSTED = (
    SampleKind("plain", "Two lines and shipping, nothing unusual.", lambda order: order),
    SampleKind(
        "in EUR",
        "In euros. The organisation in Xero must have the currency.",
        with_fields(currency_code="EUR"),
    ),
    SampleKind(
        "in USD",
        "In US dollars. The organisation in Xero must have the currency.",
        with_fields(currency_code="USD"),
    ),
    SampleKind(
        "without a currency",
        "Without a currency: that of the settings counts, else the organisation's own.",
        with_fields(currency_code=None),
    ),
    SampleKind(
        "amounts as numbers",
        "Amounts as numbers instead of texts, as most senders write them.",
        numbers,
        lines=3,
    ),
    SampleKind(
        "free shipping, rate -1",
        "Nothing for shipping, and -1 as its tax rate, which means that none is stated.",
        with_fields(**FREE_SHIPPING),
    ),
    SampleKind(
        "one line cancelled",
        "Three lines, the second of them cancelled: it is left out of the invoice.",
        _cancelled_lines(1),
        lines=3,
    ),
    SampleKind(
        "quantity as text, other scripts",
        "A quantity such as “2.0000”, and a description in German, Chinese and Arabic.",
        with_line(quantity="2.0000", description="Tasse „Größe“ 马克杯 كوب"),
    ),
    SampleKind("200 lines", "A large order: 200 lines on one invoice.", lambda order: order, lines=200),
    SampleKind(
        "with its paperwork",
        "With the print shop's files in “pdfs”, which are skipped unread.",
        lambda order: order | {"pdfs": ["JVBERi0x" * 100]},
    ),
    SampleKind(
        "wrapped", "Inside {“order”: …}, the other way orders are sent.", lambda order: {"order": order}
    ),
    SampleKind(
        "dispatched",
        "Already dispatched: with “When to post” set to dispatch, only such orders are posted.",
        with_fields(**DISPATCHED),
    ),
    SampleKind(
        "0 % tax",
        "A line without tax. Britain has several rates of 0 %, so “Tax rates” must say which one is meant.",
        with_line(unit_sale_price="8.50", unit_sale_price_inc_tax="8.50", sale_vat_rate="0"),
    ),
    SampleKind(
        "three thirds",
        "Three lines of 0.3333 with tax are 1.00 together. In Tracked, with “Prices with or without tax” set to"
        " without, they come to 0.99 in Xero, and the invoice gets a rounding line.",
        _thirds,
        lines=3,
        tracked=True,
    ),
    SampleKind(
        "unit cost with five decimals",
        "In Tracked: 5,000 pieces of 0.12345. Xero holds four decimals, so the purchase order tells the pieces in two"
        " lines, which come to the order's total.",
        with_line(unit_cost_price="0.12345", quantity=5000),
        tracked=True,
    ),
    SampleKind(
        "parts of a piece",
        "In Tracked: 864.4239 pieces at a cost of 172.00016. No cost of four decimals comes to the order's total. The"
        " purchase order tells the pieces in two lines, of which the second has the part of a piece.",
        with_line(unit_cost_price="172.00016", quantity="864.4239"),
        tracked=True,
    ),
    SampleKind(
        "less than a cent each, price",
        "22 pieces of 0.0027 with tax. In Tracked, with “Prices with or without tax” set to without, no price of four"
        " decimals comes to the order's total where the tax is 10 %, and the order stops.",
        with_line(unit_sale_price=None, unit_sale_price_inc_tax="0.0027", quantity=22),
        tracked=True,
    ),
)

_SKIPPED = (
    SampleKind(
        "on hold",
        "On hold on the platform. Change the status to 1 and send it again: it is posted.",
        with_fields(status=256, status_name="On Hold"),
        "skipped on_hold",
    ),
    SampleKind(
        "cancelled",
        "Cancelled on the platform.",
        with_fields(status=128, status_name="Cancelled"),
        "skipped cancelled",
    ),
    SampleKind(
        "refunded",
        "Refunded before it was posted: a person says *Post* or *Skip*, unless the settings say it already.",
        with_fields(status=1024, status_name="Refunded"),
        "needs_attention no_sale",
    ),
    SampleKind(
        "in error",
        "With an error on the platform, such as missing artwork.",
        with_fields(has_error=True, error_message="artwork missing"),
        "skipped error",
    ),
    SampleKind(
        "free of charge",
        "Nothing to invoice. In Tracked the purchase order is posted all the same.",
        with_fields(is_free_of_charge=True),
        "skipped free_of_charge",
    ),
    SampleKind(
        "every line cancelled",
        "Both lines are cancelled, so nothing is left to invoice.",
        _cancelled_lines(0, 1),
        "skipped all_lines_cancelled",
    ),
    SampleKind(
        "of no company here",
        "Of a company without Xero settings: the message is accepted, and no Orders page shows it.",
        with_fields(company_ref_id=int(STRANGER)),
        "no company",
    ),
)

_UNREADABLE = (
    SampleKind(
        "broken JSON",
        "The message breaks off before its end.",
        lambda order: _text(order)[:-40],
        "needs_attention unreadable_json",
    ),
    SampleKind(
        "too large",
        "More than 256 KB without its “pdfs”.",
        with_fields(additional_info="x" * 300_000),
        "needs_attention too_large",
    ),
    SampleKind(
        "too deep",
        "Thirty levels of objects in each other.",
        with_fields(attributes=_nested(30)),
        "needs_attention too_deep",
    ),
    SampleKind(
        "501 lines",
        "One line more than fits on a document.",
        lambda order: order,
        "needs_attention too_many_lines",
        lines=501,
    ),
    SampleKind(
        "field sent twice",
        "Two values for “ref”.",
        lambda order: _text(order)[:-2] + ',\n  "ref": "2"\n}',
        "needs_attention duplicate_key",
    ),
    SampleKind(
        "half a character",
        "A description that ends in half of an emoji.",
        lambda order: _text(with_line(description="Mug ~")(order)).replace("~", "\\ud83d"),
        "needs_attention bad_text",
    ),
    SampleKind(
        "description that is no text",
        "An object where the description should be.",
        with_line(description={"en": "Mug"}),
        "needs_attention not_text",
    ),
    SampleKind(
        "sale date missing",
        "Without the date it was sold.",
        with_fields(sale_datetime=""),
        "needs_attention missing_field",
    ),
    SampleKind(
        "impossible date",
        "Sold on 31 June.",
        with_fields(sale_datetime="2026-06-31 10:00:00"),
        "needs_attention bad_date",
    ),
    SampleKind(
        "price that is no number",
        "12,50 with a comma.",
        with_line(unit_sale_price="12,50"),
        "needs_attention bad_number",
    ),
    SampleKind(
        "negative quantity",
        "Minus one piece.",
        with_line(quantity=-1),
        "needs_attention bad_quantity",
    ),
    SampleKind(
        "flag that is neither yes nor no",
        "“is_free_of_charge” is “maybe”.",
        with_fields(is_free_of_charge="maybe"),
        "needs_attention bad_flag",
    ),
    SampleKind(
        "rate that is no number",
        "A tax rate of “a fifth”, and no net price that would tell it.",
        with_line(sale_vat_rate="a fifth", unit_sale_price=None),
        "needs_attention bad_rate",
    ),
    SampleKind(
        "currency that is none",
        "The currency “POUNDS”.",
        with_fields(currency_code="POUNDS"),
        "needs_attention bad_currency",
    ),
    SampleKind(
        "two prices that differ",
        "“unit_price” and “unit_sale_price” contradict each other.",
        with_line(unit_price="11.50"),
        "needs_attention conflicting_prices",
    ),
    SampleKind(
        "no lines",
        "An order without any line.",
        with_fields(items=[]),
        "needs_attention no_lines",
    ),
    SampleKind(
        "sent for another company",
        "The message attribute “company” names a company that the order does not belong to.",
        lambda order: order,
        "needs_attention company_not_in_order",
        company=STRANGER,
    ),
    SampleKind(
        "company that is no number",
        "No company's page can show it, so only the event on the bus and an alarm tell of it.",
        with_fields(company_ref_id="x17"),
        "no company",
    ),
)

_STOPPED = (
    SampleKind(
        "price missing",
        "A line without any sale price, which is never posted as 0.",
        with_line(unit_sale_price=None, unit_sale_price_inc_tax=None),
        "needs_attention missing_price",
    ),
    SampleKind(
        "rate missing",
        "A line without a tax rate, and with one price only, so that nothing tells it.",
        with_line(sale_vat_rate=None, unit_sale_price=None),
        "needs_attention missing_rate",
    ),
    SampleKind(
        "cost missing",
        "In Tracked: a line without a unit cost, which the purchase order needs.",
        with_line(unit_cost_price=None),
        "needs_attention missing_cost",
        tracked=True,
    ),
    SampleKind(
        "less than a cent each, unit cost",
        "In Tracked: 89 pieces at a cost of 0.000506. With 10 % tax on purchases, no cost of four decimals comes to the"
        " order's total.",
        with_line(unit_cost_price="0.000506", quantity=89),
        "needs_attention purchase_total_differs",
        tracked=True,
    ),
    SampleKind(
        "tax rate nobody knows",
        "A line taxed at 13 %, which no tax rate in Xero has.",
        with_line(unit_sale_price="10.00", unit_sale_price_inc_tax="11.30", sale_vat_rate="13"),
        "needs_attention no_tax_type",
    ),
    SampleKind(
        "prices of a rate nobody has",
        "No tax rate is stated, and 10.00 without and 11.30 with tax would be 13 %, which no tax rate in Xero has.",
        with_line(unit_sale_price="10.00", unit_sale_price_inc_tax="11.30", sale_vat_rate=None),
        "needs_attention no_rate_fits",
    ),
    SampleKind(
        "too cheap to tell the rate",
        "No tax rate is stated, and 0.03 without and 0.03 with tax can be 0 % as well as others.",
        _cheap,
        "needs_attention several_rates_fit",
        lines=1,
    ),
    SampleKind(
        "currency not in Xero",
        "In Swiss francs, which the organisation does not have.",
        with_fields(currency_code="CHF"),
        "needs_attention currency_not_enabled",
    ),
    SampleKind(
        "amount too large",
        "Three pieces of 9,999,999,999 each, more than Xero takes on a line.",
        with_line(unit_sale_price="9999999999", unit_sale_price_inc_tax=None, quantity=3),
        "needs_attention amount_too_large",
    ),
    SampleKind(
        "below zero",
        "A total of -60: Xero takes no invoice below zero.",
        _negative,
        "needs_attention negative_total",
        lines=1,
    ),
)

KINDS: Final[Mapping[str, SampleKind]] = {
    kind.name: kind for kind in (*_POSTED, *_SKIPPED, *_UNREADABLE, *_STOPPED)
}

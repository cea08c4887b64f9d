"""Why a document is as it is: each field, rule, setting and version that chose something of it, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from bookkeeping.domain import reasons
from bookkeeping.domain.contacts import Contact
from bookkeeping.domain.documents import Document, purchase_order, sales_invoice
from bookkeeping.domain.order_message import read_message
from bookkeeping.domain.order_totals import order_totals
from bookkeeping.domain.orders import Order, read_order
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.reasons import NOT_SAVED, Explanation, Reason, SettingsVersion
from bookkeeping.domain.settings import Settings
from tests.unit.test_documents import ORGANISATION

Json = dict[str, Any]

CHART: Json = {
    "sales_account_code": "200",
    "cogs_account_code": "310",
    "inventory_asset_account_code": "630",
    "contact_name": "Marlow",
    "tax_types": [{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}],
}
MUG: Json = {
    "sku": "MUG-1",
    "quantity": 2,
    "unit_sale_price": "10.8333",
    "unit_sale_price_inc_tax": "13.00",
    "sale_vat_rate": "0.2",
    "unit_cost_price": "4.15",
}
NET: Json = {"sku": "TEE", "quantity": 3, "unit_sale_price": "4.333333", "sale_vat_rate": "0.2"}
GROSS: Json = {"quantity": 1, "unit_sale_price_inc_tax": "12.00", "sale_vat_rate": "0.2"}
UNREGISTERED = replace(ORGANISATION, pays_tax=False)
LOCKED = replace(ORGANISATION, period_lock_date=date(2026, 11, 30))
TRACKED = {"process_method": "tracked"}


def order(*lines: Json, **more: Any) -> Order:
    message = {"id": 61530418, "company_ref_id": 1, "sale_datetime": "2026-11-20 19:42:07"}
    return read_order(read_message(json.dumps(message | {"items": list(lines or (MUG,))} | more)))


def explained(
    *lines: Json,
    kind: str = "invoice",
    on: Organisation = ORGANISATION,
    settings: Json | None = None,
    untracked: bool = False,
    remarks: dict[str, str] | None = None,
    number: str = "KX-61530418",
    as_draft: bool = False,
    **message: Any,
) -> Explanation:
    known = Settings.from_json(CHART | (settings or {}))
    sold = order(*lines, **message)
    about: Json = {
        "contact": Contact("c", "Marlow", "ACTIVE"),
        "number": number,
        "sent_on": date(2026, 12, 2),
    }
    document: Document
    if kind == "invoice":
        document = sales_invoice(sold, known, on, as_draft=as_draft, **about)
    else:
        items = frozenset({"MUG-1"} if untracked else ())
        document = purchase_order(sold, known, on, untracked_items=items, **about)
    return Explanation(document, sold, SettingsVersion(known, 7, remarks or {}), on)


def lines_of(explanation: Explanation) -> list[Reason]:
    return [reason for line in explanation.of_lines() for reason in line]


ROWS = {
    "tax_types": [
        {"rate": "20", "tax_type": "OUTPUT2", "account": "260"},
        {"rate": "20", "ships_to": "DE", "tax_type": "ZERORATEDOUTPUT", "reverse_charge": True},
    ]
}
IN_BRITAIN = replace(ORGANISATION, country_code="GB")
BY_ROW = {"purchase_tax_types": [{"rate": "20", "tax_type": "INPUT2"}]}
SHIPPING = {"shipping_price": "3.29", "shipping_price_inc_tax": "3.95", "shipping_tax_rate": "0.2"}
SALE = "Setting “Price on the invoice”, version 7, says sale price."
LINES: list[tuple[str, Json, tuple[str, str, str], str]] = [
    # what, how it is made → what it is about, its setting, its field; and the words
    (
        "",
        {},
        ("account", "sales_account_code", ""),
        "Account 200 (Account 200): setting “Sales account”, version 7.",
    ),
    (
        "a sku",
        {"settings": {"sales_accounts_by_sku_prefix": {"MUG": "260", "M": "201"}}},
        ("account", "sales_accounts_by_sku_prefix", ""),
        "Account 260 (Account 260): setting “Sales accounts by sku”, version 7, for skus that begin with “MUG”.",
    ),
    (
        "a row's account",
        {"settings": ROWS, "on": IN_BRITAIN, "shipping_country_code": "GB"},
        ("account", "tax_types", ""),
        "Account 260 (Account 260): setting “Tax rates”, version 7, row “20 %, anywhere”.",
    ),
    (
        "shipping",
        SHIPPING,
        ("account", "sales_account_code", ""),
        "Account 200 (Account 200): setting “Sales account”, version 7, because “Shipping account” is empty.",
    ),
    (
        "shipping with an account",
        SHIPPING | {"settings": {"shipping_account_code": "260"}},
        ("account", "shipping_account_code", ""),
        "Account 260 (Account 260): setting “Shipping account”, version 7.",
    ),
    (
        "a tracked item",
        {"kind": "purchase_order"},
        ("account", "inventory_asset_account_code", ""),
        "Account 630 (Account 630): setting “Inventory asset account”, version 7, because the item is a tracked one.",
    ),
    (
        "an untracked item",
        {"kind": "purchase_order", "untracked": True},
        ("account", "cogs_account_code", ""),
        "Account 310 (Account 310): setting “Cost of goods sold account”, version 7, because the line has no tracked"
        " item.",
    ),
    (
        "",
        {},
        ("tax", "", ""),
        "Tax Rate OUTPUT2 (OUTPUT2, 20 %): the account’s own tax rate in Xero.",
    ),
    (
        "not registered",
        {"on": UNREGISTERED},
        ("tax", "", ""),
        "No tax: Print & Co is not registered for tax in Xero.",
    ),
    (
        "a row",
        {"settings": ROWS, "on": IN_BRITAIN, "shipping_country_code": "GB"},
        ("tax", "tax_types", ""),
        "Tax Rate OUTPUT2 (OUTPUT2, 20 %): setting “Tax rates”, version 7, row “20 %, anywhere”.",
    ),
    (
        "a reverse charge",
        {"settings": ROWS, "on": IN_BRITAIN, "shipping_country_code": "DE"},
        ("tax", "tax_types", ""),
        "Tax Rate ZERORATEDOUTPUT (ZERORATEDOUTPUT, 0 %): setting “Tax rates”, version 7, row “20 %, Germany”, which"
        " bills without the order’s tax.",
    ),
    (
        "the only one",
        {"lines": [MUG | {"sale_vat_rate": 5, "unit_sale_price_inc_tax": "11.37"}]},
        ("tax", "", ""),
        "Tax Rate RROUTPUT (RROUTPUT, 5 %): the only usual sales tax rate of that percentage in Xero.",
    ),
    (
        "nothing",
        {"lines": [{"quantity": 1, "unit_sale_price": 0}]},
        ("tax", "", ""),
        "Tax Rate OUTPUT2 (OUTPUT2, 20 %): the line costs nothing, so no tax is due and the account’s usual tax rate"
        " is taken.",
    ),
    (
        "a row of purchases",
        {"kind": "purchase_order", "settings": BY_ROW},
        ("tax", "purchase_tax_types", ""),
        "Tax Rate INPUT2 (INPUT2, 20 %): setting “Tax rates on purchases by rate”, version 7, row “20 %”.",
    ),
    (
        "purchases",
        {"kind": "purchase_order", "settings": {"purchase_tax_type": "INPUT2"}},
        ("tax", "purchase_tax_type", ""),
        "Tax Rate INPUT2 (INPUT2, 20 %): setting “Tax rate on purchases”, version 7.",
    ),
    (
        "purchases that nobody chose",
        {"kind": "purchase_order"},
        ("tax", "purchase_tax_type", ""),
        "Tax Rate INPUT2 (INPUT2, 20 %): the tax rate of account 310 (Account 310) in Xero, because “Tax rate on"
        " purchases”, version 7, is empty.",
    ),
    ("", {}, ("rate", "", "sale_vat_rate"), "Rate 20 %, as the order states it."),
    ("shipping", SHIPPING, ("rate", "", "shipping_tax_rate"), "Rate 20 %, as the order states it."),
    (
        "no rate",
        {"lines": [MUG | {"sale_vat_rate": None}]},
        ("rate", "", ""),
        "Rate 20 %: the order states none that is in use here, and its prices (10.8333 without and 13.00 with tax) fit"
        " this one only.",
    ),
    (
        "a rate that is stated elsewhere",
        {"lines": [MUG, {"quantity": 1, "unit_sale_price": "0.01", "unit_sale_price_inc_tax": "0.01"}]},
        ("rate", "", ""),
        "Rate 20 %: the order’s prices (0.01 without and 0.01 with tax) fit several, and this is the one that it states"
        " elsewhere.",
    ),
    (
        "",
        {},
        ("price", "invoice_price", "unit_sale_price_inc_tax"),
        f"Price 13.00: the order’s sale price with tax, as sent. {SALE}",
    ),
    (
        "without tax",
        {"settings": {"line_amounts": "exclusive"}},
        ("price", "invoice_price", "unit_sale_price"),
        f"Price 10.8333: the order’s sale price without tax, as sent. {SALE}",
    ),
    (
        "worked out without tax",
        {"lines": [GROSS], "settings": {"line_amounts": "exclusive"}},
        ("price", "invoice_price", "unit_sale_price_inc_tax"),
        f"Price 10.00: worked out from the order’s sale price with tax, 12.00. {SALE}",
    ),
    (
        "worked out with tax",
        {"lines": [{**MUG, "unit_sale_price_inc_tax": None}], "settings": {"line_amounts": "inclusive"}},
        ("price", "invoice_price", "unit_sale_price"),
        f"Price 13.00: worked out from the order’s sale price without tax, 10.8333. {SALE}",
    ),
    (
        "worked out without the tax of a reverse charge",
        {"lines": [GROSS], "settings": ROWS, "on": IN_BRITAIN, "shipping_country_code": "DE"},
        ("price", "invoice_price", "unit_sale_price_inc_tax"),
        f"Price 10.00: worked out from the order’s sale price with tax. {SALE}",
    ),
    (
        "worked out where no tax is paid",
        {"lines": [{**MUG, "unit_sale_price": "10", "unit_sale_price_inc_tax": None}], "on": UNREGISTERED},
        ("price", "invoice_price", "unit_sale_price"),
        f"Price 12.00: worked out from the order’s sale price without tax, 10.00. {SALE}",
    ),
    (
        "without tax where no tax is paid",
        {"lines": [{"quantity": 1, "unit_sale_price": "10"}], "on": UNREGISTERED},
        ("price", "invoice_price", "unit_sale_price"),
        f"Price 10.00: the order’s sale price without tax, as sent. {SALE}",
    ),
    (
        "a whole line",
        {"lines": [NET]},
        ("price", "invoice_price", "unit_sale_price"),
        "Price 13.00: the whole line, which is 3 at 4.333333, the order’s sale price without tax. Xero holds four"
        f" decimals of a price. {SALE}",
    ),
    (
        "an item that keeps its quantity",
        {"lines": [MUG | {"quantity": 250}], "settings": TRACKED | {"line_amounts": "exclusive"}},
        ("price", "invoice_price", "unit_sale_price"),
        "Price 10.8334: the order’s sale price without tax is 10.8333. It is changed by as little as makes the line"
        f" right to the cent in Xero. {SALE}",
    ),
    (
        "an item's unit cost",
        {"kind": "purchase_order", "lines": [MUG | {"quantity": 3, "unit_cost_price": "4.333333"}]},
        ("price", "", "unit_cost_price"),
        "Price 4.3333: the order’s unit cost, sent as 4.333333; Xero holds four decimals of a price.",
    ),
    (
        "the trade price",
        {"settings": {"invoice_price": "trade"}},
        ("price", "invoice_price", "unit_cost_price"),
        "Price 4.15: the order’s unit cost, as sent. Setting “Price on the invoice”, version 7, says trade price.",
    ),
    (
        "a unit cost",
        {"kind": "purchase_order"},
        ("price", "", "unit_cost_price"),
        "Price 4.15: the order’s unit cost, as sent.",
    ),
    (
        "shipping",
        SHIPPING,
        ("price", "", "shipping_price_inc_tax"),
        "Price 3.95: the order’s shipping price with tax, as sent.",
    ),
    (
        "shipping at the trade price",
        {
            "shipping_price_inc_tax": "3.95",
            "shipping_tax_rate": "0.2",
            "settings": {"invoice_price": "trade"},
        },
        ("price", "", "shipping_price_inc_tax"),
        "The order’s shipping price with tax, without its tax.",
    ),
    (
        "a gift",
        {"settings": TRACKED | {"free_of_charge": "nil_invoice"}, "is_free_of_charge": True},
        ("price", "free_of_charge", ""),
        "Price 0.00: the order is free of charge, and setting “Free-of-charge orders”, version 7, asks for an invoice"
        " of 0.00.",
    ),
    (
        "rounding",
        {"lines": [{"quantity": 1, "unit_sale_price": "0.3333", "sale_vat_rate": 0}] * 3},
        ("account", "rounding", ""),
        "Account 860 (Account 860): Xero’s own account for rounding. Setting “Rounding differences”, version 7, asks"
        " for such a line.",
    ),
    (
        "rounding",
        {"lines": [{"quantity": 1, "unit_sale_price": "0.3333", "sale_vat_rate": 0}] * 3},
        ("tax", "", ""),
        "Tax Rate NONE (NONE, 0 %): a rounding line has no tax.",
    ),
    (
        "rounding",
        {"lines": [{"quantity": 1, "unit_sale_price": "0.3333", "sale_vat_rate": 0}] * 3},
        ("price", "", ""),
        "The difference between the order’s total and what Xero makes of the lines.",
    ),
]


def made(how: Json) -> Explanation:
    how = dict(how)
    return explained(*how.pop("lines", ()), **how)


@pytest.mark.parametrize(
    ("how", "what", "words"), [one[1:] for one in LINES], ids=[one[0] or "-" for one in LINES]
)
def test_a_line_says_what_gave_its_account_tax_rate_and_price(
    how: Json, what: tuple[str, str, str], words: str
) -> None:
    about, setting, field = what
    said = [(one.setting, one.field, one.words) for one in lines_of(made(how)) if one.about == about]
    assert (setting, field, words) in said


DOCUMENTS: list[tuple[Json, tuple[str, str, str], str]] = [
    (
        {},
        ("date", "post_when", "sale_datetime"),
        "The day of the sale, sent as 2026-11-20 19:42:07, because orders are posted as they arrive (“When to post”,"
        " version 7).",
    ),
    (
        {
            "sale_datetime": "2026-11-20T23:30:00Z",
            "on": replace(ORGANISATION, country_code="NZ", time_zone=""),
        },
        ("date", "post_when", "sale_datetime"),
        "The day of the sale, sent as 2026-11-20 23:30:00+00:00; its day is taken in Pacific/Auckland, because orders"
        " are posted as they arrive (“When to post”, version 7).",
    ),
    (
        {"settings": {"post_when": "dispatch"}, "completion_datetime": "2026-11-22"},
        ("date", "post_when", "completion_datetime"),
        "The day of the completion, sent as 2026-11-22, because orders are posted once dispatched (“When to post”,"
        " version 7).",
    ),
    (
        {"settings": {"post_when": "dispatch"}},
        ("date", "post_when", ""),
        "The day on which the platform first called the order dispatched. Orders are posted once dispatched (“When to"
        " post”, version 7), and this one names no day of completion.",
    ),
    (
        {"on": LOCKED, "settings": {"lock_date_action": "next_open_day"}},
        ("date", "lock_date_action", ""),
        "That day is locked in Xero, so it is the first open day: setting “When the date is locked”, version 7.",
    ),
    (
        {},
        ("due_date", "payment_terms_days", ""),
        "30 days after its date: setting “Payment terms in days”, version 7.",
    ),
    ({}, ("number", "number_prefix", ""), "“KX-”, then the order’s id: setting “Number prefix”, version 7."),
    (
        {"number": "OLD-61530418"},
        ("number", "", ""),
        "The number that the order had when it first became due. It never changes.",
    ),
    ({}, ("contact", "contact_name", ""), "“Marlow”: setting “Contact name”, version 7."),
    ({}, ("status", "invoice_status", ""), "Setting “Invoice status”, version 7."),
    (
        {"settings": {"invoice_status": "AUTHORISED"}, "as_draft": True},
        ("status", "", ""),
        "A draft, because Xero has too little stock to approve it.",
    ),
    (
        {"kind": "purchase_order"},
        ("status", "purchase_order_status", ""),
        "Setting “Purchase order status”, version 7.",
    ),
    ({"currency_code": "GBP"}, ("currency", "", "currency_code"), "GBP, as the order states it."),
    ({"settings": {"currency": "GBP"}}, ("currency", "currency", ""), "GBP: setting “Currency”, version 7."),
    (
        {},
        ("currency", "currency", ""),
        "GBP, the base currency of Print & Co: the order names none, and “Currency”, version 7, is empty.",
    ),
    (
        {"kind": "purchase_order", "settings": {"cost_currency": "GBP"}, "currency_code": "GBP"},
        ("currency", "cost_currency", ""),
        "GBP: setting “Currency of unit costs”, version 7.",
    ),
    (
        {},
        ("amounts", "line_amounts", ""),
        "Prices with tax: the order carries them for every line and the shipping, and “Prices with or without tax”,"
        " version 7, follows the order.",
    ),
    (
        {"lines": [NET]},
        ("amounts", "line_amounts", ""),
        "Prices without tax: the order does not carry a price with tax for everything, and “Prices with or without"
        " tax”, version 7, follows the order.",
    ),
    (
        {"settings": {"line_amounts": "exclusive"}},
        ("amounts", "line_amounts", ""),
        "Prices without tax: setting “Prices with or without tax”, version 7.",
    ),
    (
        {"settings": {"invoice_price": "trade"}},
        ("amounts", "invoice_price", ""),
        "Prices without tax: setting “Price on the invoice”, version 7, says trade price, which carries none.",
    ),
    ({"kind": "purchase_order"}, ("amounts", "", ""), "Prices without tax: unit costs carry none."),
    ({"on": UNREGISTERED}, ("amounts", "", ""), "No tax: Print & Co is not registered for tax in Xero."),
]


@pytest.mark.parametrize(("how", "what", "words"), DOCUMENTS)
def test_a_document_says_what_gave_its_date_number_contact_and_the_like(
    how: Json, what: tuple[str, str, str], words: str
) -> None:
    assert (*what, words) in [
        (one.about, one.setting, one.field, one.words) for one in made(how).of_document()
    ]


def every_reason() -> Iterator[Reason]:
    for how in [one[1] for one in LINES] + [one[0] for one in DOCUMENTS]:
        explanation = made(how)
        yield from explanation.of_document()
        yield from lines_of(explanation)


def test_every_rule_is_tried_here(monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[str] = set()

    class Noted(dict[str, str]):
        def __getitem__(self, rule: str) -> str:
            used.add(rule)
            return super().__getitem__(rule)

    monkeypatch.setattr(reasons, "WORDS", Noted(reasons.WORDS))
    list(every_reason())
    assert used == reasons.WORDS.keys()


def test_a_reason_names_its_setting_as_the_page_does_and_no_field_by_its_key() -> None:
    for reason in every_reason():
        if reason.setting:
            assert f"“{Settings.label(reason.setting)}”" in reason.words
        assert "_" not in reason.words
        assert reason.words.endswith(".")


def test_a_setting_on_screen_has_no_version_yet() -> None:
    told = lines_of(explained(remarks={"sales_account_code": NOT_SAVED}))
    assert told[0].words == "Account 200 (Account 200): setting “Sales account”, not saved yet."
    told = lines_of(explained(remarks={"sales_account_code": reasons.CHANGED_SINCE}))
    assert told[0].words == "Account 200 (Account 200): setting “Sales account”, version 7, changed since."


# --- what the order itself says ----------------------------------------------------------------------------------


def test_an_order_comes_to_what_its_prices_and_rates_say() -> None:
    bib = {"quantity": 1, "unit_sale_price": "8.50", "sale_vat_rate": 0}
    tee = {
        "quantity": 3,
        "unit_sale_price": "16.6667",
        "unit_sale_price_inc_tax": "20.00",
        "sale_vat_rate": 20,
    }
    cancelled = MUG | {"status": 7}
    totals = order_totals(order(MUG, tee, bib, cancelled, **SHIPPING))
    assert totals is not None
    assert (totals.net, totals.total) == (Decimal("83.46"), Decimal("98.45"))
    # 4.33 of the mugs, 10.00 of the tees, 0.66 of the shipping
    assert totals.taxes == {Decimal(20): Decimal("14.99")}


def test_a_rate_that_is_not_stated_is_not_made_up() -> None:
    totals = order_totals(
        order(MUG | {"sale_vat_rate": None}, {"quantity": 1, "unit_sale_price_inc_tax": "5.00"})
    )
    assert totals is not None
    assert (totals.net, totals.taxes, totals.total) == (
        Decimal("26.67"),
        {None: Decimal("4.33")},
        Decimal("31.00"),
    )


def test_a_missing_price_is_not_counted_as_nothing() -> None:
    priceless = {"quantity": 1, "sku": "BIB"}
    assert order_totals(order(MUG, priceless)) is None
    assert order_totals(order(MUG, priceless | {"status": 7})) is not None
    free = order_totals(order(priceless, is_free_of_charge=True))
    assert free is not None
    assert free.total == 0


def test_an_order_that_can_not_be_read_whole_has_no_total() -> None:
    unreadable = order({"quantity": "many"}, status_name="Refunded")
    assert order_totals(unreadable) is None

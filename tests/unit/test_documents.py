"""What an order becomes in Xero, field by field."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xero_python.accounting import models
from xero_python.api_client import ApiClient, ModelFinder

from bookkeeping.domain.amounts import to_json
from bookkeeping.domain.contacts import Contact
from bookkeeping.domain.documents import (
    Document,
    carries_ref,
    clean,
    document_number,
    item_code,
    purchase_order,
    reference,
    sales_invoice,
    skip_reason,
    sold_before_start,
    tracked_items,
    waits_for_dispatch,
    wants,
)
from bookkeeping.domain.orders import Order, OrderLine, Shipping
from bookkeeping.domain.organisation import Account, Organisation, TaxRate
from bookkeeping.domain.problems.problem import OrderStopped, Problem
from bookkeeping.domain.settings import Settings, TaxRow
from bookkeeping.domain.time_zones import Calendar

D = Decimal
CONTACT = Contact("7e6f7f0a-0000-4000-8000-000000000001", "Marlow", "ACTIVE")


def rate(tax_type: str, percent: str, *, sales: bool = True, purchases: bool = True) -> TaxRate:
    return TaxRate(tax_type, f"Rate {tax_type}", "ACTIVE", D(percent), sales, purchases, purchases)


def account(code: str, kind: str, account_class: str, tax_type: str = "NONE", **more: str) -> Account:
    about = {"status": "ACTIVE", "system_account": "", **more}
    return Account(code, f"Account {code}", kind, account_class, tax_type=tax_type, **about)


ORGANISATION = Organisation(
    id="org",
    name="Print & Co",
    short_code="!abc",
    base_currency="GBP",
    pays_tax=True,
    period_lock_date=None,
    end_of_year_lock_date=None,
    accounts=(
        account("200", "REVENUE", "REVENUE", "OUTPUT2"),
        account("201", "SALES", "REVENUE", "OUTPUT2"),
        account("202", "SALES", "REVENUE", "OUTPUT2"),
        account("260", "REVENUE", "REVENUE", "OUTPUT2"),
        account("310", "DIRECTCOSTS", "EXPENSE", "INPUT2"),
        account("630", "INVENTORY", "ASSET", "NONE"),
        account("090", "BANK", "ASSET"),
        account("299", "REVENUE", "REVENUE", status="ARCHIVED"),
        account("610", "CURRENT", "ASSET", system_account="DEBTORS"),
        account("860", "CURRLIAB", "LIABILITY", "NONE", system_account="ROUNDING"),
    ),
    tax_rates=(
        rate("OUTPUT2", "20", purchases=False),
        rate("RROUTPUT", "5", purchases=False),
        rate("ZERORATEDOUTPUT", "0", purchases=False),
        rate("INPUT2", "20", sales=False),
        rate("NONE", "0"),
    ),
    currencies=("GBP", "EUR"),
    country_code="GB",
    time_zone="GMTSTANDARDTIME",
)
SETTINGS = Settings(
    sales_account_code="200",
    shipping_account_code="260",
    cogs_account_code="310",
    inventory_asset_account_code="630",
    contact_name="Marlow",
    tax_types=(TaxRow(rate="0", tax_type="ZERORATEDOUTPUT"),),
)
TRACKED = SETTINGS.model_copy(update={"process_method": "tracked", "purchase_tax_type": "INPUT2"})


def line(**changes: Any) -> OrderLine:
    mug = OrderLine(
        id="297115001",
        sku="MUG-11OZ-WHT",
        description="11oz Mug – “Best Gran”",
        colour="White",
        size="11oz",
        quantity=D(2),
        price=D("10.8333"),
        price_inc_tax=D("13.00"),
        cost=D("4.15"),
        tax_rate=D(20),
        cancelled=False,
    )
    return replace(mug, **changes)


TEE = line(
    id="297115002",
    sku="TEE-ORG-NVY-M",
    description="Organic tee",
    colour="Navy",
    size="M",
    quantity=D(3),
    price=D("16.6667"),
    price_inc_tax=D("20.00"),
    cost=D("9.40"),
)
BIB = line(
    id="297115003",
    sku="BIB-ORG-WHT",
    description="Baby bib",
    colour="",
    size="",
    quantity=D(1),
    price=D("8.50"),
    price_inc_tax=D("8.50"),
    cost=D("3.10"),
    tax_rate=D(0),
)
ORDER = Order(
    id="61530418",
    companies=("413995",),
    ref="5C1F77E20A94BD36",
    external_ref="MF-100482",
    disposition="live",
    dispatched=False,
    free_of_charge=False,
    currency="GBP",
    sold_at=date(2026, 11, 20),
    completed_at=date(2026, 11, 21),
    lines=(line(), TEE, BIB),
    shipping=Shipping(D("3.29"), D("3.95"), D(20)),
)
FREE_SHIPPING = Shipping(D(0), D(0), None)


def order(*lines: OrderLine, **changes: Any) -> Order:
    return replace(ORDER, **{"lines": lines or ORDER.lines, "shipping": FREE_SHIPPING, **changes})


def settings(**changes: Any) -> Settings:
    return Settings.from_json(SETTINGS.to_json() | changes)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def books(**changes: Any) -> Organisation:
    return replace(ORGANISATION, **changes)


def to_the_cent(quantity: str, price: str) -> D:
    return (D(quantity) * D(price)).quantize(D("0.01"), ROUND_HALF_UP)


def invoice(
    one: Order, how: Settings = SETTINGS, organisation: Organisation = ORGANISATION, **more: Any
) -> Document:
    arguments: dict[str, Any] = {
        "contact": CONTACT,
        "number": "KX-61530418",
        "sent_on": date(2026, 11, 25),
        **more,
    }
    return sales_invoice(one, how, organisation, **arguments)


def bought(
    one: Order, how: Settings = TRACKED, organisation: Organisation = ORGANISATION, **more: Any
) -> Document:
    arguments: dict[str, Any] = {
        "contact": CONTACT,
        "number": "KX-61530418",
        "sent_on": date(2026, 11, 25),
        **more,
    }
    return purchase_order(one, how, organisation, **arguments)


def problem(one: Order, how: Settings = SETTINGS, organisation: Organisation = ORGANISATION) -> Problem:
    with pytest.raises(OrderStopped) as caught:
        invoice(one, how, organisation)
    stopped = caught.value.problem
    assert "(not known)" not in stopped.sentence + stopped.fix
    assert stopped.sentence.startswith("Order 61530418: ")
    return stopped


# --- whole documents ---------------------------------------------------------------------------------------------


def test_an_order_s_invoice() -> None:
    document = invoice(ORDER)
    assert document.body == {
        "Type": "ACCREC",
        "Status": "DRAFT",
        "InvoiceNumber": "KX-61530418",
        "Reference": "5C1F77E20A94BD36 / MF-100482",
        "Contact": {"ContactID": CONTACT.id},
        "Date": "2026-11-20",
        "DueDate": "2026-12-20",
        "CurrencyCode": "GBP",
        "LineAmountTypes": "Inclusive",
        "LineItems": [
            {
                "Description": "11oz Mug – “Best Gran”, MUG-11OZ-WHT, White, 11oz",
                "Quantity": D(2),
                "UnitAmount": D("13.00"),
                "AccountCode": "200",
                "TaxType": "OUTPUT2",
            },
            {
                "Description": "Organic tee, TEE-ORG-NVY-M, Navy, M",
                "Quantity": D(3),
                "UnitAmount": D("20.00"),
                "AccountCode": "200",
                "TaxType": "OUTPUT2",
            },
            {
                "Description": "Baby bib, BIB-ORG-WHT",
                "Quantity": D(1),
                "UnitAmount": D("8.50"),
                "AccountCode": "200",
                "TaxType": "ZERORATEDOUTPUT",
            },
            {
                "Description": "Shipping",
                "Quantity": D(1),
                "UnitAmount": D("3.95"),
                "AccountCode": "260",
                "TaxType": "OUTPUT2",
            },
        ],
    }
    assert (document.kind, document.number) == ("invoice", "KX-61530418")
    assert document.figures.total == D("98.45")
    assert document.notes == ()


def test_a_tracked_order_s_purchase_order() -> None:
    document = bought(ORDER)
    assert document.body == {
        "PurchaseOrderNumber": "KX-61530418",
        "Status": "DRAFT",
        "Reference": "5C1F77E20A94BD36 / MF-100482",
        "Contact": {"ContactID": CONTACT.id},
        "Date": "2026-11-20",
        "CurrencyCode": "GBP",
        "LineAmountTypes": "Exclusive",
        "LineItems": [
            {
                "Description": text,
                "Quantity": D(quantity),
                "UnitAmount": D(cost),
                "ItemCode": sku,
                "AccountCode": "630",
                "TaxType": "INPUT2",
            }
            for text, sku, quantity, cost in (
                ("11oz Mug – “Best Gran”, MUG-11OZ-WHT, White, 11oz", "MUG-11OZ-WHT", 2, "4.15"),
                ("Organic tee, TEE-ORG-NVY-M, Navy, M", "TEE-ORG-NVY-M", 3, "9.40"),
                ("Baby bib, BIB-ORG-WHT", "BIB-ORG-WHT", 1, "3.10"),
            )
        ],
    }
    assert document.figures.net == D("39.60")


def test_a_tracked_order_s_items() -> None:
    first, second, third = tracked_items(ORDER, TRACKED, ORGANISATION)
    assert first == {
        "Code": "MUG-11OZ-WHT",
        "Name": "11oz Mug – “Best Gran”",
        "Description": "11oz Mug – “Best Gran”, MUG-11OZ-WHT, White, 11oz",
        "PurchaseDescription": "11oz Mug – “Best Gran”, MUG-11OZ-WHT, White, 11oz",
        "InventoryAssetAccountCode": "630",
        "PurchaseDetails": {"COGSAccountCode": "310"},
        "SalesDetails": {"AccountCode": "200"},
    }
    assert [second["Code"], third["Code"]] == ["TEE-ORG-NVY-M", "BIB-ORG-WHT"]


def test_items_are_named_once_and_only_for_what_is_sold_by_sku() -> None:
    one = order(line(), line(quantity=D(5)), line(sku=""), line(sku="GONE", cancelled=True))
    assert [item["Code"] for item in tracked_items(one, TRACKED, ORGANISATION)] == ["MUG-11OZ-WHT"]
    (long,) = tracked_items(order(line(description="x" * 80)), TRACKED, ORGANISATION)
    assert long["Name"] == "x" * 49 + "…"


def test_xero_s_own_library_reads_what_is_sent() -> None:
    def decoded(key: str, element: dict[str, Any]) -> Any:
        # the library's models read dates as Xero answers them, which is not how they are sent
        undated = {name: value for name, value in element.items() if name not in ("Date", "DueDate")}
        answer = SimpleNamespace(text=to_json({key: [undated]}).decode())
        return ApiClient().deserialize(answer, key, ModelFinder(models))

    sent = decoded("Invoices", invoice(ORDER, TRACKED).body).invoices[0]
    assert (sent.invoice_number, sent.type, sent.line_amount_types.value) == (
        "KX-61530418",
        "ACCREC",
        "Inclusive",
    )
    assert [one.item_code for one in sent.line_items][:2] == ["MUG-11OZ-WHT", "TEE-ORG-NVY-M"]
    assert [one.unit_amount for one in sent.line_items] == [D("13.00"), D("20.00"), D("8.50"), D("3.95")]
    ordered = decoded("PurchaseOrders", bought(ORDER).body).purchase_orders[0]
    assert (ordered.purchase_order_number, ordered.line_items[0].account_code) == ("KX-61530418", "630")
    item = decoded("Items", tracked_items(ORDER, TRACKED, ORGANISATION)[0]).items[0]
    assert (item.code, item.purchase_details.cogs_account_code) == ("MUG-11OZ-WHT", "310")


# --- lines -------------------------------------------------------------------------------------------------------


def test_untracked_invoices_name_no_items_because_xero_refuses_unknown_ones() -> None:
    assert all("ItemCode" not in one for one in invoice(ORDER).body["LineItems"])


def test_tracked_invoices_name_item_account_and_tax() -> None:
    for one in invoice(order(), TRACKED).body["LineItems"]:
        assert {"ItemCode", "AccountCode", "TaxType"} <= set(one)


def test_cancelled_lines_are_left_out() -> None:
    document = invoice(order(line(), line(cancelled=True, price_inc_tax=None, price=None)))
    assert len(document.body["LineItems"]) == 1


def test_an_order_with_nothing_left_is_stopped() -> None:
    assert problem(order(line(cancelled=True))).code == "no_lines"


def test_a_line_without_words_still_has_a_description() -> None:
    (only,) = invoice(order(line(description="", sku=" ", colour="", size=""))).body["LineItems"]
    assert only["Description"] == "Item 297115001"


@pytest.mark.parametrize("missing", ["sale", "trade"])
def test_a_missing_price_is_never_zero(missing: Any) -> None:
    stopped = problem(order(line(price=None, price_inc_tax=None, cost=None)), settings(invoice_price=missing))
    assert stopped.code == "missing_price"
    assert "line 1 (MUG-11OZ-WHT)" in stopped.sentence


def test_a_free_line_is_posted_at_zero() -> None:
    document = invoice(order(line(), line(price=D(0), price_inc_tax=D(0), tax_rate=None)))
    assert document.body["LineItems"][1]["UnitAmount"] == 0
    assert document.body["LineItems"][1]["TaxType"] == "OUTPUT2"
    assert document.figures.total == D("26.00")


def test_a_purchase_order_needs_every_cost() -> None:
    with pytest.raises(OrderStopped) as caught:
        bought(order(line(cost=None)))
    assert caught.value.problem.code == "missing_cost"


def test_shipping_is_a_line_only_when_it_costs_something() -> None:
    for shipping in (FREE_SHIPPING, Shipping(None, None, None), Shipping(D(0), None, D(-1))):
        assert len(invoice(order(line(), shipping=shipping)).body["LineItems"]) == 1


def test_shipping_falls_back_to_the_sales_account() -> None:
    shipped = invoice(ORDER, settings(shipping_account_code="")).body["LineItems"][-1]
    assert (shipped["Description"], shipped["AccountCode"]) == ("Shipping", "200")


def test_shipping_is_a_sale_and_goes_to_a_revenue_account() -> None:
    stopped = problem(ORDER, settings(shipping_account_code="310"))
    assert stopped.code == "account_not_fitting"
    assert stopped.sentence.endswith(
        "account 310 (Account 310), which “Shipping account” names, is not a revenue account."
    )


def test_the_longest_sku_prefix_chooses_the_sales_account() -> None:
    how = settings(sales_accounts_by_sku_prefix={"TEE-": "201", "TEE-ORG": "202"})
    assert [one["AccountCode"] for one in invoice(order(), how).body["LineItems"]] == ["200", "202", "200"]


@pytest.mark.parametrize(
    ("prefixes", "sku", "account"),
    [
        ({"tee-": "201"}, "TEE-1", "201"),
        ({"TEE-": "201"}, "tee-1", "201"),
        ({"Straße-": "201"}, "STRASSE-1", "201"),
        ({"tee-": "201", "TEE-": "202"}, "TEE-1", "202"),
        ({"tee-": "201", "TEE-": "202"}, "tee-1", "201"),
        ({"tee-": "201", "TEE-ORG": "202"}, "Tee-Org-1", "202"),
        ({"tee-": "201"}, "MUG", "200"),
    ],
)
def test_capitals_do_not_count_in_a_sku_prefix(prefixes: dict[str, str], sku: str, account: str) -> None:
    how = settings(sales_accounts_by_sku_prefix=prefixes)
    assert invoice(order(line(sku=sku)), how).body["LineItems"][0]["AccountCode"] == account


def test_purchase_lines_without_a_tracked_item_are_cost_of_goods() -> None:
    one = order(line(), line(sku=""), TEE)
    lines = bought(one, untracked_items=frozenset({"TEE-ORG-NVY-M"})).body["LineItems"]
    assert [(each.get("ItemCode"), each["AccountCode"]) for each in lines] == [
        ("MUG-11OZ-WHT", "630"),
        (None, "310"),
        ("TEE-ORG-NVY-M", "310"),
    ]
    assert [each["TaxType"] for each in lines] == ["INPUT2", "INPUT2", "INPUT2"]


def test_tracking_categories_are_on_every_line() -> None:
    how = settings(tracking_categories=({"Name": "Region", "Option": "North"},))
    for one in invoice(ORDER, how).body["LineItems"]:
        assert one["Tracking"] == [{"Name": "Region", "Option": "North"}]


# --- accounts and tax --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("", "setting_missing"),
        ("999", "account_not_found"),
        ("299", "account_archived"),
        ("310", "account_not_fitting"),
        ("090", "account_not_fitting"),
        ("610", "account_not_fitting"),
    ],
)
def test_a_sales_account_xero_cannot_use_stops_the_order(code: str, expected: str) -> None:
    stopped = problem(ORDER, settings(sales_account_code=code))
    assert stopped.code == expected
    assert "“Sales account”" in stopped.sentence
    assert "sales_account_code" in stopped.kind.freed_by


def test_the_account_of_a_sku_prefix_is_checked_too() -> None:
    stopped = problem(ORDER, settings(sales_accounts_by_sku_prefix={"MUG": "999"}))
    assert (stopped.code, stopped.details["account"]) == ("account_not_found", "999")


def test_items_need_an_inventory_account_and_an_expense_account() -> None:
    for how in (
        TRACKED.model_copy(update={"inventory_asset_account_code": "200"}),
        TRACKED.model_copy(update={"cogs_account_code": "630"}),
    ):
        with pytest.raises(OrderStopped) as caught:
            tracked_items(ORDER, how, ORGANISATION)
        assert caught.value.problem.code == "account_not_fitting"


def test_the_settings_tax_type_comes_before_the_account_s() -> None:
    two = books(tax_rates=(*ORGANISATION.tax_rates, rate("TAX001", "20")))
    how = settings(tax_types=[{"rate": "20", "tax_type": "TAX001"}])
    assert invoice(order(line()), how, two).body["LineItems"][0]["TaxType"] == "TAX001"


def test_the_account_s_tax_type_comes_before_others_of_its_rate() -> None:
    two = books(tax_rates=(*ORGANISATION.tax_rates, rate("TAX001", "20")))
    assert invoice(order(line()), SETTINGS, two).body["LineItems"][0]["TaxType"] == "OUTPUT2"


def test_the_only_fitting_tax_type_is_found() -> None:
    assert invoice(order(line(price=None, tax_rate=D("5.00")))).body["LineItems"][0]["TaxType"] == "RROUTPUT"


def test_several_or_no_tax_types_stop_the_order_and_name_the_choices() -> None:
    several = problem(order(BIB), settings(tax_types=[]))
    assert several.code == "several_tax_types"
    assert "ZERORATEDOUTPUT" in several.sentence
    assert "NONE" in several.sentence
    none = problem(order(line(tax_rate=D("17.5"))))
    assert none.code == "no_tax_type"
    assert "17.5 %" in none.sentence
    assert "OUTPUT2" in none.sentence


def test_a_mapped_tax_type_must_be_usable_on_the_account() -> None:
    for tax_type, words in (("INPUT2", "Rate INPUT2 (INPUT2, 20 %)"), ("GONE", "GONE")):
        stopped = problem(order(line()), settings(tax_types=[{"rate": "20", "tax_type": tax_type}]))
        assert (stopped.code, stopped.details["tax_type"]) == ("tax_type_not_usable", words)
        assert ("is not among the active tax rates in Xero" in stopped.sentence) == (tax_type == "GONE")


def test_a_line_without_a_rate_stops_the_order() -> None:
    stopped = problem(order(line(tax_rate=None, price=None)))
    assert (stopped.code, stopped.details["line"]) == ("missing_rate", "line 1 (MUG-11OZ-WHT)")


def test_an_organisation_without_tax_gets_no_tax_types() -> None:
    untaxed = books(pays_tax=False)
    document = invoice(
        order(line(tax_rate=None), line(price_inc_tax=None, price=D("5.00"))), SETTINGS, untaxed
    )
    assert document.body["LineAmountTypes"] == "NoTax"
    assert all("TaxType" not in one for one in document.body["LineItems"])
    assert document.figures.total == D("38.00"), "2 × 13.00, and 2 × 5.00 at 20 % as the order charged it"
    assert bought(ORDER, TRACKED, untaxed).body["LineAmountTypes"] == "NoTax"


NOBODY_CHOSE = TRACKED.model_copy(update={"purchase_tax_type": ""})


@pytest.mark.parametrize(
    ("tax_type", "own", "code"),
    [
        ("OUTPUT2", "INPUT2", "purchase_tax_type_not_usable"),
        ("GONE", "INPUT2", "purchase_tax_type_not_usable"),
        ("", "", "no_purchase_tax_type"),
        ("", "OUTPUT2", "no_purchase_tax_type"),
    ],
)
def test_purchases_need_a_usable_tax_type(tax_type: str, own: str, code: str) -> None:
    accounts = tuple(
        replace(one, tax_type=own) if one.code == "310" else one for one in ORGANISATION.accounts
    )
    with pytest.raises(OrderStopped) as caught:
        bought(ORDER, TRACKED.model_copy(update={"purchase_tax_type": tax_type}), books(accounts=accounts))
    assert caught.value.problem.code == code
    told = caught.value.problem.sentence
    assert "(not known)" not in told + caught.value.problem.fix
    assert ("is not among the active tax rates in Xero" in told) == (tax_type == "GONE")


def test_where_nobody_chose_purchases_have_the_tax_of_the_cost_of_goods_and_say_so() -> None:
    document = bought(ORDER, NOBODY_CHOSE)
    assert {one["TaxType"] for one in document.body["LineItems"]} == {"INPUT2"}, (
        "never the stock account's NONE"
    )
    assert document.figures.tax == D("7.92")
    assert "Nobody chose “Tax rate on purchases”" in document.notes[0]
    assert "310" in document.notes[0]
    assert bought(ORDER, TRACKED).notes == ()


def test_a_rate_that_no_row_for_purchases_names_is_told_too() -> None:
    rows = ({"rate": "20", "tax_type": "INPUT2"},)
    document = bought(ORDER, settings(process_method="tracked", purchase_tax_types=rows))
    assert [one["TaxType"] for one in document.body["LineItems"]] == ["INPUT2"] * 3
    [note] = document.notes
    assert note.startswith("Nobody chose “Tax rate on purchases” for line 3 (BIB-ORG-WHT): ")
    everywhere = settings(process_method="tracked", purchase_tax_types=(*rows, {**rows[0], "rate": "0"}))
    assert bought(ORDER, everywhere).notes == ()


def test_a_row_for_purchases_that_cannot_be_used_is_named_and_its_change_frees_the_order() -> None:
    rows = ({"rate": "20", "tax_type": "OUTPUT2"},)
    how = settings(process_method="tracked", purchase_tax_type="INPUT2", purchase_tax_types=rows)
    with pytest.raises(OrderStopped) as caught:
        bought(ORDER, how)
    stopped = caught.value.problem
    assert stopped.code == "purchase_tax_type_not_usable"
    assert "“Tax rates on purchases by rate”" in stopped.fix
    assert "OUTPUT2" in stopped.fix
    assert "purchase_tax_types" in stopped.kind.freed_by


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ({"20": "INPUT2"}, ["INPUT2", "INPUT2", "RRINPUT"]),
        ({"0": "NONE"}, ["RRINPUT", "RRINPUT", "NONE"]),
        ({"0": "NONE", "20": "INPUT2"}, ["INPUT2", "INPUT2", "NONE"]),
        ({"5": "NONE"}, ["RRINPUT"] * 3),
    ],
)
def test_purchases_have_the_tax_chosen_for_what_they_are_sold_at(
    rows: dict[str, str], wanted: list[str]
) -> None:
    both = books(tax_rates=(*ORGANISATION.tax_rates, rate("RRINPUT", "5", sales=False)))
    how = settings(
        process_method="tracked",
        purchase_tax_type="RRINPUT",
        purchase_tax_types=[{"rate": rate, "tax_type": tax_type} for rate, tax_type in rows.items()],
    )
    assert [one["TaxType"] for one in bought(ORDER, how, both).body["LineItems"]] == wanted


def test_a_gift_is_bought_at_the_tax_of_all_where_no_rate_is_told() -> None:
    how = settings(
        process_method="tracked",
        purchase_tax_type="INPUT2",
        purchase_tax_types=[{"rate": "0", "tax_type": "NONE"}],
    )
    gift = order(line(price=None, price_inc_tax=None, tax_rate=None), free_of_charge=True)
    assert [one["TaxType"] for one in bought(gift, how).body["LineItems"]] == ["INPUT2"]


def test_a_purchase_order_says_when_it_is_needed_and_is_in_the_currency_of_its_costs() -> None:
    assert "DeliveryDate" not in bought(ORDER).body
    dated = bought(replace(ORDER, dispatch_by=date(2026, 11, 23)))
    assert dated.body["DeliveryDate"] == "2026-11-23"
    assert "DeliveryDate" not in invoice(replace(ORDER, dispatch_by=date(2026, 11, 23)), TRACKED).body
    in_euro = TRACKED.model_copy(update={"cost_currency": "EUR"})
    assert bought(ORDER, in_euro).body["CurrencyCode"] == "EUR"
    assert invoice(ORDER, in_euro).body["CurrencyCode"] == "GBP"
    with pytest.raises(OrderStopped) as caught:
        bought(ORDER, TRACKED.model_copy(update={"cost_currency": "CHF"}))
    stopped = caught.value.problem
    assert stopped.code == "currency_not_enabled"
    assert "“Currency of unit costs” is CHF" in stopped.sentence
    assert "change “Currency of unit costs” in the settings" in stopped.fix
    assert "cost_currency" in stopped.kind.freed_by


def test_a_currency_is_put_right_where_it_was_named() -> None:
    in_settings = problem(replace(ORDER, currency=None), SETTINGS.model_copy(update={"currency": "CHF"}))
    assert "“Currency” is CHF" in in_settings.sentence
    assert "change “Currency” in the settings" in in_settings.fix
    in_order = problem(replace(ORDER, currency="CHF"), SETTINGS.model_copy(update={"currency": "GBP"}))
    assert "its currency is CHF" in in_order.sentence
    assert "settings" not in in_order.fix


def test_no_invoice_carries_unit_costs_of_another_currency() -> None:
    how = SETTINGS.model_copy(update={"invoice_price": "trade", "cost_currency": "EUR"})
    assert problem(ORDER, how).code == "costs_in_another_currency"
    assert invoice(replace(ORDER, currency="EUR"), how).body["CurrencyCode"] == "EUR"
    assert invoice(ORDER, how.model_copy(update={"invoice_price": "sale"})).body["CurrencyCode"] == "GBP"


@pytest.mark.parametrize(
    ("by", "zone", "day"),
    [
        (datetime(2026, 6, 30, 13, 30, tzinfo=UTC), "", "2026-07-01"),
        (datetime.fromisoformat("2026-06-30T13:30"), "", "2026-06-30"),
        (datetime.fromisoformat("2026-06-30T13:30"), "UTC", "2026-07-01"),
        (date(2026, 6, 30), "UTC", "2026-06-30"),
    ],
)
def test_a_delivery_date_is_a_day_in_the_organisation_s_time_zone(by: date, zone: str, day: str) -> None:
    how = TRACKED.model_copy(update={"order_time_zone": zone})
    document = bought(replace(ORDER, dispatch_by=by), how, books(**NEW_ZEALAND))
    assert document.body["DeliveryDate"] == day


FREE = replace(ORDER, free_of_charge=True)
NIL = TRACKED.model_copy(update={"free_of_charge": "nil_invoice"})


def test_a_free_order_in_tracked_gets_an_invoice_only_if_so_set() -> None:
    assert wants(FREE, SETTINGS) == ()
    assert wants(FREE, SETTINGS.model_copy(update={"free_of_charge": "nil_invoice"})) == ()
    assert wants(FREE, TRACKED) == ("purchase_order",)
    assert wants(FREE, NIL) == ("purchase_order", "invoice")
    assert wants(ORDER, NIL) == ("purchase_order", "invoice")
    [note] = bought(FREE).notes
    assert "the stock stays in" in note
    assert bought(FREE, NIL).notes == ()


@pytest.mark.parametrize(
    "prices", [{}, {"price": None, "price_inc_tax": None}, {"tax_rate": None}, {"tax_rate": D("19.05")}]
)
def test_an_invoice_of_nothing_takes_the_stock_out_and_charges_nothing(prices: dict[str, Any]) -> None:
    gift = replace(FREE, lines=(line(**prices), BIB))
    document = invoice(gift, NIL)
    assert document.figures.total == document.figures.net == 0
    assert [(one["ItemCode"], one["Quantity"], one["UnitAmount"]) for one in document.body["LineItems"]] == [
        ("MUG-11OZ-WHT", D(2), D(0)),
        ("BIB-ORG-WHT", D(1), D(0)),
    ], "and no shipping"
    assert [one["TaxType"] for one in document.body["LineItems"]] == ["OUTPUT2", "ZERORATEDOUTPUT"]
    assert "once this invoice of 0.00 is approved" in document.notes[0]
    assert invoice(gift, NIL.model_copy(update={"invoice_status": "AUTHORISED"})).notes == ()


# --- with or without tax -----------------------------------------------------------------------------------------


def test_prices_are_inclusive_only_if_all_are() -> None:
    net_only = line(price_inc_tax=None, price=D("10.00"))
    assert invoice(ORDER).body["LineAmountTypes"] == "Inclusive"
    mixed = invoice(order(net_only, TEE))
    assert mixed.body["LineAmountTypes"] == "Exclusive"
    assert mixed.figures.total == D("84.00")
    shipped = invoice(order(line(), shipping=Shipping(D("3.00"), None, D(20))))
    assert (shipped.body["LineAmountTypes"], shipped.figures.total) == ("Exclusive", D("29.60"))


def test_a_setting_forces_either() -> None:
    exclusive = invoice(ORDER, settings(line_amounts="exclusive"))
    assert exclusive.body["LineAmountTypes"] == "Exclusive"
    assert exclusive.body["LineItems"][0]["UnitAmount"] == D("10.8333")
    assert exclusive.figures.total == D("98.45")
    inclusive = invoice(order(line(price_inc_tax=None, price=D("10.00"))), settings(line_amounts="inclusive"))
    assert inclusive.body["LineItems"][0]["UnitAmount"] == D("12.00")


def test_a_net_price_rounded_too_far_is_derived_from_the_gross_one() -> None:
    document = invoice(
        order(line(quantity=D(100), price=D("10.83"), price_inc_tax=D("13.00"))),
        settings(line_amounts="exclusive"),
    )
    assert document.body["LineItems"][0]["UnitAmount"] == D("10.8333")
    assert document.figures.total == D("1300.00")


def test_trade_prices_are_exclusive_and_compared_without_tax() -> None:
    document = invoice(ORDER, settings(invoice_price="trade", line_amounts="inclusive"))
    assert document.body["LineAmountTypes"] == "Exclusive"
    assert [one["UnitAmount"] for one in document.body["LineItems"]] == [
        D("4.15"),
        D("9.40"),
        D("3.10"),
        D("3.29"),
    ]
    assert document.figures.net == D("42.89")
    gross = invoice(order(line(), shipping=Shipping(None, D("3.95"), D(20))), settings(invoice_price="trade"))
    assert gross.body["LineItems"][-1]["UnitAmount"] == D("3.29")


# --- to the cent -------------------------------------------------------------------------------------------------


def test_more_than_four_decimals_go_out_as_the_line_s_value_with_the_real_price_in_the_text() -> None:
    (only,) = invoice(order(line(quantity=D(3), price_inc_tax=D("4.333333"), price=None))).body["LineItems"]
    assert (only["Quantity"], only["UnitAmount"]) == (1, D("13.00"))
    assert only["Description"].endswith("11oz (3 × 4.333333)")


def test_the_real_price_survives_a_long_description() -> None:
    (only,) = invoice(
        order(line(description="x" * 5000, quantity=D(3), price_inc_tax=D("4.333333"), price=None))
    ).body["LineItems"]
    assert only["Description"].endswith("x… (3 × 4.333333)")
    assert len(only["Description"]) == 4000


def test_a_tracked_line_keeps_its_quantity_because_stock_is_counted_by_it() -> None:
    (only,) = invoice(order(line(quantity=D(5), price=None, price_inc_tax=D("0.125"))), TRACKED).body[
        "LineItems"
    ]
    assert only["Quantity"] == 5
    assert only["UnitAmount"] in (D("0.1251"), D("0.1249"), D("0.1252"))


def test_tax_on_half_a_cent_is_stated() -> None:
    (only,) = invoice(order(line(quantity=D(1), price=D("0.50"), price_inc_tax=None, tax_rate=D(5)))).body[
        "LineItems"
    ]
    assert only["TaxAmount"] == D("0.03")
    (plain,) = invoice(order(line(quantity=D(1), price=D("0.60"), price_inc_tax=None, tax_rate=D(5)))).body[
        "LineItems"
    ]
    assert "TaxAmount" not in plain


def test_a_stated_tax_amount_is_never_more_than_the_unit_amount() -> None:
    (only,) = invoice(order(line(quantity=D(50), price=D("0.01"), price_inc_tax=None, tax_rate=D(5)))).body[
        "LineItems"
    ]
    assert (only["Quantity"], only["UnitAmount"], only["TaxAmount"]) == (1, D("0.50"), D("0.03"))


def unrounded() -> Order:
    """Three lines of 0.333 come to 1.00 on the order and to 0.99 in Xero."""
    return order(*(line(id=str(n), quantity=D(1), price=None, price_inc_tax=D("0.3333")) for n in range(3)))


def test_a_cent_of_difference_gets_a_rounding_line() -> None:
    document = invoice(unrounded())
    assert document.body["LineItems"][-1] == {
        "Description": "Rounding",
        "Quantity": D(1),
        "UnitAmount": D("0.01"),
        "AccountCode": "860",
        "TaxType": "NONE",
    }
    assert document.figures.total == D("1.00")
    assert "rounding line of 0.01" in document.notes[0]


def test_a_cent_of_difference_is_only_shown_if_so_set() -> None:
    document = invoice(unrounded(), settings(rounding="show"))
    assert len(document.body["LineItems"]) == 3
    assert document.figures.total == D("0.99")
    assert "0.99" in document.notes[0]
    assert "1.00" in document.notes[0]


def test_a_rounding_line_needs_xero_s_rounding_account_and_an_untaxed_rate() -> None:
    accounts = tuple(one for one in ORGANISATION.accounts if one.code != "860")
    stopped = problem(unrounded(), SETTINGS, books(accounts=accounts))
    assert stopped.code == "no_rounding_account"
    assert stopped.kind.freed_by == {"rounding"}
    taxed = tuple(one for one in ORGANISATION.tax_rates if one.effective_rate)
    assert problem(unrounded(), SETTINGS, books(tax_rates=taxed)).code == "no_rounding_tax_type"


TENTH = books(
    tax_rates=(
        *ORGANISATION.tax_rates,
        rate("OUTPUT10", "10", purchases=False),
        rate("INPUT10", "10", sales=False),
    )
)


def test_what_xero_cannot_come_near_is_a_problem_before_anything_is_sent() -> None:
    cheap = line(quantity=D(22), price=None, price_inc_tax=D("0.0027"), tax_rate=D(10))
    stopped = problem(order(cheap), TRACKED.model_copy(update={"line_amounts": "exclusive"}), TENTH)
    assert stopped.code == "total_differs"
    assert "line 1 (MUG-11OZ-WHT) comes to 0.0594 on the order" in stopped.sentence
    assert "More than 0.01" in stopped.sentence


def test_costs_that_xero_cannot_hold_stop_a_purchase_order_in_words_that_help_it() -> None:
    how = TRACKED.model_copy(update={"purchase_tax_type": "INPUT10"})
    with pytest.raises(OrderStopped) as caught:
        bought(order(line(quantity=D(89), cost=D("0.000506"))), how, TENTH)
    stopped = caught.value.problem
    assert stopped.code == "purchase_total_differs"
    assert "0.045034" in stopped.sentence
    assert "purchase order" in stopped.sentence
    assert "Prices with or without tax" not in stopped.fix
    assert stopped.kind.freed_by == {"process_method"}
    whole_cents = bought(order(line(quantity=D(5000), cost=D("0.12"))))
    assert whole_cents.figures.net == D("600.00")


@pytest.mark.parametrize(
    ("quantity", "gross", "cost"),
    [
        ("5775.9", "230.39509368", "209.4500083"),
        ("864.4239", "189.200176", "172.00016"),
        ("5000.5", "4.0005", "0.12345"),
        ("19092", "113.300072", "103.00006549"),
    ],
)
def test_parts_of_a_piece_are_told_in_two_lines_whatever_half_a_cent_of_tax(
    quantity: str, gross: str, cost: str
) -> None:
    many = order(line(quantity=D(quantity), price=None, price_inc_tax=D(gross), cost=D(cost), tax_rate=D(10)))
    how = TRACKED.model_copy(update={"line_amounts": "exclusive", "purchase_tax_type": "INPUT10"})
    document, ordered = invoice(many, how, TENTH), bought(many, how, TENTH)
    assert document.figures.total == to_the_cent(quantity, gross)
    assert ordered.figures.net == to_the_cent(quantity, cost)
    for one in (document, ordered):
        assert one.notes == ()
        assert sum(item["Quantity"] for item in one.body["LineItems"]) == D(quantity)
        prices = [item["UnitAmount"] for item in one.body["LineItems"]]
        assert max(prices) - min(prices) <= D("0.0008")


@pytest.mark.parametrize(
    ("quantity", "gross", "cost"),
    [
        ("9999", "10.00", "0.12345"),
        ("250", "13.00", "4.15333"),
        ("5000", "0.12345", "0.0001"),
        ("282.3", "29.50", "7"),
    ],
)
def test_many_pieces_of_an_item_are_told_in_two_lines_that_come_to_the_cent(
    quantity: str, gross: str, cost: str
) -> None:
    many = order(line(quantity=D(quantity), price=None, price_inc_tax=D(gross), cost=D(cost)))
    how = TRACKED.model_copy(update={"line_amounts": "exclusive"})
    document = invoice(many, how)
    lines = document.body["LineItems"]
    assert sum(one["Quantity"] for one in lines) == D(quantity)
    assert {one["ItemCode"] for one in lines} == {"MUG-11OZ-WHT"}
    assert max(one["UnitAmount"] for one in lines) - min(one["UnitAmount"] for one in lines) <= D("0.0001")
    assert document.figures.total == to_the_cent(quantity, gross)
    assert document.notes == ()
    ordered = bought(many, how)
    assert ordered.figures.net == to_the_cent(quantity, cost)


def test_what_the_lines_round_away_gets_a_line_however_many_they_are() -> None:
    many = order(*(line(id=str(n), quantity=D(1), price=None, price_inc_tax=D("1.2349")) for n in range(12)))
    document = invoice(many)
    assert document.body["LineItems"][-1]["UnitAmount"] == D("0.06")
    assert document.figures.total == D("14.82")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": D(999_999_999), "price_inc_tax": D(11), "price": D(10)}, "amount_too_large"),
        (
            {"quantity": D(1), "price_inc_tax": D(9_999_999_999), "price": D(9_999_999_999)},
            "amount_too_large",
        ),
        ({"quantity": D("1234567890.1234"), "price_inc_tax": D(0), "price": D(0)}, "amount_too_large"),
        ({"quantity": D(-1)}, "bad_quantity"),
        ({"price_inc_tax": D(-1), "price": None}, "negative_total"),
    ],
)
def test_what_xero_cannot_hold_is_a_problem(changes: dict[str, Any], code: str) -> None:
    assert problem(order(line(**changes))).code == code


# --- dates, currency, references ---------------------------------------------------------------------------------


def test_documents_carry_the_sale_s_day_or_the_dispatch_s() -> None:
    dispatched = settings(post_when="dispatch", payment_terms_days=0)
    assert invoice(ORDER).body["Date"] == "2026-11-20"
    assert invoice(ORDER, dispatched).body["Date"] == "2026-11-21"
    assert invoice(ORDER, dispatched).body["DueDate"] == "2026-11-21"
    assert invoice(replace(ORDER, completed_at=None), dispatched).body["Date"] == "2026-11-25"


NEW_ZEALAND = {"country_code": "NZ", "time_zone": "NEWZEALANDSTANDARDTIME"}


def test_documents_are_dated_in_the_organisation_s_time_zone() -> None:
    late = replace(ORDER, sold_at=at("2026-06-30T13:30:00Z"), completed_at=at("2026-12-31T11:30:00Z"))
    dispatched = {"post_when": "dispatch", "payment_terms_days": 0}
    for kind, how in ((invoice, SETTINGS), (bought, TRACKED)):
        assert kind(late, how, books(**NEW_ZEALAND)).body["Date"] == "2026-07-01"
        by_dispatch = kind(late, how.model_copy(update=dispatched), books(**NEW_ZEALAND))
        assert by_dispatch.body["Date"] == "2027-01-01"
        assert by_dispatch.notes == ()
    assert invoice(late).body["Date"] == "2026-06-30"


def test_times_without_a_zone_are_taken_in_the_order_time_zone() -> None:
    late = replace(ORDER, sold_at=at("2026-06-30T13:30:00"))
    assert invoice(late, SETTINGS, books(**NEW_ZEALAND)).body["Date"] == "2026-06-30"
    in_utc = settings(order_time_zone="UTC")
    assert invoice(late, in_utc, books(**NEW_ZEALAND)).body["Date"] == "2026-07-01"


@pytest.mark.parametrize("told", ["", "MARSSTANDARDTIME"])
def test_without_a_known_time_zone_the_country_s_counts_and_the_document_says_so(told: str) -> None:
    late = replace(ORDER, sold_at=at("2026-06-30T14:30:00Z"))
    document = invoice(late, SETTINGS, books(country_code="AU", time_zone=told))
    assert document.body["Date"] == "2026-07-01"
    (note,) = document.notes
    assert "Australia/Sydney" in note
    assert told in note
    as_written = replace(ORDER, sold_at=at("2026-06-30T14:30:00"))
    assert invoice(as_written, SETTINGS, books(country_code="AU", time_zone=told)).notes == ()


def test_a_lock_date_is_compared_with_the_organisation_s_day() -> None:
    late = replace(ORDER, sold_at=at("2026-06-30T13:30:00Z"))
    locked = books(**NEW_ZEALAND, period_lock_date=date(2026, 6, 30))
    assert invoice(late, SETTINGS, locked).body["Date"] == "2026-07-01"
    with pytest.raises(OrderStopped) as caught:
        invoice(late, SETTINGS, books(period_lock_date=date(2026, 6, 30), time_zone="GMTSTANDARDTIME"))
    assert caught.value.problem.code == "date_locked"


def test_a_locked_date_is_held() -> None:
    stopped = problem(ORDER, SETTINGS, books(period_lock_date=date(2026, 11, 20)))
    assert stopped.code == "date_locked"
    assert "2026-11-20" in stopped.sentence
    assert "lock_date_action" in stopped.kind.freed_by


def test_a_locked_date_moves_to_the_first_open_day_and_the_true_one_is_kept() -> None:
    locked = books(period_lock_date=date(2026, 11, 20), end_of_year_lock_date=date(2026, 11, 30))
    for document in (
        invoice(ORDER, settings(lock_date_action="next_open_day"), locked),
        bought(ORDER, TRACKED.model_copy(update={"lock_date_action": "next_open_day"}), locked),
    ):
        assert document.body["Date"] == "2026-12-01"
        assert document.body["Reference"] == "5C1F77E20A94BD36 / MF-100482 / dated 2026-11-20"
        assert "2026-11-20" in document.notes[0]


def test_a_due_date_beyond_the_calendar_is_a_problem() -> None:
    assert problem(replace(ORDER, sold_at=date(9999, 12, 31))).code == "bad_date"


def test_the_currency_is_the_order_s_the_company_s_or_the_organisation_s() -> None:
    nameless = replace(ORDER, currency=None)
    assert invoice(replace(ORDER, currency="EUR")).body["CurrencyCode"] == "EUR"
    assert invoice(nameless, settings(currency="EUR")).body["CurrencyCode"] == "EUR"
    assert invoice(nameless).body["CurrencyCode"] == "GBP"
    stopped = problem(replace(ORDER, currency="USD"))
    assert (stopped.code, stopped.details["currency"]) == ("currency_not_enabled", "USD")


def test_status_and_branding_follow_the_settings() -> None:
    theme = "0b2f6b1c-0000-4000-8000-000000000001"
    how = settings(invoice_status="AUTHORISED", purchase_order_status="SUBMITTED", branding_theme_id=theme)
    assert (invoice(ORDER, how).body["Status"], bought(ORDER, how).body["Status"]) == (
        "AUTHORISED",
        "SUBMITTED",
    )
    assert invoice(ORDER, how).body["BrandingThemeID"] == bought(ORDER, how).body["BrandingThemeID"] == theme
    draft = invoice(ORDER, how, as_draft=True)
    assert draft.body["Status"] == "DRAFT"
    assert "draft" in draft.notes[0]


def test_a_reference_always_carries_the_platform_s_ref() -> None:
    assert reference(replace(ORDER, external_ref="")) == "5C1F77E20A94BD36"
    assert reference(replace(ORDER, ref="")) == "61530418 / MF-100482"
    long = reference(replace(ORDER, external_ref="x" * 500), true_date=date(2026, 1, 2))
    assert len(long) == 255
    assert long.startswith("5C1F77E20A94BD36 / xxx")
    assert long.endswith("x… / dated 2026-01-02")


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("5C1F77E20A94BD36 / MF-100482", True),
        ("paid, 5C1F77E20A94BD36", True),
        ("X5C1F77E20A94BD36", False),
        ("5C1F77E20A94BD3", False),
        ("", False),
    ],
)
def test_a_document_is_known_by_its_reference(text: str, ours: bool) -> None:
    assert carries_ref(text, ORDER) is ours


def test_numbers_and_item_codes() -> None:
    assert document_number("KX-", "61530418") == "KX-61530418"
    assert item_code("") is item_code("  ") is item_code("\u200b") is None
    assert item_code(" MUG  1 ") == "MUG  1"
    assert item_code("A" * 30) == "A" * 30
    long = "A-VERY-LONG-SKU-OF-A-PERSONALISED-PRODUCT"
    assert item_code(long) == "A-VERY-LONG-SKU-OF-A--" + hashlib.sha256(long.encode()).hexdigest()[:8]


@pytest.mark.parametrize(
    "sku",
    ["+SIZE-M", "=A1", "-5", "@home", "'quoted", "a/b", "A/B", ".", "..", "x.y", "Mug 1", "mug 1", "ـ‌ه"],
)
def test_an_item_code_is_a_key_and_kept_character_by_character(sku: str) -> None:
    assert item_code(sku) == sku
    [item] = tracked_items(order(line(sku=sku)), TRACKED, ORGANISATION)
    assert item["Code"] == sku
    assert invoice(order(line(sku=sku)), TRACKED).body["LineItems"][0]["ItemCode"] == sku


# --- which, when -------------------------------------------------------------------------------------------------


def test_which_documents_an_order_wants() -> None:
    free = replace(ORDER, free_of_charge=True)
    assert wants(ORDER, SETTINGS) == ("invoice",)
    assert wants(ORDER, TRACKED) == ("purchase_order", "invoice")
    assert wants(free, SETTINGS) == ()
    assert wants(free, TRACKED) == ("purchase_order",)


@pytest.mark.parametrize(
    ("changes", "how", "reason"),
    [
        ({}, SETTINGS, None),
        ({"disposition": "on_hold"}, SETTINGS, "on_hold"),
        ({"disposition": "cancelled"}, SETTINGS, "cancelled"),
        ({"disposition": "error"}, SETTINGS, "error"),
        ({}, settings(enabled=False), "integration_off"),
        ({"disposition": "refunded"}, SETTINGS, None),
        ({"lines": (line(cancelled=True),)}, SETTINGS, "all_lines_cancelled"),
        ({"free_of_charge": True}, SETTINGS, "free_of_charge"),
        ({"free_of_charge": True}, TRACKED, None),
    ],
)
def test_why_an_order_is_skipped(changes: dict[str, Any], how: Settings, reason: str | None) -> None:
    assert skip_reason(replace(ORDER, **changes), how) == reason


@pytest.mark.parametrize(
    ("sold_at", "order_zone", "zone", "before"),
    [
        (date(2026, 11, 20), "", None, True),
        (date(2026, 11, 21), "UTC", None, False),
        (at("2026-11-20T23:59:59"), "", None, True),
        (at("2026-11-21T00:00:00"), "", None, False),
        (at("2026-11-20T13:30:00Z"), "", None, None),
        (at("2026-11-20T13:30:00Z"), "", "Pacific/Auckland", False),
        (at("2026-11-20T10:59:59Z"), "", "Pacific/Auckland", True),
        (at("2026-11-20T11:00:00Z"), "", "Pacific/Auckland", False),
        (at("2026-11-21T04:59:59Z"), "", "America/New_York", True),
        (at("2026-11-21T05:00:00Z"), "", "America/New_York", False),
        (at("2026-11-20T18:00:00"), "UTC", None, None),
        (at("2026-11-20T18:00:00"), "UTC", "Australia/Sydney", False),
        (at("2026-11-01T12:00:00Z"), "", None, True),
        (at("2026-12-01T12:00:00Z"), "", None, False),
    ],
)
def test_start_from_begins_at_the_organisation_s_midnight(
    sold_at: date, order_zone: str, zone: str | None, before: bool | None
) -> None:
    how = settings(start_from=date(2026, 11, 21), order_time_zone=order_zone)
    calendar = Calendar(zone, order_zone) if zone else None
    assert sold_before_start(replace(ORDER, sold_at=sold_at), how, calendar) is before
    assert sold_before_start(ORDER, SETTINGS, calendar) is False


def test_an_order_waits_for_dispatch_only_if_so_set() -> None:
    assert not waits_for_dispatch(ORDER, SETTINGS)
    assert waits_for_dispatch(ORDER, settings(post_when="dispatch"))
    assert not waits_for_dispatch(replace(ORDER, dispatched=True), settings(post_when="dispatch"))


# --- text and the wire -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_text", "cleaned"),
    [
        ("Cafe\u0301", "Café"),
        (" a\t\n b\u2028c ", "a b c"),
        ("a\u202eb\u200bc\ufeffd\x00e\ufffef\udc00", "abcdef"),
        ("=1+1", "'=1+1"),
        ("\t+1", "'+1"),
        ("-a", "'-a"),
        ("@a", "'@a"),
        ("\u200b=a", "'=a"),
        ("a=b", "a=b"),
        ("", ""),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\u200d \uff0b1", "'\uff0b1"),
        ("\uff0da", "'\uff0da"),
        ("\uff20a", "'\uff20a"),
        ("\ufe63a", "'\ufe63a"),
        ("\uff11\uff1d", "\uff11\uff1d"),
        # Persian, a family, a flag, a doctor of a skin
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👨\u200d👩\u200d👧 mug", "👨\u200d👩\u200d👧 mug"),
        ("🏳\ufe0f\u200d🌈", "🏳\ufe0f\u200d🌈"),
        ("👩🏽\u200d⚕\ufe0f", "👩🏽\u200d⚕\ufe0f"),
        # joiners that join nothing
        ("\u200dab\u200cc\u200d", "abc"),
        ("\u200c=1", "'=1"),
        ("م\u200c\u200d\u200cن", "م\u200cن"),
        ("م\u200c ن\u200d", "م ن"),
    ],
)
def test_text_is_cleaned(given_text: str, cleaned: str) -> None:
    assert clean(given_text) == cleaned


def test_text_is_cut_at_whole_characters() -> None:
    assert clean("abcdef", 4) == "abc…"
    assert clean("abcd", 4) == "abcd"
    assert clean("ab🎁🎁🎁", 5) == "ab🎁…"
    assert clean("abx\u0323\u0307yz", 4) == "ab…"
    assert clean("ab👍🏽cd", 5) == "ab…"
    assert clean("ab👩\u200d👧cd", 7) == "ab…"
    assert clean("abم\u200cنcd", 5) == "ab…"


@given(st.text(), st.integers(1, 40))
def test_clean_text_stays_clean_and_short(text: str, longest: int) -> None:
    once = clean(text, longest)
    assert len(once.encode("utf-16-le")) <= 2 * longest
    assert once.isprintable() or any(ord(char) > 127 for char in once)
    assert not once.startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
    assert clean(once) == once
    once.encode()


def test_json_is_the_same_for_the_same_content_and_has_no_exponents() -> None:
    assert to_json({"b": [D("1E+2"), D("-0.00"), D("10.80")], "a": ("é", None, True, 3)}) == (
        '{"a":["é",null,true,3],"b":[100,0,10.8]}'.encode()
    )
    assert to_json({"Quantity": D("0.0000001")}) == b'{"Quantity":0.0000001}'
    shuffled = dict(reversed(invoice(ORDER).body.items()))
    assert to_json(shuffled) == to_json(invoice(ORDER).body)
    assert json.loads(to_json(invoice(ORDER).body))["LineItems"][3]["UnitAmount"] == 3.95


def test_json_has_no_room_for_floats_or_what_is_no_number() -> None:
    with pytest.raises(TypeError):
        to_json({"UnitAmount": 0.1})
    with pytest.raises(ValueError, match="finite"):
        to_json({"UnitAmount": D("NaN")})

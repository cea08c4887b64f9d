"""Tax on its way from the message to Xero's books, at the wire: every kind of input that once ended in wrong books."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
import pytest
from moto import mock_aws

from bookkeeping.domain import ledger
from bookkeeping.domain.ledger import Entry, State
from local.xero.organisations import Item, Organisation, TaxRate
from tests.integration.one_process import OneProcess, in_memory

SALES = frozenset({"REVENUE", "EQUITY", "LIABILITY", "ASSET"})
Json = dict[str, Any]


@pytest.fixture
def world() -> Iterator[OneProcess]:
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        yield OneProcess(tables=in_memory)


def order(order_id: int, *items: Json, **more: Any) -> Json:
    lines = [{"id": place, "sku": f"S{place}", "quantity": 1, **item} for place, item in enumerate(items, 1)]
    return {
        "id": order_id,
        "company_ref_id": 412077,
        "ref": f"REF{order_id}",
        "status": 8,
        "sale_datetime": "2026-11-20 19:42:07",
        "items": lines,
        **more,
    }


def sold(net: object, gross: object, rate: object, **more: Any) -> Json:
    prices = {"unit_sale_price": net, "unit_sale_price_inc_tax": gross, "sale_vat_rate": rate}
    return {**prices, "unit_cost_price": "4.15", **more}


def books(world: OneProcess, country: str = "UK", **rates: str) -> Organisation:
    given = {"country": country, "name": f"Books {country}", "users": ["ada@example.com"]}
    made = world.xero.add_organisation(given)
    for tax_type, percent in rates.items():
        made.tax_rates[tax_type] = TaxRate(tax_type, tax_type, Decimal(percent), Decimal(percent), SALES)
    return made


def posted(world: OneProcess, message: Json) -> tuple[Entry, dict[Any, Any]]:
    """The order's row, and its documents in Xero by their kind."""
    world.send(message)
    world.run()
    entry = world.entry(message)
    made = {
        document.kind: document
        for organisation in world.xero.organisations.values()
        for document in organisation.documents.values()
        if document.number == entry.number
    }
    return entry, made


# --- rows by destination -----------------------------------------------------------------------------------------


def test_the_destination_chooses_between_types_of_one_percentage(world: OneProcess) -> None:
    on = books(world, "UK", TAX050="0", TAX051="0")
    rows = [["0", "home", "ZERORATEDOUTPUT"], ["0", "EU", "TAX050"], ["0", "elsewhere", "TAX051"]]
    world.company(organisation=on, tax_by_destination=rows)
    addresses: tuple[tuple[Json, str], ...] = (
        ({"shipping_country_code": "GB"}, "ZERORATEDOUTPUT"),
        ({"shipping_country": "France", "shipping_postcode": "75001"}, "TAX050"),
        ({"shipping_country_code": "GB", "shipping_postcode": "BT1 1AA"}, "ZERORATEDOUTPUT"),
        ({"shipping_country_code": "ES", "shipping_postcode": "35001"}, "TAX051"),
        ({"shipping_country": "Norway"}, "TAX051"),
    )
    for number, (address, expected) in enumerate(addresses, start=61530001):
        entry, made = posted(world, order(number, sold("10", "10", 0), **address))
        assert entry.state is State.POSTED
        assert [line.tax_type for line in made["ACCREC"].lines] == [expected]
    entry, made = posted(world, order(61530099, sold("10", "10", 0)))
    assert entry.problem is not None
    assert (entry.problem.code, made) == ("destination_unknown", {})


def test_of_the_address_nothing_but_a_code_reaches_the_ledger(world: OneProcess) -> None:
    world.company()
    address = {
        "shipping_country": "United Kingdom",
        "shipping_postcode": "BT7 1NN",
        "shipping_address_1": "18 Harbour Row",
    }
    entry, _ = posted(world, order(61530100, sold("10", "12", 0.2), **address))
    assert entry.message.order.ships_to == "XI"
    assert not any(text in entry.message.content for text in ("BT7", "Harbour", "United Kingdom"))


# --- what Xero answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amounts", "code"),
    [
        ("inclusive", "posted_tax_differs"),
        ("exclusive", "posted_total_differs"),
        ("auto", "posted_tax_differs"),
    ],
)
def test_a_rate_edited_in_xero_a_moment_ago_shows_on_the_order(
    world: OneProcess, amounts: str, code: str
) -> None:
    on = books(world)
    world.company(organisation=on, line_amounts=amounts)
    posted(world, order(61530200, sold("10", "12", 0.2)))
    on.tax_rates["OUTPUT2"].effective = Decimal(16)
    entry, made = posted(world, order(61530201, sold("100", "120", 0.2)))
    assert entry.problem is not None
    assert entry.problem.code == code
    assert made["ACCREC"].total_tax != 20
    assert [event["order_id"] for event in world.bus.of("OrderNeedsAttention")] == ["61530201"]
    # and from the next reading on it stops before anything is sent
    world.clock.advance(13 * 3600)
    entry, made = posted(world, order(61530202, sold("100", "120", 0.2)))
    assert entry.problem is not None
    assert (entry.problem.code, made) == ("no_tax_type", {})


def test_a_reverse_charge_is_billed_net_and_the_order_shows_both_totals(world: OneProcess) -> None:
    on = books(world, "IE")
    rows = [{"rate": "23", "ships_to": "EU", "tax_type": "ECZROUTPUT", "reverse_charge": True}]
    world.company(organisation=on, tax_types=rows)
    entry, made = posted(world, order(61530300, sold("100", "123", 0.23), shipping_country_code="DE"))
    invoice = made["ACCREC"]
    assert (entry.state, invoice.total, invoice.total_tax) == (State.POSTED, 100, 0)
    [note] = entry.documents["invoice"].notes
    assert "100.00" in note
    assert "123.00" in note
    entry, made = posted(world, order(61530301, sold("100", "123", 0.23), shipping_country_code="IE"))
    assert (made["ACCREC"].total, entry.documents["invoice"].notes) == (123, ())


@pytest.mark.parametrize(
    "line",
    [
        sold("10", "12", 0.2),
        sold("10", None, 0.2),
        sold(None, "12", 0.2),
        sold("10", "12", None),
        sold(None, "12", -1),
    ],
)
def test_without_tax_registration_the_total_is_the_same_however_it_is_told(
    world: OneProcess, line: Json
) -> None:
    on = books(world)
    on.pays_tax = False
    world.company(organisation=on)
    entry, made = posted(world, order(61530400, line))
    assert (entry.state, made["ACCREC"].total) == (State.POSTED, 12)


def test_an_order_of_many_rounded_lines_is_in_order(world: OneProcess) -> None:
    world.company()
    lines = [sold(None, "1.2349", 0.2) for _ in range(12)]
    entry, made = posted(world, order(61530500, *lines))
    assert (entry.state, made["ACCREC"].total) == (State.POSTED, Decimal("14.82"))
    assert made["ACCREC"].total_tax == Decimal("2.52"), "12 × 0.21 (0.205 rounded half up)"


# --- Tracked -----------------------------------------------------------------------------------------------------


def tracked(world: OneProcess, country: str = "AU", **settings: Any) -> Organisation:
    on = books(world, country)
    approved = {"invoice_status": "AUTHORISED", "purchase_order_status": "AUTHORISED"}
    world.company(organisation=on, process_method="tracked", **(approved | settings))
    return on


def test_purchase_tax_follows_the_sale_then_the_setting_then_the_cost_of_goods(world: OneProcess) -> None:
    on = tracked(world, "UK")
    message = order(61530600, sold("10", "12", 0.2), sold("8", "8", 0))
    entry, made = posted(world, message)
    assert [line.tax_type for line in made["PURCHASEORDER"].lines] == ["INPUT2", "INPUT2"]
    assert "Nobody chose" in entry.documents["purchase_order"].notes[0]
    world.save_settings(
        "412077",
        purchase_tax_type="RRINPUT",
        purchase_tax_types=[{"rate": "0", "tax_type": "ZERORATEDINPUT"}],
    )
    entry, made = posted(world, message | {"id": 61530601})
    assert [line.tax_type for line in made["PURCHASEORDER"].lines] == ["RRINPUT", "ZERORATEDINPUT"]
    assert entry.documents["purchase_order"].notes == ()
    assert on.account("630").tax_type == "NONE"  # type: ignore[union-attr]


@pytest.mark.parametrize("status", ["DRAFT", "SUBMITTED", "AUTHORISED"])
def test_what_is_given_away_leaves_the_stock_by_an_invoice_of_nothing(world: OneProcess, status: str) -> None:
    on = tracked(world, "AU", free_of_charge="nil_invoice", invoice_status=status, purchase_tax_type="INPUT")
    gift = order(
        61530700, sold("10", "11", 0.1, sku="MUG", quantity=3), is_free_of_charge=True, shipping_price=5
    )
    entry, made = posted(world, gift)
    assert entry.state is State.POSTED
    assert set(made) == {"ACCREC", "PURCHASEORDER"}
    assert made["ACCREC"].total == 0
    assert [(line.item_code, line.quantity) for line in made["ACCREC"].lines] == [("MUG", 3)]
    item = on.items["MUG"]
    left = item.on_back_order - item.on_hand
    assert left == (3 if status == "AUTHORISED" else 0)
    assert bool(entry.documents["invoice"].notes) is (status != "AUTHORISED")


def test_a_gift_without_an_invoice_says_that_its_stock_stays(world: OneProcess) -> None:
    tracked(world, "AU", purchase_tax_type="INPUT")
    entry, made = posted(world, order(61530701, sold("10", "11", 0.1), is_free_of_charge=True))
    assert (entry.state, set(made)) == (State.POSTED, {"PURCHASEORDER"})
    assert "the stock stays in" in entry.documents["purchase_order"].notes[0]


def test_a_purchase_order_says_by_when_it_is_needed(world: OneProcess) -> None:
    tracked(world, "AU", purchase_tax_type="INPUT")
    for number, (sent, kept) in enumerate(
        [("2026-11-23", "2026-11-23"), ("0000-00-00", None), ("soon", None), ("2026-06-31", None)], 61530800
    ):
        message = order(number, sold("10", "11", 0.1), required_dispatch_date=sent)
        entry, made = posted(world, message)
        assert entry.state is State.POSTED
        delivery = made["PURCHASEORDER"].delivery_on
        assert (delivery.isoformat() if delivery else None) == kept


def test_purchase_orders_have_the_currency_of_the_costs(world: OneProcess) -> None:
    tracked(world, "AU", purchase_tax_type="INPUT", cost_currency="USD")
    _, made = posted(world, order(61530900, sold("10", "11", 0.1), currency_code="AUD"))
    assert (made["PURCHASEORDER"].currency, made["ACCREC"].currency) == ("USD", "AUD")


CODES = [
    "+SIZE-M",
    "=A1",
    "-5",
    "@home",
    "A/B",
    "a/b",
    ".",
    "..",
    "MUG 1",
    "mug 1",
    "MUG.1",
    "MUG%2F1",
    "O'Neil",
]


def test_item_codes_are_kept_and_found_character_by_character(world: OneProcess) -> None:
    on = tracked(world, "AU", purchase_tax_type="INPUT")
    there = CODES[::2]
    for code in there:
        item = Item(world.xero.new_id(), code, world.clock.now(), name=code)
        item.sale_account, item.inventory_account, item.cogs_account = "200", "630", "310"
        on.items[code] = item
    before = {code: on.items[code].id for code in there}
    for number, code in enumerate(CODES, start=61531000):
        entry, made = posted(world, order(number, sold("10", "11", 0.1, sku=code)))
        assert entry.state is State.POSTED, (code, entry.problem)
        assert [line.item_code for line in made["ACCREC"].lines] == [code]
    assert set(on.items) == set(CODES)
    assert {code: on.items[code].id for code in there} == before


@pytest.mark.parametrize("code", ["A/B", "..", "MUG 1", "plain"])
def test_an_item_made_tracked_by_a_person_is_looked_up_under_its_very_code(
    world: OneProcess, code: str
) -> None:
    on = tracked(world, "AU", purchase_tax_type="INPUT")
    on.items[code] = Item(world.xero.new_id(), code, world.clock.now(), name=code)
    message = order(61531100, sold("10", "11", 0.1, sku=code))
    entry, _ = posted(world, message)
    assert entry.problem is not None
    assert entry.problem.code == "item_not_tracked"
    on.items[code].inventory_account, on.items[code].cogs_account = "630", "310"
    freed = world.orders.get("412077", "61531100")
    assert freed is not None
    again = ledger.retry(freed, world.books("412077"), "Ada", world.clock.now())
    assert again is not None
    world.ring(world.orders.save(again))
    world.run()
    assert world.entry(message).state is State.POSTED

"""A message becomes an order: what the platform's senders do is understood, what can't be meant is named."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bookkeeping.domain.order_message import MAX_MESSAGE, MAX_WITHOUT_PDFS, identify, read_message
from bookkeeping.domain.orders import (
    Order,
    OrderLine,
    Unreadable,
    content,
    content_hash,
    for_company,
    order_from_content,
    quoted,
    read_order,
)
from bookkeeping.domain.problems.problem import OrderStopped

EVENTS = Path(__file__).parents[2] / "events"
CONSUMER = (
    "shipping_company",
    *(f"shipping_address_{line}" for line in range(1, 6)),
    "shipping_postcode",
    "shipping_country",
    "billing_company",
    *(f"billing_address_{line}" for line in range(1, 6)),
    "billing_postcode",
    "customer_name",
    "customer_telephone",
    "customer_telephone_mobile",
    "customer_email",
    "billing_customer_name",
    "billing_customer_email",
    "billing_customer_telephone",
    "additional_info",
    "error_message",
    "shipping_tracking",
)

Json = dict[str, Any]


def event(name: str) -> Json:
    loaded: Json = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def message(**changes: Any) -> Json:
    """A live order of one plain line, with these fields changed; `...` takes a field away."""
    return changed(
        {
            "id": 62904417,
            "company_ref_id": 420913,
            "secondary_company_ref_id": "421406",
            "ref": "8E02C7D15BA94F36",
            "external_ref": "TT-5521",
            "status": 1,
            "status_name": "Received",
            "sale_datetime": "2026-11-18 21:07:45",
            "currency_code": "GBP",
            "shipping_price": 2.91,
            "shipping_price_inc_tax": 3.49,
            "shipping_tax_rate": 0.2,
            "items": [item()],
        },
        changes,
    )


def item(**changes: Any) -> Json:
    return changed(
        {
            "id": 301440071,
            "sku": "CUSH-LIN-45",
            "description": "Linen cushion",
            "quantity": 2,
            "status": 1,
            "unit_sale_price": 20.8333,
            "unit_sale_price_inc_tax": 25,
            "sale_vat_rate": 0.2,
            "unit_cost_price": 11.2,
        },
        changes,
    )


def changed(base: Json, changes: Json) -> Json:
    return {key: value for key, value in {**base, **changes}.items() if value is not ...}


def read(order: Json | str | bytes) -> Order:
    body = order if isinstance(order, str | bytes) else json.dumps(order, ensure_ascii=False)
    return read_order(read_message(body))


def read_line(**changes: Any) -> OrderLine:
    return read(message(items=[item(**changes)])).lines[0]


def refused(order: Json | str | bytes) -> Unreadable:
    with pytest.raises(Unreadable) as stopped:
        read(order)
    return stopped.value


def problem(order: Json | str | bytes) -> tuple[str, dict[str, str]]:
    """The problem's code and details, without the order's id, which is always there."""
    stopped = refused(order).problem
    details = dict(stopped.details)
    assert details.pop("order")
    return stopped.code, details


def line_problem(**changes: Any) -> tuple[str, dict[str, str]]:
    return problem(message(items=[item(), item(), item(**changes)]))


# --- a whole order ---------------------------------------------------------------------------------


def test_an_order_as_the_platform_sends_it() -> None:
    order = read((EVENTS / "order_dispatched.json").read_bytes())
    assert (order.id, order.companies) == ("62904417", ("421406", "420913"))
    assert (order.ref, order.external_ref) == ("8E02C7D15BA94F36", "TT-5521")
    assert (order.disposition, order.dispatched, order.free_of_charge) == ("live", True, False)
    assert (order.currency, order.sold_at, order.completed_at) == (
        "GBP",
        datetime(2026, 11, 18, 21, 7, 45),  # noqa: DTZ001 sent without a zone
        datetime(2026, 11, 20, 16, 22, 10),  # noqa: DTZ001
    )
    assert order.lines[0] == OrderLine(
        id="301440071",
        sku="CUSH-LIN-45",
        description="Linen cushion 45 cm \N{EN DASH} “Holy Island, dusk”",
        colour="Oatmeal",
        size="45cm",
        quantity=Decimal(2),
        price=Decimal("20.8333"),
        price_inc_tax=Decimal(25),
        cost=Decimal("11.2"),
        tax_rate=Decimal(20),
        cancelled=False,
    )
    assert [line.tax_rate for line in order.lines] == [Decimal(20), Decimal(20), Decimal(0)]
    assert order.shipping.price == Decimal("2.91")
    assert order.shipping.price_inc_tax == Decimal("3.49")
    assert order.shipping.tax_rate == Decimal(20)


def test_an_order_may_be_wrapped_and_say_everything_as_text() -> None:
    order = read((EVENTS / "order_prices_as_text.json").read_text(encoding="utf-8"))
    assert (order.id, order.currency) == ("62904502", None)
    assert order.sold_at.isoformat() == "2026-06-29T10:43:07"
    assert (order.disposition, order.free_of_charge) == ("live", False)
    assert [str(line.quantity) for line in order.lines] == ["2", "1"]
    assert [str(line.price_inc_tax) for line in order.lines] == ["12", "4"]
    assert (order.lines[1].sku, order.lines[1].tax_rate) == ("", Decimal(20))
    assert (order.shipping.price, order.shipping.tax_rate) == (Decimal(0), None)


def test_what_is_free_may_come_with_an_impossible_rate() -> None:
    order = read(event("order_free_of_charge"))
    assert order.free_of_charge
    assert (order.lines[0].price, order.lines[0].cost) == (Decimal(0), Decimal("11.2"))
    assert order.lines[0].tax_rate is None


def test_cancelled_lines_are_marked_and_unknown_types_and_states_are_not() -> None:
    order = read(event("order_with_cancelled_line"))
    assert [line.cancelled for line in order.lines] == [False, True, True]
    assert order.disposition == "live"
    assert not read_line(type=99, status=55).cancelled
    assert not read_line(status="somewhere").cancelled
    assert not read_line(status=...).cancelled
    assert read_line(status="7").cancelled
    assert read_line(quantity="0.0000").cancelled


def test_any_script_is_read() -> None:
    order = read(event("order_non_latin"))
    assert order.lines[0].description == "オーガニックTシャツ 黒 M 🎌"
    assert (order.currency, order.external_ref) == ("JPY", "注文-88012")
    assert [line.tax_rate for line in order.lines] == [Decimal(10), Decimal(10)]
    assert read(json.dumps(event("order_non_latin"))) == order


def test_two_hundred_lines_are_fine_and_five_hundred_the_most() -> None:
    assert len(read(message(items=[item(id=n) for n in range(1, 201)])).lines) == 200
    small = {"quantity": 1, "sku": "A", "unit_price": 1}
    assert len(read(message(items=[small] * 500)).lines) == 500
    assert problem(message(items=[small] * 501)) == ("too_many_lines", {"lines": "501", "limit": "500"})


def test_unknown_keys_are_ignored_whatever_they_hold() -> None:
    extra = {"new": [{"a": {"b": [None, True, 1.5]}}], "hologram": "yes", "tag": None}
    attributes = [{"name": "Engraving", "value": "for Siân"}]
    assert read(message(**extra, items=[item(**extra, attributes=attributes)])) == read(message())


def test_missing_words_are_empty_words() -> None:
    order = read(
        message(ref=..., external_ref=None, items=[item(id=..., sku="", description=..., colour=None)])
    )
    assert (order.ref, order.external_ref) == ("", "")
    line = order.lines[0]
    assert (line.id, line.sku, line.description, line.colour, line.size) == ("", "", "", "", "")


def test_words_may_be_numbers_and_are_cut_to_a_length() -> None:
    line = read_line(sku=12345, size=11.5, description="d" * 5000, colour="c" * 300)
    assert (line.sku, line.size) == ("12345", "11.5")
    assert (len(line.description), len(line.colour)) == (4000, 255)


@pytest.mark.parametrize("empty", [False, [], {}])
def test_what_php_makes_of_an_empty_text_is_an_empty_text(empty: object) -> None:
    assert read_line(colour=empty).colour == ""
    assert read(message(external_ref=empty)).external_ref == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, "true"), (["A"], "a list"), ({"a": 1}, "several values in one")],
)
def test_what_is_no_text_is_named(value: object, shown: str) -> None:
    assert line_problem(sku=value) == ("not_text", {"field": "items[2].sku", "value": shown})
    assert problem(message(ref=value)) == ("not_text", {"field": "ref", "value": shown})


# --- prices ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attribute", "names"),
    [
        ("price", ["unit_sale_price", "unit_price", "sale_price", "unit_retail_price"]),
        ("price_inc_tax", ["unit_sale_price_inc_tax", "unit_price_inc_tax", "sale_price_inc_tax"]),
        (
            "cost",
            [
                "unit_cost_price",
                "unit_cost",
                "cost_price",
                "trade_price",
                "unit_trade_price",
                "unit_supplier_price",
                "supplier_price",
            ],
        ),
    ],
)
def test_a_price_is_read_under_each_of_its_names(attribute: str, names: list[str]) -> None:
    bare = {"quantity": 1, "sku": "A"}
    for name in names:
        line = read(message(items=[{**bare, name: "7.5"}])).lines[0]
        assert getattr(line, attribute) == Decimal("7.5"), name
        others = {"price", "price_inc_tax", "cost"} - {attribute}
        assert all(getattr(line, other) is None for other in others), name
    emptied = {**bare, names[0]: None, names[1]: "", names[2]: 3}
    assert getattr(read(message(items=[emptied])).lines[0], attribute) == 3
    agreeing = {**bare, names[0]: 13, names[1]: "13.00", names[2]: 13.0}
    assert getattr(read(message(items=[agreeing])).lines[0], attribute) == 13
    assert problem(message(items=[{**bare, names[1]: 13, names[2]: "13.01"}])) == (
        "conflicting_prices",
        {
            "field": f"items[0].{names[1]}",
            "value": "13",
            "other_field": f"items[0].{names[2]}",
            "other_value": "13.01",
        },
    )


@pytest.mark.parametrize(
    ("one", "other", "price"),
    [
        ("20.8333", "20.83", "20.8333"),
        ("20.83", 20.833333, "20.833333"),
        (20.8333, "20.833333333333333", "20.833333333333333"),
        ("20.835", "20.84", "20.835"),
        (13, "13.0042", "13.0042"),
        ("-0.3333", "-0.33", "-0.3333"),
    ],
)
def test_of_two_prices_that_differ_by_rounding_the_finer_holds(
    one: object, other: object, price: str
) -> None:
    for first, second in ((one, other), (other, one)):
        assert str(read_line(unit_sale_price=first, unit_price=second, **NO_PAIR).price) == price


@pytest.mark.parametrize(
    ("one", "other"),
    [("20.8333", "20.82"), ("20.8351", "20.83"), (13, "13.0051"), ("20.8331", "20.8333"), ("20.8", "20.83")],
)
def test_two_prices_that_differ_by_more_than_rounding_contradict_each_other(
    one: object, other: object
) -> None:
    for first, second in ((one, other), (other, one)):
        assert line_problem(unit_sale_price=first, unit_price=second)[0] == "conflicting_prices"


def test_of_three_prices_each_has_to_agree_with_the_finest() -> None:
    finer = {"unit_sale_price": "20.83", "unit_price": "20.8333"}
    assert read_line(**finer, sale_price="20.833").price == Decimal("20.8333")
    assert line_problem(**finer, sale_price="20.8267")[0] == "conflicting_prices"


def test_rates_have_to_agree_as_they_are() -> None:
    assert line_problem(sale_vat_rate="20", tax_rate="20.004", **NO_PAIR)[0] == "conflicting_prices"


@pytest.mark.parametrize("said", ["n/a", " N/A "])
def test_a_price_that_is_said_not_to_be_there_is_not_there(said: str) -> None:
    line = read_line(unit_cost_price=said, unit_sale_price=said)
    assert (line.cost, line.price, line.price_inc_tax) == (None, None, Decimal(25))
    assert line_problem(quantity=said) == ("missing_field", {"field": "items[2].quantity"})


def test_a_missing_price_stays_missing() -> None:
    line = read_line(unit_sale_price=..., unit_cost_price=None)
    assert (line.price, line.price_inc_tax, line.cost) == (None, Decimal(25), None)
    shipping = read(message(shipping_price=..., shipping_price_inc_tax="")).shipping
    assert (shipping.price, shipping.price_inc_tax) == (None, None)


@pytest.mark.parametrize(
    "value", ["abc", "12,50", "£5", "NaN", "Infinity", "0x10", "1_000", "٣", "--1", "1e", "."]
)
def test_a_garbage_price_is_named(value: str) -> None:
    assert line_problem(unit_sale_price=value) == (
        "bad_number",
        {"field": "items[2].unit_sale_price", "value": value},
    )
    assert problem(message(shipping_price=value)) == (
        "bad_number",
        {"field": "shipping_price", "value": value},
    )


@pytest.mark.parametrize(
    ("value", "shown"), [(True, "true"), ([1], "a list"), ({"a": 1}, "several values in one")]
)
def test_a_price_that_is_no_number_at_all_is_named(value: object, shown: str) -> None:
    assert line_problem(unit_cost_price=value) == (
        "bad_number",
        {"field": "items[2].unit_cost_price", "value": shown},
    )


@pytest.mark.parametrize(
    "value",
    ["10000000000", "-1e10", "1e99", "1e3000000", "1" * 41, "1e-21", "9999999999.999999999999999999999"],
)
def test_an_amount_beyond_reason_is_named_and_costs_nothing(value: str) -> None:
    as_number = json.dumps(message(items=[item(unit_cost_price="@")])).replace('"@"', value)
    for body in (as_number, message(items=[item(unit_cost_price=value)])):
        code, details = problem(body)
        assert (code, details["field"]) == ("bad_number", "items[0].unit_cost_price")


def test_the_amounts_just_within_reason_are_exact() -> None:
    assert read_line(unit_cost_price="9999999999.999999999999").cost == Decimal("9999999999.999999999999")
    assert read_line(unit_cost_price="-0.000000000001").cost == Decimal("-0.000000000001")
    assert str(read_line(unit_cost_price="1.5e3").cost) == "1500"
    assert str(read_line(unit_cost_price="-0.00").cost) == "0"
    assert str(read_line(unit_cost_price=" 4.10 ").cost) == "4.1"


def test_an_amount_is_kept_to_the_last_digit_because_the_digits_tell_the_rate() -> None:
    assert read_line(unit_cost_price=13 / 1.2).cost == Decimal("10.833333333333334")
    assert read_line(unit_sale_price="17.386388345292453").price == Decimal("17.386388345292453")


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ({"shipping_country_code": "GB", "shipping_country": "Germany"}, "GB"),
        ({"shipping_country_code": "UK", "shipping_postcode": "YO22 4DE"}, "GB"),
        ({"shipping_country_code": "GB", "shipping_postcode": "bt1 5gs"}, "XI"),
        (
            {"shipping_country_code": "", "shipping_country": "United Kingdom", "shipping_postcode": "BT7"},
            "XI",
        ),
        ({"shipping_country": "el"}, "GR"),
        ({"shipping_country": "deutschland"}, None),
        ({"shipping_country": "The Netherlands"}, "NL"),
        ({"shipping_country": "Zoë O'Brien, Flat 3"}, None),
        ({"shipping_country_code": 44, "shipping_country": ["GB"]}, None),
        ({"shipping_country_code": "ES", "shipping_postcode": "38001"}, "IC"),
        # a postcode that was taken for a number
        ({"shipping_country_code": "ES", "shipping_postcode": 38001}, "IC"),
        ({"shipping_country_code": "ES", "shipping_postcode": "3501"}, "ES"),
        ({"shipping_country_code": "ES", "shipping_postcode": 3501}, "ES"),
        ({"shipping_country_code": "FI", "shipping_postcode": 2200}, "FI"),
        ({"shipping_country_code": "FI", "shipping_postcode": 22100}, "AX"),
        ({"shipping_country_code": "FR", "shipping_postcode": 9710}, "FR"),
        ({"shipping_country_code": "FR", "shipping_postcode": 97100}, "GP"),
        ({"shipping_country_code": "DE", "shipping_postcode": "D-27498"}, "XV"),
        ({"shipping_country_code": "IT", "shipping_postcode": "23014"}, "IT"),
        ({"shipping_country_code": "IT", "shipping_postcode": "23041"}, "XV"),
        ({"shipping_country_code": "IT", "shipping_postcode": "22061"}, "XV"),
        ({"shipping_country_code": "GB", "shipping_postcode": True}, "GB"),
        # a name beside the code, where there is no postcode
        ({"shipping_country_code": "GB", "shipping_country": "Northern Ireland"}, "XI"),
        ({"shipping_country_code": "GB", "shipping_country": "Jersey", "shipping_postcode": " "}, "JE"),
        ({"shipping_country_code": "ES", "shipping_country": "Canary Islands"}, "IC"),
        ({"shipping_country_code": "FR", "shipping_country": "Réunion"}, "RE"),
        (
            {
                "shipping_country_code": "GB",
                "shipping_country": "Northern Ireland",
                "shipping_postcode": "YO22 4DE",
            },
            "GB",
        ),
        ({"shipping_country_code": "IE", "shipping_country": "Northern Ireland"}, "IE"),
        # names as shops write them
        ({"shipping_country": "United Kingdom (UK)"}, "GB"),
        ({"shipping_country": "United States (US)"}, "US"),
        ({"shipping_country": "U.K."}, "GB"),
        ({"shipping_country": "Ireland (Republic of)"}, "IE"),
        ({"shipping_country": "Croatia (Hrvatska)"}, "HR"),
        ({"shipping_country": "Britain"}, "GB"),
        ({"shipping_country": "Great Britain"}, "GB"),
        ({"shipping_country": "Spain (Canary Islands)"}, "IC"),
        ({"shipping_country": "Saint Martin (French part)"}, "MF"),
        ({"shipping_country": "(" * 90}, None),
        ({}, None),
    ],
)
def test_of_the_address_only_the_country_or_vat_territory_is_kept(
    address: dict[str, object], kept: str | None
) -> None:
    order = read(message(**{"shipping_country_code": ..., "shipping_country": ..., **address}))
    assert order.ships_to == kept
    text = content(order)
    assert order_from_content(text) == order
    postcode = address.get("shipping_postcode")
    assert not isinstance(postcode, str) or f'"{postcode}"' not in text


def test_the_same_order_shipped_elsewhere_is_another_to_accounting() -> None:
    one, other = (read(message(shipping_country_code=code)) for code in ("GB", "DE"))
    assert content_hash(one) != content_hash(other)
    assert content_hash(one) == content_hash(read(message(shipping_country_code="UK")))


def test_amounts_never_pass_through_binary() -> None:
    body = json.dumps(message(shipping_price_inc_tax=..., items=[item(unit_cost_price="@")]))
    assert read(body.replace('"@"', "0.1")).lines[0].cost == Decimal("0.1")
    assert read(body.replace('"@"', "1234567890.123456789012")).lines[0].cost == Decimal(
        "1234567890.123456789012"
    )


# --- quantities ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "quantity"), [("2.0000", "2"), (3, "3"), (1.5, "1.5"), ("0.0001", "0.0001")]
)
def test_a_quantity(value: object, quantity: str) -> None:
    assert str(read_line(quantity=value).quantity) == quantity


@pytest.mark.parametrize("value", [-1, "-0.5", "1.00001", "two", True, "1e10", [2]])
def test_an_impossible_quantity_is_named(value: object) -> None:
    code, details = line_problem(quantity=value)
    assert (code, details["field"]) == ("bad_quantity", "items[2].quantity")


@pytest.mark.parametrize("value", [..., None, "", " "])
def test_a_missing_quantity_is_named(value: object) -> None:
    assert line_problem(quantity=value) == ("missing_field", {"field": "items[2].quantity"})


# --- tax rates -------------------------------------------------------------------------------------

NO_PAIR: Json = {"unit_sale_price_inc_tax": ...}


@pytest.mark.parametrize(
    ("stated", "percent"),
    [
        (0.2, "20"),
        (20, "20"),
        ("20.0000", "20"),
        ("0.2000", "20"),
        (0, "0"),
        ("0", "0"),
        (0.055, "5.5"),
        (5.5, "5.5"),
        (0.05, "5"),
        (100, "100"),
        (0.08875, "8.875"),
        ("0.20000000000000001", "20"),
        (0.19999999999999996, "20"),
    ],
)
def test_a_rate_is_a_fraction_below_one_and_a_percentage_above(stated: object, percent: str) -> None:
    assert str(read_line(sale_vat_rate=stated, **NO_PAIR).tax_rate) == percent


@pytest.mark.parametrize(
    ("stated", "percent"),
    [("20%", "20"), ("20 %", "20"), (" 8.875% ", "8.875"), ("0.5 %", "0.5"), ("1%", "1")],
)
def test_a_rate_with_its_sign_is_in_percent(stated: str, percent: str) -> None:
    assert str(read_line(sale_vat_rate=stated, **NO_PAIR).tax_rate) == percent


@pytest.mark.parametrize("name", ["sale_vat_rate", "vat_rate", "tax_rate"])
def test_a_rate_is_read_under_each_of_its_names(name: str) -> None:
    assert read_line(**{"sale_vat_rate": ..., name: 0.2}, **NO_PAIR).tax_rate == 20


def test_rates_that_agree_on_another_scale_agree() -> None:
    assert read_line(sale_vat_rate=0.2, tax_rate=20).tax_rate == 20
    assert line_problem(sale_vat_rate=0.2, tax_rate="5") == (
        "conflicting_prices",
        {
            "field": "items[2].sale_vat_rate",
            "value": "0.2",
            "other_field": "items[2].tax_rate",
            "other_value": "5",
        },
    )


BELOW_ZERO = [-1, "-0.2", "-1.00", -0.5, "-100"]
UNUSABLE = [1, "1.00", "NaN", "nonsense", 101, [0.2], True]


@pytest.mark.parametrize("stated", [*UNUSABLE, *BELOW_ZERO, ..., None, ""])
def test_beside_two_prices_a_rate_that_says_nothing_is_kept_as_none(stated: object) -> None:
    line = read_line(sale_vat_rate=stated)
    assert line.tax_rate is None
    assert (line.price, line.price_inc_tax) == (Decimal("20.8333"), Decimal(25))


@pytest.mark.parametrize("stated", UNUSABLE)
def test_an_unusable_rate_without_two_prices_is_named(stated: object) -> None:
    code, details = line_problem(sale_vat_rate=stated, **NO_PAIR)
    assert (code, details["field"]) == ("bad_rate", "items[2].sale_vat_rate")
    code, details = problem(message(shipping_tax_rate=stated, shipping_price=...))
    assert (code, details["field"]) == ("bad_rate", "shipping_tax_rate")


@pytest.mark.parametrize("stated", [*BELOW_ZERO, ..., None, ""])
def test_a_rate_below_zero_is_none_because_an_organisation_without_tax_needs_no_rate(stated: object) -> None:
    assert read_line(sale_vat_rate=stated, **NO_PAIR).tax_rate is None
    assert read(message(shipping_tax_rate=stated, shipping_price=...)).shipping.tax_rate is None


@pytest.mark.parametrize(
    ("price", "inc_tax", "stated", "percent"),
    [
        ("10.8333", "13.00", 0.2, "20"),
        ("10.8333", "13.00", 0, "0"),
        ("16.6667", "20.00", 0.05, "5"),
        ("1.93", "2.1", 0.0881, "8.81"),
        ("64.93", "70.69", "0.08875", "8.875"),
        ("3.29", "3.95", "0.2006", "20.06"),
        ("0.42", "0.50", "0.190476", "19.0476"),
        ("20", "22.995", 0.14975, "14.975"),
        ("100.00", "112.3456", "12.3456", "12.3456"),
        ("-10.00", "-12.00", 0.2, "20"),
    ],
)
def test_prices_and_rate_are_kept_as_sent_because_only_the_organisation_knows_its_rates(
    price: str, inc_tax: str, stated: object, percent: str
) -> None:
    line = read_line(unit_sale_price=price, unit_sale_price_inc_tax=inc_tax, sale_vat_rate=stated)
    assert str(line.tax_rate) == percent
    assert (line.price, line.price_inc_tax) == (Decimal(price), Decimal(inc_tax))
    shipping = {"shipping_price": price, "shipping_price_inc_tax": inc_tax, "shipping_tax_rate": stated}
    assert str(read(message(**shipping)).shipping.tax_rate) == percent


@pytest.mark.parametrize(
    ("price", "inc_tax"),
    [
        (0, 13),
        (13, 0),
        ("0.45", 0),
        ("0.004", "0"),
        (1, 3),
        (1, "0.72"),
        (0, "0.48"),
        ("0.6", "1.3"),
        (13, 10),
        (10, 22),
        (-10, 12),
        ("100.01", "99.5"),
        ("7.01", "6.96"),
    ],
)
def test_two_prices_no_rate_could_relate_are_both_named(price: object, inc_tax: object) -> None:
    assert line_problem(unit_sale_price=price, unit_sale_price_inc_tax=inc_tax) == (
        "conflicting_prices",
        {
            "field": "items[2].unit_sale_price",
            "value": str(price),
            "other_field": "items[2].unit_sale_price_inc_tax",
            "other_value": str(inc_tax),
        },
    )


@pytest.mark.parametrize(
    ("price", "inc_tax"),
    [("0.6", 1), (11, 13), ("0.5", "0.6"), (0, 0), (0, "0.01"), ("0.01", "0.01"), (1, 2)],
)
def test_prices_that_some_rate_relates_contradict_each_other_not(price: object, inc_tax: object) -> None:
    line = read_line(unit_sale_price=price, unit_sale_price_inc_tax=inc_tax)
    assert (line.price, line.price_inc_tax) == (Decimal(price), Decimal(inc_tax))  # type: ignore[arg-type]


@pytest.mark.parametrize("stated", [-1, "NaN", 1, None, 0])
def test_free_shipping_may_state_any_rate(stated: object) -> None:
    free = {"shipping_price": 0, "shipping_price_inc_tax": "0.00", "shipping_tax_rate": stated}
    assert read(message(**free)).shipping.price == 0
    assert (
        read(message(shipping_price=..., shipping_price_inc_tax=..., shipping_tax_rate=stated)).shipping.price
        is None
    )


# --- ids, currency, dates --------------------------------------------------------------------------


def test_ids_may_be_numbers_or_text_and_are_kept_as_digits() -> None:
    order = read(message(id="9223372036854775807", company_ref_id="420913", secondary_company_ref_id=421406))
    assert order.id == "9223372036854775807"
    assert order.companies == ("421406", "420913")
    assert read(message(company_ref_id=421406)).companies == ("421406",)


@pytest.mark.parametrize("absent", [..., None, "", 0, "0"])
def test_one_company_is_enough(absent: object) -> None:
    assert read(message(company_ref_id=absent)).companies == ("421406",)
    assert read(message(secondary_company_ref_id=absent)).companies == ("420913",)
    assert problem(message(company_ref_id=absent, secondary_company_ref_id=absent)) == (
        "missing_field",
        {"field": "secondary_company_ref_id"},
    )


@pytest.mark.parametrize("value", ["00123", 0, -5, 1.5, "12a", "1" * 20, "٤٢", True, [1], "12 34", "1e5"])
def test_an_id_that_is_none_is_named(value: object) -> None:
    code, details = problem(message(id=value))
    assert (code, details["field"]) == ("bad_id", "id")
    if value != 0:
        stopped = refused(message(company_ref_id=value, secondary_company_ref_id=None))
        assert (stopped.problem.code, stopped.problem.details["field"]) == ("bad_id", "company_ref_id")
        assert (stopped.companies, stopped.order_id) == ((), "62904417")


@pytest.mark.parametrize("value", ["x17", "0a6b1c2d-0000-4000-8000-000000000001", "00123", -1, [1]])
def test_a_reference_that_names_no_company_stops_no_order_of_another(value: object) -> None:
    order = read(message(company_ref_id=value))
    assert order.companies == identify(json.dumps(message(company_ref_id=value)))[0] == ("421406",)
    assert for_company(order, "421406") == order
    assert read(message(secondary_company_ref_id=value)).companies == ("420913",)
    code, details = problem(message(secondary_company_ref_id=value, company_ref_id=value))
    assert (code, details["field"]) == ("bad_id", "secondary_company_ref_id")


@pytest.mark.parametrize("value", [..., None, ""])
def test_a_missing_id_is_named(value: object) -> None:
    stopped = refused(message(id=value))
    assert (stopped.problem.code, dict(stopped.problem.details)) == (
        "missing_field",
        {"order": "?", "field": "id"},
    )
    assert (stopped.companies, stopped.order_id) == (("421406", "420913"), None)


@pytest.mark.parametrize(
    ("value", "currency"), [("GBP", "GBP"), (" eur ", "EUR"), (None, None), ("", None), (..., None)]
)
def test_a_currency_is_three_letters_or_left_open(value: object, currency: str | None) -> None:
    assert read(message(currency_code=value)).currency == currency


@pytest.mark.parametrize("value", ["£", "GB", "EURO", "G8P", 826, ["GBP"], "\u017fsk", "ÄÖÜ"])
def test_a_currency_of_another_shape_is_named(value: object) -> None:
    code, details = problem(message(currency_code=value))
    assert (code, details["field"]) == ("bad_currency", "currency_code")


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-11-18 21:07:45", "2026-11-18T21:07:45"),
        ("2026-11-18", "2026-11-18"),
        ("2026-6-29T10:43:7", "2026-06-29T10:43:07"),
        ("2026-6-9 1:2", "2026-06-09T01:02:00"),
        ("2026-11-18T23:30:00-05:00", "2026-11-18T23:30:00-05:00"),
        ("2026-11-18T00:30:00+0100", "2026-11-18T00:30:00+01:00"),
        ("2026-11-18 00:30:00 +5:30", "2026-11-18T00:30:00+05:30"),
        ("2026-11-18T00:30:00+13", "2026-11-18T00:30:00+13:00"),
        ("2026-11-18T00:30:00.123456Z", "2026-11-18T00:30:00.123456+00:00"),
        ("2026-11-18t23:59z", "2026-11-18T23:59:00+00:00"),
        ("2028-02-29 00:00:00", "2028-02-29T00:00:00"),
        # a fraction never carries a moment into the next day
        ("2026-12-31 23:59:59.9999999Z", "2026-12-31T23:59:59.999999+00:00"),
        ("2026-12-31 23:59:59,5", "2026-12-31T23:59:59.500000"),
        ("2026-12-31T23:59:59.000000000000001", "2026-12-31T23:59:59"),
        ("2026-12-31 24:00:00", "2026-12-31T23:59:59"),
        ("2026-11-18 21:07:45 UTC", "2026-11-18T21:07:45+00:00"),
        ("2026-11-18 21:07 GMT", "2026-11-18T21:07:00+00:00"),
        ("2026-11-18\u00a021:07:45\u202fUTC", "2026-11-18T21:07:45+00:00"),
        ("1970-01-01 14:00:01", "1970-01-01T14:00:01"),
        ("1970-01-02", "1970-01-02"),
    ],
)
def test_a_moment_is_kept_as_sent(value: str, moment: str) -> None:
    order = read(message(sale_datetime=value, completion_datetime=value))
    assert order.completed_at is not None
    assert (order.sold_at.isoformat(), order.completed_at.isoformat()) == (moment, moment)
    assert order_from_content(content(order)) == order


NO_DATES = ["0000-00-00 00:00:00", "0000-00-00", "0000-0-0T0:0:0", "-0001-11-30 00:00:00", "", None, ...]
NO_DATES += ["1970-01-01", "1970-01-01T00:00:00Z", "1970-01-01 01:00:00", "1970-01-01 13:00:00+13:00"]
NO_DATES += ["0001-01-01T00:00:00", "0001-01-01", "0001-01-01 00:00:00 UTC"]


@pytest.mark.parametrize("value", NO_DATES)
def test_a_zero_date_is_none(value: object) -> None:
    assert read(message(completion_datetime=value)).completed_at is None
    entered = message(sale_datetime=value, creation_datetime="2026-11-19 00:01:00")
    assert read(entered).sold_at.isoformat() == "2026-11-19T00:01:00", "when it entered the platform"
    assert problem(message(sale_datetime=value)) == ("missing_field", {"field": "sale_datetime"})


@pytest.mark.parametrize(
    "value",
    [
        *(
            "2026-06-31",
            "2026-02-29 10:00:00",
            "2026-13-01",
            "2026-00-10",
            "9999-12-31",
            "2026-11-18 25:00:00",
            "2026-11-18 24:00:01",
            "2026-11-18 10:60:00",
            "2026-11-18 10:00:61",
            "2026-11-18T10:00:00+24:00",
            "2026-11-18T10:00:00+",
        ),
        *("18/11/2026", "20261118", "yesterday", "2026-11-18 lunch", "٢٠٢٦-11-18", "2026-11-18" + " " * 100),
        *(1795000000, [], True),
    ],
)
def test_an_impossible_date_is_named(value: object) -> None:
    code, details = problem(message(sale_datetime=value))
    assert (code, details["field"]) == ("bad_date", "sale_datetime")
    order = read(message(completion_datetime=value))
    assert order.completion_flaw is not None, "it stops only what is dated by it"
    assert order.completion_flaw.code == "bad_date"
    assert order_from_content(content(order)) == order


def test_when_an_order_has_to_be_dispatched_is_kept_as_sent() -> None:
    sent = read(message(required_dispatch_date="2026-06-30T13:30:00Z"))
    assert sent.dispatch_by == datetime(2026, 6, 30, 13, 30, tzinfo=UTC)
    assert order_from_content(content(sent)) == sent


def test_dates_accounting_does_not_use_are_not_looked_at() -> None:
    unused = {"required_dispatch_date": "2026-06-31", "creation_datetime": "soon"}
    assert read(message(**unused)) == read(message())


# --- what state an order is in ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "disposition"),
    [
        ({"status": 1}, "live"),
        ({"status": 128}, "cancelled"),
        ({"status": "128", "status_name": ...}, "cancelled"),
        ({"status": 70000, "status_name": "Cancelled"}, "cancelled"),
        ({"status": 256}, "on_hold"),
        ({"status": ..., "status_name": "On Hold (Supplier)"}, "on_hold"),
        ({"status_name": " on  hold "}, "on_hold"),
        ({"status_name": "ON_HOLD"}, "on_hold"),
        ({"status_name": "On-hold: artwork"}, "on_hold"),
        ({"status_name": "OnHold"}, "on_hold"),
        ({"status_name": "Household"}, "live"),
        ({"has_error": True}, "error"),
        ({"has_error": "1"}, "error"),
        ({"has_error": 1, "status": 128}, "error"),
        ({"has_error": "true"}, "error"),
        ({"has_error": "false", "is_free_of_charge": 0}, "live"),
        ({"has_error": None}, "live"),
        ({"status": 1024, "status_name": "Levitating"}, "live"),
        ({"status": ..., "status_name": ...}, "live"),
        ({"status": [], "status_name": {"a": 1}}, "live"),
        ({"status": "new", "status_name": 5}, "live"),
        ({"status": True, "status_name": None}, "live"),
        ({"status_name": "Cancelled (Retailer Notified)"}, "cancelled"),
        ({"status": 8, "status_name": "Partially Cancelled"}, "live"),
        ({"status": 1024, "status_name": "Refunded"}, "refunded"),
        ({"status": 8, "status_name": " REFUNDED  "}, "refunded"),
        ({"status": ..., "status_name": "Refunded (Retailer Notified)"}, "refunded"),
        ({"status": 8, "status_name": "Partially refunded"}, "partially_refunded"),
        ({"status_name": "Part refunded"}, "partially_refunded"),
        ({"status_name": "Refunded (Partial)"}, "partially_refunded"),
        ({"status_name": "Partial Refund Issued"}, "partially_refunded"),
        ({"status_name": "REFUNDED - PARTLY"}, "partially_refunded"),
        ({"status_name": "Partially Returned"}, "partially_returned"),
        ({"status_name": "Returned/Partial"}, "partially_returned"),
        ({"status_name": "Partially Rejected"}, "unclear"),
        ({"status_name": "Refund"}, "refunded"),
        ({"status_name": "Order Refunded"}, "refunded"),
        ({"status_name": "Dispatched / Refunded"}, "refunded"),
        ({"status_name": "Customer_Refunded"}, "refunded"),
        ({"status_name": "Returned and Refunded"}, "returned"),
        ({"status_name": "Rejected by Customer"}, "rejected"),
        ({"status_name": "Order Cancelled"}, "cancelled"),
        ({"status_name": "Customer cancelled"}, "cancelled"),
        ({"status_name": "Dispatched - Cancelled"}, "cancelled"),
        ({"status_name": "Canceled by Supplier"}, "cancelled"),
        ({"status_name": "Cancelled & Refunded"}, "cancelled"),
        ({"status_name": "Refunded - Cancelled"}, "cancelled"),
        ({"status_name": "Voided"}, "cancelled"),
        ({"status_name": "VOID"}, "cancelled"),
        ({"status_name": "Refund Rejected"}, "live"),
        ({"status_name": "Return Rejected"}, "live"),
        ({"status_name": "Return - Declined"}, "live"),
        ({"status_name": "Cancellation Rejected"}, "live"),
        ({"status_name": "Refund Cancelled"}, "live"),
        ({"status_name": "Not Refunded"}, "live"),
        ({"status_name": "Not yet returned"}, "live"),
        ({"status_name": "QC Rejected"}, "live"),
        ({"status_name": "QC-REJECTED"}, "live"),
        ({"status_name": "Not Dispatched - Refunded"}, "unclear"),
        ({"status_name": "Not fully refunded"}, "unclear"),
        ({"status_name": "Refunded 50%"}, "unclear"),
        ({"status_name": "Refund Approved"}, "unclear"),
        ({"status_name": "Artwork Rejected"}, "unclear"),
        ({"status_name": "Declined"}, "rejected"),
        ({"status_name": "ORDER DECLINED"}, "rejected"),
        ({"status_name": "Payment declined"}, "unclear"),
        ({"status_name": "Not declined"}, "live"),
        ({"status_name": "Chargeback"}, "refunded"),
        ({"status_name": "CHARGE-BACK"}, "unclear"),
        ({"status_name": "Charged back"}, "unclear"),
        ({"status_name": "Chargeback won"}, "unclear"),
        ({"status_name": "Credited"}, "unclear"),
        ({"status_name": "Partially credited"}, "unclear"),
        ({"status_name": "Awaiting credit check"}, "live"),
        ({"status_name": "Paid by credit card"}, "live"),
        ({"status_name": "Returned Item Replaced"}, "unclear"),
        ({"status_name": "Cancelled order reinstated"}, "unclear"),
        ({"status_name": "Rejected - Refund Pending"}, "unclear"),
        ({"status_name": "Non-refundable"}, "unclear"),
        ({"status_name": "To Avoid"}, "live"),
        ({"status": 2048, "status_name": "Returned"}, "returned"),
        ({"status": 64, "status_name": "Returned to Sender"}, "returned"),
        ({"status": 32, "status_name": "Rejected"}, "rejected"),
        ({"status": 32, "status_name": "QC Query"}, "live"),
        ({"status": 32, "status_name": ...}, "live"),
        ({"status": 1024, "status_name": ...}, "live"),
        ({"status": 8, "status_name": "Refund requested"}, "live"),
        ({"status": 8, "status_name": "Return Pending"}, "live"),
        ({"status": "Refunded", "status_name": ""}, "refunded"),
        # a number decides for two states only, and an error is looked at first
        ({"status": 128, "status_name": "Refunded"}, "cancelled"),
        ({"status": 256, "status_name": "Returned"}, "on_hold"),
        ({"has_error": True, "status_name": "Refunded"}, "error"),
    ],
)
def test_the_disposition_of_an_order(changes: Json, disposition: str) -> None:
    assert read(message(**changes)).disposition == disposition


def test_a_status_that_is_not_understood_is_named_as_sent() -> None:
    order = read(message(status_name="Artwork  Rejected"))
    assert (order.disposition, order.status) == ("unclear", "Artwork  Rejected")
    assert order_from_content(content(order)) == order
    assert content_hash(order) != content_hash(read(message(status_name="Proof Rejected")))
    assert read(message(status_name="Refunded")).status == ""
    assert read(message(status_name="Chargeback")).status == "Chargeback", "no other word for it is shown"


def test_items_that_are_no_list_are_called_what_they_are() -> None:
    for items, found in (({"0": {"sku": "A"}}, "several values in one"), ("none", "none"), (7, "7")):
        with pytest.raises(Unreadable) as raised:
            read(message(items=items))
        assert raised.value.problem.sentence == (
            f"Order {message()['id']}: in place of the list of its lines is “{found}”."
        )


@pytest.mark.parametrize("value", ["412077.0", '"412077.0"', "412077.000", "4.12077e5", '" 412077.0 "'])
def test_a_company_that_is_a_whole_number_is_that_company_however_it_is_written(value: str) -> None:
    body = json.dumps(message(secondary_company_ref_id="@", company_ref_id=None)).replace('"@"', value)
    assert read_order(read_message(body)).companies == identify(body)[0] == ("412077",)
    if "e" not in value:
        assert identify(body[:-30])[0] == ("412077",), "also where the rest can't be read"


@pytest.mark.parametrize("value", ["412077.5", '"412077.05"', '"412077."', "0.0", '"1e5"'])
def test_a_company_that_is_no_whole_number_is_none(value: str) -> None:
    body = json.dumps(message(secondary_company_ref_id="@", company_ref_id=None)).replace('"@"', value)
    with pytest.raises(Unreadable) as raised:
        read_order(read_message(body))
    assert raised.value.companies == ()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"status": 1024, "status_name": "Archived"}, False),
        ({"status": 8, "status_name": " ARCHIVED "}, False),
        ({"status_name": "Order Archived"}, False),
        ({"status": ..., "status_name": ...}, False),
        ({"status": None, "status_name": ""}, False),
        ({"status": [], "status_name": {"a": 1}}, False),
        ({"has_error": True}, False),
        ({"status": 1}, True),
        ({"status": 128, "status_name": "Archived"}, True),
        ({"status_name": "Archived - Refunded"}, True),
        ({"status_name": "Not Archived"}, True),
        ({"status": ..., "status_name": "Levitating"}, True),
    ],
)
def test_a_message_without_status_and_archived_say_nothing_of_the_sale(changes: Json, told: bool) -> None:
    order = read(message(**changes))
    assert order.status_told is told
    assert order_from_content(content(order)) == order


@pytest.mark.parametrize(
    "name", ["Refunded", "Returned", "Rejected", "Partially Refunded", "Artwork Rejected"]
)
def test_an_order_that_is_no_sale_is_told_as_such_whatever_its_lines(name: str) -> None:
    for items in ([], ..., "none", *([item(**changes)] for changes in UNUSABLE_LINES[:3]), [["MUG"]]):
        order = read(message(status_name=name, items=items))
        assert order.disposition == read(message(status_name=name)).disposition
        assert order.flaw is not None, "posting it needs what can't be read"
        assert order_from_content(content(order)) == order
    assert read(message(status_name=name)).flaw is None


@pytest.mark.parametrize(
    ("changes", "dispatched"),
    [
        ({"status": 8}, True),
        ({"status": "64"}, True),
        ({"status_name": "Dispatched"}, True),
        ({"status_name": "Dispatched (Retailer Notified)"}, True),
        ({"status_name": "Delivered (retailer Notified)"}, True),
        ({"status_name": "Received By Shipper"}, True),
        ({"has_been_completed": "1"}, True),
        ({"status": 4, "status_name": "In Production"}, False),
        ({"status_name": "Pending Dispatch"}, False),
        ({"status_name": "Received By Supplier"}, False),
        ({"status_name": "Archived"}, False),
        ({"status": 9}, False),
    ],
)
def test_an_order_is_dispatched_by_number_by_name_or_by_completion(changes: Json, dispatched: bool) -> None:
    assert read(message(**changes)).dispatched is dispatched


@pytest.mark.parametrize(("value", "flag"), [("yes", True), ("Yes ", True), ("no", False), ("NO", False)])
def test_a_flag_may_be_said_in_words(value: str, flag: bool) -> None:
    assert read(message(is_free_of_charge=value)).free_of_charge is flag


@pytest.mark.parametrize(("value", "shown"), [("maybe", "maybe"), (2, "2"), ([], "a list"), (-1, "-1")])
def test_a_flag_that_is_neither_yes_nor_no_is_named(value: object, shown: str) -> None:
    assert problem(message(is_free_of_charge=value)) == (
        "bad_flag",
        {"field": "is_free_of_charge", "value": shown},
    )


def test_an_order_without_lines_is_named() -> None:
    assert problem(message(items=[])) == ("no_lines", {})
    for items in (..., None, ""):
        assert problem(message(items=items)) == ("missing_field", {"field": "items"})
    assert problem(message(items=[item(), "MUG"])) == ("missing_field", {"field": "items[1]"})


UNUSABLE_LINES: list[Json] = [
    {"quantity": -1},
    {"quantity": ...},
    {"quantity": "two"},
    {"unit_sale_price": ..., "unit_sale_price_inc_tax": None},
    {"unit_sale_price": "12,50"},
    {"unit_sale_price": 13, "unit_price": 15},
    {"unit_sale_price": 20, "unit_sale_price_inc_tax": 10},
    {"unit_sale_price_inc_tax": ..., "sale_vat_rate": "a fifth"},
    {"unit_cost_price": True},
    {"colour": {"en": "red"}},
]


@pytest.mark.parametrize("changes", UNUSABLE_LINES)
def test_a_cancelled_line_stops_no_order_whatever_its_numbers(changes: Json) -> None:
    order = read(message(items=[item(), item(sku="GONE", status=7, **changes)]))
    assert order.lines[0] == read(message()).lines[0]
    gone = order.lines[1]
    assert (gone.sku, gone.description, gone.cancelled) == ("GONE", "Linen cushion", True)
    assert order_from_content(content(order)) == order
    assert content_hash(order) == content_hash(read(message()))


def test_a_line_of_none_is_a_cancelled_one() -> None:
    assert read_line(quantity=0, unit_sale_price="12,50").cancelled


def test_of_a_cancelled_line_s_numbers_those_that_can_be_read_are_kept() -> None:
    gone = read_line(status=7, quantity=-1, unit_sale_price="12,50", unit_cost_price="4.15")
    assert (gone.quantity, gone.price, gone.price_inc_tax) == (Decimal(0), None, Decimal(25))
    assert (gone.cost, gone.tax_rate) == (Decimal("4.15"), Decimal(20))


NOT_LIVE: list[Json] = [{"status": 128}, {"status": 256}, {"has_error": True}]


@pytest.mark.parametrize("state", NOT_LIVE)
def test_an_order_that_is_not_to_be_posted_is_kept_whatever_its_lines(state: Json) -> None:
    disposition = read(message(**state)).disposition
    for items in ([], ..., None, "none", [item(**changes) for changes in UNUSABLE_LINES], [["MUG"]]):
        order = read(message(**state, items=items))
        assert order.disposition == disposition
        assert order_from_content(content(order)) == order
        assert content_hash(order_from_content(content(order))) == content_hash(order)


@pytest.mark.parametrize("state", NOT_LIVE)
def test_an_order_that_is_not_to_be_posted_keeps_what_can_be_read_of_it(state: Json) -> None:
    lines = [item(), "MUG", item(sku="MUG", quantity=-1, colour=["red"])]
    order = read(message(**state, items=lines, shipping_price="free", shipping_tax_rate="a fifth"))
    assert order.lines[0] == read(message()).lines[0]
    assert [(line.sku, line.quantity, line.price) for line in order.lines] == [
        ("CUSH-LIN-45", Decimal(2), Decimal("20.8333")),
        ("MUG", Decimal(0), Decimal("20.8333")),
    ]
    assert (order.shipping.price, order.shipping.price_inc_tax) == (None, Decimal("3.49"))


def test_an_order_that_is_released_has_to_be_right() -> None:
    for changes in UNUSABLE_LINES:
        assert read(message(status=256, items=[item(**changes)])).disposition == "on_hold"
        if changes != UNUSABLE_LINES[3]:  # whether a price is needed is for the settings to say
            refused(message(status=1, items=[item(**changes)]))
    assert problem(message(status=1, items=[])) == ("no_lines", {})


# --- messages --------------------------------------------------------------------------------------


def damaged(body: str | bytes) -> tuple[str, str | None, tuple[str, ...]]:
    stopped = refused(body)
    assert stopped.problem.code == "unreadable_json"
    assert stopped.problem.details["order"] == (stopped.order_id or "?")
    return stopped.problem.details["why"], stopped.order_id, stopped.companies


TEXT = json.dumps(message())
TOLD = ("62904417", ("421406", "420913"))


def test_bytes_and_text_read_the_same() -> None:
    assert read(TEXT) == read(TEXT.encode()) == read(json.dumps({"order": message()}))
    assert read(json.dumps({"event": "order.updated", "id": "e-1", "order": message()})) == read(TEXT)


@pytest.mark.parametrize(
    ("broken", "by", "why"),
    [
        (', "items"', ' "items"', "a comma or a closing bracket is missing"),
        ('"items":', '"items"', "a colon is missing"),
        ('"items"', "items", "the name of a field is missing or has no quotes"),
        ('"items": [', '"items": <[', "a value is missing"),
        ("}]}", "}]}}", "something follows behind its end"),
        ("Linen", "Li\nnen", "a line break or another invisible character is inside a text"),
        ("Linen", "Li\\nen \\cushion", "a backslash stands where it means nothing"),
        ("Linen", "Li\\u00zznen", "a backslash stands where it means nothing"),
    ],
)
def test_a_broken_message_says_in_plain_words_what_is_wrong_and_where(broken: str, by: str, why: str) -> None:
    told, _, character = damaged(TEXT.replace(broken, by))[0].partition(" at character ")
    assert told == why
    assert abs(int(character) - TEXT.index(broken)) < 20


@pytest.mark.parametrize(
    "private",
    [
        "jane.doe@example.com",
        "Jane Doe <jane＠example.com>",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "AKIA3BX7EXAMPLE5QK9Z",
        "0b2f6b1c-77aa-4000-8000-0c0ffee00001",
        "Bearer eyJhbGciOiJIUzI1NiJ9",
    ],
)
@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("sale_datetime", "bad_date"),
        ("currency_code", "bad_currency"),
        ("has_error", "bad_flag"),
        ("shipping_price", "bad_number"),
        ("id", "bad_id"),
    ],
)
def test_no_problem_repeats_what_may_be_a_persons_or_a_secret(field: str, code: str, private: str) -> None:
    stopped = refused(message(**{field: private})).problem
    assert stopped.code == code
    words = str(stopped.details) + stopped.sentence + stopped.fix
    assert private[:12] not in words
    assert stopped.fields == (field,)
    assert "a text that is not shown here" in words


@pytest.mark.parametrize(
    "key", ["jane.doe@example.com", "Jane_Doe", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "x" * 90]
)
def test_no_problem_repeats_a_key_of_the_senders_own(key: str) -> None:
    twice = TEXT[:-1] + f', "{key}": 1, "{key}": 2}}'
    half = TEXT[:-1] + f', "attributes": {{"{key}": {{"sku": "\\ud83d"}}}}}}'
    for body, code in ((twice, "duplicate_key"), (half, "bad_text")):
        with pytest.raises(Unreadable) as raised:
            read_message(body)
        stopped = raised.value.problem
        assert stopped.code == code
        assert key[:8] not in str(stopped.details) + stopped.sentence + stopped.fix


@pytest.mark.parametrize(
    "shown", ["12,50", "a fifth", "2026-06-31T10:43:07.123+0000", "1e3000000000000000000", "POUNDS STERLING"]
)
def test_what_is_neither_is_shown(shown: str) -> None:
    assert quoted(shown) == shown


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (TEXT.replace("20.8333", "NaN"), "it has “NaN” in the place of a number"),
        (
            TEXT.encode().replace(b"Linen", b"L\xfcnen"),
            f"the character at byte {TEXT.index('Linen') + 1} can't be read",
        ),
        ("[]", "it is not an order"),
        (" ", "it is empty"),
    ],
)
def test_what_is_no_message_says_why_in_plain_words(body: str | bytes, why: str) -> None:
    assert damaged(body)[0] == why


def test_a_broken_message_still_tells_which_order_it_was() -> None:
    assert damaged(TEXT[:-30]) == ("it breaks off before its end", *TOLD)
    assert damaged('{"order": ' + TEXT[:-30]) == ("it breaks off before its end", *TOLD)
    assert damaged(TEXT.replace('"items"', "items"))[1:] == TOLD
    assert damaged(TEXT + "}")[1:] == TOLD
    assert damaged(TEXT + TEXT)[1:] == TOLD


def test_a_broken_message_tells_nothing_that_is_not_certain() -> None:
    assert damaged('{"id": 62904417') == ("it breaks off before its end", None, ())
    assert damaged('{"id": 62904417, "company_ref_id": 4209')[1:] == ("62904417", ())
    assert damaged('{"nested": {"id": 5, "company_ref_id": 6}, ')[1:] == (None, ())
    assert damaged('{"order": {"nested": {"id": 5}, ')[1:] == (None, ())
    assert damaged('{"id": 5, "order": {"company_ref_id": 6, ')[1:] == (None, ("6",))
    assert damaged('{"id": 5, "id": 6, ')[1:] == (None, ())
    assert damaged('{"id": 5, "\\u0069d": 6, ')[1:] == (None, ())
    assert damaged('{"name": "un"quoted", "id": 5, ')[1:] == (None, ()), (
        "what stands behind the damage is not certain"
    )
    assert damaged('{"name": "x\\", "id": 5, ')[1:] == (None, ())
    assert damaged('["id", 5]')[1:] == (None, ())


@pytest.mark.parametrize(
    "body", ["", " ", "null", "5", '"id"', "[]", "[" + TEXT + "]", "{]", "\x00", "hello"]
)
def test_what_is_no_order_is_unreadable(body: str) -> None:
    assert damaged(body)[1:] == (None, ())


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "+1", "01", ".5", "0x1F", "1.", "True"])
def test_only_json_numbers_are_numbers(constant: str) -> None:
    body = json.dumps(message(shipping_price="@")).replace('"@"', constant)
    assert damaged(body)[1:] == TOLD


def test_a_byte_order_mark_other_encodings_and_broken_text_are_refused() -> None:
    assert damaged("\ufeff" + TEXT) == ("it starts with a byte order mark", *TOLD)
    assert damaged(b"\xef\xbb\xbf" + TEXT.encode())[0] == "it starts with a byte order mark"
    assert damaged(TEXT.encode().replace(b"Linen", b"L\xfcnen"))[1:] == TOLD
    assert damaged(TEXT.encode("utf-16"))[1:] == (None, ())
    assert problem(TEXT.encode().replace(b"Linen", b"\xed\xa0\xbd"))[0] == "bad_text"
    assert damaged(TEXT.replace("Linen", "Li\nnen"))[1:] == TOLD


def test_a_repeated_key_is_named() -> None:
    stopped = refused('{"id": 5, "company_ref_id": 6, "ref": "a", "ref": "b"}')
    assert (stopped.problem.code, dict(stopped.problem.details)) == (
        "duplicate_key",
        {"order": "5", "key": "ref"},
    )
    assert problem(TEXT.replace('"sku"', '"id": 5, "sku"')) == ("duplicate_key", {"key": "id"})
    assert problem('{"pdfs": [], "pdfs": []}') == ("duplicate_key", {"key": "pdfs"})
    assert refused('{"id": 5, "company_ref_id": 6, "id": 5}').order_id is None


@pytest.mark.parametrize("half", ["\\ud83d", "\\uDC00", "\\ud83dx", "\\udc00\\ud83d", "\ud83d"])
def test_half_a_character_is_named_wherever_it_is(half: str) -> None:
    at = json.dumps(message(note={"a": [1, "@"]})).replace("@", half)
    assert problem(at) == ("bad_text", {"field": "….…[1]"})
    assert problem(TEXT.replace("Linen", half)) == ("bad_text", {"field": "items[0].description"})
    assert problem(TEXT.replace('"sku"', f'"{half}"')) == ("bad_text", {"field": "a key in items[0]"})
    assert refused(TEXT.replace("Linen", half)).companies == TOLD[1]


def test_a_whole_character_of_two_halves_is_fine_and_so_is_a_backslash() -> None:
    assert read(TEXT.replace("Linen", "\\ud83c\\udf8c")).lines[0].description == "🎌 cushion"
    assert read(TEXT.replace("Linen", "\\\\ud83c")).lines[0].description == "\\ud83c cushion"


def nested(depth: int) -> str:
    """A message that is this deep in all."""
    return TEXT[:-1] + ', "extra": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def test_twenty_levels_are_the_most() -> None:
    assert read(nested(20)) == read(TEXT)
    assert problem(nested(21)) == ("too_deep", {"limit": "20"})
    assert refused(nested(21)).order_id == "62904417"


def test_brackets_in_texts_are_no_levels() -> None:
    assert read(message(note="[{" * 1000, items=[item(attributes='"[\\"{' * 50)])) == read(message())


# --- pdfs ------------------------------------------------------------------------------------------


def test_pdfs_are_skipped_unread_up_to_a_mebibyte() -> None:
    order = message(pdfs=[{"name": "label.pdf", "content": "JVBERi0x" * 112_500}])
    assert read_message(json.dumps(order))["pdfs"] is None
    assert read(json.dumps(order)) == read(TEXT)
    assert read(json.dumps({"order": order})) == read(TEXT)
    assert read(json.dumps({"order": message(), "pdfs": order["pdfs"]})) == read(TEXT)


@pytest.mark.parametrize(
    "pdfs",
    [
        "null",
        '"JVBE"',
        "[]",
        "12",
        '{"a": ["}"]}',
        '["\\"]", "\\\\"]',
        "[" * 500 + "]" * 500,
        '[{"x": 1, "x": 1e999999}]',
    ],
)
def test_pdfs_may_be_anything(pdfs: str) -> None:
    for body in (TEXT[:-1] + f', "pdfs": {pdfs}}}', f'{{"pdfs" :{pdfs} ,' + TEXT[1:]):
        assert read(body) == read(TEXT)


def test_damage_around_pdfs_is_still_damage() -> None:
    assert damaged(TEXT[:-1] + ', "pdfs": [')[1:] == TOLD
    assert damaged(TEXT[:-1] + ', "pdfs": ["JVBE' + "RERE" * 100_000)[1:] == TOLD
    assert damaged(TEXT[:-1] + ', "pdfs": [}}')[1:] == TOLD
    assert damaged(TEXT[:-1] + ', "pdfs": ,"a": 1}')[1:] == TOLD
    assert damaged(TEXT[:-1] + ', "pdfs": [] []}')[1:] == TOLD


def test_pdfs_elsewhere_are_not_set_apart() -> None:
    code, details = problem(message(note={"pdfs": "A" * MAX_WITHOUT_PDFS}))
    assert (code, details["limit"]) == ("too_large", str(MAX_WITHOUT_PDFS))


def test_the_rest_is_at_most_256_kilobytes() -> None:
    room = MAX_WITHOUT_PDFS - len(json.dumps(message(note="")))
    assert read(message(note="A" * room)) == read(TEXT)
    stopped = refused(message(note="A" * (room + 1)))
    assert dict(stopped.problem.details) == {
        "order": "62904417",
        "size": str(MAX_WITHOUT_PDFS + 1),
        "limit": str(MAX_WITHOUT_PDFS),
    }
    assert stopped.companies == TOLD[1]
    assert problem(message(note="é" * (room // 2 + 1)))[0] == "too_large", "bytes count, not characters"


def test_all_is_at_most_a_mebibyte() -> None:
    room = MAX_MESSAGE - len(json.dumps(message(pdfs="")))
    assert read(message(pdfs="A" * room)) == read(TEXT)
    stopped = refused(message(pdfs="A" * (room + 1)))
    assert (stopped.problem.code, stopped.problem.details["limit"]) == ("too_large", str(MAX_MESSAGE))
    assert (stopped.order_id, stopped.companies) == TOLD
    assert problem(message(pdfs="é" * (room // 2 + 1)))[0] == "too_large"


# --- one of two companies --------------------------------------------------------------------------


def test_an_order_is_narrowed_to_one_of_its_companies_and_to_no_other() -> None:
    order = read(TEXT)
    assert for_company(order, "420913").companies == ("420913",)
    assert content_hash(for_company(order, "420913")) == content_hash(order)
    with pytest.raises(Unreadable) as stopped:
        for_company(order, "999\n" + "9" * 100)
    assert stopped.value.problem.code == "company_not_in_order"
    assert stopped.value.problem.details == {
        "order": "62904417",
        "company": "999?" + "9" * 56 + "…",
        "companies": "421406, 420913",
    }
    assert (stopped.value.order_id, stopped.value.companies) == TOLD


# --- an order as text ------------------------------------------------------------------------------

SAMPLES = sorted(
    path.stem for path in EVENTS.glob("order_*.json") if path.stem not in ("order_intake", "order_posting")
)


@pytest.mark.parametrize("name", SAMPLES)
def test_an_order_comes_back_from_its_content(name: str) -> None:
    order = read(event(name))
    assert order_from_content(content(order)) == order
    assert content_hash(order_from_content(content(order))) == content_hash(order)


def test_the_content_of_a_non_latin_order_is_not_larger_than_its_message() -> None:
    body = json.dumps(message(items=[item(description="黒" * 4000)] * 15), ensure_ascii=False)
    assert len(content(read(body)).encode()) < len(body.encode()) + 15 * 100


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_of_the_consumer_is_in_an_order_or_in_a_problem(name: str) -> None:
    order = event(name)
    order = order.get("order", order)
    order.update({field: f"canary-{field}" for field in CONSUMER})
    order["items"][0]["attributes"] = [{"name": "canary-engraving", "value": "canary-name"}]
    assert "canary" not in content(read(order)) + repr(read(order))
    body = json.dumps(order)
    broken: list[Callable[[], str]] = [
        lambda: body[:-40],
        lambda: body.replace('"canary-customer_name"', '"canary"-customer_name"'),
        lambda: body.replace('"canary-customer_name"', '"canary\\ud83d"'),
        lambda: body.replace("canary-customer_name", "canary-\x07"),
        lambda: body.replace('company_ref_id"', 'company"'),
        lambda: body.replace('"sale_datetime": "2026', '"sale_datetime": "20260'),
    ]
    for breaks in broken:
        stopped = refused(breaks())
        shown = "".join(traceback.format_exception(stopped)) + repr(stopped.problem)
        assert "canary" not in shown


def test_equal_amounts_written_differently_are_the_same_content() -> None:
    ways = [13, "13.00", 13.0, "13", "1.3e1", " 13.0000 "]
    hashes = {content_hash(read(message(items=[item(unit_cost_price=way, quantity=way)]))) for way in ways}
    contents = {content(read(message(items=[item(unit_cost_price=way, quantity=way)]))) for way in ways}
    assert len(hashes) == len(contents) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"status": 8, "status_name": "Dispatched"},
        {"has_been_completed": True, "completion_datetime": "2026-11-20 10:00:00"},
        {"shipping_tracking": "QH204418839GB", "shipping_carrier": "Royal Mail"},
        {"sale_datetime": "2026-11-18T05:00:00+02:00"},
        {"sale_datetime": "2026-11-19"},
        {"customer_name": "Someone Else", "pdfs": []},
        {"items": [item(status=3, ref="9AF03D17C2E", attributes=[])]},
        {"items": [item(), item(sku="GIFTWRAP", status=7)]},
    ],
)
def test_what_accounting_does_not_see_leaves_the_hash_alone(changes: Json) -> None:
    assert content_hash(read(message(**changes))) == content_hash(read(message()))


@pytest.mark.parametrize(
    "changes",
    [
        {"status": 128},
        {"status": 256},
        {"has_error": True},
        {"is_free_of_charge": True},
        {"currency_code": "EUR"},
        {"status_name": "Refunded"},
        {"status_name": "Returned"},
        {"ref": "A"},
        {"external_ref": "A"},
        {"shipping_price": 2.92},
        {"items": [item(quantity=3)]},
        {"items": [item(unit_cost_price=11.21)]},
        {"items": [item(sku="OTHER")]},
        {"items": [item(status=7)]},
        {"items": [item(), item(sku="SECOND")]},
        {"items": [item(colour="Red")]},
        {"items": [item(unit_sale_price=25, sale_vat_rate=0)]},
    ],
)
def test_what_accounting_sees_changes_the_hash(changes: Json) -> None:
    assert content_hash(read(message(**changes))) != content_hash(read(message()))


def test_the_order_of_lines_counts() -> None:
    one, two = item(sku="A"), item(sku="B")
    assert content_hash(read(message(items=[one, two]))) != content_hash(read(message(items=[two, one])))


def test_an_unreadable_order_is_one_that_stopped() -> None:
    assert isinstance(refused("{"), OrderStopped)

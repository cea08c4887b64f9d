"""Tax is what the order says: which rate is meant, which of Xero's tax types stands for it, and who decides."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from bookkeeping.domain.contacts import Contact
from bookkeeping.domain.documents import Document, sales_invoice
from bookkeeping.domain.order_message import read_message
from bookkeeping.domain.orders import read_order
from bookkeeping.domain.organisation import Organisation, TaxRate
from bookkeeping.domain.problems.problem import OrderStopped, Problem
from bookkeeping.domain.settings import Settings
from bookkeeping.domain.settings_advice import advice, unusable_tax_rows
from tests.unit.priced_orders import read_from_xero

D = Decimal
CONTACT = Contact("7e6f7f0a-0000-4000-8000-000000000001", "Marlow", "ACTIVE")
Json = dict[str, Any]


def books(country: str = "UK", *more: tuple[str, str], **facts: Any) -> Organisation:
    """A country's books as Xero makes them, with more sales rates: tax type and percentage."""
    found = read_from_xero(country, random.Random(1), **facts).organisation
    return with_rates(found, *(sales_rate(tax_type, percent) for tax_type, percent in more))


def sales_rate(tax_type: str, percent: str, report: str = "OUTPUT") -> TaxRate:
    return TaxRate(
        tax_type,
        f"Rate {tax_type}",
        "ACTIVE",
        D(percent),
        can_apply_to_revenue=True,
        can_apply_to_expenses=False,
        can_apply_to_assets=True,
        report_tax_type=report,
    )


def with_rates(organisation: Organisation, *rates: TaxRate) -> Organisation:

    return replace(organisation, tax_rates=(*organisation.tax_rates, *rates))


def line(net: object = None, gross: object = None, rate: object = None, **more: Any) -> Json:
    return {
        "quantity": 1,
        "unit_sale_price": net,
        "unit_sale_price_inc_tax": gross,
        "sale_vat_rate": rate,
        **more,
    }


def invoice(
    *lines: Json,
    on: Organisation,
    rows: list[Json] | None = None,
    settings: Json | None = None,
    **message: Any,
) -> Document:
    order = {"id": 1, "company_ref_id": 1, "sale_datetime": "2026-11-20", "items": list(lines), **message}
    american = on.account("4000") is not None
    chart = {"sales_account_code": "4000" if american else "200", "contact_name": "Marlow"}
    how = Settings.from_json(chart | {"tax_types": rows or []} | (settings or {}))
    return sales_invoice(
        read_order(read_message(json.dumps(order))),
        how,
        on,
        contact=CONTACT,
        number="KX-1",
        sent_on=date(2026, 11, 21),
    )


def types(document: Document) -> list[str]:
    return [one["TaxType"] for one in document.body["LineItems"]]


def stopped(*lines: Json, **how: Any) -> Problem:
    with pytest.raises(OrderStopped) as caught:
        invoice(*lines, **how)
    problem = caught.value.problem
    assert "(not known)" not in problem.sentence + problem.fix
    return problem


# --- a rate that is stated ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "gross", "stated", "own"),
    [
        ("1.93", "2.1", "0.0881", "8.81"),
        ("0.34", "0.37", "8.81", "8.81"),
        ("10", "10.88", "0.0881", "8.81"),
        ("100", "108.8125", "0.088125", "8.8125"),
        ("4.99", "5.43", "0.0875", "8.75"),
        ("20", "22.995", "0.14975", "14.975"),
        ("3", "3.15", "0.0512", "5.12"),
        ("0.5", "0.52", "0.049", "4.9"),
        ("12.50", "13.12", "4.9999", "4.9999"),
    ],
)
def test_a_stated_rate_that_the_organisation_has_is_used_to_the_last_decimal(
    net: str, gross: str, stated: str, own: str
) -> None:
    rounder = {str(round(D(own))), str(round(D(own), 1)), "9", "15", "5"} - {own}
    on = books("US", ("TAX801", own), *((f"TAX9{n:02}", each) for n, each in enumerate(sorted(rounder))))
    expected = "OUTPUT" if own == "8.75" else "TAX801"
    assert types(invoice(line(net, gross, stated), on=on)) == [expected]
    shipped = invoice(
        line("0", "0", None),
        on=on,
        shipping_price=net,
        shipping_price_inc_tax=gross,
        shipping_tax_rate=stated,
    )
    assert types(shipped)[-1] == expected
    assert types(invoice(line(net, None, stated), on=on)) == [expected]


@pytest.mark.parametrize(
    ("net", "gross", "stated"),
    [
        ("100", "119", "19"),
        ("10", None, "0.19"),
        (None, "11.90", "19"),
        ("3.29", "3.95", "0.21"),
        ("10", "12", "7.7"),
    ],
)
def test_a_stated_rate_that_nobody_has_stops_the_order_and_is_named(
    net: str, gross: str, stated: str
) -> None:
    problem = stopped(line(net, gross, stated), on=books("UK"))
    assert problem.code == "no_tax_type"
    percent = D(stated) * 100 if D(stated) < 1 else D(stated)
    assert f"{percent.normalize():f} %" in problem.sentence
    assert "OUTPUT2, 20 %" in problem.sentence


@pytest.mark.parametrize(
    ("net", "gross", "stated"),
    [
        ("3.29", "3.95", "0.2006"),
        ("3.29", "3.95", "20.06"),
        ("0.42", "0.50", "19.05"),
        ("0.42", "0.50", 0.5 / 0.42 - 1),
        ("0.64", "0.77", "0.203125"),
        ("2.91", "3.49", 3.49 / 2.91 - 1),
        ("0.05", "0.06", "0.2"),
    ],
)
def test_a_rate_that_is_one_price_divided_by_the_other_says_no_more_than_they_do(
    net: str, gross: str, stated: object
) -> None:
    assert types(invoice(line(net, gross, stated), on=books("UK"))) == ["OUTPUT2"]


def test_a_row_s_rate_is_one_that_sales_can_have() -> None:
    on = books("UK", ("TAX123", "12.3"))
    rows = [{"rate": "12.3", "tax_type": "TAX123"}]
    assert types(invoice(line("100", None, "12.3"), on=on, rows=rows)) == ["TAX123"]
    assert stopped(line("100", None, "12.31"), on=on, rows=rows).code == "no_tax_type"


def test_a_rate_of_purchases_or_one_deleted_is_none_that_sales_can_have() -> None:
    assert stopped(line("10", "11.75", "17.5"), on=books("UK")).code == "no_tax_type"
    assert stopped(line("10", "10.825", "8.25"), on=books("US")).code == "no_tax_type"


def test_where_prices_contradict_the_stated_rate_the_document_says_so() -> None:
    document = invoice(line("10.83", "13.00", "0.05"), on=books("UK"))
    assert types(document) == ["RROUTPUT"]
    [note] = document.notes
    assert "5 %" in note
    assert "10.83" in note
    assert "13" in note
    assert invoice(line("10.83", "13.00", "0.2"), on=books("UK")).notes == ()
    assert invoice(line("10.82", "13.00", "0.2"), on=books("UK")).notes, "no rounding makes 10.82 of 13.00"


@pytest.mark.parametrize(
    ("net", "gross", "rate", "contradicted"),
    [
        ("0.10", "0.12", "0", True),
        ("0.10", "0.10", "0.2", True),
        ("0.1", "0.1", "20", True),
        ("0.04", "0.05", "0", True),
        ("1000", "1200.02", "20", True),
        ("0.8333", "1.01", "20", True),
        ("0.10", "0.11", "5", False),
        ("0.04", "0.05", "20", False),
        ("0.8333", "1", "20", False),
        ("0.833333333333333", "1", "20", False),
        ("10.8333", "13.00", "20", False),
        ("10", "12", "20", False),
    ],
)
def test_prices_contradict_a_rate_if_rounding_does_not_explain_them(
    net: str, gross: str, rate: str, *, contradicted: bool
) -> None:
    rows = [{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}]
    assert bool(invoice(line(net, gross, rate), on=books("UK"), rows=rows).notes) is contradicted


@pytest.mark.parametrize("stated", ["19", "0.19", "19.0", 0.19])
def test_a_whole_percentage_that_nobody_has_was_not_divided(stated: object) -> None:
    assert stopped(line("0.42", "0.50", stated), on=books("UK")).code == "no_tax_type"


# --- a rate that is not stated -----------------------------------------------------------------------------------

NOT_STATED = [None, -1, "-0.2", "nonsense", "n/a"]


@pytest.mark.parametrize("stated", NOT_STATED)
@pytest.mark.parametrize(
    ("country", "net", "gross", "expected"),
    [
        ("UK", "0.83", "0.99", "OUTPUT2"),
        ("UK", "0.42", "0.50", "OUTPUT2"),
        ("UK", "0.03", "0.04", "OUTPUT2"),
        ("UK", "10.8333", "13.00", "OUTPUT2"),
        ("UK", "10.833333333333334", "13", "OUTPUT2"),
        ("UK", "12.50", "13.13", "RROUTPUT"),
        ("US", "64.92766934557979", "70.69", "TAX001"),
        ("US", "64.93", "70.69", "TAX001"),
        ("US", "1000", "1087.5", "OUTPUT"),
        ("AU", "0.95", "1.05", "OUTPUT"),
        ("NZ", "0.87", "1.00", "OUTPUT2"),
        ("IE", "4.07", "5.01", "OUTPUT2"),
        ("IE", "100", "104.80", "TAX002"),
        ("ZA", "86.96", "100.00", "OUTPUT3"),
        ("ZA", "87.72", "100.00", "TAX002"),
    ],
)
def test_a_rate_not_stated_is_the_only_one_that_bears_both_prices_out(
    country: str, net: str, gross: str, expected: str, stated: object
) -> None:
    document = invoice(line(net, gross, stated), on=books(country))
    assert types(document) == [expected]
    assert document.figures.total == D(gross).quantize(D("0.01"))


@pytest.mark.parametrize(
    ("net", "gross", "expected"),
    [
        ("17.386388345292453", "19.99", "TAX010"),
        ("17.386388345292454", "19.99", "TAX010"),
        ("17.38263", "19.99", "TAX009"),
        ("17.382608695652173", "19.99", "TAX009"),
        ("0.8697542944", "1", "TAX010"),
    ],
)
def test_long_prices_tell_rates_apart_that_short_ones_do_not(net: str, gross: str, expected: str) -> None:
    on = books("US", ("TAX009", "15"), ("TAX010", "14.975"))
    net = net if net != "17.38263" else "17.38261"
    assert types(invoice(line(net, gross), on=on)) == [expected]
    assert stopped(line("0.87", "1.00"), on=on).code == "several_rates_fit"


def test_a_discount_s_rate_is_told_by_its_prices_too() -> None:
    assert types(invoice(line("10", "12"), line("-5", "-6"), on=books("UK"))) == ["OUTPUT2", "OUTPUT2"]


def test_a_zero_that_was_dropped_at_a_price_s_end_costs_no_order() -> None:
    # 2.0468 ÷ 1.08875 is 1.8800, sent as 1.88; and 1.88 × 1.08875 is 2.0469
    assert types(invoice(line("1.88", "2.0468"), on=books("US"))) == ["TAX001"]


def test_several_rates_that_fit_are_named_unless_the_order_states_one_of_them_elsewhere() -> None:
    on, cheap, plain = books("UK"), line("0.03", "0.03"), line("10", "12", "0.2")
    problem = stopped(cheap, on=on)
    assert (problem.code, problem.details["rates"]) == ("several_rates_fit", "0 %, 5 %, 20 %")
    assert types(invoice(cheap, plain, on=on)) == ["OUTPUT2", "OUTPUT2"]
    assert types(invoice(plain, cheap, line("8", None, "20"), on=on)) == ["OUTPUT2"] * 3
    assert stopped(cheap, plain, line("10", "10.5", "5"), on=on).code == "several_rates_fit"
    shipped: Json = {"shipping_price": "0.03", "shipping_price_inc_tax": "0.03", "shipping_tax_rate": -1}
    assert types(invoice(line("10", "10.50", "0.05"), on=on, **shipped)) == ["RROUTPUT", "RROUTPUT"]
    by_shipping: Json = {"shipping_price": "5", "shipping_price_inc_tax": "6", "shipping_tax_rate": "0.2"}
    assert types(invoice(cheap, on=on, **by_shipping)) == ["OUTPUT2", "OUTPUT2"]


def test_what_charges_nothing_states_no_rate_for_other_lines() -> None:
    on, cheap = books("UK"), line("0.03", "0.03")
    free = line("0", "0", "0.2")
    gone = line("10", "12", "0.2", status=7)
    nothing: Json = {"shipping_price": 0, "shipping_price_inc_tax": 0, "shipping_tax_rate": "0.2"}
    assert stopped(cheap, free, gone, on=on, **nothing).code == "several_rates_fit"


@pytest.mark.parametrize(
    ("net", "gross"), [("10", "11.35"), ("100", "117.5"), ("0.83", "0.90"), ("5", "5.01")]
)
def test_prices_that_no_rate_bears_out_stop_the_order_with_the_rates_there_are(net: str, gross: str) -> None:
    problem = stopped(line(net, gross), on=books("UK"))
    assert problem.code == "no_rate_fits"
    assert "0 %, 5 %, 20 %" in problem.sentence
    assert net in problem.sentence
    assert gross.rstrip("0") in problem.sentence


@pytest.mark.parametrize(("net", "gross"), [("10", None), (None, "12")])
def test_one_price_alone_tells_no_rate(net: str | None, gross: str | None) -> None:
    assert stopped(line(net, gross), line("10", "12", "0.2"), on=books("UK")).code == "missing_rate"


def test_prices_in_a_currency_without_cents_are_rounded_to_its_units() -> None:

    on = replace(books("AU"), currencies=("AUD", "JPY", "KWD"))
    assert types(invoice(line("909", "1000"), on=on, currency_code="JPY")) == ["OUTPUT"]
    assert stopped(line("909", "1000"), on=on, currency_code="AUD").code == "no_rate_fits"
    assert types(invoice(line("0.455", "0.5"), on=on, currency_code="KWD")) == ["OUTPUT"]


# --- the tax type ------------------------------------------------------------------------------------------------


def test_at_zero_percent_only_a_row_or_the_account_decides() -> None:
    nothing = line("10", "10", "0")
    for country in ("UK", "AU", "NZ", "US", "IE", "ZA"):
        problem = stopped(nothing, on=books(country))
        assert problem.code == "several_tax_types"
        assert "0 %" in problem.sentence

    only = replace(
        books("AU"),
        tax_rates=tuple(one for one in books("AU").tax_rates if one.tax_type in ("OUTPUT", "EXEMPTOUTPUT")),
    )
    assert stopped(nothing, on=only).code == "several_tax_types", "never for being the only one there is"
    by_row = invoice(nothing, on=only, rows=[{"rate": "0", "tax_type": "EXEMPTOUTPUT"}])
    assert types(by_row) == ["EXEMPTOUTPUT"]
    zero_rated = replace(
        only,
        accounts=tuple(
            replace(one, tax_type="EXEMPTOUTPUT") if one.code == "200" else one for one in only.accounts
        ),
    )
    assert types(invoice(nothing, on=zero_rated)) == ["EXEMPTOUTPUT"]


@pytest.mark.parametrize(
    ("tax_type", "report"),
    [
        ("DRCHARGESUPPLY20", ""),
        ("DRCHARGESUPPLY5", "DRCHARGESUPPLY"),
        ("REVERSECHARGES", ""),
        ("TAX020", "REVERSECHARGES"),
        ("ECZROUTPUT", ""),
        ("ECZROUTPUTSERVICES", ""),
        ("TAX021", "ECOUTPUT"),
        ("TAX022", "ECOUTPUTSERVICES"),
        ("TAX023", "MOSSSALES"),
        ("CAPEXOUTPUT2", ""),
        ("CAPEXSROUTPUT", ""),
        ("TAX024", "CAPITALSALESOUTPUT"),
        ("TAX025", "CAPEXOUTPUT"),
        ("GSTONIMPORTS", ""),
        ("GSTONCAPIMPORTS", ""),
        ("TAX026", "GSTONIMPORTS"),
        ("IM", ""),
        ("IMN33Y24", ""),
        ("IGDSINPUT2", ""),
        ("SRCAS", ""),
        ("TXRCN33", ""),
        ("AVALARA", ""),
        ("TAX027", "AVALARA"),
        ("BADDEBTRELIEF", ""),
    ],
)
def test_types_for_special_cases_are_chosen_by_nobody_but_a_row(tax_type: str, report: str) -> None:

    without = replace(books("UK"), tax_rates=books("UK").tax_rates[:1])
    alone = with_rates(without, sales_rate(tax_type, "12.5", report))
    both = with_rates(alone, sales_rate("TAX700", "12.5"))
    assert types(invoice(line("8", "9", "12.5"), on=both)) == ["TAX700"]
    assert stopped(line("8", "9", "12.5"), on=alone).code == "no_tax_type"
    assert stopped(line("8", "9"), on=alone).code == "no_rate_fits"
    by_default = replace(
        alone,
        accounts=tuple(
            replace(one, tax_type=tax_type) if one.code == "200" else one for one in alone.accounts
        ),
    )
    assert stopped(line("8", "9", "12.5"), on=by_default).code == "no_tax_type"
    rows = [{"rate": "12.5", "tax_type": tax_type}]
    assert types(invoice(line("8", "9", "12.5"), on=alone, rows=rows)) == [tax_type]


@pytest.mark.parametrize(
    "tax_type", ["OSOUTPUT", "IMPULSE", "TAX001", "OUTPUT3", "SROUTPUT", "ZRINPUT", "EXEMPTEXPORT"]
)
def test_ordinary_types_are_not_taken_for_special_ones(tax_type: str) -> None:
    assert not sales_rate(tax_type, "10").special


@pytest.mark.parametrize(
    ("percent", "net", "gross"),
    [
        ("16", "100", "120"),
        ("16", "100", None),
        ("20.5", None, "120"),
        ("0", "100", "120"),
        ("19.9999", "10", "12"),
    ],
)
def test_a_row_never_changes_what_the_order_is_taxed_at(percent: str, net: str, gross: str) -> None:
    on = books("UK", ("TAX020", percent))
    problem = stopped(line(net, gross, "0.2"), on=on, rows=[{"rate": "20", "tax_type": "TAX020"}])
    assert problem.code == "tax_type_differs"
    assert f"{D(percent).normalize():f} %" in problem.sentence
    assert "20 %" in problem.sentence


def test_a_row_chooses_among_types_of_the_order_s_percentage() -> None:
    on = books("UK", ("TAX020", "20"))
    assert types(invoice(line("100", "120", "0.2"), on=on)) == ["OUTPUT2"], "the account's own"
    rows = [{"rate": "20", "tax_type": "TAX020"}]
    assert types(invoice(line("100", "120", "0.2"), on=on, rows=rows)) == ["TAX020"]
    two = books("UK", ("TAX020", "12"), ("TAX021", "12"))
    assert stopped(line("100", "112", "12"), on=two).code == "several_tax_types"


# --- what a reverse charge leaves out ---


def test_both_totals_of_a_reverse_charge_are_with_the_rounding_line() -> None:
    rows = [{"rate": "20", "ships_to": "EU", "tax_type": "ECZROUTPUT", "reverse_charge": True}]
    sold = [line("1.2349", "1.48188", "20") for _ in range(12)]
    on = with_rates(books("UK"), sales_rate("ECZROUTPUT", "0"))
    document = invoice(*sold, on=on, rows=rows, shipping_country_code="FR")
    assert document.figures.total == D("14.82")
    [billed] = [note for note in document.notes if note.startswith("Billed without tax")]
    assert "over 14.82; the order with its tax comes to 17.78." in billed


# --- advice ---


def test_a_rate_that_only_special_tax_rates_have_is_not_to_be_added_again() -> None:
    on = with_rates(books("UK"), sales_rate("TAX801", "25", "MOSSSALES"))
    problem = stopped(line("100", "125", "25"), on=on)
    assert problem.code == "no_tax_type"
    assert "TAX801" in problem.fix
    assert "row" in problem.fix
    assert "add it" not in problem.fix


@pytest.mark.parametrize(
    ("net", "gross", "stated"), [("3.29", None, "20.06"), ("2.65", "3.98", "50.19"), ("10", "14", "40")]
)
def test_nobody_is_told_to_add_a_rate_that_no_country_has(net: str, gross: str | None, stated: str) -> None:
    problem = stopped(line(net, gross, stated), on=books("UK"))
    assert problem.code == "no_tax_type"
    assert "add it" not in problem.fix
    assert "on the platform" in problem.fix


def test_a_true_rate_that_is_missing_may_be_added() -> None:
    assert "add it in Xero" in stopped(line("10", None, "9.125"), on=books("US")).fix
    assert "add it in Xero" in stopped(line("10", "11.90", "19"), on=books("UK")).fix


def test_prices_that_no_rate_fits_are_corrected_and_no_rate_is_added() -> None:
    problem = stopped(line("10", "11.90"), on=books("UK"))
    assert problem.code == "no_rate_fits"
    assert "platform" in problem.fix
    assert "Add the" not in problem.fix


def test_an_unknown_destination_is_filled_in_and_no_row_made_one_for_anywhere() -> None:
    rows = [{"rate": "20", "ships_to": "EU", "tax_type": "ECZROUTPUT", "reverse_charge": True}]
    problem = stopped(line("10", "12", "20"), on=books("UK"), rows=rows)
    assert problem.code == "destination_unknown"
    assert "anywhere" not in problem.fix


# --- what costs nothing ---

GIFT = line("0", "0", "0", quantity=2)


@pytest.mark.parametrize("address", [{"shipping_country_code": "GB"}, {}, {"shipping_country": "Atlantis"}])
@pytest.mark.parametrize("place", ["elsewhere", "EU", "DE"])
def test_a_gift_takes_the_account_s_own_tax_where_no_row_reaches_it(place: str, address: Json) -> None:
    rows = [{"rate": "0", "ships_to": place, "tax_type": "ZERORATEDOUTPUT"}]
    assert types(invoice(GIFT, line("10", "12", "20"), on=books("UK"), rows=rows, **address)) == [
        "OUTPUT2",
        "OUTPUT2",
    ]


def test_a_gift_takes_the_tax_of_the_row_that_reaches_it() -> None:
    rows = [
        {"rate": "0", "ships_to": "elsewhere", "tax_type": "ZERORATEDOUTPUT"},
        {"rate": "0", "tax_type": "EXEMPTOUTPUT"},
    ]
    on = books("UK")
    addresses: list[Json] = [{"shipping_country_code": "GB"}, {}]
    assert types(invoice(GIFT, on=on, rows=rows, shipping_country_code="NO")) == ["ZERORATEDOUTPUT"]
    for address in addresses:
        assert types(invoice(GIFT, on=on, rows=rows, **address)) == ["EXEMPTOUTPUT"]


@pytest.mark.parametrize("stated", [None, "0", "20", "5", "13"])
def test_a_gift_never_stops_for_a_choice(stated: str | None) -> None:
    on = books("UK", ("TAX801", "5"), ("TAX802", "20"))
    rows = [
        {"rate": rate, "ships_to": "DE", "tax_type": tax_type}
        for rate, tax_type in (("0", "ZERORATEDOUTPUT"), ("5", "RROUTPUT"), ("20", "OUTPUT2"))
    ]
    gift = line("0", "0", stated)
    assert types(invoice(gift, on=on, rows=rows)) == ["OUTPUT2"]
    without = replace(on, accounts=tuple(replace(one, tax_type="") for one in on.accounts))
    assert invoice(gift, on=without, rows=rows).figures.total == 0


# --- half a cent of tax ---


@pytest.mark.parametrize(
    ("country", "quantity", "net", "gross", "rate", "tax"),
    [
        ("UK", 251, "1.08", "1.29", "20", "53.97"),
        ("UK", 151, "1.08", "1.29", "20", "32.47"),
        ("UK", 501, "0.83", "0.99", "20", "82.67"),
        ("UK", 251, None, "1.29", "20", "53.97"),
        ("AU", 225, "0.41", None, "10", "9.23"),
    ],
)
def test_half_a_cent_in_the_tax_alone_moves_no_price_of_an_item(
    country: str, quantity: int, net: str | None, gross: str | None, rate: str, tax: str
) -> None:
    tracked: Json = {
        "process_method": "tracked",
        "cogs_account_code": "310",
        "inventory_asset_account_code": "630",
    }
    sold = line(net, gross, rate, quantity=quantity, sku="MUG")
    document = invoice(sold, on=books(country), settings=tracked)
    sent = document.body["LineItems"]
    inclusive = document.body["LineAmountTypes"] == "Inclusive"
    assert sum(one["Quantity"] for one in sent) == quantity
    assert {one["UnitAmount"] for one in sent} == {D(str(gross if inclusive else net))}
    assert len(sent) == 2, "of one line Xero's tax would be half a cent, which nobody says how it rounds"
    assert document.figures.tax == D(tax)
    assert document.notes == ()


# --- where it is shipped to --------------------------------------------------------------------------------------

PLACES = [
    {"rate": "20", "ships_to": place, "tax_type": tax_type}
    for place, tax_type in (
        ("anywhere", "TAX001"),
        ("elsewhere", "TAX002"),
        ("EU", "TAX003"),
        ("home", "TAX004"),
        ("DE", "TAX005"),
        ("XI", "TAX006"),
    )
]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ({"shipping_country_code": "GB", "shipping_postcode": "YO22 4DE"}, "TAX004"),
        ({"shipping_country": "United Kingdom"}, "TAX004"),
        ({"shipping_country": "Isle of Man"}, "TAX004"),
        ({"shipping_country_code": "DE"}, "TAX005"),
        ({"shipping_country": "Germany", "shipping_postcode": "27498"}, "TAX002"),
        ({"shipping_country_code": "FR", "shipping_postcode": "75001"}, "TAX003"),
        ({"shipping_country_code": "EL"}, "TAX003"),
        ({"shipping_country": "Monaco"}, "TAX003"),
        ({"shipping_country_code": "GB", "shipping_postcode": "BT1 5GS"}, "TAX006"),
        ({"shipping_country_code": "ES", "shipping_postcode": "35001"}, "TAX002"),
        ({"shipping_country_code": "FI", "shipping_postcode": "22100"}, "TAX002"),
        ({"shipping_country_code": "CH"}, "TAX002"),
        ({"shipping_country_code": "JE"}, "TAX002"),
        ({"shipping_country": "U.S.A."}, "TAX002"),
    ],
)
def test_the_most_specific_row_for_the_destination_holds(address: Json, expected: str) -> None:
    on = books("UK", *((f"TAX00{n}", "20") for n in range(1, 7)))
    for rows in (PLACES, PLACES[::-1]):
        assert types(invoice(line("10", "12", "0.2"), on=on, rows=rows, **address)) == [expected]


def test_without_a_row_of_its_own_northern_ireland_is_of_the_eu() -> None:
    on = books("IE", ("TAX008", "23"), ("TAX009", "23"))
    rows = [
        {"rate": "23", "ships_to": "EU", "tax_type": "TAX008"},
        {"rate": "23", "ships_to": "elsewhere", "tax_type": "TAX009"},
    ]
    sold = line("100", "123", "23")
    belfast: Json = {"shipping_country_code": "GB", "shipping_postcode": "BT1 5GS"}
    assert types(invoice(sold, on=on, rows=rows, **belfast)) == ["TAX008"]
    assert types(invoice(sold, on=on, rows=rows, shipping_country_code="GB")) == ["TAX009"]
    assert types(invoice(sold, on=on, rows=rows, shipping_country_code="IE")) == ["OUTPUT2"], (
        "no row is for home"
    )


@pytest.mark.parametrize(
    ("places", "chosen"),
    [
        (("home", "EU", "elsewhere"), "home"),
        (("EU", "elsewhere", "anywhere"), "anywhere"),
        (("GB", "home"), "GB"),
        (("GB", "home", "XI"), "XI"),
    ],
)
def test_for_an_organisation_in_britain_northern_ireland_is_home(
    places: tuple[str, ...], chosen: str
) -> None:
    on = books("UK", *((f"TAX80{n}", "20") for n in range(1, 5)))
    rows = [
        {"rate": "20", "ships_to": place, "tax_type": f"TAX80{n}"} for n, place in enumerate(places, start=1)
    ]
    expected = f"TAX80{places.index(chosen) + 1}"
    belfast: Json = {"shipping_country_code": "GB", "shipping_postcode": "BT1 5GS"}
    for each in (rows, rows[::-1]):
        assert types(invoice(line("10", "12", "0.2"), on=on, rows=each, **belfast)) == [expected]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("home", "home"),
        ("EU", "EU"),
        ("elsewhere", "elsewhere"),
        ("DE", "Germany"),
        ("XI", "Northern Ireland"),
    ],
)
def test_an_unknown_destination_stops_only_what_needs_it(place: str, words: str) -> None:
    rows = [{"rate": "20", "ships_to": place, "tax_type": "OUTPUT2"}]
    unknown: Json = {"shipping_country_code": "", "shipping_country": "Atlantis"}
    problem = stopped(line("10", "12", "0.2"), on=books("UK"), rows=rows, **unknown)
    assert problem.code == "destination_unknown"
    assert f"shipped to ({words})" in problem.sentence
    assert types(invoice(line("10", "10.5", "5"), on=books("UK"), rows=rows, **unknown)) == ["RROUTPUT"]
    anywhere = [{"rate": "20", "tax_type": "OUTPUT2"}]
    assert types(invoice(line("10", "12", "0.2"), on=books("UK"), rows=anywhere, **unknown)) == ["OUTPUT2"]


def test_a_row_s_account_is_where_its_lines_are_booked_and_shipping_is_not() -> None:
    rows = [{"rate": "20", "ships_to": "DE", "tax_type": "OUTPUT2", "account": "260"}]
    by_sku = {"sales_accounts_by_sku_prefix": {"MUG": "205"}, "shipping_account_code": "205"}
    shipped: Json = {"shipping_price": "5", "shipping_price_inc_tax": "6", "shipping_tax_rate": "0.2"}
    sold = line("10", "12", "0.2", sku="MUG-1")

    def accounts(country: str) -> list[str]:
        document = invoice(
            sold, on=books("UK"), rows=rows, settings=by_sku, shipping_country_code=country, **shipped
        )
        return [one["AccountCode"] for one in document.body["LineItems"]]

    assert accounts("DE") == ["260", "205"]
    assert accounts("FR") == ["205", "205"]
    wrong = [{"rate": "20", "tax_type": "OUTPUT2", "account": "310"}]
    assert stopped(sold, on=books("UK"), rows=wrong).code == "account_not_fitting"


# --- reverse charge ----------------------------------------------------------------------------------------------

BILLED_NET = [{"rate": "20", "ships_to": "EU", "tax_type": "ECZROUTPUT", "reverse_charge": True}]


@pytest.mark.parametrize(
    ("net", "gross"), [("100", "120"), (None, "120"), ("100", None), ("100.00", "119.99")]
)
@pytest.mark.parametrize("amounts", ["auto", "inclusive", "exclusive"])
def test_a_reverse_charge_is_billed_net_and_shows_both_totals(net: str, gross: str, amounts: str) -> None:
    on = with_rates(books("UK"), sales_rate("ECZROUTPUT", "0"))
    document = invoice(
        line(net, gross, "0.2"),
        on=on,
        rows=BILLED_NET,
        settings={"line_amounts": amounts},
        shipping_country_code="FR",
    )
    assert types(document) == ["ECZROUTPUT"]
    assert (document.figures.net, document.figures.tax, document.figures.total) == (D(100), D(0), D(100))
    [note] = document.notes
    assert "100.00" in note
    assert ("119.99" if gross == "119.99" else "120.00") in note
    at_home = invoice(line("100", "120", "0.2"), on=on, rows=BILLED_NET, shipping_country_code="GB")
    assert at_home.figures.total == 120
    assert at_home.notes == ()


def test_a_reverse_charge_needs_a_type_of_no_tax() -> None:
    rows = [{"rate": "20", "tax_type": "OUTPUT2", "reverse_charge": True}]
    problem = stopped(line("100", "120", "0.2"), on=books("UK"), rows=rows)
    assert problem.code == "tax_type_differs"
    assert "It must have 0 %" in problem.sentence


# --- not registered for tax --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "gross", "rate"),
    [
        ("10", "12", "0.2"),
        ("10", "12", None),
        (None, "12", "20"),
        (None, "12", -1),
        ("10", None, "0.2"),
        ("10", "12", 7),
    ],
)
def test_without_tax_the_same_order_comes_to_the_same_however_it_is_told(
    net: str, gross: str, rate: object
) -> None:
    for amounts in ("auto", "inclusive", "exclusive"):
        document = invoice(
            line(net, gross, rate, quantity=3),
            on=books("UK", pays_tax=False),
            settings={"line_amounts": amounts},
            shipping_price=net,
            shipping_price_inc_tax=gross,
            shipping_tax_rate=rate,
        )
        assert document.figures.total == document.figures.net == 48
        assert all("TaxType" not in one for one in document.body["LineItems"])


def test_without_tax_an_order_that_tells_tax_says_why_it_is_billed_without() -> None:
    def notes(*told: Any) -> list[str]:
        document = invoice(line(*told), on=books("UK", pays_tax=False))
        return [note for note in document.notes if "not registered for tax" in note]

    assert [len(notes(*told)) for told in (("10", "12", -1), ("10", None, "0.2"), (None, "12", 20))] == [
        1,
        1,
        1,
    ]
    assert notes("10", "10", "0") == notes("10", None, -1) == notes("0", "0", "0") == []


def test_without_tax_a_lone_net_price_without_a_rate_is_the_price() -> None:
    assert invoice(line("10", None, -1), on=books("UK", pays_tax=False)).figures.total == 10


# --- what is said when settings are saved ------------------------------------------------------------------------


def test_rows_of_another_percentage_are_told_with_both_figures() -> None:
    on = books("UK", ("TAX020", "16"))
    rows = [
        {"rate": "20", "tax_type": "OUTPUT2"},
        {"rate": "20", "ships_to": "DE", "tax_type": "TAX020"},
        {"rate": "5", "tax_type": "OUTPUT2", "reverse_charge": True},
    ]
    settings = Settings.from_json({"tax_types": rows})
    first, second = unusable_tax_rows(settings, on)
    assert (first.field, first.value) == ("tax_types.1.tax_type", "TAX020")
    assert "16 %" in first.reason
    assert "20 %" in first.reason
    assert (second.field, "needs 0 %" in second.reason) == ("tax_types.2.tax_type", True)
    said = [one.message for one in advice(settings, on)]
    assert any("(TAX020) has 16 %" in words for words in said)
    assert any("billed without their tax" in words for words in said)
    assert [one for one in advice(settings, None) if "16" in one.message] == []


@pytest.mark.parametrize(
    ("tax_type", "says"),
    [
        ("OUTPUT9", ["does not exist", "20% (VAT on Income) (OUTPUT2, 20 %)"]),
        ("Elevenses", ["does not exist", "choose it from the list"]),
        ("TAX001", ["17.5% (VAT on Income)", "deleted"]),
        ("INPUT2", ["20% (VAT on Expenses)", "purchases", "OUTPUT2"]),
        ("output2", ["OUTPUT2", "as Xero writes it"]),
        ("20% (VAT on Income)", ["OUTPUT2", "as Xero writes it"]),
        ("20% (vat  on income)", ["OUTPUT2", "as Xero writes it"]),
    ],
)
def test_a_row_whose_tax_type_cannot_be_used_is_refused_in_words(tax_type: str, says: list[str]) -> None:
    settings = Settings.from_json({"tax_types": [{"rate": "20", "tax_type": tax_type}]})
    [wrong] = unusable_tax_rows(settings, books("UK"))
    assert (wrong.field, wrong.value) == ("tax_types.0.tax_type", tax_type)
    for words in says:
        assert words in wrong.reason
    assert any(wrong.reason in one.message for one in advice(settings, books("UK")))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, ["purchase_tax_type"]),
        ({"purchase_tax_type": "INPUT2"}, []),
        ({"purchase_tax_types": [{"rate": "20", "tax_type": "INPUT2"}]}, []),
        ({"purchase_tax_type": "INPUT2", "invoice_price": "trade"}, ["invoice_price"]),
        ({"purchase_tax_type": "INPUT2", "purchase_order_contact_name": ""}, ["purchase_order_contact_name"]),
        (
            {"purchase_tax_type": "INPUT2", "purchase_order_contact_name": " MARLOW "},
            ["purchase_order_contact_name"],
        ),
        ({"process_method": "untracked", "invoice_price": "trade"}, []),
    ],
)
def test_the_page_warns_of_what_an_accountant_would_ask_in_tracked(changes: Json, name: list[str]) -> None:
    tracked = {
        "process_method": "tracked",
        "contact_name": "Marlow",
        "purchase_order_contact_name": "Blanks Ltd",
    }
    settings = Settings.from_json(tracked | changes)
    assert [one.name for one in advice(settings, books("UK"))] == name
    unregistered = [one.name for one in advice(settings, books("UK", pays_tax=False))]
    assert unregistered == [one for one in name if one != "purchase_tax_type"]

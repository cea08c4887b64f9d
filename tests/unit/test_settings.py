"""Settings are saved only when they can be used, and what is refused is named."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from time import process_time
from typing import Any

import pytest

from bookkeeping.domain.amounts import plain_number
from bookkeeping.domain.settings import Settings, SettingsRefused, TaxRow, addresses_in, freed_by

PLAIN_ROW = {"account": "", "reverse_charge": False}
FULL: dict[str, Any] = {
    "enabled": False,
    "process_method": "tracked",
    "sales_account_code": "200",
    "cogs_account_code": "310",
    "inventory_asset_account_code": "630",
    "shipping_account_code": "260",
    "sales_accounts_by_sku_prefix": {"TEE-": "201"},
    "contact_name": "Marlow & Finch",
    "purchase_order_contact_name": "Blanks Ltd",
    "invoice_status": "AUTHORISED",
    "purchase_order_status": "SUBMITTED",
    "number_prefix": "MF-2026-",
    "payment_terms_days": 14,
    "invoice_price": "trade",
    "tax_types": [
        {"rate": "20", "ships_to": "home", "tax_type": "OUTPUT2", "account": "", "reverse_charge": False},
        {"rate": "20", "ships_to": "DE", "tax_type": "TAX001", "account": "201", "reverse_charge": True},
    ],
    "purchase_tax_types": [{"rate": "20", "tax_type": "INPUT2"}],
    "purchase_tax_type": "INPUT2",
    "line_amounts": "exclusive",
    "rounding": "show",
    "currency": "EUR",
    "post_when": "dispatch",
    "start_from": "2026-04-01",
    "order_time_zone": "Europe/London",
    "refunded_orders": "skip",
    "cancellations": "all",
    "void_approved": True,
    "credit_note_status": "DRAFT",
    "cost_currency": "USD",
    "free_of_charge": "nil_invoice",
    "lock_date_action": "next_open_day",
    "branding_theme_id": "0b2f6b1c-0000-4000-8000-000000000001",
    "tracking_categories": [{"Name": "Region", "Option": "North"}, {"Name": "Channel", "Option": "Web"}],
    "errors_email": "books@example.com, boss@example.com",
}


def test_every_setting_survives_being_kept() -> None:
    assert set(FULL) == set(Settings.model_fields)
    assert Settings.from_json(FULL).to_json() == FULL
    assert Settings.from_json(Settings().to_json()) == Settings()


def test_every_setting_has_a_title_and_one_sentence() -> None:
    for name, field in Settings.model_fields.items():
        assert field.title
        assert field.title == Settings.label(name)
        assert field.description
        assert field.description.endswith(".")


def test_what_is_empty_is_not_set() -> None:
    empty = dict.fromkeys(FULL, "")
    assert Settings.from_json(empty) == Settings()
    assert Settings.from_json(dict.fromkeys(FULL)) == Settings()
    assert Settings().process_method == "untracked"
    assert Settings().number_prefix == "KX-"


@pytest.mark.parametrize(
    ("key", "given", "kept"),
    [
        (
            "tax_types",
            [
                {"rate": "20.0", "tax_type": " OUTPUT2 ", "ships_to": "Germany"},
                {"rate": " 5.50 % ", "tax_type": "TAX001", "ships_to": "uk"},
                {"rate": 0, "tax_type": "NONE", "ships_to": "Home"},
                {"rate": "0.00", "tax_type": "NONE", "ships_to": "eu"},
                {"rate": "0", "tax_type": "NONE", "ships_to": "el"},
                {"rate": "0", "tax_type": "NONE"},
            ],
            (
                {"rate": "20", "ships_to": "DE", "tax_type": "OUTPUT2", **PLAIN_ROW},
                {"rate": "5.5", "ships_to": "GB", "tax_type": "TAX001", **PLAIN_ROW},
                {"rate": "0", "ships_to": "home", "tax_type": "NONE", **PLAIN_ROW},
                {"rate": "0", "ships_to": "EU", "tax_type": "NONE", **PLAIN_ROW},
                {"rate": "0", "ships_to": "GR", "tax_type": "NONE", **PLAIN_ROW},
                {"rate": "0", "ships_to": "anywhere", "tax_type": "NONE", **PLAIN_ROW},
            ),
        ),
        ("currency", "gbp", "GBP"),
        ("contact_name", "  Marlow ", "Marlow"),
        ("number_prefix", "A", "A"),
        ("number_prefix", "2026-ABCDEFG", "2026-ABCDEFG"),
        ("payment_terms_days", "0", 0),
        ("start_from", "2026-04-01", date(2026, 4, 1)),
        ("branding_theme_id", "0B2F6B1C-0000-4000-8000-000000000001", "0b2f6b1c-0000-4000-8000-000000000001"),
    ],
)
def test_values_are_kept_in_one_spelling(key: str, given: object, kept: object) -> None:
    assert Settings.from_json({key: given}).model_dump()[key] == kept


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("number_prefix", "KX1"),
        ("number_prefix", "kx-"),
        ("number_prefix", "K,X-"),
        ("number_prefix", "ABCDEFGHIJKLM"),
        ("number_prefix", "KX-\n-"),
        ("sales_account_code", "12345678901"),
        ("sales_account_code", 200),
        ("payment_terms_days", 366),
        ("payment_terms_days", -1),
        ("payment_terms_days", True),
        ("payment_terms_days", 1.5),
        ("currency", "POUND"),
        ("currency", "G1P"),
        ("process_method", "both"),
        ("invoice_status", "PAID"),
        ("enabled", "perhaps"),
        ("start_from", "2026-02-30"),
        ("order_time_zone", "London"),
        ("order_time_zone", "../../etc/passwd"),
        ("order_time_zone", "GMTSTANDARDTIME"),
        ("refunded_orders", "keep"),
        ("errors_email", "books"),
        ("errors_email", "a@example.com; b@example.com"),
        ("errors_email", "A <a@example.com>"),
        ("errors_email", "a@example.com\r\nBcc: b@example.com"),
        ("errors_email", "münze@example.com"),
        ("errors_email", ", ".join(f"a{place}@example.com" for place in range(11))),
        ("branding_theme_id", "standard"),
        ("tracking_categories", [{"Name": "Region"}]),
        ("tracking_categories", [{"Name": "Region", "Option": ""}]),
        ("tracking_categories", [{"Name": "Region", "Option": "North", "Id": "1"}]),
        ("tracking_categories", [{"Name": "a", "Option": "b"}] * 2),
        ("tracking_categories", [{"Name": str(n), "Option": "b"} for n in range(3)]),
        ("tax_types", {"20": "OUTPUT2"}),
        ("tax_types", [["20", "home", "OUTPUT2"]]),
        ("tax_types", [{"rate": "20"}]),
        ("tax_types", [{"rate": "20", "tax_type": ""}]),
        ("tax_types", [{"rate": "20", "tax_type": "A", "percent": "20"}]),
        ("tax_types", [{"rate": "20", "tax_type": "A", "ships_to": "Narnia"}]),
        *(
            ("tax_types", [{"rate": rate, "tax_type": "A"}])
            for rate in ("twenty", "101", "1e1", "٢٠", "", "-1", True, "0.00001")
        ),
        ("tax_types", [{"rate": "20", "tax_type": "A"}, {"rate": "20.0", "tax_type": "B"}]),
        (
            "tax_types",
            [
                {"rate": "20", "tax_type": "A", "ships_to": "DE"},
                {"rate": "20", "tax_type": "B", "ships_to": "Germany"},
            ],
        ),
        ("tax_types", [{"rate": str(rate), "tax_type": "A"} for rate in range(101)] * 2),
        ("purchase_tax_types", [{"rate": "20", "tax_type": "A"}, {"rate": "20", "tax_type": "B"}]),
        ("purchase_tax_types", [{"rate": "20", "tax_type": "A", "ships_to": "home"}]),
        ("sales_accounts_by_sku_prefix", {"": "200"}),
        ("sales_accounts_by_sku_prefix", {"TEE": ""}),
        ("sales_accounts_by_sku_prefix", {f"S{n}": "200" for n in range(201)}),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(SettingsRefused) as caught:
        Settings.from_json({key: value})
    (refused,) = caught.value.refused
    assert refused.field.split(".")[0] == key
    assert "{" not in refused.reason
    assert f"{refused.field} “{refused.value}”" in str(caught.value)


def test_addresses_are_kept_in_one_way_and_each_once() -> None:
    given = Settings.from_json({"errors_email": " a@example.com ,b@example.com,, A@Example.com, "})
    assert given.errors_email == "A@Example.com, b@example.com"
    assert addresses_in(given.errors_email) == ("A@Example.com", "b@example.com")


def test_unknown_settings_are_refused_with_name_and_value() -> None:
    with pytest.raises(SettingsRefused) as caught:
        Settings.from_json({"sales_acount_code": "200", "colour": "red"})
    assert {(one.field, one.value) for one in caught.value.refused} == {
        ("sales_acount_code", "200"),
        ("colour", "red"),
    }


def test_a_credential_in_the_wrong_place_does_not_come_back() -> None:
    with pytest.raises(SettingsRefused) as caught:
        Settings.from_json({"client_secret": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.refused)
    assert caught.value.__cause__ is None


def test_a_long_value_is_quoted_short() -> None:
    with pytest.raises(SettingsRefused) as caught:
        Settings.from_json({"currency": "x" * 100_000})
    assert len(str(caught.value)) < 300


LONG = "x" * 100_000
TOO_MUCH: dict[str, tuple[dict[str, Any], str, str]] = {
    "tax rows": (
        {"tax_types": [{"rate": "20", "tax_type": "A"}] * 10_000},
        "tax_types",
        "at most 200 entries, not 10000",
    ),
    "tax rows on purchases": (
        {"purchase_tax_types": [{"rate": "20", "tax_type": "A"}] * 201},
        "purchase_tax_types",
        "at most 200 entries, not 201",
    ),
    "sku prefixes": (
        {"sales_accounts_by_sku_prefix": {f"S{n}": "200" for n in range(10_000)}},
        "sales_accounts_by_sku_prefix",
        "at most 200 entries, not 10000",
    ),
    "tracking categories": (
        {"tracking_categories": [{"Name": str(n), "Option": "b"} for n in range(3)]},
        "tracking_categories",
        "at most 2 entries, not 3",
    ),
    "a long rate": (
        {"tax_types": [{"rate": LONG, "tax_type": "A"}]},
        "tax_types.0.rate",
        "is not a tax rate from 0 to 100 %",
    ),
    "a long place": (
        {"tax_types": [{"rate": "20", "tax_type": "A", "ships_to": LONG}]},
        "tax_types.0.ships_to",
        "at most 100 characters, not 100000",
    ),
    "a long tax type": (
        {"tax_types": [{"rate": "20", "tax_type": LONG}]},
        "tax_types.0.tax_type",
        "at most 50 characters, not 100000",
    ),
    "a long account": (
        {"tax_types": [{"rate": "20", "tax_type": "A", "account": LONG}]},
        "tax_types.0.account",
        "at most 10 characters, not 100000",
    ),
    "a long column": (
        {"tax_types": [{"rate": "20", "tax_type": "A", LONG: "1"}]},
        "tax_types.0.x",
        "no such",
    ),
    "a long rate on purchases": (
        {"purchase_tax_types": [{"rate": LONG, "tax_type": "A"}]},
        "purchase_tax_types.0.rate",
        "is not a tax rate",
    ),
    "a long tax type on purchases": (
        {"purchase_tax_types": [{"rate": "20", "tax_type": LONG}]},
        "purchase_tax_types.0.tax_type",
        "at most 50 characters, not 100000",
    ),
    "a long sku prefix": (
        {"sales_accounts_by_sku_prefix": {LONG: "200"}},
        "sales_accounts_by_sku_prefix",
        "1 to 100 characters",
    ),
    "a long account of a sku prefix": (
        {"sales_accounts_by_sku_prefix": {"TEE": LONG}},
        "sales_accounts_by_sku_prefix.TEE",
        "at most 10 characters, not 100000",
    ),
    "a long name of a category": (
        {"tracking_categories": [{"Name": "Region", "Option": "b"}, {"Name": LONG, "Option": "b"}]},
        "tracking_categories.1.Name",
        "at most 100 characters, not 100000",
    ),
    "a long option": (
        {"tracking_categories": [{"Name": "Region", "Option": LONG}]},
        "tracking_categories.0.Option",
        "at most 100 characters, not 100000",
    ),
    "a long unknown setting": ({LONG: LONG}, "x", "no such"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_many_and_too_long_entries_are_refused_by_field_value_and_limit(name: str) -> None:
    given, field, reason = TOO_MUCH[name]
    began = process_time()
    with pytest.raises(SettingsRefused) as caught:
        Settings.from_json(given)
    assert process_time() - began < 1
    (refused,) = caught.value.refused
    assert refused.field.startswith(field)
    assert refused.value
    assert reason in refused.reason
    assert len(refused.field) + len(refused.value) + len(refused.reason) < 500


@pytest.mark.parametrize(
    "given",
    [
        {f"unknown {n}": n for n in range(10_000)},
        {"tax_types": [{"rate": "x", "tax_type": LONG, "ships_to": "Narnia"}] * 200},
        {"sales_accounts_by_sku_prefix": {f"S{n}": "" for n in range(200)}},
        {"tracking_categories": [{f"unknown {n}": "x" for n in range(10_000)}]},
    ],
)
def test_what_is_wrong_in_many_places_is_told_in_some_of_them(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsRefused) as caught:
        Settings.from_json(given)
    assert len(caught.value.refused) == 20


def test_as_many_and_as_long_entries_as_may_be_fit_their_row() -> None:
    texts = {"tax_type": "T" * 50, "account": "A" * 10}
    full = FULL | {
        "sales_accounts_by_sku_prefix": {f"{n:03}" + "\N{SNOWMAN}" * 97: "A" * 10 for n in range(200)},
        "tax_types": [
            {"rate": f"{n}.5555", "ships_to": to, **texts} for to in ("DE", "home") for n in range(100)
        ],
        "purchase_tax_types": [
            {"rate": f"{n}.{d}", "tax_type": "T" * 50} for d in (1, 2) for n in range(100)
        ],
        "tracking_categories": [{"Name": name * 100, "Option": "O" * 100} for name in "AB"],
    }
    assert len(Settings.from_json(full).model_dump_json().encode()) < 200_000


def test_what_is_missing_depends_on_the_process_method() -> None:
    assert Settings().missing() == ["sales_account_code", "contact_name"]
    assert Settings(process_method="tracked", sales_account_code="200", contact_name="M").missing() == [
        "cogs_account_code",
        "inventory_asset_account_code",
    ]
    assert Settings.from_json(FULL).missing() == []


def test_a_change_frees_by_the_keys_that_changed() -> None:
    assert freed_by(Settings(), Settings()) == frozenset()
    changed = Settings(sales_account_code="200", tax_types=(TaxRow(rate="20", tax_type="OUTPUT2"),))
    assert freed_by(Settings(), changed) == {"sales_account_code", "tax_types"}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("20", "20"),
        ("2E+1", "20"),
        ("5.50", "5.5"),
        ("-0.00", "0"),
        ("100", "100"),
        ("0.0001", "0.0001"),
        ("-1.10", "-1.1"),
    ],
)
def test_numbers_are_written_plainly(number: str, text: str) -> None:
    assert plain_number(Decimal(number)) == text

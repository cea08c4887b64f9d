"""What Xero's lists say of an organisation."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from bookkeeping.domain.organisation import Organisation, organisation_from_xero, xero_date

ORGANISATION: dict[str, Any] = {
    "Organisations": [
        {
            "OrganisationID": "b2c885a9-4bb9-4a00-9b6e-6c2bf60b1a2b",
            "Name": "Print & Co",
            "ShortCode": "!mBdtL",
            "BaseCurrency": "GBP",
            "PaysTax": True,
            "PeriodLockDate": "/Date(1375228800000+0000)/",
            "EndOfYearLockDate": "/Date(1364688000000)/",
        }
    ]
}
ACCOUNTS: dict[str, Any] = {
    "Accounts": [
        {
            "Code": "200",
            "Name": "Sales",
            "Type": "REVENUE",
            "Class": "REVENUE",
            "Status": "ACTIVE",
            "TaxType": "OUTPUT2",
        },
        {"Code": "630", "Name": "Inventory", "Type": "INVENTORY", "Status": "ACTIVE", "TaxType": "NONE"},
        {"Name": "Bank", "Type": "BANK", "Class": "ASSET", "Status": "ACTIVE"},
        {
            "Code": "861",
            "Type": "CURRLIAB",
            "Class": "LIABILITY",
            "Status": "ACTIVE",
            "SystemAccount": "ROUNDING",
        },
    ]
}
TAX_RATES: dict[str, Any] = {
    "TaxRates": [
        {
            "TaxType": "OUTPUT2",
            "Name": "20%",
            "Status": "ACTIVE",
            "EffectiveRate": Decimal("20.0000"),
            "CanApplyToExpenses": False,
        },
        {
            "TaxType": "INPUT2",
            "Name": "20%",
            "Status": "ACTIVE",
            "EffectiveRate": Decimal(20),
            "CanApplyToRevenue": False,
        },
        {"TaxType": "OLD", "Name": "17.5%", "Status": "DELETED", "EffectiveRate": Decimal("17.5")},
        {"TaxType": "ODD", "Name": "no rate", "Status": "ACTIVE"},
        {"TaxType": "NONE", "Name": "No tax", "EffectiveRate": 0},
    ]
}
CURRENCIES: dict[str, Any] = {"Currencies": [{"Code": "GBP"}, {"Code": "EUR", "Description": "Euro"}]}


@pytest.fixture
def organisation() -> Organisation:
    return organisation_from_xero(ORGANISATION, ACCOUNTS, TAX_RATES, CURRENCIES)


def test_an_organisation_is_read_from_xero_s_lists(organisation: Organisation) -> None:
    assert organisation.name == "Print & Co"
    assert organisation.short_code == "!mBdtL"
    assert organisation.pays_tax
    assert organisation.currencies == ("GBP", "EUR")
    assert organisation.period_lock_date == date(2013, 7, 31)
    assert organisation.end_of_year_lock_date == date(2013, 3, 31)
    account = organisation.account("630")
    assert account is not None
    assert account.account_class == "ASSET"
    assert organisation.account("999") is None


def test_an_organisation_survives_being_kept(organisation: Organisation) -> None:
    assert Organisation.from_json(organisation.to_json()) == organisation
    unlocked = replace(organisation, period_lock_date=None, end_of_year_lock_date=None)
    assert Organisation.from_json(unlocked.to_json()) == unlocked
    assert all(
        isinstance(rate.effective_rate, Decimal)
        for rate in Organisation.from_json(organisation.to_json()).tax_rates
    )


def test_missing_keys_are_no_obstacle() -> None:
    bare = organisation_from_xero(
        {}, {"Accounts": None}, {"TaxRates": [{}, None]}, {"Currencies": [{"Code": ""}]}
    )
    assert bare.pays_tax
    assert bare.lock_date is None
    assert not any((bare.accounts, bare.tax_rates, bare.currencies))


def test_the_rounding_account_is_xero_s_own_whatever_its_code(organisation: Organisation) -> None:
    assert organisation.rounding_account is not None
    assert organisation.rounding_account.code == "861"
    assert replace(organisation, accounts=organisation.accounts[:3]).rounding_account is None


def test_tax_rates_fit_when_active_and_meant_for_the_account(organisation: Organisation) -> None:
    assert [rate.tax_type for rate in organisation.fitting_tax_rates("REVENUE", Decimal(20))] == ["OUTPUT2"]
    assert [rate.tax_type for rate in organisation.fitting_tax_rates("EXPENSE", Decimal(20))] == ["INPUT2"]
    assert [rate.tax_type for rate in organisation.fitting_tax_rates("REVENUE")] == ["OUTPUT2", "NONE"]
    assert organisation.fitting_tax_rates("REVENUE", Decimal("17.5")) == ()
    assert organisation.fitting_tax_rates("", Decimal(20)) == ()
    found = organisation.tax_rate("OLD")
    assert found is not None
    assert found.effective_rate == Decimal("17.5")


def test_documents_are_dated_after_both_lock_dates(organisation: Organisation) -> None:
    assert organisation.next_open_day(date(2013, 7, 31)) == date(2013, 8, 1)
    assert organisation.next_open_day(date(2012, 1, 1)) == date(2013, 8, 1)
    assert organisation.next_open_day(date(2013, 8, 1)) == date(2013, 8, 1)
    unlocked = replace(organisation, period_lock_date=None, end_of_year_lock_date=None)
    assert unlocked.next_open_day(date(2012, 1, 1)) == date(2012, 1, 1)


def test_the_base_currency_is_always_there(organisation: Organisation) -> None:
    assert organisation.has_currency("EUR")
    assert replace(organisation, currencies=()).has_currency("GBP")
    assert not organisation.has_currency("USD")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("/Date(1551916800000+0000)/", date(2019, 3, 7)),
        ("/Date(-86400000)/", date(1969, 12, 31)),
        ("2019-03-07T00:00:00", date(2019, 3, 7)),
        ("/Date(999999999999999)/", None),
        ("soon", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_xero_s_dates_are_read(text: object, day: date | None) -> None:
    assert xero_date(text) == day

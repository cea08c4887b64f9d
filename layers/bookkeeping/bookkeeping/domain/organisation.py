"""What is known of a Xero organisation: accounts, tax rates, currencies, lock dates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Self

from bookkeeping.domain import countries
from bookkeeping.domain.amounts import plain_number
from bookkeeping.domain.stored import known_in
from bookkeeping.domain.time_zones import Calendar, main_zone, zone_named

# Answers without a class still tell it by the account's type.
_CLASS_OF_TYPE: Final = {
    "REVENUE": "REVENUE",
    "SALES": "REVENUE",
    "OTHERINCOME": "REVENUE",
    "EXPENSE": "EXPENSE",
    "DIRECTCOSTS": "EXPENSE",
    "OVERHEADS": "EXPENSE",
    "DEPRECIATN": "EXPENSE",
    "BANK": "ASSET",
    "CURRENT": "ASSET",
    "FIXED": "ASSET",
    "INVENTORY": "ASSET",
    "NONCURRENT": "ASSET",
    "PREPAYMENT": "ASSET",
    "CURRLIAB": "LIABILITY",
    "LIABILITY": "LIABILITY",
    "TERMLIAB": "LIABILITY",
    "PAYG": "LIABILITY",
    "EQUITY": "EQUITY",
}


# Beginnings of TaxType and ReportTaxType: a rate that a company adds itself shows its kind only in the latter.
_SPECIAL: Final = re.compile(
    "REVERSECHARGE|DRCHARGE|TXCA|TXRC|SRCAS"  # reverse charge
    "|SROVR|SRLVG|MOSS"  # the One Stop Shop and its like
    "|EC(ZR|INPUT|OUTPUT|ACQ)"  # within the EU
    "|CAPEX|CAPITAL|CAP(INPUT|OUTPUT|IMPORTS)|EXEMPTCAPITAL|GSTONCAP"  # capital goods
    "|GSTONIMPORTS|GOODSIMPORT|IGDS|IM(INPUT|ESS|N33|RE|Y\\d|$)"  # imports
    "|BADDEBT|AVALARA|USSALESTAX"  # bad debts; worked out by Xero
)


_USUAL_ACCOUNTS: Final = {
    "sales_account_code": ("REVENUE", ("200", "4000", "400")),
    "cogs_account_code": ("EXPENSE", ("310", "5000", "500")),
    "inventory_asset_account_code": ("ASSET", ("630", "1400", "140")),
}
"""Setting → the class of its account, and the codes that Xero's own charts give it; the last two are of the US."""


@dataclass(frozen=True)
class Account:
    code: str
    name: str
    type: str
    account_class: str
    status: str
    tax_type: str
    system_account: str


@dataclass(frozen=True)
class TaxRate:
    tax_type: str
    name: str
    status: str
    effective_rate: Decimal
    """Percent."""
    can_apply_to_revenue: bool
    can_apply_to_expenses: bool
    can_apply_to_assets: bool
    can_apply_to_equity: bool = True
    can_apply_to_liabilities: bool = True
    report_tax_type: str = ""

    @property
    def special(self) -> bool:
        """Whether its percentage says nothing of when it is right, so that only a person can choose it.

        That is so for reverse charge, sales within the EU, the One Stop Shop, capital goods, imports, bad debts, and
        tax that Xero works out itself.
        """
        return any(_SPECIAL.match(kind) for kind in (self.tax_type, self.report_tax_type))

    @property
    def words(self) -> str:
        return f"{self.name} ({self.tax_type}, {plain_number(self.effective_rate)} %)"

    def fits(self, account_class: str) -> bool:
        """Whether lines on accounts of that class can carry this rate now."""
        applies = {
            "REVENUE": self.can_apply_to_revenue,
            "EXPENSE": self.can_apply_to_expenses,
            "ASSET": self.can_apply_to_assets,
            "EQUITY": self.can_apply_to_equity,
            "LIABILITY": self.can_apply_to_liabilities,
        }
        return self.status == "ACTIVE" and applies.get(account_class, False)


@dataclass(frozen=True)
class Organisation:
    """An organisation as last read from Xero."""

    id: str
    name: str
    short_code: str
    base_currency: str
    pays_tax: bool
    period_lock_date: date | None
    end_of_year_lock_date: date | None
    accounts: tuple[Account, ...]
    tax_rates: tuple[TaxRate, ...]
    currencies: tuple[str, ...]
    country_code: str = ""
    time_zone: str = ""
    """By Xero's name, such as NEWZEALANDSTANDARDTIME."""

    def calendar(self, order_zone: str) -> Calendar:
        """The organisation's days; times that name no zone are in `order_zone` (empty: as written)."""
        return Calendar(zone_named(self.time_zone) or main_zone(self.country_code), order_zone)

    def account(self, code: str) -> Account | None:
        return next((account for account in self.accounts if account.code == code), None)

    def usual_accounts(self) -> dict[str, str]:
        """Setting → the code its account has in Xero's own chart for the country, where it is in use here."""
        found = {}
        for setting, (account_class, codes) in _USUAL_ACCOUNTS.items():
            # in another country's chart the same code may be something else, such as 400 for advertising
            for code in reversed(codes) if self.country_code == "US" else codes[:1]:
                account = self.account(code)
                if account and account.status == "ACTIVE" and account.account_class == account_class:
                    found[setting] = code
        return found

    @property
    def rounding_account(self) -> Account | None:
        """The account Xero keeps for rounding; its code differs from chart to chart."""
        return next(
            (
                account
                for account in self.accounts
                if account.system_account == "ROUNDING" and account.status == "ACTIVE" and account.code
            ),
            None,
        )

    def tax_rate(self, tax_type: str) -> TaxRate | None:
        return next((rate for rate in self.tax_rates if rate.tax_type == tax_type), None)

    def tax_type_in_words(self, tax_type: str) -> str:
        """A tax type as people know it: with its name and percentage, where the organisation has it."""
        rate = self.tax_rate(tax_type)
        return rate.words if rate else tax_type

    def fitting_tax_rates(self, account_class: str, percent: Decimal | None = None) -> tuple[TaxRate, ...]:
        """Active tax rates for accounts of that class that may be chosen by their percentage, which may be given."""
        return tuple(
            rate
            for rate in self.tax_rates
            if rate.fits(account_class)
            and not rate.special
            and (percent is None or rate.effective_rate == percent)
        )

    def has_currency(self, code: str) -> bool:
        return code == self.base_currency or code in self.currencies

    @property
    def lock_date(self) -> date | None:
        """The later of the two lock dates; documents are dated after it."""
        return max((day for day in (self.period_lock_date, self.end_of_year_lock_date) if day), default=None)

    def next_open_day(self, day: date) -> date:
        """`day`, or the first day after the lock dates if `day` is locked."""
        if self.lock_date is None or day > self.lock_date or self.lock_date == date.max:
            return day
        return self.lock_date + timedelta(days=1)

    def to_json(self) -> str:
        """Compact JSON for keeping, which `from_json` reads back."""
        return json.dumps(asdict(self), default=str, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        kept = json.loads(text)
        return cls(
            **{
                **known_in(kept, cls),
                "period_lock_date": _iso_date(kept["period_lock_date"]),
                "end_of_year_lock_date": _iso_date(kept["end_of_year_lock_date"]),
                "accounts": tuple(Account(**known_in(account, Account)) for account in kept["accounts"]),
                "tax_rates": tuple(
                    TaxRate(**known_in(rate, TaxRate) | {"effective_rate": Decimal(rate["effective_rate"])})
                    for rate in kept["tax_rates"]
                ),
                "currencies": tuple(kept["currencies"]),
            }
        )


def organisation_from_xero(
    organisation_json: Mapping[str, Any],
    accounts_json: Mapping[str, Any],
    tax_rates_json: Mapping[str, Any],
    currencies_json: Mapping[str, Any],
) -> Organisation:
    """The organisation from Xero's answers to GET Organisation, Accounts, TaxRates and Currencies.

    Keys that Xero leaves out take the value that lets posting go on, since Xero checks every document itself.
    """
    found = _elements(organisation_json, "Organisations")
    about: Mapping[str, Any] = found[0] if found else {}
    return Organisation(
        id=_text(about, "OrganisationID"),
        name=_text(about, "Name"),
        short_code=_text(about, "ShortCode"),
        base_currency=_text(about, "BaseCurrency"),
        pays_tax=about.get("PaysTax") is not False,
        period_lock_date=xero_date(about.get("PeriodLockDate")),
        end_of_year_lock_date=xero_date(about.get("EndOfYearLockDate")),
        accounts=tuple(_account(one) for one in _elements(accounts_json, "Accounts")),
        tax_rates=tuple(_tax_rates(_elements(tax_rates_json, "TaxRates"))),
        currencies=tuple(
            _text(one, "Code").upper()
            for one in _elements(currencies_json, "Currencies")
            if _text(one, "Code")
        ),
        country_code=countries.country_code(_text(about, "CountryCode")) or "",
        time_zone=_text(about, "Timezone"),
    )


def xero_date(value: Any) -> date | None:
    """The day of a `/Date(1375228800000+0000)/`, or of an ISO text; None for anything else."""
    if not isinstance(value, str):
        return None
    if not value.startswith("/Date("):
        return _iso_date(value[:10])
    at = xero_moment(value)
    return at and at.date()


def xero_moment(value: Any) -> datetime | None:
    """The moment of a `/Date(1375228800000+0000)/`; None for anything else."""
    found = re.fullmatch(r"/Date\((-?\d{1,15})([+-]\d{4})?\)/", str(value), re.ASCII)
    if found is None:
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(found[1]))
    except OverflowError:
        return None


def _iso_date(value: str | None) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        return None


def _elements(answer: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    found = answer.get(key)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _text(element: Mapping[str, Any], key: str) -> str:
    value = element.get(key)
    return value if isinstance(value, str) else ""


def _account(element: Mapping[str, Any]) -> Account:
    kind = _text(element, "Type")
    return Account(
        code=_text(element, "Code"),
        name=_text(element, "Name"),
        type=kind,
        account_class=_text(element, "Class") or _CLASS_OF_TYPE.get(kind, ""),
        status=_text(element, "Status") or "ACTIVE",
        tax_type=_text(element, "TaxType"),
        system_account=_text(element, "SystemAccount"),
    )


def _tax_rates(elements: Iterable[Mapping[str, Any]]) -> Iterable[TaxRate]:
    for element in elements:
        try:
            percent = Decimal(str(element.get("EffectiveRate", element.get("DisplayTaxRate"))))
        except InvalidOperation:
            continue
        if percent.is_finite():
            yield TaxRate(
                tax_type=_text(element, "TaxType"),
                name=_text(element, "Name"),
                status=_text(element, "Status") or "ACTIVE",
                effective_rate=percent,
                can_apply_to_revenue=element.get("CanApplyToRevenue") is not False,
                can_apply_to_expenses=element.get("CanApplyToExpenses") is not False,
                can_apply_to_assets=element.get("CanApplyToAssets") is not False,
                can_apply_to_equity=element.get("CanApplyToEquity") is not False,
                can_apply_to_liabilities=element.get("CanApplyToLiabilities") is not False,
                report_tax_type=_text(element, "ReportTaxType"),
            )

"""An organisation's own facts: accounts, tax rates, currencies, themes, tracking categories."""

from __future__ import annotations

from local.xero import fields
from local.xero.batches import messages
from local.xero.calls import Call
from local.xero.charts import CURRENCY_NAMES
from local.xero.query import listed
from local.xero.replies import Reply, not_found, validation_exception
from local.xero.views import (
    account_view,
    actions_view,
    branding_theme_view,
    currency_view,
    organisation_view,
    tax_rate_view,
    tracking_category_view,
)
from local.xero.wire import Json


def get_organisation(call: Call) -> Reply:
    return call.envelope({"Organisations": [organisation_view(call.organisation)]})


def get_actions(call: Call) -> Reply:
    organisation = call.organisation
    cap = organisation.approval_cap
    may_approve = cap is None or organisation.approved_in_month(call.now) < cap
    return call.envelope({"Actions": actions_view(organisation, may_approve=may_approve)})


def get_accounts(call: Call) -> Reply:
    views = [account_view(account, call.organisation) for account in call.organisation.accounts]
    return call.envelope({"Accounts": listed(call, views, "Account")})


def get_account(call: Call, key: str) -> Reply:
    account = call.organisation.account_by_id(key.lower())
    return call.envelope({"Accounts": [account_view(account, call.organisation)]}) if account else not_found()


def get_tax_rates(call: Call) -> Reply:
    views = [tax_rate_view(rate) for rate in call.organisation.tax_rates.values()]
    if tax_type := call.query.get("taxtype"):
        views = [view for view in views if view["TaxType"] == tax_type]
    return call.envelope({"TaxRates": listed(call, views, "TaxRate")})


def get_tax_rate(call: Call, key: str) -> Reply:
    rate = call.organisation.tax_rates.get(key)
    return call.envelope({"TaxRates": [tax_rate_view(rate)]}) if rate else not_found()


def get_currencies(call: Call) -> Reply:
    views = [currency_view(code) for code in call.organisation.currencies]
    return call.envelope({"Currencies": listed(call, views, "Currency")})


def put_currencies(call: Call) -> Reply:
    """Adds one currency; on a plan without multi-currency it is refused."""
    organisation = call.organisation
    added: list[Json] = []
    for given in call.elements("Currencies"):
        code = fields.text(given, "Code") or ""
        if code not in CURRENCY_NAMES:
            return validation_exception([_refused(given, f"Currency code '{code}' is not valid")])
        single = (
            not organisation.multicurrency
            and call.unconfirmed["currency_on_a_single_currency_plan"] == "refused"
        )
        if single and code != organisation.base_currency:
            return validation_exception([_refused(given, "Organisation is not subscribed to multi-currency")])
        if code not in organisation.currencies:
            organisation.currencies.append(code)
            call.committed.append({"kind": "currency", "action": "created", "id": code})
        added.append(currency_view(code))
    return call.envelope({"Currencies": added})


def _refused(given: Json, message: str) -> Json:
    return {**given, "ValidationErrors": messages([message])}


def get_branding_themes(call: Call) -> Reply:
    return call.envelope(
        {"BrandingThemes": [branding_theme_view(theme) for theme in call.organisation.branding_themes]}
    )


def get_tracking_categories(call: Call) -> Reply:
    categories = [
        category
        for category in call.organisation.tracking_categories
        if category.status == "ACTIVE" or call.flag("includeArchived")
    ]
    views = [tracking_category_view(category) for category in categories]
    return call.envelope({"TrackingCategories": listed(call, views, "TrackingCategory")})

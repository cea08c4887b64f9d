"""Whether a company is set up so that its orders can be posted: each thing with a tick, or with what is wrong in words.

Settings are held against what Xero says of the organisation now, and against recent orders: each of them is made into
its documents, of which nothing is sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from bookkeeping.domain.connection import Connection, of_another_app, words
from bookkeeping.domain.contacts import Contact, why_unusable
from bookkeeping.domain.documents import (
    WANTED,
    document_date,
    purchase_order,
    sales_invoice,
    skip_reason,
    wants,
)
from bookkeeping.domain.oauth import scopes_in_words
from bookkeeping.domain.orders import NO_SALE, Order
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.pacing import BATCH_SIZE, NEARLY_GONE
from bookkeeping.domain.problems.problem import OrderStopped, Problem
from bookkeeping.domain.settings import Settings
from bookkeeping.domain.settings_advice import advice, unusable_tax_rows

Result = Literal["good", "warning", "wrong", "unknown"]

NAMES: Final[Mapping[str, str]] = {
    "app": "Xero app",
    "permissions": "Permissions",
    "plan": "Xero plan",
    "contact": "Contact",
    "accounts": "Accounts",
    "tax_rates": "Tax rates",
    "purchase_tax": "Tax on purchases",
    "currencies": "Currencies",
    "lock_dates": "Locked periods",
    "calls": "Calls left today",
}
_OF_SALES_TAX: Final = frozenset(
    {
        "several_tax_types",
        "no_tax_type",
        "tax_type_differs",
        "tax_type_not_usable",
        "several_rates_fit",
        "no_rate_fits",
        "destination_unknown",
    }
)
_OF_PURCHASE_TAX: Final = frozenset({"no_purchase_tax_type", "purchase_tax_type_not_usable"})
_OF_ACCOUNTS: Final = frozenset(
    {"setting_missing", "account_not_found", "account_archived", "account_not_fitting"}
)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    result: Result
    words: str
    fix: str = ""
    setting: str = ""
    """The setting that puts it right, where one does."""

    @property
    def title(self) -> str:
        return NAMES[self.name]


@dataclass(frozen=True)
class InXero:
    """What Xero said a moment ago."""

    organisation: Organisation
    actions: Mapping[str, str] | None
    """What the plan allows, by Xero's name of it; None where Xero did not say."""
    contacts: Mapping[str, Contact | Problem]
    """By name."""
    calls_left: int | None


@dataclass(frozen=True)
class Recent:
    """An order that arrived lately."""

    order: Order
    posted: bool


def of_connection(connection: Connection | None, client_id: str, *, refused: bool = False) -> Iterator[Check]:
    """The app and its permissions. `refused`: Xero has just refused access with it."""
    said, fix = words(connection, client_id)
    usable = connection is not None and connection.status == "connected"
    if refused:
        yield Check("app", "wrong", "Xero refuses access.", "Press Reconnect and allow access again.")
    elif not usable or of_another_app(connection, client_id):
        yield Check("app", "wrong", said, fix or "")
    else:
        yield Check("app", "warning" if fix else "good", said, fix or "", "number_prefix" if fix else "")
    if connection is None or not usable:
        yield Check("permissions", "unknown", "Not looked at: the company is not connected.")
    elif connection.scopes_missing:
        missing = scopes_in_words(connection.scopes_missing)
        fix = "Press Reconnect, and allow everything that Xero lists."
        yield Check("permissions", "wrong", f"Missing: {missing}.", fix)
    else:
        yield Check("permissions", "good", "Everything that is needed is allowed.")


def not_looked_at(settings: Settings, calls_left: int | None = None) -> Iterator[Check]:
    """All that Xero has to be asked for. `calls_left`: what is known of them."""
    for name in NAMES:
        if name == "calls" and calls_left is not None:
            yield from _calls(calls_left)
        elif name not in ("app", "permissions") and (name != "purchase_tax" or _tracked(settings)):
            yield Check(name, "unknown", "Not looked at: Xero can't be asked.")


def of_books(settings: Settings, found: InXero, recent: Sequence[Recent], today: date) -> Iterator[Check]:
    """Everything but the connection."""
    organisation = found.organisation
    yield from _plan(settings, found.actions)
    yield from _contacts(settings, found.contacts)
    accounts = list(_accounts(settings, organisation))
    yield from accounts
    posted = [one.order for one in recent if _would_be_posted(one.order, settings)]
    stopped = [problem for order in posted if (problem := _stopped(order, settings, organisation, today))]
    yield from _tax_rates(settings, organisation, stopped, len(posted))
    if _tracked(settings):
        yield from _purchase_tax(settings, organisation, stopped)
    yield from _currencies(settings, found, posted)
    unposted = [one.order for one in recent if not one.posted and one.order in posted]
    yield from _lock_dates(settings, organisation, unposted, today)
    yield from _calls(found.calls_left)


def _tracked(settings: Settings) -> bool:
    return settings.process_method == "tracked"


def _plan(settings: Settings, actions: Mapping[str, str] | None) -> Iterator[Check]:
    if not actions:
        yield Check("plan", "unknown", "Xero did not say what the organisation's plan allows.")
        return
    needed = [("invoice_status", "Invoice", "sales invoices")]
    if _tracked(settings):
        needed.append(("purchase_order_status", "PurchaseOrder", "purchase orders"))
    allowed = True
    for setting, document, plural in needed:
        approved = getattr(settings, setting) == "AUTHORISED"
        if actions.get(f"Create{'Approved' if approved else 'Draft'}{document}", "ALLOWED") == "ALLOWED":
            continue
        allowed = False
        kind = "approved" if approved else "drafts of"
        otherwise = f", or set “{Settings.label(setting)}” to Draft" if approved else ""
        yield Check(
            "plan",
            "wrong",
            f"The organisation's plan allows no {kind} {plural} now. Some plans have a number a month.",
            f"Raise the plan in Xero{otherwise}.",
            setting,
        )
    if allowed:
        plurals = " and ".join(plural for _, _, plural in needed)
        yield Check("plan", "good", f"The organisation's plan allows {plurals}.")


def _contacts(settings: Settings, contacts: Mapping[str, Contact | Problem]) -> Iterator[Check]:
    wanted = ["contact_name"]
    if _tracked(settings) and settings.purchase_order_contact_name:
        wanted.append("purchase_order_contact_name")
    for setting in wanted:
        name, label = getattr(settings, setting), Settings.label(setting)
        found = contacts.get(name)
        if not name:
            fix = "Enter the contact's name as it is in Xero."
            yield Check("contact", "wrong", f"“{label}” is not filled in.", fix, setting)
        elif found is None:
            yield Check("contact", "unknown", f"“{name}” was not looked for.", "", setting)
        elif isinstance(found, Problem):
            said, fix = why_unusable(name, found)
            yield Check("contact", "wrong", said, fix, setting)
        else:
            yield Check("contact", "good", f"“{found.name}” is an active contact in Xero.")


def _accounts(settings: Settings, organisation: Organisation) -> Iterator[Check]:
    named = []
    wrong = 0
    for setting, code in _account_codes(settings):
        label = Settings.label(setting)
        wanted, fits = WANTED[setting]
        account = organisation.account(code)
        if not code:
            said = f"“{label}” is not filled in."
        elif account is None:
            said = f"“{label}” is {code}, which {organisation.name} does not have."
        elif account.status != "ACTIVE":
            said = f"“{label}” is {code}, which is archived or deleted in Xero."
        elif not fits(account) or account.system_account or account.type == "BANK":
            said = f"“{label}” is {code} ({account.name}), but has to be {wanted}."
        else:
            named.append(f"{code} {account.name}")
            continue
        wrong += 1
        yield Check("accounts", "wrong", said, f"Choose {wanted}.", setting)
    if not wrong:
        yield Check("accounts", "good", f"Active and of the right type: {', '.join(dict.fromkeys(named))}.")


def _account_codes(settings: Settings) -> Iterator[tuple[str, str]]:
    """Setting and code of every account that documents may use."""
    yield "sales_account_code", settings.sales_account_code
    if settings.shipping_account_code:
        yield "shipping_account_code", settings.shipping_account_code
    if _tracked(settings):
        yield "cogs_account_code", settings.cogs_account_code
        yield "inventory_asset_account_code", settings.inventory_asset_account_code
    for code in dict.fromkeys(settings.sales_accounts_by_sku_prefix.values()):
        yield "sales_accounts_by_sku_prefix", code
    for code in dict.fromkeys(row.account for row in settings.tax_types if row.account):
        yield "tax_types", code


def _would_be_posted(order: Order, settings: Settings) -> bool:
    switched_on = settings.model_copy(update={"enabled": True})
    return order.flaw is None and order.disposition not in NO_SALE and not skip_reason(order, switched_on)


def _stopped(order: Order, settings: Settings, organisation: Organisation, today: date) -> Problem | None:
    """Why the order would not become its documents; dates and contacts are looked at elsewhere."""
    whatever_date = settings.model_copy(update={"lock_date_action": "next_open_day"})
    contact = Contact("", "", "ACTIVE")
    try:
        for kind in wants(order, settings):
            make = purchase_order if kind == "purchase_order" else sales_invoice
            make(order, whatever_date, organisation, contact=contact, number="", sent_on=today)
    except OrderStopped as stopped:
        return stopped.problem
    return None


def _tax_rates(
    settings: Settings, organisation: Organisation, stopped: Sequence[Problem], looked_at: int
) -> Iterator[Check]:
    if not organisation.pays_tax:
        said = f"{organisation.name} is not registered for tax, so documents carry none."
        yield Check("tax_rates", "good", said)
        return
    rows = unusable_tax_rows(settings, organisation)
    for row in rows:
        yield Check("tax_rates", "wrong", f"{row.reason}.", "Choose another one.", "tax_types")
    wrong = list(_would_stop("tax_rates", stopped, _OF_SALES_TAX, "tax_types"))
    yield from wrong
    if rows or wrong:
        return
    if any(problem.code in _OF_ACCOUNTS for problem in stopped):
        said = "Not looked at for recent orders: their accounts have to be right first."
        yield Check("tax_rates", "unknown", said)
    elif looked_at:
        latest = "the latest order" if looked_at == 1 else f"each of the {looked_at} latest orders"
        yield Check("tax_rates", "good", f"Every line of {latest} finds its tax rate.")
    else:
        yield Check("tax_rates", "unknown", "No order has arrived yet whose tax rates could be looked at.")


def _would_stop(
    name: str, stopped: Iterable[Problem], codes: frozenset[str], setting: str
) -> Iterator[Check]:
    """One check for each different problem, by an order that has it."""
    problems = [problem for problem in stopped if problem.code in codes]
    count = Counter(map(_alike, problems))
    for problem in {_alike(problem): problem for problem in reversed(problems)}.values():
        others = count[_alike(problem)] - 1
        more = f" So would {others} more." if others else ""
        said = f"A recent order would stop. {problem.sentence}{more}"
        # it may be in Xero long since
        yield Check(
            name, "wrong", said, problem.fix.removesuffix(" The order is then posted by itself."), setting
        )


def _alike(problem: Problem) -> tuple[str, str]:
    return problem.code, problem.details.get("rate", problem.details.get("tax_type", ""))


def _purchase_tax(
    settings: Settings, organisation: Organisation, stopped: Sequence[Problem]
) -> Iterator[Check]:
    if not organisation.pays_tax:
        said = f"{organisation.name} is not registered for tax, so documents carry none."
        yield Check("purchase_tax", "good", said)
        return
    account = organisation.account(settings.inventory_asset_account_code)
    account_class = account.account_class if account else "ASSET"
    chosen = [row.tax_type for row in settings.purchase_tax_types]
    if settings.purchase_tax_type:
        chosen.append(settings.purchase_tax_type)
    wrong = list(_would_stop("purchase_tax", stopped, _OF_PURCHASE_TAX, "purchase_tax_type"))
    yield from wrong
    for tax_type in dict.fromkeys(chosen):
        rate = organisation.tax_rate(tax_type)
        if wrong or (rate is not None and rate.fits(account_class) and rate.fits("EXPENSE")):
            continue
        wrong.append(
            Check(
                "purchase_tax",
                "wrong",
                f"{organisation.tax_type_in_words(tax_type)} can't be used for purchases in Xero.",
                f"Choose another one under “{settings.purchase_tax_label(tax_type)}”.",
                "purchase_tax_type",
            )
        )
        yield wrong[-1]
    if wrong:
        return
    if warning := next(
        (one for one in advice(settings, organisation) if one.name == "purchase_tax_type"), None
    ):
        yield Check("purchase_tax", "warning", warning.message, "Choose the tax rate.", "purchase_tax_type")
    else:
        named = ", ".join(map(organisation.tax_type_in_words, dict.fromkeys(chosen)))
        yield Check("purchase_tax", "good", f"Purchases have {named}.")


def _currencies(settings: Settings, found: InXero, orders: Sequence[Order]) -> Iterator[Check]:
    organisation = found.organisation
    usual = settings.currency or organisation.base_currency
    needed = {order.currency or usual: "" for order in orders}
    for setting in ("currency", "cost_currency") if _tracked(settings) else ("currency",):
        if getattr(settings, setting):
            needed[getattr(settings, setting)] = setting
    missing = [code for code in needed if not organisation.has_currency(code)]
    one_only = (found.actions or {}).get("UseMulticurrency", "ALLOWED") != "ALLOWED"
    for code in missing:
        asks = f"“{Settings.label(needed[code])}” is" if needed[code] else "Recent orders are in"
        fix = f"Add {code} in Xero, under Settings, Currencies."
        if one_only:
            fix = "Its plan has one currency only: choose a plan with several currencies in Xero."
        said = f"{asks} {code}, which is not among the currencies of {organisation.name}."
        yield Check("currencies", "wrong", said, fix, needed[code])
    if not missing:
        there = ", ".join(sorted({organisation.base_currency, *needed}))
        yield Check("currencies", "good", f"{organisation.name} has every currency that is needed: {there}.")


def _lock_dates(
    settings: Settings, organisation: Organisation, orders: Sequence[Order], today: date
) -> Iterator[Check]:
    locked_until = organisation.lock_date
    if locked_until is None:
        yield Check("lock_dates", "good", "No period is locked in Xero.")
        return
    until = f"Xero is locked up to {locked_until}."
    locked = sum(document_date(order, settings, organisation, today) <= locked_until for order in orders)
    everything = today <= locked_until
    if settings.lock_date_action == "next_open_day":
        said = f"{until} Orders of that time are dated on the first open day."
        yield Check("lock_dates", "warning" if everything else "good", said)
    elif everything or locked:
        what = "Every order of today" if everything else f"{locked} of the latest orders"
        yield Check(
            "lock_dates",
            "wrong",
            f"{until} {what} would stop.",
            "Move the lock date in Xero, or choose “Use the first open day”.",
            "lock_date_action",
        )
    else:
        yield Check("lock_dates", "good", f"{until} No order that is still to be posted is from that time.")


def _calls(left: int | None) -> Iterator[Check]:
    if left is None:
        yield Check("calls", "unknown", "Xero did not say how many calls are left today.")
    elif left < NEARLY_GONE:
        said = f"{left} {'call is' if left == 1 else 'calls are'} left today."
        fix = "Orders that find no call left wait, and are posted once Xero's day begins anew."
        yield Check("calls", "warning", said, fix)
    else:
        said = f"{left} calls are left today; a call takes up to {BATCH_SIZE} documents."
        yield Check("calls", "good", said)

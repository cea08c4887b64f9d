"""An order, a company's settings and its organisation become Xero's documents and items.

Everything here raises OrderStopped with a Problem where the order cannot be posted as it is. Amounts are exact
decimals from the order to the wire.

The order's tax is worked out line by line: from the price with tax, or from the one without where the order has no
other. It is rounded to cents, then summed for each rate. A document's net, taxes and total are worked out beforehand as
Xero does it: quantity times a unit price of at most 4 decimals, and the tax of each line, are rounded to cents, then
summed. Xero does not say which way it rounds half a cent, so no document's figures depend on it.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, localcontext
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple, cast

from bookkeeping.domain.amounts import (
    currency_decimals,
    decimals,
    is_quotient,
    noise,
    plain_number,
    rates_between,
    rounding_explains,
    with_cents,
)
from bookkeeping.domain.contacts import Contact
from bookkeeping.domain.countries import EU, NORTHERN_IRELAND, place_words
from bookkeeping.domain.document_kinds import DOCUMENT_KINDS, DocumentKind
from bookkeeping.domain.orders import Order, OrderLine
from bookkeeping.domain.organisation import Account, Organisation, TaxRate
from bookkeeping.domain.problems.problem import OrderStopped, Problem
from bookkeeping.domain.settings import ANYWHERE, PurchaseTaxRow, Settings, TaxRow
from bookkeeping.domain.time_zones import Calendar, is_as_written, is_before, zone_named

__all__ = [
    "WANTED",
    "Chosen",
    "Document",
    "DocumentKind",
    "Figures",
    "LineReasons",
    "Reasons",
    "carries_ref",
    "cents",
    "clean",
    "document_date",
    "document_number",
    "is_tie",
    "item_code",
    "moved_to",
    "purchase_order",
    "raw_tax",
    "reference",
    "retold",
    "rounding_line",
    "sales_invoice",
    "skip_reason",
    "sold_before_start",
    "tracked_items",
    "waits_for_dispatch",
    "wants",
]

LineAmountTypes = Literal["Exclusive", "Inclusive", "NoTax"]
Figure = Literal["Total", "SubTotal"]
"""Which of a document's figures has to equal the order's total."""

# Wide enough that sums and products of an order's numbers are exact.
EXACT: Final = Context(prec=120, rounding=ROUND_HALF_UP)
CENT: Final = Decimal("0.01")
PRICE_STEP: Final = Decimal("0.0001")
HUNDRED: Final = Decimal(100)
LARGEST_LINE: Final = Decimal("9999999999.99")
HALF_A_CENT: Final = Decimal("0.005")
MOST_STEPS_APART: Final = 8
"""The most steps between the two prices of an item that takes two lines."""
PIECES_TRIED: Final = 25
"""For the first of two lines, so many pieces fewer and more than the exact number are tried."""
MOST_QUANTITY_CHARACTERS: Final = 13
LONGEST_DESCRIPTION: Final = 4000
LONGEST_REFERENCE: Final = 255
LONGEST_ITEM_NAME: Final = 50
LONGEST_ITEM_CODE: Final = 30
MOST_CHOICES_NAMED: Final = 12
HIGHEST_TRUE_RATE: Final = 30
"""Percent. No country taxes ordinary sales higher, and only those of North America have more than one decimal."""


@dataclass(frozen=True)
class Figures:
    """What Xero has to make of a document, 2 decimals each."""

    net: Decimal
    total: Decimal
    taxes: Mapping[str, Decimal]
    """Tax type → the tax of its lines; those without tax are left out."""

    @property
    def tax(self) -> Decimal:
        return self.total - self.net


class Chosen(NamedTuple):
    """What chose something of a document. `reasons` puts it into words, and only for the page."""

    rule: str
    """A code of `reasons.WORDS`."""
    setting: str = ""
    row: str | TaxRow | PurchaseTaxRow = ""
    """Which row of a setting that has several."""


@dataclass(frozen=True)
class LineReasons:
    """What chose the account, tax type, rate and price of a line item, and the prices that the order has for it."""

    account: Chosen
    tax: Chosen
    rate: Chosen | None
    price: Chosen
    net: Decimal | None
    gross: Decimal | None
    percent: Decimal | None
    """The order's rate, as it was understood. Xero's is another where a reverse charge leaves the tax out."""
    quantity: Decimal
    derived: bool
    """Whether the order carries only one of the two prices, and the other is worked out."""
    shown: Literal["as_sent", "worked_out", "whole_line", "adjusted"]
    """How the unit amount comes from the order's prices."""


@dataclass(frozen=True)
class Reasons:
    """What chose a document's date, currency and kind of prices, and what its lines were made from."""

    date: Chosen
    currency: Chosen
    amounts: Chosen
    mode: LineAmountTypes
    moved: bool
    """Whether a lock date moved the document to another day."""
    made_from: tuple[tuple[_Charge, _PricedLine], ...]
    """For each line item; a rounding line, which comes last, has none."""

    @property
    def lines(self) -> tuple[LineReasons, ...]:
        with localcontext(EXACT):
            return tuple(_line_reasons(charge, line, self.mode) for charge, line in self.made_from)


@dataclass(frozen=True)
class Document:
    """A document as Xero takes it, and what it has to come to."""

    kind: DocumentKind
    number: str
    body: dict[str, Any]
    """Xero's JSON; every amount a Decimal."""
    figures: Figures
    """What Xero's will be; they differ from the order's only where a note says so."""
    notes: tuple[str, ...]
    """What a person should know about the document, in words."""
    reasons: Reasons = field(compare=False, repr=False)


@dataclass(frozen=True)
class _Basis:
    """What a document is made from."""

    order: Order
    settings: Settings
    organisation: Organisation

    def stop(self, code: str, **details: str) -> OrderStopped:
        return OrderStopped(Problem(code, {"order": self.order.id, **details}))

    @property
    def currency(self) -> str:
        return self.order.currency or self.settings.currency or self.organisation.base_currency

    @cached_property
    def known_rates(self) -> frozenset[Decimal]:
        """The percentages that sales can have here: the organisation's own and those of the rows in the settings."""
        active = {rate.effective_rate for rate in self.organisation.fitting_tax_rates("REVENUE")}
        return frozenset(active | {Decimal(row.rate) for row in self.settings.tax_types})

    @cached_property
    def stated_rates(self) -> frozenset[Decimal]:
        """The rates that the order states for what it charges for."""
        shipping = self.order.shipping
        sold = [
            (line.tax_rate, line.price, line.price_inc_tax) for line in self.order.lines if not line.cancelled
        ]
        sold.append((shipping.tax_rate, shipping.price, shipping.price_inc_tax))
        return frozenset(rate for rate, *prices in sold if rate is not None and any(prices))


# --- which documents, and when -----------------------------------------------------------------------------------


def wants(order: Order, settings: Settings) -> tuple[DocumentKind, ...]:
    """The documents an order needs, in the order they are sent."""
    tracked = settings.process_method == "tracked"
    billed = not order.free_of_charge or (tracked and settings.free_of_charge == "nil_invoice")
    invoice: tuple[DocumentKind, ...] = ("invoice",) if billed else ()
    return ("purchase_order", *invoice) if tracked else invoice


def skip_reason(order: Order, settings: Settings) -> str | None:
    """Why an order is not posted (a code of problems.SKIPPED), or None."""
    if order.disposition in ("cancelled", "error", "on_hold"):
        return order.disposition
    if not settings.enabled:
        return "integration_off"
    if order.flaw is None and order.lines and all(line.cancelled for line in order.lines):
        return "all_lines_cancelled"
    return None if wants(order, settings) else "free_of_charge"


def sold_before_start(order: Order, settings: Settings, calendar: Calendar | None) -> bool | None:
    """Whether the order was sold before “Start from”; None where that is not certain without a calendar."""
    if settings.start_from is None:
        return False
    if calendar is None:
        return is_before(order.sold_at, settings.start_from, settings.order_time_zone)
    return calendar.day(order.sold_at) < settings.start_from


def waits_for_dispatch(order: Order, settings: Settings) -> bool:
    return settings.post_when == "dispatch" and not order.dispatched


# --- the documents -----------------------------------------------------------------------------------------------


def sales_invoice(
    order: Order,
    settings: Settings,
    organisation: Organisation,
    *,
    contact: Contact,
    number: str,
    sent_on: date,
    as_draft: bool = False,
) -> Document:
    """The sales invoice for an order: a line item per order line, then shipping.

    `sent_on` dates an order that is posted on dispatch and carries no completion date. `as_draft` is for an
    invoice that Xero refused for want of stock.
    """
    basis = _Basis(order, settings, organisation)
    with localcontext(EXACT):
        dated = _dated(basis, sent_on)
        mode, amounts = _line_amount_types(basis)
        compare: Figure = "SubTotal" if settings.invoice_price == "trade" else "Total"
        totals = _totals(basis, _sale_charges(basis), "invoice", mode, compare)
        currency, currency_chosen = _currency(basis)
        body: dict[str, Any] = {
            "Type": "ACCREC",
            "Status": "DRAFT" if as_draft else settings.invoice_status,
            "InvoiceNumber": number,
            "Reference": reference(order, true_date=dated.moved_from),
            "Contact": {"ContactID": contact.id},
            "Date": dated.on.isoformat(),
            "DueDate": _due_on(basis, dated.on).isoformat(),
            "CurrencyCode": currency,
            **_branding(settings),
            "LineAmountTypes": mode,
            "LineItems": totals.line_items,
        }
        notes = (*_invoice_notes(basis, as_draft=as_draft), *dated.notes, *totals.notes)
        reasons = _reasons(dated, currency_chosen, amounts, mode, totals)
        return Document("invoice", number, body, totals.figures, notes, reasons)


def _invoice_notes(basis: _Basis, *, as_draft: bool) -> Iterator[str]:
    if as_draft:
        yield "Created as a draft, because Xero has too little stock to approve it."
    organisation = basis.organisation
    if not organisation.pays_tax and any(_tells_tax(line) for _, line in _kept_lines(basis)):
        # if it has registered since, Xero takes the document all the same, and its answer does not tell
        yield f"Billed without tax: when Xero was last asked, {organisation.name} was not registered for tax."
    if basis.order.free_of_charge and (as_draft or basis.settings.invoice_status != "AUTHORISED"):
        yield "Free of charge: the stock leaves Xero's inventory once this invoice of 0.00 is approved."


def purchase_order(
    order: Order,
    settings: Settings,
    organisation: Organisation,
    *,
    contact: Contact,
    number: str,
    sent_on: date,
    untracked_items: frozenset[str] = frozenset(),
) -> Document:
    """The purchase order for an order: a line item per order line at its unit cost, without shipping.

    `untracked_items` are item codes that exist in Xero as untracked items and are used as they are.
    """
    basis = _Basis(order, settings, organisation)
    with localcontext(EXACT):
        dated = _dated(basis, sent_on)
        mode: LineAmountTypes = "Exclusive" if organisation.pays_tax else "NoTax"
        charges = _cost_charges(basis, untracked_items)
        totals = _totals(basis, charges, "purchase_order", mode, "SubTotal")
        currency, currency_chosen = _currency(basis, "cost_currency")
        body: dict[str, Any] = {
            "PurchaseOrderNumber": number,
            "Status": settings.purchase_order_status,
            "Reference": reference(order, true_date=dated.moved_from),
            "Contact": {"ContactID": contact.id},
            "Date": dated.on.isoformat(),
            **_delivery(basis),
            "CurrencyCode": currency,
            **_branding(settings),
            "LineAmountTypes": mode,
            "LineItems": totals.line_items,
        }
        notes = (*_purchase_notes(basis, charges), *dated.notes, *totals.notes)
        amounts = Chosen("costs_without_tax" if organisation.pays_tax else "no_tax")
        reasons = _reasons(dated, currency_chosen, amounts, mode, totals)
        return Document("purchase_order", number, body, totals.figures, notes, reasons)


def _reasons(
    dated: _Dated, currency: Chosen, amounts: Chosen, mode: LineAmountTypes, totals: _Totals
) -> Reasons:
    return Reasons(dated.chosen, currency, amounts, mode, dated.moved_from is not None, totals.made_from)


def _delivery(basis: _Basis) -> dict[str, str]:
    by = basis.order.dispatch_by
    calendar = basis.organisation.calendar(basis.settings.order_time_zone)
    return {"DeliveryDate": calendar.day(by).isoformat()} if by else {}


def _purchase_notes(basis: _Basis, charges: list[_Charge]) -> Iterator[str]:
    if basis.order.free_of_charge and basis.settings.free_of_charge == "none":
        yield "Free of charge: there is no invoice, so the stock stays in Xero's inventory. Take it out there by hand."
    unchosen = [charge.name for charge in charges if not charge.tax_chosen]
    if unchosen:
        account = _account(basis, "cogs_account_code")
        some = unchosen[:MOST_CHOICES_NAMED] + (["…"] if len(unchosen) > MOST_CHOICES_NAMED else [])
        lines = "" if len(unchosen) == len(charges) else f" for {', '.join(some)}"
        yield (
            f"Nobody chose “{basis.settings.label('purchase_tax_type')}”{lines}: the tax rate is that of account"
            f" {account.code}, {basis.organisation.tax_type_in_words(account.tax_type)}."
        )


def tracked_items(order: Order, settings: Settings, organisation: Organisation) -> tuple[dict[str, Any], ...]:
    """Xero's Item for each distinct item code of the order; the two accounts are what makes an item tracked."""
    basis = _Basis(order, settings, organisation)
    cogs = _account(basis, "cogs_account_code")
    asset = _account(basis, "inventory_asset_account_code")
    items: dict[str, dict[str, Any]] = {}
    for _, line in _kept_lines(basis):
        code = item_code(line.sku)
        if code is not None and code not in items:
            items[code] = {
                "Code": code,
                "Name": clean(line.description or line.sku, LONGEST_ITEM_NAME),
                "Description": _description(line),
                "PurchaseDescription": _description(line),
                "InventoryAssetAccountCode": asset.code,
                "PurchaseDetails": {"COGSAccountCode": cogs.code},
                "SalesDetails": {"AccountCode": _sales_account(basis, line.sku)[0].code},
            }
    return tuple(items.values())


# --- numbers and references --------------------------------------------------------------------------------------


def document_number(prefix: str, order_id: str) -> str:
    """The number of an order's invoice and of its purchase order."""
    return prefix + order_id


def item_code(sku: str) -> str | None:
    """Xero's item code for a sku, at most 30 characters; None without a sku.

    It is a key, and Xero keeps codes apart by every character, so nothing of it is made prettier or safer. A longer sku
    keeps its first 21 characters, and the hash keeps it apart from others that begin alike.
    """
    code = "".join(char for char in sku if unicodedata.category(char) != "Cc").strip()
    if not clean(code):
        return None
    if _length(code) <= LONGEST_ITEM_CODE:
        return code
    digest = hashlib.sha256(code.encode()).hexdigest()[:8]
    return f"{_beginning(code, LONGEST_ITEM_CODE - 9)}-{digest}"


def reference(order: Order, *, true_date: date | None = None) -> str:
    """The platform's ref, the sales channel's own reference and, on a moved document, the order's true date."""
    ref = clean(order.ref or order.id, LONGEST_REFERENCE // 2)
    dated = f" / dated {true_date.isoformat()}" if true_date else ""
    external = clean(order.external_ref, LONGEST_REFERENCE - _length(f"{ref} / {dated}"))
    return f"{ref} / {external}{dated}" if external else f"{ref}{dated}"


def carries_ref(reference_in_xero: str, order: Order) -> bool:
    """Whether a document's Reference names this order, whatever a person has written around it."""
    ref = clean(order.ref or order.id, LONGEST_REFERENCE // 2)
    return re.search(rf"(?<!\w){re.escape(ref)}(?!\w)", reference_in_xero) is not None


# --- dates, currency ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Dated:
    on: date
    chosen: Chosen
    moved_from: date | None = None
    notes: tuple[str, ...] = ()


def _dated(basis: _Basis, sent_on: date) -> _Dated:
    """The documents' date. A purchase order follows lock dates too, so that no order ends up half posted."""
    order, settings, organisation = basis.order, basis.settings, basis.organisation
    on = document_date(order, settings, organisation, sent_on)
    notes = _zone_note(order, settings, organisation)
    open_day, chosen = organisation.next_open_day(on), _dating(order, settings)[1]
    if open_day == on:
        return _Dated(on, chosen, notes=notes)
    if settings.lock_date_action == "hold":
        raise basis.stop("date_locked", date=on.isoformat(), lock_date=str(organisation.lock_date))
    return _Dated(
        open_day,
        chosen,
        on,
        (
            f"Dated {open_day}, the first open day; the order's own date {on} is in a locked period in Xero.",
            *notes,
        ),
    )


_MOVED: Final = re.compile(r"Dated (\d{4}-\d\d-\d\d), the first open day;")


def moved_to(notes: Iterable[str]) -> date | None:
    """The day to which a lock date moved a document, by its notes."""
    return next((date.fromisoformat(found[1]) for note in notes if (found := _MOVED.match(note))), None)


def document_date(order: Order, settings: Settings, organisation: Organisation, sent_on: date) -> date:
    """The day an order's documents have in the organisation's time zone, lock dates apart."""
    at, _ = _dating(order, settings)
    return sent_on if at is None else organisation.calendar(settings.order_time_zone).day(at)


_SOLD: Final = Chosen("sale_date", "post_when")
_COMPLETED: Final = Chosen("completion_date", "post_when")
_SENT: Final = Chosen("message_date", "post_when")


def _dating(order: Order, settings: Settings) -> tuple[date | None, Chosen]:
    """The moment that dates the documents; None: it is the day the message was sent."""
    if settings.post_when == "arrival":
        return order.sold_at, _SOLD
    return order.completed_at, _COMPLETED if order.completed_at else _SENT


def _zone_note(order: Order, settings: Settings, organisation: Organisation) -> tuple[str, ...]:
    """Which time zone was taken, where the day depends on one and Xero gives none."""
    at, _ = _dating(order, settings)
    if zone_named(organisation.time_zone) or (at and is_as_written(at, settings.order_time_zone)):
        return ()
    unknown = f"the time zone “{organisation.time_zone}”, which is not known here"
    zone = organisation.calendar("").zone
    return (
        f"In Xero, {organisation.name} has {unknown if organisation.time_zone else 'no time zone'}."
        f" The order is dated by the day in {zone}.",
    )


def _due_on(basis: _Basis, on: date) -> date:
    try:
        return on + timedelta(days=basis.settings.payment_terms_days)
    except OverflowError:
        raise basis.stop("bad_date", field="sale_datetime", value=on.isoformat()) from None


def _currency(
    basis: _Basis, setting: Literal["currency", "cost_currency"] = "currency"
) -> tuple[str, Chosen]:
    """The document's currency; `setting` may name it, “Currency” only where the order names none."""
    chosen: str = "" if setting == "currency" and basis.order.currency else getattr(basis.settings, setting)
    code = chosen or basis.currency
    if not basis.organisation.has_currency(code):
        label = basis.settings.label(setting)
        raise basis.stop(
            "currency_not_enabled",
            currency=code,
            organisation=basis.organisation.name,
            what=f"“{label}”" if chosen else "its currency",
            or_else=f", or change “{label}” in the settings" if chosen else "",
        )
    if chosen:
        return code, Chosen("currency_setting", setting)
    if basis.order.currency:
        return code, Chosen("currency_of_order")
    by_setting = bool(basis.settings.currency)
    return code, Chosen("currency_setting" if by_setting else "currency_of_books", "currency")


def _branding(settings: Settings) -> dict[str, str]:
    return {"BrandingThemeID": settings.branding_theme_id} if settings.branding_theme_id else {}


def _tracking(settings: Settings) -> dict[str, Any]:
    return (
        {"Tracking": [dict(one) for one in settings.tracking_categories]}
        if settings.tracking_categories
        else {}
    )


# --- accounts and tax --------------------------------------------------------------------------------------------

WANTED: Final[dict[str, tuple[str, Callable[[Account], bool]]]] = {
    "sales_account_code": ("a revenue account", lambda account: account.account_class == "REVENUE"),
    "sales_accounts_by_sku_prefix": ("a revenue account", lambda account: account.account_class == "REVENUE"),
    "tax_types": ("a revenue account", lambda account: account.account_class == "REVENUE"),
    "shipping_account_code": ("a revenue account", lambda account: account.account_class == "REVENUE"),
    "cogs_account_code": ("an expense account", lambda account: account.account_class == "EXPENSE"),
    "inventory_asset_account_code": ("an inventory account", lambda account: account.type == "INVENTORY"),
}


def _account(basis: _Basis, setting: str, code: str | None = None) -> Account:
    """The account a setting names (or `code`, for a setting that names several), if Xero can use it there."""
    code = getattr(basis.settings, setting) if code is None else code
    label = basis.settings.label(setting)
    if not code:
        raise basis.stop("setting_missing", setting=setting, label=label)
    account = basis.organisation.account(code)
    about = {"setting": setting, "label": label, "account": code}
    if account is None:
        raise basis.stop("account_not_found", **about)
    if account.status != "ACTIVE":
        raise basis.stop("account_archived", **about)
    wanted, fits = WANTED[setting]
    if not fits(account) or account.system_account or account.type == "BANK":
        raise basis.stop(
            "account_not_fitting", **about, account_type=account.name or account.type, wanted=wanted
        )
    return account


_BY_SETTING: Final = {
    setting: Chosen("account_setting", setting) for setting in ("sales_account_code", "shipping_account_code")
}


def _sales_account(basis: _Basis, sku: str) -> tuple[Account, Chosen]:
    accounts, sku = basis.settings.sales_accounts_by_sku_prefix, sku.strip()
    prefixes = [prefix for prefix in accounts if sku.casefold().startswith(prefix.casefold())]
    if not prefixes:
        return _account(basis, "sales_account_code"), _BY_SETTING["sales_account_code"]
    # the longest; of two that differ in capitals only, the one that is written like the sku
    longest = max(prefixes, key=lambda prefix: (len(prefix), sku.startswith(prefix)))
    setting = "sales_accounts_by_sku_prefix"
    return _account(basis, setting, accounts[longest]), Chosen("account_by_sku", setting, longest)


@dataclass(frozen=True)
class _Tax:
    """How a line is taxed; `type` is None where the organisation pays no tax."""

    type: str | None
    rate: Decimal
    """Percent, as Xero reckons it."""
    chosen: Chosen


_NO_TAX: Final = _Tax(None, Decimal(0), Chosen("no_tax"))


@dataclass(frozen=True)
class _Sold:
    """A line of the order, or its shipping, as the order tells its tax."""

    name: str
    """What problems call it."""
    stated: Decimal | None
    net: Decimal | None
    gross: Decimal | None
    """Sale prices of one."""
    free: bool = False

    @property
    def pair(self) -> tuple[Decimal, Decimal] | None:
        return None if self.net is None or self.gross is None else (self.net, self.gross)


_STATED: Final = Chosen("stated")
_OF_ACCOUNT: Final = Chosen("tax_of_account")


def _rate(basis: _Basis, sold: _Sold) -> tuple[Decimal, Chosen]:
    """The rate in percent: as stated where a sale can have it, else the only one that the two prices bear out."""
    stated, pair = sold.stated, sold.pair
    if stated is not None:
        # Xero keeps 4 decimals of a percentage
        stated = stated.quantize(PRICE_STEP) if decimals(stated) > 4 else stated
        if stated in basis.known_rates:
            return stated, _STATED
        if pair is None or not is_quotient(sold.stated or stated, *pair):
            raise _no_tax_type(basis, sold.name, stated)
    if pair is None:
        raise basis.stop("missing_rate", line=sold.name)
    fitting = rates_between(*pair, basis.known_rates, currency_decimals(basis.currency))
    chosen = fitting if len(fitting) == 1 else [rate for rate in fitting if rate in basis.stated_rates]
    if len(chosen) == 1:
        return chosen[0], Chosen("borne_out" if len(fitting) == 1 else "stated_elsewhere")
    if stated is not None and not fitting:
        raise _no_tax_type(basis, sold.name, stated)
    net, gross = map(plain_number, pair)
    rates = ", ".join(f"{plain_number(rate)} %" for rate in sorted(fitting or basis.known_rates))
    code = "several_rates_fit" if fitting else "no_rate_fits"
    raise basis.stop(code, line=sold.name, net=net, gross=gross, rates=rates or "none")


def _contradiction(basis: _Basis, sold: _Sold, rate: Decimal) -> str:
    """A note, where no rounding explains the two prices at the stated rate; else nothing."""
    if sold.stated is None or sold.pair is None:
        return ""
    net, gross = sold.pair
    if rounding_explains(net, gross, rate, currency_decimals(basis.currency)):
        return ""
    prices = f"{plain_number(net)} without tax, {plain_number(gross)} with tax"
    return f"The order states {plain_number(rate)} % for {sold.name}, but its prices differ by another rate ({prices})."


# The wider a place, the higher its number: the most specific row holds.
_TERRITORY, _COUNTRY, _HOME, _EU, _ELSEWHERE, _ANYWHERE, _NOT_THERE = range(7)


def _reach(ships_to: str, destination: str, home: str) -> int:
    """How widely a row takes in the destination."""
    # Sales from Britain to Northern Ireland carry UK VAT; for all others it is of the EU.
    at_home = destination == home or (home == "GB" and destination == NORTHERN_IRELAND)
    match ships_to:
        case "anywhere":
            return _ANYWHERE
        case "home":
            return _HOME if at_home else _NOT_THERE
        case "elsewhere":
            return _NOT_THERE if at_home else _ELSEWHERE
        case "EU":
            return _EU if destination in EU and not at_home else _NOT_THERE
    if ships_to == destination:
        return _TERRITORY
    return _COUNTRY if at_home and ships_to == home else _NOT_THERE


def _row(basis: _Basis, sold: _Sold, rate: Decimal) -> TaxRow | None:
    """The row of the settings for that rate and the order's destination, if there is one."""
    rows = [row for row in basis.settings.tax_types if Decimal(row.rate) == rate]
    anywhere = next((row for row in rows if row.ships_to == ANYWHERE), None)
    if len(rows) == (anywhere is not None):
        return anywhere
    destination, home = basis.order.ships_to, basis.organisation.country_code
    if not destination or not home:
        if sold.free:
            return anywhere
        places = ", ".join(place_words(row.ships_to) for row in rows)
        raise basis.stop("destination_unknown", line=sold.name, rate=plain_number(rate), places=places)
    nearest = min(rows, key=lambda row: _reach(row.ships_to, destination, home))
    return nearest if _reach(nearest.ships_to, destination, home) != _NOT_THERE else None


def _sale_tax(basis: _Basis, name: str, rate: Decimal, row: TaxRow | None, account: Account) -> _Tax:
    """The tax type for a sale: that of the row, else that of the account, else the only one of that percentage.

    Its percentage is always the rate. At 0 % the only one is not taken: a person says which kind of 0 % it is.
    """
    if row is not None:
        return _row_tax(basis, rate, row, account)
    own = basis.organisation.tax_rate(account.tax_type)
    if own is not None and own.fits(account.account_class) and not own.special and own.effective_rate == rate:
        return _Tax(own.tax_type, rate, _OF_ACCOUNT)
    matching = basis.organisation.fitting_tax_rates(account.account_class, rate)
    if rate and len(matching) == 1:
        return _Tax(matching[0].tax_type, rate, Chosen("only_tax"))
    if matching:
        choices = _choices(matching)
        raise basis.stop("several_tax_types", line=name, rate=plain_number(rate), choices=choices)
    raise _no_tax_type(basis, name, rate)


def _no_tax_type(basis: _Basis, name: str, rate: Decimal) -> OrderStopped:
    choices = _choices(basis.organisation.fitting_tax_rates("REVENUE"))
    percent = plain_number(rate)
    advice = _advice_on_rate(basis, rate)
    return basis.stop("no_tax_type", line=name, rate=percent, choices=choices, advice=advice)


def _advice_on_rate(basis: _Basis, rate: Decimal) -> str:
    """What to do where no tax rate of that percentage fits; never to add one that exists or cannot be right."""
    percent = plain_number(rate)
    special = [
        one
        for one in basis.organisation.tax_rates
        if one.effective_rate == rate and one.special and one.fits("REVENUE")
    ]
    if special:
        return (
            f"Xero has {percent} % only for special sales: {_choices(special)}. If this is one, make a row of “Tax"
            " rates” in the settings for the place it is shipped to."
        )
    of_states = basis.organisation.country_code in ("US", "CA")
    if rate > HIGHEST_TRUE_RATE or (decimals(rate) > 1 and not of_states):
        return f"{percent} % is hardly the tax rate of any country."
    return (
        f"If {percent} % is right, add it in Xero, which has no tax rate for it yet. The order is then posted"
        " by itself."
    )


def _gone(rate: TaxRate | None, words: str) -> dict[str, str]:
    """The detail of a problem with a tax rate that Xero does not have, or no longer; none with another."""
    return {} if rate is not None and rate.status == "ACTIVE" else {"gone": words}


def _row_tax(basis: _Basis, rate: Decimal, row: TaxRow, account: Account) -> _Tax:
    found = basis.organisation.tax_rate(row.tax_type)
    about = {
        "rate": f"{plain_number(rate)} %",
        "tax_type": basis.organisation.tax_type_in_words(row.tax_type),
    }
    if found is None or not found.fits(account.account_class):
        raise basis.stop(
            "tax_type_not_usable", **about, **_gone(found, about["tax_type"]), account=account.code
        )
    if found.effective_rate != row.percent:
        percent = f"{plain_number(found.effective_rate)} %"
        raise basis.stop(
            "tax_type_differs", **about, percent=percent, wanted=f"{plain_number(row.percent)} %"
        )
    rule = "tax_row_without_tax" if row.reverse_charge else "tax_row"
    return _Tax(row.tax_type, found.effective_rate, Chosen(rule, "tax_types", row))


def _tax_of_nothing(basis: _Basis, sold: _Sold, account: Account) -> _Tax | None:
    """The account's own tax for what is free: nobody has to choose between zero-rated and exempt for a gift.

    None where a row holds for the stated rate, or the rate leaves no choice.
    """
    if not sold.free:
        return None
    stated = sold.stated if sold.stated in basis.known_rates else None
    fitting = basis.organisation.fitting_tax_rates(account.account_class, stated)
    if stated is not None and (_row(basis, sold, stated) or (stated and len(fitting) == 1)):
        return None
    own = basis.organisation.tax_rate(account.tax_type)
    if own is None or own.special or not own.fits(account.account_class):
        own = next(iter(fitting), None)
    return _Tax(own.tax_type, own.effective_rate, Chosen("tax_of_nothing")) if own else None


def _purchase_tax(basis: _Basis, account: Account, chosen: str, by: Chosen) -> _Tax:
    """The tax type of a purchase: the one `chosen` in the settings (`by`), else that of the cost of goods sold account.

    It is never that of a stock account: such an account has "no tax" in Xero, which says nothing of the purchase.
    """
    settings, organisation = basis.settings, basis.organisation
    if not organisation.pays_tax:
        return _NO_TAX
    tax_type = chosen or _account(basis, "cogs_account_code").tax_type
    found = organisation.tax_rate(tax_type)
    if found is not None and found.fits(account.account_class):
        return _Tax(tax_type, found.effective_rate, by)
    if chosen:
        label = settings.purchase_tax_label(tax_type)
        words = organisation.tax_type_in_words(tax_type)
        about = {"tax_type": words, "account": account.code, "label": label}
        raise basis.stop("purchase_tax_type_not_usable", **about, **_gone(found, words))
    raise basis.stop("no_purchase_tax_type", account=settings.cogs_account_code)


def _chosen_for_purchases(basis: _Basis, sold: _Sold) -> tuple[str, Chosen]:
    """The tax type of the settings, which may be none, and what chose it."""
    rows = {Decimal(row.rate): row for row in basis.settings.purchase_tax_types}
    try:
        rate = _rate(basis, sold)[0] if rows else None
    except OrderStopped:
        # a gift may come without a rate
        rate = None
    if rate in rows:
        return rows[rate].tax_type, Chosen("purchase_tax_row", "purchase_tax_types", rows[rate])
    chosen = basis.settings.purchase_tax_type
    return chosen, Chosen("purchase_tax_setting" if chosen else "tax_of_cogs", "purchase_tax_type")


def _choices(rates: Iterable[TaxRate]) -> str:
    named = [rate.words for rate in rates]
    more = ["…"] if len(named) > MOST_CHOICES_NAMED else []
    return ", ".join(named[:MOST_CHOICES_NAMED] + more) or "none"


# --- what the order charges for ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Charge:
    """Something a document charges for. Prices are per unit; at least one is there."""

    name: str
    description: str
    item_code: str | None
    quantity: Decimal
    net: Decimal | None
    gross: Decimal | None
    account: Account
    tax: _Tax
    account_chosen: Chosen
    price_chosen: Chosen
    percent: Decimal | None = None
    """The order's rate, and what chose it; None where no rate is needed."""
    rate_chosen: Chosen | None = None
    tax_chosen: bool = True
    """Whether a person chose its tax rate, or need not choose one."""
    derived: bool = False
    """Its price was worked out from the other one: the order did not carry it."""
    left_out: Decimal = Decimal(0)
    """The tax of the order that a reverse charge does not bill."""
    note: str = ""


def _kept_lines(basis: _Basis) -> list[tuple[str, OrderLine]]:
    """The lines that are not cancelled, with what problems call them."""
    kept = [
        (f"line {place}" + (f" ({clean(line.sku, 60)})" if line.sku.strip() else ""), line)
        for place, line in enumerate(basis.order.lines, start=1)
        if not line.cancelled
    ]
    if not kept:
        raise basis.stop("no_lines")
    return kept


def _sale_charges(basis: _Basis) -> list[_Charge]:
    charges = []
    for name, line in _kept_lines(basis):
        net, gross, price_chosen = _billed(basis, name, line)
        account, account_chosen = _sales_account(basis, line.sku)
        charge = _Charge(
            name=name,
            description=_description(line),
            # Xero refuses the code of an item that it does not have, and only Tracked adds items.
            item_code=item_code(line.sku) if basis.settings.process_method == "tracked" else None,
            quantity=line.quantity,
            net=net,
            gross=gross,
            account=account,
            tax=_NO_TAX,
            account_chosen=account_chosen,
            price_chosen=price_chosen,
        )
        sold = _sold(name, line, free=not charge.net and not charge.gross)
        charges.append(_taxed(basis, charge, sold, own_account=False))
    return charges if basis.order.free_of_charge else [*charges, *_shipping_charge(basis)]


def _tells_tax(line: OrderLine) -> bool:
    """Whether the order says that tax is due on the line."""
    apart = None not in (line.price, line.price_inc_tax) and line.price != line.price_inc_tax
    return apart or bool(line.tax_rate)


def _sold(name: str, line: OrderLine, *, free: bool = False) -> _Sold:
    return _Sold(name, line.tax_rate, line.price, line.price_inc_tax, free)


_FREE: Final = Chosen("free_of_charge", "free_of_charge")
_TRADE: Final = Chosen("trade_price", "invoice_price")
_SALE: Final = Chosen("sale_price", "invoice_price")
_SHIPPING: Final = Chosen("shipping_price")
_COST: Final = Chosen("unit_cost")
_NO_SHIPPING_ACCOUNT: Final = Chosen("no_shipping_account", "sales_account_code")


def _billed(basis: _Basis, name: str, line: OrderLine) -> tuple[Decimal | None, Decimal | None, Chosen]:
    """The prices of one, without and with tax, that the invoice carries, and what chose them."""
    if basis.order.free_of_charge:
        return Decimal(0), Decimal(0), _FREE
    if basis.settings.invoice_price == "trade":
        if line.cost is None:
            raise basis.stop("missing_price", line=name, field="unit cost (the trade price)")
        costs_in = basis.settings.cost_currency or basis.currency
        if costs_in != basis.currency:
            raise basis.stop("costs_in_another_currency", currency=basis.currency, cost_currency=costs_in)
        return line.cost, None, _TRADE
    if line.price is None and line.price_inc_tax is None:
        raise basis.stop("missing_price", line=name, field="sale price")
    return line.price, line.price_inc_tax, _SALE


def _shipping_charge(basis: _Basis) -> list[_Charge]:
    shipping, settings = basis.order.shipping, basis.settings
    if not shipping.price and not shipping.price_inc_tax:
        return []
    setting = "shipping_account_code" if settings.shipping_account_code else "sales_account_code"
    sold = _Sold("the shipping", shipping.tax_rate, shipping.price, shipping.price_inc_tax)
    account = _account(basis, setting)
    net, gross, price_chosen = shipping.price, shipping.price_inc_tax, _SHIPPING
    if settings.invoice_price == "trade":
        if net is None and gross is not None:
            rate = _rate(basis, sold)[0] if basis.organisation.pays_tax else shipping.tax_rate or Decimal(0)
            net, price_chosen = cents(_without_tax(gross, rate)), Chosen("shipping_worked_out")
        gross = None
    by = _BY_SETTING[setting] if settings.shipping_account_code else _NO_SHIPPING_ACCOUNT
    charge = _Charge(
        name="the shipping",
        description="Shipping",
        item_code=None,
        quantity=Decimal(1),
        net=net,
        gross=gross,
        account=account,
        tax=_NO_TAX,
        account_chosen=by,
        price_chosen=price_chosen,
    )
    return [_taxed(basis, charge, sold, own_account=True)]


def _taxed(basis: _Basis, charge: _Charge, sold: _Sold, *, own_account: bool) -> _Charge:
    """The charge with its tax, on the account that the row for it names (not for what has an `own_account`)."""
    if not basis.organisation.pays_tax:
        return _untaxed_sale(basis, charge, sold)
    of_nothing = _tax_of_nothing(basis, sold, charge.account)
    if of_nothing is not None:
        return replace(charge, tax=of_nothing)
    rate, rate_chosen = _rate(basis, sold)
    row = _row(basis, sold, rate)
    account, account_chosen = charge.account, charge.account_chosen
    if row is not None and row.account and not own_account:
        account = _account(basis, "tax_types", row.account)
        account_chosen = Chosen("account_of_tax_row", "tax_types", row)
    charge = replace(
        charge,
        account=account,
        account_chosen=account_chosen,
        tax=_sale_tax(basis, sold.name, rate, row, account),
        percent=rate,
        rate_chosen=rate_chosen,
        note=_contradiction(basis, sold, rate),
    )
    return _without_its_tax(charge, rate) if row is not None and row.reverse_charge else charge


def _untaxed_sale(basis: _Basis, charge: _Charge, sold: _Sold) -> _Charge:
    """A charge of an organisation that pays no tax: the order's price with its tax, however the order tells it."""
    if charge.gross is not None or not sold.stated or basis.settings.invoice_price == "trade":
        return charge
    return replace(charge, gross=_with_tax(cast(Decimal, charge.net), sold.stated), derived=True)


def _without_its_tax(charge: _Charge, rate: Decimal) -> _Charge:
    """The charge billed net, and how much tax of the order's that leaves out."""
    gross = charge.gross if charge.gross is not None else _with_tax(cast(Decimal, charge.net), rate)
    net = charge.net if charge.net is not None else _without_tax(gross, rate)
    left_out = charge.quantity * (gross - net)
    return replace(charge, net=net, gross=None, derived=charge.net is None, left_out=left_out)


def _cost_charges(basis: _Basis, untracked_items: frozenset[str]) -> list[_Charge]:
    charges = []
    for name, line in _kept_lines(basis):
        if line.cost is None:
            raise basis.stop("missing_cost", line=name, field="unit cost")
        code = item_code(line.sku)
        # Only tracked items may be booked to an inventory account.
        tracked = code is not None and code not in untracked_items
        setting = "inventory_asset_account_code" if tracked else "cogs_account_code"
        account = _account(basis, setting)
        chosen, by = _chosen_for_purchases(basis, _sold(name, line))
        charges.append(
            _Charge(
                name=name,
                description=_description(line),
                item_code=code,
                quantity=line.quantity,
                net=line.cost,
                gross=None,
                account=account,
                tax=_purchase_tax(basis, account, chosen, by),
                account_chosen=Chosen("tracked_item" if tracked else "no_tracked_item", setting),
                price_chosen=_COST,
                tax_chosen=bool(chosen) or not basis.organisation.pays_tax,
            )
        )
    return charges


def _line_amount_types(basis: _Basis) -> tuple[LineAmountTypes, Chosen]:
    settings, order = basis.settings, basis.order
    if not basis.organisation.pays_tax:
        return "NoTax", Chosen("no_tax")
    # Trade prices never carry tax, so there is nothing inclusive to show.
    if settings.invoice_price == "trade":
        return "Exclusive", Chosen("trade_without_tax", "invoice_price")
    if settings.line_amounts != "auto":
        mode: LineAmountTypes = "Exclusive" if settings.line_amounts == "exclusive" else "Inclusive"
        return mode, Chosen("amounts_setting", "line_amounts")
    shipping_inclusive = order.shipping.price_inc_tax is not None or not order.shipping.price
    lines_inclusive = all(line.price_inc_tax is not None for line in order.lines if not line.cancelled)
    if lines_inclusive and shipping_inclusive:
        return "Inclusive", Chosen("all_with_tax", "line_amounts")
    return "Exclusive", Chosen("not_all_with_tax", "line_amounts")


# --- Xero's arithmetic -------------------------------------------------------------------------------------------


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def is_tie(amount: Decimal) -> bool:
    """Whether an amount lies exactly on half a cent, where Xero's rounding is not documented."""
    return abs(amount) * 1000 % 10 == 5


def _with_tax(net: Decimal, rate: Decimal) -> Decimal:
    return net * (1 + rate / HUNDRED)


def _without_tax(gross: Decimal, rate: Decimal) -> Decimal:
    return gross / (1 + rate / HUNDRED)


def raw_tax(line: Decimal, rate: Decimal, mode: LineAmountTypes) -> Decimal:
    """Tax on a line's amount in cents, before it is rounded."""
    if mode == "Exclusive":
        return line * rate / HUNDRED
    return line * rate / (HUNDRED + rate) if mode == "Inclusive" else Decimal(0)


@dataclass(frozen=True)
class _Due:
    """What the order says a charge comes to: its net and its tax in cents, and its exact share in the total."""

    net: Decimal
    tax: Decimal
    share: Decimal

    @classmethod
    def of(cls, charge: _Charge, compare: Figure) -> _Due:
        quantity, rate = charge.quantity, charge.tax.rate
        if charge.gross is not None:
            exact = quantity * charge.gross
            tax = cents(raw_tax(cents(exact), rate, "Inclusive"))
            return cls(cents(exact) - tax, tax, exact)
        exact = quantity * cast(Decimal, charge.net)
        tax = cents(raw_tax(cents(exact), rate, "Exclusive"))
        return cls(cents(exact), tax, exact + tax if compare == "Total" else exact)


@dataclass(frozen=True)
class _PricedLine:
    """A charge as it goes to Xero, and what Xero makes of it."""

    quantity: Decimal
    unit_amount: Decimal
    tax_amount: Decimal | None
    """Stated only where Xero would work out another tax, or would have to round half a cent."""
    net: Decimal
    tax: Decimal
    certain: bool
    """Whether the line comes to its amount whichever way Xero rounds half a cent."""
    tax_certain: bool
    """The same of its tax. If not, the tax is taken as rounded half up."""
    retold: bool = False
    """It has quantity 1; the order's quantity and price are in the description."""

    def comes_to(self, due: _Due) -> bool:
        return self.certain and (self.net, self.tax) == (due.net, due.tax)


def _line(quantity: Decimal, unit: Decimal, rate: Decimal, mode: LineAmountTypes, due: _Due) -> _PricedLine:
    """What Xero makes of a quantity and a unit amount of 4 decimals."""
    line = cents(quantity * unit)
    xeros = raw_tax(line, rate, mode)
    tax = due.tax if line == (due.net if mode == "Exclusive" else due.net + due.tax) else cents(xeros)
    stated = None
    if is_tie(xeros) or cents(xeros) != tax:
        # Xero's documentation adds that a stated tax amount cannot exceed the unit amount.
        stated = tax if abs(tax) <= abs(unit) else None
        tax = cents(xeros) if stated is None else tax
    net = line if mode == "Exclusive" else line - tax
    tax_certain = stated is not None or not is_tie(xeros)
    return _PricedLine(quantity, unit, stated, net, tax, not is_tie(quantity * unit), tax_certain)


def _prices(charge: _Charge, mode: LineAmountTypes) -> Iterator[tuple[Decimal, bool]]:
    """The unit prices a line can show, and whether each was worked out here. The order's own comes first."""
    net, gross, rate = charge.net, charge.gross, charge.tax.rate
    if mode != "Exclusive":
        yield (gross, charge.derived) if gross is not None else (_with_tax(cast(Decimal, net), rate), True)
        return
    if net is not None:
        yield net, charge.derived
    if gross is not None:
        # If the order's net price was rounded too far, one worked out from the gross is nearer.
        yield _without_tax(gross, rate), True


def _priced(charge: _Charge, mode: LineAmountTypes, due: _Due) -> tuple[_PricedLine, ...]:
    """The line, or two, that come to the charge's net and tax in Xero, whichever way it rounds half a cent.

    A price that Xero cannot hold becomes quantity 1 at the line's value. An item keeps its quantity, because Xero
    counts stock by it (in a purchase order: once it is copied to a bill). Its unit amount is changed by as little as
    possible instead, but never for half a cent in the tax alone. If no unit amount fits, there are two lines.
    """
    rate = charge.tax.rate
    for unit, reckoned in _prices(charge, mode):
        price = unit.quantize(PRICE_STEP, ROUND_HALF_UP)
        held = decimals(charge.quantity) <= 4 and (reckoned or abs(unit - price) < noise(unit))
        line = _line(charge.quantity, price, rate, mode, due)
        if held and line.comes_to(due) and (line.tax_certain or charge.item_code is not None):
            return (line,) if line.tax_certain else _in_two(charge, mode, due, _alike(price)) or (line,)
    if charge.item_code is None:
        return (replace(_line(Decimal(1), _value(due, mode), rate, mode, due), retold=True),)

    def distance(line: _PricedLine) -> tuple[bool, Decimal, Decimal]:
        off = abs(line.net - due.net) + abs(line.tax - due.tax)
        return not (line.certain and line.tax_certain), off, abs(line.unit_amount - unit)

    steps = (price + PRICE_STEP * step for step in range(-100, 101))
    nearest = min((_line(charge.quantity, one, rate, mode, due) for one in steps), key=distance)
    if nearest.comes_to(due):
        return (nearest,)
    ways = itertools.chain(_apart(charge.quantity, _value(due, mode)), _alike(price))
    return _in_two(charge, mode, due, ways) or (nearest,)


_Way = tuple[Decimal, Decimal, int]
"""The price of the first pieces, that of the rest, and about how many are first."""


def _alike(price: Decimal) -> list[_Way]:
    return [(price, price, pieces) for pieces in range(PIECES_TRIED, 5 * PIECES_TRIED, 2 * PIECES_TRIED)]


def _apart(quantity: Decimal, value: Decimal) -> Iterator[_Way]:
    """Two prices, the nearest first, that make the value between them."""
    below = (value / quantity).quantize(PRICE_STEP, ROUND_FLOOR)
    for apart in range(1, MOST_STEPS_APART + 1):
        for under in range(apart):
            low, high = below - PRICE_STEP * under, below + PRICE_STEP * (apart - under)
            dearer = (value - quantity * low) / (high - low)
            yield high, low, int(dearer)
            yield low, high, int(quantity - dearer)


def _value(due: _Due, mode: LineAmountTypes) -> Decimal:
    """The amount of the line in Xero."""
    return due.net if mode == "Exclusive" else due.net + due.tax


def _in_two(
    charge: _Charge, mode: LineAmountTypes, due: _Due, ways: Iterable[_Way]
) -> tuple[_PricedLine, ...]:
    """Two lines of the item that come to what is due; none if there are no such two.

    Two that do not state their tax are preferred. The first line has whole pieces only.
    """
    quantity, rate = charge.quantity, charge.tax.rate
    found: tuple[_PricedLine, ...] = ()
    for first, rest, about in ways:
        for pieces in range(max(1, about - PIECES_TRIED), min(int(quantity), about + PIECES_TRIED)):
            others = _line(quantity - pieces, rest, rate, mode, due)
            left = _Due(due.net - others.net, due.tax - others.tax, due.share)
            some = _line(Decimal(pieces), first, rate, mode, left)
            if some.comes_to(left) and some.tax_certain and others.certain and others.tax_certain:
                found = found or (some, others)
                if some.tax_amount is others.tax_amount is None:
                    return some, others
    return found


def _line_reasons(charge: _Charge, line: _PricedLine, mode: LineAmountTypes) -> LineReasons:
    shown: Literal["as_sent", "worked_out", "whole_line", "adjusted"] = "adjusted"
    if line.retold:
        shown = "whole_line"
    for unit, reckoned in _prices(charge, mode):
        if shown == "adjusted" and line.unit_amount == unit.quantize(PRICE_STEP, ROUND_HALF_UP):
            shown = "worked_out" if reckoned else "as_sent"
    return LineReasons(
        account=charge.account_chosen,
        tax=charge.tax.chosen,
        rate=charge.rate_chosen,
        price=charge.price_chosen,
        net=charge.net,
        gross=charge.gross,
        percent=charge.percent,
        quantity=charge.quantity,
        derived=charge.derived,
        shown=shown,
    )


@dataclass(frozen=True)
class _Totals:
    line_items: list[dict[str, Any]]
    figures: Figures
    notes: tuple[str, ...]
    made_from: tuple[tuple[_Charge, _PricedLine], ...]


def _totals(
    basis: _Basis, charges: list[_Charge], kind: DocumentKind, mode: LineAmountTypes, compare: Figure
) -> _Totals:
    """The line items, and the document's figures beside the order's."""
    line_items: list[dict[str, Any]] = []
    made_from: list[tuple[_Charge, _PricedLine]] = []
    share = net = Decimal(0)
    taxes, order_taxes = defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal)
    for charge in charges:
        _check_size(basis, charge)
        due = _Due.of(charge, compare)
        priced = _priced(charge, mode, due)
        line_net, line_tax = sum(line.net for line in priced), sum(line.tax for line in priced)
        in_xero = line_net + line_tax if compare == "Total" else line_net
        _check_difference(basis, kind, charge.name, theirs=due.share, ours=Decimal(in_xero), limit=CENT)
        line_items += [_line_item(charge, line, mode, basis.settings) for line in priced]
        made_from += [(charge, line) for line in priced]
        share += due.share
        net += line_net
        taxes[charge.tax.type or ""] += line_tax
        order_taxes[charge.tax.type or ""] += due.tax
    total = net + sum(taxes.values())
    if total < 0:
        raise basis.stop("negative_total", total=str(total), document=DOCUMENT_KINDS[kind].words)
    order_total, in_xero = cents(share), total if compare == "Total" else net
    limit = len(charges) * (CENT if mode == "Exclusive" else HALF_A_CENT) + HALF_A_CENT
    _check_difference(basis, kind, "it", theirs=order_total, ours=in_xero, limit=limit)
    difference = order_total - in_xero
    billed = in_xero if basis.settings.rounding == "show" else order_total
    notes = [*_tax_notes(taxes, order_taxes), *_charge_notes(charges, billed, share)]
    if difference and basis.settings.rounding == "show":
        notes.append(
            f"Comes to {in_xero} in Xero and {order_total} on the order;"
            f" the difference of {abs(difference)} is from rounding."
        )
    elif difference:
        line_items.append(_rounding_line(basis, difference, mode))
        net, total = net + difference, total + difference
        notes.append(f"A rounding line of {difference} makes it {order_total}, as on the order.")
    figures = Figures(net, total, {kind: tax for kind, tax in taxes.items() if tax})
    return _Totals(line_items, figures, tuple(notes), tuple(made_from))


def _check_difference(
    basis: _Basis, kind: DocumentKind, what: str, *, theirs: Decimal, ours: Decimal, limit: Decimal
) -> None:
    difference = abs(theirs - ours)
    if difference > limit:
        raise basis.stop(
            "total_differs" if kind == "invoice" else "purchase_total_differs",
            what=what,
            ours=str(ours),
            theirs=with_cents(theirs),
            difference=with_cents(difference),
            limit=plain_number(limit),
        )


def _tax_notes(taxes: Mapping[str, Decimal], order_taxes: Mapping[str, Decimal]) -> Iterator[str]:
    for kind, tax in taxes.items():
        if tax != order_taxes[kind]:
            yield f"The tax with {kind} comes to {tax} in Xero and to {order_taxes[kind]} on the order's lines."


def _charge_notes(charges: list[_Charge], billed: Decimal, share: Decimal) -> Iterator[str]:
    """`share` is the exact sum of what is billed, so that the order with its tax is rounded once."""
    yield from (charge.note for charge in charges if charge.note)
    left_out = sum((charge.left_out for charge in charges), Decimal(0))
    if cents(left_out):
        yield (
            f"Billed without tax, as a row of “Tax rates” says. The invoice is over {billed}; the order with its tax"
            f" comes to {cents(share + left_out)}."
        )


def _check_size(basis: _Basis, charge: _Charge) -> None:
    prices = [abs(price) for price in (charge.net, charge.gross) if price is not None]
    largest = max(prices) * charge.quantity
    largest_with_tax = max(largest, _with_tax(largest, charge.tax.rate))
    characters = len(format(charge.quantity.normalize(), "f"))
    if charge.quantity < 0 or (charge.item_code is not None and decimals(charge.quantity) > 4):
        raise basis.stop("bad_quantity", field=f"the quantity of {charge.name}", value=str(charge.quantity))
    if (
        largest_with_tax > LARGEST_LINE
        or max(prices) > LARGEST_LINE
        or (decimals(charge.quantity) <= 4 and characters > MOST_QUANTITY_CHARACTERS)
    ):
        raise basis.stop("amount_too_large", line=charge.name, amount=f"{charge.quantity} × {max(prices)}")


def _price_words(charge: _Charge, mode: LineAmountTypes) -> str:
    """The order's own unit price, as near to the kind of price the document shows as the order has it."""
    net, gross = charge.net, charge.gross
    if charge.derived:
        net, gross = (price and price.quantize(PRICE_STEP) for price in (net, gross))
    if net is not None and (mode == "Exclusive" or gross is None):
        return plain_number(net) + (" without tax" if mode == "Inclusive" else "")
    return plain_number(cast(Decimal, gross)) + (" with tax" if mode == "Exclusive" else "")


def _line_item(
    charge: _Charge, priced: _PricedLine, mode: LineAmountTypes, settings: Settings
) -> dict[str, Any]:
    description = charge.description
    if priced.retold:
        description = retold(description, charge.quantity, _price_words(charge, mode))
    return {
        "Description": description,
        "Quantity": priced.quantity,
        "UnitAmount": priced.unit_amount,
        **({"ItemCode": charge.item_code} if charge.item_code is not None else {}),
        "AccountCode": charge.account.code,
        **({"TaxType": charge.tax.type} if charge.tax.type is not None else {}),
        **({"TaxAmount": priced.tax_amount} if priced.tax_amount is not None else {}),
        **_tracking(settings),
    }


def rounding_line(
    order: Order, settings: Settings, organisation: Organisation, difference: Decimal, mode: LineAmountTypes
) -> dict[str, Any]:
    """A line of so much on the organisation's rounding account. Raises OrderStopped."""
    return _rounding_line(_Basis(order, settings, organisation), difference, mode)


def retold(description: str, quantity: Decimal, price: str) -> str:
    """The description of a line of quantity 1 that stands for a quantity at a price."""
    retelling = f" ({plain_number(quantity)} × {price})"
    return _cut(description, LONGEST_DESCRIPTION - _length(retelling)) + retelling


def _rounding_line(basis: _Basis, difference: Decimal, mode: LineAmountTypes) -> dict[str, Any]:
    account = basis.organisation.rounding_account
    if account is None:
        raise basis.stop(
            "no_rounding_account", difference=str(difference), organisation=basis.organisation.name
        )
    return {
        "Description": "Rounding",
        "Quantity": Decimal(1),
        "UnitAmount": difference,
        "AccountCode": account.code,
        **({} if mode == "NoTax" else {"TaxType": _untaxed(basis, account, difference)}),
    }


def _untaxed(basis: _Basis, account: Account, difference: Decimal) -> str:
    """The tax type of a rounding line: the account's own if it is 0 %, else what stands for no tax at all."""
    fitting = basis.organisation.fitting_tax_rates(account.account_class, Decimal(0))
    of_rows = (
        row.tax_type for row in basis.settings.tax_types if row.rate == "0" and row.ships_to == ANYWHERE
    )
    for tax_type in (account.tax_type, "NONE", "BASEXCLUDED", *of_rows):
        if any(rate.tax_type == tax_type for rate in fitting):
            return tax_type
    raise basis.stop(
        "no_rounding_tax_type",
        difference=str(difference),
        account=account.code,
        choices=_choices(fitting),
    )


# --- text --------------------------------------------------------------------------------------------------------


def _description(line: OrderLine) -> str:
    parts = (line.description, line.sku, line.colour, line.size)
    return clean(
        ", ".join(text.strip() for text in parts if text.strip()) or f"Item {line.id}", LONGEST_DESCRIPTION
    )


def clean(text: str, longest: int | None = None) -> str:
    """Text as it may stand in a bookkeeper's program and in a spreadsheet exported from it.

    Composed characters; no control, direction, zero-width or non-characters, but for the joiners that Persian and
    emoji are written with; single spaces; no beginning that a spreadsheet takes for a formula, full-width ones too;
    cut at a whole character to `longest` of Xero's characters.
    """
    # nearly every text is plain ASCII, which hides nothing
    visible = text if text.isascii() and text.isprintable() else _visible(text)
    spaced = " ".join(visible.split())
    begins = unicodedata.normalize("NFKC", spaced[:1])
    harmless = f"'{spaced}" if begins.startswith(("=", "+", "-", "@")) else spaced
    return harmless if longest is None else _cut(harmless, longest)


def _visible(text: str) -> str:
    composed = unicodedata.normalize("NFC", text)
    shown = "".join(char for char in composed if char.isspace() or char in _JOINERS or not _is_hidden(char))
    return _USELESS_JOINER.sub("", _JOINERS_IN_A_ROW.sub(r"\1", shown))


_JOINERS: Final = "\u200c\u200d"
_JOINERS_IN_A_ROW: Final = re.compile(rf"([{_JOINERS}])[{_JOINERS}]+")
# what is written with joiners lies beyond ASCII, on both sides of them
_USELESS_JOINER: Final = re.compile(rf"(?<![^\x00-\x7f\s])[{_JOINERS}]|[{_JOINERS}](?![^\x00-\x7f\s])")


def _is_hidden(char: str) -> bool:
    code = ord(char)
    noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return noncharacter or unicodedata.category(char) in ("Cc", "Cf", "Cs")


def _length(text: str) -> int:
    """Characters as Xero counts them: UTF-16 code units."""
    return len(text) if text.isascii() else len(text) + sum(ord(char) > 0xFFFF for char in text)


def _cut(text: str, longest: int) -> str:
    """The text, or its beginning with an ellipsis."""
    if _length(text) <= longest:
        return text
    return _beginning(text, longest - 1).rstrip() + "…" if longest > 0 else ""


def _beginning(text: str, longest: int) -> str:
    """The first characters of a longer text, without parting a letter from its accents."""
    kept = text[:longest]
    while _length(kept) > longest:
        kept = kept[:-1]
    while kept and (_joins_the_previous(text[len(kept)]) or kept[-1] in _JOINERS):
        kept = kept[:-1]
    return kept


def _joins_the_previous(char: str) -> bool:
    return unicodedata.category(char).startswith("M") or 0x1F3FB <= ord(char) <= 0x1F3FF or char in _JOINERS

"""An order, a company's settings and its organisation become Xero's documents and items.

Everything here raises OrderStopped with a Problem where the order cannot be posted as it is. Amounts are exact
decimals from the order to the wire. A document's total is foreseen with Xero's own arithmetic: a unit price of at most
4 decimals times the quantity, rounded to cents; tax for each line, rounded to cents; then summed. Xero does not say
which way it rounds half a cent, so no document leaves here whose total depends on it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any, Final, Literal, cast

from bookkeeping.domain.amounts import plain_number
from bookkeeping.domain.contacts import Contact
from bookkeeping.domain.document_kinds import DOCUMENT_KINDS, DocumentKind
from bookkeeping.domain.orders import Order, OrderLine
from bookkeeping.domain.organisation import Account, Organisation, TaxRate
from bookkeeping.domain.problems.problem import OrderStopped, Problem
from bookkeeping.domain.settings import Settings

__all__ = [
    "Document",
    "DocumentKind",
    "carries_ref",
    "clean",
    "document_date",
    "document_number",
    "item_code",
    "purchase_order",
    "reference",
    "sales_invoice",
    "skip_reason",
    "tracked_items",
    "waits_for_dispatch",
    "wants",
]

LineAmountTypes = Literal["Exclusive", "Inclusive", "NoTax"]
Figure = Literal["Total", "SubTotal"]

# Wide enough that sums and products of an order's numbers are exact.
EXACT: Final = Context(prec=120, rounding=ROUND_HALF_UP)
CENT: Final = Decimal("0.01")
PRICE_STEP: Final = Decimal("0.0001")
HUNDRED: Final = Decimal(100)
LARGEST_LINE: Final = Decimal("9999999999.99")
LARGEST_ROUNDING: Final = Decimal("0.05")
MOST_QUANTITY_CHARACTERS: Final = 13
LONGEST_DESCRIPTION: Final = 4000
LONGEST_REFERENCE: Final = 255
LONGEST_ITEM_NAME: Final = 50
LONGEST_ITEM_CODE: Final = 30
MOST_CHOICES_NAMED: Final = 12


@dataclass(frozen=True)
class Document:
    """A document as Xero takes it, and what it has to come to."""

    kind: DocumentKind
    number: str
    body: dict[str, Any]
    """Xero's JSON; every amount a Decimal."""
    compare: Figure
    """Which of Xero's figures is to equal the order's."""
    order_total: Decimal
    """What the order says, 2 decimals."""
    expected_total: Decimal
    """What Xero's figure will be; differs from order_total only where the settings say to show a difference."""
    notes: tuple[str, ...]
    """What a person should know about the document, in words."""


# --- which documents, and when -----------------------------------------------------------------------------------


def wants(order: Order, settings: Settings) -> tuple[DocumentKind, ...]:
    """The documents an order needs, in the order they are sent."""
    invoice: tuple[DocumentKind, ...] = () if order.free_of_charge else ("invoice",)
    return ("purchase_order", *invoice) if settings.process_method == "tracked" else invoice


def skip_reason(order: Order, settings: Settings) -> str | None:
    """Why an order is not posted (a code of problems.SKIPPED), or None."""
    if order.disposition != "live":
        return order.disposition
    if not settings.enabled:
        return "integration_off"
    if settings.start_from is not None and order.sold_on < settings.start_from:
        return "before_start"
    if order.lines and all(line.cancelled for line in order.lines):
        return "all_lines_cancelled"
    return None if wants(order, settings) else "free_of_charge"


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
    with localcontext(EXACT):
        dated = _dated(order, settings, organisation, sent_on)
        trade = settings.invoice_price == "trade"
        mode = _line_amount_types(order, settings, organisation)
        charges = _sale_charges(order, settings, organisation)
        compare: Figure = "SubTotal" if trade else "Total"
        totals = _totals(
            charges,
            kind="invoice",
            mode=mode,
            compare=compare,
            order=order,
            settings=settings,
            organisation=organisation,
        )
        body: dict[str, Any] = {
            "Type": "ACCREC",
            "Status": "DRAFT" if as_draft else settings.invoice_status,
            "InvoiceNumber": number,
            "Reference": reference(order, true_date=dated.moved_from),
            "Contact": {"ContactID": contact.id},
            "Date": dated.on.isoformat(),
            "DueDate": _due_on(order, settings, dated.on).isoformat(),
            "CurrencyCode": _currency(order, settings, organisation),
            **_branding(settings),
            "LineAmountTypes": mode,
            "LineItems": totals.line_items,
        }
        draft_note = (
            ("Created as a draft, because Xero has too little stock to approve it.",) if as_draft else ()
        )
        return Document(
            "invoice",
            number,
            body,
            compare,
            totals.order_total,
            totals.expected_total,
            (*draft_note, *dated.notes, *totals.notes),
        )


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
    with localcontext(EXACT):
        dated = _dated(order, settings, organisation, sent_on)
        mode: LineAmountTypes = "Exclusive" if organisation.pays_tax else "NoTax"
        charges = _cost_charges(order, settings, organisation, untracked_items)
        totals = _totals(
            charges,
            kind="purchase_order",
            mode=mode,
            compare="SubTotal",
            order=order,
            settings=settings,
            organisation=organisation,
        )
        body: dict[str, Any] = {
            "PurchaseOrderNumber": number,
            "Status": settings.purchase_order_status,
            "Reference": reference(order, true_date=dated.moved_from),
            "Contact": {"ContactID": contact.id},
            "Date": dated.on.isoformat(),
            "CurrencyCode": _currency(order, settings, organisation),
            **_branding(settings),
            "LineAmountTypes": mode,
            "LineItems": totals.line_items,
        }
        return Document(
            "purchase_order",
            number,
            body,
            "SubTotal",
            totals.order_total,
            totals.expected_total,
            (*dated.notes, *totals.notes),
        )


def tracked_items(order: Order, settings: Settings, organisation: Organisation) -> tuple[dict[str, Any], ...]:
    """Xero's Item for each distinct item code of the order; the two accounts are what makes an item tracked."""
    cogs = _account(order, settings, organisation, "cogs_account_code")
    asset = _account(order, settings, organisation, "inventory_asset_account_code")
    items: dict[str, dict[str, Any]] = {}
    for _, line in _kept_lines(order):
        code = item_code(line.sku)
        if code is not None and code not in items:
            items[code] = {
                "Code": code,
                "Name": clean(line.description or line.sku, LONGEST_ITEM_NAME),
                "Description": _description(line),
                "PurchaseDescription": _description(line),
                "InventoryAssetAccountCode": asset.code,
                "PurchaseDetails": {"COGSAccountCode": cogs.code},
                "SalesDetails": {"AccountCode": _sales_account(order, line.sku, settings, organisation).code},
            }
    return tuple(items.values())


# --- numbers and references --------------------------------------------------------------------------------------


def document_number(prefix: str, order_id: str) -> str:
    """The number of an order's invoice and of its purchase order."""
    return prefix + order_id


def item_code(sku: str) -> str | None:
    """Xero's item code for a sku, at most 30 characters; None without a sku.

    A longer sku keeps its first 21 characters, and the hash keeps it apart from others that begin alike.
    """
    code = clean(sku)
    if not code or _length(code) <= LONGEST_ITEM_CODE:
        return code or None
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
    moved_from: date | None = None
    notes: tuple[str, ...] = ()


def _dated(order: Order, settings: Settings, organisation: Organisation, sent_on: date) -> _Dated:
    """The documents' date. A purchase order follows lock dates too, so that no order ends up half posted."""
    on = document_date(order, settings, sent_on)
    open_day = organisation.next_open_day(on)
    if open_day == on:
        return _Dated(on)
    if settings.lock_date_action == "hold":
        raise _stopped("date_locked", order, date=on.isoformat(), lock_date=str(organisation.lock_date))
    return _Dated(
        open_day,
        on,
        (f"Dated {open_day}, the first open day; the order's own date {on} is in a locked period in Xero.",),
    )


def document_date(order: Order, settings: Settings, sent_on: date) -> date:
    """The day an order's documents have, lock dates apart."""
    return order.sold_on if settings.post_when == "arrival" else order.completed_on or sent_on


def _due_on(order: Order, settings: Settings, on: date) -> date:
    try:
        return on + timedelta(days=settings.payment_terms_days)
    except OverflowError:
        raise _stopped("bad_date", order, field="sale_datetime", value=on.isoformat()) from None


def _currency(order: Order, settings: Settings, organisation: Organisation) -> str:
    code = order.currency or settings.currency or organisation.base_currency
    if not organisation.has_currency(code):
        raise _stopped("currency_not_enabled", order, currency=code, organisation=organisation.name)
    return code


def _branding(settings: Settings) -> dict[str, str]:
    return {"BrandingThemeID": settings.branding_theme_id} if settings.branding_theme_id else {}


def _tracking(settings: Settings) -> dict[str, Any]:
    return (
        {"Tracking": [dict(one) for one in settings.tracking_categories]}
        if settings.tracking_categories
        else {}
    )


# --- accounts and tax --------------------------------------------------------------------------------------------

_WANTED: Final[dict[str, tuple[str, Callable[[Account], bool]]]] = {
    "sales_account_code": ("a revenue account", lambda account: account.account_class == "REVENUE"),
    "sales_accounts_by_sku_prefix": ("a revenue account", lambda account: account.account_class == "REVENUE"),
    "shipping_account_code": ("a revenue account", lambda account: account.account_class == "REVENUE"),
    "cogs_account_code": ("an expense account", lambda account: account.account_class == "EXPENSE"),
    "inventory_asset_account_code": ("an inventory account", lambda account: account.type == "INVENTORY"),
}


def _account(
    order: Order, settings: Settings, organisation: Organisation, setting: str, code: str | None = None
) -> Account:
    """The account a setting names (or `code`, for a setting that names several), if Xero can use it there."""
    code = getattr(settings, setting) if code is None else code
    label = settings.label(setting)
    if not code:
        raise _stopped("setting_missing", order, setting=setting, label=label)
    account = organisation.account(code)
    about = {"setting": setting, "label": label, "account": code}
    if account is None:
        raise _stopped("account_not_found", order, **about, document="document of this kind")
    if account.status != "ACTIVE":
        raise _stopped("account_archived", order, **about)
    wanted, fits = _WANTED[setting]
    if not fits(account) or account.system_account or account.type == "BANK":
        raise _stopped(
            "account_not_fitting", order, **about, account_type=account.name or account.type, wanted=wanted
        )
    return account


def _sales_account(order: Order, sku: str, settings: Settings, organisation: Organisation) -> Account:
    accounts, sku = settings.sales_accounts_by_sku_prefix, sku.strip()
    prefixes = [prefix for prefix in accounts if sku.casefold().startswith(prefix.casefold())]
    if not prefixes:
        return _account(order, settings, organisation, "sales_account_code")
    # the longest; of two that differ in capitals only, the one that is written like the sku
    code = accounts[max(prefixes, key=lambda prefix: (len(prefix), sku.startswith(prefix)))]
    return _account(order, settings, organisation, "sales_accounts_by_sku_prefix", code)


@dataclass(frozen=True)
class _Tax:
    """How a line is taxed; `type` is None where the organisation pays no tax."""

    type: str | None
    rate: Decimal
    """Percent, as Xero reckons it."""


_NO_TAX: Final = _Tax(None, Decimal(0))


def _sale_tax(
    name: str,
    carried: Decimal | None,
    account: Account,
    order: Order,
    settings: Settings,
    organisation: Organisation,
    *,
    free: bool,
) -> _Tax:
    """The tax type for a sale, in this order: the settings' own, the account's own, the only one that fits.

    `name` is what problems call the thing; `carried` is the order's rate in percent.
    """
    if not organisation.pays_tax:
        return _NO_TAX
    own = organisation.tax_rate(account.tax_type)
    own = own if own is not None and own.fits(account.account_class) else None
    if free and own is not None and (carried is None or (carried == 0 and "0" not in settings.tax_types)):
        # Nothing is charged, so no tax is; a gift needs nobody to choose between zero-rated and exempt.
        return _Tax(own.tax_type, own.effective_rate)
    fitting = organisation.fitting_tax_rates(account.account_class)
    if carried is None:
        raise _stopped("missing_rate", order, line=name)
    rate = carried.quantize(PRICE_STEP)
    mapped = settings.tax_types.get(plain_number(rate))
    if mapped is not None:
        found = organisation.tax_rate(mapped)
        if found is None or not found.fits(account.account_class):
            raise _stopped(
                "tax_type_not_usable",
                order,
                rate=f"{plain_number(rate)} %",
                tax_type=mapped,
                account=account.code,
            )
        return _Tax(mapped, found.effective_rate)
    if own is not None and own.effective_rate == rate:
        return _Tax(own.tax_type, rate)
    matching = organisation.fitting_tax_rates(account.account_class, rate)
    if len(matching) != 1:
        raise _stopped(
            "several_tax_types" if matching else "no_tax_type",
            order,
            line=name,
            rate=plain_number(rate),
            choices=_choices(matching or fitting),
        )
    return _Tax(matching[0].tax_type, rate)


def _purchase_tax(account: Account, order: Order, settings: Settings, organisation: Organisation) -> _Tax:
    if not organisation.pays_tax:
        return _NO_TAX
    tax_type = settings.purchase_tax_type or account.tax_type
    if not tax_type:
        raise _stopped("no_purchase_tax_type", order, account=account.code)
    found = organisation.tax_rate(tax_type)
    if settings.purchase_tax_type and (found is None or not found.fits(account.account_class)):
        raise _stopped("purchase_tax_type_not_usable", order, tax_type=tax_type, account=account.code)
    return _Tax(tax_type, found.effective_rate if found else Decimal(0))


def _choices(rates: Iterable[TaxRate]) -> str:
    named = [f"{rate.name} ({rate.tax_type}, {plain_number(rate.effective_rate)} %)" for rate in rates]
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


def _kept_lines(order: Order) -> list[tuple[str, OrderLine]]:
    """The lines that are not cancelled, with what problems call them."""
    kept = [
        (f"line {place}" + (f" ({clean(line.sku, 60)})" if line.sku.strip() else ""), line)
        for place, line in enumerate(order.lines, start=1)
        if not line.cancelled
    ]
    if not kept:
        raise _stopped("no_lines", order)
    return kept


def _sale_charges(order: Order, settings: Settings, organisation: Organisation) -> list[_Charge]:
    trade = settings.invoice_price == "trade"
    charges = []
    for name, line in _kept_lines(order):
        if trade and line.cost is None:
            raise _stopped("missing_price", order, line=name, field="unit cost (the trade price)")
        if not trade and line.price is None and line.price_inc_tax is None:
            raise _stopped("missing_price", order, line=name, field="sale price")
        account = _sales_account(order, line.sku, settings, organisation)
        charges.append(
            _Charge(
                name=name,
                description=_description(line),
                # Xero refuses the code of an item that it does not have, and only Tracked adds items.
                item_code=item_code(line.sku) if settings.process_method == "tracked" else None,
                quantity=line.quantity,
                net=line.cost if trade else line.price,
                gross=None if trade else line.price_inc_tax,
                account=account,
                tax=_sale_tax(
                    name,
                    line.tax_rate,
                    account,
                    order,
                    settings,
                    organisation,
                    free=all(
                        not price for price in ((line.cost,) if trade else (line.price, line.price_inc_tax))
                    ),
                ),
            )
        )
    return [*charges, *_shipping_charge(order, settings, organisation)]


def _shipping_charge(order: Order, settings: Settings, organisation: Organisation) -> list[_Charge]:
    shipping = order.shipping
    if not shipping.price and not shipping.price_inc_tax:
        return []
    setting = "shipping_account_code" if settings.shipping_account_code else "sales_account_code"
    account = _account(order, settings, organisation, setting)
    tax = _sale_tax("the shipping", shipping.tax_rate, account, order, settings, organisation, free=False)
    net, gross = shipping.price, shipping.price_inc_tax
    if settings.invoice_price == "trade":
        net, gross = (_cents(_without_tax(gross, tax)) if net is None and gross is not None else net), None
    return [_Charge("the shipping", "Shipping", None, Decimal(1), net, gross, account, tax)]


def _cost_charges(
    order: Order, settings: Settings, organisation: Organisation, untracked_items: frozenset[str]
) -> list[_Charge]:
    charges = []
    for name, line in _kept_lines(order):
        if line.cost is None:
            raise _stopped("missing_cost", order, line=name, field="unit cost")
        code = item_code(line.sku)
        # Only tracked items may be booked to an inventory account.
        tracked = code is not None and code not in untracked_items
        account = _account(
            order, settings, organisation, "inventory_asset_account_code" if tracked else "cogs_account_code"
        )
        charges.append(
            _Charge(
                name=name,
                description=_description(line),
                item_code=code,
                quantity=line.quantity,
                net=line.cost,
                gross=None,
                account=account,
                tax=_purchase_tax(account, order, settings, organisation),
            )
        )
    return charges


def _line_amount_types(order: Order, settings: Settings, organisation: Organisation) -> LineAmountTypes:
    if not organisation.pays_tax:
        return "NoTax"
    # Trade prices never carry tax, so there is nothing inclusive to show.
    if settings.invoice_price == "trade" or settings.line_amounts == "exclusive":
        return "Exclusive"
    if settings.line_amounts == "inclusive":
        return "Inclusive"
    shipping = order.shipping
    shipping_inclusive = shipping.price_inc_tax is not None or not shipping.price
    lines_inclusive = all(line.price_inc_tax is not None for line in order.lines if not line.cancelled)
    return "Inclusive" if lines_inclusive and shipping_inclusive else "Exclusive"


# --- Xero's arithmetic -------------------------------------------------------------------------------------------


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def _is_tie(amount: Decimal) -> bool:
    """Whether an amount lies exactly on half a cent, where Xero's rounding is not documented."""
    return abs(amount) * 1000 % 10 == 5


def _places(number: Decimal) -> int:
    """Decimals a number needs, trailing zeros apart."""
    exponent = number.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _with_tax(net: Decimal, tax: _Tax) -> Decimal:
    return net * (1 + tax.rate / HUNDRED)


def _without_tax(gross: Decimal, tax: _Tax) -> Decimal:
    return gross / (1 + tax.rate / HUNDRED)


def _raw_tax(line: Decimal, rate: Decimal, mode: LineAmountTypes) -> Decimal:
    """Tax on a line's amount in cents, before it is rounded."""
    if mode == "Exclusive":
        return line * rate / HUNDRED
    return line * rate / (HUNDRED + rate) if mode == "Inclusive" else Decimal(0)


@dataclass(frozen=True)
class _PricedLine:
    """A charge as it goes to Xero, and what Xero makes of it."""

    quantity: Decimal
    unit_amount: Decimal
    tax_amount: Decimal | None
    """Stated only where Xero would have to round half a cent."""
    line: Decimal
    tax: Decimal
    retold: bool
    """The real quantity and price are in the text."""

    def figure(self, compare: Figure, mode: LineAmountTypes) -> Decimal:
        """What the line adds to one of Xero's figures."""
        if compare == "Total":
            return self.line + self.tax if mode == "Exclusive" else self.line
        return self.line - self.tax if mode == "Inclusive" else self.line


def _priced(
    charge: _Charge, unit: Decimal, mode: LineAmountTypes, *, derived: bool, states_tax: bool
) -> _PricedLine:
    """The quantity and unit amount whose line in Xero is the charge's value in cents, whichever way ties go.

    A price that Xero cannot hold becomes quantity 1 at the line's value. The line of an item keeps its quantity,
    because Xero counts stock by it, a purchase order's once it is copied to a bill; there the unit amount gives way by
    the least that serves.
    """
    value = _cents(charge.quantity * unit)
    price = unit.quantize(PRICE_STEP, ROUND_HALF_UP)
    product = charge.quantity * price
    carried_exactly = _places(charge.quantity) <= 4 and (derived or _places(unit) <= 4)
    faithful = carried_exactly and not _is_tie(product) and _cents(product) == value
    tie = states_tax and mode == "Exclusive" and _is_tie(_raw_tax(value, charge.tax.rate, mode))
    tax = _cents(_raw_tax(value, charge.tax.rate, mode))
    # Xero's documentation adds that a stated tax amount cannot exceed the unit amount.
    statable = not tie or abs(tax) <= abs(price)
    if faithful and statable:
        return _PricedLine(charge.quantity, price, tax if tie else None, value, tax, retold=False)
    if charge.item_code is None:
        return _PricedLine(Decimal(1), value, tax if tie else None, value, tax, retold=True)

    def outcome(unit_amount: Decimal) -> _PricedLine:
        line = _cents(charge.quantity * unit_amount)
        raw = _raw_tax(line, charge.tax.rate, mode)
        stated = _cents(raw) if states_tax and mode == "Exclusive" and _is_tie(raw) else None
        return _PricedLine(charge.quantity, unit_amount, stated, line, _cents(raw), retold=False)

    def distance(priced: _PricedLine) -> tuple[bool, Decimal, Decimal]:
        overstated = priced.tax_amount is not None and abs(priced.tax_amount) > abs(priced.unit_amount)
        return (
            overstated or _is_tie(priced.quantity * priced.unit_amount),
            abs(priced.line + priced.tax - value - tax),
            abs(priced.unit_amount - unit),
        )

    return min((outcome(price + PRICE_STEP * steps) for steps in range(-100, 101)), key=distance)


def _best_priced(
    charge: _Charge, mode: LineAmountTypes, compare: Figure, *, states_tax: bool
) -> tuple[_PricedLine, Decimal]:
    """The charge as it goes to Xero, and its exact share in the order's total."""

    def priced(unit: Decimal, *, derived: bool = False) -> _PricedLine:
        return _priced(charge, unit, mode, derived=derived, states_tax=states_tax)

    if charge.gross is None:
        net = cast(Decimal, charge.net)
        if mode == "Inclusive":
            unit = _with_tax(net, charge.tax)
            return priced(unit, derived=True), _cents(charge.quantity * unit)
        due = charge.quantity * net
        if compare == "Total" and mode == "Exclusive":
            # Where only the net price is carried, the order leaves its tax to Xero.
            due += _cents(_raw_tax(_cents(due), charge.tax.rate, mode))
        return priced(net), due
    due = charge.quantity * charge.gross
    if mode != "Exclusive":
        return priced(charge.gross), due
    ways = [priced(_without_tax(charge.gross, charge.tax), derived=True)]
    if charge.net is not None:
        # The carried net price comes first; where it was rounded too far, one derived from the gross is nearer.
        ways.insert(0, priced(charge.net))
    return min(ways, key=lambda way: abs(way.figure(compare, mode) - due)), due


@dataclass(frozen=True)
class _Totals:
    line_items: list[dict[str, Any]]
    order_total: Decimal
    expected_total: Decimal
    notes: tuple[str, ...]


def _totals(
    charges: list[_Charge],
    *,
    kind: DocumentKind,
    mode: LineAmountTypes,
    compare: Figure,
    order: Order,
    settings: Settings,
    organisation: Organisation,
) -> _Totals:
    """The line items, and the document's total beside the order's."""
    # Purchase orders are compared without tax, so only an invoice with tax in its comparison needs tax amounts stated.
    states_tax = compare == "Total"
    line_items: list[dict[str, Any]] = []
    exact_total = expected_total = grand_total = Decimal(0)
    notes: list[str] = []
    for charge in charges:
        _check_size(charge, order)
        priced, due = _best_priced(charge, mode, compare, states_tax=states_tax)
        line_items.append(_line_item(charge, priced, mode, settings))
        exact_total += due
        expected_total += priced.figure(compare, mode)
        grand_total += priced.figure("Total", mode)
    order_total = _cents(exact_total)
    if grand_total < 0:
        raise _stopped("negative_total", order, total=str(grand_total), document=DOCUMENT_KINDS[kind].words)
    difference = order_total - expected_total
    if abs(difference) > LARGEST_ROUNDING:
        raise _stopped(
            "total_differs" if kind == "invoice" else "purchase_total_differs",
            order,
            ours=str(expected_total),
            theirs=str(order_total),
            difference=str(abs(difference)),
        )
    if difference and settings.rounding == "show":
        notes.append(
            f"Comes to {expected_total} in Xero and {order_total} on the order;"
            f" the difference of {abs(difference)} is from rounding."
        )
    elif difference:
        line_items.append(_rounding_line(difference, mode, order, settings, organisation))
        expected_total = order_total
        notes.append(f"A rounding line of {difference} makes it {order_total}, as on the order.")
    return _Totals(line_items, order_total, expected_total, tuple(notes))


def _check_size(charge: _Charge, order: Order) -> None:
    prices = [abs(price) for price in (charge.net, charge.gross) if price is not None]
    largest = max(prices) * charge.quantity
    largest_with_tax = max(largest, _with_tax(largest, charge.tax))
    characters = len(format(charge.quantity.normalize(), "f"))
    if charge.quantity < 0 or (charge.item_code is not None and _places(charge.quantity) > 4):
        raise _stopped(
            "bad_quantity", order, field=f"the quantity of {charge.name}", value=str(charge.quantity)
        )
    if (
        largest_with_tax > LARGEST_LINE
        or max(prices) > LARGEST_LINE
        or (_places(charge.quantity) <= 4 and characters > MOST_QUANTITY_CHARACTERS)
    ):
        raise _stopped(
            "amount_too_large", order, line=charge.name, amount=f"{charge.quantity} × {max(prices)}"
        )


def _price_words(charge: _Charge, mode: LineAmountTypes) -> str:
    """The order's own unit price, as near to the kind of price the document shows as the order has it."""
    net, gross = charge.net, charge.gross
    if net is not None and (mode == "Exclusive" or gross is None):
        return plain_number(net) + (" without tax" if mode == "Inclusive" else "")
    return plain_number(cast(Decimal, gross)) + (" with tax" if mode == "Exclusive" else "")


def _line_item(
    charge: _Charge, priced: _PricedLine, mode: LineAmountTypes, settings: Settings
) -> dict[str, Any]:
    description = charge.description
    if priced.retold:
        retelling = f" ({plain_number(charge.quantity)} × {_price_words(charge, mode)})"
        description = _cut(description, LONGEST_DESCRIPTION - _length(retelling)) + retelling
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


def _rounding_line(
    difference: Decimal, mode: LineAmountTypes, order: Order, settings: Settings, organisation: Organisation
) -> dict[str, Any]:
    account = organisation.rounding_account
    if account is None:
        raise _stopped(
            "no_rounding_account", order, difference=str(difference), organisation=organisation.name
        )
    return {
        "Description": "Rounding",
        "Quantity": Decimal(1),
        "UnitAmount": difference,
        "AccountCode": account.code,
        **(
            {}
            if mode == "NoTax"
            else {"TaxType": _untaxed(account, difference, order, settings, organisation)}
        ),
    }


def _untaxed(
    account: Account, difference: Decimal, order: Order, settings: Settings, organisation: Organisation
) -> str:
    """The tax type of a rounding line: the account's own if it is 0 %, else what stands for no tax at all."""
    fitting = [rate.tax_type for rate in organisation.fitting_tax_rates(account.account_class, Decimal(0))]
    preferred = (account.tax_type, "NONE", "BASEXCLUDED", settings.tax_types.get("0", ""))
    found = [tax_type for tax_type in preferred if tax_type in fitting] or fitting
    if not found or (len(found) > 1 and found == fitting):
        raise _stopped(
            "no_rounding_tax_type",
            order,
            difference=str(difference),
            account=account.code,
            choices=_choices(organisation.fitting_tax_rates(account.account_class, Decimal(0))),
        )
    return found[0]


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
    composed = unicodedata.normalize("NFC", text)
    visible = "".join(char for char in composed if char.isspace() or char in _JOINERS or not _is_hidden(char))
    spaced = " ".join(_USELESS_JOINER.sub("", _JOINERS_IN_A_ROW.sub(r"\1", visible)).split())
    begins = unicodedata.normalize("NFKC", spaced[:1])
    harmless = f"'{spaced}" if begins.startswith(("=", "+", "-", "@")) else spaced
    return harmless if longest is None else _cut(harmless, longest)


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
    return len(text) + sum(ord(char) > 0xFFFF for char in text)


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


def _stopped(code: str, order: Order, **details: str) -> OrderStopped:
    return OrderStopped(Problem(code, {"order": order.id, **details}))

"""Why a document is as it is, in words: which field of the order, which rule, which setting and which version of it.

`documents` says which rule chose what. The words are made here, for the page alone, and nothing of them is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from bookkeeping.domain.amounts import plain_number, with_cents
from bookkeeping.domain.countries import place_words
from bookkeeping.domain.document_kinds import contact_setting
from bookkeeping.domain.documents import Chosen, Document, LineReasons, document_number
from bookkeeping.domain.orders import Order
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.settings import PurchaseTaxRow, Settings, TaxRow
from bookkeeping.domain.time_zones import is_as_written

About = Literal[
    "date",
    "due_date",
    "number",
    "contact",
    "status",
    "currency",
    "amounts",
    "account",
    "tax",
    "rate",
    "price",
]

WORDS: Final[Mapping[str, str]] = {
    # --- the date ---
    "sale_date": "The day of the sale{sent}, because orders are posted as they arrive ({setting}).",
    "completion_date": "The day of the completion{sent}, because orders are posted once dispatched ({setting}).",
    "message_date": "The day on which the platform first called the order dispatched. Orders are posted once"
    " dispatched ({setting}), and this one names no day of completion.",
    # --- the currency, and prices with or without tax ---
    "currency_of_order": "{currency}, as the order states it.",
    "currency_setting": "{currency}: setting {setting}.",
    "currency_of_books": "{currency}, the base currency of {organisation}: the order names none, and {clause} is"
    " empty.",
    "no_tax": "No tax: {organisation} is not registered for tax in Xero.",
    "trade_without_tax": "Prices without tax: setting {clause} says trade price, which carries none.",
    "amounts_setting": "Prices {with_tax} tax: setting {setting}.",
    "all_with_tax": "Prices with tax: the order carries them for every line and the shipping, and {clause} follows"
    " the order.",
    "not_all_with_tax": "Prices without tax: the order does not carry a price with tax for everything, and {clause}"
    " follows the order.",
    "costs_without_tax": "Prices without tax: unit costs carry none.",
    # --- accounts ---
    "account_setting": "Account {account}: setting {setting}.",
    "account_by_sku": "Account {account}: setting {setting}, for skus that begin with “{row}”.",
    "account_of_tax_row": "Account {account}: setting {setting}, row {row}.",
    "no_shipping_account": "Account {account}: setting {setting}, because “Shipping account” is empty.",
    "tracked_item": "Account {account}: setting {setting}, because the item is a tracked one.",
    "no_tracked_item": "Account {account}: setting {setting}, because the line has no tracked item.",
    "rounding_account": "Account {account}: Xero’s own account for rounding. Setting {clause} asks for such a line.",
    # --- tax ---
    "tax_row": "Tax {tax}: setting {setting}, row {row}.",
    "tax_row_without_tax": "Tax {tax}: setting {setting}, row {row}, which bills without the order’s tax.",
    "tax_of_account": "Tax {tax}: the account’s own tax rate in Xero.",
    "only_tax": "Tax {tax}: the only usual sales tax rate of that percentage in Xero.",
    "tax_of_nothing": "Tax {tax}: the line costs nothing, so no tax is due and the account’s usual tax rate is taken.",
    "purchase_tax_row": "Tax {tax}: setting {setting}, row {row}.",
    "purchase_tax_setting": "Tax {tax}: setting {setting}.",
    "tax_of_cogs": "Tax {tax}: the tax rate of account {cogs} in Xero, because {clause} is empty.",
    "no_tax_on_rounding": "Tax {tax}: a rounding line has no tax.",
    # --- the rate ---
    "stated": "Rate {rate} %, as the order states it.",
    "borne_out": "Rate {rate} %: the order states none that is in use here, and its prices{prices} fit this one only.",
    "stated_elsewhere": "Rate {rate} %: the order’s prices{prices} fit several, and this is the one that it states"
    " elsewhere.",
    # --- the price ---
    "sale_price": "{shown} Setting {clause} says sale price.",
    "trade_price": "{shown} Setting {clause} says trade price.",
    "free_of_charge": "Price 0.00: the order is free of charge, and setting {clause} asks for an invoice of 0.00.",
    "shipping_price": "{shown}",
    "shipping_worked_out": "The order’s shipping price with tax, without its tax.",
    "unit_cost": "{shown}",
    "rounding": "The difference between the order’s total and what Xero makes of the lines.",
}
"""Each rule in words. What a rule's setting is called stands in them, so that the page can lead there."""

_PRICES: Final[Mapping[str, tuple[str, str, str]]] = {
    "sale_price": ("sale price", "unit_sale_price", "unit_sale_price_inc_tax"),
    "shipping_price": ("shipping price", "shipping_price", "shipping_price_inc_tax"),
    "trade_price": ("unit cost", "unit_cost_price", "unit_cost_price"),
    "unit_cost": ("unit cost", "unit_cost_price", "unit_cost_price"),
}
"""A rule of prices → what people call the price, and the order's fields without and with tax."""
_FIELDS: Final[Mapping[str, str]] = {
    "sale_date": "sale_datetime",
    "completion_date": "completion_datetime",
    "currency_of_order": "currency_code",
    "shipping_worked_out": "shipping_price_inc_tax",
}


@dataclass(frozen=True)
class Reason:
    """Why one thing of a document is as it is."""

    about: About
    words: str
    setting: str = ""
    """The key of the setting that the words name."""
    field: str = ""
    """What the platform calls the order's field that the words speak of, by its usual name."""


@dataclass(frozen=True)
class SettingsVersion:
    """The settings that a document is made under, and how a reason names them."""

    settings: Settings
    number: int
    """0: nothing was saved yet."""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """What to say of single settings by their keys, such as “changed since”; in place of a version if not saved."""

    def named(self, setting: str) -> str:
        said = [f"version {self.number}"] if self.number and self.remarks.get(setting) != NOT_SAVED else []
        said += [self.remarks[setting]] if setting in self.remarks else []
        return ", ".join([f"“{Settings.label(setting)}”", *said])


NOT_SAVED: Final = "not saved yet"
CHANGED_SINCE: Final = "changed since"


@dataclass(frozen=True)
class Explanation:
    """The reasons of a document and of its line items, in words."""

    document: Document
    order: Order
    version: SettingsVersion
    organisation: Organisation

    def of_document(self) -> Iterator[Reason]:
        kind, body, settings = self.document.kind, self.document.body, self.version.settings
        reasons = self.document.reasons
        yield self._reason("date", reasons.date, sent=self._as_sent(reasons.date))
        if reasons.moved:
            named = self.version.named("lock_date_action")
            words = f"That day is locked in Xero, so it is the first open day: setting {named}."
            yield Reason("date", words, "lock_date_action")
        if "DueDate" in body:
            named = self.version.named("payment_terms_days")
            words = f"{settings.payment_terms_days} days after its date: setting {named}."
            yield Reason("due_date", words, "payment_terms_days")
        yield self._number()
        setting = contact_setting(kind, settings)
        words = f"“{getattr(settings, setting)}”: setting {self.version.named(setting)}."
        yield Reason("contact", words, setting)
        yield self._status()
        currency = str(body["CurrencyCode"])
        yield self._reason("currency", reasons.currency, currency=currency)
        with_tax = "with" if reasons.mode == "Inclusive" else "without"
        yield self._reason("amounts", reasons.amounts, with_tax=with_tax)

    def _number(self) -> Reason:
        prefix = self.version.settings.number_prefix
        if self.document.number != document_number(prefix, self.order.id):
            return Reason(
                "number", "The number that the order had when it first became due. It never changes."
            )
        named = self.version.named("number_prefix")
        return Reason("number", f"“{prefix}”, then the order’s id: setting {named}.", "number_prefix")

    def _status(self) -> Reason:
        setting = "invoice_status" if self.document.kind == "invoice" else "purchase_order_status"
        if self.document.body["Status"] != getattr(self.version.settings, setting):
            return Reason("status", "A draft, because Xero has too little stock to approve it.")
        return Reason("status", f"Setting {self.version.named(setting)}.", setting)

    def _as_sent(self, chosen: Chosen) -> str:
        """How the moment that dates the document was sent, and in which zone its day is taken."""
        at: date | None = self.order.sold_at if chosen.rule == "sale_date" else self.order.completed_at
        if at is None:
            return ""
        sent = at.isoformat(sep=" ") if isinstance(at, datetime) else at.isoformat()
        zone = self.version.settings.order_time_zone
        if is_as_written(at, zone):
            return f", sent as {sent}"
        return f", sent as {sent}; its day is taken in {self.organisation.calendar(zone).zone}"

    # --- lines

    def of_lines(self) -> Iterator[tuple[Reason, ...]]:
        """The reasons of each line item, in the document's order."""
        items: list[dict[str, Any]] = self.document.body["LineItems"]
        lines = self.document.reasons.lines
        for item, line in zip(items, lines, strict=False):
            yield tuple(self._of_line(item, line))
        for item in items[len(lines) :]:
            yield tuple(self._of_rounding(item))

    def _of_line(self, item: Mapping[str, Any], line: LineReasons) -> Iterator[Reason]:
        yield self._reason("account", line.account, account=self._account(item["AccountCode"]))
        yield self._reason("tax", line.tax, tax=self._tax(item), cogs=self._cogs)
        if line.rate is not None and line.percent is not None:
            shipping = line.price.rule == "shipping_price"
            pair = line.net is not None and line.gross is not None
            prices = f" ({_amount(line.net)} without and {_amount(line.gross)} with tax)" if pair else ""
            said = self._reason("rate", line.rate, rate=plain_number(line.percent), prices=prices)
            stated = line.rate.rule == "stated"
            name = ("shipping_tax_rate" if shipping else "sale_vat_rate") if stated else ""
            yield Reason(said.about, said.words, field=name)
        yield self._price(item, line)

    def _of_rounding(self, item: Mapping[str, Any]) -> Iterator[Reason]:
        account = self._account(item["AccountCode"])
        yield self._reason("account", Chosen("rounding_account", "rounding"), account=account)
        rule = "no_tax_on_rounding" if "TaxType" in item else "no_tax"
        yield self._reason("tax", Chosen(rule), tax=self._tax(item))
        yield self._reason("price", Chosen("rounding"))

    def _price(self, item: Mapping[str, Any], line: LineReasons) -> Reason:
        rule = line.price.rule
        if rule not in _PRICES:
            return self._reason("price", line.price)
        name, without_tax, with_tax = _PRICES[rule]
        inclusive = self.document.reasons.mode != "Exclusive"
        taxed = line.net is None or (inclusive and line.gross is not None)
        own, unit, shown = line.gross if taxed else line.net, item["UnitAmount"], line.shown
        if shown == "worked_out":
            # from the price that the document does not show
            taxed = not inclusive or (line.derived and line.gross is None)
            own = line.gross if taxed else line.net
            shown = "as_sent" if own == unit and not line.derived else shown
        kind = name if without_tax == with_tax else f"{name} {'with' if taxed else 'without'} tax"
        match shown:
            case "as_sent" if own == unit:
                words = f"Price {_amount(unit)}: the order’s {kind}, as sent."
            case "as_sent":
                words = (
                    f"Price {_amount(unit)}: the order’s {kind}, sent as {_amount(own)}; Xero holds four decimals of a"
                    " price."
                )
            case "worked_out":
                amount = "" if own is None else f", {_amount(own)}"
                words = f"Price {_amount(unit)}: worked out from the order’s {kind}{amount}."
            case "whole_line":
                words = (
                    f"Price {_amount(unit)}: the whole line, which is {plain_number(line.quantity)} at"
                    f" {_amount(own)}, the order’s {kind}. Xero holds four decimals of a price."
                )
            case "adjusted":
                words = (
                    f"Price {_amount(unit)}: the order’s {kind} is {_amount(own)}. It is changed by as little as"
                    " makes the line right to the cent in Xero."
                )
        said = self._reason("price", line.price, shown=words)
        return Reason(said.about, said.words, said.setting, with_tax if taxed else without_tax)

    # --- words

    def _reason(self, about: About, chosen: Chosen, **details: str) -> Reason:
        setting = self.version.named(chosen.setting) if chosen.setting else ""
        facts = {"organisation": self.organisation.name, "row": _row(chosen.row), "setting": setting}
        # where the sentence goes on after it
        facts["clause"] = f"{setting}," if ", " in setting else setting
        words = WORDS[chosen.rule].format_map(facts | details)
        return Reason(about, words, chosen.setting, _FIELDS.get(chosen.rule, ""))

    def _account(self, code: str) -> str:
        account = self.organisation.account(code)
        return f"{code} ({account.name})" if account and account.name else code

    @property
    def _cogs(self) -> str:
        return self._account(self.version.settings.cogs_account_code)

    def _tax(self, item: Mapping[str, Any]) -> str:
        return self.organisation.tax_type_in_words(item["TaxType"]) if "TaxType" in item else ""


def _row(row: str | TaxRow | PurchaseTaxRow) -> str:
    match row:
        case TaxRow():
            return f"“{row.rate} %, {place_words(row.ships_to)}”"
        case PurchaseTaxRow():
            return f"“{row.rate} %”"
    return row


def _amount(value: Decimal | None) -> str:
    return "" if value is None else with_cents(value)

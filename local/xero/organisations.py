"""An organisation and everything in its books."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from local.xero.charts import CLASS_OF_TYPE, COUNTRIES, CURRENCY_NAMES, Country
from local.xero.money import ZERO, Ties
from local.xero.wire import Json

DocumentKind = Literal["ACCREC", "ACCPAY", "ACCRECCREDIT", "PURCHASEORDER"]
SALES: frozenset[DocumentKind] = frozenset({"ACCREC", "ACCRECCREDIT"})
DEAD = frozenset({"VOIDED", "DELETED"})


@dataclass
class Account:
    id: str
    code: str | None
    name: str
    type: str
    tax_type: str
    system_account: str | None = None
    status: str = "ACTIVE"

    @property
    def account_class(self) -> str:
        return CLASS_OF_TYPE[self.type]


@dataclass
class TaxRate:
    """A rate in percent; `applies_to` holds account classes."""

    tax_type: str
    name: str
    effective: Decimal
    displayed: Decimal
    applies_to: frozenset[str]
    status: str = "ACTIVE"
    report_tax_type: str = ""
    """What it is reported as, where a company chose that itself."""

    def fits(self, account: Account) -> bool:
        # An inventory account is a purchase account, though sales tax may stand on other assets.
        if account.type == "INVENTORY" and "EXPENSE" not in self.applies_to:
            return False
        return account.account_class in self.applies_to


@dataclass
class Contact:
    """`details` keeps what the books don't depend on (addresses, phones…)."""

    id: str
    name: str
    updated_at: datetime
    number: str | None = None
    account_number: str | None = None
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    company_number: str | None = None
    status: str = "ACTIVE"
    merged_into: str | None = None
    is_customer: bool = False
    is_supplier: bool = False
    persons: list[Json] = field(default_factory=list)
    details: Json = field(default_factory=dict)


@dataclass
class Item:
    id: str
    code: str
    updated_at: datetime
    name: str | None = None
    description: str | None = None
    purchase_description: str | None = None
    is_sold: bool = True
    is_purchased: bool = True
    sale_price: Decimal | None = None
    sale_account: str | None = None
    sale_tax: str | None = None
    purchase_price: Decimal | None = None
    purchase_account: str | None = None
    cogs_account: str | None = None
    purchase_tax: str | None = None
    inventory_account: str | None = None
    on_hand: Decimal = Decimal(0)
    on_back_order: Decimal = Decimal(0)
    cost_pool: Decimal = ZERO
    average_cost: Decimal = ZERO
    """Of one piece, as last reckoned while there was stock."""

    @property
    def tracked(self) -> bool:
        """Xero derives it: an inventory asset account and a cost of goods account make an item tracked."""
        return self.inventory_account is not None and self.cogs_account is not None


@dataclass
class Line:
    id: str
    description: str | None
    quantity: Decimal
    unit_amount: Decimal
    line_amount: Decimal
    tax_amount: Decimal
    tax_type: str | None
    account_code: str | None
    account_id: str | None
    item_code: str | None
    discount_rate: Decimal | None
    discount_amount: Decimal | None
    tracking: list[Json]


@dataclass
class StockMove:
    """What an approved document did to an item, so that voiding it can undo just that."""

    item_code: str
    on_hand: Decimal
    on_back_order: Decimal
    cost: Decimal


@dataclass
class Payment:
    """Money that a person booked: received for an invoice, or refunded for a credit note."""

    id: str
    amount: Decimal
    paid_on: date


@dataclass
class Allocation:
    """The part of a credit note that pays an invoice. Both documents keep it."""

    id: str
    credit_note_id: str
    invoice_id: str
    amount: Decimal
    dated_on: date


@dataclass
class HistoryRecord:
    """What somebody did to a document, or a note about it."""

    changes: str
    at: datetime
    user: str
    details: str = ""


@dataclass
class Document:
    """An invoice, a bill, a credit note or a purchase order as stored."""

    kind: DocumentKind
    id: str
    number: str
    contact_id: str
    dated_on: date
    status: str
    line_amount_types: str
    currency: str
    currency_rate: Decimal
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    lines: list[Line] = field(default_factory=list)
    reference: str = ""
    due_on: date | None = None
    delivery_on: date | None = None
    expected_on: date | None = None
    url: str | None = None
    branding_theme_id: str | None = None
    sent_to_contact: bool = False
    sub_total: Decimal = ZERO
    total_tax: Decimal = ZERO
    total: Decimal = ZERO
    payments: list[Payment] = field(default_factory=list)
    allocations: list[Allocation] = field(default_factory=list)
    delivery_address: str | None = None
    attention_to: str | None = None
    telephone: str | None = None
    delivery_instructions: str | None = None
    stock_moves: list[StockMove] = field(default_factory=list)
    history: list[HistoryRecord] = field(default_factory=list)

    @property
    def is_invoice(self) -> bool:
        return self.kind in ("ACCREC", "ACCPAY")

    @property
    def amount_paid(self) -> Decimal:
        return sum((payment.amount for payment in self.payments), ZERO)

    @property
    def amount_allocated(self) -> Decimal:
        """Of an invoice, what credit notes paid; of a credit note, what went to invoices."""
        return sum((allocation.amount for allocation in self.allocations), ZERO)

    @property
    def outstanding(self) -> Decimal:
        """What is still to be paid of an invoice, or still to be given of a credit note."""
        return ZERO if self.status in DEAD else self.total - self.amount_paid - self.amount_allocated

    @property
    def fully_paid_on(self) -> date | None:
        if self.status != "PAID":
            return None
        days = [payment.paid_on for payment in self.payments]
        return max([*days, *(allocation.dated_on for allocation in self.allocations)], default=None)


@dataclass
class BrandingTheme:
    id: str
    name: str
    sort_order: int
    created_at: datetime


@dataclass
class TrackingCategory:
    id: str
    name: str
    options: dict[str, str]
    status: str = "ACTIVE"


@dataclass
class Organisation:
    """An organisation: its settings, what a person can change from outside, and its books."""

    id: str
    name: str
    short_code: str
    country: Country
    created_at: datetime
    is_demo: bool = False
    pays_tax: bool = True
    period_lock_date: date | None = None
    end_of_year_lock_date: date | None = None
    multicurrency: bool = True
    backorders: bool = True
    approval_cap: int | None = None
    tie_rounding: Ties | None = None
    day_limit: int = 5000
    offline: bool = False
    gone: bool = False
    accounts: list[Account] = field(default_factory=list)
    tax_rates: dict[str, TaxRate] = field(default_factory=dict)
    currencies: list[str] = field(default_factory=list)
    contacts: dict[str, Contact] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    branding_themes: list[BrandingTheme] = field(default_factory=list)
    tracking_categories: list[TrackingCategory] = field(default_factory=list)
    item_codes_in_use: set[str] = field(default_factory=set)
    _by_number: dict[tuple[DocumentKind, str], list[str]] = field(default_factory=dict)
    _next_number: dict[DocumentKind, int] = field(default_factory=dict)

    @property
    def base_currency(self) -> str:
        return self.country.base_currency

    def today(self, now: datetime) -> date:
        return now.astimezone(ZoneInfo(self.country.zone)).date()

    def account(self, code: str) -> Account | None:
        return next((account for account in self.accounts if account.code == code), None)

    def account_by_id(self, account_id: str) -> Account | None:
        return next((account for account in self.accounts if account.id == account_id), None)

    def contact_named(self, name: str, *, status: str = "ACTIVE") -> Contact | None:
        wanted = name.casefold()
        return next(
            (one for one in self.contacts.values() if one.status == status and one.name.casefold() == wanted),
            None,
        )

    def contact_numbered(self, number: str) -> Contact | None:
        return next((one for one in self.contacts.values() if one.number == number), None)

    def add(self, document: Document) -> None:
        self.documents[document.id] = document
        self._by_number.setdefault((document.kind, document.number.casefold()), []).append(document.id)

    def renumber(self, document: Document, number: str) -> None:
        self._by_number[(document.kind, document.number.casefold())].remove(document.id)
        document.number = number
        self._by_number.setdefault((document.kind, number.casefold()), []).append(document.id)

    def numbered(self, kind: DocumentKind, number: str, *, same_case: bool) -> Iterator[Document]:
        """The documents of a kind under a number."""
        for document_id in self._by_number.get((kind, number.casefold()), []):
            document = self.documents[document_id]
            if not same_case or document.number == number:
                yield document

    def next_number(self, kind: DocumentKind) -> str:
        """The number Xero gives a document that came without one."""
        while True:
            self._next_number[kind] = self._next_number.get(kind, 0) + 1
            number = f"{_PREFIXES[kind]}-{self._next_number[kind]:04d}"
            if not self._by_number.get((kind, number.casefold())):
                return number

    def approved_in_month(self, now: datetime) -> int:
        """Sales invoices approved this month, which smaller plans cap."""
        month = (now.year, now.month)
        return sum(
            document.kind == "ACCREC"
            and document.status in ("AUTHORISED", "PAID")
            and (document.created_at.year, document.created_at.month) == month
            for document in self.documents.values()
        )


_PREFIXES: dict[DocumentKind, str] = {
    "ACCREC": "INV",
    "ACCPAY": "INV",
    "ACCRECCREDIT": "CN",
    "PURCHASEORDER": "PO",
}
_SALES = frozenset({"REVENUE", "EQUITY", "LIABILITY", "ASSET"})
_PURCHASES = frozenset({"EXPENSE", "EQUITY", "LIABILITY", "ASSET"})
_APPLIES_TO = {"S": _SALES, "P": _PURCHASES, "SP": _SALES | _PURCHASES}

_DEMO_CONTACTS = (
    ("Kornit X Sales", "", "KX-SALES"),
    ("Kornit X Blanks Supplier", "", "KX-SUPPLIER"),
    ("Marlow & Finch Gifts Ltd", "accounts@marlowandfinch.example", None),
    ("O'Brien Prints", "books@obrien.example", None),
    ('The "Good" Mug Co', "", None),
)


def new_organisation(country: str, name: str, dice: random.Random, now: datetime) -> Organisation:
    """An organisation with its country's chart, rates and currencies. KeyError: no such country."""
    template = COUNTRIES[country]

    def new_id() -> str:
        return str(uuid.UUID(int=dice.getrandbits(128), version=4))

    organisation = Organisation(
        id=new_id(),
        name=name,
        short_code="!" + "".join(dice.choices("bcdfghjkmnpqrstvwxyzBCDFGHJKMNPQRSTVWXYZ23456789", k=5)),
        country=template,
        created_at=now,
        accounts=[
            Account(new_id(), code, title, kind, tax, system)
            for code, title, kind, tax, system in template.accounts
        ],
        tax_rates={
            tax: TaxRate(tax, title, Decimal(percent), Decimal(shown), _APPLIES_TO[use], status)
            for tax, title, percent, shown, use, status in template.tax_rates
        },
        currencies=list(template.currencies),
        branding_themes=[
            BrandingTheme(new_id(), "Standard", 0, now),
            BrandingTheme(new_id(), "Very orange invoice", 1, now),
        ],
        tracking_categories=[
            TrackingCategory(new_id(), "Region", {new_id(): "North", new_id(): "South"}),
            TrackingCategory(new_id(), "Sales channel", {new_id(): "Web", new_id(): "Wholesale"}),
        ],
    )
    for title, email, number in _DEMO_CONTACTS:
        contact = Contact(new_id(), title, now, number=number, email=email)
        organisation.contacts[contact.id] = contact
    return organisation


def currency_name(code: str) -> str:
    return CURRENCY_NAMES.get(code, code)

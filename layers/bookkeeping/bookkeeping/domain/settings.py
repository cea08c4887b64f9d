"""A company's settings: how its orders become documents.

A refused value raises SettingsRefused, which names every field, its value and the reason in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
    with_config,
)
from typing_extensions import TypedDict

from bookkeeping.domain.countries import country_code
from bookkeeping.domain.time_zones import is_zone

Status = Literal["DRAFT", "SUBMITTED", "AUTHORISED"]

DEFAULT_NUMBER_PREFIX: Final = "KX-"
MOST_SKU_PREFIXES: Final = 200
MOST_TAX_ROWS: Final = 200
MOST_ADDRESSES: Final = 10
LONGEST_ADDRESS: Final = 254
_ADDRESS: Final = re.compile(
    # what browsers take for an e-mail address: printable ASCII, which nothing can be added to in a mail's head
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+"
)
ANYWHERE: Final = "anywhere"
LONGEST_QUOTED_VALUE: Final = 100
MOST_REFUSED: Final = 20
"""As many values are told at once. A person corrects them in turns anyway."""


@dataclass(frozen=True)
class RefusedValue:
    """One value that cannot be saved: its field, the value as it was sent, and the reason in words."""

    field: str
    value: str
    reason: str


class SettingsRefused(ValueError):
    """Settings cannot be saved as they are; nothing was changed. A person corrects the values named."""

    def __init__(self, refused: tuple[RefusedValue, ...]) -> None:
        super().__init__("; ".join(f"{one.field} “{one.value}”: {one.reason}" for one in refused))
        self.refused = refused


def _percent_key(text: str) -> str:
    plain = text.strip().removesuffix("%").strip()
    if not re.fullmatch(r"\d{1,3}(\.\d{1,4})?", plain, re.ASCII) or Decimal(plain) > 100:
        raise ValueError(f"“{_quoted(text)}” is not a tax rate from 0 to 100 %, such as 20 or 5.5")
    return f"{Decimal(plain).normalize():f}"


def _keys_as(key: Callable[[str], str]) -> Callable[[dict[str, str]], dict[str, str]]:
    """A validator that writes a table's keys in one way and refuses two that then are the same."""

    def rewritten(table: dict[str, str]) -> dict[str, str]:
        result: dict[str, str] = {}
        for name, value in table.items():
            if key(name) in result:
                raise ValueError(f"“{key(name)}” is there twice")
            result[key(name)] = value
        return result

    return rewritten


def _sku_prefix(text: str) -> str:
    if not 1 <= len(text.strip()) <= 100:
        raise ValueError(f"“{_quoted(text)}” is not the beginning of a sku (1 to 100 characters)")
    return text.strip()


def _matching(pattern: str, reason: str) -> AfterValidator:
    """A validator for text that is empty or matches `pattern` throughout."""

    def checked(text: str) -> str:
        if text and not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(reason)
        return text

    return AfterValidator(checked)


def _time_zone(name: str) -> str:
    if name and not is_zone(name):
        raise ValueError("a time zone is needed, such as Europe/London, Australia/Sydney or UTC")
    return name


def addresses_in(text: str) -> tuple[str, ...]:
    """The e-mail addresses of `errors_email`, each once."""
    return tuple({one.casefold(): one for one in map(str.strip, text.split(",")) if one}.values())


def _addresses(text: str) -> str:
    """E-mail addresses in the one way they are kept: each once, with a comma and a space between them."""
    found = addresses_in(text)
    for one in found:
        if len(one) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(one):
            reason = "is not an e-mail address, such as accounts@example.com; put commas between several"
            raise ValueError(f"“{_quoted(one)}” {reason}")
    if len(found) > MOST_ADDRESSES:
        raise ValueError(f"at most {MOST_ADDRESSES} addresses, not {len(found)}")
    return ", ".join(found)


def _no_flag(value: Any) -> Any:
    """True and False are numbers to Python, and to nobody else."""
    return "true or false" if isinstance(value, bool) else value


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
AccountCode = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10)]
TaxType = Annotated[str, StringConstraints(strip_whitespace=True, max_length=50)]
ContactName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=255)]
CurrencyCode = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True),
    _matching("[A-Z]{3}", "a currency has three letters, such as GBP"),
]


def _place(text: str) -> str:
    """Where an order is shipped to, in the one way it is kept: a word, `EU` or a country's code."""
    plain = text.strip() or ANYWHERE
    if plain.lower() in (ANYWHERE, "home", "elsewhere"):
        return plain.lower()
    code = "EU" if plain.upper() == "EU" else country_code(plain)
    if code is None:
        raise ValueError(f"“{text}” is not anywhere, home, EU, elsewhere or a country, such as DE or Germany")
    return code


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Rate = Annotated[str, BeforeValidator(_as_text), AfterValidator(_percent_key)]
"""A tax rate in percent, as its shortest plain text."""


class TaxRow(BaseModel):
    """Which of Xero's tax rates, and which account, the sales at one percentage have where they are shipped there."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    rate: Rate
    ships_to: Annotated[str, StringConstraints(max_length=100), AfterValidator(_place)] = ANYWHERE
    tax_type: Annotated[TaxType, Field(min_length=1)]
    account: AccountCode = ""
    reverse_charge: bool = False
    """Billed without its tax, whatever the order's rate."""

    @property
    def percent(self) -> Decimal:
        """What the tax rate in Xero has to be."""
        return Decimal(0) if self.reverse_charge else Decimal(self.rate)


class PurchaseTaxRow(BaseModel):
    """Which of Xero's tax rates the purchase has of what is sold at one percentage."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    rate: Rate
    tax_type: Annotated[TaxType, Field(min_length=1)]


@with_config(ConfigDict(extra="forbid", hide_input_in_errors=True))
class TrackingCategory(TypedDict):
    """One of Xero's tracking categories, and the option of it, in Xero's spelling."""

    Name: _Text
    Option: _Text


class Settings(BaseModel):
    """One saved version of a company's settings. Half-filled is a normal state; an empty text is not set."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    enabled: bool = Field(
        default=True,
        title="Switched on",
        description="While this is off, no order is sent to Xero; orders are kept as skipped.",
    )
    process_method: Literal["untracked", "tracked"] = Field(
        default="untracked",
        title="Process method",
        description="Untracked makes a sales invoice for every order; Tracked makes a purchase order and a sales"
        " invoice with tracked items.",
    )
    sales_account_code: AccountCode = Field(
        default="",
        title="Sales account",
        description="The code of the revenue account that sales are booked to.",
    )
    cogs_account_code: AccountCode = Field(
        default="",
        title="Cost of goods sold account",
        description="The code of the expense account for the cost of goods sold, used in Tracked.",
    )
    inventory_asset_account_code: AccountCode = Field(
        default="",
        title="Inventory asset account",
        description="The code of the inventory account that purchase orders of tracked items use, used in Tracked.",
    )
    shipping_account_code: AccountCode = Field(
        default="",
        title="Shipping account",
        description="The code of the revenue account for shipping charged to the customer; empty means the sales"
        " account.",
    )
    sales_accounts_by_sku_prefix: Annotated[
        dict[str, Annotated[AccountCode, Field(min_length=1)]],
        Field(max_length=MOST_SKU_PREFIXES),
        AfterValidator(_keys_as(_sku_prefix)),
    ] = Field(
        default={},
        title="Sales accounts by sku",
        description="Other sales accounts for items whose sku begins with certain letters; the longest beginning wins.",
    )
    contact_name: ContactName = Field(
        default="",
        title="Contact name",
        description="The name of an existing Xero contact, whom the sales invoices are for.",
    )
    purchase_order_contact_name: ContactName = Field(
        default="",
        title="Contact name for purchase orders",
        description="The name of an existing Xero contact for purchase orders; empty means the contact above.",
    )
    invoice_status: Status = Field(
        default="DRAFT",
        title="Invoice status",
        description="How sales invoices arrive in Xero: as draft, awaiting approval, or approved and awaiting payment.",
    )
    purchase_order_status: Status = Field(
        default="DRAFT",
        title="Purchase order status",
        description="How purchase orders arrive in Xero: as draft, awaiting approval, or approved.",
    )
    number_prefix: Annotated[
        str,
        StringConstraints(strip_whitespace=True),
        _matching(
            r"(?=.{1,12}$)[A-Z0-9-]*[A-Z-]",
            "1 to 12 capital letters, digits and hyphens, not ending in a digit",
        ),
    ] = Field(
        default=DEFAULT_NUMBER_PREFIX,
        title="Number prefix",
        description="What document numbers begin with, before the platform's order number.",
    )
    payment_terms_days: Annotated[int, BeforeValidator(_no_flag), Field(ge=0, le=365)] = Field(
        default=30,
        title="Payment terms in days",
        description="How many days after its date an invoice is due, 0 to 365.",
    )
    invoice_price: Literal["sale", "trade"] = Field(
        default="sale",
        title="Price on the invoice",
        description="Whether invoices carry the sale price or the trade price (the unit cost, always without tax).",
    )
    tax_types: Annotated[tuple[TaxRow, ...], Field(max_length=MOST_TAX_ROWS)] = Field(
        default=(),
        title="Tax rates",
        description="Which Xero tax rate of the order's own percentage to use, by where the order is shipped to:"
        " anywhere, home, EU, elsewhere or a country. The most specific row holds. A row with reverse_charge bills"
        " without the order's tax.",
    )
    purchase_tax_types: Annotated[tuple[PurchaseTaxRow, ...], Field(max_length=MOST_TAX_ROWS)] = Field(
        default=(),
        title="Tax rates on purchases by rate",
        description="The Xero tax rate for purchase order lines, by the rate at which the line is sold.",
    )
    purchase_tax_type: TaxType = Field(
        default="",
        title="Tax rate on purchases",
        description="The Xero tax rate for all other purchase order lines; empty means that of the cost of goods sold"
        " account.",
    )
    line_amounts: Literal["auto", "inclusive", "exclusive"] = Field(
        default="auto",
        title="Prices with or without tax",
        description="Whether invoice lines show prices with or without tax; automatic follows what the order carries.",
    )
    rounding: Literal["line", "show"] = Field(
        default="line",
        title="Rounding differences",
        description="Whether a difference from rounding gets a line on Xero's rounding account or is only shown here.",
    )
    currency: CurrencyCode = Field(
        default="",
        title="Currency",
        description="The currency of orders that name none; empty means the base currency of the Xero organisation.",
    )
    post_when: Literal["arrival", "dispatch"] = Field(
        default="arrival",
        title="When to post",
        description="Whether orders are posted as they arrive or once they are dispatched.",
    )
    start_from: date | None = Field(
        default=None,
        title="Start from",
        description="Orders sold before this date are not posted; empty means all are.",
    )
    order_time_zone: Annotated[
        str, StringConstraints(strip_whitespace=True, max_length=50), AfterValidator(_time_zone)
    ] = Field(
        default="",
        title="Time zone of orders",
        description="The time zone of an order's times that name none, such as Europe/London or UTC; empty means"
        " that their day is taken as written.",
    )
    refunded_orders: Literal["ask", "skip", "post"] = Field(
        default="ask",
        title="Refunded orders",
        description="Whether an order that is refunded, returned or rejected before it is posted stops for a person"
        " to decide, is skipped, or is posted all the same.",
    )
    cancellations: Literal["ask", "drafts", "all"] = Field(
        default="ask",
        title="Cancelled after posting",
        description="What becomes of the documents of an order that is cancelled after it was posted: a person decides;"
        " drafts are deleted by themselves; or drafts are deleted and approved invoices credited by themselves. A"
        " refund or return is always decided by a person.",
    )
    void_approved: bool = Field(
        default=False,
        title="Void approved invoices",
        description="Whether an approved invoice of a cancelled order is voided instead of credited: only in its own"
        " month, after both lock dates, and as long as it is neither sent, paid nor credited. A void changes the tax"
        " of its period.",
    )
    credit_note_status: Literal["DRAFT", "AUTHORISED"] = Field(
        default="AUTHORISED",
        title="Credit note status",
        description="How credit notes arrive in Xero: as draft, for a person to approve, or approved and allocated to"
        " the invoice.",
    )
    cost_currency: CurrencyCode = Field(
        default="",
        title="Currency of unit costs",
        description="The currency of purchase orders, which carry unit costs; empty means the order's.",
    )
    free_of_charge: Literal["none", "nil_invoice"] = Field(
        default="none",
        title="Free-of-charge orders",
        description="In Tracked: whether an order that is free of charge gets no invoice, so that its stock stays in"
        " Xero, or an invoice of 0.00, so that it leaves.",
    )
    lock_date_action: Literal["hold", "next_open_day"] = Field(
        default="hold",
        title="When the date is locked",
        description="Whether an order dated in a locked period waits for a person, or gets the first open day as its"
        " date.",
    )
    branding_theme_id: Annotated[
        str,
        StringConstraints(strip_whitespace=True, to_lower=True),
        _matching(
            "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "a branding theme's id is needed, as Xero lists it"
        ),
    ] = Field(
        default="",
        title="Branding theme",
        description="The id of the Xero branding theme for documents; empty means Xero's.",
    )
    tracking_categories: Annotated[tuple[TrackingCategory, ...], Field(max_length=2)] = Field(
        default=(),
        title="Tracking categories",
        description="Up to two Xero tracking categories with an option each, put on every line.",
    )
    errors_email: Annotated[str, AfterValidator(_addresses)] = Field(
        default="",
        title="E-mail errors to",
        description="Who gets a mail when orders need attention or the connection is lost: up to 10 addresses, with"
        " commas between them. Each gets one mail that asks to confirm it, and nothing else until it is confirmed.",
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_not_set(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {
            key: value
            for key, value in data.items()
            if key not in cls.model_fields
            or not (value is None or (isinstance(value, str) and not value.strip()))
        }

    @field_validator("tax_types", "purchase_tax_types")
    @classmethod
    def _no_two_alike(cls, rows: tuple[Any, ...]) -> tuple[Any, ...]:
        seen = set[tuple[str, str]]()
        for row in rows:
            where = getattr(row, "ships_to", ANYWHERE)
            if (row.rate, where) in seen:
                to = "" if where == ANYWHERE else f" shipped to {where}"
                raise ValueError(f"“{row.rate} %{to}” is there twice")
            seen.add((row.rate, where))
        return rows

    @field_validator("tracking_categories")
    @classmethod
    def _each_once(cls, categories: tuple[TrackingCategory, ...]) -> tuple[TrackingCategory, ...]:
        if len({one["Name"].casefold() for one in categories}) < len(categories):
            raise ValueError("each tracking category can be there once")
        return categories

    @classmethod
    def label(cls, key: str) -> str:
        """What the settings page calls a setting."""
        return str(cls.model_fields[key].title)

    def purchase_tax_label(self, tax_type: str) -> str:
        """What the settings page calls the setting that gives purchases this tax type."""
        of_row = any(row.tax_type == tax_type for row in self.purchase_tax_types)
        return self.label("purchase_tax_types" if of_row else "purchase_tax_type")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Settings from their JSON object; raises SettingsRefused."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise SettingsRefused(_refused_values(error)) from None

    def to_json(self) -> dict[str, Any]:
        """A JSON object with every key, which `from_json` reads back."""
        return self.model_dump(mode="json")

    def missing(self) -> list[str]:
        """Keys that must be filled in before orders can be posted with this process method."""
        needed = ["sales_account_code", "contact_name"]
        if self.process_method == "tracked":
            needed += ["cogs_account_code", "inventory_asset_account_code"]
        return [key for key in needed if not getattr(self, key)]


def freed_by(old: Settings, new: Settings) -> frozenset[str]:
    """Keys that differ between two versions, so that problems which one of them can free are tried again."""
    return frozenset(key for key in Settings.model_fields if getattr(old, key) != getattr(new, key))


def _refused_values(error: ValidationError) -> tuple[RefusedValue, ...]:
    return tuple(
        RefusedValue(
            field=field,
            # A credential pasted into the wrong field must not come back in an answer or a log.
            value="(hidden)"
            if re.search("secret|token|password", str(found["loc"]), re.IGNORECASE)
            else _quoted(found["input"]),
            reason=reason_in_words(found),
        )
        for found in error.errors(include_url=False)[:MOST_REFUSED]
        for field in [".".join(_quoted(step) for step in found["loc"] if step != "[key]") or "settings"]
    )


def _quoted(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_QUOTED_VALUE else text[: LONGEST_QUOTED_VALUE - 1] + "…"


def _length(value: Any) -> dict[str, int]:
    return {"length": len(value)} if isinstance(value, Sized) else {}


_REASONS: Final = {
    "missing": "must not be empty",
    "tuple": "a list of rows is needed",
    "model": "a row needs its fields by name",
    "extra_forbidden": "there is no such setting",
    "literal_error": "choose {expected}",
    "string_pattern_mismatch": "this is not written as it has to be",
    "string_too_long": "at most {max_length} characters, not {length}",
    "string_too_short": "must not be empty",
    "too_long": "at most {max_length} entries, not {length}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "value_error": "{error}",
    "bool": "must be true or false",
    "int": "a whole number is needed",
    "date": "a date is needed, such as 2026-04-01",
    "string": "text is needed",
}


def reason_in_words(found: Mapping[str, Any]) -> str:
    """Why a value was refused, from one of pydantic's errors. No pattern and no code is among the words."""
    kind = found["type"]
    words = _REASONS.get(kind) or _REASONS.get(kind.partition("_")[0])
    context = found.get("ctx", {}) | _length(found.get("input"))
    return words.format_map(context) if words else str(found["msg"])

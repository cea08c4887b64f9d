"""A message of the platform becomes an Order: exact amounts, no consumer.

    read_order     the order's JSON → Order, with every tolerance the platform's senders need
    narrow         an Order for only one of its two companies
    content        an Order as text and back, and the hash that tells whether its accounting changed

Whatever can't be read raises `order_message.Unreadable`.
"""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final, Literal, NamedTuple, ParamSpec, TypeVar

from bookkeeping.domain.amounts import decimals
from bookkeeping.domain.countries import vat_territory
from bookkeeping.domain.problems.problem import OrderStopped, Problem

Disposition = Literal[
    "live",
    "on_hold",
    "cancelled",
    "error",
    "refunded",
    "returned",
    "rejected",
    "partially_refunded",
    "partially_returned",
    "unclear",
]
Stage = Literal["", "received", "made"]
STAGES: Final[tuple[Stage, ...]] = ("", "received", "made")
"""What a message says of production: nothing, that it has not begun, or that it may have."""
NO_SALE: Final[tuple[Disposition, ...]] = (
    "refunded",
    "returned",
    "rejected",
    "partially_refunded",
    "partially_returned",
    "unclear",
)
"""Dispositions of orders that are no sale, or may be none, by the status's name: whether to post them is asked."""


@dataclass(frozen=True)
class OrderLine:
    """One line of an order. Prices are per unit, as sent; None where none was sent.

    `tax_rate` is in percent, as stated; None where none was stated. Which rate is meant depends on the organisation.
    """

    id: str
    sku: str
    description: str
    colour: str
    size: str
    quantity: Decimal
    price: Decimal | None
    price_inc_tax: Decimal | None
    cost: Decimal | None
    tax_rate: Decimal | None
    cancelled: bool


@dataclass(frozen=True)
class Shipping:
    """The order's shipping charge; None where the platform sent no such price. `tax_rate` is as a line's."""

    price: Decimal | None
    price_inc_tax: Decimal | None
    tax_rate: Decimal | None


@dataclass(frozen=True)
class Order:
    """What accounting needs of an order, and nothing of the consumer."""

    id: str
    companies: tuple[str, ...]
    """secondary_company_ref_id, then company_ref_id; those that are present, without repeats."""
    ref: str
    external_ref: str
    disposition: Disposition
    dispatched: bool
    free_of_charge: bool
    currency: str | None
    """ISO 4217, upper case."""
    sold_at: date
    """As it was sent: a date, or a date and time, with its zone or without."""
    completed_at: date | None
    lines: tuple[OrderLine, ...]
    shipping: Shipping
    dispatch_by: date | None = None
    """When the order has to be dispatched, as it was sent, where the platform says so."""
    ships_to: str | None = None
    """The country or VAT territory it is shipped to, nothing else of the address; None if not known."""
    status: str = ""
    """The status's name as sent, where it is not clear whether the order is a sale, or another word says that not."""
    status_told: bool = True
    """Whether the message says anything of the sale. One without a status does not, nor does “Archived”."""
    flaw: Problem | None = None
    """What of it can't be read, where that stops only an order that is to be posted."""
    completion_flaw: Problem | None = None
    """Why the moment of its completion can't be read, which stops only an order that is dated by it."""
    stage: Stage = field(default="", compare=False)
    """How far production has come, where the message says so. It is no part of the content."""


class Unreadable(OrderStopped):
    """The message is no order we can post; `companies` and `order_id` are told where that is certain."""

    def __init__(self, problem: Problem, companies: tuple[str, ...], order_id: str | None) -> None:
        super().__init__(Problem(problem.code, {"order": order_id or "?", **problem.details}))
        self.companies = companies
        self.order_id = order_id


# --- an order -----------------------------------------------------------------------------------------------

# Which key carries a price was seen in no official sample, so each name in use is read, in this order.
_PRICE: Final = ("unit_sale_price", "unit_price", "sale_price", "unit_retail_price")
_PRICE_INC_TAX: Final = ("unit_sale_price_inc_tax", "unit_price_inc_tax", "sale_price_inc_tax")
_COST: Final = (
    "unit_cost_price",
    "unit_cost",
    "cost_price",
    "trade_price",
    "unit_trade_price",
    "unit_supplier_price",
    "supplier_price",
)
_RATE: Final = ("sale_vat_rate", "vat_rate", "tax_rate")

_CANCELLED_ITEM: Final = 7
_CANCELLED: Final = 128
_ON_HOLD: Final = 256
_DISPATCHED: Final = (8, 64)
# Later states are known by name only. "Refunded" and "Archived" don't say that goods went out.
_RECEIVED: Final = (1, 2)
_RECEIVED_NAMES: Final = frozenset({"received", "pre order", "pending acceptance", "pending routing"})
"""Statuses before production."""
_DISPATCHED_NAMES: Final = ("dispatched", "delivered", "sent to shipper", "received by shipper", "returned")

_LONGEST_DESCRIPTION: Final = 4000
_LONGEST_TEXT: Final = 255


def read_order(message: Mapping[str, object]) -> Order:
    """The order, or Unreadable with the one thing about it that has to be put right."""
    try:
        return _order(message)
    except OrderStopped as stopped:
        raise Unreadable(stopped.problem, *identity(message)) from None


def _order(message: Mapping[str, object]) -> Order:
    order_id = _required_id(message, "id")
    companies = _companies(message)
    currency = _currency(message.get("currency_code"))
    status = message.get("status")
    status_name = _name(message.get("status_name")) or _name(status)
    has_error = _flag(message, "has_error")
    disposition = _disposition(has_error, status, status_name)
    named = disposition == "unclear" or (disposition in NO_SALE and not _SAID_SO.search(status_name))
    says_status = not has_error and not _says_nothing(status, status_name)
    flaw = None
    try:
        lines, shipping = _charges(message, live=disposition == "live" or disposition in NO_SALE)
    except OrderStopped as stopped:
        if disposition == "live":
            raise
        flaw = Problem(stopped.problem.code, {"order": order_id, **stopped.problem.details})
        lines, shipping = _charges(message, live=False)
    completed = _flag(message, "has_been_completed")
    dispatched = completed or _is(status, *_DISPATCHED) or status_name.startswith(_DISPATCHED_NAMES)
    completed_at, undated = _completed_at(message)
    return Order(
        id=order_id,
        companies=companies,
        ref=_text(message, "ref"),
        external_ref=_text(message, "external_ref"),
        disposition=disposition,
        dispatched=dispatched,
        free_of_charge=_flag(message, "is_free_of_charge"),
        currency=currency,
        sold_at=_sold_at(message),
        completed_at=completed_at,
        completion_flaw=undated and Problem(undated.code, {"order": order_id, **undated.details}),
        lines=lines,
        shipping=shipping,
        dispatch_by=_dispatch_by(message),
        ships_to=vat_territory(
            message.get("shipping_country_code"),
            message.get("shipping_country"),
            message.get("shipping_postcode"),
        ),
        status=quoted(message.get("status_name") or status) if named else "",
        status_told=says_status,
        flaw=flaw,
        stage=_stage(status, status_name, disposition, made=dispatched or completed_at is not None),
    )


def _charges(message: Mapping[str, object], *, live: bool) -> tuple[tuple[OrderLine, ...], Shipping]:
    lines = _read(live, _lines, message.get("items"), live=live) or ()
    return lines, _shipping(message, live=live)


def for_company(order: Order, company: str) -> Order:
    """The order for only one of its companies, as the message's `company` attribute asks."""
    if company not in order.companies:
        details = {"company": quoted(company), "companies": ", ".join(order.companies)}
        raise Unreadable(Problem("company_not_in_order", details), order.companies, order.id)
    return replace(order, companies=(company,))


_P = ParamSpec("_P")
_T = TypeVar("_T")


def _read(strictly: bool, read: Callable[_P, _T], *args: _P.args, **named: _P.kwargs) -> _T | None:
    """What is read; None where it can't be and need not, because it is in no document."""
    try:
        return read(*args, **named)
    except OrderStopped:
        if strictly:
            raise
        return None


def _lines(items: object, *, live: bool) -> tuple[OrderLine, ...]:
    if not isinstance(items, list):
        found = {} if _is_empty(items) else {"found": quoted(items)}
        raise _stopped("missing_field", field="items", **found)
    if not items:
        raise _stopped("no_lines")
    lines = [_read(live, _line, item, f"items[{index}]", live=live) for index, item in enumerate(items)]
    return tuple(line for line in lines if line is not None)


def _line(item: object, where: str, *, live: bool) -> OrderLine:
    if not isinstance(item, Mapping):
        raise _stopped("missing_field", field=where)
    cancelled = _is(item.get("status"), _CANCELLED_ITEM)
    counts = live and not cancelled
    quantity = _read(counts, _quantity, item.get("quantity"), f"{where}.quantity") or Decimal(0)
    cancelled = cancelled or not quantity
    counts = live and not cancelled
    price = _read(counts, _aliased, item, _PRICE, where)
    price_inc_tax = _read(counts, _aliased, item, _PRICE_INC_TAX, where)
    cost = _read(counts, _aliased, item, _COST, where)
    rate = _read(counts, _tax_rate, item, _RATE, where, price, price_inc_tax)

    def text(name: str, longest: int = _LONGEST_TEXT) -> str:
        return _read(counts, _text, item, name, longest, where=where) or ""

    return OrderLine(
        id=text("id"),
        sku=text("sku"),
        description=text("description", _LONGEST_DESCRIPTION),
        colour=text("colour"),
        size=text("size"),
        quantity=quantity,
        price=price and price.number,
        price_inc_tax=price_inc_tax and price_inc_tax.number,
        cost=cost and cost.number,
        tax_rate=rate,
        cancelled=cancelled,
    )


def _shipping(message: Mapping[str, object], *, live: bool) -> Shipping:
    price = _read(live, _aliased, message, ("shipping_price",))
    price_inc_tax = _read(live, _aliased, message, ("shipping_price_inc_tax",))
    free = not (price and price.number) and not (price_inc_tax and price_inc_tax.number)
    read = _stated_rate if free else _tax_rate
    rate = _read(live, read, message, ("shipping_tax_rate",), "", price, price_inc_tax)
    return Shipping(price and price.number, price_inc_tax and price_inc_tax.number, rate)


# --- who and what state -------------------------------------------------------------------------------------


_ID = re.compile(r"([1-9][0-9]{0,18})(?:\.0{1,19})?")
COMPANY_FIELDS: Final = ("secondary_company_ref_id", "company_ref_id")


def platform_id(value: object) -> str | None:
    """An id as its digits, also of a whole number written as 17.0, else None.

    With a leading zero it is none, or one order would have two ids.
    """
    match value:
        case bool():
            return None
        case int() | Decimal():
            text = f"{value:f}" if isinstance(value, Decimal) else f"{value:d}" if abs(value) < 10**19 else ""
        case str():
            text = value.strip()
        case _:
            return None
    whole = _ID.fullmatch(text)
    return whole[1] if whole else None


def _required_id(message: Mapping[str, object], name: str) -> str:
    value = message.get(name)
    if _is_empty(value):
        raise _stopped("missing_field", field=name)
    if (found := platform_id(value)) is None:
        raise _stopped("bad_id", field=name, value=quoted(value))
    return found


def _companies(message: Mapping[str, object]) -> tuple[str, ...]:
    named = [name for name in COMPANY_FIELDS if not (_is_empty(message.get(name)) or _is(message[name], 0))]
    if not named:
        raise _stopped("missing_field", field=COMPANY_FIELDS[0])
    # a reference that can't be one, such as the GUIDs of old, is passed over as long as there is another
    companies, _ = identity(message)
    return companies or (_required_id(message, named[0]),)


def identity(message: Mapping[str, object]) -> tuple[tuple[str, ...], str | None]:
    """The companies and the id of an order, as far as they can be told."""
    companies = (platform_id(message.get(name)) for name in COMPANY_FIELDS)
    return tuple(dict.fromkeys(company for company in companies if company)), platform_id(message.get("id"))


def _disposition(has_error: bool, status: object, name: str) -> Disposition:
    if has_error:
        return "error"
    by_name = _disposition_named(name)
    if _is(status, _CANCELLED) or by_name == "cancelled":
        return "cancelled"
    if _is(status, _ON_HOLD) or name.startswith(("on hold", "onhold")):
        return "on_hold"
    return by_name


_WORD: Final = re.compile(r"[^\W_]+")
_ENDS: Final[dict[str, Disposition]] = {
    "refunded": "refunded",
    "refund": "refunded",
    "returned": "returned",
    "return": "returned",
    "rejected": "rejected",
    "declined": "rejected",
    "chargeback": "refunded",
    # to a customer who gets money back, or of a payment that has come in
    "credited": "unclear",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "cancellation": "cancelled",
    "voided": "cancelled",
    "void": "cancelled",
}
"""Words for how a sale ends."""
_PARTIALLY: Final = frozenset({"partial", "partially", "partly", "part"})
_IN_PART: Final[dict[Disposition, Disposition]] = {
    "refunded": "partially_refunded",
    "returned": "partially_returned",
    # which lines are cancelled, the lines say themselves
    "cancelled": "live",
}
_BESIDE_AS_TEXT: Final = """
    order customer retailer supplier notified by to sender the and fully full after dispatch dispatched delivered
    shipped completed complete processed issued archived
"""
_BESIDE: Final = frozenset(_BESIDE_AS_TEXT.split())
"""Words that change nothing of what a status's name says."""
_STILL_A_SALE: Final = re.compile(
    r"(?:order |customer )?(?:"
    r"not (?:yet )?(?:been )?(?:refunded|returned|rejected|declined|credited|cancell?ed|voided)"
    r"|(?:partial )?(?:refund|return|cancellation) (?:request )?"
    r"(?:requested|request|pending|rejected|declined|denied|refused|failed|withdrawn|cancell?ed)"
    r"|(?:pending|awaiting) (?:refund|return|cancellation)"
    r"|(?:refund|return|cancellation) request"
    r"|qc rejected)"
)
_MAY_END_IT: Final = re.compile(r"refund|return|reject|declin|charged? ?back|\bcredited|cancel|\bvoid")
_SAID_SO: Final = re.compile("refund|return|reject")
"""What the words for a disposition say as the name does."""


def _disposition_named(name: str) -> Disposition:
    """What a status's name says of the sale, taken as a whole. What it means has to be known, or it is unclear."""
    if not _MAY_END_IT.search(name):
        return "live"
    words = name.split()
    if _STILL_A_SALE.fullmatch(name):
        return "live"
    telling = [word for word in words if word not in _BESIDE and word not in _PARTIALLY]
    ends = [_ENDS[word] for word in telling if word in _ENDS]
    nouns = [word for word in telling if word in ("refund", "return", "cancellation", "void")]
    if not ends or len(ends) < len(telling) or (nouns and len(set(ends)) > 1):
        return "unclear"
    if not _PARTIALLY.isdisjoint(words):
        return _IN_PART.get(ends[0], "unclear") if len(set(ends)) == 1 else "unclear"
    return "cancelled" if "cancelled" in ends else ends[0]


def _stage(status: object, name: str, disposition: Disposition, *, made: bool) -> Stage:
    """What the status says of production. One that ends a sale or holds it up says nothing of it."""
    if made:
        return "made"
    if disposition in ("cancelled", "on_hold", "error", "unclear") or _says_nothing(status, name):
        return ""
    return "received" if (name in _RECEIVED_NAMES or (not name and _is(status, *_RECEIVED))) else "made"


def _says_nothing(status: object, name: str) -> bool:
    """Whether a status says nothing of the sale: “Archived”, or none at all."""
    if _is(status, _CANCELLED, _ON_HOLD):
        return False
    words = set(name.split())
    return "archived" in words <= _BESIDE if words else _number(status) is None


def _name(value: object) -> str:
    """A status's name as its words: “ON_HOLD” and “On-hold” are one."""
    return " ".join(_WORD.findall(value[:_LONGEST_TEXT].casefold())) if isinstance(value, str) else ""


def _is(value: object, *codes: int) -> bool:
    """Whether a status is one of these; a status that isn't even a number is merely unknown."""
    return (number := _number(value)) is not None and number in codes


_FLAGS: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}


def _flag(message: Mapping[str, object], name: str) -> bool:
    value = message.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    text = value.strip().lower() if isinstance(value, str) else str(value) if _is(value, 0, 1) else "?"
    if text not in _FLAGS:
        raise _stopped("bad_flag", field=name, value=quoted(value))
    return _FLAGS[text]


def _text(members: Mapping[str, object], name: str, longest: int = _LONGEST_TEXT, *, where: str = "") -> str:
    value = members.get(name)
    # PHP's ways of saying none
    if value is None or value is False or value in ([], {}):
        return ""
    match value:
        case str():
            return value[:longest]
        case bool():
            pass
        case int() if abs(value) < 10**19:
            return str(value)
        case Decimal():
            return f"{value:f}"[:longest]
    raise _stopped("not_text", field=field_path(where, name), value=quoted(value))


# --- dates and the currency ---------------------------------------------------------------------------------

_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]|[ \u00a0\u2007\u202f]+)([0-9]{1,2}):([0-9]{1,2})(?::([0-9]{1,2})(?:[.,]([0-9]+))?)?"
    r"[ \u00a0\u2007\u202f]?(?:([Zz]|UTC|GMT)|([+-])([0-9]{1,2}):?([0-9]{2})?)?)?"
)
# MySQL's empty date, what PHP makes of it, and the first year there is.
_NO_DATE = re.compile(r"(?:0000-0?0-0?0|-0001-11-30|0001-[0-9]{1,2}-[0-9]{1,2})(?:[Tt\s].*)?")
_UNIX_ZERO: Final = date(1970, 1, 1)
_ZERO_EVERYWHERE: Final = time(14)
"""The latest hour that the zero of Unix time has in any time zone."""


def _sold_at(message: Mapping[str, object]) -> date:
    sold_at = _moment(message, "sale_datetime") or _moment(message, "creation_datetime")
    if sold_at is None:
        raise _stopped("missing_field", field="sale_datetime")
    return sold_at


def _moment(message: Mapping[str, object], name: str) -> date | None:
    """The date, or the date and time with the zone that was sent; None for the platform's ways of saying none."""
    value = message.get(name)
    if _is_empty(value):
        return None
    text = value.strip() if isinstance(value, str) and len(value) < 60 else ""
    if _NO_DATE.fullmatch(text):
        return None
    # Years in which a due date can be reckoned from it.
    if (match := _MOMENT.fullmatch(text)) and 1900 <= int(match[1]) <= 2199:
        try:
            moment = _moment_in(match)
        except ValueError:
            pass
        else:
            return None if _is_unix_zero(moment) else moment
    raise _stopped("bad_date", field=name, value=quoted(value))


def _is_unix_zero(moment: date) -> bool:
    """Whether it is what systems make of no date at all, in one time zone or another."""
    if isinstance(moment, datetime):
        return moment.date() == _UNIX_ZERO and moment.time() <= _ZERO_EVERYWHERE
    return moment == _UNIX_ZERO


def _completed_at(message: Mapping[str, object]) -> tuple[date | None, Problem | None]:
    """When it was completed, and why that can't be read: it matters only where documents are dated by it."""
    try:
        return _moment(message, "completion_datetime"), None
    except OrderStopped as stopped:
        return None, stopped.problem


def _dispatch_by(message: Mapping[str, object]) -> date | None:
    """One that can't be read stops no order: nothing depends on it but a purchase order's delivery date."""
    return _read(False, _moment, message, "required_dispatch_date")


def _moment_in(match: re.Match[str]) -> date:
    """What a date, or a date and time, says. Raises ValueError where there is no such moment."""
    day = date(int(match[1]), int(match[2]), int(match[3]))
    if match[4] is None:
        return day
    hour, minute, second = int(match[4]), int(match[5]), int(match[6] or 0)
    if (hour, minute, second) == (24, 0, 0):
        # the end of a day is still that day
        hour, minute, second = 23, 59, 59
    microsecond = int(f"{match[7] or '':0<6}"[:6])
    zone = UTC if match[8] else None
    if match[9]:
        east = timedelta(hours=int(match[10]), minutes=int(match[11] or 0))
        zone = timezone(east if match[9] == "+" else -east)
    return datetime.combine(day, time(hour, minute, second, microsecond, zone))


_CURRENCY = re.compile(r"[A-Za-z]{3}")


def _currency(value: object) -> str | None:
    if _is_empty(value):
        return None
    text = value.strip() if isinstance(value, str) else ""
    if not _CURRENCY.fullmatch(text):
        raise _stopped("bad_currency", field="currency_code", value=quoted(value))
    return text.upper()


# --- amounts ------------------------------------------------------------------------------------------------

NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")
LONGEST_NUMBER: Final = 40
_EXACT = Context(prec=100)
_TOO_MUCH: Final = 10**10


class _Given(NamedTuple):
    """A number as it came, and what it means."""

    field: str
    value: object
    number: Decimal


def _number(value: object) -> Decimal | None:
    match value:
        case bool():
            return None
        case Decimal():
            return value if value.is_finite() else None
        case int() if abs(value) < 10**19:
            return Decimal(value)
        case str() if len(value) <= LONGEST_NUMBER and NUMBER.fullmatch(text := value.strip()):
            return Decimal(text)
    return None


def _amount(value: object) -> Decimal | None:
    """The number without trailing zeros or exponent; None beyond 10 digits or 20 decimals."""
    number = _number(value)
    if not number:
        return None if number is None else Decimal(0)
    number = number.normalize(_EXACT)
    exponent = number.as_tuple().exponent
    # An exponent is looked at before anything is reckoned with it.
    if number.adjusted() >= 10 or not isinstance(exponent, int) or exponent < -20:
        return None
    return _plain(number) if abs(number) < _TOO_MUCH else None


def _plain(number: Decimal) -> Decimal:
    """The same number without trailing zeros or exponent, so that equal amounts are written equally."""
    if not number:
        return Decimal(0)
    return Decimal(f"{number.normalize(_EXACT):f}")


def _aliased(members: Mapping[str, object], names: Iterable[str], where: str = "") -> _Given | None:
    """The finest of the prices under these names; all that are there must be the same but for rounding."""

    def amount(value: object, path: str) -> Decimal | None:
        if (number := _amount(value)) is None:
            raise _stopped("bad_number", field=path, value=quoted(value))
        return number

    return _agreeing(members, names, where, amount, _same_but_for_rounding)


def _same_but_for_rounding(one: Decimal, other: Decimal) -> bool:
    """20.8333 and 20.83; but 20.8 is not 20.83, as prices are in cents at least."""
    places = max(2, min(decimals(one), decimals(other)))
    return one == other or abs(one - other) <= Decimal("0.5").scaleb(-places)


def _agreeing(
    members: Mapping[str, object],
    names: Iterable[str],
    where: str,
    meaning: Callable[[object, str], Decimal | None],
    agree: Callable[[Decimal, Decimal], bool] = operator.eq,
) -> _Given | None:
    found: _Given | None = None
    for name in names:
        value, path = members.get(name), field_path(where, name)
        if _is_empty(value) or (number := meaning(value, path)) is None:
            continue
        given = _Given(path, value, number)
        if found is not None and not agree(found.number, number):
            raise _conflict(found, given)
        if found is None or decimals(number) > decimals(found.number):
            found = given
    return found


def _conflict(one: _Given, other: _Given) -> OrderStopped:
    return _stopped(
        "conflicting_prices",
        field=one.field,
        value=quoted(one.value),
        other_field=other.field,
        other_value=quoted(other.value),
    )


def _quantity(value: object, path: str) -> Decimal:
    if _is_empty(value):
        raise _stopped("missing_field", field=path)
    quantity = _amount(value)
    if quantity is None or quantity < 0 or decimals(quantity) > 4:
        raise _stopped("bad_quantity", field=path, value=quoted(value))
    return quantity


# --- tax rates ----------------------------------------------------------------------------------------------


def _tax_rate(
    members: Mapping[str, object],
    names: Iterable[str],
    where: str,
    price: _Given | None,
    price_inc_tax: _Given | None,
) -> Decimal | None:
    """The rate in percent, as stated; None where none is."""
    stated = _stated_rate(members, names, where)
    prices = [given.number for given in (price, price_inc_tax) if given]
    if price and price_inc_tax:
        _check_pair(price, price_inc_tax)
        return stated
    unusable = [name for name in names if not (_is_empty(members.get(name)) or _is_below_zero(members[name]))]
    free = bool(prices) and not any(prices)
    if stated is None and unusable and not free:
        raise _stopped("bad_rate", field=field_path(where, unusable[0]), value=quoted(members[unusable[0]]))
    return stated


def _stated_rate(
    members: Mapping[str, object], names: Iterable[str], where: str, *_: object
) -> Decimal | None:
    stated = _agreeing(members, names, where, lambda value, _: _percent(value))
    return stated and stated.number


def _is_below_zero(value: object) -> bool:
    """Senders divide by the price to get the rate, so what has none comes with -1 and the like."""
    return (number := _number(value)) is not None and number < 0


def _percent(value: object) -> Decimal | None:
    """Fractions below 1, percent above or with a sign; exactly 1 could be either, and the rest means nothing."""
    if isinstance(value, str) and value.strip().endswith("%"):
        signed = _amount(value.strip().removesuffix("%").strip())
        return signed if signed is not None and 0 <= signed <= 100 else None
    rate = _amount(value)
    if rate is None or rate < 0 or rate == 1 or rate > 100:
        return None
    percent = rate * 100 if rate < 1 else rate
    return _plain(percent.quantize(Decimal("1e-6"), ROUND_HALF_UP))


def _check_pair(price: _Given, price_inc_tax: _Given) -> None:
    """Two prices that no rate from 0 to 100 % relates, however they were rounded, contradict each other.

    Prices are in cents at least. A price with tax that is nothing leaves nothing for the one without.
    """
    net, gross = abs(price.number), abs(price_inc_tax.number)
    off, off_inc_tax = (
        Decimal("0.5").scaleb(-max(2, decimals(given.number))) for given in (price, price_inc_tax)
    )
    same_sign = price.number * price_inc_tax.number >= 0
    if (
        not same_sign
        or (net and not gross)
        or gross + off_inc_tax < net - off
        or gross - off_inc_tax > 2 * (net + off)
    ):
        raise _conflict(price, price_inc_tax)


# --- saying what is wrong -----------------------------------------------------------------------------------


def _stopped(code: str, **details: str) -> OrderStopped:
    return OrderStopped(Problem(code, details))


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in ("", "n/a"))


def field_path(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


_RUN: Final = re.compile(r"[\w-]{16,}")


def _is_private(text: str) -> bool:
    """Whether a text may be an e-mail address, or as long and mixed as only a key to something is."""
    runs = (run for run in _RUN.findall(text) if re.search("[0-9]", run))
    return "@" in text or "＠" in text or any(len(re.findall("[A-Za-z]", run)) > 2 for run in runs)


def quoted(value: object) -> str:
    """A value as a problem shows it: short, on one line, and never the inside of an object or a list.

    Nothing that may be an e-mail address or a key to something: what stands in the wrong field may be anything.
    """
    match value:
        case bool():
            text = str(value).lower()
        case str():
            text = "a text that is not shown here" if _is_private(value[:200]) else value
        case int() if abs(value) >= 10**19:
            text = "a very large number"
        case int() | float() | Decimal():
            text = str(value)
        case list():
            text = "a list"
        case _:
            text = "several values in one"
    shown = "".join(character if character.isprintable() else "?" for character in text[:60])
    return f"{shown}…" if len(text) > 60 else shown


# --- an order as text ---------------------------------------------------------------------------------------


def content(order: Order) -> str:
    """The order as compact JSON, amounts as text."""
    return _compact(
        {
            "id": order.id,
            "companies": list(order.companies),
            "dispatched": order.dispatched,
            "dispatch_by": order.dispatch_by.isoformat() if order.dispatch_by else None,
            "completed_at": order.completed_at.isoformat() if order.completed_at else None,
            "sold_at": order.sold_at.isoformat(),
            "status_told": order.status_told,
            "flaw": _problem_out(order.flaw),
            "completion_flaw": _problem_out(order.completion_flaw),
            **_accounting(order),
            "lines": [
                {"id": line.id, "cancelled": line.cancelled, **_line_accounting(line)} for line in order.lines
            ],
        }
    )


def content_saying(text: str, disposition: Disposition, status: str) -> str:
    """The content with other words for what became of the sale. Whatever else it says stays."""
    return _compact(json.loads(text) | {"disposition": disposition, "status": status})


def _problem_out(problem: Problem | None) -> dict[str, object] | None:
    return {"code": problem.code, "details": dict(problem.details)} if problem else None


def content_hash(order: Order) -> str:
    """Equal for two orders when accounting can't tell them apart, but perhaps by the day of their sale.

    Cancelled lines are in no document. Which day a moment is depends on the organisation.
    """
    lines = [_line_accounting(line) for line in order.lines if not line.cancelled]
    return hashlib.sha256(_compact({**_accounting(order), "lines": lines}).encode()).hexdigest()


def order_from_content(text: str) -> Order:
    """The order that `content` wrote."""
    raw = json.loads(text)
    return Order(
        id=raw["id"],
        companies=tuple(raw["companies"]),
        ref=raw["ref"],
        external_ref=raw["external_ref"],
        disposition=raw["disposition"],
        dispatched=raw["dispatched"],
        free_of_charge=raw["free_of_charge"],
        currency=raw["currency"],
        dispatch_by=_written_moment(raw["dispatch_by"]) if raw.get("dispatch_by") else None,
        ships_to=raw.get("ships_to"),
        status=raw.get("status", ""),
        status_told=raw.get("status_told", True),
        flaw=Problem.restored(raw["flaw"]) if raw.get("flaw") else None,
        completion_flaw=Problem.restored(raw["completion_flaw"]) if raw.get("completion_flaw") else None,
        sold_at=_written_moment(raw["sold_at"]),
        completed_at=_written_moment(raw["completed_at"]) if raw["completed_at"] else None,
        lines=tuple(
            OrderLine(
                id=line["id"],
                sku=line["sku"],
                description=line["description"],
                colour=line["colour"],
                size=line["size"],
                quantity=Decimal(line["quantity"]),
                price=_written(line["price"]),
                price_inc_tax=_written(line["price_inc_tax"]),
                cost=_written(line["cost"]),
                tax_rate=_written(line["tax_rate"]),
                cancelled=line["cancelled"],
            )
            for line in raw["lines"]
        ),
        shipping=Shipping(
            price=_written(raw["shipping"]["price"]),
            price_inc_tax=_written(raw["shipping"]["price_inc_tax"]),
            tax_rate=_written(raw["shipping"]["tax_rate"]),
        ),
    )


def _accounting(order: Order) -> dict[str, object]:
    return {
        "ref": order.ref,
        "external_ref": order.external_ref,
        "disposition": order.disposition,
        "status": order.status,
        "free_of_charge": order.free_of_charge,
        "currency": order.currency,
        "ships_to": order.ships_to,
        "shipping": {
            "price": _as_text(order.shipping.price),
            "price_inc_tax": _as_text(order.shipping.price_inc_tax),
            "tax_rate": _as_text(order.shipping.tax_rate),
        },
    }


def _line_accounting(line: OrderLine) -> dict[str, object]:
    return {
        "sku": line.sku,
        "description": line.description,
        "colour": line.colour,
        "size": line.size,
        "quantity": _as_text(line.quantity),
        "price": _as_text(line.price),
        "price_inc_tax": _as_text(line.price_inc_tax),
        "cost": _as_text(line.cost),
        "tax_rate": _as_text(line.tax_rate),
    }


# Not in ASCII: a non-Latin order would double in size and no longer fit its row.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def _compact(members: Mapping[str, object]) -> str:
    return _ENCODER.encode(members)


def _as_text(number: Decimal | None) -> str | None:
    return None if number is None else f"{_plain(number):f}"


def _written_moment(text: str) -> date:
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)


def _written(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)

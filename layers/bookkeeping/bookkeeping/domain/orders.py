"""A message of the platform becomes an Order: exact amounts, no consumer.

    read_message   the bytes of a message → the order's JSON, strictly and within bounds
    read_order     the order's JSON → Order, with every tolerance the platform's senders need
    narrow         an Order for only one of its two companies
    whose          which order of which companies a message is about, and nothing else
    content        an Order as text and back, and the hash that tells whether its accounting changed

Whatever can't be read raises Unreadable, which names the problem and, where they can be told, the companies
and the order it is about.
"""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Final, Literal, NamedTuple, NoReturn, ParamSpec, TypeVar

from bookkeeping.domain.problems.catalogue import OrderStopped, Problem

Disposition = Literal["live", "on_hold", "cancelled", "error"]

MAX_MESSAGE: Final = 1024 * 1024
MAX_WITHOUT_PDFS: Final = 256 * 1024
MAX_DEPTH: Final = 20
MAX_LINES: Final = 500


@dataclass(frozen=True)
class OrderLine:
    """One line of an order; prices are per unit, None where none was sent; `tax_rate` is in percent."""

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
    """The order's shipping charge; None where the platform sent no such price. `tax_rate` is in percent."""

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
    sold_on: date
    completed_on: date | None
    lines: tuple[OrderLine, ...]
    shipping: Shipping


class Unreadable(OrderStopped):
    """The message is no order we can post; `companies` and `order_id` are told where that is certain."""

    def __init__(self, problem: Problem, companies: tuple[str, ...], order_id: str | None) -> None:
        super().__init__(Problem(problem.code, {"order": order_id or "?", **problem.details}))
        self.companies = companies
        self.order_id = order_id


# --- a message: strict JSON within bounds -------------------------------------------------------------------


def read_message(body: str | bytes) -> Mapping[str, object]:
    """The order's JSON, bare or under `order`; numbers are Decimal, `pdfs` is null."""
    if len(body) > MAX_MESSAGE or len(raw := _as_bytes(body)) > MAX_MESSAGE:
        told = _skim(_as_bytes(body[:MAX_WITHOUT_PDFS]))
        raise told.unreadable("too_large", size=str(len(body)), limit=str(MAX_MESSAGE))
    skimmed = _skim(raw)
    if skimmed.stopped is not None:
        raise skimmed.stopped
    if len(skimmed.rest) > MAX_WITHOUT_PDFS:
        raise skimmed.unreadable("too_large", size=str(len(skimmed.rest)), limit=str(MAX_WITHOUT_PDFS))

    message = _parse(skimmed)
    order = message.get("order")
    if not isinstance(order, dict):
        order = message
    lines = order.get("items")
    if isinstance(lines, list) and len(lines) > MAX_LINES:
        raise skimmed.unreadable("too_many_lines", lines=str(len(lines)), limit=str(MAX_LINES))
    return order


def _as_bytes(body: str | bytes) -> bytes:
    """A lone surrogate passes, so that it is found later and the field it is in can be named."""
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body


def _parse(skimmed: _Skimmed) -> dict[str, Any]:
    # The decoders' own errors carry the whole text, consumer included: none of them may travel on as a cause.
    try:
        text = skimmed.rest.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise skimmed.unreadable(
            "unreadable_json", why=f"the character at byte {error.start} can't be read"
        ) from None
    if text.startswith("\ufeff"):
        raise skimmed.unreadable("unreadable_json", why="it starts with a byte order mark")
    try:
        message = json.loads(
            text,
            parse_int=_bounded_number,
            parse_float=_bounded_number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_repeats,
        )
    except json.JSONDecodeError as error:
        broken_at = len(text[: error.pos].encode("utf-8", "surrogatepass"))
        raise skimmed.unreadable("unreadable_json", told_before=broken_at, why=_why(error, text)) from None
    except _RepeatedKey as error:
        raise skimmed.unreadable("duplicate_key", key=_quoted(error.args[0])) from None
    except _NoSuchNumber as error:
        raise skimmed.unreadable(
            "unreadable_json", why=f"it has “{error.args[0]}” in the place of a number"
        ) from None
    if not isinstance(message, dict):
        raise skimmed.unreadable("unreadable_json", why="it is not an order")
    if _MAY_HOLD_SURROGATE.search(text) and (where := _lone_surrogate(message, "")) is not None:
        raise skimmed.unreadable("bad_text", field=_quoted(where))
    return message


_BROKEN: Final = {
    "Expecting ',' delimiter": "a comma or a closing bracket is missing",
    "Expecting ':' delimiter": "a colon is missing",
    "Expecting property name": "the name of a field is missing or has no quotes",
    "Expecting value": "a value is missing",
    "Extra data": "something follows behind its end",
    "Invalid control character": "a line break or another invisible character is inside a text",
    "Invalid \\": "a backslash stands where it means nothing",
}
"""How the decoder's complaints begin, and what people call it."""


def _why(error: json.JSONDecodeError, text: str) -> str:
    if not text.strip():
        return "it is empty"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        return "it breaks off before its end"
    wrong = (plain for said, plain in _BROKEN.items() if error.msg.startswith(said))
    return f"{next(wrong, 'something is out of place')} at character {error.pos}"


class _RepeatedKey(Exception):
    pass


class _NoSuchNumber(Exception):
    pass


_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")
_LONGEST_NUMBER: Final = 40


def _bounded_number(text: str) -> Decimal | str:
    """A number beyond any amount stays text: it costs nothing, and the field that holds it can be named."""
    return Decimal(text) if len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text) else text


def _refuse_constant(name: str) -> NoReturn:
    raise _NoSuchNumber(name)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RepeatedKey(key)
            seen.add(key)
    return members


_MAY_HOLD_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def _lone_surrogate(value: Any, where: str) -> str | None:
    """Where the first text with half a character is. Recursion is bounded by MAX_DEPTH."""
    if isinstance(value, str):
        return where if any("\ud800" <= character <= "\udfff" for character in value) else None
    members: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        # Cut, or a key of 100 KB would be copied for each of the thousand things below it.
        members = ((_path(where, key[:60]), item) for key, item in value.items())
        if any(_lone_surrogate(key, where) is not None for key in value):
            return f"a key in {where}" if where else "a key"
    elif isinstance(value, list):
        members = ((f"{where}[{index}]", item) for index, item in enumerate(value))
    return next((found for path, item in members if (found := _lone_surrogate(item, path)) is not None), None)


# --- the skim: one linear pass over the bytes, before anything is parsed ------------------------------------

# Possessive, so that neither a long string nor an unterminated one costs memory or time beyond its length.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SPACE = rb"[ \t\r\n]*+"
_TOKEN = re.compile(
    rb"(?P<string>" + _STRING + rb")(?:" + _SPACE + rb"(?P<colon>:))?"
    rb'|(?P<opening>[\[{])|(?P<closing>[\]}])|(?P<broken>")',
    re.DOTALL,
)
_OBJECT_FOLLOWS = re.compile(_SPACE + rb"\{")
_WHOLE_ID = re.compile(_SPACE + rb'("[^"\\]{0,40}+"|[0-9]{1,40}+)' + _SPACE + rb"(?=[,}])")
_SCALAR = re.compile(_SPACE + rb"(?:" + _STRING + rb'|[^\s"\[\]{},:]++)', re.DOTALL)
_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+)*+([\[\]{}"])', re.DOTALL)
_OPENER_OF: Final = {ord("]"): ord("["), ord("}"): ord("{")}
_TELLING: Final = frozenset({"id", "company_ref_id", "secondary_company_ref_id"})


@dataclass
class _Skimmed:
    """What can be told of a message without parsing it."""

    rest: bytes = b""
    """The message with every `pdfs` replaced by null."""
    stopped: Unreadable | None = None
    wrapped: bool = False
    told: dict[tuple[int, str], list[tuple[str, int]]] = field(default_factory=dict)
    """(depth, key) → each value seen and the position in `rest` where it ends."""

    def unreadable(self, code: str, told_before: int | None = None, **details: str) -> Unreadable:
        """What was told behind the place where the JSON broke is not certain; nor is what was told twice."""
        certain = {
            key: seen[0][0]
            for (depth, key), seen in self.told.items()
            if depth == (2 if self.wrapped else 1) and len(seen) == 1
            if told_before is None or seen[0][1] <= told_before
        }
        companies, order_id = _identity(certain)
        return Unreadable(Problem(code, details), companies, order_id)


def _skim(body: bytes) -> _Skimmed:
    """Find `pdfs`, the nesting's depth, and which order of which companies this is."""
    skimmed = _Skimmed()
    kept: list[bytes] = []
    kept_until = kept_size = position = depth = 0
    inside_order = False
    while token := _TOKEN.search(body, position):
        position = token.end()
        if kept_size + position - kept_until > MAX_WITHOUT_PDFS:
            break
        kind = token.lastgroup
        if kind == "opening":
            depth += 1
            if depth > MAX_DEPTH:
                skimmed.stopped = skimmed.unreadable("too_deep", limit=str(MAX_DEPTH))
                break
        elif kind == "closing":
            depth -= 1
            inside_order = inside_order and depth > 1
            if depth <= 0:
                break
        elif kind == "broken":
            break
        elif kind == "colon" and (depth == 1 or (depth == 2 and inside_order)):
            key = _key(token["string"])
            if key == "pdfs":
                end = _end_of_value(body, position)
                if end is None:
                    why = "it breaks off inside pdfs"
                    skimmed.stopped = skimmed.unreadable("unreadable_json", why=why)
                    break
                kept += body[kept_until:position], b"null"
                kept_size += position - kept_until + len(b"null")
                kept_until = position = end
            elif key == "order" and depth == 1 and _OBJECT_FOLLOWS.match(body, position):
                inside_order = skimmed.wrapped = True
            elif key in _TELLING:
                whole = _WHOLE_ID.match(body, position)
                value = whole[1].decode("utf-8", "replace").strip('"') if whole else ""
                ends_at = kept_size + (whole.end() if whole else position) - kept_until
                skimmed.told.setdefault((depth, key), []).append((value, ends_at))
    skimmed.rest = b"".join([*kept, body[kept_until:]])
    return skimmed


def _key(string: bytes) -> str:
    text = string[1:-1].decode("utf-8", "replace")
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return ""


def _end_of_value(body: bytes, position: int) -> int | None:
    """Where the value that starts here ends; its brackets are paired, nothing else of it is looked at."""
    if scalar := _SCALAR.match(body, position):
        return scalar.end()
    open_brackets = bytearray()
    while bracket := _BRACKET.match(body, position):
        position = bracket.end()
        character = body[position - 1]
        if character in b"[{":
            open_brackets.append(character)
        elif not open_brackets or open_brackets.pop() != _OPENER_OF.get(character):
            return None
        if not open_brackets:
            return position
    return None


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
_DISPATCHED_NAMES: Final = ("dispatched", "delivered", "sent to shipper", "received by shipper", "returned")

_LONGEST_DESCRIPTION: Final = 4000
_LONGEST_TEXT: Final = 255


def read_order(message: Mapping[str, object]) -> Order:
    """The order, or Unreadable with the one thing about it that has to be put right."""
    try:
        return _order(message)
    except OrderStopped as stopped:
        raise Unreadable(stopped.problem, *_identity(message)) from None


def _order(message: Mapping[str, object]) -> Order:
    order_id = _required_id(message, "id")
    companies = _companies(message)
    currency = _currency(message.get("currency_code"))
    smallest_unit = Decimal(1) if currency in _WITHOUT_CENTS else Decimal("0.01")
    status, status_name = message.get("status"), _name(message.get("status_name"))
    disposition = _disposition(_flag(message, "has_error"), status, status_name)
    live = disposition == "live"
    lines = _read(live, _lines, message.get("items"), smallest_unit, live=live) or ()
    completed = _flag(message, "has_been_completed")
    return Order(
        id=order_id,
        companies=companies,
        ref=_text(message, "ref"),
        external_ref=_text(message, "external_ref"),
        disposition=disposition,
        dispatched=completed or _is(status, *_DISPATCHED) or status_name.startswith(_DISPATCHED_NAMES),
        free_of_charge=_flag(message, "is_free_of_charge"),
        currency=currency,
        sold_on=_sold_on(message),
        completed_on=_date(message, "completion_datetime"),
        lines=lines,
        shipping=_shipping(message, smallest_unit, lines, live=live),
    )


def narrow(order: Order, company: str) -> Order:
    """The order for only one of its companies, as the message's `company` attribute asks."""
    if company not in order.companies:
        details = {"company": _quoted(company), "companies": ", ".join(order.companies)}
        raise Unreadable(Problem("company_not_in_order", details), order.companies, order.id)
    return replace(order, companies=(company,))


def whose(body: str) -> tuple[tuple[str, ...], str | None]:
    """The companies and the order a message is about, as far as they can be told without reading the order."""
    try:
        return _identity(read_message(body))
    except Unreadable as unreadable:
        return unreadable.companies, unreadable.order_id


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


def _lines(items: object, smallest_unit: Decimal, *, live: bool) -> tuple[OrderLine, ...]:
    if not isinstance(items, list):
        raise _stopped("missing_field", field="items")
    if not items:
        raise _stopped("no_lines")
    lines = [
        _read(live, _line, item, f"items[{index}]", smallest_unit, live=live)
        for index, item in enumerate(items)
    ]
    return tuple(line for line in lines if line is not None)


def _line(item: object, where: str, smallest_unit: Decimal, *, live: bool) -> OrderLine:
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
    rate = _read(counts, _tax_rate, item, _RATE, where, price, price_inc_tax, smallest_unit=smallest_unit)

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


def _shipping(
    message: Mapping[str, object], smallest_unit: Decimal, lines: Iterable[OrderLine], *, live: bool
) -> Shipping:
    price = _read(live, _aliased, message, ("shipping_price",))
    price_inc_tax = _read(live, _aliased, message, ("shipping_price_inc_tax",))
    names = ("shipping_tax_rate",)
    if (price and price.number) or (price_inc_tax and price_inc_tax.number):
        used = tuple(dict.fromkeys(line.tax_rate for line in lines if line.tax_rate is not None))
        rate = _read(
            live, _tax_rate, message, names, "", price, price_inc_tax, smallest_unit=smallest_unit, used=used
        )
    else:
        rate = _read(live, _stated_rate, message, names, "")
    return Shipping(price and price.number, price_inc_tax and price_inc_tax.number, rate)


# --- who and what state -------------------------------------------------------------------------------------

_ID = re.compile(r"[1-9][0-9]{0,18}")
_COMPANY_FIELDS: Final = ("secondary_company_ref_id", "company_ref_id")


def _id(value: object) -> str | None:
    """An id as its digits, else None. With a leading zero it is none, or one order would have two ids."""
    match value:
        case bool():
            return None
        case int() | Decimal():
            text = f"{value:f}" if isinstance(value, Decimal) else f"{value:d}" if abs(value) < 10**19 else ""
        case str():
            text = value.strip()
        case _:
            return None
    return text if _ID.fullmatch(text) else None


def _required_id(message: Mapping[str, object], name: str) -> str:
    value = message.get(name)
    if _is_empty(value):
        raise _stopped("missing_field", field=name)
    if (found := _id(value)) is None:
        raise _stopped("bad_id", field=name, value=_quoted(value))
    return found


def _companies(message: Mapping[str, object]) -> tuple[str, ...]:
    named = [name for name in _COMPANY_FIELDS if not (_is_empty(message.get(name)) or _is(message[name], 0))]
    if not named:
        raise _stopped("missing_field", field=_COMPANY_FIELDS[0])
    # a reference that can't be one, such as the GUIDs of old, is passed over as long as there is another
    companies, _ = _identity(message)
    return companies or (_required_id(message, named[0]),)


def _identity(message: Mapping[str, object]) -> tuple[tuple[str, ...], str | None]:
    """The companies and the id of an order, as far as they can be told."""
    companies = (_id(message.get(name)) for name in _COMPANY_FIELDS)
    return tuple(dict.fromkeys(company for company in companies if company)), _id(message.get("id"))


def _disposition(has_error: bool, status: object, name: str) -> Disposition:
    if has_error:
        return "error"
    if _is(status, _CANCELLED) or name in ("cancelled", "canceled"):
        return "cancelled"
    if _is(status, _ON_HOLD) or name.startswith("on hold"):
        return "on_hold"
    return "live"


def _name(value: object) -> str:
    return " ".join(value[:_LONGEST_TEXT].casefold().split()) if isinstance(value, str) else ""


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
        raise _stopped("bad_flag", field=name, value=_quoted(value))
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
    raise _stopped("not_text", field=_path(where, name), value=_quoted(value))


# --- dates and the currency ---------------------------------------------------------------------------------

_DATE = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]| +)[0-9]{1,2}:[0-9]{1,2}(?::[0-9]{1,2}(?:[.,][0-9]{1,9})?)?"
    r" ?(?:[Zz]|[+-][0-9]{1,2}:?(?:[0-9]{2})?)?)?"
)
# MySQL's empty date, and what PHP makes of it.
_NO_DATE = re.compile(r"(?:0000-0?0-0?0|-0001-11-30)(?:[Tt ].*)?")


def _sold_on(message: Mapping[str, object]) -> date:
    sold_on = _date(message, "sale_datetime") or _date(message, "creation_datetime")
    if sold_on is None:
        raise _stopped("missing_field", field="sale_datetime")
    return sold_on


def _date(message: Mapping[str, object], name: str) -> date | None:
    """The day as written, whatever its zone; None for the platform's ways of saying none."""
    value = message.get(name)
    if _is_empty(value):
        return None
    text = value.strip() if isinstance(value, str) and len(value) < 60 else ""
    if _NO_DATE.fullmatch(text):
        return None
    if match := _DATE.fullmatch(text):
        year, month, day = (int(part) for part in match.groups())
        # Years in which a due date can be reckoned from it.
        if 1900 <= year <= 2199:
            try:
                return date(year, month, day)
            except ValueError:
                pass
    raise _stopped("bad_date", field=name, value=_quoted(value))


_CURRENCY = re.compile(r"[A-Za-z]{3}")
_WITHOUT_CENTS: Final = frozenset({
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW",
    "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
})  # fmt: skip


def _currency(value: object) -> str | None:
    if _is_empty(value):
        return None
    text = value.strip() if isinstance(value, str) else ""
    if not _CURRENCY.fullmatch(text):
        raise _stopped("bad_currency", field="currency_code", value=_quoted(value))
    return text.upper()


# --- amounts ------------------------------------------------------------------------------------------------

_EXACT = Context(prec=100)
_TWELVE_DECIMALS: Final = Decimal("1e-12")
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
        case str() if len(value) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text := value.strip()):
            return Decimal(text)
    return None


def _amount(value: object) -> Decimal | None:
    """The number without trailing zeros or exponent; None beyond 10 digits or 20 decimals.

    From the 13th decimal on it is noise of a sender that divides in binary (13 / 1.2 = 10.833333333333334).
    """
    number = _number(value)
    if not number:
        return None if number is None else Decimal(0)
    number = number.normalize(_EXACT)
    exponent = number.as_tuple().exponent
    # An exponent is looked at before anything is reckoned with it.
    if number.adjusted() >= 10 or not isinstance(exponent, int) or exponent < -20:
        return None
    if exponent < -12:
        number = number.quantize(_TWELVE_DECIMALS, ROUND_HALF_UP, _EXACT)
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
            raise _stopped("bad_number", field=path, value=_quoted(value))
        return number

    return _agreeing(members, names, where, amount, _same_but_for_rounding)


def _same_but_for_rounding(one: Decimal, other: Decimal) -> bool:
    """20.8333 and 20.83; but 20.8 is not 20.83, as prices are in cents at least."""
    decimals = max(2, min(_decimals(one), _decimals(other)))
    return one == other or abs(one - other) <= Decimal("0.5").scaleb(-decimals)


def _agreeing(
    members: Mapping[str, object],
    names: Iterable[str],
    where: str,
    meaning: Callable[[object, str], Decimal | None],
    agree: Callable[[Decimal, Decimal], bool] = operator.eq,
) -> _Given | None:
    found: _Given | None = None
    for name in names:
        value, path = members.get(name), _path(where, name)
        if _is_empty(value) or (number := meaning(value, path)) is None:
            continue
        given = _Given(path, value, number)
        if found is not None and not agree(found.number, number):
            raise _conflict(found, given)
        if found is None or _decimals(number) > _decimals(found.number):
            found = given
    return found


def _conflict(one: _Given, other: _Given) -> OrderStopped:
    return _stopped(
        "conflicting_prices",
        field=one.field,
        value=_quoted(one.value),
        other_field=other.field,
        other_value=_quoted(other.value),
    )


def _quantity(value: object, path: str) -> Decimal:
    if _is_empty(value):
        raise _stopped("missing_field", field=path)
    quantity = _amount(value)
    if quantity is None or quantity < 0 or _decimals(quantity) > 4:
        raise _stopped("bad_quantity", field=path, value=_quoted(value))
    return quantity


def _decimals(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


# --- tax rates ----------------------------------------------------------------------------------------------


def _tax_rate(
    members: Mapping[str, object],
    names: Iterable[str],
    where: str,
    price: _Given | None,
    price_inc_tax: _Given | None,
    *,
    smallest_unit: Decimal,
    used: tuple[Decimal, ...] = (),
) -> Decimal | None:
    """The rate in percent: as stated while the two prices bear it out, else the one they tell."""
    stated = _stated_rate(members, names, where)
    prices = [given.number for given in (price, price_inc_tax) if given]
    if price and price_inc_tax and any(prices):
        if stated is not None and _bears_out(stated, price, price_inc_tax, smallest_unit):
            return _rate_meant(stated, price, price_inc_tax, smallest_unit, used)
        return _rate_between(price, price_inc_tax, smallest_unit, used)
    unusable = next((name for name in names if not _is_empty(members.get(name))), None)
    # Senders divide by the price to get the rate, so what is free comes with -1 and the like.
    free = bool(prices) and not any(prices)
    if stated is not None or unusable is None or free:
        return stated
    raise _stopped("bad_rate", field=_path(where, unusable), value=_quoted(members[unusable]))


def _stated_rate(members: Mapping[str, object], names: Iterable[str], where: str) -> Decimal | None:
    stated = _agreeing(members, names, where, lambda value, _: _percent(value))
    return stated and stated.number


def _percent(value: object) -> Decimal | None:
    """Fractions below 1, percent above; exactly 1 could be either, and the rest means nothing."""
    rate = _amount(value)
    if rate is None or rate < 0 or rate == 1 or rate > 100:
        return None
    percent = rate * 100 if rate < 1 else rate
    return _plain(percent.quantize(Decimal("1e-6"), ROUND_HALF_UP))


def _bears_out(rate: Decimal, price: _Given, price_inc_tax: _Given, smallest_unit: Decimal) -> bool:
    return abs(price.number * (100 + rate) / 100 - price_inc_tax.number) <= smallest_unit


def _gives(rate: Decimal, price: _Given, price_inc_tax: _Given, smallest_unit: Decimal) -> bool:
    """Whether one price is the other's at this rate, rounded; which one of them is, nobody says."""
    return _bears_out(rate, price, price_inc_tax, smallest_unit / 2 * (100 + rate) / 100)


def _told(price: _Given, price_inc_tax: _Given) -> Decimal:
    return (price_inc_tax.number / price.number - 1) * 100 if price.number else Decimal(-100)


def _own_rate(
    price: _Given, price_inc_tax: _Given, smallest_unit: Decimal, used: tuple[Decimal, ...]
) -> Decimal | None:
    """The order's own rate that two prices bear out; of several the one nearest to what they tell."""
    told = _told(price, price_inc_tax)
    fitting = [rate for rate in used if _bears_out(rate, price, price_inc_tax, smallest_unit)]
    return min(fitting, key=lambda rate: abs(rate - told), default=None)


def _rate_meant(
    stated: Decimal,
    price: _Given,
    price_inc_tax: _Given,
    smallest_unit: Decimal,
    used: tuple[Decimal, ...],
) -> Decimal:
    """The stated rate; or the one behind it, if it was reckoned from rounded prices: 3.95 / 3.29 - 1 = 0.2006."""
    decimals = _decimals(stated)
    if decimals > 4:
        return _rate_between(price, price_inc_tax, smallest_unit, used)
    off = abs(stated - _told(price, price_inc_tax))
    if not decimals or off > Decimal("0.5").scaleb(-decimals):
        return stated
    own = _own_rate(price, price_inc_tax, smallest_unit, used)
    if own is not None:
        return own
    # 8.1, 8.75 and 14.975 are rates that there are, however well a whole one would do
    if stated % Decimal("0.025") == 0:
        return stated
    whole = _plain(stated.quantize(Decimal(1), ROUND_HALF_UP))
    return whole if _gives(whole, price, price_inc_tax, smallest_unit) else stated


def _rate_between(
    price: _Given, price_inc_tax: _Given, smallest_unit: Decimal, used: tuple[Decimal, ...]
) -> Decimal:
    """The rate two prices tell: the order's own if they bear it out, else the roundest that does."""
    rate = _told(price, price_inc_tax)
    # A hair below zero is a zero rate behind a rounded price: 18.0101 and 18.01.
    if not -1 < rate <= 100:
        raise _conflict(price, price_inc_tax)
    own = _own_rate(price, price_inc_tax, smallest_unit, used)
    if own is not None:
        return own
    nearest = _plain(rate.quantize(Decimal("0.01"), ROUND_HALF_UP))
    # where a tenth of a percent is a whole unit, a rounder rate that fits is the one meant: 5 behind 12.50 and 13.12
    if nearest != rate or price.number >= 1000 * smallest_unit:
        for step in (Decimal(1), Decimal("0.1")):
            rounder = _plain(rate.quantize(step, ROUND_HALF_UP))
            if rounder >= 0 and _gives(rounder, price, price_inc_tax, smallest_unit):
                return rounder
    if nearest < 0:
        raise _conflict(price, price_inc_tax)
    return nearest


# --- saying what is wrong -----------------------------------------------------------------------------------


def _stopped(code: str, **details: str) -> OrderStopped:
    return OrderStopped(Problem(code, details))


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in ("", "n/a"))


def _path(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _quoted(value: object) -> str:
    """A value as a problem shows it: short, on one line, and never the inside of an object or a list."""
    match value:
        case bool():
            text = str(value).lower()
        case str():
            text = value
        case int() if abs(value) >= 10**19:
            text = "a very large number"
        case int() | float() | Decimal():
            text = str(value)
        case list():
            text = "a list"
        case _:
            text = "an object"
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
            "completed_on": order.completed_on.isoformat() if order.completed_on else None,
            **_accounting(order),
            "lines": [
                {"id": line.id, "cancelled": line.cancelled, **_line_accounting(line)} for line in order.lines
            ],
        }
    )


def content_hash(order: Order) -> str:
    """Equal for two orders when accounting can't tell them apart: cancelled lines are in no document."""
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
        sold_on=date.fromisoformat(raw["sold_on"]),
        completed_on=date.fromisoformat(raw["completed_on"]) if raw["completed_on"] else None,
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
        "free_of_charge": order.free_of_charge,
        "currency": order.currency,
        "sold_on": order.sold_on.isoformat(),
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


def _compact(members: Mapping[str, object]) -> str:
    # Not in ASCII: a non-Latin order would double in size and no longer fit its row.
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def _as_text(number: Decimal | None) -> str | None:
    return None if number is None else f"{_plain(number):f}"


def _written(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)

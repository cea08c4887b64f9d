"""A message of the platform: strict JSON within limits, and which order and companies it is about.

    read_message   the bytes of a message → the order's JSON
    identify       only the order and the companies a message is about

Before parsing, one linear pass over the bytes finds `pdfs`, the depth of the nesting, the order and the companies.
A message that can't be read raises Unreadable. It carries the problem and, if known, the companies and the order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NoReturn

from bookkeeping.domain.orders import LONGEST_NUMBER, NUMBER, Unreadable, field_path, identity
from bookkeeping.domain.problems.problem import Problem

MAX_MESSAGE: Final = 1024 * 1024
MAX_WITHOUT_PDFS: Final = 256 * 1024
MAX_DEPTH: Final = 20
MAX_LINES: Final = 500


def read_message(body: str | bytes) -> Mapping[str, object]:
    """The order's JSON, bare or under `order`; numbers are Decimal, `pdfs` is null."""
    if len(body) > MAX_MESSAGE or len(raw := _as_bytes(body)) > MAX_MESSAGE:
        found = _skim(_as_bytes(body[:MAX_WITHOUT_PDFS]))
        raise found.unreadable("too_large", size=str(len(body)), limit=str(MAX_MESSAGE))
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
    """Lone surrogates pass here. They are found later, when their field can be named."""
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body


def _parse(skimmed: _Skimmed) -> dict[str, Any]:
    # A decoder's error carries the whole text, with the consumer's name. So every raise here is `from None`.
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
        raise skimmed.unreadable(
            "duplicate_key", key=field_name(error.args[0], "one that orders do not have")
        ) from None
    except _NoSuchNumber as error:
        raise skimmed.unreadable(
            "unreadable_json", why=f"it has “{error.args[0]}” in the place of a number"
        ) from None
    if not isinstance(message, dict):
        raise skimmed.unreadable("unreadable_json", why="it is not an order")
    if _MAY_HOLD_SURROGATE.search(text) and (where := _lone_surrogate(message, "")) is not None:
        raise skimmed.unreadable("bad_text", field=where)
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
"""How the decoder's error begins, and what the problem says instead."""


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


def _bounded_number(text: str) -> Decimal | str:
    """A number; one that is too large stays text, so that parsing is cheap and its field can be named."""
    return Decimal(text) if len(text) <= LONGEST_NUMBER and NUMBER.fullmatch(text) else text


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


_FIELD_NAMES: Final = """
    order id company_ref_id secondary_company_ref_id ref external_ref company_external_ref status status_name has_error
    error_message sale_datetime creation_datetime completion_datetime has_been_completed required_dispatch_date items
    shipping_company shipping_address_1 shipping_address_2 shipping_address_3 shipping_address_4 shipping_address_5
    shipping_postcode shipping_country shipping_country_code shipping_method shipping_carrier shipping_tracking
    shipping_note_url shipping_price shipping_price_inc_tax shipping_tax_rate billing_company billing_address_1
    billing_address_2 billing_address_3 billing_address_4 billing_address_5 billing_postcode billing_country
    billing_country_code billing_customer_name billing_customer_email billing_customer_telephone customer_name
    customer_email customer_telephone customer_telephone_mobile payment_trans_id payment_type additional_info is_urgent
    coupon_code currency_code is_free_of_charge pdfs status_callback_url tag sku description quantity type order_id
    print_job_id print_job_ref print_on_demand_ref textual_product_id external_url external_thumbnail_url colour size
    attributes name value bundle_ref unit_sale_price unit_price sale_price unit_retail_price unit_sale_price_inc_tax
    unit_price_inc_tax sale_price_inc_tax unit_cost_price unit_cost cost_price trade_price unit_trade_price
    unit_supplier_price supplier_price sale_vat_rate vat_rate tax_rate thumbnails
"""
"""The fields that the platform gives an order. Others are a sender's own, and may hold anything, a consumer's too."""
_FIELDS: Final = frozenset(_FIELD_NAMES.split())


def field_name(key: str, other: str = "…") -> str:
    """A key of a message as a problem shows it: `other` where it is not the platform's."""
    return key if key in _FIELDS else other


_MAY_HOLD_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def _lone_surrogate(value: Any, where: str) -> str | None:
    """The path of the first text with a lone surrogate. MAX_DEPTH bounds the recursion."""
    if isinstance(value, str):
        return where if any("\ud800" <= character <= "\udfff" for character in value) else None
    members: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        members = ((field_path(where, field_name(key)), item) for key, item in value.items())
        if any(_lone_surrogate(key, where) is not None for key in value):
            return f"a key in {where}" if where else "a key"
    elif isinstance(value, list):
        members = ((f"{where}[{index}]", item) for index, item in enumerate(value))
    return next((found for path, item in members if (found := _lone_surrogate(item, path)) is not None), None)


# --- the skim: one linear pass over the bytes, before parsing -------------------------------------------------------

# Possessive, so that a long or unterminated string takes no more memory and time than its length.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'

_SPACE = rb"[ \t\r\n]*+"

_TOKEN = re.compile(
    rb"(?P<string>" + _STRING + rb")(?:" + _SPACE + rb"(?P<colon>:))?"
    rb'|(?P<opening>[\[{])|(?P<closing>[\]}])|(?P<broken>")',
    re.DOTALL,
)

_OBJECT_FOLLOWS = re.compile(_SPACE + rb"\{")

_WHOLE_ID = re.compile(_SPACE + rb'("[^"\\]{0,40}+"|[0-9]{1,40}+(?:\.0{1,19}+)?)' + _SPACE + rb"(?=[,}])")

_SCALAR = re.compile(_SPACE + rb"(?:" + _STRING + rb'|[^\s"\[\]{},:]++)', re.DOTALL)

_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+)*+([\[\]{}"])', re.DOTALL)

_OPENER_OF: Final = {ord("]"): ord("["), ord("}"): ord("{")}

_TELLING: Final = frozenset({"id", "company_ref_id", "secondary_company_ref_id"})


@dataclass
class _Skimmed:
    """What the skim found in a message."""

    rest: bytes = b""
    """The message with every `pdfs` replaced by null."""
    stopped: Unreadable | None = None
    wrapped: bool = False
    found: dict[tuple[int, str], list[tuple[str, int]]] = field(default_factory=dict)
    """(depth, key) → each value seen and the position in `rest` where it ends."""

    def unreadable(self, code: str, told_before: int | None = None, **details: str) -> Unreadable:
        """The error, with the order and companies that are certain.

        An id is not certain if it stands after the place where the JSON is broken, or if it is repeated.
        """
        certain = {
            key: seen[0][0]
            for (depth, key), seen in self.found.items()
            if depth == (2 if self.wrapped else 1) and len(seen) == 1
            if told_before is None or seen[0][1] <= told_before
        }
        companies, order_id = identity(certain)
        return Unreadable(Problem(code, details), companies, order_id)


def _skim(body: bytes) -> _Skimmed:
    """Find `pdfs`, the depth of the nesting, the order and the companies."""
    skimmed = _Skimmed()
    kept: list[bytes] = []
    kept_until = kept_size = position = depth = 0
    inside_order = False
    while token := _TOKEN.search(body, position):
        position = token.end()
        kind = token.lastgroup
        if kind == "broken" or kept_size + position - kept_until > MAX_WITHOUT_PDFS:
            break
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
                skimmed.found.setdefault((depth, key), []).append((value, ends_at))
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
    """Where the value that starts here ends. Only its brackets are checked."""
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


def identify(body: str) -> tuple[tuple[str, ...], str | None]:
    """The companies and the order a message is about, as far as they are known without reading the order."""
    try:
        return identity(read_message(body))
    except Unreadable as unreadable:
        return unreadable.companies, unreadable.order_id

"""JSON Schemas of what the platform sends and hears, made from the code that reads and says it: `make schemas`.

The detail of an event is described by its type. An order has no such type: it is read field by field. So an order is
read here that notes each field it is asked for, and by which reader; the limits are the reader's own.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from pydantic import TypeAdapter

from bookkeeping.domain import order_message, orders
from bookkeeping.domain.events import DETAILS
from bookkeeping.domain.problems.problem import OrderStopped
from local.expand import ROOT

SCHEMAS: Final = ROOT / "docs" / "schemas"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Json = dict[str, Any]


def schemas() -> dict[str, Json]:
    """Every schema by the name of its file."""
    events = {
        name: {"$schema": DIALECT, **TypeAdapter(detail).json_schema()} for name, detail in DETAILS.items()
    }
    return {"order": order_schema(), **events}


def text_of(schema: Json) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


# --- what is read of an order ------------------------------------------------------------------------------------


class Noted(dict[str, Any]):
    """A JSON object that notes which of its members are read."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        super().__init__(members)
        self.read: dict[str, Json] = {}

    def get(self, name: str, default: Any = None) -> Any:
        self.read.setdefault(name, {})
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self.read.setdefault(name, {})
        return super().__getitem__(name)


def kind(name: str, said: str = "") -> Json:
    return {"$ref": f"#/$defs/{name}"} | ({"description": said} if said else {})


READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Json]]]] = {
    "_required_id": lambda given: {given["name"]: kind("id")},
    "_flag": lambda given: {given["name"]: kind("flag")},
    "_moment": lambda given: {given["name"]: kind("moment")},
    "_text": lambda given: {given["name"]: kind("text", f"Cut after {given['longest']} characters.")},
    "_aliased": lambda given: {name: kind("amount", _alias(name, given["names"])) for name in given["names"]},
    "_stated_rate": lambda given: {
        name: kind("rate", _alias(name, given["names"])) for name in given["names"]
    },
}
"""What each reader of `orders` says of the fields it is asked for."""


def _alias(name: str, names: tuple[str, ...]) -> str:
    others = [other for other in names if other != name]
    return f"The same as {', '.join(others)}." if others else ""


@contextmanager
def noting() -> Iterator[None]:
    """Meanwhile the readers note on a `Noted` what they were asked for."""

    def noted(reader: Any, describe: Callable[[Mapping[str, Any]], dict[str, Json]]) -> Any:
        signature = inspect.signature(reader)

        def read(members: Any, *args: Any, **named: Any) -> Any:
            given = signature.bind(members, *args, **named)
            given.apply_defaults()
            if isinstance(members, Noted):
                members.read.update(describe(given.arguments))
            return reader(members, *args, **named)

        return read

    with ExitStack() as stack:
        for name, describe in READERS.items():
            stack.enter_context(patch.object(orders, name, noted(getattr(orders, name), describe)))
        yield


def fields_read() -> tuple[dict[str, Json], dict[str, Json]]:
    """The fields that are read of an order and of a line, with what their readers say of them."""
    line = Noted({"quantity": 1})
    order = Noted({"id": 1, "company_ref_id": 1, "creation_datetime": "2026-11-02", "items": [line]})
    with noting():
        orders.read_order(order)
    return order.read, line.read


def one_of_these_dates() -> list[str]:
    """The fields of which one must say when the order was sold."""
    nothing = Noted({})
    # it looks at each of them, and then stops for want of a date
    with suppress(OrderStopped):
        orders._sold_at(nothing)
    return list(nothing.read)


# --- the schema --------------------------------------------------------------------------------------------------


def _whole(pattern: str) -> str:
    """A pattern for the whole of a text, which may stand between spaces, in JSON Schema's dialect."""
    return rf"^\s*(?:{pattern})\s*$"


def _any_case(words: list[str]) -> str:
    return "|".join(
        "".join(f"[{c}{c.upper()}]" if c.isalpha() else re.escape(c) for c in word) for word in words
    )


NONE: Final[Json] = {"type": ["string", "null"], "pattern": _whole(_any_case(["", "n/a"]))}
NO_DATE: Final[Json] = {"anyOf": [NONE, {"type": "string", "pattern": _whole(orders._NO_DATE.pattern)}]}
TEXT_NUMBER: Final[Json] = {
    "type": "string",
    "pattern": _whole(orders.NUMBER.pattern),
    "maxLength": orders.LONGEST_NUMBER,
}


def kinds() -> dict[str, Json]:
    """The kinds of value that an order's fields have."""
    too_much = orders._TOO_MUCH
    return {
        "id": {
            "description": "A whole number of up to 19 digits.",
            "anyOf": [
                {"type": "integer", "minimum": 1, "exclusiveMaximum": 10**19},
                {"type": "string", "pattern": _whole(orders._ID.pattern)},
            ],
        },
        "text": {
            "anyOf": [
                {"type": ["string", "number", "null"]},
                {"description": "Nothing, as PHP may say it.", "enum": [False, [], {}]},
            ]
        },
        "flag": {
            "anyOf": [
                {"enum": [True, False, 0, 1, None]},
                {"type": "string", "pattern": _whole(_any_case([*orders._FLAGS]))},
            ]
        },
        "moment": {
            "description": "A date, or a date and a time, best with its zone. Empty, or all zeros: none.",
            "anyOf": [
                {"type": "string", "pattern": _whole(orders._MOMENT.pattern)},
                NO_DATE,
            ],
        },
        "amount": {
            "description": "At most 20 decimals. Empty: none.",
            "anyOf": [
                {"type": "number", "exclusiveMinimum": -too_much, "exclusiveMaximum": too_much},
                TEXT_NUMBER,
                NONE,
            ],
        },
        "rate": {
            "description": "A fraction below 1, or percent above 1; with a percent sign always percent. Where both"
            " prices are there, one that means nothing counts as not stated.",
            "type": ["number", "string", "null"],
        },
        "quantity": {
            "description": "At most 4 decimals.",
            "anyOf": [{"type": "number", "minimum": 0, "exclusiveMaximum": too_much}, TEXT_NUMBER],
        },
        "currency": {"anyOf": [{"type": "string", "pattern": _whole(orders._CURRENCY.pattern)}, NONE]},
    }


def order_schema() -> Json:
    order, line = fields_read()
    company = {
        "description": "One that cannot be a reference number is passed over if the other one is good."
    }
    by_hand: dict[str, Json] = {
        **dict.fromkeys(orders.COMPANY_FIELDS, company),
        "status": {"description": "The code of a status."},
        "status_name": {"description": "The name of a status."},
        "currency_code": kind("currency"),
        "shipping_country_code": {},
        "shipping_country": {},
        "shipping_postcode": {"description": "Tells where VAT is due. It is not kept."},
        # the one whose flaw stops no order
        "required_dispatch_date": {"description": "A date. One that can't be read is left out."},
        "items": {
            "type": "array",
            "minItems": 1,
            "maxItems": order_message.MAX_LINES,
            "items": {
                "type": "object",
                "if": {
                    "required": ["status"],
                    "properties": {"status": {"enum": [orders._CANCELLED_ITEM, str(orders._CANCELLED_ITEM)]}},
                },
                "then": {"description": "A cancelled line is in no document."},
                "else": kind("line"),
            },
        },
    }
    line_by_hand: dict[str, Json] = {
        "quantity": kind("quantity"),
        "status": {"description": f"{orders._CANCELLED_ITEM}: the line is cancelled."},
    }
    limits = (
        f"At most {order_message.MAX_MESSAGE} bytes; {order_message.MAX_WITHOUT_PDFS} bytes and"
        f" {order_message.MAX_DEPTH} levels of nesting without `pdfs`. Other fields are ignored."
    )
    return {
        "$schema": DIALECT,
        "title": "Order message",
        "description": "The body of a message on the orders queue: an order that is to be posted, bare or under"
        f" `order`. {limits}",
        "type": "object",
        "if": {"required": ["order"], "properties": {"order": {"type": "object"}}},
        "then": {"properties": {"order": kind("order")}},
        "else": kind("order"),
        "$defs": {
            "order": {
                "type": "object",
                "required": ["id", "items"],
                "allOf": [
                    {"anyOf": [_present(name, kind("id")) for name in orders.COMPANY_FIELDS]},
                    {"anyOf": [_present(name, {"not": NO_DATE}) for name in one_of_these_dates()]},
                ],
                "properties": _described(order, by_hand),
            },
            "line": {
                "type": "object",
                "required": ["quantity"],
                "properties": _described(line, line_by_hand),
            },
            **kinds(),
        },
    }


def _present(name: str, what: Json) -> Json:
    return {"required": [name], "properties": {name: what}}


def _described(read: Mapping[str, Json], by_hand: Mapping[str, Json]) -> dict[str, Json]:
    """Every field that is read; `by_hand` has those that no reader describes, and what holds instead."""
    silent = {name for name, said in read.items() if not said}
    unknown = silent - by_hand.keys()
    gone = by_hand.keys() - read.keys()
    if unknown or gone:
        raise RuntimeError(f"fields that nothing here describes: {unknown}; that nobody reads: {gone}")
    return dict(sorted((dict(read) | dict(by_hand)).items()))


def main() -> int:
    SCHEMAS.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        path = Path(SCHEMAS / f"{name}.json")
        path.write_text(text_of(schema), encoding="utf-8")
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())

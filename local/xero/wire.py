"""Xero's wire formats: JSON with plain decimals, Microsoft dates, XML for callers that don't ask for JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any
from xml.sax.saxutils import escape

Json = dict[str, Any]

_quoted: Callable[[str], str] = encode_basestring_ascii


class ExponentDecimal(Decimal):
    """A number that was written with an exponent (`2.9E-05`), which Xero's line items can't read."""


def decimal_literal(literal: str) -> Decimal:
    return ExponentDecimal(literal) if "e" in literal.lower() else Decimal(literal)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"Unexpected character encountered while parsing value: {name}.")


def parse_json(body: bytes) -> Any:
    """The body as Python values, fractions as Decimal. Raises ValueError for anything that is not JSON."""
    try:
        return json.loads(
            body.decode("utf-8-sig"), parse_float=decimal_literal, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        raise ValueError("The reader's MaxDepth has been exceeded.") from error


def to_json(value: Any) -> str:
    """JSON text; a Decimal keeps the digits it has and never gets an exponent, a date becomes Xero's."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime | date):
        return _quoted(microsoft_date(value))
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quoted(str(key))}:{to_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(to_json, value)) + "]"
    raise TypeError(f"no JSON for {type(value).__name__}")


_SINGULAR = {
    "Addresses": "Address",
    "Currencies": "Currency",
    "TrackingCategories": "TrackingCategory",
    "Tracking": "TrackingCategory",
    "Options": "Option",
    "Elements": "DataContractBase",
}


def to_xml(root: str, payload: Json) -> str:
    """XML the way Xero writes it: a list is its name around singular elements, nulls are left out."""

    def element(name: str, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, list | tuple):
            one = _SINGULAR.get(name, name.removesuffix("s"))
            return f"<{name}>" + "".join(element(one, item) for item in value) + f"</{name}>"
        if isinstance(value, dict):
            return f"<{name}>" + "".join(element(key, item) for key, item in value.items()) + f"</{name}>"
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, Decimal):
            text = f"{value:f}"
        elif isinstance(value, datetime):
            text = value.strftime("%Y-%m-%dT%H:%M:%S")
        elif isinstance(value, date):
            text = date_string(value)
        else:
            text = str(value)
        return f"<{name}>{escape(text)}</{name}>"

    return f"{element(root, payload)}"


def microsoft_date(value: date | datetime) -> str:
    moment = (
        value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
    )
    milliseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _MILLISECOND
    return f"/Date({milliseconds}+0000)/"


_MILLISECOND = timedelta(milliseconds=1)


def date_string(value: date) -> str:
    return f"{value.isoformat()}T00:00:00"


def utc_string(moment: datetime) -> str:
    """`2019-03-07T09:18:27.123`, as in Xero's *UpdatedDateUTCString*."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def seven_digits(moment: datetime) -> str:
    """`2019-07-09T23:40:30.1833130`: no zone, seven fraction digits, as connections have it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0"


_MICROSOFT = re.compile(r"^/Date\((-?\d+)(?:[+-]\d{4})?\)/$")
_ISO_DAY = re.compile(
    r"^(\d{4})-(\d{2})-(\d{2})(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$"
)


def parse_date(text: str) -> date:
    """A day from `YYYY-MM-DD`, an ISO date-time or a Microsoft date. Raises ValueError otherwise."""
    if match := _MICROSOFT.match(text):
        try:
            return datetime.fromtimestamp(int(match[1]) / 1000, UTC).date()
        except (OverflowError, OSError) as error:
            raise ValueError(text) from error
    if match := _ISO_DAY.match(text):
        return date(int(match[1]), int(match[2]), int(match[3]))
    raise ValueError(f"String was not recognized as a valid DateTime: {text!r}")

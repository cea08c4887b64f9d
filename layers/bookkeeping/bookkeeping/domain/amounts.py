"""Exact amounts as text: for people, and for Xero."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def plain_number(number: Decimal) -> str:
    """A number as its shortest plain text, without an exponent: `20`, `5.5`."""
    text = format(abs(number) if number == 0 else number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def to_json(body: Any) -> bytes:
    """A body as UTF-8 JSON: the same bytes for the same content, decimals as plain numbers, never a float."""
    return _json(body).encode()


def _json(value: Any) -> str:
    match value:
        case Decimal():
            if not value.is_finite():
                raise ValueError("an amount must be finite")
            return plain_number(value)
        case float():
            raise TypeError("an amount must be a Decimal")
        case Mapping():
            members = (f"{json.dumps(str(key))}:{_json(value[key])}" for key in sorted(value))
            return "{" + ",".join(members) + "}"
        case list() | tuple():
            return "[" + ",".join(_json(one) for one in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)

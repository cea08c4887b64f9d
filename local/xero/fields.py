"""Reading posted elements: each kind of value, and the complaints about those that don't fit."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation

from local.xero.replies import ZERO_ID, invalid_post_data
from local.xero.unconfirmed import Unconfirmed
from local.xero.wire import Json, decimal_literal, parse_date

_LARGEST_EXPONENT = 18


def text(given: Json, key: str) -> str | None:
    """A string, None where it is absent or null. Raises RefusedError for an object or array."""
    value = given.get(key)
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        raise invalid_post_data(f"Unexpected character encountered while parsing value of {key}.")
    return str(value)


def identifier(given: Json, key: str) -> str | None:
    """A GUID in lower case; Xero reads the zero GUID as none. Raises RefusedError for what is no GUID."""
    value = text(given, key)
    if not value:
        return None
    lowered = value.strip().strip("{}").lower()
    compact = lowered.replace("-", "")
    if len(compact) != 32 or any(digit not in "0123456789abcdef" for digit in compact):
        raise invalid_post_data(f"Error converting value {value!r} to type 'System.Guid'. Path '{key}'.")
    return None if lowered == ZERO_ID else lowered


def number(given: Json, key: str) -> Decimal | None:
    """A number, also from a string of digits. Raises RefusedError for anything else and for what is out of range."""
    value = given.get(key)
    if value is None or value == "":
        return None
    parsed: Decimal | None = None
    if isinstance(value, Decimal):
        parsed = value
    elif isinstance(value, int) and not isinstance(value, bool):
        parsed = Decimal(value)
    elif isinstance(value, str):
        try:
            parsed = decimal_literal(value)
        except InvalidOperation as error:
            raise invalid_post_data(f"Could not convert string to decimal: {value}. Path '{key}'.") from error
    if parsed is None or not parsed.is_finite() or parsed.adjusted() > _LARGEST_EXPONENT:
        raise invalid_post_data(f"Error converting value to type 'System.Decimal'. Path '{key}'.")
    return parsed


def day(given: Json, key: str) -> date | None:
    value = text(given, key)
    if not value:
        return None
    try:
        return parse_date(value)
    except ValueError as error:
        raise invalid_post_data(f"{error}. Path '{key}'.") from error


def flag(given: Json, key: str) -> bool | None:
    value = given.get(key)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise invalid_post_data(f"Could not convert to boolean: {value}. Path '{key}'.")


def one_of(given: Json, key: str, allowed: tuple[str, ...] | frozenset[str]) -> str | None:
    """A wire value of an enum, spelt exactly. Raises RefusedError otherwise."""
    value = text(given, key)
    if value is None:
        return None
    if value not in allowed:
        raise invalid_post_data(f"Error converting value {value!r} to an allowed value. Path '{key}'.")
    return value


def part(given: Json, key: str) -> Json | None:
    """A nested object. Raises RefusedError for anything else."""
    value = given.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise invalid_post_data(f"Cannot deserialize the current JSON into {key}.")
    return value


def parts(given: Json, key: str) -> list[Json] | None:
    """A list of nested objects. Raises RefusedError for anything else."""
    value = given.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
        raise invalid_post_data(f"Cannot deserialize the current JSON into {key}.")
    return value


def length_errors(given: Json, limits: dict[str, int], unconfirmed: Unconfirmed) -> list[str]:
    """A complaint for each text that is longer than Xero stores."""
    return [
        unconfirmed["too_long_text"].format(field=key, limit=limit)
        for key, limit in limits.items()
        if len(text(given, key) or "") > limit
    ]

"""What an answer of Xero means that is not a 200.

The status decides where Xero documents it. Any other 4xx is a refusal only if its body is Xero's own, in JSON or in
XML: a box between us and Xero may answer in its place, though Xero did what it was asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final
from xml.etree import ElementTree

from bookkeeping.domain.errors import (
    AccessRefused,
    CallRefused,
    KeyReused,
    Limit,
    Offline,
    OutcomeUnknown,
    Throttled,
    TokenExpired,
    Unreadable,
    XeroError,
)

LONGEST_XML: Final = 1024 * 1024
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_OWN_ENTITIES: Final = re.compile(r"<!\s*(doctype|entity)", re.IGNORECASE)
_LISTS: Final = frozenset({"elements", "validationerrors", "warnings", "lineitems"})
"""Elements of Xero's XML that are lists in its JSON, however many they hold."""
_EXPIRED: Final = re.compile(r"token[ _]?(?:has )?expired")
_NOT_FOUND: Final = "the resource you're looking for cannot be found"
"""Xero's own 404, in plain text."""

Json = Any


def error_for(status: int, headers: Mapping[str, str], text: bytes, *, read: bool) -> XeroError:
    """What happens next after an answer with this status. `read`: it is the answer to a GET."""
    if status == 429:
        return Throttled(
            _limit(headers.get("X-Rate-Limit-Problem", "")), _seconds(headers.get("Retry-After", ""))
        )
    if status in (401, 403):
        return _refused_access(status, headers, text)
    if 400 <= status < 500 or status == 501:
        return _refused_call(status, text, read=read)
    if status == 503:
        only = b"organisation is offline" in text.lower()
        return Offline("the organisation is offline" if only else "Xero is offline", organisation_only=only)
    return OutcomeUnknown(f"Xero answered {status}", answered=True)


def _refused_access(status: int, headers: Mapping[str, str], text: bytes) -> XeroError:
    said = text.decode("utf-8", "replace").lower() + headers.get("WWW-Authenticate", "").lower()
    if _EXPIRED.search(said):
        return TokenExpired("the access token has expired")
    detail = _field(_read(text), "detail") or str(status)
    # Xero's own header has been seen misspelt "insufficent_scope"
    if "authorizationunsuccessful" in said or "_scope" in said:
        return AccessRefused("scope", detail)
    return AccessRefused("organisation" if status == 403 else "token", detail)


def _refused_call(status: int, text: bytes, *, read: bool) -> XeroError:
    if b"is used with a different request" in text:
        return KeyReused("the Idempotency-Key belongs to another request")
    payload = _read(text)
    if _is_xeros(payload, status):
        elements = _member(payload, "elements")
        return CallRefused(
            status,
            tuple(validation_errors(payload)) or _summary(payload),
            tuple(one for one in elements if isinstance(one, dict)) if isinstance(elements, list) else (),
        )
    if status == 413 or (status == 404 and read):
        return CallRefused(status, ())
    if status == 404 and text.decode("utf-8", "replace").strip(' ."\r\n').lower() == _NOT_FOUND:
        return CallRefused(status, (_NOT_FOUND,))
    return Unreadable(f"{status} with a body that is not Xero's")


def _is_xeros(payload: Json, status: int) -> bool:
    """Whether an error body is one that Xero writes: an ApiException, or problem details as Xero fills them."""
    if not isinstance(payload, dict):
        return False
    if (str(_member(payload, "errornumber")).isdecimal() and _summary(payload)) or any(
        validation_errors(payload)
    ):
        return True
    # the standard's problem details are written by many: Xero's have no type, and a GUID for an instance
    return (
        _member(payload, "status") == status
        and not _member(payload, "type")
        and bool(_field(payload, "title") or _field(payload, "detail"))
        and bool(_GUID.fullmatch(_field(payload, "instance")))
    )


def _read(text: bytes) -> Json:
    """The JSON of a body, or an ApiException in XML as its JSON has it; None where it is neither."""
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return _from_xml(text)


def _from_xml(text: bytes) -> Json:
    if len(text) > LONGEST_XML:
        return None
    utf_16 = text.startswith((b"\xff\xfe", b"\xfe\xff"))
    written = text.decode("utf-16" if utf_16 else "utf-8-sig", "replace").strip()
    if "apiexception" not in written.lower() or _OWN_ENTITIES.search(written):
        return None
    try:
        # entities of its own, which may grow without end, were refused above
        root = ElementTree.fromstring(written)  # noqa: S314
        found = next((node for node in root.iter() if _name(node).lower() == "apiexception"), None)
        payload = None if found is None else _value(found)
    except (ElementTree.ParseError, RecursionError, ValueError):
        return None
    return {"ErrorNumber": "0", **payload} if isinstance(payload, dict) else None


def _value(node: ElementTree.Element) -> Json:
    children = list(node)
    if not children:
        return (node.text or "").strip()
    if _name(node).lower() in _LISTS:
        return [_value(child) for child in children]
    members: dict[str, list[Json]] = {}
    for child in children:
        members.setdefault(_name(child), []).append(_value(child))
    return {name: values[0] if len(values) == 1 else values for name, values in members.items()}


def _name(node: ElementTree.Element) -> str:
    """The name of an element without its namespace."""
    return node.tag.rpartition("}")[2]


def _member(payload: Json, name: str) -> Json:
    """A top-level member of an error body, whatever the case of its key."""
    if not isinstance(payload, dict):
        return None
    return next((value for key, value in payload.items() if key.lower() == name and value), None)


def _field(payload: Json, name: str) -> str:
    value = _member(payload, name)
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _summary(payload: Json) -> tuple[str, ...]:
    words = _field(payload, "message") or _field(payload, "detail") or _field(payload, "title")
    return (words,) if words else ()


def _limit(problem: str) -> Limit:
    named: tuple[tuple[str, Limit], ...] = (("day", "day"), ("conc", "concurrent"), ("app", "app"))
    return next((limit for start, limit in named if problem.strip().lower().startswith(start)), "minute")


def _seconds(text: str) -> float | None:
    return float(text) if text.strip().isdecimal() and len(text) < 10 else None


def validation_errors(element: Json) -> Iterator[str]:
    """Every validation error in an element, its line items' and its contact's too, each once."""
    seen: set[str] = set()
    stack = [element]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack += reversed(node)
        elif isinstance(node, dict):
            inside = {key: value for key, value in node.items() if isinstance(value, list | dict)}
            errors = [inside.pop(key) for key in list(inside) if key.lower() == "validationerrors"]
            for error in [one for some in errors if isinstance(some, list) for one in some]:
                message = _field(error, "message")
                if message and message not in seen:
                    seen.add(message)
                    yield message
            stack += inside.values()

"""The parts of what is stored: each row, and each object within it, however it is packed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from bookkeeping.adapters.tables.packing import packed, unpacked

Item = dict[str, Any]
See = Callable[[str, Item], Item]
"""Is given the name of a part and the part; what it returns takes its place."""


def each_part(table: str, item: Mapping[str, Any], see: See) -> Item:
    """The row with each of its parts, and itself, as `see` makes them."""
    row, name = dict(item), row_name(table, item)
    for attribute, change in INSIDE.get(name, {}).items():
        if attribute in row:
            row[attribute] = change(row[attribute], see)
    return see(name, row)


def row_name(table: str, item: Mapping[str, Any]) -> str:
    """What kind of row it is."""
    if table == "ConnectionsTable":
        pk, sk = (item[part].partition("#")[0] for part in ("pk", "sk"))
        return str(pk if pk in ("release", "history") else sk)
    if table == "AuthorizationsTable":
        return str(item["pk"].partition("#")[0])
    return "order row" if table == "OrdersTable" else "settings row"


def _one(name: str) -> Callable[[Any, See], Any]:
    return lambda kept, see: see(name, dict(kept)) if isinstance(kept, Mapping) else kept


def _each(name: str) -> Callable[[Any, See], Any]:
    def change(kept: Any, see: See) -> Any:
        if isinstance(kept, Mapping):
            return {key: see(name, dict(value)) for key, value in kept.items()}
        return [see(name, dict(value)) for value in kept]

    return change


def _inside(text: str, see: See, name: str, **lists: str) -> str:
    """A text of JSON: an object, and lists of objects in it."""
    about = json.loads(text)
    for key, inner in lists.items():
        if key in about:
            about[key] = [see(inner, one) for one in about[key]]
    return json.dumps(see(name, about), ensure_ascii=False, separators=(",", ":"))


def _message(kept: Any, see: See) -> bytes:
    line, _, content = unpacked(bytes(kept)).partition("\n")
    about = json.loads(line)
    if "problem" in about:
        about["problem"] = see("problem", about["problem"])
    text = json.dumps(see("message", about), separators=(",", ":"))
    return packed(f"{text}\n" + (_inside(content, see, "order", lines="order line") if content else ""))


def _credited(kept: Any, see: See, name: str) -> Any:
    """An object with what is credited in it."""
    found = dict(kept)
    if "credited" in found:
        found["credited"] = [see("credited", dict(one)) for one in found["credited"]]
    return see(name, found)


def _notes(kept: Any, see: See) -> Any:
    return [_credited(note, see, "credit note") for note in kept]


def _correction(kept: Any, see: See) -> Any:
    found = dict(kept)
    if found.get("note"):
        found["note"] = _credited(found["note"], see, "credit note")
    if found.get("problem"):
        found["problem"] = see("problem", dict(found["problem"]))
    return _credited(found, see, "correction")


def _settings(kept: str, see: See) -> str:
    rows = {"tax_types": "tax row", "purchase_tax_types": "purchase tax row"}
    return _inside(kept, see, "settings", **rows, tracking_categories="tracking category")


def _planned(kept: Any, see: See) -> bytes:
    return packed(json.dumps([see("planned", one) for one in json.loads(unpacked(bytes(kept)))]))


def _facts(kept: Any, see: See) -> bytes:
    text = zlib.decompress(bytes(kept)).decode()
    inside = _inside(text, see, "organisation", accounts="account", tax_rates="tax rate")
    return zlib.compress(inside.encode())


INSIDE: Mapping[str, Mapping[str, Callable[[Any, See], Any]]] = {
    "order row": {
        "message": _message,
        "newer": _message,
        "documents": _each("document"),
        "history": _each("act"),
        "problem": _one("problem"),
        "sale_status": _one("sale status"),
        "dated_by": _one("calendar"),
        "set_aside": _one("set aside"),
        "former": _each("document"),
        "credit_notes": _notes,
        "correction": _correction,
    },
    "settings row": {"settings": _settings},
    "connection": {"choices": _each("choice"), "to_end_at_xero": _each("choice")},
    "lane": {"failing": _each("failing"), "recheck": _one("recheck")},
    "batch": {"documents": _planned},
    "facts": {"facts": _facts},
}

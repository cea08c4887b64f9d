"""What this version of the code reads in a stored row, as JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bookkeeping.adapters.tables.authorizations import AuthorizationsTable
from bookkeeping.adapters.tables.book_matches import BookMatches
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.lanes import Lane, Lanes
from bookkeeping.adapters.tables.mails import Mails
from bookkeeping.adapters.tables.orders import OrdersTable
from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.adapters.tables.pauses import Pauses
from bookkeeping.adapters.tables.releases import Releases
from bookkeeping.adapters.tables.settings import CURRENT, SettingsTable
from bookkeeping.domain.ledger import Message
from tests.rows.parts import Item, row_name
from tests.storms.dynamodb import DynamoDB
from tests.storms.environment import table_properties

FOLDER = Path(__file__).parent
LATER = datetime(2100, 1, 1, tzinfo=UTC)
"""Every lease is over."""


# --- rows in files


def as_text(value: Any) -> Any:
    """A stored value as JSON: bytes, sets and numbers as they go over the wire."""
    match value:
        case bytes():
            return {"B": base64.b64encode(value).decode()}
        case set() | frozenset():
            return {"SS": sorted(value)}
        case Decimal():
            return {"N": str(value)}
        case Mapping():
            return {"M": {name: as_text(inner) for name, inner in value.items()}}
        case list():
            return [as_text(inner) for inner in value]
    return value


def from_text(value: Any) -> Any:
    match value:
        case {"B": text}:
            return base64.b64decode(text)
        case {"SS": texts}:
            return set(texts)
        case {"N": number}:
            return Decimal(number)
        case {"M": inner}:
            return {name: from_text(one) for name, one in inner.items()}
        case list():
            return [from_text(one) for one in value]
    return value


def kept_rows(folder: Path) -> dict[str, list[Item]]:
    """Table → its rows, of a folder of kept rows."""
    return {
        file.stem: [from_text({"M": one["row"]}) for one in json.loads(file.read_text(encoding="utf-8"))]
        for file in sorted(folder.glob("*Table.json"))
    }


def store_with(rows: Mapping[str, list[Item]]) -> DynamoDB:
    store = DynamoDB(lambda: LATER, table_properties())
    fill(store, rows)
    return store


def fill(store: DynamoDB, rows: Mapping[str, list[Item]]) -> None:
    for table, items in rows.items():
        for item in items:
            store.tables[table].write(tuple(item[part] for part in store.tables[table].key), item)


# --- what is read


def read(store: DynamoDB, table: str, item: Mapping[str, Any]) -> Any:
    """What the code that works with such a row reads in it."""
    connections, lanes = ConnectionsTable(store, table), Lanes(store, table)
    organisations, authorizations = Organisations(store, table), AuthorizationsTable(store, table)
    settings, matches = SettingsTable(store, table), BookMatches(store, table)
    key = str(item.get("pk", "")).partition("#")[2]
    about = str(item.get("sk", "")).partition("#")[2]
    match row_name(table, item):
        case "order row":
            return OrdersTable(store, table, "").get(item["company"], item["order_id"])
        case "settings row" if item["version"] == CURRENT:
            return settings.saved(item["company"])
        case "settings row":
            return settings.version(item["company"], int(item["number"]))
        case "connection":
            return connections.connection(key)
        case "renewal":
            return connections.tokens_expire_at(key), connections.take_renewal(key, LATER, timedelta(1))
        case "app":
            return connections.app(key)
        case "company" if item["pk"].startswith("app#"):
            return connections.companies_of(Lane(f"{key}#{item['organisation_id']}", 0))
        case "history":
            return connections.acts(key, 100)
        case "lane":
            return lanes.take(key, LATER, timedelta(1))
        case "batch":
            return lanes.batch(key, about)
        case "match":
            return matches.get(key)
        case "match-asked":
            return matches.asked(key)
        case "match-findings":
            return matches.all_findings(key, about.partition("#")[0])
        case "match-result":
            return matches.result(key, about)
        case "woken":
            return lanes.woken()
        case "paused":
            return Pauses(store, table).all()
        case "plan" | "address":
            return Mails(store, table).read(key)
        case "mail_link":
            return authorizations.link(key)
        case "release":
            return Releases(store, table).find(key, item["sk"])
        case "facts":
            return organisations.get(key)
        case "contact":
            return organisations.contact(key, item["name"])
        case "item":
            return organisations.items(key, [about])
        case "session":
            return authorizations.session(key)
    return None


def seen(value: Any) -> Any:
    """As JSON, without what is not there."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        names = [one.name for one in fields(value) if one.name not in ("unknown", "row")]
        about = {name: seen(getattr(value, name)) for name in names}
        if isinstance(value, Message) and value.content:
            about["order"] = seen(value.order)
        return {name: one for name, one in about.items() if one not in (None, "", [], {}, False)}
    match value:
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case Mapping():
            return {str(name): seen(inner) for name, inner in value.items()}
        case set() | frozenset():
            return sorted(map(seen, value))
        case list() | tuple():
            return [seen(inner) for inner in value]
    return str(value) if isinstance(value, str) else value

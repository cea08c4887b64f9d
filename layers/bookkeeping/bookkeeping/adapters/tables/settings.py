"""The SettingsTable. A new version is saved only if the person saw the version before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError
from pydantic import ValidationError

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.tables.dynamodb import Item, conflict, once_free, read, scan
from bookkeeping.domain.errors import UnknownKind
from bookkeeping.domain.moments import moment, stamp
from bookkeeping.domain.settings import Settings

CURRENT: Final = "current"


# a version never changes, and every message of its company reads it
@lru_cache(maxsize=256)
def _settings_in(text: str) -> Settings:
    """A saved version. A newer version of this code may know more settings, and other values. Raises UnknownKind."""
    try:
        return Settings.model_validate_json(text, extra="ignore")
    except ValidationError as error:
        [found, *_] = error.errors(include_url=False, include_input=False)
        if found["type"] == "json_invalid":
            raise
        raise UnknownKind(f"setting {found['loc']}") from None


@dataclass(frozen=True)
class Saved:
    """A version of a company's settings."""

    settings: Settings
    number: int
    by: str
    at: datetime
    row: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The version as it is stored."""


class SettingsTable:
    """A company's settings: the current version and all earlier ones."""

    def __init__(self, resource: Any, name: str) -> None:
        self._table = resource.Table(name)
        self._client = resource.meta.client

    def current(self, company: str) -> tuple[Settings, int] | None:
        item = read(self._table, company=company, version=CURRENT)
        return (_settings_in(item["settings"]), int(item["number"])) if item else None

    def version(self, company: str, number: int) -> Settings:
        item = read(self._table, company=company, version=_version(number))
        if item is None:
            raise LookupError(f"company {company} has no settings version {number}")
        return _settings_in(item["settings"])

    def companies(self) -> list[str]:
        """Every company that saved settings. Reads the whole table."""
        rows = scan(
            self._table,
            FilterExpression=Attr("version").eq(CURRENT),
            ProjectionExpression="company",
            ConsistentRead=True,
        )
        return sorted((row["company"] for row in rows), key=lambda company: (len(company), company))

    def saved(self, company: str) -> Saved | None:
        item = read(self._table, company=company, version=CURRENT)
        return _saved_in(item) if item else None

    def latest(self, company: str, limit: int) -> list[Saved]:
        """The last versions, newest first."""
        condition = Key("company").eq(company) & Key("version").begins_with("v")
        answer = self._table.query(
            KeyConditionExpression=condition, ScanIndexForward=False, Limit=limit, ConsistentRead=True
        )
        versions: list[Saved] = []
        for item in answer["Items"]:
            with contained(company):
                versions.append(_saved_in(item))
        return versions

    def save(
        self,
        company: str,
        settings: Settings,
        *others: Item,
        seen: int,
        by: str,
        at: datetime,
        before: Saved | None = None,
    ) -> int:
        """Save the version after `seen` (0: the first), with other transaction items.

        What only a newer version of this code knows of the version `before` is kept.
        Raises Conflict if `seen` is stale, or if a condition of the other items fails.
        """
        number = seen + 1
        item = {
            **(before.row if before else {}),
            "company": company,
            "number": number,
            "settings": _settings_out(settings, before),
            "saved_by": by,
            "saved_at": stamp(at),
        }
        current: Item = {
            "Item": item | {"version": CURRENT},
            "ConditionExpression": "attribute_not_exists(company)",
        }
        if seen:
            current |= {
                "ConditionExpression": "#number = :seen",
                "ExpressionAttributeNames": {"#number": "number"},
                "ExpressionAttributeValues": {":seen": seen},
            }
        kept = {
            "Item": item | {"version": _version(number)},
            "ConditionExpression": "attribute_not_exists(company)",
        }
        try:
            once_free(
                self._client.transact_write_items,
                TransactItems=[
                    *({"Put": {"TableName": self._table.name, **put}} for put in (current, kept)),
                    *others,
                ],
            )
        except ClientError as error:
            raise conflict(error) from error
        return number


def _saved_in(item: Mapping[str, Any]) -> Saved:
    settings = _settings_in(item["settings"])
    return Saved(settings, int(item["number"]), item["saved_by"], moment(item["saved_at"]), item)


def _settings_out(settings: Settings, before: Saved | None) -> str:
    if before is None:
        return settings.model_dump_json()
    stored = json.loads(before.row["settings"])
    kept = _with_unknown(settings.to_json(), before.settings.to_json(), stored)
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def _with_unknown(now: Any, known: Any, stored: Any) -> Any:
    """What is stored now, with what only a newer version knows of it. Rows of a list are known by what they say."""
    if isinstance(now, dict) and isinstance(stored, dict):
        kept = {name: value for name, value in stored.items() if name not in known}
        return {
            name: _with_unknown(value, known[name], stored[name])
            if name in known and name in stored
            else value
            for name, value in now.items()
        } | kept
    if isinstance(now, list) and isinstance(stored, list):
        rows = list(zip(known, stored, strict=True))
        return [next((row for like, row in rows if like == one), one) for one in now]
    return now


def _version(number: int) -> str:
    return f"v{number:08}"

"""The SettingsTable. A new version is saved only if the person saw the version before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.tables.dynamodb import Item, conflict, once_free, read, scan
from bookkeeping.domain.moments import moment, stamp
from bookkeeping.domain.settings import Settings

CURRENT: Final = "current"

# a version never changes, and every message of its company reads it
_settings_in = lru_cache(maxsize=256)(Settings.model_validate_json)


@dataclass(frozen=True)
class Saved:
    """A version of a company's settings."""

    settings: Settings
    number: int
    by: str
    at: datetime


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

    def save(self, company: str, settings: Settings, *others: Item, seen: int, by: str, at: datetime) -> int:
        """Save the version after `seen` (0: the first), with other transaction items.

        Raises Conflict if `seen` is stale, or if a condition of the other items fails.
        """
        number = seen + 1
        item = {
            "company": company,
            "number": number,
            "settings": settings.model_dump_json(),
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
    return Saved(settings, int(item["number"]), item["saved_by"], moment(item["saved_at"]))


def _version(number: int) -> str:
    return f"v{number:08}"

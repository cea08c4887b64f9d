"""EDGE: releases, in the ConnectionsTable: orders of a company to be freed, and how far that has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

from bookkeeping.adapters.tables.dynamodb import Item, put, query, read, refused_for
from bookkeeping.domain.moments import moment, stamp

if TYPE_CHECKING:
    # loading the ledger loads pydantic, which the sweep does not need
    from bookkeeping.domain.ledger import Choice


@dataclass(frozen=True)
class Release:
    """Orders of a company to be freed, list by list, and how far that has come."""

    company: str
    id: str
    asked_at: datetime
    next_at: datetime
    lists: tuple[tuple[str, str], ...] = ()
    """The orders to be freed: those in a state for a reason."""
    lanes: tuple[str, ...] = ()
    """Lanes to ring, whatever is found."""
    by: str = ""
    """The person who asked for these very orders."""
    before_version: int = 0
    """Only orders that became due under settings older than this version; 0: all."""
    items_as_they_are: bool = False
    no_sale: Choice | None = None
    event: str = ""
    """What the bus is to be told first, as JSON."""
    passes_left: int = 1
    """An index may not show yet what came to a list a moment ago: so it may be walked again, some time later."""
    list_place: int = 0
    """The place in `lists` of the one being walked."""
    after: str = ""
    """Where in that list to go on."""
    chunk: tuple[str, ...] = ()
    """Keys of the orders being freed now."""
    step: int = 0


class Releases:
    """What is still to be freed."""

    def __init__(self, resource: Any, name: str) -> None:
        self._table = resource.Table(name)

    def put(self, release: Release) -> Item:
        """The transaction item that has orders freed; the sweep sees to it even if nobody is told."""
        return put(self._table, _release_out(release))

    def ask(self, release: Release) -> None:
        self._table.put_item(Item=_release_out(release))

    def find(self, company: str, id_: str) -> Release | None:
        item = read(self._table, pk=f"release#{company}", sk=id_)
        return _release_in(item) if item else None

    def advance(self, before: Release, after: Release) -> bool:
        """Write how far a release has come; False where somebody else brought it further."""
        try:
            self._table.put_item(
                Item=_release_out(after),
                ConditionExpression="step = :step",
                ExpressionAttributeValues={":step": before.step},
            )
        except ClientError as error:
            if refused_for(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def finish(self, release: Release) -> None:
        self._table.delete_item(Key={"pk": f"release#{release.company}", "sk": release.id})

    def due(self, now: datetime) -> list[tuple[str, str]]:
        """Company and id of releases whose time has come. An index: it may lag."""
        due = Key("agenda").eq("release") & Key("next_at").lte(stamp(now))
        found = query(self._table, IndexName="agenda", KeyConditionExpression=due)
        return [(item["pk"].removeprefix("release#"), item["sk"]) for item in found]


# --- rows


def _release_out(release: Release) -> Item:
    return {
        **vars(release),
        "pk": f"release#{release.company}",
        "sk": release.id,
        "agenda": "release",
        "asked_at": stamp(release.asked_at),
        "next_at": stamp(release.next_at),
        "lists": [[str(state), reason] for state, reason in release.lists],
        "lanes": list(release.lanes),
        "chunk": list(release.chunk),
    }


def _release_in(item: Mapping[str, Any]) -> Release:
    return Release(
        company=item["company"],
        id=item["id"],
        asked_at=moment(item["asked_at"]),
        next_at=moment(item["next_at"]),
        lists=tuple((state, reason) for state, reason in item["lists"]),
        lanes=tuple(item["lanes"]),
        by=item["by"],
        before_version=int(item["before_version"]),
        items_as_they_are=item["items_as_they_are"],
        no_sale=item.get("no_sale"),
        event=item["event"],
        passes_left=int(item["passes_left"]),
        list_place=int(item["list_place"]),
        after=item["after"],
        chunk=tuple(item["chunk"]),
        step=int(item["step"]),
    )

"""Releases, in the ConnectionsTable: which orders of a company to try again, and the progress so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

from bookkeeping.adapters.tables.dynamodb import Item, put, query, read, refused_for
from bookkeeping.domain.moments import moment, stamp
from bookkeeping.domain.stored import Stored

if TYPE_CHECKING:
    # loading the ledger loads pydantic, which the sweep does not need
    from bookkeeping.domain.ledger import Choice


@dataclass(frozen=True)
class Release(Stored):
    """Orders of a company to try again, list by list, and the progress so far."""

    company: str
    id: str
    asked_at: datetime
    next_at: datetime
    lists: tuple[tuple[str, str], ...] = ()
    """The lists of orders to go through: a state and a reason each."""
    lanes: tuple[str, ...] = ()
    """Lanes to ring, whatever is found."""
    by: str = ""
    """The person who asked for the release, if any."""
    because: str = ""
    """The act that it is in an order's history, where nobody asked and no setting or connection was changed."""
    before_version: int = 0
    """Only orders that became due under settings older than this version; 0: all."""
    items_as_they_are: bool = False
    no_sale: Choice | None = None
    event: str = ""
    """An event to publish first, as JSON."""
    passes_left: int = 1
    """How often to go through the lists. An index may not show an order yet, so a second pass may follow later."""
    list_place: int = 0
    """The position in `lists` of the present list."""
    after: str = ""
    """The place in that list to continue from."""
    chunk: tuple[str, ...] = ()
    """Keys of the orders being freed now."""
    step: int = 0


class Releases:
    """The releases that are not finished."""

    def __init__(self, resource: Any, name: str) -> None:
        self._table = resource.Table(name)

    def put(self, release: Release) -> Item:
        """The transaction item that starts a release. The sweep continues it even if its message is lost."""
        return put(self._table, _release_out(release))

    def ask(self, release: Release) -> None:
        self._table.put_item(Item=_release_out(release))

    def begin(self, release: Release) -> bool:
        """Ask for the release; False if one of that id is under way, which then goes on."""
        try:
            self._table.put_item(Item=_release_out(release), ConditionExpression="attribute_not_exists(pk)")
        except ClientError as error:
            if refused_for(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def find(self, company: str, id_: str) -> Release | None:
        item = read(self._table, pk=f"release#{company}", sk=id_)
        return _release_in(item) if item else None

    def advance(self, before: Release, after: Release) -> bool:
        """Write a release's progress; False if somebody else has advanced it."""
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
        """Company and id of the releases that are due. Read from an index, which may lag."""
        due = Key("agenda").eq("release") & Key("next_at").lte(stamp(now))
        found = query(self._table, IndexName="agenda", KeyConditionExpression=due)
        return [(item["pk"].removeprefix("release#"), item["sk"]) for item in found]


# --- rows


def _release_out(release: Release) -> Item:
    return release.to_store(
        pk=f"release#{release.company}",
        sk=release.id,
        agenda="release",
        asked_at=stamp(release.asked_at),
        next_at=stamp(release.next_at),
        lists=[[str(state), reason] for state, reason in release.lists],
        lanes=list(release.lanes),
        chunk=list(release.chunk),
    )


def _release_in(item: Mapping[str, Any]) -> Release:
    count = dict.fromkeys(("before_version", "passes_left", "list_place", "step"), int)
    at = dict.fromkeys(("asked_at", "next_at"), moment)
    texts = dict.fromkeys(("lanes", "chunk"), tuple)
    return Release.restored(item, ("pk", "sk", "agenda"), lists=_lists_in, **count, **at, **texts)


def _lists_in(kept: Any) -> tuple[tuple[str, str], ...]:
    return tuple((state, reason) for state, reason in kept)

"""Book matches, in the ConnectionsTable, beside the lane they run in: how far one is, and what it found.

match                      the match of the lane: when the next one is due, and the progress of one under way
match-asked                somebody asked for one
match-findings#RUN#STEP    what a step found; kept until the next match is finished
match-result#COMPANY       what the last finished match found for a company
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.tables.dynamodb import Item, put, query, read, refused_for, transact, update_if
from bookkeeping.adapters.tables.lanes import Lane
from bookkeeping.adapters.tables.packing import packed, unpacked
from bookkeeping.domain.book_match import Findings, Result, Wanted, id_key
from bookkeeping.domain.errors import UnknownKind
from bookkeeping.domain.moments import moment, stamp
from bookkeeping.domain.stored import Stored

PHASES: Final = ("documents", "ledger", "unseen", "lines", "results")
"""What a match does, one after the other."""


@dataclass(frozen=True)
class Match(Stored):
    """The match of a lane: the next one, or the progress of the one that is under way."""

    next_at: datetime
    """When the sweep rings the lane for it."""
    id: str = ""
    """The run under way; empty: none."""
    in_full: bool = False
    began_at: datetime | None = None
    first: str = ""
    """The first day of the documents that are compared."""
    lists: tuple[Wanted, ...] = ()
    phase: str = "documents"
    place: int = 0
    """The place among the lists, companies and states, or groups of the phase."""
    page: int = 1
    page_size: int = 0
    after: str = ""
    """The place in a list of the ledger to continue from."""
    steps: int = 0
    """How many of its steps have found something."""
    calls: int = 0
    """Those of this run."""
    calls_on: str = ""
    """The day of `day_calls`, as the organisation counts days."""
    day_calls: int = 0
    day_most: int = 0
    """The most calls that Xero said were left on that day."""
    tries: int = 0
    """Steps that failed, in a row."""
    waits_for: str = ""
    """Why the run does not go on before `next_at`."""
    last_id: str = ""
    """The last finished run, whose findings are kept."""
    last_began_at: datetime | None = None

    def findings_key(self, place: int) -> str:
        return f"match-findings#{self.id}#{place:06}"


@dataclass(frozen=True)
class Wish:
    """Somebody asked for a match."""

    in_full: bool
    at: datetime


class BookMatches:
    """The match of each lane. A holder's writes fail once it has lost the lane."""

    def __init__(self, resource: Any, name: str) -> None:
        self._client = resource.meta.client
        self._table = resource.Table(name)

    def plan(self, lane: str, at: datetime) -> None:
        """Plan the lane's first match, if none is planned."""
        try:
            self._table.put_item(
                Item=_match_out(lane, Match(at)), ConditionExpression=Attr("pk").not_exists()
            )
        except ClientError as error:
            if refused_for(error) != "ConditionalCheckFailedException":
                raise

    def get(self, lane: str) -> Match | None:
        """The lane's match. Raises UnknownKind."""
        item = read(self._table, **_key(lane, "match"))
        return _match_in(item) if item else None

    def save(self, lane: Lane, match: Match, *others: Item) -> None:
        """Write the progress, and the other transaction items. Raises Lost."""
        held = lane.held_in(self._table.name)
        transact(self._client, [held, put(self._table, _match_out(lane.key, match)), *others])

    def end(self, lane: Lane) -> None:
        """Plan no match any more: nobody posts in the lane. Raises Lost."""
        gone = {"Delete": {"TableName": self._table.name, "Key": _key(lane.key, "match")}}
        transact(self._client, [lane.held_in(self._table.name), gone])

    # what somebody asked for

    def ask(self, lane: str, wish: Wish) -> None:
        """Ask for a match. One in full that was asked for stays in full."""
        update_if(
            self._table,
            _key(lane, "match-asked"),
            "SET in_full = :in_full, asked_at = :at",
            Attr("in_full").not_exists() | Attr("in_full").eq(False),
            {":in_full": wish.in_full, ":at": stamp(wish.at)},
        )
        # should the wake-up be lost, the sweep finds it
        planned = {":match": "match", ":at": stamp(wish.at)}
        update_if(
            self._table,
            _key(lane, "match"),
            "SET agenda = :match, next_at = :at",
            Attr("pk").not_exists() | Attr("next_at").gt(stamp(wish.at)),
            planned,
        )

    def asked(self, lane: str) -> Wish | None:
        item = read(self._table, **_key(lane, "match-asked"))
        return Wish(item["in_full"], moment(item["asked_at"])) if item else None

    def taken_up(self, lane: str) -> Item:
        """The transaction item that forgets what was asked for, for a run of that kind begins."""
        return {"Delete": {"TableName": self._table.name, "Key": _key(lane, "match-asked")}}

    # what steps found

    def save_findings(self, lane: str, match: Match, findings: Findings) -> None:
        """Keep what the next step of the run found. The same step again writes the same row."""
        text = json.dumps(findings.to_json(), separators=(",", ":"))
        key = _key(lane, match.findings_key(match.steps))
        self._table.put_item(Item=key | {"findings": packed(text)})

    def findings(self, lane: str, match: Match, place: int) -> Findings | None:
        item = read(self._table, **_key(lane, match.findings_key(place)))
        return _findings_in(item) if item else None

    def all_findings(self, lane: str, run: str) -> list[Findings]:
        """What the steps of a run found, in their order."""
        return [_findings_in(item) for item in self._rows(lane, f"match-findings#{run}#")]

    def standing(self, lane: str, id_: str) -> tuple[str, datetime] | None:
        """Where the document stood when the last match read it, and when that match began; None if it did not."""
        match, short = self.get(lane), id_key(id_)
        if match is None or match.last_began_at is None:
            return None
        found = (findings.documents.get(short) for findings in self.all_findings(lane, match.last_id))
        standing = next(filter(None, found), None)
        return (standing, match.last_began_at) if standing else None

    def forget_findings(self, lane: str, but: str) -> None:
        """Delete the findings of every run but one."""
        keep = f"match-findings#{but}#"
        gone = [item["sk"] for item in self._rows(lane, "match-findings#") if not item["sk"].startswith(keep)]
        with self._table.batch_writer() as writer:
            for sk in gone:
                writer.delete_item(Key=_key(lane, sk))

    def _rows(self, lane: str, begin: str) -> Iterator[Item]:
        condition = Key("pk").eq(_pk(lane)) & Key("sk").begins_with(begin)
        return query(self._table, KeyConditionExpression=condition, ConsistentRead=True)

    # what matches found

    def save_result(self, lane: Lane, company: str, result: Result) -> None:
        """Raises Lost."""
        text = json.dumps(result.to_json(), separators=(",", ":"))
        item = _key(lane.key, f"match-result#{company}") | {"result": packed(text)}
        transact(self._client, [lane.held_in(self._table.name), put(self._table, item)])

    def result(self, lane: str, company: str) -> Result | None:
        """What the last finished match found for the company; None if there is none that can be read."""
        item = read(self._table, **_key(lane, f"match-result#{company}"))
        if item is None:
            return None
        # it is only shown, and the next match writes it anew
        with contained(company):
            return Result.from_json(json.loads(unpacked(bytes(item["result"]))))
        return None


# --- rows


def _pk(lane: str) -> str:
    return f"lane#{lane}"


def _key(lane: str, sk: str) -> Item:
    return {"pk": _pk(lane), "sk": sk}


def _match_out(lane: str, match: Match) -> Item:
    moments = {name: getattr(match, name) for name in ("next_at", "began_at", "last_began_at")}
    lists = [[one.kind, one.first, one.last, one.since] for one in match.lists]
    item = match.to_store(lists=lists, **{name: at and stamp(at) for name, at in moments.items()})
    # what says nothing is left out
    known = {name: value for name, value in item.items() if value or name in match.unknown}
    return _key(lane, "match") | {"agenda": "match"} | known


def _match_in(item: Mapping[str, Any]) -> Match:
    if item.get("phase", PHASES[0]) not in PHASES:
        raise UnknownKind(item["phase"])
    names = ("place", "page", "page_size", "steps", "calls", "day_calls", "day_most", "tries")
    at = dict.fromkeys(("next_at", "began_at", "last_began_at"), moment)
    lists = {"lists": _lists_in}
    return Match.restored(item, ("pk", "sk", "agenda"), **dict.fromkeys(names, int), **at, **lists)


def _lists_in(kept: Any) -> tuple[Wanted, ...]:
    return tuple(Wanted(*one[:4]) for one in kept)


def _findings_in(item: Item) -> Findings:
    return Findings.from_json(json.loads(unpacked(bytes(item["findings"]))))

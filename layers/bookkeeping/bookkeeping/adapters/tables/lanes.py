"""Lanes and their batch records, in the ConnectionsTable. Every write of a holder fails once it has lost the lane.

Only the deletion of a settled batch's record does not: whoever deletes it, nothing is left to do about it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from zlib import crc32

from boto3.dynamodb.conditions import Attr, ConditionBase, Key
from botocore.exceptions import ClientError

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.tables.dynamodb import (
    Item,
    once_free,
    put,
    query,
    read,
    read_all,
    refused_for,
    transact,
    update_if,
)
from bookkeeping.adapters.tables.packing import packed, unpacked
from bookkeeping.domain.document_kinds import DOCUMENT_KINDS, DocumentKind
from bookkeeping.domain.errors import Lost, UnknownKind
from bookkeeping.domain.moments import LONG_AGO, moment, stamp, stamps
from bookkeeping.domain.pacing import BATCH_SIZE, FAILS, GATHER, QUIET_FOR
from bookkeeping.domain.rechecks import ASKED_EVERY, SAID_EVERY, Recheck
from bookkeeping.domain.stored import Stored

WOKEN_ROWS: Final = 16
"""A row of 400 KB holds what is remembered of some 8,000 lanes."""
NAMED_AT_MOST: Final = 100
"""Orders that a lane's row names. Of more, it only says that there are some."""
OTHERS: Final = "*"
"""Stands among the keys on a lane's row for orders that are not named."""
MATCH: Final = "*match"
"""Stands among them for the lane's book match."""
SPREAD: Final = 8
"""Keys of an index that share the lanes. DynamoDB takes 1,000 write units a second for one of them."""
LATE: Final = timedelta(seconds=5)
"""If a lane is rung, and no turn began this long after its wake-up was due, the wake-up is taken to be lost."""


@dataclass(frozen=True)
class Failing(Stored):
    """Failed attempts in a row for one company, and the time of the next attempt."""

    times: int
    until: datetime
    refused: int | None = None
    """The generation of the token that Xero refused first as expired."""


@dataclass(frozen=True)
class Lane:
    """A lane, as its holder took it."""

    key: str
    fencing: int
    calls: tuple[datetime, ...] = ()
    """When the calls of the last minute were sent."""
    failed_turns: int = 0
    """Turns in a row that ended because Xero was down."""
    pause: str = ""
    """Why Xero must not be called before `paused_until`: a problem's code."""
    paused_until: datetime = LONG_AGO
    failing: Mapping[str, Failing] = field(default_factory=dict)
    """By company."""
    created_at: datetime = LONG_AGO
    """When Xero last answered that it had created a document: it works then."""
    look_at: datetime = LONG_AGO
    """From when on an index shows the orders that the lane was rung for and nobody named. A turn reads it then."""
    rung_for: frozenset[str] = frozenset()
    """The keys of the orders that the lane was rung for; OTHERS among them: also for some that nobody named."""
    day_left: int | None = None
    """How many calls of the day were left when Xero last said so."""
    recheck: Recheck = field(default_factory=Recheck)
    """When Xero is read again for orders that stopped in the lane."""
    opened_at: datetime = LONG_AGO
    """When an Orders tab that shows such orders last said that it is open. Never written by the holder."""
    asked_at: datetime = LONG_AGO
    """When somebody last asked for Xero to be read again. Never written by the holder."""
    match_planned: bool = False
    """Whether the lane has a book match to come."""
    day_left_at: datetime = LONG_AGO
    """When Xero said so of the day's calls, or a moment later."""

    @property
    def client_id(self) -> str:
        return self.key.partition("#")[0]

    @property
    def organisation_id(self) -> str:
        return self.key.partition("#")[2]

    def held_in(self, table: str) -> Item:
        """The transaction item that fails if this holder has lost the lane."""
        return {
            "ConditionCheck": {
                "TableName": table,
                "Key": _lane_key(self.key),
                "ConditionExpression": "fencing = :mine",
                "ExpressionAttributeValues": {":mine": self.fencing},
            }
        }


@dataclass(frozen=True)
class Planned(Stored):
    """A document of a batch record."""

    order_id: str
    number: str
    content_hash: str
    net: str
    total: str
    taxes: Mapping[str, str]
    """Tax type → its tax. With `net` and `total`, what Xero's figures must be."""
    contact_id: str


@dataclass(frozen=True)
class Batch(Stored):
    """The documents of one call to Xero, written down before the call."""

    id: str
    lane: str
    organisation_id: str
    company: str
    kind: DocumentKind
    idempotency_key: str
    body_hash: str
    first_sent_at: datetime
    """When this body was first sent under this key, or a moment before."""
    documents: tuple[Planned, ...]
    unknown_at: datetime | None = None
    """The last time a call for it ended without an answer."""
    settle_at: datetime | None = None
    tries: int = 0
    by_number: bool = False
    """The idempotency key is too old: look the documents up by number."""
    in_vain: int = 0
    """How many calls for it had no usable answer."""
    in_vain_since: datetime | None = None
    works_since: datetime | None = None
    """Since when such a call is no sign that Xero is down: Xero created other documents, or something else answered."""
    unreadable: int = 0
    """How many answers to it were not Xero's."""
    at_most: int = BATCH_SIZE
    """How many of its documents the next call carries. A call is made for the first ones."""
    gives_up: bool = False
    """The last document was sent alone, and for too long: it is sent no more."""
    faults: int = 0
    """How often a fault of ours kept an order of it from its outcome."""


@dataclass(frozen=True)
class Overdue:
    """A lane that is to be woken."""

    fencing: int
    """The token that the lane's last holder had."""
    since: datetime
    """When its turn was due."""


@dataclass(frozen=True)
class Woken:
    """What the sweep remembers of a lane that it woke."""

    fencing: int
    """The token that the lane's last holder had. With another one, somebody has taken the lane since."""
    at: datetime


@dataclass(frozen=True)
class Health:
    """What a lane's row says of how it is."""

    paused: tuple[str, datetime] | None
    """Why the company's orders in the lane wait, and until when."""
    day_left: int | None
    """How many calls of the day were left at `day_left_at`; None: Xero never said so."""
    day_left_at: datetime
    recheck: Recheck


class Lanes:
    """Who may post in a lane, when its next turn is due, and its unsettled batches."""

    def __init__(self, resource: Any, name: str) -> None:
        self._resource = resource
        self._client = resource.meta.client
        self._table = resource.Table(name)

    def ring(self, lane: str, now: datetime, keys: Collection[str] = ()) -> timedelta | None:
        """Ask for a turn for these orders. In how long the caller must have a wake-up arrive; None: one is on its way.

        Whoever holds the lane sees that it was rung.
        """
        request = {
            "Key": _lane_key(lane),
            "UpdateExpression": "SET rung = :rung, rung_at = if_not_exists(rung_at, :due) ADD rung_for :keys",
            "ReturnValues": "ALL_OLD",
        }
        values: Item = {":rung": _spread("rung", lane), ":due": stamp(now + GATHER), ":keys": _named(keys)}
        try:
            answer = once_free(
                self._table.update_item,
                **request,
                ConditionExpression=Attr("rung_for").not_exists() | Attr("rung_for").size().lt(NAMED_AT_MOST),
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if refused_for(error) != "ConditionalCheckFailedException":
                raise
            values[":keys"] = {OTHERS}
            answer = once_free(self._table.update_item, **request, ExpressionAttributeValues=values)
        item = answer.get("Attributes", {})
        if "rung" in item or _held(item, now) or _turn_to_come(item, now):
            return None
        called_at = max(map(moment, item.get("calls", ())), default=LONG_AGO)
        return GATHER if now - called_at < QUIET_FOR else timedelta()

    def take(self, lane: str, now: datetime, lease: timedelta, *, short: bool = False) -> Lane | None:
        """Take the lane until the lease ends; None if somebody else holds it. Clears `rung`.

        A `short` turn does not take a lane that waits for a long turn, unless that should have begun by now.
        """
        free: ConditionBase = Attr("lease_until").not_exists() | Attr("lease_until").lt(stamp(now))
        if short:
            free = free & (Attr("backlog").not_exists() | Attr("next_at").lte(stamp(now)))
        try:
            answer = once_free(
                self._table.update_item,
                Key=_lane_key(lane),
                UpdateExpression=(
                    "SET lease_until = :until, agenda = :lane, next_at = :until,"
                    " fencing = if_not_exists(fencing, :zero) + :one REMOVE rung, rung_at, rung_for"
                ),
                ConditionExpression=free,
                ExpressionAttributeValues={
                    ":until": stamp(now + lease),
                    ":lane": _spread("lane", lane),
                    ":zero": 0,
                    ":one": 1,
                },
                ReturnValues="ALL_OLD",
            )
        except ClientError as error:
            if refused_for(error) == "ConditionalCheckFailedException":
                return None
            raise
        item = answer.get("Attributes", {})
        return Lane(
            lane,
            int(item.get("fencing", 0)) + 1,
            tuple(moment(at) for at in item.get("calls", [])),
            int(item.get("failed_turns", 0)),
            item.get("pause", ""),
            moment(item["paused_until"]) if "paused_until" in item else LONG_AGO,
            {company: _failing_in(failing) for company, failing in item.get("failing", {}).items()},
            moment(item["created_at"]) if "created_at" in item else LONG_AGO,
            moment(item["look_at"]) if "look_at" in item else LONG_AGO,
            _rung_for(item),
            None if item.get("day_left") is None else int(item["day_left"]),
            *_recheck_in(item),
            item.get("match_planned", False),
            _day_left_at_in(item),
        )

    def keep(self, lane: Lane, now: datetime, lease: timedelta, calls: Sequence[datetime]) -> frozenset[str]:
        """Renew the lease and clear `rung`. What the lane had been rung for since. Raises Lost."""
        key, mine = _lane_key(lane.key), Attr("fencing").eq(lane.fencing)
        try:
            answer = once_free(
                self._table.update_item,
                Key=key,
                # `next_at` stays: it only has the sweep look at the row, and a write of an index costs as much again
                UpdateExpression="SET lease_until = :until, calls = :calls",
                ConditionExpression=mine,
                ExpressionAttributeValues={
                    ":until": stamp(now + lease),
                    ":calls": stamps(calls),
                },
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if refused_for(error) == "ConditionalCheckFailedException":
                raise Lost from error
            raise
        rung_for = _rung_for(answer["Attributes"])
        if not rung_for:
            return rung_for
        # A write of its own: if boto3 repeats the write above after a lost answer, `rung` must still be there.
        unchanged = Attr("rung_for").eq(set(rung_for))
        if update_if(self._table, key, "REMOVE rung, rung_at, rung_for", mine & unchanged, {}):
            return rung_for
        # rung again in between, for others; or the lane is lost
        return rung_for | self.keep(lane, now, lease, calls)

    def release(
        self,
        lane: Lane,
        *,
        next_at: datetime | None,
        calls: Sequence[datetime],
        though_rung: bool,
        keys: Collection[str] = (),
        backlog: bool = False,
    ) -> bool:
        """Release the lane and save its pause. False if it was rung meanwhile, unless `though_rung`. Raises Lost.

        `keys`: orders that the next turn reads, whatever the index shows. `backlog`: that turn is a long one.
        """
        condition: ConditionBase = Attr("fencing").eq(lane.fencing)
        if not though_rung:
            condition = condition & Attr("rung").not_exists()
        expression = (
            "SET calls = :calls, failed_turns = :failed_turns, pause = :pause, paused_until = :paused_until,"
            " failing = :failing, created_at = :created_at, look_at = :look_at, day_left = :day_left,"
            " day_left_at = :day_left_at, match_planned = :match_planned"
        )
        values: Item = {
            ":calls": stamps(calls),
            ":failed_turns": lane.failed_turns,
            ":pause": lane.pause,
            ":paused_until": stamp(lane.paused_until),
            ":created_at": stamp(lane.created_at),
            ":look_at": stamp(lane.look_at),
            ":day_left": lane.day_left,
            ":day_left_at": stamp(lane.day_left_at),
            ":match_planned": lane.match_planned,
            ":failing": {
                company: failing.to_store(until=stamp(failing.until))
                for company, failing in lane.failing.items()
            },
        }
        if lane.recheck != Recheck():
            expression += ", recheck = :recheck"
            values[":recheck"] = _recheck_out(lane.recheck)
        if next_at is None:
            expression += " REMOVE lease_until, agenda, next_at"
        else:
            expression += ", agenda = :lane, next_at = :next"
            values |= {":lane": _spread("lane", lane.key), ":next": stamp(next_at)}
            if backlog:
                expression += ", backlog = :true"
                values[":true"] = True
            expression += " REMOVE lease_until"
        if not backlog:
            expression += ", backlog"
        if lane.recheck == Recheck():
            expression += ", recheck"
        if keys:
            expression += " ADD rung_for :keys"
            values[":keys"] = _named(keys)
        if update_if(self._table, _lane_key(lane.key), expression, condition, values):
            return True
        item = read(self._table, **_lane_key(lane.key))
        if item is None or int(item["fencing"]) != lane.fencing:
            raise Lost
        return False

    def paused(self, lane: str, company: str) -> tuple[str, datetime] | None:
        """Why the company's orders in the lane wait, and until when; None if nothing delayed them."""
        return _paused_in(read(self._table, **_lane_key(lane)) or {}, company)

    def health(self, lane: str, company: str) -> Health:
        item = read(self._table, **_lane_key(lane)) or {}
        left = None if item.get("day_left") is None else int(item["day_left"])
        return Health(_paused_in(item, company), left, _day_left_at_in(item), _recheck_in(item)[0])

    def note_opened(self, lane: str, now: datetime) -> bool:
        """An Orders tab that shows stopped orders is open. False if that was said a moment ago."""
        return self._note(lane, "opened_at", now, SAID_EVERY)

    def ask_to_read(self, lane: str, now: datetime, at_most_every: timedelta = ASKED_EVERY) -> bool:
        """Have the next turn read Xero again for stopped orders. False if that was asked for a moment ago."""
        return self._note(lane, "asked_at", now, at_most_every)

    def _note(self, lane: str, name: str, now: datetime, at_most_every: timedelta) -> bool:
        condition = Attr(name).not_exists() | Attr(name).lte(stamp(now - at_most_every))
        return update_if(self._table, _lane_key(lane), f"SET {name} = :now", condition, {":now": stamp(now)})

    def recheck(self, lane: str) -> tuple[Recheck, datetime, datetime]:
        """When Xero is read again in the lane, when an Orders tab was last open, and when it was last asked for."""
        return _recheck_in(read(self._table, **_lane_key(lane)) or {})

    def glance(self, lane: str) -> dict[str, str | None]:
        """When the lane's next turn is due, until when one has it, and since when one is asked for: as texts."""
        item = read(self._table, **_lane_key(lane)) or {}
        moments = {"next_turn_at": "next_at", "held_until": "lease_until", "rung_at": "rung_at"}
        return {name: item.get(attribute) for name, attribute in moments.items()}

    def to_wake(self, now: datetime) -> dict[str, Overdue]:
        """Lanes that are due, or that were rung and have no holder. Found by indexes."""
        found: list[Item] = []
        for place in range(SPREAD):
            due = Key("agenda").eq(f"lane#{place}") & Key("next_at").lte(stamp(now))
            found += query(self._table, IndexName="agenda", KeyConditionExpression=due)
            rung = Key("rung").eq(f"rung#{place}")
            found += query(self._table, IndexName="rung", KeyConditionExpression=rung)
        keys = list({item["pk"]: {"pk": item["pk"], "sk": item["sk"]} for item in found}.values())
        to_wake: dict[str, Overdue] = {}
        for item in read_all(self._resource, self._table.name, keys):
            lane = item["pk"].removeprefix("lane#")
            with contained(lane):
                if since := _due_since(item, now):
                    to_wake[lane] = Overdue(int(item.get("fencing", 0)), since)
        return to_wake

    def matches_due(self, now: datetime) -> list[str]:
        """Lanes whose book match is due. Read from an index, which may lag. See `book_matches`."""
        due = Key("agenda").eq("match") & Key("next_at").lte(stamp(now))
        found = query(self._table, IndexName="agenda", KeyConditionExpression=due)
        return [item["pk"].removeprefix("lane#") for item in found]

    # what the sweep remembers, in rows that nobody else reads

    def woken(self) -> dict[str, Woken]:
        """The lanes that the sweep woke and still found to be woken the last time it looked."""
        woken: dict[str, Woken] = {}
        condition = Key("pk").eq("sweep")
        for item in query(self._table, KeyConditionExpression=condition, ConsistentRead=True):
            # what can't be read is woken once more
            with contained(""):
                kept = json.loads(unpacked(bytes(item["woken"])))
                woken |= {lane: Woken(fencing, moment(at)) for lane, (fencing, at, *_) in kept.items()}
        return woken

    def save_woken(self, woken: Mapping[str, Woken]) -> None:
        rows: dict[int, dict[str, tuple[int, str]]] = {place: {} for place in range(WOKEN_ROWS)}
        for lane, one in woken.items():
            rows[crc32(lane.encode()) % WOKEN_ROWS][lane] = (one.fencing, stamp(one.at))
        with self._table.batch_writer() as batch:
            for place, row in rows.items():
                batch.put_item(
                    Item={"pk": "sweep", "sk": f"woken#{place:02}", "woken": packed(json.dumps(row))}
                )

    # batch records

    def batches(self, lane: str) -> list[Batch]:
        """The lane's unsettled batches, oldest first. Without those of an unknown kind."""
        condition = Key("pk").eq(f"lane#{lane}") & Key("sk").begins_with("batch#")
        batches: list[Batch] = []
        for item in query(self._table, KeyConditionExpression=condition, ConsistentRead=True):
            with contained(str(item.get("company", ""))):
                batches.append(_batch_in(item))
        return sorted(batches, key=lambda batch: (batch.first_sent_at, batch.id))

    def batch(self, lane: str, id_: str) -> Batch | None:
        """The batch, as long as it is unsettled. Raises UnknownKind."""
        item = read(self._table, pk=f"lane#{lane}", sk=f"batch#{id_}")
        return _batch_in(item) if item else None

    def put_batch(self, batch: Batch) -> Item:
        """The transaction item that writes the batch record."""
        return put(self._table, _batch_out(batch))

    def update_batch(self, batch: Batch, lane: Lane) -> None:
        transact(self._client, [lane.held_in(self._table.name), self.put_batch(batch)])

    def delete_batch(self, batch: Batch) -> None:
        """Delete the record of a batch whose outcomes are all in the ledger, which took holding the lane."""
        self._table.delete_item(Key={"pk": f"lane#{batch.lane}", "sk": f"batch#{batch.id}"})


# --- rows


def _spread(name: str, lane: str) -> str:
    """The lane's key in an index, one of a few, so that none takes more writes than DynamoDB allows for a key."""
    return f"{name}#{crc32(lane.encode()) % SPREAD}"


def _lane_key(lane: str) -> Item:
    return {"pk": f"lane#{lane}", "sk": "lane"}


def _named(keys: Collection[str]) -> set[str]:
    """What a lane is rung for, as its row keeps it."""
    return set(keys) if 0 < len(keys) <= NAMED_AT_MOST else {*list(keys)[:NAMED_AT_MOST], OTHERS}


def _rung_for(item: Item) -> frozenset[str]:
    return frozenset(item.get("rung_for", ()))


def _held(item: Item, now: datetime) -> bool:
    return "lease_until" in item and moment(item["lease_until"]) >= now


def _turn_to_come(item: Item, now: datetime) -> bool:
    """Whether the last holder of the lane has sent a wake-up that is about to arrive, or asked for a long turn."""
    next_at = moment(item["next_at"]) if "next_at" in item else LONG_AGO
    if item.get("recheck", {}).get("next_at") == item.get("next_at"):
        # only the sweep wakes the lane for that
        return False
    return next_at > now and (next_at <= now + GATHER or "backlog" in item)


def _recheck_out(recheck: Recheck) -> Item:
    return recheck.to_store(
        stopped_at=stamp(recheck.stopped_at),
        read_at=stamp(recheck.read_at),
        looked_at=stamp(recheck.looked_at),
        next_at=recheck.next_at and stamp(recheck.next_at),
        seen=dict(recheck.seen),
        calls=dict(recheck.calls),
    )


def _recheck_in(item: Item) -> tuple[Recheck, datetime, datetime]:
    kept = item.get("recheck", {})
    recheck = Recheck.restored(
        kept,
        stopped_at=moment,
        read_at=moment,
        looked_at=moment,
        next_at=_moment_or_none,
        calls=lambda calls: {hour: int(many) for hour, many in calls.items()},
        most_left=int,
    )
    opened_at, asked_at = (
        moment(item[name]) if name in item else LONG_AGO for name in ("opened_at", "asked_at")
    )
    return recheck, opened_at, asked_at


def _failing_in(item: Item) -> Failing:
    return Failing.restored(
        item, times=int, until=moment, refused=lambda one: None if one is None else int(one)
    )


def _paused_in(item: Item, company: str) -> tuple[str, datetime] | None:
    pauses = [(item["pause"], moment(item["paused_until"]))] if item.get("pause") else []
    if company in item.get("failing", {}):
        failing = _failing_in(item["failing"][company])
        pauses += [("xero_failing", failing.until)] if failing.times >= FAILS else []
    return max(pauses, key=lambda pause: pause[1], default=None)


def _day_left_at_in(item: Item) -> datetime:
    return moment(item["day_left_at"]) if "day_left_at" in item else LONG_AGO


def _due_since(item: Item, now: datetime) -> datetime | None:
    """Since when the lane has waited for a turn; None if it is held, or has nothing to do yet."""
    if _held(item, now):
        return None
    due: list[datetime] = []
    if "rung" in item and "backlog" not in item and now - moment(item["rung_at"]) >= LATE:
        due.append(moment(item["rung_at"]))  # its wake-up is lost
    if "next_at" in item and moment(item["next_at"]) <= now:
        due.append(moment(item["next_at"]))
    return min(due, default=None)


def _batch_out(batch: Batch) -> Item:
    moments = {
        "first_sent_at": batch.first_sent_at,
        "unknown_at": batch.unknown_at,
        "settle_at": batch.settle_at,
        "in_vain_since": batch.in_vain_since,
        "works_since": batch.works_since,
    }
    return batch.to_store(
        pk=f"lane#{batch.lane}",
        sk=f"batch#{batch.id}",
        # up to fifty documents, twice in a transaction: many kilobytes as they are
        documents=packed(
            json.dumps([planned.to_store() for planned in batch.documents], separators=(",", ":"))
        ),
        **{name: at and stamp(at) for name, at in moments.items()},
    )


def _batch_in(item: Item) -> Batch:
    if item["kind"] not in DOCUMENT_KINDS:
        raise UnknownKind(item["kind"])
    count = dict.fromkeys(("tries", "in_vain", "unreadable", "at_most", "faults"), int)
    at = dict.fromkeys(("unknown_at", "settle_at", "in_vain_since", "works_since"), _moment_or_none)
    return Batch.restored(item, ("pk", "sk"), first_sent_at=moment, documents=_documents_in, **count, **at)


def _documents_in(kept: Any) -> tuple[Planned, ...]:
    return tuple(map(Planned.restored, json.loads(unpacked(bytes(kept)))))


def _moment_or_none(kept: str | None) -> datetime | None:
    return moment(kept) if kept else None

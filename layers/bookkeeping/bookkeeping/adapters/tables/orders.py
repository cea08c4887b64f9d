"""The OrdersTable, the ledger as rows. Every write is conditional on what was read, or on holding the lane."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, Final, get_args

from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

from bookkeeping.adapters.containment import contained, leaving_alone
from bookkeeping.adapters.tables.dynamodb import (
    Item,
    cancelled_for,
    conflict,
    once_free,
    query,
    read,
    read_all,
    refused_for,
    transact,
    update_if,
)
from bookkeeping.adapters.tables.lanes import Lane
from bookkeeping.adapters.tables.packing import packed, unpacked
from bookkeeping.domain import ledger
from bookkeeping.domain.amounts import plain_number
from bookkeeping.domain.corrections import Correction, Credited, CreditNote, Step, What
from bookkeeping.domain.document_kinds import DOCUMENT_KINDS
from bookkeeping.domain.errors import AlreadyInBooks, UnknownKind
from bookkeeping.domain.ledger import (
    UNDER_WAY,
    UTC_DAYS,
    Act,
    Choice,
    Entry,
    Message,
    Posted,
    SaleStatus,
    SetAside,
    State,
)
from bookkeeping.domain.moments import moment, stamp
from bookkeeping.domain.order_totals import Money, comes_to
from bookkeeping.domain.orders import STAGES, Disposition
from bookkeeping.domain.pacing import BATCH_SIZE
from bookkeeping.domain.problems.catalogue import CATALOGUE, CHANGED, SKIPPED, WAITS
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.stored import unknown_in
from bookkeeping.domain.time_zones import Calendar

_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = "\uffff"
"""Text after every moment and every reason."""
SOME_REASON: Final = "$"
"""Stands for every reason, and not for none: in a list key it comes right after none."""
_REFERENCE_AT_MOST: Final = 64
"""How much of the sales channel's reference is searched."""
STATES: Final = frozenset(map(str, State))
REASONS: Final = frozenset({"", *SKIPPED, *WAITS, *CHANGED})
WHAT: Final = frozenset(get_args(What))
STEPS: Final = frozenset(get_args(Step))
CHOICES: Final = frozenset(get_args(Choice))
DISPOSITIONS: Final = frozenset(get_args(Disposition))
_AS_POSTED: Final = ("contact_check", "lines_check", "dated_on", "tax")
"""Fields of a document that its row keeps in one attribute, which takes a third of the room."""
ROW_ALONE: Final = ("key", "list_key", "external_ref", "sum")
"""Attributes of a row that say nothing an entry does not say."""


def order_key(company: str, order_id: str) -> str:
    return f"{company}#{order_id}"


def _list_key(state: State, reason: str, at: str) -> str:
    """Where a row stands among its company's: by state, then by reason, then by time.

    What is under way stands in one list, so that a row stays where it is while its order is sent.
    """
    return f"{State.QUEUED if state in UNDER_WAY else state}#{reason}#{at}"


def _first(state: State) -> str:
    """What the list keys of a state begin with."""
    return _list_key(state, "", "").removesuffix("#")


def _bounds(
    state: State, reason: str | None, since: datetime | None, until: datetime | None
) -> tuple[str, str]:
    """The first and the last list key. Without a reason, and for `SOME_REASON`, at any time."""
    if reason is None:
        return _first(state), f"{_first(state)}{_LAST}"
    if reason == SOME_REASON:
        return _list_key(state, SOME_REASON, ""), _list_key(state, _LAST, "")
    last = stamp(until) if until else _LAST
    return _list_key(state, reason, stamp(since) if since else ""), _list_key(state, reason, last)


@dataclass(frozen=True)
class Place:
    """Where an order stands among its company's. An index says it: it may lag behind the rows."""

    key: str
    state: State
    """Queued for what is being posted as well."""
    reason: str
    at: datetime
    """The last change; of what is under way, the arrival."""
    money: Money | None = None
    """What the order comes to, as far as that can be told."""
    posted_at: datetime | None = None
    """When its invoice was posted."""

    @property
    def order_id(self) -> str:
        return self.key.partition("#")[2]


class OrdersTable:
    """The ledger: one row an order and company."""

    def __init__(self, resource: Any, name: str, connections: str) -> None:
        self._resource = resource
        self._client = resource.meta.client
        self._table = resource.Table(name)
        self._connections = connections

    def get(self, company: str, order_id: str) -> Entry | None:
        """The row. Raises UnknownKind."""
        item = read(self._table, key=order_key(company, order_id))
        return entry_from_item(item) if item else None

    def has(self, company: str, order_id: str) -> bool:
        """Whether there is a row, whatever it holds."""
        return read(self._table, key=order_key(company, order_id)) is not None

    def get_many(
        self, keys: Iterable[str], each: Callable[[Item], AbstractContextManager[object]] = nullcontext
    ) -> list[Entry]:
        """The rows under the keys, in no order. `each` makes the context in which a row is understood.

        Without those of an unknown kind.
        """
        wanted = [{"key": key} for key in dict.fromkeys(keys)]
        entries: list[Entry] = []
        for item in read_all(self._resource, self._table.name, wanted):
            with leaving_alone(item["company"], item["order_id"]), each(item):
                entries.append(entry_from_item(item))
        return entries

    def mark_our_fault(self, company: str, order_id: str, reference: str, now: datetime) -> None:
        """Show a fault of ours on a row that is there, whatever it holds. In a batch it stays in it."""
        problem = Problem("our_fault", {"order": order_id, "reference": reference})
        update_if(
            self._table,
            {"key": order_key(company, order_id)},
            "SET #state = :stopped, problem = :problem, list_key = :list_key, changed_at = :now,"
            " version = version + :one REMOVE due_at, reason",
            # shown already: not written again at every try
            "attribute_exists(#key) AND NOT begins_with(list_key, :shown)",
            {
                ":stopped": str(State.NEEDS_ATTENTION),
                ":problem": _problem_out(problem),
                ":list_key": _list_key(State.NEEDS_ATTENTION, problem.code, stamp(now)),
                ":now": stamp(now),
                ":one": 1,
                ":shown": _list_key(State.NEEDS_ATTENTION, problem.code, ""),
            },
            {"#key": "key", "#state": "state"},
        )

    def save(self, entry: Entry, sibling: str | None = None) -> Entry:
        """Write the entry over the version it was read at (0: none).

        `sibling` is the key of the row of the order's other company: the write fails with AlreadyInBooks where that
        row holds the same organisation. Raises Conflict where the row has changed.
        """
        saved = replace(entry, version=entry.version + 1)
        put = self._put(saved, entry.version)
        try:
            if sibling is None or not entry.organisation_id:
                once_free(self._table.put_item, **put)
            else:
                check = {
                    "TableName": self._table.name,
                    "Key": {"key": sibling},
                    "ConditionExpression": "attribute_not_exists(organisation_id) OR organisation_id <> :here",
                    "ExpressionAttributeValues": {":here": entry.organisation_id},
                }
                puts = {"TableName": self._table.name, **put}
                once_free(
                    self._client.transact_write_items,
                    TransactItems=[{"ConditionCheck": check}, {"Put": puts}],
                )
        except ClientError as error:
            if cancelled_for(error)[:1] == ["ConditionalCheckFailed"]:
                raise AlreadyInBooks(sibling) from error
            raise conflict(error) from error
        return saved

    def save_once(self, entry: Entry, sibling: str | None, now: datetime, *, due_in: str = "") -> Entry:
        """Save the entry, or save it as skipped where the order's other company has it in the same books.

        `sibling` is that company. A skipped entry stays due in the lane `due_in`. Raises Conflict.
        """
        try:
            return self.save(entry, sibling and order_key(sibling, entry.order_id))
        except AlreadyInBooks:
            skipped = replace(ledger.skip(entry, "already_in_books", now), through=sibling or "")
            if due_in:
                skipped = replace(skipped, lane=due_in, due_at=now)
            return self.save(skipped)

    def _put(self, entry: Entry, version: int) -> Item:
        item = entry_to_item(entry)
        if not version:
            return {"Item": item, "ConditionExpression": "attribute_not_exists(version)"}
        read_at = {":read_at": version}
        return {
            "Item": item,
            "ConditionExpression": "version = :read_at",
            "ExpressionAttributeValues": read_at,
        }

    def save_together(self, entries: Sequence[Entry], lane: Lane, *others: Item) -> list[Entry]:
        """Write all the entries, and the other transaction items, while holding the lane; or none of them.

        Raises Lost where the lane has another holder, Conflict where a row has changed.
        """
        saved = [replace(entry, version=entry.version + 1) for entry in entries]
        puts = [
            {"Put": {"TableName": self._table.name, **self._put(new, old.version)}}
            for old, new in zip(entries, saved, strict=True)
        ]
        transact(self._client, [lane.held_in(self._connections), *others, *puts])
        return saved

    def due(self, lane: str, now: datetime, limit: int) -> tuple[list[str], datetime | None]:
        """Keys of the lane's rows that are due, longest due first, and when the next one will be.

        An index: it may lag behind the rows. None: there is no other one, or `limit` were read.
        """
        answer = self._table.query(IndexName="due", KeyConditionExpression=Key("lane").eq(lane), Limit=limit)
        at = stamp(now)
        later = next((item["due_at"] for item in answer["Items"] if item["due_at"] > at), None)
        return [item["key"] for item in answer["Items"] if item["due_at"] <= at], later and moment(later)

    def in_list(self, company: str, state: State, reason: str, limit: int) -> list[str]:
        """Keys of a company's rows in that state for that reason. An index: it may lag behind the rows.

        Queued and posting orders are in one list.
        """
        keys, _ = self.list_page(company, state, reason, limit=limit)
        return keys

    def keys_of(self, company: str) -> Iterator[str]:
        """Keys of all the company's rows. An index: it may lag behind the rows."""
        condition = Key("company").eq(company)
        found = query(self._table, IndexName="page", KeyConditionExpression=condition)
        return (item["key"] for item in found)

    def places(
        self,
        company: str,
        state: State,
        reason: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: Place | None = None,
        at_most: int | None = None,
        newest_first: bool = True,
    ) -> Iterator[Place]:
        """The company's orders in that state, in each reason by time; read on as far as they are wanted.

        Without a reason, and for `SOME_REASON`: at any time. Queued and posting orders are in one list, under either
        name. `after` is a place in this list or another: with a reason, it goes on where all of them together are.
        """
        request: Item = {"ScanIndexForward": not newest_first}
        if after is not None:
            here, there = (_first(state), reason), (_first(after.state), after.reason)
            # of one and the same moment, one list follows the other
            passed = here != there and (here > there) == newest_first
            if newest_first:
                bound = until = min(until or after.at, after.at - passed * _MILLISECOND)
            else:
                bound = since = max(since or after.at, after.at + passed * _MILLISECOND)
            if here == there and bound == after.at:
                list_key = _list_key(state, after.reason, stamp(after.at))
                request["ExclusiveStartKey"] = {"company": company, "key": after.key, "list_key": list_key}
        if since and until and since > until:
            return iter(())
        request |= self._list_request(company, *_bounds(state, reason, since, until))
        if at_most:
            request["Limit"] = at_most
        return map(_place_in, islice(query(self._table, **request), at_most))

    def newest_by_reason(self, company: str, state: State) -> dict[str, datetime]:
        """Why the company's rows are in that state → the last change of the latest of them. Asks once a reason.

        An index: it may lag behind the rows.
        """
        return {reason: rows[0][1] for reason, rows, _ in self.standing(company, state, 1)}

    def standing(
        self, company: str, state: State, at_most: int
    ) -> list[tuple[str, list[tuple[str, datetime]], bool]]:
        """The company's rows in that state by reason: id and time of the last change, the latest first.

        Of each reason at most so many, and whether there are more. An index: it may lag behind the rows.
        """
        found: list[tuple[str, list[tuple[str, datetime]], bool]] = []
        first, last = _first(state), f"{_first(state)}{_LAST}"
        while True:
            answer = self._table.query(
                IndexName="page",
                KeyConditionExpression=Key("company").eq(company) & Key("list_key").between(first, last),
                Limit=at_most,
                ScanIndexForward=False,
            )
            rows: dict[str, list[tuple[str, datetime]]] = {}
            for item in answer["Items"]:
                _, reason, at = item["list_key"].split("#")
                rows.setdefault(reason, []).append((item["key"].partition("#")[2], moment(at)))
            cut = [*rows][-1] if "LastEvaluatedKey" in answer else None
            found += [(reason, each, False) for reason, each in rows.items() if reason != cut]
            if cut is None:
                return found
            if len(rows) == 1:
                found.append((cut, rows[cut], True))
                last = _list_key(state, cut, "")
            else:
                # from its beginning, so that as many of it are seen as of any other
                last = _list_key(state, cut, _LAST)

    def list_page(
        self,
        company: str,
        state: State,
        reason: str | None = None,
        *,
        until: datetime | None = None,
        limit: int,
        after: str = "",
        newest_first: bool = False,
    ) -> tuple[list[str], str]:
        """Keys of the company's rows in that state, and where to go on (empty: at the end).

        Without a reason, and for `SOME_REASON`: at any time. An index: it may lag behind the rows.
        Queued and posting orders are in one list, by the time at which they were received; others are listed by
        the time of their last change.
        """
        request = self._list_request(company, *_bounds(state, reason, None, until))
        request |= {"Limit": limit, "ScanIndexForward": not newest_first}
        return self._page(request, company, after)

    @staticmethod
    def _list_request(company: str, first: str, last: str) -> Item:
        condition = Key("company").eq(company) & Key("list_key").between(first, last)
        return {"IndexName": "page", "KeyConditionExpression": condition}

    def changed_since(
        self, company: str, state: State, since: datetime | None, *, limit: int, after: str = ""
    ) -> tuple[list[str], str]:
        """Keys of the company's rows in that state that changed since, and where to go on (empty: at the end).

        An index: it may lag behind the rows. Queued and posting orders are in one list, by their arrival.
        """
        first = _first(state)
        if state is State.POSTED and since is not None:
            # those with a reason come after, whenever they changed: they are few
            first = _list_key(state, "", stamp(since))
        request = self._list_request(company, first, f"{_first(state)}{_LAST}") | {"Limit": limit}
        keys, end = self._page(request, company, after, since)
        return keys, end

    def by_reference(
        self, company: str, reference: str, *, limit: int, after: str = ""
    ) -> tuple[list[str], str]:
        """Keys of the company's rows whose sales channel's reference begins so, and where to go on (empty: at the end).

        An index: it may lag behind the rows.
        """
        if not _searched(reference):
            return [], ""
        condition = Key("company").eq(company) & Key("external_ref").begins_with(_searched(reference))
        request = {"IndexName": "reference", "KeyConditionExpression": condition, "Limit": limit}
        return self._page(request, company, after)

    def _page(
        self, request: Item, company: str, after: str, since: datetime | None = None
    ) -> tuple[list[str], str]:
        """Keys that the query finds, of rows listed at that time or later, and where to go on."""
        place_in = "external_ref" if request["IndexName"] == "reference" else "list_key"
        if after:
            order_id, _, place = after.partition("|")
            request["ExclusiveStartKey"] = {
                "key": order_key(company, order_id),
                "company": company,
                place_in: place,
            }
        try:
            answer = self._table.query(**request)
        except ClientError as error:
            if not after or refused_for(error) != "ValidationException":
                raise
            # a place that came from a browser and is none
            return [], ""
        since_text = stamp(since) if since else ""
        keys = [
            item["key"]
            for item in answer["Items"]
            if not since or item["list_key"].rpartition("#")[2] >= since_text
        ]
        end = answer.get("LastEvaluatedKey")
        return keys, f"{end['key'].rpartition('#')[2]}|{end[place_in]}" if end else ""


# --- rows


def entry_to_item(entry: Entry) -> Item:
    """The entry as a table row. `due_at` beside `lane` puts it into the sparse index of what is due."""
    under_way = entry.state in UNDER_WAY
    listed_at = entry.received_at if under_way else entry.changed_at
    item: Item = {
        "key": order_key(entry.company, entry.order_id),
        "company": entry.company,
        "order_id": entry.order_id,
        "list_key": _list_key(entry.state, entry.why, stamp(listed_at)),
        "state": str(entry.state),
        "message": _message_out(entry.message),
        "received_at": _at_out(entry.received_at),
        "version": entry.version,
        "settings_version": entry.settings_version,
        "documents": {kind: _posted_out(posted, entry) for kind, posted in entry.documents.items()},
    }
    # what is as usual, or is said elsewhere, is left out: a row of up to 1 KB costs half of what a longer one does
    optional: Item = {
        # for other states the list key says it
        "changed_at": under_way and _at_out(entry.changed_at),
        "refusals": entry.refusals,
        "at_most": entry.at_most != BATCH_SIZE and entry.at_most,
        "as_draft": entry.as_draft,
        "items_as_they_are": entry.items_as_they_are,
        "changes": list(entry.changes),
        "history": [_act_out(act) for act in entry.history],
        # a key of the index `reference`: as long as the message says the same, no write moves it there
        "sum": _sum_out(entry, listed_at),
        "external_ref": entry.message.content
        and _searched(json.loads(entry.message.content)["external_ref"]),
        "reason": entry.reason,
        "through": entry.through,
        "number": entry.number,
        "organisation_id": entry.organisation_id,
        "lane": entry.lane if entry.due_at else _short_lane(entry),
        "batch": entry.batch,
        "settled_in": entry.settled_in,
        "due_at": entry.due_at and stamp(entry.due_at),
        "problem": entry.problem and _problem_out(entry.problem),
        "newer": entry.newer and _message_out(entry.newer),
        "no_sale": dict(entry.no_sale),
        "dated_on_dispatch": entry.dated_on_dispatch,
        "sale_status": entry.sale_status and _sale_status_out(entry.sale_status, entry.message),
        "dated_by": entry.dated_by != UTC_DAYS and _dated_by_out(entry.dated_by),
        "stage": entry.stage,
        "set_aside": entry.set_aside and _set_aside_out(entry.set_aside),
    }
    return item | _told(optional) | _told(_after_posting_out(entry)) | entry.unknown


def _sum_out(entry: Entry, listed_at: datetime) -> str:
    """Beside the list key in the index `page`: what the order comes to, and after an @ when its invoice was posted.

    In seconds since 1970; nothing there stands for the moment in the list key, which it nearly always is.
    """
    money: Money | None = None
    # the row is written, and can say so, even if a fault of ours keeps it from being reckoned
    with contained(*entry.key):
        money = comes_to(entry)
    text = f"{plain_number(money.amount)} {money.currency}" if money else ""
    invoice = entry.documents.get("invoice")
    if invoice is None:
        return text
    return f"{text}@{'' if invoice.at == listed_at else int(invoice.at.timestamp())}"


def _place_in(item: Mapping[str, Any]) -> Place:
    state, reason, at = item["list_key"].split("#")
    text, posted, posted_at = item.get("sum", "").partition("@")
    amount, _, currency = text.partition(" ")
    return Place(
        key=item["key"],
        state=State(state),
        reason=reason,
        at=moment(at),
        money=Money(currency, Decimal(amount)) if text else None,
        posted_at=(datetime.fromtimestamp(int(posted_at), UTC) if posted_at else moment(at))
        if posted
        else None,
    )


def _after_posting_out(entry: Entry) -> Item:
    """What only an order has that was changed after it was posted."""
    return {
        "correction": entry.correction and _correction_out(entry.correction),
        "credit_notes": [_note_out(note) for note in entry.credit_notes],
        "dealt_with": entry.dealt_with,
        "former": [_told(_moments_out(posted) | {"notes": list(posted.notes)}) for posted in entry.former],
    }


def _correction_out(correction: Correction) -> Item:
    return correction.to_store(
        at=_at_out(correction.at),
        sent_at=correction.sent_at and _at_out(correction.sent_at),
        problem=correction.problem and _problem_out(correction.problem),
        note=correction.note and _note_out(correction.note),
        credited=[one.to_store() for one in correction.credited],
    )


def _correction_in(item: Mapping[str, Any]) -> Correction:
    _check_known(item["what"], WHAT)
    _check_known(item.get("step", ""), STEPS)
    return Correction.restored(
        item,
        at=_at_in,
        sent_at=lambda at: None if at is None else _at_in(at),
        problem=lambda problem: problem and _problem_in(problem),
        note=lambda note: note and _note_in(note),
        credited=_credited_in,
        tries=int,
        taken=int,
        looks=int,
    )


def _set_aside_out(set_aside: SetAside) -> Item:
    return set_aside.to_store(at=_at_out(set_aside.at), was=str(set_aside.was))


def _set_aside_in(item: Mapping[str, Any]) -> SetAside:
    _check_known(item["was"], STATES)
    return SetAside.restored(item, at=_at_in, was=State)


def _note_out(note: CreditNote) -> Item:
    credited = [one.to_store() for one in note.credited]
    return note.to_store(at=note.at and _at_out(note.at), credited=credited)


def _note_in(item: Mapping[str, Any]) -> CreditNote:
    return CreditNote.restored(item, at=lambda at: None if at is None else _at_in(at), credited=_credited_in)


def _credited_in(items: Sequence[Mapping[str, Any]]) -> tuple[Credited, ...]:
    return tuple(Credited.restored(one, line=int) for one in items)


def _short_lane(entry: Entry) -> str:
    """A lane that no index needs, without the organisation that the row names."""
    return entry.lane.removesuffix(entry.organisation_id) if entry.organisation_id else entry.lane


def _searched(reference: str) -> str:
    return reference.strip().casefold()[:_REFERENCE_AT_MOST]


def _told(members: Mapping[str, Any]) -> Item:
    """Those that say anything."""
    return {name: value for name, value in members.items() if value}


def entry_from_item(item: Mapping[str, Any]) -> Entry:
    """The row's entry. Raises UnknownKind where only a newer version of this code knows what it holds."""
    documents = item.get("documents", {})
    _check_known(item["state"], STATES)
    _check_known(item.get("reason", ""), REASONS)
    for kind in documents:
        _check_known(kind, DOCUMENT_KINDS)
    _check_known(item.get("stage", ""), STAGES)
    for choice in item.get("no_sale", {}).values():
        _check_known(choice, CHOICES)
    message, number = _message_in(item["message"]), item.get("number", "")
    lane, organisation_id = item.get("lane", ""), item.get("organisation_id", "")
    return Entry(
        company=item["company"],
        order_id=item["order_id"],
        state=State(item["state"]),
        message=message,
        received_at=_at_in(item["received_at"]),
        changed_at=_at_in(item.get("changed_at") or item["list_key"].rpartition("#")[2]),
        version=int(item.get("version", 0)),
        reason=item.get("reason", ""),
        through=item.get("through", ""),
        problem=_problem_in(item["problem"]) if "problem" in item else None,
        number=number,
        organisation_id=organisation_id,
        lane=lane + organisation_id if lane.endswith("#") else lane,
        settings_version=int(item.get("settings_version", 0)),
        due_at=moment(item["due_at"]) if "due_at" in item else None,
        documents={kind: _posted_in(posted, number) for kind, posted in documents.items()},
        batch=item.get("batch", ""),
        settled_in=item.get("settled_in", ""),
        refusals=int(item.get("refusals", 0)),
        at_most=int(item.get("at_most", BATCH_SIZE)),
        as_draft=item.get("as_draft", False),
        items_as_they_are=item.get("items_as_they_are", False),
        no_sale=item.get("no_sale", {}),
        sale_status=_sale_status_in(item["sale_status"], message) if "sale_status" in item else None,
        dated_by=_dated_by_in(item["dated_by"]) if "dated_by" in item else UTC_DAYS,
        dated_on_dispatch=item.get("dated_on_dispatch", False),
        newer=_message_in(item["newer"]) if "newer" in item else None,
        changes=tuple(item.get("changes", ())),
        stage=item.get("stage", ""),
        correction=_correction_in(item["correction"]) if "correction" in item else None,
        credit_notes=tuple(map(_note_in, item.get("credit_notes", ()))),
        dealt_with=item.get("dealt_with", ""),
        former=tuple(_former_in(posted) for posted in item.get("former", ())),
        set_aside=_set_aside_in(item["set_aside"]) if "set_aside" in item else None,
        history=tuple(
            Act.restored(act, at=moment, since=_at_in, version=int) for act in item.get("history", ())
        ),
        unknown=unknown_in(item, Entry, ROW_ALONE),
    )


def _check_known(kind: str, known: Container[str]) -> None:
    if kind not in known:
        raise UnknownKind(kind)


def _problem_out(problem: Problem) -> Item:
    return problem.to_store(details=dict(problem.details), xero_says=list(problem.xero_says))


def _problem_in(item: Mapping[str, Any]) -> Problem:
    _check_known(item["code"], CATALOGUE)
    return Problem.restored(item)


def _message_out(message: Message) -> bytes:
    """Packed: what is told of the message on a line of JSON, then the content."""
    about: Item = {
        "sent_at": message.sent_at,
        "content_hash": message.content_hash,
        "problem": message.problem and _problem_out(message.problem),
        "first_sent_at": message.first_sent_at,
    }
    return packed(json.dumps(_told(about) | message.unknown, separators=(",", ":")) + "\n" + message.content)


def _message_in(kept: Any) -> Message:
    line, _, content = unpacked(bytes(kept)).partition("\n")
    about = json.loads(line)
    _check_content(content)
    return Message(
        sent_at=int(about.get("sent_at", 0)),
        content=content,
        content_hash=about.get("content_hash", ""),
        problem=_problem_in(about["problem"]) if "problem" in about else None,
        first_sent_at=int(about.get("first_sent_at", 0)),
        unknown=unknown_in(about, Message),
    )


def _check_content(content: str) -> None:
    """Raises UnknownKind where a newer version of this code has put the order into words of its own."""
    about = json.loads(content) if content else {}
    if about:
        _check_known(about["disposition"], DISPOSITIONS)
    for flaw in (about.get("flaw"), about.get("completion_flaw")):
        if flaw:
            _check_known(flaw["code"], CATALOGUE)


def _sale_status_out(sale_status: SaleStatus, message: Message) -> Item | str:
    """The disposition alone, where the message said it without more."""
    said = SaleStatus(message.sent_at, sale_status.disposition)
    bare = sale_status == said and not sale_status.unknown
    return sale_status.disposition if bare else sale_status.to_store()


def _sale_status_in(kept: Any, message: Message) -> SaleStatus:
    _check_known(kept["disposition"] if isinstance(kept, Mapping) else kept, DISPOSITIONS)
    if isinstance(kept, Mapping):
        return SaleStatus.restored(kept, sent_at=int)
    return SaleStatus(message.sent_at, kept)


def _dated_by_out(calendar: Calendar) -> Item | str:
    """The zone alone, where there is no more."""
    return calendar.to_store() if calendar.order_zone or calendar.unknown else calendar.zone


def _dated_by_in(kept: Any) -> Calendar:
    return Calendar.restored(kept) if isinstance(kept, Mapping) else Calendar(kept)


def _at_out(at: datetime) -> int:
    """A moment in milliseconds, which takes a third of the room of its text."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _at_in(kept: Any) -> datetime:
    # a list key holds a text, since it is sorted by it
    return moment(kept) if isinstance(kept, str) else _EPOCH + int(kept) * timedelta(milliseconds=1)


def _act_out(act: Act) -> Item:
    item = _told(act.to_store(at=stamp(act.at), since=act.since and _at_out(act.since)))
    # earlier versions need it, also where it is nobody
    return {"by": act.by} | item | act.unknown


def _posted_out(posted: Posted, entry: Entry) -> Item:
    """The document without its number where that is the order's."""
    notes = posted.notes and packed(json.dumps(posted.notes, ensure_ascii=False))
    posted_as = dict.fromkeys(_AS_POSTED, "") | {"as": _as_posted_out(posted)}
    item = _told(_moments_out(posted) | {"notes": notes, "number": ""} | posted_as) | posted.unknown
    return item if posted.number == entry.number else item | {"number": posted.number}


def _moments_out(posted: Posted) -> Item:
    return posted.to_store(at=_at_out(posted.at), read_at=posted.read_at and _at_out(posted.read_at))


def _posted_in(item: Mapping[str, Any], number: str) -> Posted:
    left_out = {"id": "", "number": number, "status": "", "total": "", "currency": ""}
    posted_as = _as_posted_in(bytes(item["as"])) if "as" in item else {}
    known = {name: value for name, value in item.items() if name != "as"}
    at = {"at": _at_in, "read_at": _at_in}
    return Posted.restored({**left_out, **posted_as, **known}, **at, notes=_notes_in, settings_version=int)


def _former_in(item: Mapping[str, Any]) -> Posted:
    left_out = {"status": "", "total": "", "currency": ""}
    return Posted.restored({**left_out, **item}, at=_at_in, read_at=_at_in, notes=tuple)


def _as_posted_out(posted: Posted) -> bytes | str:
    """What only the book match reads, as bytes: two check values, the days since 1970, and the tax as text."""
    if not any(getattr(posted, name) for name in _AS_POSTED):
        return ""
    days = (date.fromisoformat(posted.dated_on) - _EPOCH.date()).days if posted.dated_on else 0
    checks = (bytes.fromhex(one) if one else bytes(4) for one in (posted.contact_check, posted.lines_check))
    return b"".join(checks) + days.to_bytes(3, signed=True) + posted.tax.encode()


def _as_posted_in(kept: bytes) -> dict[str, str]:
    days = int.from_bytes(kept[8:11], signed=True)
    checks = (one.hex() if any(one) else "" for one in (kept[:4], kept[4:8]))
    dated_on = (_EPOCH.date() + timedelta(days)).isoformat() if days else ""
    return dict(zip(_AS_POSTED, (*checks, dated_on, kept[11:].decode()), strict=True))


def _notes_in(kept: Any) -> tuple[str, ...]:
    return tuple(json.loads(unpacked(bytes(kept))))

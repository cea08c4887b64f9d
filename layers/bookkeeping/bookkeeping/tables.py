"""EDGE: the DynamoDB tables. Every write is conditional on what was read, or on holding the lane."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import sleep
from typing import Any, Final

import boto3
from boto3.dynamodb.conditions import Attr, ConditionBase, Key
from botocore.config import Config
from botocore.exceptions import ClientError

from bookkeeping.connecting import Choice, Connection, Outcome
from bookkeeping.errors import AlreadyInBooks, Conflict, Lost
from bookkeeping.launching import Launch, Person, Session
from bookkeeping.ledger import Act, Entry, Message, Posted, State, stamp
from bookkeeping.organisation import Contact, Organisation
from bookkeeping.problems import DocumentKind, Problem
from bookkeeping.settings import Settings

Item = dict[str, Any]

BOUNDED: Final = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4}
)
LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)


def dynamodb() -> Any:
    return boto3.resource("dynamodb", config=BOUNDED)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _refused_for(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def _cancelled_for(error: ClientError) -> list[str]:
    return [str(reason.get("Code", "None")) for reason in error.response.get("CancellationReasons", [])]


def _once_free(write: Callable[..., Any], **request: Any) -> Any:
    """Write as soon as no transaction that is under way has a hand on a row of it."""
    for wait in (0.01, 0.03, 0.1, 0.3):
        try:
            return write(**request)
        except ClientError as error:
            in_the_way = {_refused_for(error), *_cancelled_for(error)} - {
                "None",
                "TransactionCanceledException",
            }
            if not in_the_way <= {"TransactionConflictException", "TransactionConflict"}:
                raise
        sleep(wait)
    return write(**request)


def read_all(resource: Any, table: str, keys: Sequence[Mapping[str, str]]) -> Iterator[Item]:
    """The items under the keys, consistently read, in no order; a missing one is left out."""
    for start in range(0, len(keys), 100):
        wanted: Any = {
            table: {"Keys": [dict(key) for key in keys[start : start + 100]], "ConsistentRead": True}
        }
        while wanted:
            answer = resource.batch_get_item(RequestItems=wanted)
            yield from answer["Responses"].get(table, [])
            wanted = answer.get("UnprocessedKeys")


def _query(table: Any, **request: Any) -> Iterator[Item]:
    while True:
        answer = table.query(**request)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


# --- OrdersTable ------------------------------------------------------------------------------------------------


def order_key(company: str, order_id: str) -> str:
    return f"{company}#{order_id}"


def shelf(entry: Entry) -> str:
    """Where the entry stands among its company's: by state, then by why, then by time."""
    why = entry.problem.code if entry.problem else entry.reason
    return f"{entry.state}#{why}#{stamp(entry.changed_at)}"


def _problem_out(problem: Problem) -> Item:
    return {"code": problem.code, "details": dict(problem.details), "xero_says": list(problem.xero_says)}


def _problem_in(item: Mapping[str, Any]) -> Problem:
    return Problem(item["code"], item["details"], tuple(item["xero_says"]))


def _message_out(message: Message) -> Item:
    item: Item = {
        "sent_at": message.sent_at,
        "content": message.content,
        "content_hash": message.content_hash,
    }
    return item | ({"problem": _problem_out(message.problem)} if message.problem else {})


def _message_in(item: Mapping[str, Any]) -> Message:
    problem = _problem_in(item["problem"]) if "problem" in item else None
    return Message(int(item["sent_at"]), item["content"], item["content_hash"], problem)


def _posted_out(posted: Posted) -> Item:
    return vars(posted) | {"at": stamp(posted.at), "notes": list(posted.notes)}


def _posted_in(item: Mapping[str, Any]) -> Posted:
    return Posted(**{**item, "at": moment(item["at"]), "notes": tuple(item["notes"])})


def entry_to_item(entry: Entry) -> Item:
    """The entry as a table row. `due_at` beside `lane` puts it into the sparse index of what is due."""
    item: Item = {
        "key": order_key(entry.company, entry.order_id),
        "company": entry.company,
        "order_id": entry.order_id,
        "shelf": shelf(entry),
        "state": str(entry.state),
        "message": _message_out(entry.message),
        "received_at": stamp(entry.received_at),
        "changed_at": stamp(entry.changed_at),
        "version": entry.version,
        "settings_version": entry.settings_version,
        "refusals": entry.refusals,
        "at_most": entry.at_most,
        "as_draft": entry.as_draft,
        "items_as_they_are": entry.items_as_they_are,
        "documents": {kind: _posted_out(posted) for kind, posted in entry.documents.items()},
        "changes": list(entry.changes),
        "history": [{"by": act.by, "what": act.what, "at": stamp(act.at)} for act in entry.history],
    }
    optional: Item = {
        "reason": entry.reason,
        "through": entry.through,
        "number": entry.number,
        "organisation_id": entry.organisation_id,
        "lane": entry.lane,
        "batch": entry.batch,
        "settled_in": entry.settled_in,
        "due_at": entry.due_at and stamp(entry.due_at),
        "problem": entry.problem and _problem_out(entry.problem),
        "newer": entry.newer and _message_out(entry.newer),
    }
    return item | {name: value for name, value in optional.items() if value}


def entry_from_item(item: Mapping[str, Any]) -> Entry:
    return Entry(
        company=item["company"],
        order_id=item["order_id"],
        state=State(item["state"]),
        message=_message_in(item["message"]),
        received_at=moment(item["received_at"]),
        changed_at=moment(item["changed_at"]),
        version=int(item["version"]),
        reason=item.get("reason", ""),
        through=item.get("through", ""),
        problem=_problem_in(item["problem"]) if "problem" in item else None,
        number=item.get("number", ""),
        organisation_id=item.get("organisation_id", ""),
        lane=item.get("lane", ""),
        settings_version=int(item["settings_version"]),
        due_at=moment(item["due_at"]) if "due_at" in item else None,
        documents={kind: _posted_in(posted) for kind, posted in item["documents"].items()},
        batch=item.get("batch", ""),
        settled_in=item.get("settled_in", ""),
        refusals=int(item["refusals"]),
        at_most=int(item["at_most"]),
        as_draft=item["as_draft"],
        items_as_they_are=item["items_as_they_are"],
        newer=_message_in(item["newer"]) if "newer" in item else None,
        changes=tuple(item["changes"]),
        history=tuple(Act(act["by"], act["what"], moment(act["at"])) for act in item["history"]),
    )


class OrdersTable:
    """The ledger: one row an order and company."""

    def __init__(self, resource: Any, name: str, connections: str) -> None:
        self._resource = resource
        self._client = resource.meta.client
        self._table = resource.Table(name)
        self._connections = connections

    def get(self, company: str, order_id: str) -> Entry | None:
        item = self._table.get_item(Key={"key": order_key(company, order_id)}, ConsistentRead=True).get(
            "Item"
        )
        return entry_from_item(item) if item else None

    def get_many(self, keys: Iterable[str]) -> list[Entry]:
        wanted = [{"key": key} for key in dict.fromkeys(keys)]
        return [entry_from_item(item) for item in read_all(self._resource, self._table.name, wanted)]

    def save(self, entry: Entry, sibling: str | None = None) -> Entry:
        """Write the entry over the version it was read at (0: none).

        `sibling` is the key of the row of the order's other company: the write fails with AlreadyInBooks where that
        row holds the same organisation. Raises Conflict where the row has changed.
        """
        saved = replace(entry, version=entry.version + 1)
        put = self._put(saved, entry.version)
        try:
            if sibling is None or not entry.organisation_id:
                _once_free(self._table.put_item, **put)
            else:
                check = {
                    "TableName": self._table.name,
                    "Key": {"key": sibling},
                    "ConditionExpression": "attribute_not_exists(organisation_id) OR organisation_id <> :here",
                    "ExpressionAttributeValues": {":here": entry.organisation_id},
                }
                puts = {"TableName": self._table.name, **put}
                _once_free(
                    self._client.transact_write_items,
                    TransactItems=[{"ConditionCheck": check}, {"Put": puts}],
                )
        except ClientError as error:
            if _cancelled_for(error)[:1] == ["ConditionalCheckFailed"]:
                raise AlreadyInBooks(sibling) from error
            raise _conflict(error) from error
        return saved

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
        transact(self._client, [held(self._connections, lane), *others, *puts])
        return saved

    def due(self, lane: str, now: datetime, limit: int) -> list[str]:
        """Keys of the lane's rows that are due, longest due first. An index: it may lag behind the rows."""
        answer = self._table.query(
            IndexName="due",
            KeyConditionExpression=Key("lane").eq(lane) & Key("due_at").lte(stamp(now)),
            Limit=limit,
        )
        return [item["key"] for item in answer["Items"]]

    def on_shelf(self, company: str, shelf_prefix: str, limit: int) -> list[str]:
        """Keys of a company's rows whose shelf begins so. An index: it may lag behind the rows."""
        answer = self._table.query(
            IndexName="page",
            KeyConditionExpression=Key("company").eq(company) & Key("shelf").begins_with(shelf_prefix),
            Limit=limit,
        )
        return [item["key"] for item in answer["Items"]]

    def shelf_page(
        self, company: str, first: str, last: str, limit: int, after: str = "", *, newest_first: bool = False
    ) -> tuple[list[str], str]:
        """Keys of the company's rows whose shelf is between the two, and where to go on (empty: at the end).

        An index: it may lag behind the rows.
        """
        request: Item = {
            "IndexName": "page",
            "KeyConditionExpression": Key("company").eq(company) & Key("shelf").between(first, last),
            "Limit": limit,
            "ScanIndexForward": not newest_first,
        }
        if after:
            key, _, place = after.partition("|")
            request["ExclusiveStartKey"] = {
                "key": order_key(company, key),
                "company": company,
                "shelf": place,
            }
        try:
            answer = self._table.query(**request)
        except ClientError as error:
            if not after or _refused_for(error) != "ValidationException":
                raise
            # a place that came from a browser and is none
            return [], ""
        keys = [item["key"] for item in answer["Items"]]
        end = answer.get("LastEvaluatedKey")
        return keys, f"{end['key'].rpartition('#')[2]}|{end['shelf']}" if end else ""

    def shelves(self, company: str, shelf_prefix: str, at_most: int) -> list[str]:
        """Where the company's rows stand, as far as their shelf begins so. An index: it may lag behind the rows."""
        answer = self._table.query(
            IndexName="page",
            KeyConditionExpression=Key("company").eq(company) & Key("shelf").begins_with(shelf_prefix),
            ProjectionExpression="shelf",
            Limit=at_most,
        )
        return [item["shelf"] for item in answer["Items"]]

    def count_on_shelf(self, company: str, shelf_prefix: str, at_most: int) -> int:
        answer = self._table.query(
            IndexName="page",
            KeyConditionExpression=Key("company").eq(company) & Key("shelf").begins_with(shelf_prefix),
            Select="COUNT",
            Limit=at_most,
        )
        return int(answer["Count"])


def _conflict(error: ClientError) -> Exception:
    """Conflict where a row has changed or is being changed, else the error itself."""
    code = _refused_for(error)
    if code in ("ConditionalCheckFailedException", "TransactionConflictException"):
        return Conflict(code)
    if code == "TransactionCanceledException":
        reasons = set(_cancelled_for(error)) - {"None"}
        if reasons & {"ConditionalCheckFailed", "TransactionConflict"}:
            return Conflict(", ".join(sorted(reasons)))
    return error


def transact(client: Any, items: Sequence[Item]) -> None:
    """All the writes or none. The first item is the check of the lane: where it fails, the lane is lost."""
    try:
        _once_free(client.transact_write_items, TransactItems=list(items))
    except ClientError as error:
        if _cancelled_for(error)[:1] == ["ConditionalCheckFailed"]:
            raise Lost from error
        raise _conflict(error) from error


def together(client: Any, items: Sequence[Item]) -> None:
    """All the writes or none. Raises Conflict where a condition does not hold."""
    try:
        _once_free(client.transact_write_items, TransactItems=list(items))
    except ClientError as error:
        raise _conflict(error) from error


# --- SettingsTable ----------------------------------------------------------------------------------------------

CURRENT: Final = "current"


@dataclass(frozen=True)
class Saved:
    """A version of a company's settings."""

    settings: Settings
    number: int
    by: str
    at: datetime


class SettingsTable:
    """A company's settings: the current ones, and every version there was."""

    def __init__(self, resource: Any, name: str) -> None:
        self._table = resource.Table(name)
        self._client = resource.meta.client

    def current(self, company: str) -> tuple[Settings, int] | None:
        item = self._get(company, CURRENT)
        return (Settings.model_validate_json(item["settings"]), int(item["number"])) if item else None

    def version(self, company: str, number: int) -> Settings:
        item = self._get(company, _version(number))
        if item is None:
            raise LookupError(f"company {company} has no settings version {number}")
        return Settings.model_validate_json(item["settings"])

    def _get(self, company: str, version: str) -> Item | None:
        key = {"company": company, "version": version}
        item: Item | None = self._table.get_item(Key=key, ConsistentRead=True).get("Item")
        return item

    def saved(self, company: str) -> Saved | None:
        item = self._get(company, CURRENT)
        return _saved_in(item) if item else None

    def latest(self, company: str, limit: int) -> list[Saved]:
        """The last versions, newest first."""
        condition = Key("company").eq(company) & Key("version").begins_with("v")
        answer = self._table.query(
            KeyConditionExpression=condition, ScanIndexForward=False, Limit=limit, ConsistentRead=True
        )
        return [_saved_in(item) for item in answer["Items"]]

    def save(self, company: str, settings: Settings, *others: Item, seen: int, by: str, at: datetime) -> int:
        """Save the version after the one the person saw (0: none yet), with other transaction items.

        Raises Conflict where it is stale, or where a condition of the others does not hold.
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
            _once_free(
                self._client.transact_write_items,
                TransactItems=[
                    *({"Put": {"TableName": self._table.name, **put}} for put in (current, kept)),
                    *others,
                ],
            )
        except ClientError as error:
            raise _conflict(error) from error
        return number


def _saved_in(item: Mapping[str, Any]) -> Saved:
    settings = Settings.model_validate_json(item["settings"])
    return Saved(settings, int(item["number"]), item["saved_by"], moment(item["saved_at"]))


def _version(number: int) -> str:
    return f"v{number:08}"


# --- ConnectionsTable -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lane:
    """A lane as its holder has it."""

    key: str
    fencing: int
    calls: tuple[datetime, ...] = ()
    """When calls of the last minute went out."""
    stumbles: int = 0
    """Turns in a row that Xero ended, being down."""
    pause: str = ""
    """Why Xero is not to be called before `paused_until`: a code of `problems`."""
    paused_until: datetime = LONG_AGO
    last_look: bool = False
    """Nobody has asked for this turn: it only looks whether an index hid something from the one before."""

    @property
    def client_id(self) -> str:
        return self.key.partition("#")[0]

    @property
    def organisation_id(self) -> str:
        return self.key.partition("#")[2]


@dataclass(frozen=True)
class Planned:
    """A document of a batch record."""

    order_id: str
    number: str
    content_hash: str
    figure: str
    """Which of Xero's figures is compared: `Total` or `SubTotal`."""
    foreseen: str
    """What that figure must be."""
    contact_id: str


@dataclass(frozen=True)
class Batch:
    """What is about to be, or may have been, sent in one call."""

    id: str
    lane: str
    organisation_id: str
    company: str
    kind: DocumentKind
    idempotency_key: str
    body_hash: str
    first_sent_at: datetime
    """When this body first went out under this key, or a moment before."""
    documents: tuple[Planned, ...]
    unknown_at: datetime | None = None
    """The last time a call for it ended with no answer."""
    settle_at: datetime | None = None
    tries: int = 0
    timed_out: int = 0
    by_number: bool = False
    """The key is of no more use: look the numbers up."""


@dataclass(frozen=True)
class Renewal:
    """The right to renew a company's tokens, as its holder has it."""

    company: str
    fencing: int
    unsettled: bool = False
    """An earlier holder did not bring it to an end: the refresh token may be spent, and Xero's grace be running."""


def _renewal_key(company: str) -> Item:
    return {"pk": f"connection#{company}", "sk": "renewal"}


def _lane_key(lane: str) -> Item:
    return {"pk": f"lane#{lane}", "sk": "lane"}


@dataclass(frozen=True)
class KnownApp:
    """What may be shown of a company's own Xero app."""

    client_id: str
    secret_set_at: datetime


@dataclass(frozen=True)
class Release:
    """Orders of a company to be freed, shelf by shelf, and how far that has come."""

    company: str
    id: str
    asked_at: datetime
    next_at: datetime
    shelves: tuple[str, ...] = ()
    """The shelves to walk, as `state#why#`."""
    lanes: tuple[str, ...] = ()
    """Lanes to ring, whatever is found."""
    by: str = ""
    """The person who asked for these very orders."""
    before_version: int = 0
    """Only orders that became due under settings older than this version; 0: all."""
    items_as_they_are: bool = False
    event: str = ""
    """What the bus is to be told first, as JSON."""
    looks_left: int = 1
    """An index may not show yet what came to a shelf a moment ago: so it may be walked again, some time later."""
    shelf: int = 0
    """The place in `shelves` of the one being walked."""
    after: str = ""
    """Where on that shelf to go on."""
    hand: tuple[str, ...] = ()
    """Keys of the orders being freed now."""
    step: int = 0


def held(table: str, lane: Lane) -> Item:
    """The transaction item that fails unless the lane is still this holder's."""
    return {
        "ConditionCheck": {
            "TableName": table,
            "Key": _lane_key(lane.key),
            "ConditionExpression": "fencing = :mine",
            "ExpressionAttributeValues": {":mine": lane.fencing},
        }
    }


class ConnectionsTable:
    """Connections, lanes with their batch records, and what is known of each organisation."""

    def __init__(self, resource: Any, name: str) -> None:
        self._resource = resource
        self._client = resource.meta.client
        self._table = resource.Table(name)

    @property
    def name(self) -> str:
        return str(self._table.name)

    def _get(self, pk: str, sk: str) -> Item | None:
        item: Item | None = self._table.get_item(Key={"pk": pk, "sk": sk}, ConsistentRead=True).get("Item")
        return item

    # connections

    def connection(self, company: str) -> Connection | None:
        item = self._get(f"connection#{company}", "connection")
        if item is None:
            return None
        return Connection(
            company=company,
            client_id=item["client_id"],
            organisation_id=item["organisation_id"],
            organisation_name=item["organisation_name"],
            status=item["status"],
            scopes=tuple(item["scopes"]),
            expires_at=moment(item["expires_at"]) if "expires_at" in item else None,
            worked_at=moment(item["worked_at"]) if "worked_at" in item else None,
            connection_id=item.get("connection_id", ""),
            previous_organisation_id=item.get("previous_organisation_id", ""),
            previous_organisation_name=item.get("previous_organisation_name", ""),
            choices=tuple(Choice(**choice) for choice in item.get("choices", ())),
            connected_by=item.get("connected_by", ""),
            connected_at=moment(item["connected_at"]) if "connected_at" in item else None,
            prefix_taken_by=item.get("prefix_taken_by", ""),
        )

    def save_connection(self, connection: Connection) -> None:
        # first: a renewal that is under way then finds that it is not its connection any more
        self.plan_renewal(connection.company, LONG_AGO)
        self._table.put_item(Item=_connection_out(connection))

    def lose_connection(self, connection: Connection, status: str, at: datetime) -> bool:
        """Mark the connection lost, unless it is no longer the one that failed. True where this call did it."""
        return self._update(
            {"pk": f"connection#{connection.company}", "sk": "connection"},
            "SET #status = :status, lost_at = :at",
            Attr("status").eq("connected")
            & Attr("client_id").eq(connection.client_id)
            & Attr("organisation_id").eq(connection.organisation_id),
            {":status": status, ":at": stamp(at)},
            names={"#status": "status"},
        )

    def _update(
        self,
        key: Item,
        expression: str,
        condition: ConditionBase,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> bool:
        """Update on condition; False where the condition does not hold."""
        request: Item = {"Key": key, "UpdateExpression": expression, "ConditionExpression": condition}
        if values:
            request["ExpressionAttributeValues"] = dict(values)
        if names:
            request["ExpressionAttributeNames"] = dict(names)
        try:
            _once_free(self._table.update_item, **request)
        except ClientError as error:
            if _refused_for(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def restore_connection(self, connection: Connection) -> bool:
        """Lift `wrong_credentials`. True where this call did it."""
        return self._update(
            {"pk": f"connection#{connection.company}", "sk": "connection"},
            "SET #status = :status REMOVE lost_at",
            Attr("status").eq("wrong_credentials")
            & Attr("client_id").eq(connection.client_id)
            & Attr("organisation_id").eq(connection.organisation_id),
            {":status": "connected"},
            names={"#status": "status"},
        )

    def note_work(self, company: str, at: datetime) -> None:
        """Orders are being posted through the connection."""
        key = {"pk": f"connection#{company}", "sk": "connection"}
        self._update(key, "SET worked_at = :at", Attr("pk").exists(), {":at": stamp(at)})

    def change_connection(self, before: Connection | None, after: Connection, *others: Item) -> None:
        """Write what a person made of the connection, with other transaction items. Raises Conflict."""
        consented = before is None or before.connected_at != after.connected_at
        if consented:
            # first: a renewal that is under way then finds that it is not its connection any more
            self.plan_renewal(after.company, LONG_AGO)
        fields = _connection_out(after)
        key = {name: fields.pop(name) for name in ("pk", "sk")}
        if not consented:
            # renewals and turns go on writing these
            fields = {name: fields[name] for name in fields.keys() - {"expires_at", "worked_at"}}
        names = {f"#{name}": name for name in fields}
        values = {f":{name}": value for name, value in fields.items()}
        update: Item = {
            "TableName": self._table.name,
            "Key": key,
            "UpdateExpression": "SET "
            + ", ".join(f"#{name} = :{name}" for name in fields)
            + " REMOVE lost_at",
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        if before is not None:
            update["ConditionExpression"] = (
                "#status = :was_status AND client_id = :was_client_id AND organisation_id = :was_organisation_id"
            )
            was = _connection_out(before)
            values |= {f":was_{name}": was[name] for name in ("status", "client_id", "organisation_id")}
        update |= {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
        together(self._client, [{"Update": update}, *others])

    def stop_renewals(self, company: str) -> None:
        """A company without a connection has no tokens to renew; whoever is renewing them now writes nothing more."""
        self._table.update_item(
            Key=_renewal_key(company),
            UpdateExpression="SET fencing = if_not_exists(fencing, :zero) + :one REMOVE agenda, next_at",
            ExpressionAttributeValues={":zero": 0, ":one": 1},
        )

    # who else is there: companies of an organisation, of an app, and whose number prefix is whose

    def joins(self, connection: Connection) -> list[Item]:
        """The transaction items by which other companies find this one."""
        company = {"company": connection.company}
        return [
            self._put({"pk": pk, "sk": f"company#{connection.company}"} | company | about)
            for pk, about in (
                (f"organisation#{connection.organisation_id}", {"client_id": connection.client_id}),
                (f"app#{connection.client_id}", {"organisation_id": connection.organisation_id}),
            )
        ]

    def leaves(self, connection: Connection) -> list[Item]:
        """The transaction items that undo `joins`."""
        sk = f"company#{connection.company}"
        keys = (f"organisation#{connection.organisation_id}", f"app#{connection.client_id}")
        return [{"Delete": {"TableName": self._table.name, "Key": {"pk": pk, "sk": sk}}} for pk in keys]

    def others_of_app(self, connection: Connection) -> dict[str, str]:
        """The other companies here that use the same app → the organisation of each."""
        condition = Key("pk").eq(f"app#{connection.client_id}") & Key("sk").begins_with("company#")
        found = _query(self._table, KeyConditionExpression=condition, ConsistentRead=True)
        return {
            item["company"]: item["organisation_id"]
            for item in found
            if item["company"] != connection.company
        }

    def companies_of(self, lane: Lane) -> list[str]:
        """The companies that take turns in the lane."""
        condition = Key("pk").eq(f"app#{lane.client_id}") & Key("sk").begins_with("company#")
        found = _query(self._table, KeyConditionExpression=condition, ConsistentRead=True)
        return [item["company"] for item in found if item["organisation_id"] == lane.organisation_id]

    def prefix_owner(self, organisation_id: str, prefix: str) -> str | None:
        item = self._get(f"organisation#{organisation_id}", f"prefix#{prefix}")
        return str(item["company"]) if item else None

    def claim_prefix(self, organisation_id: str, prefix: str, company: str) -> Item:
        """The transaction item that makes the prefix the company's; it fails where it is another's.

        A claim is never given up: documents with those numbers are in the books.
        """
        put = self._put(
            {"pk": f"organisation#{organisation_id}", "sk": f"prefix#{prefix}", "company": company}
        )
        put["Put"] |= {
            "ConditionExpression": "attribute_not_exists(pk) OR company = :company",
            "ExpressionAttributeValues": {":company": company},
        }
        return put

    def settle_prefix(self, connection: Connection) -> Item:
        """The transaction item that notes that nobody else has the company's prefix any more."""
        return {
            "Update": {
                "TableName": self._table.name,
                "Key": {"pk": f"connection#{connection.company}", "sk": "connection"},
                "UpdateExpression": "SET prefix_taken_by = :nobody",
                "ConditionExpression": "organisation_id = :here",
                "ExpressionAttributeValues": {":nobody": "", ":here": connection.organisation_id},
            }
        }

    def _put(self, item: Item) -> Item:
        return {"Put": {"TableName": self._table.name, "Item": item}}

    # the company's own app in Xero; its secret is elsewhere

    def app(self, company: str) -> KnownApp | None:
        item = self._get(f"connection#{company}", "app")
        return KnownApp(item["client_id"], moment(item["secret_set_at"])) if item else None

    def save_app(self, company: str, app: KnownApp, act: Item) -> None:
        item = {"client_id": app.client_id, "secret_set_at": stamp(app.secret_set_at)}
        together(self._client, [self._put({"pk": f"connection#{company}", "sk": "app"} | item), act])

    # what people did

    def act(self, company: str, by: str, what: str, at: datetime, id_: str) -> Item:
        """The transaction item that keeps what a person did to the connection or the app."""
        key = {"pk": f"history#{company}", "sk": f"{stamp(at)}#{id_}"}
        return self._put(key | {"by": by, "what": what, "at": stamp(at)})

    def acts(self, company: str, limit: int) -> list[Act]:
        """What people did last, newest first."""
        answer = self._table.query(
            KeyConditionExpression=Key("pk").eq(f"history#{company}"),
            ScanIndexForward=False,
            Limit=limit,
            ConsistentRead=True,
        )
        return [Act(item["by"], item["what"], moment(item["at"])) for item in answer["Items"]]

    # releases: orders of a company to be freed

    def put_release(self, release: Release) -> Item:
        """The transaction item that has orders freed; the sweep sees to it even if nobody is told."""
        return self._put(_release_out(release))

    def ask_release(self, release: Release) -> None:
        self._table.put_item(Item=_release_out(release))

    def find_release(self, company: str, id_: str) -> Release | None:
        item = self._get(f"release#{company}", id_)
        return _release_in(item) if item else None

    def advance_release(self, before: Release, after: Release) -> bool:
        """Write how far a release has come; False where somebody else brought it further."""
        try:
            self._table.put_item(
                Item=_release_out(after),
                ConditionExpression="step = :step",
                ExpressionAttributeValues={":step": before.step},
            )
        except ClientError as error:
            if _refused_for(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def finish_release(self, release: Release) -> None:
        self._table.delete_item(Key={"pk": f"release#{release.company}", "sk": release.id})

    def releases_due(self, now: datetime) -> list[tuple[str, str]]:
        """Company and id of releases whose time has come. An index: it may lag."""
        due = Key("agenda").eq("release") & Key("next_at").lte(stamp(now))
        found = _query(self._table, IndexName="agenda", KeyConditionExpression=due)
        return [(item["pk"].removeprefix("release#"), item["sk"]) for item in found]

    # renewals of tokens: a row beside each connection says when its tokens are due, and who is renewing them

    def plan_renewal(self, company: str, at: datetime) -> None:
        """Have the company's tokens looked at then. Whoever is renewing them now may not judge the connection."""
        self._table.update_item(
            Key=_renewal_key(company),
            UpdateExpression="SET agenda = :renewal, next_at = :at, fencing = if_not_exists(fencing, :zero) + :one",
            ExpressionAttributeValues={":renewal": "renewal", ":at": stamp(at), ":zero": 0, ":one": 1},
        )

    def take_renewal(self, company: str, now: datetime, lease: timedelta) -> Renewal | None:
        """Be the only one to renew the company's tokens until the lease ends; None where it is not the time."""
        try:
            answer = self._table.update_item(
                Key=_renewal_key(company),
                UpdateExpression=(
                    "SET lease_until = :until, agenda = :unsettled, next_at = :until,"
                    " fencing = if_not_exists(fencing, :zero) + :one,"
                    " unsettled = if_not_exists(unsettled, :zero) + :one REMOVE rest_until"
                ),
                ConditionExpression=(Attr("lease_until").not_exists() | Attr("lease_until").lt(stamp(now)))
                & (Attr("rest_until").not_exists() | Attr("rest_until").lte(stamp(now))),
                ExpressionAttributeValues={
                    ":until": stamp(now + lease),
                    ":unsettled": "unsettled",
                    ":zero": 0,
                    ":one": 1,
                },
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if _refused_for(error) == "ConditionalCheckFailedException":
                return None
            raise
        return Renewal(
            company, int(answer["Attributes"]["fencing"]), int(answer["Attributes"]["unsettled"]) > 1
        )

    def settle_renewal(self, renewal: Renewal, next_at: datetime | None) -> bool:
        """Let it go, all done, until `next_at`; None: until somebody plans it."""
        settled = "REMOVE lease_until, unsettled"
        expression, values = f"{settled}, agenda, next_at", {}
        if next_at is not None:
            expression = f"SET agenda = :renewal, next_at = :next {settled}"
            values = {":renewal": "renewal", ":next": stamp(next_at)}
        return self._update(
            _renewal_key(renewal.company), expression, Attr("fencing").eq(renewal.fencing), values
        )

    def put_off_renewal(self, renewal: Renewal, until: datetime) -> bool:
        """Let it go unsettled; nobody takes it before then."""
        return self._update(
            _renewal_key(renewal.company),
            "SET next_at = :until, rest_until = :until REMOVE lease_until",
            Attr("fencing").eq(renewal.fencing),
            {":until": stamp(until)},
        )

    def being_renewed(self, company: str, now: datetime) -> bool:
        item = self._get(*_renewal_key(company).values())
        return item is not None and "lease_until" in item and moment(item["lease_until"]) >= now

    def renewals_due(self, now: datetime) -> list[str]:
        """Companies whose tokens are to be looked at, the longest due first. An index: it may lag.

        Before all others: those with a renewal that has not come to its end. Xero's half hour may be running.
        """
        found = [
            item["pk"].removeprefix("connection#")
            for agenda in ("unsettled", "renewal")
            for item in _query(
                self._table,
                IndexName="agenda",
                KeyConditionExpression=Key("agenda").eq(agenda) & Key("next_at").lte(stamp(now)),
            )
        ]
        return list(dict.fromkeys(found))

    def lose_renewed(
        self, renewal: Renewal, connection: Connection, status: str, at: datetime
    ) -> datetime | None:
        """Mark the connection lost, and since when it is; None where it isn't, another status being in force.

        Raises Lost where the company has been connected again since the renewal began.
        """
        name = self._table.name
        same = {
            ":connected": "connected",
            ":client": connection.client_id,
            ":organisation": connection.organisation_id,
        }
        check = {
            "TableName": name,
            "Key": _renewal_key(connection.company),
            "ConditionExpression": "fencing = :fencing",
            "ExpressionAttributeValues": {":fencing": renewal.fencing},
        }
        update = {
            "TableName": name,
            "Key": {"pk": f"connection#{connection.company}", "sk": "connection"},
            "UpdateExpression": "SET #status = :status, lost_at = :at",
            "ConditionExpression": (
                "#status = :connected AND client_id = :client AND organisation_id = :organisation"
            ),
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {":status": status, ":at": stamp(at), **same},
        }
        try:
            transact(self._client, [{"ConditionCheck": check}, {"Update": update}])
        except Conflict:
            item = self._get(f"connection#{connection.company}", "connection")
            lost = item is not None and item["status"] == status and "lost_at" in item
            return moment(item["lost_at"]) if item is not None and lost else None
        return at

    # lanes

    def ring(self, lane: str, now: datetime) -> bool:
        """Ask for a turn. True where nobody had asked since the lane was last taken: then a wake-up must be sent."""
        return self._update(
            _lane_key(lane),
            "SET rung = :rung, rung_at = :now",
            Attr("rung").not_exists(),
            {":rung": "rung", ":now": stamp(now)},
        )

    def take(self, lane: str, now: datetime, lease: timedelta, *, short: bool = False) -> Lane | None:
        """Hold the lane until the lease ends; None where somebody else does. Clears `rung`.

        A `short` turn does not take a lane that waits for a long one.
        """
        free: ConditionBase = Attr("lease_until").not_exists() | Attr("lease_until").lt(stamp(now))
        try:
            answer = _once_free(
                self._table.update_item,
                Key=_lane_key(lane),
                UpdateExpression=(
                    "SET lease_until = :until, agenda = :lane, next_at = :until,"
                    " fencing = if_not_exists(fencing, :zero) + :one REMOVE rung, rung_at, last_look"
                ),
                ConditionExpression=free & Attr("backlog").not_exists() if short else free,
                ExpressionAttributeValues={
                    ":until": stamp(now + lease),
                    ":lane": "lane",
                    ":zero": 0,
                    ":one": 1,
                },
                ReturnValues="ALL_OLD",
            )
        except ClientError as error:
            if _refused_for(error) == "ConditionalCheckFailedException":
                return None
            raise
        item = answer.get("Attributes", {})
        return Lane(
            lane,
            int(item.get("fencing", 0)) + 1,
            tuple(moment(at) for at in item.get("calls", [])),
            int(item.get("stumbles", 0)),
            item.get("pause", ""),
            moment(item["paused_until"]) if "paused_until" in item else LONG_AGO,
            last_look="last_look" in item and "rung" not in item,
        )

    def long_turn_overdue(self, lane: str, now: datetime) -> bool:
        """Whether the lane waits for a long turn that should have begun."""
        item = self._get(f"lane#{lane}", "lane")
        return item is not None and "backlog" in item and _to_wake(item, now)

    def keep(self, lane: Lane, now: datetime, lease: timedelta, calls: Sequence[datetime]) -> bool:
        """Renew the lease and clear `rung`. True where the lane had been rung. Raises Lost."""
        key, mine = _lane_key(lane.key), Attr("fencing").eq(lane.fencing)
        try:
            answer = _once_free(
                self._table.update_item,
                Key=key,
                UpdateExpression="SET lease_until = :until, next_at = :until, calls = :calls",
                ConditionExpression=mine,
                ExpressionAttributeValues={
                    ":until": stamp(now + lease),
                    ":calls": [stamp(at) for at in calls],
                },
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if _refused_for(error) == "ConditionalCheckFailedException":
                raise Lost from error
            raise
        if "rung" not in answer["Attributes"]:
            return False
        # apart from the reading: a library that repeats a write whose answer was lost would find it cleared
        if not self._update(key, "REMOVE rung, rung_at", mine, {}):
            raise Lost
        return True

    def release(
        self,
        lane: Lane,
        *,
        next_at: datetime | None,
        calls: Sequence[datetime],
        though_rung: bool,
        last_look: bool = False,
        backlog: bool = False,
    ) -> bool:
        """Let the lane go, with its pause. False where it was rung meanwhile (unless `though_rung`): look again.

        `last_look` says what `next_at` is for; `backlog`, that a long turn is to come. Raises Lost.
        """
        condition: ConditionBase = Attr("fencing").eq(lane.fencing)
        if not though_rung:
            condition = condition & Attr("rung").not_exists()
        expression = "SET calls = :calls, stumbles = :stumbles, pause = :pause, paused_until = :paused_until"
        values: Item = {
            ":calls": [stamp(at) for at in calls],
            ":stumbles": lane.stumbles,
            ":pause": lane.pause,
            ":paused_until": stamp(lane.paused_until),
        }
        if next_at is None:
            expression += " REMOVE lease_until, agenda, next_at"
        else:
            expression += ", agenda = :lane, next_at = :next"
            values |= {":lane": "lane", ":next": stamp(next_at)}
            if last_look:
                expression += ", last_look = :true"
                values[":true"] = True
            if backlog:
                expression += ", backlog = :true"
                values[":true"] = True
            expression += " REMOVE lease_until"
        if not backlog:
            expression += ", backlog"
        if self._update(_lane_key(lane.key), expression, condition, values):
            return True
        item = self._get(f"lane#{lane.key}", "lane")
        if item is None or int(item["fencing"]) != lane.fencing:
            raise Lost
        return False

    def lane_paused(self, lane: str) -> tuple[str, datetime] | None:
        """Why the lane's orders wait, and until when; None where nothing ever held them up."""
        item = self._get(f"lane#{lane}", "lane")
        return (item["pause"], moment(item["paused_until"])) if item and item.get("pause") else None

    def lanes_to_wake(self, now: datetime) -> list[str]:
        """Lanes whose time has come, or that were rung and have no live holder. Indexes: they may lag."""
        due = Key("agenda").eq("lane") & Key("next_at").lte(stamp(now))
        found = list(_query(self._table, IndexName="agenda", KeyConditionExpression=due))
        found += _query(self._table, IndexName="rung", KeyConditionExpression=Key("rung").eq("rung"))
        keys = list({item["pk"]: {"pk": item["pk"], "sk": item["sk"]} for item in found}.values())
        lanes = read_all(self._resource, self._table.name, keys)
        return [item["pk"].removeprefix("lane#") for item in lanes if _to_wake(item, now)]

    # batch records

    def batches(self, lane: str) -> list[Batch]:
        """The lane's unsettled batches, oldest first."""
        condition = Key("pk").eq(f"lane#{lane}") & Key("sk").begins_with("batch#")
        items = _query(self._table, KeyConditionExpression=condition, ConsistentRead=True)
        return sorted((_batch_in(item) for item in items), key=lambda batch: (batch.first_sent_at, batch.id))

    def put_batch(self, batch: Batch) -> Item:
        """The transaction item that writes the batch record down."""
        return {"Put": {"TableName": self._table.name, "Item": _batch_out(batch)}}

    def update_batch(self, batch: Batch, lane: Lane) -> None:
        transact(self._client, [held(self._table.name, lane), self.put_batch(batch)])

    def delete_batch(self, batch: Batch, lane: Lane) -> None:
        key = {"pk": f"lane#{batch.lane}", "sk": f"batch#{batch.id}"}
        delete = {"Delete": {"TableName": self._table.name, "Key": key}}
        transact(self._client, [held(self._table.name, lane), delete])

    # what is known of an organisation

    def organisation(self, organisation_id: str) -> tuple[Organisation, datetime] | None:
        item = self._get(f"organisation#{organisation_id}", "facts")
        return (Organisation.from_json(item["facts"]), moment(item["read_at"])) if item else None

    def save_organisation(self, organisation: Organisation, read_at: datetime) -> None:
        item = {"facts": organisation.to_json(), "read_at": stamp(read_at)}
        self._table.put_item(Item={"pk": f"organisation#{organisation.id}", "sk": "facts"} | item)

    def forget_organisation(self, organisation_id: str) -> None:
        self._table.delete_item(Key={"pk": f"organisation#{organisation_id}", "sk": "facts"})

    def contact(self, organisation_id: str, name: str) -> Contact | None:
        item = self._get(f"organisation#{organisation_id}", _contact_key(name))
        return Contact(item["id"], item["name"], item["status"]) if item else None

    def save_contact(self, organisation_id: str, name: str, contact: Contact) -> None:
        key = {"pk": f"organisation#{organisation_id}", "sk": _contact_key(name)}
        self._table.put_item(Item=key | {"id": contact.id, "name": contact.name, "status": contact.status})

    def forget_contact(self, organisation_id: str, name: str) -> None:
        self._table.delete_item(Key={"pk": f"organisation#{organisation_id}", "sk": _contact_key(name)})

    def items(self, organisation_id: str, codes: Iterable[str]) -> dict[str, bool]:
        """Item codes known to exist → whether the item is tracked."""
        pk = f"organisation#{organisation_id}"
        keys = [{"pk": pk, "sk": f"item#{code}"} for code in dict.fromkeys(codes)]
        found = read_all(self._resource, self._table.name, keys)
        return {item["sk"].removeprefix("item#"): item["tracked"] for item in found}

    def save_items(self, organisation_id: str, items: Mapping[str, bool]) -> None:
        with self._table.batch_writer() as writer:
            for code, tracked in items.items():
                key = {"pk": f"organisation#{organisation_id}", "sk": f"item#{code}"}
                writer.put_item(Item=key | {"tracked": tracked})

    def forget_items(self, organisation_id: str, codes: Iterable[str]) -> None:
        with self._table.batch_writer() as writer:
            for code in codes:
                writer.delete_item(Key={"pk": f"organisation#{organisation_id}", "sk": f"item#{code}"})


def _connection_out(connection: Connection) -> Item:
    moments = {
        "expires_at": connection.expires_at,
        "worked_at": connection.worked_at,
        "connected_at": connection.connected_at,
    }
    return {
        "pk": f"connection#{connection.company}",
        "sk": "connection",
        "client_id": connection.client_id,
        "organisation_id": connection.organisation_id,
        "organisation_name": connection.organisation_name,
        "status": connection.status,
        "scopes": list(connection.scopes),
        "connection_id": connection.connection_id,
        "previous_organisation_id": connection.previous_organisation_id,
        "previous_organisation_name": connection.previous_organisation_name,
        "choices": [vars(choice) for choice in connection.choices],
        "connected_by": connection.connected_by,
        "prefix_taken_by": connection.prefix_taken_by,
        **{name: stamp(at) for name, at in moments.items() if at},
    }


def _release_out(release: Release) -> Item:
    return {
        **vars(release),
        "pk": f"release#{release.company}",
        "sk": release.id,
        "agenda": "release",
        "asked_at": stamp(release.asked_at),
        "next_at": stamp(release.next_at),
        "shelves": list(release.shelves),
        "lanes": list(release.lanes),
        "hand": list(release.hand),
    }


def _release_in(item: Mapping[str, Any]) -> Release:
    return Release(
        company=item["company"],
        id=item["id"],
        asked_at=moment(item["asked_at"]),
        next_at=moment(item["next_at"]),
        shelves=tuple(item["shelves"]),
        lanes=tuple(item["lanes"]),
        by=item["by"],
        before_version=int(item["before_version"]),
        items_as_they_are=item["items_as_they_are"],
        event=item["event"],
        looks_left=int(item["looks_left"]),
        shelf=int(item["shelf"]),
        after=item["after"],
        hand=tuple(item["hand"]),
        step=int(item["step"]),
    )


def _contact_key(name: str) -> str:
    return f"contact#{' '.join(name.split()).casefold()}"


def _to_wake(item: Item, now: datetime) -> bool:
    held_until = moment(item["lease_until"]) if "lease_until" in item else LONG_AGO
    if held_until >= now:
        return False
    return ("rung" in item and "backlog" not in item) or (
        "next_at" in item and moment(item["next_at"]) <= now
    )


def _batch_out(batch: Batch) -> Item:
    moments = {
        "first_sent_at": batch.first_sent_at,
        "unknown_at": batch.unknown_at,
        "settle_at": batch.settle_at,
    }
    return {
        **vars(batch),
        "pk": f"lane#{batch.lane}",
        "sk": f"batch#{batch.id}",
        "documents": [vars(planned) for planned in batch.documents],
        **{name: at and stamp(at) for name, at in moments.items()},
    }


def _batch_in(item: Item) -> Batch:
    return Batch(
        id=item["id"],
        lane=item["lane"],
        organisation_id=item["organisation_id"],
        company=item["company"],
        kind=item["kind"],
        idempotency_key=item["idempotency_key"],
        body_hash=item["body_hash"],
        first_sent_at=moment(item["first_sent_at"]),
        documents=tuple(Planned(**planned) for planned in item["documents"]),
        unknown_at=moment(item["unknown_at"]) if item["unknown_at"] else None,
        settle_at=moment(item["settle_at"]) if item["settle_at"] else None,
        tries=int(item["tries"]),
        timed_out=int(item["timed_out"]),
        by_number=item["by_number"],
    )


# --- AuthorizationsTable ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """A connect that a person began, and that only they can finish, in the browser they began it in."""

    person: Person
    session_hash: str
    client_id: str
    redirect_uri: str
    expires_at: datetime


class AuthorizationsTable:
    """What works once or for a while: launch tokens, sessions, OAuth states. Each by the hash of what a browser holds.

    DynamoDB removes expired rows some time after; until then their expiry is looked at.
    """

    def __init__(self, resource: Any, name: str) -> None:
        self._table = resource.Table(name)

    def open_session(self, launch: Launch, session: Session) -> bool:
        """Use the launch token up and open its session; False where the token was used before."""
        used = {"pk": f"launch#{launch.once}", "expires": _epoch(launch.expires_at + timedelta(hours=1))}
        try:
            self._table.put_item(Item=used, ConditionExpression="attribute_not_exists(pk)")
        except ClientError as error:
            if _refused_for(error) == "ConditionalCheckFailedException":
                return False
            raise
        item = {"pk": f"session#{session.id_hash}", **vars(session.person)}
        self._table.put_item(Item=item | _until(session.expires_at))
        return True

    def session(self, id_hash: str) -> Session | None:
        item = self._table.get_item(Key={"pk": f"session#{id_hash}"}, ConsistentRead=True).get("Item")
        return Session(_person(item), id_hash, moment(item["expires_at"])) if item else None

    def begin(self, state_hash: str, attempt: Attempt) -> None:
        item = {
            "pk": f"state#{state_hash}",
            **vars(attempt.person),
            "session_hash": attempt.session_hash,
            "client_id": attempt.client_id,
            "redirect_uri": attempt.redirect_uri,
        }
        condition = "attribute_not_exists(pk)"
        self._table.put_item(Item=item | _until(attempt.expires_at), ConditionExpression=condition)

    def finish(self, state_hash: str, session: Session, company: str, now: datetime) -> Attempt | Outcome:
        """Use the state up, in one write; or why it can't be used by this person, in this browser, for this company."""
        key = {"pk": f"state#{state_hash}"}
        condition = (
            Attr("session_hash").eq(session.id_hash)
            & Attr("user").eq(session.person.user)
            & Attr("company").eq(company)
            & Attr("expires_at").gt(stamp(now))
            & Attr("used_at").not_exists()
        )
        try:
            item = self._table.update_item(
                Key=key,
                UpdateExpression="SET used_at = :now",
                ConditionExpression=condition,
                ExpressionAttributeValues={":now": stamp(now)},
                ReturnValues="ALL_NEW",
            )["Attributes"]
        except ClientError as error:
            if _refused_for(error) != "ConditionalCheckFailedException":
                raise
            item = self._table.get_item(Key=key, ConsistentRead=True).get("Item")
            return _why_unusable(item, session, company)
        expires_at = moment(item["expires_at"])
        return Attempt(
            _person(item), item["session_hash"], item["client_id"], item["redirect_uri"], expires_at
        )


def _why_unusable(item: Item | None, session: Session, company: str) -> Outcome:
    if item is None or item["company"] != company:
        return "state_invalid"
    if (item["session_hash"], item["user"]) != (session.id_hash, session.person.user):
        return "other_person"
    return "state_used" if "used_at" in item else "state_expired"


def _person(item: Mapping[str, Any]) -> Person:
    return Person(item["user"], item["name"], item["company"])


def _epoch(at: datetime) -> int:
    return int(at.timestamp())


def _until(expires_at: datetime) -> Item:
    """The moment after which a row counts no more, and some time later is removed."""
    return {"expires_at": stamp(expires_at), "expires": _epoch(expires_at + timedelta(hours=1))}

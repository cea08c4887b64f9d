"""Connections, in the ConnectionsTable: a company's organisation, its app, and the renewal of its tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

from bookkeeping.adapters.tables.dynamodb import (
    Item,
    put,
    query,
    read,
    read_all,
    refused_for,
    together,
    transact,
    update_if,
)
from bookkeeping.adapters.tables.lanes import Lane
from bookkeeping.adapters.tables.pauses import pause_in, pause_key
from bookkeeping.domain.connection import Choice, Connection
from bookkeeping.domain.errors import Conflict, PrefixTaken
from bookkeeping.domain.ledger import Act, Pause
from bookkeeping.domain.moments import LONG_AGO, moment, stamp
from bookkeeping.domain.stored import Stored


@dataclass(frozen=True)
class KnownApp(Stored):
    """The parts of a company's Xero app that may be shown."""

    client_id: str
    secret_set_at: datetime


@dataclass(frozen=True)
class Renewal:
    """A lease on the renewal of a company's tokens."""

    company: str
    fencing: int
    unsettled: bool = False
    """An earlier holder did not finish. Xero may have used up the refresh token, and accepts it 30 minutes more."""


class ConnectionsTable:
    """Connections, renewals of their tokens, what companies share, and the history of people's actions."""

    def __init__(self, resource: Any, name: str) -> None:
        self._resource = resource
        self._client = resource.meta.client
        self._table = resource.Table(name)

    def connection(self, company: str) -> Connection | None:
        item = read(self._table, **_connection_key(company))
        return _connection_in(item, company) if item else None

    def connection_and_pause(self, company: str) -> tuple[Connection | None, Pause | None]:
        """The company's connection, and whether its posting is paused, in one request."""
        connection, pause = _connection_key(company), pause_key(company)
        found = {item["pk"]: item for item in read_all(self._resource, self._table.name, [connection, pause])}
        item = found.get(connection["pk"])
        return (
            _connection_in(item, company) if item else None,
            pause_in(found.get(pause["pk"], {}), company),
        )

    def save_connection(self, connection: Connection) -> None:
        # first, so that a renewal under way finds that the connection has changed
        self.plan_renewal(connection.company, LONG_AGO)
        self._table.put_item(Item=_connection_out(connection))

    def lose_connection(self, connection: Connection, status: str, at: datetime) -> bool:
        """Mark the connection lost, if it is still the one that failed. True if this call changed it."""
        change, values = "SET #status = :status, lost_at = :at", {":status": status, ":at": stamp(at)}
        return self._change_while("connected", connection, change, values)

    def restore_connection(self, connection: Connection) -> bool:
        """Change the status from `wrong_credentials` to `connected`. True if this call changed it."""
        change = "SET #status = :connected REMOVE lost_at"
        return self._change_while("wrong_credentials", connection, change, {":connected": "connected"})

    def note_ended(self, connection: Connection) -> bool:
        """Note that the access has ended in Xero. False if the company was connected again meanwhile."""
        return self._change_while(
            "disconnected", connection, "SET to_end_at_xero = :nothing", {":nothing": []}
        )

    def _change_while(self, status: str, connection: Connection, change: str, values: Item) -> bool:
        """Change the row if it still holds this connection in that status. True if it did."""
        still, its_own = _still(connection)
        return update_if(
            self._table,
            _connection_key(connection.company),
            change,
            f"#status = :was AND {still}",
            {":was": status, **values, **its_own},
            names={"#status": "status"},
        )

    def note_work(self, company: str, at: datetime) -> None:
        """Orders are being posted through the connection."""
        key = _connection_key(company)
        update_if(self._table, key, "SET worked_at = :at", Attr("pk").exists(), {":at": stamp(at)})

    def change_connection(self, before: Connection | None, after: Connection, *others: Item) -> None:
        """Write a person's change to the connection, with other transaction items. Raises Conflict."""
        fields = _connection_out(replace(after, unknown={}))
        key = {name: fields.pop(name) for name in ("pk", "sk")}
        # posting may write it at the same time
        fields.pop("worked_at", None)
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
            still, was = _still(before)
            as_out = "(attribute_not_exists(taken_out) OR taken_out = :was_taken_out)"
            update["ConditionExpression"] = f"#status = :was AND {still} AND {as_out}"
            values |= {":was": before.status, ":was_taken_out": before.taken_out, **was}
        update |= {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
        together(self._client, [{"Update": update}, *others])

    # renewals of tokens: a row beside each connection says when its tokens are due, and who is renewing them

    def plan_renewal(self, company: str, at: datetime, expires_at: datetime | None = None) -> None:
        """Plan the next check of the company's tokens. A renewal that is under way then loses its lease.

        `expires_at` is that of new tokens.
        """
        self._table.update_item(**_planned(company, at, expires_at))

    def renewal_now(self, company: str) -> Item:
        """The transaction item that plans a renewal for now."""
        return {"Update": {"TableName": self._table.name, **_planned(company, LONG_AGO)}}

    def tokens_expire_at(self, company: str) -> datetime | None:
        """When the company's access token expires, if it was ever renewed."""
        item = read(self._table, **_renewal_key(company))
        return moment(item["expires_at"]) if item and "expires_at" in item else None

    def take_renewal(self, company: str, now: datetime, lease: timedelta) -> Renewal | None:
        """Take the lease on the company's renewal; None if another process has it, or if it was put off."""
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
            if refused_for(error) == "ConditionalCheckFailedException":
                return None
            raise
        return Renewal(
            company, int(answer["Attributes"]["fencing"]), int(answer["Attributes"]["unsettled"]) > 1
        )

    def settle_renewal(
        self, renewal: Renewal, next_at: datetime | None, expires_at: datetime | None = None
    ) -> bool:
        """Finish the renewal and give the lease up. The next check is at `next_at`; None: not before it is planned.

        `expires_at` is that of the tokens.
        """
        sets = {} if next_at is None else {"agenda": "renewal", "next_at": stamp(next_at)}
        if expires_at is not None:
            sets["expires_at"] = stamp(expires_at)
        gone = [name for name in ("lease_until", "unsettled", "agenda", "next_at") if name not in sets]
        expression = f"REMOVE {', '.join(gone)}"
        if sets:
            expression += " SET " + ", ".join(f"{name} = :{name}" for name in sets)
        return update_if(
            self._table,
            _renewal_key(renewal.company),
            expression,
            Attr("fencing").eq(renewal.fencing),
            {f":{name}": value for name, value in sets.items()},
        )

    def put_off_renewal(self, renewal: Renewal, until: datetime) -> bool:
        """Give the lease up with the renewal unfinished. Nobody takes it before `until`."""
        return update_if(
            self._table,
            _renewal_key(renewal.company),
            "SET next_at = :until, rest_until = :until REMOVE lease_until",
            Attr("fencing").eq(renewal.fencing),
            {":until": stamp(until)},
        )

    def being_renewed(self, company: str, now: datetime) -> bool:
        item = read(self._table, **_renewal_key(company))
        return item is not None and "lease_until" in item and moment(item["lease_until"]) >= now

    def renewals_due(self, now: datetime) -> list[str]:
        """Companies whose tokens are due for a check, the longest due first. Read from an index, which may lag.

        Companies with an unfinished renewal come first: Xero may accept their refresh token for only 30 minutes more.
        """
        found = [
            item["pk"].removeprefix("connection#")
            for agenda in ("unsettled", "renewal")
            for item in query(
                self._table,
                IndexName="agenda",
                KeyConditionExpression=Key("agenda").eq(agenda) & Key("next_at").lte(stamp(now)),
            )
        ]
        return list(dict.fromkeys(found))

    def take_tick(self, now: datetime, lease: timedelta) -> bool:
        """Begin a tick of renewals; False if an earlier one is at it."""
        return update_if(
            self._table,
            _TICK,
            "SET lease_until = :until",
            Attr("lease_until").not_exists() | Attr("lease_until").lte(stamp(now)),
            {":until": stamp(now + lease)},
        )

    def end_tick(self, now: datetime, lease: timedelta) -> None:
        """End the tick that was begun then, if no other has begun."""
        mine = Attr("lease_until").eq(stamp(now + lease))
        update_if(self._table, _TICK, "REMOVE lease_until", mine, {})

    def lose_renewed(
        self, renewal: Renewal, connection: Connection, status: str, at: datetime
    ) -> datetime | None:
        """Mark the connection lost; returns since when it is lost. None if another status is in force.

        Raises Lost if the company was connected again since the renewal began.
        """
        name = self._table.name
        still, same = _still(connection)
        check = {
            "TableName": name,
            "Key": _renewal_key(connection.company),
            "ConditionExpression": "fencing = :fencing",
            "ExpressionAttributeValues": {":fencing": renewal.fencing},
        }
        update = {
            "TableName": name,
            "Key": _connection_key(connection.company),
            "UpdateExpression": "SET #status = :status, lost_at = :at",
            "ConditionExpression": f"#status = :connected AND {still}",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {
                ":status": status,
                ":at": stamp(at),
                ":connected": "connected",
                **same,
            },
        }
        try:
            transact(self._client, [{"ConditionCheck": check}, {"Update": update}])
        except Conflict:
            item = read(self._table, **_connection_key(connection.company))
            lost = item is not None and item["status"] == status and "lost_at" in item
            return moment(item["lost_at"]) if item is not None and lost else None
        return at

    # what companies share: an organisation, an app, and the number prefixes in an organisation

    def joins(self, connection: Connection) -> list[Item]:
        """The transaction items that list this company under its organisation and its app."""
        rows = (
            (f"organisation#{connection.organisation_id}", "client_id", connection.client_id),
            (f"app#{connection.client_id}", "organisation_id", connection.organisation_id),
        )
        return [
            {
                "Update": {
                    "TableName": self._table.name,
                    "Key": {"pk": pk, "sk": f"company#{connection.company}"},
                    "UpdateExpression": f"SET company = :company, {name} = :{name}",
                    "ExpressionAttributeValues": {":company": connection.company, f":{name}": value},
                }
            }
            for pk, name, value in rows
        ]

    def leaves(self, connection: Connection) -> list[Item]:
        """The transaction items that undo `joins`."""
        sk = f"company#{connection.company}"
        keys = (f"organisation#{connection.organisation_id}", f"app#{connection.client_id}")
        return [{"Delete": {"TableName": self._table.name, "Key": {"pk": pk, "sk": sk}}} for pk in keys]

    def others_of_app(self, connection: Connection) -> list[Connection]:
        """The connections of the other companies that use the same app."""
        condition = Key("pk").eq(f"app#{connection.client_id}") & Key("sk").begins_with("company#")
        found = query(self._table, KeyConditionExpression=condition, ConsistentRead=True)
        others = [self.connection(item["company"]) for item in found if item["company"] != connection.company]
        return [
            other
            for other in others
            if other is not None
            and (other.client_id, other.status == "disconnected") == (connection.client_id, False)
        ]

    def companies_of(self, lane: Lane) -> list[str]:
        """The companies that post in the lane."""
        condition = Key("pk").eq(f"app#{lane.client_id}") & Key("sk").begins_with("company#")
        found = query(self._table, KeyConditionExpression=condition, ConsistentRead=True)
        return [item["company"] for item in found if item["organisation_id"] == lane.organisation_id]

    def prefixes(self, organisation_id: str) -> dict[str, str]:
        """Every number prefix of the organisation, and whose it is."""
        condition = Key("pk").eq(f"organisation#{organisation_id}") & Key("sk").begins_with("prefix#")
        found = query(self._table, KeyConditionExpression=condition, ConsistentRead=True)
        return {item["sk"].removeprefix("prefix#"): item["company"] for item in found}

    def claim_prefix(self, connection: Connection, prefix: str) -> Item:
        """The transaction item that gives the prefix to the company in its organisation.

        Raises PrefixTaken if another company has it; the item fails if one takes it meanwhile. A company keeps its
        prefix for ever, because documents with those numbers are in the books.
        """
        company = connection.company
        key = {"pk": f"organisation#{connection.organisation_id}", "sk": f"prefix#{prefix}"}
        item = read(self._table, **key)
        if item is not None and item["company"] != company:
            raise PrefixTaken(str(item["company"]))
        claim = put(self._table, {**(item or {}), **key, "company": company})
        claim["Put"] |= {
            "ConditionExpression": "attribute_not_exists(pk) OR company = :company",
            "ExpressionAttributeValues": {":company": company},
        }
        return claim

    def settle_prefix(self, connection: Connection) -> Item:
        """The transaction item that notes that no other company has the company's prefix any more."""
        return {
            "Update": {
                "TableName": self._table.name,
                "Key": _connection_key(connection.company),
                "UpdateExpression": "SET prefix_taken_by = :nobody",
                "ConditionExpression": "organisation_id = :here",
                "ExpressionAttributeValues": {":nobody": "", ":here": connection.organisation_id},
            }
        }

    # the company's own app in Xero; its secret is in Secrets Manager

    def app(self, company: str) -> KnownApp | None:
        item = read(self._table, pk=f"connection#{company}", sk="app")
        return KnownApp.restored(item, ("pk", "sk"), secret_set_at=moment) if item else None

    def save_app(self, company: str, app: KnownApp, act: Item) -> None:
        item = app.to_store(pk=f"connection#{company}", sk="app", secret_set_at=stamp(app.secret_set_at))
        together(self._client, [put(self._table, item), act])

    # history

    def act(self, company: str, by: str, what: str, at: datetime, id_: str) -> Item:
        """The transaction item that records a person's change to the connection or the app."""
        key = {"pk": f"history#{company}", "sk": f"{stamp(at)}#{id_}"}
        return put(self._table, key | {"by": by, "what": what, "at": stamp(at)})

    def note_act(self, company: str, by: str, what: str, at: datetime, id_: str) -> None:
        """Record what whoever runs the integration did for the company."""
        self._table.put_item(Item=self.act(company, by, what, at, id_)["Put"]["Item"])

    def acts(self, company: str, limit: int) -> list[Act]:
        """The last changes by people, newest first."""
        answer = self._table.query(
            KeyConditionExpression=Key("pk").eq(f"history#{company}"),
            ScanIndexForward=False,
            Limit=limit,
            ConsistentRead=True,
        )
        return [Act(item["by"], item["what"], moment(item["at"])) for item in answer["Items"]]


# --- rows


_TICK: Final = {"pk": "renewals", "sk": "tick"}


def _connection_key(company: str) -> Item:
    return {"pk": f"connection#{company}", "sk": "connection"}


def _renewal_key(company: str) -> Item:
    return {"pk": f"connection#{company}", "sk": "renewal"}


def _planned(company: str, at: datetime, expires_at: datetime | None = None) -> Item:
    expires = {":expires": stamp(expires_at)} if expires_at else {}
    return {
        "Key": _renewal_key(company),
        "UpdateExpression": (
            "SET agenda = :renewal, next_at = :at, fencing = if_not_exists(fencing, :zero) + :one"
            + (", expires_at = :expires" if expires else "")
        ),
        "ExpressionAttributeValues": {
            ":renewal": "renewal",
            ":at": stamp(at),
            ":zero": 0,
            ":one": 1,
            **expires,
        },
    }


def _still(connection: Connection) -> tuple[str, Item]:
    """The condition (with its values) that the row still has the same consent and organisation as when it was read."""
    same = "client_id = :same_app AND organisation_id = :same_organisation"
    values: Item = {":same_app": connection.client_id, ":same_organisation": connection.organisation_id}
    if connection.connected_at is None:
        return f"{same} AND attribute_not_exists(connected_at)", values
    return f"{same} AND connected_at = :same_consent", values | {
        ":same_consent": stamp(connection.connected_at)
    }


def _connection_in(item: Item, company: str) -> Connection:
    return Connection.restored(
        {"company": company, **item},
        ("pk", "sk", "lost_at"),
        scopes=tuple,
        worked_at=moment,
        choices=_choices_in,
        to_end_at_xero=_choices_in,
        connected_at=moment,
    )


def _connection_out(connection: Connection) -> Item:
    moments = {"worked_at": connection.worked_at, "connected_at": connection.connected_at}
    item = connection.to_store(
        **_connection_key(connection.company),
        scopes=list(connection.scopes),
        choices=[choice.to_store() for choice in connection.choices],
        to_end_at_xero=[choice.to_store() for choice in connection.to_end_at_xero],
        **{name: at and stamp(at) for name, at in moments.items()},
    )
    # the key says the company
    left_out = {"company", *(name for name, at in moments.items() if at is None)}
    return {name: value for name, value in item.items() if name not in left_out}


def _choices_in(kept: Any) -> tuple[Choice, ...]:
    return tuple(map(Choice.restored, kept))

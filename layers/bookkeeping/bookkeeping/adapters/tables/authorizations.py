"""The AuthorizationsTable: launch tokens, sessions, OAuth states, links in mails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ClientError

from bookkeeping.adapters.tables.dynamodb import Item, cancelled_for, once_free, read, refused_for, scan
from bookkeeping.domain.mail import Link
from bookkeeping.domain.moments import moment, stamp
from bookkeeping.domain.oauth import ConnectResult
from bookkeeping.domain.page_access import Launch, Person, Session


@dataclass(frozen=True)
class Attempt:
    """An attempt to connect. Only the person who began it can finish it, in the same browser."""

    person: Person
    session_hash: str
    client_id: str
    redirect_uri: str
    expires_at: datetime


class AuthorizationsTable:
    """Launch tokens and OAuth states, which work once, and sessions. Each key is the hash of what the browser holds.

    A row for each person and company holds the hash of their session, of which there is one at a time.
    DynamoDB removes expired rows late, so their expiry is also checked.
    """

    def __init__(self, resource: Any, name: str) -> None:
        self._table = resource.Table(name)
        self._client = resource.meta.client

    def open_session(self, launch: Launch, session: Session) -> bool:
        """Use the launch token up, open its session, and end the person's former one, all in one write.

        False if the token was used before.
        """
        used = {"pk": f"launch#{launch.once}", "expires": _epoch(launch.expires_at + timedelta(hours=1))}
        opened = {"pk": _session_key(session.id_hash), **vars(session.person)} | _until(session.expires_at)
        person = {"pk": f"person#{session.person.company}#{session.person.user}"}
        current = person | {"session_hash": session.id_hash} | _until(session.expires_at)
        while True:
            former = read(self._table, **person)
            unchanged: Item = {"ConditionExpression": "attribute_not_exists(pk)"}
            # a newer version of this code may keep more in the row
            current = {**(former or {}), **current}
            ended: list[Item] = []
            if former:
                unchanged = {
                    "ConditionExpression": "session_hash = :former",
                    "ExpressionAttributeValues": {":former": former["session_hash"]},
                }
                key = {"pk": _session_key(former["session_hash"])}
                ended = [{"Delete": {"TableName": self._table.name, "Key": key}}]
            writes = [
                self._put(used, ConditionExpression="attribute_not_exists(pk)"),
                self._put(opened),
                self._put(current, **unchanged),
                *ended,
            ]
            try:
                once_free(self._client.transact_write_items, TransactItems=writes)
            except ClientError as error:
                refused = "ConditionalCheckFailed"
                cancelled = cancelled_for(error)
                if cancelled[:1] == [refused]:
                    return False
                if refused not in cancelled:
                    raise
                # the same person launched once more meanwhile
                continue
            return True

    def _put(self, item: Item, **condition: Any) -> Item:
        return {"Put": {"TableName": self._table.name, "Item": item, **condition}}

    def end_session(self, id_hash: str) -> None:
        self._table.delete_item(Key={"pk": _session_key(id_hash)})

    def end_all_sessions(self) -> int:
        """End everybody's session; how many. Reads the whole table, whose rows live an hour or two."""
        request: Item = {
            "FilterExpression": Attr("pk").begins_with(_session_key("")),
            "ProjectionExpression": "pk",
            "ConsistentRead": True,
        }
        ended = 0
        with self._table.batch_writer() as batch:
            for item in scan(self._table, **request):
                batch.delete_item(Key=item)
                ended += 1
        return ended

    def session(self, id_hash: str) -> Session | None:
        item = read(self._table, pk=_session_key(id_hash))
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

    def finish(
        self, state_hash: str, session: Session, company: str, now: datetime
    ) -> Attempt | ConnectResult:
        """Use the state up in one write. Returns the attempt, or why this person, browser or company can't use it."""
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
            if refused_for(error) != "ConditionalCheckFailedException":
                raise
            item = read(self._table, **key)
            return _why_unusable(item, session, company)
        expires_at = moment(item["expires_at"])
        return Attempt(
            _person(item), item["session_hash"], item["client_id"], item["redirect_uri"], expires_at
        )

    # links in mails, which who reads the mail may follow without a session

    def keep_link(self, link_hash: str, link: Link) -> None:
        item = {
            "pk": f"mail_link#{link_hash}",
            "company": link.company,
            "address": link.address,
            "kind": link.kind,
        }
        asked = {"asked_at": stamp(link.asked_at)} if link.asked_at else {}
        self._table.put_item(Item=item | asked | _until(link.expires_at))

    def link(self, link_hash: str) -> Link | None:
        item = read(self._table, pk=f"mail_link#{link_hash}")
        if item is None:
            return None
        asked_at = moment(item["asked_at"]) if "asked_at" in item else None
        return Link(item["kind"], item["company"], item["address"], moment(item["expires_at"]), asked_at)


def _why_unusable(item: Item | None, session: Session, company: str) -> ConnectResult:
    if item is None or item["company"] != company:
        return "state_invalid"
    if (item["session_hash"], item["user"]) != (session.id_hash, session.person.user):
        return "other_person"
    return "state_used" if "used_at" in item else "state_expired"


def _session_key(id_hash: str) -> str:
    return f"session#{id_hash}"


def _person(item: Mapping[str, Any]) -> Person:
    return Person(
        item["user"],
        item["name"],
        item["company"],
        item.get("company_name", ""),
        item.get("may_credit", False),
    )


def _epoch(at: datetime) -> int:
    return int(at.timestamp())


def _until(expires_at: datetime) -> Item:
    """The attributes for a row's expiry, and for its removal an hour later."""
    return {"expires_at": stamp(expires_at), "expires": _epoch(expires_at + timedelta(hours=1))}

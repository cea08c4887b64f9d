"""What is kept for mails, in the ConnectionsTable: a company's addresses, and when to look at it next.

Every write is an update: it changes only what it names, and on condition of what was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from boto3.dynamodb.conditions import Key

from bookkeeping.adapters.tables.dynamodb import Item, query, update_if
from bookkeeping.domain.mail import Address, AddressStatus, Plan
from bookkeeping.domain.moments import moment, stamp

AGENDA: Final = "mail"
_PLAN: Final = "plan"
_ADDRESS: Final = "address#"
_ONE_MORE: Final = "revision = if_not_exists(revision, :none) + :one"
_PLANNED: Final = {":mail": AGENDA, ":none": 0, ":one": 1}


class Mails:
    """A company's addresses, and its place on the agenda of mails."""

    def __init__(self, resource: Any, name: str) -> None:
        self._table = resource.Table(name)

    def read(self, company: str) -> tuple[Plan, dict[str, Address]]:
        """When to look next, and the addresses, each under its own name in small letters."""
        plan, addresses = Plan(company), dict[str, Address]()
        key = Key("pk").eq(_pk(company))
        for item in query(self._table, KeyConditionExpression=key, ConsistentRead=True):
            if item["sk"] == _PLAN:
                plan = _plan_in(item, company)
            elif item["sk"].startswith(_ADDRESS):
                address = _address_in(item, company)
                addresses[address.address.casefold()] = address
        return plan, addresses

    def due(self, now: datetime, limit: int) -> list[str]:
        """Companies to look at, the longest due first. An index: it may lag behind the rows."""
        answer = self._table.query(
            IndexName="agenda",
            KeyConditionExpression=Key("agenda").eq(AGENDA) & Key("next_at").lte(stamp(now)),
            Limit=limit,
        )
        return [item["pk"].removeprefix("mail#") for item in answer["Items"]]

    # the plan

    def planned(self, company: str, now: datetime) -> Item:
        """The transaction item that has the company looked at now."""
        return {
            "Update": {
                "TableName": self._table.name,
                "Key": _plan_key(company),
                "UpdateExpression": f"SET agenda = :mail, next_at = :at, {_ONE_MORE}",
                "ExpressionAttributeValues": {**_PLANNED, ":at": stamp(now)},
            }
        }

    def look_at(self, company: str, at: datetime, **heard: str | datetime) -> None:
        """Have the company looked at then, or before. `heard` are fields of its plan."""
        marks = {name: stamp(it) if isinstance(it, datetime) else it for name, it in heard.items()}
        values = {**_PLANNED, **{f":{name}": it for name, it in marks.items()}}
        set_ = ", ".join([_ONE_MORE, *(f"{name} = :{name}" for name in marks)])
        sooner = update_if(
            self._table,
            _plan_key(company),
            f"SET agenda = :mail, next_at = :at, {set_}",
            "attribute_not_exists(next_at) OR next_at > :at",
            {**values, ":at": stamp(at)},
        )
        if not sooner:
            del values[":mail"]
            # also then: a look that is under way must see that there is something new
            update_if(self._table, _plan_key(company), f"SET {set_}", "attribute_exists(pk)", values)

    def looked(self, seen: Plan, next_at: datetime | None) -> bool:
        """Plan the next look. False if there was a reason to look since: then the company stays due."""
        values: Item = {":seen": seen.revision}
        change = "REMOVE agenda, next_at"
        if next_at is not None:
            change, values = "SET next_at = :at", {**values, ":at": stamp(next_at)}
        return update_if(self._table, _plan_key(seen.company), change, "revision = :seen", values)

    def put_off(self, company: str, until: datetime) -> None:
        """Look at the company no sooner, whatever comes."""
        update_if(
            self._table,
            _plan_key(company),
            "SET next_at = :at",
            "attribute_exists(next_at)",
            {":at": stamp(until)},
        )

    # addresses

    def begin(self, seen: Address, now: datetime, *, asks: bool) -> bool:
        """Begin a mail to an address, or the one that asks to confirm it; False if somebody else does or did."""
        sets, values = "begun_at = :now", {":now": stamp(now)}
        if asks:
            sets += ", asked_at = :now, #status = :status, address = :address"
            values |= {":address": seen.address}
        return self._change(seen, f"SET {sets}", **values)

    def sent(self, begun: Address, now: datetime, covered_to: datetime) -> None:
        """The mail that was begun then was taken, with all that came until `covered_to`."""
        change = "SET covered_to = :to REMOVE failed_at"
        update_if(
            self._table,
            _address_key(begun),
            change,
            "begun_at = :now",
            {":now": stamp(now), ":to": stamp(covered_to)},
        )

    def asked(self, begun: Address, now: datetime) -> None:
        """The mail that asks to confirm the address, begun then, was taken."""
        update_if(
            self._table,
            _address_key(begun),
            "SET #status = :asked REMOVE failed_at",
            # it may be confirmed already
            "begun_at = :now AND #status = :new",
            {":now": stamp(now), ":asked": "asked", ":new": "new"},
            {"#status": "status"},
        )

    def refused(self, before: Address, now: datetime) -> None:
        """The mail that was begun then was not sent. `before`: the address as it was before."""
        values = {":now": stamp(now)}
        if before.begun_at is None:
            change = "SET failed_at = :now REMOVE begun_at"
        else:
            change, values = (
                "SET failed_at = :now, begun_at = :before",
                {**values, ":before": stamp(before.begun_at)},
            )
        update_if(self._table, _address_key(before), change, "begun_at = :now", values)

    def change(self, company: str, address: str, to: AddressStatus, now: datetime) -> bool:
        """Change an address's status; False if there is no such address."""
        return update_if(
            self._table,
            _address_key(Address(company, address)),
            "SET #status = :to, changed_at = :now REMOVE failed_at",
            "attribute_exists(pk)",
            {":to": to, ":now": stamp(now)},
            {"#status": "status"},
        )

    def confirm(self, company: str, address: str, asked_at: datetime, now: datetime) -> bool:
        """Confirm an address that waits for it, by the mail that was begun then. Other mails may begin at once."""
        return update_if(
            self._table,
            _address_key(Address(company, address)),
            "SET #status = :confirmed, changed_at = :now REMOVE begun_at, failed_at",
            "asked_at = :asked_at AND (#status = :new OR #status = :asked)",
            {
                ":confirmed": "confirmed",
                ":now": stamp(now),
                ":asked_at": stamp(asked_at),
                ":new": "new",
                ":asked": "asked",
            },
            {"#status": "status"},
        )

    def forget(self, address: Address) -> None:
        self._table.delete_item(Key=_address_key(address))

    def _change(self, seen: Address, change: str, **values: Any) -> bool:
        """Change an address's row if it is still as it was read."""
        now = seen.begun_at
        condition = "attribute_not_exists(begun_at)" if now is None else "begun_at = :before"
        if now is not None:
            values[":before"] = stamp(now)
        # a row that is not there yet has no status
        condition += " AND (attribute_not_exists(#status) OR #status = :status)"
        values[":status"] = seen.status
        return update_if(self._table, _address_key(seen), change, condition, values, {"#status": "status"})


# --- rows


def _pk(company: str) -> str:
    return f"mail#{company}"


def _plan_key(company: str) -> Item:
    return {"pk": _pk(company), "sk": _PLAN}


def _address_key(address: Address) -> Item:
    return {"pk": _pk(address.company), "sk": f"{_ADDRESS}{address.address.casefold()}"}


def _plan_in(item: Mapping[str, Any], company: str) -> Plan:
    at = dict.fromkeys(("next_at", "lost_at", "differs_at"), moment)
    return Plan.restored({"company": company, **item}, ("pk", "sk", "agenda"), revision=int, **at)


def _address_in(item: Mapping[str, Any], company: str) -> Address:
    at = dict.fromkeys(("changed_at", "asked_at", "begun_at", "covered_to", "failed_at"), moment)
    return Address.restored({"company": company, **item}, ("pk", "sk"), **at)

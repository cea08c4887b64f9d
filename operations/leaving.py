"""Takes a company out of the integration, lets it come back, and erases what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from boto3.dynamodb.conditions import Key

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.secrets import AppSecret, TokenSecret
from bookkeeping.adapters.tables.dynamodb import query
from bookkeeping.domain.connection import Connection
from bookkeeping.domain.ledger import State
from bookkeeping.use_cases import connect
from operations.stack import Stack

WORDS: Final[Mapping[str, str]] = {
    "ended": "Xero was told, and has ended the access.",
    "shared": "Another company uses the same Xero app there, so only this company's access was forgotten.",
    "left": "Xero takes this app's access no more, so it could not be told. The app may still be listed in Xero.",
}
NOT_YET: Final = "Xero has not confirmed it yet; it is asked again by itself until it does."


AT_A_TIME: Final = 1000
INDEX_LAGS: Final = 10.0
"""Seconds: longer than an index lags."""


class NotYet(Exception):
    """What is kept can't be erased yet. The message says why, and when to try again."""


def take_out(stack: Stack, company: str) -> str:
    """Disconnect the company and skip its orders from now on. What became of its access in Xero, as in WORDS."""
    if not connect.take_out(stack.adapters, stack.person(company)):
        return "nothing"
    return str(stack.adapters.ask(company, "disconnect").get("ended", "not_yet"))


def bring_back(stack: Stack, company: str) -> bool:
    return connect.bring_back(stack.adapters, stack.person(company))


def erase(
    stack: Stack, company: str, *, left: bool = False, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Erase what is kept of a company that was taken out; how many rows and secrets. Raises NotYet.

    Its number prefixes stay reserved, for documents with these numbers are in the books. `left`: its access in Xero
    can't be ended any more. The command can be given again until the connection's row is gone, which goes last.
    """
    connection = stack.adapters.connections.connection(company)
    if connection is None or not connection.taken_out:
        raise NotYet(f"Take company {company} out first.")
    if connection.to_end_at_xero and not left:
        raise NotYet(
            "Xero has not confirmed the end of the access, and the tokens are needed for that. It is asked again by"
            " itself: give the command again in an hour, with another file."
        )
    under_way = stack.adapters.orders.in_list(company, State.QUEUED, "", AT_A_TIME)
    # one that can't be read is not just being skipped, and it was exported as it is stored
    readable = stack.adapters.orders.get_many(
        under_way, lambda item: contained(item["company"], item["order_id"])
    )
    if any(entry.state is State.QUEUED for entry in readable):
        raise NotYet(
            "Its last orders are just being skipped: give the command again in a minute, with another file."
        )
    settings, connections = (
        stack.dynamodb.Table(stack.outputs[name]) for name in ("SettingsTable", "ConnectionsTable")
    )
    # first, because without settings no message of the company gets a row any more
    erased = _delete(settings, _keys(settings, ("company", "version"), Key("company").eq(company)))
    erased += _erase_orders(stack, company, sleep)
    stack.pauses.remove(company)
    erased += _erase_secrets(stack, company)
    erased += _delete(connections, _shared(stack, connections, connection))
    own = [Key("pk").eq(f"{kind}#{company}") for kind in ("history", "release", "mail", "connection")]
    return erased + _delete(
        connections, [key for one in own for key in _keys(connections, ("pk", "sk"), one)]
    )


def _shared(stack: Stack, connections: Any, connection: Connection) -> list[dict[str, str]]:
    """The rows of the company's lane and organisation: all if nobody else is there, else the company's own."""
    company, lane = connection.company, f"lane#{connection.lane}"
    batches = [batch for batch in stack.adapters.lanes.batches(connection.lane) if batch.company == company]
    here = _keys(connections, ("pk", "sk"), Key("pk").eq(f"organisation#{connection.organisation_id}"))
    if any(row["sk"].startswith("company#") for row in here):
        # what the last book match saw may name its documents; the next one writes it anew
        parts = Key("pk").eq(lane) & Key("sk").begins_with("match-findings#")
        return [
            *({"pk": lane, "sk": f"batch#{batch.id}"} for batch in batches),
            {"pk": lane, "sk": f"match-result#{company}"},
            *_keys(connections, ("pk", "sk"), parts),
        ]
    facts = [row for row in here if not row["sk"].startswith("prefix#")]
    return [*_keys(connections, ("pk", "sk"), Key("pk").eq(lane)), *facts]


def _erase_orders(stack: Stack, company: str, sleep: Callable[[float], None]) -> int:
    table, seen = stack.dynamodb.Table(stack.outputs["OrdersTable"]), set[str]()
    while fresh := [key for key in stack.adapters.orders.keys_of(company) if key not in seen]:
        _delete(table, [{"key": key} for key in fresh])
        seen.update(fresh)
        # the index may not show yet what was written a moment ago
        sleep(INDEX_LAGS)
    return len(seen)


def _keys(table: Any, names: tuple[str, ...], condition: Any) -> list[dict[str, Any]]:
    found = query(table, KeyConditionExpression=condition, ConsistentRead=True)
    return [{name: item[name] for name in names} for item in found]


def _delete(table: Any, keys: list[dict[str, Any]]) -> int:
    with table.batch_writer() as batch:
        for key in keys:
            batch.delete_item(Key=key)
    return len(keys)


def _erase_secrets(stack: Stack, company: str) -> int:
    client, prefix = stack.client("secretsmanager"), stack.outputs["SecretsPrefix"]
    names = [secret(client, prefix).name(company) for secret in (AppSecret, TokenSecret)]
    for name in names:
        # at once, so that the name is free should the company come back; one that is not there is no error
        client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    return len(names)

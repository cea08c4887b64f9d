"""What the tables share: calls to DynamoDB, and what its errors mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from time import sleep
from typing import Any, Final

import boto3
from boto3.dynamodb.conditions import ConditionBase
from boto3.dynamodb.transform import TransformationInjector
from botocore.config import Config
from botocore.exceptions import ClientError

from bookkeeping.domain.errors import (
    Conflict,
    Lost,
)
from bookkeeping.domain.pacing import CALLS_AT_ONCE, LANES_AT_ONCE

Item = dict[str, Any]

BOUNDED: Final = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 4},
    # as many as the threads of order_posting, which has the most: botocore throws other connections away after a call
    max_pool_connections=LANES_AT_ONCE * (1 + 2 * CALLS_AT_ONCE),
)


def dynamodb() -> Any:
    """The tables' resource. Threads may share it."""
    resource = boto3.resource("dynamodb", config=BOUNDED)
    # boto3 numbers the placeholders of a condition with one counter for all requests of a client: two threads would
    # get the same number, and a condition would name another attribute
    handler = {
        "event_name": "before-parameter-build.dynamodb",
        "unique_id": "dynamodb-condition-expression",
    }
    events: Any = resource.meta.client.meta.events
    events.unregister(**handler)
    events.register_first(handler=_spell_conditions, **handler)
    return resource


def _spell_conditions(**request: Any) -> None:
    TransformationInjector().inject_condition_expressions(**request)


# --- reading


def read(table: Any, **key: str) -> Item | None:
    """The item under the key, read consistently."""
    item: Item | None = table.get_item(Key=key, ConsistentRead=True).get("Item")
    return item


def read_all(resource: Any, table: str, keys: Sequence[Mapping[str, str]]) -> Iterator[Item]:
    """The items under the keys, read consistently, in no order. Missing items are left out."""
    for start in range(0, len(keys), 100):
        wanted: Any = {
            table: {"Keys": [dict(key) for key in keys[start : start + 100]], "ConsistentRead": True}
        }
        while wanted:
            answer = resource.batch_get_item(RequestItems=wanted)
            yield from answer["Responses"].get(table, [])
            wanted = answer.get("UnprocessedKeys")


def query(table: Any, **request: Any) -> Iterator[Item]:
    return _pages(table.query, request)


def scan(table: Any, **request: Any) -> Iterator[Item]:
    """Reads the whole table, which only an operator's command may do."""
    return _pages(table.scan, request)


def _pages(read_page: Callable[..., Item], request: Item) -> Iterator[Item]:
    while True:
        answer = read_page(**request)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


# --- writing


def once_free(write: Callable[..., Any], **request: Any) -> Any:
    """Write, and retry while another transaction is writing the same rows."""
    for wait in (0.01, 0.03, 0.1, 0.3):
        try:
            return write(**request)
        except ClientError as error:
            in_the_way = {refused_for(error), *cancelled_for(error)} - {
                "None",
                "TransactionCanceledException",
            }
            if not in_the_way <= {"TransactionConflictException", "TransactionConflict"}:
                raise
        sleep(wait)
    return write(**request)


def update_if(
    table: Any,
    key: Item,
    expression: str,
    condition: ConditionBase | str,
    values: Mapping[str, Any],
    names: Mapping[str, str] | None = None,
) -> bool:
    """Update an item on a condition; False if the condition does not hold."""
    request: Item = {"Key": key, "UpdateExpression": expression, "ConditionExpression": condition}
    if values:
        request["ExpressionAttributeValues"] = dict(values)
    if names:
        request["ExpressionAttributeNames"] = dict(names)
    try:
        once_free(table.update_item, **request)
    except ClientError as error:
        if refused_for(error) == "ConditionalCheckFailedException":
            return False
        raise
    return True


def put(table: Any, item: Item) -> Item:
    """The transaction item that writes the item."""
    return {"Put": {"TableName": table.name, "Item": item}}


def transact(client: Any, items: Sequence[Item]) -> None:
    """All the writes or none. The first item checks the lane: raises Lost if it fails, Conflict if another does."""
    try:
        once_free(client.transact_write_items, TransactItems=list(items))
    except ClientError as error:
        if cancelled_for(error)[:1] == ["ConditionalCheckFailed"]:
            raise Lost from error
        raise conflict(error) from error


def together(client: Any, items: Sequence[Item]) -> None:
    """All the writes or none. Raises Conflict if a condition does not hold."""
    try:
        once_free(client.transact_write_items, TransactItems=list(items))
    except ClientError as error:
        raise conflict(error) from error


def _key(item: Item) -> tuple[str, str]:
    (request,) = item.values()
    key = request.get("Key") or request["Item"]
    return key["pk"], key["sk"]


def without(items: list[Item], others: list[Item]) -> list[Item]:
    """The transaction items whose rows the others do not write."""
    taken = {_key(item) for item in others}
    return [item for item in items if _key(item) not in taken]


def once_each(items: list[Item]) -> list[Item]:
    """The transaction items, each row once, as DynamoDB requires. The last item for a row counts."""
    return list({_key(item): item for item in items}.values())


# --- refusals


def refused_for(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def cancelled_for(error: ClientError) -> list[str]:
    return [str(reason.get("Code", "None")) for reason in error.response.get("CancellationReasons", [])]


def conflict(error: ClientError) -> Exception:
    """Conflict if a row has changed or is being changed, else the error itself."""
    code = refused_for(error)
    if code in ("ConditionalCheckFailedException", "TransactionConflictException"):
        return Conflict(code)
    if code == "TransactionCanceledException":
        reasons = set(cancelled_for(error)) - {"None"}
        if reasons & {"ConditionalCheckFailed", "TransactionConflict"}:
            return Conflict(", ".join(sorted(reasons)))
    return error

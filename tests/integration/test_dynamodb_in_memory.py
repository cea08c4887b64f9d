"""The storms' DynamoDB does what moto's and the local AWS's do: the same calls, the same answers, the same rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError, ParamValidationError

from tests.integration.three_stores import Wrong, held_against, opened
from tests.storms.dynamodb import DynamoDB
from tests.storms.environment import table_properties

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
Call = Callable[[Any], Any]


WRONG: Wrong = {
    "moto": {"test_a_range_that_ends_before_it_begins_is_refused": "it answers with nothing"},
}
"""What each gets wrong. Those tests have to fail there: a store that is mended says so."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "both" in metafunc.fixturenames:
        metafunc.parametrize(
            "both", held_against(WRONG, metafunc.function, "moto", "local AWS"), indirect=True
        )


@pytest.fixture
def both(request: pytest.FixtureRequest) -> Iterator[tuple[Any, DynamoDB]]:
    with opened(request.param, "dynamodb", lambda: request.getfixturevalue("ministack")) as resource:
        yield resource, DynamoDB(lambda: NOON, table_properties())


def test_a_range_that_ends_before_it_begins_is_refused(both: tuple[Any, DynamoDB]) -> None:
    for store in both:
        with pytest.raises(ClientError) as backwards:
            store.Table("OrdersTable").query(
                IndexName="page",
                KeyConditionExpression=Key("company").eq("1") & Key("list_key").between("b", "a"),
            )
        assert backwards.value.response["Error"]["Code"] == "ValidationException"


def test_a_scan_finds_what_its_filter_says(both: tuple[Any, DynamoDB]) -> None:
    found = []
    for store in both:
        table = store.Table("AuthorizationsTable")
        for pk in ("session#a", "session#b", "state#a", "launch#a"):
            table.put_item(Item={"pk": pk, "user": "u"})
        answer = table.scan(
            FilterExpression=Attr("pk").begins_with("session#"),
            ProjectionExpression="pk",
            ConsistentRead=True,
        )
        found.append(sorted(item["pk"] for item in answer["Items"]))
        assert all(item.keys() == {"pk"} for item in answer["Items"])
    assert found == [["session#a", "session#b"]] * 2


def outcome(store: Any, call: Call) -> Any:
    """What the call answered, or what it was refused for.

    Left out: what only a wire has, and where a page ended, which AWS also tells of a page that is the last by chance.
    """
    try:
        answer = call(store)
    except ClientError as error:
        reasons = error.response.get("CancellationReasons")
        return error.response["Error"]["Code"], [reason.get("Code") for reason in reasons or ()]
    kept = ("Item", "Items", "Attributes", "Count", "Responses", "UnprocessedKeys")
    return {name: answer[name] for name in kept if answer.get(name)} if answer else {}


def rows(store: Any, table: str) -> list[Any]:
    if isinstance(store, DynamoDB):
        found = list(store.tables[table].items.values())
    else:
        found = store.Table(table).scan()["Items"]
    return sorted(found, key=str)


def lane(name: str) -> dict[str, str]:
    return {"pk": f"lane#{name}", "sk": "lane"}


def some_call(chance: random.Random) -> Call:
    """A call of a kind the tables' code makes, about few enough rows that they meet."""
    name, number = chance.choice("abc"), chance.randint(1, 4)
    order = {
        "key": f"{name}#{number}",
        "company": name,
        "list_key": f"queued##{chance.randint(1, 9)}",
        "version": number,
    }
    due = (
        {"lane": "L", "due_at": f"2026-11-23T12:00:0{chance.randint(0, 9)}"} if chance.random() < 0.6 else {}
    )
    seen = {":read_at": chance.randint(1, 4)}
    conditional = {"ConditionExpression": "version = :read_at", "ExpressionAttributeValues": seen}
    put: dict[str, Any] = {"Item": order | due} | chance.choice(
        ({}, conditional, {"ConditionExpression": "attribute_not_exists(version)"})
    )
    held = {
        "ConditionCheck": {
            "TableName": "ConnectionsTable",
            "Key": lane(name),
            "ConditionExpression": chance.choice(("fencing = :mine", "attribute_exists(pk)")),
        }
    }
    if "fencing" in held["ConditionCheck"]["ConditionExpression"]:
        held["ConditionCheck"]["ExpressionAttributeValues"] = {":mine": chance.randint(1, 3)}
    free = Attr("lease_until").not_exists() | Attr("lease_until").lt(f"{chance.randint(1, 9)}")
    take: dict[str, Any] = {
        "Key": lane(name),
        "UpdateExpression": (
            "SET lease_until = :until, agenda = :lane, next_at = :until,"
            " fencing = if_not_exists(fencing, :zero) + :one REMOVE rung, rung_at"
        ),
        "ConditionExpression": free,
        "ExpressionAttributeValues": {
            ":until": f"{chance.randint(1, 9)}",
            ":lane": "lane",
            ":zero": 0,
            ":one": 1,
        },
        "ReturnValues": chance.choice(("ALL_OLD", "ALL_NEW", "NONE")),
    }
    ring: dict[str, Any] = {
        "Key": lane(name),
        "UpdateExpression": "SET #rung = :rung, rung_at = if_not_exists(rung_at, :now) ADD rung_for :keys",
        "ConditionExpression": Attr("rung_for").not_exists() | Attr("rung_for").size().lt(3),
        "ExpressionAttributeNames": {"#rung": "rung"},
        "ExpressionAttributeValues": {":rung": "rung", ":now": "5", ":keys": {f"{number}", "*"}},
    }
    release: dict[str, Any] = {
        "Key": lane(name),
        "UpdateExpression": "SET calls = :calls REMOVE lease_until, agenda, next_at",
        "ConditionExpression": Attr("fencing").eq(chance.randint(1, 3)) & Attr("rung").not_exists(),
        "ExpressionAttributeValues": {":calls": ["1", "2"]},
    }
    batch = {
        "Put": {
            "TableName": "ConnectionsTable",
            "Item": {"pk": f"lane#{name}", "sk": f"batch#{number}", "n": None},
        }
    }
    keys = [{"key": f"{one}#{each}"} for one in "abc" for each in chance.sample(range(1, 5), 2)]
    limit = chance.randint(1, 5)
    due_by = Key("lane").eq("L") & Key("due_at").lte(f"2026-11-23T12:00:0{chance.randint(0, 9)}")
    page = Key("company").eq(name) & Key("list_key").between("queued##2", f"queued##{chance.randint(2, 9)}")
    batches = Key("pk").eq(f"lane#{name}") & Key("sk").begins_with("batch#")
    forward = chance.random() < 0.5

    def written(store: Any) -> None:
        with store.Table("ConnectionsTable").batch_writer() as writer:
            for each in range(30):
                writer.put_item(
                    Item={"pk": f"organisation#{name}", "sk": f"item#{each}", "tracked": each % 2 == 0}
                )
            writer.delete_item(Key={"pk": f"organisation#{name}", "sk": f"item#{number + 40}"})

    calls: list[Call] = [
        lambda store: store.Table("OrdersTable").put_item(**put),
        lambda store: store.Table("OrdersTable").get_item(Key={"key": order["key"]}, ConsistentRead=True),
        lambda store: store.Table("ConnectionsTable").update_item(**take),
        lambda store: store.Table("ConnectionsTable").update_item(**ring),
        lambda store: store.Table("ConnectionsTable").update_item(**release),
        lambda store: store.Table("ConnectionsTable").delete_item(
            Key={"pk": f"lane#{name}", "sk": f"batch#{number}"}
        ),
        lambda store: store.meta.client.transact_write_items(
            TransactItems=[held, batch, {"Put": {"TableName": "OrdersTable", **put}}]
        ),
        lambda store: store.Table("OrdersTable").query(
            IndexName="due", KeyConditionExpression=due_by, Limit=limit
        ),
        lambda store: store.Table("OrdersTable").query(
            IndexName="page", KeyConditionExpression=page, ScanIndexForward=forward
        ),
        lambda store: store.Table("OrdersTable").query(
            IndexName="page", KeyConditionExpression=page, Select="COUNT"
        ),
        lambda store: store.Table("ConnectionsTable").query(
            KeyConditionExpression=batches, ConsistentRead=True
        ),
        lambda store: sorted_answer(
            store.batch_get_item(RequestItems={"OrdersTable": {"Keys": keys, "ConsistentRead": True}})
        ),
        written,
    ]
    return chance.choice(calls)


def sorted_answer(answer: Any) -> Any:
    return {
        **answer,
        "Responses": {name: sorted(found, key=str) for name, found in answer["Responses"].items()},
    }


@pytest.mark.parametrize("seed", range(5))
def test_a_chance_sequence_of_calls_has_the_same_answers_and_leaves_the_same_rows(
    both: tuple[Any, DynamoDB], seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(120):
        call = some_call(chance)
        theirs, ours = (outcome(store, call) for store in both)
        assert ours == theirs
    for table in ("OrdersTable", "ConnectionsTable"):
        assert rows(both[1], table) == rows(both[0], table)


def test_a_page_goes_on_where_the_one_before_it_ended(both: tuple[Any, DynamoDB]) -> None:
    for store in both:
        for number in range(7):
            store.Table("OrdersTable").put_item(
                Item={"key": f"a#{number}", "company": "a", "list_key": f"queued##{number // 2}"}
            )
    for forward in (True, False):
        read: list[list[str]] = []
        for store in both:
            request: dict[str, Any] = {
                "IndexName": "page",
                "KeyConditionExpression": Key("company").eq("a") & Key("list_key").begins_with("queued##"),
                "Limit": 3,
                "ScanIndexForward": forward,
            }
            list_keys: list[str] = []
            while True:
                answer = store.Table("OrdersTable").query(**request)
                list_keys += [item["list_key"] for item in answer["Items"]]
                if "LastEvaluatedKey" not in answer:
                    break
                request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
            read.append(list_keys)
        assert read[0] == read[1]
        assert len(read[1]) == 7


@pytest.mark.parametrize("value", [1.5, [1.5], {"a": object()}])
def test_what_boto3_cannot_send_is_refused(both: tuple[Any, DynamoDB], value: Any) -> None:
    for store in both:
        with pytest.raises(TypeError):
            store.Table("OrdersTable").put_item(Item={"key": "a#1", "value": value})


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_of_keys_has_its_bounds(both: tuple[Any, DynamoDB], count: int) -> None:
    wanted: Any = {"OrdersTable": {"Keys": [{"key": f"{n}"} for n in range(count)], "ConsistentRead": True}}
    for store in both:
        with pytest.raises((ClientError, ParamValidationError)):
            store.batch_get_item(RequestItems=wanted)


def test_an_index_shows_changes_late_and_in_their_order() -> None:
    now = [NOON]
    lags = iter((8, 1, 0))
    store = DynamoDB(lambda: now[0], table_properties(), lag=lambda: timedelta(seconds=next(lags, 0)))
    table = store.Table("OrdersTable")

    def due() -> list[str]:
        condition = Key("lane").eq("L") & Key("due_at").lte("9")
        return [
            item["due_at"] for item in table.query(IndexName="due", KeyConditionExpression=condition)["Items"]
        ]

    table.indexes.pop("page")
    table.put_item(Item={"key": "a#1", "lane": "L", "due_at": "1"})
    table.put_item(Item={"key": "a#1", "lane": "L", "due_at": "2"})
    assert due() == []
    now[0] += timedelta(seconds=7)
    assert due() == []
    now[0] += timedelta(seconds=1)
    assert due() == ["2"]
    table.put_item(Item={"key": "a#1"})
    assert due() == []

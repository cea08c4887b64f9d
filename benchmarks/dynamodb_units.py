"""The storms' DynamoDB with a meter: the read and write units that AWS would bill for each call.

The rules: a write unit is 1 KB of the larger of the item before and after. In a transaction each item costs twice that,
and so does an item that is only checked; a call that is refused by a condition costs the same as one that is not. An
index costs a write where an item enters or leaves it or its projected attributes change, and two where its key moves.
A read unit is 4 KB, half of that price where the read is not consistent. A batch rounds each item up by itself, a query
the whole of its page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from botocore.exceptions import ClientError

from tests.storms.dynamodb import DynamoDB, Item, Table

WRITES = ("put_item", "update_item", "delete_item")


def item_size(item: Mapping[str, Any]) -> int:
    """In bytes, as AWS counts them."""
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, Decimal):
        digits = "".join(map(str, value.as_tuple().digits)).strip("0")
        return math.ceil(len(digits) / 2) + 1 + value.is_signed()
    if isinstance(value, dict):
        return 3 + sum(1 + len(name.encode()) + _size(inner) for name, inner in value.items())
    if isinstance(value, list):
        return 3 + sum(1 + _size(inner) for inner in value)
    if isinstance(value, set):
        return sum(map(_size, value))
    return 1


def write_units(*items: Mapping[str, Any] | None) -> int:
    return max(1, *(math.ceil(item_size(item or {}) / 1024) for item in items))


def read_units(size: int) -> int:
    return max(1, math.ceil(size / 4096))


class CountedTable(Table):
    """A table that tells its store what is written."""

    store: CountedDynamoDB

    def __init__(self, store: CountedDynamoDB, name: str, **properties: Any) -> None:
        super().__init__(store, name, **properties)
        self._projections = [
            (index["IndexName"], _projected(self.key, index))
            for index in properties.get("GlobalSecondaryIndexes", ())
        ]

    def put_item(self, Item: Item, **request: Any) -> Item:  # noqa: N803
        self.store.goes_in(Item, request)
        return super().put_item(Item, **request)

    def update_item(self, Key: Item, **request: Any) -> Item:  # noqa: N803
        self.store.goes_in(Key, request)
        return super().update_item(Key, **request)

    def write(self, key: tuple[str, ...], item: Item | None) -> None:
        old = self.items.get(key)
        self.store.count_write(self.name, write_units(old, item))
        for name, projected in self._projections:
            self.store.count_index(
                f"{self.name} index {name}", self._index_writes(projected(old), projected(item))
            )
        super().write(key, item)

    @staticmethod
    def _index_writes(before: tuple[Any, Item] | None, after: tuple[Any, Item] | None) -> int:
        if before == after:
            return 0
        if before is None or after is None:
            return write_units(*(entry[1] for entry in (before, after) if entry))
        if before[0] == after[0]:
            return write_units(before[1], after[1])
        return write_units(before[1]) + write_units(after[1])


def _projected(
    key: Sequence[str], index: Mapping[str, Any]
) -> Callable[[Item | None], tuple[Any, Item] | None]:
    """What an index holds of an item: its key there, and its attributes."""
    own = [part["AttributeName"] for part in index["KeySchema"]]
    kind = index["Projection"]["ProjectionType"]
    names = {*key, *own, *index["Projection"].get("NonKeyAttributes", ())}

    def projected(item: Item | None) -> tuple[Any, Item] | None:
        if item is None or not all(name in item for name in own):
            return None
        held = item if kind == "ALL" else {name: item[name] for name in names if name in item}
        return tuple(item[name] for name in own), dict(held)

    return projected


class CountedDynamoDB(DynamoDB):
    """Tells `spend` of every unit: ("write" or "read", where, how many)."""

    def __init__(self, now: Any, tables: Mapping[str, Mapping[str, Any]], **more: Any) -> None:
        super().__init__(now, tables, **more)
        self.tables = {name: CountedTable(self, name, **properties) for name, properties in tables.items()}
        self.spend: Callable[[str, str, float], None] = lambda kind, where, units: None
        self.goes_in: Callable[..., None] = lambda *values: None
        self.comes_out: Callable[..., None] = lambda *values: None
        """Told of the values that boto3 would have to translate."""
        self._call = ""

    def count_write(self, table: str, units: int) -> None:
        self.spend("write", table, units * (2 if self._call == "transact_write_items" else 1))

    def count_index(self, name: str, units: int) -> None:
        if units:
            self.spend("write", name, units)

    def call(self, call: str, table: str, key: tuple[str, ...], done: Callable[[], Item]) -> Item:
        def counted() -> Item:
            self._call = call
            try:
                answer = done()
            except ClientError as error:
                self._refused(call, table, key, error)
                raise
            self._read(call, table, key, answer)
            return answer

        answer = super().call(call, table, key, counted)
        self.comes_out(answer)
        return answer

    def _refused(self, call: str, table: str, key: tuple[str, ...], error: ClientError) -> None:
        if call in WRITES:
            self.spend("write", table, write_units(self.tables[table].items.get(key)))
        elif call == "transact_write_items":
            self.spend("write", table, 2 * len(error.response.get("CancellationReasons", ())))

    def _read(self, call: str, table: str, key: tuple[str, ...], answer: Item) -> None:
        if call == "get_item":
            self.spend("read", table, read_units(item_size(answer.get("Item", {}))))
        elif call == "batch_get_item":
            for items in answer["Responses"].values():
                self.spend("read", table, sum(read_units(item_size(item)) for item in items))
        elif call == "query":
            size = sum(map(item_size, answer["Items"])) if "Items" in answer else 100 * answer["Count"]
            index = key[0]
            self.spend(
                "read", f"{table} index {index}" if index else table, read_units(size) * (0.5 if index else 1)
            )

    def transact_write_items(self, TransactItems: Sequence[Item]) -> Item:  # noqa: N803
        self.goes_in(TransactItems)
        answer = super().transact_write_items(TransactItems)
        for request in (item["ConditionCheck"] for item in TransactItems if "ConditionCheck" in item):
            table = self.tables[request["TableName"]]
            item = table.items.get(table.key_of("TransactWriteItems", request["Key"]))
            self.spend("write", table.name, 2 * write_units(item))
        return answer

"""DynamoDB in memory: what the tables' code asks of it, as AWS documents it; anything else raises.

Conditions come as text or as boto3's objects, values are copied in and out, numbers become Decimal, floats are
refused. Indexes are read as they stood up to `lag` seconds ago. `before` and `after` are told of every call by its
name and what it is about, and may raise: that is where throttles, lost answers and crashes come from.
`tests/integration/test_dynamodb_in_memory.py` holds it against moto and the local AWS, where they are right.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import random
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder
from boto3.dynamodb.table import BatchWriter
from botocore.exceptions import ClientError

Item = dict[str, Any]
Listener = Callable[[str, str], None]
Value = Callable[[Item, Mapping[str, str], Mapping[str, Any]], Any]

MISSING: Any = object()
OPERATIONS = {
    "put_item": "PutItem",
    "update_item": "UpdateItem",
    "delete_item": "DeleteItem",
    "query": "Query",
}


def nobody(operation: str, about: str) -> None:
    """Nothing happens."""


def refused(operation: str, code: str, message: str = "", **more: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, **more}
    return ClientError(response, operation)


# --- expressions: parsed once, each then a function of (item, names, values)

_TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),+-]|[#:]?\w+)")


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        assert "".join(self._tokens) == "".join(text.split()), f"not understood: {text}"
        self._place = 0

    @property
    def next(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.next
        assert not wanted or token == wanted, f"{wanted} expected, found {token!r} in {self._tokens}"
        self._place += 1
        return token

    def took(self, wanted: str) -> bool:
        found = self.next.upper() == wanted
        self._place += found
        return found

    # conditions

    def condition(self) -> Value:
        sides = [self._both()]
        while self.took("OR"):
            sides.append(self._both())
        return sides[0] if len(sides) == 1 else lambda *about: any(side(*about) for side in sides)

    def _both(self) -> Value:
        sides = [self._single()]
        while self.took("AND"):
            sides.append(self._single())
        return sides[0] if len(sides) == 1 else lambda *about: all(side(*about) for side in sides)

    def _single(self) -> Value:
        if self.took("NOT"):
            inner = self._single()
            return lambda *about: not inner(*about)
        if self.took("("):
            inside = self.condition()
            self.take(")")
            return inside
        if self.next in ("attribute_exists", "attribute_not_exists", "begins_with"):
            return self._function()
        left, operator = self.operand(), self.take()
        right = self.operand()
        if operator.upper() == "BETWEEN":
            assert self.took("AND")
            last = self.operand()
            return lambda *about: (
                _ordered("<=", right(*about), left(*about)) and _ordered("<=", left(*about), last(*about))
            )
        return lambda *about: _compared(operator, left(*about), right(*about))

    def _function(self) -> Value:
        name = self.take()
        self.take("(")
        operand = self.operand()
        if name == "begins_with":
            self.take(",")
            start = self.operand()
            self.take(")")
            return lambda *about: (
                (found := operand(*about)) is not MISSING and found.startswith(start(*about))
            )
        self.take(")")
        there = name == "attribute_exists"
        return lambda *about: (operand(*about) is not MISSING) == there

    def operand(self) -> Value:
        token = self.take()
        if token.startswith(":"):
            return lambda _, __, values: values[token]
        if token == "if_not_exists":
            self.take("(")
            path = self.operand()
            self.take(",")
            default = self.operand()
            self.take(")")
            return lambda *about: default(*about) if (found := path(*about)) is MISSING else found
        if token == "size":
            self.take("(")
            path = self.operand()
            self.take(")")
            return lambda *about: MISSING if (found := path(*about)) is MISSING else Decimal(len(found))
        return lambda item, names, _: item.get(names.get(token, token), MISSING)

    # updates

    def update(self) -> tuple[list[tuple[str, Value]], list[str]]:
        sets: list[tuple[str, Value]] = []
        removes: list[str] = []
        while self.next:
            clause = self.take().upper()
            assert clause in ("SET", "REMOVE", "ADD"), f"not understood: {clause}"
            while True:
                name = self.take()
                if clause == "REMOVE":
                    removes.append(name)
                elif clause == "ADD":
                    sets.append((name, _joined(name, self.operand())))
                else:
                    self.take("=")
                    sets.append((name, self._sum()))
                if self.next != ",":
                    break
                self.take()
        return sets, removes

    def _sum(self) -> Value:
        left = self.operand()
        if self.next not in ("+", "-"):
            return left
        sign = 1 if self.take() == "+" else -1
        right = self.operand()
        return lambda *about: left(*about) + sign * right(*about)


def _joined(name: str, more: Value) -> Value:
    """What a set becomes to which more is added."""

    def joined(item: Item, names: Mapping[str, str], values: Mapping[str, Any]) -> Any:
        added = more(item, names, values)
        assert added, "DynamoDB knows no empty set"
        return set(item.get(names.get(name, name), ())) | added

    return joined


def _compared(operator: str, left: Any, right: Any) -> bool:
    if operator == "=":
        return left is not MISSING and right is not MISSING and bool(left == right)
    if operator == "<>":
        return left is MISSING or bool(left != right)
    return _ordered(operator, left, right)


def _ordered(operator: str, left: Any, right: Any) -> bool:
    if left is MISSING or right is MISSING or isinstance(left, str) != isinstance(right, str):
        return False
    if operator in ("<", "<="):
        return bool(left < right or (operator == "<=" and left == right))
    assert operator in (">", ">="), f"not understood: {operator}"
    return bool(left > right or (operator == ">=" and left == right))


@lru_cache(maxsize=1000)
def _condition(text: str) -> Value:
    parser = _Parser(text)
    found = parser.condition()
    assert not parser.next, f"not understood: {text}"
    return found


@lru_cache(maxsize=1000)
def _update(text: str) -> tuple[list[tuple[str, Value]], list[str]]:
    return _Parser(text).update()


def _spelt(condition: Any, request: Mapping[str, Any], *, is_key: bool = False) -> Item:
    """A condition's text with its names and values, whichever way it came."""
    names = dict(request.get("ExpressionAttributeNames", {}))
    values = {name: stored(value) for name, value in request.get("ExpressionAttributeValues", {}).items()}
    if isinstance(condition, ConditionBase):
        built = ConditionExpressionBuilder().build_expression(condition, is_key_condition=is_key)
        names |= built.attribute_name_placeholders
        values |= {name: stored(value) for name, value in built.attribute_value_placeholders.items()}
        condition = built.condition_expression
    return {"text": condition, "names": names, "values": values}


def stored(value: Any) -> Any:
    """A copy as DynamoDB would keep it. Raises TypeError for what boto3 can't send."""
    if isinstance(value, str | bytes | bool | Decimal) or value is None:
        return value
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, dict):
        return {key: stored(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [stored(inner) for inner in value]
    if isinstance(value, set | frozenset) and value:
        return set(value)
    raise TypeError(f"Unsupported type {type(value)!r} for value {value!r}")


def _size(value: Any) -> int:
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, str):
        return len(value.encode()) if not value.isascii() else len(value)
    if isinstance(value, dict):
        return 3 + sum(len(key) + 1 + _size(inner) for key, inner in value.items())
    if isinstance(value, list):
        return 3 + sum(1 + _size(inner) for inner in value)
    if isinstance(value, set):
        return sum(map(_size, value))
    return 21 if isinstance(value, Decimal) else 1


LARGEST_ITEM = 400 * 1024
LARGEST_TRANSACTION = 4 * 1024 * 1024
LARGEST_PAGE = 1024 * 1024

# --- tables


@dataclass
class Index:
    """A global secondary index, of keys and a few attributes: a row of it follows its item after a while."""

    name: str
    hash: str
    range: str
    projected: Sequence[str] = ()
    """What it holds beside the keys."""
    rows: dict[str, list[tuple[str, tuple[str, ...]]]] = field(default_factory=dict)
    """Hash value → (range value, key of the item), in order."""
    _shown: dict[tuple[str, ...], tuple[str, str, Item]] = field(default_factory=dict)
    _coming: list[tuple[datetime, int, tuple[str, ...], tuple[str, str, Item] | None]] = field(
        default_factory=list
    )
    _last: dict[tuple[str, ...], tuple[datetime, tuple[str, str, Item] | None]] = field(default_factory=dict)
    _count: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> Index:
        first, last = (part["AttributeName"] for part in properties["KeySchema"])
        projected = properties["Projection"].get("NonKeyAttributes", ())
        return cls(properties["IndexName"], first, last, projected)

    def follow(self, key: tuple[str, ...], item: Item | None, now: datetime, lag: timedelta) -> None:
        row = None
        if item is not None and self.hash in item and self.range in item:
            held = {name: item[name] for name in self.projected if name in item}
            row = (item[self.hash], item[self.range], held)
        before = self._last.get(key, (now, self._shown.get(key)))
        if before[1] == row:
            return
        # an item's changes arrive in the order in which they were made
        at = max(now + lag, before[0])
        self._last[key] = (at, row)
        heapq.heappush(self._coming, (at, next(self._count), key, row))

    def at(self, now: datetime, hash_value: str) -> list[tuple[str, tuple[str, ...]]]:
        while self._coming and self._coming[0][0] <= now:
            at, _, key, row = heapq.heappop(self._coming)
            self._show(key, row)
            if self._last.get(key) == (at, row):
                del self._last[key]
        return self.rows.get(hash_value, [])

    def held(self, key: tuple[str, ...]) -> Item:
        """What it holds of an item beside the keys."""
        return self._shown[key][2]

    def _show(self, key: tuple[str, ...], row: tuple[str, str, Item] | None) -> None:
        shown = self._shown.pop(key, None)
        if shown is not None:
            rows = self.rows[shown[0]]
            del rows[bisect.bisect_left(rows, (shown[1], key))]
        if row is not None:
            self._shown[key] = row
            bisect.insort(self.rows.setdefault(row[0], []), (row[1], key))


class Table:
    """One table, under the names `CreateTable` has for its parts."""

    def __init__(
        self,
        store: DynamoDB,
        name: str,
        KeySchema: Sequence[Mapping[str, str]],  # noqa: N803
        GlobalSecondaryIndexes: Sequence[Mapping[str, Any]] = (),  # noqa: N803
        **_: Any,
    ) -> None:
        self.name = self.table_name = name
        self.store = store
        self.key = tuple(part["AttributeName"] for part in KeySchema)
        self.items: dict[tuple[str, ...], Item] = {}
        self._sorted: dict[str, list[str]] = {}
        self.indexes = {index["IndexName"]: Index.of(index) for index in GlobalSecondaryIndexes}

    # what the code calls

    def get_item(self, Key: Mapping[str, str], ConsistentRead: bool = False) -> Item:  # noqa: N803
        assert ConsistentRead, "what is decided upon is read consistently"
        key = self.key_of("GetItem", Key)
        return self.store.call("get_item", self.name, key, lambda: self._got(key))

    def _got(self, key: tuple[str, ...]) -> Item:
        item = self.items.get(key)
        return {} if item is None else {"Item": stored(item)}

    def put_item(self, Item: Item, **request: Any) -> Item:  # noqa: N803
        return self._single("put_item", Item, {"Item": Item, **request})

    def update_item(self, Key: Item, **request: Any) -> Item:  # noqa: N803
        return self._single("update_item", Key, {"Key": Key, **request})

    def delete_item(self, Key: Item, **request: Any) -> Item:  # noqa: N803
        return self._single("delete_item", Key, {"Key": Key, **request})

    def _single(self, call: str, about: Item, request: Item) -> Item:
        kind, operation = call.removesuffix("_item").capitalize(), OPERATIONS[call]
        key = self.key_of(operation, about)

        def done() -> Item:
            old = self.items.get(key)
            if not self.holds(key, request):
                raise refused(operation, "ConditionalCheckFailedException", "The conditional request failed")
            new = self.changed(operation, kind, key, request)
            answer: Item = {}
            if request.get("ReturnValues", "NONE") != "NONE":
                answer = _returned(request["ReturnValues"], old or {}, new or {}, request)
            self.write(key, new)
            return answer

        return self.store.call(call, self.name, key, done)

    def query(self, KeyConditionExpression: Any, **request: Any) -> Item:  # noqa: N803
        known = {
            "IndexName",
            "Limit",
            "ConsistentRead",
            "ExclusiveStartKey",
            "ScanIndexForward",
            "Select",
            "ProjectionExpression",
            "ExpressionAttributeNames",
            "ExpressionAttributeValues",
        }
        assert not set(request) - known, f"not understood: {set(request) - known}"
        spelt = _spelt(KeyConditionExpression, request, is_key=True)
        for first, last in re.findall(r"BETWEEN (:\w+) AND (:\w+)", spelt["text"]):
            if spelt["values"][first] > spelt["values"][last]:
                raise refused("Query", "ValidationException", "BETWEEN takes the lower bound first")
        index = self.indexes[request["IndexName"]] if "IndexName" in request else None
        assert index or request.get("ConsistentRead"), "what is decided upon is read consistently"
        about = request.get("IndexName", "")
        return self.store.call("query", self.name, (about,), lambda: self._queried(index, spelt, request))

    def _queried(self, index: Index | None, spelt: Item, request: Item) -> Item:
        text, names, values = spelt["text"], spelt["names"], spelt["values"]
        hash_name = index.hash if index else self.key[0]
        hash_value = _hash_value(text, names, values, hash_name)
        holds = _condition(text)
        found: list[Item] = []
        for item in self._rows(index, hash_value, forward=request.get("ScanIndexForward", True)):
            if holds(item, names, values):
                found.append(item)
        start = request.get("ExclusiveStartKey")
        if start:
            forward = request.get("ScanIndexForward", True)
            found = [
                item
                for item in found
                if _is_after(self._place(index, item), self._place(index, start), forward)
            ]
        limit = min(request.get("Limit", len(found) + 1), self.store.page(len(found)))
        size = 0
        for place, item in enumerate(found):
            size += _size(item) if index is None else 100
            if size > LARGEST_PAGE:
                limit = min(limit, place + 1)
                break
        answer: Item = {"Count": len(found[:limit])}
        if request.get("Select") != "COUNT":
            wanted = request.get("ProjectionExpression", "").replace(",", " ").split()
            answer["Items"] = [
                {name: kept for name, kept in stored(item).items() if not wanted or name in wanted}
                for item in found[:limit]
            ]
        if len(found) >= limit and found[:limit]:
            last = found[limit - 1]
            parts = (*self.key, index.hash, index.range) if index else self.key
            answer["LastEvaluatedKey"] = {part: last[part] for part in parts}
        return answer

    def scan(self, **request: Any) -> Item:
        known = {"ConsistentRead", "FilterExpression", "ProjectionExpression", "ExclusiveStartKey"}
        assert not set(request) - known, f"not understood: {set(request) - known}"
        return self.store.call("scan", self.name, ("",), lambda: self._scanned(request))

    def _scanned(self, request: Item) -> Item:
        start = request.get("ExclusiveStartKey")
        place = tuple(start[part] for part in self.key) if start else ()
        keys = [key for key in sorted(self.items) if key > place]
        looked_at = keys[: self.store.page(len(keys))]
        spelt = _spelt(request.get("FilterExpression"), request)
        holds = _condition(spelt["text"]) if spelt["text"] else lambda *_: True
        wanted = request.get("ProjectionExpression", "").replace(",", " ").split()
        answer: Item = {
            "Items": [
                {name: kept for name, kept in stored(self.items[key]).items() if not wanted or name in wanted}
                for key in looked_at
                if holds(self.items[key], spelt["names"], spelt["values"])
            ]
        }
        if len(looked_at) < len(keys):
            answer["LastEvaluatedKey"] = dict(zip(self.key, looked_at[-1], strict=True))
        return answer

    def _rows(self, index: Index | None, hash_value: str, *, forward: bool) -> Iterator[Item]:
        if index is None:
            ranges = self._sorted.get(hash_value, [])
            for value in ranges if forward else reversed(ranges):
                yield self.items[hash_value, value] if len(self.key) > 1 else self.items[(hash_value,)]
            return
        rows = index.at(self.store.now(), hash_value)
        for value, key in rows if forward else reversed(rows):
            yield {
                **dict(zip(self.key, key, strict=True)),
                index.hash: hash_value,
                index.range: value,
                **index.held(key),
            }

    def _place(self, index: Index | None, item: Item) -> tuple[str, ...]:
        key = tuple(item[part] for part in self.key)
        return (item[index.range], *key) if index else key

    def batch_writer(self) -> BatchWriter:
        client: Any = self.store
        return BatchWriter(self.name, client)

    # what the store does with it

    def key_of(self, operation: str, item: Mapping[str, Any]) -> tuple[str, ...]:
        key = tuple(item.get(part, "") for part in self.key)
        if not all(isinstance(part, str) and part for part in key):
            raise refused(operation, "ValidationException", f"the key {self.key} is not in {item}")
        return key

    def holds(self, key: tuple[str, ...], request: Mapping[str, Any]) -> bool:
        condition = request.get("ConditionExpression")
        if condition is None:
            return True
        spelt = _spelt(condition, request)
        return bool(_condition(spelt["text"])(self.items.get(key, {}), spelt["names"], spelt["values"]))

    def changed(
        self, operation: str, kind: str, key: tuple[str, ...], request: Mapping[str, Any]
    ) -> Item | None:
        """What the item becomes; None: nothing."""
        if kind == "Delete":
            return None
        if kind == "Put":
            new: Item = stored(request["Item"])
        else:
            names = request.get("ExpressionAttributeNames", {})
            values = {
                name: stored(value) for name, value in request.get("ExpressionAttributeValues", {}).items()
            }
            old = self.items.get(key) or dict(zip(self.key, key, strict=True))
            new = dict(old)
            sets, removes = _update(request["UpdateExpression"])
            for name, value in sets:
                new[names.get(name, name)] = value(old, names, values)
            for name in removes:
                new.pop(names.get(name, name), None)
        for index in self.indexes.values():
            for part in (index.hash, index.range):
                if part in new and not (isinstance(new[part], str) and new[part]):
                    raise refused(operation, "ValidationException", f"{part} of index {index.name}")
        if _size(new) > LARGEST_ITEM:
            raise refused(operation, "ValidationException", "Item size has exceeded the maximum allowed size")
        return new

    def write(self, key: tuple[str, ...], item: Item | None) -> None:
        if item is None:
            if self.items.pop(key, None) is not None:
                ranges = self._sorted[key[0]]
                del ranges[bisect.bisect_left(ranges, key[-1])]
        else:
            if key not in self.items:
                bisect.insort(self._sorted.setdefault(key[0], []), key[-1])
            self.items[key] = item
        for index in self.indexes.values():
            index.follow(key, item, self.store.now(), self.store.lag())


def _is_after(place: tuple[str, ...], start: tuple[str, ...], forward: bool) -> bool:
    return place > start if forward else place < start


def _hash_value(text: str, names: Mapping[str, str], values: Mapping[str, Any], hash_name: str) -> str:
    for name, value in re.findall(r"([#\w]+) = (:\w+)", text):
        if names.get(name, name) == hash_name:
            return str(values[value])
    raise AssertionError(f"no value for {hash_name} in {text}")


def _returned(what: str, old: Item, new: Item, request: Item) -> Item:
    if what in ("ALL_OLD", "ALL_NEW"):
        item = old if what == "ALL_OLD" else new
        return {"Attributes": stored(item)} if item else {}
    sets, removes = _update(request["UpdateExpression"])
    names = request.get("ExpressionAttributeNames", {})
    touched = [names.get(name, name) for name in (*(name for name, _ in sets), *removes)]
    item = {"UPDATED_OLD": old, "UPDATED_NEW": new}[what]
    found = {name: stored(item[name]) for name in touched if name in item}
    return {"Attributes": found} if found else {}


class DynamoDB:
    """The resource and its client in one."""

    def __init__(
        self,
        now: Callable[[], datetime],
        tables: Mapping[str, Mapping[str, Any]],
        *,
        lag: Callable[[], timedelta] = timedelta,
        before: Listener = nobody,
        after: Listener = nobody,
    ) -> None:
        self.now, self.lag = now, lag
        self.before, self.after = before, after
        self.tables = {name: Table(self, name, **properties) for name, properties in tables.items()}
        self.chance: random.Random | None = None
        """Where there is one, pages are cut short and batches done in part, now and then."""
        self.repeats: Callable[[], bool] = lambda: False
        """Whether a call is carried out twice. A transaction has a token, and is not."""
        self.meta = self.client = self
        self._lock = threading.RLock()

    def Table(self, name: str) -> Table:  # noqa: N802
        return self.tables[name]

    def call(self, call: str, table: str, key: tuple[str, ...], done: Callable[[], Item]) -> Item:
        about = f"{table} {'/'.join(key)}"
        self.before(call, about)
        with self._lock:
            answer = done()
            if call != "transact_write_items" and self.repeats():
                # the first answer was lost, and the client library asked again
                answer = done()
        self.after(call, about)
        return answer

    def page(self, found: int) -> int:
        return (
            found + 1
            if self.chance is None or self.chance.random() > 0.02
            else self.chance.randint(1, found + 1)
        )

    def _part(self, requests: list[Any]) -> int:
        if self.chance is None or len(requests) < 2 or self.chance.random() > 0.02:
            return len(requests)
        return self.chance.randint(1, len(requests))

    def batch_get_item(self, RequestItems: Mapping[str, Mapping[str, Any]]) -> Item:  # noqa: N803
        ((name, wanted),) = RequestItems.items()
        table, keys = self.tables[name], wanted["Keys"]
        assert wanted["ConsistentRead"], "what is decided upon is read consistently"
        found = [table.key_of("BatchGetItem", key) for key in keys]
        if not 1 <= len(found) <= 100 or len(set(found)) < len(found):
            raise refused("BatchGetItem", "ValidationException", "1 to 100 keys, each once")

        def done() -> Item:
            now = self._part(keys)
            items = [stored(table.items[key]) for key in found[:now] if key in table.items]
            left = {name: {**wanted, "Keys": keys[now:]}} if now < len(keys) else {}
            return {"Responses": {name: items}, "UnprocessedKeys": left}

        return self.call("batch_get_item", name, found[0], done)

    def batch_write_item(self, RequestItems: Mapping[str, list[Item]]) -> Item:  # noqa: N803
        ((name, requests),) = RequestItems.items()
        table = self.tables[name]
        keys = [table.key_of("BatchWriteItem", _target(_inner(request))) for request in requests]
        if not 1 <= len(keys) <= 25 or len(set(keys)) < len(keys):
            raise refused("BatchWriteItem", "ValidationException", "1 to 25 writes, each of another item")

        def done() -> Item:
            now = self._part(requests)
            for request, key in zip(requests[:now], keys[:now], strict=True):
                kind = "Put" if "PutRequest" in request else "Delete"
                table.write(key, table.changed("BatchWriteItem", kind, key, _inner(request)))
            return {"UnprocessedItems": {name: requests[now:]} if now < len(requests) else {}}

        return self.call("batch_write_item", name, keys[0], done)

    def transact_write_items(self, TransactItems: Sequence[Item]) -> Item:  # noqa: N803
        operation = "TransactWriteItems"
        parts: list[tuple[str, Table, tuple[str, ...], Item]] = []
        for item in TransactItems:
            ((kind, request),) = item.items()
            table = self.tables[request["TableName"]]
            parts.append((kind, table, table.key_of(operation, _target(request)), request))
        if not 1 <= len(parts) <= 100 or len({(table.name, key) for _, table, key, _ in parts}) < len(parts):
            raise refused(operation, "ValidationException", "1 to 100 items, each once")

        def done() -> Item:
            held = [table.holds(key, request) for _, table, key, request in parts]
            if not all(held):
                raise cancelled("None" if one else "ConditionalCheckFailed" for one in held)
            news = [
                (table, key, table.changed(operation, kind, key, request))
                for kind, table, key, request in parts
                if kind != "ConditionCheck"
            ]
            if sum(_size(new) for _, _, new in news if new) > LARGEST_TRANSACTION:
                raise refused(operation, "ValidationException", "4 MB a transaction")
            for table, key, new in news:
                table.write(key, new)
            return {}

        first = parts[0]
        return self.call("transact_write_items", first[1].name, first[2], done)


def cancelled(codes: Iterable[str]) -> ClientError:
    reasons = [{"Code": code} for code in codes]
    return refused("TransactWriteItems", "TransactionCanceledException", CancellationReasons=reasons)


def _inner(request: Item) -> Item:
    ((_, inner),) = request.items()
    return dict(inner)


def _target(request: Item) -> Item:
    return dict(request["Item"] if "Item" in request else request["Key"])

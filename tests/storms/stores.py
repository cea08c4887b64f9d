"""DynamoDB and Secrets Manager in memory, fast enough for a week of refreshes: as AWS documents them, no further.

Only what the connections' rows and secrets need is understood; anything else raises. `before` and `after` are told of
every call by name and secret or key, and may raise: that is where throttles, lost answers and crashes come from.
`tests/integration/test_stores.py` holds both against moto, where moto is right.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from boto3.dynamodb.conditions import ConditionBase
from botocore.exceptions import ClientError

Item = dict[str, Any]
Told = Callable[[str, str], None]

VERSIONS_AT_MOST = 100
VERSION_KEPT_FOR = timedelta(hours=24)


def refused(operation: str, code: str, message: str = "", **more: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, **more}
    return ClientError(response, operation)


def nobody(operation: str, key: str) -> None:
    """Nothing happens."""


# --- Secrets Manager


@dataclass
class _Version:
    id: str
    text: str = field(repr=False)
    created_at: datetime
    stages: set[str] = field(default_factory=set)


class SecretsManager:
    """Every read must name its stage, and a secret holds 100 versions, none of which goes in its first 24 hours."""

    def __init__(self, now: Callable[[], datetime], before: Told = nobody, after: Told = nobody) -> None:
        self._now = now
        self._secrets: dict[str, dict[str, _Version]] = {}
        self._made = 0
        self._lock = threading.RLock()
        self.before, self.after = before, after
        self.staged: dict[str, list[datetime]] = {}
        """When versions were staged, by secret."""

    def get_secret_value(self, SecretId: str, VersionStage: str) -> Item:  # noqa: N803
        self.before("get_secret_value", SecretId)
        with self._lock:
            version = self._at("GetSecretValue", SecretId, VersionStage)
            answer = {"VersionId": version.id, "SecretString": version.text}
        self.after("get_secret_value", SecretId)
        return answer

    def create_secret(self, Name: str, SecretString: str) -> Item:  # noqa: N803
        self.before("create_secret", Name)
        with self._lock:
            if Name in self._secrets:
                raise refused("CreateSecret", "ResourceExistsException")
            self._secrets[Name] = {}
            answer = {"VersionId": self._write(Name, SecretString, self._new_id(), ["AWSCURRENT"])}
        self.after("create_secret", Name)
        return answer

    def put_secret_value(
        self,
        SecretId: str,  # noqa: N803
        SecretString: str,  # noqa: N803
        VersionStages: list[str],  # noqa: N803
        ClientRequestToken: str = "",  # noqa: N803
    ) -> Item:
        self.before("put_secret_value", SecretId)
        with self._lock:
            versions = self._versions("PutSecretValue", SecretId)
            id_ = ClientRequestToken or self._new_id()
            if not 32 <= len(id_) <= 64:
                raise refused("PutSecretValue", "InvalidParameterException", "ClientRequestToken")
            known = versions.get(id_)
            if known is None:
                self._write(SecretId, SecretString, id_, VersionStages)
            elif known.text != SecretString:
                raise refused("PutSecretValue", "ResourceExistsException")
        self.after("put_secret_value", SecretId)
        return {"VersionId": id_}

    def update_secret_version_stage(
        self,
        SecretId: str,  # noqa: N803
        VersionStage: str,  # noqa: N803
        MoveToVersionId: str,  # noqa: N803
        RemoveFromVersionId: str = "",  # noqa: N803
    ) -> Item:
        self.before("update_secret_version_stage", SecretId)
        operation = "UpdateSecretVersionStage"
        with self._lock:
            versions = self._versions(operation, SecretId)
            holder = next((one.id for one in versions.values() if VersionStage in one.stages), "")
            if holder and holder != RemoveFromVersionId:
                raise refused(
                    operation, "InvalidParameterException", "the stage is attached to another version"
                )
            if MoveToVersionId not in versions:
                raise refused(operation, "ResourceNotFoundException")
            self._attach(versions, VersionStage, MoveToVersionId)
        self.after("update_secret_version_stage", SecretId)
        return {}

    def _new_id(self) -> str:
        self._made += 1
        return f"{self._made:036}"

    def _versions(self, operation: str, name: str) -> dict[str, _Version]:
        if name not in self._secrets:
            raise refused(operation, "ResourceNotFoundException", "no such secret")
        return self._secrets[name]

    def _at(self, operation: str, name: str, stage: str) -> _Version:
        for version in self._versions(operation, name).values():
            if stage in version.stages:
                return version
        raise refused(operation, "ResourceNotFoundException", f"no value for staging label: {stage}")

    def _write(self, name: str, text: str, id_: str, stages: list[str]) -> str:
        versions, now = self._secrets[name], self._now()
        old = [one for one in versions.values() if not one.stages and now - one.created_at > VERSION_KEPT_FOR]
        for one in old:
            del versions[one.id]
        if len(versions) >= VERSIONS_AT_MOST:
            raise refused("PutSecretValue", "LimitExceededException")
        versions[id_] = _Version(id_, text, now)
        for stage in stages:
            self._attach(versions, stage, id_)
        if "AWSPENDING" in stages:
            self.staged.setdefault(name, []).append(now)
        return id_

    def _attach(self, versions: dict[str, _Version], stage: str, id_: str) -> None:
        for one in versions.values():
            if stage in one.stages and one.id != id_:
                one.stages.discard(stage)
                if stage == "AWSCURRENT":
                    self._attach(versions, "AWSPREVIOUS", one.id)
        versions[id_].stages.add(stage)
        if stage == "AWSCURRENT":
            versions[id_].stages.discard("AWSPREVIOUS")


# --- DynamoDB

_ASSIGNMENT = re.compile(r"(#?\w+) = (?:if_not_exists\((\w+), (:\w+)\) \+ (:\w+)|(:\w+))(?:, |$)")


class Table:
    """One table: its items by partition and sort key, its indexes always up to date."""

    def __init__(self, name: str, before: Told = nobody, after: Told = nobody) -> None:
        self.name = name
        self.items: dict[tuple[str, str], Item] = {}
        self.lock = threading.RLock()
        self.before, self.after = before, after

    def get_item(self, Key: Mapping[str, str], ConsistentRead: bool) -> Item:  # noqa: N803
        assert ConsistentRead, "what is decided upon is read consistently"
        self.before("get_item", Key["pk"])
        with self.lock:
            item = self.items.get((Key["pk"], Key["sk"]))
            answer = {"Item": dict(item)} if item else {}
        self.after("get_item", Key["pk"])
        return answer

    def put_item(self, Item: Item) -> None:  # noqa: N803
        self.before("put_item", Item["pk"])
        with self.lock:
            self.items[Item["pk"], Item["sk"]] = dict(Item)
        self.after("put_item", Item["pk"])

    def update_item(self, Key: Mapping[str, str], ReturnValues: str = "NONE", **request: Any) -> Item:  # noqa: N803
        assert ReturnValues in ("NONE", "ALL_NEW")
        self.before("update_item", Key["pk"])
        with self.lock:
            if not self.holds(Key, **request):
                raise refused("UpdateItem", "ConditionalCheckFailedException")
            answer = {"Attributes": dict(self.change(Key, **request))}
        self.after("update_item", Key["pk"])
        return answer

    def query(self, IndexName: str, KeyConditionExpression: ConditionBase) -> Item:  # noqa: N803
        self.before("query", IndexName)
        hash_, range_ = {"agenda": ("agenda", "next_at")}[IndexName]
        with self.lock:
            found = [
                item for item in self.items.values() if range_ in item and _true(KeyConditionExpression, item)
            ]
        found.sort(key=lambda item: (item[hash_], item[range_]))
        return {"Items": [{"pk": item["pk"], "sk": item["sk"]} for item in found]}

    def holds(self, Key: Mapping[str, str], ConditionExpression: Any = None, **request: Any) -> bool:  # noqa: N803
        item = self.items.get((Key["pk"], Key["sk"]), {})
        if ConditionExpression is None:
            return True
        if isinstance(ConditionExpression, ConditionBase):
            return _true(ConditionExpression, item)
        names = request.get("ExpressionAttributeNames", {})
        for term in str(ConditionExpression).split(" AND "):
            name, _, value = term.partition(" = ")
            if item.get(names.get(name, name)) != request["ExpressionAttributeValues"][value]:
                return False
        return True

    def change(self, Key: Mapping[str, str], UpdateExpression: str, **request: Any) -> Item:  # noqa: N803
        names = request.get("ExpressionAttributeNames", {})
        values = request.get("ExpressionAttributeValues", {})
        item = self.items.setdefault((Key["pk"], Key["sk"]), dict(Key))
        sets, _, removes = UpdateExpression.partition("REMOVE ")
        done = 0
        sets = sets.removeprefix("SET ").strip()
        before = dict(item)
        for match in _ASSIGNMENT.finditer(sets):
            name, counted, first, step, value = match.groups()
            new = before.get(counted, values.get(first)) + values[step] if counted else values[value]
            item[names.get(name, name)] = new
            done += len(match.group())
        assert done == len(sets), f"not understood: {UpdateExpression}"
        for name in filter(None, removes.split(", ")):
            item.pop(names.get(name, name), None)
        return item


class DynamoDB:
    """The resource, with one table; and its client, for transactions."""

    def __init__(self, before: Told = nobody, after: Told = nobody) -> None:
        self.table = Table("ConnectionsTable", before, after)
        self.meta = self
        self.client = self

    def Table(self, name: str) -> Table:  # noqa: N802
        assert name == self.table.name
        return self.table

    def transact_write_items(self, TransactItems: list[Item]) -> None:  # noqa: N803
        table = self.table
        table.before("transact_write_items", TransactItems[0]["ConditionCheck"]["Key"]["pk"])
        requests = [next(iter(item.items())) for item in TransactItems]
        with table.lock:
            held = [table.holds(**_without_table(request)) for _, request in requests]
            if not all(held):
                reasons = [{"Code": "None" if one else "ConditionalCheckFailed"} for one in held]
                raise refused(
                    "TransactWriteItems", "TransactionCanceledException", CancellationReasons=reasons
                )
            for kind, request in requests:
                if kind == "Update":
                    table.change(**_without_table(request))
        table.after("transact_write_items", TransactItems[0]["ConditionCheck"]["Key"]["pk"])


def _without_table(request: Item) -> Item:
    return {name: value for name, value in request.items() if name != "TableName"}


def _true(condition: Any, item: Item) -> bool:
    expression = condition.get_expression()
    operator, values = expression["operator"], expression["values"]
    if operator in ("AND", "OR"):
        sides = [_true(side, item) for side in values]
        return all(sides) if operator == "AND" else any(sides)
    name = values[0].name
    if operator in ("attribute_exists", "attribute_not_exists"):
        return (name in item) is (operator == "attribute_exists")
    if name not in item:
        return False
    left, right = item[name], values[1]
    return bool({"=": left == right, "<": left < right, "<=": left <= right}[operator])

"""Secrets Manager in memory, fast enough for a week of refreshes: as AWS documents it, no further.

Only what the connections' secrets need is understood. `before` and `after` are told of every call by its name and
secret, and may raise: that is where throttles, lost answers and crashes come from.
`tests/integration/test_stores.py` holds it against moto and the local AWS, where they are right.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.storms.dynamodb import Item, Listener, nobody, refused

VERSIONS_AT_MOST = 100
VERSION_KEPT_FOR = timedelta(hours=24)
WRITES_A_SECOND = 50
"""PutSecretValue and UpdateSecretVersionStage together, for an account and region. AWS does not raise it."""


@dataclass
class _Version:
    id: str
    text: str = field(repr=False)
    created_at: datetime
    stages: set[str] = field(default_factory=set)


class SecretsManager:
    """Every read must name its stage, and a secret holds 100 versions, none of which goes in its first 24 hours."""

    def __init__(
        self, now: Callable[[], datetime], before: Listener = nobody, after: Listener = nobody
    ) -> None:
        self._now = now
        self._secrets: dict[str, dict[str, _Version]] = {}
        self._made = 0
        self._lock = threading.RLock()
        self.before, self.after = before, after
        self.staged: dict[str, list[datetime]] = {}
        """When versions were staged, by secret."""
        self.throttled = 0
        """How often a write was one too many for its second."""
        self._written: deque[datetime] = deque(maxlen=WRITES_A_SECOND)

    def get_secret_value(self, SecretId: str, VersionStage: str = "AWSCURRENT") -> Item:  # noqa: N803
        self.before("get_secret_value", SecretId)
        with self._lock:
            version = self._at("GetSecretValue", SecretId, VersionStage)
            answer = {
                "VersionId": version.id,
                "SecretString": version.text,
                "CreatedDate": version.created_at,
            }
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
        VersionStages: Sequence[str] = ("AWSCURRENT",),  # noqa: N803
        ClientRequestToken: str = "",  # noqa: N803
    ) -> Item:
        self.before("put_secret_value", SecretId)
        with self._lock:
            self._throttle("PutSecretValue")
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

    def delete_secret(self, SecretId: str, *, ForceDeleteWithoutRecovery: bool) -> None:  # noqa: N803
        """Gone at once; AWS takes no offence at one that is not there."""
        assert ForceDeleteWithoutRecovery
        with self._lock:
            self._secrets.pop(SecretId, None)

    def list_secret_version_ids(self, SecretId: str) -> Item:  # noqa: N803
        with self._lock:
            versions = [
                {"VersionId": one.id, "VersionStages": sorted(one.stages), "CreatedDate": one.created_at}
                for one in self._versions("ListSecretVersionIds", SecretId).values()
                if one.stages
            ]
        return {"Versions": versions}

    def update_secret_version_stage(
        self,
        SecretId: str,  # noqa: N803
        VersionStage: str,  # noqa: N803
        MoveToVersionId: str = "",  # noqa: N803
        RemoveFromVersionId: str = "",  # noqa: N803
    ) -> Item:
        self.before("update_secret_version_stage", SecretId)
        operation = "UpdateSecretVersionStage"
        with self._lock:
            self._throttle(operation)
            versions = self._versions(operation, SecretId)
            holder = next((one.id for one in versions.values() if VersionStage in one.stages), "")
            if holder and holder != RemoveFromVersionId:
                raise refused(
                    operation, "InvalidParameterException", "the stage is attached to another version"
                )
            if not MoveToVersionId:
                if not holder:
                    raise refused(operation, "InvalidParameterException", "no version has the stage")
                versions[holder].stages.discard(VersionStage)
            elif MoveToVersionId not in versions:
                raise refused(operation, "ResourceNotFoundException")
            else:
                self._attach(versions, VersionStage, MoveToVersionId)
        self.after("update_secret_version_stage", SecretId)
        return {}

    def _throttle(self, operation: str) -> None:
        now = self._now()
        if len(self._written) == WRITES_A_SECOND and now - self._written[0] < timedelta(seconds=1):
            self.throttled += 1
            raise refused(operation, "ThrottlingException")
        self._written.append(now)

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

    def _write(self, name: str, text: str, id_: str, stages: Sequence[str]) -> str:
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

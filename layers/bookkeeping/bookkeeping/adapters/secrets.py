"""The secrets of a company in Secrets Manager. Their values are never logged or kept in a module.

Every read names its stage. New tokens are first staged (AWSPENDING) and then promoted (AWSCURRENT). A promotion
succeeds only if the version they replace is still current, so it never overwrites a connection made meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bookkeeping.domain.errors import StoreUnavailable
from bookkeeping.domain.stored import Stored

BOUNDED: Final = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 4},
    # as many as the threads of token_refresh, which has the most
    max_pool_connections=32,
)

LAUNCH_KEY_KEPT: Final = timedelta(seconds=20)
"""How long the page believes a launch key that it has read: a rotation holds within so long."""
FORMER_KEY_HOLDS: Final = timedelta(hours=24)
"""How long after a planned rotation the key before it is good as well."""


def secrets_manager() -> Any:
    return boto3.client("secretsmanager", config=BOUNDED)


@dataclass(frozen=True)
class App:
    """A company's own Xero app."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Tokens(Stored):
    """A connection's token set. `generation` counts the refreshes since it was connected."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime
    generation: int


@dataclass(frozen=True)
class Version:
    """Tokens as stored. `replaces` is the version whose refresh token they were issued for."""

    id: str
    tokens: Tokens
    replaces: str = ""


class _Secret:
    """A kind of secret that each company has one of."""

    kind: str

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def name(self, company: str) -> str:
        return f"{self._prefix}/{company}/{self.kind}"

    def _call(self, operation: str, **request: Any) -> Any:
        try:
            return getattr(self._client, operation)(**request)
        except ClientError as error:
            code = str(error.response["Error"]["Code"])
        except BotoCoreError as error:
            code = type(error).__name__
        raise StoreUnavailable(operation, code)

    def _read(self, company: str, stage: str) -> tuple[str, Mapping[str, Any]] | None:
        try:
            answer = self._call("get_secret_value", SecretId=self.name(company), VersionStage=stage)
        except StoreUnavailable as refused:
            if refused.code == "ResourceNotFoundException":
                return None
            raise
        return answer["VersionId"], json.loads(answer["SecretString"])

    def _save(self, company: str, value: Mapping[str, Any]) -> None:
        """Make this the current value, whatever the value was before."""
        name, text = self.name(company), json.dumps(value)
        put = partial(
            self._call, "put_secret_value", SecretId=name, SecretString=text, VersionStages=["AWSCURRENT"]
        )
        try:
            put()
        except StoreUnavailable as refused:
            if refused.code != "ResourceNotFoundException":
                raise
            try:
                self._call("create_secret", Name=name, SecretString=text)
            except StoreUnavailable as exists:
                if exists.code != "ResourceExistsException":
                    raise
                put()


class AppSecret(_Secret):
    """The client id and client secret of a company's Xero app."""

    kind = "app"

    def read(self, company: str) -> App | None:
        found = self._read(company, "AWSCURRENT")
        return App(found[1]["client_id"], found[1]["client_secret"]) if found else None

    def save(self, company: str, app: App) -> None:
        self._save(company, {"client_id": app.client_id, "client_secret": app.client_secret})


class LaunchKey:
    """The key that the platform signs launch tokens with. It is read again all the time, so it can be rotated.

    A rotation makes a new version of the secret current. The version before it is AWSPREVIOUS then, and holds for a
    while. A rotation for a key that others know takes that stage away, too.
    """

    def __init__(self, client: Any, name: str, now: Callable[[], datetime]) -> None:
        self._client = client
        self._name = name
        self._now = now
        self._known: tuple[str, ...] = ()
        self._read_at: datetime | None = None

    def read(self) -> tuple[str, ...]:
        """The keys that are good: the current one, and perhaps the one before it."""
        now = self._now()
        if self._read_at is None or now - self._read_at > LAUNCH_KEY_KEPT:
            current = self._client.get_secret_value(SecretId=self._name, VersionStage="AWSCURRENT")
            former = self._former() if now - current["CreatedDate"] < FORMER_KEY_HOLDS else ()
            self._known, self._read_at = (current["SecretString"], *former), now
        return self._known

    def _former(self) -> tuple[str, ...]:
        try:
            previous = self._client.get_secret_value(SecretId=self._name, VersionStage="AWSPREVIOUS")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return ()
        return (previous["SecretString"],)


class TokenSecret(_Secret):
    """A company's tokens, all in one secret."""

    kind = "tokens"

    def read(self, company: str) -> Tokens | None:
        """The current tokens; None if the company has none."""
        version = self.current(company)
        return version.tokens if version else None

    def current(self, company: str) -> Version | None:
        return self._version(company, "AWSCURRENT")

    def pending(self, company: str) -> Version | None:
        """The tokens that were staged last, promoted or not."""
        return self._version(company, "AWSPENDING")

    def previous(self, company: str) -> Version | None:
        """The tokens that were current before."""
        return self._version(company, "AWSPREVIOUS")

    def save(self, company: str, tokens: Tokens) -> None:
        """Save the tokens of a new consent. They replace any others, and a refresh under way cannot undo that."""
        self._save(company, _tokens_out(tokens, replaces=""))

    def forget(self, company: str, current: Version | None) -> bool:
        """Replace the current tokens by an empty value; False if others have become current.

        The secret itself stays: Secrets Manager blocks the name of a deleted secret for days, and a person may
        connect again before that.
        """
        if current is not None:
            nothing = self._stage(company, {"replaces": current.id})
            if not self.promote(company, nothing, current.id):
                return False
        before = self.previous(company)
        if before is not None:
            # nobody can read a version without a stage, and Secrets Manager removes it
            self._call(
                "update_secret_version_stage",
                SecretId=self.name(company),
                VersionStage="AWSPREVIOUS",
                RemoveFromVersionId=before.id,
            )
        return True

    def stage(self, company: str, tokens: Tokens, replaces: str) -> str:
        """Store new tokens beside the current ones; returns the version's id. A repeat makes no second version."""
        return self._stage(company, _tokens_out(tokens, replaces))

    def _stage(self, company: str, value: Mapping[str, Any]) -> str:
        text = json.dumps(value)
        answer = self._call(
            "put_secret_value",
            SecretId=self.name(company),
            SecretString=text,
            VersionStages=["AWSPENDING"],
            ClientRequestToken=_version_id(self.name(company), text),
        )
        return str(answer["VersionId"])

    def promote(self, company: str, version: str, replaces: str) -> bool:
        """Make a staged version current in place of `replaces`; False if another version has become current."""
        try:
            self._call(
                "update_secret_version_stage",
                SecretId=self.name(company),
                VersionStage="AWSCURRENT",
                MoveToVersionId=version,
                RemoveFromVersionId=replaces,
            )
        except StoreUnavailable as refused:
            if refused.code != "InvalidParameterException":
                raise
            # a repeated call gets this error too, if the first one succeeded and its answer was lost
            current = self._read(company, "AWSCURRENT")
            return current is not None and current[0] == version
        return True

    def _version(self, company: str, stage: str) -> Version | None:
        found = self._read(company, stage)
        if found is None or "refresh_token" not in found[1]:
            return None
        id_, value = found
        tokens = Tokens.restored(value, ("replaces",), expires_at=datetime.fromisoformat)
        return Version(id_, tokens, value.get("replaces", ""))


def _tokens_out(tokens: Tokens, replaces: str) -> Mapping[str, Any]:
    return tokens.to_store(expires_at=tokens.expires_at.isoformat(), replaces=replaces)


def _version_id(name: str, text: str) -> str:
    """A hash of the content, so that a write repeated after a lost answer makes no second version."""
    return hashlib.sha256(f"{name} {text}".encode()).hexdigest()

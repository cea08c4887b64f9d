"""Rotates the key that the platform signs launch tokens with. Nobody sees a key here: it is made, and stored."""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from bookkeeping.adapters.secrets import FORMER_KEY_HOLDS, LAUNCH_KEY_KEPT
from bookkeeping.adapters.tables.authorizations import AuthorizationsTable

LENGTH: Final = 64
LAST_LAUNCH: Final = LAUNCH_KEY_KEPT + timedelta(seconds=30)
"""How long after a rotation the page may still let somebody in with the former key: a request takes half a minute."""


class RotatedLately(Exception):
    """The key before the last rotation still holds, and another rotation would end it at once."""

    def __init__(self, until: datetime) -> None:
        super().__init__(
            f"The key was rotated lately, and the one before it holds until {until:%Y-%m-%d %H:%M} UTC. Wait until"
            " then: another rotation would end it at once. If others know the key, say --compromised."
        )


@dataclass(frozen=True)
class Versions:
    """The secret's versions: ids, and since when the current one is there."""

    current: str
    since: datetime
    former: str = ""

    def former_holds_until(self, now: datetime) -> datetime | None:
        until = self.since + FORMER_KEY_HOLDS
        return until if self.former and now < until else None


def versions(client: Any, secret: str) -> Versions:
    listed = client.list_secret_version_ids(SecretId=secret)["Versions"]
    by_stage = {stage: version for version in listed for stage in version.get("VersionStages", ())}
    current, former = by_stage["AWSCURRENT"], by_stage.get("AWSPREVIOUS", {})
    return Versions(current["VersionId"], current["CreatedDate"], former.get("VersionId", ""))


def check(client: Any, secret: str, now: datetime) -> None:
    """Whether a rotation would end no key that was promised to hold. Raises RotatedLately."""
    until = versions(client, secret).former_holds_until(now)
    if until is not None:
        raise RotatedLately(until)


def rotate(client: Any, secret: str, now: datetime) -> datetime:
    """Make a new key current; until when the former one holds as well. Raises RotatedLately."""
    check(client, secret, now)
    _renew(client, secret)
    return now + FORMER_KEY_HOLDS


def replace_compromised(
    client: Any, secret: str, authorizations: AuthorizationsTable, sleep: Callable[[float], None]
) -> int:
    """Make a new key current, have no other one hold, and end all sessions; how many were ended."""
    _renew(client, secret)
    former = versions(client, secret).former
    if former:
        client.update_secret_version_stage(
            SecretId=secret, VersionStage="AWSPREVIOUS", RemoveFromVersionId=former
        )
    ended = authorizations.end_all_sessions()
    # somebody may have been let in by a page that had read the former key
    sleep(LAST_LAUNCH.total_seconds())
    return ended + authorizations.end_all_sessions()


def _renew(client: Any, secret: str) -> None:
    key = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(LENGTH))
    # the token makes a repeated request no second rotation
    client.put_secret_value(SecretId=secret, SecretString=key, ClientRequestToken=str(uuid.uuid4()))

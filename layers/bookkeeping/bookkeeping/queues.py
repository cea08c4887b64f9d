"""EDGE: wake-ups on the PostingQueue, events on the bus, requests to the TokenRefreshFunction."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import boto3
from botocore.config import Config

from bookkeeping.ledger import Event

SOURCE: Final = "kornitx.xero"
BOUNDED: Final = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4}
)
KEYS_AT_MOST: Final = 100
LONGEST_DELAY: Final = timedelta(minutes=15)


def sqs() -> Any:
    return boto3.client("sqs", config=BOUNDED)


def event_bridge() -> Any:
    return boto3.client("events", config=BOUNDED)


def lambda_service() -> Any:
    return boto3.client("lambda", config=BOUNDED)


@dataclass(frozen=True)
class WakeUp:
    """A lane is to be looked at. `keys` are orders it is about, to be read from the table, not from an index."""

    lane: str
    keys: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps({"lane": self.lane, "keys": list(self.keys[:KEYS_AT_MOST])})

    @classmethod
    def from_json(cls, body: str) -> WakeUp:
        message = json.loads(body)
        return cls(message["lane"], tuple(message.get("keys", ())))


@dataclass(frozen=True)
class ReleaseCall:
    """A release is to be gone on with."""

    company: str
    id: str

    def to_json(self) -> str:
        return json.dumps({"release": self.id, "company": self.company})


def call_in(body: str) -> WakeUp | ReleaseCall:
    """What a message of the PostingQueue asks for."""
    message = json.loads(body)
    return (
        ReleaseCall(message["company"], message["release"])
        if "release" in message
        else WakeUp.from_json(body)
    )


class PostingQueue:
    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, wake_up: WakeUp | ReleaseCall, delay: timedelta = timedelta()) -> None:
        seconds = math.ceil(min(max(delay, timedelta()), LONGEST_DELAY).total_seconds())
        self._client.send_message(QueueUrl=self._url, MessageBody=wake_up.to_json(), DelaySeconds=seconds)


class EventBus:
    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def put(self, events: Sequence[Event]) -> None:
        """Send all the events; those the bus did not take are sent again, and an error is raised if it never does."""
        for start in range(0, len(events), 10):
            entries = [self._entry(event) for event in events[start : start + 10]]
            for _ in range(3):
                answer = self._client.put_events(Entries=entries)
                results = zip(entries, answer["Entries"], strict=True)
                entries = [entry for entry, result in results if "ErrorCode" in result]
                if not entries:
                    break
            else:
                raise RuntimeError(f"{len(entries)} events were not taken by the bus {self._name}")

    def _entry(self, event: Event) -> dict[str, Any]:
        detail = {"id": event.id, "at": event.at.isoformat(), **event.detail}
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": event.type,
            "Time": event.at,
            "Detail": json.dumps(detail, ensure_ascii=False),
        }


class RefreshRequests:
    """Asks for a company's tokens to be renewed, and does not wait for it."""

    def __init__(self, client: Any, function: str) -> None:
        self._client = client
        self._function = function

    def send(self, company: str) -> None:
        payload = json.dumps({"company": company})
        self._client.invoke(FunctionName=self._function, InvocationType="Event", Payload=payload)

    def wait_for(self, company: str) -> None:
        """The same, and wait until it is done or has failed."""
        payload = json.dumps({"company": company})
        self._client.invoke(FunctionName=self._function, Payload=payload)["Payload"].read()


class XeroDesk:
    """Has `xero_desk` do something in Xero on a person's behalf, and waits for it."""

    def __init__(self, client: Any, function: str) -> None:
        self._client = client
        self._function = function

    def ask(self, company: str, task: str, **about: Any) -> dict[str, Any]:
        payload = json.dumps({"company": company, "task": task, **about})
        answer = self._client.invoke(FunctionName=self._function, Payload=payload)
        said: dict[str, Any] = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            return {"error": "desk_failed"}
        return said


def lambda_service_that_waits() -> Any:
    """A client that waits longer than `xero_desk` may take, and never asks twice."""
    patient = Config(
        connect_timeout=2, read_timeout=28, retries={"mode": "standard", "total_max_attempts": 1}
    )
    return boto3.client("lambda", config=patient)

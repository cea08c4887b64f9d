"""EDGE: wake-ups on the PostingQueue and the BacklogQueue, events on the bus, requests to the TokenRefreshFunction."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bookkeeping.domain.ledger import Event

SOURCE: Final = "kornitx.xero"
BOUNDED: Final = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4}
)
KEYS_AT_MOST: Final = 100
LONGEST_DELAY: Final = timedelta(minutes=15)
LOOK: Final = timedelta(seconds=60)
"""How long a dead letter stays out of sight of whoever else looks, or redrives, should a look end without an end."""


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
    backlog: bool = False
    """For a long turn: the lane has more to do than fits into a short one."""

    def to_json(self) -> str:
        message: dict[str, Any] = {"lane": self.lane, "keys": list(self.keys[:KEYS_AT_MOST])}
        return json.dumps(message | ({"backlog": True} if self.backlog else {}))

    @classmethod
    def from_json(cls, body: str) -> WakeUp:
        message = json.loads(body)
        return cls(message["lane"], tuple(message.get("keys", ())), message.get("backlog", False))


@dataclass(frozen=True)
class ReleaseCall:
    """A release is to be gone on with."""

    company: str
    id: str

    def to_json(self) -> str:
        return json.dumps({"release": self.id, "company": self.company})


def call_in(body: str) -> WakeUp | ReleaseCall:
    """What a message of either queue asks for."""
    message = json.loads(body)
    return (
        ReleaseCall(message["company"], message["release"])
        if "release" in message
        else WakeUp.from_json(body)
    )


class PostingQueue:
    """Wake-ups and releases; those of a backlog go to a queue of their own, which only posting writes to."""

    def __init__(self, client: Any, url: str, backlog_url: str = "") -> None:
        self._client = client
        self._url = url
        self._backlog_url = backlog_url

    def send(self, wake_up: WakeUp | ReleaseCall, delay: timedelta = timedelta()) -> None:
        seconds = math.ceil(min(max(delay, timedelta()), LONGEST_DELAY).total_seconds())
        long = isinstance(wake_up, WakeUp) and wake_up.backlog
        url = self._backlog_url if long else self._url
        self._client.send_message(QueueUrl=url, MessageBody=wake_up.to_json(), DelaySeconds=seconds)


@dataclass(frozen=True)
class DeadLetter:
    """A message of the platform that was given up."""

    id: str
    body: str = field(repr=False)
    sent_at: int
    """When the message was sent, in milliseconds, however often it was redriven since."""
    company: str | None


def sent_first_at(sent_at: int, redriven: str | None) -> int:
    """When an order message was sent, in milliseconds: of one that was redriven, SQS tells the time of its redrive."""
    return min(sent_at, int(redriven)) if redriven and re.fullmatch("[0-9]{1,15}", redriven) else sent_at


class DeadLetterQueue:
    """Given-up messages, to be looked at. They stay where they are until somebody has them redriven."""

    def __init__(self, client: Any, url: str, origin: str) -> None:
        """`origin`: the queue they were given up in."""
        self._client = client
        self._url = url
        self._origin = origin

    def look(self) -> Generator[DeadLetter, None, None]:
        """Each message once. When the look is over, or closed, they can be seen and redriven as before."""
        seen: list[str] = []
        try:
            while messages := self._receive():
                seen += [message["ReceiptHandle"] for message in messages]
                yield from map(_dead_letter, messages)
        finally:
            for receipt in seen:
                self._client.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=0
                )

    def redrive(self, in_time: Callable[[], bool]) -> int:
        """Send the messages to their own queue again, with the time at which they were sent; how many were.

        One that is sent and not deleted, because this ended in between, comes twice.
        """
        redriven = 0
        while in_time() and (messages := self._receive()):
            for message in messages:
                letter = _dead_letter(message)
                told = {"company": letter.company, "sent_at": str(letter.sent_at)}
                self._client.send_message(
                    QueueUrl=self._origin,
                    MessageBody=letter.body,
                    MessageAttributes={
                        name: {"DataType": "String", "StringValue": value}
                        for name, value in told.items()
                        if value is not None
                    },
                )
                self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                redriven += 1
        return redriven

    def _receive(self) -> list[dict[str, Any]]:
        # a second's patience: else SQS asks some of its servers only, and may find nothing where there is something
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=int(LOOK.total_seconds()),
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["SentTimestamp"],
            MessageAttributeNames=["company", "sent_at"],
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages


def _dead_letter(message: dict[str, Any]) -> DeadLetter:
    told = {name: it.get("StringValue") for name, it in message.get("MessageAttributes", {}).items()}
    return DeadLetter(
        id=message["MessageId"],
        body=message["Body"],
        sent_at=sent_first_at(int(message["Attributes"]["SentTimestamp"]), told.get("sent_at")),
        company=told.get("company"),
    )


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

    def wait_for(self, company: str) -> str:
        """The same, and wait for what became of it; empty where that failed."""
        said = _answer(self._client, self._function, {"company": company})
        return str(said["what"]) if said else ""


class XeroDesk:
    """Has `xero_desk` do something in Xero on a person's behalf, and waits for it; `error` where it does not answer."""

    def __init__(self, client: Any, function: str) -> None:
        self._client = client
        self._function = function

    def ask(self, company: str, task: str, **about: Any) -> dict[str, Any]:
        said = _answer(self._client, self._function, {"company": company, "task": task, **about})
        return said or {"error": "desk_failed"}


def _answer(client: Any, function: str, about: dict[str, Any]) -> dict[str, Any] | None:
    """What the function answers; None where it failed, or did not answer in time."""
    try:
        answer = client.invoke(FunctionName=function, Payload=json.dumps(about))
        said: dict[str, Any] = json.loads(answer["Payload"].read())
    except (BotoCoreError, ClientError):
        return None
    return None if "FunctionError" in answer else said


def lambda_service_that_waits() -> Any:
    """A client that never asks twice, and waits for less time than whoever waits for the page."""
    patient = Config(
        connect_timeout=2, read_timeout=22, retries={"mode": "standard", "total_max_attempts": 1}
    )
    return boto3.client("lambda", config=patient)

"""Wake-ups and releases on the PostingQueue and the BacklogQueue, dead letters, and the ProblemsQueue."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import boto3
from botocore.config import Config

from bookkeeping.domain.errors import UnknownKind

BOUNDED: Final = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4}
)
IN_ONE_REQUEST: Final = 10
"""As many messages as SQS takes."""
LONGEST_DELAY: Final = timedelta(minutes=15)
LOOK: Final = timedelta(seconds=60)
"""How long a dead letter stays hidden from other readers if the process that read it crashes."""


def sqs() -> Any:
    return boto3.client("sqs", config=BOUNDED)


class MessagesRefused(Exception):
    """SQS did not take some of the messages. The others are sent."""


@dataclass(frozen=True)
class WakeUp:
    """A request for a turn in a lane. The lane's row names the orders that it is about."""

    lane: str
    backlog: bool = False
    """Asks for a long turn, because the lane has more to do than fits into a short one."""

    def to_json(self) -> str:
        return json.dumps({"lane": self.lane} | ({"backlog": True} if self.backlog else {}))

    @classmethod
    def from_json(cls, body: str) -> WakeUp:
        message = json.loads(body)
        return cls(message["lane"], message.get("backlog", False))


@dataclass(frozen=True)
class ReleaseCall:
    """A request to continue a release."""

    company: str
    id: str

    def to_json(self) -> str:
        return json.dumps({"release": self.id, "company": self.company})


def call_in(body: str) -> WakeUp | ReleaseCall:
    """What a message of either queue asks for. Raises UnknownKind."""
    message = json.loads(body)
    if "release" in message:
        return ReleaseCall(message["company"], message["release"])
    if "lane" in message:
        return WakeUp.from_json(body)
    raise UnknownKind(", ".join(message))


class PostingQueue:
    """Sends wake-ups and releases. Wake-ups for a backlog go to their own queue, which only posting writes to."""

    def __init__(self, client: Any, url: str, backlog_url: str = "") -> None:
        self._client = client
        self._url = url
        self._backlog_url = backlog_url

    def send(self, wake_up: WakeUp | ReleaseCall, delay: timedelta = timedelta()) -> None:
        seconds = math.ceil(min(max(delay, timedelta()), LONGEST_DELAY).total_seconds())
        long = isinstance(wake_up, WakeUp) and wake_up.backlog
        url = self._backlog_url if long else self._url
        self._client.send_message(QueueUrl=url, MessageBody=wake_up.to_json(), DelaySeconds=seconds)

    def send_all(self, calls: Sequence[WakeUp | ReleaseCall]) -> None:
        """Send them at once, none of them for a backlog. Raises MessagesRefused if any was not taken."""
        refused = 0
        for first in range(0, len(calls), IN_ONE_REQUEST):
            entries = [
                {"Id": f"{place}", "MessageBody": call.to_json()}
                for place, call in enumerate(calls[first : first + IN_ONE_REQUEST])
            ]
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            refused += len(answer.get("Failed", ()))
        if refused:
            raise MessagesRefused(f"{refused} of {len(calls)} messages")


@dataclass(frozen=True)
class DeadLetter:
    """A message of the platform that intake failed on too often."""

    id: str
    body: str = field(repr=False)
    sent_at: int
    """When the platform sent the message, in milliseconds. A redrive does not change it."""
    company: str | None


def attribute_text(attribute: Mapping[str, Any]) -> str:
    """What a message attribute says, whatever type it was sent as: as SQS tells it, or as a function's event does."""
    values = {name.lower(): value for name, value in attribute.items()}
    text, binary = values.get("stringvalue"), values.get("binaryvalue") or b""
    if text is None:
        try:
            # in a function's event it is text
            text = (base64.b64decode(binary) if isinstance(binary, str) else bytes(binary)).decode()
        except ValueError:
            text = ""
    return "".join(char if char.isprintable() else "?" for char in text).strip() or "?"


def sent_first_at(sent_at: int, redriven: str | None) -> int:
    """When the platform sent an order message, in milliseconds.

    For a redriven message SQS gives the time of the redrive, so the first time is carried along in `redriven`.
    """
    return min(sent_at, int(redriven)) if redriven and re.fullmatch("[0-9]{1,15}", redriven) else sent_at


class DeadLetterQueue:
    """The platform's dead letters. They stay in the queue until somebody asks for a redrive."""

    def __init__(self, client: Any, url: str, origin: str) -> None:
        """`origin`: the queue that the messages came from."""
        self._client = client
        self._url = url
        self._origin = origin

    def look(self) -> Generator[DeadLetter, None, None]:
        """Each message once. When the generator ends or is closed, all of them become visible again."""
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
        """Send the messages to their own queue again, with the time they were first sent; returns how many.

        A crash between sending and deleting makes a message arrive twice, which is harmless.
        """
        redriven = 0
        while in_time() and (messages := self._receive()):
            for message in messages:
                letter = _dead_letter(message)
                attributes = {"company": letter.company, "sent_at": str(letter.sent_at)}
                self._client.send_message(
                    QueueUrl=self._origin,
                    MessageBody=letter.body,
                    MessageAttributes={
                        name: {"DataType": "String", "StringValue": value}
                        for name, value in attributes.items()
                        if value is not None
                    },
                )
                self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                redriven += 1
        return redriven

    def _receive(self) -> list[dict[str, Any]]:
        # with a wait, SQS asks all of its servers; without one, it may miss messages
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


class ProblemsQueue:
    """Events of the bus, and SES's, that may be a reason for a mail or against one."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    def take(self) -> list[tuple[str, str]]:
        """Up to ten events, each with its receipt. They come again in a while unless they are removed."""
        answer = self._client.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        return [(message["Body"], message["ReceiptHandle"]) for message in answer.get("Messages", [])]

    def remove(self, receipts: Sequence[str]) -> None:
        entries = [{"Id": f"{place}", "ReceiptHandle": receipt} for place, receipt in enumerate(receipts)]
        self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)


def _dead_letter(message: dict[str, Any]) -> DeadLetter:
    attributes = {name: attribute_text(it) for name, it in message.get("MessageAttributes", {}).items()}
    return DeadLetter(
        id=message["MessageId"],
        body=message["Body"],
        sent_at=sent_first_at(int(message["Attributes"]["SentTimestamp"]), attributes.get("sent_at")),
        company=attributes.get("company"),
    )

"""What calls the functions, as AWS documents it: a queue's trigger and a schedule."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

logger = logging.getLogger("local")

Message = dict[str, Any]
Invoke = Callable[[bytes], tuple[bool, bytes]]
"""Payload in; whether the invocation succeeded, and what it answered, out. May raise TooManyAtOnce."""

MESSAGES_A_RECEIVE = 10
PAYLOAD_AT_MOST = 6 * 1024 * 1024
LONG_POLL_SECONDS = 1
BETWEEN_LOOKS = 0.05
AFTER_FAILURE = 0.5
BETWEEN_TRIES = 0.2


class TooManyAtOnce(Exception):
    """As many functions run already as the account may run at the same time. This one was not called."""


class MalformedAnswer(Exception):
    """An answer that does not say which messages failed: all of them count as failed."""


def failed_ids(answer: bytes, batch: Sequence[Message]) -> set[str]:
    """The messages of a batch that a partial-batch answer names as failed.

    An empty or null answer, and an empty or null list, mean that none did.
    """
    try:
        response = json.loads(answer) if answer else None
    except ValueError as error:
        raise MalformedAnswer("not JSON") from error
    if not response:
        return set()
    if not isinstance(response, dict):
        raise MalformedAnswer("not an object")
    failures = response.get("batchItemFailures") or []
    known = {message["MessageId"] for message in batch}
    failed: set[str] = set()
    for failure in failures if isinstance(failures, list) else [failures]:
        if not isinstance(failure, dict) or failure.get("itemIdentifier") not in known:
            raise MalformedAnswer(f"{failure!r} names no message of the batch")
        failed.add(failure["itemIdentifier"])
    return failed


def record(message: Message, queue_arn: str) -> dict[str, Any]:
    """A received message as it stands in a function's event."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {
            name: {
                "stringValue": attribute.get("StringValue"),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": attribute["DataType"],
                **(
                    {"binaryValue": base64.b64encode(attribute["BinaryValue"]).decode()}
                    if "BinaryValue" in attribute
                    else {}
                ),
            }
            for name, attribute in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }


@dataclass
class QueuePoller:
    """One of a trigger's pollers: gathers a batch, has the function called, deletes what succeeded.

    What failed is left alone: it is seen again once its visibility time-out is over, or goes to the dead-letter queue.
    """

    sqs: Any
    """With the rights of the function's role, as on AWS."""
    queue_url: str
    queue_arn: str
    batch_size: int
    window: timedelta
    reports_failures: bool
    hidden_for: timedelta
    """For how long nobody else receives what this poller has."""
    invoke: Invoke
    stopping: threading.Event
    _left_over: list[Message] = field(default_factory=list)

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.turn()
            except (BotoCoreError, ClientError) as error:
                if not self.stopping.is_set():
                    logger.warning("%s: %s", self.queue_arn, error)
                    self.stopping.wait(AFTER_FAILURE)

    def turn(self) -> None:
        batch = self.gather()
        if batch:
            self.settle(batch)

    def gather(self) -> list[Message]:
        """Messages until the batch is full, its payload is, or the window since the first has passed."""
        batch, self._left_over = self._left_over, []
        until = time.monotonic() + self.window.total_seconds()
        while not self.stopping.is_set():
            batch, self._left_over = self.cut(batch)
            if self._left_over or len(batch) >= self.batch_size:
                break
            if batch and time.monotonic() >= until:
                break
            received = self._receive(min(MESSAGES_A_RECEIVE, self.batch_size - len(batch)), waits=not batch)
            if received and not batch:
                until = time.monotonic() + self.window.total_seconds()
            if not received and batch:
                self.stopping.wait(min(BETWEEN_LOOKS, max(0.0, until - time.monotonic())))
            batch += received
        return batch

    def cut(self, messages: list[Message]) -> tuple[list[Message], list[Message]]:
        """As many messages as one payload holds, and the rest; a message alone is never too many."""
        for count in range(len(messages), 1, -1):
            if len(self.payload(messages[:count])) <= PAYLOAD_AT_MOST:
                return messages[:count], messages[count:]
        return messages[:1], messages[1:]

    def payload(self, batch: Sequence[Message]) -> bytes:
        return json.dumps({"Records": [record(message, self.queue_arn) for message in batch]}).encode()

    def settle(self, batch: list[Message]) -> None:
        succeeded, answer = self._call(self.payload(batch))
        if not succeeded:
            logger.warning("%s: a batch of %d failed: %s", self.queue_arn, len(batch), answer.decode())
            return
        failed: set[str] = set()
        if self.reports_failures:
            try:
                failed = failed_ids(answer, batch)
            except MalformedAnswer as malformed:
                logger.warning(
                    "%s: a batch of %d failed, its answer is malformed: %s",
                    self.queue_arn,
                    len(batch),
                    malformed,
                )
                return
        for message in batch:
            if message["MessageId"] not in failed:
                # One by one: AWS allows the batch call with the same right, ministack asks for another.
                self._delete(message)

    def _call(self, payload: bytes) -> tuple[bool, bytes]:
        """Call the function. While the account runs no more functions, try again until others see the messages."""
        until = time.monotonic() + self.hidden_for.total_seconds()
        while True:
            try:
                return self.invoke(payload)
            except TooManyAtOnce:
                if time.monotonic() >= until or self.stopping.wait(BETWEEN_TRIES):
                    return False, b"too many functions at once"

    def _delete(self, message: Message) -> None:
        try:
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        except ClientError as error:
            # It took so long that another poller has it by now. It comes twice, as on AWS.
            logger.warning("%s: message %s not deleted: %s", self.queue_arn, message["MessageId"], error)

    def _receive(self, at_most: int, *, waits: bool) -> list[Message]:
        answer = self.sqs.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=at_most,
            WaitTimeSeconds=LONG_POLL_SECONDS if waits else 0,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages: list[Message] = answer.get("Messages", [])
        return messages


@dataclass
class Ticker:
    """A schedule: the function is called at once, and then at regular intervals."""

    every: timedelta
    invoke: Invoke
    stopping: threading.Event
    succeeded: threading.Event = field(default_factory=threading.Event)
    """Set once a call has succeeded."""

    def run(self) -> None:
        due = time.monotonic()
        while not self.stopping.wait(max(0.0, due - time.monotonic())):
            due += self.every.total_seconds()
            try:
                succeeded, answer = self.invoke(json.dumps(self.event()).encode())
                if succeeded:
                    self.succeeded.set()
                elif not self.stopping.is_set():
                    logger.warning("a scheduled call failed: %s", answer.decode())
            except (BotoCoreError, ClientError, TooManyAtOnce) as error:
                if not self.stopping.is_set():
                    logger.warning("schedule: %r", error)

    def event(self) -> dict[str, Any]:
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": "000000000000",
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": "eu-west-2",
            "resources": [],
            "detail": {},
        }

"""A queue's trigger does here what AWS documents of it. The queue is ministack's; the function is the test's."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from local.aws import Ministack
from local.triggers import (
    PAYLOAD_AT_MOST,
    Invoke,
    MalformedAnswer,
    QueuePoller,
    Ticker,
    TooManyAtOnce,
    failed_ids,
)

BATCH = [{"MessageId": "a"}, {"MessageId": "b"}]
names = itertools.count()


@dataclass
class Function:
    """Answers every call alike, and keeps what it was called with."""

    answer: Callable[[list[dict[str, Any]]], tuple[bool, bytes]] = lambda records: (True, b"")
    payloads: list[bytes] = field(default_factory=list)

    def __call__(self, payload: bytes) -> tuple[bool, bytes]:
        self.payloads.append(payload)
        return self.answer(self.batches[-1])

    @property
    def batches(self) -> list[list[dict[str, Any]]]:
        return [json.loads(payload)["Records"] for payload in self.payloads]


@dataclass
class Queue:
    sqs: Any
    url: str
    arn: str

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def bodies_left(self) -> set[str]:
        """What is still in the queue, seen by setting every message's visibility to now."""
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        count = int(attributes["ApproximateNumberOfMessages"]) + int(
            attributes["ApproximateNumberOfMessagesNotVisible"]
        )
        time.sleep(1.1)
        found: set[str] = set()
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            found |= {message["Body"] for message in messages}
        assert len(found) == count
        return found

    def poller(
        self, function: Invoke, size: int = 10, window: float = 0.0, reports: bool = True
    ) -> QueuePoller:
        return QueuePoller(
            sqs=self.sqs,
            queue_url=self.url,
            queue_arn=self.arn,
            batch_size=size,
            window=timedelta(seconds=window),
            reports_failures=reports,
            hidden_for=timedelta(seconds=1),
            invoke=function,
            stopping=threading.Event(),
        )


@pytest.fixture
def queue(ministack: Ministack) -> Queue:
    sqs = ministack.client("sqs")
    attributes = {"VisibilityTimeout": "1", "MaximumMessageSize": "1048576"}
    url = sqs.create_queue(QueueName=f"trigger-{next(names)}", Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return Queue(sqs, url, arn)


@pytest.mark.parametrize(
    "answer",
    [b"", b"null", b"{}", b'{"batchItemFailures": []}', b'{"batchItemFailures": null}'],
)
def test_an_answer_that_names_nobody_means_all_succeeded(answer: bytes) -> None:
    assert failed_ids(answer, BATCH) == set()


@pytest.mark.parametrize(
    "answer",
    [
        b"no json",
        b"[1]",
        b'{"batchItemFailures": [{"itemIdentifier": ""}]}',
        b'{"batchItemFailures": [{"itemIdentifier": null}]}',
        b'{"batchItemFailures": [{"messageId": "a"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "nobody"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "nobody"}]}',
        b'{"batchItemFailures": "a"}',
    ],
)
def test_an_answer_that_cannot_be_read_is_malformed(answer: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        failed_ids(answer, BATCH)


def test_only_the_messages_named_as_failed_stay_in_the_queue(queue: Queue) -> None:
    def second_fails(records: list[dict[str, Any]]) -> tuple[bool, bytes]:
        failed = [record["messageId"] for record in records if record["body"] == "two"]
        return True, json.dumps({"batchItemFailures": [{"itemIdentifier": name} for name in failed]}).encode()

    queue.send("one", "two", "three")
    queue.poller(Function(second_fails), window=0.3).turn()
    assert queue.bodies_left() == {"two"}


def test_a_malformed_answer_leaves_the_whole_batch_in_the_queue(queue: Queue) -> None:
    queue.send("one", "two")
    queue.poller(Function(lambda _: (True, b'{"batchItemFailures": [{"id": 1}]}')), window=0.3).turn()
    assert queue.bodies_left() == {"one", "two"}


def test_a_function_that_fails_leaves_the_whole_batch_in_the_queue(queue: Queue) -> None:
    queue.send("one", "two")
    queue.poller(Function(lambda _: (False, b"killed")), window=0.3).turn()
    assert queue.bodies_left() == {"one", "two"}


def test_a_failed_message_comes_again_and_says_how_often_it_came(queue: Queue) -> None:
    function = Function(lambda _: (False, b"killed"))
    poller = queue.poller(function)
    queue.send("one")
    poller.turn()
    time.sleep(1.1)
    poller.turn()
    assert [batch[0]["attributes"]["ApproximateReceiveCount"] for batch in function.batches] == ["1", "2"]


def test_a_batch_holds_more_messages_than_one_receive_gives(queue: Queue) -> None:
    queue.send(*map(str, range(25)))
    function = Function()
    queue.poller(function, size=100, window=0.8).turn()
    assert [len(batch) for batch in function.batches] == [25]
    assert queue.bodies_left() == set()


def test_a_full_batch_does_not_wait_for_the_window(queue: Queue) -> None:
    queue.send(*map(str, range(12)))
    function = Function()
    began = time.monotonic()
    queue.poller(function, size=12, window=30).turn()
    assert time.monotonic() - began < 5
    assert [len(batch) for batch in function.batches] == [12]


def test_a_message_waits_for_others_as_long_as_the_window(queue: Queue) -> None:
    function = Function()
    queue.send("first")
    later = threading.Timer(0.4, queue.send, ["second"])
    later.start()
    began = time.monotonic()
    queue.poller(function, size=100, window=0.9).turn()
    later.join()
    assert time.monotonic() - began >= 0.9
    assert [[record["body"] for record in batch] for batch in function.batches] == [["first", "second"]]


def test_messages_wait_while_the_account_runs_no_more_functions(queue: Queue) -> None:
    queue.send("one")
    function, busy = Function(), iter([True, True, False])

    def invoke(payload: bytes) -> tuple[bool, bytes]:
        if next(busy):
            raise TooManyAtOnce
        return function(payload)

    queue.poller(invoke).turn()
    assert [[record["body"] for record in batch] for batch in function.batches] == [["one"]]
    assert queue.bodies_left() == set()


def test_messages_are_given_back_if_the_account_runs_no_more_functions_for_too_long(queue: Queue) -> None:
    queue.send("one")

    def invoke(_: bytes) -> tuple[bool, bytes]:
        raise TooManyAtOnce

    began = time.monotonic()
    queue.poller(invoke).turn()
    assert time.monotonic() - began >= 1
    assert queue.bodies_left() == {"one"}


def test_a_batch_is_cut_where_its_payload_would_pass_6_mb_and_nothing_is_lost(queue: Queue) -> None:
    queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"VisibilityTimeout": "30"})
    queue.send(*(f"{number}{'x' * 1_000_000}" for number in range(8)))
    function = Function()
    poller = queue.poller(function, size=100, window=0.9)
    while sum(len(batch) for batch in function.batches) < 8:
        poller.turn()
    assert len(function.payloads) == 2
    assert all(len(payload) <= PAYLOAD_AT_MOST for payload in function.payloads)
    seen = {record["body"][0] for batch in function.batches for record in batch}
    assert seen == set("01234567")


def test_a_delayed_message_is_not_delivered_early(queue: Queue) -> None:
    function = Function()
    queue.sqs.send_message(QueueUrl=queue.url, MessageBody="later", DelaySeconds=2)
    sent = time.monotonic()
    poller = queue.poller(function, size=1)
    while not function.payloads:
        poller.turn()
    assert time.monotonic() - sent >= 1.9


def test_a_record_looks_as_it_does_on_aws(queue: Queue) -> None:
    function = Function()
    queue.sqs.send_message(
        QueueUrl=queue.url,
        MessageBody="body",
        MessageAttributes={"company": {"DataType": "String", "StringValue": "4711"}},
    )
    queue.poller(function).turn()
    [[record]] = function.batches
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == queue.arn
    assert record["awsRegion"] == "eu-west-2"
    assert record["messageAttributes"]["company"]["stringValue"] == "4711"
    assert abs(int(record["attributes"]["SentTimestamp"]) / 1000 - time.time()) < 60
    assert record["attributes"]["ApproximateReceiveCount"] == "1"


def test_a_schedule_calls_at_once_and_then_regularly_until_it_is_stopped() -> None:
    stopping = threading.Event()
    calls: list[float] = []

    def invoke(event: bytes) -> tuple[bool, bytes]:
        assert json.loads(event)["detail-type"] == "Scheduled Event"
        calls.append(time.monotonic())
        if len(calls) == 3:
            stopping.set()
        return True, b"null"

    Ticker(timedelta(seconds=0.2), invoke, stopping).run()
    assert 0.35 <= calls[2] - calls[0] < 2


def test_a_schedule_goes_on_after_a_tick_for_which_there_was_no_function() -> None:
    stopping = threading.Event()
    calls = itertools.count()

    def invoke(_: bytes) -> tuple[bool, bytes]:
        if next(calls) == 0:
            raise TooManyAtOnce
        stopping.set()
        return True, b"null"

    ticker = Ticker(timedelta(seconds=0.1), invoke, stopping)
    ticker.run()
    assert ticker.succeeded.is_set()

"""A function of the order's way in this process: its real handler on real events, AWS at the wire by moto.

Every call to AWS is written down as it leaves, and can be made to fail there.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
import botocore.loaders
import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto import mock_aws

from tests.canaries import opened, watch
from tests.grants import acting_as
from tests.integration.one_process import PREFIX, XERO, OneProcess
from tests.schemas import check_event

ROOT = Path(__file__).parents[2]
DESCRIPTIONS = botocore.loaders.create_loader()
ENVIRONMENT = {
    "ORDERS_TABLE": "OrdersTable",
    "SETTINGS_TABLE": "SettingsTable",
    "CONNECTIONS_TABLE": "ConnectionsTable",
    "EVENT_BUS": "kornit-xero",
    "SECRETS_PREFIX": PREFIX,
    "XERO_API_URL": XERO,
    "TOKEN_REFRESH_FUNCTION": "token_refresh",
    "WAITS_SCALE": "1",
    "MAX_RECEIVES": "3",
    "POWERTOOLS_METRICS_NAMESPACE": "KornitXero",
    "POWERTOOLS_SERVICE_NAME": "tests",
    "POWERTOOLS_LOG_LEVEL": "DEBUG",
}


@dataclass(frozen=True)
class Call:
    """A call to AWS as it left."""

    operation: str
    body: Mapping[str, Any]

    @property
    def text(self) -> str:
        return json.dumps(self.body, ensure_ascii=False, default=str)


@dataclass
class Wire:
    """What went to AWS since `calls` was last cleared; `refuse` answers a call in AWS's place."""

    calls: list[Call] = field(default_factory=list)
    refuse: Callable[[Call], str | None] = lambda call: None
    """The error code to answer a call with, and why a transaction was cancelled; None lets the call go out."""
    before: Callable[[Call], None] = lambda call: None

    def __call__(self, model: Any, params: Mapping[str, Any], **more: Any) -> Any:
        raw = params["body"]
        text = opened(raw.decode(errors="replace") if isinstance(raw, bytes) else raw)
        body = json.loads(text) if isinstance(text, str) and text[:1] == "{" else {"body": raw}
        call = Call(model.name, body)
        self.calls.append(call)
        self.before(call)
        refused = self.refuse(call)
        if refused is None:
            return None
        code, _, why = refused.partition(": ")
        answer: dict[str, Any] = {"Error": {"Code": code, "Message": refused}}
        if why:
            answer["CancellationReasons"] = [{"Code": reason} for reason in why.split(", ")]
        answer["ResponseMetadata"] = {"HTTPStatusCode": 400}
        return AWSResponse("", 400, HTTPHeaders(), None), answer

    def operations(self) -> list[str]:
        return [call.operation for call in self.calls]


@dataclass
class Function:
    """One function over a world of its own."""

    app: Any
    world: OneProcess
    wire: Wire
    posting_queue: str
    log: io.StringIO
    """What its logger writes."""
    dead_letters: str
    """The queue of messages that intake gave up."""
    orders_queue: str
    milliseconds_left: Callable[[], int] = lambda: 10000

    def handle(self, event: Mapping[str, Any]) -> Any:
        self.wire.calls.clear()
        return self.app.handler(json.loads(json.dumps(event)), self._context())

    def _context(self) -> Any:
        return SimpleNamespace(
            function_name="tests",
            memory_limit_in_mb=512,
            invoked_function_arn="arn:aws:lambda:eu-west-2:123456789012:function:tests",
            aws_request_id=str(uuid.uuid4()),
            get_remaining_time_in_millis=self.milliseconds_left,
        )

    def messages(self) -> list[Any]:
        """What is on the PostingQueue, taken from it."""
        sqs, found = boto3.client("sqs"), []
        while got := sqs.receive_message(QueueUrl=self.posting_queue, MaxNumberOfMessages=10).get("Messages"):
            for message in got:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self.posting_queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def told(self) -> list[dict[str, Any]]:
        """The events put on the bus by the last event handled."""
        entries = [
            entry
            for call in self.wire.calls
            if call.operation == "PutEvents"
            for entry in call.body["Entries"]
        ]
        told = [(entry["DetailType"], json.loads(entry["Detail"])) for entry in entries]
        for type_, detail in told:
            check_event(type_, detail)
        return [{"type": type_, **detail} for type_, detail in told]


def record(body: Any, company: str | None = None, receives: int = 1, sent_at: int = 0) -> dict[str, Any]:
    """A message as Lambda hands it over."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    named: dict[str, Any] = {
        "stringValue": company,
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    }
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": text,
        "attributes": {
            "ApproximateReceiveCount": str(receives),
            "SentTimestamp": str(sent_at or 1795425600000),
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": str((sent_at or 1795425600000) + 5),
        },
        "messageAttributes": {} if company is None else {"company": named},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-2:123456789012:kornit-xero-OrdersQueue",
        "awsRegion": "eu-west-2",
    }


def batch(*records: Mapping[str, Any]) -> dict[str, Any]:
    return {"Records": list(records)}


def event(function: str) -> dict[str, Any]:
    """The function's event sample."""
    read: dict[str, Any] = json.loads((ROOT / "events" / f"{function}.json").read_text(encoding="utf-8"))
    return read


def cold_start(function: str, environment: Mapping[str, str]) -> ModuleType:
    """The function's module, made anew as in a new environment."""
    if opens := sys.modules.get("bookkeeping.adapters.from_environment"):
        # it keeps clients, which are another environment's
        importlib.reload(opens)
    path = ROOT / "functions" / function / "app.py"
    spec = importlib.util.spec_from_file_location(f"{function}_app", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with patch.dict(os.environ, environment):
        spec.loader.exec_module(module)
    module.handler = acting_as(function)(watch.listening(function, module.handler))  # type: ignore[attr-defined]
    return module


def wanted_of_environment(function: str) -> list[str]:
    """The environment variables without which the function does not start."""
    environment = _Asked(os.environ)
    with patch("os.environ", environment):
        cold_start(function, {})
    return sorted(environment.names)


class _Asked(dict[str, str]):
    """An environment that has every variable, and keeps the names of those it made up."""

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self.names: set[str] = set()

    def __missing__(self, name: str) -> str:
        self.names.add(name)
        return "1"


def default_session() -> Any:
    """A new default session for boto3, which doesn't read the services' descriptions anew."""
    session = botocore.session.Session()
    session.register_component("data_loader", DESCRIPTIONS)
    boto3.setup_default_session(botocore_session=session)
    return boto3.DEFAULT_SESSION


@contextmanager
def listened_to(session: Any, wire: Wire) -> Iterator[None]:
    """Clients that are made within tell `wire` of their calls."""
    session.events.register("before-call", wire)
    yield
    session.events.unregister("before-call", wire)


@contextmanager
def running(function: str) -> Iterator[Function]:
    with mock_aws(), patch.object(boto3, "DEFAULT_SESSION", None):
        session = default_session()
        world, wire = OneProcess(), Wire()
        sqs = boto3.client("sqs")
        queue = sqs.create_queue(QueueName="PostingQueue")["QueueUrl"]
        dead_letters = sqs.create_queue(QueueName="OrdersDeadLetterQueue")["QueueUrl"]
        asked = sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])
        given_up = {"deadLetterTargetArn": asked["Attributes"]["QueueArn"], "maxReceiveCount": 5}
        orders_queue = sqs.create_queue(
            QueueName="OrdersQueue", Attributes={"RedrivePolicy": json.dumps(given_up)}
        )["QueueUrl"]
        boto3.client("events").create_event_bus(Name=ENVIRONMENT["EVENT_BUS"])
        # the world's own clients are made already: only the function's are listened to
        with listened_to(session, wire):
            queues = {"POSTING_QUEUE_URL": queue, "BACKLOG_QUEUE_URL": queue}
            queues |= {"ORDERS_DEAD_LETTER_QUEUE_URL": dead_letters, "ORDERS_QUEUE_URL": orders_queue}
            app = cold_start(function, ENVIRONMENT | queues)
        log = io.StringIO()
        # the logger's handler outlives the module, and the standard output it was made with
        app.logger.registered_handler.stream = log
        yield Function(app, world, wire, queue, log, dead_letters, orders_queue)


def metrics_in(printed: str) -> list[dict[str, Any]]:
    """The embedded metrics among a function's output."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return [line for line in lines if "_aws" in line]


def dimensions(metrics: Sequence[Mapping[str, Any]]) -> set[str]:
    return {
        name
        for line in metrics
        for directive in line["_aws"]["CloudWatchMetrics"]
        for names in directive["Dimensions"]
        for name in names
    }

"""The dead-letter reader's handler: whoever's message was given up has a row, and the message is still there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import boto3
import pytest

from bookkeeping.adapters.queues import sent_first_at
from bookkeeping.domain.ledger import Entry
from bookkeeping.use_cases import intake
from local.samples import UNTRACKED, Maker
from tests.canaries import kept_text
from tests.integration.one_function import (
    ENVIRONMENT,
    Function,
    batch,
    cold_start,
    dimensions,
    event,
    metrics_in,
    running,
)
from tests.integration.one_process import Killed, raw, spoil
from tests.our_faults import Fault

OTHER = "500500"


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Function]:
    with running("dead_letter_reader") as function:
        function.world.company(UNTRACKED)
        letters = function.app.dead_letters
        monkeypatch.setattr(letters, "_client", _Impatient(letters._client))
        yield function


class _Impatient:
    """The queue's client, without the second of patience that is for SQS's many servers."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.change_message_visibility = client.change_message_visibility
        self.send_message, self.delete_message = client.send_message, client.delete_message

    def receive_message(self, **asked: Any) -> Any:
        return self._client.receive_message(**asked | {"WaitTimeSeconds": 0})


def order(company: str = UNTRACKED, **changes: Any) -> dict[str, Any]:
    return Maker().order(UNTRACKED, 1, 2, company_ref_id=int(company)) | changes


def give_up(reader: Function, sent: Any, company: str | None = None) -> str:
    """A message as SQS moves it into the dead-letter queue: its id."""
    body = sent if isinstance(sent, str) else json.dumps(sent)
    named = {} if company is None else {"company": {"DataType": "String", "StringValue": company}}
    answer = _sqs().send_message(QueueUrl=reader.dead_letters, MessageBody=body, MessageAttributes=named)
    return str(answer["MessageId"])


def left(reader: Function) -> list[dict[str, Any]]:
    """What can be redriven now, taken."""
    asked = {"MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
    found: list[dict[str, Any]] = []
    while got := _sqs().receive_message(QueueUrl=reader.dead_letters, **asked).get("Messages"):
        found += got
    return found


def first_sent_at(reader: Function) -> int:
    [message] = _sqs().receive_message(
        QueueUrl=reader.dead_letters, VisibilityTimeout=0, MessageSystemAttributeNames=["SentTimestamp"]
    )["Messages"]
    return int(message["Attributes"]["SentTimestamp"])


def _sqs() -> Any:
    return boto3.client("sqs")


def row(reader: Function, sent: Mapping[str, Any], company: str = UNTRACKED) -> Entry | None:
    return reader.world.orders.get(company, str(sent["id"]))


def state(reader: Function, sent: Mapping[str, Any], company: str = UNTRACKED) -> str:
    entry = row(reader, sent, company)
    if entry is None:
        return "no row"
    return f"{entry.state} {entry.problem.code if entry.problem else entry.reason}".strip()


def read(reader: Function) -> None:
    reader.handle(event("dead_letter_reader"))


def test_a_message_that_kills_its_intake_on_every_receive_gets_a_row_and_stays_to_be_redriven(
    reader: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs, sent, queue = _sqs(), order(), reader.orders_queue
    app = cold_start("order_intake", ENVIRONMENT | {"POSTING_QUEUE_URL": reader.posting_queue})

    def receive() -> list[dict[str, Any]]:
        asked = {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
        return list(sqs.receive_message(QueueUrl=queue, **asked).get("Messages", []))

    def killed(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(app.adapters.orders, "save", killed)
    sent_id = sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(sent))["MessageId"]
    for _ in range(5):
        [message] = receive()
        with pytest.raises(Killed), pytest.warns(UserWarning, match="metrics"):
            app.handler(batch(_record(message)), reader._context())
        # its visibility time-out
        sqs.change_message_visibility(
            QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )
    assert receive() == []
    assert state(reader, sent) == "no row"
    read(reader)
    assert state(reader, sent) == "needs_attention our_fault"
    [told] = reader.told()
    assert (told["type"], told["problem"], told["company"]) == ("OrderNeedsAttention", "our_fault", UNTRACKED)
    [kept] = left(reader)
    assert (kept["MessageId"], json.loads(kept["Body"])) == (sent_id, sent)
    # mended, and redriven
    monkeypatch.undo()
    sqs.change_message_visibility(
        QueueUrl=reader.dead_letters, ReceiptHandle=kept["ReceiptHandle"], VisibilityTimeout=0
    )
    assert reader.handle({"redrive": True}) == {"redriven": 1}
    assert left(reader) == []
    [message] = receive()
    assert app.handler(batch(_record(message)), reader._context()) == {"batchItemFailures": []}
    assert state(reader, sent) == "queued"


def _record(message: Mapping[str, Any]) -> dict[str, Any]:
    told = message.get("MessageAttributes", {})
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {
            name: {"dataType": "String", "stringValue": it["StringValue"]} for name, it in told.items()
        },
        "eventSource": "aws:sqs",
    }


def redrive(reader: Function) -> list[dict[str, Any]]:
    """The messages that a redrive puts on the queue, as Lambda hands them on."""
    reader.handle({"redrive": True})
    asked = {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    found = _sqs().receive_message(QueueUrl=reader.orders_queue, MaxNumberOfMessages=10, **asked)
    return [_record(message) for message in found.get("Messages", [])]


def test_redriven_a_message_counts_as_sent_when_it_was_sent_first(reader: Function) -> None:
    old, new = order(), order()
    new["items"][0]["quantity"] = 7
    app = cold_start("order_intake", ENVIRONMENT | {"POSTING_QUEUE_URL": reader.posting_queue})
    give_up(reader, old, UNTRACKED)
    given_up_at = first_sent_at(reader)
    reader.world.send(new, sent_at=given_up_at + 1)
    for _ in range(2):
        [message] = redrive(reader)
        assert message["messageAttributes"]["company"]["stringValue"] == UNTRACKED
        # SQS takes it for one that was sent just now, and it may be given up once more
        message["attributes"]["SentTimestamp"] = str(given_up_at + 5000)
        app.handler(batch(message), reader._context())
        entry = row(reader, old)
        assert entry is not None
        assert entry.message.order.lines[0].quantity == 7
        attributes = {
            name: {"DataType": "String", "StringValue": it["stringValue"]}
            for name, it in message["messageAttributes"].items()
        }
        _sqs().send_message(
            QueueUrl=reader.dead_letters, MessageBody=message["body"], MessageAttributes=attributes
        )


def test_a_redrive_that_runs_out_of_time_leaves_the_rest_where_it_is(reader: Function) -> None:
    for place in range(15):
        give_up(reader, order(id=place + 1))
    left_over = iter([9000, 2000])
    reader.milliseconds_left = lambda: next(left_over)
    assert reader.handle({"redrive": True}) == {"redriven": 10}
    assert len(left(reader)) == 5


@pytest.mark.parametrize("nonsense", ["", "soon", "-5", "9" * 16, "4000000000000"])
def test_a_time_that_can_not_be_the_first_one_is_not_believed(nonsense: str) -> None:
    assert sent_first_at(1795425600000, nonsense) == 1795425600000


def test_however_often_it_looks_there_is_one_row_and_the_bus_is_told_again_for_an_hour_only(
    reader: Function,
) -> None:
    sent = order()
    give_up(reader, sent)
    ids = set()
    for _ in range(3):
        read(reader)
        ids |= {told["id"] for told in reader.told()}
    entry = row(reader, sent)
    assert entry is not None
    assert (entry.version, len(ids)) == (1, 1)
    later = entry.changed_at + timedelta(minutes=61)
    object.__setattr__(reader.app.adapters, "now", lambda: later)
    read(reader)
    assert reader.told() == []
    assert row(reader, sent) == entry
    assert len(left(reader)) == 1


def test_a_run_that_ends_before_it_tells_the_bus_is_made_good_by_the_next(
    reader: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = order()
    give_up(reader, sent)
    with monkeypatch.context() as patched:
        patched.setattr(reader.app.bus, "put", _raise_killed)
        with pytest.raises(Killed), pytest.warns(UserWarning, match="metrics"):
            read(reader)
    assert state(reader, sent) == "needs_attention our_fault"
    read(reader)
    assert [told["problem"] for told in reader.told()] == ["our_fault"]


def _raise_killed(*_: Any) -> None:
    raise Killed


def test_an_order_sent_again_meanwhile_is_left_alone(reader: Function) -> None:
    sent = order()
    give_up(reader, sent)
    reader.world.send(sent, sent_at=4_000_000_000_000)
    before = row(reader, sent)
    read(reader)
    assert row(reader, sent) == before
    assert state(reader, sent) == "queued"
    assert reader.told() == []


def test_an_order_that_was_taken_in_before_its_intake_ended_is_left_alone(reader: Function) -> None:
    sent = order()
    give_up(reader, sent)
    reader.world.send(sent, sent_at=first_sent_at(reader))
    read(reader)
    assert state(reader, sent) == "queued"


def test_a_message_for_one_of_its_companies_gives_the_other_no_row(reader: Function) -> None:
    reader.world.company(OTHER, reader.world.organisation("Marlow Print Works Ltd"))
    both, narrowed = order(id=1, secondary_company_ref_id=OTHER), order(id=2, secondary_company_ref_id=OTHER)
    give_up(reader, both)
    give_up(reader, narrowed, company=OTHER)
    read(reader)
    found = [state(reader, sent, company) for sent in (both, narrowed) for company in (UNTRACKED, OTHER)]
    ours = "needs_attention our_fault"
    assert found == [ours, ours, "no row", ours]
    assert {
        message.get("MessageAttributes", {}).get("company", {}).get("StringValue") for message in left(reader)
    } == {
        None,
        OTHER,
    }


def test_a_message_that_names_nobody_is_kept_once_under_its_own_id(reader: Function) -> None:
    id_ = give_up(reader, "no order at all")
    read(reader)
    read(reader)
    entry = reader.world.orders.get("unknown", id_)
    assert entry is not None
    assert entry.problem is not None
    assert (entry.problem.code, entry.version) == ("our_fault", 1)


def test_a_message_whose_reading_is_what_fails_is_kept_under_its_own_id(
    reader: Function, monkeypatch: pytest.MonkeyPatch, our_faults: list[Fault]
) -> None:
    id_ = give_up(reader, order())

    def fails(body: str) -> None:
        raise LookupError("a bug of ours")

    monkeypatch.setattr(intake, "identify", fails)
    read(reader)
    entry = reader.world.orders.get("unknown", id_)
    assert entry is not None
    assert reader.told()[0]["problem"] == "our_fault"
    assert our_faults
    our_faults.clear()


def test_a_row_that_can_not_be_read_says_that_a_message_of_it_was_given_up(
    reader: Function, our_faults: list[Fault]
) -> None:
    sent, key = order(), {"key": f"{UNTRACKED}#{order()['id']}"}
    reader.world.send(sent)
    spoil(reader.world, "OrdersTable", key, received_at="yesterday")
    give_up(reader, sent)
    read(reader)
    kept = raw(reader.world, "OrdersTable", key)
    assert (kept["state"], kept["problem"]["code"]) == ("needs_attention", "our_fault")
    assert our_faults
    our_faults.clear()


def test_more_than_a_receive_holds_are_all_seen_and_can_all_be_redriven(
    reader: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = [order(id=number) for number in range(1, 26)]
    for one in sent:
        give_up(reader, one)
    read(reader)
    assert {state(reader, one) for one in sent} == {"needs_attention our_fault"}
    assert len(left(reader)) == 25
    [metrics] = metrics_in(capsys.readouterr().out)
    assert metrics["DeadLetters"] == [25.0]
    assert dimensions([metrics]) == {"service"}


def test_out_of_time_it_lets_go_of_the_rest_and_says_so(reader: Function) -> None:
    sent = [order(id=number) for number in range(1, 26)]
    for one in sent:
        give_up(reader, one)
    times = iter([9000] * 11)
    reader.milliseconds_left = lambda: next(times, 4000)
    read(reader)
    assert sum(state(reader, one) != "no row" for one in sent) == 12
    assert [line["seen"] for line in reader.logged() if line["level"] == "WARNING"] == [12]
    assert len(left(reader)) == 25


def test_one_that_fails_does_not_hide_the_others_and_is_looked_at_again(reader: Function) -> None:
    sent = [order(id=number) for number in (71, 72, 73)]
    for one in sent:
        give_up(reader, one)
    reader.wire.refuse = lambda call: (
        "InternalServerError" if call.operation == "PutItem" and '"72"' in call.text else None
    )
    read(reader)
    ours = "needs_attention our_fault"
    assert [state(reader, one) for one in sent] == [ours, "no row", ours]
    [line] = [line for line in reader.logged() if line["level"] == "ERROR"]
    assert line["message"] == "dead letter failed"
    reader.wire.refuse = lambda call: None
    read(reader)
    assert {state(reader, one) for one in sent} == {ours}


def test_nothing_of_the_consumer_is_kept_or_said(
    reader: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    give_up(reader, order(customer_name="canary-name", additional_info="canary-note"))
    give_up(reader, json.dumps(order(id=5, customer_name="canary-name"))[:-9])
    read(reader)
    captured = capsys.readouterr()
    kept = json.dumps(boto3.client("dynamodb").scan(TableName="OrdersTable")["Items"], default=kept_text)
    assert "our_fault" in kept
    told = json.dumps(reader.told())
    assert "canary" not in captured.out + captured.err + reader.log.getvalue() + kept + told

"""The order intake's handler on real events: what it acknowledges is in the ledger, the consumer is nowhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from bookkeeping.domain.errors import BusUnavailable
from local.samples import UNTRACKED, Maker
from tests.canaries import kept_text
from tests.integration.one_function import (
    Call,
    Function,
    batch,
    dimensions,
    event,
    metrics_in,
    record,
    running,
)
from tests.integration.one_process import raw, spoil
from tests.our_faults import Fault

OTHER = "500500"


@pytest.fixture
def intake() -> Iterator[Function]:
    with running("order_intake") as function:
        function.world.company(UNTRACKED)
        yield function


def order(company: str = UNTRACKED, **changes: Any) -> dict[str, Any]:
    return Maker().order(UNTRACKED, 1, 2, company_ref_id=int(company)) | changes


def orders(count: int) -> list[dict[str, Any]]:
    make = Maker()
    return [make.order(UNTRACKED, place) for place in range(count)]


def state(intake: Function, sent: dict[str, Any], company: str = UNTRACKED) -> str:
    entry = intake.world.orders.get(company, str(sent["id"]))
    if entry is None:
        return "no row"
    why = entry.problem.code if entry.problem else entry.reason
    return f"{entry.state} {why}".strip()


def failed(answer: Any) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def writes(intake: Function, table: str = "OrdersTable") -> list[Call]:
    return [
        call
        for call in intake.wire.calls
        if call.operation in ("PutItem", "TransactWriteItems") and table in call.text
    ]


# --- what is accepted


def test_the_event_sample_is_taken_into_the_ledgers_of_both_companies(intake: Function) -> None:
    intake.world.company("420913", intake.world.organisation("Demo Company (UK)"))
    intake.world.company("421406", intake.world.organisation("Marlow Print Works Ltd"), number_prefix="S-")
    answer = intake.handle(event("order_intake"))
    assert failed(answer) == []
    found = {
        (company, order_id): state(intake, {"id": order_id}, company)
        for company in ("420913", "421406")
        for order_id in ("62904417", "62904418", "62904419")
    }
    assert found == {
        ("420913", "62904417"): "queued",
        ("421406", "62904417"): "queued",
        # the second message is narrowed to one of the order's companies
        ("420913", "62904418"): "no row",
        ("421406", "62904418"): "queued",
        # the third breaks off before its end
        ("420913", "62904419"): "needs_attention unreadable_json",
        ("421406", "62904419"): "needs_attention unreadable_json",
    }


def test_a_company_that_is_not_the_orders_is_a_problem(intake: Function) -> None:
    sent = order()
    assert failed(intake.handle(batch(record(sent, company=OTHER)))) == []
    assert state(intake, sent) == "needs_attention company_not_in_order"


def as_binary(sent: dict[str, Any], told: bytes) -> dict[str, Any]:
    """The message with its attribute `company` as a sender's library makes it of bytes."""
    message = record(sent)
    binary = {"binaryValue": base64.b64encode(told).decode(), "stringListValues": [], "binaryListValues": []}
    message["messageAttributes"] = {"company": binary | {"dataType": "Binary"}}
    return message


def test_a_company_that_comes_as_bytes_narrows_the_order_to_it(intake: Function) -> None:
    both = order() | {"secondary_company_ref_id": int(OTHER)}
    intake.world.company(OTHER, intake.world.organisation("Marlow Print Works Ltd"), number_prefix="S-")
    assert failed(intake.handle(batch(as_binary(both, OTHER.encode())))) == []
    assert state(intake, both) == "no row"
    assert state(intake, both, OTHER) == "queued"


@pytest.mark.parametrize("told", [b"999001", b"\xff\xfe\x00", b"", b"412077, 999001"])
def test_bytes_that_are_no_company_of_the_order_are_a_problem(intake: Function, told: bytes) -> None:
    sent = order()
    assert failed(intake.handle(batch(as_binary(sent, told)))) == []
    assert state(intake, sent) == "needs_attention company_not_in_order"


def test_an_order_of_nobody_here_is_counted_and_acknowledged(
    intake: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = order(OTHER)
    assert failed(intake.handle(batch(record(sent)))) == []
    assert state(intake, sent, OTHER) == "no row"
    assert metrics_in(capsys.readouterr().out)[-1]["OrdersOfNoCompany"] == [1.0]


def test_what_names_neither_company_nor_order_is_kept_once_under_its_message(intake: Function) -> None:
    of_no_company = batch(record("no order at all"))
    for _ in range(2):
        assert failed(intake.handle(of_no_company)) == []
    entry = intake.world.orders.get("unknown", of_no_company["Records"][0]["messageId"])
    assert entry is not None
    assert entry.problem is not None
    assert (entry.problem.code, entry.version) == ("unreadable_json", 1)
    # told of each time, as the one before may have ended before it told
    assert [told["problem"] for told in intake.told()] == ["unreadable_json"]


def test_an_order_on_hold_may_be_unfinished_and_is_released_only_when_it_is_whole(intake: Function) -> None:
    whole = order()
    held = whole | {"status": 256, "status_name": "On Hold"}
    for place, (sent, outcome) in enumerate(
        [
            (held | {"items": []}, "skipped on_hold"),
            (held | {"items": [whole["items"][0] | {"quantity": -1}]}, "skipped on_hold"),
            (whole | {"items": []}, "needs_attention no_lines"),
            (whole, "queued"),
        ]
    ):
        assert failed(intake.handle(batch(record(sent, sent_at=1_795_000_000_000 + place)))) == []
        assert state(intake, whole) == outcome


# --- the order of things


def rung_for(intake: Function, lane: str) -> frozenset[str]:
    """The keys of the orders that a lane was rung for."""
    taken = intake.world.lanes.take(lane, intake.world.clock.now(), timedelta(seconds=90))
    assert taken is not None
    return taken.rung_for


def test_lanes_are_rung_once_each_when_all_rows_are_durable_and_the_bus_told_last(intake: Function) -> None:
    intake.world.company(OTHER, intake.world.organisation("Marlow Print Works Ltd"))
    sent = [
        *orders(6),
        order(OTHER, id=1),
        order(OTHER, id=2),
        order(id=3, status=128, status_name="Cancelled"),
    ]
    intake.handle(batch(*map(record, sent)))
    operations = [one for one in intake.wire.operations() if one not in ("GetItem", "BatchGetItem")]
    assert operations == ["PutItem"] * 9 + ["UpdateItem", "SendMessage"] * 2 + ["PutEvents"]
    woken = {message["lane"]: rung_for(intake, message["lane"]) for message in intake.messages()}
    assert sorted(map(len, woken.values())) == [2, 6]
    assert {key for keys in woken.values() for key in keys} == {
        f"{one['company_ref_id']}#{one['id']}" for one in sent[:-1]
    }
    assert [told["type"] for told in intake.told()] == ["OrderSkipped"]


def test_a_lane_that_was_rung_already_is_not_woken_twice(intake: Function) -> None:
    first, second = orders(2)
    intake.handle(batch(record(first)))
    assert len(intake.messages()) == 1
    intake.handle(batch(record(second)))
    assert intake.messages() == []
    assert state(intake, second) == "queued"


@pytest.mark.parametrize("operation", ["UpdateItem", "SendMessage", "PutEvents"])
def test_a_bell_or_a_bus_that_fails_has_the_batch_delivered_again_and_told_then(
    intake: Function, operation: str
) -> None:
    sent = [*orders(2), order(id=3, status=128, status_name="Cancelled")]
    delivery = batch(*map(record, sent))
    intake.wire.refuse = lambda call: "InternalFailure" if call.operation == operation else None
    with pytest.raises(ClientError):
        intake.handle(delivery)
    assert [state(intake, one) for one in sent] == ["queued", "queued", "skipped cancelled"]
    intake.wire.refuse = lambda call: None
    if operation == "SendMessage":
        # rung, and nobody told: the sweep finds the lane, rung without a holder
        [lane] = {intake.world.orders.get(UNTRACKED, str(one["id"])).lane for one in sent[:2]}  # type: ignore[union-attr]
        assert list(intake.world.lanes.to_wake(datetime.now(UTC) + timedelta(seconds=10))) == [lane]
    assert failed(intake.handle(delivery)) == []
    if operation == "UpdateItem":
        assert len(intake.messages()) == 1
    assert [told["type"] for told in intake.told()] == ["OrderSkipped"]


def test_events_the_bus_did_not_take_are_sent_again_and_never_given_up_silently(intake: Function) -> None:
    sent = [order(id=number, status=128, status_name="Cancelled") for number in range(1, 13)]
    put = intake.app.bus._client.put_events
    answers = iter([1, 0, 1, 1, 1])

    class Busy:
        def put_events(self, Entries: list[Any]) -> Any:  # noqa: N803
            failures = next(answers, 0)
            put(Entries=Entries[failures:]) if Entries[failures:] else None
            return {
                "Entries": [{"ErrorCode": "ThrottlingException"}] * failures
                + [{}] * (len(Entries) - failures)
            }

    intake.app.bus._client = Busy()
    with pytest.raises(BusUnavailable, match="1 events were not taken"):
        intake.handle(batch(*map(record, sent)))
    assert len({told["id"] for told in intake.told()}) == 11
    intake.handle(batch(*map(record, sent)))
    assert len({told["id"] for told in intake.told()}) == 12


# --- failures of ours


def test_one_message_that_fails_is_named_alone_and_the_others_are_accepted(intake: Function) -> None:
    sent = orders(5)
    records = [record(one) for one in sent]
    poisoned = str(sent[2]["id"])
    intake.wire.refuse = lambda call: (
        "InternalServerError" if call.operation == "PutItem" and poisoned in call.text else None
    )
    assert failed(intake.handle(batch(*records))) == [records[2]["messageId"]]
    assert [state(intake, one) for one in sent] == ["queued", "queued", "no row", "queued", "queued"]
    assert len(rung_for(intake, intake.messages()[0]["lane"])) == 4


def test_a_batch_that_fails_as_a_whole_names_every_message(intake: Function) -> None:
    records = [record(one) for one in orders(3)]
    intake.wire.refuse = lambda call: "ResourceNotFoundException" if call.operation == "PutItem" else None
    assert failed(intake.handle(batch(*records))) == [one["messageId"] for one in records]
    assert intake.messages() == []


@pytest.mark.parametrize(
    ("receives", "then"),
    [(1, "no row"), (2, "no row"), (3, "needs_attention our_fault"), (5, "needs_attention our_fault")],
)
def test_from_its_third_receive_on_a_message_that_crashes_us_leaves_a_row(
    intake: Function, receives: int, then: str
) -> None:
    sent, refusals = order(), iter(["InternalServerError"])
    intake.wire.refuse = lambda call: next(refusals, None) if call.operation == "PutItem" else None
    crashed = record(sent, receives=receives)
    assert failed(intake.handle(batch(crashed))) == [crashed["messageId"]]
    assert state(intake, sent) == then
    if then != "no row":
        [told] = intake.told()
        assert (told["type"], told["problem"]) == ("OrderNeedsAttention", "our_fault")
        assert crashed["messageId"] in told["sentence"] + told["fix"]


def test_a_message_for_one_of_its_companies_that_crashes_us_leaves_the_other_no_row(intake: Function) -> None:
    intake.world.company(OTHER, intake.world.organisation("Marlow Print Works Ltd"))
    sent, refusals = order(secondary_company_ref_id=OTHER), iter(["InternalServerError"])
    intake.wire.refuse = lambda call: next(refusals, None) if call.operation == "PutItem" else None
    intake.handle(batch(record(sent, company=OTHER, receives=3)))
    assert [state(intake, sent, one) for one in (UNTRACKED, OTHER)] == ["no row", "needs_attention our_fault"]


def test_a_message_that_can_not_even_be_read_and_crashes_us_leaves_a_row_too(intake: Function) -> None:
    body, refusals = json.dumps(order())[:-9], iter(["InternalServerError"])
    intake.wire.refuse = lambda call: next(refusals, None) if call.operation == "PutItem" else None
    crashed = record(body, receives=3)
    assert failed(intake.handle(batch(crashed))) == [crashed["messageId"]]
    assert state(intake, order()) == "needs_attention our_fault"


def test_after_its_last_receive_a_row_that_can_not_be_read_says_so(
    intake: Function, our_faults: list[Fault]
) -> None:
    sent = order()
    intake.world.send(sent)
    spoil(intake.world, "OrdersTable", {"key": f"{UNTRACKED}#{sent['id']}"}, received_at="yesterday")
    last = record(sent, receives=3, sent_at=4_000_000_000_000)
    assert failed(intake.handle(batch(last))) == [last["messageId"]]
    row = raw(intake.world, "OrdersTable", {"key": f"{UNTRACKED}#{sent['id']}"})
    assert (row["state"], row["problem"]["code"]) == ("needs_attention", "our_fault")
    assert our_faults
    our_faults.clear()


@pytest.mark.parametrize("next_receive", [4, 1], ids=["received again", "redriven"])
def test_once_received_again_an_order_that_was_our_fault_is_posted(
    intake: Function, next_receive: int
) -> None:
    sent, refusals = order(), iter(["InternalServerError"])
    intake.wire.refuse = lambda call: next(refusals, None) if call.operation == "PutItem" else None
    crashed = record(sent, receives=3)
    intake.handle(batch(crashed))
    assert (
        failed(
            intake.handle(
                batch(
                    crashed
                    | {"attributes": crashed["attributes"] | {"ApproximateReceiveCount": str(next_receive)}}
                )
            )
        )
        == []
    )
    assert state(intake, sent) == "queued"


def test_a_batch_that_runs_out_of_time_gives_back_what_it_did_not_reach_and_rings_for_the_rest(
    intake: Function,
) -> None:
    sent = orders(6)
    records = [record(one, receives=1 + (place == 5)) for place, one in enumerate(sent)]
    left = iter([9000, 6000, 3000])
    intake.milliseconds_left = lambda: next(left, 2000)
    answer = intake.handle(batch(*records))
    # the sixth had the fewest chances left
    assert failed(answer) == [one["messageId"] for one in records[2:5]]
    assert [state(intake, one) for one in sent] == ["queued"] * 2 + ["no row"] * 3 + ["queued"]
    assert len(rung_for(intake, intake.messages()[0]["lane"])) == 3


def test_only_an_order_that_has_a_row_is_read(intake: Function) -> None:
    def reads() -> int:
        return sum(call.operation == "GetItem" and "OrdersTable" in call.text for call in intake.wire.calls)

    sent = order()
    intake.handle(batch(record(sent)))
    assert reads() == 0
    intake.handle(batch(record(sent)))
    assert reads() == 1


def test_a_row_that_changes_between_read_and_write_is_read_again(intake: Function) -> None:
    sent, newer = order(), json.loads(json.dumps(order()))
    newer["items"][0]["quantity"] = 7
    moments = iter([None])

    def meanwhile(call: Call) -> None:
        if call.operation == "PutItem" and next(moments, "over") is None:
            intake.world.send(newer, sent_at=1795425600001)

    intake.wire.before = meanwhile
    assert failed(intake.handle(batch(record(sent)))) == []
    entry = intake.world.orders.get(UNTRACKED, str(sent["id"]))
    assert entry is not None
    assert entry.message.order.lines[0].quantity == 7
    assert entry.version == 1


def test_an_order_of_two_companies_in_one_organisation_is_skipped_by_the_second(intake: Function) -> None:
    intake.world.company(OTHER, intake.world.organisation("Demo Company (UK)"), number_prefix="B-")
    sent = order(secondary_company_ref_id=OTHER)
    assert failed(intake.handle(batch(record(sent)))) == []
    assert state(intake, sent, OTHER) == "queued"
    assert state(intake, sent) == "skipped already_in_books"


# --- what is kept and said


def test_nothing_of_the_consumer_or_of_the_message_is_kept_or_said(
    intake: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    canaries = ["canary-name", "canary@example.com", "Canary Street", "+44 7700 900999", "canary-note"]
    consumer = {
        "customer_name": canaries[0],
        "customer_email": canaries[1],
        "shipping_address_1": canaries[2],
        "customer_telephone": canaries[3],
        "additional_info": canaries[4],
        "billing_customer_name": canaries[0],
    }
    good, cancelled, bad, crashing = (order(id=number, **consumer) for number in (1, 2, 3, 4))
    cancelled |= {"status": 128, "status_name": "Cancelled"}
    bad["items"][0]["quantity"] = -1
    intake.wire.refuse = lambda call: (
        "InternalServerError" if call.operation == "PutItem" and '"4"' in call.text else None
    )
    broken = json.dumps(order(id=5, **consumer))[:-9]
    intake.handle(batch(*(record(one, receives=3) for one in (good, cancelled, bad, crashing, broken))))
    captured = capsys.readouterr()
    said = captured.out + captured.err + intake.log.getvalue()
    assert "order message failed" in said
    sent = "".join(call.text for call in intake.wire.calls)
    kept = json.dumps(
        [
            boto3.client("dynamodb").scan(TableName=name)["Items"]
            for name in boto3.client("dynamodb").list_tables()["TableNames"]
        ],
        default=kept_text,
    )
    for canary in canaries:
        for shape in (canary, base64.b64encode(canary.encode()).decode()):
            assert shape not in said + sent + kept
    assert "TEE-ORG-NVY-M" not in said


def test_metrics_count_orders_and_know_no_company(
    intake: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    intake.handle(batch(record(order()), record(order(OTHER)), record("{}")))
    [metrics] = metrics_in(capsys.readouterr().out)
    names = ("OrdersAccepted", "OrdersOfNoCompany", "OrdersUnreadable", "OrdersUnclaimed")
    assert [metrics[name] for name in names] == [[1.0]] * 4
    assert [metrics[name] for name in ("OrdersNeedingAttention", "OrdersSkipped")] == [[1.0], [0.0]]
    assert dimensions([metrics]) == {"service"}
    assert metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "KornitXero"


def test_the_log_names_each_order_that_came_in(intake: Function) -> None:
    sent = order()
    intake.handle(batch(record(sent)))
    [line] = [line for line in intake.logged() if line["message"] == "orders"]
    about = (line["company"], line["state"], line["how_many"], line["orders"])
    assert about == (UNTRACKED, "queued", 1, [str(sent["id"])])


def test_a_failure_is_logged_with_its_message_and_no_body(intake: Function) -> None:
    crashed = record(order())
    intake.wire.refuse = lambda call: "InternalServerError" if call.operation == "PutItem" else None
    intake.handle(batch(crashed))
    [line] = [line for line in intake.logged() if line["level"] == "ERROR"]
    assert line["message_id"] == crashed["messageId"]
    assert line["kind"] == "PutItem: InternalServerError"
    assert crashed["body"][:40] not in json.dumps(line)

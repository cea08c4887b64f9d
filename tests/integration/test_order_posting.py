"""The order posting's handler on real events: a wake-up becomes documents in Xero, and whatever fails is not lost."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import requests
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from xero_python.accounting import AccountingApi
from xero_python.api_client import ApiClient

from bookkeeping.adapters.tables.releases import Release
from bookkeeping.domain.ledger import State
from local.samples import TRACKED, UNTRACKED, Maker, gross
from local.xero.in_process import InProcess
from local.xero.server import create_app
from tests.canaries import kept_text
from tests.integration.one_function import (
    Function,
    batch,
    dimensions,
    event,
    metrics_in,
    record,
    running,
)
from tests.integration.one_process import PREFIX, XERO


class Recorded(InProcess):
    """The simulated Xero, and what was sent to it."""

    sent: list[requests.PreparedRequest]

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        self.sent.append(request)
        return super().send(request, *args, **options)


@pytest.fixture
def posting() -> Iterator[Function]:
    with running("order_posting") as function:
        world, app = function.world, function.app
        transport = Recorded(create_app(world.xero), world.xero)
        transport.sent = []
        app.adapters.xero.session.mount(XERO, transport)
        # its clock is the simulated Xero's; everything else is as it was made
        app.adapters = replace(app.adapters, now=world.clock.now, sleep=world.clock.sleep)
        app.release_adapters = replace(app.release_adapters, now=world.clock.now)
        world.company(UNTRACKED)
        yield function


def sent_to_xero(posting: Function) -> list[requests.PreparedRequest]:
    sent: list[requests.PreparedRequest] = posting.app.adapters.xero.session.adapters[XERO].sent
    return sent


def orders(count: int, company: str = UNTRACKED) -> list[dict[str, Any]]:
    make = Maker()
    return [make.order(company, place, 1 + place % 3) for place in range(count)]


def accepted(posting: Function, sent: list[dict[str, Any]], company: str = UNTRACKED) -> dict[str, Any]:
    """The wake-up that the intake would send for these orders, as an event."""
    posting.world.send(*sent)
    return batch(record({"lane": posting.world.entry(sent[0], company).lane}))


def states(posting: Function, sent: list[dict[str, Any]], company: str = UNTRACKED) -> set[str]:
    return {str(posting.world.entry(order, company).state) for order in sent}


# --- what a wake-up does


def test_a_wake_up_posts_what_is_due_and_tells_the_bus(posting: Function) -> None:
    sent = orders(3)
    answer = posting.handle(accepted(posting, sent))
    assert answer == {"batchItemFailures": []}
    assert states(posting, sent) == {"posted"}
    created = {done["number"]: done["total"] for done in posting.world.committed("invoice")}
    assert {number: str(total) for number, total in created.items()} == {
        f"KX-{order['id']}": str(gross(order)) for order in sent
    }
    assert [told["type"] for told in posting.told()] == ["OrderPosted"] * 3


def test_the_event_sample_is_a_wake_up_of_a_lane_with_nothing_to_do(posting: Function) -> None:
    assert posting.handle(event("order_posting")) == {"batchItemFailures": []}
    assert sent_to_xero(posting) == []


def test_a_wake_up_while_the_lane_is_held_is_acknowledged_and_calls_nobody(posting: Function) -> None:
    sent = orders(1)
    wake_up = accepted(posting, sent)
    lane = posting.world.entry(sent[0]).lane
    assert posting.world.lanes.take(lane, posting.world.clock.now(), timedelta(seconds=90))
    assert posting.handle(wake_up) == {"batchItemFailures": []}
    assert sent_to_xero(posting) == []
    assert states(posting, sent) == {"queued"}


@pytest.mark.parametrize("body", ["", "no JSON", "[]", "{}", '{"keys": []}', '{"release": "1"}', "null"])
def test_a_malformed_wake_up_is_left_to_the_dead_letter_queue_and_harms_no_lane(
    posting: Function, body: str
) -> None:
    sent = orders(1)
    good = accepted(posting, sent)
    with pytest.raises(BatchProcessingError), pytest.warns(UserWarning, match="metrics"):
        posting.handle(batch(record(body)))
    assert sent_to_xero(posting) == []
    posting.handle(good)
    assert states(posting, sent) == {"posted"}


def two_lanes(posting: Function) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Orders of two companies, and both wake-ups in one event."""
    world = posting.world
    world.company(TRACKED, world.organisation("Demo Company (AU)"))
    sent, others = orders(2), orders(2, TRACKED)
    wake_ups = accepted(posting, sent)["Records"] + accepted(posting, others, TRACKED)["Records"]
    return sent, others, batch(*wake_ups)


def test_lanes_are_served_side_by_side(posting: Function) -> None:
    sent, others, wake_ups = two_lanes(posting)
    transport = posting.app.adapters.xero.session.adapters[XERO]
    send, both_there = transport.send, threading.Barrier(2, timeout=20)

    def answered(request: requests.PreparedRequest, *about: Any, **options: Any) -> requests.Response:
        if request.method == "PUT":
            both_there.wait()
        answer: requests.Response = send(request, *about, **options)
        return answer

    transport.send = answered
    assert posting.handle(wake_ups) == {"batchItemFailures": []}
    assert states(posting, sent) == states(posting, others, TRACKED) == {"posted"}


def test_a_lane_that_fails_fails_its_own_wake_up_and_no_other(posting: Function) -> None:
    sent, others, wake_ups = two_lanes(posting)
    failing = f"lane#{posting.world.entry(sent[0]).lane}"
    posting.wire.refuse = lambda call: (
        "InternalServerError" if call.operation == "UpdateItem" and failing in call.text else None
    )
    bad = record("no JSON")
    answer = posting.handle(batch(*wake_ups["Records"], bad))
    failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    assert failed == {wake_ups["Records"][0]["messageId"], bad["messageId"]}
    assert (states(posting, sent), states(posting, others, TRACKED)) == ({"queued"}, {"posted"})


def test_a_crash_in_a_turn_fails_its_wake_up_and_the_next_turn_posts_once(posting: Function) -> None:
    sent = orders(3)
    wake_up = accepted(posting, sent)
    writes = iter([None, None, "InternalServerError"])
    posting.wire.refuse = lambda call: (
        next(writes, None) if call.operation in ("TransactWriteItems", "PutItem", "UpdateItem") else None
    )
    with pytest.raises(BatchProcessingError), pytest.warns(UserWarning, match="metrics"):
        posting.handle(wake_up)
    posting.wire.refuse = lambda call: None
    posting.world.clock.advance(100)
    posting.handle(wake_up)
    assert states(posting, sent) == {"posted"}
    assert len(posting.world.committed("invoice")) == 3


def test_a_release_is_gone_on_with_and_its_orders_are_freed(
    posting: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = orders(2)
    posting.world.save_settings(UNTRACKED, enabled=False)
    posting.world.send(*sent)
    assert states(posting, sent) == {"skipped"}
    posting.world.save_settings(UNTRACKED, enabled=True)
    now = posting.world.clock.now()
    release = Release(UNTRACKED, "1", now, now, lists=((State.SKIPPED, "integration_off"),), by="Ada Moore")
    posting.world.releases.ask(release)
    posting.handle(batch(record({"release": "1", "company": UNTRACKED})))
    assert states(posting, sent) == {"queued"}
    assert metrics_in(capsys.readouterr().out)[-1]["OrdersFreed"] == [2.0]
    [wake_up] = posting.messages()
    posting.handle(batch(record(wake_up)))
    assert states(posting, sent) == {"posted"}


# --- what is sent to Xero


def test_every_document_sent_is_known_to_xeros_own_sdk(posting: Function) -> None:
    world = posting.world
    world.company(TRACKED, world.organisation("Demo Company (AU)"), process_method="tracked")
    for company in (UNTRACKED, TRACKED):
        sent = orders(12, company)
        posting.handle(accepted(posting, sent, company))
        assert states(posting, sent, company) == {"posted"}
    client = ApiClient()
    finder = AccountingApi(client).get_model_finder()
    decoded: dict[str, int] = {}
    for request in sent_to_xero(posting):
        if request.method == "GET":
            continue
        assert request.method == "PUT"
        assert isinstance(request.body, bytes)
        kind = (request.path_url or "").partition("?")[0].rpartition("/")[2]
        body = json.loads(request.body)
        # the SDK reads days as Xero answers them
        answered = DAY.sub(_as_answered, request.body.decode())
        batch_ = client.deserialize(SimpleNamespace(text=answered), kind, finder)
        models = getattr(
            batch_, {"Invoices": "invoices", "PurchaseOrders": "purchase_orders", "Items": "items"}[kind]
        )
        assert len(models) == len(body[kind])
        for model, document in zip(models, body[kind], strict=True):
            _knows(model, document)
        decoded[kind] = decoded.get(kind, 0) + len(models)
    assert decoded["Invoices"] == 24
    assert decoded["PurchaseOrders"] == 12
    assert decoded["Items"] == len({item["sku"] for order in orders(12, TRACKED) for item in order["items"]})


DAY = re.compile(r'"((?:Due)?Date)": ?"(\d{4}-\d\d-\d\d)"')


def _as_answered(day: re.Match[str]) -> str:
    moment = datetime.fromisoformat(day[2]).replace(tzinfo=UTC)
    return f'"{day[1]}": "/Date({int(moment.timestamp() * 1000)}+0000)/"'


def _knows(model: Any, document: dict[str, Any]) -> None:
    """Every key that was sent is one of the model's, and holds a value there."""
    names = {in_json: name for name, in_json in model.attribute_map.items()}
    for key, value in document.items():
        assert key in names, f"{type(model).__name__} has no {key}"
        held = getattr(model, names[key])
        assert held is not None, key
        if isinstance(value, dict):
            _knows(held, value)
        elif isinstance(value, list):
            for one, part in zip(held, value, strict=True):
                _knows(one, part)


def test_each_call_carries_its_own_organisation_and_a_key_of_its_own(posting: Function) -> None:
    posting.handle(accepted(posting, orders(60)))
    # more than a call holds: a turn from the backlog's queue
    [wake_up] = posting.messages()
    assert wake_up["backlog"] is True
    posting.handle(batch(record(wake_up)))
    puts = [request for request in sent_to_xero(posting) if request.method == "PUT"]
    assert len(puts) == 2
    keys = {request.headers["Idempotency-Key"] for request in puts}
    assert len(keys) == 2
    assert all(len(key) <= 128 for key in keys)
    organisation = posting.world.organisation("Demo Company (UK)").id
    assert {request.headers["Xero-Tenant-Id"] for request in sent_to_xero(posting)} == {organisation}


# --- what is kept and said


def test_nothing_of_a_consumer_or_a_token_is_kept_or_said(
    posting: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    held = json.loads(
        posting.world.secrets.get_secret_value(SecretId=f"{PREFIX}/{UNTRACKED}/tokens")["SecretString"]
    )
    canaries = [held["access_token"], held["refresh_token"], "Zoë O'Brien", "zoe@example.com", "Harbour Row"]
    sent = orders(4)
    sent[3]["currency_code"] = "CHF"
    posting.world.xero.faults.add({"kind": "error_after_commit", "method": "PUT"})
    wake_up = accepted(posting, sent)
    for _ in range(3):
        posting.handle(wake_up)
        posting.world.clock.advance(400)
    assert states(posting, sent) == {"posted", "needs_attention"}
    captured = capsys.readouterr()
    kept = json.dumps(
        [
            boto3.client("dynamodb").scan(TableName=name)["Items"]
            for name in boto3.client("dynamodb").list_tables()["TableNames"]
        ],
        default=kept_text,
    )
    told = "".join(call.text for call in posting.wire.calls)
    to_xero = "".join(str(request.body) + (request.url or "") for request in sent_to_xero(posting))
    for canary in canaries:
        for shape in (canary, base64.b64encode(canary.encode()).decode()):
            assert shape not in captured.out + captured.err + posting.log.getvalue() + kept + told + to_xero


def test_metrics_count_calls_and_documents_and_know_no_company(
    posting: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = orders(3)
    sent[2]["currency_code"] = "CHF"
    posting.handle(accepted(posting, sent))
    [metrics] = metrics_in(capsys.readouterr().out)
    assert (metrics["OrdersPosted"], len(metrics["SecondsToBooks"])) == ([2.0], 2)
    assert metrics["DayCallsLeft"] == [5000.0 - len(sent_to_xero(posting))]
    counted = (
        "DocumentsPosted",
        "OrdersNeedingAttention",
        "CallsThrottled",
        "OutcomesUnknown",
        "UnexpectedAnswers",
    )
    assert [metrics[name] for name in counted] == [[2.0], [1.0], [0.0], [0.0], [0.0]]
    assert metrics["CallsToXero"] == [len(sent_to_xero(posting))]
    assert dimensions([metrics]) == {"service"}
    [turn] = [line for line in posting.logged() if line["message"] == "turn"]
    assert (turn["lane"], turn["companies"]) == (posting.world.entry(sent[0]).lane, [UNTRACKED])
    assert not [line for line in posting.logged() if line["level"] == "ERROR"]


def test_the_log_names_each_order_and_what_became_of_it_and_nothing_else_of_it(posting: Function) -> None:
    sent = orders(3)
    sent[2]["currency_code"] = "CHF"
    posting.handle(accepted(posting, sent))
    ids = [str(order["id"]) for order in sent]
    lines = [line for line in posting.logged() if line["message"] == "orders"]
    about = [(line["company"], line["state"], line["why"], line["how_many"]) for line in lines]
    assert sorted(about) == [
        (UNTRACKED, "needs_attention", "currency_not_enabled", 1),
        (UNTRACKED, "posted", "", 2),
    ]
    by_state = {line["state"]: sorted(line["orders"]) for line in lines}
    assert by_state == {"needs_attention": ids[2:], "posted": sorted(ids[:2])}


def test_a_day_budget_that_is_nearly_gone_is_counted_once_a_company(
    posting: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    make = Maker()
    counted = []
    for place, limit in enumerate((5000, 105, 105, 5000, 105)):
        for organisation in posting.world.xero.organisations.values():
            organisation.day_limit = limit
        posting.handle(accepted(posting, [make.order(UNTRACKED, place)]))
        [metrics] = metrics_in(capsys.readouterr().out)
        counted += metrics["DayBudgetsNearlyGone"]
        posting.world.clock.advance(60)
    assert counted == [0.0, 1.0, 0.0, 0.0, 1.0]


def test_a_day_that_is_used_up_is_counted_as_well(
    posting: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    for organisation in posting.world.xero.organisations.values():
        organisation.day_limit = 0
    posting.handle(accepted(posting, orders(1)))
    [metrics] = metrics_in(capsys.readouterr().out)
    assert (metrics["DayBudgetsNearlyGone"], metrics["DayCallsLeft"]) == ([1.0], [0.0])


def test_a_connection_that_posting_finds_lost_is_counted_once(
    posting: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = orders(2)
    wake_up = accepted(posting, sent)
    connection = posting.world.connections.connection(UNTRACKED)
    assert connection is not None
    posting.world.xero.connections.drop(client_id=connection.client_id, tenant_id=connection.organisation_id)
    posting.handle(wake_up)
    posting.handle(wake_up)
    assert states(posting, sent) == {"waiting"}
    counted = metrics_in(capsys.readouterr().out)
    assert [metrics["ConnectionsLost"] for metrics in counted] == [[1.0], [0.0]]
    assert [metrics["OrdersWaiting"] for metrics in counted] == [[2.0], [0.0]]


def test_an_answer_that_only_a_fault_of_ours_explains_is_logged_and_counted(
    posting: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = orders(1)
    wake_up = accepted(posting, sent)
    # Xero knows no such address: it answers 404, which no document can be at fault for
    posting.app.adapters.xero._base += "no-such-place/"
    posting.handle(wake_up)
    assert metrics_in(capsys.readouterr().out)[-1]["UnexpectedAnswers"] == [1.0]
    [line] = [line for line in posting.logged() if line["level"] == "ERROR"]
    assert line["fault"].startswith("404")
    assert posting.world.entry(sent[0]).state is State.QUEUED

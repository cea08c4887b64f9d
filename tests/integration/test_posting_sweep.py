"""The sweep's handler on its schedule's event: it wakes what is due or was forgotten, and leaves the rest alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from bookkeeping.adapters.queues import MessagesRefused
from bookkeeping.adapters.tables.lanes import Lane
from bookkeeping.adapters.tables.releases import Release
from tests.integration.one_function import (
    Function,
    dimensions,
    event,
    metrics_in,
    running,
)

LEASE = timedelta(seconds=90)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def sweep() -> Iterator[Function]:
    with running("posting_sweep") as function:
        yield function


def take(sweep: Function, lane: str, at: datetime) -> Lane:
    taken = sweep.world.lanes.take(lane, at, LEASE)
    assert taken is not None
    return taken


def let_go(sweep: Function, lane: Lane, next_at: datetime | None) -> None:
    assert sweep.world.lanes.release(lane, next_at=next_at, calls=[], though_rung=True)


def woken(sweep: Function) -> set[str]:
    sweep.handle(event("posting_sweep"))
    return {message["lane"] for message in sweep.messages()}


def test_lanes_that_are_due_or_were_forgotten_are_woken_and_no_others(sweep: Function) -> None:
    now, lanes = datetime.now(UTC), sweep.world.lanes
    let_go(sweep, take(sweep, "due", now - MINUTE), now - timedelta(seconds=1))
    let_go(sweep, take(sweep, "later", now - MINUTE), now + MINUTE)
    let_go(sweep, take(sweep, "for a person", now - MINUTE), None)
    paused = replace(take(sweep, "paused", now - MINUTE), pause="day_limit", paused_until=now + MINUTE)
    let_go(sweep, paused, now + MINUTE)
    take(sweep, "held", now - MINUTE)
    take(sweep, "holder died", now - 2 * MINUTE)
    lanes.ring("rung, its wake-up lost", now - MINUTE)
    lanes.ring("rung a moment ago", datetime.now(UTC))
    take(sweep, "rung and held", now - MINUTE)
    lanes.ring("rung and held", now)
    take(sweep, "rung, holder died", now - 2 * MINUTE)
    lanes.ring("rung, holder died", now - MINUTE)
    expected = {"due", "holder died", "rung, its wake-up lost", "rung, holder died"}
    assert woken(sweep) == expected
    for lane in expected:
        let_go(sweep, take(sweep, lane, now), None)
    assert woken(sweep) == set()


def test_a_lane_is_not_woken_again_while_its_wake_up_waits(sweep: Function) -> None:
    lanes = sweep.world.lanes
    lanes.ring("waits", datetime.now(UTC) - MINUTE)
    assert woken(sweep) == {"waits"}
    assert woken(sweep) == set()
    lane = take(sweep, "waits", datetime.now(UTC) - MINUTE)
    let_go(sweep, lane, datetime.now(UTC) - timedelta(seconds=1))
    assert woken(sweep) == {"waits"}, "somebody has taken it since"


def test_a_wake_up_that_waits_too_long_is_taken_to_be_lost(sweep: Function) -> None:
    sweep.world.lanes.ring("lost", datetime.now(UTC) - MINUTE)
    assert woken(sweep) == {"lost"}
    remembered = sweep.world.lanes.woken()["lost"]
    sweep.world.lanes.save_woken({"lost": replace(remembered, at=remembered.at - 5 * MINUTE)})
    assert woken(sweep) == {"lost"}


def test_a_sweep_with_nothing_to_do_writes_nothing(sweep: Function) -> None:
    assert woken(sweep) == set()
    assert "BatchWriteItem" not in sweep.wire.operations()


def test_a_lane_both_due_and_rung_is_woken_once(sweep: Function) -> None:
    now = datetime.now(UTC)
    let_go(sweep, take(sweep, "both", now - MINUTE), now - timedelta(seconds=1))
    sweep.world.lanes.ring("both", now)
    sweep.handle(event("posting_sweep"))
    assert sweep.messages() == [{"lane": "both"}]


def test_releases_that_are_due_are_gone_on_with(sweep: Function) -> None:
    now = datetime.now(UTC)
    for id_, next_at in (("due", now - MINUTE), ("later", now + MINUTE)):
        sweep.world.releases.ask(Release("412077", id_, now - MINUTE, next_at))
    sweep.handle(event("posting_sweep"))
    assert sweep.messages() == [{"release": "due", "company": "412077"}]


def test_with_many_lanes_due_each_is_woken_and_wake_ups_are_sent_in_tens(sweep: Function) -> None:
    now = datetime.now(UTC)
    lanes = {f"APP#{number:03}" for number in range(105)}
    for lane in lanes:
        sweep.world.lanes.ring(lane, now - MINUTE)
    assert woken(sweep) == lanes
    assert sweep.wire.operations().count("SendMessageBatch") == 11
    assert "SendMessage" not in sweep.wire.operations()


def test_a_message_that_the_queue_does_not_take_fails_the_sweep_and_holds_no_other_back(
    sweep: Function,
) -> None:
    for number in range(12):
        sweep.world.lanes.ring(f"APP#{number:03}", datetime.now(UTC) - MINUTE)
    done = {"Id": "0", "MessageId": "1", "MD5OfMessageBody": "2"}
    refused = {"Id": "1", "SenderFault": False, "Code": "InternalError"}
    with Stubber(sweep.app.wake_ups._client) as queue:
        queue.add_response("send_message_batch", {"Successful": [done], "Failed": [refused]})
        queue.add_response("send_message_batch", {"Successful": [done], "Failed": []})
        with pytest.raises(MessagesRefused, match="1 of 12"), pytest.warns(UserWarning, match="metrics"):
            sweep.handle(event("posting_sweep"))
        queue.assert_no_pending_responses()


def test_it_counts_the_lanes_and_names_none(sweep: Function, capsys: pytest.CaptureFixture[str]) -> None:
    sweep.world.lanes.ring("APP#ORGANISATION", datetime.now(UTC) - MINUTE)
    sweep.handle(event("posting_sweep"))
    [metrics] = metrics_in(capsys.readouterr().out)
    assert metrics["LanesWoken"] == [1.0]
    assert dimensions([metrics]) == {"service"}
    assert "ORGANISATION" not in str(metrics) + sweep.log.getvalue()


def test_it_measures_how_long_a_lane_has_waited_for_its_turn(
    sweep: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    now, lanes = datetime.now(UTC), sweep.world.lanes
    sweep.handle(event("posting_sweep"))
    lanes.ring("rung", now - 2 * MINUTE)
    let_go(sweep, take(sweep, "due", now - MINUTE), now - 3 * MINUTE)
    let_go(sweep, take(sweep, "waits for Xero", now - 9 * MINUTE), now + MINUTE)
    take(sweep, "at work", now - MINUTE)
    sweep.handle(event("posting_sweep"))
    none, some = (metrics["LongestOverdue"][0] for metrics in metrics_in(capsys.readouterr().out))
    assert none == 0
    assert 180 <= some < 240


def test_what_the_schedule_says_does_not_matter(sweep: Function) -> None:
    sweep.world.lanes.ring("lane", datetime.now(UTC) - MINUTE)
    sweep.handle({})
    assert [message["lane"] for message in sweep.messages()] == ["lane"]


def test_a_queue_that_fails_fails_the_sweep_and_the_next_one_makes_it_good(sweep: Function) -> None:
    sweep.world.lanes.ring("lane", datetime.now(UTC) - MINUTE)
    sweep.wire.refuse = lambda call: "InternalFailure" if call.operation == "SendMessageBatch" else None
    with pytest.raises(ClientError), pytest.warns(UserWarning, match="metrics"):
        sweep.handle(event("posting_sweep"))
    sweep.wire.refuse = lambda call: None
    assert woken(sweep) == {"lane"}

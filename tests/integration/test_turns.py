"""A lane's turns: short ones, and long ones that a lane with a backlog waits for, at the wire and on virtual time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from moto import mock_aws

from bookkeeping.adapters.queues import PostingQueue, WakeUp
from bookkeeping.adapters.tables.releases import Release
from bookkeeping.domain.ledger import Entry, State
from bookkeeping.domain.pacing import BATCH_SIZE
from bookkeeping.use_cases.posting.turn import ROUND
from bookkeeping.use_cases.release import save
from bookkeeping.use_cases.wake_lanes import ring
from local.samples import TRACKED, UNTRACKED, Maker
from tests.integration import one_process
from tests.integration.one_process import XERO, Killed, OneProcess, in_memory
from tests.integration.test_documents_xero_fails_on import fails
from tests.storms.dynamodb import DynamoDB
from tests.storms.environment import table_properties

SLOW = {"kind": "slow_answer", "path_prefix": "/api.xro/", "probability": 1.0, "seconds": 20}


@pytest.fixture
def books() -> Iterator[OneProcess]:
    with mock_aws():
        world = OneProcess(tables=in_memory)
        world.company(UNTRACKED)
        yield world


def orders(count: int) -> list[dict[str, Any]]:
    make = Maker()
    return [make.order(UNTRACKED, place) for place in range(count)]


def waiting(books: OneProcess) -> list[dict[str, Any]]:
    """The wake-ups on their way, taken off it."""
    found = [json.loads(body) for _, _, body in sorted(books.queue.waiting)]
    books.queue.waiting.clear()
    return found


@pytest.fixture
def handed_over(books: OneProcess) -> str:
    """A lane whose short turn was over before it had posted anything."""
    books.xero.faults.add(SLOW)
    [order] = orders(1)
    books.send(order)
    [wake_up] = waiting(books)
    books.turn(json.dumps(wake_up))
    lane: str = wake_up["lane"]
    assert books.entry(order).state is State.QUEUED
    assert len(books.calls()) == 4, "the organisation's facts, asked for together"
    return lane


def test_a_short_turn_that_is_over_goes_on_as_a_long_one(books: OneProcess, handed_over: str) -> None:
    assert waiting(books) == [{"lane": handed_over, "backlog": True}]
    books.turn(WakeUp(handed_over, backlog=True).to_json())
    assert len(books.committed("invoice")) == 1


def test_a_lane_with_more_than_a_call_holds_goes_on_as_a_long_one_before_it_calls_anybody(
    books: OneProcess,
) -> None:
    few, many = orders(BATCH_SIZE - 1), orders(2 * BATCH_SIZE)[BATCH_SIZE:]
    books.send(*many)
    [wake_up] = waiting(books)
    books.turn(json.dumps(wake_up))
    assert books.calls() == []
    assert waiting(books) == [wake_up | {"backlog": True}]
    books.turn(json.dumps(wake_up | {"backlog": True}))
    books.send(*few)
    for short in waiting(books):
        books.turn(json.dumps(short))
    assert len(books.committed("invoice")) == len(few) + len(many)


def test_a_lane_that_waits_for_a_long_turn_takes_no_short_one(books: OneProcess, handed_over: str) -> None:
    waiting(books)
    before = len(books.calls())
    books.turn(WakeUp(handed_over).to_json())
    books.send(*orders(2)[1:])
    for wake_up in waiting(books):
        books.turn(json.dumps(wake_up))
    books.sweep()
    assert waiting(books) == []
    assert len(books.calls()) == before


def test_a_long_turn_whose_wake_up_was_lost_is_asked_for_again(books: OneProcess, handed_over: str) -> None:
    waiting(books)
    books.clock.advance(timedelta(minutes=4).total_seconds())
    books.sweep()
    [woken] = waiting(books)
    assert woken == {"lane": handed_over}
    books.turn(json.dumps(woken))
    assert waiting(books) == [{"lane": handed_over, "backlog": True}]


def test_a_lane_that_is_done_takes_short_turns_again(books: OneProcess, handed_over: str) -> None:
    books.run()
    books.xero.faults.remove(None)
    before = len(books.committed("invoice"))
    books.send(*orders(2)[1:])
    [wake_up] = waiting(books)
    assert "backlog" not in wake_up
    books.turn(json.dumps(wake_up))
    assert len(books.committed("invoice")) == before + 1


def test_an_order_does_not_wait_until_a_batch_is_settled_that_has_no_answer(books: OneProcess) -> None:
    """The turn that had the last call for the batch was a long one, and it left nothing that is due."""
    adapter: Any = books.posting.xero.session.get_adapter(XERO)
    fails(books, "no answer in time")
    books.send(*orders(BATCH_SIZE))
    books.run(timedelta(seconds=130))
    [(settle_at, _, _)] = books.queue.waiting
    assert settle_at - books.clock.now() > timedelta(seconds=30)
    del adapter.send
    late = orders(BATCH_SIZE + 1)[BATCH_SIZE]
    books.send(late)
    books.run(timedelta(seconds=2))
    assert books.entry(late).state is State.POSTED


def test_an_order_whose_setting_was_put_right_while_it_was_due_is_posted_in_the_same_turn(
    books: OneProcess,
) -> None:
    right = books.books(UNTRACKED).settings.contact_name
    books.save_settings(UNTRACKED, contact_name="Nobody bears this name")
    [order] = orders(1)
    books.send(order)
    books.save_settings(UNTRACKED, contact_name=right)
    [wake_up] = waiting(books)
    books.turn(json.dumps(wake_up))
    assert books.entry(order).state is State.POSTED


def test_a_lane_is_looked_at_once_more_though_a_turn_comes_first_and_the_wake_up_is_lost() -> None:
    """Nobody named the first order, and no index shows it yet. The second is named and posted before."""
    with mock_aws():
        lag = timedelta(seconds=9)
        books = OneProcess(tables=lambda now: DynamoDB(now, table_properties(), lag=lambda: lag))
        books.company(UNTRACKED)
        unseen, named = orders(2)
        with patch.object(one_process, "ring"):
            books.send(unseen)
        lane = books.entry(unseen).lane
        ring(books.lanes, books.wake_ups, {lane: ()}, books.clock.now())
        books.run(timedelta(seconds=2))
        assert waiting(books) == [{"lane": lane}]
        books.send(named)
        books.run(timedelta(seconds=2))
        assert (books.entry(named).state, books.entry(unseen).state) == (State.POSTED, State.QUEUED)
        waiting(books)
        books.run()
        assert books.entry(unseen).state is State.POSTED


def test_an_invoice_follows_its_purchase_order_though_a_former_holder_wrote_that_it_is_there() -> None:
    """Its lease had ended. The next turn finds the batch settled, and no index shows the order as due yet."""
    with mock_aws():
        lag = timedelta(seconds=9)
        books = OneProcess(tables=lambda now: DynamoDB(now, table_properties(), lag=lambda: lag))
        books.company(TRACKED, books.organisation("Demo Company (AU)"), process_method="tracked")
        order = Maker().order(TRACKED, 1)
        save_entry = books.orders.save

        def save_late(entry: Entry, *about: Any) -> Entry:
            if entry.state is not State.QUEUED or not entry.documents or late:
                return save_entry(entry, *about)
            late.append(entry)
            books.clock.advance(books.waits.lease.total_seconds() + 1)
            saved = save_entry(entry, *about)
            books.turn(WakeUp(entry.lane).to_json())
            return saved

        late: list[Entry] = []
        with patch.object(books.orders, "save", save_late):
            books.send(order)
            books.run()
        assert late
        assert books.entry(order, TRACKED).state is State.POSTED


def test_an_order_that_a_person_retried_is_posted_though_the_process_ends_before_it_rings_again(
    books: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turn that the first ring asked for is over by the time the order is due."""
    right = books.books(UNTRACKED).settings.contact_name
    books.save_settings(UNTRACKED, contact_name="Nobody bears this name")
    [order] = orders(1)
    books.send(order)
    books.run()
    books.save_settings(UNTRACKED, contact_name=right)
    save_once = books.orders.save_once

    def save_late(*entry: Any) -> None:
        books.run(timedelta(seconds=5))
        save_once(*entry)
        raise Killed

    monkeypatch.setattr(books.orders, "save_once", save_late)
    asked = Release(UNTRACKED, "", books.clock.now(), books.clock.now(), by="Ann")
    with pytest.raises(Killed):
        save(books.release_adapters, "Ann", books.entry(order), books.books(UNTRACKED), asked)
    monkeypatch.undo()
    books.run()
    assert books.entry(order).state is State.POSTED


def test_a_wake_up_for_a_long_turn_travels_in_the_backlogs_own_queue() -> None:
    sent: list[tuple[str, str]] = []

    class Sqs:
        def send_message(self, QueueUrl: str, MessageBody: str, DelaySeconds: int) -> None:  # noqa: N803
            sent.append((QueueUrl, MessageBody))

    queue = PostingQueue(Sqs(), "posting", "backlog")
    for wake_up in (WakeUp("lane"), WakeUp("lane", backlog=True)):
        queue.send(wake_up)
        assert WakeUp.from_json(sent[-1][1]) == wake_up
    assert [url for url, _ in sent] == ["posting", "backlog"]


def test_a_turn_is_not_misled_by_an_index_that_still_shows_what_the_turn_before_has_sent(
    books: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = orders(6 * ROUND // 4)
    books.send(*sent[:ROUND])
    books.run()
    books.send(*sent[ROUND:])
    due = books.orders.due
    stale = [f"{UNTRACKED}#{order['id']}" for order in sent[:ROUND]]
    monkeypatch.setattr(books.orders, "due", lambda *about: ([*stale, *due(*about)[0]], None))
    [wake_up] = waiting(books)
    # no keys: a lane that was busy is not rung anew for each order
    books.turn(WakeUp(wake_up["lane"], backlog=True).to_json())
    assert len(books.committed("invoice")) == len(sent)

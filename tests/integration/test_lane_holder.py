"""What a lane's holder makes of answers that go on being none: who waits, how long, who is told, and who is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from moto import mock_aws

from bookkeeping.adapters.queues import WakeUp
from bookkeeping.adapters.secrets import Tokens
from bookkeeping.domain.errors import CallRefused, StoreUnavailable
from bookkeeping.domain.ledger import State
from bookkeeping.domain.pacing import CALLS_AT_ONCE, IN_TROUBLE
from bookkeeping.use_cases.posting.lane_holder import LaneHolder
from local.samples import TRACKED, UNTRACKED, Maker
from tests.integration.one_process import Killed, OneProcess, in_memory

OTHER = "500500"
DAYS_ALLOWANCE = 1000


@pytest.fixture
def books() -> Iterator[OneProcess]:
    with mock_aws():
        yield OneProcess(tables=in_memory)


def an_order(company: str = UNTRACKED, **changes: Any) -> dict[str, Any]:
    return Maker().order(company, 1, **changes)


def in_one_lane(books: OneProcess, company: str, other: str) -> None:
    """Both companies use one app on one organisation."""
    books.company(company)
    books.company(other, number_prefix="B-")
    first, second = books.connections.connection(company), books.connections.connection(other)
    assert first is not None
    assert second is not None
    books.connections.save_connection(replace(second, client_id=first.client_id))


@pytest.mark.parametrize(
    ("kind", "method", "path", "settings"),
    [
        ("error_before_commit", "GET", "Accounts", {}),
        ("html_body", "GET", "TaxRates", {}),
        ("error_before_commit", "GET", "Contacts", {}),
        ("error_before_commit", "PUT", "Items", {"process_method": "tracked"}),
        ("error_before_commit", "PUT", "Invoices", {}),
        ("html_400", "GET", "Organisation", {}),
    ],
)
def test_what_goes_on_failing_is_seen_within_five_minutes_and_leaves_most_of_the_days_calls(
    books: OneProcess, kind: str, method: str, path: str, settings: dict[str, Any]
) -> None:
    books.company(UNTRACKED, **settings)
    order = an_order()
    fault = books.xero.faults.add(
        {"kind": kind, "method": method, "path_prefix": f"/api.xro/2.0/{path}", "times": None}
    )
    books.send(order)
    books.run(timedelta(minutes=4), until_quiet=False)
    entry = books.entry(order)
    paused = books.lanes.paused(entry.lane, UNTRACKED)
    batch = books.lanes.batch(entry.lane, entry.batch) if entry.batch else None
    assert (paused and paused[0] == "xero_failing") or (batch and batch.settle_at)
    books.run(timedelta(hours=20), until_quiet=False)
    assert len(books.calls()) < 0.7 * DAYS_ALLOWANCE
    books.xero.faults.remove(fault.id)
    books.run(timedelta(minutes=20), until_quiet=False)
    assert books.entry(order).state is State.POSTED


def test_whoever_runs_this_is_told_of_it_once(books: OneProcess) -> None:
    books.company(UNTRACKED)
    books.xero.faults.add({"kind": "html_body", "path_prefix": "/api.xro/2.0/TaxRates", "times": None})
    books.send(an_order())
    troubles = watch(books)
    books.run(timedelta(hours=12), until_quiet=False)
    assert troubles == [f"{IN_TROUBLE} attempts in a row failed for company {UNTRACKED}"]


def watch(books: OneProcess) -> list[str]:
    """What turns note as trouble, from now on."""
    troubles: list[str] = []
    turn = books.turn

    def watched(body: str) -> Any:
        tally = turn(body)
        troubles.extend(tally.faults)
        return tally

    books.turn = watched  # type: ignore[method-assign]
    return troubles


def test_orders_that_arrive_meanwhile_do_not_make_it_ask_more_often(books: OneProcess) -> None:
    books.company(UNTRACKED)
    books.xero.faults.add({"kind": "html_body", "path_prefix": "/api.xro/2.0/TaxRates", "times": None})
    make = Maker()
    for place in range(60):
        books.send(make.order(UNTRACKED, place))
        books.run(timedelta(minutes=1), until_quiet=False)
    assert len(books.calls()) < 90, "four a try, and ten tries before they grow apart"


def test_a_company_that_goes_on_failing_holds_up_no_other_in_its_lane(books: OneProcess) -> None:
    in_one_lane(books, UNTRACKED, OTHER)
    make = Maker()
    first, stuck, free = (
        make.order(UNTRACKED, place, company_ref_id=int(company))
        for place, company in enumerate((OTHER, UNTRACKED, OTHER))
    )
    books.send(first)
    books.run()
    books.save_settings(UNTRACKED, contact_name="One that nobody has looked for yet")
    books.xero.faults.add({"kind": "html_body", "path_prefix": "/api.xro/2.0/Contacts", "times": None})
    books.send(stuck, free)
    books.run(timedelta(minutes=1), until_quiet=False)
    assert books.entry(free, OTHER).state is State.POSTED
    assert books.entry(stuck).state is State.QUEUED


def test_a_company_whose_tokens_can_not_be_read_holds_up_no_other_in_its_lane(
    books: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_one_lane(books, UNTRACKED, OTHER)
    read = books.posting.tokens.read

    def unreadable(company: str) -> Tokens | None:
        if company == UNTRACKED:
            raise StoreUnavailable("get_secret_value", "AccessDeniedException")
        return read(company)

    monkeypatch.setattr(books.posting.tokens, "read", unreadable)
    stuck, free = an_order(), an_order(company_ref_id=int(OTHER), id=61530999)
    troubles = watch(books)
    books.send(stuck, free)
    books.run(timedelta(minutes=4), until_quiet=False)
    assert books.entry(free, OTHER).state is State.POSTED
    assert "AccessDeniedException" in troubles[0]
    paused = books.lanes.paused(books.entry(stuck).lane, UNTRACKED)
    assert paused is not None
    assert paused[0] == "xero_failing"
    monkeypatch.undo()
    books.run(timedelta(minutes=20), until_quiet=False)
    assert books.entry(stuck).state is State.POSTED


def test_a_refusal_that_comes_after_a_person_connected_anew_does_not_count(books: OneProcess) -> None:
    books.company(UNTRACKED)
    order = an_order()
    books.send(order)
    books.xero.connections.drop()
    start, reconnect = books.posting.start, [True]

    def started(call: Callable[[], Any]) -> Any:
        def meanwhile() -> Any:
            answer = call()
            if reconnect and reconnect.pop():
                connection = books.connect(UNTRACKED, books.organisation("Demo Company (UK)"))
                books.connections.save_connection(replace(connection, connected_at=books.clock.now()))
            return answer

        return start(meanwhile)

    object.__setattr__(books.posting, "start", started)
    books.run(timedelta(minutes=2), until_quiet=False)
    assert books.entry(order).state is State.POSTED
    assert not books.bus.of("ConnectionLost")


def test_one_item_that_spoils_a_call_stops_only_the_orders_that_have_it(books: OneProcess) -> None:
    books.company(TRACKED, books.organisation("Demo Company (AU)"), process_method="tracked")
    make = Maker()
    sent = [make.order(TRACKED, place) for place in range(5)]
    for place, order in enumerate(sent):
        order["items"] = [order["items"][0] | {"sku": f"SKU-{place}"}]
    client: Any = books.posting.xero
    create = client.create_items

    def spoilt(items: Any, *about: Any) -> Any:
        if any(item["Code"] == "SKU-2" for item in items):
            raise CallRefused(400, ("The string is not a valid price list item.",))
        return create(items, *about)

    client.create_items = spoilt
    books.send(*sent)
    books.run(timedelta(minutes=5), until_quiet=False)
    assert [books.entry(order, TRACKED).state for order in sent].count(State.POSTED) == 4
    problem = books.entry(sent[2], TRACKED).problem
    assert problem is not None
    assert (problem.code, problem.xero_says) == (
        "item_refused",
        ("The string is not a valid price list item.",),
    )


def test_a_long_turn_ends_in_its_time_however_many_items_are_missing(books: OneProcess) -> None:
    books.company(TRACKED, books.organisation("Demo Company (AU)"), process_method="tracked")
    make = Maker()
    for start in range(0, 200, 50):
        batch = [make.order(TRACKED, start + place) for place in range(50)]
        for order in batch:
            line = order["items"][0]
            order["items"] = [line | {"id": place, "sku": f"{order['id']}-{place}"} for place in range(40)]
        books.send(*batch)
    books.xero.faults.add({"kind": "slow_answer", "path_prefix": "/api.xro/", "times": None, "seconds": 3})
    books.queue.waiting.clear()
    connection = books.connections.connection(TRACKED)
    assert connection is not None
    began = books.clock.now()
    books.turn(WakeUp(connection.lane, backlog=True).to_json())
    # calls that go out together take their turns here
    last_calls = timedelta(seconds=CALLS_AT_ONCE * 3)
    assert books.clock.now() - began <= books.posting.waits.turn + last_calls
    assert len(books.committed("item")) > 100, "what was created in it is known to the next"


@pytest.fixture
def moving(books: OneProcess) -> Callable[[], dict[str, Any]]:
    """An order with a newer message beside it, whose company uses another app before it is settled: refused."""

    def moved() -> dict[str, Any]:
        books.company(UNTRACKED)
        order = an_order()
        books.xero.faults.add(
            {"kind": "request_lost", "method": "PUT", "path_prefix": "/api.xro/", "times": None}
        )
        books.send(order)
        books.run(timedelta(seconds=45), until_quiet=False)
        newer: dict[str, Any] = json.loads(json.dumps(order, default=str)) | {"ref": "CHANGED"}
        books.clock.advance(1)
        books.send(newer)
        connection = books.connections.connection(UNTRACKED)
        assert connection is not None
        books.connections.save_connection(replace(connection, client_id="APPSECOND"))
        books.xero.faults.remove(None)
        organisation = books.organisation("Demo Company (UK)")
        account = next(one for one in organisation.accounts if one.code == "200")
        account.status = "ARCHIVED"
        while books.entry(order).batch:
            books.run(timedelta(seconds=1), until_quiet=False)
        account.status = "ACTIVE"
        return newer

    return moved


def test_an_order_that_is_due_in_another_lane_once_it_is_settled_is_posted_there(
    books: OneProcess, moving: Callable[[], dict[str, Any]]
) -> None:
    newer = moving()
    assert books.entry(newer).lane.startswith("APPSECOND")
    books.run(timedelta(minutes=5), until_quiet=False)
    assert books.entry(newer).state is State.POSTED
    [invoice] = books.committed("invoice")
    assert "CHANGED" in invoice["reference"]


def test_and_also_where_the_process_ends_right_after(
    books: OneProcess, moving: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(holder: LaneHolder, *about: Any) -> None:
        if holder.rung_elsewhere:
            monkeypatch.undo()
            raise Killed
        release(holder, *about)

    release = LaneHolder.release
    monkeypatch.setattr(LaneHolder, "release", dies)
    newer = moving()
    books.run(timedelta(minutes=5), until_quiet=False)
    assert books.entry(newer).state is State.POSTED

"""An order's life in the ledger: every way from one state to the next, and that nothing sent is ever written over."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from bookkeeping.domain import ledger
from bookkeeping.domain.connection import Connection
from bookkeeping.domain.errors import StillBeingSent
from bookkeeping.domain.events import events
from bookkeeping.domain.ledger import WAITS_WHILE, Books, Entry, Message, Posted, State
from bookkeeping.domain.moments import stamp
from bookkeeping.domain.order_message import read_message
from bookkeeping.domain.orders import Order, read_order
from bookkeeping.domain.pacing import BATCH_SIZE
from bookkeeping.domain.problems.catalogue import CATALOGUE, SKIPPED, WAITS
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.settings import Settings
from bookkeeping.domain.time_zones import Calendar
from local.samples import UNTRACKED, Maker

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)
CONNECTION = Connection(UNTRACKED, "APP", "ORG", "Marlow Print Works", "connected")
REFUSED = Problem("currency_not_enabled", {"order": "1", "currency": "CHF", "organisation": "Marlow"})


def books(connection: Connection | None = CONNECTION, version: int = 3, **settings: Any) -> Books:
    return Books(UNTRACKED, Settings(**({"contact_name": "Web shop"} | settings)), version, connection)


def connected(**changes: Any) -> Connection:
    return replace(CONNECTION, **changes)


def raw(**changes: Any) -> dict[str, Any]:
    return Maker(first_id=1).order(UNTRACKED, 1, 2, **changes)


def order(**changes: Any) -> Order:
    return read_order(read_message(json.dumps(raw(**changes))))


def message(sent_at: int = 1000, **changes: Any) -> Message:
    return Message.of(order(**changes), sent_at)


def amended(sent_at: int, quantity: int = 9) -> Message:
    sent = raw()
    sent["items"][0]["quantity"] = quantity
    return Message.of(read_order(read_message(json.dumps(sent))), sent_at)


CANCELLED: dict[str, Any] = {"status": 128, "status_name": "Cancelled"}
ON_HOLD: dict[str, Any] = {"status": 256, "status_name": "On Hold"}
REFUNDED: dict[str, Any] = {"status": 1024, "status_name": "Refunded"}
RETURNED: dict[str, Any] = {"status": 2048, "status_name": "Returned"}
REJECTED: dict[str, Any] = {"status": 32, "status_name": "Rejected"}
DISPATCHED: dict[str, Any] = {
    "status": 8,
    "status_name": "Dispatched",
    "completion_datetime": "2026-11-21 15:03:55",
}


def accepted(first: Message | None = None, at: Books | None = None) -> Entry:
    entry = ledger.accept(None, first or message(), at or books(), "1", NOON)
    assert entry is not None
    return entry


def sent(entry: Entry | None = None) -> Entry:
    """About to be sent: in a batch."""
    return ledger.begin(entry or accepted(), "batch-1", NOON)


def document(number: str = "KX-1", total: str = "61.95") -> Posted:
    return Posted("id-1", number, "DRAFT", total, "GBP", NOON)


def posted(entry: Entry | None = None, **settings: Any) -> Entry:
    return ledger.settle_posted(
        entry or sent(), "invoice", document(), books(**settings).settings, books(**settings), NOON
    )


def after(entry: Entry, newer: Message, at: Books | None = None) -> Entry:
    found = ledger.accept(entry, newer, at or books(), "1", LATER)
    return entry if found is None else found


def ends(entry: Entry) -> str:
    return f"{entry.state} {entry.problem.code if entry.problem else entry.reason}".strip()


# --- a first message


@pytest.mark.parametrize(
    ("changes", "settings", "expected"),
    [
        ({}, {}, "queued"),
        (DISPATCHED, {}, "queued"),
        (CANCELLED, {}, "skipped cancelled"),
        (ON_HOLD, {}, "skipped on_hold"),
        ({"has_error": True}, {}, "skipped error"),
        ({"is_free_of_charge": True}, {}, "skipped free_of_charge"),
        ({"is_free_of_charge": True}, {"process_method": "tracked"}, "queued"),
        ({}, {"enabled": False}, "skipped integration_off"),
        ({}, {"start_from": date(2026, 11, 21)}, "skipped before_start"),
        ({}, {"start_from": date(2026, 11, 20)}, "queued"),
        ({}, {"post_when": "dispatch"}, "waiting dispatch"),
        (DISPATCHED, {"post_when": "dispatch"}, "queued"),
        # the organisation's day, which intake does not know, may be another
        ({"sale_datetime": "2026-11-20T13:30:00Z"}, {"start_from": date(2026, 11, 21)}, "queued"),
        (
            {"sale_datetime": "2026-11-20T13:30:00Z"},
            {"start_from": date(2026, 11, 30)},
            "skipped before_start",
        ),
        ({"sale_datetime": "2026-11-20"}, {"start_from": date(2026, 11, 21)}, "skipped before_start"),
        (REFUNDED, {}, "needs_attention no_sale"),
        (RETURNED, {}, "needs_attention no_sale"),
        (REJECTED, {"post_when": "dispatch"}, "needs_attention no_sale"),
        (REFUNDED, {"refunded_orders": "skip"}, "skipped refunded"),
        (RETURNED, {"refunded_orders": "skip"}, "skipped returned"),
        (REJECTED, {"refunded_orders": "skip"}, "skipped rejected"),
        (REFUNDED, {"refunded_orders": "post"}, "queued"),
        (REFUNDED, {"refunded_orders": "post", "post_when": "dispatch"}, "waiting dispatch"),
        (REFUNDED, {"start_from": date(2026, 11, 21)}, "skipped before_start"),
        (REFUNDED, {"enabled": False}, "skipped integration_off"),
        (REFUNDED | {"has_error": True}, {}, "skipped error"),
    ],
)
def test_a_first_message_is_due_waits_or_is_skipped(
    changes: dict[str, Any], settings: dict[str, Any], expected: str
) -> None:
    entry = accepted(message(**changes), books(**settings))
    assert ends(entry) == expected
    assert (entry.due_at is not None) == (expected == "queued")
    assert (entry.organisation_id, entry.lane) == (("ORG", "APP#ORG") if expected == "queued" else ("", ""))
    assert not entry.frozen
    if entry.reason:
        assert entry.reason in SKIPPED.keys() | WAITS.keys()


@pytest.mark.parametrize("status", [*WAITS_WHILE, None])
def test_without_an_open_connection_it_waits_and_says_for_what(status: Any) -> None:
    connection = None if status is None else connected(status=status)
    entry = accepted(at=books(connection))
    assert ends(entry) == f"waiting {WAITS_WHILE.get(status, 'not_connected')}"
    assert entry.reason in WAITS
    assert (entry.lane, entry.organisation_id, entry.due_at) == ("", "", None)
    assert not books(connection).open
    assert books().open


def test_a_prefix_that_is_anothers_stops_it() -> None:
    entry = accepted(at=books(connected(prefix_taken_by="500500")))
    assert ends(entry) == "needs_attention settings_prefix_clash"
    assert "500500" in entry.problem.sentence  # type: ignore[union-attr]


def test_an_unreadable_message_stops_it_and_a_readable_one_frees_it() -> None:
    broken = Message.unreadable(
        Problem("bad_date", {"order": "1", "field": "sale_datetime", "value": "x"}), 1000
    )
    entry = accepted(broken)
    assert ends(entry) == "needs_attention bad_date"
    assert ends(after(entry, message(1001))) == "queued"


def test_what_it_is_posted_under_is_fixed_when_it_becomes_due() -> None:
    entry = accepted(at=books(number_prefix="SHOP-", version=7))
    assert (entry.number, entry.settings_version, entry.organisation_id) == ("SHOP-1", 7, "ORG")
    again = after(entry, amended(1001), books(number_prefix="OTHER-", version=8))
    assert (again.number, again.settings_version) == ("SHOP-1", 8)


# --- the same order again


def test_an_older_or_repeated_message_changes_nothing() -> None:
    entry = accepted(message(1000))
    assert ledger.accept(entry, message(1000), books(), "1", LATER) is None
    assert ledger.accept(entry, amended(999), books(), "1", LATER) is None
    assert message(1000).repeats(message(1000))
    assert not message(1000).repeats(message(1001))


def test_of_two_messages_of_one_millisecond_the_same_one_holds_whichever_comes_first() -> None:
    pair = (message(1000), amended(1000))
    results = [after(accepted(first), second).message for first, second in (pair, pair[::-1])]
    assert results[0] == results[1]


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_messages_of_one_millisecond_the_dispatch_is_not_lost(turned: bool) -> None:
    pair = (message(1000), message(1000, **DISPATCHED))
    on_dispatch = books(post_when="dispatch")
    first, second = pair[::-1] if turned else pair
    entry = accepted(first, on_dispatch)
    entry = ledger.accept(entry, second, on_dispatch, "1", LATER) or entry
    assert ends(entry) == "queued"
    assert not pair[1].repeats(pair[0])


STATUSES = {1: {}, 8: DISPATCHED, 128: CANCELLED, 256: ON_HOLD, 1024: REFUNDED}


@pytest.mark.parametrize(
    "sequence",
    [
        *((1, 8), (256, 1, 8), (1, 128), (1, 256), (128, 1), (1, 256, 1, 8)),
        *((1, 1024), (1024, 1), (8, 1024, 8), (256, 1024), (1024, 128)),
    ],
)
def test_before_it_is_sent_the_newest_status_holds_in_every_order_of_arrival(
    sequence: tuple[int, ...],
) -> None:
    messages = [message(1000 + place, **STATUSES[status]) for place, status in enumerate(sequence)]
    ways = {1: "queued", 8: "queued", 128: "skipped cancelled", 256: "skipped on_hold"}
    last = (ways | {1024: "needs_attention no_sale"})[sequence[-1]]
    for arrival in itertools.permutations(messages):
        entry = accepted(arrival[0])
        for each in arrival[1:]:
            entry = after(entry, each)
        assert ends(entry) == last
        assert entry.message.sent_at == messages[-1].sent_at
        assert entry.number == "KX-1" or entry.state in (State.SKIPPED, State.NEEDS_ATTENTION)


@pytest.mark.parametrize(
    "sequence",
    [
        *((1, 8), (1, 128), (1, 256, 8), (1, 128, 1), (1, 8, 64)),
        *((1, 1024), (1, 1024, 8), (1, 8, 1024), (1, 128, 1024)),
    ],
)
def test_after_posting_a_status_is_shown_where_it_matters_in_every_order_of_arrival(
    sequence: tuple[int, ...],
) -> None:
    statuses = STATUSES | {64: DISPATCHED | {"status": 64, "status_name": "Completed"}}
    later = [message(2000 + place, **statuses[status]) for place, status in enumerate(sequence[1:])]
    shown = {8: (), 64: (), 1: (), 128: ("The order is now cancelled.",), 256: ("The order is now on hold.",)}
    shown |= {1024: ("The order is now refunded.",)}
    for arrival in itertools.permutations(later):
        entry = posted(sent(accepted(message(1000))))
        for each in arrival:
            entry = after(entry, each)
        assert entry.state is State.POSTED
        assert entry.changes == shown[sequence[-1]]
        assert entry.message.content_hash == message(1000).content_hash
        assert entry.documents["invoice"] == document()


def test_a_change_after_posting_is_shown_and_a_change_back_is_not() -> None:
    entry = after(posted(), amended(2000))
    assert entry.changes == ("Line 1, quantity: 2 → 9",)
    assert entry.message == message()
    assert [event.type for event in events(entry)] == ["OrderPosted", "OrderChangedAfterPosting"]
    back = after(entry, message(3000))
    assert (back.changes, back.newer, back.message.sent_at) == ((), None, 3000)


@pytest.mark.parametrize(
    ("sent_then", "sent_now", "change"),
    [
        ("2026-06-30T11:00:00Z", "2026-06-30T13:30:00Z", "Sale date: 2026-06-30 → 2026-07-01"),
        ("2026-06-30T13:30:00Z", "2026-07-01T03:00:00Z", ""),
        ("2026-06-30T13:30:00Z", "2026-07-01T01:30:00+12:00", ""),
        ("2026-06-30T13:30:00Z", "2026-06-30T13:30:00", "Sale date: 2026-07-01 → 2026-06-30"),
        ("2026-06-30 08:00:00", "2026-06-30 20:00:00", ""),
        ("2026-06-30", "2026-06-30 20:00:00", ""),
    ],
)
def test_another_moment_of_sale_is_a_change_where_it_is_another_day_of_the_organisation(
    sent_then: str, sent_now: str, change: str
) -> None:
    entry = accepted(message(sale_datetime=sent_then))
    on_its_way = ledger.begin(entry, "batch-1", NOON, Calendar("Pacific/Auckland"))
    newer = message(2000, sale_datetime=sent_now)
    for found in (after(posted(on_its_way), newer), posted(after(on_its_way, newer))):
        assert found.changes == ((change,) if change else ())
        assert (found.newer is None) == (not change)


def test_a_later_message_that_can_not_be_read_is_shown_beside_what_was_posted() -> None:
    broken = Message.unreadable(Problem("unreadable_json", {"order": "1", "why": "it is empty"}), 2000)
    entry = after(posted(), broken)
    assert entry.state is State.POSTED
    assert "can't be read" in entry.changes[0]


# --- on its way


def test_while_it_is_being_sent_a_newer_message_waits_beside_it_unshown() -> None:
    entry = after(sent(), amended(2000))
    assert (entry.state, entry.changes, entry.batch) == (State.POSTING, (), "batch-1")
    assert entry.newer == amended(2000)
    assert entry.message == message()


def test_when_the_document_is_there_the_newer_message_is_shown() -> None:
    entry = posted(after(sent(), amended(2000)))
    assert entry.changes == ("Line 1, quantity: 2 → 9",)
    assert (entry.batch, entry.settled_in, entry.due_at) == ("", "batch-1", None)


Settle = Callable[[Entry, Books], Entry]
NOT_CREATED: list[Settle] = [
    lambda entry, at: ledger.settle_refused(entry, REFUSED, at, LATER),
    lambda entry, at: ledger.settle_unsent(entry, at, LATER),
    lambda entry, at: ledger.settle_again(entry, at, LATER),
]


@pytest.mark.parametrize("settle", NOT_CREATED, ids=["refused", "unsent", "again"])
def test_when_nothing_was_created_the_newer_message_counts(settle: Settle) -> None:
    entry = settle(after(sent(), amended(2000)), books())
    assert (ends(entry), entry.message, entry.newer) == ("queued", amended(2000), None)
    assert entry.refusals == 0
    cancelled = settle(after(sent(), message(2000, **CANCELLED)), books())
    assert ends(cancelled) == "skipped cancelled"


def test_refused_with_no_newer_message_it_needs_a_person() -> None:
    entry = ledger.settle_refused(sent(replace(accepted(), refusals=1)), REFUSED, books(), LATER)
    assert (ends(entry), entry.refusals, entry.batch) == ("needs_attention currency_not_enabled", 0, "")


def test_unsent_it_is_due_again_in_a_smaller_batch_where_that_is_wanted() -> None:
    entry = ledger.settle_unsent(sent(), books(), LATER, at_most=25)
    assert (ends(entry), entry.at_most, entry.due_at) == ("queued", 25, LATER)
    assert ledger.settle_unsent(sent(entry), books(), LATER).at_most == 25
    assert (
        ledger.settle_posted(sent(entry), "invoice", document(), books().settings, books(), LATER).at_most
        == BATCH_SIZE
    )


def test_due_again_it_counts_refusals_and_remembers_to_be_a_draft() -> None:
    entry = ledger.settle_again(sent(), books(), LATER, as_draft=True)
    entry = ledger.settle_again(sent(entry), books(), LATER)
    assert (entry.refusals, entry.as_draft, ends(entry)) == (2, True, "queued")


def test_a_tracked_orders_second_document_is_due_when_the_first_is_there() -> None:
    tracked = books(process_method="tracked")
    entry = ledger.settle_posted(
        sent(accepted(at=tracked)), "purchase_order", document(), tracked.settings, tracked, LATER
    )
    assert (ends(entry), entry.due_at) == ("queued", LATER)
    assert ledger.remaining(entry, tracked.settings) == ("invoice",)
    entry = ledger.settle_posted(sent(entry), "invoice", document(), tracked.settings, tracked, LATER)
    assert (ends(entry), set(entry.documents)) == ("posted", {"purchase_order", "invoice"})


def test_a_half_posted_order_is_not_changed_by_a_newer_message_when_its_invoice_is_refused() -> None:
    tracked = books(process_method="tracked")
    entry = ledger.settle_posted(
        sent(accepted(at=tracked)), "purchase_order", document(), tracked.settings, tracked, LATER
    )
    entry = after(sent(entry), amended(2000), tracked)
    assert entry.changes == ("Line 1, quantity: 2 → 9",)
    for settle in NOT_CREATED:
        assert settle(entry, tracked).message == message()


def test_due_with_nothing_left_to_post_it_is_posted_or_skipped() -> None:
    assert (
        ends(ledger.nothing_left(accepted(), books(enabled=False).settings, LATER))
        == "skipped integration_off"
    )
    assert ends(ledger.nothing_left(accepted(), books().settings, LATER)) == "skipped free_of_charge"
    half = replace(accepted(), documents={"invoice": document()})
    assert ends(ledger.nothing_left(half, books().settings, LATER)) == "posted"


def test_skipped_or_waiting_it_gives_its_organisation_up_unless_something_may_be_there() -> None:
    for entry in (ledger.skip(accepted(), "on_hold", LATER), ledger.wait(accepted(), "reconnect", LATER)):
        assert (entry.organisation_id, entry.lane, entry.due_at) == ("", "", None)
    half = replace(accepted(), documents={"purchase_order": document()})
    for entry in (ledger.skip(half, "integration_off", LATER), ledger.wait(half, "reconnect", LATER)):
        assert (entry.organisation_id, entry.lane) == ("ORG", "APP#ORG")


# --- an outcome over a row that has changed meanwhile


def test_an_outcome_keeps_the_message_that_came_meanwhile() -> None:
    before = replace(sent(), version=4)
    stands = replace(after(before, amended(2000)), version=5)
    merged = ledger.merge(posted(before), stands, books(), LATER)
    assert (merged.version, merged.state, merged.changes) == (5, State.POSTED, ("Line 1, quantity: 2 → 9",))
    freed = ledger.merge(NOT_CREATED[0](before, books()), stands, books(), LATER)
    assert (freed.version, ends(freed), freed.message) == (5, "queued", amended(2000))


def test_an_outcome_keeps_what_a_person_did_meanwhile() -> None:
    before = ledger.stop_for_our_fault(sent(), "reference", LATER)
    stands = ledger.retry(before, books(), "Ada Moore", LATER)
    assert stands is not None
    merged = ledger.merge(posted(before), stands, books(), LATER)
    assert [(act.by, act.what) for act in merged.history] == [("Ada Moore", "retry")]


def test_an_outcome_over_a_row_whose_message_was_only_repeated_stays() -> None:
    before = replace(sent(), version=4)
    stands = replace(after(before, message(2000)), version=5)
    merged = ledger.merge(NOT_CREATED[0](before, books()), stands, books(), LATER)
    assert (merged.version, ends(merged)) == (5, "needs_attention currency_not_enabled")
    assert merged.message.sent_at == 2000


def test_an_outcome_of_an_entry_that_is_frozen_still_waits_with_the_newer_message_beside_it() -> None:
    before = sent()
    stands = after(before, amended(2000))
    merged = ledger.merge(before, stands, books(), LATER)
    assert (merged.batch, merged.newer, merged.message) == ("batch-1", amended(2000), message())


def test_a_dispatch_that_comes_while_it_is_being_sent_counts_where_nothing_was_created() -> None:
    dispatched = message(2000, **DISPATCHED)
    freed = ledger.settle_unsent(after(sent(), dispatched), books(), LATER)
    assert freed.message.order == dispatched.order
    there = posted(after(sent(), dispatched))
    assert (there.newer, there.changes, there.message.order.completed_at) == (None, (), None)


def test_what_is_half_posted_keeps_its_day_however_often_the_same_is_said_again() -> None:
    day = 24 * 3600 * 1000
    half = ledger.settle_posted(
        sent(accepted(message(day))),
        "purchase_order",
        document(),
        books(process_method="tracked").settings,
        books(process_method="tracked"),
        NOON,
    )
    again = after(after(half, message(4 * day)), message(5 * day))
    assert ledger.sent_at(again.message) == ledger.sent_at(half.message) == datetime(1970, 1, 2, tzinfo=UTC)
    assert after(again, amended(5 * day - 1)) == again


# --- freed by a person


def test_a_stopped_order_is_due_again_under_the_settings_of_now() -> None:
    stopped = replace(ledger.stop(accepted(), REFUSED, LATER), refusals=1, at_most=1)
    freed = ledger.retry(stopped, books(version=9), "Ada Moore", LATER)
    assert freed is not None
    assert (ends(freed), freed.settings_version, freed.refusals, freed.at_most) == (
        "queued",
        9,
        0,
        BATCH_SIZE,
    )
    assert [(act.by, act.what) for act in freed.history] == [("Ada Moore", "retry")]
    by_itself = ledger.retry(stopped, books(), "", LATER, items_as_they_are=True)
    assert by_itself is not None
    [act] = by_itself.history
    assert (act.by, act.what, act.was, act.since) == ("", ledger.FREED_BY_SETTINGS, REFUSED.code, LATER)
    assert (by_itself.items_as_they_are, by_itself.retried_at) == (True, None)


# --- what is kept of what happened


def test_an_ordinary_order_keeps_no_act() -> None:
    assert posted().history == ()
    dispatched = ledger.accept(
        accepted(),
        Message.of(replace(accepted().message.order, dispatched=True), 10**12),
        books(),
        "1",
        LATER,
    )
    assert dispatched is not None
    assert dispatched.history == ()


def test_a_change_by_the_platform_keeps_why_the_order_had_stopped() -> None:
    stopped = ledger.stop(accepted(), REFUSED, NOON)
    changed = after(stopped, amended(10**12))
    [act] = changed.history
    assert (act.by, act.what, act.was, act.since) == ("", ledger.CHANGED_BY_PLATFORM, REFUSED.code, NOON)


def test_what_nobody_asked_for_and_changes_nothing_is_no_act() -> None:
    still = ledger.retry(ledger.skip(accepted(), "integration_off", NOON), books(enabled=False), "", LATER)
    assert still is not None
    assert (still.state, still.history) == ("skipped", ())


def test_an_order_keeps_only_so_many_acts() -> None:
    entry = accepted()
    for place in range(2 * ledger.MOST_ACTS):
        entry = entry.with_act("", ledger.FREED_BY_CONNECTION, NOON, place)
    assert [act.version for act in entry.history] == [*range(ledger.MOST_ACTS, 2 * ledger.MOST_ACTS)]


def test_a_document_says_which_settings_made_it_once_its_order_goes_on_under_others() -> None:
    half = ledger.settle_posted(
        ledger.begin(accepted(at=books(process_method="tracked")), "batch", NOON),
        "purchase_order",
        document(),
        books(process_method="tracked").settings,
        books(process_method="tracked"),
        NOON,
    )
    assert half.documents["purchase_order"].settings_version == 0
    stopped = ledger.stop(half, REFUSED, NOON)
    first = half.settings_version
    for version in (first + 1, first + 2):
        freed = ledger.retry(stopped, books(version=version, process_method="tracked"), "", LATER)
        assert freed is not None
        assert (freed.settings_version, freed.documents["purchase_order"].settings_version) == (
            version,
            first,
        )
        stopped = ledger.stop(freed, REFUSED, LATER)


DIFFERS = Problem(
    "posted_total_differs", {"order": "1", "number": "KX-1", "xero_total": "62.05", "order_total": "61.95"}
)


def test_a_difference_that_was_accepted_stays_with_its_document() -> None:
    freed = ledger.retry(ledger.stop(posted(), DIFFERS, LATER), books(), "Ada Moore", LATER)
    assert freed is not None
    assert ends(freed) == "posted"
    assert freed.documents["invoice"].notes == (
        "KX-1 was posted, but comes to 62.05 in Xero and 61.95 on the order."
        " Ada Moore accepted it as it is in Xero.",
    )
    assert [(act.by, act.what) for act in freed.history] == [("Ada Moore", "accept")]


def test_a_purchase_order_that_was_accepted_keeps_its_difference_beside_the_invoice_to_come() -> None:
    tracked = books(process_method="tracked")
    half = ledger.settle_posted(
        sent(accepted(at=tracked)), "purchase_order", document(), tracked.settings, tracked, LATER
    )
    freed = ledger.retry(ledger.stop(half, DIFFERS, LATER), tracked, "Ada Moore", LATER)
    assert freed is not None
    assert ends(freed) == "queued"
    whole = ledger.settle_posted(sent(freed), "invoice", document(), tracked.settings, tracked, LATER)
    assert [
        "accepted it" in " ".join(whole.documents[kind].notes) for kind in ("purchase_order", "invoice")
    ] == [
        True,
        False,
    ]


RENAMED = Problem(
    "posted_contact_differs",
    {"order": "1", "number": "KX-1", "xero_value": "Harbour Cafe Ltd", "contact": "Web shop"},
)


@pytest.mark.parametrize("problem", [DIFFERS, RENAMED])
def test_an_accepted_difference_goes_before_however_many_notes(problem: Problem) -> None:
    noted = replace(document(), notes=tuple(f"Note {place}." for place in range(30)))
    entry = replace(posted(), documents={"invoice": noted})
    freed = ledger.retry(ledger.stop(entry, problem, LATER), books(), "Ada Moore", LATER)
    assert freed is not None
    differs = problem.sentence.removeprefix("Order 1: ")
    assert freed.documents["invoice"].notes[:2] == (
        f"{differs} Ada Moore accepted it as it is in Xero.",
        "Note 0.",
    )


def test_a_retry_of_anything_else_leaves_no_note() -> None:
    stopped = ledger.stop(posted(), Problem("refused_by_xero", {"order": "1"}), LATER)
    freed = ledger.retry(stopped, books(), "Ada Moore", LATER)
    assert freed is not None
    assert freed.documents["invoice"].notes == ()


@pytest.mark.parametrize("entry", [accepted(), sent(), posted()], ids=["queued", "posting", "posted"])
def test_there_is_nothing_to_free_in_an_order_that_is_on_its_way_or_there(entry: Entry) -> None:
    assert ledger.retry(entry, books(), "Ada Moore", LATER) is None


def test_an_order_in_an_unsettled_batch_is_settled_before_anything_else() -> None:
    for state in State:
        before = replace(sent(), state=state)
        freed = ledger.retry(before, books(), "Ada Moore", LATER)
        assert freed is None or (freed.state, freed.batch) == (State.POSTING, before.batch)


def test_a_half_posted_order_goes_on_with_what_is_left_and_never_sends_again_what_is_there() -> None:
    tracked = books(process_method="tracked")
    half = ledger.settle_posted(
        sent(accepted(at=tracked)), "purchase_order", document(), tracked.settings, tracked, LATER
    )
    stopped = ledger.settle_refused(sent(half), REFUSED, tracked, LATER)
    freed = ledger.retry(stopped, tracked, "Ada Moore", LATER)
    assert freed is not None
    assert ends(freed) == "queued"
    assert ledger.remaining(freed, tracked.settings) == ("invoice",)
    elsewhere = ledger.retry(
        stopped, books(connected(organisation_id="OTHER"), process_method="tracked"), "", LATER
    )
    assert elsewhere is not None
    assert ends(elsewhere) == "needs_attention may_already_be_in"
    lost = ledger.retry(
        stopped, books(connected(status="needs_reconnect"), process_method="tracked"), "", LATER
    )
    assert lost is not None
    assert (ends(lost), lost.organisation_id) == ("waiting reconnect", "ORG")
    done = ledger.retry(replace(posted(), state=State.NEEDS_ATTENTION), books(), "", LATER)
    assert done is not None
    assert ends(done) == "posted"


def test_a_prefix_taken_by_another_does_not_hold_a_half_posted_order() -> None:
    tracked = books(connected(prefix_taken_by="500500"), process_method="tracked")
    half = replace(accepted(), state=State.NEEDS_ATTENTION, documents={"purchase_order": document()})
    freed = ledger.retry(half, tracked, "", LATER)
    assert freed is not None
    assert ends(freed) == "queued"


# --- orders that are no sale


def test_the_problem_of_an_order_that_is_no_sale_names_its_status() -> None:
    for changes, word in ((REFUNDED, "refunded"), (RETURNED, "returned"), (REJECTED, "rejected")):
        problem = accepted(message(**changes)).problem
        assert problem is not None
        assert word in problem.sentence
        assert problem.kind.freed_by == {"refunded_orders"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (REFUNDED, "“Refunded orders” in the settings decides this for all such orders."),
        ({"status_name": "Declined"}, "“Refunded orders” in the settings decides this for all such orders."),
        (
            {"status_name": "Partially Refunded"},
            "“Refunded orders” in the settings can post all such orders.",
        ),
        ({"status_name": "Artwork Rejected"}, ""),
        ({"status_name": "Credited"}, ""),
    ],
)
def test_the_problem_of_an_order_that_is_no_sale_says_what_the_setting_decides(
    changes: Any, said: str
) -> None:
    problem = accepted(message(**changes)).problem
    assert problem is not None
    asked = "Press Post if it belongs in the books all the same, or Skip if it does not."
    assert problem.fix == f"{asked} {said}".strip()


def chosen(entry: Entry, choice: ledger.Choice, at: Books | None = None) -> Entry:
    found = ledger.retry(entry, at or books(), "Ada Moore", LATER, no_sale=choice)
    assert found is not None
    return found


def test_a_person_posts_or_skips_an_order_that_is_no_sale() -> None:
    entry = accepted(message(**REFUNDED))
    assert ends(chosen(entry, "post")) == "queued"
    assert ends(chosen(entry, "post", books(post_when="dispatch"))) == "queued"
    skipped = chosen(entry, "skip")
    assert ends(skipped) == "skipped refunded"
    assert [(act.by, act.what) for act in skipped.history] == [("Ada Moore", "skip")]
    assert ends(chosen(skipped, "post")) == "queued", "a person may think better of it"


def test_what_a_person_decided_holds_when_the_platform_says_the_same_again() -> None:
    skipped = chosen(accepted(message(**REFUNDED)), "skip")
    assert ends(after(skipped, message(2000, **REFUNDED))) == "skipped refunded"
    waiting = chosen(accepted(message(**REFUNDED)), "post", books(None))
    again = after(waiting, message(2000, **REFUNDED))
    assert ends(again) == "queued"
    assert ends(after(again, message(3000, **RETURNED))) == "needs_attention no_sale", (
        "that is another question"
    )
    assert ends(after(again, message(3000))) == "queued"


ARCHIVED: dict[str, Any] = {"status": 4096, "status_name": "Archived"}
STATUSLESS: dict[str, Any] = {"status": None, "status_name": None}


@pytest.mark.parametrize("silent", [ARCHIVED, STATUSLESS])
@pytest.mark.parametrize(
    ("before", "end"),
    [
        (REFUNDED, "needs_attention no_sale"),
        (RETURNED, "needs_attention no_sale"),
        (REJECTED, "needs_attention no_sale"),
        (CANCELLED, "skipped cancelled"),
        (ON_HOLD, "skipped on_hold"),
        ({}, "queued"),
    ],
)
def test_a_message_that_says_nothing_of_the_sale_leaves_it_as_it_was(
    silent: dict[str, Any], before: dict[str, Any], end: str
) -> None:
    pair = [message(1000, **before), message(2000, **silent)]
    for arrival in (pair, pair[::-1]):
        entry = after(accepted(arrival[0]), arrival[1])
        assert ends(entry) == end
        assert ends(after(entry, message(3000, **silent))) == end
        assert ends(after(entry, message(3000))) == "queued"
        assert ledger.accept(entry, pair[0], books(), "1", LATER) is None
        assert ledger.accept(entry, pair[1], books(), "1", LATER) is None
        assert ledger.completed(entry, pair[1]).repeats(entry.message)
    assert ends(accepted(message(**silent))) == "queued"


def test_what_a_person_decided_holds_over_a_message_that_says_nothing_of_the_sale() -> None:
    skipped = chosen(accepted(message(**REFUNDED)), "skip")
    assert ends(after(skipped, message(2000, **ARCHIVED))) == "skipped refunded"
    kept = chosen(accepted(message(**REFUNDED)), "post")
    assert ends(after(kept, message(2000, **STATUSLESS))) == "queued"


def test_an_unreadable_message_between_does_not_make_a_refunded_order_a_sale() -> None:
    broken = Message.unreadable(Problem("bad_date", {"order": "1", "field": "x", "value": "x"}), 2000)
    entry = after(after(accepted(message(**REFUNDED)), broken), message(3000, **ARCHIVED))
    assert ends(entry) == "needs_attention no_sale"


def test_a_change_after_posting_stays_until_a_live_status_comes() -> None:
    entry = after(posted(), message(2000, **REFUNDED))
    shown = ("The order is now refunded.",)
    for sent_at, silent in ((3000, ARCHIVED), (4000, STATUSLESS)):
        entry = after(entry, message(sent_at, **silent))
        assert entry.changes == shown
    assert after(entry, message(5000)).changes == ()


@pytest.mark.parametrize(
    "name", ["Partially Refunded", "Part refunded", "Partially Returned", "Artwork Rejected"]
)
def test_what_is_refunded_in_part_or_not_understood_is_never_skipped_by_the_setting(name: str) -> None:
    clear = name != "Artwork Rejected"
    ways = {"ask": "needs_attention no_sale", "skip": "needs_attention no_sale"}
    ways["post"] = "queued" if clear else "needs_attention no_sale"
    for setting, end in ways.items():
        entry = accepted(message(status_name=name), books(refunded_orders=setting))
        assert ends(entry) == end
    entry = accepted(message(status_name=name))
    assert entry.problem is not None
    words = {"Part refunded": "partially refunded", "Artwork Rejected": "“Artwork Rejected”"}
    assert words.get(name, name.lower()) in entry.problem.sentence
    skipped = chosen(entry, "skip")
    assert skipped.state is State.SKIPPED
    assert skipped.reason in SKIPPED
    assert ends(chosen(entry, "post")) == "queued"
    assert ends(after(skipped, message(2000, status_name="Proof Rejected"))) == "needs_attention no_sale"


def test_a_refund_in_part_and_then_in_full_are_two_changes() -> None:
    part = after(posted(), message(2000, status_name="Partially Refunded"))
    assert part.changes == ("The order is now partially refunded.",)
    full = after(part, message(3000, **REFUNDED))
    assert full.changes == ("The order is now refunded.",)
    assert {event.id for event in events(part)} != {event.id for event in events(full)}
    unclear = after(full, message(4000, status_name="Artwork Rejected"))
    assert unclear.changes == ("The order is now “Artwork Rejected”.",)


TRACKED: dict[str, Any] = {"process_method": "tracked"}


def half_posted(entry: Entry | None = None, **settings: Any) -> Entry:
    """The purchase order is in Xero, the invoice is due."""
    how = books(**(TRACKED | settings)).settings
    return ledger.settle_posted(
        entry or sent(accepted(at=books(**TRACKED))),
        "purchase_order",
        document(),
        how,
        books(**TRACKED),
        NOON,
    )


@pytest.mark.parametrize(
    "status", [REFUNDED, RETURNED, REJECTED, CANCELLED, {"status_name": "Artwork Rejected"}]
)
@pytest.mark.parametrize("setting", ["ask", "skip"])
def test_the_invoice_of_a_half_posted_order_that_is_no_sale_is_not_sent_by_itself(
    status: dict[str, Any], setting: str
) -> None:
    at = books(**TRACKED, refunded_orders=setting)
    late = message(2000, **status)
    in_flight = after(sent(accepted(at=at)), late, at)
    unsent = sent(half_posted())
    stopped = [
        after(half_posted(), late, at),
        half_posted(in_flight, refunded_orders=setting),
        after(ledger.settle_refused(unsent, REFUSED, at, NOON), late, at),
        ledger.settle_refused(after(unsent, late, at), REFUSED, at, LATER),
        ledger.settle_unsent(after(unsent, late, at), at, LATER),
        ledger.settle_again(after(unsent, late, at), at, LATER),
        ledger.merge(half_posted(), after(half_posted(), late, at), at, LATER),
        after(ledger.wait(half_posted(), "reconnect", NOON), late, at),
    ]
    for entry in stopped:
        assert ends(entry) == "needs_attention no_sale"
        assert entry.problem is not None
        assert "Its purchase order KX-1 is in Xero" in entry.problem.sentence
        again = ledger.retry(entry, at, "Ada Moore", LATER)
        assert again is not None
        assert ends(again) == "needs_attention no_sale", "Retry of all of them posts none"
        assert ends(chosen(entry, "post", at)) == "queued"
        skipped = chosen(entry, "skip", at)
        assert skipped.state is State.SKIPPED
        assert skipped.documents
        assert after(skipped, message(2500, **ARCHIVED), at).state is State.SKIPPED
        assert ends(chosen(skipped, "post", at)) == "queued"
        assert ends(after(skipped, message(3000), at)) == "queued"
        assert ends(after(entry, message(3000), at)) == "queued"


@pytest.mark.parametrize("status", [CANCELLED, REFUNDED])
def test_a_difference_of_a_half_posted_order_is_not_lost_when_it_turns_out_no_sale(
    status: dict[str, Any],
) -> None:
    at, late = books(process_method="tracked"), message(2000, **status)
    differs = ledger.stop(half_posted(), DIFFERS, NOON)
    for entry in (after(differs, late, at), ledger.merge(differs, after(half_posted(), late, at), at, LATER)):
        assert ends(entry) == "needs_attention posted_total_differs"
        asked = ledger.retry(entry, at, "Ada Moore", LATER)
        assert asked is not None
        assert ends(asked) == "needs_attention no_sale"
        freed = ledger.retry(asked, at, "Ada Moore", LATER, no_sale="post")
        assert freed is not None
        assert ends(freed) == "queued"
        assert "accepted it" in freed.documents["purchase_order"].notes[0]


def test_a_half_posted_refunded_order_goes_on_where_refunded_orders_are_posted() -> None:
    at = books(**TRACKED, refunded_orders="post")
    assert ends(after(half_posted(), message(2000, **REFUNDED), at)) == "queued"
    assert ends(after(half_posted(), message(2000, **CANCELLED), at)) == "needs_attention no_sale"


def test_what_stands_in_full_is_not_asked_about() -> None:
    differs = ledger.stop(posted(), Problem("posted_total_differs", {"order": "1"}), NOON)
    entry = after(differs, message(2000, **REFUNDED))
    assert ends(entry) == "needs_attention posted_total_differs"
    assert entry.changes == ("The order is now refunded.",)


def test_a_repeat_of_the_dispatch_does_not_move_the_date() -> None:
    at = books(None, post_when="dispatch")
    entry = accepted(message(1000), at)
    for sent_at, changes in (
        (2000, DISPATCHED),
        (3000, DISPATCHED | {"currency_code": "EUR"}),
        (4000, DISPATCHED),
    ):
        entry = after(entry, message(sent_at, **changes), at)
    assert ledger.sent_at(entry.message).timestamp() == 2


def test_another_completion_day_after_posting_is_shown_where_it_dates_the_documents() -> None:
    due = accepted(message(**DISPATCHED))
    later = message(2000, **(DISPATCHED | {"completion_datetime": "2026-11-22 09:00:00"}))
    dated = posted(ledger.begin(due, "batch-1", NOON, on_dispatch=True))
    assert after(dated, later).changes == ("Completion date: 2026-11-21 → 2026-11-22",)
    assert after(posted(sent(due)), later).changes == ()


def test_a_completion_that_cannot_be_read_stops_only_what_is_dated_by_it() -> None:
    sent = message(**(DISPATCHED | {"completion_datetime": "2026-06-31"}))
    assert ends(accepted(sent)) == "queued"
    assert ends(accepted(sent, books(post_when="dispatch"))) == "needs_attention bad_date"


@pytest.mark.parametrize("untold", ["currency_code", "shipping_country_code", "ref", "external_ref"])
def test_a_field_that_is_not_told_any_more_is_no_change(untold: str) -> None:
    told: dict[str, Any] = {"shipping_country_code": "GB"}
    entry = posted(sent(accepted(message(**told))))
    assert after(entry, message(2000, **(told | {untold: None}))).changes == ()


def flawed(sent_at: int = 1000, items: Any = (), **changes: Any) -> Message:
    sent = raw(**changes) | {"items": list(items)}
    return Message.of(read_order(read_message(json.dumps(sent))), sent_at)


MINUS_ONE: dict[str, Any] = {"quantity": -1, "sku": "MUG", "description": "Mug", "unit_sale_price": "10.00"}


@pytest.mark.parametrize("items", [[], [MINUS_ONE]])
def test_a_refund_with_lines_that_cannot_be_read_is_told_as_a_refund(items: list[Any]) -> None:
    refund = flawed(2000, items, **REFUNDED)
    entry = accepted(refund)
    assert ends(entry) == "needs_attention no_sale"
    assert ends(chosen(entry, "post")).startswith("needs_attention ")
    assert ends(chosen(entry, "post")) != "needs_attention no_sale"
    assert ends(chosen(entry, "skip")) == "skipped refunded"
    assert ends(accepted(refund, books(refunded_orders="skip"))) == "skipped refunded"
    assert after(posted(), refund).changes == ("The order is now refunded.",)


def test_a_changed_setting_frees_an_order_that_is_no_sale() -> None:
    entry = accepted(message(**REJECTED))
    for setting, end in (
        ("skip", "skipped rejected"),
        ("post", "queued"),
        ("ask", "needs_attention no_sale"),
    ):
        freed = ledger.retry(entry, books(refunded_orders=setting), "", LATER)
        assert freed is not None
        assert ends(freed) == end


def test_an_order_sold_about_the_start_is_asked_about_once_the_organisation_s_day_is_known() -> None:
    at = books(start_from=date(2026, 11, 21))
    entry = accepted(message(**REFUNDED, sale_datetime="2026-11-20T13:30:00Z"), at)
    assert ends(entry) == "queued"
    held = {
        zone: ledger.held_back(entry, at.settings, LATER, Calendar(zone))
        for zone in ("Pacific/Auckland", "Europe/London")
    }
    assert {zone: ends(found) for zone, found in held.items() if found} == {
        "Pacific/Auckland": "needs_attention no_sale",
        "Europe/London": "skipped before_start",
    }
    live = accepted(message(sale_datetime="2026-11-20T13:30:00Z"), at)
    assert ledger.held_back(live, at.settings, LATER, Calendar("Pacific/Auckland")) is None


# --- differences in words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"currency_code": "EUR"}, "Currency: GBP → EUR"),
        ({"sale_datetime": "2026-11-19"}, "Sale date: 2026-11-20 → 2026-11-19"),
        ({"external_ref": "WEB-2"}, "Sales channel's reference: WEB-1 → WEB-2"),
        ({"is_free_of_charge": True}, "Free of charge: no → yes"),
        ({"shipping_price": "9", "shipping_price_inc_tax": "10.80"}, "Shipping price: 3.29 → 9"),
        ({"has_error": True}, "The order is now in error."),
    ],
)
def test_a_difference_is_said_in_words(changes: dict[str, Any], words: str) -> None:
    found = ledger.differences(message(), message(2000, **changes))
    assert words in found


def test_lines_that_differ_are_told_one_by_one_and_at_most_twenty() -> None:
    more = Message.of(read_order(read_message(json.dumps(Maker(first_id=1).order(UNTRACKED, 1, 3)))), 2000)
    assert "Lines: 2 → 3" in ledger.differences(message(), more)
    many = [Maker(first_id=1).order(UNTRACKED, place, 30) for place in (0, 1)]
    one, other = (Message.of(read_order(read_message(json.dumps(each))), 1000) for each in many)
    assert len(ledger.differences(one, other)) == 20


def test_a_difference_that_has_no_word_of_its_own_is_still_told() -> None:
    other = replace(message(2000), content_hash="another")
    assert ledger.differences(message(), other) == ("The order's accounting content changed.",)
    assert ledger.differences(message(), message(2000)) == ()


def test_a_line_cancelled_after_posting_is_shown() -> None:
    changed = raw()
    changed["items"][1]["status"] = 7
    newer = Message.of(read_order(read_message(json.dumps(changed))), 2000)
    assert ledger.differences(message(), newer) == ("Line 2, cancelled: no → yes",)


# --- events


def test_only_where_it_came_to_rest_is_the_bus_told() -> None:
    stopped = ledger.stop(accepted(), REFUSED, LATER)
    published = {
        "queued": events(accepted()),
        "posting": events(sent()),
        "waiting": events(ledger.wait(accepted(), "reconnect", LATER)),
        "posted": events(posted()),
        "skipped": events(ledger.skip(accepted(), "on_hold", LATER)),
        "needs_attention": events(stopped),
    }
    types = {state: [event.type for event in events] for state, events in published.items()}
    assert types == {
        "queued": [],
        "posting": [],
        "waiting": [],
        "posted": ["OrderPosted"],
        "skipped": ["OrderSkipped"],
        "needs_attention": ["OrderNeedsAttention"],
    }
    assert published["skipped"][0].detail["reason"] == "on_hold"
    detail = published["needs_attention"][0].detail
    assert (detail["problem"], detail["sentence"], detail["fix"]) == (
        "currency_not_enabled",
        REFUSED.sentence,
        REFUSED.fix,
    )
    documents: Any = published["posted"][0].detail["documents"]
    assert [each["total"] for each in documents] == ["61.95"]


def test_an_event_told_again_has_the_same_id_and_each_state_of_an_order_its_own() -> None:
    entry = replace(posted(), version=3)
    assert events(entry) == events(replace(ledger.published(entry), version=4))
    assert events(entry)[0].id == f"{UNTRACKED}#1#posted#{stamp(document().at)}"
    stopped = [ledger.stop(entry, REFUSED, at) for at in (NOON, LATER)]
    assert len({events(one)[0].id for one in (entry, *stopped)}) == 3
    # a status that changes nothing is no other event, and neither is a change shown beside what was posted
    for message_ in (message(2000, **DISPATCHED), amended(2000)):
        assert events(after(entry, message_))[0] == events(entry)[0]
    changed = [replace(after(entry, amended(sent_at)), version=4) for sent_at in (2000, 2001)]
    ids = [event.id for one in changed for event in events(one) if event.type == "OrderChangedAfterPosting"]
    assert ids == [f"{UNTRACKED}#1#changed#2000", f"{UNTRACKED}#1#changed#2001"]
    # written anew for something else, the change is still the same event
    again = [event.id for event in events(replace(changed[0], version=9)) if "changed" in event.id]
    assert again == ids[:1]


# --- small things


def test_the_other_company_is_looked_at_only_while_nothing_is_sent() -> None:
    both = accepted(message(secondary_company_ref_id="500500"))
    assert ledger.sibling(both) == "500500"
    assert ledger.sibling(accepted()) is None
    assert ledger.sibling(sent(both)) is None
    assert ledger.sibling(ledger.skip(both, "on_hold", LATER)) is None


def test_moments_as_text_stand_in_the_order_of_time() -> None:
    moments = [NOON + timedelta(microseconds=1000 * step) for step in (0, 1, 999, 1000, 86_400_000)]
    stamps = [stamp(moment) for moment in moments]
    assert stamps == sorted(stamps)
    assert ledger.sent_at(message(1795478400000)) == datetime(2026, 11, 24, tzinfo=UTC)


def test_every_reason_and_problem_that_the_ledger_gives_has_its_words() -> None:
    assert set(WAITS_WHILE.values()) <= WAITS.keys()
    assert {"settings_prefix_clash", "may_already_be_in"} <= CATALOGUE.keys()


def long(letter: str, sent_at: int) -> Message:
    """An order with as much text as a message may have."""
    item = raw()["items"][0]
    items = [item | {"id": place, "description": letter * 3900} for place in range(45)]
    return message(sent_at, items=items)


def test_a_change_too_long_to_be_kept_beside_what_was_posted_is_shown_all_the_same() -> None:
    changed = after(posted(sent(accepted(long("x", 1000)))), long("y", 2000))
    assert changed.changes
    assert ledger.weight(changed) < 390_000


def test_a_message_there_is_no_room_for_while_the_order_is_sent_comes_again() -> None:
    with pytest.raises(StillBeingSent):
        after(sent(accepted(long("x", 1000))), long("y", 2000))

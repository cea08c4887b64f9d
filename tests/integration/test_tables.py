"""The stores at the wire: a condition that does not hold has its own outcome, and trouble is passed on as it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from heapq import merge
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from bookkeeping.adapters.event_bus import EventBus, event_bridge
from bookkeeping.adapters.queues import PostingQueue, ReleaseCall, WakeUp, call_in, sqs
from bookkeeping.adapters.secrets import App, AppSecret, Tokens, TokenSecret, Version, secrets_manager
from bookkeeping.adapters.tables import authorizations
from bookkeeping.adapters.tables.authorizations import Attempt, AuthorizationsTable
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.dynamodb import dynamodb, read
from bookkeeping.adapters.tables.lanes import OTHERS, Batch, Lane, Lanes, Planned
from bookkeeping.adapters.tables.orders import OrdersTable, Place, entry_from_item, entry_to_item
from bookkeeping.adapters.tables.releases import Release, Releases
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.domain import ledger
from bookkeeping.domain.connection import Connection
from bookkeeping.domain.corrections import CreditNote
from bookkeeping.domain.errors import AlreadyInBooks, Conflict, Lost, StoreUnavailable, UnknownKind
from bookkeeping.domain.ledger import Books, Entry, Message, Posted, SaleStatus, State
from bookkeeping.domain.order_message import read_message
from bookkeeping.domain.order_totals import Money
from bookkeeping.domain.orders import read_order
from bookkeeping.domain.pacing import GATHER
from bookkeeping.domain.page_access import Launch, Person, Session
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.settings import Settings
from bookkeeping.domain.time_zones import Calendar
from local.samples import UNTRACKED, Maker
from tests.integration.one_function import Wire, default_session, listened_to
from tests.integration.one_process import make_tables

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEASE = timedelta(seconds=90)
LANE = "APP#ORG"
CONNECTION = Connection(UNTRACKED, "APP", "ORG", "Marlow Print Works", "connected")
PERSON = Person("user-1", "Ada Moore", UNTRACKED)
SESSION = Session(PERSON, "session-hash", NOON + timedelta(hours=1))
LAUNCH = Launch(PERSON, "once", NOON + timedelta(minutes=5))
ATTEMPT = Attempt(PERSON, "session-hash", "APP", "https://example.com/callback", NOON + timedelta(minutes=10))
RELEASE = Release(UNTRACKED, "1", NOON, NOON)
THROTTLED = "ProvisionedThroughputExceededException"


@dataclass
class Stores:
    wire: Wire
    orders: OrdersTable
    settings: SettingsTable
    connections: ConnectionsTable
    lanes: Lanes
    releases: Releases
    authorizations: AuthorizationsTable
    apps: AppSecret
    tokens: TokenSecret
    bus: EventBus

    def refuse(self, *answers: str | None) -> None:
        """Answer the next calls so; None lets one go out."""
        left = iter(answers)
        self.wire.refuse = lambda call: next(left, None)


@pytest.fixture
def stores() -> Iterator[Stores]:
    wire = Wire()
    with mock_aws():
        session = default_session()
        make_tables()
        with listened_to(session, wire):
            resource = dynamodb()
            secrets = secrets_manager()
            bus = EventBus(event_bridge(), "default")
        yield Stores(
            wire,
            OrdersTable(resource, "OrdersTable", "ConnectionsTable"),
            SettingsTable(resource, "SettingsTable"),
            ConnectionsTable(resource, "ConnectionsTable"),
            Lanes(resource, "ConnectionsTable"),
            Releases(resource, "ConnectionsTable"),
            AuthorizationsTable(resource, "AuthorizationsTable"),
            AppSecret(secrets, "kornit-xero"),
            TokenSecret(secrets, "kornit-xero"),
            bus,
        )


def queued(**changes: Any) -> Entry:
    order = read_order(read_message(json.dumps(Maker(first_id=1).order(UNTRACKED, 1))))
    books = Books(UNTRACKED, Settings(contact_name="Web shop"), 1, CONNECTION)
    entry = ledger.accept(None, Message.of(order, 1000), books, "1", NOON)
    assert entry is not None
    return replace(entry, **changes)


def taken(stores: Stores) -> Lane:
    lane = stores.lanes.take(LANE, NOON, LEASE)
    assert lane is not None
    return lane


def batch_of(entry: Entry) -> Batch:
    planned = Planned(entry.order_id, entry.number, "hash", "51.63", "61.95", {"OUTPUT2": "10.32"}, "c-1")
    return Batch("batch-1", LANE, "ORG", UNTRACKED, "invoice", "key", "hash", NOON, (planned,))


# --- every field comes back


def test_an_entry_comes_back_as_it_was_saved(stores: Stores) -> None:
    problem = Problem("bad_date", {"order": "1", "field": "sale_datetime", "value": "x"}, ("Xero's words",))
    document = Posted("id", "KX-1", "DRAFT", "61.95", "GBP", NOON, adopted=True, notes=("a note",))
    full = queued(
        problem=problem,
        reason="minute_limit",
        through="500500",
        documents={"invoice": document},
        batch="batch-1",
        settled_in="batch-0",
        refusals=1,
        at_most=25,
        as_draft=True,
        items_as_they_are=True,
        no_sale={"refunded": "post"},
        sale_status=SaleStatus(1763467200123, "unclear", "Artwork Rejected"),
        dated_by=Calendar("Pacific/Auckland", "UTC"),
        dated_on_dispatch=True,
        newer=Message.unreadable(problem, 2000),
        changes=("Line 1, quantity: 1 → 2",),
        history=(ledger.Act("Ada Moore", "retry", NOON),),
    )
    said = SaleStatus(queued().message.sent_at, "on_hold")
    elsewhere = replace(document, number="", notes=())
    for entry in (
        queued(),
        full,
        replace(full, state=State.POSTED, due_at=None, documents={"invoice": elsewhere}),
        queued(
            lane="", organisation_id="", due_at=None, dated_by=Calendar("Europe/London"), sale_status=said
        ),
        queued(message=Message(2000), sale_status=replace(said, sent_at=1), batch="b", due_at=None),
    ):
        assert entry_from_item(entry_to_item(entry)) == entry
    saved = stores.orders.save(full)
    assert stores.orders.get(UNTRACKED, "1") == saved
    assert stores.orders.get_many([f"{UNTRACKED}#1", f"{UNTRACKED}#1", "nothing#1"]) == [saved]
    assert stores.orders.due(LANE, NOON, 10) == ([f"{UNTRACKED}#1"], None)
    assert stores.orders.due(LANE, NOON - timedelta(seconds=1), 10) == ([], NOON)
    assert "due_at" not in entry_to_item(queued(due_at=None))


def test_a_batch_record_comes_back_as_it_was_saved(stores: Stores) -> None:
    lane, entry = taken(stores), queued()
    stores.lanes.update_batch(batch_of(entry), lane)
    full = replace(
        batch_of(entry),
        id="b",
        unknown_at=NOON,
        settle_at=NOON,
        tries=2,
        in_vain=1,
        at_most=7,
        by_number=True,
    )
    stores.lanes.update_batch(full, lane)
    assert stores.lanes.batches(LANE) == [full, batch_of(entry)]
    stores.lanes.delete_batch(full)
    assert stores.lanes.batches(LANE) == [batch_of(entry)]


# --- trouble is passed on as it is

Write = Callable[[Stores], Any]
WRITES: dict[str, tuple[str, Write]] = {
    "save": ("PutItem", lambda stores: stores.orders.save(queued())),
    "save beside a sibling": ("TransactWriteItems", lambda stores: stores.orders.save(queued(), "500500#1")),
    "save together": (
        "TransactWriteItems",
        lambda stores: stores.orders.save_together([queued()], Lane(LANE, 1)),
    ),
    "list page": ("Query", lambda stores: stores.orders.list_page(UNTRACKED, State.QUEUED, limit=10)),
    "settings": (
        "TransactWriteItems",
        lambda stores: stores.settings.save(UNTRACKED, Settings(), seen=0, by="Ada", at=NOON),
    ),
    "ring": ("UpdateItem", lambda stores: stores.lanes.ring(LANE, NOON)),
    "take": ("UpdateItem", lambda stores: stores.lanes.take(LANE, NOON, LEASE)),
    "keep": ("UpdateItem", lambda stores: stores.lanes.keep(Lane(LANE, 1), NOON, LEASE, [])),
    "release": (
        "UpdateItem",
        lambda stores: stores.lanes.release(Lane(LANE, 1), next_at=None, calls=[], though_rung=False),
    ),
    "update batch": (
        "TransactWriteItems",
        lambda stores: stores.lanes.update_batch(batch_of(queued()), Lane(LANE, 1)),
    ),
    "take renewal": ("UpdateItem", lambda stores: stores.connections.take_renewal(UNTRACKED, NOON, LEASE)),
    "advance release": ("PutItem", lambda stores: stores.releases.advance(RELEASE, RELEASE)),
    "open session": (
        "TransactWriteItems",
        lambda stores: stores.authorizations.open_session(LAUNCH, SESSION),
    ),
    "finish": ("UpdateItem", lambda stores: stores.authorizations.finish("hash", SESSION, UNTRACKED, NOON)),
    "change connection": (
        "TransactWriteItems",
        lambda stores: stores.connections.change_connection(None, CONNECTION),
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_store_that_will_not_says_so(stores: Stores, name: str) -> None:
    operation, write = WRITES[name]
    code = (
        THROTTLED
        if operation != "TransactWriteItems"
        else "TransactionCanceledException: ThrottlingError, None"
    )
    stores.wire.refuse = lambda call: code if call.operation == operation else None
    with pytest.raises(ClientError, match=code.partition(":")[0]):
        write(stores)


# --- conditions


@pytest.mark.parametrize(
    "answer",
    [
        "ConditionalCheckFailedException",
        "TransactionConflictException",
        "TransactionCanceledException: None, ConditionalCheckFailed",
        "TransactionCanceledException: None, TransactionConflict",
    ],
)
def test_a_row_that_others_write_is_a_conflict(stores: Stores, answer: str) -> None:
    stores.wire.refuse = lambda call: answer if call.operation in ("PutItem", "TransactWriteItems") else None
    sibling = "500500#1" if ":" in answer else None
    with pytest.raises(Conflict):
        stores.orders.save(queued(), sibling)


def test_a_row_is_written_over_the_version_that_was_read_only(stores: Stores) -> None:
    first = stores.orders.save(queued())
    stores.orders.save(first)
    for stale in (queued(), first):
        with pytest.raises(Conflict):
            stores.orders.save(stale)
    assert stores.orders.get(UNTRACKED, "1") == replace(first, version=2)


def test_an_order_is_in_an_organisation_once(stores: Stores) -> None:
    other = queued(company="500500")
    stores.orders.save(other)
    with pytest.raises(AlreadyInBooks):
        stores.orders.save(queued(), "500500#1")
    elsewhere = queued(organisation_id="OTHER")
    assert stores.orders.save(elsewhere, "500500#1").version == 1


def test_what_a_former_holder_writes_is_refused_as_lost(stores: Stores) -> None:
    former = taken(stores)
    entry = stores.orders.save(queued())
    holder = stores.lanes.take(LANE, NOON + 2 * LEASE, LEASE)
    assert holder is not None
    assert stores.lanes.take(LANE, NOON + 2 * LEASE, LEASE) is None
    writes: list[Callable[[], Any]] = [
        lambda: stores.orders.save_together([entry], former),
        lambda: stores.lanes.keep(former, NOON, LEASE, []),
        lambda: stores.lanes.release(former, next_at=None, calls=[], though_rung=True),
        lambda: stores.lanes.update_batch(batch_of(entry), former),
    ]
    for write in writes:
        with pytest.raises(Lost):
            write()
    assert stores.orders.get(UNTRACKED, "1") == entry
    with pytest.raises(Lost):
        stores.lanes.release(Lane("never#taken", 1), next_at=None, calls=[], though_rung=False)
    with pytest.raises(Conflict):
        stores.orders.save_together([replace(entry, version=7)], holder)


class SpeltSlowly(Attr):
    """An attribute of a condition. `meanwhile` happens in another thread before `at` gets its placeholder."""

    at = ""
    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    @property
    def name(self) -> str:
        if self._name == self.at:
            other = threading.Thread(target=self.meanwhile)
            other.start()
            other.join()
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name


@pytest.mark.parametrize("at", ["lease_until", "backlog", "next_at"])
def test_a_held_lane_is_not_taken_while_another_thread_asks_the_tables(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    taken(stores)
    monkeypatch.setattr("bookkeeping.adapters.tables.lanes.Attr", SpeltSlowly)
    monkeypatch.setattr(SpeltSlowly, "at", at)
    monkeypatch.setattr(
        SpeltSlowly, "meanwhile", staticmethod(lambda: stores.lanes.paused("APP#OTHER", UNTRACKED))
    )
    assert stores.lanes.take(LANE, NOON, LEASE, short=True) is None


def test_a_lane_that_was_rung_is_not_let_go_unless_it_must(stores: Stores) -> None:
    lane = taken(stores)
    assert stores.lanes.ring(LANE, NOON, ["1#2"]) is None, "who holds it sees that"
    assert not stores.lanes.release(lane, next_at=None, calls=[], though_rung=False)
    assert stores.lanes.keep(lane, NOON, LEASE, [NOON]) == {"1#2"}
    assert not stores.lanes.keep(lane, NOON, LEASE, [NOON])
    assert stores.lanes.release(lane, next_at=None, calls=[NOON], though_rung=False)
    again = taken(stores)
    assert (again.calls, again.fencing) == ((NOON,), lane.fencing + 1)
    assert (again.client_id, again.organisation_id) == ("APP", "ORG")


def test_a_lane_at_rest_is_woken_at_once_and_one_that_was_at_work_a_moment_later(stores: Stores) -> None:
    assert stores.lanes.ring(LANE, NOON) == timedelta()
    assert stores.lanes.ring(LANE, NOON) is None, "it is rung already"
    stores.lanes.release(taken(stores), next_at=None, calls=[NOON], though_rung=True)
    assert stores.lanes.ring(LANE, NOON + timedelta(seconds=4)) == GATHER
    stores.lanes.release(taken(stores), next_at=None, calls=[NOON], though_rung=True)
    assert stores.lanes.ring(LANE, NOON + timedelta(seconds=5)) == timedelta()


def test_a_lane_whose_holder_has_just_sent_a_wake_up_needs_no_other(stores: Stores) -> None:
    stores.lanes.release(taken(stores), next_at=NOON + GATHER, calls=[], though_rung=True)
    assert stores.lanes.ring(LANE, NOON, ["1#2"]) is None
    assert taken(stores).rung_for == {"1#2"}


def test_a_lane_names_a_hundred_orders_and_then_only_says_that_there_are_more(stores: Stores) -> None:
    for place in range(0, 180, 60):
        stores.lanes.ring(LANE, NOON, [f"1#{number}" for number in range(place, place + 60)])
    lane = taken(stores)
    assert (len(lane.rung_for), OTHERS in lane.rung_for) == (121, True)
    stores.lanes.release(lane, next_at=None, calls=[], though_rung=True)
    stores.lanes.ring(LANE, NOON)
    assert taken(stores).rung_for == {OTHERS}


def test_what_a_lane_is_rung_for_while_its_holder_clears_the_bell_is_seen(stores: Stores) -> None:
    lane, table = taken(stores), stores.lanes._table
    stores.lanes.ring(LANE, NOON, ["1#1"])
    update, others = table.update_item, [["1#2"]]

    def update_item(**request: Any) -> Any:
        if request["UpdateExpression"].startswith("REMOVE rung") and others:
            stores.lanes.ring(LANE, NOON, others.pop())
        return update(**request)

    table.update_item = update_item
    assert stores.lanes.keep(lane, NOON, LEASE, []) == {"1#1", "1#2"}


def test_settings_are_saved_over_the_version_that_was_seen_only(stores: Stores) -> None:
    for seen in (0, 1):
        assert stores.settings.save(UNTRACKED, Settings(), seen=seen, by="Ada", at=NOON) == seen + 1
    for stale in (0, 1, 7):
        with pytest.raises(Conflict):
            stores.settings.save(UNTRACKED, Settings(enabled=False), seen=stale, by="Ben", at=NOON)
    assert [saved.number for saved in stores.settings.latest(UNTRACKED, 10)] == [2, 1]
    with pytest.raises(LookupError):
        stores.settings.version(UNTRACKED, 9)


def test_a_release_is_brought_further_by_one_only(stores: Stores) -> None:
    stores.releases.ask(RELEASE)
    assert stores.releases.advance(RELEASE, replace(RELEASE, step=1))
    assert not stores.releases.advance(RELEASE, replace(RELEASE, step=1))
    stores.releases.finish(RELEASE)
    assert stores.releases.find(UNTRACKED, "1") is None


def test_a_renewal_is_held_by_one(stores: Stores) -> None:
    assert stores.connections.take_renewal(UNTRACKED, NOON, LEASE) is not None
    assert stores.connections.take_renewal(UNTRACKED, NOON, LEASE) is None


def test_a_launch_token_and_a_state_work_once(stores: Stores) -> None:
    assert stores.authorizations.open_session(LAUNCH, SESSION)
    assert not stores.authorizations.open_session(LAUNCH, replace(SESSION, id_hash="another"))
    assert stores.authorizations.session("another") is None
    stores.authorizations.begin("hash", ATTEMPT)
    assert stores.authorizations.finish("hash", SESSION, UNTRACKED, NOON) == ATTEMPT
    assert stores.authorizations.finish("hash", SESSION, UNTRACKED, NOON) == "state_used"
    assert stores.authorizations.finish("other", SESSION, UNTRACKED, NOON) == "state_invalid"


def test_two_launches_of_one_person_at_the_same_time_leave_one_session(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def read_before_the_other_launch(table: Any, **key: str) -> Any:
        looked.append(key["pk"])
        found = read(table, **key)
        if len(looked) == 1:
            assert stores.authorizations.open_session(replace(LAUNCH, once="first"), SESSION)
        return found

    monkeypatch.setattr(authorizations, "read", read_before_the_other_launch)
    second = replace(SESSION, id_hash="second")
    assert stores.authorizations.open_session(replace(LAUNCH, once="second"), second)
    assert len(looked) == 3
    assert stores.authorizations.session("second") == second
    assert stores.authorizations.session(SESSION.id_hash) is None


def test_a_page_of_the_ledger_that_was_made_up_is_empty(stores: Stores) -> None:
    stores.orders.save(queued())
    keys, _ = stores.orders.list_page(UNTRACKED, State.QUEUED, limit=10)
    assert keys == [f"{UNTRACKED}#1"]
    stores.wire.refuse = lambda call: "ValidationException"
    assert stores.orders.list_page(UNTRACKED, State.QUEUED, limit=10, after="made|up") == ([], "")
    with pytest.raises(ClientError):
        stores.orders.list_page(UNTRACKED, State.QUEUED, limit=10)


def test_an_order_stays_where_it_is_in_the_list_while_it_is_under_way(stores: Stores) -> None:
    later = NOON + timedelta(minutes=5)
    due = queued()
    sent = ledger.begin(due, "batch-1", later)
    again = replace(sent, state=State.QUEUED, batch="", due_at=later)
    assert len({entry_to_item(entry)["list_key"] for entry in (due, sent, again)}) == 1
    stores.orders.save(sent)
    for state in (State.QUEUED, State.POSTING):
        assert stores.orders.in_list(UNTRACKED, state, "", 10) == [f"{UNTRACKED}#1"]
        assert stores.orders.list_page(UNTRACKED, state, limit=10) == ([f"{UNTRACKED}#1"], "")
        assert [place.order_id for place in stores.orders.places(UNTRACKED, state, at_most=10)] == ["1"]


def test_an_orders_place_says_what_it_comes_to_and_when_its_invoice_was_posted(stores: Stores) -> None:
    def place(entry: Entry) -> tuple[Money | None, datetime | None]:
        [found] = stores.orders.places(UNTRACKED, entry.state)
        assert (found.order_id, found.reason) == (entry.order_id, entry.why)
        return found.money, found.posted_at

    entry = stores.orders.save(queued())
    assert place(entry) == (Money("GBP", Decimal("69.45")), None), "by its own prices"
    invoice = Posted("id", "KX-1", "AUTHORISED", "33.94", "GBP", NOON)
    posted = replace(entry, state=State.POSTED, due_at=None, documents={"invoice": invoice})
    entry = stores.orders.save(posted)
    assert place(entry) == (Money("GBP", Decimal("33.94")), NOON), "as Xero answered"
    notes = [
        CreditNote("KX-1-CN", "10", "GBP", "id", (), id="note", status="PAID"),
        CreditNote("KX-1-CN2", "5", "GBP", "id", (), id="note 2", status="VOIDED"),
        CreditNote("KX-1-CN3", "2", "GBP", "id", ()),
        CreditNote("KX-0-CN", "4", "GBP", "former", (), id="note 4", status="AUTHORISED"),
    ]
    later = NOON + timedelta(days=3)
    changed = replace(entry, credit_notes=tuple(notes), reason="changed", changed_at=later)
    entry = stores.orders.save(changed)
    assert place(entry) == (Money("GBP", Decimal("23.94")), NOON), "less what stands credited"
    gone = replace(entry, documents={"invoice": replace(invoice, status="VOIDED")})
    entry = stores.orders.save(gone)
    assert place(entry) == (Money("GBP", Decimal(0)), NOON)


@pytest.mark.parametrize("newest_first", [True, False])
def test_lists_go_on_together_after_a_place_in_any_of_them(stores: Stores, newest_first: bool) -> None:
    lists = [(State.POSTED, ""), (State.POSTED, "changed"), (State.WAITING, "xero_offline")]
    for number in range(12):
        state, reason = lists[number % 3]
        # four orders of each list, of two moments
        at = NOON + timedelta(milliseconds=number // 6)
        entry = replace(queued(order_id=str(number)), state=state, reason=reason, changed_at=at, due_at=None)
        stores.orders.save(entry)

    def placed(after: Place | None) -> list[Place]:
        found = (
            stores.orders.places(UNTRACKED, *one, after=after, at_most=12, newest_first=newest_first)
            for one in lists
        )
        return [*merge(*found, key=lambda place: (place.at, place.state, place.reason), reverse=newest_first)]

    there = placed(None)
    assert len(there) == 12
    for number, place in enumerate(there, 1):
        assert placed(place) == there[number:]


@pytest.mark.parametrize("total", ["", "34,95", "NaN", "1E+999999", "1E-999999", "🧢" * 100])
def test_whatever_xero_says_of_a_total_the_row_is_written(stores: Stores, total: str) -> None:
    invoice = Posted("id", "KX-1", "AUTHORISED", total, "@ 12", NOON)
    posted = replace(queued(), state=State.POSTED, due_at=None, documents={"invoice": invoice})
    stores.orders.save(posted)
    [found] = stores.orders.places(UNTRACKED, State.POSTED)
    assert (found.money, found.posted_at) == (None, NOON)


def test_a_currency_that_is_none_is_that_of_the_books(stores: Stores) -> None:
    invoice = Posted("id", "KX-1", "AUTHORISED", "34.95", "@ 12", NOON)
    stores.orders.save(replace(queued(), state=State.POSTED, due_at=None, documents={"invoice": invoice}))
    [found] = stores.orders.places(UNTRACKED, State.POSTED)
    assert found.money == Money("", Decimal("34.95"))


def test_an_order_that_cannot_be_reckoned_has_a_place_without_money(stores: Stores) -> None:
    entry = stores.orders.save(replace(queued(), message=Message.unreadable(Problem("no_lines", {}), 1)))
    [found] = stores.orders.places(UNTRACKED, entry.state)
    assert (found.money, found.posted_at) == (None, None)


def test_many_rows_are_read_though_aws_gives_them_in_parts(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [stores.orders.save(queued(order_id=str(number))) for number in range(130)]
    whole = boto3.resource("dynamodb").batch_get_item
    parts: list[int] = []

    def in_parts(RequestItems: Any) -> Any:  # noqa: N803
        table, wanted = next(iter(RequestItems.items()))
        now, left = wanted["Keys"][:40], wanted["Keys"][40:]
        parts.append(len(now))
        answer = whole(RequestItems={table: {"Keys": now, "ConsistentRead": True}})
        unprocessed = {table: {"Keys": left, "ConsistentRead": True}} if left else {}
        return answer | {"UnprocessedKeys": unprocessed}

    monkeypatch.setattr(stores.orders._resource, "batch_get_item", in_parts)
    found = stores.orders.get_many(f"{UNTRACKED}#{number}" for number in range(130))
    assert {entry.order_id for entry in found} == {entry.order_id for entry in entries}
    assert parts == [40, 40, 20, 30]
    assert {entry.state for entry in found} == {State.QUEUED}


def test_a_transaction_that_is_in_the_way_is_waited_for(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("bookkeeping.adapters.tables.dynamodb.sleep", slept.append)
    stores.refuse("TransactionConflictException", "TransactionConflictException")
    assert stores.lanes.ring(LANE, NOON) is not None
    assert len(slept) == 2
    stores.refuse(*["TransactionConflictException"] * 9)
    with pytest.raises(ClientError, match="TransactionConflictException"):
        stores.lanes.ring("APP#OTHER", NOON)


# --- secrets, events, wake-ups


def test_secrets_that_can_not_be_had_say_which_call_and_why_and_no_more(stores: Stores) -> None:
    tokens = Tokens("canary-access", "canary-refresh", NOON, 1)
    writes: list[Callable[[], Any]] = [
        lambda: stores.tokens.read(UNTRACKED),
        lambda: stores.tokens.save(UNTRACKED, tokens),
        lambda: stores.tokens.stage(UNTRACKED, tokens, "v"),
        lambda: stores.tokens.promote(UNTRACKED, "v" * 64, "w" * 64),
        lambda: stores.tokens.forget(UNTRACKED, Version("v", tokens)),
        lambda: stores.apps.save(UNTRACKED, App("APP", "canary-secret")),
    ]
    for write in writes:
        stores.wire.refuse = lambda call: "InternalServiceError"
        with pytest.raises(StoreUnavailable, match="InternalServiceError") as raised:
            write()
        assert "canary" not in str(raised.value) + repr(raised.value)


def test_a_store_that_can_not_be_reached_is_told_as_unavailable(stores: Stores) -> None:
    def unreachable(call: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://secretsmanager.eu-west-2.amazonaws.com")

    stores.wire.before = unreachable
    with pytest.raises(StoreUnavailable, match="EndpointConnectionError"):
        stores.tokens.read(UNTRACKED)


def test_a_secret_that_somebody_else_creates_meanwhile_is_written_all_the_same(stores: Stores) -> None:
    app = App("APP", "secret")

    def meanwhile(call: Any) -> None:
        if call.operation == "CreateSecret":
            boto3.client("secretsmanager").create_secret(
                Name=f"kornit-xero/{UNTRACKED}/app", SecretString="{}"
            )

    stores.wire.before = meanwhile
    stores.apps.save(UNTRACKED, app)
    assert stores.apps.read(UNTRACKED) == app
    stores.wire.before = lambda call: None
    stores.wire.refuse = lambda call: "LimitExceededException" if call.operation == "CreateSecret" else None
    with pytest.raises(StoreUnavailable, match="LimitExceededException"):
        stores.apps.save("500500", app)


def test_tokens_that_are_gone_already_are_forgotten(stores: Stores) -> None:
    assert stores.tokens.forget(UNTRACKED, None)
    assert stores.tokens.read(UNTRACKED) is None


def test_what_is_asked_of_the_posting_comes_out_of_the_queue_as_it_went_in(stores: Stores) -> None:
    url = boto3.client("sqs").create_queue(QueueName="posting")["QueueUrl"]
    queue = PostingQueue(sqs(), url, url)
    for call in (WakeUp(LANE), WakeUp(LANE, backlog=True), ReleaseCall(UNTRACKED, "1")):
        queue.send(call, delay=-timedelta(hours=1))
        [message] = boto3.client("sqs").receive_message(QueueUrl=url)["Messages"]
        boto3.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        assert call_in(message["Body"]) == call
    queue.send(WakeUp(LANE), delay=timedelta(days=1))
    assert "Messages" not in boto3.client("sqs").receive_message(QueueUrl=url)


@pytest.mark.parametrize("body", ["", "[]", "{}", "7", '{"release": "1"}', '{"keys": []}'])
def test_what_asks_for_nothing_known_is_refused(body: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, UnknownKind)):
        call_in(body)

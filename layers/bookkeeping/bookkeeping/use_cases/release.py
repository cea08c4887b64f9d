"""Releases: try orders again when the reason to wait or to stop is gone.

That is so when a setting was changed, when a company was connected, or when a person asked. A release is a row of its
own, written in the same transaction as the change. So a lost message or a crash leaves no order behind. Order posting
works through the release, a chunk of orders at a time. If its message is lost, the sweep sends another.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.event_bus import EventBus
from bookkeeping.adapters.queues import PostingQueue, ReleaseCall
from bookkeeping.adapters.tables.books import books_of
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.lanes import Lanes
from bookkeeping.adapters.tables.orders import STATES, OrdersTable, order_key
from bookkeeping.adapters.tables.releases import Release, Releases
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.domain import ledger
from bookkeeping.domain.errors import Conflict, UnknownKind
from bookkeeping.domain.events import Event, events
from bookkeeping.domain.ledger import Books, Entry, State
from bookkeeping.domain.problems.catalogue import CATALOGUE
from bookkeeping.use_cases.wake_lanes import ring

CHUNK: Final = 100
LEASE: Final = timedelta(minutes=2)
"""How long a chunk may take before the sweep has another process continue."""
LOOK_AGAIN: Final = timedelta(seconds=90)
UNCONNECTED: Final = tuple(
    (State.WAITING, reason) for reason in {"not_connected", ledger.UNKNOWN, *ledger.WAITS_WHILE.values()}
)
CORRECTED: Final = tuple((State.POSTED, reason) for reason in ("correcting", "note_is_draft"))
"""Posted orders whose documents are being corrected."""
UNDER_WAY: Final = (State.QUEUED, "")
"""Orders that are due, or that were sent without an answer. Their company may have moved to another lane."""


@dataclass(frozen=True)
class ReleaseAdapters:
    orders: OrdersTable
    settings: SettingsTable
    connections: ConnectionsTable
    lanes: Lanes
    releases: Releases
    wake_ups: PostingQueue
    events: EventBus
    now: Callable[[], datetime]


def lists_freed_by(keys: Iterable[str]) -> tuple[tuple[State, str], ...]:
    """The states and reasons of orders that a change of these settings may free."""
    changed = frozenset(keys)
    lists = [(State.NEEDS_ATTENTION, kind.code) for kind in CATALOGUE.values() if kind.freed_by & changed]
    if "post_when" in changed:
        lists.append((State.WAITING, "dispatch"))
    return tuple(lists)


def once_connected(company: str, lanes: Iterable[str], now: datetime, id_: str, event: str = "") -> Release:
    """The release of all orders that waited for the company's connection."""
    return Release(
        company=company,
        id=id_,
        asked_at=now,
        next_at=now,
        lists=(*UNCONNECTED, *CORRECTED, UNDER_WAY),
        lanes=tuple(sorted(lanes)),
        event=event,
        passes_left=2,
    )


def continue_release(
    adapters: ReleaseAdapters, call: ReleaseCall, *, time: timedelta = timedelta(seconds=45)
) -> int:
    """Release orders until none is left or the time is over; returns how many. Then ask for the rest to be done."""
    began, freed = adapters.now(), 0
    # what a fault of ours cuts short goes on in a while: the sweep sees to it
    with contained(call.company):
        release = adapters.releases.find(call.company, call.id)
        _check_known(release)
        if release is None or (release.next_at > began and release.step):
            # finished, or another process is working on it
            return 0
        if not release.step:
            _publish_first(adapters, release)
        while release is not None:
            if adapters.now() - began >= time:
                later = replace(release, next_at=adapters.now(), step=release.step + 1)
                adapters.releases.advance(release, later)
                adapters.wake_ups.send(call)
                return freed
            now_free, release = release_chunk(adapters, release)
            freed += now_free
    return freed


def _check_known(release: Release | None) -> None:
    """Raises UnknownKind where only a newer version of this code knows what is to be released."""
    for state, _ in release.lists if release else ():
        if state not in STATES:
            raise UnknownKind(state)


def release_chunk(adapters: ReleaseAdapters, release: Release) -> tuple[int, Release | None]:
    """Release the next chunk of orders: returns how many, and the release if more is to be done now."""
    now = adapters.now()
    if release.chunk:
        # a process crashed before it finished this chunk
        taken = replace(release, next_at=now + LEASE, step=release.step + 1)
    elif release.list_place >= len(release.lists):
        return 0, _look_over(adapters, release, now)
    else:
        state, reason = release.lists[release.list_place]
        keys, after = adapters.orders.list_page(
            release.company, State(state), reason, until=release.asked_at, limit=CHUNK, after=release.after
        )
        onward = replace(release, after=after, list_place=release.list_place + (0 if after else 1))
        if not keys:
            # an empty chunk needs no write
            return 0, onward
        taken = replace(onward, chunk=tuple(keys), next_at=now + LEASE, step=release.step + 1)
    if not adapters.releases.advance(release, taken):
        return 0, None
    freed, failed, left_alone = 0, list[str](), list[bool]()
    with contained(release.company, "", failed.append, lambda: left_alone.append(True)):
        freed = _free_chunk(adapters, taken)
    if left_alone or (failed and not release.chunk):
        return 0, None
    if failed:
        # a fault of ours that is no single order's, for the second time
        _show_fault(adapters, taken, failed[0])
    done = replace(taken, chunk=(), step=taken.step + 1)
    return freed, done if adapters.releases.advance(taken, done) else None


def _look_over(adapters: ReleaseAdapters, release: Release, now: datetime) -> Release | None:
    """Finish a pass through the lists: end the release, or plan another pass."""
    if release.passes_left <= 1:
        adapters.releases.finish(release)
        return None
    again = replace(
        release,
        list_place=0,
        after="",
        passes_left=release.passes_left - 1,
        asked_at=now + LOOK_AGAIN,
        next_at=now + LOOK_AGAIN,
        step=release.step + 1,
    )
    if adapters.releases.advance(release, again):
        adapters.wake_ups.send(ReleaseCall(release.company, release.id), delay=LOOK_AGAIN)
    return None


def _publish_first(adapters: ReleaseAdapters, release: Release) -> None:
    if release.event:
        kept = json.loads(release.event)
        at = datetime.fromisoformat(kept["at"])
        adapters.events.put([Event(kept["type"], kept["id"], at, kept["detail"])])
    if release.lanes:
        for lane in release.lanes:
            # an order may have stopped for something that another connection does not meet
            adapters.lanes.ask_to_read(lane, adapters.now())
        ring(adapters.lanes, adapters.wake_ups, dict.fromkeys(release.lanes, ()), adapters.now())


def event_text(event: Event) -> str:
    """An event as a release keeps it."""
    return json.dumps(
        {"type": event.type, "id": event.id, "at": event.at.isoformat(), "detail": event.detail}
    )


def _free_chunk(adapters: ReleaseAdapters, release: Release) -> int:
    books = books_of(adapters.settings, adapters.connections, release.company)
    if books is None:
        return 0
    moved: list[Entry] = []
    unsettled: set[str] = set()
    freed = 0
    for entry in adapters.orders.get_many(release.chunk, partial(_contained_row, adapters)):
        if entry.changed_at > release.asked_at:
            # A crashed process released it already, or it stopped again since. Publishing it twice is harmless.
            moved.append(entry)
            continue
        if entry.batch:
            unsettled.add(entry.lane)
        with contained(*entry.key, partial(_stop_for_our_fault, adapters, entry)):
            saved = save(adapters, release.by, entry, books, release)
            if saved is not None:
                moved.append(saved)
                freed += saved.state is not entry.state
    publish(adapters, moved)
    ring(adapters.lanes, adapters.wake_ups, dict.fromkeys(unsettled, ()), adapters.now())
    return freed


def _contained_row(adapters: ReleaseAdapters, item: Mapping[str, Any]) -> AbstractContextManager[None]:
    company, order_id = item["company"], item["order_id"]
    return contained(
        company,
        order_id,
        lambda reference: adapters.orders.mark_our_fault(company, order_id, reference, adapters.now()),
    )


def _stop_for_our_fault(adapters: ReleaseAdapters, entry: Entry, reference: str) -> None:
    """The order shows that a fault of ours keeps it from being freed."""
    with contextlib.suppress(Conflict):  # a message of the order, or posting, came in between
        stopped = ledger.stop_for_our_fault(entry, reference, adapters.now())
        publish(adapters, [adapters.orders.save(stopped)])


def _show_fault(adapters: ReleaseAdapters, release: Release, reference: str) -> None:
    for entry in adapters.orders.get_many(release.chunk, partial(_contained_row, adapters)):
        if entry.state in ledger.STANDING_STILL:
            _stop_for_our_fault(adapters, entry, reference)


def save(
    adapters: ReleaseAdapters, by: str, entry: Entry, books: Books, release: Release | None = None
) -> Entry | None:
    """Release the entry and save it; None if there is nothing to release."""
    while True:
        now = adapters.now()
        if (
            release is not None
            and release.before_version
            and entry.settings_version >= release.before_version
        ):
            return None
        freed = _freed(entry, books, by, now, release)
        if freed is None:
            return None
        if release is not None and not release.id and freed.state is State.QUEUED:
            # no row has this gone on with, should it end before the lane is rung: the lane looks again after a while
            ring(adapters.lanes, adapters.wake_ups, {freed.lane: ()}, now)
        with contextlib.suppress(Conflict):  # a message of the order, or posting, came in between
            return adapters.orders.save_once(freed, ledger.sibling(freed), now)
        read = adapters.orders.get(*entry.key)
        if read is None or (read.state, read.why) != (entry.state, entry.why):
            return None
        entry = read


def _freed(entry: Entry, books: Books, by: str, now: datetime, release: Release | None) -> Entry | None:
    if entry.state is State.QUEUED and not entry.batch:
        connection = books.connection
        if connection is None or entry.lane == connection.lane:
            return None
        # it is due in a lane that its company has left
        return ledger.become_due(entry, books, now) if entry.documents else ledger.decide(entry, books, now)
    if entry.state is State.POSTED:
        return ledger.carried_on(entry, books, now)
    if release is None:
        return ledger.retry(entry, books, by, now)
    return ledger.retry(
        entry,
        books,
        by,
        now,
        items_as_they_are=release.items_as_they_are,
        no_sale=release.no_sale,
        because=release.because,
    )


def publish(adapters: ReleaseAdapters, entries: Sequence[Entry]) -> None:
    """Publish the orders' events, and ring the lanes where they are due."""
    found: list[Event] = []
    for entry in entries:
        # its row shows how it stands, even if the bus can't be told
        with contained(*entry.key):
            found += events(entry)
    if found:
        adapters.events.put(found)
    due: dict[str, list[str]] = {}
    for entry in entries:
        if entry.to_do:
            due.setdefault(entry.lane, []).append(order_key(*entry.key))
    ring(adapters.lanes, adapters.wake_ups, due, adapters.now())

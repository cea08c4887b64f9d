"""Ask for turns in lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bookkeeping.adapters.queues import PostingQueue, ReleaseCall, WakeUp
from bookkeeping.adapters.tables.lanes import MATCH, Lanes, Woken
from bookkeeping.adapters.tables.releases import Releases

WAITS_IN_QUEUE: Final = timedelta(minutes=5)
"""How long a wake-up may wait in the queue before it is taken to be lost."""


@dataclass(frozen=True)
class Swept:
    """What a sweep came to."""

    woken: int
    longest: timedelta
    """How long the lane that waited longest for its turn has waited."""


def ring(lanes: Lanes, wake_ups: PostingQueue, rung: Mapping[str, Sequence[str]], now: datetime) -> None:
    """Ask for a turn in each lane, for these orders; none are named where they are not written yet, or not known.

    A lane gets only one wake-up until the turn begins, however often it is rung.
    """
    for lane, keys in rung.items():
        delay = lanes.ring(lane, now, keys)
        if delay is not None:
            wake_ups.send(WakeUp(lane), delay)


def sweep(lanes: Lanes, releases: Releases, wake_ups: PostingQueue, now: datetime) -> Swept:
    """Wake the lanes that are due or whose wake-up was lost, ring those whose book match is due, continue releases.

    A lane is not woken again while its wake-up may still wait in the queue.
    """
    ring(lanes, wake_ups, {lane: [MATCH] for lane in lanes.matches_due(now)}, now)
    due, before = lanes.to_wake(now), lanes.woken()
    waiting = {
        lane: before[lane]
        for lane, overdue in due.items()
        if lane in before
        and before[lane].fencing == overdue.fencing
        and now - before[lane].at < WAITS_IN_QUEUE
    }
    to_wake = [lane for lane in due if lane not in waiting]
    freed = [ReleaseCall(company, id_) for company, id_ in releases.due(now)]
    wake_ups.send_all([*map(WakeUp, to_wake), *freed])
    woken = waiting | {lane: Woken(due[lane].fencing, now) for lane in to_wake}
    if woken != before:
        lanes.save_woken(woken)
    return Swept(len(to_wake), max((now - one.since for one in due.values()), default=timedelta()))

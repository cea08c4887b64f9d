"""Ask for turns in lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bookkeeping.adapters.queues import PostingQueue, ReleaseCall, WakeUp
from bookkeeping.adapters.tables.lanes import Lanes
from bookkeeping.adapters.tables.releases import Releases


def ring(lanes: Lanes, wake_ups: PostingQueue, rung: Mapping[str, Sequence[str]], now: datetime) -> None:
    """Ask for a turn in each lane. A lane gets only one wake-up until the turn begins, however often it is rung."""
    for lane, keys in rung.items():
        if lanes.ring(lane, now):
            wake_ups.send(WakeUp(lane, tuple(keys)))


def sweep(lanes: Lanes, releases: Releases, wake_ups: PostingQueue, now: datetime) -> int:
    """Wake the lanes that are due or whose wake-up was lost, and continue releases. Returns how many lanes."""
    to_wake = lanes.to_wake(now)
    due = releases.due(now)
    wake_ups.send_all([*map(WakeUp, to_wake), *(ReleaseCall(company, id_) for company, id_ in due)])
    return len(to_wake)

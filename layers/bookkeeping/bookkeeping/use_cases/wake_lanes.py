"""Ask for turns in lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bookkeeping.adapters.queues import PostingQueue, WakeUp
from bookkeeping.adapters.tables.lanes import Lanes


def ring(lanes: Lanes, wake_ups: PostingQueue, rung: Mapping[str, Sequence[str]], now: datetime) -> None:
    """Ask for a turn in each lane. A lane gets only one wake-up until the turn begins, however often it is rung."""
    for lane, keys in rung.items():
        if lanes.ring(lane, now):
            wake_ups.send(WakeUp(lane, tuple(keys)))

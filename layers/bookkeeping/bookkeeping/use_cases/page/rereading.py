"""When Xero is read again for stopped orders, as the Orders tab says it, and having it read now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bookkeeping.domain.connection import Connection
from bookkeeping.domain.ledger import State
from bookkeeping.domain.moments import LONG_AGO
from bookkeeping.domain.rechecks import OFTEN, Recheck, watched
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.wake_lanes import ring


class NotConnected(Exception):
    """The company has no usable connection."""


@dataclass(frozen=True)
class _Lane:
    key: str
    recheck: Recheck
    waiting: bool
    """Whether orders of the company wait for something in Xero."""


def shown(adapters: PageAdapters, company: str) -> dict[str, Any]:
    """When Xero was last read for the company's stopped orders, and when it is next. Raises NotConnected.

    Whoever asks has the Orders tab open, so that it is read more often for a while.
    """
    lane, now = _lane(adapters, company), adapters.now()
    recheck = lane.recheck
    if lane.waiting and not recheck.spent and adapters.lanes.note_opened(lane.key, now):
        soon = recheck.next_at is not None and recheck.next_at <= now + OFTEN
        if recheck.next_at is None:
            # they stopped under an earlier version of this code, or before their company came into this lane
            adapters.lanes.ask_to_read(lane.key, now)
        if not soon:
            ring(adapters.lanes, adapters.wake_ups, {lane.key: ()}, now)
    return _as_json(lane)


def read_now(adapters: PageAdapters, company: str) -> dict[str, Any]:
    """Have Xero read again now, unless that was asked for a moment ago. Raises NotConnected."""
    lane, now = _lane(adapters, company), adapters.now()
    if lane.waiting and not lane.recheck.spent and adapters.lanes.ask_to_read(lane.key, now):
        ring(adapters.lanes, adapters.wake_ups, {lane.key: ()}, now)
    return _as_json(lane)


def _lane(adapters: PageAdapters, company: str) -> _Lane:
    connection: Connection | None = adapters.connections.connection(company)
    if connection is None or connection.status != "connected":
        raise NotConnected
    recheck, _, _ = adapters.lanes.recheck(connection.lane)
    reasons = adapters.orders.newest_by_reason(company, State.NEEDS_ATTENTION)
    return _Lane(connection.lane, recheck, any(map(watched, reasons)))


def _as_json(lane: _Lane) -> dict[str, Any]:
    recheck = lane.recheck
    known = lane.waiting and recheck.read_at > LONG_AGO
    return {
        "waiting": lane.waiting,
        "read_at": recheck.read_at.isoformat() if known else None,
        "next_at": recheck.next_at.isoformat() if lane.waiting and recheck.next_at else None,
        "spent": lane.waiting and recheck.spent,
    }

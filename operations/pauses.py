"""Pauses posting and resumes it, for one company or for all.

A paused company's orders stay due. No document is created for them; what was sent before is still looked up and
settled. Whoever resumes rings the company's lane, and the turn that follows reads all that is due.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from bookkeeping.adapters.tables.pauses import ALL, Pauses
from bookkeeping.domain.ledger import Pause
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.wake_lanes import ring


def pause(adapters: PageAdapters, pauses: Pauses, who: str, by: str, because: str = "") -> None:
    """Pause the posting of a company, or of ALL."""
    now = adapters.now()
    pauses.add(who, Pause(by, now, because))
    if who != ALL:
        adapters.connections.note_act(who, by, "Paused posting", now, adapters.new_id())


def resume(adapters: PageAdapters, pauses: Pauses, who: str, by: str, companies: Iterable[str]) -> int:
    """End the pause, and ring the lanes of these companies; how many lanes."""
    now = adapters.now()
    pauses.remove(who)
    if who != ALL:
        adapters.connections.note_act(who, by, "Resumed posting", now, adapters.new_id())
    known = adapters.together([partial(adapters.connections.connection, company) for company in companies])
    lanes = {
        connection.lane for connection in known if connection is not None and connection.status == "connected"
    }
    # nobody knows which orders are due: the turn looks a second time, for an index may lag
    adapters.together(
        [partial(ring, adapters.lanes, adapters.wake_ups, {lane: ()}, now) for lane in sorted(lanes)]
    )
    return len(lanes)

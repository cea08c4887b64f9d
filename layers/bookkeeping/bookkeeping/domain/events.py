"""The events about orders and connections that are published on the event bus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bookkeeping.domain.ledger import Entry, State
from bookkeeping.domain.moments import stamp


@dataclass(frozen=True)
class Event:
    """Something that happened to an order or a connection. `id` stays the same when it is sent again."""

    type: str
    id: str
    at: datetime
    detail: Mapping[str, object]


def connection_lost(company: str, organisation_id: str, status: str, at: datetime) -> Event:
    """Nothing can be posted for the company until a person acts; `status` says why."""
    return _connection_event("ConnectionLost", "lost", company, organisation_id, status, at)


def connection_restored(company: str, organisation_id: str, at: datetime) -> Event:
    """Orders are posted for the company again."""
    return _connection_event("ConnectionRestored", "restored", company, organisation_id, "connected", at)


def _connection_event(
    type_: str, what: str, company: str, organisation_id: str, status: str, at: datetime
) -> Event:
    detail = {"company": company, "organisation_id": organisation_id, "status": status}
    return Event(type_, f"{company}#{organisation_id}#{what}#{stamp(at)}", at, detail)


EVENT_OF: Final = {
    State.POSTED: "OrderPosted",
    State.NEEDS_ATTENTION: "OrderNeedsAttention",
    State.SKIPPED: "OrderSkipped",
}


def events(entry: Entry) -> list[Event]:
    """The events for the entry's present state."""
    about: dict[str, object] = {
        "company": entry.company,
        "order_id": entry.order_id,
        "state": str(entry.state),
        "number": entry.number,
        "organisation_id": entry.organisation_id,
        "documents": [
            {
                "kind": kind,
                "id": posted.id,
                "number": posted.number,
                "total": posted.total,
                "currency": posted.currency,
            }
            for kind, posted in entry.documents.items()
        ],
    }
    found: list[Event] = []
    if entry.state in EVENT_OF:
        why: dict[str, object] = {"reason": entry.reason} if entry.reason else {}
        if entry.problem is not None:
            why = {
                "problem": entry.problem.code,
                "sentence": entry.problem.sentence,
                "fix": entry.problem.fix,
            }
        # A later write to the row that does not change the outcome must give the same event id.
        since = entry.changed_at
        if entry.state is State.POSTED:
            since = max((posted.at for posted in entry.documents.values()), default=since)
        id_ = f"{entry.company}#{entry.order_id}#{entry.state}#{stamp(since)}"
        found.append(Event(EVENT_OF[entry.state], id_, since, about | why))
    if entry.changes and entry.newer is not None:
        id_ = f"{entry.company}#{entry.order_id}#changed#{entry.newer.sent_at}"
        detail = about | {"changes": list(entry.changes)}
        found.append(Event("OrderChangedAfterPosting", id_, entry.changed_at, detail))
    return found

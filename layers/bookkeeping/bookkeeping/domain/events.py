"""The events about orders and connections that are published on the event bus.

docs/schemas/ is generated from the types of their details: `make schemas`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from bookkeeping.domain.book_match import Difference, Result, in_words
from bookkeeping.domain.connection import ConnectionStatus
from bookkeeping.domain.document_kinds import DocumentKind
from bookkeeping.domain.documents_in_xero import VOID_OR_DELETED
from bookkeeping.domain.ledger import Entry, Posted, State
from bookkeeping.domain.moments import moment, stamp

_DESCRIBED: Final = ConfigDict(use_attribute_docstrings=True)
_Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


@dataclass(frozen=True)
class Event:
    """Something that happened to an order or a connection. `id` stays the same when it is sent again."""

    type: str
    id: str
    at: datetime
    detail: Mapping[str, object]
    """One of the types below."""


@with_config(_DESCRIBED)
class Detail(TypedDict):
    """What the detail of every event says."""

    id: str
    """Stays the same when the event is published again."""
    at: _Moment
    """When it happened."""
    company: str
    """The company's reference number on the platform."""
    organisation_id: str
    """Xero's id of the organisation that holds the books. Empty where it is not known yet."""


@with_config(_DESCRIBED)
class EventDocument(TypedDict):
    """A document of the order in Xero."""

    kind: DocumentKind
    id: str
    """Xero's id of it."""
    number: str
    total: str
    """With tax, as decimal text."""
    currency: str
    """Three letters."""


@with_config(_DESCRIBED)
class OrderDetail(Detail):
    """What is said of an order."""

    order_id: str
    """The order's `id` on the platform."""
    state: State
    number: str
    """The number of its documents. Empty as long as it has none."""
    documents: list[EventDocument]
    """Those that are in Xero."""


@with_config(_DESCRIBED)
class OrderPosted(OrderDetail):
    """All documents of the order are in Xero."""


@with_config(_DESCRIBED)
class OrderNeedsAttention(OrderDetail):
    """A person must act before the order can be posted."""

    problem: str
    """A code."""
    sentence: str
    """What is wrong, for a person."""
    fix: str
    """What helps, for a person."""
    fields: list[str]
    """The fields of the message that it is about, such as `items[0].quantity`; mostly none."""


@with_config(_DESCRIBED)
class OrderSkipped(OrderDetail):
    """The order is not to be posted."""

    reason: str
    """A code; `set_aside` where a person has booked or dropped it."""


@with_config(_DESCRIBED)
class OrderChangedAfterPosting(OrderDetail):
    """A later message says something else than what was posted."""

    changes: list[str]
    """What differs, for a person."""


@with_config(_DESCRIBED)
class CorrectedDocument(EventDocument):
    """A credit note, or a document that was deleted or voided."""

    status: str
    """As in Xero: `DELETED`, `VOIDED`, or of a credit note `DRAFT`, `AUTHORISED` or `PAID`."""


@with_config(_DESCRIBED)
class OrderCorrected(OrderDetail):
    """Documents of the order, which was posted, were deleted, voided or credited."""

    corrected: list[CorrectedDocument]
    """Everything that was done so far."""


@with_config(_DESCRIBED)
class ConnectionDetail(Detail):
    """What is said of a company's connection to Xero."""

    status: ConnectionStatus


@with_config(_DESCRIBED)
class ConnectionLost(ConnectionDetail):
    """A company's orders cannot be posted until a person acts."""


@with_config(_DESCRIBED)
class ConnectionRestored(ConnectionDetail):
    """A company's orders can be posted again."""


@with_config(_DESCRIBED)
class BooksDiffer(Detail):
    """A book match found differences between Xero and what was posted that the match before had not found."""

    differences: int
    """How many there are now."""
    new: int
    """How many of them are new."""
    sentences: list[str]
    """The first of the new ones, for a person."""


DETAILS: Final = {
    detail.__name__: detail
    for detail in (
        OrderPosted,
        OrderNeedsAttention,
        OrderSkipped,
        OrderChangedAfterPosting,
        OrderCorrected,
        ConnectionLost,
        ConnectionRestored,
        BooksDiffer,
    )
}
"""The detail of each type of event."""


def connection_lost(company: str, organisation_id: str, status: ConnectionStatus, at: datetime) -> Event:
    """Nothing can be posted for the company until a person acts; `status` says why."""
    return _connection_event("ConnectionLost", "lost", company, organisation_id, status, at)


def connection_restored(company: str, organisation_id: str, at: datetime) -> Event:
    """Orders are posted for the company again."""
    return _connection_event("ConnectionRestored", "restored", company, organisation_id, "connected", at)


def _connection_event(
    type_: str, what: str, company: str, organisation_id: str, status: ConnectionStatus, at: datetime
) -> Event:
    detail: ConnectionDetail = {
        "id": f"{company}#{organisation_id}#{what}#{stamp(at)}",
        "at": at.isoformat(),
        "company": company,
        "organisation_id": organisation_id,
        "status": status,
    }
    return Event(type_, detail["id"], at, detail)


MOST_TOLD: Final = 20


def books_differ(company: str, organisation_id: str, result: Result, new: Sequence[Difference]) -> Event:
    """A book match found what the one before had not."""
    at = moment(result.ended_at)
    detail: BooksDiffer = {
        "id": f"{company}#{organisation_id}#books_differ#{result.id}",
        "at": at.isoformat(),
        "company": company,
        "organisation_id": organisation_id,
        "differences": result.found,
        "new": len(new),
        "sentences": [in_words(one)[0] for one in new[:MOST_TOLD]],
    }
    return Event("BooksDiffer", detail["id"], at, detail)


EVENT_OF: Final = {
    State.POSTED: "OrderPosted",
    State.NEEDS_ATTENTION: "OrderNeedsAttention",
    State.SKIPPED: "OrderSkipped",
    State.SET_ASIDE: "OrderSkipped",
}


def events(entry: Entry) -> list[Event]:
    """The events for the entry's present state."""
    found: list[Event] = []
    # A later write to the row that does not change the outcome must give the same event id.
    since = entry.changed_at
    if entry.state is State.POSTED:
        since = max((posted.at for posted in entry.documents.values()), default=since)
    about = _about(entry, str(entry.state), stamp(since), since)
    if entry.state in EVENT_OF:
        detail: OrderPosted | OrderSkipped | OrderNeedsAttention = about
        if entry.state is State.SKIPPED:
            detail = {**about, "reason": entry.reason}
        elif entry.state is State.SET_ASIDE:
            detail = {**about, "reason": "set_aside"}
        elif entry.problem is not None:
            detail = {
                **about,
                "problem": entry.problem.code,
                "sentence": entry.problem.sentence,
                "fix": entry.problem.fix,
                "fields": list(entry.problem.fields),
            }
        found.append(Event(EVENT_OF[entry.state], about["id"], since, detail))
    if entry.changes and entry.newer is not None:
        about = _about(entry, "changed", str(entry.newer.sent_at), entry.changed_at)
        changed: OrderChangedAfterPosting = {**about, "changes": list(entry.changes)}
        found.append(Event("OrderChangedAfterPosting", about["id"], entry.changed_at, changed))
    return found


def corrected(entry: Entry) -> list[Event]:
    """The event of what was done to a posted order's documents; none where nothing was. One more deed, another id."""
    found: list[CorrectedDocument] = [
        {**_document(kind, posted), "status": posted.status}
        for kind, posted in entry.documents.items()
        if posted.status in VOID_OR_DELETED
    ]
    found += [
        {
            "kind": "credit_note",
            "id": note.id,
            "number": note.number,
            "total": note.total,
            "currency": note.currency,
            "status": note.status,
        }
        for note in entry.credit_notes
    ]
    if not found:
        return []
    done = ",".join(f"{one['kind']} {one['number']} {one['status']}" for one in found)
    about = _about(entry, "corrected", hashlib.sha256(done.encode()).hexdigest()[:16], entry.changed_at)
    detail: OrderCorrected = {**about, "corrected": found}
    return [Event("OrderCorrected", about["id"], entry.changed_at, detail)]


def _document(kind: DocumentKind, posted: Posted) -> EventDocument:
    return {
        "kind": kind,
        "id": posted.id,
        "number": posted.number,
        "total": posted.total,
        "currency": posted.currency,
    }


def _about(entry: Entry, what: str, which: str, at: datetime) -> OrderDetail:
    return {
        "id": f"{entry.company}#{entry.order_id}#{what}#{which}",
        "at": at.isoformat(),
        "company": entry.company,
        "order_id": entry.order_id,
        "state": entry.state,
        "number": entry.number,
        "organisation_id": entry.organisation_id,
        "documents": [
            _document(kind, posted)
            for kind, posted in entry.documents.items()
            if posted.status not in VOID_OR_DELETED
        ],
    }

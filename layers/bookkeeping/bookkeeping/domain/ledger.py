"""An order's life in the ledger. Pure: every function takes an entry and returns the next one.

    queued ⇄ posting → posted            waiting: heals by itself, says for what
       ↑         └→ needs_attention      skipped: not to be posted, says why
       └─ waiting, skipped, needs_attention, as soon as a newer message or a person frees them
               └→ set_aside: a person has dealt with it otherwise; only a person takes it back

An entry is *frozen* while a document of it exists or may exist. A frozen entry's content never changes: a newer
message is kept beside it, and counts as soon as it is certain that nothing was created, or is shown as a change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, Literal, Self

from bookkeeping.domain.connection import Connection
from bookkeeping.domain.corrections import Correction, Credited, CreditNote
from bookkeeping.domain.countries import place_words
from bookkeeping.domain.document_kinds import DocumentKind
from bookkeeping.domain.documents import (
    document_number,
    skip_reason,
    sold_before_start,
    waits_for_dispatch,
    wants,
)
from bookkeeping.domain.documents_in_xero import VOID_OR_DELETED, stands_by
from bookkeeping.domain.errors import StillBeingSent
from bookkeeping.domain.orders import (
    NO_SALE,
    STAGES,
    Disposition,
    Order,
    Stage,
    content,
    content_hash,
    content_saying,
    order_from_content,
)
from bookkeeping.domain.pacing import BATCH_SIZE
from bookkeeping.domain.problems.catalogue import ACCEPT
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.settings import Settings
from bookkeeping.domain.stored import Stored
from bookkeeping.domain.texts import within
from bookkeeping.domain.time_zones import Calendar

Choice = Literal["post", "skip"]
"""What a person may decide about an order that is no sale."""
UTC_DAYS: Final = Calendar("UTC")

LONGEST_WORD: Final = 100
LONGEST_FIELD: Final = 200
"""Bytes of a field of a document as Xero answers it."""
LONGEST_NOTE: Final = 500
"""Bytes."""
MOST_NOTES: Final = 20
MOST_FORMER: Final = 20
ELSEWHERE: Final = "*"
"""Stands for the content that was dealt with, once the platform has said something else. No hash is so."""
MOST_ACTS: Final = 50
"""The last unusual things that happened to an order."""
ACT_AT_MOST: Final = 150
"""About how many bytes of a row an act takes, beside the person's name."""
FREED_BY_SETTINGS: Final = "freed by settings"
FREED_BY_CONNECTION: Final = "freed by connection"
FREED_BY_XERO: Final = "freed by xero"
CHANGED_BY_PLATFORM: Final = "changed by the platform"
"""Acts of nobody. Versions that do not know them show them as they are."""
ROOM: Final = 340_000
"""Bytes of content a row has room for: DynamoDB takes 400 KB."""


WAITS_WHILE: Final = {
    "disconnected": "not_connected",
    "needs_reconnect": "reconnect",
    "wrong_credentials": "wrong_credentials",
    "cut_off": "reconnect",
    "choose_organisation": "organisation_unchosen",
    "confirm_organisation": "organisation_unconfirmed",
}
"""Status of a connection → why its orders wait."""
UNKNOWN: Final = "newer_version"
"""Why orders wait while the status is one that only a newer version of this code knows."""


class State(StrEnum):
    QUEUED = "queued"
    POSTING = "posting"
    POSTED = "posted"
    WAITING = "waiting"
    NEEDS_ATTENTION = "needs_attention"
    SKIPPED = "skipped"
    SET_ASIDE = "set_aside"


UNDER_WAY: Final = frozenset({State.QUEUED, State.POSTING})
"""States of an order that is due, or was sent and has no answer yet."""
STANDING_STILL: Final = frozenset({State.NEEDS_ATTENTION, State.WAITING, State.SKIPPED})
"""States of an order that a change elsewhere, or a person, may have tried again. A person may set it aside instead."""


@dataclass(frozen=True)
class Posted(Stored):
    """A document in Xero, as Xero answered it. Amounts are decimal text."""

    id: str
    number: str
    status: str
    total: str
    currency: str
    at: datetime
    adopted: bool = False
    """Found in Xero by its number after an outcome that never arrived."""
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    """Of the document as it was posted; empty where Xero did not list its lines."""
    tax: str = ""
    """Of the total. What is empty here and below is not known: the book match does not compare it."""
    dated_on: str = ""
    """As in 2026-11-23."""
    contact_check: str = ""
    """The check value of its contact's id."""
    lines_check: str = ""
    """The check value of its lines: their accounts, tax types and amounts."""
    settings_version: int = 0
    """The version of the settings that made it, where the order went on under another one; else 0."""
    stands: str = ""
    """How far it was approved, paid or credited when it was last read after posting. No payment is kept."""
    read_at: datetime | None = None
    """When that was."""
    dealt_with: bool = False
    """Whether it was deleted or voided from here, or a person has dealt with its being so."""

    @property
    def stood(self) -> str:
        """Where it stood in Xero when that was last known."""
        return self.stands or stands_by(self.status)

    def __post_init__(self) -> None:
        # what Xero answers and what is noted is of any length
        for name in ("id", "number", "status", "total", "currency", "tax"):
            object.__setattr__(self, name, within(getattr(self, name), LONGEST_FIELD))
        notes = tuple(within(note, LONGEST_NOTE) for note in self.notes[:MOST_NOTES])
        object.__setattr__(self, "notes", notes)


@dataclass(frozen=True)
class Message(Stored):
    """What a message of the platform said: an order's content, or why it can't be read."""

    sent_at: int
    """SQS SentTimestamp, milliseconds, of the last message that said this."""
    content: str = ""
    content_hash: str = ""
    problem: Problem | None = None
    first_sent_at: int = 0
    """When it was said first, where that was another message: this dates documents."""
    stage: Stage = field(default="", compare=False)
    """What the message says of production. It is kept with the order, not with the message."""

    @classmethod
    def of(cls, order: Order, sent_at: int) -> Message:
        return cls(sent_at, content(order), content_hash(order), stage=order.stage)

    @classmethod
    def unreadable(cls, problem: Problem, sent_at: int) -> Message:
        return cls(sent_at, problem=problem)

    @cached_property
    def order(self) -> Order:
        return order_from_content(self.content)

    def newer_than(self, other: Message) -> bool:
        """Sent later; of two sent in the same millisecond one is newer, whichever arrives first.

        Of two that differ in nothing but the dispatch the later text is the dispatched one.
        """
        if self.repeats(other):
            return False
        mine = (self.sent_at, self.content_hash, self.content)
        return mine > (other.sent_at, other.content_hash, other.content)

    def repeats(self, other: Message) -> bool:
        same = (self.sent_at, self.content_hash) == (other.sent_at, other.content_hash)
        # one that was too long to be kept beside another has lost its text
        return same and other.content in ("", self.content)


@dataclass(frozen=True)
class SaleStatus(Stored):
    """What the platform said last of the sale. A message without a status, or “Archived”, says nothing of it."""

    sent_at: int
    disposition: Disposition
    status: str = ""

    @classmethod
    def by(cls, message: Message) -> SaleStatus | None:
        if message.problem is not None or not message.content:
            return None
        order = message.order
        return cls(message.sent_at, order.disposition, order.status) if order.status_told else None

    def completed(self, message: Message) -> Message:
        """The message; one that says nothing of the sale with what was said last."""
        if message.problem is not None or not message.content:
            return message
        order = message.order
        if order.status_told or order.disposition == "error":
            return message
        said = replace(order, disposition=self.disposition, status=self.status)
        text = content_saying(message.content, self.disposition, self.status)
        return replace(message, content=text, content_hash=content_hash(said))


@dataclass(frozen=True)
class Act(Stored):
    """What a person did, or something unusual that happened by itself: to an order, or to a company's settings.

    What every order goes through is no act: its row says it elsewhere.
    """

    by: str
    """The person's name; empty for what happened by itself."""
    what: str
    at: datetime
    was: str = ""
    """Why the order had stopped, waited or been skipped until then: a code of `problems`."""
    since: datetime | None = None
    version: int = 0
    """The version of the settings under which it was tried again."""


@dataclass(frozen=True)
class SetAside(Stored):
    """A person has booked the order by hand, or dropped it."""

    by: str
    at: datetime
    because: str
    was: State
    """How it stood before."""


@dataclass(frozen=True)
class Entry(Stored):
    """One order in one company's ledger."""

    company: str
    order_id: str
    state: State
    message: Message
    received_at: datetime
    changed_at: datetime
    version: int = 0
    reason: str = ""
    """Why it is skipped or waiting: a code of `problems`."""
    through: str = ""
    """The other company through which the order is already in the same books."""
    problem: Problem | None = None
    number: str = ""
    organisation_id: str = ""
    lane: str = ""
    settings_version: int = 0
    due_at: datetime | None = None
    documents: Mapping[DocumentKind, Posted] = field(default_factory=dict)
    batch: str = ""
    settled_in: str = ""
    """The batch that gave the entry its present state."""
    refusals: int = 0
    """How often Xero refused the next document for something that was then read again."""
    at_most: int = BATCH_SIZE
    """The largest batch it may travel in; halves when a whole batch is refused or times out."""
    as_draft: bool = False
    items_as_they_are: bool = False
    """A person said: use this order's untracked items as they are."""
    no_sale: Mapping[str, Choice] = field(default_factory=dict)
    """What a person decided about the order while it was refunded, returned or rejected."""
    sale_status: SaleStatus | None = None
    """What the platform said last of the sale."""
    dated_by: Calendar = UTC_DAYS
    """The calendar by which its first document is dated."""
    dated_on_dispatch: bool = False
    """Whether its documents are dated by its completion."""
    newer: Message | None = None
    changes: tuple[str, ...] = ()
    history: tuple[Act, ...] = ()
    stage: Stage = ""
    """How far production has come, by all messages."""
    correction: Correction | None = None
    """What is being done to its documents in Xero after it was posted."""
    credit_notes: tuple[CreditNote, ...] = ()
    dealt_with: str = ""
    """The hash of the content up to which a person, or a correction, has dealt with changes after posting."""
    former: tuple[Posted, ...] = ()
    """Its documents that were deleted or voided before it was posted again."""
    set_aside: SetAside | None = None
    """By whom and why it was set aside. What stopped it stays with it."""

    @property
    def key(self) -> tuple[str, str]:
        return (self.company, self.order_id)

    @property
    def why(self) -> str:
        """Why it stands where it stands: its problem's code, else the reason."""
        return self.problem.code if self.problem else self.reason

    @property
    def next_number(self) -> str:
        """The number under which it is posted again: the first time with `-2`, then with `-3`."""
        if not self.former:
            return f"{self.number}-2"
        first, _, count = self.number.rpartition("-")
        return f"{first}-{int(count) + 1}"

    @property
    def frozen(self) -> bool:
        return bool(self.documents or self.batch)

    @property
    def newest(self) -> Message:
        """What the platform said last."""
        return self.newer or self.message

    @property
    def to_do(self) -> bool:
        """Whether a turn in its lane has something to do for it, once it is due."""
        if self.state is State.POSTED and self.correction is not None:
            return not self.correction.rests or self.correction.rests == "note_is_draft"
        return self.state is State.QUEUED

    @property
    def before_production(self) -> bool:
        """Whether it is certain that nothing of it has been made yet."""
        return self.stage == "received"

    @property
    def retried_at(self) -> datetime | None:
        """When a person did something to it last."""
        return max((act.at for act in self.history if act.by), default=None)

    def with_act(self, by: str, what: str, now: datetime, version: int = 0) -> Self:
        """The entry with an act of a person, or of nobody, that ends its present state."""
        act = Act(
            within(by, LONGEST_FIELD),
            what,
            now,
            was=self.why,
            since=self.changed_at if self.why else None,
            version=version,
        )
        return replace(self, history=(*self.history, act)[-MOST_ACTS:])


@dataclass
class Outcomes:
    """How orders stand now, for the log: company, state and why → the orders' ids."""

    orders: dict[tuple[str, State, str], list[str]] = field(default_factory=dict)

    def note(self, entry: Entry) -> None:
        self.orders.setdefault((entry.company, entry.state, entry.why), []).append(entry.order_id)

    def lines(self) -> list[dict[str, Any]]:
        """One a company, state and why, with the orders' ids and nothing else of the orders."""
        return [
            {"company": company, "state": str(state), "why": why, "how_many": len(ids), "orders": ids}
            for (company, state, why), ids in self.orders.items()
        ]

    def count(self, state: State) -> int:
        return sum(len(ids) for (_, is_, _), ids in self.orders.items() if is_ is state)


@dataclass(frozen=True)
class Pause:
    """Whoever runs the integration has paused posting, for one company or for all."""

    by: str
    at: datetime
    because: str = ""
    """Why, in words for the Orders page."""


@dataclass(frozen=True)
class Books:
    """How a company keeps its books at this moment."""

    company: str
    settings: Settings
    settings_version: int
    connection: Connection | None
    pause: Pause | None = None
    """Only posting reads it."""

    @property
    def may_send(self) -> bool:
        """Whether documents of unsent orders may be created."""
        return self.settings.enabled and self.pause is None

    @property
    def open(self) -> bool:
        return self.connection is not None and self.connection.status == "connected"


def accept(entry: Entry | None, message: Message, books: Books, order_id: str, now: datetime) -> Entry | None:
    """The entry after a message of the platform; None where the message changes nothing."""
    if entry is None:
        new = Entry(books.company, order_id, State.QUEUED, message, received_at=now, changed_at=now)
        return decide(replace(new, sale_status=SaleStatus.by(message), stage=message.stage), books, now)
    newest = entry.newest
    sale_status = _latest_sale_status(entry, message)
    stage = _furthest(entry.stage, message.stage)
    message = completed(entry, message)
    if not message.newer_than(newest):
        if (sale_status, stage) == (entry.sale_status, entry.stage):
            return None
        entry = replace(entry, stage=stage)
        # sent before what is known, and yet the last that says anything of the sale
        message = sale_status.completed(newest) if sale_status else newest
        entry = replace(entry, sale_status=sale_status)
        if message == newest:
            return entry
    entry = replace(entry, sale_status=sale_status, stage=stage)
    if entry.state is State.SET_ASIDE:
        return _said_of_set_aside(entry, message, now)
    if not entry.frozen:
        return _with_message(entry, message, books, now)
    beside = _beside(entry, message, now)
    if beside.state is State.POSTED:
        news = beside.newest.content_hash != entry.newest.content_hash
        if news and beside.dealt_with:
            beside = replace(beside, dealt_with=ELSEWHERE)
        return look_after_posting(beside, books, now, news=news)
    return _half_posted_now(beside, books, now)


def _said_of_set_aside(entry: Entry, message: Message, now: datetime) -> Entry:
    """An order that was set aside, with what the platform says of it by now. It stays where it is."""
    if entry.frozen:
        return replace(_beside(entry, message, now), changed_at=entry.changed_at)
    changes: tuple[str, ...] = ("The order was sent again.",)
    if entry.message.problem is None:
        changes = differences(entry.message, message)
    if message.content_hash != entry.message.content_hash:
        entry = _noted(entry, Act("", CHANGED_BY_PLATFORM, now))
    return replace(entry, message=_dispatched_since(entry.message, message), changes=changes or entry.changes)


def _furthest(known: Stage, said: Stage) -> Stage:
    return max(known, said, key=STAGES.index)


def _with_message(entry: Entry, message: Message, books: Books, now: datetime) -> Entry:
    """What becomes of an order none of whose documents is sent, after a newer message."""
    if message.content_hash != entry.message.content_hash:
        entry = entry.with_act("", CHANGED_BY_PLATFORM, now)
    message = _dispatched_since(entry.message, message)
    return decide(replace(entry, message=message, newer=None, refusals=0), books, now)


def _half_posted_now(entry: Entry, books: Books, now: datetime) -> Entry:
    """A half-posted order under what the platform says of the sale by now."""
    if not entry.documents or entry.batch or entry.state is State.POSTED:
        return entry
    if _differs(entry):
        # a person looks at that first, and is asked about the rest once it is accepted
        return entry
    held = held_back_half(entry, books.settings, now)
    if held is not None:
        return entry if (held.state, held.problem) == (entry.state, entry.problem) else held
    asked = remaining(entry, books.settings) and (entry.state is State.SKIPPED or entry.why == "no_sale")
    return become_due(entry, books, now) if asked else entry


def held_back_half(entry: Entry, settings: Settings, now: datetime) -> Entry | None:
    """The order whose purchase order is in Xero, stopped or skipped before its invoice; None where that is to be sent.

    What stands in Xero needs a person: no setting skips the rest.
    """
    sale_status = entry.sale_status
    if sale_status is None or sale_status.disposition not in (*NO_SALE, "cancelled"):
        return None
    if not entry.documents or not remaining(entry, settings):
        return None
    choice = entry.no_sale.get(_question(sale_status), "")
    if choice == "post" or (not choice and usual_choice(sale_status, settings) == "post"):
        return None
    if choice == "skip":
        return skip(entry, sale_status.disposition, now)
    half = f". Its purchase order {entry.number} is in Xero, but its invoice is not. Skip leaves it so"
    return stop(entry, no_sale(entry.order_id, sale_status, half), now)


def completed(entry: Entry | None, message: Message) -> Message:
    """The message; if it does not say what became of the sale, with what an earlier message said of it."""
    sale_status = _latest_sale_status(entry, message) if entry else None
    return sale_status.completed(message) if sale_status else message


def _latest_sale_status(entry: Entry, message: Message) -> SaleStatus | None:
    sale_status = SaleStatus.by(message)
    if sale_status is None or entry.sale_status is None:
        return sale_status or entry.sale_status
    return max(sale_status, entry.sale_status, key=lambda one: (one.sent_at, one.disposition, one.status))


def _beside(entry: Entry, message: Message, now: datetime) -> Entry:
    """A frozen entry with a newer message kept beside its content."""
    known = entry.message
    if _says_the_same(message, entry):
        # the platform is, or is back, at what was posted
        kept = replace(known, sent_at=message.sent_at, first_sent_at=sent_first(known))
        changed_at = now if entry.newer else entry.changed_at
        return replace(entry, message=kept, newer=None, changes=(), changed_at=changed_at)
    changes = _differences(entry, message) if entry.documents else ()
    if entry.newer is not None and entry.newer.content_hash == message.content_hash and message.content:
        # said again: what it says counts from the day on which it was said first
        message = replace(message, first_sent_at=min(sent_first(entry.newer), sent_first(message)))
    if _bytes(entry.message) + _bytes(message) > ROOM:
        if not entry.documents:
            raise StillBeingSent(f"order {entry.order_id}")
        message = replace(message, content="")
    return replace(entry, newer=message, changes=changes, changed_at=now)


def _says_the_same(message: Message, entry: Entry) -> bool:
    """Whether a message says nothing else than what is being posted, or was posted."""
    if message.problem is not None or not message.content:
        return False
    if not entry.documents:
        # until a document stands, the dispatch and its day count as well
        return message.content == entry.message.content
    return not _differences(entry, message)


def weight(entry: Entry) -> int:
    """About how many bytes the entry takes as a row."""
    beside = _bytes(entry.newer) if entry.newer else 0
    problem = (*entry.problem.details.values(), *entry.problem.xero_says) if entry.problem else ()
    notes = (note for posted in entry.documents.values() for note in posted.notes)
    texts = (*entry.changes, *problem, *notes, *(act.by for act in entry.history))
    rest = 4_000 + ACT_AT_MOST * len(entry.history)
    return _bytes(entry.message) + beside + sum(len(text.encode()) for text in texts) + rest


def _bytes(message: Message) -> int:
    return len(message.content.encode())


def decide(entry: Entry, books: Books, now: datetime) -> Entry:
    """What becomes of an order none of whose documents is sent: skipped, waiting, stopped, or due."""
    return held_back(entry, books.settings, now) or become_due(entry, books, now)


def held_back(
    entry: Entry, settings: Settings, now: datetime, calendar: Calendar | None = None
) -> Entry | None:
    """The order skipped, stopped or waiting; None where it can become due.

    Without its organisation's calendar an order sold about when posting starts becomes due, to be asked about then.
    """
    if entry.message.problem is not None:
        return stop(entry, entry.message.problem, now)
    order = entry.message.order
    reason = skip_reason(order, settings)
    if reason is not None:
        return skip(entry, reason, now)
    before_start = sold_before_start(order, settings, calendar)
    if before_start is None:
        return None
    if before_start:
        return skip(entry, "before_start", now)
    decided = entry.no_sale.get(_question(order), "")
    if order.disposition in NO_SALE:
        choice = decided or usual_choice(order, settings)
        if choice == "skip":
            return skip(entry, order.disposition, now)
        if choice == "ask":
            return stop(entry, no_sale(order.id, order), now)
    if order.flaw is not None:
        return stop(entry, order.flaw, now)
    if order.completion_flaw is not None and settings.post_when == "dispatch":
        return stop(entry, order.completion_flaw, now)
    # what a person says is to be posted need not be dispatched: it may never be
    if decided != "post" and waits_for_dispatch(order, settings):
        return wait(entry, "dispatch", now)
    return None


def usual_choice(order: Order | SaleStatus, settings: Settings) -> Literal["ask", "skip", "post"]:
    """What the settings say of an order that is no sale, or may be none."""
    if order.disposition in ("unclear", "cancelled"):
        return "ask"
    if order.disposition in ("partially_refunded", "partially_returned"):
        # some of it is a sale
        return "post" if settings.refunded_orders == "post" else "ask"
    return settings.refunded_orders


def _question(order: Order | SaleStatus) -> str:
    """What is asked about an order that may be no sale: its answer counts as long as this stays the same."""
    return order.status or order.disposition


def no_sale(order_id: str, sale: Order | SaleStatus, half: str = "") -> Problem:
    """The problem of an order that is no sale, or may be none. `half`: what of it is in Xero."""
    if sale.disposition in ("unclear", "cancelled"):
        decides = ""
    elif half or sale.disposition in ("partially_refunded", "partially_returned"):
        decides = " “Refunded orders” in the settings can post all such orders."
    else:
        decides = " “Refunded orders” in the settings decides this for all such orders."
    details = {"order": order_id, "status": _status_words(sale), "half": half, "decides": decides}
    return Problem("no_sale", details)


def _status_words(order: Order | SaleStatus) -> str:
    return f"“{order.status}”" if order.status else order.disposition.replace("_", " ")


def become_due(entry: Entry, books: Books, now: datetime) -> Entry:
    """Due under the company's settings and connection of this moment. The number stays what it first was."""
    connection = books.connection
    if connection is None:
        return wait(entry, "not_connected", now)
    if connection.taken_out:
        return skip(entry, "taken_out", now)
    if connection.status != "connected":
        return wait(entry, WAITS_WHILE.get(connection.status, UNKNOWN), now)
    if entry.documents and entry.organisation_id != connection.organisation_id:
        return stop(entry, _left_behind(entry, connection), now)
    if connection.prefix_taken_by and not entry.documents:
        details = {
            "order": entry.order_id,
            "prefix": books.settings.number_prefix,
            "company": connection.prefix_taken_by,
            "organisation": connection.organisation_name,
        }
        return stop(entry, Problem("settings_prefix_clash", details), now)
    number = entry.number or document_number(books.settings.number_prefix, entry.order_id)
    return replace(
        _at(entry, State.QUEUED, now),
        number=number,
        organisation_id=connection.organisation_id,
        lane=connection.lane,
        settings_version=books.settings_version,
        due_at=now,
        changed_at=now,
        documents=_made_under(entry, books.settings_version),
    )


def _made_under(entry: Entry, version: int) -> Mapping[DocumentKind, Posted]:
    """The order's documents; they say which settings made them, where it goes on under others."""
    if entry.settings_version == version:
        return entry.documents
    return {
        kind: posted if posted.settings_version else replace(posted, settings_version=entry.settings_version)
        for kind, posted in entry.documents.items()
    }


def _left_behind(entry: Entry, connection: Connection) -> Problem:
    """The order is, or may be, in the books of the organisation that its company was connected to before."""
    known = connection.previous_organisation_id == entry.organisation_id
    before = connection.previous_organisation_name if known else entry.organisation_id
    return Problem(
        "may_already_be_in", {"order": entry.order_id, "number": entry.number, "organisation": before}
    )


def _at(entry: Entry, state: State, now: datetime) -> Entry:
    """The entry in another state, without what explained or scheduled the old one."""
    return replace(entry, state=state, reason="", through="", problem=None, due_at=None, changed_at=now)


def skip(entry: Entry, reason: str, now: datetime) -> Entry:
    """Not to be posted. It holds no organisation, so that another company may post it there."""
    skipped = replace(_at(entry, State.SKIPPED, now), reason=reason)
    return skipped if entry.frozen else replace(skipped, organisation_id="", lane="")


def published(entry: Entry) -> Entry:
    """The event of its outcome is published, so the index of due orders need not show it any more."""
    return replace(entry, due_at=None, lane=entry.lane if entry.organisation_id else "")


def wait(entry: Entry, reason: str, now: datetime) -> Entry:
    """Nothing to do until what it waits for happens. Its organisation stays, if a document may be there."""
    waiting = replace(_at(entry, State.WAITING, now), reason=reason)
    return waiting if entry.frozen else replace(waiting, organisation_id="", lane="")


def stop(entry: Entry, problem: Problem, now: datetime) -> Entry:
    return replace(_at(entry, State.NEEDS_ATTENTION, now), problem=problem)


def stop_for_our_fault(entry: Entry, reference: str, now: datetime) -> Entry:
    """Stopped by a fault of ours. In a batch it stays in it: what became of its document is still to be found out."""
    return stop(entry, Problem("our_fault", {"order": entry.order_id, "reference": reference}), now)


def nothing_left(entry: Entry, settings: Settings, now: datetime) -> Entry:
    """Due, and yet no document is to be posted any more."""
    if entry.documents:
        return _at(entry, State.POSTED, now)
    return skip(entry, skip_reason(entry.message.order, settings) or "free_of_charge", now)


def sibling(entry: Entry) -> str | None:
    """The order's other company, where a check is due that it has not posted the order into the same books."""
    if entry.state is not State.QUEUED or entry.frozen:
        return None
    return next((company for company in entry.message.order.companies if company != entry.company), None)


def sent_at(message: Message) -> datetime:
    """When the message was first sent."""
    return datetime.fromtimestamp(sent_first(message) / 1000, UTC)


def sent_first(message: Message) -> int:
    """The same in milliseconds."""
    return message.first_sent_at or message.sent_at


def begin(
    entry: Entry, batch: str, now: datetime, calendar: Calendar = UTC_DAYS, *, on_dispatch: bool = False
) -> Entry:
    """About to be sent: frozen until the batch is settled."""
    dated_by = entry.dated_by if entry.documents else calendar
    return replace(
        _at(entry, State.POSTING, now), batch=batch, dated_by=dated_by, dated_on_dispatch=on_dispatch
    )


def remaining(entry: Entry, settings: Settings) -> tuple[DocumentKind, ...]:
    """The documents still to be posted, in their order."""
    return tuple(kind for kind in wants(entry.message.order, settings) if kind not in entry.documents)


def settle_posted(
    entry: Entry, kind: DocumentKind, posted: Posted, settings: Settings, books: Books, now: datetime
) -> Entry:
    """The document is in the books. The next one is due at once."""
    settled = replace(
        _settled(entry, now),
        documents={**entry.documents, kind: posted},
        refusals=0,
        at_most=BATCH_SIZE,
        as_draft=False,
    )
    if settled.newer is not None:
        settled = _beside(replace(settled, newer=None), settled.newer, now)
    if remaining(settled, settings):
        return held_back_half(settled, settings, now) or replace(_at(settled, State.QUEUED, now), due_at=now)
    return look_after_posting(_at(settled, State.POSTED, now), books, now)


def settle_refused(entry: Entry, problem: Problem, books: Books, now: datetime) -> Entry:
    """Certainly not in the books: a person must act, unless a newer message has come since."""
    settled = replace(_settled(entry, now), refusals=0)
    return _renewed(settled, books, now) or stop(settled, problem, now)


def settle_unsent(entry: Entry, books: Books, now: datetime, *, at_most: int | None = None) -> Entry:
    """Certainly not in the books, through no fault of the order: due again at once."""
    settled = replace(_settled(entry, now), at_most=at_most or entry.at_most)
    return _renewed(settled, books, now) or replace(_at(settled, State.QUEUED, now), due_at=now)


def settle_again(entry: Entry, books: Books, now: datetime, *, as_draft: bool = False) -> Entry:
    """Refused for something that can be read or done anew: due again, once."""
    settled = replace(_settled(entry, now), refusals=entry.refusals + 1, as_draft=as_draft or entry.as_draft)
    return _renewed(settled, books, now) or replace(_at(settled, State.QUEUED, now), due_at=now)


def settle_moved(entry: Entry, connection: Connection, now: datetime) -> Entry:
    """Perhaps in the books of an organisation that can't be asked any more: a person must look."""
    settled = _settled(entry, now)
    if settled.newer is not None and not settled.frozen:
        settled = replace(settled, message=settled.newer, newer=None)
    return stop(settled, _left_behind(entry, connection), now)


def _settled(entry: Entry, now: datetime) -> Entry:
    return replace(entry, settled_in=entry.batch, batch="", changed_at=now)


def _renewed(entry: Entry, books: Books, now: datetime) -> Entry | None:
    """The entry under what the platform said while it was frozen, where that changes what becomes of it now."""
    if entry.documents:
        return held_back_half(entry, books.settings, now)
    if entry.newer is None or entry.frozen:
        return None
    return _with_message(entry, entry.newer, books, now)


def _dispatched_since(known: Message, message: Message) -> Message:
    """The message, dated by the one that first said that the order is dispatched."""
    if not (known.content and message.content and known.order.dispatched and message.order.dispatched):
        return message
    return replace(message, first_sent_at=min(sent_first(known), sent_first(message)))


def merge(outcome: Entry, now_stands: Entry, books: Books, now: datetime) -> Entry:
    """The outcome over an entry that a message or a person has changed since the outcome was worked out."""
    merged = replace(
        outcome,
        version=now_stands.version,
        message=now_stands.message,
        newer=now_stands.newer,
        sale_status=now_stands.sale_status,
        history=now_stands.history,
        stage=now_stands.stage,
        changes=(),
        unknown=now_stands.unknown,
    )
    if merged.newer is None:
        return merged
    if merged.documents:
        beside = _beside(replace(merged, newer=None), merged.newer, merged.changed_at)
        if beside.state is State.POSTED:
            return look_after_posting(beside, books, now)
        return _half_posted_now(beside, books, now)
    return _renewed(merged, books, now) or merged


# --- after posting


def look_after_posting(entry: Entry, books: Books, now: datetime, *, news: bool = True) -> Entry:
    """A posted order under what the platform says of it by now: for a person to look at, or corrected by itself.

    By itself only for `news`: what was left to a person stays so when the platform repeats it.
    """
    if is_free(entry.correction) and changed_since(entry) and not entry.batch:
        may_correct = news and books.may_send and here(entry, books)
        asked = _by_itself(entry, books.settings, now) if may_correct else None
        if asked is not None:
            return correct(entry, asked, books, now)
    return replace(entry, reason=_after_posting(entry))


def is_free(correction: Correction | None) -> bool:
    """Whether nothing more is done by itself."""
    return correction is None or correction.rests == "ask_supplier"


def changed_since(entry: Entry) -> bool:
    """Whether the platform has said something of a posted order that nobody has dealt with."""
    touched = entry.credit_notes or any(
        posted.status in VOID_OR_DELETED for posted in entry.documents.values()
    )
    told_of = entry.changes or touched or entry.dealt_with
    return bool(told_of) and entry.newest.content_hash != entry.dealt_with


def superseded(entry: Entry) -> bool:
    """Whether the platform has said something else since a correction came to rest, so that a person decides anew."""
    correction = entry.correction
    if correction is None or correction.step or not (correction.problem or correction.rests):
        return False
    if entry.newest.content_hash == correction.dealt_with:
        return False
    # what else is cancelled while a note waits for its approval is looked at after the note
    return correction.rests != "note_is_draft" or bool(sold_again(entry))


def sold_again(entry: Entry) -> list[int]:
    """Places of lines that a credit note takes back, and that the platform says are sold; `SHIPPING` among them."""
    newest = entry.newest
    if newest.problem is not None or not newest.content or newest.order.disposition != "live":
        return []
    cancelled = {place for place, line in enumerate(newest.order.lines, start=1) if line.cancelled}
    credited = {one.line for note in entry.credit_notes if note.counts for one in note.credited}
    return sorted(credited - cancelled)


def _after_posting(entry: Entry) -> str:
    """Why a posted order is on the list of those changed after posting, a code of `CHANGED`; empty: it is not."""
    correction = entry.correction
    if correction is None or superseded(entry):
        return "changed" if changed_since(entry) else ""
    return "correction_stopped" if correction.problem else correction.rests or "correcting"


def outdated(entry: Entry) -> bool:
    """Whether the platform has said something else before anything was done for the cancellation it told of."""
    correction = entry.correction
    if correction is None or not (correction.what == "take_back" or correction.of_message):
        return False
    begun = correction.step or correction.noted or correction.deleted
    return not begun and correction.dealt_with != entry.newest.content_hash


def here(entry: Entry, books: Books) -> bool:
    """Whether the company is connected to the organisation that has the order's documents."""
    connection = books.connection
    return books.open and connection is not None and connection.organisation_id == entry.organisation_id


def _by_itself(entry: Entry, settings: Settings, now: datetime) -> Correction | None:
    """What the setting “Cancelled after posting” has done without a person; None: a person decides."""
    if settings.cancellations == "ask":
        return None
    asked = cancellation(entry, "", now)
    return asked and replace(asked, drafts_only=settings.cancellations == "drafts")


def cancellation(entry: Entry, by: str, now: datetime) -> Correction | None:
    """The correction of a posted order that was cancelled, or some of whose lines were; None where that is not all."""
    newer = entry.newer
    if newer is None or newer.problem is not None or not newer.content or newer.order.flaw is not None:
        return None
    what = replace(Correction("take_back", by, now, newer.content_hash), with_stock=entry.before_production)
    if newer.order.disposition == "cancelled":
        return what
    credited = _cancelled_lines(entry.message.order, newer.order)
    if not credited or sold_again(entry):
        return None
    if all(line.cancelled for line in newer.order.lines):
        return what
    # of each, what is left of it: some may have been credited before
    return replace(what, what="credit", credited=tuple(credited), of_message=True)


def _cancelled_lines(posted: Order, newer: Order) -> list[Credited]:
    """The lines that were cancelled since, if nothing else of the order has changed."""
    if len(posted.lines) != len(newer.lines) or _but_for_lines(posted) != _but_for_lines(newer):
        return []
    found = []
    for place, (was, is_) in enumerate(zip(posted.lines, newer.lines, strict=True), start=1):
        if replace(was, cancelled=is_.cancelled) != is_ or (was.cancelled and not is_.cancelled):
            return []
        if is_.cancelled and not was.cancelled:
            found.append(Credited(place))
    return found


def _but_for_lines(order: Order) -> Order:
    """What has to be unchanged of an order for its cancelled lines to be all that changed."""
    return replace(
        order, lines=(), dispatched=False, completed_at=None, completion_flaw=None, dispatch_by=None
    )


def correct(entry: Entry, correction: Correction, books: Books, now: datetime) -> Entry:
    """The posted order with a correction that is to be carried out in its lane."""
    connection = books.connection
    asked = replace(
        entry,
        correction=correction,
        lane=connection.lane if connection else entry.lane,
        due_at=now,
        changed_at=now,
    )
    return replace(asked, reason=_after_posting(asked))


def corrected(
    entry: Entry, correction: Correction | None, now: datetime, *, due_at: datetime | None = None
) -> Entry:
    """The posted order with its correction as far as it has come; None: it is over."""
    entry = replace(entry, correction=correction, due_at=due_at, changed_at=now)
    return replace(entry, reason=_after_posting(entry))


def carried_on(entry: Entry, books: Books, now: datetime) -> Entry | None:
    """The posted order with its correction due again, once its company is connected; None where that is of no use."""
    correction, connection = entry.correction, books.connection
    if correction is None or correction.problem is not None or connection is None or not books.open:
        return None
    if here(entry, books):
        return replace(corrected(entry, correction, now, due_at=now), lane=connection.lane)
    details = {"order": entry.order_id, "number": entry.number}
    return corrected(entry, replace(correction, problem=Problem("posted_elsewhere", details)), now)


def dealt_with(entry: Entry, content_hash: str) -> Entry:
    """The posted order with its changes dealt with, up to a message of that content, and what is gone in Xero."""
    documents = {
        kind: replace(posted, dealt_with=posted.dealt_with or posted.status in VOID_OR_DELETED)
        for kind, posted in entry.documents.items()
    }
    return replace(entry, dealt_with=content_hash, documents=documents)


def as_read(posted: Posted, status: str, stands: str, now: datetime) -> Posted:
    """The document with where it stands in Xero, as it was just read. Its status stays as posted until it is gone."""
    gone = status in VOID_OR_DELETED
    return replace(posted, status=status if gone else posted.status, stands=stands, read_at=now)


def post_again(entry: Entry, books: Books, now: datetime) -> Entry:
    """Post the order anew under its next number, without the documents that were deleted or voided."""
    gone = {kind: posted for kind, posted in entry.documents.items() if posted.status in VOID_OR_DELETED}
    # what was too long to be kept beside the content is known no more
    too_long = entry.newer is not None and not entry.newer.content and entry.newer.problem is None
    newer = None if too_long else entry.newer
    renewed = replace(
        entry,
        documents={kind: posted for kind, posted in entry.documents.items() if kind not in gone},
        former=(*entry.former, *gone.values())[-MOST_FORMER:],
        number=entry.next_number,
        message=newer or entry.message,
        newer=entry.newer if too_long else None,
        changes=entry.changes if too_long else (),
        correction=_supplier_to_ask(entry),
        dealt_with=entry.dealt_with if too_long else entry.newest.content_hash,
        refusals=0,
        at_most=BATCH_SIZE,
    )
    if renewed.documents:
        return held_back_half(renewed, books.settings, now) or become_due(renewed, books, now)
    return decide(renewed, books, now)


def _supplier_to_ask(entry: Entry) -> Correction | None:
    """What stays of a correction whose order is posted again beside its purchase order, cancelled lines and all."""
    correction, order = entry.correction, entry.documents.get("purchase_order")
    if correction is None or correction.what != "credit" or order is None or order.status in VOID_OR_DELETED:
        return None
    return replace(correction, rests="ask_supplier")


# --- freed


def retry(
    entry: Entry,
    books: Books,
    by: str,
    now: datetime,
    *,
    items_as_they_are: bool = False,
    no_sale: Choice | None = None,
    because: str = "",
) -> Entry | None:
    """A person, or a changed setting, frees a stopped, skipped or waiting order; None where there is nothing to free.

    What was posted stays; a document that exists is never sent again. `no_sale` is what the person decided about an
    order that is no sale. `because`: the act, where nobody asked and no setting or connection was changed.
    """
    if entry.state not in STANDING_STILL:
        return None
    what = (no_sale or "retry") if by else because or _freed_by(entry)
    freed = replace(
        entry.with_act(by, what, now, books.settings_version),
        refusals=0,
        at_most=BATCH_SIZE,
        items_as_they_are=entry.items_as_they_are or items_as_they_are,
        no_sale=_decided(entry, no_sale),
        # who posts what is left of a cancelled order knows that it is cancelled
        dealt_with=entry.newest.content_hash if no_sale == "post" and entry.frozen else entry.dealt_with,
    )
    tried = _tried_again(entry, freed, books, by, now)
    if not by and (tried.state, tried.why) == (entry.state, entry.why):
        # nobody asked, and it is where it was
        return replace(tried, history=entry.history)
    return tried


def _freed_by(entry: Entry) -> str:
    connects = entry.state is State.WAITING and entry.reason != "dispatch"
    return FREED_BY_CONNECTION if connects else FREED_BY_SETTINGS


def _tried_again(entry: Entry, freed: Entry, books: Books, by: str, now: datetime) -> Entry:
    if entry.batch:
        # stopped by a fault of ours: what became of its document is found out first
        return _at(freed, State.POSTING, now)
    if not entry.documents:
        return decide(freed, books, now)
    if entry.problem is not None and _differs(entry):
        freed = _accepted(freed, entry.problem, by, now)
    if not remaining(freed, books.settings):
        posted = _at(freed, State.POSTED, now)
        return carried_on(posted, books, now) or look_after_posting(posted, books, now)
    return held_back_half(freed, books.settings, now) or become_due(freed, books, now)


def can_set_aside(entry: Entry) -> bool:
    """Whether a person may set the order aside. They may not while it is not known what became of its document."""
    return entry.state in STANDING_STILL and not entry.batch and entry.reason != UNKNOWN


def set_aside(entry: Entry, by: str, because: str, now: datetime) -> Entry | None:
    """A person has booked the order by hand, or dropped it; None where it is not standing still.

    Nothing but `take_back` moves it any more. Its organisation stays, so that the order's other company does not post
    it there either.
    """
    if not can_set_aside(entry):
        return None
    return replace(
        entry.with_act(by, "set_aside", now),
        state=State.SET_ASIDE,
        set_aside=SetAside(within(by, LONGEST_FIELD), now, within(because, LONGEST_NOTE), entry.state),
        due_at=None,
        changed_at=now,
    )


def take_back(entry: Entry, books: Books, by: str, now: datetime) -> Entry | None:
    """An order that was set aside, as if it had never been; None where it was not.

    It is decided anew what becomes of it, under what the platform has said meanwhile. Where a document of it stands, it
    needs attention as before: what that takes depends on the document.
    """
    if entry.set_aside is None:
        return None
    back = replace(
        _noted(entry, Act(within(by, LONGEST_FIELD), "take_back", now)),
        state=entry.set_aside.was,
        set_aside=None,
        changes=entry.changes if entry.documents else (),
        changed_at=now,
    )
    if entry.documents and entry.problem is not None:
        return back
    return _tried_again(back, replace(back, refusals=0, at_most=BATCH_SIZE), books, by, now)


def _noted(entry: Entry, act: Act) -> Entry:
    return replace(entry, history=(*entry.history, act)[-MOST_ACTS:])


def _differs(entry: Entry) -> bool:
    """Whether it is stopped because its document in Xero is not as the order says."""
    return entry.problem is not None and entry.problem.kind.retry_label == ACCEPT


def _accepted(freed: Entry, problem: Problem, by: str, now: datetime) -> Entry:
    """The order with the document that differs taken over: what differs stays with it."""
    # the invoice is always the last to be posted
    kind: DocumentKind = "invoice" if "invoice" in freed.documents else "purchase_order"
    posted = freed.documents[kind]
    differs = problem.sentence.removeprefix(f"Order {freed.order_id}: ")
    # first, because a document keeps only so many notes
    noted = replace(
        posted, notes=(f"{differs} {by or 'A person'} accepted it as it is in Xero.", *posted.notes)
    )
    acts = (*freed.history[:-1], replace(freed.history[-1], what="accept")) if by else freed.history
    return replace(freed, documents={**freed.documents, kind: noted}, history=acts)


def _decided(entry: Entry, choice: Choice | None) -> Mapping[str, Choice]:
    """What a person decided about the order so far."""
    if choice is None or entry.message.problem is not None:
        return entry.no_sale
    if entry.documents:
        return {**entry.no_sale, _question(entry.sale_status): choice} if entry.sale_status else entry.no_sale
    return {**entry.no_sale, _question(entry.message.order): choice}


def _differences(entry: Entry, message: Message) -> tuple[str, ...]:
    return differences(entry.message, message, entry.dated_by, on_dispatch=entry.dated_on_dispatch)


def differences(
    posted: Message, newer: Message, calendar: Calendar = UTC_DAYS, *, on_dispatch: bool = False
) -> tuple[str, ...]:
    """What a newer message says otherwise than what was posted, in words.

    The day of completion counts only for an order that is dated by it: `on_dispatch`.
    """
    if newer.problem is not None:
        return (f"A later message of this order can't be read. {newer.problem.sentence}",)
    if not newer.content:
        return ("The order's accounting content changed. It is too long to be kept twice.",)
    old, new = posted.order, newer.order
    if new.flaw is not None:
        # what can't be read of it is no change
        if _question(old) != _question(new):
            return (f"The order is now {_status_words(new)}.",)
        return (f"A later message of this order can't be read. {new.flaw.sentence}",)
    old_day, new_day = (calendar.day(order.sold_at) for order in (old, new))
    completed = [
        calendar.day(order.completed_at) if on_dispatch and order.completed_at else None
        for order in (old, new)
    ]
    if posted.content_hash == newer.content_hash and old_day == new_day and completed[0] == completed[1]:
        return ()
    found: list[str] = []
    if _question(old) != _question(new):
        words = {"error": "in error", "live": "active"}
        found.append(f"The order is now {words.get(new.disposition, _status_words(new))}.")
    named: Sequence[tuple[str, object, object]] = (
        ("Currency", old.currency, new.currency),
        ("Sale date", old_day, new_day),
        ("Completion date", completed[0], completed[1]),
        ("Reference", old.ref, new.ref),
        ("Sales channel's reference", old.external_ref, new.external_ref),
        ("Free of charge", old.free_of_charge, new.free_of_charge),
        (
            "Shipped to",
            old.ships_to and place_words(old.ships_to),
            new.ships_to and place_words(new.ships_to),
        ),
        ("Shipping price", old.shipping.price, new.shipping.price),
        ("Shipping price inc. tax", old.shipping.price_inc_tax, new.shipping.price_inc_tax),
        ("Shipping tax rate", old.shipping.tax_rate, new.shipping.tax_rate),
    )
    found += [
        f"{name}: {_word(was)} → {_word(now)}"
        for name, was, now in named
        if was != now and now not in _UNTOLD
    ]
    untold = any(was != now for _, was, now in named)
    if len(old.lines) != len(new.lines):
        found.append(f"Lines: {len(old.lines)} → {len(new.lines)}")
    for place, (was, now) in enumerate(zip(old.lines, new.lines, strict=False), start=1):
        for name in (
            "sku",
            "description",
            "colour",
            "size",
            "quantity",
            "price",
            "price_inc_tax",
            "cost",
            "tax_rate",
            "cancelled",
        ):
            before, after = getattr(was, name), getattr(now, name)
            untold = untold or before != after
            if before != after and after not in _UNTOLD:
                found.append(f"Line {place}, {name.replace('_', ' ')}: {_word(before)} → {_word(after)}")
    if found or untold:
        return tuple(found[:20])
    return ("The order's accounting content changed.",)


_UNTOLD: Final = (None, "")
"""A field that is not told any more is no change."""


def _word(value: object) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return text if len(text) <= LONGEST_WORD else f"{text[: LONGEST_WORD - 1]}…"

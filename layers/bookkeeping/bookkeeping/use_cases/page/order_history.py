"""What happened to an order, told from its row.

What every order goes through is derived: when it came, became due, and was created in Xero. Only the unusual is kept,
as acts. So an ordinary order has no history of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from bookkeeping.domain import ledger
from bookkeeping.domain.document_kinds import DOCUMENT_KINDS, DocumentKind
from bookkeeping.domain.ledger import Act, Entry, Posted, State
from bookkeeping.domain.problems.catalogue import ACCEPT, CHANGED, SKIPPED, WAITS, title
from bookkeeping.domain.problems.problem import worded
from bookkeeping.use_cases.page.corrections import LABELS

WORDS: Final[dict[str, str]] = {
    "retry": "Pressed Retry",
    "accept": f"Pressed “{ACCEPT}”",
    "post": "Pressed Post",
    "skip": "Pressed Skip",
    **{str(asked): f"Pressed “{label}”" for asked, label in LABELS.items()},
    "set_aside": "Set it aside",
    "take_back": "Took it back",
    ledger.FREED_BY_XERO: "Tried again because something that it waited for was changed in Xero",
    ledger.FREED_BY_SETTINGS: "Tried again because the settings were changed{version}",
    ledger.FREED_BY_CONNECTION: "Tried again because the company was connected to Xero",
    ledger.CHANGED_BY_PLATFORM: "The platform sent it with other content, which counts from then on",
}


class Happened(NamedTuple):
    at: datetime
    what: str
    by: str = ""
    """The person, if it was one."""


def history(entry: Entry, organisation: str, sent_at: datetime | None = None) -> list[Happened]:
    """What happened to the order, the latest first.

    `organisation` is the name of the company's, `sent_at` when the document without an answer was sent.
    """
    happened = [Happened(entry.received_at, "Received from the platform")]
    for act in entry.history:
        happened += _act(act, entry, organisation)
    happened += _due(entry)
    happened += [_posted(kind, posted) for kind, posted in entry.documents.items()]
    happened += [
        Happened(
            note.at, f"Credited in Xero with the credit note {note.number} over {note.total} {note.currency}"
        )
        for note in entry.credit_notes
        if note.at is not None
    ]
    happened += _now(entry, organisation, sent_at)
    # of two at the same moment the later one in this list is the later one
    return sorted(happened, key=lambda one: one.at)[::-1]


def _act(act: Act, entry: Entry, organisation: str) -> Iterator[Happened]:
    if act.was and act.since:
        yield Happened(act.since, _stood(act.was, entry, organisation))
    version = f" (version {act.version})" if act.version else ""
    words = WORDS.get(act.what, act.what)
    yield Happened(act.at, worded(words, {"version": version}), act.by)


def _due(entry: Entry) -> Iterator[Happened]:
    if not entry.settings_version:
        return
    # what freed it, or else the message that it was posted from, made it due
    freed = [act.at for act in entry.history]
    said = [ledger.sent_at(entry.message)] if entry.message.sent_at else []
    moments = [entry.received_at, *freed, *said]
    if entry.set_aside is not None:
        moments = [at for at in moments if at < entry.set_aside.at]
    at = max(moments, default=entry.received_at)
    first = min((posted.at for posted in entry.documents.values()), default=None)
    at = entry.due_at or (at if first is None else min(at, first))
    yield Happened(
        at, f"Ready to be posted as {entry.number}, under version {entry.settings_version} of the settings"
    )


def _posted(kind: DocumentKind, posted: Posted) -> Happened:
    words = DOCUMENT_KINDS[kind].words
    if posted.adopted:
        return Happened(
            posted.at, f"Found in Xero: the {words} {posted.number}, sent before without an answer"
        )
    return Happened(posted.at, f"Sent to Xero, which created the {words} {posted.number}")


def _now(entry: Entry, organisation: str, sent_at: datetime | None) -> Iterator[Happened]:
    """How it stands, where nothing else says it."""
    if entry.newer is not None and entry.changes:
        changed_at = datetime.fromtimestamp(entry.newer.sent_at / 1000, UTC)
        yield Happened(changed_at, "The platform sent it with other content. The documents stay as they are")
    if entry.state is State.POSTING:
        yield Happened(sent_at or entry.changed_at, "Sent to Xero; no answer yet")
    elif entry.state in (State.NEEDS_ATTENTION, State.WAITING, State.SKIPPED):
        yield Happened(entry.changed_at, _stood(entry.why, entry, organisation))


def _stood(why: str, entry: Entry, organisation: str) -> str:
    """Why an order stood where it stood: a problem's title, or the reason for waiting or skipping."""
    if why in SKIPPED:
        return "Skipped. " + worded(SKIPPED[why], {"company": entry.through or "(not known)"})
    if why in CHANGED:
        return CHANGED[why]
    if why in WAITS:
        return worded(WAITS[why], {"organisation": organisation})
    return f"Stopped: {title(why)}"

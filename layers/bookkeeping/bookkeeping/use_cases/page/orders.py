"""A company's orders as the settings page shows them."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from heapq import merge
from itertools import islice
from typing import Any, Final, Literal

from bookkeeping.adapters.containment import contained, leaving_alone
from bookkeeping.adapters.tables.lanes import Batch
from bookkeeping.adapters.tables.orders import Place, order_key
from bookkeeping.domain import ledger
from bookkeeping.domain.connection import Connection
from bookkeeping.domain.corrections import SHIPPING
from bookkeeping.domain.document_kinds import DOCUMENT_KINDS, DocumentKind
from bookkeeping.domain.ledger import (
    STANDING_STILL,
    UNDER_WAY,
    UNKNOWN,
    Entry,
    Message,
    Pause,
    Posted,
    State,
)
from bookkeeping.domain.moments import LONG_AGO, moment, stamp
from bookkeeping.domain.order_totals import order_totals
from bookkeeping.domain.orders import Order
from bookkeeping.domain.problems.catalogue import CHANGED, SKIPPED, WAITS, title
from bookkeeping.domain.problems.problem import Problem, worded
from bookkeeping.use_cases.page import corrections
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.explained import documents_in_xero
from bookkeeping.use_cases.page.order_history import history

DatesOf = Literal["changed", "received", "sold"]
PAGE: Final = 50
MOST_ROWS: Final = 250
"""Of a page, so that its answer stays below the 6 MB that Lambda takes, whatever Xero said of each order."""
LOOKED_AT: Final = 400
"""The most rows to read for one page when few of them match."""
COUNTED: Final = 1000
"""The most orders that are counted of one problem or reason, and summed up."""
GATHERED: Final = 10
"""So many problems are told with what to do about them."""
PARTS: Final = 20
"""Of orders with one reference of the sales channel, so many are compared."""
READ_AT_ONCE: Final = 100
"""Rows."""
LISTED: Final = (
    State.NEEDS_ATTENTION,
    State.WAITING,
    # what is being posted as well
    State.QUEUED,
    State.POSTED,
    State.SKIPPED,
    State.SET_ASIDE,
)
CHANGED_SINCE: Final = "changed"
"""Stands beside the states for what was posted and changed afterwards."""
_WITHOUT_WHY: Final = frozenset({State.QUEUED, State.POSTED})
"""States that no problem and no reason is looked for in, changes after posting apart."""


@dataclass(frozen=True)
class Asked:
    """The filters of the Orders tab."""

    state: State | Literal["changed"] | None = None
    """`changed`: posted, and changed afterwards."""
    why: str = ""
    """A problem's code, or the reason for waiting or skipping, or of what changed after posting."""
    search: str = ""
    first_day: date | None = None
    last_day: date | None = None
    dates: DatesOf = "changed"
    """Which dates the days are about. Days of a change or of an arrival are those of UTC."""
    oldest_first: bool = False
    """By the last change."""
    rows: int = PAGE
    """At most so many orders are on a page."""
    cursor: str = ""


# --- lists -------------------------------------------------------------------------------------------------------


def orders(adapters: PageAdapters, company: str, asked: Asked) -> dict[str, Any]:
    """A page of orders, the latest change first; what is under way has the time of its arrival."""
    after = _cursor_in(company, asked.cursor)
    by_reference = isinstance(after, str)
    counts = after is None and not asked.search
    calls: dict[Any, Callable[[], Any]] = {
        "connection": partial(adapters.connections.connection_and_pause, company)
    }
    if by_reference or (asked.search and after is None):
        search = partial(adapters.orders.by_reference, company, asked.search, limit=asked.rows)
        calls["references"] = partial(search, after=after or "")
    else:
        calls |= _reasons(adapters, company, LISTED if counts else _states(asked))
    if asked.search and after is None:
        calls["named"] = partial(_named, adapters, company, asked.search)
    got = _side_by_side(adapters, calls)
    counted: dict[tuple[State, str], list[Place]] = {}
    if counts:
        # of all the orders, whatever is asked for
        latest = {
            (state, reason): partial(_latest, adapters, company, state, reason)
            for state in LISTED
            for reason in got[state]
        }
        counted = _side_by_side(adapters, latest)
    page = _Page(adapters, company, asked, counted)
    more: Place | str | None = None
    keys, goes_on = got.get("references", ([], ""))
    if got.get("named"):
        page.take(got["named"])
    elif keys or by_reference:
        page.take(page.rows(keys))
        more = goes_on
    else:
        if "references" in got:
            got |= _side_by_side(adapters, _reasons(adapters, company, _states(asked)))
        more = page.fill(_lists(asked, got), after if isinstance(after, Place) else None)
    shown: dict[str, Any] = {
        "orders": page.shown(*got["connection"]),
        "cursor": _cursor_out(more) if more else None,
    }
    return shown | (_counts(counted) | _gathered(adapters, counted, page.found) if counts else {})


def _side_by_side(adapters: PageAdapters, calls: Mapping[Any, Callable[[], Any]]) -> dict[Any, Any]:
    return dict(zip(calls, adapters.together(list(calls.values())), strict=True))


def _reasons(
    adapters: PageAdapters, company: str, states: Iterable[State]
) -> dict[Any, Callable[[], Iterable[str]]]:
    """For each state what asks for the reasons in it."""
    return {state: partial(adapters.orders.newest_by_reason, company, state) for state in states}


def _latest(adapters: PageAdapters, company: str, state: State, reason: str) -> list[Place]:
    return list(adapters.orders.places(company, state, reason, at_most=COUNTED))


def _counts(counted: Mapping[tuple[State, str], Sequence[Place]]) -> dict[str, Any]:
    """Of each state how many orders there are and what they come to; and how many each problem or change has."""
    places: dict[str, list[Place]] = {name: [] for name in (*map(str, LISTED), CHANGED_SINCE)}
    more, counts = set[str](), defaultdict[str, int](int)
    for (state, reason), latest in counted.items():
        changed = state is State.POSTED and bool(reason)
        if changed or state is State.NEEDS_ATTENTION:
            counts[reason] += len(latest)
        for name in (str(state), CHANGED_SINCE) if changed else (str(state),):
            places[name] += latest
            more |= {name} if len(latest) >= COUNTED else set()
    return {
        "counts": {name: len(each) for name, each in places.items()},
        "money": {name: _money(each) for name, each in places.items()},
        "more": sorted(more),
        "problems": [{"code": why, "title": title(why), "count": count} for why, count in counts.items()],
    }


def _money(places: Iterable[Place]) -> dict[str, str]:
    """What the orders come to in each currency."""
    sums = defaultdict[str, Decimal](Decimal)
    for place in places:
        if place.money is not None:
            sums[place.money.currency] += place.money.amount
    return {currency: f"{amount:f}" for currency, amount in sorted(sums.items())}


def _gathered(
    adapters: PageAdapters, counted: Mapping[tuple[State, str], Sequence[Place]], known: dict[str, Entry]
) -> dict[str, Any]:
    """The problems that stop most orders, each as the latest of its orders has it."""
    stopped = [(code, places) for (state, code), places in counted.items() if state is State.NEEDS_ATTENTION]
    stopped = sorted(stopped, key=lambda one: len(one[1]), reverse=True)[:GATHERED]
    others = [places[0].key for _, places in stopped if places[0].key not in known]
    # a row that can't be shown stands in the list
    read = adapters.orders.get_many(others, lambda item: contained(item["company"], item["order_id"]))
    latest = known | {order_key(*entry.key): entry for entry in read}
    gathered: list[dict[str, Any]] = []
    for code, places in stopped:
        entry = latest.get(places[0].key)
        if entry is not None and entry.problem is not None and entry.why == code:
            about = {"order_id": entry.order_id, "problem": entry.problem.as_json()}
            gathered.append(
                {"count": len(places), "more": len(places) >= COUNTED, "money": _money(places), **about}
            )
    return {"gathered": gathered}


class _Page:
    """The orders of a page as they are found, by their keys."""

    def __init__(
        self,
        adapters: PageAdapters,
        company: str,
        asked: Asked,
        latest: dict[tuple[State, str], list[Place]],
    ) -> None:
        self._adapters = adapters
        self._company = company
        self._asked = asked
        self._latest = latest
        """Of some lists, the latest places, where they are known."""
        self.found: dict[str, Entry] = {}
        self._unshown: dict[str, str] = {}
        self._newer: list[str] = []

    def _contained(self, order_id: str) -> AbstractContextManager[None]:
        """An order that can't be shown is named, and does not empty the page."""
        unshown, newer = partial(self._unshown.setdefault, order_id), partial(self._newer.append, order_id)
        return contained(self._company, order_id, unshown, newer)

    def rows(self, keys: Sequence[str]) -> list[Entry]:
        """The rows in the order of their keys."""
        entries = self._adapters.orders.get_many(keys, lambda item: self._contained(item["order_id"]))
        read = {order_key(*entry.key): entry for entry in entries}
        return [read[key] for key in keys if key in read]

    def take(self, entries: Iterable[Entry]) -> None:
        self.found |= {order_key(*entry.key): entry for entry in entries if _fits(entry, self._asked)}

    def fill(self, lists: Sequence[tuple[State, str]], after: Place | None) -> Place | None:
        """Find orders of the lists from there on. Where to go on; None at the end."""
        goes_on: Place | None = None
        for entry, place in self._looked_at(lists, after):
            if entry is not None and _matches(entry, self._asked.search):
                self.take([entry])
            goes_on = place
            if len(self.found) == self._asked.rows:
                break
        return goes_on

    def _looked_at(
        self, lists: Sequence[tuple[State, str]], after: Place | None
    ) -> Iterator[tuple[Entry | None, Place | None]]:
        """The rows of the lists from there on, and where to go on after each; None at the end."""
        limit, left = self._asked.rows, LOOKED_AT
        while left:
            places = self._places(lists, after, limit + 1)
            for start in range(0, min(limit, len(places)), READ_AT_ONCE):
                some = places[start : min(start + READ_AT_ONCE, limit)]
                rows = {order_key(*entry.key): entry for entry in self.rows([place.key for place in some])}
                for place in some:
                    yield rows.get(place.key), None if place is places[-1] else place
            if len(places) <= limit:
                return
            # where many do not match, all that may be looked at is asked for at once
            after, left = places[limit - 1], left - limit
            limit = left

    def _places(self, lists: Sequence[tuple[State, str]], after: Place | None, limit: int) -> list[Place]:
        """The next places in all the lists together."""
        asked = self._asked
        since = datetime.combine(asked.first_day, time.min, UTC) if asked.first_day else None
        until = datetime.combine(asked.last_day, time.max, UTC) if asked.last_day else None
        calls: dict[tuple[State, str], Callable[[], list[Place]]] = {}
        known = {} if after or since or until or asked.oldest_first else self._latest
        for state, reason in lists:
            # what is under way is listed by the time of its arrival, and may have changed since
            by = "received" if state in UNDER_WAY else "changed"
            if (state, reason) not in known:
                places = self._adapters.orders.places(
                    self._company,
                    state,
                    reason,
                    # a change comes after the arrival
                    since=since if asked.dates in (by, "received") else None,
                    until=until if asked.dates in (by, "changed") else None,
                    after=after,
                    at_most=limit,
                    newest_first=not asked.oldest_first,
                )
                calls[state, reason] = partial(list, places)
        found = known | _side_by_side(self._adapters, calls)
        together = merge(*(found.get(one, ()) for one in lists), key=_in_time, reverse=not asked.oldest_first)
        return list(islice(together, limit))

    def shown(self, connection: Connection | None, pause: Pause | None) -> list[dict[str, Any]]:
        view, shown = View(self._adapters, self._company, connection, pause), list[dict[str, Any]]()
        view.prepare(list(self.found.values()))
        for entry in self.found.values():
            with self._contained(entry.order_id):
                shown.append(view.order(entry))
        now = self._adapters.now()
        shown += [view.order(_unreadable(self._company, *one, now)) for one in self._unshown.items()]
        return shown + [view.order(_of_unknown_kind(self._company, id_, now)) for id_ in self._newer]


def _unreadable(company: str, order_id: str, reference: str, now: datetime) -> Entry:
    """What is shown in the place of a row that can't be."""
    problem = Problem("our_fault", {"order": order_id, "reference": reference})
    message = Message.unreadable(problem, 0)
    return Entry(company, order_id, State.NEEDS_ATTENTION, message, now, now, problem=problem)


def one(adapters: PageAdapters, company: str, order_id: str) -> Entry | None:
    """One order, or what is shown in its place."""
    with leaving_alone(company, order_id):
        return adapters.orders.get(company, order_id)
    return _of_unknown_kind(company, order_id, adapters.now())


def _of_unknown_kind(company: str, order_id: str, now: datetime) -> Entry:
    """What is shown in the place of a row that only a newer version of this code knows."""
    return Entry(company, order_id, State.WAITING, Message(0), now, now, reason=UNKNOWN)


def _states(asked: Asked) -> Sequence[State]:
    """The states to list."""
    if asked.first_day and asked.last_day and asked.first_day > asked.last_day:
        return ()
    states: Sequence[State] = LISTED
    if asked.state is not None:
        # orders that are being posted are listed with the queued ones
        states = [
            {"changed": State.POSTED, State.POSTING: State.QUEUED}.get(asked.state) or State(asked.state)
        ]
    if asked.why in CHANGED:
        return [state for state in states if state is State.POSTED]
    # what stopped an order that was set aside concerns nobody any more, unless they ask for it
    without = _WITHOUT_WHY if asked.state is State.SET_ASIDE else _WITHOUT_WHY | {State.SET_ASIDE}
    return [state for state in states if not asked.why or state not in without]


def _lists(asked: Asked, reasons: Mapping[Any, Iterable[str]]) -> list[tuple[State, str]]:
    """The states and reasons to list. `reasons`: those in each state."""
    return [
        (state, reason)
        for state in _states(asked)
        for reason in ([asked.why] if asked.why else reasons[state])
        # without one, it did not change since
        if reason or asked.state != "changed"
    ]


def _fits(entry: Entry, asked: Asked) -> bool:
    """Whether the row matches the filters now. The index may be stale."""
    return (
        (
            asked.state in (None, entry.state)
            or (asked.state is State.QUEUED and entry.state in UNDER_WAY)
            or (asked.state == "changed" and entry.state is State.POSTED and bool(entry.reason))
        )
        and asked.why in ("", entry.why)
        and _in_days(entry, asked)
    )


def _in_days(entry: Entry, asked: Asked) -> bool:
    if asked.first_day is asked.last_day is None:
        return True
    if asked.dates == "sold":
        if not entry.message.content:
            return False
        day = date.fromisoformat(_sold_on(entry.message.order))
    else:
        at = entry.received_at if asked.dates == "received" else entry.changed_at
        day = at.astimezone(UTC).date()
    return (asked.first_day or day) <= day <= (asked.last_day or day)


def _named(adapters: PageAdapters, company: str, search: str) -> list[Entry]:
    """The order with that id or that document number."""
    digits = search[len(search.rstrip("0123456789")) :]
    entry = one(adapters, company, digits) if digits else None
    return [entry] if entry is not None and search in (digits, entry.number) else []


def _matches(entry: Entry, search: str) -> bool:
    if not search:
        return True
    texts = [entry.order_id, entry.number]
    if entry.message.content:
        texts += [entry.message.order.ref, entry.message.order.external_ref]
    return any(search.casefold() in text.casefold() for text in texts)


def _in_time(place: Place) -> tuple[datetime, State, str]:
    """What orders are sorted by: the lists go on in this order from a place in one of them."""
    return place.at, place.state, place.reason


def _cursor_out(after: Place | str) -> str:
    if isinstance(after, Place):
        told = json.dumps([stamp(after.at), after.state, after.reason, after.key])
    else:
        told = json.dumps(after)
    return base64.urlsafe_b64encode(told.encode()).decode()


def _cursor_in(company: str, cursor: str) -> Place | str | None:
    """Where to go on: in the order of time, or among the references. An invalid cursor starts from the beginning."""
    try:
        after = json.loads(base64.urlsafe_b64decode(cursor.encode())) if cursor else None
        if after is None or isinstance(after, str):
            return after
        at, state, reason, key = after
        place = Place(key, State(state), reason, moment(at))
        sound = stamp(place.at) == at and stamp(LONG_AGO) < at < "9999" and place.state in LISTED
        return place if sound and isinstance(reason, str) and key.startswith(order_key(company, "")) else None
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


# --- one order ---------------------------------------------------------------------------------------------------


class View:
    """Orders of a company as JSON. Data that they share is read once."""

    def __init__(
        self, adapters: PageAdapters, company: str, connection: Connection | None, pause: Pause | None
    ) -> None:
        self._adapters = adapters
        self._company = company
        self._connection = connection
        self._posting_pause = pause
        self._paused: dict[str, tuple[str, datetime] | None] = {}
        self._batches: dict[str, Batch | None] = {}
        self._of_unknown_kind: set[str] = set()
        """Batches that only a newer version of this code knows."""
        self._short_codes: dict[str, str] = {}

    def prepare(self, entries: Sequence[Entry]) -> None:
        """Read side by side what the orders share."""
        under_way = [entry for entry in entries if entry.state in UNDER_WAY]
        calls: dict[Any, Callable[[], Any]] = {}
        for entry in under_way:
            calls["lane", entry.lane] = partial(self._pause, entry.lane)
            calls["batch", entry.batch] = partial(self._unsettled, entry)
        for entry in entries:
            if entry.documents:
                calls["organisation", entry.organisation_id] = partial(
                    self._short_code, entry.organisation_id
                )
        self._adapters.together(list(calls.values()))

    def order(self, entry: Entry) -> dict[str, Any]:
        words, until = self._words(entry)
        order = entry.message.order if entry.message.content else None
        return {
            "id": entry.order_id,
            "number": entry.number,
            "state": str(entry.state),
            "words": words,
            "until": until.isoformat() if until else None,
            "received_at": entry.received_at.isoformat(),
            "changed_at": entry.changed_at.isoformat(),
            "reason": entry.reason or None,
            "title": title(entry.why),
            "problem": entry.problem and entry.problem.as_json(),
            "ref": order.ref if order else "",
            "external_ref": order.external_ref if order else "",
            "currency": (order.currency if order else None) or "",
            "sold_on": _sold_on(order) if order else None,
            "total": _total(order) if order else None,
            "documents": [self._document(entry, kind, posted) for kind, posted in entry.documents.items()],
            "changes": [*entry.changes, *_sold_again(entry)],
            "can_retry": can_retry(entry),
            "retry_label": entry.problem.kind.retry_label if entry.problem else "Retry",
            "can_set_aside": ledger.can_set_aside(entry),
            "set_aside": entry.set_aside
            and {
                "by": entry.set_aside.by,
                "at": entry.set_aside.at.isoformat(),
                "because": entry.set_aside.because,
            },
        }

    def whole(self, entry: Entry, *, may_credit: bool = False) -> dict[str, Any]:
        shown = self.order(entry)
        order = entry.message.order if entry.message.content else None
        lines = order.lines if order else ()
        organisation = self._connection.organisation_name if self._connection else ""
        unsettled = self._batches.get(entry.batch)
        happened = history(entry, organisation, unsettled.first_sent_at if unsettled else None)
        return shown | {
            "lines": [
                {
                    "sku": line.sku,
                    "description": line.description,
                    "quantity": _amount(line.quantity),
                    "price": _amount(line.price),
                    "price_inc_tax": _amount(line.price_inc_tax),
                    "cost": _amount(line.cost),
                    "tax_rate": _amount(line.tax_rate),
                    "cancelled": line.cancelled,
                }
                for line in lines
            ],
            "shipping": order
            and {
                "price": _amount(order.shipping.price),
                "price_inc_tax": _amount(order.shipping.price_inc_tax),
                "tax_rate": _amount(order.shipping.tax_rate),
            },
            "totals": order and _totals(order),
            "history": [{"at": one.at.isoformat(), "by": one.by, "what": one.what} for one in happened],
            **self._correction(entry),
            "may_credit": may_credit,
        }

    def _correction(self, entry: Entry) -> dict[str, Any]:
        """What was done, and can be done, to the documents of an order that changed after it was posted."""
        correction, short_code = entry.correction, self._short_code(entry.organisation_id)
        return {
            "version": entry.version,
            "choices": self._choices(entry),
            "creditable": [vars(one) for one in corrections.creditable(entry)],
            "may_return_stock": corrections.may_return_stock(entry),
            "correction": correction
            and {
                "what": correction.what,
                "by": correction.by,
                "at": correction.at.isoformat(),
                "problem": correction.problem and correction.problem.as_json(),
            },
            "credit_notes": [
                {
                    "number": note.number,
                    "status": note.status,
                    "total": note.total,
                    "currency": note.currency,
                    "link": link(self._adapters.web_url, "credit_note", note.id, short_code),
                    "credited": [
                        {"line": one.line, "pieces": one.pieces, "amount": one.amount}
                        for one in note.credited
                    ],
                }
                for note in entry.credit_notes
            ],
        }

    def _choices(self, entry: Entry) -> list[dict[str, str]]:
        asked = corrections.choices(entry)
        saved = self._adapters.settings.current(self._company) if asked else None
        return [
            {"asked": one, "label": corrections.LABELS[one], "words": corrections.words(one, entry, saved[0])}
            for one in asked
            if saved is not None
        ]

    def explained(self, entry: Entry, *, may_credit: bool = False) -> dict[str, Any]:
        """The whole order, with the reasons of its documents. It reads more than the row."""
        explained: list[dict[str, Any]] = []
        # the order is shown even if its reasons can't be told
        with contained(*entry.key):
            explained = documents_in_xero(self._adapters, entry)
        about = {"explained": explained, "same_shipping": self._same_shipping(entry)}
        return self.whole(entry, may_credit=may_credit) | about

    def _same_shipping(self, entry: Entry) -> list[str]:
        """Other orders with the same reference of the sales channel that carry the same shipping.

        Where the platform splits an order, it sends the shipping with each part.
        """
        order = entry.message.order if entry.message.content else None
        if order is None or not order.external_ref.strip() or not any(_charged(order)):
            return []
        keys, _ = self._adapters.orders.by_reference(self._company, order.external_ref, limit=PARTS)
        found = self._adapters.orders.get_many(
            (key for key in keys if key != order_key(*entry.key)),
            lambda item: contained(item["company"], item["order_id"]),
        )
        return sorted(
            other.order_id
            for other in found
            if other.message.content
            and other.state is not State.SKIPPED
            and other.message.order.external_ref.strip().casefold() == order.external_ref.strip().casefold()
            and _charged(other.message.order) == _charged(order)
        )

    def _words(self, entry: Entry) -> tuple[str, datetime | None]:
        """The order's status in words, and until when it waits."""
        until: datetime | None = None
        reason = entry.reason
        match entry.state:
            case State.POSTED:
                stopped = entry.correction and entry.correction.problem
                return stopped.sentence if stopped else CHANGED.get(reason, "In Xero."), None
            case State.NEEDS_ATTENTION:
                return entry.problem.sentence if entry.problem else "", None
            case State.SKIPPED:
                words = worded(SKIPPED.get(reason, "Not posted."), {"company": entry.through})
                left = (
                    f" Its purchase order {entry.number} stays in Xero as it is." if entry.documents else ""
                )
                return words + left, None
            case State.QUEUED | State.POSTING:
                unsettled = self._unsettled(entry)
                if entry.batch in self._of_unknown_kind:
                    return WAITS[UNKNOWN], None
                if self._posting_pause is not None and unsettled is None and entry.state is State.QUEUED:
                    because = self._posting_pause.because
                    return worded(WAITS["paused"], {"because": f" ({because})" if because else ""}), None
                paused = unsettled or self._pause(entry.lane)
                if paused is None or paused[1] <= self._adapters.now():
                    return "On its way to Xero.", None
                reason, until = paused
            case State.SET_ASIDE:
                aside = entry.set_aside
                return (f"Set aside by {aside.by}: {aside.because}" if aside else "Set aside."), None
            case State.WAITING:
                pass
        details = {"number": entry.number, "until": f"{until:%H:%M} UTC" if until else "soon"}
        if self._connection is not None:
            details["organisation"] = self._connection.organisation_name
        return worded(WAITS.get(reason, "Waiting."), details), until

    def _pause(self, lane: str) -> tuple[str, datetime] | None:
        if lane not in self._paused:
            self._paused[lane] = self._adapters.lanes.paused(lane, self._company) if lane else None
        return self._paused[lane]

    def _unsettled(self, entry: Entry) -> tuple[str, datetime] | None:
        """When the outcome of a call without an answer is looked up again."""
        if entry.batch and entry.batch not in self._batches:
            self._batches[entry.batch] = None
            with leaving_alone(*entry.key, partial(self._of_unknown_kind.add, entry.batch)):
                self._batches[entry.batch] = self._adapters.lanes.batch(entry.lane, entry.batch)
        batch = self._batches.get(entry.batch)
        return ("outcome_unknown", batch.settle_at) if batch is not None and batch.settle_at else None

    def _document(self, entry: Entry, kind: DocumentKind, posted: Posted) -> dict[str, Any]:
        return {
            "kind": kind,
            "number": posted.number,
            "status": posted.status,
            "total": posted.total,
            "currency": posted.currency,
            "link": link(self._adapters.web_url, kind, posted.id, self._short_code(entry.organisation_id)),
            "notes": list(posted.notes),
            "stands": posted.stood,
            "read_at": posted.read_at.isoformat() if posted.read_at else None,
        }

    def _short_code(self, organisation_id: str) -> str:
        if organisation_id not in self._short_codes:
            known = self._adapters.organisations.get(organisation_id) if organisation_id else None
            self._short_codes[organisation_id] = known[0].short_code if known else ""
        return self._short_codes[organisation_id]


def link(web_url: str, kind: DocumentKind, id_: str, short_code: str) -> str | None:
    """The document's address in Xero. The short code makes Xero open the right organisation."""
    if not short_code:
        return None
    return web_url + DOCUMENT_KINDS[kind].page.format(short_code=short_code, id=id_)


def can_retry(entry: Entry) -> bool:
    """Whether Retry can help. It can't if the message is unreadable: then it must be sent again or redriven."""
    if entry.message.problem is not None or entry.reason == UNKNOWN:
        return False
    return entry.state in STANDING_STILL


def _charged(order: Order) -> tuple[Decimal | None, Decimal | None, str | None]:
    """What an order charges for shipping; empty where that is nothing."""
    price, price_inc_tax = order.shipping.price or None, order.shipping.price_inc_tax or None
    return price, price_inc_tax, order.currency if price or price_inc_tax else None


def _sold_on(order: Order) -> str:
    """The day of the sale as it was sent, whichever zone it is in."""
    return order.sold_at.isoformat()[:10]


def _total(order: Order) -> str | None:
    totals = order_totals(order)
    return _amount(totals.total) if totals else None


def _totals(order: Order) -> dict[str, Any] | None:
    """What the order comes to by what it says itself."""
    totals = order_totals(order)
    if totals is None:
        return None
    return {
        "net": _amount(totals.net),
        "taxes": [{"rate": _amount(rate), "tax": _amount(tax)} for rate, tax in totals.taxes.items()],
        "total": _amount(totals.total),
    }


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _sold_again(entry: Entry) -> list[str]:
    """What was credited although the platform says that it is sold, in words."""
    return [
        f"{'The shipping' if place == SHIPPING else f'Line {place}'} was credited, and the platform says that it is"
        " sold. Bill it again in Xero by hand, or delete the credit note there"
        for place in (ledger.sold_again(entry) if ledger.changed_since(entry) else ())
    ]

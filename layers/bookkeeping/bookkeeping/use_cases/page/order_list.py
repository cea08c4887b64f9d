"""The list of a company's orders as the settings page shows it: by time, filtered, searched, counted and summed up."""

from __future__ import annotations

import base64
import json
import re
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

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.tables.orders import Place, order_key
from bookkeeping.domain.connection import Connection
from bookkeeping.domain.ledger import UNDER_WAY, Entry, Pause, State
from bookkeeping.domain.moments import LONG_AGO, moment, stamp
from bookkeeping.domain.problems.catalogue import CHANGED, title
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.orders import View, of_unknown_kind, one, sold_on, unreadable

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
MOST_NAMED: Final = 3
"""So many of the numbers in what is searched are looked up as an order's id."""
_NOTE: Final = re.compile(r"-cn[0-9]*$")
"""How the number of a credit note ends."""
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


def orders(adapters: PageAdapters, company: str, asked: Asked) -> dict[str, Any]:
    """A page of orders, the latest change first; what is under way has the time of its arrival."""
    after = _cursor_in(company, asked.cursor)
    by_reference = isinstance(after, str)
    counts = after is None and not asked.search
    any_reason = () if asked.why else _states(asked)
    calls: dict[Any, Callable[[], Any]] = {
        "connection": partial(adapters.connections.connection_and_pause, company)
    }
    if by_reference or (asked.search and after is None):
        search = partial(adapters.orders.by_reference, company, asked.search, limit=asked.rows)
        calls["references"] = partial(search, after=after or "")
    else:
        calls |= _reasons(adapters, company, LISTED if counts else any_reason)
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
            got |= _side_by_side(adapters, _reasons(adapters, company, any_reason))
        more = page.fill(_lists(asked, got), after if isinstance(after, Place) else None)
    shown: dict[str, Any] = {
        "orders": page.shown(*got["connection"]),
        "cursor": _cursor_out(more) if more else None,
    }
    if counts:
        shown |= _counts(counted) | {"gathered": _gathered(adapters, counted)}
    return shown


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
    adapters: PageAdapters, counted: Mapping[tuple[State, str], Sequence[Place]]
) -> list[dict[str, Any]]:
    """The problems that stop most orders, each as the latest of its orders has it."""
    stopped = [(why, places) for (state, why), places in counted.items() if state is State.NEEDS_ATTENTION]
    stopped = sorted(stopped, key=lambda one: len(one[1]), reverse=True)[:GATHERED]
    keys = [places[0].key for _, places in stopped]
    # a row that can't be shown stands in the list
    read = adapters.orders.get_many(keys, lambda item: contained(item["company"], item["order_id"]))
    latest = {entry.why: entry for entry in read}
    return [
        {
            "count": len(places),
            "more": len(places) >= COUNTED,
            "money": _money(places),
            "order_id": latest[why].order_id,
            "problem": problem.as_json(),
        }
        for why, places in stopped
        if why in latest and (problem := latest[why].problem) is not None
    ]


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
        shown += [view.order(unreadable(self._company, *one, now)) for one in self._unshown.items()]
        return shown + [view.order(of_unknown_kind(self._company, id_, now)) for id_ in self._newer]


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
        day = date.fromisoformat(sold_on(entry.message.order))
    else:
        at = entry.received_at if asked.dates == "received" else entry.changed_at
        day = at.astimezone(UTC).date()
    return (asked.first_day or day) <= day <= (asked.last_day or day)


def _named(adapters: PageAdapters, company: str, search: str) -> list[Entry]:
    """The order with that id, or with a document of that number."""
    wanted = search.casefold()
    # behind the order's id, a number may say which credit note it is, and which posting
    for order_id in list(dict.fromkeys(re.findall(r"[0-9]+", _NOTE.sub("", wanted))))[-MOST_NAMED:]:
        entry = one(adapters, company, order_id)
        if entry is not None and wanted in {order_id, *map(str.casefold, _numbers(entry))}:
            return [entry]
    return []


def _numbers(entry: Entry) -> list[str]:
    """The numbers of all documents that an order has or had."""
    posted = (*entry.documents.values(), *entry.former)
    return [entry.number, *(one.number for one in posted), *(note.number for note in entry.credit_notes)]


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
    place = [stamp(after.at), after.state, after.reason, after.key] if isinstance(after, Place) else after
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


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

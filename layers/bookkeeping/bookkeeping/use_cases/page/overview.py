"""How a company stands: what was posted in the last seven days, what is left to do, and the health of it all.

The figures are read from the ledger's index each time: nobody counts beside the ledger.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from bookkeeping.adapters.tables.lanes import Health
from bookkeeping.adapters.tables.orders import Listed, OrdersTable
from bookkeeping.domain.connection import Connection, of_another_app, words
from bookkeeping.domain.ledger import Pause, State
from bookkeeping.domain.moments import LONG_AGO
from bookkeeping.domain.oauth import scopes_in_words
from bookkeeping.domain.pacing import NEARLY_GONE
from bookkeeping.domain.problems.catalogue import CHANGED, WAITS
from bookkeeping.domain.problems.problem import worded
from bookkeeping.domain.rechecks import watched
from bookkeeping.domain.settings import Settings
from bookkeeping.domain.setup_check import Result
from bookkeeping.domain.time_zones import is_zone
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.book_match import Stands, how_it_stands
from bookkeeping.use_cases.page.mail_addresses import shown_mail

DAYS: Final = 7
MOST_PAGES: Final = 20
"""So many pages of the index, up to 1 MB each, are read for one answer: some 100,000 orders."""
COUNTED: Final = 1000
"""Orders that are only counted are counted so far."""
_COUNTED: Final = (State.QUEUED, State.WAITING, State.SET_ASIDE)
_MILLISECOND: Final = timedelta(milliseconds=1)
"""The ledger keeps moments to this."""
_KNOWN_FOR: Final = timedelta(days=1)
"""What Xero said of the day's calls says nothing of them any more after a day."""
_UNCONNECTED: Final = frozenset({"choose_organisation", "confirm_organisation", "disconnected"})


def opens_first(connection: Connection | None) -> bool:
    """Whether the popup opens on the overview: the company is connected, or was until the connection was lost."""
    return connection is not None and connection.status not in _UNCONNECTED


def overview(adapters: PageAdapters, company: str, zone_name: str) -> dict[str, Any]:
    """How the company stands. Days are those of the time zone, or UTC's where there is none of that name."""
    zone_known = bool(zone_name) and is_zone(zone_name)
    zone = ZoneInfo(zone_name if zone_known else "UTC")
    now = adapters.now()
    today = now.astimezone(zone).date()
    days = [today - timedelta(days=before) for before in reversed(range(DAYS))]
    posted, stopped = _lists_of(days, zone), _List(State.NEEDS_ATTENTION, None)
    read = _read(adapters, company, [*posted, stopped])
    by_day = _by_day(posted, days, zone)
    week = [one for listed in by_day.values() for one in listed]
    more = any(one.after for one in posted)
    client_id = read["app"].client_id if read["app"] else ""
    connection, _ = read["connection"]
    said, fix = words(connection, client_id)
    return {
        "zone": zone.key,
        "zone_known": zone_known,
        "no_orders_yet": not any((week, stopped.found, *(read[state] for state in _COUNTS))),
        "days": [{"day": day.isoformat()} | _sums(listed, more=more) for day, listed in by_day.items()],
        "week": _sums(week, more=more),
        "standing": {
            "needs_attention": _sums(stopped.found, more=bool(stopped.after)),
            **{str(state): _counted(read[state]) for state in _COUNTED},
        },
        "connection": {
            "status": connection.status if connection else "not_connected",
            "words": said,
            "fix": fix,
            "other_app": of_another_app(connection, client_id),
        },
        "health": [asdict(one) for one in _health(adapters, company, read, stopped, now, zone)],
    }


# --- figures -----------------------------------------------------------------------------------------------------


@dataclass
class _List:
    """A part of the index, and what is read of it."""

    state: State
    reason: str | None
    since: datetime | None = None
    until: datetime | None = None
    found: list[Listed] = field(default_factory=list)
    after: str = ""
    """Where to go on; empty at the beginning, and at the end."""

    def read_page(self, orders: OrdersTable, company: str) -> None:
        found, self.after = orders.listed(
            company, self.state, self.reason, since=self.since, until=self.until, after=self.after
        )
        self.found += found


def _lists_of(days: list[date], zone: ZoneInfo) -> list[_List]:
    """Where the orders stand that were posted on these days: none changed for the last time before it was posted."""
    begins = [datetime.combine(day, time.min, zone).astimezone(UTC) for day in days]
    ends = [begin - _MILLISECOND for begin in begins[1:]]
    return [
        *(_List(State.POSTED, "", since, until) for since, until in zip(begins, [*ends, None], strict=True)),
        *(_List(State.POSTED, reason, begins[0]) for reason in CHANGED),
    ]


_COUNTS: Final = {state: COUNTED + 1 for state in _COUNTED} | {State.POSTED: 1, State.SKIPPED: 1}
"""How far orders are counted: of some it only matters whether there are any."""


def _read(adapters: PageAdapters, company: str, lists: list[_List]) -> dict[str, Any]:
    """Read the lists, and what else does not depend on anything, side by side."""
    calls: dict[str, Callable[[], Any]] = {
        state: partial(adapters.orders.count, company, state, at_most) for state, at_most in _COUNTS.items()
    }
    calls["connection"] = partial(adapters.connections.connection_and_pause, company)
    calls["app"] = partial(adapters.connections.app, company)
    calls["settings"] = partial(adapters.settings.current, company)
    pages = [partial(one.read_page, adapters.orders, company) for one in lists]
    got = dict(zip(calls, adapters.together([*calls.values(), *pages]), strict=False))
    pages_left = MOST_PAGES - len(lists)
    while pages_left > 0 and (unread := [one for one in lists if one.after][:pages_left]):
        adapters.together([partial(one.read_page, adapters.orders, company) for one in unread])
        pages_left -= len(unread)
    return got


def _by_day(lists: list[_List], days: list[date], zone: ZoneInfo) -> dict[date, list[Listed]]:
    """The posted orders of each day."""
    # one that changed while the lists were read may be in two of them
    posted = {one.key: one for part in lists for one in part.found}
    by_day: dict[date, list[Listed]] = {day: [] for day in days}
    for one in posted.values():
        if one.posted_at is not None and (day := one.posted_at.astimezone(zone).date()) in by_day:
            by_day[day].append(one)
    return by_day


def _sums(orders: list[Listed], *, more: bool) -> dict[str, Any]:
    """How many they are, and what they come to in each currency: first in the one that most of them are in."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for one in orders:
        if one.total is not None:
            totals[one.currency] += one.total
    counted = Counter(one.currency for one in orders if one.total is not None)
    return {
        "orders": len(orders),
        "more": more,
        "money": [
            {"currency": currency, "orders": counted[currency], "total": f"{totals[currency]:f}"}
            for currency in sorted(counted, key=lambda one: (-counted[one], one))
        ],
    }


def _counted(orders: int) -> dict[str, Any]:
    return {"orders": min(orders, COUNTED), "more": orders > COUNTED, "money": []}


# --- health ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sign:
    """How one thing is."""

    title: str
    result: Result
    words: str
    fix: str = ""
    link: str = ""
    """The address, within the popup, of what is meant."""
    at: str | None = None
    """When that was so."""


def _health(
    adapters: PageAdapters,
    company: str,
    read: dict[str, Any],
    stopped: _List,
    now: datetime,
    zone: ZoneInfo,
) -> Iterator[_Sign]:
    connection: Connection | None
    pause: Pause | None
    connection, pause = read["connection"]
    settings: Settings | None = read["settings"][0] if read["settings"] else None
    # without an organisation there is no lane, and nothing that Xero said
    lane = connection.lane if connection and connection.organisation_id else ""
    calls: list[Callable[[], Any]] = [partial(shown_mail, adapters, company, settings)] if settings else []
    if lane:
        calls += [
            partial(adapters.lanes.health, lane, company),
            partial(how_it_stands, adapters, company, lane),
        ]
    got = adapters.together(calls)
    mail = got.pop(0) if settings else None
    health: Health | None
    match: Stands | None
    health, match = got or (None, None)
    yield _connection(connection, read["app"].client_id if read["app"] else "")
    yield _posting(settings, connection, pause, health, now, zone)
    if match:
        yield _book_match(match)
    if health:
        yield _calls_left(health, now)
        if any(map(watched, {one.reason for one in stopped.found})):
            yield _rereading(health)
    if mail:
        yield from _mail(mail)


def _connection(connection: Connection | None, client_id: str) -> _Sign:
    said, fix = words(connection, client_id)
    good = (
        connection is not None
        and connection.status == "connected"
        and not connection.prefix_taken_by
        and not of_another_app(connection, client_id)
    )
    missing = connection.scopes_missing if connection is not None and good else ()
    if missing:
        said += f" Permissions that are missing: {scopes_in_words(missing)}."
        fix = "Press Reconnect and allow all of them."
    result: Result = "good" if good and not missing else "wrong"
    return _Sign("Connection to Xero", result, said, fix or "", "#settings")


def _posting(
    settings: Settings | None,
    connection: Connection | None,
    pause: Pause | None,
    health: Health | None,
    now: datetime,
    zone: ZoneInfo,
) -> _Sign:
    title = "Posting"
    if settings is None or not settings.enabled:
        said = "Switched off: orders that arrive are kept here, and nothing is sent to Xero."
        return _Sign(title, "warning", said, "Switch it on in the settings and save.", "#settings/enabled")
    if pause is not None:
        because = f" ({pause.because})" if pause.because else ""
        return _Sign(
            title, "warning", worded(WAITS["paused"], {"because": because}), at=pause.at.isoformat()
        )
    if not opens_first(connection) or (connection is not None and connection.status != "connected"):
        return _Sign(title, "warning", "Orders wait here for the connection to Xero.")
    if health is not None and health.paused is not None and health.paused[1] > now:
        reason, until = health.paused
        organisation = connection.organisation_name if connection else ""
        told = {"until": f"{until.astimezone(zone):%H:%M}", "organisation": organisation}
        return _Sign(title, "warning", worded(WAITS.get(reason, "Waiting."), told))
    return _Sign(title, "good", "Orders are posted as they come in.")


def _book_match(match: Stands) -> _Sign:
    title, link = "Book match", "#book-match"
    if match.result is None:
        return _Sign(title, "unknown", match.words, link=link)
    found, at = match.result.found, match.result.ended_at
    if not found:
        return _Sign(title, "good", "No difference between what was posted and what is in Xero.", "", link, at)
    said = f"{found} {'difference' if found == 1 else 'differences'} between what was posted and what is in Xero."
    return _Sign(title, "wrong", said, "Look at what differs, and put it right in Xero.", link, at)


def _calls_left(health: Health, now: datetime) -> _Sign:
    title, left, at = "Calls left today", health.day_left, health.day_left_at
    if left is None or now - at > _KNOWN_FOR:
        return _Sign(title, "unknown", "Xero says so with its answers, and none came within a day.")
    said = f"{left} {'call to Xero is' if left == 1 else 'calls to Xero are'} left today."
    if left < NEARLY_GONE:
        fix = "Orders that find no call left wait, and are posted once Xero's day begins anew."
        return _Sign(title, "warning", said, fix, at=at.isoformat())
    return _Sign(title, "good", said, at=at.isoformat())


def _rereading(health: Health) -> _Sign:
    """When Xero was read for orders that wait for a change there."""
    title, recheck = "Orders that wait for a change in Xero", health.recheck
    at = recheck.read_at.isoformat() if recheck.read_at > LONG_AGO else None
    link = "#orders?status=needs_attention"
    if recheck.spent:
        said = "Their share of today's calls to Xero is used up, so Xero is read again later."
        return _Sign(title, "warning", said, link=link, at=at)
    return _Sign(title, "good", "Xero is read again for them by itself.", link=link, at=at)


def _mail(mail: dict[str, Any]) -> Iterator[_Sign]:
    """Whether somebody is told when an order needs attention. Nothing where no mails are sent at all."""
    title, link = "Mails", "#settings/errors_email"
    if mail["words"]:
        return
    addresses = mail["addresses"]
    open_ = [one for one in addresses if one["status"] != "confirmed"]
    if not addresses:
        yield _Sign(title, "unknown", "Nobody gets a mail when an order needs attention.", link=link)
    elif open_:
        said = f"{len(open_)} of {len(addresses)} addresses {'gets' if len(open_) == 1 else 'get'} no mail yet."
        yield _Sign(title, "warning", said, "The settings say why, and what to do.", link)
    else:
        go = "address is" if len(addresses) == 1 else "addresses are"
        yield _Sign(title, "good", f"{len(addresses)} {go} told when an order needs attention.", link=link)

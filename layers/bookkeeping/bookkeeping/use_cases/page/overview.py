"""How a company stands: what was posted in the last seven days, what is left to do, and the health of it all.

The figures are read from the ledger's index each time: nobody counts beside the ledger.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from bookkeeping.adapters.tables.lanes import Health
from bookkeeping.adapters.tables.orders import Place
from bookkeeping.domain.connection import Connection, of_another_app, words
from bookkeeping.domain.ledger import Pause, State
from bookkeeping.domain.moments import LONG_AGO
from bookkeeping.domain.oauth import scopes_in_words
from bookkeeping.domain.order_totals import Money
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
MOST_A_DAY: Final = 10_000
"""Posted orders of a day that are read: about a megabyte of the index."""
MOST_STANDING: Final = 1_000
"""Orders of each other state that are read."""
STANDING: Final = (State.NEEDS_ATTENTION, State.WAITING, State.QUEUED, State.SET_ASIDE)
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
    zone, now = ZoneInfo(zone_name if zone_known else "UTC"), adapters.now()
    today = now.astimezone(zone).date()
    days = [today - timedelta(days=before) for before in reversed(range(DAYS))]
    read = _read(adapters, company, days, zone)
    by_day = _by_day(read, days, zone)
    more = _more(read, days, zone)
    week = [place for places in by_day.values() for place in places]
    chart = _commonest(_invoiced(week))
    client_id = read["app"].client_id if read["app"] else ""
    connection, _ = read["connection"]
    said, fix = words(connection, client_id)
    read |= _read_next(adapters, company, read)
    matched = read["match"].result if read["match"] else None
    return {
        "zone": zone.key,
        "zone_known": zone_known,
        "no_orders_yet": not any(
            (week, *(read[state] for state in (*STANDING, State.POSTED, State.SKIPPED)))
        ),
        "days": [
            {"day": day.isoformat()} | _sums(places, _invoiced(places), chart, more=more[day])
            for day, places in by_day.items()
        ],
        "week": _sums(week, _invoiced(week), chart, more=any(more.values())),
        "differences": matched.found if matched else 0,
        "standing": {str(state): _standing(read[state], chart) for state in STANDING}
        | {"changed": _changed(read, chart)},
        "connection": {
            "status": connection.status if connection else "not_connected",
            "words": said,
            "fix": fix,
            "other_app": of_another_app(connection, client_id),
        },
        "health": [asdict(one) for one in _health(read, now, zone)],
    }


def _read(adapters: PageAdapters, company: str, days: Sequence[date], zone: ZoneInfo) -> dict[Any, Any]:
    """All that does not depend on anything else, side by side: by day, reason, state or name."""
    places, calls = partial(adapters.orders.places, company), dict[Any, Callable[[], Any]]()
    begins = [datetime.combine(day, time.min, zone).astimezone(UTC) for day in days]
    # posted orders stand by their last change, which is never before they were posted
    for day, since, until in zip(days, begins, [*begins[1:], None], strict=True):
        last = until and until - _MILLISECOND
        calls[day] = partial(places, State.POSTED, "", since=since, until=last, at_most=MOST_A_DAY + 1)
    for reason in CHANGED:
        calls[reason] = partial(places, State.POSTED, reason, at_most=MOST_A_DAY + 1)
    for state in STANDING:
        calls[state] = partial(places, state, at_most=MOST_STANDING + 1)
    # whether there are any
    for state in (State.POSTED, State.SKIPPED):
        calls[state] = partial(places, state, at_most=1)
    reading: dict[Any, Callable[[], Any]] = {name: partial(_all, call) for name, call in calls.items()}
    reading["connection"] = partial(adapters.connections.connection_and_pause, company)
    reading["app"] = partial(adapters.connections.app, company)
    reading["settings"] = partial(adapters.settings.current, company)
    return dict(zip(reading, adapters.together(list(reading.values())), strict=True))


def _read_next(adapters: PageAdapters, company: str, read: dict[Any, Any]) -> dict[Any, Any]:
    """What is found by what was read: the mails, the lane's health and its book match. None where there is none."""
    connection: Connection | None = read["connection"][0]
    calls: dict[Any, Callable[[], Any]] = {}
    if read["settings"]:
        calls["mail"] = partial(shown_mail, adapters, company, read["settings"][0])
    # without an organisation there is no lane, and nothing that Xero said
    if connection and connection.organisation_id and connection.lane:
        calls["health"] = partial(adapters.lanes.health, connection.lane, company)
        calls["match"] = partial(how_it_stands, adapters, company, connection.lane)
    nothing = dict.fromkeys(("mail", "health", "match"))
    return nothing | dict(zip(calls, adapters.together(list(calls.values())), strict=True))


def _all(places: Callable[[], Iterable[Place]]) -> list[Place]:
    return list(places())


# --- figures -----------------------------------------------------------------------------------------------------


def _by_day(read: dict[Any, Any], days: Sequence[date], zone: ZoneInfo) -> dict[date, list[Place]]:
    """The posted orders of each day, today last. One without an invoice counts on the day of its last change."""
    # one that changed while the lists were read may be in two of them
    posted = {place.key: place for listed in (*days, *CHANGED) for place in read[listed]}
    by_day: dict[date, list[Place]] = {day: [] for day in days}
    for place in posted.values():
        day = (place.posted_at or place.at).astimezone(zone).date()
        if day in by_day:
            by_day[day].append(place)
    return by_day


def _more(read: dict[Any, Any], days: Sequence[date], zone: ZoneInfo) -> dict[date, bool]:
    """Of which days there may be more orders than were read: among those changed on a later day, too."""
    cut = any(_cut_on_or_after(days[0], read[reason], zone) for reason in CHANGED)
    more: dict[date, bool] = {}
    for day in reversed(days):
        cut = cut or len(read[day]) > MOST_A_DAY
        more[day] = cut
    return more


def _cut_on_or_after(day: date, newest_first: list[Place], zone: ZoneInfo) -> bool:
    """Whether orders of that day or a later one were left out."""
    return len(newest_first) > MOST_A_DAY and newest_first[-1].at.astimezone(zone).date() >= day


def _invoiced(places: Iterable[Place]) -> list[Place]:
    return [place for place in places if place.posted_at is not None]


def _standing(places: list[Place], chart: str) -> dict[str, Any]:
    read = places[:MOST_STANDING]
    return _sums(read, read, chart, more=len(places) > MOST_STANDING)


def _changed(read: dict[Any, Any], chart: str) -> dict[str, Any]:
    """Those that changed after they were posted, and how many of them a person has to do something about."""
    # one that went from one list to another meanwhile may be in both
    places = list({place.key: place for reason in CHANGED for place in read[reason]}.values())
    to_decide = sum(place.reason != "correcting" for place in places[:MOST_STANDING])
    return _standing(places, chart) | {"to_decide": to_decide}


def _commonest(places: Iterable[Place]) -> str:
    """The currency of the chart: the one that most orders are in, and the first by name of several."""
    counted = Counter(place.money.currency for place in places if place.money is not None)
    return min(counted, key=lambda currency: (-counted[currency], currency), default="")


def _sums(places: Sequence[Place], priced: Iterable[Place], chart: str, *, more: bool) -> dict[str, Any]:
    """How many orders, and what those that are priced come to: first in the currency of the chart."""
    money: dict[str, list[Money]] = defaultdict(list)
    for place in priced:
        if place.money is not None:
            money[place.money.currency].append(place.money)
    return {
        "orders": len(places),
        "more": more,
        "money": [
            {"currency": currency, "orders": len(each), "total": f"{sum(one.amount for one in each):f}"}
            for currency, each in sorted(money.items(), key=lambda one: (one[0] != chart, one[0]))
        ],
    }


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


def _health(read: dict[Any, Any], now: datetime, zone: ZoneInfo) -> Iterator[_Sign]:
    connection: Connection | None
    pause: Pause | None
    connection, pause = read["connection"]
    settings: Settings | None = read["settings"][0] if read["settings"] else None
    health: Health | None = read["health"]
    match: Stands | None = read["match"]
    mail: dict[str, Any] | None = read["mail"]
    yield _connection(connection, read["app"].client_id if read["app"] else "")
    yield _posting(settings, connection, pause, health, now, zone)
    if match:
        yield _book_match(match)
    if health:
        yield _calls_left(health, now)
        if any(map(watched, {place.reason for place in read[State.NEEDS_ATTENTION]})):
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
    if settings is None:
        said = "Not saved yet: orders that arrive are kept here, and nothing is sent to Xero."
        return _Sign(title, "warning", said, "Fill in the settings and save.", "#settings")
    if not settings.enabled:
        said = "Switched off: orders that arrive are kept here, and nothing is sent to Xero."
        return _Sign(title, "warning", said, "Switch it on in the settings and save.", "#settings/enabled")
    if pause is not None:
        because = f" ({pause.because})" if pause.because else ""
        return _Sign(title, "warning", worded(WAITS["paused"], {"because": because}), at=pause.at.isoformat())
    if not opens_first(connection) or (connection is not None and connection.status != "connected"):
        return _Sign(title, "warning", "Orders wait here for the connection to Xero.")
    if missing := settings.missing():
        named = " and ".join(f"“{settings.label(key)}”" for key in missing)
        are, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        said = f"{named} {are} not filled in, so orders stop."
        return _Sign(title, "warning", said, f"Fill {them} in and save.", f"#settings/{missing[0]}")
    if health is not None and health.paused is not None and health.paused[1] > now:
        reason, until = health.paused
        organisation = connection.organisation_name if connection else ""
        said = worded(WAITS.get(reason, "Waiting."), {"organisation": organisation})
        local = until.astimezone(zone)
        on = "" if local.date() == now.astimezone(zone).date() else f"on {local:%A} "
        return _Sign(title, "warning", f"{said} They go on by themselves {on}at {local:%H:%M}.")
    return _Sign(title, "good", "Orders are posted as they come in.")


def _book_match(match: Stands) -> _Sign:
    title, link = "Book match", "#book-match"
    if match.result is None:
        return _Sign(title, "unknown", match.words, link=link)
    found, at = match.result.found, match.result.ended_at
    if not found:
        return _Sign(
            title, "good", "No difference between what was posted and what is in Xero.", "", link, at
        )
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
        yield _Sign(
            title, "warning", "Nobody gets a mail when an order needs attention.", "Add an address.", link
        )
    elif open_:
        of_them = "The address" if len(addresses) == 1 else f"{len(open_)} of {len(addresses)} addresses"
        said = f"{of_them} {'gets' if len(open_) == 1 else 'get'} no mail yet."
        yield _Sign(title, "warning", said, "The settings say why, and what to do.", link)
    else:
        are = "address is" if len(addresses) == 1 else "addresses are"
        yield _Sign(title, "good", f"{len(addresses)} {are} told when an order needs attention.", link=link)

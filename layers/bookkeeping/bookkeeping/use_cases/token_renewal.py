"""Renewing tokens: an access token lives 30 minutes, and every refresh gives a new refresh token.

If the newest refresh token is lost, the connection is lost. So only one process at a time renews a company's tokens.
New tokens are staged first, and promoted only in place of the tokens they were issued for. After a crash, the next
process finds the staged tokens and promotes them.

If Xero's answer was lost, Xero accepts the same refresh token again for 30 minutes. We present it again only when the
lost call can no longer be carried out. Otherwise that late call would issue the only valid tokens, and nobody would
have them.

A connection that a person ended is renewed in the same way, until Xero has confirmed the end and the tokens are gone.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Literal, TypeVar

from bookkeeping.adapters.containment import contained, noted
from bookkeeping.adapters.event_bus import EventBus
from bookkeeping.adapters.pace import Pace
from bookkeeping.adapters.secrets import App, AppSecret, Tokens, TokenSecret, Version
from bookkeeping.adapters.tables.connections import ConnectionsTable, Renewal
from bookkeeping.adapters.tables.releases import Releases
from bookkeeping.adapters.xero_identity import Granted, Identity
from bookkeeping.domain.connection import Connection, ConnectionStatus
from bookkeeping.domain.errors import (
    IdentityError,
    IdentityRefused,
    IdentityThrottled,
    IdentityUnknown,
    InvalidClient,
    InvalidGrant,
    Lost,
    StoreUnavailable,
    TokenExpired,
    XeroError,
)
from bookkeeping.domain.events import connection_lost, connection_restored
from bookkeeping.domain.moments import LONG_AGO, stamp
from bookkeeping.use_cases.release import once_connected

T = TypeVar("T")

TICK: Final = timedelta(minutes=5)
"""How often the schedule starts the function."""
AHEAD: Final = timedelta(minutes=6)
"""Tokens are renewed at least this long before they expire: longer than a tick."""
EVERY: Final = timedelta(minutes=25)
"""How often tokens of a connection at work are renewed: a whole number of ticks, at most 60 times a day.

Each company has moments of its own that are so far apart. So every tick meets an equal share of the companies.
"""
LIVES: Final = timedelta(minutes=30)
"""How long an access token lives."""
FREED_AFTER: Final = timedelta(seconds=30)
"""How long after a corrected client secret worked the waiting orders are released."""
AT_WORK: Final = timedelta(hours=24)
"""A connection is in use for this long after orders were last posted through it."""
IDLE: Final = timedelta(hours=20)
"""How long tokens of an unused connection stay expired. A refresh token lives 60 days from its last use."""
IDLE_AT_MOST: Final = timedelta(hours=23)
TOKEN_TO_SPARE: Final = timedelta(seconds=30)

What = Literal[
    "renewed",
    "fresh",
    "busy",
    "put_off",
    "refused",
    "lost",
    "still_lost",
    "no_tokens",
    "failed",
    "ended",
    "shared",
    "left",
]
"""The last three are for a connection that a person ended, whose tokens are gone.

`ended`: Xero has ended the access. `shared`: another company needs the access. `left`: we can no longer end it.
"""


@dataclass(frozen=True)
class Times:
    """Every length of time a renewal depends on. `scaled` multiplies them all by one factor, for tests."""

    call_time_out: timedelta = timedelta(seconds=10)
    apart: timedelta = timedelta(milliseconds=50)
    """Renewals of a tick begin so far apart, 20 a second: each writes two secrets, and AWS takes 50 writes a second."""
    begin: timedelta = timedelta(seconds=270)
    """No company's renewal begins later than this after the tick began, so before the next tick begins."""
    call_by: timedelta = timedelta(seconds=10)
    """The latest time in a renewal to call Xero, so that time is left to store the new tokens."""
    renewal: timedelta = timedelta(seconds=60)
    """The latest time in a renewal to write its result."""
    function: timedelta = timedelta(seconds=360)
    """The function's time-out: a renewal that begins last has time to end."""
    late_commit: timedelta = timedelta(seconds=150)
    """How long after a call without an answer Xero may still carry it out."""
    lease: timedelta = timedelta(seconds=220)
    """Longer than a renewal and a late call together, so that nobody presents the same refresh token meanwhile."""
    throttled: timedelta = timedelta(minutes=1)
    throttled_at_most: timedelta = timedelta(minutes=15)
    refused: timedelta = timedelta(minutes=15)
    """The wait between attempts while Xero refuses the client id, the secret or the request."""
    store_again: timedelta = timedelta(milliseconds=250)
    store_again_at_most: timedelta = timedelta(seconds=2)
    look_again: timedelta = timedelta(milliseconds=500)
    patience: timedelta = timedelta(seconds=20)
    """How long a caller waits for another process that is renewing the tokens."""

    def scaled(self, factor: float) -> Times:
        return Times(**{name: value * factor for name, value in vars(self).items()})


@dataclass(frozen=True)
class RenewalAdapters:
    """Everything a renewal touches."""

    connections: ConnectionsTable
    releases: Releases
    apps: AppSecret
    tokens: TokenSecret
    identity: Identity
    events: EventBus
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    together: Callable[[Sequence[Callable[[], Any]]], list[Any]]
    """Run the calls at the same time; their results in order."""
    chance: random.Random
    times: Times = field(default_factory=Times)


@dataclass(frozen=True)
class RenewalResult:
    """The result for one company's tokens; `why` is for the log."""

    company: str
    what: What
    why: str = ""
    tokens: Tokens | None = field(default=None, repr=False)


def renew_due(adapters: RenewalAdapters) -> list[RenewalResult]:
    """Check every company that is due, as far as the time of this tick allows, and so many a second.

    Nothing is done while an earlier tick is at it, so that the two do not begin more renewals a second together.
    """
    began = adapters.now()
    if not adapters.connections.take_tick(began, adapters.times.begin):
        return []
    pace = Pace(adapters.now, adapters.sleep, adapters.times.apart)

    def look_at(company: str) -> RenewalResult:
        pace.wait()
        if adapters.now() - began >= adapters.times.begin:
            return RenewalResult(company, "put_off", "out of time")
        try:
            return _renew_one(adapters, company)
        except Exception as error:  # noqa: BLE001 one company's error must not stop the others
            return RenewalResult(company, "failed", noted(error, company))

    due = adapters.connections.renewals_due(began)
    outcomes: list[RenewalResult] = adapters.together([partial(look_at, company) for company in due])
    adapters.connections.end_tick(began, adapters.times.begin)
    return outcomes


def renew(adapters: RenewalAdapters, company: str, *, refused: int | None = None) -> RenewalResult:
    """See to it that the company's tokens are good for a while, or gone where a person ended the connection.

    Those of the generation that Xero `refused` as expired are not good, whatever is stored about when they end. Where
    another is at it, wait for that.
    """
    give_up_at = adapters.now() + adapters.times.patience
    while True:
        connection = adapters.connections.connection(company)
        if connection is None:
            return RenewalResult(company, "no_tokens")
        tokens = adapters.tokens.read(company)
        over = connection.status == "disconnected"
        if over and not connection.to_end_at_xero and tokens is None:
            return RenewalResult(company, "no_tokens")
        if tokens is not None and not over and _good(tokens, adapters.now(), refused):
            return RenewalResult(company, "fresh", tokens=tokens)
        renewal = adapters.connections.take_renewal(company, adapters.now(), adapters.times.lease)
        if renewal is not None:
            return _in_turn(adapters, renewal, at_once=True, refused=refused)
        now = adapters.now()
        if now >= give_up_at or not adapters.connections.being_renewed(company, now):
            return RenewalResult(company, "busy")
        adapters.sleep(adapters.times.look_again.total_seconds())


def _renew_one(adapters: RenewalAdapters, company: str) -> RenewalResult:
    renewal = adapters.connections.take_renewal(company, adapters.now(), adapters.times.lease)
    if renewal is None:
        return RenewalResult(company, "busy")
    return _in_turn(adapters, renewal, at_once=False)


def _good(tokens: Tokens, now: datetime, refused: int | None) -> bool:
    return now < tokens.expires_at - AHEAD and tokens.generation != refused


def _in_turn(
    adapters: RenewalAdapters, renewal: Renewal, *, at_once: bool, refused: int | None = None
) -> RenewalResult:
    connection = adapters.connections.connection(renewal.company)
    if connection is None:
        adapters.connections.settle_renewal(renewal, None)
        return RenewalResult(renewal.company, "no_tokens")
    # An unfinished renewal is finished at once, because Xero accepts its refresh token for a short time only.
    # After a corrected client secret, orders are waiting.
    at_once = at_once or renewal.unsettled or connection.status == "wrong_credentials"
    with contained(renewal.company):
        return _Renewal(adapters, renewal, connection).run(at_once=at_once, refused=refused)
    # its lease lasts on: once it is over, this is tried again
    return RenewalResult(renewal.company, "failed", "a fault of ours")


def is_due(
    tokens: Tokens, connection: Connection, now: datetime, *, at_once: bool, refused: int | None = None
) -> bool:
    """Whether to renew the tokens now. `at_once`: somebody needs them."""
    if at_once:
        return not _good(tokens, now, refused)
    return now >= (
        _next_turn(tokens, connection.company) if at_work(connection, now) else tokens.expires_at + IDLE
    )


def due_at(tokens: Tokens, connection: Connection, now: datetime, chance: random.Random) -> datetime:
    """When to check the tokens next. Idle connections are spread over hours, so that they are not all due together."""
    if at_work(connection, now):
        return _next_turn(tokens, connection.company)
    return tokens.expires_at + IDLE + (IDLE_AT_MOST - IDLE) * chance.random()


def _next_turn(tokens: Tokens, company: str) -> datetime:
    """The company's own moment that comes next after the tokens were issued, but never less than AHEAD of their end."""
    own = timedelta(
        seconds=int(hashlib.sha256(company.encode()).hexdigest(), 16) % int(EVERY.total_seconds())
    )
    # a tick that comes up to a minute early serves the moment it came too early for
    earliest = tokens.expires_at - LIVES + timedelta(minutes=1)
    turn = earliest + EVERY - (earliest - LONG_AGO - own) % EVERY
    return min(turn, tokens.expires_at - AHEAD)


def at_work(connection: Connection, now: datetime) -> bool:
    recent = connection.worked_at is not None and now - connection.worked_at < AT_WORK
    return recent and connection.status in ("connected", "wrong_credentials")


class _Reconnected(Exception):
    """The stored tokens are not those this renewal began with."""


class _TooSlow(Exception):
    """No time is left to store the tokens that a call would bring."""


class _Renewal:
    """One renewal of a company's tokens, under a lease from the first read to the last write."""

    def __init__(self, adapters: RenewalAdapters, renewal: Renewal, connection: Connection) -> None:
        self._adapters = adapters
        self._renewal = renewal
        self._connection = connection
        self._company = renewal.company
        self._began = adapters.now()

    def run(self, *, at_once: bool, refused: int | None = None) -> RenewalResult:
        try:
            if self._connection.status == "disconnected":
                return self._end_at_xero()
            return self._look(at_once=at_once, refused=refused)
        except _TooSlow:
            return self._put_off(timedelta(), "the store was too slow to begin a call")
        except _Reconnected:
            # a person connected again meanwhile; the tokens of that consent count
            tokens = self._adapters.tokens.read(self._company)
            self._adapters.connections.settle_renewal(self._renewal, self._adapters.now())
            return RenewalResult(
                self._company, "fresh" if tokens else "no_tokens", "connected again meanwhile", tokens
            )

    def _look(self, *, at_once: bool, refused: int | None) -> RenewalResult:
        current = self._current()
        if current is None:
            return self._lose("needs_reconnect", "there are no tokens")
        now = self._adapters.now()
        if not is_due(current.tokens, self._connection, now, at_once=at_once, refused=refused):
            return self._done("fresh", current.tokens)
        app = self._app()
        if app is None:
            return self._lose("wrong_credentials", "the app's credentials are missing or another app's")
        try:
            renewed = self._renewed(current, app)
        except InvalidClient as error:
            return self._lose("wrong_credentials", str(error))
        except InvalidGrant as error:
            return self._lose("needs_reconnect", str(error))
        except IdentityError as error:
            return self._ask_again(error)
        if self._connection.status == "wrong_credentials":
            self._restore()
        return self._done("renewed", renewed.tokens)

    def _current(self) -> Version | None:
        """The current tokens. Staged ones that were not promoted after a crash are promoted first."""
        tokens, company = self._adapters.tokens, self._company
        current = tokens.current(company)
        staged = tokens.pending(company) if current else None
        if current is not None and staged is not None and staged.replaces == current.id:
            # a process stored these and crashed before it promoted them; the current ones are used up
            self._promote(staged, current)
            return staged
        return current

    def _app(self) -> App | None:
        """The app of the tokens; None if we do not have its secret."""
        app = self._adapters.apps.read(self._company)
        return app if app and app.client_id == self._connection.client_id else None

    def _renewed(self, current: Version, app: App) -> Version:
        """New tokens in place of the current ones. Raises InvalidGrant if Xero refuses all the stored ones."""
        adapters = self._adapters
        refused: set[str] = set()
        while True:
            asked_at = adapters.now()
            if asked_at - self._began > adapters.times.call_by:
                raise _TooSlow
            try:
                refresh_token = current.tokens.refresh_token
                granted = adapters.identity.refresh(app.client_id, app.client_secret, refresh_token)
            except InvalidGrant:
                refused.add(current.id)
                other = self._other(current, refused)
                if other is None:
                    raise
                current = other
            else:
                return self._keep(granted, current, asked_at)

    def _other(self, current: Version, refused: set[str]) -> Version | None:
        """Other stored tokens to present after Xero refused these; None if there are no more."""
        current_now = self._adapters.tokens.current(self._company)
        if current_now is None or current_now.id != current.id:
            raise _Reconnected
        other = self._relative(current, refused)
        if other is not None:
            # promoted before it is presented, so that nobody presents the refused ones again
            self._promote(other, current)
        return other

    def _relative(self, current: Version, refused: set[str]) -> Version | None:
        """Tokens of the same consent that may be valid although the current ones are not.

        These are staged tokens issued for the same refresh token, or the tokens that the current ones replaced.
        """
        staged = self._adapters.tokens.pending(self._company)
        if (
            staged is not None
            and staged.id not in refused
            and staged.replaces in (current.id, current.replaces)
        ):
            return staged
        parent = self._adapters.tokens.previous(self._company)
        if parent is not None and parent.id not in refused and parent.id == current.replaces:
            return parent
        return None

    def _keep(self, granted: Granted, current: Version, asked_at: datetime) -> Version:
        tokens = Tokens(
            access_token=granted.access_token,
            refresh_token=granted.refresh_token,
            expires_at=asked_at + granted.lives,
            generation=current.tokens.generation + 1,
            unknown=current.tokens.unknown,
        )
        store, company = self._adapters.tokens, self._company
        staged = self._surely(lambda: store.stage(company, tokens, replaces=current.id))
        version = Version(staged, tokens, current.id)
        self._surely(lambda: self._promote(version, current))
        return version

    def _restore(self) -> None:
        """Restore the connection after a person corrected the client secret."""
        connection, now = self._connection, self._adapters.now()
        # The release is written first, so that a crash in between leaves no order waiting for ever.
        # It starts a moment later, when the connection is restored.
        soon = now + FREED_AFTER
        self._adapters.releases.ask(
            once_connected(self._company, (connection.lane,), soon, f"renewed-{stamp(now)}")
        )
        if self._adapters.connections.restore_connection(connection):
            here = connection.organisation_id
            self._adapters.events.put([connection_restored(self._company, here, now)])

    def _promote(self, version: Version, in_place_of: Version) -> None:
        if not self._adapters.tokens.promote(self._company, version.id, in_place_of.id):
            raise _Reconnected

    def _surely(self, write: Callable[[], T]) -> T:
        """Retry a write while there is time, because the only copy of the tokens is in memory."""
        times, wait = self._adapters.times, self._adapters.times.store_again
        while True:
            try:
                return write()
            except StoreUnavailable:
                if self._adapters.now() + wait - self._began >= times.renewal:
                    raise
            self._adapters.sleep(wait.total_seconds() * self._adapters.chance.uniform(1.0, 1.25))
            wait = min(2 * wait, times.store_again_at_most)

    # a connection that a person ended

    def _end_at_xero(self) -> RenewalResult:
        """End the access in Xero that no other company needs. Then forget the tokens, which the first step needs."""
        connections, connection = self._adapters.connections, self._connection
        what: What = "ended"
        why, current = "", self._current()
        if connection.to_end_at_xero:
            try:
                what, current = self._ended(current)
            except (IdentityUnknown, IdentityThrottled, TokenExpired) as error:
                return self._ask_again(error)
            except (IdentityError, XeroError) as error:
                what, why = "left", str(error)
            if what != "left" and not connections.note_ended(connection):
                raise _Reconnected
        if not self._adapters.tokens.forget(self._company, current):
            raise _Reconnected
        connections.settle_renewal(self._renewal, None)
        return RenewalResult(self._company, what, why)

    def _ended(self, current: Version | None) -> tuple[What, Version]:
        """The result in Xero, and the tokens as they are now. Raises the error if Xero refuses."""
        adapters, connection = self._adapters, self._connection
        app = self._app()
        if current is None or app is None:
            raise IdentityRefused("the tokens or their app's credentials are gone")
        others = adapters.connections.others_of_app(connection)
        needed = {one.organisation_id for other in others for one in other.held}
        unneeded = [one for one in connection.to_end_at_xero if one.organisation_id not in needed]
        if others and unneeded and adapters.now() > current.tokens.expires_at - TOKEN_TO_SPARE:
            current = self._renewed(current, app)
        if adapters.connections.connection(self._company) != connection:
            raise _Reconnected
        if others:
            for one in unneeded:
                if one.connection_id:
                    adapters.identity.delete_connection(current.tokens.access_token, one.connection_id)
        else:
            # ends all access that the person gave the app, and needs no access token
            adapters.identity.revoke(app.client_id, app.client_secret, current.tokens.refresh_token)
        return ("ended" if unneeded == list(connection.to_end_at_xero) else "shared"), current

    # how a renewal ends

    def _done(self, what: What, tokens: Tokens) -> RenewalResult:
        now = self._adapters.now()
        next_at = due_at(tokens, self._connection, now, self._adapters.chance)
        self._adapters.connections.settle_renewal(self._renewal, next_at, tokens.expires_at)
        return RenewalResult(self._company, what, tokens=tokens)

    def _put_off(self, wait: timedelta, why: str, what: What = "put_off") -> RenewalResult:
        until = self._adapters.now() + wait * self._adapters.chance.uniform(1.0, 1.1)
        self._adapters.connections.put_off_renewal(self._renewal, until)
        return RenewalResult(self._company, what, why)

    def _ask_again(self, error: IdentityError | XeroError) -> RenewalResult:
        times = self._adapters.times
        if isinstance(error, IdentityThrottled):
            asked = None if error.retry_after is None else timedelta(seconds=error.retry_after)
            wait = min(asked or times.throttled, times.throttled_at_most)
        elif isinstance(error, IdentityUnknown):
            wait = times.late_commit
        else:
            wait = times.refused
        what: What = "refused" if isinstance(error, IdentityRefused) else "put_off"
        return self._put_off(wait, f"{type(error).__name__}: {error}", what)

    def _lose(self, status: ConnectionStatus, why: str) -> RenewalResult:
        """A person must act. The tokens stay as they are."""
        connections, now = self._adapters.connections, self._adapters.now()
        try:
            lost_at = connections.lose_renewed(self._renewal, self._connection, status, now)
        except Lost as error:
            raise _Reconnected from error
        newly = lost_at == now or (lost_at is not None and self._renewal.unsettled)
        if newly and lost_at is not None:
            # An earlier process may have crashed before or after it published the event: publish it with the same id.
            here = self._connection.organisation_id
            self._adapters.events.put([connection_lost(self._company, here, status, lost_at)])
        # the next attempt notices a corrected secret
        again = status == "wrong_credentials"
        next_at = (
            now + self._adapters.times.refused * self._adapters.chance.uniform(1.0, 1.1) if again else None
        )
        connections.settle_renewal(self._renewal, next_at)
        return RenewalResult(self._company, "lost" if newly else "still_lost", why)

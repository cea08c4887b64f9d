"""Keeping connections alive: access tokens live 30 minutes, and every refresh gives a new refresh token.

Losing the newest refresh token loses the connection. So one process at a time renews a company's tokens; new tokens
are staged before anything else is done, and promoted only in place of those they were issued for. Whoever comes after
a crash finds them staged and promotes them. Where an answer was lost, Xero takes the same refresh token again for 30
minutes; it is presented again only when the lost call cannot be carried out any more, for the tokens which that late
call brought about would be the only good ones, and nobody would have them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Literal, TypeVar

from bookkeeping.connecting import Connection, ConnectionStatus
from bookkeeping.errors import (
    IdentityError,
    IdentityThrottled,
    IdentityUnknown,
    InvalidClient,
    InvalidGrant,
    Lost,
    StoreUnavailable,
)
from bookkeeping.identity import Granted, Identity
from bookkeeping.ledger import Event, stamp
from bookkeeping.queues import EventBus
from bookkeeping.releasing import once_connected
from bookkeeping.secrets import App, AppSecret, Tokens, TokenSecret, Version
from bookkeeping.tables.connections import ConnectionsTable, Renewal
from bookkeeping.tables.releases import Releases

T = TypeVar("T")

AHEAD: Final = timedelta(minutes=6)
"""Tokens are renewed when this is left of their 30 minutes: more than a tick, and at most 60 times a day."""
FREED_AFTER: Final = timedelta(seconds=30)
"""When the orders are freed that waited for the client secret to be put right."""
AT_WORK: Final = timedelta(hours=24)
"""A connection is at work this long after orders were last posted through it."""
IDLE: Final = timedelta(hours=20)
"""How long tokens of a connection that is not at work stay expired. A refresh token lives 60 days from its last use."""
IDLE_AT_MOST: Final = timedelta(hours=23)

What = Literal["renewed", "fresh", "busy", "put_off", "lost", "no_tokens", "failed"]


@dataclass(frozen=True)
class Times:
    """Every length of time a renewal depends on. `scaled` shortens them all by one factor, for a test machine."""

    call_time_out: timedelta = timedelta(seconds=10)
    begin: timedelta = timedelta(seconds=30)
    """No company's turn begins later than this into an invocation."""
    call_by: timedelta = timedelta(seconds=10)
    """How far into a company's turn the call may still be made: time must be left to store what it brings."""
    function: timedelta = timedelta(seconds=60)
    """The function's time-out."""
    late_commit: timedelta = timedelta(seconds=150)
    """A call that gave no answer may still be carried out this much later."""
    lease: timedelta = timedelta(seconds=220)
    """Outlasts the function and a call it left behind: nobody presents the same refresh token meanwhile."""
    throttled: timedelta = timedelta(minutes=1)
    throttled_at_most: timedelta = timedelta(minutes=15)
    refused: timedelta = timedelta(minutes=15)
    """Between tries while Xero refuses the client id or secret, or what was sent."""
    store_again: timedelta = timedelta(milliseconds=250)
    store_again_at_most: timedelta = timedelta(seconds=2)
    look_again: timedelta = timedelta(milliseconds=500)
    patience: timedelta = timedelta(seconds=20)
    """How long one who asks for tokens waits for another who is renewing them."""

    def scaled(self, factor: float) -> Times:
        return Times(**{name: value * factor for name, value in vars(self).items()})


@dataclass(frozen=True)
class Edges:
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
class Outcome:
    """What became of one company's tokens; `why` is for the log."""

    company: str
    what: What
    why: str = ""
    tokens: Tokens | None = field(default=None, repr=False)


def renew_due(edges: Edges) -> list[Outcome]:
    """Look at every company whose time has come, as far as this invocation's time reaches."""
    began = edges.now()

    def look_at(company: str) -> Outcome:
        if edges.now() - began >= edges.times.begin:
            return Outcome(company, "put_off", "out of time")
        try:
            return _tend(edges, company)
        except Exception as error:  # noqa: BLE001 one company's trouble must not hold up the others
            return Outcome(company, "failed", _words(error))

    return edges.together([partial(look_at, company) for company in edges.connections.renewals_due(began)])


def renew(edges: Edges, company: str) -> Outcome:
    """See to it that the company's tokens are good for a while; where another is at it, wait for that."""
    give_up_at = edges.now() + edges.times.patience
    while True:
        connection = edges.connections.connection(company)
        if connection is None or connection.status == "disconnected":
            return Outcome(company, "no_tokens")
        tokens = edges.tokens.read(company)
        if tokens is None:
            return Outcome(company, "no_tokens")
        if edges.now() < tokens.expires_at - AHEAD:
            return Outcome(company, "fresh", tokens=tokens)
        renewal = edges.connections.take_renewal(company, edges.now(), edges.times.lease)
        if renewal is not None:
            return _Turn(edges, renewal, connection).run(at_once=True)
        now = edges.now()
        if now >= give_up_at or not edges.connections.being_renewed(company, now):
            return Outcome(company, "busy")
        edges.sleep(edges.times.look_again.total_seconds())


def _tend(edges: Edges, company: str) -> Outcome:
    renewal = edges.connections.take_renewal(company, edges.now(), edges.times.lease)
    if renewal is None:
        return Outcome(company, "busy")
    connection = edges.connections.connection(company)
    if connection is None or connection.status == "disconnected":
        edges.connections.settle_renewal(renewal, None)
        return Outcome(company, "no_tokens")
    # what another began is brought to an end at once, whatever the connection's own rhythm: grace is short; and
    # where a person has put the client secret right, orders wait
    at_once = renewal.unsettled or connection.status == "wrong_credentials"
    return _Turn(edges, renewal, connection).run(at_once=at_once)


def is_due(tokens: Tokens, connection: Connection, now: datetime, *, at_once: bool) -> bool:
    """Whether the tokens are to be renewed now; `at_once`: somebody needs them."""
    if at_once or at_work(connection, now):
        return now >= tokens.expires_at - AHEAD
    return now >= tokens.expires_at + IDLE


def due_at(tokens: Tokens, connection: Connection, now: datetime, chance: random.Random) -> datetime:
    """When to look at the tokens next. Idle connections spread over hours, so that they never come all together."""
    if at_work(connection, now):
        return tokens.expires_at - AHEAD
    return tokens.expires_at + IDLE + (IDLE_AT_MOST - IDLE) * chance.random()


def at_work(connection: Connection, now: datetime) -> bool:
    recent = connection.worked_at is not None and now - connection.worked_at < AT_WORK
    return recent and connection.status in ("connected", "wrong_credentials")


class _Reconnected(Exception):
    """The tokens in the store are not those this turn began with."""


class _Turn:
    """One company's tokens, held by a lease from before anything is read until everything is written."""

    def __init__(self, edges: Edges, renewal: Renewal, connection: Connection) -> None:
        self._edges = edges
        self._renewal = renewal
        self._connection = connection
        self._company = renewal.company
        self._began = edges.now()

    def run(self, *, at_once: bool) -> Outcome:
        try:
            return self._look(at_once=at_once)
        except _Reconnected:
            # a person's consent brought other tokens meanwhile: those hold
            tokens = self._edges.tokens.read(self._company)
            self._edges.connections.settle_renewal(self._renewal, self._edges.now())
            return Outcome(
                self._company, "fresh" if tokens else "no_tokens", "connected again meanwhile", tokens
            )

    def _look(self, *, at_once: bool) -> Outcome:
        tokens, company = self._edges.tokens, self._company
        current = tokens.current(company)
        if current is None:
            self._edges.connections.settle_renewal(self._renewal, None)
            return Outcome(company, "no_tokens")
        staged = tokens.pending(company)
        if staged is not None and staged.replaces == current.id:
            # issued by Xero and written down, but its process ended there: the current ones are spent
            self._promote(staged, current)
            current = staged
        if not is_due(current.tokens, self._connection, self._edges.now(), at_once=at_once):
            return self._done("fresh", current.tokens)
        app = self._edges.apps.read(company)
        if app is None or app.client_id != self._connection.client_id:
            return self._lose("wrong_credentials", "the app's credentials are missing or another app's")
        return self._renew(current, app)

    def _renew(self, current: Version, app: App) -> Outcome:
        edges = self._edges
        refused: set[str] = set()
        while True:
            asked_at = edges.now()
            if asked_at - self._began > edges.times.call_by:
                return self._put_off(timedelta(), "the store was too slow to begin a call")
            try:
                refresh_token = current.tokens.refresh_token
                granted = edges.identity.refresh(app.client_id, app.client_secret, refresh_token)
            except InvalidGrant as error:
                refused.add(current.id)
                other = self._other(current, refused)
                if other is None:
                    return self._lose("needs_reconnect", str(error))
                current = other
            except IdentityError as error:
                return self._no_tokens_for(error)
            else:
                return self._keep(granted, current, asked_at)

    def _other(self, current: Version, refused: set[str]) -> Version | None:
        """What the store has in place of tokens that Xero did not take; None where it has no more."""
        current_now = self._edges.tokens.current(self._company)
        if current_now is None or current_now.id != current.id:
            raise _Reconnected
        other = self._relative(current, refused)
        if other is not None:
            # before it is presented: the refused ones must not be presented ever again
            self._promote(other, current)
        return other

    def _relative(self, current: Version, refused: set[str]) -> Version | None:
        """Tokens of the same consent that may be good where the current ones are not: a twin staged, or the parent."""
        staged = self._edges.tokens.pending(self._company)
        if (
            staged is not None
            and staged.id not in refused
            and staged.replaces in (current.id, current.replaces)
        ):
            return staged
        parent = self._edges.tokens.previous(self._company)
        if parent is not None and parent.id not in refused and parent.id == current.replaces:
            return parent
        return None

    def _keep(self, granted: Granted, current: Version, asked_at: datetime) -> Outcome:
        tokens = Tokens(
            access_token=granted.access_token,
            refresh_token=granted.refresh_token,
            expires_at=asked_at + granted.lives,
            generation=current.tokens.generation + 1,
        )
        store, company = self._edges.tokens, self._company
        staged = self._surely(lambda: store.stage(company, tokens, replaces=current.id))
        self._surely(lambda: self._promote(Version(staged, tokens, current.id), current))
        connection = self._connection
        if connection.status == "wrong_credentials":
            now = self._edges.now()
            # first, and for a moment later: a process that ends in between leaves no order waiting for ever
            soon = now + FREED_AFTER
            self._edges.releases.ask(
                once_connected(self._company, (connection.lane,), soon, f"renewed-{stamp(now)}")
            )
            if self._edges.connections.restore_connection(connection):
                self._tell("ConnectionRestored", "connected", now)
        return self._done("renewed", tokens)

    def _promote(self, version: Version, in_place_of: Version) -> None:
        if not self._edges.tokens.promote(self._company, version.id, in_place_of.id):
            raise _Reconnected

    def _surely(self, write: Callable[[], T]) -> T:
        """The only copy of the tokens is in memory: whatever the store says, again, for as long as there is time."""
        times, wait = self._edges.times, self._edges.times.store_again
        while True:
            try:
                return write()
            except StoreUnavailable:
                if self._edges.now() + wait - self._began >= times.function:
                    raise
            self._edges.sleep(wait.total_seconds() * self._edges.chance.uniform(1.0, 1.25))
            wait = min(2 * wait, times.store_again_at_most)

    # how a turn ends

    def _done(self, what: What, tokens: Tokens) -> Outcome:
        now = self._edges.now()
        next_at = due_at(tokens, self._connection, now, self._edges.chance)
        self._edges.connections.settle_renewal(self._renewal, next_at)
        return Outcome(self._company, what, tokens=tokens)

    def _put_off(self, wait: timedelta, why: str) -> Outcome:
        until = self._edges.now() + wait * self._edges.chance.uniform(1.0, 1.1)
        self._edges.connections.put_off_renewal(self._renewal, until)
        return Outcome(self._company, "put_off", why)

    def _no_tokens_for(self, error: IdentityError) -> Outcome:
        times = self._edges.times
        if isinstance(error, InvalidClient):
            return self._lose("wrong_credentials", str(error))
        if isinstance(error, IdentityThrottled):
            asked = None if error.retry_after is None else timedelta(seconds=error.retry_after)
            wait = min(asked or times.throttled, times.throttled_at_most)
        elif isinstance(error, IdentityUnknown):
            wait = times.late_commit
        else:
            wait = times.refused
        return self._put_off(wait, f"{type(error).__name__}: {error}")

    def _lose(self, status: ConnectionStatus, why: str) -> Outcome:
        """A person must act. The tokens stay as they are."""
        connections, now = self._edges.connections, self._edges.now()
        try:
            lost_at = connections.lose_renewed(self._renewal, self._connection, status, now)
        except Lost as error:
            raise _Reconnected from error
        if lost_at is not None:
            self._tell("ConnectionLost", status, lost_at)
        if status == "wrong_credentials":
            # a corrected secret is noticed by itself
            self._put_off(self._edges.times.refused, why)
        else:
            # after the event: had we ended before it, the next in turn would find this connection again
            connections.settle_renewal(self._renewal, None)
        return Outcome(self._company, "lost", why)

    def _tell(self, type_: str, status: ConnectionStatus, at: datetime) -> None:
        company, organisation_id = self._company, self._connection.organisation_id
        detail = {"company": company, "organisation_id": organisation_id, "status": status}
        kind = "lost" if type_ == "ConnectionLost" else "restored"
        self._edges.events.put([Event(type_, f"{company}#{organisation_id}#{kind}#{stamp(at)}", at, detail)])


def _words(error: Exception) -> str:
    """An unforeseen error for the log, by its kind alone: its text may quote what it choked on."""
    return str(error) if isinstance(error, StoreUnavailable) else type(error).__name__

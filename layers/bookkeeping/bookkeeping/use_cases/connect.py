"""A person connects their company to Xero, chooses the organisation, or disconnects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from bookkeeping.adapters.queues import PostingQueue, ReleaseCall
from bookkeeping.adapters.secrets import AppSecret, Tokens, TokenSecret
from bookkeeping.adapters.tables.authorizations import Attempt, AuthorizationsTable
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.dynamodb import Item, once_each, without
from bookkeeping.adapters.tables.releases import Release, Releases
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.adapters.xero_identity import Granted, Identity, claims
from bookkeeping.domain.connection import (
    Choice,
    Connection,
    Consent,
    after_choice,
    after_consent,
    ended,
    taken_out,
)
from bookkeeping.domain.errors import (
    Conflict,
    IdentityError,
    IdentityRefused,
    IdentityThrottled,
    IdentityUnknown,
    InvalidClient,
    InvalidGrant,
    PrefixTaken,
    StoreUnavailable,
    XeroError,
)
from bookkeeping.domain.events import connection_lost, connection_restored
from bookkeeping.domain.moments import LONG_AGO
from bookkeeping.domain.oauth import (
    CODE_LIVES,
    STATE_LIVES,
    ConnectResult,
    answer,
    authorization_url,
    missing_scopes,
    returned,
    verifier,
)
from bookkeeping.domain.page_access import Person, Session, hashed
from bookkeeping.use_cases.release import event_text, once_connected

MOST_CHOICES: Final = 50


@dataclass(frozen=True)
class ConnectAdapters:
    """Everything that a change of a connection needs."""

    settings: SettingsTable
    connections: ConnectionsTable
    releases: Releases
    wake_ups: PostingQueue
    now: Callable[[], datetime]
    new_id: Callable[[], str]


@dataclass(frozen=True)
class CallbackAdapters:
    """What the OAuth callback needs in addition."""

    authorizations: AuthorizationsTable
    apps: AppSecret
    tokens: TokenSecret
    identity: Identity


def begin(
    adapters: ConnectAdapters,
    authorizations: AuthorizationsTable,
    session: Session,
    session_id: str,
    *,
    login_url: str,
    redirect_uri: str,
    state: str,
) -> str | None:
    """The address of Xero's login to send the person to; None if no app is saved."""
    app = adapters.connections.app(session.person.company)
    if app is None:
        return None
    attempt = Attempt(
        person=session.person,
        session_hash=session.id_hash,
        client_id=app.client_id,
        redirect_uri=redirect_uri,
        expires_at=adapters.now() + STATE_LIVES,
    )
    authorizations.begin(hashed(state), attempt)
    code_verifier = verifier(session_id, state)
    return authorization_url(login_url, app.client_id, redirect_uri, state, code_verifier)


def finish(
    adapters: ConnectAdapters,
    callback: CallbackAdapters,
    company: str,
    raw_query: str,
    session: Session | None,
    session_id: str,
) -> ConnectResult:
    """The result of an attempt to connect. Xero is called only after the attempt is proved to be this browser's."""
    back = returned(raw_query)
    if back is None or not back.state:
        return "state_invalid"
    if session is None or session.expires_at <= adapters.now():
        return "session_lost"
    if session.person.company != company:
        return "state_invalid"
    attempt = callback.authorizations.finish(hashed(back.state), session, company, adapters.now())
    if isinstance(attempt, str):
        return attempt
    known = adapters.connections.connection(company)
    if known is not None and known.taken_out:
        return "taken_out"
    code, outcome = answer(back)
    if outcome is not None:
        return outcome
    app = callback.apps.read(company)
    if app is None or app.client_id != attempt.client_id:
        return "wrong_app_credentials"
    code_verifier = verifier(session_id, back.state)
    try:
        granted = callback.identity.exchange_code(
            app.client_id, app.client_secret, code, attempt.redirect_uri, code_verifier
        )
    except InvalidGrant:
        began_at = attempt.expires_at - STATE_LIVES
        return "code_expired" if adapters.now() - began_at > CODE_LIVES else "code_used"
    except InvalidClient:
        return "wrong_app_credentials"
    except IdentityRefused as refused:
        return "wrong_redirect_url" if "redirect" in str(refused) else "xero_refused"
    except IdentityError:
        return "xero_unavailable"
    return _consented(adapters, callback, attempt, granted)


def _consented(
    adapters: ConnectAdapters, callback: CallbackAdapters, attempt: Attempt, granted: Granted
) -> ConnectResult:
    """Save the new tokens, and find the organisation they are for."""
    company, now = attempt.person.company, adapters.now()
    try:
        said = claims(granted.access_token)
        listed = _connections(callback.identity, granted, str(said.get("authentication_event_id") or "-"))
    except (IdentityUnknown, IdentityThrottled):
        return "xero_unavailable"
    except (IdentityError, XeroError):
        return "xero_refused"
    scopes = said.get("scope")
    granted_scopes = tuple(map(str, scopes)) if isinstance(scopes, list) else granted.scopes
    if missing_scopes(granted_scopes):
        return "scopes_missing"
    if not listed:
        return "no_organisation"
    consent = Consent(
        client_id=attempt.client_id,
        choices=tuple(listed[:MOST_CHOICES]),
        scopes=granted_scopes,
        expires_at=now + granted.lives,
        by=attempt.person.name,
        at=now,
    )
    tokens = Tokens(granted.access_token, granted.refresh_token, consent.expires_at, generation=1)
    try:
        callback.tokens.save(company, tokens)
    except StoreUnavailable:
        return "xero_unavailable"
    # first, so that a renewal under way finds that the connection has changed
    adapters.connections.plan_renewal(company, LONG_AGO, consent.expires_at)
    while True:
        before = adapters.connections.connection(company)
        if before is not None and before.taken_out:
            return "taken_out"
        after = after_consent(before, company, consent)
        try:
            _change(adapters, before, after, attempt.person, _what_changed(before, after))
        except Conflict:
            continue
        return "connected" if after.status == "connected" else _unfinished(after)


def _unfinished(connection: Connection) -> ConnectResult:
    return "choose_organisation" if connection.status == "choose_organisation" else "confirm_organisation"


def _connections(identity: Identity, granted: Granted, auth_event_id: str) -> list[Choice]:
    """The organisations that this consent gave access to."""
    try:
        found = identity.connections(granted.access_token, auth_event_id)
    except IdentityUnknown:
        found = identity.connections(granted.access_token, auth_event_id)
    return [
        Choice(one.organisation_id, one.organisation_name, one.id)
        for one in found
        if one.auth_event_id == auth_event_id and one.organisation_id
    ]


def _what_changed(before: Connection | None, after: Connection) -> str:
    if after.status == "choose_organisation":
        return "Logged in to Xero; the organisation is still to be chosen"
    if after.status == "confirm_organisation":
        return f"Connected to {after.organisation_name}, still to be confirmed"
    again = before is not None and before.organisation_id == after.organisation_id
    return f"Connected to {after.organisation_name}{' again' if again else ''}"


def choose(adapters: ConnectAdapters, person: Person, organisation_id: str) -> bool:
    """A person chooses or confirms the organisation. False if it is not available."""
    while True:
        before = adapters.connections.connection(person.company)
        after = after_choice(before, organisation_id) if before else None
        if before is None or after is None:
            return (
                before is not None
                and before.status == "connected"
                and before.organisation_id == organisation_id
            )
        confirmed = before.status == "confirm_organisation"
        what = f"{'Confirmed' if confirmed else 'Chose'} {after.organisation_name}"
        try:
            _change(adapters, before, after, person, what)
        except Conflict:
            continue
        return True


def disconnect(adapters: ConnectAdapters, person: Person) -> bool:
    """End the connection here. True if the access in Xero is still to be ended, which token renewal does."""
    while True:
        before = adapters.connections.connection(person.company)
        if before is None or before.status == "disconnected":
            return before is not None and bool(before.to_end_at_xero)
        what = f"Disconnected from {before.organisation_name or 'Xero'}"
        try:
            _change(adapters, before, ended(before), person, what)
        except Conflict:
            continue
        return True


def take_out(adapters: ConnectAdapters, person: Person) -> bool:
    """Disconnect the company for good. True if the access in Xero is still to be ended, which token renewal does."""
    while True:
        before = adapters.connections.connection(person.company)
        after = taken_out(before, person.company)
        if after != before:
            try:
                _change(adapters, before, after, person, "Took the company out")
            except Conflict:
                continue
        return bool(after.to_end_at_xero)


def bring_back(adapters: ConnectAdapters, person: Person) -> bool:
    """Let the company be connected again. False if it was not taken out."""
    while True:
        before = adapters.connections.connection(person.company)
        if before is None or not before.taken_out:
            return False
        try:
            _change(adapters, before, replace(before, taken_out=False), person, "Took the company in again")
        except Conflict:
            continue
        return True


def _change(
    adapters: ConnectAdapters, before: Connection | None, after: Connection, person: Person, what: str
) -> None:
    """Write the change, its history and its release in one transaction. Then start the release."""
    now, id_ = adapters.now(), adapters.new_id()
    connections = adapters.connections
    others: list[Item] = []
    if before is not None and (before.organisation_id, before.client_id) != (
        after.organisation_id,
        after.client_id,
    ):
        others += without(connections.leaves(before), connections.joins(after))
    if after.status == "disconnected":
        others += [*connections.leaves(after), connections.renewal_now(person.company)]
    else:
        others += connections.joins(after)
    if after.status == "connected":
        after, claim = _with_prefix(adapters, after)
        others += claim
    release = _release(before, after, now, id_)
    if release is not None:
        others.append(adapters.releases.put(release))
    others.append(connections.act(person.company, person.name, what, now, id_))
    connections.change_connection(before, after, *once_each(others))
    if release is not None:
        adapters.wake_ups.send(ReleaseCall(release.company, release.id))


def _with_prefix(adapters: ConnectAdapters, connection: Connection) -> tuple[Connection, list[Item]]:
    """Claim the company's number prefix in the organisation, unless another company has it."""
    saved = adapters.settings.saved(connection.company)
    if saved is None:
        return replace(connection, prefix_taken_by=""), []
    try:
        claim = adapters.connections.claim_prefix(connection, saved.settings.number_prefix)
    except PrefixTaken as taken:
        return replace(connection, prefix_taken_by=taken.owner), []
    return replace(connection, prefix_taken_by=""), [claim]


def _release(before: Connection | None, after: Connection, now: datetime, id_: str) -> Release | None:
    """The release that follows a change of the connection: waiting orders, lanes to ring, and an event."""
    event = ""
    was_connected = before is not None and before.status == "connected"
    if after.status == "connected" and before is not None and not was_connected:
        event = event_text(connection_restored(after.company, after.organisation_id, now))
    elif was_connected and after.status != "connected":
        event = event_text(connection_lost(after.company, after.organisation_id, after.status, now))
    lanes = {connection.lane for connection in (before, after) if connection and connection.organisation_id}
    if after.status == "connected" or after.taken_out:
        # what waits is looked at anew: it becomes due, or is skipped
        return once_connected(after.company, lanes, now, id_, event)
    if not event:
        return None
    # orders that are due become `waiting` in the next turn of their lane
    return Release(after.company, id_, now, now, lanes=tuple(sorted(lanes)), event=event)

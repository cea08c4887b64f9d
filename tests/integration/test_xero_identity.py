"""Xero's identity server at the wire: what each answer means, and that nothing secret is left behind."""

from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
import responses

from bookkeeping.adapters.xero_identity import Granted, Identity, claims
from bookkeeping.domain.errors import (
    AccessRefused,
    IdentityError,
    IdentityRefused,
    IdentityThrottled,
    IdentityUnknown,
    InvalidClient,
    InvalidGrant,
    TokenExpired,
)
from local.xero.clock import VirtualClock
from local.xero.in_process import InProcess
from local.xero.server import create_app
from local.xero.world import World

XERO = "http://localhost:8400"
REDIRECT = "https://orders.example.com/xero/callback"
VERIFIER = "v" * 43
CHALLENGE = "0ZbpCbyPzgXX52qrJ0RaCFCqMbuOyfKTFfaoQ7VScP4"
SCOPES = "openid profile email offline_access accounting.invoices"
CANARY = "canary-0123456789"


class Xero:
    """The simulated Xero with one app, one person and two organisations."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.world = World(self.clock, seed=5, demo=False)
        ids = [self.world.add_organisation({"name": name}).id for name in ("Marlow Print Works", "Other Ltd")]
        self.user = self.world.add_user({"email": "ada@example.com", "organisations": ids})
        given = {"name": "Orders", "client_id": "APP", "redirect_uris": [REDIRECT], "certified": True}
        self.secret = self.world.portal.generate_secret(self.world.portal.register(given, self.clock.now()))
        self.identity = Identity(XERO, XERO, 10)
        self.identity.session.mount(XERO, InProcess(create_app(self.world), self.world))

    def code(self, *organisations: str, scopes: str = SCOPES, challenge: str = "") -> str:
        asked = {"response_type": "code", "client_id": "APP", "redirect_uri": REDIRECT, "scope": scopes}
        if challenge:
            asked |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        identity = self.world.identity
        request = identity.authorize_request(urlencode(asked))
        answer = identity.allow(request, self.user, list(organisations) or self.user.tenant_ids[:1])
        return parse_qs(urlsplit(answer).query)["code"][0]

    def granted(self, *organisations: str) -> Granted:
        return self.identity.exchange_code("APP", self.secret, self.code(*organisations), REDIRECT, VERIFIER)


@pytest.fixture
def xero() -> Xero:
    return Xero()


def test_a_code_brings_tokens_once(xero: Xero) -> None:
    code = xero.code()
    granted = xero.identity.exchange_code("APP", xero.secret, code, REDIRECT, VERIFIER)
    assert granted.scopes == tuple(SCOPES.split())
    assert granted.lives.total_seconds() == 1800
    with pytest.raises(InvalidGrant):
        xero.identity.exchange_code("APP", xero.secret, code, REDIRECT, VERIFIER)


def test_a_code_is_worth_nothing_without_its_verifier(xero: Xero) -> None:
    with pytest.raises(InvalidGrant):
        xero.identity.exchange_code("APP", xero.secret, xero.code(challenge=CHALLENGE), REDIRECT, VERIFIER)


def test_a_consent_without_offline_access_brings_no_tokens_worth_keeping(xero: Xero) -> None:
    with pytest.raises(IdentityRefused):
        xero.identity.exchange_code(
            "APP", xero.secret, xero.code(scopes="accounting.invoices"), REDIRECT, VERIFIER
        )


def test_every_refresh_brings_other_tokens(xero: Xero) -> None:
    first = xero.granted()
    second = xero.identity.refresh("APP", xero.secret, first.refresh_token)
    assert len({first.refresh_token, second.refresh_token, first.access_token, second.access_token}) == 4


def test_the_tokens_say_which_consent_they_came_from_and_its_connections_are_listed(xero: Xero) -> None:
    one, other = xero.user.tenant_ids
    xero.granted(other)
    granted = xero.granted(one)
    event = claims(granted.access_token)["authentication_event_id"]
    listed = xero.identity.connections(granted.access_token, event)
    assert [(found.organisation_id, found.organisation_name) for found in listed] == [
        (one, "Marlow Print Works")
    ]
    assert {found.organisation_id for found in xero.identity.connections(granted.access_token)} == {
        one,
        other,
    }


def test_a_connection_can_be_ended_twice(xero: Xero) -> None:
    granted = xero.granted()
    (listed,) = xero.identity.connections(granted.access_token)
    xero.identity.delete_connection(granted.access_token, listed.id)
    xero.identity.delete_connection(granted.access_token, listed.id)
    assert xero.identity.connections(granted.access_token) == []


def test_revoked_tokens_are_refused_and_revoking_again_is_no_error(xero: Xero) -> None:
    granted = xero.granted()
    xero.identity.revoke("APP", xero.secret, granted.refresh_token)
    xero.identity.revoke("APP", xero.secret, granted.refresh_token)
    with pytest.raises(InvalidGrant):
        xero.identity.refresh("APP", xero.secret, granted.refresh_token)
    with pytest.raises(AccessRefused):
        xero.identity.connections(granted.access_token)


def test_an_expired_access_token_is_told_from_a_revoked_one(xero: Xero) -> None:
    granted = xero.granted()
    xero.clock.advance(1801)
    with pytest.raises(TokenExpired):
        xero.identity.connections(granted.access_token)


@pytest.mark.parametrize("status", ["400", "401"])
@pytest.mark.parametrize("description", ["none", "present"])
def test_a_wrong_secret_is_a_matter_of_the_app_whatever_the_status(
    xero: Xero, status: str, description: str
) -> None:
    xero.world.unconfirmed.choose("invalid_client_status", status)
    xero.world.unconfirmed.choose("error_description", description)
    granted = xero.granted()
    for client_id, secret in (("APP", "wrong"), ("OTHER", xero.secret), ("APP", "pässwörd: 100%"), ("", "")):
        with pytest.raises(InvalidClient):
            xero.identity.refresh(client_id, secret, granted.refresh_token)
        with pytest.raises(InvalidClient):
            xero.identity.revoke(client_id, secret, granted.refresh_token)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("reply_lost", IdentityUnknown),
        ("request_lost", IdentityUnknown),
        ("slow_answer", IdentityUnknown),
        ("slow_commit", IdentityUnknown),
        ("error_before_commit", IdentityUnknown),
        ("error_after_commit", IdentityUnknown),
        ("html_body", IdentityUnknown),
        ("cut_body", IdentityUnknown),
        ("empty_body", IdentityUnknown),
        ("malformed_json", IdentityUnknown),
        ("maintenance", IdentityUnknown),
        ("authentication_unsuccessful", IdentityUnknown),
        ("rate_limit_minute", IdentityThrottled),
    ],
)
def test_what_is_no_decision_of_xeros_ends_no_connection(
    xero: Xero, fault: str, error: type[IdentityError]
) -> None:
    granted = xero.granted()
    xero.world.faults.add({"kind": fault, "path_prefix": "/connect/token", "seconds": 60})
    with pytest.raises(error) as raised:
        xero.identity.refresh("APP", xero.secret, granted.refresh_token)
    assert type(raised.value) is error
    xero.clock.advance(120)
    assert xero.identity.refresh("APP", xero.secret, granted.refresh_token), "within Xero's half hour"


ODD_ANSWERS: list[tuple[int, str, type[IdentityError]]] = [
    (400, '{"error": "invalid_grant"}', InvalidGrant),
    (401, '{"error": "invalid_grant"}', InvalidGrant),
    (500, '{"error": "invalid_grant"}', IdentityUnknown),
    (200, '{"error": "invalid_grant"}', IdentityUnknown),
    (400, '{"error": "unauthorized_client"}', InvalidClient),
    (400, '{"error": "unsupported_grant_type"}', IdentityRefused),
    (400, f'{{"error": "{CANARY}!"}}', IdentityUnknown),
    (400, '{"error": {"code": "invalid_grant"}}', IdentityUnknown),
    (400, "[]", IdentityUnknown),
    (403, "<html>blocked by a firewall</html>", IdentityUnknown),
    (302, "", IdentityUnknown),
    (200, "[" * 100_000, IdentityUnknown),
    (200, '{"access_token": 5, "refresh_token": "r"}', IdentityUnknown),
    (200, '{"access_token": "", "refresh_token": "r"}', IdentityUnknown),
]


@pytest.mark.parametrize(("status", "body", "error"), ODD_ANSWERS)
@responses.activate
def test_odd_answers(status: int, body: str, error: type[IdentityError]) -> None:
    headers = {"Location": "https://elsewhere.example.com/"}
    responses.post("https://identity.xero.com/connect/token", body, status=status, headers=headers)
    with pytest.raises(error) as raised:
        Identity("https://identity.xero.com", "https://api.xero.com", 5).refresh("APP", "secret", "refresh")
    assert type(raised.value) is error
    assert len(responses.calls) == 1, "a redirect is not followed: it would carry the secret elsewhere"


@responses.activate
def test_a_server_that_does_not_rotate_leaves_the_refresh_token_good() -> None:
    responses.post(
        "https://identity.xero.com/connect/token", json={"access_token": "a", "expires_in": "soon"}
    )
    granted = Identity("https://identity.xero.com", "https://api.xero.com", 5).refresh(
        "APP", "secret", "kept"
    )
    assert granted.refresh_token == "kept"
    assert granted.lives.total_seconds() == 1800


@responses.activate
def test_no_cookie_goes_from_one_company_to_the_next() -> None:
    responses.post(
        "https://identity.xero.com/connect/token",
        json={"access_token": "a", "refresh_token": "r"},
        headers={"Set-Cookie": "session=one; Path=/"},
    )
    identity = Identity("https://identity.xero.com", "https://api.xero.com", 5)
    for company in ("one", "two"):
        identity.refresh(company, "secret", "refresh")
    assert not len(identity.session.cookies)
    assert "Cookie" not in responses.calls[1].request.headers


@responses.activate
def test_secrets_travel_in_headers_and_bodies_never_in_an_address() -> None:
    responses.post(
        "https://identity.xero.com/connect/token", json={"access_token": "a", "refresh_token": "r"}
    )
    responses.get("https://api.xero.com/connections", json=[])
    identity = Identity("https://identity.xero.com", "https://api.xero.com", 5)
    identity.refresh("APP", CANARY, CANARY)
    identity.connections(CANARY)
    assert not [call.request.url for call in responses.calls if CANARY in (call.request.url or "")]


@pytest.mark.parametrize(
    "call",
    [
        lambda identity: identity.refresh("APP", CANARY, f"{CANARY}-refresh"),
        lambda identity: identity.exchange_code("APP", CANARY, CANARY, REDIRECT, CANARY),
        lambda identity: identity.revoke("APP", CANARY, CANARY),
        lambda identity: identity.connections(f"{CANARY}\n"),
        lambda identity: identity.delete_connection(f"{CANARY}\u2019", "id"),
        lambda identity: claims(CANARY),
    ],
)
@pytest.mark.parametrize(
    "fault", [requests.exceptions.ConnectionError(CANARY), requests.exceptions.ReadTimeout(CANARY)]
)
@responses.activate
def test_an_error_and_all_it_came_from_is_free_of_secrets(
    call: Callable[[Identity], Any], fault: Exception
) -> None:
    for url in ("connect/token", "connect/revocation"):
        responses.post(f"https://identity.xero.com/{url}", body=fault)
    responses.get("https://api.xero.com/connections", body=fault)
    responses.delete("https://api.xero.com/connections/id", body=fault)
    identity = Identity("https://identity.xero.com", "https://api.xero.com", 5)
    with pytest.raises(IdentityError) as raised:
        call(identity)
    error: BaseException | None = raised.value
    while error is not None:
        assert CANARY not in "".join(traceback.format_exception_only(error)) + repr(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_tokens_are_not_in_their_own_words() -> None:
    assert CANARY not in repr(Granted(CANARY, CANARY, timedelta(hours=1), ()))


def test_an_answer_that_drips_is_given_up_on_in_time() -> None:
    with _dripping() as port:
        began = time.monotonic()
        with pytest.raises(IdentityUnknown):
            Identity(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}", 0.5).refresh(
                "APP", "secret", "refresh"
            )
        assert time.monotonic() - began < 2


@contextmanager
def _dripping() -> Iterator[int]:
    """A server that answers a byte at a time and never comes to an end."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
                )
                while not stop.wait(0.1):
                    try:
                        peer.sendall(b" ")
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        stop.set()
        thread.join()

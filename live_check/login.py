"""A person who logs in at Xero, in a browser or in the simulated Xero, and what the tokens are good for."""

from __future__ import annotations

import secrets
import time
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import jwt
import requests

from live_check.books import Access, Answer, Books, FailedError, StoppedError, needed
from local.xero.clock import Clock

REDIRECT: Final = "http://localhost:8765/callback"
LOGIN_SCOPES: Final = ("openid", "offline_access", "accounting.invoices", "accounting.settings.read")

Consent = Callable[[str], Mapping[str, str] | None]
"""Takes a person to an address; the query that came back to the redirect address, None where nothing did."""


@dataclass(frozen=True)
class _Tokens:
    access: str = field(repr=False)
    refresh: str = field(repr=False)
    scopes: frozenset[str]

    @property
    def consent(self) -> str:
        """What connections that were made in the same consent bear as `authEventId`."""
        claims = jwt.decode(self.access, options={"verify_signature": False})
        return str(claims["authentication_event_id"])


class Login(Books):
    """The books of the organisation that a person chose for a web app."""

    def __init__(
        self,
        access: Access,
        login_url: str,
        consent: Consent,
        run: str,
        session: requests.Session,
        clock: Clock,
    ) -> None:
        super().__init__(access, run, session, clock)
        self._login_url = login_url.rstrip("/")
        self._consent = consent
        self._chosen: _Tokens | None = None
        self._consents: set[str] = set()
        self._tenant_id = ""

    @property
    def refresh_token(self) -> str:
        return self._tokens_chosen.refresh

    @property
    def _tokens_chosen(self) -> _Tokens:
        """The first consent, for one organisation. Raises StoppedError."""
        if self._chosen is None:
            try:
                self._chosen = self.consented("%20")
            except FailedError as error:
                raise StoppedError(str(error)) from error
            if self._chosen is None:
                raise StoppedError("nobody came back from Xero's login")
            self._tenant_id = self._one_organisation(self._chosen)
        return self._chosen

    def consented(self, joint: str) -> _Tokens | None:
        """A person's consent to scopes that are joined so; None where nothing came back."""
        state = secrets.token_urlsafe(16)
        query = {"response_type": "code", "client_id": self.access.client_id, "redirect_uri": REDIRECT}
        scopes = joint.join(quote(scope, safe="") for scope in LOGIN_SCOPES)
        address = (
            f"{self._login_url}/identity/connect/authorize?{urlencode(query)}&state={state}&scope={scopes}"
        )
        came_back = self._consent(address)
        if came_back is None or came_back.get("state") != state or "code" not in came_back:
            return None
        form = {"grant_type": "authorization_code", "code": came_back["code"], "redirect_uri": REDIRECT}
        granted = needed(self.token_answer(form), "the exchange of the code").body
        tokens = _Tokens(
            granted["access_token"], granted["refresh_token"], frozenset(granted["scope"].split())
        )
        self._consents.add(tokens.consent)
        return tokens

    def refresh(self, token: str) -> Answer:
        return self.token_answer({"grant_type": "refresh_token", "refresh_token": token})

    def entry(self, scopes: str) -> dict[str, str]:
        token = self._tokens_chosen.access
        return {"Authorization": f"Bearer {token}", "Xero-Tenant-Id": self._tenant_id}

    def _one_organisation(self, tokens: _Tokens) -> str:
        found = self._connections(tokens, authEventId=tokens.consent)
        if len(found) != 1:
            raise StoppedError("choose one organisation at Xero's login, the Demo Company")
        return str(found[0]["tenantId"])

    def _connections(self, tokens: _Tokens, **query: str) -> list[dict[str, Any]]:
        url = f"{self.access.api_url.rstrip('/')}/connections"
        answer = needed(self.send("GET", url, headers=_bearer(tokens), params=query), "GET connections")
        return list(answer.body)

    def disconnect(self) -> str:
        """End what the consents connected, whatever organisations they are. What became of it, in words."""
        if self._chosen is None:
            return "Nobody logged in, so there is no connection to end."
        try:
            for one in self._connections(self._chosen):
                if one["authEventId"] in self._consents:
                    url = f"{self.access.api_url.rstrip('/')}/connections/{one['id']}"
                    needed(self.send("DELETE", url, headers=_bearer(self._chosen)), "DELETE connections")
        except (FailedError, StoppedError) as error:
            return f"The web app may still be connected; end it in Xero, under Connected apps: {error}"
        return "The web app's connection is ended."


def _bearer(tokens: _Tokens) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.access}"}


class Browser:
    """Takes the person at this machine to Xero's login, and waits for what comes back to the redirect address."""

    def __init__(self, say: Callable[[str], None], patience: float = 180.0) -> None:
        self._say = say
        self._patience = patience

    def __call__(self, address: str) -> Mapping[str, str] | None:
        came_back: list[Mapping[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == urlsplit(REDIRECT).path:
                    came_back.append(dict(parse_qsl(parts.query)))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"The live check goes on in its terminal. You can close this page.")

            def log_message(self, *_: object) -> None:
                """The address holds a code."""

        self._say(
            f"Log in at Xero, and allow the Demo Company alone. Xero's page opens; if not, open\n{address}"
        )
        self._say(f"If Xero shows an error, wait: after {self._patience:.0f} s it counts as an answer.")
        until = time.monotonic() + self._patience
        with self._listening(Handler) as server:
            webbrowser.open(address)
            while not came_back and (left := until - time.monotonic()) > 0:
                server.timeout = left
                server.handle_request()
        return came_back[0] if came_back else None

    @staticmethod
    def _listening(handler: type[BaseHTTPRequestHandler]) -> HTTPServer:
        port = urlsplit(REDIRECT).port or 80
        try:
            return HTTPServer(("127.0.0.1", port), handler)
        except OSError as error:
            raise StoppedError(f"port {port} of this machine is taken; end what uses it ({error})") from error

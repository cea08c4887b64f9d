"""Xero's identity server, and the list of what a person has connected. Every call is bounded in time.

Codes, tokens and secrets go out in headers and bodies only, never in an address, and are in no error: an error made
from another one leaves that one behind, for the library quotes headers it can't send.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

import jwt
import requests
from urllib3.exceptions import HTTPError

from bookkeeping.adapters.http import read_bounded, session
from bookkeeping.domain.errors import (
    AccessRefused,
    IdentityError,
    IdentityRefused,
    IdentityThrottled,
    IdentityUnknown,
    InvalidClient,
    InvalidGrant,
    TokenExpired,
    XeroError,
)

ANSWER_AT_MOST: Final = 1024 * 1024
CALLS_AT_ONCE: Final = 32
"""With 20 renewals a second, a renewal may take 1.6 s before the next ones wait for it."""
LIVES: Final = timedelta(minutes=30)
"""How long an access token lives where Xero does not say."""

_ERROR_CODE = re.compile(r"[a-z_]{1,40}")

Json = Any


@dataclass(frozen=True)
class Granted:
    """Tokens as Xero issued them."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    lives: timedelta
    """How long the access token is good for, counted from when it was asked for."""
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class XeroConnection:
    """An organisation that a person has connected to the app, in this consent or an earlier one."""

    id: str
    organisation_id: str
    organisation_name: str
    auth_event_id: str
    """The consent it was last connected by; equals the claim `authentication_event_id` of that consent's tokens."""


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Json = field(repr=False)
    """None where it is no JSON."""


class Identity:
    """Calls to the identity server. Safe to use from several threads; keeps nothing between calls."""

    def __init__(self, identity_url: str, api_url: str, call_time_out: float) -> None:
        self._connect = f"{identity_url.rstrip('/')}/connect"
        self._connections = f"{api_url.rstrip('/')}/connections"
        self._time_out = call_time_out
        self.session = session(CALLS_AT_ONCE)

    def exchange_code(
        self, client_id: str, secret: str, code: str, redirect_uri: str, verifier: str
    ) -> Granted:
        """The tokens for a code, which works once. After IdentityUnknown the person has to start anew."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        answer = self._post("token", client_id, secret, form | {"code_verifier": verifier})
        return _granted(answer, presented="")

    def refresh(self, client_id: str, secret: str, refresh_token: str) -> Granted:
        """New tokens for a refresh token."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return _granted(self._post("token", client_id, secret, form), presented=refresh_token)

    def revoke(self, client_id: str, secret: str, refresh_token: str) -> None:
        """End every connection this person gave the app. A token Xero does not know is no error."""
        answer = self._post("revocation", client_id, secret, {"token": refresh_token})
        if answer.status != 200:
            raise _error_for(answer)

    def connections(self, access_token: str, auth_event_id: str | None = None) -> list[XeroConnection]:
        """The organisations the person has connected; with an `auth_event_id`, those of that one consent."""
        params = {"authEventId": auth_event_id} if auth_event_id else {}
        answer = self._call("GET", self._connections, _bearer(access_token), params=params)
        if answer.status != 200 or not isinstance(answer.body, list):
            raise _refused_access(answer)
        return [
            XeroConnection(
                id=str(listed.get("id") or ""),
                organisation_id=str(listed.get("tenantId") or ""),
                organisation_name=str(listed.get("tenantName") or ""),
                auth_event_id=str(listed.get("authEventId") or ""),
            )
            for listed in answer.body
            if isinstance(listed, dict) and listed.get("tenantType") == "ORGANISATION"
        ]

    def delete_connection(self, access_token: str, connection_id: str) -> None:
        """Disconnect one organisation. One that is gone already is no error."""
        answer = self._call(
            "DELETE", f"{self._connections}/{quote(connection_id, safe='')}", _bearer(access_token)
        )
        if answer.status not in (204, 404):
            raise _refused_access(answer)

    def _post(self, path: str, client_id: str, secret: str, form: Mapping[str, str]) -> _Answer:
        # RFC 6749, 2.3.1: both are form-encoded before they are joined, so a colon or an accent does no harm
        pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
        basic = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return self._call("POST", f"{self._connect}/{path}", basic, form=form)

    def _call(
        self,
        method: str,
        url: str,
        authorization: Mapping[str, str],
        *,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> _Answer:
        # requests' own time-out starts anew with every byte that comes: a slow drip would outlast the lease
        deadline = time.monotonic() + self._time_out
        failure = "no answer in time"
        try:
            with self.session.request(
                method,
                url,
                params=params,
                data=form,
                headers={"Accept": "application/json", **authorization},
                timeout=(min(5.0, self._time_out), self._time_out),
                allow_redirects=False,
                stream=True,
            ) as response:
                text = read_bounded(response, deadline, ANSWER_AT_MOST)
                if text is not None:
                    return _Answer(response.status_code, response.headers, _json(text))
                failure = "the answer is too slow or too long"
        except requests.exceptions.Timeout:
            pass
        except (requests.exceptions.RequestException, HTTPError) as error:
            failure = type(error).__name__
        raise IdentityUnknown(failure)


def claims(access_token: str) -> Mapping[str, Any]:
    """What an access token says of itself, unverified: it came straight from the token endpoint."""
    try:
        said: Mapping[str, Any] = jwt.decode(access_token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        said = {}
    if not said:
        raise IdentityRefused("the access token can't be read")
    return said


def _bearer(access_token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {access_token}"}


def _json(text: bytes) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _granted(answer: _Answer, presented: str) -> Granted:
    body = answer.body if isinstance(answer.body, dict) else {}
    access_token, lives = body.get("access_token"), body.get("expires_in")
    # a server that does not rotate leaves the refresh token out: the one presented stays good
    refresh_token = body.get("refresh_token") or presented
    if answer.status != 200 or not isinstance(access_token, str) or not access_token:
        raise _error_for(answer)
    if not isinstance(refresh_token, str) or not refresh_token:
        raise IdentityRefused("no refresh token came with the access token")
    return Granted(
        access_token,
        refresh_token,
        timedelta(seconds=lives) if isinstance(lives, int) and 0 < lives <= 86400 else LIVES,
        tuple(str(body.get("scope") or "").split()),
    )


def _error_for(answer: _Answer) -> IdentityError:
    """What an answer without tokens means. Only the words of OAuth itself are believed to be Xero's decision."""
    if answer.status == 429:
        return IdentityThrottled(_seconds(answer.headers.get("Retry-After", "")))
    code = answer.body.get("error") if isinstance(answer.body, dict) else None
    if not (400 <= answer.status < 500 and isinstance(code, str) and _ERROR_CODE.fullmatch(code)):
        return IdentityUnknown(f"Xero's identity server answered {answer.status}")
    if code == "invalid_grant":
        return InvalidGrant(code)
    return InvalidClient(code) if code in ("invalid_client", "unauthorized_client") else IdentityRefused(code)


def _refused_access(answer: _Answer) -> IdentityError | XeroError:
    """What an answer of the list of connections means."""
    if answer.status == 429:
        return IdentityThrottled(_seconds(answer.headers.get("Retry-After", "")))
    if answer.status in (401, 403):
        said = answer.body if isinstance(answer.body, dict) else {}
        detail = next((str(value) for key, value in said.items() if key.lower() == "detail"), "")
        if detail.lower().startswith("tokenexpired"):
            return TokenExpired("the access token has expired")
        return AccessRefused("token", f"the list of connections answered {answer.status}")
    return IdentityUnknown(f"the list of connections answered {answer.status}")


def _seconds(text: str) -> float | None:
    return float(text) if text.strip().isdecimal() and len(text) < 10 else None

"""OAuth: the address of Xero's login page, and the parameters that Xero sends back."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal
from urllib.parse import parse_qsl, quote, urlencode

SCOPES: Final = (
    "openid",
    "profile",
    "email",
    "offline_access",
    "accounting.invoices",
    "accounting.contacts.read",
    "accounting.settings.read",
)
NEEDED: Final = frozenset(SCOPES) - {"openid", "profile", "email"}
STATE_LIVES: Final = timedelta(minutes=10)
CODE_LIVES: Final = timedelta(minutes=5)
ISSUER: Final = "https://identity.xero.com"
LONGEST_QUERY: Final = 8192
LONGEST_VALUE: Final = 4096

ConnectResult = Literal[
    "connected",
    "choose_organisation",
    "confirm_organisation",
    "access_denied",
    "code_expired",
    "code_used",
    "wrong_app_credentials",
    "wrong_redirect_url",
    "no_organisation",
    "scopes_missing",
    "state_invalid",
    "state_expired",
    "state_used",
    "other_person",
    "session_lost",
    "taken_out",
    "xero_unavailable",
    "xero_refused",
]


def missing_scopes(granted: Sequence[str]) -> tuple[str, ...]:
    return tuple(scope for scope in SCOPES if scope in NEEDED and scope not in granted)


_SCOPE_WORDS: Final = {
    "offline_access": "access while nobody is logged in",
    "accounting.invoices": "invoices and purchase orders",
    "accounting.contacts.read": "contacts",
    "accounting.settings.read": "accounts, tax rates and other settings",
}


def scopes_in_words(scopes: Sequence[str]) -> str:
    return ", ".join(_SCOPE_WORDS.get(scope, scope) for scope in scopes)


def verifier(session_id: str, state: str) -> str:
    """The PKCE verifier of an attempt. It is derived from the browser's session id and state, so it is not stored."""
    digest = hmac.new(session_id.encode(), b"code_verifier " + state.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def authorization_url(
    login_url: str, client_id: str, redirect_uri: str, state: str, code_verifier: str
) -> str:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).decode().rstrip("=")
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(SCOPES),
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    # %20 between the scopes, because a plus may be refused
    return f"{login_url.rstrip('/')}/identity/connect/authorize?{urlencode(asked, quote_via=quote, safe='')}"


@dataclass(frozen=True)
class Return:
    """The parameters that Xero sent back with the browser. A missing one is an empty text."""

    state: str = ""
    code: str = ""
    error: str = ""
    issuer: str = ""


def returned(raw_query: str) -> Return | None:
    """The parameters of the callback's query; None if they are too long or one is repeated."""
    if len(raw_query) > LONGEST_QUERY:
        return None
    names = {"state": "state", "code": "code", "error": "error", "iss": "issuer"}
    found: dict[str, str] = {}
    try:
        pairs = parse_qsl(
            raw_query, keep_blank_values=True, strict_parsing=False, max_num_fields=50, errors="strict"
        )
    except ValueError:
        return None
    for name, value in pairs:
        if name in names:
            if names[name] in found or len(value) > LONGEST_VALUE:
                return None
            found[names[name]] = value
    return Return(**found)


def answer(back: Return) -> tuple[str, ConnectResult | None]:
    """The code to exchange, or the result of an attempt without one."""
    if back.issuer not in ("", ISSUER) or (back.error and back.code):
        return "", "state_invalid"
    if back.error:
        return "", "access_denied" if back.error == "access_denied" else "xero_refused"
    return (back.code, None) if back.code else ("", "xero_refused")

"""Xero's identity server: authorize requests, codes, token sets that rotate, revocation."""

from __future__ import annotations

import base64
import binascii
import hashlib
import random
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import unquote_plus, urlencode

import jwt

from local.xero.connections import Connections
from local.xero.portal import (
    CUSTOM_CONNECTION,
    GRANULAR_SCOPES,
    IDENTITY_SCOPES,
    KNOWN_SCOPES,
    MARK,
    SHARED_SCOPES,
    App,
    Portal,
)
from local.xero.replies import Reply
from local.xero.unconfirmed import Unconfirmed
from local.xero.users import User
from local.xero.wire import Json

ISSUER = "https://identity.xero.com"
CODE_LIVES = timedelta(minutes=5)
ID_TOKEN_LIVES = timedelta(minutes=5)
ACCESS_TOKEN_LIVES = timedelta(minutes=30)
REFRESH_TOKEN_LIVES = timedelta(days=60)
GRACE = timedelta(minutes=30)
UNCERTIFIED_APPS_OF_AN_ORGANISATION = 2

# lenient_grace: any refreshed token works for another 30 minutes.
# newest_and_parent: only the token issued last and the one it came from (that one for 30 minutes).
# family_revoked: the same, and a token older than the newest's parent ends the whole token set.
ProviderModel = Literal["lenient_grace", "newest_and_parent", "family_revoked"]
PROVIDER_MODELS: tuple[ProviderModel, ...] = ("lenient_grace", "newest_and_parent", "family_revoked")

_CHALLENGE = re.compile(r"^[A-Za-z0-9_-]{43}$")
_VERIFIER = re.compile(r"^[A-Za-z0-9._~-]{43,128}$")


class AuthorizeError(Exception):
    """An authorize request that ends on Xero's own page: `unauthorized_client : Invalid redirect_uri`."""

    def __init__(self, error: str, explanation: str) -> None:
        super().__init__(f"{error} : {explanation}" if explanation else error)


class ConsentRefusedError(Exception):
    """A consent Xero doesn't accept, in words for the person."""


@dataclass(frozen=True)
class AuthorizeRequest:
    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str | None
    code_challenge: str | None

    def answer_url(self, answer: Mapping[str, str]) -> str:
        """The app's redirect address with the answer and the state it sent."""
        parameters = dict(answer) | ({"state": self.state} if self.state is not None else {})
        joint = "&" if "?" in self.redirect_uri else "?"
        return f"{self.redirect_uri}{joint}{urlencode(parameters)}"


@dataclass
class RefreshToken:
    number: int
    parent: str | None
    issued_at: datetime
    used_at: datetime | None = None


@dataclass
class TokenSet:
    """The tokens that came from one consent: a family of refresh tokens and the access tokens beside them."""

    auth_event_id: str
    client_id: str
    user_id: str
    scopes: tuple[str, ...]
    consented_at: datetime
    refresh_tokens: dict[str, RefreshToken] = field(default_factory=dict, repr=False)
    newest: str | None = field(default=None, repr=False)
    refresh_revoked: bool = False
    access_revoked: bool = False


@dataclass
class _Code:
    request: AuthorizeRequest
    token_set: TokenSet
    issued_at: datetime
    used: bool = False


@dataclass
class Bearer:
    """What a presented access token says, after its signature was checked."""

    client_id: str
    user_id: str
    auth_event_id: str
    scopes: frozenset[str]
    expires_at: datetime
    revoked: bool


@dataclass
class TokenCall:
    """A token endpoint's answer, and what the truth log may know of the call (never a secret)."""

    reply: Reply
    client_id: str | None
    grant_type: str | None
    outcome: str


class Identity:
    """All state of the identity server. Not thread-safe: call it under the world's lock."""

    def __init__(
        self,
        now: Callable[[], datetime],
        dice: random.Random,
        *,
        portal: Portal,
        connections: Connections,
        users: dict[str, User],
        unconfirmed: Unconfirmed,
    ) -> None:
        self._now = now
        self._dice = dice
        self._portal = portal
        self._connections = connections
        self._users = users
        self._unconfirmed = unconfirmed
        self._signing_key = dice.randbytes(32)
        self._codes: dict[str, _Code] = {}
        self._token_sets: dict[str, TokenSet] = {}
        self._set_of_refresh_token: dict[str, TokenSet] = {}
        self.provider_model: ProviderModel = "lenient_grace"
        self.access_token_lives = ACCESS_TOKEN_LIVES

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._dice.getrandbits(128), version=4))

    def _random_text(self, size: int) -> str:
        return base64.urlsafe_b64encode(self._dice.randbytes(size)).decode().rstrip("=")

    def _secret(self) -> str:
        return MARK + self._random_text(32)[len(MARK) :]

    # Authorize and consent

    def authorize_request(self, raw_query: str) -> AuthorizeRequest:
        """The request in an authorize URL's query. Raises AuthorizeError for what ends on Xero's own page."""
        given = _query(raw_query, plus_is_space=self._unconfirmed["plus_in_scope"] == "accepted")
        app = self._portal.apps.get(given.get("client_id", ""))
        if app is None:
            raise AuthorizeError("unauthorized_client", "Unknown client or client not enabled")
        redirect_uri = given.get("redirect_uri", "")
        if redirect_uri not in app.redirect_uris:
            raise AuthorizeError("unauthorized_client", "Invalid redirect_uri")
        if given.get("response_type") != "code":
            raise AuthorizeError("unsupported_response_type", "")
        scopes = tuple(dict.fromkeys(given.get("scope", "").split()))
        if not scopes:
            raise AuthorizeError("invalid_scope", "")
        if unknown := [scope for scope in scopes if scope not in KNOWN_SCOPES]:
            raise AuthorizeError("invalid_scope", " ".join(unknown))
        if not all(map(app.allows, scopes)):
            raise AuthorizeError("unauthorized_client", "Invalid scope for client")
        challenge = given.get("code_challenge")
        if challenge is not None:
            if given.get("code_challenge_method") != "S256":
                raise AuthorizeError("invalid_request", "Transform algorithm not supported")
            if not _CHALLENGE.match(challenge):
                raise AuthorizeError("invalid_request", "Invalid code_challenge")
        return AuthorizeRequest(app.client_id, redirect_uri, scopes, given.get("state"), challenge)

    def allow(self, request: AuthorizeRequest, user: User, tenant_ids: list[str]) -> str:
        """Connect the organisations; the address the browser goes on to, with a code."""
        wants_books = not set(request.scopes) <= IDENTITY_SCOPES
        if wants_books and not tenant_ids:
            raise ConsentRefusedError("Select an organisation.")
        if not set(tenant_ids) <= set(user.tenant_ids):
            raise ConsentRefusedError("You don't have access to this organisation.")
        if not self._portal.apps[request.client_id].certified:
            for tenant_id in tenant_ids:
                self._check_uncertified_apps(request.client_id, tenant_id)
        now = self._now()
        token_set = TokenSet(
            auth_event_id=self._new_id(),
            client_id=request.client_id,
            user_id=user.id,
            scopes=self._added_scopes(request, user),
            consented_at=now,
        )
        self._token_sets[token_set.auth_event_id] = token_set
        for tenant_id in tenant_ids:
            self._connections.connect(
                new_id=self._new_id(),
                client_id=request.client_id,
                user_id=user.id,
                tenant_id=tenant_id,
                auth_event_id=token_set.auth_event_id,
                now=now,
            )
        code = self._secret()
        self._codes[code] = _Code(request, token_set, now)
        session_state = f"{self._random_text(32)}.{self._random_text(16)}"
        return request.answer_url(
            {"code": code, "scope": " ".join(request.scopes), "session_state": session_state}
        )

    def _check_uncertified_apps(self, client_id: str, tenant_id: str) -> None:
        others = [
            other
            for other in self._connections.apps_of(tenant_id) - {client_id}
            if not self._portal.apps[other].certified and self._portal.apps[other].kind != CUSTOM_CONNECTION
        ]
        if len(others) >= UNCERTIFIED_APPS_OF_AN_ORGANISATION:
            raise ConsentRefusedError(self._unconfirmed["third_uncertified_app"])

    def _added_scopes(self, request: AuthorizeRequest, user: User) -> tuple[str, ...]:
        # Scopes of the books add up over consents; identity scopes and offline access are asked for anew.
        earlier = [
            scope
            for token_set in self._token_sets.values()
            if (token_set.client_id, token_set.user_id) == (request.client_id, user.id)
            and not token_set.access_revoked
            for scope in token_set.scopes
            if scope not in IDENTITY_SCOPES
        ]
        return tuple(dict.fromkeys([*request.scopes, *earlier]))

    # Token endpoint

    def token(self, form: Mapping[str, str], authorization: str | None) -> TokenCall:
        grant_type = form.get("grant_type")
        client_id, secret = _client_credentials(form, authorization)
        app = self._portal.apps.get(client_id or "")
        if app is None or secret is None or not app.knows_secret(secret):
            status = int(self._unconfirmed["invalid_client_status"])
            return TokenCall(
                self._error("invalid_client", "", status), client_id, grant_type, "invalid_client"
            )
        if grant_type == "authorization_code":
            granted = self._exchange_code(app, form)
        elif grant_type == "refresh_token":
            granted = self._refresh(app, form.get("refresh_token", ""))
        elif grant_type == "client_credentials":
            return self._mint(app, tuple(form.get("scope", "").split()))
        else:
            reply = self._error("unsupported_grant_type", "")
            return TokenCall(reply, app.client_id, grant_type, "unsupported_grant_type")
        if isinstance(granted, str):
            return TokenCall(self._error("invalid_grant", granted), app.client_id, grant_type, granted)
        return TokenCall(Reply(200, granted, json_only=True), app.client_id, grant_type, "granted")

    def authorise(self, app: App, user: User, tenant_id: str, scopes: tuple[str, ...]) -> None:
        """Have a person connect a custom connection to its one organisation. Raises ValueError where Xero does not."""
        if app.kind != CUSTOM_CONNECTION:
            raise ValueError(f"{app.name} is no custom connection")
        if tenant_id not in user.tenant_ids:
            raise ValueError(f"{user.email} has no access to this organisation")
        if unknown := set(scopes) - (GRANULAR_SCOPES | SHARED_SCOPES):
            raise ValueError(f"a custom connection has no scope {' '.join(sorted(unknown))}")
        app.scopes = scopes
        self._connections.drop(client_id=app.client_id)
        self._connections.connect(
            new_id=self._new_id(),
            client_id=app.client_id,
            user_id=user.id,
            tenant_id=tenant_id,
            auth_event_id=self._new_id(),
            now=self._now(),
        )

    def _mint(self, app: App, scopes: tuple[str, ...]) -> TokenCall:
        """An access token of a custom connection, without a refresh token: scopes are on the app and in the request."""
        grant_type = "client_credentials"
        connection = next((one for one in self._connections.all() if one.client_id == app.client_id), None)
        if app.kind != CUSTOM_CONNECTION or connection is None:
            reply = self._error("unauthorized_client", "")
            return TokenCall(reply, app.client_id, grant_type, "unauthorized_client")
        if not scopes or not set(scopes) <= set(app.scopes):
            reply = self._error("invalid_scope", "scopes must be on the app and in the request")
            return TokenCall(reply, app.client_id, grant_type, "invalid_scope")
        token_set = TokenSet(self._new_id(), app.client_id, connection.user_id, scopes, self._now())
        self._token_sets[token_set.auth_event_id] = token_set
        granted = self._issue(token_set, parent=None, with_id_token=False)
        return TokenCall(Reply(200, granted, json_only=True), app.client_id, grant_type, "granted")

    def presented_client(self, form: Mapping[str, str], authorization: str | None) -> str | None:
        """The client id a call to the token endpoint names, whatever its secret."""
        return _client_credentials(form, authorization)[0]

    def _error(self, error: str, description: str, status: int = 400) -> Reply:
        body: Json = {"error": error}
        if description and self._unconfirmed["error_description"] == "present":
            body["error_description"] = description
        return Reply(status, body, json_only=True)

    def _exchange_code(self, app: App, form: Mapping[str, str]) -> Json | str:
        code = self._codes.get(form.get("code", ""))
        now = self._now()
        if code is None or code.request.client_id != app.client_id:
            return "unknown code"
        if code.used:
            return "code already used"
        code.used = True
        if now - code.issued_at > CODE_LIVES:
            return "code expired"
        if form.get("redirect_uri") != code.request.redirect_uri:
            return "redirect_uri differs"
        if code.request.code_challenge is not None:
            verifier = form.get("code_verifier", "")
            if not _VERIFIER.match(verifier) or _challenge(verifier) != code.request.code_challenge:
                return "code_verifier doesn't fit"
        return self._issue(code.token_set, parent=None, with_id_token=True)

    def _refresh(self, app: App, presented: str) -> Json | str:
        token_set = self._set_of_refresh_token.get(presented)
        if token_set is None or token_set.client_id != app.client_id:
            return "unknown refresh token"
        if token_set.refresh_revoked:
            return "token set revoked"
        token = token_set.refresh_tokens[presented]
        now = self._now()
        if now - token.issued_at > REFRESH_TOKEN_LIVES:
            return "refresh token expired"
        assert token_set.newest is not None
        newest = token_set.refresh_tokens[token_set.newest]
        if self.provider_model != "lenient_grace" and presented not in (token_set.newest, newest.parent):
            parent = token_set.refresh_tokens[newest.parent] if newest.parent else newest
            if self.provider_model == "family_revoked" and token.number < parent.number:
                token_set.refresh_revoked = True
                return "token set revoked"
            return "refresh token superseded"
        if token.used_at is not None and now - token.used_at > GRACE:
            return "refresh token used"
        token.used_at = token.used_at or now
        return self._issue(token_set, parent=presented, with_id_token=False)

    def _issue(self, token_set: TokenSet, parent: str | None, *, with_id_token: bool) -> Json:
        now = self._now()
        user = self._users[token_set.user_id]
        times = {"nbf": int(now.timestamp()), "auth_time": int(token_set.consented_at.timestamp())}
        subject = {
            "sub": hashlib.md5(user.id.encode(), usedforsecurity=False).hexdigest(),
            "xero_userid": user.id,
            "global_session_id": token_set.auth_event_id.replace("-", ""),
        }
        access_claims = {
            "iss": ISSUER,
            "aud": f"{ISSUER}/resources",
            "client_id": token_set.client_id,
            **subject,
            **times,
            "exp": int((now + self.access_token_lives).timestamp()),
            "jti": f"{self._dice.getrandbits(128):032X}",
            "authentication_event_id": token_set.auth_event_id,
            "scope": list(token_set.scopes),
        }
        tokens: Json = {
            "access_token": jwt.encode(access_claims, self._signing_key, algorithm="HS256"),
            "expires_in": int(self.access_token_lives.total_seconds()),
            "token_type": "Bearer",
            "scope": " ".join(token_set.scopes),
        }
        if with_id_token and "openid" in token_set.scopes:
            tokens["id_token"] = jwt.encode(
                {"iss": ISSUER, "aud": token_set.client_id, **subject, **times}
                | {"exp": int((now + ID_TOKEN_LIVES).timestamp())}
                | _profile(user, token_set.scopes),
                self._signing_key,
                algorithm="HS256",
            )
        if "offline_access" in token_set.scopes:
            refresh_token = self._secret()
            number = len(token_set.refresh_tokens) + 1
            token_set.refresh_tokens[refresh_token] = RefreshToken(number, parent, now)
            token_set.newest = refresh_token
            self._set_of_refresh_token[refresh_token] = token_set
            tokens["refresh_token"] = refresh_token
        return tokens

    # Revocation

    def revoke(self, form: Mapping[str, str], authorization: str | None) -> TokenCall:
        """Ends every token set and connection this person gave the app; unknown tokens are answered alike."""
        client_id, secret = _client_credentials(form, authorization)
        app = self._portal.apps.get(client_id or "")
        if app is None or secret is None or not app.knows_secret(secret):
            status = int(self._unconfirmed["invalid_client_status"])
            return TokenCall(
                self._error("invalid_client", "", status), client_id, "revocation", "invalid_client"
            )
        token_set = self._set_of_refresh_token.get(form.get("token", ""))
        if token_set is None or token_set.client_id != app.client_id:
            return TokenCall(Reply(200), app.client_id, "revocation", "unknown token")
        self.revoke_all(app.client_id, token_set.user_id)
        return TokenCall(Reply(200), app.client_id, "revocation", "revoked")

    def revoke_all(self, client_id: str, user_id: str | None = None) -> int:
        """How many token sets ended; the connections end with them."""
        ended = [
            token_set
            for token_set in self._token_sets.values()
            if token_set.client_id == client_id
            and user_id in (None, token_set.user_id)
            and not token_set.access_revoked
        ]
        for token_set in ended:
            token_set.refresh_revoked = token_set.access_revoked = True
        self._connections.drop(client_id=client_id, user_id=user_id)
        return len(ended)

    # Access tokens

    def bearer(self, authorization: str | None) -> Bearer | None:
        """The access token in an Authorization header, expired or not; None when it is none of ours."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            claims = jwt.decode(
                token.strip(),
                self._signing_key,
                algorithms=["HS256"],
                audience=f"{ISSUER}/resources",
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return None
        token_set = self._token_sets.get(claims["authentication_event_id"])
        if token_set is None:
            return None
        return Bearer(
            client_id=claims["client_id"],
            user_id=claims["xero_userid"],
            auth_event_id=claims["authentication_event_id"],
            scopes=frozenset(claims["scope"]),
            expires_at=datetime.fromtimestamp(claims["exp"], self._now().tzinfo),
            revoked=token_set.access_revoked,
        )

    def discovery(self, base_url: str) -> Json:
        return {
            "issuer": ISSUER,
            "authorization_endpoint": f"{base_url}/identity/connect/authorize",
            "token_endpoint": f"{base_url}/connect/token",
            "revocation_endpoint": f"{base_url}/connect/revocation",
            "scopes_supported": sorted(KNOWN_SCOPES),
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
        }


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _profile(user: User, scopes: tuple[str, ...]) -> Json:
    profile: Json = {}
    if "email" in scopes:
        profile["email"] = user.email
    if "profile" in scopes:
        profile |= {
            "preferred_username": user.email,
            "name": user.name,
            "given_name": user.first_name,
            "family_name": user.last_name,
        }
    return profile


def _query(raw: str, *, plus_is_space: bool) -> dict[str, str]:
    decoded: dict[str, str] = {}
    for pair in raw.split("&"):
        key, equals, value = pair.partition("=")
        if equals:
            text = value if plus_is_space else value.replace("+", "%2B")
            decoded.setdefault(unquote_plus(key), unquote_plus(text))
    return decoded


def _client_credentials(form: Mapping[str, str], authorization: str | None) -> tuple[str | None, str | None]:
    """Client id and secret from HTTP Basic, else from the body."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, colon, secret = (
                base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
            )
        except (binascii.Error, UnicodeDecodeError):
            return None, None
        return (unquote_plus(client_id), unquote_plus(secret)) if colon else (None, None)
    return form.get("client_id"), form.get("client_secret")

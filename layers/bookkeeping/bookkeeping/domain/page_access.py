"""Who may use the settings page: the platform's launch token, its session, and the checks of every request.

The table keeps only hashes of what a browser holds (session id, state), so that a reader of the table cannot use them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import jwt

SESSION_LASTS: Final = timedelta(hours=1)
TOKEN_LASTS_AT_MOST: Final = timedelta(minutes=5)
CLOCKS_DIFFER: Final = timedelta(seconds=30)
LONGEST_TOKEN: Final = 4096
LONGEST_TEXT: Final = 200
LARGEST_BODY: Final = 512 * 1024
COOKIE: Final = "__Host-session"
COMPANY: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_READS: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Person:
    """A user of the platform, working for one company."""

    user: str
    name: str
    company: str


@dataclass(frozen=True)
class Launch:
    """The content of a valid launch token. `once` is the key under which its use is recorded."""

    person: Person
    once: str
    expires_at: datetime


@dataclass(frozen=True)
class Session:
    """`id_hash` is the session's key in the table."""

    person: Person
    id_hash: str
    expires_at: datetime


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused: an HTTP status, and a message for the person."""

    status: int
    code: str
    message: str


class Refused(Exception):
    """The request is refused. `why` is for the log, and contains no value from the request."""

    def __init__(self, refusal: Refusal, why: str = "") -> None:
        super().__init__(f"{refusal.code} {why}".strip())
        self.refusal = refusal


LAUNCH_REFUSED: Final = Refusal(
    401, "launch_refused", "This link does not work. Open the Xero settings from the platform once more."
)
LAUNCH_EXPIRED: Final = Refusal(
    401, "launch_expired", "This link is too old. Open the Xero settings from the platform once more."
)
LAUNCH_USED: Final = Refusal(
    401, "launch_used", "This link was used already. Open the Xero settings from the platform once more."
)
NO_SESSION: Final = Refusal(
    401, "no_session", "Your session is over. Open the Xero settings from the platform once more."
)
OTHER_COMPANY: Final = Refusal(
    403,
    "other_company",
    "In this browser, the Xero settings of another company were opened since. Open these once more from the platform.",
)
CROSS_SITE: Final = Refusal(403, "cross_site", "This request did not come from the settings page.")
NOT_JSON: Final = Refusal(415, "not_json", "Send JSON, and say so in Content-Type.")
NOT_READABLE: Final = Refusal(422, "invalid", "This is not JSON that can be read.")
TOO_LARGE: Final = Refusal(413, "too_large", "This is more than the settings page takes.")


@dataclass(frozen=True)
class Request:
    """The parts of a request that the checks read. Header names are in lower case."""

    method: str
    company: str
    headers: Mapping[str, str]
    origin: str
    """The settings page's own origin, as a browser writes it into the Origin header."""
    body_size: int


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def launch(token: str, key: str, *, issuer: str, audience: str, now: datetime) -> Launch:
    """The content of a launch token. Raises Refused; the message does not reveal what would be accepted."""
    if len(token) > LONGEST_TOKEN:
        raise Refused(LAUNCH_REFUSED, "too long")
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=["HS256"],
            audience=audience,
            issuer=issuer,
            # times are compared below, with `now`
            options={
                "require": ["exp", "iss", "aud", "sub", "jti"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise Refused(LAUNCH_REFUSED, type(error).__name__) from None
    try:
        expires_at = datetime.fromtimestamp(_number(claims["exp"]), now.tzinfo)
    except (TypeError, ValueError, OverflowError, OSError):
        raise Refused(LAUNCH_REFUSED, "exp") from None
    if expires_at <= now - CLOCKS_DIFFER:
        raise Refused(LAUNCH_EXPIRED)
    if expires_at > now + TOKEN_LASTS_AT_MOST + CLOCKS_DIFFER:
        raise Refused(LAUNCH_REFUSED, "it lasts too long")
    named: dict[str, Any] = {name: claims.get(name) for name in ("sub", "name", "company", "jti")}
    if type(named["company"]) is int:
        named["company"] = str(named["company"])
    if not all(isinstance(value, str) and 0 < len(value.strip()) <= LONGEST_TEXT for value in named.values()):
        raise Refused(LAUNCH_REFUSED, "a claim is missing")
    if not COMPANY.fullmatch(named["company"]):
        raise Refused(LAUNCH_REFUSED, "company")
    if _as_text(named["sub"]) != named["sub"] or _as_text(named["jti"]) != named["jti"]:
        raise Refused(LAUNCH_REFUSED, "a claim is no text")
    person = Person(user=named["sub"], name=_as_text(named["name"]).strip(), company=named["company"])
    return Launch(person, once=hashed(f"{issuer}\n{named['jti']}"), expires_at=expires_at)


def _as_text(value: str) -> str:
    """The text with a question mark for each half of a character, which can be stored nowhere."""
    return value.encode("utf-8", "replace").decode()


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("not a number")
    return float(value)


def session_id_in(cookies: Iterable[str]) -> str | None:
    """The session id in the cookies; None if there is none, or more than one."""
    found = [
        value.strip()
        for line in cookies
        for name, equals, value in (pair.partition("=") for pair in line.split(";"))
        if equals and name.strip() == COOKIE
    ]
    return found[0] if len(found) == 1 and _SESSION_ID.fullmatch(found[0]) else None


def admit(session: Session | None, request: Request, now: datetime) -> Session:
    """The session, if it allows this request. Raises Refused."""
    if session is None or session.expires_at <= now:
        raise Refused(NO_SESSION)
    if session.person.company != request.company:
        raise Refused(OTHER_COMPANY)
    check_shape(request)
    return session


def check_shape(request: Request) -> None:
    """Refuse requests that another site can make a browser send. Raises Refused."""
    site = request.headers.get("sec-fetch-site")
    if request.method in _READS:
        if site in ("cross-site", "same-site"):
            raise Refused(CROSS_SITE)
        return
    if request.headers.get("origin") != request.origin or site not in (None, "same-origin"):
        raise Refused(CROSS_SITE)
    if request.body_size > LARGEST_BODY:
        raise Refused(TOO_LARGE)
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    bare = request.method == "DELETE" and not request.body_size and not kind.strip()
    if not bare and (kind.strip().lower() != "application/json" or "," in parameters):
        raise Refused(NOT_JSON)

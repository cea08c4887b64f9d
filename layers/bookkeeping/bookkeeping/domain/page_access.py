"""Who may use the settings page: the platform's launch token, its session, and the checks of every request.

The table keeps only hashes of what a browser holds (session id, state), so that a reader of the table cannot use them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
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
    company_name: str = ""
    """As the platform calls the company, where it says so."""
    may_credit: bool = False
    """Whether they may have posted documents deleted, voided and credited, and orders posted again."""


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
    """The request is refused. `why` is for the log, and contains no value from the request but a site's name."""

    def __init__(self, refusal: Refusal, why: str = "") -> None:
        super().__init__(": ".join(filter(None, (refusal.code, why))))
        self.refusal = refusal


LAUNCH_REFUSED: Final = Refusal(
    401, "launch_refused", "This link does not work. Open the Xero settings from the platform once more."
)
LAUNCH_ORIGIN: Final = Refusal(
    403,
    "launch_origin",
    "This link did not come from the platform. Open the Xero settings from the platform itself.",
)
LAUNCH_EARLY: Final = Refusal(
    401,
    "launch_early",
    "This link is not valid yet. Open the Xero settings from the platform once more in a minute.",
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
NOT_ALLOWED: Final = Refusal(
    403,
    "not_allowed",
    "You may look at this, but not change documents in Xero that are posted. Whoever gives rights on the platform can"
    " allow you to.",
)
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


_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?", re.ASCII)


def check_launch_origin(origin: str, allowed: Collection[str]) -> None:
    """Refuse a launch that a browser sends from another page than the platform's. Raises Refused."""
    if origin in allowed and origin:
        return
    if not origin:
        why = "no Origin"
    elif origin == "null":
        # browsers say so where the sending page's referrer policy hides it, or the page has none
        why = "the Origin is null"
    else:
        why = f"foreign Origin {origin}" if _ORIGIN.fullmatch(origin) else "foreign Origin"
    raise Refused(LAUNCH_ORIGIN, why)


_WRONG: Final[Mapping[type[Exception], str]] = {
    jwt.InvalidAlgorithmError: "the algorithm is not HS256",
    jwt.InvalidIssuerError: "another iss",
    jwt.InvalidAudienceError: "another aud",
}
CREDIT: Final = "credit"
"""The permission that a launch token gives for what touches posted documents."""
_TEXTS: Final = ("sub", "name", "company", "jti")


def launch(token: str, keys: Sequence[str], *, issuer: str, audience: str, now: datetime) -> Launch:
    """The content of a launch token that one of the keys signed.

    Raises Refused; the message does not reveal what would be accepted.
    """
    claims = _claims(token, keys, issuer, audience)
    expires_at = _time(claims, "exp", now)
    if expires_at <= now - CLOCKS_DIFFER:
        raise Refused(LAUNCH_EXPIRED, "exp is over")
    if expires_at > now + TOKEN_LASTS_AT_MOST + CLOCKS_DIFFER:
        raise Refused(LAUNCH_REFUSED, "exp is more than five minutes ahead")
    for name in ("nbf", "iat"):
        if name in claims and _time(claims, name, now) > now + CLOCKS_DIFFER:
            raise Refused(LAUNCH_EARLY, f"{name} is ahead")
    company = claims["company"]
    if type(company) is int:
        company = str(company)
    if not isinstance(company, str) or not COMPANY.fullmatch(company):
        raise Refused(LAUNCH_REFUSED, "company is no reference number")
    name = _as_text(claims["name"]) if isinstance(claims["name"], str) else ""
    company_name = claims.get("company_name")
    person = Person(
        user=_claimed_text("sub", claims["sub"]),
        name=_claimed_text("name", name).strip(),
        company=company,
        # it is only shown, so nobody is kept out for it
        company_name=_as_text(company_name).strip()[:LONGEST_TEXT] if isinstance(company_name, str) else "",
        may_credit=CREDIT in _permissions(claims),
    )
    once = hashed(f"{issuer}\n{_claimed_text('jti', claims['jti'])}")
    return Launch(person, once=once, expires_at=expires_at)


def _permissions(claims: Mapping[str, Any]) -> Sequence[object]:
    given = claims.get("permissions", ())
    if isinstance(given, list | tuple):
        return given
    raise Refused(LAUNCH_REFUSED, "permissions is no list")


def _claims(token: str, keys: Sequence[str], issuer: str, audience: str) -> Mapping[str, Any]:
    if len(token) > LONGEST_TOKEN:
        raise Refused(LAUNCH_REFUSED, f"the token is longer than {LONGEST_TOKEN} characters")
    for key in keys[:-1]:
        with suppress(_OtherKey):
            return _signed_claims(token, key, issuer, audience)
    return _signed_claims(token, keys[-1], issuer, audience)


class _OtherKey(Refused):
    """Another key signed the token."""


def _signed_claims(token: str, key: str, issuer: str, audience: str) -> Mapping[str, Any]:
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key,
            algorithms=["HS256"],
            audience=audience,
            issuer=issuer,
            options={
                "require": ["exp", "iss", "aud", *_TEXTS],
                # compared in `launch`, times with its `now`
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except jwt.MissingRequiredClaimError as error:
        raise Refused(LAUNCH_REFUSED, f"no {error.claim}") from None
    except jwt.InvalidSignatureError:
        raise _OtherKey(LAUNCH_REFUSED, "wrong signature") from None
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise Refused(LAUNCH_REFUSED, _WRONG.get(type(error), "it is no JWT")) from None
    return claims


def _time(claims: Mapping[str, Any], name: str, now: datetime) -> datetime:
    value = claims[name]
    if type(value) in (int, float):
        # a number that is no time, such as NaN or one of a million digits, is refused below
        with suppress(ValueError, OverflowError, OSError):
            return datetime.fromtimestamp(value, now.tzinfo)
    raise Refused(LAUNCH_REFUSED, f"{name} is no time")


def _claimed_text(name: str, value: Any) -> str:
    if isinstance(value, str) and 0 < len(value.strip()) <= LONGEST_TEXT and _as_text(value) == value:
        return value
    raise Refused(LAUNCH_REFUSED, f"{name} is no text of 1 to {LONGEST_TEXT} characters")


def _as_text(value: str) -> str:
    """The text with a question mark for each half of a character, which can be stored nowhere."""
    return value.encode("utf-8", "replace").decode()


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

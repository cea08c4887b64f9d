"""The launch: who is let in by a token of the platform, from where, and when the session that it opens ends."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from moto import mock_aws

from bookkeeping.domain.page_access import hashed
from tests.integration.one_process import OneProcess, in_memory
from tests.integration.popup import LAUNCH_KEY, PLATFORM, Answer, Popup

COMPANY, OTHER = "412077", "413995"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def door() -> Iterator[Popup]:
    """A popup at whose door many knock in vain."""
    with mock_aws():
        yield Popup(OneProcess(tables=in_memory))


@contextmanager
def log_of(popup: Popup) -> Iterator[io.StringIO]:
    """What the settings page logs meanwhile."""
    written = io.StringIO()
    logger = popup.page.logger
    handler = logging.StreamHandler(written)
    handler.setFormatter(logger.registered_formatter)
    logger.addHandler(handler)
    try:
        yield written
    finally:
        logger.removeHandler(handler)


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def seconds(popup: Popup, **later: int) -> int:
    return int((popup.world.clock.now() + timedelta(**later)).timestamp())


def post(popup: Popup, token: str, **headers: str) -> Answer:
    """The form of the platform's page, with just these headers beside its type."""
    return popup.request(
        "POST", "/launch", body=urlencode({"token": token}), headers={"content-type": FORM, **headers}
    )


# --- the token ---------------------------------------------------------------------------------------------------


BAD_TOKENS: dict[str, tuple[Any, str]] = {
    "another key": (
        lambda popup: jwt.encode(claims_of(popup.token()), "k" * 64, "HS256"),
        "launch_refused: wrong signature",
    ),
    "no algorithm": (
        lambda popup: jwt.encode(claims_of(popup.token()), "", "none"),
        "launch_refused: the algorithm is not HS256",
    ),
    "another algorithm": (
        lambda popup: jwt.encode(claims_of(popup.token()), LAUNCH_KEY.ljust(64, "x")[:64], "HS512"),
        "launch_refused: the algorithm is not HS256",
    ),
    "another issuer": (lambda popup: popup.token(iss="somebody"), "launch_refused: another iss"),
    "no issuer": (lambda popup: popup.token(iss=None), "launch_refused: no iss"),
    "another audience": (lambda popup: popup.token(aud="another-stack"), "launch_refused: another aud"),
    "no audience": (lambda popup: popup.token(aud=None), "launch_refused: no aud"),
    "no expiry": (lambda popup: popup.token(exp=None), "launch_refused: no exp"),
    "expired": (
        lambda popup: popup.token(exp=seconds(popup, minutes=-1)),
        "launch_expired: exp is over",
    ),
    "lasts too long": (
        lambda popup: popup.token(exp=seconds(popup, hours=1)),
        "launch_refused: exp is more than five minutes ahead",
    ),
    "an expiry that is no number": (lambda popup: popup.token(exp="soon"), "launch_refused: exp is no time"),
    "an endless expiry": (lambda popup: popup.token(exp=1e300), "launch_refused: exp is no time"),
    "not before a later time": (
        lambda popup: popup.token(nbf=seconds(popup, seconds=90)),
        "launch_early: nbf is ahead",
    ),
    "not before something": (lambda popup: popup.token(nbf="soon"), "launch_refused: nbf is no time"),
    "issued later": (
        lambda popup: popup.token(iat=seconds(popup, seconds=90)),
        "launch_early: iat is ahead",
    ),
    "issued at a flag": (lambda popup: popup.token(iat=True), "launch_refused: iat is no time"),
    "permissions in one text": (
        lambda popup: popup.token(permissions="credit"),
        "launch_refused: permissions is no list",
    ),
    "issued without end": (lambda popup: popup.token(iat=1e300), "launch_refused: iat is no time"),
    "no jti": (lambda popup: popup.token(jti=None), "launch_refused: no jti"),
    "an empty jti": (
        lambda popup: popup.token(jti=""),
        "launch_refused: jti is no text of 1 to 200 characters",
    ),
    "no user": (lambda popup: popup.token(sub=None), "launch_refused: no sub"),
    "a user that is a number": (
        lambda popup: popup.token(sub=7),
        "launch_refused: sub is no text of 1 to 200 characters",
    ),
    "no name": (lambda popup: popup.token(name=None), "launch_refused: no name"),
    "an endless name": (
        lambda popup: popup.token(name="Ada" * 100),
        "launch_refused: name is no text of 1 to 200 characters",
    ),
    "no company": (lambda popup: popup.token(company=None), "launch_refused: no company"),
    "a company that is a path": (
        lambda popup: popup.token(company="412077/../413995"),
        "launch_refused: company is no reference number",
    ),
    "the company of orders nobody owns": (
        lambda popup: popup.token(company="unknown"),
        "launch_refused: company is no reference number",
    ),
    "a company that is a list": (
        lambda popup: popup.token(company=[COMPANY]),
        "launch_refused: company is no reference number",
    ),
    "a company that is a flag": (
        lambda popup: popup.token(company=True),
        "launch_refused: company is no reference number",
    ),
    "a company with a fraction": (
        lambda popup: popup.token(company=412077.5),
        "launch_refused: company is no reference number",
    ),
    "a company below zero": (
        lambda popup: popup.token(company=-412077),
        "launch_refused: company is no reference number",
    ),
    "a company that is too long a number": (
        lambda popup: popup.token(company=10**19),
        "launch_refused: company is no reference number",
    ),
    "half a character for a user": (
        lambda popup: popup.token(sub="user\ud83d"),
        "launch_refused: sub is no text of 1 to 200 characters",
    ),
    "half a character for a jti": (
        lambda popup: popup.token(jti="once\udc00"),
        "launch_refused: jti is no text of 1 to 200 characters",
    ),
    "text": (lambda popup: "not a token", "launch_refused: it is no JWT"),
    "empty": (lambda popup: "", "launch_refused: the form has not exactly one token"),
    "too long": (lambda popup: "a" * 5000, "launch_refused: the token is longer than 4096 characters"),
    "tampered": (lambda popup: popup.token()[:-3] + "abc", "launch_refused: wrong signature"),
}
"""A token, and the code and reason with which it is refused."""


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_bad_launch_token_gets_a_page_in_words_and_no_session_and_the_log_says_why(
    door: Popup, name: str
) -> None:
    make, why = BAD_TOKENS[name]
    token = make(door)
    with log_of(door) as log:
        answer = door.launch(token)
    assert answer.status == 401
    assert "set-cookie" not in answer.headers
    assert answer.headers["content-type"].startswith("text/html")
    assert "from the platform" in answer.body
    assert f'"why":"{why}"' in log.getvalue()
    assert not token or token not in log.getvalue()


def test_a_launch_token_that_was_used_is_refused_and_the_log_says_so(door: Popup) -> None:
    token = door.token()
    assert door.launch(token).status == 303
    with log_of(door) as log:
        assert door.launch(token).status == 401
    assert '"why":"launch_used: jti was used before"' in log.getvalue()


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_clocks_may_differ_by_half_a_minute(door: Popup, claim: str) -> None:
    claims: dict[str, Any] = {claim: seconds(door, seconds=20)}
    assert door.launch(door.token(**claims)).status == 303


@pytest.mark.parametrize("name", ["Ada \ud83d Moore", "\udc00", "Ada\ud83d\ud83d"])
def test_half_a_character_in_a_persons_name_keeps_nobody_out(door: Popup, name: str) -> None:
    answer = door.launch(door.token(name=name))
    assert answer.status == 303
    assert answer.headers["location"].endswith(f"/settings/{COMPANY}")


def test_a_company_that_is_a_number_is_taken_as_its_digits(door: Popup) -> None:
    answer = door.launch(door.token(company=int(COMPANY)))
    assert answer.status == 303
    assert answer.headers["location"].endswith(f"/settings/{COMPANY}")


ONE_TOKEN = "the form has not exactly one token"
FORMS = {
    "": ONE_TOKEN,
    "token=": ONE_TOKEN,
    "token=a&token=b": ONE_TOKEN,
    "other=1": ONE_TOKEN,
    "%ff%fe=1": ONE_TOKEN,
    "&" * 100: "the form can't be read",
    "token=" + "a" * 20000: "the form is too large",
}
"""A body, and why it is refused."""


@pytest.mark.parametrize("body", FORMS)
def test_a_launch_with_another_form_is_refused(door: Popup, body: str) -> None:
    headers = {"content-type": FORM, "origin": PLATFORM}
    with log_of(door) as log:
        assert door.request("POST", "/launch", body=body, headers=headers).status == 401
    assert f'"why":"launch_refused: {FORMS[body]}"' in log.getvalue()


# --- where it comes from -----------------------------------------------------------------------------------------

FOREIGN = {
    "none": ({}, "no Origin"),
    "null": ({"origin": "null"}, "the Origin is null"),
    "empty": ({"origin": ""}, "no Origin"),
    "another site": ({"origin": "https://evil.example.com"}, "foreign Origin https://evil.example.com"),
    "a longer name": (
        {"origin": f"{PLATFORM}.evil.example.com"},
        f"foreign Origin {PLATFORM}.evil.example.com",
    ),
    "http": ({"origin": PLATFORM.replace("https", "http")}, "foreign Origin http://platform.example.com"),
    "another port": ({"origin": f"{PLATFORM}:8443"}, f"foreign Origin {PLATFORM}:8443"),
    "two origins": ({"origin": f"{PLATFORM},https://evil.example.com"}, "foreign Origin"),
    "a secret": ({"origin": "canary-origin"}, "foreign Origin"),
    "the page's own": (
        {"origin": "https://abc123.execute-api.eu-west-2.amazonaws.com"},
        "foreign Origin https://abc123.execute-api.eu-west-2.amazonaws.com",
    ),
    "a referrer only": ({"referer": f"{PLATFORM}/companies"}, "no Origin"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_launch_from_another_page_than_the_platforms_is_refused_and_the_log_names_the_cause(
    door: Popup, name: str
) -> None:
    headers, why = FOREIGN[name]
    token = door.token()
    with log_of(door) as log:
        answer = post(door, token, **headers)
    assert answer.status == 403
    assert "set-cookie" not in answer.headers
    assert "from the platform" in answer.body
    assert f'"why":"launch_origin: {why}"' in log.getvalue()
    assert token not in log.getvalue()
    # it was not used up
    assert door.launch(token).status == 303


def test_each_of_the_platforms_origins_may_launch(door: Popup) -> None:
    for origin in (PLATFORM, "https://other.example.com"):
        assert post(door, door.token(), origin=origin).status == 303


# --- how long the session lasts ----------------------------------------------------------------------------------


def test_a_launch_ends_the_same_persons_former_session_in_this_company_and_no_other(door: Popup) -> None:
    former = door.browser()
    elsewhere, somebody = door.browser(OTHER), door.browser(user="user-2")
    now = door.browser()
    assert (former.get("settings").status, former.get("settings").error) == (401, "no_session")
    assert [one.get("settings").status for one in (now, elsewhere, somebody)] == [200, 200, 200]


def test_a_launch_that_is_refused_ends_no_session(door: Popup) -> None:
    token = door.token()
    browser = door.browser()
    assert door.launch(token).status == 303
    now = door.browser()
    assert door.launch(token).status == 401
    assert post(door, door.token(), origin="null").status == 403
    assert (browser.get("settings").status, now.get("settings").status) == (401, 200)


def test_logging_out_ends_this_session_and_no_other(door: Popup) -> None:
    elsewhere, leaving = door.browser(OTHER), door.browser()
    answer = leaving.delete("session")
    assert answer.status == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-session=;")
    assert {"Max-Age=0", "Path=/", "Secure", "HttpOnly"} <= {part.strip() for part in cookie.split(";")}
    assert leaving.get("settings").error == "no_session"
    assert elsewhere.get("settings").status == 200
    assert door.browser().get("settings").status == 200


@pytest.mark.parametrize(
    ("permissions", "may"), [(None, False), ([], False), (["read", 7], False), (["read", "credit"], True)]
)
def test_only_the_permission_credit_lets_a_person_credit(
    door: Popup, permissions: list[object] | None, may: bool
) -> None:
    browser = door.browser(permissions=permissions)
    session = door.page.authorizations.session(hashed(browser.cookie.partition("=")[2]))
    assert session.person.may_credit is may

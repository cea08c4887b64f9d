"""P13: the settings API belongs to the person whose popup it is: not to another site, not to another company."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.samples import Maker
from tests.canaries import kept_text
from tests.integration.one_process import OneProcess, in_memory
from tests.integration.popup import (
    DOMAIN,
    ORIGIN,
    Answer,
    Browser,
    Popup,
)

COMPANY, OTHER = "412077", "413995"
JSON = {"origin": ORIGIN, "sec-fetch-site": "same-origin", "content-type": "application/json"}
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "settings", None),
    ("PUT", "settings", {"version": 0, "settings": {}}),
    ("POST", "check-setup", {}),
    ("POST", "mail-addresses/confirmation", {"address": "a@example.com"}),
    ("PUT", "credentials", {"client_id": "A", "client_secret": "B"}),
    ("POST", "connect", {}),
    ("GET", "connection", None),
    ("DELETE", "connection", None),
    ("DELETE", "session", None),
    ("POST", "connection/organisation", {"organisation_id": "x"}),
    ("GET", "xero/accounts", None),
    ("GET", "xero/contacts", None),
    ("GET", "xero/tax-rates", None),
    ("GET", "xero/currencies", None),
    ("GET", "overview", None),
    ("GET", "orders", None),
    ("GET", "orders/61530418", None),
    ("POST", "orders/61530418/retry", {}),
    ("POST", "orders/61530418/correction", {"asked": "cancel", "version": 1}),
    ("POST", "orders/61530418/look", {}),
    ("POST", "orders/retry", {"problem": "setting_missing"}),
    ("POST", "orders/set-aside", {"ids": ["61530418"], "reason": "Booked by hand"}),
    ("POST", "orders/take-back", {"ids": ["61530418"]}),
    ("GET", "xero/read-again", None),
    ("POST", "xero/read-again", {}),
    ("POST", "preview", {"id": 1}),
    ("GET", "book-match", None),
    ("POST", "book-match", {}),
]


@pytest.fixture(scope="module")
def door() -> Iterator[Popup]:
    """A popup at whose door many knock in vain."""
    with mock_aws():
        yield Popup(OneProcess(tables=in_memory))


@pytest.fixture
def visitor(door: Popup) -> Browser:
    return door.browser()


def tables() -> str:
    """Everything the tables hold, as text."""
    resource = boto3.resource("dynamodb")
    return json.dumps([table.scan()["Items"] for table in resource.tables.all()], default=kept_text)


# --- every route -------------------------------------------------------------------------------------------------


def test_a_page_without_a_session_says_so_in_words(door: Popup) -> None:
    answer = door.request("GET", f"/settings/{COMPANY}")
    assert (answer.status, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "from the platform" in answer.body


def ask(popup: Popup, company: str, route: tuple[str, str, Any], cookies: list[str]) -> Answer:
    method, path, body = route
    text = None if body is None else json.dumps(body)
    headers = JSON if method != "GET" else {"sec-fetch-site": "same-origin"}
    return popup.request(method, f"/api/{company}/{path}", cookies=cookies, headers=headers, body=text)


def test_the_routes_tried_here_are_all_there_are(door: Popup) -> None:
    paths = door.request("GET", "/api/openapi.json").json["paths"]
    known = {
        (method.upper(), path.replace("{company}", COMPANY).replace("{order_id}", "61530418"))
        for path, methods in paths.items()
        for method in methods
    }
    assert known == {(method, f"/api/{COMPANY}/{path}") for method, path, _ in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
def test_every_route_needs_a_session_and_that_of_its_company(
    door: Popup, route: tuple[str, str, Any]
) -> None:
    other = door.browser(OTHER)
    before = tables()
    for cookies in ([], ["__Host-session=" + "A" * 43], ["session=" + other.cookie.partition("=")[2]], [""]):
        answer = ask(door, COMPANY, route, cookies)
        assert (answer.status, answer.error) == (401, "no_session")
    answer = ask(door, COMPANY, route, [other.cookie])
    assert (answer.status, answer.error) == (403, "other_company")
    assert tables() == before


CROSS_SITE: dict[str, dict[str, str]] = {
    "no origin": {"content-type": "application/json", "sec-fetch-site": "same-origin"},
    "another origin": JSON | {"origin": "https://evil.example.com"},
    "no origin at all said": JSON | {"origin": "null"},
    "an empty origin": JSON | {"origin": ""},
    "a subdomain": JSON | {"origin": f"https://evil.{DOMAIN}"},
    "a longer name": JSON | {"origin": f"{ORIGIN}.evil.example.com"},
    "http": JSON | {"origin": f"http://{DOMAIN}"},
    "another port": JSON | {"origin": f"{ORIGIN}:8443"},
    "two origins": JSON | {"origin": f"{ORIGIN} https://evil.example.com"},
    "cross-site": JSON | {"sec-fetch-site": "cross-site"},
    "same-site": JSON | {"sec-fetch-site": "same-site"},
    "an address typed in": JSON | {"sec-fetch-site": "none"},
    "a host that is not ours": {
        "content-type": "application/json",
        "origin": "https://evil.example.com",
        "host": "evil.example.com",
    },
}
NOT_JSON: dict[str, dict[str, str]] = {
    "a form": JSON | {"content-type": "application/x-www-form-urlencoded"},
    "a form with files": JSON | {"content-type": "multipart/form-data; boundary=x"},
    "plain text": JSON | {"content-type": "text/plain"},
    "plain text that mentions JSON": JSON | {"content-type": "text/plain; application/json"},
    "two types": JSON | {"content-type": "application/json, text/plain"},
    "no type": {"origin": ORIGIN, "sec-fetch-site": "same-origin"},
}


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route[0] != "GET"], ids=lambda r: f"{r[0]} {r[1]}"
)
def test_a_write_from_another_site_or_in_another_shape_is_refused(
    door: Popup, visitor: Browser, route: tuple[str, str, Any]
) -> None:
    method, path, body = route
    before = tables()
    shapes = [(headers, 403) for headers in CROSS_SITE.values()]
    shapes += [(headers, 415) for headers in NOT_JSON.values()]
    assert len(shapes) >= 12
    for headers, status in shapes:
        text = json.dumps(body or {})
        answer = door.request(
            method, f"/api/{COMPANY}/{path}", cookies=[visitor.cookie], headers=headers, body=text
        )
        assert (answer.status, path, headers) == (status, path, headers)
    assert tables() == before


def test_a_read_that_another_site_makes_a_browser_send_is_refused(door: Popup, visitor: Browser) -> None:
    for site in ("cross-site", "same-site"):
        answer = door.request(
            "GET", f"/api/{COMPANY}/settings", cookies=[visitor.cookie], headers={"sec-fetch-site": site}
        )
        assert answer.status == 403


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "settings", '{"version": 0, "settings": {"\\ud800": 1}}'),
        ("PUT", "settings", '{"version": 0, "settings": {"contact_name": "\\udfff"}}'),
        (
            "PUT",
            "settings",
            '{"version": 7, "settings": {"tax_types": [{"rate": "\\ud800", "tax_type": "x"}]}}',
        ),
        ("PUT", "settings", '{"version": 7, "settings": {"payment_terms_days": NaN}}'),
        ("PUT", "settings", '{"version": 7, "settings": {"payment_terms_days": 1e999}}'),
        ("PUT", "settings", '{"version": 0, "settings": {}, "\\ud800": 1}'),
        ("PUT", "credentials", '{"client_id": "A", "client_secret": "\\ud800"}'),
        ("POST", "connection/organisation", '{"organisation_id": "\\ud800"}'),
        ("POST", "orders/retry", '{"problem": "\\ud800"}'),
        ("POST", "preview", '{"id": 1, "ref": ["\\ud800"]}'),
    ],
)
def test_what_no_answer_could_repeat_is_refused(
    door: Popup, visitor: Browser, method: str, path: str, body: str
) -> None:
    """Halves of a character, and numbers that are none."""
    answer = door.request(method, f"/api/{COMPANY}/{path}", cookies=[visitor.cookie], headers=JSON, body=body)
    assert (answer.status, answer.error) == (422, "invalid")
    assert "not JSON" in answer.json["error"]["message"]


def test_an_oversized_body_is_refused(door: Popup, visitor: Browser) -> None:
    answer = visitor.put("settings", {"version": 0, "settings": {"contact_name": "x" * 600_000}})
    assert answer.status == 413


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", "1", '"text"', '{"version": 1e999}', "[" * 10000, '{"version": NaN}']
)
def test_a_body_that_is_no_object_gets_words(door: Popup, visitor: Browser, body: str) -> None:
    answer = door.request(
        "PUT", f"/api/{COMPANY}/settings", cookies=[visitor.cookie], headers=JSON, body=body
    )
    assert answer.status == 422
    assert answer.error == "invalid"


@pytest.mark.parametrize(
    "path",
    [
        f"/api/{COMPANY}/settings/../../{OTHER}/settings",
        f"/api/{COMPANY}%2f..%2f{OTHER}/settings",
        f"/api//{COMPANY}/settings",
        f"/API/{COMPANY}/settings",
        f"/api/{COMPANY}",
        "/api/",
        "/",
        "/settings/",
        f"/api/{COMPANY}/nothing",
        "/static/x/../app.py",
    ],
)
def test_a_crooked_path_leads_nowhere(door: Popup, visitor: Browser, path: str) -> None:
    answer = door.request("GET", path, cookies=[visitor.cookie])
    assert answer.status in (401, 403, 404)


def test_every_answer_carries_the_headers_that_keep_it_where_it_belongs(
    door: Popup, visitor: Browser
) -> None:
    answers = [
        door.request("GET", f"/settings/{COMPANY}", cookies=[visitor.cookie]),
        door.request("GET", f"/settings/{COMPANY}"),
        visitor.get("settings"),
        door.request("GET", f"/api/{COMPANY}/settings"),
        door.launch("nonsense"),
        door.request("GET", "/health"),
    ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert "access-control-allow-origin" not in answer.headers


def test_the_page_has_one_script_and_one_style_sheet_and_nothing_else_to_fetch(
    door: Popup, visitor: Browser
) -> None:
    page = door.request("GET", f"/settings/{COMPANY}", cookies=[visitor.cookie]).body
    names = [PurePath(address).name for address in fetched_by(page)]
    assert names == ["page.css", "page.js"]
    assert "<script>" not in page
    assert " onclick=" not in page
    assert " style=" not in page


def test_script_and_styles_are_served_without_a_session_and_kept_for_ever_by_their_content(
    door: Popup, visitor: Browser
) -> None:
    page = door.request("GET", f"/settings/{COMPANY}", cookies=[visitor.cookie]).body
    for address in fetched_by(page):
        answer = door.request("GET", address)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert hashlib.sha256(answer.body.encode()).hexdigest().startswith(PurePath(address).parent.name)
    assert door.request("GET", "/static/x/nothing.js").status == 404


def test_a_page_that_other_code_made_gets_the_script_and_styles_of_this_code_but_not_for_ever(
    door: Popup, visitor: Browser
) -> None:
    page = door.request("GET", f"/settings/{COMPANY}", cookies=[visitor.cookie]).body
    for address in fetched_by(page):
        other = door.request("GET", f"/static/0123456789ab/{PurePath(address).name}")
        assert other.status == 200
        assert other.headers["cache-control"] == "no-store"
        assert other.body == door.request("GET", address).body


def fetched_by(page: str) -> list[str]:
    """What a browser fetches to show a page."""
    found = re.findall(r'<(?:link|script|img)\b[^>]*?(?:href|src)="([^"]*)"', page)
    return [address for address in found if not address.startswith("data:")]


def test_the_sample_event_is_answered(door: Popup) -> None:
    assert door.send(json.loads(Path("events/settings_page.json").read_text())).status == 401


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 7, 10**9])
def test_a_version_that_never_was_is_refused(visitor: Browser, version: int) -> None:
    assert visitor.put("settings", {"version": version, "settings": {}}).status == 422


# --- the connection ----------------------------------------------------------------------------------------------


def test_connecting_needs_an_app(visitor: Browser) -> None:
    answer = visitor.post("connect")
    assert (answer.status, answer.error) == (409, "app_missing")


# --- orders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "////",
        "WzAsICJhfGIiXQ==",
        "WzksICIiXQ==",
        "bnVsbA==",
        "W10=",
        "WzAsICJ4Il0=",
        "\ud7ff",
        "a" * 900,
    ],
)
def test_a_made_up_cursor_begins_anew(visitor: Browser, cursor: str) -> None:
    assert visitor.get("orders", cursor=cursor).status == 200


def test_the_openapi_document_says_that_a_session_is_needed(door: Popup) -> None:
    schema = door.request("GET", "/api/openapi.json").json
    assert schema["components"]["securitySchemes"]["session"]["name"] == "__Host-session"
    assert schema["security"] == [{"session": []}]


def test_the_openapi_document_names_the_answers_that_are_errors_and_the_header_that_a_write_needs(
    door: Popup,
) -> None:
    paths = door.request("GET", "/api/openapi.json").json["paths"]
    retry, listed = (
        paths["/api/{company}/orders/{order_id}/retry"]["post"],
        paths["/api/{company}/orders"]["get"],
    )
    assert set(retry["responses"]) == {"200", "401", "403", "404", "409", "413", "415", "422", "500"}
    assert set(listed["responses"]) == {"200", "401", "403", "422", "500"}
    assert [one["name"] for one in retry["parameters"] if one["in"] == "header"] == ["Origin"]
    assert retry["responses"]["404"]["content"]["application/json"]["schema"]["$ref"].endswith("/Error")


# --- preview -----------------------------------------------------------------------------------------------------


def test_a_preview_needs_a_connection(visitor: Browser) -> None:
    assert visitor.post("preview", Maker().order(COMPANY, 1)).error == "not_connected"

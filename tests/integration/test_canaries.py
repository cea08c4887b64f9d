"""P11: what is secret leaves no trace: in no log, answer, table, event or message, at DEBUG, in no encoding."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote

import boto3
import pytest
from moto import mock_aws

from bookkeeping.connecting import verifier
from bookkeeping.identity import Granted
from bookkeeping.secrets import App, Tokens
from bookkeeping.xero import Access
from local.samples import Maker
from tests.integration.one_process import PREFIX, OneProcess
from tests.integration.popup import LAUNCH_KEY, Browser, Popup
from tests.integration.test_settings_page_at_work import FITTING

CLIENT_SECRET = "canary/client+secret=5f2a91c7e4d0b836"
CONSUMER: dict[str, Any] = {
    "customer_name": "Canary Consumer of 5f2a91",
    "customer_email": "canary@consumer.example",
    "customer_telephone": "07700900123456",
}


@pytest.fixture
def popup() -> Iterator[Popup]:
    with mock_aws():
        yield Popup(OneProcess())


class Captured:
    """Everything that was written or logged, by anything, while it was on."""

    def __init__(self) -> None:
        self._out = io.StringIO()
        self._handler = logging.StreamHandler(self._out)

    def __enter__(self) -> Captured:
        # as the runtime does at DEBUG: the root logger takes what every library has to say
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(logging.DEBUG)
        root.addHandler(self._handler)
        self._redirected = (redirect_stdout(self._out), redirect_stderr(self._out))
        for redirected in self._redirected:
            redirected.__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        for redirected in reversed(self._redirected):
            redirected.__exit__(*why)
        root = logging.getLogger()
        root.removeHandler(self._handler)
        root.setLevel(self._level)

    @property
    def text(self) -> str:
        return self._out.getvalue()


def forms(secret: str) -> set[str]:
    """A secret as it is, URL-encoded, in JSON, and in base64 at each of its three places."""
    raw = secret.encode()
    found = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], raw.hex()}
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw).decode()
        # the first and last characters depend on what stands beside it
        middle = text[4 if shift else 0 : -4]
        found |= {middle, middle.replace("+", "-").replace("/", "_")}
    return {form for form in found if len(form) >= 12}


def secrets_of(browser: Browser, query: str) -> dict[str, str]:
    world = browser.popup.world
    state = parse_qs(query)["state"][0]
    session_id = browser.cookie.partition("=")[2]
    tokens = json.loads(world.secrets.get_secret_value(SecretId=f"{PREFIX}/412077/tokens")["SecretString"])
    return {
        "client secret": CLIENT_SECRET,
        "launch key": LAUNCH_KEY,
        "session": session_id,
        "state": state,
        "code": parse_qs(query)["code"][0],
        "verifier": verifier(session_id, state),
        "access token": tokens["access_token"],
        "refresh token": tokens["refresh_token"],
    } | CONSUMER


def everything(popup: Popup) -> dict[str, str]:
    """All that is kept or sent, but for the secret store itself."""
    resource = boto3.resource("dynamodb")
    return {
        **{
            f"table {table.name}": json.dumps(table.scan()["Items"], default=str)
            for table in resource.tables.all()
        },
        "events": json.dumps(popup.world.bus.events, default=str),
        "queue": json.dumps([message for _, _, message in popup.world.queue.waiting]),
        "answers": json.dumps(popup.answers, default=str),
    }


def test_no_secret_and_no_consumer_leaves_a_trace(popup: Popup, monkeypatch: pytest.MonkeyPatch) -> None:
    world = popup.world
    seen: dict[str, str] = {}
    sent: list[str] = []
    real = world.queue.send_message

    def send_message(**message: Any) -> None:
        sent.append(message["MessageBody"])
        real(**message)

    monkeypatch.setattr(world.queue, "send_message", send_message)
    with Captured() as captured:
        token = popup.token()
        browser = Browser(popup, "412077", popup.launch(token).headers["set-cookie"].partition(";")[0])
        popup.launch(token)
        app = world.xero.portal.register(
            {
                "name": "Orders",
                "client_id": "CANARYAPP",
                "client_secret": CLIENT_SECRET,
                "redirect_uris": [browser.get("settings").json["app"]["redirect_uri"]],
                "certified": True,
            },
            world.clock.now(),
        )
        browser.put("credentials", {"client_id": app.client_id, "client_secret": CLIENT_SECRET})
        browser.put("credentials", {"client_id": "", "client_secret": CLIENT_SECRET})
        browser.put("settings", {"version": 0, "settings": {"client_secret": CLIENT_SECRET}})
        uk = world.organisation("Demo Company (UK)")
        query = browser.consent(browser.authorization_url(), uk)
        refused = popup.request("GET", f"/xero/callback/412077?{query}&error=x", cookies=[browser.cookie])
        assert refused.status == 303
        query = browser.consent(browser.authorization_url(), uk)
        assert browser.come_back(query) == "connected"
        assert browser.come_back(query) == "state_used"
        seen |= secrets_of(browser, query) | {"launch token": token}
        browser.save(**FITTING, contact_name=world.contact(uk))
        order = Maker().order("412077", 1, **CONSUMER)
        world.send(order)
        world.run()
        for path in (
            "settings",
            "connection",
            "orders",
            f"orders/{order['id']}",
            "xero/accounts",
            "xero/contacts",
        ):
            browser.get(path)
        browser.post("preview", order)
        # faults whose errors quote what they can
        monkeypatch.setattr(popup.callback.door.identity, "exchange_code", _fail)
        browser.come_back(browser.consent(browser.authorization_url(), uk))
        monkeypatch.undo()
        world.xero.faults.add({"kind": "html_body", "path_prefix": "/connect", "times": 3})
        browser.come_back(browser.consent(browser.authorization_url(), uk))
        world.xero.faults.remove()
        browser.delete("connection")
    # the cookie is for the browser, and the address it is sent to carries the state: nothing else does
    for answer in popup.answers:
        answer.pop("cookies", None)
    popup.answers = [answer for answer in popup.answers if "authorization_url" not in str(answer.get("body"))]
    places = everything(popup) | {"log": captured.text, "sent": json.dumps(sent)}
    assert len(seen) >= 12
    assert "launched" in captured.text
    for name, secret in seen.items():
        for form in forms(secret):
            for place, text in places.items():
                assert form not in text, f"{name} in {place}"


@pytest.mark.parametrize("encoded", ["{}", '{{"token": "{}"}}', "Basic {}"])
def test_the_net_catches_what_leaks(encoded: str) -> None:
    for leaked in (
        CLIENT_SECRET,
        quote(CLIENT_SECRET, safe=""),
        base64.b64encode(f"CANARYAPP:{CLIENT_SECRET}".encode()).decode(),
        base64.b64encode(f"x{CLIENT_SECRET}yz".encode()).decode(),
        base64.urlsafe_b64encode(f"{CLIENT_SECRET}{CLIENT_SECRET}".encode()).decode(),
    ):
        text = encoded.format(leaked)
        assert any(form in text for form in forms(CLIENT_SECRET))


def _fail(*given: Any) -> Any:
    raise RuntimeError("out of the blue")


def test_what_holds_a_secret_shows_none_of_it() -> None:
    holders = [
        App("id", CLIENT_SECRET),
        Tokens(CLIENT_SECRET, CLIENT_SECRET, datetime.now(UTC), 1),
        Granted(CLIENT_SECRET, CLIENT_SECRET, timedelta(), ()),
        Access("organisation", CLIENT_SECRET),
    ]
    for holder in holders:
        assert CLIENT_SECRET not in repr(holder)
        assert CLIENT_SECRET not in f"{holder}"

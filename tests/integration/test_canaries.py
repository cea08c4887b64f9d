"""P11: what is secret leaves no trace: in no log, answer, table, event or message, at DEBUG, in no encoding."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, quote

import boto3
import pytest
from moto import mock_aws

from bookkeeping.adapters.secrets import App, Tokens
from bookkeeping.adapters.tables.packing import packed
from bookkeeping.adapters.xero_api import Access
from bookkeeping.adapters.xero_identity import Granted
from bookkeeping.domain.oauth import verifier
from local.samples import Maker
from local.xero.portal import MARK
from tests.canaries import forms, kept_text, look_through, opened, watch
from tests.integration.one_function import cold_start, wanted_of_environment
from tests.integration.one_process import PREFIX, Bus, OneProcess, Queue
from tests.integration.popup import LAUNCH_KEY, Browser, Popup
from tests.integration.test_settings_page_at_work import FITTING
from tests.our_faults import Fault
from tests.storms.dynamodb import DynamoDB
from tests.storms.environment import table_properties

ROOT = Path(__file__).parents[2]
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


def secrets_of(browser: Browser, query: str) -> dict[str, str]:
    world = browser.popup.world
    state = parse_qs(query)["state"][0]
    session_id = browser.cookie.partition("=")[2]
    tokens = json.loads(
        world.secrets.get_secret_value(SecretId=f"{PREFIX}/412077/tokens", VersionStage="AWSCURRENT")[
            "SecretString"
        ]
    )
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
            f"table {table.name}": json.dumps(table.scan()["Items"], default=kept_text)
            for table in resource.tables.all()
        },
        "events": json.dumps(popup.world.bus.events, default=str),
        "queue": json.dumps([message for _, _, message in popup.world.queue.waiting]),
        "answers": json.dumps(popup.answers, default=str),
    }


def test_no_secret_and_no_consumer_leaves_a_trace(
    popup: Popup, monkeypatch: pytest.MonkeyPatch, our_faults: list[Fault]
) -> None:
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
        monkeypatch.setattr(popup.callback.callback_adapters.identity, "exchange_code", _fail)
        browser.come_back(browser.consent(browser.authorization_url(), uk))
        monkeypatch.undo()
        assert our_faults
        our_faults.clear()
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


@pytest.mark.parametrize("function", sorted(path.parent.name for path in ROOT.glob("functions/*/app.py")))
def test_a_function_keeps_the_libraries_quiet_that_quote_secrets_at_debug(function: str) -> None:
    libraries = [
        logging.getLogger(name) for name in ("aws_lambda_powertools", "boto3", "botocore", "urllib3")
    ]
    assert logging.getLogger().level == logging.DEBUG
    with patch.dict(sys.modules):
        for name in [name for name in sys.modules if name.partition(".")[0] == "bookkeeping"]:
            del sys.modules[name]
        for library in libraries:
            library.setLevel(logging.NOTSET)
        cold_start(function, dict.fromkeys(wanted_of_environment(function), "1"))
    assert not [library.name for library in libraries if library.isEnabledFor(logging.DEBUG)]


# --- the watch over the whole suite: each leak is planted and found

CODE = f"{MARK}k3p7_of-a/consent+x"
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "URL-encoded": lambda secret: quote(secret, safe=""),
    "base64": lambda secret: base64.b64encode(f"of {secret}:".encode()).decode(),
    "base64, one on": lambda secret: base64.b64encode(f"of  {secret}:".encode()).decode(),
    "base64, two on": lambda secret: base64.b64encode(f"of   {secret}:".encode()).decode(),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    "JSON in JSON": lambda secret: json.dumps(json.dumps({"secret": secret})),
    "hex": lambda secret: secret.encode().hex(),
}


Leak = Callable[[str], Any]


def _answering(given: Callable[[str], Any]) -> Leak:
    return lambda text: watch.listening("planted", lambda event, context: given(text))({}, None)


def in_a_log() -> Leak:
    return lambda text: logging.getLogger("planted").debug("got %s", text)


def in_an_answer() -> Leak:
    return _answering(lambda text: {"statusCode": 200, "body": json.dumps({"x": text})})


def in_an_encoded_answer() -> Leak:
    def given(text: str) -> dict[str, Any]:
        return {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(text.encode()).decode()}

    return _answering(given)


def in_an_error() -> Leak:
    def fails(text: str) -> None:
        raise ValueError(text)

    def leak(text: str) -> None:
        with pytest.raises(ValueError, match=r".*"):
            _answering(fails)(text)

    return leak


def in_a_row() -> Leak:
    OneProcess()
    table = boto3.resource("dynamodb").Table("SettingsTable")
    return lambda text: table.put_item(Item={"company": "1", "version": "1", "x": text})


def in_a_row_in_memory() -> Leak:
    table = DynamoDB(lambda: datetime.now(UTC), table_properties()).Table("SettingsTable")
    return lambda text: table.put_item(Item={"company": "1", "version": "1", "x": text})


def in_an_event() -> Leak:
    bus = Bus()
    lost = {"id": "1", "at": "2026-11-23T09:00:00+00:00", "company": "1", "status": "needs_reconnect"}
    return lambda text: bus.put_events(
        Entries=[{"DetailType": "ConnectionLost", "Detail": json.dumps(lost | {"organisation_id": text})}]
    )


def in_an_event_on_aws() -> Leak:
    bus = boto3.client("events")
    return lambda text: bus.put_events(
        Entries=[{"Source": "s", "DetailType": "t", "Detail": json.dumps({"x": text})}]
    )


def in_a_message() -> Leak:
    queue = Queue(lambda: datetime.now(UTC))
    return lambda text: queue.send_message(QueueUrl="posting", MessageBody=text)


def in_a_message_on_aws() -> Leak:
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="PostingQueue")["QueueUrl"]
    return lambda text: sqs.send_message(QueueUrl=url, MessageBody=text)


LEAKS = [
    in_a_log,
    in_an_answer,
    in_an_encoded_answer,
    in_an_error,
    in_a_row,
    in_a_row_in_memory,
    in_an_event,
    in_an_event_on_aws,
    in_a_message,
    in_a_message_on_aws,
]


@pytest.mark.parametrize("place", LEAKS, ids=lambda place: place.__name__)
def test_the_watch_finds_what_leaks_in_every_encoding(place: Callable[[], Leak]) -> None:
    with mock_aws():
        leak = place()
        for secret in (
            CODE,
            "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
            "3fW-told.to~the/watch+only",
            "Siân Wetherby-Okafor",
        ):
            for name, encoding in ENCODINGS.items():
                assert watch.hits() == []
                watch.secret("verifier", "3fW-told.to~the/watch+only")
                leak(encoding(secret))
                assert watch.hits(), f"{name} of {secret}"


def test_the_watch_finds_what_a_test_takes_from_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    print(CODE)
    assert CODE in capsys.readouterr().out
    assert watch.hits() == ["a secret: in stdout"]


def test_the_watch_finds_what_is_in_the_address_or_in_a_document_of_a_call_to_xero() -> None:
    with mock_aws():
        xero = OneProcess().posting.xero.session
        for address, body, found in (
            (f"/connect/token?code={CODE}", {}, ["a secret: in address of POST /connect/token"]),
            ("/connect/token", {"code": CODE}, []),
            ("/connect/token", {"name": "zoe@example.com"}, ["consumer's customer_email: in body of POST"]),
            (
                "/api.xro/2.0/Invoices",
                {"Reference": CODE},
                ["a secret: in body of POST /api.xro/2.0/Invoices"],
            ),
        ):
            xero.post(f"http://localhost:8400{address}", json=body)
            hits = watch.hits()
            assert len(hits) == len(found)
            assert all(hit.startswith(wanted) for hit, wanted in zip(hits, found, strict=True))


def test_the_watch_looks_through_a_system_before_it_ends(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "XeroDeskFunction.log"
    log.parent.mkdir()
    log.write_text("kept-by-the-store-only")
    with mock_aws():
        OneProcess()
        boto3.client("secretsmanager").create_secret(Name="launch", SecretString="kept-by-the-store-only")
        for name in (
            "kornit-xero-OrdersQueue",
            "kornit-xero-OrdersDeadLetterQueue",
            "kornit-xero-PostingQueue",
        ):
            url = boto3.client("sqs").create_queue(QueueName=name)["QueueUrl"]
            boto3.client("sqs").send_message(QueueUrl=url, MessageBody="zoe@example.com")
        boto3.client("dynamodb").put_item(
            TableName="SettingsTable", Item={"company": {"S": CODE}, "version": {"S": "1"}}
        )
        watch.hits()
        system: Any = SimpleNamespace(client=boto3.client, events=lambda: [{"x": CODE}], state=tmp_path)
        look_through(system)
    # the logs of a test are looked through when it ends as well
    log.unlink()
    assert sorted(watch.hits()) == [
        "a secret: in events",
        "a secret: in table SettingsTable",
        "consumer's customer_email: in queue kornit-xero-PostingQueue",
        "key: in log file XeroDeskFunction.log",
    ]


LEAKING = """
import logging
import pytest
from local.xero.portal import MARK

def test_that_logs(): logging.getLogger("books").debug("got %s", MARK + "k3p7")
def test_that_prints(): print(MARK + "k3p7")
def test_that_fails_as_well():
    print(MARK + "k3p7")
    assert MARK + "k3p7" == ""
@pytest.fixture
def ends_loudly():
    yield
    print(MARK + "k3p7")
def test_that_ends_loudly(ends_loudly): pass
def test_that_keeps_quiet(): print("nothing")
"""


def test_a_leak_fails_the_test_it_happened_in_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "test_leaking.py").write_text(LEAKING)
    # with what passing tests printed; no summary, which repeats messages where CI is set and not elsewhere
    options = ["-p", "tests.canaries", "-c", os.devnull, "--rootdir", str(tmp_path), "-rP"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'layers' / 'bookkeeping'}:{ROOT}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 failed, 2 passed, 1 error" in ran.stdout, ran.stdout + ran.stderr
    assert ran.stdout.count("a secret: in log of books") == 1
    assert "2 sources" not in ran.stdout
    assert "4 hits" in ran.stdout
    assert "k3p7" not in ran.stdout + ran.stderr


def test_what_a_table_keeps_compressed_is_read_as_it_was_before() -> None:
    kept = packed("a secret")
    assert kept_text(kept) == kept_text(zlib.compress(b"a secret")) == "a secret"
    assert kept_text(b"a secret") == "a secret"
    sent = json.dumps({"Item": {"message": {"B": base64.b64encode(kept).decode()}}})
    assert json.loads(opened(sent)) == {"Item": {"message": "a secret"}}

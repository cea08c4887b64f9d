"""The platform's pages on this machine send any kind of order, and each becomes what the page says it does."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import jwt
import pytest
from botocore.exceptions import ClientError
from flask.testing import FlaskClient
from moto import mock_aws

from local.platform import FILES, site
from local.sample_kinds import KINDS, SampleKind
from local.samples import TRACKED, UNTRACKED
from tests.integration.one_process import OneProcess, in_memory

EVENTS = Path("events")


class Queue:
    """Keeps what the page sends, or refuses it."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.refuses = False

    def send(self, message: str, company: str) -> None:
        if self.refuses:
            raise ClientError(
                {"Error": {"Code": "InvalidParameterValue", "Message": "too long"}}, "SendMessage"
            )
        self.sent.append((message, company))


@pytest.fixture(scope="module")
def queue() -> Queue:
    return Queue()


@pytest.fixture(scope="module")
def page(queue: Queue) -> FlaskClient:
    return site(
        "http://localhost:1",
        lambda: "a key of the tests, 32 bytes long",
        "kornit-xero",
        [UNTRACKED, TRACKED],
        queue.send,
    ).test_client()


@pytest.fixture(scope="module")
def world() -> Iterator[OneProcess]:
    with mock_aws(), patch.object(boto3, "DEFAULT_SESSION", None):
        world = OneProcess(tables=in_memory)
        british, australian = world.organisation("Demo Company (UK)"), world.organisation("Demo Company (AU)")
        for currency in ("EUR", "USD"):
            world.xero.change_organisation(british, {"subscribe_currency": currency})
        world.company(UNTRACKED, british)
        world.company(TRACKED, australian, process_method="tracked")
        yield world


def shown(html: str) -> str:
    """The message in the page's text area, as a browser shows it."""
    area = html.partition('<textarea id="message"')[2].partition(">\n")[2].partition("</textarea>")[0]
    return unescape(area)


def attribute(html: str) -> str:
    return unescape(html.partition('name="company" value="')[2].partition('"')[0])


def send_as_shown(page: FlaskClient, queue: Queue, company: str, name: str) -> tuple[str, str]:
    """Open the page of that order and press Send; what arrived on the queue."""
    opened = page.get(f"/orders/{company}/{name}").text
    form = {"message": shown(opened), "company": attribute(opened)}
    answered = page.post(f"/orders/{company}/{name}", data=form)
    assert "The message is on the queue." in answered.text
    assert shown(answered.text) == form["message"]
    return queue.sent[-1]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_kind_of_order_becomes_what_the_page_says(
    kind: SampleKind, page: FlaskClient, queue: Queue, world: OneProcess
) -> None:
    company = TRACKED if kind.tracked else UNTRACKED
    message, only_for = send_as_shown(page, queue, company, kind.name)
    world.send(message, company=only_for or None)
    world.run()
    found = re.search(r'"id": "?(\d+)', message)
    assert found
    assert ended(world, company, found[1]) == kind.ends


def ended(world: OneProcess, company: str, order_id: str) -> str:
    """State of an order, and reason or problem."""
    entry = world.orders.get(company, order_id)
    if entry is None:
        return "no company"
    return f"{entry.state} {entry.problem.code if entry.problem else entry.reason}".strip()


@pytest.mark.parametrize("name", FILES)
def test_a_whole_message_is_sent_under_a_number_of_its_own(
    name: str, page: FlaskClient, queue: Queue, world: OneProcess
) -> None:
    bodies = [json.loads(send_as_shown(page, queue, UNTRACKED, name)[0]) for _ in range(2)]
    first, second = (body.get("order", body) for body in bodies)
    assert first["id"] != second["id"]
    assert first | {"id": 0} == second | {"id": 0}
    original: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    changed = {"id", "company_ref_id", "secondary_company_ref_id"}
    assert {key for key, value in original.get("order", original).items() if first[key] != value} <= changed
    world.send(json.dumps(bodies[0]))
    world.run()
    ends = {
        "order_free_of_charge": "skipped free_of_charge",
        "order_non_latin": "needs_attention no_tax_type",
        "order_on_hold": "skipped on_hold",
    }
    assert ended(world, UNTRACKED, str(first["id"])) == ends.get(name, "posted")


def test_the_page_offers_every_order_there_is_with_what_it_shows(page: FlaskClient) -> None:
    html = unescape(page.get(f"/orders/{UNTRACKED}").text)
    for name, shows in [(kind.name, kind.shows) for kind in KINDS.values()] + list(FILES.items()):
        assert f"<strong>{name}</strong><span>{shows}</span>" in html
    orders = {path.stem for path in EVENTS.glob("order_*.json") if "Records" not in path.read_text()}
    assert orders == set(FILES)
    assert all(f"/orders/{company}" in page.get("/").text for company in (UNTRACKED, TRACKED))


def test_what_a_person_wrote_is_sent_as_it_is(page: FlaskClient, queue: Queue) -> None:
    text = '{"id": 1, "company_ref_id": 412077, "<b>": "é ~ \\ud83d", broken'
    page.post(f"/orders/{UNTRACKED}/plain", data={"message": text, "company": " 412077 "})
    assert queue.sent[-1] == (text, "412077")


def test_a_message_that_the_queue_refuses_is_kept_on_the_page(page: FlaskClient, queue: Queue) -> None:
    queue.refuses = True
    try:
        answered = page.post(f"/orders/{UNTRACKED}/plain", data={"message": "x" * 2_000_000})
    finally:
        queue.refuses = False
    assert "The queue did not take the message" in answered.text
    assert shown(answered.text) == "x" * 2_000_000


def test_what_is_no_company_and_no_order_has_no_page(page: FlaskClient) -> None:
    assert page.get("/orders/nobody").status_code == 404
    assert page.get(f"/orders/{UNTRACKED}/no such order").status_code == 404


def test_the_xero_settings_of_any_company_are_opened_with_a_launch_token(page: FlaskClient) -> None:
    token = re.search(r'name="token" value="([^"]+)"', page.get("/launch/500101").text)
    assert token
    claims = jwt.decode(
        token[1], "a key of the tests, 32 bytes long", algorithms=["HS256"], audience="kornit-xero"
    )
    assert (claims["iss"], claims["company"]) == ("kornitx", "500101")
    assert 0 < claims["exp"] - time.time() <= 300

"""The book match on the popup: its button, how far it is, and what it found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from moto import mock_aws

from bookkeeping.adapters.tables.book_matches import PHASES
from bookkeeping.use_cases.page import book_match
from bookkeeping.use_cases.posting import book_match as steps
from local.samples import Maker
from local.xero.people import add_document
from tests.integration.one_process import OneProcess, in_memory, spoil
from tests.integration.popup import Browser, Popup
from tests.integration.test_settings_page import COMPANY
from tests.integration.test_settings_page_at_work import FITTING


@pytest.fixture
def office() -> Iterator[Browser]:
    with mock_aws():
        popup = Popup(OneProcess(tables=in_memory))
        world = popup.world
        browser = popup.browser()
        browser.app()
        uk = world.organisation("Demo Company (UK)")
        browser.connect(uk)
        browser.save(**FITTING, contact_name=world.contact(uk))
        world.send(Maker(61530418).order(COMPANY, 1))
        world.run()
        yield browser


def lane(office: Browser) -> str:
    connection = office.popup.world.connections.connection(COMPANY)
    assert connection is not None
    return connection.lane


def test_the_button_has_the_books_matched_and_the_page_tells_what_was_found(office: Browser) -> None:
    world = office.popup.world
    organisation = world.organisation("Demo Company (UK)")
    before = office.get("book-match").json
    assert (before["state"], before["result"]) == ("never", None)
    assert before["next_at"] is not None, "there is one in the night"
    given = {
        "Type": "ACCREC",
        "InvoiceNumber": "KX-4711",
        "Contact": {"Name": world.contact(organisation)},
        "LineItems": [{"Description": "By hand", "UnitAmount": 5, "AccountCode": "200"}],
    }
    assert add_document(world.xero, organisation, given).status == 200
    asked = office.post("book-match", {"in_full": True})
    assert (asked.status, asked.json["state"]) == (200, "under_way")
    world.run()
    told = office.get("book-match").json
    assert told["state"] == "idle"
    result = told["result"]
    assert (result["in_full"], result["found"]) == (True, 1)
    [difference] = result["differences"]
    assert "KX-4711" in difference["sentence"]
    assert "/invoicing/view/" in difference["link"]
    [one] = result["sums"]
    assert (one["words"], one["stands"], one["in_accounts"], one["count"]) == (
        "Sales invoice",
        "draft",
        False,
        1,
    )
    assert result["used"] == [{"prefix": "KX-", "count": 1, "first": "KX-61530418", "last": "KX-61530418"}]


def test_pressed_twice_it_is_done_once_and_one_in_full_stays_in_full(office: Browser) -> None:
    world = office.popup.world
    office.post("book-match", {"in_full": True})
    office.post("book-match")
    office.post("book-match")
    world.run()
    result = office.get("book-match").json["result"]
    assert result["in_full"]
    assert len(world.calls("GET", "CreditNotes")) == 1


def test_without_a_connection_there_is_nothing_to_match() -> None:
    with mock_aws():
        office = Popup(OneProcess(tables=in_memory)).browser()
        assert office.get("book-match").json["words"] == "Connect to Xero first."
        answer = office.post("book-match")
        assert (answer.status, answer.error) == (409, "not_connected")


def test_a_match_that_waits_says_for_what(office: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    world = office.popup.world
    monkeypatch.setattr(steps, "FEW_CALLS", 0)
    world.organisation("Demo Company (UK)").day_limit = 30
    office.post("book-match")
    world.run(timedelta(minutes=5))
    told = office.get("book-match").json
    assert (told["state"], told["words"]) == ("waiting", book_match.WAITS["day_calls"])
    assert told["next_at"] is not None


def test_every_reason_to_wait_and_every_phase_has_words() -> None:
    assert set(book_match.WAITS) == set(steps.WAITS)
    assert set(book_match.PHASES) == set(PHASES)


def test_a_match_that_only_a_newer_version_knows_is_left_alone(office: Browser) -> None:
    world = office.popup.world
    office.post("book-match")
    world.run()
    spoil(world, "ConnectionsTable", {"pk": f"lane#{lane(office)}", "sk": "match"}, phase="audit")
    told = office.get("book-match").json
    assert told["result"]["found"] == 0
    calls = len(world.calls())
    office.post("book-match")
    world.run(timedelta(minutes=5))
    assert len(world.calls()) == calls

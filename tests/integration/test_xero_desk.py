"""What a person asks Xero for: lists to choose from, a contact, the end of a connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ReadTimeoutError

from local.samples import Maker
from local.xero.organisations import Organisation
from tests.integration.one_function import metrics_in
from tests.integration.popup import Browser, Popup, context


@pytest.fixture
def office(popup: Popup, uk: Organisation) -> Browser:
    browser = popup.browser()
    browser.app()
    assert browser.connect(uk) == "connected"
    return browser


def test_the_sample_event_is_answered_with_the_sales_accounts(popup: Popup, office: Browser) -> None:
    event = json.loads(Path("events/xero_desk.json").read_text())
    said = popup.desk.handler(event, context())
    assert "200" in {account["code"] for account in said["accounts"]}


def test_a_token_that_xero_takes_for_expired_is_renewed_while_a_person_waits(
    popup: Popup, office: Browser
) -> None:
    before = popup.token_calls()
    popup.world.xero.faults.add({"kind": "token_expired", "path_prefix": "/api.xro/2.0/Accounts"})
    assert office.get("xero/accounts", **{"for": "sales"}).json["accounts"]
    assert popup.token_calls() == before + 1
    # the lists that were read before it are not read again
    assert len(popup.world.calls("GET", "/Organisation")) == 1


def test_a_later_token_that_is_refused_too_sends_the_person_to_connect_again(
    popup: Popup, office: Browser
) -> None:
    before = popup.token_calls()
    popup.world.xero.faults.add({"kind": "token_expired", "path_prefix": "/api.xro/2.0/", "times": None})
    answer = office.get("xero/accounts", **{"for": "sales"})
    assert "Reconnect" in answer.body
    assert popup.token_calls() == before + 1


@pytest.mark.parametrize(
    ("use", "code", "not_code"),
    [
        ("sales", "200", "310"),
        ("cogs", "310", "200"),
        ("inventory", "630", "310"),
        ("shipping", "200", "630"),
    ],
)
def test_accounts_are_listed_for_what_they_are_wanted_for(
    office: Browser, use: str, code: str, not_code: str
) -> None:
    codes = {account["code"] for account in office.get("xero/accounts", **{"for": use}).json["accounts"]}
    assert code in codes
    assert not_code not in codes


@pytest.mark.parametrize(
    ("use", "tax_type", "not_tax_type"), [("sales", "OUTPUT2", "INPUT2"), ("purchases", "INPUT2", "OUTPUT2")]
)
def test_tax_rates_are_listed_for_what_they_are_wanted_for(
    office: Browser, use: str, tax_type: str, not_tax_type: str
) -> None:
    listed = office.get("xero/tax-rates", **{"for": use}).json["tax_rates"]
    types = {rate["tax_type"] for rate in listed}
    assert tax_type in types
    assert not_tax_type not in types


def test_lists_are_read_with_four_calls_and_kept_for_a_while(popup: Popup, office: Browser) -> None:
    before = len(popup.world.calls())
    for path in ("xero/accounts", "xero/tax-rates", "xero/currencies", "xero/accounts"):
        assert office.get(path).status == 200
    assert len(popup.world.calls()) - before == 4
    popup.world.clock.advance(301)
    office.get("xero/accounts")
    assert len(popup.world.calls()) - before == 8


def test_lists_too_long_to_be_kept_are_read_each_time(
    popup: Popup, office: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bookkeeping.adapters.tables.organisations.MOST_FACTS", 10)
    before = len(popup.world.calls())
    for _ in range(2):
        assert office.get("xero/accounts").status == 200
    assert len(popup.world.calls()) - before == 8


def test_contacts_are_searched_and_archived_ones_left_out(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    names = {contact["name"] for contact in office.get("xero/contacts", search="kornit").json["contacts"]}
    assert "Kornit X Sales" in names
    archived = next(contact for contact in uk.contacts.values() if contact.name == "Kornit X Sales")
    archived.status = "ARCHIVED"
    names = {contact["name"] for contact in office.get("xero/contacts", search="kornit").json["contacts"]}
    assert "Kornit X Sales" not in names


@pytest.mark.parametrize("name", ['The "Best" Shop', "A & B + C", "O'Neill", "Ärger GmbH", "x" * 255])
def test_a_contact_of_any_name_is_found_when_it_is_saved(
    popup: Popup, office: Browser, uk: Organisation, name: str
) -> None:
    contact = next(iter(uk.contacts.values()))
    contact.name = name
    answer = office.save(contact_name=name)
    assert (answer.status, answer.json["notes"]) == (200, [])
    known = popup.world.organisations.contact(uk.id, name)
    assert known is not None
    assert known.id == contact.id


def test_xero_out_of_reach_is_said_in_words_and_counted(
    popup: Popup, office: Browser, capsys: pytest.CaptureFixture[str]
) -> None:
    popup.world.xero.faults.add({"kind": "error_before_commit", "path_prefix": "/api.xro", "times": 9})
    answer = office.get("xero/accounts")
    assert (answer.status, answer.error) == (503, "xero_unavailable")
    assert "Try again" in answer.json["error"]["message"]
    assert metrics_in(capsys.readouterr().out)[-1]["XeroUnavailable"] == [1.0]


def test_a_throttled_list_is_said_in_words(popup: Popup, office: Browser) -> None:
    popup.world.xero.faults.add({"kind": "rate_limit_minute", "path_prefix": "/api.xro", "times": 9})
    assert office.get("xero/accounts").status == 503


class Silent:
    """Lambda's client, with a function that does not answer in time."""

    def invoke(self, **_: Any) -> Any:
        raise ReadTimeoutError(endpoint_url="https://lambda.eu-west-2.amazonaws.com")


@pytest.fixture
def silent(popup: Popup, office: Browser) -> Iterator[Browser]:
    """An office whose desk does not answer."""
    with patch.object(popup.page.desk, "_client", Silent()):
        yield office


def test_settings_are_saved_though_the_desk_does_not_answer(silent: Browser) -> None:
    answer = silent.save(contact_name="Kornit X Sales", purchase_order_contact_name="Somebody")
    assert answer.status == 200
    assert [(note["name"], "not looked for" in note["message"]) for note in answer.json["notes"]] == [
        ("contact_name", True),
        ("purchase_order_contact_name", True),
    ]
    assert silent.get("settings").json["settings"]["contact_name"] == "Kornit X Sales"


def test_a_second_contact_is_not_waited_for_when_the_first_one_took_long(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    popup.world.xero.faults.add({"kind": "slow_answer", "path_prefix": "/api.xro", "seconds": 5, "times": 1})
    name = popup.world.contact(uk)
    notes = office.save(contact_name=name, purchase_order_contact_name="Nobody at all").json["notes"]
    assert [(note["name"], "not looked for" in note["message"]) for note in notes] == [
        ("purchase_order_contact_name", True)
    ]


def test_whoever_waits_for_the_desk_is_told_when_it_does_not_answer(silent: Browser) -> None:
    for path in ("xero/accounts", "xero/contacts"):
        answer = silent.get(path)
        assert (answer.status, answer.error) == (503, "xero_unavailable")
    silent.save(sales_account_code="200", contact_name="Somebody new")
    answer = silent.post("preview", Maker().order("412077", 1))
    assert (answer.status, answer.error) == (503, "xero_unavailable")
    assert "not confirmed it yet" in silent.delete("connection").json["words"]


def test_without_a_connection_there_is_nothing_to_list(popup: Popup) -> None:
    browser = popup.browser("413995")
    for path in ("xero/accounts", "xero/contacts", "xero/tax-rates", "xero/currencies"):
        answer = browser.get(path)
        assert (answer.status, answer.error) == (409, "not_connected")


def test_a_task_is_for_the_company_of_the_session_only(popup: Popup, office: Browser) -> None:
    """The company of an invocation comes from the session, which no path or body can change."""
    other = popup.browser("413995")
    popup.request("GET", "/api/412077/xero/contacts", cookies=[other.cookie])
    assert len(popup.world.calls("GET", "Contacts")) == 0

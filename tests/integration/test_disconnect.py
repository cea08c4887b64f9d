"""Disconnecting from Xero: what is ended there, what other companies keep, and what becomes of the tokens."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

import pytest
from botocore.client import BaseClient
from moto import mock_aws

from local.xero.organisations import Organisation
from tests.integration.one_process import Killed, OneProcess
from tests.integration.popup import ORIGIN, Browser, Popup

COMPANY, OTHER = "412077", "413995"
WRITES = {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"}
SECRET_WRITES = {"put_secret_value", "update_secret_version_stage"}


@pytest.fixture
def popup() -> Iterator[Popup]:
    with mock_aws():
        yield Popup(OneProcess())


@pytest.fixture
def one(popup: Popup) -> Browser:
    browser = popup.browser()
    browser.app()
    return browser


@pytest.fixture
def two(popup: Popup, one: Browser) -> Browser:
    """Another company with the same Xero app."""
    return beside(popup, one)


def beside(popup: Popup, one: Browser) -> Browser:
    app = one.app()
    popup.world.xero.portal.add_redirect(app, f"{ORIGIN}/xero/callback/{OTHER}")
    two = popup.browser(OTHER)
    two.put("credentials", {"client_id": app.client_id, "client_secret": app.secret})
    return two


@pytest.fixture
def au(popup: Popup) -> Organisation:
    return popup.world.organisation("Demo Company (AU)")


def entered(popup: Popup) -> set[str]:
    """The organisations that Xero lets apps into."""
    return {connection.tenant_id for connection in popup.world.xero.connections.all()}


def has_tokens(popup: Popup, company: str = COMPANY) -> bool:
    store = popup.refresh.adapters.tokens
    return any((store.current(company), store.pending(company), store.previous(company)))


def lists(browser: Browser) -> int:
    return browser.get("xero/contacts").status


# --- what other companies keep


def test_an_organisation_that_is_still_to_be_confirmed_stays_open_to_another_company(
    popup: Popup, one: Browser, two: Browser, uk: Organisation, au: Organisation
) -> None:
    assert two.connect(au) == "connected"
    assert (one.connect(uk), one.connect(au)) == ("connected", "confirm_organisation")
    assert "Another company" in one.delete("connection").json["words"]
    assert entered(popup) == {au.id}
    assert lists(two) == 200
    assert one.get("connection").json["organisation"]["id"] == uk.id


def test_what_was_to_be_chosen_from_is_ended_but_for_what_another_company_has(
    popup: Popup, one: Browser, two: Browser, uk: Organisation, au: Organisation
) -> None:
    assert (two.connect(au), one.connect(uk, au)) == ("connected", "choose_organisation")
    assert "Another company" in one.delete("connection").json["words"]
    assert entered(popup) == {au.id}
    assert lists(two) == 200


def test_what_another_company_may_yet_choose_stays_open_to_it(
    popup: Popup, one: Browser, two: Browser, uk: Organisation, au: Organisation
) -> None:
    assert (two.connect(uk), one.connect(uk, au)) == ("connected", "choose_organisation")
    assert "Another company" in two.delete("connection").json["words"]
    assert one.post("connection/organisation", {"organisation_id": uk.id}).json["status"] == "connected"
    assert lists(one) == 200


def test_an_organisation_of_its_own_is_ended_though_another_company_uses_the_app_and_tokens_have_run_out(
    popup: Popup, one: Browser, two: Browser, uk: Organisation, au: Organisation
) -> None:
    assert (one.connect(uk), two.connect(au)) == ("connected", "connected")
    popup.world.clock.advance(3500)
    assert "Xero was told" in one.delete("connection").json["words"]
    assert entered(popup) == {au.id}
    assert lists(two) == 200
    assert not has_tokens(popup)


# --- what becomes of the tokens


def test_an_idle_company_is_ended_at_xero_though_its_access_token_has_run_out(
    popup: Popup, one: Browser, uk: Organisation
) -> None:
    one.connect(uk)
    popup.world.clock.advance(3500)
    calls = popup.token_calls()
    assert "Xero was told" in one.delete("connection").json["words"]
    assert (entered(popup), has_tokens(popup), popup.token_calls()) == (set(), False, calls)


def test_a_company_whose_secret_xero_refuses_is_told_to_remove_the_app_itself(
    popup: Popup, one: Browser, uk: Organisation
) -> None:
    one.connect(uk)
    popup.world.xero.portal.generate_secret(one.app())
    one.put("credentials", {"client_id": one.app().client_id, "client_secret": "mistyped"})
    assert "Remove it there" in one.delete("connection").json["words"]
    assert not has_tokens(popup)
    assert "Connected apps" in one.get("connection").json["words"]
    assert popup.world.connections.renewals_due(popup.world.clock.now()) == []


def test_what_xero_does_not_confirm_is_asked_again_until_it_does(
    popup: Popup, one: Browser, uk: Organisation
) -> None:
    one.connect(uk)
    popup.world.xero.faults.add({"kind": "maintenance", "path_prefix": "/connect", "times": None})
    assert "not confirmed it yet" in one.delete("connection").json["words"]
    popup.tick()
    assert entered(popup) == {uk.id}
    popup.world.xero.faults.remove()
    popup.tick()
    assert (entered(popup), has_tokens(popup)) == (set(), False)
    assert one.get("connection").json["words"] == f"Disconnected from {uk.name}. Orders wait here."
    assert "no connection" in one.delete("connection").json["words"]


def test_disconnecting_again_goes_on_with_what_is_not_confirmed_yet(
    popup: Popup, one: Browser, uk: Organisation
) -> None:
    one.connect(uk)
    popup.world.xero.faults.add({"kind": "maintenance", "path_prefix": "/connect", "times": 1})
    one.delete("connection")
    popup.world.clock.advance(200)
    assert "Xero was told" in one.delete("connection").json["words"]
    assert entered(popup) == set()


def test_a_consent_in_another_tab_is_not_undone_by_an_end_that_is_slow(
    popup: Popup, one: Browser, two: Browser, uk: Organisation, au: Organisation
) -> None:
    one.connect(uk)
    two.connect(au)
    identity = popup.refresh.adapters.identity
    real = identity.delete_connection

    def slow(*about: Any) -> None:
        real(*about)
        assert one.connect(uk) == "connected"

    with patch.object(identity, "delete_connection", slow):
        one.delete("connection")
    popup.tick()
    popup.tick()
    assert one.get("connection").json["status"] == "connected"
    assert lists(one) == 200


def test_a_consent_that_comes_before_xero_is_told_is_not_ended_with_the_old_one(
    popup: Popup, one: Browser, uk: Organisation
) -> None:
    one.connect(uk)
    connections = popup.refresh.adapters.connections
    real = connections.others_of_app

    def slow(*about: Any) -> Any:
        found = real(*about)
        assert one.connect(uk) == "connected"
        return found

    with patch.object(connections, "others_of_app", slow):
        one.delete("connection")
    popup.tick()
    assert one.get("connection").json["status"] == "connected"
    assert lists(one) == 200


def test_who_connects_again_has_an_end_that_is_not_confirmed_brought_to_its_end_first(
    popup: Popup, one: Browser, uk: Organisation
) -> None:
    one.connect(uk)
    with patch.object(popup.page.desk, "ask", return_value={"error": "desk_failed"}):
        one.delete("connection")
    assert entered(popup) == {uk.id}
    url = one.authorization_url()
    assert entered(popup) == set()
    assert one.come_back(one.consent(url, uk)) == "connected"
    popup.tick()
    assert lists(one) == 200


# --- ends in between


class Killer:
    """Ends the process before its nth write."""

    def __init__(self, at: int) -> None:
        self.left = at

    def write(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


@contextmanager
def killed_before(popup: Popup, write: int) -> Iterator[Killer]:
    killer = Killer(write)
    real = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(client: Any, operation: str, request: Any) -> Any:
        if operation in WRITES:
            killer.write()
        return real(client, operation, request)

    def before(operation: str, about: str) -> None:
        if operation in SECRET_WRITES:
            killer.write()

    popup.world.secrets.before = before
    with patch.object(BaseClient, "_make_api_call", call):
        yield killer
    popup.world.secrets.before = lambda *_: None


@pytest.mark.parametrize("company_beside_it", [False, True])
def test_a_disconnect_that_ends_before_any_write_is_brought_to_its_end_by_itself(
    company_beside_it: bool,
) -> None:
    for write in itertools.count(1):
        with mock_aws():
            popup = Popup(OneProcess())
            one, world = popup.browser(), popup.world
            one.app()
            uk, au = (world.organisation(f"Demo Company ({where})") for where in ("UK", "AU"))
            two = beside(popup, one)
            assert one.connect(uk) == "connected"
            assert not company_beside_it or two.connect(au) == "connected"
            popup.tick()
            world.clock.advance(2700)
            with killed_before(popup, write) as killer, suppress(Killed):
                one.delete("connection")
            if write == 1:
                # nothing was written: the person sees that it failed, and presses again
                assert one.get("connection").json["status"] == "connected"
                one.delete("connection")
            for _ in range(2):
                popup.tick()
            where = f"ended before write {write}"
            connection = world.connections.connection(COMPANY)
            assert connection is not None, where
            assert (connection.status, connection.to_end_at_xero) == ("disconnected", ()), where
            assert entered(popup) == ({au.id} if company_beside_it else set()), where
            assert not has_tokens(popup), where
            assert not company_beside_it or lists(popup.browser(OTHER)) == 200, where
            if killer.left > 0:
                break
    assert write > 6

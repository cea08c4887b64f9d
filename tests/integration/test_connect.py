"""Connecting to Xero, from the button to the organisation."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from bookkeeping.domain.page_access import hashed
from local.xero.organisations import Organisation
from tests.integration.popup import ORIGIN, Browser, Popup
from tests.integration.test_oauth_callback import ATTACKS, back, parts

OTHER = "413995"


@pytest.fixture
def browser(popup: Popup) -> Browser:
    browser = popup.browser()
    browser.app()
    return browser


@pytest.fixture
def au(popup: Popup) -> Organisation:
    return popup.world.organisation("Demo Company (AU)")


@pytest.mark.parametrize(
    "name",
    [
        "without a cookie",
        "by another person of the company",
        "by another company",
        "with a state tampered with",
        "with two session cookies",
        "with two codes",
    ],
)
def test_an_attack_does_not_spoil_the_persons_own_way(browser: Browser, uk: Organisation, name: str) -> None:
    query = back(browser, uk)
    ATTACKS[name](browser, query)
    assert browser.come_back(query) == "connected"


def test_a_return_address_works_once(browser: Browser, uk: Organisation) -> None:
    query = back(browser, uk)
    assert browser.come_back(query) == "connected"
    assert browser.come_back(query) == "state_used"
    assert browser.popup.token_calls() == 1


def test_of_many_at_once_one_gets_through(browser: Browser, uk: Organisation) -> None:
    query = back(browser, uk)
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: _finish(browser, query), range(8)))
    assert sorted(outcomes) == ["connected"] + ["state_used"] * 7
    assert browser.popup.token_calls() == 1


def _finish(browser: Browser, query: str) -> str:
    """As the handler does it; Powertools' logger and metrics are not for threads."""
    from bookkeeping.use_cases.connect import finish

    callback = browser.popup.callback
    session_id = browser.cookie.partition("=")[2]
    session = callback.callback_adapters.authorizations.session(hashed(session_id))
    return str(finish(callback.adapters, callback.callback_adapters, "412077", query, session, session_id))


def test_a_code_of_somebody_elses_login_does_not_fit(browser: Browser, uk: Organisation) -> None:
    """The attacker's own code in the victim's return address: its PKCE challenge is the attacker's."""
    mine = back(browser, uk)
    theirs = back(browser.popup.browser(user="user-2"), uk)
    swapped = f"code={quote(parts(theirs)['code'])}&state={quote(parts(mine)['state'])}"
    assert browser.come_back(swapped) == "code_used"
    assert browser.popup.world.connections.connection("412077") is None


# --- the honest way ----------------------------------------------------------------------------------------------


def test_what_is_asked_of_xero(browser: Browser) -> None:
    url = urlsplit(browser.authorization_url())
    asked = parse_qs(url.query)
    assert asked["scope"] == [
        "openid profile email offline_access accounting.invoices accounting.contacts.read accounting.settings.read"
    ]
    assert "+" not in url.query
    assert "openid%20profile" in url.query
    assert asked["redirect_uri"] == [f"{ORIGIN}/xero/callback/412077"]
    assert asked["code_challenge_method"] == ["S256"]
    assert len(asked["code_challenge"][0]) == 43
    assert len(asked["state"][0]) >= 43
    assert url.path == "/identity/connect/authorize"


def test_neither_state_nor_session_nor_verifier_is_kept(browser: Browser) -> None:
    from bookkeeping.domain.oauth import verifier

    state = parts(urlsplit(browser.authorization_url()).query)["state"]
    session_id = browser.cookie.partition("=")[2]
    table = browser.popup.world.resource.Table("AuthorizationsTable")
    kept = json.dumps([*table.items.values()], default=str)
    for secret in (state, session_id, verifier(session_id, state)):
        assert secret not in kept


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("access_denied", "access_denied"),
        ("server_error", "xero_refused"),
    ],
)
def test_what_xero_says_instead_of_a_code_has_its_own_outcome(
    browser: Browser, fault: str, outcome: str
) -> None:
    state = parts(urlsplit(browser.authorization_url()).query)["state"]
    assert browser.come_back(f"error={fault}&state={quote(state)}") == outcome
    assert browser.popup.token_calls() == 0


def test_a_code_older_than_five_minutes(browser: Browser, uk: Organisation) -> None:
    query = back(browser, uk)
    browser.popup.world.clock.advance(301)
    assert browser.come_back(query) == "code_expired"


def test_a_client_secret_that_was_replaced(browser: Browser, uk: Organisation) -> None:
    query = back(browser, uk)
    world = browser.popup.world.xero
    world.portal.generate_secret(
        next(app for app in world.portal.apps.values() if app.name == "Orders of 412077")
    )
    assert browser.come_back(query) == "wrong_app_credentials"


def test_xero_down_at_the_exchange(browser: Browser, uk: Organisation) -> None:
    query = back(browser, uk)
    browser.popup.world.xero.faults.add(
        {"kind": "error_before_commit", "path_prefix": "/connect/token", "times": 5}
    )
    assert browser.come_back(query) == "xero_unavailable"
    assert browser.popup.world.connections.connection("412077") is None


def test_no_organisation_in_the_consent(browser: Browser, uk: Organisation) -> None:
    query = back(browser, uk)
    browser.popup.world.xero.connections.drop(tenant_id=uk.id)
    assert browser.come_back(query) == "no_organisation"


def test_a_permission_that_was_not_given(browser: Browser, uk: Organisation) -> None:
    url = browser.authorization_url().replace("%20accounting.settings.read", "")
    assert browser.come_back(browser.consent(url, uk)) == "scopes_missing"
    assert browser.popup.world.connections.connection("412077") is None


def test_another_app_than_the_connection_was_made_with_is_said_and_how_to_go_on(
    browser: Browser, uk: Organisation
) -> None:
    popup, app = browser.popup, browser.app()
    browser.connect(uk)
    browser.put("credentials", {"client_id": "ANOTHER-APP", "client_secret": "secret"})
    shown = browser.get("connection").json
    assert (shown["status"], shown["other_app"]) == ("connected", True)
    assert "another Xero app" in shown["words"]
    assert "Reconnect" in shown["fix"]
    popup.world.clock.advance(1800)
    browser.get("xero/contacts")
    shown = browser.get("connection").json
    assert (shown["status"], shown["other_app"]) == ("wrong_credentials", True)
    assert "another Xero app" in shown["words"]
    assert "Generate" not in shown["fix"]
    browser.put("credentials", {"client_id": app.client_id, "client_secret": app.secret})
    popup.tick()
    shown = browser.get("connection").json
    assert (shown["status"], shown["other_app"]) == ("connected", False)


def test_only_organisations_of_this_very_consent_count(
    browser: Browser, uk: Organisation, au: Organisation
) -> None:
    """Xero lists what the person ever connected to the app, in whatever order."""
    browser.connect(uk)
    browser.delete("connection")
    other = browser.popup.browser()
    assert other.connect(au) == "confirm_organisation"
    connection = browser.popup.world.connections.connection("412077")
    assert connection is not None
    assert connection.organisation_id == au.id


def test_several_organisations_are_chosen_from(browser: Browser, uk: Organisation, au: Organisation) -> None:
    assert browser.connect(uk, au) == "choose_organisation"
    shown = browser.get("connection").json
    assert {choice["id"] for choice in shown["choices"]} == {uk.id, au.id}
    assert shown["status"] == "choose_organisation"
    assert browser.post("connection/organisation", {"organisation_id": "another"}).status == 409
    chosen = browser.post("connection/organisation", {"organisation_id": au.id}).json
    assert (chosen["status"], chosen["organisation"]["id"], chosen["choices"]) == ("connected", au.id, [])


def test_the_organisation_stays_where_it_was_among_several(
    browser: Browser, uk: Organisation, au: Organisation
) -> None:
    browser.connect(uk)
    assert browser.connect(au, uk) == "connected"
    assert browser.get("connection").json["organisation"]["id"] == uk.id


def test_another_organisation_waits_for_a_person(
    browser: Browser, uk: Organisation, au: Organisation
) -> None:
    browser.connect(uk)
    assert browser.connect(au) == "confirm_organisation"
    shown = browser.get("connection").json
    assert shown["status"] == "confirm_organisation"
    assert shown["organisation"]["id"] == au.id
    assert shown["previous_organisation"]["id"] == uk.id
    # back to the first: nothing to confirm
    assert browser.connect(uk) == "connected"
    assert browser.connect(au) == "confirm_organisation"
    confirmed = browser.post("connection/organisation", {"organisation_id": au.id}).json
    assert (confirmed["status"], confirmed["previous_organisation"]) == ("connected", None)
    done = [act["what"] for act in browser.get("settings").json["history"]]
    assert f"Confirmed {au.name}" in done


def test_a_reconnect_while_disconnected_to_another_organisation_waits_too(
    browser: Browser, uk: Organisation, au: Organisation
) -> None:
    browser.connect(uk)
    browser.delete("connection")
    assert browser.connect(au) == "confirm_organisation"

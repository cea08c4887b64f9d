"""P12: only the browser and the person that started a connect can finish it, once, and within ten minutes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from moto import mock_aws

from bookkeeping.domain.page_access import hashed
from local.xero.organisations import Organisation
from tests.integration.one_process import OneProcess, in_memory
from tests.integration.popup import Browser, Popup

OTHER = "413995"


def back(browser: Browser, *organisations: Organisation) -> str:
    """The query of an honest way back from Xero, not used yet."""
    return browser.consent(browser.authorization_url(), *organisations)


def parts(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


def arrive(popup: Popup, query: str, cookies: list[str], company: str = "412077") -> str:
    answer = popup.request("GET", f"/xero/callback/{company}?{query}", cookies=cookies)
    assert answer.status == 303
    assert not answer.body
    return parse_qs(urlsplit(answer.headers["location"]).query)["connect"][0]


# --- attacks -----------------------------------------------------------------------------------------------------

Attack = Callable[[Browser, str], str]
ATTACKS: dict[str, Attack] = {}


def attack(function: Attack) -> Attack:
    ATTACKS[function.__name__.replace("_", " ")] = function
    return function


@attack
def without_a_cookie(browser: Browser, query: str) -> str:
    return arrive(browser.popup, query, [])


@attack
def with_a_made_up_cookie(browser: Browser, query: str) -> str:
    return arrive(browser.popup, query, ["__Host-session=" + "A" * 43])


@attack
def with_a_cookie_too_short(browser: Browser, query: str) -> str:
    return arrive(browser.popup, query, [browser.cookie[:-1]])


@attack
def with_the_cookie_under_another_name(browser: Browser, query: str) -> str:
    return arrive(browser.popup, query, [browser.cookie.replace("__Host-session", "session")])


@attack
def with_two_session_cookies(browser: Browser, query: str) -> str:
    return arrive(browser.popup, query, [browser.cookie, "__Host-session=" + "A" * 43])


@attack
def with_the_hash_of_the_session_as_somebody_who_reads_the_table_knows_it(
    browser: Browser, query: str
) -> str:
    return arrive(browser.popup, query, [f"__Host-session={hashed(browser.cookie.partition('=')[2])[:43]}"])


@attack
def by_another_person_of_the_company(browser: Browser, query: str) -> str:
    other = browser.popup.browser(user="user-2", name="Bo Lind")
    return arrive(browser.popup, query, [other.cookie])


@attack
def by_the_same_person_in_another_browser(browser: Browser, query: str) -> str:
    return arrive(browser.popup, query, [browser.popup.browser().cookie])


@attack
def by_another_company(browser: Browser, query: str) -> str:
    other = browser.popup.browser(OTHER, user="user-3")
    return arrive(browser.popup, query, [other.cookie], OTHER)


@attack
def by_the_same_person_for_another_company(browser: Browser, query: str) -> str:
    return arrive(browser.popup, query, [browser.popup.browser(OTHER).cookie], OTHER)


@attack
def on_another_companys_path(browser: Browser, query: str) -> str:
    return arrive(browser.popup, query, [browser.cookie], OTHER)


@attack
def with_another_companys_cookie_on_this_companys_path(browser: Browser, query: str) -> str:
    return arrive(browser.popup, query, [browser.popup.browser(OTHER).cookie])


@attack
def after_ten_minutes(browser: Browser, query: str) -> str:
    browser.popup.world.clock.advance(601)
    return arrive(browser.popup, query, [browser.cookie])


@attack
def after_the_session_ended(browser: Browser, query: str) -> str:
    browser.popup.world.clock.advance(3601)
    return arrive(browser.popup, query, [browser.cookie])


@attack
def with_a_state_tampered_with(browser: Browser, query: str) -> str:
    state = parts(query)["state"]
    changed = state[:-1] + ("A" if state[-1] != "A" else "B")
    return arrive(browser.popup, query.replace(state, changed), [browser.cookie])


@attack
def with_a_state_in_other_case(browser: Browser, query: str) -> str:
    state = parts(query)["state"]
    return arrive(browser.popup, query.replace(state, state.swapcase()), [browser.cookie])


@attack
def with_the_hash_of_the_state(browser: Browser, query: str) -> str:
    state = parts(query)["state"]
    return arrive(browser.popup, query.replace(state, hashed(state)), [browser.cookie])


@attack
def with_a_space_behind_the_state(browser: Browser, query: str) -> str:
    state = parts(query)["state"]
    return arrive(browser.popup, query.replace(state, f"{state}%20"), [browser.cookie])


@attack
def without_a_state(browser: Browser, query: str) -> str:
    return arrive(browser.popup, f"code={parts(query)['code']}", [browser.cookie])


@attack
def with_an_empty_state(browser: Browser, query: str) -> str:
    return arrive(browser.popup, f"code={parts(query)['code']}&state=", [browser.cookie])


@attack
def with_two_states(browser: Browser, query: str) -> str:
    return arrive(browser.popup, f"{query}&state=other", [browser.cookie])


@attack
def with_an_oversized_state(browser: Browser, query: str) -> str:
    return arrive(browser.popup, f"code={parts(query)['code']}&state={'s' * 5000}", [browser.cookie])


@attack
def without_a_code(browser: Browser, query: str) -> str:
    return arrive(browser.popup, f"state={parts(query)['state']}", [browser.cookie])


@attack
def with_an_empty_code(browser: Browser, query: str) -> str:
    return arrive(browser.popup, f"code=&state={parts(query)['state']}", [browser.cookie])


@attack
def with_two_codes(browser: Browser, query: str) -> str:
    return arrive(browser.popup, f"{query}&code=other", [browser.cookie])


@attack
def with_an_oversized_code(browser: Browser, query: str) -> str:
    return arrive(browser.popup, f"code={'c' * 5000}&state={parts(query)['state']}", [browser.cookie])


@attack
def with_an_oversized_query(browser: Browser, query: str) -> str:
    return arrive(browser.popup, f"{query}&more={'m' * 9000}", [browser.cookie])


@attack
def with_a_thousand_parameters(browser: Browser, query: str) -> str:
    return arrive(browser.popup, query + "&a=b" * 1000, [browser.cookie])


@attack
def with_an_error_beside_the_code(browser: Browser, query: str) -> str:
    return arrive(browser.popup, f"{query}&error=access_denied", [browser.cookie])


@attack
def with_the_wrong_issuer(browser: Browser, query: str) -> str:
    return arrive(
        browser.popup, f"{query}&iss={quote('https://identity.example.com', safe='')}", [browser.cookie]
    )


@attack
def with_two_issuers(browser: Browser, query: str) -> str:
    right = quote("https://identity.xero.com", safe="")
    return arrive(browser.popup, f"{query}&iss={right}&iss=https%3A%2F%2Fevil.example.com", [browser.cookie])


@attack
def with_bytes_that_are_no_text(browser: Browser, query: str) -> str:
    return arrive(browser.popup, f"state=%ff%fe&code={parts(query)['code']}", [browser.cookie])


@attack
def after_the_app_was_replaced(browser: Browser, query: str) -> str:
    browser.put("credentials", {"client_id": "ANOTHERAPP", "client_secret": "another-secret"})
    return arrive(browser.popup, query, [browser.cookie])


def test_there_are_at_least_24_attacks() -> None:
    assert len(ATTACKS) >= 24


@pytest.fixture(scope="module")
def door() -> Iterator[Popup]:
    """A popup at whose door many knock in vain."""
    with mock_aws():
        yield Popup(OneProcess(tables=in_memory))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_without_a_token_call(door: Popup, name: str) -> None:
    browser = door.browser()
    browser.app()
    outcome = ATTACKS[name](browser, back(browser, door.world.organisation("Demo Company (UK)")))
    assert outcome not in ("connected", "choose_organisation", "confirm_organisation", "our_fault")
    assert door.token_calls() == 0
    assert door.world.connections.connection("412077") is None
    assert door.world.connections.connection(OTHER) is None


def test_the_sample_event_is_answered_with_a_redirect(door: Popup) -> None:
    event = json.loads(Path("events/oauth_callback.json").read_text())
    answer = door.send(event)
    assert (answer.status, answer.headers["location"]) == (303, "/settings/412077?connect=session_lost")

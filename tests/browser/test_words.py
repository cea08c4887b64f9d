"""The page's words are the ones that problems and the server use."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from playwright.sync_api import Page

from bookkeeping.domain.connection import ConnectionStatus
from bookkeeping.domain.oauth import ConnectResult
from bookkeeping.domain.settings import Settings
from tests.browser.site import SETTINGS, Site, connection
from tests.browser.states import open_page

FIELDS = """() => Object.fromEntries([...document.querySelectorAll("[data-field]")]
  .filter((field) => field.querySelector("[data-setting]") || field.dataset.rows)
  .map((field) => [field.dataset.field, {
    label: field.querySelector("label, legend").textContent.trim(),
    help: document.getElementById(`${field.dataset.field}-help`).textContent.trim(),
    choices: [...field.querySelectorAll("option, input[type=radio]")].map((one) => one.value),
  }]))"""


def fields(site: Site, page: Page) -> dict[str, Any]:
    open_page(site, page)
    found: dict[str, Any] = page.evaluate(FIELDS)
    return found


def test_every_setting_has_a_field_under_the_name_that_problems_quote(site: Site, page: Page) -> None:
    shown = {name: one["label"] for name, one in fields(site, page).items()}
    assert shown == {name: Settings.label(name) for name in Settings.model_fields}


def test_every_field_has_a_sentence_of_help(site: Site, page: Page) -> None:
    assert [name for name, one in fields(site, page).items() if not one["help"].endswith(".")] == []


def test_a_field_with_choices_offers_exactly_those_that_can_be_saved(site: Site, page: Page) -> None:
    shown = {name: set(one["choices"]) for name, one in fields(site, page).items() if one["choices"]}
    can_be_saved = {
        name: set(get_args(field.annotation))
        for name, field in Settings.model_fields.items()
        if get_origin(field.annotation) is Literal
    }
    assert shown == can_be_saved


def test_the_page_says_of_mails_what_the_setting_does(site: Site, page: Page) -> None:
    assert fields(site, page)["errors_email"]["help"] == Settings.model_fields["errors_email"].description


def test_the_canned_settings_are_those_of_a_company_that_never_saved() -> None:
    assert Settings().to_json() == SETTINGS


def test_every_outcome_of_connecting_has_words_and_says_what_to_do(site: Site, page: Page) -> None:
    open_page(site, page)
    words = page.evaluate("import('/modules/outcomes.js').then(({ OUTCOMES }) => OUTCOMES)")
    assert set(words) == set(get_args(ConnectResult))
    for code, one in words.items():
        assert one["title"], code
        assert one["words"].endswith("."), code
        assert one.get("good") or one.get("fix") or one.get("goTo"), code


def test_every_state_of_a_connection_has_a_name(site: Site, page: Page) -> None:
    for status in get_args(ConnectionStatus):
        site.connection = connection() | {"status": status, "words": "(the server's words)"}
        open_page(site, page)
        assert page.locator("#connection-state .badge").inner_text() != "(the server's words)", status

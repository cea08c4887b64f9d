"""The section Connection: the way to Xero and back, in the popup's own window."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.site import ORGANISATION, OTHER_ORGANISATION, Site, connection
from tests.browser.states import open_page


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_get_access_token_saves_first_and_then_takes_this_window_to_xero(site: Site, page: Page) -> None:
    open_page(site, page)
    page.get_by_label("Client ID").fill("8A1F00")
    page.get_by_label("Client Secret").fill("canary-secret")
    page.get_by_label("Contact name", exact=True).fill("Kornit X orders")
    press(page, "Get Access Token")
    page.wait_for_url("**/login")
    written = [(call.method, call.path) for call in site.calls if call.method != "GET"]
    assert written == [("PUT", "credentials"), ("PUT", "settings"), ("POST", "connect")]
    assert len(page.context.pages) == 1


def test_back_from_xero_all_fields_are_filled_and_nothing_is_lost(site: Site, page: Page) -> None:
    site.set_up()
    site.connection = connection()
    open_page(site, page)
    page.get_by_label("Shipping account").fill("260")
    press(page, "Get Access Token")
    page.wait_for_url("**/login")
    page.goto(f"{site.address}/callback")
    expect(page.get_by_role("heading", name="Connected to Xero")).to_be_focused()
    expect(page.locator("#organisation-name")).to_have_text(ORGANISATION["name"])
    expect(page.locator("#tenant-id")).to_have_text(ORGANISATION["id"])
    expect(page.locator("#access-token")).to_have_text("••••••••")
    expect(page.locator("#access-token-expires")).to_have_text("4 Mar 2031, 10:42")
    expect(page.locator("#refresh-token")).to_have_text("••••••••")
    expect(page.get_by_label("Shipping account")).to_have_value("260")
    press(page, "Save")
    expect(page.locator("#save-status")).to_have_text("Everything is saved.")


def test_an_outcome_is_told_once(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page, "?connect=access_denied")
    expect(page.locator("#outcome")).to_contain_text("You pressed Cancel in Xero")
    assert page.url == site.page
    page.reload()
    expect(page.locator("#connection-state")).to_contain_text("Connected")
    expect(page.locator("#outcome")).to_be_empty()


def test_being_connected_is_told_until_what_it_asks_for_is_done(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page, "?connect=connected")
    page.get_by_label("Shipping account").fill("260")
    site.refuse("PUT settings", 503, "busy", "Please try again in a minute.")
    press(page, "Save")
    expect(page.locator("#save-error")).to_have_text("Please try again in a minute.")
    expect(page.locator("#outcome")).to_contain_text("press Save")
    site.refusals.clear()
    press(page, "Save")
    expect(page.locator("#save-status")).to_contain_text("Saved")
    expect(page.locator("#outcome")).to_be_empty()


def test_saving_takes_no_other_outcome_away(site: Site, page: Page) -> None:
    site.set_up()
    site.connection = connection("choose_organisation", choices=[ORGANISATION, OTHER_ORGANISATION])
    open_page(site, page, "?connect=choose_organisation")
    press(page, "Save")
    expect(page.locator("#save-status")).to_have_text("Everything is saved.")
    expect(page.locator("#outcome")).to_contain_text("choose your organisation")


def test_an_outcome_goes_when_the_connection_makes_it_untrue(site: Site, page: Page) -> None:
    site.set_up()
    site.connection = connection("choose_organisation", choices=[ORGANISATION, OTHER_ORGANISATION])
    open_page(site, page, "?connect=choose_organisation")
    expect(page.locator("#outcome h2")).to_be_visible()
    press(page, "Use this organisation")
    page.get_by_label(OTHER_ORGANISATION["name"]).check()
    expect(page.locator("#connection-error")).to_be_empty()
    press(page, "Use this organisation")
    expect(page.locator("#outcome")).to_be_empty()


def test_a_refused_secret_is_told_until_another_one_is_saved(site: Site, page: Page) -> None:
    site.set_up()
    site.connection = connection()
    open_page(site, page, "?connect=wrong_app_credentials")
    press(page, "Save")
    expect(page.locator("#save-status")).to_have_text("Everything is saved.")
    expect(page.locator("#outcome")).to_contain_text("does not accept the client secret")
    page.get_by_label("Client Secret").fill("canary-secret")
    press(page, "Save")
    expect(page.locator("#outcome")).to_be_empty()


def test_an_outcome_calls_the_button_by_the_name_it_has_now(site: Site, page: Page) -> None:
    site.set_up()
    for status, name in {"not_connected": "Get Access Token", "connected": "Reconnect"}.items():
        site.connection = connection(status)
        open_page(site, page, "?connect=access_denied")
        expect(page.locator("#outcome")).to_contain_text(f"Press {name} again")
        expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()


def test_an_outcome_leads_to_what_has_to_be_done(site: Site, page: Page) -> None:
    site.set_up()
    site.connection = connection()
    open_page(site, page, "?connect=wrong_app_credentials")
    press(page, "Go to the Client Secret")
    expect(page.get_by_label("Client Secret")).to_be_focused()


def test_an_outcome_nobody_heard_of_is_quoted_as_text(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page, "?connect=<b>constructor</b>")
    expect(page.locator("#outcome")).to_contain_text("it said “<b>constructor</b>”")
    open_page(site, page, "?connect=constructor")
    expect(page.locator("#outcome h2")).to_have_text("Connecting to Xero did not work")


def test_nobody_is_sent_to_xero_with_unsaved_values(site: Site, page: Page) -> None:
    site.set_up()
    site.connection = connection()
    site.refuse(
        "PUT settings", 422, "invalid", "No.", fields=[{"name": "contact_name", "message": "too long"}]
    )
    open_page(site, page)
    page.get_by_label("Contact name", exact=True).fill("x" * 300)
    press(page, "Get Access Token")
    expect(page.locator("#connection-error")).to_contain_text("Not gone to Xero yet")
    expect(page.get_by_label("Contact name", exact=True)).to_be_focused()
    assert site.asked("POST", "connect") == []


def test_without_an_app_the_missing_field_is_named_and_entered(site: Site, page: Page) -> None:
    open_page(site, page)
    press(page, "Get Access Token")
    expect(page.locator("#connection-error")).to_contain_text("Enter the Client ID and the Client Secret")
    expect(page.get_by_label("Client ID")).to_be_focused()
    assert site.asked("POST", "connect") == []


def test_an_address_that_is_no_web_address_is_never_followed(site: Site, page: Page) -> None:
    site.set_up()
    site.refusals["POST connect"] = (200, {"authorization_url": "javascript:document.title='taken'"})
    open_page(site, page)
    press(page, "Reconnect")
    expect(page.locator("#connection-error")).to_contain_text("not valid")
    assert page.title() != "taken"


def test_another_app_than_the_one_connected_with_leads_to_reconnect(site: Site, page: Page) -> None:
    site.set_up()
    site.connection = connection("wrong_credentials", other_app=True)
    open_page(site, page)
    expect(page.locator("#connection-state")).to_contain_text("Connect again")
    expect(page.locator("#todo")).to_contain_text("Connect to Xero again: press Reconnect")


def test_of_several_organisations_one_is_chosen_here(site: Site, page: Page) -> None:
    site.set_up()
    site.connection = connection("choose_organisation", choices=[ORGANISATION, OTHER_ORGANISATION])
    open_page(site, page, "?connect=choose_organisation")
    press(page, "Choose now")
    press(page, "Use this organisation")
    expect(page.locator("#connection-error")).to_contain_text("Choose one of the organisations first.")
    page.get_by_label(OTHER_ORGANISATION["name"]).check()
    press(page, "Use this organisation")
    expect(page.locator("#organisation-name")).to_have_text(OTHER_ORGANISATION["name"])
    expect(page.locator("#organisation-choice")).to_be_hidden()
    asked = site.asked("POST", "connection/organisation")
    assert [call.body for call in asked] == [{"organisation_id": OTHER_ORGANISATION["id"]}]


def test_another_organisation_than_before_needs_a_yes_that_names_it(site: Site, page: Page) -> None:
    site.set_up()
    site.connection = connection(
        "confirm_organisation", organisation=OTHER_ORGANISATION, previous_organisation=ORGANISATION
    )
    open_page(site, page)
    warning = page.locator("#organisation-change")
    expect(warning).to_contain_text(f"Until now orders went to {ORGANISATION['name']}.")
    expect(page.locator("#todo")).to_contain_text("Confirm the organisation")
    press(page, f"Yes, post to {OTHER_ORGANISATION['name']}")
    expect(page.locator("#connection-state")).to_contain_text("Connected")
    expect(warning).to_be_hidden()


def test_disconnecting_asks_first_and_says_what_was_done(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    press(page, "Disconnect")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(ORGANISATION["name"])
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#disconnect")).to_be_focused()
    assert site.asked("DELETE", "connection") == []
    press(page, "Disconnect")
    dialog.get_by_role("button", name="Disconnect").click()
    expect(page.locator("#connection-state")).to_contain_text("Access was taken back in Xero, too.")
    expect(page.get_by_role("button", name="Get Access Token", exact=True)).to_be_focused()


def test_what_keeps_a_connected_company_from_posting_is_on_top(site: Site, page: Page) -> None:
    site.set_up()
    words, fix = "Connected, but company 9 uses the same number prefix.", "Enter another Number prefix."
    site.connection = connection("connected", words=words, fix=fix)
    open_page(site, page)
    expect(page.locator("#todo")).to_contain_text(f"{words} {fix}")


def test_new_credentials_show_what_becomes_of_the_connection(site: Site, page: Page) -> None:
    site.set_up()
    site.connection = connection("wrong_credentials")
    open_page(site, page)
    site.connection = connection("connected")
    page.get_by_label("Client Secret").fill("canary-secret")
    press(page, "Save")
    expect(page.locator("#connection-state .badge")).to_have_text("Connected")
    expect(page.locator("#todo")).to_contain_text("Everything is set up")

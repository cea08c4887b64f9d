"""Check setup: one button, and a look before orders go to Xero."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.site import Site
from tests.browser.states import CHECKS, open_page


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


def test_what_is_wrong_leads_to_its_setting_and_goes_once_another_is_saved(site: Site, page: Page) -> None:
    site.set_up()
    site.checks = CHECKS
    open_page(site, page)
    page.get_by_label("Currency", exact=True).evaluate("one => { one.value = 'EUR'; }")
    page.get_by_role("button", name="Check setup").click()
    items = page.locator("#checks li")
    expect(items).to_have_count(len(CHECKS))
    expect(page.locator("#todo")).to_contain_text("Orders that meet what is not right below will stop.")
    assert [call.body for call in site.asked("POST", "check-setup")] == [{"settings": {"currency": "EUR"}}]
    expect(items.nth(3)).to_contain_text("Contact (Not right): The contact “Kornit X orders” is archived")
    items.nth(3).get_by_role("button", name="Contact").click()
    expect(page.get_by_label("Contact name", exact=True)).to_be_focused()
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    expect(items).to_have_count(len(CHECKS))
    page.get_by_label("Contact name", exact=True).fill("Kornit X wholesale")
    save(page)
    expect(page.locator("#checks")).to_be_empty()
    expect(page.locator("#todo")).to_contain_text("Everything is set up.")


def test_before_it_is_switched_on_what_is_wrong_must_be_put_right_or_confirmed(
    site: Site, page: Page
) -> None:
    site.set_up(enabled=False)
    site.checks = CHECKS
    open_page(site, page)
    page.get_by_label("Switched on").check()
    save(page)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("is archived in Xero. Restore it there")
    expect(dialog).not_to_contain_text("calls are left")
    expect(dialog.get_by_role("button", name="Go on editing")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#save-status")).to_have_text("Not saved yet.")
    assert site.asked("PUT", "settings") == []
    save(page)
    dialog.get_by_role("button", name="Save all the same").click()
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert site.settings["enabled"] is True
    # once it is on, other settings are saved without a look
    page.get_by_label("Shipping account", exact=True).fill("260")
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert len(site.asked("POST", "check-setup")) == 2


def test_the_save_that_fills_in_the_last_of_what_is_missing_looks_too(site: Site, page: Page) -> None:
    site.set_up(contact_name="", sales_account_code="")
    open_page(site, page)
    page.get_by_label("Sales account", exact=True).fill("200")
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Still missing: Contact name")
    assert site.asked("POST", "check-setup") == []
    page.get_by_label("Contact name", exact=True).fill("Kornit X orders")
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    [asked] = site.asked("POST", "check-setup")
    assert asked.body == {"settings": {"contact_name": "Kornit X orders"}}


def test_xero_out_of_reach_keeps_nobody_from_switching_on(site: Site, page: Page) -> None:
    site.set_up(enabled=False)
    site.refuse("POST check-setup", 503, "xero_unavailable", "Xero does not answer right now.")
    open_page(site, page)
    page.get_by_label("Switched on").check()
    save(page)
    expect(page.locator("#save-status")).to_contain_text("The set-up was not checked. Xero does not answer")
    assert site.settings["enabled"] is True


def test_values_that_can_not_be_saved_are_told_beside_their_fields(site: Site, page: Page) -> None:
    site.set_up()
    fields = [{"name": "contact_name", "message": "too long"}]
    site.refuse("POST check-setup", 422, "invalid", "Not checked.", fields=fields)
    open_page(site, page)
    page.get_by_role("button", name="Check setup").click()
    expect(page.locator("#contact_name-error")).to_have_text("too long")
    expect(page.locator("#checks")).to_contain_text("can’t be checked")

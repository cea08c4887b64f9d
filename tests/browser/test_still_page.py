"""Nothing moves away from under a press: every button works at the first one, however slow."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.site import Site, contact_note
from tests.browser.states import open_page

BUTTONS = """() => [...document.querySelectorAll("button, summary, a, label:has(input)")]
  .filter((one) => one.checkVisibility())
  .map((one) => {
    const { x, y } = one.getBoundingClientRect();
    return `${one.id || one.textContent.trim()} ${Math.round(x)} ${Math.round(y)}`;
  })"""
SLOW = 300
"""Milliseconds that a slow hand holds a button: longer than the page's own pauses and a list's way here."""


def press_slowly(page: Page, button: Locator) -> None:
    """Press and let go, and see that nothing moves meanwhile."""
    box = button.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    before: Any = page.evaluate(BUTTONS)
    page.mouse.down()
    page.wait_for_timeout(SLOW)
    meanwhile: Any = page.evaluate(BUTTONS)
    page.mouse.up()
    assert [one for one in meanwhile if one not in before] == []


WIDTHS = pytest.mark.parametrize("width", [480, 1000])


@WIDTHS
@pytest.mark.parametrize("contact", ["Kornit X orders", "Nobody at all"])
def test_save_works_at_the_first_press_after_the_contact_was_typed(
    site: Site, page: Page, width: int, contact: str
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    site.set_up(contact_name="")
    site.notes = [contact_note(contact)]
    open_page(site, page)
    page.get_by_label("Contact name", exact=True).press_sequentially(contact)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    press_slowly(page, page.get_by_role("button", name="Save", exact=True))
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert site.settings["contact_name"] == contact


@WIDTHS
def test_no_button_moves_while_what_was_typed_before_is_looked_up(site: Site, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    site.set_up()
    open_page(site, page)
    page.locator("#more > summary").click()
    for label, value, button in (
        ("Sales account", "999", page.get_by_role("button", name="Disconnect", exact=True)),
        ("Contact name", "Kornit X orders", page.get_by_role("button", name="Add a tax rate")),
        ("Currency", "XYZ", page.get_by_role("button", name="Add a category")),
        ("Sales account", "other revenue", page.locator("label.choice:has([value=tracked])")),
        ("Shipping account", "998", page.locator("#history > summary")),
    ):
        page.get_by_label(label, exact=True).fill(value)
        button.scroll_into_view_if_needed()
        press_slowly(page, button)
        page.keyboard.press("Escape")
    expect(page.get_by_label("Sales account", exact=True).first).to_have_value("260")


def test_a_list_that_is_open_does_not_cover_save(site: Site, page: Page) -> None:
    page.set_viewport_size({"width": 480, "height": 500})
    site.set_up()
    open_page(site, page)
    contact = page.get_by_label("Contact name", exact=True)
    contact.fill("")
    contact.evaluate("(field) => scrollBy(0, field.getBoundingClientRect().bottom - 420)")
    contact.press_sequentially("kornit")
    expect(page.locator(".popup:visible [role=option]")).to_have_count(2)
    press_slowly(page, page.get_by_role("button", name="Save", exact=True))
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert site.settings["contact_name"] == "kornit"

"""The section Book match of the Orders tab, in Chromium."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.site import Site, books_differ, matched
from tests.browser.states import open_book_match, open_page


def test_the_buttons_ask_for_a_match_and_the_page_shows_what_it_finds_by_itself(
    site: Site, page: Page
) -> None:
    page.clock.install()
    open_book_match(site, page)
    page.get_by_role("button", name="Match all documents").click()
    expect(page.locator("#match-status")).to_contain_text("It begins in a moment")
    [asked] = site.asked("POST", "book-match")
    assert asked.body == {"in_full": True}
    site.book_match = books_differ()
    page.clock.run_for(6_000)
    expect(page.locator(".differences > li")).to_have_count(3)
    expect(page.get_by_role("link", name="Open in Xero").first).to_have_attribute(
        "href", "https://go.xero.com/app/!k7Qd/invoicing/view/0"
    )
    asked_before = len(site.asked("GET", "book-match"))
    page.clock.run_for(30_000)
    assert len(site.asked("GET", "book-match")) == asked_before, "a match that is done changes no more"
    page.get_by_role("link", name="Order 5012340").click()
    expect(page).to_have_url(f"{site.page}#orders/5012340")
    expect(page.locator("#book-match")).to_be_hidden()


def test_nothing_is_asked_for_before_the_section_is_opened(site: Site, page: Page) -> None:
    site.book_match = matched()
    site.set_up()
    open_page(site, page, "#orders")
    assert site.asked("GET", "book-match") == []
    page.get_by_role("heading", name="Book match").click()
    expect(page.locator("#match-result")).to_contain_text("No difference")
    assert len(site.asked("GET", "book-match")) == 1
    page.get_by_role("heading", name="Book match").click()
    expect(page.locator("#match-result")).to_be_hidden()
    site.refuse("POST book-match", 409, "not_connected", "Connect to Xero first.")
    page.get_by_role("heading", name="Book match").click()
    page.get_by_role("button", name="Match the books now").click()
    expect(page.locator("#match-error")).to_contain_text("Connect to Xero first")

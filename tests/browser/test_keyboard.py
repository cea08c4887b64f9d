"""The page without a mouse: everything is reached in reading order, and where one is can always be seen."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.site import Site
from tests.browser.states import busy_orders, open_page

AT = """() => {
  const one = document.activeElement;
  const bar = document.querySelector(".save-bar");
  const barTop = bar.checkVisibility() && !one.closest(".save-bar") ? bar.getBoundingClientRect().top : Infinity;
  const beside = one.matches("input[type=radio]") ? getComputedStyle(one.nextElementSibling) : null;
  const rings = [getComputedStyle(one), getComputedStyle(one, "::after"), beside].filter(Boolean);
  return {
    what: one.id || one.name || one.textContent.trim().slice(0, 30) || one.tagName,
    ringed: rings.some((ring) => ring.outlineStyle !== "none" && parseFloat(ring.outlineWidth) >= 2),
    covered: one.getBoundingClientRect().bottom > barTop + 1,
    end: one === document.body,
  };
}"""


def walk(page: Page, most: int = 120) -> list[dict[str, Any]]:
    """What Tab comes by, until it leaves the page."""
    seen: list[dict[str, Any]] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        at: dict[str, Any] = page.evaluate(AT)
        if at["end"]:
            break
        seen.append(at)
    return seen


def in_order(wanted: list[str], seen: list[dict[str, Any]]) -> None:
    names = [at["what"] for at in seen]
    places = [names.index(name) for name in wanted]
    assert places == sorted(places), names


def test_tab_walks_the_settings_in_reading_order_and_the_focus_is_seen(site: Site, page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    site.set_up()
    open_page(site, page)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for width in (480, 1000):
        page.set_viewport_size({"width": width, "height": 700})
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        page.locator("h1").click()
        seen = walk(page)
        assert [at["what"] for at in seen if not at["ringed"]] == []
        assert [at["what"] for at in seen if at["covered"]] == []
        in_order(
            [
                "settings-tab",
                "enabled",
                "copy-redirect",
                "client_id",
                "client_secret",
                "reconnect",
                "disconnect",
                "process_method",
                "sales_account_code",
                "contact_name",
                "invoice_status",
                "errors_email",
                "save",
            ],
            seen,
        )


def test_the_tabs_are_changed_with_the_arrow_keys(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = busy_orders()
    open_page(site, page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Help")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Log out")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("tab", name="Settings")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Orders")).to_be_focused()
    expect(page.get_by_role("tab", name="Orders")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tabpanel", name="Orders")).to_be_visible()
    expect(page.locator("#settings-panel")).to_be_hidden()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tabpanel", name="Settings")).to_be_visible()


def test_an_order_is_found_opened_and_retried_with_the_keyboard(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = busy_orders()
    open_page(site, page, "#orders")
    expect(page.locator("#order-rows > li")).to_have_count(9)
    page.get_by_role("tab", name="Orders").focus()
    seen = walk(page)
    assert [at["what"] for at in seen if not at["ringed"]] == []
    in_order(
        ["refresh-orders", "status", "order-search", "order-problem", "order-from", "Order 5012345"], seen
    )
    page.get_by_role("link", name="Order 5012343").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Order 5012343")).to_be_focused()
    page.get_by_role("button", name="Retry", exact=True).wait_for()
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Retry":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Order 5012343 On its way")).to_be_focused()


def test_enter_in_a_field_saves(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    page.get_by_label("Client ID").fill("8A1F00")
    page.keyboard.press("Enter")
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert site.client_id == "8A1F00"


def test_changes_are_announced_by_live_regions(site: Site, page: Page) -> None:
    open_page(site, page)
    for place, role in {
        "#save-status": "status",
        "#save-error": "alert",
        "#connection-state": "status",
        "#connection-error": "alert",
        "#session-notice": "alert",
        "#orders-status": "status",
        "#orders-error": "alert",
        "#one-order-status": "status",
    }.items():
        assert page.locator(place).get_attribute("role") == role, place
    assert page.get_by_role("banner").count() == 1
    assert page.get_by_role("main").count() == 1

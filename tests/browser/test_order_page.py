"""One order's page, with the reason of everything in its documents; and a preview under the settings on screen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site, explained, explained_in_xero, invoice, order, problem
from tests.browser.states import busy_orders, of_a_message, open_page

WIDTHS = (480, 1000)
HOSTILE = '<img src=x onerror="alert(1)">{{7*7}}'


def open_order(site: Site, page: Page, one: dict[str, object]) -> None:
    site.set_up()
    site.orders = [one]
    open_page(site, page, f"#orders/{one['id']}")


def open_preview(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = busy_orders()
    open_page(site, page)
    page.locator("#preview > summary").click()


# --- one order ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_a_reason_leads_to_its_setting_and_back_leads_to_the_order(
    site: Site, page: Page, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    open_order(site, page, order("5012340"))
    page.get_by_text("Its lines, and why they are so").click()
    line = page.locator(".made > li").first
    expect(line).to_contain_text("12 × GBP 4.95")
    expect(line).to_contain_text("Account 200 (Sales): setting “Sales account”, version 3.")
    expect(line).to_contain_text("Field sale_vat_rate")
    line.get_by_role("link", name="Price on the invoice").click()
    expect(page.get_by_role("tab", name="Settings")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_label("Price on the invoice", exact=True)).to_be_focused()
    page.go_back()
    expect(page.get_by_role("heading", name="Order 5012340")).to_be_focused()


def test_the_address_of_a_setting_opens_it_in_a_new_window_too(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page, "#settings/payment_terms_days")
    expect(page.get_by_label("Payment terms in days")).to_be_focused()
    open_page(site, page, "#settings/no-such-setting")
    expect(page.get_by_label("Sales account", exact=True)).to_have_value("200")


def test_dates_and_amounts_are_in_the_readers_format(site: Site, page: Page) -> None:
    open_order(site, page, order("5012340"))
    page.get_by_text("Its lines, and why they are so").click()
    told = page.locator(".documents")
    expect(told).to_contain_text("Date: 4 Mar 2031")
    expect(told).to_contain_text("Due date: 3 Apr 2031")
    expect(told).to_contain_text("accounts and tax rates as known 4 Mar 2031, 10:50")
    figures = page.locator("#one-order-body > .totals")
    expect(figures).to_have_text("NetGBP 52.79Tax at 20 %GBP 10.56TotalGBP 63.35")
    shipping = page.get_by_role("row", name="Shipping")
    expect(shipping.get_by_role("cell")).to_have_text(["1", "GBP 3.29", "GBP 3.95", "–", "20 %"])


def test_a_document_that_would_be_another_one_today_says_so(site: Site, page: Page) -> None:
    changed = explained_in_xero(
        "5012340", remark="As known today, it could not be posted: …", lines=[], why=[]
    )
    open_order(site, page, order("5012340", explained=[changed]))
    page.get_by_text("Its lines, and why they are so").click()
    expect(page.locator(".made-of")).to_contain_text("As known today, it could not be posted")
    expect(page.locator(".made")).to_have_count(0)


def test_the_history_tells_what_happened_by_itself_and_what_a_person_did(site: Site, page: Page) -> None:
    open_order(site, page, order("5012340"))
    expect(page.locator("#one-order-body .history li span")).to_have_text(
        [
            "Sent to Xero, which created the sales invoice KX-5012340",
            "Grace Okafor: Pressed Retry",
            "Received from the platform",
        ]
    )


def test_the_same_shipping_on_another_part_is_pointed_at(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = [order("5012340", same_shipping=["5012341"]), order("5012341")]
    open_page(site, page, "#orders/5012340")
    expect(page.get_by_text("The same shipping is also on order 5012341")).to_be_visible()
    page.get_by_role("link", name="order 5012341").click()
    expect(page.get_by_role("heading", name="Order 5012341")).to_be_focused()
    expect(page.get_by_text("The same shipping is also on")).to_have_count(0)


def test_an_order_that_says_no_total_or_rate_is_shown_without(site: Site, page: Page) -> None:
    no_rate = {"net": "4.17", "taxes": [{"rate": None, "tax": "0.83"}], "total": "5.00"}
    open_order(site, page, order("5012340", totals=no_rate, shipping=None))
    expect(page.locator("#one-order-body > .totals")).to_contain_text("Tax, at no stated rate")
    expect(page.get_by_role("row", name="Shipping")).to_have_count(0)
    open_order(site, page, order("5012341", totals=None, lines=[]))
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    expect(page.locator("#one-order-body > .totals")).to_have_count(0)


def test_whatever_an_order_says_stays_text(site: Site, page: Page) -> None:
    made = explained_in_xero("5012340")
    made["lines"][0]["description"] = HOSTILE
    made["lines"][0]["why"][0]["words"] = f"{HOSTILE}: setting “Sales account”, version 3."
    made["why"][0]["words"] = made["remark"] = HOSTILE
    acts = [{"at": "2031-03-04T10:40:30Z", "by": HOSTILE, "what": HOSTILE}]
    document = invoice("5012340", notes=[HOSTILE])
    open_order(
        site, page, order("5012340", explained=[made], history=acts, documents=[document], ref=HOSTILE)
    )
    page.get_by_text("Its lines, and why they are so").click()
    expect(page.locator(".made b")).to_have_text(HOSTILE)
    expect(page.locator("#one-order-body img")).to_have_count(0)
    # the name of the setting leads there all the same
    expect(page.locator(".made").get_by_role("link", name="Sales account")).to_be_visible()


# --- a preview --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_an_order_is_previewed_under_the_settings_on_screen_and_nothing_is_saved(
    site: Site, page: Page, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    open_preview(site, page)
    page.get_by_label("Sales account", exact=True).fill("260")
    page.get_by_label("Order", exact=True).fill("KX-5012343")
    page.keyboard.press("Enter")
    shown = page.locator("#preview-result")
    expect(shown.get_by_role("heading", name="Sales invoice KX-5012343")).to_be_visible()
    expect(shown).to_contain_text("Account 260: setting “Sales account”, not saved yet.")
    expect(shown).to_contain_text("Dated by hand.")
    expect(page.locator("#preview-status")).to_have_text(
        "Under the settings on screen, with one setting that is not saved yet. Nothing was posted or saved."
    )
    [asked] = site.asked("POST", "preview")
    assert asked.body == {"order_id": "5012343", "settings": {"sales_account_code": "260"}}
    assert site.asked("PUT", "settings") == []
    shown.get_by_role("link", name="Sales account").click()
    expect(page.get_by_label("Sales account", exact=True)).to_be_focused()
    page.get_by_label("Sales account", exact=True).fill("205")
    expect(page.locator("#preview-status")).to_contain_text("Press Preview again.")


def test_the_latest_orders_are_offered(site: Site, page: Page) -> None:
    open_preview(site, page)
    expect(page.locator("#recent-orders option")).to_have_count(9)


def test_a_pasted_order_is_sent_as_it_is_to_the_last_decimal(site: Site, page: Page) -> None:
    open_preview(site, page)
    bodies: list[str] = []
    page.on("request", lambda sent: bodies.append(sent.post_data or "") if "preview" in sent.url else None)
    page.get_by_label("Or an order that is pasted in").fill(' {"id": 7, "price": 1.23456789012345678901} ')
    page.get_by_role("button", name="Preview", exact=True).click()
    expect(page.locator("#preview-result h3")).to_have_text("Sales invoice KX-7")
    assert bodies == ['{"settings": {}, "id": 7, "price": 1.23456789012345678901}']


def test_what_is_no_order_is_refused_before_it_is_sent(site: Site, page: Page) -> None:
    open_preview(site, page)
    error, show = page.locator("#preview-error"), page.get_by_role("button", name="Preview", exact=True)
    show.click()
    expect(error).to_have_text("Choose an order, or paste one in.")
    for pasted in ('{"id": 7', "[]", "{}", "7"):
        page.get_by_label("Or an order that is pasted in").fill(pasted)
        show.click()
        expect(error).to_contain_text("is no complete order")
    assert site.asked("POST", "preview") == []
    page.get_by_label("Or an order that is pasted in").fill("")
    page.get_by_label("Order", exact=True).fill("4711")
    show.click()
    expect(error).to_have_text("There is no such order here.")


def test_a_setting_on_screen_that_can_not_be_saved_is_named(site: Site, page: Page) -> None:
    fields = [{"name": "payment_terms_days", "message": "must be at most 365"}]
    site.refuse("POST preview", 422, "invalid", "Some values on screen need correcting first.", fields=fields)
    open_preview(site, page)
    page.get_by_label("Order", exact=True).fill("5012343")
    page.get_by_role("button", name="Preview", exact=True).click()
    expect(page.locator("#preview-error")).to_contain_text("Some values on screen need correcting first.")
    page.locator("#preview-error").get_by_role("button", name="Payment terms in days").click()
    expect(page.get_by_label("Payment terms in days")).to_be_focused()
    expect(page.locator("#payment_terms_days-error")).to_have_text("must be at most 365")


def test_an_order_that_would_stop_wait_or_be_skipped_says_so(site: Site, page: Page) -> None:
    open_preview(site, page)
    page.get_by_label("Order", exact=True).fill("5012343")
    show, shown = page.get_by_role("button", name="Preview", exact=True), page.locator("#preview-result")
    site.preview = {"problem": problem("5012343")}
    show.click()
    expect(shown.locator(".sentence")).to_contain_text("“Sales account” is set to account 999")
    site.preview = {"documents": [], "skipped": "The order is cancelled on the platform."}
    show.click()
    expect(shown).to_have_text("The order is cancelled on the platform.")
    made = explained("5012343") | {"body": {}, "notes": []}
    site.preview = {"documents": [made], "waits": "Waiting for the order to be dispatched."}
    show.click()
    expect(shown).to_contain_text("Waiting for the order to be dispatched.")
    expect(shown.locator(".made > li")).to_have_count(1)


def test_an_order_leads_to_its_preview(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = busy_orders()
    open_page(site, page, "#orders/5012343")
    page.get_by_role("link", name="Preview it under the settings on screen").click()
    expect(page.locator("#preview-result h3")).to_have_text("Sales invoice KX-5012343")
    expect(page.get_by_label("Order", exact=True)).to_have_value("5012343")
    page.go_back()
    expect(page.get_by_role("heading", name="Order 5012343")).to_be_focused()
    page.goto("about:blank")
    open_page(site, page, "#preview/5012342")
    expect(page.locator("#preview-result h3")).to_have_text("Sales invoice KX-5012342")


def test_a_setting_that_a_fix_names_leads_to_it(site: Site, page: Page) -> None:
    open_order(site, page, order("5012343", "needs_attention"))
    fixed = page.get_by_role("region", name="Problem")
    expect(fixed.get_by_role("button", name="Retry", exact=True)).to_have_class("main")
    fixed.get_by_role("definition").get_by_role("link", name="Sales account").click()
    expect(page.get_by_label("Sales account", exact=True)).to_be_focused()


def test_retry_does_not_stand_out_where_an_order_is_posted_by_itself(site: Site, page: Page) -> None:
    open_order(
        site, page, order("5012343", "needs_attention", problem=problem("5012343", "contact_not_found"))
    )
    expect(page.get_by_role("button", name="Retry", exact=True)).to_have_class("quiet")


def test_an_order_that_has_to_be_sent_again_names_the_field_apart_and_has_no_retry(
    site: Site, page: Page
) -> None:
    open_order(site, page, of_a_message("5012343"))
    told = page.get_by_role("region", name="Problem")
    expect(told).to_contain_text("The sale price of line 1 should be a number but is “12,50”.")
    expect(told.locator("code")).to_have_text("items[0].unit_sale_price")
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    page.goto(site.page + "#orders")
    page.get_by_label("Problem or reason").select_option("bad_number")
    expect(page.locator("#order-rows > li")).to_have_count(1)
    expect(page.get_by_role("button", name="Retry all of them")).to_be_hidden()

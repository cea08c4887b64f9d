"""The tab Orders: what became of every order, and what a person can do about it."""

from __future__ import annotations

import codecs
import csv
import io
import re
import time

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.site import Call, Site, invoice, order, problem
from tests.browser.states import READ_AGAIN, busy_orders, open_page
from tests.browser.test_still_page import press_slowly


def open_orders(site: Site, page: Page, more: str = "") -> None:
    site.set_up()
    site.orders = site.orders or busy_orders()
    open_page(site, page, f"#orders{more}")


@pytest.mark.parametrize(
    "fragment", ["#orders/%", "#orders/%E0%A4%A", "#orders/%FF", "#orders/../settings", "#%"]
)
def test_a_malformed_fragment_in_the_address_breaks_nothing(site: Site, page: Page, fragment: str) -> None:
    site.set_up()
    site.orders = busy_orders()
    open_page(site, page, fragment)
    page.get_by_role("tab", name="Orders 2 need attention").click()
    expect(page.locator("#order-rows > li")).to_have_count(9)
    page.get_by_role("tab", name="Settings").click()
    expect(page.get_by_label("Sales account", exact=True)).to_have_value("200")


def test_the_tab_says_how_many_orders_need_attention_before_it_is_opened(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = busy_orders()
    open_page(site, page)
    expect(page.get_by_role("tab", name="Orders 2 need attention")).to_be_visible()


def test_a_row_says_date_reference_total_state_and_the_reason_in_a_few_words(site: Site, page: Page) -> None:
    site.orders = [order("5012343", "needs_attention"), order("5012344", "waiting", total=None, sold_on=None)]
    open_orders(site, page)
    stopped = page.locator("#order-rows > li").first
    for words in (
        "Order 5012343",
        "TT-5012343 · SHOP#2343",
        "3 Mar 2031",
        "GBP 63.35",
        "Needs attention",
        "Account not found",
    ):
        expect(stopped).to_contain_text(words)
    expect(stopped).not_to_contain_text("“Sales account” is set to account 999")
    expect(page.locator("#order-rows > li").last.locator(".amount")).to_have_text("–")


def test_a_row_says_what_a_credited_or_voided_order_comes_to_by_now(site: Site, page: Page) -> None:
    site.orders = [
        order(
            "5012001", credited="63.35", comes_to="0.00", documents=[invoice("5012001", stands="credited")]
        ),
        order("5012002", comes_to="0", documents=[invoice("5012002", stands="voided")]),
    ]
    open_orders(site, page)
    credited, voided = page.locator("#order-rows > li").all()
    expect(credited.locator(".amount")).to_have_text("GBP 0.00")
    expect(credited).to_contain_text("Sales invoice KX-5012001, credited in full · GBP 63.35 credited")
    expect(voided.locator(".amount")).to_have_text("GBP 0.00")
    expect(voided).to_contain_text("Sales invoice KX-5012002, voided")


@pytest.mark.parametrize("width", [480, 900, 1000])
def test_a_long_amount_is_shown_whole(site: Site, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    site.orders = [order("5012001", total="36000000040.35")]
    open_orders(site, page)
    money = page.locator("#order-rows .amount")
    expect(money).to_have_text("GBP 36,000,000,040.35")
    assert money.evaluate("(cell) => cell.scrollWidth <= cell.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_problems_are_gathered_with_whose_they_are_and_what_to_do_and_a_press_lists_them(
    site: Site, page: Page
) -> None:
    site.orders = [order(str(5012000 + number), "needs_attention") for number in range(9)]
    site.orders += [order("5012900", "needs_attention", problem=problem("5012900", "item_not_tracked"))]
    open_orders(site, page)
    told = page.get_by_role("region", name="What needs attention")
    expect(told.get_by_role("listitem")).to_have_count(2)
    example = told.get_by_text("Order 5012008, for example: “Sales account” is set to account 999")
    expect(example).to_be_hidden()
    told.get_by_text("9 orders, GBP 570.15: Account not found").click()
    expect(example).to_be_visible()
    expect(told).to_contain_text("Somebody in your office: Choose an account that exists in Xero")
    told.get_by_role("button", name=re.compile("List them ?: Account not found")).click()
    expect(page.locator("#order-rows > li")).to_have_count(9)
    expect(page.get_by_role("heading", name="Orders", exact=True)).to_be_focused()
    expect(told.get_by_role("listitem")).to_have_count(1)
    expect(told.get_by_role("button")).to_have_count(0)
    assert site.asked("GET", "orders")[-1].query == {"problem": "account_not_found"}
    page.get_by_role("radio", name="Posted").last.check()
    expect(told).to_be_hidden()


def test_five_problems_are_shown_at_first_and_the_others_at_a_press(site: Site, page: Page) -> None:
    codes = [
        *("account_not_found", "item_not_tracked", "contact_not_found", "no_sale", "rate_not_found"),
        *("locked_period", "number_taken"),
    ]
    site.orders = [
        order(str(5012000 + place), "needs_attention", problem=problem(str(5012000 + place)) | {"code": code})
        for place, code in enumerate(codes)
    ]
    open_orders(site, page)
    told = page.get_by_role("region", name="What needs attention")
    expect(told.get_by_role("listitem")).to_have_count(5)
    told.get_by_role("button", name="Show all 7").click()
    expect(told.get_by_role("listitem")).to_have_count(7)
    expect(told.locator("summary").nth(5)).to_be_focused()
    expect(told.get_by_role("button", name="Show all")).to_be_hidden()


def test_what_a_person_opened_stays_open_while_the_numbers_change(site: Site, page_with_clock: Page) -> None:
    page = page_with_clock
    site.orders = [order(str(5012000 + number), "needs_attention") for number in range(2)]
    open_orders(site, page)
    told = page.get_by_role("region", name="What needs attention")
    told.locator("summary").click()
    site.orders.append(order("5012003", "needs_attention"))
    page.clock.fast_forward(40_000)
    expect(told.locator("summary")).to_have_text("3 orders, GBP 190.05: Account not found")
    expect(told.locator("details")).to_have_attribute("open", "")
    expect(told.locator("summary")).to_be_focused()


def test_each_state_says_how_many_orders_it_has_and_what_they_come_to(site: Site, page: Page) -> None:
    site.orders = busy_orders()
    site.orders += [order("5012000", "posted", currency="EUR", total="1234.5")]
    site.more = ["posted"]
    open_orders(site, page)
    states = page.get_by_role("group", name="State")
    expect(states).to_contain_text("Needs attention 2 GBP 126.70")
    expect(states).to_contain_text("Posted 3+ more than EUR 1,234.50 + GBP 126.70")
    expect(page.get_by_role("radio", name="Waiting 1 GBP 63.35")).to_be_attached()


def test_what_the_days_are_about_is_said(site: Site, page: Page) -> None:
    open_orders(site, page)
    for label in ("Dates of", "From", "Until"):
        expect(page.get_by_label(label, exact=True)).to_have_accessible_description(
            re.compile("Both days are included.*UTC.*a sale by the day on the order")
        )


def test_orders_are_found_by_state_problem_dates_and_words(site: Site, page: Page) -> None:
    open_orders(site, page)
    expect(page.locator("#order-rows > li")).to_have_count(9)
    page.get_by_role("radio", name="Needs attention 2").check()
    expect(page.locator("#order-rows > li")).to_have_count(2)
    page.get_by_label("Problem or reason").select_option(label="Item not tracked (1)")
    expect(page.locator("#order-rows > li")).to_have_count(1)
    page.get_by_label("Sort by last change").select_option("Oldest first")
    page.get_by_label("Dates of").select_option("Sale")
    page.get_by_label("From", exact=True).fill("2031-03-01")
    page.get_by_label("Until", exact=True).fill("2031-03-05")
    page.get_by_label("Search").fill("5012342")
    with page.expect_response(lambda answer: "search=5012342" in answer.url):
        page.keyboard.press("Enter")
    expect(page.locator("#orders-status")).to_have_text("1 order")
    assert site.asked("GET", "orders")[-1].query == {
        "status": "needs_attention",
        "problem": "item_not_tracked",
        "sort": "oldest",
        "dates": "sold",
        "from": "2031-03-01",
        "to": "2031-03-05",
        "search": "5012342",
    }


def test_no_result_is_explained_and_one_press_shows_all_again(site: Site, page: Page) -> None:
    open_orders(site, page)
    page.get_by_label("Search").fill("nowhere")
    expect(page.get_by_role("heading", name="No order fits")).to_be_visible()
    page.get_by_role("button", name="Show all orders").click()
    expect(page.locator("#order-rows > li")).to_have_count(9)
    expect(page.get_by_role("heading", name="Orders", exact=True)).to_be_focused()


def test_more_orders_follow_and_the_focus_goes_to_the_first_of_them(site: Site, page: Page) -> None:
    site.orders = [order(str(5012000 + number)) for number in range(7)]
    site.page_length = 3
    open_orders(site, page)
    expect(page.locator("#orders-status")).to_have_text("3 orders, and more")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#order-rows > li")).to_have_count(6)
    expect(page.get_by_role("link", name="Order 5012003")).to_be_focused()
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#order-rows > li")).to_have_count(7)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_an_order_that_comes_again_with_more_of_them_is_shown_once(site: Site, page: Page) -> None:
    site.orders = [order(str(5012000 + number)) for number in range(6)]
    site.page_length = 3
    open_orders(site, page)
    expect(page.locator("#orders-status")).to_have_text("3 orders, and more")
    # somebody else tries the first one again
    site.orders.append(order("5012000", "queued"))
    site.page_length = 4
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#order-rows a")).to_have_text(
        [f"Order {id_}" for id_ in ("5012001", "5012002", "5012003", "5012004", "5012005", "5012000")]
    )
    expect(page.get_by_role("link", name="Order 5012003")).to_be_focused()


def test_an_order_shows_its_problem_whose_it_is_and_what_to_do(site: Site, page: Page) -> None:
    open_orders(site, page)
    page.get_by_role("link", name="Order 5012343").click()
    expect(page.get_by_role("heading", name="Order 5012343")).to_be_focused()
    told = page.get_by_role("region", name="Problem")
    expect(told).to_contain_text("“Sales account” is set to account 999")
    expect(told).to_contain_text("Somebody in your office")
    expect(told).to_contain_text("Choose an account that exists in Xero")
    quote = told.get_by_text("Account code '999' is not a valid code for this document.")
    expect(quote).to_be_hidden()
    told.get_by_text("What Xero said").click()
    expect(quote).to_be_visible()


def test_xeros_reason_is_in_sight_where_the_words_refer_to_it(site: Site, page: Page) -> None:
    site.set_up()
    refused = problem("5012350") | {"fix": "Put right what Xero names below, then press Retry."}
    site.orders = [order("5012350", "needs_attention", problem=refused)]
    open_page(site, page, "#orders/5012350")
    expect(page.get_by_role("region", name="Problem").locator("q")).to_be_visible()


def test_dates_in_a_problem_are_as_the_reader_writes_them(site: Site, page: Page) -> None:
    site.set_up()
    dated = problem("5012350") | {"sentence": "Order 5012350: its date 2031-03-04 is in a locked period."}
    site.orders = [order("5012350", "needs_attention", problem=dated)]
    open_page(site, page, "#orders/5012350")
    told = page.get_by_role("region", name="Problem")
    expect(told).to_contain_text("Its date 4 Mar 2031 is in a locked period.")


def test_back_from_an_order_the_focus_is_where_it_was(site: Site, page: Page) -> None:
    open_orders(site, page)
    page.get_by_role("link", name="Order 5012341").click()
    expect(page.get_by_role("heading", name="Order 5012341")).to_be_focused()
    page.go_back()
    expect(page.get_by_role("link", name="Order 5012341")).to_be_focused()


def test_an_order_has_an_address_of_its_own(site: Site, page: Page) -> None:
    open_orders(site, page, "/5012339")
    expect(page.get_by_role("heading", name="Order 5012339")).to_be_visible()
    page.get_by_role("link", name="Back to the list").click()
    expect(page.locator("#order-rows > li")).to_have_count(9)


def test_documents_show_amount_currency_and_the_way_into_xero(site: Site, page: Page) -> None:
    document = invoice("5012339", total="12345678901234567.89", currency="JPY", status="AUTHORISED")
    site.orders = [order("5012339", documents=[document])]
    open_orders(site, page, "/5012339")
    told = page.locator(".documents")
    expect(told).to_contain_text("Sales invoice KX-5012339")
    expect(told).to_contain_text("Approved")
    expect(told.locator("> li > .amount")).to_have_text("JPY 12,345,678,901,234,567.89")
    link = told.get_by_role("link", name="Open in Xero")
    expect(link).to_have_attribute("href", document["link"])
    expect(link).to_have_attribute("target", "_blank")
    expect(link).to_have_attribute("rel", "noopener noreferrer")


def test_a_link_that_is_no_web_address_is_not_offered(site: Site, page: Page) -> None:
    site.orders = [order("5012339", documents=[invoice("5012339", link="javascript:alert(1)")])]
    open_orders(site, page, "/5012339")
    expect(page.locator(".documents")).to_contain_text("KX-5012339")
    expect(page.locator(".documents > li > a")).to_have_count(0)


def test_prices_keep_all_their_decimals(site: Site, page: Page) -> None:
    open_orders(site, page, "/5012339")
    row = page.get_by_role("row", name="Organic T-shirt")
    expect(row.get_by_role("cell")).to_have_text(["12", "GBP 4.1250", "GBP 4.9500", "GBP 2.1000", "20 %"])


def test_changes_after_posting_are_shown_on_the_list_and_on_the_order(site: Site, page: Page) -> None:
    open_orders(site, page)
    changed = page.get_by_role("listitem").filter(has_text="5012340")
    expect(changed).to_contain_text("changed on the platform after it was posted")
    changed.get_by_role("link").click()
    expect(page.get_by_role("region", name="Changes after posting")).to_contain_text("12 when posted, now 10")


def test_retry_queues_an_order_again(site: Site, page: Page) -> None:
    open_orders(site, page, "/5012343")
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator("#one-order-status")).to_contain_text("On its way again")
    expect(page.get_by_role("heading", name="Order 5012343 On its way")).to_be_focused()
    expect(page.get_by_role("button", name="Retry", exact=True)).to_have_count(0)
    assert [call.body for call in site.asked("POST", "orders/5012343/retry")] == [{}]


def test_an_item_that_is_not_tracked_can_be_used_as_it_is(site: Site, page: Page) -> None:
    open_orders(site, page, "/5012342")
    page.get_by_role("button", name="Use it as it is").click()
    expect(page.locator("#one-order-status")).to_contain_text("On its way again")
    assert [call.body for call in site.asked("POST", "orders/5012342/retry")] == [{"items_as_they_are": True}]


def test_what_freeing_an_order_does_is_said_on_the_button(site: Site, page: Page) -> None:
    label = "Accept as it is in Xero"
    site.orders = [
        order(
            str(5012000 + number),
            "needs_attention",
            problem=problem(str(5012000 + number), "adopted_differs"),
            retry_label=label,
        )
        for number in range(2)
    ]
    open_orders(site, page, "/5012001")
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    expect(page.get_by_role("button", name=f"{label}: all orders with this problem")).to_be_visible()
    page.get_by_role("button", name=label, exact=True).click()
    expect(page.locator("#one-order-status")).to_contain_text("On its way again")
    open_orders(site, page)
    page.get_by_label("Problem or reason").select_option("adopted_differs")
    page.get_by_role("button", name=f"{label}: all of them").click()
    expect(page.locator("#orders-status")).to_contain_text("on its way again")
    assert [call.body for call in site.asked("POST", "orders/retry")] == [{"problem": "adopted_differs"}]


def refunded(site: Site, page: Page) -> None:
    site.orders = [order("5012346", "needs_attention", problem=problem("5012346", "no_sale"))]
    open_orders(site, page, "/5012346")
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)


def test_orders_that_may_be_in_the_former_books_are_retried_one_by_one(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = [
        order("5012346", "needs_attention", problem=problem("5012346") | {"code": "may_already_be_in"})
    ]
    open_page(site, page, "#orders/5012346")
    told = page.get_by_role("region", name="Problem")
    expect(told.get_by_role("button")).to_have_text(["Retry"])


def test_an_order_that_is_no_sale_is_posted_at_a_person_s_word(site: Site, page: Page) -> None:
    refunded(site, page)
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#one-order-status")).to_contain_text("On its way again")
    assert [call.body for call in site.asked("POST", "orders/5012346/retry")] == [{"no_sale": "post"}]


def test_an_order_that_is_no_sale_is_skipped_and_can_still_be_posted(site: Site, page: Page) -> None:
    refunded(site, page)
    page.get_by_role("button", name="Skip", exact=True).click()
    expect(page.locator("#one-order-status")).to_contain_text("Skipped. It can still be posted later.")
    expect(page.get_by_role("heading", name="Order 5012346 Skipped")).to_be_focused()
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#one-order-status")).to_contain_text("On its way again")
    asked = [call.body for call in site.asked("POST", "orders/5012346/retry")]
    assert asked == [{"no_sale": "skip"}, {"no_sale": "post"}]


def test_an_order_cancelled_half_posted_is_skipped_and_its_invoice_can_still_be_posted(
    site: Site, page: Page
) -> None:
    purchase_order = invoice("5012347", kind="purchase_order", link="https://go.xero.com/po/1")
    asked = problem("5012347", "no_sale")
    asked["sentence"] = (
        "Order 5012347: it is “Cancelled” on the platform, so it may be no sale. Its purchase order KX-5012347 is in"
        " Xero, but its invoice is not. Skip leaves it so."
    )
    site.orders = [order("5012347", "needs_attention", problem=asked, documents=[purchase_order])]
    open_orders(site, page, "/5012347")
    expect(page.locator(".problem .sentence")).to_contain_text("its invoice is not")
    expect(page.get_by_role("button", name="Retry", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Skip", exact=True).click()
    expect(page.locator("#one-order-status")).to_contain_text("Skipped. It can still be posted later.")
    expect(page.locator(".documents > li")).to_contain_text("Purchase order")
    expect(page.get_by_role("button", name="Retry", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#one-order-status")).to_contain_text("On its way again")
    bodies = [call.body for call in site.asked("POST", "orders/5012347/retry")]
    assert bodies == [{"no_sale": "skip"}, {"no_sale": "post"}]


def test_a_refused_retry_says_why(site: Site, page: Page) -> None:
    site.refuse(
        "POST orders/5012343/retry", 409, "nothing_to_retry", "It is being looked up. Try again soon."
    )
    open_orders(site, page, "/5012343")
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator("#one-order-error")).to_have_text("It is being looked up. Try again soon.")


def test_all_orders_of_a_problem_are_retried_at_once(site: Site, page: Page) -> None:
    site.orders = [order(str(5012000 + number), "needs_attention") for number in range(3)]
    site.orders += [order("5012900", "needs_attention", problem=problem("5012900", "item_not_tracked"))]
    open_orders(site, page)
    expect(page.get_by_role("button", name="Retry all of them")).to_be_hidden()
    page.get_by_label("Problem or reason").select_option("account_not_found")
    page.get_by_role("button", name="Retry all of them").click()
    expect(page.locator("#orders-status")).to_have_text("3 orders are on their way again.")
    assert [call.body for call in site.asked("POST", "orders/retry")] == [{"problem": "account_not_found"}]
    assert [one["state"] for one in site.orders] == ["queued"] * 3 + ["needs_attention"]


def test_orders_skipped_for_one_reason_are_posted_later_in_one_press(site: Site, page: Page) -> None:
    site.orders = [order(str(5012000 + number), "skipped", reason="integration_off") for number in range(3)]
    open_orders(site, page, "/5012001")
    page.get_by_role("button", name="Retry all orders skipped for this reason").click()
    expect(page.locator("#one-order-status")).to_have_text("3 orders are on their way again.")


def test_orders_on_their_way_are_followed_without_a_press(site: Site, page_with_clock: Page) -> None:
    page = page_with_clock
    site.orders = [order("5012345", "queued")]
    open_orders(site, page)
    expect(page.locator("#order-rows .badge")).to_have_text("On its way")
    page.get_by_role("link", name="Order 5012345").focus()
    site.orders = [order("5012345")]
    page.clock.fast_forward(9_000)
    expect(page.locator("#order-rows .badge")).to_have_text("Posted")
    expect(page.get_by_role("link", name="Order 5012345")).to_be_focused()


def test_orders_that_stop_again_after_a_retry_come_back_by_themselves(
    site: Site, page_with_clock: Page
) -> None:
    page = page_with_clock
    site.orders = [order(str(5012000 + number), "needs_attention") for number in range(2)]
    open_orders(site, page)
    page.get_by_role("radio", name="Needs attention 2").check()
    page.get_by_role("checkbox", name="Select all shown").check()
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.get_by_role("heading", name="Nothing needs attention")).to_be_visible()
    site.orders = [order("5012000", "needs_attention"), order("5012001")]
    page.clock.fast_forward(4_000)
    expect(page.get_by_role("link", name="Order 5012000")).to_be_visible()
    site.orders = [order(str(5012000 + number), "needs_attention") for number in range(2)]
    page.clock.fast_forward(9_000)
    expect(page.get_by_role("link", name="Order 5012001")).to_be_visible()


def test_what_came_of_a_press_stands_in_sight(site: Site, page: Page) -> None:
    site.orders = [order(str(5012000 + number), "needs_attention") for number in range(40)]
    site.page_length = 40
    open_orders(site, page)
    box(page, "5012039").check()
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator("#orders-status")).to_have_text("1 order is tried again.")
    expect(page.locator("#orders-status")).to_be_in_viewport()


def test_an_order_on_its_way_is_followed_on_its_own_page(site: Site, page_with_clock: Page) -> None:
    page = page_with_clock
    site.orders = [order("5012345", "posting")]
    open_orders(site, page, "/5012345")
    expect(page.get_by_role("heading", name="Being posted")).to_be_visible()
    site.orders = [order("5012345")]
    page.clock.fast_forward(9_000)
    expect(page.get_by_role("heading", name="Order 5012345 Posted")).to_be_visible()
    expect(page.locator(".documents")).to_contain_text("KX-5012345")


def test_a_late_answer_never_replaces_a_newer_one(site: Site, page: Page) -> None:
    open_orders(site, page)
    expect(page.locator("#order-rows > li")).to_have_count(9)

    def slowly(call: Call) -> None:
        if call.query.get("status") == "posted":
            time.sleep(0.5)

    site.on_call = slowly
    page.get_by_role("radio", name="Posted 2").last.check()
    page.get_by_role("radio", name="Skipped 1").check()
    page.wait_for_timeout(800)
    expect(page.locator("#order-rows > li")).to_have_count(1)
    expect(page.locator("#order-rows .badge")).to_have_text("Skipped")


# --- several at once


def box(page: Page, order_id: str) -> Locator:
    return page.get_by_role("checkbox", name=f"Select order {order_id}")


def test_selected_orders_are_retried_in_one_press_and_those_that_are_not_say_why(
    site: Site, page: Page
) -> None:
    site.left = {"5012342": "This order changed a moment ago. Look at it again."}
    open_orders(site, page)
    expect(box(page, "5012339")).to_have_count(0)
    bar = page.get_by_role("region", name="Selected orders")
    expect(bar).to_be_hidden()
    box(page, "5012343").check()
    expect(bar).to_contain_text("1 order selected")
    box(page, "5012342").check()
    box(page, "5012337").check()
    expect(bar).to_contain_text("3 orders selected. 1 can’t be retried: 1 set aside")
    expect(bar.get_by_role("button")).to_have_text(
        ["Retry 2 of 3", "Set aside 2 of 3", "Take back 1 of 3", "Select none"]
    )
    bar.get_by_role("button", name="Retry 2 of 3").click()
    expect(page.locator("#orders-status")).to_have_text(
        "1 order is tried again. 1 order (5012342) could not be tried again: This order changed a moment ago."
        " Look at it again."
    )
    expect(page.locator("#orders-told")).to_be_focused()
    assert [call.body for call in site.asked("POST", "orders/retry")] == [{"ids": ["5012343", "5012342"]}]
    expect(bar).to_contain_text("1 order selected")
    bar.get_by_role("button", name="Take back").click()
    expect(page.locator("#orders-status")).to_have_text("1 order is taken back.")
    expect(bar).to_be_hidden()


def test_all_that_is_shown_is_set_aside_with_a_reason_by_keyboard(site: Site, page: Page) -> None:
    site.orders = [order(str(5012000 + number), "needs_attention") for number in range(3)]
    open_orders(site, page)
    everything = page.get_by_role("checkbox", name="Select all shown")
    box(page, "5012001").check()
    expect(everything).to_have_js_property("indeterminate", True)
    everything.focus()
    page.keyboard.press("Space")
    expect(everything).to_be_checked()
    expect(page.locator("#order-rows > li")).to_have_count(3)
    for _ in ["its box", "its link"] * 3:
        page.keyboard.press("Tab")
    expect(page.locator("#order-rows > li").last.get_by_role("link")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Retry", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Set 3 orders aside?")
    expect(dialog.get_by_role("textbox", name="Reason")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("  ")
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert not site.asked("POST", "orders/set-aside"), "a reason is needed, and it can be left"
    page.get_by_role("button", name="Set aside", exact=True).click()
    page.keyboard.type("Booked as INV-7")
    page.keyboard.press("Enter")
    expect(page.locator("#orders-status")).to_have_text("3 orders are set aside.")
    ids = ["5012000", "5012001", "5012002"]
    asked = [call.body for call in site.asked("POST", "orders/set-aside")]
    assert [one | {"ids": sorted(one["ids"])} for one in asked] == [{"ids": ids, "reason": "Booked as INV-7"}]
    everything.check()
    page.get_by_role("button", name="Select none").click()
    expect(everything).to_be_focused()
    expect(everything).not_to_be_checked()
    expect(page.get_by_role("region", name="Selected orders")).to_be_hidden()


def test_more_than_a_hundred_selected_orders_are_sent_in_parts(site: Site, page: Page) -> None:
    site.orders = [order(str(5012000 + number), "needs_attention") for number in range(230)]
    site.page_length = 230
    open_orders(site, page)
    page.get_by_role("checkbox", name="Select all shown").check()
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator("#orders-status")).to_have_text("230 orders are tried again.")
    asked = [call.body["ids"] for call in site.asked("POST", "orders/retry")]
    assert [len(ids) for ids in asked] == [100, 100, 30]
    assert len({id_ for ids in asked for id_ in ids}) == 230


def test_where_a_part_is_refused_it_is_said_how_far_it_came_and_the_rest_stays_selected(
    site: Site, page: Page
) -> None:
    site.orders = [order(str(5012000 + number), "needs_attention") for number in range(130)]
    site.page_length = 130
    open_orders(site, page)
    page.get_by_role("checkbox", name="Select all shown").check()

    def refuse_the_second(call: Call) -> None:
        if call.path == "orders/retry" and len(site.asked("POST", "orders/retry")) == 2:
            site.refuse("POST orders/retry", 403, "other_company", "This is another company’s page.")

    site.on_call = refuse_the_second
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator("#orders-error")).to_have_text(
        "100 orders are tried again. Then it stopped: This is another company’s page."
    )
    expect(page.get_by_role("region", name="Selected orders")).to_contain_text("30 orders selected")


def test_what_is_selected_stays_so_while_the_list_is_read_again_and_goes_with_another_filter(
    site: Site, page_with_clock: Page
) -> None:
    page = page_with_clock
    open_orders(site, page)
    box(page, "5012343").check()
    box(page, "5012342").check()
    site.orders = [order("5012349"), *(one for one in busy_orders() if one["id"] != "5012342")]
    site.orders += [order("5012342")]
    page.clock.fast_forward(9_000)
    expect(page.get_by_role("link", name="Order 5012349")).to_be_visible()
    expect(box(page, "5012343")).to_be_checked()
    expect(page.get_by_role("region", name="Selected orders")).to_contain_text("1 order selected")
    page.get_by_role("button", name="Refresh").click()
    expect(box(page, "5012343")).to_be_checked()
    page.get_by_role("radio", name="Needs attention").check()
    expect(page.locator("#order-rows > li")).to_have_count(1)
    expect(box(page, "5012343")).not_to_be_checked()
    expect(page.get_by_role("region", name="Selected orders")).to_be_hidden()


def test_orders_that_are_no_sale_are_posted_together_and_apart_from_those_that_are_retried(
    site: Site, page: Page
) -> None:
    site.orders = [
        order("5012346", "needs_attention", problem=problem("5012346", "no_sale")),
        order("5012345", "skipped", reason="refunded"),
        order("5012344", "needs_attention"),
    ]
    open_orders(site, page)
    page.get_by_role("checkbox", name="Select all shown").check()
    expect(page.locator("#selection-words")).to_have_text(
        "3 orders selected. 2 can’t be retried: 2 taken by “Post”"
    )
    page.get_by_role("button", name="Post 2 of 3").click()
    expect(page.locator("#orders-status")).to_have_text("2 orders are tried again.")
    assert [call.body for call in site.asked("POST", "orders/retry")] == [
        {"ids": ["5012346", "5012345"], "no_sale": "post"}
    ]


@pytest.mark.parametrize("width", [480, 1000])
def test_nothing_moves_when_orders_are_selected(site: Site, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    open_orders(site, page)
    expect(page.locator("#order-rows > li")).to_have_count(9)
    places = """() => [...document.querySelectorAll("#order-rows > li")]
      .map((row) => Math.round(scrollY + row.getBoundingClientRect().top))"""
    before = page.evaluate(places)
    for order_id in ("5012343", "5012341", "5012337"):
        box(page, order_id).evaluate("(box) => box.scrollIntoView({ block: 'center', behavior: 'instant' })")
        press_slowly(page, box(page, order_id))
        assert page.evaluate(places) == before
    press_slowly(page, page.get_by_role("button", name="Retry 1 of 3"))
    expect(page.locator("#orders-status")).to_have_text("1 order is tried again.")


# --- the file


def downloaded(page: Page) -> tuple[str, list[list[str]]]:
    """The file's name, and its rows."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    kept = download.value.path().read_bytes()
    assert kept.startswith(codecs.BOM_UTF8)
    text = kept.decode("utf-8-sig")
    assert text.endswith("\r\n")
    return download.value.suggested_filename, list(csv.reader(io.StringIO(text, newline="")))


def test_the_orders_of_the_filter_are_one_file_however_many_answers_it_takes(site: Site, page: Page) -> None:
    site.orders = [order(str(5012000 + number)) for number in range(7)]
    site.orders += [order("5012900", "skipped")]
    site.page_length = 3
    open_orders(site, page)
    page.get_by_role("radio", name="Posted 7").last.check()
    expect(page.locator("#orders-status")).to_have_text("3 orders, and more")
    name, (heads, *rows) = downloaded(page)
    expect(page.locator("#orders-status")).to_have_text("7 orders downloaded.")
    assert re.fullmatch(r"orders-\d{4}-\d\d-\d\d\.csv", name)
    assert [row[0] for row in rows] == [str(5012000 + number) for number in range(7)]
    assert dict(zip(heads, rows[0], strict=True)) == {
        "Order": "5012000",
        "Reference": "TT-5012000",
        "Sales channel reference": "SHOP#2000",
        "Date of sale": "2031-03-03",
        "Received (UTC)": "2031-03-04 10:40",
        "Changed (UTC)": "2031-03-04 10:41",
        "State": "Posted",
        "Reason": "",
        "What happened": "Posted as a draft.",
        "What to do": "",
        "Total": "63.35",
        "Credited": "",
        "Comes to now": "63.35",
        "Currency": "GBP",
        "Sales invoice": "KX-5012000",
        "Sales invoice total": "98.45",
        "Sales invoice currency": "GBP",
        "Sales invoice status": "Draft",
        "Purchase order": "",
        "Purchase order total": "",
        "Purchase order currency": "",
        "Purchase order status": "",
    }
    asked = [call.query for call in site.asked("GET", "orders")[-4:]]
    assert [one.pop("cursor", "") for one in asked] == ["", "3", "6", ""]
    assert asked == [{"status": "posted", "rows": "250"}] * 4


def test_an_order_that_changes_before_its_page_is_read_is_in_the_file_too(site: Site, page: Page) -> None:
    site.orders = [order(str(5012000 + number), "queued") for number in range(7)]
    site.page_length = 3
    open_orders(site, page)
    expect(page.locator("#orders-status")).to_have_text("3 orders, and more")

    def posted_meanwhile(route: Route) -> None:
        if site.orders[5]["id"] == "5012005":
            site.orders.pop(5)
            site.orders.insert(0, order("5012005", changed_at="2031-03-04T11:00:00Z"))
        route.continue_()

    page.route("**/orders?*cursor=3*", posted_meanwhile)
    _, (_, *rows) = downloaded(page)
    assert sorted(row[0] for row in rows) == [str(5012000 + number) for number in range(7)]


def test_the_file_says_what_stopped_an_order_and_what_to_do(site: Site, page: Page) -> None:
    site.orders = [order("5012343", "needs_attention", sold_on=None, total=None)]
    open_orders(site, page)
    _, (heads, row) = downloaded(page)
    cells = dict(zip(heads, row, strict=True))
    assert (cells["State"], cells["Reason"]) == ("Needs attention", "Account not found")
    assert cells["What to do"].startswith("Choose an account that exists in Xero")
    assert (cells["Date of sale"], cells["Total"], cells["Sales invoice"]) == ("", "", "")


def test_the_file_says_what_was_credited_where_it_stands_and_what_to_do_about_a_stopped_correction(
    site: Site, page: Page
) -> None:
    asked = {"what": "credit", "by": "Ada Moore", "at": "2031-03-04T10:50:00Z"}
    stopped = {**asked, "problem": problem("5012001")}
    paid = invoice("5012001", status="AUTHORISED", stands="part_credited")
    odd = invoice("5012002", status="NEW_TO_US", stands="")
    site.orders = [
        order("5012001", credited="20.00", comes_to="43.35", documents=[paid], correction=stopped),
        order("5012002", documents=[odd]),
    ]
    open_orders(site, page)
    _, (heads, *rows) = downloaded(page)
    credited, unknown = (dict(zip(heads, row, strict=True)) for row in rows)
    assert (credited["Credited"], credited["Comes to now"]) == ("20.00", "43.35")
    assert credited["Sales invoice status"] == "Approved, credited in part"
    assert credited["What to do"].startswith("Choose an account that exists in Xero")
    assert unknown["Sales invoice status"] == "NEW_TO_US"


@pytest.mark.parametrize("begins", "=+-@\t\r\n＝＋－＠")
def test_no_cell_of_the_file_is_a_formula_and_an_amount_stays_a_number(
    site: Site, page: Page, begins: str
) -> None:
    reference = f'{begins}HYPERLINK("https://example.com","Ärger")'
    site.orders = [order("5012000", external_ref=reference, ref="-1", total="-12.50")]
    open_orders(site, page)
    _, (heads, row) = downloaded(page)
    cells = dict(zip(heads, row, strict=True))
    assert (cells["Sales channel reference"], cells["Reference"]) == (f"'{reference}", "'-1")
    assert cells["Total"] == "-12.50"


def test_a_file_that_can_not_be_made_says_why(site: Site, page: Page) -> None:
    open_orders(site, page)
    expect(page.locator("#order-rows > li")).to_have_count(9)
    site.refuse("GET orders", 503, "busy", "The orders can’t be read right now.")
    page.get_by_role("button", name="Download CSV").click()
    expect(page.locator("#orders-error")).to_have_text("The orders can’t be read right now.")


# --- set aside, renamed contacts, and reading Xero again


def test_an_order_is_set_aside_with_a_reason_and_taken_back(site: Site, page: Page) -> None:
    open_orders(site, page, "/5012343")
    page.get_by_text("It was booked by hand, or is not to be posted: set it aside").click()
    page.get_by_role("button", name="Set aside", exact=True).click()
    page.get_by_role("textbox", name="Reason, such as").fill("  ")
    page.keyboard.press("Enter")
    assert not site.asked("POST", "orders/set-aside"), "a reason is needed"
    page.get_by_role("textbox", name="Reason, such as").fill("Booked as INV-7")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Order 5012343 Set aside")).to_be_focused()
    expect(page.locator("#one-order-body")).to_contain_text("Grace Okafor set it aside")
    expect(page.locator("#one-order-body")).to_contain_text("Booked as INV-7")
    expect(page.get_by_role("button", name="Retry", exact=True)).to_have_count(0)
    assert [call.body for call in site.asked("POST", "orders/set-aside")] == [
        {"ids": ["5012343"], "reason": "Booked as INV-7"}
    ]
    page.get_by_role("button", name="Take it back").click()
    expect(page.locator("#one-order-status")).to_contain_text("Taken back")
    assert [call.body for call in site.asked("POST", "orders/take-back")] == [{"ids": ["5012343"]}]


def test_what_can_not_be_set_aside_says_why(site: Site, page: Page) -> None:
    open_orders(site, page, "/5012343")
    left = {
        "done": [],
        "left": [{"id": "5012343", "words": "This order changed a moment ago. Look at it again."}],
    }
    site.refusals["POST orders/set-aside"] = (200, left)
    page.get_by_text("It was booked by hand, or is not to be posted: set it aside").click()
    page.get_by_role("textbox", name="Reason, such as").fill("Booked as INV-7")
    page.get_by_role("button", name="Set aside", exact=True).click()
    expect(page.locator("#one-order-error")).to_have_text(
        "This order changed a moment ago. Look at it again."
    )


def test_orders_that_were_set_aside_are_listed_on_their_own(site: Site, page: Page) -> None:
    open_orders(site, page)
    page.get_by_role("radio", name="Set aside 1").check()
    expect(page.locator("#order-rows > li")).to_have_count(1)
    expect(page.locator("#order-rows")).to_contain_text("Set aside by Ada Moore: Booked by hand as INV-7")


def test_the_new_name_of_a_contact_is_used_in_one_press(site: Site, page: Page) -> None:
    site.orders = [order("5012343", "needs_attention", problem=problem("5012343", "contact_not_found"))]
    open_orders(site, page, "/5012343")
    page.get_by_role("button", name="Now called “Harbour Cafe Ltd”: use it").click()
    expect(page.locator("#one-order-status")).to_contain_text("“Harbour Cafe Ltd” is used from now on")
    [saved] = site.asked("PUT", "settings")
    assert saved.body == {"version": 3, "settings": {"contact_name": "Harbour Cafe Ltd"}}
    assert not site.asked("POST", "orders/5012343/retry")


def test_a_document_that_was_posted_for_a_renamed_contact_is_accepted_with_the_same_press(
    site: Site, page: Page
) -> None:
    differs = problem("5012343", "contact_not_found")
    site.orders = [order("5012343", "needs_attention", problem=differs, documents=[invoice("5012343")])]
    open_orders(site, page, "/5012343")
    page.get_by_role("button", name="Now called “Harbour Cafe Ltd”: use it").click()
    expect(page.locator("#one-order-status")).to_contain_text("is used from now on")
    assert [call.body for call in site.asked("POST", "orders/5012343/retry")] == [{}]


def test_xero_is_read_again_at_a_press_and_the_page_says_when_it_was(site: Site, page: Page) -> None:
    site.read_again = READ_AGAIN
    open_orders(site, page)
    expect(page.locator("#read-again")).to_contain_text("Xero was last read")
    page.get_by_role("button", name="Read Xero again").click()
    expect(page.get_by_role("button", name="Read Xero again")).not_to_have_attribute(
        "aria-disabled", "true", timeout=9000
    )
    assert len(site.asked("POST", "xero/read-again")) == 1


def test_only_an_order_that_waits_for_something_in_xero_speaks_of_it(site: Site, page: Page) -> None:
    site.read_again = READ_AGAIN
    open_orders(site, page, "/5012339")
    told = page.locator("#read-again")
    expect(page.get_by_role("heading", name="Order 5012339 Posted")).to_be_visible()
    expect(told).to_be_hidden()
    page.get_by_role("link", name="Back to the list").click()
    expect(told).to_be_visible()
    page.get_by_role("link", name="Order 5012343").click()
    expect(page.get_by_role("heading", name="Order 5012343 Needs attention")).to_be_visible()
    expect(told).to_be_visible()
    page.get_by_role("link", name="Back to the list").click()
    page.get_by_role("link", name="Order 5012342").click()
    expect(page.get_by_role("heading", name="Order 5012342 Needs attention")).to_be_visible()
    expect(told).to_be_hidden()


def test_without_orders_that_need_attention_xero_is_not_spoken_of(site: Site, page: Page) -> None:
    site.orders, site.read_again = [order("5012339")], READ_AGAIN
    open_orders(site, page)
    expect(page.locator("#order-rows > li")).to_have_count(1)
    expect(page.locator("#read-again")).to_be_hidden()
    assert not site.asked("GET", "xero/read-again")

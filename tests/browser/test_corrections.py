"""In a browser: orders that changed after posting leave the books once each, by whoever may decide it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.books_at_work import BooksAtWork, books_at_work

CANCELLED = {"status": 128, "status_name": "Cancelled"}
TWICE = "(button) => { button.click(); button.click(); }"


@pytest.fixture(scope="module")
def books() -> Iterator[BooksAtWork]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with books_at_work() as at_work:
        yield at_work


def listed(page: Page) -> Locator:
    """The orders that changed after posting."""
    page.get_by_role("radio", name="Changed after posting").check()
    return page.locator("#order-rows > li")


def open_list(books: BooksAtWork, page: Page, *permissions: str) -> Locator:
    page.goto(books.open_url(*permissions))
    page.get_by_role("tab", name="Orders").click()
    return listed(page)


def open_order(page: Page, order: dict[str, Any]) -> None:
    page.get_by_role("link", name=f"Order {order['id']}").click()
    expect(page.get_by_role("heading", name=f"Order {order['id']} Changed")).to_be_visible()


def back_on_the_list(page: Page) -> Locator:
    page.get_by_role("link", name="Back to the list").click()
    return listed(page)


def press_twice(page: Page, name: str) -> None:
    """A double click, and the same request once more, as from a second window."""
    with page.expect_request("**/correction") as sent:
        page.get_by_role("button", name=name, exact=True).evaluate(TWICE)
    expect(page.get_by_text("Its documents in Xero are being corrected.")).to_be_visible()
    again = page.evaluate(
        """([url, body]) => fetch(url, { method: "POST", body, headers: { "Content-Type": "application/json" } })
          .then((answer) => answer.status)""",
        [sent.value.url, sent.value.post_data],
    )
    assert again == 409
    expect(page.locator("#one-order-error")).to_be_empty()


def test_the_draft_of_a_cancelled_order_is_deleted_once_and_the_list_is_empty_again(
    books: BooksAtWork, page: Page
) -> None:
    order = books.posted()
    number = f"KX-{order['id']}"
    books.send(order | CANCELLED)
    expect(open_list(books, page, "credit")).to_have_count(1)
    open_order(page, order)
    expect(page.get_by_text(f"{number} is not approved yet: it is deleted.")).to_be_visible()
    press_twice(page, "Cancel it in Xero")
    expect(page.get_by_role("button", name="Cancel it in Xero")).to_have_count(0)
    books.run()
    assert books.standing(number) == {number: "DELETED"}
    expect(back_on_the_list(page)).to_have_count(0)
    expect(page.get_by_role("heading", name="Nothing changed after posting")).to_be_visible()
    assert books.history(number).count("deleted, asked for by") == 1


def test_the_approved_invoice_of_a_cancelled_order_is_credited_once(books: BooksAtWork, page: Page) -> None:
    books.save(invoice_status="AUTHORISED")
    order = books.posted()
    number = f"KX-{order['id']}"
    books.send(order | CANCELLED)
    open_list(books, page, "credit")
    open_order(page, order)
    press_twice(page, "Cancel it in Xero")
    books.run()
    assert books.standing(number) == {number: "PAID", f"{number}-CN": "PAID"}
    page.reload()
    expect(page.locator(".documents").first).to_contain_text("Credited in full")
    note = page.get_by_role("list", name="Credit notes")
    expect(note).to_contain_text(f"Credit note {number}-CN")
    expect(note.get_by_role("link", name="Open in Xero")).to_be_visible()
    expect(page.get_by_text("This has been dealt with.")).to_be_visible()
    expect(back_on_the_list(page)).to_have_count(0)


def test_an_approved_invoice_is_voided_where_that_is_allowed(books: BooksAtWork, page: Page) -> None:
    books.save(invoice_status="AUTHORISED", void_approved=True)
    order = books.posted(sale_datetime=books.today)
    number = f"KX-{order['id']}"
    books.send(order | CANCELLED)
    open_list(books, page, "credit")
    open_order(page, order)
    expect(page.get_by_text("It is voided instead if")).to_be_visible()
    press_twice(page, "Cancel it in Xero")
    books.run()
    books.save(void_approved=False)
    assert books.standing(number) == {number: "VOIDED"}
    expect(back_on_the_list(page)).to_have_count(0)


def test_an_order_cancelled_in_two_parts_is_credited_twice_and_each_part_once(
    books: BooksAtWork, page: Page
) -> None:
    books.save(invoice_status="AUTHORISED")
    order = books.posted(lines=3)
    number = f"KX-{order['id']}"
    items = [dict(item) for item in order["items"]]
    open_list(books, page, "credit")
    for place in (0, 1):
        items[place]["status"] = 7
        books.send(order | {"items": [dict(item) for item in items]})
        page.get_by_role("button", name="Refresh").click()
        open_order(page, order)
        press_twice(page, "Cancel it in Xero")
        books.run()
        expect(back_on_the_list(page)).to_have_count(0)
    invoice, *notes = books.documents(number)
    assert [note.number for note in notes] == [f"{number}-CN", f"{number}-CN2"]
    assert [[line.description for line in note.lines] for note in notes] == [
        [invoice.lines[place].description] for place in (0, 1)
    ]
    assert invoice.outstanding == invoice.total - sum(note.total for note in notes)


def test_a_person_credits_quantities_and_amounts_of_lines_and_of_the_shipping(
    books: BooksAtWork, page: Page
) -> None:
    books.save(invoice_status="AUTHORISED")
    order = books.posted()
    number = f"KX-{order['id']}"
    page.goto(books.open_url("credit"))
    page.goto(f"{page.url}#orders/{order['id']}")
    page.get_by_text("Take it out of the books, or credit it").click()
    page.get_by_role("button", name="Credit part of it").click()
    dialog = page.get_by_role("dialog", name="Credit part of it")
    credit = dialog.get_by_role("button", name="Credit", exact=True)
    credit.click()
    expect(dialog.get_by_role("alert")).to_contain_text("Enter a quantity or an amount")
    first, second = (item["description"] for item in order["items"])
    dialog.get_by_label(f"Quantity of {first}").fill("1")
    dialog.get_by_label(f"or amount of {second}").fill("1.50")
    dialog.get_by_label("or amount of Shipping").fill("0.95")
    credit.evaluate(TWICE)
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("Its documents in Xero are being corrected.")).to_be_visible()
    books.run()
    [invoice, note] = books.documents(number)
    assert [(line.quantity, line.unit_amount) for line in note.lines] == [
        (Decimal(1), invoice.lines[0].unit_amount),
        (Decimal(1), Decimal("1.50")),
        (Decimal(1), Decimal("0.95")),
    ]
    page.reload()
    expect(page.locator(".documents").first).to_contain_text("Approved, credited in part")


def test_what_a_person_changed_in_xero_is_shown_and_left_to_be_done_by_hand(
    books: BooksAtWork, page: Page
) -> None:
    books.save(invoice_status="DRAFT")
    order = books.posted()
    number = f"KX-{order['id']}"
    books.by_hand(number, Date="2026-11-21")
    books.send(order | CANCELLED)
    open_list(books, page, "credit")
    open_order(page, order)
    press_twice(page, "Cancel it in Xero")
    books.run()
    page.reload()
    told = page.get_by_role("region", name="Problem")
    expect(told).to_contain_text(
        f"{number} was changed in Xero after it was posted, so nothing was done to it."
    )
    expect(told).to_contain_text(
        "dated 20 Nov 2026. In Xero now: 56.95 GBP, dated 21 Nov 2026, for “Kornit X Sales”"
    )
    # first stands what the words tell a person to press
    expect(page.locator(".offers button").first).to_have_text("Done by hand")
    page.get_by_role("button", name="Done by hand").click()
    expect(page.locator("#one-order-status")).to_contain_text("Noted.")
    expect(page.get_by_role("heading", name=f"Order {order['id']} Posted")).to_be_focused()
    assert books.standing(number) == {number: "DRAFT"}
    expect(back_on_the_list(page)).to_have_count(0)


def test_where_an_order_stands_is_read_and_a_deleted_one_is_posted_again(
    books: BooksAtWork, page: Page
) -> None:
    books.save(invoice_status="DRAFT")
    order = books.posted()
    number = f"KX-{order['id']}"
    books.by_hand(number, Status="DELETED")
    page.goto(books.open_url("credit"))
    page.goto(f"{page.url}#orders/{order['id']}")
    expect(page.locator(".documents")).to_contain_text("Draft")
    page.get_by_role("button", name="Look now").click()
    expect(page.locator("#one-order-status")).to_have_text("Read from Xero.")
    expect(page.locator(".documents")).to_contain_text("Deleted, read ")
    page.get_by_text("Take it out of the books, or credit it").click()
    press_twice(page, "Post again")
    books.run()
    assert books.standing(number) == {number: "DELETED", f"{number}-2": "DRAFT"}


def test_without_the_permission_nothing_can_be_pressed_and_it_says_who_may(
    books: BooksAtWork, page: Page
) -> None:
    order = books.posted()
    books.send(order | CANCELLED)
    expect(open_list(books, page)).to_have_count(1)
    open_order(page, order)
    body = page.locator("#one-order-body")
    expect(body).to_contain_text("Only somebody with the permission to credit may decide this")
    assert body.get_by_role("button").all_inner_texts() == ["Look now"]
    expect(body.locator("input")).to_have_count(0)


def test_an_order_that_is_being_corrected_refreshes_by_itself(
    books: BooksAtWork, page_with_clock: Page
) -> None:
    page = page_with_clock
    books.save(invoice_status="DRAFT")
    order = books.posted()
    books.send(order | CANCELLED)
    open_list(books, page, "credit")
    open_order(page, order)
    page.get_by_role("button", name="Cancel it in Xero").click()
    expect(page.get_by_text("Its documents in Xero are being corrected.")).to_be_visible()
    books.run()
    page.clock.run_for(9_000)
    expect(page.locator(".documents")).to_contain_text("Deleted")

"""The tab Overview, in Chromium."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.books_at_work import books_at_work
from tests.browser.site import Site, connection, matched, overview, sums
from tests.browser.states import busy_orders, open_overview, open_page


def chosen(page: Page) -> str:
    """The tab that is open."""
    return page.get_by_role("tab", selected=True).text_content() or ""


def tiles(page: Page) -> list[str]:
    return [words.replace("\xa0", " ") for words in page.locator("#overview-tiles > li").all_inner_texts()]


@pytest.mark.parametrize(
    ("status", "address", "opened"),
    [
        ("connected", "", "Overview"),
        ("needs_reconnect", "", "Overview"),
        ("connected", "#settings", "Settings"),
        ("connected", "#orders", "Orders"),
        ("connected", "?connect=connected", "Settings"),
        ("not_connected", "", "Settings"),
        ("disconnected", "", "Settings"),
        ("choose_organisation", "", "Settings"),
        ("not_connected", "#overview", "Overview"),
    ],
)
def test_it_opens_first_once_the_company_is_connected_unless_the_address_leads_elsewhere(
    site: Site, page: Page, status: str, address: str, opened: str
) -> None:
    site.set_up()
    site.connection = connection(status)
    open_page(site, page, address)
    expect(page.get_by_role("tab", name=opened)).to_have_attribute("aria-selected", "true")
    assert [
        one
        for one in ("Overview", "Settings", "Orders")
        if page.get_by_role("tabpanel", name=one).is_visible()
    ] == [opened]
    assert page.get_by_role("tab").all_inner_texts()[0] == "Overview"
    if "connect=" in address:
        expect(page.get_by_role("heading", name="Connected to Xero")).to_be_focused()


def test_it_shows_the_figures_that_the_api_tells(site: Site, page: Page) -> None:
    open_overview(site, page)
    assert tiles(page) == [
        "Posted today\n9\nGBP 612.35",
        "Posted in seven days\n186\nGBP 12,814.57\nEUR 289.00",
        "Needs attention\n3\nGBP 190.05",
        "Changed after posting\n2\nGBP 126.70",
        "Waiting\n4\nGBP 151.20\nEUR 42.00",
        "On its way\n2\nGBP 96.80",
        "Set aside\n1\nGBP 63.35",
    ]
    page.get_by_text("The figures of each day").click()
    rows = page.get_by_role("table", name="Posted in the last seven days").get_by_role("row")
    told = [[cell.strip() for cell in row.replace("\xa0", " ").split("\t")] for row in rows.all_inner_texts()]
    assert told[1] == ["Wednesday 26 February", "31", "GBP 1,873.40\nEUR 88.00"]
    assert told[2] == ["Thursday 27 February", "0", "–"]
    assert told[-1] == ["All seven days", "186", "GBP 12,814.57\nEUR 289.00"]
    assert [query.query for query in site.asked("GET", "overview")] == [{"zone": "Europe/London"}]


def test_orders_changed_after_posting_stand_out_while_one_waits_for_a_person(site: Site, page: Page) -> None:
    site.orders = busy_orders()
    open_overview(site, page)
    red = page.locator("#overview-tiles > li.bad")
    expect(red).to_have_text([re.compile("^Needs attention"), re.compile("^Changed after posting")])
    with page.expect_response(lambda answer: "/orders?" in answer.url and "status=changed" in answer.url):
        page.get_by_role("link", name="Changed after posting").click()
    expect(page.get_by_role("radio", name="Changed after posting")).to_be_checked()
    expect(page.get_by_role("heading", name="Orders", exact=True)).to_be_focused()
    page.get_by_role("tab", name="Overview").click()
    changed = sums(2, GBP=(2, "126.70")) | {"to_decide": 0}
    site.overview = overview(standing=overview()["standing"] | {"changed": changed})
    page.reload()
    expect(red).to_have_text([re.compile("^Needs attention")])


def test_a_link_leads_to_the_list_also_after_an_order_was_open(site: Site, page: Page) -> None:
    site.orders = busy_orders()
    open_overview(site, page)
    page.goto(f"{site.page}#orders/{site.orders[0]['id']}")
    expect(page.locator("#one-order-heading")).to_be_focused()
    page.get_by_role("tab", name="Overview").click()
    page.get_by_role("link", name="Needs attention").click()
    expect(page.locator("#order-rows > li")).to_have_count(2)
    expect(page.get_by_role("heading", name="Orders", exact=True)).to_be_focused()


def test_the_tab_orders_has_the_number_of_each_answer(site: Site, page_with_clock: Page) -> None:
    page = page_with_clock
    open_overview(site, page)
    badge = page.locator("#orders-count")
    for stopped, words in [(sums(1), "1 needs attention"), (sums(1000, more=True), "1000+ need attention")]:
        site.overview = overview(standing=overview()["standing"] | {"needs_attention": stopped})
        page.clock.run_for(30_000)
        expect(badge).to_have_text(words)
    site.overview = overview(standing=overview()["standing"] | {"needs_attention": sums()})
    page.clock.run_for(30_000)
    expect(badge).to_be_hidden()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (3, "found 3 differences. These figures do not know of them."),
        (1, "found 1 difference. These figures do not know of it."),
    ],
)
def test_beside_the_money_stand_the_differences_of_the_last_match(
    site: Site, page: Page, found: int, words: str
) -> None:
    site.overview, site.book_match = overview(differences=found), matched()
    open_overview(site, page)
    expect(page.locator("#overview-words")).to_contain_text(f"The last book match {words}")
    page.get_by_role("link", name="last book match").click()
    expect(page.locator("#book-match > summary")).to_be_focused()


def test_money_has_the_decimals_of_its_currency(site: Site, page: Page) -> None:
    site.overview = overview(
        standing=overview()["standing"]
        | {
            "waiting": sums(
                4, JPY=(1, "1200.00"), GBP=(1, "1200"), KWD=(1, "1.5"), EUR=(1, "0.125"), ISK=(1, "7.50")
            )
        }
    )
    open_overview(site, page)
    assert "Waiting\n4\nJPY 1,200\nGBP 1,200.00\nKWD 1.500\nEUR 0.125\nISK 7.5" in tiles(page)


def test_the_charts_words_and_bars_are_the_days(site: Site, page: Page) -> None:
    open_overview(site, page)
    chart = page.get_by_role("img", name="Money of each day in GBP")
    described = (page.locator("#chart-words").text_content() or "").replace("\xa0", " ")
    assert described.startswith("Wednesday 26 February: GBP 1,873.40; Thursday 27 February: GBP 0.00; ")
    heights = chart.locator("rect").evaluate_all(
        "all => all.map((one) => Number(one.getAttribute('height')))"
    )
    money = [1873.40, 0, 604.08, 3120.55, 2588.19, 4016.00, 612.35]
    assert heights == pytest.approx([heights[5] * one / 4016 for one in money])
    assert heights[5] > 100


def test_a_week_of_nothing_but_credit_has_no_bars(site: Site, page: Page) -> None:
    site.overview = overview()
    for one in (*site.overview["days"], site.overview["week"]):
        one["money"] = [{"currency": "GBP", "orders": 1, "total": "-12.50"}]
    site.set_up()
    open_page(site, page, "#overview")
    bars = page.get_by_role("img", name="Money of each day in GBP").locator("rect")
    expect(bars).to_have_count(7)
    assert bars.evaluate_all("all => all.map((one) => Number(one.getAttribute('height')))") == [0] * 7


def test_everything_is_reached_by_keyboard(site: Site, page: Page) -> None:
    site.orders, site.book_match = busy_orders(), matched()
    open_overview(site, page)
    page.get_by_role("tab", name="Overview").focus()
    # what was posted in days of the reader's time zone has no list of its own
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Needs attention")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Orders", exact=True)).to_be_focused()
    expect(page.get_by_role("radio", name="Needs attention")).to_be_checked()
    expect(page.locator("#order-rows > li")).to_have_count(2)
    assert site.asked("GET", "orders")[-1].query["status"] == "needs_attention"
    page.go_back()
    expect(page.get_by_role("tab", name="Overview")).to_have_attribute("aria-selected", "true")
    page.locator("#overview-table > summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name="GBP 604.08")).to_be_visible()
    page.get_by_role("link", name="Book match", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#book-match > summary")).to_be_focused()
    expect(page.locator("#match-result")).to_contain_text("No difference")
    page.get_by_role("tab", name="Orders").focus()
    page.keyboard.press("ArrowRight")
    assert chosen(page) == "Overview"
    page.get_by_role("link", name="Mails").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("E-mail errors to")).to_be_focused()


def test_it_looks_again_every_half_minute_while_it_is_seen_and_leaves_the_person_where_they_are(
    site: Site, page_with_clock: Page
) -> None:
    page = page_with_clock
    open_overview(site, page)
    page.locator("#overview-table > summary").click()
    page.get_by_role("link", name="Waiting").focus()
    site.overview = overview(standing=overview()["standing"] | {"waiting": sums(7)})
    page.clock.run_for(30_000)
    expect(page.locator("#overview-tiles")).to_contain_text("Waiting7")
    expect(page.get_by_role("link", name="Waiting")).to_be_focused()
    expect(page.get_by_role("cell", name="GBP 604.08")).to_be_visible()
    site.refuse("GET overview", 503, "busy", "The figures can’t be read right now.")
    page.clock.run_for(30_000)
    expect(page.locator("#overview-error")).to_contain_text("can’t be read")
    expect(page.locator("#overview-tiles")).to_contain_text("Waiting7")
    site.refusals.clear()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#overview-error")).to_be_empty()
    page.get_by_role("tab", name="Settings").click()
    asked = len(site.asked("GET", "overview"))
    page.clock.run_for(120_000)
    assert len(site.asked("GET", "overview")) == asked


def test_a_connection_lost_meanwhile_shows_on_both_tabs(site: Site, page_with_clock: Page) -> None:
    page = page_with_clock
    open_overview(site, page)
    expect(page.locator("#overview-connection")).to_be_empty()
    lost = connection("cut_off")
    site.overview = overview(
        connection={name: lost[name] for name in ("status", "words", "fix", "other_app")}
    )
    page.clock.run_for(30_000)
    expect(page.locator("#overview-connection")).to_contain_text(lost["fix"])
    page.get_by_role("tab", name="Orders").click()
    expect(page.locator("#orders-connection")).to_contain_text(lost["fix"])


def test_figures_on_the_page_are_those_of_the_ledger(page: Page) -> None:
    with books_at_work() as books:
        for _ in range(3):
            books.posted()
        page.goto(books.open_url())
        expect(page.locator("#overview-tiles > li").first).to_contain_text("3")
        told = page.evaluate(
            "fetch(`/api/${document.body.dataset.company}/overview?zone=Europe/London`).then((one) => one.json())"
        )
        in_xero = sum(document.total for document in books.documents("KX-"))
        assert [(one["orders"], one["money"][0]["total"]) for one in (told["days"][-1], told["week"])] == [
            (3, f"{in_xero:.2f}"),
            (3, f"{in_xero:.2f}"),
        ]
        assert tiles(page)[:2] == [
            f"Posted today\n3\nGBP {in_xero:,.2f}",
            f"Posted in seven days\n3\nGBP {in_xero:,.2f}",
        ]

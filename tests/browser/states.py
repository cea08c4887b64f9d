"""Every state of the page that a person can meet, each as the shortest way there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Event
from typing import Any, Final

from playwright.sync_api import Page, expect

from bookkeeping.domain.mail import NOT_SENT
from bookkeeping.domain.problems.catalogue import CHANGED
from bookkeeping.domain.problems.problem import Problem
from tests.browser.site import (
    CREDITABLE,
    CREDITED,
    ORGANISATION,
    OTHER_ORGANISATION,
    Call,
    Site,
    books_differ,
    check,
    connection,
    explained_in_xero,
    invoice,
    mail_address,
    matched,
    offered,
    order,
    overview,
    problem,
    sign,
    sums,
    tax_row,
)

State = Callable[[Site, Page], None]
STATES: Final[dict[str, State]] = {}

LOADED = """() => ["todo", "connection-state"].every((id) => {
  const place = document.getElementById(id);
  return place && !place.textContent.includes("Loading");
})"""


def state(way: State) -> State:
    STATES[way.__name__] = way
    return way


def open_page(site: Site, page: Page, more: str = "#settings") -> None:
    if page.url.partition("#")[0] == site.page:
        # another # alone does not load a page again
        page.goto("about:blank")
    page.goto(site.page + more)
    # asked at every frame; `expect` would look again after a tenth of a second and later
    page.wait_for_function(LOADED)


READ_AGAIN = {
    "waiting": True,
    "read_at": "2031-03-04T10:40:00Z",
    "next_at": "2031-03-04T10:45:00Z",
    "spent": False,
}


def changed(reason: str | None = "changed", **more: object) -> dict[str, object]:
    """An order that changed after it was posted."""
    words = CHANGED[reason] if reason else "In Xero."
    about: dict[str, Any] = {
        "changes": ["Quantity of TSHIRT-NAVY-XL: 12 when posted, now 10"],
        "reason": reason,
        "words": words,
        "choices": offered("credit", "cancel", "post_again", "done_by_hand"),
        "creditable": CREDITABLE,
    }
    return order("5012340", **(about | more))


def of_a_message(order_id: str) -> dict[str, object]:
    """An order that stopped for what it says itself, as the catalogue puts it."""
    field = {"field": "items[0].unit_sale_price"}
    told = Problem("bad_number", {"order": order_id, "value": "12,50", **field}).as_json()
    return order(order_id, "needs_attention", problem=told, can_retry=True)


def busy_orders() -> list[dict[str, object]]:
    return [
        order("5012345", "queued"),
        order("5012344", "posting"),
        order("5012343", "needs_attention"),
        order("5012342", "needs_attention", problem=problem("5012342", "item_not_tracked")),
        order("5012341", "waiting"),
        changed(),
        order("5012339"),
        order("5012338", "skipped"),
        order("5012337", "set_aside"),
    ]


# --- settings ---


@state
def nothing_saved(site: Site, page: Page) -> None:
    open_page(site, page)


@state
def app_saved(site: Site, page: Page) -> None:
    site.version, site.client_id, site.client_secret_set_at = 1, "8A1F" * 8, "2031-03-04T10:05:00Z"
    open_page(site, page)


@state
def set_up(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    expect(page.locator("#sales_account_code-hint")).to_have_text("Sales (Revenue)")


@state
def switched_off(site: Site, page: Page) -> None:
    site.set_up(enabled=False)
    open_page(site, page)


@state
def tracked_with_gaps(site: Site, page: Page) -> None:
    site.set_up(process_method="tracked", sales_account_code="999")
    open_page(site, page)


@state
def everything_open(site: Site, page: Page) -> None:
    site.set_up(
        tax_types=[tax_row("20", "OUTPUT2"), tax_row("0", "ECZROUTPUT", "EU", reverse_charge=True)],
        sales_accounts_by_sku_prefix={"EMB-": "205"},
        tracking_categories=[{"Name": "Region", "Option": "North"}, {"Name": "Team", "Option": "Print"}],
        start_from="2031-01-01",
        branding_theme_id="dabc7637-62c1-4941-8a6e-ee44fa5090e7",
        errors_email="accounts@example.com",
        currency="GBP",
        purchase_tax_type="INPUT2",
        process_method="tracked",
        cogs_account_code="310",
        inventory_asset_account_code="630",
    )
    open_page(site, page)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


@state
def choosing_an_account(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    page.get_by_label("Shipping account", exact=True).click()
    expect(page.locator(".popup [role=option]")).to_have_count(3)


@state
def choosing_before_a_connection(site: Site, page: Page) -> None:
    open_page(site, page)
    page.get_by_label("Sales account", exact=True).click()


@state
def fields_refused(site: Site, page: Page) -> None:
    site.set_up()
    fields = [
        {
            "name": "number_prefix",
            "message": "company 9 uses it in Thistle & Thread Ltd already; enter another one",
        },
        {"name": "payment_terms_days", "message": "a whole number is needed"},
        {
            "name": "tax_types.1.tax_type",
            "message": "5% (VAT on Income) (RROUTPUT) has 5 % in Xero, and the row is for 20 %",
        },
    ]
    site.refuse("PUT settings", 422, "invalid", "Some settings can't be saved.", fields=fields)
    open_page(site, page)
    page.locator("#more > summary").click()
    page.get_by_label("Number prefix").fill("KXX-")
    page.get_by_label("Payment terms in days").fill("99")
    page.get_by_role("button", name="Add a tax rate").click()
    page.get_by_label("Rate in %").fill("20")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#save-error")).to_contain_text("3 fields")


@state
def changed_by_somebody_else(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    page.get_by_label("Sales account", exact=True).fill("260")
    page.get_by_label("Contact name", exact=True).fill("Kornit X wholesale")
    site.save("Ada Moore", {"sales_account_code": "205", "process_method": "tracked"})
    # by key: what the page says of the contact may move the button away from under the mouse
    page.get_by_role("button", name="Save", exact=True).press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()


@state
def session_over(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    page.get_by_label("Sales account", exact=True).fill("260")
    site.session_over = True
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#session-notice")).to_contain_text("over")


@state
def server_in_trouble(site: Site, page: Page) -> None:
    site.refusals["GET settings"] = (500, {})
    # in words of ours: an answer without them is asked for again, for some seconds
    site.refuse("GET connection", 503, "our_fault", "This went wrong on our side.")
    open_page(site, page)


@state
def saved(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    page.get_by_label("Shipping account", exact=True).fill("260")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#save-status")).to_contain_text("Saved")


@state
def unsaved(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    page.get_by_text("Tracked", exact=True).click()
    expect(page.locator("#save-status")).to_contain_text("unsaved")


CHECKS = [
    check("app", "Xero app", "Connected to Thistle & Thread Ltd."),
    check("permissions", "Permissions", "Everything that is needed is allowed."),
    check("plan", "Xero plan", "Xero did not say what the organisation's plan allows.", "unknown"),
    check(
        "contact",
        "Contact",
        "The contact “Kornit X orders” is archived in Xero.",
        "wrong",
        "Restore it there, or enter another.",
        "contact_name",
    ),
    check(
        "calls", "Calls left today", "60 calls are left today.", "warning", "Orders that find none left wait."
    ),
]


@state
def setup_checked(site: Site, page: Page) -> None:
    site.set_up()
    site.checks = CHECKS
    open_page(site, page)
    page.get_by_role("button", name="Check setup").click()
    expect(page.locator("#checks")).to_contain_text("One thing is not right")


@state
def setup_not_checked(site: Site, page: Page) -> None:
    site.set_up()
    site.refuse("POST check-setup", 503, "xero_unavailable", "Xero does not answer right now.")
    open_page(site, page)
    page.get_by_role("button", name="Check setup").click()
    expect(page.locator("#checks")).to_contain_text("does not answer")


@state
def asking_before_switching_on(site: Site, page: Page) -> None:
    site.set_up(enabled=False)
    site.checks = CHECKS
    open_page(site, page)
    page.get_by_label("Switched on").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("is archived in Xero")


# --- connection ---


def _connection_state(name: str, **more: object) -> None:
    def way(site: Site, page: Page) -> None:
        site.set_up()
        site.connection = connection(name, **more)
        open_page(site, page)
        page.locator("#connection").scroll_into_view_if_needed()

    STATES[f"connection_{name}"] = way


_connection_state("choose_organisation", choices=[ORGANISATION, OTHER_ORGANISATION])
_connection_state(
    "confirm_organisation",
    organisation=OTHER_ORGANISATION,
    previous_organisation=ORGANISATION,
    tenant_id=OTHER_ORGANISATION["id"],
)
_connection_state("needs_reconnect", scopes_missing="contacts")
_connection_state("wrong_credentials")
_connection_state("cut_off")
_connection_state("disconnected")


@state
def mail_addresses(site: Site, page: Page) -> None:
    statuses = ("new", "asked", "confirmed", "stopped", "bounced", "complained")
    addresses = [mail_address(f"{status}@example.com", status) for status in statuses]
    site.set_up(errors_email=", ".join(one["address"] for one in addresses))
    site.mail = {"words": "", "addresses": addresses}
    open_page(site, page)
    page.locator("#more > summary").click()
    page.locator("#mail-addresses").scroll_into_view_if_needed()


@state
def no_mail_is_sent(site: Site, page: Page) -> None:
    site.set_up(errors_email="accounts@example.com")
    site.mail = {"words": NOT_SENT, "addresses": []}
    open_page(site, page)
    page.locator("#more > summary").click()
    page.locator("#mail-addresses").scroll_into_view_if_needed()


@state
def orders_without_a_connection(site: Site, page: Page) -> None:
    site.set_up()
    site.connection = connection("needs_reconnect")
    site.orders = busy_orders()
    open_page(site, page, "#orders")
    expect(page.locator("#orders-connection")).to_contain_text("Orders wait")


@state
def asking_before_disconnecting(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    page.get_by_role("button", name="Disconnect", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()


def _outcome_state(code: str) -> None:
    def way(site: Site, page: Page) -> None:
        site.set_up()
        if code == "choose_organisation":
            site.connection = connection(code, choices=[ORGANISATION, OTHER_ORGANISATION])
        elif code != "connected":
            site.connection = connection("not_connected")
        open_page(site, page, f"?connect={code}")
        expect(page.locator("#outcome h2")).to_be_visible()

    STATES[f"outcome_{code}"] = way


for _code in ("connected", "choose_organisation", "wrong_app_credentials", "something_new"):
    _outcome_state(_code)


# --- the overview ---


def open_overview(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page, "")
    expect(page.locator("#overview-health > li").first).to_be_visible()


@state
def overview_of_a_busy_week(site: Site, page: Page) -> None:
    open_overview(site, page)
    page.get_by_text("The figures of each day").click()


@state
def overview_of_more_than_can_be_counted(site: Site, page: Page) -> None:
    site.overview = overview(
        zone="UTC",
        zone_known=False,
        week=sums(104311, more=True, GBP=(104311, "9214507.03")),
        standing=overview()["standing"] | {"waiting": sums(1000, more=True, GBP=(1000, "56950.00"))},
    )
    open_overview(site, page)


@state
def overview_without_orders(site: Site, page: Page) -> None:
    days = [{"day": one["day"]} | sums() for one in overview()["days"]]
    site.overview = overview(no_orders_yet=True, days=days, week=sums())
    open_overview(site, page)
    expect(page.locator("#overview-empty")).to_contain_text("No orders yet")


@state
def overview_of_a_quiet_week(site: Site, page: Page) -> None:
    days = [{"day": one["day"]} | sums() for one in overview()["days"]]
    standing = dict.fromkeys(overview()["standing"], sums()) | {"changed": sums() | {"to_decide": 0}}
    site.overview = overview(days=days, week=sums(), standing=standing, differences=0)
    open_overview(site, page)
    expect(page.locator("#overview-chart")).to_contain_text("Nothing was posted")


@state
def overview_while_the_connection_is_lost(site: Site, page: Page) -> None:
    lost = connection("needs_reconnect")
    signs = [
        sign("Connection to Xero", lost["words"], "wrong", fix=lost["fix"], link="#settings"),
        sign("Posting", "Orders wait here for the connection to Xero.", "warning"),
        sign("Calls left today", "Xero says so with its answers, and none came within a day.", "unknown"),
    ]
    short = {name: lost[name] for name in ("status", "words", "fix", "other_app")}
    site.overview = overview(connection=short, health=signs)
    site.set_up()
    site.connection = lost
    open_page(site, page, "")
    expect(page.locator("#overview-connection")).to_contain_text("Orders wait")


@state
def overview_unreadable(site: Site, page: Page) -> None:
    site.set_up()
    site.refuse("GET overview", 500, "our_fault", "This went wrong on our side (reference 4711).")
    open_page(site, page, "")
    expect(page.locator("#overview-error")).to_contain_text("went wrong")


@state
def overview_loading(site: Site, page: Page) -> None:
    site.set_up()
    page_is_looked_at = Event()

    def hold(call: Call) -> None:
        if call.path == "overview":
            page_is_looked_at.wait(2)

    site.on_call = hold
    page.goto(site.page, wait_until="domcontentloaded")
    expect(page.locator("#overview-loading")).to_be_visible()


# --- orders ---


@state
def no_orders(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page, "#orders")
    expect(page.get_by_text("No orders yet")).to_be_visible()


@state
def orders(site: Site, page: Page) -> None:
    site.set_up()
    site.orders, site.page_length = busy_orders(), 6
    open_page(site, page, "#orders")
    expect(page.locator("#order-rows > li")).to_have_count(6)


@state
def orders_selected(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = busy_orders()
    site.more = ["posted"]
    open_page(site, page, "#orders")
    page.get_by_role("checkbox", name="Select all shown").check()
    expect(page.locator("#selection-words")).to_contain_text("5 orders selected")


@state
def orders_set_aside_together(site: Site, page: Page) -> None:
    STATES["orders_selected"](site, page)
    page.get_by_role("button", name="Set aside 4 of 5").click()
    expect(page.get_by_role("dialog", name="Set 4 orders aside?")).to_be_visible()


@state
def no_order_fits(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = busy_orders()
    open_page(site, page, "#orders")
    page.get_by_label("Search").fill("nowhere")
    expect(page.get_by_text("No order fits")).to_be_visible()


@state
def nothing_needs_attention(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = [order("5012339")]
    open_page(site, page, "#orders")
    page.get_by_role("radio", name="Needs attention").check()
    expect(page.get_by_text("Nothing needs attention")).to_be_visible()


@state
def orders_with_one_problem(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = busy_orders()
    open_page(site, page, "#orders")
    page.get_by_label("Problem or reason").select_option("account_not_found")
    expect(page.get_by_role("button", name="Retry all of them")).to_be_visible()


@state
def orders_unreadable(site: Site, page: Page) -> None:
    site.set_up()
    site.refuse(
        "GET orders", 503, "busy", "The orders can’t be read right now. Please try again in a minute."
    )
    open_page(site, page, "#orders")
    expect(page.locator("#orders-error")).to_contain_text("can’t be read")


def _order_state(name: str, order_id: str, more: Iterable[tuple[str, object]] = ()) -> None:
    def way(site: Site, page: Page) -> None:
        site.set_up()
        site.orders = busy_orders()
        for one in site.orders:
            if one["id"] == order_id:
                one.update(more)
        open_page(site, page, f"#orders/{order_id}")
        expect(page.locator("#one-order-body h3").first).to_be_visible()

    STATES[f"order_{name}"] = way


_purchase_order = invoice(
    "5012340", kind="purchase_order", status="AUTHORISED", total="25.20", link="https://go.xero.com/po/1"
)
_noted = invoice(
    "5012340", notes=["Xero had too little stock of MUG-01, so the invoice was created as a draft."]
)
_order_state("posted", "5012340", [("documents", [_purchase_order, _noted])])
_order_state("needs_attention", "5012343")
_order_state("with_an_untracked_item", "5012342", [("documents", [_purchase_order])])
_order_state("waiting", "5012341")
_order_state("queued", "5012345")
_order_state("skipped", "5012338")
_order_state("set_aside", "5012337", [("changes", ["Currency: GBP → EUR"]), ("problem", problem("5012337"))])
_order_state("whose_contact_was_renamed", "5012343", [("problem", problem("5012343", "contact_not_found"))])


@state
def orders_waiting_for_xero(site: Site, page: Page) -> None:
    site.set_up()
    site.orders, site.read_again = busy_orders(), READ_AGAIN
    open_page(site, page, "#orders")
    expect(page.get_by_role("button", name="Read Xero again")).to_be_visible()


@state
def orders_whose_calls_are_used_up(site: Site, page: Page) -> None:
    site.set_up()
    site.orders, site.read_again = busy_orders(), READ_AGAIN | {"spent": True}
    open_page(site, page, "#orders")
    expect(page.locator("#read-again")).to_contain_text("used up")


@state
def orders_changed_after_posting(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = busy_orders()
    open_page(site, page, "#orders")
    page.get_by_role("radio", name="Changed after posting 1").check()
    expect(page.locator("#order-rows > li")).to_have_count(1)


@state
def nothing_changed_after_posting(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = [order("5012339")]
    open_page(site, page, "#orders")
    page.get_by_role("radio", name="Changed after posting").check()
    expect(page.get_by_role("heading", name="Nothing changed after posting")).to_be_visible()


def _changed_state(name: str, reason: str | None, **more: object) -> None:
    def way(site: Site, page: Page) -> None:
        site.set_up()
        site.orders = [changed(reason, **more)]
        open_page(site, page, "#orders/5012340")
        expect(page.locator("#one-order-body h3").first).to_be_visible()

    STATES[f"order_{name}"] = way


_edited = {
    "code": "document_edited",
    "sentence": "Order 5012340: KX-5012340 was changed in Xero after it was posted, so nothing was done to it. Posted:"
    " 98.45 GBP. In Xero now: 88.45 GBP, dated 2031-03-04, for “Kornit X orders”, 2 lines.",
    "who": "accountant",
    "fix": "Credit, void or correct KX-5012340 in Xero by hand. Then press “Done by hand”.",
    "xero_says": [],
}
_stopped = {"what": "take_back", "by": "Ada Moore", "at": "2031-03-04T11:00:00Z", "problem": _edited}
_refused = _stopped | {
    "problem": _edited | {"xero_says": ["The document date cannot be before the end of year lock date."]}
}
_changed_state("changed", "changed")
_changed_state(
    "changed_after_production",
    "changed",
    documents=[_purchase_order, invoice("5012340", status="AUTHORISED")],
    choices=offered("cancel", "credit", "post_again", "done_by_hand"),
    may_return_stock=True,
)
_changed_state("changed_for_who_may_not_credit", "changed", may_credit=False)
_changed_state("being_corrected", "correcting", choices=[])
_changed_state(
    "whose_correction_stopped",
    "correction_stopped",
    correction=_refused,
    choices=offered("try_again", "done_by_hand", "post_again"),
)
_changed_state(
    "whose_credit_note_is_a_draft",
    "note_is_draft",
    choices=offered("try_again"),
    credit_notes=[CREDITED | {"status": "DRAFT"}],
)
_changed_state(
    "credited",
    None,
    choices=offered("credit", "cancel", "post_again"),
    credit_notes=[CREDITED],
    documents=[
        invoice("5012340", status="AUTHORISED", stands="part_credited", read_at="2031-03-04T11:00:00Z")
    ],
)


@state
def order_that_could_be_corrected(site: Site, page: Page) -> None:
    STATES["order_credited"](site, page)
    page.get_by_text("Take it out of the books, or credit it").click()
    expect(page.get_by_role("button", name="Cancel it in Xero")).to_be_visible()


@state
def crediting(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = [changed(may_return_stock=True)]
    site.refuse(
        "POST orders/5012340/correction",
        409,
        "nothing_to_correct",
        "Enter a quantity or an amount for at least one line.",
    )
    open_page(site, page, "#orders/5012340")
    page.get_by_role("button", name="Credit part of it").click()
    page.get_by_role("button", name="Credit", exact=True).click()
    expect(page.locator("#credit-error")).to_contain_text("at least one line")


@state
def order_to_be_sent_again(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = [of_a_message("5012343")]
    open_page(site, page, "#orders/5012343")
    expect(page.get_by_text("Field of the message")).to_be_visible()


@state
def order_looked_at(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = busy_orders()
    open_page(site, page, "#orders/5012339")
    page.get_by_role("button", name="Look now").click()
    expect(page.locator("#one-order-status")).to_have_text("Read from Xero.")


@state
def order_explained(site: Site, page: Page) -> None:
    site.set_up()
    others = ["5012341", "5012342"]
    today = explained_in_xero(
        "5012340", remark="It came to 98.45 in Xero. As known today, it would come to 59.40."
    )
    site.orders = [order("5012340", explained=[today], same_shipping=others)]
    open_page(site, page, "#orders/5012340")
    page.get_by_text("Its lines, and why they are so").click()
    expect(page.locator(".made > li")).to_have_count(1)


@state
def previewed(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = busy_orders()
    open_page(site, page)
    page.get_by_label("Sales account", exact=True).fill("260")
    page.locator("#preview > summary").click()
    page.get_by_label("Order", exact=True).fill("5012343")
    page.get_by_role("button", name="Preview", exact=True).click()
    expect(page.locator("#preview-result h3")).to_have_text("Sales invoice KX-5012343")


@state
def previewed_problem(site: Site, page: Page) -> None:
    site.set_up()
    site.preview = {"problem": problem("5012343")}
    open_page(site, page)
    page.locator("#preview > summary").click()
    page.get_by_label("Or an order that is pasted in").fill('{"id": 5012343}')
    page.get_by_role("button", name="Preview", exact=True).click()
    expect(page.locator("#preview-result .problem")).to_be_visible()


@state
def order_unknown(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page, "#orders/4711")
    expect(page.locator("#one-order-error")).to_contain_text("There is no order 4711 here")


@state
def order_retried(site: Site, page: Page) -> None:
    site.set_up()
    site.orders = busy_orders()
    open_page(site, page, "#orders/5012343")
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator("#one-order-status")).to_contain_text("On its way again")


def open_book_match(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page, "#orders")
    page.get_by_role("heading", name="Book match").click()


@state
def books_never_matched(site: Site, page: Page) -> None:
    open_book_match(site, page)
    expect(page.locator("#match-status")).to_contain_text("have not been matched yet")


@state
def books_that_match(site: Site, page: Page) -> None:
    site.book_match = matched()
    open_book_match(site, page)
    expect(page.locator("#match-result")).to_contain_text("No difference")


@state
def books_that_differ(site: Site, page: Page) -> None:
    site.book_match = books_differ()
    open_book_match(site, page)
    expect(page.locator("#match-result")).to_contain_text("3 differences")


@state
def books_being_matched(site: Site, page: Page) -> None:
    open_book_match(site, page)
    page.get_by_role("button", name="Match the books now").click()
    expect(page.locator("#match-status")).to_contain_text("It begins in a moment")


@state
def books_that_can_not_be_matched(site: Site, page: Page) -> None:
    site.refuse("GET book-match", 409, "not_connected", "Connect to Xero first.")
    open_book_match(site, page)
    expect(page.locator("#match-error")).to_contain_text("Connect to Xero first")


@state
def loading(site: Site, page: Page) -> None:
    def hold(call: Call) -> None:
        if call.path in {"settings", "connection"}:
            page_is_looked_at.wait(2)

    page_is_looked_at = Event()
    site.on_call = hold
    page.goto(site.settings_tab, wait_until="domcontentloaded")


@state
def plain_message(site: Site, page: Page) -> None:
    page.goto(
        f"{site.address}/message?title=This link has been used"
        "&message=Each link from the platform opens the settings once, within five minutes."
        "&fix=Open the settings from the platform again."
    )

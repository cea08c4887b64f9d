"""The tab Settings: nothing typed is lost, nothing secret comes back, and what is wrong stands beside its field."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Locator, Page, Route, expect

from tests.browser.site import Call, Site, connection, contact_note, tax_row
from tests.browser.states import STATES, open_page


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


def field(page: Page, label: str) -> Locator:
    return page.get_by_label(label, exact=True)


def saved_with(site: Site) -> list[Any]:
    return [call.body for call in site.asked("PUT", "settings")]


def test_what_is_missing_is_said_and_leads_to_its_field(site: Site, page: Page) -> None:
    open_page(site, page)
    for words, leads_to in {
        "Client ID and Client Secret": "client_id",
        "Connect to Xero": "get-access-token",
        "Sales account": "sales_account_code",
        "Contact name": "contact_name",
    }.items():
        page.locator("#todo").get_by_role("button", name=words).click()
        expect(page.locator(f"#{leads_to}")).to_be_focused()


def test_half_filled_settings_are_kept_and_say_what_is_still_missing(site: Site, page: Page) -> None:
    open_page(site, page)
    field(page, "Sales account").fill("200")
    page.get_by_text("Tracked", exact=True).click()
    save(page)
    expect(page.locator("#save-status")).to_contain_text(
        "Still missing: Contact name, Cost of goods sold account, Inventory asset account."
    )
    assert saved_with(site) == [
        {"version": 0, "settings": {"process_method": "tracked", "sales_account_code": "200"}}
    ]
    page.reload()
    expect(field(page, "Sales account")).to_have_value("200")
    expect(page.locator("input[name=process_method][value=tracked]")).to_be_checked()


def test_only_what_was_changed_is_sent(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    field(page, "Shipping account").fill("260")
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert saved_with(site) == [{"version": 3, "settings": {"shipping_account_code": "260"}}]
    assert site.asked("PUT", "credentials") == []


def test_a_save_without_changes_says_so_and_writes_no_version(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    save(page)
    expect(page.locator("#save-status")).to_have_text("Everything is saved.")
    assert saved_with(site) == []


def test_the_first_save_is_sent_even_when_every_default_is_right(site: Site, page: Page) -> None:
    open_page(site, page)
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Still missing")
    assert saved_with(site) == [{"version": 0, "settings": {}}]


def test_the_client_secret_is_sent_once_and_never_comes_back(site: Site, page: Page) -> None:
    open_page(site, page)
    field(page, "Client ID").fill("  8A1F00  ")
    field(page, "Client Secret").fill(" canary-secret ")
    save(page)
    expect(page.locator("#client_secret-hint")).to_contain_text("Set")
    expect(field(page, "Client Secret")).to_have_value("")
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Everything is saved.")
    assert [call.body for call in site.asked("PUT", "credentials")] == [
        {"client_id": "8A1F00", "client_secret": "canary-secret"}
    ]
    assert "canary" not in page.content()
    assert "canary" not in page.evaluate("JSON.stringify([localStorage, sessionStorage])")


def test_a_secret_without_a_client_id_is_not_sent(site: Site, page: Page) -> None:
    open_page(site, page)
    field(page, "Client Secret").fill("canary-secret")
    save(page)
    expect(page.locator("#client_id-error")).to_have_text("Enter the Client ID, too.")
    expect(field(page, "Client ID")).to_be_focused()
    expect(field(page, "Client Secret")).to_have_value("canary-secret")
    assert site.asked("PUT", "credentials") == []


def test_a_refused_value_is_told_beside_its_field_and_nothing_typed_is_lost(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    refused = [{"name": "number_prefix", "message": "company 9 uses it already"}]
    site.refuse("PUT settings", 422, "invalid", "Some settings can't be saved.", fields=refused)
    field(page, "Contact name").fill("Somebody new")
    page.locator("#more > summary").click()
    field(page, "Number prefix").fill("KXA-")
    page.locator("#more > summary").click()
    save(page)
    prefix = field(page, "Number prefix")
    expect(prefix).to_be_focused()
    expect(prefix).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#number_prefix-error")).to_have_text("company 9 uses it already")
    assert "number_prefix-error" in (prefix.get_attribute("aria-describedby") or "")
    expect(field(page, "Contact name")).to_have_value("Somebody new")
    site.refusals.clear()
    prefix.fill("KX-")
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    expect(page.locator("#number_prefix-error")).to_be_hidden()
    expect(prefix).not_to_have_attribute("aria-invalid", "true")
    assert site.settings["contact_name"] == "Somebody new"


@pytest.mark.parametrize(
    ("label", "typed", "name", "words"),
    [
        ("Number prefix", "kx1", "number_prefix", "1 to 12 capital letters"),
        ("Number prefix", "ABCDEFGHIJKL-", "number_prefix", "1 to 12 capital letters"),
        ("Payment terms in days", "366", "payment_terms_days", "365"),
        ("Branding theme", "standard", "branding_theme_id", "as Xero lists it"),
    ],
)
def test_a_value_that_breaks_a_rule_is_told_before_it_is_sent(
    site: Site, page: Page, label: str, typed: str, name: str, words: str
) -> None:
    site.set_up()
    open_page(site, page)
    page.locator("#more > summary").click()
    field(page, label).fill(typed)
    save(page)
    expect(page.locator(f"#{name}-error")).to_contain_text(words)
    expect(field(page, label)).to_be_focused()
    assert saved_with(site) == []


def test_an_error_goes_as_soon_as_its_field_is_corrected(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    fields = [{"name": name, "message": "No."} for name in ("sales_account_code", "contact_name")]
    site.refuse("PUT settings", 422, "invalid", "Nothing was saved.", fields=fields)
    field(page, "Sales account").fill("260")
    save(page)
    expect(page.locator("#save-error")).to_contain_text("2 fields")
    field(page, "Sales account").fill("205")
    expect(page.locator("#sales_account_code-error")).to_be_hidden()
    expect(page.locator("#save-error")).to_contain_text("2 fields")
    field(page, "Contact name").fill("Kornit X wholesale")
    expect(page.locator("#contact_name-error")).to_be_hidden()
    expect(page.locator("#save-error")).to_be_empty()


def test_saving_says_how_many_orders_are_tried_again(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    for freed, words in {1: "1 order that had", 12: "12 orders that had"}.items():
        site.freed = freed
        field(page, "Payment terms in days").evaluate("(one, days) => { one.value = days; }", str(freed))
        save(page)
        expect(page.locator("#save-status")).to_contain_text(f"{words} stopped or waited will be tried again")


def test_the_history_says_what_was_there_and_what_came(site: Site, page: Page) -> None:
    site.set_up()
    changes = [
        {"name": "sales_account_code", "old": "200", "new": "205"},
        {"name": "enabled", "old": True, "new": False},
        {"name": "start_from", "old": None, "new": "2031-01-01"},
        {"name": "invoice_status", "old": "DRAFT", "new": "AUTHORISED"},
        {"name": "sales_accounts_by_sku_prefix", "old": {"A": "205"}, "new": {"A": "260", "B": "205"}},
        {"name": "tracking_categories", "old": [], "new": []},
    ]
    site.history = [{"at": "2031-03-04T10:15:00Z", "by": "Ada Moore", "what": "Changed", "changes": changes}]
    open_page(site, page)
    page.locator("#history > summary").click()
    expect(page.locator("#history-list")).to_contain_text(
        "Ada Moore: Sales account: 200 → 205; Switched on: on → off; Start from: empty → 2031-01-01;"
        " Invoice status: Draft → Approved, awaiting payment; Sales accounts by sku: removed A → 205,"
        " added A → 260, B → 205; Tracking categories: rows in another order"
    )


def test_fields_that_only_tracked_needs_appear_with_tracked(site: Site, page: Page) -> None:
    site.set_up()
    site.usual_accounts = {"cogs_account_code": "5000"}
    open_page(site, page)
    page.locator("#more > summary").click()
    tracked = (
        "Cost of goods sold account",
        "Inventory asset account",
        "Purchase order status",
        "Contact name for purchase orders",
        "Tax rate on purchases",
        "Currency of unit costs",
        "Free-of-charge orders",
    )
    for label in tracked:
        expect(field(page, label)).to_be_hidden()
    page.get_by_text("Tracked", exact=True).click()
    for label in tracked:
        expect(field(page, label)).to_be_visible()
    expect(field(page, "Cost of goods sold account")).to_have_attribute("placeholder", "usually 5000")


def test_what_somebody_else_saved_meanwhile_can_be_kept_or_overruled(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    field(page, "Sales account").fill("260")
    page.locator("#more > summary").click()
    field(page, "Currency").fill("EUR")
    site.save(
        "Ada Moore", {"sales_account_code": "205", "currency": "USD", "contact_name": "Kornit X wholesale"}
    )
    save(page)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Ada Moore saved changes")
    expect(dialog).to_contain_text("Contact name: Kornit X wholesale")
    dialog.get_by_role("group", name="Sales account").get_by_label("Ada Moore: 205").check()
    expect(dialog.get_by_role("group", name="Currency").get_by_label("Yours: EUR")).to_be_checked()
    dialog.get_by_role("button", name="Save with these choices").click()
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert saved_with(site)[-1] == {"version": 4, "settings": {"currency": "EUR"}}
    expect(field(page, "Sales account")).to_have_value("205")
    expect(field(page, "Contact name")).to_have_value("Kornit X wholesale")
    expect(field(page, "Currency")).to_have_value("EUR")


def test_one_can_go_on_editing_before_answering_a_conflict(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    field(page, "Sales account").fill("260")
    site.save("Ada Moore", {"sales_account_code": "205"})
    save(page)
    page.get_by_role("button", name="Go on editing").click()
    expect(field(page, "Sales account")).to_have_value("260")
    save(page)
    page.get_by_role("button", name="Save with these choices").click()
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert site.settings["sales_account_code"] == "260"


def test_what_was_typed_outlives_the_session_but_for_the_secret(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    field(page, "Sales account").fill("260")
    field(page, "Client Secret").fill("canary-secret")
    site.session_over = True
    # a list that is refused first ends the session as well, and the page would save after this test has gone on
    with page.expect_response(lambda answer: answer.request.method == "PUT"):
        save(page)
    expect(page.get_by_role("heading", name="Your time on this page is over")).to_be_visible()
    assert "canary" not in page.evaluate("JSON.stringify(localStorage)")
    site.session_over = False
    site.save("Ada Moore", {"sales_account_code": "205"})
    open_page(site, page)
    expect(field(page, "Sales account")).to_have_value("260")
    expect(page.locator("#save-status")).to_contain_text("is back")
    save(page)
    expect(page.get_by_role("dialog")).to_contain_text("Ada Moore: 205")
    page.get_by_role("button", name="Save with these choices").click()
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert page.evaluate("Object.keys(localStorage)") == []


def test_what_was_typed_is_shown_to_nobody_else_of_the_same_name(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    field(page, "Sales account").fill("260")
    site.session_over = True
    # a list that is refused first ends the session as well, and the page would save after this test has gone on
    with page.expect_response(lambda answer: answer.request.method == "PUT"):
        save(page)
    expect(page.get_by_role("heading", name="Your time on this page is over")).to_be_visible()
    site.session_over, site.user_id = False, "43"
    open_page(site, page)
    expect(field(page, "Sales account")).to_have_value("200")
    site.user_id = "42"
    open_page(site, page)
    expect(field(page, "Sales account")).to_have_value("260")


def test_logging_out_ends_the_session_and_keeps_what_was_typed(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    field(page, "Sales account").fill("260")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Your session is over")).to_be_visible()
    assert len(site.asked("DELETE", "session")) == 1
    site.session_over = False
    # in place of the overview
    open_page(site, page, "")
    expect(field(page, "Sales account")).to_be_visible()
    expect(field(page, "Sales account")).to_have_value("260")


def test_a_person_who_could_not_be_logged_out_is_told(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    site.refuse("DELETE session", 500, "our_fault", "This went wrong on our side.")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("alert").filter(has_text="still logged in")).to_be_visible()


def test_leaving_with_unsaved_changes_asks_first(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", stay)
    page.reload()
    assert asked == []
    expect(field(page, "Sales account")).to_have_value("200")
    field(page, "Sales account").fill("260")
    page.reload()
    assert asked == ["beforeunload"]
    page.remove_listener("dialog", stay)


def test_an_unreachable_server_costs_nothing_typed(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    field(page, "Sales account").fill("260")
    page.route("**/api/**", lambda route: route.abort())
    save(page)
    expect(page.locator("#save-error")).to_contain_text("can’t be reached")
    page.unroute("**/api/**")
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert site.settings["sales_account_code"] == "260"


@pytest.mark.parametrize(
    ("refused", "then"), [(3, "Saved"), (4, "Too many people")], ids=["for a moment", "for longer"]
)
def test_a_request_that_is_one_too_many_is_sent_again(
    site: Site, page: Page, refused: int, then: str
) -> None:
    site.set_up()
    open_page(site, page)
    field(page, "Sales account").fill("260")
    left = [refused]

    def busy(route: Route) -> None:
        if route.request.method == "PUT" and left[0]:
            left[0] -= 1
            route.fulfill(status=429, json={"message": "Too Many Requests"})
        else:
            route.continue_()

    page.route("**/api/*/settings", busy)
    save(page)
    place = page.locator("#save-status" if then == "Saved" else "#save-error")
    expect(place).to_contain_text(then, timeout=15_000)
    page.unroute("**/api/*/settings")


def test_what_is_typed_while_saving_stays_unsaved_and_there(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    field(page, "Sales account").fill("260")

    def slowly(call: Call) -> None:
        if call.method == "PUT":
            time.sleep(0.4)

    site.on_call = slowly
    save(page)
    field(page, "Shipping account").fill("205")
    expect(page.locator("#save-status")).to_contain_text("Saved")
    expect(field(page, "Shipping account")).to_have_value("205")
    assert saved_with(site) == [{"version": 3, "settings": {"sales_account_code": "260"}}]
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert site.settings["shipping_account_code"] == "205"


def test_tables_are_edited_by_rows(site: Site, page: Page) -> None:
    site.set_up(sales_accounts_by_sku_prefix={"EMB-": "205"})
    open_page(site, page)
    page.locator("#more > summary").click()
    accounts = page.get_by_role("group", name="Sales accounts by sku", exact=True)
    expect(accounts.get_by_label("Sku begins with")).to_have_value("EMB-")
    accounts.get_by_role("button", name="Add a beginning").click()
    expect(accounts.get_by_label("Sku begins with").nth(1)).to_be_focused()
    accounts.get_by_label("Sku begins with").nth(1).fill("EMB-")
    accounts.get_by_label("Sales account", exact=True).nth(1).fill("260")
    save(page)
    expect(page.locator("#sales_accounts_by_sku_prefix-error")).to_contain_text("“EMB-” is there twice")
    assert saved_with(site) == []
    accounts.get_by_label("Sku begins with").nth(1).fill("TEE-")
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    accounts.get_by_role("button", name="Remove row 1 of Sales accounts by sku").click()
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert [body["settings"] for body in saved_with(site)] == [
        {"sales_accounts_by_sku_prefix": {"EMB-": "205", "TEE-": "260"}},
        {"sales_accounts_by_sku_prefix": {"TEE-": "260"}},
    ]


def test_rows_of_tax_rates_say_where_an_order_is_shipped_to(site: Site, page: Page) -> None:
    site.set_up(tax_types=[tax_row("20", "OUTPUT2")])
    open_page(site, page)
    page.locator("#more > summary").click()
    taxes = page.get_by_role("group", name="Tax rates", exact=True)
    expect(taxes).to_contain_text("Rows only choose among tax rates of the order’s own percentage")
    expect(taxes.get_by_label("Rate in %")).to_have_value("20")
    expect(taxes.get_by_label("Shipped to")).to_have_value("")
    taxes.get_by_role("button", name="Add a tax rate").click()
    taxes.get_by_label("Rate in %").nth(1).fill("20")
    taxes.get_by_label("Shipped to").nth(1).click()
    page.get_by_role("option", name="EU").click()
    taxes.get_by_label("Tax rate in Xero").nth(1).fill("ECZROUTPUT")
    taxes.get_by_label("Sales account, if another").nth(1).fill("260")
    taxes.get_by_label("Bill without tax").nth(1).check()
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    rows = [
        tax_row("20", "OUTPUT2"),
        tax_row("20", "ECZROUTPUT", "EU", reverse_charge=True) | {"account": "260"},
    ]
    assert [body["settings"] for body in saved_with(site)] == [{"tax_types": rows}]


def test_what_is_worth_a_second_look_is_said_where_things_stand(site: Site, page: Page) -> None:
    site.set_up()
    site.advice = [
        {"name": "tax_types", "message": "20% VAT (TAX020) has 16 % in Xero, and the row is for 20 %."}
    ]
    open_page(site, page)
    expect(page.locator("#todo")).to_contain_text("Tax rates: 20% VAT (TAX020) has 16 % in Xero")
    page.locator("#todo").get_by_role("button", name="Tax rates").click()
    expect(page.locator("#more")).to_have_attribute("open", "")


def test_there_are_at_most_two_tracking_categories(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    page.locator("#more > summary").click()
    categories = page.get_by_role("group", name="Tracking categories")
    add = categories.get_by_role("button", name="Add a category")
    add.click()
    add.click()
    expect(add).to_be_hidden()
    for row, (name, option) in enumerate([("Region", "North"), ("Team", "Print")]):
        categories.get_by_label("Category").nth(row).fill(name)
        categories.get_by_label("Option").nth(row).fill(option)
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert site.settings["tracking_categories"] == [
        {"Name": "Region", "Option": "North"},
        {"Name": "Team", "Option": "Print"},
    ]


def test_every_kind_of_value_survives_a_save_of_another(site: Site, page: Page) -> None:
    everything = {
        "enabled": False,
        "tax_types": [
            tax_row("20", "OUTPUT2"),
            tax_row("5", "RROUTPUT", "DE"),
            tax_row("20", "ECZROUTPUT", "EU", reverse_charge=True),
        ],
        "sales_accounts_by_sku_prefix": {"EMB-": "205", "A": "260"},
        "tracking_categories": [{"Name": "Region", "Option": "North"}],
        "start_from": "2031-01-01",
        "payment_terms_days": 0,
        "post_when": "dispatch",
    }
    site.set_up(**everything)
    open_page(site, page)
    field(page, "Shipping account").fill("260")
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert saved_with(site) == [{"version": 3, "settings": {"shipping_account_code": "260"}}]


# --- fields that choose from the organisation's lists ---


def test_an_account_is_chosen_with_the_keyboard_alone(site: Site, page: Page) -> None:
    site.set_up(sales_account_code="")
    open_page(site, page)
    sales = field(page, "Sales account")
    sales.focus()
    expect(sales).to_have_attribute("aria-expanded", "false")
    page.keyboard.type("embr")
    expect(page.locator(".popup [role=option]")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    option = page.locator(f"#{sales.get_attribute('aria-activedescendant')}")
    expect(option).to_contain_text("Sales of embroidery")
    page.keyboard.press("Enter")
    expect(sales).to_have_value("205")
    expect(sales).to_have_attribute("aria-expanded", "false")
    expect(page.locator("#sales_account_code-hint")).to_have_text("Sales of embroidery (Revenue)")


def test_escape_closes_the_list_and_keeps_what_was_typed(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    shipping = field(page, "Shipping account")
    shipping.focus()
    page.keyboard.type("9")
    expect(shipping).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(shipping).to_have_attribute("aria-expanded", "false")
    expect(shipping).to_have_value("9")


def test_a_field_offers_only_accounts_that_fit(site: Site, page: Page) -> None:
    site.set_up(process_method="tracked")
    open_page(site, page)
    for label, codes in {
        "Sales account": ["200", "205", "260"],
        "Cost of goods sold account": ["310"],
        "Inventory asset account": ["630"],
    }.items():
        field(page, label).click()
        expect(page.locator(".popup:visible [role=option] b")).to_have_text(codes)
        page.keyboard.press("Escape")


def test_an_account_entered_by_name_becomes_its_code(site: Site, page: Page) -> None:
    site.set_up()
    open_page(site, page)
    field(page, "Sales account").fill("other revenue")
    field(page, "Contact name").focus()
    expect(field(page, "Sales account")).to_have_value("260")


def test_an_account_that_xero_does_not_have_is_pointed_out_and_kept(site: Site, page: Page) -> None:
    site.set_up(sales_account_code="999")
    open_page(site, page)
    expect(page.locator("#sales_account_code-hint")).to_have_text(
        "Your organisation in Xero has no active account “999”."
    )
    expect(field(page, "Sales account")).to_have_value("999")
    todo = page.locator("#todo")
    expect(todo).to_contain_text("Sales account: Your organisation in Xero has no active account “999”.")
    expect(todo).not_to_contain_text("Everything is set up")
    field(page, "Sales account").fill("200")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(todo).to_contain_text("Everything is set up")


def test_accounts_and_contact_can_be_typed_before_there_is_a_connection(site: Site, page: Page) -> None:
    open_page(site, page)
    field(page, "Sales account").click()
    expect(page.locator(".popup:visible")).to_contain_text("once you are connected")
    field(page, "Sales account").fill("200")
    field(page, "Contact name").fill("Kornit X orders")
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    assert site.settings["sales_account_code"] == "200"
    assert site.settings["contact_name"] == "Kornit X orders"
    assert not [call for call in site.calls if call.path.startswith("xero/")]


def test_contacts_are_searched_as_one_types(site: Site, page: Page) -> None:
    site.set_up(contact_name="")
    open_page(site, page)
    contact = field(page, "Contact name")
    contact.press_sequentially("kornit")
    expect(page.locator(".popup:visible [role=option]")).to_have_count(2)
    assert site.asked("GET", "xero/contacts")[-1].query == {"search": "kornit"}
    page.get_by_role("option", name="Kornit X wholesale").click()
    expect(contact).to_have_value("Kornit X wholesale")


def test_a_list_that_cannot_be_read_says_so_and_typing_goes_on(site: Site, page: Page) -> None:
    site.set_up()
    site.refuse("GET xero/accounts", 503, "xero_unavailable", "Xero does not answer.")
    open_page(site, page)
    field(page, "Sales account").click()
    expect(page.locator(".popup:visible")).to_contain_text("can’t be read right now. Xero does not answer.")
    field(page, "Sales account").fill("260")
    save(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")


def test_what_the_server_remarks_on_a_saved_value_is_shown(site: Site, page: Page) -> None:
    site.set_up()
    site.notes = [contact_note("Nobody")]
    open_page(site, page)
    field(page, "Contact name").fill("Nobody")
    save(page)
    expect(page.locator("#contact_name-hint")).to_have_text(site.notes[0]["message"])
    expect(page.locator("#save-status")).to_contain_text(site.notes[0]["message"])


# --- words ---


def test_the_redirect_uri_is_copied_with_one_press(site: Site, page: Page) -> None:
    open_page(site, page)
    page.get_by_role("button", name="Copy the redirect URI").click()
    expect(page.locator("#copied")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == field(page, "Redirect URI").input_value()
    assert field(page, "Redirect URI").get_attribute("readonly") is not None


def test_names_are_shown_as_text_never_as_markup(site: Site, page: Page) -> None:
    markup = "<img src=x onerror=\"document.title='taken'\">"
    site.set_up(contact_name=markup)
    site.user = markup
    site.saved_by = markup
    site.history = [{"at": "2031-03-04T10:15:00Z", "by": markup, "what": markup}]
    site.connection = connection("connected", words=markup, organisation={"id": "1", "name": markup})
    open_page(site, page)
    page.locator("#history > summary").click()
    expect(page.locator("#history-list")).to_contain_text(markup)
    expect(page.locator(".who")).to_contain_text(markup)
    assert page.locator("img").count() == 0
    assert page.title() != "taken"


def test_moments_are_written_in_the_browsers_language(site: Site, browser: Browser) -> None:
    site.set_up()
    context = browser.new_context(locale="de-DE", timezone_id="Europe/Berlin")
    german = context.new_page()
    open_page(site, german)
    expect(german.locator("#access-token-expires")).to_have_text("04.03.2031, 11:42")
    context.close()


@pytest.mark.parametrize(("status", "opened"), [("not_connected", "Settings"), ("connected", "Overview")])
def test_a_script_that_does_not_arrive_is_told_without_a_script(
    site: Site, page: Page, status: str, opened: str
) -> None:
    site.connection = connection(status)
    page.route("**/page.js", lambda route: route.abort())
    page.goto(site.page)
    panel = page.get_by_role("tabpanel", name=opened)
    late = panel.get_by_text("This takes longer than usual.")
    expect(late).to_be_hidden()
    page.evaluate("document.getAnimations().forEach((one) => one.finish())")
    expect(late).to_be_visible()
    page.unroute("**/page.js")
    panel.get_by_role("link", name="load the page again").click()
    expect(page.locator("#todo")).to_contain_text("Client ID")


def test_the_confirmation_of_an_address_is_sent_again_by_a_button(site: Site, page: Page) -> None:
    STATES["mail_addresses"](site, page)
    buttons = page.get_by_role("button", name="Send the confirmation again")
    expect(buttons).to_have_count(4)
    page.get_by_role("button", name="Send the confirmation again to bounced@example.com").click()
    expect(page.locator("#mail-status")).to_have_text(
        "The confirmation goes to bounced@example.com within a minute."
    )
    expect(buttons).to_have_count(3)
    [call] = site.asked("POST", "mail-addresses/confirmation")
    assert call.body == {"address": "bounced@example.com"}
    site.refuse("POST mail-addresses/confirmation", 409, "not_asked_again", "A mail went there just now.")
    page.get_by_role("button", name="Send the confirmation again to stopped@example.com").click()
    expect(page.locator("#mail-status")).to_have_text("A mail went there just now.")


def test_a_lost_connection_is_told_on_the_orders_tab_until_it_is_back(site: Site, page: Page) -> None:
    STATES["orders_without_a_connection"](site, page)
    page.get_by_role("link", name="Go to Settings, Connection").click()
    expect(page.locator("#settings-panel")).to_be_visible()
    site.connection = connection("connected")
    page.reload()
    expect(page.locator("#connection-state")).to_contain_text("Connected")
    expect(page.locator("#orders-connection")).to_be_empty()


@pytest.mark.parametrize(
    ("status", "leads_to"),
    [
        ("choose_organisation", "connection-heading"),
        ("confirm_organisation", "connection-heading"),
        ("disconnected", "connection-heading"),
        ("wrong_credentials", "client_secret"),
    ],
)
def test_whatever_orders_wait_for_is_one_press_away_from_them(
    site: Site, page: Page, status: str, leads_to: str
) -> None:
    site.set_up()
    site.connection = connection(status)
    open_page(site, page, "#orders")
    page.locator("#orders-connection").get_by_role("link").click()
    expect(page.locator(f"#{leads_to}")).to_be_focused()

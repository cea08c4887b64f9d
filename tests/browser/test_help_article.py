"""The platform's help article “Accounting Integrations: Xero”, step by step, in a browser against the whole system."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import LocalAddresses

# Xero lets two uncertified apps into an organisation, so the companies are spread over several
BRITISH, NEW_ZEALAND, MARLOW = "Demo Company (UK)", "Demo Company (NZ)", "Marlow Print Works Ltd"
CONTACT = "Kornit X Sales"
ACCOUNTS = {
    "Sales account": "200",
    "Cost of goods sold account": "310",
    "Inventory asset account": "630",
    "Shipping account": "200",
}
SECONDS = 1_000


@dataclass
class Office:
    """Somebody in a company's office, at their browser."""

    company: str
    browser: BrowserContext
    popup: Page
    system: LocalAddresses
    organisation: str

    def open_popup(self) -> None:
        self.popup.goto(self.system.launch_url(self.company))
        # once connected, the popup opens on its overview
        self.popup.get_by_role("tab", name="Settings").click()
        expect(self.popup.locator("#connection-state .badge")).to_be_visible()
        expect(self.popup.locator("#todo")).not_to_contain_text("Loading")

    def fill(self, label: str, text: str) -> None:
        self.popup.get_by_label(label, exact=True).fill(text)

    def press(self, name: str) -> None:
        self.popup.get_by_role("button", name=name, exact=True).click()

    def save(self, in_spite_of: str = "") -> None:
        self.press("Save")
        if in_spite_of:
            asked = self.popup.get_by_role("dialog")
            expect(asked).to_contain_text(in_spite_of)
            asked.get_by_role("button", name="Save all the same").click()
        expect(self.popup.locator("#save-status")).to_have_text(re.compile("saved", re.IGNORECASE))
        expect(self.popup.locator("#save-error")).to_be_empty()

    def create_app(self) -> tuple[str, str]:
        """An app in Xero's developer portal, with the redirect URI the popup shows."""
        redirect_uri = self.popup.get_by_label("Redirect URI").input_value()
        portal = self.browser.new_page()
        guide = self.popup.get_by_role("link", name="Xero’s developer portal")
        portal.goto(guide.get_attribute("href") or "")
        portal.get_by_label("App name").fill(f"Orders of {self.company}")
        portal.get_by_label("Web app").check()
        portal.get_by_label("Company or application URL").fill("https://shop.example.com")
        portal.get_by_label("Redirect URI").fill(redirect_uri)
        portal.get_by_role("button", name="Create app").click()
        portal.get_by_role("button", name="Generate a secret").click()
        credentials = portal.locator("#client_id").inner_text(), portal.locator("#client_secret").inner_text()
        portal.close()
        return credentials

    def log_in(self) -> None:
        self.popup.get_by_label("Email address").fill("ada@example.com")
        self.popup.get_by_label("Password").fill("demo")
        self.popup.get_by_role("button", name="Log in").click()

    def allow_access(self) -> None:
        self.popup.get_by_label(self.organisation, exact=True).check()
        self.popup.get_by_role("button", name="Allow access").click()

    def enter_app(self) -> None:
        client_id, client_secret = self.create_app()
        self.fill("Client ID", client_id)
        self.fill("Client Secret", client_secret)
        self.save()

    def set_up(self, process_method: str, accounts: dict[str, str], in_spite_of: str) -> None:
        """The whole article, saved in spite of what Check setup finds."""
        self.open_popup()
        self.enter_app()
        self.press("Get Access Token")
        self.log_in()
        self.allow_access()
        expect(self.popup.get_by_role("heading", name="Connected to Xero")).to_be_visible()
        self.popup.get_by_role("radio", name=re.compile(f"^{process_method}")).check()
        for label, code in accounts.items():
            self.fill(label, code)
        self.fill("Contact name", CONTACT)
        self.popup.locator("#more > summary").click()
        # two companies in one organisation need numbers of their own
        self.fill("Number prefix", f"C{self.company}-")
        self.save(in_spite_of)

    def choose_account(self, code: str) -> None:
        self.popup.get_by_label("Sales account", exact=True).click()
        self.popup.get_by_role("option", name=code).click()

    def order(self, order_id: str, state: str) -> None:
        """Look at an order on the tab Orders until it stands so."""
        self.popup.get_by_role("tab", name="Orders").click()
        self.popup.goto(f"{self.popup.url.partition('#')[0]}#orders/{order_id}")
        settled = self.popup.get_by_role("heading", name=f"Order {order_id} {state}")
        give_up_at = time.monotonic() + 40
        while not settled.is_visible() and time.monotonic() < give_up_at:
            self.popup.reload()
            expect(self.popup.locator("#one-order-status")).to_be_empty()
            self.popup.wait_for_timeout(300)
        expect(settled).to_be_visible()


@pytest.fixture
def office(browser: Browser, local_system: LocalAddresses) -> Callable[[str, str], Office]:
    context = browser.new_context(
        viewport={"width": 1000, "height": 900}, locale="en-GB", timezone_id="Europe/London"
    )
    context.set_default_timeout(60 * SECONDS)
    expect.set_options(timeout=60 * SECONDS)

    def at_work(company: str, organisation: str) -> Office:
        popup = context.new_page()
        # shown by pytest when the test fails
        popup.on(
            "requestfailed",
            lambda request: print(f"failed: {request.method} {request.url} {request.failure}"),
        )
        popup.on("console", lambda message: print(f"console: {message.text}"))
        return Office(company, context, popup, local_system, organisation)

    return at_work


@pytest.fixture(autouse=True)
def usual_patience() -> object:
    yield
    expect.set_options(timeout=5 * SECONDS)


def test_the_help_article_step_by_step(
    office: Callable[[str, str], Office], local_system: LocalAddresses
) -> None:
    ada = office("421001", BRITISH)
    popup = ada.popup
    contact_in_xero(local_system)

    # Xero Integration Settings: create an app, with the redirect URL of the popup; generate a secret
    ada.open_popup()
    client_id, client_secret = ada.create_app()

    # Obtaining the Access Token
    # 1. Enter the Client ID, Client Secret and the Redirect Uri into the respective fields
    ada.fill("Client ID", client_id)
    ada.fill("Client Secret", client_secret)
    # 2. Click the Save button
    ada.save()
    expect(popup.locator("#save-status")).to_contain_text("Still missing: Sales account, Contact name.")

    # 3. Re-open the settings popup again and click the button 'Get Access Token'
    ada.open_popup()
    expect(popup.get_by_label("Client ID")).to_have_value(client_id)
    expect(popup.get_by_label("Client Secret")).to_have_value("")
    expect(popup.locator("#client_secret-hint")).to_contain_text("Set")
    ada.fill("Sales account", "200")
    ada.press("Get Access Token")

    # 4. This will prompt the user for the access credentials
    ada.log_in()
    ada.allow_access()

    # 5. back in the popup, with the Access Token, Access Token Expiration, Refresh Token and Tenant ID
    expect(popup.get_by_role("heading", name="Connected to Xero")).to_be_visible()
    expect(popup.locator("#organisation-name")).to_have_text(BRITISH)
    expect(popup.locator("#access-token")).to_have_text("••••••••")
    expect(popup.locator("#access-token-expires")).to_have_text(re.compile(r"\d"))
    expect(popup.locator("#refresh-token")).to_have_text("••••••••")
    expect(popup.locator("#tenant-id")).to_have_text(re.compile(r"^[0-9a-f-]{36}$"))
    expect(popup.get_by_label("Sales account", exact=True)).to_have_value("200")
    tenant_id = popup.locator("#tenant-id").inner_text()

    # 6. Click the Save Button again
    ada.save()
    expect(popup.locator("#tenant-id")).to_have_text(tenant_id)

    # Integration Process Methods: the default is Untracked
    expect(popup.get_by_role("radio", name="Untracked")).to_be_checked()

    # Accounts Setup: the fields list the organisation's accounts; those that only Tracked needs appear with it
    popup.get_by_role("radio", name=re.compile("^Tracked")).check()
    popup.get_by_label("Cost of goods sold account").click()
    popup.get_by_role("option", name="310").click()
    popup.get_by_label("Inventory asset account").click()
    popup.get_by_role("option", name="630").click()
    popup.get_by_role("radio", name="Untracked").check()
    ada.fill("Shipping account", "200")

    # Contact Name in Xero
    popup.get_by_label("Contact name", exact=True).press_sequentially(CONTACT[:6])
    popup.get_by_role("option", name=CONTACT).click()
    ada.save()
    expect(popup.locator("#todo")).to_contain_text(f"Everything is set up. Orders are posted to {BRITISH}.")

    # and all of it is still there the next time
    ada.open_popup()
    for label, code in ACCOUNTS.items():
        expect(popup.get_by_label(label, exact=True)).to_have_value(code)
    expect(popup.get_by_label("Contact name", exact=True)).to_have_value(CONTACT)
    expect(popup.locator("#tenant-id")).to_have_text(tenant_id)
    popup.locator("#history > summary").click()
    expect(popup.locator("#history-list li")).not_to_have_count(0)

    # an order becomes an invoice
    order_id = local_system.send_order(ada.company)
    ada.order(order_id, "Posted")
    expect(popup.locator(".documents")).to_contain_text(f"Sales invoice KX-{order_id}")
    with popup.context.expect_page() as opened:
        popup.get_by_role("link", name="Open in Xero").click()
    expect(opened.value.get_by_role("heading", name=f"Invoice KX-{order_id}")).to_be_visible()
    assert local_system.documents(f"KX-{order_id}") == ["ACCREC"]


def test_a_tracked_order_that_is_stopped_says_why_and_becomes_both_documents_after_the_fix(
    office: Callable[[str, str], Office], local_system: LocalAddresses
) -> None:
    contact_in_xero(local_system)
    ben = office("421002", MARLOW)
    popup = ben.popup
    ben.set_up("Tracked", {**ACCOUNTS, "Sales account": "999"}, in_spite_of="“Sales account” is 999")
    order_id = local_system.send_order(ben.company)
    ben.order(order_id, "Needs attention")
    expect(popup.get_by_role("region", name="Problem")).to_contain_text("999")
    popup.get_by_role("tab", name="Settings").click()
    ben.fill("Sales account", ACCOUNTS["Sales account"])
    ben.save()
    ben.order(order_id, "Posted")
    expect(popup.locator(".documents")).to_contain_text("Sales invoice")
    purchase_order = popup.locator(".documents > li", has_text="Purchase order")
    with ben.browser.expect_page() as opened:
        purchase_order.get_by_role("link", name="Open in Xero").click()
    heading = f"Purchase order C{ben.company}-{order_id}"
    expect(opened.value.get_by_role("heading", name=heading)).to_be_visible()


def test_whatever_goes_wrong_on_the_way_to_xero_is_told_in_words_and_mended_from_there(
    office: Callable[[str, str], Office],
) -> None:
    eve = office("421003", NEW_ZEALAND)
    popup = eve.popup
    told = popup.locator("#outcome").get_by_role("heading")
    eve.open_popup()
    client_id, client_secret = eve.create_app()

    # a wrong client id: Xero's own page says no more than this, and the back button leads to the popup
    eve.fill("Client ID", "NOSUCHAPP")
    eve.fill("Client Secret", "wrong")
    eve.press("Get Access Token")
    expect(popup.get_by_role("heading", name="Sorry, something went wrong")).to_be_visible()
    popup.go_back()
    expect(popup.get_by_label("Client ID")).to_have_value("NOSUCHAPP")

    # a wrong secret
    eve.fill("Client ID", client_id)
    eve.fill("Client Secret", "wrong")
    eve.press("Get Access Token")
    eve.log_in()
    eve.allow_access()
    expect(told).to_contain_text("Xero does not accept the client secret")
    eve.press("Go to the Client Secret")
    eve.fill("Client Secret", client_secret)

    # Cancel
    eve.press("Get Access Token")
    popup.get_by_role("button", name="Cancel").click()
    expect(told).to_contain_text("Not connected: access was not allowed")
    eve.press("Get Access Token")
    eve.allow_access()
    expect(told).to_contain_text("Connected to Xero")

    eve.choose_account("200")

    # disconnecting is confirmed by Xero, and connecting again works at once
    eve.press("Disconnect")
    popup.get_by_role("dialog").get_by_role("button", name="Disconnect").click()
    expect(popup.locator("#connection-state")).to_contain_text("Xero was told")
    expect(popup.locator("#access-token")).to_have_text("–")
    eve.press("Get Access Token")
    eve.allow_access()
    expect(told).to_contain_text("Connected to Xero")
    eve.choose_account("200")


def test_the_popup_opens_with_three_requests_and_keeps_its_script_and_styles(
    office: Callable[[str, str], Office], caplog: pytest.LogCaptureFixture
) -> None:
    """Counted where they arrive: what a browser tells of its requests leaves the icon out."""
    caplog.set_level(logging.INFO, "local")
    fay = office("421004", BRITISH)

    def opening() -> list[str]:
        caplog.clear()
        fay.open_popup()
        expect(fay.popup.locator("#no-orders")).to_contain_text("No orders yet")
        asked = re.findall(r"^GET (\S+): 200 ", "\n".join(caplog.messages), re.MULTILINE)
        return [path for path in asked if not path.startswith("/api/")]

    page, *kept = opening()
    assert page == "/settings/421004"
    assert sorted(path.rpartition("/")[2] for path in kept) == ["page.css", "page.js"]
    assert opening() == [page]


def contact_in_xero(system: LocalAddresses) -> None:
    """Xero Requirements, 2: a contact for the company exists."""
    assert CONTACT in system.contacts(BRITISH)

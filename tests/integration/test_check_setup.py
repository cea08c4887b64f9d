"""Check setup: each wrong set-up is found and told in words, in at most six calls to Xero, before an order meets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from local.samples import Maker
from local.xero.organisations import Organisation
from tests.integration.one_process import spoil
from tests.integration.popup import Browser, Popup

COMPANY = "412077"
TRACKED = {"process_method": "tracked", "purchase_tax_type": "INPUT2"}
MOST_CALLS = 6


@dataclass
class Scene:
    """A company whose set-up is right, and the people who can spoil it."""

    popup: Popup
    office: Browser
    books: Organisation

    def contact(self) -> Any:
        return next(one for one in self.books.contacts.values() if one.status == "ACTIVE")

    def account(self, code: str) -> Any:
        account = self.books.account(code)
        assert account is not None
        return account

    def order(self, **changes: Any) -> None:
        self.popup.world.send(Maker().order(COMPANY, 1) | changes)
        self.popup.world.run()

    def check(self, **on_screen: Any) -> list[dict[str, Any]]:
        before = len(self.popup.world.calls())
        answer = self.office.post("check-setup", {"settings": on_screen})
        assert answer.status == 200, answer.body
        assert len(self.popup.world.calls()) - before <= MOST_CALLS
        checks: list[dict[str, Any]] = answer.json["checks"]
        return checks


@pytest.fixture
def scene(popup: Popup, uk: Organisation) -> Scene:
    popup.world.company(organisation=uk)
    office = popup.browser()
    office.app()
    return Scene(popup, office, uk)


def results(checks: list[dict[str, Any]]) -> dict[str, str]:
    """The worst result of each thing."""
    worst = ["good", "unknown", "warning", "wrong"]
    found: dict[str, str] = {}
    for check in checks:
        found[check["name"]] = max(found.get(check["name"], "good"), check["result"], key=worst.index)
    return found


def test_a_company_that_is_set_up_right_gets_ten_ticks(scene: Scene) -> None:
    scene.order()
    checks = scene.check(**TRACKED)
    assert results(checks) == dict.fromkeys(
        (
            "app",
            "permissions",
            "plan",
            "contact",
            "accounts",
            "tax_rates",
            "purchase_tax",
            "currencies",
            "lock_dates",
            "calls",
        ),
        "good",
    ), checks
    assert all(check["words"].endswith(".") for check in checks)


def test_before_the_first_order_what_only_orders_show_is_left_open(scene: Scene) -> None:
    checks = scene.check()
    assert {name for name, result in results(checks).items() if result != "good"} == {"tax_rates"}
    assert "No order has arrived yet" in next(one["words"] for one in checks if one["name"] == "tax_rates")


Spoil = Callable[[Scene], Any]
WRONG: dict[str, tuple[Spoil, dict[str, Any], str, str, str]] = {}
"""What is wrong → who does it, the settings on screen; then the check, its result and words it has."""


def wrong(
    name: str, check: str, words: str, result: str = "wrong", **on_screen: Any
) -> Callable[[Spoil], Spoil]:
    def kept(spoil_it: Spoil) -> Spoil:
        WRONG[name] = (spoil_it, on_screen, check, result, words)
        return spoil_it

    return kept


def nothing(scene: Scene) -> None:
    """The settings alone are wrong."""


@wrong("app disconnected in Xero", "app", "Xero refuses access")
def _(scene: Scene) -> None:
    scene.popup.world.xero.connections.drop(tenant_id=scene.books.id)


@wrong("disconnected here", "app", "Disconnected from")
def _(scene: Scene) -> None:
    scene.office.delete("connection")


@wrong("another app entered", "app", "another Xero app")
def _(scene: Scene) -> None:
    scene.office.put("credentials", {"client_id": "ANOTHER", "client_secret": "secret"})


@wrong("a permission missing", "permissions", "contacts")
def _(scene: Scene) -> None:
    scopes = ["offline_access", "accounting.invoices", "accounting.settings.read"]
    spoil(
        scene.popup.world,
        "ConnectionsTable",
        {"pk": f"connection#{COMPANY}", "sk": "connection"},
        scopes=scopes,
    )


@wrong("no approved invoices left", "plan", "no approved sales invoices", invoice_status="AUTHORISED")
def _(scene: Scene) -> None:
    scene.books.approval_cap = 0


@wrong("contact archived", "contact", "is archived")
def _(scene: Scene) -> None:
    scene.contact().status = "ARCHIVED"


@wrong("contact there twice", "contact", "more than one contact")
def _(scene: Scene) -> None:
    first, second = (one for one in list(scene.books.contacts.values())[:2])
    second.name, second.status = first.name, "ACTIVE"


@wrong("account archived", "accounts", "archived or deleted")
def _(scene: Scene) -> None:
    scene.account("200").status = "ARCHIVED"


@wrong("tax rate of a row deleted", "tax_rates", "is deleted in Xero")
def _(scene: Scene) -> None:
    scene.books.tax_rates["ZERORATEDOUTPUT"].status = "DELETED"


@wrong("rate that no tax rate has", "tax_rates", "taxed at 7 %")
def _(scene: Scene) -> None:
    line = {"sku": "MUG", "quantity": 1, "unit_sale_price": "10.00", "sale_vat_rate": "7"}
    scene.order(items=[line])


@wrong("rate with two tax rates", "tax_rates", "a person has to say which", tax_types=[])
def _(scene: Scene) -> None:
    line = {"sku": "MUG", "quantity": 1, "unit_sale_price": "10.00", "sale_vat_rate": "0"}
    scene.order(items=[line], shipping_price="0", shipping_price_inc_tax="0")


@wrong("purchase tax nobody chose", "purchase_tax", "Nobody chose", "warning", process_method="tracked")
def _(scene: Scene) -> None:
    scene.order()


@wrong("currency of orders missing", "currencies", "Recent orders are in NOK")
def _(scene: Scene) -> None:
    scene.order(currency_code="NOK")


@wrong("plan with one currency", "currencies", "Currency” is NOK", currency="NOK")
def _(scene: Scene) -> None:
    scene.books.multicurrency = False


@wrong("everything locked", "lock_dates", "Every order of today would stop")
def _(scene: Scene) -> None:
    scene.books.period_lock_date = scene.popup.world.clock.now().date()


@wrong(
    "everything locked, and the next open day",
    "lock_dates",
    "first open day",
    "warning",
    lock_date_action="next_open_day",
)
def _(scene: Scene) -> None:
    scene.books.period_lock_date = scene.popup.world.clock.now().date()


@wrong("an order of a locked period", "lock_dates", "1 of the latest orders")
def _(scene: Scene) -> None:
    day = scene.popup.world.clock.now().date() - timedelta(days=9)
    scene.books.period_lock_date = day
    scene.order(sale_datetime=f"{day}T10:00:00Z")


wrong("contact not filled in", "contact", "is not filled in", contact_name="")(nothing)
wrong("contact unknown", "contact", "no contact named “Nobody”", contact_name="Nobody")(nothing)
wrong("supplier unknown", "contact", "“Nobody”", purchase_order_contact_name="Nobody", **TRACKED)(nothing)
wrong("account not filled in", "accounts", "is not filled in", sales_account_code="")(nothing)
wrong("account unknown", "accounts", "does not have", shipping_account_code="999")(nothing)
wrong("account of another type", "accounts", "has to be", sales_account_code="310")(nothing)
wrong(
    "inventory account of another type",
    "accounts",
    "an inventory account",
    **TRACKED,
    inventory_asset_account_code="200",
)(nothing)
wrong(
    "account of a sku unknown", "accounts", "Sales accounts by sku", sales_accounts_by_sku_prefix={"A": "998"}
)(nothing)
wrong(
    "account of a tax row unknown",
    "accounts",
    "997",
    tax_types=[{"rate": "20", "tax_type": "OUTPUT2", "account": "997"}],
)(nothing)
wrong(
    "purchase tax for sales",
    "purchase_tax",
    "can't be used for purchases",
    process_method="tracked",
    purchase_tax_type="OUTPUT2",
)(nothing)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_set_up_is_found_with_what_to_do(scene: Scene, name: str) -> None:
    spoil_it, on_screen, check, result, words = WRONG[name]
    spoil_it(scene)
    checks = scene.check(**on_screen)
    assert results(checks)[check] == result, checks
    found = [one for one in checks if one["name"] == check and words in one["words"] + one["fix"]]
    assert found, checks
    assert all(one["fix"] or result == "warning" for one in found)


def test_calls_that_run_out_are_told(scene: Scene) -> None:
    scene.books.day_limit = len(scene.popup.world.calls()) + 50
    left = next(one for one in scene.check() if one["name"] == "calls")
    assert (left["result"], left["words"]) == ("warning", "44 calls are left today.")
    scene.books.day_limit = 1
    left = next(one for one in scene.check() if one["name"] == "calls")
    assert (left["result"], left["words"]) == ("warning", "0 calls are left today.")


@pytest.mark.parametrize("kind", ["not_found", "forbidden"])
def test_xero_may_say_nothing_of_the_plan(scene: Scene, kind: str) -> None:
    fault = {"kind": kind, "path_prefix": "/api.xro/2.0/Organisation/Actions"}
    scene.popup.world.xero.faults.add(fault)
    assert results(scene.check())["plan"] == "unknown"


def test_xero_out_of_reach_is_said(scene: Scene) -> None:
    scene.popup.world.xero.faults.add({"kind": "error_before_commit", "path_prefix": "/api.xro", "times": 9})
    answer = scene.office.post("check-setup", {})
    assert (answer.status, answer.error) == (503, "xero_unavailable")


def test_values_that_can_not_be_saved_are_not_checked(scene: Scene) -> None:
    answer = scene.office.post("check-setup", {"settings": {"number_prefix": "kx1"}})
    assert (answer.status, answer.json["error"]["fields"][0]["name"]) == (422, "number_prefix")


def test_a_contact_whose_name_the_filter_does_not_take_is_searched_for(scene: Scene) -> None:
    scene.contact().name = 'The "Best" Shop'
    assert results(scene.check(contact_name='The "Best" Shop'))["contact"] == "good"
    # with a second one it takes more calls than one, and is left open
    second = scene.check(
        contact_name='The "Best" Shop', purchase_order_contact_name="Kornit X Sales", **TRACKED
    )
    assert results(second)["contact"] == "unknown"


def test_a_contact_that_only_many_calls_find_counts_while_its_name_is_remembered(scene: Scene) -> None:
    # Xero compares with what it stores, in which a no-break space is no space
    contact = scene.contact()
    contact.name = "Kornit\u00a0X  Sales"
    assert scene.office.save(contact_name="Kornit X Sales").json["notes"] == []
    assert results(scene.check())["contact"] == "good"


def test_an_organisation_that_pays_no_tax_needs_no_tax_rates(scene: Scene) -> None:
    scene.books.pays_tax = False
    found = results(scene.check(**TRACKED))
    assert (found["tax_rates"], found["purchase_tax"]) == ("good", "good")

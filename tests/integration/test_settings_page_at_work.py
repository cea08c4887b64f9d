"""The settings popup at work: launching, settings, the connection, orders, a preview."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from unittest.mock import patch

import boto3
import pytest

from bookkeeping.domain import ledger
from bookkeeping.domain.ledger import State
from local.samples import Maker
from local.xero.organisations import Organisation
from tests.canaries import kept_text
from tests.integration.one_process import XERO
from tests.integration.popup import (
    ORIGIN,
    Browser,
    Popup,
    context,
)

COMPANY, OTHER = "412077", "413995"
FITTING: dict[str, Any] = {
    "sales_account_code": "200",
    "shipping_account_code": "200",
    "tax_types": [{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}],
}


@pytest.fixture
def browser(popup: Popup) -> Browser:
    return popup.browser()


def tables() -> str:
    """Everything the tables hold, as text."""
    resource = boto3.resource("dynamodb")
    return json.dumps([table.scan()["Items"] for table in resource.tables.all()], default=kept_text)


# --- launching ---------------------------------------------------------------------------------------------------


def test_a_launch_token_opens_the_page_for_its_person_and_company(popup: Popup) -> None:
    answer = popup.launch(popup.token())
    assert (answer.status, answer.headers["location"]) == (303, f"/settings/{COMPANY}")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-session=")
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {
        "path=/",
        "max-age=3600",
        "secure",
        "httponly",
        "samesite=lax",
    }
    page = popup.request("GET", f"/settings/{COMPANY}", cookies=[cookie.partition(";")[0]])
    assert page.status == 200
    assert "Ada Moore" in page.body
    assert f"Thistle &amp; Thread ({COMPANY})" in page.body
    assert 'href="https://help.example.com/xero"' in page.body


@pytest.mark.parametrize(
    ("company_name", "shown"), [(None, "412077"), ("", "412077"), (7, "412077"), ("x" * 999, "x" * 200)]
)
def test_nobody_is_kept_out_for_the_name_of_the_company(
    popup: Popup, company_name: object, shown: str
) -> None:
    cookie = popup.launch(popup.token(company_name=company_name)).headers["set-cookie"]
    page = popup.request("GET", f"/settings/{COMPANY}", cookies=[cookie.partition(";")[0]])
    assert f"Company <strong>{shown}" in page.body
    assert "x" * 201 not in page.body


def test_a_launch_token_works_once(popup: Popup) -> None:
    token = popup.token()
    assert popup.launch(token).status == 303
    again = popup.launch(token)
    assert (again.status, "set-cookie" in again.headers) == (401, False)


def test_a_session_lasts_an_hour(popup: Popup, browser: Browser) -> None:
    popup.world.clock.advance(3599)
    assert browser.get("settings").status == 200
    popup.world.clock.advance(2)
    assert browser.get("settings").status == 401


# --- settings ----------------------------------------------------------------------------------------------------


MISLEADING = {"tax_types": [{"rate": "20", "ships_to": "DE", "tax_type": "RROUTPUT"}]}


def test_a_row_of_another_percentage_is_refused_with_both_figures(
    popup: Popup, browser: Browser, uk: Organisation
) -> None:
    popup.world.company(organisation=uk)
    assert browser.get("xero/tax-rates").status == 200, (
        "a list that the page shows: the organisation is known"
    )
    version = browser.get("settings").json["version"]
    refused = browser.put("settings", {"version": version, "settings": MISLEADING})
    assert refused.status == 422
    [field] = refused.json["error"]["fields"]
    assert field["name"] == "tax_types.0.tax_type"
    assert "5% (VAT on Income) (RROUTPUT) has 5 % in Xero, and the row is for 20 %" in field["message"]
    right = {"tax_types": [{"rate": "20", "ships_to": "Germany", "tax_type": "OUTPUT2"}]}
    saved = browser.put("settings", {"version": version, "settings": right})
    assert saved.json["settings"]["tax_types"][0]["ships_to"] == "DE"
    # another setting can be saved although somebody edited the rate in Xero since
    uk.tax_rates["OUTPUT2"].effective += 1
    popup.world.clock.advance(301)
    assert browser.get("xero/tax-rates").status == 200
    assert browser.save(payment_terms_days=7).status == 200
    [advice] = browser.get("settings").json["advice"]
    assert advice["name"] == "tax_types"
    assert "(OUTPUT2) has 21 % in Xero, and the row is for 20 %" in advice["message"]


def test_a_row_saved_before_the_organisation_is_known_is_warned_of_once_it_is(
    popup: Popup, browser: Browser, uk: Organisation
) -> None:
    browser.app()
    saved = browser.put("settings", {"version": 0, "settings": FITTING | MISLEADING})
    assert (saved.status, saved.json["advice"]) == (200, [])
    assert browser.connect(uk) == "connected"
    assert browser.get("xero/tax-rates").status == 200
    [advice] = browser.get("settings").json["advice"]
    assert "5% (VAT on Income) (RROUTPUT) has 5 % in Xero, and the row is for 20 %" in advice["message"]


def test_the_page_warns_that_a_reverse_charge_leaves_tax_out(popup: Popup, browser: Browser) -> None:
    row = {"rate": "20", "ships_to": "EU", "tax_type": "ECZROUTPUT", "reverse_charge": True}
    saved = browser.put("settings", {"version": 0, "settings": {"tax_types": [row]}})
    [advice] = saved.json["advice"]
    assert "20 % shipped to EU are billed without their tax" in advice["message"]


def test_settings_are_saved_as_versions_with_who_and_when(popup: Popup, browser: Browser) -> None:
    empty = browser.get("settings").json
    assert (empty["version"], empty["saved_by"], empty["settings"]["number_prefix"]) == (0, None, "KX-")
    assert "contact_name" in empty["missing"]
    first = browser.put("settings", {"version": 0, "settings": {"sales_account_code": "200"}}).json
    assert (first["version"], first["saved_by"], first["settings"]["sales_account_code"]) == (
        1,
        "Ada Moore",
        "200",
    )
    popup.world.clock.advance(60)
    second = browser.put("settings", {"version": 1, "settings": {"contact_name": "Kornit X Sales"}}).json
    assert (second["version"], second["settings"]["sales_account_code"]) == (2, "200")
    assert [act["what"] for act in second["history"]] == [
        "Changed Contact name",
        "Saved the settings for the first time",
    ]


def test_the_history_says_what_a_setting_was_and_what_it_became(popup: Popup, browser: Browser) -> None:
    rows = [{"rate": "20", "tax_type": "OUTPUT2"}, {"rate": "5", "tax_type": "RROUTPUT"}]
    browser.save(sales_account_code="200", tax_types=rows, sales_accounts_by_sku_prefix={"A": "200"})
    popup.world.clock.advance(60)
    saved = browser.save(
        sales_account_code="205", tax_types=rows[:1], sales_accounts_by_sku_prefix={"A": "200", "B": "205"}
    )
    newest, oldest = saved.json["history"]
    row = rows[1] | {"ships_to": "anywhere", "account": "", "reverse_charge": False}
    assert {one["name"]: (one["old"], one["new"]) for one in newest["changes"]} == {
        "sales_account_code": ("200", "205"),
        "tax_types": ([row], []),
        "sales_accounts_by_sku_prefix": ({}, {"B": "205"}),
    }
    assert "changes" not in oldest


def test_an_american_organisation_is_offered_the_codes_of_its_own_chart(
    popup: Popup, browser: Browser
) -> None:
    assert browser.get("settings").json["usual_accounts"] == {}
    american = popup.world.organisation("Demo Company (US)")
    browser.app()
    assert browser.connect(american) == "connected"
    assert browser.get("xero/accounts").status == 200, "the organisation is known from now on"
    assert browser.get("settings").json["usual_accounts"] == {
        "sales_account_code": "4000",
        "cogs_account_code": "5000",
        "inventory_asset_account_code": "1400",
    }


def test_a_stale_version_is_refused_with_what_changed_and_by_whom(popup: Popup, browser: Browser) -> None:
    browser.save(sales_account_code="200")
    other = popup.browser(user="user-2", name="Bo Lind")
    assert other.save(sales_account_code="210", rounding="show").status == 200
    stale = browser.put("settings", {"version": 1, "settings": {"sales_account_code": "220"}})
    assert stale.status == 409
    error = stale.json["error"]
    assert (error["code"], error["by"]) == ("changed_meanwhile", "Bo Lind")
    changes = {change["name"]: change for change in error["changes"]}
    assert changes["sales_account_code"] == {
        "name": "sales_account_code",
        "title": "Sales account",
        "yours": "220",
        "theirs": "210",
    }
    assert changes["rounding"]["theirs"] == "show"
    assert stale.json["current"]["version"] == 2
    assert browser.get("settings").json["settings"]["sales_account_code"] == "210"


def test_values_that_can_not_be_are_refused_field_by_field(browser: Browser) -> None:
    answer = browser.put(
        "settings",
        {
            "version": 0,
            "settings": {"number_prefix": "kx1", "payment_terms_days": 1000, "sales_acount": "200"},
        },
    )
    assert answer.status == 422
    assert {field["name"] for field in answer.json["error"]["fields"]} == {
        "number_prefix",
        "payment_terms_days",
        "sales_acount",
    }
    assert browser.get("settings").json["version"] == 0


def test_a_number_prefix_belongs_to_one_company_of_an_organisation(popup: Popup, uk: Organisation) -> None:
    one, two = popup.browser(), popup.browser(OTHER)
    for browser in (one, two):
        browser.app()
        browser.connect(uk)
    assert one.save(number_prefix="ACME-").status == 200
    clash = two.save(number_prefix="ACME-")
    assert clash.status == 422
    (field,) = clash.json["error"]["fields"]
    assert field["name"] == "number_prefix"
    assert COMPANY in field["message"]
    assert two.save(number_prefix="BETA-").status == 200
    assert one.save(number_prefix="BETA-").status == 422


def test_a_prefix_that_clashes_at_connect_stops_orders_until_it_is_changed(
    popup: Popup, uk: Organisation
) -> None:
    world = popup.world
    one, two = popup.browser(), popup.browser(OTHER)
    chart = FITTING | {"contact_name": world.contact(uk)}
    for browser in (one, two):
        browser.app()
        browser.save(**chart)
        assert browser.connect(uk) == "connected"
    assert COMPANY in two.get("connection").json["words"]
    order = Maker().order(COMPANY, 1, company_ref_id=int(OTHER))
    world.send(order)
    world.run()
    stopped = two.get(f"orders/{order['id']}").json
    assert stopped["problem"]["code"] == "settings_prefix_clash"
    assert COMPANY in stopped["problem"]["sentence"]
    assert two.save(number_prefix="B-").status == 200
    world.run()
    assert two.get(f"orders/{order['id']}").json["state"] == "posted"
    assert two.get("connection").json["words"] == f"Connected to {uk.name}."


def test_the_client_secret_goes_in_and_never_comes_out(browser: Browser) -> None:
    secret = "canary-secret-5f2a"
    answer = browser.put("credentials", {"client_id": "APP1", "client_secret": secret})
    assert answer.status == 200
    assert answer.json["app"]["client_id"] == "APP1"
    assert answer.json["app"]["client_secret_set_at"]
    assert answer.json["app"]["redirect_uri"] == f"{ORIGIN}/xero/callback/{COMPANY}"
    assert secret not in tables()
    for path in ("settings", "connection"):
        assert secret not in browser.get(path).body
    # kept when it is left out; asked for when the app is another one
    assert browser.put("credentials", {"client_id": "APP1"}).status == 200
    assert browser.put("credentials", {"client_id": "APP2"}).status == 422
    kept = browser.popup.refresh.adapters.apps.read(COMPANY)
    assert (kept.client_id, kept.client_secret) == ("APP1", secret)


@pytest.mark.parametrize("wrong", ["APP 1", "APPÖ", "APP1\n"])
def test_what_is_no_client_id_is_refused_in_words_without_a_pattern(browser: Browser, wrong: str) -> None:
    refused = browser.put("credentials", {"client_id": wrong, "client_secret": "x"})
    [field] = refused.json["error"]["fields"]
    assert (refused.status, field["name"]) == (422, "client_id")
    assert "once more" in field["message"]
    assert not set("^[]$+\\") & set(refused.body.partition('"fields"')[2].replace("[{", "").replace("}]", ""))


# --- the connection ----------------------------------------------------------------------------------------------


def test_disconnecting_ends_the_connection_at_xero_and_keeps_everything_else(
    popup: Popup, browser: Browser, uk: Organisation
) -> None:
    browser.app()
    browser.save(sales_account_code="200")
    browser.connect(uk)
    assert "Xero was told" in browser.delete("connection").json["words"]
    assert popup.world.xero.connections.all() == []
    shown = browser.get("connection").json
    assert (shown["status"], shown["tenant_id"], shown["access_token"]["masked"]) == (
        "disconnected",
        "",
        None,
    )
    settings = browser.get("settings").json
    assert settings["settings"]["sales_account_code"] == "200"
    assert f"Disconnected from {uk.name}" in [act["what"] for act in settings["history"]]
    assert "no connection" in browser.delete("connection").json["words"]
    assert browser.get("xero/accounts").error == "not_connected"
    assert browser.connect(uk) == "connected"


def test_disconnecting_spares_another_company_on_the_same_app_and_organisation(
    popup: Popup, uk: Organisation
) -> None:
    one, two = popup.browser(), popup.browser(OTHER)
    app = one.app()
    popup.world.xero.portal.add_redirect(app, f"{ORIGIN}/xero/callback/{OTHER}")
    two.put("credentials", {"client_id": app.client_id, "client_secret": app.secret})
    assert (one.connect(uk), two.connect(uk)) == ("connected", "connected")
    assert "Another company" in one.delete("connection").json["words"]
    assert two.get("xero/contacts").status == 200
    assert [connection.tenant_id for connection in popup.world.xero.connections.all()] == [uk.id]
    assert "Xero was told" in two.delete("connection").json["words"]
    assert popup.world.xero.connections.all() == []


def test_disconnecting_while_xero_is_down_is_said(popup: Popup, browser: Browser, uk: Organisation) -> None:
    browser.app()
    browser.connect(uk)
    popup.world.xero.faults.add({"kind": "error_before_commit", "path_prefix": "/connect", "times": 9})
    assert "not confirmed it yet" in browser.delete("connection").json["words"]
    shown = browser.get("connection").json
    assert (shown["status"], "Connected apps" in shown["words"]) == ("disconnected", True)


def test_the_tokens_that_are_shown_to_end_are_those_renewed_last(
    popup: Popup, browser: Browser, uk: Organisation
) -> None:
    browser.app()
    browser.connect(uk)
    clock, days = popup.world.clock, 61

    def shown() -> list[datetime]:
        connection = popup.browser().get("connection").json
        kinds = ("access_token", "refresh_token")
        return [datetime.fromisoformat(connection[kind]["expires_at"]) for kind in kinds]

    assert shown() == [clock.now() + timedelta(minutes=30), clock.now() + timedelta(days=60)]
    for _ in range(days):
        clock.advance(timedelta(days=1).total_seconds())
        popup.refresh.handler({"company": COMPANY}, context())
    assert shown() == [clock.now() + timedelta(minutes=30), clock.now() + timedelta(days=60)]


def test_connections_lost_and_restored_are_told_once_each(
    popup: Popup, browser: Browser, uk: Organisation
) -> None:
    browser.app()
    browser.connect(uk)
    popup.world.clock.advance(1)
    browser.delete("connection")
    popup.world.clock.advance(1)
    browser.connect(uk)
    popup.world.run()
    assert [event["status"] for event in popup.world.bus.of("ConnectionLost")] == ["disconnected"]
    assert [event["status"] for event in popup.world.bus.of("ConnectionRestored")] == ["connected"]


# --- orders ------------------------------------------------------------------------------------------------------


@pytest.fixture
def office(popup: Popup, browser: Browser, uk: Organisation) -> Browser:
    """A company that is connected, with settings that fit."""
    browser.app()
    browser.connect(uk)
    world = popup.world
    browser.save(**FITTING, contact_name=world.contact(uk))
    return browser


def test_orders_are_shown_with_what_became_of_them(popup: Popup, office: Browser) -> None:
    make = Maker()
    orders = [make.order(COMPANY, place) for place in range(1, 4)]
    popup.world.send(*orders)
    popup.world.run()
    page = office.get("orders").json
    assert page["counts"]["posted"] == 3
    assert {order["id"] for order in page["orders"]} == {str(order["id"]) for order in orders}
    (document,) = page["orders"][0]["documents"]
    assert document["total"] == page["orders"][0]["total"]
    assert page["orders"][0]["sold_on"] == orders[2]["sale_datetime"][:10]
    assert document["link"].startswith(f"{XERO}/app/!")
    one = office.get(f"orders/{orders[0]['id']}").json
    assert one["lines"]
    assert all(isinstance(line["quantity"], str) for line in one["lines"])
    assert office.get("orders", search=f"KX-{orders[1]['id']}").json["orders"][0]["id"] == str(
        orders[1]["id"]
    )
    assert office.get("orders", search=orders[2]["ref"]).json["orders"][0]["id"] == str(orders[2]["id"])
    assert office.get("orders", status="needs_attention").json["orders"] == []
    assert office.get("orders/1").status == 404
    assert office.post(f"orders/{orders[0]['id']}/retry").status == 409


def test_retry_is_offered_only_where_a_press_can_change_something(popup: Popup, office: Browser) -> None:
    office.save(post_when="dispatch")
    make = Maker()
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("waiting", {}),
        ("skipped", {"status": 128, "status_name": "Cancelled"}),
        ("skipped", {"status": 256, "status_name": "On hold"}),
        ("skipped", {"has_error": True}),
    ]
    orders = [make.order(COMPANY, 0, **changes) for _, changes in kinds]
    late = make.order(COMPANY, 0)
    popup.world.send(*orders)
    popup.world.run()
    for order, (state, _) in zip(orders, kinds, strict=True):
        one = office.get(f"orders/{order['id']}").json
        assert (one["state"], one["can_retry"]) == (state, False), one["words"]
    office.save(enabled=False)
    popup.world.send(late)
    one = office.get(f"orders/{late['id']}").json
    assert (one["reason"], one["can_retry"]) == ("integration_off", True)


def test_problems_are_gathered_each_with_what_to_do_about_it(popup: Popup, office: Browser) -> None:
    world, make = popup.world, Maker()
    office.save(sales_account_code="999")
    orders = [make.order(COMPANY, place) for place in range(3)]
    for order in orders:
        world.send(order)
        world.clock.advance(1)
    world.run()
    one = next(order for order in office.get("orders").json["orders"] if order["id"] == str(orders[2]["id"]))
    for asked in ({}, {"status": "posted"}):
        page = office.get("orders", **asked).json
        [gathered] = page["gathered"]
        assert gathered == {
            "count": 3,
            "more": False,
            "money": {"GBP": page["money"]["needs_attention"]["GBP"]},
            "order_id": str(orders[2]["id"]),
            "problem": one["problem"],
        }
    assert "gathered" not in office.get("orders", search=str(orders[0]["ref"])).json


def test_orders_are_found_by_the_day_of_their_sale_arrival_or_last_change(
    popup: Popup, office: Browser
) -> None:
    world, order = popup.world, Maker().order(COMPANY, 1)
    sold, arrived = date.fromisoformat(order["sale_datetime"][:10]), world.clock.now().date()
    world.send(order)
    world.run()
    entry = world.orders.get(COMPANY, str(order["id"]))
    assert entry is not None
    changed = arrived + timedelta(days=2)
    world.orders.save(replace(entry, changed_at=entry.changed_at + timedelta(days=2)))

    def listed(dates: str, first: date, last: date) -> bool:
        days = {"from": str(first), "to": str(last), "dates": dates}
        return bool(office.get("orders", **days).json["orders"])

    day = timedelta(days=1)
    for dates, at in {"sold": sold, "received": arrived, "changed": changed}.items():
        assert listed(dates, at, at)
        assert not listed(dates, at + day, at + 9 * day)
        assert not listed(dates, at - 9 * day, at - day)
    assert office.get("orders", dates="posted").status == 422
    assert office.get("orders", rows="251").status == 422


def test_an_order_that_cannot_be_read_has_no_day_of_sale(popup: Popup, office: Browser) -> None:
    order = Maker().order(COMPANY, 1) | {"sale_datetime": "soon"}
    popup.world.send(order)
    popup.world.run()
    [shown] = office.get("orders").json["orders"]
    assert (shown["sold_on"], shown["total"]) == (None, None)
    assert not office.get("orders", **{"dates": "sold", "from": "2020-01-01"}).json["orders"]


def test_orders_that_are_being_posted_are_listed_with_those_that_are_queued(
    popup: Popup, office: Browser
) -> None:
    world, make = popup.world, Maker()
    sent = [make.order(COMPANY, place) for place in range(2)]
    world.send(*sent)
    first, second = (str(order["id"]) for order in sent)
    entry = world.orders.get(COMPANY, first)
    assert entry is not None
    tomorrow = entry.received_at + timedelta(days=1)
    world.orders.save(ledger.begin(entry, "batch", tomorrow))

    def listed(**asked: str) -> list[str]:
        return sorted(order["id"] for order in office.get("orders", **asked).json["orders"])

    assert listed() == listed(status="queued") == [first, second]
    assert listed(status="posting") == [first]
    assert listed(**{"from": str(tomorrow.date())}) == [first]
    assert office.get("orders").json["counts"]["queued"] == 2


def test_another_companys_order_is_not_to_be_seen(popup: Popup, office: Browser) -> None:
    order = Maker().order(COMPANY, 1)
    popup.world.send(order)
    other = popup.browser(OTHER)
    assert other.get(f"orders/{order['id']}").status == 404
    assert other.get("orders").json["orders"] == []
    assert other.post(f"orders/{order['id']}/retry").status == 404


def test_orders_come_in_pages(popup: Popup, office: Browser) -> None:
    make = Maker()
    orders = [make.order(COMPANY, place) for place in range(1, 121)]
    popup.world.send(*orders)
    seen: list[str] = []
    cursor = ""
    while True:
        page = office.get("orders", cursor=cursor).json
        seen += [order["id"] for order in page["orders"]]
        cursor = page["cursor"] or ""
        if not cursor:
            break
    assert sorted(seen) == sorted(str(order["id"]) for order in orders)


@pytest.fixture
def shop(popup: Popup, office: Browser) -> Iterator[Browser]:
    """An office with an order that is posted."""
    popup.world.send(Maker().order(COMPANY, 1))
    popup.world.run()
    orders = popup.page.adapters.orders
    places = orders.places

    def strict(*about: Any, **more: Any) -> Any:
        since, until = more.get("since"), more.get("until")
        assert not (since and until) or since <= until, "moto answers, DynamoDB refuses"
        return places(*about, **more)

    with patch.object(orders, "places", strict):
        yield office


@pytest.mark.parametrize("status", ["", "posted"])
@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [
        ("", "9999-12-31", 1),
        ("0001-01-01", "", 1),
        ("2026-01-01", "2027-01-01", 1),
        ("2027-01-01", "2026-01-01", 0),
        ("9999-12-31", "0001-01-01", 0),
    ],
)
def test_orders_are_filtered_by_any_days_there_are(
    shop: Browser, status: str, first: str, last: str, shown: int
) -> None:
    asked = {"status": status, "from": first, "to": last}
    page = shop.get("orders", **{name: value for name, value in asked.items() if value})
    assert page.status == 200, page
    assert len(page.json["orders"]) == shown


def test_a_setting_that_was_missing_frees_the_orders_that_stopped_for_it(
    popup: Popup, office: Browser
) -> None:
    world = popup.world
    office.save(sales_account_code="")
    make = Maker()
    orders = [make.order(COMPANY, place) for place in range(1, 6)]
    world.send(*orders)
    world.run()
    page = office.get("orders", status="needs_attention", problem="setting_missing").json
    assert len(page["orders"]) == 5
    assert page["problems"] == [{"code": "setting_missing", "title": "Setting not filled in", "count": 5}]
    world.clock.advance(60)
    office.save(sales_account_code="200")
    world.run()
    assert [office.get(f"orders/{order['id']}").json["state"] for order in orders] == ["posted"] * 5
    # what the new setting does not touch stays as it is
    assert len(world.committed("invoice")) == 5


def test_a_person_retries_one_order_and_all_of_a_kind(popup: Popup, office: Browser) -> None:
    world = popup.world
    office.save(contact_name="Nobody at all")
    make = Maker()
    orders = [make.order(COMPANY, place) for place in range(1, 4)]
    world.send(*orders)
    world.run()
    assert {order["problem"]["code"] for order in office.get("orders").json["orders"]} == {
        "contact_not_found"
    }
    world.clock.advance(60)
    one = office.post(f"orders/{orders[0]['id']}/retry").json
    assert one["state"] == "queued"
    world.run()
    again = office.get(f"orders/{orders[0]['id']}").json
    assert again["state"] == "needs_attention"
    assert ("Ada Moore", "Pressed Retry") in [(act["by"], act["what"]) for act in again["history"]]
    assert office.post("orders/retry", {"problem": "contact_not_found"}).json == {"retried": 3, "more": False}
    assert office.post("orders/retry", {"problem": "no such thing"}).status == 409


def test_a_retry_does_not_book_an_order_that_is_in_these_books_through_another_company(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    world = popup.world
    office.save(enabled=False)
    # the platform names the other company first
    world.company(OTHER, uk, number_prefix="B-")
    order = Maker().order(COMPANY, 1, secondary_company_ref_id=int(OTHER))
    world.send(order)
    world.run()
    office.save(enabled=True)
    world.clock.advance(60)
    retried = office.post(f"orders/{order['id']}/retry").json
    world.run()
    assert retried["words"].startswith(f"The order is already in these books through company {OTHER}.")
    assert len(world.committed("invoice")) == 1


def test_saving_a_contact_that_xero_does_not_know_says_so(office: Browser) -> None:
    answer = office.save(contact_name="Nobody at all")
    assert answer.status == 200
    (note,) = answer.json["notes"]
    assert (note["name"], "Nobody at all" in note["message"]) == ("contact_name", True)


def test_orders_that_waited_for_a_connection_are_posted_after_it(
    popup: Popup, browser: Browser, uk: Organisation
) -> None:
    world = popup.world
    browser.app()
    browser.save(**FITTING, contact_name=world.contact(uk))
    make = Maker()
    orders = [make.order(COMPANY, place) for place in range(1, 4)]
    world.send(*orders)
    world.run()
    assert {order["reason"] for order in browser.get("orders").json["orders"]} == {"not_connected"}
    browser.connect(uk)
    world.run()
    assert {entry["state"] for entry in browser.get("orders").json["orders"]} == {str(State.POSTED)}


def test_a_disconnect_stops_posting_and_a_reconnect_goes_on(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    world = popup.world
    office.delete("connection")
    make = Maker()
    world.send(*[make.order(COMPANY, place) for place in range(1, 4)])
    world.run()
    assert world.committed("invoice") == []
    world.clock.advance(60)
    assert office.connect(uk) == "connected"
    world.run()
    assert len(world.committed("invoice")) == 3


# --- preview -----------------------------------------------------------------------------------------------------


def test_a_preview_shows_the_documents_and_writes_nothing(popup: Popup, office: Browser) -> None:
    order = Maker().order(COMPANY, 1)
    office.post("preview", order)
    before = tables()
    answer = office.post("preview", order).json
    (document,) = answer["documents"]
    assert (document["kind"], document["body"]["InvoiceNumber"]) == ("invoice", f"KX-{order['id']}")
    assert all(isinstance(line["UnitAmount"], str) for line in document["body"]["LineItems"])
    assert tables() == before
    assert popup.world.committed("invoice") == []


def test_a_preview_knows_what_was_put_right_in_xero_a_while_ago(popup: Popup, office: Browser) -> None:
    order = Maker().order(COMPANY, 1) | {"currency_code": "CHF"}
    assert office.post("preview", order).json["problem"]["code"] == "currency_not_enabled"
    organisation = popup.world.organisation("Demo Company (UK)")
    popup.world.xero.change_organisation(organisation, {"subscribe_currency": "CHF"})
    popup.world.clock.advance(301)
    assert office.post("preview", order).json["documents"]


def test_a_preview_tells_an_archived_contact_and_two_of_a_name_as_posting_does(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    name = office.get("settings").json["settings"]["contact_name"]
    (named,) = [contact for contact in uk.contacts.values() if contact.name == name]
    order = Maker(first_id=61530418).order(COMPANY, 0, 1)
    twin = uk.contacts[str(uuid.UUID(int=7))] = replace(named, id=str(uuid.UUID(int=7)))
    popup.world.clock.advance(3541)
    assert office.post("preview", order).json["problem"]["code"] == "contact_not_unique"
    for contact in (named, twin):
        contact.status = "ARCHIVED"
    assert office.post("preview", order).json["problem"]["code"] == "contact_archived"


def test_the_page_names_contacts_that_only_resemble_the_name(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    name = office.get("settings").json["settings"]["contact_name"]
    named = next(contact for contact in uk.contacts.values() if contact.name == name)
    named.name = "Café Prints"
    twin = uk.contacts[str(uuid.UUID(int=7))] = replace(named, id=str(uuid.UUID(int=7)), name="Cafè Prints")
    saved = office.save(contact_name="Cafe Prints")
    assert "“Cafè Prints” and “Café Prints”" in str(saved.json)
    assert "merge" not in str(saved.json).casefold()
    problem = office.post("preview", Maker(first_id=61530418).order(COMPANY, 0, 1)).json["problem"]
    assert problem["code"] == "contact_not_unique"
    assert "“Cafè Prints” and “Café Prints”" in problem["sentence"]
    assert "exact name" in problem["fix"]
    assert office.save(contact_name=twin.name).status in (200, 204)


def test_a_preview_says_what_the_documents_would_wait_for(office: Browser) -> None:
    order = Maker().order(COMPANY, 1) | {"status": 1, "has_been_completed": False}
    office.save(post_when="dispatch")
    assert office.post("preview", order).json["waits"] == "Waiting for the order to be dispatched."
    office.save(enabled=False)
    shown = office.post("preview", order).json
    assert len(shown["documents"]) == 1
    assert "switched off" in shown["waits"]


def test_a_preview_says_why_an_order_would_stop(office: Browser) -> None:
    assert office.post("preview", {"id": 7}).json["problem"]["code"] == "missing_field"
    assert (
        office.post("preview", Maker().order(COMPANY, 1) | {"sale_datetime": "soon"}).json["problem"]["code"]
        == "bad_date"
    )

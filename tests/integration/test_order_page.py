"""One order's page: why its documents are as they are, and what happened to it. And a preview beside what is posted."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from typing import Any

import pytest

from bookkeeping.adapters.tables.orders import entry_to_item
from local.samples import Maker
from local.xero.organisations import Item, Organisation
from tests.integration.one_process import CHART, XERO, OneProcess
from tests.integration.popup import Browser, Popup
from tests.our_faults import Fault

Json = dict[str, Any]
COMPANY = "412077"
ZERO_RATED: Json = {"tax_types": [{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}]}


@pytest.fixture
def office(popup: Popup, uk: Organisation) -> Browser:
    browser = popup.browser()
    browser.app()
    browser.save(**CHART, contact_name=popup.world.contact(uk), **ZERO_RATED)
    browser.connect(uk)
    return browser


def sent_bodies(world: OneProcess) -> list[Json]:
    """Every document that is sent to Xero from now on."""
    adapter: Any = world.posting.xero.session.get_adapter(XERO)
    through, bodies = adapter.send, list[Json]()

    def send(request: Any, *about: Any, **more: Any) -> Any:
        if request.method == "PUT":
            sent = json.loads(request.body, parse_float=Decimal, parse_int=Decimal)
            bodies.extend(sent.get("Invoices", []) + sent.get("PurchaseOrders", []))
        return through(request, *about, **more)

    adapter.send = send
    return bodies


def run(popup: Popup, *messages: Json) -> None:
    for each in messages:
        popup.world.send(each)
        popup.world.clock.advance(1)
    popup.world.run()


def page(office: Browser, order: Json) -> Json:
    answer = office.get(f"orders/{order['id']}")
    assert answer.status == 200, answer
    found: Json = answer.json
    return found


def words(why: list[Json], about: str) -> list[str]:
    return [one["words"] for one in why if one["about"] == about]


def lived(found: Json) -> list[str]:
    """What happened to an order, the first first."""
    return [f"{one['by']}: {one['what']}" if one["by"] else one["what"] for one in reversed(found["history"])]


# --- why -----------------------------------------------------------------------------------------------------------


def test_each_line_in_xero_says_which_field_setting_and_version_made_it(
    popup: Popup, office: Browser
) -> None:
    order = Maker(61530418).order(COMPANY, 0, 3)
    office.save(payment_terms_days=14)
    run(popup, order)
    found = page(office, order)
    (document,) = found["explained"]
    assert (document["kind"], document["settings_version"], document["remark"]) == ("invoice", 2, None)
    assert (document["date"], document["due_date"], document["total"]) == (
        "2026-11-20",
        "2026-12-04",
        "82.45",
    )
    assert document["total"] == found["documents"][0]["total"]
    assert words(document["why"], "due_date") == [
        "14 days after its date: setting “Payment terms in days”, version 2."
    ]
    mug, *_, shipping = document["lines"]
    assert mug["description"] == "11oz mug, MUG-11OZ-WHT"
    assert [one["words"] for one in mug["why"]] == [
        "Account 200 (Sales): setting “Sales account”, version 2.",
        "Tax 20% (VAT on Income) (OUTPUT2, 20 %): the account’s own tax rate in Xero.",
        "Rate 20 %, as the order states it.",
        "Price 13.00: the order’s sale price with tax, as sent. Setting “Price on the invoice”, version 2, says sale"
        " price.",
    ]
    assert mug["why"][0]["setting"] == {"name": "sales_account_code", "title": "Sales account"}
    assert [one["field"] for one in mug["why"]] == [None, None, "sale_vat_rate", "unit_sale_price_inc_tax"]
    assert words(shipping["why"], "account") == [
        "Account 200 (Sales): setting “Shipping account”, version 2."
    ]
    assert found["totals"] == {
        "net": "72.95",
        "taxes": [{"rate": "20", "tax": "9.50"}],
        "total": "82.45",
    }
    assert found["shipping"] == {"price": "3.29", "price_inc_tax": "3.95", "tax_rate": "20"}


def test_reasons_stay_those_of_the_version_an_order_was_posted_under(popup: Popup, office: Browser) -> None:
    order = Maker(61530418).order(COMPANY, 0, 1)
    run(popup, order)
    office.save(sales_account_code="260")
    (document,) = page(office, order)["explained"]
    assert words(document["lines"][0]["why"], "account") == [
        "Account 200 (Sales): setting “Sales account”, version 1, changed since."
    ]


def test_a_lock_date_of_today_says_nothing_of_what_is_posted(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    early, late = Maker(61530418).order(COMPANY, 0, 1), Maker(61530419).order(COMPANY, 0, 1)
    run(popup, early)
    popup.world.xero.change_organisation(uk, {"period_lock_date": "2026-11-22"})
    popup.world.clock.advance(301)
    found = office.post("preview", {"order": late}).json
    assert found["problem"]["code"] == "date_locked"
    office.save(lock_date_action="next_open_day")
    run(popup, late)
    # and once more, after both are posted
    popup.world.xero.change_organisation(uk, {"period_lock_date": "2026-11-30"})
    popup.world.clock.advance(301)
    office.get("xero/accounts")
    dates = [page(office, order)["explained"][0]["date"] for order in (early, late)]
    assert dates == ["2026-11-20", "2026-11-23"]
    moved = words(page(office, late)["explained"][0]["why"], "date")
    assert moved[1] == (
        "That day is locked in Xero, so it is the first open day: setting “When the date is locked”, version 2."
    )


def test_facts_that_have_changed_since_are_told_as_those_of_today(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    order = Maker(61530418).order(COMPANY, 0, 1)
    run(popup, order)
    uk.tax_rates["OUTPUT2"].effective = Decimal(25)
    popup.world.clock.advance(301)
    assert office.get("xero/tax-rates").status == 200
    (document,) = page(office, order)["explained"]
    assert document["remark"].startswith("As known today, it could not be posted: Order 61530418: ")
    assert (document["lines"], document["settings_version"]) == ([], 1)


def test_a_purchase_order_says_why_beside_the_invoice(popup: Popup, uk: Organisation) -> None:
    office = popup.browser()
    office.app()
    contact = popup.world.contact(uk)
    office.save(**CHART, contact_name=contact, process_method="tracked", **ZERO_RATED)
    office.connect(uk)
    uk.items["MUG-11OZ-WHT"] = Item(
        str(uuid.UUID(int=7)), "MUG-11OZ-WHT", popup.world.clock.now(), "11oz mug"
    )
    order = Maker(61530418).order(COMPANY, 0, 1)
    run(popup, order)
    assert page(office, order)["problem"]["code"] == "item_not_tracked"
    assert office.post(f"orders/{order['id']}/retry", {"items_as_they_are": True}).status == 200
    foreseen = office.post("preview", {"order_id": str(order["id"])}).json["documents"]
    run(popup)
    explained = page(office, order)["explained"]
    assert [(one["kind"], one["remark"]) for one in explained] == [
        ("purchase_order", None),
        ("invoice", None),
    ]
    for one in (explained[0], foreseen[0]):
        told = one["lines"][0]["why"]
        assert words(told, "price") == ["Price 4.15: the order’s unit cost, as sent."]
        assert words(told, "account") == [
            "Account 310 (Cost of Goods Sold): setting “Cost of goods sold account”, version 1, because the line has no"
            " tracked item."
        ]


def test_an_order_whose_reasons_can_not_be_told_is_shown_all_the_same(
    popup: Popup, office: Browser, our_faults: list[Fault]
) -> None:
    order = Maker(61530418).order(COMPANY, 0, 1)
    run(popup, order)
    entry = popup.world.entry(order)
    table = popup.world.resource.Table("OrdersTable")
    table.put_item(Item=entry_to_item(entry) | {"settings_version": 99})
    found = page(office, order)
    assert (found["explained"], found["state"]) == ([], "posted")
    assert [str(fault) for fault in our_faults] == [
        "LookupError: company 412077 has no settings version 99, contained to 412077 61530418"
    ]
    our_faults.clear()


# --- shipping that comes twice --------------------------------------------------------------------------------------


def test_parts_of_a_split_order_that_carry_the_same_shipping_are_named(popup: Popup, office: Browser) -> None:
    make = Maker(61530418)
    parts = [make.order(COMPANY, place, 1, external_ref="WEB-7") for place in range(3)]
    parts[2] |= {"shipping_price": "9.00", "shipping_price_inc_tax": "10.80"}
    alike = make.order(COMPANY, 0, 1, external_ref="WEB-77")
    run(popup, *parts, alike)
    assert [page(office, order)["same_shipping"] for order in (*parts, alike)] == [
        ["61530419"],
        ["61530418"],
        [],
        [],
    ]


def test_a_part_without_shipping_or_reference_is_compared_with_none(popup: Popup, office: Browser) -> None:
    make = Maker(61530418)
    free = {"shipping_price": "0", "shipping_price_inc_tax": "0"}
    orders = [make.order(COMPANY, 0, 1, external_ref="WEB-7", **free) for _ in range(2)]
    orders += [make.order(COMPANY, 0, 1, external_ref="") for _ in range(2)]
    run(popup, *orders)
    assert [page(office, order)["same_shipping"] for order in orders] == [[], [], [], []]


# --- history ---------------------------------------------------------------------------------------------------------


def test_an_ordinary_order_has_its_whole_history_without_a_stored_one(popup: Popup, office: Browser) -> None:
    order = Maker(61530418).order(COMPANY, 0, 1)
    run(popup, order)
    assert popup.world.entry(order).history == ()
    assert lived(page(office, order)) == [
        "Received from the platform",
        "Ready to be posted as KX-61530418, under version 1 of the settings",
        "Sent to Xero, which created the sales invoice KX-61530418",
    ]


def test_a_stop_stays_in_the_history_with_what_freed_it(popup: Popup, office: Browser) -> None:
    contact = office.get("settings").json["settings"]["contact_name"]
    order = Maker(61530418).order(COMPANY, 0, 1)
    office.save(contact_name="")
    run(popup, order)
    popup.world.clock.advance(60)
    assert lived(page(office, order))[-1] == "Stopped: Setting not filled in"
    assert office.post(f"orders/{order['id']}/retry").status == 200
    run(popup)
    popup.world.clock.advance(60)
    office.save(contact_name=contact)
    run(popup)
    assert lived(page(office, order)) == [
        "Received from the platform",
        "Stopped: Setting not filled in",
        "Ada Moore: Pressed Retry",
        "Stopped: Setting not filled in",
        "Tried again because the settings were changed (version 3)",
        "Ready to be posted as KX-61530418, under version 3 of the settings",
        "Sent to Xero, which created the sales invoice KX-61530418",
    ]


def test_waiting_for_a_connection_and_a_change_by_the_platform_stay_in_the_history(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    order = Maker(61530418).order(COMPANY, 0, 1, status=256, status_name="On hold")
    run(popup, order)
    office.delete("connection")
    popup.world.clock.advance(60)
    run(popup, order | {"status": 1, "status_name": "Received"})
    popup.world.clock.advance(60)
    assert office.connect(uk) == "connected"
    run(popup)
    assert lived(page(office, order)) == [
        "Received from the platform",
        "Skipped. The order is on hold on the platform. It is posted once it is released and sent again.",
        "The platform sent it with other content, which counts from then on",
        "Waiting until the company is connected to Xero (“Get Access Token” in the settings).",
        "Tried again because the company was connected to Xero",
        "Ready to be posted as KX-61530418, under version 1 of the settings",
        "Sent to Xero, which created the sales invoice KX-61530418",
    ]


def test_a_change_after_posting_is_in_the_history(popup: Popup, office: Browser) -> None:
    order = Maker(61530418).order(COMPANY, 0, 1)
    run(popup, order)
    popup.world.clock.advance(60)
    run(popup, order | {"currency_code": "EUR"})
    assert lived(page(office, order))[-1] == (
        "The platform sent it with other content. The documents stay as they are"
    )


# --- a preview --------------------------------------------------------------------------------------------------------


UNSAVED: list[Json] = [
    {"sales_account_code": "260", "payment_terms_days": 7, "number_prefix": "NEW-"},
    {"line_amounts": "exclusive", "invoice_status": "AUTHORISED"},
    {"process_method": "tracked", "purchase_tax_type": "INPUT2", "shipping_account_code": "260"},
    {"tax_types": [{"rate": "0", "tax_type": "EXEMPTOUTPUT"}], "invoice_price": "trade"},
]


@pytest.mark.parametrize("unsaved", UNSAVED)
def test_a_preview_under_unsaved_settings_is_what_is_posted_once_they_are_saved(
    popup: Popup, office: Browser, unsaved: Json
) -> None:
    sent = sent_bodies(popup.world)
    make = Maker(61530418)
    pasted, stopped = make.order(COMPANY, 0, 3), make.order(COMPANY, 1, 3)
    contact = office.get("settings").json["settings"]["contact_name"]
    office.save(contact_name="")
    run(popup, stopped)
    on_screen = unsaved | {"contact_name": contact}
    asked = (
        {"order": pasted, "settings": on_screen},
        {"order_id": str(stopped["id"]), "settings": on_screen},
    )
    previews = [office.post("preview", one).json["documents"] for one in asked]
    assert office.get("settings").json["version"] == 2, "nothing is saved by it"
    assert office.save(**on_screen).status == 200
    run(popup, pasted)
    kinds = {"invoice": "InvoiceNumber", "purchase_order": "PurchaseOrderNumber"}
    posted = {(key, body[key]): body for body in sent for key in kinds.values() if key in body}
    foreseen = {
        (kinds[document["kind"]], document["number"]): as_sent(document["body"])
        for preview in previews
        for document in preview
    }
    assert foreseen == posted


def as_sent(body: Json) -> Json:
    """A previewed body with amounts as numbers."""
    amounts = ("Quantity", "UnitAmount", "TaxAmount")
    lines = [
        {key: Decimal(one) if key in amounts else one for key, one in line.items()}
        for line in body["LineItems"]
    ]
    return body | {"LineItems": lines}


def test_a_preview_says_which_settings_are_not_saved_yet(popup: Popup, office: Browser) -> None:
    asked = {"order": Maker(61530418).order(COMPANY, 0, 1), "settings": {"sales_account_code": "260"}}
    (document,) = office.post("preview", asked).json["documents"]
    told = document["lines"][0]["why"]
    assert words(told, "account") == ["Account 260 (Other Revenue): setting “Sales account”, not saved yet."]
    assert words(told, "price")[0].endswith("Setting “Price on the invoice”, version 1, says sale price.")


def test_settings_on_screen_are_checked_like_a_save(popup: Popup, office: Browser) -> None:
    order = Maker(61530418).order(COMPANY, 0, 1)
    office.get("xero/tax-rates")
    wrong = {"tax_types": [{"rate": "20", "tax_type": "RROUTPUT"}], "payment_terms_days": 5}
    for settings, name in [
        ({"payment_terms_days": 999}, "payment_terms_days"),
        (wrong, "tax_types.0.tax_type"),
        ({"no_such_thing": 1}, "no_such_thing"),
    ]:
        answer = office.post("preview", {"order": order, "settings": settings})
        assert answer.status == 422
        assert [field["name"] for field in answer.json["error"]["fields"]] == [name]
    assert office.post("preview", {"order": order, "settings": []}).status == 422
    assert office.post("preview", {"order_id": "nonsense"}).status == 422


def test_a_preview_of_an_order_that_is_not_there_says_so(popup: Popup, office: Browser) -> None:
    assert office.post("preview", {"order_id": "4711"}).status == 404


def test_a_preview_of_a_posted_order_says_that_it_stays_as_it_is(popup: Popup, office: Browser) -> None:
    order = Maker(61530418).order(COMPANY, 0, 1)
    run(popup, order)
    shown = office.post("preview", {"order_id": "61530418", "settings": {"sales_account_code": "260"}}).json
    assert shown["waits"] == "This order is in Xero already. What is there stays as it is."
    assert shown["documents"][0]["body"]["LineItems"][0]["AccountCode"] == "260"

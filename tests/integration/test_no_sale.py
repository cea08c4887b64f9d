"""Orders that are refunded, returned or rejected: before they are posted, and after."""

from __future__ import annotations

from typing import Any

import pytest

from local.samples import Maker
from local.xero.organisations import Organisation
from tests.integration.popup import Browser, Popup

COMPANY = "412077"
REFUNDED = {"status": 1024, "status_name": "Refunded"}
RETURNED = {"status": 2048, "status_name": "Returned"}
CANCELLED = {"status": 128, "status_name": "Cancelled"}
REJECTED = {"status": 32, "status_name": "Rejected"}


@pytest.fixture
def office(popup: Popup, uk: Organisation) -> Browser:
    browser = popup.browser()
    browser.app()
    browser.save(
        sales_account_code="200",
        contact_name=popup.world.contact(uk),
        tax_types=[{"rate": "0", "ships_to": "anywhere", "tax_type": "ZERORATEDOUTPUT"}],
    )
    browser.connect(uk)
    return browser


def order(**changes: Any) -> dict[str, Any]:
    return Maker(first_id=61540027).order(COMPANY, 0, 1, **changes)


def shown(office: Browser, sent: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = office.get(f"orders/{sent['id']}").json
    return found


def ends(order: dict[str, Any]) -> str:
    why = order["problem"]["code"] if order["problem"] else order["reason"]
    return f"{order['state']} {why or ''}".strip()


def sent_and_run(popup: Popup, *messages: dict[str, Any]) -> None:
    for each in messages:
        popup.world.send(each)
        popup.world.clock.advance(1)
    popup.world.run()


@pytest.mark.parametrize("status", [REFUNDED, RETURNED, REJECTED])
def test_before_posting_it_stops_and_the_problem_names_the_status(
    popup: Popup, office: Browser, status: dict[str, Any]
) -> None:
    sent = order(**status)
    sent_and_run(popup, sent)
    found = shown(office, sent)
    assert ends(found) == "needs_attention no_sale"
    assert status["status_name"].lower() in found["problem"]["sentence"]
    assert popup.world.committed("invoice") == []
    assert [event["type"] for event in popup.world.bus.events] == ["OrderNeedsAttention"]


def test_a_person_posts_it(popup: Popup, office: Browser) -> None:
    sent = order(**REFUNDED)
    sent_and_run(popup, sent)
    answer = office.post(f"orders/{sent['id']}/retry", {"no_sale": "post"})
    assert (answer.status, answer.json["state"]) == (200, "queued")
    popup.world.run()
    found = shown(office, sent)
    assert (ends(found), found["changes"]) == ("posted", [])
    assert [act["what"] for act in found["history"] if act["by"]] == ["Pressed Post"]
    assert len(popup.world.committed("invoice")) == 1


def test_a_person_skips_it_and_is_not_asked_again(popup: Popup, office: Browser) -> None:
    sent = order(**RETURNED)
    sent_and_run(popup, sent)
    answer = office.post(f"orders/{sent['id']}/retry", {"no_sale": "skip"})
    assert ends(answer.json) == "skipped returned"
    assert [event["type"] for event in popup.world.bus.events][-1] == "OrderSkipped"
    sent_and_run(popup, sent, sent | {"shipping_tracking": "QH204418839GB"})
    assert ends(shown(office, sent)) == "skipped returned"
    office.post(f"orders/{sent['id']}/retry", {"no_sale": "post"})
    popup.world.run()
    assert ends(shown(office, sent)) == "posted"


@pytest.fixture
def half_posted(popup: Popup, office: Browser, uk: Organisation) -> dict[str, Any]:
    """An order in Tracked: its purchase order is in Xero, its invoice was refused, and then it was cancelled."""
    office.save(
        process_method="tracked",
        cogs_account_code="310",
        inventory_asset_account_code="630",
        purchase_tax_type="INPUT2",
        invoice_status="AUTHORISED",
    )
    popup.world.xero.change_organisation(uk, {"approval_cap": 0})
    sent = order()
    sent_and_run(popup, sent)
    assert ends(shown(office, sent)) == "needs_attention plan_limit"
    sent_and_run(popup, sent | CANCELLED)
    popup.world.xero.change_organisation(uk, {"approval_cap": None})
    found = shown(office, sent)
    assert ends(found) == "needs_attention no_sale"
    half = f"Its purchase order {found['number']} is in Xero, but its invoice is not."
    assert half in found["problem"]["sentence"]
    assert [document["kind"] for document in found["documents"]] == ["purchase_order"]
    return sent


def test_a_person_posts_the_invoice_of_an_order_cancelled_half_posted(
    popup: Popup, office: Browser, half_posted: dict[str, Any]
) -> None:
    answer = office.post(f"orders/{half_posted['id']}/retry", {"no_sale": "post"})
    assert (answer.status, answer.json["state"]) == (200, "queued")
    popup.world.run()
    found = shown(office, half_posted)
    assert ends(found) == "posted"
    assert {document["kind"] for document in found["documents"]} == {"purchase_order", "invoice"}
    # not even where the settings credit cancelled orders by themselves: a person has decided
    assert office.save(cancellations="all", invoice_status="AUTHORISED").status == 200
    sent_and_run(popup, half_posted | CANCELLED)
    assert ends(shown(office, half_posted)) == "posted"
    assert [len(popup.world.committed(kind)) for kind in ("purchase_order", "invoice")] == [1, 1]


def test_a_person_skips_the_invoice_of_an_order_cancelled_half_posted_and_can_still_post_it(
    popup: Popup, office: Browser, half_posted: dict[str, Any]
) -> None:
    answer = office.post(f"orders/{half_posted['id']}/retry", {"no_sale": "skip"})
    assert ends(answer.json) == "skipped cancelled"
    assert f"Its purchase order {answer.json['number']} stays in Xero as it is." in answer.json["words"]
    sent_and_run(popup, half_posted | CANCELLED)
    again = office.post(f"orders/{half_posted['id']}/retry", {})
    assert ends(again.json) == "skipped cancelled", "Retry does not undo what a person decided"
    popup.world.run()
    assert popup.world.committed("invoice") == []
    office.post(f"orders/{half_posted['id']}/retry", {"no_sale": "post"})
    popup.world.run()
    assert ends(shown(office, half_posted)) == "posted"
    assert [len(popup.world.committed(kind)) for kind in ("purchase_order", "invoice")] == [1, 1]


def test_another_choice_is_refused(popup: Popup, office: Browser) -> None:
    sent = order(**REFUNDED)
    sent_and_run(popup, sent)
    for choice in ("keep", "", True, ["post"]):
        assert office.post(f"orders/{sent['id']}/retry", {"no_sale": choice}).status == 422
    assert ends(shown(office, sent)) == "needs_attention no_sale"


def test_the_setting_decides_and_a_change_of_it_frees_those_that_stopped(
    popup: Popup, office: Browser
) -> None:
    first, second = order(**REFUNDED), order(**REJECTED) | {"id": 61540028}
    sent_and_run(popup, first)
    office.save(refunded_orders="skip")
    sent_and_run(popup, second)
    assert [ends(shown(office, each)) for each in (first, second)] == ["skipped refunded", "skipped rejected"]
    office.save(refunded_orders="post")
    third = order(**RETURNED) | {"id": 61540029}
    sent_and_run(popup, third)
    assert ends(shown(office, third)) == "posted"


def test_after_posting_it_is_a_change_like_a_cancellation(popup: Popup, office: Browser) -> None:
    sent = order(status=8, status_name="Dispatched")
    sent_and_run(popup, sent)
    sent_and_run(popup, sent | REFUNDED)
    found = shown(office, sent)
    assert (ends(found), found["changes"]) == ("posted changed", ["The order is now refunded."])
    assert popup.world.bus.of("OrderChangedAfterPosting")
    sent_and_run(popup, sent)
    assert (ends(shown(office, sent)), shown(office, sent)["changes"]) == ("posted", [])
    assert len(popup.world.committed("invoice")) == 1


def test_lines_that_cannot_be_read_stop_it_only_once_it_is_to_be_posted(
    popup: Popup, office: Browser
) -> None:
    sent = order(**REFUNDED)
    sent["items"][0]["quantity"] = "two"
    sent_and_run(popup, sent)
    assert ends(shown(office, sent)) == "needs_attention no_sale"
    answer = office.post(f"orders/{sent['id']}/retry", {"no_sale": "post"})
    assert ends(answer.json) == "needs_attention bad_quantity"
    assert answer.json["problem"]["sentence"].startswith(f"Order {sent['id']}: ")
    assert office.post("preview", sent).json["problem"]["code"] == "no_sale"
    office.save(refunded_orders="post")
    assert office.post("preview", sent).json["problem"]["code"] == "bad_quantity"


def test_what_says_nothing_of_the_sale_posts_no_refunded_order(popup: Popup, office: Browser) -> None:
    sent = order(**REFUNDED)
    silent = {"status": 4096, "status_name": "Archived"}, {"status": None, "status_name": None}
    sent_and_run(popup, sent, *(sent | each for each in silent))
    assert ends(shown(office, sent)) == "needs_attention no_sale"
    office.post(f"orders/{sent['id']}/retry", {"no_sale": "skip"})
    sent_and_run(popup, *(sent | each for each in silent))
    assert ends(shown(office, sent)) == "skipped refunded"
    assert popup.world.committed("invoice") == []


def test_a_preview_says_what_would_be_asked(office: Browser) -> None:
    assert office.post("preview", order(**REFUNDED)).json["problem"]["code"] == "no_sale"
    office.save(refunded_orders="skip")
    assert "refunded" in office.post("preview", order(**REFUNDED)).json["skipped"]
    office.save(refunded_orders="post")
    assert office.post("preview", order(**REFUNDED)).json["documents"]


def test_a_preview_dates_by_the_organisation_and_leaves_out_what_was_sold_before_the_start(
    office: Browser,
) -> None:
    office.save(start_from="2026-11-20")
    before = order() | {"sale_datetime": "2026-11-20T00:30:00+01:00"}
    assert "before" in office.post("preview", before).json["skipped"]
    document = office.post("preview", order() | {"sale_datetime": "2026-12-31T23:30:00-01:00"}).json[
        "documents"
    ][0]
    assert document["body"]["Date"] == "2027-01-01"

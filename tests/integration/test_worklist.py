"""The popup's list of orders that changed after they were posted, and where an order stands in Xero now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from local.samples import TRACKED, UNTRACKED, Maker
from local.xero.organisations import Document
from local.xero.people import change_document
from tests.integration.one_process import CHART
from tests.integration.popup import Answer, Browser, Popup

CANCELLED = {"status": 128, "status_name": "Cancelled"}
DISPATCHED = {"status": 8, "status_name": "Dispatched"}


class Office:
    """A company whose books are in the simulated Xero, and a person of it who may credit."""

    def __init__(self, popup: Popup, company: str = UNTRACKED, **settings: Any) -> None:
        self.popup = popup
        self.world = popup.world
        self.company = company
        self.make = Maker()
        name = "Demo Company (UK)" if company == UNTRACKED else "Demo Company (AU)"
        organisation = self.organisation = self.world.organisation(name)
        self.ada = self.person(permissions=["credit"])
        self.ada.app()
        assert self.ada.connect(organisation) == "connected"
        contact = self.world.contact(organisation)
        rates = [{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}] if company == UNTRACKED else []
        chart = CHART | {"contact_name": contact, "tax_types": rates}
        answer = self.ada.save(**chart | settings)
        assert answer.status == 200, answer

    def person(self, **claims: Any) -> Browser:
        return self.popup.browser(self.company, **claims)

    def posted(self, **changes: Any) -> dict[str, Any]:
        order = self.make.order(self.company, 0, 2, **changes)
        self.world.send(order)
        self.world.run()
        return order

    def cancelled(self) -> dict[str, Any]:
        order = self.posted()
        self.world.send(order | CANCELLED)
        return order

    def shown(self, order: dict[str, Any]) -> Any:
        return self.ada.get(f"orders/{order['id']}").json

    def ask(self, order: dict[str, Any], asked: str, by: Browser | None = None, **more: Any) -> Answer:
        body = {"asked": asked, "version": self.shown(order)["version"], **more}
        return (by or self.ada).post(f"orders/{order['id']}/correction", body)

    def look(self, order: dict[str, Any]) -> Answer:
        return self.ada.post(f"orders/{order['id']}/look")

    def by_hand(self, number: str, **changes: Any) -> None:
        """What a person does in Xero."""
        reply = change_document(self.world.xero, self.organisation, self.document(number), changes)
        assert reply.status == 200, reply

    def document(self, number: str) -> Document:
        [found] = (
            document
            for document in self.organisation.documents.values()
            if document.number == number and document.kind != "PURCHASEORDER"
        )
        return found


# --- the list


def test_orders_that_changed_after_posting_are_listed_and_counted_until_they_are_dealt_with(
    popup: Popup,
) -> None:
    office = Office(popup)
    unchanged, order = office.posted(), office.cancelled()
    listed = office.ada.get("orders", status="changed").json
    assert [one["id"] for one in listed["orders"]] == [str(order["id"])]
    assert "changed on the platform after it was posted" in listed["orders"][0]["words"]
    assert listed["counts"]["changed"] == 1
    assert listed["counts"]["posted"] == 2
    assert listed["problems"] == [{"code": "changed", "title": "Changed after posting", "count": 1}]
    for more in ({}, {"status": "posted"}):
        assert [one["id"] for one in office.ada.get("orders", **more).json["orders"]] == [
            str(order["id"]),
            str(unchanged["id"]),
        ]
    assert [one["id"] for one in office.ada.get("orders", problem="changed").json["orders"]] == [
        str(order["id"])
    ]
    assert office.ada.get("orders", status="waiting", problem="changed").json["orders"] == []
    assert office.ask(order, "cancel").status == 200
    assert office.ada.get("orders", status="changed").json["orders"][0]["reason"] == "correcting"
    office.world.run()
    listed = office.ada.get("orders", status="changed").json
    assert (listed["orders"], listed["counts"]["changed"]) == ([], 0)


def test_a_correction_that_stopped_is_listed_with_its_reason_in_words(popup: Popup) -> None:
    office = Office(popup)
    order = office.posted()
    assert office.ask(order, "post_again").status == 200
    office.world.run()
    [listed] = office.ada.get("orders", status="changed").json["orders"]
    assert "still stands in Xero, so it was not posted again" in listed["words"]
    assert office.shown(order)["history"][0]["what"] == "Pressed “Post again”"


def test_what_a_person_posted_though_it_is_cancelled_is_not_cancelled_by_itself(popup: Popup) -> None:
    office = Office(
        popup,
        TRACKED,
        process_method="tracked",
        number_prefix="TR-",
        cancellations="all",
        invoice_status="AUTHORISED",
    )
    order = office.make.order(TRACKED, 0)
    # its purchase order is in Xero, and its invoice is refused
    office.world.xero.change_organisation(office.organisation, {"approval_cap": 0})
    office.world.send(order)
    office.world.run()
    office.world.clock.advance(1)
    office.world.send(order | CANCELLED)
    office.world.xero.change_organisation(office.organisation, {"approval_cap": None})
    assert office.shown(order)["problem"]["code"] == "no_sale"
    assert office.ada.post(f"orders/{order['id']}/retry", {"no_sale": "post"}).status == 200
    office.world.run()
    shown = office.shown(order)
    assert {one["kind"]: one["stands"] for one in shown["documents"]} == {
        "purchase_order": "draft",
        "invoice": "approved",
    }
    assert (shown["state"], shown["reason"]) == ("posted", None)


# --- who may, and once


def test_who_may_not_credit_reads_it_and_is_refused(popup: Popup) -> None:
    office = Office(popup)
    order = office.cancelled()
    for eve in (office.person(sub="eve"), office.person(sub="bob", permissions=["read"])):
        assert eve.get(f"orders/{order['id']}").json["may_credit"] is False
        answer = office.ask(order, "cancel", by=eve)
        assert (answer.status, answer.error) == (403, "not_allowed")
    office.world.run()
    assert office.shown(order)["correction"] is None


def test_of_two_presses_the_second_is_told_that_the_order_changed(popup: Popup) -> None:
    office = Office(popup)
    order = office.cancelled()
    version = office.shown(order)["version"]
    body = {"asked": "cancel", "version": version}
    answers = [office.ada.post(f"orders/{order['id']}/correction", body) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 409]
    assert answers[1].error == "order_changed"
    wrong = office.ask(order, "credit")
    assert (wrong.status, wrong.error) == (409, "nothing_to_correct")


# --- what will happen, in words


def choices(office: Office, order: dict[str, Any]) -> dict[str, str]:
    return {one["label"]: one["words"] for one in office.shown(order)["choices"]}


def test_what_a_press_does_is_said_before_it(popup: Popup) -> None:
    office = Office(popup)
    order = office.cancelled()
    number = f"KX-{order['id']}"
    said = choices(office, order)
    assert list(said) == ["Cancel it in Xero", "Credit part of it", "Post again", "Done by hand"]
    assert f"{number} is not approved yet: it is deleted." in said["Cancel it in Xero"]
    assert "not approved yet when it was last read" in said["Credit part of it"]
    assert f"as {number}-2." in said["Post again"]
    assert office.ada.save(invoice_status="AUTHORISED", void_approved=True).status == 200
    order = office.cancelled()
    said = choices(office, order)
    assert "a credit note over all that is left of it is created, and allocated" in said["Cancel it in Xero"]
    assert "It is voided instead" in said["Cancel it in Xero"]
    assert office.ada.save(credit_note_status="DRAFT").status == 200
    assert (
        "as a draft, and allocated to the invoice once you have approved it"
        in choices(office, order)["Cancel it in Xero"]
    )
    # only some lines
    order = office.posted()
    items = [dict(item) for item in order["items"]]
    items[0]["status"] = 7
    office.world.send(order | {"items": items})
    assert "a credit note over the cancelled lines" in choices(office, order)["Cancel it in Xero"]


def test_what_becomes_of_a_purchase_order_is_said_before_the_press(popup: Popup) -> None:
    office = Office(popup, TRACKED, process_method="tracked", number_prefix="TR-")
    order = office.cancelled()
    shown = office.shown(order)
    assert f"The purchase order TR-{order['id']} is deleted, unless" in shown["choices"][0]["words"]
    assert shown["may_return_stock"] is False
    made = office.posted()
    office.world.send(made | DISPATCHED)
    office.world.clock.advance(60)
    office.world.send(made | CANCELLED)
    shown = office.shown(made)
    assert f"The purchase order TR-{made['id']} stays" in shown["choices"][0]["words"]
    assert shown["may_return_stock"] is True
    part = office.posted()
    office.world.send(part | {"items": [part["items"][0] | {"status": 7}, *part["items"][1:]]})
    assert (
        f"posted again as TR-{part['id']}-2 without the cancelled lines"
        in choices(office, part)["Cancel it in Xero"]
    )


def test_an_order_without_an_invoice_can_only_be_cancelled(popup: Popup) -> None:
    office = Office(popup, TRACKED, process_method="tracked", number_prefix="TR-")
    order = office.posted(is_free_of_charge=True)
    assert list(choices(office, order)) == ["Cancel it in Xero"]
    assert office.shown(order)["creditable"] == []
    assert office.ask(order, "cancel").status == 200
    office.world.run()
    shown = office.shown(order)
    assert (shown["documents"][0]["stands"], shown["reason"]) == ("deleted", None)


def test_what_is_left_of_each_line_is_shown_and_the_shipping_is_one_of_them(popup: Popup) -> None:
    office = Office(popup, invoice_status="AUTHORISED")
    order = office.posted()
    quantities = [str(item["quantity"]) for item in order["items"]]
    lines = [{"line": 2, "pieces": "1"}, {"line": 0, "amount": "1.00"}]
    assert [one["left"] for one in office.shown(order)["creditable"]] == [*quantities, "1"]
    assert office.ask(order, "credit", lines=lines).status == 200
    office.world.run()
    shown = office.shown(order)
    left = {one["line"]: (one["left"], one["credited"]) for one in shown["creditable"]}
    price = office.document(f"KX-{order['id']}-CN").total - 1
    assert left == {1: (quantities[0], ""), 2: ("1", f"{price:.2f}"), 0: ("", "1.00")}
    [note] = shown["credit_notes"]
    assert (note["number"], "ViewCreditNote" in note["link"]) == (f"KX-{order['id']}-CN", True)
    assert shown["documents"][0]["stands"] == "part_credited"


# --- where it stands now


def test_where_an_order_stands_is_read_at_a_press_with_a_call_a_document(popup: Popup) -> None:
    office = Office(popup, invoice_status="AUTHORISED")
    order = office.posted()
    number = f"KX-{order['id']}"
    [document] = office.shown(order)["documents"]
    assert (document["stands"], document["read_at"]) == ("approved", None)
    office.by_hand(number, Pay=5)
    before = len(office.world.calls())
    answer = office.look(order)
    assert answer.status == 200
    assert len(office.world.calls()) - before == 1
    [document] = answer.json["documents"]
    assert (document["stands"], document["status"]) == ("part_paid", "AUTHORISED")
    assert document["read_at"] == office.world.clock.now().isoformat()
    assert "5.00" not in str(office.world.orders.get(UNTRACKED, str(order["id"])))


def test_a_document_that_a_person_deleted_can_be_posted_again_after_the_look(popup: Popup) -> None:
    office = Office(popup)
    order = office.posted()
    office.by_hand(f"KX-{order['id']}", Status="DELETED")
    shown = office.look(order).json
    assert shown["documents"][0]["stands"] == "deleted"
    assert shown["choices"][0]["label"] == "Post again"
    assert office.ask(order, "post_again").status == 200
    office.world.run()
    assert office.shown(order)["number"] == f"KX-{order['id']}-2"


def test_a_look_that_can_tell_nothing_says_why(popup: Popup) -> None:
    office = Office(popup)
    on_hold = office.posted(status=256, status_name="On hold")
    answer = office.look(on_hold)
    assert (answer.status, answer.error) == (409, "nothing_to_read")
    order = office.posted()
    office.world.xero.faults.add({"kind": "maintenance", "path_prefix": "/api.xro", "times": 9})
    answer = office.look(order)
    assert (answer.status, answer.error) == (503, "xero_unavailable")
    office.world.xero.faults.remove()
    books = office.organisation.documents
    kept = dict(books)
    books.clear()
    answer = office.look(order)
    assert (answer.status, answer.error) == (409, "nothing_to_read")
    assert f"Xero does not show KX-{order['id']}" in answer.body
    books |= kept
    office.ada.delete("connection")
    answer = office.look(order)
    assert (answer.status, answer.error) == (409, "not_connected")


def test_what_happens_to_an_order_during_the_look_stands(
    popup: Popup, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(popup)
    order = office.posted()
    ask = popup.page.adapters.ask

    def meanwhile(*about: Any, **more: Any) -> Any:
        office.world.send(order | CANCELLED)
        return ask(*about, **more)

    monkeypatch.setattr(popup.page, "adapters", replace(popup.page.adapters, ask=meanwhile))
    shown = office.look(order).json
    assert (shown["reason"], shown["documents"][0]["stands"]) == ("changed", "draft")

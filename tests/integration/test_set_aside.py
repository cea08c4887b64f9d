"""Orders that a person sets aside stay there until a person takes them back; and those that a person tries again."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bookkeeping.adapters.queues import ReleaseCall
from bookkeeping.adapters.tables.orders import entry_to_item
from bookkeeping.domain.ledger import State
from bookkeeping.domain.orders import content_hash, order_from_content
from bookkeeping.use_cases.release import continue_release, once_connected
from local.samples import UNTRACKED, Maker
from local.xero.changes import CHANGES
from local.xero.organisations import Organisation
from tests.integration.popup import Browser, Popup
from tests.integration.test_settings_page_at_work import FITTING
from tests.storms.dynamodb import stored

BOOKED = "Booked by hand as INV-7"


class Desk:
    """A company's office with orders that stopped for an archived contact."""

    def __init__(self, popup: Popup, uk: Organisation) -> None:
        self.popup, self.world, self.uk = popup, popup.world, uk
        self.log_in()
        self.office.app()
        self.contact = self.world.contact(uk)
        self.office.save(**FITTING, contact_name=self.contact)
        self.office.connect(uk)
        self.world.run()
        self.make = Maker()

    def log_in(self) -> None:
        """Open the popup, as after an hour."""
        self.office: Browser = self.popup.browser()

    def in_xero(self, **changes: Any) -> None:
        for name, value in changes.items():
            CHANGES[name](self.world.xero, self.uk, value)

    def stopped(self, count: int = 1, **changes: Any) -> list[dict[str, Any]]:
        self.in_xero(archive_contact=self.contact)
        self.world.organisations.doubt_contact(self.uk.id, self.contact)
        sent = [self.make.order(UNTRACKED, 1, 1, **changes) for _ in range(count)]
        self.world.send(*sent)
        self.world.run(timedelta(seconds=30), until_quiet=False)
        assert {self.world.entry(order).why for order in sent} == {"contact_archived"}
        return sent

    def aside(self, *sent: dict[str, Any]) -> dict[str, Any]:
        answer = self.office.post("orders/set-aside", {"ids": ids(sent), "reason": BOOKED})
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json
        return found

    def back(self, *sent: dict[str, Any]) -> dict[str, Any]:
        answer = self.office.post("orders/take-back", {"ids": ids(sent)})
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json
        return found

    def order(self, order: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.office.get(f"orders/{order['id']}").json
        return found

    def states(self, sent: list[dict[str, Any]]) -> set[State]:
        return {self.world.entry(order).state for order in sent}


def ids(sent: Any) -> list[str]:
    return [str(order["id"]) for order in sent]


@pytest.fixture
def desk(popup: Popup, uk: Organisation) -> Desk:
    return Desk(popup, uk)


def test_an_order_that_is_set_aside_says_who_did_it_when_and_why(desk: Desk) -> None:
    (order,) = desk.stopped()
    assert desk.order(order)["can_set_aside"]
    assert desk.aside(order) == {"done": ids([order]), "left": []}
    shown = desk.order(order)
    assert shown["state"] == "set_aside"
    assert shown["words"] == f"Set aside by Ada Moore: {BOOKED}"
    assert (shown["set_aside"]["by"], shown["set_aside"]["because"]) == ("Ada Moore", BOOKED)
    assert (shown["can_retry"], shown["can_set_aside"]) == (False, False)
    assert shown["problem"]["code"] == "contact_archived"
    happened = [act["what"] for act in shown["history"]]
    assert (happened[0], "Stopped: Contact archived" in happened) == ("Set it aside", True)
    page = desk.office.get("orders", status="set_aside").json
    assert [one["id"] for one in page["orders"]] == ids([order])
    assert page["counts"] == page["counts"] | {"set_aside": 1, "needs_attention": 0}
    assert not desk.office.get("orders", problem="contact_archived").json["orders"]
    [event] = desk.world.bus.of("OrderSkipped")
    assert (event["state"], event["reason"]) == ("set_aside", "set_aside")


def test_neither_a_message_a_setting_xero_a_connection_nor_a_retry_moves_it(desk: Desk) -> None:
    (order,) = desk.stopped()
    desk.aside(order)
    world = desk.world
    desk.in_xero(restore_contact=desk.contact, add_contact="Fenwick & Sons")
    world.send(order | {"ref": "CHANGED"})
    world.send(json.dumps(order | {"currency_code": 7}))
    desk.office.save(contact_name="Fenwick & Sons")
    assert desk.office.post("orders/retry", {"problem": "contact_archived"}).json["retried"] == 0
    assert desk.office.post(f"orders/{order['id']}/retry", {}).status == 409
    [left] = desk.office.post("orders/retry", {"ids": ids([order])}).json["left"]
    assert left["words"] == "This order is set aside. Take it back first."
    entry = world.entry(order)
    world.releases.ask(once_connected(UNTRACKED, [entry.lane], world.clock.now(), "connected"))
    world.run(timedelta(hours=3), until_quiet=False)
    assert world.entry(order).state is State.SET_ASIDE
    assert not world.committed("invoice")


def test_a_newer_message_is_kept_and_shown_and_counts_once_it_is_taken_back(desk: Desk) -> None:
    (order,) = desk.stopped()
    desk.aside(order)
    at = desk.order(order)["changed_at"]
    desk.world.clock.advance(60)
    desk.world.send(order | {"ref": "CHANGED"})
    shown = desk.order(order)
    assert (shown["state"], shown["changed_at"]) == ("set_aside", at)
    assert any("CHANGED" in change for change in shown["changes"])
    desk.in_xero(restore_contact=desk.contact)
    desk.back(order)
    desk.world.run(timedelta(minutes=1), until_quiet=False)
    assert desk.order(order)["changes"] == []
    [invoice] = desk.world.committed("invoice")
    assert "CHANGED" in desk.uk.documents[invoice["id"]].reference


def test_an_order_that_is_taken_back_is_tried_again(desk: Desk) -> None:
    (order,) = desk.stopped()
    desk.aside(order)
    assert desk.back(order) == {"done": ids([order]), "left": []}
    desk.world.run(timedelta(minutes=1), until_quiet=False)
    shown = desk.order(order)
    assert (shown["state"], shown["problem"]["code"]) == ("needs_attention", "contact_archived")
    assert [act["what"] for act in shown["history"] if act["by"]] == ["Took it back", "Set it aside"]
    assert shown["set_aside"] is None


def test_many_are_set_aside_and_those_that_can_not_be_are_named(desk: Desk) -> None:
    sent = desk.stopped(3)
    desk.in_xero(restore_contact=desk.contact)
    posted = desk.make.order(UNTRACKED, 1, 1)
    desk.world.send(posted)
    desk.world.run(timedelta(seconds=30), until_quiet=False)
    answer = desk.aside(*sent, posted, {"id": 5}, sent[0], {"id": 5})
    assert answer["done"] == ids(sent)
    assert [(one["id"], one["words"]) for one in answer["left"]] == [
        ("5", "There is no such order."),
        (str(posted["id"]), "Only an order that waits, is skipped or needs attention can be set aside."),
    ]
    assert desk.back(posted)["left"] == [{"id": str(posted["id"]), "words": "This order is not set aside."}]


@pytest.mark.parametrize(
    "body",
    [
        {"ids": ["1"]},
        {"ids": ["1"], "reason": ""},
        {"ids": ["1"], "reason": "  "},
        {"ids": ["1"], "reason": "x" * 501},
        {"ids": [], "reason": "x"},
        {"ids": ["0"], "reason": "x"},
        {"ids": [str(number) for number in range(1, 102)], "reason": "x"},
    ],
)
def test_without_a_reason_or_with_no_or_too_many_orders_nothing_is_set_aside(desk: Desk, body: Any) -> None:
    assert desk.office.post("orders/set-aside", body).status == 422


@pytest.mark.parametrize("body", [{}, {"problem": "contact_archived", "ids": ["1"]}])
def test_either_a_problem_or_orders_are_retried(desk: Desk, body: Any) -> None:
    assert desk.office.post("orders/retry", body).status == 422


def test_many_are_retried_and_those_that_can_not_be_are_named(desk: Desk) -> None:
    sent = desk.stopped(3)
    desk.in_xero(restore_contact=desk.contact)
    answer = desk.office.post("orders/retry", {"ids": [*ids(sent), "5"]}).json
    assert answer == {"retried": 3, "more": False, "left": [{"id": "5", "words": "There is no such order."}]}
    again = desk.office.post("orders/retry", {"ids": ids(sent)}).json
    assert (again["retried"], len(again["left"])) == (0, 3)
    desk.world.run(timedelta(minutes=1), until_quiet=False)
    assert desk.states(sent) == {State.POSTED}
    assert [act["what"] for act in desk.order(sent[0])["history"] if act["by"]] == ["Pressed Retry"]


def test_a_hundred_presses_of_retry_all_are_one_release_and_post_each_order_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = desk.stopped(6)
    desk.in_xero(restore_contact=desk.contact)
    monkeypatch.setattr("bookkeeping.use_cases.release.CHUNK", 2)
    # each press frees nothing at once: everything is left to the background
    monkeypatch.setattr(
        "bookkeeping.use_cases.page.retry.continue_release",
        lambda adapters, call, time: continue_release(adapters, call, time=timedelta()),
    )
    answers = [desk.office.post("orders/retry", {"problem": "contact_archived"}).json for _ in range(100)]
    assert {answer["more"] for answer in answers} == {True}
    assert desk.world.releases.due(desk.world.clock.now()) == [(UNTRACKED, "retry-contact_archived")]
    desk.world.run(timedelta(minutes=2), until_quiet=False)
    assert desk.states(sent) == {State.POSTED}
    assert len(desk.world.committed("invoice")) == len(sent)


def test_orders_with_one_problem_that_are_retried_twice_are_posted_once_each(desk: Desk) -> None:
    (pattern,) = desk.stopped()
    desk.in_xero(restore_contact=desk.contact)
    world, many = desk.world, int(os.environ.get("RETRIED_ORDERS", "1000"))
    entry, table = world.entry(pattern), world.resource.tables["OrdersTable"]
    for number in range(1, many):
        order_id = str(int(entry.order_id) + number)
        content = entry.message.content.replace(entry.order_id, order_id)
        said = replace(entry.message, content=content, content_hash=content_hash(order_from_content(content)))
        row = stored(entry_to_item(replace(entry, order_id=order_id, number=f"KX-{order_id}", message=said)))
        table.write((row["key"],), row)
    for _ in range(2):
        assert desk.office.post("orders/retry", {"problem": "contact_archived"}).status == 200
    world.run(timedelta(minutes=30))
    assert len([*world.orders.places(UNTRACKED, State.POSTED)]) == many
    numbers = Counter(document["number"] for document in world.committed("invoice"))
    assert (len(numbers), set(numbers.values())) == (many, {1})


def test_a_retry_of_chosen_orders_goes_on_though_the_page_dies(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = desk.stopped(3)
    desk.in_xero(restore_contact=desk.contact)
    monkeypatch.setattr("bookkeeping.use_cases.page.retry.continue_release", lambda *_, **__: 0)
    assert desk.office.post("orders/retry", {"ids": ids(sent)}).json["more"]
    [due] = desk.world.releases.due(desk.world.clock.now())
    assert continue_release(desk.world.release_adapters, ReleaseCall(*due)) == 3
    desk.world.run(timedelta(minutes=2), until_quiet=False)
    assert desk.states(sent) == {State.POSTED}


# --- read Xero again


def test_the_page_says_when_xero_was_read_for_them_and_when_it_is_next(desk: Desk) -> None:
    assert desk.office.get("xero/read-again").json == {
        "waiting": False,
        "read_at": None,
        "next_at": None,
        "spent": False,
    }
    desk.stopped()
    answer = desk.office.get("xero/read-again").json
    assert answer["waiting"]
    assert answer["read_at"] < answer["next_at"]


def test_read_xero_again_posts_within_seconds_and_is_done_once_in_ten_of_them(desk: Desk) -> None:
    (order,) = desk.stopped()
    desk.in_xero(restore_contact=desk.contact)
    before = len(desk.world.calls("GET", "Contacts"))
    for _ in range(100):
        assert desk.office.post("xero/read-again").status == 200
    desk.world.run(timedelta(seconds=9), until_quiet=False)
    assert desk.states([order]) == {State.POSTED}
    # the name is asked for alone, then looked up as for a document
    assert len(desk.world.calls("GET", "Contacts")) - before == 3


def test_while_the_orders_tab_is_open_it_is_read_every_five_minutes_and_then_seldom_again(desk: Desk) -> None:
    (order,) = desk.stopped()
    desk.world.run(timedelta(hours=4, minutes=10), until_quiet=False)
    contacts = [len(desk.world.calls("GET", "Contacts"))]
    desk.log_in()
    for minutes in (30, 0):
        for _ in range(minutes):
            desk.office.get("xero/read-again")
            desk.world.run(timedelta(minutes=1), until_quiet=False)
        desk.world.run(timedelta(minutes=30 - minutes), until_quiet=False)
        contacts.append(len(desk.world.calls("GET", "Contacts")))
    assert 6 <= contacts[1] - contacts[0] <= 8
    assert contacts[2] - contacts[1] <= 2
    desk.in_xero(restore_contact=desk.contact)
    desk.log_in()
    desk.office.get("xero/read-again")
    desk.world.run(timedelta(minutes=6), until_quiet=False)
    assert desk.states([order]) == {State.POSTED}


def test_orders_that_an_earlier_version_stopped_are_looked_after_once_the_orders_tab_is_open(
    desk: Desk,
) -> None:
    (order,) = desk.stopped()
    lane = desk.world.entry(order).lane
    row = desk.world.resource.Table("ConnectionsTable")
    row.update_item(
        Key={"pk": f"lane#{lane}", "sk": "lane"}, UpdateExpression="REMOVE recheck, next_at, agenda"
    )
    desk.in_xero(restore_contact=desk.contact)
    desk.world.run(timedelta(hours=2), until_quiet=False)
    assert desk.states([order]) == {State.NEEDS_ATTENTION}
    desk.log_in()
    desk.office.get("xero/read-again")
    desk.world.run(timedelta(minutes=1), until_quiet=False)
    assert desk.states([order]) == {State.POSTED}


def test_without_a_connection_there_is_nothing_to_read(popup: Popup) -> None:
    office = popup.browser()
    assert office.get("xero/read-again").status == 409
    assert office.post("xero/read-again").status == 409


# --- a contact that was renamed or merged


@pytest.mark.parametrize("merged", [False, True], ids=["renamed", "merged"])
def test_a_contact_that_is_called_otherwise_by_now_is_offered(desk: Desk, merged: bool) -> None:
    world = desk.world
    first, second = (desk.make.order(UNTRACKED, 1, 1) for _ in range(2))
    world.send(first)
    world.run(timedelta(seconds=30), until_quiet=False)
    if merged:
        desk.in_xero(add_contact="Harbour Cafe Ltd")
        desk.in_xero(merge_contact={desk.contact: "Harbour Cafe Ltd"})
    else:
        desk.in_xero(rename_contact={desk.contact: "Harbour Cafe Ltd"})
    world.clock.advance(3600)
    desk.log_in()
    world.send(second)
    world.run(timedelta(seconds=30), until_quiet=False)
    problem = desk.order(second)["problem"]
    assert problem["code"] == ("contact_archived" if merged else "contact_not_found")
    assert problem["now_called"] == {"setting": "contact_name", "name": "Harbour Cafe Ltd"}
    assert "now called “Harbour Cafe Ltd”" in problem["sentence"]
    desk.office.save(contact_name="Harbour Cafe Ltd")
    world.run(timedelta(minutes=1), until_quiet=False)
    assert desk.states([second]) == {State.POSTED}


def test_a_contact_that_is_found_renamed_as_its_document_is_posted_is_offered_too(desk: Desk) -> None:
    world = desk.world
    first, second = (desk.make.order(UNTRACKED, 1, 1) for _ in range(2))
    world.send(first)
    world.run(timedelta(seconds=30), until_quiet=False)
    desk.in_xero(rename_contact={desk.contact: "Harbour Cafe Ltd"})
    world.send(second)
    world.run(timedelta(seconds=30), until_quiet=False)
    problem = desk.order(second)["problem"]
    assert problem["code"] == "posted_contact_differs"
    assert problem["now_called"] == {"setting": "contact_name", "name": "Harbour Cafe Ltd"}

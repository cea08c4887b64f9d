"""Orders that stopped or waited are freed when what stopped them is gone, whatever gets lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bookkeeping.adapters.queues import ReleaseCall
from bookkeeping.domain.ledger import State
from bookkeeping.use_cases.release import LOOK_AGAIN, continue_release
from bookkeeping.use_cases.token_renewal import RenewalAdapters, Times, renew_due
from local.samples import Maker
from local.xero.organisations import Organisation
from tests.integration.one_process import Killed
from tests.integration.popup import ORIGIN, Browser, Popup
from tests.integration.test_settings_page_at_work import FITTING

COMPANY = "412077"


@pytest.fixture
def office(popup: Popup, uk: Organisation) -> Browser:
    """A company whose settings fit, and that is not connected yet."""
    browser = popup.browser()
    browser.app()
    browser.save(**FITTING, contact_name=popup.world.contact(uk))
    return browser


def orders(count: int) -> list[dict[str, Any]]:
    make = Maker()
    return [make.order(COMPANY, place) for place in range(1, count + 1)]


def states(popup: Popup, sent: list[dict[str, Any]]) -> set[State]:
    return {popup.world.entry(order).state for order in sent}


def test_what_the_settings_can_free_is_freed_though_every_message_is_lost(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    world = popup.world
    office.connect(uk)
    office.save(sales_account_code="")
    sent = orders(5)
    world.send(*sent)
    world.run()
    assert states(popup, sent) == {State.NEEDS_ATTENTION}
    world.queue.lose = lambda: True
    office.save(sales_account_code="200")
    world.queue.lose = lambda: False
    world.run()
    assert states(popup, sent) == {State.POSTED}


def test_a_connect_frees_what_waited_though_every_message_is_lost(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    world = popup.world
    sent = orders(5)
    world.send(*sent)
    world.queue.lose = lambda: True
    office.connect(uk)
    world.queue.lose = lambda: False
    world.run()
    assert states(popup, sent) == {State.POSTED}


def test_an_order_that_the_index_does_not_show_yet_is_freed_at_the_second_look(
    popup: Popup, office: Browser, uk: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = popup.world
    sent = orders(3)
    world.send(*sent)
    page, looks = world.orders.list_page, {"blind": True}

    def late(*args: Any, **kwargs: Any) -> tuple[list[str], str]:
        return ([], "") if looks["blind"] else page(*args, **kwargs)

    monkeypatch.setattr(world.orders, "list_page", late)
    office.connect(uk)
    world.run(LOOK_AGAIN / 2, until_quiet=False)
    assert states(popup, sent) == {State.WAITING}
    looks["blind"] = False
    world.run()
    assert states(popup, sent) == {State.POSTED}


@pytest.fixture
def small_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bookkeeping.use_cases.release.CHUNK", 10)


@pytest.mark.usefixtures("small_hands")
def test_many_are_freed_a_hand_at_a_time(popup: Popup, office: Browser, uk: Organisation) -> None:
    world = popup.world
    sent = orders(37)
    world.send(*sent)
    office.connect(uk)
    calls = [ReleaseCall(*due) for due in world.releases.due(world.clock.now())]
    assert sum(continue_release(world.release_adapters, call) for call in calls) == len(sent)
    assert states(popup, sent) == {State.QUEUED}


def test_saving_says_how_many_orders_are_tried_again(popup: Popup, office: Browser, uk: Organisation) -> None:
    world = popup.world
    office.connect(uk)
    assert office.save(sales_account_code="999").json["freed"] == 0
    sent = orders(3)
    world.send(*sent)
    world.run()
    assert states(popup, sent) == {State.NEEDS_ATTENTION}
    assert office.save(payment_terms_days=7).json["freed"] == 0, "it frees none of them"
    assert office.save(sales_account_code="200").json["freed"] == len(sent)
    world.run()
    assert states(popup, sent) == {State.POSTED}


@pytest.mark.usefixtures("small_hands")
def test_a_release_that_is_out_of_time_goes_on_in_the_next_message(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    world = popup.world
    sent = orders(23)
    world.send(*sent)
    office.connect(uk)
    calls = [ReleaseCall(*due) for due in world.releases.due(world.clock.now())]
    assert [continue_release(world.release_adapters, call, time=timedelta()) for call in calls] == [0] * len(
        calls
    )
    world.run()
    assert states(popup, sent) == {State.POSTED}


def adapters(popup: Popup) -> list[tuple[Any, str]]:
    """Where a release touches the world."""
    world = popup.world
    return [
        (world.orders, "list_page"),
        (world.orders, "get_many"),
        (world.orders, "save"),
        (world.releases, "find"),
        (world.releases, "advance"),
        (world.releases, "finish"),
        (world.lanes, "ring"),
        (world.wake_ups, "send"),
        (world.events, "put"),
    ]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("place", range(9))
def test_a_crash_at_any_step_loses_no_order_and_posts_none_twice(
    popup: Popup, office: Browser, uk: Organisation, place: int, after: bool
) -> None:
    world = popup.world
    sent = orders(4)
    world.send(*sent)
    target, name = adapters(popup)[place]
    real: Callable[..., Any] = getattr(target, name)
    left = {"crashes": 3}

    def crash(*args: Any, **kwargs: Any) -> Any:
        if left["crashes"]:
            left["crashes"] -= 1
            if after:
                real(*args, **kwargs)
            raise Killed
        return real(*args, **kwargs)

    office.connect(uk)
    setattr(target, name, crash)
    for _ in range(5):
        try:
            world.run()
        except Killed:
            # the sweep died: the next minute brings another
            world.clock.advance(60)
    assert left["crashes"] == 0 or name == "finish"
    assert states(popup, sent) == {State.POSTED}
    assert len(world.committed("invoice")) == 4
    assert [event["status"] for event in world.bus.of("ConnectionLost")] == []


def test_a_release_by_a_setting_leaves_alone_what_that_setting_does_not_touch(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    world = popup.world
    office.connect(uk)
    office.save(contact_name="Nobody at all")
    sent = orders(3)
    world.send(*sent)
    world.run()
    before = [world.entry(order).version for order in sent]
    world.clock.advance(60)
    office.save(sales_account_code="205")
    world.run()
    assert [world.entry(order).version for order in sent] == before


def test_an_order_that_waits_for_dispatch_is_posted_once_dispatch_is_not_waited_for(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    world = popup.world
    office.connect(uk)
    office.save(post_when="dispatch")
    sent = orders(2)
    world.send(*sent)
    world.run()
    assert states(popup, sent) == {State.WAITING}
    world.clock.advance(60)
    office.save(post_when="arrival")
    world.run()
    assert states(popup, sent) == {State.POSTED}


def test_a_secret_put_right_frees_what_waited_for_it(popup: Popup, office: Browser, uk: Organisation) -> None:
    world, door = popup.world, popup.callback.callback_adapters
    office.connect(uk)
    connection = world.connections.connection(COMPANY)
    assert connection is not None
    assert world.connections.lose_connection(connection, "wrong_credentials", world.clock.now())
    sent = orders(3)
    world.send(*sent)
    assert {world.entry(order).reason for order in sent} == {"wrong_credentials"}
    world.clock.advance(1801)
    office.app()
    renew_due(
        RenewalAdapters(
            connections=world.connections,
            releases=world.releases,
            apps=door.apps,
            tokens=door.tokens,
            identity=door.identity,
            events=world.events,
            now=world.clock.now,
            sleep=world.clock.sleep,
            together=lambda calls: [call() for call in calls],
            chance=world.chance,
            times=Times(),
        )
    )
    world.run()
    assert office.get("connection").json["status"] == "connected"
    assert states(popup, sent) == {State.POSTED}


# --- P10: another organisation -----------------------------------------------------------------------------------


@pytest.fixture
def au(popup: Popup) -> Organisation:
    return popup.world.organisation("Demo Company (AU)")


def in_organisation(popup: Popup, organisation: Organisation) -> list[str]:
    return [
        document.number for document in organisation.documents.values() if document.number.startswith("KX-")
    ]


def test_unsent_orders_move_once_a_person_confirms(
    popup: Popup, office: Browser, uk: Organisation, au: Organisation
) -> None:
    world = popup.world
    office.connect(uk)
    sent = orders(3)
    world.send(*sent)
    office.connect(au)
    world.run()
    assert states(popup, sent) == {State.WAITING}
    assert (in_organisation(popup, uk), in_organisation(popup, au)) == ([], [])
    world.clock.advance(60)
    office.post("connection/organisation", {"organisation_id": au.id})
    world.run()
    assert {world.entry(order).organisation_id for order in sent} == {au.id}
    assert in_organisation(popup, uk) == []


def test_orders_that_may_be_in_the_first_organisation_are_never_posted_in_the_second(
    popup: Popup, office: Browser, uk: Organisation, au: Organisation
) -> None:
    """The reply to a batch is lost, and before it is settled the company goes to another organisation."""
    world = popup.world
    office.connect(uk)
    world.xero.faults.add(
        {"kind": "reply_lost", "method": "PUT", "path_prefix": "/api.xro/2.0/Invoices", "times": 99}
    )
    sent = orders(3)
    world.send(*sent)
    for _ in range(3):
        if world.queue.waiting:
            world.turn(world.queue.waiting.pop(0)[2])
    assert states(popup, sent) == {State.POSTING}
    world.xero.faults.remove()
    office.connect(au)
    world.run()
    assert states(popup, sent) == {State.POSTING}, (
        "nobody may ask the first organisation, nor post in the second"
    )
    world.clock.advance(60)
    office.post("connection/organisation", {"organisation_id": au.id})
    world.run()
    assert states(popup, sent) == {State.NEEDS_ATTENTION}
    problem = office.get(f"orders/{sent[0]['id']}").json["problem"]
    assert problem["code"] == "may_already_be_in"
    assert uk.name in problem["sentence"]
    assert in_organisation(popup, au) == []
    assert len(set(in_organisation(popup, uk))) == 3


def test_a_half_posted_order_stays_with_its_first_organisation(
    popup: Popup, uk: Organisation, au: Organisation
) -> None:
    world = popup.world
    office = popup.browser()
    office.app()
    office.connect(uk)
    office.save(
        **FITTING,
        contact_name=world.contact(uk),
        process_method="tracked",
        cogs_account_code="310",
        inventory_asset_account_code="630",
    )
    world.xero.faults.add(
        {"kind": "error_before_commit", "method": "PUT", "path_prefix": "/api.xro/2.0/Invoices", "times": 99}
    )
    sent = orders(2)
    world.send(*sent)
    world.run(timedelta(minutes=3), until_quiet=False)
    halves = [world.entry(order) for order in sent]
    assert all(set(entry.documents) == {"purchase_order"} for entry in halves)
    world.xero.faults.remove()
    office.connect(au)
    world.clock.advance(60)
    office.post("connection/organisation", {"organisation_id": au.id})
    world.run()
    assert {office.get(f"orders/{order['id']}").json["problem"]["code"] for order in sent} == {
        "may_already_be_in"
    }
    assert in_organisation(popup, au) == []


def test_another_app_on_the_same_organisation_settles_what_the_first_left(
    popup: Popup, office: Browser, uk: Organisation
) -> None:
    world = popup.world
    office.connect(uk)
    world.xero.faults.add(
        {"kind": "reply_lost", "method": "PUT", "path_prefix": "/api.xro/2.0/Invoices", "times": 1}
    )
    sent = orders(3)
    world.send(*sent)
    for _ in range(3):
        if world.queue.waiting:
            world.turn(world.queue.waiting.pop(0)[2])
    other = world.xero.portal.register(
        {
            "name": "Another",
            "client_id": "ANOTHERAPP",
            "redirect_uris": [f"{ORIGIN}/xero/callback/{COMPANY}"],
            "certified": True,
        },
        world.clock.now(),
    )
    office.put(
        "credentials", {"client_id": "ANOTHERAPP", "client_secret": world.xero.portal.generate_secret(other)}
    )
    assert office.connect(uk) == "connected"
    world.run()
    assert states(popup, sent) == {State.POSTED}
    assert len(in_organisation(popup, uk)) == 3

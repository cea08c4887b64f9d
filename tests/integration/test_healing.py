"""What a person puts right in Xero posts the orders that waited for it, without a click and in the time promised."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bookkeeping.domain.ledger import FREED_BY_XERO, State
from bookkeeping.domain.rechecks import SHARE, Recheck
from bookkeeping.use_cases.release import once_connected
from local.samples import UNTRACKED, Maker
from local.xero.changes import CHANGES
from tests.integration.one_process import Killed, OneProcess, in_memory

OTHER = "500500"
IN_THE_FIRST_HOUR = timedelta(minutes=6)
LATER = timedelta(minutes=65)


class Office:
    """A company that posts, and a person who works in its Xero."""

    def __init__(self, **settings: Any) -> None:
        self.world = OneProcess(tables=in_memory)
        self.uk = self.world.organisation("Demo Company (UK)")
        self.world.company(**settings)
        self.contact = self.world.contact(self.uk)
        self.make = Maker()

    def in_xero(self, **changes: Any) -> None:
        for name, value in changes.items():
            CHANGES[name](self.world.xero, self.uk, value)

    def order(self, company: str = UNTRACKED, **changes: Any) -> dict[str, Any]:
        return self.make.order(company, 1, **changes)

    def stops(self, order: dict[str, Any], problem: str, company: str = UNTRACKED) -> dict[str, Any]:
        """Send the order, which stops."""
        self.world.send(order)
        self.passes(timedelta(seconds=30))
        entry = self.world.entry(order, company)
        assert entry.state is State.NEEDS_ATTENTION
        assert entry.why == problem
        return order

    def passes(self, time: timedelta) -> None:
        self.world.run(time, until_quiet=False)

    def state(self, order: dict[str, Any], company: str = UNTRACKED) -> State:
        return self.world.entry(order, company).state

    @property
    def recheck(self) -> Recheck:
        connection = self.world.connections.connection(UNTRACKED)
        assert connection is not None
        return self.world.lanes.recheck(connection.lane)[0]

    def reads(self, *resources: str) -> int:
        return sum(len(self.world.calls("GET", resource)) for resource in resources)


def archived_contact(office: Office) -> tuple[str, Callable[[], None]]:
    office.in_xero(archive_contact=office.contact)
    return "contact_archived", lambda: office.in_xero(restore_contact=office.contact)


def missing_contact(office: Office) -> tuple[str, Callable[[], None]]:
    office.world.save_settings(UNTRACKED, contact_name="Fenwick & Sons")
    return "contact_not_found", lambda: office.in_xero(add_contact="Fenwick & Sons")


def two_contacts(office: Office) -> tuple[str, Callable[[], None]]:
    office.in_xero(add_contact=office.contact)
    other = list(office.uk.contacts)[-1]
    return "contact_not_unique", lambda: office.in_xero(rename_contact={other: "Another"})


def archived_account(office: Office) -> tuple[str, Callable[[], None]]:
    office.in_xero(archive_account="200")
    return "account_archived", lambda: office.in_xero(restore_account="200")


def missing_account(office: Office) -> tuple[str, Callable[[], None]]:
    office.world.save_settings(UNTRACKED, sales_account_code="2999")
    return "account_not_found", lambda: office.in_xero(account_code={"260": "2999"})


def missing_currency(office: Office) -> tuple[str, Callable[[], None]]:
    office.in_xero(unsubscribe_currency="EUR")
    return "currency_not_enabled", lambda: office.in_xero(subscribe_currency="EUR")


def locked_date(office: Office) -> tuple[str, Callable[[], None]]:
    office.in_xero(period_lock_date="2026-11-30")
    return "date_locked", lambda: office.in_xero(period_lock_date="2026-10-31")


def unmapped_rate(office: Office) -> tuple[str, Callable[[], None]]:
    office.in_xero(tax_rate_status={"OUTPUT2": "ARCHIVED"})
    return "no_tax_type", lambda: office.in_xero(tax_rate_status={"OUTPUT2": "ACTIVE"})


CAUSES = [
    archived_contact,
    missing_contact,
    two_contacts,
    archived_account,
    missing_account,
    missing_currency,
    locked_date,
    unmapped_rate,
]


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
def test_what_is_put_right_in_xero_posts_the_order_without_a_click(
    cause: Callable[[Office], tuple[str, Callable[[], None]]],
) -> None:
    office = Office()
    problem, put_right = cause(office)
    changes = {"currency_code": "EUR"} if problem == "currency_not_enabled" else {}
    order = office.stops(office.order(**changes), problem)
    # in the first hour
    office.passes(timedelta(minutes=23))
    assert office.state(order) is State.NEEDS_ATTENTION
    put_right()
    office.passes(IN_THE_FIRST_HOUR)
    assert office.state(order) is State.POSTED
    assert [act.what for act in office.world.entry(order).history] == [FREED_BY_XERO]


@pytest.mark.parametrize("cause", [archived_contact, missing_currency], ids=lambda cause: cause.__name__)
def test_later_on_it_takes_at_most_an_hour_and_five_minutes(
    cause: Callable[[Office], tuple[str, Callable[[], None]]],
) -> None:
    office = Office()
    problem, put_right = cause(office)
    changes = {"currency_code": "EUR"} if problem == "currency_not_enabled" else {}
    order = office.stops(office.order(**changes), problem)
    office.passes(timedelta(hours=5, minutes=17))
    before = len(office.world.calls())
    office.passes(timedelta(hours=3))
    assert len(office.world.calls()) - before <= 4
    put_right()
    office.passes(LATER)
    assert office.state(order) is State.POSTED


def test_an_order_is_looked_at_about_every_five_minutes_in_the_hour_after_it_stopped() -> None:
    office = Office()
    archived_contact(office)
    office.stops(office.order(), "contact_archived")
    before = office.reads("Contacts")
    office.passes(timedelta(hours=1))
    assert 10 <= office.reads("Contacts") - before <= 13


def test_nothing_is_read_where_no_order_waits_for_it() -> None:
    office = Office()
    office.world.send(office.order())
    waits_for_a_person = office.stops(office.order(status_name="Refunded", status=512), "no_sale")
    before = len(office.world.calls())
    office.passes(timedelta(hours=8))
    assert len(office.world.calls()) == before
    assert office.state(waits_for_a_person) is State.NEEDS_ATTENTION


def test_nothing_more_is_read_once_no_order_waits_any_more() -> None:
    office = Office()
    _, put_right = missing_currency(office)
    office.stops(office.order(currency_code="EUR"), "currency_not_enabled")
    put_right()
    office.passes(timedelta(minutes=20))
    before = len(office.world.calls())
    office.passes(timedelta(hours=8))
    assert len(office.world.calls()) == before


def test_only_what_the_orders_wait_for_is_read() -> None:
    office = Office()
    missing_currency(office)
    office.stops(office.order(currency_code="EUR"), "currency_not_enabled")
    before = {
        one: office.reads(one) for one in ("Currencies", "Accounts", "TaxRates", "Organisation", "Contacts")
    }
    office.passes(timedelta(hours=1))
    after = {one: office.reads(one) for one in before}
    assert after.pop("Currencies") > before.pop("Currencies")
    assert after == before


def test_a_change_of_something_else_frees_no_order() -> None:
    office = Office()
    archived_account(office)
    order = office.stops(office.order(), "account_archived")
    version = office.world.entry(order).version
    office.in_xero(subscribe_currency="SEK", add_contact="Somebody", tax_rate_status={"RROUTPUT": "ARCHIVED"})
    office.passes(timedelta(hours=2))
    assert office.world.entry(order).version == version, "nothing was tried, so nobody was told of it again"


def test_a_change_that_does_not_help_has_the_order_tried_once() -> None:
    office = Office()
    archived_account(office)
    order = office.stops(office.order(), "account_archived")
    told = len(office.world.bus.of("OrderNeedsAttention"))
    office.in_xero(account_tax_type={"310": "NONE"})
    office.passes(timedelta(hours=3))
    assert office.state(order) is State.NEEDS_ATTENTION
    assert len(office.world.bus.of("OrderNeedsAttention")) == told + 1


def test_what_an_order_stopped_for_is_noticed_though_xero_is_then_as_it_was_before() -> None:
    office = Office()
    missing_currency(office)
    first = office.stops(office.order(currency_code="EUR"), "currency_not_enabled")
    # another currency goes, orders stop for it, and it comes back before Xero is read again
    office.in_xero(unsubscribe_currency="USD")
    office.world.organisations.forget(office.uk.id)
    second = office.stops(office.order(currency_code="USD"), "currency_not_enabled")
    office.in_xero(subscribe_currency="USD")
    office.passes(IN_THE_FIRST_HOUR)
    assert (office.state(first), office.state(second)) == (State.NEEDS_ATTENTION, State.POSTED)


def test_what_somebody_else_has_read_meanwhile_is_a_change_all_the_same() -> None:
    office = Office()
    _, put_right = archived_account(office)
    order = office.stops(office.order(), "account_archived")
    put_right()
    # the settings tab reads the accounts, and an order is posted with them
    office.world.organisations.forget(office.uk.id)
    other = office.order()
    office.world.send(other)
    office.passes(timedelta(seconds=30))
    assert office.state(other) is State.POSTED
    office.passes(IN_THE_FIRST_HOUR)
    assert office.state(order) is State.POSTED


def test_a_contact_that_was_refused_is_tried_again_once_somebody_has_edited_it() -> None:
    office = Office()
    refused = {"kind": "refused", "method": "PUT", "path_prefix": "/api.xro/2.0/Invoices", "times": None}
    office.world.xero.faults.add(refused | {"message": "Email address must be valid"})
    order = office.stops(office.order(), "contact_invalid")
    version = office.world.entry(order).version
    office.passes(timedelta(minutes=30))
    assert office.world.entry(order).version == version
    office.world.xero.faults.remove()
    office.in_xero(restore_contact=office.contact)  # which notes an edit of a contact that was active
    office.passes(IN_THE_FIRST_HOUR)
    assert office.state(order) is State.POSTED


def test_reading_again_takes_a_twentieth_of_the_days_calls_at_most_and_says_when_it_goes_on() -> None:
    office = Office()
    office.in_xero(day_limit=1000)
    _, put_right = locked_date(office)
    missing_currency(office)
    locked = office.stops(office.order(), "date_locked")
    open_day = {"sale_datetime": "2026-12-01 10:00:00"}
    office.stops(office.order(currency_code="EUR", **open_day), "currency_not_enabled")
    archived_contact(office)
    office.world.clock.advance(3600)
    office.stops(office.order(**open_day), "contact_archived")
    start = len(office.world.calls())
    waits = []
    for _ in range(30):
        office.passes(timedelta(hours=1))
        waits.append(office.recheck.spent)
    made = [call.at for call in office.world.calls()[start:]]
    in_a_day = max(sum(0 <= (at - first).total_seconds() < 86_400 for at in made) for first in made)
    assert 40 < in_a_day <= 1000 // SHARE
    assert True in waits
    next_at = office.recheck.next_at
    assert next_at is not None
    put_right()
    office.in_xero(restore_contact=office.contact)
    office.passes(next_at - office.world.clock.now() + timedelta(minutes=2))
    assert office.state(locked) is State.POSTED


def test_two_companies_of_one_organisation_are_looked_after_with_one_reading() -> None:
    office = Office()
    office.world.company(OTHER, office.uk, app_of=UNTRACKED, number_prefix="B-")
    _, put_right = missing_currency(office)
    one = office.stops(office.order(currency_code="EUR"), "currency_not_enabled")
    other = office.stops(office.order(OTHER, currency_code="EUR"), "currency_not_enabled", OTHER)
    before = office.reads("Currencies")
    office.passes(timedelta(hours=1))
    assert 10 <= office.reads("Currencies") - before <= 14
    put_right()
    office.passes(IN_THE_FIRST_HOUR)
    assert (office.state(one), office.state(other, OTHER)) == (State.POSTED, State.POSTED)


def test_only_the_companies_whose_contact_can_be_used_are_freed() -> None:
    office = Office()
    office.world.company(
        OTHER, office.uk, app_of=UNTRACKED, number_prefix="B-", contact_name="Fenwick & Sons"
    )
    _, put_right = archived_contact(office)
    one = office.stops(office.order(), "contact_archived")
    other = office.stops(office.order(OTHER), "contact_not_found", OTHER)
    version = office.world.entry(other, OTHER).version
    put_right()
    office.passes(IN_THE_FIRST_HOUR)
    assert office.state(one) is State.POSTED
    assert office.world.entry(other, OTHER).version == version


@pytest.mark.parametrize("elsewhere", [False, True], ids=["the same organisation", "another one"])
def test_connecting_again_posts_what_stopped_for_something_that_is_no_matter_now(elsewhere: bool) -> None:
    office = Office()
    problem, put_right = missing_contact(office)
    order = office.stops(office.order(), problem)
    world = office.world
    before = world.connections.connection(UNTRACKED)
    assert before is not None
    world.connections.lose_connection(before, "needs_reconnect", world.clock.now())
    office.passes(timedelta(hours=2))
    put_right()
    calls = len(world.calls())
    office.passes(timedelta(hours=2))
    assert len(world.calls()) == calls
    after = world.connect(UNTRACKED, office.uk, OTHER if elsewhere else "")
    world.releases.ask(once_connected(UNTRACKED, [after.lane], world.clock.now(), "connected"))
    office.passes(IN_THE_FIRST_HOUR)
    assert office.state(order) is State.POSTED


def test_a_company_that_is_switched_off_stays_as_it_is() -> None:
    office = Office()
    _, put_right = archived_contact(office)
    order = office.stops(office.order(), "contact_archived")
    office.world.save_settings(UNTRACKED, enabled=False)
    put_right()
    office.passes(timedelta(hours=3))
    assert office.state(order) is State.NEEDS_ATTENTION
    office.world.save_settings(UNTRACKED, enabled=True)
    office.passes(LATER)
    assert office.state(order) is State.POSTED


def test_a_reading_that_fails_is_made_again() -> None:
    office = Office()
    _, put_right = missing_currency(office)
    order = office.stops(office.order(currency_code="EUR"), "currency_not_enabled")
    office.world.xero.faults.add({"kind": "html_body", "path_prefix": "/api.xro/2.0/Currencies", "times": 3})
    put_right()
    office.passes(timedelta(minutes=20))
    assert office.state(order) is State.POSTED


@pytest.mark.parametrize("name", ["releases.ask", "wake_ups.send", "lanes.release", "organisations.forget"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_anywhere_has_it_read_again(name: str, after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office()
    _, put_right = missing_currency(office)
    order = office.stops(office.order(currency_code="EUR"), "currency_not_enabled")
    put_right()
    of, method = name.split(".")
    target = getattr(office.world.posting, of)
    real, left = getattr(target, method), [1]

    def killed(*about: Any, **more: Any) -> Any:
        if left[0] and not after:
            left[0] = 0
            raise Killed
        answer = real(*about, **more)
        if left[0]:
            left[0] = 0
            raise Killed
        return answer

    monkeypatch.setattr(target, method, killed)
    office.passes(IN_THE_FIRST_HOUR + timedelta(minutes=3))
    assert not left[0]
    assert office.state(order) is State.POSTED
    assert len(office.world.committed("invoice")) == 1


def test_an_order_that_comes_a_moment_before_xero_is_read_is_posted_at_once() -> None:
    office = Office()
    missing_currency(office)
    office.stops(office.order(currency_code="EUR"), "currency_not_enabled")
    next_at = office.recheck.next_at
    assert next_at is not None
    # the sweep, and no wake-up of its own, has Xero read then
    office.world.clock.advance((next_at - office.world.clock.now()).total_seconds() - 0.5)
    order = office.order()
    office.world.send(order)
    office.passes(timedelta(seconds=5))
    assert office.state(order) is State.POSTED


def test_a_company_whose_contact_was_taken_out_of_the_settings_is_left_alone() -> None:
    office = Office(process_method="tracked", purchase_order_contact_name="Blanks Ltd")
    order = office.stops(office.order(), "contact_not_found")
    version = office.world.entry(order).version
    office.world.save_settings(UNTRACKED, contact_name="", purchase_order_contact_name="")
    office.passes(timedelta(hours=2))
    assert office.world.entry(order).version == version

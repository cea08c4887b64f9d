"""The days of an organisation: document dates, Start from and lock dates, from the message to the books in Xero."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from moto import mock_aws

from bookkeeping.domain.ledger import Entry
from local.samples import UNTRACKED, Maker
from local.xero.organisations import Organisation
from tests.integration.one_process import OneProcess, in_memory

AMERICAN = {"sales_account_code": "4000", "shipping_account_code": "4100"}


@pytest.fixture
def world() -> Iterator[OneProcess]:
    with mock_aws():
        yield OneProcess(tables=in_memory)


def books_of(world: OneProcess, country: str, **settings: Any) -> Organisation:
    """A company's books in that country."""
    books = world.organisation(f"Demo Company ({country})")
    world.company(UNTRACKED, books, **((AMERICAN if country == "US" else {}) | settings))
    return books


PRICES = {
    "GBP": ("20", "12.00"),
    "AUD": ("10", "11.00"),
    "NZD": ("15", "11.50"),
    "USD": ("8.75", "10.88"),
}
"""Currency of the books → their tax rate, and 10.00 with that tax."""
FREE_SHIPPING = {"shipping_price": 0, "shipping_price_inc_tax": 0, "shipping_tax_rate": 0}


def order(world: OneProcess, sold_at: str, **changes: Any) -> dict[str, Any]:
    """An order of one line that fits the company's books."""
    connection = world.connections.connection(UNTRACKED)
    assert connection is not None
    rate, gross = PRICES[world.xero.organisations[connection.organisation_id].base_currency]
    make = Maker(first_id=1 + len(world.bus.events))
    made = make.order(UNTRACKED, 0, 1, currency_code=None, **FREE_SHIPPING, **changes)
    made["items"][0] |= {"unit_sale_price": "10.00", "unit_sale_price_inc_tax": gross, "sale_vat_rate": rate}
    return made | {"sale_datetime": sold_at}


def booked(world: OneProcess, sent: dict[str, Any]) -> Entry:
    world.send(sent)
    world.run()
    return world.entry(sent)


def ends(entry: Entry) -> str:
    return f"{entry.state} {entry.problem.code if entry.problem else entry.reason}".strip()


def dated(world: OneProcess, entry: Entry) -> tuple[date, date | None]:
    """The day of the invoice and the day it is due."""
    assert ends(entry) == "posted", entry.problem
    organisation = world.xero.organisations[entry.organisation_id]
    document = organisation.documents[entry.documents["invoice"].id]
    return document.dated_on, document.due_on


@pytest.mark.parametrize(
    ("country", "sold_at", "day"),
    [
        ("NZ", "2026-06-30T13:30:00Z", "2026-07-01"),
        ("NZ", "2026-09-26T11:30:00.250Z", "2026-09-26"),
        ("NZ", "2026-09-27T11:30:00+00:00", "2026-09-28"),
        ("NZ", "2026-06-30", "2026-06-30"),
        ("AU", "2026-12-31T13:00:00Z", "2027-01-01"),
        ("AU", "2026-06-30T13:59:59Z", "2026-06-30"),
        ("AU", "2026-06-30T14:00:00Z", "2026-07-01"),
        ("AU", "2026-06-30 23:59:59", "2026-06-30"),
        ("US", "2027-01-01T02:00:00Z", "2026-12-31"),
        ("US", "2027-01-01T04:59:59.999999999Z", "2026-12-31"),
        ("US", "2026-07-01T03:59:00Z", "2026-06-30"),
        ("US", "2026-07-01T13:00:00+13:00", "2026-06-30"),
        ("UK", "2026-07-31T23:30:00Z", "2026-08-01"),
        ("UK", "2026-11-30T23:30:00Z", "2026-11-30"),
        ("UK", "2026-11-30T20:30:00-05:00", "2026-12-01"),
    ],
)
def test_an_invoice_is_dated_by_the_organisation_s_day(
    world: OneProcess, country: str, sold_at: str, day: str
) -> None:
    books_of(world, country, payment_terms_days=0)
    found = date.fromisoformat(day)
    assert dated(world, booked(world, order(world, sold_at))) == (found, found)


@pytest.mark.parametrize(
    ("country", "order_zone", "sold_at", "day"),
    [
        ("NZ", "UTC", "2026-06-30 13:30:00", "2026-07-01"),
        ("US", "Europe/London", "2027-01-01 04:59:00", "2026-12-31"),
        ("AU", "Europe/London", "2026-11-20 19:42:07", "2026-11-21"),
        ("AU", "", "2026-11-20 19:42:07", "2026-11-20"),
        ("AU", "Australia/Sydney", "2026-11-20 23:59:59", "2026-11-20"),
    ],
)
def test_times_without_a_zone_are_in_the_order_time_zone(
    world: OneProcess, country: str, order_zone: str, sold_at: str, day: str
) -> None:
    books_of(world, country, order_time_zone=order_zone)
    assert dated(world, booked(world, order(world, sold_at)))[0] == date.fromisoformat(day)


def test_on_dispatch_the_completion_dates_it_else_the_day_the_message_was_sent(world: OneProcess) -> None:
    books_of(world, "NZ", post_when="dispatch")
    dispatched = {"status": 8, "status_name": "Dispatched"}
    sent = order(world, "2026-11-20T09:00:00Z", **dispatched, completion_datetime="2026-11-21T11:00:00Z")
    assert dated(world, booked(world, sent))[0] == date(2026, 11, 22)
    world.clock.advance((12 - world.clock.now().hour) % 24 * 3600)
    at_noon = world.clock.now().date()
    incomplete = order(world, "2026-11-20T09:00:00Z", **dispatched)
    assert dated(world, booked(world, incomplete))[0].toordinal() == at_noon.toordinal() + 1


@pytest.mark.parametrize(
    ("country", "sold_at", "end"),
    [
        ("NZ", "2026-11-20T10:59:59Z", "skipped before_start"),
        ("NZ", "2026-11-20T11:00:00Z", "posted"),
        ("US", "2026-11-21T04:59:59.9Z", "skipped before_start"),
        ("US", "2026-11-21T00:00:00-05:00", "posted"),
        ("UK", "2026-11-21 00:00:00", "posted"),
        ("UK", "2026-11-20 23:59:59", "skipped before_start"),
        ("AU", "2026-11-21", "posted"),
        ("AU", "2026-11-20", "skipped before_start"),
        ("AU", "2026-10-01T10:00:00Z", "skipped before_start"),
    ],
)
def test_start_from_is_midnight_in_the_organisation(
    world: OneProcess, country: str, sold_at: str, end: str
) -> None:
    books_of(world, country, start_from="2026-11-21")
    entry = booked(world, order(world, sold_at))
    assert ends(entry) == end
    assert entry.due_at is None
    told = [event["type"] for event in world.bus.events]
    assert told == (["OrderPosted"] if end == "posted" else ["OrderSkipped"])


def test_no_item_is_made_for_an_order_sold_before_the_start(world: OneProcess) -> None:
    books = books_of(world, "AU", start_from="2026-11-21", process_method="tracked")
    entry = booked(world, order(world, "2026-11-20T12:59:00Z"))
    assert ends(entry) == "skipped before_start"
    assert not books.items


def test_the_other_company_posts_what_this_one_leaves_to_it_for_its_start(world: OneProcess) -> None:
    books = books_of(world, "NZ")
    world.company("500500", books, number_prefix="B-", start_from="2026-11-21")
    sent = order(world, "2026-11-20T10:30:00Z", secondary_company_ref_id="500500")
    world.send(sent)
    assert ends(world.entry(sent)) == "skipped already_in_books"
    world.run()
    assert ends(world.entry(sent, "500500")) == "skipped before_start"
    assert dated(world, world.entry(sent))[0] == date(2026, 11, 20)
    assert len(world.committed("invoice")) == 1


@pytest.mark.parametrize(
    ("country", "sold_at", "end"),
    [
        ("NZ", "2026-11-20T10:59:59Z", "needs_attention date_locked"),
        ("NZ", "2026-11-20T11:00:00Z", "posted"),
        ("US", "2026-11-21T04:59:59Z", "needs_attention date_locked"),
        ("US", "2026-11-21T05:00:00Z", "posted"),
        ("UK", "2026-11-20 23:59:59", "needs_attention date_locked"),
        ("UK", "2026-11-21", "posted"),
    ],
)
def test_the_day_of_the_lock_date_is_locked_and_the_next_is_not(
    world: OneProcess, country: str, sold_at: str, end: str
) -> None:
    books = books_of(world, country)
    books.period_lock_date = date(2026, 11, 20)
    entry = booked(world, order(world, sold_at))
    assert ends(entry) == end
    if entry.problem:
        assert "2026-11-20" in entry.problem.sentence


@pytest.mark.parametrize("told", ["MARSSTANDARDTIME", None])
def test_an_unknown_time_zone_is_the_country_s_main_one_and_the_order_says_so(
    world: OneProcess, told: str | None
) -> None:
    books = world.organisation("Demo Company (AU)")
    books.country = replace(books.country, timezone=told)  # type: ignore[arg-type] # Xero may tell none
    books_of(world, "AU")
    entry = booked(world, order(world, "2026-06-30T14:30:00Z"))
    assert dated(world, entry)[0] == date(2026, 7, 1)
    assert "Australia/Sydney" in " ".join(entry.documents["invoice"].notes)


def test_another_day_of_sale_after_posting_is_shown_and_another_hour_is_not(world: OneProcess) -> None:
    books_of(world, "NZ")
    sent = order(world, "2026-06-30T11:00:00Z")
    booked(world, sent)
    assert booked(world, sent | {"sale_datetime": "2026-06-30T11:30:00Z"}).changes == ()
    entry = booked(world, sent | {"sale_datetime": "2026-06-30T13:30:00Z"})
    assert entry.changes == ("Sale date: 2026-06-30 → 2026-07-01",)
    assert world.bus.of("OrderChangedAfterPosting")

"""When Xero is read again for stopped orders, and how many calls that may take."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bookkeeping.domain.moments import LONG_AGO
from bookkeeping.domain.organisation import Account, Organisation, TaxRate
from bookkeeping.domain.problems.catalogue import CATALOGUE
from bookkeeping.domain.rechecks import MIXED, OFTEN, SELDOM, Recheck, fingerprint, watched

NOW = datetime(2026, 11, 29, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
FACTS = Organisation(
    id="1",
    name="One",
    short_code="!1",
    base_currency="GBP",
    pays_tax=True,
    period_lock_date=None,
    end_of_year_lock_date=None,
    accounts=(Account("200", "Sales", "REVENUE", "REVENUE", "ACTIVE", "OUTPUT2", ""),),
    tax_rates=(TaxRate("OUTPUT2", "20%", "ACTIVE", Decimal("20.0000"), True, True, True),),
    currencies=("GBP", "EUR"),
)


def freed_by(code: str) -> set[str]:
    """What has an order with that problem tried again."""
    kind = CATALOGUE[code]
    found = {"message"} if kind.who == "platform" or "send the order again" in kind.fix else set()
    found |= {"setting"} if kind.freed_by else set()
    found |= {"xero"} if kind.watches else set()
    # a person can press a button for any order whose message could be read
    return found | {"person"}


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_problem_is_freed_by_something_and_says_by_what(code: str) -> None:
    kind, found = CATALOGUE[code], freed_by(code)
    if "xero" in found:
        assert "Xero" in kind.fix or "send" in kind.fix or "settings" in kind.fix
    if found == {"person"}:
        assert (
            "press" in kind.fix.casefold()
            or kind.who == "operator"
            or "by hand" in kind.fix
            or code in BY_HAND
        )


BY_HAND = {"posted_elsewhere", "credit_too_much", "still_in_xero", "still_a_draft", "document_not_found"}


def test_what_stopped_for_a_fact_of_xero_is_read_again() -> None:
    by_watch = {
        watch: {code for code, kind in CATALOGUE.items() if watch in kind.watches}
        for watch in ("contacts", "organisation", "accounts", "tax_rates", "currencies")
    }
    assert {"contact_archived", "contact_not_found", "contact_not_unique"} <= by_watch["contacts"]
    assert {"account_archived", "account_not_found"} <= by_watch["accounts"]
    assert {"no_tax_type", "tax_type_differs"} <= by_watch["tax_rates"]
    assert "currency_not_enabled" in by_watch["currencies"]
    assert "date_locked" in by_watch["organisation"]
    assert watched("no_such_problem") == frozenset()


def test_only_the_first_of_many_that_stop_plans_a_reading() -> None:
    first = Recheck().stopped({"accounts": "a"}, NOW)
    later = first.stopped({"accounts": "a"}, NOW + 3 * MINUTE)
    assert first.next_at == later.next_at == NOW + OFTEN
    assert (later.stopped_at, later.seen) == (NOW + 3 * MINUTE, {"accounts": "a"})


def test_what_was_not_the_same_for_all_of_them_counts_as_changed() -> None:
    recheck = Recheck().stopped({"accounts": "a"}, NOW).stopped({"accounts": "b"}, NOW)
    assert recheck.seen == {"accounts": MIXED}
    assert recheck.stopped({"accounts": "a"}, NOW).seen == {"accounts": MIXED}
    assert recheck.read(NOW, {"accounts": "a"}).seen == {"accounts": "a"}


@pytest.mark.parametrize(("since_it_stopped", "wait"), [(59 * MINUTE, OFTEN), (HOUR, SELDOM)])
def test_it_is_read_often_for_an_hour_and_then_seldom(since_it_stopped: timedelta, wait: timedelta) -> None:
    now = NOW + since_it_stopped
    read = Recheck().stopped({}, NOW).read(now, {})
    assert read.next_at == now + wait
    assert read.planned(now, LONG_AGO) == now + wait


def test_an_open_tab_has_it_read_often_and_soon() -> None:
    read = Recheck().stopped({}, NOW).read(NOW + 3 * HOUR, {})
    later = NOW + 3 * HOUR + 30 * MINUTE
    assert not read.due(later, LONG_AGO, LONG_AGO)
    assert read.due(later, later - MINUTE, LONG_AGO)
    assert read.planned(later, later - MINUTE) == later
    assert not read.due(later, later - 5 * MINUTE, LONG_AGO)


def test_whoever_asks_has_it_read_at_once_but_not_beyond_its_share_of_the_calls() -> None:
    read = Recheck().stopped({}, NOW).read(NOW, {})
    assert read.due(NOW + MINUTE, LONG_AGO, NOW + MINUTE)
    spent = read.without_calls(NOW)
    assert spent.next_at is not None
    assert not spent.due(NOW + MINUTE, NOW + MINUTE, NOW + MINUTE)
    assert spent.planned(NOW + MINUTE, NOW + MINUTE) == spent.next_at
    assert spent.due(spent.next_at, LONG_AGO, LONG_AGO)


@pytest.mark.parametrize(("day_left", "share"), [(None, 50), (40, 50), (999, 50), (1_001, 250), (4_980, 250)])
def test_its_share_is_a_twentieth_of_what_the_plan_allows(day_left: int | None, share: int) -> None:
    assert Recheck().left(NOW, day_left) == share
    used = Recheck().called(7, NOW, day_left).called(3, NOW + HOUR, 12)
    assert used.left(NOW + HOUR, 12) == share - 10


def test_calls_count_for_a_day_and_an_hour_whenever_xeros_day_begins() -> None:
    recheck = Recheck().called(50, NOW, 900)
    for hours in range(25):
        assert recheck.left(NOW + hours * HOUR, 900) == 0
    assert recheck.left(NOW + 25 * HOUR, 900) == 50
    spent = recheck.without_calls(NOW + 3 * HOUR)
    assert spent.next_at is not None
    assert spent.left(spent.next_at, 900) == 50
    assert spent.left(spent.next_at - MINUTE, 900) == 0
    assert recheck.called(1, NOW + 26 * HOUR, 900).calls.keys() != recheck.calls.keys()


def test_what_is_over_is_forgotten_but_for_the_calls() -> None:
    recheck = Recheck().stopped({"accounts": "a"}, NOW).called(2, NOW, None)
    over = recheck.over(NOW)
    assert (over.next_at, over.seen, over.calls) == (None, {}, recheck.calls)
    gone = recheck.without_company(NOW)
    assert (gone.next_at, gone.seen) == (None, {"accounts": "a"})


def test_a_fingerprint_changes_with_what_it_is_about_and_with_nothing_else() -> None:
    changed = {
        "organisation": replace(FACTS, period_lock_date=NOW.date()),
        "accounts": replace(FACTS, accounts=(replace(FACTS.accounts[0], status="ARCHIVED"),)),
        "tax_rates": replace(FACTS, tax_rates=(replace(FACTS.tax_rates[0], effective_rate=Decimal(21)),)),
        "currencies": replace(FACTS, currencies=("GBP",)),
    }
    for watch in ("organisation", "accounts", "tax_rates", "currencies"):
        differ = {
            about
            for about, facts in changed.items()
            if fingerprint(watch, facts) != fingerprint(watch, FACTS)
        }
        assert differ == {watch}


def test_a_fingerprint_is_the_same_for_facts_that_were_kept_or_come_in_another_order() -> None:
    kept = Organisation.from_json(FACTS.to_json())
    other = replace(
        FACTS,
        currencies=("EUR", "GBP"),
        tax_rates=(replace(FACTS.tax_rates[0], effective_rate=Decimal(20)),),
    )
    for watch in ("organisation", "accounts", "tax_rates", "currencies"):
        assert fingerprint(watch, kept) == fingerprint(watch, other) == fingerprint(watch, FACTS)


def test_an_order_that_stops_long_after_the_last_look_has_xero_read_now_and_not_in_the_past() -> None:
    read = Recheck().stopped({"accounts": "a"}, NOW).read(NOW + 2 * HOUR, {})
    later = NOW + 2 * HOUR + 50 * MINUTE
    assert read.stopped({"accounts": "a"}, later).planned(later, LONG_AGO) == later
    assert read.planned(later + HOUR, LONG_AGO) == later + HOUR, "after a pause"

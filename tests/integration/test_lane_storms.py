"""The storms over lanes and over access to Xero, quick forms. In full: `python -m tests.storms P7 P8 P18 P19`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.storms import access, lanes
from tests.storms.environment import F1
from tests.storms.posting import bytes_a_call
from tests.storms.table import Outcome


def kept(outcome: Outcome) -> None:
    assert outcome.kept, "\n".join(outcome.bad)


def test_a_burst_uses_all_that_xero_allows_though_an_index_goes_on_showing_what_was_sent() -> None:
    # few orders a call: enough calls for a minute
    with bytes_a_call(10_000):
        kept(lanes.burst(700))


def test_throttled_calls_fail_no_order_and_kill_no_message() -> None:
    kept(lanes.burst(400, lanes.THROTTLED, name="throttled"))


def test_an_apps_own_minute_fails_no_order_either() -> None:
    kept(lanes.one_app_for_all(240))


def test_posting_goes_on_within_two_minutes_of_the_days_reset() -> None:
    kept(lanes.day_limit(700, 10))


def test_a_company_with_one_order_does_not_wait_behind_companies_with_thousands() -> None:
    kept(lanes.beside(2, 150, 20, 10))


def test_a_lane_that_fails_or_is_slow_holds_up_no_other_in_its_invocation() -> None:
    kept(lanes.ONE_OF_TEN())


def test_without_xero_hardly_anything_is_asked_and_afterwards_all_is_posted_at_full_speed() -> None:
    kept(lanes.OUTAGE())


def test_documents_that_xero_always_fails_on_hold_no_other_up_and_stop() -> None:
    kept(lanes.FAILED_ON())


def test_access_taken_away_costs_a_few_calls_and_no_order() -> None:
    kept(access.TAKEN_AWAY())


def test_nor_does_it_in_a_storm() -> None:
    kept(access.taken_in_a_storm(150))


def test_what_a_person_sets_right_in_xero_and_retries_is_posted_once() -> None:
    kept(access.set_right(120, F1))


# the storms in full try all mutants
@pytest.mark.parametrize("mutant", [lanes.one_after_the_other, lanes.one_fails_all])
def test_a_storm_catches_the_mutant(mutant: Callable[[], AbstractContextManager[None]]) -> None:
    with mutant():
        assert not lanes.ONE_OF_TEN().kept

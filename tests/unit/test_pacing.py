"""How many calls may go out now."""

import random
from datetime import UTC, datetime, timedelta

from bookkeeping.domain.pacing import (
    ASK_AGAIN,
    CALLS_A_MINUTE,
    CALLS_AT_ONCE,
    MINUTE,
    Budget,
    Limits,
    Waits,
    back_off,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_no_sixty_seconds_ever_see_more_calls_than_allowed() -> None:
    budget, now, made = Budget(), NOON, []
    while now < NOON + 5 * MINUTE:
        for _ in range(budget.allowed(now)):
            budget.spend(now)
            made.append(now)
        now = max(budget.free_at(now), now + seconds(0.1))
    busiest = max(sum(start <= at < start + MINUTE for at in made) for start in made)
    assert busiest == CALLS_A_MINUTE
    assert len(made) >= 0.95 * CALLS_A_MINUTE * 5


def test_at_most_four_calls_are_in_flight() -> None:
    assert Budget().allowed(NOON) == CALLS_AT_ONCE


def test_a_full_minute_frees_a_call_when_its_oldest_is_sixty_seconds_old() -> None:
    budget = Budget([NOON + seconds(place) for place in range(CALLS_A_MINUTE)])
    now = NOON + seconds(58)
    assert budget.allowed(now) == 0
    assert budget.free_at(now) == NOON + MINUTE
    assert budget.allowed(NOON + MINUTE) == 1


def test_what_xero_says_is_left_counts_calls_this_lane_does_not_know_of() -> None:
    budget = Budget()
    budget.observe(Limits(minute=2, day=None), NOON)
    assert budget.allowed(NOON + seconds(1)) == 2
    budget.spend(NOON + seconds(1))
    assert budget.allowed(NOON + seconds(1)) == 1


def test_when_xero_says_nothing_is_left_it_is_asked_again_soon_not_a_minute_later() -> None:
    budget = Budget()
    budget.observe(Limits(minute=0, day=None), NOON)
    assert budget.free_at(NOON) == NOON + ASK_AGAIN
    assert budget.allowed(NOON + ASK_AGAIN) > 0


def test_a_lane_resumed_by_another_process_remembers_the_last_minute() -> None:
    calls = [NOON + seconds(place) for place in range(CALLS_A_MINUTE)]
    assert Budget.resumed(reversed(calls)).allowed(NOON + seconds(59)) == 0


def test_headers_that_are_missing_or_no_numbers_say_nothing() -> None:
    assert Limits.from_headers({}) == Limits(None, None)
    assert Limits.from_headers(
        {"X-MinLimit-Remaining": "soon", "X-DayLimit-Remaining": "9" * 5000}
    ) == Limits(None, None)
    assert Limits.from_headers({"X-MinLimit-Remaining": "57", "X-DayLimit-Remaining": "0"}) == Limits(57, 0)


def test_back_off_doubles_to_its_cap_and_never_marches_in_step() -> None:
    chance = random.Random(1)
    waits = [back_off(attempt, seconds(30), seconds(120), chance) for attempt in range(1, 40)]
    assert seconds(30) <= waits[0] <= seconds(37.5)
    assert seconds(60) <= waits[1] <= seconds(75)
    assert all(seconds(120) <= wait <= seconds(150) for wait in waits[2:])
    assert len(set(waits[2:])) > 30


def test_the_lease_outlasts_a_call_and_scaling_keeps_that_so() -> None:
    for waits in (Waits(), Waits().scaled(0.1)):
        assert waits.lease > 2 * waits.call_time_out
        assert waits.same_key + waits.call_time_out < timedelta(minutes=6)

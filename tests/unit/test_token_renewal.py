"""When tokens are renewed, and how long everything around a renewal may take."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bookkeeping.adapters.secrets import Tokens
from bookkeeping.domain.connection import Connection
from bookkeeping.use_cases.token_renewal import (
    AHEAD,
    AT_WORK,
    EVERY,
    IDLE,
    IDLE_AT_MOST,
    LIVES,
    TICK,
    RenewalResult,
    Times,
    due_at,
    is_due,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOKENS = Tokens("access", "refresh", NOON + LIVES, 7)
AT_REST = Connection("412077", "APP", "ORG", "Marlow Print Works", "connected")
WORKING = replace(AT_REST, worked_at=NOON - timedelta(hours=3))


def test_tokens_of_a_connection_at_work_are_renewed_before_they_end() -> None:
    for number in range(1000):
        working = replace(WORKING, company=f"{412000 + number}")
        assert not is_due(TOKENS, working, NOON + timedelta(minutes=1), at_once=False)
        assert is_due(TOKENS, working, NOON + LIVES - AHEAD, at_once=False)
    assert TICK < AHEAD, "a tick that comes late by a minute still comes in time"


def test_companies_that_were_renewed_together_are_soon_spread_evenly_over_the_ticks() -> None:
    chance, met = random.Random(1), Counter[int]()
    for number in range(5000):
        working, tokens = replace(WORKING, company=f"{412000 + number}"), TOKENS
        for _ in range(3):
            ticks = -((NOON - due_at(tokens, working, NOON, chance)) // TICK)
            tokens = replace(TOKENS, expires_at=NOON + ticks * TICK + LIVES)
        met[ticks % (EVERY // TICK)] += 1
    assert max(met.values()) <= 1.25 * 5000 / (EVERY / TICK)


def test_no_rhythm_of_ticks_brings_more_than_sixty_renewals_a_day() -> None:
    assert timedelta(days=1) / EVERY <= 58, "the schedule may be late, and somebody may ask in between"
    assert not EVERY % TICK, "else a company would be met later and later within its tokens' life"


def test_idle_connections_are_renewed_once_a_day_at_hours_of_their_own() -> None:
    moments = {due_at(TOKENS, AT_REST, NOON, random.Random(seed)) for seed in range(50)}
    assert len(moments) > 40
    assert all(TOKENS.expires_at + IDLE <= moment <= TOKENS.expires_at + IDLE_AT_MOST for moment in moments)
    assert all(is_due(TOKENS, AT_REST, moment, at_once=False) for moment in moments)
    assert timedelta(days=1) > LIVES + IDLE_AT_MOST
    assert timedelta(days=2) / (LIVES + IDLE) < 3


def test_who_asks_for_an_idle_connection_does_not_wait_for_its_day() -> None:
    late = NOON + LIVES
    assert is_due(TOKENS, AT_REST, late, at_once=True)
    assert not is_due(TOKENS, AT_REST, late, at_once=False)


def test_a_connection_is_idle_a_day_after_its_last_order() -> None:
    tokens = replace(TOKENS, expires_at=NOON)
    assert is_due(tokens, replace(AT_REST, worked_at=NOON - AT_WORK + TICK), NOON, at_once=False)
    assert not is_due(tokens, replace(AT_REST, worked_at=NOON - AT_WORK), NOON, at_once=False)


@pytest.mark.parametrize("times", [Times(), Times().scaled(0.1)])
def test_the_lease_outlasts_the_function_which_outlasts_a_call(times: Times) -> None:
    assert times.lease > times.renewal + times.late_commit
    assert times.renewal > times.call_by + times.call_time_out
    assert times.begin + times.renewal < times.function
    assert times.late_commit > times.call_time_out


def test_a_lost_answer_is_asked_for_again_several_times_within_xeros_half_hour() -> None:
    times = Times()
    assert 5 * max(times.lease, 1.1 * times.late_commit, TICK) < timedelta(minutes=30)


def test_tokens_are_not_in_the_words_for_the_log() -> None:
    tokens = Tokens("access-canary", "refresh-canary", NOON, 1)
    assert "canary" not in repr(RenewalResult("412077", "renewed", tokens=tokens)) + repr(tokens)

"""The storm over pauses, quick forms. In full: `python -m tests.storms P18`."""

from __future__ import annotations

import pytest

from tests.storms.environment import Weather
from tests.storms.pauses import LOST, SLOW, caught, paused_posting_goes_on, played
from tests.storms.posting import bytes_a_call


def test_nothing_is_sent_between_pause_and_resume_and_everything_after() -> None:
    report = played("quick 2", 90, 5, 240)
    assert report.clean, report


@pytest.mark.parametrize("weather", [LOST, SLOW], ids=["lost", "slow"])
def test_nor_where_a_turn_makes_many_calls_that_get_lost_or_take_long(weather: Weather) -> None:
    with bytes_a_call(1):
        report = played("calls", 40, 3, 240, weather)
    assert report.clean, report


def test_a_storm_catches_a_mutant() -> None:
    assert caught(paused_posting_goes_on, seeds=8)

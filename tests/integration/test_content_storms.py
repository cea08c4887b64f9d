"""The storms over what documents hold, quick forms. In full: `python -m tests.storms P2 P3 P4 P17`."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.storms.auditor import Report
from tests.storms.contents import (
    FLIPPED,
    FLIPPED_FAST,
    TRIALS,
    Watched,
    edited_in_xero,
    lost_and_again,
    same_order_again,
)
from tests.storms.environment import F1, Weather
from tests.storms.mutants import Trial, caught
from tests.storms.posting import LAGGING


class Met(Counter[str]):
    """What a storm met."""

    def __call__(self, environment: Watched, _: Report) -> None:
        self.update(environment.met)


@pytest.fixture
def met() -> Met:
    return Met()


def test_lost_wake_ups_and_messages_that_come_again_after_30_days_cost_nothing(met: Met) -> None:
    report = lost_and_again("quick", orders=150, companies=8, look=met)
    assert report.clean, f"{report}"
    assert met["wake-up lost"]


@pytest.mark.parametrize("weather", [LAGGING, F1], ids=["indexes lag", "storm"])
def test_other_content_of_an_order_counts_until_it_is_sent_and_is_shown_from_then_on(
    weather: Weather, met: Met
) -> None:
    report = same_order_again("quick", weather, pairs=60, sequences=24, look=met)
    assert report.clean, f"{report}"
    assert met["content replaced before it was sent"] > 4
    assert met["change shown"] > 4


def test_what_a_person_edits_in_xero_between_our_attempts_stays_as_it_is(met: Met) -> None:
    report = edited_in_xero("quick", orders=60, companies=10, look=met)
    assert report.clean, f"{report}"
    assert met["edited between attempts"] > 8


def test_documents_match_the_settings_of_the_moment_their_order_became_due(met: Met) -> None:
    report = FLIPPED_FAST("quick", look=met)
    assert report.clean, f"{report}"
    assert met["settings saved"] >= 100


def test_orders_that_a_setting_stopped_are_freed_by_the_next(met: Met) -> None:
    report = FLIPPED("quick", look=met)
    assert report.clean, f"{report}"
    assert met["order freed"] > 9


# the storms in full try all mutants
@pytest.mark.parametrize("trial", [TRIALS["P2"][0], TRIALS["P3"][0]], ids=lambda trial: trial.name)
def test_a_storm_catches_the_mutant(trial: Trial) -> None:
    seed, _ = caught(trial, seeds=6)
    assert seed, f"no storm caught {trial.name}"

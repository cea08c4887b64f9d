"""The storm over pauses, quick forms. In full: `python -m tests.storms P18`."""

from __future__ import annotations

import pytest

from tests.storms.pauses import LOST, MUTANTS, Mutant, caught, played


@pytest.mark.parametrize("seed", range(1, 4))
def test_nothing_is_sent_between_pause_and_resume_and_everything_after(seed: int) -> None:
    report = played(f"quick {seed}", 90, 5, 240)
    assert report.clean, report


def test_nor_where_many_calls_get_lost() -> None:
    report = played("lost", 40, 3, 240, LOST)
    assert report.clean, report


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_storm_catches_the_mutant(mutant: Mutant) -> None:
    assert caught(mutant, seeds=8)

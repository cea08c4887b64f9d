"""The storms over corrections, quick forms. In full, with a control for each mutant: `python -m tests.storms P23`."""

from __future__ import annotations

import random

import pytest

from tests.storms.corrections import EDITED_SMALL, F1, F2, SMALL, Storm, run, single_faults, with_perils
from tests.storms.corrections_mutants import TRIALS, Trial, caught
from tests.storms.posting import some_of


def ends_well(storm: Storm) -> None:
    report = run(storm)
    assert report.clean, f"{storm}: {report}"


@pytest.mark.parametrize("storm", [SMALL, EDITED_SMALL], ids=["undisturbed", "edited"])
def test_no_single_fault_corrects_twice_or_overwrites_or_forgets(storm: Storm) -> None:
    faults = single_faults(storm)
    assert len(faults) > 1500
    for fault in random.Random("singles").sample(faults, 5):
        ends_well(with_perils(storm, fault))


def test_nor_do_several_at_once() -> None:
    faults = single_faults(EDITED_SMALL)
    ends_well(with_perils(EDITED_SMALL, *some_of(faults, random.Random("several"))))


@pytest.mark.parametrize(
    "storm",
    [
        Storm("quick 1", F1, orders=40, posted_first=False),
        Storm("quick 2", F2, orders=30),
    ],
    ids=["F1", "F2"],
)
def test_cancelled_orders_leave_the_books_once_in_a_storm_and_no_edit_is_lost(storm: Storm) -> None:
    ends_well(storm)


# the storms in full try all mutants
@pytest.mark.parametrize("trial", TRIALS[:1], ids=lambda trial: trial.name)
def test_a_storm_catches_the_mutant(trial: Trial) -> None:
    seed, _ = caught(trial, seeds=6)
    assert seed, f"no storm caught {trial.name}"

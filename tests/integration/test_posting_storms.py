"""The storms over posting, quick forms. In full, and with a control for each mutant: `python -m tests.storms P1`."""

from __future__ import annotations

import random

import pytest

from tests.storms.environment import F1, F2, Weather
from tests.storms.mutants import TRIALS, Trial, caught
from tests.storms.posting import FOUR_OUT, Storm, run, single_faults, some_of, with_perils

LAG = Weather(lag=10)
SMALL = Storm("1", LAG)


def ends_well(storm: Storm) -> None:
    report = run(storm)
    assert report.clean, f"{storm}: {report}"


def test_no_single_fault_loses_doubles_or_forgets_an_order() -> None:
    faults = single_faults(SMALL)
    assert len(faults) > 1000
    for fault in random.Random("singles").sample(faults, 20):
        ends_well(with_perils(SMALL, fault))


def test_nor_does_one_while_four_calls_are_out() -> None:
    faults = single_faults(FOUR_OUT)
    assert len(faults) > 400
    for fault in random.Random("four out").sample(faults, 20):
        ends_well(with_perils(FOUR_OUT, fault))


def test_nor_do_several_at_once() -> None:
    chance = random.Random("pairs")
    faults = single_faults(SMALL)
    for _ in range(10):
        ends_well(with_perils(SMALL, *some_of(faults, chance)))


def test_a_storm_of_everything_at_once_ends_with_every_order_in_the_books_or_stopped() -> None:
    ends_well(Storm("quick 1", F1, orders=150, companies=6, seconds=300))


def test_a_heavier_one_ends_so_as_well() -> None:
    ends_well(Storm("quick", F2, orders=60, companies=4, seconds=300))


def test_one_seed_is_one_run() -> None:
    storm = Storm("again", F1, orders=30, companies=3, seconds=120)
    traces: list[list[str]] = []
    for _ in range(2):
        run(storm, lambda environment: traces.append(list(environment.trace or ())), trace=True)
    assert traces[0] == traces[1]


QUICK = ("acknowledged_before_the_row", "no_batch_record", "no_reconcile")
"""Mutants of what every order needs; the storms in full try all."""


@pytest.mark.parametrize(
    "trial", [trial for trial in TRIALS if trial.name in QUICK], ids=lambda trial: trial.name
)
def test_a_storm_catches_the_mutant(trial: Trial) -> None:
    seed, _ = caught(trial, seeds=6)
    assert seed, f"no storm caught {trial.name}"

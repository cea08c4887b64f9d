"""The storm over who the debtor is, quick forms. In full: `python -m tests.storms P21`."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.storms.contacts import TRIALS, contacts_change
from tests.storms.mutants import Trial, caught


def test_whatever_happens_to_contacts_the_debtor_is_the_one_that_bears_the_name() -> None:
    met: Counter[str] = Counter()
    report = contacts_change(
        "quick", orders=300, companies=5, hours=4, look=lambda environment, _: met.update(environment.met)
    )
    assert report.clean, f"{report}"
    assert met["contact changed"] > 20
    assert met["document for another contact"]


@pytest.mark.parametrize("trial", TRIALS[:1], ids=lambda trial: trial.name)
def test_a_storm_catches_the_mutant(trial: Trial) -> None:
    seed, _ = caught(trial, seeds=6)
    assert seed, f"no storm caught {trial.name}"

"""The storm over what orders are taxed at, quick forms. In full: `python -m tests.storms P15`."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.storms.mutants import Trial, caught
from tests.storms.taxes import TRIALS, taxed


def test_whatever_happens_to_rates_a_document_is_taxed_as_the_order_says_or_the_order_shows_it() -> None:
    met: Counter[str] = Counter()
    report = taxed(
        "quick", orders=300, companies=12, hours=1, look=lambda environment, _: met.update(environment.met)
    )
    assert report.clean, f"{report}"
    assert met["compared"] > 150
    assert met["rate edited"] == 6
    assert met["difference shown"]
    assert met["stopped for tax_type_differs"]


@pytest.mark.parametrize("trial", TRIALS[:1], ids=lambda trial: trial.name)
def test_a_storm_catches_the_mutant(trial: Trial) -> None:
    seed, _ = caught(trial, seeds=6)
    assert seed, f"no storm caught {trial.name}"

"""The storm over who the debtor is, a quick form. In full, with mutants: `python -m tests.storms P21`."""

from __future__ import annotations

from collections import Counter

from tests.storms.contacts import contacts_change


def test_whatever_happens_to_contacts_the_debtor_is_the_one_that_bears_the_name() -> None:
    met: Counter[str] = Counter()
    report = contacts_change(
        "quick", orders=200, companies=5, hours=4, look=lambda environment, _: met.update(environment.met)
    )
    assert report.clean, f"{report}"
    assert met["contact changed"] > 20
    assert met["document for another contact"]

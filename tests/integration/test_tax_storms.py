"""The storm over what orders are taxed at, a quick form. In full, with mutants: `python -m tests.storms P15`."""

from __future__ import annotations

from collections import Counter

from tests.storms.taxes import taxed


def test_whatever_happens_to_rates_a_document_is_taxed_as_the_order_says_or_the_order_shows_it() -> None:
    met: Counter[str] = Counter()
    report = taxed(
        "quick", orders=200, companies=12, hours=1, look=lambda environment, _: met.update(environment.met)
    )
    assert report.clean, f"{report}"
    assert met["compared"] > 100
    assert met["rate edited"] == 6
    assert met["difference shown"]
    assert met["stopped for tax_type_differs"]

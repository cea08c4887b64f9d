"""What an order is taxed at stays right in the books while people edit tax rates in Xero."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bookkeeping.domain.ledger import Entry, State
from tests.integration.test_contacts import Books, books

__all__ = ["books"]

CONTACT = "Kornit X Sales"
ROWS = [{"rate": "20", "tax_type": "OUTPUT2"}, {"rate": "0", "tax_type": "ZERORATEDOUTPUT"}]


def stopped(entry: Entry) -> tuple[str, str]:
    assert entry.state is State.NEEDS_ATTENTION
    assert entry.problem is not None
    return entry.problem.code, entry.problem.sentence


@pytest.mark.parametrize("line_amounts", ["inclusive", "exclusive"])
@pytest.mark.parametrize(
    ("settings", "then"), [({"tax_types": ROWS}, "tax_type_differs"), ({}, "no_tax_type")]
)
def test_a_rate_edited_in_xero_shows_on_the_first_batch_and_stops_the_next(
    books: Books, settings: dict[str, Any], then: str, line_amounts: str
) -> None:
    books.company(CONTACT, line_amounts=line_amounts, **settings)
    books.post()
    books.organisation.tax_rates["OUTPUT2"].effective = Decimal(21)
    shown = {stopped(entry)[0] for entry in books.post(3)}
    assert shown == {"posted_tax_differs" if line_amounts == "inclusive" else "posted_total_differs"}
    documents = len(books.organisation.documents)
    assert {stopped(entry)[0] for entry in books.post(3)} == {then}
    assert len(books.organisation.documents) == documents


def test_an_edited_rate_is_said_with_the_tax_type_its_percentage_and_both_taxes(books: Books) -> None:
    books.company(CONTACT, line_amounts="inclusive")
    books.post()
    books.organisation.tax_rates["OUTPUT2"].effective = Decimal(21)
    (entry,) = books.post()
    code, sentence = stopped(entry)
    assert code == "posted_tax_differs"
    lines = [line for line in books.invoice(entry).lines if line.tax_type == "OUTPUT2"]
    xeros = sum(line.tax_amount for line in lines)
    orders = sum(round(line.line_amount / 6, 2) for line in lines)
    assert 0 < orders < xeros
    assert f"{orders} with 20% (VAT on Income) (OUTPUT2, 20 %) by the order, and {xeros} in Xero" in sentence


def test_the_facts_are_read_once_for_a_rate_that_was_edited(books: Books) -> None:
    books.company(CONTACT, line_amounts="inclusive")
    books.post()
    before = len(books.world.calls("GET", "TaxRates"))
    books.organisation.tax_rates["OUTPUT2"].effective = Decimal(21)
    books.post()
    books.post()
    books.post()
    # once for the edited rate, and once because an order waits for the rate to be put right
    assert len(books.world.calls("GET", "TaxRates")) - before == 2


# --- registering for tax, and ending it


def test_an_organisation_that_registers_for_tax_is_billed_with_tax_within_the_hour(books: Books) -> None:
    books.organisation.pays_tax = False
    books.company(CONTACT, tax_types=ROWS)
    (untaxed,) = books.post()
    assert books.invoice(untaxed).line_amount_types == "NoTax"
    books.organisation.pays_tax = True
    books.later()
    (taxed,) = books.post()
    assert taxed.state is State.POSTED
    assert books.invoice(taxed).line_amount_types != "NoTax"
    assert books.invoice(taxed).total_tax > 0


def test_an_order_with_tax_that_is_billed_without_says_why(books: Books) -> None:
    books.organisation.pays_tax = False
    books.company(CONTACT, tax_types=ROWS)
    books.post()
    # Xero takes a document without tax, and its answer does not tell that tax is due by now
    books.organisation.pays_tax = True
    (entry,) = books.post()
    assert entry.documents["invoice"].notes == (
        "Billed without tax: when Xero was last asked, Demo Company (UK) was not registered for tax.",
    )


def test_an_organisation_that_ends_its_registration_is_billed_without_tax(books: Books) -> None:
    books.company(CONTACT, tax_types=ROWS)
    books.post()
    books.organisation.pays_tax = False
    for entry in books.post(2):
        assert entry.state is State.POSTED
        assert books.invoice(entry).line_amount_types == "NoTax"

"""What the demonstration prints: every order counted once, and of those that are alike one."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from local.after_posting import Story
from local.audit import Row
from local.companies import Company
from local.demo import NOBODYS, show, show_addresses, show_counts, show_matches, show_stories
from local.samples import TRACKED, UNTRACKED, Sample

COMPANIES = {
    ref_id: Company(ref_id, f"org-{ref_id}", f"Company {ref_id}", "Sales", f"http://xero/{ref_id}")
    for ref_id in (UNTRACKED, TRACKED)
}
POSTED_AT = datetime(2026, 11, 20, 10, 5, 7, tzinfo=UTC)
READ_AT = datetime(2026, 11, 20, 10, 6, 8, tzinfo=UTC)
SAMPLES = [
    Sample("plain", UNTRACKED, "1", ("{}",), invoice=Decimal(5)),
    Sample("plain", UNTRACKED, "2", ("{}",), invoice=Decimal(5)),
    Sample("plain", TRACKED, "3", ("{}",), invoice=Decimal(5)),
    Sample("cancelled", UNTRACKED, "4", ("{}",), ends="skipped cancelled"),
    Sample("of no company here", "999001", "5", ("{}",), ends="no company"),
]
STORY = Story("Voided in Xero by a person.", Sample("voided", UNTRACKED, "6", ("{}",)), differs="voided")


def row(company: str, order_id: str, state: str = "posted", **document: Any) -> Row:
    invoice: dict[str, Any] = {
        "id": f"id-{order_id}",
        "number": f"KX-{order_id}",
        "total": "5.00",
        "currency": "GBP",
    }
    invoice |= {"stands": "approved", "at": POSTED_AT, "read_at": None, **document}
    documents = {"invoice": invoice} if state == "posted" else {}
    sentence = "" if state == "posted" else "The order is cancelled."
    return Row(company, order_id, state, "", sentence, f"KX-{order_id}", documents, changed=False)


ROWS = {
    (one.company, one.order_id): one
    for one in (
        row(UNTRACKED, "1"),
        row(UNTRACKED, "2"),
        row(TRACKED, "3"),
        row(UNTRACKED, "4", "skipped"),
        row(UNTRACKED, "6"),
    )
}


def test_one_order_of_each_kind_and_company_is_shown_with_how_many_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(SAMPLES, ROWS, COMPANIES, every=False)
    said = capsys.readouterr().out
    assert "POSTED: 3 of the first 5 orders. One of each kind" in said
    assert f"order 1 of company {UNTRACKED}: plain, one of 2" in said
    assert f"http://xero/{UNTRACKED}/document/id-1" in said
    assert "order 2 " not in said
    assert f"order 3 of company {TRACKED}: plain\n" in said


def test_all_orders_are_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    show(SAMPLES, ROWS, COMPANIES, every=True)
    said = capsys.readouterr().out
    assert [f"order {sample.order_id} of company" in said for sample in SAMPLES] == [True] * len(SAMPLES)
    assert "One of each" not in said


def test_what_is_skipped_or_of_no_company_is_named_with_its_order(capsys: pytest.CaptureFixture[str]) -> None:
    show(SAMPLES, ROWS, COMPANIES, every=False)
    said = capsys.readouterr().out
    assert f"order 4 of company {UNTRACKED}: cancelled\n      The order is cancelled." in said
    assert "order 5 of company 999001: of no company here\n      Nobody has set that company up:" in said


def test_every_order_is_counted_once(capsys: pytest.CaptureFixture[str]) -> None:
    show_counts(SAMPLES, [STORY], ROWS)
    said = capsys.readouterr().out.split("\n")
    assert said[1].startswith("ALL 6 ORDERS: the first 5, and 1 more")
    counts = {words: int(number) for number, words in (line.strip().split(" ", 1) for line in said[2:5])}
    assert counts == {"posted": 4, "skipped": 1, "in no ledger, as nobody has set their company up": 1}


def test_where_a_document_stood_is_said_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    show_stories([STORY], ROWS, COMPANIES)
    assert "KX-6: approved, as of its posting at 10:05:07 UTC" in capsys.readouterr().out
    read = {(UNTRACKED, "6"): row(UNTRACKED, "6", stands="voided", read_at=READ_AT)}
    show_stories([STORY], read, COMPANIES)
    assert "KX-6: voided, as read in Xero at 10:06:08 UTC" in capsys.readouterr().out


def test_an_invoice_that_is_credited_in_part_has_the_same_words_everywhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_stories([STORY], {(UNTRACKED, "6"): row(UNTRACKED, "6", stands="part_credited")}, COMPANIES)
    sums = {"count": 1, "words": "Invoice", "stands": "Part paid", "in_accounts": True}
    sums |= {"net": "4.00", "tax": "1.00", "currency": "GBP"}
    show_matches({UNTRACKED: {"calls": 1, "sums": [sums], "differences": []}}, [], COMPANIES)
    assert capsys.readouterr().out.count("paid or credited in part") == 2


def test_the_popups_of_all_three_companies_are_linked(capsys: pytest.CaptureFixture[str]) -> None:
    show_addresses(
        {
            "launch_url": "http://page/launch/",
            "platform_url": "http://page",
            "mails_url": "http://page/mails",
        },
        COMPANIES,
    )
    said = capsys.readouterr().out
    assert [said.count(f"http://page/launch/{company}  ") for company in (UNTRACKED, TRACKED, NOBODYS)] == [
        1,
        1,
        1,
    ]

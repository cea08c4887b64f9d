"""The rules of the book match: numbers, standings, and what differs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from bookkeeping.domain import book_match
from bookkeeping.domain.book_match import (
    STANDINGS,
    Code,
    Difference,
    Expected,
    Listed,
    Standing,
    Wanted,
    compared,
    in_words,
    numbered,
    wanted_lists,
)
from bookkeeping.domain.ledger import Posted
from bookkeeping.domain.texts import check_value
from bookkeeping.use_cases.posting.book_match import next_night

AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
POSTED = Posted(
    "id",
    "KX-5",
    "SUBMITTED",
    "12.00",
    "GBP",
    AT,
    tax="2.00",
    dated_on="2026-11-23",
    contact_check=check_value("contact"),
    lines_check="0a1b2c3d",
)
LISTED = Listed(
    kind="invoice",
    id="id",
    number="KX-5",
    status="SUBMITTED",
    currency="GBP",
    dated_on="2026-11-23",
    contact_id="contact",
    net=Decimal("10.00"),
    tax=Decimal("2.00"),
    total=Decimal("12.00"),
    lines_check="0a1b2c3d",
)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"number": "KX-6"}, "number"),
        ({"status": "DRAFT"}, "status"),
        ({"currency": "EUR"}, "currency"),
        ({"dated_on": "2026-11-24"}, "date"),
        ({"contact_id": "another"}, "contact"),
        ({"net": Decimal("9.00")}, "net"),
        ({"tax": Decimal("1.99")}, "tax"),
        ({"total": Decimal("12.01")}, "total"),
        ({"lines_check": "ffffffff"}, "lines"),
    ],
)
def test_each_field_that_differs_is_named(changes: dict[str, Any], field: str) -> None:
    difference = compared(Expected("invoice", POSTED), replace(LISTED, **changes))
    assert difference is not None
    assert [name for name, *_ in difference.changes] == [field]


@pytest.mark.parametrize("status", ["SUBMITTED", "AUTHORISED", "PAID", "BILLED", "A NEW ONE"])
def test_a_status_that_is_no_lower_is_no_difference(status: str) -> None:
    assert compared(Expected("invoice", POSTED), replace(LISTED, status=status)) is None


def test_what_an_older_version_did_not_keep_is_not_compared() -> None:
    older = replace(POSTED, tax="", dated_on="", contact_check="", lines_check="")
    changed = replace(
        LISTED, dated_on="2026-01-01", contact_id="x", net=Decimal(1), tax=Decimal(11), lines_check="ffffffff"
    )
    assert compared(Expected("invoice", older), changed) is None
    silent = replace(LISTED, dated_on="", contact_id="", net=None, tax=None, total=None, lines_check="")
    assert compared(Expected("invoice", POSTED), silent) is None


@pytest.mark.parametrize("status", ["VOIDED", "DELETED"])
def test_a_document_that_we_took_out_ourselves_may_be_gone(status: str) -> None:
    gone = replace(LISTED, status=status)
    assert compared(Expected("invoice", POSTED, gone=True), gone) is None
    difference = compared(Expected("invoice", POSTED), gone)
    assert difference is not None
    assert difference.code == status.lower()


@pytest.mark.parametrize(
    ("number", "order_id", "prefix"),
    [
        ("KX-5", "5", "KX-"),
        ("kx-5", "5", "KX-"),
        ("KX-5-2", "5", "KX-"),
        ("KX-5-CN2", "5", "KX-"),
        ("KX-5 copy", "5", "KX-"),
        ("KX-A-17", "17", "KX-A-"),
        ("KX-A", "", "KX-"),
        ("KX-0005", "", "KX-"),
    ],
)
def test_a_number_names_its_company_and_order(number: str, order_id: str, prefix: str) -> None:
    found = numbered(number, {"KX-": "1", "KX-A-": "2"})
    assert found is not None
    assert (found.order_id, found.prefix) == (order_id, prefix)


@pytest.mark.parametrize("number", ["", "INV-5", "5", "XKX-5"])
def test_a_number_without_a_prefix_of_ours_is_nobody_s(number: str) -> None:
    assert numbered(number, {"KX-": "1"}) is None


@pytest.mark.parametrize(
    ("changes", "standing"),
    [
        ({"status": "DRAFT"}, "draft"),
        ({"status": "SUBMITTED"}, "submitted"),
        ({"status": "AUTHORISED"}, "approved"),
        ({"status": "AUTHORISED", "paid": Decimal(1)}, "part_paid"),
        ({"status": "AUTHORISED", "credited": Decimal(1)}, "part_paid"),
        ({"status": "PAID", "paid": Decimal("12.00")}, "paid"),
        ({"status": "PAID", "credited": Decimal("12.00")}, "credited"),
        ({"status": "BILLED"}, "billed"),
        ({"status": "VOIDED"}, "voided"),
        ({"status": "DELETED"}, "deleted"),
        ({"status": "A NEW ONE"}, "unknown"),
    ],
)
def test_where_a_document_stands(changes: dict[str, Any], standing: Standing) -> None:
    assert replace(LISTED, **changes).standing == standing
    assert STANDINGS[standing]


@pytest.mark.parametrize("code", get_args(Code))
def test_every_difference_has_words_and_a_fix(code: Code) -> None:
    difference = Difference(code, "invoice", "id", "KX-5", "5", (("tax", "2.00", "0.00"),), "KX-4")
    sentence, fix = in_words(difference)
    assert "KX-5" in sentence
    assert sentence.endswith(".")
    assert fix.endswith(".")
    assert Difference.from_json(difference.to_json()) == difference


def test_a_match_in_full_lists_year_by_year() -> None:
    lists = wanted_lists(date(2024, 1, 1), date(2026, 11, 23), None, in_full=True)
    assert [one for one in lists if one.kind == "invoice"] == [
        Wanted("invoice", "2024-01-01", "2024-12-30"),
        Wanted("invoice", "2024-12-31", "2025-12-30"),
        Wanted("invoice", "2025-12-31"),
    ]
    assert {one.kind for one in lists} == set(book_match.KINDS)


@pytest.mark.parametrize("zone", ["Europe/London", "Pacific/Auckland", "America/New_York", "UTC"])
def test_the_next_night_begins_between_one_and_five_there(zone: str) -> None:

    for hour in range(24):
        now = AT.replace(hour=hour)
        at = next_night("lane", now, zone)
        assert now < at
        assert (at - now).total_seconds() <= 25 * 3600
        assert at.astimezone(ZoneInfo(zone)).hour in (1, 2, 3, 4)

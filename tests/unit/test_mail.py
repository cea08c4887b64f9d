"""What a mail says, and when it is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bookkeeping.domain.mail import (
    IN_GENERAL,
    OURS,
    Address,
    MailWaits,
    Report,
    StandingOrder,
    counted,
    differences,
    general_fix,
    group,
    news_at,
    status_words,
)
from bookkeeping.domain.problems.catalogue import CATALOGUE
from bookkeeping.domain.problems.problem import Problem

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
WAITS = MailWaits()
MINUTE = timedelta(minutes=1)


def details(value: str) -> dict[str, str]:
    names = {
        "line",
        "item",
        "contact",
        "xero_value",
        "value",
        "number",
        "key",
        "ref",
        "organisation",
        "advice",
    }
    return dict.fromkeys(names | IN_GENERAL.keys() | OURS, value)


@pytest.mark.parametrize("code", CATALOGUE)
def test_no_fix_in_a_mail_repeats_what_may_be_a_text_of_the_order(code: str) -> None:
    of_order = {name: "Edith" for name in details("") if name not in OURS}
    fix = general_fix(Problem(code, {**details("ours"), **of_order}))
    assert "Edith" not in fix
    assert "(not known)" not in fix
    assert " below" not in fix
    # nor where nothing is known of the order
    assert "(not known)" not in general_fix(Problem(code))


def test_a_group_names_some_orders_and_counts_all() -> None:
    standing = [StandingOrder(str(place), "contact_archived", NOW) for place in range(7)]
    known = {"3": Problem("contact_archived", {"label": "Contact name", "contact": "Edith"})}
    found = group("contact_archived", standing, known, {"0": "WEB-0"}, or_more=False)
    assert (found.count, found.orders, found.more) == ("7 orders", ("0 (WEB-0)", "1", "2", "3", "4"), True)
    assert "“Contact name”" in found.fix
    single = group("contact_archived", standing[:1], {}, {}, or_more=False)
    assert (single.count, single.one, single.more) == ("1 order", True, False)
    assert counted(1000, or_more=True) == "more than 1,000 orders"


def test_the_subject_says_the_worst() -> None:
    everything = Report(orders="9 orders", connection=("It is lost.", "Connect."), differs="3 differences")
    assert everything.subject == "Xero: the connection is lost, orders wait"
    assert Report(orders="1 order", differs="3 differences").subject == "Xero: 1 order needs attention"
    assert Report(differs="3 differences").subject == "Xero: the books and the orders differ"
    assert (
        differences(1, 0)
        == "There is 1 difference between Xero and what was posted; 0 are new since the last match."
    )


@pytest.mark.parametrize(
    ("since", "covered", "begun", "due"),
    [
        # minutes ago; the answer in minutes from now
        ([4], None, None, 0),
        ([9, 1], None, None, 0),
        ([1], None, None, 3),
        ([], None, None, None),
        ([10], 5, 4, None),
        ([10, 3], 5, 4, 56),
        ([90, 30], 61, 60, 0),
        ([90], None, 30, 30),
    ],
)
def test_when_news_are_due(since: list[int], covered: int | None, begun: int | None, due: int | None) -> None:
    def ago(minutes: int | None) -> datetime | None:
        return None if minutes is None else NOW - minutes * MINUTE

    address = Address("1", "a@example.com", "confirmed", begun_at=ago(begun), covered_to=ago(covered))
    at = news_at([NOW - minutes * MINUTE for minutes in since], address, NOW, WAITS)
    assert at == (None if due is None else NOW + due * MINUTE)


def test_a_status_of_a_newer_version_is_said_to_be_one() -> None:
    newer = Address("1", "a@example.com", "asleep")  # type: ignore[arg-type]
    assert "newer version" in status_words(newer)[0]

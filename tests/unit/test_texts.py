"""Every text that is kept has a bound, so that no row outgrows the 400 KB that a table takes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bookkeeping.adapters.tables import orders
from bookkeeping.adapters.tables.orders import entry_to_item
from bookkeeping.domain import ledger
from bookkeeping.domain.ledger import ROOM, Act, Books, Entry, Message, Posted, State, weight
from bookkeeping.domain.problems.catalogue import CATALOGUE
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.settings import Settings
from bookkeeping.domain.texts import within

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
LONG = "🧾 Ünbekannt " * 50_000
A_ROW = 400 * 1024


def size(value: Any) -> int:
    """About what DynamoDB counts."""
    if isinstance(value, dict):
        return 3 + sum(len(key) + 1 + size(inner) for key, inner in value.items())
    if isinstance(value, list):
        return 3 + sum(1 + size(inner) for inner in value)
    if isinstance(value, bytes):
        return len(value)
    return len(value.encode()) if isinstance(value, str) else 21


@pytest.mark.parametrize(
    ("text", "at_most", "kept"),
    [
        ("", 3, ""),
        ("abc", 3, "abc"),
        ("abcd", 3, "…"),
        ("abcdefgh", 7, "abcd…"),
        ("ÄÖÜ", 6, "ÄÖÜ"),
        ("ÄÖÜß", 7, "ÄÖ…"),
        ("🧾🧾", 7, "🧾…"),
        ("half \ud83e", 20, "half ?"),
    ],
)
def test_a_text_is_cut_between_characters(text: str, at_most: int, kept: str) -> None:
    assert within(text, at_most) == kept
    assert len(within(text, at_most).encode()) <= max(at_most, 3)


def test_the_longest_entry_fits_into_a_row_and_its_weight_is_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # as if nothing of it could be compressed
    monkeypatch.setattr(orders, "packed", str.encode)
    longest = max(CATALOGUE.values(), key=lambda kind: kind.sentence.count("{") + kind.fix.count("{"))
    names = [part.partition("}")[0] for part in f"{longest.sentence}{longest.fix}".split("{")[1:]]
    problem = Problem(longest.code, dict.fromkeys(names, LONG), (LONG,) * 900)
    posted = Posted(LONG, LONG, LONG, LONG, LONG, at=NOW, notes=(LONG,) * 900)
    entry = Entry(
        "1" * 19,
        "1" * 19,
        State.NEEDS_ATTENTION,
        Message(1, content=json.dumps({"external_ref": "x" * (ROOM - 1020)})),
        NOW,
        NOW,
        problem=problem,
        documents={"invoice": posted, "purchase_order": posted},
        newer=Message(2, content="y" * 1000),
        changes=("z" * (2 * ledger.LONGEST_WORD + 60),) * 20,
        history=(Act("Ann", "retry", NOW),) * ledger.MOST_ACTS,
    )
    row = size(entry_to_item(entry))
    assert row < A_ROW
    assert row - 12_000 < weight(entry) < row + 12_000


def test_what_people_did_is_kept_for_the_last_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "decide", lambda entry, *_: entry)
    books = Books("1", Settings(contact_name="x"), 1, None)
    entry = Entry("1", "1", State.NEEDS_ATTENTION, Message(1), NOW, NOW)
    for place in range(2 * ledger.MOST_ACTS):
        freed = ledger.retry(entry, books, f"{place} {LONG}", NOW)
        assert freed is not None
        entry = freed
    assert len(entry.history) == ledger.MOST_ACTS
    assert entry.history[-1].by.startswith(f"{2 * ledger.MOST_ACTS - 1} ")
    assert max(len(act.by.encode()) for act in entry.history) <= ledger.LONGEST_FIELD

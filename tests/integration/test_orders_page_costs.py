"""What the Orders page asks of the store: no more with many orders than with few, and side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from bookkeeping.domain.ledger import State
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.use_cases.page.orders import MOST_ROWS, PAGE, Asked
from bookkeeping.use_cases.page.orders import orders as page_of_orders
from local.samples import UNTRACKED
from tests.integration.counted import Counted


class Page:
    """The Orders page over a ledger of posted orders, and what it asks of the store."""

    def __init__(self, ledger: int, stopped: Mapping[str, int] | None = None) -> None:
        self.environment = Counted("the page")
        self.calls: Counter[str] = Counter()
        self.units = 0.0
        self.side_by_side: list[int] = []
        self.environment.fill(UNTRACKED, ledger)
        for code, orders in (stopped or {}).items():
            self.environment.fill(UNTRACKED, orders, Problem(code, {"contact": "Kornit X orders"}))
        self.environment.store.spend = self._spend

    def _spend(self, kind: str, where: str, units: float) -> None:
        self.calls[where] += 1
        self.units += units

    def _together(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        self.side_by_side += [len(calls)] if calls else []
        return [call() for call in calls]

    def ask(self, **asked: Any) -> dict[str, Any]:
        adapters = replace(self.environment.page, together=self._together)
        return page_of_orders(adapters, UNTRACKED, Asked(**asked))


def test_a_search_by_the_sales_channels_reference_costs_the_same_however_many_orders_there_are() -> None:
    few, many = Page(500), Page(5_000)
    for search in ("WEB-000100", "web-0001", "WEB-", "none"):
        shown = [page.ask(search=search)["orders"] for page in (few, many)]
        assert few.calls == many.calls
        assert few.units == many.units
        for orders in shown:
            references = [f"WEB-{int(order['id']) - 10_000_000:06}" for order in orders]
            assert all(reference.startswith(search.upper()) for reference in references)
            assert bool(references) == (search != "none")


def test_a_search_by_the_sales_channels_reference_goes_on_over_pages() -> None:
    page, found, cursor = Page(500), list[str](), ""
    while True:
        answer = page.ask(search="WEB-0001", cursor=cursor)
        found += [f"WEB-{int(order['id']) - 10_000_000:06}" for order in answer["orders"]]
        cursor = answer["cursor"] or ""
        if not cursor:
            break
    there = [f"WEB-{number:06}" for number in range(500)]
    assert sorted(found) == sorted(one for one in there if one.startswith("WEB-0001"))


@pytest.fixture(scope="module")
def pages() -> tuple[Page, Page]:
    """A ledger of more orders than are looked at for two pages, and a larger one."""
    return Page(1_100, {"contact_archived": 1_100}), Page(4_000, {"contact_archived": 4_000})


DAY = date(2026, 10, 1)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"rows": MOST_ROWS},
        {"state": State.POSTED, "first_day": DAY, "last_day": DAY},
        {"state": State.POSTED, "last_day": date(2020, 1, 1), "dates": "received"},
        {"state": State.POSTED, "last_day": date(2020, 1, 1), "dates": "sold"},
        {"why": "contact_archived"},
        {"search": "no such order"},
    ],
    ids=str,
)
def test_a_list_and_each_part_of_a_file_cost_the_same_however_many_orders_there_are(
    pages: tuple[Page, Page], asked: dict[str, Any]
) -> None:
    spent: list[Counter[str]] = []
    for page in pages:
        page.calls.clear()
        cursor = page.ask(**asked)["cursor"] or ""
        if cursor:
            page.ask(**asked, cursor=cursor)
        spent.append(page.calls.copy())
    assert spent[0] == spent[1]
    assert sum(spent[0].values()) <= 45, "two pages"


def test_problems_are_gathered_with_one_more_call_however_many_there_are() -> None:
    page = Page(PAGE, {"contact_archived": 60, "currency_not_enabled": 900})
    gathered = page.ask()["gathered"]
    assert [(one["count"], one["problem"]["code"]) for one in gathered] == [
        (900, "currency_not_enabled"),
        (60, "contact_archived"),
    ]
    assert sum(page.calls.values()) == 15 + 2


def test_the_parts_of_a_file_have_every_order_once_in_either_order() -> None:
    page = Page(600, {"contact_archived": 10})
    for oldest_first in (False, True):
        found, cursor = list[str](), ""
        while True:
            answer = page.ask(rows=MOST_ROWS, cursor=cursor, oldest_first=oldest_first)
            found += [order["id"] for order in answer["orders"]]
            cursor = answer["cursor"] or ""
            if not cursor:
                break
        stopped = [str(10_000_600 + number) for number in range(10)]
        posted = [str(10_000_000 + number) for number in range(600)]
        assert found == (stopped + posted if oldest_first else stopped[::-1] + posted[::-1])


def test_the_orders_page_asks_side_by_side_for_what_does_not_depend_on_the_rest() -> None:
    page = Page(500)
    assert len(page.ask()["orders"]) == PAGE
    assert page.side_by_side == [15], (
        "the connection, seven lists, five counts, the problems, and the changes"
    )
    assert sum(page.calls.values()) == 15 + 1, "and then the rows"

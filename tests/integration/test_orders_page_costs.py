"""What the Orders page asks of the store: no more with many orders than with few, and side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bookkeeping.use_cases.page.orders import PAGE, Asked
from bookkeeping.use_cases.page.orders import orders as page_of_orders
from local.samples import UNTRACKED
from tests.integration.counted import Counted


class Page:
    """The Orders page over a ledger of posted orders, and what it asks of the store."""

    def __init__(self, ledger: int) -> None:
        self.environment = Counted("the page")
        self.calls: Counter[str] = Counter()
        self.units = 0.0
        self.side_by_side: list[int] = []
        self.environment.fill(UNTRACKED, ledger)
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


def test_the_orders_page_asks_side_by_side_for_what_does_not_depend_on_the_rest() -> None:
    page = Page(500)
    assert len(page.ask()["orders"]) == PAGE
    assert page.side_by_side == [15], (
        "the connection, seven lists, five counts, the problems, and the changes"
    )
    assert sum(page.calls.values()) == 15 + 1, "and then the rows"

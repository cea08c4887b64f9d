"""What the Orders page asks of the store: no more with many orders than with few, and side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from bookkeeping.domain.ledger import State
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.use_cases.page.order_list import COUNTED, LISTED, MOST_ROWS, PAGE, Asked
from bookkeeping.use_cases.page.order_list import orders as page_of_orders
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
    found = [f"WEB-{int(id_) - 10_000_000:06}" for id_ in shown_in_parts(Page(500), search="WEB-0001")]
    there = [f"WEB-{number:06}" for number in range(500)]
    assert sorted(found) == sorted(one for one in there if one.startswith("WEB-0001"))


MIXED: Final[tuple[tuple[int, dict[str, Any]], ...]] = (
    # of a hundred orders
    (60, {}),
    (15, {"problem": Problem("contact_archived", {"contact": "Kornit X orders"})}),
    (10, {"problem": Problem("currency_not_enabled", {"currency": "EUR"})}),
    (5, {"state": State.WAITING, "reason": "xero_offline"}),
    (4, {"state": State.POSTED, "reason": "changed"}),
    (3, {"state": State.SKIPPED, "reason": "cancelled"}),
    (2, {"state": State.SET_ASIDE}),
    (1, {"state": State.QUEUED}),
)
DAY = date(2026, 10, 1)
ASKED: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"oldest_first": True},
    {"rows": MOST_ROWS},
    *({"state": state} for state in LISTED),
    {"state": "changed"},
    {"why": "contact_archived"},
    {"why": "changed"},
    {"first_day": DAY, "last_day": DAY},
    {"first_day": DAY, "last_day": DAY, "dates": "received"},
    {"last_day": date(2020, 1, 1), "dates": "sold"},
    {"search": "no such order"},
    {"search": "WEB-0001"},
    {"search": "10000007"},
)


def spent(page: Page, **asked: Any) -> tuple[Counter[str], float, str]:
    """The calls and read units that a page takes, and the cursor of the next one."""
    page.calls.clear()
    page.units = 0
    cursor = page.ask(**asked)["cursor"] or ""
    return page.calls.copy(), page.units, cursor


COUNTS: Final = len(MIXED) * COUNTED * 150 / 4096 / 2
"""Read units of the counts, which stop there; the smaller ledger does not have so many orders."""


def test_a_page_of_fifty_thousand_orders_costs_what_one_of_five_hundred_costs() -> None:
    few, many = Page(0), Page(0)
    for page, times in ((few, 5), (many, 500)):
        for orders, how in MIXED:
            page.environment.fill(UNTRACKED, orders * times, **how)
    for asked in ASKED:
        (calls, units, after), (many_calls, many_units, many_after) = (
            spent(page, **asked) for page in (few, many)
        )
        assert many_calls == calls, asked
        assert sum(calls.values()) <= 50, asked
        assert many_units - units <= COUNTS, asked
        if asked in ASKED[:3]:
            # and so does the next page; some lists of the smaller ledger are at their end, and have fewer keys to read
            calls, units, _ = spent(few, **asked, cursor=after)
            many_calls, many_units, _ = spent(many, **asked, cursor=many_after)
            assert many_calls == calls, asked
            assert 0 <= many_units - units <= 4 * len(MIXED), asked


def shown_in_parts(page: Page, **asked: Any) -> list[str]:
    """The ids of all orders that are found, page by page."""
    found, cursor = list[str](), ""
    while True:
        answer = page.ask(**asked, cursor=cursor)
        found += [order["id"] for order in answer["orders"]]
        cursor = answer["cursor"] or ""
        if not cursor:
            return found


def test_orders_are_listed_by_time_whatever_their_state_and_problem_over_all_pages() -> None:
    page = Page(0)
    for place in range(60):
        _, how = MIXED[place * 5 % len(MIXED)]
        page.environment.fill(UNTRACKED, 1, **how)
    there = [str(10_000_000 + number) for number in range(60)]
    assert shown_in_parts(page, rows=7) == there[::-1]
    assert shown_in_parts(page, rows=7, oldest_first=True) == there


def test_orders_that_changed_at_the_same_moment_are_each_on_one_page() -> None:
    page = Page(0)
    for orders, how in MIXED:
        page.environment.fill(UNTRACKED, orders, apart=timedelta(0), **how)
    there = [str(10_000_000 + number) for number in range(100)]
    for oldest_first in (False, True):
        assert sorted(shown_in_parts(page, rows=9, oldest_first=oldest_first)) == there


def test_the_next_page_goes_on_where_the_last_one_ended_also_if_its_last_order_has_changed_since() -> None:
    page = Page(20)
    first = page.ask(rows=5)
    last = page.environment.orders.get(UNTRACKED, first["orders"][-1]["id"])
    assert last is not None
    page.environment.orders.save(replace(last, changed_at=last.changed_at + timedelta(days=1)))
    second = page.ask(rows=5, cursor=first["cursor"])
    assert [order["id"] for order in second["orders"]] == [str(10_000_014 - number) for number in range(5)]


def test_problems_are_gathered_with_one_more_call_however_many_there_are() -> None:
    page = Page(PAGE, {"contact_archived": 60, "currency_not_enabled": 900})
    gathered = page.ask()["gathered"]
    assert [(one["count"], one["problem"]["code"]) for one in gathered] == [
        (900, "currency_not_enabled"),
        (60, "contact_archived"),
    ]
    assert sum(page.calls.values()) == 7 + 3 * 2 + 2, "each reason is asked for, and its orders"


def test_the_parts_of_a_file_have_every_order_once_in_either_order() -> None:
    page = Page(600, {"contact_archived": 10})
    there = [str(10_000_000 + number) for number in range(610)]
    assert shown_in_parts(page, rows=MOST_ROWS) == there[::-1]
    assert shown_in_parts(page, rows=MOST_ROWS, oldest_first=True) == there


def test_the_orders_page_asks_side_by_side_for_what_does_not_depend_on_the_rest() -> None:
    page = Page(500)
    assert len(page.ask()["orders"]) == PAGE
    assert page.side_by_side == [7, 1], (
        "the connection and the reasons in six states; then the orders of each"
    )
    assert sum(page.calls.values()) == 7 + 1 * 2 + 1, "each reason is asked for, and its orders; and the rows"


def test_what_the_orders_of_a_state_and_of_a_problem_come_to_is_summed_up() -> None:
    page = Page(3, {"contact_archived": 2})
    page.environment.fill(UNTRACKED, 1, state=State.POSTED, reason="changed")
    answer = page.ask()
    [order, *_] = answer["orders"]
    total = Decimal(order["total"])
    assert answer["counts"] | {"needs_attention": 2, "posted": 4, "changed": 1} == answer["counts"]
    assert answer["money"] == {
        "needs_attention": {"GBP": str(2 * total)},
        "posted": {"GBP": str(4 * total)},
        "changed": {"GBP": str(total)},
        **{name: {} for name in ("waiting", "queued", "skipped", "set_aside")},
    }
    counted = {one["code"]: one["count"] for one in answer["problems"]}
    assert (counted, answer["more"]) == ({"contact_archived": 2, "changed": 1}, [])
    [gathered] = answer["gathered"]
    assert (gathered["count"], gathered["money"]) == (2, {"GBP": str(2 * total)})
    assert gathered["more"] is False


def test_where_counting_stops_it_is_said() -> None:
    page = Page(COUNTED, {"contact_archived": 5, "currency_not_enabled": COUNTED + 1})
    answer = page.ask()
    assert answer["more"] == ["needs_attention", "posted"]
    assert answer["counts"]["needs_attention"] == COUNTED + 5
    assert [(one["count"], one["more"]) for one in answer["gathered"]] == [(COUNTED, True), (5, False)]

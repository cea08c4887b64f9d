"""The bench counts what AWS would bill and what Xero is asked; what an order costs does not grow unnoticed.

Counts only: how fast this machine is tells nothing about the code.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from benchmarks.contestants import Contestant, plain_requests, race, xero_python
from benchmarks.dynamodb_units import CountedDynamoDB, item_size
from benchmarks.this_project import Run, many_companies, one_organisation, sweep
from bookkeeping.adapters.tables.lanes import SPREAD
from tests.storms.dynamodb import cancelled, refused

# --- what AWS bills

TABLE: dict[str, Any] = {
    "KeySchema": [{"AttributeName": "key", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "due",
            "KeySchema": [
                {"AttributeName": "lane", "KeyType": "HASH"},
                {"AttributeName": "due_at", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["note"]},
        }
    ],
}


class Bill:
    """A counted table, and what the last call cost."""

    def __init__(self) -> None:
        self.store = CountedDynamoDB(lambda: datetime(2026, 11, 23, tzinfo=UTC), {"T": TABLE})
        self.table = self.store.Table("T")
        self._spent: dict[str, float] = {}
        self.store.spend = self._spend

    def _spend(self, kind: str, where: str, units: float) -> None:
        name = f"{kind} {where}"
        self._spent[name] = self._spent.get(name, 0) + units

    @property
    def spent(self) -> dict[str, float]:
        spent, self._spent = self._spent, {}
        return spent

    def put(self, key: str, text: str = "", **more: Any) -> dict[str, float]:
        self.table.put_item({"key": key, "text": text, **more})
        return self.spent


def test_an_item_has_the_size_that_aws_counts() -> None:
    item = {"key": "äb", "n": Decimal(1234), "l": [True, "x"], "m": {"a": None}}
    assert item_size(item) == (3 + 3) + (1 + 3) + (1 + 3 + 2 + 2) + (1 + 3 + 3)


def test_a_write_costs_a_unit_a_kilobyte_of_the_larger_item_before_or_after() -> None:
    bill = Bill()
    assert bill.put("a") == {"write T": 1}
    assert bill.put("a", "x" * 1500) == {"write T": 2}
    assert bill.put("a") == {"write T": 2}


def test_an_index_costs_where_an_item_enters_leaves_moves_or_changes_in_it() -> None:
    bill = Bill()
    where = {"lane": "L", "due_at": "1"}
    assert bill.put("a", **where) == {"write T": 1, "write T index due": 1}
    assert bill.put("a", "not projected", **where) == {"write T": 1}
    assert bill.put("a", "not projected", **where, note="projected") == {"write T": 1, "write T index due": 1}
    assert bill.put("a", lane="L", due_at="2") == {"write T": 1, "write T index due": 2}
    assert bill.put("a") == {"write T": 1, "write T index due": 1}


def test_a_transaction_costs_twice_also_for_what_it_only_checks_and_when_it_is_cancelled() -> None:
    bill = Bill()
    bill.put("a", "x" * 1500)
    put = {"Put": {"TableName": "T", "Item": {"key": "b", "lane": "L", "due_at": "1"}}}
    check = {"TableName": "T", "Key": {"key": "a"}, "ConditionExpression": "attribute_exists(text)"}
    bill.store.transact_write_items([put, {"ConditionCheck": check}])
    assert bill.spent == {"write T": 2 + 4, "write T index due": 1}
    check["ConditionExpression"] = "attribute_not_exists(text)"
    with pytest.raises(type(cancelled([]))):
        bill.store.transact_write_items([put, {"ConditionCheck": check}])
    assert bill.spent == {"write T": 4}


def test_a_write_that_its_condition_refuses_costs_the_same() -> None:
    bill = Bill()
    bill.put("a", "x" * 1500)
    with pytest.raises(type(refused("PutItem", ""))):
        bill.table.put_item({"key": "a"}, ConditionExpression="attribute_not_exists(text)")
    assert bill.spent == {"write T": 2}


def test_a_read_costs_a_unit_for_four_kilobytes_and_half_of_one_from_an_index() -> None:
    bill = Bill()
    bill.put("a", "x" * 5000, lane="L", due_at="1")
    bill.table.get_item({"key": "a"}, ConsistentRead=True)
    assert bill.spent == {"read T": 2}
    bill.table.query("lane = :lane", IndexName="due", ExpressionAttributeValues={":lane": "L"})
    assert bill.spent == {"read T index due": 0.5}


# --- what an order costs


@pytest.mark.parametrize(
    ("run", "calls", "write_units"),
    [
        (Run(200), 0.05, 10.5),
        (Run(100, tracked=True), 0.13, 19),
        (Run(12, a_minute=1), 1.5, 23.5),
    ],
    ids=["burst", "burst, Tracked", "one a minute"],
)
def test_an_order_takes_no_more_calls_and_write_units_than_it_did(
    run: Run, calls: float, write_units: float
) -> None:
    figures = one_organisation(run)
    assert (figures["lost"], figures["doubled"], figures["share of 429"]) == (0, 0, 0)
    assert figures["faults of ours"] == 0
    assert figures["calls an order"] <= calls
    assert figures["used"]["write units"] <= write_units


def test_nothing_is_lost_or_doubled_where_replies_are_dropped() -> None:
    figures = one_organisation(Run(200, dropped=0.2))
    assert (figures["lost"], figures["doubled"]) == (0, 0)


def test_the_orders_of_many_companies_all_come_to_the_books() -> None:
    assert many_companies(5, 2, workers=2)["lost"] == 0


def test_a_sweep_makes_a_call_for_ten_lanes_and_a_few_more() -> None:
    # two indexes, each read at eight keys; one more for book matches that are due
    assert sweep(200)["AWS calls"] <= 20 + 2 * SPREAD + 6


@pytest.mark.parametrize(
    ("contestant", "calls"),
    [
        (Contestant("requests", plain_requests, batch=50), 2),
        (Contestant("xero-python", xero_python), 100),
        # more at once than Xero lets in
        (Contestant("xero-python", xero_python, threads=10), 150),
    ],
    ids=["batches", "alone", "ten threads"],
)
def test_the_others_get_their_orders_in_too(contestant: Contestant, calls: int) -> None:
    figures = race(contestant, 100)
    assert (figures["lost"], figures["doubled"]) == (0, 0)
    assert figures["calls"] >= calls


def test_the_others_double_orders_where_replies_are_dropped() -> None:
    assert race(Contestant("xero-python", xero_python), 60, dropped=0.2)["doubled"] > 0

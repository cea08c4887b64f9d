"""What an order costs in write units, counted from the calls that are made: no more than it must."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import pytest

from benchmarks.dynamodb_units import CountedDynamoDB
from benchmarks.this_project import stock
from local.samples import TRACKED, TRACKED_CATALOGUE, UNTRACKED, Maker
from tests.storms.environment import Environment


class Counted(Environment):
    store_class = CountedDynamoDB
    store: CountedDynamoDB

    def ids(self) -> str:
        """As long as those of production: the batch's id is in every row."""
        return str(UUID(int=self.chance.getrandbits(128)))


def write_units(orders: int, *, tracked: bool) -> Mapping[str, float]:
    """Write units an order of a company's orders that come at once, by table and index."""
    environment = Counted("write units", intake_batch=50, workers=2, travel=0.0)
    object.__setattr__(environment.posting, "new_id", environment.ids)
    company = TRACKED if tracked else UNTRACKED
    organisation = environment.organisation("Books", "AU" if tracked else "UK")
    if tracked:
        stock(organisation, environment.now(), (code for code, *_ in TRACKED_CATALOGUE))
    environment.company(
        company,
        organisation,
        sales_account_code="200",
        shipping_account_code="200",
        cogs_account_code="310",
        inventory_asset_account_code="630",
        contact_name=next(iter(organisation.contacts.values())).name,
        process_method="tracked" if tracked else "untracked",
        tax_types=[] if tracked else [{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}],
    )
    make = Maker()
    for place in range(orders):
        environment.send(json.dumps(make.order(company, place, 1 + place % 3)), environment.now())
    spent: Counter[str] = Counter()

    def spend(kind: str, where: str, units: float) -> None:
        if kind == "write" and environment.scheduler.worker is not None:
            spent[where] += units  # type: ignore[assignment]

    environment.store.spend = spend
    try:
        environment.run(timedelta(hours=1))
        rows = environment.store.tables["OrdersTable"].items.values()
        assert Counter(row["state"] for row in rows) == {"posted": orders}
    finally:
        environment.close()
    return {where: units / orders for where, units in spent.items()}


@pytest.mark.parametrize(
    ("orders", "tracked", "row", "due", "page", "at_most"),
    [
        # a row: new, and twice as much in each transaction: begun and settled
        # what is due: in and out for each document; the list: in when it is new, and moved when it is at rest
        pytest.param(200, False, 5, 2, 3, 10.8, id="a burst, untracked"),
        pytest.param(100, True, 9, 4, 3, 17.8, id="a burst, tracked"),
        pytest.param(1, False, 5, 2, 3, 41, id="one alone, untracked"),
    ],
)
def test_an_order_costs_no_more_write_units_than_it_must(
    orders: int, tracked: bool, row: int, due: int, page: int, at_most: float
) -> None:
    units = write_units(orders, tracked=tracked)
    assert sum(units.values()) <= at_most, units
    assert units["OrdersTable"] == row
    assert units["OrdersTable index due"] == due
    assert units["OrdersTable index page"] == page

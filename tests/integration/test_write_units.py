"""What an order costs in write units, counted from the calls that are made: no more than it must."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import pytest

from benchmarks.this_project import stock
from local.samples import TRACKED, TRACKED_CATALOGUE, UNTRACKED, Maker
from tests.integration.counted import Counted


def counted(orders: int, *, tracked: bool, ledger: int = 0) -> Counter[tuple[str, str]]:
    """Units of orders that come at once, beside so many in the ledger: (write or read, where) → units."""
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
    environment.fill(company, ledger)
    make = Maker()
    for place in range(orders):
        environment.send(json.dumps(make.order(company, place, 1 + place % 3)), environment.now())
    spent: Counter[tuple[str, str]] = Counter()

    def spend(kind: str, where: str, units: float) -> None:
        if environment.scheduler.worker is not None:
            spent[kind, where] += units  # type: ignore[assignment]  # units may be halves

    environment.store.spend = spend
    try:
        environment.run(timedelta(hours=1))
        rows = environment.store.tables["OrdersTable"].items.values()
        assert Counter(row["state"] for row in rows) == {"posted": orders + ledger}
    finally:
        environment.close()
    return spent


def write_units(orders: int, *, tracked: bool) -> Mapping[str, float]:
    """Write units an order, by table and index."""
    spent = counted(orders, tracked=tracked)
    return {where: units / orders for (kind, where), units in spent.items() if kind == "write"}


@pytest.mark.parametrize(
    ("orders", "tracked", "row", "due", "page", "at_most"),
    [
        # a row: new, twice as much in the transaction in which it is begun, and settled
        # what is due: in and out for each document; the list: in when it is new, and moved when it is at rest
        pytest.param(200, False, 4, 2, 3, 10.8, id="a burst, untracked"),
        pytest.param(100, True, 7, 4, 3, 16.8, id="a burst, tracked"),
        pytest.param(1, False, 4, 2, 3, 39, id="one alone, untracked"),
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
    assert units["OrdersTable index reference"] == 1, "written once, with the row"


def test_an_order_costs_the_same_however_many_are_in_the_ledger() -> None:
    few, many = (counted(50, tracked=False, ledger=ledger) for ledger in (100, 5_000))
    for kind in ("read", "write"):
        units = [sum(spent for (of, _), spent in some.items() if of == kind) for some in (few, many)]
        assert units[1] <= 1.03 * units[0], (kind, few, many)

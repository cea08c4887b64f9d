"""Which storm tries to break which promise."""

from __future__ import annotations

from tests.storms import mutants, posting, suites
from tests.storms.posting import SEED
from tests.storms.table import Promise

PROMISES = (
    Promise(
        "P1",
        "an order ends once in Xero, or says why",
        lambda: [*posting.jobs("P1"), *mutants.jobs("P1", pacing=False)],
    ),
    Promise(
        "P14",
        "any input ends in a clear answer",
        lambda: suites.jobs(
            "P14",
            "tests/unit/test_orders_hostile.py",
            200,
            {"generated cases": 7 * 7200},
            HOSTILE_CASES="7200",
        ),
    ),
    Promise(
        "P15",
        "money is exact, or the order says so",
        lambda: suites.jobs(
            "P15",
            "tests/unit/test_money.py",
            100,
            {"generated orders": 20_000},
            MONEY_ORDERS="20000",
            MONEY_SEED=f"{SEED}",
        ),
    ),
)

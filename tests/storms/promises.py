"""Which storm tries to break which promise."""

from __future__ import annotations

from bookkeeping.domain.problems.catalogue import CATALOGUE
from tests.storms import (
    access,
    contacts,
    contents,
    corrections,
    corrections_mutants,
    flood,
    keeping_alive,
    lanes,
    line_faults,
    mutants,
    pauses,
    posting,
    processes,
    rhythm,
    suites,
    taxes,
    watched,
)
from tests.storms.posting import SEED
from tests.storms.table import Promise

PROMISES = (
    Promise(
        "P1",
        "an order ends once in Xero, or says why",
        lambda: [
            *posting.jobs("P1"),
            *mutants.jobs("P1", pacing=False),
            *processes.jobs("P1"),
            *access.people("P1"),
            *suites.jobs(
                "P1",
                "tests/integration/test_set_aside.py",
                60,
                {"orders retried": 10_000},
                RETRIED_ORDERS="10000",
            ),
        ],
    ),
    Promise("P2", "no lost or late message costs anything", lambda: contents.jobs("P2")),
    Promise("P3", "the same order again never changes the first", lambda: contents.jobs("P3")),
    Promise("P4", "what a person edited in Xero stays", lambda: contents.jobs("P4")),
    Promise("P5", "a connection survives whatever goes wrong", lambda: keeping_alive.jobs("P5")),
    Promise("P6", "one renewal at a time, and seldom enough", lambda: rhythm.jobs("P6")),
    Promise(
        "P7",
        "throttling never fails an order",
        lambda: [*lanes.bursts("P7"), *mutants.jobs("P7", pacing=True)],
    ),
    Promise(
        "P8", "one company cannot delay another", lambda: [*lanes.beside_each_other("P8"), *flood.jobs("P8")]
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
        lambda: [
            *taxes.jobs("P15"),
            *(
                job
                for part in range(4)
                for job in suites.jobs(
                    "P15",
                    "tests/unit/test_money.py",
                    60,
                    {"generated orders": 5_000},
                    MONEY_ORDERS="5000",
                    MONEY_SEED=f"{4 * SEED + part}",
                )
            ),
        ],
    ),
    Promise(
        "P16",
        "every problem is visible, in words",
        lambda: [
            *suites.jobs(
                "P16", "tests/integration/test_every_problem.py", 15, {"problems provoked": len(CATALOGUE)}
            ),
            *suites.jobs("P16", "tests/integration/test_dead_letter_reader.py", 10, {}),
        ],
    ),
    Promise("P17", "settings hold from when an order is due", lambda: contents.jobs("P17")),
    Promise("P18", "access taken away loses nothing", lambda: [*access.jobs("P18"), *pauses.jobs("P18")]),
    Promise("P19", "a backlog drains as fast as Xero allows", lambda: lanes.outages("P19")),
    Promise(
        "P20",
        "one bad thing never holds up another",
        lambda: [*line_faults.jobs("P20"), *lanes.failed_documents("P20")],
    ),
    Promise("P21", "the debtor is the contact that bears the name", lambda: contacts.jobs("P21")),
    Promise(
        "P23",
        "a cancelled order leaves the books once",
        lambda: [*corrections.jobs("P23"), *corrections_mutants.jobs("P23")],
    ),
    Promise("P25", "the operator is told in time, and of no more", lambda: watched.jobs("P25")),
)

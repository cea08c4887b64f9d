"""The storms over posting, put together: an environment, a workload in it, and the auditor's report."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from unittest.mock import patch

from bookkeeping.domain.pacing import Waits
from bookkeeping.use_cases.posting import company_turn, publishing
from tests.storms.auditor import Edit, History, Report, audit
from tests.storms.environment import CALM, F1, F2, XERO_FAULTS, Environment, Weather, in_conflict
from tests.storms.table import Job, Outcome
from tests.storms.workload import Workload, large, small

Perils = Mapping[int, str]

LAGGING = Weather(lag=10)
SEED = int(os.environ.get("STORM_SEED", "1"))
F2_SEEDS = 50
SEVERAL = 600
"""Runs with two to four faults at once."""


@dataclass(frozen=True)
class Storm:
    """A run that can be had again: everything that tells it."""

    seed: str
    weather: Weather = CALM
    perils: tuple[tuple[int, str], ...] = ()
    orders: int = 0
    """0: the small workload."""
    companies: int = 0
    seconds: float = 600
    hours: float = 4
    plain: bool = False
    travel: float = 0.3
    workers: int = 8
    waits: Waits | None = None
    call_bytes: int = 0
    """As many bytes fit into a call; 0: as many as do."""

    def __str__(self) -> str:
        told = " ".join(f"{step}:{peril}" for step, peril in self.perils)
        return f"seed {self.seed}" + (f" perils {told}" if told else "")


FOUR_OUT = Storm("1", LAGGING, orders=8, companies=1, seconds=1, plain=True, call_bytes=1)
"""A document a call, and so four calls out at the same time."""


def run(storm: Storm, look: Callable[[Environment], None] | None = None, *, trace: bool = False) -> Report:
    """Run the storm; `look` sees the environment when all is over."""
    environment = Environment(
        storm.seed,
        storm.weather,
        perils=dict(storm.perils),
        waits=storm.waits,
        travel=storm.travel,
        workers=storm.workers,
    )
    environment.trace = [] if trace else None
    try:
        work = _work(environment, storm)
        environment.faults_of_xero()
        with bytes_a_call(storm.call_bytes) if storm.call_bytes else nullcontext():
            environment.run(timedelta(hours=storm.hours))
        report = audited(environment, work)
        if look is not None:
            look(environment)
        return report
    finally:
        environment.close()


def _work(environment: Environment, storm: Storm) -> Workload:
    if not storm.orders:
        return small(environment)
    chance = random.Random(f"work {storm.seed}")
    return large(environment, storm.orders, storm.companies, storm.seconds, chance, plain=storm.plain)


def audited(
    environment: Environment,
    work: Workload,
    history: History | None = None,
    edits: Mapping[str, Edit] | None = None,
) -> Report:
    report = audit(
        work.sent.values(),
        environment.xero.log.entries,
        {name: list(table.items.values()) for name, table in environment.store.tables.items()},
        environment.bus.events,
        environment.xero.organisations,
        history,
        edits,
    )
    report.unexpected += [f"a fault of ours: {fault}" for fault in environment.our_faults]
    return report


@contextmanager
def bytes_a_call(at_most: int) -> Iterator[None]:
    """Few documents go into a call, so that a lane's limits are met within minutes."""
    with (
        patch.object(company_turn, "BODY_AT_MOST", at_most),
        patch.object(publishing, "BODY_AT_MOST", at_most),
    ):
        yield


# --- every single fault, one by one


def single_faults(storm: Storm) -> list[tuple[int, str]]:
    """Every peril at every step of the storm as it stands: a crash and a pause at each, others where they fit."""
    trace: list[str] = []
    run(storm, lambda environment: trace.extend(environment.trace or ()), trace=True)
    return [(int(line.split()[0]), peril) for line in trace for peril in fitting(line)]


def fitting(line: str) -> Iterator[str]:
    """The perils that fit a step of the trace."""
    _, _, _, side, call, about = line.split(maxsplit=5)
    yield "crash"
    yield "pause"
    if call == "xero":
        yield from XERO_FAULTS if side == "before" else ()
    elif side == "after":
        yield "lost_answer"
    else:
        yield "throttle"
        if in_conflict(call, about):
            yield "conflict"
        if call in ("put_item", "update_item", "delete_item"):
            yield "repeated"
        if call == "send_message":
            yield "lost_message"


def with_perils(storm: Storm, *perils: tuple[int, str]) -> Storm:
    return replace(storm, perils=(*storm.perils, *perils))


# --- promise P1, in full


PERILS = ("crash", "pause", "throttle", "conflict", "lost_answer", "wake-up lost")


def tried(storm: Storm) -> Outcome:
    """One storm's outcome for the table."""
    met: Counter[str] = Counter()
    report = run(storm, lambda environment: met.update(environment.met))
    return judged(f"{storm}", report, met)


def judged(name: str, report: Report, met: Counter[str]) -> Outcome:
    return Outcome(
        faults=sum(report.faults.values()) + sum(met[peril] for peril in PERILS),
        lost=len(report.lost),
        duplicated=len(report.duplicated),
        unexpected=len(report.unexpected) + len(report.untold),
        open=len(report.open),
        bad=[] if report.clean else [f"{name}: {report}"],
        figures=Counter(orders=report.orders),
    )


def all_of(storms: Iterable[Storm]) -> Outcome:
    return sum(map(tried, storms), Outcome(runs=0))


def several_faults(count: int) -> Iterator[Storm]:
    """The small storm with two to four faults by chance."""
    chance = random.Random(f"several {SEED}")
    small = Storm("1", LAGGING)
    faults = single_faults(small)
    for _ in range(count):
        yield with_perils(small, *some_of(faults, chance))


def some_of(faults: Sequence[tuple[int, str]], chance: random.Random) -> list[tuple[int, str]]:
    """Two to four of the faults, in their order."""
    chosen = sorted(dict(chance.sample(faults, chance.randint(2, 4))).items())
    # a second one would say that the renewed token is refused, too: a person has to connect again then
    again = [fault for fault in chosen if fault[1] == "token_expired"][1:]
    return [fault for fault in chosen if fault not in again]


def jobs(promise: str) -> list[Job]:
    """F1, F2, each fault alone and several at once."""
    bases = (Storm("1"), Storm("1", LAGGING), FOUR_OUT)
    singles = [with_perils(base, fault) for base in bases for fault in single_faults(base)]
    storms = [
        Storm(f"{SEED}", F1, orders=10_000, companies=200),
        *(
            Storm(f"{seed}", F2, orders=1000, companies=20)
            for seed in range(1 + F2_SEEDS * (SEED - 1), 1 + F2_SEEDS * SEED)
        ),
    ]
    return [
        *(
            Job(
                promise,
                f"storm of {storm.orders:,} orders, {storm}",
                partial(all_of, [storm]),
                storm.orders / 60,
            )
            for storm in storms
        ),
        *_in_parts(promise, "each single fault", singles),
        *_in_parts(promise, "several faults", list(several_faults(SEVERAL))),
    ]


def _in_parts(promise: str, name: str, storms: list[Storm], size: int = 200) -> Iterator[Job]:
    for place in range(0, len(storms), size):
        part = storms[place : place + size]
        yield Job(promise, f"{name}, from {place}", partial(all_of, part), len(part) / 8)

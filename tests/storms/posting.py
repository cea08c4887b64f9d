"""The storms over posting, put together: an environment, a workload in it, and the auditor's report."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from bookkeeping.pacing import Waits
from tests.storms.auditor import Report, audit
from tests.storms.environment import CALM, XERO_FAULTS, Environment, Weather, in_conflict
from tests.storms.workload import Workload, large, small

Perils = Mapping[int, str]


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

    def __str__(self) -> str:
        told = " ".join(f"{step}:{peril}" for step, peril in self.perils)
        return f"seed {self.seed}" + (f" perils {told}" if told else "")


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


def audited(environment: Environment, work: Workload) -> Report:
    tables = {name: list(table.items.values()) for name, table in environment.store.tables.items()}
    return audit(work.sent.values(), environment.xero.log.entries, tables, environment.bus.events)


# --- every single fault, one by one


def single_faults(storm: Storm) -> list[tuple[int, str]]:
    """Every peril at every step of the storm as it stands: a crash and a pause at each, others where they fit."""
    trace: list[str] = []
    run(storm, lambda environment: trace.extend(environment.trace or ()), trace=True)
    return [(int(line.split()[0]), peril) for line in trace for peril in _fitting(line)]


def _fitting(line: str) -> Iterator[str]:
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

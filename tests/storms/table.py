"""The table that the storms end in: one line a promise, put together from the runs that tried to break it."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tests.our_faults import heard


@dataclass
class Outcome:
    """What one or more runs came to."""

    runs: int = 1
    faults: int = 0
    """Faults that were met, whoever brought them."""
    lost: int = 0
    duplicated: int = 0
    unexpected: int = 0
    open: int = 0
    mutants: int = 0
    caught: int = 0
    bad: list[str] = field(default_factory=list)
    """Each run that did not end as promised, with what brings it back."""
    figures: Counter[str] = field(default_factory=Counter)
    """What else is counted, by its words: `orders`, `cases`. Summed up."""
    said: list[str] = field(default_factory=list)
    """What else is measured, in words with its bound: `p99 12 s (at most 30)`."""
    seconds: float = 0.0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    @property
    def kept(self) -> bool:
        figures = (self.lost, self.duplicated, self.unexpected, self.open)
        return not any(figures) and self.caught == self.mutants and not self.bad


@dataclass(frozen=True)
class Job:
    """A part of what tries to break a promise, for one process."""

    promise: str
    """`P1`."""
    name: str
    run: Callable[[], Outcome]
    weight: float = 1.0
    """Roughly how many seconds it takes: the longest begin first."""


@dataclass(frozen=True)
class Promise:
    key: str
    words: str
    jobs: Callable[[], Sequence[Job]]


_jobs: list[Job] = []


def _nth(place: int) -> tuple[int, Outcome]:
    job = _jobs[place]
    began = time.monotonic()
    with heard() as faults:
        try:
            outcome = job.run()
        except Exception as error:  # noqa: BLE001 a run that falls over keeps no promise
            outcome = Outcome(bad=[f"{job.name} ended by {type(error).__name__}: {error}"])
    # a mutant may fall over in its own ways
    if faults and not outcome.mutants:
        outcome.unexpected += len(faults)
        outcome.bad += [f"{job.name}: a fault of ours: {fault}" for fault in faults[:6]]
    outcome.seconds = time.monotonic() - began
    return place, outcome


def keep(promises: Iterable[Promise], tell: Callable[[str], None]) -> bool:
    """Run every job of the promises on all cores, and tell the table; whether all were kept."""
    promises = list(promises)
    _jobs[:] = sorted((job for promise in promises for job in promise.jobs()), key=lambda job: -job.weight)
    outcomes = {promise.key: Outcome(runs=0) for promise in promises}
    began = time.monotonic()
    # one more than there are cores: the storm over real processes waits more than it works. A process for each job:
    # what one leaves behind in memory is not the next one's
    at_once = 1 + (os.cpu_count() or 1)
    with multiprocessing.get_context("fork").Pool(at_once, maxtasksperchild=1) as pool:
        for place, outcome in pool.imap_unordered(_nth, range(len(_jobs))):
            job = _jobs[place]
            outcomes[job.promise] += outcome
            sign = "" if outcome.kept else "  NOT KEPT"
            tell(f"{time.monotonic() - began:5.0f} s  {job.promise:4} {job.name}: {_figures(outcome)}{sign}")
            for bad in outcome.bad:
                tell(f"             {bad}")
    for line in lines(promises, outcomes):
        tell(line)
    tell(f"\n{len(_jobs)} jobs on {os.cpu_count()} cores in {time.monotonic() - began:.0f} s.")
    return all(outcome.kept for outcome in outcomes.values())


def _figures(outcome: Outcome) -> str:
    lost = f"{outcome.lost}/{outcome.duplicated}/{outcome.unexpected}/{outcome.open}"
    mutants = f", mutants {outcome.caught}/{outcome.mutants}" if outcome.mutants else ""
    return f"{outcome.runs} runs, {outcome.faults} faults, {lost}{mutants}, {outcome.seconds:.0f} s"


def lines(promises: Sequence[Promise], outcomes: dict[str, Outcome]) -> Iterable[str]:
    """The table. `time` is what the jobs took together."""
    yield ""
    yield (
        "promise                                            runs   faults  lost/doubled/unexp./open  mutants   time"
    )
    for promise in promises:
        outcome = outcomes[promise.key]
        lost = f"{outcome.lost}/{outcome.duplicated}/{outcome.unexpected}/{outcome.open}"
        mutants = f"{outcome.caught}/{outcome.mutants}" if outcome.mutants else "-"
        yield (
            f"{promise.key:4}{promise.words:44.44}{outcome.runs:>7,}{outcome.faults:>9,}  {lost:>24}{mutants:>9}"
            f"{outcome.seconds:>5.0f} s{'' if outcome.kept else '  NOT KEPT'}"
        )
        counted = [f"{count:,} {what}" for what, count in outcome.figures.items()]
        if counted or outcome.said:
            yield f"      {'; '.join([*counted, *outcome.said])}"

"""Measures this project beside what people would use instead, and what it costs on AWS: `make bench`.

    python -m benchmarks            everything, in about a quarter of an hour on two cores
    python -m benchmarks --quick    the same with few orders, in half a minute; keeps nothing
    python -m benchmarks --full     also 100,000 orders, with and without dropped replies
    python -m benchmarks --only WORDS    measures what has these words in its name, and keeps the other results

Writes benchmarks/results.json and docs/images/benchmarks.png. docs/benchmarks.md explains the figures.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.contestants import CONTESTANTS, race
from benchmarks.metering import get_ready
from benchmarks.quiet_order import quiet_order
from benchmarks.this_project import Figures, Run, many_companies, one_organisation, sweep

ROOT = Path(__file__).parents[1]
RESULTS, PICTURE = ROOT / "benchmarks" / "results.json", ROOT / "docs" / "images" / "benchmarks.png"
DROPPED = 0.02
QUIET = "a quiet order"

Jobs = dict[tuple[str, ...], Callable[[], Figures]]
"""Where in the results the figures go → what measures them."""


def jobs(*, quick: bool, full: bool) -> Jobs:
    """Everything to measure."""
    many, alone = (400, 60) if quick else (20_000, 3_000)
    companies, minutes = (10, 2) if quick else (200, 20)
    found: Jobs = {}
    if full:
        run = Run(100_000, dropped=DROPPED)
        found["side by side", "this project, Untracked, 100,000 orders", "dropped"] = partial(
            one_organisation, run
        )
        found["side by side", "this project, Untracked, 100,000 orders", "calm"] = partial(
            one_organisation, Run(100_000)
        )
    for kind, tracked in (("Untracked", False), ("Tracked", True)):
        name = f"this project, {kind}"
        for weather, dropped in (("calm", 0.0), ("dropped", DROPPED)):
            run = Run(many, tracked, dropped)
            found["side by side", name, weather] = partial(one_organisation, run)
        run = Run(many, tracked, charge_cpu=True)
        found["side by side", f"{name}, CPU as on Lambda", "calm"] = partial(one_organisation, run)
        run = Run(many, tracked, charge_cpu=True, with_boto3=True)
        found["side by side", f"{name}, CPU and boto3", "calm"] = partial(one_organisation, run)
    for workers in (2, 8):
        found["many companies", f"{workers}"] = partial(many_companies, companies, minutes, workers)
    for contestant in CONTESTANTS:
        orders = many if contestant.batch > 1 else alone
        for weather, dropped in (("calm", 0.0), ("dropped", DROPPED)):
            found["side by side", contestant.name, weather] = partial(race, contestant, orders, dropped)
    for name, a_minute, orders in (
        ("100,000 a day", 100_000 / 1440, alone),
        ("1,000 an hour", 1000 / 60, 20 if quick else 750),
        ("one a minute", 1.0, 6 if quick else 100),
    ):
        run = Run(orders, charge_cpu=True, with_boto3=True, a_minute=a_minute)
        found["costs", name] = partial(one_organisation, run)
    for due in (5_000, 0):
        found["sweeps", f"{due}"] = partial(sweep, due // 10 if quick else due)
    return found


_jobs: Jobs = {}


def _measure(place: tuple[str, ...]) -> tuple[tuple[str, ...], Figures, float]:
    began = time.monotonic()
    return place, _jobs[place](), time.monotonic() - began


def measured(wanted: Jobs) -> dict[tuple[str, ...], Figures]:
    """The figures of every job, each in a process of its own."""
    _jobs.update(wanted)
    get_ready()
    figures: dict[tuple[str, ...], Figures] = {}
    began = time.monotonic()
    with multiprocessing.get_context("fork").Pool(os.cpu_count() or 1, maxtasksperchild=1) as pool:
        for place, found, seconds in pool.imap_unordered(_measure, wanted):
            figures[place] = found
            print(f"{time.monotonic() - began:5.0f} s  {', '.join(place)} ({seconds:.0f} s)", file=sys.stderr)
    return figures


def put_together(
    known: dict[str, Any], figures: dict[tuple[str, ...], Figures], order: Jobs
) -> dict[str, Any]:
    """The results of now, and of before where something was not measured now."""
    results: dict[str, Any] = {
        "measured at": f"{datetime.now(UTC):%Y-%m-%d}",
        "on": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
    }
    for place in order:
        found = figures.get(place) or _at(known, place)
        if found:
            table = results
            for name in place[:-1]:
                table = table.setdefault(name, {})
            table[place[-1]] = found
    pace = results.get("side by side", {})
    bursts = {
        name: pace[f"this project, {kind}, CPU and boto3"]["calm"]
        for name, kind in (("burst", "Untracked"), ("burst, Tracked", "Tracked"))
        if f"this project, {kind}, CPU and boto3" in pace
    }
    results["costs"] = bursts | results.get("costs", {})
    if QUIET in known:
        results[QUIET] = known[QUIET]
    return results


def _at(known: Any, place: tuple[str, ...]) -> Figures | None:
    for name in place:
        known = known.get(name, {})
    return known or None


def main() -> None:
    quick, only = "--quick" in sys.argv, ""
    if "--only" in sys.argv:
        only = sys.argv[sys.argv.index("--only") + 1]
    wanted = jobs(quick=quick, full="--full" in sys.argv)
    known = json.loads(RESULTS.read_text()) if only and not quick and RESULTS.exists() else {}
    figures = measured({place: job for place, job in wanted.items() if only in ", ".join(place)})
    results = put_together(known, figures, wanted)
    if only in QUIET:
        # real seconds: nothing else may run beside it
        results[QUIET] = quiet_order(2 if quick else 50)
    for line in report.lines(results):
        print(line)
    if not quick:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        report.picture(results, PICTURE)


if __name__ == "__main__":
    main()

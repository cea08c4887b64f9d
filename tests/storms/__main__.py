"""The storms over posting, in full.

    python -m tests.storms                        every single fault, pairs of them, F1, F2 and the mutants
    python -m tests.storms singles [STRIDE]       every single fault, or each STRIDE-th
    python -m tests.storms pairs [COUNT]          two to four faults at once, by chance
    python -m tests.storms f1 [SEED] [ORDERS] [COMPANIES]
    python -m tests.storms f2 [SEEDS] [ORDERS]
    python -m tests.storms mutants
    python -m tests.storms replay SEED [STEP:PERIL ...]    one small storm again, step by step

A storm that does not end in 0/0/0/0 (lost, duplicated, unexpected, open) is printed with its seed, and a seed replays.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterable

from tests.storms.auditor import Report
from tests.storms.environment import F1, F2, Weather
from tests.storms.mutants import TRIALS, caught
from tests.storms.posting import Storm, run, single_faults, with_perils

LAG = Weather(lag=10)
SMALL = Storm("1", LAG)


def _told(storm: Storm) -> tuple[Storm, Report]:
    return storm, run(storm)


def all_of(name: str, storms: list[Storm]) -> bool:
    """Run them on all cores but one; whether all ended well."""
    began, bad = time.monotonic(), 0
    with multiprocessing.get_context("fork").Pool(max(1, (os.cpu_count() or 2) - 1)) as pool:
        for storm, report in pool.imap_unordered(_told, storms, chunksize=4 if storms[0].orders == 0 else 1):
            if not report.clean:
                bad += 1
                print(f"{name}, {storm}: {report}", flush=True)
            elif storm.orders:
                print(f"{name}, {storm}: {report}", flush=True)
    print(f"{name}: {len(storms)} storms, {bad} ended badly, {time.monotonic() - began:.0f} s", flush=True)
    return not bad


def singles(stride: int = 1) -> bool:
    calm = Storm("1")
    storms = [with_perils(base, fault) for base in (calm, SMALL) for fault in single_faults(base)]
    return all_of("single faults", storms[::stride])


def pairs(count: int = 2000) -> bool:
    chance = random.Random("pairs")
    faults = single_faults(SMALL)
    storms = [
        with_perils(SMALL, *sorted(dict(chance.sample(faults, chance.randint(2, 4))).items()))
        for _ in range(count)
    ]
    return all_of("several faults", storms)


def f1(seed: int = 1, orders: int = 10_000, companies: int = 200) -> bool:
    return all_of("F1", [Storm(f"{seed}", F1, orders=orders, companies=companies)])


def f2(seeds: int = 50, orders: int = 1_000) -> bool:
    companies = max(1, orders // 50)
    return all_of(
        "F2", [Storm(f"{seed}", F2, orders=orders, companies=companies) for seed in range(1, seeds + 1)]
    )


def mutants() -> bool:
    well = True
    for trial in TRIALS:
        seed, report = caught(trial, seeds=20)
        control = trial.ended_well(trial.run("1", weakened=False))
        well = well and bool(seed) and control
        found = str(report).split("\n", 1)[0] if report else ""
        words = f"caught by seed {seed}: {found}" if seed else "NOT CAUGHT"
        print(f"{trial.name}: {words}{'' if control else '; the real code ends badly as well'}", flush=True)
    return well


def replay(seed: str, *perils: str) -> bool:
    told = [(int(step), peril) for step, _, peril in (each.partition(":") for each in perils)]
    report = run(
        with_perils(Storm(seed, LAG), *told),
        lambda environment: print(*environment.trace or (), sep="\n"),
        trace=True,
    )
    print(report)
    return report.clean


def main(arguments: Iterable[str]) -> bool:
    which, *rest = [*arguments] or ["all"]
    if which == "replay":
        return replay(*rest)
    if which == "all":
        return all([singles(), pairs(), f1(), f2(), mutants()])
    return {"singles": singles, "pairs": pairs, "f1": f1, "f2": f2, "mutants": mutants}[which](
        *map(int, rest)
    )


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))

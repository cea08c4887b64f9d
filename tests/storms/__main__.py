"""The storms in full, and the table they end in.

    python -m tests.storms                                 every promise, about three quarters of an hour on two cores
    python -m tests.storms P1 P7                           only these
    python -m tests.storms replay SEED [STEP:PERIL ...]    one small storm over posting again, step by step

A run that does not end as promised is printed with what brings it back. `STORM_SEED=n` (1 unless told) moves the range
of seeds: the seeds of `n` and `n + 1` have none in common.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.storms.posting import LAGGING, Storm, run, with_perils
from tests.storms.promises import PROMISES
from tests.storms.table import keep


def replay(seed: str, *perils: str) -> bool:
    told = [(int(step), peril) for step, _, peril in (each.partition(":") for each in perils)]
    report = run(
        with_perils(Storm(seed, LAGGING), *told),
        lambda environment: print(*environment.trace or (), sep="\n"),
        trace=True,
    )
    print(report)
    return report.clean


def main(arguments: Sequence[str]) -> bool:
    if arguments[:1] == ["replay"]:
        return replay(*arguments[1:])
    unknown = set(arguments) - {promise.key for promise in PROMISES}
    if unknown:
        sys.exit(f"{', '.join(sorted(unknown))}: there are {', '.join(promise.key for promise in PROMISES)}")
    chosen = [promise for promise in PROMISES if promise.key in arguments or not arguments]
    return keep(chosen, lambda line: print(line, flush=True))


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))

"""Counts the calls from one file of the package into another while one order is taken in and posted.

    PYTHONPATH=layers/bookkeeping:. .venv/bin/python -m benchmarks.calls_between_files

The order is the one that events/order_posting.json wakes posting for, alone in its batch, Untracked and Tracked, with
the simulated Xero at the wire. A number that grows says that a reader has to follow the order through more files.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGE = str(ROOT / "layers" / "bookkeeping" / "bookkeeping")
os.environ |= {
    "AWS_DEFAULT_REGION": "eu-west-2",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
}

from moto import mock_aws  # noqa: E402

from tests.integration.one_process import OneProcess  # noqa: E402


def the_order() -> tuple[str, str]:
    """The company and the body of the first message in the intake's sample."""
    record = json.loads((ROOT / "events" / "order_intake.json").read_text())["Records"][0]
    return record["attributes"]["MessageGroupId"], record["body"]


def calls_between_files(work: Callable[[], Any]) -> Counter[tuple[str, str]]:
    """(file of the caller, file of the callee) → calls, both within the package."""
    found: Counter[tuple[str, str]] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        caller = frame.f_back
        if event == "call" and caller is not None:
            callers, callees = caller.f_code.co_filename, frame.f_code.co_filename
            if callers != callees and callers.startswith(PACKAGE) and callees.startswith(PACKAGE):
                found[callers.removeprefix(PACKAGE), callees.removeprefix(PACKAGE)] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def measured(process_method: str) -> dict[str, Counter[tuple[str, str]]]:
    company, body = the_order()
    with mock_aws():
        world = OneProcess()
        world.company(company, process_method=process_method)
        return {
            "intake": calls_between_files(lambda: world.send(body)),
            "posting": calls_between_files(world.run),
        }


def main() -> None:
    for process_method in ("untracked", "tracked"):
        for name, calls in measured(process_method).items():
            print(f"{process_method} {name}: {calls.total()} calls between files")
            if "--pairs" in sys.argv:
                for (caller, callee), count in calls.most_common():
                    print(f"  {count:4} {caller} → {callee}")


if __name__ == "__main__":
    main()

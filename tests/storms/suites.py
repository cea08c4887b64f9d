"""Promises that are tried by tests of their own, here with far more cases than `make test` gives them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from tests.storms.table import Job, Outcome

ROOT = Path(__file__).parents[2]
SLOW = "--timeout=1800"
"""A test may take long: it has many times the cases, and another storm beside it."""


def suite(path: str, figures: dict[str, int], **variables: str) -> Outcome:
    """Run the tests of a file; each that fails is an outcome nobody expects."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                SLOW,
                f"--junitxml={report}",
                path,
            ],
            cwd=ROOT,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        cases = ElementTree.parse(report).getroot().iter("testcase") if report.exists() else ()
        failed = [
            f"{case.get('name')}: {child.get('message', '')[:300]}"
            for case in cases
            for child in case
            if child.tag in ("failure", "error", "skipped")
        ]
        runs = sum(1 for _ in ElementTree.parse(report).getroot().iter("testcase")) if report.exists() else 0
    if done.returncode and not failed:
        failed.append(done.stdout[-1000:] + done.stderr[-1000:])
    again = " ".join([*(f"{name}={value}" for name, value in variables.items()), "pytest", path])
    return Outcome(
        runs=runs,
        unexpected=len(failed),
        bad=[f"{again}: {each}" for each in failed],
        figures=Counter(figures),
    )


def jobs(promise: str, path: str, weight: float, figures: dict[str, int], **variables: str) -> list[Job]:
    return [Job(promise, path, partial(suite, path, figures, **variables), weight)]

"""What a function needs before it can take its first event."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.one_function import cold_start, wanted_of_environment

ROOT = Path(__file__).parents[2]
FUNCTIONS = sorted(path.parent.name for path in ROOT.glob("functions/*/app.py"))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_missing_variable_fails_the_start_and_not_an_order(function: str) -> None:
    wanted = wanted_of_environment(function)
    assert wanted
    for name in wanted:
        with pytest.raises(KeyError, match=name):
            cold_start(function, dict.fromkeys(set(wanted) - {name}, "1"))


@pytest.mark.parametrize(
    ("function", "unused"),
    [
        ("posting_sweep", {"requests", "pydantic", "jwt", "jinja2"}),
        ("order_intake", {"requests", "jwt", "jinja2"}),
        ("dead_letter_reader", {"requests", "jwt", "jinja2"}),
        ("token_refresh", {"jinja2"}),
    ],
)
def test_a_start_imports_no_library_that_the_function_does_not_use(function: str, unused: set[str]) -> None:
    program = "import runpy, sys; runpy.run_path(sys.argv[1]); print(*sys.modules)"
    given = dict.fromkeys(wanted_of_environment(function), "1")
    ran = subprocess.run(
        [sys.executable, "-c", program, str(ROOT / "functions" / function / "app.py")],
        env=os.environ | given | {"PYTHONPATH": str(ROOT / "layers" / "bookkeeping")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not unused & set(ran.stdout.split())

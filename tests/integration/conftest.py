"""One ministack for the tests that need AWS at the wire, started when the first asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.aws import Ministack


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    state: Path = tmp_path_factory.mktemp("aws")
    (state / "logs").mkdir()
    service = Ministack(state)
    try:
        service.wait_started()
        yield service
    finally:
        service.stop()


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Notes a measured figure, to be shown when all tests have run."""
    return lambda line: record_property("figure", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = (report for reports in terminalreporter.stats.values() for report in reports)
    called = (report for report in reports if getattr(report, "when", "") == "call")
    figures = [line for report in called for name, line in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("measured on this machine")
        for line in figures:
            terminalreporter.write_line(line)

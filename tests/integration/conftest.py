"""What several files of tests stand on: a popup in a world of its own, and one ministack for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from local.aws import Ministack
from local.xero.organisations import Organisation
from tests.integration.one_process import OneProcess, in_memory
from tests.integration.popup import Popup


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    """Started when the first test asks for it."""
    state: Path = tmp_path_factory.mktemp("aws")
    (state / "logs").mkdir()
    service = Ministack(state)
    try:
        service.wait_started()
        yield service
    finally:
        service.stop()


@pytest.fixture
def popup() -> Iterator[Popup]:
    """The popup in a new world, inside moto, with tables in memory."""
    with mock_aws():
        yield Popup(OneProcess(tables=in_memory))


@pytest.fixture
def uk(popup: Popup) -> Organisation:
    return popup.world.organisation("Demo Company (UK)")


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

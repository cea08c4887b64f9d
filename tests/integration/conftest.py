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


FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def figure(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Notes a measured figure, to be shown when all tests have run."""
    return pytestconfig.stash.setdefault(FIGURES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if figures := config.stash.get(FIGURES, []):
        terminalreporter.section("measured on this machine")
        for line in figures:
            terminalreporter.write_line(line)

"""One ministack for the tests that need AWS at the wire, started when the first asks for it."""

from __future__ import annotations

from collections.abc import Iterator
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

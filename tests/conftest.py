"""No test can reach an account of anybody's: the credentials are nobody's, and no profile of the machine is read.

Everything runs at DEBUG, and is watched for what is secret: see `tests/canaries.py`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
from xero_python.api_client.configuration import Configuration

from local.system import LOG_LEVEL, LocalSystem
from tests import canaries, grants
from tests.our_faults import Fault, heard, logged

NOT_FOR_TESTS = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ROLE_ARN",
)

for name in NOT_FOR_TESTS:
    os.environ.pop(name, None)
os.environ |= {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_DEFAULT_REGION": "eu-west-2",
    "AWS_REGION": "eu-west-2",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_METRICS_NAMESPACE": "KornitXero",
    "POWERTOOLS_SERVICE_NAME": "tests",
    "POWERTOOLS_LOG_LEVEL": "DEBUG",
    LOG_LEVEL: "DEBUG",
}


def pytest_configure(config: pytest.Config) -> None:
    # a line for every token of every expression, none of them of ours
    logging.getLogger("moto").setLevel(logging.INFO)
    for plugin in (canaries, grants):
        if not config.pluginmanager.is_registered(plugin):
            config.pluginmanager.register(plugin)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # the longest file of all first and the longest of the last ones next, so that workers side by side end together
    first = ("test_whole_system.py", "test_orders_hostile.py")
    items.sort(key=lambda item: first.index(item.path.name) if item.path.name in first else len(first))


@pytest.fixture(autouse=True)
def _no_sdk_configuration_of_another_test() -> None:
    # xero-python hands every later client a copy of the first configuration made in the process
    Configuration.set_default(None)


@pytest.fixture(autouse=True)
def our_faults() -> Iterator[list[Fault]]:
    """The faults of ours that were contained. A test takes out those it provokes; any other one fails it."""
    with heard() as faults:
        yield faults
    assert not faults, "\n".join(map(str, faults))


@pytest.fixture(scope="session", autouse=True)
def _no_fault_of_ours_in_logs() -> Iterator[None]:
    """A system in processes of its own ends with an error if its functions logged a fault of ours."""
    leave = LocalSystem.__exit__

    def left(system: LocalSystem, *why: Any) -> None:
        faults = logged(system.state)
        leave(system, *why)
        assert not faults, "\n".join(faults)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalSystem, "__exit__", left)
        yield

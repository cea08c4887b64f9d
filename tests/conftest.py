"""No test can reach an account of anybody's: the credentials are nobody's, and no profile of the machine is read."""

from __future__ import annotations

import os

import pytest
from xero_python.api_client.configuration import Configuration

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
}


@pytest.fixture(autouse=True)
def _no_sdk_configuration_of_another_test() -> None:
    # xero-python hands every later client a copy of the first configuration made in the process
    Configuration.set_default(None)

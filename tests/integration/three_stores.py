"""The stores that those in memory are held against: moto and the local AWS, each of them empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.aws import Ministack
from tests.storms.environment import table_properties

Wrong = Mapping[str, Mapping[str, str]]
"""Store → test → what the store gets wrong."""


def held_against(wrong: Wrong, case: Callable[..., Any], *stores: str) -> list[Any]:
    """A parameter for each store; the test has to fail on one that is wrong, or it is wrong no more."""
    return [
        pytest.param(store, marks=pytest.mark.xfail(strict=True, reason=wrong[store][case.__name__]))
        if case.__name__ in wrong.get(store, {})
        else store
        for store in stores
    ]


@contextmanager
def opened(store: str, service: str, ministack: Callable[[], Ministack]) -> Iterator[Any]:
    """The resource for `dynamodb`, with the template's tables; the client for another service."""
    if store == "moto":
        with mock_aws():
            yield _filled(boto3, service)
        return
    assert store == "local AWS"
    aws = ministack()
    try:
        yield _filled(aws, service)
    finally:
        _emptied(aws.client(service), service)


def _filled(aws: Any, service: str) -> Any:
    if service != "dynamodb":
        return aws.client(service)
    resource = aws.resource(service)
    wanted = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")
    for name, properties in table_properties().items():
        given = {part: properties[part] for part in wanted if part in properties}
        resource.meta.client.create_table(TableName=name, **given)
    return resource


def _emptied(client: Any, service: str) -> None:
    if service == "dynamodb":
        for name in table_properties():
            client.delete_table(TableName=name)
    else:
        for secret in client.list_secrets()["SecretList"]:
            client.delete_secret(SecretId=secret["ARN"], ForceDeleteWithoutRecovery=True)

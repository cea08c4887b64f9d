"""Xero on a person's behalf: lists, checks, the end of a connection. Has no route; the settings page invokes it."""

import os
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from bookkeeping.adapters.functions import RefreshRequests, lambda_service_that_waits
from bookkeeping.adapters.secrets import TokenSecret, secrets_manager
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.dynamodb import dynamodb
from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.adapters.xero_api import Xero
from bookkeeping.use_cases.page.xero_lookups import LookupAdapters, answer

CALL_TIME_OUT = 6.0


def now() -> datetime:
    return datetime.now(UTC)


logger = Logger()
metrics = Metrics()
tables = dynamodb()
secret_store = secrets_manager()
xero = Xero(os.environ["XERO_API_URL"], CALL_TIME_OUT)
renewals = RefreshRequests(lambda_service_that_waits(), os.environ["TOKEN_REFRESH_FUNCTION"])
adapters = LookupAdapters(
    connections=ConnectionsTable(tables, os.environ["CONNECTIONS_TABLE"]),
    organisations=Organisations(tables, os.environ["CONNECTIONS_TABLE"]),
    tokens=TokenSecret(secret_store, os.environ["SECRETS_PREFIX"]),
    xero=xero,
    renew_token=renewals.wait_for,
    now=now,
)


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    company, task = str(event["company"]), str(event["task"])
    about = {name: value for name, value in event.items() if name not in ("company", "task")}
    said = answer(adapters, company, task, about)
    metrics.add_metric("AskedInVain", MetricUnit.Count, int("error" in said))
    if "error" in said:
        logger.info("asked in vain", company=company, task=task, why=said["error"])
    return said

"""Calls Xero for a person: lists, checks, the end of a connection. It has no route; the settings page invokes it."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from bookkeeping.adapters import from_environment
from bookkeeping.use_cases.page.xero_lookups import LookupAdapters, answer

CALL_TIME_OUT = 6.0

logger = Logger()
metrics = Metrics()
adapters = LookupAdapters(
    connections=from_environment.connections_table(),
    organisations=from_environment.organisations(),
    tokens=from_environment.tokens(),
    xero=from_environment.xero(CALL_TIME_OUT),
    renew_token=from_environment.patient_refresh_requests().wait_for,
    now=from_environment.now,
)


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    company, task = str(event["company"]), str(event["task"])
    about = {name: value for name, value in event.items() if name not in ("company", "task")}
    said = answer(adapters, company, task, about)
    metrics.add_metric("AskedInVain", MetricUnit.Count, int("error" in said))
    if "error" in said:
        logger.info("task failed", company=company, task=task, why=said["error"])
    return said

"""Fresh access tokens: every five minutes for the connections whose time has come, at once for a company that asks."""

import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from bookkeeping.adapters.event_bus import EventBus, event_bridge
from bookkeeping.adapters.secrets import AppSecret, TokenSecret, secrets_manager
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.dynamodb import dynamodb
from bookkeeping.adapters.tables.releases import Releases
from bookkeeping.adapters.xero_identity import CALLS_AT_ONCE, Identity
from bookkeeping.use_cases.token_renewal import RenewalAdapters, Times, renew, renew_due

logger = Logger()
metrics = Metrics()
threads = ThreadPoolExecutor(CALLS_AT_ONCE)
tables = dynamodb()
secrets = secrets_manager()
times = Times().scaled(float(os.environ["WAITS_SCALE"]))


def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    return [started.result() for started in [threads.submit(call) for call in calls]]


adapters = RenewalAdapters(
    connections=ConnectionsTable(tables, os.environ["CONNECTIONS_TABLE"]),
    releases=Releases(tables, os.environ["CONNECTIONS_TABLE"]),
    apps=AppSecret(secrets, os.environ["SECRETS_PREFIX"]),
    tokens=TokenSecret(secrets, os.environ["SECRETS_PREFIX"]),
    identity=Identity(
        os.environ["XERO_IDENTITY_URL"], os.environ["XERO_API_URL"], times.call_time_out.total_seconds()
    ),
    events=EventBus(event_bridge(), os.environ["EVENT_BUS"]),
    now=lambda: datetime.now(UTC),
    sleep=time.sleep,
    together=together,
    chance=random.Random(),  # noqa: S311 spreads calls, guards nothing
    times=times,
)


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str] | None:
    company = event.get("company")
    outcomes = [renew(adapters, company)] if company else renew_due(adapters)
    metrics.add_metric("RenewalsLookedAt", MetricUnit.Count, len(outcomes))
    for outcome in outcomes:
        log = logger.error if outcome.what == "failed" else logger.info
        log("tokens %s", outcome.what, company=outcome.company, why=outcome.why)
        metrics.add_metric(METRICS[outcome.what], MetricUnit.Count, 1)
    return {"what": outcomes[0].what} if company else None


METRICS = {
    "renewed": "TokensRenewed",
    "fresh": "TokensFresh",
    "busy": "RenewalsBusy",
    "put_off": "RenewalsPutOff",
    "lost": "ConnectionsLost",
    "no_tokens": "TokensMissing",
    "ended": "ConnectionsEnded",
    "shared": "ConnectionsEnded",
    "left": "ConnectionsLeftAtXero",
    "failed": "RenewalsFailed",
}

"""Renews access tokens: every five minutes for connections that are due, and on request for one company."""

import os
import random
import time
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from bookkeeping.adapters import from_environment
from bookkeeping.adapters.xero_identity import CALLS_AT_ONCE
from bookkeeping.use_cases.token_renewal import RenewalAdapters, Times, renew, renew_due

logger = Logger()
metrics = Metrics()
times = Times().scaled(float(os.environ["WAITS_SCALE"]))
adapters = RenewalAdapters(
    connections=from_environment.connections_table(),
    releases=from_environment.releases(),
    apps=from_environment.apps(),
    tokens=from_environment.tokens(),
    identity=from_environment.identity(times.call_time_out.total_seconds()),
    events=from_environment.event_bus(),
    now=from_environment.now,
    sleep=time.sleep,
    together=from_environment.together(CALLS_AT_ONCE),
    chance=random.Random(),  # noqa: S311 only spreads calls
    times=times,
)


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str] | None:
    company = event.get("company")
    if company:
        outcomes = [renew(adapters, company, refused=event.get("refused"))]
    else:
        # written at once: a tick may take nearly as long as it is until the next one
        metrics.add_metric("RenewalTicks", MetricUnit.Count, 1)
        metrics.flush_metrics()
        outcomes = renew_due(adapters)
    metrics.add_metric("RenewalsLookedAt", MetricUnit.Count, len(outcomes))
    for outcome in outcomes:
        log = logger.error if outcome.what in ("failed", "refused") else logger.info
        log("tokens %s", outcome.what, company=outcome.company, why=outcome.why)
        metrics.add_metric(METRICS[outcome.what], MetricUnit.Count, 1)
    return {"what": outcomes[0].what} if company else None


METRICS = {
    "renewed": "TokensRenewed",
    "fresh": "TokensFresh",
    "busy": "RenewalsBusy",
    "put_off": "RenewalsPutOff",
    "refused": "RenewalsRefused",
    "lost": "ConnectionsLost",
    "still_lost": "ConnectionsStillLost",
    "no_tokens": "TokensMissing",
    "ended": "ConnectionsEnded",
    "shared": "ConnectionsEnded",
    "left": "ConnectionsLeftAtXero",
    "failed": "RenewalsFailed",
}

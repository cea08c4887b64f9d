"""Every minute: wake the lanes whose time has come, and those whose wake-up was lost; go on with releases."""

import os
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from bookkeeping.adapters.queues import PostingQueue, ReleaseCall, WakeUp, sqs
from bookkeeping.adapters.tables.dynamodb import dynamodb
from bookkeeping.adapters.tables.lanes import Lanes
from bookkeeping.adapters.tables.releases import Releases

logger = Logger()
metrics = Metrics()
tables = dynamodb()
lanes = Lanes(tables, os.environ["CONNECTIONS_TABLE"])
releases = Releases(tables, os.environ["CONNECTIONS_TABLE"])
wake_ups = PostingQueue(sqs(), os.environ["POSTING_QUEUE_URL"])


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    now = datetime.now(UTC)
    to_wake = lanes.to_wake(now)
    for lane in to_wake:
        wake_ups.send(WakeUp(lane))
    for company, id_ in releases.due(now):
        wake_ups.send(ReleaseCall(company, id_))
    metrics.add_metric("LanesWoken", MetricUnit.Count, len(to_wake))

"""Every minute, wakes the lanes that are due or whose wake-up was lost, and continues releases."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from bookkeeping.adapters import from_environment
from bookkeeping.adapters.queues import ReleaseCall, WakeUp

logger = Logger()
metrics = Metrics()
lanes = from_environment.lanes()
releases = from_environment.releases()
wake_ups = from_environment.posting_queue()


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    now = from_environment.now()
    to_wake = lanes.to_wake(now)
    for lane in to_wake:
        wake_ups.send(WakeUp(lane))
    for company, id_ in releases.due(now):
        wake_ups.send(ReleaseCall(company, id_))
    metrics.add_metric("LanesWoken", MetricUnit.Count, len(to_wake))

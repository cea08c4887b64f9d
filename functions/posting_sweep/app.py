"""Every minute, wakes the lanes that are due or whose wake-up was lost, and continues releases."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from bookkeeping.adapters import from_environment
from bookkeeping.use_cases.wake_lanes import sweep

logger = Logger()
metrics = Metrics()
lanes = from_environment.lanes()
releases = from_environment.releases()
wake_ups = from_environment.posting_queue()


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    swept = sweep(lanes, releases, wake_ups, from_environment.now())
    # both also tell that the sweep ran
    metrics.add_metric("LanesWoken", MetricUnit.Count, swept.woken)
    metrics.add_metric("LongestOverdue", MetricUnit.Seconds, swept.longest.total_seconds())

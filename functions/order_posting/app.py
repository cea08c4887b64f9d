"""A turn in a lane for every wake-up: due orders become documents in Xero. Frees stopped orders, when told to."""

import os
import random
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from bookkeeping.adapters.event_bus import EventBus, event_bridge
from bookkeeping.adapters.functions import RefreshRequests, lambda_service
from bookkeeping.adapters.queues import PostingQueue, ReleaseCall, call_in, sqs
from bookkeeping.adapters.secrets import TokenSecret, secrets_manager
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.dynamodb import dynamodb
from bookkeeping.adapters.tables.lanes import Lanes
from bookkeeping.adapters.tables.orders import OrdersTable
from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.adapters.tables.releases import Releases
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.adapters.xero_api import Xero
from bookkeeping.domain.pacing import CALLS_AT_ONCE, Waits
from bookkeeping.use_cases import release as releasing
from bookkeeping.use_cases.posting.turn import PostingAdapters, take_turn

logger = Logger()
metrics = Metrics()
processor = BatchProcessor(event_type=EventType.SQS)
threads = ThreadPoolExecutor(CALLS_AT_ONCE)
tables = dynamodb()
waits = Waits().scaled(float(os.environ["WAITS_SCALE"]))


def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    return [started.result() for started in [threads.submit(call) for call in calls]]


adapters = PostingAdapters(
    orders=OrdersTable(tables, os.environ["ORDERS_TABLE"], os.environ["CONNECTIONS_TABLE"]),
    settings=SettingsTable(tables, os.environ["SETTINGS_TABLE"]),
    connections=ConnectionsTable(tables, os.environ["CONNECTIONS_TABLE"]),
    lanes=Lanes(tables, os.environ["CONNECTIONS_TABLE"]),
    organisations=Organisations(tables, os.environ["CONNECTIONS_TABLE"]),
    tokens=TokenSecret(secrets_manager(), os.environ["SECRETS_PREFIX"]),
    xero=Xero(os.environ["XERO_API_URL"], waits.call_time_out.total_seconds()),
    wake_ups=PostingQueue(sqs(), os.environ["POSTING_QUEUE_URL"], os.environ["BACKLOG_QUEUE_URL"]),
    events=EventBus(event_bridge(), os.environ["EVENT_BUS"]),
    renew_token=RefreshRequests(lambda_service(), os.environ["TOKEN_REFRESH_FUNCTION"]).send,
    now=lambda: datetime.now(UTC),
    sleep=time.sleep,
    new_id=lambda: uuid.uuid4().hex,
    together=together,
    chance=random.SystemRandom(),
    waits=waits,
)

release_adapters = releasing.ReleaseAdapters(
    orders=adapters.orders,
    settings=adapters.settings,
    connections=adapters.connections,
    lanes=adapters.lanes,
    releases=Releases(tables, os.environ["CONNECTIONS_TABLE"]),
    wake_ups=adapters.wake_ups,
    events=adapters.events,
    now=adapters.now,
)


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return process_partial_response(event=event, record_handler=post, processor=processor, context=context)


def post(record: SQSRecord) -> None:
    wake_up = call_in(record.body)
    if isinstance(wake_up, ReleaseCall):
        freed = releasing.continue_release(release_adapters, wake_up)
        logger.info("release", company=wake_up.company, freed=freed)
        metrics.add_metric("OrdersFreed", MetricUnit.Count, freed)
        return
    tally = take_turn(adapters, wake_up)
    for fault in tally.faults:
        logger.error("posting met what it does not expect", lane=wake_up.lane, fault=fault)
    logger.info(
        "turn",
        lane=wake_up.lane,
        companies=sorted(tally.companies),
        calls=tally.calls,
        posted=tally.posted,
        stopped=tally.stopped,
    )
    metrics.add_metric("CallsToXero", MetricUnit.Count, tally.calls)
    metrics.add_metric("CallsThrottled", MetricUnit.Count, tally.throttled)
    metrics.add_metric("DocumentsPosted", MetricUnit.Count, tally.posted)
    metrics.add_metric("OrdersNeedingAttention", MetricUnit.Count, tally.stopped)
    metrics.add_metric("OutcomesUnknown", MetricUnit.Count, tally.unknown)
    metrics.add_metric("UnexpectedAnswers", MetricUnit.Count, len(tally.faults))

"""Takes a turn in the lane of every wake-up: due orders become documents in Xero. Also works through releases."""

import os
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from bookkeeping.adapters import from_environment
from bookkeeping.adapters.containment import count_unknown
from bookkeeping.adapters.queues import ReleaseCall, WakeUp, call_in
from bookkeeping.domain.errors import UnknownKind
from bookkeeping.domain.ledger import State
from bookkeeping.domain.pacing import CALLS_AT_ONCE, LANES_AT_ONCE, Waits
from bookkeeping.use_cases.posting.turn import PostingAdapters, Tally, take_turn
from bookkeeping.use_cases.release import ReleaseAdapters, continue_release

logger = Logger()
metrics = Metrics()
processor = BatchProcessor(event_type=EventType.SQS)
waits = Waits().scaled(float(os.environ["WAITS_SCALE"]))
adapters = PostingAdapters(
    orders=from_environment.orders_table(),
    settings=from_environment.settings_table(),
    connections=from_environment.connections_table(),
    lanes=from_environment.lanes(),
    releases=from_environment.releases(),
    matches=from_environment.book_matches(),
    organisations=from_environment.organisations(),
    tokens=from_environment.tokens(),
    xero=from_environment.xero(waits.call_time_out.total_seconds(), LANES_AT_ONCE * CALLS_AT_ONCE),
    wake_ups=from_environment.posting_and_backlog_queue(),
    events=from_environment.event_bus(),
    renew_token=from_environment.refresh_requests().send,
    now=from_environment.now,
    sleep=time.sleep,
    new_id=from_environment.new_id,
    # calls to Xero, and the outcomes of earlier ones that are written meanwhile
    start=from_environment.threads(2 * LANES_AT_ONCE * CALLS_AT_ONCE),
    await_first=from_environment.await_first,
    chance=random.SystemRandom(),
    waits=waits,
)

release_adapters = ReleaseAdapters(
    orders=adapters.orders,
    settings=adapters.settings,
    connections=adapters.connections,
    lanes=adapters.lanes,
    releases=adapters.releases,
    wake_ups=adapters.wake_ups,
    events=adapters.events,
    now=adapters.now,
)
begin = from_environment.threads(LANES_AT_ONCE)


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    # all of them at once: no lane waits for another
    begun = {record["messageId"]: begin(partial(work, record["body"])) for record in event["Records"]}

    def finish(record: SQSRecord) -> None:
        report = begun[record.message_id].result()
        report()

    return process_partial_response(event=event, record_handler=finish, processor=processor, context=context)


def work(body: str) -> Callable[[], None]:
    """Do what a message asks for. The function that is returned tells of it, on the handler's own thread."""
    try:
        call = call_in(body)
    except UnknownKind as unknown:
        # it comes again, and a newer version of this code may take it
        count_unknown(unknown)
        raise
    if isinstance(call, ReleaseCall):
        return partial(report_release, call, continue_release(release_adapters, call))
    return partial(report_turn, call, take_turn(adapters, call))


def report_release(call: ReleaseCall, freed: int) -> None:
    logger.info("release", company=call.company, freed=freed)
    metrics.add_metric("OrdersFreed", MetricUnit.Count, freed)


def report_turn(wake_up: WakeUp, tally: Tally) -> None:
    for fault in tally.faults:
        logger.error(
            "posting met what it does not expect",
            lane=wake_up.lane,
            companies=sorted(tally.companies),
            fault=fault,
        )
    logger.info(
        "turn",
        lane=wake_up.lane,
        companies=sorted(tally.companies),
        calls=tally.calls,
        posted=tally.posted,
        stopped=tally.stopped,
    )
    for match in tally.matches:
        logger.info("book match", lane=wake_up.lane, **match)
    for line in tally.outcomes.lines():
        logger.info("orders", **line)
    for to_books in tally.to_books:
        metrics.add_metric("SecondsToBooks", MetricUnit.Seconds, to_books.total_seconds())
    if tally.budgets_nearly_gone:
        logger.warning(
            "the day's calls are nearly gone", companies=sorted(tally.companies), left=tally.day_left
        )
    if tally.day_left is not None:
        metrics.add_metric("DayCallsLeft", MetricUnit.Count, tally.day_left)
    metrics.add_metric("OrdersPosted", MetricUnit.Count, tally.outcomes.count(State.POSTED))
    metrics.add_metric("OrdersSkipped", MetricUnit.Count, tally.outcomes.count(State.SKIPPED))
    metrics.add_metric("OrdersWaiting", MetricUnit.Count, tally.outcomes.count(State.WAITING))
    metrics.add_metric("DayBudgetsNearlyGone", MetricUnit.Count, tally.budgets_nearly_gone)
    metrics.add_metric("ConnectionsLost", MetricUnit.Count, tally.lost)
    metrics.add_metric("CallsToXero", MetricUnit.Count, tally.calls)
    metrics.add_metric("CallsThrottled", MetricUnit.Count, tally.throttled)
    metrics.add_metric("DocumentsPosted", MetricUnit.Count, tally.posted)
    metrics.add_metric("OrdersNeedingAttention", MetricUnit.Count, tally.stopped)
    metrics.add_metric("OutcomesUnknown", MetricUnit.Count, tally.unknown)
    metrics.add_metric("UnexpectedAnswers", MetricUnit.Count, len(tally.faults))

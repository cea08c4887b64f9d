"""Writes orders from the OrdersQueue into the ledger. Never calls Xero."""

import os
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from bookkeeping.adapters import from_environment
from bookkeeping.adapters.containment import kind_of
from bookkeeping.adapters.queues import attribute_text, sent_first_at
from bookkeeping.domain.ledger import State
from bookkeeping.use_cases.intake import Intake, IntakeAdapters
from bookkeeping.use_cases.wake_lanes import ring

MAX_RECEIVES = int(os.environ["MAX_RECEIVES"])
TO_SPARE = 3000
"""Milliseconds reserved for the present message, ringing the lanes, and the event bus."""

logger = Logger()
metrics = Metrics()
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
wake_ups = from_environment.posting_queue()
lanes = from_environment.lanes()
bus = from_environment.event_bus()
adapters = IntakeAdapters(
    orders=from_environment.orders_table(),
    settings=from_environment.settings_table(),
    connections=from_environment.connections_table(),
    now=from_environment.now,
)


class OutOfTime(Exception):
    """The batch took too long. SQS delivers the rest of it again."""


def check_time(context: LambdaContext) -> None:
    # after a time-out, no lane would be rung, and all messages of the batch would lose one of their attempts
    if context.get_remaining_time_in_millis() < TO_SPARE:
        raise OutOfTime


def receives(record: dict[str, Any]) -> int:
    return int(record["attributes"]["ApproximateReceiveCount"])


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    intake = Intake(adapters)

    def accept(record: SQSRecord) -> None:
        attributes = {
            name: attribute_text(it) for name, it in record.raw_event.get("messageAttributes", {}).items()
        }
        sent_at = sent_first_at(int(record.attributes.sent_timestamp or 0), attributes.get("sent_at"))
        company = attributes.get("company")
        try:
            check_time(context)
            intake.accept(record.body, sent_at, record.message_id, company)
        except Exception as error:
            logger.error("order message failed", message_id=record.message_id, kind=kind_of(error))  # noqa: TRY400 a traceback quotes what it choked on
            if int(record.attributes.approximate_receive_count) >= MAX_RECEIVES:
                intake.keep_our_fault(record.body, sent_at, record.message_id, company)
            raise

    # first the messages with the fewest attempts left
    records = {"Records": sorted(event["Records"], key=receives, reverse=True)}
    answer = process_partial_response(
        event=records, record_handler=accept, processor=processor, context=context
    )
    metrics.add_metric("OrdersAccepted", MetricUnit.Count, intake.accepted)
    metrics.add_metric("OrdersOfNoCompany", MetricUnit.Count, intake.of_no_company)
    metrics.add_metric("OrdersUnreadable", MetricUnit.Count, intake.unreadable)
    metrics.add_metric("OrdersUnclaimed", MetricUnit.Count, intake.unclaimed)
    metrics.add_metric(
        "OrdersNeedingAttention", MetricUnit.Count, intake.outcomes.count(State.NEEDS_ATTENTION)
    )
    metrics.add_metric("OrdersSkipped", MetricUnit.Count, intake.outcomes.count(State.SKIPPED))
    metrics.add_metric("OrdersWaiting", MetricUnit.Count, intake.outcomes.count(State.WAITING))
    for line in intake.outcomes.lines():
        logger.info("orders", **line)
    # all rows are durable now; if this fails, SQS delivers the messages again, and they are published then
    ring(lanes, wake_ups, intake.rung, adapters.now())
    bus.put(intake.events)
    return answer

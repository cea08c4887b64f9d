"""Every minute, writes a row for each order whose message is a dead letter. On request, redrives the messages."""

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from bookkeeping.adapters import from_environment
from bookkeeping.adapters.containment import noted
from bookkeeping.use_cases.intake import Intake, IntakeAdapters

TO_SPARE: Final = 5000
"""Milliseconds reserved for the present letter, the event bus, and making the messages visible again."""
TOLD_FOR: Final = timedelta(hours=1)
"""A run may crash between writing a row and publishing its event. So later runs publish it again, for this long."""

logger = Logger()
metrics = Metrics()
dead_letters = from_environment.dead_letters()
bus = from_environment.event_bus()
adapters = IntakeAdapters(
    orders=from_environment.orders_table(),
    settings=from_environment.settings_table(),
    connections=from_environment.connections_table(),
    now=from_environment.now,
)


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """`{"redrive": true}` redrives the messages; any other event only reads them."""

    def in_time() -> bool:
        return context.get_remaining_time_in_millis() >= TO_SPARE

    if event.get("redrive") is True:
        redriven = dead_letters.redrive(in_time)
        metrics.add_metric("DeadLettersRedriven", MetricUnit.Count, redriven)
        return {"redriven": redriven}
    seen = look(in_time)
    metrics.add_metric("DeadLetters", MetricUnit.Count, seen)
    return {"seen": seen}


def look(in_time: Callable[[], bool]) -> int:
    """Write a row for each order; returns how many messages were seen."""
    intake, seen = Intake(adapters), 0
    with closing(dead_letters.look()) as letters:
        for letter in letters:
            seen += 1
            try:
                intake.keep_our_fault(letter.body, letter.sent_at, letter.id, letter.company)
            except Exception as error:  # noqa: BLE001 recorded where it is a fault of ours
                # the next run tries it again; it must not stop the others
                logger.error("dead letter failed", message_id=letter.id, kind=noted(error))  # noqa: TRY400 a traceback quotes what it choked on
            if not in_time():
                logger.warning("more dead letters than one run can look at", seen=seen)
                break
        for event in intake.events:
            logger.info(
                "dead letter shown", company=event.detail["company"], order_id=event.detail.get("order_id")
            )
        bus.put([event for event in intake.events if adapters.now() - event.at < TOLD_FOR])
    return seen

"""Every minute, mails the offices whose orders need attention or whose connection is lost."""

import os
import secrets
from pathlib import Path
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from bookkeeping.adapters import from_environment
from bookkeeping.domain.mail import MailWaits
from bookkeeping.use_cases.problem_mail import MailAdapters, Tally, hear, send_due

TO_SPARE: Final = 5_000
"""Milliseconds reserved for the events or the company at hand. A mail that is cut off is sent again after an hour."""

logger = Logger()
metrics = Metrics()
templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(name: str, **about: Any) -> tuple[str, str]:
    """A mail as text and as HTML."""
    text, html = (templates.get_template(f"{name}.{kind}").render(**about) for kind in ("txt", "html"))
    return text, html


adapters = MailAdapters(
    queue=from_environment.problems_queue(),
    mails=from_environment.mails(),
    settings=from_environment.settings_table(),
    connections=from_environment.connections_table(),
    orders=from_environment.orders_table(),
    authorizations=from_environment.authorizations_table(),
    sender=from_environment.mail_sender(),
    render=render,
    new_token=lambda: secrets.token_urlsafe(32),
    now=from_environment.now,
    page_url=os.environ["PAGE_URL"],
    platform_url=os.environ["PLATFORM_URL"],
    waits=MailWaits().scaled(float(os.environ["WAITS_SCALE"])),
)


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    tally = Tally()

    def in_time() -> bool:
        return context.get_remaining_time_in_millis() >= TO_SPARE

    try:
        hear(adapters, tally, in_time)
        send_due(adapters, tally, in_time)
    finally:
        logger.info("mails", heard=tally.heard, sent=tally.sent, refused=sorted(tally.refused))
        # the first one also tells that the function ran
        metrics.add_metric("MailsSent", MetricUnit.Count, tally.sent)
        metrics.add_metric("MailsRefused", MetricUnit.Count, len(tally.refused))

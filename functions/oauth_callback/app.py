"""The OAuth callback: Xero sends the browser here. The answer is always a redirect to the settings page."""

import re
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from bookkeeping.adapters import from_environment
from bookkeeping.adapters.containment import noted
from bookkeeping.domain.page_access import COMPANY, hashed, session_id_in
from bookkeeping.use_cases.connect import CallbackAdapters, ConnectAdapters, finish

CALL_TIME_OUT = 8.0
PATH = re.compile(rf"/xero/callback/({COMPANY.pattern})", re.ASCII)

logger = Logger()
metrics = Metrics()
adapters = ConnectAdapters(
    settings=from_environment.settings_table(),
    connections=from_environment.connections_table(),
    releases=from_environment.releases(),
    wake_ups=from_environment.posting_queue(),
    now=from_environment.now,
    new_id=from_environment.new_id,
)
callback_adapters = CallbackAdapters(
    authorizations=from_environment.authorizations_table(),
    apps=from_environment.apps(),
    tokens=from_environment.tokens(),
    identity=from_environment.identity(CALL_TIME_OUT),
)


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    path = PATH.fullmatch(event["rawPath"])
    metrics.add_metric("ConnectsReturned", MetricUnit.Count, 1)
    if path is None:
        return {"statusCode": 404, "headers": {"Cache-Control": "no-store"}, "body": ""}
    company = path[1]
    session_id = session_id_in(event.get("cookies", ())) or ""
    try:
        session = callback_adapters.authorizations.session(hashed(session_id)) if session_id else None
        outcome = str(
            finish(adapters, callback_adapters, company, event.get("rawQueryString", ""), session, session_id)
        )
    except Exception as error:  # noqa: BLE001 recorded where it is a fault of ours
        logger.error("coming back from Xero failed", company=company, kind=noted(error, company))  # noqa: TRY400 a traceback quotes what it choked on
        outcome = "our_fault"
    logger.info("OAuth callback", company=company, outcome=outcome)
    metrics.add_metric("Connects" if outcome == "connected" else "ConnectsUnfinished", MetricUnit.Count, 1)
    headers = {
        "Location": f"/settings/{company}?connect={outcome}",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return {"statusCode": 303, "headers": headers, "body": ""}

"""The way back from Xero. Always answers with a redirect to the settings page, never with a page of its own."""

import os
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from bookkeeping.adapters.queues import PostingQueue, sqs
from bookkeeping.adapters.secrets import AppSecret, TokenSecret, secrets_manager
from bookkeeping.adapters.tables.authorizations import AuthorizationsTable
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.dynamodb import dynamodb
from bookkeeping.adapters.tables.releases import Releases
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.adapters.xero_identity import Identity
from bookkeeping.domain import page_access as launching
from bookkeeping.domain.page_access import COMPANY, hashed
from bookkeeping.use_cases.connect import CallbackAdapters, ConnectAdapters, finish

CALL_TIME_OUT = 8.0
PATH = re.compile(rf"/xero/callback/({COMPANY.pattern})", re.ASCII)


def now() -> datetime:
    return datetime.now(UTC)


logger = Logger()
metrics = Metrics()
tables = dynamodb()
secret_store = secrets_manager()
identity = Identity(os.environ["XERO_IDENTITY_URL"], os.environ["XERO_API_URL"], CALL_TIME_OUT)
adapters = ConnectAdapters(
    settings=SettingsTable(tables, os.environ["SETTINGS_TABLE"]),
    connections=ConnectionsTable(tables, os.environ["CONNECTIONS_TABLE"]),
    releases=Releases(tables, os.environ["CONNECTIONS_TABLE"]),
    wake_ups=PostingQueue(sqs(), os.environ["POSTING_QUEUE_URL"]),
    now=now,
    new_id=lambda: uuid.uuid4().hex,
)
callback_adapters = CallbackAdapters(
    authorizations=AuthorizationsTable(tables, os.environ["AUTHORIZATIONS_TABLE"]),
    apps=AppSecret(secret_store, os.environ["SECRETS_PREFIX"]),
    tokens=TokenSecret(secret_store, os.environ["SECRETS_PREFIX"]),
    identity=identity,
)


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    path = PATH.fullmatch(event["rawPath"])
    metrics.add_metric("ConnectsReturned", MetricUnit.Count, 1)
    if path is None:
        return {"statusCode": 404, "headers": {"Cache-Control": "no-store"}, "body": ""}
    company = path[1]
    session_id = launching.session_id(event.get("cookies", ())) or ""
    try:
        session = callback_adapters.authorizations.session(hashed(session_id)) if session_id else None
        outcome = str(
            finish(adapters, callback_adapters, company, event.get("rawQueryString", ""), session, session_id)
        )
    except Exception:
        logger.exception("coming back from Xero failed", company=company)
        outcome = "our_fault"
    logger.info("came back from Xero", company=company, outcome=outcome)
    metrics.add_metric("Connects" if outcome == "connected" else "ConnectsUnfinished", MetricUnit.Count, 1)
    headers = {
        "Location": f"/settings/{company}?connect={outcome}",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return {"statusCode": 303, "headers": headers, "body": ""}

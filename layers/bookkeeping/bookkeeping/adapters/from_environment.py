"""Opens each adapter under the name that it has in the environment. A name that is missing is a KeyError.

An adapter's module is imported when the adapter is opened: a function's cold start pays only for what it uses.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from bookkeeping.adapters.tables.dynamodb import dynamodb
from bookkeeping.domain.pacing import CALLS_AT_ONCE

if TYPE_CHECKING:
    from bookkeeping.adapters.event_bus import EventBus
    from bookkeeping.adapters.functions import RefreshRequests, XeroDesk
    from bookkeeping.adapters.mail import MailSender
    from bookkeeping.adapters.queues import DeadLetterQueue, PostingQueue, ProblemsQueue
    from bookkeeping.adapters.secrets import AppSecret, LaunchKey, TokenSecret
    from bookkeeping.adapters.tables.authorizations import AuthorizationsTable
    from bookkeeping.adapters.tables.book_matches import BookMatches
    from bookkeeping.adapters.tables.connections import ConnectionsTable
    from bookkeeping.adapters.tables.lanes import Lanes
    from bookkeeping.adapters.tables.mails import Mails
    from bookkeeping.adapters.tables.orders import OrdersTable
    from bookkeeping.adapters.tables.organisations import Organisations
    from bookkeeping.adapters.tables.releases import Releases
    from bookkeeping.adapters.tables.settings import SettingsTable
    from bookkeeping.adapters.xero_api import Xero
    from bookkeeping.adapters.xero_identity import Identity

# --- tables

# one client for all the tables
_dynamodb = cache(dynamodb)


def orders_table() -> OrdersTable:
    from bookkeeping.adapters.tables.orders import OrdersTable

    return OrdersTable(_dynamodb(), os.environ["ORDERS_TABLE"], os.environ["CONNECTIONS_TABLE"])


def settings_table() -> SettingsTable:
    from bookkeeping.adapters.tables.settings import SettingsTable

    return SettingsTable(_dynamodb(), os.environ["SETTINGS_TABLE"])


def connections_table() -> ConnectionsTable:
    from bookkeeping.adapters.tables.connections import ConnectionsTable

    return ConnectionsTable(_dynamodb(), os.environ["CONNECTIONS_TABLE"])


def lanes() -> Lanes:
    from bookkeeping.adapters.tables.lanes import Lanes

    return Lanes(_dynamodb(), os.environ["CONNECTIONS_TABLE"])


def book_matches() -> BookMatches:
    from bookkeeping.adapters.tables.book_matches import BookMatches

    return BookMatches(_dynamodb(), os.environ["CONNECTIONS_TABLE"])


def organisations() -> Organisations:
    from bookkeeping.adapters.tables.organisations import Organisations

    return Organisations(_dynamodb(), os.environ["CONNECTIONS_TABLE"])


def releases() -> Releases:
    from bookkeeping.adapters.tables.releases import Releases

    return Releases(_dynamodb(), os.environ["CONNECTIONS_TABLE"])


def mails() -> Mails:
    from bookkeeping.adapters.tables.mails import Mails

    return Mails(_dynamodb(), os.environ["CONNECTIONS_TABLE"])


def authorizations_table() -> AuthorizationsTable:
    from bookkeeping.adapters.tables.authorizations import AuthorizationsTable

    return AuthorizationsTable(_dynamodb(), os.environ["AUTHORIZATIONS_TABLE"])


# --- secrets


@cache
def _secrets_manager() -> Any:
    from bookkeeping.adapters.secrets import secrets_manager

    return secrets_manager()


def apps() -> AppSecret:
    from bookkeeping.adapters.secrets import AppSecret

    return AppSecret(_secrets_manager(), os.environ["SECRETS_PREFIX"])


def tokens() -> TokenSecret:
    from bookkeeping.adapters.secrets import TokenSecret

    return TokenSecret(_secrets_manager(), os.environ["SECRETS_PREFIX"])


def launch_key() -> LaunchKey:
    from bookkeeping.adapters.secrets import LaunchKey

    return LaunchKey(_secrets_manager(), os.environ["LAUNCH_KEY"], now)


# --- queues, the bus, other functions


def posting_queue() -> PostingQueue:
    from bookkeeping.adapters.queues import PostingQueue, sqs

    return PostingQueue(sqs(), os.environ["POSTING_QUEUE_URL"])


def posting_and_backlog_queue() -> PostingQueue:
    """The same, with the queue of long turns, which only posting sends to."""
    from bookkeeping.adapters.queues import PostingQueue, sqs

    return PostingQueue(sqs(), os.environ["POSTING_QUEUE_URL"], os.environ["BACKLOG_QUEUE_URL"])


def dead_letters() -> DeadLetterQueue:
    from bookkeeping.adapters.queues import DeadLetterQueue, sqs

    return DeadLetterQueue(sqs(), os.environ["ORDERS_DEAD_LETTER_QUEUE_URL"], os.environ["ORDERS_QUEUE_URL"])


def problems_queue() -> ProblemsQueue:
    from bookkeeping.adapters.queues import ProblemsQueue, sqs

    return ProblemsQueue(sqs(), os.environ["PROBLEMS_QUEUE_URL"])


def mail_sender() -> MailSender | None:
    """None where no sender is set up."""
    from bookkeeping.adapters.mail import MailSender, ses

    sender = os.environ["MAIL_FROM"]
    return MailSender(ses(), sender, os.environ["MAIL_CONFIGURATION_SET"]) if sender else None


def event_bus() -> EventBus:
    from bookkeeping.adapters.event_bus import EventBus, event_bridge

    return EventBus(event_bridge(), os.environ["EVENT_BUS"])


def refresh_requests() -> RefreshRequests:
    """Asks for fresh tokens by `send`, which waits for no answer."""
    from bookkeeping.adapters.functions import RefreshRequests, lambda_service

    return RefreshRequests(lambda_service(), os.environ["TOKEN_REFRESH_FUNCTION"])


def patient_refresh_requests() -> RefreshRequests:
    """Asks for fresh tokens by `wait_for`, which waits for the answer."""
    from bookkeeping.adapters.functions import RefreshRequests, lambda_service_that_waits

    return RefreshRequests(lambda_service_that_waits(), os.environ["TOKEN_REFRESH_FUNCTION"])


def xero_desk() -> XeroDesk:
    from bookkeeping.adapters.functions import XeroDesk, lambda_service_that_waits

    return XeroDesk(lambda_service_that_waits(), os.environ["XERO_DESK_FUNCTION"])


# --- Xero


def xero(time_out: float, calls_at_once: int = CALLS_AT_ONCE) -> Xero:
    from bookkeeping.adapters.xero_api import Xero

    return Xero(os.environ["XERO_API_URL"], time_out, calls_at_once)


def identity(time_out: float) -> Identity:
    from bookkeeping.adapters.xero_identity import Identity

    return Identity(os.environ["XERO_IDENTITY_URL"], os.environ["XERO_API_URL"], time_out)


# --- the machine


def now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    return uuid.uuid4().hex


def together(at_once: int) -> Callable[[Sequence[Callable[[], Any]]], list[Any]]:
    """Makes calls side by side, at most so many at once, and gives what they return in their order."""
    threads = ThreadPoolExecutor(at_once)

    def run(calls: Sequence[Callable[[], Any]]) -> list[Any]:
        return [started.result() for started in [threads.submit(call) for call in calls]]

    return run


def threads(at_once: int) -> Callable[[Callable[[], Any]], Future[Any]]:
    """Starts calls beside each other, at most so many at once."""
    return ThreadPoolExecutor(at_once).submit


def await_first(calls: Collection[Future[Any]]) -> None:
    """Wait until one of the calls, or more, is done."""
    wait(calls, return_when=FIRST_COMPLETED)

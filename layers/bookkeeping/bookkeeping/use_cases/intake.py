"""An order message becomes ledger rows: one for every company of it that keeps its books in Xero."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from bookkeeping.adapters.tables.books import books_of
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.orders import OrdersTable, order_key
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.domain import ledger
from bookkeeping.domain.errors import Conflict
from bookkeeping.domain.events import Event, events
from bookkeeping.domain.ledger import Books, Entry, Message, State
from bookkeeping.domain.order_message import identify, read_message
from bookkeeping.domain.orders import Order, Unreadable, for_company, read_order
from bookkeeping.domain.problems.problem import Problem

NO_COMPANY: Final = "unknown"
"""The company under which messages are kept that name none and can't be read."""


@dataclass(frozen=True)
class IntakeAdapters:
    orders: OrdersTable
    settings: SettingsTable
    connections: ConnectionsTable
    now: Callable[[], datetime]


@dataclass
class Intake:
    """One batch of messages. Companies are looked up once a batch."""

    adapters: IntakeAdapters
    rung: dict[str, list[str]] = field(default_factory=dict)
    """Lane → keys of the orders that are due there."""
    events: list[Event] = field(default_factory=list)
    accepted: int = 0
    of_no_company: int = 0
    unreadable: int = 0
    unclaimed: int = 0
    """Messages kept under no company: nobody's Orders page shows them."""
    _books: dict[str, Books | None] = field(default_factory=dict)

    def accept(self, body: str, sent_at: int, message_id: str, company: str | None = None) -> None:
        """Write the message's order into the ledger of every company concerned. `company` narrows it to one.

        Afterwards the rows are durable; ringing the lanes and sending the events is left to the caller, once for
        all messages.
        """
        try:
            order = read_order(read_message(body))
            if company is not None:
                order = for_company(order, company)
        except Unreadable as unreadable:
            self._keep_unreadable(unreadable, Message.unreadable(unreadable.problem, sent_at), message_id)
            return
        self._keep_order(order, sent_at)

    def keep_our_fault(self, body: str, sent_at: int, message_id: str, company: str | None = None) -> None:
        """A message this code fails on: a row says so, beside the message in the dead-letter queue.

        What failed is not tried again: the message is read only as far as it takes to tell whose it is.
        """
        try:
            companies, order_id = identify(body)
        except Exception:  # noqa: BLE001 where even that fails, it is kept under its own id
            companies, order_id = (), None
        if company in companies:
            companies = (company,)
        problem = Problem("our_fault", {"order": order_id or "?", "reference": message_id})
        self._keep_unreadable(
            Unreadable(problem, companies, order_id), Message.unreadable(problem, sent_at), message_id
        )

    def _keep_order(self, order: Order, sent_at: int) -> None:
        companies = [books for books in map(self._of, order.companies) if books is not None]
        if not companies:
            self.of_no_company += 1
            return
        self.accepted += 1
        message = Message.of(order, sent_at)
        for books in companies:
            others = [other.company for other in companies if other is not books]
            self._keep(books, order.id, message, sibling=others[0] if others else None)

    def _keep_unreadable(self, unreadable: Unreadable, message: Message, message_id: str) -> None:
        self.unreadable += 1
        companies = [books for books in map(self._of, unreadable.companies) if books is not None]
        if unreadable.companies and not companies:
            return
        if not companies or unreadable.order_id is None:
            self._keep_of_no_company(message, message_id)
            return
        for books in companies:
            self._keep(books, unreadable.order_id, message, sibling=None)

    def _keep_of_no_company(self, message: Message, message_id: str) -> None:
        """Neither company nor order can be told: kept under the message's own id, for whoever runs this."""
        self.unclaimed += 1
        now = self.adapters.now()
        entry = Entry(
            NO_COMPANY, message_id, State.NEEDS_ATTENTION, message, now, now, problem=message.problem
        )
        kept: Entry | None
        try:
            kept = self.adapters.orders.save(entry)
        except Conflict:
            # delivered again, perhaps because we ended between writing the row and telling of it
            kept = self.adapters.orders.get(NO_COMPANY, message_id)
        if kept is not None:
            self._publish(kept)

    def _keep(self, books: Books, order_id: str, message: Message, sibling: str | None) -> None:
        while True:
            with contextlib.suppress(Conflict):  # another message of the order, or posting, came in between
                self._keep_unless_changed(books, order_id, message, sibling)
                return

    def _keep_unless_changed(
        self, books: Books, order_id: str, message: Message, sibling: str | None
    ) -> None:
        orders, now = self.adapters.orders, self.adapters.now()
        entry = orders.get(books.company, order_id)
        if entry is not None and ledger.completed(entry, message).repeats(entry.newer or entry.message):
            # delivered again, perhaps because we ended between writing the row and telling of it
            self._publish(entry)
            return
        accepted = ledger.accept(entry, message, books, order_id, now)
        if accepted is None:
            return
        self._publish(orders.save_once(accepted, sibling, now))

    def _publish(self, entry: Entry) -> None:
        self.events += events(entry)
        if entry.state is State.QUEUED:
            self.rung.setdefault(entry.lane, []).append(order_key(entry.company, entry.order_id))

    def _of(self, company: str) -> Books | None:
        if company not in self._books:
            self._books[company] = books_of(self.adapters.settings, self.adapters.connections, company)
        return self._books[company]

"""Intake: an order message becomes ledger rows, one for each of its companies that keeps its books in Xero."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.tables.books import books_of
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.orders import OrdersTable, order_key
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.domain import ledger
from bookkeeping.domain.errors import Conflict, MessageFailed
from bookkeeping.domain.events import Event, events
from bookkeeping.domain.ledger import Books, Entry, Message, Outcomes, State
from bookkeeping.domain.order_message import identify, read_message
from bookkeeping.domain.orders import Order, Unreadable, for_company, read_order
from bookkeeping.domain.problems.problem import Problem

NO_COMPANY: Final = "unknown"
"""The company under which unreadable messages are kept that name no company."""


@dataclass(frozen=True)
class IntakeAdapters:
    orders: OrdersTable
    settings: SettingsTable
    connections: ConnectionsTable
    now: Callable[[], datetime]


@dataclass
class Intake:
    """One batch of messages. Each company is looked up once."""

    adapters: IntakeAdapters
    rung: dict[str, list[str]] = field(default_factory=dict)
    """Lane → keys of the orders that are due there."""
    events: list[Event] = field(default_factory=list)
    accepted: int = 0
    of_no_company: int = 0
    unreadable: int = 0
    unclaimed: int = 0
    """Messages kept under no company, so that no Orders page shows them."""
    outcomes: Outcomes = field(default_factory=Outcomes)
    _books: dict[str, Books | None] = field(default_factory=dict)

    def accept(self, body: str, sent_at: int, message_id: str, company: str | None = None) -> None:
        """Write the message's order into the ledger of every company concerned. `company` narrows it to one.

        Afterwards the rows are durable; ringing the lanes and sending the events is left to the caller, once for
        all messages. Raises MessageFailed where a fault of ours came between.
        """
        failed: dict[str, str] = {}
        with contained(company or "", message_id, partial(failed.setdefault, "")):
            try:
                order = read_order(read_message(body))
                if company is not None:
                    order = for_company(order, company)
            except Unreadable as unreadable:
                message = Message.unreadable(unreadable.problem, sent_at)
                failed |= self._keep_unreadable(unreadable, message, message_id)
            else:
                failed |= self._keep_order(order, sent_at)
        if failed:
            raise MessageFailed(", ".join(failed.values()))

    def keep_our_fault(self, body: str, sent_at: int, message_id: str, company: str | None = None) -> None:
        """Write a row for a message that this code fails on. The message itself is in the dead-letter queue.

        The code that failed is not run again: only the order and the companies are read from the message.
        """
        companies, order_id = tuple[str, ...](), None
        # where even that fails, it is kept under its own id
        with contained(company or "", message_id):
            companies, order_id = identify(body)
        if company in companies:
            companies = (company,)
        problem = Problem("our_fault", {"order": order_id or "?", "reference": message_id})
        message = Message.unreadable(problem, sent_at)
        failed = self._keep_unreadable(Unreadable(problem, companies, order_id), message, message_id)
        for one, reference in failed.items():
            if order_id is not None:
                self._keep_as_can_be(one, order_id, message, reference)

    def _keep_order(self, order: Order, sent_at: int) -> dict[str, str]:
        """Keep the order with each company; those with which a fault of ours prevents that, by its reference."""
        companies, failed = self._companies(order.companies, order.id)
        if not companies and not failed:
            self.of_no_company += 1
        self.accepted += bool(companies)
        message = Message.of(order, sent_at)
        for books in companies:
            others = [other.company for other in companies if other is not books]
            with _noted(failed, books.company, order.id):
                self._keep(books, order.id, message, sibling=others[0] if others else None)
        return failed

    def _keep_unreadable(self, unreadable: Unreadable, message: Message, message_id: str) -> dict[str, str]:
        self.unreadable += 1
        order_id = unreadable.order_id
        companies, failed = self._companies(unreadable.companies, order_id or "")
        if order_id is None or not unreadable.companies:
            if companies or failed or not unreadable.companies:
                self._keep_of_no_company(message, message_id)
            return failed
        for books in companies:
            with _noted(failed, books.company, order_id):
                self._keep(books, order_id, message, sibling=None)
        return failed

    def _companies(self, companies: Iterable[str], order_id: str) -> tuple[list[Books], dict[str, str]]:
        """The books of the companies that keep them here; and those whose books a fault of ours hides."""
        found, failed = list[Books](), dict[str, str]()
        for company in companies:
            with _noted(failed, company, order_id):
                books = self._of(company)
                found += [books] if books is not None else []
        return found, failed

    def _keep_as_can_be(self, company: str, order_id: str, message: Message, reference: str) -> None:
        """A row of a company whose books, or whose row of the order, can't be read."""
        orders, now = self.adapters.orders, self.adapters.now()
        try:
            entry = Entry(
                company, order_id, State.NEEDS_ATTENTION, message, now, now, problem=message.problem
            )
            self._publish(orders.save(entry))
        except Conflict:
            # the order has a row; it can't be read, or it stands for another message
            with contained(
                company, order_id, lambda _: orders.mark_our_fault(company, order_id, reference, now)
            ):
                orders.get(company, order_id)

    def _keep_of_no_company(self, message: Message, message_id: str) -> None:
        """Keep a message without a known company and order under its own id, for the operator."""
        self.unclaimed += 1
        now = self.adapters.now()
        entry = Entry(
            NO_COMPANY, message_id, State.NEEDS_ATTENTION, message, now, now, problem=message.problem
        )
        kept: Entry | None
        try:
            kept = self.adapters.orders.save(entry)
        except Conflict:
            # delivered again, perhaps because we crashed after writing the row and before publishing
            kept = self.adapters.orders.get(NO_COMPANY, message_id)
        if kept is not None:
            self._publish(kept)

    def _keep(self, books: Books, order_id: str, message: Message, sibling: str | None) -> None:
        # most messages are the first of their order: the row is read only where there is one
        entry: Entry | None = None
        while True:
            try:
                self._keep_beside(entry, books, order_id, message, sibling)
            except Conflict:  # the order has a row, or it was changed since it was read
                entry = self.adapters.orders.get(books.company, order_id)
            else:
                return

    def _keep_beside(
        self, entry: Entry | None, books: Books, order_id: str, message: Message, sibling: str | None
    ) -> None:
        """Keep the message with what is known of the order. Raises Conflict."""
        if entry is not None and ledger.completed(entry, message).repeats(entry.newer or entry.message):
            # delivered again, perhaps because we crashed after writing the row and before publishing
            self._publish(entry)
            return
        now = self.adapters.now()
        accepted = ledger.accept(entry, message, books, order_id, now)
        if accepted is None:
            return
        self._publish(self.adapters.orders.save_once(accepted, sibling, now))

    def _publish(self, entry: Entry) -> None:
        self.outcomes.note(entry)
        if entry.to_do:
            self.rung.setdefault(entry.lane, []).append(order_key(entry.company, entry.order_id))
        self.events += events(entry)

    def _of(self, company: str) -> Books | None:
        if company not in self._books:
            self._books[company] = books_of(self.adapters.settings, self.adapters.connections, company)
        return self._books[company]


def _noted(failed: dict[str, str], company: str, order_id: str) -> AbstractContextManager[None]:
    """What keeps the order from the company is noted, and the message comes again.

    That may be a fault of ours. Or a row is of an unknown kind, and a newer version of this code takes the message.
    """
    note = partial(failed.setdefault, company)
    return contained(company, order_id, note, partial(note, "of an unknown kind"))

"""The storms' world with a meter on its tables, and a ledger that is full already."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

from benchmarks.dynamodb_units import CountedDynamoDB
from bookkeeping.adapters.tables.orders import entry_to_item, order_key
from bookkeeping.domain.ledger import Entry, Message, State
from bookkeeping.domain.moments import stamp
from bookkeeping.domain.order_message import read_message
from bookkeeping.domain.orders import read_order
from bookkeeping.domain.problems.problem import Problem
from local.samples import Maker
from tests.storms.dynamodb import stored
from tests.storms.environment import Environment


class Counted(Environment):
    store_class = CountedDynamoDB
    store: CountedDynamoDB

    def ids(self) -> str:
        """As long as those of production: the batch's id is in every row."""
        return str(UUID(int=self.chance.getrandbits(128)))

    def fill(self, company: str, orders: int, problem: Problem | None = None) -> None:
        """Rows of orders that were posted, or stopped, earlier. Each has a reference WEB-n of its sales channel."""
        at = datetime(2026, 10, 1, tzinfo=UTC)
        order = read_order(read_message(json.dumps(Maker().order(company, 0, 2))))
        state = State.NEEDS_ATTENTION if problem else State.POSTED
        entry = Entry(company, "1", state, Message.of(order, 1), at, at, version=3, problem=problem)
        item = stored(entry_to_item(entry))
        first = len(self.store.tables["OrdersTable"].items)
        for number in range(first, first + orders):
            key = order_key(company, str(10_000_000 + number))
            own = {
                "key": key,
                "order_id": str(10_000_000 + number),
                "list_key": f"{state}#{entry.why}#{stamp(at + timedelta(milliseconds=number))}",
                "external_ref": f"web-{number:06}",
            }
            self.store.tables["OrdersTable"].write((key,), item | own)

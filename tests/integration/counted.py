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
from tests.storms.dynamodb import Table, stored
from tests.storms.environment import Environment


class Counted(Environment):
    store_class = CountedDynamoDB
    store: CountedDynamoDB

    def ids(self) -> str:
        """As long as those of production: the batch's id is in every row."""
        return str(UUID(int=self.chance.getrandbits(128)))

    def fill(
        self,
        company: str,
        orders: int,
        problem: Problem | None = None,
        *,
        state: State = State.POSTED,
        reason: str = "",
        apart: timedelta = timedelta(milliseconds=1),
    ) -> None:
        """Rows of orders that are in that state, or stopped. Each has a reference WEB-n of its sales channel.

        They changed one after the other, after those that are there.
        """
        order = read_order(read_message(json.dumps(Maker().order(company, 0, 2))))
        state = State.NEEDS_ATTENTION if problem else state
        at = datetime(2026, 10, 1, tzinfo=UTC)
        entry = Entry(
            company, "1", state, Message.of(order, 1), at, at, version=3, reason=reason, problem=problem
        )
        item, table = stored(entry_to_item(entry)), self.store.tables["OrdersTable"]
        first = len(table.items)
        for number in range(first, first + orders):
            key = order_key(company, str(10_000_000 + number))
            own = {
                "key": key,
                "order_id": str(10_000_000 + number),
                "list_key": f"{state}#{entry.why}#{stamp(at + number * apart)}",
                "external_ref": f"web-{number:06}",
            }
            # not counted: a ledger of 50,000 orders is there within a second or two
            Table.write(table, (key,), item | own)

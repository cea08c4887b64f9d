"""What becomes of orders in a turn: into the ledger first, and then out to the bus.

An event is told again rather than never: an order stays where the next holder of the lane finds it until the bus was
told of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bookkeeping.adapters.tables.lanes import Batch
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.domain import ledger
from bookkeeping.domain.errors import AlreadyInBooks, Conflict
from bookkeeping.domain.ledger import Entry, Event, State
from bookkeeping.domain.problems.catalogue import CATALOGUE
from bookkeeping.domain.settings import freed_by
from bookkeeping.use_cases.posting.lane_holder import BODY_AT_MOST, Hold


class Teller:
    def __init__(self, hold: Hold) -> None:
        self._hold = hold

    def save(self, entry: Entry) -> None:
        hold, orders = self._hold, self._hold.edges.orders
        sibling = ledger.sibling(entry)
        to_tell = entry.state in ledger.EVENT_OF
        if to_tell:
            # it stays among what is due until the bus was told, so that a crash in between does not keep it silent
            entry = replace(entry, lane=hold.lane.key, due_at=hold.now)
        self._ring_elsewhere(entry)
        try:
            saved = orders.save(entry, sibling and order_key(sibling, entry.order_id))
        except Conflict:
            return  # a message came in between: what is due is read anew in the next round
        except AlreadyInBooks:
            skipped = ledger.skip(entry, "already_in_books", hold.now)
            self.save(replace(skipped, through=sibling or ""))
            return
        if to_tell:
            self.tell_at_last(saved)
            return
        self.tell([saved])

    def _ring_elsewhere(self, entry: Entry) -> None:
        if entry.state is State.QUEUED and entry.lane != self._hold.lane.key:
            self._hold.ring_elsewhere(entry.lane, order_key(*entry.key))

    def tell_at_last(self, entry: Entry) -> None:
        """Tell of an order that is at rest, and take it from what is due."""
        freed = self._freed_meanwhile(entry)
        if freed is not None:
            self.save(freed)
            return
        self.tell([entry])
        with contextlib.suppress(Conflict):  # a message came in between, and decided anew
            self._hold.edges.orders.save(ledger.told(entry))

    def _freed_meanwhile(self, entry: Entry) -> Entry | None:
        """The order, due anew, where what stopped it was set right since it became due: no release finds it now."""
        if entry.problem is None or entry.frozen or not entry.settings_version:
            return None
        books = self._hold.books(entry.company)
        if books.settings_version <= entry.settings_version:
            return None
        then = self._hold.edges.settings.version(entry.company, entry.settings_version)
        if not CATALOGUE[entry.problem.code].freed_by & freed_by(then, books.settings):
            return None
        return ledger.decide(entry, books, self._hold.now)

    def tell(self, entries: Iterable[Entry]) -> None:
        told: list[Event] = [event for entry in entries for event in ledger.events(entry)]
        if told:
            self._hold.edges.events.put(told)
        self._hold.tally.stopped += sum(event.type == "OrderNeedsAttention" for event in told)

    def write_outcomes(self, batch: Batch, outcomes: Sequence[Entry]) -> None:
        """Write the outcomes into the ledger and tell of them."""
        hold = self._hold
        for together in _within_a_transaction(outcomes):
            for outcome in together:
                self._ring_elsewhere(outcome)
            try:
                saved = hold.edges.orders.save_together(together, hold.lane)
            except Conflict:
                written = (self._write_outcome(batch, outcome) for outcome in together)
                saved = [entry for entry in written if entry is not None]
            # what is due again at once need not wait until an index shows it
            hold.keys += [order_key(*entry.key) for entry in saved if entry.state is State.QUEUED]
            self.tell(saved)

    def _write_outcome(self, batch: Batch, outcome: Entry) -> Entry | None:
        """One outcome, over whatever message came in meanwhile."""
        hold, orders = self._hold, self._hold.edges.orders
        while True:
            try:
                return orders.save_together([outcome], hold.lane)[0]
            except Conflict:
                now = orders.get(*outcome.key)
                if now is None or now.batch != batch.id:
                    return None
                outcome = ledger.merge(outcome, now, hold.books(batch.company), hold.now)
                self._ring_elsewhere(outcome)


def _within_a_transaction(entries: Sequence[Entry]) -> list[list[Entry]]:
    """The entries in groups whose rows fit into a transaction."""
    groups: list[list[Entry]] = []
    size = BODY_AT_MOST
    for entry in entries:
        weight = ledger.weight(entry)
        if size + weight > BODY_AT_MOST:
            groups.append([])
            size = 0
        groups[-1].append(entry)
        size += weight
    return groups

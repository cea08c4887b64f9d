"""Writes what became of orders into the ledger, and then onto the event bus.

An event may be published twice, but is never left out: until the bus has it, the next holder of the lane finds the
order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from bookkeeping.adapters.containment import contained, leaving_alone
from bookkeeping.adapters.tables.lanes import Batch
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.domain import ledger
from bookkeeping.domain.errors import Conflict
from bookkeeping.domain.events import EVENT_OF, Event, events
from bookkeeping.domain.ledger import Entry, State
from bookkeeping.domain.problems.catalogue import CATALOGUE
from bookkeeping.domain.settings import freed_by
from bookkeeping.use_cases.posting.lane_holder import BODY_AT_MOST, LaneHolder


class Publisher:
    def __init__(self, holder: LaneHolder) -> None:
        self._holder = holder

    def contained(self, entry: Entry) -> AbstractContextManager[None]:
        """A fault of ours in the block stops this order, and holds up no other."""
        return contained(
            *entry.key,
            partial(self.stop_for_our_fault, entry),
            partial(self._holder.keys.discard, order_key(*entry.key)),
        )

    def contained_row(self, item: Mapping[str, Any]) -> AbstractContextManager[None]:
        """A row that can't be read stops its order, and holds up no other."""
        return contained(
            item["company"], item["order_id"], partial(self.mark, item["company"], item["order_id"])
        )

    def stop_for_our_fault(self, entry: Entry, reference: str) -> None:
        # where even that fails, at least the row shows it
        with contained(*entry.key, partial(self.mark, *entry.key)):
            self.save(ledger.stop_for_our_fault(entry, reference, self._holder.now))

    def mark(self, company: str, order_id: str, reference: str) -> None:
        """Have the row show a fault of ours, whatever else is in it."""
        self._holder.adapters.orders.mark_our_fault(company, order_id, reference, self._holder.now)

    def save(self, entry: Entry) -> None:
        holder, orders = self._holder, self._holder.adapters.orders
        sibling = ledger.sibling(entry)
        if entry.state in EVENT_OF:
            # it stays among what is due until the bus was told, so that a crash in between does not keep it silent
            entry = replace(entry, lane=holder.lane.key, due_at=holder.now)
        self._ring_elsewhere(entry)
        try:
            saved = orders.save_once(entry, sibling, holder.now, due_in=holder.lane.key)
        except Conflict:
            return  # a message came in between: what is due is read anew in the next round
        if saved.state is State.QUEUED and saved.lane == holder.lane.key:
            holder.look_again_at([order_key(*saved.key)])
        else:
            holder.keys.discard(order_key(*saved.key))
        if saved.state in EVENT_OF:
            self.publish_and_remove(saved)
        else:
            self.publish([saved])

    def _ring_elsewhere(self, entry: Entry) -> None:
        if entry.state is State.QUEUED and entry.lane != self._holder.lane.key:
            self._holder.ring_elsewhere(entry.lane, order_key(*entry.key))

    def publish_and_remove(self, entry: Entry) -> None:
        """Publish the outcome of an order that is not queued or posting any more, and take it from what is due."""
        freed = self._freed_meanwhile(entry)
        if freed is not None:
            self.save(freed)
            return
        self._free_sibling(entry)
        self.publish([entry])
        with contextlib.suppress(Conflict):  # a message came in between, and decided anew
            self._holder.adapters.orders.save(ledger.published(entry))

    def _free_sibling(self, entry: Entry) -> None:
        """Post the order through its other company, which left it to this one, where this one skips it."""
        if entry.state is not State.SKIPPED or entry.reason == "already_in_books":
            return
        holder = self._holder
        for company in entry.message.order.companies:
            with leaving_alone(company, entry.order_id):
                other = holder.adapters.orders.get(company, entry.order_id)
                if other is None or other.through != entry.company:
                    continue
                freed = ledger.retry(other, holder.books(company), "", holder.now)
                if freed is not None:
                    self.save(freed)

    def _freed_meanwhile(self, entry: Entry) -> Entry | None:
        """The order, due anew, where what stopped it was set right since it became due: no release finds it now."""
        could_free = CATALOGUE[entry.problem.code].freed_by if entry.problem else frozenset()
        if not could_free or entry.frozen or not entry.settings_version:
            return None
        books = self._holder.books(entry.company)
        if books.settings_version <= entry.settings_version:
            return None
        then = self._holder.adapters.settings.version(entry.company, entry.settings_version)
        if not could_free & freed_by(then, books.settings):
            return None
        return ledger.decide(entry, books, self._holder.now)

    def publish(self, entries: Iterable[Entry]) -> None:
        found: list[Event] = []
        for entry in entries:
            self._holder.note_outcome(entry)
            # its row shows how it stands, even if the bus can't be told
            with contained(*entry.key):
                found += events(entry)
        if found:
            self._holder.adapters.events.put(found)
        self._holder.count(stopped=sum(event.type == "OrderNeedsAttention" for event in found))

    def write_outcomes(
        self,
        batch: Batch,
        outcomes: Sequence[Entry],
        each: Callable[[Entry], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Write the outcomes into the ledger and publish them. `each` is the context of one written alone."""
        holder = self._holder
        self._write_side_by_side(batch, [one for one in outcomes if batch.kind in one.documents], each)
        outcomes = [outcome for outcome in outcomes if batch.kind not in outcome.documents]
        for group in _within_a_transaction(outcomes):
            together: list[Entry] = []
            for outcome in group:
                with each(outcome):
                    self._ring_elsewhere(outcome)
                    together.append(outcome)
            saved: list[Entry] | None = None
            with contained(batch.company), contextlib.suppress(Conflict):
                saved = holder.adapters.orders.save_together(together, holder.lane)
            if saved is None:
                saved = []
                for outcome in together:
                    with each(outcome):
                        saved += self._write_outcome(batch, outcome)
            self.publish_outcomes(saved)

    def _write_side_by_side(
        self,
        batch: Batch,
        outcomes: Sequence[Entry],
        each: Callable[[Entry], AbstractContextManager[object]],
    ) -> None:
        """Write outcomes side by side, since none depends on another, and publish those that were written."""
        adapters = self._holder.adapters

        def write(outcome: Entry) -> list[Entry]:
            with each(outcome):
                return self._write_outcome(batch, outcome)
            return []

        writes = [adapters.start(partial(write, outcome)) for outcome in outcomes]
        while waiting := [one for one in writes if not one.done()]:
            adapters.await_first(waiting)
        self.publish_outcomes([entry for one in writes if one.exception() is None for entry in one.result()])
        for one in writes:
            one.result()

    def publish_outcomes(self, saved: Sequence[Entry]) -> None:
        """Tell of outcomes that are in the ledger, and go on with the orders that are due again."""
        # what is due again at once need not wait until an index shows it
        self._holder.look_again_at(order_key(*entry.key) for entry in saved if entry.to_do)
        self.publish(saved)

    def _write_outcome(self, batch: Batch, outcome: Entry) -> list[Entry]:
        """Write one outcome, also where a message has changed the row meanwhile. What was saved."""
        holder, orders = self._holder, self._holder.adapters.orders
        while True:
            self._ring_elsewhere(outcome)
            try:
                # That a document is in the books stays true even if another process has the lane by now. So it is
                # enough to check the row's version, which costs half. Other conclusions may be outdated then.
                if batch.kind in outcome.documents:
                    return [orders.save(outcome)]
                return orders.save_together([outcome], holder.lane)
            except Conflict:
                now = orders.get(*outcome.key)
                if now is None or now.batch != batch.id:
                    # perhaps by this very write, which boto3 repeated after a lost answer: then it is not published
                    return [now] if now is not None and now.settled_in == batch.id else []
                outcome = ledger.merge(outcome, now, holder.books(batch.company), holder.now)


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

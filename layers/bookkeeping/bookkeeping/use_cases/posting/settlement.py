"""Settling batches: those whose outcome is unknown, and those just answered.

An unknown outcome is settled by sending the same again under the same Idempotency-Key, while Xero surely remembers
it, and by the documents' numbers from then on. Documents are only ever created (PUT), and Xero takes a number once:
the worst a late or doubled call can do is to be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.tables.lanes import Batch
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.adapters.xero_api import Answered, answered
from bookkeeping.domain import ledger
from bookkeeping.domain.documents import carries_ref, item_code
from bookkeeping.domain.errors import (
    CallRefused,
    CompanyHeld,
    KeyReused,
    Offline,
    OutcomeUnknown,
    TurnEnds,
    Unreadable,
    XeroError,
)
from bookkeeping.domain.ledger import Entry, State
from bookkeeping.domain.pacing import FAILS, IN_VAIN, back_off
from bookkeeping.domain.problems.problem import OrderStopped
from bookkeeping.domain.problems.xero_messages import refusals
from bookkeeping.use_cases.posting import outcomes as outcome_of
from bookkeeping.use_cases.posting.company_turn import CompanyTurn, ReadyBatch, ReadyDocument
from bookkeeping.use_cases.posting.lane_holder import LaneHolder
from bookkeeping.use_cases.posting.publishing import Publisher

MOST_PAGES: Final = 3
"""Up to so many purchase orders are read one by one. More are looked for in a list, if it has no more pages."""


class Settlement:
    def __init__(self, holder: LaneHolder, publisher: Publisher) -> None:
        self._holder = holder
        self._publisher = publisher
        self.next_at: list[datetime] = []
        """When batches are to be settled whose time has not come."""
        self._begun: set[str] = set()
        """Batches that this turn wrote down."""
        self._listed: set[str] = set()
        """Batches whose purchase orders this turn has listed."""
        self._at_fault: set[str] = set()
        """Batches with orders that a fault of ours keeps from their outcome."""
        self._out: dict[Future[list[Answered] | Exception], tuple[Batch, ReadyBatch]] = {}
        """Batches whose calls are out, or whose answers are not settled yet."""

    # --- faults of ours

    def _contained(self, batch: Batch, entry: Entry | None = None) -> AbstractContextManager[None]:
        """A fault of ours in the block leaves the order's outcome unknown; or the batch's, where no order is given.

        It is then looked up by number. If that fails as well, the orders show it. They stay in the batch.
        """
        order_id = entry.order_id if entry else ""
        return contained(
            batch.company,
            order_id,
            partial(self._note_fault, batch, entry),
            partial(self._keep_open, batch, entry),
        )

    def _note_fault(self, batch: Batch, entry: Entry | None, reference: str) -> None:
        self._at_fault.add(batch.id)
        # the event of an outcome may not be out: it is published again when the batch is finished
        self._begun.discard(batch.id)
        if batch.faults:
            for frozen in self._frozen_by(batch):
                if frozen.state is State.POSTING and (entry is None or frozen.key == entry.key):
                    self._publisher.stop_for_our_fault(frozen, reference)
        if entry is None:
            self._look_up_later(batch)

    def _keep_open(self, batch: Batch, entry: Entry | None) -> None:
        """A row that the batch needs is of an unknown kind: the batch is not finished without it."""
        self._at_fault.add(batch.id)
        if entry is None:
            self._look_up_later(batch)

    @contextmanager
    def _contained_row(self, batch: Batch, item: Mapping[str, Any]) -> Iterator[None]:
        """A row that can't be read does not hold up the other orders of its batch, but the batch is not finished."""
        read = False
        with self._publisher.contained_row(item):
            yield
            read = True
        if not read and item.get("batch") == batch.id:
            self._at_fault.add(batch.id)

    def _look_up_later(self, batch: Batch) -> None:
        now, waits, tries = self._holder.now, self._holder.adapters.waits, batch.tries + 1
        wait = back_off(tries, waits.settle_again, waits.organisation_offline, self._holder.adapters.chance)
        self._later(batch, at=now + wait, by_number=True, unknown_at=now, tries=tries)

    # --- what was never answered

    def settle_due(self) -> None:
        """Settle what was sent and never answered, as far as its time has come."""
        self.next_at = []
        out = {batch.id for batch, _ in self._out.values()}
        for batch in self._holder.adapters.lanes.batches(self._holder.lane.key):
            if batch.id in out:
                continue
            self.settle_answered()
            if batch.settle_at is not None and batch.settle_at > self._holder.now:
                self.next_at.append(batch.settle_at)
                continue
            self._holder.check_time(self._holder.adapters.waits.turn)
            with suppress(CompanyHeld), self._contained(batch):
                self._settle(batch)

    def _settle(self, batch: Batch) -> None:
        entries = self._frozen_by(batch)
        if not entries:
            self._finish(batch)
            return
        books = self._holder.books(batch.company)
        connection = books.connection
        if batch.company in self._holder.held or connection is None or not books.open:
            # the numbers can be looked up in the batch's own organisation only, once it is connected again
            return
        if connection.organisation_id != batch.organisation_id:
            # a person confirmed another organisation: what became of the batch can't be looked up any more
            self._settle_each(
                batch, entries, lambda entry: ledger.settle_moved(entry, connection, self._holder.now)
            )
            self._finish(batch)
            return
        batch = self._unanswered(batch)
        company_turn = CompanyTurn.of(books, self._holder, self._publisher)
        ready_documents, unbuilt = self._rebuilt(company_turn, batch, entries)
        ready_batch = ReadyBatch(company_turn, batch.kind, tuple(ready_documents), full=False)
        fresh = self._holder.now - batch.first_sent_at < self._holder.adapters.waits.same_key
        if (
            fresh
            and self._holder.is_here(books)
            and not batch.by_number
            and not unbuilt
            and len(ready_documents) <= batch.at_most
            and ready_batch.hash == batch.body_hash
            and books.may_send
        ):
            self._resend(batch, ready_batch)
            return
        self._settle_by_number(batch, ready_batch, unbuilt)

    def _unanswered(self, batch: Batch) -> Batch:
        """The batch of a turn that ended before the answer: that a later call is refused does not undo the first."""
        if batch.unknown_at is not None or batch.id in self._begun:
            return batch
        return replace(batch, unknown_at=batch.first_sent_at)

    def _frozen_by(self, batch: Batch) -> list[Entry]:
        keys = {
            order_key(batch.company, planned.order_id): place for place, planned in enumerate(batch.documents)
        }
        read = self._holder.adapters.orders.get_many(keys, partial(self._contained_row, batch))
        entries = [entry for entry in read if entry.batch == batch.id]
        return sorted(entries, key=lambda entry: keys[order_key(*entry.key)])

    def _rebuilt(
        self, company_turn: CompanyTurn, batch: Batch, entries: Sequence[Entry]
    ) -> tuple[list[ReadyDocument], list[Entry]]:
        """The batch's documents as they would be sent now, and the orders that can't have theirs any more."""
        ready_documents: list[ReadyDocument] = []
        unbuilt: list[Entry] = []
        codes: set[str] = set()
        for entry in entries:
            with contained(*entry.key):
                codes |= {code for line in entry.message.order.lines if (code := item_code(line.sku))}
        company_turn.items.recall(sorted(codes))
        for entry in entries:
            ready: ReadyDocument | None = None
            with contained(*entry.key), suppress(OrderStopped):
                ready = company_turn.ready(entry)
            if ready is not None and ready.document.kind == batch.kind:
                ready_documents.append(ready)
            else:
                unbuilt.append(entry)
        return ready_documents, unbuilt

    def _resend(self, batch: Batch, ready_batch: ReadyBatch) -> None:
        holder = self._holder
        holder.await_budget()
        if ready_batch.company_turn.outdated():
            # whether it may be sent is decided anew
            self._later(batch, at=holder.now, by_number=True)
            return
        # should this process end before the answer comes, the call may be carried out all the same
        holder.adapters.lanes.update_batch(replace(batch, unknown_at=holder.now), holder.lane)
        self._start(batch, ready_batch)

    def _settle_by_number(self, batch: Batch, ready_batch: ReadyBatch, unbuilt: Sequence[Entry]) -> None:
        """Look up which documents are there; send the others again under a new key, or free their orders.

        What had no usable answer several times is sent in parts, each of them in turn. So a document that Xero always
        fails on is alone in the end, and an outage costs no more calls than one for the whole batch would.
        """
        company_turn, waits = ready_batch.company_turn, self._holder.adapters.waits
        unknown_at = batch.unknown_at or batch.first_sent_at
        over = self._holder.now - unknown_at >= waits.late_commit
        ready_documents: Sequence[ReadyDocument] = ready_batch.ready_documents
        if batch.in_vain <= IN_VAIN and not self._holder.tries_in_vain(batch.company):
            # what goes on failing must not use up the day's calls
            ready_documents = self._settle_listed(batch, company_turn, ready_documents)
        may_send = company_turn.books.may_send
        if not may_send and batch.kind == "purchase_order":
            entries = [*(ready.entry for ready in ready_documents), *unbuilt]
            self._settle_singly(batch, company_turn, entries, unknown_at + waits.late_commit)
            return
        given_up = batch.documents[-1].order_id if batch.gives_up and may_send else ""
        to_send = [ready for ready in ready_documents if may_send and ready.entry.order_id != given_up]
        # a purchase order's number that is there is refused: cheaper than reading them one by one
        unread = to_send if batch.kind == "purchase_order" else []
        looked_up = [
            *(ready.entry for ready in ready_documents if ready not in unread),
            *unbuilt,
        ]
        absent = self._by_number(batch, company_turn, looked_up)
        absent_ids = {entry.order_id for entry in absent}
        left = [ready for ready in to_send if ready in unread or ready.entry.order_id in absent_ids]
        stuck = [entry for entry in absent if all(ready.entry is not entry for ready in left)]
        if over:
            self._settle_each(
                batch,
                stuck,
                lambda entry: (
                    outcome_of.in_vain(batch, company_turn, entry)
                    if entry.order_id == given_up
                    else ledger.settle_unsent(entry, company_turn.books, self._holder.now)
                ),
            )
            stuck = []
        elif given_up and stuck:
            # another call would put off the moment from which absence counts
            left = []
        if not left:
            if stuck:
                self._later(batch, at=unknown_at + waits.late_commit)
            else:
                self._finish(batch)
            return
        again = replace(ready_batch, ready_documents=tuple(left[: batch.at_most]))
        key = f"{batch.organisation_id}:{self._holder.adapters.new_id()}"
        unknown = {before.order_id: before.unknown for before in batch.documents}
        planned = {
            ready.entry.order_id: replace(ready.planned, unknown=unknown.get(ready.entry.order_id, {}))
            for ready in again.ready_documents
        }
        others = [before for before in batch.documents if before.order_id not in planned]
        renewed = replace(
            batch,
            # what goes out now is the last to go out again
            documents=(*others, *planned.values()),
            idempotency_key=key,
            body_hash=again.hash,
            first_sent_at=self._holder.now,
            unknown_at=unknown_at,
            by_number=False,
            settle_at=None,
            gives_up=False,
        )
        self._resend(renewed, again)

    def _settle_singly(
        self, batch: Batch, company_turn: CompanyTurn, entries: Sequence[Entry], counts_from: datetime
    ) -> None:
        """Read purchase orders that may not be sent again, from when on absence counts.

        There may be more of them than a turn has calls: each gets its outcome before the next one is read.
        """
        if entries and self._holder.now < counts_from:
            self._later(batch, at=counts_from)
            return
        for entry in entries:
            self._settle_each(
                batch,
                self._by_number(batch, company_turn, [entry]),
                lambda absent: ledger.settle_unsent(absent, company_turn.books, self._holder.now),
            )
        self._finish(batch)

    def _later(self, batch: Batch, at: datetime, **changes: Any) -> None:
        """Settle the batch at that moment, not before."""
        settle_at = max(at, self._holder.now + timedelta(milliseconds=1))
        faults = batch.faults + (batch.id in self._at_fault)
        self._at_fault.discard(batch.id)
        self._holder.adapters.lanes.update_batch(
            replace(batch, settle_at=settle_at, faults=faults, **changes), self._holder.lane
        )
        self.next_at.append(settle_at)

    # --- what was just answered

    @property
    def anything_out(self) -> bool:
        """Whether a batch was sent whose answer is not settled yet."""
        return bool(self._out)

    @property
    def contact_ids_out(self) -> set[str]:
        """The contacts of the batches that are out."""
        return {id_ for _, ready_batch in self._out.values() for id_ in ready_batch.contact_ids}

    def send(self, batch: Batch, ready_batch: ReadyBatch) -> None:
        """Send a batch that this turn has written down. Its answer is settled when it has come."""
        self._begun.add(batch.id)
        self._start(batch, ready_batch)

    def _start(self, batch: Batch, ready_batch: ReadyBatch) -> None:
        xero, access = self._holder.adapters.xero, ready_batch.company_turn.access
        kind, key, bodies = batch.kind, batch.idempotency_key, ready_batch.bodies
        call = self._holder.start(lambda observe: xero.create(kind, bodies, access, key, observe))
        self._out[call] = batch, ready_batch

    def settle_answered(self) -> None:
        """Settle what has come back. Raises TurnEnds."""
        for call in [call for call in self._out if call.done()]:
            batch, ready_batch = self._out.pop(call)
            with suppress(CompanyHeld), self._contained(batch):
                self._settle_answer(batch, ready_batch, call.result())

    def settle_next(self) -> None:
        """Wait until an answer has come back, and settle it. Raises TurnEnds."""
        self._holder.await_first(self._out)
        self.settle_answered()

    def settle_all(self) -> datetime | None:
        """Wait for all that is out, and settle it. When the turn may go on, if an answer ends it."""
        ends: list[datetime] = []
        while self._out:
            try:
                self.settle_next()
            except TurnEnds as ended:
                ends.append(ended.args[0])
        return max(ends, default=None)

    def _settle_answer(
        self, batch: Batch, ready_batch: ReadyBatch, answer: list[Answered] | Exception
    ) -> None:
        if isinstance(answer, XeroError):
            self._settle_error(batch, ready_batch, answer)
            return
        if isinstance(answer, Exception):
            raise answer
        self._holder.note_answer(batch.company, created=any(answered.ok for answered in answer))
        by_number = {answered.number: answered for answered in answer}
        if len(answer) == len(ready_batch.ready_documents) and not all(
            answered.number for answered in answer
        ):
            # refused elements may come without their number; the order of the elements is all there is then
            numbers = (ready.document.number for ready in ready_batch.ready_documents)
            by_number = dict(zip(numbers, answer, strict=True))
        outcomes: list[Entry] = []
        taken: list[ReadyDocument] = []
        held_back = False
        for ready in ready_batch.ready_documents:
            answered = by_number.get(ready.document.number)
            if answered is None:
                continue
            with self._contained(batch, ready.entry):
                if answered.ok:
                    outcomes.append(
                        outcome_of.posted(
                            batch, ready_batch.company_turn, ready.entry, answered, ready.document
                        )
                    )
                elif "number" in refusals(answered.messages):
                    taken.append(ready)
                elif self._may_yet_arrive(batch):
                    held_back = True
                else:
                    outcomes.append(
                        outcome_of.refused(
                            ready_batch.company_turn, ready.entry, batch.kind, answered.messages
                        )
                    )
        self._write(batch, outcomes)
        settled = len(outcomes) + self._settle_taken(batch, ready_batch, taken)
        if settled == len(ready_batch.ready_documents):
            self._finish(batch, sent=settled)
        else:
            self._settle_rest(batch, patiently=held_back)

    def _settle_taken(self, batch: Batch, ready_batch: ReadyBatch, taken: Sequence[ReadyDocument]) -> int:
        """Settle orders whose number Xero says is taken; how many have their outcome."""
        company_turn = ready_batch.company_turn
        unlisted = self._settle_listed(batch, company_turn, taken)
        absent = self._by_number(batch, company_turn, [ready.entry for ready in unlisted])
        if self._may_yet_arrive(batch):
            return len(taken) - len(absent)
        # refused as taken and yet nowhere to be found: the number belongs to something we may not see
        self._settle_each(batch, absent, lambda entry: outcome_of.number_taken(batch, company_turn, entry))
        return len(taken)

    def _settle_rest(self, batch: Batch, *, patiently: bool) -> None:
        """Orders of the batch have no outcome: look their numbers up, soon or when nothing can arrive any more."""
        unknown_at = batch.unknown_at or self._holder.now
        waits = self._holder.adapters.waits
        at = unknown_at + waits.late_commit if patiently else self._holder.now + waits.settle_again
        self._later(batch, at=at, by_number=True, unknown_at=unknown_at, tries=batch.tries + 1)

    def _may_yet_arrive(self, batch: Batch) -> bool:
        """Whether an earlier call for the batch that gave no answer may still be carried out."""
        return (
            batch.unknown_at is not None
            and self._holder.now - batch.unknown_at < self._holder.adapters.waits.late_commit
        )

    def _settle_error(self, batch: Batch, ready_batch: ReadyBatch, error: XeroError) -> None:
        waits = self._holder.adapters.waits
        if isinstance(error, OutcomeUnknown):
            self._holder.count(unknown=1)
            if batch.tries < FAILS and not isinstance(error, Offline):
                # what goes on failing must not use up the day's calls for look-ups
                ready_batch.company_turn.doubt_contacts(ready_batch, batch.first_sent_at)
            tries = batch.tries + 1
            wait = back_off(
                tries, waits.settle_again, waits.organisation_offline, self._holder.adapters.chance
            )
            self._later(
                batch,
                at=self._holder.now + wait,
                unknown_at=self._holder.now,
                tries=tries,
                by_number=batch.by_number or error.answered,
                **({} if isinstance(error, Offline) else self._in_vain(batch, ready_batch, error)),
            )
            if isinstance(error, Offline):
                self._holder.handle_failure(batch.company, error)
            return
        if isinstance(error, KeyReused):
            self._later(
                batch, at=self._holder.now, by_number=True, unknown_at=batch.unknown_at or self._holder.now
            )
            return
        if isinstance(error, CallRefused):
            self._holder.note_token_taken(batch.company)
            self._settle_call_refused(batch, ready_batch, error)
            return
        # nothing was done
        if batch.unknown_at is None:
            self._free(batch, ready_batch, at_most=None)
        else:
            self._later(batch, at=self._holder.now + waits.settle_again)
        self._holder.handle_failure(batch.company, error)

    def _in_vain(self, batch: Batch, ready_batch: ReadyBatch, error: OutcomeUnknown) -> dict[str, Any]:
        """What one more call without a usable answer makes of the batch: one document may be what it fails on."""
        now, waits, sent = self._holder.now, self._holder.adapters.waits, len(ready_batch.ready_documents)
        times, since = batch.in_vain + 1, batch.in_vain_since or now
        unreadable = batch.unreadable + isinstance(error, Unreadable)
        works = unreadable > 0 or self._holder.lane.created_at > since
        works_since = batch.works_since or (now if works else None)
        too_long = now - since >= waits.in_vain_at_most or (
            works_since is not None and now - works_since >= waits.in_vain
        )
        return {
            "in_vain": times,
            "in_vain_since": since,
            "works_since": works_since,
            "unreadable": unreadable,
            "at_most": batch.at_most if times < IN_VAIN else max(1, sent // 2),
            "gives_up": sent == 1 and too_long,
        }

    def _free(self, batch: Batch, ready_batch: ReadyBatch, at_most: int | None) -> None:
        """Certainly nothing of it is in the books: all its orders are due again."""
        books = ready_batch.company_turn.books
        self._settle_each(
            batch,
            [ready.entry for ready in ready_batch.ready_documents],
            lambda entry: ledger.settle_unsent(entry, books, self._holder.now, at_most=at_most),
        )
        self._finish(batch, sent=len(ready_batch.ready_documents))

    def _settle_call_refused(self, batch: Batch, ready_batch: ReadyBatch, error: CallRefused) -> None:
        """Xero refused the call as a whole: find the document at fault, and let the others go."""
        if self._may_yet_arrive(batch):
            self._settle_rest(batch, patiently=True)
            return
        at_fault = [answered(batch.kind, element) for element in error.elements]
        refused = {element.number: element.messages for element in at_fault if element.explained}
        named = [ready for ready in ready_batch.ready_documents if ready.document.number in refused]
        if not named and len(ready_batch.ready_documents) > 1:
            self._free(batch, ready_batch, at_most=max(1, len(ready_batch.ready_documents) // 2))
            return
        if not named and "number" in refusals(error.messages):
            self._settle_taken(batch, ready_batch, ready_batch.ready_documents)
            self._finish(batch, sent=1)
            return
        if not named:
            self._settle_each(
                batch,
                [ready_batch.ready_documents[0].entry],
                lambda entry: outcome_of.refused_alone(batch, ready_batch.company_turn, entry, error),
            )
            self._finish(batch, sent=1)
            return
        taken = [ready for ready in named if "number" in refusals(refused[ready.document.number])]
        settled = self._settle_each(
            batch,
            [ready.entry for ready in named if ready not in taken],
            lambda entry: outcome_of.refused(
                ready_batch.company_turn, entry, batch.kind, refused[entry.number]
            ),
        )
        settled += self._settle_taken(batch, ready_batch, taken)
        if settled == len(ready_batch.ready_documents):
            self._finish(batch, sent=settled)
        else:
            # the good ones of such a call may have been created all the same
            self._settle_rest(batch, patiently=False)

    # --- by number

    def _by_number(self, batch: Batch, company_turn: CompanyTurn, entries: Sequence[Entry]) -> list[Entry]:
        """Give each order whose number is in the books its outcome; the orders whose number is not there."""
        if batch.kind == "purchase_order":
            absent: list[Entry] = []
            for entry in entries:
                with self._contained(batch, entry):
                    if not self._purchase_order_by_number(batch, company_turn, entry):
                        absent.append(entry)
            return absent
        if not entries:
            return []
        access, xero = company_turn.access, self._holder.adapters.xero
        numbers = [entry.number for entry in entries]
        listed = self._holder.call(
            batch.company, lambda observe: xero.invoices_by_number(numbers, access, observe)
        )
        # a live one before a dead one under the same number
        found = {
            invoice.number: invoice for invoice in sorted(listed, key=lambda one: not one.void_or_deleted)
        }
        there = [entry for entry in entries if entry.number in found]
        ours: set[str] = set()
        for entry in there:
            with self._contained(batch, entry):
                if carries_ref(found[entry.number].reference, entry.message.order):
                    ours.add(entry.number)
        doubtful = [entry.number for entry in there if entry.number not in ours]
        if doubtful:
            mine = self._holder.call(
                batch.company,
                lambda observe: xero.invoices_by_number(doubtful, access, observe, created_by_my_app=True),
            )
            ours |= {invoice.number for invoice in mine}
        self._settle_each(
            batch,
            there,
            lambda entry: outcome_of.found(
                batch, company_turn, entry, found[entry.number], ours=entry.number in ours
            ),
        )
        return [entry for entry in entries if entry.number not in found]

    def _settle_listed(
        self, batch: Batch, company_turn: CompanyTurn, ready_documents: Sequence[ReadyDocument]
    ) -> Sequence[ReadyDocument]:
        """Give an outcome to the purchase orders that Xero lists under their dates, once in a turn. Returns the others.

        One that is not listed may be there all the same, under another date or deleted: Xero then refuses its number.
        """
        if batch.kind != "purchase_order" or len(ready_documents) <= MOST_PAGES or batch.id in self._listed:
            return ready_documents
        self._listed.add(batch.id)
        xero, access = self._holder.adapters.xero, company_turn.access
        days = sorted(ready.document.body["Date"] for ready in ready_documents)
        wanted = {ready.document.number for ready in ready_documents}
        found: dict[str, Answered] = {}
        page = pages = 1
        while page <= pages <= MOST_PAGES and len(found) < len(wanted):
            list_page = partial(xero.purchase_orders, days[0], days[-1], page, access)
            listed, pages = self._holder.call(batch.company, list_page)
            found |= {one.number: one for one in listed if one.number in wanted}
            page += 1
        self._settle_each(
            batch,
            [ready.entry for ready in ready_documents if ready.document.number in found],
            lambda entry: outcome_of.found(
                batch,
                company_turn,
                entry,
                found[entry.number],
                ours=carries_ref(found[entry.number].reference, entry.message.order),
            ),
        )
        return [ready for ready in ready_documents if ready.document.number not in found]

    def _purchase_order_by_number(self, batch: Batch, company_turn: CompanyTurn, entry: Entry) -> bool:
        """Read one purchase order by its number and write its outcome. False if Xero does not have it."""
        xero, access = self._holder.adapters.xero, company_turn.access
        found = self._holder.call(
            batch.company, lambda observe: xero.purchase_order(entry.number, access, observe)
        )
        if found is None:
            return False
        ours = carries_ref(found.reference, entry.message.order)
        self._write(batch, [outcome_of.found(batch, company_turn, entry, found, ours=ours)])
        return True

    # --- outcomes

    def _settle_each(self, batch: Batch, entries: Sequence[Entry], outcome: Callable[[Entry], Entry]) -> int:
        """Give each order its outcome; how many have it. Those that a fault of ours keeps from it stay in the batch."""
        outcomes: list[Entry] = []
        for entry in entries:
            with self._contained(batch, entry):
                outcomes.append(outcome(entry))
        self._write(batch, outcomes)
        return len(outcomes)

    def _write(self, batch: Batch, outcomes: Sequence[Entry]) -> None:
        self._publisher.write_outcomes(batch, outcomes, partial(self._contained, batch))

    def _finish(self, batch: Batch, sent: int | None = None) -> None:
        """Every order of the batch has its outcome: publish those whose event may not be out, then delete the record.

        A call may have carried only `sent` of its documents. Then the others go out, twice as many in a call.
        """
        if batch.id in self._at_fault:
            self._look_up_later(batch)
            return
        if sent is not None and sent < len(batch.documents) and self._frozen_by(batch):
            self._later(batch, at=self._holder.now, by_number=True, tries=0, at_most=2 * sent)
            return
        if batch.id not in self._begun:
            keys = [order_key(batch.company, planned.order_id) for planned in batch.documents]
            entries = self._holder.adapters.orders.get_many(keys)
            self._publisher.publish_outcomes([entry for entry in entries if entry.settled_in == batch.id])
        self._holder.adapters.lanes.delete_batch(batch)

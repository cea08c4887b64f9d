"""Settling batches: those whose outcome is unknown, and those just answered.

An unknown outcome is settled by sending the same again under the same Idempotency-Key, while Xero surely remembers
it, and by the documents' numbers from then on. Documents are only ever created (PUT), and Xero takes a number once:
the worst a late or doubled call can do is to be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bookkeeping.adapters.tables.lanes import Batch
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.adapters.xero_api import Answered, Observe, answered
from bookkeeping.domain import ledger
from bookkeeping.domain.documents import carries_ref, item_code
from bookkeeping.domain.errors import CallRefused, KeyReused, Offline, OutcomeUnknown, XeroError
from bookkeeping.domain.ledger import Entry
from bookkeeping.domain.pacing import back_off
from bookkeeping.domain.problems.catalogue import OrderStopped, refusals
from bookkeeping.use_cases.posting import outcomes as judging
from bookkeeping.use_cases.posting.company_turn import Desk, Sheet, Stack
from bookkeeping.use_cases.posting.lane_holder import CompanyHeld, Hold, TurnEnds
from bookkeeping.use_cases.posting.publishing import Teller


class Settlement:
    def __init__(self, hold: Hold, teller: Teller) -> None:
        self._hold = hold
        self._teller = teller
        self.next_at: list[datetime] = []
        """When batches are to be settled whose time has not come."""
        self._begun: set[str] = set()
        """Batches that this turn wrote down."""

    # --- what was never answered

    def settle_due(self) -> None:
        """Settle what was sent and never answered, as far as its time has come."""
        self.next_at = []
        for batch in self._hold.edges.lanes.batches(self._hold.lane.key):
            if batch.settle_at is not None and batch.settle_at > self._hold.now:
                self.next_at.append(batch.settle_at)
                continue
            self._hold.go_on(self._hold.edges.waits.turn)
            try:
                self._settle(batch)
            except CompanyHeld:
                continue

    def _settle(self, batch: Batch) -> None:
        entries = self._frozen_by(batch)
        if not entries:
            self._finish(batch)
            return
        books = self._hold.books(batch.company)
        connection = books.connection
        if batch.company in self._hold.held or connection is None or not books.open:
            # the numbers can be looked up in the batch's own organisation only, once it is connected again
            return
        if connection.organisation_id != batch.organisation_id:
            # a person confirmed another organisation: what became of the batch can't be looked up any more
            moved = [ledger.settle_moved(entry, connection, self._hold.now) for entry in entries]
            self._teller.write_outcomes(batch, moved)
            self._finish(batch)
            return
        batch = self._unanswered(batch)
        desk = Desk.of(books, self._hold, self._teller)
        sheets, unbuilt = self._rebuilt(desk, batch, entries)
        stack = Stack(desk, batch.kind, tuple(sheets), full=False)
        fresh = self._hold.now - batch.first_sent_at < self._hold.edges.waits.same_key
        if (
            fresh
            and self._hold.is_here(books)
            and not batch.by_number
            and not unbuilt
            and stack.hash == batch.body_hash
            and books.settings.enabled
        ):
            self._resend(batch, stack)
            return
        self._settle_by_number(batch, stack, unbuilt)

    def _unanswered(self, batch: Batch) -> Batch:
        """The batch of a turn that ended before the answer: that a later call is refused does not undo the first."""
        if batch.unknown_at is not None or batch.id in self._begun:
            return batch
        return replace(batch, unknown_at=batch.first_sent_at)

    def _frozen_by(self, batch: Batch) -> list[Entry]:
        keys = {
            order_key(batch.company, planned.order_id): place for place, planned in enumerate(batch.documents)
        }
        entries = [entry for entry in self._hold.edges.orders.get_many(keys) if entry.batch == batch.id]
        return sorted(entries, key=lambda entry: keys[order_key(*entry.key)])

    def _rebuilt(self, desk: Desk, batch: Batch, entries: Sequence[Entry]) -> tuple[list[Sheet], list[Entry]]:
        """The batch's documents as they would be sent now, and the orders that can't have theirs any more."""
        sheets: list[Sheet] = []
        unbuilt: list[Entry] = []
        codes = {
            code for entry in entries for line in entry.message.order.lines if (code := item_code(line.sku))
        }
        desk.items = self._hold.edges.organisations.items(desk.access.organisation_id, sorted(codes))
        for entry in entries:
            try:
                sheet = desk.sheet(entry)
            except OrderStopped:
                sheet = None
            if sheet is not None and sheet.document.kind == batch.kind:
                sheets.append(sheet)
            else:
                unbuilt.append(entry)
        return sheets, unbuilt

    def _resend(self, batch: Batch, stack: Stack) -> None:
        self._hold.await_budget()
        self._dispatch([(batch, stack)])

    def _settle_by_number(self, batch: Batch, stack: Stack, unbuilt: Sequence[Entry]) -> None:
        """Look up which documents are there; send the others again under a new key, or free their orders."""
        desk, waits = stack.desk, self._hold.edges.waits
        unknown_at = batch.unknown_at or batch.first_sent_at
        over = self._hold.now - unknown_at >= waits.late_commit
        may_send = desk.books.settings.enabled and not (over and batch.timed_out > 1)
        # a purchase order's number that is there is refused: cheaper than reading them one by one
        send_unread = batch.kind == "purchase_order" and may_send
        looked_up = [*([] if send_unread else [sheet.entry for sheet in stack.sheets]), *unbuilt]
        absent = self._by_number(batch, desk, looked_up)
        absent_ids = {entry.order_id for entry in absent}
        left = [
            sheet
            for sheet in stack.sheets
            if may_send and (send_unread or sheet.entry.order_id in absent_ids)
        ]
        stuck = [entry for entry in absent if all(sheet.entry is not entry for sheet in left)]
        if over:
            half = max(1, len(batch.documents) // 2) if batch.timed_out > 1 else None
            self._teller.write_outcomes(
                batch,
                [ledger.settle_unsent(entry, desk.books, self._hold.now, at_most=half) for entry in stuck],
            )
            stuck = []
        if not left:
            if stuck:
                self._later(batch, at=unknown_at + waits.late_commit)
            else:
                self._finish(batch)
            return
        again = replace(stack, sheets=tuple(left))
        key = f"{batch.organisation_id}:{self._hold.edges.new_id()}"
        renewed = replace(
            batch,
            idempotency_key=key,
            body_hash=again.hash,
            first_sent_at=self._hold.now,
            unknown_at=unknown_at,
            by_number=False,
            settle_at=None,
        )
        self._hold.edges.lanes.update_batch(renewed, self._hold.lane)
        self._resend(renewed, again)

    def _later(self, batch: Batch, at: datetime, **changes: Any) -> None:
        """Settle the batch at that moment, not before."""
        settle_at = max(at, self._hold.now + timedelta(milliseconds=1))
        self._hold.edges.lanes.update_batch(replace(batch, settle_at=settle_at, **changes), self._hold.lane)
        self.next_at.append(settle_at)

    # --- what was just answered

    def send(self, begun: Sequence[tuple[Batch, Stack]]) -> None:
        """Send the batches that this turn has written down, together, and settle what comes back."""
        self._begun |= {batch.id for batch, _ in begun}
        self._dispatch(begun)

    def _dispatch(self, begun: Sequence[tuple[Batch, Stack]]) -> None:
        ends: TurnEnds | None = None
        for (batch, stack), answer in zip(begun, self._answers(begun), strict=True):
            try:
                self._settle_answer(batch, stack, answer)
            except TurnEnds as ended:
                ends = ended
            except CompanyHeld:
                continue
        if ends is not None:
            raise ends

    def _answers(self, begun: Sequence[tuple[Batch, Stack]]) -> list[list[Answered] | XeroError]:
        def create(batch: Batch, stack: Stack) -> Callable[[Observe], list[Answered]]:
            return lambda observe: self._hold.edges.xero.create(
                batch.kind, stack.bodies, stack.desk.access, batch.idempotency_key, observe
            )

        return self._hold.answers([create(batch, stack) for batch, stack in begun])

    def _settle_answer(self, batch: Batch, stack: Stack, answer: list[Answered] | XeroError) -> None:
        if isinstance(answer, XeroError):
            self._settle_error(batch, stack, answer)
            return
        self._hold.recover(batch.company)
        by_number = {answered.number: answered for answered in answer}
        if len(answer) == len(stack.sheets) and not all(answered.number for answered in answer):
            # refused elements may come without their number; the order of the elements is all there is then
            numbers = (sheet.document.number for sheet in stack.sheets)
            by_number = dict(zip(numbers, answer, strict=True))
        outcomes: list[Entry] = []
        taken: list[Entry] = []
        held_back = False
        for sheet in stack.sheets:
            answered = by_number.get(sheet.document.number)
            if answered is None:
                continue
            if answered.ok:
                outcomes.append(judging.posted(batch, stack.desk, sheet.entry, answered, sheet.document))
            elif "number" in refusals(answered.messages):
                taken.append(sheet.entry)
            elif self._may_yet_arrive(batch):
                held_back = True
            else:
                outcomes.append(judging.refused(stack.desk, sheet.entry, batch.kind, answered.messages))
        self._teller.write_outcomes(batch, outcomes)
        settled = len(outcomes) + self._settle_taken(batch, stack.desk, taken)
        if settled == len(stack.sheets):
            self._finish(batch)
        else:
            self._settle_rest(batch, patiently=held_back)

    def _settle_taken(self, batch: Batch, desk: Desk, taken: Sequence[Entry]) -> int:
        """Settle orders whose number Xero says is taken; how many have their outcome."""
        absent = self._by_number(batch, desk, taken)
        if self._may_yet_arrive(batch):
            return len(taken) - len(absent)
        # refused as taken and yet nowhere to be found: the number belongs to something we may not see
        self._teller.write_outcomes(batch, [judging.number_taken(batch, desk, entry) for entry in absent])
        return len(taken)

    def _settle_rest(self, batch: Batch, *, patiently: bool) -> None:
        """Orders of the batch have no outcome: look their numbers up, soon or when nothing can arrive any more."""
        unknown_at = batch.unknown_at or self._hold.now
        waits = self._hold.edges.waits
        at = unknown_at + waits.late_commit if patiently else self._hold.now + waits.settle_again
        self._later(batch, at=at, by_number=True, unknown_at=unknown_at, tries=batch.tries + 1)

    def _may_yet_arrive(self, batch: Batch) -> bool:
        """Whether an earlier call for the batch that gave no answer may still be carried out."""
        return (
            batch.unknown_at is not None
            and self._hold.now - batch.unknown_at < self._hold.edges.waits.late_commit
        )

    def _settle_error(self, batch: Batch, stack: Stack, error: XeroError) -> None:
        waits = self._hold.edges.waits
        if isinstance(error, OutcomeUnknown):
            self._hold.tally.unknown += 1
            tries = batch.tries + 1
            wait = back_off(tries, waits.settle_again, waits.organisation_offline, self._hold.edges.chance)
            self._later(
                batch,
                at=self._hold.now + wait,
                unknown_at=self._hold.now,
                tries=tries,
                timed_out=batch.timed_out + error.timed_out,
                by_number=batch.by_number or error.answered,
            )
            if isinstance(error, Offline):
                self._hold.stumble(batch.company, error)
            return
        if isinstance(error, KeyReused):
            self._later(
                batch, at=self._hold.now, by_number=True, unknown_at=batch.unknown_at or self._hold.now
            )
            return
        if isinstance(error, CallRefused):
            self._settle_call_refused(batch, stack, error)
            return
        # nothing was done
        if batch.unknown_at is None:
            self._free(batch, stack, at_most=None)
        else:
            self._later(batch, at=self._hold.now + waits.settle_again)
        self._hold.stumble(batch.company, error)

    def _free(self, batch: Batch, stack: Stack, at_most: int | None) -> None:
        """Certainly nothing of it is in the books: all its orders are due again."""
        books = stack.desk.books
        freed = [
            ledger.settle_unsent(sheet.entry, books, self._hold.now, at_most=at_most)
            for sheet in stack.sheets
        ]
        self._teller.write_outcomes(batch, freed)
        self._finish(batch)

    def _settle_call_refused(self, batch: Batch, stack: Stack, error: CallRefused) -> None:
        """Xero refused the call as a whole: find the document at fault, and let the others go."""
        if self._may_yet_arrive(batch):
            self._settle_rest(batch, patiently=True)
            return
        at_fault = [answered(batch.kind, element) for element in error.elements]
        refused = {element.number: element.messages for element in at_fault if element.explained}
        named = [sheet for sheet in stack.sheets if sheet.document.number in refused]
        if not named and len(stack.sheets) > 1:
            self._free(batch, stack, at_most=max(1, len(stack.sheets) // 2))
            return
        if not named:
            alone = judging.refused_alone(batch, stack.desk, stack.sheets[0].entry, error)
            self._teller.write_outcomes(batch, [alone])
            self._finish(batch)
            return
        taken = [sheet.entry for sheet in named if "number" in refusals(refused[sheet.document.number])]
        outcomes = [
            judging.refused(stack.desk, sheet.entry, batch.kind, refused[sheet.document.number])
            for sheet in named
            if sheet.entry not in taken
        ]
        self._teller.write_outcomes(batch, outcomes)
        if len(outcomes) + self._settle_taken(batch, stack.desk, taken) == len(stack.sheets):
            self._finish(batch)
        else:
            # the good ones of such a call may have been created all the same
            self._settle_rest(batch, patiently=False)

    # --- by number

    def _by_number(self, batch: Batch, desk: Desk, entries: Sequence[Entry]) -> list[Entry]:
        """Give each order whose number is in the books its outcome; the orders whose number is not there."""
        if batch.kind == "purchase_order":
            return [entry for entry in entries if not self._purchase_order_by_number(batch, desk, entry)]
        if not entries:
            return []
        access, xero = desk.access, self._hold.edges.xero
        numbers = [entry.number for entry in entries]
        listed = self._hold.call(
            batch.company, lambda observe: xero.invoices_by_number(numbers, access, observe)
        )
        # a live one before a dead one under the same number
        found = {invoice.number: invoice for invoice in sorted(listed, key=lambda one: not one.dead)}
        there = [entry for entry in entries if entry.number in found]
        ours = {
            entry.number for entry in there if carries_ref(found[entry.number].reference, entry.message.order)
        }
        doubtful = [entry.number for entry in there if entry.number not in ours]
        if doubtful:
            mine = self._hold.call(
                batch.company,
                lambda observe: xero.invoices_by_number(doubtful, access, observe, created_by_my_app=True),
            )
            ours |= {invoice.number for invoice in mine}
        outcomes = [
            judging.found(batch, desk, entry, found[entry.number], ours=entry.number in ours)
            for entry in there
        ]
        self._teller.write_outcomes(batch, outcomes)
        return [entry for entry in entries if entry.number not in found]

    def _purchase_order_by_number(self, batch: Batch, desk: Desk, entry: Entry) -> bool:
        """Xero lists purchase orders by one number only; each outcome is written before the next is read."""
        xero, access = self._hold.edges.xero, desk.access
        found = self._hold.call(
            batch.company, lambda observe: xero.purchase_order(entry.number, access, observe)
        )
        if found is None:
            return False
        ours = carries_ref(found.reference, entry.message.order)
        self._teller.write_outcomes(batch, [judging.found(batch, desk, entry, found, ours=ours)])
        return True

    def _finish(self, batch: Batch) -> None:
        """Every order of the batch has its outcome: tell of those whose event may not be out, then forget it."""
        if batch.id not in self._begun:
            keys = [order_key(batch.company, planned.order_id) for planned in batch.documents]
            self._teller.tell(
                entry for entry in self._hold.edges.orders.get_many(keys) if entry.settled_in == batch.id
            )
        self._hold.edges.lanes.delete_batch(batch, self._hold.lane)

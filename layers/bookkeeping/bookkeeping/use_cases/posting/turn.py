"""A turn in a lane: settle batches with an unknown outcome, then post the orders that are due.

A batch is written down before it is sent, in one transaction with its orders, which are frozen from then on. Its record
is deleted only after each order's outcome is in the ledger and its event is published. So after a crash, the next
holder of the lane finds everything that may have been sent.

Up to four calls are out at the same time. When one comes back, the next batch goes out. Documents are made and outcomes
written meanwhile, on the turn's own thread. A turn sends what is due and ends when all that is out is settled. Orders
that come in meanwhile and fill no call gather for the next turn, in the queue: nobody is paid to wait for more.

When nothing is due, a turn takes the next step of the lane's book match, if one is under way.

This module has the loop. `lane_holder` has the lane and its calls. `company_turn` makes documents of orders, and
`items` the tracked items. `settlement` finds out the outcomes, `outcomes` applies them to the orders, and `publishing`
saves and publishes them. `book_match` compares what was posted with what Xero has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Final

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.queues import WakeUp
from bookkeeping.adapters.tables.lanes import Batch
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.domain import ledger
from bookkeeping.domain.document_kinds import DocumentKind
from bookkeeping.domain.errors import CompanyHeld, Conflict, Lost, TurnEnds
from bookkeeping.domain.ledger import Books, Entry, State
from bookkeeping.domain.pacing import BATCH_SIZE, GATHER
from bookkeeping.use_cases.posting.book_match import BookMatch
from bookkeeping.use_cases.posting.company_turn import CompanyTurn, ReadyBatch, ReadyDocument, in_batches
from bookkeeping.use_cases.posting.corrections import Corrections, under_way
from bookkeeping.use_cases.posting.lane_holder import (
    LaneHolder,
    PostingAdapters,
    Tally,
)
from bookkeeping.use_cases.posting.publishing import Publisher
from bookkeeping.use_cases.posting.recheck import read_again
from bookkeeping.use_cases.posting.settlement import Settlement

__all__ = ["PostingAdapters", "Tally", "take_turn"]

ROUND: Final = 4 * BATCH_SIZE
"""The most orders in one round of the loop, shared among the companies."""
LOOKED_AT: Final = 1000
"""How many due orders to read from the index. A round is chosen among them, so that companies share the lane."""
CORRECTED_A_ROUND: Final = 10
WORK_NOTED_EVERY: Final = timedelta(hours=1)


def take_turn(adapters: PostingAdapters, wake_up: WakeUp) -> Tally:
    """Take the lane for a turn, if it is free, and post what can be posted."""
    tally = Tally()
    lane = adapters.lanes.take(wake_up.lane, adapters.now(), adapters.waits.lease, short=not wake_up.backlog)
    if lane is not None:
        holder = LaneHolder(adapters, lane, wake_up, tally)
        try:
            with contained("", "", lambda _: holder.let_go(), holder.let_go), holder.calls_awaited():
                Turn(holder).run()
        except Lost:
            # the new holder settles the batches of this one
            tally.faults.append(f"lane {wake_up.lane} was lost")
    return tally


class Turn:
    def __init__(self, holder: LaneHolder) -> None:
        self._holder = holder
        self._publisher = Publisher(holder)
        self._settlement = Settlement(holder, self._publisher)
        self._corrections = Corrections(holder, self._publisher)
        self._to_correct: dict[str, list[Entry]] = {}
        """Posted orders whose documents are to be corrected now, by company."""
        self._match = BookMatch(holder)
        self._handled: set[str] = set()
        """Orders that were sent, in this turn or before. The index may lag and still show them."""
        self._alone: set[str] = set()
        """Orders that go in calls of their own: a fault of ours met several of them in one."""

    def run(self) -> None:
        resume_at = self._holder.pause_ends()
        if resume_at is None:
            resume_at = self._worked()
            self._match.plan()
        else:
            self._match.put_off(resume_at)
        self._holder.release(resume_at, self._settlement.next_at)

    def _worked(self) -> datetime | None:
        """Work, and settle what was sent. When to go on, if something is left to do."""
        resume_at: datetime | None = None
        try:
            self._work()
        except TurnEnds as ends:
            resume_at = ends.args[0]
        except Lost:
            raise
        except Exception:
            self._settlement.settle_all()
            raise
        moments = (resume_at, self._settlement.settle_all())
        return max((moment for moment in moments if moment is not None), default=None)

    def _work(self) -> None:
        """Work until nothing is left to do now. Raises TurnEnds(when to resume)."""
        holder, settlement = self._holder, self._settlement
        # first, so that a long backlog does not put it off
        with contained(""):
            read_again(holder)
        more_come_in = False
        while True:
            settlement.settle_answered()
            more_come_in = holder.keep() or more_come_in
            settlement.settle_due()
            holder.in_doubt = False
            ready_batches = self._ready_batches()
            if full := [ready_batch for ready_batch in ready_batches if ready_batch.full]:
                self._send(full)
                continue
            # orders come in bursts: a moment later, a call carries fifty of them instead of a few
            gathering = [ready_batch for ready_batch in ready_batches if more_come_in and ready_batch.fresh]
            self._send([ready_batch for ready_batch in ready_batches if ready_batch not in gathering])
            if self._to_correct:
                self._correct()
            elif settlement.anything_out:
                settlement.settle_next()
            elif gathering:
                raise TurnEnds(holder.now + GATHER)
            elif not ready_batches and not holder.look_again and not self._match.step():
                return

    # --- what is due

    def _ready_batches(self) -> list[ReadyBatch]:
        """The batches that can be sent now for the orders that are due."""
        found: list[ReadyBatch] = []
        for company, entries in self._due().items():
            at_fault = partial(self._company_at_fault, company, entries)
            with suppress(CompanyHeld), contained(company, then=at_fault):
                found += self._batches_of(company, entries)
        return found

    def _batches_of(self, company: str, entries: Sequence[Entry]) -> list[ReadyBatch]:
        company_turn = self._company_turn(company, entries)
        if company_turn is None:
            return []
        ready_documents: dict[tuple[DocumentKind, int], list[ReadyDocument]] = {}
        for ready in company_turn.ready_documents(entries):
            at_most = 1 if order_key(*ready.entry.key) in self._alone else ready.entry.at_most
            ready_documents.setdefault((ready.document.kind, at_most), []).append(ready)
        return [
            ready_batch
            for (kind, at_most), ready in ready_documents.items()
            for ready_batch in in_batches(company_turn, kind, ready, at_most)
        ]

    def _company_at_fault(self, company: str, entries: Sequence[Entry], reference: str) -> None:
        """A fault of ours that is no single order's: the company is tried again, and then its orders show it."""
        if self._holder.note_our_fault(company):
            for entry in entries:
                self._publisher.stop_for_our_fault(entry, reference)

    def _due(self) -> dict[str, list[Entry]]:
        """The lane's due orders by company, the longest due first. Each company gets an equal share of the round."""
        holder, orders = self._holder, self._holder.adapters.orders
        shown, later = orders.due(holder.lane.key, holder.now, LOOKED_AT)
        if later is not None:
            # a correction that waits: what else the lane does must not make it forgotten
            holder.resume_by(later)
        if len(shown) == LOOKED_AT:
            shown += self._behind(shown)
        # orders that were sent already come last, so that they take no place in the round
        keys = [*holder.keys_to_read(), *sorted(shown, key=self._handled.__contains__)]
        by_company: dict[str, list[str]] = {}
        for key in dict.fromkeys(keys):
            company = key.rpartition("#")[0]
            if company not in holder.held and company not in holder.paused:
                by_company.setdefault(company, []).append(key)
        # a short turn only has to know whether there is more than it can do
        at_most = 2 * ROUND if holder.long else BATCH_SIZE
        if sum(map(len, by_company.values())) >= at_most:
            self._leave_out_paused(by_company)
        share = max(BATCH_SIZE, ROUND // max(1, len(by_company)))
        chosen = [key for mine in by_company.values() for key in mine[:share]][:at_most]
        holder.keys -= {*chosen}
        due: dict[str, list[Entry]] = {}
        self._to_correct = {}
        for entry in orders.get_many(chosen, self._publisher.contained_row):
            if entry.lane != holder.lane.key or entry.due_at is None:
                continue
            if entry.state is State.QUEUED:
                due.setdefault(entry.company, []).append(entry)
            else:
                self._correct_or_remove(entry, entry.due_at)
        holder.keys |= {
            order_key(*entry.key)
            for entries in (*due.values(), *self._to_correct.values())
            for entry in entries
        }
        if not due:
            # the index showed only orders that earlier turns sent; the due ones come after them
            self._handled.update(chosen)
        left = (key for mine in by_company.values() for key in mine if key not in self._handled)
        if not holder.note_due(sum(map(len, due.values())), more=not due and any(left)):
            raise TurnEnds(holder.now)
        for entries in due.values():
            entries.sort(key=attrgetter("due_at", "order_id"))
        return due

    def _correct_or_remove(self, entry: Entry, due_at: datetime) -> None:
        """An order that is due and not queued: its documents are to be corrected, or its outcome is to be published."""
        at_fault = partial(self._corrections.at_fault, entry) if entry.correction else None
        with contained(*entry.key, at_fault):
            if not entry.to_do:
                self._publisher.publish_and_remove(entry)
            elif due_at <= self._holder.now:
                self._to_correct.setdefault(entry.company, []).append(entry)

    def _leave_out_paused(self, by_company: dict[str, list[str]]) -> None:
        """Orders that stay due for long take no place in the turn from those that can be sent."""
        for company, keys in [*by_company.items()]:
            with contained(company):
                if self._holder.books(company).pause is not None:
                    self._holder.note_paused(company, keys)
                    del by_company[company]

    def _behind(self, shown: Sequence[str]) -> list[str]:
        """Due orders of companies that the index did not show, because another company has so many."""
        adapters = self._holder.adapters
        ready = Counter(key.rpartition("#")[0] for key in shown if key not in self._handled)
        return [
            key
            for company in adapters.connections.companies_of(self._holder.lane)
            if ready[company] < ROUND
            for key in adapters.orders.in_list(company, State.QUEUED, "", LOOKED_AT)
        ]

    def _correct(self) -> None:
        """Correct documents of a few orders, so that what becomes due meanwhile goes out in between."""
        for company, entries in self._to_correct.items():
            at_fault = partial(self._not_corrected, company, entries)
            with suppress(CompanyHeld), contained(company, then=at_fault):
                books = self._holder.books(company)
                if books.pause is not None:
                    self._holder.note_paused(company, [order_key(*entry.key) for entry in entries])
                    continue
                company_turn: CompanyTurn | None = None
                for entry in entries[:CORRECTED_A_ROUND]:
                    if not self._holder.is_here(books) or not (books.settings.enabled or under_way(entry)):
                        self._corrections.leave(entry, books)
                        continue
                    company_turn = company_turn or CompanyTurn.of(books, self._holder, self._publisher)
                    self._corrections.carry_out(company_turn, entry)

    def _not_corrected(self, company: str, entries: Sequence[Entry], reference: str) -> None:
        """A fault of ours that is no single order's: the company is tried again, and then its orders show it."""
        if self._holder.note_our_fault(company):
            for entry in entries:
                self._corrections.at_fault(entry, reference)

    def _company_turn(self, company: str, entries: Sequence[Entry]) -> CompanyTurn | None:
        """The company's turn; None if the company does not post in this lane now."""
        books = self._holder.books(company)
        if not books.settings.enabled or not self._holder.is_here(books):
            for entry in entries:
                with self._publisher.contained(entry):
                    self._move(entry, books)
            return None
        if books.pause is not None:
            self._holder.note_paused(company, [order_key(*entry.key) for entry in entries])
            return None
        self._note_work(books)
        return CompanyTurn.of(books, self._holder, self._publisher)

    def _move(self, entry: Entry, books: Books) -> None:
        """The company does not post here any more: its order becomes skipped, waiting, or due in another lane."""
        if not entry.documents:
            self._publisher.save(ledger.decide(entry, books, self._holder.now))
        elif not books.settings.enabled:
            self._publisher.save(ledger.skip(entry, "integration_off", self._holder.now))
        else:
            self._publisher.save(ledger.become_due(entry, books, self._holder.now))

    def _note_work(self, books: Books) -> None:
        """Note that the connection is in use, so that its tokens are kept fresh."""
        worked_at = books.connection.worked_at if books.connection else None
        if worked_at is None or self._holder.now - worked_at >= WORK_NOTED_EVERY:
            self._holder.adapters.connections.note_work(books.company, self._holder.now)

    # --- sending

    def _send(self, ready_batches: Sequence[ReadyBatch]) -> None:
        """Write the batches down and send them, each when a call may go out. Answers that come meanwhile are settled.

        Those that an answer makes doubtful are left: the next round makes them anew.
        """
        holder = self._holder
        for ready_batch in ready_batches:
            self._await_place(ready_batch)
            company = ready_batch.company_turn.books.company
            if holder.in_doubt:
                return
            if company in holder.held or ready_batch.company_turn.outdated():
                continue
            # after a Conflict, for a message came in between, what is due is read anew in the next round
            begun: tuple[Batch, ReadyBatch] | None = None
            with suppress(Conflict), contained(company, then=partial(self._not_begun, ready_batch)):
                begun = self._begin(ready_batch)
            if begun is not None:
                self._settlement.send(*begun)

    def _await_place(self, ready_batch: ReadyBatch) -> None:
        """Wait until the batch may be sent. Raises TurnEnds."""
        self._settlement.settle_answered()
        while not self._holder.has_place or self._unsure(ready_batch):
            self._settlement.settle_next()
        self._holder.await_budget()

    def _unsure(self, ready_batch: ReadyBatch) -> bool:
        """Whether the batch has a contact whose name Xero has not just said, and an answer will say it."""
        doubtful = {id_ for id_ in ready_batch.contact_ids if not self._holder.named_lately(id_)}
        return bool(doubtful & self._settlement.contact_ids_out)

    def _begin(self, ready_batch: ReadyBatch) -> tuple[Batch, ReadyBatch]:
        """Write the batch down, and freeze its orders. Raises Conflict."""
        holder, adapters = self._holder, self._holder.adapters
        batch, company_turn = self._batch(ready_batch), ready_batch.company_turn
        entries = [
            ledger.begin(
                ready.entry,
                batch.id,
                holder.now,
                company_turn.calendar(ready.entry),
                on_dispatch=company_turn.settings(ready.entry).post_when == "dispatch",
            )
            for ready in ready_batch.ready_documents
        ]
        saved = adapters.orders.save_together(entries, holder.lane, adapters.lanes.put_batch(batch))
        self._handled |= {order_key(*entry.key) for entry in saved}
        holder.keys -= self._handled
        ready_documents = tuple(
            replace(ready, entry=entry)
            for entry, ready in zip(saved, ready_batch.ready_documents, strict=True)
        )
        return batch, replace(ready_batch, ready_documents=ready_documents)

    def _not_begun(self, ready_batch: ReadyBatch, reference: str) -> None:
        """A fault of ours met orders as they were written down: each goes alone then, and one alone is stopped."""
        entries = [ready.entry for ready in ready_batch.ready_documents]
        if len(entries) == 1:
            self._publisher.stop_for_our_fault(entries[0], reference)
        else:
            keys = [order_key(*entry.key) for entry in entries]
            self._alone.update(keys)
            self._holder.look_again_at(keys)

    def _batch(self, ready_batch: ReadyBatch) -> Batch:
        organisation_id = ready_batch.company_turn.access.organisation_id
        id_ = self._holder.adapters.new_id()
        return Batch(
            id=id_,
            lane=self._holder.lane.key,
            organisation_id=organisation_id,
            company=ready_batch.company_turn.books.company,
            kind=ready_batch.kind,
            idempotency_key=f"{organisation_id}:{id_}",
            body_hash=ready_batch.hash,
            first_sent_at=self._holder.now,
            documents=tuple(ready.planned for ready in ready_batch.ready_documents),
        )

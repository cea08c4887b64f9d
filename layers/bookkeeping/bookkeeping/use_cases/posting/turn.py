"""A turn in a lane: settle what is unknown, then post what is due.

Before a batch of documents is sent it is written down, in one transaction with its orders, which are frozen from then
on. The record goes only after every order of it has its outcome in the ledger and the event is out; so whoever takes
the lane after a crash finds what may have been sent.

The turn goes round here. `holding` has the lane and its calls, `preparing` makes documents of orders, `settling` finds
out what became of those that were sent, `judging` says what that makes of an order, and `telling` writes it down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from bookkeeping.adapters.queues import WakeUp
from bookkeeping.adapters.tables.lanes import Batch
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.domain import ledger
from bookkeeping.domain.errors import Conflict, Lost
from bookkeeping.domain.ledger import BATCH_SIZE, Books, Entry, State
from bookkeeping.domain.problems.catalogue import DocumentKind
from bookkeeping.use_cases.posting.company_turn import Desk, Sheet, Stack, stacked
from bookkeeping.use_cases.posting.lane_holder import CompanyHeld, Edges, Hold, Tally, TurnEnds
from bookkeeping.use_cases.posting.publishing import Teller
from bookkeeping.use_cases.posting.settlement import Settlement

__all__ = ["Edges", "Tally", "take_turn"]

ROUND: Final = 4 * BATCH_SIZE
"""Orders planned at a time."""
LOOKED_AT: Final = 1000
"""Orders of the index among which a round is chosen, so that companies in one lane take turns."""
WORK_NOTED_EVERY: Final = timedelta(hours=1)


def take_turn(edges: Edges, wake_up: WakeUp) -> Tally:
    """Hold the lane for a turn, if it is free, and do what can be done in it."""
    tally = Tally()
    now, short = edges.now(), not wake_up.backlog
    lane = edges.lanes.take(wake_up.lane, now, edges.waits.lease, short=short)
    if lane is None and short and edges.lanes.long_turn_overdue(wake_up.lane, now):
        edges.wake_ups.send(replace(wake_up, backlog=True))
    if lane is not None:
        try:
            Turn(Hold(edges, lane, wake_up, tally)).run()
        except Lost:
            # another holder settles what this one began
            tally.trouble.append(f"lane {wake_up.lane} was lost")
    return tally


class Turn:
    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._teller = Teller(hold)
        self._settlement = Settlement(hold, self._teller)
        self._handled: set[str] = set()
        """Orders sent, by this turn or before it: an index that lags may go on showing them."""

    def run(self) -> None:
        resume_at = self._hold.pause_ends()
        if resume_at is None:
            try:
                self._work()
            except TurnEnds as ends:
                resume_at = ends.args[0]
        while not self._hold.release(resume_at, self._settlement.next_at):
            try:
                self._work()
            except TurnEnds as ends:
                resume_at = ends.args[0]

    def _work(self) -> None:
        """Go round until nothing is left to do now. Raises TurnEnds(when to resume)."""
        hold = self._hold
        gathering_since: datetime | None = None
        while True:
            hold.keep()
            self._settlement.settle_due()
            stacks = self._stacks()
            if any(stack.full for stack in stacks):
                self._send([stack for stack in stacks if stack.full])
                gathering_since = None
                continue
            if not stacks and hold.look_again:
                continue
            if not stacks:
                return
            # orders come in bursts: a moment's patience puts fifty into a call instead of a few
            waits = hold.edges.waits
            gathering_since = gathering_since or hold.now
            if any(stack.fresh for stack in stacks) and hold.now - gathering_since < waits.gather_at_most:
                hold.sleep(waits.gather)
                if hold.keep():
                    continue
            self._send(stacks)
            gathering_since = None

    # --- what is due

    def _stacks(self) -> list[Stack]:
        """The calls that could go out now for the orders that are due."""
        sheets: dict[tuple[str, DocumentKind, int], list[Sheet]] = {}
        desks: dict[str, Desk] = {}
        for company, entries in self._due().items():
            try:
                desk = self._desk(company, entries)
            except CompanyHeld:
                continue
            if desk is None:
                continue
            desks[company] = desk
            try:
                for sheet in desk.sheets(entries):
                    key = (company, sheet.document.kind, sheet.entry.at_most)
                    sheets.setdefault(key, []).append(sheet)
            except CompanyHeld:
                continue
        return [
            stack
            for (company, kind, at_most), ready in sheets.items()
            if company not in self._hold.held
            for stack in stacked(desks[company], kind, ready, at_most)
        ]

    def _due(self) -> dict[str, list[Entry]]:
        """The lane's due orders by company: each gets an equal share of the round, the longest due first."""
        hold, orders = self._hold, self._hold.edges.orders
        shown = orders.due(hold.lane.key, hold.now, LOOKED_AT)
        if len(shown) == LOOKED_AT:
            shown += self._behind(shown)
        # what was sent already must not take the others' places in the round
        keys = [*hold.keys, *sorted(shown, key=self._handled.__contains__)]
        hold.keys = []
        by_company: dict[str, list[str]] = {}
        for key in dict.fromkeys(keys):
            company = key.rpartition("#")[0]
            if company not in hold.held:
                by_company.setdefault(company, []).append(key)
        share = max(BATCH_SIZE, ROUND // max(1, len(by_company)))
        chosen = [key for mine in by_company.values() for key in mine[:share]][: 2 * ROUND]
        due: dict[str, list[Entry]] = {}
        for entry in orders.get_many(chosen):
            if entry.lane != hold.lane.key or entry.due_at is None or entry.batch:
                continue
            if entry.state is State.QUEUED:
                due.setdefault(entry.company, []).append(entry)
            else:
                self._teller.tell_at_last(entry)
        hold.found = hold.found or bool(due)
        if not due:
            # all of them sent in turns before this one: the others are behind them
            self._handled.update(chosen)
            left = (key for mine in by_company.values() for key in mine)
            hold.look_again = hold.look_again or any(key not in self._handled for key in left)
        hold.too_much = sum(map(len, due.values())) >= BATCH_SIZE
        if hold.too_much and not hold.long:
            hold.keys = [order_key(*entry.key) for entries in due.values() for entry in entries]
            raise TurnEnds(hold.now)
        for entries in due.values():
            entries.sort(key=lambda entry: (entry.due_at or hold.now, entry.order_id))
        return due

    def _behind(self, shown: Sequence[str]) -> list[str]:
        """Orders of the lane's other companies, which so many of one company may keep from being shown."""
        edges = self._hold.edges
        ready = Counter(key.rpartition("#")[0] for key in shown if key not in self._handled)
        return [
            key
            for company in edges.connections.companies_of(self._hold.lane)
            if ready[company] < ROUND
            for key in edges.orders.on_shelf(company, f"{State.QUEUED}##", LOOKED_AT)
        ]

    def _desk(self, company: str, entries: Sequence[Entry]) -> Desk | None:
        """The company's desk; None where its orders were found to belong elsewhere."""
        books = self._hold.books(company)
        if not books.settings.enabled or not self._hold.is_here(books):
            for entry in entries:
                self._move(entry, books)
            return None
        self._note_work(books)
        return Desk.of(books, self._hold, self._teller)

    def _move(self, entry: Entry, books: Books) -> None:
        """An order whose company stopped posting, or posts elsewhere now: skipped, waiting, or due over there."""
        if not entry.documents:
            self._teller.save(ledger.decide(entry, books, self._hold.now))
        elif not books.settings.enabled:
            self._teller.save(ledger.skip(entry, "integration_off", self._hold.now))
        else:
            self._teller.save(ledger.become_due(entry, books, self._hold.now))

    def _note_work(self, books: Books) -> None:
        """Tokens of a connection at work are kept fresh."""
        worked_at = books.connection.worked_at if books.connection else None
        if worked_at is None or self._hold.now - worked_at >= WORK_NOTED_EVERY:
            self._hold.edges.connections.note_work(books.company, self._hold.now)

    # --- sending

    def _send(self, stacks: Sequence[Stack]) -> None:
        """Write the batches down, send them together, settle what comes back."""
        hold, edges = self._hold, self._hold.edges
        hold.await_budget()
        begun: list[tuple[Batch, Stack]] = []
        for stack in stacks[: hold.allowed()]:
            batch = self._batch(stack)
            entries = [ledger.begin(sheet.entry, batch.id, hold.now) for sheet in stack.sheets]
            try:
                saved = edges.orders.save_together(entries, hold.lane, edges.lanes.put_batch(batch))
            except Conflict:
                continue  # a message came in between: what is due is read anew in the next round
            sheets = tuple(
                Sheet(entry, sheet.document) for entry, sheet in zip(saved, stack.sheets, strict=True)
            )
            begun.append((batch, replace(stack, sheets=sheets)))
            self._handled |= {order_key(*entry.key) for entry in saved}
        self._settlement.send(begun)

    def _batch(self, stack: Stack) -> Batch:
        organisation_id = stack.desk.access.organisation_id
        id_ = self._hold.edges.new_id()
        return Batch(
            id=id_,
            lane=self._hold.lane.key,
            organisation_id=organisation_id,
            company=stack.desk.books.company,
            kind=stack.kind,
            idempotency_key=f"{organisation_id}:{id_}",
            body_hash=stack.hash,
            first_sent_at=self._hold.now,
            documents=tuple(sheet.planned for sheet in stack.sheets),
        )

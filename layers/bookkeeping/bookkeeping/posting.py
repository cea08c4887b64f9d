"""A turn in a lane: settle what is unknown, then post what is due.

Only the holder of a lane writes to its organisation. Before a batch of documents is sent it is written down, in one
transaction with its orders, which are frozen from then on. The record goes only after every order of it has its
outcome in the ledger and the event is out; so whoever takes the lane after a crash finds what may have been sent.

An unknown outcome is settled by sending the same again under the same Idempotency-Key, while Xero surely remembers
it, and by the documents' numbers from then on. Documents are only ever created (PUT), and Xero takes a number once:
the worst a late or doubled call can do is to be refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

from bookkeeping import ledger
from bookkeeping.documents import (
    Document,
    carries_ref,
    item_code,
    purchase_order,
    sales_invoice,
    to_json,
    tracked_items,
)
from bookkeeping.errors import (
    AccessRefused,
    AlreadyInBooks,
    CallRefused,
    Conflict,
    KeyReused,
    Lost,
    Offline,
    OutcomeUnknown,
    Throttled,
    TokenExpired,
    XeroError,
)
from bookkeeping.intake import books_of, ring
from bookkeeping.ledger import BATCH_SIZE, Books, Entry, Event, Posted, State
from bookkeeping.organisation import Contact, Organisation, contact_matching, organisation_from_xero
from bookkeeping.pacing import Budget, Limits, Waits, back_off
from bookkeeping.problems import (
    CATALOGUE,
    DOCUMENT_WORDS,
    OF_THE_ORGANISATION,
    DocumentKind,
    OrderStopped,
    Problem,
    from_xero,
    refusals,
)
from bookkeeping.queues import LONGEST_DELAY, EventBus, PostingQueue, WakeUp
from bookkeeping.secrets import TokenSecret
from bookkeeping.settings import Settings, freed_by
from bookkeeping.tables import Batch, ConnectionsTable, Lane, OrdersTable, Planned, SettingsTable, order_key
from bookkeeping.xero import Access, Answered, Xero, answered

T = TypeVar("T")

ROUND: Final = 4 * BATCH_SIZE
"""Orders planned at a time."""
LOOKED_AT: Final = 1000
"""Orders of the index among which a round is chosen, so that companies in one lane take turns."""
BODY_AT_MOST: Final = 3_000_000
"""Bytes a call; Xero advises to stay under 3.5 MB."""
ITEMS_A_CALL: Final = 100
FACTS_KEPT: Final = timedelta(hours=12)
FACTS_STOP_FOR: Final = timedelta(minutes=5)
"""No order is stopped for what was read longer ago: a person may have put it right in Xero."""
TOKEN_TO_SPARE: Final = timedelta(seconds=60)
WORK_NOTED_EVERY: Final = timedelta(hours=1)
SHORT_WAIT: Final = timedelta(seconds=2)
SINGLE_ITEM_READS: Final = 3


@dataclass(frozen=True)
class Edges:
    """Everything a turn touches."""

    orders: OrdersTable
    settings: SettingsTable
    connections: ConnectionsTable
    tokens: TokenSecret
    xero: Xero
    wake_ups: PostingQueue
    events: EventBus
    renew_token: Callable[[str], None]
    """Ask for a company's access token to be renewed."""
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    new_id: Callable[[], str]
    together: Callable[[Sequence[Callable[[], Any]]], list[Any]]
    """Run the calls at the same time; their results in order."""
    chance: random.Random
    waits: Waits = field(default_factory=Waits)


@dataclass
class Tally:
    """What a turn did, for metrics."""

    calls: int = 0
    throttled: int = 0
    posted: int = 0
    stopped: int = 0
    unknown: int = 0
    trouble: list[str] = field(default_factory=list)
    """Answers that only a fault of ours explains."""


@dataclass
class Desk:
    """One company at work in this round: read once, used for the round only."""

    books: Books
    access: Access
    organisation: Organisation
    versions: dict[int, Settings] = field(default_factory=dict)
    contacts: dict[str, list[Any]] = field(default_factory=dict)
    """Contact name → what Xero answered when asked for it in this round."""
    known_contacts: dict[str, Contact] = field(default_factory=dict)
    """Contact name → the contact, where it was known before this round."""
    items: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Sheet:
    """An order with its next document, ready to send."""

    entry: Entry
    document: Document

    @property
    def planned(self) -> Planned:
        return Planned(
            order_id=self.entry.order_id,
            number=self.document.number,
            content_hash=self.entry.message.content_hash,
            figure=self.document.compare,
            foreseen=str(self.document.foreseen),
            contact_id=str(self.document.body["Contact"]["ContactID"]),
        )


@dataclass(frozen=True)
class Stack:
    """The sheets of one call."""

    desk: Desk
    kind: DocumentKind
    sheets: tuple[Sheet, ...]
    full: bool

    @property
    def fresh(self) -> bool:
        """Whether it holds an order's first document, which others may be about to join."""
        return any(not sheet.entry.frozen and not sheet.entry.refusals for sheet in self.sheets)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [sheet.document.body for sheet in self.sheets]

    @property
    def hash(self) -> str:
        return hashlib.sha256(to_json({"documents": self.bodies})).hexdigest()


class TurnEnds(Exception):
    """Nothing more can be done in this turn."""


class CompanyHeld(Exception):
    """Nothing more can be done for this company in this turn."""


def take_turn(edges: Edges, wake_up: WakeUp) -> Tally:
    """Hold the lane for a turn, if it is free, and do what can be done in it."""
    tally = Tally()
    now, short = edges.now(), not wake_up.backlog
    lane = edges.connections.take(wake_up.lane, now, edges.waits.lease, short=short)
    if lane is None and short and edges.connections.long_turn_overdue(wake_up.lane, now):
        edges.wake_ups.send(replace(wake_up, backlog=True))
    if lane is not None:
        try:
            Turn(edges, lane, wake_up, tally).run()
        except Lost:
            # another holder settles what this one began
            tally.trouble.append(f"lane {wake_up.lane} was lost")
    return tally


class Turn:
    def __init__(self, edges: Edges, lane: Lane, wake_up: WakeUp, tally: Tally) -> None:
        self._edges = edges
        self._lane = lane
        self._long = wake_up.backlog
        self._too_much = False
        """There is more to do than a short turn is for."""
        self._keys = list(wake_up.keys)
        """Orders to be read from the table in the next round, whatever an index says."""
        self._tally = tally
        self._budget = Budget.resumed(lane.calls)
        self._began = self._now = edges.now()
        self._lease_ends = self._began + edges.waits.lease
        self._held: dict[str, datetime | None] = {}
        """Companies not to be served in this turn → when to try again; None: when a person has acted."""
        self._settle_next: list[datetime] = []
        self._found = not lane.last_look or bool(wake_up.keys)
        """Whether there may have been something to do, so that another look is due when an index lags no more."""
        self._look_again = False
        """Rung since what is due was read, or not all of it was."""
        self._rung_elsewhere: dict[str, list[str]] = {}
        self._read_anew: set[str] = set()
        """Organisations of which this turn had the facts read anew, before it would stop an order for them."""
        self._begun: set[str] = set()
        """Batches that this turn wrote down."""
        self._handled: set[str] = set()
        """Orders sent, by this turn or before it: an index that lags may go on showing them."""

    # --- the turn

    def run(self) -> None:
        resume_at: datetime | None = None
        if self._lane.paused_until > self._began:
            resume_at = self._lane.paused_until
        else:
            self._lane = replace(self._lane, pause="")
            try:
                self._work()
            except TurnEnds as ends:
                resume_at = ends.args[0]
        while not self._release(resume_at):
            try:
                self._work()
            except TurnEnds as ends:
                resume_at = ends.args[0]

    def _work(self) -> None:
        """Go round until nothing is left to do now. Raises TurnEnds(when to resume)."""
        gathering_since: datetime | None = None
        while True:
            self._keep()
            self._settle_batches()
            stacks = self._stacks()
            if any(stack.full for stack in stacks):
                self._send([stack for stack in stacks if stack.full])
                gathering_since = None
                continue
            if not stacks and self._look_again:
                continue
            if not stacks:
                return
            # orders come in bursts: a moment's patience puts fifty into a call instead of a few
            waits = self._edges.waits
            gathering_since = gathering_since or self._now
            if any(stack.fresh for stack in stacks) and self._now - gathering_since < waits.gather_at_most:
                self._sleep(waits.gather)
                if self._keep():
                    continue
            self._send(stacks)
            gathering_since = None

    def _tick(self) -> datetime:
        self._now = self._edges.now()
        return self._now

    def _sleep(self, time: timedelta) -> None:
        self._edges.sleep(time.total_seconds())
        self._tick()

    def _is_over(self, time: timedelta) -> bool:
        return self._now - self._began >= time

    def _keep(self) -> bool:
        """Keep the lane for another round; whether it was rung. Clears `rung` before anything is read."""
        now = self._tick()
        if self._is_over(self._edges.waits.turn if self._long else self._edges.waits.short_turn):
            raise TurnEnds(now)
        rung = self._edges.connections.keep(self._lane, now, self._edges.waits.lease, self._budget.calls)
        self._lease_ends = now + self._edges.waits.lease
        self._look_again = False
        self._found = self._found or rung
        return rung

    def _secure_lease(self) -> None:
        """See to it that the lease outlasts the call about to go out. Raises Lost where it already did not."""
        now, waits = self._tick(), self._edges.waits
        if now > self._lease_ends - 2 * waits.call_time_out:
            rung = self._edges.connections.keep(self._lane, now, waits.lease, self._budget.calls)
            self._lease_ends = now + waits.lease
            self._look_again = self._look_again or rung

    def _release(self, resume_at: datetime | None) -> bool:
        """Let the lane go and see to it that it is woken when there is something to do. False: go round again."""
        edges, now, waits = self._edges, self._tick(), self._edges.waits
        ring(edges.connections, edges.wake_ups, self._rung_elsewhere, now)
        self._rung_elsewhere = {}
        soon = [*self._settle_next, *(at for at in self._held.values() if at is not None)]
        next_at = resume_at or min(soon, default=None)
        last_look = next_at is None and self._found
        if last_look:
            # an index may have hidden an order that was rung while we worked
            next_at = now + waits.last_look
        though_rung = resume_at is not None
        # whoever has little to do must not wait behind lanes that take long
        too_much = self._too_much or self._is_over(waits.short_turn)
        backlog = next_at is not None and not last_look and too_much
        woken = next_at is not None and not last_look and next_at - now <= LONGEST_DELAY
        if not edges.connections.release(
            self._lane,
            next_at=next_at + waits.overdue if next_at and backlog and woken else next_at,
            calls=self._budget.calls,
            though_rung=though_rung,
            last_look=last_look,
            backlog=backlog,
        ):
            return False
        if next_at is not None and woken:
            # keys that nobody has looked at yet: an index may not show them so soon
            wake_up = WakeUp(self._lane.key, tuple(self._keys), backlog)
            edges.wake_ups.send(wake_up, delay=next_at - now)
        return True

    def _pause(self, reason: str, until: datetime) -> TurnEnds:
        self._lane = replace(self._lane, pause=reason, paused_until=until)
        return TurnEnds(until)

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
                for sheet in self._sheets(desk, entries):
                    key = (company, sheet.document.kind, sheet.entry.at_most)
                    sheets.setdefault(key, []).append(sheet)
            except CompanyHeld:
                continue
        return [
            stack
            for (company, kind, at_most), ready in sheets.items()
            if company not in self._held
            for stack in _stacked(desks[company], kind, ready, at_most)
        ]

    def _due(self) -> dict[str, list[Entry]]:
        """The lane's due orders by company: each gets an equal share of the round, the longest due first."""
        edges = self._edges
        shown = edges.orders.due(self._lane.key, self._now, LOOKED_AT)
        if len(shown) == LOOKED_AT:
            shown += self._behind(shown)
        # what was sent already must not take the others' places in the round
        keys = [*self._keys, *sorted(shown, key=self._handled.__contains__)]
        self._keys = []
        by_company: dict[str, list[str]] = {}
        for key in dict.fromkeys(keys):
            company = key.rpartition("#")[0]
            if company not in self._held:
                by_company.setdefault(company, []).append(key)
        share = max(BATCH_SIZE, ROUND // max(1, len(by_company)))
        chosen = [key for mine in by_company.values() for key in mine[:share]][: 2 * ROUND]
        due: dict[str, list[Entry]] = {}
        for entry in edges.orders.get_many(chosen):
            if entry.lane != self._lane.key or entry.due_at is None or entry.batch:
                continue
            if entry.state is State.QUEUED:
                due.setdefault(entry.company, []).append(entry)
            else:
                self._tell_at_last(entry)
        self._found = self._found or bool(due)
        if not due:
            # all of them sent in turns before this one: the others are behind them
            self._handled.update(chosen)
            left = (key for mine in by_company.values() for key in mine)
            self._look_again = self._look_again or any(key not in self._handled for key in left)
        self._too_much = sum(map(len, due.values())) >= BATCH_SIZE
        if self._too_much and not self._long:
            self._keys = [order_key(*entry.key) for entries in due.values() for entry in entries]
            raise TurnEnds(self._now)
        for entries in due.values():
            entries.sort(key=lambda entry: (entry.due_at or self._now, entry.order_id))
        return due

    def _behind(self, shown: Sequence[str]) -> list[str]:
        """Orders of the lane's other companies, which so many of one company may keep from being shown."""
        ready = Counter(key.rpartition("#")[0] for key in shown if key not in self._handled)
        return [
            key
            for company in self._edges.connections.companies_of(self._lane)
            if ready[company] < ROUND
            for key in self._edges.orders.on_shelf(company, f"{State.QUEUED}##", LOOKED_AT)
        ]

    def _desk(self, company: str, entries: Sequence[Entry]) -> Desk | None:
        """The company's desk; None where its orders were found to belong elsewhere."""
        books = self._books(company)
        if not books.settings.enabled or not self._is_here(books):
            for entry in entries:
                self._move(entry, books)
            return None
        self._note_work(books)
        access = self._access(company)
        return Desk(books, access, self._organisation(company, access))

    def _books(self, company: str) -> Books:
        books = books_of(self._edges.settings, self._edges.connections, company)
        if books is None:
            raise LookupError(f"company {company} has orders but no settings")
        return books

    def _is_here(self, books: Books) -> bool:
        return books.open and books.connection is not None and books.connection.lane == self._lane.key

    def _move(self, entry: Entry, books: Books) -> None:
        """An order whose company stopped posting, or posts elsewhere now: skipped, waiting, or due over there."""
        if not entry.documents:
            self._save(ledger.decide(entry, books, self._now))
        elif not books.settings.enabled:
            self._save(ledger.skip(entry, "integration_off", self._now))
        else:
            self._save(ledger.become_due(entry, books, self._now))

    def _save(self, entry: Entry) -> None:
        sibling = ledger.sibling(entry)
        to_tell = entry.state in ledger.EVENT_OF
        if to_tell:
            # it stays among what is due until the bus was told, so that a crash in between does not keep it silent
            entry = replace(entry, lane=self._lane.key, due_at=self._now)
        try:
            saved = self._edges.orders.save(entry, sibling and order_key(sibling, entry.order_id))
        except Conflict:
            return  # a message came in between: what is due is read anew in the next round
        except AlreadyInBooks:
            skipped = ledger.skip(entry, "already_in_books", self._now)
            self._save(replace(skipped, through=sibling or ""))
            return
        if to_tell:
            self._tell_at_last(saved)
            return
        self._tell([saved])
        if saved.state is State.QUEUED and saved.lane != self._lane.key:
            self._rung_elsewhere.setdefault(saved.lane, []).append(order_key(*saved.key))

    def _tell_at_last(self, entry: Entry) -> None:
        """Tell of an order that is at rest, and take it from what is due."""
        freed = self._freed_meanwhile(entry)
        if freed is not None:
            self._save(freed)
            return
        self._tell([entry])
        with contextlib.suppress(Conflict):  # a message came in between, and decided anew
            self._edges.orders.save(ledger.told(entry))

    def _freed_meanwhile(self, entry: Entry) -> Entry | None:
        """The order, due anew, where what stopped it was set right since it became due: no release finds it now."""
        if entry.problem is None or entry.frozen or not entry.settings_version:
            return None
        books = self._books(entry.company)
        if books.settings_version <= entry.settings_version:
            return None
        then = self._edges.settings.version(entry.company, entry.settings_version)
        if not CATALOGUE[entry.problem.code].freed_by & freed_by(then, books.settings):
            return None
        return ledger.decide(entry, books, self._now)

    def _tell(self, entries: Iterable[Entry]) -> None:
        told: list[Event] = [event for entry in entries for event in ledger.events(entry)]
        if told:
            self._edges.events.put(told)
        self._tally.stopped += sum(event.type == "OrderNeedsAttention" for event in told)

    def _note_work(self, books: Books) -> None:
        """Tokens of a connection at work are kept fresh."""
        worked_at = books.connection.worked_at if books.connection else None
        if worked_at is None or self._now - worked_at >= WORK_NOTED_EVERY:
            self._edges.connections.note_work(books.company, self._now)

    def _access(self, company: str) -> Access:
        tokens = self._edges.tokens.read(company)
        if tokens is None or tokens.expires_at - self._now < TOKEN_TO_SPARE:
            self._await_token(company)
            raise CompanyHeld
        return Access(self._lane.organisation_id, tokens.access_token)

    def _await_token(self, company: str) -> None:
        """The company's token has to be renewed; meanwhile its orders wait."""
        self._edges.renew_token(company)
        self._held[company] = self._now + self._edges.waits.token

    def _organisation(self, company: str, access: Access) -> Organisation:
        connections = self._edges.connections
        known = connections.organisation(access.organisation_id)
        if known is not None and self._now - known[1] < FACTS_KEPT:
            return known[0]
        xero = self._edges.xero

        def read(resource: str) -> Callable[[Callable[[Limits], None]], Any]:
            return lambda observe: xero.read(resource, access, observe)

        answers = self._calls(
            company, [read(name) for name in ("Organisation", "Accounts", "TaxRates", "Currencies")]
        )
        organisation = organisation_from_xero(*answers)
        connections.save_organisation(organisation, self._now)
        self._read_anew.add(access.organisation_id)
        return organisation

    def _contact(self, desk: Desk, name: str, entry: Entry, setting: str = "contact_name") -> Contact:
        """The contact of that name. Raises OrderStopped where there is none, or none that can be used."""
        if not name:
            details = {"order": entry.order_id, "setting": setting, "label": Settings.label(setting)}
            raise OrderStopped(Problem("setting_missing", details))
        connections, organisation_id = self._edges.connections, desk.access.organisation_id
        if name in desk.known_contacts:
            return desk.known_contacts[name]
        if name not in desk.contacts:
            contact = connections.contact(organisation_id, name)
            if contact is not None:
                desk.known_contacts[name] = contact
                return contact
            # a double quote can't be escaped in `where`; the search finds such names too
            by_name = {"searchTerm": name} if '"' in name else {"where": f'Name=="{name}"'}
            answer = self._read(
                desk.books.company, desk.access, "Contacts", includeArchived="true", **by_name
            )
            desk.contacts[name] = answer.get("Contacts", [])
            contact = contact_matching(name, desk.contacts[name], order=entry.order_id, setting=setting)
            connections.save_contact(organisation_id, name, contact)
        return contact_matching(name, desk.contacts[name], order=entry.order_id, setting=setting)

    # --- documents

    def _sheets(self, desk: Desk, entries: Sequence[Entry]) -> list[Sheet]:
        """The next document of each order; an order that can't have one is stopped, and holds no other up."""
        if any(self._settings(desk, entry).process_method == "tracked" for entry in entries):
            entries = self._with_items(desk, entries)
        sheets: list[Sheet] = []
        for entry in entries:
            try:
                sheet = self._sheet(desk, entry)
            except OrderStopped as stopped:
                self._stop(desk, entry, stopped.problem)
                continue
            if sheet is None:
                self._save(ledger.nothing_left(entry, self._settings(desk, entry), self._now))
            else:
                sheets.append(sheet)
        return sheets

    def _stop(self, desk: Desk, entry: Entry, problem: Problem) -> None:
        """Stop the order; or leave it due, to be tried with what Xero says now of the organisation."""
        here = desk.access.organisation_id
        if problem.code in OF_THE_ORGANISATION and here not in self._read_anew:
            known = self._edges.connections.organisation(here)
            retried_at = max((act.at for act in entry.history), default=None)
            if known is None or (
                self._now - known[1] >= FACTS_STOP_FOR or (retried_at is not None and retried_at > known[1])
            ):
                self._edges.connections.forget_organisation(here)
                self._keys.append(order_key(*entry.key))
                self._look_again = True
                return
        self._save(ledger.stop(entry, problem, self._now))

    def _settings(self, desk: Desk, entry: Entry) -> Settings:
        if entry.settings_version not in desk.versions:
            version = self._edges.settings.version(desk.books.company, entry.settings_version)
            desk.versions[entry.settings_version] = version
        return desk.versions[entry.settings_version]

    def _sheet(self, desk: Desk, entry: Entry) -> Sheet | None:
        """The order's next document; None where none is left. Raises OrderStopped.

        The documents after it are made too: what stops the invoice stops the order before its purchase order is sent.
        """
        left = ledger.remaining(entry, self._settings(desk, entry))
        documents = [self._document(desk, entry, kind) for kind in left]
        return Sheet(entry, documents[0]) if documents else None

    def _document(self, desk: Desk, entry: Entry, kind: DocumentKind) -> Document:
        settings, order = self._settings(desk, entry), entry.message.order
        sent_on = ledger.sent_on(entry.message)
        if kind == "invoice":
            return sales_invoice(
                order,
                settings,
                desk.organisation,
                contact=self._contact(desk, settings.contact_name, entry),
                number=entry.number,
                sent_on=sent_on,
                as_draft=entry.as_draft,
            )
        setting = "purchase_order_contact_name" if settings.purchase_order_contact_name else "contact_name"
        return purchase_order(
            order,
            settings,
            desk.organisation,
            contact=self._contact(desk, getattr(settings, setting), entry, setting),
            number=entry.number,
            sent_on=sent_on,
            untracked_items=frozenset(code for code, tracked in desk.items.items() if not tracked),
        )

    def _with_items(self, desk: Desk, entries: Sequence[Entry]) -> list[Entry]:
        """The orders whose items are in Xero, creating those that are missing; the others are stopped."""
        company, organisation_id = desk.books.company, desk.access.organisation_id
        wanted: dict[str, Any] = {}
        codes: dict[str, set[str]] = {}
        going: list[Entry] = []
        for entry in entries:
            settings = self._settings(desk, entry)
            try:
                items = (
                    tracked_items(entry.message.order, settings, desk.organisation)
                    if settings.process_method == "tracked" and ledger.remaining(entry, settings)
                    else ()
                )
            except OrderStopped as stopped:
                self._stop(desk, entry, stopped.problem)
                continue
            codes[entry.order_id] = {item["Code"] for item in items}
            wanted |= {item["Code"]: item for item in items}
            going.append(entry)
        desk.items = self._edges.connections.items(organisation_id, wanted)
        # a person may have made it a tracked item in Xero before pressing Retry
        self._look_up_items(
            desk,
            sorted(
                code
                for entry in going
                if entry.history and not entry.items_as_they_are
                for code in codes[entry.order_id]
                if not desk.items.get(code, True)
            ),
        )
        missing = [item for code, item in wanted.items() if code not in desk.items]
        refused: dict[str, tuple[str, ...]] = {}
        for start in range(0, len(missing), ITEMS_A_CALL):
            refused |= self._create_items(desk, company, missing[start : start + ITEMS_A_CALL])
        return [entry for entry in going if self._items_fit(desk, entry, codes[entry.order_id], refused)]

    def _create_items(self, desk: Desk, company: str, items: Sequence[Any]) -> dict[str, tuple[str, ...]]:
        """Create the items. Code → Xero's words, for those it refused."""
        key = f"{desk.access.organisation_id}:{self._edges.new_id()}"
        answer = self._call(
            company, lambda observe: self._edges.xero.create_items(items, desk.access, key, observe)
        )
        known = {code: tracked for code, (tracked, messages) in answer.items() if not messages}
        there = [code for code, (_, messages) in answer.items() if "item_exists" in refusals(messages)]
        self._edges.connections.save_items(desk.access.organisation_id, known)
        desk.items |= known
        known |= self._look_up_items(desk, there)
        return {code: messages for code, (_, messages) in answer.items() if messages and code not in known}

    def _look_up_items(self, desk: Desk, codes: Sequence[str]) -> dict[str, bool]:
        """Which of the items Xero has now, and whether each is tracked."""
        if len(codes) > SINGLE_ITEM_READS:
            company, xero = desk.books.company, self._edges.xero
            listed = self._call(company, lambda observe: xero.items(desk.access, observe))
            found = {code: listed[code] for code in codes if code in listed}
        else:
            asked = {code: self._item(desk, code) for code in codes}
            found = {code: tracked for code, tracked in asked.items() if tracked is not None}
        self._edges.connections.save_items(desk.access.organisation_id, found)
        desk.items = {code: tracked for code, tracked in desk.items.items() if code not in codes} | found
        return found

    def _item(self, desk: Desk, code: str) -> bool | None:
        return self._call(
            desk.books.company, lambda observe: self._edges.xero.item(code, desk.access, observe)
        )

    def _items_fit(
        self, desk: Desk, entry: Entry, codes: set[str], refused: dict[str, tuple[str, ...]]
    ) -> bool:
        for code in sorted(codes):
            if code in refused:
                problem = self._problem(refused[code], desk, entry, "purchase_order")
                if problem.code == "refused_by_xero":
                    details = {"order": entry.order_id, "item": code}
                    problem = Problem("item_refused", details, problem.xero_says)
            elif code in desk.items and not desk.items[code] and not entry.items_as_they_are:
                problem = Problem("item_not_tracked", {"order": entry.order_id, "item": code})
            else:
                continue
            self._save(ledger.stop(entry, problem, self._now))
            return False
        return True

    def _problem(self, messages: Sequence[str], desk: Desk, entry: Entry, kind: DocumentKind) -> Problem:
        order = entry.message.order
        return from_xero(
            messages,
            order=entry.order_id,
            document=kind,
            settings=self._settings(desk, entry),
            number=entry.number,
            organisation=desk.organisation.name,
            sent={
                "currency": order.currency or desk.organisation.base_currency,
                "date": order.sold_on.isoformat(),
            },
        )

    # --- sending

    def _send(self, stacks: Sequence[Stack]) -> None:
        """Write the batches down, send them together, settle what comes back."""
        self._await_budget()
        begun: list[tuple[Batch, Stack]] = []
        for stack in stacks[: self._budget.allowed(self._now)]:
            batch = self._batch(stack)
            entries = [ledger.begin(sheet.entry, batch.id, self._now) for sheet in stack.sheets]
            try:
                saved = self._edges.orders.save_together(
                    entries, self._lane, self._edges.connections.put_batch(batch)
                )
            except Conflict:
                continue  # a message came in between: what is due is read anew in the next round
            sheets = tuple(
                Sheet(entry, sheet.document) for entry, sheet in zip(saved, stack.sheets, strict=True)
            )
            begun.append((batch, replace(stack, sheets=sheets)))
            self._begun.add(batch.id)
            self._handled |= {order_key(*entry.key) for entry in saved}
        self._dispatch(begun)

    def _batch(self, stack: Stack) -> Batch:
        organisation_id = stack.desk.access.organisation_id
        id_ = self._edges.new_id()
        return Batch(
            id=id_,
            lane=self._lane.key,
            organisation_id=organisation_id,
            company=stack.desk.books.company,
            kind=stack.kind,
            idempotency_key=f"{organisation_id}:{id_}",
            body_hash=stack.hash,
            first_sent_at=self._now,
            documents=tuple(sheet.planned for sheet in stack.sheets),
        )

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
        self._secure_lease()

        def create(batch: Batch, stack: Stack) -> Callable[[Callable[[Limits], None]], list[Answered]]:
            return lambda observe: self._edges.xero.create(
                batch.kind, stack.bodies, stack.desk.access, batch.idempotency_key, observe
            )

        for _ in begun:
            self._spend()
        answers = self._edges.together([self._answering(create(batch, stack)) for batch, stack in begun])
        self._tick()
        return answers

    def _spend(self) -> None:
        self._budget.spend(self._now)
        self._tally.calls += 1

    def _observe(self, limits: Limits) -> None:
        self._budget.observe(limits, self._edges.now())

    def _await_budget(self) -> None:
        now = self._tick()
        if not self._long and self._is_over(self._edges.waits.short_turn):
            raise TurnEnds(now)
        free_at = self._budget.free_at(now)
        while free_at > now:
            if free_at - now > SHORT_WAIT or free_at - self._began > self._edges.waits.turn:
                raise TurnEnds(free_at)
            self._sleep(free_at - now)
            now = self._now
            free_at = self._budget.free_at(now)

    def _call(self, company: str, call: Callable[[Callable[[Limits], None]], T]) -> T:
        """One call that creates no document. Raises CompanyHeld or TurnEnds where it gave no answer."""
        return self._calls(company, [call])[0]

    def _calls(self, company: str, calls: Sequence[Callable[[Callable[[Limits], None]], T]]) -> list[T]:
        """As many calls at the same time as may go out, until all have answered."""
        answers: list[T] = []
        while len(answers) < len(calls):
            self._await_budget()
            self._secure_lease()
            now_possible = calls[len(answers) :][: self._budget.allowed(self._now)]
            for _ in now_possible:
                self._spend()
            answered = self._edges.together([self._answering(call) for call in now_possible])
            self._tick()
            for answer in answered:
                if isinstance(answer, XeroError):
                    self._stumble(company, answer)
                    raise CompanyHeld from answer
                answers.append(answer)
        return answers

    def _answering(self, call: Callable[[Callable[[Limits], None]], T]) -> Callable[[], T | XeroError]:
        """The call, its error for an answer where it fails."""

        def answering() -> T | XeroError:
            try:
                return call(self._observe)
            except XeroError as error:
                return error

        return answering

    def _read(self, company: str, access: Access, resource: str, **params: str) -> Any:
        return self._call(company, lambda observe: self._edges.xero.read(resource, access, observe, **params))

    def _stumble(self, company: str, error: XeroError) -> None:
        """What an answer that is no answer means for the company, or for the lane (TurnEnds)."""
        edges, now, waits = self._edges, self._now, self._edges.waits
        if isinstance(error, Throttled):
            self._tally.throttled += 1
            defaults = {"concurrent": waits.concurrent, "minute": waits.minute, "app": waits.minute}
            wait = defaults.get(error.limit, timedelta(hours=1))
            if error.retry_after is not None:
                wait = timedelta(seconds=error.retry_after)
            wait += waits.concurrent * edges.chance.random()
            raise self._pause("day_limit" if error.limit == "day" else "minute_limit", now + wait)
        if isinstance(error, Offline):
            self._lane = replace(self._lane, stumbles=self._lane.stumbles + 1)
            wait = back_off(self._lane.stumbles, waits.offline, waits.offline_at_most, edges.chance)
            if error.organisation_only:
                raise self._pause("organisation_offline", now + waits.organisation_offline)
            raise self._pause("xero_offline", now + wait)
        if isinstance(error, TokenExpired):
            self._await_token(company)
        elif isinstance(error, AccessRefused):
            self._lose(company, error)
        elif isinstance(error, OutcomeUnknown):
            self._tally.unknown += 1
            self._held[company] = now + back_off(1, waits.settle_again, waits.settle_again, edges.chance)
        else:
            self._tally.trouble.append(str(error))
            self._held[company] = now + waits.organisation_offline

    def _lose(self, company: str, error: AccessRefused) -> None:
        """The company can't post until a person acts: its orders wait, and the bus is told once."""
        self._held[company] = None
        connection = self._edges.connections.connection(company)
        if connection is None or connection.lane != self._lane.key:
            return
        status = "cut_off" if error.kind == "organisation" else "needs_reconnect"
        if connection.status == "connected":
            # told first: nobody would tell if this ended in between
            detail = {"company": company, "organisation_id": connection.organisation_id, "status": status}
            id_ = f"{company}#{connection.organisation_id}#lost#{ledger.stamp(self._now)}"
            self._edges.events.put([Event("ConnectionLost", id_, self._now, detail)])
            self._edges.connections.lose_connection(connection, status, self._now)
        # what is due moves to `waiting` in the next round, which finds the connection lost
        self._held.pop(company)

    # --- settling

    def _settle_batches(self) -> None:
        """Settle what was sent and never answered, as far as its time has come."""
        self._settle_next = []
        for batch in self._edges.connections.batches(self._lane.key):
            if batch.settle_at is not None and batch.settle_at > self._now:
                self._settle_next.append(batch.settle_at)
                continue
            self._tick()
            if self._is_over(self._edges.waits.turn):
                raise TurnEnds(self._now)
            try:
                self._settle(batch)
            except CompanyHeld:
                continue

    def _settle(self, batch: Batch) -> None:
        entries = self._frozen_by(batch)
        if not entries:
            self._finish(batch)
            return
        books = self._books(batch.company)
        connection = books.connection
        if batch.company in self._held or connection is None or not books.open:
            # the numbers can be looked up in the batch's own organisation only, once it is connected again
            return
        if connection.organisation_id != batch.organisation_id:
            # a person confirmed another organisation: what became of the batch can't be looked up any more
            moved = [ledger.settle_moved(entry, connection, self._now) for entry in entries]
            self._write_outcomes(batch, moved)
            self._finish(batch)
            return
        batch = self._unanswered(batch)
        access = self._access(batch.company)
        desk = Desk(books, access, self._organisation(batch.company, access))
        sheets, unbuilt = self._rebuilt(desk, batch, entries)
        stack = Stack(desk, batch.kind, tuple(sheets), full=False)
        fresh = self._now - batch.first_sent_at < self._edges.waits.same_key
        if (
            fresh
            and self._is_here(books)
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
        entries = [entry for entry in self._edges.orders.get_many(keys) if entry.batch == batch.id]
        return sorted(entries, key=lambda entry: keys[order_key(*entry.key)])

    def _rebuilt(self, desk: Desk, batch: Batch, entries: Sequence[Entry]) -> tuple[list[Sheet], list[Entry]]:
        """The batch's documents as they would be sent now, and the orders that can't have theirs any more."""
        sheets: list[Sheet] = []
        unbuilt: list[Entry] = []
        codes = {
            code for entry in entries for line in entry.message.order.lines if (code := item_code(line.sku))
        }
        desk.items = self._edges.connections.items(desk.access.organisation_id, sorted(codes))
        for entry in entries:
            try:
                sheet = self._sheet(desk, entry)
            except OrderStopped:
                sheet = None
            if sheet is not None and sheet.document.kind == batch.kind:
                sheets.append(sheet)
            else:
                unbuilt.append(entry)
        return sheets, unbuilt

    def _resend(self, batch: Batch, stack: Stack) -> None:
        self._await_budget()
        self._dispatch([(batch, stack)])

    def _settle_by_number(self, batch: Batch, stack: Stack, unbuilt: Sequence[Entry]) -> None:
        """Look up which documents are there; send the others again under a new key, or free their orders."""
        desk, waits = stack.desk, self._edges.waits
        unknown_at = batch.unknown_at or batch.first_sent_at
        over = self._now - unknown_at >= waits.late_commit
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
            self._write_outcomes(
                batch, [ledger.settle_unsent(entry, desk.books, self._now, at_most=half) for entry in stuck]
            )
            stuck = []
        if not left:
            if stuck:
                self._later(batch, at=unknown_at + waits.late_commit)
            else:
                self._finish(batch)
            return
        again = replace(stack, sheets=tuple(left))
        key = f"{batch.organisation_id}:{self._edges.new_id()}"
        renewed = replace(
            batch,
            idempotency_key=key,
            body_hash=again.hash,
            first_sent_at=self._now,
            unknown_at=unknown_at,
            by_number=False,
            settle_at=None,
        )
        self._edges.connections.update_batch(renewed, self._lane)
        self._resend(renewed, again)

    def _later(self, batch: Batch, at: datetime, **changes: Any) -> None:
        """Settle the batch at that moment, not before."""
        settle_at = max(at, self._now + timedelta(milliseconds=1))
        self._edges.connections.update_batch(replace(batch, settle_at=settle_at, **changes), self._lane)
        self._settle_next.append(settle_at)

    def _settle_answer(self, batch: Batch, stack: Stack, answer: list[Answered] | XeroError) -> None:
        if isinstance(answer, XeroError):
            self._settle_error(batch, stack, answer)
            return
        self._lane = replace(self._lane, stumbles=0)
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
                outcomes.append(self._posted(batch, stack.desk, sheet.entry, answered, sheet.document))
            elif "number" in refusals(answered.messages):
                taken.append(sheet.entry)
            elif self._may_yet_arrive(batch):
                held_back = True
            else:
                outcomes.append(self._refused(stack.desk, sheet.entry, batch.kind, answered.messages))
        self._write_outcomes(batch, outcomes)
        absent = self._by_number(batch, stack.desk, taken)
        if absent and not self._may_yet_arrive(batch):
            # refused as taken and yet nowhere to be found: the number belongs to something we may not see
            self._write_outcomes(batch, [self._number_taken(batch, stack.desk, entry) for entry in absent])
            absent = []
        if len(outcomes) + len(taken) - len(absent) == len(stack.sheets):
            self._finish(batch)
        else:
            self._settle_rest(batch, patiently=held_back)

    def _settle_rest(self, batch: Batch, *, patiently: bool) -> None:
        """Orders of the batch have no outcome: look their numbers up, soon or when nothing can arrive any more."""
        unknown_at = batch.unknown_at or self._now
        waits = self._edges.waits
        at = unknown_at + waits.late_commit if patiently else self._now + waits.settle_again
        self._later(batch, at=at, by_number=True, unknown_at=unknown_at, tries=batch.tries + 1)

    def _may_yet_arrive(self, batch: Batch) -> bool:
        """Whether an earlier call for the batch that gave no answer may still be carried out."""
        return batch.unknown_at is not None and self._now - batch.unknown_at < self._edges.waits.late_commit

    def _settle_error(self, batch: Batch, stack: Stack, error: XeroError) -> None:
        waits = self._edges.waits
        if isinstance(error, OutcomeUnknown):
            self._tally.unknown += 1
            tries = batch.tries + 1
            wait = back_off(tries, waits.settle_again, waits.minute, self._edges.chance)
            self._later(
                batch,
                at=self._now + wait,
                unknown_at=self._now,
                tries=tries,
                timed_out=batch.timed_out + error.timed_out,
                by_number=batch.by_number or error.answered,
            )
            if isinstance(error, Offline):
                self._stumble(batch.company, error)
            return
        if isinstance(error, KeyReused):
            self._later(batch, at=self._now, by_number=True, unknown_at=batch.unknown_at or self._now)
            return
        if isinstance(error, CallRefused):
            self._settle_call_refused(batch, stack, error)
            return
        # nothing was done
        if batch.unknown_at is None:
            self._free(batch, stack, at_most=None)
        else:
            self._later(batch, at=self._now + waits.settle_again)
        self._stumble(batch.company, error)

    def _free(self, batch: Batch, stack: Stack, at_most: int | None) -> None:
        """Certainly nothing of it is in the books: all its orders are due again."""
        books = stack.desk.books
        freed = [
            ledger.settle_unsent(sheet.entry, books, self._now, at_most=at_most) for sheet in stack.sheets
        ]
        self._write_outcomes(batch, freed)
        self._finish(batch)

    def _settle_call_refused(self, batch: Batch, stack: Stack, error: CallRefused) -> None:
        """Xero refused the call as a whole: find the document at fault, and let the others go."""
        if self._may_yet_arrive(batch):
            self._settle_rest(batch, patiently=True)
            return
        at_fault = [answered(batch.kind, element) for element in error.elements]
        refused = {element.number: element.messages for element in at_fault if element.explained}
        outcomes = [
            self._refused(stack.desk, sheet.entry, batch.kind, refused[sheet.document.number])
            for sheet in stack.sheets
            if sheet.document.number in refused
        ]
        if outcomes and len(outcomes) < len(stack.sheets):
            # the good ones of such a call may have been created all the same
            self._write_outcomes(batch, outcomes)
            self._settle_rest(batch, patiently=False)
            return
        if not outcomes and len(stack.sheets) > 1:
            self._free(batch, stack, at_most=max(1, len(stack.sheets) // 2))
            return
        if not outcomes:
            outcomes = [self._refused_alone(batch, stack, error)]
        self._write_outcomes(batch, outcomes)
        self._finish(batch)

    def _refused_alone(self, batch: Batch, stack: Stack, error: CallRefused) -> Entry:
        entry = stack.sheets[0].entry
        if error.status in (400, 413):
            return self._refused(stack.desk, entry, batch.kind, error.messages)
        self._tally.trouble.append(f"{error} (batch {batch.id})")
        details = {
            "order": entry.order_id,
            "document": DOCUMENT_WORDS[batch.kind],
            "number": entry.number,
            "reference": batch.id,
        }
        problem = Problem("sent_wrongly", details, error.messages)
        return ledger.settle_refused(entry, problem, stack.desk.books, self._now)

    def _by_number(self, batch: Batch, desk: Desk, entries: Sequence[Entry]) -> list[Entry]:
        """Give each order whose number is in the books its outcome; the orders whose number is not there."""
        if batch.kind == "purchase_order":
            return [entry for entry in entries if not self._purchase_order_by_number(batch, desk, entry)]
        if not entries:
            return []
        access, xero = desk.access, self._edges.xero
        numbers = [entry.number for entry in entries]
        listed = self._call(batch.company, lambda observe: xero.invoices_by_number(numbers, access, observe))
        found = {invoice.number: invoice for invoice in listed}
        there = [entry for entry in entries if entry.number in found]
        ours = {
            entry.number for entry in there if carries_ref(found[entry.number].reference, entry.message.order)
        }
        doubtful = [entry.number for entry in there if entry.number not in ours]
        if doubtful:
            mine = self._call(
                batch.company,
                lambda observe: xero.invoices_by_number(doubtful, access, observe, created_by_my_app=True),
            )
            ours |= {invoice.number for invoice in mine}
        outcomes = [
            self._posted(batch, desk, entry, found[entry.number], None)
            if entry.number in ours
            else self._number_taken(batch, desk, entry)
            for entry in there
        ]
        self._write_outcomes(batch, outcomes)
        return [entry for entry in entries if entry.number not in found]

    def _purchase_order_by_number(self, batch: Batch, desk: Desk, entry: Entry) -> bool:
        """Xero lists purchase orders by one number only; each outcome is written before the next is read."""
        xero, access = self._edges.xero, desk.access
        found = self._call(batch.company, lambda observe: xero.purchase_order(entry.number, access, observe))
        if found is None:
            return False
        ours = carries_ref(found.reference, entry.message.order)
        outcome = (
            self._posted(batch, desk, entry, found, None) if ours else self._number_taken(batch, desk, entry)
        )
        self._write_outcomes(batch, [outcome])
        return True

    def _number_taken(self, batch: Batch, desk: Desk, entry: Entry) -> Entry:
        details = {
            "order": entry.order_id,
            "number": entry.number,
            "document": DOCUMENT_WORDS[batch.kind],
            "ref": entry.message.order.ref or entry.order_id,
        }
        problem = Problem("number_taken", details)
        return ledger.settle_refused(entry, problem, desk.books, self._now)

    def _posted(
        self, batch: Batch, desk: Desk, entry: Entry, answered: Answered, document: Document | None
    ) -> Entry:
        """The order with its document; stopped where the document is not what the order says."""
        self._tally.posted += 1
        planned = next(planned for planned in batch.documents if planned.order_id == entry.order_id)
        posted = Posted(
            id=answered.id,
            number=answered.number,
            status=answered.status,
            total="" if answered.total is None else f"{answered.total:.2f}",
            currency=answered.currency,
            at=self._now,
            adopted=document is None,
            notes=() if document is None else document.notes,
        )
        settled = ledger.settle_posted(entry, batch.kind, posted, self._settings(desk, entry), self._now)
        # a difference that was foreseen is in the document's notes, said before it was sent
        compared = answered.total if planned.figure == "Total" else answered.subtotal
        differs = compared is not None and compared != Decimal(planned.foreseen)
        details = {"order": entry.order_id, "number": answered.number}
        if differs and document is not None:
            totals = {"order_total": str(document.order_total), "xero_total": f"{compared:.2f}"}
            return ledger.stop(settled, Problem("posted_total_differs", details | totals), self._now)
        if differs:
            found = {"field": "total", "value": planned.foreseen, "xero_value": f"{compared:.2f}"}
            return ledger.stop(settled, Problem("adopted_differs", details | found), self._now)
        if document is None and answered.contact_id not in ("", planned.contact_id):
            settings = self._settings(desk, entry)
            wanted = settings.contact_name
            if batch.kind == "purchase_order":
                wanted = settings.purchase_order_contact_name or wanted
            found = {"field": "contact", "value": wanted, "xero_value": answered.contact_name or "another"}
            return ledger.stop(settled, Problem("adopted_differs", details | found), self._now)
        return settled

    def _refused(self, desk: Desk, entry: Entry, kind: DocumentKind, messages: Sequence[str]) -> Entry:
        """What becomes of an order Xero refused: what may be out of date is read anew, once; else a person must act."""
        connections, organisation_id = self._edges.connections, desk.access.organisation_id
        settings = self._settings(desk, entry)
        problem, calls_for = self._problem(messages, desk, entry, kind), refusals(messages)
        if "stock" in calls_for and kind == "invoice" and not entry.as_draft:
            return ledger.settle_again(entry, desk.books, self._now, as_draft=True)
        if entry.refusals == 0 and "contact" in calls_for:
            name = settings.contact_name
            if kind == "purchase_order":
                name = settings.purchase_order_contact_name or name
            connections.forget_contact(organisation_id, name)
        elif entry.refusals == 0 and problem.code == "item_not_found":
            codes = [code for line in entry.message.order.lines if (code := item_code(line.sku))]
            connections.forget_items(organisation_id, codes)
        elif entry.refusals == 0 and "facts" in calls_for:
            connections.forget_organisation(organisation_id)
        else:
            return ledger.settle_refused(entry, problem, desk.books, self._now)
        return ledger.settle_again(entry, desk.books, self._now)

    def _write_outcomes(self, batch: Batch, outcomes: Sequence[Entry]) -> None:
        """Write the outcomes into the ledger and tell of them."""
        for together in _within_a_transaction(outcomes):
            try:
                saved = self._edges.orders.save_together(together, self._lane)
            except Conflict:
                written = (self._write_outcome(batch, outcome) for outcome in together)
                saved = [entry for entry in written if entry is not None]
            # what is due again at once need not wait until an index shows it
            self._keys += [order_key(*entry.key) for entry in saved if entry.state is State.QUEUED]
            self._tell(saved)

    def _write_outcome(self, batch: Batch, outcome: Entry) -> Entry | None:
        """One outcome, over whatever message came in meanwhile."""
        while True:
            try:
                return self._edges.orders.save_together([outcome], self._lane)[0]
            except Conflict:
                now = self._edges.orders.get(*outcome.key)
                if now is None or now.batch != batch.id:
                    return None
                outcome = ledger.merge(outcome, now, self._books(batch.company), self._now)

    def _finish(self, batch: Batch) -> None:
        """Every order of the batch has its outcome: tell of those whose event may not be out, then forget it."""
        if batch.id not in self._begun:
            keys = [order_key(batch.company, planned.order_id) for planned in batch.documents]
            self._tell(entry for entry in self._edges.orders.get_many(keys) if entry.settled_in == batch.id)
        self._edges.connections.delete_batch(batch, self._lane)


def _stacked(desk: Desk, kind: DocumentKind, sheets: Sequence[Sheet], at_most: int) -> list[Stack]:
    """The sheets in as few calls as their number and size allow."""
    stacks: list[Stack] = []
    mine: list[Sheet] = []
    size = 0
    for sheet in sheets:
        # DynamoDB takes 4 MB in a transaction, and a row may be larger than its document
        bytes_ = max(len(to_json(sheet.document.body)), ledger.weight(sheet.entry))
        if mine and (len(mine) >= at_most or size + bytes_ > BODY_AT_MOST):
            stacks.append(Stack(desk, kind, tuple(mine), full=True))
            mine, size = [], 0
        mine.append(sheet)
        size += bytes_
    if mine:
        stacks.append(Stack(desk, kind, tuple(mine), full=len(mine) >= at_most))
    return stacks


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

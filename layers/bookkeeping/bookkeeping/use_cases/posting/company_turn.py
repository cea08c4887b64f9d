"""A company's turn: makes batches of documents that are ready to send from the company's due orders.

A company's turn knows its books, access and organisation. It finds the contact, creates missing items, and makes the
next document of each order. An order that can't have a document is stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Final, Self

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.tables.lanes import Planned
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.adapters.xero_api import Access, Answered, Observe
from bookkeeping.domain import ledger
from bookkeeping.domain.amounts import to_json
from bookkeeping.domain.contacts import Contact, same_name
from bookkeeping.domain.document_kinds import TRACKED_ITEM, Created, DocumentKind, contact_setting
from bookkeeping.domain.documents import Document, document_date, purchase_order, sales_invoice, tracked_items
from bookkeeping.domain.errors import CallRefused, CompanyHeld
from bookkeeping.domain.ledger import Books, Entry
from bookkeeping.domain.moments import LONG_AGO
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.problems.catalogue import OF_THE_ORGANISATION
from bookkeeping.domain.problems.problem import OrderStopped, Problem
from bookkeeping.domain.problems.xero_messages import from_xero
from bookkeeping.domain.settings import Settings
from bookkeeping.domain.time_zones import Calendar
from bookkeeping.use_cases.posting.items import TrackedItems
from bookkeeping.use_cases.posting.lane_holder import BODY_AT_MOST, LaneHolder
from bookkeeping.use_cases.posting.publishing import Publisher
from bookkeeping.use_cases.xero_facts import KEPT_BY_POSTING, Query, Read, XeroFacts

FACTS_STOP_FOR: Final = timedelta(minutes=5)
"""An order is stopped only for facts newer than this, because a person may have corrected them in Xero."""
STILL_NEW: Final = timedelta(seconds=2)
"""Before documents are sent, the company's settings, connection and pause are read again if that is longer ago."""


@dataclass(frozen=True)
class ReadyDocument:
    """An order with its next document, ready to send."""

    entry: Entry
    document: Document
    size: int
    """Bytes it takes in a call, and in the transaction that writes the call down."""
    first: bool
    """Whether it is the order's first, which others may be about to join."""

    @classmethod
    def of(cls, entry: Entry, document: Document) -> Self:
        # a transaction of DynamoDB is limited to 4 MB, and a row may be larger than its document
        size = max(len(to_json(document.body)), ledger.weight(entry))
        return cls(entry, document, size, first=not entry.frozen and not entry.refusals)

    @property
    def planned(self) -> Planned:
        figures = self.document.figures
        return Planned(
            order_id=self.entry.order_id,
            number=self.document.number,
            content_hash=self.entry.message.content_hash,
            net=str(figures.net),
            total=str(figures.total),
            taxes={tax_type: str(tax) for tax_type, tax in figures.taxes.items()},
            contact_id=str(self.document.body["Contact"]["ContactID"]),
        )


@dataclass
class CompanyTurn:
    """One company in one round. Its data is read once, and used for this round only."""

    holder: LaneHolder
    publisher: Publisher
    books: Books
    books_read_at: datetime
    access: Access
    facts: XeroFacts
    organisation: Organisation
    items: TrackedItems
    versions: dict[int, Settings] = field(default_factory=dict)
    contacts: dict[str, Contact | Problem] = field(default_factory=dict)
    """Contact name → the contact, or why it can't be used."""

    @classmethod
    def of(cls, books: Books, holder: LaneHolder, publisher: Publisher) -> Self:
        books_read_at = holder.now
        access, asked_at = holder.access(books), holder.now
        read = reading(holder, books.company, access)
        facts = XeroFacts(holder.adapters.organisations, access.organisation_id, read, lambda: holder.now)
        try:
            organisation, read_at = facts.organisation(KEPT_BY_POSTING)
        except CallRefused as refused:
            holder.handle_failure(books.company, refused)
            raise CompanyHeld from refused
        holder.note_facts(organisation)
        if read_at >= asked_at:
            holder.note_facts_read(access.organisation_id)
        items = TrackedItems(holder, books.company, access)
        return cls(holder, publisher, books, books_read_at, access, facts, organisation, items)

    def outdated(self) -> bool:
        """Whether the company's settings, connection or pause are others by now. They are read at most every moment."""
        now = self.holder.now
        if now - self.books_read_at <= STILL_NEW:
            return False
        if _but_for_work(self.holder.books(self.books.company)) != _but_for_work(self.books):
            return True
        self.books_read_at = now
        return False

    def settings(self, entry: Entry) -> Settings:
        if entry.settings_version not in self.versions:
            version = self.holder.adapters.settings.version(self.books.company, entry.settings_version)
            self.versions[entry.settings_version] = version
        return self.versions[entry.settings_version]

    def calendar(self, entry: Entry) -> Calendar:
        return self.organisation.calendar(self.settings(entry).order_time_zone)

    def _sent_on(self, entry: Entry) -> date:
        return self.calendar(entry).day(ledger.sent_at(entry.message))

    def problem(self, messages: Sequence[str], entry: Entry, created: Created) -> Problem:
        order, settings = entry.message.order, self.settings(entry)
        currency = settings.cost_currency if created == "purchase_order" else ""
        found = from_xero(
            messages,
            order=entry.order_id,
            document=created,
            settings=settings,
            number=entry.number,
            organisation=self.organisation.name,
            sent={
                "currency": currency
                or order.currency
                or settings.currency
                or self.organisation.base_currency,
                "date": document_date(order, settings, self.organisation, self._sent_on(entry)).isoformat(),
            },
        )
        if "tax_type" not in found.details:
            return found
        words = self.organisation.tax_type_in_words(found.details["tax_type"])
        return replace(found, details={**found.details, "tax_type": words})

    # --- documents

    def ready_documents(self, entries: Sequence[Entry]) -> list[ReadyDocument]:
        """The next document of each order. An order that can't have one is stopped; the others go on."""
        going: list[Entry] | None = None
        with contained(self.books.company):
            going = self._with_items(entries)
        if going is None:
            # one of them is at fault
            going = []
            for entry in entries:
                with self._stopping(entry):
                    going += self._with_items([entry])
        ready_documents: list[ReadyDocument] = []
        for entry in going:
            with self._stopping(entry):
                ready = self.ready(entry)
                if ready is None:
                    self.publisher.save(ledger.nothing_left(entry, self.settings(entry), self.holder.now))
                else:
                    ready_documents.append(ready)
        return ready_documents

    @contextmanager
    def _stopping(self, entry: Entry) -> Iterator[None]:
        """A problem, or a fault of ours, in the block stops this order, and holds up no other."""
        with self.publisher.contained(entry):
            try:
                yield
            except OrderStopped as stopped:
                self._stop(entry, stopped.problem)

    def _held_back(self, entry: Entry) -> bool:
        """Whether the order is not to be posted, which only its organisation's calendar could tell."""
        settings = self.settings(entry)
        if settings.start_from is None or entry.documents:
            return False
        held = ledger.held_back(entry, settings, self.holder.now, self.calendar(entry))
        if held is not None:
            self.publisher.save(held)
        return held is not None

    def _stop(self, entry: Entry, problem: Problem) -> None:
        """Stop the order. If the organisation's facts may be stale, read them again first and leave the order due."""
        holder, organisations = self.holder, self.holder.adapters.organisations
        here = self.access.organisation_id
        if problem.code in OF_THE_ORGANISATION and not holder.has_read_facts(here):
            known = organisations.get(here)
            retried_at = entry.retried_at
            if known is None or (
                holder.now - known[1] >= FACTS_STOP_FOR or (retried_at is not None and retried_at > known[1])
            ):
                organisations.forget(here)
                holder.look_again_at([order_key(*entry.key)])
                return
        self.publisher.save(ledger.stop(entry, problem, holder.now))

    def ready(self, entry: Entry) -> ReadyDocument | None:
        """The order's next document; None if none is left. Raises OrderStopped.

        All documents that are left are made, so that a problem with one of them stops the order before any is sent.
        """
        left = ledger.remaining(entry, self.settings(entry))
        documents = [self._document(entry, kind) for kind in left]
        return ReadyDocument.of(entry, documents[0]) if documents else None

    def _document(self, entry: Entry, kind: DocumentKind) -> Document:
        settings, order = self.settings(entry), entry.message.order
        sent_on = self._sent_on(entry)
        if kind == "invoice":
            return sales_invoice(
                order,
                settings,
                self.organisation,
                contact=self._contact(kind, entry),
                number=entry.number,
                sent_on=sent_on,
                as_draft=entry.as_draft,
            )
        return purchase_order(
            order,
            settings,
            self.organisation,
            contact=self._contact(kind, entry),
            number=entry.number,
            sent_on=sent_on,
            untracked_items=self.items.untracked,
        )

    def _contact(self, kind: DocumentKind, entry: Entry) -> Contact:
        """The document's contact. Raises OrderStopped if there is no usable contact."""
        setting = contact_setting(kind, self.settings(entry))
        name: str = getattr(self.settings(entry), setting)
        details = {
            "order": entry.order_id,
            "setting": setting,
            "label": Settings.label(setting),
            "contact": name,
        }
        if not name:
            raise OrderStopped(Problem("setting_missing", details))
        if name not in self.contacts:
            self.contacts[name] = self.facts.contact(name)
        found = self.contacts[name]
        if isinstance(found, Problem):
            raise OrderStopped(Problem(found.code, {**found.details, **details}, found.xero_says))
        self.holder.note_named(found.id, found.read_at)
        return found

    def doubt_contacts(self, ready_batch: ReadyBatch, sent_at: datetime) -> None:
        """Xero did not say which names the batch's contacts bear: they are looked up before the next batch.

        If another answer has said the name since the batch was sent, that is as good.
        """
        for ready in ready_batch.ready_documents:
            if self.holder.named_lately(str(ready.document.body["Contact"]["ContactID"]), since=sent_at):
                continue
            self.holder.in_doubt = True
            settings = self.settings(ready.entry)
            name = getattr(settings, contact_setting(ready_batch.kind, settings))
            if self.contacts.pop(name, None) is not None:
                self.holder.adapters.organisations.doubt_contact(self.access.organisation_id, name)

    def still_named(self, name: str, answered: Answered) -> bool:
        """Whether a document's contact still bears the name. If not, who does is asked before the next batch."""
        if not answered.contact_name:
            return True
        organisations, here = self.holder.adapters.organisations, self.access.organisation_id
        self.holder.note_named(answered.contact_id, self.holder.now)
        if same_name(name, answered.contact_name):
            return True
        # its name may differ in accents, if nobody else bears the name with them
        known = organisations.contact(here, name)
        if known is not None and known.read_at > LONG_AGO and same_name(known.name, answered.contact_name):
            return True
        self.holder.in_doubt = True
        organisations.doubt_contact(here, name)
        return False

    def forget_facts(self) -> None:
        """What is known of the organisation may be wrong: it is read again before the next batch."""
        self.holder.in_doubt = True
        self.holder.adapters.organisations.forget(self.access.organisation_id)

    # --- items

    def _with_items(self, entries: Sequence[Entry]) -> list[Entry]:
        """The orders to be posted whose items are in Xero, creating those that are missing; the others are stopped."""
        wanted: dict[str, Any] = {}
        codes: dict[str, set[str]] = {}
        going: list[Entry] = []
        for entry in entries:
            with self._stopping(entry):
                if self._held_back(entry):
                    continue
                settings = self.settings(entry)
                items = (
                    tracked_items(entry.message.order, settings, self.organisation)
                    if settings.process_method == "tracked" and ledger.remaining(entry, settings)
                    else ()
                )
                codes[entry.order_id] = {item["Code"] for item in items}
                wanted |= {item["Code"]: item for item in items}
                going.append(entry)
        if not wanted:
            return going
        self.items.recall(wanted)
        # before pressing Retry, a person may have changed the item to a tracked one in Xero
        self.items.look_up(
            sorted(
                code
                for entry in going
                if entry.history and entry.retried_at and not entry.items_as_they_are
                for code in codes[entry.order_id] & self.items.untracked
            )
        )
        self.items.create_missing(wanted)
        fitting: list[Entry] = []
        for entry in going:
            with self._stopping(entry):
                if self._items_fit(entry, codes[entry.order_id]):
                    fitting.append(entry)
        return fitting

    def _items_fit(self, entry: Entry, codes: Iterable[str]) -> bool:
        """Whether the order can be posted with its items. If not, it is stopped."""
        unread = sorted(self.items.unreadable.intersection(codes))
        if unread:
            self._wait_or_stop(entry, unread[0])
            return False
        misfit = self.items.misfit(codes, as_they_are=entry.items_as_they_are)
        if misfit is None:
            return True
        code, messages = misfit
        details = {"order": entry.order_id, "item": code}
        problem = Problem("item_not_tracked", details)
        if messages:
            problem = self.problem(messages, entry, "item")
        if problem.code == "refused_by_xero":
            problem = Problem("item_refused", details, problem.xero_says)
        self._stop(entry, problem)
        return False

    def _wait_or_stop(self, entry: Entry, code: str) -> None:
        """The order needs an item that is not in Xero, and no answer came that Xero had written: tried for an hour."""
        holder, waits = self.holder, self.holder.adapters.waits
        if entry.due_at is not None and holder.now - entry.due_at < waits.in_vain:
            holder.resume_by(holder.now + waits.organisation_offline)
            return
        holder.note_fault(f"only answers that are not Xero's (item {code} of company {entry.company})")
        details = {"order": entry.order_id, "document": TRACKED_ITEM.words, "number": code}
        self._stop(entry, Problem("xero_unreadable", details | {"reference": entry.order_id}))


def _but_for_work(books: Books) -> Books:
    """The books without when they were last worked on, which a turn writes itself."""
    return replace(books, connection=books.connection and replace(books.connection, worked_at=None))


def reading(holder: LaneHolder, company: str, access: Access) -> Read:
    """A function that reads from an organisation with the lane's calls."""
    xero = holder.adapters.xero

    def call(resource: str, params: Mapping[str, str]) -> Callable[[Observe], Any]:
        return lambda observe: xero.read(resource, access, observe, **params)

    def read(queries: Sequence[Query]) -> list[Any]:
        answers: dict[int, Any] = {}
        for place, answer in holder.each_answer(company, [call(*query) for query in queries], reads=True):
            if isinstance(answer, CallRefused) and answer.status != 400:
                # a list that is not to be had says nothing of what would be in it
                holder.handle_failure(company, answer)
                raise CompanyHeld from answer
            answers[place] = answer
        return [answers[place] for place in sorted(answers)]

    return read


@dataclass(frozen=True, eq=False)
class ReadyBatch:
    """The documents of one call."""

    company_turn: CompanyTurn
    kind: DocumentKind
    ready_documents: tuple[ReadyDocument, ...]
    full: bool

    @property
    def fresh(self) -> bool:
        """Whether it has the first document of a new order. More new orders may follow at once."""
        return any(ready.first for ready in self.ready_documents)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [ready.document.body for ready in self.ready_documents]

    @property
    def contact_ids(self) -> set[str]:
        return {str(body["Contact"]["ContactID"]) for body in self.bodies}

    @property
    def hash(self) -> str:
        return hashlib.sha256(to_json({"documents": self.bodies})).hexdigest()


def in_batches(
    company_turn: CompanyTurn, kind: DocumentKind, ready_documents: Sequence[ReadyDocument], at_most: int
) -> list[ReadyBatch]:
    """The documents in as few batches as their number and size allow."""
    ready_batches: list[ReadyBatch] = []
    mine: list[ReadyDocument] = []
    size = 0
    for ready in ready_documents:
        if mine and (len(mine) >= at_most or size + ready.size > BODY_AT_MOST):
            ready_batches.append(ReadyBatch(company_turn, kind, tuple(mine), full=True))
            mine, size = [], 0
        mine.append(ready)
        size += ready.size
    if mine:
        ready_batches.append(ReadyBatch(company_turn, kind, tuple(mine), full=len(mine) >= at_most))
    return ready_batches

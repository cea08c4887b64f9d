"""From orders that are due to calls that could go out: a company's desk, its orders' sheets, and stacks of them.

A desk knows the company's books, its access and what its organisation is made of; it finds the contact, creates the
items that are missing, and makes the next document of each order. An order that can't have one is stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Self

from bookkeeping.adapters.tables.lanes import Planned
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.adapters.xero_api import Access, Observe
from bookkeeping.domain import ledger
from bookkeeping.domain.amounts import to_json
from bookkeeping.domain.document_kinds import Created, DocumentKind
from bookkeeping.domain.documents import Document, document_date, purchase_order, sales_invoice, tracked_items
from bookkeeping.domain.errors import CallRefused
from bookkeeping.domain.ledger import Books, Entry
from bookkeeping.domain.organisation import Contact, Organisation, contact_matching, organisation_from_xero
from bookkeeping.domain.pacing import CALLS_AT_ONCE
from bookkeeping.domain.problems.catalogue import OF_THE_ORGANISATION
from bookkeeping.domain.problems.problem import OrderStopped, Problem
from bookkeeping.domain.problems.xero_messages import from_xero, refusals
from bookkeeping.domain.settings import Settings
from bookkeeping.use_cases.posting.lane_holder import BODY_AT_MOST, LaneHolder
from bookkeeping.use_cases.posting.publishing import Publisher

ITEMS_A_CALL: Final = 100
FACTS_KEPT: Final = timedelta(hours=12)
FACTS_STOP_FOR: Final = timedelta(minutes=5)
"""No order is stopped for what was read longer ago: a person may have put it right in Xero."""
SINGLE_ITEM_READS: Final = 3
ItemAnswers = Mapping[str, tuple[bool, tuple[str, ...]]]
"""Item code → whether it is tracked, and why it was refused."""


@dataclass(frozen=True)
class ReadyDocument:
    """An order with its next document, ready to send."""

    entry: Entry
    document: Document

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
    """One company at work in this round: read once, used for the round only."""

    holder: LaneHolder
    publisher: Publisher
    books: Books
    access: Access
    organisation: Organisation
    versions: dict[int, Settings] = field(default_factory=dict)
    contacts: dict[str, list[Any]] = field(default_factory=dict)
    """Contact name → what Xero answered when asked for it in this round."""
    known_contacts: dict[str, Contact] = field(default_factory=dict)
    """Contact name → the contact, where it was known before this round."""
    items: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, books: Books, holder: LaneHolder, publisher: Publisher) -> Self:
        access = holder.access(books)
        return cls(holder, publisher, books, access, _organisation(books.company, access, holder))

    def settings(self, entry: Entry) -> Settings:
        if entry.settings_version not in self.versions:
            version = self.holder.adapters.settings.version(self.books.company, entry.settings_version)
            self.versions[entry.settings_version] = version
        return self.versions[entry.settings_version]

    def problem(self, messages: Sequence[str], entry: Entry, created: Created) -> Problem:
        order, settings = entry.message.order, self.settings(entry)
        return from_xero(
            messages,
            order=entry.order_id,
            document=created,
            settings=settings,
            number=entry.number,
            organisation=self.organisation.name,
            sent={
                "currency": order.currency or self.organisation.base_currency,
                "date": document_date(order, settings, ledger.sent_on(entry.message)).isoformat(),
            },
        )

    # --- documents

    def ready_documents(self, entries: Sequence[Entry]) -> list[ReadyDocument]:
        """The next document of each order; an order that can't have one is stopped, and holds no other up."""
        if any(self.settings(entry).process_method == "tracked" for entry in entries):
            entries = self._with_items(entries)
        ready_documents: list[ReadyDocument] = []
        for entry in entries:
            try:
                ready = self.ready(entry)
            except OrderStopped as stopped:
                self._stop(entry, stopped.problem)
                continue
            if ready is None:
                self.publisher.save(ledger.nothing_left(entry, self.settings(entry), self.holder.now))
            else:
                ready_documents.append(ready)
        return ready_documents

    def _stop(self, entry: Entry, problem: Problem) -> None:
        """Stop the order; or leave it due, to be tried with what Xero says now of the organisation."""
        holder, organisations, here = (
            self.holder,
            self.holder.adapters.organisations,
            self.access.organisation_id,
        )
        if problem.code in OF_THE_ORGANISATION and here not in holder.read_anew:
            known = organisations.get(here)
            retried_at = max((act.at for act in entry.history), default=None)
            if known is None or (
                holder.now - known[1] >= FACTS_STOP_FOR or (retried_at is not None and retried_at > known[1])
            ):
                organisations.forget(here)
                holder.keys.append(order_key(*entry.key))
                holder.look_again = True
                return
        self.publisher.save(ledger.stop(entry, problem, holder.now))

    def ready(self, entry: Entry) -> ReadyDocument | None:
        """The order's next document; None where none is left. Raises OrderStopped.

        The documents after it are made too: what stops the invoice stops the order before its purchase order is sent.
        """
        left = ledger.remaining(entry, self.settings(entry))
        documents = [self._document(entry, kind) for kind in left]
        return ReadyDocument(entry, documents[0]) if documents else None

    def _document(self, entry: Entry, kind: DocumentKind) -> Document:
        settings, order = self.settings(entry), entry.message.order
        sent_on = ledger.sent_on(entry.message)
        if kind == "invoice":
            return sales_invoice(
                order,
                settings,
                self.organisation,
                contact=self._contact(settings.contact_name, entry),
                number=entry.number,
                sent_on=sent_on,
                as_draft=entry.as_draft,
            )
        setting = "purchase_order_contact_name" if settings.purchase_order_contact_name else "contact_name"
        return purchase_order(
            order,
            settings,
            self.organisation,
            contact=self._contact(getattr(settings, setting), entry, setting),
            number=entry.number,
            sent_on=sent_on,
            untracked_items=frozenset(code for code, tracked in self.items.items() if not tracked),
        )

    def _contact(self, name: str, entry: Entry, setting: str = "contact_name") -> Contact:
        """The contact of that name. Raises OrderStopped where there is none, or none that can be used."""
        if not name:
            details = {"order": entry.order_id, "setting": setting, "label": Settings.label(setting)}
            raise OrderStopped(Problem("setting_missing", details))
        organisations, organisation_id = self.holder.adapters.organisations, self.access.organisation_id
        if name in self.known_contacts:
            return self.known_contacts[name]
        if name not in self.contacts:
            contact = organisations.contact(organisation_id, name)
            if contact is not None:
                self.known_contacts[name] = contact
                return contact
            # a double quote can't be escaped in `where`; the search finds such names too
            by_name = {"searchTerm": name} if '"' in name else {"where": f'Name=="{name}"'}
            self.contacts[name] = self._contacts(name, by_name, entry, setting)
            contact = contact_matching(name, self.contacts[name], order=entry.order_id, setting=setting)
            organisations.save_contact(organisation_id, name, contact)
        return contact_matching(name, self.contacts[name], order=entry.order_id, setting=setting)

    def _contacts(self, name: str, by_name: Mapping[str, str], entry: Entry, setting: str) -> list[Any]:
        xero, access = self.holder.adapters.xero, self.access
        [answer] = self.holder.calls_or_refusals(
            self.books.company,
            [lambda observe: xero.read("Contacts", access, observe, includeArchived="true", **by_name)],
        )
        if isinstance(answer, CallRefused):
            details = {"order": entry.order_id, "contact": name, "label": Settings.label(setting)}
            raise OrderStopped(Problem("contact_not_searchable", details, answer.messages))
        return list(answer.get("Contacts", []))

    # --- items

    def _with_items(self, entries: Sequence[Entry]) -> list[Entry]:
        """The orders whose items are in Xero, creating those that are missing; the others are stopped."""
        wanted: dict[str, Any] = {}
        codes: dict[str, set[str]] = {}
        going: list[Entry] = []
        for entry in entries:
            settings = self.settings(entry)
            try:
                items = (
                    tracked_items(entry.message.order, settings, self.organisation)
                    if settings.process_method == "tracked" and ledger.remaining(entry, settings)
                    else ()
                )
            except OrderStopped as stopped:
                self._stop(entry, stopped.problem)
                continue
            codes[entry.order_id] = {item["Code"] for item in items}
            wanted |= {item["Code"]: item for item in items}
            going.append(entry)
        self.items = self.holder.adapters.organisations.items(self.access.organisation_id, wanted)
        # a person may have made it a tracked item in Xero before pressing Retry
        self._look_up_items(
            sorted(
                code
                for entry in going
                if entry.history and not entry.items_as_they_are
                for code in codes[entry.order_id]
                if not self.items.get(code, True)
            )
        )
        refused = self._create_items([item for code, item in wanted.items() if code not in self.items])
        return [entry for entry in going if self._items_fit(entry, codes[entry.order_id], refused)]

    def _create_items(self, items: Sequence[Any]) -> dict[str, tuple[str, ...]]:
        """Create the items. Code → Xero's words, for those it refused. What is created is known at once."""
        refused: dict[str, tuple[str, ...]] = {}
        left = [items[start : start + ITEMS_A_CALL] for start in range(0, len(items), ITEMS_A_CALL)]
        while left:
            together, left = left[:CALLS_AT_ONCE], left[CALLS_AT_ONCE:]
            calls = [self._creation(some) for some in together]
            answers = self.holder.calls_or_refusals(self.books.company, calls)
            for some, answer in zip(together, answers, strict=True):
                if not isinstance(answer, CallRefused):
                    refused |= self._refused(answer)
                elif len(some) == 1:
                    refused[some[0]["Code"]] = answer.messages
                else:
                    # one of them is at fault: the others go without it
                    left += [some[: len(some) // 2], some[len(some) // 2 :]]
        return refused

    def _creation(self, items: Sequence[Any]) -> Callable[[Observe], ItemAnswers]:
        xero, key = (
            self.holder.adapters.xero,
            f"{self.access.organisation_id}:{self.holder.adapters.new_id()}",
        )
        return lambda observe: xero.create_items(items, self.access, key, observe)

    def _refused(self, answer: ItemAnswers) -> dict[str, tuple[str, ...]]:
        """Keep the items that are there now; Xero's words on the others."""
        known = {code: tracked for code, (tracked, messages) in answer.items() if not messages}
        there = [code for code, (_, messages) in answer.items() if "item_exists" in refusals(messages)]
        self.holder.adapters.organisations.save_items(self.access.organisation_id, known)
        self.items |= known
        known |= self._look_up_items(there)
        return {code: messages for code, (_, messages) in answer.items() if messages and code not in known}

    def _look_up_items(self, codes: Sequence[str]) -> dict[str, bool]:
        """Which of the items Xero has now, and whether each is tracked."""
        holder, adapters = self.holder, self.holder.adapters
        if len(codes) > SINGLE_ITEM_READS:
            listed = holder.call(
                self.books.company, lambda observe: adapters.xero.items(self.access, observe)
            )
            found = {code: listed[code] for code in codes if code in listed}
        else:
            asked = {code: self._item(code) for code in codes}
            found = {code: tracked for code, tracked in asked.items() if tracked is not None}
        adapters.organisations.save_items(self.access.organisation_id, found)
        self.items = {code: tracked for code, tracked in self.items.items() if code not in codes} | found
        return found

    def _item(self, code: str) -> bool | None:
        xero, access = self.holder.adapters.xero, self.access
        return self.holder.call(self.books.company, lambda observe: xero.item(code, access, observe))

    def _items_fit(self, entry: Entry, codes: set[str], refused: dict[str, tuple[str, ...]]) -> bool:
        for code in sorted(codes):
            if code in refused:
                problem = self.problem(refused[code], entry, "item")
                if problem.code == "refused_by_xero":
                    details = {"order": entry.order_id, "item": code}
                    problem = Problem("item_refused", details, problem.xero_says)
            elif code in self.items and not self.items[code] and not entry.items_as_they_are:
                problem = Problem("item_not_tracked", {"order": entry.order_id, "item": code})
            else:
                continue
            self._stop(entry, problem)
            return False
        return True


def _organisation(company: str, access: Access, holder: LaneHolder) -> Organisation:
    organisations, xero = holder.adapters.organisations, holder.adapters.xero
    known = organisations.get(access.organisation_id)
    if known is not None and holder.now - known[1] < FACTS_KEPT:
        return known[0]

    def read(resource: str) -> Callable[[Observe], Any]:
        return lambda observe: xero.read(resource, access, observe)

    answers = holder.calls(
        company, [read(name) for name in ("Organisation", "Accounts", "TaxRates", "Currencies")]
    )
    organisation = organisation_from_xero(*answers)
    organisations.save(organisation, holder.now)
    holder.read_anew.add(access.organisation_id)
    return organisation


@dataclass(frozen=True)
class ReadyBatch:
    """The sheets of one call."""

    company_turn: CompanyTurn
    kind: DocumentKind
    ready_documents: tuple[ReadyDocument, ...]
    full: bool

    @property
    def fresh(self) -> bool:
        """Whether it holds an order's first document, which others may be about to join."""
        return any(not ready.entry.frozen and not ready.entry.refusals for ready in self.ready_documents)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [ready.document.body for ready in self.ready_documents]

    @property
    def hash(self) -> str:
        return hashlib.sha256(to_json({"documents": self.bodies})).hexdigest()


def in_batches(
    company_turn: CompanyTurn, kind: DocumentKind, ready_documents: Sequence[ReadyDocument], at_most: int
) -> list[ReadyBatch]:
    """The sheets in as few calls as their number and size allow."""
    ready_batches: list[ReadyBatch] = []
    mine: list[ReadyDocument] = []
    size = 0
    for ready in ready_documents:
        # DynamoDB takes 4 MB in a transaction, and a row may be larger than its document
        bytes_ = max(len(to_json(ready.document.body)), ledger.weight(ready.entry))
        if mine and (len(mine) >= at_most or size + bytes_ > BODY_AT_MOST):
            ready_batches.append(ReadyBatch(company_turn, kind, tuple(mine), full=True))
            mine, size = [], 0
        mine.append(ready)
        size += bytes_
    if mine:
        ready_batches.append(ReadyBatch(company_turn, kind, tuple(mine), full=len(mine) >= at_most))
    return ready_batches

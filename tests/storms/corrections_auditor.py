"""The auditor of the storms over corrections. It reads the truth log and the books of the simulated Xero, the rows of
the ledger, and what people did, and reckons from the messages what must stand in the books.

Of the code it uses nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from local.samples import gross
from local.xero.organisations import Document, Organisation
from local.xero.truth_log import Entry
from tests.storms.auditor import EPOCH, Report
from tests.storms.workload import Company, Sent

READ_BEFORE = timedelta(seconds=6)
"""A reading and what rests on it, as they arrive in Xero: five seconds, and the way there."""
DEAD = ("DELETED", "VOIDED")
CANCELLED, LINE_CANCELLED = 128, 7
EDITED = ("edited_meanwhile", "document_edited")
CENT = Decimal("0.01")


@dataclass
class People:
    """What people did, as they remember it."""

    edits: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    """Document's id → when its content was changed in Xero."""
    touched: set[str] = field(default_factory=set)
    """Documents that a person approved, paid, deleted, voided or credited in Xero."""
    presses: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Row's key → how often a person decided to credit a piece."""
    by_hand: set[str] = field(default_factory=set)
    """Rows that a person said to have dealt with by hand."""
    saw: set[str] = field(default_factory=set)
    """Those of them that showed an edit of the moment of our call."""


@dataclass(frozen=True)
class Done:
    """What a call of ours did to a document, or for it."""

    call: Entry
    what: str
    number: str

    @property
    def at(self) -> datetime:
        return self.call.at

    @property
    def committed_at(self) -> datetime:
        return self.call.committed_at or self.call.at


@dataclass
class Log:
    """The truth log, by document."""

    reads: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    done: dict[str, list[Done]] = field(default_factory=lambda: defaultdict(list))
    """What our calls did to an invoice or purchase order: deleted, voided, credited, allocated."""
    notes: set[str] = field(default_factory=set)
    """Credit notes that we created."""
    allocations: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Note's id → how often we allocated it."""
    calls: int = 0

    @classmethod
    def of(cls, entries: Iterable[Entry], books: Mapping[str, Organisation]) -> Log:
        log = cls()
        for entry in entries:
            if not entry.path.startswith("/api.xro/"):
                continue
            log.calls += 1
            last = entry.path.rpartition("/")[2]
            if entry.method == "GET":
                log.reads[last].append(entry.at)
            for done in entry.committed:
                log._note(entry, done, books[str(entry.tenant_id)])
        return log

    def _note(self, entry: Entry, done: Mapping[str, Any], organisation: Organisation) -> None:
        if done["kind"] == "allocation":
            self.allocations[done["credit_note_id"]] += done["action"] == "created"
            self.done[done["invoice_id"]].append(Done(entry, "allocated", done["credit_note"]))
        elif done["kind"] == "ACCRECCREDIT" and done["action"] == "created":
            note = organisation.documents[done["id"]]
            self.notes.add(note.id)
            for invoice in organisation.numbered("ACCREC", note.reference, same_case=True):
                self.done[invoice.id].append(Done(entry, "credited", note.number))
        elif done["kind"] in ("ACCREC", "PURCHASEORDER") and done["action"] != "created":
            self.done[done["id"]].append(Done(entry, "ended", str(done["number"])))


def audit(
    sent: Iterable[Sent],
    entries: Iterable[Entry],
    rows: Iterable[Mapping[str, Any]],
    books: Mapping[str, Organisation],
    people: People,
    *,
    stands_still: bool = False,
) -> Report:
    """`stands_still`: a process may do so between a look and its call."""
    report, log = Report(), Log.of(entries, books)
    report.calls = log.calls
    by_key = {row["key"]: row for row in rows}
    for order in sent:
        for company in order.companies:
            report.orders += 1
            key = f"{company.ref}#{order.order_id}"
            case = _Case(
                report, key, company, order, by_key.get(key), books[company.organisation_id], people, log
            )
            case.judge(stands_still=stands_still)
    return report


def problem_of(row: Mapping[str, Any]) -> str:
    """The problem that stopped the order's correction."""
    problem = row.get("correction", {}).get("problem")
    return str(problem["code"]) if problem else ""


@dataclass
class _Case:
    report: Report
    key: str
    company: Company
    sent: Sent
    row: Mapping[str, Any] | None
    books: Organisation
    people: People
    log: Log

    def _bad(self, what: str, why: str) -> None:
        getattr(self.report, what).append(f"order {self.key}: {why}")

    def judge(self, *, stands_still: bool) -> None:
        if self.row is None:
            self._bad("lost", "no row")
            return
        if self.row["state"] not in ("posted", "skipped", "needs_attention"):
            self._bad("open", f"{self.row['state']} {self.row.get('reason', '')}")
            return
        invoices, orders = list(self._documents("ACCREC")), list(self._documents("PURCHASEORDER"))
        self.report.documents += len(invoices) + len(orders)
        for documents in (invoices, orders):
            numbers = [document.number for document in documents]
            live = [document.number for document in documents if document.status not in DEAD]
            if len(live) > 1 or len(set(numbers)) < len(numbers):
                self._bad("duplicated", f"{numbers}, of which {live} are live")
        for document in (*invoices, *orders):
            self._acts_on(document, stands_still=stands_still)
        for invoice in invoices:
            self._credited(invoice)
        self._ended(invoices, orders)

    def _documents(self, kind: Any) -> Iterator[Document]:
        """The order's, over all suffixes."""
        number = f"{self.company.prefix}{self.sent.order_id}"
        for place in range(1, 9):
            yield from self.books.numbered(
                kind, number if place == 1 else f"{number}-{place}", same_case=True
            )

    def _notes(self, invoice: Document) -> list[Document]:
        """The notes of ours that stand on the invoice."""
        return [
            note
            for note in (
                self.books.documents[id_] for id_ in sorted(self.log.notes & self.books.documents.keys())
            )
            if note.reference == invoice.number and note.status not in DEAD
        ]

    def _acts_on(self, document: Document, *, stands_still: bool) -> None:
        """What we did to the document rests on a reading just before, and overwrites nobody's edit."""
        problem = problem_of(self.row or {})
        known_at = self._known_at(document.id)
        # one that was made before the document was found again is as it was posted
        edits = [at for at in self.people.edits[document.id] if at > known_at]
        for done in self.log.done[document.id]:
            read_at = max((at for at in self.log.reads[document.id] if at <= done.at), default=None)
            if read_at is None or (not stands_still and done.at - read_at > READ_BEFORE):
                age = done.at - read_at if read_at else "never"
                self._bad("unexpected", f"{document.number} was {done.what} and read before: {age}")
                continue
            if any(at <= read_at for at in edits):
                self._bad(
                    "unexpected", f"{document.number} was {done.what} over an edit made before it was read"
                )
            elif (
                any(at <= done.committed_at for at in edits)
                and problem not in EDITED
                and self.key not in self.people.saw
            ):
                self._bad(
                    "unexpected",
                    f"{document.number} was edited when it was {done.what}: {problem or 'not shown'}",
                )

    def _known_at(self, document_id: str) -> datetime:
        """When a document that was found again in Xero was; long ago for any other one."""
        row = self.row or {}
        for posted in (*row.get("documents", {}).values(), *row.get("former", ())):
            if posted["id"] == document_id and posted.get("adopted"):
                return EPOCH + timedelta(milliseconds=int(posted["at"]))
        return EPOCH

    def _credited(self, invoice: Document) -> None:
        notes = self._notes(invoice)
        if sum((note.total for note in notes), Decimal(0)) > invoice.total:
            self._bad(
                "duplicated", f"{invoice.number} of {invoice.total} has {[note.total for note in notes]}"
            )
        for note in notes:
            if self.log.allocations[note.id] > 1:
                self._bad("duplicated", f"{note.number} was allocated {self.log.allocations[note.id]} times")
            if invoice.status in DEAD and invoice.id not in self.people.touched:
                self._bad(
                    "unexpected", f"{note.number} stands on {invoice.number}, which is {invoice.status}"
                )

    def _ended(self, invoices: list[Document], orders: list[Document]) -> None:
        """What stands in the books is what the messages and people say."""
        row, newest = self.row or {}, self.sent.messages[-1][1]
        reason, problem = row.get("reason", ""), problem_of(row)
        touched = self._touched(*invoices, *orders)
        if row["state"] == "needs_attention":
            # half posted, and cancelled before its invoice was sent
            half = row["problem"]["code"] == "no_sale" and orders and not invoices
            if not (half and newest["status"] == CANCELLED) and not touched:
                self._bad("unexpected", f"needs attention: {row['problem']}")
            return
        if row["state"] == "skipped":
            if (reason, newest["status"]) != ("cancelled", CANCELLED):
                self._bad("unexpected", f"skipped {reason}")
        elif reason:
            # only what a person did in Xero may leave something to do
            if not (reason == "correction_stopped" and touched):
                self._bad("open", f"{reason} {problem} {row.get('correction')}")
            return
        if self._credits() > self.people.presses[self.key]:
            self._bad("duplicated", "a button that was pressed once counted twice")
        if touched or self.key in self.people.by_hand:
            return
        first = {gross(message) for _, message in self.sent.messages}
        for invoice in invoices:
            if invoice.total not in first:
                self._bad("unexpected", f"{invoice.number} is of {invoice.total}")
        stands = sum((invoice.total for invoice in invoices if invoice.status not in DEAD), Decimal(0))
        credited = sum((note.total for invoice in invoices for note in self._notes(invoice)), Decimal(0))
        wanted = self._wanted(newest)
        if stands - credited != wanted:
            self._bad(
                "lost" if stands - credited > wanted else "duplicated",
                f"{stands} stand and {credited} of it are credited, {wanted} should be left",
            )
        if newest["status"] == CANCELLED and row["state"] == "posted":
            kept = [order.number for order in orders if order.status not in DEAD]
            if kept and row.get("stage") == "received" and not any(o.sent_to_contact for o in orders):
                self._bad("lost", f"{kept} stand though nothing was produced")
        for invoice in invoices:
            for note in self._notes(invoice):
                if note.outstanding:
                    self._bad("lost", f"{note.number} has {note.outstanding} that pay nothing")

    def _touched(self, *documents: Document) -> bool:
        notes = {note for document in documents for note in self.log.notes if self._is_of(note, document)}
        ids = {document.id for document in documents} | notes
        return bool(ids & self.people.touched) or any(self.people.edits[id_] for id_ in ids)

    def _is_of(self, note: str, document: Document) -> bool:
        found = self.books.documents.get(note)
        return found is not None and found.reference == document.number

    def _credits(self) -> int:
        """How often a person had a piece credited, as the row tells."""
        return sum(act["what"] == "credit" for act in (self.row or {}).get("history", []))

    def _wanted(self, newest: Mapping[str, Any]) -> Decimal:
        """What should be left of the order in the books."""
        if newest["status"] == CANCELLED:
            return Decimal(0)
        pieces = self._credits()
        first = newest["items"][0]
        price = (
            Decimal(str(first["unit_sale_price_inc_tax"]))
            if first["status"] != LINE_CANCELLED
            else Decimal(0)
        )
        return gross(newest) - pieces * price

"""Carries out corrections: deletes, voids or credits documents of orders that were cancelled after posting.

One order at a time, in its lane. Its documents are read at most seconds before anything is done to them, and read again
after. Each step is written down in the order's row before its call is sent. So after a crash, or an answer that never
came, the next turn looks first what became of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeVar

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.adapters.xero_api import Answered, Observe, answered
from bookkeeping.domain import ledger
from bookkeeping.domain.correction_steps import (
    Allocate,
    Finish,
    HandBack,
    MakeNote,
    PostAgain,
    Read,
    Rest,
    SetStatus,
    done_words,
    edited_meanwhile,
    kinds_of,
    next_step,
)
from bookkeeping.domain.corrections import Correction, CreditNote
from bookkeeping.domain.document_kinds import DOCUMENT_KINDS, DocumentKind
from bookkeeping.domain.documents import CENT
from bookkeeping.domain.documents_in_xero import VOID_OR_DELETED, DocumentInXero
from bookkeeping.domain.errors import (
    CallRefused,
    CompanyHeld,
    Conflict,
    Offline,
    OutcomeUnknown,
    Throttled,
    XeroError,
)
from bookkeeping.domain.events import EVENT_OF, corrected
from bookkeeping.domain.ledger import Books, Entry, Posted, State
from bookkeeping.domain.pacing import back_off
from bookkeeping.domain.problems.problem import OrderStopped, Problem
from bookkeeping.domain.problems.xero_messages import quoted, refusals
from bookkeeping.domain.texts import check_value
from bookkeeping.use_cases.posting.company_turn import CompanyTurn
from bookkeeping.use_cases.posting.lane_holder import LaneHolder
from bookkeeping.use_cases.posting.publishing import Publisher

K = TypeVar("K")
T = TypeVar("T")
READ_AT_MOST: Final = timedelta(seconds=5)
"""What is done to a document rests on a reading no older than this."""
LOOK_FIRST: Final = timedelta(minutes=10)
"""When it is first looked whether a person has approved a credit note; then at longer and longer intervals."""
LOOK_AT_MOST: Final = timedelta(days=1)
DONE: Final[Mapping[str, str]] = {"DELETED": "deleted", "VOIDED": "voided"}


class _Doubtful(Exception):
    """A call of this step got no usable answer: what became of it is looked up at a later time."""


class _FactsOutdated(Exception):
    """Xero refused the step for something of the organisation that is known here from a while ago."""


class _Refused(Exception):
    """Xero refused the step, so nothing of it was done."""

    def __init__(self, messages: tuple[str, ...]) -> None:
        super().__init__(messages)
        self.messages = messages


def under_way(entry: Entry) -> bool:
    """Whether a call for the order may have been sent whose outcome is not known."""
    return entry.correction is not None and bool(entry.correction.step)


class Corrections:
    def __init__(self, holder: LaneHolder, publisher: Publisher) -> None:
        self._holder = holder
        self.publisher = publisher

    def leave(self, entry: Entry, books: Books) -> None:
        """The company does not post in this lane now: what was not begun is handed back to a person, or waits."""
        # what somebody else has asked for since is looked at in the next round
        with suppress(Conflict):
            if not books.settings.enabled and not under_way(entry):
                self.save(entry, lambda one: ledger.corrected(one, None, self._holder.now))
                return
            carried_on = ledger.carried_on(entry, books, self._holder.now)
            if carried_on is None:
                # connecting again has it carried on
                self.save(entry, lambda one: ledger.corrected(one, one.correction, self._holder.now))
                return
            if carried_on.due_at is not None:
                self._holder.ring_elsewhere(carried_on.lane, order_key(*entry.key))
            self.save(entry, lambda one: ledger.carried_on(one, books, self._holder.now) or one)

    def carry_out(self, company_turn: CompanyTurn, entry: Entry) -> None:
        """Carry the order's correction as far as it goes now. Raises CompanyHeld or TurnEnds."""
        with contained(*entry.key, partial(self.at_fault, entry)):
            try:
                _Carried(self._holder, company_turn, self, entry).run()
            except OrderStopped as stopped:
                self._stop(self._anew(entry), stopped.problem)
            except Conflict:
                # somebody else has changed what was asked for: it is read anew
                self._holder.look_again_at([order_key(*entry.key)])

    def _anew(self, entry: Entry) -> Entry:
        return self._holder.adapters.orders.get(*entry.key) or entry

    def at_fault(self, entry: Entry, reference: str) -> None:
        """A fault of ours stops the correction. What its step may have done is found out when it is tried again."""
        # where even that fails, at least the row shows it
        with contained(*entry.key, partial(self.publisher.mark, *entry.key)):
            about = {"order": entry.order_id, "number": entry.number, "reference": reference}
            self._stop(self._anew(entry), Problem("correction_fault", about))

    def _stop(self, entry: Entry, problem: Problem) -> None:
        # what somebody else has asked for since is looked at anew
        with suppress(Conflict):
            self.save(entry, lambda one: _with(one, self._holder.now, problem=problem))

    def save(self, entry: Entry, change: Callable[[Entry], Entry]) -> Entry:
        """Write the change while holding the lane, also where a message has changed the row meanwhile. Raises Conflict.

        A message only adds to a posted order. Raises Conflict where somebody has asked for something else since.
        """
        orders, holder = self._holder.adapters.orders, self._holder
        asked = entry.correction
        while True:
            with suppress(Conflict):
                [saved] = orders.save_together([change(entry)], holder.lane)
                if saved.due_at is None or saved.due_at > holder.now or saved.lane != holder.lane.key:
                    holder.keys.discard(order_key(*saved.key))
                return saved
            now = orders.get(*entry.key)
            if now is None or now.correction != asked:
                raise Conflict
            entry = now


def _there(found: Mapping[K, DocumentInXero | None]) -> dict[K, DocumentInXero]:
    return {key: document for key, document in found.items() if document is not None}


def _with(entry: Entry, now: datetime, *, due_at: datetime | None = None, **changes: Any) -> Entry:
    """The order with its correction changed so. Not `due_at` any time: it rests."""
    if entry.correction is None:
        return entry
    return ledger.corrected(entry, replace(entry.correction, **changes), now, due_at=due_at)


def _as_read(posted: Posted, document: DocumentInXero | None, now: datetime) -> Posted:
    return posted if document is None else ledger.as_read(posted, document.status, document.stands, now)


OVER: Final[Mapping[str, Any]] = {
    "step": "",
    "kind": None,
    "status": "",
    "note": None,
    "sent_at": None,
    "tries": 0,
}
"""Of a correction whose step has its outcome."""


class _Carried:
    """One correction as it is carried out in a turn."""

    def __init__(
        self, holder: LaneHolder, company_turn: CompanyTurn, corrections: Corrections, entry: Entry
    ) -> None:
        self._holder = holder
        self._turn = company_turn
        self._corrections = corrections
        self._publisher = corrections.publisher
        self._entry = entry
        self._read_at = holder.now
        self._read = Read({}, {})

    @property
    def _correction(self) -> Correction:
        assert self._entry.correction is not None  # noqa: S101 for the type checker; ended ones return before
        return self._entry.correction

    @property
    def _company(self) -> str:
        return self._entry.company

    def run(self) -> None:
        try:
            while self._advance():
                pass
        except _FactsOutdated:
            # the next round of the turn reads them, and decides anew
            self._holder.adapters.organisations.forget(self._turn.access.organisation_id)
            self._holder.look_again_at([order_key(*self._entry.key)])
        except _Doubtful:
            waits, tries = self._holder.adapters.waits, self._correction.tries + 1
            wait = back_off(
                tries, waits.settle_again, waits.organisation_offline, self._holder.adapters.chance
            )
            self._wait_until(self._holder.now + wait, tries=tries)

    def _advance(self) -> bool:
        """Take the next step; whether there is another one to take now."""
        if self._entry.correction is None or (self._correction.step and not self._resolved()):
            return False
        if self._correction.problem is not None:
            # it was edited before the step was taken
            return False
        if not self._turn.books.may_send or ledger.superseded(self._entry):
            self._save(lambda one: ledger.corrected(one, None, self._holder.now))
            return False
        if ledger.outdated(self._entry):
            self._end(self._entry.dealt_with)
            return True
        self._look()
        step = next_step(
            self._entry,
            self._read,
            self._turn.books.settings,
            self._turn.organisation,
            self._day(self._holder.now),
            self._cancelled_on(),
        )
        match step:
            case SetStatus():
                self._set_status(step)
            case MakeNote():
                self._make_note(step)
            case Allocate():
                self._allocate(step.note, step.amount)
            case Rest():
                self._rest(step.why)
                return False
            case HandBack():
                self._save(lambda one: ledger.corrected(one, None, self._holder.now))
                return False
            case PostAgain():
                self._post_again()
                return False
            case Finish():
                self._end(self._correction.dealt_with)
                return self._entry.correction is not None
        return True

    # --- days

    def _day(self, at: datetime) -> date:
        return self._turn.organisation.calendar("").day(at)

    def _cancelled_on(self) -> date:
        """The organisation's day of the message that cancelled the order; where none did, on which a person asked."""
        entry, of = self._entry, self._correction.dealt_with
        if entry.newer is not None and entry.newer.content_hash == of != entry.dealt_with:
            return self._day(ledger.sent_at(entry.newer))
        return self._day(self._correction.at)

    # --- reading

    def _look(self) -> None:
        """Read the order's documents at once, and note what a person has done to them since."""
        wanted = kinds_of(self._entry)
        if self._correction.what == "post_again":
            wanted = [kind for kind in DOCUMENT_KINDS if kind in self._entry.documents]
        # what a note that is settled still takes off the invoice matters only before another one is made
        notes = [
            note.id
            for note in self._entry.credit_notes
            if note.id and not (note.settled and self._correction.noted)
        ]
        self._holder.await_budget()
        # from when they are asked for: an answer may take its time
        self._read_at = self._holder.tick()
        found = self._documents(
            [
                *((kind, self._entry.documents[kind].id) for kind in wanted),
                *(("credit_note", id_) for id_ in notes),
            ]
        )
        documents = dict(zip(wanted, found, strict=False))
        for kind, document in documents.items():
            if document is None:
                details = {
                    "document": DOCUMENT_KINDS[kind].words,
                    "number": self._entry.documents[kind].number,
                }
                raise OrderStopped(Problem("document_not_found", {"order": self._entry.order_id, **details}))
        read_notes = dict(zip(notes, found[len(wanted) :], strict=True))
        self._read = Read(_there(documents), _there(read_notes))
        self._note_statuses(read_notes)

    def _documents(self, asked: Sequence[tuple[DocumentKind, str]]) -> list[DocumentInXero | None]:
        """The documents by their ids or numbers, read side by side; None where there is none."""
        xero, access = self._holder.adapters.xero, self._turn.access
        calls = [partial(xero.document, kind, id_or_number, access) for kind, id_or_number in asked]
        found: dict[int, DocumentInXero | None] = {}
        for place, answer in self._holder.each_answer(self._company, calls, reads=True):
            if isinstance(answer, XeroError):
                self._holder.handle_failure(self._company, answer)
                raise CompanyHeld from answer
            found[place] = answer
        return [found[place] for place in range(len(asked))]

    def _document(self, kind: DocumentKind, id_or_number: str) -> DocumentInXero | None:
        [found] = self._documents([(kind, id_or_number)])
        return found

    def _note_statuses(self, read_notes: Mapping[str, DocumentInXero | None]) -> None:
        """Keep what was read of the documents' statuses. A note that is gone, or has done its work, is settled."""
        read = self._read.documents
        notes = [
            self._as_read(note, read_notes[note.id]) if note.id in read_notes else note
            for note in self._entry.credit_notes
        ]
        unmoved = all(self._entry.documents[kind].stood == one.stands for kind, one in read.items())
        if unmoved and notes == [*self._entry.credit_notes]:
            return
        self._save(
            lambda one: replace(
                one,
                documents={
                    kind: _as_read(posted, read.get(kind), self._read_at)
                    for kind, posted in one.documents.items()
                },
                credit_notes=tuple(notes),
            )
        )

    def _as_read(self, note: CreditNote, in_xero: DocumentInXero | None) -> CreditNote:
        if in_xero is None or in_xero.void_or_deleted:
            return replace(note, status="DELETED" if in_xero is None else in_xero.status, settled=True)
        if note.settled:
            return replace(note, status=in_xero.status, total=f"{in_xero.total:.2f}")
        invoice = self._read.documents.get("invoice")
        allocated = any(one.invoice_id == note.invoice_id for one in in_xero.allocated)
        unpaid = invoice is not None and invoice.due > 0 and in_xero.remaining_credit > 0
        settled = in_xero.status in ("AUTHORISED", "PAID") and (allocated or not unpaid)
        return replace(note, status=in_xero.status, settled=settled)

    def _unchanged(self) -> bool:
        """Whether what was read is still new enough to act on."""
        return self._holder.tick() - self._read_at <= READ_AT_MOST

    # --- steps

    def _begin(self, step: str, **changes: Any) -> str:
        """Write the step down, and return the key of its call.

        Raises _Doubtful where what was read is too old by now, and Conflict where it has to be decided anew.
        """
        self._holder.await_budget()
        if self._turn.outdated():
            # switched off, paused or moved: the next round looks
            raise Conflict
        if self._unchanged():
            known = self._entry.newest
            self._note(step=step, sent_at=self._holder.now, rests="", **changes)
            if self._entry.newest != known:
                # a message came in between
                self._note(**OVER)
                raise Conflict
            if self._unchanged():
                return f"{self._turn.access.organisation_id}:{self._holder.adapters.new_id()}"
            self._note(**{**OVER, "tries": self._correction.tries})
        # read and decided anew, after a longer and longer while
        raise _Doubtful

    def _set_status(self, step: SetStatus) -> None:
        posted = self._entry.documents[step.kind]
        key = self._begin("status", kind=step.kind, status=step.status)
        xero, access = self._holder.adapters.xero, self._turn.access
        try:
            self._call(
                lambda observe: xero.set_status(step.kind, posted.id, step.status, access, key, observe)
            )
        except _Refused as refused:
            # perhaps because a person, or a call of ours that ended late, has done it already
            if not self._is_set():
                raise self._stopped(refused.messages, posted.number, DONE[step.status]) from None

    def _make_note(self, step: MakeNote) -> None:
        key = self._begin("note", note=step.note)
        try:
            answer = self._created(step.body, key)
        except _Refused as refused:
            # whatever its words: perhaps only for its number
            found = self._document("credit_note", step.note.number)
            if found is None:
                number = self._entry.documents["invoice"].number
                raise self._stopped(refused.messages, number, "credited") from None
            self._found(found, step.note)
        else:
            made = replace(
                step.note,
                id=answer.id,
                status=answer.status,
                total=step.note.total if answer.total is None else f"{answer.total:.2f}",
                tax="" if answer.tax is None else f"{answer.tax:.2f}",
                dated_on=answer.dated_on,
                contact_check=check_value(answer.contact_id),
            )
            self._note_made(made)

    def _created(self, body: dict[str, Any], key: str) -> Answered:
        """Xero's answer to a new credit note. Raises _Doubtful, _Refused, CompanyHeld or TurnEnds."""
        xero, access = self._holder.adapters.xero, self._turn.access
        answers = self._call(lambda observe: xero.create("credit_note", [body], access, key, observe))
        if not answers:
            raise _Doubtful
        if not answers[0].ok:
            raise _Refused(answers[0].messages)
        return answers[0]

    def _note_made(self, note: CreditNote) -> None:
        made = replace(note, at=self._holder.now)
        self._save(
            lambda one: replace(
                _with(one, self._holder.now, due_at=self._holder.now, **{**OVER, "noted": note.number}),
                credit_notes=(*one.credit_notes, made),
            )
        )
        self._add_history("credit_note", note.id, note.number, note.status)
        self._add_history("invoice", note.invoice_id, note.number, note.status)

    def _found(self, found: DocumentInXero, planned: CreditNote) -> None:
        """The number is in use: by our own note of an earlier call, or by somebody else's."""
        if self._is_ours(found, planned):
            made = replace(
                planned,
                id=found.id,
                status=found.status,
                total=f"{found.total:.2f}",
                tax=f"{found.tax:.2f}",
                dated_on=found.dated_on.isoformat() if found.dated_on else "",
                contact_check=check_value(found.contact_id),
            )
            self._note_made(made)
        else:
            self._note(**{**OVER, "taken": self._correction.taken + 1})

    def _is_ours(self, found: DocumentInXero, planned: CreditNote) -> bool:
        if any(note.id == found.id for note in self._entry.credit_notes):
            return False
        # Xero may round a line's tax otherwise
        about_the_same = abs(found.total - Decimal(planned.total)) <= CENT * len(found.lines)
        named = found.reference == self._entry.documents["invoice"].number
        return named and about_the_same and found.currency == planned.currency

    def _allocate(self, note: CreditNote, amount: Decimal) -> None:
        key = self._begin("allocation", note=note)
        xero, access = self._holder.adapters.xero, self._turn.access
        on = self._day(self._holder.now).isoformat()
        try:
            self._call(
                lambda observe: xero.allocate(note.id, note.invoice_id, amount, on, access, key, observe)
            )
        except _Refused as refused:
            raise self._stopped(refused.messages, note.number, "allocated to the invoice") from None
        nothing_left = amount == self._read.notes[note.id].remaining_credit
        # no need to read it again
        settled = replace(note, settled=True, status="PAID" if nothing_left else note.status)
        self._save(
            lambda one: replace(
                _with(one, self._holder.now, due_at=self._holder.now, **OVER),
                credit_notes=tuple(settled if kept.id == note.id else kept for kept in one.credit_notes),
            )
        )

    def _call(self, call: Callable[[Observe], T]) -> T:
        """A call that changes something in Xero. Raises _Doubtful, _Refused, CompanyHeld or TurnEnds."""
        answer = self._answer(call)
        if not isinstance(answer, Exception):
            self._holder.note_answer(self._company, created=True)
            return answer
        if isinstance(answer, CallRefused):
            self._holder.note_token_taken(self._company)
            messages = [*answer.messages]
            for element in answer.elements:
                messages += answered("credit_note", element).messages
            raise _Refused(tuple(messages))
        if isinstance(answer, OutcomeUnknown) and not isinstance(answer, Offline):
            self._holder.count(unknown=1)
            raise _Doubtful from answer
        if not isinstance(answer, XeroError):
            raise answer
        if not isinstance(answer, Offline):
            # nothing was done
            self._note(**OVER)
        self._holder.handle_failure(self._company, answer)
        raise CompanyHeld from answer

    def _answer(self, call: Callable[[Observe], T]) -> T | Exception:
        started = self._holder.start(call)
        while not started.done():
            self._holder.await_first([started])
        return started.result()

    def _stopped(self, messages: tuple[str, ...], number: str, done: str) -> OrderStopped:
        """Xero refused the step, so nothing of it was done: a person has to look. Once in a turn, _FactsOutdated."""
        self._note(**OVER)
        read = self._holder.has_read_facts(self._turn.access.organisation_id)
        if "facts" in refusals(messages) and not read:
            raise _FactsOutdated
        details = {"order": self._entry.order_id, "number": number, "done": done}
        return OrderStopped(Problem("correction_refused", details, quoted(messages)))

    # --- what became of a step

    def _resolved(self) -> bool:
        """Find out what became of the step that was written down; False: that can't be told yet."""
        correction = self._correction
        match correction.step:
            case "status":
                return self._is_set() or self._is_over()
            case "note":
                return self._resolve_note()
            case _:
                # allocations add up: it is looked for the first one only when none can arrive any more
                return self._is_over()

    def _is_over(self) -> bool:
        """Whether no call of the step can be carried out any more: then it is decided anew. Else it waits for that."""
        sent_at = self._correction.sent_at or self._holder.now
        over_at = sent_at + self._holder.adapters.waits.late_commit
        if self._holder.tick() < over_at:
            self._wait_until(over_at)
            return False
        self._note(**OVER)
        return True

    def _wait_until(self, at: datetime, **changes: Any) -> None:
        self._save(lambda one: _with(one, self._holder.now, due_at=at, **changes))
        self._holder.note_waiting(at)

    def _is_set(self) -> bool:
        """Whether the document is deleted or voided, as it was to be."""
        kind, status = self._correction.kind, self._correction.status
        if kind is None:
            return False
        posted = self._entry.documents[kind]
        found = self._document(kind, posted.id)
        if found is None or found.status != status:
            return False
        deleted = self._correction.deleted or (kind == "invoice" and status == "DELETED")
        # in one write, so that a crash leaves no edit unshown
        edited = edited_meanwhile(self._entry, found, DONE[status])
        over = {**OVER, "deleted": deleted, "problem": edited}
        due_at = None if edited else self._holder.now
        self._save(
            lambda one: replace(
                _with(one, self._holder.now, due_at=due_at, **over),
                documents={**one.documents, kind: _as_read(posted, found, self._holder.now)},
            )
        )
        self._add_history(kind, posted.id, posted.number, status)
        return True

    def _resolve_note(self) -> bool:
        planned = self._correction.note
        if planned is None:
            return True
        found = self._document("credit_note", planned.number)
        if found is not None:
            self._found(found, planned)
            return True
        return self._is_over()

    # --- ends

    def _rest(self, why: str) -> None:
        """A person has to do something first. For the approval of a note it is looked now and then."""
        self._publish()
        waits = why == "note_is_draft"
        looks = self._correction.looks + 1
        wait = back_off(looks, LOOK_FIRST, LOOK_AT_MOST, self._holder.adapters.chance)
        if waits:
            self._wait_until(self._holder.now + wait, rests=why, looks=looks)
        else:
            self._save(lambda one: _with(one, self._holder.now, rests=why))

    def _end(self, dealt_with: str) -> None:
        """The correction is over. What the platform has said meanwhile is looked after as it is after any message."""

        def ended(one: Entry) -> Entry:
            over = ledger.corrected(ledger.dealt_with(one, dealt_with), None, self._holder.now)
            return ledger.look_after_posting(over, self._turn.books, self._holder.now)

        self._publish()
        self._save(ended)

    def _publish(self) -> None:
        """Tell the platform what was done, before the correction ends: a crash in between has it told again."""
        if found := corrected(self._entry):
            self._holder.adapters.events.put(found)

    def _post_again(self) -> None:
        self._publish()
        holder = self._holder

        def posted_again(one: Entry) -> Entry:
            again = ledger.post_again(one, self._turn.books, holder.now)
            if again.state in EVENT_OF:
                # it stays among what is due until the bus was told
                return replace(again, lane=holder.lane.key, due_at=holder.now)
            return again

        self._save(posted_again)
        if self._entry.state is State.QUEUED:
            holder.look_again_at([order_key(*self._entry.key)])
        elif self._entry.state in EVENT_OF:
            self._publisher.publish_and_remove(self._entry)

    def _add_history(self, kind: DocumentKind, id_: str, number: str, status: str) -> None:
        """Say in Xero what was done. Where that fails, nothing else depends on it."""
        xero, access = self._holder.adapters.xero, self._turn.access
        key = f"{access.organisation_id}:{self._holder.adapters.new_id()}"
        ended = status if status in VOID_OR_DELETED else ""
        details = done_words(self._entry, self._correction, number, ended)
        self._holder.await_budget()
        answer = self._answer(lambda observe: xero.add_history(kind, id_, details, access, key, observe))
        if isinstance(answer, Throttled | Offline):
            # the whole lane has to wait
            self._holder.handle_failure(self._company, answer)
        if isinstance(answer, Exception) and not isinstance(answer, XeroError):
            raise answer

    def _note(self, **changes: Any) -> None:
        """Note so much of the correction, which goes on at once."""
        self._save(lambda one: _with(one, self._holder.now, due_at=self._holder.now, **changes))

    def _save(self, change: Callable[[Entry], Entry]) -> None:
        self._entry = self._corrections.save(self._entry, change)

"""Weakened copies of what corrects documents. A storm must catch each; the same storm over the real code ends well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from unittest.mock import patch

from bookkeeping.domain import correction_steps, credit_notes
from bookkeeping.domain.ledger import Entry
from bookkeeping.use_cases.page import corrections as page
from bookkeeping.use_cases.posting import corrections
from bookkeeping.use_cases.posting.corrections import OVER, _Carried
from tests.storms.auditor import Report
from tests.storms.corrections import LAGGING, Storm, run
from tests.storms.environment import Weather
from tests.storms.table import Job, Outcome

Change = Callable[[], AbstractContextManager[None]]


# --- other defences, to be switched off


@contextmanager
def numbers_taken_twice() -> Iterator[None]:
    """Xero lets two credit notes have one number."""
    with patch("local.xero.credit_notes.holders", lambda *_: []):
        yield


@contextmanager
def allocated_without_bounds() -> Iterator[None]:
    """Xero lets a note pay more than is left of it, or of its invoice."""
    with (
        patch("local.xero.allocations._amount_errors", lambda *_: []),
        patch("local.xero.allocations._pair_errors", lambda *_: []),
    ):
        yield


# --- mutants


@contextmanager
def number_reused() -> Iterator[None]:
    """Each note of an invoice gets the first number, and what stands under it is taken for the note."""
    with (
        patch.object(credit_notes._CreditNote, "_number", lambda made: f"{made._invoice.number}-CN"),
        patch.object(_Carried, "_is_ours", lambda *_: True),
    ):
        yield


@contextmanager
def ended_without_reading_back() -> Iterator[None]:
    """What Xero answered counts; nobody reads again what was deleted or voided."""
    real = _Carried._document

    def document(carried: _Carried, kind: Any, id_or_number: str) -> Any:
        found = real(carried, kind, id_or_number)
        posted = carried._entry.documents.get(kind)
        if found is None or posted is None or carried._correction.step != "status":
            return found
        return replace(carried._read.documents.get(kind, found), status=found.status)

    with patch.object(_Carried, "_document", document):
        yield


@contextmanager
def allocated_again_unread() -> Iterator[None]:
    """An allocation without an answer is made once more as it was."""
    real = _Carried._resolved

    def resolved(carried: _Carried) -> bool:
        note, step = carried._correction.note, carried._correction.step
        if step != "allocation" or note is None:
            return real(carried)
        carried._look()
        carried._note(**OVER)
        carried._allocate(note, carried._read.notes[note.id].total)
        return True

    with patch.object(_Carried, "_resolved", resolved):
        yield


@contextmanager
def credited_though_voided() -> Iterator[None]:
    """Whatever the invoice's status: what was approved is credited."""
    real = correction_steps._of_invoice

    def of_invoice(basis: Any) -> Any:
        invoice = basis.read.documents.get("invoice")
        if invoice is not None and invoice.status == "VOIDED" and not basis.correction.noted:
            approved = {**basis.read.documents, "invoice": replace(invoice, status="AUTHORISED")}
            never_void = basis.settings.model_copy(update={"void_approved": False})
            basis = replace(basis, read=replace(basis.read, documents=approved), settings=never_void)
        return real(basis)

    def kinds_of(entry: Entry) -> list[Any]:
        return [*entry.documents]

    with (
        patch.object(correction_steps, "_of_invoice", of_invoice),
        patch.object(corrections, "kinds_of", kinds_of),
    ):
        yield


@contextmanager
def whatever_was_edited() -> Iterator[None]:
    """Nobody compares a document with what was posted."""
    with patch.object(correction_steps, "_check_as_posted", lambda *_: None):
        yield


@contextmanager
def not_written_down() -> Iterator[None]:
    """A call goes out, and nobody knows of it until it is answered."""
    real = _Carried._note

    def note(carried: _Carried, **changes: Any) -> None:
        if not changes.get("step"):
            real(carried, **changes)

    with patch.object(_Carried, "_note", note):
        yield


@contextmanager
def late_calls_forgotten() -> Iterator[None]:
    """A call without an answer is taken for one that was never made."""

    def is_over(carried: _Carried) -> bool:
        carried._note(**OVER)
        return True

    with patch.object(_Carried, "_is_over", is_over):
        yield


@contextmanager
def each_press_counts() -> Iterator[None]:
    """Whatever a person saw when they pressed."""
    real = page.correct

    def correct(adapters: Any, person: Any, entry: Entry, asked: Any, *, version: int, **how: Any) -> Entry:
        return real(adapters, person, entry, asked, version=entry.version, **how)

    with patch.object(page, "correct", correct):
        yield


# --- trials


@dataclass(frozen=True)
class Trial:
    mutant: Change
    storm: Storm
    off: tuple[Change, ...] = ()
    seed: int = 1
    """One that is known to catch it; others are tried if it no longer does."""

    @property
    def name(self) -> str:
        return self.mutant.__name__

    def run(self, seed: int, *, weakened: bool) -> Report:
        with ExitStack() as changes:
            for each in (*self.off, *([self.mutant] if weakened else [])):
                changes.enter_context(each())
            return run(replace(self.storm, seed=f"{seed} {self.name}"))


FEW = Storm("", orders=24, companies=6, seconds=120, edits=0)
LOST = replace(FEW, weather=Weather(reply_lost=0.25, lag=10))
SLOW = replace(FEW, weather=Weather(slow_commit=0.4, lag=10))
EDITS = replace(FEW, edits=0.5)
TRIALS: tuple[Trial, ...] = (
    Trial(number_reused, replace(FEW, weather=LAGGING)),
    Trial(ended_without_reading_back, EDITS),
    Trial(allocated_again_unread, LOST, (allocated_without_bounds,)),
    Trial(credited_though_voided, FEW, seed=3),
    Trial(whatever_was_edited, EDITS, seed=4),
    Trial(not_written_down, LOST, (numbers_taken_twice, allocated_without_bounds)),
    Trial(late_calls_forgotten, SLOW, (numbers_taken_twice, allocated_without_bounds)),
    Trial(each_press_counts, FEW),
)


def caught(trial: Trial, seeds: int) -> tuple[str, Report | None]:
    """The seed whose storm catches the mutant (empty: none of so many), and what the auditor found."""
    for seed in range(trial.seed, trial.seed + seeds):
        try:
            report = trial.run(seed, weakened=True)
        except Exception as error:  # noqa: BLE001 a mutant that falls over is caught as well
            return f"{seed} ({type(error).__name__})", None
        if not report.clean:
            return f"{seed}", report
    return "", None


def tried(trial: Trial) -> Outcome:
    """Whether the mutant is caught, and the real code is not."""
    seed, _ = caught(trial, seeds=20)
    control = trial.run(trial.seed, weakened=False)
    bad = [] if seed else [f"mutant {trial.name}: not caught by 20 seeds"]
    if not control.clean:
        bad.append(f"mutant {trial.name}: the real code ends badly as well: {control}")
    return Outcome(mutants=1, caught=int(bool(seed)), bad=bad)


def jobs(promise: str) -> list[Job]:
    return [Job(promise, f"mutant {trial.name}", partial(tried, trial), 10) for trial in TRIALS]

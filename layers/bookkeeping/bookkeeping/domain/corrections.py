"""Corrections: what a person, or a setting, has asked to be done to the documents of a posted order, as it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from bookkeeping.domain.document_kinds import DocumentKind
from bookkeeping.domain.documents_in_xero import VOID_OR_DELETED
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.stored import Stored

What = Literal["take_back", "credit", "post_again"]
"""Take the whole order out of the books; credit some of it; post it anew where its documents are gone."""
Step = Literal["", "status", "note", "allocation"]
SHIPPING: Final = 0
"""Stands for the shipping among the places of an order's lines, which count from 1."""


@dataclass(frozen=True)
class Credited(Stored):
    """What of one of the order's lines a credit note takes back."""

    line: int
    """The line's place in the order, from 1, or `SHIPPING`."""
    pieces: str = ""
    """Decimal text; empty where only money is credited. Neither pieces nor amount: all that is left of the line."""
    amount: str = ""
    """Decimal text, with tax where the invoice's lines are with tax; empty until the note is made of the pieces."""
    tax: str = ""
    """Decimal text, once the note is made."""


@dataclass(frozen=True)
class CreditNote(Stored):
    """A credit note in Xero, or one that is about to be created."""

    number: str
    total: str
    currency: str
    invoice_id: str
    credited: tuple[Credited, ...]
    id: str = ""
    status: str = ""
    at: datetime | None = None
    settled: bool = False
    """Nothing is left to do: it is allocated as far as the invoice was unpaid, or it is deleted or voided."""
    tax: str = ""
    """Of the total. What is empty here and below is not known: the book match does not compare it."""
    dated_on: str = ""
    """As in 2026-11-23."""
    contact_check: str = ""
    """The check value of its contact's id."""

    @property
    def counts(self) -> bool:
        """Whether it stands in Xero, or will once a person approves it."""
        return self.status not in VOID_OR_DELETED


@dataclass(frozen=True)
class Correction(Stored):
    """What a person, or the setting “Cancelled after posting”, has asked for, and how far it has come."""

    what: What
    by: str
    """The person's name; empty: the setting."""
    at: datetime
    dealt_with: str
    """The hash of the content that the platform had sent last when it was asked for."""
    credited: tuple[Credited, ...] = ()
    """Of `credit`: which pieces or amounts."""
    of_message: bool = False
    """Of `credit`: whether these are the lines that the platform has cancelled."""
    with_stock: bool = False
    """Whether tracked items go back into stock."""
    drafts_only: bool = False
    noted: str = ""
    """The number of the credit note that was made for it."""
    deleted: bool = False
    """Whether it has deleted the order's draft invoice."""
    rests: str = ""
    """What it waits for, a code of `CHANGED`; empty: it goes on by itself."""
    problem: Problem | None = None
    # --- the step under way, as it was written down before its call was sent
    step: Step = ""
    kind: DocumentKind | None = None
    status: str = ""
    note: CreditNote | None = None
    sent_at: datetime | None = None
    tries: int = 0
    """How many calls of the step had no usable answer."""
    taken: int = 0
    """How many numbers of credit notes were found to be somebody else's."""
    looks: int = 0
    """How often it was looked whether a person has approved the note."""

"""A person decides what becomes of the documents of an order that changed after it was posted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal

from bookkeeping.adapters.tables.books import books_of
from bookkeeping.domain import ledger, page_access
from bookkeeping.domain.amounts import decimals, plain_number
from bookkeeping.domain.corrections import SHIPPING, Correction, Credited
from bookkeeping.domain.documents_in_xero import VOID_OR_DELETED
from bookkeeping.domain.errors import Conflict
from bookkeeping.domain.ledger import Books, Entry, State
from bookkeeping.domain.page_access import Person
from bookkeeping.domain.settings import Settings
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.release import publish
from bookkeeping.use_cases.wake_lanes import ring

Asked = Literal["cancel", "credit", "post_again", "try_again", "done_by_hand"]
LABELS: Final[Mapping[Asked, str]] = {
    "cancel": "Cancel it in Xero",
    "credit": "Credit part of it",
    "post_again": "Post again",
    "try_again": "Try again",
    "done_by_hand": "Done by hand",
}
"""What the buttons say."""
MOST_LINES: Final = 501
UNAPPROVED: Final = frozenset({"draft", "awaiting_approval"})
_NUMBER: Final = re.compile(r"-?(\d{1,9}(\.\d{1,4})?|\.\d{1,4})", re.ASCII)


class NothingToCorrect(Exception):
    """What was asked for can't be done. `message` says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ChangedMeanwhile(NothingToCorrect):
    """The order is not as the person saw it: something was asked for or done since."""

    def __init__(self) -> None:
        super().__init__("This order changed a moment ago. Look at it again.")


def choices(entry: Entry) -> list[Asked]:
    """What a person can ask for now, the most likely first."""
    if entry.state is not State.POSTED or not entry.documents:
        return []
    correction = entry.correction
    if correction is not None and not ledger.is_free(correction) and not ledger.superseded(entry):
        if correction.problem is not None:
            again: list[Asked] = ["try_again", "done_by_hand"]
            if LABELS["try_again"] not in correction.problem.fix:
                # first what the problem tells them to press
                again.reverse()
            return [*again, "post_again"] if correction.what != "post_again" else again
        return ["try_again"] if correction.rests == "note_is_draft" else []
    listed = correction is not None or ledger.changed_since(entry)
    found: list[Asked] = ["try_again"] if correction and correction.problem else []
    document = entry.documents.get("invoice") or entry.documents["purchase_order"]
    if document.status in VOID_OR_DELETED:
        found.append("post_again")
    elif "invoice" not in entry.documents:
        found.append("cancel")
    elif ledger.cancellation(entry, "", entry.changed_at) is not None:
        found += ["cancel", "credit", "post_again"]
    else:
        found += ["credit", "cancel", "post_again"]
    return [*found, "done_by_hand"] if listed else found


def words(asked: Asked, entry: Entry, settings: Settings) -> str:
    """What will happen to the order's documents in Xero if a person asks for that."""
    invoice = entry.documents.get("invoice")
    number = invoice.number if invoice else entry.number
    again = entry.next_number
    match asked:
        case "cancel":
            unedited = "What somebody has changed in Xero is left alone, and shown here."
            return " ".join(
                [*_cancelled_invoice(entry, settings, again), *_cancelled_purchase_order(entry), unedited]
            )
        case "credit":
            as_read = f" {number} was not approved yet when it was last read." if _unapproved(entry) else ""
            return (
                f"You enter quantities or amounts, and a credit note over them {_made(settings)}. Only an approved"
                f" invoice can be credited.{as_read}"
            )
        case "post_again":
            return f"Only if {number} is deleted or voided in Xero: the order is posted anew as {again}."
        case "try_again":
            return "Xero is asked how its documents stand, and what was asked for goes on from there."
        case "done_by_hand":
            return "Nothing is done in Xero. The order leaves the list of those changed after posting."


def _unapproved(entry: Entry) -> bool:
    return "invoice" in entry.documents and entry.documents["invoice"].stood in UNAPPROVED


def _made(settings: Settings) -> str:
    """How a credit note is created."""
    if settings.credit_note_status == "DRAFT":
        return "is created as a draft, and allocated to the invoice once you have approved it in Xero"
    return "is created, and allocated to the invoice as far as that is unpaid"


def _cancelled_invoice(entry: Entry, settings: Settings, again: str) -> list[str]:
    invoice = entry.documents.get("invoice")
    if invoice is None or invoice.status in VOID_OR_DELETED:
        return []
    found, number = ledger.cancellation(entry, "", entry.changed_at), invoice.number
    only_lines = found is not None and found.what == "credit"
    if invoice.stood in UNAPPROVED:
        then = f", and the order is posted again as {again} without the cancelled lines" if only_lines else ""
        return [f"{number} is not approved yet: it is deleted{then}."]
    over = "the cancelled lines" if only_lines else "all that is left of it"
    said = [f"{number} is approved: a credit note over {over} {_made(settings)}."]
    if settings.void_approved and not only_lines:
        said.append(
            "It is voided instead if it is dated in this month, after the lock dates, and neither sent nor paid nor"
            " credited."
        )
    return said


def _cancelled_purchase_order(entry: Entry) -> list[str]:
    order = entry.documents.get("purchase_order")
    if order is None or order.status in VOID_OR_DELETED:
        return []
    found = ledger.cancellation(entry, "", entry.changed_at)
    if not entry.before_production or (found is not None and found.what == "credit"):
        return [f"The purchase order {order.number} stays: ask the supplier for a credit if you need one."]
    return [f"The purchase order {order.number} is deleted, unless it is billed or was sent to the supplier."]


@dataclass(frozen=True)
class Creditable:
    """A line of the order, and how much of it may still be credited. All numbers are decimal text."""

    line: int
    description: str
    quantity: str
    left: str
    """Pieces that were not credited; empty where money was credited, so that only money can be."""
    credited: str
    """The amount credited so far; empty: none."""


def creditable(entry: Entry) -> list[Creditable]:
    """The lines of the order's invoice, as it was posted. Line 0 is the shipping."""
    invoice = entry.documents.get("invoice")
    if invoice is None or invoice.status in VOID_OR_DELETED:
        return []
    order = entry.message.order
    found = [
        (place, line.description or line.sku, line.quantity)
        for place, line in enumerate(order.lines, start=1)
        if not line.cancelled
    ]
    if order.shipping.price or order.shipping.price_inc_tax:
        found.append((SHIPPING, "Shipping", Decimal(1)))
    before = [
        one
        for note in entry.credit_notes
        if note.counts and note.invoice_id == invoice.id
        for one in note.credited
    ]
    lines = []
    for place, description, quantity in found:
        mine = [one for one in before if one.line == place]
        pieces = quantity - sum(Decimal(one.pieces or 0) for one in mine)
        amount = sum(Decimal(one.amount or 0) for one in mine)
        left = "" if any(not one.pieces for one in mine) else plain_number(pieces)
        lines.append(
            Creditable(place, description, plain_number(quantity), left, f"{amount:.2f}" if mine else "")
        )
    return lines


def may_return_stock(entry: Entry) -> bool:
    """Whether a person has to say if the goods are back: they may have been made, and the items are tracked."""
    return "purchase_order" in entry.documents and not entry.before_production


def correct(
    adapters: PageAdapters,
    person: Person,
    entry: Entry,
    asked: Asked,
    *,
    version: int,
    lines: Sequence[Credited] = (),
    goods_are_back: bool = False,
) -> Entry:
    """The order with what the person asked for. `version` is the row's that they saw.

    Raises Refused if they may not, ChangedMeanwhile and NothingToCorrect.
    """
    if not person.may_credit:
        raise page_access.Refused(page_access.NOT_ALLOWED)
    if entry.version != version:
        raise ChangedMeanwhile
    if asked not in choices(entry):
        raise NothingToCorrect("That can't be done with this order now. Look at it again.")
    books = _books(adapters, person, entry) if asked != "done_by_hand" else None
    entry = entry.with_act(person.name, asked, adapters.now())
    changed = _changed(adapters, person, entry, asked, books, lines, goods_are_back=goods_are_back)
    if changed.to_do:
        # before as well: should this end before the lane is rung, the lane looks again after a while
        ring(adapters.lanes, adapters.wake_ups, {changed.lane: ()}, adapters.now())
    try:
        saved = adapters.orders.save(changed)
    except Conflict:
        raise ChangedMeanwhile from None
    publish(adapters, [saved])
    return saved


def _books(adapters: PageAdapters, person: Person, entry: Entry) -> Books:
    books = books_of(adapters.settings, adapters.connections, person.company)
    if books is None or not books.settings.enabled:
        raise NothingToCorrect("Switch the integration on in the settings first.")
    if not books.open:
        raise NothingToCorrect("Connect to Xero first.")
    if not ledger.here(entry, books):
        raise NothingToCorrect(
            "Its documents are in another Xero organisation than the one connected now. Correct them there by hand."
        )
    return books


def _changed(
    adapters: PageAdapters,
    person: Person,
    entry: Entry,
    asked: Asked,
    books: Books | None,
    lines: Sequence[Credited],
    *,
    goods_are_back: bool,
) -> Entry:
    now, newest = adapters.now(), entry.newest
    if asked == "done_by_hand" or books is None:
        correction = None if ledger.superseded(entry) else entry.correction
        dealt_with = correction.dealt_with if correction else newest.content_hash
        return ledger.corrected(ledger.dealt_with(entry, dealt_with), None, now)
    if asked == "try_again" and entry.correction is not None:
        again = replace(entry.correction, problem=None, rests="", by=person.name)
        return ledger.correct(entry, again, books, now)
    with_stock = goods_are_back or entry.before_production
    if asked == "post_again":
        what = Correction("post_again", person.name, now, newest.content_hash)
    elif asked == "cancel":
        found = ledger.cancellation(entry, person.name, now)
        what = replace(
            found or Correction("take_back", person.name, now, newest.content_hash), with_stock=with_stock
        )
    else:
        what = Correction(
            "credit", person.name, now, newest.content_hash, _checked(entry, lines), with_stock=with_stock
        )
    return ledger.correct(entry, what, books, now)


def _checked(entry: Entry, lines: Sequence[Credited]) -> tuple[Credited, ...]:
    """What a person entered, in plain numbers. Raises NothingToCorrect."""
    of_order = entry.message.order.lines
    if not lines or len({one.line for one in lines}) != len(lines):
        raise NothingToCorrect("Enter a quantity or an amount for at least one line.")
    checked: list[Credited] = []
    for one in lines:
        name = "the shipping" if one.line == SHIPPING else f"line {one.line}"
        if one.line < SHIPPING or one.line > len(of_order):
            raise NothingToCorrect(f"This order has no line {one.line}.")
        if bool(one.pieces) == bool(one.amount):
            raise NothingToCorrect(f"Enter either a quantity or an amount for {name}.")
        value = _number(one.pieces or one.amount)
        if value is None or value == 0 or (value < 0 and one.pieces):
            raise NothingToCorrect(f"“{(one.pieces or one.amount)[:50]}” is no number for {name}.")
        if one.amount and decimals(value) > 2:
            raise NothingToCorrect(f"The amount for {name} has more than two decimals.")
        text = plain_number(value)
        checked.append(replace(one, pieces=text if one.pieces else "", amount=text if one.amount else ""))
    return tuple(checked)


def _number(text: str) -> Decimal | None:
    return Decimal(text.strip()) if _NUMBER.fullmatch(text.strip()) else None

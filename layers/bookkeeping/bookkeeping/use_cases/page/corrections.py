"""A person decides what becomes of the documents of an order that changed after it was posted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

from bookkeeping.adapters.tables.books import books_of
from bookkeeping.domain import ledger, page_access
from bookkeeping.domain.amounts import decimals, plain_number
from bookkeeping.domain.corrections import SHIPPING, Correction, Credited
from bookkeeping.domain.documents_in_xero import VOID_OR_DELETED
from bookkeeping.domain.errors import Conflict
from bookkeeping.domain.ledger import LONGEST_FIELD, MOST_ACTS, Act, Books, Entry, State
from bookkeeping.domain.page_access import Person
from bookkeeping.domain.texts import within
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.release import publish
from bookkeeping.use_cases.wake_lanes import ring

Asked = Literal["cancel", "credit", "post_again", "try_again", "done_by_hand"]
MOST_LINES: Final = 501


class NothingToCorrect(Exception):
    """What was asked for can't be done. `message` says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def choices(entry: Entry) -> list[Asked]:
    """What a person can ask for now, the most likely first."""
    if entry.state is not State.POSTED or not entry.documents:
        return []
    correction = entry.correction
    if correction is not None:
        if correction.problem is not None:
            return ["try_again", "done_by_hand", *(["post_again"] if correction.what != "post_again" else [])]  # type: ignore[list-item]
        if correction.rests == "note_is_draft":
            return ["try_again"]
        return ["done_by_hand"] if correction.rests else []
    found: list[Asked] = []
    if entry.documents.get("invoice") and entry.documents["invoice"].status in VOID_OR_DELETED:
        found.append("post_again")
    elif ledger.cancellation(entry, "", entry.changed_at) is not None:
        found += ["cancel", "credit", "post_again"]
    else:
        found += ["credit", "cancel", "post_again"]
    return [*found, "done_by_hand"] if ledger.changed_since(entry) else found


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

    Raises Refused if they may not, and NothingToCorrect.
    """
    if not person.may_credit:
        raise page_access.Refused(page_access.NOT_ALLOWED)
    if entry.version != version:
        raise NothingToCorrect("This order changed a moment ago. Look at it again.")
    if asked not in choices(entry):
        raise NothingToCorrect("That can't be done with this order now. Look at it again.")
    books = _books(adapters, person, entry) if asked != "done_by_hand" else None
    changed = _changed(adapters, person, entry, asked, books, lines, goods_are_back=goods_are_back)
    act = Act(within(person.name, LONGEST_FIELD), asked, adapters.now())
    changed = replace(changed, history=(*changed.history, act)[-MOST_ACTS:])
    if changed.to_do:
        # before as well: should this end before the lane is rung, the lane looks again after a while
        ring(adapters.lanes, adapters.wake_ups, {changed.lane: ()}, adapters.now())
    try:
        saved = adapters.orders.save(changed)
    except Conflict:
        raise NothingToCorrect("This order changed a moment ago. Look at it again.") from None
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
        dealt_with = entry.correction.dealt_with if entry.correction else newest.content_hash
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
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        return None
    return value if value.is_finite() and abs(value) < Decimal(10**9) and decimals(value) <= 4 else None

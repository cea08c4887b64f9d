"""The credit note for a cancelled or refunded order, made of the invoice as it was just read from Xero.

A line is credited with the invoice's own unit price. Its tax is the invoice's own, shared out by pieces or by amount;
what credits the last of a line takes what is left of the line's tax. The last note takes what is left of the total.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, localcontext
from typing import Any, Final, cast

from bookkeeping.domain.amounts import plain_number
from bookkeeping.domain.corrections import SHIPPING, Correction, Credited, CreditNote
from bookkeeping.domain.documents import (
    CENT,
    EXACT,
    PRICE_STEP,
    LineAmountTypes,
    cents,
    is_tie,
    raw_tax,
    retold,
    rounding_line,
)
from bookkeeping.domain.documents_in_xero import DocumentInXero, LineInXero, versions
from bookkeeping.domain.ledger import Entry
from bookkeeping.domain.orders import Order
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.problems.problem import OrderStopped, Problem
from bookkeeping.domain.settings import Settings

_ONE: Final = Decimal(1)
_NONE: Final = Decimal(0)
_STEPS_TRIED: Final = 100


@dataclass(frozen=True)
class _Portion:
    """How much of a line of the invoice is taken back."""

    of: LineInXero
    quantity: Decimal
    unit_amount: Decimal
    tax: Decimal
    """What is due."""
    item_code: str = ""


@dataclass(frozen=True)
class _NoteLine:
    """A line of the note, and what Xero makes of it."""

    portion: _Portion
    description: str
    quantity: Decimal
    unit_amount: Decimal
    stated: Decimal | None
    """The tax, where it is told."""
    amount: Decimal
    tax: Decimal

    def body(self) -> dict[str, Any]:
        line = self.portion.of
        return {
            "Description": self.description,
            "Quantity": self.quantity,
            "UnitAmount": self.unit_amount,
            **({"ItemCode": self.portion.item_code} if self.portion.item_code else {}),
            "AccountCode": line.account_code,
            **({"TaxType": line.tax_type} if line.tax_type else {}),
            **({"TaxAmount": self.stated} if self.stated is not None else {}),
            **({"Tracking": [dict(one) for one in line.tracking]} if line.tracking else {}),
        }


def credit_note(
    entry: Entry,
    correction: Correction,
    invoice: DocumentInXero,
    settings: Settings,
    organisation: Organisation,
    cancelled_on: date,
) -> tuple[CreditNote, dict[str, Any]] | None:
    """The next credit note on the invoice, and its body; None if nothing is left to credit. Raises OrderStopped."""
    with localcontext(EXACT):
        return _CreditNote(entry, correction, invoice, settings, organisation, cancelled_on).made()


class _CreditNote:
    def __init__(
        self,
        entry: Entry,
        correction: Correction,
        invoice: DocumentInXero,
        settings: Settings,
        organisation: Organisation,
        cancelled_on: date,
    ) -> None:
        self._entry = entry
        self._correction = correction
        self._invoice = invoice
        self._mode = cast(LineAmountTypes, invoice.line_amount_types)
        self._settings = settings
        self._organisation = organisation
        self._dated_on = organisation.next_open_day(cancelled_on)
        self._notes = [note for note in entry.credit_notes if note.invoice_id == invoice.id]
        self._before = [credited for note in self._notes if note.counts for credited in note.credited]
        self._lines = _lines_of(entry, invoice)
        self._quantities = _quantities(entry.message.order)
        self._left = invoice.total - sum((Decimal(note.total) for note in self._notes if note.counts), _NONE)

    def _stop(self, code: str, **details: str) -> OrderStopped:
        return OrderStopped(
            Problem(code, {"order": self._entry.order_id, "number": self._invoice.number, **details})
        )

    def _too_much(self, asked: Decimal, left: Decimal) -> OrderStopped:
        # a coupon's line, say, would raise what is to be paid
        billed = {"to_bill": f"{-asked:.2f}"} if asked < 0 else {}
        figures = {"asked": f"{asked:.2f}", "left": f"{left:.2f}", **billed}
        return self._stop("credit_too_much", currency=self._invoice.currency, **figures)

    def made(self) -> tuple[CreditNote, dict[str, Any]] | None:
        whole = self._correction.what == "take_back"
        wanted = [Credited(place) for place in self._lines] if whole else self._correction.credited
        credited: list[Credited] = []
        lines: list[_NoteLine] = []
        for one in map(self._resolved, wanted):
            if one is None:
                continue
            mine = [self._told(portion) for portion in self._portions(one)]
            amount, tax = (
                sum(of, _NONE) for of in zip(*((line.amount, line.tax) for line in mine), strict=True)
            )
            credited.append(replace(one, amount=plain_number(amount), tax=plain_number(tax)))
            lines += mine
        if not lines and (self._left <= 0 or not whole):
            return None
        items = [line.body() for line in lines]
        total = sum((self._with_tax(line) for line in lines), _NONE)
        beyond = total - self._left
        if self._last(credited) or 0 < beyond <= CENT * (len(self._before) + len(lines)):
            # the rounding line of the invoice, and the cents that are left over from crediting it in parts
            if beyond:
                items.append(self._rounding(-beyond))
            total = self._left
        if total == 0:
            if (whole or self._correction.of_message) and not any(line.portion.item_code for line in lines):
                # what is left costs nothing
                return None
            raise self._stop("nothing_to_credit")
        if not 0 < total <= self._left:
            raise self._too_much(total, self._left)
        number = self._number()
        note = CreditNote(
            number=number,
            total=f"{total:.2f}",
            currency=self._invoice.currency,
            invoice_id=self._invoice.id,
            credited=tuple(credited),
        )
        return note, self._body(number, items)

    def _body(self, number: str, line_items: list[dict[str, Any]]) -> dict[str, Any]:
        invoice = self._invoice
        return {
            "Type": "ACCRECCREDIT",
            "Status": self._settings.credit_note_status,
            "CreditNoteNumber": number,
            "Reference": invoice.number,
            "Contact": {"ContactID": invoice.contact_id},
            "Date": self._dated_on.isoformat(),
            "DueDate": self._dated_on.isoformat(),
            "CurrencyCode": invoice.currency,
            **({"CurrencyRate": invoice.currency_rate} if invoice.currency_rate not in (None, _ONE) else {}),
            **({"BrandingThemeID": invoice.branding_theme_id} if invoice.branding_theme_id else {}),
            "LineAmountTypes": invoice.line_amount_types,
            "LineItems": line_items,
        }

    def _number(self) -> str:
        """The first number behind all those of earlier notes and those that were found to be somebody else's."""
        base = f"{self._invoice.number}-CN"
        last = max((int(note.number.removeprefix(base) or 1) for note in self._notes), default=0)
        place = last + self._correction.taken + 1
        return f"{base}{place if place > 1 else ''}"

    # --- how much of each line

    def _resolved(self, wanted: Credited) -> Credited | None:
        """How much of a line is credited; all that is left of it, where nothing else is said. None: nothing is left."""
        if wanted.pieces or wanted.amount or wanted.line not in self._lines:
            return wanted
        if self._was_credited_as_money(wanted.line):
            # then the rest is money, too
            left = _amount(self._lines[wanted.line]) - self._credited_amount(wanted.line)
            return replace(wanted, amount=plain_number(left)) if left else None
        pieces = self._quantities[wanted.line] - self._credited_pieces(self._before, wanted.line)
        return replace(wanted, pieces=plain_number(pieces)) if pieces > 0 else None

    def _was_credited_as_money(self, place: int) -> bool:
        return any(one.line == place and not one.pieces for one in self._before)

    def _credited_pieces(self, credited: Sequence[Credited], place: int) -> Decimal:
        return sum((Decimal(one.pieces or 0) for one in credited if one.line == place), _NONE)

    def _credited_amount(self, place: int) -> Decimal:
        return sum((Decimal(one.amount or 0) for one in self._before if one.line == place), _NONE)

    def _credited_tax(self, place: int) -> Decimal:
        return sum((Decimal(one.tax or 0) for one in self._before if one.line == place), _NONE)

    def _last(self, credited: Sequence[Credited]) -> bool:
        """Whether nothing of the invoice is left once this is credited."""
        return all(self._used_up(place, [*self._before, *credited]) for place in self._lines)

    def _used_up(self, place: int, credited: Sequence[Credited]) -> bool:
        if self._credited_pieces(credited, place) >= self._quantities[place]:
            return True
        amount = sum((Decimal(one.amount or 0) for one in credited if one.line == place), _NONE)
        by_money = any(one.line == place and not one.pieces for one in credited)
        return by_money and amount == _amount(self._lines[place])

    def _portions(self, wanted: Credited) -> Iterator[_Portion]:
        """What is credited of one of the order's lines. Never more than the invoice has. Raises OrderStopped."""
        lines = self._lines.get(wanted.line)
        if lines is None:
            # the shipping of an order that was shipped free of charge, or a line that was cancelled before posting
            raise self._too_much(Decimal(wanted.amount or 0), _NONE)
        portions = list(self._by_pieces(wanted, lines) if wanted.pieces else self._by_amount(wanted, lines))
        if self._used_up(wanted.line, [*self._before, wanted]):
            # what credits the last of a line takes what is left of its tax
            left = sum((line.tax for line in lines), _NONE) - self._credited_tax(wanted.line)
            others = sum((portion.tax for portion in portions[:-1]), _NONE)
            portions[-1] = replace(portions[-1], tax=left - others)
        yield from portions

    def _by_amount(self, wanted: Credited, lines: Sequence[LineInXero]) -> Iterator[_Portion]:
        amount, before, asked = _amount(lines), self._credited_amount(wanted.line), Decimal(wanted.amount)
        if abs(before + asked) > abs(amount) or asked * amount <= 0:
            raise self._too_much(asked, amount - before)
        tax = sum((line.tax for line in lines), _NONE)
        share = _share(tax, before + asked, amount) - _share(tax, before, amount)
        yield _Portion(lines[0], _ONE, asked, share)

    def _by_pieces(self, wanted: Credited, lines: Sequence[LineInXero]) -> Iterator[_Portion]:
        quantity, pieces = self._quantities[wanted.line], Decimal(wanted.pieces)
        first = self._credited_pieces(self._before, wanted.line)
        last = first + pieces
        if last > quantity or self._was_credited_as_money(wanted.line):
            left = _amount(lines) - self._credited_amount(wanted.line)
            raise self._too_much(cents(_amount(lines) * pieces / quantity), left)
        begins = _NONE
        for line in lines:
            # a line of quantity 1 may stand for several pieces, whose price Xero could not hold
            told_as_one = len(lines) == 1 and line.quantity != quantity
            holds = quantity if told_as_one else line.quantity
            low, high = max(first, begins) - begins, min(last, begins + holds) - begins
            begins += holds
            if low >= high:
                continue
            tax = _share(line.tax, high, holds) - _share(line.tax, low, holds)
            if told_as_one:
                amount = _share(line.amount, high, holds) - _share(line.amount, low, holds)
                yield _Portion(line, _ONE, amount, tax)
            else:
                item_code = line.item_code if self._correction.with_stock else ""
                yield _Portion(line, high - low, line.unit_amount, tax, item_code)

    # --- the note's lines

    def _told(self, portion: _Portion) -> _NoteLine:
        """The portion as a line of which no figure depends on how Xero rounds half a cent, as far as that goes.

        Xero takes no stated tax above the unit price. Where it would not come to the tax that is due, the line has
        quantity 1; that of a tracked item keeps its quantity.
        """
        of, quantity, unit = portion.of, portion.quantity, portion.unit_amount
        amount = cents(quantity * unit)
        if portion.item_code and is_tie(quantity * unit):
            unit = self._without_tie(quantity, unit)
        xeros = raw_tax(amount, self._rate(of), self._mode)
        taxed = bool(xeros or portion.tax)
        certain = not is_tie(xeros) and cents(xeros) == portion.tax
        stated = portion.tax if taxed and abs(portion.tax) <= abs(unit) else None
        if portion.item_code:
            certain = certain or stated is not None
            tax = portion.tax if certain else cents(xeros)
            return _NoteLine(portion, of.description, quantity, unit, stated, amount, tax)
        if is_tie(quantity * unit) or (stated is None and not certain):
            words = retold(of.description, quantity, plain_number(unit))
            whole_tax = portion.tax if taxed else None
            return _NoteLine(portion, words, _ONE, amount, whole_tax, amount, portion.tax)
        return _NoteLine(portion, of.description, quantity, unit, stated, amount, portion.tax)

    def _without_tie(self, quantity: Decimal, unit: Decimal) -> Decimal:
        """The nearest unit price that comes to the same amount without half a cent to be rounded."""
        amount = cents(quantity * unit)
        steps = (step * sign for step in range(1, _STEPS_TRIED + 1) for sign in (1, -1))
        tried = (unit + PRICE_STEP * step for step in steps)
        fitting = (one for one in tried if cents(quantity * one) == amount and not is_tie(quantity * one))
        return next(fitting, unit)

    def _with_tax(self, line: _NoteLine) -> Decimal:
        return line.amount if self._mode == "Inclusive" else line.amount + line.tax

    def _rate(self, line: LineInXero) -> Decimal:
        rate = self._organisation.tax_rate(line.tax_type)
        return rate.effective_rate if rate else _NONE

    def _rounding(self, difference: Decimal) -> dict[str, Any]:
        own = next((line for line in reversed(self._invoice.lines) if _is_rounding(line)), None)
        if own is None:
            order = self._entry.message.order
            return rounding_line(order, self._settings, self._organisation, difference, self._mode)
        return {
            "Description": own.description,
            "Quantity": _ONE,
            "UnitAmount": difference,
            "AccountCode": own.account_code,
            **({"TaxType": own.tax_type} if own.tax_type else {}),
        }


def _lines_of(entry: Entry, invoice: DocumentInXero) -> Mapping[int, list[LineInXero]]:
    """The place of each line of the order → the lines of the invoice that it became. Raises OrderStopped.

    One line each, or two of a tracked item whose price no single line can hold.
    """
    order = entry.message.order
    left = list(invoice.lines)
    found: dict[int, list[LineInXero]] = {}
    for place, line in enumerate(order.lines, start=1):
        if line.cancelled:
            continue
        mine = [left.pop(0)] if left else []
        if mine and mine[0].item_code and mine[0].quantity != line.quantity and left:
            mine.append(left.pop(0))
        found[place] = mine
    if left and not _is_rounding(left[0]):
        found[SHIPPING] = [left.pop(0)]
    if (
        any(not mine for mine in found.values())
        or len(left) > 1
        or any(not _is_rounding(one) for one in left)
    ):
        raise OrderStopped(
            Problem(
                "document_edited",
                {
                    "order": entry.order_id,
                    "number": invoice.number,
                    **versions(entry.documents["invoice"], invoice),
                },
            )
        )
    return found


def _quantities(order: Order) -> Mapping[int, Decimal]:
    return {SHIPPING: _ONE} | {
        place: line.quantity for place, line in enumerate(order.lines, start=1) if not line.cancelled
    }


def _is_rounding(line: LineInXero) -> bool:
    return line.description == "Rounding" and not line.item_code


def _amount(lines: Sequence[LineInXero]) -> Decimal:
    return sum((line.amount for line in lines), _NONE)


def _share(of: Decimal, pieces: Decimal, quantity: Decimal) -> Decimal:
    """The part of an amount that belongs to the first so many pieces, in cents: all parts together make the whole."""
    return cents(of * pieces / quantity)

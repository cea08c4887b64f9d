"""The credit note for a cancelled or refunded order, made of the invoice as it was just read from Xero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, Final

from bookkeeping.domain.amounts import plain_number
from bookkeeping.domain.corrections import SHIPPING, Correction, Credited, CreditNote
from bookkeeping.domain.documents import EXACT
from bookkeeping.domain.documents_in_xero import DocumentInXero, LineInXero
from bookkeeping.domain.ledger import Entry
from bookkeeping.domain.orders import Order
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.problems.problem import OrderStopped, Problem
from bookkeeping.domain.settings import Settings

CENT: Final = Decimal("0.01")
_ONE: Final = Decimal(1)
_NONE: Final = Decimal(0)


@dataclass(frozen=True)
class _Portion:
    """A line of the note: how much of a line of the invoice it takes back."""

    of: LineInXero
    quantity: Decimal
    unit_amount: Decimal
    tax: Decimal
    """What is due: the line's own tax, shared out by pieces or by amount."""
    with_item: bool

    @property
    def amount(self) -> Decimal:
        return _cents(self.quantity * self.unit_amount)


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
        self._settings = settings
        self._organisation = organisation
        self._dated_on = organisation.next_open_day(cancelled_on)
        self._notes = [note for note in entry.credit_notes if note.invoice_id == invoice.id]
        self._before = [credited for note in self._notes if note.counts for credited in note.credited]
        self._lines = _lines_of(entry, invoice)
        self._quantities = _quantities(entry.message.order)
        self._whole = correction.what == "take_back"

    def _stop(self, code: str, **details: str) -> OrderStopped:
        return OrderStopped(
            Problem(code, {"order": self._entry.order_id, "number": self._invoice.number, **details})
        )

    def made(self) -> tuple[CreditNote, dict[str, Any]] | None:
        wanted = self._all_that_is_left() if self._whole else self._correction.credited
        credited: list[Credited] = []
        portions: list[_Portion] = []
        for one in wanted:
            mine = list(self._portions(one))
            portions += mine
            amount = sum((portion.amount for portion in mine), _NONE)
            credited.append(Credited(one.line, one.pieces, plain_number(amount)))
        line_items, total = self._line_items(portions)
        left = self._invoice.total - sum((Decimal(note.total) for note in self._notes if note.counts), _NONE)
        if self._whole and left <= 0:
            return None
        if self._whole and total != left:
            line_items.append(self._rounding(left - total))
            total = left
        if not line_items or total <= 0 or total > left:
            raise self._stop("credit_too_much", left=f"{left:.2f}", currency=self._invoice.currency)
        number = self._number()
        note = CreditNote(
            number=number,
            total=f"{total:.2f}",
            currency=self._invoice.currency,
            invoice_id=self._invoice.id,
            credited=tuple(credited),
        )
        return note, self._body(number, line_items)

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

    def _all_that_is_left(self) -> Iterator[Credited]:
        for place, lines in self._lines.items():
            if any(one.line == place and not one.pieces for one in self._before):
                # some of it was credited as money: the rest is money, too
                left = _amount(lines) - self._credited_amount(place)
                if left:
                    yield Credited(place, amount=plain_number(left))
                continue
            pieces = self._quantities[place] - self._credited_pieces(place)
            if pieces > 0:
                yield Credited(place, pieces=plain_number(pieces))

    def _credited_pieces(self, place: int) -> Decimal:
        return sum((Decimal(one.pieces or 0) for one in self._before if one.line == place), _NONE)

    def _credited_amount(self, place: int) -> Decimal:
        return sum((Decimal(one.amount or 0) for one in self._before if one.line == place), _NONE)

    def _portions(self, wanted: Credited) -> Iterator[_Portion]:
        """The lines of the note for one of the order's lines. Never more than the invoice's. Raises OrderStopped."""
        lines = self._lines.get(wanted.line)
        if lines is None:
            raise self._stop("credit_too_much", left="0.00", currency=self._invoice.currency)
        amount, before = _amount(lines), self._credited_amount(wanted.line)
        if not wanted.pieces:
            asked = Decimal(wanted.amount)
            if abs(before + asked) > abs(amount) or asked * amount <= 0:
                raise self._stop(
                    "credit_too_much", left=f"{amount - before:.2f}", currency=self._invoice.currency
                )
            tax = sum((line.tax for line in lines), _NONE)
            yield _Portion(lines[0], _ONE, asked, _cents(tax * asked / amount), with_item=False)
            return
        first = self._credited_pieces(wanted.line)
        last = first + Decimal(wanted.pieces)
        quantity = self._quantities[wanted.line]
        if (
            first >= last
            or last > quantity
            or any(one.line == wanted.line and not one.pieces for one in self._before)
        ):
            raise self._stop(
                "credit_too_much", left=f"{amount - before:.2f}", currency=self._invoice.currency
            )
        begins = _NONE
        for line in lines:
            # a line of quantity 1 may stand for several pieces, whose price Xero could not hold
            told_as_one = len(lines) == 1 and line.quantity != quantity
            pieces = quantity if told_as_one else line.quantity
            low, high = max(first, begins) - begins, min(last, begins + pieces) - begins
            begins += pieces
            if low >= high:
                continue
            tax = _share(line.tax, high, pieces) - _share(line.tax, low, pieces)
            if told_as_one:
                share = _share(line.amount, high, pieces) - _share(line.amount, low, pieces)
                yield _Portion(line, _ONE, share, tax, with_item=False)
            else:
                yield _Portion(line, high - low, line.unit_amount, tax, with_item=self._correction.with_stock)

    # --- the note's lines

    def _line_items(self, portions: list[_Portion]) -> tuple[list[dict[str, Any]], Decimal]:
        """The lines in Xero's words, and what they come to with tax."""
        items: list[dict[str, Any]] = []
        total = _NONE
        for portion in portions:
            line = portion.of
            xeros = self._xeros_tax(portion)
            stated = portion.tax != xeros and abs(portion.tax) <= abs(portion.unit_amount)
            tax = portion.tax if stated else xeros
            total += portion.amount + (_NONE if self._invoice.line_amount_types == "Inclusive" else tax)
            items.append(
                {
                    "Description": line.description,
                    "Quantity": portion.quantity,
                    "UnitAmount": portion.unit_amount,
                    **({"ItemCode": line.item_code} if line.item_code and portion.with_item else {}),
                    "AccountCode": line.account_code,
                    **({"TaxType": line.tax_type} if line.tax_type else {}),
                    **({"TaxAmount": tax} if stated else {}),
                    **({"Tracking": [dict(one) for one in line.tracking]} if line.tracking else {}),
                }
            )
        return items, total

    def _xeros_tax(self, portion: _Portion) -> Decimal:
        """The tax that Xero works out for the line by itself."""
        rates = (rate for rate in self._organisation.tax_rates if rate.tax_type == portion.of.tax_type)
        rate = next((rate.effective_rate for rate in rates), None)
        if self._invoice.line_amount_types == "NoTax" or not rate:
            return _NONE
        if self._invoice.line_amount_types == "Inclusive":
            return _cents(portion.amount * rate / (100 + rate))
        return _cents(portion.amount * rate / 100)

    def _rounding(self, difference: Decimal) -> dict[str, Any]:
        """The invoice's rounding line, and what is left over from crediting it in parts."""
        own = next((line for line in reversed(self._invoice.lines) if _is_rounding(line)), None)
        account = self._organisation.rounding_account
        if own is None and account is None:
            raise self._stop(
                "no_rounding_account", difference=str(difference), organisation=self._organisation.name
            )
        code = own.account_code if own else account.code if account else ""
        tax_type = own.tax_type if own else "NONE"
        return {
            "Description": "Rounding",
            "Quantity": _ONE,
            "UnitAmount": difference,
            "AccountCode": code,
            **({} if self._invoice.line_amount_types == "NoTax" else {"TaxType": tax_type}),
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
                {"order": entry.order_id, "number": invoice.number, "posted": "", "now": ""},
            )
        )
    return found


def _quantities(order: Order) -> Mapping[int, Decimal]:
    return {SHIPPING: _ONE} | {
        place: line.quantity for place, line in enumerate(order.lines, start=1) if not line.cancelled
    }


def _is_rounding(line: LineInXero) -> bool:
    return line.description == "Rounding" and not line.item_code


def _amount(lines: list[LineInXero]) -> Decimal:
    return sum((line.amount for line in lines), _NONE)


def _share(of: Decimal, pieces: Decimal, quantity: Decimal) -> Decimal:
    """The part of an amount that belongs to the first so many pieces, in cents: all parts together make the whole."""
    return _cents(of * pieces / quantity)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)

"""Credit notes, whatever is credited in whatever order, come to the invoice: never more on the way, exactly at the end.

Orders come from a seeded generator. What Xero makes of a body is reckoned with the simulated Xero's own rounding.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from bookkeeping.domain.corrections import SHIPPING, Correction, Credited, CreditNote
from bookkeeping.domain.credit_notes import credit_note
from bookkeeping.domain.documents import sales_invoice
from bookkeeping.domain.documents_in_xero import DocumentInXero, LineInXero
from bookkeeping.domain.ledger import Entry, Message, Posted, State
from bookkeeping.domain.problems.problem import OrderStopped
from local.xero.money import Ties, line_tax, line_total
from tests.unit import test_money
from tests.unit.test_money import CONTACT, Case

INVOICES = int(os.environ.get("CREDITED_INVOICES", "250"))
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
NONE, CENT = Decimal(0), Decimal("0.01")
Json = dict[str, Any]


def booked(body: Json, case: Case, ties: Ties) -> DocumentInXero:
    """What stands in Xero of a document that was sent."""
    mode = body["LineAmountTypes"]
    lines = [line_booked(line, mode, case, ties) for line in body["LineItems"]]
    amounts, tax = sum((line.amount for line in lines), NONE), sum((line.tax for line in lines), NONE)
    net = amounts - tax if mode == "Inclusive" else amounts
    return DocumentInXero(
        kind="invoice" if body["Type"] == "ACCREC" else "credit_note",
        id="invoice",
        number="KX-1",
        status="AUTHORISED",
        reference="",
        contact_id=CONTACT.id,
        contact_name=CONTACT.name,
        dated_on=date(2026, 11, 20),
        currency=body["CurrencyCode"],
        currency_rate=Decimal(1),
        line_amount_types=mode,
        lines=tuple(lines),
        net=net,
        tax=tax,
        total=net + tax,
    )


def line_booked(line: Json, mode: str, case: Case, ties: Ties) -> LineInXero:
    quantity, unit, stated = line["Quantity"], line["UnitAmount"], line.get("TaxAmount")
    assert -unit.as_tuple().exponent <= 4
    assert -quantity.as_tuple().exponent <= 4
    assert quantity > 0
    amount = line_total(quantity, unit, None, None, ties)
    percent = case.books.percents.get(line.get("TaxType", ""), 0)
    tax = NONE
    if mode != "NoTax":
        fraction = Decimal(percent.numerator) / Decimal(percent.denominator)
        tax = line_tax(amount, fraction, inclusive=mode == "Inclusive", ties=ties)
    if stated is not None:
        # Xero's documentation: a stated tax amount cannot exceed the unit amount
        assert abs(stated) <= abs(unit)
        tax = stated
    return LineInXero(
        description=line["Description"],
        quantity=quantity,
        unit_amount=unit,
        amount=amount,
        tax=tax,
        account_code=line["AccountCode"],
        tax_type=line.get("TaxType", ""),
        item_code=line.get("ItemCode", ""),
    )


@dataclass
class Invoice:
    """An invoice in Xero, its order's row, and the credit notes on it."""

    case: Case
    ties: Ties
    document: DocumentInXero
    entry: Entry
    notes: list[DocumentInXero]

    @classmethod
    def of(cls, case: Case, ties: Ties) -> Invoice | None:
        """None: there is no such invoice, or nothing of it could be credited."""
        try:
            made = sales_invoice(
                case.order,
                case.settings,
                case.books.organisation,
                contact=CONTACT,
                number="KX-1",
                sent_on=date(2026, 11, 20),
            )
        except OrderStopped:
            return None
        document = booked(made.body, case, ties)
        if not document.total:
            return None
        posted = Posted("invoice", "KX-1", "AUTHORISED", str(document.total), document.currency, NOW)
        message = Message.of(case.order, 1)
        entry = Entry("1", case.order.id, State.POSTED, message, NOW, NOW, documents={"invoice": posted})
        return cls(case, ties, document, entry, [])

    def credit(self, correction: Correction) -> bool:
        """Whether it made a note."""
        settings, organisation = self.case.settings, self.case.books.organisation
        made = credit_note(self.entry, correction, self.document, settings, organisation, NOW.date())
        if made is None:
            return False
        planned, body = made
        note = booked(body, self.case, self.ties)
        # what Xero makes of it was known before, however it rounds
        doubtful = any(line.item_code for line in note.lines) and note.line_amount_types == "Exclusive"
        assert abs(note.total - Decimal(planned.total)) <= (CENT * len(note.lines) if doubtful else 0)
        self.notes.append(note)
        kept = replace(planned, id=planned.number, status="AUTHORISED", total=str(note.total))
        self.entry = replace(self.entry, credit_notes=(*self.entry.credit_notes, kept))
        assert self.total <= self.document.total
        return True

    @property
    def total(self) -> Decimal:
        return sum((note.total for note in self.notes), NONE)

    @property
    def tax(self) -> Decimal:
        return sum((note.tax for note in self.notes), NONE)

    def pieces(self, place: int) -> Decimal:
        return sum(
            (Decimal(one.pieces or 0) for one in self._credited() if one.line == place),
            NONE,
        )

    def _credited(self) -> Iterator[Credited]:
        for note in self.entry.credit_notes:
            yield from note.credited

    def try_some(self, chance: random.Random) -> str:
        """Credit what a person may ask for; the problem, where it is none that can be credited."""
        refused = ""
        try:
            self.credit(self.some(chance))
        except OrderStopped as stopped:
            refused = stopped.problem.code
        assert refused in ("", "credit_too_much", "nothing_to_credit")
        return refused

    def some(self, chance: random.Random) -> Correction:
        """What a person may ask to credit of it."""
        order = self.case.order
        places = [place for place, line in enumerate(order.lines, start=1) if not line.cancelled]
        wanted = []
        for place in chance.sample(places, chance.randrange(1, min(4, len(places)) + 1)):
            left = order.lines[place - 1].quantity - self.pieces(place)
            if chance.random() < 0.75 and left > 0:
                pieces = Decimal(chance.randrange(1, int(left) + 1)) if left >= 1 else left
                wanted.append(Credited(place, pieces=str(pieces)))
            else:
                wanted.append(Credited(place, amount=str(Decimal(chance.randrange(1, 2000)).scaleb(-2))))
        if chance.random() < 0.1:
            wanted.append(Credited(SHIPPING, amount="1.00"))
        return asked("credit", tuple(wanted), with_stock=chance.random() < 0.5)


def asked(what: Any, credited: tuple[Credited, ...] = (), *, with_stock: bool = False) -> Correction:
    return Correction(what, "Ada", NOW, "hash", credited, with_stock=with_stock)


@pytest.mark.timeout(600)
def test_any_credits_and_then_the_rest_come_to_the_invoice_and_never_to_more() -> None:
    chance = random.Random(test_money.SEED)
    seen: Counter[str] = Counter()
    ties: Ties
    for case in test_money.cases():
        ties = chance.choice(("half_up", "half_even"))
        invoice = Invoice.of(case, ties)
        if invoice is None:
            continue
        seen.update(refused for _ in range(chance.randrange(5)) if (refused := invoice.try_some(chance)))
        left = invoice.document.total - invoice.total
        invoice.credit(asked("take_back", with_stock=left > 0 and chance.random() < 0.5))
        assert invoice.total == invoice.document.total, (case, invoice.notes)
        assert not invoice.credit(asked("take_back"))
        with_items = sum(bool(line.item_code) for note in invoice.notes for line in note.lines)
        off = abs(invoice.tax - invoice.document.tax)
        assert off <= CENT * with_items, (case, invoice.notes)
        seen["exact" if not off else "a cent off"] += 1
        seen[f"{min(len(invoice.notes), 3)} notes"] += 1
        if sum(seen[word] for word in ("exact", "a cent off")) == INVOICES:
            break
    assert seen["exact"] > 20 * seen["a cent off"]
    assert min(seen[word] for word in ("credit_too_much", "1 notes", "2 notes", "3 notes")) > 10, seen


def test_each_piece_is_credited_once() -> None:
    chance = random.Random(7)
    for case in test_money.cases():
        invoice = Invoice.of(case, "half_up")
        if invoice is None:
            continue
        invoice.credit(asked("take_back"))
        place = next(one.line for one in invoice.entry.credit_notes[0].credited if one.line != SHIPPING)
        for again in (Credited(place, pieces="1"), Credited(place, amount="0.01"), Credited(99, pieces="1")):
            with pytest.raises(OrderStopped) as stopped:
                invoice.credit(asked("credit", (again,)))
            assert stopped.value.problem.code == "credit_too_much"
        if chance.random() < 0.1:
            return


def test_credit_notes_are_numbered_on_from_the_last_one() -> None:
    invoice = next(filter(None, (Invoice.of(case, "half_up") for case in test_money.cases())))
    correction = asked("take_back")
    for kept, taken, expected in (
        ((), 0, "KX-1-CN"),
        ((), 2, "KX-1-CN3"),
        (("KX-1-CN",), 0, "KX-1-CN2"),
        (("KX-1-CN", "KX-1-CN4"), 1, "KX-1-CN6"),
    ):
        notes = tuple(CreditNote(number, "0", "GBP", "invoice", (), status="VOIDED") for number in kept)
        entry = replace(invoice.entry, credit_notes=notes)
        made = credit_note(
            entry,
            replace(correction, taken=taken),
            invoice.document,
            invoice.case.settings,
            invoice.case.books.organisation,
            NOW.date(),
        )
        assert made is not None
        assert made[0].number == made[1]["CreditNoteNumber"] == expected

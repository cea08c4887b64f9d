"""What becomes of an order once Xero has spoken of its document: posted, refused, or its number taken."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from bookkeeping.adapters.tables.lanes import Batch, Planned
from bookkeeping.adapters.xero_api import Answered
from bookkeeping.domain import ledger
from bookkeeping.domain.document_kinds import DOCUMENT_KINDS, DocumentKind, contact_setting
from bookkeeping.domain.documents import Document, item_code
from bookkeeping.domain.errors import CallRefused
from bookkeeping.domain.ledger import Entry, Posted
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.problems.xero_messages import quoted, refusals
from bookkeeping.domain.settings import Settings
from bookkeeping.domain.texts import check_value
from bookkeeping.use_cases.posting.company_turn import CompanyTurn

MOST_TAXES_NAMED: Final = 12


def posted(
    batch: Batch, company_turn: CompanyTurn, entry: Entry, answered: Answered, document: Document | None
) -> Entry:
    """The order with its document; stopped where the document is not what the order says."""
    now = company_turn.holder.now
    company_turn.holder.count(posted=1)
    planned = next(planned for planned in batch.documents if planned.order_id == entry.order_id)
    posted = Posted(
        id=answered.id,
        number=answered.number,
        status=answered.status,
        total="" if answered.total is None else f"{answered.total:.2f}",
        currency=answered.currency,
        at=now,
        adopted=document is None,
        notes=() if document is None else document.notes,
        fingerprint=answered.fingerprint,
        tax="" if answered.tax is None else f"{answered.tax:.2f}",
        dated_on=answered.dated_on,
        contact_check=check_value(answered.contact_id),
        lines_check=answered.lines_check,
    )
    settled = ledger.settle_posted(
        entry, batch.kind, posted, company_turn.settings(entry), company_turn.books, now
    )
    # a difference that was expected is in the document's notes since before it was sent
    difference = _difference(planned, answered, company_turn.organisation)
    setting = contact_setting(batch.kind, company_turn.settings(entry))
    name: str = getattr(company_turn.settings(entry), setting)
    named = company_turn.still_named(name, answered)
    details = {"order": entry.order_id, "number": answered.number}
    if difference is not None:
        field, value, xero_value = difference
        found = {"field": field, "value": value, "xero_value": xero_value}
        # a tax rate may have been changed in Xero: the next documents are made from what it says now
        company_turn.forget_facts()
        if document is None:
            return ledger.stop(settled, Problem("adopted_differs", details | found), now)
        if field != "total":
            found = {"taxes": _taxes_in_words(planned, answered, company_turn.organisation)}
            return ledger.stop(settled, Problem("posted_tax_differs", details | found), now)
        totals = {"order_total": value, "xero_total": xero_value}
        return ledger.stop(settled, Problem("posted_total_differs", details | totals), now)
    if document is None and answered.contact_id not in ("", planned.contact_id):
        found = {"field": "contact", "value": name, "xero_value": answered.contact_name or "another"}
        return ledger.stop(settled, Problem("adopted_differs", details | found), now)
    if not named:
        found = {
            "contact": name,
            "xero_value": answered.contact_name,
            "now_called": answered.contact_name,
            "setting": setting,
            "label": Settings.label(setting),
        }
        return ledger.stop(settled, Problem("posted_contact_differs", details | found), now)
    return settled


def _difference(
    planned: Planned, answered: Answered, organisation: Organisation
) -> tuple[str, str, str] | None:
    """The first of Xero's figures that is not as expected: its name, what it should be, and what it is."""
    net, total = Decimal(planned.net), Decimal(planned.total)
    compared = [
        ("total", total, answered.total),
        ("net", net, answered.net),
        ("tax", total - net, answered.tax),
    ]
    if answered.taxes is not None:
        compared += [
            (
                f"tax with {organisation.tax_type_in_words(tax_type)}",
                Decimal(planned.taxes.get(tax_type, 0)),
                answered.taxes.get(tax_type, Decimal(0)),
            )
            for tax_type in sorted({*planned.taxes, *answered.taxes})
        ]
    return next(
        (
            (field, f"{value:.2f}", f"{in_xero:.2f}")
            for field, value, in_xero in compared
            if in_xero is not None and in_xero != value
        ),
        None,
    )


def _taxes_in_words(planned: Planned, answered: Answered, organisation: Organisation) -> str:
    """The taxes that are not as expected, each with both amounts."""
    in_xero = answered.taxes or {}
    words = []
    for tax_type in sorted({*planned.taxes, *in_xero}):
        ours, theirs = Decimal(planned.taxes.get(tax_type, 0)), in_xero.get(tax_type, Decimal(0))
        if answered.taxes is not None and ours != theirs:
            named = organisation.tax_type_in_words(tax_type)
            words.append(f"{ours:.2f} with {named} by the order, and {theirs:.2f} in Xero")
    ours = Decimal(planned.total) - Decimal(planned.net)
    types = ", ".join(map(organisation.tax_type_in_words, sorted(planned.taxes))) or "no tax rate"
    in_all = f"{ours:.2f} with {types} by the order, and {answered.tax} in Xero"
    return "; ".join(words[:MOST_TAXES_NAMED]) or in_all


def refused(company_turn: CompanyTurn, entry: Entry, kind: DocumentKind, messages: Sequence[str]) -> Entry:
    """What becomes of an order Xero refused: what may be out of date is read anew, once; else a person must act."""
    organisations, organisation_id = (
        company_turn.holder.adapters.organisations,
        company_turn.access.organisation_id,
    )
    settings, now = company_turn.settings(entry), company_turn.holder.now
    problem, calls_for = company_turn.problem(messages, entry, kind), refusals(messages)
    if "stock" in calls_for and kind == "invoice" and not entry.as_draft:
        return ledger.settle_again(entry, company_turn.books, now, as_draft=True)
    if entry.refusals == 0 and "contact" in calls_for:
        organisations.doubt_contact(organisation_id, getattr(settings, contact_setting(kind, settings)))
    elif entry.refusals == 0 and problem.code == "item_not_found":
        codes = [code for line in entry.message.order.lines if (code := item_code(line.sku))]
        organisations.forget_items(organisation_id, codes)
    elif entry.refusals == 0 and "facts" in calls_for:
        organisations.forget(organisation_id)
    else:
        return ledger.settle_refused(entry, problem, company_turn.books, now)
    company_turn.holder.in_doubt = True
    return ledger.settle_again(entry, company_turn.books, now)


def refused_alone(batch: Batch, company_turn: CompanyTurn, entry: Entry, error: CallRefused) -> Entry:
    """What becomes of an order whose call Xero refused without naming a document, though it held no other."""
    if error.status == 400:
        return refused(company_turn, entry, batch.kind, error.messages)
    details = {
        "order": entry.order_id,
        "document": DOCUMENT_KINDS[batch.kind].words,
        "number": entry.number,
        "reference": batch.id,
    }
    if error.status == 413:
        problem = Problem("document_too_large", details)
    else:
        company_turn.holder.note_fault(f"{error} (batch {batch.id})")
        problem = Problem("sent_wrongly", details, quoted(error.messages))
    return ledger.settle_refused(entry, problem, company_turn.books, company_turn.holder.now)


def in_vain(batch: Batch, company_turn: CompanyTurn, entry: Entry) -> Entry:
    """What becomes of an order that is not in the books, and whose document gets no usable answer."""
    code, found = (
        ("xero_unreadable", "only answers that are not Xero's")
        if batch.unreadable
        else ("xero_fails", "no usable answer to one document")
    )
    company_turn.holder.note_fault(f"{found} (batch {batch.id})")
    details = {
        "order": entry.order_id,
        "document": DOCUMENT_KINDS[batch.kind].words,
        "number": entry.number,
        "reference": batch.id,
    }
    problem = Problem(code, details)
    return ledger.settle_refused(entry, problem, company_turn.books, company_turn.holder.now)


def found(batch: Batch, company_turn: CompanyTurn, entry: Entry, there: Answered, *, ours: bool) -> Entry:
    """What becomes of an order whose number is in the books already."""
    if there.void_or_deleted:
        return _without_its_number(batch, company_turn, entry, "number_spent")
    return (
        posted(batch, company_turn, entry, there, None) if ours else number_taken(batch, company_turn, entry)
    )


def number_taken(batch: Batch, company_turn: CompanyTurn, entry: Entry) -> Entry:
    return _without_its_number(batch, company_turn, entry, "number_taken")


def _without_its_number(batch: Batch, company_turn: CompanyTurn, entry: Entry, code: str) -> Entry:
    details = {
        "order": entry.order_id,
        "number": entry.number,
        "document": DOCUMENT_KINDS[batch.kind].words,
        "ref": entry.message.order.ref or entry.order_id,
    }
    return ledger.settle_refused(entry, Problem(code, details), company_turn.books, company_turn.holder.now)

"""A company's orders as the settings page shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from bookkeeping.adapters.containment import contained, leaving_alone
from bookkeeping.adapters.tables.lanes import Batch
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.domain import ledger
from bookkeeping.domain.connection import Connection
from bookkeeping.domain.corrections import SHIPPING
from bookkeeping.domain.document_kinds import DOCUMENT_KINDS, DocumentKind
from bookkeeping.domain.ledger import (
    STANDING_STILL,
    UNDER_WAY,
    UNKNOWN,
    Entry,
    Message,
    Pause,
    Posted,
    State,
)
from bookkeeping.domain.order_totals import comes_to, credited, order_totals
from bookkeeping.domain.orders import Order
from bookkeeping.domain.problems.catalogue import CHANGED, SKIPPED, WAITS, title
from bookkeeping.domain.problems.problem import Problem, worded
from bookkeeping.use_cases.page import corrections
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.explained import documents_in_xero
from bookkeeping.use_cases.page.order_history import history

PARTS: Final = 20
"""Of orders with one reference of the sales channel, so many are compared."""
_RETRY_IS_NO_HELP: Final = frozenset({"on_hold", "error", "all_lines_cancelled", "number_spent"})
"""What only the platform, or a person in Xero, can do something about."""


def unreadable(company: str, order_id: str, reference: str, now: datetime) -> Entry:
    """What is shown in the place of a row that can't be."""
    problem = Problem("our_fault", {"order": order_id, "reference": reference})
    message = Message.unreadable(problem, 0)
    return Entry(company, order_id, State.NEEDS_ATTENTION, message, now, now, problem=problem)


def one(adapters: PageAdapters, company: str, order_id: str) -> Entry | None:
    """One order, or what is shown in its place."""
    with leaving_alone(company, order_id):
        return adapters.orders.get(company, order_id)
    return of_unknown_kind(company, order_id, adapters.now())


def of_unknown_kind(company: str, order_id: str, now: datetime) -> Entry:
    """What is shown in the place of a row that only a newer version of this code knows."""
    return Entry(company, order_id, State.WAITING, Message(0), now, now, reason=UNKNOWN)


class View:
    """Orders of a company as JSON. Data that they share is read once."""

    def __init__(
        self, adapters: PageAdapters, company: str, connection: Connection | None, pause: Pause | None
    ) -> None:
        self._adapters = adapters
        self._company = company
        self._connection = connection
        self._posting_pause = pause
        self._paused: dict[str, tuple[str, datetime] | None] = {}
        self._batches: dict[str, Batch | None] = {}
        self._of_unknown_kind: set[str] = set()
        """Batches that only a newer version of this code knows."""
        self._short_codes: dict[str, str] = {}

    def prepare(self, entries: Sequence[Entry]) -> None:
        """Read side by side what the orders share."""
        under_way = [entry for entry in entries if entry.state in UNDER_WAY]
        calls: dict[Any, Callable[[], Any]] = {}
        for entry in under_way:
            calls["lane", entry.lane] = partial(self._pause, entry.lane)
            calls["batch", entry.batch] = partial(self._unsettled, entry)
        for entry in entries:
            if entry.documents:
                calls["organisation", entry.organisation_id] = partial(
                    self._short_code, entry.organisation_id
                )
        self._adapters.together(list(calls.values()))

    def order(self, entry: Entry) -> dict[str, Any]:
        words, until = self._words(entry)
        now, correction = comes_to(entry), entry.correction
        order = entry.message.order if entry.message.content else None
        return {
            "id": entry.order_id,
            "number": entry.number,
            "state": str(entry.state),
            "words": words,
            "until": until.isoformat() if until else None,
            "received_at": entry.received_at.isoformat(),
            "changed_at": entry.changed_at.isoformat(),
            "reason": entry.reason or None,
            "title": title(entry.why),
            "problem": entry.problem and entry.problem.as_json(),
            "ref": order.ref if order else "",
            "external_ref": order.external_ref if order else "",
            "currency": (order.currency if order else None) or "",
            "sold_on": sold_on(order) if order else None,
            "total": _total(order) if order else None,
            "credited": _amount(credited(entry)),
            "comes_to": _amount(now.amount) if now else None,
            "documents": [self._document(entry, kind, posted) for kind, posted in entry.documents.items()],
            "changes": [*entry.changes, *_sold_again(entry)],
            "correction": correction
            and {
                "what": correction.what,
                "by": correction.by,
                "at": correction.at.isoformat(),
                "problem": correction.problem and correction.problem.as_json(),
            },
            "can_retry": can_retry(entry) and _retry_helps(entry),
            "retry_label": entry.problem.kind.retry_label if entry.problem else "Retry",
            "can_set_aside": ledger.can_set_aside(entry),
            "set_aside": entry.set_aside
            and {
                "by": entry.set_aside.by,
                "at": entry.set_aside.at.isoformat(),
                "because": entry.set_aside.because,
            },
        }

    def whole(self, entry: Entry, *, may_credit: bool = False) -> dict[str, Any]:
        shown = self.order(entry)
        order = entry.message.order if entry.message.content else None
        lines = order.lines if order else ()
        organisation = self._connection.organisation_name if self._connection else ""
        unsettled = self._batches.get(entry.batch)
        happened = history(entry, organisation, unsettled.first_sent_at if unsettled else None)
        return shown | {
            "lines": [
                {
                    "sku": line.sku,
                    "description": line.description,
                    "quantity": _amount(line.quantity),
                    "price": _amount(line.price),
                    "price_inc_tax": _amount(line.price_inc_tax),
                    "cost": _amount(line.cost),
                    "tax_rate": _amount(line.tax_rate),
                    "cancelled": line.cancelled,
                }
                for line in lines
            ],
            "shipping": order
            and {
                "price": _amount(order.shipping.price),
                "price_inc_tax": _amount(order.shipping.price_inc_tax),
                "tax_rate": _amount(order.shipping.tax_rate),
            },
            "totals": order and _totals(order),
            "history": [{"at": one.at.isoformat(), "by": one.by, "what": one.what} for one in happened],
            **self._correction(entry),
            "may_credit": may_credit,
        }

    def _correction(self, entry: Entry) -> dict[str, Any]:
        """What was done, and can be done, to the documents of an order that changed after it was posted."""
        short_code = self._short_code(entry.organisation_id)
        return {
            "version": entry.version,
            "choices": self._choices(entry),
            "creditable": [vars(one) for one in corrections.creditable(entry)],
            "may_return_stock": corrections.may_return_stock(entry),
            "credit_notes": [
                {
                    "number": note.number,
                    "status": note.status,
                    "total": note.total,
                    "currency": note.currency,
                    "link": link(self._adapters.web_url, "credit_note", note.id, short_code),
                    "credited": [
                        {"line": one.line, "pieces": one.pieces, "amount": one.amount}
                        for one in note.credited
                    ],
                }
                for note in entry.credit_notes
            ],
        }

    def _choices(self, entry: Entry) -> list[dict[str, str]]:
        asked = corrections.choices(entry)
        saved = self._adapters.settings.current(self._company) if asked else None
        return [
            {"asked": one, "label": corrections.LABELS[one], "words": corrections.words(one, entry, saved[0])}
            for one in asked
            if saved is not None
        ]

    def explained(self, entry: Entry, *, may_credit: bool = False) -> dict[str, Any]:
        """The whole order, with the reasons of its documents. It reads more than the row."""
        explained: list[dict[str, Any]] = []
        # the order is shown even if its reasons can't be told
        with contained(*entry.key):
            explained = documents_in_xero(self._adapters, entry)
        about = {"explained": explained, "same_shipping": self._same_shipping(entry)}
        return self.whole(entry, may_credit=may_credit) | about

    def _same_shipping(self, entry: Entry) -> list[str]:
        """Other orders with the same reference of the sales channel that carry the same shipping.

        Where the platform splits an order, it sends the shipping with each part.
        """
        order = entry.message.order if entry.message.content else None
        if order is None or not order.external_ref.strip() or not any(_charged(order)):
            return []
        keys, _ = self._adapters.orders.by_reference(self._company, order.external_ref, limit=PARTS)
        found = self._adapters.orders.get_many(
            (key for key in keys if key != order_key(*entry.key)),
            lambda item: contained(item["company"], item["order_id"]),
        )
        return sorted(
            other.order_id
            for other in found
            if other.message.content
            and other.state is not State.SKIPPED
            and other.message.order.external_ref.strip().casefold() == order.external_ref.strip().casefold()
            and _charged(other.message.order) == _charged(order)
        )

    def _words(self, entry: Entry) -> tuple[str, datetime | None]:
        """The order's status in words, and until when it waits."""
        until: datetime | None = None
        reason = entry.reason
        match entry.state:
            case State.POSTED:
                stopped = entry.correction and entry.correction.problem
                return stopped.sentence if stopped else CHANGED.get(reason, "In Xero."), None
            case State.NEEDS_ATTENTION:
                return entry.problem.sentence if entry.problem else "", None
            case State.SKIPPED:
                words = worded(SKIPPED.get(reason, "Not posted."), {"company": entry.through})
                left = (
                    f" Its purchase order {entry.number} stays in Xero as it is." if entry.documents else ""
                )
                return words + left, None
            case State.QUEUED | State.POSTING:
                unsettled = self._unsettled(entry)
                if entry.batch in self._of_unknown_kind:
                    return WAITS[UNKNOWN], None
                if self._posting_pause is not None and unsettled is None and entry.state is State.QUEUED:
                    because = self._posting_pause.because
                    return worded(WAITS["paused"], {"because": f" ({because})" if because else ""}), None
                paused = unsettled or self._pause(entry.lane)
                if paused is None or paused[1] <= self._adapters.now():
                    return "On its way to Xero.", None
                reason, until = paused
            case State.SET_ASIDE:
                aside = entry.set_aside
                return (f"Set aside by {aside.by}: {aside.because}" if aside else "Set aside."), None
            case State.WAITING:
                pass
        details = {"number": entry.number}
        if self._connection is not None:
            details["organisation"] = self._connection.organisation_name
        return worded(WAITS.get(reason, "Waiting."), details), until

    def _pause(self, lane: str) -> tuple[str, datetime] | None:
        if lane not in self._paused:
            self._paused[lane] = self._adapters.lanes.paused(lane, self._company) if lane else None
        return self._paused[lane]

    def _unsettled(self, entry: Entry) -> tuple[str, datetime] | None:
        """When the outcome of a call without an answer is looked up again."""
        if entry.batch and entry.batch not in self._batches:
            self._batches[entry.batch] = None
            with leaving_alone(*entry.key, partial(self._of_unknown_kind.add, entry.batch)):
                self._batches[entry.batch] = self._adapters.lanes.batch(entry.lane, entry.batch)
        batch = self._batches.get(entry.batch)
        return ("outcome_unknown", batch.settle_at) if batch is not None and batch.settle_at else None

    def _document(self, entry: Entry, kind: DocumentKind, posted: Posted) -> dict[str, Any]:
        return {
            "kind": kind,
            "number": posted.number,
            "status": posted.status,
            "total": posted.total,
            "currency": posted.currency,
            "link": link(self._adapters.web_url, kind, posted.id, self._short_code(entry.organisation_id)),
            "notes": list(posted.notes),
            "stands": posted.stood,
            "read_at": posted.read_at.isoformat() if posted.read_at else None,
        }

    def _short_code(self, organisation_id: str) -> str:
        if organisation_id not in self._short_codes:
            known = self._adapters.organisations.get(organisation_id) if organisation_id else None
            self._short_codes[organisation_id] = known[0].short_code if known else ""
        return self._short_codes[organisation_id]


def link(web_url: str, kind: DocumentKind, id_: str, short_code: str) -> str | None:
    """The document's address in Xero. The short code makes Xero open the right organisation."""
    if not short_code:
        return None
    return web_url + DOCUMENT_KINDS[kind].page.format(short_code=short_code, id=id_)


def can_retry(entry: Entry) -> bool:
    """Whether Retry can help. It can't if the message is unreadable: then it must be sent again or redriven."""
    if entry.message.problem is not None or entry.reason == UNKNOWN:
        return False
    return entry.state in STANDING_STILL


def _retry_helps(entry: Entry) -> bool:
    """Whether a press on Retry can change anything. What waits goes on by itself."""
    if entry.state is State.WAITING or entry.why in _RETRY_IS_NO_HELP:
        return False
    return entry.why != "cancelled" or bool(entry.documents)


def _charged(order: Order) -> tuple[Decimal | None, Decimal | None, str | None]:
    """What an order charges for shipping; empty where that is nothing."""
    price, price_inc_tax = order.shipping.price or None, order.shipping.price_inc_tax or None
    return price, price_inc_tax, order.currency if price or price_inc_tax else None


def sold_on(order: Order) -> str:
    """The day of the sale as it was sent, whichever zone it is in."""
    return order.sold_at.isoformat()[:10]


def _total(order: Order) -> str | None:
    totals = order_totals(order)
    return _amount(totals.total) if totals else None


def _totals(order: Order) -> dict[str, Any] | None:
    """What the order comes to by what it says itself."""
    totals = order_totals(order)
    if totals is None:
        return None
    return {
        "net": _amount(totals.net),
        "taxes": [{"rate": _amount(rate), "tax": _amount(tax)} for rate, tax in totals.taxes.items()],
        "total": _amount(totals.total),
    }


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _sold_again(entry: Entry) -> list[str]:
    """What was credited although the platform says that it is sold, in words."""
    return [
        f"{'The shipping' if place == SHIPPING else f'Line {place}'} was credited, and the platform says that it is"
        " sold. Bill it again in Xero by hand, or delete the credit note there"
        for place in (ledger.sold_again(entry) if ledger.changed_since(entry) else ())
    ]

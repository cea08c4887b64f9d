"""A company's orders and its connection as the settings page shows them."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from bookkeeping.adapters.queues import ReleaseCall
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.dynamodb import LONG_AGO
from bookkeeping.adapters.tables.lanes import Batch, Lanes
from bookkeeping.adapters.tables.orders import OrdersTable, order_key
from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.adapters.tables.releases import Release, Releases
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.domain import connection as connecting
from bookkeeping.domain.connection import REFRESH_TOKEN_LIVES
from bookkeeping.domain.documents import DocumentKind
from bookkeeping.domain.ledger import Act, Entry, Posted, State
from bookkeeping.domain.page_access import Person
from bookkeeping.domain.problems.catalogue import CATALOGUE, SKIPPED, WAITS, worded
from bookkeeping.use_cases import release as releasing
from bookkeeping.use_cases.intake import books_of

PAGE: Final = 50
LOOKED_AT: Final = 400
"""Rows looked at for one page, where most do not fit what was asked for."""
COUNTED: Final = 1000
MASKED: Final = "••••••••"
ORDER_OF_STATES: Final = (
    State.NEEDS_ATTENTION,
    State.WAITING,
    State.QUEUED,
    State.POSTING,
    State.POSTED,
    State.SKIPPED,
)
_WHYLESS: Final = frozenset({State.QUEUED, State.POSTING, State.POSTED})
_LAST: Final = "\uffff"


@dataclass(frozen=True)
class Edges:
    orders: OrdersTable
    settings: SettingsTable
    connections: ConnectionsTable
    lanes: Lanes
    organisations: Organisations
    releases: Releases
    releasing: releasing.Edges
    web_url: str
    """Where a person opens a document in Xero."""
    now: Callable[[], datetime]
    new_id: Callable[[], str]


@dataclass(frozen=True)
class Asked:
    """What a person wants to see of the orders."""

    state: State | None = None
    why: str = ""
    """A problem's code, or the reason for waiting or skipping."""
    search: str = ""
    first_day: date | None = None
    last_day: date | None = None
    cursor: str = ""


class NothingToRetry(Exception):
    """The order is not stopped, or it is not certain yet what became of it. `message` says which."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


# --- lists -------------------------------------------------------------------------------------------------------


def orders(edges: Edges, company: str, asked: Asked) -> dict[str, Any]:
    """A page of orders: those that need a person first, the latest of each kind before the others."""
    found, cursor = _found(edges, company, asked)
    view = View(edges, company)
    page: dict[str, Any] = {"orders": [view.order(entry) for entry in found], "cursor": cursor or None}
    if not asked.cursor:
        page["counts"] = {
            str(state): edges.orders.count_on_shelf(company, f"{state}#", COUNTED)
            for state in ORDER_OF_STATES
        }
        page["problems"] = _problems(edges, company) if page["counts"][State.NEEDS_ATTENTION] else {}
    return page


def _problems(edges: Edges, company: str) -> dict[str, int]:
    shelves = edges.orders.shelves(company, f"{State.NEEDS_ATTENTION}#", COUNTED)
    return dict(Counter(shelf.split("#")[1] for shelf in shelves))


def _found(edges: Edges, company: str, asked: Asked) -> tuple[list[Entry], str]:
    if asked.search:
        exact = _named(edges, company, asked.search)
        if exact:
            return [entry for entry in exact if _fits(entry, asked)], ""
    shelves = _shelves(asked)
    place, after = _cursor_in(asked.cursor)
    found: list[Entry] = []
    looked_at = 0
    while place < len(shelves) and len(found) < PAGE and looked_at < LOOKED_AT:
        first, last = shelves[place]
        keys, after = edges.orders.shelf_page(
            company, first, last, PAGE - len(found), after, newest_first=True
        )
        by_key = {order_key(*entry.key): entry for entry in edges.orders.get_many(keys)}
        read = [by_key[key] for key in keys if key in by_key]
        found += [entry for entry in read if _fits(entry, asked) and _matches(entry, asked.search)]
        looked_at += len(keys)
        if not after:
            place += 1
    return found, _cursor_out(place, after) if place < len(shelves) else ""


def _shelves(asked: Asked) -> list[tuple[str, str]]:
    """The shelves to walk, each from its first to its last place."""
    first_at = str(asked.first_day or "")
    last_at = f"{asked.last_day or ''}{_LAST}"
    ranges: list[tuple[str, str]] = []
    if first_at > last_at:
        return ranges
    for state in ORDER_OF_STATES if asked.state is None else (asked.state,):
        if asked.why and state not in _WHYLESS:
            ranges.append((f"{state}#{asked.why}#{first_at}", f"{state}#{asked.why}#{last_at}"))
        elif state in _WHYLESS and not asked.why:
            ranges.append((f"{state}##{first_at}", f"{state}##{last_at}"))
        elif not asked.why:
            ranges.append((f"{state}#", f"{state}#{_LAST}"))
    return ranges


def _fits(entry: Entry, asked: Asked) -> bool:
    """Whether the row, as it is now, is what was asked for; an index may show where it was."""
    day = entry.changed_at.astimezone(LONG_AGO.tzinfo).date()
    return (
        asked.state in (None, entry.state)
        and asked.why in ("", releasing.shelf_of(entry)[1])
        and (asked.first_day is None or day >= asked.first_day)
        and (asked.last_day is None or day <= asked.last_day)
    )


def _named(edges: Edges, company: str, search: str) -> list[Entry]:
    """The order of that id, or of that document number."""
    digits = search[len(search.rstrip("0123456789")) :]
    entry = edges.orders.get(company, digits) if digits else None
    return [entry] if entry is not None and search in (digits, entry.number) else []


def _matches(entry: Entry, search: str) -> bool:
    if not search:
        return True
    texts = [entry.order_id, entry.number]
    if entry.message.content:
        texts += [entry.message.order.ref, entry.message.order.external_ref]
    return any(search.casefold() in text.casefold() for text in texts)


def _cursor_out(place: int, after: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([place, after]).encode()).decode()


def _cursor_in(cursor: str) -> tuple[int, str]:
    """Where to go on; a cursor that is none of ours begins anew."""
    try:
        place, after = json.loads(base64.urlsafe_b64decode(cursor.encode())) if cursor else (0, "")
    except (ValueError, TypeError, binascii.Error, RecursionError):
        return 0, ""
    sound = isinstance(place, int) and isinstance(after, str) and 0 <= place < len(ORDER_OF_STATES)
    return (place, after) if sound and (not after or after.count("|") == 1) else (0, "")


# --- one order ---------------------------------------------------------------------------------------------------


class View:
    """Orders of a company as JSON; what they have in common is read once."""

    def __init__(self, edges: Edges, company: str) -> None:
        self._edges = edges
        self._company = company
        self._connection = edges.connections.connection(company)
        self._paused: dict[str, tuple[str, datetime] | None] = {}
        self._batches: dict[str, Batch | None] = {}
        self._short_codes: dict[str, str] = {}

    def order(self, entry: Entry) -> dict[str, Any]:
        words, until = self._words(entry)
        order = entry.message.order if entry.message.content else None
        problem = entry.problem
        return {
            "id": entry.order_id,
            "number": entry.number,
            "state": str(entry.state),
            "words": words,
            "until": until.isoformat() if until else None,
            "received_at": entry.received_at.isoformat(),
            "changed_at": entry.changed_at.isoformat(),
            "reason": entry.reason or None,
            "problem": problem
            and {
                "code": problem.code,
                "sentence": problem.sentence,
                "who": problem.kind.who,
                "fix": problem.fix,
                "xero_says": list(problem.xero_says),
            },
            "ref": order.ref if order else "",
            "external_ref": order.external_ref if order else "",
            "currency": (order.currency if order else None) or "",
            "documents": [self._document(entry, kind, posted) for kind, posted in entry.documents.items()],
            "changes": list(entry.changes),
            "can_retry": can_retry(entry),
        }

    def whole(self, entry: Entry) -> dict[str, Any]:
        lines = entry.message.order.lines if entry.message.content else ()
        return self.order(entry) | {
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
            "history": [_act(act) for act in reversed(entry.history)],
        }

    def _words(self, entry: Entry) -> tuple[str, datetime | None]:
        """How the order stands, in words, and until when it waits."""
        until: datetime | None = None
        reason = entry.reason
        match entry.state:
            case State.POSTED:
                return "In Xero.", None
            case State.NEEDS_ATTENTION:
                return entry.problem.sentence if entry.problem else "", None
            case State.SKIPPED:
                return worded(SKIPPED.get(reason, "Not posted."), {"company": entry.through}), None
            case State.QUEUED | State.POSTING:
                paused = self._unsettled(entry) or self._pause(entry.lane)
                if paused is None or paused[1] <= self._edges.now():
                    return "On its way to Xero.", None
                reason, until = paused
            case State.WAITING:
                pass
        details = {"number": entry.number, "until": f"{until:%H:%M} UTC" if until else "soon"}
        if self._connection is not None:
            details["organisation"] = self._connection.organisation_name
        return worded(WAITS.get(reason, "Waiting."), details), until

    def _pause(self, lane: str) -> tuple[str, datetime] | None:
        if lane not in self._paused:
            self._paused[lane] = self._edges.lanes.paused(lane, self._company) if lane else None
        return self._paused[lane]

    def _unsettled(self, entry: Entry) -> tuple[str, datetime] | None:
        """When it is looked up what became of a call for the order that was never answered."""
        if entry.batch and entry.batch not in self._batches:
            self._batches[entry.batch] = self._edges.lanes.batch(entry.lane, entry.batch)
        batch = self._batches.get(entry.batch)
        return ("outcome_unknown", batch.settle_at) if batch is not None and batch.settle_at else None

    def _document(self, entry: Entry, kind: DocumentKind, posted: Posted) -> dict[str, Any]:
        return {
            "kind": kind,
            "number": posted.number,
            "status": posted.status,
            "total": posted.total,
            "currency": posted.currency,
            "link": link(self._edges.web_url, kind, posted.id, self._short_code(entry.organisation_id)),
            "notes": list(posted.notes),
        }

    def _short_code(self, organisation_id: str) -> str:
        if organisation_id not in self._short_codes:
            known = self._edges.organisations.get(organisation_id) if organisation_id else None
            self._short_codes[organisation_id] = known[0].short_code if known else ""
        return self._short_codes[organisation_id]


def link(web_url: str, kind: DocumentKind, id_: str, short_code: str) -> str | None:
    """Where the document is in Xero; the short code makes Xero open the right organisation."""
    if not short_code:
        return None
    if kind == "invoice":
        return f"{web_url}/app/{short_code}/invoicing/view/{id_}"
    path = f"/Accounts/Payable/PurchaseOrders/View/{id_}/"
    return f"{web_url}/organisationlogin/default.aspx?shortcode={short_code}&redirecturl={path}"


def can_retry(entry: Entry) -> bool:
    """Whether a person can free it: what can't be read stays so until it is sent again, or redriven."""
    if entry.message.problem is not None:
        return False
    return entry.state in (State.NEEDS_ATTENTION, State.SKIPPED, State.WAITING) and not entry.batch


def _act(act: Act) -> dict[str, str]:
    words = {"retry": "Pressed Retry"}
    return {"at": act.at.isoformat(), "by": act.by, "what": words.get(act.what, act.what)}


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def retry(edges: Edges, person: Person, entry: Entry, *, items_as_they_are: bool = False) -> Entry:
    """The order after a person pressed Retry. Raises NothingToRetry."""
    if entry.batch:
        raise NothingToRetry(
            "It is not certain yet whether Xero has this order; that is being looked up. Try again soon."
        )
    if not can_retry(entry):
        raise NothingToRetry("This order is not stopped, so there is nothing to retry.")
    books = books_of(edges.settings, edges.connections, person.company)
    if books is None:
        raise NothingToRetry("Save the settings first.")
    how = Release(
        person.company, "", edges.now(), edges.now(), by=person.name, items_as_they_are=items_as_they_are
    )
    saved = releasing.save(edges.releasing, person.name, entry, books, how)
    if saved is None:
        raise NothingToRetry("This order changed a moment ago. Look at it again.")
    releasing.tell(edges.releasing, [saved])
    return saved


def retry_all(edges: Edges, person: Person, why: str) -> dict[str, Any]:
    """Retry every order that stopped for that reason: some at once, the others in the background."""
    states = [State.NEEDS_ATTENTION] if why in CATALOGUE else [State.SKIPPED] if why in SKIPPED else []
    if not states:
        raise NothingToRetry("There is no such problem.")
    now = edges.now()
    release = Release(
        company=person.company,
        id=edges.new_id(),
        asked_at=now,
        next_at=now,
        shelves=tuple(f"{state}#{why}#" for state in states),
        by=person.name,
    )
    edges.releases.ask(release)
    call = ReleaseCall(release.company, release.id)
    freed = releasing.go_on(edges.releasing, call, time=timedelta(seconds=5))
    return {"retried": freed, "more": edges.releases.find(*vars(call).values()) is not None}


# --- the connection ----------------------------------------------------------------------------------------------


def connection(edges: Edges, company: str) -> dict[str, Any]:
    """The connection as JSON. Tokens are never shown: only that there are some, and how long they live."""
    known = edges.connections.connection(company)
    app = edges.connections.app(company)
    client_id = app.client_id if app else ""
    words, fix = connecting.words(known, client_id)
    live = known is not None and known.status != "disconnected"
    expires_at = edges.connections.tokens_expire_at(company) if live else None
    refresh_until = expires_at - timedelta(minutes=30) + REFRESH_TOKEN_LIVES if expires_at else None
    unsettled = known is not None and known.status in ("choose_organisation", "confirm_organisation")
    return {
        "status": known.status if known else "not_connected",
        "words": words,
        "fix": fix,
        "other_app": connecting.of_another_app(known, client_id),
        "organisation": _named_organisation(known.organisation_id, known.organisation_name)
        if known
        else None,
        "previous_organisation": _named_organisation(
            known.previous_organisation_id, known.previous_organisation_name
        )
        if known and unsettled
        else None,
        "choices": [{"id": one.organisation_id, "name": one.organisation_name} for one in known.choices]
        if known and known.status == "choose_organisation"
        else [],
        "tenant_id": known.organisation_id if known and live else "",
        "access_token": {"masked": MASKED if live else None, "expires_at": _iso(expires_at)},
        "refresh_token": {"masked": MASKED if live else None, "expires_at": _iso(refresh_until)},
        "scopes_missing": list(known.scopes_missing) if known and live else [],
        "connected_by": known.connected_by if known else "",
        "connected_at": _iso(known.connected_at) if known else None,
    }


def _named_organisation(id_: str, name: str) -> dict[str, str] | None:
    return {"id": id_, "name": name} if id_ else None


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None

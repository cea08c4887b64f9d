"""The storm of lines: an exception at every line of the domain and the use cases, one at a time, among three orders.

The others end as they do without it. The third is posted as well, or shows `our_fault` within five minutes and is freed
by Retry. Nothing is lost, doubled or posted otherwise.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, TypeVar
from unittest.mock import patch

import bookkeeping
from bookkeeping.adapters import containment
from bookkeeping.adapters.tables.lanes import Batch
from bookkeeping.adapters.tables.settings import _settings_in
from bookkeeping.domain.corrections import Credited
from bookkeeping.domain.ledger import Entry, Message, State
from bookkeeping.domain.moments import LONG_AGO, moment
from bookkeeping.domain.orders import Order
from bookkeeping.domain.page_access import Person
from bookkeeping.domain.settings import Settings
from bookkeeping.use_cases.intake import NO_COMPANY, Intake, _noted
from bookkeeping.use_cases.page import settings_form
from bookkeeping.use_cases.page.corrections import NothingToCorrect, correct
from bookkeeping.use_cases.page.order_list import Asked, orders
from bookkeeping.use_cases.page.retry import retry
from bookkeeping.use_cases.posting.company_turn import CompanyTurn
from bookkeeping.use_cases.posting.publishing import Publisher
from bookkeeping.use_cases.posting.settlement import Settlement
from bookkeeping.use_cases.posting.turn import Turn
from local.sample_kinds import KINDS
from local.samples import TRACKED, UNTRACKED, Maker
from tests import our_faults
from tests.storms.auditor import held
from tests.storms.corrections import company_with, says
from tests.storms.environment import Environment, person
from tests.storms.keeping_alive import CALM, storm_over
from tests.storms.posting import SEED
from tests.storms.scheduler import Scheduler, Worker
from tests.storms.table import Job, Outcome
from tests.storms.workload import Company, Workload

T = TypeVar("T")

PACKAGE: Final = Path(bookkeeping.__file__).parent
FOLDERS: Final = tuple(f"{PACKAGE / folder}/" for folder in ("domain", "use_cases"))
VISIBLE_WITHIN: Final = timedelta(minutes=5)
MENDED_AFTER: Final = timedelta(minutes=12)
OUR_FAULT: Final = ("our_fault", "correction_fault")
"""How an order, or the correction of its documents, shows a fault of ours."""
CANCELLED: Final = "skipped cancelled [] "
"""How an order ends that was cancelled before any document of it was made."""
HALF_CANCELLED: Final = "needs_attention no_sale ['purchase_order'] "
"""And one whose purchase order was in Xero by then: a person is asked."""
A_JOB: Final = 150
"""Lines."""
LATER_TIMES: Final = 300
"""Runs in which the exception is raised at a line that was passed before."""

Trace = Callable[[FrameType, str, Any], Any]


class Injected(Exception):
    """The exception that nobody foresaw."""


@dataclass(frozen=True, order=True)
class Line:
    """A line of the package, and the time it is come to in a world."""

    file: str
    """Within the package."""
    number: int
    time: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.number} at time {self.time}"


# --- the lines


@cache
def _lines_of(code: CodeType) -> frozenset[int]:
    return frozenset(line for _, _, line in code.co_lines() if line is not None)


@cache
def shows() -> frozenset[Line]:
    """Lines of what names an order's row, contains a fault, or says that an order is stopped.

    A fault of their own that stays they can't show.
    """
    codes = (
        Entry.key.fget.__code__,  # type: ignore[attr-defined]
        Entry.why.fget.__code__,  # type: ignore[attr-defined]
        _noted.__code__,
        Intake._keep_unreadable.__code__,
        Intake._publish.__code__,
        Intake._companies.__code__,
        Turn._correct_or_remove.__code__,
        CompanyTurn._stopping.__wrapped__.__code__,  # type: ignore[attr-defined]
        Publisher.contained.__code__,
        Settlement._contained.__code__,
    )
    return frozenset(
        Line(code.co_filename.removeprefix(f"{PACKAGE}/"), line) for code in codes for line in _lines_of(code)
    )


@contextmanager
def tracing(trace: Trace) -> Iterator[None]:
    """Every process of a scheduler runs with the trace."""
    start, record = Scheduler.start, containment.record

    def recorded(*about: Any) -> str:
        # an exception out of a trace has ended it
        sys.settrace(trace)
        return record(*about)

    def started(scheduler: Scheduler, job: Callable[[], None], worker: Worker | None = None) -> None:
        def traced() -> None:
            sys.settrace(trace)
            try:
                job()
            finally:
                sys.settrace(None)

        start(scheduler, traced, worker)

    with patch.object(Scheduler, "start", started), patch.object(containment, "record", recorded):
        yield


@dataclass
class Met:
    """Counts the lines that are come to."""

    now: Callable[[], datetime] | None = None
    lines: Counter[Line] = field(default_factory=Counter)

    def __call__(self, frame: FrameType, event: str, _: Any) -> Trace | None:
        file = frame.f_code.co_filename
        if not file.startswith(FOLDERS):
            return None
        if event == "line":
            self.lines[Line(file.removeprefix(f"{PACKAGE}/"), frame.f_lineno)] += 1
        return self


@dataclass
class Raise:
    """Raises at a line, once."""

    line: Line
    now: Callable[[], datetime] | None = None
    at: datetime | None = None
    """When that was."""
    _times: int = 0

    def __post_init__(self) -> None:
        self._file = str(PACKAGE / self.line.file)

    def __call__(self, frame: FrameType, event: str, _: Any) -> Trace | None:
        code = frame.f_code
        if self.at is not None or code.co_filename != self._file or self.line.number not in _lines_of(code):
            return None
        if event == "line" and frame.f_lineno == self.line.number:
            self._times += 1
            if self._times == self.line.time:
                assert self.now is not None
                self.at = self.now()
                raise Injected(str(self.line))
        return self


@dataclass
class Poison:
    """Raises at a line whenever it is come to with the order in hand, until it is mended.

    Without a line it counts the lines.
    """

    order_id: str
    line: Line | None = None
    now: Callable[[], datetime] | None = None
    at: datetime | None = None
    """When it was raised first."""
    mended: bool = False
    lines: Counter[Line] = field(default_factory=Counter)

    def __call__(self, frame: FrameType, event: str, _: Any) -> Trace | None:
        file = frame.f_code.co_filename
        if self.mended or not file.startswith(FOLDERS):
            return None
        here = Line(file.removeprefix(f"{PACKAGE}/"), frame.f_lineno)
        if self.line is not None and (
            here.file != self.line.file or self.line.number not in _lines_of(frame.f_code)
        ):
            return None
        if event == "line" and self.line in (None, here) and self._in_hand(frame):
            self.lines[here] += 1
            if self.line is not None:
                assert self.now is not None
                self.at = self.at or self.now()
                raise Injected(str(here))
        return self

    def _in_hand(self, frame: FrameType) -> bool:
        """Whether a function under way was given this very order, or something of it alone."""
        inner: FrameType | None = frame
        while inner is not None and inner.f_code.co_filename.startswith(FOLDERS):
            code = inner.f_code
            for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
                if self._is_of_it(inner.f_locals.get(name)):
                    return True
            inner = inner.f_back
        return False

    def _is_of_it(self, value: Any) -> bool:
        match value:
            case Message():
                return f'"{self.order_id}"' in value.content
            case Order():
                return value.id == self.order_id
            case Entry():
                return value.order_id == self.order_id
            case str():
                return value == self.order_id
        inner = getattr(value, "entry", None) or getattr(value, "order", None)
        return isinstance(inner, Entry | Order) and self._is_of_it(inner)


# --- worlds of three orders

MINUTE: Final = 60.0
World = Callable[[Environment], Workload]


def plain(environment: Environment) -> Workload:
    """Two orders in a call, and a Tracked one in a lane of its own."""
    work = Workload(environment)
    untracked, tracked = work.company(tracked=False), work.company(tracked=True)
    work.order(untracked, 0)
    work.order(untracked, 1, after=0.1)
    work.order(tracked, 0)
    return work


def one_lane(environment: Environment) -> Workload:
    """Two companies take turns in a lane. One of the orders is of both."""
    work = Workload(environment)
    first = work.company(tracked=True)
    second = work.company(tracked=True, with_=first)
    work.order(first, 0)
    work.order(second, 1)
    work.order(first, 2, second, after=0.2)
    return work


def unanswered(environment: Environment) -> Workload:
    """Calls that Xero carries out, or does not, and never answers."""
    work = plain(environment)
    _faults(
        environment,
        ("PUT", "Invoices", "reply_lost"),
        ("PUT", "PurchaseOrders", "error_after_commit"),
        ("PUT", "Items", "request_lost"),
        ("PUT", "Invoices", "error_before_commit"),
        ("GET", "Invoices", "malformed_json"),
        ("GET", "Invoices", "rate_limit_minute"),
    )
    return work


def refused(environment: Environment) -> Workload:
    """Documents that Xero refuses: for a number, for something that is then read again, for good."""
    work = Workload(environment)
    untracked, tracked = work.company(tracked=False), work.company(tracked=True)
    work.number_taken(untracked, 0, after=0)
    work.order(untracked, 1, after=0.1)
    work.order(tracked, 0)
    words = {"message": "Account code '200' is not a valid code for this document."}
    _faults(environment, ("PUT", "Invoices", "refused"), ("PUT", "Items", "refused"), **words)
    _faults(environment, ("PUT", "PurchaseOrders", "not_found"))
    return work


def cut_off(environment: Environment) -> Workload:
    """Xero refuses access, is offline and limits. A person connects again."""
    work = plain(environment)
    untracked, tracked = work.companies
    _faults(environment, ("GET", "Organisation", "token_expired"), tenant_id=tracked.organisation_id)
    _faults(
        environment, ("PUT", "Items", "organisation_offline"), ("PUT", "PurchaseOrders", "rate_limit_day")
    )
    _faults(
        environment, ("GET", "Accounts", "authorization_unsuccessful"), tenant_id=untracked.organisation_id
    )
    _at(environment, 30 * MINUTE, lambda: environment.reconnect(untracked.ref))
    return work


def people(environment: Environment) -> Workload:
    """What people do: on the platform, in the settings, to the connection and to orders."""
    work = Workload(environment)
    untracked, tracked = work.company(tracked=False), work.company(tracked=True)
    sent = work.order(untracked, 0)
    work.changed(sent, after=10 * MINUTE)
    refunded = work.order(untracked, 1, after=1, status=1024, status_name="Refunded")
    pages = environment.page

    def post() -> None:
        entry = environment.orders.get(untracked.ref, refunded.order_id)
        assert entry is not None
        retry(pages, person(untracked.ref), entry, no_sale="post")

    def save() -> None:
        saved = pages.settings.saved(untracked.ref)
        assert saved is not None
        given = {"payment_terms_days": 14, "refunded_orders": "post"}
        settings_form.save(pages, person(untracked.ref), saved.number, given)

    _at(environment, 20 * MINUTE, lambda: environment.press(post))
    _at(environment, 30 * MINUTE, lambda: environment.press(save))
    _at(environment, 35 * MINUTE, lambda: environment.disconnect(tracked.ref))
    work.order(tracked, 0, after=40 * MINUTE)
    _at(environment, 50 * MINUTE, lambda: environment.reconnect(tracked.ref))
    return work


def corrected(environment: Environment) -> Workload:
    """Orders that are cancelled, in part and wholly, posted again, and credited by a person."""
    work = Workload(environment)
    approved: dict[str, Any] = {"invoice_status": "AUTHORISED", "cancellations": "all"}
    credited, drafts = company_with(work, False, **approved), company_with(work, True, cancellations="all")
    neighbour = company_with(work, False, with_=credited, cancellations="drafts")
    part, whole, again = work.order(credited, 2), work.order(drafts, 1), work.order(neighbour, 2)
    refunded = work.order(credited, 5)
    says(work, part, 2 * MINUTE, 0)
    says(work, again, 2 * MINUTE, 1)
    says(work, whole, 3 * MINUTE, status=128, status_name="Cancelled")

    def credit() -> None:
        entry = environment.orders.get(credited.ref, refunded.order_id)
        assert entry is not None
        lines = [Credited(1, pieces="1"), Credited(2, amount="1.50")]
        with suppress(NothingToCorrect):
            correct(
                environment.page,
                can_credit(credited.ref),
                entry,
                "credit",
                version=entry.version,
                lines=lines,
            )

    _at(environment, 4 * MINUTE, lambda: environment.press(credit))
    return work


def can_credit(company: str) -> Person:
    return replace(person(company), may_credit=True)


def of_kinds(names: Sequence[str], **settings: Any) -> World:
    """Orders of these kinds, in books with these settings."""

    def world(environment: Environment) -> Workload:
        work, make = Workload(environment), Maker()
        companies = [work.company(tracked=False), work.company(tracked=True)]
        for company in companies:
            seen = environment.settings.saved(company.ref)
            assert seen is not None
            changed = Settings.from_json(seen.settings.to_json() | settings)
            at = environment.now()
            environment.settings.save(company.ref, changed, seen=seen.number, by="storm", at=at)
        for place, name in enumerate(names):
            kind, company = KINDS[name], companies[place % 2]
            order = make.order(TRACKED if company.tracked else UNTRACKED, place, min(kind.lines, 12))
            message = kind.message(order | {"company_ref_id": int(company.ref)})
            body = message if isinstance(message, str) else json.dumps(message)
            environment.send(body, environment.now() + timedelta(seconds=place / 10))
        return work

    world.__name__ = f"{', '.join(names)} {settings or ''}".strip()
    return world


def _faults(environment: Environment, *faults: tuple[str, str, str], **more: str) -> None:
    for method, resource, kind in faults:
        rule = {"kind": kind, "method": method, "path_prefix": f"/api.xro/2.0/{resource}", "times": 1}
        environment.xero.faults.add(rule | {"seconds": 100, "retry_after": 20} | more)


def _at(environment: Environment, seconds: float, job: Callable[[], None]) -> None:
    """Have something done then: the world is not over before."""
    environment._to_come += 1

    def done() -> None:
        environment._to_come -= 1
        job()

    environment.scheduler.at(environment.now() + timedelta(seconds=seconds), done)


BOOKS: Final[tuple[Mapping[str, Any], ...]] = (
    {},
    {"invoice_price": "trade"},
    {"line_amounts": "exclusive", "rounding": "show"},
    {"post_when": "dispatch", "start_from": "2026-11-01"},
    {"free_of_charge": "nil_invoice", "sales_accounts_by_sku_prefix": {"MUG": "200"}},
    {"tax_types": [{"rate": "20", "ships_to": "home", "tax_type": "OUTPUT2"}]},
)
WORLDS: Final[tuple[World, ...]] = (
    plain,
    one_lane,
    unanswered,
    refused,
    cut_off,
    people,
    corrected,
    *(
        of_kinds([*KINDS][place : place + 3], **BOOKS[place // 3 % len(BOOKS)])
        for place in range(0, len(KINDS), 3)
    ),
)


# --- one run


@dataclass
class Run:
    """How the orders of a world ended."""

    ends: dict[str, str] = field(default_factory=dict)
    """Row's key → state and reason."""
    documents: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    """Organisation and number → the documents that were created under it."""
    listed: dict[str, set[str]] = field(default_factory=dict)
    """Company → the orders that its page lists."""
    stopped: str = ""
    """The order that showed the fault."""
    at_fault: set[str] = field(default_factory=set)
    """Orders that a fault was contained to."""
    met: bool = False
    """Whether the exception was raised."""
    lines: Counter[Line] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)


class Prepared:
    """A world that is ready. Each run is one of a copy of this process, so that it is made once."""

    def __init__(self, world: World) -> None:
        self.name = world.__name__
        self._environment = Environment(f"lines {SEED}")
        self._work = world(self._environment)
        self.wanted = self._run(Met())
        self.lines = self.wanted.lines

    def lines_with(self, order_id: str) -> list[Line]:
        """The lines that are come to with the order in hand, but for those that show a fault, and the pages."""
        met = self._run(Poison(order_id)).lines
        return sorted(
            line for line in met if not line.file.startswith("use_cases/page/") and line not in shows()
        )

    def close(self) -> None:
        self._environment.close()

    def _run(self, trace: Met | Raise | Poison) -> Run:
        return in_a_copy(partial(self._in_the_copy, trace))

    def _in_the_copy(self, trace: Met | Raise | Poison) -> Run:
        environment, found = self._environment, Run()
        # what making another world has parsed would be come to no more
        _settings_in.cache_clear()
        # thousands of lines of log would tell nothing here
        with tracing(trace), patch.object(containment, "Logger"), patch.object(containment, "single_metric"):
            trace.now = environment.now
            if isinstance(trace, Poison) and trace.line is not None:
                environment.run(MENDED_AFTER, calm=timedelta(0))
                _held_up(environment, found, trace)
                trace.mended = True
                _free(environment, found)
            environment.run(timedelta(hours=4))
            if isinstance(trace, Poison):
                # a page that fails says so itself
                trace.mended = True
            for company in self._work.companies:
                environment.press(partial(_look, environment, company, found.listed))
            environment.run(timedelta(hours=1))
        for fault in environment.our_faults:
            found.at_fault.add(fault.order_id)
            if not provoked(fault):
                found.bad.append(f"{fault}")
        if isinstance(trace, Raise):
            found.met = trace.at is not None
            _stopped(environment, found, trace.at)
            _free(environment, found)
        else:
            found.lines = trace.lines
            found.met = (
                trace.line is not None and trace.at is not None if isinstance(trace, Poison) else False
            )
        found.ends, found.documents = _ends(environment), _documents(environment)
        return found

    def judged(self, line: Line, poisoned: str = "") -> tuple[bool, list[str]]:
        """Whether the exception was raised, and what did not end as promised.

        It is raised once; or always, for the order that is poisoned.
        """
        found, wanted = self._run(Poison(poisoned, line) if poisoned else Raise(line)), self.wanted
        bad = list(found.bad)
        bad += [
            f"{key} ended as {found.ends.get(key)}, not as {end}"
            for key, end in wanted.ends.items()
            # what Xero refuses once it may take when the order is tried again
            if found.ends.get(key) != end
            and not found.ends.get(key, "").startswith("posted")
            # one that was stopped may be cancelled before it is freed
            and not (
                found.at_fault & {key.partition("#")[2], ""}
                and found.ends.get(key) in (CANCELLED, HALF_CANCELLED)
            )
        ]
        for name in wanted.documents.keys() | found.documents.keys():
            was, now = wanted.documents.get(name, []), found.documents.get(name, [])
            # an order that was stopped may have got a newer content, and not a second document
            late = any(order_id and name[1].endswith(order_id) for order_id in found.at_fault)
            missing = len(now) < len(was) and not self._posted_changed(found, name)
            if missing or len(now) > 1 or (was and now and was != now and not late):
                bad.append(f"{name[1]}: {now}, not {was}")
        bad += [
            f"the page of {company} lists {sorted(found.listed.get(company, ()))}"
            for company, listed in wanted.listed.items()
            if found.listed.get(company) != listed
        ]
        where = f"{self.name}, {line}{poisoned and f' for {poisoned}'}"
        return found.met, [f"{where}: {each}" for each in bad]

    def _posted_changed(self, found: Run, name: tuple[str, str]) -> bool:
        """Whether a document is missing since its order, once stopped, was changed before it was posted.

        Then nothing is left to correct; or, if it was cancelled, to post.
        """
        # a fault that was of no order kept the whole company waiting
        every = {key.partition("#")[2] for key in self.wanted.ends}
        for order_id in every if "" in found.at_fault else found.at_fault:
            if order_id in name[1]:
                first = [one for one in self.wanted.documents if one[1].endswith(order_id)]
                ends = {end for key, end in found.ends.items() if key.endswith(f"#{order_id}")}
                if HALF_CANCELLED in ends:
                    return name[1].startswith("ACCREC")
                if CANCELLED in ends:
                    return not any(found.documents.get(one) for one in first)
                changed = any(found.documents.get(one) != self.wanted.documents[one] for one in first)
                return changed and name not in first
        return False


def provoked(fault: our_faults.Fault) -> bool:
    # where the line is the `yield` of a context manager, this is what the exception turns into
    return isinstance(fault.error, Injected) or str(fault.error) == "generator didn't yield"


def in_a_copy(job: Callable[[], T]) -> T:
    """What the job returns in a copy of this process. What else it does stays there."""
    to_read, to_write = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer: tuple[bool, Any] = (True, job())
        except BaseException as error:  # noqa: BLE001 the parent's to raise
            answer = (False, "".join(traceback.format_exception(error)))
        with os.fdopen(to_write, "wb") as out:
            pickle.dump(answer, out)
        os._exit(0)
    os.close(to_write)
    with os.fdopen(to_read, "rb") as said:
        well, result = pickle.load(said)
    os.waitpid(child, 0)
    if not well:
        raise RuntimeError(result)
    returned: T = result
    return returned


def _look(environment: Environment, company: Company, listed: dict[str, set[str]]) -> None:
    """A person looks at the Orders page."""
    page = orders(environment.page, company.ref, Asked())
    listed[company.ref] = {order["id"] for order in page["orders"]}


def _free(environment: Environment, found: Run) -> None:
    """A person presses what the page offers: once more where the correction of its documents stopped as well."""
    rows = environment.store.tables["OrdersTable"].items
    for _ in range(2):
        if found.stopped and _problem(rows[found.stopped,]) in OUR_FAULT:
            environment.press(partial(_retry, environment, *found.stopped.split("#")))
            environment.run(timedelta(hours=1))


def _retry(environment: Environment, company: str, order_id: str) -> None:
    entry = environment.orders.get(company, order_id)
    assert entry is not None
    if entry.state is State.POSTED:
        correct(environment.page, can_credit(company), entry, "try_again", version=entry.version)
    else:
        retry(environment.page, person(company), entry)


def _rows(environment: Environment) -> Iterable[dict[str, Any]]:
    return environment.store.tables["OrdersTable"].items.values()


def _problem(row: Mapping[str, Any]) -> str:
    """What stopped the order, or the correction of its documents."""
    found = row.get("problem") or row.get("correction", {}).get("problem")
    return str(found["code"]) if found else ""


def _changed_at(row: Mapping[str, Any]) -> datetime:
    """When a row at rest was changed last."""
    return moment(row["list_key"].rpartition("#")[2])


def _ends(environment: Environment) -> dict[str, str]:
    ends: dict[str, str] = {}
    for row in _rows(environment):
        why = row.get("reason", "") or _problem(row)
        ends[row["key"]] = f"{row['state']} {why} {sorted(row['documents'])} {row.get('batch', '')}"
    return ends


def _stopped(environment: Environment, found: Run, at: datetime | None) -> None:
    """The order that shows the fault, in time. More than one is too many."""
    stopped = [row for row in _rows(environment) if _problem(row) in OUR_FAULT]
    for row in stopped:
        found.stopped = row["key"]
        late = _changed_at(row) - at if at else None
        if late is None or late > VISIBLE_WITHIN:
            found.bad.append(f"{row['key']} shows the fault after {late}")
    if len(stopped) > 1:
        found.bad.append(f"{len(stopped)} orders show the fault")


def _held_up(environment: Environment, found: Run, poison: Poison) -> None:
    """The other orders are not held up by the one that fails always. That one is visible in time, or posted."""
    unclaimed: list[str] = []
    for row in _rows(environment):
        why = _problem(row)
        if row["company"] == NO_COMPANY:
            # the fault kept anybody from telling whose the message is
            unclaimed.append(row["order_id"])
        elif row["order_id"] != poison.order_id:
            if row["state"] != "posted":
                found.bad.append(f"{row['key']} is held up: {row['state']} {why}")
        elif why in OUR_FAULT:
            found.stopped = row["key"]
            if poison.at is None or _changed_at(row) - poison.at > VISIBLE_WITHIN:
                found.bad.append(f"{row['key']} shows the fault of {poison.at} at {_changed_at(row)}")
        elif poison.at is not None and (row["state"] != "posted" or row.get("reason") == "correcting"):
            found.bad.append(f"{row['key']} does not show the fault: {row['state']} {why}")
    if not any(row["order_id"] in (poison.order_id, *unclaimed) for row in _rows(environment)):
        found.bad.append("the order has no row")


def _documents(environment: Environment) -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = {}
    for organisation in environment.xero.organisations.values():
        for document in organisation.documents.values():
            name = organisation.id, f"{document.kind} {document.number}"
            found.setdefault(name, []).append(held(document))
    return found


# --- promise P20, in full

Try = tuple[Prepared, Line, str]
"""A line in a world, and the order that always meets the exception there; empty: it is raised once."""


@cache
def prepared() -> tuple[tuple[Prepared, tuple[Line, ...]], ...]:
    """Each world that comes to lines which none before it does, and these lines."""
    known: set[Line] = set()
    found: list[tuple[Prepared, tuple[Line, ...]]] = []
    for world in WORLDS:
        one = Prepared(world)
        lines = tuple(sorted(one.lines.keys() - known))
        known.update(lines)
        if lines:
            found.append((one, lines))
    return tuple(found)


def once() -> list[Try]:
    """Each line, the first time that it is come to; and some by chance, another time."""
    first = [(world, line, "") for world, lines in prepared() for line in lines]
    chance = random.Random(f"later {SEED}")
    several = [
        (world, line) for world, _ in prepared() for line in sorted(world.lines) if world.lines[line] > 1
    ]
    later = [
        (world, replace(line, time=chance.randint(2, world.lines[line])), "")
        for world, line in chance.sample(several, LATER_TIMES)
    ]
    return [*first, *later]


def always() -> list[Try]:
    """Each line that is come to with an order in hand.

    That is one that shares a call with another one, a Tracked one, or one whose documents are corrected.
    """
    world, _ = prepared()[0]
    *_, shares, tracked = sorted(key.partition("#")[2] for key in world.wanted.ends)
    afterwards = next(one for one, _ in prepared() if one.name == corrected.__name__)
    found: dict[Line, Try] = {}
    for where, order_id in (
        (world, shares),
        (world, tracked),
        *((afterwards, key.partition("#")[2]) for key in sorted(afterwards.wanted.ends)),
    ):
        for line in where.lines_with(order_id):
            found.setdefault(line, (where, line, order_id))
    return list(found.values())


def tried(tries: Sequence[Try]) -> Outcome:
    outcome = Outcome(runs=0)
    for world, line, poisoned in tries:
        met, bad = world.judged(line, poisoned)
        if not met:
            bad = [*bad, f"{world.name}, {line}: not come to"]
        outcome.runs += 1
        outcome.faults += met
        outcome.unexpected += bool(bad)
        outcome.bad += bad
        outcome.figures["lines, once" if not poisoned else "lines, always for one order"] += line.time == 1
    return outcome


def renewed(trace: Met | Raise) -> tuple[Counter[Line], bool, str]:
    """Three connections for some hours: the lines of the renewal, whether it was raised, and which connections died."""
    if isinstance(trace, Raise):
        trace.now = lambda: LONG_AGO
    weather = replace(CALM, identity=0.03, visits=0.3, reconnect=0.01)
    with patch.object(containment, "Logger"), patch.object(containment, "single_metric"):
        sys.settrace(trace)
        report = storm_over(3, 0.3, "lenient_grace", SEED, weather)
        sys.settrace(None)
    met = isinstance(trace, Raise) and trace.at is not None
    lines = trace.lines if isinstance(trace, Met) else Counter[Line]()
    return lines, met, ", ".join(report.dead)


def renewals() -> Outcome:
    """An exception at each line of the renewal of tokens, once: every connection stays alive."""
    lines, _, _ = in_a_copy(partial(renewed, Met()))
    outcome = Outcome(runs=0)
    for line in sorted(one for one in lines if one.file == "use_cases/token_renewal.py"):
        _, met, dead = in_a_copy(partial(renewed, Raise(line)))
        outcome.runs += 1
        outcome.faults += met
        outcome.unexpected += bool(dead) or not met
        outcome.bad += [f"{line}: {dead} died"] if dead else []
        outcome.figures["lines, once"] += 1
    return outcome


def jobs(promise: str) -> list[Job]:
    parts = [
        (name, tries[place : place + A_JOB], place)
        for name, tries in (("once", once()), ("always", always()))
        for place in range(0, len(tries), A_JOB)
    ]
    return [
        *(
            Job(promise, f"an exception at each line, {name}, from {place}", partial(tried, tries), A_JOB / 3)
            for name, tries, place in parts
        ),
        Job(promise, "an exception at each line of the renewal of tokens", renewals, 40),
        *(Job(promise, f"mutant {mutant.__name__}", partial(mutant_tried, mutant), 20) for mutant in MUTANTS),
    ]


# --- mutants


@contextmanager
def not_contained() -> Iterator[None]:
    """An exception that nobody foresaw goes on, as any other does."""
    with patch.object(containment, "is_ours", lambda _: False):
        yield


@contextmanager
def batch_forgotten() -> Iterator[None]:
    """A batch with an order that has no outcome is finished all the same."""
    real = Settlement._finish

    def finish(settlement: Settlement, batch: Batch) -> None:
        settlement._at_fault.clear()
        real(settlement, batch)

    with patch.object(Settlement, "_finish", finish):
        yield


Mutant = Callable[[], AbstractContextManager[None]]
MUTANTS: Final[tuple[Mutant, ...]] = (not_contained, batch_forgotten)


def caught(mutant: Mutant, count: int) -> bool:
    """Whether an exception that one order always meets ends badly with the mutant, at one of so many lines."""
    tries = [one for one in always() if one[1].file.startswith(("domain/documents", "use_cases/posting"))]
    with mutant():
        chosen = random.Random(f"{SEED}").sample(tries, count)
        return any(world.judged(line, poisoned)[1] for world, line, poisoned in chosen)


def mutant_tried(mutant: Mutant) -> Outcome:
    found = caught(mutant, 100)
    bad = [] if found else [f"mutant {mutant.__name__}: not caught"]
    return Outcome(mutants=1, caught=int(found), bad=bad)

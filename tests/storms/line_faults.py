"""The storm of lines: an exception at every line of the domain and the use cases, one at a time, among three orders.

The others end as they do without it. The third is posted as well, or shows `our_fault` within five minutes and is freed
by Retry. Nothing is lost, doubled or posted otherwise.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, TypeVar
from unittest.mock import patch

import bookkeeping
from bookkeeping.adapters import containment
from bookkeeping.domain.moments import moment
from bookkeeping.use_cases.page import settings_form
from bookkeeping.use_cases.page.orders import Asked, orders
from bookkeeping.use_cases.page.retry import retry
from tests import our_faults
from tests.storms.auditor import held
from tests.storms.environment import Environment, person
from tests.storms.posting import SEED
from tests.storms.scheduler import Scheduler, Worker
from tests.storms.workload import Company, Workload

T = TypeVar("T")

PACKAGE: Final = Path(bookkeeping.__file__).parent
FOLDERS: Final = tuple(f"{PACKAGE / folder}/" for folder in ("domain", "use_cases"))
VISIBLE_WITHIN: Final = timedelta(minutes=5)
A_JOB: Final = 250
"""Lines."""

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


@contextmanager
def tracing(trace: Trace) -> Iterator[None]:
    """Every process of a scheduler runs with the trace."""
    start = Scheduler.start

    def started(scheduler: Scheduler, job: Callable[[], None], worker: Worker | None = None) -> None:
        def traced() -> None:
            sys.settrace(trace)
            try:
                job()
            finally:
                sys.settrace(None)

        start(scheduler, traced, worker)

    with patch.object(Scheduler, "start", started):
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


# --- worlds of three orders

MINUTE: Final = 60.0


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


def _faults(environment: Environment, *faults: tuple[str, str, str], **more: str) -> None:
    for method, resource, kind in faults:
        rule = {"kind": kind, "method": method, "path_prefix": f"/api.xro/2.0/{resource}", "times": 1}
        environment.xero.faults.add(rule | {"seconds": 100, "retry_after": 20} | more)


def _at(environment: Environment, seconds: float, job: Callable[[], None]) -> None:
    environment.scheduler.at(environment.now() + timedelta(seconds=seconds), job)


World = Callable[[Environment], Workload]
WORLDS: Final[tuple[World, ...]] = (plain, one_lane, unanswered, refused, cut_off, people)


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
        met = Met()
        self.wanted = self._run(met)
        self.lines = met.lines = self.wanted.lines

    def close(self) -> None:
        self._environment.close()

    def _run(self, trace: Met | Raise) -> Run:
        return in_a_copy(partial(self._in_the_copy, trace))

    def _in_the_copy(self, trace: Met | Raise) -> Run:
        environment, found = self._environment, Run()
        # thousands of lines of log would tell nothing here
        with tracing(trace), patch.object(containment, "Logger"), patch.object(containment, "single_metric"):
            trace.now = environment.now
            environment.run(timedelta(hours=4))
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
        else:
            found.lines = trace.lines
        if found.stopped:
            company_ref, _, order_id = found.stopped.partition("#")
            environment.press(partial(_retry, environment, company_ref, order_id))
            environment.run(timedelta(hours=1))
        found.ends, found.documents = _ends(environment), _documents(environment)
        return found

    def judged(self, line: Line) -> tuple[bool, list[str]]:
        """Whether the exception was raised, and what did not end as promised."""
        found, wanted = self._run(Raise(line)), self.wanted
        bad = list(found.bad)
        bad += [
            f"{key} ended as {found.ends.get(key)}, not as {end}"
            for key, end in wanted.ends.items()
            if found.ends.get(key) != end
        ]
        for name in wanted.documents.keys() | found.documents.keys():
            was, now = wanted.documents.get(name, []), found.documents.get(name, [])
            # an order that was stopped may have got a newer content, and not a second document
            late = any(order_id and name[1].endswith(order_id) for order_id in found.at_fault)
            if len(was) != len(now) or (was != now and not late):
                bad.append(f"{name[1]}: {now}, not {was}")
        bad += [
            f"the page of {company} lists {sorted(found.listed.get(company, ()))}"
            for company, listed in wanted.listed.items()
            if found.listed.get(company) != listed
        ]
        return found.met, [f"{self.name}, {line}: {each}" for each in bad]


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


def _retry(environment: Environment, company: str, order_id: str) -> None:
    entry = environment.orders.get(company, order_id)
    assert entry is not None
    retry(environment.page, person(company), entry)


def _rows(environment: Environment) -> Iterable[dict[str, Any]]:
    return environment.store.tables["OrdersTable"].items.values()


def _ends(environment: Environment) -> dict[str, str]:
    ends: dict[str, str] = {}
    for row in _rows(environment):
        why = row.get("reason") or row.get("problem", {}).get("code", "")
        ends[row["key"]] = f"{row['state']} {why} {sorted(row['documents'])} {row.get('batch', '')}"
    return ends


def _stopped(environment: Environment, found: Run, at: datetime | None) -> None:
    """The order that shows the fault, in time. More than one is too many."""
    stopped = [row for row in _rows(environment) if row.get("problem", {}).get("code") == "our_fault"]
    for row in stopped:
        found.stopped = row["key"]
        late = moment(row["changed_at"]) - at if at else None
        if late is None or late > VISIBLE_WITHIN:
            found.bad.append(f"{row['key']} shows the fault after {late}")
    if len(stopped) > 1:
        found.bad.append(f"{len(stopped)} orders show the fault")


def _documents(environment: Environment) -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = {}
    for organisation in environment.xero.organisations.values():
        for document in organisation.documents.values():
            name = organisation.id, f"{document.kind} {document.number}"
            found.setdefault(name, []).append(held(document))
    return found

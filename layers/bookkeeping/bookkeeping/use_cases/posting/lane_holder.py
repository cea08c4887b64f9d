"""The holder of a lane during a turn: its lease, its time and its calls.

Only the holder of a lane writes to its organisation. A call must end within the lease and fit into the lane's budget.
After a failed call, either the company or the whole lane waits. When the holder releases the lane, it makes sure that
the lane is woken when there is something to do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from bookkeeping.adapters.event_bus import EventBus
from bookkeeping.adapters.queues import LONGEST_DELAY, PostingQueue, WakeUp
from bookkeeping.adapters.secrets import TokenSecret
from bookkeeping.adapters.tables.book_matches import BookMatches
from bookkeeping.adapters.tables.books import books_to_post
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.lanes import MATCH, OTHERS, Failing, Lane, Lanes
from bookkeeping.adapters.tables.orders import OrdersTable
from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.adapters.tables.releases import Releases
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.adapters.xero_api import Access, Observe, Xero
from bookkeeping.domain import ledger
from bookkeeping.domain.connection import ConnectionStatus
from bookkeeping.domain.errors import (
    AccessRefused,
    CallRefused,
    CompanyHeld,
    Offline,
    OutcomeUnknown,
    StoreUnavailable,
    Throttled,
    TokenExpired,
    TurnEnds,
    UnknownKind,
    Unreadable,
    XeroError,
)
from bookkeeping.domain.events import connection_lost
from bookkeeping.domain.ledger import Books, Entry, Outcomes, State
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.pacing import (
    BATCH_SIZE,
    CALLS_A_MINUTE,
    GATHER,
    IN_TROUBLE,
    NEARLY_GONE,
    Budget,
    Limits,
    Waits,
    back_off,
)
from bookkeeping.domain.problems.catalogue import Watch
from bookkeeping.domain.rechecks import MIXED, RESOURCE_OF, Recheck, fingerprint, watched
from bookkeeping.use_cases.wake_lanes import ring

T = TypeVar("T")

BODY_AT_MOST: Final = 3_000_000
"""Bytes in a call. Xero recommends less than 3.5 MB."""
TOKEN_TO_SPARE: Final = timedelta(seconds=60)
SHORT_WAIT: Final = timedelta(seconds=4)
"""Waiting so long costs less than another turn, which makes its documents anew."""
AHEAD: Final = timedelta(seconds=1)
"""A turn begins so long before its first call may start, and makes documents meanwhile."""


@dataclass(frozen=True)
class PostingAdapters:
    """The adapters of a turn."""

    orders: OrdersTable
    settings: SettingsTable
    connections: ConnectionsTable
    lanes: Lanes
    releases: Releases
    matches: BookMatches
    organisations: Organisations
    tokens: TokenSecret
    xero: Xero
    wake_ups: PostingQueue
    events: EventBus
    renew_token: Callable[[str, int | None], None]
    """Ask for a company's access token to be renewed; for one of that generation where Xero refused it."""
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    new_id: Callable[[], str]
    start: Callable[[Callable[[], Any]], Future[Any]]
    """Start a call beside those that are out."""
    await_first: Callable[[Collection[Future[Any]]], object]
    """Wait until one of the calls, or more, is done."""
    chance: random.Random
    waits: Waits = field(default_factory=Waits)


@dataclass
class Tally:
    """What a turn did, for the log and metrics."""

    calls: int = 0
    throttled: int = 0
    posted: int = 0
    stopped: int = 0
    unknown: int = 0
    lost: int = 0
    """Connections that a person has to restore."""
    day_left: int | None = None
    """How many calls of the day Xero said are left in the lane."""
    budgets_nearly_gone: int = 0
    """Companies whose lane had enough calls of the day left before, and has not any more."""
    companies: set[str] = field(default_factory=set)
    """The companies that had orders in the turn."""
    outcomes: Outcomes = field(default_factory=Outcomes)
    to_books: list[timedelta] = field(default_factory=list)
    """Of each order posted: how long after its message was sent."""
    matches: list[dict[str, Any]] = field(default_factory=list)
    """Book matches that were finished, for the log."""
    faults: list[str] = field(default_factory=list)
    """What was not expected and may be a bug of ours, for the alarm."""


class LaneHolder:
    def __init__(self, adapters: PostingAdapters, lane: Lane, wake_up: WakeUp, tally: Tally) -> None:
        self.adapters = adapters
        self.lane = lane
        self.long = wake_up.backlog
        self._too_much = False
        """There is more to do than fits into a short turn."""
        self.keys: set[str] = set()
        """Orders that are due or may be, whatever the index shows, and that this turn has not dealt with."""
        self._others = False
        """Whether the lane was rung for orders that nobody named. A last look follows, because the index may lag."""
        self.tally = tally
        self._budget = Budget.resumed(lane.calls)
        self._began = self.now = adapters.now()
        self._lease_ends = self._began + adapters.waits.lease
        self._just_taken = True
        self.held: dict[str, datetime | None] = {
            company: failing.until for company, failing in lane.failing.items() if failing.until > self.now
        }
        """Companies that must wait in this turn → when to retry; None: after a person has acted."""
        self.paused: set[str] = set()
        """Companies whose posting was paused when it was last looked at. Whoever resumes it rings the lane."""
        self._unread = False
        """Whether there may be due orders that no round has read."""
        self.match_due = False
        """Whether a step of the lane's book match is to be taken when no order is due."""
        self._note_rung(lane.rung_for)
        self.rung_elsewhere: dict[str, list[str]] = {}
        self._connected_at: dict[str, datetime | None] = {}
        """By company: `connected_at` of the connection that its calls use."""
        self._generation: dict[str, int] = {}
        """By company: the generation of the token that its calls go out with."""
        self._named: dict[str, datetime] = {}
        """Contact's id → when Xero last said its name."""
        self._resume_by: datetime | None = None
        self._facts: Organisation | None = None
        """What is known of the organisation, as the documents of this turn are made from it."""
        self._facts_said: dict[Watch, str] = {}
        """Fingerprints of these facts."""
        self._facts_read: set[str] = set()
        """Organisations whose facts were read from Xero in this turn."""
        self._out: set[Future[Any]] = set()
        """Calls that were started, and may not be done."""
        self.in_doubt = False
        """Whether an answer made doubtful what documents of this round were made from."""

    # --- notes from the other modules of the turn

    @property
    def look_again(self) -> bool:
        """Whether there may be due orders that no round has read."""
        return self._unread

    def look_again_at(self, keys: Iterable[str]) -> None:
        """Read these orders in the next round, even if the index does not show them."""
        again = {*keys}
        self.keys |= again
        self._unread = self._unread or bool(again)

    def keys_to_read(self) -> list[str]:
        """The orders to read in this round, even if the index does not show them."""
        self._unread = False
        return sorted(self.keys)

    def note_due(self, due: int, *, more: bool) -> bool:
        """Note how many orders are due in this round, and whether `more` may follow. False: too many for this turn."""
        self._unread = self._unread or more
        self._too_much = due >= BATCH_SIZE
        return self.long or not self._too_much

    def note_facts(self, facts: Organisation) -> None:
        """Documents are made from these facts from now on."""
        if facts != self._facts:
            self._facts, self._facts_said = facts, {}

    def note_facts_read(self, organisation_id: str) -> None:
        self._facts_read.add(organisation_id)

    def has_read_facts(self, organisation_id: str) -> bool:
        """Whether this turn read the organisation's facts from Xero, so that an order may be stopped for them."""
        return organisation_id in self._facts_read

    def note_named(self, contact_id: str, at: datetime) -> None:
        """Xero said at that moment which name the contact bears."""
        self._named[contact_id] = max(at, self._named.get(contact_id, at))

    def named_lately(self, contact_id: str, since: datetime | None = None) -> bool:
        """Whether Xero has just said which name the contact bears; and `since` that moment, if one is given."""
        at = self._named.get(contact_id)
        if at is None or (since is not None and at < since):
            return False
        return self.now - at < self.adapters.waits.name_sure

    def note_paused(self, company: str, keys: Iterable[str]) -> None:
        """The company's orders stay due and are left alone. Resuming rings the lane, which has all of them read."""
        self.paused.add(company)
        self.keys -= {*keys}

    def count(self, *, posted: int = 0, stopped: int = 0, unknown: int = 0) -> None:
        self.tally.posted += posted
        self.tally.stopped += stopped
        self.tally.unknown += unknown

    def note_outcome(self, entry: Entry) -> None:
        """Note how an order stands now, for the log and metrics."""
        if entry.state in (State.QUEUED, State.POSTING):
            return
        self.tally.outcomes.note(entry)
        if entry.state is State.POSTED:
            self.tally.to_books.append(self.now - ledger.sent_at(entry.message))
        if entry.state is State.NEEDS_ATTENTION and (watches := watched(entry.why)):
            said = {watch: self._said(watch) for watch in watches.intersection(RESOURCE_OF)}
            self.note_recheck(self.lane.recheck.stopped(said, self.now))

    def _said(self, watch: Watch) -> str:
        """A fingerprint of what Xero said of what an order waits for, when it stopped."""
        if self._facts is None:
            return MIXED
        if watch not in self._facts_said:
            self._facts_said[watch] = fingerprint(watch, self._facts)
        return self._facts_said[watch]

    def note_recheck(self, recheck: Recheck) -> None:
        """When Xero is read again for stopped orders."""
        self.lane = replace(self.lane, recheck=recheck)

    def note_fault(self, fault: str) -> None:
        """Note something that was not expected and may be a bug of ours."""
        self.tally.faults.append(fault)

    def resume_by(self, at: datetime) -> None:
        """See to it that the lane is woken by then."""
        self._resume_by = min(at, self._resume_by or at)

    def note_waiting(self, until: datetime) -> None:
        """An order waits until then. The next turn may not see it in the index yet: so a last look follows."""
        self.resume_by(until)
        self._others = True

    # --- time and lease

    def tick(self) -> datetime:
        self.now = self.adapters.now()
        return self.now

    def sleep(self, time: timedelta) -> None:
        self.adapters.sleep(time.total_seconds())
        self.tick()

    def _is_over(self, time: timedelta) -> bool:
        return self.now - self._began >= time

    @property
    def _may_take(self) -> timedelta:
        return self.adapters.waits.turn if self.long else self.adapters.waits.short_turn

    def check_time(self, at_most: timedelta) -> datetime:
        """The time now. Raises TurnEnds if the turn has taken longer than `at_most`."""
        now = self.tick()
        if self._is_over(at_most):
            raise TurnEnds(now)
        return now

    def keep(self) -> bool:
        """Renew the lease for another round. Whether the lane was rung. Clears `rung` before anything is read."""
        self.check_time(self._may_take)
        if self._just_taken:
            # that was done when the lane was taken
            self._just_taken = False
            return False
        return self._renew_lease()

    def _renew_lease(self) -> bool:
        lease = self.adapters.waits.lease
        rung_for = self.adapters.lanes.keep(self.lane, self.now, lease, self._budget.calls)
        self._lease_ends = self.now + lease
        self._note_rung(rung_for)
        return bool(rung_for)

    def _note_rung(self, rung_for: frozenset[str]) -> None:
        if rung_for:
            self.paused.clear()
        self.match_due = self.match_due or MATCH in rung_for
        self.look_again_at(rung_for - {OTHERS, MATCH})
        self._others = self._others or OTHERS in rung_for

    def _secure_lease(self) -> None:
        """Make sure that the lease outlasts the next call. Raises Lost if the lane is lost already."""
        now, waits = self.tick(), self.adapters.waits
        if now > self._lease_ends - 2 * waits.call_time_out and self._renew_lease():
            self._unread = True

    def release(self, resume_at: datetime | None, settle_next: Sequence[datetime]) -> None:
        """Release the lane, and plan its next turn if there is something to do."""
        adapters, now = self.adapters, self.tick()
        self._note_day_budget()
        ring(adapters.lanes, adapters.wake_ups, self.rung_elsewhere, now)
        self.rung_elsewhere = {}
        soon = [at for at in (*settle_next, *self.held.values(), self._resume_by) if at is not None]
        if self._others or (self.keys and not soon and resume_at is None):
            self.lane = replace(self.lane, look_at=now + adapters.waits.last_look)
        if self.lane.look_at > now:
            soon.append(self.lane.look_at)
        next_at = resume_at or min(soon, default=None)
        self.note_recheck(
            replace(self.lane.recheck, next_at=self.lane.recheck.planned(now, self.lane.opened_at))
        )
        # lanes with little to do must not wait for lanes with a backlog; what comes in does not wait for a later time
        too_much = self._too_much or self._is_over(adapters.waits.short_turn)
        backlog = resume_at is not None and too_much
        if not self._let_go(next_at, backlog=backlog, though_rung=resume_at is not None):
            # orders that came in meanwhile gather for a moment
            self._let_go(now + GATHER, backlog=backlog, though_rung=True)

    def _note_day_budget(self) -> None:
        """Keep what Xero said is left of the day's calls. What crosses the bound is told once."""
        left, before = self.tally.day_left, self.lane.day_left
        if left is None:
            return
        if left <= NEARLY_GONE and (before is None or before > NEARLY_GONE):
            self.tally.budgets_nearly_gone = max(1, len(self.tally.companies))
        self.lane = replace(self.lane, day_left=left, day_left_at=self.now)

    def _let_go(self, next_at: datetime | None, *, backlog: bool, though_rung: bool) -> bool:
        """Release the lane, and send its wake-up. False if it was rung meanwhile, unless `though_rung`."""
        adapters, waits = self.adapters, self.adapters.waits
        woken = next_at is not None and next_at - self.now <= LONGEST_DELAY
        row_due_at = next_at + waits.overdue if next_at and backlog and woken else next_at
        recheck_at = self.lane.recheck.next_at
        if recheck_at is not None and not backlog and self.lane.paused_until <= self.now:
            # The sweep wakes the lane for it: every turn until then would send a wake-up of its own.
            row_due_at = min(recheck_at, row_due_at or recheck_at)
        if not adapters.lanes.release(
            self.lane,
            next_at=row_due_at,
            calls=self._budget.calls,
            though_rung=though_rung,
            keys=self._rings_on(),
            backlog=backlog,
        ):
            return False
        if next_at is not None and woken:
            adapters.wake_ups.send(WakeUp(self.lane.key, backlog), delay=next_at - self.now)
        return True

    def let_go(self) -> None:
        """Let the lane go as it is, after a fault of ours: the sweep has it taken again. No call may be out."""
        again_at = self.tick() + self.adapters.waits.settle_again
        self.adapters.lanes.release(
            self.lane,
            next_at=again_at,
            calls=self._budget.calls,
            though_rung=True,
            keys={*self._rings_on(), OTHERS},
        )

    def _rings_on(self) -> set[str]:
        """What the next turn is rung for by this one."""
        return self.keys | ({MATCH} if self.match_due else set())

    def pause_ends(self) -> datetime | None:
        """When the lane's pause ends; None if it is over, which also clears it."""
        if self.lane.paused_until > self._began:
            return self.lane.paused_until
        self.lane = replace(self.lane, pause="")
        return None

    def _pause(self, reason: str, until: datetime) -> TurnEnds:
        if not self.lane.pause or until > self.lane.paused_until:
            self.lane = replace(self.lane, pause=reason, paused_until=until)
        return TurnEnds(until)

    def ring_elsewhere(self, lane: str, key: str) -> None:
        """Ring another lane before an order becomes due there, and again after.

        The first ring makes that lane take a last look later, so a crash of this process loses nothing.
        """
        if lane not in self.rung_elsewhere:
            ring(self.adapters.lanes, self.adapters.wake_ups, {lane: ()}, self.now)
        self.rung_elsewhere.setdefault(lane, []).append(key)

    # --- the lane's companies

    def books(self, company: str) -> Books:
        try:
            books = books_to_post(self.adapters.settings, self.adapters.connections, company)
        except UnknownKind:
            self.held[company] = self.now + self.adapters.waits.organisation_offline
            raise
        if books is None:
            raise LookupError(f"company {company} has orders but no settings")
        self.tally.companies.add(company)
        return books

    def is_here(self, books: Books) -> bool:
        return books.open and books.connection is not None and books.connection.lane == self.lane.key

    def access(self, books: Books) -> Access:
        company = books.company
        self._connected_at[company] = books.connection.connected_at if books.connection else None
        try:
            tokens = self.adapters.tokens.read(company)
        except StoreUnavailable as error:
            self.note_fault(f"the tokens of company {company}: {error}")
            self._fail(company, self.adapters.waits.settle_again)
            raise CompanyHeld from error
        if tokens is None or tokens.expires_at - self.now < TOKEN_TO_SPARE:
            self.adapters.renew_token(company, None)
            self.held[company] = self.now + self.adapters.waits.token
            raise CompanyHeld
        if tokens.generation == self._refused_first(company):
            self._renew_refused(company, tokens.generation)
            raise CompanyHeld
        self._generation[company] = tokens.generation
        return Access(self.lane.organisation_id, tokens.access_token)

    def _refused_first(self, company: str) -> int | None:
        """The generation of the company's token that Xero first refused as expired, since it last took one."""
        failing = self.lane.failing.get(company)
        return failing.refused if failing else None

    def _renew_refused(self, company: str, generation: int) -> None:
        """Xero refused the company's token as expired, whatever is known of when it ends: its orders wait."""
        self.adapters.renew_token(company, generation)
        self._fail(company, self.adapters.waits.token)
        failing = replace(self.lane.failing[company], refused=generation)
        self.lane = replace(self.lane, failing={**self.lane.failing, company: failing})

    # --- calls

    def _count_out(self) -> int:
        self._out = {call for call in self._out if not call.done()}
        return len(self._out)

    @property
    def has_place(self) -> bool:
        """Whether fewer calls are out than may be at the same time."""
        return self._budget.places(self._count_out()) > 0

    def _allowed(self) -> int:
        """How many calls may start now."""
        return self._budget.allowed(self.now, self._count_out())

    @property
    def calls_to_spare(self) -> bool:
        """Whether half of the minute's calls, or more, are left: what is not urgent takes no others."""
        return self._budget.free_at(self.now) <= self.now and 2 * len(self._budget.calls) < CALLS_A_MINUTE

    def await_budget(self) -> None:
        """Wait until a call may start. Raises TurnEnds if that takes too long."""
        now = self.check_time(self._may_take)
        while not self._allowed():
            free_at = self._budget.free_at(now)
            if free_at <= now:
                self.await_first(self._out)
                now = self.check_time(self._may_take)
                continue
            if free_at - now > SHORT_WAIT or free_at - self._began > self.adapters.waits.turn:
                raise TurnEnds(free_at - AHEAD)
            self.sleep(free_at - now)
            now = self.now

    def call(self, company: str, call: Callable[[Observe], T]) -> T:
        """One call that creates no document. Raises CompanyHeld or TurnEnds if it fails."""
        [(_, answer)] = self.each_answer(company, [call])
        if isinstance(answer, XeroError):
            self.handle_failure(company, answer)
            raise CompanyHeld from answer
        return answer

    def each_answer(
        self,
        company: str,
        calls: Sequence[Callable[[Observe], T]],
        *,
        reads: bool = False,
        or_unreadable: bool = False,
    ) -> Iterator[tuple[int, T | CallRefused | Unreadable]]:
        """The place of each call and its answer, as they come. That Xero refuses what a call holds is its answer, too.

        As many calls go out at the same time as may. Where one fails, the answers to the others are given first; then
        this raises CompanyHeld or TurnEnds. One of several `reads` that fails for the first time is repeated once, so
        that the others need not be. `or_unreadable`: what is not Xero's is given as an answer, too.
        """
        left = list(enumerate(calls))
        repeats = reads and len(calls) > 1 and not self.tries_in_vain(company)
        may_repeat = set(range(len(calls))) if repeats else set()
        while left:
            self.await_budget()
            self._secure_lease()
            allowed = self._allowed()
            now_possible, left = left[:allowed], left[allowed:]
            failed: Exception | None = None
            started = [self._start(call) for _, call in now_possible]
            self._await_all(started)
            answers = [call.result() for call in started]
            for (place, call), answer in zip(now_possible, answers, strict=True):
                if not isinstance(answer, Exception) or isinstance(answer, CallRefused):
                    self.note_token_taken(company)
                    yield place, answer
                elif isinstance(answer, Unreadable) and or_unreadable:
                    yield place, answer
                elif place in may_repeat and type(answer) in (OutcomeUnknown, Unreadable):
                    may_repeat.remove(place)
                    left.append((place, call))
                else:
                    failed = failed or answer
            if isinstance(failed, XeroError):
                self.handle_failure(company, failed)
                raise CompanyHeld from failed
            if failed is not None:
                raise failed

    def start(self, call: Callable[[Observe], T]) -> Future[T | Exception]:
        """Start a call that the budget allows. It gives its answer, or its error, within the lease."""
        self._secure_lease()
        return self._start(call)

    def _start(self, call: Callable[[Observe], T]) -> Future[T | Exception]:
        self._budget.spend(self.now)
        self.tally.calls += 1
        started = self.adapters.start(self._answering(call))
        self._out.add(started)
        return started

    def await_first(self, calls: Collection[Future[Any]]) -> None:
        """Wait until one of the calls, or more, is done."""
        self.adapters.await_first(calls)
        self.tick()

    def _await_all(self, calls: Iterable[Future[Any]]) -> None:
        while out := [call for call in calls if not call.done()]:
            self.await_first(out)

    @contextmanager
    def calls_awaited(self) -> Iterator[None]:
        """No call is out any more when an exception leaves the block."""
        try:
            yield
        except Exception:
            self._await_all(self._out)
            raise

    def _observe(self, limits: Limits) -> None:
        self._budget.observe(limits, self.adapters.now())
        if limits.day is not None:
            self.tally.day_left = limits.day

    def _answering(self, call: Callable[[Observe], T]) -> Callable[[], T | Exception]:
        """The call as a function that returns its error instead of raising it."""

        def answering() -> T | Exception:
            try:
                return call(self._observe)
            except Exception as error:  # noqa: BLE001 raised where it is read: the other calls have answers, too
                return error

        return answering

    # --- calls that fail

    def note_answer(self, company: str, *, created: bool) -> None:
        """Xero has answered for the company, and perhaps `created` documents: reset the counts of failures."""
        created_at = self.now if created else self.lane.created_at
        self.lane = replace(
            self.lane, failed_turns=0, failing=self._failing_but(company), created_at=created_at
        )

    def _failing_but(self, company: str) -> dict[str, Failing]:
        return {name: one for name, one in self.lane.failing.items() if name != company}

    def note_token_taken(self, company: str) -> None:
        """Xero took the company's token: one that it refuses from now on is the first."""
        failing = self.lane.failing.get(company)
        if failing is not None and failing.refused is not None:
            taken = {**self.lane.failing, company: replace(failing, refused=None)}
            self.lane = replace(self.lane, failing=taken)

    def tries_in_vain(self, company: str) -> int:
        """How many tries in a row for the company had no usable answer."""
        failing = self.lane.failing.get(company)
        return failing.times if failing else 0

    def _fail(self, company: str, first_wait: timedelta) -> None:
        """Note a failed attempt for the company. After many in a row, the attempts back off."""
        waits, known = self.adapters.waits, self.lane.failing.get(company)
        in_a_row = known is not None and self.now - known.until < waits.failing_at_most
        times = known.times + 1 if known and in_a_row else 1
        until = self.now + back_off(
            max(1, times - IN_TROUBLE), first_wait, waits.failing_at_most, self.adapters.chance
        )
        failing = Failing(times, until, self._refused_first(company))
        self.lane = replace(self.lane, failing={**self.lane.failing, company: failing})
        self.held[company] = until
        if times == IN_TROUBLE:
            self.note_fault(f"{times} attempts in a row failed for company {company}")

    def note_our_fault(self, company: str) -> bool:
        """A fault of ours holds the company up until it is tried again. Whether that was not the first try in a row."""
        self._fail(company, self.adapters.waits.settle_again)
        return self.lane.failing[company].times > 1

    def handle_failure(self, company: str, error: XeroError) -> None:
        """Make the company wait after a failed call, or the whole lane (raises TurnEnds)."""
        adapters, now, waits = self.adapters, self.now, self.adapters.waits
        if isinstance(error, Throttled):
            self.tally.throttled += 1
            if error.limit == "day":
                self.tally.day_left = 0
            defaults = {"concurrent": waits.concurrent, "minute": waits.minute, "app": waits.minute}
            wait = defaults.get(error.limit, timedelta(hours=1))
            if error.retry_after is not None:
                wait = timedelta(seconds=error.retry_after)
            wait += waits.concurrent * adapters.chance.random()
            raise self._pause("day_limit" if error.limit == "day" else "minute_limit", now + wait)
        if isinstance(error, Offline):
            self.lane = replace(self.lane, failed_turns=self.lane.failed_turns + 1)
            wait = back_off(self.lane.failed_turns, waits.offline, waits.offline_at_most, adapters.chance)
            if error.organisation_only:
                raise self._pause("organisation_offline", now + waits.organisation_offline)
            raise self._pause("xero_offline", now + wait)
        if isinstance(error, TokenExpired):
            generation, refused_first = self._generation.get(company, 0), self._refused_first(company)
            if refused_first is None:
                self._renew_refused(company, generation)
            elif generation > refused_first:
                # a newer token does not help either
                self._lose(company, AccessRefused("token", str(error)))
        elif isinstance(error, AccessRefused):
            self._lose(company, error)
        elif isinstance(error, OutcomeUnknown):
            self.count(unknown=1)
            self._fail(company, waits.settle_again)
        else:
            self.note_fault(str(error))
            self._fail(company, waits.settle_again)

    def _lose(self, company: str, error: AccessRefused) -> None:
        """The company can't post until a person acts: its orders wait, and an event is published once."""
        self.held[company] = None
        self.lane = replace(self.lane, failing=self._failing_but(company))
        connection = self.adapters.connections.connection(company)
        if connection is None or connection.lane != self.lane.key:
            return
        if connection.connected_at != self._connected_at.get(company):
            # a person has connected again since; the refusal was for the connection before
            self.held.pop(company)
            self._unread = True
            return
        status: ConnectionStatus = "cut_off" if error.kind == "organisation" else "needs_reconnect"
        if connection.status == "connected":
            # published first, because after a crash in between nobody else would publish it
            event = connection_lost(company, connection.organisation_id, status, self.now)
            self.adapters.events.put([event])
            self.adapters.connections.lose_connection(connection, status, self.now)
            self.tally.lost += 1
        # the next round finds the connection lost, and the due orders become `waiting`
        self.held.pop(company)
        self._unread = True

"""Virtual time for many processes in one: one of them runs at a time, and time moves when all of them wait.

A process is a thread that holds the baton until it sleeps. What runs next is told by the moments slept until, and by
the order in which they were asked for; so the same seed gives the same run.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any


class Killed(BaseException):
    """The process dies here, as from `kill -9`: nothing may catch it."""


@dataclass
class Worker:
    """A function at work: a process and those it started, which die together."""

    name: str
    ends_at: datetime
    """When its time-out kills it."""
    dead: bool = False


def _taken() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False)
class _Process:
    job: Callable[[], None]
    worker: Worker | None
    baton: threading.Lock = field(default_factory=_taken)


class Scheduler:
    """Owns the time. Also the simulated Xero's clock."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
        self._until = self._now
        self._agenda: list[tuple[datetime, int, _Process | Callable[[], None]]] = []
        self._order = itertools.count()
        self._hub = _taken()
        self._current: _Process | None = None
        self._closed = False
        self.failed: BaseException | None = None

    # time

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._wait_until(self._now + timedelta(seconds=max(0.0, seconds)))

    def advance(self, seconds: float) -> None:
        """Move time on where nothing is at work."""
        assert self._current is None
        self.run(self._now + timedelta(seconds=seconds))

    def _wait_until(self, moment: datetime) -> None:
        process = self._current
        if process is None:
            raise AssertionError("only a process sleeps")
        if moment <= self._until and (not self._agenda or self._agenda[0][0] > moment):
            self._now = moment
            return
        heapq.heappush(self._agenda, (moment, next(self._order), process))
        self._park(process)

    def _park(self, process: _Process) -> None:
        self._hub.release()
        process.baton.acquire()
        if self._closed:
            raise Killed

    # processes

    @property
    def worker(self) -> Worker | None:
        """Whose process is running; None: the environment itself."""
        return self._current.worker if self._current else None

    def at(self, moment: datetime, job: Callable[[], None]) -> None:
        """Have the environment do something then. It must not sleep."""
        heapq.heappush(self._agenda, (max(moment, self._now), next(self._order), job))

    def start(self, job: Callable[[], None], worker: Worker | None = None) -> None:
        """Begin a process now."""
        heapq.heappush(self._agenda, (self._now, next(self._order), _Process(job, worker)))

    def call(self, job: Callable[[], Any]) -> Future[Any]:
        """Start a call beside the running process, as a thread of its worker."""
        started: Future[Any] = Future()

        def run() -> None:
            try:
                started.set_result(job())
            except BaseException as error:  # noqa: BLE001 raised for whoever asks for the result
                started.set_exception(error)

        assert self._current is not None
        self.start(run, self._current.worker)
        return started

    def await_first(self, calls: Collection[Future[Any]]) -> None:
        """Let the running process wait until one of the calls is done."""
        waiting = self._current
        assert waiting is not None
        woken = False

        def wake(_: Future[Any]) -> None:
            nonlocal woken
            if not woken:
                woken = True
                heapq.heappush(self._agenda, (self._now, next(self._order), waiting))

        if any(call.done() for call in calls):
            return
        for call in calls:
            call.add_done_callback(wake)
        self._park(waiting)
        if any(call.done() and isinstance(call.exception(), Killed) for call in calls):
            raise Killed

    # the loop

    @property
    def next_at(self) -> datetime | None:
        return self._agenda[0][0] if self._agenda else None

    def run(self, until: datetime) -> None:
        """Let everything happen that is to happen until then."""
        self._until = until
        while self._agenda and self._agenda[0][0] <= until:
            moment, _, what = heapq.heappop(self._agenda)
            self._now = max(self._now, moment)
            if isinstance(what, _Process):
                self._resume(what)
            else:
                what()
            if self.failed is not None:
                raise self.failed
        self._now = max(self._now, until)

    def _resume(self, process: _Process) -> None:
        self._current = process
        if process.job is _RUNNING:
            process.baton.release()
        else:
            thread = _idle.popleft() if _idle else _Thread()
            job, process.job = process.job, _RUNNING
            thread.begin(self, job)
        self._hub.acquire()
        self._current = None

    def ended(self, failed: BaseException | None) -> None:
        self.failed = self.failed or failed
        self._hub.release()

    def close(self) -> None:
        """End every process where it waits."""
        self._closed = True
        while self._agenda:
            what = heapq.heappop(self._agenda)[2]
            if isinstance(what, _Process) and what.job is _RUNNING:
                self._resume(what)


def _RUNNING() -> None:  # noqa: N802
    """The job of a process that has begun."""


class _Thread:
    """A thread that does one process after the other."""

    def __init__(self) -> None:
        self._baton = _taken()
        self._next: tuple[Scheduler, Callable[[], None]] | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def begin(self, scheduler: Scheduler, job: Callable[[], None]) -> None:
        self._next = scheduler, job
        self._baton.release()

    def _run(self) -> None:
        while True:
            self._baton.acquire()
            assert self._next is not None
            scheduler, job = self._next
            failed: BaseException | None = None
            try:
                job()
            except Killed:
                pass
            except BaseException as error:  # noqa: BLE001 raised where the scheduler runs
                failed = error
            self._next = None
            _idle.append(self)
            scheduler.ended(failed)
            del scheduler, job, failed


_idle: deque[_Thread] = deque()
# threads don't come along into a forked process
os.register_at_fork(after_in_child=_idle.clear)

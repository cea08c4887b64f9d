"""Weakened copies of posting and pacing. A storm must catch each: what it ends in is not 0/0/0/0, or limits are met.

Where other defences would hide what was taken away, they are off as well (`Trial.off`); the same storm over the real
code with only those off must end well, so that it is the mutant that is caught.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

from bookkeeping.adapters.tables.dynamodb import read
from bookkeeping.adapters.tables.lanes import Batch, Lane, Lanes
from bookkeeping.adapters.tables.orders import OrdersTable
from bookkeeping.adapters.xero_api import Xero
from bookkeeping.adapters.xero_refusals import error_for as real_error_for
from bookkeeping.domain import ledger
from bookkeeping.domain.errors import CallRefused, Throttled, XeroError
from bookkeeping.domain.ledger import Entry
from bookkeeping.domain.pacing import Budget, Limits, Waits
from bookkeeping.use_cases.posting.lane_holder import LaneHolder
from bookkeeping.use_cases.posting.settlement import Settlement
from bookkeeping.use_cases.posting.turn import Turn
from tests.storms.auditor import Report
from tests.storms.environment import Environment, Weather, _Message
from tests.storms.posting import Storm, bytes_a_call, run
from tests.storms.scheduler import Killed
from tests.storms.table import Job, Outcome

Change = Callable[[], AbstractContextManager[None]]


# --- other defences, to be switched off


@contextmanager
def numbers_taken_twice() -> Iterator[None]:
    """Xero lets two documents have one number."""
    with (
        patch("local.xero.invoices.holders", lambda *_: []),
        patch("local.xero.purchase_orders.holders", lambda *_: []),
    ):
        yield


@contextmanager
def no_last_look() -> Iterator[None]:
    """Nobody looks again a moment later."""
    real = LaneHolder.release

    def release(hold: LaneHolder, resume_at: datetime | None, settle_next: Sequence[datetime]) -> None:
        hold._others = False
        real(hold, resume_at, settle_next)

    with patch.object(LaneHolder, "release", release):
        yield


@contextmanager
def a_new_key_each_time() -> Iterator[None]:
    """A call that is repeated is another one to Xero."""
    real = Settlement._resend

    def resend(settlement: Settlement, batch: Batch, stack: Any) -> None:
        real(settlement, replace(batch, idempotency_key=settlement._holder.adapters.new_id()), stack)

    with patch.object(Settlement, "_resend", resend):
        yield


@contextmanager
def headers_unread() -> Iterator[None]:
    with patch.object(Limits, "from_headers", lambda _: Limits(None, None)):
        yield


# --- mutants of intake and posting


@contextmanager
def post_instead_of_put() -> Iterator[None]:
    """Who writes under a number that is taken writes over what is there."""
    real = Xero._call

    def call(xero: Xero, method: str, *about: Any, **more: Any) -> Any:
        return real(xero, "POST" if method == "PUT" else method, *about, **more)

    with patch.object(Xero, "_call", call):
        yield


@contextmanager
def acknowledged_before_the_row() -> Iterator[None]:
    real = Environment._intake

    def taken(environment: Environment, messages: list[_Message]) -> list[str]:
        try:
            real(environment, messages)
        except (Exception, Killed):  # noqa: BLE001 the messages are gone already
            return []
        return []

    with patch.object(Environment, "_intake", taken):
        yield


@contextmanager
def no_batch_record() -> Iterator[None]:
    """Orders go out, and nobody knows of it until they are answered for."""
    real = OrdersTable.save_together

    def save(table: OrdersTable, entries: list[Entry], lane: Lane, *others: Any) -> list[Entry]:
        return list(entries) if others else real(table, entries, lane)

    with (
        patch.object(OrdersTable, "save_together", save),
        patch.object(ledger, "begin", lambda entry, *_, **__: entry),
        patch.object(Lanes, "update_batch", lambda *_: None),
        patch.object(Lanes, "delete_batch", lambda *_: None),
    ):
        yield


@contextmanager
def record_removed_early() -> Iterator[None]:
    """As soon as Xero has answered, before the outcomes are in the ledger."""
    real = Settlement._settle_answer

    def settle(settlement: Settlement, batch: Batch, stack: Any, answer: Any) -> None:
        hold = settlement._holder
        hold.adapters.lanes.delete_batch(batch)
        real(settlement, batch, stack, answer)

    with patch.object(Settlement, "_settle_answer", settle):
        yield


def _freed(number: Callable[[str], str]) -> Callable[[Settlement, Batch], None]:
    """A settling that counts what was never answered as never done."""

    def settle(settlement: Settlement, batch: Batch) -> None:
        books, now = settlement._holder.books(batch.company), settlement._holder.now
        entries = [ledger.settle_unsent(entry, books, now) for entry in settlement._frozen_by(batch)]
        freed = [replace(entry, number=number(entry.number)) for entry in entries]
        settlement._publisher.write_outcomes(batch, freed)
        settlement._finish(batch)

    return settle


@contextmanager
def no_reconcile() -> Iterator[None]:
    with patch.object(Settlement, "_settle", _freed(lambda number: number)):
        yield


@contextmanager
def new_number_on_retry() -> Iterator[None]:
    with patch.object(Settlement, "_settle", _freed(lambda number: f"{number}-R")):
        yield


@contextmanager
def key_reused_after_a_500() -> Iterator[None]:
    """The same key again and again: Xero repeats its 500, and one day has forgotten the key."""

    def settle(settlement: Settlement, batch: Batch, stack: Any, _: Any) -> None:
        settlement._resend(batch, stack)

    with patch.object(Settlement, "_settle_by_number", settle):
        yield


@contextmanager
def sent_again_while_out() -> Iterator[None]:
    """A batch whose call is out is taken for one that was never answered."""
    real = Settlement.settle_due

    def settle_due(settlement: Settlement) -> None:
        out, settlement._out = settlement._out, {}
        try:
            real(settlement)
        finally:
            settlement._out = out | settlement._out

    with patch.object(Settlement, "settle_due", settle_due):
        yield


@contextmanager
def released_with_calls_out() -> Iterator[None]:
    """A turn ends without the answers to what it has sent."""
    with patch.object(Settlement, "settle_all", lambda settlement: settlement._out.clear()):
        yield


@contextmanager
def lease_shorter_than_a_call() -> Iterator[None]:
    """Somebody else takes the lane while a call is under way."""
    take, keep = Lanes.take, Lanes.keep
    short = timedelta(seconds=1)

    def taken(lanes: Lanes, lane: str, now: datetime, _: timedelta, **kind: bool) -> Lane | None:
        return take(lanes, lane, now, short, **kind)

    def kept(lanes: Lanes, lane: Lane, now: datetime, _: timedelta, calls: Any) -> frozenset[str]:
        return keep(lanes, lane, now, short, calls)

    with patch.object(Lanes, "take", taken), patch.object(Lanes, "keep", kept):
        yield


@contextmanager
def no_fencing_token() -> Iterator[None]:
    """Whoever once held the lane writes on, whoever holds it now."""

    def unchecked(lane: Lane, table: str) -> Any:
        key = {"pk": f"lane#{lane.key}", "sk": "lane"}
        return {
            "ConditionCheck": {"TableName": table, "Key": key, "ConditionExpression": "attribute_exists(pk)"}
        }

    put, keep = OrdersTable._put, Lanes.keep

    def over(table: OrdersTable, entry: ledger.Entry, version: int) -> Any:
        """An entry is no longer compared with what was read either. A new one is: intake writes it unread."""
        whole = put(table, entry, version)
        return {"Item": whole["Item"]} if version else whole

    def kept(lanes: Lanes, lane: Lane, *about: Any) -> frozenset[str]:
        now = read(lanes._table, pk=f"lane#{lane.key}", sk="lane")
        return keep(lanes, replace(lane, fencing=int(now["fencing"]) if now else 0), *about)

    with ExitStack() as changes:
        changes.enter_context(patch.object(Lane, "held_in", unchecked))
        changes.enter_context(patch.object(Lanes, "keep", kept))
        changes.enter_context(patch.object(OrdersTable, "_put", over))
        yield


@contextmanager
def only_the_message_wakes() -> Iterator[None]:
    """The lane's row does not say when its next turn is due."""
    real = Lanes.release

    def release(lanes: Lanes, lane: Lane, *, next_at: datetime | None, **about: Any) -> bool:
        return real(lanes, lane, next_at=None, **about)

    with patch.object(Lanes, "release", release):
        yield


@contextmanager
def rung_cleared_after_the_read() -> Iterator[None]:
    """What comes in between the reading and the clearing is seen by nobody."""
    real = Turn._due

    def due(turn: Turn) -> Any:
        found, hold = real(turn), turn._holder
        hold.sleep(timedelta(seconds=3))
        hold.adapters.lanes.keep(hold.lane, hold.now, hold.adapters.waits.lease, [])
        return found

    with patch.object(Turn, "_due", due):
        yield


@contextmanager
def only_the_index_is_asked() -> Iterator[None]:
    """Nobody reads the very orders that a wake-up or an outcome is about."""
    real = Turn._due

    def due(turn: Turn) -> Any:
        turn._holder.keys = set()
        return real(turn)

    with patch.object(Turn, "_due", due):
        yield


@contextmanager
def html_400_taken_as_refused() -> Iterator[None]:
    """Whoever wrote a 400, Xero is taken to have refused what it was sent."""

    def error_for(status: int, headers: Any, text: bytes, *, read: bool) -> XeroError:
        if status == 400:
            return CallRefused(status, (text.decode("utf-8", "replace")[:200],))
        return real_error_for(status, headers, text, read=read)

    with patch("bookkeeping.adapters.xero_api.error_for", error_for):
        yield


# --- mutants of pacing


@contextmanager
def no_budget() -> Iterator[None]:
    with patch.object(Budget, "allowed", lambda *_: 4), patch.object(Budget, "free_at", lambda _, now: now):
        yield


@contextmanager
def calls_forgotten_between_turns() -> Iterator[None]:
    with patch.object(Budget, "resumed", lambda _: Budget()):
        yield


@contextmanager
def six_at_once() -> Iterator[None]:
    with patch("bookkeeping.domain.pacing.CALLS_AT_ONCE", 6):
        yield


@contextmanager
def windows_of_our_own() -> Iterator[None]:
    """The whole allowance, in minutes that begin when ours do."""

    def allowed(budget: Budget, now: datetime, out: int = 0) -> int:
        minute = now.timestamp() // 60
        return max(0, min(4 - out, 60 - sum(at.timestamp() // 60 == minute for at in budget.calls)))

    def free_at(budget: Budget, now: datetime) -> datetime:
        return now if allowed(budget, now) else now + timedelta(seconds=60 - now.timestamp() % 60)

    with patch.object(Budget, "allowed", allowed), patch.object(Budget, "free_at", free_at):
        yield


@contextmanager
def deaf_to_throttling() -> Iterator[None]:
    """The budget is wrong, and what Xero asks for is not heard."""
    real = Throttled.__init__

    def init(error: Throttled, limit: Any, _: float | None) -> None:
        real(error, limit, 0.1)

    with no_budget(), patch.object(Throttled, "__init__", init):
        yield


# --- trials


@dataclass(frozen=True)
class Trial:
    mutant: Change
    storm: Storm | Callable[[str], Report]
    """A storm, or what tells one from a seed."""
    off: tuple[Change, ...] = ()
    pacing: bool = False
    seed: int = 1
    """One that is known to catch it; others are tried if it no longer does."""

    @property
    def name(self) -> str:
        return self.mutant.__name__

    def run(self, seed: str, *, weakened: bool) -> Report:
        with ExitStack() as changes:
            for each in (*self.off, *([self.mutant] if weakened else [])):
                changes.enter_context(each())
            if self.pacing:
                # an order or two a call: the limits are met within minutes
                changes.enter_context(bytes_a_call(3_000))
            named = f"{seed} {self.name}"
            return (
                run(replace(self.storm, seed=named)) if isinstance(self.storm, Storm) else self.storm(named)
            )

    def ended_well(self, report: Report) -> bool:
        kept = report.limited <= report.calls / 100 and report.most_a_minute <= 60
        return report.clean and (kept or not self.pacing)


ENDS = Weather(crash=0.01, lag=10)
LOST = Weather(crash=0.004, reply_lost=0.25, lag=10)
ERRORS = Weather(error_after_commit=0.3, lag=10)
SLOW = Weather(slow_answer=0.4, doubled_message=0.3, lag=10)
PAUSES = Weather(pause=0.04, lag=10)
STALE = Weather(lag=10)
DELAYED = Weather(lost_delayed=1, lag=10)
BOXES = Weather(unreadable=0.1, lag=10)

FEW = Storm("", orders=60, companies=3, seconds=240, plain=True)
# a process may stand still for longer than its lease lasts, and yet end what it began
PAUSED = replace(FEW, weather=PAUSES, waits=Waits(lease=timedelta(seconds=35)))
PAIRS = Storm("", orders=80, companies=40, seconds=10, plain=True, workers=40)
STEADY = Storm("", orders=120, companies=3, seconds=900, plain=True)
BURST = Storm("", Weather(slow_answer=1, slow_seconds=2), orders=200, companies=1, seconds=5, plain=True)
MANY_CALLS = replace(BURST, orders=80, call_bytes=1)

TRIALS: tuple[Trial, ...] = (
    Trial(post_instead_of_put, replace(FEW, weather=Weather(lag=10), plain=False), seed=2),
    Trial(acknowledged_before_the_row, replace(FEW, weather=ENDS)),
    Trial(no_batch_record, replace(FEW, weather=LOST), (numbers_taken_twice,)),
    Trial(record_removed_early, replace(FEW, weather=ENDS), seed=5),
    Trial(no_reconcile, replace(FEW, weather=LOST), (numbers_taken_twice,)),
    Trial(new_number_on_retry, replace(FEW, weather=LOST)),
    Trial(key_reused_after_a_500, replace(FEW, weather=ERRORS), (numbers_taken_twice,)),
    Trial(html_400_taken_as_refused, replace(FEW, weather=BOXES)),
    Trial(
        lease_shorter_than_a_call,
        replace(FEW, weather=SLOW),
        (numbers_taken_twice, a_new_key_each_time, no_fencing_token),
    ),
    Trial(sent_again_while_out, MANY_CALLS, (numbers_taken_twice, a_new_key_each_time)),
    Trial(released_with_calls_out, MANY_CALLS, (numbers_taken_twice, a_new_key_each_time)),
    Trial(no_fencing_token, PAUSED, (numbers_taken_twice,)),
    Trial(only_the_message_wakes, replace(FEW, weather=DELAYED, seconds=60)),
    Trial(rung_cleared_after_the_read, PAIRS, (no_last_look,)),
    Trial(only_the_index_is_asked, replace(STEADY, weather=STALE), (no_last_look,)),
    Trial(no_budget, BURST, (headers_unread,), pacing=True),
    Trial(calls_forgotten_between_turns, BURST, (headers_unread,), pacing=True),
    Trial(six_at_once, BURST, pacing=True),
    Trial(windows_of_our_own, BURST, (headers_unread,), pacing=True),
    Trial(deaf_to_throttling, BURST, (headers_unread,), pacing=True),
)


def caught(trial: Trial, seeds: int) -> tuple[str, Report | None]:
    """The seed whose storm catches the mutant (empty: none of so many), and what the auditor found."""
    for seed in range(trial.seed, trial.seed + seeds):
        try:
            report = trial.run(f"{seed}", weakened=True)
        except Exception as error:  # noqa: BLE001 a mutant that falls over is caught as well
            return f"{seed} ({type(error).__name__})", None
        if not trial.ended_well(report):
            return f"{seed}", report
    return "", None


def tried(trial: Trial) -> Outcome:
    """Whether the mutant is caught, and the real code is not."""
    seed, _ = caught(trial, seeds=20)
    control = trial.run("1", weakened=False)
    bad = [] if seed else [f"mutant {trial.name}: not caught by 20 seeds"]
    if not trial.ended_well(control):
        bad.append(f"mutant {trial.name}: the real code ends badly as well: {control}")
    return Outcome(mutants=1, caught=int(bool(seed)), bad=bad)


def jobs(promise: str, *, pacing: bool) -> list[Job]:
    return [
        Job(promise, f"mutant {trial.name}", partial(tried, trial), 5)
        for trial in TRIALS
        if trial.pacing == pacing
    ]

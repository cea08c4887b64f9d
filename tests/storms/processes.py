"""The storm over real processes: the built functions under AWS's own runtime client, on real time, and `kill -9`.

The environment (`Storm`) kills the processes of intake, posting and refresh at random, has the queue deliver twice and
too early, loses wake-ups, switches Xero's faults on and lets access tokens run out. The workload is a stream of orders
of companies that post Untracked and Tracked. The auditor is `local.audit`, which reads the simulated Xero's truth log
and the ledger; whether a connection lives is asked of Xero.

`WHOLE_SYSTEM_SEED` repeats what is random here: kills, messages that come twice, Xero's faults.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

from local.companies import SimulatedXero
from local.samples import Sample
from local.system import LocalSystem
from tests.storms.table import Job, Outcome
from tests.whole_system import Site, bodies, keys_of, plain

INTAKE, POSTING, REFRESH = "OrderIntakeFunction", "OrderPostingFunction", "TokenRefreshFunction"
SCALE: Final = 0.15

Fault = tuple[str, float, dict[str, Any]]
"""Its kind, how likely it is, and what else the simulated Xero is told of it."""

OF_THE_BOOKS: Final[tuple[Fault, ...]] = (
    ("rate_limit_minute", 0.05, {"retry_after": 2}),
    ("rate_limit_concurrent", 0.01, {}),
    ("maintenance", 0.03, {}),
    ("reply_lost", 0.05, {}),
    ("cut_body", 0.02, {}),
    ("error_before_commit", 0.01, {}),
    ("error_after_commit", 0.02, {}),
    ("request_lost", 0.01, {}),
    # a call waits 30 s, scaled: committed after that
    ("slow_commit", 0.01, {"seconds": 5.5}),
    ("slow_commit", 0.01, {"seconds": 10}),
    # so that a kill often meets a call that is under way
    ("slow_answer", 0.3, {"seconds": 0.6}),
)
OF_THE_TOKENS: Final[tuple[Fault, ...]] = (
    ("rate_limit_minute", 0.03, {"retry_after": 2}),
    ("maintenance", 0.03, {}),
    ("reply_lost", 0.05, {}),
    ("cut_body", 0.02, {}),
    ("error_after_commit", 0.02, {}),
    ("request_lost", 0.02, {}),
    ("slow_commit", 0.02, {"seconds": 3}),
    ("slow_answer", 0.4, {"seconds": 0.6}),
)
LATEST: Final = 10.0
"""Seconds after which Xero carries no call out any more."""
HARMLESS: Final = ("slow_answer",)
TOKENS_LIVE: Final = 90
TOO_SHORT: Final = 60
"""Seconds: tokens that live no longer than this are renewed before anything is posted."""
SEEN_AGAIN_AFTER: Final = 5
"""Seconds after which the queue delivers a message again that intake has not acknowledged: often while it is at it."""
SLOW: Final = 10.0
"""Seconds after which a kill is content with any work done."""
AT_REST: Final = 90.0
"""Seconds without any function's work, longer than a lease that a killed process left behind: nothing is left to
kill. One function alone may rest for longer: nothing is posted as long as every renewal is killed."""
TWICE: Final = 0.1
"""Orders whose message is sent a second time."""


@dataclass(frozen=True)
class Course:
    """How much of it there is."""

    orders: int
    seconds: float
    """In which the orders are sent."""
    kills: Mapping[str, int]
    work: Mapping[str, int]
    """What a function has done at most when it is killed: calls that create in Xero, batches, renewals begun."""
    patience: float
    """Seconds until all must have come to rest."""


FULL: Final = Course(
    orders=2000,
    seconds=120,
    kills={POSTING: 20, INTAKE: 12, REFRESH: 6},
    work={POSTING: 12, INTAKE: 12, REFRESH: 2},
    patience=900,
)
COMPANIES: Final = tuple(str(501000 + place) for place in range(9))


def chosen_seed() -> int:
    return int(os.environ.get("WHOLE_SYSTEM_SEED", str(random.SystemRandom().randrange(10**6))))


def settle_in(site: Site, companies: Sequence[str]) -> None:
    """Connect the companies, every third of them Tracked, with access tokens that are no good any more."""
    with short_tokens(site.xero, TOO_SHORT):
        for place, company in enumerate(companies):
            site.company(company, process_method="tracked" if place % 3 == 2 else "untracked")


@contextmanager
def short_tokens(xero: SimulatedXero, live: int) -> Iterator[None]:
    """Tokens that run out soon, of the strictest provider."""
    xero.control("POST", "access-tokens", {"live": live})
    xero.control("POST", "provider-model", {"model": "family_revoked"})
    try:
        yield
    finally:
        xero.control("POST", "provider-model", {"model": "lenient_grace"})
        xero.control("POST", "access-tokens", {"live": 1800})


@dataclass
class Storm:
    """A storm over companies that `settle_in` has connected."""

    site: Site
    companies: Sequence[str]
    course: Course
    seed: int
    killed: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    """Work that was under way when its process was killed."""
    met: Counter[str] = field(default_factory=Counter)
    redriven: Counter[str] = field(default_factory=Counter)
    """Messages that were in the dead-letter queues of orders and wake-ups."""
    _killing: set[str] = field(default_factory=set)
    """Functions that are to be killed still."""
    _log_read: int = 0
    _puts_seen: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _gives_up_at: float = 0.0
    _worked_at: float = 0.0
    """When a function that is to be killed was last seen to have done something."""

    def run(self) -> Outcome:
        site, began = self.site, time.monotonic()
        self._gives_up_at = began + self.course.patience
        self._worked_at = began
        self._killing |= self.course.kills.keys()
        samples = self._samples()
        before = {function: self._broken(function) for function in (INTAKE, POSTING)}
        with short_tokens(site.xero, TOKENS_LIVE):
            since = site.xero.control("GET", "log")["next"]
            with self._raging():
                self._storm(samples)
            self._wait_until_quiet(samples)
            for function, count in before.items():
                self.cut[function] = self._broken(function) - count
            entries = site.xero.control("GET", "log", since=str(since))["entries"]
            dead = [company for company in self.companies if not self._lives(company)]
        return self._outcome(samples, entries, dead, time.monotonic() - began)

    def _storm(self, samples: Sequence[Sample]) -> None:
        with ThreadPoolExecutor() as pool:
            parts = [pool.submit(self._send, samples)]
            parts += [
                pool.submit(self._kill, function, times) for function, times in self.course.kills.items()
            ]
            meanwhile = pool.submit(self._lose_wake_ups)
            try:
                for part in parts:
                    part.result()
            finally:
                self._over.set()
            meanwhile.result()

    def _chance(self, what: str) -> random.Random:
        return random.Random(f"{self.seed} {what}")

    # --- workload

    def _samples(self) -> list[Sample]:
        return [
            plain(
                "under storm",
                self.site.order(company, place, 1 + place % 3),
                company,
                tracked=self.companies.index(company) % 3 == 2,
            )
            for place in range(self.course.orders)
            for company in [self.companies[place % len(self.companies)]]
        ]

    def _send(self, samples: Sequence[Sample]) -> None:
        """Every order some time, one in ten twice; the last ones little by little, for as long as there are kills."""
        chance, seconds = self._chance("orders"), self.course.seconds
        last = len(samples) // 10
        planned: list[tuple[float, str]] = []
        for sample in samples[last:]:
            at = chance.uniform(0, seconds * 0.95)
            planned.append((at, sample.bodies[0]))
            if chance.random() < TWICE:
                planned.append((chance.uniform(at, seconds), sample.bodies[0]))
                self.met["message sent twice"] += 1
        planned.sort()
        began = time.monotonic()
        while planned:
            now = time.monotonic() - began
            due = [body for at, body in planned if at <= now]
            del planned[: len(due)]
            self.site.send(due)
            time.sleep(0.4)
        kept_back = bodies(samples[:last])
        while self._killing:
            one, kept_back = kept_back[:1], kept_back[1:]
            self.site.send([*one, *bodies(chance.sample(samples[last:], 1))])
            self.met["message sent twice"] += 1
            time.sleep(0.4)
        self.site.send(kept_back)

    # --- environment

    @contextmanager
    def _raging(self) -> Iterator[None]:
        """Xero in bad weather, and a queue that delivers again too early."""
        sqs, queue = self.site.system.client("sqs"), self.site.system.outputs["orders_queue_url"]
        names = ["VisibilityTimeout"]
        usual = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": f"{SEEN_AGAIN_AFTER}"})
        for path, faults in (("/api.xro/", OF_THE_BOOKS), ("/connect/token", OF_THE_TOKENS)):
            for place, (kind, probability, more) in enumerate(faults):
                rule = {"kind": kind, "path_prefix": path, "probability": probability, **more}
                self.site.xero.control("POST", "faults", rule | {"seed": 100 * self.seed + place})
        try:
            yield
        finally:
            self.site.xero.control("DELETE", "faults")
            sqs.set_queue_attributes(QueueUrl=queue, Attributes=usual)

    def _kill(self, function: str, times: int) -> None:
        """Each time when it has done some work since: a process that is starting has nothing to lose."""
        chance, cut = self._chance(function), set[tuple[str, str]]()
        broken = self._broken(function)

        def cut_none() -> bool:
            return function != REFRESH and self._broken(function) == broken

        try:
            # and once more where all of them met it between two calls
            while self.killed[function] < times or cut_none():
                work = chance.randint(1, self.course.work[function])
                if not self._has_done(function, work, cut):
                    return
                time.sleep(chance.uniform(0, 0.7 if function != REFRESH else 0.3))
                killed = bool(self.site.system.kill(function))
                if function == REFRESH:
                    # a renewal is short: one that was over by then does not count
                    held = self._renewals() - cut
                    cut |= held
                    self.cut[REFRESH] = len(cut)
                    killed = bool(held)
                self.killed[function] += killed
        finally:
            self._killing.discard(function)

    def _has_done(self, function: str, work: int, cut: set[tuple[str, str]]) -> bool:
        """Wait until it has done so much, or less where it is slow; False where it has no more to do."""
        counted: Mapping[str, Callable[[], int]] = {
            POSTING: self._puts,
            INTAKE: self._batches,
            REFRESH: lambda: len(self._renewals() - cut),
        }
        done, seen = counted[function], 0
        before = 0 if function == REFRESH else done()
        began = time.monotonic()
        while (did := done() - before) < work:
            now = time.monotonic()
            if did > seen:
                seen, self._worked_at = did, now
            if did and now - began > SLOW:
                break
            if now - self._worked_at > AT_REST or now > self._gives_up_at:
                return False
            time.sleep(0.1)
        self._worked_at = time.monotonic()
        return True

    def _puts(self) -> int:
        """Calls so far that were to create something in Xero."""
        answer = self.site.xero.control("GET", "log", since=str(self._log_read))
        self._log_read = answer["next"]
        self._puts_seen += sum(entry["method"] == "PUT" for entry in answer["entries"])
        return self._puts_seen

    def _batches(self) -> int:
        """Batches that intake has taken in so far."""
        log = self.site.system.log(INTAKE)
        return log.read_text().count('"OrdersAccepted":[') if log.exists() else 0

    def _renewals(self) -> set[tuple[str, str]]:
        """The renewals that somebody holds, or held when he was killed."""
        table = self.site.system.outputs["connections_table"]
        keys = [{"pk": {"S": f"connection#{company}"}, "sk": {"S": "renewal"}} for company in self.companies]
        answer = self.site.system.client("dynamodb").batch_get_item(
            RequestItems={table: {"Keys": keys, "ConsistentRead": True}}
        )
        rows = answer["Responses"][table]
        return {(row["pk"]["S"], row["fencing"]["N"]) for row in rows if "lease_until" in row}

    def _lose_wake_ups(self) -> None:
        sqs, queue = self.site.system.client("sqs"), self.site.system.outputs["posting_queue_url"]
        chance = self._chance("wake-ups")
        while not self._over.wait(chance.uniform(1, 6)):
            for message in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", ()):
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                self.met["wake-up lost"] += 1

    # --- the end

    def _wait_until_quiet(self, samples: Sequence[Sample]) -> None:
        """Until all is at rest and no call can be carried out any more; dead letters are sent again meanwhile."""
        left, began = keys_of(samples), time.monotonic()
        while time.monotonic() < self._gives_up_at:
            again = {"orders": self.site.redrive_orders(), "posting": self.site.redrive_wake_ups()}
            self.redriven.update(again)
            if again["orders"]:
                # what came to rest as our fault is on its way again
                left = keys_of(samples)
            if self.site.settled(left) and time.monotonic() - began > LATEST and not self._dead_letters():
                return
            time.sleep(0.5)

    def _dead_letters(self) -> int:
        return self.site.in_queue("orders_dead_letter_queue") + self.site.in_queue(
            "posting_dead_letter_queue"
        )

    def _lives(self, company: str) -> bool:
        """Whether the company's tokens can be renewed once more, and open its books."""
        before, until = self.site.tokens(company), time.monotonic() + self.course.patience / 4
        self.site.system.invoke(REFRESH, {"company": company})
        while (tokens := self.site.tokens(company))["generation"] == before["generation"]:
            if time.monotonic() > until:
                return False
            time.sleep(0.5)
            self.site.system.invoke(REFRESH, {"company": company})
        answer = requests.get(
            f"{self.site.xero.url}/api.xro/2.0/Organisation",
            headers={
                "Authorization": f"Bearer {tokens['access_token']}",
                "xero-tenant-id": self.site.companies[company].organisation_id,
                "Accept": "application/json",
            },
            timeout=30,
        )
        return answer.status_code == 200 and self.site.connection(company)["status"] == "connected"

    def _broken(self, function: str) -> int:
        """Calls of intake or posting that ended without an answer, as their triggers saw them."""
        orders = self.site.system.outputs["orders_queue_url"].rpartition("/")[2]
        log = (self.site.system.state / "logs" / "local.log").read_text()
        failed = [line for line in log.splitlines() if "a batch of" in line and "failed:" in line]
        return sum((f":{orders}:" in line) == (function == INTAKE) for line in failed)

    def _outcome(
        self,
        samples: Sequence[Sample],
        entries: Sequence[Mapping[str, Any]],
        dead: Sequence[str],
        took: float,
    ) -> Outcome:
        findings = self.site.audited(samples)
        faults = Counter(entry["fault"] for entry in entries if entry["fault"] not in (None, *HARMLESS))
        renewed = Counter(
            entry["client_id"]
            for entry in entries
            if entry["grant_type"] == "refresh_token" and entry["outcome"] == "granted"
        )
        expired = sum(entry["status"] == 401 for entry in entries)
        stale = [name for name in self.companies if not renewed[self.site.connection(name)["client_id"]]]
        bad = findings.all[:20]
        bad += [f"the connection of company {company} is dead" for company in dead]
        bad += [f"the tokens of company {company} were not renewed" for company in stale]
        if left := self._dead_letters():
            bad.append(f"{left} messages are in dead-letter queues still")
        for function, times in self.course.kills.items():
            if self.killed[function] < times * 3 / 4:
                bad.append(f"{function} was killed {self.killed[function]} times of {times}")
            if self.cut[function] < max(1, times // 5):
                bad.append(
                    f"{times} kills of {function} cut {self.cut[function]} calls short: it was at rest"
                )
        said = [
            f"seed {self.seed}",
            *(
                f"{self.killed[name]} kills of {name} cut {self.cut[name]} calls"
                for name in self.course.kills
            ),
            *(f"{count} × {what}" for what, count in (self.met + faults).items()),
            f"{self.redriven['orders']} orders and {self.redriven['posting']} wake-ups redriven",
            f"{sum(renewed.values())} renewals, {expired} calls with a token that had run out",
            f"{took:.0f} s",
        ]
        return Outcome(
            faults=sum(self.killed.values()) + sum(self.met.values()) + sum(faults.values()),
            lost=len(findings.lost),
            duplicated=len(findings.duplicated),
            unexpected=len(findings.unexpected),
            open=len(findings.still_open),
            bad=[f"WHOLE_SYSTEM_SEED={self.seed}: {each}" for each in bad],
            figures=Counter(orders=len(samples)),
            said=said,
        )


# --- promise P1


def full() -> Outcome:
    """A system of its own, in a storm."""
    with (
        tempfile.TemporaryDirectory(prefix="storm-") as state,
        LocalSystem(scale=SCALE, state=Path(state)) as system,
    ):
        site = Site(system, SimulatedXero(system.outputs["xero_url"]))
        system.wait_ready(within=300)
        site.wait_until_open()
        settle_in(site, COMPANIES)
        return Storm(site, COMPANIES, FULL, chosen_seed()).run()


def jobs(promise: str) -> list[Job]:
    return [Job(promise, f"real processes, {FULL.orders:,} orders", full, weight=300)]

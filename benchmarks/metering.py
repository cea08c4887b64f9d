"""The storms' world with meters: what each function asks of AWS, how long it is paid for, and how much it computes.

Time is the storms' virtual clock. Xero's answers take as long as `answer_seconds` says. The CPU time of our code is
measured on this machine; what the in-memory stores and the simulated Xero compute is left out. With `charge_cpu`, the
CPU time moves the virtual clock as far as it would on Lambda: a core of this machine is taken as 1,769 MB of memory.
"""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from benchmarks.boto3_work import seconds_of_boto3, values_in
from benchmarks.dynamodb_units import CountedDynamoDB
from local.expand import source
from local.xero.organisations import Organisation
from tests.storms.environment import Environment, table_properties
from tests.storms.scheduler import Scheduler, Worker

A_CORE: Final = 1769
"""MB of memory with which a Lambda function has one core to itself."""
SIGMA: Final = 0.6
READ, ONE_DOCUMENT, FIFTY_DOCUMENTS = 0.4, 0.6, 2.0
"""Medians of Xero's answer times in seconds."""
FUNCTIONS: Final = {
    "intake": "OrderIntakeFunction",
    "posting": "OrderPostingFunction",
    "backlog": "OrderPostingFunction",
    "sweep": "PostingSweepFunction",
}
"""The storms' workers, by the template's functions."""


def answer_seconds(chance: random.Random) -> Callable[[str, bytes], float]:
    """Lognormal answer times by what is asked; a call's documents are counted in its body."""

    def seconds(method: str, body: bytes) -> float:
        median = READ
        if method in ("PUT", "POST"):
            documents = max(1, body.count(b'"LineItems"') or body.count(b'"Code"'))
            median = ONE_DOCUMENT + (FIFTY_DOCUMENTS - ONE_DOCUMENT) * (documents - 1) / 49
        return chance.lognormvariate(math.log(median), SIGMA)

    return seconds


template = lru_cache(source)


@lru_cache
def memory_of(worker: str) -> int:
    """MB that the template gives the function behind a worker."""
    own = template()["Resources"][FUNCTIONS[worker]]["Properties"]
    return int(own.get("MemorySize", template()["Globals"]["Function"]["MemorySize"]))


@lru_cache
def intake_trigger() -> Mapping[str, Any]:
    """How the template has orders come to intake."""
    trigger: Mapping[str, Any] = template()["Resources"]["OrderIntakeFunction"]["Properties"]["Events"][
        "Orders"
    ]
    return trigger["Properties"]  # type: ignore[no-any-return]


@dataclass
class Used:
    """What a run used of AWS. The first part of each key is the function."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(function, call) → how often."""
    units: defaultdict[tuple[str, str, str], float] = field(default_factory=lambda: defaultdict(float))
    """(function, read or write, table or index) → units."""
    invocations: Counter[str] = field(default_factory=Counter)
    cpu: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds of this machine's core."""
    paid: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds for which a function is billed."""


def get_ready() -> None:
    """Read and measure once what every run needs, before runs begin in processes of their own."""
    intake_trigger()
    table_properties()
    seconds_of_boto3()


class MeteredScheduler(Scheduler):
    """Measures the CPU time of each worker, and what of its time is paid for."""

    charge_cpu = False

    def __init__(self, start: datetime | None = None) -> None:
        super().__init__(start)
        self.used = Used()
        self._here = threading.local()
        self._free_at: dict[int, datetime] = {}
        """By worker: when its core is free again. Its threads share one."""

    def start(self, job: Callable[[], None], worker: Worker | None = None) -> None:
        if worker is None or worker.name not in FUNCTIONS:
            super().start(job, worker)
            return
        main = id(worker) not in self._free_at
        if main:
            self._free_at[id(worker)] = self.now()
            self.used.invocations[worker.name] += 1

        def metered() -> None:
            began = self.now()
            self.resume()
            try:
                job()
                self.charge(worker)
            finally:
                if main:
                    del self._free_at[id(worker)]
                    self.used.paid[worker.name] += (self.now() - began).total_seconds()

        super().start(metered, worker)

    def resume(self) -> None:
        """From here on, what this thread computes is the worker's own."""
        self._here.cpu = time.thread_time()

    def owe(self, seconds: float) -> None:
        """The worker that runs has computed so much more than was measured."""
        if self.worker is not None and self.worker.name in FUNCTIONS:
            self._here.cpu -= seconds

    def charge(self, worker: Worker | None) -> None:
        """The worker's own computing ends here for now; it takes its time."""
        if worker is None or worker.name not in FUNCTIONS:
            return
        spent = time.thread_time() - self._here.cpu
        self.used.cpu[worker.name] += spent
        seconds = spent * max(1.0, A_CORE / memory_of(worker.name))
        if self.charge_cpu:
            free_at = max(self.now(), self._free_at.get(id(worker), self.now()))
            free_at += timedelta(seconds=seconds)
            self._free_at[id(worker)] = free_at
            self.sleep((free_at - self.now()).total_seconds())
        else:
            self.used.paid[worker.name] += seconds
        self.resume()


class CpuChargedScheduler(MeteredScheduler):
    charge_cpu = True


class MeteredEnvironment(Environment):
    """A calm world: nothing goes wrong but the share of Xero's replies that is dropped."""

    scheduler_class = MeteredScheduler
    store_class = CountedDynamoDB
    scheduler: MeteredScheduler

    def __init__(
        self, seed: object, *, workers: int = 2, dropped: float = 0.0, with_boto3: bool = False
    ) -> None:
        """`with_boto3`: its own computing is added to what is measured."""
        self._a_request, value_in, value_out = seconds_of_boto3() if with_boto3 else (0.0, 0.0, 0.0)
        trigger = intake_trigger()
        super().__init__(
            seed,
            intake_batch=trigger["BatchSize"],
            intake_workers=trigger["ScalingConfig"]["MaximumConcurrency"],
            workers=workers,
            travel=0.0,
        )
        assert isinstance(self.store, CountedDynamoDB)
        self.used = self.scheduler.used
        self.store.spend = self._spend
        if with_boto3:
            self.store.goes_in = lambda *values: self.scheduler.owe(value_in * values_in(values))
            self.store.comes_out = lambda *values: self.scheduler.owe(value_out * values_in(values))
        self.xero.identity.access_token_lives = timedelta(days=7)
        self._dropped = dropped

    def start_clock(self) -> None:
        """From here on Xero takes its time, and drops replies. What is set up before costs neither."""
        seed = self.chance.getrandbits(32)
        self.xero.answer_seconds = answer_seconds(random.Random(seed))
        if self._dropped:
            self.xero.faults.add(
                {"kind": "reply_lost", "path_prefix": "/api.xro/", "probability": self._dropped, "seed": seed}
            )

    def with_company(self, company: str, *, tracked: bool) -> Organisation:
        """A company connected to an organisation of its own."""
        organisation = self.organisation(f"Books of {company}", "AU" if tracked else "UK")
        settings: dict[str, Any] = {
            "sales_account_code": "200",
            "cogs_account_code": "310",
            "inventory_asset_account_code": "630",
            "shipping_account_code": "200",
            "contact_name": next(iter(organisation.contacts.values())).name,
            "process_method": "tracked" if tracked else "untracked",
        }
        if not tracked:
            settings["tax_types"] = [{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}]
        self.company(company, organisation, **settings)
        return organisation

    def access(self, company: str) -> str:
        """The company's access token."""
        return str(json.loads(self.secrets.values[f"kornitx-xero/{company}/tokens"])["access_token"])

    def finish(self, hours: float = 24) -> None:
        self.run(timedelta(hours=hours))

    def before(self, call: str, about: str) -> None:
        worker = self.scheduler.worker
        if worker is not None:
            if call != "xero":
                self.scheduler.owe(self._a_request)
            self.scheduler.charge(worker)
            self.used.requests[worker.name, call] += 1
        super().before(call, about)

    def after(self, call: str, about: str) -> None:
        super().after(call, about)
        self.scheduler.resume()

    def _spend(self, kind: str, where: str, units: float) -> None:
        worker = self.scheduler.worker
        if worker is not None:
            self.used.units[worker.name, kind, where] += units


class CpuChargedEnvironment(MeteredEnvironment):
    scheduler_class = CpuChargedScheduler

"""Runs of this project: one organisation in a burst or at a rhythm, many companies, and a sweep with much to wake."""

from __future__ import annotations

import gc
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from benchmarks.metering import CpuChargedEnvironment, MeteredEnvironment, memory_of
from benchmarks.prices import PRICE, dollars
from local.samples import TRACKED, UNTRACKED, Maker
from local.xero.organisations import Item, Organisation
from local.xero.truth_log import Entry
from tests.storms.scheduler import Worker

CEILING: Final = 57 * 50
"""Documents a minute: the calls that leave three for the settings page, times the documents Xero recommends a call."""
SKUS: Final = 300
COMPANY: Final = "412000"
AT_WORK: Final = ("intake", "posting", "backlog")
"""The workers whose doings grow with the orders; the sweep runs every minute whatever comes."""
POLLED: Final = 10
"""Messages that one receive or delete request of a queue's poller carries at most."""

Figures = dict[str, Any]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Garbage collections go over the whole simulated world: their time is none of a function's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# --- what is in the books


def created(entries: Sequence[Entry]) -> list[tuple[str, str, datetime]]:
    """(kind, number or reference, when) of every sales invoice and purchase order that was made."""
    return [
        (document["kind"], document["number"], entry.committed_at or entry.at)
        for entry in entries
        for document in entry.committed
        if document.get("action") == "created" and document["kind"] in ("ACCREC", "PURCHASEORDER")
    ]


def throughput(entries: Sequence[Entry], orders: int, documents_an_order: int = 1) -> Figures:
    """What Xero saw of a run: pace, calls, refusals for its limits."""
    first_put = next(entry.at for entry in entries if entry.method == "PUT")
    moments = sorted({(kind, number): at for kind, number, at in created(entries)}.values())
    wanted = orders * documents_an_order
    enough = moments[: math.ceil(wanted * 0.99)]
    minutes = (enough[-1] - first_put).total_seconds() / 60
    limited = sum(entry.limit is not None for entry in entries)
    return {
        "orders": orders,
        "orders a minute": len(enough) / documents_an_order / minutes,
        "share of the ceiling": len(enough) / CEILING / minutes,
        "calls": len(entries),
        "calls an order": len(entries) / orders,
        "share of 429": limited / len(entries),
    }


def lost_and_doubled(keys: Counter[Any], wanted: int) -> Figures:
    """`keys`: how many documents there are of each that should be there once."""
    return {"lost": wanted - len(keys), "doubled": sum(keys.values()) - len(keys)}


def in_books(organisation: Organisation) -> Counter[tuple[str, str]]:
    return Counter((document.kind, document.number) for document in organisation.documents.values())


# --- orders


def stock(organisation: Organisation, now: datetime, codes: Iterable[str]) -> None:
    """Tracked items that are there."""
    for place, code in enumerate(codes):
        organisation.items[code] = Item(
            id=f"00000000-0000-4000-8000-{place:012}",
            code=code,
            updated_at=now,
            name=code,
            sale_account="200",
            cogs_account="310",
            inventory_account="630",
            purchase_price=Decimal("8.20"),
            on_hand=Decimal(100_000),
        )


def order(make: Maker, place: int, company: str, *, tracked: bool) -> dict[str, Any]:
    """An order of one to three lines; a Tracked one names some of the 300 skus."""
    made = make.order(TRACKED if tracked else UNTRACKED, place, 1 + place % 3)
    made["company_ref_id"] = int(company)
    if tracked:
        for step, line in enumerate(made["items"]):
            line["sku"] = f"CAP-{(7 * place + step) % SKUS:03}"
    return made


# --- what it costs


def used_an_order(
    environment: MeteredEnvironment, orders: int, functions: Sequence[str] = AT_WORK
) -> Figures:
    """What AWS bills for an order, by the names of the price table, and the details behind it."""
    used = environment.used
    calls: Counter[str] = Counter()
    for (function, call), count in used.requests.items():
        if function in functions:
            calls[call] += count
    units: defaultdict[str, float] = defaultdict(float)
    for (function, kind, where), spent in used.units.items():
        if function in functions:
            units[f"{kind} {where}"] += spent
    invoked = sum(used.invocations[function] for function in functions)
    # the platform's own send, and a poller's receives and deletes: at least one of each an invocation
    polled = sum(
        max(used.invocations[function], math.ceil(messages / POLLED))
        for function, messages in (("intake", orders), ("posting", 0), ("backlog", 0))
        if function in functions
    )
    sent = sum(count for call, count in calls.items() if call.startswith("send_message"))
    billed = {
        "write units": sum(count for where, count in units.items() if where.startswith("write")),
        "read units": sum(count for where, count in units.items() if where.startswith("read")),
        "invocations": invoked,
        "GB seconds": sum(used.paid[function] * memory_of(function) / 1024 for function in functions),
        "SQS requests": orders + sent + 2 * polled,
        "events": len(environment.bus.events),
        "Secrets Manager requests": calls["get_secret_value"],
    }
    cpu = sum(used.cpu[function] for function in functions)
    # what a core computes in `cpu`, a function with less memory needs longer for
    computing = sum(used.cpu[f] * max(1.0, 1769 / memory_of(f)) for f in functions)
    paid = sum(used.paid[function] for function in functions)
    return {
        **{name: billed[name] / orders for name in PRICE},
        "dollars a million": dollars(billed) / orders * 1e6,
        "dollars a million by": {name: dollars(billed, [name]) / orders * 1e6 for name in PRICE},
        "CPU ms": cpu / orders * 1000,
        "Lambda ms computing": computing / orders * 1000,
        "Lambda ms waiting": (paid - computing) / orders * 1000,
        "AWS requests": {call: count / orders for call, count in calls.most_common() if call != "xero"},
        "units": {where: count / orders for where, count in sorted(units.items(), key=lambda one: -one[1])},
    }


# --- runs


@dataclass(frozen=True)
class Run:
    """Orders of one organisation: all at once, or `a_minute`."""

    orders: int
    tracked: bool = False
    dropped: float = 0.0
    charge_cpu: bool = False
    with_boto3: bool = False
    a_minute: float = 0.0
    seed: int = 1


def one_organisation(run: Run) -> Figures:
    environment_class = CpuChargedEnvironment if run.charge_cpu else MeteredEnvironment
    environment = environment_class(run.seed, dropped=run.dropped, with_boto3=run.with_boto3)
    organisation = environment.with_company(COMPANY, tracked=run.tracked)
    if run.tracked:
        stock(organisation, environment.now(), (f"CAP-{place:03}" for place in range(SKUS)))
    make, chance = Maker(), random.Random(run.seed)
    began, sent_at = environment.now(), 0.0
    for place in range(run.orders):
        body = json.dumps(order(make, place, COMPANY, tracked=run.tracked), ensure_ascii=False)
        environment.send(body, began + timedelta(seconds=sent_at))
        if run.a_minute:
            sent_at += chance.expovariate(run.a_minute / 60)
    environment.start_clock()
    try:
        with undisturbed():
            environment.finish()
        documents = 2 if run.tracked else 1
        return {
            **throughput(environment.xero.log.entries, run.orders, documents),
            **lost_and_doubled(in_books(organisation), run.orders * documents),
            "used": used_an_order(environment, run.orders),
            "faults of ours": len(environment.our_faults),
        }
    finally:
        environment.close()


def many_companies(companies: int, minutes: int, workers: int) -> Figures:
    """An order a minute of each company, at moments of its own: how long from the queue to the books."""
    environment = MeteredEnvironment(f"{companies} companies", workers=workers)
    make, chance = Maker(), random.Random(1)
    began = environment.now()
    sent: dict[str, datetime] = {}
    for number in range(companies):
        company = f"{412000 + number}"
        environment.with_company(company, tracked=False)
        first = chance.uniform(0, 60)
        for minute in range(minutes):
            made = order(make, number + minute, company, tracked=False)
            sent[f"KX-{made['id']}"] = at = began + timedelta(minutes=minute, seconds=first)
            environment.send(json.dumps(made, ensure_ascii=False), at)
    environment.start_clock()
    try:
        with undisturbed():
            environment.finish()
        booked = {number: at for _, number, at in created(environment.xero.log.entries)}
        waits = sorted(
            (booked[number] - at).total_seconds() for number, at in sent.items() if number in booked
        )
        return {
            "companies": companies,
            "minutes": minutes,
            "invocations at a time": workers,
            "p50": waits[len(waits) // 2],
            "p95": waits[int(len(waits) * 0.95)],
            "lost": len(sent) - len(waits),
            "used": used_an_order(environment, len(sent)),
        }
    finally:
        environment.close()


def sweep(due: int) -> Figures:
    """The calls to AWS of one sweep that finds so many lanes to wake."""
    environment = MeteredEnvironment("sweep")
    for number in range(due):
        environment.lanes.ring(f"APP{number:029}#{number}", environment.now())
    environment.scheduler.run(environment.now() + timedelta(minutes=10))
    environment.posting_queue.send = lambda *_, **__: None  # type: ignore[method-assign]
    environment._sweeping = True
    environment.scheduler.start(
        environment._sweep, Worker("sweep", environment.now() + timedelta(minutes=10))
    )
    environment.scheduler.run(environment.now() + timedelta(minutes=10))
    calls = {call: count for (_, call), count in environment.used.requests.items()}
    environment.close()
    return {
        "due lanes": due,
        "AWS calls": sum(calls.values()),
        "by call": calls,
        "used": used_an_order(environment, 1, ["sweep"]),
    }

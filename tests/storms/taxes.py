"""The storm over what an order is taxed at.

Books of six countries; senders that state rates and senders that don't; rows of “Tax rates” that have another
percentage; rates that somebody edits in Xero while orders come. Its auditor reckons net, tax for each rate and total
from each message, and holds the document in Xero against them. What differs has to be shown on the order.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any
from unittest.mock import patch

from bookkeeping.domain import documents
from bookkeeping.use_cases.posting import outcomes
from local.xero.organisations import Document, Organisation
from tests.storms import mutants
from tests.storms.auditor import IN_XERO, OPEN, Report
from tests.storms.environment import F1, Environment, Weather
from tests.storms.mutants import Trial
from tests.storms.posting import LAGGING, SEED, judged
from tests.storms.table import Job, Outcome
from tests.unit.priced_orders import AMERICAN, COMMONWEALTH, COUNTRIES, add_rates, order, percentages, rows
from tests.unit.reckoner import NoReading, Reckoned, reckon

SHOWN = frozenset({"posted_total_differs", "posted_tax_differs", "adopted_differs"})
MAY_STOP = SHOWN | {"several_rates_fit", "no_rate_fits", "no_tax_type", "tax_type_differs", "negative_total"}
Look = Callable[[Environment, Report], None]
Json = dict[str, Any]


@dataclass(frozen=True)
class Company:
    ref: str
    books: Organisation
    rates: tuple[Decimal, ...]
    """The percentages that sales have before anybody edits them."""
    percents: dict[str, Fraction]
    """Tax type → its percentage then."""
    misled: Decimal | None
    """The percentage for which a row has a tax type of another one."""
    edited: list[tuple[Decimal, Decimal]] = field(default_factory=list)
    """A percentage that was edited in Xero, and what it was for a while."""


def taxed(
    seed: str,
    weather: Weather = F1,
    orders: int = 1200,
    companies: int = 12,
    hours: float = 3,
    look: Look = lambda *_: None,
) -> Report:
    """Orders come for hours, and in half the books a rate is edited for a while."""
    environment, chance = Environment(f"taxes {seed}", weather), random.Random(f"taxes {seed}")
    sent: dict[str, tuple[Company, Json]] = {}
    try:
        chosen = [_company(environment, chance, number) for number in range(companies)]
        began = environment.now()
        for company in chosen[::2]:
            at = began + timedelta(hours=chance.uniform(0.2, 0.6) * hours)
            environment.scheduler.at(at, partial(_edit, environment, company, chance))
        for place in range(orders):
            company = chosen[place % companies]
            message = order(chance, company.rates, 70_000_000 + place) | {"company_ref_id": int(company.ref)}
            sent[str(message["id"])] = company, message
            at = began + timedelta(hours=chance.uniform(0, hours))
            environment.send(json.dumps(message), at)
        environment.faults_of_xero()
        environment.run(timedelta(hours=hours + 1))
        report = _audited(environment, sent)
        look(environment, report)
        return report
    finally:
        environment.close()


def _company(environment: Environment, chance: random.Random, number: int) -> Company:
    country = COUNTRIES[number % len(COUNTRIES)]
    books = environment.organisation(f"Books {number}", country)
    books.tie_rounding = chance.choice(("half_up", "half_even"))
    add_rates(books, chance, chance.choice((0, 0, 3)))
    ref, rates = f"{415000 + number}", percentages(books)
    settings: Json = (AMERICAN if country == "US" else COMMONWEALTH) | {
        "contact_name": next(iter(books.contacts.values())).name,
        "number_prefix": f"T{number}-",
        "tax_types": rows(books, chance),
        "line_amounts": chance.choice(("auto", "auto", "inclusive", "exclusive")),
    }
    misled = None
    others = [rate for rate in books.tax_rates.values() if rate.effective and "REVENUE" in rate.applies_to]
    if number % 4 == 3 and len({rate.effective for rate in others}) > 1:
        misled = chance.choice([rate for rate in rates if rate])
        other = next(rate for rate in others if rate.effective != misled)
        kept = [row for row in settings["tax_types"] if Decimal(row["rate"]) != misled]
        settings["tax_types"] = [*kept, {"rate": f"{misled:f}", "tax_type": other.tax_type}]
    environment.company(ref, books, **settings)
    percents = {rate.tax_type: Fraction(rate.effective) for rate in books.tax_rates.values()}
    return Company(ref, books, rates, percents, misled)


def _edit(environment: Environment, company: Company, chance: random.Random) -> None:
    """Somebody changes a percentage in Xero, and changes it back."""
    account = company.books.account("200") or company.books.account("4000")
    assert account is not None
    rate = company.books.tax_rates[account.tax_type]
    before, environment.met["rate edited"] = rate.effective, environment.met["rate edited"] + 1
    rate.effective = before + chance.choice((Decimal(1), Decimal("-0.5")))
    company.edited.append((before, rate.effective))
    back = environment.now() + timedelta(minutes=chance.uniform(5, 40))
    environment.scheduler.at(back, lambda: setattr(rate, "effective", before))


def _audited(environment: Environment, sent: dict[str, tuple[Company, Json]]) -> Report:
    report = Report(orders=len(sent))
    rows_by_id = {row["order_id"]: row for row in environment.store.tables["OrdersTable"].items.values()}
    told = {event["order_id"] for event in environment.bus.events if event["type"] == "OrderNeedsAttention"}
    made: dict[str, list[Document]] = defaultdict(list)
    for entry in environment.xero.log.entries:
        report.calls += entry.path.startswith("/api.xro/")
        if entry.fault:
            report.faults[entry.fault] += 1
        for done in entry.committed:
            if done["kind"] in IN_XERO:
                books = environment.xero.organisations[str(entry.tenant_id)]
                document = books.documents[str(done["id"])]
                made[document.number.rpartition("-")[2]].append(document)
    for order_id, (company, message) in sent.items():
        row = rows_by_id.get(order_id)
        if row is None:
            report.lost.append(f"{order_id} has no row")
            continue
        code = (row.get("problem") or {}).get("code", "")
        if row["state"] in OPEN:
            report.open.append(f"{order_id} is {row['state']}")
        elif row["state"] == "needs_attention" and code not in MAY_STOP:
            report.unexpected.append(f"{order_id} stopped for {code}")
        if row["state"] == "needs_attention" and order_id not in told:
            report.untold.append(order_id)
        if len(made[order_id]) > 1:
            report.duplicated.append(order_id)
        if bool(made[order_id]) != bool(row["documents"]):
            report.lost.append(f"{order_id}: {len(made[order_id])} documents, {row['state']} {code}")
        for document in made[order_id]:
            report.documents += 1
            wrong = _differs(environment, company, message, document)
            if wrong and code not in SHOWN:
                report.unexpected.append(f"{order_id} of {company.books.name}, {row['state']}: {wrong}")
            environment.met["difference shown"] += bool(wrong and code in SHOWN)
        environment.met[f"stopped for {code}"] += bool(code)
    return report


def _differs(environment: Environment, company: Company, message: Json, document: Document) -> str:
    """What a document has otherwise than the message, in words; nothing if it is right."""
    environment.met["compared"] += 1
    taxes = defaultdict[Fraction, Fraction](Fraction)
    for line in document.lines:
        taxes[company.percents[line.tax_type or "NONE"]] += Fraction(line.tax_amount)
    kept = {rate: tax for rate, tax in taxes.items() if tax}
    told = Reckoned(Fraction(document.sub_total), kept, Fraction(document.total))
    wanted = list(_readings(company, message))
    return "" if told in wanted else f"{told} and not {wanted}"


def _readings(company: Company, message: Json) -> Iterator[Reckoned]:
    """What the order comes to: under the rates there are, and under those there were for a while."""
    known = {Fraction(rate) for rate in company.rates}
    for rates in (known, *(known - {Fraction(was)} | {Fraction(became)} for was, became in company.edited)):
        with suppress(NoReading):
            yield reckon(message, rates)
    yield reckon(message, known, true=True)


# --- mutants


@contextmanager
def a_rounder_rate_in_its_place() -> Iterator[None]:
    """Of the rates in use that are as near as prices in cents can tell, the roundest is taken."""
    real = documents._rate

    def rate(basis: Any, sold: Any) -> Any:
        found, chosen = real(basis, sold)
        near = [one for one in basis.known_rates if abs(one - found) <= Decimal("0.25")]
        return min(
            near, default=found, key=lambda one: (-int(one.normalize().as_tuple().exponent), one)
        ), chosen

    with patch.object(documents, "_rate", rate):
        yield


@contextmanager
def rows_not_compared() -> Iterator[None]:
    """The row's tax type is taken, whatever its percentage."""

    def row_tax(basis: Any, _: Decimal, row: Any, __: Any) -> Any:
        percent = basis.organisation.tax_rate(row.tax_type).effective_rate
        return documents._Tax(row.tax_type, percent, documents.Chosen("tax_row", "tax_types", row))

    with patch.object(documents, "_row_tax", row_tax):
        yield


@contextmanager
def only_the_total_compared() -> Iterator[None]:
    """Of Xero's answer nothing but the total counts."""
    real = outcomes._difference

    def difference(*about: Any) -> Any:
        found = real(*about)
        return found if found is not None and found[0] == "total" else None

    with patch.object(outcomes, "_difference", difference):
        yield


SMALL = partial(taxed, weather=LAGGING, orders=240, companies=12, hours=1)
TRIALS = (
    Trial(a_rounder_rate_in_its_place, SMALL),
    Trial(rows_not_compared, SMALL),
    Trial(only_the_total_compared, SMALL),
)


# --- the promise, in full

AT_LEAST = {"rate edited": 6, "compared": 500, "difference shown": 3, "stopped for tax_type_differs": 10}


def tried(seed: str) -> Outcome:
    met: Counter[str] = Counter()
    report = taxed(seed, look=lambda environment, _: met.update(environment.met))
    outcome = judged(f"P15 taxed, seed {seed}", report, met)
    for what, at_least in AT_LEAST.items():
        outcome.figures[what] = met[what]
        if met[what] < at_least:
            outcome.bad.append(f"P15, seed {seed}: only {met[what]} of {what}")
    return outcome


def jobs(promise: str) -> list[Job]:
    seeds = range(2 * SEED - 1, 2 * SEED + 1)
    return [
        *(Job(promise, f"taxed, seed {seed}", partial(tried, f"{seed}"), 20) for seed in seeds),
        *(Job(promise, f"mutant {trial.name}", partial(mutants.tried, trial), 10) for trial in TRIALS),
    ]

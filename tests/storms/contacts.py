"""The storm over who the debtor is: contacts are renamed, merged, archived, created anew and swapped while orders come.

Its auditor keeps who bore the name at every moment, and holds each document in Xero against that.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.use_cases import xero_facts
from bookkeeping.use_cases.posting.company_turn import CompanyTurn
from local.xero.organisations import Contact, Organisation
from tests.storms import mutants
from tests.storms.auditor import IN_XERO, OPEN, Report
from tests.storms.environment import F1, Environment, Weather
from tests.storms.mutants import Trial
from tests.storms.posting import LAGGING, SEED, judged
from tests.storms.table import Job, Outcome
from tests.storms.workload import large

AN_HOUR = timedelta(hours=1)
CHANGES = ("renamed", "name given to another", "swapped", "merged", "archived", "archived and created anew")
SHOWN = frozenset({"posted_contact_differs", "adopted_differs"})
MAY_STOP = SHOWN | {"contact_not_found", "contact_archived"}
Look = Callable[[Environment, Report], None]


@dataclass
class Office:
    """Somebody who works in one organisation's contacts in Xero."""

    environment: Environment
    organisation: Organisation
    name: str
    """The one in the settings."""
    bearers: list[tuple[datetime, str]] = field(default_factory=list)
    """Who bears the name from each moment on: a contact's id; empty: nobody."""

    def __post_init__(self) -> None:
        self.bearers.append((self.environment.now(), next(iter(self.organisation.contacts))))

    @property
    def bearer(self) -> Contact | None:
        return self.organisation.contacts.get(self.bearers[-1][1])

    def change(self, what: str, chance: random.Random) -> None:
        bearer, environment = self.bearer, self.environment
        environment.met["contact changed"] += 1
        if bearer is None:
            return self._bears(self._new(self.name))
        other = f"Harbour {len(self.bearers)} Ltd"
        match what:
            case "renamed" | "name given to another" | "swapped":
                new = self._new(other) if what == "swapped" else None
                bearer.name = f"{other}, formerly another" if what != "swapped" else other
                if new is not None:
                    new.name = self.name
            case _:
                new, bearer.status = None, "ARCHIVED"
        self._bears(new)
        if what in ("name given to another", "archived and created anew"):
            self._bears(self._new(self.name))
        elif new is None:
            # the office finds out in time
            after = timedelta(minutes=chance.uniform(1, 90))
            environment.scheduler.at(environment.now() + after, partial(self._give_name_back))
        return None

    def _give_name_back(self) -> None:
        if self.bearer is None:
            self._bears(self._new(self.name))

    def _new(self, name: str) -> Contact:
        contact = Contact(self.environment.xero.new_id(), name, self.environment.now())
        self.organisation.contacts[contact.id] = contact
        return contact

    def _bears(self, contact: Contact | None) -> None:
        self.bearers.append((self.environment.now(), contact.id if contact else ""))

    def ceased(self, contact_id: str, at: datetime) -> datetime | None:
        """Since when the contact had not borne the name any more at that moment; None where it did."""
        before = [(since, bearer) for since, bearer in self.bearers if since <= at]
        if before[-1][1] == contact_id:
            return None
        ends = [end for (_, bearer), (end, _) in itertools.pairwise(before) if bearer == contact_id]
        return max(ends, default=self.bearers[0][0])


def contacts_change(
    seed: str,
    weather: Weather = F1,
    orders: int = 1500,
    companies: int = 12,
    hours: float = 6,
    look: Look = lambda *_: None,
) -> Report:
    """Orders come for hours, and every half an hour or so somebody changes the contact they are for."""
    environment = Environment(f"contacts {seed}", weather)
    chance = random.Random(f"contacts {seed}")
    try:
        work = large(environment, orders, companies, hours * 3600, chance, plain=True)
        organisations = {company.organisation_id for company in work.companies}
        offices = {
            id_: Office(environment, books, next(iter(books.contacts.values())).name)
            for id_ in sorted(organisations)
            for books in [environment.xero.organisations[id_]]
        }
        for office in offices.values():
            at = environment.now()
            for what in chance.sample(CHANGES, len(CHANGES)) * 2:
                at += timedelta(minutes=chance.choice((2, 20, 40, 100)) * chance.uniform(0.5, 1.5))
                environment.scheduler.at(at, partial(office.change, what, chance))
        environment.faults_of_xero()
        environment.run(timedelta(hours=hours + 4))
        report = _audited(environment, offices, list(work.sent))
        look(environment, report)
        return report
    finally:
        environment.close()


def _audited(environment: Environment, offices: dict[str, Office], order_ids: list[str]) -> Report:
    report = Report(orders=len(order_ids))
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    shown: set[str] = set()
    """Numbers of documents whose order says that they are for another contact."""
    for row in environment.store.tables["OrdersTable"].items.values():
        rows[row["company"], row["order_id"]] = row
        code = (row.get("problem") or {}).get("code", "")
        if row["state"] in OPEN:
            report.open.append(f"{row['key']} is {row['state']}")
        elif row["state"] == "needs_attention" and code not in MAY_STOP:
            report.unexpected.append(f"{row['key']} stopped for {code}")
        elif row["state"] == "posted" and not row["documents"]:
            report.lost.append(f"{row['key']} has no document")
        if code in SHOWN:
            shown.add(row["number"])
    seen = {order_id for _, order_id in rows}
    report.lost += [f"{order_id} has no row" for order_id in order_ids if order_id not in seen]
    told = {event["order_id"] for event in environment.bus.events if event["type"] == "OrderNeedsAttention"}
    report.untold += [
        f"{row['key']}"
        for (_, order_id), row in rows.items()
        if row["state"] == "needs_attention" and order_id not in told
    ]
    created: Counter[tuple[str, str, str]] = Counter()
    late: dict[tuple[str, datetime], set[int]] = defaultdict(set)
    for entry in environment.xero.log.entries:
        report.calls += entry.path.startswith("/api.xro/")
        if entry.fault:
            report.faults[entry.fault] += 1
        for done in entry.committed:
            if done["kind"] not in IN_XERO:
                continue
            office = offices[str(entry.tenant_id)]
            document = office.organisation.documents[str(done["id"])]
            created[office.organisation.id, done["kind"], document.number] += 1
            ceased = office.ceased(document.contact_id, entry.at)
            if ceased is None:
                continue
            environment.met["document for another contact"] += 1
            late[office.organisation.id, ceased].add(entry.seq)
            if entry.at - ceased > AN_HOUR:
                report.unexpected.append(
                    f"{document.number} is for a contact that was changed {entry.at - ceased} before"
                )
            elif document.number not in shown:
                report.unexpected.append(
                    f"{document.number} is for another contact, and its order does not say so"
                )
    report.documents = created.total()
    report.duplicated += [
        f"{number} was created {count} times" for (_, _, number), count in created.items() if count > 1
    ]
    report.unexpected += [
        f"{len(calls)} batches went to a contact that was changed at {ceased:%H:%M:%S}"
        for (_, ceased), calls in late.items()
        if len(calls) > 1
    ]
    return report


# --- mutants


@contextmanager
def contact_by_remembered_id() -> Iterator[None]:
    """A contact that was found once counts for ever, whatever it is called now."""
    with (
        patch.object(xero_facts, "CONTACT_KEPT", timedelta(days=365)),
        patch.object(CompanyTurn, "still_named", lambda *_: True),
    ):
        yield


@contextmanager
def names_in_answers_unread() -> Iterator[None]:
    with patch.object(CompanyTurn, "still_named", lambda *_: True):
        yield


@contextmanager
def another_name_forces_no_look_up() -> Iterator[None]:
    with patch.object(Organisations, "doubt_contact", lambda *_: None):
        yield


CALM_ENOUGH = partial(contacts_change, weather=LAGGING, orders=240, companies=4, hours=4)
TRIALS = (
    Trial(contact_by_remembered_id, CALM_ENOUGH),
    Trial(names_in_answers_unread, CALM_ENOUGH),
    Trial(another_name_forces_no_look_up, CALM_ENOUGH),
)


# --- the promise, in full


def tried(seed: str) -> Outcome:
    met: Counter[str] = Counter()
    report = contacts_change(seed, look=lambda environment, _: met.update(environment.met))
    outcome = judged(f"P21 contacts changed, seed {seed}", report, met)
    for what, at_least in (("contact changed", 80), ("document for another contact", 5)):
        outcome.figures[what] = met[what]
        if met[what] < at_least:
            outcome.bad.append(f"P21, seed {seed}: only {met[what]} of {what}")
    return outcome


def jobs(promise: str) -> list[Job]:
    seeds = range(4 * SEED - 3, 4 * SEED + 1)
    return [
        *(Job(promise, f"contacts changed, seed {seed}", partial(tried, f"{seed}"), 10) for seed in seeds),
        *(Job(promise, f"mutant {trial.name}", partial(mutants.tried, trial), 5) for trial in TRIALS),
    ]

"""The storms over corrections: orders are cancelled, in part or wholly, and refunded after they were posted.

People decide on the page, and edit, approve, pay, credit and delete in Xero, also in the very moment of our calls.

Each cancelled order leaves the books once, no edit that was made before the reading is overwritten, and each that falls
between the reading and the call is shown.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from bookkeeping.domain.corrections import Credited
from bookkeeping.domain.page_access import Person
from bookkeeping.domain.settings import Settings
from bookkeeping.use_cases.page import corrections
from local.xero.organisations import Document, Organisation
from local.xero.people import add_document, change_document
from tests.storms import environment
from tests.storms.auditor import Report
from tests.storms.corrections_auditor import (
    CANCELLED,
    DEAD,
    EDITED,
    LINE_CANCELLED,
    People,
    audit,
    problem_of,
)
from tests.storms.environment import Environment, Weather
from tests.storms.posting import SEED, fitting, judged, some_of
from tests.storms.table import Job, Outcome
from tests.storms.workload import Company, Sent, Workload

# a process that stands still sends what it was about to send whenever it goes on
F1 = replace(environment.F1, pause=0.0)
F2 = replace(environment.F2, pause=0.0)
LAGGING = Weather(lag=10)
BOOKS: tuple[dict[str, Any], ...] = (
    {"invoice_status": "AUTHORISED", "cancellations": "all"},
    {"invoice_status": "AUTHORISED", "purchase_order_status": "AUTHORISED"},
    {"cancellations": "drafts"},
    {"invoice_status": "AUTHORISED", "credit_note_status": "DRAFT", "cancellations": "all"},
    {"invoice_status": "AUTHORISED", "void_approved": True},
    {},
)
"""How companies keep their books, one after the other."""
LOOKS_EVERY = timedelta(minutes=7)
"""How often the office goes through what is left to do."""
LOOKS = 60
CALM_LOOKS = 9
"""How often it does so when the weather is calm again. Nothing then is left of what a person can do."""


@dataclass(frozen=True)
class Storm:
    """A run that can be had again."""

    seed: str
    weather: Weather = LAGGING
    orders: int = 0
    """0: one for each of the companies."""
    companies: int = 6
    seconds: float = 600
    perils: tuple[tuple[int, str], ...] = ()
    edits: float = 0.15
    """How likely a person edits a document in the moment of our call, or does something to it at another time."""
    stormy: timedelta = timedelta(hours=6)
    posted_first: bool = True
    """The weather begins when all orders are in the books."""

    def __str__(self) -> str:
        told = " ".join(f"{step}:{peril}" for step, peril in self.perils)
        return f"corrections, seed {self.seed}" + (f" perils {told}" if told else "")


@dataclass
class Office:
    """The people of all companies: on the page, and in Xero."""

    environment: Environment
    work: Workload
    chance: random.Random
    edits: float
    people: People = field(default_factory=People)
    tried: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._sent = {
            f"{company.ref}#{sent.order_id}": (company, sent)
            for sent in self.work.sent.values()
            for company in sent.companies
        }
        real = self.environment.before

        def before(call: str, about: str) -> None:
            if call == "xero":
                self._in_the_moment(about)
            real(call, about)

        self.environment.before = before  # type: ignore[method-assign]

    # --- in Xero

    def _in_the_moment(self, about: str) -> None:
        """A call of ours is about to go out: somebody edits the very document."""
        method, path = about.split()
        if self.chance.random() >= self.edits:
            return
        if method == "POST":
            self.edit(path.rpartition("/")[2])
        elif method == "PUT" and "/CreditNotes" in path:
            unpaid = [
                document
                for organisation in self.environment.xero.organisations.values()
                for document in organisation.documents.values()
                if document.kind == "ACCREC"
                and document.status == "AUTHORISED"
                and self._is_corrected(document)
            ]
            if unpaid:
                self.edit(self.chance.choice(unpaid).id)

    def _is_corrected(self, document: Document) -> bool:
        rows = self.environment.store.tables["OrdersTable"].items.values()
        return any(
            row["documents"].get("invoice", {}).get("id") == document.id and row.get("reason") == "correcting"
            for row in rows
        )

    def _find(self, document_id: str) -> tuple[Organisation, Document] | None:
        for organisation in self.environment.xero.organisations.values():
            if document_id in organisation.documents:
                return organisation, organisation.documents[document_id]
        return None

    def edit(self, document_id: str) -> None:
        """Somebody dates the document otherwise."""
        found = self._find(document_id)
        if found is None:
            return
        organisation, document = found
        day = document.dated_on - timedelta(days=1)
        reply = change_document(self.environment.xero, organisation, document, {"Date": day.isoformat()})
        if reply.status == 200:
            self.people.edits[document_id].append(self.environment.now())

    def _in_xero(self, document_id: str, **changes: Any) -> None:
        found = self._find(document_id)
        if found is None:
            return
        organisation, document = found
        reply = change_document(self.environment.xero, organisation, document, changes)
        if reply.status == 200:
            self.people.touched.add(document_id)

    def meddle(self, company: Company, sent: Sent) -> None:
        """Somebody does something to the order's invoice at some time."""
        organisation = self.environment.xero.organisations[company.organisation_id]
        number = f"{company.prefix}{sent.order_id}"
        invoice = next(organisation.numbered("ACCREC", number, same_case=True), None)
        if invoice is None or invoice.status in DEAD:
            return
        match self.chance.choice(("edit", "approve", "pay", "pay all", "delete", "credit")):
            case "edit":
                self.edit(invoice.id)
            case "approve":
                self._in_xero(invoice.id, Status="AUTHORISED")
            case "pay":
                self._in_xero(invoice.id, Pay="1.00")
            case "pay all":
                self._in_xero(invoice.id, Pay=str(invoice.outstanding))
            case "delete":
                self._in_xero(invoice.id, Status="DELETED" if invoice.status == "DRAFT" else "VOIDED")
                if self.chance.random() < 0.5:
                    self.press(f"{company.ref}#{sent.order_id}", "post_again")
            case _:
                self._credit(organisation, invoice)

    def _credit(self, organisation: Organisation, invoice: Document) -> None:
        given = {
            "Type": "ACCRECCREDIT",
            "Contact": {"ContactID": invoice.contact_id},
            "DueDate": invoice.dated_on.isoformat(),
            "CurrencyCode": invoice.currency,
            "Status": "AUTHORISED",
            "LineAmountTypes": "NoTax",
            "LineItems": [
                {"Description": "By hand", "Quantity": 1, "UnitAmount": Decimal(2), "AccountCode": "200"}
            ],
        }
        before = set(organisation.documents)
        if add_document(self.environment.xero, organisation, given).status == 200:
            [note] = set(organisation.documents) - before
            self._in_xero(note, Allocate={"Invoice": invoice.id})
            self.people.touched.add(invoice.id)

    # --- on the page

    def _row(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self.environment.store.tables["OrdersTable"].items.get((key,), {})
        return found

    def press(self, key: str, asked: corrections.Asked, *, again_after: Sequence[float] = ()) -> None:
        """A person presses a button, perhaps once more on the page that they still see."""
        company, order_id = key.split("#")
        seen = int(self._row(key).get("version", 0))
        person = Person("storm", "Storm", company, may_credit=True)
        lines = [Credited(1, pieces="1")] if asked == "credit" else []

        def button() -> None:
            entry = self.environment.orders.get(company, order_id)
            if entry is not None:
                # already done, or other by now: the person looks again later
                with suppress(corrections.NothingToCorrect):
                    corrections.correct(
                        self.environment.page, person, entry, asked, version=seen, lines=lines
                    )

        self.environment.press(button)
        for seconds in again_after:
            at = self.environment.now() + timedelta(seconds=seconds)
            self.environment.scheduler.at(at, partial(self.environment.press, button))

    def refund(self, key: str) -> None:
        """A piece of the first line is refunded: pressed twice, for all that it seems to take."""
        self.people.presses[key] += 1
        self.press(key, "credit", again_after=(0.2, 90))

    def look(self) -> None:
        """Go through the list of what is left to do."""
        for key in sorted(self._sent):
            self._look_at(key, self._row(key))

    def _look_at(self, key: str, row: dict[str, Any]) -> None:
        problem = problem_of(row)
        match row.get("reason", "") if row.get("state") == "posted" else "":
            case "changed":
                newest = self._sent[key][1].messages[-1][1]
                if newest["status"] == CANCELLED or any(
                    i["status"] == LINE_CANCELLED for i in newest["items"]
                ):
                    gone = row["documents"].get("invoice", {}).get("status") in DEAD
                    self._once_or_by_hand(
                        key, "post_again" if gone and newest["status"] != CANCELLED else "cancel"
                    )
                else:
                    self._by_hand(key)
            case "ask_supplier":
                self.press(key, "done_by_hand")
            case "note_is_draft":
                # of this correction, or of one that was left to a person before
                note = next(one for one in row["credit_notes"] if not one["settled"])
                found = self._find(note["id"])
                if found is not None and found[1].status == "DRAFT":
                    change_document(self.environment.xero, *found, {"Status": "AUTHORISED"})
                elif found is not None:
                    self.press(key, "try_again")
            case "correction_stopped" if problem not in EDITED:
                self._once_or_by_hand(key, "try_again")

    def _once_or_by_hand(self, key: str, asked: corrections.Asked) -> None:
        self.tried[f"{key} {asked}"] += 1
        if self.tried[f"{key} {asked}"] > 6:
            self._by_hand(key)
        else:
            self.press(key, asked, again_after=(0.1,) if self.chance.random() < 0.3 else ())

    def _by_hand(self, key: str) -> None:
        self.people.by_hand.add(key)
        if problem_of(self._row(key)) in EDITED:
            self.people.saw.add(key)
        self.press(key, "done_by_hand")


# --- the world


def company_with(work: Workload, tracked: bool, with_: Company | None = None, **settings: Any) -> Company:
    """A company with these settings."""
    company, environment = work.company(tracked, with_=with_), work.environment
    seen = environment.settings.saved(company.ref)
    assert seen is not None
    changed = Settings.from_json(seen.settings.to_json() | settings)
    environment.settings.save(company.ref, changed, seen=seen.number, by="storm", at=environment.now())
    return company


def says(work: Workload, sent: Sent, after: float, *lines: int, **changes: Any) -> None:
    """The platform says something else of the order: these lines are cancelled, or the order as a whole."""
    order = copy.deepcopy(sent.messages[-1][1]) | changes
    for line in lines:
        order["items"][line]["status"] = LINE_CANCELLED
    work._send(sent, order, after)


def _cancelled(work: Workload, sent: Sent, after: float) -> None:
    says(work, sent, after, status=CANCELLED, status_name="Cancelled")


def _later(environment: Environment, seconds: float, job: Callable[[], object]) -> None:
    """The world is not over before."""
    environment._to_come += 1

    def done() -> None:
        environment._to_come -= 1
        job()

    environment.scheduler.at(environment.now() + timedelta(seconds=seconds), done)


def _world(environment: Environment, storm: Storm, chance: random.Random) -> Office:
    """Companies with orders that are posted, and what is to come to them. The first ones come in this weather."""
    work = Workload(environment)
    companies = [
        company_with(work, place % 3 == 1, **BOOKS[place % len(BOOKS)]) for place in range(storm.companies)
    ]
    plan: list[tuple[Company, Sent, float]] = []
    for place in range(storm.orders or storm.companies):
        company = companies[place % len(companies)]
        after = chance.uniform(0, storm.seconds)
        plan.append((company, work.order(company, place + 2, after=after), after))
    if storm.posted_first:
        environment._until_quiet(environment.now() + timedelta(hours=2))
    environment.first_step = environment.steps
    begun = (environment.now() - work._began).total_seconds()
    office = Office(environment, work, chance, storm.edits)
    for place, (company, sent, after) in enumerate(plan):
        key = f"{company.ref}#{sent.order_id}"
        told = begun + after + chance.uniform(60, 900)
        kind = (1, 0, 1, 0, 0)[place % 5] if not storm.orders else chance.randrange(5)
        lines = len(sent.messages[0][1]["items"])
        if kind == 0:
            _cancelled(work, sent, told)
        elif kind == 1 and lines > 1:
            says(work, sent, told, 0)
            if lines > 2:
                says(work, sent, told + chance.choice((2, 5, 400)), 1)
            if chance.random() < 0.3:
                _cancelled(work, sent, told + 1000)
        elif storm.orders and chance.random() < 0.3:
            _later(environment, after + 1500, partial(office.refund, key))
        if chance.random() < 0.1:
            work.again(sent, told + 1100)
        if chance.random() < storm.edits:
            at = after + chance.uniform(60, 1200)
            _later(environment, at, partial(office.meddle, company, sent))
    stormy = storm.stormy / LOOKS if storm.orders else LOOKS_EVERY
    for look in range(1, LOOKS if storm.orders else 1):
        _later(environment, look * stormy.total_seconds(), office.look)
    calm = storm.stormy if storm.orders else timedelta(0)
    for look in range(1, CALM_LOOKS):
        _later(environment, (calm + look * LOOKS_EVERY).total_seconds(), office.look)
    return office


def run(storm: Storm, look: Callable[[Environment], None] | None = None, *, trace: bool = False) -> Report:
    environment = Environment(storm.seed, storm.weather, perils=dict(storm.perils))
    environment.trace = [] if trace else None
    try:
        office = _world(environment, storm, random.Random(f"corrections {storm.seed}"))
        environment.faults_of_xero()
        environment.run(storm.stormy, calm=timedelta(hours=40))
        still = bool(storm.weather.pause) or any(peril == "pause" for _, peril in storm.perils)
        report = audit(
            office.work.sent.values(),
            environment.xero.log.entries,
            list(environment.store.tables["OrdersTable"].items.values()),
            environment.xero.organisations,
            office.people,
            stands_still=still,
        )
        report.unexpected += [f"a fault of ours: {fault}" for fault in environment.our_faults]
        for entry in environment.xero.log.entries:
            if entry.fault:
                report.faults[entry.fault] += 1
        if look is not None:
            look(environment)
        return report
    finally:
        environment.close()


# --- every single fault, one by one


def single_faults(storm: Storm) -> list[tuple[int, str]]:
    """Every peril at every step from when the first message of a cancellation comes."""
    trace: list[str] = []
    first: list[int] = []

    def look(environment: Environment) -> None:
        trace.extend(environment.trace or ())
        first.append(environment.first_step)

    run(storm, look, trace=True)
    return [
        (step, peril)
        for line in trace
        # a sweep that finds nothing to do takes the same steps every minute
        if (step := int(line.split()[0])) > first[0] and " sweep: " not in line
        for peril in fitting(line)
    ]


def with_perils(storm: Storm, *perils: tuple[int, str]) -> Storm:
    return replace(storm, perils=(*storm.perils, *perils))


SMALL = Storm("1", companies=5, seconds=60, edits=0)
EDITED_SMALL = Storm("2", companies=5, seconds=60, edits=0.4)


# --- promise P23, in full


def tried(storm: Storm) -> Outcome:
    met: Counter[str] = Counter()
    report = run(storm, lambda environment: met.update(environment.met))
    return judged(f"{storm}", report, met)


def all_of(storms: Sequence[Storm]) -> Outcome:
    return sum(map(tried, storms), Outcome(runs=0))


def jobs(promise: str) -> list[Job]:
    """Cancellations and edits in F1 and F2, each fault alone, and several at once."""
    storms = [
        Storm(f"{SEED}", F1, orders=2000, companies=60, posted_first=False),
        *(
            Storm(f"{seed}", F2, orders=200, companies=12)
            for seed in range(1 + 20 * (SEED - 1), 1 + 20 * SEED)
        ),
    ]
    singles = [with_perils(base, fault) for base in (SMALL, EDITED_SMALL) for fault in single_faults(base)]
    chance = random.Random(f"several {SEED}")
    faults = single_faults(EDITED_SMALL)
    several = [with_perils(EDITED_SMALL, *some_of(faults, chance)) for _ in range(300)]
    return [
        *(
            Job(promise, f"{storm.orders:,} orders, {storm}", partial(all_of, [storm]), storm.orders / 10)
            for storm in storms
        ),
        *_in_parts(promise, "corrections, each single fault", singles),
        *_in_parts(promise, "corrections, several faults", several),
    ]


def _in_parts(promise: str, name: str, storms: list[Storm], size: int = 150) -> Iterator[Job]:
    for place in range(0, len(storms), size):
        part = storms[place : place + size]
        yield Job(promise, f"{name}, from {place}", partial(all_of, part), len(part) / 4)

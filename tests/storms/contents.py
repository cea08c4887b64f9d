"""The storms over what documents hold: messages late, lost and again (P2), other content (P3), a person's edits in Xero
(P4) and settings that change meanwhile (P17). The auditor is told what was seen of the queue and of the tables, so that
it knows which content and which settings were the right ones.
"""

from __future__ import annotations

import copy
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from unittest.mock import patch

from bookkeeping.adapters.tables.lanes import Lanes
from bookkeeping.adapters.tables.orders import OrdersTable, entry_from_item
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.domain import ledger
from bookkeeping.domain.ledger import Entry, Message, State
from bookkeeping.domain.page_access import Person
from bookkeeping.domain.settings import Settings
from bookkeeping.domain.time_zones import Calendar
from bookkeeping.use_cases.page import settings_form
from bookkeeping.use_cases.posting import outcomes, settlement
from bookkeeping.use_cases.posting.company_turn import CompanyTurn
from bookkeeping.use_cases.posting.publishing import Publisher
from bookkeeping.use_cases.posting.settlement import Settlement
from local.samples import CATALOGUE, TRACKED, TRACKED_CATALOGUE, UNTRACKED
from local.xero.organisations import Document, Organisation
from tests.storms import mutants
from tests.storms.auditor import IN_XERO, Edit, History, Report, Write
from tests.storms.dynamodb import Table
from tests.storms.environment import F1, Environment, Weather, _Message, table_properties
from tests.storms.mutants import Trial, post_instead_of_put
from tests.storms.posting import LAGGING, SEED, audited, judged
from tests.storms.scheduler import Killed, Worker
from tests.storms.table import Job, Outcome
from tests.storms.workload import SOLD, Company, Sent, Workload, large

Look = Callable[["Watched", Report], None]


def unseen(environment: Watched, report: Report) -> None:
    """Nobody looks."""


class Watched(Environment):
    """An environment that keeps what is seen of the queue and of the tables."""

    def __init__(self, seed: object, weather: Weather, **more: Any) -> None:
        super().__init__(seed, weather, **more)
        self.history = History()
        self.delivered: dict[str, _Message] = {}
        """Every order message, by its id."""
        self._began: dict[int, datetime] = {}
        _watch(self.store.tables["OrdersTable"], self._row_written)
        _watch(self.store.tables["SettingsTable"], self._settings_written)

    def begins(self) -> None:
        """A function begins."""
        self._began[id(self.scheduler.worker)] = self.now()

    def _row_written(self, row: dict[str, Any]) -> None:
        began = self._began.get(id(self.scheduler.worker), self.now())
        self.history.rows[row["key"]].append(Write(self.now(), began, row))

    def _settings_written(self, row: dict[str, Any]) -> None:
        if row["version"] == "current":
            self.history.current[row["company"]].append((self.now(), int(row["number"])))

    def _intake(self, messages: list[_Message]) -> list[str]:
        self.begins()
        about = {message.id: _about(message) for message in messages}
        for message in messages:
            self.delivered.setdefault(message.id, message)
            self.history.arrived.setdefault(about[message.id], self.now())
        failed = super()._intake(messages)
        for message in messages:
            if message.id not in failed:
                self.history.acknowledged.setdefault(about[message.id], self.now())
        return failed

    def _post(self, messages: list[_Message]) -> list[str]:
        self.begins()
        return super()._post(messages)

    # more that can happen

    def send_late(self, body: str, at: datetime, late: float) -> None:
        """The platform sends an order message at that moment, and it is delivered so many seconds later."""
        self._to_come += 1

        def sent() -> None:
            self._to_come -= 1
            self.orders_queue.send(body, timedelta(seconds=late))

        self.scheduler.at(at, sent)

    def redeliver(self) -> None:
        """Every order message comes once more, as it was first sent."""
        self.orders_queue.dead += [replace(message) for message in self.delivered.values()]
        self.orders_queue.redrive()

    def let_pass(self, time: timedelta) -> None:
        """Nothing happens for a long time, but that rows whose time is over are deleted."""
        self.scheduler.run(self.now() + time)
        for name, properties in table_properties().items():
            about = properties.get("TimeToLiveSpecification", {})
            table = self.store.tables[name]
            for key, row in list(table.items.items()):
                if about and row.get(about["AttributeName"], Decimal("Infinity")) < self.now().timestamp():
                    table.write(key, None)

    def at_the_office(self, at: datetime, job: Callable[[], None]) -> None:
        """A person has the settings page do something at that moment, and again until it is done."""
        self._to_come += 1

        def page() -> None:
            self.begins()
            try:
                job()
            except Killed:
                self.met["settings page killed"] += 1
            except Exception as error:  # noqa: BLE001 the page shows an error, and the person presses Save again
                self.ended_by("settings page", error)
            else:
                self._to_come -= 1
                return
            self.scheduler.at(self.now() + timedelta(seconds=3), begin)

        def begin() -> None:
            self.scheduler.start(page, Worker("settings page", self.now() + timedelta(seconds=29)))

        self.scheduler.at(at, begin)


def _watch(table: Table, told: Callable[[dict[str, Any]], None]) -> None:
    write = table.write

    def written(key: tuple[str, ...], item: dict[str, Any] | None) -> None:
        write(key, item)
        if item is not None:
            told(item)

    table.write = written  # type: ignore[method-assign]


def _about(message: _Message) -> tuple[str, int]:
    return str(json.loads(message.body)["id"]), int(message.sent_at.timestamp() * 1000)


def _through(environment: Watched, hours: float = 4) -> None:
    environment.faults_of_xero()
    environment.run(timedelta(hours=hours))


class Books(Workload):
    """Companies whose settings differ, and messages that arrive otherwise than they were sent."""

    environment: Watched

    def company(self, tracked: bool, *, with_: Company | None = None, **settings: Any) -> Company:
        company = super().company(tracked, with_=with_)
        if settings:
            self.now_has(company, **settings)
        return company

    def now_has(self, company: Company, **settings: Any) -> None:
        table = self.environment.settings
        current = table.current(company.ref)
        assert current is not None
        changed = Settings(**(current[0].model_dump() | settings))
        table.save(company.ref, changed, seen=current[1], by="storm", at=self.environment.now())

    def anew(self, company: Company, place: int, lines: int = 2) -> tuple[Sent, dict[str, Any]]:
        """An order that is not sent yet."""
        order = self._make.order(TRACKED if company.tracked else UNTRACKED, place, lines)
        order["company_ref_id"] = int(company.ref)
        order["sale_datetime"] = SOLD[place // 3 % len(SOLD)]
        sent = Sent((company,), str(order["id"]))
        self.sent[sent.order_id] = sent
        return sent, order

    def message(self, sent: Sent, order: Mapping[str, Any], after: float, late: float = 0.0) -> None:
        moment = self._began + timedelta(seconds=after)
        sent.messages.append((int(moment.timestamp() * 1000), dict(order)))
        sent.messages.sort(key=lambda message: message[0])
        self.environment.send_late(json.dumps(order, ensure_ascii=False), moment, late)


# --- P2: messages late, lost and again


def lost_and_again(
    seed: str, weather: Weather = F1, orders: int = 1000, companies: int = 20, look: Look = unseen
) -> Report:
    """A storm in which wake-ups get lost; 30 days later every message once more; then the platform sends all anew."""
    environment = Watched(f"again {seed}", weather)
    try:
        work = large(environment, orders, companies, 600, random.Random(f"again {seed}"))
        _through(environment)
        report = audited(environment, work, environment.history)
        _delivered_again(environment, work, report)
        _sent_anew(environment, work, report)
        look(environment, report)
        return report
    finally:
        environment.close()


def _documents(environment: Watched) -> dict[str, Document]:
    organisations = environment.xero.organisations.values()
    return {id_: copy.deepcopy(one) for books in organisations for id_, one in books.documents.items()}


def _told(environment: Watched) -> dict[str, str]:
    return {event["id"]: event["type"] for event in environment.bus.events}


def _rows(environment: Watched) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in environment.store.tables["OrdersTable"].items.values()}


def _delivered_again(environment: Watched, work: Workload, report: Report) -> None:
    """Messages that are known change nothing at all, whatever the settings say by now."""
    documents, rows, told = _documents(environment), _rows(environment), _told(environment)
    environment.let_pass(timedelta(days=30))
    for company in work.companies[::3]:
        Books.now_has(work, company, start_from="2026-11-25")  # type: ignore[arg-type]
    environment.redeliver()
    _through(environment)
    _same(report, "delivered again", documents, _documents(environment))
    _same(report, "delivered again", rows, _rows(environment))
    _same(report, "delivered again", told, _told(environment))
    for company in work.companies[::3]:
        Books.now_has(work, company, start_from=None)  # type: ignore[arg-type]


SHOWN = ("state", "reason", "documents", "changes", "number", "history")


def _sent_anew(environment: Watched, work: Workload, report: Report) -> None:
    """The same messages, sent once more in their order: no document changes, and no order that was posted moves."""
    documents, rows, told = _documents(environment), _rows(environment), _told(environment)
    after = (environment.now() - work._began).total_seconds() + 60
    for sent in work.sent.values():
        for place, (_, order) in enumerate(list(sent.messages)):
            work._send(sent, order, after + place * 30)
    _through(environment)
    _same(report, "sent anew", documents, _documents(environment))
    posted = [key for key, row in rows.items() if row["state"] == "posted"]
    # of contents that differ, each was the newest for a while; a message that we failed on is shown until it is read
    writes = environment.history.rows
    otherwise_for_a_while = {key for key in posted if any("newer" in write.row for write in writes[key])}
    seen = [
        {key: _seen(of[key], moment=key not in otherwise_for_a_while) for key in posted}
        for of in (rows, _rows(environment))
    ]
    _same(report, "sent anew", *seen)
    posts = [
        {id_: type_ for id_, type_ in of.items() if type_ == "OrderPosted"}
        for of in (told, _told(environment))
    ]
    _same(report, "sent anew", *posts)
    again = audited(environment, work, environment.history)
    for name in ("lost", "duplicated", "unexpected", "open", "untold"):
        getattr(report, name).extend(getattr(again, name))


def _seen(row: Mapping[str, Any], *, moment: bool) -> dict[str, Any]:
    """What the Orders page shows of a row, by the moment of its last change too."""
    return {name: row.get(name) for name in (*SHOWN, *(["list_key"] if moment else []))}


def _same(report: Report, what: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for key in before.keys() | after.keys():
        if before.get(key) != after.get(key):
            was, now = before.get(key), after.get(key)
            report.unexpected.append(f"{what}: {key} was {was} and is {now}")


# --- P3: the same order with other content

CANCELLED = {"status": 128, "status_name": "Cancelled"}
ON_HOLD = {"status": 256, "status_name": "On Hold"}
RECEIVED = {"status": 1, "status_name": "Received"}
DISPATCHED = {"status": 8, "status_name": "Dispatched", "completion_datetime": "2026-11-21 15:03:55"}
REFUNDED = {"status": 1024, "status_name": "Refunded"}
SEQUENCES = (
    (RECEIVED, DISPATCHED),
    (ON_HOLD, RECEIVED, DISPATCHED),
    (RECEIVED, CANCELLED),
    (RECEIVED, REFUNDED),
    (REFUNDED, DISPATCHED),
)
DIFFERENCES = (
    "quantity",
    "price",
    "line more",
    "line less",
    "line cancelled",
    "shipping",
    "reference",
    "sold",
    "goods",
)


def otherwise(order: Mapping[str, Any], difference: str, tracked: bool) -> dict[str, Any]:
    """The order with other content."""
    other: dict[str, Any] = copy.deepcopy(dict(order))
    lines, shown = other["items"], ("22.0000", "24.20") if tracked else ("15.0000", "18.00")
    match difference:
        case "quantity":
            lines[0]["quantity"] += 3
        case "price":
            lines[0] |= {"unit_sale_price": shown[0], "unit_sale_price_inc_tax": shown[1]}
            lines[0] |= {"sale_vat_rate": "10" if tracked else "0.2", "unit_cost_price": "7.15"}
        case "line more":
            lines.append(lines[0] | {"id": lines[0]["id"] + 9, "quantity": 5})
        case "line less":
            del lines[-1]
        case "line cancelled":
            lines[0]["status"] = 7
        case "shipping":
            net, gross = ("10.00", "11.00") if tracked else ("10.00", "12.00")
            other |= {"shipping_price": net, "shipping_price_inc_tax": gross}
        case "reference":
            other["external_ref"] += "-B"
        case "sold":
            other["sale_datetime"] = "2026-11-20T14:00:00Z"
        case _:
            catalogue = TRACKED_CATALOGUE if tracked else CATALOGUE
            names = ("sku", "description", "unit_sale_price", "unit_sale_price_inc_tax", "sale_vat_rate")
            at = next(place for place, goods in enumerate(catalogue) if goods[0] == lines[-1]["sku"])
            goods = catalogue[(at + 3) % len(catalogue)]
            lines[-1] |= dict(zip((*names, "unit_cost_price"), goods, strict=True))
    return other


def contents(work: Books, pairs: int, sequences: int, chance: random.Random, seconds: float = 900) -> None:
    """Pairs of contents and sequences of statuses, in every order of arrival, for every kind of company."""
    kinds = itertools.product((False, True), ("arrival", "dispatch"))
    zones = itertools.cycle(("", "UTC", "America/New_York"))
    companies = [
        work.company(tracked, post_when=when, order_time_zone=next(zones)) for tracked, when in [*kinds] * 3
    ]
    for place in range(pairs):
        company = chance.choice(companies)
        sent, order = work.anew(company, place)
        other = otherwise(order, DIFFERENCES[place % len(DIFFERENCES)], company.tracked)
        if chance.random() < 0.7:
            other |= DISPATCHED
        if chance.random() < 0.4:
            order |= DISPATCHED
        _send_all(work, sent, [order, other], chance, seconds)
    for place in range(sequences):
        company = companies[place % len(companies)]
        sent, order = work.anew(company, place)
        statuses = SEQUENCES[(place + place // len(companies)) % len(SEQUENCES)]
        _send_all(work, sent, [order | status for status in statuses], chance, seconds)


def _send_all(
    work: Books, sent: Sent, orders: Sequence[Mapping[str, Any]], chance: random.Random, seconds: float
) -> None:
    """The messages of an order: in their order, in the other order, in any, or all at the same moment."""
    longest = chance.choice((0.01, 5, 60, 300, 900))
    gap = chance.uniform(longest / 10, longest)
    began = chance.uniform(0, seconds)
    moments = [began + place * gap for place in range(len(orders))]
    arrivals = list(moments)
    match chance.choice(("in order", "the other way round", "in any order", "together")):
        case "the other way round":
            apart = chance.choice((0.5, 20, 120))
            arrivals = [moments[-1] + (len(orders) - place) * apart for place in range(len(orders))]
        case "in any order":
            arrivals = [moment + chance.uniform(0, 2 * gap + 5) for moment in moments]
        case "together":
            arrivals = [moments[-1] + 1] * len(orders)
    for order, moment, arrival in zip(orders, moments, arrivals, strict=True):
        work.message(sent, order, moment, max(0.0, arrival - moment))


def same_order_again(
    seed: str, weather: Weather = F1, pairs: int = 500, sequences: int = 144, look: Look = unseen
) -> Report:
    environment = Watched(f"contents {seed}", weather, intake_batch=1)
    try:
        work = Books(environment)
        contents(work, pairs, sequences, random.Random(f"contents {seed}"))
        _through(environment)
        report = audited(environment, work, environment.history)
        for key, row in _rows(environment).items():
            first = environment.history.rows[key][0].row
            now, then = (entry_from_item(one).message.content_hash for one in (row, first))
            environment.met["content replaced before it was sent"] += bool(row["documents"]) and now != then
            environment.met["change shown"] += "changes" in row
        look(environment, report)
        return report
    finally:
        environment.close()


def refused_after_a_crash(seed: str) -> Report:
    """A turn ends right after its call, the next call is refused, and then the order comes with other content."""
    perils: dict[int, str] = {}
    _, steps = _one_order(seed, perils, other_after=3600)
    perils[next(step for step, what, _ in steps if "after xero PUT" in what)] = "crash"
    _, steps = _one_order(seed, perils, other_after=3600)
    _, again = ((step, moment) for step, what, moment in steps if "before xero PUT" in what)
    perils[again[0]] = "rate_limit_minute"
    report, _ = _one_order(seed, perils, other_after=again[1] + 3)
    return report


def _one_order(
    seed: str, perils: Mapping[int, str], other_after: float
) -> tuple[Report, list[tuple[int, str, float]]]:
    """An order, and the same with other content; and the storm's steps, with how many seconds after the beginning."""
    environment = Watched(f"one order {seed}", LAGGING, perils=perils)
    environment.trace = []
    try:
        work, began = Books(environment), environment.now()
        sent, order = work.anew(work.company(tracked=False), 0)
        work.message(sent, order, 1)
        work.message(sent, otherwise(order, "quantity", tracked=False), other_after)
        _through(environment)
        report = audited(environment, work, environment.history)
    finally:
        environment.close()
    lines = [line.split(maxsplit=2) for line in environment.trace]
    moments = [datetime.fromisoformat(f"{began:%Y-%m-%d}T{moment}+00:00") for _, moment, _ in lines]
    return report, [
        (int(step), what, (moment - began).total_seconds())
        for (step, _, what), moment in zip(lines, moments, strict=True)
    ]


# --- P4: a person's hand in Xero

EDITS = ("line", "total", "contact", "status", "void", "reference", "reference kept")
OURS_UNKNOWN = replace(F1, reply_lost=0.25, error_after_commit=0.20, slow_commit=0.06, crash=0.02)
"""Much that is in Xero, and that we do not know of yet."""


class Accountant:
    """Somebody who works in Xero, on documents that have just come, between our attempts."""

    def __init__(self, environment: Watched, work: Workload, chance: random.Random) -> None:
        self._environment, self._chance = environment, chance
        self._companies = {company.organisation_id: company for company in work.companies}
        self._known: Counter[str] = Counter()
        """Organisation → how many of its documents were looked at."""
        self._kinds = itertools.cycle(EDITS)
        self.edits: dict[str, Edit] = {}
        self.between = 0
        """Edits of documents that the ledger did not know of yet."""
        self.until = environment.now() + timedelta(hours=1)
        self._look()

    def _look(self) -> None:
        environment = self._environment
        for organisation in environment.xero.organisations.values():
            known = self._known[organisation.id]
            for id_ in itertools.islice(organisation.documents, known, None):
                if id_ not in self.edits and self._chance.random() < 0.9:
                    moment = environment.now() + timedelta(seconds=self._chance.uniform(0, 5))
                    environment.scheduler.at(moment, partial(self._edit, organisation, id_))
            self._known[organisation.id] = len(organisation.documents)
        if environment.now() < self.until:
            environment.scheduler.at(environment.now() + timedelta(seconds=1), self._look)

    def _edit(self, organisation: Organisation, id_: str) -> None:
        document = organisation.documents[id_]
        settled = self._in_ledger(organisation, document)
        if settled and self._chance.random() < 0.9:
            return
        self.between += not settled
        what = next(self._kinds)
        _edited(document, organisation, what)
        document.updated_at = now = self._environment.now()
        self.edits[id_] = Edit(what, now, copy.deepcopy(document))

    def _in_ledger(self, organisation: Organisation, document: Document) -> bool:
        order_id, kind = document.number.rpartition("-")[2], IN_XERO[document.kind]
        company = self._companies[organisation.id]
        row = self._environment.store.tables["OrdersTable"].items.get((f"{company.ref}#{order_id}",))
        return row is not None and row["documents"].get(kind, {}).get("id") == document.id

    def by_hand(self, company: Company, number: str, work: Workload, reference: str) -> None:
        """An invoice that the accountant made, under a number that an order would have."""
        organisation = self._environment.xero.organisations[company.organisation_id]
        before = set(organisation.documents)
        work.take_number(company, number)
        [id_] = set(organisation.documents) - before
        document = organisation.documents[id_]
        document.reference = reference
        self.edits[id_] = Edit("by hand", self._environment.now(), copy.deepcopy(document), by_hand=True)


def _edited(document: Document, organisation: Organisation, what: str) -> None:
    line = document.lines[0]
    match what:
        case "line":
            line.description, line.account_code = f"{line.description}, as agreed by phone", "260"
        case "total":
            line.unit_amount += 5
            line.line_amount += 5 * line.quantity
            document.total += 5 * line.quantity
            document.sub_total += 5 * line.quantity
        case "contact":
            document.contact_id = list(organisation.contacts)[1]
        case "status":
            document.status = "SUBMITTED"
        case "void":
            document.status = "DELETED"
        case "reference":
            document.reference = "Christmas fair"
        case _:
            document.reference = f"Christmas fair {document.reference}"


def edited_in_xero(
    seed: str, weather: Weather = OURS_UNKNOWN, orders: int = 750, companies: int = 24, look: Look = unseen
) -> Report:
    """Half the documents are edited within seconds of their coming, most of them before we know that they came."""
    chance = random.Random(f"edits {seed}")
    environment = Watched(f"edits {seed}", weather)
    try:
        work = Books(environment)
        chosen = [work.company(tracked=number % 3 == 1) for number in range(companies)]
        accountant = Accountant(environment, work, chance)
        for place in range(orders):
            company, after = chosen[place % companies], chance.uniform(0, 1200)
            sent, order = work.anew(company, place)
            work.message(sent, order, after)
            if chance.random() < 0.1:
                work.message(
                    sent, otherwise(order, "quantity", company.tracked), after + chance.uniform(0, 300)
                )
            elif chance.random() < 0.05:
                # one that a person made for this very order says so
                reference = f"by hand, {order['ref']}" if chance.random() < 0.5 else "by hand"
                accountant.by_hand(company, sent.order_id, work, reference)
        _through(environment)
        report = audited(environment, work, environment.history, accountant.edits)
        environment.met["edited between attempts"] = accountant.between
        environment.met["edited"] = len(accountant.edits)
        look(environment, report)
        return report
    finally:
        environment.close()


# --- P17: settings that change meanwhile

GOOD = ({"sales_account_code": "200"}, {"sales_account_code": "260"})
BAD = ({"sales_account_code": ""}, {"sales_account_code": "999"}, {"shipping_account_code": "999"})
WELL: dict[str, str] = {"shipping_account_code": "205"}


class Office:
    """Somebody who saves other settings again and again."""

    def __init__(self, environment: Watched) -> None:
        ids = itertools.count(1)
        self._environment = environment
        self._adapters = replace(environment.page, new_id=lambda: f"release-{next(ids):06}")

    def flip(self, company: Company, at: datetime, given: Mapping[str, Any]) -> None:
        person = Person("7", "Ada", company.ref)

        def save() -> None:
            seen = self._adapters.settings.saved(company.ref)
            assert seen is not None
            settings_form.save(self._adapters, person, seen.number, given)
            self._environment.met["settings saved"] += 1

        self._environment.at_the_office(at, save)


def flipped_settings(
    seed: str,
    weather: Weather = F1,
    orders: int = 1000,
    companies: int = 5,
    flips: int = 100,
    apart: float = 12.0,
    look: Look = unseen,
) -> Report:
    """Account and prefix of each company change so many times while its orders come."""
    chance = random.Random(f"flips {seed}")
    environment = Watched(f"flips {seed}", weather)
    seconds = apart * flips
    try:
        work, office = Books(environment), Office(environment)
        whens = itertools.cycle(("arrival", "dispatch"))
        chosen = [work.company(number % 3 == 1, post_when=next(whens)) for number in range(companies)]
        for company in chosen:
            for flip in range(flips):
                last = flip == flips - 1
                bad = not last and chance.random() < 0.2
                given = {"number_prefix": company.prefix if flip % 2 else f"{company.prefix[:-1]}B-"}
                given |= {**WELL, **GOOD[flip % 2], **(chance.choice(BAD) if bad else {})}
                office.flip(company, environment.now() + timedelta(seconds=chance.uniform(0, seconds)), given)
            # whatever came before, in the end all fits
            office.flip(company, environment.now() + timedelta(seconds=seconds + 30), {**WELL, **GOOD[0]})
        for place in range(orders):
            company, after = chosen[place % companies], chance.uniform(0, seconds)
            sent, order = work.anew(company, place)
            work.message(sent, order, after)
            # what waits for its dispatch becomes due under the settings of that moment
            work.message(sent, order | DISPATCHED, after + chance.uniform(0, 120))
        _through(environment)
        report = audited(environment, work, environment.history)
        look(environment, report)
        return report
    finally:
        environment.close()


# --- mutants


@contextmanager
def nobody_sweeps() -> Iterator[None]:
    """A wake-up that is lost is missed by nobody."""
    with patch.object(Lanes, "to_wake", lambda *_: {}):
        yield


@contextmanager
def rows_forgotten() -> Iterator[None]:
    """Intake does not look whether it knows the order."""

    def put(table: OrdersTable, entry: Entry, _: int) -> dict[str, Any]:
        return {"Item": tables_put(table, entry, 0)["Item"]}

    tables_put = OrdersTable._put
    with patch.object(OrdersTable, "get", lambda *_: None), patch.object(OrdersTable, "_put", put):
        yield


@contextmanager
def an_older_message_overwrites() -> Iterator[None]:
    with patch.object(Message, "newer_than", lambda message, other: not message.repeats(other)):
        yield


@contextmanager
def frozen_content_overwritten() -> Iterator[None]:
    real = ledger.accept

    def accept(entry: Entry | None, message: Message, *about: Any) -> Entry | None:
        if entry is not None and entry.frozen and message.newer_than(entry.message):
            return replace(entry, message=message)
        return real(entry, message, *about)

    with patch.object(ledger, "accept", accept):
        yield


@contextmanager
def a_crash_counts_as_an_answer() -> Iterator[None]:
    """What was sent by a turn that ended before the answer counts as never sent once Xero refuses a call."""
    with patch.object(Settlement, "_unanswered", lambda _, batch: batch):
        yield


@contextmanager
def changes_unseen() -> Iterator[None]:
    with patch.object(ledger, "differences", lambda *_, **__: ()):
        yield


@contextmanager
def days_of_utc() -> Iterator[None]:
    """A moment that names its zone is dated by its day in UTC, wherever the organisation is."""

    def day(_: Calendar, sent: date) -> date:
        at = sent.astimezone(UTC) if isinstance(sent, datetime) and sent.tzinfo else sent
        return at.date() if isinstance(at, datetime) else at

    with patch.object(Calendar, "day", day):
        yield


@contextmanager
def refunds_taken_for_sales() -> Iterator[None]:
    """A status counts by its number only."""
    with patch("bookkeeping.domain.orders._disposition_named", lambda _: "live"):
        yield


@contextmanager
def whatever_has_our_number_is_ours() -> Iterator[None]:
    with patch.object(settlement, "carries_ref", lambda *_: True):
        yield


@contextmanager
def adopted_unseen() -> Iterator[None]:
    """What is found in Xero is not compared with the order."""
    real = outcomes.posted

    def posted(*about: Any) -> Entry:
        entry = real(*about)
        differs = entry.problem is not None and entry.problem.code == "adopted_differs"
        return replace(entry, state=State.POSTED, problem=None) if differs else entry

    with patch.object(outcomes, "posted", posted):
        yield


@contextmanager
def settings_from_a_warm_cache() -> Iterator[None]:
    """What a process once read of a company's settings it goes by for as long as it lives."""
    real, known = SettingsTable.current, dict[tuple[int, str], Any]()

    def current(table: SettingsTable, company: str) -> Any:
        key = id(table), company
        if key not in known:
            known[key] = real(table, company)
        return known[key]

    with patch.object(SettingsTable, "current", current):
        yield


@contextmanager
def settings_of_the_moment() -> Iterator[None]:
    """An order is posted under the settings there are when it is sent."""

    def settings(desk: CompanyTurn, _: Entry) -> Settings:
        return desk.books.settings

    with patch.object(CompanyTurn, "settings", settings):
        yield


@contextmanager
def nobody_is_freed() -> Iterator[None]:
    with patch.object(settings_form, "lists_freed_by", lambda _: ()):
        yield


@contextmanager
def stopped_too_late_to_be_freed() -> Iterator[None]:
    """An order that stops for what was set right meanwhile stays stopped."""
    with patch.object(Publisher, "_freed_meanwhile", lambda *_: None):
        yield


LOST = partial(lost_and_again, weather=replace(LAGGING, lost_message=0.3), orders=60, companies=6)
KNOWN = partial(lost_and_again, weather=LAGGING, orders=60, companies=6)
PAIRS = partial(same_order_again, weather=LAGGING, pairs=60, sequences=24)
EDITED = partial(edited_in_xero, orders=80, companies=10)
FLIPPED_FAST = partial(flipped_settings, orders=100, companies=3, flips=40)
FLIPPED = partial(flipped_settings, weather=LAGGING, orders=100, companies=3, flips=20, apart=60)
"""Settings hold for a while, so that orders stop under them and the next ones free them."""

TRIALS: dict[str, tuple[Trial, ...]] = {
    "P2": (Trial(nobody_sweeps, LOST), Trial(rows_forgotten, KNOWN)),
    "P3": (
        Trial(an_older_message_overwrites, PAIRS),
        Trial(frozen_content_overwritten, PAIRS),
        Trial(changes_unseen, PAIRS),
        Trial(days_of_utc, PAIRS),
        Trial(refunds_taken_for_sales, PAIRS),
        Trial(a_crash_counts_as_an_answer, refused_after_a_crash),
    ),
    "P4": (
        Trial(post_instead_of_put, EDITED),
        Trial(whatever_has_our_number_is_ours, EDITED),
        Trial(adopted_unseen, EDITED),
    ),
    "P17": (
        Trial(settings_from_a_warm_cache, FLIPPED),
        Trial(settings_of_the_moment, FLIPPED_FAST),
        Trial(nobody_is_freed, FLIPPED),
        Trial(stopped_too_late_to_be_freed, FLIPPED_FAST, seed=2),
    ),
}


# --- the promises, in full

SEEDS = range(2 * SEED - 1, 2 * SEED + 1)
STORMS: dict[str, tuple[tuple[str, Callable[..., Report]], ...]] = {
    "P2": (("1,000 orders, each message again and anew", lost_and_again),),
    "P3": (
        ("500 pairs and sequences", same_order_again),
        ("500 pairs and sequences while indexes lag", partial(same_order_again, weather=LAGGING)),
    ),
    "P4": (("edits in Xero", edited_in_xero),),
    "P17": (
        ("settings changed 100 times each", flipped_settings),
        ("settings that hold for a while", FLIPPED),
    ),
}
AT_LEAST = {
    "P2": {"wake-up lost": 5},
    "P3": {"content replaced before it was sent": 50, "change shown": 20},
    "P4": {"edited between attempts": 100},
    "P17": {"settings saved": 60},
}
"""What a storm must have met; it would show nothing else."""


def tried(promise: str, name: str, storm: Callable[..., Report], seed: str) -> Outcome:
    met: Counter[str] = Counter()
    report = storm(seed, look=lambda environment, _: met.update(environment.met))
    outcome = judged(f"{promise} {name}, seed {seed}", report, met)
    for what, count in AT_LEAST[promise].items():
        outcome.figures[what] = met[what]
        if met[what] < count:
            outcome.bad.append(f"{promise} {name}, seed {seed}: only {met[what]} of {what}")
    return outcome


def jobs(promise: str) -> list[Job]:
    storms = itertools.product(STORMS[promise], SEEDS)
    return [
        *(
            Job(promise, f"{name}, seed {seed}", partial(tried, promise, name, storm, f"{seed}"), 10)
            for (name, storm), seed in storms
        ),
        *(
            Job(promise, f"mutant {trial.name}", partial(mutants.tried, trial), 5)
            for trial in TRIALS[promise]
        ),
    ]

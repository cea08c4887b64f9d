"""The demonstration: two companies, every kind of order, and what became of each.

`ONCE=1` ends it when all is shown, `ALL=1` shows every order where otherwise one of each kind is shown.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any, Final

from bookkeeping.adapters.tables.orders import entry_from_item
from bookkeeping.domain.ledger import Entry
from bookkeeping.domain.problems.catalogue import CHANGED, SKIPPED, WAITS
from bookkeeping.domain.problems.problem import worded
from local.after_posting import Story, stories
from local.audit import OPEN, Findings, Row, audit
from local.companies import Company, Office, SimulatedXero, connect
from local.samples import TRACKED, UNTRACKED, Sample, demonstration
from local.system import LocalSystem
from local.terminal import run, say, stay_up

PATIENCE: Final = 180.0
"""Seconds in which nothing moves before the demonstration gives up."""
PREFIXES: Final = {UNTRACKED: "KX-", TRACKED: "TR-"}
NOBODYS: Final = "420001"
"""A company that is left for whoever watches to set up."""
STATES: Final = {
    "posted": "posted",
    "waiting": "waiting",
    "skipped": "skipped",
    "needs_attention": "needing attention",
    "set_aside": "set aside",
    "queued": "still on their way",
    "posting": "still on their way",
    "": "in no ledger",
}
"""State → how the demonstration calls orders in it. An order in no ledger has none."""
STANDINGS: Final = dict.fromkeys(("part paid", "part credited"), "paid or credited in part")
"""The popup tells these apart, and the book match does not: here both have the same words."""


def main() -> int:
    return run(demonstrate)


def demonstrate(system: LocalSystem) -> int:
    xero = SimulatedXero(system.outputs["xero_url"])
    companies = connect_companies(system, xero)
    samples = demonstration()
    sent_at = time.monotonic()
    calls_before = calls_of(xero, companies)
    first = [(sample.company, body) for sample in samples for body in sample.bodies]
    say(f"Sending {count(samples, 'order')} in {count(first, 'message')}: some are sent more than once ...")
    send(system, first)
    wait_until_quiet(system, samples)
    later = [(sample.company, body) for sample in samples for body in sample.later]
    say(f"Sending {count(later, 'later message')} of the same orders ...")
    send(system, later)
    wait_until_quiet(system, samples)
    took, calls_after = time.monotonic() - sent_at, calls_of(xero, companies)
    told = stories()
    rows = live_through(system, xero, companies, told)
    matches = match_books(system, companies)
    findings = audit(
        [*samples, *(story.sample for story in told)],
        rows,
        xero.control("GET", "log")["entries"],
        PREFIXES,
        {ref_id: company.organisation_id for ref_id, company in companies.items()},
    )
    show(samples, rows, companies, every=switched_on("ALL"))
    show_stories(told, rows, companies)
    as_foretold = show_matches(matches, told, companies)
    show_counts(samples, told, rows)
    show_calls(samples, calls_before, calls_after, companies, took)
    show_findings(findings, system)
    if not switched_on("ONCE"):
        show_addresses(system.outputs, companies)
        stay_up()
    return 0 if findings.clean and as_foretold else 1


def switched_on(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0")


def count(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def connect_companies(system: LocalSystem, xero: SimulatedXero) -> dict[str, Company]:
    say("Connecting two companies, as their offices would: app, popup, login, consent, settings ...")
    british = xero.organisation("UK", "Marlow & Finch Gifts Ltd", subscribe_currency="EUR")
    xero.control("PATCH", f"organisations/{british['id']}", {"subscribe_currency": "USD"})
    australian = xero.organisation("AU", "Southern Cap Company Pty Ltd")
    accounts = {
        "sales_account_code": "200",
        "cogs_account_code": "310",
        "inventory_asset_account_code": "630",
    }
    companies = [
        connect(
            system.outputs,
            xero,
            UNTRACKED,
            british,
            sales_account_code="200",
            invoice_status="AUTHORISED",
            # Britain has several rates of 0 %; only the accountant knows which is meant
            tax_types=[{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}],
        ),
        connect(
            system.outputs,
            xero,
            TRACKED,
            australian,
            process_method="tracked",
            number_prefix=PREFIXES[TRACKED],
            **accounts,
        ),
    ]
    for company in companies:
        method = "Tracked" if company.ref_id == TRACKED else "Untracked"
        say(f"  company {company.ref_id} ({method}) keeps its books in {company.organisation_name}")
    return {company.ref_id: company for company in companies}


def send(system: LocalSystem, messages: Sequence[tuple[str, str]]) -> None:
    """Put messages on the orders queue, each with its company."""
    queue = system.client("sqs")
    for company, body in messages:
        # the group has SQS serve companies in turn
        queue.send_message(
            QueueUrl=system.outputs["orders_queue_url"],
            MessageBody=body,
            MessageGroupId=company,
        )


def ledger(system: LocalSystem) -> dict[tuple[str, str], Row]:
    """Every row of the ledger."""
    rows: dict[tuple[str, str], Row] = {}
    table = system.resource("dynamodb").Table(system.outputs["orders_table"])
    request: dict[str, Any] = {"ConsistentRead": True}
    while True:
        answer = table.scan(**request)
        for entry in map(entry_from_item, answer["Items"]):
            rows[entry.key] = Row(
                entry.company,
                entry.order_id,
                str(entry.state),
                entry.problem.code if entry.problem else entry.reason,
                words(entry),
                entry.number,
                {
                    str(kind): vars(document) | {"stands": document.stood}
                    for kind, document in entry.documents.items()
                },
                bool(entry.changes),
                [vars(note) for note in entry.credit_notes],
            )
        if "LastEvaluatedKey" not in answer:
            return rows
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def words(entry: Entry) -> str:
    """Why an order is where it is, as its company reads it."""
    problem = entry.problem or (entry.correction and entry.correction.problem)
    if problem:
        return f"{problem.sentence}\n{'':6}→ {problem.fix}"
    reasons = {"skipped": SKIPPED, "waiting": WAITS, "posted": CHANGED}.get(str(entry.state), {})
    return worded(reasons.get(entry.reason, ""), {"order": entry.order_id, "company": entry.through})


def wait_until_quiet(system: LocalSystem, samples: Sequence[Sample]) -> dict[tuple[str, str], Row]:
    """The ledger's rows, once every order is in it and none is on its way, or once nothing moves any more."""
    expected = {(sample.company, sample.order_id) for sample in samples if sample.ends != "no company"}
    seen, until = "", 0.0
    while True:
        rows = ledger(system)
        still = sum(row.state in OPEN for row in rows.values())
        undelivered = messages(system, system.outputs["orders_queue_url"])
        posted = sum(len(row.documents) for row in rows.values())
        now = (
            f"  {undelivered:4} in the queue, {len(rows):4} in the ledger,"
            f" {still:4} on their way, {posted:4} documents"
        )
        if now != seen:
            say(now)
            seen, until = now, time.monotonic() + PATIENCE
        if (not undelivered and not still and expected <= rows.keys()) or time.monotonic() > until:
            return rows
        time.sleep(1)


def live_through(
    system: LocalSystem, xero: SimulatedXero, companies: Mapping[str, Company], told: Sequence[Story]
) -> dict[tuple[str, str], Row]:
    """What happens to a few more orders once they are in Xero; the ledger's rows when it is over."""
    samples = [story.sample for story in told]
    say(f"Sending {count(samples, 'more order')}, which change once they are posted ...")
    send(system, [(sample.company, body) for sample in samples for body in sample.bodies])
    wait_until_quiet(system, samples)
    for story in told:
        number = PREFIXES[story.sample.company] + story.sample.order_id
        for changes in story.in_xero:
            books = companies[story.sample.company].organisation_id
            xero.control("PATCH", f"organisations/{books}/documents/{number}", changes, kind="ACCREC")
    # one after the other: of two messages the later one counts
    for place in range(max(len(story.sample.later) for story in told)):
        later = [(sample.company, sample.later[place]) for sample in samples if place < len(sample.later)]
        say(f"Sending {count(later, 'message')} of what became of them: cancelled, refunded, dispatched ...")
        send(system, later)
        wait_until(
            system,
            [story for story in told if story.sample.changed and place + 1 == len(story.sample.later)],
            lambda row: row.why == "changed",
        )
    say("Somebody in the office decides, in the popup ...")
    offices = {company: Office(system.outputs, company) for company in companies}
    for story in told:
        story.ask(offices[story.sample.company])
    return wait_until(
        system, told, lambda row: row.why not in ("correcting", "changed") and row.state not in OPEN
    )


def match_books(system: LocalSystem, companies: Mapping[str, Company]) -> dict[str, Any]:
    """What the book match of each company finds."""
    say("Somebody has the books matched ...")
    offices = {company: Office(system.outputs, company) for company in companies}
    for office in offices.values():
        office.ask("POST", "/book-match", {})
    until, found = time.monotonic() + PATIENCE, dict[str, Any]()
    while len(found) < len(offices) and time.monotonic() < until:
        time.sleep(0.5)
        answers = {company: office.ask("GET", "/book-match") for company, office in offices.items()}
        found = {
            company: answer["result"] for company, answer in answers.items() if answer["state"] == "idle"
        }
    return found


def wait_until(
    system: LocalSystem, told: Sequence[Story], done: Callable[[Row], bool]
) -> dict[tuple[str, str], Row]:
    """The ledger's rows, once all these orders are so, or patience ends."""
    until = time.monotonic() + PATIENCE
    while True:
        rows = ledger(system)
        mine = [rows[story.sample.company, story.sample.order_id] for story in told]
        if all(map(done, mine)) or time.monotonic() > until:
            return rows
        time.sleep(0.5)


def messages(system: LocalSystem, queue_url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = system.client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)[
        "Attributes"
    ]
    return sum(int(attributes[name]) for name in names)


def calls_of(xero: SimulatedXero, companies: Mapping[str, Company]) -> Counter[str]:
    """Calls to the accounting API so far, by organisation."""
    known = {company.organisation_id for company in companies.values()}
    entries = xero.control("GET", "log")["entries"]
    return Counter(
        entry["tenant_id"]
        for entry in entries
        if entry["tenant_id"] in known and entry["path"].startswith("/api.xro/")
    )


def show(
    samples: Sequence[Sample],
    rows: Mapping[tuple[str, str], Row],
    companies: Mapping[str, Company],
    *,
    every: bool,
) -> None:
    """The orders by state; of those that are alike all, or only the first."""
    for words in dict.fromkeys(STATES.values()):
        alike: dict[tuple[str, str], list[Sample]] = defaultdict(list)
        for sample in samples:
            if STATES[_state(rows, sample)] == words:
                alike[sample.company, sample.what].append(sample)
        if not alike:
            continue
        say()
        shown = "" if every else ". One of each kind (ALL=1 shows all):"
        say(f"{words.upper()}: {sum(map(len, alike.values()))} of the first {count(samples, 'order')}{shown}")
        for (company, what), found in alike.items():
            for sample in found if every else found[:1]:
                many = "" if every or len(found) == 1 else f", one of {len(found)}"
                say(f"  order {sample.order_id} of company {company}: {what}{many}")
                _show_row(rows.get((company, sample.order_id)), companies)


def _show_row(row: Row | None, companies: Mapping[str, Company]) -> None:
    if row is None:
        say("      Nobody has set that company up: it is in no ledger, and in nobody's books.")
        return
    for kind, document in row.documents.items():
        address = f"{companies[row.company].address}/document/{document['id']}"
        name = f"{kind.replace('_', ' '):14} {document['number']:12}"
        say(f"      {name} {document['total']:>9} {document['currency']}  {address}")
    if row.sentence:
        say(f"      {row.sentence}")


def show_stories(
    told: Sequence[Story], rows: Mapping[tuple[str, str], Row], companies: Mapping[str, Company]
) -> None:
    say()
    say("AFTER POSTING")
    for story in told:
        sample = story.sample
        row = rows[sample.company, sample.order_id]
        say(f"  {story.words}")
        for kind, document in row.documents.items():
            say(f"      {kind.replace('_', ' ')} {document['number']}: {_stood(document)}")
        for note in row.notes:
            address = f"{companies[sample.company].address}/document/{note['id']}"
            say(f"      credit note {note['number']}: {note['total']} {note['currency']}  {address}")
        if row.sentence:
            say(f"      {row.sentence}")


def _stood(document: Mapping[str, Any]) -> str:
    """Where a document stood when that was last noted: nobody may have looked in Xero since it was posted."""
    stands, read_at = _standing(document["stands"].replace("_", " ")), document["read_at"]
    if read_at is None:
        return f"{stands}, as of its posting at {document['at']:%H:%M:%S} UTC"
    return f"{stands}, as read in Xero at {read_at:%H:%M:%S} UTC"


def _standing(words: str) -> str:
    return STANDINGS.get(words, words)


def show_matches(matches: Mapping[str, Any], told: Sequence[Story], companies: Mapping[str, Company]) -> bool:
    """The book matches; whether they found what was done in Xero, and nothing else."""
    say()
    say("BOOK MATCH")
    as_foretold = True
    for ref_id, company in companies.items():
        result = matches.get(ref_id)
        if result is None:
            say(f"  {company.organisation_name}: it did not end in time")
            as_foretold = False
            continue
        say(f"  {company.organisation_name}: {result['calls']} calls to Xero")
        for one in result["sums"]:
            accounts = "in the accounts" if one["in_accounts"] else "not in the accounts"
            say(
                f"      {one['count']:4} × {one['words'].lower()}, {_standing(one['stands'].lower())} ({accounts}):"
                f" net {one['net']}, tax {one['tax']} {one['currency']}"
            )
        found = {(one["order_id"], one["code"]) for one in result["differences"]}
        for one in result["differences"]:
            say(f"      differs: {one['sentence']} {one['fix']}")
        mine = {(story.sample.order_id, story.differs) for story in told if story.sample.company == ref_id}
        wanted = {one for one in mine if one[1]}
        for order_id, code in sorted(found ^ wanted):
            say(
                f"      ! order {order_id}, {code}: {'not foretold' if (order_id, code) in found else 'not found'}"
            )
        as_foretold = as_foretold and found == wanted
    return as_foretold


def _state(rows: Mapping[tuple[str, str], Row], sample: Sample) -> str:
    row = rows.get((sample.company, sample.order_id))
    return row.state if row else ""


def show_counts(
    samples: Sequence[Sample], told: Sequence[Story], rows: Mapping[tuple[str, str], Row]
) -> None:
    """Every order once."""
    every = [*samples, *(story.sample for story in told)]
    say()
    say(f"ALL {len(every)} ORDERS: the first {len(samples)}, and {len(told)} more that changed after posting")
    states = Counter(STATES[_state(rows, sample)] for sample in every)
    for words in dict.fromkeys(STATES.values()):
        if states[words]:
            why = "" if words != STATES[""] else ", as nobody has set their company up"
            say(f"  {states[words]:4} {words}{why}")
    say()


def show_calls(
    samples: Sequence[Sample],
    before: Counter[str],
    after: Counter[str],
    companies: Mapping[str, Company],
    took: float,
) -> None:
    for ref_id, company in companies.items():
        calls = after[company.organisation_id] - before[company.organisation_id]
        orders = sum(sample.company == ref_id and bool(sample.documents) for sample in samples)
        say(
            f"{company.organisation_name}: of the first orders {orders} are posted, with {calls} calls to Xero,"
            f" {calls / max(1, orders):.3f} an order."
        )
    say(f"The first {count(samples, 'order')} took {took:.1f} s, with their later messages and the pauses.")


def show_findings(findings: Findings, system: LocalSystem) -> None:
    say(f"Compared with the simulated Xero's own log: {findings}.")
    for complaint in findings.all:
        say(f"  ! {complaint}")
    if not findings.clean:
        say(f"The functions' logs are in {system.outputs['logs']}.")


def show_addresses(outputs: Mapping[str, str], companies: Mapping[str, Company]) -> None:
    say()
    for company in companies.values():
        say(f"{company.organisation_name} as Xero shows it: {company.address}")
    for name, value in sorted(outputs.items()):
        say(f"  {name:24} {value}")
    say()
    say(f"The platform's page, which sends orders: {outputs['platform_url']}")
    say(f"The mails that offices get:              {outputs['mails_url']}")
    say()
    say("Open a company's popup, as its office would:")
    for ref_id, words in (
        (UNTRACKED, "Untracked. Sales invoices, orders with problems, orders changed after posting"),
        (TRACKED, "Tracked. The same, with purchase orders and tracked items"),
        (NOBODYS, "nobody has set it up: connect it yourself (Xero's user ada@example.com, password demo)"),
    ):
        say(f"  {outputs['launch_url']}{ref_id}  {words}")
    say()


if __name__ == "__main__":
    sys.exit(main())

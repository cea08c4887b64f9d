"""The book match at the wire: the simulated Xero's lists beside the ledger, on virtual time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from moto import mock_aws

from bookkeeping.adapters.tables.book_matches import Wish
from bookkeeping.adapters.tables.dynamodb import together
from bookkeeping.adapters.tables.lanes import MATCH
from bookkeeping.adapters.tables.orders import entry_to_item
from bookkeeping.domain import book_match
from bookkeeping.domain.book_match import Difference, Expected, Listed, Result
from bookkeeping.domain.ledger import State
from bookkeeping.use_cases.posting import book_match as steps
from bookkeeping.use_cases.wake_lanes import ring
from local.samples import TRACKED, UNTRACKED, Maker
from local.xero.organisations import Document, Organisation
from local.xero.people import add_document, change_document
from tests.integration.one_process import Killed, OneProcess, in_memory, spoil
from tests.our_faults import Fault
from tests.storms.dynamodb import nobody, stored

LISTS = 6
"""Calls for the lists of a match whose lists have a page each: three kinds, in the window and changed since."""


@pytest.fixture
def books() -> Iterator[OneProcess]:
    with mock_aws():
        world = OneProcess(tables=in_memory)
        company(world, UNTRACKED)
        yield world


def company(books: OneProcess, name: str, organisation: Organisation | None = None, **settings: Any) -> None:
    """A company whose organisation lists it, and its number prefix."""
    books.company(name, organisation, **settings)
    connection = books.connections.connection(name)
    assert connection is not None
    claim = books.connections.claim_prefix(connection, settings.get("number_prefix", "KX-"))
    together(books.resource.meta.client, [*books.connections.joins(connection), claim])


def lane(books: OneProcess, company: str = UNTRACKED) -> str:
    connection = books.connections.connection(company)
    assert connection is not None
    return connection.lane


def ask(books: OneProcess, company: str = UNTRACKED, *, in_full: bool = False) -> None:
    """What the button does."""
    key, now = lane(books, company), books.clock.now()
    books.matches.ask(key, Wish(in_full, now))
    ring(books.lanes, books.wake_ups, {key: [MATCH]}, now)


def result(books: OneProcess, company: str = UNTRACKED) -> Result:
    found = books.matches.result(lane(books, company), company)
    assert found is not None
    return found


def matched(books: OneProcess, company: str = UNTRACKED, *, in_full: bool = False) -> Result:
    """What a match finds that begins now."""
    books.clock.advance(60)
    ask(books, company, in_full=in_full)
    books.run()
    return result(books, company)


def found(one: Result) -> Counter[str]:
    assert len(one.differences) == one.found
    return Counter(difference.code for difference in one.differences)


def post(books: OneProcess, count: int, company: str = UNTRACKED) -> list[dict[str, Any]]:
    make = Maker()
    orders = [make.order(company, place) for place in range(count)]
    books.send(*orders)
    books.run()
    assert {books.entry(order, company).state for order in orders} == {State.POSTED}
    # so that what people do is later than Xero's own time of the posting
    books.clock.advance(600)
    return orders


def another(place: int = 0) -> dict[str, Any]:
    """An order besides those that were posted."""
    return Maker().order(UNTRACKED, place) | {"id": 70_000_000 + place}


def document(
    books: OneProcess, order: dict[str, Any], company: str = UNTRACKED, kind: str = "invoice"
) -> Document:
    [here] = [
        one
        for organisation in books.xero.organisations.values()
        for one in organisation.documents.values()
        if one.id == books.entry(order, company).documents[kind].id  # type: ignore[index]
    ]
    return here


def by_hand(books: OneProcess, number: str, **changes: Any) -> None:
    organisation = books.organisation("Demo Company (UK)")
    given = {
        "Type": "ACCREC",
        "InvoiceNumber": number,
        "Contact": {"Name": books.contact(organisation)},
        "LineItems": [
            {"Description": "By hand", "UnitAmount": 5, "AccountCode": "200", "TaxType": "OUTPUT2"}
        ],
    } | changes
    reply = add_document(books.xero, organisation, given)
    assert reply.status == 200, reply.payload


def edit(books: OneProcess, order: dict[str, Any], company: str = UNTRACKED, **changes: Any) -> None:
    one = document(books, order, company)
    [organisation] = [here for here in books.xero.organisations.values() if one.id in here.documents]
    reply = change_document(books.xero, organisation, one, changes)
    assert reply.status == 200, reply.payload


# --- what a match finds


def test_books_that_are_as_posted_differ_in_nothing(books: OneProcess) -> None:
    post(books, 3)
    one = matched(books)
    assert (one.found, one.others, one.skips, one.voids) == (0, len(one_by_hand(books)), 0, 0)
    [[kind, currency, standing, count, net, tax]] = one.sums
    entries = [document for document in documents(books) if document.number.startswith("KX-")]
    assert (kind, currency, standing, count) == ("invoice", "GBP", "draft", "3")
    assert Decimal(net) == sum(document.sub_total for document in entries)
    assert Decimal(tax) == sum(document.total_tax for document in entries)


def documents(books: OneProcess) -> list[Document]:
    return [*books.organisation("Demo Company (UK)").documents.values()]


def one_by_hand(books: OneProcess) -> list[Document]:
    return [one for one in documents(books) if one.kind == "ACCREC" and not one.number.startswith("KX-")]


def test_the_first_match_comes_the_night_after_the_first_posting_and_every_night(books: OneProcess) -> None:
    post(books, 1)
    found = []
    for _ in range(2):
        # it is half past nine in the morning
        books.clock.advance(timedelta(hours=15).total_seconds())
        books.run(timedelta(hours=5), until_quiet=False)
        found.append(result(books))
        books.clock.advance(timedelta(hours=4).total_seconds())
    first, second = found
    assert first.id != second.id
    assert [one.began_at[11:13] in ("01", "02", "03", "04") for one in (first, second)] == [True, True]
    assert not first.in_full
    assert first.calls == 3, "nothing was matched before, so nothing changed since"
    assert second.calls == LISTS


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"Date": "2026-11-25", "DueDate": "2026-12-30"}, {"date"}),
        ({"Contact": {"Name": "O'Brien Prints"}}, {"contact"}),
        ({"Status": "VOIDED"}, "voided"),
        ({"Status": "DELETED"}, "deleted"),
        ({"InvoiceNumber": "INV-77"}, {"number"}),
    ],
)
def test_what_a_person_changed_is_told(books: OneProcess, changes: Any, fields: Any) -> None:
    [one, other] = post(books, 2)
    if changes.get("Status") == "VOIDED":
        edit(books, one, Status="AUTHORISED")
    edit(books, one, **changes)
    [difference] = matched(books).differences
    assert difference.order_id == str(one["id"])
    if isinstance(fields, str):
        assert difference.code == fields
    else:
        assert {name for name, *_ in difference.changes} == fields
    sentence, fix = book_match.in_words(difference)
    assert difference.number in sentence
    assert fix
    assert str(other["id"]) not in sentence


def lines(books: OneProcess, order: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    """The document's lines, the first with the changes."""
    views = [
        {
            "LineItemID": line.id,
            "Description": line.description,
            "Quantity": line.quantity,
            "UnitAmount": line.unit_amount,
            "AccountCode": line.account_code,
            "TaxType": line.tax_type,
        }
        for line in document(books, order).lines
    ]
    return [views[0] | changes, *views[1:]]


@pytest.mark.parametrize("changes", [{"AccountCode": "260"}, {"TaxType": "EXEMPTOUTPUT"}])
def test_an_account_or_a_tax_type_that_was_changed_is_told_though_no_amount_differs(
    books: OneProcess, changes: dict[str, str]
) -> None:
    books.xero.unconfirmed.choose("update_time_of_an_account_code", "moves")
    [one] = post_untaxed(books)
    before = replace(document(books, one))
    edit(books, one, LineItems=lines(books, one, **changes))
    assert document(books, one).total == before.total
    [difference] = matched(books).differences
    assert {name for name, *_ in difference.changes} == {"lines"}
    assert result(books).lines_read == 1
    assert matched(books).found == 1, "nobody has set it right"
    edit(books, one, LineItems=lines(books, one, AccountCode="200", TaxType="ZERORATEDOUTPUT"))
    assert matched(books).found == 0


def post_untaxed(books: OneProcess) -> list[dict[str, Any]]:
    order = Maker().order(UNTRACKED, 0)
    for line in order["items"]:
        line |= {"sale_vat_rate": "0", "unit_sale_price_inc_tax": line["unit_sale_price"]}
    order |= {"shipping_price": "0", "shipping_price_inc_tax": "0"}
    books.send(order)
    books.run()
    assert books.entry(order).state is State.POSTED, books.entry(order).problem
    books.clock.advance(600)
    return [order]


def test_approving_and_paying_is_no_difference_and_shows_where_documents_stand(books: OneProcess) -> None:
    approved, part, paid, draft = post(books, 4)
    for one in (approved, part, paid):
        edit(books, one, Status="AUTHORISED")
    edit(books, part, Pay=1)
    edit(books, paid, Pay=str(document(books, paid).total))
    clean = matched(books)
    assert clean.found == 0
    assert clean.lines_read == 3, "those that changed since they were posted"
    assert {(standing, count) for _, _, standing, count, *_ in clean.sums} == {
        ("draft", "1"),
        ("approved", "1"),
        ("part_paid", "1"),
        ("paid", "1"),
    }
    stands = {
        order["id"]: books.matches.standing(lane(books), document(books, order).id)
        for order in (approved, part, paid, draft)
    }
    assert [found and found[0] for found in stands.values()] == ["approved", "part_paid", "paid", "draft"]


def test_a_second_document_for_an_order_and_one_for_no_order_are_told(books: OneProcess) -> None:
    [one] = post(books, 1)
    number = books.entry(one).number
    for copied in (f"{number}-2", f"{number} copy", "KX-4711", "KX-by hand"):
        by_hand(books, copied)
    differences = {one.number: one for one in matched(books).differences}
    assert {number: one.code for number, one in differences.items()} == {
        f"{number}-2": "doubled",
        f"{number} copy": "doubled",
        "KX-4711": "foreign",
        "KX-by hand": "foreign",
    }
    assert number in book_match.in_words(differences[f"{number}-2"])[0]


def test_a_document_that_was_deleted_though_its_list_does_not_say_so_is_told(books: OneProcess) -> None:
    books.xero.unconfirmed.choose("dead_documents_listed", "no")
    one, other = post(books, 2)
    edit(books, one, Status="DELETED")
    found = matched(books)
    assert [(difference.code, difference.order_id) for difference in found.differences] == [
        ("missing", str(one["id"]))
    ]
    assert found.calls == 4, "three lists, and one call by ids"
    assert other


def test_after_a_fix_in_xero_the_next_match_is_clean_and_only_what_is_new_is_an_event(
    books: OneProcess,
) -> None:
    [one] = post(books, 1)
    there = document(books, one)
    dated, due = there.dated_on.isoformat(), (there.due_on or there.dated_on).isoformat()
    edit(books, one, Date="2026-11-25", DueDate="2026-12-30")
    by_hand(books, "KX-4711")
    matched(books)
    assert matched(books).found == 2
    [event] = books.bus.of("BooksDiffer")
    assert (event["differences"], event["new"], len(event["sentences"])) == (2, 2, 2)
    edit(books, one, Date=dated, DueDate=due)
    change_document(
        books.xero,
        books.organisation("Demo Company (UK)"),
        next(one for one in documents(books) if one.number == "KX-4711"),
        {"Status": "DELETED"},
    )
    clean = matched(books)
    assert (clean.found, clean.void) == (0, ["KX-4711"])
    assert len(books.bus.of("BooksDiffer")) == 1


def test_an_older_document_that_was_changed_since_the_last_match_is_found_outside_the_days(
    books: OneProcess,
) -> None:
    [one] = post(books, 1)
    matched(books)
    books.clock.advance(timedelta(days=50).total_seconds())
    books.run()
    edit(books, one, Contact={"Name": "O'Brien Prints"})
    [difference] = matched(books).differences
    assert {name for name, *_ in difference.changes} == {"contact"}
    assert result(books).sums == [], "it is not of these days"
    again = matched(books)
    assert (again.found, again.calls) == (1, LISTS + 1), (
        "what is not set right still differs: asked for by its id"
    )
    edit(books, one, Contact={"Name": books.contact(books.organisation("Demo Company (UK)"))})
    assert matched(books).found == 0
    assert matched(books, in_full=True).found == 0


def test_numbers_used_skipped_and_void_are_listed(books: OneProcess) -> None:
    one, void = post(books, 2)
    edit(books, void, Status="DELETED")
    stopped = Maker().order(UNTRACKED, 7) | {"id": 99}
    books.save_settings(UNTRACKED, contact_name="Nobody")
    books.send(stopped)
    books.run()
    books.clock.advance(60)
    books.save_settings(UNTRACKED, contact_name=books.contact(books.organisation("Demo Company (UK)")))
    found = matched(books)
    assert found.used == [["KX-", 1, int(one["id"]), int(one["id"])]]
    assert found.void == [books.entry(void).number]
    assert found.skipped == [["KX-99", "contact_not_found"]]


def test_another_companys_documents_are_counted_and_its_orders_not_told(books: OneProcess) -> None:
    organisation = books.organisation("Demo Company (UK)")
    company(books, "420001", organisation, number_prefix="ZZ-")
    post(books, 1)
    by_hand(books, "ZZ-815")
    one = matched(books)
    assert (one.found, one.elsewhere) == (0, {"420001": 1})
    assert "ZZ-815" not in json.dumps(one.to_json())
    other = matched(books, "420001")
    assert [difference.number for difference in other.differences] == ["ZZ-815"]
    assert other.elsewhere == {UNTRACKED: 1}


def test_purchase_orders_are_matched_too() -> None:
    with mock_aws():
        books = OneProcess(tables=in_memory)
        company(
            books, TRACKED, books.organisation("Demo Company (AU)"), process_method="tracked", tax_types=[]
        )
        one, two = post(books, 2, TRACKED)
        assert matched(books, TRACKED).found == 0
        [organisation] = [o for o in books.xero.organisations.values() if o.name == "Demo Company (AU)"]
        order = document(books, one, TRACKED, "purchase_order")
        reply = change_document(books.xero, organisation, order, {"Status": "DELETED"})
        assert reply.status == 200
        [difference] = matched(books, TRACKED).differences
        assert (difference.code, difference.kind) == ("deleted", "purchase_order")
        assert two


# --- ten thousand documents


MANY = 10_000
EACH = 10


def fill(books: OneProcess, orders: int) -> list[str]:
    """So many posted orders, each a copy of a real one: their numbers."""
    [order] = post(books, 1)
    entry, there = books.entry(order), document(books, order)
    organisation = books.organisation("Demo Company (UK)")
    row = stored(entry_to_item(entry))
    table = books.resource.tables["OrdersTable"]
    numbers = []
    for place in range(orders - 1):
        order_id, id_ = str(10_000_000 + place), str(UUID(int=place, version=4))
        posted = replace(entry.documents["invoice"], id=id_)
        documents = {"invoice": row["documents"]["invoice"] | {"id": posted.id}}
        at = row["list_key"]
        own = {"key": f"{UNTRACKED}#{order_id}", "order_id": order_id, "documents": documents}
        table.write(
            (own["key"],), row | own | {"number": f"KX-{order_id}", "list_key": at, "external_ref": order_id}
        )
        organisation.add(replace(there, id=id_, number=f"KX-{order_id}", lines=there.lines, history=[]))
        numbers.append(f"KX-{order_id}")
    return numbers


def change(books: OneProcess, number: str, **changes: Any) -> None:
    organisation = books.organisation("Demo Company (UK)")
    [one] = organisation.numbered("ACCREC", number, same_case=True)
    reply = change_document(books.xero, organisation, one, changes)
    assert reply.status == 200, reply.payload


def spoil_forty(books: OneProcess, numbers: list[str]) -> dict[str, str]:
    """Ten documents each that are doubled, deleted, changed and foreign: number → what is to be found."""
    doubled, deleted, changed = (numbers[begin :: len(numbers) // EACH][:EACH] for begin in (3, 5, 7))
    wanted: dict[str, str] = {}
    for number in doubled:
        by_hand(books, f"{number}-2")
        wanted[f"{number}-2"] = "doubled"
    for number in deleted:
        change(books, number, Status="DELETED")
        wanted[number] = "deleted"
    for place, number in enumerate(changed):
        if place < EACH // 2:
            change(books, number, Contact={"Name": "O'Brien Prints"})
        else:
            tax_only(books, number)
        wanted[number] = "changed"
    for place in range(EACH):
        by_hand(books, f"KX-99{place:06}")
        wanted[f"KX-99{place:06}"] = "foreign"
    return wanted


def tax_only(books: OneProcess, number: str) -> None:
    """Book a part of the tax as sales: the total stays."""
    organisation = books.organisation("Demo Company (UK)")
    [one] = organisation.numbered("ACCREC", number, same_case=True)
    total = one.total
    lines = [
        {"Description": "All of it", "UnitAmount": total, "AccountCode": "200", "TaxType": "ZERORATEDOUTPUT"}
    ]
    change(books, number, LineItems=lines)
    [one] = organisation.numbered("ACCREC", number, same_case=True)
    assert (one.total, one.total_tax) == (total, Decimal(0))


def told(one: Result) -> dict[str, str]:
    return {difference.number: difference.code for difference in one.differences}


def totals_only(document: Expected, listed: Listed) -> Difference | None:
    """A mutant: it compares nothing but totals."""
    if listed.void_or_deleted or document.posted.total != f"{listed.total:.2f}":
        return Difference("changed", listed.kind, listed.id, listed.number)
    return None


def test_forty_differences_among_ten_thousand_documents_are_found_within_25_calls(books: OneProcess) -> None:
    wanted = spoil_forty(books, fill(books, MANY))
    assert len(wanted) == 4 * EACH
    before = len(books.calls())
    one = matched(books)
    assert told(one) == wanted
    assert one.found == 4 * EACH, "and no other"
    assert sum(int(count) for _, _, _, count, *_ in one.sums) == MANY - EACH
    assert len(books.calls()) - before == one.calls
    assert one.calls <= 25


def test_a_match_that_compares_totals_only_is_caught(
    books: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = spoil_forty(books, fill(books, 10 * EACH))
    monkeypatch.setattr(book_match, "compared", totals_only)
    mutant = told(matched(books))
    assert set(mutant) < set(wanted)
    assert {wanted[number] for number in set(wanted) - set(mutant)} == {"changed"}


# --- steps that are cut off, refused or put off


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A match of a few documents takes all the steps that one of thousands takes."""
    monkeypatch.setattr(steps, "LISTED_A_PAGE", 10)
    monkeypatch.setattr(steps, "ROWS", 10)
    monkeypatch.setattr(steps, "A_GROUP", 4)


class Deadly:
    """Ends the process at one of the writes to the tables, before it is carried out."""

    def __init__(self, books: OneProcess) -> None:
        self._books = books
        self._calls = self._dies_at = 0

    def __call__(self, operation: str, about: str) -> None:
        write = operation not in ("get_item", "query", "batch_get_item")
        self._calls += write
        if write and self._calls == self._dies_at:
            raise Killed

    def turn(self, dies_at: int) -> int:
        """The turn that matches what is asked for now; how many writes it made."""
        books, self._calls, self._dies_at = self._books, 0, dies_at
        ask(books)
        [(_, _, wake_up)] = books.queue.waiting
        books.queue.waiting.clear()
        books.resource.before = self
        with suppress(Killed):
            books.turn(wake_up)
        books.resource.before = nobody
        return self._calls


def test_a_match_that_is_killed_at_any_step_goes_on_where_it_was(
    books: OneProcess, small_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # only those that are asked for here
    monkeypatch.setattr(steps, "next_night", lambda _lane, now, _zone: now + timedelta(days=30))
    books.xero.unconfirmed.choose("dead_documents_listed", "no")
    books.organisation("Demo Company (UK)").day_limit = 1_000_000
    doubled, deleted, changed, seen, *_ = fill(books, 2 * EACH)
    by_hand(books, f"{doubled}-2")
    change(books, deleted, Status="DELETED")
    tax_only(books, changed)
    wanted = {f"{doubled}-2": "doubled", deleted: "missing", changed: "changed"}
    first, clean = matched(books), matched(books)
    assert told(first) == wanted
    assert clean.calls > LISTS
    deadly = Deadly(books)
    took = deadly.turn(0)
    # to die after a write is to die before the next one
    for step in range(1, took + 1):
        books.clock.advance(300)
        change(books, seen, Reference=f"seen {step}")
        asked_at, calls = books.clock.now(), len(books.calls())
        deadly.turn(step)
        # the lease ends, and the sweep finds what is under way
        books.clock.advance(timedelta(minutes=11).total_seconds())
        books.run()
        again = result(books)
        assert (told(again), again.sums) == (wanted, clean.sums), step
        assert again.began_at >= asked_at.isoformat(), step
        assert again.lines_read == 1
        assert len(books.calls()) - calls <= clean.calls + 2, "that of the line, and one that is made twice"
    assert len(books.bus.of("BooksDiffer")) == 1


def test_orders_come_before_the_match(books: OneProcess, small_steps: None) -> None:
    fill(books, 3 * EACH)
    order = another()
    ask(books)
    books.send(order)
    before = len(books.calls())
    books.run()
    paths = [(call.method, call.path.rpartition("/")[2]) for call in books.calls()[before:]]
    assert paths.index(("PUT", "Invoices")) < paths.index(("GET", "PurchaseOrders"))
    assert result(books).found == 0
    # one that comes while a match is under way is posted before its next step
    step = steps.BookMatch.step

    def step_and_send(match: Any) -> bool:
        if not books.orders.has(UNTRACKED, str(another(1)["id"])):
            books.send(another(1))
        return step(match)

    before = len(books.calls())
    with patch.object(steps.BookMatch, "step", step_and_send):
        assert matched(books).found == 0
    paths = [(call.method, call.path.rpartition("/")[2]) for call in books.calls()[before:]]
    assert paths.index(("PUT", "Invoices")) in (1, 2), "after a page or so"


def test_a_match_takes_five_per_cent_of_the_days_calls_and_goes_on_the_next_day(
    books: OneProcess, small_steps: None
) -> None:
    organisation = books.organisation("Demo Company (UK)")
    wanted = spoil_forty(books, fill(books, 10 * EACH))
    organisation.day_limit = 240
    ask(books)
    books.run()
    under_way = books.matches.get(lane(books))
    assert under_way is not None
    assert (under_way.waits_for, under_way.day_calls) == ("day_calls", 11), "five per cent"
    assert books.matches.result(lane(books), UNTRACKED) is None
    assert under_way.next_at.date() > books.clock.now().date()
    for _ in range(2):
        match = books.matches.get(lane(books))
        assert match is not None
        books.clock.advance((match.next_at - books.clock.now()).total_seconds())
        books.run(timedelta(minutes=5), until_quiet=False)
    assert told(result(books)) == wanted
    assert books.clock.now() - (under_way.began_at or books.clock.now()) < timedelta(days=4)
    assert result(books).began_at == (under_way.began_at or books.clock.now()).isoformat(), "the same one"


@pytest.mark.parametrize("kind", ["reply_lost", "html_body", "refused"])
def test_a_list_that_fails_is_asked_for_again_in_smaller_pages_and_holds_up_no_order(
    books: OneProcess, kind: str
) -> None:
    fill(books, 6 * EACH)
    fault = {"kind": kind, "path_prefix": "/api.xro/2.0/Invoices", "method": "GET", "times": 2}
    books.xero.faults.add(fault | ({"message": "Too many"} if kind == "refused" else {}))
    ask(books)
    books.run(timedelta(minutes=1))
    under_way = books.matches.get(lane(books))
    assert under_way is not None
    assert (under_way.page_size, under_way.tries) == (500, 1)
    order = another()
    books.send(order)
    books.run(timedelta(seconds=20))
    assert books.entry(order).state is State.POSTED
    books.run(timedelta(minutes=30), until_quiet=False)
    assert result(books).found == 0


def test_a_list_that_always_fails_is_left_until_the_next_night(books: OneProcess) -> None:
    post(books, 1)
    books.xero.faults.add(
        {"kind": "refused", "times": None, "path_prefix": "/api.xro/2.0/CreditNotes", "message": "No"}
    )
    ask(books)
    books.run(timedelta(hours=2), until_quiet=False)
    match = books.matches.get(lane(books))
    assert match is not None
    assert (match.id, match.waits_for) == ("", "refused")
    assert match.next_at > books.clock.now() + timedelta(hours=6)
    books.xero.faults.remove(None)
    books.clock.advance((match.next_at - books.clock.now()).total_seconds())
    books.run(timedelta(hours=1), until_quiet=False)
    assert result(books).found == 0


def test_a_match_waits_while_xero_is_down_or_has_no_calls_left(books: OneProcess) -> None:
    post(books, 1)
    for kind in ("maintenance", "rate_limit_minute", "rate_limit_day"):
        books.xero.faults.add({"kind": kind, "times": 1, "method": "GET"})
        before = result_id(books)
        ask(books)
        turns = len(books.xero.log.entries)
        books.run(timedelta(hours=1), until_quiet=False)
        if kind == "rate_limit_day":
            assert result_id(books) == before
            books.clock.advance(timedelta(hours=24).total_seconds())
            books.run(timedelta(hours=1), until_quiet=False)
        assert result_id(books) != before, kind
        assert len(books.xero.log.entries) - turns < 40
        books.xero.faults.remove(None)


def result_id(books: OneProcess) -> str:
    found = books.matches.result(lane(books), UNTRACKED)
    return found.id if found else ""


def test_a_company_that_is_not_connected_is_matched_once_it_is(books: OneProcess) -> None:
    post(books, 1)
    connection = books.connections.connection(UNTRACKED)
    assert connection is not None
    books.connections.save_connection(replace(connection, status="needs_reconnect"))
    ask(books)
    books.run()
    match = books.matches.get(connection.lane)
    assert match is not None
    assert match.waits_for == "not_connected"
    books.connections.save_connection(connection)
    ask(books)
    books.run()
    assert result(books).found == 0


def test_a_lane_that_nobody_posts_in_any_more_is_matched_no_more(books: OneProcess) -> None:
    post(books, 1)
    connection = books.connections.connection(UNTRACKED)
    assert connection is not None
    together(books.resource.meta.client, books.connections.leaves(connection))
    ask(books)
    books.run()
    assert books.matches.get(connection.lane) is None
    assert books.matches.result(connection.lane, UNTRACKED) is None


def test_a_fault_of_ours_in_the_match_holds_up_no_order(
    books: OneProcess, monkeypatch: pytest.MonkeyPatch, our_faults: list[Fault]
) -> None:
    post(books, 1)
    with monkeypatch.context() as broken:
        broken.setattr(book_match, "numbered", lambda *_: 1 / 0)
        broken.setattr(steps, "numbered", lambda *_: 1 / 0)
        ask(books)
        order = another()
        books.send(order)
        books.run(timedelta(minutes=5))
        assert books.entry(order).state is State.POSTED
    assert [type(fault.error) for fault in our_faults] == [ZeroDivisionError]
    our_faults.clear()
    match = books.matches.get(lane(books))
    assert match is not None
    assert (match.waits_for, match.tries) == ("our_fault", 1)
    books.run(timedelta(minutes=20), until_quiet=False)
    assert result(books).found == 0


def test_an_organisation_that_was_reset_is_told_within_a_few_calls(
    small_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mock_aws():
        books = OneProcess(tables=in_memory)
        organisation = books.organisation("Demo Company (AU)")
        company(books, TRACKED, organisation, process_method="tracked", tax_types=[])
        monkeypatch.setattr(steps, "MOST_GROUPS", 3)
        orders = post(books, 8, TRACKED)
        assert matched(books, TRACKED).found == 0
        documents = dict(organisation.documents)
        organisation.documents.clear()
        one = matched(books, TRACKED)
        assert found(one) == {"missing": 2 * len(orders)}
        assert one.calls == LISTS + 3
        again = matched(books, TRACKED)
        assert (found(again), len(books.bus.of("BooksDiffer"))) == (found(one), 1)
        organisation.documents |= documents
        assert matched(books, TRACKED).found == 0


def test_a_match_leaves_half_of_the_minutes_calls_to_orders(books: OneProcess, small_steps: None) -> None:
    fill(books, 4 * EACH)
    for _ in range(5):
        ask(books)
        books.run(timedelta(seconds=1), until_quiet=False)
    books.run(timedelta(minutes=5), until_quiet=False)
    calls = [call.at for call in books.calls()]
    for moment in calls:
        in_a_minute = [at for at in calls if moment <= at < moment + timedelta(minutes=1)]
        assert len(in_a_minute) <= 29 + 4
    assert result(books).found == 0


def test_a_row_that_can_not_be_read_makes_no_document_foreign(
    books: OneProcess, our_faults: list[Fault]
) -> None:
    [one, other] = post(books, 2)
    key = {"key": f"{UNTRACKED}#{one['id']}"}
    spoil(books, "OrdersTable", key, message=b"not a message")
    spoil(books, "OrdersTable", {"key": f"{UNTRACKED}#{other['id']}"}, state="of a newer version")
    assert matched(books).found == 0
    our_faults.clear()


def test_a_lane_whose_match_is_planned_already_keeps_it(books: OneProcess) -> None:
    post(books, 1)
    planned = books.matches.get(lane(books))
    assert planned is not None
    books.matches.plan(lane(books), books.clock.now())
    assert books.matches.get(lane(books)) == planned

"""The debtor is the contact that bears the name in the settings, whatever happens to contacts in Xero meanwhile."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from moto import mock_aws

from bookkeeping.domain.ledger import Entry, State
from local.samples import TRACKED, UNTRACKED, Maker
from local.xero.organisations import Contact, Document, Organisation
from tests.integration.one_process import OneProcess, in_memory

NAME = "Kornit X Sales"
AN_HOUR = timedelta(hours=1, seconds=1)


class Books:
    """A company's orders, and the contacts of its organisation as a person in Xero changes them."""

    def __init__(self, world: OneProcess) -> None:
        self.world = world
        self.organisation: Organisation = world.organisation("Demo Company (UK)")
        self.make = Maker()

    def company(self, name: str, **settings: Any) -> None:
        self.world.company(UNTRACKED, contact_name=name, **settings)

    def add(self, name: str, status: str = "ACTIVE") -> Contact:
        world = self.world.xero
        contact = Contact(world.new_id(), name, self.world.clock.now(), status=status)
        self.organisation.contacts[contact.id] = contact
        return contact

    def contact(self, name: str) -> Contact:
        return next(one for one in self.organisation.contacts.values() if one.name == name)

    def post(self, count: int = 1) -> list[Entry]:
        """Orders come in, and all that can be done for them is done."""
        orders = [self.make.order(UNTRACKED, 1) for _ in range(count)]
        self.world.send(*orders)
        self.world.run(timedelta(minutes=10))
        return [self.world.entry(order, UNTRACKED) for order in orders]

    def later(self, time: timedelta = AN_HOUR) -> None:
        self.world.clock.advance(time.total_seconds())

    def debtor(self, entry: Entry) -> str:
        return self.organisation.contacts[self.invoice(entry).contact_id].id

    def invoice(self, entry: Entry) -> Document:
        (invoice,) = (one for one in self.organisation.documents.values() if one.number == entry.number)
        return invoice

    def reads(self) -> int:
        return len(self.world.calls("GET", "Contacts"))


@pytest.fixture
def books() -> Iterator[Books]:
    with mock_aws():
        yield Books(OneProcess(tables=in_memory))


def stopped_for(entry: Entry) -> str:
    assert entry.state is State.NEEDS_ATTENTION
    assert entry.problem is not None
    return entry.problem.code


# --- finding it


@pytest.mark.parametrize(
    ("asked", "in_xero"),
    [
        pytest.param("MARLOW prints", "Marlow Prints", id="capitals"),
        pytest.param("Marlow  Prints", "Marlow Prints", id="two spaces in the settings"),
        pytest.param("Marlow Prints", "Marlow  Prints", id="two spaces in Xero"),
        pytest.param(
            "Marlow\u00a0Prints", "Marlow Prints", id="a space that does not break, in the settings"
        ),
        pytest.param("Marlow Prints", "Marlow\u00a0Prints", id="a space that does not break, in Xero"),
        pytest.param("Marlow Prints", "Marlow Prints ", id="a space behind it"),
        pytest.param("Cafe\u0301 Prints", "Café Prints", id="letters decomposed in the settings"),
        pytest.param("Café Prints", "Cafe\u0301 Prints", id="letters decomposed in Xero"),
        pytest.param("STRASSE 5", "Straße 5", id="ß in capitals"),
        pytest.param("Marlow\u200b Prints", "Marlow Prints", id="a character that nobody sees"),
        pytest.param("Cafe Prints", "Café Prints", id="an accent that was not typed"),
        pytest.param("Cafe", "Café", id="an accent in the only word"),
        pytest.param("IŞIK Baskı", "Işık Baskı", id="a dotless i"),
        pytest.param('The  "BEST" Mug Co', 'The "Best" Mug Co', id="double quotes and two spaces"),
        pytest.param("A\\B Supplies", "A\\B Supplies", id="a backslash"),
        pytest.param("R&D + Söhne, 100 % O'Brien", "R&D + Söhne, 100 % O'Brien", id="signs"),
        pytest.param("株式会社　印刷", "株式会社 印刷", id="a wide space"),
        pytest.param("\U0001f9e2" * 255, "\U0001f9e2" * 255, id="255 emoji"),
        pytest.param("é" * 255, "É" * 255, id="255 accented letters"),
        pytest.param("Мой Чай", "Мои\u0306 Чаи\u0306", id="Cyrillic in pieces"),
        pytest.param("Καφές", "Καφε\u0301ς", id="Greek in pieces"),
        pytest.param("プリント", "フ\u309aリント", id="Katakana in pieces"),
        pytest.param("Żółć", "Z\u0307o\u0301łc\u0301", id="Polish in pieces"),
        pytest.param("Marlow Prints", "Mar\u00adlow Pri\u200bnts", id="invisible inside its words"),
        pytest.param("Marlow ❤\ufe0f", "Mar\u00adlow ❤", id="a variation"),
    ],
)
def test_a_contact_is_found_by_a_name_that_looks_the_same(books: Books, asked: str, in_xero: str) -> None:
    wanted = books.add(in_xero)
    books.add("Marlow Prints Ltd")
    books.company(asked)
    (entry,) = books.post()
    assert entry.state is State.POSTED, entry.problem
    assert books.debtor(entry) == wanted.id


@pytest.mark.parametrize("other", ["Marlow Prints", "Marlow  Prints", "Marlow\u00a0Prints", "MARLOW PRINTS "])
def test_two_contacts_that_look_the_same_stop_the_order(books: Books, other: str) -> None:
    books.add("Marlow Prints")
    books.add(other)
    books.company("Marlow Prints")
    (entry,) = books.post()
    assert stopped_for(entry) == "contact_not_unique"


def test_two_contacts_that_only_resemble_the_name_are_named_and_never_to_be_merged(books: Books) -> None:
    books.add("Café Prints")
    meant = books.add("Cafè Prints")
    books.company("Cafe Prints")
    (entry,) = books.post()
    assert stopped_for(entry) == "contact_not_unique"
    assert entry.problem is not None
    assert "“Cafè Prints” and “Café Prints”" in entry.problem.sentence
    assert "exact name" in entry.problem.fix
    assert "“Contact name”" in entry.problem.fix
    assert "merge" not in entry.problem.fix.casefold()
    books.company(meant.name)
    (entry,) = books.post()
    assert entry.state is State.POSTED
    assert books.debtor(entry) == meant.id


def test_flags_of_two_countries_are_two_names(books: Books) -> None:
    scotland, wales = (
        "\U0001f3f4" + "".join(chr(0xE0000 + ord(sign)) for sign in code) for code in ("gbsct", "gbwls")
    )
    books.add(f"Shop {scotland}")
    books.company(f"Shop {wales}")
    (entry,) = books.post()
    assert stopped_for(entry) == "contact_not_found"


def test_full_width_letters_are_another_name(books: Books) -> None:
    books.add("Marlow Prints")
    books.company("Ｍarlow Prints")
    (entry,) = books.post()
    assert stopped_for(entry) == "contact_not_found"


def test_a_contact_is_found_among_thousands_that_share_its_words(books: Books) -> None:
    for place in range(1500):
        books.add(f"Prints {place}")
    wanted = books.add("Prints\u00a0& Co")
    books.company("Prints & Co")
    (entry,) = books.post()
    assert entry.state is State.POSTED
    assert books.debtor(entry) == wanted.id


def test_finding_a_contact_takes_two_calls_an_hour(books: Books) -> None:
    books.company(NAME)
    for _ in range(5):
        books.post()
    assert books.reads() == 2
    books.later()
    books.post()
    assert books.reads() == 4


# --- what people do in Xero


def renamed_and_its_name_given_to_another(books: Books) -> Contact:
    books.contact(NAME).name = "Harbour Cafe Ltd"
    return books.add(NAME)


def names_swapped_with_another(books: Books) -> Contact:
    first, second = books.contact(NAME), books.contact("O'Brien Prints")
    first.name, second.name = second.name, first.name
    return second


def archived_and_created_anew(books: Books) -> Contact:
    books.contact(NAME).status = "ARCHIVED"
    return books.add(NAME)


CHANGES = [renamed_and_its_name_given_to_another, names_swapped_with_another, archived_and_created_anew]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_an_hour_ago_is_known_before_anything_is_sent(books: Books, change: Any) -> None:
    books.company(NAME)
    (before,) = books.post()
    old = books.debtor(before)
    new = change(books)
    books.later()
    (entry,) = books.post()
    assert entry.state is State.POSTED
    assert books.debtor(entry) == new.id != old


def test_a_contact_that_was_only_renamed_stops_orders_within_the_hour(books: Books) -> None:
    books.company(NAME)
    books.post()
    books.contact(NAME).name = "Harbour Cafe Ltd"
    books.later()
    (entry,) = books.post()
    assert stopped_for(entry) == "contact_not_found"


def test_a_contact_merged_into_another_is_not_used_any_more(books: Books) -> None:
    books.company(NAME)
    books.post()
    # Xero archives the one that was merged, and its documents are the other's from then on
    books.contact(NAME).status = "ARCHIVED"
    (entry,) = books.post()
    assert stopped_for(entry) == "contact_archived"
    assert entry.number not in {one.number for one in books.organisation.documents.values()}


@pytest.mark.parametrize("change", [renamed_and_its_name_given_to_another, names_swapped_with_another])
def test_a_change_of_a_moment_ago_shows_on_the_first_batch_and_ends_with_it(
    books: Books, change: Any
) -> None:
    books.company(NAME)
    books.post()
    old = books.contact(NAME)
    new = change(books)
    shown = books.post(3)
    assert {stopped_for(entry) for entry in shown} == {"posted_contact_differs"}
    assert {books.debtor(entry) for entry in shown} == {old.id}
    for entry in shown:
        assert entry.problem is not None
        assert NAME in entry.problem.sentence
        assert old.name in entry.problem.sentence
    told = {event["order_id"] for event in books.world.bus.of("OrderNeedsAttention")}
    assert told == {entry.order_id for entry in shown}
    (entry,) = books.post()
    assert entry.state is State.POSTED
    assert books.debtor(entry) == new.id


def test_a_burst_right_after_a_change_is_one_batch_for_the_wrong_contact(books: Books) -> None:
    books.company(NAME)
    books.post()
    old = books.contact(NAME)
    new = renamed_and_its_name_given_to_another(books)
    entries = books.post(300)
    wrong = [entry for entry in entries if books.debtor(entry) == old.id]
    assert 0 < len(wrong) <= 50
    assert {stopped_for(entry) for entry in wrong} == {"posted_contact_differs"}
    assert {books.debtor(entry) for entry in entries if entry not in wrong} == {new.id}


def test_a_burst_without_a_change_still_goes_four_calls_at_a_time(books: Books) -> None:
    books.company(NAME)
    books.post()
    before = len(books.world.calls("PUT"))
    entries = books.post(300)
    assert {entry.state for entry in entries} == {State.POSTED}
    assert len(books.world.calls("PUT")) - before == 6


def test_an_order_posted_for_a_renamed_contact_counts_as_posted_once_a_person_says_so(books: Books) -> None:
    books.company(NAME)
    books.post()
    books.contact(NAME).name = "Harbour Cafe Ltd"
    (entry,) = books.post()
    assert stopped_for(entry) == "posted_contact_differs"
    assert list(entry.documents) == ["invoice"]


def test_a_contact_renamed_in_capitals_only_is_the_same(books: Books) -> None:
    books.company(NAME)
    books.post()
    books.contact(NAME).name = "KORNIT X  SALES"
    (entry,) = books.post()
    assert entry.state is State.POSTED


def test_a_contact_that_was_found_without_its_accents_is_no_change(books: Books) -> None:
    wanted = books.add("Café Prints")
    books.company("Cafe Prints")
    for _ in range(2):
        (entry,) = books.post()
        assert entry.state is State.POSTED
    # somebody who bears the very name goes before
    exact = books.add("Cafe Prints")
    books.later()
    (entry,) = books.post()
    assert books.debtor(entry) == exact.id != wanted.id


def test_accents_that_two_contacts_swap_are_a_change(books: Books) -> None:
    first, second = books.add("Café Prints"), books.add("Cafe Prints")
    books.company("Café Prints")
    books.post()
    first.name, second.name = second.name, first.name
    (entry,) = books.post()
    assert stopped_for(entry) == "posted_contact_differs"
    (entry,) = books.post()
    assert books.debtor(entry) == second.id


def test_the_contact_of_purchase_orders_is_looked_up_by_its_own_name() -> None:
    with mock_aws():
        world = OneProcess(tables=in_memory)
        organisation, supplier = world.organisation("Demo Company (AU)"), "Kornit X Blanks Supplier"
        world.company(
            TRACKED, organisation, process_method="tracked", purchase_order_contact_name=supplier.upper()
        )
        make, bought_from = Maker(), dict[str, str]()
        for change in (None, "Another Supplier"):
            if change:
                old = next(one for one in organisation.contacts.values() if one.name == supplier)
                old.name = change
                new = Contact(world.xero.new_id(), supplier, world.clock.now())
                organisation.contacts[new.id] = new
                world.clock.advance(AN_HOUR.total_seconds())
            order = make.order(TRACKED, 1)
            world.send(order)
            world.run()
            entry = world.entry(order, TRACKED)
            assert entry.state is State.POSTED
            documents = [one for one in organisation.documents.values() if one.number == entry.number]
            bought_from |= {
                one.kind: organisation.contacts[one.contact_id].name
                for one in documents
                if one.kind == "PURCHASEORDER" or one.kind == "ACCREC"
            }
            assert bought_from["PURCHASEORDER"] == supplier


def test_a_name_in_any_form_finds_what_is_remembered_of_it(books: Books) -> None:
    books.add("Café Prints")
    for name in ("Café Prints", unicodedata.normalize("NFD", "CAFÉ  PRINTS")):
        books.company(name)
        books.post()
    assert books.reads() == 2

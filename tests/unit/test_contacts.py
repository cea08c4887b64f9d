"""Which contact a name means, and what Xero is asked to find it."""

from __future__ import annotations

from typing import Any

import pytest

from bookkeeping.domain.contacts import MOST_IN_A_QUERY, Contact, contact_matching, contact_queries, same_name
from bookkeeping.domain.problems.problem import Problem


def contact(id: str, name: str, status: str | None = "ACTIVE") -> dict[str, Any]:  # noqa: A002
    return {"ContactID": id, "Name": name, **({"ContactStatus": status} if status else {})}


def chosen(name: str, listed: list[dict[str, Any]]) -> str:
    found = contact_matching(name, listed)
    assert isinstance(found, Contact), found
    return found.id


ALIKE = [
    pytest.param("MARLOW & finch", "Marlow & Finch", id="capitals"),
    pytest.param(" Marlow & Finch ", "Marlow & Finch", id="spaces around it"),
    pytest.param("Marlow  &   Finch", "Marlow & Finch", id="several spaces"),
    pytest.param("Marlow\u00a0& Finch", "Marlow & Finch", id="a space that does not break"),
    pytest.param("Marlow\u2009&\u3000Finch", "Marlow & Finch", id="thin and wide spaces"),
    pytest.param("Marlow\t& Finch\n", "Marlow & Finch", id="a tab and a line's end"),
    pytest.param("Cafe\u0301 Prints", "Café Prints", id="decomposed letters"),
    pytest.param("Bien\u0302\u0323", "Bien\u0323\u0302", id="marks in another order"),
    pytest.param("STRASSE 5", "Straße 5", id="ß in capitals"),
    pytest.param("ΟΔΟΣ", "οδος", id="final sigma"),
    pytest.param("Mar\u00adlow\u200b & Finch\ufeff", "Marlow & Finch", id="what nobody sees"),
    pytest.param("\u200eMarlow & Finch\u200f", "Marlow & Finch", id="marks of direction"),
    pytest.param("\U0001f9e2" * 255, "\U0001f9e2" * 255, id="255 emoji"),
]
APART = [
    pytest.param("Marlow", "Marlow Ltd", id="a part"),
    pytest.param("MarlowPrints", "Marlow Prints", id="without the space"),
    pytest.param("ＭＡＲＬＯＷ", "Marlow", id="full-width letters"),
    pytest.param("Marlow-Prints", "Marlow\u2013Prints", id="another dash"),
    pytest.param("ハス", "バス", id="another Japanese word"),
    pytest.param("Mаrlow", "Marlow", id="a Cyrillic letter"),
]
WITHOUT_ACCENTS = [
    pytest.param("Cafe Prints", "Café Prints", id="an accent that was not typed"),
    pytest.param("Müller", "Muller", id="one that is not in Xero"),
    pytest.param("istanbul", "İstanbul", id="a dot"),
    pytest.param("IŞIK", "Işık", id="an i without its dot"),
    pytest.param("می\u200cشود", "میشود", id="a joiner"),
]


@pytest.mark.parametrize(("asked", "in_xero"), ALIKE)
def test_names_that_look_alike_are_one_name(asked: str, in_xero: str) -> None:
    assert same_name(asked, in_xero)
    assert same_name(in_xero, asked)
    assert chosen(asked, [contact("1", in_xero), contact("2", "Another")]) == "1"


@pytest.mark.parametrize(("asked", "in_xero"), APART)
def test_names_that_look_different_are_two(asked: str, in_xero: str) -> None:
    assert not same_name(asked, in_xero)
    found = contact_matching(asked, [contact("1", in_xero)])
    assert isinstance(found, Problem)
    assert found.code == "contact_not_found"


@pytest.mark.parametrize(("asked", "in_xero"), WITHOUT_ACCENTS)
def test_a_name_without_its_accents_means_the_only_contact_it_can(asked: str, in_xero: str) -> None:
    assert not same_name(asked, in_xero)
    assert chosen(asked, [contact("1", in_xero), contact("2", "Another")]) == "1"


def test_accents_tell_two_contacts_apart() -> None:
    both = [contact("1", "Café"), contact("2", "Cafe")]
    assert chosen("CAFÉ", both) == "1"
    assert chosen("cafe", both) == "2"


def test_a_name_that_could_be_two_contacts_without_accents_is_neither() -> None:
    found = contact_matching(
        "Cafe", [contact("1", "Café"), contact("2", "Cafè"), contact("3", "CAFÉ", "ARCHIVED")]
    )
    assert isinstance(found, Problem)
    assert found.code == "contact_not_unique"
    assert "“Cafè” and “Café”" in found.sentence
    assert "merge" not in found.fix.casefold()


def test_two_contacts_of_one_name_are_renamed_and_merged_only_if_they_are_one_customer() -> None:
    found = contact_matching("Cafe", [contact("1", "Café"), contact("2", "CAFÉ")])
    assert isinstance(found, Problem)
    assert "more than one contact named “Cafe”" in found.sentence
    assert found.fix.startswith("Rename the contacts in Xero that are not meant")
    assert "Merge them only if they are the same customer" in found.fix


def test_a_contact_that_bears_the_name_goes_before_one_without_accents_though_it_is_archived() -> None:
    found = contact_matching("Café", [contact("1", "Café", "ARCHIVED"), contact("2", "Cafe")])
    assert isinstance(found, Problem)
    assert found.code == "contact_archived"


def test_an_archived_namesake_does_not_hide_the_active_contact() -> None:
    listed = [contact("1", "Marlow", "ARCHIVED"), contact("2", "Marlow"), contact("2", "Marlow")]
    assert chosen("Marlow", listed) == "2"


@pytest.mark.parametrize(
    ("listed", "code"),
    [
        ([], "contact_not_found"),
        ([contact("1", "Marlow Ltd")], "contact_not_found"),
        ([contact("1", "Marlow", "ARCHIVED")], "contact_archived"),
        ([contact("1", "Marlow", "GDPRREQUEST")], "contact_archived"),
        ([contact("1", "Marlow"), contact("2", "MARLOW")], "contact_not_unique"),
        ([contact("1", "Marlow"), contact("2", "Marlow\u00a0")], "contact_not_unique"),
        ([{"ContactID": None, "Name": "Marlow"}, {"Name": "Marlow"}, "Marlow", None], "contact_not_found"),
    ],
)
def test_a_contact_that_cannot_be_used_stops_the_order(listed: list[Any], code: str) -> None:
    found = contact_matching("Marlow", listed)
    assert isinstance(found, Problem)
    assert found.code == code
    assert found.details["contact"] == "Marlow"


@pytest.mark.parametrize(
    ("name", "queries"),
    [
        ("Marlow  & Finch", [{"where": 'Name=="Marlow & Finch"'}, {"searchTerm": "Marlow"}]),
        ("Cafe\u0301 Prints", [{"where": 'Name=="Café Prints"'}, {"searchTerm": "Prints"}]),
        ('The "Good" Mug Co', [{"searchTerm": "Good"}]),
        ("A\\B Supplies", [{"searchTerm": "Supplies"}]),
        ("é", [{"where": 'Name=="é"'}, {"searchTerm": "é"}]),
        ("株式会社 印刷", [{"where": 'Name=="株式会社 印刷"'}, {"searchTerm": "株式会社"}]),
        ("O'Brien Prints", [{"where": 'Name=="O\'Brien Prints"'}, {"searchTerm": "O'Brien"}]),
    ],
)
def test_xero_is_asked_for_the_name_and_for_a_part_that_all_its_spellings_have(
    name: str, queries: list[dict[str, str]]
) -> None:
    asked = contact_queries(name)
    assert [
        {key: query[key] for key in ("where", "searchTerm") if key in query} for query in asked
    ] == queries
    assert all(query["includeArchived"] == "true" for query in asked)


def test_a_long_name_does_not_make_a_long_address() -> None:
    for name in ("\U0001f9e2" * 255, "é" * 255, "x" * 255, '"' * 255):
        for query in contact_queries(name):
            assert len((query.get("where", "") + query.get("searchTerm", "")).encode()) <= 2 * MOST_IN_A_QUERY

"""Contacts of an organisation: which one a name means, and what Xero is asked to find it.

Names are compared as people see them. Two spellings are one name if they differ only in capitals, in the width or
number of spaces, in how accented letters are composed, or in characters that nobody sees.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bookkeeping.domain.moments import LONG_AGO
from bookkeeping.domain.problems.problem import Problem

MOST_IN_A_QUERY: Final = 600
"""Bytes of a name in a query. Servers refuse long addresses, and a byte takes up to three characters there."""
LISTED_A_PAGE: Final = 1000
_JOINERS: Final = "\u200c\u200d"
_TAGS: Final = "".join(map(chr, range(0xE0020, 0xE0080)))
_SEEN: Final = frozenset(_JOINERS + _TAGS)
"""They change how Persian, emoji and flags look, unlike all other characters that take no room."""
_VARIATIONS: Final = frozenset(map(chr, range(0xFE00, 0xFE10)))
"""They choose between two looks of one sign."""
_SAME_IN_ALL_SPELLINGS: Final = re.compile(r'[^\s"\\\x00-\x1f\x7f-\U0010ffff]+')
"""Plain letters, digits and signs: no spelling composes or accents the others differently."""
_ACCENTS_AND_JOINERS: Final = re.compile(rf"[\u0300-\u036f{_JOINERS}]")


@dataclass(frozen=True)
class Contact:
    id: str
    name: str
    status: str
    read_at: datetime = LONG_AGO
    """When Xero was last asked who bears the name."""


def name_key(name: str) -> str:
    """The same text for all spellings of a name."""
    seen = "".join(
        character
        for character in unicodedata.normalize("NFC", name)
        if character in _SEEN or (unicodedata.category(character) != "Cf" and character not in _VARIATIONS)
    )
    return unicodedata.normalize("NFC", " ".join(seen.split()).casefold())


def same_name(one: str, other: str) -> bool:
    return name_key(one) == name_key(other)


def _without_accents(name: str) -> str:
    plain = _ACCENTS_AND_JOINERS.sub("", unicodedata.normalize("NFD", name_key(name)))
    return unicodedata.normalize("NFC", plain.replace("ı", "i"))


def contact_matching(name: str, contacts_json: Iterable[Any]) -> Contact | Problem:
    """The one active contact among Xero's `Contacts` that bears the name; or why there is none.

    Where no contact bears the name, it is the one active contact whose name is the same without accents.
    """
    contacts = {
        contact.id: contact
        for contact in (_contact_from_xero(one) for one in contacts_json if isinstance(one, Mapping))
        if contact.id
    }
    named = [contact for contact in contacts.values() if same_name(contact.name, name)]
    if not named:
        plain = _without_accents(name)
        named = [contact for contact in contacts.values() if _without_accents(contact.name) == plain]
    active = [contact for contact in named if contact.status == "ACTIVE"]
    if len(active) == 1:
        return active[0]
    if len({name_key(contact.name) for contact in active}) > 1:
        *others, last = sorted(f"“{contact.name}”" for contact in active)
        return Problem("contact_not_unique", {"contact": name, "similar": f"{', '.join(others)} and {last}"})
    code = "contact_not_unique" if active else "contact_archived" if named else "contact_not_found"
    return Problem(code, {"contact": name})


def contact_queries(name: str) -> list[dict[str, str]]:
    """Parameters of the GETs of Contacts whose answers together hold every contact that the name can mean.

    `where` compares whole names, without regard to capitals and accents. It takes no double quote and no backslash. The
    search finds parts of names, so it is asked for a part that all spellings of the name have in common.
    """
    spelt = " ".join(unicodedata.normalize("NFC", name).split())
    queries = []
    if not any(sign in spelt for sign in '"\\') and len(spelt.encode()) <= MOST_IN_A_QUERY:
        queries.append({"where": f'Name=="{spelt}"'})
    words = _SAME_IN_ALL_SPELLINGS.findall(spelt) or spelt.split()
    word = max(words, key=len, default="").encode()[:MOST_IN_A_QUERY].decode(errors="ignore")
    if word:
        queries.append({"searchTerm": word, "page": "1", "pageSize": str(LISTED_A_PAGE)})
    return [{"includeArchived": "true", **query} for query in queries]


def query_for_all(names: Iterable[str]) -> dict[str, str] | None:
    """Parameters of one GET of Contacts that finds the contacts of these names; None where one can't hold them all.

    It finds whole names only, or, of a single name that `where` does not take, what the search finds.
    """
    queries = [contact_queries(name) for name in names if name]
    wheres = [query[0]["where"] for query in queries if query and "where" in query[0]]
    if wheres and len(wheres) == len(queries) and sum(map(len, wheres)) <= 2 * MOST_IN_A_QUERY:
        return {"includeArchived": "true", "where": " OR ".join(wheres)}
    return queries[0][-1] if len(queries) == 1 and queries[0] else None


def why_unusable(name: str, problem: Problem) -> tuple[str, str]:
    """Why no contact can be used under that name, and what to do."""
    if "similar" in problem.details:
        return (
            f"In Xero are {problem.details['similar']}, and none is named “{name}”.",
            "Enter the exact name.",
        )
    said = {
        "contact_archived": (
            f"The contact “{name}” is archived in Xero.",
            "Restore it there, or enter another.",
        ),
        "contact_not_unique": (
            f"Xero has more than one contact named “{name}”.",
            "Rename or merge them there.",
        ),
        "contact_not_searchable": (f"Xero refused to look for “{name}”.", "Check that name."),
    }
    missing = (f"Xero has no contact named “{name}” yet.", "Add it there, or correct the name.")
    return said.get(problem.code, missing)


def every_active_contact() -> dict[str, str]:
    """Parameters of the GET of all active contacts, a page at a time, for names that no search of Xero's finds.

    Letters may be stored in pieces, or with characters that nobody sees between them.
    """
    return {"where": 'ContactStatus=="ACTIVE"', "order": "Name", "page": "1", "pageSize": str(LISTED_A_PAGE)}


def _contact_from_xero(contact_json: Mapping[str, Any]) -> Contact:
    def text(key: str) -> str:
        value = contact_json.get(key)
        return value if isinstance(value, str) else ""

    return Contact(text("ContactID"), text("Name"), text("ContactStatus") or "ACTIVE")

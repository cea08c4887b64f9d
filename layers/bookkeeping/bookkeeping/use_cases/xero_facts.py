"""Facts about an organisation, and its contacts by name, read from Xero and cached.

Posting and the settings page share this. Each passes its own way of reading, because posting paces its calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.domain.contacts import (
    Contact,
    contact_matching,
    contact_queries,
    every_active_contact,
    query_for_all,
)
from bookkeeping.domain.errors import CallRefused
from bookkeeping.domain.organisation import Organisation, organisation_from_xero
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.problems.xero_messages import quoted

KEPT_BY_POSTING: Final = timedelta(hours=12)
KEPT_UNREGISTERED: Final = timedelta(hours=1)
"""Where the organisation is not registered for tax. Once it is, nothing in Xero's answers shows that tax is missing."""
KEPT_BY_PAGE: Final = timedelta(minutes=5)
"""Short, so that a person soon sees what they changed in Xero."""
CONTACT_KEPT: Final = timedelta(minutes=59)
"""A contact's id counts only while the contact bears the name, and anybody can rename it in Xero. So nothing is sent to
a contact whose name was read more than an hour ago; a document takes a moment from being made to being sent."""
MOST_PAGES: Final = 10
MOST_PAGES_OF_ALL: Final = 3
RESOURCES: Final = ("Organisation", "Accounts", "TaxRates", "Currencies")

Query = tuple[str, Mapping[str, str]]
"""A resource of Xero and the parameters of the GET."""
Read = Callable[[Sequence[Query]], Sequence[Any]]
"""Xero's answers to queries, in their order. A CallRefused is an answer, too."""


class XeroFacts:
    """Facts about one organisation. Missing or stale facts are read from Xero."""

    def __init__(
        self, organisations: Organisations, organisation_id: str, read: Read, now: Callable[[], datetime]
    ) -> None:
        self._organisations = organisations
        self._organisation_id = organisation_id
        self._read = read
        self._now = now

    def organisation(self, kept: timedelta) -> tuple[Organisation, datetime]:
        """The organisation's facts and when they were read, which is less than `kept` ago. Raises CallRefused."""
        known = self._organisations.get(self._organisation_id)
        if known is not None:
            kept = kept if known[0].pays_tax else min(kept, KEPT_UNREGISTERED)
            if self._now() - known[1] < kept:
                return known
        answers = self._read([(resource, {}) for resource in RESOURCES])
        for answer in answers:
            if isinstance(answer, CallRefused):
                raise answer
        organisation = organisation_from_xero(*answers)
        read_at = self._now()
        self._organisations.save(organisation, read_at)
        return organisation, read_at

    def contact(self, name: str) -> Contact | Problem:
        """The contact that bears the name; or why none can be used."""
        known = remembered_contact(self._organisations, self._organisation_id, name, self._now())
        return known or self.look_up_contact(name)

    def look_up_contact(self, name: str) -> Contact | Problem:
        """The contact that bears the name as Xero says now, which is remembered; or why none can be used."""
        queries = contact_queries(name)
        answers = list(self._read([("Contacts", query) for query in queries]))
        found = contact_matching(name, contacts_in(answers))
        pages = min(max(map(_pages, answers), default=1), MOST_PAGES)
        if isinstance(found, Problem) and pages > 1:
            rest = [queries[-1] | {"page": str(page)} for page in range(2, pages + 1)]
            answers += self._read([("Contacts", query) for query in rest])
            found = contact_matching(name, contacts_in(answers))
        if isinstance(found, Problem) and found.code == "contact_not_found":
            found = self._among_all(name)
        if isinstance(found, Contact):
            found = replace(found, read_at=self._now())
            self._organisations.save_contact(self._organisation_id, name, found)
            return found
        self._organisations.doubt_contact(self._organisation_id, name)
        if found.code in ("contact_not_found", "contact_archived") and (now_called := self._now_called(name)):
            return replace(found, details={**found.details, "now_called": now_called})
        refused = [answer for answer in answers if isinstance(answer, CallRefused)]
        if refused and found.code == "contact_not_found":
            return Problem("contact_not_searchable", found.details, quoted(refused[0].messages))
        return found

    def _now_called(self, name: str) -> str:
        """What the contact that bore the name, or the one it was merged into, is called now; empty: unknown."""
        before = self._organisations.contact(self._organisation_id, name)
        id_ = before.id if before else ""
        # once more where it was merged
        for _ in range(2):
            if not id_:
                return ""
            query = {"IDs": id_, "includeArchived": "true", "page": "1"}
            found = [
                one for one in contacts_in(self._read([("Contacts", query)])) if one.get("ContactID") == id_
            ]
            if not found:
                return ""
            if found[0].get("ContactStatus") == "ACTIVE":
                called = found[0].get("Name")
                return called if isinstance(called, str) else ""
            merged_into = found[0].get("MergedToContactID")
            id_ = merged_into if isinstance(merged_into, str) else ""
        return ""

    def contacts_in_one_call(self, names: Sequence[str]) -> dict[str, Contact | Problem]:
        """The contacts of these names as far as one call of Xero tells; a name that it does not tell is left out."""
        query = query_for_all(names)
        answers = self._read([("Contacts", query)]) if query else []
        if not query or isinstance(answers[0], CallRefused):
            return {}
        found = {name: contact_matching(name, contacts_in(answers)) for name in names}
        for name, contact in found.items():
            if isinstance(contact, Contact):
                self._organisations.save_contact(
                    self._organisation_id, name, replace(contact, read_at=self._now())
                )
            elif contact.code == "contact_not_found":
                # other spellings of a name are found by more calls than one
                now = self._now()
                known = remembered_contact(self._organisations, self._organisation_id, name, now)
                found[name] = known or contact
        return found

    def _among_all(self, name: str) -> Contact | Problem:
        """The contact that bears the name among the first pages of all active ones."""
        every = every_active_contact()
        answers: list[Any] = []
        for page in range(1, MOST_PAGES_OF_ALL + 1):
            answers += self._read([("Contacts", every | {"page": str(page)})])
            if page >= _pages(answers[0]):
                break
        return contact_matching(name, contacts_in(answers))


def remembered_contact(
    organisations: Organisations, organisation_id: str, name: str, now: datetime
) -> Contact | None:
    """The contact that bore the name when Xero was last asked; None where that is too long ago."""
    contact = organisations.contact(organisation_id, name)
    return contact if contact is not None and now - contact.read_at < CONTACT_KEPT else None


def contacts_in(answers: Sequence[Any]) -> list[Any]:
    """The contacts that are listed in Xero's answers."""
    listed = [answer.get("Contacts") for answer in answers if isinstance(answer, Mapping)]
    return [contact for contacts in listed if isinstance(contacts, list) for contact in contacts]


def _pages(answer: Any) -> int:
    """How many pages there are of the list that the answer is the first of."""
    pagination = answer.get("pagination") if isinstance(answer, Mapping) else None
    pages = pagination.get("pageCount") if isinstance(pagination, Mapping) else None
    return pages if isinstance(pages, int) else 1

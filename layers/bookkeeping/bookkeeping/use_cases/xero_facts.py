"""What Xero is asked about an organisation: its facts, and its contacts by name.

Posting and the settings page ask the same. Each gives its own way of reading: posting's calls are paced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.domain.errors import CallRefused
from bookkeeping.domain.organisation import Contact, Organisation, contact_matching, organisation_from_xero
from bookkeeping.domain.problems.problem import OrderStopped, Problem

KEPT_BY_POSTING: Final = timedelta(hours=12)
KEPT_BY_PAGE: Final = timedelta(minutes=5)
"""A person at the settings wants to see what they did in Xero a moment ago."""
RESOURCES: Final = ("Organisation", "Accounts", "TaxRates", "Currencies")

Query = tuple[str, Mapping[str, str]]
"""A resource of Xero and the parameters of the GET."""
Read = Callable[[Sequence[Query]], Sequence[Any]]
"""Xero's answers to queries, in their order. Raises CallRefused."""


class XeroFacts:
    """What is known of one organisation. What is missing, or was read too long ago, is asked of Xero."""

    def __init__(
        self, organisations: Organisations, organisation_id: str, read: Read, now: Callable[[], datetime]
    ) -> None:
        self._organisations = organisations
        self._organisation_id = organisation_id
        self._read = read
        self._now = now

    def organisation(self, kept: timedelta) -> tuple[Organisation, datetime]:
        """The organisation's facts and when they were read, which is less than `kept` ago."""
        known = self._organisations.get(self._organisation_id)
        if known is not None and self._now() - known[1] < kept:
            return known
        organisation = organisation_from_xero(*self._read([(resource, {}) for resource in RESOURCES]))
        read_at = self._now()
        self._organisations.save(organisation, read_at)
        return organisation, read_at

    def contact(self, name: str) -> Contact | Problem:
        """The contact of that name, as far as it is known; else as Xero says now."""
        return self._organisations.contact(self._organisation_id, name) or self.look_up_contact(name)

    def look_up_contact(self, name: str) -> Contact | Problem:
        """The contact of that name as Xero says now, which is kept; or why it can't be used."""
        # a double quote can't be escaped in `where`; the search finds such names too
        by_name = {"searchTerm": name} if '"' in name else {"where": f'Name=="{name}"'}
        try:
            [answer] = self._read([("Contacts", {"includeArchived": "true", **by_name})])
            contact = contact_matching(name, answer.get("Contacts", []))
        except CallRefused as refused:
            return Problem("contact_not_searchable", {"contact": name}, refused.messages)
        except OrderStopped as stopped:
            self._organisations.forget_contact(self._organisation_id, name)
            return stopped.problem
        self._organisations.save_contact(self._organisation_id, name, contact)
        return contact

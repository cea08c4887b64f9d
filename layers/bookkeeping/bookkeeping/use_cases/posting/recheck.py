"""Reads Xero again while orders wait for something that a person can put right there, and frees them once it changed.

A lane does so for all its companies at once, now and then, at the beginning of a turn. It reads only what the orders
wait for, and asks for a release of exactly those lists whose cause may be gone. What was read is written down when the
lane is let go. A crash before that has it read once more, and the release asked for twice, which does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.queues import ReleaseCall
from bookkeeping.adapters.tables.books import books_to_post
from bookkeeping.adapters.tables.releases import Release
from bookkeeping.domain.contacts import Contact, contact_matching, contact_queries
from bookkeeping.domain.document_kinds import DocumentKind, contact_setting
from bookkeeping.domain.errors import CallRefused, CompanyHeld
from bookkeeping.domain.ledger import FREED_BY_XERO, Books, State
from bookkeeping.domain.moments import LONG_AGO
from bookkeeping.domain.organisation import organisation_from_xero, xero_moment
from bookkeeping.domain.problems.catalogue import Watch
from bookkeeping.domain.rechecks import (
    INDEX_LAGS,
    MIXED,
    NOT_USABLE,
    OFTEN,
    RESOURCE_OF,
    SELDOM,
    SOON,
    Recheck,
    fingerprint,
    watched,
)
from bookkeeping.use_cases.posting.company_turn import reading
from bookkeeping.use_cases.posting.lane_holder import LaneHolder
from bookkeeping.use_cases.xero_facts import RESOURCES, Query, XeroFacts, contacts_in

CALLS_A_NAME: Final = 3
"""One tells whether a contact can be used; where it can, two more look it up."""


def read_again(holder: LaneHolder) -> None:
    """Read Xero again for the lane's stopped orders, if it is time to. Raises TurnEnds."""
    lane, now = holder.lane, holder.now
    if lane.recheck.due(now, lane.opened_at, lane.asked_at):
        # first, so that a fault does not have it tried again at once
        holder.note_recheck(lane.recheck.put_off(now, OFTEN))
        _Reading(holder, lane.recheck).run()


@dataclass(frozen=True)
class _Waiting:
    """A company whose orders wait for something in Xero."""

    books: Books
    since: Mapping[str, datetime]
    """Their problems' codes → when the latest order stopped with it."""

    @property
    def watches(self) -> frozenset[Watch]:
        return frozenset[Watch]().union(*map(watched, self.since))

    @property
    def contact_names(self) -> list[str]:
        """The contacts of its documents, where orders wait for one of them."""
        if "contacts" not in self.watches:
            return []
        settings = self.books.settings
        kinds: list[DocumentKind] = ["invoice"]
        if settings.process_method == "tracked":
            kinds.append("purchase_order")
        names = (str(getattr(settings, contact_setting(kind, settings))) for kind in kinds)
        return [name for name in dict.fromkeys(names) if name]


class _Reading:
    """One reading of Xero for the stopped orders of a lane."""

    def __init__(self, holder: LaneHolder, recheck: Recheck) -> None:
        self._holder = holder
        self._recheck = recheck
        """As it stood before."""
        self._waiting: list[_Waiting] = []

    def run(self) -> None:
        holder, before = self._holder, self._recheck
        now, stopped_lately = holder.now, holder.now - before.stopped_at < INDEX_LAGS
        connected, looked_at = self._find_waiting()
        if not connected:
            holder.note_recheck(before.without_company(now))
        elif not self._waiting:
            if stopped_lately:
                holder.note_recheck(before.put_off(now, SOON))
            elif looked_at < connected:
                holder.note_recheck(before.put_off(now, self._held_for() or SELDOM))
            else:
                holder.note_recheck(before.over(now))
        elif self._calls_needed() > before.left(now, self._day_left):
            holder.note_recheck(before.without_calls(now))
        else:
            self._read()

    def _find_waiting(self) -> tuple[int, int]:
        """How many companies are connected through the lane, and of how many of them it is known what waits."""
        holder, connected, looked_at = self._holder, 0, 0
        for company in holder.adapters.connections.companies_of(holder.lane):
            with contained(company):
                books = books_to_post(holder.adapters.settings, holder.adapters.connections, company)
                if books is None or not holder.is_here(books):
                    continue
                connected += 1
                if not books.may_send or company in holder.held:
                    continue
                reasons = holder.adapters.orders.newest_by_reason(company, State.NEEDS_ATTENTION)
                looked_at += 1
                since = {code: at for code, at in reasons.items() if watched(code)}
                if since:
                    self._waiting.append(_Waiting(books, since))
        return connected, looked_at

    def _held_for(self) -> timedelta | None:
        """How long the first of the companies that have to wait does so."""
        now = self._holder.now
        return min(
            (at - now for at in self._holder.held.values() if at is not None and at > now), default=None
        )

    @property
    def _day_left(self) -> int | None:
        said = self._holder.tally.day_left
        return self._holder.lane.day_left if said is None else said

    def _facts_watched(self) -> list[Watch]:
        watches = frozenset[Watch]().union(*(one.watches for one in self._waiting))
        return sorted(watches.intersection(RESOURCE_OF))

    def _calls_needed(self) -> int:
        names = sum(len(one.contact_names) for one in self._waiting)
        return len(self._facts_watched()) + CALLS_A_NAME * names

    def _read(self) -> None:
        holder, before, calls_before = self._holder, self._recheck, self._holder.tally.calls
        recheck = before.put_off(holder.now, OFTEN)
        try:
            gone = {one.books.company: self._gone_by_contacts(one) for one in self._waiting}
            watches = self._facts_watched()
            said = self._facts_said(watches) if watches else {}
            unread = said is None or None in gone.values()
            if said or not unread:
                recheck = before.read(holder.now, said or {})
            if unread:
                # without a call made, a token is being renewed
                soon = self._held_for() if holder.tally.calls == calls_before else None
                recheck = recheck.put_off(holder.now, soon or OFTEN)
            changed = {watch for watch, says in (said or {}).items() if before.seen.get(watch, MIXED) != says}
            if changed:
                # the orders are made from what Xero says now
                holder.adapters.organisations.forget(holder.lane.organisation_id)
            for one in self._waiting:
                by_facts = {code for code in one.since if watched(code) & changed}
                self._release(one, by_facts | (gone[one.books.company] or set()))
        finally:
            calls = holder.tally.calls - calls_before
            holder.note_recheck(recheck.called(calls, holder.now, self._day_left))

    def _reading(self, company: Books, queries: Sequence[Query]) -> list[Any]:
        """Xero's answers, in the order of the queries. Raises CompanyHeld or TurnEnds."""
        access = self._holder.access(company)
        return list(reading(self._holder, company.company, access)(queries))

    def _facts_said(self, watches: Sequence[Watch]) -> dict[Watch, str] | None:
        """What Xero says now of what is watched, as fingerprints; None where no company could ask."""
        resources = [RESOURCE_OF[watch] for watch in watches]
        for one in self._waiting:
            with suppress(CompanyHeld):
                answers = self._reading(one.books, [(resource, {}) for resource in resources])
                for answer in answers:
                    if isinstance(answer, CallRefused):
                        self._holder.handle_failure(one.books.company, answer)
                        raise CompanyHeld from answer
                known = dict(zip(resources, answers, strict=True))
                facts = organisation_from_xero(*(known.get(resource, {}) for resource in RESOURCES))
                return {watch: fingerprint(watch, facts) for watch in watches}
        return None

    def _gone_by_contacts(self, waiting: _Waiting) -> set[str] | None:
        """The problems that are gone, for all the company's contacts can be used; None where Xero could not be asked.

        One call a contact tells that it can't be used. Where it can, it is looked up as for a document, so that orders
        are not freed in vain.
        """
        names, books, holder = waiting.contact_names, waiting.books, self._holder
        if not names:
            return set()
        with suppress(CompanyHeld):
            # the first query finds those that bear exactly the name
            answers = self._reading(books, [("Contacts", contact_queries(name)[0]) for name in names])
            found = [
                contact_matching(name, contacts_in([one])) for name, one in zip(names, answers, strict=True)
            ]
            usable = {one.id for one in found if isinstance(one, Contact)}
            edited = [
                xero_moment(one.get("UpdatedDateUTC")) or LONG_AGO
                for one in contacts_in(answers)
                if one.get("ContactID") in usable
            ]
            gone = {
                code
                for code, at in waiting.since.items()
                if "contacts" in watched(code) and (code in NOT_USABLE or max(edited, default=at) > at)
            }
            if not gone or not all(isinstance(one, Contact) for one in found):
                return set()
            access = holder.access(books)
            read = reading(holder, books.company, access)
            facts = XeroFacts(holder.adapters.organisations, access.organisation_id, read, lambda: holder.now)
            return gone if all(isinstance(facts.look_up_contact(name), Contact) for name in names) else set()
        return None

    def _release(self, waiting: _Waiting, codes: set[str]) -> None:
        """Have the orders that stopped with these problems tried again."""
        if not codes:
            return
        adapters, now = self._holder.adapters, self._holder.now
        company = waiting.books.company
        release = Release(
            company=company,
            id=adapters.new_id(),
            asked_at=now,
            next_at=now,
            because=FREED_BY_XERO,
            lists=tuple((State.NEEDS_ATTENTION, code) for code in sorted(codes)),
            passes_left=2 if now - self._recheck.stopped_at < INDEX_LAGS else 1,
        )
        adapters.releases.ask(release)
        adapters.wake_ups.send(ReleaseCall(company, release.id))

"""The book match of a lane, in its turns, a step at a time.

A step is a page of Xero's list, or a thousand rows of the ledger. It is taken when no order is due. It keeps what it
found, and then the progress. So a match goes on where it was, whoever ends it: a step that was cut off is done
again, and writes the same.

    documents   Xero's lists, page by page: each document beside its order's row
    ledger      the ledger's rows: which of their documents no list had
    unseen      those are asked for by their ids
    lines       invoices that changed since they were posted: are the accounts and tax types still the same?
    results     what the steps come to, for each company of the lane; an event where a match finds what is new
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, Final
from zlib import crc32
from zoneinfo import ZoneInfo

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.tables.book_matches import PHASES, Match
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.adapters.xero_api import LISTED_A_PAGE, Access, Observe
from bookkeeping.domain.book_match import (
    DAYS,
    EARLIER,
    Difference,
    Expects,
    Findings,
    Listed,
    ListedKind,
    expected,
    folded,
    foreign,
    id_key,
    judged,
    missing,
    numbered,
    page_matched,
    wanted_lists,
)
from bookkeeping.domain.errors import CallRefused, CompanyHeld, Offline, OutcomeUnknown, XeroError
from bookkeeping.domain.events import books_differ
from bookkeeping.domain.ledger import Entry, State
from bookkeeping.domain.pacing import NEARLY_GONE
from bookkeeping.domain.time_zones import Calendar
from bookkeeping.use_cases.posting.lane_holder import LaneHolder

STATES: Final = (State.POSTED, State.QUEUED, State.NEEDS_ATTENTION, State.WAITING, State.SKIPPED)
"""The lists of a company's ledger. What is being posted is in that of QUEUED."""
ROWS: Final = 1000
"""Rows of the ledger in a step."""
A_GROUP: Final = 40
"""Ids in a call: what Xero advises."""
MOST_GROUPS: Final = 10
"""Calls for unseen documents, and as many for lines, of a match that is not in full."""
MOST_GROUPS_IN_FULL: Final = 50
NOT_ASKED_FOR: Final = 25
"""Groups beyond these that a step notes as missing."""
SHARE: Final = 5
"""Per cent of the day's calls that matches may take."""
FEW_CALLS: Final = 10
"""They may take so many, also as long as Xero has not said how many are left: it gives a thousand at least."""
SMALLEST_PAGE: Final = 100
MOST_TRIES: Final = 5
"""After so many failed steps in a row, the match is left until the next night."""
AGAIN: Final = timedelta(minutes=10)
"""When a step that could not be taken is tried again, and when the sweep rings a lane whose match does not go on."""
PACE: Final = timedelta(seconds=20)
"""How long a match waits where the minute has no calls to spare."""
NIGHT_BEGINS: Final = 1
NIGHT_LASTS: Final = timedelta(hours=4)
"""Matches begin at one o'clock in the organisation's time zone, spread over so long."""
WAITS: Final = ("day_calls", "not_connected", "xero", "refused", "our_fault")
"""Why a match does not go on."""


def next_night(lane: str, now: datetime, zone: str) -> datetime:
    """When the lane's next nightly match begins."""
    there = now.astimezone(ZoneInfo(zone))
    spread = timedelta(seconds=crc32(lane.encode()) % int(NIGHT_LASTS.total_seconds()))
    for day in (there.date(), there.date() + timedelta(days=1)):
        at = datetime.combine(day, time(NIGHT_BEGINS), ZoneInfo(zone)) + spread
        if at.astimezone(UTC) > now:
            return at.astimezone(UTC)
    raise AssertionError("a night follows every moment")


@dataclass(frozen=True)
class _Question:
    """Documents to ask Xero for by their ids, in one call."""

    kind: ListedKind
    ids: tuple[str, ...]


class _Waits(Exception):
    """The match goes on later."""

    def __init__(self, match: Match, until: datetime, reason: str) -> None:
        super().__init__(reason)
        self.match = match
        self.until = until
        self.reason = reason


class _Paced(Exception):
    """The minute has no calls to spare."""


class BookMatch:
    def __init__(self, holder: LaneHolder, expects: Expects = expected) -> None:
        self._holder = holder
        self._adapters = holder.adapters
        self._matches = holder.adapters.matches
        self._key = holder.lane.key
        self._expects = expects
        self._match: Match | None = None
        self._calendar: Calendar | None = None
        self._companies: list[str] | None = None
        self._prefixes: dict[str, str] = {}
        self._findings: list[Findings] = []
        """Those of the run that were read already."""
        self._phases: Mapping[str, Callable[[Match], tuple[Findings | None, Match]]] = {
            "documents": self._documents,
            "ledger": self._ledger,
            "unseen": self._unseen,
            "lines": self._lines,
            "results": self._results,
        }

    # --- when

    def plan(self) -> None:
        """Plan the lane's first match, once documents were posted in it."""
        holder = self._holder
        if holder.tally.posted and not holder.lane.match_planned:
            self._matches.plan(self._key, next_night(self._key, holder.now, self._days.zone))
            holder.lane = replace(holder.lane, match_planned=True)

    def put_off(self, until: datetime) -> None:
        """The lane is paused: nothing rings it for its match before."""
        match = self._matches.get(self._key) if self._holder.match_due else None
        if match is not None:
            self._put_off(match, until, match.waits_for)

    def step(self) -> bool:
        """Take the next step of a match that is due. Whether another one may follow at once."""
        if not self._holder.match_due:
            return False
        with contained("", then=self._at_fault, left_alone=self._leave):
            return self._step()
        return False

    def _step(self) -> bool:
        match = self._match or self._begun()
        if match is None:
            self._leave()
            return False
        if not match.id:
            return False
        try:
            findings, after = self._phases[match.phase](match)
        except CompanyHeld:
            held = [until for until in self._holder.held.values() if until is not None]
            self._put_off(self._match or match, min(held, default=self._holder.now + AGAIN), "xero")
            return False
        except _Paced:
            # orders that come in find enough calls; the match is still rung for
            self._holder.resume_by(self._holder.now + PACE)
            return False
        except _Waits as waits:
            self._put_off(waits.match, waits.until, waits.reason)
            return False
        if findings is not None:
            self._matches.save_findings(self._key, match, findings)
            after = replace(after, steps=match.steps + 1)
            self._findings.append(findings)
        if after.id:
            self._save(replace(after, tries=0, waits_for="", next_at=self._holder.now + AGAIN))
        return self._holder.match_due

    def _begun(self) -> Match | None:
        """The match under way, or the one that begins now; None where the lane has none to take."""
        holder, now = self._holder, self._holder.now
        match = self._matches.get(self._key)
        wish = self._matches.asked(self._key)
        if match is None and wish is None:
            return None
        match = match or Match(now)
        if match.id:
            if match.next_at > now and match.waits_for:
                return None
            self._match = match
            return match
        if wish is None and match.next_at > now:
            return None
        if not self._here:
            # nobody posts in the lane any more
            self._matches.end(holder.lane)
            holder.lane = replace(holder.lane, match_planned=False)
            return None
        in_full = wish is not None and wish.in_full
        today = self._days.day(now)
        first = self._oldest(today) if in_full else today - timedelta(days=DAYS)
        begun = replace(
            match,
            id=self._adapters.new_id(),
            in_full=in_full,
            began_at=now,
            first=first.isoformat(),
            lists=tuple(wanted_lists(first, today, match.last_began_at, in_full=in_full)),
            phase=PHASES[0],
            place=0,
            page=1,
            page_size=LISTED_A_PAGE,
            after="",
            steps=0,
            calls=0,
            tries=0,
            waits_for="",
            next_at=now + AGAIN,
        )
        self._findings = []
        self._save(begun, *([self._matches.taken_up(self._key)] if wish else []))
        holder.lane = replace(holder.lane, match_planned=True)
        return begun

    def _save(self, match: Match, *others: Any) -> None:
        self._matches.save(self._holder.lane, match, *others)
        self._match = match

    def _put_off(self, match: Match, until: datetime, reason: str) -> None:
        self._save(replace(match, next_at=until, waits_for=reason))
        self._leave()

    def _leave(self) -> None:
        """Nothing more of the match in this turn."""
        self._holder.match_due = False

    def _at_fault(self, reference: str) -> None:
        """A fault of ours: tried again in ten minutes, a few times, and then the next night."""
        self._leave()
        self._holder.note_fault(f"the book match failed (reference {reference})")
        with contained(""):
            match = self._match or self._matches.get(self._key)
            if match is not None:
                self._failed(match, "our_fault")

    def _failed(self, match: Match, reason: str) -> None:
        tries = match.tries + 1
        if tries < MOST_TRIES:
            self._put_off(replace(match, tries=tries), self._holder.now + AGAIN, reason)
        else:
            given_up = replace(match, id="", tries=0, lists=())
            self._put_off(given_up, next_night(self._key, self._holder.now, self._days.zone), reason)

    # --- the lane's organisation and companies

    @property
    def _days(self) -> Calendar:
        """The organisation's days; in UTC as long as nothing is known of it."""
        if self._calendar is None:
            known = self._adapters.organisations.get(self._holder.lane.organisation_id)
            self._calendar = known[0].calendar("") if known else Calendar("UTC")
        return self._calendar

    @property
    def _here(self) -> list[str]:
        """The companies that post in the lane."""
        if self._companies is None:
            self._companies = sorted(self._adapters.connections.companies_of(self._holder.lane))
        return self._companies

    def _oldest(self, today: date) -> date:
        """A day before the oldest document that was posted, or nearly so."""
        first = today - timedelta(days=DAYS)
        for company in self._here:
            keys, _ = self._adapters.orders.list_page(company, State.POSTED, "", limit=1)
            for entry in self._adapters.orders.get_many(keys):
                first = min(first, entry.received_at.date() - EARLIER)
        return first

    # --- calls

    def _call(self, match: Match, call: Callable[[Access, Observe], Any]) -> tuple[Any, Match]:
        """Xero's answer, and the match with the call counted. Raises CompanyHeld, TurnEnds or _Waits."""
        holder = self._holder
        match = self._within_its_share(match)
        if not holder.calls_to_spare:
            raise _Paced
        company, access = self._access(match)
        holder.await_budget()
        started = holder.start(lambda observe: call(access, observe))
        while not started.done():
            holder.await_first([started])
        answer = started.result()
        match = replace(match, calls=match.calls + 1, day_calls=match.day_calls + 1)
        left = holder.tally.day_left or 0
        self._match = match = replace(match, day_most=max(match.day_most, left))
        if not isinstance(answer, Exception):
            holder.note_token_taken(company)
            return answer, match
        if isinstance(answer, CallRefused) or (
            isinstance(answer, OutcomeUnknown) and not isinstance(answer, Offline)
        ):
            # it is the list that fails, not the company's orders
            raise self._too_much(match, answer)
        if isinstance(answer, XeroError):
            self._save(match)
            holder.handle_failure(company, answer)
            raise CompanyHeld from answer
        raise answer

    def _too_much(self, match: Match, error: XeroError) -> _Waits:
        """A list that gave no usable answer: smaller pages next time."""
        holder, reason = self._holder, "refused" if isinstance(error, CallRefused) else "xero"
        if match.tries + 1 >= MOST_TRIES:
            if reason == "refused":
                holder.note_fault(f"the book match got no list: {error}")
            given_up = replace(match, id="", tries=0, lists=())
            return _Waits(given_up, next_night(self._key, holder.now, self._days.zone), reason)
        if match.phase == "documents" and match.page_size > SMALLEST_PAGE:
            # the page begins where the larger one would have
            smaller = match.page_size // 2
            match = replace(match, page_size=smaller, page=(match.page - 1) * match.page_size // smaller + 1)
        return _Waits(replace(match, tries=match.tries + 1), holder.now + AGAIN, reason)

    def _within_its_share(self, match: Match) -> Match:
        """The match on the organisation's day of now. Raises _Waits where it has had its share of the calls."""
        holder = self._holder
        today = self._days.day(holder.now)
        if match.calls_on != today.isoformat():
            match = replace(match, calls_on=today.isoformat(), day_calls=0, day_most=0)
        left = holder.tally.day_left
        share = max(FEW_CALLS, match.day_most * SHARE // 100)
        if match.day_calls >= share or (left is not None and left <= NEARLY_GONE):
            midnight = datetime.combine(today + timedelta(days=1), time(), ZoneInfo(self._days.zone))
            until = next_night(self._key, midnight.astimezone(UTC), self._days.zone)
            raise _Waits(match, until, "day_calls")
        return match

    def _access(self, match: Match) -> tuple[str, Access]:
        """What lets one of the lane's companies in. Raises CompanyHeld or _Waits."""
        holder = self._holder
        connected = False
        for company in self._here:
            with contained(company), suppress(CompanyHeld, LookupError):
                books = holder.books(company)
                if holder.is_here(books):
                    connected = True
                    if company not in holder.held:
                        return company, holder.access(books)
        if connected:
            raise CompanyHeld
        raise _Waits(match, next_night(self._key, holder.now, self._days.zone), "not_connected")

    # --- the phases: each gives what it saw, if anything, and the match after the step

    def _documents(self, match: Match) -> tuple[Findings | None, Match]:
        wanted = match.lists[match.place]
        (page, pages), match = self._call(
            match,
            lambda access, observe: self._adapters.xero.listed(
                wanted, match.page, match.page_size, access, observe
            ),
        )
        # no row has become known as posted by then that was not when the page was read
        self._prefixes = self._prefixes or self._known_prefixes()
        before = self._findings_before(match)
        findings, rowless = page_matched(
            page,
            self._prefixes,
            self._here,
            self._rows_of(page),
            self._expects,
            before=before,
            seen=cache(lambda: self._seen(match)),
            summed=not wanted.since,
            since=match.last_began_at,
        )
        self._note_rowless(findings, rowless)
        if match.page < pages:
            return findings, replace(match, page=match.page + 1)
        if match.place + 1 < len(match.lists):
            return findings, replace(match, place=match.place + 1, page=1, page_size=LISTED_A_PAGE)
        return findings, self._into(match, "ledger")

    def _known_prefixes(self) -> dict[str, str]:
        """The prefixes that are claimed in the organisation, former ones too, and those of the settings → company."""
        saved = {company: self._adapters.settings.current(company) for company in self._here}
        prefixes = {one[0].number_prefix: company for company, one in saved.items() if one is not None}
        return prefixes | self._adapters.connections.prefixes(self._holder.lane.organisation_id)

    def _rows_of(self, page: Sequence[Listed]) -> dict[tuple[str, str], Entry]:
        """The rows of the orders that the documents' numbers name."""
        places = [numbered(listed.number, self._prefixes) for listed in page]
        here = frozenset(self._here)
        keys = [
            order_key(one.company, one.order_id)
            for one in places
            if one is not None and one.order_id and one.company in here
        ]
        return {entry.key: entry for entry in self._entries(keys)}

    def _entries(self, keys: Sequence[str]) -> list[Entry]:
        """The rows that can be read; posting itself shows those that can't."""
        return self._adapters.orders.get_many(keys, lambda item: contained(item["company"], item["order_id"]))

    def _findings_before(self, match: Match) -> Mapping[str, str]:
        if self._findings:
            return self._findings[-1].documents
        findings = self._matches.findings(self._key, match, match.steps - 1) if match.steps else None
        return findings.documents if findings else {}

    def _note_rowless(self, findings: Findings, rowless: Sequence[tuple[str, Listed, str]]) -> None:
        """Documents with a prefix of ours and no order that can be read."""
        for company, listed, order_id in rowless:
            if order_id and self._adapters.orders.has(company, order_id):
                # a row that only posting, or a newer version, can tell something about
                continue
            found = foreign(listed, "")
            if found is not None:
                findings.differences.append((company, found))

    def _ledger(self, match: Match) -> tuple[Findings | None, Match]:
        """A thousand rows of the ledger."""
        if match.place >= len(self._here) * len(STATES):
            return self._carried(match), self._into(match, "unseen")
        company, state = self._here[match.place // len(STATES)], STATES[match.place % len(STATES)]
        first = date.fromisoformat(match.first)
        since = None if match.in_full else datetime.combine(first - timedelta(days=2), time(), UTC)
        keys, end = self._adapters.orders.changed_since(company, state, since, limit=ROWS, after=match.after)
        whole = {short for findings in self._all(match) for short in findings.whole}
        findings, seen = Findings(), self._seen(match)
        for entry in self._entries([key for key in keys if id_key(key) not in whole]):
            if entry.organisation_id and entry.organisation_id != self._holder.lane.organisation_id:
                continue
            self._note_row(findings, entry, match, seen)
        after = replace(match, after=end) if end else replace(match, place=match.place + 1, after="")
        return (findings if findings.unseen or findings.skipped else None), after

    def _note_row(self, findings: Findings, entry: Entry, match: Match, seen: Mapping[str, str]) -> None:
        order = self._expects(entry)
        for one in order:
            posted = one.posted
            in_days = match.in_full or not posted.dated_on or posted.dated_on >= match.first
            settled = match.began_at is None or posted.at < match.began_at
            if one.gone or not in_days or not settled or id_key(posted.id) in seen:
                continue
            findings.unseen.append((entry.company, entry.order_id, one.kind, posted.id, posted.number))
        if entry.number and not order and not entry.batch and entry.state is not State.QUEUED:
            findings.skipped.append((entry.company, entry.number, entry.why))

    def _unseen(self, match: Match) -> tuple[Findings | None, Match]:
        """Documents that no list had, some in a call."""
        unseen = {row[3]: row for findings in self._all(match) for row in findings.unseen}
        carried = {
            one.id: (company, one) for findings in self._all(match) for company, one in findings.carried
        }
        rows = {id_: (company, one.order_id, one.kind) for id_, (company, one) in carried.items()}
        rows |= {id_: row[:3] for id_, row in unseen.items()}
        groups = list(_questions([(kind, id_) for id_, (_, _, kind) in rows.items()]))
        if match.place >= len(groups):
            return None, self._into(match, "lines")
        findings = Findings()
        if match.place >= (MOST_GROUPS_IN_FULL if match.in_full else MOST_GROUPS):
            # so many at once were deleted, or the organisation was reset: no list has them
            together = groups[match.place : match.place + NOT_ASKED_FOR]
            for id_ in (id_ for group in together for id_ in group.ids):
                if id_ in unseen:
                    company, order_id, kind, _, number = unseen[id_]
                    findings.differences.append((company, missing(order_id, kind, id_, number)))
                else:
                    findings.differences.append(carried[id_])
            return findings, replace(match, place=match.place + len(together))
        group = groups[match.place]
        found, match = self._asked_for(match, group)
        entries = self._entries([order_key(*rows[id_][:2]) for id_ in group.ids if rows[id_][1]])
        by_key = {entry.key: entry for entry in entries}
        for id_ in group.ids:
            company, order_id, _ = rows[id_]
            self._note_asked_for(
                findings, match, company, by_key.get((company, order_id)), id_, found.get(id_)
            )
        return findings, replace(match, place=match.place + 1)

    def _note_asked_for(
        self,
        findings: Findings,
        match: Match,
        company: str,
        entry: Entry | None,
        id_: str,
        listed: Listed | None,
    ) -> None:
        """Note a document that was asked for by its id, and perhaps found."""
        order = self._expects(entry) if entry else ()
        mine = next((one for one in order if one.posted.id == id_), None)
        difference: Difference | None = None
        if listed is not None:
            findings.note_void(company, listed)
            if mine is not None:
                findings.note(company, listed, summed=listed.dated_on >= match.first, place=None)
            difference = judged(listed, entry, order) if entry else foreign(listed, "")
        elif entry is not None and mine is not None and not mine.gone:
            difference = missing(entry.order_id, mine.kind, id_, mine.posted.number)
        if difference is not None:
            findings.differences.append((company, difference))

    def _carried(self, match: Match) -> Findings | None:
        """What the last match found, and no list of this one has: it differs until somebody sets it right."""
        seen = self._seen(match)
        listed = {one.id for findings in self._all(match) for _, one in findings.differences}
        listed |= {row[3] for findings in self._all(match) for row in findings.unseen}
        findings = Findings()
        for company in self._here:
            before = self._matches.result(self._key, company)
            for one in before.differences if before else ():
                # a list of invoices does not show their lines
                of_lines = one.kind == "invoice" and any(name == "lines" for name, *_ in one.changes)
                if one.id not in listed and (of_lines or id_key(one.id) not in seen):
                    findings.carried.append((company, one))
        return findings if findings.carried else None

    def _lines(self, match: Match) -> tuple[Findings | None, Match]:
        """Invoices that changed since they were posted, the latest changes first, with their lines."""
        changed = {row[2]: row for findings in self._all(match) for row in findings.changed}
        latest = sorted(changed.values(), key=lambda row: (row[3], row[2]), reverse=True)
        groups = list(_questions([("invoice", row[2]) for row in latest]))
        groups = groups[: MOST_GROUPS_IN_FULL if match.in_full else MOST_GROUPS]
        if match.place >= len(groups):
            return None, self._into(match, "results")
        group = groups[match.place]
        found, match = self._asked_for(match, group)
        keys = {id_: (changed[id_][0], changed[id_][1]) for id_ in found}
        rows = {entry.key: entry for entry in self._entries([order_key(*key) for key in keys.values()])}
        findings = Findings()
        for id_, key in keys.items():
            entry = rows.get(key)
            order = self._expects(entry) if entry else ()
            if entry is not None and any(one.posted.id == id_ for one in order):
                findings.lines_read[key[0]] += 1
                difference = judged(found[id_], entry, order)
                if difference is not None:
                    findings.differences.append((key[0], difference))
        return findings, replace(match, place=match.place + 1)

    def _asked_for(self, match: Match, group: _Question) -> tuple[dict[str, Listed], Match]:
        """The documents of a group that Xero has, by id."""
        xero = self._adapters.xero
        if group.kind == "invoice":
            found, match = self._call(
                match, lambda access, observe: xero.invoices_by_id(group.ids, access, observe)
            )
        else:
            [id_] = group.ids
            one, match = self._call(
                match, lambda access, observe: xero.listed_by_id(group.kind, id_, access, observe)
            )
            found = [one] if one is not None else []
        return {listed.id: listed for listed in found}, match

    def _results(self, match: Match) -> tuple[None, Match]:
        """Tell each company what the match found, and plan the next one."""
        holder, now = self._holder, self._holder.now
        all_findings = self._all(match)
        for company in self._here:
            with contained(company):
                self._tell(company, match, all_findings)
        wish = self._matches.asked(self._key)
        done = replace(
            match,
            id="",
            lists=(),
            after="",
            next_at=now if wish else next_night(self._key, now, self._days.zone),
            tries=0,
            waits_for="",
            last_id=match.id,
            last_began_at=match.began_at,
        )
        self._save(done)
        self._match, self._findings = None, []
        if wish is None:
            self._leave()
        self._matches.forget_findings(self._key, but=done.last_id)
        holder.tally.matches.append(
            {
                "companies": self._here,
                "in_full": match.in_full,
                "calls": match.calls,
                "documents": sum(len(findings.documents) for findings in all_findings),
                "differences": sum(len(findings.differences) for findings in all_findings),
            }
        )
        return None, done

    def _tell(self, company: str, match: Match, all_findings: Sequence[Findings]) -> None:
        before = self._matches.result(self._key, company)
        if before is not None and before.id == match.id:
            return
        result = folded(
            company,
            all_findings,
            id=match.id,
            began_at=(match.began_at or self._holder.now).isoformat(),
            ended_at=self._holder.now.isoformat(),
            in_full=match.in_full,
            first=match.first,
            calls=match.calls,
        )
        new = [one for one in result.differences if before is None or one.key not in before.keys]
        if new:
            # published first: after a crash in between it is published again, under the same id
            event = books_differ(company, self._holder.lane.organisation_id, result, new)
            self._adapters.events.put([event])
        self._matches.save_result(self._holder.lane, company, result)

    # --- what the steps found

    def _into(self, match: Match, phase: str) -> Match:
        return replace(match, phase=phase, place=0, page=1, after="")

    def _all(self, match: Match) -> list[Findings]:
        """What all the steps of the run found."""
        if len(self._findings) < match.steps:
            self._findings = self._matches.all_findings(self._key, match.id)[: match.steps]
        return self._findings

    def _seen(self, match: Match) -> dict[str, str]:
        return {
            short: standing for findings in self._all(match) for short, standing in findings.documents.items()
        }


def _questions(wanted: Sequence[tuple[ListedKind, str]]) -> Iterator[_Question]:
    """The documents in as few calls as Xero's lists allow: only invoices are listed by ids."""
    for kind, id_ in wanted:
        if kind != "invoice":
            yield _Question(kind, (id_,))
    invoices = [id_ for kind, id_ in wanted if kind == "invoice"]
    for begin in range(0, len(invoices), A_GROUP):
        yield _Question("invoice", tuple(invoices[begin : begin + A_GROUP]))

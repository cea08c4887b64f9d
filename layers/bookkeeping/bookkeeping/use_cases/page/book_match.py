"""The book match as the settings page shows it, and its button."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bookkeeping.adapters.containment import leaving_alone
from bookkeeping.adapters.tables.book_matches import Match, Wish
from bookkeeping.adapters.tables.lanes import MATCH
from bookkeeping.domain.book_match import IN_THE_ACCOUNTS, KIND_WORDS, STANDINGS, Difference, Result, in_words
from bookkeeping.domain.problems.catalogue import title
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.orders import link
from bookkeeping.use_cases.wake_lanes import ring

PHASES: Final = {
    "documents": "Reading the documents in Xero.",
    "ledger": "Comparing them with the orders.",
    "unseen": "Looking for documents that Xero did not list.",
    "lines": "Comparing the lines of documents that were changed.",
    "results": "Nearly done.",
}
WAITS: Final = {
    "day_calls": "It has had its share of today's calls to Xero, and goes on tomorrow.",
    "not_connected": "It goes on once this company is connected to Xero.",
    "xero": "Xero did not answer. It is tried again by itself.",
    "refused": "Xero refused a list. It is tried again by itself.",
    "our_fault": "Something went wrong on our side. It is tried again by itself, and we have been told.",
}


class NotConnected(Exception):
    """The company has no organisation to match."""


@dataclass(frozen=True)
class Stands:
    """How far the match of a lane is, and what the last one found for a company."""

    state: str
    words: str
    next_at: datetime | None
    result: Result | None


def book_match(adapters: PageAdapters, company: str) -> dict[str, Any]:
    """How far the match is, and what the last one found."""
    connection = adapters.connections.connection(company)
    if connection is None or not connection.organisation_id:
        return {"state": "never", "words": "Connect to Xero first.", "next_at": None, "result": None}
    stands = how_it_stands(adapters, company, connection.lane)
    known = adapters.organisations.get(connection.organisation_id)
    short_code = known[0].short_code if known else ""
    return {
        "state": stands.state,
        "words": stands.words,
        "next_at": stands.next_at.isoformat() if stands.next_at else None,
        "result": stands.result and _result(stands.result, adapters.web_url, short_code),
    }


def how_it_stands(adapters: PageAdapters, company: str, lane: str) -> Stands:
    match: Match | None = None
    with leaving_alone(company):
        match = adapters.matches.get(lane)
    result = adapters.matches.result(lane, company)
    state, words = _state(match, asked=adapters.matches.asked(lane) is not None, found=result is not None)
    return Stands(state, words, match.next_at if match and state != "under_way" else None, result)


def ask(adapters: PageAdapters, company: str, *, in_full: bool) -> dict[str, Any]:
    """Have the books matched now. Raises NotConnected."""
    connection = adapters.connections.connection(company)
    if connection is None or connection.status != "connected":
        raise NotConnected
    now = adapters.now()
    adapters.matches.ask(connection.lane, Wish(in_full, now))
    ring(adapters.lanes, adapters.wake_ups, {connection.lane: [MATCH]}, now)
    return book_match(adapters, company)


def _state(match: Match | None, *, asked: bool, found: bool) -> tuple[str, str]:
    if match is not None and match.id:
        if match.waits_for:
            return "waiting", WAITS.get(match.waits_for, "It goes on by itself.")
        return "under_way", PHASES[match.phase]
    if asked:
        return "under_way", "It begins in a moment."
    if match is not None and match.waits_for:
        return "waiting", WAITS.get(match.waits_for, "It is tried again by itself.")
    return ("idle", "") if found else ("never", "The books have not been matched yet.")


def _result(result: Result, web_url: str, short_code: str) -> dict[str, Any]:
    return {
        "began_at": result.began_at,
        "ended_at": result.ended_at,
        "in_full": result.in_full,
        "first": result.first,
        "calls": result.calls,
        "found": result.found,
        "differences": [_difference(one, web_url, short_code) for one in result.differences],
        "sums": [
            {
                "kind": kind,
                "words": KIND_WORDS[kind],  # type: ignore[index]
                "currency": currency,
                "stands": STANDINGS.get(standing, standing),  # type: ignore[call-overload]
                "in_accounts": kind != "purchase_order" and standing in IN_THE_ACCOUNTS,
                "count": int(count),
                "net": net,
                "tax": tax,
            }
            for kind, currency, standing, count, net, tax in result.sums
        ],
        "used": [
            {"prefix": prefix, "count": count, "first": f"{prefix}{lowest}", "last": f"{prefix}{highest}"}
            for prefix, count, lowest, highest in result.used
        ],
        "void": result.void,
        "voids": result.voids,
        "skipped": [{"number": number, "title": title(why)} for number, why in result.skipped],
        "skips": result.skips,
        "others": result.others,
        "elsewhere": [{"company": company, "count": count} for company, count in result.elsewhere.items()],
        "lines_read": result.lines_read,
        "lines_left": result.lines_left,
    }


def _difference(one: Difference, web_url: str, short_code: str) -> dict[str, Any]:
    sentence, fix = in_words(one)
    gone = one.code == "missing"
    return {
        "code": one.code,
        "kind": one.kind,
        "number": one.number,
        "order_id": one.order_id or None,
        "sentence": sentence,
        "fix": fix,
        "link": None if gone else link(web_url, one.kind, one.id, short_code),
    }

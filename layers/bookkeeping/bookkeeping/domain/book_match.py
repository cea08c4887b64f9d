"""The book match: the ledger's documents laid beside those that Xero lists, both ways. Pure.

    ledger → Xero    every posted document is there, as it was posted
    Xero → ledger    every document whose number has a prefix of ours has its order in the ledger

What a match finds is kept step by step, for a page of Xero or a list of the ledger each, and folded into one result a
company. Findings hold ids and numbers of documents, never a name.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from bookkeeping.domain.corrections import CreditNote
from bookkeeping.domain.document_kinds import DocumentKind
from bookkeeping.domain.ledger import Entry, Posted, State
from bookkeeping.domain.texts import check_value, within

ListedKind = DocumentKind
KINDS: Final[tuple[ListedKind, ...]] = ("purchase_order", "invoice", "credit_note")
KIND_WORDS: Final[Mapping[ListedKind, str]] = {
    "invoice": "Sales invoice",
    "purchase_order": "Purchase order",
    "credit_note": "Credit note",
}

DAYS: Final = 35
"""A match that is not in full compares the documents dated in so many days."""
YEAR: Final = timedelta(days=365)
EARLIER: Final = timedelta(days=62)
"""How long before its posting a document may be dated, where the oldest ones are listed. Others are asked for by id."""
JUST_POSTED: Final = timedelta(minutes=2)
"""Xero's time of the last change, so soon after the posting, is that of the posting. Clocks differ, too."""
MOST_LISTED: Final = 500
"""Differences that a company's result lists. More are only counted."""
MOST_NUMBERS: Final = 1000
MOST_KEYS: Final = 10_000
LONGEST_NUMBER: Final = 60
"""Bytes of a number or value in the result."""

DEAD: Final = frozenset({"VOIDED", "DELETED"})
_ALIVE: Final = ("DRAFT", "SUBMITTED", "AUTHORISED", "BILLED", "PAID")
"""From the lowest to the highest."""

Standing = Literal[
    "draft",
    "submitted",
    "approved",
    "billed",
    "part_paid",
    "paid",
    "credited",
    "voided",
    "deleted",
    "unknown",
]
STANDINGS: Final[Mapping[Standing, str]] = {
    "draft": "draft",
    "submitted": "awaiting approval",
    "approved": "approved",
    "billed": "billed",
    "part_paid": "part paid",
    "paid": "paid",
    "credited": "credited",
    "voided": "voided",
    "deleted": "deleted",
    "unknown": "in a status of its own",
}
"""Where a document stands, in words. Nothing else of a customer's payments is kept."""
IN_THE_ACCOUNTS: Final = frozenset({"approved", "part_paid", "paid", "credited"})


# --- a document as Xero lists it


@dataclass(frozen=True)
class Listed:
    """A document as Xero lists it. None or empty: Xero did not say."""

    kind: ListedKind
    id: str
    number: str
    status: str
    currency: str
    dated_on: str
    """As in 2026-11-23."""
    contact_id: str
    net: Decimal | None
    tax: Decimal | None
    total: Decimal | None
    paid: Decimal | None = None
    credited: Decimal | None = None
    lines_check: str = ""
    """The check value of its lines' accounts, tax types and amounts."""
    updated_at: datetime | None = None

    @property
    def void_or_deleted(self) -> bool:
        return self.status in DEAD

    @property
    def standing(self) -> Standing:
        """Where it stands. An invoice that credit notes paid for as a whole is credited."""
        plain: Mapping[str, Standing] = {
            "DRAFT": "draft",
            "SUBMITTED": "submitted",
            "BILLED": "billed",
            "VOIDED": "voided",
            "DELETED": "deleted",
        }
        if self.status in plain:
            return plain[self.status]
        if self.status not in ("AUTHORISED", "PAID"):
            return "unknown"
        if self.credited and self.credited == self.total:
            return "credited"
        if self.status == "PAID":
            return "paid"
        return "part_paid" if self.paid or self.credited else "approved"


def lines_check(lines: Iterable[Mapping[str, Any]]) -> str:
    """The check value of lines as Xero shows them: the same as long as accounts, tax types and amounts are."""
    texts = [
        f"{line.get('AccountCode') or ''}|{line.get('TaxType') or ''}|{Decimal(line.get('LineAmount') or 0):.2f}"
        for line in lines
    ]
    return check_value("\n".join(texts))


# --- numbers


@dataclass(frozen=True)
class Numbered:
    """What a number with a prefix of ours says."""

    company: str
    prefix: str
    order_id: str
    """Empty where no order id follows the prefix."""


_ORDER_ID: Final = re.compile(r"[1-9][0-9]{0,18}(?![0-9])")
"""What follows it tells documents of an order apart, as in KX-5-2, KX-5-CN, or what a person wrote."""


def numbered(number: str, prefixes: Mapping[str, str]) -> Numbered | None:
    """Whose number it is: `prefixes` are the organisation's, each with its company. None where it has none of them."""
    number = number.strip().upper()
    fitting = sorted((one for one in prefixes if number.startswith(one)), key=len, reverse=True)
    for prefix in fitting:
        if found := _ORDER_ID.match(number, len(prefix)):
            return Numbered(prefixes[prefix], prefix, found[0])
    return Numbered(prefixes[fitting[0]], fitting[0], "") if fitting else None


# --- what the ledger expects


@dataclass(frozen=True)
class Expected:
    """A document that the ledger says is in Xero."""

    kind: ListedKind
    posted: Posted
    gone: bool = False
    """Voided or deleted by this integration: it may be gone, or still listed as void."""


Expects = Callable[[Entry], Sequence[Expected]]
"""What the ledger says is in Xero of an order."""


def expected(entry: Entry) -> list[Expected]:
    """Every document of the order as the ledger has it: the one place that knows where an entry keeps them."""
    under_way = entry.correction is not None
    documents = [
        # what a person deleted in Xero is a difference until somebody has dealt with it
        Expected(kind, posted, gone=posted.status in DEAD and (posted.dealt_with or under_way))
        for kind, posted in entry.documents.items()
    ]
    notes = [
        Expected("credit_note", _as_posted(note), gone=not note.counts)
        for note in entry.credit_notes
        if note.id
    ]
    return [*documents, *notes]


def _as_posted(note: CreditNote) -> Posted:
    at = note.at or datetime.min.replace(tzinfo=UTC)
    return Posted(
        note.id,
        note.number,
        note.status,
        note.total,
        note.currency,
        at,
        tax=note.tax,
        dated_on=note.dated_on,
        contact_check=note.contact_check,
    )


# --- differences

Code = Literal["changed", "voided", "deleted", "missing", "doubled", "foreign", "not_in_ledger"]


@dataclass(frozen=True)
class Difference:
    """One document in which the books differ from the ledger."""

    code: Code
    kind: ListedKind
    id: str
    """Xero's id of the document."""
    number: str
    order_id: str = ""
    changes: tuple[tuple[str, str, str], ...] = ()
    """What was changed: the field in words, as it was posted, and as it is now."""
    other: str = ""
    """The document it doubles, or where the order stands in the ledger."""

    @property
    def key(self) -> str:
        """The same in every match that finds the same."""
        fields = ",".join(f"{name}={now}" for name, _, now in self.changes)
        return hashlib.sha256(f"{self.code} {self.kind} {self.id} {fields}".encode()).hexdigest()[:12]

    def to_json(self) -> list[Any]:
        changes = [list(change) for change in self.changes]
        return [self.code, self.kind, self.id, self.number, self.order_id, changes, self.other]

    @classmethod
    def from_json(cls, kept: Sequence[Any]) -> Difference:
        code, kind, id_, number, order_id, changes, other, *_ = kept
        return cls(code, kind, id_, number, order_id, tuple(map(tuple, changes)), other)


def compared(document: Expected, listed: Listed) -> Difference | None:
    """How the document in Xero differs from the one that was posted. What either does not know is not compared."""
    posted = document.posted
    if listed.void_or_deleted:
        if document.gone:
            return None
        return _of(listed, "voided" if listed.status == "VOIDED" else "deleted")
    changes = [
        (name, within(was, LONGEST_NUMBER), within(now, LONGEST_NUMBER))
        for name, was, now in (
            ("number", posted.number, listed.number),
            ("date", posted.dated_on, listed.dated_on),
            ("currency", posted.currency, listed.currency),
            ("net", _net(posted), _text(listed.net)),
            ("tax", posted.tax, _text(listed.tax)),
            ("total", posted.total, _text(listed.total)),
        )
        if was and now and was != now
    ]
    contact_check = check_value(listed.contact_id)
    if posted.contact_check and contact_check and posted.contact_check != contact_check:
        # its name may be a consumer's by now: it is not repeated
        changes.append(("contact", "", "another contact"))
    if _rank(listed.status) < _rank(posted.status):
        changes.append(("status", _status_words(posted.status), _status_words(listed.status)))
    if posted.lines_check and listed.lines_check and posted.lines_check != listed.lines_check:
        changes.append(("lines", "", "lines with another account, tax rate or amount"))
    return _of(listed, "changed", changes=tuple(changes)) if changes else None


def judged(listed: Listed, entry: Entry, order: Sequence[Expected]) -> Difference | None:
    """What is wrong with a document that bears the number of an order in the ledger."""
    for document in order:
        if document.posted.id == listed.id:
            found = compared(document, listed)
            return replace(found, order_id=entry.order_id) if found else None
    if listed.void_or_deleted or entry.batch:
        # in no books; or just being sent, and what became of it is looked up by posting itself
        return None
    if listed.kind == "credit_note":
        return foreign(listed, entry.order_id)
    others = [one.posted.number for one in order if one.kind == listed.kind and not one.gone]
    if others:
        return _of(listed, "doubled", entry.order_id, other=others[0])
    return _of(listed, "not_in_ledger", entry.order_id, other=_state_words(entry))


def missing(order_id: str, kind: ListedKind, id_: str, number: str) -> Difference:
    """A posted document that Xero does not have."""
    return Difference("missing", kind, id_, number, order_id)


def foreign(listed: Listed, order_id: str) -> Difference | None:
    """A document with a prefix of ours that belongs to no order."""
    return None if listed.void_or_deleted else _of(listed, "foreign", order_id)


def _of(listed: Listed, code: Code, order_id: str = "", **about: Any) -> Difference:
    number = within(listed.number, LONGEST_NUMBER)
    return Difference(code, listed.kind, listed.id, number, order_id, **about)


def _net(posted: Posted) -> str:
    return f"{Decimal(posted.total) - Decimal(posted.tax):.2f}" if posted.total and posted.tax else ""


def _text(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:.2f}"


def _rank(status: str) -> int:
    """How far a status is on its way; one that nobody knows is as far as can be."""
    return _ALIVE.index(status) if status in _ALIVE else len(_ALIVE)


def _status_words(status: str) -> str:
    words = {"DRAFT": "draft", "SUBMITTED": "awaiting approval", "AUTHORISED": "approved"}
    return words.get(status, status.lower())


def _state_words(entry: Entry) -> str:
    return "needs attention" if entry.state is State.NEEDS_ATTENTION else str(entry.state)


def in_words(difference: Difference) -> tuple[str, str]:
    """The difference, and what to do about it, for an accountant."""
    one = difference
    document = f"{KIND_WORDS[one.kind]} {one.number or one.id}"
    history = "Open it in Xero: “History and notes” says who did it."
    match one.code:
        case "changed":
            changes = "; ".join(f"{name} {was} → {now}" if was else now for name, was, now in one.changes)
            return (
                f"{document} is not as it was posted: {changes}.",
                f"{history} If it is right as it is now, leave it; else change it back there.",
            )
        case "voided" | "deleted":
            return (
                f"{document} was {one.code} in Xero.",
                f"{history} If its order was cancelled, this is right. Else its sale is missing in the accounts: open"
                " the order on the Orders tab and press “Post again”.",
            )
        case "missing":
            return (
                f"{document} is not in Xero any more.",
                "It was deleted, or the organisation was reset. If its order stands, open it on the Orders tab and"
                " press “Post again”.",
            )
        case "doubled":
            return (
                f"{document} is a second one for order {one.order_id}, beside {one.other}.",
                "Only one of them should stand: void or delete the other one in Xero.",
            )
        case "not_in_ledger":
            return (
                f"{document} is in Xero, but was not posted from here for order {one.order_id} ({one.other}).",
                "Look at the order on the Orders tab. If the document was made by hand, give it a number without this"
                " prefix, or delete it.",
            )
        case "foreign":
            belongs = (
                f"was not posted from here for order {one.order_id}"
                if one.order_id
                else "belongs to no order"
            )
            return (
                f"{document} has the number prefix of these orders, but {belongs}.",
                f"{history} If it was made by hand, give it a number without this prefix.",
            )


# --- a run: what is listed, and what was seen


@dataclass(frozen=True)
class Wanted:
    """A list of Xero's: documents of a kind, dated from the first day to the last, changed since a moment."""

    kind: ListedKind
    first: str = ""
    last: str = ""
    since: str = ""


def wanted_lists(first: date, today: date, since: datetime | None, *, in_full: bool) -> list[Wanted]:
    """The lists of a run. In full they are years, so that none is longer than Xero gives."""
    found: list[Wanted] = []
    for kind in KINDS:
        if in_full:
            begins = first
            while begins + YEAR < today:
                ends = begins + YEAR
                found.append(Wanted(kind, begins.isoformat(), (ends - timedelta(days=1)).isoformat()))
                begins = ends
            found.append(Wanted(kind, begins.isoformat()))
            continue
        found.append(Wanted(kind, first.isoformat()))
        if since is not None:
            before = (first - timedelta(days=1)).isoformat()
            found.append(Wanted(kind, last=before, since=f"{since:%Y-%m-%dT%H:%M:%S}"))
    return found


def id_key(id_: str) -> str:
    """A short name for the id of a document, or of an order, of which a match keeps thousands."""
    return hashlib.sha256(id_.encode()).hexdigest()[:10]


@dataclass
class Findings:
    """What one step of a match has found."""

    documents: dict[str, str] = field(default_factory=dict)
    """Of the ledger's documents that were found: short id → where it stands."""
    whole: list[str] = field(default_factory=list)
    """Short ids (company/order) of orders all of whose documents were found: their rows need not be read again."""
    sums: dict[tuple[str, str, str, str], list[Decimal]] = field(default_factory=dict)
    """(company, kind, currency, standing) → how many, net, tax."""
    differences: list[tuple[str, Difference]] = field(default_factory=list)
    """With the company of each."""
    void: list[tuple[str, str]] = field(default_factory=list)
    """Company and number of documents that are voided or deleted."""
    used: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """(company, prefix) → how many invoice numbers are used, the lowest and the highest order id."""
    skipped: list[tuple[str, str, str]] = field(default_factory=list)
    """Company, number and state of orders that have a number and no document."""
    unseen: list[tuple[str, str, ListedKind, str, str]] = field(default_factory=list)
    """Company, order, kind, id and number of the ledger's documents that no list had."""
    carried: list[tuple[str, Difference]] = field(default_factory=list)
    """What the last match found of documents that no list of this one had, with the company of each."""
    changed: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Company, order, id and time of invoices changed since they were posted, whose lines are still to be read."""
    lines_read: Counter[str] = field(default_factory=Counter)
    """How many documents' lines were compared, by company."""
    others: int = 0
    """Documents without a prefix of the organisation."""
    elsewhere: Counter[str] = field(default_factory=Counter)
    """Documents of companies that are matched through another app of theirs."""

    def note(self, company: str, listed: Listed, *, summed: bool, place: Numbered | None) -> None:
        """Note a document of the ledger that is in Xero. `summed`: it is dated in the days of this match."""
        self.documents[id_key(listed.id)] = listed.standing
        if listed.void_or_deleted or not summed:
            return
        figures = self.sums.setdefault((company, listed.kind, listed.currency, listed.standing), _nothing())
        for index, amount in enumerate((Decimal(1), listed.net or Decimal(0), listed.tax or Decimal(0))):
            figures[index] += amount
        if place is not None and place.order_id and listed.kind == "invoice":
            order_id = int(place.order_id)
            count, lowest, highest = self.used.get((company, place.prefix), (0, order_id, order_id))
            self.used[company, place.prefix] = [count + 1, min(lowest, order_id), max(highest, order_id)]

    def note_void(self, company: str, listed: Listed) -> None:
        if listed.void_or_deleted:
            self.void.append((company, within(listed.number, LONGEST_NUMBER)))

    def to_json(self) -> dict[str, Any]:
        return {
            "documents": self.documents,
            "whole": self.whole,
            "sums": [[*key, *map(str, figures)] for key, figures in self.sums.items()],
            "differences": [[company, *one.to_json()] for company, one in self.differences],
            "void": self.void,
            "used": [[*key, *figures] for key, figures in self.used.items()],
            "skipped": self.skipped,
            "unseen": self.unseen,
            "carried": [[company, *one.to_json()] for company, one in self.carried],
            "changed": self.changed,
            "lines_read": self.lines_read,
            "others": self.others,
            "elsewhere": self.elsewhere,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Findings:
        def rows(name: str) -> list[Any]:
            return [tuple(row) for row in kept.get(name, ())]

        def differences(name: str) -> list[tuple[str, Difference]]:
            return [(company, Difference.from_json(one)) for company, *one in kept.get(name, ())]

        return cls(
            documents=dict(kept.get("documents", {})),
            whole=list(kept.get("whole", ())),
            sums={
                (company, kind, currency, standing): [*map(Decimal, figures)]
                for company, kind, currency, standing, *figures in kept.get("sums", ())
            },
            differences=differences("differences"),
            void=rows("void"),
            used={(company, prefix): figures for company, prefix, *figures in kept.get("used", ())},
            skipped=rows("skipped"),
            unseen=rows("unseen"),
            carried=differences("carried"),
            changed=rows("changed"),
            lines_read=Counter(kept.get("lines_read", {})),
            others=int(kept.get("others", 0)),
            elsewhere=Counter(kept.get("elsewhere", {})),
        )


def _nothing() -> list[Decimal]:
    return [Decimal(0), Decimal(0), Decimal(0)]


def page_matched(
    page: Iterable[Listed],
    prefixes: Mapping[str, str],
    companies: Iterable[str],
    rows: Mapping[tuple[str, str], Entry],
    expects: Expects,
    *,
    before: Mapping[str, str],
    seen: Callable[[], Mapping[str, str]],
    summed: bool,
    since: datetime | None,
) -> tuple[Findings, list[tuple[str, Listed, str]]]:
    """A page of Xero's list beside the ledger's rows, and the documents whose order has no row.

    `before`: what the step before found, for a document may come on two pages where others came in between. `seen`:
    what all the steps before found.
    `since`: when the last match began. Lines are read of what has changed after it.
    """
    findings, rowless = Findings(), list[tuple[str, Listed, str]]()
    here = frozenset(companies)
    for listed in page:
        place = numbered(listed.number, prefixes)
        if place is None:
            findings.others += 1
            continue
        if place.company not in here:
            findings.elsewhere[place.company] += 1
            continue
        findings.note_void(place.company, listed)
        entry = rows.get((place.company, place.order_id))
        if entry is None:
            rowless.append((place.company, listed, place.order_id))
            continue
        if id_key(listed.id) in before:
            continue
        order = expects(entry)
        mine = next((one for one in order if one.posted.id == listed.id), None)
        if mine is not None:
            findings.note(place.company, listed, summed=summed, place=place)
            others = [one for one in order if one is not mine and not one.gone]
            if all(
                id_key(one.posted.id) in findings.documents or id_key(one.posted.id) in seen()
                for one in others
            ):
                findings.whole.append(id_key(f"{place.company}#{place.order_id}"))
        found = judged(listed, entry, order)
        if found is not None:
            findings.differences.append((place.company, found))
        elif mine is not None and _line_question(mine, listed, since):
            at = listed.updated_at.isoformat() if listed.updated_at else ""
            findings.changed.append((place.company, place.order_id, listed.id, at))
    return findings, rowless


def _line_question(mine: Expected, listed: Listed, since: datetime | None) -> bool:
    """Whether the lines of an invoice are to be read: it has changed since it was posted, and since the last match."""
    if (
        not mine.posted.lines_check
        or listed.lines_check
        or listed.void_or_deleted
        or listed.updated_at is None
    ):
        return False
    changed_since = since is None or listed.updated_at >= since - JUST_POSTED
    return changed_since and listed.updated_at > mine.posted.at + JUST_POSTED


# --- the result


@dataclass
class Result:
    """What a match found for one company. It is kept until the next one is finished."""

    id: str
    began_at: str
    ended_at: str
    in_full: bool
    first: str
    """The first day of the documents that were compared."""
    calls: int
    sums: list[list[str]] = field(default_factory=list)
    """Kind, currency, standing, how many, net and tax."""
    differences: list[Difference] = field(default_factory=list)
    found: int = 0
    """How many differences there are; more than MOST_LISTED are not listed."""
    keys: list[str] = field(default_factory=list)
    """Which differences they are."""
    used: list[list[Any]] = field(default_factory=list)
    """Prefix, how many numbers, the lowest and the highest order id."""
    void: list[str] = field(default_factory=list)
    voids: int = 0
    skipped: list[list[str]] = field(default_factory=list)
    skips: int = 0
    others: int = 0
    elsewhere: dict[str, int] = field(default_factory=dict)
    lines_read: int = 0
    lines_left: int = 0
    """Documents changed since they were posted whose lines were not read: there were too many."""

    def to_json(self) -> dict[str, Any]:
        return vars(self) | {"differences": [one.to_json() for one in self.differences]}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Result:
        known = {name: kept[name] for name in cls.__dataclass_fields__ if name in kept}
        return cls(**known | {"differences": [Difference.from_json(one) for one in kept["differences"]]})


def folded(company: str, all_findings: Sequence[Findings], **about: Any) -> Result:
    """What the steps of a finished match come to for the company."""
    result = Result(**about)
    sums: dict[tuple[str, str, str], list[Decimal]] = {}
    used: dict[str, list[int]] = {}
    differences: dict[str, Difference] = {}
    void: dict[str, None] = {}
    skipped: dict[str, str] = {}
    changed = 0
    for findings in all_findings:
        for (owner, kind, currency, standing), figures in findings.sums.items():
            if owner == company:
                into = sums.setdefault((kind, currency, standing), _nothing())
                into[:] = [a + b for a, b in zip(into, figures, strict=True)]
        for (owner, prefix), (count, lowest, highest) in findings.used.items():
            if owner == company:
                before = used.get(prefix, [0, lowest, highest])
                used[prefix] = [before[0] + count, min(before[1], lowest), max(before[2], highest)]
        for owner, one in findings.differences:
            if owner == company:
                # the last word counts: a document that was asked for by its id is known better than from a list
                differences[one.id] = one
        void |= dict.fromkeys(number for owner, number in findings.void if owner == company)
        skipped |= {number: why for owner, number, why in findings.skipped if owner == company}
        changed += sum(owner == company for owner, *_ in findings.changed)
        result.lines_read += findings.lines_read[company]
        result.others += findings.others
        for owner, count in findings.elsewhere.items():
            result.elsewhere[owner] = result.elsewhere.get(owner, 0) + count
    found = sorted(differences.values(), key=lambda one: (one.code, one.number))
    result.sums = [[*key, *map(str, figures)] for key, figures in sorted(sums.items())]
    result.found, result.differences = len(found), found[:MOST_LISTED]
    result.keys = [one.key for one in found][:MOST_KEYS]
    result.used = [[prefix, *figures] for prefix, figures in sorted(used.items())]
    result.voids, result.void = len(void), [*void][:MOST_NUMBERS]
    result.skips = len(skipped)
    result.skipped = [[number, why] for number, why in [*skipped.items()][:MOST_NUMBERS]]
    result.lines_left = max(0, changed - result.lines_read)
    return result

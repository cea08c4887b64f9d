"""Mails to a company's office: the state of its addresses, when a mail is due, and what stands in it.

A mail says which orders, and in general words what to do. It never has a text of an order: no description, no name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from string import Formatter
from typing import Final, Literal

from bookkeeping.domain.moments import LONG_AGO
from bookkeeping.domain.problems.catalogue import CATALOGUE
from bookkeeping.domain.problems.problem import Problem, worded
from bookkeeping.domain.settings import Settings
from bookkeeping.domain.stored import Stored


@dataclass(frozen=True)
class MailWaits:
    """How long mails wait. Each is multiplied where a simulated Xero runs faster."""

    heals_within: timedelta = timedelta(minutes=4)
    """A problem is mailed once it has stood for so long. The function runs every minute, so it is five at most."""
    between_mails: timedelta = timedelta(hours=1)
    """An address gets no second mail sooner. A mail that was lost is sent again after this time."""
    after_refusal: timedelta = timedelta(minutes=5)
    after_throttle: timedelta = timedelta(minutes=1)
    index_lags: timedelta = timedelta(minutes=1)
    """A problem that came within this time may be missing in the ledger's index, so it is looked for again."""

    def scaled(self, by: float) -> MailWaits:
        return MailWaits(*(wait * by for wait in vars(self).values()))


CONFIRM_WITHIN: Final = timedelta(days=3)
STOP_WITHIN: Final = timedelta(days=90)
ORDERS_NAMED: Final = 5
"""Of one problem."""
PROBLEMS_NAMED: Final = 20

LOST: Final = frozenset({"needs_reconnect", "wrong_credentials", "cut_off"})
"""What a connection's status is while it is lost."""

AddressStatus = Literal["new", "asked", "confirmed", "stopped", "bounced", "complained"]
LinkKind = Literal["confirm", "stop"]


@dataclass(frozen=True)
class Address(Stored):
    """An e-mail address of a company."""

    company: str
    address: str
    status: AddressStatus = "new"
    changed_at: datetime | None = None
    asked_at: datetime | None = None
    """When its confirmation mail was begun. Only the link in that mail confirms it."""
    begun_at: datetime | None = None
    """When its last mail was begun. It may be lost."""
    covered_to: datetime | None = None
    """Problems that came later are news to it."""
    failed_at: datetime | None = None
    """When SES refused its last mail; None if the mail was taken."""

    def next_mail_at(self, now: datetime, waits: MailWaits) -> datetime:
        """When a mail may go there: now, or later."""
        return now if self.begun_at is None else max(now, self.begun_at + waits.between_mails)


@dataclass(frozen=True)
class Plan(Stored):
    """When to look next whether a company is to get a mail, and what was heard that is in no other table."""

    company: str
    revision: int = 0
    """Grows with each reason to look, so that one that comes while a look is under way is not forgotten."""
    next_at: datetime | None = None
    """None: there is nothing to look for."""
    lost_at: datetime | None = None
    """When the connection was lost last."""
    differs_at: datetime | None = None
    """When the book match differed last."""
    differs: str = ""
    """How, in a sentence."""


@dataclass(frozen=True)
class Link:
    """What a link in a mail is about. It is found by its hash."""

    kind: LinkKind
    company: str
    address: str
    expires_at: datetime
    asked_at: datetime | None = None
    """The confirmation mail that it is in."""


# --- what stands


@dataclass(frozen=True)
class StandingOrder:
    """An order that needs attention, as the ledger's index has it."""

    order_id: str
    code: str
    since: datetime


@dataclass(frozen=True)
class Group:
    """The orders that one problem stopped."""

    title: str
    who: str
    fix: str
    count: str
    one: bool
    """Whether it is a single order."""
    orders: tuple[str, ...]
    """Some of them, the newest first, with their references."""
    more: bool
    """Whether there are others."""


@dataclass(frozen=True)
class Report:
    """What stands at a company."""

    groups: tuple[Group, ...] = ()
    groups_left_out: int = 0
    orders: str = ""
    """How many orders need attention; empty if none does."""
    connection: tuple[str, str] | None = None
    """What is wrong with the connection, and what to do."""
    differs: str = ""

    @property
    def subject(self) -> str:
        if self.connection:
            return "Xero: the connection is lost, orders wait"
        if self.orders:
            return f"Xero: {self.orders} {'needs' if self.orders == '1 order' else 'need'} attention"
        return "Xero: the books and the orders differ"


def news_at(since: Iterable[datetime], address: Address, now: datetime, waits: MailWaits) -> datetime | None:
    """When the address is to be told of what came at these moments: now, or later; None if nothing is news to it."""
    fresh = [at for at in since if at > (address.covered_to or LONG_AGO)]
    return max(min(fresh) + waits.heals_within, address.next_mail_at(now, waits)) if fresh else None


def counted(orders: int, *, or_more: bool = False) -> str:
    """`1 order`, `9 orders`, `more than 1,000 orders`."""
    if or_more:
        return f"more than {orders:,} orders"
    return f"{orders:,} {'order' if orders == 1 else 'orders'}"


def differences(found: int, new: int) -> str:
    """What a book match found, in a sentence."""
    count = "is 1 difference" if found == 1 else f"are {found:,} differences"
    fresh = f"{new:,} {'is' if new == 1 else 'are'} new"
    return f"There {count} between Xero and what was posted; {fresh} since the last match."


# --- a problem in general words

WHO: Final = {
    "office": "Somebody in your office",
    "accountant": "Your accountant",
    "platform": "The platform’s team",
    "operator": "Whoever runs this integration",
}
OURS: Final = frozenset(
    {
        "label",
        "field",
        "account",
        "wanted",
        "rate",
        "tax_type",
        "gone",
        "currency",
        "document",
        "or_else",
        "decides",
    }
)
"""Details that come from the settings, from Xero's lists or from us. Others may repeat a text of the order."""
IN_GENERAL: Final = {
    "line": "the line",
    "item": "the item",
    "field_in_words": "the field",
    "key_in_words": "the field",
    "number": "the document",
    # what an order may add to the sentence
    "or_else": "",
    "decides": "",
    "ref": "the order’s reference",
    "organisation": "the former organisation",
    "advice": "The order itself says more.",
}


def general_fix(problem: Problem) -> str:
    """What helps against the problem, without what may repeat a text of the order."""
    fix = _fix_of(problem)
    names = [name for _, name, _, _ in Formatter().parse(fix) if name]
    known = {name: problem.details[name] for name in OURS & problem.details.keys()}
    return _on_the_page(worded(fix, {name: known.get(name, IN_GENERAL.get(name, "…")) for name in names}))


def _fix_of(problem: Problem) -> str:
    special = (fix for detail, (_, fix) in problem.kind.words_with.items() if detail in problem.details)
    return next(special, problem.kind.fix)


def _on_the_page(fix: str) -> str:
    """In a mail, Xero's own words are not below."""
    return fix.replace(" below", " on the order’s page")


def group(
    code: str,
    standing: Sequence[StandingOrder],
    problems: Mapping[str, Problem],
    references: Mapping[str, str],
    *,
    or_more: bool,
) -> Group:
    """The orders of one problem, newest first. `problems` and `references` are those known, by the order's id."""
    known = next((problems[one.order_id] for one in standing if one.order_id in problems), Problem(code))
    named = standing[:ORDERS_NAMED]
    return Group(
        title=CATALOGUE[code].title,
        who=WHO[CATALOGUE[code].who],
        fix=general_fix(known),
        count=counted(len(standing), or_more=or_more),
        one=len(standing) == 1,
        orders=tuple(_named(one.order_id, references.get(one.order_id)) for one in named),
        more=or_more or len(standing) > len(named),
    )


def _named(order_id: str, references: str | None) -> str:
    return f"{order_id} ({references})" if references else order_id


# --- what the popup says of an address


def status_words(address: Address | None) -> tuple[str, str]:
    """How it is with an address, and what to do. None: nothing was done about it yet."""
    if address is None or address.status == "new":
        if address is not None and address.failed_at:
            return (
                "The mail that asks to confirm this address could not be sent.",
                "It is tried again by itself. If this stays so, tell whoever runs this integration.",
            )
        return "The mail that asks to confirm this address is on its way.", "It arrives within some minutes."
    if address.status == "asked":
        return (
            "Waiting for confirmation. It gets no other mail until then.",
            "Open the mail that was sent there and press Confirm. If none came, look among the spam.",
        )
    if address.status == "confirmed":
        if address.failed_at:
            return "Confirmed, but the last mail could not be sent.", "It is tried again by itself."
        return "Confirmed.", ""
    return _OFF.get(address.status, ("This address is handled by a newer version of this integration.", ""))


_OFF: Final = {
    "stopped": (
        "Switched off: somebody pressed Stop in one of the mails.",
        "To have mails again, send the confirmation again.",
    ),
    "bounced": (
        "Switched off: a mail could not be delivered, because the mailbox does not exist or takes no mail.",
        "Correct the address and save. If it is right and works again, send the confirmation again.",
    ),
    "complained": (
        "Switched off: a mail was marked as spam there.",
        "Ask whoever reads this mailbox. If they want the mails, send the confirmation again.",
    ),
}
SWITCHED_OFF: Final = frozenset(_OFF)
NOT_SENT: Final = (
    f"No mail is sent, because whoever runs this integration has set up no sender. “{Settings.label('errors_email')}”"
    " is kept until then."
)

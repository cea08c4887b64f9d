"""Mails to the offices: notes what may be a reason for one, and sends those that are due."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from bookkeeping.adapters.containment import contained, record
from bookkeeping.adapters.mail import Mail, MailSender
from bookkeeping.adapters.queues import ProblemsQueue
from bookkeeping.adapters.tables.authorizations import AuthorizationsTable
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.mails import Mails
from bookkeeping.adapters.tables.orders import OrdersTable, order_key
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.domain.connection import Connection, words
from bookkeeping.domain.errors import MailOutcomeUnknown, MailRefused
from bookkeeping.domain.ledger import Entry, State
from bookkeeping.domain.mail import (
    CONFIRM_WITHIN,
    LOST,
    ORDERS_NAMED,
    PROBLEMS_NAMED,
    STOP_WITHIN,
    Address,
    AddressStatus,
    Group,
    Link,
    LinkKind,
    MailWaits,
    Plan,
    Report,
    StandingOrder,
    counted,
    differences,
    group,
    news_at,
)
from bookkeeping.domain.moments import LONG_AGO, moment
from bookkeeping.domain.page_access import COMPANY, hashed
from bookkeeping.domain.problems.catalogue import CATALOGUE
from bookkeeping.domain.settings import addresses_in

COMPANIES: Final = 100
"""As many companies are looked at in a run."""
EVENTS: Final = 3_000
"""As many events are taken in a run, so that there is time left to send."""
COUNTED: Final = 1000


@dataclass(frozen=True)
class MailAdapters:
    """What mails need. Without a `sender` nothing is sent, and what is due stays due."""

    queue: ProblemsQueue
    mails: Mails
    settings: SettingsTable
    connections: ConnectionsTable
    orders: OrdersTable
    authorizations: AuthorizationsTable
    sender: MailSender | None
    render: Callable[..., tuple[str, str]]
    """A mail as text and as HTML, by the name of its template and what it is about."""
    new_token: Callable[[], str]
    now: Callable[[], datetime]
    page_url: str
    """The popup's own address, for the links that confirm and stop."""
    platform_url: str
    """Where the popup is opened."""
    waits: MailWaits


@dataclass
class Tally:
    """What a run did."""

    heard: int = 0
    sent: int = 0
    refused: list[str] = field(default_factory=list)
    """Why each mail that was not sent, or may not be, was not."""


# --- events


def hear(adapters: MailAdapters, tally: Tally, in_time: Callable[[], bool]) -> None:
    """Take events off the queue. Each is removed once what it says is kept."""
    planned: dict[str, datetime] = {}
    while tally.heard < EVENTS and in_time() and (taken := adapters.queue.take()):
        for body, _ in taken:
            _hear_one(adapters, body, planned)
        adapters.queue.remove([receipt for _, receipt in taken])
        tally.heard += len(taken)


def _hear_one(adapters: MailAdapters, body: str, planned: dict[str, datetime]) -> None:
    """`planned`: when each company's look was planned for in this run. A thousand orders are one reason to look."""
    try:
        event = json.loads(body)
        detail = event["detail"]
        if event["source"] == "aws.ses":
            for company, address, status in _undelivered(detail):
                adapters.mails.change(company, address, status, adapters.now())
            return
        company, at = detail["company"], moment(detail["at"])
        heard = _heard(event["detail-type"], detail, at)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # it would come again for ever
        record(error)
        return
    # a message that names no company has no office
    if not COMPANY.fullmatch(company):
        return
    look_at = at + adapters.waits.heals_within
    if heard or company not in planned or look_at < planned[company]:
        adapters.mails.look_at(company, look_at, **heard)
        planned[company] = min(look_at, planned.get(company, look_at))


def _heard(type_: str, detail: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """What an event says that is in no table, as fields of the company's plan."""
    match type_:
        case "ConnectionLost":
            return {"lost_at": at}
        case "BooksDiffer":
            # its sentences may name a contact
            return {"differs_at": at, "differs": differences(int(detail["differences"]), int(detail["new"]))}
    return {}


def _undelivered(detail: Mapping[str, Any]) -> Iterator[tuple[str, str, AddressStatus]]:
    """The addresses that get no mail any more, as SES says."""
    status: AddressStatus
    match detail["eventType"]:
        # any other kind of bounce is about the moment: a full mailbox, an answer while somebody is away
        case "Bounce" if detail["bounce"]["bounceType"] == "Permanent":
            status, recipients = "bounced", detail["bounce"]["bouncedRecipients"]
        case "Complaint" if detail["complaint"].get("complaintFeedbackType") != "not-spam":
            status, recipients = "complained", detail["complaint"]["complainedRecipients"]
        case _:
            return
    [company] = detail["mail"]["tags"]["company"]
    for recipient in recipients:
        yield company, recipient["emailAddress"], status


# --- what is due


def send_due(adapters: MailAdapters, tally: Tally, in_time: Callable[[], bool]) -> None:
    """Look at the companies that are due, the longest due first."""
    if adapters.sender is None:
        return
    for company in adapters.mails.due(adapters.now(), COMPANIES):
        if not in_time():
            return
        put_off = partial(_put_off, adapters, company)
        with contained(company, then=put_off, left_alone=put_off):
            _Look(adapters, adapters.sender, company, tally).take()


def _put_off(adapters: MailAdapters, company: str, *_: str) -> None:
    """Look at a company later that can't be looked at now."""
    adapters.mails.put_off(company, adapters.now() + adapters.waits.between_mails)


class _Look:
    """One look at a company: its addresses, what stands, and the mails that are due."""

    def __init__(self, adapters: MailAdapters, sender: MailSender, company: str, tally: Tally) -> None:
        self._adapters = adapters
        self._sender = sender
        self._company = company
        self._tally = tally
        self._now = adapters.now()
        self._waits = adapters.waits

    def take(self) -> None:
        plan, kept = self._adapters.mails.read(self._company)
        # the index may lag
        if plan.next_at is None or plan.next_at > self._now:
            return
        connection = self._adapters.connections.connection(self._company)
        wanted = self._wanted(connection)
        later = [self._forget(kept[name]) for name in kept.keys() - {one.casefold() for one in wanted}]
        addresses = [kept.get(one.casefold(), Address(self._company, one)) for one in wanted]
        later += [self._ask(one) for one in addresses if one.status == "new"]
        confirmed = [one for one in addresses if one.status == "confirmed"]
        if confirmed:
            later += self._report(plan, connection, confirmed)
        self._adapters.mails.looked(plan, min(filter(None, later), default=None))

    def _wanted(self, connection: Connection | None) -> tuple[str, ...]:
        current = self._adapters.settings.current(self._company)
        if current is None or (connection is not None and connection.taken_out):
            return ()
        return addresses_in(current[0].errors_email)

    def _forget(self, address: Address) -> datetime | None:
        """An address that is no longer in the settings. It is kept for an hour, for else it could be asked again."""
        at = address.next_mail_at(self._now, self._waits)
        if at > self._now:
            return at
        self._adapters.mails.forget(address)
        return None

    # --- mails. Each of these returns when to look again, if there is a reason

    def _ask(self, address: Address) -> datetime | None:
        """Ask who reads the mailbox to confirm it."""
        at = address.next_mail_at(self._now, self._waits)
        if at > self._now:
            return at
        if not self._adapters.mails.begin(address, self._now, asks=True):
            return self._now + self._waits.between_mails
        link = Link("confirm", self._company, address.address, self._now + CONFIRM_WITHIN, self._now)
        about = {"confirm_url": self._url(link), "days": CONFIRM_WITHIN.days}
        taken, again = self._send(address, "confirmation", "Xero: please confirm this address", about)
        if taken:
            self._adapters.mails.asked(address, self._now)
        return again

    def _report(
        self, plan: Plan, connection: Connection | None, addresses: Sequence[Address]
    ) -> Iterator[datetime | None]:
        orders = self._adapters.orders
        stands = {
            code: ([StandingOrder(id_, code, since) for id_, since in rows], or_more)
            for code, rows, or_more in orders.standing(self._company, State.NEEDS_ATTENTION, COUNTED)
            if code in CATALOGUE
        }
        since = [one.since for rows, _ in stands.values() for one in rows]
        lost_at = plan.lost_at if connection is not None and connection.status in LOST else None
        since += [at for at in (lost_at, plan.differs_at) if at is not None]
        due = [(one, news_at(since, one, self._now, self._waits)) for one in addresses]
        yield from (at for _, at in due if at is not None and at > self._now)
        now = [one for one, at in due if at == self._now]
        if not now:
            return
        report = replace(
            self._orders_report(stands), connection=self._connection_words(connection) if lost_at else None
        )
        for address in now:
            differs = plan.differs_at and plan.differs_at > (address.covered_to or LONG_AGO)
            yield self._mail(address, replace(report, differs=plan.differs if differs else ""))

    def _mail(self, address: Address, report: Report) -> datetime | None:
        if not self._adapters.mails.begin(address, self._now, asks=False):
            # another run did; it may have crashed
            return self._now + self._waits.between_mails
        taken, again = self._send(address, "problems", report.subject, {"report": report})
        if taken:
            self._adapters.mails.sent(address, self._now, self._now - self._waits.index_lags)
        return again

    def _send(
        self, address: Address, template: str, subject: str, about: Mapping[str, Any]
    ) -> tuple[bool, datetime | None]:
        """Send a mail that was begun. Whether it was taken, and when to look again if it was not."""
        adapters, company = self._adapters, self._company
        stop = Link("stop", company, address.address, self._now + STOP_WITHIN)
        common = {
            "company": company,
            "stop_url": self._url(stop),
            "platform_url": adapters.platform_url,
            "subject": subject,
        }
        text, html = adapters.render(template, **common, **about)
        mail = Mail(
            company, address.address, f"{subject} (company {company})", text, html, common["stop_url"]
        )
        try:
            self._sender.send(mail)
        except MailRefused as refused:
            self._tally.refused.append(str(refused))
            adapters.mails.refused(address, self._now)
            waits = self._waits
            return False, self._now + (waits.after_throttle if refused.throttled else waits.after_refusal)
        except MailOutcomeUnknown as unknown:
            self._tally.refused.append(str(unknown))
            return False, self._now + self._waits.between_mails
        self._tally.sent += 1
        return True, None

    def _url(self, link: Link) -> str:
        token = self._adapters.new_token()
        self._adapters.authorizations.keep_link(hashed(token), link)
        return mail_link(self._adapters.page_url, link.kind, token)

    # --- what stands, in words

    def _connection_words(self, connection: Connection | None) -> tuple[str, str]:
        sentence, fix = words(connection)
        return sentence, fix or ""

    def _orders_report(self, stands: Mapping[str, tuple[list[StandingOrder], bool]]) -> Report:
        # what stopped most orders first
        by_size = sorted(stands.items(), key=lambda one: len(one[1][0]), reverse=True)
        named = by_size[:PROBLEMS_NAMED]
        entries = self._entries(one.order_id for _, (rows, _) in named for one in rows[:ORDERS_NAMED])
        problems = {id_: entry.problem for id_, entry in entries.items() if entry.problem is not None}
        references = {id_: _references(entry) for id_, entry in entries.items()}
        groups: list[Group] = [
            group(
                code,
                rows,
                {id_: problem for id_, problem in problems.items() if problem.code == code},
                references,
                or_more=or_more,
            )
            for code, (rows, or_more) in named
        ]
        total = sum(len(rows) for rows, _ in stands.values())
        more = any(or_more for _, or_more in stands.values())
        return Report(
            groups=tuple(groups),
            groups_left_out=len(by_size) - len(named),
            orders=counted(total, or_more=more) if total else "",
        )

    def _entries(self, order_ids: Iterable[str]) -> dict[str, Entry]:
        """The orders that can be read; a mail about the others says less."""
        keys = [order_key(self._company, id_) for id_ in order_ids]
        found = self._adapters.orders.get_many(
            keys, lambda item: contained(item["company"], item["order_id"])
        )
        return {entry.order_id: entry for entry in found}


def _references(entry: Entry) -> str:
    if not entry.message.content:
        return ""
    order = entry.message.order
    return ", ".join(dict.fromkeys(filter(None, (order.ref, order.external_ref))))


def mail_link(page_url: str, kind: LinkKind, token: str) -> str:
    """The address of the page that a link in a mail leads to. The access log has no query."""
    return f"{page_url}/mail/{kind}?link={token}"

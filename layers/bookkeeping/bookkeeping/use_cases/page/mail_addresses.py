"""The addresses that get mails, as the popup shows them; and the links in mails, which need no session."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from bookkeeping.adapters.tables.authorizations import AuthorizationsTable
from bookkeeping.adapters.tables.mails import Mails
from bookkeeping.domain.errors import Foreseen
from bookkeeping.domain.mail import (
    NOT_SENT,
    SWITCHED_OFF,
    Address,
    Link,
    LinkKind,
    status_words,
)
from bookkeeping.domain.page_access import hashed
from bookkeeping.domain.settings import Settings, addresses_in
from bookkeeping.use_cases.page.adapters import PageAdapters

TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
LinkOutcome = Literal["open", "done", "gone"]
"""A link in a mail can still be used; was used, or need not be; or leads nowhere any more."""


class NotAskedAgain(Foreseen):
    """The confirmation is not sent again now. The message is for the person."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def shown_mail(adapters: PageAdapters, company: str, settings: Settings) -> dict[str, Any]:
    wanted = addresses_in(settings.errors_email)
    _, kept = adapters.mails.read(company) if wanted else (None, {})
    return {
        "words": "" if adapters.mail_from else NOT_SENT,
        "addresses": [_shown(adapters, one, kept.get(one.casefold())) for one in wanted]
        if adapters.mail_from
        else [],
    }


def _shown(adapters: PageAdapters, written: str, address: Address | None) -> dict[str, Any]:
    now, waits = adapters.now(), adapters.mail_waits
    words, fix = status_words(address)
    return {
        "address": written,
        "status": address.status if address else "new",
        "words": words,
        "fix": fix,
        "changed_at": address.changed_at.isoformat() if address and address.changed_at else None,
        "can_ask": address is not None
        and address.status in {"asked"} | SWITCHED_OFF
        and address.next_mail_at(now, waits) == now,
    }


def ask_again(adapters: PageAdapters, company: str, address: str) -> dict[str, Any]:
    """Have the mail sent again that asks to confirm an address. Raises NotAskedAgain."""
    now, waits, current = adapters.now(), adapters.mail_waits, adapters.settings.current(company)
    settings = current[0] if current else Settings.from_json({})
    _, kept = adapters.mails.read(company)
    known = kept.get(address.casefold())
    if known is None or address.casefold() not in map(str.casefold, addresses_in(settings.errors_email)):
        raise NotAskedAgain("Save the settings with this address first.")
    if known.status == "confirmed":
        raise NotAskedAgain("This address is confirmed.")
    if known.next_mail_at(now, waits) > now:
        minutes = -((now - known.next_mail_at(now, waits)) // timedelta(minutes=1))
        raise NotAskedAgain(
            f"A mail went there within the last hour. Look for it among the spam, too; the next one can be sent in"
            f" {minutes} {'minute' if minutes == 1 else 'minutes'}."
        )
    adapters.mails.change(company, known.address, "new", now)
    adapters.mails.look_at(company, now)
    return shown_mail(adapters, company, settings)


# --- links in mails


def find_link(
    authorizations: AuthorizationsTable, mails: Mails, kind: LinkKind, token: str, now: datetime
) -> tuple[LinkOutcome, Link | None]:
    """Whether a link can still be used, and what it is about. Nothing is changed: mail scanners open links."""
    link = authorizations.link(hashed(token)) if TOKEN.fullmatch(token) else None
    if link is None or link.kind != kind or link.expires_at <= now:
        return "gone", None
    _, kept = mails.read(link.company)
    address = kept.get(link.address.casefold())
    if address is None:
        return "gone", None
    if kind == "stop":
        return ("done" if address.status == "stopped" else "open"), link
    if address.asked_at != link.asked_at:
        return "gone", None
    if address.status == "confirmed":
        return "done", link
    return ("open" if address.status in ("new", "asked") else "gone"), link


def use_link(
    authorizations: AuthorizationsTable, mails: Mails, kind: LinkKind, token: str, now: datetime
) -> tuple[LinkOutcome, Link | None]:
    """Confirm an address, or stop its mails. A confirmation works once."""
    outcome, link = find_link(authorizations, mails, kind, token, now)
    if outcome != "open" or link is None:
        return outcome, link
    if link.asked_at is not None:
        used = mails.confirm(link.company, link.address, link.asked_at, now)
        # it is told of what stands
        mails.look_at(link.company, now)
    else:
        used = mails.change(link.company, link.address, "stopped", now)
    return ("done" if used else "gone"), link

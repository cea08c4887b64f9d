"""The adapters that the settings page may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bookkeeping.adapters.secrets import AppSecret
from bookkeeping.adapters.tables.book_matches import BookMatches
from bookkeeping.adapters.tables.mails import Mails
from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.domain.mail import MailWaits
from bookkeeping.use_cases.connect import ConnectAdapters
from bookkeeping.use_cases.release import ReleaseAdapters


@dataclass(frozen=True)
class PageAdapters(ReleaseAdapters, ConnectAdapters):
    """A person changes the connection and releases orders here, so the adapters of both are included."""

    matches: BookMatches
    organisations: Organisations
    mails: Mails
    apps: AppSecret
    """Only written: the page's role may not read it."""
    ask: Callable[..., dict[str, Any]]
    """Invoke `xero_desk` with company, task and details."""
    together: Callable[[Sequence[Callable[[], Any]]], list[Any]]
    """Make the calls side by side; their results in order."""
    web_url: str
    """The address of Xero's website."""
    mail_from: str
    """Who mails to the office come from; empty if none are sent."""
    mail_waits: MailWaits

"""What the settings page may touch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bookkeeping.adapters.secrets import AppSecret
from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.use_cases.connect import ConnectAdapters
from bookkeeping.use_cases.release import ReleaseAdapters


@dataclass(frozen=True)
class PageAdapters(ReleaseAdapters, ConnectAdapters):
    """A person at the page changes the connection and frees orders, so what those touch is in it."""

    organisations: Organisations
    apps: AppSecret
    """Written, never read: the page's role may not."""
    ask: Callable[..., dict[str, Any]]
    """Have `xero_desk` read what is not known yet: company, task, details."""
    web_url: str
    """Where a person opens a document in Xero."""

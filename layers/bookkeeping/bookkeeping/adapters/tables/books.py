"""A company's books: its settings and its connection."""

from __future__ import annotations

from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.domain.ledger import Books


def books_of(settings: SettingsTable, connections: ConnectionsTable, company: str) -> Books | None:
    """The company's current settings and connection; None if it never saved settings."""
    current = settings.current(company)
    if current is None:
        return None
    return Books(company, *current, connections.connection(company))


def books_to_post(settings: SettingsTable, connections: ConnectionsTable, company: str) -> Books | None:
    """The same, with whether its posting is paused."""
    current = settings.current(company)
    if current is None:
        return None
    return Books(company, *current, *connections.connection_and_pause(company))

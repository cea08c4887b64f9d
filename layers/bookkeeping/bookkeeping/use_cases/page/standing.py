"""Where an order's documents stand in Xero now, read for a person."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from bookkeeping.domain import ledger
from bookkeeping.domain.errors import Conflict
from bookkeeping.domain.ledger import UNDER_WAY, Entry
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.preview import NoAnswer, NotConnected


class NothingToRead(Exception):
    """The order has no documents, or they are in books that are not connected. `message` says which."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def look(adapters: PageAdapters, entry: Entry) -> Entry:
    """The order with where its documents stand, as just read. Raises NothingToRead, NotConnected and NoAnswer."""
    if not entry.documents or entry.state in UNDER_WAY:
        raise NothingToRead("Nothing of this order is in Xero yet, or more of it is on its way there.")
    connection = adapters.connections.connection(entry.company)
    if connection is None or connection.status != "connected":
        raise NotConnected
    if connection.organisation_id != entry.organisation_id:
        raise NothingToRead("Its documents are in another Xero organisation than the one connected now.")
    asked_at = adapters.now()
    ids = {kind: posted.id for kind, posted in entry.documents.items()}
    said = adapters.ask(entry.company, "standing", documents=ids)
    if said.get("error") == "not_connected":
        raise NotConnected
    if "error" in said:
        raise NoAnswer
    found = {kind: said["documents"].get(kind) for kind in ids}
    if gone := [entry.documents[kind].number for kind in ids if not found[kind]]:
        raise NothingToRead(f"Xero does not show {' and '.join(gone)}. Look for it there.")
    while True:
        noted = {
            kind: ledger.as_read(posted, **found[kind], now=asked_at)
            # what was read since is newer
            if posted.id == ids.get(kind) and (posted.read_at is None or posted.read_at <= asked_at)
            else posted
            for kind, posted in entry.documents.items()
        }
        with suppress(Conflict):
            return adapters.orders.save(replace(entry, documents=noted))
        # what else happened to the order meanwhile stands
        current = adapters.orders.get(*entry.key)
        if current is None:
            raise NothingToRead("This order is not kept any more.")
        entry = current

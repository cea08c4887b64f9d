"""The truth log: every call that reached Xero and what it really changed, whatever was answered."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime

from local.xero.wire import Json, utc_string


@dataclass
class Entry:
    """One call. `committed` names each document, item, contact or currency it created or changed."""

    seq: int
    at: datetime
    method: str
    path: str
    query: str
    client_id: str | None = None
    tenant_id: str | None = None
    idempotency_key: str | None = None
    grant_type: str | None = None
    outcome: str | None = None
    status: int | None = None
    fault: str | None = None
    limit: str | None = None
    replayed: bool = False
    tenant_mismatch: bool = False
    committed_at: datetime | None = None
    committed: list[Json] = field(default_factory=list)

    def as_json(self) -> Json:
        entry = asdict(self)
        entry["at"] = utc_string(self.at)
        entry["committed_at"] = utc_string(self.committed_at) if self.committed_at else None
        return entry


class TruthLog:
    """Entries in the order the calls arrived, numbered from 1."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def open(self, at: datetime, method: str, path: str, query: str) -> Entry:
        entry = Entry(len(self.entries) + 1, at, method, path, query)
        self.entries.append(entry)
        return entry

    def since(self, seq: int) -> list[Entry]:
        return self.entries[max(seq, 0) :]

    @property
    def tenant_mismatches(self) -> int:
        return sum(entry.tenant_mismatch for entry in self.entries)

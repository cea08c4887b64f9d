"""Idempotency-Key: the first answer under a key is every answer under it for six minutes, errors included."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from local.xero.replies import Reply

KEPT = timedelta(minutes=6)
LONGEST_KEY = 128


@dataclass
class Record:
    """A key's first request and its answer; `reply` is None while that request is running."""

    fingerprint: str
    first_at: datetime
    reply: Reply | None = None


class IdempotencyKeys:
    """Records by app and key. The tenant is no part of it, as in Xero."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], Record] = {}

    def find(self, client_id: str, key: str, now: datetime) -> Record | None:
        record = self._records.get((client_id, key))
        if record is None or now - record.first_at >= KEPT:
            return None
        return record

    def begin(self, client_id: str, key: str, print_: str, now: datetime) -> Record:
        # Dropping the outdated here keeps a long storm's memory flat; insertion order is time order.
        while self._records:
            oldest = next(iter(self._records))
            if now - self._records[oldest].first_at < KEPT:
                break
            del self._records[oldest]
        record = Record(print_, now)
        self._records[(client_id, key)] = record
        return record

    def forget(self, client_id: str, key: str) -> None:
        self._records.pop((client_id, key), None)


def fingerprint(method: str, target: str, body: bytes) -> str:
    """What makes two requests the same: method, URL with its query, body."""
    return hashlib.sha256(b"\n".join((method.encode(), target.encode(), body))).hexdigest()

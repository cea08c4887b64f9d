"""Connections: which app may enter which organisation on whose word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from local.xero.wire import Json, seven_digits


@dataclass
class Connection:
    id: str
    client_id: str
    user_id: str
    tenant_id: str
    auth_event_id: str
    created_at: datetime
    updated_at: datetime

    def as_json(self, tenant_name: str) -> Json:
        """One element of GET /connections."""
        return {
            "id": self.id,
            "authEventId": self.auth_event_id,
            "tenantId": self.tenant_id,
            "tenantType": "ORGANISATION",
            "tenantName": tenant_name,
            "createdDateUtc": seven_digits(self.created_at),
            "updatedDateUtc": seven_digits(self.updated_at),
        }


class Connections:
    """Live connections, and who has ever had one. A token that never had access is told apart from one that lost it."""

    def __init__(self) -> None:
        self._live: dict[tuple[str, str, str], Connection] = {}
        self._ever: set[tuple[str, str, str]] = set()

    def connect(
        self, *, new_id: str, client_id: str, user_id: str, tenant_id: str, auth_event_id: str, now: datetime
    ) -> Connection:
        """A new connection, or the existing one with this consent's event id and a later update."""
        key = (client_id, user_id, tenant_id)
        known = self._live.get(key)
        if known:
            known.auth_event_id, known.updated_at = auth_event_id, now
            return known
        self._live[key] = Connection(new_id, client_id, user_id, tenant_id, auth_event_id, now, now)
        self._ever.add(key)
        return self._live[key]

    def of(self, client_id: str, user_id: str) -> list[Connection]:
        return [
            live for live in self._live.values() if (live.client_id, live.user_id) == (client_id, user_id)
        ]

    def find(self, client_id: str, user_id: str, tenant_id: str) -> Connection | None:
        return self._live.get((client_id, user_id, tenant_id))

    def was_connected(self, client_id: str, user_id: str, tenant_id: str) -> bool:
        return (client_id, user_id, tenant_id) in self._ever

    def apps_of(self, tenant_id: str) -> set[str]:
        return {live.client_id for live in self._live.values() if live.tenant_id == tenant_id}

    def all(self) -> list[Connection]:
        return list(self._live.values())

    def drop(
        self, *, client_id: str | None = None, user_id: str | None = None, tenant_id: str | None = None
    ) -> int:
        """How many connections with these traits went."""
        gone = [
            key
            for key in self._live
            if (client_id is None or key[0] == client_id)
            and (user_id is None or key[1] == user_id)
            and (tenant_id is None or key[2] == tenant_id)
        ]
        for key in gone:
            del self._live[key]
        return len(gone)

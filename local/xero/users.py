"""The people who can log in, and the organisations they may enter."""

from __future__ import annotations

from dataclasses import dataclass, field

from local.xero.wire import Json


@dataclass
class User:
    id: str
    email: str
    first_name: str
    last_name: str
    password: str = field(repr=False)
    tenant_ids: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    def as_json(self) -> Json:
        return {"id": self.id, "email": self.email, "name": self.name, "organisations": self.tenant_ids}

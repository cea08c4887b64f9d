"""Facts about organisations, in the ConnectionsTable. It is a cache: what is missing is read from Xero again."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.tables.dynamodb import read, read_all, update_if
from bookkeeping.domain.contacts import Contact, name_key
from bookkeeping.domain.moments import LONG_AGO, moment, stamp
from bookkeeping.domain.organisation import Organisation

MOST_FACTS: Final = 390_000
"""Bytes that a row has room for."""


class Organisations:
    """Each organisation's accounts, tax rates and currencies, and the contacts and items that orders use."""

    def __init__(self, resource: Any, name: str) -> None:
        self._resource = resource
        self._table = resource.Table(name)

    def get(self, organisation_id: str) -> tuple[Organisation, datetime] | None:
        item = read(self._table, pk=f"organisation#{organisation_id}", sk="facts")
        if item is None:
            return None
        # what can't be read is asked of Xero anew
        with contained(organisation_id):
            text = zlib.decompress(bytes(item["facts"])).decode()
            return Organisation.from_json(text), moment(item["read_at"])
        return None

    def save(self, organisation: Organisation, read_at: datetime) -> None:
        """Keep the facts. Those of the largest organisations do not fit into a row: they are asked anew each time."""
        facts = zlib.compress(organisation.to_json().encode())
        if len(facts) > MOST_FACTS:
            self.forget(organisation.id)
            return
        key = {"pk": f"organisation#{organisation.id}", "sk": "facts"}
        self._table.put_item(Item=key | {"facts": facts, "read_at": stamp(read_at)})

    def forget(self, organisation_id: str) -> None:
        self._table.delete_item(Key={"pk": f"organisation#{organisation_id}", "sk": "facts"})

    def contact(self, organisation_id: str, name: str) -> Contact | None:
        item = read(self._table, pk=f"organisation#{organisation_id}", sk=_contact_key(name))
        if item is None:
            return None
        read_at = moment(item["read_at"]) if "read_at" in item else LONG_AGO
        return Contact(item["id"], item["name"], item["status"], read_at)

    def save_contact(self, organisation_id: str, name: str, contact: Contact) -> None:
        key = {"pk": f"organisation#{organisation_id}", "sk": _contact_key(name)}
        about = {"id": contact.id, "name": contact.name, "status": contact.status}
        self._table.put_item(Item=key | about | {"read_at": stamp(contact.read_at)})

    def doubt_contact(self, organisation_id: str, name: str) -> None:
        """Xero is asked anew who bears the name. Which contact bore it stays known."""
        key = {"pk": f"organisation#{organisation_id}", "sk": _contact_key(name)}
        update_if(self._table, key, "REMOVE read_at", "attribute_exists(pk)", {})

    def items(self, organisation_id: str, codes: Iterable[str]) -> dict[str, bool]:
        """Item codes known to exist → whether the item is tracked."""
        pk = f"organisation#{organisation_id}"
        keys = [{"pk": pk, "sk": f"item#{code}"} for code in dict.fromkeys(codes)]
        found = read_all(self._resource, self._table.name, keys)
        return {item["sk"].removeprefix("item#"): item["tracked"] for item in found}

    def save_items(self, organisation_id: str, items: Mapping[str, bool]) -> None:
        with self._table.batch_writer() as writer:
            for code, tracked in items.items():
                key = {"pk": f"organisation#{organisation_id}", "sk": f"item#{code}"}
                writer.put_item(Item=key | {"tracked": tracked})

    def forget_items(self, organisation_id: str, codes: Iterable[str]) -> None:
        with self._table.batch_writer() as writer:
            for code in codes:
                writer.delete_item(Key={"pk": f"organisation#{organisation_id}", "sk": f"item#{code}"})


# --- rows


def _contact_key(name: str) -> str:
    """One key for all spellings of a name. A name may be longer than DynamoDB lets a key be, so the key is its hash."""
    return f"contact#{hashlib.sha256(name_key(name).encode()).hexdigest()}"

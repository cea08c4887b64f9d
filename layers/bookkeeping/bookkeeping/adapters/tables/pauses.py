"""Pauses of posting, in the ConnectionsTable. Only whoever runs the stack writes them; posting and the page read them.

A turn reads its company's pause with the company's connection, in one request. Every turn does, so the rows are spread:
DynamoDB takes 3,000 reads a second of one key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

from bookkeeping.adapters.tables.dynamodb import Item, once_free, read_all
from bookkeeping.domain.ledger import Pause
from bookkeeping.domain.moments import moment, stamp

ALL: Final = "*"
"""Stands for every company, also those that connect later."""
ROWS: Final = 16


def pause_key(company: str) -> Item:
    """The key of the row with the company's pause, and with that of all companies."""
    return _key(crc32(company.encode()) % ROWS)


def _key(row: int) -> Item:
    return {"pk": f"paused#{row:02}", "sk": "paused"}


def pause_in(item: Mapping[str, Any], company: str) -> Pause | None:
    """The pause that holds for the company. That of all companies goes first."""
    kept = item.get(ALL) or item.get(company)
    return Pause(kept["by"], moment(kept["at"]), kept.get("because", "")) if kept else None


class Pauses:
    """Whose posting is paused."""

    def __init__(self, resource: Any, name: str) -> None:
        self._resource = resource
        self._table = resource.Table(name)

    def add(self, who: str, pause: Pause) -> None:
        """Pause a company, or ALL. Turns that begin later create no document for it."""
        kept = {"by": pause.by, "at": stamp(pause.at), "because": pause.because}
        self._update(who, UpdateExpression="SET #who = :pause", ExpressionAttributeValues={":pause": kept})

    def remove(self, who: str) -> None:
        self._update(who, UpdateExpression="REMOVE #who")

    def _update(self, who: str, **update: Any) -> None:
        for key in _rows_of(who):
            once_free(self._table.update_item, Key=key, ExpressionAttributeNames={"#who": who}, **update)

    def all(self) -> dict[str, Pause]:
        """Whose posting is paused: companies, and perhaps ALL."""
        found: dict[str, Pause] = {}
        for item in read_all(self._resource, self._table.name, _rows_of(ALL)):
            found |= {
                who: pause for who in item.keys() - {"pk", "sk"} if (pause := pause_in({who: item[who]}, who))
            }
        return found


def _rows_of(who: str) -> list[Item]:
    return [_key(row) for row in range(ROWS)] if who == ALL else [pause_key(who)]

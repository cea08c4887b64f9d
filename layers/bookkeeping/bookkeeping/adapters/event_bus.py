"""The event bus."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import boto3

from bookkeeping.adapters.queues import BOUNDED
from bookkeeping.domain.errors import BusUnavailable
from bookkeeping.domain.events import Event

SOURCE: Final = "kornitx.xero"


def event_bridge() -> Any:
    return boto3.client("events", config=BOUNDED)


class EventBus:
    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def put(self, events: Sequence[Event]) -> None:
        """Publish all the events. Those that the bus refuses are retried; raises an error if it keeps refusing."""
        for start in range(0, len(events), 10):
            entries = [self._entry(event) for event in events[start : start + 10]]
            for _ in range(3):
                answer = self._client.put_events(Entries=entries)
                results = zip(entries, answer["Entries"], strict=True)
                entries = [entry for entry, result in results if "ErrorCode" in result]
                if not entries:
                    break
            else:
                raise BusUnavailable(f"{len(entries)} events were not taken by the bus {self._name}")

    def _entry(self, event: Event) -> dict[str, Any]:
        detail = {"id": event.id, "at": event.at.isoformat(), **event.detail}
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": event.type,
            "Time": event.at,
            "Detail": json.dumps(detail, ensure_ascii=False),
        }

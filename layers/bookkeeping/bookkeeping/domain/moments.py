"""Moments as text, and a moment earlier than all others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final


def stamp(at: datetime) -> str:
    """A moment as text. The texts sort in the order of the moments."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def stamps(moments: Iterable[datetime]) -> list[str]:
    return [stamp(at) for at in moments]


LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)


moment: Final = datetime.fromisoformat
"""The moment that a text tells."""

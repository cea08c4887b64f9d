"""Moments as text, and a moment before all others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final


def stamp(at: datetime) -> str:
    """A moment as text whose order is the moments' order."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)


moment: Final = datetime.fromisoformat
"""The moment that a text tells."""

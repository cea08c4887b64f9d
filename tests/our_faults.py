"""The watch over faults of ours. Containment must hide no bug: one that is counted, and that nobody provoked, fails
the test or the storm that it happens in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bookkeeping.adapters import containment

LOGGED: Final = "fault of ours contained"


@dataclass(frozen=True)
class Fault:
    """A fault of ours that was contained, and to what."""

    error: Exception
    company: str
    order_id: str

    def __str__(self) -> str:
        return (
            f"{type(self.error).__name__}: {self.error}, contained to {self.company} {self.order_id}".rstrip()
        )


_listeners: list[list[Fault]] = []
_record = containment.record


def _recorded(error: Exception, company: str = "", order_id: str = "") -> str:
    fault = Fault(error, company, order_id)
    for listener in _listeners:
        listener.append(fault)
    return _record(error, company, order_id)


containment.record = _recorded


@contextmanager
def heard() -> Iterator[list[Fault]]:
    """The faults of ours that are counted within, in this process."""
    faults: list[Fault] = []
    _listeners.append(faults)
    try:
        yield faults
    finally:
        _listeners[:] = [one for one in _listeners if one is not faults]


def logged(folder: Path) -> list[str]:
    """The faults of ours that functions in processes of their own have logged in the folder."""
    return [
        line
        for log in sorted(folder.rglob("*.log"))
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        if LOGGED in line
    ]

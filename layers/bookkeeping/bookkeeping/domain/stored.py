"""What versions of this code keep of each other's rows and secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True)
class Stored:
    """A stored row, or a part of one. What only a newer version knows of it goes with it, and is written back."""

    unknown: dict[str, Any] = field(default_factory=dict, kw_only=True, compare=False, repr=False)
    """What is stored under names that this version does not know."""

    @classmethod
    def restored(
        cls, stored: Mapping[str, Any], others: Iterable[str] = (), /, **read: Callable[[Any], Any]
    ) -> Self:
        """From what is stored under the fields' names. `read` makes a field's value where that is stored otherwise.

        What is not stored has its default. `others`: names that are known, and say nothing more.
        """
        names = (name for name in known_names(cls) if name in stored)
        values = {name: read[name](stored[name]) if name in read else stored[name] for name in names}
        return cls(**values, unknown=unknown_in(stored, cls, others))

    def to_store(self, **written: Any) -> dict[str, Any]:
        """The fields under their names, and what is unknown. `written`: the fields that are stored otherwise."""
        return {name: getattr(self, name) for name in known_names(type(self))} | written | self.unknown


_known_names: dict[type[Any], tuple[str, ...]] = {}


def known_names(cls: type[Any]) -> tuple[str, ...]:
    """The names of a dataclass's fields. Every read and write of a row asks for them."""
    if cls not in _known_names:
        _known_names[cls] = tuple(one.name for one in fields(cls) if one.name != "unknown")
    return _known_names[cls]


def known_in(stored: Mapping[str, Any], cls: type[Any]) -> dict[str, Any]:
    """What is stored under the names of a dataclass's fields, of something that is never written back."""
    return {name: stored[name] for name in known_names(cls) if name in stored}


def unknown_in(stored: Mapping[str, Any], cls: type[Stored], others: Iterable[str] = ()) -> dict[str, Any]:
    """What is stored under names other than the fields' and the `others`."""
    known = known_names(cls)
    return {name: value for name, value in stored.items() if name not in known and name not in others}

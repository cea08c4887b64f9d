"""Why one order stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bookkeeping.domain.problems.catalogue import CATALOGUE, Kind
from bookkeeping.domain.problems.field_names import field_in_words
from bookkeeping.domain.stored import Stored
from bookkeeping.domain.texts import within

LONGEST_DETAIL: Final = 1_000
LONGEST_QUOTE: Final = 600
"""Bytes of one of Xero's messages."""
MOST_QUOTES: Final = 20


class _Words(dict[str, str]):
    """Details of a sentence; one that was never given reads as unknown instead of failing the page."""

    def __missing__(self, key: str) -> str:
        return "(not known)"


def worded(words: str, details: Mapping[str, str]) -> str:
    """`words` with its `{names}` filled from `details`; never fails for one that is missing."""
    return words.format_map(_Words(details))


@dataclass(frozen=True)
class Problem(Stored):
    """Why one order stopped."""

    code: str
    details: Mapping[str, str] = field(default_factory=dict)
    xero_says: tuple[str, ...] = ()
    """Xero's own words, as they came."""

    def __post_init__(self) -> None:
        # bounded here, for it goes into rows, events and pages; the class is frozen for everybody else
        details = {name: within(value, LONGEST_DETAIL) for name, value in self.details.items()}
        object.__setattr__(self, "details", details)
        says = tuple(within(message, LONGEST_QUOTE) for message in self.xero_says[:MOST_QUOTES])
        object.__setattr__(self, "xero_says", says)

    @property
    def kind(self) -> Kind:
        return CATALOGUE[self.code]

    @property
    def sentence(self) -> str:
        return worded(self._words[0], self._details_in_words)

    @property
    def fix(self) -> str:
        return worded(self._words[1], self._details_in_words)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the message that it is about, as the message calls them."""
        return tuple(self.details[name] for name in self._fields)

    @property
    def _fields(self) -> list[str]:
        """Those of the details that are fields of the message."""
        asked = (name for name in ("field", "other_field", "key") if name in self.details)
        return [name for name in asked if f"{{{name}_in_words}}" in self.kind.sentence]

    @property
    def _details_in_words(self) -> Mapping[str, str]:
        """The details, and each field of the message by the name that people call it."""
        words = {f"{name}_in_words": field_in_words(self.details[name]) for name in self._fields}
        return {**self.details, **words}

    @property
    def _words(self) -> tuple[str, str]:
        special = (words for detail, words in self.kind.words_with.items() if detail in self.details)
        return next(special, (self.kind.sentence, self.kind.fix))

    def as_json(self) -> dict[str, Any]:
        """The problem as a person is shown it: what stopped the order, who can act, and how."""
        return {
            "code": self.code,
            "title": self.kind.title,
            "sentence": self.sentence,
            "who": self.kind.who,
            "fix": self.fix,
            "xero_says": list(self.xero_says),
            "fields": list(self.fields),
            "by_itself": bool(self.kind.watches) and self.kind.who != "platform",
            "now_called": self._now_called(),
        }

    def _now_called(self) -> dict[str, str] | None:
        """The setting that names a contact which bears another name in Xero by now, and that name."""
        if not {"setting", "now_called"} <= self.details.keys():
            return None
        return {"setting": self.details["setting"], "name": self.details["now_called"]}


class OrderStopped(Exception):
    """The order cannot go on until the problem is solved; a person must act."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem

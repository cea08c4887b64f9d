"""What a question is, and the list of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from live_check.books import Answers, Books
from local.xero.organisations import Organisation
from local.xero.world import World

Situation = Callable[[World, Organisation], None]
"""Brings the simulated Xero to where Xero may be: stock that cannot be sold short, another app's documents."""


@dataclass(frozen=True)
class Question:
    """An open question: the same steps ask Xero and the simulated Xero."""

    id: str
    asks: str
    ask: Callable[[Books], Answers] = field(repr=False)
    fact: str | None = None
    """The row of `local/xero/unconfirmed.py` that holds the simulated Xero's answer."""
    only_xero: str = ""
    """Why the simulated Xero cannot be asked, where it cannot."""
    situations: Mapping[str, Situation] = field(
        default_factory=lambda: {"": lambda world, organisation: None}
    )


def question(
    asks: str,
    *,
    fact: str | None = None,
    only_xero: str = "",
    situations: Mapping[str, Situation] | None = None,
) -> Callable[[Callable[[Books], Answers]], Question]:
    """Makes a function that asks into the question of its name."""

    def make(ask: Callable[[Books], Answers]) -> Question:
        made = Question(ask.__name__, asks, ask, fact, only_xero)
        return Question(**(vars(made) | {"situations": situations})) if situations else made

    return make

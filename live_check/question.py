"""What a question is, and the list of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from live_check.books import Answers
from local.xero.organisations import Organisation
from local.xero.world import World

Situation = Callable[[World, Organisation], None]
"""Brings the simulated Xero to where Xero may be: stock that cannot be sold short, another app's documents."""
Ask = Callable[[Any], Answers]
"""Asks through `Books`, or through `Login` where a person has to log in."""


@dataclass(frozen=True)
class Question:
    """An open question: the same steps ask Xero and the simulated Xero."""

    id: str
    asks: str
    ask: Ask
    facts: tuple[str, ...]
    """The rows of `local/xero/unconfirmed.py` that hold the simulated Xero's answer."""
    only_xero: str
    """Why the simulated Xero cannot be asked, where it cannot."""
    login: bool
    """Whether a person has to log in for it."""
    situations: Mapping[str, Situation]


def as_it_is(world: World, organisation: Organisation) -> None:
    """The simulated Xero as it starts."""


def question(
    asks: str,
    *facts: str,
    only_xero: str = "",
    login: bool = False,
    situations: Mapping[str, Situation] | None = None,
) -> Callable[[Ask], Question]:
    """Makes a function that asks into the question of its name."""

    def make(ask: Ask) -> Question:
        return Question(ask.__name__, asks, ask, facts, only_xero, login, situations or {"": as_it_is})

    return make

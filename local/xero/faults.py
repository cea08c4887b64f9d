"""Faults on request: which calls they hit, how often, and what they do to them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from local.xero.wire import Json

# Answered instead of doing anything.
REFUSED_AT_THE_DOOR = frozenset(
    {
        "rate_limit_minute",
        "rate_limit_day",
        "rate_limit_concurrent",
        "rate_limit_appminute",
        "maintenance",
        "organisation_offline",
        "token_expired",
        "authentication_unsuccessful",
        "authorization_unsuccessful",
        "forbidden",
        "not_found",
        "too_large",
    }
)
# The call is carried out and its answer damaged. With `commit: false` it is not carried out.
SPOILT_ANSWERS = frozenset({"cut_body", "malformed_json", "html_body", "html_400", "empty_body"})
KINDS = (
    REFUSED_AT_THE_DOOR
    | SPOILT_ANSWERS
    | {
        "refused",
        "error_before_commit",
        "error_after_commit",
        "reply_lost",
        "request_lost",
        "slow_answer",
        "slow_commit",
        "disconnect",
    }
)


@dataclass
class Fault:
    """A rule: it hits matching calls `times` times (None: always), each `every`-th, or by `probability`."""

    id: str
    kind: str
    method: str | None = None
    path_prefix: str = "/"
    tenant_id: str | None = None
    client_id: str | None = None
    body_has: str | None = None
    """Hits only calls with this text in the body: an order's number, for one."""
    times: int | None = 1
    every: int | None = None
    probability: float | None = None
    skip: int = 0
    seconds: float = 30.0
    retry_after: int | None = None
    commit: bool = True
    message: str | None = None
    """Xero's words where the kind is `refused`."""
    seen: int = 0
    hits: int = 0
    dice: random.Random = field(default_factory=random.Random, repr=False)

    def matches(
        self, method: str, path: str, tenant_id: str | None, client_id: str | None, body: bytes
    ) -> bool:
        return (
            (self.method is None or self.method.upper() == method)
            and path.startswith(self.path_prefix)
            and (self.tenant_id is None or self.tenant_id == tenant_id)
            and (self.client_id is None or self.client_id == client_id)
            and (self.body_has is None or self.body_has.encode() in body)
        )

    def strikes(self) -> bool:
        """Whether the matching call now seen is hit."""
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.hits >= self.times):
            return False
        if self.every is not None and (self.seen - self.skip) % self.every:
            return False
        if self.probability is not None and self.dice.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def as_json(self) -> Json:
        rule = {key: value for key, value in asdict(self).items() if key != "dice"}
        return {
            key: Decimal(str(value)) if isinstance(value, float) else value for key, value in rule.items()
        }


class Faults:
    """The rules in force; the first that strikes wins."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []
        self._made = 0

    def add(self, given: Json) -> Fault:
        """A rule from its JSON. Raises ValueError for an unknown kind or key."""
        kind = given.get("kind")
        if kind not in KINDS:
            raise ValueError(f"no such fault: {kind!r}; there are {', '.join(sorted(KINDS))}")
        settable = set(Fault.__dataclass_fields__) - {"id", "seen", "hits", "dice"}
        if unknown := set(given) - settable - {"seed"}:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        if (kind == "refused") != ("message" in given):
            raise ValueError("a fault of the kind refused has a message, and no other has")
        # A rule that says how often by rate goes on until removed, unless told otherwise.
        rated = given.get("probability") is not None or given.get("every") is not None
        times = given.get("times", None if rated else 1)
        self._made += 1
        settings: dict[str, Any] = {
            key: float(value) if isinstance(value, Decimal) else value
            for key, value in given.items()
            if key in settable
        }
        settings |= {
            "id": f"fault-{self._made}",
            "times": times,
            "dice": random.Random(given.get("seed", self._made)),
        }
        rule = Fault(**settings)
        self.rules.append(rule)
        return rule

    def remove(self, fault_id: str | None = None) -> int:
        """How many rules went; without an id, all."""
        before = len(self.rules)
        self.rules = [rule for rule in self.rules if fault_id is not None and rule.id != fault_id]
        return before - len(self.rules)

    def striking(
        self, method: str, path: str, tenant_id: str | None, client_id: str | None, body: bytes
    ) -> Fault | None:
        return _first(
            rule
            for rule in self.rules
            if rule.matches(method, path, tenant_id, client_id, body) and rule.strikes()
        )


def _first(rules: Iterable[Fault]) -> Fault | None:
    return next(iter(rules), None)

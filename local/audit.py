"""The auditor: what must have become of each order, compared with the simulated Xero's truth log and the ledger."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from local.samples import Sample

IN_XERO: Final[Mapping[str, tuple[str, str]]] = {
    "ACCREC": ("invoice", "total"),
    "PURCHASEORDER": ("purchase_order", "subtotal"),
    "ACCRECCREDIT": ("credit_note", "total"),
}
"""Xero's kind of document → ours, and the figure to compare."""
DEAD: Final = ("DELETED", "VOIDED")
OPEN: Final = ("queued", "posting")


@dataclass(frozen=True)
class Row:
    """What the ledger shows of an order."""

    company: str
    order_id: str
    state: str
    why: str
    sentence: str
    number: str
    documents: Mapping[str, Mapping[str, Any]]
    changed: bool
    notes: Sequence[Mapping[str, Any]] = ()
    """Its credit notes."""

    @property
    def ends(self) -> str:
        return f"{self.state} {self.why}".strip()


@dataclass
class Findings:
    """Complaints by kind; each names its order."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    still_open: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.unexpected or self.still_open)

    def __str__(self) -> str:
        return (
            f"lost {len(self.lost)} / duplicated {len(self.duplicated)} / "
            f"unexpected {len(self.unexpected)} / open {len(self.still_open)}"
        )

    @property
    def all(self) -> list[str]:
        return [*self.lost, *self.duplicated, *self.unexpected, *self.still_open]


def audit(
    samples: Iterable[Sample],
    rows: Mapping[tuple[str, str], Row],
    log: Sequence[Mapping[str, Any]],
    prefixes: Mapping[str, str],
    organisations: Mapping[str, str],
) -> Findings:
    """Compare the samples with the ledger's rows and with what the truth log says was created and changed.

    `prefixes`: company → its number prefix. `organisations`: company → its organisation's id.
    """
    findings, books = Findings(), _Books(log)
    for sample in samples:
        name = f"{sample.what}: order {sample.order_id} of company {sample.company}"
        row = rows.get((sample.company, sample.order_id))
        if sample.ends == "no company":
            if row is not None:
                findings.unexpected.append(f"{name} has a row, though no such company is set up")
            continue
        if row is None:
            findings.lost.append(f"{name} is not in the ledger")
            continue
        if row.state in OPEN:
            findings.still_open.append(f"{name} is still {row.state}")
        elif row.ends != sample.ends:
            findings.unexpected.append(f"{name} ended as “{row.ends}”, not “{sample.ends}”: {row.sentence}")
        if row.changed != sample.changed:
            findings.unexpected.append(
                f"{name}: a change after posting is {'' if row.changed else 'not '}shown"
            )
        tenant, number = organisations[sample.company], prefixes[sample.company] + sample.order_id
        for kind, total in sample.documents.items():
            found = books.of(tenant, kind, rf"{re.escape(number)}(-\d+)?")
            _check(findings, f"{name}: {kind} {number}", found, total, gone=kind in sample.gone)
        notes = books.of(tenant, "credit_note", rf"{re.escape(number)}(-\d+)?-CN\d*")
        credited = sum((note.figure for note in notes if note.live), Decimal(0))
        if credited != sample.credited:
            findings.unexpected.append(f"{name}: {credited} is credited, not {sample.credited}")
    findings.unexpected += books.unasked()
    return findings


@dataclass
class _Document:
    """A document in Xero as it stands at the end of the log."""

    kind: str
    number: str
    figure: Decimal
    live: bool


class _Books:
    """What the log says stands in Xero, and how often each number was created."""

    def __init__(self, log: Sequence[Mapping[str, Any]]) -> None:
        self.created: Counter[tuple[str, str, str]] = Counter()
        self._documents: dict[tuple[str, str], _Document] = {}
        self._asked: set[tuple[str, str, str]] = set()
        for entry in log:
            for done in entry["committed"]:
                if done["kind"] not in IN_XERO:
                    continue
                kind, figure = IN_XERO[done["kind"]]
                tenant, number = entry["tenant_id"], done["number"]
                self.created[tenant, kind, number] += done["action"] == "created"
                self._documents[tenant, done["id"]] = _Document(
                    kind, number, Decimal(str(done[figure])), done["status"] not in DEAD
                )

    def of(self, tenant: str, kind: str, numbers: str) -> list[_Document]:
        """Those whose numbers match, one for each time that a number was created."""
        found = [
            document
            for (books, _), document in self._documents.items()
            if books == tenant and document.kind == kind and re.fullmatch(numbers, document.number)
        ]
        self._asked |= {(tenant, kind, document.number) for document in found}
        return found

    def unasked(self) -> list[str]:
        return [
            f"{kind} {number} was created {count} times and nobody asked for it"
            for (tenant, kind, number), count in self.created.items()
            if (tenant, kind, number) not in self._asked
        ]


def _check(findings: Findings, name: str, found: Sequence[_Document], wanted: Decimal, *, gone: bool) -> None:
    times = Counter(document.number for document in found)
    live = [document for document in found if document.live]
    if not found or not (live or gone):
        findings.lost.append(f"{name} is not in Xero")
    if max(times.values(), default=0) > 1 or len(live) > 1:
        findings.duplicated.append(f"{name} was created {len(found)} times, and {len(live)} of them stand")
    elif gone and live:
        findings.unexpected.append(f"{name} still stands in Xero")
    findings.unexpected += [
        f"{name} comes to {document.figure}, not {wanted}" for document in live if document.figure != wanted
    ]

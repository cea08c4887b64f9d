"""The auditor: what must have become of each order, compared with the simulated Xero's truth log and the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from local.samples import Sample

IN_XERO: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "ACCREC": (("invoice", "total"),),
    "PURCHASEORDER": (("purchase_order", "subtotal"),),
}
"""Xero's kind of document → ours, and the figure to compare."""
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
    """Compare the samples with the ledger's rows and with what the truth log says was created.

    `prefixes`: company → its number prefix. `organisations`: company → its organisation's id.
    """
    findings = Findings()
    created = [
        (entry["tenant_id"], kind, done["number"], Decimal(str(done[figure])))
        for entry in log
        for done in entry["committed"]
        for kind, figure in IN_XERO.get(done["kind"], ())
    ]
    times = Counter((tenant, kind, number) for tenant, kind, number, _ in created)
    totals = {(tenant, kind, number): total for tenant, kind, number, total in created}
    wanted: set[tuple[str, str, str]] = set()
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
        for kind, total in sample.documents.items():
            key = (organisations[sample.company], kind, prefixes[sample.company] + sample.order_id)
            wanted.add(key)
            _check(findings, f"{name}: {kind} {key[2]}", times[key], totals.get(key), total)
    for key, count in times.items():
        if key not in wanted:
            findings.unexpected.append(f"{key[1]} {key[2]} was created {count} times and nobody asked for it")
    return findings


def _check(findings: Findings, name: str, count: int, total: Decimal | None, wanted: Decimal) -> None:
    if count == 0:
        findings.lost.append(f"{name} is not in Xero")
    elif count > 1:
        findings.duplicated.append(f"{name} was created {count} times")
    if total is not None and total != wanted:
        findings.unexpected.append(f"{name} comes to {total}, not {wanted}")

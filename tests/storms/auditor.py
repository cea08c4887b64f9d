"""The auditor of the storms over posting. It reads the truth log of the simulated Xero, the rows of the ledger and what
the bus was told, and reckons from the messages what must have come of them; of the code it uses nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from local.samples import cost, gross
from local.xero.truth_log import Entry
from tests.storms.workload import Company, Sent

OPEN = ("queued", "posting", "waiting")
IN_XERO = {"ACCREC": "invoice", "PURCHASEORDER": "purchase_order"}


@dataclass
class Report:
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    orders: int = 0
    documents: int = 0
    calls: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    limited: int = 0
    """Calls answered 429 by a limit that is real."""
    most_a_minute: int = 0
    """The most calls of one app to one organisation in any 60 seconds, whatever the answer."""

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.unexpected or self.open or self.untold)

    @property
    def figures(self) -> str:
        return f"{len(self.lost)}/{len(self.duplicated)}/{len(self.unexpected)}/{len(self.open)}"

    def __str__(self) -> str:
        found = [
            f"{what}: {each}"
            for what in ("lost", "duplicated", "unexpected", "open", "untold")
            for each in getattr(self, what)[:6]
        ]
        faults = ", ".join(f"{count} {kind}" for kind, count in self.faults.most_common())
        return "\n  ".join(
            [
                f"{self.figures} of {self.orders} orders, {len(self.untold)} untold; {self.documents} documents in"
                f" {self.calls} calls, {self.limited} answered 429 by a real limit; {faults or 'no faults'}",
                *found,
            ]
        )


def audit(
    sent: Iterable[Sent],
    log: Iterable[Entry],
    tables: dict[str, list[dict[str, Any]]],
    events: Iterable[dict[str, Any]],
) -> Report:
    log = list(log)
    report = Report(most_a_minute=most_at_once(log))
    created: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for entry in log:
        if not entry.path.startswith("/api.xro/"):
            continue
        report.calls += 1
        report.limited += entry.limit is not None
        if entry.fault:
            report.faults[entry.fault] += 1
        if entry.tenant_mismatch:
            report.unexpected.append(f"a token was used for another organisation in call {entry.seq}")
        for done in entry.committed:
            if done["kind"] not in IN_XERO:
                continue
            number = str(done["number"])
            if done["action"] != "created":
                report.unexpected.append(f"{number} was {done['action']} by call {entry.seq}")
                continue
            report.documents += 1
            created[str(entry.tenant_id), IN_XERO[done["kind"]], number].append(done)
    rows = {row["key"]: row for row in tables["OrdersTable"]}
    told = {(event["type"], event["company"], event["order_id"]) for event in events if "order_id" in event}
    for order in sent:
        report.orders += 1
        _Case(report, order, rows, created, told).judge()
    for (_, kind, number), documents in created.items():
        report.unexpected += [f"{kind} {number} is nobody's" for _ in documents]
    for item in tables["ConnectionsTable"]:
        if str(item["sk"]).startswith("batch#"):
            report.open.append(f"batch record {item['sk']} of {item['pk']}")
    return report


@dataclass
class _Case:
    report: Report
    sent: Sent
    rows: dict[str, dict[str, Any]]
    created: dict[tuple[str, str, str], list[dict[str, Any]]]
    told: set[tuple[str, str, str]]

    def judge(self) -> None:
        """Judge one order; its documents are taken off the list of those created."""
        companies = self.sent.companies
        together = len({company.organisation_id for company in companies}) < len(companies)
        if not together:
            for company in companies:
                self._company(company)
            return
        # both in one organisation: one posts it, the other says so
        skipped = [company for company in companies if self._says(company, "skipped") == "already_in_books"]
        if len(skipped) != 1:
            states = [self._says(company) for company in companies]
            self._note(
                "duplicated" if not skipped else "lost", companies[0], f"in one organisation: {states}"
            )
        for company in companies:
            if company in skipped:
                self._documents(company, {})
                self._was_told("OrderSkipped", company)
            else:
                self._company(company)

    def _row(self, company: Company) -> dict[str, Any] | None:
        return self.rows.get(f"{company.ref}#{self.sent.order_id}")

    def _says(self, company: Company, state: str = "") -> str:
        row = self._row(company)
        if row is None or (state and row["state"] != state):
            return ""
        return str(row.get("reason", "")) if state else f"{row['state']} {row.get('reason', '')}"

    def _note(self, what: str, company: Company, why: str) -> None:
        getattr(self.report, what).append(f"order {self.sent.order_id} of {company.ref}: {why}")

    def _company(self, company: Company) -> None:
        row = self._row(company)
        if row is None:
            self._note("lost", company, "no row")
            self._documents(company, {})
            return
        state = row["state"]
        documents = row["documents"]
        self._documents(company, documents)
        if state in OPEN:
            self._note("open", company, f"{state} {row.get('reason', '')} {row.get('batch', '')}")
            return
        why = row["problem"]["code"] if "problem" in row else row.get("reason", "")
        if state != "posted":
            if f"{state} {why}" != self.sent.provoked:
                about = row.get("problem", {})
                self._note(
                    "unexpected", company, f"{state} {why} {about.get('details')} {about.get('xero_says')}"
                )
            self._was_told("OrderNeedsAttention" if state == "needs_attention" else "OrderSkipped", company)
            return
        if self.sent.provoked:
            self._note("unexpected", company, f"posted, though {self.sent.provoked}")
        wanted = {"invoice", "purchase_order"} if company.tracked else {"invoice"}
        if set(documents) != wanted:
            self._note("lost", company, f"posted with {sorted(documents)}")
        self._was_told("OrderPosted", company)

    def _documents(self, company: Company, shown: dict[str, Any]) -> None:
        """What was created in Xero against what the ledger shows, and against the messages."""
        number = f"{company.prefix}{self.sent.order_id}"
        for kind in ("invoice", "purchase_order"):
            made = self.created.pop((company.organisation_id, kind, number), [])
            if len(made) > 1:
                self._note("duplicated", company, f"{len(made)} of {kind}")
            if made and kind not in shown:
                self._note("unexpected", company, f"{kind} is in Xero and not in the ledger")
            if kind in shown and shown[kind]["id"] not in [done["id"] for done in made]:
                self._note("lost", company, f"{kind} is in the ledger and not in Xero")
        if not shown:
            return
        figures = [self._figures(order) for _, order in self.sent.messages]
        said = {kind: Decimal(str(posted["total"])) for kind, posted in shown.items()}
        fits = [
            place
            for place, figure in enumerate(figures)
            if figure["invoice"] == said.get("invoice", figure["invoice"])
        ]
        row = self._row(company) or {}
        if not fits:
            self._note("unexpected", company, f"invoice over {said.get('invoice')}, not any of {figures}")
        elif fits[-1] != len(figures) - 1 and not row.get("changes"):
            self._note("unexpected", company, "an earlier content was posted, and no change is shown")
        elif fits[-1] == len(figures) - 1 and row.get("changes"):
            self._note("unexpected", company, f"changes are shown that are none: {row['changes']}")

    def _figures(self, order: dict[str, Any]) -> dict[str, Decimal]:
        return {"invoice": gross(order), "purchase_order": cost(order)}

    def _was_told(self, event: str, company: Company) -> None:
        if (event, company.ref, self.sent.order_id) not in self.told:
            self._note("untold", company, event)


def most_at_once(log: Iterable[Entry], seconds: int = 60) -> int:
    """The most calls one app made to one organisation in so many seconds."""
    moments: dict[tuple[str | None, str | None], list[float]] = defaultdict(list)
    for entry in log:
        if entry.path.startswith("/api.xro/"):
            moments[entry.client_id, entry.tenant_id].append(entry.at.timestamp())
    most = 0
    for times in moments.values():
        first = 0
        for place, moment in enumerate(times):
            while moment - times[first] >= seconds:
                first += 1
            most = max(most, place - first + 1)
    return most

"""The auditor of the storms over posting. It reads the truth log and the books of the simulated Xero, the rows of the
ledger and what the bus was told, and reckons from the messages what must have come of them.

Of the code it uses nothing but what uncompresses a message in a row.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from bookkeeping.adapters.tables.packing import unpacked
from local.samples import cost, gross
from local.xero.organisations import Document, Organisation
from local.xero.truth_log import Entry
from tests.storms.workload import Company, Sent

OPEN = ("queued", "posting", "waiting")
IN_XERO = {"ACCREC": "invoice", "PURCHASEORDER": "purchase_order"}
DISPATCHED = (8, 64)
NOT_LIVE = {128: "cancelled", 256: "on_hold"}
CANCELLED = 128
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_SALE = ("Refunded", "Returned", "Rejected")


@dataclass(frozen=True)
class Write:
    """A row of the ledger as it was written, and when the function that wrote it had begun."""

    at: datetime
    began: datetime
    row: dict[str, Any]

    @property
    def frozen(self) -> bool:
        return bool(self.row["documents"] or self.row.get("batch"))


@dataclass
class History:
    """What was seen of the queue and of the tables while the storm went on.

    With it the auditor knows which content and which settings an order had to be posted with, and not only which are
    possible.
    """

    arrived: dict[tuple[str, int], datetime] = field(default_factory=dict)
    """Order id and sent time of a message → when it was first delivered."""
    acknowledged: dict[tuple[str, int], datetime] = field(default_factory=dict)
    rows: dict[str, list[Write]] = field(default_factory=lambda: defaultdict(list))
    current: dict[str, list[tuple[datetime, int]]] = field(default_factory=lambda: defaultdict(list))
    """Company → when each version of its settings became the current one."""

    def due(self, key: str) -> Iterator[Write]:
        """The writes by which an order became due, first or anew."""
        before: Write | None = None
        for write in self.rows[key]:
            if write.row["state"] == "queued" and (
                before is None
                or before.row["state"] not in ("queued", "posting")
                or before.row["settings_version"] != write.row["settings_version"]
                or (before.row["message"] != write.row["message"] and not write.frozen)
            ):
                yield write
            before = write

    def frozen(self, key: str, at: datetime) -> Write | None:
        """The write that froze the order for the call that arrived in Xero then."""
        found = before = None
        for write in self.rows[key]:
            if write.at > at:
                break
            if write.row.get("batch") and (before is None or before.row.get("batch") != write.row["batch"]):
                found = write
            before = write
        return found

    def was_current(self, company: str, version: int, began: datetime, ended: datetime) -> bool:
        """Whether the version was the current one at any moment between the two."""
        versions = self.current[company]
        for place, (since, number) in enumerate(versions):
            until = versions[place + 1][0] if place + 1 < len(versions) else None
            if number == version and since <= ended and (until is None or until >= began):
                return True
        return False


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
    books: Mapping[str, Organisation],
    history: History | None = None,
    edits: Mapping[str, Edit] | None = None,
) -> Report:
    """`edits`: the documents in Xero that a person had a hand in, by their id."""
    log = list(log)
    report = Report(most_a_minute=most_at_once(log))
    created: dict[tuple[str, str, str], list[Created]] = defaultdict(list)
    reads: dict[str, list[datetime]] = defaultdict(list)
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
            made = Created(str(done["id"]), entry.at)
            created[str(entry.tenant_id), IN_XERO[done["kind"]], number].append(made)
        if entry.method == "GET":
            for number in re.split("[/,=&]", unquote(f"{entry.path}/{entry.query}")):
                reads[number].append(entry.at)
        if entry.method == "POST":
            report.unexpected.append(f"call {entry.seq} is a POST")
    facts = Facts(
        rows={row["key"]: row for row in tables["OrdersTable"]},
        settings={
            (item["company"], int(item["number"])): json.loads(item["settings"])
            for item in tables["SettingsTable"]
        },
        created=created,
        told={
            (event["type"], event["company"], event["order_id"]) for event in events if "order_id" in event
        },
        books=books,
        history=history,
        edits=edits or {},
        reads=reads,
    )
    for order in sent:
        report.orders += 1
        _Case(report, order, facts).judge()
    for (_, kind, number), documents in created.items():
        report.unexpected += [f"{kind} {number} is nobody's" for _ in documents]
    for item in tables["ConnectionsTable"]:
        if str(item["sk"]).startswith("batch#"):
            report.open.append(f"batch record {item['sk']} of {item['pk']}")
    return report


@dataclass(frozen=True)
class Created:
    """A document that was created in Xero, and when the call that did it arrived."""

    id: str
    at: datetime


@dataclass(frozen=True)
class Edit:
    """What a person did to a document in Xero, and the document as it was left."""

    what: str
    at: datetime
    left: Document
    by_hand: bool = False
    """The person made the document, under a number that an order would have."""


@dataclass(frozen=True)
class Facts:
    """All that there is to judge by."""

    rows: dict[str, dict[str, Any]]
    settings: dict[tuple[str, int], dict[str, Any]]
    created: dict[tuple[str, str, str], list[Created]]
    told: set[tuple[str, str, str]]
    books: Mapping[str, Organisation]
    history: History | None
    edits: Mapping[str, Edit]
    reads: dict[str, list[datetime]]
    """Number → when documents were read by it."""


@dataclass
class _Case:
    report: Report
    sent: Sent
    facts: Facts

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
        return self.facts.rows.get(self._key(company))

    def _key(self, company: Company) -> str:
        return f"{company.ref}#{self.sent.order_id}"

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
        self._due(company)
        why = row["problem"]["code"] if "problem" in row else row.get("reason", "")
        ended = f"{state} {why}".strip()
        stopped_by_edit = self._stopped_by_edit(company, documents)
        expected = stopped_by_edit or self.sent.provoked or self._left_out(company)
        if state in OPEN and ended != expected:
            self._note("open", company, f"{ended} {row.get('batch', '')}")
        elif state != "posted":
            if ended != expected:
                about = row.get("problem", {})
                self._note("unexpected", company, f"{ended} {about.get('details')} {about.get('xero_says')}")
            if state not in OPEN:
                self._was_told(
                    "OrderNeedsAttention" if state == "needs_attention" else "OrderSkipped", company
                )
        else:
            if stopped_by_edit or self.sent.provoked:
                self._note("unexpected", company, f"posted, though {expected}")
            wanted = {"invoice", "purchase_order"} if company.tracked else {"invoice"}
            if set(documents) != wanted:
                self._note("lost", company, f"posted with {sorted(documents)}")
            self._was_told("OrderPosted", company)

    def _left_out(self, company: Company) -> str:
        """How an order ends that has no document, as far as its newest message tells; empty: it has one."""
        _, newest = self.sent.messages[-1]
        half = "purchase_order" in (self._row(company) or {}).get("documents", {})
        ended = newest["status"] == CANCELLED or newest["status_name"] in NO_SALE
        if half and ended and not newest["has_error"]:
            return "needs_attention no_sale"
        if newest["has_error"] or newest["status"] in NOT_LIVE:
            return f"skipped {NOT_LIVE.get(newest['status'], 'error')}"
        if newest["status_name"] in NO_SALE:
            return "needs_attention no_sale"
        settings = self._settings(company)
        if settings["post_when"] == "dispatch" and not is_dispatched(newest):
            return "waiting dispatch"
        return ""

    def _settings(self, company: Company, at: datetime | None = None) -> dict[str, Any]:
        """The settings that hold for a document whose call arrived in Xero then; None: the row's."""
        history, row = self.facts.history, self._row(company) or {}
        frozen = history.frozen(self._key(company), at) if history and at else None
        version = int((frozen.row if frozen else row).get("settings_version", 0))
        if not version:
            version = max(number for ref, number in self.facts.settings if ref == company.ref)
        return self.facts.settings[company.ref, version]

    def _number(self, company: Company) -> str:
        """Prefix and order id. The prefix is that of the settings under which the order first became due."""
        prefix = company.prefix
        first = next(self.facts.history.due(self._key(company)), None) if self.facts.history else None
        if first is not None:
            prefix = self.facts.settings[company.ref, int(first.row["settings_version"])]["number_prefix"]
        return f"{prefix}{self.sent.order_id}"

    def _documents(self, company: Company, shown: dict[str, Any]) -> None:
        """What was created in Xero against what the ledger shows, and against the messages."""
        number = self._number(company)
        organisation = self.facts.books[company.organisation_id]
        posted: dict[str, tuple[Document, datetime]] = {}
        for kind in ("invoice", "purchase_order"):
            made = self.facts.created.pop((company.organisation_id, kind, number), [])
            if len(made) > 1:
                self._note("duplicated", company, f"{len(made)} of {kind}")
            edit = self._edit(company, kind, number)
            if made and kind not in shown and edit is None:
                self._note("unexpected", company, f"{kind} is in Xero and not in the ledger")
            if kind in shown and shown[kind]["id"] not in [
                *(done.id for done in made),
                edit and edit.left.id,
            ]:
                self._note("lost", company, f"{kind} is in the ledger and not in Xero")
            if made:
                posted[kind] = (organisation.documents[made[-1].id], made[-1].at)
        if shown and posted:
            self._content(company, shown, posted)

    def _content(
        self, company: Company, shown: dict[str, Any], posted: dict[str, tuple[Document, datetime]]
    ) -> None:
        """The documents, and the changes shown, against the messages."""
        first = min(at for _, at in posted.values())
        untouched = {
            kind: held(document)
            for kind, (document, _) in posted.items()
            if document.id not in self.facts.edits
        }
        for kind in untouched:
            if kind in shown and Decimal(shown[kind]["total"]) != posted[kind][0].total:
                total = posted[kind][0].total
                self._note("unexpected", company, f"{kind} of {total}, and {shown[kind]['total']} is shown")
        possible = self._possible(company, first)
        reckonings = [
            {kind: self._totals(company, kind, place, posted[kind][1]) for kind in untouched}
            for place in possible
        ]
        fits = [place for place, found in zip(possible, reckonings, strict=True) if found == untouched]
        if not fits:
            wanted = reckonings[-1] if reckonings else None
            self._note("unexpected", company, f"{differing(untouched, wanted)}, of {len(possible)} messages")
            return
        settings = self._settings(company, first)
        found = (self.sent.messages[place][1] for place in fits)
        self._changes(company, [order for order in found if may_be_posted(order, settings)])

    def _totals(self, company: Company, kind: str, place: int, at: datetime) -> dict[str, Any]:
        sent_at, order = self.sent.messages[place]
        organisation = self.facts.books[company.organisation_id]
        return reckoned(kind, order, sent_at, self._settings(company, at), organisation)

    def _possible(self, company: Company, at: datetime) -> list[int]:
        """The messages whose content a document may have whose call arrived in Xero then.

        Of those acknowledged before the order was frozen, the one sent last; and any sent later that was under way.
        """
        everything = list(range(len(self.sent.messages)))
        history = self.facts.history
        if history is None:
            return everything
        frozen = history.frozen(self._key(company), at)
        if frozen is None:
            self._note("unexpected", company, "sent, and never written down before")
            return everything
        order_id, never = self.sent.order_id, datetime.max.replace(tzinfo=UTC)
        moments = [sent_at for sent_at, _ in self.sent.messages]
        durable = max(
            (
                sent_at
                for sent_at in moments
                if history.acknowledged.get((order_id, sent_at), never) <= frozen.at
            ),
            default=0,
        )
        return [
            place
            for place, sent_at in enumerate(moments)
            if sent_at == durable
            or (sent_at > durable and history.arrived.get((order_id, sent_at), never) <= frozen.at)
        ]

    def _changes(self, company: Company, candidates: list[dict[str, Any]]) -> None:
        """Changes are shown where what was sent last is not what was posted, which is one of the candidates."""
        row = self._row(company) or {}
        newest_at, newest = self.sent.messages[-1]
        settings = self._settings(company)
        organisation = self.facts.books[company.organisation_id]
        now = accounting(newest, settings, organisation)
        changed = {accounting(order, settings, organisation) != now for order in candidates}
        shown = row.get("changes", [])
        if changed == {True} and not shown:
            self._note("unexpected", company, "an earlier content was posted, and no change is shown")
        if changed == {False} and shown:
            self._note("unexpected", company, f"changes are shown that are none: {shown}")
        if not changed:
            self._note("unexpected", company, "posted, though no message says so")
        if not shown:
            return
        self._was_told("OrderChangedAfterPosting", company)
        about, _, _ = unpacked(bytes(row["newer"])).partition("\n")
        if json.loads(about)["sent_at"] != newest_at:
            self._note("unexpected", company, "the changes shown are not those of the newest message")
        words = " ".join(shown)
        if not any(all(word in words for word in said_of(order, newest)) for order in candidates):
            self._note("unexpected", company, f"not all changes are shown: {shown}")

    def _due(self, company: Company) -> None:
        """An order becomes due under the settings of that moment."""
        history = self.facts.history
        for write in history.due(self._key(company)) if history else ():
            version = int(write.row["settings_version"])
            if not history or not history.was_current(company.ref, version, write.began, write.at):
                self._note(
                    "unexpected", company, f"due at {write.at:%H:%M:%S} under version {version}, out of date"
                )

    # a person's hand

    def _edit(self, company: Company, kind: str, number: str) -> Edit | None:
        for document in self._numbered(company, kind, number):
            edit = self.facts.edits.get(document.id)
            if edit is not None:
                if document != edit.left:
                    self._note(
                        "unexpected", company, f"{kind} was changed after a person's edit: {edit.what}"
                    )
                return edit
        return None

    def _numbered(self, company: Company, kind: str, number: str) -> Iterator[Document]:
        organisation = self.facts.books[company.organisation_id]
        in_xero = next(name for name, ours in IN_XERO.items() if ours == kind)
        return organisation.numbered(in_xero, number, same_case=True)  # type: ignore[arg-type]

    def _stopped_by_edit(self, company: Company, shown: dict[str, Any]) -> str:
        """What the order must say of a document that a person edited; empty: nothing."""
        number = self._number(company)
        _, order = self.sent.messages[-1]
        for kind in ("purchase_order", "invoice"):
            edit = self._edit(company, kind, number)
            if edit is None:
                continue
            gone = "needs_attention number_spent" if edit.left.status == "DELETED" else ""
            if kind not in shown:
                return gone or "needs_attention number_taken"
            known_at = EPOCH + timedelta(milliseconds=int(shown[kind]["at"]))
            read_at = max((at for at in self.facts.reads[number] if at <= known_at), default=known_at)
            if "adopted" not in shown[kind] or read_at < edit.at:
                # what was read or answered was the document as it had been sent
                continue
            if gone:
                return gone
            if order["ref"] not in edit.left.reference and (edit.by_hand or kind == "purchase_order"):
                return "needs_attention number_taken"
            if shown[kind]["status"] != edit.left.status:
                self._note("unexpected", company, f"{kind} is shown as {shown[kind]['status']}")
            left = held(edit.left)
            wanted = [
                self._totals(company, kind, place, edit.left.created_at)
                for place in range(len(self.sent.messages))
            ]
            if all((left["figure"], left["contact"]) != (one["figure"], one["contact"]) for one in wanted):
                return "needs_attention adopted_differs"
        return ""

    def _was_told(self, event: str, company: Company) -> None:
        if (event, company.ref, self.sent.order_id) not in self.facts.told:
            self._note("untold", company, event)


# --- what a message must come to


def is_dispatched(order: Mapping[str, Any]) -> bool:
    return order["has_been_completed"] or order["status"] in DISPATCHED


def is_live(order: Mapping[str, Any]) -> bool:
    return not (order["has_error"] or order["status"] in NOT_LIVE or order["status_name"] in NO_SALE)


def may_be_posted(order: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    return is_live(order) and (settings["post_when"] == "arrival" or is_dispatched(order))


def reckoned(
    kind: str,
    order: Mapping[str, Any],
    sent_at: int,
    settings: Mapping[str, Any],
    organisation: Organisation,
) -> dict[str, Any]:
    """The document that the message must become, as far as is compared."""
    tracked = settings["process_method"] == "tracked"
    invoice = kind == "invoice"
    price, account = (
        ("unit_sale_price_inc_tax", "sales_account_code")
        if invoice
        else ("unit_cost_price", "inventory_asset_account_code")
    )
    lines = [
        (
            f"{item['description']}, {item['sku']}",
            Decimal(str(item["quantity"])),
            Decimal(str(item[price])),
            settings[account],
            item["sku"] if tracked else None,
        )
        for item in order["items"]
        if item["status"] != 7
    ]
    shipping = Decimal(str(order["shipping_price_inc_tax"]))
    if invoice and shipping:
        shipping_account = settings["shipping_account_code"] or settings["sales_account_code"]
        lines.append(("Shipping", Decimal(1), shipping, shipping_account, None))
    dated_on = day_of(order["sale_datetime"], settings, organisation)
    if settings["post_when"] == "dispatch":
        completed = order["completion_datetime"]
        if completed.startswith("0000-00-00"):
            completed = datetime.fromtimestamp(sent_at / 1000, UTC).isoformat()
        dated_on = day_of(completed, settings, organisation)
    return {
        "contact": next(
            contact.id
            for contact in organisation.contacts.values()
            if contact.name == settings["contact_name"] and contact.status == "ACTIVE"
        ),
        "reference": f"{order['ref']} / {order['external_ref']}",
        "currency": order["currency_code"] or organisation.base_currency,
        "status": settings["invoice_status" if invoice else "purchase_order_status"],
        "amounts": "Inclusive" if invoice else "Exclusive",
        "dated_on": dated_on,
        "lines": lines,
        "figure": gross(order) if invoice else cost(order),
    }


def held(document: Document) -> dict[str, Any]:
    """The document as Xero has it, as far as is compared."""
    return {
        "contact": document.contact_id,
        "reference": document.reference,
        "currency": document.currency,
        "status": document.status,
        "amounts": document.line_amount_types,
        "dated_on": document.dated_on,
        "lines": [
            (line.description, line.quantity, line.unit_amount, line.account_code, line.item_code)
            for line in document.lines
        ],
        "figure": document.total if document.is_invoice else document.sub_total,
    }


def day_of(sent: str, settings: Mapping[str, Any], organisation: Organisation) -> date:
    """The day that a moment is in the organisation's books."""
    at = datetime.fromisoformat(sent)
    if len(sent) == len("2026-11-20") or not (at.tzinfo or settings["order_time_zone"]):
        return at.date()
    if at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(settings["order_time_zone"]))
    return at.astimezone(ZoneInfo(organisation.country.zone)).date()


def accounting(
    order: Mapping[str, Any], settings: Mapping[str, Any], organisation: Organisation
) -> dict[str, Any]:
    """What accounting can tell two messages of an order apart by."""
    amounts = (
        "quantity",
        "unit_sale_price",
        "unit_sale_price_inc_tax",
        "sale_vat_rate",
        "unit_cost_price",
    )
    return {
        **{name: order[name] for name in ("ref", "external_ref", "currency_code", "is_free_of_charge")},
        "live": is_live(order) or (order["has_error"], order["status"]),
        "sold_on": day_of(order["sale_datetime"], settings, organisation),
        "shipping": [
            Decimal(str(order[name]))
            for name in ("shipping_price", "shipping_price_inc_tax", "shipping_tax_rate")
        ],
        "lines": [
            (item["sku"], item["description"], *(Decimal(str(item[name])) for name in amounts))
            for item in order["items"]
            if item["status"] != 7
        ],
    }


def said_of(posted: Mapping[str, Any], newest: Mapping[str, Any]) -> list[str]:
    """Words that must be among the changes shown."""
    words = [NOT_LIVE[newest["status"]].replace("_", " ")] if newest["status"] in NOT_LIVE else []
    words += [newest["status_name"].lower()] if newest["status_name"] in NO_SALE else []
    old, new = posted["items"], newest["items"]
    if len(old) != len(new):
        return [*words, f"{len(old)} → {len(new)}"]
    pairs = zip(old, new, strict=True)
    return words + [
        f"{was['quantity']} → {now['quantity']}" for was, now in pairs if was["quantity"] != now["quantity"]
    ]


def differing(found: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> str:
    """In words, where the documents differ first from those wanted."""
    for kind, document in (wanted or {}).items():
        for name, value in document.items():
            if found[kind][name] != value:
                return f"{kind}: {name} is {found[kind][name]}, not {value}"
    return "no message allows the documents"


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

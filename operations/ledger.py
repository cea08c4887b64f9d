"""Exports a company's ledger, order by order, so that its size does not matter."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import islice
from typing import IO, Any, Final

from boto3.dynamodb.types import TypeSerializer

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.domain.ledger import UNKNOWN, Entry
from bookkeeping.domain.problems.catalogue import WAITS
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.orders import View

AT_A_TIME: Final = 100
UNREADABLE: Final = "unreadable"
WORDS: Final = {
    UNREADABLE: "This row can't be read, because of a mistake in this integration. Here it is as it is stored.",
    UNKNOWN: WAITS[UNKNOWN],
}
"""What is said of a row that is exported as it is stored."""
COLUMNS: Final = (
    "order",
    "number",
    "state",
    "words",
    "problem",
    "fix",
    "xero_says",
    "reference",
    "sales_channel_reference",
    "currency",
    "received_at",
    "changed_at",
    "invoice",
    "invoice_status",
    "invoice_total",
    "invoice_id",
    "purchase_order",
    "purchase_order_status",
    "purchase_order_total",
    "purchase_order_id",
    "notes",
    "changes",
)


def exported(adapters: PageAdapters, company: str) -> Iterator[dict[str, Any]]:
    """Every order of the company's ledger once, as it stands when it is read.

    A row that can't be read, or that only a newer version of this code knows, is exported as it is stored.
    """
    view = View(adapters, company, *adapters.connections.connection_and_pause(company))
    seen: set[str] = set()
    while True:
        # an order that changes its state meanwhile changes its place in the index, too: looked over until none is new
        fresh = (key for key in adapters.orders.keys_of(company) if key not in seen)
        found = False
        while chunk := list(islice(fresh, AT_A_TIME)):
            found = True
            seen.update(chunk)
            yield from _rows(adapters, view, chunk)
        if not found:
            return


def _rows(adapters: PageAdapters, view: View, keys: list[str]) -> list[dict[str, Any]]:
    stored, rows = dict[str, Mapping[str, Any]](), list[dict[str, Any]]()

    def contained_row(item: Mapping[str, Any]) -> AbstractContextManager[None]:
        stored[item["key"]] = item
        return contained(
            item["company"],
            item["order_id"],
            lambda _: rows.append(_as_stored(item, UNREADABLE)),
            lambda: rows.append(_as_stored(item, UNKNOWN)),
        )

    for entry in adapters.orders.get_many(keys, contained_row):
        with contained_row(stored[order_key(*entry.key)]):
            rows.append(_row(view, entry))
    return rows


def _as_stored(item: Mapping[str, Any], why: str) -> dict[str, Any]:
    """The row in DynamoDB's own JSON, which the AWS command line can write back."""
    attributes = {name: TypeSerializer().serialize(value) for name, value in item.items()}
    return {"id": item["order_id"], "state": why, "words": WORDS[why], "stored": attributes}


def _row(view: View, entry: Entry) -> dict[str, Any]:
    return view.whole(entry) | {
        "document_ids": {kind: posted.id for kind, posted in entry.documents.items()},
        "settings_version": entry.settings_version,
        "organisation_id": entry.organisation_id,
        "content": json.loads(entry.message.content) if entry.message.content else None,
    }


def write_lines(rows: Iterable[dict[str, Any]], file: IO[str]) -> int:
    """An order a line, as JSON; how many."""
    count = 0
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False, default=_base64) + "\n")
        count += 1
    return count


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def write_csv(rows: Iterable[dict[str, Any]], file: IO[str]) -> int:
    """An order a row; how many. No cell is a formula to a spreadsheet."""
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    count = 0
    for row in rows:
        writer.writerow({name: safe(text) for name, text in _cells(row).items()})
        count += 1
    return count


def _cells(row: dict[str, Any]) -> dict[str, str]:
    if "stored" in row:
        return {"order": row["id"], "state": row["state"], "words": row["words"]}
    problem = row["problem"] or {}
    cells = {
        "order": row["id"],
        "number": row["number"],
        "state": row["state"],
        "words": row["words"],
        "problem": problem.get("code", row["reason"] or ""),
        "fix": problem.get("fix", ""),
        "xero_says": " | ".join(problem.get("xero_says", ())),
        "reference": row["ref"],
        "sales_channel_reference": row["external_ref"],
        "currency": row["currency"],
        "received_at": row["received_at"],
        "changed_at": row["changed_at"],
        "notes": " | ".join(note for document in row["documents"] for note in document["notes"]),
        "changes": " | ".join(row["changes"]),
    }
    for document in row["documents"]:
        kind = document["kind"]
        cells |= {
            kind: document["number"],
            f"{kind}_status": document["status"],
            f"{kind}_total": document["total"],
            f"{kind}_id": row["document_ids"][kind],
        }
    return cells


def safe(text: str) -> str:
    """The text with an apostrophe before what a spreadsheet would take for a formula, unless it is a number."""
    # also in the full width of East Asian writing
    if not text.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")):
        return text
    return text if text[1:].replace(".", "", 1).isdecimal() and text[0] == "-" else f"'{text}"

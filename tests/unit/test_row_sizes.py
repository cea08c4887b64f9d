"""A row of the ledger costs a write unit for each kilobyte that it begins, and two where it is written with others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from benchmarks.dynamodb_units import item_size
from bookkeeping.adapters.tables.orders import entry_from_item, entry_to_item
from bookkeeping.adapters.tables.packing import packed, unpacked
from bookkeeping.domain import ledger
from bookkeeping.domain.document_kinds import DocumentKind
from bookkeeping.domain.ledger import Entry, Message, Posted, SaleStatus, State
from bookkeeping.domain.order_message import read_message
from bookkeeping.domain.orders import read_order
from bookkeeping.domain.time_zones import Calendar
from tests.storms.dynamodb import stored

NOW = datetime(2026, 11, 23, 9, 30, 12, 345000, tzinfo=UTC)
SENT_AT = 1_795_426_212_123
ORGANISATION = "0f8c2f5e-8a6b-4c1d-9e7f-102938475665"
BATCHES = ("3b8e1c9a-5d2f-4e71-a0b6-8c7d6e5f4a3b", "7d1f0a2c-94be-4b35-8c6e-21f3a4b5c6d7")
DOCUMENTS: dict[DocumentKind, str] = {
    "purchase_order": "5e0c9b7a-31d2-4f68-b9a4-c8d7e6f5a4b3",
    "invoice": "c2d4e6f8-1a3b-4c5d-8e7f-908172635445",
}
NOTE = "Nobody chose “Tax rate on purchases”: this takes the tax rate of account 310, INPUT2."
LINES: tuple[dict[str, Any], ...] = (
    {
        "id": 618204411,
        "sku": "GD5000-BLK-M-FRONT",
        "description": "Gildan Heavy Cotton T-Shirt, front print",
        "colour": "Black",
        "size": "M",
        "quantity": 2,
        "unit_sale_price": "14.1583",
        "unit_sale_price_inc_tax": "16.99",
        "sale_vat_rate": "0.2",
        "unit_cost_price": "6.8450",
    },
    {
        "id": 618204412,
        "sku": "JH001-AIRBLUE-XL",
        "description": "AWDis College Hoodie, sleeve print",
        "colour": "Airforce Blue",
        "size": "XL",
        "quantity": 1,
        "unit_sale_price": "29.9917",
        "unit_sale_price_inc_tax": "35.99",
        "sale_vat_rate": "0.2",
        "unit_cost_price": "15.3200",
    },
    {
        "id": 618204413,
        "sku": "WM101-NAT-TOTE",
        "description": "Bag for Life, organic cotton",
        "colour": "Natural",
        "size": "One size",
        "quantity": 5,
        "unit_sale_price": "7.4917",
        "unit_sale_price_inc_tax": "8.99",
        "sale_vat_rate": "0.2",
        "unit_cost_price": "2.8500",
    },
)
ORDER = {
    "id": 61820441,
    "company_ref_id": 412077,
    "secondary_company_ref_id": 413995,
    "ref": "9F3C41D07AE2B865",
    "status": 8,
    "status_name": "Dispatched",
    "external_ref": "SHOP-1100482917",
    "sale_datetime": "2026-11-20 19:42:07",
    "completion_datetime": "2026-11-22 15:03:55",
    "required_dispatch_date": "2026-11-24",
    "has_been_completed": True,
    "has_error": False,
    "is_free_of_charge": False,
    "currency_code": "GBP",
    "shipping_country_code": "GB",
    "shipping_price": "3.2917",
    "shipping_price_inc_tax": "3.95",
    "shipping_tax_rate": "0.2",
}


def entry_with(lines: int) -> Entry:
    items = [{"status": 1, "type": 3} | line for line in LINES[:lines]]
    message = Message.of(read_order(read_message(json.dumps(ORDER | {"items": items}))), SENT_AT)
    return Entry(
        "412077",
        "61820441",
        State.QUEUED,
        message,
        NOW,
        NOW,
        number="KX-61820441",
        organisation_id=ORGANISATION,
        lane=f"9A1B2C3D4E5F60718293A4B5C6D7E8F9#{ORGANISATION}",
        settings_version=12,
        due_at=NOW,
        sale_status=SaleStatus.by(message),
    )


def life(lines: int, *kinds: DocumentKind) -> Iterator[Entry]:
    """Every row that an order has until its documents are in Xero."""
    entry = entry_with(lines)
    yield entry
    for kind, batch in zip(kinds, BATCHES, strict=False):
        entry = ledger.begin(entry, batch, NOW, Calendar("Europe/London"))
        yield entry
        notes = (NOTE,) if kind == "purchase_order" else ()
        posted = Posted(
            DOCUMENTS[kind],
            entry.number,
            "AUTHORISED",
            "104.93",
            "GBP",
            NOW,
            notes=notes,
            tax="17.49",
            dated_on="2026-11-23",
            contact_check="8a6b4c1d",
            lines_check="0fd32a11",
        )
        state = State.POSTED if kind == kinds[-1] else State.QUEUED
        entry = replace(
            entry,
            state=state,
            documents={**entry.documents, kind: posted},
            settled_in=batch,
            batch="",
            due_at=None if state is State.POSTED else NOW,
        )
        yield entry


@pytest.mark.parametrize("kinds", [("invoice",), ("purchase_order", "invoice")])
@pytest.mark.parametrize("lines", [1, 2, 3])
def test_a_row_of_up_to_three_lines_is_a_kilobyte_at_most_all_its_life(
    lines: int, kinds: tuple[DocumentKind, ...]
) -> None:
    for entry in life(lines, *kinds):
        row = entry_to_item(entry)
        assert item_size(stored(row)) <= 1024
        assert entry_from_item(row) == entry


def test_packed_rows_of_earlier_versions_can_be_read() -> None:
    kept = bytes.fromhex("78f986f3fe5c432e0788cdcbd872452d0017e0161e")
    assert unpacked(kept) == '{"sent_at":1}\n{"id":"61530000","companies":["412077"],"dispatched":false}'
    assert unpacked(packed("Zoë’s 🧢")) == "Zoë’s 🧢"

"""Rows of earlier versions, kept as files: this version reads in them what theirs did, and their orders go on."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from moto import mock_aws

from bookkeeping.adapters.queues import call_in
from bookkeeping.adapters.secrets import AppSecret, TokenSecret
from bookkeeping.adapters.tables.book_matches import Match
from bookkeeping.adapters.tables.connections import KnownApp
from bookkeeping.adapters.tables.lanes import Batch, Failing, Planned
from bookkeeping.adapters.tables.releases import Release
from bookkeeping.domain.connection import Choice, Connection, ConnectionStatus
from bookkeeping.domain.corrections import Correction, Credited, CreditNote
from bookkeeping.domain.document_kinds import DOCUMENT_KINDS
from bookkeeping.domain.ledger import Act, Entry, Message, Posted, SaleStatus, SetAside, State
from bookkeeping.domain.mail import Address, AddressStatus, Plan
from bookkeeping.domain.orders import Disposition
from bookkeeping.domain.problems.catalogue import CATALOGUE, CHANGED, SKIPPED, WAITS
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.rechecks import Recheck
from bookkeeping.domain.stored import Stored, known_names
from bookkeeping.domain.time_zones import Calendar
from local.samples import UNTRACKED
from tests.integration.one_process import PREFIX, OneProcess, in_memory
from tests.rows.everything import COMPANIES, KINDS_OF, everything, messages, secrets
from tests.rows.parts import Item, each_part, row_name
from tests.rows.reading import FOLDER, fill, kept_rows, read, seen, store_with
from tests.storms.secrets_manager import SecretsManager

FOLDERS = sorted(folder for folder in FOLDER.iterdir() if any(folder.glob("*Table.json")))
PARTS: Mapping[str, type[Stored]] = {
    "order row": Entry,
    "message": Message,
    "document": Posted,
    "problem": Problem,
    "act": Act,
    "sale status": SaleStatus,
    "calendar": Calendar,
    "correction": Correction,
    "credit note": CreditNote,
    "credited": Credited,
    "connection": Connection,
    "choice": Choice,
    "app": KnownApp,
    "batch": Batch,
    "planned": Planned,
    "failing": Failing,
    "recheck": Recheck,
    "set aside": SetAside,
    "match": Match,
    "release": Release,
    "plan": Plan,
    "address": Address,
}
SAID_ELSEWHERE = {
    "message": {"content", "stage"},
    "connection": {"company"},
    "document": {"contact_check", "lines_check", "dated_on", "tax"},
    "plan": {"company"},
    "address": {"company"},
}
"""Fields that are stored beside the part, in the row's key, or together in one attribute."""
OF_AN_ORDER: set[str] = {str(kind) for kind in DOCUMENT_KINDS} - {"credit_note"}
"""Kinds of documents that orders are posted as. Credit notes stand beside them."""
ADD = (
    "No kept row has this. `python -m tests.rows NAME` keeps today's rows in another folder. Add the hashes of its"
    " files to tests/rows/SHA256SUMS. From then on every version has to read them."
)


@pytest.fixture(params=FOLDERS, ids=[folder.name for folder in FOLDERS])
def folder(request: pytest.FixtureRequest) -> Path:
    kept: Path = request.param
    return kept


@pytest.fixture(scope="module")
def today() -> Iterator[dict[str, list[Item]]]:
    """The rows that this version writes. Secrets and messages stand beside them, under their names."""
    with everything() as popup:
        tables = popup.world.resource.tables.items()
        rows = {name: [dict(item) for item in table.items.values()] for name, table in tables}
        yield rows | {"secrets": list(secrets(popup).values()), "messages": messages(popup)}


def test_a_kept_file_never_changes() -> None:
    lines = (FOLDER / "SHA256SUMS").read_text().splitlines()
    listed = {file: kept for kept, file in (line.split("  ") for line in lines)}
    there = {str(file.relative_to(FOLDER)): file for file in FOLDER.glob("*/*.json")}
    assert listed == {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in there.items()}, (
        "another version wrote these files: they stay as they are. Add a folder with today's rows instead."
    )


def test_what_an_earlier_version_read_in_a_row_is_read_today(folder: Path) -> None:
    rows = kept_rows(folder)
    store = store_with(rows)
    for table, items in rows.items():
        told = json.loads((folder / f"{table}.json").read_text(encoding="utf-8"))
        for item, kept in zip(items, told, strict=True):
            assert differences(kept["read"], json.loads(json.dumps(seen(read(store, table, item))))) == []


def differences(then: Any, now: Any, where: str = "") -> list[str]:
    """What is read otherwise. A field that has come since is none."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [
            found
            for name, value in then.items()
            for found in differences(value, now.get(name), f"{where}.{name}")
        ]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [
            found
            for place, (one, other) in enumerate(zip(then, now, strict=True))
            for found in differences(one, other, f"{where}[{place}]")
        ]
    return [] if then == now else [f"{where}: {then!r} is now {now!r}"]


def test_what_an_earlier_version_did_not_write_has_its_default(folder: Path) -> None:
    rows = kept_rows(folder)
    fullest: dict[str, tuple[str, Item]] = {}
    for table, items in rows.items():
        for item in sorted(items, key=len):
            fullest[row_name(table, item)] = table, item
    tried = 0
    for part in PARTS.keys() & fullest.keys():
        table, item = fullest[part]
        for one in fields(PARTS[part]):
            if one.name in item and not (one.default is MISSING and one.default_factory is MISSING):
                less = {name: value for name, value in item.items() if name != one.name}
                assert read(store_with({table: [less]}), table, less) is not None
                tried += 1
    assert tried > 40


def test_kept_secrets_and_messages_are_understood(folder: Path) -> None:
    kept = json.loads((folder / "secrets.json").read_text())
    world = OneProcess(tables=in_memory)
    store = SecretsManager(world.clock.now)
    for kind, value in kept.items():
        store.create_secret(Name=f"{PREFIX}/{UNTRACKED}/{kind}", SecretString=json.dumps(value))
    app, tokens = AppSecret(store, PREFIX).read(UNTRACKED), TokenSecret(store, PREFIX).read(UNTRACKED)
    assert app is not None
    assert tokens is not None
    assert (app.client_id, app.client_secret) == (kept["app"]["client_id"], kept["app"]["client_secret"])
    assert (tokens.refresh_token, tokens.generation) == (
        kept["tokens"]["refresh_token"],
        kept["tokens"]["generation"],
    )
    for message in json.loads((folder / "messages.json").read_text()):
        call = call_in(json.dumps(message))
        assert set(vars(call).values()) >= set(message.values())


# --- orders go on


def taken_over(world: OneProcess, rows: Mapping[str, list[Item]]) -> None:
    """The rows in a world whose organisations are those of the rows, with tokens that Xero takes."""
    connections = {item["pk"]: item for item in rows["ConnectionsTable"] if item["sk"] == "connection"}
    for company, name in COMPANIES.items():
        organisation = world.organisation(name)
        kept = connections[f"connection#{company}"]["organisation_id"]
        del world.xero.organisations[organisation.id]
        for user in world.xero.users.values():
            user.tenant_ids[:] = [kept if id_ == organisation.id else id_ for id_ in user.tenant_ids]
        organisation.id = kept
        world.xero.organisations[kept] = organisation
        world.connect(company, organisation)
    fill(world.resource, {table: [item for item in items if is_mine(item)] for table, items in rows.items()})


def is_mine(item: Item) -> bool:
    """Whether it belongs to a company at work, or to nobody."""
    return not any(
        KINDS_OF in str(item.get(part)) or "APP#org-1" in str(item.get(part)) for part in ("pk", "key")
    )


def test_kept_orders_on_their_way_go_on_to_their_end(folder: Path) -> None:
    with mock_aws():
        world, rows = OneProcess(tables=in_memory), kept_rows(folder)
        taken_over(world, rows)
        mine = [item for item in rows["OrdersTable"] if item["company"] in COMPANIES]
        going = [item for item in mine if item["state"] in ("queued", "posting")]
        assert {item["state"] for item in going} == {"queued", "posting"}
        assert any(item["documents"] for item in going)
        world.clock.advance(3600)
        world.run(timedelta(hours=2), until_quiet=False)
        for item in mine:
            entry = world.orders.get(item["company"], item["order_id"])
            assert entry is not None
            ends = State.POSTED if item in going else State(item["state"])
            assert entry.state is ends, (item["order_id"], entry.why)
        numbers = [done["number"] for kind in ("invoice", "purchase_order") for done in world.committed(kind)]
        wanted = [
            item["number"] if "number" in item else f"KX-{item['order_id']}"
            for item in going
            for kind in (["invoice"] if item["company"] == UNTRACKED else ["invoice", "purchase_order"])
            if kind not in item["documents"]
        ]
        assert sorted(numbers) == sorted(wanted)


# --- whatever is written is kept


def names_in(rows: Mapping[str, list[Item]]) -> dict[str, set[str]]:
    """Part → the names under which anything is stored in it."""
    names: dict[str, set[str]] = defaultdict(set)

    def see(part: str, found: Item) -> Item:
        names[part] |= found.keys()
        return found

    for table, items in rows.items():
        for item in items:
            if table.endswith("Table"):
                each_part(table, item, see)
            else:
                names[table] |= item.keys()
    return names


def all_kept() -> dict[str, list[Item]]:
    kept: dict[str, list[Item]] = defaultdict(list)
    for folder in FOLDERS:
        for table, items in kept_rows(folder).items():
            kept[table] += items
        kept["secrets"] += json.loads((folder / "secrets.json").read_text()).values()
        kept["messages"] += json.loads((folder / "messages.json").read_text())
    return kept


def test_every_attribute_that_is_written_is_in_a_kept_row(today: dict[str, list[Item]]) -> None:
    kept, now = names_in(all_kept()), names_in(today)
    new = {part: sorted(names - kept[part]) for part, names in now.items() if names - kept[part]}
    assert not new, ADD


def test_every_kind_is_in_a_kept_row() -> None:
    orders = all_kept()["OrdersTable"]
    connections = all_kept()["ConnectionsTable"]
    kept = {
        "state": {item["state"] for item in orders},
        "problem": {item["problem"]["code"] for item in orders if "problem" in item},
        "reason": {item["reason"] for item in orders if "reason" in item},
        "document": {kind for item in orders for kind in item["documents"]},
        "disposition": {item["sale_status"]["disposition"] for item in orders if is_map(item, "sale_status")},
        "batch": {item["kind"] for item in connections if item["sk"].startswith("batch#")},
        "connection": {item["status"] for item in connections if item["sk"] == "connection"},
        "address": {item["status"] for item in connections if item["sk"].startswith("address#")},
    }
    written: dict[str, set[str]] = {
        "state": set(State),
        "problem": set(CATALOGUE),
        "reason": {*SKIPPED, *WAITS, *CHANGED},
        "document": OF_AN_ORDER,
        "disposition": set(get_args(Disposition)),
        "batch": OF_AN_ORDER,
        "connection": set(get_args(ConnectionStatus)),
        "address": set(get_args(AddressStatus)),
    }
    assert not {
        kind: sorted(map(str, written[kind] - kept[kind])) for kind in kept if written[kind] - kept[kind]
    }, ADD


def is_map(item: Mapping[str, Any], name: str) -> bool:
    return isinstance(item.get(name), dict)


def test_every_field_of_what_is_stored_is_in_a_kept_row() -> None:
    names = names_in(all_kept())
    missing = {
        part: {*known_names(cls)} - names[part] - SAID_ELSEWHERE.get(part, set())
        for part, cls in PARTS.items()
    }
    assert not {part: fields for part, fields in missing.items() if fields}, ADD

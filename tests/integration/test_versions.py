"""Two versions of this code at work on the same rows, secrets and messages, as in a deploy, and after a rollback."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from moto import mock_aws

from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.adapters.tables.packing import packed, unpacked
from bookkeeping.adapters.tables.releases import Release
from bookkeeping.domain.errors import MessageFailed
from bookkeeping.use_cases.posting import settlement
from local.samples import UNTRACKED, Maker
from local.xero.people import change_document
from tests.integration.one_function import cold_start, metrics_in
from tests.integration.one_process import CHART, Killed, OneProcess, Queue, in_memory
from tests.integration.popup import ENVIRONMENT, Browser, Functions, Popup, context
from tests.rows.parts import Item, each_part, row_name
from tests.storms.dynamodb import DynamoDB, Table
from tests.storms.secrets_manager import SecretsManager

CACHED = {"facts", "contact", "item", "woken"}
"""Rows that are written whole: what Xero said last, and what the sweep saw last."""
WITH_ITS_OWN_END = {"problem", "message", "order", "order line", "sale status", "choice"}
"""Parts in whose place another comes: another problem, or a newer message."""
HELD = {"batch", "planned", "credit note", "credited"}
"""What its writer has at hand until it is settled, until its turn is over, or until its process dies."""

CONSUMER = ("customer_", "shipping_address")


@dataclass
class NewerVersion:
    """Another version, which wrote each row, secret and message first, with two keys more in each part."""

    lost: Counter[str] = field(default_factory=Counter)
    """Parts of rows whose keys somebody did not keep."""
    planted: Counter[str] = field(default_factory=Counter)
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def more(self, name: str, part: Item) -> Item:
        if "newer_words" in part:
            return part
        self.planted[name] += 1
        number = next(self._count)
        return part | {"newer_words": f"{name} {number}", "newer_flag": False}

    def _at_once(self, name: str, part: Item) -> Item:
        return part if name in HELD else self.more(name, part)

    def took_over(self, table: Table) -> None:
        """Its process has written what this version's process was at when it died."""
        for key, item in list(table.items.items()):
            table.items[key] = each_part(table.name, item, self.more)

    def tables(self, now: Callable[[], datetime]) -> DynamoDB:
        store = in_memory(now)
        for table in store.tables.values():
            table.write = self._writing(table)  # type: ignore[method-assign,assignment]
        return store

    def _writing(self, table: Table) -> Callable[[tuple[str, ...], Item | None], None]:
        write = table.write

        def written(key: tuple[str, ...], item: Item | None) -> None:
            before = table.items.get(key)
            if item is not None and before is not None and row_name(table.name, item) not in CACHED:
                gone = words_in(table.name, before) - words_in(table.name, item)
                self.lost.update(words.rpartition(" ")[0] for words in gone)
            write(key, item and each_part(table.name, item, self._at_once))

        return written

    @contextmanager
    def on_the_way(self) -> Iterator[None]:
        """The keys are in messages, invocations and secrets, too."""
        send, invoke, put = Queue.send_message, Functions.invoke, SecretsManager._write

        def sent(queue: Queue, QueueUrl: str, MessageBody: str, DelaySeconds: int = 0) -> None:  # noqa: N803
            send(queue, QueueUrl, json.dumps(self.more("wake-up", json.loads(MessageBody))), DelaySeconds)

        def invoked(functions: Functions, FunctionName: str, Payload: str, **more: Any) -> Any:  # noqa: N803
            return invoke(
                functions, FunctionName, json.dumps(self.more("payload", json.loads(Payload))), **more
            )

        def kept(secrets: SecretsManager, name: str, text: str, *about: Any) -> Any:
            if not name.endswith(("/tokens", "/app")):
                return put(secrets, name, text, *about)
            value = json.loads(text)
            if value.get("replaces") and "refresh_token" in value and "newer_words" not in value:
                self.lost["tokens"] += 1
            return put(secrets, name, json.dumps(self.more(name.rpartition("/")[2], value)), *about)

        with (
            patch.object(Queue, "send_message", sent),
            patch.object(Functions, "invoke", invoked),
            patch.object(SecretsManager, "_write", kept),
        ):
            yield


def words_in(table: str, item: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()

    def see(_: str, part: Item) -> Item:
        if "newer_words" in part and "newer_flag" in part:
            found.add(part["newer_words"])
        return part

    each_part(table, item, see)
    return found


@pytest.fixture
def newer() -> Iterator[NewerVersion]:
    version = NewerVersion()
    with mock_aws(), version.on_the_way():
        yield version


def settings_for(popup: Popup, **changes: Any) -> dict[str, Any]:
    uk = popup.world.organisation("Demo Company (UK)")
    rows = [{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}]
    return CHART | {"contact_name": popup.world.contact(uk), "tax_types": rows} | changes


def connected(popup: Popup, **changes: Any) -> Browser:
    """A company whose settings and connection were made in the popup."""
    office = popup.browser()
    office.app()
    assert office.connect(popup.world.organisation("Demo Company (UK)")) == "connected"
    assert office.save(**settings_for(popup, **changes)).status == 200
    return office


def orders(count: int, **changes: Any) -> list[dict[str, Any]]:
    make = Maker()
    made = [make.order(UNTRACKED, place, 1 + place % 3, **changes) for place in range(count)]
    # the queue of dead letters is not the platform's: nothing of a consumer goes there from here
    return [{key: value for key, value in one.items() if not key.startswith(CONSUMER)} for one in made]


def read_dead_letters(world: OneProcess, *given_up: dict[str, Any]) -> None:
    """The dead-letter reader's run."""
    sqs = boto3.client("sqs")
    urls = {
        name: sqs.create_queue(QueueName=name)["QueueUrl"]
        for name in ("OrdersDeadLetterQueue", "OrdersQueue")
    }
    for order in given_up:
        sqs.send_message(QueueUrl=urls["OrdersDeadLetterQueue"], MessageBody=json.dumps(order))
    asked = {
        "ORDERS_DEAD_LETTER_QUEUE_URL": urls["OrdersDeadLetterQueue"],
        "ORDERS_QUEUE_URL": urls["OrdersQueue"],
    }
    reader = cold_start("dead_letter_reader", ENVIRONMENT | asked)
    tables = {"orders": world.orders, "settings": world.settings, "connections": world.connections}
    reader.adapters = replace(reader.adapters, **tables, now=world.clock.now)  # type: ignore[attr-defined]
    reader.bus = world.events  # type: ignore[attr-defined]
    with patch.object(reader.dead_letters, "_client", _impatient(sqs)):
        assert reader.handler({}, context()) == {"seen": len(given_up)}


def _impatient(sqs: Any) -> Any:
    """The queue's client, without the second of patience that is for SQS's many servers."""
    receive = sqs.receive_message
    sqs.receive_message = lambda **asked: receive(**asked | {"WaitTimeSeconds": 0})
    return sqs


def _try_again(office: Browser, order: Mapping[str, Any]) -> dict[str, Any]:
    return {"asked": "try_again", "version": office.get(f"orders/{order['id']}").json["version"]}


def state(world: OneProcess, order: Mapping[str, Any]) -> str:
    entry = world.entry(order)
    return f"{entry.state} {entry.why}".strip()


def test_two_keys_more_in_everything_are_kept_by_every_function(newer: NewerVersion) -> None:
    popup = Popup(OneProcess(tables=newer.tables))
    world = popup.world
    office = connected(popup, tracking_categories=[{"Name": "Region", "Option": "North"}])
    world.xero.faults.add({"kind": "reply_lost", "method": "PUT", "path_prefix": "/api.xro/", "times": 2})
    plain, stopped, held, dead, late, edited = orders(6)
    stopped["currency_code"] = "CHF"
    held |= {"status": 256, "status_name": "On hold"}
    world.send(plain, stopped, held)
    read_dead_letters(world, dead)
    world.run()
    assert [state(world, one) for one in (plain, stopped, held, dead)] == [
        "posted",
        "needs_attention currency_not_enabled",
        "skipped on_hold",
        "needs_attention our_fault",
    ]
    # the platform changes an order that is posted, releases another, and sends what was a dead letter
    world.clock.advance(1)
    world.send(plain | {"currency_code": "EUR"}, held | {"status": 1, "status_name": "Received"})
    world.send(dead, sent_at=world.entry(dead).message.sent_at + 1)
    # a person saves a setting, adds a currency in Xero, and presses Retry
    assert office.save(**settings_for(popup, payment_terms_days=14)).status == 200
    uk = world.organisation("Demo Company (UK)")
    world.xero.change_organisation(uk, {"subscribe_currency": "CHF"})
    assert office.post(f"orders/{stopped['id']}/retry").status == 200
    world.run()
    for _ in range(12):
        popup.tick()
    # opened anew, for an hour is over; disconnected and connected again, while orders wait
    office = popup.browser(permissions=["credit"])
    assert office.delete("connection").status == 200
    world.send(late)
    assert state(world, late) == "waiting not_connected"
    popup.tick()
    assert office.connect(uk) == "connected"
    # a process dies with a batch that it has written down
    world.send(edited)
    with patch.object(settlement.Settlement, "send", side_effect=Killed):
        world.run(timedelta(seconds=30), until_quiet=False)
    newer.took_over(world.resource.tables["ConnectionsTable"])
    world.xero.faults.add({"kind": "request_lost", "method": "PUT", "path_prefix": "/api.xro/", "times": 3})
    world.run()
    assert office.get("orders").status == 200
    sent = (plain, stopped, held, dead, late, edited)
    assert [state(world, one) for one in sent] == ["posted changed"] + ["posted"] * 5
    assert Counter(done["number"] for done in world.committed("invoice")) == Counter(
        f"KX-{one['id']}" for one in sent
    )
    # a person has the order that changed credited, while their credit note waits for its approval
    [invoice] = uk.numbered("ACCREC", f"KX-{plain['id']}", same_case=True)
    assert change_document(world.xero, uk, invoice, {"Status": "AUTHORISED"}).status == 200
    assert office.save(credit_note_status="DRAFT").status == 200
    asked = {"asked": "cancel", "version": office.get(f"orders/{plain['id']}").json["version"]}
    assert office.post(f"orders/{plain['id']}/correction", asked).status == 200
    world.run(timedelta(minutes=2))
    assert state(world, plain) == "posted note_is_draft"
    newer.took_over(world.resource.tables["OrdersTable"])
    assert office.post(f"orders/{plain['id']}/correction", _try_again(office, plain)).status == 200
    world.run(timedelta(minutes=2))
    assert set(newer.lost) <= WITH_ITS_OWN_END
    assert newer.planted.keys() >= {
        *("order row", "settings row", "connection", "renewal", "lane", "batch", "release", "app", "company"),
        *(
            "prefix",
            "person",
            "session",
            "state",
            "tokens",
            "wake-up",
            "payload",
            "document",
            "act",
            "planned",
            "correction",
            "credit note",
            "credited",
        ),
        *("settings", "tax row", "tracking category", "facts", "organisation", "account", "choice", "tick"),
    }
    saved = world.settings.saved(UNTRACKED)
    assert saved is not None
    text = json.loads(saved.row["settings"])
    assert "newer_words" in text
    assert "newer_words" in text["tax_types"][0]
    assert text["payment_terms_days"] == 14


# --- rows of an unknown kind


WORDS = "Handled by a newer version of this integration."


@pytest.fixture
def popup() -> Iterator[Popup]:
    with mock_aws():
        yield Popup(OneProcess(tables=in_memory))


def counted(capsys: pytest.CaptureFixture[str]) -> int:
    """How many rows of an unknown kind were counted since."""
    return sum(
        len(line["UnknownRows"]) for line in metrics_in(capsys.readouterr().out) if "UnknownRows" in line
    )


def row(world: OneProcess, order: Mapping[str, Any]) -> Item:
    found: Item = world.resource.tables["OrdersTable"].items[(order_key(UNTRACKED, str(order["id"])),)]
    return found


def rewritten(table: Table, item: Mapping[str, Any], **changes: Any) -> Item:
    """Another version writes the row."""
    new = {**item, **changes}
    table.write(tuple(new[part] for part in table.key), new)
    return new


def saying(item: Mapping[str, Any], **changes: Any) -> bytes:
    """The row's message with other words in its content."""
    line, _, content = unpacked(bytes(item["message"])).partition("\n")
    return packed(f"{line}\n{json.dumps(json.loads(content) | changes)}")


PROBLEM = {"code": "credit_refused", "details": {}, "xero_says": []}
BILL = {"id": "b", "at": 1, "status": "PAID", "total": "1.00", "currency": "GBP"}
CORRECTION = {"what": "credit", "by": "Ada", "at": 1, "dealt_with": ""}
UNKNOWN: dict[str, Callable[[Item], Item]] = {
    "state": lambda item: {"state": "crediting"},
    "problem": lambda item: {"state": "needs_attention", "problem": PROBLEM},
    "reason": lambda item: {"state": "waiting", "reason": "credit"},
    "document": lambda item: {"documents": {"bill": BILL}},
    "correction": lambda item: {"correction": CORRECTION | {"what": "refund"}},
    "step of a correction": lambda item: {"correction": CORRECTION | {"step": "refund"}},
    "stage": lambda item: {"stage": "sewn"},
    "choice": lambda item: {"no_sale": {"refunded": "credit"}},
    "disposition": lambda item: {"message": saying(item, disposition="exchanged")},
    "flaw": lambda item: {"message": saying(item, flaw={"code": "bad_credit", "details": {}})},
    "sale status": lambda item: {"sale_status": "exchanged"},
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_row_of_an_unknown_kind_is_left_alone_by_every_function_and_counted(
    popup: Popup, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    world, office = popup.world, connected(popup)
    theirs, *ours = orders(3, currency_code="CHF")
    world.send(theirs)
    # due in the lane, listed under a problem that a setting frees, and in the middle of what it lists
    listed = f"needs_attention#currency_not_enabled#{row(world, theirs)['list_key'].rpartition('#')[2]}"
    table, item = world.resource.tables["OrdersTable"], row(world, theirs)
    item = rewritten(table, item, **{"list_key": listed, **UNKNOWN[kind](item)})
    capsys.readouterr()

    world.send(*ours)
    world.run()
    assert [state(world, one) for one in ours] == ["needs_attention currency_not_enabled"] * 2
    assert counted(capsys)
    for addressed in (office.get("orders"), office.get("orders", search=str(theirs["id"]))):
        shown = {one["id"]: one for one in addressed.json["orders"]}[str(theirs["id"])]
        assert (shown["words"], shown["can_retry"]) == (WORDS, False)
    assert office.get(f"orders/{theirs['id']}").json["words"] == WORDS
    assert office.post(f"orders/{theirs['id']}/retry").json["error"]["message"] == WORDS
    assert counted(capsys) == 4
    world.xero.change_organisation(world.organisation("Demo Company (UK)"), {"subscribe_currency": "CHF"})
    assert office.post("orders/retry", {"problem": "currency_not_enabled"}).json["retried"] == 2
    world.run()
    assert [state(world, one) for one in ours] == ["posted"] * 2
    assert counted(capsys)
    # its next message is not lost: it comes again, until a version takes it that knows the row
    with pytest.raises(MessageFailed):
        world.send(theirs | {"ref": "another"})
    read_dead_letters(world, theirs)
    assert counted(capsys) >= 2
    assert row(world, theirs) == item


def killed_with_a_batch(world: OneProcess) -> None:
    with patch.object(settlement.Settlement, "send", side_effect=Killed):
        world.run(timedelta(seconds=10), until_quiet=False)


def batches(world: OneProcess) -> list[Item]:
    rows = world.resource.tables["ConnectionsTable"].items.values()
    return [item for item in rows if item["sk"].startswith("batch#")]


def test_a_batch_of_an_unknown_kind_and_its_orders_are_left_alone_and_its_lane_goes_on(
    popup: Popup, capsys: pytest.CaptureFixture[str]
) -> None:
    world, office = popup.world, connected(popup)
    theirs, ours = orders(2)
    world.send(theirs)
    killed_with_a_batch(world)
    [batch], connections = batches(world), world.resource.tables["ConnectionsTable"]
    unknown, before = rewritten(connections, batch, kind="bill"), row(world, theirs)
    world.send(ours)
    world.run()
    assert counted(capsys)
    assert state(world, ours) == "posted"
    assert batches(world) == [unknown]
    assert row(world, theirs) == before
    shown = {one["id"]: one["words"] for one in office.get("orders").json["orders"]}
    assert shown == {str(theirs["id"]): WORDS, str(ours["id"]): "In Xero."}
    # the version that knows it settles it
    rewritten(connections, unknown, kind="invoice")
    world.send(orders(3)[2])
    world.run()
    assert state(world, theirs) == "posted"
    assert not batches(world)


def test_a_batch_is_not_finished_without_an_order_of_an_unknown_kind(popup: Popup) -> None:
    world = popup.world
    connected(popup)
    theirs, ours = orders(2)
    world.send(theirs, ours)
    killed_with_a_batch(world)
    table = world.resource.tables["OrdersTable"]
    item = rewritten(table, row(world, theirs), state="crediting")
    world.run(timedelta(minutes=15), until_quiet=False)
    assert state(world, ours) == "posted"
    assert row(world, theirs) == item
    assert len(batches(world)) == 1
    rewritten(table, item, state="posting")
    world.run(timedelta(minutes=20), until_quiet=False)
    assert state(world, theirs) == "posted"
    assert not batches(world)
    assert len(world.committed("invoice")) == 2


def test_an_order_that_becomes_of_an_unknown_kind_while_it_is_sent_keeps_its_batch(popup: Popup) -> None:
    world = popup.world
    connected(popup)
    theirs, ours = orders(2)
    table = world.resource.tables["OrdersTable"]
    send = settlement.Settlement._settle_answer

    def meanwhile(*about: Any) -> None:
        item = row(world, theirs)
        if item["state"] == "posting":
            rewritten(table, item, state="crediting", version=item["version"] + 1)
        send(*about)

    with patch.object(settlement.Settlement, "_settle_answer", meanwhile):
        world.send(theirs, ours)
        world.run(timedelta(minutes=5), until_quiet=False)
    assert state(world, ours) == "posted"
    assert row(world, theirs)["state"] == "crediting"
    assert len(batches(world)) == 1


def test_an_outcome_keeps_what_another_version_wrote_in_the_row_meanwhile(popup: Popup) -> None:
    world = popup.world
    connected(popup)
    [order] = orders(1)
    settle = settlement.Settlement._settle_answer

    def meanwhile(*about: Any) -> None:
        item = row(world, order)
        rewritten(world.resource.tables["OrdersTable"], item, version=item["version"] + 1, newer_words="w")
        settle(*about)

    with patch.object(settlement.Settlement, "_settle_answer", meanwhile):
        world.send(order)
        world.run()
    assert (state(world, order), row(world, order)["newer_words"]) == ("posted", "w")


def test_orders_wait_while_the_connection_has_an_unknown_status(popup: Popup) -> None:
    world, office = popup.world, connected(popup)
    table = world.resource.tables["ConnectionsTable"]
    key = (f"connection#{UNTRACKED}", "connection")
    rewritten(table, table.items[key], status="suspended")
    [order] = orders(1)
    world.send(order)
    assert state(world, order) == "waiting newer_version"
    assert office.get("orders").json["orders"][0]["words"] == WORDS
    assert "newer version" in office.get("connection").json["words"]
    popup.tick()
    assert table.items[key]["status"] == "suspended"
    assert office.connect(world.organisation("Demo Company (UK)")) == "connected"
    world.run()
    assert state(world, order) == "posted"


def test_orders_of_a_company_with_an_unknown_value_in_its_settings_are_not_posted_by_others(
    popup: Popup, capsys: pytest.CaptureFixture[str]
) -> None:
    world = popup.world
    connected(popup)
    before, after = orders(2)
    world.send(before)
    table = world.resource.tables["SettingsTable"]
    saved = {key: dict(item) for key, item in table.items.items()}
    for item in saved.values():
        text = json.loads(item["settings"]) | {"refunded_orders": "credit"}
        rewritten(table, item, settings=json.dumps(text))
    with pytest.raises(MessageFailed):
        world.send(after)
    world.run(timedelta(minutes=30), until_quiet=False)
    assert counted(capsys)
    assert state(world, before) == "queued"
    for item in saved.values():
        rewritten(table, item)
    world.send(after)
    world.run()
    assert [state(world, one) for one in (before, after)] == ["posted"] * 2


def test_a_release_of_an_unknown_kind_is_left_to_the_version_that_knows_it(
    popup: Popup, capsys: pytest.CaptureFixture[str]
) -> None:
    world = popup.world
    connected(popup)
    world.run()
    now = world.clock.now()
    world.releases.ask(Release(UNTRACKED, "theirs", now, now, lists=(("crediting", ""),)))
    table = world.resource.tables["ConnectionsTable"]
    item = table.items[f"release#{UNTRACKED}", "theirs"]
    world.run(timedelta(minutes=5), until_quiet=False)
    assert counted(capsys)
    assert table.items[f"release#{UNTRACKED}", "theirs"] == item

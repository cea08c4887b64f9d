"""The way of an order in one process and on virtual time, with moto for AWS and the simulated Xero.

Nothing of ours is faked: intake, posting and sweep run as they are, on edges that talk to moto and to the simulated
Xero at the wire. Only time, chance and the queue between the functions belong to the test.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import boto3
from botocore.exceptions import ClientError

from bookkeeping.adapters.event_bus import EventBus
from bookkeeping.adapters.queues import PostingQueue, ReleaseCall, call_in
from bookkeeping.adapters.secrets import TokenSecret
from bookkeeping.adapters.tables.book_matches import BookMatches
from bookkeeping.adapters.tables.books import books_of
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.dynamodb import read, together
from bookkeeping.adapters.tables.lanes import Lanes
from bookkeeping.adapters.tables.mails import Mails
from bookkeeping.adapters.tables.orders import OrdersTable
from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.adapters.tables.releases import Releases
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.adapters.xero_api import Xero
from bookkeeping.domain import ledger
from bookkeeping.domain.connection import Connection
from bookkeeping.domain.events import Event
from bookkeeping.domain.ledger import Entry
from bookkeeping.domain.pacing import Waits
from bookkeeping.domain.settings import Settings
from bookkeeping.use_cases import intake
from bookkeeping.use_cases.posting.turn import PostingAdapters, Tally, take_turn
from bookkeeping.use_cases.release import ReleaseAdapters, continue_release
from bookkeeping.use_cases.wake_lanes import ring, sweep
from local.expand import source
from local.xero.clock import VirtualClock
from local.xero.in_process import InProcess
from local.xero.organisations import Organisation
from local.xero.server import create_app
from local.xero.world import World
from tests.grants import acting_as
from tests.schemas import check_event
from tests.storms.dynamodb import DynamoDB
from tests.storms.environment import table_properties
from tests.storms.secrets_manager import SecretsManager

XERO = "http://localhost:8400"
REDIRECT = "https://orders.example.com/xero/callback"
SCOPES = "openid profile email offline_access accounting.invoices accounting.contacts.read accounting.settings.read"
PREFIX = "kornitx-xero"


class Killed(BaseException):
    """The process dies here, as from `kill -9`: nothing may catch it."""


@cache
def _template() -> dict[str, Any]:
    return source()


def make_tables() -> Any:
    """The template's tables in moto, under their logical names: the resource."""
    template = _template()
    client = boto3.client("dynamodb")
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::DynamoDB::Table":
            wanted = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")
            properties = {key: value for key, value in resource["Properties"].items() if key in wanted}
            client.create_table(TableName=name, **properties)
    return boto3.resource("dynamodb")


def in_memory(now: Callable[[], datetime]) -> DynamoDB:
    """The template's tables in memory, which are held against moto's and are much faster."""
    return DynamoDB(now, table_properties())


@dataclass
class Queue:
    """The PostingQueue's client on virtual time; deliveries can be lost or doubled by the test."""

    now: Callable[[], datetime]
    lose: Callable[[], bool] = lambda: False
    waiting: list[tuple[datetime, int, str]] = field(default_factory=list)
    _count: Iterator[int] = field(default_factory=itertools.count)

    def send_message(self, QueueUrl: str, MessageBody: str, DelaySeconds: int = 0) -> None:  # noqa: N803
        if not self.lose():
            due = self.now() + timedelta(seconds=DelaySeconds)
            heapq.heappush(self.waiting, (due, next(self._count), MessageBody))

    def send_message_batch(self, QueueUrl: str, Entries: Sequence[Mapping[str, str]]) -> dict[str, Any]:  # noqa: N803
        for entry in Entries:
            self.send_message(QueueUrl=QueueUrl, MessageBody=entry["MessageBody"])
        return {}


class Bus:
    """The event bus's client: keeps what was put, as it was put."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def put_events(self, Entries: Sequence[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        for entry in Entries:
            detail = json.loads(entry["Detail"])
            check_event(entry["DetailType"], detail)
            self.events.append({"type": entry["DetailType"], **detail})
        return {"Entries": [{"EventId": "1"} for _ in Entries]}

    def of(self, type_: str) -> list[dict[str, Any]]:
        """Events of a type, repeated ones once."""
        return list({event["id"]: event for event in self.events if event["type"] == type_}.values())


class OneThread:
    """Calls that are out at the same time. They are made when somebody waits, one after the other."""

    def __init__(self) -> None:
        self._calls: dict[Future[Any], Callable[[], Any]] = {}

    def start(self, call: Callable[[], Any]) -> Future[Any]:
        started: Future[Any] = Future()
        self._calls[started] = call
        return started

    def await_first(self, calls: Collection[Future[Any]]) -> None:
        if not any(call.done() for call in calls):
            first = next(call for call in self._calls if call in calls)
            first.set_result(self._calls.pop(first)())


class OneProcess:
    """A world with companies, their queue and their books."""

    def __init__(
        self,
        seed: int = 1,
        waits: Waits | None = None,
        tables: Callable[[Callable[[], datetime]], Any] | None = None,
    ) -> None:
        """`tables` makes the tables, given the clock; moto's, which handlers of their own clients find too, else."""
        self.clock = VirtualClock()
        self.xero = World(self.clock, seed=seed)
        self.chance = random.Random(seed)
        self.queue = Queue(self.clock.now)
        self.bus = Bus()
        self.secrets: Any = SecretsManager(self.clock.now) if tables else boto3.client("secretsmanager")
        resource = self.resource = tables(self.clock.now) if tables else make_tables()
        self.orders = OrdersTable(resource, "OrdersTable", "ConnectionsTable")
        self.settings = SettingsTable(resource, "SettingsTable")
        self.connections = ConnectionsTable(resource, "ConnectionsTable")
        self.lanes = Lanes(resource, "ConnectionsTable")
        self.matches = BookMatches(resource, "ConnectionsTable")
        self.organisations = Organisations(resource, "ConnectionsTable")
        self.releases = Releases(resource, "ConnectionsTable")
        self.mails = Mails(resource, "ConnectionsTable")
        self.wake_ups = PostingQueue(self.queue, "posting", "backlog")
        self.events = EventBus(self.bus, "bus")
        self.waits = waits or Waits()
        client = Xero(XERO, self.waits.call_time_out.total_seconds())
        client.session.mount(XERO, InProcess(create_app(self.xero), self.xero))
        ids = itertools.count(1)
        self.threads = OneThread()
        self.before_call: Callable[[], None] = lambda: None
        self.posting = PostingAdapters(
            orders=self.orders,
            settings=self.settings,
            connections=self.connections,
            lanes=self.lanes,
            releases=self.releases,
            matches=self.matches,
            organisations=self.organisations,
            tokens=TokenSecret(self.secrets, PREFIX),
            xero=client,
            wake_ups=self.wake_ups,
            events=self.events,
            renew_token=self._renew,
            now=self.clock.now,
            sleep=self.clock.sleep,
            new_id=lambda: f"id-{next(ids):06}",
            start=self.threads.start,
            await_first=self.threads.await_first,
            chance=self.chance,
            waits=self.waits,
        )
        self.release_adapters = ReleaseAdapters(
            orders=self.orders,
            settings=self.settings,
            connections=self.connections,
            lanes=self.lanes,
            releases=self.releases,
            wake_ups=self.wake_ups,
            events=self.events,
            now=self.clock.now,
        )
        self.renewals: list[str] = []
        self.order_ids: set[tuple[str, str]] = set()
        self._message_ids = itertools.count(1)

    # not noted as a call of posting
    @acting_as("")
    def _renew(self, company: str, refused: int | None = None) -> None:
        """What token_refresh does when posting asks it to."""
        self.renewals.append(company)
        held = json.loads(
            self.secrets.get_secret_value(SecretId=f"{PREFIX}/{company}/tokens")["SecretString"]
        )
        far = datetime.fromisoformat(held["expires_at"]) - self.clock.now() > timedelta(minutes=6)
        if far and held["generation"] != refused:
            return
        known = self.connections.connection(company)
        app = self.xero.portal.apps[known.client_id if known else f"APP{company:0>29}"]
        form = {
            "grant_type": "refresh_token",
            "refresh_token": held["refresh_token"],
            "client_id": app.client_id,
        }
        reply = self.xero.identity.token(form | {"client_secret": app.secret or ""}, None).reply
        if reply.status == 200:
            self._keep_tokens(company, reply.payload, held["generation"] + 1)

    # companies

    @acting_as("")
    def company(
        self,
        company: str = "412077",
        organisation: Organisation | None = None,
        app_of: str = "",
        **settings: Any,
    ) -> str:
        """A company connected through Xero's own login and consent. Its settings fit the UK demo organisation.

        Tax rates may be told as a map (percentage → tax type) or as lists too, and under `tax_by_destination`.
        """
        organisation = organisation or self.organisation("Demo Company (UK)")
        self.connect(company, organisation, app_of)
        # the British organisation has several rates of 0 %, and only its accountant knows which is meant
        zero = {"0": "ZERORATEDOUTPUT"} if organisation.base_currency == "GBP" else {}
        given = [settings.pop(key) for key in ("tax_types", "tax_by_destination") if key in settings] or [
            zero
        ]
        rows = [row for rows in given for row in tax_rows(rows)]
        about = {"contact_name": self.contact(organisation), "tax_types": rows}
        self.save_settings(company, **(CHART | about | settings))
        return company

    def organisation(self, name: str) -> Organisation:
        return next(one for one in self.xero.organisations.values() if one.name == name)

    def contact(self, organisation: Organisation) -> str:
        return next(contact.name for contact in organisation.contacts.values() if contact.status == "ACTIVE")

    @acting_as("")
    def connect(self, company: str, organisation: Organisation, app_of: str = "") -> Connection:
        """Connect, or connect again, the company's own Xero app, or another's, to the organisation."""
        client_id = f"APP{app_of or company:0>29}"
        app = self.xero.portal.apps.get(client_id) or self.xero.portal.register(
            {
                "name": f"Orders of {company}",
                "client_id": client_id,
                "redirect_uris": [REDIRECT],
                "certified": True,
            },
            self.clock.now(),
        )
        secret = app.secret or self.xero.portal.generate_secret(app)
        identity = self.xero.identity
        asked = {"response_type": "code", "client_id": client_id, "redirect_uri": REDIRECT, "scope": SCOPES}
        user = next(user for user in self.xero.users.values() if organisation.id in user.tenant_ids)
        answer = identity.allow(identity.authorize_request(urlencode(asked)), user, [organisation.id])
        code = parse_qs(urlsplit(answer).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
        reply = identity.token(form | {"client_id": client_id, "client_secret": secret}, None).reply
        self._keep_tokens(company, reply.payload)
        connection = Connection(company, client_id, organisation.id, organisation.name, "connected")
        self.connections.save_connection(connection)
        together(self.resource.meta.client, self.connections.joins(connection))
        return connection

    def _keep_tokens(self, company: str, granted: Mapping[str, Any], generation: int = 1) -> None:
        value = {
            "access_token": granted["access_token"],
            "refresh_token": granted["refresh_token"],
            "expires_at": (self.clock.now() + timedelta(seconds=granted["expires_in"])).isoformat(),
            "generation": generation,
        }
        name = f"{PREFIX}/{company}/tokens"
        try:
            self.secrets.create_secret(Name=name, SecretString=json.dumps(value))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceExistsException":
                raise
            self.secrets.put_secret_value(
                SecretId=name, SecretString=json.dumps(value), VersionStages=["AWSCURRENT"]
            )

    @acting_as("")
    def save_settings(self, company: str, **settings: Any) -> int:
        now = self.settings.current(company)
        seen = now[1] if now else 0
        merged = (now[0].model_dump() if now else {}) | settings
        return self.settings.save(company, Settings(**merged), seen=seen, by="test", at=self.clock.now())

    # the functions

    @acting_as("order_intake")
    def send(self, *messages: Any, company: str | None = None, sent_at: int | None = None) -> intake.Intake:
        """What the intake does with a batch of messages, sent now: dicts become JSON, text goes as it is."""
        batch = intake.Intake(
            intake.IntakeAdapters(self.orders, self.settings, self.connections, self.clock.now)
        )
        for message in messages:
            body = message if isinstance(message, str) else json.dumps(message, default=str)
            moment = sent_at if sent_at is not None else int(self.clock.now().timestamp() * 1000)
            batch.accept(body, moment, f"message-{next(self._message_ids)}", company)
        ring(self.lanes, self.wake_ups, batch.rung, self.clock.now())
        self.events.put(batch.events)
        return batch

    def books(self, company: str) -> ledger.Books:
        found = books_of(self.settings, self.connections, company)
        assert found is not None
        return found

    def ring(self, entry: Entry) -> None:
        """Ask for a turn for an entry that is due."""
        lanes = {entry.lane: [f"{entry.company}#{entry.order_id}"]}
        ring(self.lanes, self.wake_ups, lanes, self.clock.now())

    @acting_as("order_posting")
    def turn(self, body: str) -> Tally:
        call = call_in(body)
        if isinstance(call, ReleaseCall):
            continue_release(self.release_adapters, call)
            return Tally()
        return take_turn(self.posting, call)

    @acting_as("posting_sweep")
    def sweep(self) -> None:
        sweep(self.lanes, self.releases, self.wake_ups, self.clock.now())

    def run(self, time: timedelta = timedelta(hours=2), *, until_quiet: bool = True) -> None:
        """Let the functions work: wake-ups as they fall due, the sweep every minute; at most that long."""
        end = self.clock.now() + time
        sweep_at = self.clock.now() + timedelta(minutes=1)
        quiet = 0
        while self.clock.now() < end and (quiet < 3 or not until_quiet):
            if self.queue.waiting and self.queue.waiting[0][0] <= max(self.clock.now(), min(sweep_at, end)):
                self._move_to(self.queue.waiting[0][0])
                body = heapq.heappop(self.queue.waiting)[2]
                try:
                    self.turn(body)
                except Killed:
                    continue
            else:
                self._move_to(min(sweep_at, end))
                sweep_at = self.clock.now() + timedelta(minutes=1)
                before = len(self.queue.waiting)
                self.sweep()
                quiet = quiet + 1 if len(self.queue.waiting) == before == 0 else 0

    def _move_to(self, moment: datetime) -> None:
        if moment > self.clock.now():
            self.clock.advance((moment - self.clock.now()).total_seconds())

    # what came of it

    def entry(self, order: Mapping[str, Any], company: str = "412077") -> Entry:
        found = self.orders.get(company, str(order["id"]))
        assert found is not None, f"no row for {order['id']}"
        return found

    def calls(self, method: str = "", path: str = "") -> list[Any]:
        """The truth log's calls to the accounting API."""
        return [
            entry
            for entry in self.xero.log.entries
            if entry.path.startswith("/api.xro/") and entry.method.startswith(method) and path in entry.path
        ]

    def committed(self, kind: str) -> list[dict[str, Any]]:
        """What was really created or changed in Xero, in order: `invoice`, `purchase_order`, `item`."""
        in_xero = {"invoice": "ACCREC", "purchase_order": "PURCHASEORDER"}.get(kind, kind)
        return [
            done for entry in self.xero.log.entries for done in entry.committed if done["kind"] == in_xero
        ]


def tax_rows(rows: Any) -> list[Any]:
    """Rows of “Tax rates”: as they are, of lists [rate, ships to, tax type], or of a map from rates to tax types."""
    if isinstance(rows, Mapping):
        return [{"rate": rate, "tax_type": tax_type} for rate, tax_type in rows.items()]
    names = ("rate", "ships_to", "tax_type", "account", "reverse_charge")
    return [dict(zip(names, row, strict=False)) if isinstance(row, list | tuple) else row for row in rows]


CHART: dict[str, Any] = {
    "sales_account_code": "200",
    "cogs_account_code": "310",
    "inventory_asset_account_code": "630",
    "shipping_account_code": "200",
}


def spoil(world: OneProcess, table: str, key: dict[str, str], **values: Any) -> None:
    """Change a row so that it can't be read any more, or is of an unknown kind."""
    world.resource.Table(table).put_item(Item=raw(world, table, key) | values)


def raw(world: OneProcess, table: str, key: dict[str, str]) -> dict[str, Any]:
    item = read(world.resource.Table(table), **key)
    assert item is not None
    return item


def events(told: Sequence[Event]) -> list[str]:
    return [event.type for event in told]


def total(document: Mapping[str, Any]) -> Decimal:
    return Decimal(str(document["total"]))

"""The environment of the storms over posting: AWS and Xero around the real intake, posting and sweep, and their perils.

It owns time, chance, the queues and the processes. It knows nothing of orders, and does not look at what comes of them.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from botocore.exceptions import ReadTimeoutError

from bookkeeping.adapters.event_bus import EventBus
from bookkeeping.adapters.queues import PostingQueue, ReleaseCall, call_in
from bookkeeping.adapters.secrets import AppSecret, TokenSecret
from bookkeeping.adapters.tables.book_matches import BookMatches
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.dynamodb import transact
from bookkeeping.adapters.tables.lanes import Lanes
from bookkeeping.adapters.tables.mails import Mails
from bookkeeping.adapters.tables.orders import OrdersTable
from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.adapters.tables.releases import Releases
from bookkeeping.adapters.tables.settings import SettingsTable
from bookkeeping.adapters.xero_api import Xero
from bookkeeping.domain.connection import Choice, Connection, Consent, after_consent
from bookkeeping.domain.mail import MailWaits
from bookkeeping.domain.pacing import LANES_AT_ONCE, Waits
from bookkeeping.domain.page_access import Person
from bookkeeping.domain.settings import Settings
from bookkeeping.use_cases import connect, intake
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.retry import NothingToRetry
from bookkeeping.use_cases.posting.turn import PostingAdapters, take_turn
from bookkeeping.use_cases.release import continue_release
from bookkeeping.use_cases.wake_lanes import ring, sweep
from local.expand import source
from local.xero.in_process import InProcess
from local.xero.organisations import Organisation
from local.xero.server import create_app
from local.xero.world import World
from tests import our_faults
from tests.storms.dynamodb import DynamoDB, cancelled, refused
from tests.storms.scheduler import Killed, Scheduler, Worker

XERO = "http://localhost:8400"
REDIRECT = "https://orders.example.com/xero/callback"
SCOPES = "openid profile email offline_access accounting.invoices accounting.contacts.read accounting.settings.read"
PREFIX = "kornitx-xero"
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Weather:
    """How likely each peril is."""

    crash: float = 0.0
    """Before and after each call, by step."""
    pause: float = 0.0
    """The process stands still for up to two minutes, by step."""
    throttle: float = 0.0
    conflict: float = 0.0
    """A transaction, or a write of a row in one, is refused for another that is under way."""
    lost_answer: float = 0.0
    """A store did as asked, and the client library gave up waiting."""
    repeated: float = 0.0
    """A store did as asked, and the client library asked once more."""
    lost_message: float = 0.0
    lost_delayed: float = 0.0
    """A wake-up that was to arrive later is lost."""
    doubled_message: float = 0.0
    lag: float = 0.0
    """Indexes lag by up to so many seconds."""
    refused: float = 0.0
    """Xero answers 429."""
    reply_lost: float = 0.0
    unavailable: float = 0.0
    """Xero answers 503."""
    error_after_commit: float = 0.0
    slow_commit: float = 0.0
    """Xero carries a call out up to 100 s after our time-out."""
    request_lost: float = 0.0
    unreadable: float = 0.0
    """A box answers 400 in HTML, though Xero did as asked."""
    slow_answer: float = 0.0
    slow_seconds: float = 20.0

    def scaled(self, factor: float) -> Weather:
        return replace(
            self, **{name: min(0.5, value * factor) for name, value in vars(self).items() if name != "lag"}
        )


def in_conflict(call: str, about: str) -> bool:
    """Whether the call may meet a transaction that is under way: what is known of organisations is in none."""
    writes = call in ("put_item", "update_item", "delete_item", "transact_write_items")
    return writes and not about.startswith("ConnectionsTable organisation#")


XERO_FAULTS = (
    "reply_lost",
    "request_lost",
    "error_before_commit",
    "error_after_commit",
    "cut_body",
    "malformed_json",
    "html_400",
    "slow_answer",
    "slow_commit",
    "maintenance",
    "rate_limit_minute",
    "rate_limit_concurrent",
    "token_expired",
)

CALM = Weather()
F1 = Weather(
    crash=0.01,
    pause=0.0005,
    throttle=0.002,
    conflict=0.003,
    lost_answer=0.001,
    repeated=0.001,
    lost_message=0.02,
    doubled_message=0.02,
    lag=10.0,
    refused=0.05,
    reply_lost=0.05,
    unavailable=0.03,
    error_after_commit=0.01,
    slow_commit=0.01,
    request_lost=0.01,
)
F2 = replace(F1, crash=0.05, reply_lost=0.10, slow_commit=0.05)


RECEIVES: Final = 5
"""After so many receives a message becomes a dead letter."""
SHOWN_AT: Final = 3
"""At this receive intake writes a row for a message that it failed on."""


def _has_something_to_do(lane: Mapping[str, Any]) -> bool:
    """Whether there is more in the lane than to read Xero again for orders that stopped, which could go on for ever."""
    recheck_at = lane.get("recheck", {}).get("next_at")
    planned = "next_at" in lane and lane["next_at"] != recheck_at
    return planned or "rung" in lane or "lease_until" in lane


@dataclass
class _Message:
    body: str
    sent_at: datetime
    id: str
    receives: int = 0


class Queue:
    """An SQS queue with a function behind it: at least once, in no order, given up after five receives."""

    def __init__(
        self,
        environment: Environment,
        name: str,
        handler: Callable[[list[_Message]], list[str]],
        *,
        batch: int,
        window: float,
        concurrency: int,
        visibility: float,
        time_out: float,
    ) -> None:
        self._environment = environment
        self._name = name
        self._handler = handler
        self._batch, self._window = batch, timedelta(seconds=window)
        self._concurrency = concurrency
        self._visibility, self._time_out = timedelta(seconds=visibility), timedelta(seconds=time_out)
        self._ready: deque[_Message] = deque()
        self._running = 0
        self._polled_at: datetime | None = None
        self._ids = itertools.count(1)
        self.pending = 0
        """Messages not yet acknowledged or given up."""
        self.dead: list[_Message] = []

    def send(self, body: str, delay: timedelta = timedelta()) -> None:
        now = self._environment.now()
        self.pending += 1
        self._show(_Message(body, now, f"{self._name}-{next(self._ids)}"), now + delay)

    def _show(self, message: _Message, at: datetime) -> None:
        def shown() -> None:
            self._ready.append(message)
            self._poll_at(self._environment.now() + self._window)

        self._environment.scheduler.at(at, shown)

    def _poll_at(self, moment: datetime) -> None:
        if self._polled_at is None:
            self._polled_at = moment
            self._environment.scheduler.at(moment, self._poll)

    def _poll(self) -> None:
        self._polled_at = None
        while self._ready and self._running < self._concurrency:
            taken = [self._ready.popleft() for _ in range(min(self._batch, len(self._ready)))]
            self._running += 1
            worker = Worker(self._name, self._environment.now() + self._time_out)
            self._environment.scheduler.start(lambda taken=taken: self._invoke(taken), worker)  # type: ignore[misc]

    def _invoke(self, messages: list[_Message]) -> None:
        failed = [message.id for message in messages]
        for message in messages:
            message.receives += 1
            if message.receives > 1:
                self._environment.delivered_again.append(message.body)
        began = self._environment.now()
        try:
            failed = self._handler(messages)
        except Killed:
            self._environment.met[f"{self._name} killed"] += 1
        except Exception as error:  # noqa: BLE001 the function ends with an error, and its messages come again
            self._environment.ended_by(self._name, error)
        self._running -= 1
        for message in messages:
            if message.id not in failed:
                self.pending -= 1
                if self._environment.chance.random() < self._environment.weather.doubled_message:
                    # a message may come again though it was acknowledged
                    self.pending += 1
                    self._show(replace(message), self._environment.now() + timedelta(seconds=30))
            elif message.receives >= RECEIVES:
                self.pending -= 1
                self.dead.append(message)
            else:
                self._show(message, began + self._visibility)
        if self._ready:
            self._poll_at(self._environment.now())

    def redrive(self) -> None:
        """Somebody has looked at the dead letters, and sends them again."""
        dead, self.dead = self.dead, []
        for message in dead:
            self._environment.met[f"{self._name} redriven"] += 1
            self.pending += 1
            self._show(replace(message, receives=0), self._environment.now())


class _Sqs:
    def __init__(self, environment: Environment, **queues: Queue) -> None:
        self._environment, self._queues = environment, queues

    def send_message(self, QueueUrl: str, MessageBody: str, DelaySeconds: int = 0) -> None:  # noqa: N803
        environment = self._environment
        environment.before("send_message", QueueUrl)
        if environment.loses() or (DelaySeconds and environment._by_chance("lost_delayed")):
            environment.met["wake-up lost"] += 1
        else:
            self._queues[QueueUrl].send(MessageBody, timedelta(seconds=DelaySeconds))
        environment.after("send_message", QueueUrl)

    def send_message_batch(self, QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803
        environment, failed = self._environment, list[dict[str, str]]()
        environment.before("send_message_batch", QueueUrl)
        for entry in Entries:
            if environment.loses():
                environment.met["wake-up lost"] += 1
            elif environment._by_chance("throttle"):
                environment.met["wake-up refused"] += 1
                failed.append({"Id": entry["Id"], "Code": "InternalError"})
            else:
                self._queues[QueueUrl].send(entry["MessageBody"])
        environment.after("send_message_batch", QueueUrl)
        return {"Failed": failed} if failed else {}


class _Bus:
    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.events: list[dict[str, Any]] = []

    def put_events(self, Entries: Sequence[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self._environment.before("put_events", "bus")
        results: list[dict[str, str]] = []
        for entry in Entries:
            if self._environment.chance.random() < self._environment.weather.throttle:
                results.append({"ErrorCode": "ThrottlingException"})
                continue
            self.events.append({"type": entry["DetailType"], **json.loads(entry["Detail"])})
            results.append({"EventId": "1"})
        self._environment.after("put_events", "bus")
        return {"Entries": results}


class _Secrets:
    """Tokens as posting reads them."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.values: dict[str, str] = {}

    def get_secret_value(self, SecretId: str, VersionStage: str) -> dict[str, str]:  # noqa: N803
        assert VersionStage == "AWSCURRENT"
        self._environment.before("get_secret_value", SecretId)
        if SecretId not in self.values:
            raise refused("GetSecretValue", "ResourceNotFoundException")
        answer = {"VersionId": "1", "SecretString": self.values[SecretId]}
        self._environment.after("get_secret_value", SecretId)
        return answer


class _Wire(InProcess):
    """The way to Xero. A request that has left arrives, whatever becomes of the process that sent it."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(create_app(environment.xero), environment.xero)
        self._environment = environment

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        environment = self._environment
        about = f"{request.method} {urlsplit(request.url or '').path}"
        environment.before("xero", about)
        environment.scheduler.sleep(environment.travel / 2)
        try:
            response = super().send(request, *args, **options)
            environment.scheduler.sleep(environment.travel / 2)
        except requests.exceptions.RequestException:
            environment.after("xero", about)
            raise
        environment.after("xero", about)
        return response


def person(company: str) -> Person:
    return Person("storm", "Storm", company)


@lru_cache(maxsize=1)
def table_properties() -> Mapping[str, Mapping[str, Any]]:
    """The template's tables."""
    return {
        name: resource["Properties"]
        for name, resource in source()["Resources"].items()
        if resource["Type"] == "AWS::DynamoDB::Table"
    }


class Environment:
    """One world. Perils come by chance (`weather`), or at a step that is told (`perils`)."""

    scheduler_class: type[Scheduler] = Scheduler
    store_class: type[DynamoDB] = DynamoDB

    def __init__(
        self,
        seed: object = 1,
        weather: Weather = CALM,
        *,
        perils: Mapping[int, str] | None = None,
        waits: Waits | None = None,
        intake_batch: int = 10,
        intake_workers: int = 10,
        workers: int = 8,
        travel: float = 0.3,
    ) -> None:
        self.scheduler = self.scheduler_class()
        self.now = self.scheduler.now
        self.chance = random.Random(f"{seed}")
        self.coming, self.weather = weather, CALM
        self.perils = perils or {}
        self.travel = travel
        self.steps = 0
        self.first_step = 0
        """Before it, a storm has made its world ready."""
        self.trace: list[str] | None = None
        self._watch = ExitStack()
        self.our_faults = self._watch.enter_context(our_faults.heard())
        """Faults of ours that were contained. Those that a storm does not provoke are bugs that containment hides."""
        self.met: Counter[str] = Counter()
        self.refused: set[tuple[str, str]] = set()
        """(function, row): the store takes no request of the function for the row."""
        self.delivered_again: list[str] = []
        """Messages that a function was given for a second or third time."""
        self.troubles: list[str] = []
        """What the functions themselves call trouble, or ended with."""
        self.waits = waits or Waits()
        self.xero = World(self.scheduler, seed=self.chance.getrandbits(32), demo=False)
        self.store = self.store_class(
            self.now, table_properties(), lag=self._lag, before=self.before, after=self.after
        )
        self.store.repeats = self._repeats
        self.orders = OrdersTable(self.store, "OrdersTable", "ConnectionsTable")
        self.settings = SettingsTable(self.store, "SettingsTable")
        self.connections = ConnectionsTable(self.store, "ConnectionsTable")
        self.lanes = Lanes(self.store, "ConnectionsTable")
        self.matches = BookMatches(self.store, "ConnectionsTable")
        self.organisations = Organisations(self.store, "ConnectionsTable")
        self.releases = Releases(self.store, "ConnectionsTable")
        self.secrets = _Secrets(self)
        self.bus = _Bus(self)
        self.orders_queue = Queue(
            self,
            "intake",
            self._intake,
            batch=intake_batch,
            window=1,
            concurrency=intake_workers,
            visibility=37,
            time_out=6,
        )
        self.posting_queue, self.backlog_queue = (
            Queue(
                self,
                name,
                self._post,
                batch=batch,
                window=0,
                concurrency=workers,
                visibility=720,
                time_out=120,
            )
            for name, batch in (("posting", LANES_AT_ONCE), ("backlog", 1))
        )
        sqs = _Sqs(self, posting=self.posting_queue, backlog=self.backlog_queue)
        self.wake_ups = PostingQueue(sqs, "posting", "backlog")
        self.events = EventBus(self.bus, "bus")
        client = Xero(XERO, self.waits.call_time_out.total_seconds())
        client.session.mount(XERO, _Wire(self))
        ids = itertools.count(1)
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
            now=self.now,
            sleep=self._sleep,
            new_id=lambda: f"id-{next(ids):06}",
            start=self.scheduler.call,
            await_first=self.scheduler.await_first,
            chance=self.chance,
            waits=self.waits,
        )
        self.page = PageAdapters(
            orders=self.orders,
            settings=self.settings,
            connections=self.connections,
            lanes=self.lanes,
            matches=self.matches,
            organisations=self.organisations,
            releases=self.releases,
            mails=Mails(self.store, "ConnectionsTable"),
            apps=AppSecret(self.secrets, PREFIX),
            wake_ups=self.wake_ups,
            events=self.events,
            ask=lambda company, task, **about: {"error": "not_connected"},
            together=lambda calls: [call() for call in calls],
            web_url="",
            mail_from="",
            mail_waits=MailWaits(),
            now=self.now,
            new_id=self.posting.new_id,
        )
        self._sweeping = False
        self._to_come = 0
        self._repeat = self._lose = False

    # perils

    def before(self, call: str, about: str) -> None:
        worker = self.scheduler.worker
        if worker is None:
            return
        peril = self._step(worker, f"before {call} {about}")
        self.scheduler.sleep(self.chance.uniform(0.001, 0.008))
        self._still_there(worker)
        if call == "xero":
            if peril in XERO_FAULTS:
                method, path = about.split()
                fault = {"kind": peril, "method": method, "path_prefix": path, "seconds": 100}
                self.xero.faults.add(fault | ({"retry_after": 20} if peril.startswith("rate_limit") else {}))
            return
        self._repeat, self._lose = peril == "repeated", peril == "lost_message"
        if peril == "throttle" or self._by_chance("throttle") or (worker.name, about) in self.refused:
            self.met["throttle"] += 1
            raise refused(call, "ProvisionedThroughputExceededException")
        if peril == "conflict" or (in_conflict(call, about) and self._by_chance("conflict")):
            self.met["conflict"] += 1
            if call != "transact_write_items":
                raise refused(call, "TransactionConflictException")
            first = peril == "conflict" or self.chance.random() < 0.5
            raise cancelled(["TransactionConflict"] if first else ["None", "TransactionConflict"])

    def after(self, call: str, about: str) -> None:
        worker = self.scheduler.worker
        if worker is None:
            return
        peril = self._step(worker, f"after {call} {about}")
        if call != "xero" and (peril == "lost_answer" or self._by_chance("lost_answer")):
            self.met["lost_answer"] += 1
            raise ReadTimeoutError(endpoint_url="https://aws.example.com")

    def _by_chance(self, peril: str) -> bool:
        likely: float = getattr(self.weather, peril)
        return likely > 0 and self.chance.random() < likely

    def _step(self, worker: Worker, what: str) -> str:
        """The peril that is told for this step, where it is not one for here."""
        self.steps += 1
        peril = self.perils.get(self.steps, "")
        if self.trace is not None:
            self.trace.append(f"{self.steps} {self.now():%H:%M:%S.%f} {worker.name}: {what} {peril}".rstrip())
        self._still_there(worker)
        if peril == "crash" or self._by_chance("crash"):
            self.met["crash"] += 1
            worker.dead = True
            raise Killed
        if peril == "pause" or self._by_chance("pause"):
            self.met["pause"] += 1
            self.scheduler.sleep(100 if peril else self.chance.uniform(20, 118))
            self._still_there(worker)
        return peril

    def _still_there(self, worker: Worker) -> None:
        if worker.dead or self.now() >= worker.ends_at:
            worker.dead = True
            raise Killed

    def loses(self) -> bool:
        """Whether the message that is being sent gets lost."""
        told, self._lose = self._lose, False
        return told or self._by_chance("lost_message")

    def _sleep(self, seconds: float) -> None:
        self.scheduler.sleep(seconds)
        if self.scheduler.worker is not None:
            self._still_there(self.scheduler.worker)

    def _lag(self) -> timedelta:
        return (
            timedelta(seconds=self.chance.uniform(0, self.weather.lag)) if self.weather.lag else timedelta()
        )

    def _repeats(self) -> bool:
        told, self._repeat = self._repeat, False
        return self.scheduler.worker is not None and (told or self._by_chance("repeated"))

    def ended_by(self, function: str, error: Exception) -> None:
        self.met[f"{function} ended by {type(error).__name__}"] += 1
        expected = (
            "ProvisionedThroughputExceeded",
            "Read timeout",
            "StoreUnavailable",
            "not taken by the bus",
            "MessagesRefused",
        )
        if not any(word in f"{type(error).__name__} {error}" for word in expected):
            self.troubles.append(f"{function} ended by {type(error).__name__}: {error}")

    # companies

    def organisation(self, name: str, country: str) -> Organisation:
        organisation = self.xero.add_organisation({"name": name, "country": country})
        self.xero.add_user({"email": f"{organisation.id}@example.com", "organisations": [organisation.id]})
        return organisation

    def company(self, company: str, organisation: Organisation, client_id: str = "", **settings: Any) -> None:
        """A company connected through Xero's own login and consent."""
        self.connect(company, organisation, client_id or f"APP{company:0>29}")
        self.settings.save(company, Settings(**settings), seen=0, by="storm", at=self.now())

    def connect(self, company: str, organisation: Organisation, client_id: str) -> None:
        self._consent(company, organisation, client_id)
        connection = Connection(company, client_id, organisation.id, organisation.name, "connected")
        self.connections.save_connection(connection)
        transact(self.store.meta.client, self.connections.joins(connection))

    def reconnect(self, company: str) -> None:
        """A person goes to Xero and comes back: what waited for it is freed as it is after any consent."""
        before = self.connections.connection(company)
        assert before is not None
        organisation = self.xero.organisations[before.organisation_id]
        self._consent(company, organisation, before.client_id)
        consent = Consent(
            before.client_id,
            (Choice(organisation.id, organisation.name, ""),),
            tuple(SCOPES.split()),
            self.now() + timedelta(minutes=30),
            "storm",
            self.now(),
        )
        after = after_consent(before, company, consent)
        connect._change(self.page, before, after, person(company), "Connected again")

    def disconnect(self, company: str) -> None:
        """A person presses Disconnect; Xero is told a moment later, unless others use the app there."""
        ended = self.connections.connection(company)
        assert ended is not None
        assert connect.disconnect(self.page, person(company))
        if not self.connections.others_of_app(ended):

            def told() -> None:
                self.xero.connections.drop(client_id=ended.client_id, tenant_id=ended.organisation_id)

            self.scheduler.at(self.now() + timedelta(seconds=2), told)

    def press(self, button: Callable[[], Any]) -> None:
        """A person presses a button of the settings page, again and again until it answers. NothingToRetry is one."""

        def pressed() -> None:
            try:
                button()
            except NothingToRetry:
                self.met["nothing to retry"] += 1
            except (Killed, Exception) as error:  # noqa: BLE001 the person sees that it went wrong
                self.met[f"button {type(error).__name__}"] += 1
                self.scheduler.at(self.now() + timedelta(seconds=20), lambda: self.press(button))

        self.scheduler.start(pressed, Worker("page", self.now() + timedelta(seconds=29)))

    def _consent(self, company: str, organisation: Organisation, client_id: str) -> None:
        portal, identity = self.xero.portal, self.xero.identity
        app = portal.apps.get(client_id)
        if app is None:
            given = {"name": company, "client_id": client_id, "redirect_uris": [REDIRECT], "certified": True}
            app = portal.register(given, self.now())
            portal.generate_secret(app)
        user = self.xero.user_with_email(f"{organisation.id}@example.com")
        assert user is not None
        asked = {"response_type": "code", "client_id": client_id, "redirect_uri": REDIRECT, "scope": SCOPES}
        answer = identity.allow(identity.authorize_request(urlencode(asked)), user, [organisation.id])
        code = parse_qs(urlsplit(answer).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
        reply = identity.token(form | {"client_id": client_id, "client_secret": app.secret or ""}, None).reply
        self._keep_tokens(company, reply.payload)

    def _keep_tokens(self, company: str, granted: Mapping[str, Any], generation: int = 1) -> None:
        value = {
            "access_token": granted["access_token"],
            "refresh_token": granted["refresh_token"],
            "expires_at": (self.now() + timedelta(seconds=granted["expires_in"])).isoformat(),
            "generation": generation,
        }
        self.secrets.values[f"{PREFIX}/{company}/tokens"] = json.dumps(value)

    def _renew(self, company: str, refused: int | None = None) -> None:
        """Asks for what token_refresh does; that it survives whatever happens is another storm's business."""
        self.before("invoke", company)
        self.scheduler.at(self.now() + timedelta(seconds=2), lambda: self._renewed(company))
        self.after("invoke", company)

    def _renewed(self, company: str) -> None:
        held = json.loads(self.secrets.values[f"{PREFIX}/{company}/tokens"])
        connection = self.connections.connection(company)
        assert connection is not None
        app = self.xero.portal.apps[connection.client_id]
        form = {
            "grant_type": "refresh_token",
            "refresh_token": held["refresh_token"],
            "client_id": app.client_id,
        }
        reply = self.xero.identity.token(form | {"client_secret": app.secret or ""}, None).reply
        if reply.status == 200:
            self._keep_tokens(company, reply.payload, held["generation"] + 1)

    # the functions

    def send(self, body: str, at: datetime) -> None:
        """The platform sends an order message at that moment."""
        self._to_come += 1

        def sent() -> None:
            self._to_come -= 1
            self.orders_queue.send(body)

        self.scheduler.at(at, sent)

    def _intake(self, messages: list[_Message]) -> list[str]:
        batch = intake.Intake(intake.IntakeAdapters(self.orders, self.settings, self.connections, self.now))
        failed = []
        for message in messages:
            sent_at = int(message.sent_at.timestamp() * 1000)
            try:
                batch.accept(message.body, sent_at, message.id)
            except Exception as error:  # noqa: BLE001 as the function does
                failed.append(message.id)
                self.ended_by("order message", error)
                if message.receives >= SHOWN_AT:
                    try:
                        batch.keep_our_fault(message.body, sent_at, message.id)
                    except Exception as again:  # noqa: BLE001 as the library does
                        self.ended_by("order message", again)
        ring(self.lanes, self.wake_ups, batch.rung, self.now())
        self.events.put(batch.events)
        return failed

    def _post(self, messages: list[_Message]) -> list[str]:
        begun = {
            message.id: self.scheduler.call(partial(self._post_one, message.body)) for message in messages
        }
        while out := [call for call in begun.values() if not call.done()]:
            self.scheduler.await_first(out)
        failed = []
        for id_, call in begun.items():
            error = call.exception()
            if isinstance(error, Killed):
                raise error
            if isinstance(error, Exception):
                failed.append(id_)
                self.ended_by("posting", error)
        return failed

    def _post_one(self, body: str) -> None:
        call = call_in(body)
        if isinstance(call, ReleaseCall):
            self.met["order freed"] += continue_release(self.page, call)
            return
        tally = take_turn(self.posting, call)
        self.met["turn"] += 1
        self.met["call to Xero"] += tally.calls
        for faults in tally.faults:
            self.met[f"trouble: {faults.split('lane ')[0] or 'lane lost'}"] += 1

    def _sweep(self) -> None:
        try:
            sweep(self.lanes, self.releases, self.wake_ups, self.now())
        except Killed:
            self.met["sweep killed"] += 1
        except Exception as error:  # noqa: BLE001 the function ends with an error, and begins anew in a minute
            self.ended_by("sweep", error)
        self._sweeping = False

    # the run

    def run(self, stormy: timedelta, calm: timedelta = timedelta(hours=2)) -> None:
        """Let the world go on, stormy and then calm, until nothing is left that could ever happen, or time is over."""
        self.weather = self.coming
        self.store.chance = self.chance if self.weather is not CALM else None
        self._until_quiet(self.now() + stormy)
        self.weather, self.store.chance = CALM, None
        self.xero.faults.remove()
        self._until_quiet(self.now() + calm)
        self.scheduler.run(self.now() + timedelta(minutes=3))
        self.xero.run_due()

    def _until_quiet(self, end: datetime) -> None:
        quiet = minutes = 0
        while self.now() < end and quiet < 2:
            self.scheduler.run(self.now() + MINUTE)
            minutes += 1
            if minutes % 30 == 0 or not self.orders_queue.pending:
                self.orders_queue.redrive()
            quiet = quiet + 1 if self._nothing_can_happen() else 0
            if not self._sweeping:
                self._sweeping = True
                self.scheduler.start(self._sweep, Worker("sweep", self.now() + timedelta(seconds=30)))

    def _nothing_can_happen(self) -> bool:
        if (
            self._sweeping
            or self._to_come
            or self.orders_queue.pending
            or self.orders_queue.dead
            or self.posting_queue.pending
            or self.backlog_queue.pending
        ):
            return False
        rows = self.store.tables["ConnectionsTable"].items.values()
        if any(row["pk"].startswith("release#") for row in rows):
            return False
        lanes = (row for row in rows if row["sk"] == "lane")
        return not any(_has_something_to_do(lane) for lane in lanes)

    def faults_of_xero(self) -> None:
        """Xero's share of the weather, from now on."""
        weather = self.coming
        for kind, probability, more in (
            ("rate_limit_minute", weather.refused, {"retry_after": 20}),
            ("reply_lost", weather.reply_lost, {}),
            ("maintenance", weather.unavailable, {}),
            ("error_after_commit", weather.error_after_commit, {}),
            ("slow_commit", weather.slow_commit / 3, {"seconds": 35}),
            ("slow_commit", weather.slow_commit / 3, {"seconds": 80}),
            ("slow_commit", weather.slow_commit / 3, {"seconds": 129}),
            ("request_lost", weather.request_lost, {}),
            ("html_400", weather.unreadable, {}),
            ("slow_answer", weather.slow_answer, {"seconds": weather.slow_seconds}),
        ):
            if probability:
                rule = {"kind": kind, "path_prefix": "/api.xro/", "probability": probability, **more}
                self.xero.faults.add(rule | {"seed": self.chance.getrandbits(32)})

    def close(self) -> None:
        self._watch.close()
        self.scheduler.close()

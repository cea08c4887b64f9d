"""The storm over connections: a week of refreshes while everything goes wrong, then a count of who is still alive.

The environment (`Storm`) runs the schedule on virtual time and brings the perils: a crash before and after every call
to a store and to Xero, throttles, lost answers, late commits, calls that the client library repeats, an index that
lags, a second start and a person's reconnect in the middle of a refresh, a schedule that stops for up to an hour and
a half. The workload is posting, which keeps some connections
at work and asks for tokens. The auditor (`audit`) reads the simulated Xero and the store, never the code's own outcome.

What no client can survive is left out: being away for over half an hour while Xero's answer is with nobody.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import product
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlencode, urlsplit

from botocore.exceptions import ReadTimeoutError

from bookkeeping.adapters.event_bus import EventBus
from bookkeeping.adapters.secrets import App, AppSecret, Tokens, TokenSecret
from bookkeeping.adapters.tables.connections import ConnectionsTable, Renewal
from bookkeeping.adapters.tables.dynamodb import read
from bookkeeping.adapters.tables.releases import Releases
from bookkeeping.adapters.xero_identity import Granted, Identity
from bookkeeping.domain.connection import Connection
from bookkeeping.domain.errors import IdentityUnknown
from bookkeeping.use_cases import token_renewal
from bookkeeping.use_cases.token_renewal import RenewalAdapters, Times
from local.xero.clock import Clock, VirtualClock
from local.xero.identity import PROVIDER_MODELS, ProviderModel
from local.xero.in_process import InProcess
from local.xero.server import create_app
from local.xero.world import World
from tests.storms.dynamodb import DynamoDB, nobody, refused
from tests.storms.environment import table_properties
from tests.storms.posting import SEED
from tests.storms.scheduler import Killed
from tests.storms.secrets_manager import SecretsManager
from tests.storms.table import Job, Outcome

XERO = "http://localhost:8400"
REDIRECT = "https://orders.example.com/xero/callback"
SCOPES = "offline_access accounting.invoices"
TICK = timedelta(minutes=5)
VERSIONS_A_DAY = 60
COMPANY = re.compile(r"412\d{3}")
IDENTITY_FAULTS = (
    "reply_lost",
    "request_lost",
    "slow_answer",
    "error_before_commit",
    "error_after_commit",
    "html_body",
    "cut_body",
    "maintenance",
    "rate_limit_minute",
)


@dataclass(frozen=True)
class Weather:
    """How often each thing goes wrong: by call, or for `away` by tick."""

    crash: float = 0.004
    throttle: float = 0.004
    lost_answer: float = 0.002
    second_start: float = 0.01
    reconnect: float = 0.0005
    identity: float = 0.006
    """For each kind of fault of Xero's identity server."""
    late: float = 0.006
    """Xero carries a call out 100 s after it came, when nobody waits any more."""
    away: float = 0.002
    visits: float = 0.02
    """How often, by tick, a person looks at lists from Xero and needs a token for it."""
    repeated: float = 0.001
    """A table did as asked, and the client library asked once more."""
    lag: float = 10.0
    """The index lags by up to so many seconds."""


CALM = Weather(**dict.fromkeys(vars(Weather()), 0.0))
ENDS = replace(CALM, crash=0.02, away=0.02)
LATE_ANSWERS = replace(CALM, late=0.12, visits=0.4)
SECOND_STARTS = replace(CALM, second_start=0.1)
RECONNECTS = replace(CALM, reconnect=0.02)


class Bus:
    def __init__(self) -> None:
        self.told: list[str] = []

    def put_events(self, Entries: Sequence[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.told += [entry["DetailType"] for entry in Entries]
        return {"Entries": [{} for _ in Entries]}


class CountedIdentity(Identity):
    """The real thing, with a step edge on either side of a refresh."""

    storm: Storm

    def refresh(self, client_id: str, secret: str, refresh_token: str) -> Granted:
        in_flight = self.storm.in_flight
        in_flight[client_id] += 1
        self.storm.most_in_flight = max(self.storm.most_in_flight, in_flight[client_id])
        try:
            self.storm.before("refresh", client_id)
            granted = super().refresh(client_id, secret, refresh_token)
            self.storm.after("refresh", client_id)
        except IdentityUnknown:
            self.storm.after_no_answer()
            raise
        finally:
            in_flight[client_id] -= 1
        return granted


class Storm:
    """The environment."""

    def __init__(
        self,
        companies: int,
        model: ProviderModel,
        seed: int,
        weather: Weather | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.weather = CALM
        self.coming = weather or Weather()
        self.chance = random.Random(f"{seed} {model}")
        self.xero = World(self.clock, seed=seed, demo=False)
        self.xero.choose_provider_model(model)
        self.dynamodb = DynamoDB(
            self.clock.now, table_properties(), lag=self._lag, before=self.before, after=self.after
        )
        self.dynamodb.repeats = self._repeats
        self.secrets = SecretsManager(self.clock.now, self.before, self.after)
        self.bus = Bus()
        self.in_flight: Counter[str] = Counter()
        self.most_in_flight = 0
        self.met: Counter[str] = Counter()
        self.perils: dict[str, Callable[[str, str], None]] = {}
        """A test's own perils: `before` and `after` a step."""
        self._deep = False
        self._throttled_until = self.clock.now()
        identity = CountedIdentity(XERO, XERO, Times().call_time_out.total_seconds())
        identity.storm = self
        identity.session.mount(XERO, InProcess(create_app(self.xero), self.xero))
        self.adapters = RenewalAdapters(
            connections=ConnectionsTable(self.dynamodb, "ConnectionsTable"),
            releases=Releases(self.dynamodb, "ConnectionsTable"),
            apps=AppSecret(self.secrets, "kornit-xero"),
            tokens=TokenSecret(self.secrets, "kornit-xero"),
            identity=identity,
            events=EventBus(self.bus, "bus"),
            now=self.clock.now,
            sleep=self.clock.sleep,
            together=lambda calls: [self.survive(call) for call in calls],
            chance=self.chance,
        )
        self.companies = [f"{412000 + number}" for number in range(companies)]
        self.consents: dict[str, str] = {}
        for company in self.companies:
            self.clock.advance(self.chance.uniform(0, 3))
            self.connect(company)

    # --- companies

    def connect(self, company: str) -> None:
        """A person connects the company, or connects it anew, as the callback does."""
        client_id, portal, world = f"APP{company}", self.xero.portal, self.xero
        if client_id not in portal.apps:
            organisation = world.add_organisation(
                {"name": f"Organisation of {company}", "id": f"ORG{company}"}
            )
            world.add_user({"email": f"{company}@example.com", "organisations": [organisation.id]})
            given = {"name": company, "client_id": client_id, "redirect_uris": [REDIRECT], "certified": True}
            secret = portal.generate_secret(portal.register(given, self.clock.now()))
            self.adapters.apps.save(company, App(client_id, secret))
        user = world.user_with_email(f"{company}@example.com")
        assert user is not None
        if self.chance.random() < 0.5:
            # disconnected in Xero first: the tokens of the earlier consent end
            world.identity.revoke_all(client_id, user.id)
        asked = {"response_type": "code", "client_id": client_id, "redirect_uri": REDIRECT, "scope": SCOPES}
        answer = world.identity.allow(
            world.identity.authorize_request(urlencode(asked)), user, [f"ORG{company}"]
        )
        code = parse_qs(urlsplit(answer).query)["code"][0]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "client_id": client_id,
        }
        granted: Any = world.identity.token(
            form | {"client_secret": portal.apps[client_id].secret or ""}, None
        ).reply.payload
        tokens = Tokens(
            granted["access_token"],
            granted["refresh_token"],
            self.clock.now() + timedelta(seconds=granted["expires_in"]),
            generation=1,
        )
        self.adapters.tokens.save(company, tokens)
        before = self.adapters.connections.connection(company)
        worked_at = before.worked_at if before else None
        self.adapters.connections.save_connection(
            Connection(company, client_id, f"ORG{company}", company, "connected", worked_at=worked_at)
        )
        bearer = world.identity.bearer(f"Bearer {tokens.access_token}")
        assert bearer is not None
        self.consents[company] = bearer.auth_event_id

    # --- perils

    def before(self, call: str, key: str) -> None:
        weather, dice = self.weather, self.chance.random
        self.perils.get("before", nobody)(call, key)
        if weather is CALM or self._deep:
            return
        found = COMPANY.search(key)
        company = found.group() if found else ""
        if company and dice() < weather.second_start:
            self._meanwhile("second start", lambda: token_renewal.renew(self.adapters, company))
        if company and dice() < weather.reconnect:
            self._meanwhile("reconnect", lambda: self.connect(company))
        if dice() < weather.crash:
            self._kill()
        throttled = self.clock.now() < self._throttled_until
        if call != "refresh" and (throttled or dice() < weather.throttle):
            if not throttled and dice() < 0.2:
                self._throttled_until = self.clock.now() + timedelta(seconds=self.chance.uniform(1, 15))
            self.met["throttle"] += 1
            raise refused(call, "ThrottlingException")

    def after(self, call: str, key: str) -> None:
        self.perils.get("after", nobody)(call, key)
        if self.weather is CALM or self._deep:
            return
        if self.chance.random() < self.weather.crash:
            self._kill()
        if call != "refresh" and self.chance.random() < self.weather.lost_answer:
            self.met["lost answer of a store"] += 1
            raise ReadTimeoutError(endpoint_url="https://aws.example.com")

    def after_no_answer(self) -> None:
        """The process may as well have ended while it waited for Xero."""
        if self.weather is not CALM and self.chance.random() < 0.3:
            self._kill()

    def _lag(self) -> timedelta:
        return timedelta(seconds=self.chance.uniform(0, self.weather.lag) if self.weather.lag else 0)

    def _repeats(self) -> bool:
        if self._deep or not self.weather.repeated or self.chance.random() >= self.weather.repeated:
            return False
        self.met["repeated call"] += 1
        return True

    def _kill(self) -> None:
        self.met["crash"] += 1
        raise Killed

    def _meanwhile(self, what: str, other: Callable[[], Any]) -> None:
        """Another process comes in between, at this very step, and gets through."""
        self.met[what] += 1
        self._deep = True
        try:
            other()
        except Exception as error:  # noqa: BLE001 what another process meets is its own
            self.met[f"{what} ended by {type(error).__name__}"] += 1
        finally:
            self._deep = False

    def survive(self, call: Callable[[], Any]) -> Any:
        """Run it as a process of its own: if it dies, it dies alone."""
        try:
            return call()
        except Killed:
            return token_renewal.RenewalResult("", "failed", "killed")

    # --- the week

    def run(self, days: float, at_work: Callable[[int], bool]) -> None:
        faults = {"slow_commit": self.coming.late, **dict.fromkeys(IDENTITY_FAULTS, self.coming.identity)}
        for kind, probability in faults.items():
            fault = {
                "kind": kind,
                "path_prefix": "/connect/token",
                "probability": probability,
                "seconds": 100,
            }
            self.xero.faults.add(fault | {"seed": self.chance.random()})
        self.weather = self.coming
        self.dynamodb.chance = self.chance if self.coming.repeated else None
        end = self.clock.now() + timedelta(days=days)
        working = [company for number, company in enumerate(self.companies) if at_work(number)]
        tick_at = self.clock.now()
        while tick_at < end:
            tick_at += TICK
            self.move_to(tick_at)
            self.survive(self._tick)
            self._post(working)
            self._open_settings()
            if self.chance.random() < self._stops() and not self.tokens_with_nobody():
                self.met["schedule stopped"] += 1
                tick_at += timedelta(minutes=self.chance.uniform(35, 90))
        self.weather = CALM
        self.dynamodb.chance = None
        self.xero.faults.remove()
        for _ in range(24):
            tick_at += TICK
            self.move_to(tick_at)
            self._tick()

    def _tick(self) -> None:
        try:
            token_renewal.renew_due(self.adapters)
        except Exception as error:  # noqa: BLE001 the function ends with an error, and begins anew at the next tick
            self.met[f"tick ended by {type(error).__name__}"] += 1

    def _post(self, working: Sequence[str]) -> None:
        """Posting works for a connection now and then, and asks for tokens where they run out."""
        calm, self.weather = self.weather, CALM
        asking = []
        for company in working:
            if self.chance.random() < 0.05:
                self.adapters.connections.note_work(company, self.clock.now())
            tokens = self.adapters.tokens.read(company)
            if tokens is not None and tokens.expires_at - self.clock.now() < timedelta(minutes=1):
                asking.append(company)
        self.weather = calm
        for company in asking:
            self.survive(lambda company=company: self._ask(company))  # type: ignore[misc]

    def _open_settings(self) -> None:
        """A person looks at lists from Xero, and asks again and again until they come."""
        if self.chance.random() < self.coming.visits:
            company = self.chance.choice(self.companies)
            for _ in range(4):
                self.survive(lambda: self._ask(company))
                self.clock.advance(20)

    def _ask(self, company: str) -> None:
        try:
            token_renewal.renew(self.adapters, company)
        except Exception as error:  # noqa: BLE001 posting does not wait for the answer
            self.met[f"request ended by {type(error).__name__}"] += 1

    def _stops(self) -> float:
        """The schedule stops more readily when some process has just ended between staging and promoting."""
        return 0.3 if self.coming.away and self._staged() else self.coming.away

    def _staged(self) -> bool:
        for versions in self.secrets._secrets.values():
            if any(one.stages == {"AWSPENDING"} for one in versions.values()):
                return True
        return False

    def tokens_with_nobody(self) -> bool:
        """Whether Xero issued tokens that no store has, so that its half hour's grace is running."""
        calm, self.weather = self.weather, CALM
        try:
            for company in self.companies:
                current = self.adapters.tokens.current(company)
                staged = self.adapters.tokens._version(company, "AWSPENDING")
                last = staged if staged and current and staged.replaces == current.id else current
                token_set = self.xero.identity._token_sets[self.consents[company]]
                token = token_set.refresh_tokens.get(last.tokens.refresh_token) if last else None
                if token is None or token.used_at is not None:
                    return True
        finally:
            self.weather = calm
        return bool(self.xero._due)

    def move_to(self, moment: datetime) -> None:
        if moment > self.clock.now():
            self.clock.advance((moment - self.clock.now()).total_seconds())


@dataclass
class Report:
    """What the auditor found."""

    companies: int
    dead: dict[str, str] = field(default_factory=dict)
    calls: int = 0
    faults: int = 0
    """Faults that were met, whoever brought them."""
    most_versions_a_day: int = 0
    most_in_flight: int = 0
    met: Counter[str] = field(default_factory=Counter)

    @property
    def alive(self) -> int:
        return self.companies - len(self.dead)

    def __str__(self) -> str:
        met = ", ".join(f"{count} {what}" for what, count in self.met.most_common(12))
        return (
            f"{self.alive}/{self.companies} alive, {self.calls} token calls, at most {self.most_versions_a_day} "
            f"versions a day and {self.most_in_flight} call in flight; met {met}"
        )


def audit(storm: Storm) -> Report:
    """Alive is: connected, with the tokens of the newest consent, which Xero takes for new ones now and in a day."""
    report = Report(len(storm.companies), most_in_flight=storm.most_in_flight, met=storm.met)
    report.calls = sum(entry.path == "/connect/token" for entry in storm.xero.log.entries)
    report.faults = sum(count for what, count in storm.met.items() if " ended by " not in what)
    report.faults += sum(bool(entry.fault) for entry in storm.xero.log.entries)
    report.most_versions_a_day = max(map(most_in_a_day, storm.secrets.staged.values()), default=0)
    for _ in range(2):
        storm.clock.advance(timedelta(hours=24).total_seconds())
        for company in storm.companies:
            if company not in report.dead and (why := _ailment(storm, company)):
                report.dead[company] = why
    return report


def _ailment(storm: Storm, company: str) -> str:
    connection = storm.adapters.connections.connection(company)
    if connection is None or connection.status != "connected":
        return f"status {connection and connection.status}"
    token_renewal.renew(storm.adapters, company)
    tokens = storm.adapters.tokens.read(company)
    bearer = storm.xero.identity.bearer(f"Bearer {tokens.access_token}" if tokens else None)
    if bearer is None or bearer.revoked:
        return "its access token is nobody's"
    if bearer.auth_event_id != storm.consents[company]:
        return "the tokens are of an earlier consent"
    return "" if bearer.expires_at > storm.clock.now() else "the tokens can't be renewed"


def most_in_a_day(moments: Sequence[datetime]) -> int:
    """The most of the moments that any 24 hours hold."""
    most = first = 0
    for place, moment in enumerate(moments):
        while moment - moments[first] >= timedelta(hours=24):
            first += 1
        most = max(most, place - first + 1)
    return most


def storm_over(
    companies: int, days: float, model: ProviderModel, seed: int, weather: Weather | None = None
) -> Report:
    """One storm: two of five connections are at work all the time."""
    storm = Storm(companies, model, seed, weather)
    storm.run(days, at_work=lambda number: number % 5 < 2)
    return audit(storm)


# --- mutants: weakened copies; where another defence would hide what was taken away, that one is off as well

Mutant = Callable[[], AbstractContextManager[None]]


def _no_relatives() -> Any:
    return patch.object(token_renewal._Renewal, "_relative", lambda *_: None)


@contextmanager
def no_lease() -> Iterator[None]:
    def taken(table: ConnectionsTable, company: str, now: datetime, lease: timedelta) -> Renewal:
        table.plan_renewal(company, now + lease)
        item = read(table._table, pk=f"connection#{company}", sk="renewal")
        assert item is not None
        return Renewal(company, int(item["fencing"]))

    with patch.object(ConnectionsTable, "take_renewal", taken), _no_relatives():
        yield


@contextmanager
def lease_that_ends_with_the_call() -> Iterator[None]:
    with _times(Times(lease=Times().call_time_out)):
        yield


@contextmanager
def same_token_again_at_once() -> Iterator[None]:
    with _times(Times(late_commit=timedelta(0))):
        yield


@contextmanager
def _times(times: Times) -> Iterator[None]:
    def adapters(storm: Storm) -> RenewalAdapters:
        real: RenewalAdapters = storm.__dict__["real_adapters"]
        return replace(real, times=times)

    def set_adapters(storm: Storm, adapters: RenewalAdapters) -> None:
        storm.__dict__["real_adapters"] = adapters

    with patch.object(Storm, "adapters", property(adapters, set_adapters), create=True):
        yield


@contextmanager
def no_staging() -> Iterator[None]:
    def stage(store: TokenSecret, company: str, tokens: Tokens, replaces: str) -> str:
        store.save(company, tokens)
        return "written at once"

    with (
        patch.object(TokenSecret, "stage", stage),
        patch.object(TokenSecret, "promote", lambda *_, **__: True),
    ):
        yield


@contextmanager
def staged_tokens_thrown_away() -> Iterator[None]:
    with patch.object(TokenSecret, "pending", lambda *_: None):
        yield


@contextmanager
def first_invalid_grant_believed() -> Iterator[None]:
    def lose(
        table: ConnectionsTable, _: Renewal, connection: Connection, status: str, at: datetime
    ) -> datetime:
        table.lose_connection(connection, status, at)
        return at

    with (
        patch.object(token_renewal._Renewal, "_other", lambda *_: None),
        patch.object(ConnectionsTable, "lose_renewed", lose),
    ):
        yield


@contextmanager
def unsettled_forgotten() -> Iterator[None]:
    real = ConnectionsTable.take_renewal

    def taken(table: ConnectionsTable, company: str, now: datetime, lease: timedelta) -> Renewal | None:
        renewal = real(table, company, now, lease)
        return renewal and replace(renewal, unsettled=False)

    with patch.object(ConnectionsTable, "take_renewal", taken):
        yield


@contextmanager
def promoted_without_comparing() -> Iterator[None]:
    real = TokenSecret.promote

    def promote(store: TokenSecret, company: str, version: str, replaces: str) -> bool:
        current = store.current(company)
        return real(store, company, version, current.id if current else replaces)

    with patch.object(TokenSecret, "promote", promote):
        yield


MUTANTS: dict[str, tuple[Mutant, Weather]] = {
    mutant.__name__: (mutant, weather)
    for mutant, weather in (
        (no_lease, SECOND_STARTS),
        (lease_that_ends_with_the_call, LATE_ANSWERS),
        (same_token_again_at_once, LATE_ANSWERS),
        (unsettled_forgotten, LATE_ANSWERS),
        (staged_tokens_thrown_away, ENDS),
        (no_staging, RECONNECTS),
        (promoted_without_comparing, RECONNECTS),
        (first_invalid_grant_believed, RECONNECTS),
    )
}
"""Each with the weather that asks for what it lacks."""


WEATHERS = {
    "second starts": SECOND_STARTS,
    "late answers": LATE_ANSWERS,
    "ends": ENDS,
    "reconnects": RECONNECTS,
}


# --- promise P5, in full


def stormed(
    companies: int, days: float, models: Sequence[ProviderModel], weather: Weather | None = None
) -> Outcome:
    """What became of the connections under each model of the provider."""
    return sum((_survived(companies, days, model, weather) for model in models), Outcome(runs=0))


def _survived(companies: int, days: float, model: ProviderModel, weather: Weather | None) -> Outcome:
    report = storm_over(companies, days, model, SEED, weather)
    where = f"seed {SEED}, {model}"
    bad = [f"{where}: {company}: {why}" for company, why in report.dead.items()]
    beyond = report.most_in_flight > 1 or report.most_versions_a_day > VERSIONS_A_DAY
    if beyond:
        bad.append(f"{where}: {report}")
    outcome = Outcome(
        faults=report.faults,
        lost=len(report.dead),
        unexpected=int(beyond),
        bad=bad,
        figures=Counter({"connections": companies, "token calls": report.calls}),
    )
    if weather is None:
        outcome.said.append(
            f"{model}: {report.alive} of {companies} alive after {days:g} days,"
            f" at most {report.most_versions_a_day} versions a day (at most {VERSIONS_A_DAY})"
        )
    return outcome


def mutant_tried(name: str, companies: int, days: float, seeds: int) -> Outcome:
    """Whether the mutant loses a connection in one of the storms."""
    mutant, weather = MUTANTS[name]
    with mutant():
        caught = any(
            storm_over(companies, days, model, seed, weather).dead
            for seed, model in product(range(seeds * SEED, seeds * (SEED + 1)), PROVIDER_MODELS)
        )
    bad = [] if caught else [f"mutant {name}: not caught by {seeds} seeds"]
    return Outcome(mutants=1, caught=int(caught), bad=bad)


def jobs(promise: str) -> list[Job]:
    """A week under each model, the mutants, and the real code in the weather of each mutant."""
    weeks = [
        Job(promise, f"300 connections, 7 days, {model}", partial(stormed, 300, 7, [model]), 50)
        for model in PROVIDER_MODELS
    ]
    controls = [
        Job(promise, f"40 connections, 2 days, {name}", partial(stormed, 40, 2, PROVIDER_MODELS, weather), 10)
        for name, weather in WEATHERS.items()
    ]
    mutants = [
        Job(promise, f"mutant {name}", partial(mutant_tried, name, 30, 2, seeds=9), 5) for name in MUTANTS
    ]
    return [*weeks, *controls, *mutants]

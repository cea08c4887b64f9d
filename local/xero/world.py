"""The world: everything the simulated Xero knows, its clock and its dice. One seed, one run."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from local.xero.changes import CHANGES
from local.xero.clock import Clock, VirtualClock
from local.xero.connections import Connections
from local.xero.faults import Faults
from local.xero.idempotency import IdempotencyKeys
from local.xero.identity import PROVIDER_MODELS, AuthorizeRequest, Identity
from local.xero.limits import RateLimits
from local.xero.money import Ties
from local.xero.organisations import Organisation, new_organisation
from local.xero.portal import App, Portal
from local.xero.truth_log import TruthLog
from local.xero.unconfirmed import Unconfirmed
from local.xero.users import User
from local.xero.wire import Json

ALL_SCOPES = "openid profile email offline_access accounting.invoices accounting.contacts accounting.settings"

_as_of: ContextVar[datetime | None] = ContextVar("as_of", default=None)
_client_waits_until: ContextVar[datetime | None] = ContextVar("client_waits_until", default=None)


class ClientGoneError(Exception):
    """The caller has stopped waiting, and Xero is still busy."""


class World:
    """All state. Whoever reads or changes it holds `lock`; nobody sleeps holding it."""

    def __init__(self, clock: Clock | None = None, seed: int = 0, *, demo: bool = True) -> None:
        self.clock: Clock = clock or VirtualClock()
        self.seed = seed
        self.demo = demo
        self.answer_seconds: Callable[[str, bytes], float] = lambda method, body: 0.0
        """How long a call that was let in takes, by its method and body."""
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """Forget everything but the time of the clock."""
        self.dice = random.Random(self.seed)
        self.unconfirmed = Unconfirmed()
        self.log = TruthLog()
        self.faults = Faults()
        self.limits = RateLimits()
        self.idempotency = IdempotencyKeys()
        self.portal = Portal(self.dice)
        self.connections = Connections()
        self.users: dict[str, User] = {}
        self.organisations: dict[str, Organisation] = {}
        self.identity = Identity(
            self.now,
            self.dice,
            portal=self.portal,
            connections=self.connections,
            users=self.users,
            unconfirmed=self.unconfirmed,
        )
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = itertools.count()
        if self.demo:
            self._add_demo()

    def _add_demo(self) -> None:
        names = (
            ("UK", "Demo Company (UK)"),
            ("AU", "Demo Company (AU)"),
            ("NZ", "Demo Company (NZ)"),
            ("US", "Demo Company (US)"),
            ("UK", "Marlow Print Works Ltd"),
        )
        made = [self.add_organisation({"country": country, "name": name}) for country, name in names]
        for organisation in made[:4]:
            organisation.is_demo = True
        self.add_user(
            {
                "email": "ada@example.com",
                "first_name": "Ada",
                "last_name": "Moore",
                "password": "demo",
                "organisations": [organisation.id for organisation in made],
            }
        )
        self.add_user(
            {
                "email": "ben@example.com",
                "first_name": "Ben",
                "last_name": "Okafor",
                "password": "demo",
                "organisations": [made[4].id],
            }
        )

    # Time

    def now(self) -> datetime:
        return _as_of.get() or self.clock.now()

    def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than the caller waits; then raises ClientGoneError."""
        until = _client_waits_until.get()
        if until is not None and self.clock.now() + timedelta(seconds=seconds) > until:
            self.clock.sleep(max(0.0, (until - self.clock.now()).total_seconds()))
            raise ClientGoneError
        self.clock.sleep(seconds)

    @contextmanager
    def client_patience(self, seconds: float | None) -> Iterator[None]:
        """In this block, nobody sleeps past the time-out of an in-process client."""
        until = None if seconds is None else self.clock.now() + timedelta(seconds=seconds)
        token = _client_waits_until.set(until)
        try:
            yield
        finally:
            _client_waits_until.reset(token)

    def defer(self, seconds: float, job: Callable[[], None]) -> None:
        """Have a job done that many seconds from now, whether or not anybody still waits for it."""
        with self.lock:
            due_at = self.now() + timedelta(seconds=seconds)
            heapq.heappush(self._due, (due_at, next(self._order), job))

    def run_due(self) -> None:
        """Do what has become due, each job at its own moment. Every call does this before anything else."""
        with self.lock:
            while self._due and self._due[0][0] <= self.clock.now():
                due_at, _, job = heapq.heappop(self._due)
                token = _as_of.set(due_at)
                try:
                    job()
                finally:
                    _as_of.reset(token)

    # Chance and identity

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.dice.getrandbits(128), version=4))

    def ties(self, organisation: Organisation) -> Ties:
        if organisation.tie_rounding:
            return organisation.tie_rounding
        return "half_even" if self.unconfirmed["tie_rounding"] == "half_even" else "half_up"

    # Building

    def add_organisation(self, given: Json) -> Organisation:
        """From `country` (UK, AU, NZ, US), `name`, `id`, `users`, and what `change_organisation` takes."""
        country = given.get("country", "UK")
        with self.lock:
            name = str(given.get("name") or f"Organisation {len(self.organisations) + 1}")
            organisation = new_organisation(country, name, self.dice, self.now())
            organisation.id = str(given.get("id") or organisation.id)
            self.organisations[organisation.id] = organisation
            for wanted in given.get("users", []):
                for user in self.users.values():
                    if wanted in (user.id, user.email):
                        user.tenant_ids.append(organisation.id)
            self.change_organisation(
                organisation,
                {key: value for key, value in given.items() if key not in {"country", "name", "id", "users"}},
            )
            return organisation

    def add_user(self, given: Json) -> User:
        with self.lock:
            user = User(
                id=str(given.get("id") or self.new_id()),
                email=str(given["email"]),
                first_name=str(given.get("first_name", "")),
                last_name=str(given.get("last_name", "")),
                password=str(given.get("password", "demo")),
                tenant_ids=list(given.get("organisations", [])),
            )
            self.users[user.id] = user
            return user

    def user_with_email(self, email: str) -> User | None:
        wanted = email.strip().casefold()
        return next((user for user in self.users.values() if user.email.casefold() == wanted), None)

    def organisation(self, wanted: str) -> Organisation | None:
        """By id or by short code, with or without its exclamation mark."""
        if wanted in self.organisations:
            return self.organisations[wanted]
        code = wanted.lstrip("!")
        return next((one for one in self.organisations.values() if one.short_code.lstrip("!") == code), None)

    def change_organisation(self, organisation: Organisation, given: Json) -> None:
        """Apply changes to an organisation's facts. Raises ValueError for a key or value it doesn't know."""
        for key, value in given.items():
            if key not in CHANGES:
                raise ValueError(f"an organisation has no {key}")
            CHANGES[key](self, organisation, value)

    def consent(self, app: App, user: User, tenant_ids: list[str], scopes: str = ALL_SCOPES) -> Json:
        """A token set as after a consent of that user in a browser, for programs without one."""
        with self.lock:
            request = AuthorizeRequest(app.client_id, app.redirect_uris[0], tuple(scopes.split()), None, None)
            query = parse_qs(urlsplit(self.identity.allow(request, user, tenant_ids)).query)
            form = {
                "grant_type": "authorization_code",
                "code": query["code"][0],
                "redirect_uri": app.redirect_uris[0],
                "client_id": app.client_id,
                "client_secret": app.secret or "",
            }
            tokens: Json = self.identity.token(form, None).reply.payload
            return tokens

    def choose_provider_model(self, model: str) -> None:
        for known in PROVIDER_MODELS:
            if model == known:
                self.identity.provider_model = known
                return
        raise ValueError(f"no such provider model: {model!r}; there are {', '.join(PROVIDER_MODELS)}")

    def load(self, seed: Json) -> None:
        """Add what a seed file lists: `users`, `organisations`, `apps`, `unconfirmed`, `provider_model`."""
        with self.lock:
            for given in seed.get("users", []):
                self.add_user(given)
            for given in seed.get("organisations", []):
                self.add_organisation(given)
            for given in seed.get("apps", []):
                app = self.portal.register(given, self.now())
                if app.secret is None:
                    self.portal.generate_secret(app)
            for name, answer in seed.get("unconfirmed", {}).items():
                self.unconfirmed.choose(name, answer)
            if "provider_model" in seed:
                self.choose_provider_model(seed["provider_model"])

    def utc(self, text: str) -> datetime:
        """A moment of a control's JSON; without a zone it is UTC."""
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)

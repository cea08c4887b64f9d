"""The settings popup in one process: real handlers on real HTTP API events, with a browser's cookies and headers.

The functions run as they are, against moto and the simulated Xero; their clock and queue are the world's.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import uuid
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

from bookkeeping.adapters.functions import RefreshRequests, XeroDesk
from bookkeeping.adapters.queues import PostingQueue
from bookkeeping.adapters.secrets import AppSecret, LaunchKey, TokenSecret
from bookkeeping.adapters.tables.authorizations import AuthorizationsTable
from local.xero.in_process import InProcess
from local.xero.organisations import Organisation
from local.xero.portal import App
from local.xero.server import create_app
from tests.canaries import watch
from tests.grants import note_invocation
from tests.integration.one_function import cold_start
from tests.integration.one_process import PREFIX, XERO, OneProcess
from tests.storms.secrets_manager import SecretsManager

DOMAIN = "abc123.execute-api.eu-west-2.amazonaws.com"
ORIGIN = f"https://{DOMAIN}"
PLATFORM = "https://platform.example.com"
ISSUER, AUDIENCE = "kornitx", PREFIX
LAUNCH_KEY = "canary-launch-key-0123456789-0123456789-0123456789"
ENVIRONMENT = {
    "ORDERS_TABLE": "OrdersTable",
    "SETTINGS_TABLE": "SettingsTable",
    "CONNECTIONS_TABLE": "ConnectionsTable",
    "AUTHORIZATIONS_TABLE": "AuthorizationsTable",
    "POSTING_QUEUE_URL": "posting",
    "EVENT_BUS": "bus",
    "SECRETS_PREFIX": PREFIX,
    "LAUNCH_KEY": f"{PREFIX}/launch",
    "LAUNCH_ISSUER": ISSUER,
    "LAUNCH_AUDIENCE": AUDIENCE,
    "LAUNCH_ORIGINS": f"https://other.example.com,{PLATFORM}",
    "XERO_LOGIN_URL": XERO,
    "XERO_IDENTITY_URL": XERO,
    "XERO_API_URL": XERO,
    "XERO_PORTAL_URL": "",
    "HELP_URL": "https://help.example.com/xero",
    "XERO_WEB_URL": XERO,
    "PUBLIC_URL": "",
    "MAIL_FROM": "xero@kornitx.example",
    "XERO_DESK_FUNCTION": "xero_desk",
    "TOKEN_REFRESH_FUNCTION": "token_refresh",
    "WAITS_SCALE": "1",
    "POWERTOOLS_METRICS_NAMESPACE": "test",
    "POWERTOOLS_SERVICE_NAME": "test",
    "POWERTOOLS_LOG_LEVEL": "DEBUG",
}


@cache
def load(function: str) -> ModuleType:
    """A function's module, made once, as a warm environment keeps it."""
    return cold_start(function, ENVIRONMENT)


class Functions:
    """Lambda's client: invokes the functions that have no route."""

    def __init__(self, handlers: Mapping[str, Callable[[Any], Any]]) -> None:
        self._handlers = handlers

    def invoke(self, FunctionName: str, Payload: str, InvocationType: str = "RequestResponse") -> Any:  # noqa: N803
        watch.see(f"invocation of {FunctionName}", Payload)
        note_invocation(FunctionName)
        answer = self._handlers[FunctionName](json.loads(Payload))
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


def context() -> Any:
    return SimpleNamespace(
        function_name="test",
        memory_limit_in_mb=512,
        invoked_function_arn="arn:aws:lambda:eu-west-2:123456789012:function:test",
        aws_request_id=str(uuid.uuid4()),
        get_remaining_time_in_millis=lambda: 29000,
    )


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"]["code"])


def _tables(world: OneProcess, adapters: Any) -> dict[str, Any]:
    """The world's tables that the adapters have a place for."""
    names = {field.name for field in fields(adapters)}
    tables = {name: getattr(world, name, None) for name in names}
    tables["authorizations"] = AuthorizationsTable(world.resource, "AuthorizationsTable")
    return {
        name: table for name, table in tables.items() if name in names and "tables" in type(table).__module__
    }


class Popup:
    """The functions behind the HTTP API, in a world."""

    def __init__(self, world: OneProcess) -> None:
        self.world = world
        # moto is wrong about a secret that is written after a version of it was promoted
        world.secrets = SecretsManager(world.clock.now)
        world.secrets.create_secret(Name=f"{PREFIX}/launch", SecretString=LAUNCH_KEY)
        apps, tokens = AppSecret(world.secrets, PREFIX), TokenSecret(world.secrets, PREFIX)
        self.page, self.callback, self.desk, self.refresh = (
            load(name) for name in ("settings_page", "oauth_callback", "xero_desk", "token_refresh")
        )
        now, queue = world.clock.now, PostingQueue(world.queue, "posting")
        functions = Functions(
            {
                "xero_desk": lambda event: self.desk.handler(event, context()),
                "token_refresh": lambda event: self.refresh.handler(event, context()),
            }
        )
        page = self.page
        for module in (self.page, self.callback, self.desk, self.refresh):
            module.adapters = replace(module.adapters, **_tables(world, module.adapters))  # type: ignore[attr-defined]
        callback_adapters = self.callback.callback_adapters
        callback_adapters = replace(callback_adapters, **_tables(world, callback_adapters))
        page.authorizations = AuthorizationsTable(world.resource, "AuthorizationsTable")  # type: ignore[attr-defined]
        page.launch_key = LaunchKey(world.secrets, f"{PREFIX}/launch", now)  # type: ignore[attr-defined]
        page.desk = XeroDesk(functions, "xero_desk")  # type: ignore[attr-defined]
        page.adapters = replace(  # type: ignore[attr-defined]
            page.adapters, apps=apps, wake_ups=queue, events=world.events, ask=page.desk.ask, now=now
        )
        self.callback.adapters = replace(self.callback.adapters, wake_ups=queue, now=now)  # type: ignore[attr-defined]
        self.callback.callback_adapters = replace(callback_adapters, apps=apps, tokens=tokens)  # type: ignore[attr-defined]
        renewals = RefreshRequests(functions, "token_refresh")
        world.posting = replace(world.posting, tokens=tokens, renew_token=renewals.send)
        self.desk.adapters = replace(  # type: ignore[attr-defined]
            self.desk.adapters, tokens=tokens, renew_token=renewals.wait_for, now=now
        )
        self.refresh.adapters = replace(  # type: ignore[attr-defined]
            self.refresh.adapters,
            apps=apps,
            tokens=tokens,
            events=world.events,
            now=now,
            sleep=world.clock.sleep,
            together=lambda calls: [call() for call in calls],
            chance=world.chance,
        )
        adapter = InProcess(create_app(world.xero), world.xero)
        identities = (self.callback.callback_adapters.identity, self.refresh.adapters.identity)
        for session in (self.desk.adapters.xero.session, *(identity.session for identity in identities)):
            session.mount(XERO, adapter)
        self._once = itertools.count(1)
        self.answers: list[Any] = []

    # as API Gateway

    def request(self, method: str, target: str, **parts: Any) -> Answer:
        return self.send(http_event(method, target, **parts))

    def send(self, event: dict[str, Any]) -> Answer:
        module = self.callback if event["rawPath"].startswith("/xero/") else self.page
        with patch.dict(os.environ, ENVIRONMENT), warnings.catch_warnings():
            # in one process the functions share what Powertools keeps of their metrics
            warnings.filterwarnings("ignore", "No application metrics to publish")
            answer = module.handler(json.loads(json.dumps(event)), context())
        self.answers.append(answer)
        # the runtime makes JSON of it
        answer = json.loads(json.dumps(answer))
        headers = {name.lower(): value for name, value in answer.get("headers", {}).items()}
        for line in answer.get("cookies", ()):
            headers["set-cookie"] = line
        body = answer.get("body") or ""
        if answer.get("isBase64Encoded"):
            body = base64.b64decode(body).decode()
        return Answer(int(answer["statusCode"]), headers, body)

    # as the platform

    def token(self, *, signed_with: str = LAUNCH_KEY, **changes: Any) -> str:
        now = self.world.clock.now()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "user-1",
            "name": "Ada Moore",
            "company": "412077",
            "company_name": "Thistle & Thread",
            "exp": int((now + timedelta(minutes=5)).timestamp()),
            "jti": f"jti-{next(self._once)}",
        } | changes
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None}, signed_with, "HS256"
        )

    def launch(self, token: str) -> Answer:
        return self.request(
            "POST",
            "/launch",
            body=urlencode({"token": token}),
            headers={
                "content-type": "application/x-www-form-urlencoded",
                "origin": PLATFORM,
            },
        )

    def browser(
        self, company: str = "412077", user: str = "user-1", name: str = "Ada Moore", **claims: Any
    ) -> Browser:
        """Somebody's browser with the popup open."""
        answer = self.launch(self.token(**{"company": company, "sub": user, "name": name} | claims))
        assert answer.status == 303, answer
        return Browser(self, company, answer.headers["set-cookie"].partition(";")[0])

    def tick(self) -> None:
        """Five minutes later, the schedule of token_refresh."""
        self.world.clock.advance(300)
        self.refresh.handler({}, context())

    def token_calls(self) -> int:
        return sum(entry.path == "/connect/token" for entry in self.world.xero.log.entries)


@dataclass
class Browser:
    popup: Popup
    company: str
    cookie: str = field(repr=False)

    def get(self, path: str, **query: str) -> Answer:
        target = f"/api/{self.company}/{path}" + (f"?{urlencode(query)}" if query else "")
        return self.popup.request(
            "GET", target, cookies=[self.cookie], headers={"sec-fetch-site": "same-origin"}
        )

    def write(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"origin": ORIGIN, "sec-fetch-site": "same-origin", "content-type": "application/json"}
        text = None if body is None else json.dumps(body)
        return self.popup.request(
            method, f"/api/{self.company}/{path}", cookies=[self.cookie], headers=headers, body=text
        )

    def put(self, path: str, body: Any) -> Answer:
        return self.write("PUT", path, body)

    def post(self, path: str, body: Any = None) -> Answer:
        return self.write("POST", path, {} if body is None else body)

    def delete(self, path: str) -> Answer:
        return self.write("DELETE", path)

    # the way to Xero and back

    def app(self) -> App:
        """The company's own Xero app, made in the portal and entered in the popup."""
        world = self.popup.world
        client_id = f"APP{self.company:0>29}"
        redirect = f"{ORIGIN}/xero/callback/{self.company}"
        app = world.xero.portal.apps.get(client_id) or world.xero.portal.register(
            {
                "name": f"Orders of {self.company}",
                "client_id": client_id,
                "redirect_uris": [redirect],
                "certified": True,
            },
            world.clock.now(),
        )
        secret = app.secret or world.xero.portal.generate_secret(app)
        answer = self.put("credentials", {"client_id": client_id, "client_secret": secret})
        assert answer.status == 200, answer
        return app

    def authorization_url(self) -> str:
        answer = self.post("connect")
        assert answer.status == 200, answer
        return str(answer.json["authorization_url"])

    def consent(self, url: str, *organisations: Organisation) -> str:
        """Log in to Xero and allow access; the query that Xero sends the browser back with."""
        world = self.popup.world
        wanted = {organisation.id for organisation in organisations}
        user = next(user for user in world.xero.users.values() if wanted <= set(user.tenant_ids))
        identity = world.xero.identity
        answer = identity.allow(identity.authorize_request(urlsplit(url).query), user, sorted(wanted))
        return urlsplit(answer).query

    def come_back(self, query: str) -> str:
        """The outcome with which the callback sends the browser on."""
        answer = self.popup.request("GET", f"/xero/callback/{self.company}?{query}", cookies=[self.cookie])
        assert answer.status == 303, answer
        assert not answer.body
        location = urlsplit(answer.headers["location"])
        assert (location.scheme, location.netloc, location.path) == ("", "", f"/settings/{self.company}")
        return parse_qs(location.query)["connect"][0]

    def connect(self, *organisations: Organisation) -> str:
        return self.come_back(self.consent(self.authorization_url(), *organisations))

    def save(self, **settings: Any) -> Answer:
        version = self.get("settings").json["version"]
        return self.put("settings", {"version": version, "settings": settings})


def http_event(
    method: str,
    target: str,
    *,
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
    cookies: list[str] | None = None,
) -> dict[str, Any]:
    """An event as an HTTP API sends it, payload format 2.0."""
    path, _, query = target.partition("?")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": DOMAIN, "user-agent": "test", **(headers or {})},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": DOMAIN,
            "domainPrefix": "abc123",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "test",
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "22/Nov/2026:12:00:00 +0000",
            "timeEpoch": 1795348800000,
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = {
            name: ",".join(values) for name, values in parse_qs(query, True).items()
        }
    if body is not None:
        form = (headers or {}).get("content-type", "").startswith("application/x-www-form-urlencoded")
        event["body"] = base64.b64encode(body.encode()).decode() if form else body
        event["isBase64Encoded"] = form
    return event

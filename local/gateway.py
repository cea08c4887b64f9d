"""The HTTP API on this machine: what API Gateway does between a browser and a function, as AWS documents it."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from local.expand import Template, function_of
from local.triggers import TooManyAtOnce

logger = logging.getLogger("local")

Invoke = Callable[[str, bytes], tuple[bool, bytes]]
"""Function and payload in; whether the invocation succeeded, and what it answered, out. May raise TooManyAtOnce."""

BODY_AT_MOST = 10 * 1024 * 1024
PAYLOAD_AT_MOST = 6 * 1024 * 1024
TEXT = re.compile(r"text/|application/(json|javascript|xml|[\w.-]+\+(json|xml))", re.IGNORECASE)
ANY = "x-amazon-apigateway-any-method"


@dataclass(frozen=True)
class Route:
    method: str
    """`GET`, or `ANY`."""
    path: str
    """`/api/{company}/orders`, or `$default`."""
    function: str
    rate: float = float("inf")
    """How many requests a second go through."""
    burst: int = 0
    """How many go through at once."""

    @property
    def key(self) -> str:
        return self.path if self.path == "$default" else f"{self.method} {self.path}"

    def parameters(self, method: str, path: str) -> dict[str, str] | None:
        """The values in a path that this route answers; None for one it does not."""
        if self.method not in ("ANY", method):
            return None
        if self.path == "$default":
            return {}
        found = _pattern(self.path).fullmatch(path)
        return {name: unquote(value) for name, value in found.groupdict().items()} if found else None

    def rank(self) -> tuple[bool, bool, int, bool]:
        """What is tried first: exact paths, then single parameters, then greedy ones, `$default` at last."""
        return self.path == "$default", "+}" in self.path, self.path.count("{"), self.method == "ANY"


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+\+?)\}", path)
    return re.compile(
        "".join(
            (
                f"(?P<{part.removesuffix('+')}>{'.+' if part.endswith('+') else '[^/]+'})"
                if place % 2
                else re.escape(part)
            )
            for place, part in enumerate(parts)
        )
    )


class Throttle:
    """A bucket of tokens: full at first, and filled again at a steady rate."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._at = float(burst), time.monotonic()
        self._lock = threading.Lock()

    def lets_through(self) -> bool:
        with self._lock:
            now = time.monotonic()
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


def routes(expanded: Template, scale: float = 1.0) -> list[Route]:
    """The routes of the template's HTTP APIs, in the order they are tried. With `scale`, seconds are that long."""
    resources = expanded["Resources"]

    def number(said: Any) -> float:
        if isinstance(said, dict):
            mapping, parameter, key = said["Fn::FindInMap"]
            said = expanded["Mappings"][mapping][expanded["Parameters"][parameter["Ref"]]["Default"]][key]
        return float(said)

    usual: dict[str, Any] = {}
    own: dict[str, dict[str, Any]] = {}
    for resource in resources.values():
        if resource["Type"] == "AWS::ApiGatewayV2::Stage":
            usual = resource["Properties"].get("DefaultRouteSettings", {})
            own = resource["Properties"].get("RouteSettings", {})

    def route(method: str, path: str, operation: Mapping[str, Any]) -> Route:
        plain = Route(method, path, _function(operation, resources))
        limits = usual | own.get(plain.key, {})
        if "ThrottlingRateLimit" not in limits:
            return plain
        rate, burst = number(limits["ThrottlingRateLimit"]), number(limits["ThrottlingBurstLimit"])
        return replace(plain, rate=rate / scale, burst=int(burst))

    found = [
        route("ANY" if method == ANY else method.upper(), path, operation)
        for resource in resources.values()
        if resource["Type"] == "AWS::ApiGatewayV2::Api"
        for path, operations in resource["Properties"]["Body"]["paths"].items()
        for method, operation in operations.items()
        if isinstance(operation, dict) and "x-amazon-apigateway-integration" in operation
    ]
    return sorted(found, key=Route.rank)


def _function(operation: Mapping[str, Any], resources: Mapping[str, Any]) -> str:
    uri = json.dumps(operation["x-amazon-apigateway-integration"]["uri"])
    found = re.search(r"/functions/\$\{(\w+)(\.Arn)?\}", uri)
    if not found:
        raise ValueError(f"an integration that is no function of the template: {uri}")
    return function_of({"Ref": found[1]}, resources)


def event(
    route: Route,
    path_parameters: Mapping[str, str],
    request: BaseHTTPRequestHandler,
    body: bytes,
) -> dict[str, Any]:
    """A request as an event in payload format 2.0."""
    address = urlsplit(request.path)
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name.lower()] = f"{headers[name.lower()]},{value}" if name.lower() in headers else value
    cookies = [cookie for cookie in headers.pop("cookie", "").split("; ") if cookie]
    query: dict[str, str] = {}
    for name, value in parse_qsl(address.query, keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    now = datetime.now(UTC)
    caller = request.client_address[0]
    # API Gateway encodes forms, too.
    is_text = bool(TEXT.match(headers.get("content-type", "text/")))
    found: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": unquote(address.path),
        "rawQueryString": address.query,
        "headers": headers | {"x-forwarded-for": caller, "x-forwarded-proto": "http"},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            # the address a browser sees, which a function may build links from
            "domainName": headers.get("host", "localhost"),
            "domainPrefix": "local",
            "http": {
                "method": request.command,
                "path": unquote(address.path),
                "protocol": request.request_version,
                "sourceIp": caller,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": uuid.uuid4().hex,
            "routeKey": route.key,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": bool(body) and not is_text,
    }
    if cookies:
        found["cookies"] = cookies
    if query:
        found["queryStringParameters"] = query
    if path_parameters:
        found["pathParameters"] = dict(path_parameters)
    if body:
        found["body"] = body.decode(errors="replace") if is_text else base64.b64encode(body).decode()
    return found


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def refusal(status: int, message: str) -> Answer:
    """What API Gateway itself answers."""
    return Answer(status, (("content-type", "application/json"),), json.dumps({"message": message}).encode())


def answer(returned: bytes) -> Answer:
    """What a function returned, as a browser gets it."""
    response = json.loads(returned or b"null")
    if not isinstance(response, dict) or "statusCode" not in response:
        return Answer(200, (("content-type", "application/json"),), json.dumps(response).encode())
    headers = {str(name).lower(): str(value) for name, value in (response.get("headers") or {}).items()}
    headers.setdefault("content-type", "text/plain; charset=utf-8")
    cookies = [("set-cookie", cookie) for cookie in response.get("cookies") or ()]
    body = response.get("body") or ""
    return Answer(
        int(response["statusCode"]),
        (*headers.items(), *cookies),
        base64.b64decode(body) if response.get("isBase64Encoded") else body.encode(),
    )


class GatewayServer(ThreadingHTTPServer):
    """An HTTP server for the routes on localhost; the caller runs and closes it."""

    daemon_threads = True

    def __init__(self, port: int, routes: Iterable[Route], invoke: Invoke) -> None:
        super().__init__(("127.0.0.1", port), _Gateway)
        self.routes = list(routes)
        self.throttles = {
            route.key: Throttle(route.rate, route.burst) for route in self.routes if route.burst
        }
        self.invoke = invoke


class _Gateway(BaseHTTPRequestHandler):
    """One connection to the gateway."""

    protocol_version = "HTTP/1.1"
    server: GatewayServer

    def respond(self) -> None:
        began = time.monotonic()
        given = self._answer()
        # a browser that has gone on to another page has closed the connection
        with contextlib.suppress(ConnectionError):
            self.send_response(given.status)
            for name, value in given.headers:
                self.send_header(name, value)
            self.send_header("content-length", str(len(given.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(given.body)
        # never the query: a code or a state may be in it
        path = urlsplit(self.path).path
        logger.info("%s %s: %d in %.2f s", self.command, path, given.status, time.monotonic() - began)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = respond

    def _answer(self) -> Answer:
        length = int(self.headers.get("content-length") or 0)
        if length > BODY_AT_MOST:
            self.close_connection = True
            return refusal(413, "Request Entity Too Large")
        body = self.rfile.read(length)
        for route in self.server.routes:
            parameters = route.parameters(self.command, urlsplit(self.path).path)
            if parameters is not None:
                throttle = self.server.throttles.get(route.key)
                if throttle and not throttle.lets_through():
                    return refusal(429, "Too Many Requests")
                return self._call(route, parameters, body)
        return refusal(404, "Not Found")

    def _call(self, route: Route, parameters: Mapping[str, str], body: bytes) -> Answer:
        payload = json.dumps(event(route, parameters, self, body)).encode()
        if len(payload) > PAYLOAD_AT_MOST:
            return refusal(413, "Request Entity Too Large")
        try:
            succeeded, returned = self.server.invoke(route.function, payload)
        except TooManyAtOnce:
            return refusal(503, "Service Unavailable")
        if not succeeded:
            return refusal(500, "Internal Server Error")
        try:
            return answer(returned)
        except (ValueError, TypeError, AttributeError):
            logger.warning("%s gave an answer that API Gateway cannot read", route.function)
            return refusal(500, "Internal Server Error")

    def log_message(self, format: str, *args: Any) -> None:
        """Logged in `respond`, without the query."""

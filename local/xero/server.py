"""The HTTP server: Xero's API behind the gate, the pages for people, and the controls."""

from __future__ import annotations

import http.client
from collections.abc import Iterable
from functools import cached_property
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from local.xero import consent, controls, pages, portal_pages
from local.xero.gate import Answer, Request, answer, answers_for
from local.xero.world import World


class SimulatedXero:
    """The WSGI app: one world, all of Xero's hosts."""

    def __init__(self, world: World) -> None:
        self.world = world

    @cached_property
    def site(self) -> Flask:
        """The pages and controls; most worlds of the tests are never asked for one."""
        site = Flask("local.xero", template_folder="templates")
        site.config["PROPAGATE_EXCEPTIONS"] = True
        for part in (consent, portal_pages, pages, controls):
            site.register_blueprint(part.blueprint(self.world))
        return site

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.world.run_due()
        path = _path(environ)
        if not answers_for(path):
            return self.site(environ, start_response)
        return _send(answer(self.world, _request(environ, path)), start_response)


def create_app(world: World) -> SimulatedXero:
    return SimulatedXero(world)


def _path(environ: WSGIEnvironment) -> str:
    return str(environ.get("PATH_INFO", "/")).encode("latin-1").decode("utf-8", "replace")


def _request(environ: WSGIEnvironment, path: str) -> Request:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return Request(
        method=environ["REQUEST_METHOD"],
        path=path,
        query_string=environ.get("QUERY_STRING", ""),
        headers=headers,
        body=environ["wsgi.input"].read(length) if length else b"",
        base_url=f"{environ['wsgi.url_scheme']}://{headers.get('host', 'localhost')}",
    )


def _send(reply: Answer, start_response: StartResponse) -> Iterable[bytes]:
    headers = {**reply.headers, "Content-Length": str(len(reply.body))}
    if reply.status == 204:
        headers = {name: value for name, value in headers.items() if not name.startswith("Content-")}
    reason = http.client.responses.get(reply.status, "Unknown")
    start_response(f"{reply.status} {reason}", list(headers.items()))
    return [reply.body if reply.cut_at is None else reply.body[: reply.cut_at]]


class _Handler(WSGIRequestHandler):
    """Closes without a byte where the simulated Xero drops a connection; keeps no access log of its own."""

    def connection_dropped(self, error: BaseException, environ: WSGIEnvironment | None = None) -> None:
        self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def make_server(world: World, port: int) -> ThreadedWSGIServer:
    """A server on the loopback address, not yet serving; port 0 takes any free one."""
    app: Any = create_app(world)
    return ThreadedWSGIServer("127.0.0.1", port, app, handler=_Handler)

"""The simulated Xero without sockets: a `requests` transport that calls the WSGI app in this thread.

session.mount("http://xero.test", InProcess(create_app(world), world))
"""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from wsgiref.types import WSGIApplication

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse

from local.xero.gate import ConnectionDroppedError
from local.xero.world import ClientGoneError, World


class InProcess(HTTPAdapter):
    """Faults arrive as `requests` reports them: a dropped connection, a read time-out, a body cut short.

    Time-outs are measured on the world's clock; only the reading one counts.
    """

    def __init__(self, app: WSGIApplication, world: World) -> None:
        super().__init__()
        self._app = app
        self._world = world

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float | None, float | None] | tuple[float | None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        patience = timeout[-1] if isinstance(timeout, tuple) else timeout
        status: list[str] = []
        headers: list[tuple[str, str]] = []

        def start_response(line: str, answered: list[tuple[str, str]], *_: Any) -> Any:
            status.append(line)
            headers.extend(answered)

        try:
            with self._world.client_patience(patience):
                body = b"".join(self._app(_environ(request), start_response))
        except ClientGoneError as error:
            raise requests.exceptions.ReadTimeout(
                f"Read timed out. (read timeout={patience})", request=request
            ) from error
        except ConnectionDroppedError as error:
            raise requests.exceptions.ConnectionError(
                "Connection aborted: remote end closed connection without response",
                request=request,
            ) from error
        response = self.build_response(
            request,
            HTTPResponse(
                body=io.BytesIO(body),
                headers=HTTPHeaderDict(headers),
                status=int(status[0].split(" ", 1)[0]),
                preload_content=False,
                original_response=_original(headers),
                request_method=request.method,
            ),
        )
        if not stream:
            _ = response.content
        return response


class _NoSocket:
    """What http.client.HTTPResponse asks of a socket it never reads."""

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO()


def _original(headers: list[tuple[str, str]]) -> http.client.HTTPResponse:
    # requests takes cookies from the response below urllib3's.
    original = http.client.HTTPResponse(cast("socket.socket", _NoSocket()))
    original.msg = original.headers = http.client.HTTPMessage()
    for name, value in headers:
        original.msg.add_header(name, value)
    return original


def _environ(request: requests.PreparedRequest) -> dict[str, Any]:
    parts = urlsplit(request.url or "")
    body = _bytes(request.body)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method or "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(parts.path).encode().decode("latin-1") or "/",
        "RAW_URI": f"{parts.path}?{parts.query}" if parts.query else parts.path,
        "QUERY_STRING": parts.query,
        "HTTP_HOST": parts.netloc,
        "SERVER_NAME": parts.hostname or "localhost",
        "SERVER_PORT": str(parts.port or 80),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = text
        elif key != "CONTENT_LENGTH":
            environ[f"HTTP_{key}"] = text
    return environ


def _bytes(body: bytes | str | Iterable[bytes] | None) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return body if isinstance(body, bytes) else b"".join(body)

"""The popup at work, for a browser: the real functions on the simulated Xero, in this process and on virtual time.

It starts in a moment, where the whole local system takes half a minute.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, Response, redirect, request
from moto import mock_aws
from werkzeug.serving import make_server

from local.samples import UNTRACKED, Maker
from local.xero.organisations import Document
from local.xero.people import change_document
from tests.integration.one_process import CHART, OneProcess, in_memory
from tests.integration.popup import Answer, Popup, http_event


class BooksAtWork:
    """A company whose orders are posted, and its popup at an address."""

    def __init__(self, popup: Popup) -> None:
        self._popup = popup
        self._world = popup.world
        self._make = Maker()
        self._turn = threading.RLock()
        self.address = ""
        self.organisation = self._world.organisation("Demo Company (UK)")
        self._office = popup.browser(UNTRACKED, sub="setting-up")
        self._office.app()
        assert self._office.connect(self.organisation) == "connected"
        self.save(
            **CHART,
            contact_name=self._world.contact(self.organisation),
            tax_types=[{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}],
        )

    def save(self, **settings: Any) -> None:
        with self._turn:
            answer = self._office.save(**settings)
            assert answer.status == 200, answer

    def open_url(self, *permissions: str) -> str:
        """Where a person with these permissions opens the popup."""
        return f"{self.address}/open?permissions={','.join(permissions)}"

    # the platform, posting, and a person in Xero

    def posted(self, lines: int = 2, **changes: Any) -> dict[str, Any]:
        order = self._make.order(UNTRACKED, 0, lines, **changes)
        self.send(order)
        self.run()
        return order

    def send(self, order: dict[str, Any]) -> None:
        with self._turn:
            # a message counts by its time
            self._world.clock.advance(1)
            self._world.send(order)

    def run(self) -> None:
        """Let posting do all that is due."""
        with self._turn:
            self._world.run()

    def by_hand(self, number: str, **changes: Any) -> None:
        with self._turn:
            [document] = self.documents(number)
            reply = change_document(self._world.xero, self.organisation, document, changes)
            assert reply.status == 200, reply

    def documents(self, number: str) -> list[Document]:
        """Those in Xero whose number begins so, in the order in which they were made."""
        return [one for one in self.organisation.documents.values() if one.number.startswith(number)]

    def standing(self, number: str) -> dict[str, str]:
        """Number → status, of the documents whose number begins so."""
        return {one.number: one.status for one in self.documents(number)}

    def history(self, number: str) -> str:
        """What the document's history in Xero says."""
        [document] = self.documents(number)
        return "\n".join(note.details for note in document.history)

    @property
    def today(self) -> str:
        return f"{self._world.clock.now():%Y-%m-%d %H:%M:%S}"

    # the functions, for the browser

    def answer(self) -> Response:
        host = request.host
        with self._turn:
            if request.path == "/open":
                given = [one for one in request.args["permissions"].split(",") if one]
                token = self._popup.token(company=UNTRACKED, sub="a person", permissions=given)
                launched = self._popup.launch(token)
                answer = redirect(launched.headers["location"])
                answer.headers["Set-Cookie"] = launched.headers["set-cookie"]
                return answer  # type: ignore[return-value]
            event = http_event(
                request.method,
                request.full_path.rstrip("?"),
                body=request.get_data(as_text=True) or None,
                headers={name.lower(): value for name, value in request.headers.items() if name != "Cookie"},
                cookies=[f"{name}={value}" for name, value in request.cookies.items()],
            )
            event["requestContext"]["domainName"] = host
            return _response(self._popup.send(event))


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers)


@contextmanager
def books_at_work() -> Iterator[BooksAtWork]:
    with mock_aws():
        books = BooksAtWork(Popup(OneProcess(tables=in_memory)))
        app = Flask(__name__, static_folder=None)
        app.add_url_rule("/", "answer", books.answer, methods=["GET", "POST", "PUT", "DELETE"])
        app.add_url_rule(
            "/<path:_>", "any", lambda _: books.answer(), methods=["GET", "POST", "PUT", "DELETE"]
        )
        server = make_server("localhost", 0, app, threaded=True)
        books.address = f"http://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield books
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

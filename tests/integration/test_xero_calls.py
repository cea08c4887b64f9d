"""Calls to Xero at the wire: every one is bounded in time and size, and says whether anything may have been done."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bookkeeping.adapters import xero_api
from bookkeeping.adapters.xero_api import NO_ID, NO_REASON, Access, Xero
from bookkeeping.domain.errors import CallRefused, OutcomeUnknown, Throttled, Unreadable
from bookkeeping.domain.pacing import Limits
from local.xero.clock import VirtualClock
from local.xero.visitor import BASE_URL, Visitor
from local.xero.world import World

TIME_OUT = 0.6
ACCESS = Access("ORG", "canary-token-0123456789")
EMPTY = b'{"Invoices": []}'

Behave = Callable[[socket.socket], None]


@dataclass
class Peer:
    """A server that answers each connection as it is told, and keeps what it was sent."""

    listener: socket.socket
    behave: Behave = lambda connection: None
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        # the client hangs up on most of these answers
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            self.requests.append(request)
            self.behave(connection)


@pytest.fixture
def peer() -> Iterator[Peer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = Peer(listener)
        thread = threading.Thread(target=peer.serve, daemon=True)
        thread.start()
        yield peer
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def answer(text: bytes, status: str = "200 OK", length: int | None = None, *headers: str) -> bytes:
    size = len(text) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {size}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + text


def nobody(limits: Limits) -> None:
    pass


def read(peer: Peer) -> Any:
    return Xero(peer.url, TIME_OUT).read("Invoices", ACCESS, nobody)


def unknown(peer: Peer, behave: Behave) -> tuple[OutcomeUnknown, float]:
    """The outcome unknown that a call ends in, and after how long."""
    peer.behave = behave
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown) as raised:
        read(peer)
    assert ACCESS.token not in str(raised.value)
    return raised.value, time.monotonic() - began


# --- what may have been done


def test_silence_ends_in_time(peer: Peer) -> None:
    error, took = unknown(peer, lambda connection: time.sleep(3))
    assert not error.answered
    assert took < 2 * TIME_OUT + 0.5


def test_headers_and_then_silence_end_in_time(peer: Peer) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(answer(EMPTY[:5], length=len(EMPTY)))
        time.sleep(3)

    error, took = unknown(peer, behave)
    assert took < 2 * TIME_OUT + 0.5
    assert not error.answered


def test_an_answer_that_drips_byte_by_byte_ends_in_time(peer: Peer) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1\r\nx\r\n")
            time.sleep(0.05)

    _, took = unknown(peer, behave)
    assert took < 2 * TIME_OUT + 0.5


def test_a_body_with_a_length_that_drips_ends_in_time(peer: Peer) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(answer(b"", length=4000))
        for _ in range(400):
            connection.sendall(b"x")
            time.sleep(0.02)

    _, took = unknown(peer, behave)
    assert took < 2 * TIME_OUT + 1


@pytest.mark.parametrize(
    ("behave", "what"),
    [
        (lambda connection: None, "ConnectionError"),
        (lambda connection: connection.sendall(answer(EMPTY[:7], length=len(EMPTY))), "ProtocolError"),
        (lambda connection: connection.sendall(b"\x00\x01 no HTTP\r\n\r\n"), "ConnectionError"),
        (
            lambda connection: connection.sendall(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
            ),
            "ProtocolError",
        ),
        (
            lambda connection: connection.sendall(
                answer(b"no gzip", "200 OK", None, "Content-Encoding: gzip")
            ),
            "DecodeError",
        ),
    ],
    ids=["no answer", "cut body", "no HTTP", "cut chunk", "no gzip"],
)
def test_a_broken_answer_leaves_the_outcome_unknown(peer: Peer, behave: Behave, what: str) -> None:
    error, _ = unknown(peer, behave)
    assert str(error).endswith(what)
    assert not error.answered


def test_nobody_at_the_door_leaves_the_outcome_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(OutcomeUnknown, match="ConnectionError"):
        Xero(f"http://localhost:{port}", TIME_OUT).read("Invoices", ACCESS, nobody)


def test_an_answer_without_end_is_not_kept_in_memory(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xero_api, "ANSWER_AT_MOST", 1_000_000)
    sent: list[int] = []

    def behave(connection: socket.socket) -> None:
        connection.sendall(answer(b"", length=10**9))
        while True:
            sent.append(connection.send(b"x" * 65536))

    error, _ = unknown(peer, behave)
    assert "too long" in str(error)
    assert sum(sent) < 20_000_000


def test_a_small_answer_that_unpacks_without_end_is_cut_off_too(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xero_api, "ANSWER_AT_MOST", 1_000_000)
    bomb = gzip.compress(b"0" * 50_000_000)
    error, _ = unknown(
        peer, lambda connection: connection.sendall(answer(bomb, "200 OK", None, "Content-Encoding: gzip"))
    )
    assert "too long" in str(error)


def test_a_good_status_without_its_list_is_no_answer(peer: Peer) -> None:
    peer.behave = lambda connection: connection.sendall(answer(b'{"Status": "OK"}'))
    with pytest.raises(OutcomeUnknown, match="200 without Invoices") as raised:
        Xero(peer.url, TIME_OUT).invoices_by_number(["KX-1"], ACCESS, nobody)
    assert raised.value.answered


@pytest.mark.parametrize("text", [b'{"Status": "OK"}', b'{"{}": null}', b'{"{}": []}', b'{"{}": [null, {}]}'])
@pytest.mark.parametrize(
    ("resource", "name"),
    [("Organisation", "Organisations"), ("Accounts", "Accounts"), ("TaxRates", "TaxRates")],
)
def test_no_organisation_is_without_its_accounts_and_tax_rates(
    peer: Peer, resource: str, name: str, text: bytes
) -> None:
    peer.behave = lambda connection: connection.sendall(answer(text.replace(b'"{}"', f'"{name}"'.encode())))
    with pytest.raises(OutcomeUnknown) as raised:
        Xero(peer.url, TIME_OUT).read(resource, ACCESS, nobody)
    assert raised.value.answered


def test_an_empty_element_is_no_answer(peer: Peer) -> None:
    peer.behave = lambda connection: connection.sendall(answer(b'{"Invoices": [{}]}'))
    assert Xero(peer.url, TIME_OUT).create("invoice", [{"Type": "ACCREC"}], ACCESS, "key-1", nobody) == []


def created_items(peer: Peer, *elements: dict[str, Any]) -> dict[str, tuple[bool, tuple[str, ...]]]:
    text = json.dumps({"Items": elements}).encode()
    peer.behave = lambda connection: connection.sendall(answer(text))
    return Xero(peer.url, TIME_OUT).create_items([{"Code": "A"}, {"Code": "B"}], ACCESS, "key-1", nobody)


@pytest.mark.parametrize("sign", [{"StatusAttributeString": "ERROR"}, {"ItemID": NO_ID}, {"ItemID": None}])
def test_an_item_is_refused_by_each_sign_even_without_words(peer: Peer, sign: dict[str, Any]) -> None:
    good = {"Code": "A", "ItemID": "1", "IsTrackedAsInventory": True}
    items = created_items(peer, good, {"Code": "B", "ItemID": "2"} | sign)
    assert items == {"A": (True, ()), "B": (False, (NO_REASON,))}


def test_items_that_are_refused_without_their_codes_are_told_by_their_order(peer: Peer) -> None:
    elements = [{"ItemID": NO_ID, "ValidationErrors": [{"Message": words}]} for words in ("one", "two")]
    assert created_items(peer, *elements) == {"A": (False, ("one",)), "B": (False, ("two",))}


# --- what goes out


def test_nothing_is_sent_twice_behind_our_back(peer: Peer) -> None:
    unknown(peer, lambda connection: None)
    assert len(peer.requests) == 1


def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(peer: Peer) -> None:
    moved = "Location: http://localhost:9/elsewhere"
    error, _ = unknown(peer, lambda connection: connection.sendall(answer(b"", "302 Found", None, moved)))
    assert error.answered
    assert len(peer.requests) == 1


def test_a_write_carries_its_key_and_its_organisation(peer: Peer) -> None:
    peer.behave = lambda connection: connection.sendall(answer(EMPTY))
    assert Xero(peer.url, TIME_OUT).create("invoice", [{"Type": "ACCREC"}], ACCESS, "key-1", nobody) == []
    head = peer.requests[0].decode().partition("\r\n\r\n")[0]
    assert head.startswith(
        "PUT /api.xro/2.0/Invoices?summarizeErrors=false&unitdp=4&allowBackorders=true HTTP/1.1"
    )
    for header in (
        "Idempotency-Key: key-1",
        "Xero-Tenant-Id: ORG",
        "Accept: application/json",
        "Content-Type: application/json; charset=utf-8",
        f"Authorization: Bearer {ACCESS.token}",
    ):
        assert header in head
    assert ACCESS.token not in repr(ACCESS)


def test_no_cookie_goes_from_one_organisation_to_the_next(peer: Peer) -> None:
    client = Xero(peer.url, TIME_OUT)
    peer.behave = lambda connection: connection.sendall(
        answer(EMPTY, "200 OK", None, "Set-Cookie: session=one; Path=/")
    )
    client.read("Invoices", ACCESS, nobody)
    client.read("Invoices", Access("OTHER", "another-token"), nobody)
    assert not len(client.session.cookies)
    assert b"cookie" not in peer.requests[1].lower()


def test_a_password_that_the_machine_keeps_does_not_take_the_place_of_the_token(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login someone password of-the-machine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    peer.behave = lambda connection: connection.sendall(answer(EMPTY))
    read(peer)
    assert f"Authorization: Bearer {ACCESS.token}".encode() in peer.requests[0]


def test_what_is_left_is_told_from_every_answer_refusals_too(peer: Peer) -> None:
    told: list[Limits] = []
    headers = (
        "X-MinLimit-Remaining: 3",
        "X-DayLimit-Remaining: 40",
        "X-Rate-Limit-Problem: day",
        "Retry-After: 7",
    )
    peer.behave = lambda connection: connection.sendall(answer(b"", "429 Too Many Requests", None, *headers))
    with pytest.raises(Throttled) as raised:
        Xero(peer.url, TIME_OUT).read("Invoices", ACCESS, told.append)
    assert (raised.value.limit, raised.value.retry_after) == ("day", 7.0)
    assert told == [Limits(3, 40)]


# --- what is not there


def refused(peer: Peer, status: str, text: bytes = b"not found") -> Xero:
    peer.behave = lambda connection: connection.sendall(answer(text, status))
    return Xero(peer.url, TIME_OUT)


def test_a_purchase_order_or_an_item_that_is_not_there_is_none(peer: Peer) -> None:
    client = refused(peer, "404 Not Found")
    assert client.purchase_order("KX-1", ACCESS, nobody) is None
    assert client.item("MUG", ACCESS, nobody) is None


def test_any_other_refusal_of_such_a_read_is_told(peer: Peer) -> None:
    client = refused(peer, "400 Bad Request", b'{"ErrorNumber": 16, "Message": "Syntax error"}')
    for call in (client.purchase_order, client.item):
        with pytest.raises(CallRefused):
            call("KX-1", ACCESS, nobody)


def test_a_refusal_of_a_read_that_is_not_xeros_says_nothing_of_what_is_there(peer: Peer) -> None:
    client = refused(peer, "400 Bad Request", b"<html>Bad Request</html>")
    for call in (client.purchase_order, client.item):
        with pytest.raises(Unreadable):
            call("KX-1", ACCESS, nobody)


@pytest.mark.parametrize(
    "code", ["A/B", "A B", "Ü%", "#1?x=y", "'\"", ".", "..", "...", "../B", "./B", "A/../B"]
)
def test_any_item_code_is_asked_for_as_it_is(code: str) -> None:
    visitor = Visitor(World(VirtualClock(), demo=False))
    client = Xero(BASE_URL, 30)
    client.session = visitor.session
    access = Access(visitor.organisation.id, visitor.tokens["access_token"])
    item = {"Code": code, "Name": code}
    assert client.item(code, access, nobody) is None
    assert client.create_items([item], access, "key", nobody) == {code: (False, ())}
    assert client.item(code, access, nobody) is False
    assert client.items(access, nobody) == {code: False}

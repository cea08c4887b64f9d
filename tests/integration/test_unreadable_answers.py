"""What comes back from a box between us and Xero, and what Xero itself says otherwise than usual, on virtual time."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from xml.sax.saxutils import unescape

import pytest
from moto import mock_aws
from urllib3 import HTTPHeaderDict, HTTPResponse

from bookkeeping.domain.ledger import Entry, State
from local.samples import TRACKED, UNTRACKED, Maker
from local.xero.faults import Fault
from tests.integration.one_process import XERO, OneProcess, in_memory

Answer = tuple[int, str, bytes]
"""Status, type and body."""
Spoil = Callable[[Any], Answer | None]
"""What the box makes of a request that is answered; None leaves the answer as it is."""

HTML: Answer = (400, "text/html", b"<html><head><title>400 Bad Request</title></head><body>no</body></html>")
NOT_XEROS: dict[str, Answer] = {
    "HTML 400": HTML,
    "HTML 404": (404, "text/html; charset=iso-8859-1", b"<!DOCTYPE HTML><h1>Not Found</h1>"),
    "HTML 405": (405, "text/html", b"<html><body><h1>Not Allowed</h1></body></html>"),
    "HTML 406": (406, "text/html", b"<head><title>Not Acceptable!</title></head>Mod_Security"),
    "HTML 415": (415, "text/html", b"<html>Unsupported Media Type</html>"),
    "nothing 400": (400, "", b""),
    "nothing 409": (409, "", b""),
    "text 400": (400, "text/plain", b"Bad Request"),
    "text 422": (422, "text/plain; charset=utf-8", "Nicht möglich".encode()),
    "JSON 400": (400, "application/json", b'{"message": "Bad Request"}'),
    "JSON 418": (418, "application/json", b'{"error": {"code": 418, "errors": []}}'),
    "problem 400": (
        400,
        "application/problem+json",
        b'{"type": "about:blank", "title": "Bad", "status": 400}',
    ),
    "XML 400": (400, "application/xml", b"<Error><Code>BadRequest</Code><Message>No</Message></Error>"),
    "cut XML 400": (400, "text/xml", b"<ApiException><ErrorNumber>10</ErrorNumber><Message>A valida"),
    "half of Xero's 400": (400, "application/json", b'{"ErrorNumber": 10, "Type": "ValidationExcep'),
}


@pytest.fixture
def books() -> Iterator[OneProcess]:
    with mock_aws():
        yield OneProcess(tables=in_memory)


def orders(count: int, company: str = UNTRACKED) -> list[dict[str, Any]]:
    make = Maker()
    return [make.order(company, place, 1) for place in range(count)]


def box(books: OneProcess, spoil: Spoil, *, before: bool = False) -> None:
    """Stand between us and Xero. `before`: what is spoilt never reaches Xero."""
    adapter: Any = books.posting.xero.session.get_adapter(XERO)
    through = adapter.send

    def send(request: Any, *about: Any, **more: Any) -> Any:
        spoilt = spoil(request)
        answer = None if spoilt and before else through(request, *about, **more)
        if spoilt is None:
            return answer
        status, kind, body = spoilt
        headers = HTTPHeaderDict({"Content-Type": kind} if kind else {})
        raw = HTTPResponse(body=io.BytesIO(body), status=status, headers=headers, preload_content=False)
        return adapter.build_response(request, raw)

    adapter.send = send


def creates(request: Any, resource: str = "Invoices") -> bool:
    return request.method == "PUT" and f"/{resource}?" in request.url


def once(resource: str, answer: Answer) -> Spoil:
    left = [answer]
    return lambda request: left.pop() if left and creates(request, resource) else None


def always_for(text: str, answer: Answer, resource: str = "Invoices") -> Spoil:
    """A box that answers so whenever a call holds this text."""
    return lambda request: answer if creates(request, resource) and text in _text(request) else None


def _text(request: Any) -> str:
    return request.body.decode() if isinstance(request.body, bytes) else str(request.body)


def ends(entry: Entry) -> str:
    return f"{entry.state} {entry.problem.code if entry.problem else entry.reason}".strip()


def numbers(books: OneProcess, kind: str = "invoice") -> list[str]:
    return sorted(done["number"] for done in books.committed(kind))


# --- a refusal that Xero did not write


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", NOT_XEROS)
@pytest.mark.parametrize("before", [True, False], ids=["Xero never saw it", "Xero did its work"])
def test_a_call_that_a_box_answers_once_ends_in_one_document(
    books: OneProcess, name: str, before: bool, count: int
) -> None:
    books.company(UNTRACKED)
    box(books, once("Invoices", NOT_XEROS[name]), before=before)
    sent = orders(count)
    books.send(*sent)
    books.run()
    assert {ends(books.entry(order)) for order in sent} == {"posted"}
    assert numbers(books) == sorted(f"KX-{order['id']}" for order in sent)
    assert not books.bus.of("OrderNeedsAttention")


XML = (
    '<ApiException xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><ErrorNumber>10</ErrorNumber>'
    "<Type>ValidationException</Type><Message>A validation exception occurred</Message><Elements>"
    '<DataContractBase i:type="Invoice"><ValidationErrors><ValidationError><Message>{}</Message></ValidationError>'
    "</ValidationErrors></DataContractBase></Elements></ApiException>"
)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Account code '200' is not a valid code for this document.", "account_not_usable"),
        ("The TaxType code &quot;OUTPUT2&quot; does not exist", "tax_rate_refused"),
        ("Something &lt;new&gt; in Xero", "refused_by_xero"),
    ],
)
def test_what_xero_refuses_in_xml_is_said_in_words(books: OneProcess, message: str, code: str) -> None:
    books.company(UNTRACKED)
    answer = (400, "text/xml; charset=utf-8", XML.format(message).encode())
    box(books, lambda request: answer if creates(request) else None, before=True)
    sent = orders(2)
    books.send(*sent)
    books.run()
    for order in sent:
        entry = books.entry(order)
        assert ends(entry) == f"needs_attention {code}"
        assert entry.problem is not None
        assert entry.problem.xero_says == (unescape(message, {"&quot;": '"'}),)


def test_a_number_that_xero_calls_taken_in_xml_is_looked_up(books: OneProcess) -> None:
    """The first answer was lost, and the document is this order's own."""
    books.company(UNTRACKED)
    [order] = orders(1)
    answers = [HTML, (400, "text/xml", XML.format("Invoice # must be unique.").encode())]
    box(books, lambda request: answers.pop() if answers and creates(request) else None)
    books.send(order)
    books.run()
    assert ends(books.entry(order)) == "posted"
    assert numbers(books) == [f"KX-{order['id']}"]


@pytest.mark.parametrize("name", ["HTML 400", "nothing 400", "JSON 400"])
@pytest.mark.parametrize("before", [True, False], ids=["Xero never saw it", "Xero did its work"])
@pytest.mark.parametrize("resource", ["PurchaseOrders", "Items"])
def test_so_do_purchase_orders_and_items(books: OneProcess, name: str, before: bool, resource: str) -> None:
    books.company(TRACKED, books.organisation("Demo Company (AU)"), process_method="tracked")
    box(books, once(resource, NOT_XEROS[name]), before=before)
    sent = orders(3, TRACKED)
    books.send(*sent)
    books.run()
    assert [ends(books.entry(order, TRACKED)) for order in sent] == ["posted"] * 3
    for kind in ("purchase_order", "invoice"):
        assert numbers(books, kind) == sorted(f"KX-{order['id']}" for order in sent)


def test_one_document_that_a_box_refuses_holds_no_other_up_and_stops_after_an_hour(books: OneProcess) -> None:
    books.company(UNTRACKED)
    sent = orders(8)
    sent[5]["ref"] = "<script>"
    box(books, always_for("<script>", HTML), before=True)
    books.send(*sent)
    books.run(timedelta(minutes=50), until_quiet=False)
    others = [order for order in sent if order is not sent[5]]
    assert {ends(books.entry(order)) for order in others} == {"posted"}
    assert ends(books.entry(sent[5])) == "posting"
    books.run(timedelta(minutes=45), until_quiet=False)
    stopped = books.entry(sent[5])
    assert ends(stopped) == "needs_attention xero_unreadable"
    assert stopped.problem is not None
    assert stopped.problem.xero_says == ()
    assert "html" not in (stopped.problem.sentence + stopped.problem.fix).lower()
    assert numbers(books) == sorted(f"KX-{order['id']}" for order in others)
    assert len(books.calls()) < 100


def test_a_document_that_is_in_xero_after_all_never_stops(books: OneProcess) -> None:
    books.company(UNTRACKED)
    [order] = orders(1)
    box(books, always_for(str(order["id"]), HTML))
    books.send(order)
    books.run(timedelta(hours=2))
    assert ends(books.entry(order)) == "posted"
    assert len(books.calls("PUT")) == 1


def test_a_box_that_refuses_everything_for_a_while_stops_nothing(books: OneProcess) -> None:
    books.company(UNTRACKED)
    sent = orders(10)
    until = books.clock.now() + timedelta(minutes=40)
    box(books, lambda request: HTML if books.clock.now() < until else None, before=True)
    books.send(*sent)
    books.run(timedelta(hours=2), until_quiet=False)
    assert {ends(books.entry(order)) for order in sent} == {"posted"}
    assert len(numbers(books)) == 10


def test_after_three_such_answers_a_batch_goes_out_in_parts(books: OneProcess) -> None:
    books.company(UNTRACKED)
    sizes: list[int] = []

    def refuses_many(request: Any) -> Answer | None:
        if not creates(request):
            return None
        sizes.append(len(json.loads(_text(request))["Invoices"]))
        return HTML if sizes[-1] > 2 else None

    box(books, refuses_many, before=True)
    sent = orders(8)
    books.send(*sent)
    books.run(timedelta(hours=2), until_quiet=False)
    assert {ends(books.entry(order)) for order in sent} == {"posted"}
    assert sizes == [8, 8, 8, 4, 2, 4, 2, 4, 2, 2]
    assert len(numbers(books)) == 8


def test_an_item_that_a_box_refuses_stops_only_the_orders_that_have_it(books: OneProcess) -> None:
    books.company(TRACKED, books.organisation("Demo Company (AU)"), process_method="tracked")
    sent = orders(6, TRACKED)
    for place, order in enumerate(sent):
        order["items"][0]["sku"] = f"SKU-{place}"
    sent[2]["items"][0]["sku"] = "OR-1-EQ-1"
    box(books, always_for("OR-1-EQ-1", HTML, "Items"), before=True)
    books.send(*sent)
    books.run(timedelta(minutes=30), until_quiet=False)
    others = [order for order in sent if order is not sent[2]]
    assert {ends(books.entry(order, TRACKED)) for order in others} == {"posted"}
    assert ends(books.entry(sent[2], TRACKED)) == "queued"
    books.run(timedelta(minutes=50), until_quiet=False)
    stopped = books.entry(sent[2], TRACKED)
    assert ends(stopped) == "needs_attention xero_unreadable"
    assert stopped.problem is not None
    assert "tracked item OR-1-EQ-1" in stopped.problem.sentence
    assert len(books.calls()) < 150


def test_an_item_refused_without_words_is_not_called_untracked(books: OneProcess) -> None:
    books.company(TRACKED, books.organisation("Demo Company (AU)"), process_method="tracked")
    [order] = orders(1, TRACKED)
    code = order["items"][0]["sku"]
    box(books, always_for(code, (413, "text/html", b""), "Items"), before=True)
    books.send(order)
    books.run(timedelta(minutes=30), until_quiet=False)
    stopped = books.entry(order, TRACKED)
    assert ends(stopped) == "needs_attention item_refused"
    assert stopped.problem is not None
    assert code in stopped.problem.sentence


def test_what_is_too_large_for_a_box_travels_in_smaller_calls(books: OneProcess) -> None:
    books.company(UNTRACKED)
    too_large = (413, "text/html", b"<html>413 Request Entity Too Large</html>")
    box(books, lambda request: too_large if creates(request) and len(_text(request)) > 2000 else None)
    sent = orders(9)
    books.send(*sent)
    books.run()
    assert {ends(books.entry(order)) for order in sent} == {"posted"}
    assert len(numbers(books)) == 9


# --- lists


@pytest.mark.parametrize(
    "answer", [HTML, NOT_XEROS["HTML 404"], NOT_XEROS["nothing 400"], NOT_XEROS["JSON 400"]]
)
@pytest.mark.parametrize("path", ["Contacts", "TaxRates", "InvoiceNumbers="])
def test_a_list_that_a_box_refuses_stops_no_order(books: OneProcess, answer: Answer, path: str) -> None:
    books.company(UNTRACKED)
    left = [answer] * 2
    box(
        books,
        lambda request: left.pop() if left and request.method == "GET" and path in request.url else None,
    )
    books.xero.faults.add(
        {"kind": "error_after_commit", "method": "PUT", "path_prefix": "/api.xro/2.0/Invoices"}
    )
    [order] = orders(1)
    books.send(order)
    books.run()
    assert ends(books.entry(order)) == "posted"
    assert len(numbers(books)) == 1
    assert not books.bus.of("OrderNeedsAttention")


@pytest.mark.parametrize("kind", ["error_before_commit", "html_body"])
def test_one_list_that_fails_does_not_have_the_others_read_again(books: OneProcess, kind: str) -> None:
    books.company(UNTRACKED)
    books.xero.faults.add({"kind": kind, "method": "GET", "path_prefix": "/api.xro/2.0/TaxRates"})
    [order] = orders(1)
    books.send(order)
    books.run()
    assert ends(books.entry(order)) == "posted"
    reads = [
        len(books.calls("GET", f"/{name}")) for name in ("Organisation", "Accounts", "TaxRates", "Currencies")
    ]
    assert reads == [1, 1, 2, 1]


def test_one_call_for_items_that_fails_does_not_have_the_others_looked_up(books: OneProcess) -> None:
    books.company(TRACKED, books.organisation("Demo Company (AU)"), process_method="tracked")
    make = Maker()
    big = [make.order(TRACKED, place, 50) for place in range(6)]
    for place, order in enumerate(big):
        for line, item in enumerate(order["items"]):
            item["sku"] = f"SKU-{place}-{line}"
    books.xero.faults.add(
        {"kind": "error_before_commit", "method": "PUT", "path_prefix": "/api.xro/2.0/Items", "skip": 1}
    )
    books.send(*big)
    books.run()
    assert {ends(books.entry(order, TRACKED)) for order in big} == {"posted"}
    assert len(books.calls("PUT", "/Items")) == 4
    assert not books.calls("GET", "/Items")


# --- tokens


def token_expired(books: OneProcess, times: int | None) -> Fault:
    return books.xero.faults.add(
        {"kind": "token_expired", "method": "GET", "path_prefix": "/api.xro/2.0/", "times": times}
    )


def status(books: OneProcess, company: str = UNTRACKED) -> str:
    connection = books.connections.connection(company)
    assert connection is not None
    return connection.status


@pytest.mark.parametrize("times", [1, 4])
def test_a_token_that_xero_takes_for_expired_is_renewed_at_once(books: OneProcess, times: int) -> None:
    books.company(UNTRACKED)
    token_expired(books, times)
    [order] = orders(1)
    books.send(order)
    books.run(timedelta(minutes=2), until_quiet=False)
    assert (ends(books.entry(order)), status(books)) == ("posted", "connected")
    assert books.renewals == [UNTRACKED]


def test_access_is_refused_where_a_later_token_is_answered_so_too(books: OneProcess) -> None:
    books.company(UNTRACKED)
    token_expired(books, None)
    [order] = orders(1)
    books.send(order)
    books.run(timedelta(minutes=5), until_quiet=False)
    assert (ends(books.entry(order)), status(books)) == ("waiting reconnect", "needs_reconnect")
    assert books.renewals == [UNTRACKED]
    assert len(books.calls()) <= 8
    assert [event["status"] for event in books.bus.of("ConnectionLost")] == ["needs_reconnect"]


def test_the_same_token_refused_again_is_no_refusal_of_access(books: OneProcess) -> None:
    books.company(UNTRACKED)
    fault = token_expired(books, None)
    renew = books.posting.renew_token
    asked: list[int | None] = []
    object.__setattr__(books.posting, "renew_token", lambda company, refused: asked.append(refused))
    [order] = orders(1)
    books.send(order)
    books.run(timedelta(minutes=10), until_quiet=False)
    assert status(books) == "connected"
    assert set(asked) == {1}
    assert len(books.calls()) <= 4
    books.xero.faults.remove(fault.id)
    object.__setattr__(books.posting, "renew_token", renew)
    books.run(timedelta(minutes=20), until_quiet=False)
    assert ends(books.entry(order)) == "posted"


def test_two_tokens_that_are_refused_long_after_each_other_are_each_renewed(books: OneProcess) -> None:
    books.company(UNTRACKED)
    for order in orders(2):
        token_expired(books, 1)
        books.organisations.forget(books.organisation("Demo Company (UK)").id)
        books.send(order)
        books.run(timedelta(minutes=10), until_quiet=False)
        assert (ends(books.entry(order)), status(books)) == ("posted", "connected")
    assert books.renewals == [UNTRACKED] * 2


@pytest.mark.parametrize(
    ("answer", "lost"),
    [
        ((403, "text/html", b"<html>403 AuthorizationUnsuccessful</html>"), "needs_reconnect"),
        ((403, "application/json", b'{"Detail": "AuthorizationUnsuccessful"}'), "needs_reconnect"),
        ((401, "application/json", b'{"Detail": "AuthorizationUnsuccessful"}'), "needs_reconnect"),
        ((401, "text/html", b"<html>Unauthorized</html>"), "needs_reconnect"),
        ((403, "text/html", b"<html>Forbidden</html>"), "cut_off"),
    ],
)
def test_the_status_decides_that_access_is_refused(books: OneProcess, answer: Answer, lost: str) -> None:
    books.company(UNTRACKED)
    box(books, once("Invoices", answer), before=True)
    [order] = orders(1)
    books.send(order)
    books.run(timedelta(minutes=5), until_quiet=False)
    assert (status(books), books.entry(order).state) == (lost, State.WAITING)
    assert not numbers(books)

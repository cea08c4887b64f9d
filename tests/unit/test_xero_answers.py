"""What Xero's answers mean: every status and kind of body that was ever seen, and what must happen next."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from bookkeeping.adapters.xero_api import NO_ID, answered, parsed
from bookkeeping.adapters.xero_refusals import LONGEST_XML, validation_errors
from bookkeeping.domain.errors import (
    AccessRefused,
    CallRefused,
    KeyReused,
    Offline,
    OutcomeUnknown,
    Throttled,
    TokenExpired,
    Unreadable,
    XeroError,
)
from bookkeeping.domain.pacing import Limits

HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
GUID = "6c3e8f4a-3a0b-4b7e-8b5f-0a2a9b0c7d11"


def envelope(status: int, title: str, detail: str) -> bytes:
    """The problem details in capitals, as 401 and 500 come."""
    body: dict[str, Any] = {
        "Type": None,
        "Title": title,
        "Status": status,
        "Detail": detail,
        "Instance": GUID,
        "Extensions": {},
    }
    return json.dumps(body).encode()


def lower(status: int, title: str, detail: str) -> bytes:
    """The problem details in small letters, as 403 comes."""
    return json.dumps({"title": title, "status": status, "detail": detail, "instance": GUID}).encode()


def refusal(
    *elements: Mapping[str, Any], number: int = 10, message: str = "A validation exception occurred"
) -> bytes:
    body = {
        "ErrorNumber": number,
        "Type": "ValidationException",
        "Message": message,
        "Elements": list(elements),
    }
    return json.dumps(body).encode()


def error(
    status: int, text: bytes = b"", headers: Mapping[str, str] | None = None, *, read: bool = False
) -> XeroError:
    with pytest.raises(XeroError) as raised:
        parsed(status, headers or {}, text, read=read)
    return raised.value


# --- a good answer


def test_amounts_of_a_good_answer_are_exact() -> None:
    payload = parsed(200, {}, b'{"Invoices": [{"Total": 0.1, "SubTotal": 12345678.0001}]}')
    assert payload["Invoices"][0] == {"Total": Decimal("0.1"), "SubTotal": Decimal("12345678.0001")}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        HTML,
        b'{"Invoices": [{"Total"',
        b"[]",
        b"null",
        b'"OK"',
        b"\xff\xfe",
        b"[" * 100_000,
        b"<Response/>",
    ],
    ids=["empty", "blank", "HTML", "cut", "a list", "null", "a text", "no UTF-8", "deep", "XML"],
)
def test_a_good_status_with_a_body_that_is_none_leaves_the_outcome_unknown(text: bytes) -> None:
    raised = error(200, text)
    assert isinstance(raised, OutcomeUnknown)
    assert raised.answered, "the same key brings the same answer"


# --- 401 and 403


def test_an_expired_token_is_told_from_a_revoked_one() -> None:
    expired = envelope(401, "Unauthorized", "TokenExpired: token expired at 04/09/2023 05:16:59")
    assert isinstance(error(401, expired), TokenExpired)
    revoked = error(401, envelope(401, "Unauthorized", "AuthenticationUnsuccessful"))
    assert isinstance(revoked, AccessRefused)
    assert revoked.kind == "token"


@pytest.mark.parametrize(
    "text",
    [
        lower(401, "Unauthorized", "tokenexpired: token expired at 04/09/2023 05:16:59"),
        b"TokenExpired",
        b"<ApiException><Type>OAuth</Type><Message>TokenExpired: at noon</Message></ApiException>",
        b"oauth_problem=TokenExpired&oauth_problem_advice=renew",
        b"oauth_problem=token_expired&oauth_problem_advice=The%20access%20token%20has%20expired",
        b'{"error": "invalid_token", "error_description": "The access token expired"}',
    ],
    ids=["small letters", "text", "XML", "form", "old form", "standard"],
)
@pytest.mark.parametrize("status", [401, 403])
def test_an_expired_token_is_known_whatever_it_comes_in(status: int, text: bytes) -> None:
    assert isinstance(error(status, text), TokenExpired)


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        (envelope(401, "Unauthorized", "AuthorizationUnsuccessful"), {}),
        (lower(401, "Unauthorized", "authorizationunsuccessful"), {}),
        (b"<html>AuthorizationUnsuccessful</html>", {}),
        (b"<ApiException><Message>AuthorizationUnsuccessful</Message></ApiException>", {}),
        (b"", {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}),
        (HTML, {"WWW-Authenticate": "insufficent_scope"}),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_scope_is_told_by_its_words_or_its_header_under_either_status(
    status: int, text: bytes, headers: dict[str, str]
) -> None:
    raised = error(status, text, headers)
    assert isinstance(raised, AccessRefused)
    assert raised.kind == "scope"


@pytest.mark.parametrize("text", [b"", HTML, b"[]", b'{"Detail": null}', b'{"Detail": 7}'])
def test_a_refusal_without_words_still_asks_for_a_person(text: bytes) -> None:
    raised = error(401, text)
    assert isinstance(raised, AccessRefused)
    assert raised.kind == "token"
    raised = error(403, text)
    assert isinstance(raised, AccessRefused)
    assert raised.kind == "organisation"


def test_a_forbidden_organisation_is_cut_off_whatever_the_case_of_the_keys() -> None:
    for text in (lower(403, "Forbidden", "AuthenticationUnsuccessful"), envelope(403, "Forbidden", "gone")):
        raised = error(403, text)
        assert isinstance(raised, AccessRefused)
        assert raised.kind == "organisation"
        assert str(raised) in ("AuthenticationUnsuccessful", "gone")


# --- 400 and its kin


def test_a_refused_call_says_which_element_and_why() -> None:
    first = {"InvoiceNumber": "KX-1", "ValidationErrors": [{"Message": "Invoice # must be unique."}]}
    second = {"InvoiceNumber": "KX-2", "ValidationErrors": []}
    raised = error(400, refusal(first, second))
    assert isinstance(raised, CallRefused)
    assert (raised.status, raised.messages) == (400, ("Invoice # must be unique.",))
    assert [element["InvoiceNumber"] for element in raised.elements] == ["KX-1", "KX-2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (refusal(number=14, message="JSON for post data was invalid"), "JSON for post data was invalid"),
        (refusal(number=16, message="Syntax error"), "Syntax error"),
        (b'{"errorNumber": 10, "message": "odd", "elements": ["x", 3]}', "odd"),
        (
            b'{"ErrorNumber": 10, "Message": "odd", "Elements": [{"ValidationErrors": ["x", {"Message": ""}]}]}',
            "odd",
        ),
        (b'{"Invoices": [{"ValidationErrors": [{"Message": "Date is odd"}]}]}', "Date is odd"),
        (
            b'\xef\xbb\xbf{"ErrorNumber": 17, "Type": "NoDataProcessedException", "Message": "No data"}',
            "No data",
        ),
    ],
)
@pytest.mark.parametrize("status", [400, 404, 405, 412, 413, 415, 422, 501])
@pytest.mark.parametrize("read", [True, False])
def test_a_refusal_that_xero_wrote_is_one_whatever_its_status(
    status: int, text: bytes, message: str, read: bool
) -> None:
    raised = error(status, text, read=read)
    assert isinstance(raised, CallRefused)
    assert (raised.status, raised.messages) == (status, (message,))
    assert all(isinstance(element, dict) for element in raised.elements)


@pytest.mark.parametrize("form", [envelope, lower])
def test_xeros_problem_details_are_a_refusal(form: Callable[[int, str, str], bytes]) -> None:
    raised = error(400, form(400, "Bad Request", "Tenant header missing"))
    assert isinstance(raised, CallRefused)
    assert raised.messages == ("Tenant header missing",)


def as_xml(name: str = "ApiException", about: str = "", before: str = "", **more: str) -> bytes:
    """Xero's refusal of an invoice in XML; `about` goes with the root, `before` comes before it."""
    prefix = name.rpartition(":")[0]
    x = f"{prefix}:" if prefix else ""
    inside = "".join(f"<{x}{tag}>{value}</{x}{tag}>" for tag, value in more.items())
    error = (
        "<~ValidationErrors><~ValidationError><~Message>{}</~Message></~ValidationError></~ValidationErrors>"
    )
    return (
        (
            f"{before}<{name} {about}>\n  <~ErrorNumber>10</~ErrorNumber>\n  <~Type>ValidationException</~Type>\n"
            "  <~Message>A validation exception occurred</~Message>\n  <~Elements><~DataContractBase>"
            + error.format("Invoice # must be unique.")
            + "<~InvoiceNumber>KX-1</~InvoiceNumber><~LineItems><~LineItem>"
            + error.format("Account code &apos;2&amp;0&apos; is wrong")
            + "</~LineItem><~LineItem/></~LineItems></~DataContractBase></~Elements>"
            f"{inside}</{name}>"
        )
        .replace("~", x)
        .encode()
    )


XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
DECLARED = '<?xml version="1.0" encoding="utf-8"?>\n'


@pytest.mark.parametrize(
    "text",
    [
        as_xml(),
        as_xml(about=XSI),
        as_xml(about='xmlns="http://schemas.example.com/xero"', before=DECLARED),
        as_xml("x:ApiException", 'xmlns:x="urn:xero"'),
        as_xml(before="<!-- from <Xero> -->\n  "),
        as_xml(before="\ufeff" + DECLARED),
        b"\r\n " + as_xml(before=DECLARED) + b"\n",
        as_xml(before='<?xml version="1.0" encoding="utf-16"?>').decode().encode("utf-16"),
        b"<Response><Status>ERROR</Status>" + as_xml() + b"</Response>",
        as_xml().replace(b"Invoice # must be unique.", b"<![CDATA[Invoice # must be unique.]]>"),
    ],
    ids=["bare", "type", "default", "prefix", "comment", "BOM", "space", "UTF-16", "wrapped", "CDATA"],
)
@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_refusal_in_xml_is_read_like_its_json(status: int, text: bytes) -> None:
    raised = error(status, text)
    assert isinstance(raised, CallRefused)
    assert raised.messages == ("Invoice # must be unique.", "Account code '2&0' is wrong")
    [element] = raised.elements
    one = answered("invoice", element)
    assert (one.number, one.explained) == ("KX-1", True)


def test_an_exception_in_xml_without_elements_has_its_message() -> None:
    raised = error(
        501,
        b"<ApiException><ErrorNumber>20</ErrorNumber><Type>ApiMethodNotImplementedException</Type>"
        b"<Message>The Api Method called is not implemented</Message></ApiException>",
    )
    assert isinstance(raised, CallRefused)
    assert raised.messages == ("The Api Method called is not implemented",)


BOMB = (
    b'<!DOCTYPE ApiException [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b"<ApiException><ErrorNumber>10</ErrorNumber><Message>&b;</Message></ApiException>"
)
NOT_XEROS = {
    "nothing": b"",
    "blank": b" \r\n",
    "HTML": HTML,
    "HTML without a type": b"<html><head><title>400 Bad Request</title></head><body>nginx</body></html>",
    "XHTML": b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body>Not allowed</body></html>',
    "HTML about it": b"<html><body>ApiException<br></body></html>",
    "another's XML": b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
    "XML that breaks off": as_xml()[:-20],
    "XML that says nothing": b"<ApiException/>",
    "XML with entities": BOMB,
    "XML without end": b"<ApiException>" + b"<a>" * 30_000,
    "XML that is too long": as_xml(Padding="x" * LONGEST_XML),
    "text": b"Bad Request",
    "no UTF-8": b"\xff\xfe\xfd",
    "a list": b"[]",
    "null": b"null",
    "an empty object": b"{}",
    "a gateway's JSON": b'{"message": "Forbidden"}',
    "an error of its own": b'{"error": {"code": 400, "message": "Invalid request", "errors": []}}',
    "a form's errors": b'{"errors": {"Invoices": ["is required"]}, "status": 400, "title": "Invalid"}',
    "others' problem details": (
        b'{"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "No", "instance": "/api"}'
    ),
    "half of Xero's": b'{"Title": "Bad Request", "Detail": "No"}',
    "a framework's": b'{"Message": "The request is invalid.", "ModelState": {}}',
    "a number alone": b'{"ErrorNumber": 10}',
    "nesting": b"[" * 100_000,
}


@pytest.mark.parametrize("text", NOT_XEROS.values(), ids=NOT_XEROS)
@pytest.mark.parametrize("status", [400, 402, 404, 405, 408, 409, 418, 422, 499])
def test_a_refusal_that_xero_did_not_write_leaves_the_outcome_unknown(status: int, text: bytes) -> None:
    raised = error(status, text)
    assert isinstance(raised, Unreadable)
    assert raised.answered, "the same key may bring the same answer"
    assert str(raised) == f"{status} with a body that is not Xero's"


@pytest.mark.parametrize("text", NOT_XEROS.values(), ids=NOT_XEROS)
def test_of_a_read_a_404_says_that_it_is_not_there_and_any_other_refusal_nothing(text: bytes) -> None:
    raised = error(404, text, read=True)
    assert isinstance(raised, CallRefused)
    assert (raised.status, raised.messages) == (404, ())
    assert isinstance(error(400, text, read=True), Unreadable)


@pytest.mark.parametrize("text", NOT_XEROS.values(), ids=NOT_XEROS)
def test_what_is_too_large_is_so_whoever_says_it(text: bytes) -> None:
    raised = error(413, text)
    assert isinstance(raised, CallRefused)
    assert (raised.status, raised.messages) == (413, ())


def test_xeros_own_page_for_what_is_nowhere_is_a_refusal() -> None:
    raised = error(404, b"The resource you're looking for cannot be found")
    assert isinstance(raised, CallRefused)
    assert raised.messages == ("the resource you're looking for cannot be found",)


def test_a_key_used_for_another_body_is_told_from_other_refusals() -> None:
    words = "The Idempotency Key provided is used with a different request"
    assert isinstance(error(400, refusal(message=words)), KeyReused)
    assert isinstance(error(400, lower(400, "Bad Request", words)), KeyReused)
    assert isinstance(error(400, as_xml(Message=words)), KeyReused)
    assert isinstance(error(400, words.encode()), KeyReused)


# --- 429


@pytest.mark.parametrize(
    ("problem", "limit"),
    [
        ("minute", "minute"),
        ("Minute", "minute"),
        ("day", "day"),
        ("concurrent", "concurrent"),
        ("Concurrency", "concurrent"),
        ("appminute", "app"),
        ("", "minute"),
        ("something new", "minute"),
    ],
)
def test_throttling_says_which_limit_and_how_long(problem: str, limit: str) -> None:
    for given, seconds in (
        ("27", 27.0),
        ("0", 0.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("9" * 20, None),
    ):
        raised = error(429, HTML, {"X-Rate-Limit-Problem": problem, "Retry-After": given})
        assert isinstance(raised, Throttled)
        assert (raised.limit, raised.retry_after) == (limit, seconds)
    assert error(429).retry_after is None  # type: ignore[attr-defined]


def test_what_is_left_is_read_from_headers_that_are_numbers() -> None:
    headers = {"X-MinLimit-Remaining": "12", "X-DayLimit-Remaining": "4999"}
    assert Limits.from_headers(headers) == Limits(12, 4999)
    for odd in (
        {},
        {"X-MinLimit-Remaining": ""},
        {"X-MinLimit-Remaining": "-1"},
        {"X-MinLimit-Remaining": "9" * 12},
    ):
        assert Limits.from_headers(odd) == Limits(None, None)


# --- 5xx and what nobody documents


@pytest.mark.parametrize(
    ("text", "organisation_only"),
    [
        (b"The Xero API is currently offline for maintenance", False),
        (b"The Organisation is offline", True),
        (b"the organisation is OFFLINE", True),
        (b"", False),
        (HTML, False),
    ],
)
def test_offline_says_whether_all_of_xero_is(text: bytes, organisation_only: bool) -> None:
    raised = error(503, text)
    assert isinstance(raised, Offline)
    assert (raised.organisation_only, raised.answered) == (organisation_only, True)


@pytest.mark.parametrize(
    "text", [envelope(500, "An error occurred", "An error occurred in Xero."), b"", HTML]
)
@pytest.mark.parametrize("status", [500, 502, 504, 201, 204, 301, 302, 307, 599])
def test_any_other_answer_leaves_the_outcome_unknown_and_the_key_of_no_use(status: int, text: bytes) -> None:
    raised = error(status, text)
    assert type(raised) is OutcomeUnknown
    assert raised.answered


def test_no_error_carries_more_of_an_answer_than_it_needs() -> None:
    secret = b"Bearer eyJhbGciOiJSUzI1NiJ9.secret"
    for status in (200, 429, 500, 502, 503):
        assert "secret" not in str(error(status, secret))


# --- one document of an answer


def invoice(**changes: Any) -> dict[str, Any]:
    return {
        "InvoiceID": GUID,
        "InvoiceNumber": "KX-1",
        "Status": "DRAFT",
        "StatusAttributeString": "OK",
        "HasErrors": False,
        "Total": Decimal("61.95"),
        "SubTotal": 51,
        "CurrencyCode": "GBP",
        "Reference": "5C1F",
        "Contact": {"ContactID": "c-1", "ValidationErrors": []},
        "LineItems": [{"ValidationErrors": []}],
    } | changes


def test_an_accepted_document_is_read_whole() -> None:
    found = answered("invoice", invoice(Warnings=[{"Message": "Item is low"}, "x", {}]))
    assert found.ok
    assert (found.id, found.number, found.status, found.currency) == (GUID, "KX-1", "DRAFT", "GBP")
    assert (found.total, found.net, found.contact_id, found.reference) == (
        Decimal("61.95"),
        Decimal(51),
        "c-1",
        "5C1F",
    )
    assert (found.messages, found.explained, found.warnings) == ((), False, ("Item is low", ""))
    order = {"PurchaseOrderID": GUID, "PurchaseOrderNumber": "KX-1"}
    assert answered("purchase_order", order).ok


@pytest.mark.parametrize(
    "changes",
    [
        {"ValidationErrors": [{"Message": "Invoice # must be unique."}]},
        {
            "LineItems": [
                {"ValidationErrors": []},
                {"ValidationErrors": [{"Message": "Account code '1' is wrong"}]},
            ]
        },
        {"Contact": {"ValidationErrors": [{"Message": "The contact is archived"}]}},
    ],
)
def test_a_refusal_anywhere_in_a_document_refuses_it_in_xeros_words(changes: dict[str, Any]) -> None:
    found = answered("invoice", invoice(**changes))
    assert not found.ok
    assert found.explained
    assert len(found.messages) == 1


@pytest.mark.parametrize(
    "changes",
    [{"StatusAttributeString": "ERROR"}, {"InvoiceID": NO_ID}, {"InvoiceID": ""}, {"InvoiceID": None}],
)
def test_each_sign_alone_refuses_a_document_even_without_words(changes: dict[str, Any]) -> None:
    found = answered("invoice", invoice(**changes))
    assert not found.ok
    assert (found.explained, len(found.messages)) == (False, 1)


@pytest.mark.parametrize(
    "element",
    [
        {},
        {"Contact": None, "Warnings": None, "ValidationErrors": None, "LineItems": None},
        {"Contact": "x", "Total": "12", "SubTotal": True, "Warnings": []},
        {"InvoiceNumber": 7, "Status": None, "Reference": None},
        {"Contact": [], "LineItems": {}, "Warnings": 7, "ValidationErrors": 7},
    ],
)
def test_an_odd_element_is_refused_and_not_a_crash(element: dict[str, Any]) -> None:
    found = answered("invoice", element)
    assert not found.ok
    assert (found.total, found.net) == (None, None)


def test_every_validation_error_is_found_once_in_the_order_it_stands() -> None:
    element = {
        "ValidationErrors": [{"Message": "a"}, {"Message": "b"}, {"Message": "a"}, {}, None],
        "LineItems": [
            {"ValidationErrors": [{"Message": "c"}]},
            {"Tracking": [{"ValidationErrors": [{"Message": "d"}]}], "ValidationErrors": [{"Message": "b"}]},
        ],
    }
    assert list(validation_errors(element)) == ["a", "b", "c", "d"]
    odd_ones: list[Any] = [
        None,
        "x",
        3,
        [],
        [[]],
        {"ValidationErrors": []},
        {"ValidationErrors": {"Message": "x"}},
    ]
    for odd in odd_ones:
        assert list(validation_errors(odd)) == []


def test_errors_nested_deeper_than_a_stack_allows_are_found() -> None:
    element: dict[str, Any] = {"ValidationErrors": [{"Message": "deep"}]}
    for _ in range(5000):
        element = {"Inner": [element]}
    assert list(validation_errors(element)) == ["deep"]

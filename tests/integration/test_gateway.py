"""The HTTP API here does what API Gateway documents: at the wire, in front of a function of the test."""

from __future__ import annotations

import base64
import copy
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from local.expand import expanded
from local.gateway import GatewayServer, Route, routes
from local.processes import free_port
from local.triggers import TooManyAtOnce

TEMPLATE: dict[str, Any] = {
    "Transform": "AWS::Serverless-2016-10-31",
    "Resources": {
        "PageFunction": {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Handler": "app.handler",
                "CodeUri": "functions/page/",
                "Events": {
                    name: {"Type": "HttpApi", "Properties": {"Method": method, "Path": path}}
                    for name, method, path in [
                        ("Order", "GET", "/api/{company}/orders/{id}"),
                        ("Retry", "POST", "/api/{company}/orders/retry"),
                        ("RetryOne", "POST", "/api/{company}/orders/{id}"),
                        ("Assets", "GET", "/static/{file+}"),
                        ("Health", "ANY", "/health"),
                    ]
                },
            },
        }
    },
}


class Page:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.returns: tuple[bool, Any] = (True, {"statusCode": 200, "body": "fine"})
        self.raises: Exception | None = None

    def __call__(self, function: str, payload: bytes) -> tuple[bool, bytes]:
        assert function == "PageFunction"
        self.events.append(json.loads(payload))
        if self.raises:
            raise self.raises
        return self.returns[0], json.dumps(self.returns[1]).encode()


@pytest.fixture
def page() -> Page:
    return Page()


@contextmanager
def serving(found: list[Route], page: Page) -> Iterator[str]:
    port = free_port()
    server = GatewayServer(port, found, page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://localhost:{port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def url(page: Page) -> Iterator[str]:
    with serving(routes(expanded(TEMPLATE)), page) as address:
        yield address


def test_a_request_becomes_an_event_in_format_2(url: str, page: Page) -> None:
    requests.get(f"{url}/api/7/orders/A%2F1?status=a&status=b&x=", headers={"Cookie": "a=1; b=2"}, timeout=5)
    [event] = page.events
    assert event["version"] == "2.0"
    assert event["routeKey"] == "GET /api/{company}/orders/{id}"
    assert event["pathParameters"] == {"company": "7", "id": "A/1"}
    assert event["queryStringParameters"] == {"status": "a,b", "x": ""}
    assert event["rawQueryString"] == "status=a&status=b&x="
    assert event["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in event["headers"]
    assert event["requestContext"]["http"]["method"] == "GET"
    assert f"http://{event['requestContext']['domainName']}" == url
    assert "body" not in event
    assert event["isBase64Encoded"] is False


def test_json_comes_as_text_and_a_form_comes_encoded(url: str, page: Page) -> None:
    requests.post(f"{url}/health", json={"a": "é"}, timeout=5)
    requests.post(f"{url}/health", data={"token": "t"}, timeout=5)
    assert json.loads(page.events[0]["body"]) == {"a": "é"}
    assert page.events[1]["isBase64Encoded"] is True
    assert base64.b64decode(page.events[1]["body"]) == b"token=t"


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/api/7/orders/retry", "POST /api/{company}/orders/retry"),
        ("POST", "/api/7/orders/8", "POST /api/{company}/orders/{id}"),
        ("GET", "/static/js/form.js", "GET /static/{file+}"),
        ("DELETE", "/health", "ANY /health"),
    ],
)
def test_the_most_exact_route_answers(url: str, page: Page, method: str, path: str, route: str) -> None:
    assert requests.request(method, url + path, timeout=5).status_code == 200
    assert [event["routeKey"] for event in page.events] == [route]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("PUT", "/api/7/orders/8"), ("GET", "/api/7/orders/8/x")]
)
def test_what_no_route_answers_is_not_found(url: str, page: Page, method: str, path: str) -> None:
    response = requests.request(method, url + path, timeout=5)
    assert (response.status_code, response.json()) == (404, {"message": "Not Found"})
    assert page.events == []


def test_every_cookie_of_an_answer_is_set(url: str, page: Page) -> None:
    page.returns = (
        True,
        {"statusCode": 303, "headers": {"Location": "/x"}, "cookies": ["a=1; Path=/", "b=2; Path=/"]},
    )
    response = requests.get(f"{url}/health", allow_redirects=False, timeout=5)
    assert response.status_code == 303
    assert response.headers["location"] == "/x"
    assert response.raw.headers.getlist("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]


def test_an_encoded_body_comes_decoded(url: str, page: Page) -> None:
    page.returns = (
        True,
        {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(b"\x89PNG").decode()},
    )
    assert requests.get(f"{url}/health", timeout=5).content == b"\x89PNG"


def test_an_answer_without_a_status_is_json(url: str, page: Page) -> None:
    page.returns = (True, {"hello": 1})
    response = requests.get(f"{url}/health", timeout=5)
    assert (response.status_code, response.json()) == (200, {"hello": 1})


@pytest.mark.parametrize("returns", [(False, {"errorMessage": "secret"}), (True, {"statusCode": "often"})])
def test_a_failed_function_is_an_error_without_details(
    url: str, page: Page, returns: tuple[bool, Any]
) -> None:
    page.returns = returns
    response = requests.get(f"{url}/health", timeout=5)
    assert (response.status_code, response.json()) == (500, {"message": "Internal Server Error"})


def test_a_body_too_large_for_a_function_is_refused(url: str, page: Page) -> None:
    response = requests.post(f"{url}/health", data=b"x" * (7 * 1024 * 1024), timeout=30)
    assert response.status_code == 413
    assert page.events == []


def test_requests_beyond_a_route_s_own_throttle_are_refused_and_other_routes_go_on(page: Page) -> None:
    limits = {"ThrottlingBurstLimit": 3, "ThrottlingRateLimit": 1}
    api = {
        "Type": "AWS::Serverless::HttpApi",
        "Properties": {
            "DefaultRouteSettings": {"ThrottlingBurstLimit": 100, "ThrottlingRateLimit": 100},
            "RouteSettings": {"ANY /health": limits},
        },
    }
    own = copy.deepcopy(TEMPLATE)
    own["Resources"]["HttpApi"] = api
    for event in own["Resources"]["PageFunction"]["Properties"]["Events"].values():
        event["Properties"]["ApiId"] = {"Ref": "HttpApi"}
    with serving(routes(expanded(own)), page) as url:
        asked = [requests.get(f"{url}/health", timeout=5).status_code for _ in range(6)]
        assert requests.get(f"{url}/static/page.js", timeout=5).status_code == 200
        time.sleep(1.1)
        again = requests.get(f"{url}/health", timeout=5).status_code
    assert asked == [200] * 3 + [429] * 3
    assert again == 200


def test_no_function_to_run_is_an_answer_of_503(url: str, page: Page) -> None:
    page.raises = TooManyAtOnce()
    answer = requests.get(f"{url}/health", timeout=5)
    assert (answer.status_code, answer.json()) == (503, {"message": "Service Unavailable"})

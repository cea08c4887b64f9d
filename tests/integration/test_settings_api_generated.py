"""The settings API against requests that nobody wrote by hand: no server error, no answer without a session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from itertools import count, cycle
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from moto import mock_aws
from schemathesis import Case, checks

from local.samples import Maker
from tests.integration.one_process import OneProcess, in_memory
from tests.integration.popup import ORIGIN, Browser, Popup, http_event
from tests.integration.test_settings_page import COMPANY, ROUTES
from tests.integration.test_settings_page_at_work import FITTING

EXAMPLES = 15
OPERATIONS = sorted(
    {(method, f"/api/{{company}}/{path.replace('61530418', '{order_id}')}") for method, path, _ in ROUTES}
)


def wsgi(popup: Popup) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """What API Gateway does between a request and the function."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_") and name != "HTTP_COOKIE"
        }
        if environ.get("CONTENT_TYPE"):
            headers["content-type"] = environ["CONTENT_TYPE"]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = environ.get("PATH_INFO", "/").encode("latin-1").decode("utf-8", "replace")
        event = http_event(
            environ["REQUEST_METHOD"],
            path,
            body=body.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()
            if body
            else None,
            headers=headers,
            cookies=[part.strip() for part in environ.get("HTTP_COOKIE", "").split(";") if part.strip()],
        )
        # a path may hold a question mark, which is part of it here
        event["rawPath"], event["rawQueryString"] = path, environ.get("QUERY_STRING", "")
        answer = popup.send(event)
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(answer.headers.items()))
        return [answer.body.encode()]

    return serve


@pytest.fixture(scope="module")
def office() -> Iterator[Browser]:
    """A company at work, with an order of each kind."""
    with mock_aws():
        popup = Popup(OneProcess(tables=in_memory))
        world = popup.world
        browser = popup.browser()
        browser.app()
        uk = world.organisation("Demo Company (UK)")
        browser.connect(uk)
        browser.save(**FITTING, contact_name=world.contact(uk))
        make = Maker(61530418)
        world.send(make.order(COMPANY, 1), make.order(COMPANY, 2, sale_datetime="never"))
        world.run()
        yield browser


@pytest.fixture(scope="module")
def schema(office: Browser) -> Any:
    return schemathesis.openapi.from_wsgi("/api/openapi.json", wsgi(office.popup))


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=str)
def test_no_request_makes_a_server_error_or_goes_round_the_session(
    office: Browser, schema: Any, method: str, path: str
) -> None:
    operation = schema[path][method]
    name = office.cookie.partition("=")[0]
    # who logs out is somebody else each time
    users = (f"user {number}" for number in count())
    statuses: set[int] = set()
    known = cycle((True, False))

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def knock(case: Case[Any]) -> None:
        case.path_parameters = {**(case.path_parameters or {}), "company": COMPANY}
        if "order_id" in case.path_parameters and next(known):
            case.path_parameters["order_id"] = "61530419"
        case.headers.update({"origin": ORIGIN, "sec-fetch-site": "same-origin"})
        leaving = office.popup.browser(user=next(users)) if path.endswith("/session") else office
        case.cookies.update({name: leaving.cookie.partition("=")[2]})
        response = case.call()
        statuses.add(response.status_code)
        declared = [
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_schema_conformance,
        ]
        case.validate_response(response, checks=[checks.not_a_server_error, checks.ignored_auth, *declared])

    knock()
    assert 401 not in statuses
    assert statuses & {200, 409, 422}

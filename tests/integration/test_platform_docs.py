"""What docs/ tells the platform's engineers: its examples run, and its tables name all that the code may answer."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest
from botocore import xform_name
from moto import mock_aws

from bookkeeping.domain import order_message, orders, page_access
from bookkeeping.domain.events import DETAILS
from bookkeeping.domain.page_access import Refusal
from local.expand import source
from tests.integration.one_process import OneProcess, in_memory
from tests.integration.popup import AUDIENCE, PLATFORM, Popup
from tests.integration.test_launch import BAD_TOKENS, FOREIGN, FORMS
from tests.schemas import check_event, order_complaints, schema

DOCS = Path(__file__).parents[2] / "docs"
SENDING, POPUP, EVENTS = ((DOCS / f"{name}.md").read_text() for name in ("sending-orders", "popup", "events"))
COMPANY = "412077"


def examples(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def cells(page: str, heading: str) -> list[str]:
    """What stands in code in the first column of the tables under a heading."""
    section = re.split(r"^#+ ", page, flags=re.MULTILINE)
    [found] = [part for part in section if part.startswith(f"{heading}\n")]
    return [
        name
        for row in re.findall(r"^\| (`.*?) \|", found, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", row)
    ]


@pytest.fixture(scope="module")
def popup() -> Iterator[Popup]:
    with mock_aws():
        yield Popup(OneProcess(tables=in_memory))


@pytest.fixture
def world() -> Iterator[OneProcess]:
    with mock_aws():
        world = OneProcess(tables=in_memory)
        world.company(COMPANY)
        yield world


# --- sending orders ----------------------------------------------------------------------------------------------


def smallest_order() -> dict[str, Any]:
    [text] = examples(SENDING, "json")
    read: dict[str, Any] = json.loads(text)
    return read


def ends(world: OneProcess, order: dict[str, Any]) -> str:
    world.send(order)
    world.run()
    entry = world.orders.get(COMPANY, str(order["id"]))
    return "" if entry is None else str(entry.state)


def test_the_smallest_order_is_posted(world: OneProcess) -> None:
    order = smallest_order()
    assert order_complaints(order) == []
    assert ends(world, order) == "posted"
    [event] = world.bus.of("OrderPosted")
    assert [document["total"] for document in event["documents"]] == ["30.00"]


def test_nothing_of_the_smallest_order_can_be_left_out(world: OneProcess) -> None:
    order = smallest_order()
    [line] = order["items"]
    less: list[dict[str, Any]] = [
        *(
            {name: value for name, value in order.items() if name != left_out}
            for left_out in order
            if left_out != "id"
        ),
        *(order | {"items": [{n: v for n, v in line.items() if n != left_out}]} for left_out in line),
    ]
    for number, one in enumerate(less):
        assert ends(world, one | {"id": 1000 + number}) in ("", "needs_attention"), one
    assert world.send({name: value for name, value in order.items() if name != "id"}).unreadable == 1


def test_the_orders_of_both_examples_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = smallest_order()
    with mock_aws():
        sqs = boto3.client("sqs")
        url = sqs.create_queue(QueueName="orders")["QueueUrl"]
        [python] = examples(SENDING, "python")
        namespace: dict[str, Any] = {}
        exec(python, namespace)
        namespace["send_order"](url, order)
        [command] = examples(SENDING, "sh")
        (tmp_path / "order.json").write_text(json.dumps(order))
        monkeypatch.chdir(tmp_path)
        run_command(command.replace("$ORDERS_QUEUE_URL", url))
        received = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId"]
        )["Messages"]
    assert [json.loads(message["Body"]) for message in received] == [order, order]
    assert [message["Attributes"]["MessageGroupId"] for message in received] == [COMPANY, COMPANY]


def run_command(command: str) -> None:
    """What the AWS command line makes of a command: options are the parameters' names with hyphens."""
    aws, service, operation, *options = shlex.split(command)
    assert aws == "aws"
    client = boto3.client(service)  # type: ignore[call-overload]  # its name is in the docs
    method = operation.replace("-", "_")
    operations = client.meta.service_model
    members = operations.operation_model(client.meta.method_to_api_mapping[method]).input_shape.members
    by_option = {f"--{xform_name(name, '-')}": name for name in members}
    given = dict(zip(options[::2], options[1::2], strict=True))
    read = {
        by_option[option]: Path(value.removeprefix("file://")).read_text() if "file://" in value else value
        for option, value in given.items()
    }
    getattr(client, method)(**read)


def test_the_table_of_fields_names_all_that_are_read() -> None:
    described = {
        name.removeprefix("items[].")
        for heading in ("What is read of an order", "Amounts")
        for name in cells(SENDING, heading)
    }
    amounts = {
        name
        for row in re.findall(r"^\| .* \| (`.*) \|$", SENDING, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    defined = schema("order")["$defs"]
    fields = defined["order"]["properties"].keys() | defined["line"]["properties"].keys()
    assert described <= fields <= described | amounts


def test_the_table_of_problems_names_all_that_a_message_can_have() -> None:
    code = inspect.getsource(orders) + inspect.getsource(order_message)
    raised = set(re.findall(r'(?:_stopped|Problem|unreadable)\(\s*"([a-z_]+)"', code))
    assert set(cells(SENDING, "What is refused")) == raised


# --- the popup ---------------------------------------------------------------------------------------------------


def test_a_token_signed_as_in_the_example_opens_the_popup(popup: Popup) -> None:
    [python] = examples(POPUP, "python")
    namespace: dict[str, Any] = {}
    exec(python, namespace)
    namespace["time"] = SimpleNamespace(time=lambda: popup.world.clock.now().timestamp())
    namespace["boto3"] = SimpleNamespace(client=lambda _: popup.world.secrets)
    key = namespace["launch_key"](popup.page.launch_key._name)
    token = namespace["launch_token"](key, AUDIENCE, "42", "Ada Moore", int(COMPANY), "Thistle & Thread")
    answer = popup.request(
        "POST",
        "/launch",
        body=urlencode({"token": token}),
        headers={"content-type": "application/x-www-form-urlencoded", "origin": PLATFORM},
    )
    assert (answer.status, answer.headers["location"]) == (303, f"/settings/{COMPANY}")


def test_the_table_of_refused_launches_names_every_reason_there_is() -> None:
    rows = [
        re.compile(re.sub("<[a-z]+>", r"\\S+", re.escape(cell).replace(r"\<", "<").replace(r"\>", ">")))
        for cell in cells(POPUP, "When a launch is refused")
    ]
    reasons = {why for _, why in BAD_TOKENS.values()} | {
        f"launch_origin: {why}" for _, why in FOREIGN.values()
    }
    reasons |= {"launch_used: jti was used before", *(f"launch_refused: {why}" for why in FORMS.values())}
    for why in reasons:
        assert len([row for row in rows if row.fullmatch(why)]) == 1, why
    assert [row.pattern for row in rows if not any(map(row.fullmatch, reasons))] == []


def test_the_table_of_the_api_s_errors_names_every_code() -> None:
    app = (DOCS.parent / "functions" / "settings_page" / "app.py").read_text()
    refusals = {one.code for one in vars(page_access).values() if isinstance(one, Refusal)}
    codes = set(re.findall(r'_error\(\s*"([a-z_]+)"', app)) | refusals
    assert set(cells(POPUP, "The popup's API")) == {code for code in codes if not code.startswith("launch_")}


def test_the_parameters_and_outputs_that_the_pages_name_are_the_template_s() -> None:
    template = source()
    outputs = template["Outputs"].keys()
    assert {"LaunchOrigins", "LaunchIssuer"} <= template["Parameters"].keys()
    for page, named in (
        (SENDING, {"OrdersQueueUrl", "OrdersQueueArn"}),
        (POPUP, {"ApiUrl", "LaunchKey"}),
        (EVENTS, {"EventBus"}),
    ):
        assert named <= outputs
        assert all(name in page for name in named)


# --- events ------------------------------------------------------------------------------------------------------


def test_every_event_is_named_with_its_schema() -> None:
    assert set(re.findall(r"^\| \[`(\w+)`\]\(schemas/\1\.json\) \|", EVENTS, re.MULTILINE)) == set(DETAILS)


def test_the_example_of_an_event_is_one_and_the_patterns_take_it_or_not(world: OneProcess) -> None:
    event, everything, for_people = map(json.loads, examples(EVENTS, "json"))
    check_event(event["detail-type"], event["detail"])
    world.send(smallest_order())
    world.run()
    [published] = world.bus.of("OrderPosted")
    assert published.keys() - {"type"} == event["detail"].keys()
    takes = [
        all(event[key] in wanted for key, wanted in pattern.items()) for pattern in (everything, for_people)
    ]
    assert takes == [True, False]
    assert set(for_people["detail-type"]) < set(DETAILS)

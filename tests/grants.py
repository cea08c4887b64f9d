"""Which calls to AWS each function makes while the suite runs, held against what its role may do.

A call is noted as IAM sees it: the action, the resource by its name in the template, and in the two tables whose rows
are of many kinds the kind of row (`dynamodb:LeadingKeys`). Every test adds to what is noted. Where the whole suite has
run, the two are compared at its end: a call that the role forbids fails it, and so does a grant that nothing needed.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import pytest
from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder
from botocore.endpoint import Endpoint

from local.expand import ROOT, expanded, source

NOTED = ROOT / ".local" / "calls-to-aws"
OF_MANY_KINDS = ("ConnectionsTable", "AuthorizationsTable")
"""Tables whose partition keys begin with the kind of row. In the others they begin with a company's number."""
IN_ITS_NAME = frozenset(
    {
        # Lambda writes the log and reads the queues with the function's role
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
    }
)
"""What AWS does in a function's name, so that no test can see it."""

SENT_WITH = ("identity ${MailFrom}", "identity ${Domain}", "configuration-set ${AWS::StackName}")
"""What a mail is sent with."""

FOUND = pytest.StashKey[list[str]]()


class Use(NamedTuple):
    """A call. `key` is its row's kind, or "" where rows have no kinds."""

    function: str
    action: str
    resource: str
    key: str = ""


class Grant(NamedTuple):
    """A statement of a role, for one resource. Without `keys`, it is about every row."""

    function: str
    actions: tuple[str, ...]
    resource: str
    keys: tuple[str, ...] = ()

    def allows(self, use: Use) -> bool:
        about = (self.function, self.resource) == (use.function, use.resource) and use.action in self.actions
        return about and (not self.keys or any(fnmatchcase(use.key, key) for key in self.keys))


# --- what the functions do

noted: set[Use] = set()
_acting: list[str] = []
_others: list[str] = []
_threads = threading.local()
"""What other threads act as; where they say nothing, as the first one does, or else as any that does."""


def _own() -> list[str]:
    if threading.current_thread() is threading.main_thread():
        return _acting
    own: list[str] = _threads.__dict__.setdefault("acting", [])
    return own


def _function() -> str:
    return next((stack[-1] for stack in (_own(), _acting, _others) if stack), "")


@contextmanager
def acting_as(function: str) -> Iterator[None]:
    """Calls within are this function's. One function may invoke another; "" is nobody."""
    own = _own()
    own.append(function)
    _others.append(function)
    try:
        yield
    finally:
        own.pop()
        _others.remove(function)


def note(action: str, resource: str, key: str = "") -> None:
    if function := _function():
        kind, hash_, _ = key.partition("#")
        of_many_kinds = resource.partition("/")[0] in OF_MANY_KINDS
        noted.add(Use(function, action, resource, kind + hash_ if of_many_kinds else ""))


def note_invocation(name: str) -> None:
    note(
        "lambda:InvokeFunction", "".join(map(str.capitalize, name.partition(":")[0].split("_"))) + "Function"
    )


def _secret(name: str) -> str:
    return f"secret */{name.rpartition('/')[2]}"


def _queue(url: str) -> str:
    name = url.rpartition("/")[2]
    return {"posting": "PostingQueue", "backlog": "BacklogQueue"}.get(name, name)


def _note(service: str, operation: str, body: Mapping[str, Any]) -> None:
    """A request as it is sent, or with its values as Python has them."""
    if service == "dynamodb":
        _note_dynamodb(operation, body)
    elif service == "secretsmanager":
        note(f"secretsmanager:{operation}", _secret(body.get("SecretId") or body["Name"]))
    elif service == "sqs":
        # IAM knows one permission for a message and for ten
        note(f"sqs:{operation.removesuffix('Batch')}", _queue(body["QueueUrl"]))
    elif service == "events":
        note("events:PutEvents", "EventBus")
    elif service == "sesv2":
        # SES asks for the right to send from the identity, which may be the address or its domain, and by the set
        for resource in SENT_WITH:
            note(f"ses:{operation}", resource)


def _note_dynamodb(operation: str, body: Mapping[str, Any]) -> None:
    if operation == "TransactWriteItems":
        for part in body["TransactItems"]:
            for kind, request in part.items():
                action = "ConditionCheckItem" if kind == "ConditionCheck" else f"{kind}Item"
                note(f"dynamodb:{action}", request["TableName"], _leading(request))
    elif operation == "BatchGetItem":
        for table, wanted in body["RequestItems"].items():
            for key in wanted["Keys"]:
                note("dynamodb:BatchGetItem", table, _leading({"Key": key}))
    elif operation == "BatchWriteItem":
        for table, requests in body["RequestItems"].items():
            for request in requests:
                for inner in request.values():
                    note("dynamodb:BatchWriteItem", table, _leading(inner))
    elif operation == "Query":
        index = f"/index/{body['IndexName']}" if "IndexName" in body else ""
        note("dynamodb:Query", body["TableName"] + index, _partition(body))
    else:
        note(f"dynamodb:{operation}", body["TableName"], _leading(body))


def _partition(query: Mapping[str, Any]) -> str:
    """The partition that is queried: the condition's first value, which is compared by "="."""
    condition = query["KeyConditionExpression"]
    if isinstance(condition, ConditionBase):
        built = ConditionExpressionBuilder().build_expression(condition, is_key_condition=True)
        values, condition = built.attribute_value_placeholders, built.condition_expression
    else:
        values = query["ExpressionAttributeValues"]
    first = re.search(r"= (:\w+)", condition)
    assert first, condition
    return _text(values[first[1]])


def _leading(request: Mapping[str, Any]) -> str:
    row = request["Item"] if "Item" in request else request["Key"]
    return _text(row.get("pk", ""))


def _text(value: Any) -> str:
    return str(value["S"] if isinstance(value, Mapping) else value)


def _listen(patch: pytest.MonkeyPatch) -> None:
    """Note what leaves by boto3, and what the stand-ins in memory are asked."""
    # they import this module, to say which function acts
    from tests.integration import one_process
    from tests.storms import dynamodb, secrets_manager

    patch.setattr(Endpoint, "make_request", _sent(Endpoint.make_request))
    for operation in ("get_item", "put_item", "update_item", "delete_item", "query"):
        _listen_to(patch, dynamodb.Table, "dynamodb", operation)
    for operation in ("batch_get_item", "batch_write_item", "transact_write_items"):
        _listen_to(patch, dynamodb.DynamoDB, "dynamodb", operation)
    for operation in ("get_secret_value", "create_secret", "put_secret_value", "update_secret_version_stage"):
        _listen_to(patch, secrets_manager.SecretsManager, "secretsmanager", operation)
    for operation in ("send_message", "send_message_batch"):
        _listen_to(patch, one_process.Queue, "sqs", operation)
    _listen_to(patch, one_process.Bus, "events", "put_events")


def _sent(real: Callable[..., Any]) -> Callable[..., Any]:
    def make_request(endpoint: Endpoint, operation: Any, request: Mapping[str, Any]) -> Any:
        if _function():
            service = operation.service_model.service_name
            if service == "lambda":
                note_invocation(request["url_path"].split("/")[3])
            else:
                _note(service, operation.name, json.loads(request.get("body") or "{}"))
        return real(endpoint, operation, request)

    return make_request


def _listen_to(patch: pytest.MonkeyPatch, kind: type, service: str, name: str) -> None:
    real = getattr(kind, name)
    asked = list(inspect.signature(real).parameters)[1:]
    operation = "".join(map(str.capitalize, name.split("_")))

    @functools.wraps(real)
    def listened(stand_in: Any, *parts: Any, **request: Any) -> Any:
        if _function():
            whole = dict(zip(asked, parts, strict=False)) | request
            _note(service, operation, whole | {"TableName": getattr(stand_in, "name", "")})
        return real(stand_in, *parts, **request)

    patch.setattr(kind, name, listened)


# --- pytest asks


def pytest_configure(config: pytest.Config) -> None:
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    _listen(patch)
    if not hasattr(config, "workerinput"):
        shutil.rmtree(NOTED, ignore_errors=True)
        NOTED.mkdir(parents=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    worker = getattr(session.config, "workerinput", {"workerid": "alone"})["workerid"]
    (NOTED / f"{worker}.json").write_text(json.dumps(sorted(noted), indent=0))
    if worker == "alone" and exitstatus == pytest.ExitCode.OK and _is_whole(session.config):
        session.config.stash[FOUND] = compared()
        if session.config.stash[FOUND]:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_whole(config: pytest.Config) -> bool:
    # without its cache, pytest does not know "lf"
    names = ("keyword", "markexpr", "deselect", "ignore", "lf")
    chosen = any(config.getoption(name, default=None) for name in names)
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS and not chosen


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if FOUND in config.stash:
        terminalreporter.section("what the functions' roles may do")
        for line in config.stash[FOUND] or ["everything they need, and nothing else"]:
            terminalreporter.write_line(line)


# --- what the template grants


def granted(template: Mapping[str, Any]) -> Iterator[Grant]:
    """Every grant of every function's role."""
    resources = template["Resources"]
    for name, it in resources.items():
        if it["Type"] != "AWS::Lambda::Function":
            continue
        function = re.sub(r"(?<!^)(?=[A-Z])", "_", name.removesuffix("Function")).lower()
        role = resources[it["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                for resource in _listed(statement["Resource"]):
                    actions = tuple(_listed(statement["Action"]))
                    yield Grant(function, actions, _named(resource), _keys(statement))


def _keys(statement: Mapping[str, Any]) -> tuple[str, ...]:
    if "Condition" not in statement:
        return ()
    condition = statement["Condition"]
    if statement["Action"] == "ses:SendEmail":
        assert condition == {"StringEquals": {"ses:FromAddress": {"Ref": "MailFrom"}}}, condition
        return ()
    # without the second, a request that names no key at all would pass
    assert condition.keys() == {"ForAllValues:StringLike", "Null"}, condition
    assert condition["Null"] == {"dynamodb:LeadingKeys": "false"}, condition
    return tuple(_listed(condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]))


def _named(resource: Any) -> str:
    """A resource of a statement by its name in the template."""
    match resource:
        case {"Fn::GetAtt": [name, *_]} | {"Ref": name}:
            return str(name)
        case {"Fn::If": ["MakesLaunchKey", *_]}:
            return "secret */launch"
        case {"Fn::Sub": [text, *_]} | {"Fn::Sub": text} if ":ses:" in text:
            return re.sub(r"^.*:([a-z-]+)/", r"\1 ", text)
        case {"Fn::Sub": text}:
            if secret := re.search(r":secret:\$\{AWS::StackName\}/(\S+?)(-\?{6})?$", text):
                return _secret(secret[1])
            if table := re.search(r":table/\$\{(\w+)Name\.Value\}(.*)$", text):
                return table[1] + table[2]
            return re.sub(r"\$\{(\w+)\.Arn\}:live", r"\1", text)
    raise AssertionError(resource)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def forbidden(uses: Iterable[Use], grants: Sequence[Grant]) -> list[str]:
    return sorted(
        f"{use.function} does what its role forbids: {use.action} {use.resource} {use.key}"
        for use in uses
        if not any(grant.allows(use) for grant in grants)
    )


def unneeded(uses: Sequence[Use], grants: Iterable[Grant]) -> list[str]:
    """What nothing needs: an action of a statement, or a kind of row that none of its actions is about.

    The actions of one statement share its kinds of rows: a transaction has actions on several, and AWS does not say
    whether it looks at each by itself.
    """
    found: set[str] = set()
    for grant in grants:
        allowed = [use for use in uses if grant.allows(use)]
        actions = set(grant.actions) - IN_ITS_NAME - {use.action for use in allowed}
        keys = {key for key in grant.keys if not any(fnmatchcase(use.key, key) for use in allowed)}
        found |= {f"{grant.function} never needs {what} {grant.resource}" for what in actions | keys}
    return sorted(found)


def compared() -> list[str]:
    """What is wrong with the template's roles, by what was noted."""
    uses = sorted({Use(*use) for file in NOTED.glob("*.json") for use in json.loads(file.read_text())})
    grants = list(granted(expanded(source())))
    return forbidden(uses, grants) + unneeded(uses, grants)

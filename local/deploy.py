"""Deploys the expanded template to ministack, without what ministack lacks and `local` does instead."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from local.aws import REGION, Ministack
from local.build import layer_folder, task_folder
from local.expand import ROOT, Template, expanded, function_of, source
from local.gateway import Route, routes
from local.processes import pids_folder

STACK = "kornit-xero"
CODE_BUCKET = "artifacts"
SHORTEST_TIME_OUT = 10

BOOTSTRAP = """\
#!/bin/sh
exec >>'{log}' 2>&1
echo started >'{pids}'/$$
cd '{task}' || exit 1
export PYTHONPATH='{libraries}' PYTHONPYCACHEPREFIX='{cache}' PYTHONUNBUFFERED=1
export AWS_LAMBDA_LOG_FORMAT=JSON
exec '{python}' -m awslambdaric "$_HANDLER"
"""


@dataclass(frozen=True)
class QueueTrigger:
    """A function that is given a queue's messages."""

    function: str
    queue: str
    batch_size: int
    window: timedelta
    at_once: int
    reports_failures: bool
    hidden_for: timedelta
    """How long a message that was received is hidden from others."""


@dataclass(frozen=True)
class Schedule:
    function: str
    every: timedelta


@dataclass(frozen=True)
class Places:
    """Where a system keeps what its functions write."""

    root: Path
    state: Path

    def log(self, function: str) -> Path:
        return self.state / "logs" / f"{function}.log"

    def pids(self, function: str) -> Path:
        return pids_folder(self.state) / function


@dataclass(frozen=True)
class Plan:
    """The template for this machine, and what runs beside ministack."""

    template: Template
    functions: tuple[str, ...]
    layers: tuple[str, ...]
    queue_triggers: tuple[QueueTrigger, ...]
    schedules: tuple[Schedule, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True)
class Deployed:
    outputs: Mapping[str, str]
    physical: Mapping[str, str]
    """Physical id by logical id."""
    roles: Mapping[str, str]
    """A function's role, by the function's logical id."""
    callable: Mapping[str, str]
    """What to call a function by: its alias, where it has one."""


def plan(
    root: Path,
    scale: float,
    endpoint: str,
    variables: Mapping[str, str] | None = None,
    log_level: str | None = None,
) -> Plan:
    """`variables` take the place of those in the functions' environments, `log_level` that of the template's."""
    written = source(root)
    template = expanded(written)
    defaults = {name: declared.get("Default") for name, declared in template["Parameters"].items()}
    resources: dict[str, Any] = template["Resources"]

    def by_type(kind: str) -> dict[str, Any]:
        return {name: it.get("Properties", {}) for name, it in resources.items() if it["Type"] == kind}

    functions = by_type("AWS::Lambda::Function")
    mappings = by_type("AWS::Lambda::EventSourceMapping").values()
    for name, function in functions.items():
        _run_here(name, function, scale, endpoint, variables or {}, log_level)
    for mapping in mappings:
        # with less time a message would be seen again while its function still works on it
        function = functions[function_of(mapping["FunctionName"], resources)]
        queue = resources[mapping["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]
        queue["VisibilityTimeout"] = max(
            math.ceil(queue["VisibilityTimeout"] * scale), function["Timeout"] + 1
        )
    triggers = tuple(_queue_trigger(mapping, resources, defaults, scale) for mapping in mappings)
    schedules = tuple(
        Schedule(
            function=function_of(target["Arn"], resources), every=_every(rule["ScheduleExpression"]) * scale
        )
        for rule in by_type("AWS::Events::Rule").values()
        if "ScheduleExpression" in rule
        for target in rule["Targets"]
    )
    for role in by_type("AWS::IAM::Role").values():
        _let_triggers_assume(role)
        _adapt_grants(role)
    http_routes = tuple(routes(template, scale))
    _take_out(template)
    return Plan(
        template=template,
        functions=tuple(functions),
        layers=tuple(
            name for name, it in written["Resources"].items() if it["Type"] == "AWS::Serverless::LayerVersion"
        ),
        queue_triggers=triggers,
        schedules=schedules,
        routes=http_routes,
    )


def _queue_trigger(
    mapping: dict[str, Any], resources: Mapping[str, Any], values: Mapping[str, Any], scale: float
) -> QueueTrigger:
    at_once = mapping["ScalingConfig"]["MaximumConcurrency"]
    queue = mapping["EventSourceArn"]["Fn::GetAtt"][0]
    return QueueTrigger(
        function=function_of(mapping["FunctionName"], resources),
        queue=queue,
        batch_size=mapping.get("BatchSize", 10),
        window=timedelta(seconds=mapping.get("MaximumBatchingWindowInSeconds", 0)) * scale,
        at_once=int(values[at_once["Ref"]] if isinstance(at_once, dict) else at_once),
        reports_failures="ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", ()),
        hidden_for=timedelta(seconds=resources[queue]["Properties"]["VisibilityTimeout"]),
    )


def _every(expression: str) -> timedelta:
    """`rate(5 minutes)` as a length of time."""
    number, unit = expression.removeprefix("rate(").removesuffix(")").split()
    return timedelta(**{unit if unit.endswith("s") else f"{unit}s": int(number)})


def _run_here(
    name: str,
    function: dict[str, Any],
    scale: float,
    endpoint: str,
    here: Mapping[str, str],
    log_level: str | None,
) -> None:
    logging = function.pop("LoggingConfig")
    for elsewhere in ("Layers", "Architectures"):
        function.pop(elsewhere, None)
    function["Runtime"] = "provided.al2023"
    function["Code"] = {"S3Bucket": CODE_BUCKET, "S3Key": f"{name}.zip"}
    # With less time a busy machine would decide, not the function.
    function["Timeout"] = max(
        math.ceil(function["Timeout"] * scale), min(function["Timeout"], SHORTEST_TIME_OUT)
    )
    variables = function["Environment"]["Variables"]
    variables.update({key: value for key, value in here.items() if key in variables})
    variables["AWS_ENDPOINT_URL"] = endpoint
    # as Lambda tells its runtime, which sets the root logger by it
    variables["AWS_LAMBDA_LOG_LEVEL"] = log_level or logging["ApplicationLogLevel"]


def _let_triggers_assume(role: dict[str, Any]) -> None:
    """Let `local` take the function's role: it reads the queue in the function's name, as the service does on AWS."""
    role["AssumeRolePolicyDocument"] = copy.deepcopy(role["AssumeRolePolicyDocument"])
    role["AssumeRolePolicyDocument"]["Statement"].append(
        {
            "Effect": "Allow",
            "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}},
            "Action": "sts:AssumeRole",
        }
    )


def _adapt_grants(role: dict[str, Any]) -> None:
    """Grants as the local AWS understands them."""
    for policy in role.get("Policies", ()):
        for statement in policy["PolicyDocument"]["Statement"]:
            # AWS has one permission for a message and for several, the local AWS has two
            if statement["Action"] == "sqs:SendMessage":
                statement["Action"] = ["sqs:SendMessage", "sqs:SendMessageBatch"]
            elif "sqs:DeleteMessage" in statement["Action"]:
                statement["Action"] = [*statement["Action"], "sqs:DeleteMessageBatch"]
            elif statement["Action"] == "ses:SendEmail":
                # it does not know what a mail is sent with
                statement["Resource"] = "*"
            # it does not know which rows a request is about, and would refuse; the tests' `grants` do know
            statement.pop("Condition", None)


HERE_INSTEAD = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Stage",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::LayerVersion",
}
NOT_HERE = {
    # this machine has no domain
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::DomainName",
    # Ministack has no CodeDeploy. A stack is made once here, and never gets a second version.
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
}


def _take_out(template: Template) -> None:
    """Take out what `local` does itself (triggers, schedules, routes, layers) or lacks, and all that refers to it."""
    resources = template["Resources"]
    gone = {
        name
        for name, resource in resources.items()
        if resource["Type"] in HERE_INSTEAD | NOT_HERE
        or (resource["Type"] == "AWS::Events::Rule" and "ScheduleExpression" in resource["Properties"])
        # Nobody reads alarms here, and ministack cannot calculate with metrics.
        or resource["Type"] in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard")
    }
    gone |= {
        name
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Lambda::Permission" and _mentions(resource, gone)
    }
    for name in gone:
        del resources[name]
    for resource in resources.values():
        # how CodeDeploy moves an alias
        resource.pop("UpdatePolicy", None)
    outputs = template.get("Outputs", {})
    for name in [name for name, output in outputs.items() if _mentions(output, gone)]:
        del outputs[name]


def _mentions(part: Any, names: set[str]) -> bool:
    """Whether a part of the template refers to one of these: by Ref, by GetAtt or in a Sub."""
    text = json.dumps(part)
    return any(
        re.search(rf'"Ref": "{name}"|"Fn::GetAtt": \["{name}"|\$\{{{name}[.}}]', text) for name in names
    )


def deploy(ministack: Ministack, plan: Plan, places: Places, parameters: Mapping[str, str]) -> Deployed:
    s3 = ministack.client("s3")
    # there is one already if another stack came before
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=CODE_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    for function in plan.functions:
        places.pids(function).mkdir(parents=True, exist_ok=True)
        s3.put_object(Bucket=CODE_BUCKET, Key=f"{function}.zip", Body=_bootstrap_zip(plan, places, function))
    # too long for the request itself
    s3.put_object(Bucket=CODE_BUCKET, Key="template.json", Body=json.dumps(plan.template).encode())
    cloudformation = ministack.client("cloudformation")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateURL=f"{ministack.url}/{CODE_BUCKET}/template.json",
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=STACK, WaiterConfig={"Delay": 0.1, "MaxAttempts": 6000}
    )
    stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    physical = {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in resources}
    declared = plan.template["Resources"]
    aliases = {
        function_of({"Ref": name}, declared): physical[name]
        for name, it in declared.items()
        if it["Type"] == "AWS::Lambda::Alias"
    }
    functions = ministack.client("lambda")
    return Deployed(
        outputs={it["OutputKey"]: it["OutputValue"] for it in stack.get("Outputs", [])},
        physical=physical,
        roles={
            name: functions.get_function_configuration(FunctionName=physical[name])["Role"]
            for name in plan.functions
        },
        callable={name: aliases.get(name, physical[name]) for name in plan.functions},
    )


def _bootstrap_zip(plan: Plan, places: Places, function: str) -> bytes:
    """A custom runtime that runs the built artefact where it lies, under AWS's own runtime client."""
    libraries = ":".join(str(layer_folder(places.root, layer) / "python") for layer in plan.layers)
    script = BOOTSTRAP.format(
        log=places.log(function),
        pids=places.pids(function),
        task=task_folder(places.root, function),
        libraries=libraries,
        cache=ROOT / ".local" / "bytecode",
        python=ROOT / ".venv-runtime" / "bin" / "python",
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = 0o755 << 16
        archive.writestr(bootstrap, script)
    return packed.getvalue()

"""The stack that a command is about: what it is made of, and access to it with the operator's own rights."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config

from bookkeeping.adapters import from_environment
from bookkeeping.adapters.tables.authorizations import AuthorizationsTable
from bookkeeping.adapters.tables.dynamodb import dynamodb
from bookkeeping.adapters.tables.pauses import Pauses
from bookkeeping.domain.mail import MailWaits
from bookkeeping.domain.page_access import Person
from bookkeeping.use_cases.page.adapters import PageAdapters

OUTPUTS: Final[Mapping[str, str]] = {
    "ORDERS_TABLE": "OrdersTable",
    "SETTINGS_TABLE": "SettingsTable",
    "CONNECTIONS_TABLE": "ConnectionsTable",
    "AUTHORIZATIONS_TABLE": "AuthorizationsTable",
    "POSTING_QUEUE_URL": "PostingQueueUrl",
    "EVENT_BUS": "EventBus",
    "SECRETS_PREFIX": "SecretsPrefix",
    "XERO_DESK_FUNCTION": "XeroDeskFunction",
}
"""What an adapter looks for in the environment → the stack's output that says it."""
AT_ONCE: Final = 12
PATIENT: Final = Config(
    # a function that is waited for may take a minute; it must not be invoked twice
    connect_timeout=5,
    read_timeout=90,
    retries={"mode": "standard", "total_max_attempts": 1},
)
BOUNDED: Final = Config(
    connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4}
)


class NoSuchStack(Exception):
    """The stack can't be found, or is not one of these. The message says what to do."""


@dataclass(frozen=True)
class Resource:
    logical_id: str
    type: str
    id: str


@dataclass
class Stack:
    """A stack with what its outputs say."""

    name: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    adapters: PageAdapters
    pauses: Pauses
    authorizations: AuthorizationsTable
    dynamodb: Any = field(repr=False)
    """The tables' resource."""
    clients: dict[str, Any] = field(default_factory=dict, repr=False)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            client: Any = boto3.client
            self.clients[service] = client(service, config=PATIENT if service == "lambda" else BOUNDED)
        return self.clients[service]

    @cached_property
    def operator_arn(self) -> str:
        """Who gives the command, as AWS knows them."""
        return str(self.client("sts").get_caller_identity()["Arn"])

    @property
    def operator(self) -> str:
        """Who gives the command, as people of a company are shown it: without account and role."""
        return f"{self.operator_arn.rpartition(':')[2].rpartition('/')[2]} (operator)"

    def person(self, company: str) -> Person:
        return Person(self.operator_arn, self.operator, company)

    @cached_property
    def resources(self) -> list[Resource]:
        pages = (
            self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.name)
        )
        return [
            Resource(it["LogicalResourceId"], it["ResourceType"], it["PhysicalResourceId"])
            for page in pages
            for it in page["StackResourceSummaries"]
            if it.get("PhysicalResourceId")
        ]

    def of_type(self, type_: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type == type_]


def use_local_system(outputs_file: Path) -> None:
    """Have all calls go to the local system, with the keys in its file."""
    try:
        written = json.loads(outputs_file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NoSuchStack(f"{outputs_file} is not there: start the local system with `make up`.") from error
    except ValueError as error:
        raise NoSuchStack(f"{outputs_file} is not a local system's file of addresses.") from error
    os.environ |= {
        "AWS_ENDPOINT_URL": written["aws_url"],
        "AWS_ACCESS_KEY_ID": written["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": written["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": written["region"],
    }
    os.environ.pop("AWS_SESSION_TOKEN", None)
    os.environ.pop("AWS_PROFILE", None)


def open_stack(name: str) -> Stack:
    """The stack of that name. Raises NoSuchStack."""
    client = boto3.client("cloudformation", config=BOUNDED)
    try:
        described = client.describe_stacks(StackName=name)["Stacks"][0]
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in (
            "ValidationError",
            "AccessDenied",
            "AccessDeniedException",
        ):
            raise
        raise NoSuchStack(
            f"There is no stack {name} in {client.meta.region_name} that you may look at. Name it with --stack and its"
            " region with --region. Your credentials need its OperatorPolicy."
        ) from error
    outputs = {it["OutputKey"]: it["OutputValue"] for it in described.get("Outputs", [])}
    missing = sorted({*OUTPUTS.values(), "LaunchKey"} - outputs.keys())
    if missing:
        raise NoSuchStack(
            f"The stack {name} has no output {', '.join(missing)}: it is another one, or of an older version."
        )
    parameters = {it["ParameterKey"]: it.get("ParameterValue", "") for it in described.get("Parameters", [])}
    os.environ |= {variable: outputs[output] for variable, output in OUTPUTS.items()}
    return Stack(
        name,
        outputs,
        parameters,
        _adapters(parameters.get("XeroWebUrl", "")),
        pauses_in(outputs["ConnectionsTable"]),
        from_environment.authorizations_table(),
        dynamodb(),
        {"cloudformation": client},
    )


def pauses_in(table: str) -> Pauses:
    return Pauses(dynamodb(), table)


def _adapters(web_url: str) -> PageAdapters:
    return PageAdapters(
        orders=from_environment.orders_table(),
        settings=from_environment.settings_table(),
        connections=from_environment.connections_table(),
        lanes=from_environment.lanes(),
        matches=from_environment.book_matches(),
        organisations=from_environment.organisations(),
        mails=from_environment.mails(),
        releases=from_environment.releases(),
        apps=from_environment.apps(),
        wake_ups=from_environment.posting_queue(),
        events=from_environment.event_bus(),
        ask=from_environment.xero_desk().ask,
        together=from_environment.together(AT_ONCE),
        web_url=web_url,
        mail_from="",
        mail_waits=MailWaits(),
        now=from_environment.now,
        new_id=from_environment.new_id,
    )

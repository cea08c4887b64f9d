"""A new stack goes on with the tables and the launch key of a deleted one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.aws import Ministack
from local.build import build
from local.deploy import STACK, Deployed, Places, Plan, deploy, plan
from local.expand import RELEASE, ROOT
from local.functions import invoke, kill
from local.samples import UNTRACKED, Maker

TABLES = ("OrdersTable", "SettingsTable", "ConnectionsTable", "AuthorizationsTable")
GIVEN = {"Release": RELEASE, "LaunchOrigins": "http://localhost:8080"}


class Account:
    """An account of its own, in which the stack is made and deleted."""

    def __init__(self, state: Path) -> None:
        (state / "logs").mkdir()
        self.ministack = Ministack(state)
        self.ministack.wait_started()
        self.places = Places(ROOT, state)

    def deployed(self, **parameters: str) -> tuple[Plan, Deployed]:
        planned = plan(ROOT, 1.0, self.ministack.url)
        return planned, deploy(self.ministack, planned, self.places, GIVEN | parameters)

    def delete(self) -> None:
        cloudformation = self.ministack.client("cloudformation")
        cloudformation.delete_stack(StackName=STACK)
        cloudformation.get_waiter("stack_delete_complete").wait(
            StackName=STACK, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
        )


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    build()
    made = Account(tmp_path)
    yield made
    kill(made.places, "OrderIntakeFunction")
    made.ministack.stop()


def of_type(account: Account, kind: str) -> list[dict[str, Any]]:
    cloudformation = account.ministack.client("cloudformation")
    resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    return [it for it in resources if it["ResourceType"] == kind]


def test_a_new_stack_takes_over_tables_and_launch_key_of_a_deleted_one(account: Account) -> None:
    _, former = account.deployed()
    tables = [former.outputs[name] for name in TABLES]
    store = account.ministack.client("secretsmanager")
    secret = store.describe_secret(SecretId=former.outputs["LaunchKey"])
    key = store.get_secret_value(SecretId=secret["ARN"])["SecretString"]
    dynamodb = account.ministack.client("dynamodb")
    booked = {"company": {"S": UNTRACKED}, "version": {"S": "current"}, "kept": {"S": "by the former stack"}}
    dynamodb.put_item(TableName=former.outputs["SettingsTable"], Item=booked)
    account.delete()

    _, now = account.deployed(ExistingTables=",".join(tables), ExistingLaunchKey=secret["ARN"])
    assert [now.outputs[name] for name in TABLES] == tables
    assert store.get_secret_value(SecretId=now.outputs["LaunchKey"])["SecretString"] == key
    assert of_type(account, "AWS::DynamoDB::Table") == []
    assert of_type(account, "AWS::SecretsManager::Secret") == []
    found = dynamodb.get_item(
        TableName=now.outputs["SettingsTable"],
        Key={"company": booked["company"], "version": booked["version"]},
    )
    assert found["Item"] == booked

    # its functions may use them, under the roles of the new stack
    order = Maker().order(UNTRACKED, 1, 2, company_ref_id=500999)
    message = {
        "messageId": "1",
        "eventSource": "aws:sqs",
        "body": json.dumps(order),
        "attributes": {"SentTimestamp": "0", "ApproximateReceiveCount": "1"},
    }
    succeeded, answer = invoke(
        account.ministack.client("lambda"),
        now.callable["OrderIntakeFunction"],
        json.dumps({"Records": [message]}).encode(),
    )
    assert succeeded
    assert json.loads(answer) == {"batchItemFailures": []}

"""Checks the stack: what would keep it from doing its work, or from telling when it does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bookkeeping.adapters.tables.pauses import ALL
from bookkeeping.domain.mail import LOST
from operations import companies, launch_key
from operations.stack import Stack

USABLE: Final = 0.7
"""The share of the account's concurrent executions that the triggers may take. The popup needs some, too."""


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do if it is not as it should be."""

    about: str
    ok: bool
    words: str
    do: str = ""


def findings(stack: Stack, now: datetime) -> Iterator[Finding]:
    """All findings, one after the other."""
    yield from _alarms(stack)
    yield from _connections(stack)
    yield from _concurrency(stack)
    yield from _tables(stack)
    yield from _launch_key(stack, now)
    yield from _queues(stack)
    yield from _schedules(stack)
    yield from _pauses(stack)


def _alarms(stack: Stack) -> Iterator[Finding]:
    names = {alarm.id: alarm.logical_id for alarm in stack.of_type("AWS::CloudWatch::Alarm")}
    alarms: dict[str, dict[str, Any]] = {}
    wanted = list(names)
    for first in range(0, len(wanted), 100):
        answer = stack.client("cloudwatch").describe_alarms(
            AlarmNames=wanted[first : first + 100], MaxRecords=100
        )
        alarms |= {alarm["AlarmName"]: alarm for alarm in answer["MetricAlarms"]}
    ringing = sorted(names[name] for name, alarm in alarms.items() if alarm["StateValue"] == "ALARM")
    for name in ringing:
        yield Finding("alarm", False, f"{name} rings", f"See {name} in docs/runbook.md.")
    if missing := sorted(names[name] for name in names.keys() - alarms.keys()):
        yield Finding("alarm", False, f"{', '.join(missing)} is not there", "Deploy the stack again.")
    if mute := sorted(names[name] for name, alarm in alarms.items() if not alarm.get("ActionsEnabled", True)):
        yield Finding("alarm", False, f"{', '.join(mute)} tells nobody", "Enable its actions in CloudWatch.")
    if not stack.parameters.get("AlarmTopic"):
        do = "Deploy with AlarmTopic, the ARN of an SNS topic."
        yield Finding("alarm", False, "no alarm is sent to anybody", do)
    if not ringing:
        yield Finding("alarm", True, f"none of {len(alarms)} alarms rings")


def _connections(stack: Stack) -> Iterator[Finding]:
    found = companies.companies(stack)
    # of a company that is switched off or taken out nobody misses it
    lost = [one for one in found if one["state"].replace(" ", "_") in LOST]
    for one in lost:
        words = f"company {one['company']} has lost its connection: {one['state']}"
        yield Finding("connection", False, words, "See ConnectionsLostAlarm in docs/runbook.md.")
    if not lost:
        yield Finding("connection", True, f"none of {len(found)} companies has lost it")


def _concurrency(stack: Stack) -> Iterator[Finding]:
    client = stack.client("lambda")
    quota = client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    taken = 0
    for mapping in stack.of_type("AWS::Lambda::EventSourceMapping"):
        found = client.get_event_source_mapping(UUID=mapping.id)
        taken += found.get("ScalingConfig", {}).get("MaximumConcurrency", 0)
        if found["State"] in ("Disabled", "Disabling"):
            words = f"{mapping.logical_id} is switched off: nobody reads its queue"
            do = f"aws lambda update-event-source-mapping --uuid {mapping.id} --enabled"
            yield Finding("trigger", False, words, do)
    yield Finding(
        "concurrency",
        taken <= quota * USABLE,
        f"the triggers may take {taken} of the account's {quota} concurrent functions",
        "Have AWS raise the quota of concurrent executions, or lower PostingConcurrency.",
    )


def _tables(stack: Stack) -> Iterator[Finding]:
    client = stack.client("dynamodb")
    for table in stack.of_type("AWS::DynamoDB::Table"):
        described = client.describe_table(TableName=table.id)["Table"]
        backups = client.describe_continuous_backups(TableName=table.id)["ContinuousBackupsDescription"]
        recovery = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
        recover = "aws dynamodb update-continuous-backups --point-in-time-recovery-specification"
        checked = (
            ("active", described["TableStatus"] in ("ACTIVE", "UPDATING"), "Look at it in the console."),
            (
                "restorable to any second",
                recovery == "ENABLED",
                f"{recover} PointInTimeRecoveryEnabled=true --table-name {table.id}",
            ),
            (
                "protected against deletion",
                bool(described.get("DeletionProtectionEnabled")),
                f"aws dynamodb update-table --deletion-protection-enabled --table-name {table.id}",
            ),
        )
        for words, ok, do in checked:
            if not ok:
                yield Finding("table", False, f"{table.logical_id} is not {words}", do)
        if all(ok for _, ok, _ in checked):
            about = ", ".join(words for words, _, _ in checked)
            yield Finding("table", True, f"{table.logical_id} is {about}")


def _launch_key(stack: Stack, now: datetime) -> Iterator[Finding]:
    found = launch_key.versions(stack.client("secretsmanager"), stack.outputs["LaunchKey"])
    until = found.former_holds_until(now)
    former = f"; the former one holds until {until:%Y-%m-%d %H:%M} UTC" if until else ""
    yield Finding("launch key", True, f"made on {found.since:%Y-%m-%d}{former}")


def _queues(stack: Stack) -> Iterator[Finding]:
    client = stack.client("sqs")
    counted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    for queue in stack.of_type("AWS::SQS::Queue"):
        attributes = client.get_queue_attributes(QueueUrl=queue.id, AttributeNames=counted)["Attributes"]
        messages = sum(int(attributes[name]) for name in counted)
        dead = "DeadLetter" in queue.logical_id
        alarm = queue.logical_id.removesuffix("Queue")
        yield Finding(
            "dead letters" if dead else "queue",
            not (dead and messages),
            f"{queue.logical_id}: {messages} messages",
            f"See {alarm}Alarm in docs/runbook.md." if dead else "",
        )


def _schedules(stack: Stack) -> Iterator[Finding]:
    client = stack.client("events")
    for rule in stack.of_type("AWS::Events::Rule"):
        # the id of a rule on a bus of its own begins with the bus
        bus, _, name = rule.id.rpartition("|")
        # the local AWS leaves the bus out
        own = [one.id for one in stack.of_type("AWS::Events::EventBus")]
        bus, state = next(_found(client, name, [bus] if bus else ["default", *own]), ("default", "MISSING"))
        do = f"aws events enable-rule --name {name} --event-bus-name {bus}"
        yield Finding("schedule", state == "ENABLED", f"{rule.logical_id} is {state.lower()}", do)


def _found(client: Any, name: str, buses: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The buses that have the rule, each with its state there."""
    for bus in buses:
        with suppress(client.exceptions.ResourceNotFoundException):
            yield bus, client.describe_rule(Name=name, EventBusName=bus)["State"]


def _pauses(stack: Stack) -> Iterator[Finding]:
    paused = stack.pauses.all()
    for who, pause in sorted(paused.items()):
        because = f": {pause.because}" if pause.because else ""
        whose, again = ("all companies", "--all") if who == ALL else (f"company {who}", who)
        words = f"paused for {whose} since {pause.at:%Y-%m-%d %H:%M} UTC by {pause.by}{because}"
        yield Finding("posting", False, words, f"resume {again}")
    if not paused:
        yield Finding("posting", True, "not paused")

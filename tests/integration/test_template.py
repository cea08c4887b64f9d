"""What the template promises, read from what CloudFormation gets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bookkeeping.adapters.functions import lambda_service_that_waits
from bookkeeping.use_cases.token_renewal import TICK, Times
from local.expand import complaints, expanded, source

ROOT = Path(__file__).parents[2]
NEW_ACCOUNT = 10
"""Functions that may run at the same time in an AWS account before its quota is raised."""


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    return source(ROOT)


@pytest.fixture(scope="module")
def template(written: dict[str, Any]) -> dict[str, Any]:
    return expanded(written)


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {
        name: it.get("Properties", {}) for name, it in template["Resources"].items() if it["Type"] == kind
    }


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def attribute_of(reference: Any) -> str:
    """`{"Fn::GetAtt": ["X", "Arn"]}` is about X."""
    name: str = reference["Fn::GetAtt"][0]
    return name


def dead_letter_queues(template: dict[str, Any]) -> dict[str, str]:
    """The dead-letter queue of each queue."""
    return {
        name: attribute_of(queue["RedrivePolicy"]["deadLetterTargetArn"])
        for name, queue in of_type(template, "AWS::SQS::Queue").items()
        if "RedrivePolicy" in queue
    }


def metrics_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """What an alarm looks at: one metric, or several that it reckons with."""
    queried = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", ()) if "MetricStat" in query]
    return queried or [alarm]


def statements(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_expanded_template_has_no_complaint_against_it(template: dict[str, Any]) -> None:
    assert complaints(template) == []


def test_a_function_has_one_noun_from_folder_to_test(written: dict[str, Any]) -> None:
    functions = {
        snake(name.removesuffix("Function")) for name in of_type(written, "AWS::Serverless::Function")
    }
    assert functions == {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    for name in functions:
        assert (ROOT / "events" / f"{name}.json").exists(), f"events/{name}.json"
        assert (ROOT / "tests" / "integration" / f"test_{name}.py").exists(), (
            f"tests/integration/test_{name}.py"
        )


def test_a_function_runs_its_own_folder_under_its_own_role_into_its_own_log(written: dict[str, Any]) -> None:
    for name, function in of_type(written, "AWS::Serverless::Function").items():
        noun = name.removesuffix("Function")
        assert function["CodeUri"] == f"functions/{snake(noun)}/"
        assert attribute_of(function["Role"]) == f"{noun}Role"
        assert function["LoggingConfig"]["LogGroup"] == {"Ref": f"{noun}LogGroup"}
        assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == snake(noun)


def test_no_role_has_a_managed_policy_or_a_wildcard_action(template: dict[str, Any]) -> None:
    for name, role in of_type(template, "AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role, name
    for name, statement in statements(template):
        assert not [action for action in listed(statement["Action"]) if "*" in action], name


def test_every_grant_names_its_resource(template: dict[str, Any]) -> None:
    for name, statement in statements(template):
        for resource in listed(statement["Resource"]):
            assert resource != "*", name
            if isinstance(resource, dict) and "Fn::Sub" in resource and "*" in resource["Fn::Sub"]:
                # a company's secret has the company in its name
                assert ":secret:${AWS::StackName}/*/" in resource["Fn::Sub"], name


def test_only_posting_refresh_and_the_desk_read_tokens(template: dict[str, Any]) -> None:
    readers = {
        name
        for name, statement in statements(template)
        if "secretsmanager:GetSecretValue" in listed(statement["Action"])
        and "/tokens" in str(statement["Resource"])
    }
    assert readers == {"OrderPostingRole", "TokenRefreshRole", "XeroDeskRole"}


def test_a_role_may_be_told_that_a_secret_is_not_there(template: dict[str, Any]) -> None:
    # a name has its six characters only once there is a secret: without them, "denied" would be the answer
    for name, statement in statements(template):
        granted = {str(resource) for resource in listed(statement["Resource"]) if ":secret:" in str(resource)}
        for resource in granted:
            if "/*/" in resource:
                assert resource.replace("-??????", "") in granted, name


def test_the_settings_page_reads_no_secret_but_the_launch_key(template: dict[str, Any]) -> None:
    read = [
        str(resource)
        for name, statement in statements(template)
        if name == "SettingsPageRole" and "secretsmanager:GetSecretValue" in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]
    assert len(read) == 1
    assert "${AWS::StackName}/launch-" in read[0]


def test_operators_read_no_secret_and_reach_nothing_beside_the_stack(template: dict[str, Any]) -> None:
    (policy,) = of_type(template, "AWS::IAM::ManagedPolicy").values()
    granted = policy["PolicyDocument"]["Statement"]
    actions = {action for statement in granted for action in listed(statement["Action"])}
    assert not {action for action in actions if "*" in action}
    assert "secretsmanager:GetSecretValue" not in actions
    anywhere = {
        action for statement in granted if statement["Resource"] == "*" for action in statement["Action"]
    }
    assert anywhere == {
        "cloudwatch:DescribeAlarms",
        "lambda:GetAccountSettings",
        "lambda:GetEventSourceMapping",
    }


def test_the_page_does_not_wait_for_an_answer_longer_than_it_may_take(template: dict[str, Any]) -> None:
    waits = lambda_service_that_waits().meta.config
    page = of_type(template, "AWS::Lambda::Function")["SettingsPageFunction"]
    assert waits.connect_timeout + waits.read_timeout + 4 < page["Timeout"] < 30
    assert waits.retries["total_max_attempts"] == 1


def test_no_secret_is_deleted_for_its_name_could_not_be_used_again_at_once(template: dict[str, Any]) -> None:
    for name, statement in statements(template):
        assert "secretsmanager:DeleteSecret" not in listed(statement["Action"]), name


def test_every_queue_has_a_dead_letter_queue_that_keeps_14_days_and_an_alarm(
    template: dict[str, Any],
) -> None:
    queues = of_type(template, "AWS::SQS::Queue")
    dead_letters = dead_letter_queues(template)
    alarmed = {
        attribute_of(dimension["Value"])
        for alarm in of_type(template, "AWS::CloudWatch::Alarm").values()
        for metric in metrics_of(alarm)
        if metric["MetricName"] == "ApproximateNumberOfMessagesVisible" and alarm["AlarmDescription"]
        for dimension in metric["Dimensions"]
    }
    assert set(queues) == dead_letters.keys() | set(dead_letters.values())
    assert set(dead_letters.values()) <= alarmed
    for name in dead_letters.values():
        assert queues[name]["MessageRetentionPeriod"] == 14 * 24 * 3600
    for name, queue in queues.items():
        assert queue["SqsManagedSseEnabled"] is True, name


def test_the_alarm_on_messages_the_reader_looks_at_counts_those_it_hides(template: dict[str, Any]) -> None:
    alarm = of_type(template, "AWS::CloudWatch::Alarm")["OrdersDeadLetterAlarm"]
    counted = {metric["MetricName"]: metric["Dimensions"] for metric in metrics_of(alarm)}
    assert set(counted) == {"ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"}
    assert {attribute_of(one["Value"]) for each in counted.values() for one in each} == {
        "OrdersDeadLetterQueue"
    }
    [sum_] = [query for query in alarm["Metrics"] if "Expression" in query]
    assert sum_["Expression"] == " + ".join(
        query["Id"] for query in alarm["Metrics"] if "MetricStat" in query
    )


def test_an_alarm_on_a_metric_of_ours_looks_at_one_that_its_function_writes(template: dict[str, Any]) -> None:
    functions = of_type(template, "AWS::Lambda::Function").values()
    written = [function["Environment"]["Variables"] for function in functions]
    namespaces = {one["POWERTOOLS_SERVICE_NAME"]: one["POWERTOOLS_METRICS_NAMESPACE"] for one in written}
    ours = [
        alarm
        for alarm in of_type(template, "AWS::CloudWatch::Alarm").values()
        if alarm.get("Namespace", "AWS/").partition("/")[0] != "AWS"
    ]
    assert ours
    for alarm in ours:
        [dimension] = alarm["Dimensions"]
        assert dimension["Name"] == "service"
        assert alarm["Namespace"] == namespaces[dimension["Value"]]
        source = (ROOT / "functions" / dimension["Value"] / "app.py").read_text()
        assert f'add_metric("{alarm["MetricName"]}"' in source


def test_the_alarm_on_faults_of_ours_looks_at_every_function(template: dict[str, Any]) -> None:
    alarm = of_type(template, "AWS::CloudWatch::Alarm")["OurFaultsAlarm"]
    functions = of_type(template, "AWS::Lambda::Function").values()
    variables = [function["Environment"]["Variables"] for function in functions]
    looked_at = metrics_of(alarm)
    assert {metric["MetricName"] for metric in looked_at} == {"OurFaults"}
    assert {metric["Namespace"] for metric in looked_at} == {"KornitXero"}
    services = [dimension["Value"] for metric in looked_at for dimension in metric["Dimensions"]]
    assert sorted(services) == sorted(one["POWERTOOLS_SERVICE_NAME"] for one in variables)
    [total] = [query for query in alarm["Metrics"] if "Expression" in query]
    assert total["Expression"] == "SUM(METRICS())"


def test_every_alarm_says_what_to_do(template: dict[str, Any]) -> None:
    for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmDescription"], name


def test_answers_that_only_a_fault_of_ours_explains_raise_an_alarm(template: dict[str, Any]) -> None:
    alarm = of_type(template, "AWS::CloudWatch::Alarm")["UnexpectedAnswersAlarm"]
    assert alarm["Dimensions"] == [{"Name": "service", "Value": "order_posting"}]
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 0)


def test_a_message_that_kills_its_intake_every_time_is_on_the_orders_page_within_five_minutes(
    template: dict[str, Any],
) -> None:
    queue = of_type(template, "AWS::SQS::Queue")["OrdersQueue"]
    functions = of_type(template, "AWS::Lambda::Function")
    given_up = queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"]
    [rule] = [
        rule
        for rule in of_type(template, "AWS::Events::Rule").values()
        if rule.get("Targets", [{}])[0].get("Arn") == {"Fn::GetAtt": ["DeadLetterReaderFunction", "Arn"]}
    ]
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert given_up + 60 + functions["DeadLetterReaderFunction"]["Timeout"] <= 300


def test_renewals_are_started_as_often_as_they_reckon_with_and_have_time_to_end(
    template: dict[str, Any],
) -> None:
    [rule] = [
        rule
        for rule in of_type(template, "AWS::Events::Rule").values()
        if rule.get("Targets", [{}])[0].get("Arn") == {"Fn::GetAtt": ["TokenRefreshFunction", "Arn"]}
    ]
    assert rule["ScheduleExpression"] == f"rate({TICK // timedelta(minutes=1)} minutes)"
    function = of_type(template, "AWS::Lambda::Function")["TokenRefreshFunction"]
    assert function["Timeout"] == Times().function.total_seconds()


def test_a_message_stays_hidden_six_times_as_long_as_its_function_may_take(template: dict[str, Any]) -> None:
    functions = of_type(template, "AWS::Lambda::Function")
    queues = of_type(template, "AWS::SQS::Queue")
    mappings = of_type(template, "AWS::Lambda::EventSourceMapping")
    assert mappings
    for mapping in mappings.values():
        time_out = functions[mapping["FunctionName"]["Ref"]]["Timeout"]
        assert queues[attribute_of(mapping["EventSourceArn"])]["VisibilityTimeout"] >= 6 * time_out


def test_a_queue_trigger_reports_single_failures_and_is_limited_at_the_trigger(
    template: dict[str, Any],
) -> None:
    for mapping in of_type(template, "AWS::Lambda::EventSourceMapping").values():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert "MaximumConcurrency" in mapping["ScalingConfig"]
    for name, function in of_type(template, "AWS::Lambda::Function").items():
        assert "ReservedConcurrentExecutions" not in function, name


def test_what_wakes_itself_is_not_stopped_as_a_runaway(template: dict[str, Any]) -> None:
    functions = of_type(template, "AWS::Lambda::Function")
    may_send = {
        (name, attribute_of(queue))
        for name, statement in statements(template)
        if "sqs:SendMessage" in listed(statement["Action"])
        for queue in listed(statement["Resource"])
    }
    wakes_itself = {
        mapping["FunctionName"]["Ref"]
        for mapping in of_type(template, "AWS::Lambda::EventSourceMapping").values()
        if (
            attribute_of(functions[mapping["FunctionName"]["Ref"]]["Role"]),
            attribute_of(mapping["EventSourceArn"]),
        )
        in may_send
    }
    assert wakes_itself
    assert wakes_itself == {
        name for name, function in functions.items() if function.get("RecursiveLoop") == "Allow"
    }


def test_the_triggers_of_a_new_account_leave_functions_to_the_popup_and_the_schedules(
    template: dict[str, Any],
) -> None:
    concurrency = [
        mapping["ScalingConfig"]["MaximumConcurrency"]
        for mapping in of_type(template, "AWS::Lambda::EventSourceMapping").values()
    ]
    posting = template["Parameters"]["PostingConcurrency"]["Default"]
    assert sum(posting if isinstance(one, dict) else one for one in concurrency) <= NEW_ACCOUNT - 3


def test_intake_knows_which_receive_is_the_last(template: dict[str, Any]) -> None:
    intake = of_type(template, "AWS::Lambda::Function")["OrderIntakeFunction"]
    orders = of_type(template, "AWS::SQS::Queue")["OrdersQueue"]
    assert (
        int(intake["Environment"]["Variables"]["MAX_RECEIVES"]) == orders["RedrivePolicy"]["maxReceiveCount"]
    )


def test_a_table_outlives_the_stack_and_can_be_brought_back_to_any_second(template: dict[str, Any]) -> None:
    tables = of_type(template, "AWS::DynamoDB::Table")
    assert tables
    for name, table in tables.items():
        assert template["Resources"][name]["DeletionPolicy"] == "Retain"
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert table["SSESpecification"] == {"SSEEnabled": True}
        assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_every_function_runs_on_arm64_and_python_3_13_and_keeps_its_log_for_a_while(
    template: dict[str, Any],
) -> None:
    for function in of_type(template, "AWS::Lambda::Function").values():
        assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["arm64"])
        # metrics are lines without a level, which Lambda takes for INFO; at DEBUG, libraries quote what is secret
        logging = function["LoggingConfig"]
        assert (logging["LogFormat"], logging["ApplicationLogLevel"]) == ("JSON", "INFO")
    for group in of_type(template, "AWS::Logs::LogGroup").values():
        assert group["RetentionInDays"]

"""What the template promises, read from what CloudFormation gets."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bookkeeping.adapters.functions import lambda_service_that_waits
from bookkeeping.use_cases.token_renewal import TICK, Times
from local.expand import complaints, expanded, function_of, source
from local.gateway import routes
from local.release import SOURCES, release
from tests.alarms import QUERY, plain

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
    """The dead-letter queue of each queue, and of each rule that has one."""
    of_queues = {
        name: attribute_of(queue["RedrivePolicy"]["deadLetterTargetArn"])
        for name, queue in of_type(template, "AWS::SQS::Queue").items()
        if "RedrivePolicy" in queue
    }
    of_rules = {
        name: attribute_of(target["DeadLetterConfig"]["Arn"])
        for name, rule in of_type(template, "AWS::Events::Rule").items()
        for target in rule["Targets"]
        if "DeadLetterConfig" in target
    }
    return of_queues | of_rules


def schedules(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The schedule of each function that has one."""
    return {
        function_of(target["Arn"], template["Resources"]): rule
        for rule in of_type(template, "AWS::Events::Rule").values()
        if "ScheduleExpression" in rule
        for target in rule["Targets"]
    }


def triggered(mapping: dict[str, Any], template: dict[str, Any]) -> str:
    return function_of(mapping["FunctionName"], template["Resources"])


def metrics_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """What an alarm looks at: one metric, or several that it reckons with."""
    if "Metrics" not in alarm:
        return [alarm]
    return [query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query]


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


def test_no_role_has_a_managed_policy_but_that_of_tracing_or_a_wildcard_action(
    template: dict[str, Any],
) -> None:
    traced = {"Fn::If": ["Traced", [{"Ref": "TracingPolicy"}], {"Ref": "AWS::NoValue"}]}
    roles = of_type(template, "AWS::IAM::Role")
    of_functions = {attribute_of(one["Role"]) for one in of_type(template, "AWS::Lambda::Function").values()}
    assert {name for name, role in roles.items() if "ManagedPolicyArns" in role} == of_functions
    for name in of_functions:
        assert roles[name]["ManagedPolicyArns"] == traced, name
    for name, statement in statements(template):
        assert not [action for action in listed(statement["Action"]) if "*" in action], name


def test_every_grant_names_its_resource(template: dict[str, Any]) -> None:
    for name, statement in statements(template):
        for resource in listed(statement["Resource"]):
            assert resource != "*", name
            if isinstance(resource, dict) and "Fn::Sub" in resource and "*" in resource["Fn::Sub"]:
                # A company's secret has the company in its name. Several alarms are asked for at once.
                assert (
                    ":secret:${AWS::StackName}/*/" in resource["Fn::Sub"]
                    or statement["Action"] == "cloudwatch:DescribeAlarms"
                ), name


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
    read: list[Any] = [
        resource
        for name, statement in statements(template)
        if name == "SettingsPageRole" and "secretsmanager:GetSecretValue" in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]
    assert read == [
        {"Fn::If": ["MakesLaunchKey", {"Fn::GetAtt": ["LaunchKey", "Id"]}, {"Ref": "ExistingLaunchKey"}]}
    ]


def test_operators_read_no_secret_and_reach_nothing_beside_the_stack(template: dict[str, Any]) -> None:
    policy = of_type(template, "AWS::IAM::ManagedPolicy")["OperatorPolicy"]
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
    assert set(queues) <= dead_letters.keys() | set(dead_letters.values())
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


def looked_at(template: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Each metric that an alarm looks at, by the alarm."""
    return [
        (name, metric)
        for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items()
        for metric in metrics_of(alarm)
        if "MetricName" in metric
    ]


def summed_up(template: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The metrics of which an alarm sums up what every function wrote, by the alarm: metric, namespace, dimension."""
    found = {
        name: QUERY.fullmatch(plain(query["Expression"]))
        for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items()
        for query in alarm.get("Metrics", ())
        if "SELECT" in str(query.get("Expression"))
    }
    return {name: query.groups() for name, query in found.items() if query}


def test_an_alarm_on_a_metric_of_ours_looks_at_one_that_its_function_writes(template: dict[str, Any]) -> None:
    functions = of_type(template, "AWS::Lambda::Function").values()
    written = [function["Environment"]["Variables"] for function in functions]
    namespaces = {one["POWERTOOLS_SERVICE_NAME"]: one["POWERTOOLS_METRICS_NAMESPACE"] for one in written}
    ours = [metric for _, metric in looked_at(template) if not str(metric["Namespace"]).startswith("AWS/")]
    assert ours
    for metric in ours:
        [dimension] = metric["Dimensions"]
        assert dimension["Name"] == "service"
        assert metric["Namespace"] == namespaces[dimension["Value"]]
        source = (ROOT / "functions" / dimension["Value"] / "app.py").read_text()
        assert f'"{metric["MetricName"]}"' in source, metric


def test_an_alarm_on_a_metric_of_all_functions_sums_it_up_for_the_stack(template: dict[str, Any]) -> None:
    namespaces = {
        plain(function["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"])
        for function in of_type(template, "AWS::Lambda::Function").values()
    }
    found = summed_up(template)
    assert {metric for metric, *_ in found.values()} == {"OurFaults", "ConnectionsLost", "UnknownRows"}
    for _, namespace, dimension in found.values():
        assert {namespace} == namespaces
        assert dimension == "service"


def test_every_function_has_its_alarms_and_its_log_group(template: dict[str, Any]) -> None:
    functions, groups = of_type(template, "AWS::Lambda::Function"), of_type(template, "AWS::Logs::LogGroup")
    for alarm, counted in (("FunctionErrorsAlarm", "Errors"), ("FunctionThrottlesAlarm", "Throttles")):
        metrics = [metric for name, metric in looked_at(template) if name == alarm]
        assert {metric["MetricName"] for metric in metrics} == {counted}
        names = [dimension["Value"]["Ref"] for metric in metrics for dimension in metric["Dimensions"]]
        assert sorted(names) == sorted(functions), alarm
    for function in functions.values():
        assert function["LoggingConfig"]["LogGroup"]["Ref"] in groups


def test_every_schedule_has_an_alarm_that_rings_when_it_is_silent(template: dict[str, Any]) -> None:
    silent = {
        name: alarm
        for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items()
        if name.endswith("SilentAlarm")
    }
    assert {name.removesuffix("SilentAlarm") + "Function" for name in silent} == schedules(template).keys()
    for name, alarm in silent.items():
        assert alarm["TreatMissingData"] == "breaching", name


def test_every_alarm_has_a_heading_in_the_runbook_and_every_heading_an_alarm(
    template: dict[str, Any],
) -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", runbook, flags=re.MULTILINE)[1:]
    headed = {section.partition("\n")[0]: section for section in sections}
    alarms = of_type(template, "AWS::CloudWatch::Alarm")
    assert alarms.keys() == {heading for heading in headed if heading.endswith("Alarm")}
    # those that only stop a release share one text
    for name in {name for name, it in alarms.items() if "AlarmActions" in it}:
        for part in ("**Means.**", "**At stake.**", "**Do.**", "**Over.**"):
            assert part in headed[name], f"{name}: {part}"


def test_every_alarm_is_sent_to_the_topic_but_those_that_only_stop_a_release(
    template: dict[str, Any],
) -> None:
    for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items():
        if name.endswith("ReleaseAlarm"):
            continue
        sent = {"Fn::If": ["AlarmsAreSent", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
        assert alarm["AlarmActions"] == sent, name


def test_the_dashboard_shows_metrics_that_functions_write(template: dict[str, Any]) -> None:
    [dashboard] = of_type(template, "AWS::CloudWatch::Dashboard").values()
    body = json.loads(dashboard["DashboardBody"]["Fn::Sub"])
    ours = [
        row for widget in body["widgets"] for row in _written_out(widget["properties"].get("metrics", ()))
    ]
    shown = {(row[1], row[3]) for row in ours if row[0].startswith("KornitXero/")}
    assert len(shown) > 15
    for metric, service in shown:
        source = (ROOT / "functions" / service / "app.py").read_text()
        assert f'"{metric}"' in source, metric


def _written_out(rows: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """Rows of a widget, with what a row takes over from the one before."""
    before: list[Any] = []
    for row in rows:
        if row and isinstance(row[0], dict):
            continue
        given = [part for part in row if not isinstance(part, dict)]
        if given == ["..."]:
            given = before
        before = [above if part == "." else part for part, above in zip(given, before or given, strict=True)]
        yield before


def test_metrics_are_few_and_none_has_a_company_as_dimension() -> None:
    written = set()
    for app in (ROOT / "functions").glob("*/app.py"):
        source = app.read_text()
        named = " ".join(re.findall(r"add_metric\((.*?), MetricUnit", source, re.DOTALL))
        written |= {(app.parent.name, name) for name in re.findall(r'"([A-Z]\w+)"', named)}
        assert "add_dimension" not in source
        if renewals := re.search(r"METRICS = {(.*?)}", source, re.DOTALL):
            written |= {(app.parent.name, name) for name in re.findall(r': "(\w+)"', renewals[1])}
    # 0.30 dollars each a month
    assert len(written) <= 50
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert f"{len(written)} metrics" in page


def test_the_access_log_has_no_query_string_and_no_cookie(template: dict[str, Any]) -> None:
    [stage] = of_type(template, "AWS::ApiGatewayV2::Stage").values()
    wanted = json.loads(stage["AccessLogSettings"]["Format"])
    assert set(wanted.values()) == {
        f"$context.{name}"
        for name in (
            "requestTime",
            "requestId",
            "identity.sourceIp",
            "httpMethod",
            "routeKey",
            "path",
            "status",
            "responseLength",
            "responseLatency",
            "integrationLatency",
            "integrationErrorMessage",
        )
    }
    assert stage["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": ["HttpApiLogGroup", "Arn"]}


def test_tracing_is_a_parameter_and_no_role_may_trace_without_it(template: dict[str, Any]) -> None:
    assert template["Resources"]["TracingPolicy"]["Condition"] == "Traced"
    for function in of_type(template, "AWS::Lambda::Function").values():
        assert function["TracingConfig"] == {"Mode": {"Ref": "Tracing"}}


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
    rule = schedules(template)["DeadLetterReaderFunction"]
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert given_up + 60 + functions["DeadLetterReaderFunction"]["Timeout"] <= 300


def test_renewals_are_started_as_often_as_they_reckon_with_and_have_time_to_end(
    template: dict[str, Any],
) -> None:
    rule = schedules(template)["TokenRefreshFunction"]
    assert rule["ScheduleExpression"] == f"rate({TICK // timedelta(minutes=1)} minutes)"
    function = of_type(template, "AWS::Lambda::Function")["TokenRefreshFunction"]
    assert function["Timeout"] == Times().function.total_seconds()


def test_a_message_stays_hidden_six_times_as_long_as_its_function_may_take(template: dict[str, Any]) -> None:
    functions = of_type(template, "AWS::Lambda::Function")
    queues = of_type(template, "AWS::SQS::Queue")
    mappings = of_type(template, "AWS::Lambda::EventSourceMapping")
    assert mappings
    for mapping in mappings.values():
        time_out = functions[triggered(mapping, template)]["Timeout"]
        hidden = queues[attribute_of(mapping["EventSourceArn"])]["VisibilityTimeout"]
        assert hidden >= 6 * time_out + mapping.get("MaximumBatchingWindowInSeconds", 0)


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
        triggered(mapping, template)
        for mapping in of_type(template, "AWS::Lambda::EventSourceMapping").values()
        if (
            attribute_of(functions[triggered(mapping, template)]["Role"]),
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


def test_intake_shows_an_order_before_the_queue_gives_its_message_up(template: dict[str, Any]) -> None:
    intake = of_type(template, "AWS::Lambda::Function")["OrderIntakeFunction"]
    orders = of_type(template, "AWS::SQS::Queue")["OrdersQueue"]
    assert (
        int(intake["Environment"]["Variables"]["MAX_RECEIVES"]) < orders["RedrivePolicy"]["maxReceiveCount"]
    )


def test_a_message_is_tried_five_times(template: dict[str, Any]) -> None:
    for name, queue in of_type(template, "AWS::SQS::Queue").items():
        if "RedrivePolicy" in queue:
            assert queue["RedrivePolicy"]["maxReceiveCount"] == 5, name


def test_a_tick_that_is_late_is_left_to_the_next_one(template: dict[str, Any]) -> None:
    rules = schedules(template)
    asked = {
        config["FunctionName"]["Ref"]: config
        for config in of_type(template, "AWS::Lambda::EventInvokeConfig").values()
    }
    assert rules.keys() == asked.keys()
    for name, rule in rules.items():
        [target] = rule["Targets"]
        late = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
        assert target["RetryPolicy"] == late, name
        assert late.items() <= asked[name].items(), name


def test_a_table_outlives_the_stack_and_can_be_brought_back_to_any_second(template: dict[str, Any]) -> None:
    tables = of_type(template, "AWS::DynamoDB::Table")
    assert tables
    for name, table in tables.items():
        resource = template["Resources"][name]
        # a first deploy that fails leaves no empty table behind, so it must also be able to delete one
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == (
            "RetainExceptOnCreate",
            "Retain",
        )
        assert table["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}
        assert template["Parameters"]["DeletionProtection"]["Default"] == "false"
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
        # at WARN, Lambda's reports of time, memory and cold starts are dropped
        assert logging["SystemLogLevel"] == "INFO"
    for group in of_type(template, "AWS::Logs::LogGroup").values():
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}


# --- releases --------------------------------------------------------------------------------------------------------

ALIAS = "live"
CANARIES = {"OrderIntakeFunction", "OrderPostingFunction", "OauthCallbackFunction", "TokenRefreshFunction"}


def versions(template: dict[str, Any]) -> dict[str, str]:
    """The version that each function's alias goes to."""
    return {
        alias["FunctionName"]["Ref"]: attribute_of(alias["FunctionVersion"])
        for alias in of_type(template, "AWS::Lambda::Alias").values()
    }


def copied(folder: Path) -> Path:
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("layers/bookkeeping/bookkeeping/domain/pacing.py", "LANES_AT_ONCE", "LANES_TOGETHER"),
        ("layers/bookkeeping/requirements.txt", "requests==", "requests==9"),
        ("samconfig.toml", "LaunchOrigins=http://localhost:8080", "LaunchOrigins=http://localhost:8081"),
        ("functions/xero_desk/app.py", "handler", "handle"),
        ("template.yaml", "MemorySize: 512", "MemorySize: 1024"),
    ],
    ids=["the layer", "a library", "a parameter", "a function", "the template"],
)
def test_a_change_makes_a_new_version_of_every_function(
    tmp_path: Path, file: str, before: str, after: str
) -> None:
    root = copied(tmp_path)
    former = expanded(source(root), release(root))
    assert release(root) == release(ROOT)
    text = (root / file).read_text()
    assert before in text
    (root / file).write_text(text.replace(before, after))
    now = expanded(source(root), release(root))
    assert versions(former).keys() == versions(now).keys() == of_type(now, "AWS::Lambda::Function").keys()
    for function, version in versions(now).items():
        assert version != versions(former)[function], function
    for made in of_type(now, "AWS::Lambda::Function").values():
        # Lambda publishes a version only if something about the function differs; the layer's text does not count
        assert made["Environment"]["Variables"]["RELEASE"] == {"Ref": "Release"}


def test_what_is_no_part_of_a_release_does_not_make_one(tmp_path: Path) -> None:
    root = copied(tmp_path)
    (root / "README.md").write_text("other words")
    (root / "functions" / "xero_desk" / "__pycache__").mkdir()
    (root / "functions" / "xero_desk" / "__pycache__" / "app.pyc").write_text("compiled")
    assert release(root) == release(ROOT)


def test_everything_that_calls_a_function_calls_its_alias(template: dict[str, Any]) -> None:
    resources = template["Resources"]
    called = [
        *(
            mapping["FunctionName"]
            for mapping in of_type(template, "AWS::Lambda::EventSourceMapping").values()
        ),
        *(permission["FunctionName"] for permission in of_type(template, "AWS::Lambda::Permission").values()),
        *(rule["Targets"][0]["Arn"] for rule in schedules(template).values()),
        *(
            {"Ref": re.findall(r"/functions/\$\{(\w+)", str(operation))[0]}
            for path in of_type(template, "AWS::ApiGatewayV2::Api")["HttpApi"]["Body"]["paths"].values()
            for operation in path.values()
        ),
    ]
    assert {function_of(one, resources) for one in called} | {"XeroDeskFunction"} == set(versions(template))
    for one in called:
        assert resources[one["Ref"]]["Type"] == "AWS::Lambda::Alias", one
    for config in of_type(template, "AWS::Lambda::EventInvokeConfig").values():
        assert config["Qualifier"] == ALIAS
    for role, statement in statements(template):
        if statement["Action"] == "lambda:InvokeFunction":
            assert statement["Resource"]["Fn::Sub"].endswith(f".Arn}}:{ALIAS}"), role
    for function in of_type(template, "AWS::Lambda::Function").values():
        for variable, value in function["Environment"]["Variables"].items():
            if variable.endswith("_FUNCTION"):
                assert value["Fn::Sub"].endswith(f"Function}}:{ALIAS}"), variable


def test_a_new_version_whose_calls_fail_is_taken_back(template: dict[str, Any]) -> None:
    groups = of_type(template, "AWS::CodeDeploy::DeploymentGroup")
    assert {name.removesuffix("DeploymentGroup") for name in groups} == CANARIES
    for name, group in groups.items():
        function = name.removesuffix("DeploymentGroup")
        assert "Canary10Percent5Minutes" in str(group["DeploymentConfigName"])
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        [watched] = group["AlarmConfiguration"]["Alarms"]
        alarm = of_type(template, "AWS::CloudWatch::Alarm")[watched["Name"]["Ref"]]
        assert (alarm["Namespace"], alarm["MetricName"], alarm["Threshold"]) == ("AWS/Lambda", "Errors", 0)
        assert {one["Name"]: one["Value"] for one in alarm["Dimensions"]} == {
            "FunctionName": {"Ref": function},
            "Resource": {"Fn::Sub": f"${{{function}}}:{ALIAS}"},
            "ExecutedVersion": {"Fn::GetAtt": [versions(template)[function], "Version"]},
        }
        # under the former alarm's name it would be that alarm, and might ring still when its mend comes
        assert "${Release}" in alarm["AlarmName"]["Fn::Sub"]
        assert group["ServiceRoleArn"] == {"Fn::GetAtt": ["ReleaseRole", "Arn"]}


def test_a_release_may_move_the_aliases_it_moves_slowly_and_no_other(template: dict[str, Any]) -> None:
    [moved] = [
        str(statement["Resource"])
        for name, statement in statements(template)
        if name == "ReleaseRole" and "lambda:UpdateAlias" in statement["Action"]
    ]
    assert set(re.findall(r"\w+Function", moved)) == CANARIES


# --- parameters ------------------------------------------------------------------------------------------------------


def test_every_parameter_is_used_and_said_in_the_docs(written: dict[str, Any]) -> None:
    described = (ROOT / "docs" / "deploy.md").read_text()
    used = json.dumps({key: part for key, part in written.items() if key != "Parameters"})
    for name, parameter in written["Parameters"].items():
        assert f'"Ref": "{name}"' in used or f"${{{name}}}" in used, name
        assert parameter["Description"], name
        assert f"| `{name}` |" in described, name


def test_the_deployer_s_rights_cover_every_kind_of_right_that_the_stack_makes(
    template: dict[str, Any],
) -> None:
    described = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    rights = described.split("## Rights")[1].split("```json")[1].split("```")[0]
    actions = {action for one in json.loads(rights)["Statement"] for action in one["Action"]}
    makes = {it["Type"] for it in template["Resources"].values() if it["Type"].startswith("AWS::IAM::")}
    needs = {
        "AWS::IAM::Role": {"iam:CreateRole", "iam:PassRole"},
        "AWS::IAM::ManagedPolicy": {"iam:CreatePolicy"},
    }
    assert set().union(*(needs[kind] for kind in makes)) <= actions


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_deploy_asks_nothing(written: dict[str, Any], environment: str) -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())[environment]["deploy"]["parameters"]
    assert config["confirm_changeset"] is False
    assert config["capabilities"] == "CAPABILITY_IAM"
    assert config["resolve_s3"] is True
    assert config["region"]
    given = {one.partition("=")[0] for one in config["parameter_overrides"]}
    asked = {name for name, parameter in written["Parameters"].items() if "Default" not in parameter}
    assert "file://.aws-sam/build/release.yaml" in given
    # nobody but the platform's engineers knows where its pages are: without them CloudFormation refuses
    assert asked - given == ({"Release"} if environment == "dev" else {"Release", "LaunchOrigins"})


def test_a_domain_comes_with_its_certificate_and_replaces_the_address_of_the_api(
    template: dict[str, Any],
) -> None:
    needs = {
        (str(rule["RuleCondition"]), str(assertion["Assert"]))
        for rule in template["Rules"].values()
        for assertion in rule["Assertions"]
    }
    domain, certificate = (
        str({"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]}) for name in ("DomainName", "CertificateArn")
    )
    assert needs == {(domain, certificate), (certificate, domain)}
    for name in ("PopupDomain", "PopupDomainMapping"):
        assert template["Resources"][name]["Condition"] == "HasDomain"
    [server] = of_type(template, "AWS::ApiGatewayV2::Api")["HttpApi"]["Body"]["servers"]
    assert server["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"] == {
        "Fn::If": ["HasDomain", True, {"Ref": "AWS::NoValue"}]
    }
    for place in (
        of_type(template, "AWS::Lambda::Function")["SettingsPageFunction"]["Environment"]["Variables"][
            "PUBLIC_URL"
        ],
        template["Outputs"]["ApiUrl"]["Value"],
    ):
        assert place["Fn::If"][:2] == ["HasDomain", {"Fn::Sub": "https://${DomainName}"}]


def test_orders_from_another_account_come_encrypted_and_from_one_sender(template: dict[str, Any]) -> None:
    policy = of_type(template, "AWS::SQS::QueuePolicy")["OrdersQueuePolicy"]
    assert template["Resources"]["OrdersQueuePolicy"]["Condition"] == "OrdersComeFromElsewhere"
    allowed, denied = policy["PolicyDocument"]["Statement"]
    assert (allowed["Effect"], allowed["Action"]) == ("Allow", "sqs:SendMessage")
    assert allowed["Principal"] == {"AWS": {"Ref": "OrderProducerArn"}}
    assert (denied["Effect"], denied["Principal"]) == ("Deny", "*")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_consumer_s_bus_gets_every_event_or_a_dead_letter_is_kept(template: dict[str, Any]) -> None:
    rule = of_type(template, "AWS::Events::Rule")["EventsRule"]
    assert rule["EventPattern"] == {"source": ["kornitx.xero"]}
    [target] = rule["Targets"]
    assert target["Arn"] == {"Ref": "EventConsumerBusArn"}
    assert target["RoleArn"] == {"Fn::GetAtt": ["EventsRole", "Arn"]}
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] <= 3600
    assert attribute_of(target["DeadLetterConfig"]["Arn"]) == "EventsDeadLetterQueue"
    granted = [statement for name, statement in statements(template) if name == "EventsRole"]
    assert granted == [
        {"Effect": "Allow", "Action": "events:PutEvents", "Resource": {"Ref": "EventConsumerBusArn"}}
    ]
    for name in ("EventsRule", "EventsRole", "EventsDeadLetterQueue", "EventsDeadLetterQueuePolicy"):
        assert template["Resources"][name]["Condition"] == "EventsGoElsewhere", name


def test_a_throttle_stands_before_every_route_and_none_lets_more_through_at_once_than_a_new_account_runs(
    template: dict[str, Any],
) -> None:
    stage = of_type(template, "AWS::ApiGatewayV2::Stage")["HttpApiApiGatewayDefaultStage"]
    limited = {route.key: route for route in routes(template)}
    assert stage["RouteSettings"].keys() <= limited.keys()
    for name, route in limited.items():
        assert 0 < route.burst <= NEW_ACCOUNT, name
        assert 0 < route.rate <= 2 * NEW_ACCOUNT, name
    # such a request takes two functions for as long as Xero takes
    assert 2 * limited["GET /api/{company}/xero/{list}"].burst < NEW_ACCOUNT


def test_no_secret_of_the_stack_has_a_fixed_name(template: dict[str, Any]) -> None:
    for name, secret in of_type(template, "AWS::SecretsManager::Secret").items():
        assert "Name" not in secret, name
        policies = template["Resources"][name]
        assert (policies["DeletionPolicy"], policies["UpdateReplacePolicy"]) == (
            "RetainExceptOnCreate",
            "Retain",
        )

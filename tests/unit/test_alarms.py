"""The evaluator of alarms, held against the examples of CloudWatch's own guide."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.alarms import Alarm, Metrics

WATCHED = {"Namespace": "N", "MetricName": "m", "Dimensions": [{"Name": "service", "Value": "s"}]}


def alarm(**properties: Any) -> Alarm:
    given = {
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0,
        "TreatMissingData": "notBreaching",
    }
    return Alarm("alarm", WATCHED | given | properties)


def reckoned(expression: str, period: int = 60, **stats: str) -> Alarm:
    """An alarm that calculates with metrics, each with its statistic."""
    queries: list[dict[str, Any]] = [{"Id": "result", "Expression": expression, "Period": period}]
    for name, stat in stats.items():
        of = {"Metric": WATCHED | {"MetricName": name}, "Period": period, "Stat": stat}
        queries.append({"Id": name, "ReturnData": False, "MetricStat": of})
    return alarm(Metrics=queries)


def recorded(points: str, name: str = "m") -> Metrics:
    """`0 - X`: a good point, a missing one, a breaching one; the last is of minute 9."""
    metrics = Metrics()
    each = points.split()
    for minute, point in enumerate(each, 10 - len(each)):
        if point != "-":
            metrics.put(minute, "N", name, {"service": "s"}, float(point.replace("X", "1")))
    return metrics


@pytest.mark.parametrize(
    ("points", "of_three", "breaching", "not_breaching"),
    [
        ("0 - X - X", 3, False, False),
        ("0 - - - -", 3, False, False),
        ("- - - - -", 3, True, False),
        ("0 X X - X", 3, True, True),
        ("- - X - -", 3, True, False),
        ("0 - X - X", 2, True, True),
        ("0 0 X 0 X", 2, True, True),
        ("0 - X - -", 2, True, False),
        ("- - - - 0", 2, True, False),
        ("- - - X -", 2, True, False),
    ],
)
def test_missing_data_is_treated_as_in_the_guides_tables(
    points: str, of_three: int, *, breaching: bool, not_breaching: bool
) -> None:
    for treated, rings in (("breaching", breaching), ("notBreaching", not_breaching)):
        of = alarm(EvaluationPeriods=3, DatapointsToAlarm=of_three, TreatMissingData=treated)
        assert of.rings(recorded(points), 9) is rings, (points, treated)


def test_a_longer_period_slides_by_the_minute() -> None:
    of = alarm(Period=300, Threshold=2)
    assert of.rang_at(recorded("1 0 1 0 1 0 0 0 0 0"), range(10)) == [4]
    assert of.rang_at(recorded("1 0 1 0 0 1 0 0 0 0"), range(10)) == []


def test_what_has_not_arrived_is_missing() -> None:
    metrics = recorded("0 X")
    assert alarm().rang_at(metrics, range(20)) == [9]
    assert alarm().rang_at(metrics, range(20), late=1) == [10]


def test_a_filled_metric_tells_silence_without_looking_back() -> None:
    metrics = recorded("1 1 1 - - -")
    filled = reckoned("FILL(m, 0)", m="SampleCount").properties
    silent = Alarm("silent", dict(filled) | {"ComparisonOperator": "LessThanThreshold", "Threshold": 1})
    assert silent.rang_at(metrics, range(4, 10)) == [7]
    missing = alarm(ComparisonOperator="LessThanThreshold", Threshold=1, TreatMissingData="breaching")
    assert missing.rang_at(metrics, range(4, 10)) == [9], "a later one, for it looks back for data"


def test_metrics_are_calculated_with() -> None:
    both = recorded("3")
    both.put(9, "N", "n", {"service": "s"}, 2)
    for expression, value in (
        ("m + n", 5),
        ("m - n", 1),
        ("m + 2 * n", 7),
        ("SUM(METRICS())", 5),
        ("m + FILL(n, 0)", 5),
    ):
        of = reckoned(expression, m="Sum", n="Sum")
        assert not Alarm("", dict(of.properties) | {"Threshold": value}).rings(both, 9)
        assert Alarm("", dict(of.properties) | {"Threshold": value - 1}).rings(both, 9)
    one = recorded("3")
    assert not reckoned("m + n", m="Sum", n="Sum").rings(one, 9), "a part is missing"
    assert reckoned("m + FILL(n, 0)", m="Sum", n="Sum").rings(one, 9)
    assert reckoned("SUM(METRICS())", m="Sum", n="Sum").rings(one, 9)
    with pytest.raises(NotImplementedError):
        reckoned("ANOMALY_DETECTION_BAND(m)", m="Sum").rings(one, 9)


def test_a_query_sums_up_a_metric_of_every_function() -> None:
    metrics = Metrics()
    metrics.put(9, "N", "m", {"service": "one"}, 1)
    metrics.put(9, "N", "m", {"service": "other"}, 1)
    metrics.put(9, "N of another stack", "m", {"service": "one"}, 5)
    of = reckoned('SELECT SUM(m) FROM SCHEMA("N", service)')
    assert Alarm("", dict(of.properties) | {"Threshold": 1}).rings(metrics, 9)
    assert not Alarm("", dict(of.properties) | {"Threshold": 2}).rings(metrics, 9)


def test_too_few_samples_for_a_percentile_change_nothing() -> None:
    of = Alarm(
        "slow",
        {
            **{key: value for key, value in alarm().properties.items() if key != "Statistic"},
            "ExtendedStatistic": "p50",
            "EvaluateLowSampleCountPercentile": "ignore",
            "Threshold": 10,
        },
    )
    metrics = Metrics()
    metrics.put(9, "N", "m", {"service": "s"}, *[11.0] * 19)
    assert not of.rings(metrics, 9)
    assert of.rings(metrics, 9, rang=True)
    metrics.put(9, "N", "m", {"service": "s"}, 11)
    assert of.rings(metrics, 9)


def test_a_log_line_in_the_embedded_metric_format_is_read() -> None:
    line = {
        "_aws": {
            "CloudWatchMetrics": [
                {"Namespace": "N", "Dimensions": [["service"]], "Metrics": [{"Name": "m"}, {"Name": "n"}]}
            ]
        },
        "service": "s",
        "m": [1.0, 2.0],
        "n": 5.0,
    }
    metrics = Metrics()
    metrics.put_line(9, json.dumps(line))
    assert metrics.values == {
        ("N", "m", (("service", "s"),)): {9: [1.0, 2.0]},
        ("N", "n", (("service", "s"),)): {9: [5.0]},
    }

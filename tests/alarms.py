"""What the template's alarms make of metrics, as CloudWatch documents it: when each of them rings.

The rules are those of "Configuring how CloudWatch alarms treat missing data" and "Alarm evaluation" in its user guide.
An alarm is evaluated every minute, also where its period is longer: the periods slide. Whatever an alarm of the
template uses beyond this is refused, so that none is evaluated in part.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Template = Mapping[str, Any]
Key = tuple[str, str, tuple[tuple[str, str], ...]]

STACK: Final = "stack"
BEHIND: Final = 2
"""How many periods farther back than it has to an alarm looks for data, in the guide's examples."""
QUERY: Final = re.compile(r'SELECT SUM\((\w+)\) FROM SCHEMA\("([^"]+)", (\w+)\)')
COMPARED: Final = {
    "GreaterThanThreshold": float.__gt__,
    "GreaterThanOrEqualToThreshold": float.__ge__,
    "LessThanThreshold": float.__lt__,
}


@dataclass
class Metrics:
    """The values of every metric, by minute."""

    values: dict[Key, dict[int, list[float]]] = field(default_factory=dict)

    def put(
        self, minute: int, namespace: str, name: str, dimensions: Mapping[str, str], *values: float
    ) -> None:
        key = (namespace, name, tuple(sorted(dimensions.items())))
        self.values.setdefault(key, {}).setdefault(minute, []).extend(values)

    def put_line(self, minute: int, line: str) -> None:
        """Put what a line of a function's log holds in CloudWatch's embedded metric format."""
        written = json.loads(line)
        for directive in written["_aws"]["CloudWatchMetrics"]:
            for names in directive["Dimensions"]:
                dimensions = {name: written[name] for name in names}
                for metric in directive["Metrics"]:
                    found = written[metric["Name"]]
                    values = found if isinstance(found, list) else [found]
                    self.put(minute, directive["Namespace"], metric["Name"], dimensions, *values)

    def between(self, key: Key, first: int, last: int) -> list[float]:
        by_minute = self.values.get(key, {})
        return [value for minute in range(first, last + 1) for value in by_minute.get(minute, ())]


def plain(value: Any) -> Any:
    """A value of the template with its references resolved: what stands for a resource is its logical name."""
    match value:
        case {"Ref": name}:
            return name
        case {"Fn::GetAtt": [name, _]}:
            return name
        case {"Fn::Sub": text}:
            return text.replace("${AWS::StackName}", STACK)
    return value


@dataclass(frozen=True)
class Alarm:
    name: str
    properties: Mapping[str, Any]

    @property
    def period(self) -> int:
        """In minutes."""
        return int(self._watched()[1]) // 60

    def rings(self, metrics: Metrics, minute: int, *, rang: bool = False, late: int = 0) -> bool:
        """Whether it is in ALARM at the end of the minute; `rang`: whether it was before.

        Of the last `late` minutes nothing has arrived yet.
        """
        wanted = self.properties["EvaluationPeriods"]
        points = [
            self._point(metrics, minute - place * self.period, minute - late)
            for place in range(wanted + BEHIND)
        ]
        if points[0] == "too few":
            return rang
        real = [point for point in points if isinstance(point, float)][:wanted]
        breaching = sum(map(self._breaches, real))
        if self._missing_breaches:
            breaching += wanted - len(real)
        return bool(breaching >= self.properties.get("DatapointsToAlarm", wanted))

    def rang_at(self, metrics: Metrics, minutes: range, *, late: int = 0) -> list[int]:
        """The minutes at whose end it began to ring."""
        began, rang = list[int](), False
        for minute in minutes:
            before, rang = rang, self.rings(metrics, minute, rang=rang, late=late)
            if rang and not before:
                began.append(minute)
        return began

    @property
    def _missing_breaches(self) -> bool:
        treated = {"breaching": True, "notBreaching": False}
        return treated[self.properties["TreatMissingData"]]

    def _breaches(self, value: float) -> bool:
        compared = COMPARED[self.properties["ComparisonOperator"]]
        return bool(compared(value, float(self.properties["Threshold"])))

    def _watched(self) -> tuple[str, int]:
        """What is evaluated, and its period in seconds."""
        if "Metrics" not in self.properties:
            return "", self.properties["Period"]
        [returned] = [query for query in self.properties["Metrics"] if query.get("ReturnData", True)]
        periods = {query["MetricStat"]["Period"] for query in self._stats().values()} or {returned["Period"]}
        [period] = periods
        return plain(returned["Expression"]), period

    def _stats(self) -> dict[str, Mapping[str, Any]]:
        return {query["Id"]: query for query in self.properties["Metrics"] if "MetricStat" in query}

    def _point(self, metrics: Metrics, minute: int, arrived: int) -> float | str | None:
        """The value of the period that ends with the minute; None where it is missing."""
        first, last = minute - self.period + 1, min(minute, arrived)
        expression, _ = self._watched()
        if not expression:
            of = self.properties
            values = metrics.between(_key(of), first, last)
            if of.get("EvaluateLowSampleCountPercentile") == "ignore":
                share = float(of["ExtendedStatistic"].removeprefix("p")) / 100
                if 0 < len(values) < 10 / (1 - share):
                    return "too few"
            return _statistic(of.get("Statistic") or of["ExtendedStatistic"], values)
        if query := QUERY.fullmatch(expression):
            name, namespace, dimension = query.groups()
            found = [
                value
                for key in metrics.values
                if key[:2] == (namespace, name) and [one for one, _ in key[2]] == [dimension]
                for value in metrics.between(key, first, last)
            ]
            return _statistic("Sum", found)
        values_of = {
            id_: _statistic(
                query["MetricStat"]["Stat"],
                metrics.between(_key(query["MetricStat"]["Metric"]), first, last),
            )
            for id_, query in self._stats().items()
        }
        return _calculated(ast.parse(expression, mode="eval").body, values_of)


def _key(metric: Mapping[str, Any]) -> Key:
    dimensions = {one["Name"]: plain(one["Value"]) for one in metric["Dimensions"]}
    return plain(metric["Namespace"]), metric["MetricName"], tuple(sorted(dimensions.items()))


def _statistic(name: str, values: list[float]) -> float | None:
    if not values:
        return None
    if name.startswith("p"):
        return float(sorted(values)[int(len(values) * float(name[1:]) / 100)])
    match name:
        case "Sum":
            return float(sum(values))
        case "Maximum":
            return float(max(values))
        case "SampleCount":
            return float(len(values))
    raise NotImplementedError(name)


def _calculated(node: ast.expr, values: Mapping[str, float | None]) -> float | None:
    """Metric math, as far as the template uses it. A sum with a missing part is missing."""
    match node:
        case ast.Constant(value=int(number)):
            return float(number)
        case ast.Name(id=name):
            return values[name]
        case ast.Call(func=ast.Name(id="SUM"), args=[ast.Call(func=ast.Name(id="METRICS"), args=[])]):
            real = [value for value in values.values() if value is not None]
            return sum(real) if real else None
        case ast.Call(func=ast.Name(id="FILL"), args=[filled, with_]):
            value = _calculated(filled, values)
            return _calculated(with_, values) if value is None else value
        case ast.BinOp(left=left, op=op, right=right):
            one, other = _calculated(left, values), _calculated(right, values)
            if one is None or other is None:
                return None
            match op:
                case ast.Add():
                    return one + other
                case ast.Sub():
                    return one - other
                case ast.Mult():
                    return one * other
    raise NotImplementedError(ast.unparse(node))


def alarms(template: Template) -> Iterator[Alarm]:
    """The alarms of an expanded template."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            yield Alarm(name, resource["Properties"])

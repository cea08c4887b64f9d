"""docs/schemas/ as checks: what the platform is promised about the messages it sends and the events it hears."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

SCHEMAS = Path(__file__).parents[1] / "docs" / "schemas"


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


@cache
def _order() -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(schema("order"))


def order_complaints(order: Any) -> list[str]:
    """What the schema has against an order message."""
    return [
        f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in _order().iter_errors(order)
    ]


@cache
def _event(type_: str) -> jsonschema_rs.Validator:
    """The schema, and nothing beside what it says: consumers may meet more, but not without our knowing."""
    strict = schema(type_)
    for described in (strict, *strict.get("$defs", {}).values()):
        if described["type"] == "object":
            described["additionalProperties"] = False
    return jsonschema_rs.validator_for(strict, validate_formats=True)


def check_event(type_: str, detail: Mapping[str, Any]) -> None:
    _event(type_).validate(detail)

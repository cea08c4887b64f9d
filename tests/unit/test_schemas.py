"""docs/schemas/ says of order messages what the code that reads them does, and of events what it publishes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from bookkeeping.domain.events import DETAILS
from bookkeeping.domain.order_message import read_message
from bookkeeping.domain.orders import Unreadable, read_order
from local.sample_kinds import KINDS
from local.samples import UNTRACKED, Maker
from local.schemas import SCHEMAS, schemas, text_of
from tests.schemas import check_event, order_complaints

ORDERS = {
    path.stem: text
    for path in Path("events").glob("order_*.json")
    if "Records" not in (text := path.read_text())
}
SAMPLES = {
    **ORDERS,
    **{
        kind.name: message if isinstance(message, str) else json.dumps(message)
        for kind in KINDS.values()
        for message in [kind.message(Maker(1).order(UNTRACKED, 0, kind.lines))]
    },
}
NO_SCHEMA_SAYS = {
    "bad_date",
    "conflicting_prices",
    "bad_rate",
    "duplicate_key",
    "unreadable_json",
    "too_large",
    "too_deep",
    "bad_text",
}
"""Problems of days that are in no calendar, of how fields fit together, and of JSON itself."""


def test_the_schemas_are_those_that_the_code_makes() -> None:
    made = {f"{name}.json": text_of(schema) for name, schema in schemas().items()}
    kept = {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.iterdir()}
    assert kept == made, "run `make schemas`"


@pytest.mark.parametrize("name", [*schemas()])
def test_a_schema_is_one(name: str) -> None:
    assert jsonschema_rs.meta.is_valid(schemas()[name])


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_order_fits_the_schema_if_it_can_be_read(name: str) -> None:
    problem = ""
    try:
        order = read_order(read_message(SAMPLES[name]))
    except Unreadable as unreadable:
        problem = unreadable.problem.code
    else:
        if order.disposition != "live" or order.completion_flaw:
            return  # one that is not to be posted may be anything
    if problem not in NO_SCHEMA_SAYS:
        assert bool(order_complaints(json.loads(SAMPLES[name]))) == bool(problem)


GOOD: dict[str, Any] = {
    "id": 61530418,
    "company_ref_id": 412077,
    "sale_datetime": "2026-11-02",
    "items": [{"quantity": 1, "unit_sale_price": "10.00", "sale_vat_rate": 20}],
}


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"id": " 61530418 "}, True),
        ({"id": 0}, False),
        ({"id": "007"}, False),
        ({"id": 10**19}, False),
        ({"id": True}, False),
        ({"id": 1.5}, False),
        ({"company_ref_id": "0f8fad5b-d9cb-469f-a165-70867728950e"}, False),
        ({"company_ref_id": "0f8fad5b-d9cb-469f-a165-70867728950e", "secondary_company_ref_id": "7"}, True),
        ({"company_ref_id": ""}, False),
        ({"sale_datetime": "0000-00-00 00:00:00"}, False),
        ({"sale_datetime": None, "creation_datetime": "2026-11-02T10:00:00+02:00"}, True),
        ({"sale_datetime": "yesterday"}, False),
        ({"sale_datetime": 1795600000}, False),
        ({"completion_datetime": "N/A"}, True),
        ({"has_error": "No"}, True),
        ({"has_error": "perhaps"}, False),
        ({"has_error": 2}, False),
        ({"is_free_of_charge": ""}, True),
        ({"currency_code": "gbp"}, True),
        ({"currency_code": "£"}, False),
        ({"ref": 17}, True),
        ({"ref": []}, True),
        ({"ref": True}, False),
        ({"ref": ["a"]}, False),
        ({"shipping_price": "1e9"}, True),
        ({"shipping_price": 10**10}, False),
        ({"shipping_price": "ten"}, False),
        ({"required_dispatch_date": "soon"}, True),
        ({"items": []}, False),
        ({"items": {}}, False),
        ({"items": [{"quantity": 1}] * 501}, False),
        ({"items": [{"unit_sale_price": 1}]}, False),
        ({"items": [{"quantity": -1, "unit_sale_price": 1}]}, False),
        ({"items": [{"quantity": "1.5", "unit_sale_price": {}}]}, False),
        ({"items": [{"quantity": 1, "unit_sale_price": 1, "sku": {"a": 1}}]}, False),
        ({"items": [{"status": 7, "quantity": "many"}, {"quantity": 1, "unit_sale_price": 1}]}, True),
        ({"items": ["a line"]}, False),
    ],
    ids=str,
)
def test_the_schema_takes_what_the_code_takes_and_nothing_else(change: dict[str, Any], fits: bool) -> None:
    for message in (GOOD | change, {"order": GOOD | change}):
        try:
            read_order(read_message(json.dumps(message)))
            taken = True
        except Unreadable:
            taken = False
        assert (taken, order_complaints(message) == []) == (fits, fits)


def test_an_event_that_says_less_more_or_something_else_is_noticed() -> None:
    detail: dict[str, Any] = {
        "id": "412077#1#connected",
        "at": "2026-11-02T10:00:00+00:00",
        "company": "412077",
        "organisation_id": "7",
        "status": "cut_off",
    }
    check_event("ConnectionLost", detail)
    wrong = [
        detail | {"status": "gone"},
        detail | {"more": 1},
        detail | {"at": "today"},
        detail | {"company": 1},
    ]
    wrong += [{name: value for name, value in detail.items() if name != left_out} for left_out in detail]
    for one in wrong:
        with pytest.raises(jsonschema_rs.ValidationError):
            check_event("ConnectionLost", one)
    assert set(DETAILS) < set(schemas())

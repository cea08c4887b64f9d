"""Whatever a message holds, it ends as an order or as a problem in words, soon and in little memory.

`HOSTILE_CASES=7200 pytest tests/unit/test_orders_hostile.py` tries 50,000 generated cases and more.
"""

from __future__ import annotations

import gc
import json
import os
import re
import time
import tracemalloc
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bookkeeping.domain.order_message import MAX_MESSAGE, MAX_WITHOUT_PDFS, read_message
from bookkeeping.domain.orders import Order, Unreadable, content, content_hash, order_from_content, read_order

CASES = int(os.environ.get("HOSTILE_CASES", "30"))
CPU_SECONDS = 1.0
MEMORY_BYTES = 64 * 1024 * 1024

CODES = {
    *("unreadable_json", "too_large", "too_deep", "too_many_lines", "duplicate_key", "bad_text"),
    *("missing_field", "bad_number", "bad_quantity", "bad_date", "bad_rate", "bad_currency", "bad_id"),
    *("conflicting_prices", "no_lines", "bad_flag", "not_text"),
}
ORDER = json.loads(
    (Path(__file__).parents[2] / "events" / "order_dispatched.json").read_text(encoding="utf-8")
)
BODY = json.dumps(ORDER, ensure_ascii=False)
ID, COMPANIES = "62904417", ("421406", "420913")

generated = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=CASES <= 1000,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True, scope="module")
def alone_in_memory() -> Iterator[None]:
    """A collection that falls into a reading looks through what that reading made, not the whole suite."""
    gc.freeze()
    yield
    gc.unfreeze()


def outcome(body: str | bytes) -> Order | Unreadable:
    """What a message comes to, checked for what holds of every outcome."""
    try:
        order = read_order(read_message(body))
    except Unreadable as stopped:
        check_problem(stopped)
        return stopped
    check_order(order)
    return order


def check_problem(stopped: Unreadable) -> None:
    assert stopped.problem.code in CODES
    assert stopped.problem.details["order"] == (stopped.order_id or "?")
    for company in stopped.companies:
        assert re.fullmatch("[1-9][0-9]{0,18}", company)
    for name, text in stopped.problem.details.items():
        assert len(text) < 120, name
        assert text.isprintable(), name


def check_order(order: Order) -> None:
    assert re.fullmatch("[1-9][0-9]{0,18}", order.id)
    assert 1 <= len(order.companies) <= 2
    assert isinstance(order.sold_at, date)
    shipping = order.shipping
    amounts = [shipping.price, shipping.price_inc_tax]
    rates = [shipping.tax_rate]
    for line in order.lines:
        assert 0 <= line.quantity < 10**10
        amounts += [line.quantity, line.price, line.price_inc_tax, line.cost]
        rates.append(line.tax_rate)
    for amount in amounts:
        if amount is not None:
            exponent = amount.as_tuple().exponent
            assert abs(amount) < 10**10
            assert exponent in range(-12, 1)
    for rate in rates:
        assert rate is None or (0 <= rate <= 100 and "E" not in str(rate) and not str(rate).endswith(".0"))
    text = content(order)
    assert order_from_content(text) == order
    assert content_hash(order_from_content(text)) == content_hash(order)
    text.encode()


# --- generated messages ----------------------------------------------------------------------------

NUMBERS = st.sampled_from(
    [
        *("0", "-0", "1", "7", "0.2", "20", "-1", "13.00", "2.0000", "1e5", "1E-5", "00", "01", ".5", "5."),
        *("1e99", "1e-99", "1e3000000", "-1e3000000", "0.1e-3000000", "0e99", "+1", "-", "+"),
        *("99999999999", "9999999999.999999999999", "1.0000000000000000000001", "123456789012345678901"),
        *("NaN", "Infinity", "-Infinity", "9" * 39, "9" * 41, "9" * 5000, "0." + "3" * 5000, "0" * 100),
    ]
)
TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "0", "-1", "NaN", "20", "0.2", "abc", "12,50", "£5", "true", "GBP", "gbp", "128", "On Hold"]
    ),
    st.sampled_from(
        ["0000-00-00 00:00:00", "2026-06-31", "2026-6-29T10:43:7", "9999-12-31", "Cancelled", "٣", "\x00"]
    ),
    st.text(max_size=12),
    st.text(st.characters(), max_size=8),
    NUMBERS,
)
STRINGS = st.one_of(
    TEXTS.map(json.dumps),
    TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(
        ['"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\ud800"', '"\\u00"', '"\\q"', '"\n"', '"']
    ),
)
KEYS = st.one_of(
    st.sampled_from(
        [*ORDER, *ORDER["items"][0], "order", "unit_price", "sale_price", "vat_rate", "cost_price"]
    ).map(json.dumps),
    STRINGS,
    st.sampled_from(['"\\u0069d"', '"pdf\\u0073"', "id", "'id'", '""']),
)
ATOMS = st.one_of(
    STRINGS, NUMBERS, st.sampled_from(["true", "false", "null", "None", "", "[]", "{}", "[[]]"])
)


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.tuples(KEYS, inner).map(":".join)
    return st.one_of(
        st.lists(inner, max_size=4).map(lambda parts: f"[{','.join(parts)}]"),
        st.lists(members, max_size=5).map(lambda parts: f"{{{','.join(parts)}}}"),
        st.tuples(inner, st.integers(1, 25)).map(lambda nest: "[" * nest[1] + nest[0] + "]" * nest[1]),
    )


VALUES = st.recursive(ATOMS, containers, max_leaves=12)
SPLICES = st.one_of(
    VALUES, st.text(max_size=5), st.sampled_from([*'"\\[]{},: \ufeff\x00', "/*", "//", '\\"', '":"'])
)


@generated
@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=100), st.text(st.characters(), max_size=60), VALUES)
)
def test_anything_at_all_ends_in_an_answer(body: str | bytes) -> None:
    outcome(body)


@generated
@given(st.lists(st.tuples(KEYS, VALUES), max_size=8), st.booleans(), st.randoms(use_true_random=False))
def test_an_order_with_anything_in_its_fields_ends_in_an_answer(
    fields: list[tuple[str, str]], inside_item: bool, random: Any
) -> None:
    # The field replaces the good one, so that what follows it is reached as well.
    members = {json.dumps(key): json.dumps(value) for key, value in ORDER.items() if key != "items"}
    line = {json.dumps(key): json.dumps(value) for key, value in ORDER["items"][0].items()}
    (line if inside_item else members).update(fields)
    members.setdefault('"items"', "[{" + ",".join(map(":".join, line.items())) + "}]")
    parts = [":".join(member) for member in members.items()]
    random.shuffle(parts)
    body = "{" + ",".join(parts) + "}"
    for each in (body, f'{{"order":{body}}}'):
        outcome(each)


@generated
@given(st.integers(0, len(BODY)), st.integers(0, 40), SPLICES)
def test_an_order_with_a_piece_replaced_ends_in_an_answer(start: int, length: int, piece: str) -> None:
    outcome(BODY[:start] + piece + BODY[start + length :])


WRAPPED = f'{{"order": {BODY}, "sent": 1}}'


@generated
@given(st.sampled_from([BODY, WRAPPED]), st.data())
def test_a_cut_message_tells_the_truth_or_nothing(body: str, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(body) - 1))
    stopped = outcome(body[:length])
    assert isinstance(stopped, Unreadable)
    assert stopped.order_id in (ID, None)
    assert set(stopped.companies) <= set(COMPANIES)
    if length > len(body) // 2:
        assert (stopped.order_id, stopped.companies) == (ID, COMPANIES)


@generated
@given(st.one_of(VALUES, SPLICES.map(lambda piece: f'{{"id": 5, "a": {piece}}}')))
def test_nothing_is_accepted_that_json_does_not_allow(body: str) -> None:
    """Python's own reader, told to refuse what JSON doesn't know, is the judge."""
    assume("pdfs" not in body and "\\u00" not in body)
    try:
        read_message(body)
    except Unreadable:
        return

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    judged = json.loads(body, parse_int=str, parse_float=str, parse_constant=refuse)
    assert isinstance(judged, dict)


PAIRS = st.tuples(
    st.decimals(0, 1000, places=4),
    st.sampled_from(
        [Decimal(0), Decimal("0.05"), Decimal("0.055"), Decimal("0.10"), Decimal("0.20"), Decimal("0.25")]
    ),
    st.booleans(),
    st.sampled_from(["stated", "percent", "missing", "wrong"]),
)


@generated
@given(PAIRS)
def test_prices_and_rate_are_kept_as_they_were_sent(pair: tuple[Decimal, Decimal, bool, str]) -> None:
    price, fraction, cents, given_as = pair
    price = price.quantize(Decimal("0.01")) if cents else price
    assume(price >= 10)
    inc_tax = (price * (1 + fraction)).quantize(Decimal("0.01"))
    rate = {"stated": fraction, "percent": fraction * 100, "missing": None, "wrong": -1}[given_as]
    line = {
        "quantity": 1,
        "unit_sale_price": str(price),
        "unit_sale_price_inc_tax": str(inc_tax),
        "sale_vat_rate": rate if rate is None else str(rate),
    }
    order = outcome(json.dumps({**ORDER, "items": [line]}))
    assert isinstance(order, Order)
    assert order.lines[0].tax_rate == (fraction * 100 if given_as in ("stated", "percent") else None)
    assert (order.lines[0].price, order.lines[0].price_inc_tax) == (price, inc_tax)


@generated
@given(st.decimals(-(10**10), 10**10, places=6), st.integers(0, 6), st.integers(-6, 6), st.booleans())
def test_an_amount_is_the_same_however_it_is_written(
    amount: Decimal, zeros: int, shift: int, as_text: bool
) -> None:
    assume(abs(amount) < 10**10)
    plain = f"{amount:f}"
    ways = [plain, plain + "0" * zeros, f"{amount.scaleb(-shift):f}e{shift}"]
    bodies = [BODY.replace("11.2,", json.dumps(way) + "," if as_text else way + ",") for way in ways]
    orders = [outcome(body) for body in bodies]
    assert all(isinstance(order, Order) for order in orders)
    first = orders[0]
    assert isinstance(first, Order)
    assert first.lines[0].cost == amount
    assert len({content(order) for order in orders if isinstance(order, Order)}) == 1


# --- the bomb list ---------------------------------------------------------------------------------

HEAD = (
    '{"id":62904417,"company_ref_id":420913,"secondary_company_ref_id":421406,"sale_datetime":"2026-11-18",'
)
REST, ALL = MAX_WITHOUT_PDFS, MAX_MESSAGE


def filled(start: str, unit: str, end: str, size: int) -> str:
    return start + unit * ((size - len(start) - len(end)) // len(unit)) + end


def bombs() -> Iterator[tuple[str, str, str]]:
    """Name, message, and the code of its problem."""
    yield "lists 100,000 deep", "[" * 100_000, "too_deep"
    yield "objects 100,000 deep", HEAD + '"a":' + '{"a":' * 100_000, "too_deep"
    yield "orders in orders", filled("{", '"order":{', "", ALL), "too_deep"
    yield "pdfs 100,000 deep", HEAD + '"pdfs":' + "[" * 100_000 + "]" * 100_000 + "}", "missing_field"
    yield "a huge exponent", HEAD + '"shipping_price":1e3000000,"items":[{"quantity":1}]}', "bad_number"
    yield (
        "a huge exponent as text",
        HEAD + '"shipping_price":"1e3000000","items":[{"quantity":1}]}',
        "bad_number",
    )
    yield "an id of a huge exponent", '{"id":1e3000000}', "bad_id"
    yield (
        "a quantity of 250,000 digits",
        HEAD + '"items":[{"quantity":' + "9" * 250_000 + "}]}",
        "bad_quantity",
    )
    yield (
        "a rate of 250,000 digits",
        HEAD + '"items":[{"quantity":1,"tax_rate":0.' + "9" * 250_000 + "}]}",
        "bad_rate",
    )
    yield "a million digits", HEAD + '"a":' + "9" * 1_000_000 + "}", "too_large"
    yield "13 MB of keys", "{" + ",".join(f'"key{n:07d}":0' for n in range(900_000)) + "}", "too_large"
    yield "256 KB of keys", "{" + ",".join(f'"{n:x}":0' for n in range(27_000)) + "}", "missing_field"
    yield "one key in many objects", filled(HEAD + '"a":[', '{"":0},', "0]}", REST), "missing_field"
    yield "one key many times", filled("{", '"id":1,', '"a":1}', REST), "duplicate_key"
    yield "one key a million times", filled("{", '"id":1,', '"a":1}', ALL), "too_large"
    yield "many numbers", filled(HEAD + '"items":[', "0,", "0]}", REST), "too_many_lines"
    yield "many lists", filled(HEAD + '"items":[', "[],", "[]]}", REST), "too_many_lines"
    yield "many objects", filled(HEAD + '"items":[', "{},", "{}]}", REST), "too_many_lines"
    yield "many texts", filled(HEAD + '"a":[', '"",', '""]}', REST), "missing_field"
    yield "many escapes", filled(HEAD + '"a":"', "\\u0041", '"}', REST), "missing_field"
    yield "an open text", filled(HEAD + '"a":"', '\\"', "", REST), "unreadable_json"
    yield "only quotes", '"' * REST, "unreadable_json"
    yield "only backslashes", filled('{"', "\\", "", REST), "unreadable_json"
    yield "only colons", ":" * REST, "unreadable_json"
    yield "only spaces", " " * REST, "unreadable_json"
    yield "spaces where an id should be", filled(HEAD + '"id":', " ", "}", REST), "unreadable_json"
    yield "many pdfs", filled(HEAD, '"pdfs":0,', '"a":1}', REST), "too_large"
    yield "many open pdfs", filled(HEAD, '"pdfs":[', '"a":1}', ALL), "unreadable_json"
    yield "pdfs of brackets", filled(HEAD + '"pdfs":[', "[],", "[]]}", ALL // 2), "missing_field"
    yield "pdfs that never close", filled(HEAD + '"pdfs":', "[", "", ALL // 2), "unreadable_json"
    yield "pdfs of quotes", filled(HEAD + '"pdfs":[', '"",', '""]}', ALL), "missing_field"
    yield "pdfs of escapes", filled(HEAD + '"pdfs":["', '\\"', '"]}', ALL), "missing_field"
    yield "not a number", HEAD + '"shipping_tax_rate":NaN}', "unreadable_json"
    yield "infinity", HEAD + '"shipping_tax_rate":-Infinity}', "unreadable_json"
    yield "a repeated key", HEAD + '"ref":"a","ref":"b"}', "duplicate_key"
    yield "half a character", HEAD + '"ref":"\\ud800"}', "bad_text"
    yield "half a character unescaped", HEAD + '"ref":"\ud800"}', "bad_text"
    yield (
        "half a character under a long key",
        (HEAD + '"' + "k" * 100_000 + '":[' + '"",' * 40_000 + '"\\ud800"]}'),
        "bad_text",
    )
    yield "half a character in a long word", HEAD + '"a":"' + "é" * 120_000 + '\\udfff"}', "bad_text"
    yield "a long id", '{"id":' + "1" * 250_000 + "}", "bad_id"
    yield (
        "a long date",
        HEAD.replace('"sale_datetime":"2026-11-18",', '"items":[{"quantity":1}],"sale_datetime":"')
        + "0000-00-00" * 20_000
        + '"}',
        "bad_date",
    )
    yield "a long currency", HEAD + '"currency_code":"' + "g" * 250_000 + '"}', "bad_currency"


@pytest.mark.parametrize(
    ("body", "code"), [pytest.param(body, code, id=name) for name, body, code in bombs()]
)
def test_a_bomb_is_defused(body: str, code: str) -> None:
    for each in (body, body.encode("utf-8", "surrogatepass")):
        started = time.thread_time()
        stopped = outcome(each)
        assert time.thread_time() - started < CPU_SECONDS
        assert isinstance(stopped, Unreadable)
        assert stopped.problem.code == code
    tracemalloc.start()
    try:
        outcome(body)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
    finally:
        tracemalloc.stop()


def test_the_largest_order_is_read_in_time() -> None:
    line = {**ORDER["items"][0], "description": "黒" * 20, "attributes": []}
    pdfs = ["A" * 720_000]
    body = json.dumps(
        {**ORDER, "items": [line] * 500, "pdfs": pdfs}, separators=(",", ":"), ensure_ascii=False
    )
    assert len(body.encode()) > 900_000
    started = time.thread_time()
    order = outcome(body)
    assert time.thread_time() - started < CPU_SECONDS
    assert isinstance(order, Order)
    assert len(order.lines) == 500

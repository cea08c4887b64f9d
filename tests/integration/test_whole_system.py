"""The whole system on one machine: load, bad input, `kill -9`, and an auditor that believes the simulated Xero only.

The figures it measures are printed after the tests. `WHOLE_SYSTEM_SEED` repeats a storm.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from xero_python.accounting import AccountingApi
from xero_python.api_client import ApiClient, Configuration
from xero_python.api_client.oauth2 import OAuth2Token

from bookkeeping.adapters import from_environment
from bookkeeping.domain.oauth import SCOPES
from local import demo
from local.audit import Row
from local.companies import TIME_OUT, Office, SimulatedXero
from local.samples import TRACKED, UNTRACKED, Sample, demonstration
from local.system import LocalSystem
from local.triggers import LONG_POLL_SECONDS
from operations.__main__ import operate
from tests import canaries
from tests.our_faults import Fault
from tests.storms.processes import INTAKE, POSTING, REFRESH, SCALE, Course, Storm, chosen_seed, settle_in
from tests.whole_system import Site, bodies, keys_of, plain, words

pytestmark = pytest.mark.timeout(600)

Figure = Callable[[str], None]

UNTRACKED_ORDERS, TRACKED_ORDERS, SKUS = 250, 100, 100
PATIENCE = 240.0
"""Seconds that nothing takes, but on a machine that is busy with something else."""
BURST, TRACKED_BURST = "500101", "500102"
KILLED = ("500201", "500202", "500203", "500204", "500205", "500206")
QUICK = Course(
    orders=150,
    seconds=8,
    kills={POSTING: 2, INTAKE: 1, REFRESH: 1},
    work={POSTING: 2, INTAKE: 2, REFRESH: 1},
    patience=400,
)
BAD, OTHER = "500301", "500302"
LEAVES = "500901"
CONSUMER = ("O'Brien", "zoe@example.com", "Harbour Row")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with LocalSystem(scale=SCALE, state=tmp_path_factory.mktemp("whole")) as system:
        site = Site(system, SimulatedXero(system.outputs["xero_url"]))
        site.wait_until_open()
        site.companies |= demo.connect_companies(system, site.xero)
        site.prefixes |= demo.PREFIXES
        site.company(BURST)
        site.company(TRACKED_BURST, process_method="tracked")
        settle_in(site, KILLED)
        site.company(BAD)
        site.company(OTHER)
        system.wait_ready()
        yield site


# --- (a) every kind of order


@pytest.fixture(scope="module")
def demonstrated(site: Site) -> list[Sample]:
    """The demonstration's samples, sent and settled."""
    samples = demonstration()
    site.send(bodies(samples))
    site.wait_until_settled(samples, within=PATIENCE)
    site.send([body for sample in samples for body in sample.later])
    site.wait_until_settled(samples, within=PATIENCE)
    return samples


def test_every_kind_of_order_ends_as_it_should(
    site: Site, demonstrated: list[Sample], figure: Figure
) -> None:
    findings = site.audited(demonstrated)
    figure(f"{len(demonstrated)} orders of every kind: {findings}")
    assert findings.clean, words(findings)


def test_the_bus_is_told_what_became_of_each_order(site: Site, demonstrated: list[Sample]) -> None:
    told: dict[tuple[str, str], set[str]] = {}
    for event in site.system.events():
        if event["source"] == "kornitx.xero" and "order_id" in event["detail"]:
            detail = event["detail"]
            told.setdefault((detail["company"], detail["order_id"]), set()).add(event["detail-type"])
    expected = {"posted": "OrderPosted", "skipped": "OrderSkipped", "needs_attention": "OrderNeedsAttention"}
    for sample in demonstrated:
        if sample.ends == "no company":
            assert (sample.company, sample.order_id) not in told
            continue
        wanted = {expected[sample.ends.split()[0]]}
        wanted |= {"OrderChangedAfterPosting"} if sample.changed else set()
        assert wanted <= told[sample.company, sample.order_id], sample.what
        if sample.ends == "posted" and not sample.later:
            assert told[sample.company, sample.order_id] == wanted, sample.what


def test_the_office_is_mailed_what_needs_it_once_its_address_is_confirmed(
    site: Site, demonstrated: list[Sample], figure: Figure
) -> None:
    office = Office(site.system.outputs, UNTRACKED)
    office.save(errors_email="accounts@example.com")

    def mail(subject: str) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = [one for one in site.system.mails() if subject in one["Subject"]]
            if found:
                return found[0]
            time.sleep(0.2)
        raise AssertionError(f"no mail “{subject}”; see {site.system.log('ProblemMailFunction')}")

    confirmation = mail("please confirm")
    link = re.search(r"http://\S+/mail/confirm\S+", confirmation["BodyText"])
    assert link is not None
    # a scanner
    assert "<form" in requests.get(link[0], timeout=TIME_OUT).text
    confirmed = time.monotonic()
    assert "is confirmed" in requests.post(link[0], timeout=TIME_OUT).text
    problems = mail("need attention")
    figure(f"a confirmed address was mailed after {time.monotonic() - confirmed:.1f} s")
    assert problems["To"] == ["accounts@example.com"]
    stopped = [
        one for one in site.rows().values() if one.company == UNTRACKED and one.state == "needs_attention"
    ]
    assert f"{len(stopped)} orders need attention" in problems["Subject"]
    for text in (problems["BodyText"], problems["BodyHtml"]):
        assert "What to do:" in text
        assert any(one.order_id in text for one in stopped)
    assert "<strong>" in problems["BodyHtml"]
    office.save(errors_email="")


def test_xeros_own_sdk_reads_every_document_back(
    site: Site, demonstrated: list[Sample], figure: Figure
) -> None:
    rows = site.rows()
    read = 0
    for ref_id in (UNTRACKED, TRACKED):
        books, tenant = _sdk(site, ref_id), site.companies[ref_id].organisation_id
        invoices = books.get_invoices(tenant, page=1, page_size=1000, unitdp=4).invoices
        purchase_orders = books.get_purchase_orders(tenant, page=1, page_size=1000).purchase_orders
        totals = {("invoice", one.invoice_number): one.total for one in invoices}
        totals |= {("purchase_order", one.purchase_order_number): one.sub_total for one in purchase_orders}
        assert len(totals) == len(invoices) + len(purchase_orders)
        assert all(one.line_items for one in (*invoices, *purchase_orders))
        wanted = {
            (kind, rows[ref_id, sample.order_id].number): total
            for sample in demonstrated
            if sample.company == ref_id
            for kind, total in sample.documents.items()
        }
        assert {key: Decimal(str(total)) for key, total in totals.items()} == wanted
        read += len(totals)
    figure(f"{read} documents read back with Xero's own Python SDK, all totals equal")


def _sdk(site: Site, ref_id: str) -> Any:
    """Xero's SDK with the company's own tokens."""
    held = site.tokens(ref_id)
    token = {
        "access_token": held["access_token"],
        "refresh_token": held["refresh_token"],
        "token_type": "Bearer",
        "expires_in": 1800,
        "scope": list(SCOPES),
    }
    client = ApiClient(Configuration(oauth2_token=OAuth2Token("client", "secret")))
    client.oauth2_token_getter(lambda: token)
    client.oauth2_token_saver(lambda _: None)
    return AccountingApi(client, base_url=f"{site.xero.url}/api.xro/2.0")


# --- (b) many orders, few calls


def test_hundreds_of_orders_at_once_take_few_calls(site: Site, figure: Figure) -> None:
    untracked = [
        plain("burst", site.order(BURST, place, 1 + place % 3), BURST) for place in range(UNTRACKED_ORDERS)
    ]
    tracked: list[Sample] = []
    for place in range(TRACKED_ORDERS):
        order = site.order(TRACKED_BURST, place, 3)
        for step, item in enumerate(order["items"]):
            item["sku"] = f"SKU-{(place * 3 + step) % SKUS:03}"
        tracked.append(plain("burst", order, TRACKED_BURST, tracked=True))
    before = {company: site.calls(company) for company in (BURST, TRACKED_BURST)}
    began = time.monotonic()
    site.send(bodies(untracked + tracked))
    site.wait_until_settled(untracked + tracked, within=PATIENCE)
    took = time.monotonic() - began
    calls = {company: site.calls(company) - before[company] for company in before}
    findings = site.audited(untracked + tracked)
    figure(
        f"{UNTRACKED_ORDERS} Untracked orders and {TRACKED_ORDERS} Tracked ones of {SKUS} skus: {findings};"
        f" {calls[BURST]} and {calls[TRACKED_BURST]} calls, in {took:.0f} s"
    )
    assert findings.clean, words(findings)
    # a batch of 50 a call, the facts, and what a part-full batch may add
    assert calls[BURST] <= UNTRACKED_ORDERS / 50 + 12
    assert calls[TRACKED_BURST] <= 2 * TRACKED_ORDERS / 50 + SKUS / 50 + 12


# --- (c) kill -9


def test_killed_at_random_in_bad_weather_nothing_is_lost_and_nothing_doubled(
    site: Site, figure: Figure
) -> None:
    outcome = Storm(site, KILLED, QUICK, chosen_seed()).run()
    figure(
        f"{QUICK.orders} orders under storm: lost {outcome.lost} / duplicated {outcome.duplicated} /"
        f" unexpected {outcome.unexpected} / open {outcome.open}; {', '.join(outcome.said)}"
    )
    assert outcome.kept, "\n".join([*outcome.bad, *outcome.said])


# --- (d) bad input


def bad_bodies(site: Site) -> list[tuple[str, str, str]]:
    """Kind of bad input, the message, and the problem it must end as."""

    def order(**changes: Any) -> dict[str, Any]:
        return site.order(BAD, 1) | changes

    def without(name: str) -> dict[str, Any]:
        made = order()
        del made[name]
        return made

    def line(**changes: Any) -> dict[str, Any]:
        made = order()
        made["items"][0] |= changes
        return made

    cut, twice = json.dumps(order())[:-9], json.dumps(order())
    deep = json.dumps(order(extra="@")).replace('"@"', "[" * 3000 + "]" * 3000)
    return [
        ("empty object", "{}", "missing_field"),
        ("no JSON", "hello", "unreadable_json"),
        ("a list", "[]", "unreadable_json"),
        ("null", "null", "unreadable_json"),
        ("cut off", cut, "unreadable_json"),
        ("NaN", json.dumps(order(extra=float("nan"))), "unreadable_json"),
        ("field twice", twice.replace('"status": 1,', '"status": 1, "status": 2,', 1), "duplicate_key"),
        ("nested deeply", deep, "too_deep"),
        ("lone surrogate", json.dumps(order(external_ref="\ud800")), "bad_text"),
        ("too large", json.dumps(order(note="x" * 300_000)), "too_large"),
        ("too many lines", json.dumps(order(items=site.order(BAD, 1, 501)["items"])), "too_many_lines"),
        ("no lines", json.dumps(order(items=[])), "no_lines"),
        ("lines missing", json.dumps(without("items")), "missing_field"),
        ("no id", json.dumps(without("id")), "missing_field"),
        ("id no number", json.dumps(order(id="x1")), "bad_id"),
        ("no company", json.dumps(without("company_ref_id")), "missing_field"),
        ("company no number", json.dumps(order(company_ref_id="me")), "bad_id"),
        ("huge exponent", json.dumps(line(quantity="1e3000000")), "bad_quantity"),
        ("huge price", json.dumps(line(unit_sale_price="9" * 30)), "bad_number"),
        ("negative quantity", json.dumps(line(quantity=-1)), "bad_quantity"),
        ("price in words", json.dumps(line(unit_sale_price="ten")), "bad_number"),
        ("impossible date", json.dumps(order(sale_datetime="2026-02-30")), "bad_date"),
        ("currency no code", json.dumps(order(currency_code="Pounds")), "bad_currency"),
        ("prices that disagree", json.dumps(line(unit_sale_price="9", unit_sale_price_inc_tax="1")), ""),
        ("currency unknown in Xero", json.dumps(order(currency_code="CHF")), "currency_not_enabled"),
        ("price missing", json.dumps(line(unit_sale_price="", unit_sale_price_inc_tax="")), "missing_price"),
    ]


def test_bad_input_ends_as_a_problem_in_words_and_holds_no_good_order_up(site: Site, figure: Figure) -> None:
    bad = bad_bodies(site)
    good = [plain("beside bad ones", site.order(BAD, place), BAD) for place in range(len(bad))]
    sent = [body for (_, body, _), sample in zip(bad, good, strict=True) for body in (body, *sample.bodies)]
    began = time.monotonic()
    ids = site.send(sent)[::2]
    site.wait_until_settled(good, within=PATIENCE)
    by_problem: dict[str, str] = {}
    while time.monotonic() - began < PATIENCE:
        rows = site.rows()
        by_problem = {kind: _code(rows, body, id_) for (kind, body, _), id_ in zip(bad, ids, strict=True)}
        if all(by_problem.values()):
            break
        time.sleep(0.5)
    wrong = {
        kind: (by_problem[kind], code)
        for kind, _, code in bad
        if not by_problem[kind] or code not in ("", by_problem[kind])
    }
    assert not wrong
    findings = site.audited(good)
    assert findings.clean, words(findings)
    stopped = [row for row in rows.values() if row.company in (BAD, "unknown") and row.state != "posted"]
    assert len(stopped) == len(bad)
    assert all(len(row.sentence) > 60 for row in stopped)
    assert site.in_queue("orders_dead_letter_queue") == 0
    figure(f"{len(bad)} kinds of bad input beside as many good orders: each a problem in words; {findings}")


def _code(rows: dict[tuple[str, str], Row], body: str, message_id: str) -> str:
    """The problem under which a bad message is kept: its order's, or that of the message itself."""
    row = rows.get(("unknown", message_id))
    try:
        row = row or rows.get((BAD, str(json.loads(body)["id"])))
    except (ValueError, KeyError, TypeError, RecursionError):
        for (company, order_id), each in rows.items():
            if row is None and company == BAD and f'"id": {order_id},' in body[:200]:
                row = each
    return row.why if row else ""


def test_only_an_outage_of_ours_leaves_a_message_in_the_dead_letter_queue_and_a_row_says_so(
    site: Site, figure: Figure
) -> None:
    sqs, iam, outputs = site.system.client("sqs"), site.system.client("iam"), site.system.outputs
    role = next(
        one["RoleName"]
        for page in iam.get_paginator("list_roles").paginate()
        for one in page["Roles"]
        if "OrderIntakeRole" in one["RoleName"]
    )
    # a grant that went missing: an order of two companies here can't be checked against the other's row any more
    denied = {"Effect": "Deny", "Action": "dynamodb:ConditionCheckItem", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [denied]})
    queue = outputs["orders_queue_url"]
    names = ["VisibilityTimeout"]
    usual = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    order = site.order(BAD, 1) | {"secondary_company_ref_id": OTHER}
    beside = [plain("beside our fault", site.order(BAD, place), BAD) for place in range(5)]
    iam.put_role_policy(RoleName=role, PolicyName="outage", PolicyDocument=policy)
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "4"})
    # a look into the queue that has begun goes by what held before
    time.sleep(LONG_POLL_SECONDS)
    began = time.monotonic()
    try:
        site.send([json.dumps(order), *bodies(beside)])
        while not site.in_queue("orders_dead_letter_queue") and time.monotonic() - began < PATIENCE:
            time.sleep(0.25)
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="outage")
        sqs.set_queue_attributes(QueueUrl=queue, Attributes=usual)
    rows = site.rows()
    assert {rows[company, str(order["id"])].why for company in (BAD, OTHER)} == {"our_fault"}
    site.wait_until_settled(beside, within=PATIENCE)
    assert set(site.states(keys_of(beside)).values()) == {"posted"}
    # mended, and redriven; whoever looks at the message just now lets go of it
    redriven = 0
    while not redriven and time.monotonic() - began < PATIENCE:
        redriven = site.redrive_orders()
        time.sleep(0.25)
    assert redriven == 1
    again = [plain("redriven", order, company) for company in (BAD, OTHER)]
    site.wait_until_settled(again, within=PATIENCE)
    ends = {company: site.rows()[company, str(order["id"])].ends for company in (BAD, OTHER)}
    assert ends == {BAD: "posted", OTHER: "posted"}
    figure(
        "an outage of ours: its message in the dead-letter queue, a row that says so, posted once redriven"
    )


# --- whoever runs it


@pytest.fixture
def operators(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """The command line, with no other rights than those of the stack's OperatorPolicy."""
    iam = site.system.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="operators", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    policy = site.system.deployed_output("OperatorPolicy")
    iam.attach_role_policy(RoleName="operators", PolicyArn=policy)
    given = site.system.client("sts").assume_role(RoleArn=role["Role"]["Arn"], RoleSessionName="grace")
    session = given["Credentials"]
    variables = {
        "AWS_ENDPOINT_URL": site.system.outputs["aws_url"],
        "AWS_DEFAULT_REGION": site.system.outputs["region"],
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
    }
    monkeypatch.setattr("os.environ", os.environ | variables)
    # it keeps the credentials that it found first
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    monkeypatch.setattr("operations.__main__.time", SimpleNamespace(sleep=lambda _: None))
    opened = (from_environment._dynamodb, from_environment._secrets_manager)
    for cached in opened:
        cached.cache_clear()

    def run(*arguments: str, ends_with: int = 0) -> Any:
        result = CliRunner().invoke(operate, [*arguments, "--json"])
        assert result.exit_code == ends_with, (arguments, result.output, result.exception)
        assert "AWS refused" not in result.stderr, (arguments, result.stderr)
        return json.loads(result.stdout or "null")

    yield run
    for cached in opened:
        cached.cache_clear()
    iam.detach_role_policy(RoleName="operators", PolicyArn=policy)
    iam.delete_role(RoleName="operators")


def test_operators_do_all_that_their_commands_say_with_the_rights_of_their_policy(
    site: Site, operators: Callable[..., Any], tmp_path: Path, our_faults: list[Fault]
) -> None:
    site.company(LEAVES)
    orders = [plain("posted", site.order(LEAVES, place), LEAVES) for place in range(2)]
    site.send(bodies(orders[:1]))
    site.wait_until_settled(orders[:1], within=PATIENCE)
    assert next(one for one in operators("companies") if one["company"] == LEAVES)["state"] == "posting"
    # a pause holds, and its end is felt at once
    operators("pause", "--all", "--because", "a trial", "--yes")
    site.send(bodies(orders[1:]))
    (key,) = keys_of(orders[1:])
    began = time.monotonic()
    while key not in site.states([key]) and time.monotonic() - began < PATIENCE:
        time.sleep(0.25)
    order_id = key.rpartition("#")[2]
    assert "paused posting (a trial)" in operators("why", LEAVES, order_id)["words"]
    assert operators("company", LEAVES)["paused"]["because"] == "a trial"
    operators("resume", "--all", "--yes")
    site.wait_until_settled(orders[1:], within=PATIENCE)
    assert set(site.states(keys_of(orders)).values()) == {"posted"}
    operators("pause", LEAVES, "--yes")
    operators("resume", LEAVES, "--yes")
    operators("retry", LEAVES, "--problem", "our_fault", "--yes")
    # a row that can't be read is marked
    site.system.client("dynamodb").update_item(
        TableName=site.system.outputs["orders_table"],
        Key={"key": {"S": key}},
        UpdateExpression="SET received_at = :when, list_key = :list_key",
        ExpressionAttributeValues={
            ":when": {"S": "yesterday"},
            ":list_key": {"S": "needs_attention#missing_price#2026-01-01T00:00:00.000000+00:00"},
        },
    )
    operators("retry", LEAVES, "--problem", "missing_price", "--yes")
    assert site.states([key]) == {key: "needs_attention"}
    assert operators("redrive", "--yes") == {"redriven": 0}
    # the local AWS has no protection of tables
    wrong = {one["about"] for one in operators("check", ends_with=1) if not one["ok"]}
    assert wrong <= {"table", "alarm"}
    operators("rotate-launch-key", "--yes")
    operators("rotate-launch-key", "--compromised", "--yes")
    operators("take-out", LEAVES, "--export", str(tmp_path / "one"), "--yes")
    operators("bring-back", LEAVES, "--yes")
    left = operators("take-out", LEAVES, "--export", str(tmp_path / "two"), "--erase", "--yes")
    assert left["exported"] == 2
    assert len((tmp_path / "two").read_text().splitlines()) == 2
    assert our_faults
    our_faults.clear()
    assert not [row for row in site.rows() if row[0] == LEAVES]
    assert "There is no company" in CliRunner().invoke(operate, ["company", LEAVES]).output


def test_a_stack_that_is_not_there_or_another_s_is_told_in_words(
    site: Site, operators: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = CliRunner().invoke(operate, ["--stack", "nothing", "companies"])
    assert said.exit_code == 1
    assert "There is no stack nothing in eu-west-2 that you may look at." in said.output
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "another-stack-s"}}
    cloudformation = site.system.client("cloudformation")
    template = json.dumps({"Resources": {"Queue": queue}})
    cloudformation.create_stack(StackName="another", TemplateBody=template)
    made = cloudformation.get_waiter("stack_create_complete")
    made.wait(StackName="another", WaiterConfig={"Delay": 0.1, "MaxAttempts": 600})
    for name in ("aws_access_key_id", "aws_secret_access_key"):
        monkeypatch.setitem(os.environ, name.upper(), site.system.outputs[name])
    monkeypatch.delitem(os.environ, "AWS_SESSION_TOKEN")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    said = CliRunner().invoke(operate, ["--stack", "another", "companies"])
    cloudformation.delete_stack(StackName="another")
    assert "The stack another has no output AuthorizationsTable, ConnectionsTable" in said.output


# --- what must be nowhere


def test_no_consumer_and_no_token_is_in_any_table_log_event_or_document(
    site: Site, demonstrated: list[Sample]
) -> None:
    assert any("zoe@example.com" in body for sample in demonstrated for body in sample.bodies)
    client, secrets = site.system.client("dynamodb"), site.system.client("secretsmanager")
    captured: dict[str, str] = {"events": json.dumps(site.system.events(), ensure_ascii=False)}
    for table in client.list_tables()["TableNames"]:
        pages = client.get_paginator("scan").paginate(TableName=table)
        items = [page["Items"] for page in pages]
        captured[table] = json.dumps(items, ensure_ascii=False, default=canaries.kept_text)
    for log in (site.system.state / "logs").glob("*.log"):
        captured[log.name] = log.read_text(errors="replace")
    captured["documents"] = json.dumps(site.xero.control("GET", "documents"), ensure_ascii=False)
    forbidden = list(CONSUMER)
    for page in secrets.get_paginator("list_secrets").paginate():
        for secret in page["SecretList"]:
            value = secrets.get_secret_value(SecretId=secret["ARN"])["SecretString"]
            try:
                held = json.loads(value)
            except ValueError:
                held = {"key": value}
            kinds = ("client_secret", "access_token", "refresh_token", "key")
            forbidden += [held[kind] for kind in kinds if len(str(held.get(kind, ""))) > 15]
    assert len(forbidden) > len(CONSUMER) + 10
    found = {(name, secret[:6]) for name, text in captured.items() for secret in forbidden if secret in text}
    assert not found


def test_no_wake_up_was_given_up(site: Site) -> None:
    assert site.in_queue("posting_dead_letter_queue") == 0

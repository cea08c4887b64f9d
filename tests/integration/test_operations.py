"""The commands of whoever runs the stack: what they say, what they do, and that they ask before they do it."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import click
import pytest
from boto3.dynamodb.types import TypeDeserializer
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from click.testing import CliRunner, Result
from moto import mock_aws

from bookkeeping.adapters.secrets import FORMER_KEY_HOLDS
from bookkeeping.adapters.tables.authorizations import AuthorizationsTable
from bookkeeping.adapters.tables.pauses import ALL, Pauses
from bookkeeping.domain.ledger import Pause
from bookkeeping.domain.problems.catalogue import SKIPPED, WAITS
from bookkeeping.use_cases.page.orders import View
from bookkeeping.use_cases.posting.company_turn import CompanyTurn
from local.samples import UNTRACKED, Maker
from operations import launch_key, leaving
from operations.__main__ import operate
from operations.ledger import safe
from operations.stack import Resource, Stack
from tests.integration.one_process import PREFIX, OneProcess, in_memory, make_tables, raw, spoil
from tests.integration.popup import LAUNCH_KEY, ORIGIN, Browser, Popup
from tests.our_faults import Fault

COMPANY, OTHER = "412077", "413995"
TABLES = ("OrdersTable", "SettingsTable", "ConnectionsTable", "AuthorizationsTable")
CHANGING: dict[str, list[str]] = {
    "retry": [COMPANY, "--problem", "missing_price"],
    "pause": [COMPANY],
    "resume": [COMPANY],
    "take-out": [COMPANY, "--export", "ledger.jsonl"],
    "bring-back": [OTHER],
    "redrive": [],
    "rotate-launch-key": [],
}


class Site:
    """A popup, its world, and the commands about them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.popup = Popup(OneProcess(tables=in_memory))
        world = self.world = self.popup.world
        self.make = Maker()
        self.pauses = Pauses(world.resource, "ConnectionsTable")
        page = self.popup.page.adapters
        self.stack = Stack(
            "kornit-xero",
            {name: name for name in TABLES}
            | {
                "SecretsPrefix": PREFIX,
                "LaunchKey": f"{PREFIX}/launch",
                "DeadLetterReaderFunction": "reader",
            },
            {},
            page,
            self.pauses,
            AuthorizationsTable(world.resource, "AuthorizationsTable"),
            world.resource,
            {"secretsmanager": world.secrets},
        )
        self.stack.operator_arn = "arn:aws:sts::123456789012:assumed-role/Operators/grace"
        self.slept: list[float] = []
        monkeypatch.setattr("time.sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.world.clock.sleep(seconds)

    def run(self, *arguments: str, answer: str = "") -> Result:
        return CliRunner().invoke(operate, list(arguments), obj=self.stack, input=answer)

    def json(self, *arguments: str) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def connected(self, company: str = COMPANY) -> Browser:
        """A company, connected and set up in its popup."""
        browser = self.popup.browser(company)
        browser.app()
        organisation = self.world.organisation("Demo Company (UK)")
        assert browser.connect(organisation) == "connected"
        answer = browser.save(
            sales_account_code="200",
            shipping_account_code="200",
            contact_name=self.world.contact(organisation),
            number_prefix=f"C{company}-",
            tax_types=[{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}],
        )
        assert answer.status == 200, answer
        return browser

    def order(self, company: str = COMPANY, place: int = 0, **changes: Any) -> dict[str, Any]:
        return self.make.order(UNTRACKED, place, 1, **changes) | {"company_ref_id": int(company)}

    def send(self, *orders: dict[str, Any]) -> list[str]:
        self.world.send(*orders)
        self.world.clock.advance(1)
        return [str(order["id"]) for order in orders]

    def state(self, order_id: str, company: str = COMPANY) -> str:
        entry = self.world.orders.get(company, order_id)
        assert entry is not None
        return f"{entry.state} {entry.why}".strip()

    def rows(self) -> dict[str, list[Any]]:
        return {name: self.world.resource.Table(name).scan()["Items"] for name in TABLES}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    monkeypatch.chdir(tmp_path)
    with mock_aws():
        yield Site(monkeypatch)


def priceless(order: dict[str, Any]) -> dict[str, Any]:
    for item in order["items"]:
        item |= {"unit_sale_price": None, "unit_sale_price_inc_tax": None}
    return order


# --- every command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(operate.commands))
def test_a_command_says_what_it_does_without_credentials_and_answers_as_json(name: str) -> None:
    result = CliRunner().invoke(operate, [name, "--help"])
    assert result.exit_code == 0
    assert "--json" in result.output
    command = operate.commands[name]
    assert ("--yes" in result.output) == (name in CHANGING)
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert all(option.help for option in options if option.name not in ("kind",)), name


def test_a_command_that_changes_something_says_what_and_asks(site: Site) -> None:
    site.connected()
    site.connected(OTHER)
    leaving.take_out(site.stack, OTHER)
    site.send(priceless(site.order()))
    before, keys = site.rows(), launch_key.versions(site.world.secrets, f"{PREFIX}/launch")
    for name, arguments in CHANGING.items():
        result = site.run(name, *arguments, answer="n\n")
        assert result.exit_code == 1, name
        assert "as arn:aws:sts::123456789012:assumed-role/Operators/grace" in result.stderr, name
        assert "Go on? [y/N]" in result.stderr, name
        assert site.rows() == before, name
    assert launch_key.versions(site.world.secrets, f"{PREFIX}/launch") == keys
    assert not list(Path().iterdir())


def test_what_is_wrong_is_said_in_words(site: Site) -> None:
    site.connected()
    (posted,) = site.send(site.order())
    site.world.run()
    assert site.run("rotate-launch-key", "--yes").exit_code == 0
    Path("kept.csv").write_text("the only copy")
    # nobody is asked whether to do what can't be done
    for arguments, words in (
        (["why", COMPANY, "1"], f"Company {COMPANY} has no order 1."),
        (["company", "5"], "There is no company 5: it never saved its settings here."),
        (["pause", "5"], "There is no company 5"),
        (["export", "5"], "There is no company 5"),
        (["retry", COMPANY, "--problem", "no such"], "There is no such problem."),
        (["retry", "5", "--problem", "our_fault"], "There is no company 5"),
        (["retry", COMPANY, posted], "nothing to retry"),
        (["bring-back", COMPANY], f"Company {COMPANY} was not taken out."),
        (["rotate-launch-key"], "the one before it holds until"),
        (["export", COMPANY, "--output", "kept.csv"], "kept.csv is there already: name another file."),
        (["take-out", COMPANY, "--export", "kept.csv"], "kept.csv is there already: name another file."),
        (["pause", "unknown"], "is no company"),
        (["pause"], "Give a company, or --all."),
        (["pause", COMPANY, "--all"], "Give a company, or --all."),
        (["pause", COMPANY, "--connections-table", "x"], "--connections-table goes with --all."),
        (["retry", COMPANY], "Give either an order or --problem."),
    ):
        result = site.run(*arguments)
        assert result.exit_code in (1, 2), arguments
        assert words in result.stderr, (arguments, result.stderr)
        assert "Traceback" not in result.output
        assert "Go on?" not in result.output, arguments
    assert Path("kept.csv").read_text() == "the only copy"


def test_where_nobody_answers_the_command_says_what_it_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arguments = ["--local", "--outputs", str(tmp_path / "outputs.json"), "companies"]
    monkeypatch.setattr("os.environ", os.environ.copy())
    result = CliRunner().invoke(operate, arguments)
    assert result.exit_code == 1
    assert "start the local system with `make up`" in result.output
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region": "eu-west-2"}
    (tmp_path / "outputs.json").write_text(json.dumps(keys | {"aws_url": "http://localhost:1"}))
    monkeypatch.setattr("operations.stack.BOUNDED", Config(retries={"total_max_attempts": 1}))
    result = CliRunner().invoke(operate, arguments)
    assert result.exit_code == 1
    assert "AWS could not be asked: Could not connect" in result.output


def test_what_aws_refuses_is_said_in_words(site: Site) -> None:
    with Stubber(boto3.client("lambda")) as stub:
        stub.add_client_error("invoke", "AccessDeniedException", "You may not.")
        site.stack.clients["lambda"] = stub.client
        result = site.run("redrive", "--yes")
    assert result.exit_code == 1
    assert "AWS refused Invoke: You may not." in result.stderr


# --- looking ---------------------------------------------------------------------------------------------------------


def test_the_list_says_of_each_company_whether_it_posts(site: Site) -> None:
    site.connected()
    browser = site.connected(OTHER)
    site.popup.browser("5").save(number_prefix="FIVE-")

    def states() -> dict[str, str]:
        return {one["company"]: one["state"] for one in site.json("companies")}

    assert states() == {"5": "not connected", COMPANY: "posting", OTHER: "posting"}
    browser.save(enabled=False)
    assert site.run("pause", COMPANY, "--yes").exit_code == 0
    assert states() == {"5": "not connected", COMPANY: "paused", OTHER: "switched off"}
    site.run("take-out", COMPANY, "--export", "one", "--yes")
    assert states()[COMPANY] == "taken out"
    assert "Demo Company (UK)" in site.run("companies").output


def test_a_company_that_waits_for_xero_is_not_said_to_post(site: Site) -> None:
    site.connected()
    site.send(site.order())
    site.world.xero.faults.add({"kind": "maintenance", "path_prefix": "/api.xro"})
    site.world.run(timedelta(seconds=5))
    (listed,) = site.json("companies")
    assert (listed["state"], listed["waits_for"]["reason"]) == ("waiting", "xero_offline")
    assert f"waiting  xero_offline until {listed['waits_for']['until']}" in site.run("companies").output
    assert site.run("company", COMPANY).output.startswith(f"Company {COMPANY}: waiting.")
    site.world.clock.advance(3600)
    assert site.json("companies")[0]["state"] == "posting"


def test_the_last_problems_of_a_company_are_the_last_whatever_they_are(
    site: Site, our_faults: list[Fault]
) -> None:
    site.connected()
    kinds = (priceless, lambda order: order | {"currency_code": "NOK"})
    stopped: list[str] = []
    for place in range(12):
        stopped += site.send(kinds[place % 2](site.order(place=place)))
        site.world.run(timedelta(seconds=30))
    last = [one["order"] for one in site.json("company", COMPANY)["last_problems"]]
    assert last == stopped[:-11:-1]
    spoil(site.world, "OrdersTable", {"key": f"{COMPANY}#{stopped[-1]}"}, received_at="yesterday")
    told = site.json("company", COMPANY)["last_problems"]
    assert [one["order"] for one in told] == last
    assert told[0]["sentence"] == f"Order {stopped[-1]}: this row can't be read. `why` says more."
    assert our_faults
    our_faults.clear()


def test_a_company_is_shown_with_its_connection_lane_problems_and_history(site: Site) -> None:
    site.connected()
    (wrong,) = site.send(priceless(site.order(place=1)))
    site.world.run()
    (fine,) = site.send(site.order())
    shown = site.json("company", COMPANY)
    assert (shown["counts"]["queued"], shown["counts"]["needs_attention"]) == (1, 1)
    assert shown["problems"] == {"missing_price": 1}
    assert shown["last_problems"][0]["order"] == wrong
    assert shown["lane"]["rung_at"]
    site.world.run()
    assert site.state(fine) == "posted"
    words = site.run("company", COMPANY).output
    assert f"Company {COMPANY}: posting. Connected to Demo Company (UK)." in words
    assert "has no sale price" in words
    assert "Ada Moore: Connected to Demo Company (UK)" in words


def test_why_gives_the_words_of_the_catalogue_and_who_can_fix_it(site: Site) -> None:
    site.connected()
    (wrong,) = site.send(priceless(site.order()))
    site.world.run()
    assert site.run("retry", COMPANY, wrong, "--yes").exit_code == 0
    site.world.run()
    found = site.json("why", COMPANY, wrong)
    assert found["problem"]["code"] == "missing_price"
    assert "grace (operator)" in [act["by"] for act in found["history"]]
    words = site.run("why", COMPANY, wrong).output
    for told in (found["problem"]["sentence"], f"the {found['problem']['who']}.", found["problem"]["fix"]):
        assert told in words
    assert "grace (operator): Pressed Retry" in words


def test_retry_is_named_only_where_it_posts_the_order(site: Site, our_faults: list[Fault]) -> None:
    browser = site.connected()
    browser.save(enabled=False)
    (off,) = site.send(site.order())
    browser.save(enabled=True)
    cancelled, unpriced = site.send(site.order(place=1, status=128), priceless(site.order(place=2)))
    site.world.run()
    with patch.object(CompanyTurn, "ready_documents", side_effect=LookupError("a bug of ours")):
        (failed,) = site.send(site.order(place=3))
        site.world.run()
    asked = {
        order: "the command `retry`" in site.run("why", COMPANY, order).output
        for order in (off, cancelled, unpriced, failed)
    }
    assert asked == {off: True, cancelled: False, unpriced: False, failed: True}
    assert our_faults
    our_faults.clear()


def test_why_tells_of_a_message_that_names_no_company(site: Site) -> None:
    site.world.send('{"id": 7')
    (row,) = site.rows()["OrdersTable"]
    assert site.json("why", "unknown", row["order_id"])["problem"]["code"] == "unreadable_json"


# --- retrying --------------------------------------------------------------------------------------------------------


def test_retry_frees_one_order_or_all_of_one_reason_as_the_page_does(site: Site) -> None:
    browser = site.connected()
    browser.save(enabled=False)
    ids = site.send(*(site.order(place=place) for place in range(3)))
    assert {site.state(order) for order in ids} == {"skipped integration_off"}
    browser.save(enabled=True)
    assert site.run("retry", COMPANY, ids[0], "--yes").exit_code == 0
    site.world.run()
    assert [site.state(order) for order in ids].count("posted") == 1
    assert site.json("retry", COMPANY, "--problem", "integration_off", "--yes")["retried"] == 2
    site.world.run()
    assert {site.state(order) for order in ids} == {"posted"}
    again = site.run("retry", COMPANY, ids[0], "--yes")
    assert again.exit_code == 1
    assert "nothing to retry" in again.stderr


# --- pausing ---------------------------------------------------------------------------------------------------------


def documents(site: Site) -> int:
    return sum(len(entry.committed) for entry in site.world.xero.log.entries)


@pytest.mark.parametrize("who", [COMPANY, "--all"])
def test_a_pause_leaves_orders_due_and_says_so_until_it_ends(site: Site, who: str) -> None:
    browser = site.connected()
    site.run("pause", who, "--because", "restored from a backup", "--yes")
    ids = site.send(*(site.order(place=place) for place in range(3)))
    site.world.run()
    assert documents(site) == 0
    assert {site.state(order) for order in ids} == {"queued"}
    assert not site.world.queue.waiting, "a paused lane costs turns"
    shown = browser.get("orders").json["orders"]
    words = WAITS["paused"].format(because=" (restored from a backup)")
    assert {order["words"] for order in shown} == {words}
    assert browser.get(f"orders/{ids[0]}").json["words"] == words
    began = site.world.clock.now()
    assert site.json("resume", who, "--yes")["lanes_rung"] == 1
    site.world.run(timedelta(seconds=10))
    assert {site.state(order) for order in ids} == {"posted"}
    assert site.world.clock.now() - began <= timedelta(seconds=10)
    if who != "--all":
        done = [act["what"] for act in browser.get("settings").json["history"]]
        assert {"Resumed posting", "Paused posting"} <= set(done)


def test_a_pause_of_all_holds_for_who_connects_later_and_for_who_is_resumed_alone(site: Site) -> None:
    site.run("pause", "--all", "--yes")
    site.connected()
    (order,) = site.send(site.order())
    site.world.run()
    assert site.state(order) == "queued"
    resumed = site.run("resume", COMPANY, "--yes")
    assert "Still paused: all companies." in resumed.output
    site.world.run()
    assert (site.state(order), documents(site)) == ("queued", 0)


def test_a_pause_of_one_company_holds_up_no_other_of_its_lane(site: Site) -> None:
    one = site.connected()
    app = one.app()
    site.world.xero.portal.add_redirect(app, f"{ORIGIN}/xero/callback/{OTHER}")
    two = site.popup.browser(OTHER)
    two.put("credentials", {"client_id": app.client_id, "client_secret": app.secret})
    organisation = site.world.organisation("Demo Company (UK)")
    assert two.connect(organisation) == "connected"
    two.save(**one.get("settings").json["settings"] | {"number_prefix": "TWO-"})
    site.run("pause", COMPANY, "--yes")
    # as many as fill a short turn
    held = site.send(*(site.order(place=place) for place in range(60)))
    site.world.run()
    with patch.object(site.world, "turn", wraps=site.world.turn) as turn:
        (going,) = site.send(site.order(OTHER, 1))
        site.world.run()
    assert {site.state(order) for order in held} == {"queued"}
    assert site.state(going, OTHER) == "posted"
    assert turn.call_count == 1


def test_a_restored_table_is_paused_before_a_stack_uses_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.__main__.pauses_in", lambda name: Pauses(site.world.resource, name))
    arguments = ["pause", "--all", "--connections-table", "ConnectionsTable"]
    asked = CliRunner().invoke(operate, arguments, input="n\n")
    assert asked.exit_code == 1
    assert not site.pauses.all()
    assert CliRunner().invoke(operate, [*arguments, "--yes"]).exit_code == 0
    assert site.pauses.all().keys() == {ALL}


# --- exporting -------------------------------------------------------------------------------------------------------


def test_an_export_has_each_order_once_as_lines_and_as_a_table_safe_for_spreadsheets(site: Site) -> None:
    site.connected()
    formula = site.order(place=1) | {"external_ref": '=HYPERLINK("https://example.com")'}
    ids = site.send(site.order(), formula, priceless(site.order(place=2)))
    site.world.run()
    assert site.run("export", COMPANY, "--output", "ledger.jsonl").exit_code == 0
    lines = [json.loads(line) for line in Path("ledger.jsonl").read_text().splitlines()]
    assert {line["id"] for line in lines} == set(ids)
    assert len(lines) == 3
    posted = next(line for line in lines if line["id"] == ids[1])
    assert (posted["external_ref"], posted["content"]["external_ref"]) == (formula["external_ref"],) * 2
    table = site.run("export", COMPANY, "--format", "csv").stdout
    rows = {row["order"]: row for row in csv.DictReader(io.StringIO(table))}
    assert rows.keys() == set(ids)
    assert rows[ids[1]]["sales_channel_reference"] == "'" + formula["external_ref"]
    assert rows[ids[0]]["invoice"] == f"C{COMPANY}-{ids[0]}"
    assert rows[ids[2]]["problem"] == "missing_price"


def test_an_order_that_changes_its_place_during_the_export_is_in_it_once(site: Site) -> None:
    site.connected()
    ids = site.send(*(site.order(place=place) for place in range(4)))
    read = site.world.orders.keys_of
    passes = 0

    def keys_of(company: str) -> Iterator[str]:
        nonlocal passes
        passes += 1
        # the index shows half of them at first
        return iter(sorted(read(company))[: 2 if passes == 1 else None])

    adapters = site.stack.adapters.orders
    adapters.keys_of = keys_of  # type: ignore[method-assign]
    lines = site.run("export", COMPANY).stdout.splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(ids)


def binary(value: dict[str, Any]) -> dict[str, Any]:
    """DynamoDB's JSON with its bytes, which are written in base64."""
    return {"B": base64.b64decode(value["B"])} if value.keys() == {"B"} else value


def spoilt(site: Site) -> list[str]:
    """Three orders: the first can be read, the second can't, and the third is of an unknown kind."""
    site.connected()
    ids = site.send(*(site.order(place=place) for place in range(3)))
    site.world.run()
    for order, values in ((ids[1], {"received_at": "yesterday"}), (ids[2], {"state": "credited"})):
        spoil(site.world, "OrdersTable", {"key": f"{COMPANY}#{order}"}, **values)
    return ids


def test_a_row_that_can_not_be_read_or_is_of_an_unknown_kind_is_exported_as_it_is_stored(
    site: Site, our_faults: list[Fault]
) -> None:
    ids = spoilt(site)
    result = site.run("export", COMPANY)
    assert result.exit_code == 0, result.output
    assert "3 orders" in result.stderr
    read = partial(json.loads, object_hook=binary)
    lines = {line["id"]: line for line in map(read, result.stdout.splitlines())}
    assert lines.keys() == set(ids)
    assert [lines[order]["state"] for order in ids] == ["posted", "unreadable", "newer_version"]
    assert lines[ids[2]]["words"] == WAITS["newer_version"]
    for order in ids[1:]:
        stored = TypeDeserializer().deserialize({"M": lines[order]["stored"]})
        assert stored == raw(site.world, "OrdersTable", {"key": f"{COMPANY}#{order}"})
    table = site.run("export", COMPANY, "--format", "csv").stdout
    rows = {row["order"]: row["state"] for row in csv.DictReader(io.StringIO(table))}
    assert rows == {order: lines[order]["state"] for order in ids}
    assert {fault.order_id for fault in our_faults} == {ids[1]}
    our_faults.clear()


def test_an_order_that_can_not_be_shown_is_exported_as_it_is_stored(
    site: Site, our_faults: list[Fault]
) -> None:
    site.connected()
    (order,) = site.send(site.order())
    with patch.object(View, "whole", side_effect=LookupError("a bug of ours")):
        (line,) = map(json.loads, site.run("export", COMPANY).stdout.splitlines())
    assert (line["id"], line["state"]) == (order, "unreadable")
    assert our_faults
    our_faults.clear()


def test_a_company_is_not_erased_before_every_row_of_it_is_exported(
    site: Site, our_faults: list[Fault]
) -> None:
    spoilt(site)
    (waits,) = site.send(site.order(place=3))
    spoil(site.world, "OrdersTable", {"key": f"{COMPANY}#{waits}"}, received_at="yesterday")
    answer = site.json("take-out", COMPANY, "--export", "ledger.jsonl", "--erase", "--yes")
    assert answer["exported"] == len(Path("ledger.jsonl").read_text().splitlines()) == 4
    assert not site.rows()["OrdersTable"]
    assert our_faults
    our_faults.clear()


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_what_is_logged_and_counted_meanwhile_is_not_in_the_answer(
    site: Site, our_faults: list[Fault], kind: str
) -> None:
    spoilt(site)
    result = site.run("export", COMPANY, "--format", kind)
    assert "_aws" not in result.output
    for logged in ("fault of ours contained", "of an unknown kind, left alone"):
        assert logged in result.stderr
        assert logged not in result.stdout
    assert our_faults
    our_faults.clear()


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+44", "'+44"),
        ("-5.00", "-5.00"),
        ("-2+3", "'-2+3"),
        ("@x", "'@x"),
        ("\t=1", "'\t=1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("KX-1", "KX-1"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    assert safe(text) == cell


# --- taking out ------------------------------------------------------------------------------------------------------


def test_a_company_that_is_taken_out_skips_orders_until_it_is_brought_back(site: Site) -> None:
    browser = site.connected()
    (posted,) = site.send(site.order())
    site.world.run()
    (due,) = site.send(site.order(place=1))
    started = browser.authorization_url()
    answer = site.json("take-out", COMPANY, "--export", "ledger.jsonl", "--yes")
    assert (answer["access"], answer["exported"]) == ("ended", 2)
    assert len(Path("ledger.jsonl").read_text().splitlines()) == 2
    (later,) = site.send(site.order(place=2))
    site.world.run()
    assert (site.state(posted), site.state(due)) == ("posted", "skipped taken_out")
    assert site.state(later) == "skipped taken_out"
    assert browser.get(f"orders/{later}").json["words"] == SKIPPED["taken_out"]
    assert documents(site) == 1
    # nobody connects it, not even who had begun to
    organisation = site.world.organisation("Demo Company (UK)")
    assert browser.come_back(browser.consent(started, organisation)) == "taken_out"
    assert browser.post("connect").error == "taken_out"
    assert "taken out" in browser.get("connection").json["words"]
    assert site.run("take-out", COMPANY, "--export", "again", "--yes").exit_code == 0
    # it can come back
    assert site.run("bring-back", COMPANY, "--yes").exit_code == 0
    assert browser.connect(organisation) == "connected"
    site.json("retry", COMPANY, "--problem", "taken_out", "--yes")
    site.world.run()
    assert {site.state(order) for order in (posted, due, later)} == {"posted"}
    done = [act["what"] for act in browser.get("settings").json["history"]]
    assert {"Took the company out", "Took the company in again"} <= set(done)


def test_orders_that_waited_are_skipped_once_their_company_is_taken_out(site: Site) -> None:
    browser = site.connected()
    browser.delete("connection")
    (order,) = site.send(site.order())
    assert site.state(order) == "waiting not_connected"
    site.run("take-out", COMPANY, "--export", "ledger", "--yes")
    site.world.clock.advance(100)
    site.world.run()
    assert site.state(order) == "skipped taken_out"


def test_a_company_that_was_never_connected_is_taken_out_as_well(site: Site) -> None:
    site.popup.browser().save(number_prefix="NEW-")
    assert site.json("take-out", COMPANY, "--export", "ledger", "--yes")["access"] == "nothing"
    (order,) = site.send(site.order())
    assert site.state(order) == "skipped taken_out"
    assert site.json("bring-back", COMPANY, "--yes") == {"company": COMPANY}


def test_erasing_leaves_nothing_of_a_company_but_its_number_prefix(site: Site) -> None:
    site.connected()
    site.send(site.order(), priceless(site.order(place=1)))
    site.world.run()
    site.run("pause", COMPANY, "--yes")
    answer = site.json("take-out", COMPANY, "--export", "ledger.jsonl", "--erase", "--yes")
    assert answer["erased"] > 5
    rows = [row for name in TABLES[:3] for row in site.rows()[name]]
    kept = [row for row in rows if COMPANY in json.dumps(row, default=str)]
    assert [row["sk"] for row in kept] == [f"prefix#C{COMPANY}-"]
    with pytest.raises(ClientError, match="no such secret"):
        site.world.secrets.get_secret_value(SecretId=f"{PREFIX}/{COMPANY}/tokens", VersionStage="AWSCURRENT")
    # as though it had never been here
    assert site.world.send(site.order(place=2)).of_no_company == 1
    site.connected()


def test_nothing_is_erased_before_xero_has_ended_the_access(site: Site) -> None:
    browser = site.connected()
    site.send(site.order())
    site.world.run()
    with pytest.raises(leaving.NotYet, match="Take company 412077 out first"):
        leaving.erase(site.stack, COMPANY)
    rows = len(site.rows()["OrdersTable"])
    site.stack.adapters = replace(site.stack.adapters, ask=lambda *_, **__: {"error": "desk_failed"})
    result = site.run("take-out", COMPANY, "--export", "ledger.jsonl", "--erase", "--yes")
    assert result.exit_code == 1
    assert "give the command again in an hour" in result.stderr
    assert len(site.rows()["OrdersTable"]) == rows
    assert browser.get("connection").json["status"] == "disconnected"


def test_where_two_companies_share_an_app_only_the_one_s_access_goes(site: Site) -> None:
    one = site.connected()
    app = one.app()
    site.world.xero.portal.add_redirect(app, f"{ORIGIN}/xero/callback/{OTHER}")
    two = site.popup.browser(OTHER)
    two.put("credentials", {"client_id": app.client_id, "client_secret": app.secret})
    assert two.connect(site.world.organisation("Demo Company (UK)")) == "connected"
    two.save(**one.get("settings").json["settings"] | {"number_prefix": "TWO-"})
    assert site.json("take-out", COMPANY, "--export", "ledger", "--erase", "--yes")["access"] == "shared"
    (order,) = site.send(site.order(OTHER))
    site.world.run()
    assert site.state(order, OTHER) == "posted"


# --- the launch key --------------------------------------------------------------------------------------------------


def current_key(site: Site) -> str:
    return str(
        site.world.secrets.get_secret_value(SecretId=f"{PREFIX}/launch", VersionStage="AWSCURRENT")[
            "SecretString"
        ]
    )


def test_after_a_planned_rotation_both_keys_hold_for_a_day(site: Site) -> None:
    site.world.clock.advance(3 * 86400)
    site.popup.browser()
    result = site.run("rotate-launch-key", "--yes")
    assert result.exit_code == 0
    new = current_key(site)
    assert new != LAUNCH_KEY
    assert len(new) == 64
    assert new not in result.output
    site.world.clock.advance(60)
    assert site.popup.launch(site.popup.token()).status == 303
    assert site.popup.launch(site.popup.token(signed_with=new)).status == 303
    assert site.popup.launch(site.popup.token(signed_with="x" * 64)).status == 401
    again = site.run("rotate-launch-key", "--yes")
    assert again.exit_code == 1
    assert "the one before it holds until" in again.stderr
    site.world.clock.advance(int(FORMER_KEY_HOLDS.total_seconds()))
    assert site.popup.launch(site.popup.token()).status == 401
    assert site.popup.launch(site.popup.token(signed_with=new)).status == 303
    assert site.run("rotate-launch-key", "--yes").exit_code == 0


def test_a_compromised_key_is_refused_and_everybody_s_session_ends(site: Site) -> None:
    browser, other = site.popup.browser(), site.popup.browser(OTHER, user="user-2")
    page = site.popup.page.launch_key
    late: list[Browser] = []
    sleep = site._sleep

    def let_in_meanwhile(seconds: float) -> None:
        # a page that has just read the former key lets one more in
        late.append(site.popup.browser("5", user="thief"))
        sleep(seconds)

    page.read()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("time.sleep", let_in_meanwhile)
        answer = site.json("rotate-launch-key", "--compromised", "--yes")
    assert answer["sessions_ended"] == 3
    for one in (browser, other, *late):
        assert one.get("settings").error == "no_session"
    assert site.popup.launch(site.popup.token()).status == 401
    assert site.popup.launch(site.popup.token(signed_with=current_key(site))).status == 303
    # also right after a planned rotation
    site.run("rotate-launch-key", "--compromised", "--yes")
    assert site.popup.launch(site.popup.token(signed_with=current_key(site))).status == 303


# --- dead letters, and the check -------------------------------------------------------------------------------------


@pytest.mark.parametrize("failed", [False, True])
def test_redrive_has_the_dead_letter_reader_send_them_again(site: Site, failed: bool) -> None:
    asked: list[Any] = []

    class Lambda:
        def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
            asked.append((FunctionName, json.loads(Payload)))
            more = {"FunctionError": "Unhandled"} if failed else {}
            return {"Payload": io.BytesIO(b'{"redriven": 3}'), **more}

    site.stack.clients["lambda"] = Lambda()
    result = site.run("redrive", "--yes")
    assert asked == [("reader", {"redrive": True})]
    assert result.exit_code == int(failed)
    assert ("its log says why" in result.stderr) if failed else ("3 messages" in result.stdout)


def checked(site: Site) -> dict[str, str]:
    """What the check finds wrong → what to do."""
    result = site.run("check", "--json")
    found = [one for one in json.loads(result.stdout) if not one["ok"]]
    assert result.exit_code == bool(found)
    return {one["words"]: one["do"] for one in found}


def test_the_check_finds_what_is_wrong_and_says_what_to_do(site: Site) -> None:
    make_tables()
    client: Any = boto3.client
    cloudwatch, dynamodb, sqs, events = map(client, ("cloudwatch", "dynamodb", "sqs", "events"))
    alarm = {
        "MetricName": "M",
        "Namespace": "N",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Statistic": "Sum",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0,
    }
    cloudwatch.put_metric_alarm(AlarmName="a", **alarm)
    cloudwatch.put_metric_alarm(AlarmName="mute", ActionsEnabled=False, **alarm)
    dead, queue = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("dead", "queue"))
    events.put_rule(Name="r", ScheduleExpression="rate(1 minute)")
    dynamodb.update_table(TableName="OrdersTable", DeletionProtectionEnabled=True)
    recovery = {"PointInTimeRecoveryEnabled": True}
    dynamodb.update_continuous_backups(TableName="OrdersTable", PointInTimeRecoverySpecification=recovery)

    class Lambda:
        quota, state = 1000, "Enabled"

        def get_account_settings(self) -> Any:
            return {"AccountLimit": {"ConcurrentExecutions": self.quota}}

        def get_event_source_mapping(self, UUID: str) -> Any:  # noqa: N803
            return {"State": self.state, "ScalingConfig": {"MaximumConcurrency": 8}}

    functions = Lambda()
    site.stack.clients |= {"lambda": functions}
    site.stack.parameters = {"AlarmTopic": "arn:topic"}
    site.stack.resources = [
        Resource("OrdersDeadLetterAlarm", "AWS::CloudWatch::Alarm", "a"),
        Resource("OrdersTable", "AWS::DynamoDB::Table", "OrdersTable"),
        Resource("OrdersDeadLetterQueue", "AWS::SQS::Queue", dead),
        Resource("OrdersQueue", "AWS::SQS::Queue", queue),
        Resource("Sweep", "AWS::Events::Rule", "r"),
        Resource("WakeUps", "AWS::Lambda::EventSourceMapping", "uuid"),
    ]
    sqs.send_message(QueueUrl=queue, MessageBody="an order")
    site.connected(OTHER)
    assert checked(site) == {}
    # one after the other goes wrong
    cloudwatch.set_alarm_state(AlarmName="a", StateValue="ALARM", StateReason="test")
    sqs.send_message(QueueUrl=dead, MessageBody="a dead letter")
    events.disable_rule(Name="r")
    dynamodb.update_table(TableName="OrdersTable", DeletionProtectionEnabled=False)
    functions.quota, functions.state = 10, "Disabled"
    site.stack.parameters = {}
    site.stack.resources += [
        Resource("GoneAlarm", "AWS::CloudWatch::Alarm", "gone"),
        Resource("MuteAlarm", "AWS::CloudWatch::Alarm", "mute"),
    ]
    connection = site.world.connections.connection(OTHER)
    assert connection is not None
    site.world.connections.save_connection(replace(connection, status="cut_off"))
    site.pauses.add(ALL, Pause("grace", site.world.clock.now(), "restored"))
    found = checked(site)
    assert set(found) == {
        "OrdersDeadLetterAlarm rings",
        "GoneAlarm is not there",
        "MuteAlarm tells nobody",
        "no alarm is sent to anybody",
        "WakeUps is switched off: nobody reads its queue",
        "the triggers may take 8 of the account's 10 concurrent functions",
        "OrdersTable is not protected against deletion",
        "OrdersDeadLetterQueue: 1 messages",
        "Sweep is disabled",
        f"company {OTHER} has lost its connection: cut off",
        f"paused for all companies since {site.world.clock.now():%Y-%m-%d %H:%M} UTC by grace: restored",
    }
    assert all(found.values())
    assert "WRONG alarm: OrdersDeadLetterAlarm rings" in site.run("check").stdout


@pytest.mark.parametrize("command", ["why", "retry"])
def test_a_row_that_this_version_cannot_read_is_named_in_words(site: Site, command: str) -> None:
    site.connected()
    unknown, unreadable = site.send(priceless(site.order()), priceless(site.order(place=1)))
    spoil(site.world, "OrdersTable", {"key": f"{COMPANY}#{unknown}"}, state="hovering")
    spoil(site.world, "OrdersTable", {"key": f"{COMPANY}#{unreadable}"}, received_at="yesterday")
    for order, alarm in ((unknown, "UnknownRowsAlarm"), (unreadable, "OurFaultsAlarm")):
        result = site.run(command, COMPANY, order, *(["--yes"] if command == "retry" else []))
        assert (result.exit_code, alarm in result.output) == (1, True), result.output


def test_what_is_not_there_is_said_in_words(site: Site, tmp_path: Path) -> None:
    site.connected()
    assert "There is no company 999999" in site.run("resume", "999999", "--yes").output
    assert "There is no company 999999" in site.run("why", "999999", "1").output
    nowhere = str(tmp_path / "no folder" / "ledger.csv")
    assert "No such file or directory" in site.run("export", COMPANY, "--output", nowhere).output
    full = site.run("export", COMPANY, "--format", "csv", "--output", "/dev/full")
    assert full.stderr == "Error: No space left on device\n"

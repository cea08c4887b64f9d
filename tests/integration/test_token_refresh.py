"""Connections stay alive: by the real use case on the simulated Xero and on stores that keep AWS's rules."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import boto3
import pytest
from moto import mock_aws

from bookkeeping.adapters.secrets import App, Version
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.domain.errors import IdentityRefused
from bookkeeping.use_cases.token_renewal import renew, renew_due
from local.xero.identity import PROVIDER_MODELS, ProviderModel
from local.xero.in_process import InProcess
from local.xero.server import create_app
from tests.integration.one_function import cold_start, metrics_in
from tests.integration.one_process import make_tables
from tests.our_faults import Fault
from tests.storms import keeping_alive, rhythm
from tests.storms.dynamodb import refused
from tests.storms.keeping_alive import MUTANTS, WEATHERS, Storm, storm_over
from tests.storms.posting import SEED
from tests.storms.rhythm import Asked, all_due, asked_at_expiry, quiet_days
from tests.storms.scheduler import Killed
from tests.storms.secrets_manager import SecretsManager

ROOT = Path(__file__).parents[2]
COMPANY = "412000"


@pytest.fixture
def storm() -> Storm:
    """One company, nothing going wrong unless the test brings it."""
    return Storm(1, "family_revoked", seed=SEED)


def token_calls(storm: Storm) -> list[Any]:
    return [entry for entry in storm.xero.log.entries if entry.grant_type == "refresh_token"]


def current(storm: Storm) -> Version:
    version = storm.adapters.tokens.current(COMPANY)
    assert version is not None
    return version


def status(storm: Storm) -> str:
    connection = storm.adapters.connections.connection(COMPANY)
    assert connection is not None
    return connection.status


def good(storm: Storm) -> bool:
    """Whether Xero takes the access token in the store."""
    bearer = storm.xero.identity.bearer(f"Bearer {current(storm).tokens.access_token}")
    return bearer is not None and not bearer.revoked and bearer.expires_at > storm.clock.now()


def to_expiry(storm: Storm) -> None:
    storm.clock.advance(timedelta(minutes=29).total_seconds())


def fault(storm: Storm, kind: str, **more: Any) -> None:
    storm.xero.faults.add({"kind": kind, "path_prefix": "/connect/token", "seconds": 100, **more})


# --- one company


def test_tokens_that_are_fresh_cost_no_call(storm: Storm) -> None:
    for _ in range(20):
        assert renew(storm.adapters, COMPANY).what == "fresh"
    assert token_calls(storm) == []


def test_tokens_that_run_out_are_renewed_and_promoted(storm: Storm) -> None:
    before = current(storm)
    to_expiry(storm)
    assert renew(storm.adapters, COMPANY).what == "renewed"
    after = current(storm)
    assert (after.replaces, after.tokens.generation) == (before.id, before.tokens.generation + 1)
    assert good(storm)


def test_tokens_that_xero_refused_are_renewed_whatever_is_stored_of_when_they_end(storm: Storm) -> None:
    before = current(storm).tokens
    assert before.expires_at - storm.clock.now() > timedelta(minutes=20)
    renewed = renew(storm.adapters, COMPANY, refused=before.generation)
    assert renewed.what == "renewed"
    assert current(storm).tokens.generation == before.generation + 1
    assert good(storm)


def test_tokens_that_xero_refused_are_renewed_once_however_many_ask(storm: Storm) -> None:
    generation = current(storm).tokens.generation
    asked = [renew(storm.adapters, COMPANY, refused=generation).what for _ in range(5)]
    assert asked == ["renewed", *["fresh"] * 4]
    assert len(token_calls(storm)) == 1


def test_a_refusal_of_tokens_that_were_replaced_since_costs_no_call(storm: Storm) -> None:
    generation = current(storm).tokens.generation
    for other in (generation - 1, generation + 1, None):
        assert renew(storm.adapters, COMPANY, refused=other).what == "fresh"
    assert token_calls(storm) == []


def test_nothing_is_done_for_a_company_that_is_not_connected(storm: Storm) -> None:
    assert renew(storm.adapters, "999").what == "no_tokens"
    assert storm.adapters.connections.renewals_due(storm.clock.now() + timedelta(days=9)) == [COMPANY]


@pytest.mark.parametrize("kind", [*keeping_alive.IDENTITY_FAULTS, "slow_commit"])
def test_a_call_that_gave_no_tokens_is_made_good_by_the_next_ticks(storm: Storm, kind: str) -> None:
    fault(storm, kind)
    to_expiry(storm)
    assert renew(storm.adapters, COMPANY).what == "put_off"
    assert renew(storm.adapters, COMPANY).what == "busy", "not at once: the call may still be carried out"
    for _ in range(2):
        storm.clock.advance(300)
        renew_due(storm.adapters)
    assert status(storm) == "connected"
    assert good(storm)
    to_expiry(storm)
    assert renew(storm.adapters, COMPANY).what == "renewed", "and what came of it late does no harm"


@pytest.mark.parametrize("away", [timedelta(minutes=5), timedelta(minutes=50)])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("model", PROVIDER_MODELS)
def test_a_process_that_ends_at_any_step_costs_no_connection(
    model: ProviderModel, moment: str, away: timedelta
) -> None:
    """Every step edge of a renewal in turn; a long absence only where Xero's answer is not with nobody."""
    storm = Storm(1, model, seed=SEED)
    left = ended = 0

    def end(call: str, key: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed(call, key)

    storm.perils[moment] = end
    while True:
        left = ended + 1
        to_expiry(storm)
        try:
            renew(storm.adapters, COMPANY)
        except Killed:
            ended += 1
        else:
            break
        storm.clock.advance(300 if storm.tokens_with_nobody() else away.total_seconds())
        renew_due(storm.adapters)
        assert status(storm) == "connected", f"ended {moment} step {ended}"
        to_expiry(storm)
        assert renew(storm.adapters, COMPANY).what == "renewed", f"ended {moment} step {ended}"
    assert ended >= 9


def test_staged_tokens_are_promoted_without_a_call(storm: Storm) -> None:
    to_expiry(storm)
    with patch.object(type(storm.adapters.tokens), "promote", side_effect=Killed), pytest.raises(Killed):
        renew(storm.adapters, COMPANY)
    storm.clock.advance(300)
    assert renew(storm.adapters, COMPANY).what == "fresh"
    assert len(token_calls(storm)) == 1
    assert good(storm)


def test_a_store_that_throttles_is_asked_until_it_takes_the_only_copy_of_the_tokens(storm: Storm) -> None:
    to_expiry(storm)
    until = storm.clock.now() + timedelta(seconds=30)

    def throttle(call: str, key: str) -> None:
        if call.startswith(("put_secret", "update_secret")) and storm.clock.now() < until:
            raise refused(call, "ThrottlingException", key)

    storm.secrets.before = throttle
    assert renew(storm.adapters, COMPANY).what == "renewed"
    assert len(token_calls(storm)) == 1


def test_an_idle_connection_is_not_forgotten_between_a_lost_answer_and_xeros_half_hour(storm: Storm) -> None:
    storm.clock.advance(timedelta(hours=5).total_seconds())
    fault(storm, "reply_lost")
    assert renew(storm.adapters, COMPANY).what == "put_off"
    storm.clock.advance(300)
    assert [outcome.what for outcome in renew_due(storm.adapters)] == ["renewed"]


@pytest.mark.parametrize(("minutes", "then"), [(28, "connected"), (32, "needs_reconnect")])
@pytest.mark.parametrize("model", PROVIDER_MODELS)
def test_what_no_client_survives_is_half_an_hour_away_while_xeros_answer_is_with_nobody(
    model: ProviderModel, minutes: int, then: str
) -> None:
    storm = Storm(1, model, seed=SEED)
    to_expiry(storm)
    fault(storm, "reply_lost")
    assert renew(storm.adapters, COMPANY).what == "put_off"
    storm.clock.advance(timedelta(minutes=minutes).total_seconds())
    renew_due(storm.adapters)
    assert status(storm) == then


def test_a_refused_token_is_believed_to_be_dead_only_when_the_store_has_no_other(storm: Storm) -> None:
    to_expiry(storm)
    twin = storm.adapters.identity.refresh(
        f"APP{COMPANY}", secret(storm), current(storm).tokens.refresh_token
    )
    assert renew(storm.adapters, COMPANY).what == "renewed"
    parent = storm.adapters.tokens.previous(COMPANY)
    assert parent is not None
    late = storm.adapters.identity.refresh(f"APP{COMPANY}", secret(storm), parent.tokens.refresh_token)
    assert twin != late, "a call carried out late has made the promoted tokens worthless"
    storm.clock.advance(timedelta(minutes=25).total_seconds())
    assert renew(storm.adapters, COMPANY).what == "renewed"
    assert status(storm) == "connected"
    assert storm.bus.told == []


def secret(storm: Storm) -> str:
    app = storm.adapters.apps.read(COMPANY)
    assert app is not None
    return app.client_secret


def test_revoked_tokens_lose_the_connection_once_and_say_so(storm: Storm) -> None:
    storm.xero.identity.revoke_all(f"APP{COMPANY}")
    to_expiry(storm)
    assert renew(storm.adapters, COMPANY).what == "lost"
    assert status(storm) == "needs_reconnect"
    for _ in range(3):
        storm.clock.advance(86400)
        assert renew_due(storm.adapters) == [], "a person must act: nothing is tried meanwhile"
    assert storm.bus.told == ["ConnectionLost"]
    storm.connect(COMPANY)
    assert renew(storm.adapters, COMPANY).what == "fresh"
    assert status(storm) == "connected"


def test_the_loss_is_told_even_if_the_process_ends_between_writing_and_telling(storm: Storm) -> None:
    storm.xero.identity.revoke_all(f"APP{COMPANY}")
    to_expiry(storm)
    with patch.object(type(storm.adapters.events), "put", side_effect=Killed), pytest.raises(Killed):
        renew(storm.adapters, COMPANY)
    assert status(storm) == "needs_reconnect"
    storm.clock.advance(300)
    renew_due(storm.adapters)
    assert storm.bus.told == ["ConnectionLost"]


def test_a_wrong_client_secret_leaves_the_tokens_alone_and_a_right_one_heals(storm: Storm) -> None:
    right, before = secret(storm), current(storm)
    storm.adapters.apps.save(COMPANY, App(f"APP{COMPANY}", "mistyped"))
    to_expiry(storm)
    assert renew(storm.adapters, COMPANY).what == "lost"
    assert status(storm) == "wrong_credentials"
    assert current(storm) == before
    storm.adapters.apps.save(COMPANY, App(f"APP{COMPANY}", right))
    for _ in range(4):
        storm.clock.advance(300)
        renew_due(storm.adapters)
    assert status(storm) == "connected"
    assert good(storm)
    assert storm.bus.told == ["ConnectionLost", "ConnectionRestored"]


def test_a_right_client_secret_is_noticed_by_the_next_tick(storm: Storm) -> None:
    right = secret(storm)
    storm.adapters.apps.save(COMPANY, App(f"APP{COMPANY}", "mistyped"))
    to_expiry(storm)
    assert renew(storm.adapters, COMPANY).what == "lost"
    storm.adapters.apps.save(COMPANY, App(f"APP{COMPANY}", right))
    storm.adapters.connections.plan_renewal(COMPANY, storm.clock.now())
    storm.clock.advance(300)
    assert [outcome.what for outcome in renew_due(storm.adapters)] == ["renewed"]
    assert status(storm) == "connected"


def test_a_call_without_an_answer_is_not_hastened_by_a_client_secret_that_is_saved(storm: Storm) -> None:
    to_expiry(storm)
    fault(storm, "reply_lost")
    assert renew(storm.adapters, COMPANY).what == "put_off"
    storm.adapters.connections.plan_renewal(COMPANY, storm.clock.now())
    assert [outcome.what for outcome in renew_due(storm.adapters)] == ["busy"]


def test_a_client_secret_that_stays_wrong_is_told_of_once(storm: Storm) -> None:
    storm.adapters.apps.save(COMPANY, App(f"APP{COMPANY}", "mistyped"))
    to_expiry(storm)
    for _ in range(288):
        renew_due(storm.adapters)
        renew(storm.adapters, COMPANY)
        storm.clock.advance(300)
    assert status(storm) == "wrong_credentials"
    assert storm.bus.told == ["ConnectionLost"]


@pytest.mark.parametrize("at_work", [True, False])
def test_a_connection_without_tokens_is_lost_and_told(storm: Storm, at_work: bool) -> None:
    if at_work:
        storm.adapters.connections.note_work(COMPANY, storm.clock.now())
    renew_due(storm.adapters)
    assert storm.adapters.tokens.forget(COMPANY, current(storm))
    for _ in range(300):
        storm.clock.advance(300)
        renew_due(storm.adapters)
    assert status(storm) == "needs_reconnect"
    assert storm.bus.told == ["ConnectionLost"]


def test_who_asks_for_tokens_that_are_not_there_is_told_that_the_connection_is_lost(storm: Storm) -> None:
    assert storm.adapters.tokens.forget(COMPANY, current(storm))
    assert renew(storm.adapters, COMPANY).what == "lost"
    assert status(storm) == "needs_reconnect"


def test_tokens_are_never_presented_to_another_app(storm: Storm) -> None:
    storm.adapters.apps.save(COMPANY, App("APP-OF-SOMEBODY-ELSE", "secret"))
    to_expiry(storm)
    assert renew(storm.adapters, COMPANY).what == "lost"
    assert status(storm) == "wrong_credentials"
    assert token_calls(storm) == []


def test_an_outage_of_four_hours_ends_no_connection_and_calls_seldom(storm: Storm) -> None:
    to_expiry(storm)
    fault(storm, "maintenance", times=None)
    for _ in range(48):
        renew_due(storm.adapters)
        for _ in range(20):
            renew(storm.adapters, COMPANY)
            storm.clock.advance(15)
    calls = [entry for entry in storm.xero.log.entries if entry.path == "/connect/token"]
    assert len(calls) <= 4 * 60 / 2
    storm.xero.faults.remove()
    storm.clock.advance(300)
    renew_due(storm.adapters)
    assert status(storm) == "connected"
    assert good(storm)


def test_one_company_in_trouble_does_not_hold_up_the_others(our_faults: list[Fault]) -> None:
    storm = Storm(3, "lenient_grace", seed=SEED)
    storm.secrets._secrets[f"kornit-xero/{COMPANY}/tokens"].clear()
    for company in storm.companies:
        storm.adapters.connections.note_work(company, storm.clock.now())

    def choke(call: str, key: str) -> None:
        if "412001" in key and call == "get_secret_value":
            raise ValueError("canary")

    storm.secrets.before = choke
    to_expiry(storm)
    outcomes = {outcome.company: outcome for outcome in renew_due(storm.adapters)}
    assert {company: outcome.what for company, outcome in outcomes.items()} == {
        "412000": "lost",
        "412001": "failed",
        "412002": "renewed",
    }
    assert "canary" not in outcomes["412001"].why
    assert [fault.company for fault in our_faults] == ["412001"]
    our_faults.clear()


def test_a_store_in_trouble_is_no_fault_of_ours() -> None:
    storm = Storm(2, "lenient_grace", seed=SEED)
    for company in storm.companies:
        storm.adapters.connections.note_work(company, storm.clock.now())

    def busy(call: str, key: str) -> None:
        if "412001" in key and call == "get_item":
            raise refused(call, "ProvisionedThroughputExceededException")

    storm.dynamodb.before = busy
    to_expiry(storm)
    outcomes = {outcome.company: outcome for outcome in renew_due(storm.adapters)}
    assert [outcomes[company].what for company in storm.companies] == ["renewed", "failed"]
    assert outcomes["412001"].why == "get_item: ProvisionedThroughputExceededException"


# --- how often: P6


def test_tokens_are_renewed_in_time_and_seldom_enough() -> None:
    """At work: at most 60 versions a day, and never out of date. Idle: at most 2."""
    quiet = quiet_days(10, 2, "newest_and_parent", SEED)
    assert quiet.well, quiet
    assert quiet.at_work >= 50


def test_renewals_of_a_tick_begin_at_most_twenty_a_second() -> None:
    """Each writes twice, and Secrets Manager takes 50 writes a second."""
    crowd = all_due(300, "newest_and_parent", SEED)
    assert crowd.well, crowd
    assert crowd.seconds == pytest.approx(15, abs=1)


def test_two_ticks_never_begin_renewals_at_the_same_time(storm: Storm) -> None:
    storm.adapters.connections.note_work(COMPANY, storm.clock.now())
    to_expiry(storm)
    began, begin = storm.clock.now(), storm.adapters.times.begin
    assert storm.adapters.connections.take_tick(began, begin)
    assert renew_due(storm.adapters) == []
    storm.adapters.connections.end_tick(began, begin)
    assert [outcome.what for outcome in renew_due(storm.adapters)] == ["renewed"]
    assert storm.adapters.connections.take_tick(storm.clock.now(), begin)
    storm.clock.advance(begin.total_seconds())
    assert storm.adapters.connections.take_tick(storm.clock.now(), begin), (
        "one that crashed holds up no other"
    )


def test_fifty_callers_at_expiry_make_one_call_and_get_fifty_good_tokens() -> None:
    asked = asked_at_expiry(50, "family_revoked", SEED)
    assert asked == Asked(callers=50, calls=1, good=50, renewed=1)


# the storms in full try all mutants
@pytest.mark.parametrize("name", ["no_lease", "not_paced"])
def test_every_mutant_renews_too_often_or_too_late(name: str) -> None:
    mutant, ends_well = rhythm.MUTANTS[name]
    with mutant():
        assert not ends_well()


# --- storms: P5


@pytest.mark.parametrize("model", PROVIDER_MODELS)
def test_connections_survive_the_storm(model: ProviderModel) -> None:
    report = storm_over(20, 1, model, SEED)
    print(f"seed {SEED}, {model}: {report}")
    assert report.dead == {}
    assert report.most_in_flight == 1
    assert report.most_versions_a_day <= 60


@pytest.mark.parametrize("name", ["ends", "reconnects"])
def test_connections_survive_the_weather_of_each_mutant(name: str) -> None:
    assert storm_over(15, 1, "newest_and_parent", SEED, WEATHERS[name]).dead == {}


@pytest.mark.parametrize("name", ["no_staging"])
def test_a_storm_catches_the_mutant(name: str) -> None:
    mutant, weather = MUTANTS[name]
    with mutant():
        reports = (storm_over(20, 1.5, "newest_and_parent", seed, weather) for seed in range(SEED, SEED + 9))
        assert any(report.dead for report in reports)


# --- the handler


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, Storm]]:
    """The real handler on moto, its company's tokens as good as expired."""
    # moto is wrong about stages
    secrets = SecretsManager(lambda: datetime.now(UTC))
    monkeypatch.setattr("bookkeeping.adapters.secrets.secrets_manager", lambda: secrets)
    with mock_aws():
        make_tables()
        boto3.client("events").create_event_bus(Name="bus")
        environment = {
            "WAITS_SCALE": "1",
            "CONNECTIONS_TABLE": "ConnectionsTable",
            "EVENT_BUS": "bus",
            "SECRETS_PREFIX": "kornit-xero",
            "XERO_IDENTITY_URL": keeping_alive.XERO,
            "XERO_API_URL": keeping_alive.XERO,
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        app = cold_start("token_refresh", environment)
        world = Storm(1, "family_revoked", seed=SEED)
        app.adapters.identity.session.mount(keeping_alive.XERO, InProcess(create_app(world.xero), world.xero))
        app_secret, connection = (
            world.adapters.apps.read(COMPANY),
            world.adapters.connections.connection(COMPANY),
        )
        assert app_secret is not None
        assert connection is not None
        app.adapters.apps.save(COMPANY, app_secret)
        app.adapters.tokens.save(COMPANY, replace(current(world).tokens, expires_at=datetime.now(UTC)))
        app.adapters.connections.save_connection(replace(connection, worked_at=datetime.now(UTC)))
        yield app, world


def event(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ROOT / "events" / name).read_text())
    return read


def records(caplog: pytest.LogCaptureFixture) -> str:
    """All that was logged, with the properties beside the words."""
    return "\n".join(str(vars(record)) for record in caplog.records)


class Context:
    function_name = "token_refresh"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-2:123456789012:function:token_refresh"
    aws_request_id = "6f0c3a52-6b1d-4f0e-9d6a-2f7c1f8f5b11"


@pytest.mark.parametrize(
    "asked", [event("token_refresh.json"), {"company": COMPANY}], ids=["schedule", "company"]
)
def test_the_function_renews_and_leaves_no_trace_of_tokens(
    function: tuple[ModuleType, Storm],
    asked: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, world = function
    caplog.set_level(logging.DEBUG)
    secrets = [current(world).tokens.access_token, current(world).tokens.refresh_token, secret(world)]
    before = app.adapters.tokens.current(COMPANY)
    app.handler(asked, Context())
    after = app.adapters.tokens.current(COMPANY)
    assert after.replaces == before.id
    app.handler(asked, Context())
    assert app.adapters.tokens.current(COMPANY) == after
    world.xero.identity.revoke_all(f"APP{COMPANY}")
    app.adapters.tokens.save(COMPANY, replace(after.tokens, expires_at=datetime.now(UTC)))
    app.adapters.connections.plan_renewal(COMPANY, datetime.now(UTC))
    app.handler(asked, Context())
    assert app.adapters.connections.connection(COMPANY).status == "needs_reconnect"
    written = capsys.readouterr()
    log = written.out + written.err + caplog.text + records(caplog)
    assert f"'company': '{COMPANY}'" in log
    secrets += [after.tokens.access_token, after.tokens.refresh_token]
    for canary in secrets:
        for shape in (canary, quote(canary, safe=""), base64.b64encode(canary.encode()).decode()):
            assert shape not in log


def test_a_tick_of_the_schedule_is_counted_as_it_begins_and_a_request_is_not(
    function: tuple[ModuleType, Storm], capsys: pytest.CaptureFixture[str]
) -> None:
    app, _ = function
    printed: list[str] = []
    renew_due_ = app.renew_due

    def begun(adapters: Any) -> Any:
        printed.append(capsys.readouterr().out)
        return renew_due_(adapters)

    with patch.object(app, "renew_due", begun):
        app.handler(event("token_refresh.json"), Context())
    [tick] = metrics_in(printed[0])
    assert tick["RenewalTicks"] == [1.0]
    [done] = metrics_in(capsys.readouterr().out)
    assert (done["RenewalsLookedAt"], done["TokensRenewed"]) == ([1.0], [1.0])
    app.handler({"company": COMPANY}, Context())
    assert "RenewalTicks" not in capsys.readouterr().out


def test_a_renewal_that_xero_refuses_in_odd_words_is_counted_for_itself(
    function: tuple[ModuleType, Storm], capsys: pytest.CaptureFixture[str]
) -> None:
    app, _ = function
    with patch.object(type(app.adapters.identity), "refresh", side_effect=IdentityRefused("odd")):
        app.handler({"company": COMPANY}, Context())
    [counted] = metrics_in(capsys.readouterr().out)
    assert counted["RenewalsRefused"] == [1.0]


def test_a_connection_is_counted_as_lost_once(
    function: tuple[ModuleType, Storm], capsys: pytest.CaptureFixture[str]
) -> None:
    app, _ = function
    app.adapters.apps.save(COMPANY, App(f"APP{COMPANY}", "mistyped"))
    for name in ("ConnectionsLost", "ConnectionsStillLost"):
        app.handler({"company": COMPANY}, Context())
        [counted] = metrics_in(capsys.readouterr().out)
        assert counted[name] == [1.0]


def test_what_the_function_logs_of_a_failure_is_its_kind(
    function: tuple[ModuleType, Storm], caplog: pytest.LogCaptureFixture, our_faults: list[Fault]
) -> None:
    app, world = function
    token = current(world).tokens.refresh_token
    with patch.object(ConnectionsTable, "connection", side_effect=ValueError(token)):
        app.handler(event("token_refresh.json"), Context())
    log = records(caplog)
    assert our_faults
    our_faults.clear()
    assert "ValueError" in log
    assert token not in log

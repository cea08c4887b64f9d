"""The storms' stores do as moto and the local AWS do under the edges, and as AWS documents where those are wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bookkeeping.adapters.secrets import App, AppSecret, Tokens, TokenSecret
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.domain.connection import Connection
from bookkeeping.domain.errors import Conflict, Lost, StoreUnavailable
from tests.integration.three_stores import held_against, opened
from tests.storms.dynamodb import DynamoDB
from tests.storms.environment import table_properties
from tests.storms.secrets_manager import VERSIONS_AT_MOST, SecretsManager

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEASE = timedelta(seconds=220)
CONNECTION = Connection("412077", "APP", "ORG", "Marlow Print Works", "connected")

WRONG = {
    "moto": {
        "test_a_version_that_was_written_under_an_id_is_never_another": "the id takes the new content",
        "test_a_write_that_is_repeated_after_the_promotion_leaves_it_current": "the version loses AWSCURRENT",
        "test_tokens_are_saved_where_others_were_forgotten": "AWSCURRENT is on both versions, and the first is found",
    },
    "local AWS": {
        "test_a_version_that_was_written_under_an_id_is_never_another": "the id takes the new content",
        "test_a_write_that_is_repeated_after_the_promotion_leaves_it_current": "the version loses AWSCURRENT",
        "test_what_was_staged_last_is_what_is_staged": "AWSPENDING is on both versions, and the first is found",
        "test_tokens_that_are_forgotten_are_at_no_stage_and_new_ones_take_their_place": "AWSPENDING, the same",
    },
}
"""What each gets wrong. Those tests have to fail there: a store that is mended says so."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in {"table", "secrets"} & set(metafunc.fixturenames):
        stores = held_against(WRONG, metafunc.function, "memory", "moto", "local AWS")
        metafunc.parametrize(name, stores, indirect=True)


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Iterator[ConnectionsTable]:
    if request.param == "memory":
        yield ConnectionsTable(DynamoDB(lambda: NOON, table_properties()), "ConnectionsTable")
        return
    with opened(request.param, "dynamodb", lambda: request.getfixturevalue("ministack")) as resource:
        yield ConnectionsTable(resource, "ConnectionsTable")


@pytest.fixture
def secrets(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "memory":
        yield SecretsManager(lambda: NOON)
        return
    with opened(request.param, "secretsmanager", lambda: request.getfixturevalue("ministack")) as client:
        yield client


def tokens(name: str, generation: int = 1) -> Tokens:
    return Tokens(f"access-{name}", f"refresh-{name}", NOON, generation)


def test_a_renewal_is_taken_by_one_until_it_is_let_go_or_its_lease_ends(table: ConnectionsTable) -> None:
    table.save_connection(CONNECTION)
    first = table.take_renewal("412077", NOON, LEASE)
    assert first is not None
    assert not first.unsettled
    assert table.take_renewal("412077", NOON + LEASE, LEASE) is None
    assert table.being_renewed("412077", NOON)
    second = table.take_renewal("412077", NOON + LEASE + timedelta(seconds=1), LEASE)
    assert second is not None
    assert second.unsettled
    assert not table.settle_renewal(first, NOON), "it is another's by now"
    assert table.settle_renewal(second, NOON + timedelta(hours=1))
    assert not table.being_renewed("412077", NOON)
    third = table.take_renewal("412077", NOON, LEASE)
    assert third is not None
    assert not third.unsettled


def test_a_renewal_that_was_put_off_rests_and_stays_unsettled(table: ConnectionsTable) -> None:
    table.save_connection(CONNECTION)
    renewal = table.take_renewal("412077", NOON, LEASE)
    assert renewal is not None
    later = NOON + timedelta(minutes=3)
    assert table.put_off_renewal(renewal, later)
    assert table.take_renewal("412077", later - timedelta(seconds=1), LEASE) is None
    assert not table.being_renewed("412077", NOON), "nobody waits for a renewal that rests"
    again = table.take_renewal("412077", later, LEASE)
    assert again is not None
    assert again.unsettled


def test_renewals_are_found_when_due_the_longest_due_first(table: ConnectionsTable) -> None:
    for minutes, company in ((3, "3"), (1, "1"), (2, "2"), (9, "9")):
        table.plan_renewal(company, NOON + timedelta(minutes=minutes))
    assert table.renewals_due(NOON + timedelta(minutes=3)) == ["1", "2", "3"]
    taken = table.take_renewal("1", NOON, LEASE)
    assert taken is not None
    table.settle_renewal(taken, None)
    assert table.renewals_due(NOON + timedelta(minutes=30)) == ["2", "3", "9"]


def test_renewals_that_have_not_come_to_their_end_are_found_before_all_others(
    table: ConnectionsTable,
) -> None:
    for minutes, company in ((0, "ends there"), (0, "put off"), (0, "settled"), (1, "long due")):
        table.plan_renewal(company, NOON + timedelta(minutes=minutes))
    taken = {
        company: table.take_renewal(company, NOON, LEASE) for company in ("ends there", "put off", "settled")
    }
    assert taken["put off"] is not None
    assert taken["settled"] is not None
    table.put_off_renewal(taken["put off"], NOON + timedelta(minutes=3))
    table.settle_renewal(taken["settled"], NOON + timedelta(minutes=2))
    assert table.renewals_due(NOON + timedelta(minutes=2)) == ["long due", "settled"]
    found = table.renewals_due(NOON + timedelta(minutes=4))
    assert found == ["put off", "ends there", "long due", "settled"]


def test_a_connection_saved_anew_is_not_lost_by_who_judged_the_old_one(table: ConnectionsTable) -> None:
    table.save_connection(CONNECTION)
    renewal = table.take_renewal("412077", NOON, LEASE)
    assert renewal is not None
    table.save_connection(CONNECTION)
    with pytest.raises(Lost):
        table.lose_renewed(renewal, CONNECTION, "needs_reconnect", NOON)
    found = table.connection("412077")
    assert found is not None
    assert found.status == "connected"


def test_a_late_refusal_says_nothing_of_a_connection_made_since(table: ConnectionsTable) -> None:
    before = replace(CONNECTION, connected_at=NOON)
    table.save_connection(before)
    renewal = table.take_renewal("412077", NOON, LEASE)
    assert renewal is not None
    table.change_connection(before, replace(before, connected_at=NOON + LEASE))
    assert not table.lose_connection(before, "needs_reconnect", NOON)
    assert table.lose_renewed(renewal, before, "needs_reconnect", NOON) is None
    with pytest.raises(Conflict):
        table.change_connection(before, replace(before, status="disconnected"))
    found = table.connection("412077")
    assert found is not None
    assert found.status == "connected"
    assert table.lose_connection(found, "needs_reconnect", NOON)


def test_a_connection_is_lost_once_and_says_since_when(table: ConnectionsTable) -> None:
    table.save_connection(CONNECTION)
    renewal = table.take_renewal("412077", NOON, LEASE)
    assert renewal is not None
    assert table.lose_renewed(renewal, CONNECTION, "needs_reconnect", NOON) == NOON
    assert table.lose_renewed(renewal, CONNECTION, "needs_reconnect", NOON + LEASE) == NOON
    assert table.lose_renewed(renewal, CONNECTION, "wrong_credentials", NOON + LEASE) is None
    table.note_work("412077", NOON)
    table.note_work("nobody", NOON)
    assert table.connection("nobody") is None


def test_staged_tokens_are_read_by_their_stage_and_promoted_in_place_of_those_they_came_from(
    secrets: Any,
) -> None:
    store = TokenSecret(secrets, "kornit-xero")
    assert store.read("412077") is None
    assert store.pending("412077") is None
    store.save("412077", tokens("one"))
    one = store.current("412077")
    assert one is not None
    assert one.tokens == tokens("one")
    two = store.stage("412077", tokens("two", 2), one.id)
    assert store.stage("412077", tokens("two", 2), one.id) == two, "the same again is one version"
    assert store.read("412077") == tokens("one")
    pending = store.pending("412077")
    assert pending is not None
    assert (pending.id, pending.replaces, pending.tokens) == (two, one.id, tokens("two", 2))
    assert store.promote("412077", two, one.id)
    assert store.read("412077") == tokens("two", 2)
    previous = store.previous("412077")
    assert previous is not None
    assert previous.id == one.id


def test_secrets_are_created_when_missing_and_replaced_when_there(secrets: Any) -> None:
    apps = AppSecret(secrets, "kornit-xero")
    for app in (App("APP", "first"), App("APP", "second"), App("APP", "first")):
        apps.save("412077", app)
        assert apps.read("412077") == app
    assert "first" not in repr(apps.read("412077"))


def test_no_library_quotes_a_secret_however_much_is_logged(
    secrets: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = TokenSecret(secrets, "kornit-xero")
    store.save("412077", tokens("canary"))
    store.read("412077")
    AppSecret(secrets, "kornit-xero").save("412077", App("APP", "canary"))
    assert "canary" not in caplog.text


def test_what_was_staged_last_is_what_is_staged(secrets: Any) -> None:
    store = TokenSecret(secrets, "kornit-xero")
    store.save("412077", tokens("one"))
    one = store.current("412077")
    assert one is not None
    store.stage("412077", tokens("two", 2), one.id)
    store.stage("412077", tokens("three", 2), one.id)
    pending = store.pending("412077")
    assert pending is not None
    assert pending.tokens == tokens("three", 2)


def test_tokens_are_not_promoted_over_others_that_came_meanwhile(secrets: Any) -> None:
    store = TokenSecret(secrets, "kornit-xero")
    store.save("412077", tokens("one"))
    one = store.current("412077")
    assert one is not None
    two = store.stage("412077", tokens("two", 2), one.id)
    store.save("412077", tokens("of a person"))
    assert not store.promote("412077", two, one.id)
    assert store.read("412077") == tokens("of a person")


def test_tokens_that_are_forgotten_are_at_no_stage_and_new_ones_take_their_place(secrets: Any) -> None:
    store = TokenSecret(secrets, "kornit-xero")
    store.save("412077", tokens("one"))
    one = store.current("412077")
    assert one is not None
    two = store.stage("412077", tokens("two", 2), one.id)
    assert store.promote("412077", two, one.id)
    assert store.forget("412077", store.current("412077"))
    assert [stage("412077") for stage in (store.current, store.pending, store.previous)] == [None] * 3
    assert store.forget("412077", None)


def test_tokens_that_came_meanwhile_are_not_forgotten_with_the_old_ones(secrets: Any) -> None:
    store = TokenSecret(secrets, "kornit-xero")
    store.save("412077", tokens("one"))
    one = store.current("412077")
    store.save("412077", tokens("of a person"))
    assert not store.forget("412077", one)
    assert store.read("412077") == tokens("of a person")


def test_tokens_are_saved_where_others_were_forgotten(secrets: Any) -> None:
    store = TokenSecret(secrets, "kornit-xero")
    store.save("412077", tokens("one"))
    assert store.forget("412077", store.current("412077"))
    store.save("412077", tokens("of a person"))
    assert store.read("412077") == tokens("of a person")


def test_a_promotion_whose_answer_was_lost_is_found_done(secrets: Any) -> None:
    store = TokenSecret(secrets, "kornit-xero")
    store.save("412077", tokens("one"))
    one = store.current("412077")
    assert one is not None
    two = store.stage("412077", tokens("two", 2), one.id)
    assert store.promote("412077", two, one.id)
    assert store.promote("412077", two, one.id)


def test_a_secret_is_full_after_a_hundred_versions_within_a_day() -> None:
    """In memory alone: the others count no versions, and no day can be made to pass there."""
    now = NOON
    secrets = SecretsManager(lambda: now)
    store = TokenSecret(secrets, "kornit-xero")
    store.save("412077", tokens("0"))
    for number in range(1, VERSIONS_AT_MOST):
        now += timedelta(seconds=1)
        store.save("412077", tokens(str(number)))
    with pytest.raises(StoreUnavailable, match="LimitExceededException"):
        store.save("412077", tokens("one too many"))
    now += timedelta(hours=25)
    store.save("412077", tokens("a day later"))


def test_a_version_that_was_written_under_an_id_is_never_another(secrets: Any) -> None:
    """The id is told by the content, so that a repeated write is one version."""
    secrets.create_secret(Name="s", SecretString="one")
    id_ = "0" * 64
    put = {"SecretId": "s", "VersionStages": ["AWSPENDING"], "ClientRequestToken": id_}
    assert secrets.put_secret_value(**put, SecretString="two")["VersionId"] == id_
    assert secrets.put_secret_value(**put, SecretString="two")["VersionId"] == id_
    with pytest.raises(ClientError) as refused:
        secrets.put_secret_value(**put, SecretString="three")
    assert refused.value.response["Error"]["Code"] == "ResourceExistsException"
    assert secrets.get_secret_value(SecretId="s", VersionStage="AWSPENDING")["SecretString"] == "two"


def test_a_write_that_is_repeated_after_the_promotion_leaves_it_current(secrets: Any) -> None:
    store = TokenSecret(secrets, "kornit-xero")
    store.save("412077", tokens("one"))
    one = store.current("412077")
    assert one is not None
    two = store.stage("412077", tokens("two", 2), one.id)
    assert store.promote("412077", two, one.id)
    assert store.stage("412077", tokens("two", 2), one.id) == two
    current = store.current("412077")
    assert current is not None
    assert current.id == two


@pytest.mark.parametrize(
    "wrong",
    [
        lambda client: client.get_secret_value(SecretId="nothing", VersionStage="AWSCURRENT"),
        lambda client: client.put_secret_value(
            SecretId="nothing", SecretString="x", VersionStages=["AWSPENDING"]
        ),
    ],
)
def test_what_is_not_there_is_said_as_aws_says_it(secrets: Any, wrong: Callable[[Any], Any]) -> None:
    with pytest.raises(ClientError) as refused:
        wrong(secrets)
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"

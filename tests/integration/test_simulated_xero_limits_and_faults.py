"""The simulated Xero under pressure: rate limits, idempotency keys, and every fault it can be told to have."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from local.xero.clock import VirtualClock, WallClock
from local.xero.server import make_server
from local.xero.visitor import Visitor
from local.xero.world import World

Json = dict[str, Any]


@pytest.fixture
def xero() -> Visitor:
    return Visitor(World(VirtualClock(), seed=1, demo=False))


def invoice(xero: Visitor, number: str = "KX-1") -> Json:
    return {
        "Type": "ACCREC",
        "InvoiceNumber": number,
        "Contact": {"ContactID": xero.contact.id},
        "LineItems": [{"Description": "Mug", "UnitAmount": 10, "AccountCode": "200", "TaxType": "OUTPUT2"}],
    }


def put(xero: Visitor, number: str = "KX-1", key: str | None = None, **options: Any) -> requests.Response:
    headers = {"Idempotency-Key": key} if key is not None else {}
    return xero.call("PUT", "Invoices", json=invoice(xero, number), headers=headers, **options)


def stored(xero: Visitor) -> list[str]:
    xero.world.run_due()
    return [document.number for document in xero.organisation.documents.values()]


@contextmanager
def served(world: World) -> Iterator[str]:
    server = make_server(world, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TestRateLimits:
    def test_sixty_calls_a_minute_and_then_wait_for_the_window_to_end(self, xero: Visitor) -> None:
        answers = [xero.call("GET", "Organisation") for _ in range(61)]
        assert [answer.status_code for answer in answers[:60]] == [200] * 60
        assert answers[0].headers["X-MinLimit-Remaining"] == "59"
        last = answers[60]
        assert (last.status_code, last.headers["X-Rate-Limit-Problem"]) == (429, "minute")
        assert last.headers["X-MinLimit-Remaining"] == "0"
        assert not last.text.startswith("{")
        wait = int(last.headers["Retry-After"])
        assert 1 <= wait <= 60
        xero.world.clock.advance(wait - 1)
        assert xero.call("GET", "Organisation").status_code == 429
        xero.world.clock.advance(1)
        assert xero.call("GET", "Organisation").status_code == 200

    def test_windows_start_at_another_moment_for_every_tenant(self, xero: Visitor) -> None:
        waits = set()
        for _ in range(6):
            visitor = Visitor(xero.world)
            answers = [visitor.call("GET", "Organisation") for _ in range(61)]
            waits.add(answers[-1].headers["Retry-After"])
        assert len(waits) > 1

    def test_the_day_limit_is_the_organisations_and_spares_the_minute(self, xero: Visitor) -> None:
        xero.organisation.day_limit = 3
        for _ in range(3):
            xero.call("GET", "Organisation")
        xero.world.clock.advance(60)
        answer = xero.call("GET", "Organisation")
        assert (answer.status_code, answer.headers["X-Rate-Limit-Problem"]) == (429, "day")
        assert (answer.headers["X-DayLimit-Remaining"], answer.headers["X-MinLimit-Remaining"]) == ("0", "60")
        xero.world.clock.advance(int(answer.headers["Retry-After"]))
        xero.tokens = xero.refresh(xero.tokens["refresh_token"]).json()
        assert xero.call("GET", "Organisation").status_code == 200

    def test_every_answer_carries_the_three_remainders(self, xero: Visitor) -> None:
        for answer in (xero.call("GET", "Organisation"), xero.call("PUT", "Invoices", data="{")):
            for name in ("X-MinLimit-Remaining", "X-DayLimit-Remaining", "X-AppMinLimit-Remaining"):
                assert answer.headers[name].isdigit()

    def test_an_app_has_ten_thousand_calls_a_minute_over_all_tenants(self, xero: Visitor) -> None:
        for number in range(10_000):
            tenant = f"00000000-0000-4000-8000-{number % 200:012d}"
            assert xero.world.limits.enter(xero.app.client_id, tenant, xero.world.now(), 5000) is None
            xero.world.limits.leave(xero.app.client_id, tenant)
        answer = xero.call("GET", "Organisation")
        assert (answer.status_code, answer.headers["X-Rate-Limit-Problem"]) == (429, "appminute")

    def test_the_sixth_call_at_once_is_refused_without_retry_after(self) -> None:
        world = World(WallClock(), demo=False)
        visitor = Visitor(world)
        visitor.fault("slow_answer", seconds=60, times=5)
        with served(world) as url:

            def call() -> requests.Response:
                return requests.get(f"{url}/api.xro/2.0/Organisation", headers=visitor.headers, timeout=10)

            threads = [threading.Thread(target=call) for _ in range(5)]
            for thread in threads:
                thread.start()
            while sum(fault.hits for fault in world.faults.rules) < 5:
                time.sleep(0.01)
            answer = call()
            world.clock.advance(61)
            for thread in threads:
                thread.join()
            assert call().status_code == 200
        assert (answer.status_code, answer.headers["X-Rate-Limit-Problem"]) == (429, "concurrent")
        assert "Retry-After" not in answer.headers


class TestIdempotency:
    def test_the_same_request_under_its_key_is_answered_again_and_not_done_again(self, xero: Visitor) -> None:
        first, second = put(xero, key="a"), put(xero, key="a")
        assert first.text == second.text
        assert stored(xero) == ["KX-1"]
        assert [entry.replayed for entry in xero.world.log.entries] == [False, True]

    def test_a_key_used_for_something_else_is_refused(self, xero: Visitor) -> None:
        put(xero, key="a")
        answer = put(xero, "KX-2", key="a")
        assert answer.status_code == 400
        assert "Idempotency Key: a is used with a different request." in answer.text
        other_url = xero.call(
            "PUT", "Invoices?unitdp=4", json=invoice(xero), headers={"Idempotency-Key": "a"}
        )
        assert "is used with a different request" in other_url.text
        xero.world.unconfirmed.choose("idempotency_mismatch_shape", "elements")
        assert "Elements" in put(xero, "KX-2", key="a").json()

    def test_a_key_is_forgotten_after_six_minutes(self, xero: Visitor) -> None:
        put(xero, key="a")
        xero.world.clock.advance(359)
        assert put(xero, key="a").status_code == 200
        xero.world.clock.advance(1)
        assert put(xero, key="a").status_code == 400

    @pytest.mark.parametrize(("choice", "again"), [("yes", 400), ("no", 200)])
    def test_a_validation_error_stays_under_its_key_even_when_its_cause_is_gone(
        self, xero: Visitor, choice: str, again: int
    ) -> None:
        xero.world.unconfirmed.choose("validation_errors_cached", choice)
        xero.world.change_organisation(xero.organisation, {"archive_account": "200"})
        assert put(xero, key="a").status_code == 400
        xero.world.change_organisation(xero.organisation, {"restore_account": "200"})
        assert put(xero, key="a").status_code == again

    @pytest.mark.parametrize(
        ("kind", "numbers"), [("error_before_commit", []), ("error_after_commit", ["KX-1"])]
    )
    def test_a_500_stays_under_its_key_whether_or_not_it_committed(
        self, xero: Visitor, kind: str, numbers: list[str]
    ) -> None:
        xero.fault(kind)
        assert [put(xero, key="a").status_code for _ in range(2)] == [500, 500]
        assert stored(xero) == numbers

    def test_a_key_belongs_to_the_app_not_to_the_tenant(self, xero: Visitor) -> None:
        second = xero.world.add_organisation({"country": "UK", "users": [xero.user.email]})
        xero.tokens = xero.world.consent(xero.app, xero.user, [xero.organisation.id, second.id])
        put(xero, key="a")
        headers = {"Idempotency-Key": "a", "Xero-Tenant-Id": second.id}
        answer = xero.call("PUT", "Invoices", json=invoice(xero), headers=headers)
        assert answer.status_code == 200
        assert second.documents == {}

    @pytest.mark.parametrize("key", ["", "x" * 129])
    def test_a_key_has_1_to_128_characters(self, xero: Visitor, key: str) -> None:
        assert put(xero, key=key).status_code == 400
        assert put(xero, key="x" * 128).status_code == 200

    def test_limits_come_before_keys(self, xero: Visitor) -> None:
        put(xero, key="a")
        xero.organisation.day_limit = 1
        assert put(xero, key="a").status_code == 429

    @pytest.mark.parametrize(("choice", "second"), [("waits", 200), ("refused", 409), ("executes", 400)])
    def test_a_second_call_while_the_first_runs_follows_the_open_answer(
        self, xero: Visitor, choice: str, second: int
    ) -> None:
        xero.world.unconfirmed.choose("same_key_in_flight", choice)
        xero.fault("slow_commit", seconds=40)
        with pytest.raises(requests.exceptions.ReadTimeout):
            put(xero, key="a", timeout=20)
        assert stored(xero) == []
        answer = put(xero, key="a", timeout=30)
        if choice == "executes":
            # The first call's late commit finds its number taken.
            assert answer.status_code == 200
            xero.world.clock.advance(40)
            assert stored(xero) == ["KX-1"]
            return
        assert answer.status_code == second


class TestFaults:
    @pytest.mark.parametrize(
        ("kind", "problem", "timed"),
        [
            ("rate_limit_minute", "minute", True),
            ("rate_limit_day", "day", True),
            ("rate_limit_concurrent", "concurrent", False),
            ("rate_limit_appminute", "appminute", False),
        ],
    )
    def test_injected_limits_look_like_real_ones(
        self, xero: Visitor, kind: str, problem: str, timed: bool
    ) -> None:
        xero.fault(kind)
        answer = put(xero)
        assert (answer.status_code, answer.headers["X-Rate-Limit-Problem"]) == (429, problem)
        assert ("Retry-After" in answer.headers) is timed
        entry = xero.world.log.entries[-1]
        assert (entry.fault, entry.limit, stored(xero)) == (kind, None, [])

    @pytest.mark.parametrize(
        ("kind", "status", "text"),
        [
            ("maintenance", 503, "The Xero API is currently offline for maintenance"),
            ("organisation_offline", 503, "The Organisation is offline"),
            ("token_expired", 401, "TokenExpired"),
            ("authentication_unsuccessful", 401, "AuthenticationUnsuccessful"),
            ("authorization_unsuccessful", 401, "AuthorizationUnsuccessful"),
            ("forbidden", 403, "AuthenticationUnsuccessful"),
            ("error_before_commit", 500, "An error occurred in Xero"),
        ],
    )
    def test_refusals_at_the_door_change_nothing(
        self, xero: Visitor, kind: str, status: int, text: str
    ) -> None:
        xero.fault(kind)
        answer = put(xero)
        assert answer.status_code == status
        assert text in answer.text
        assert stored(xero) == []
        assert put(xero).status_code == 200

    def test_an_error_after_the_commit_has_committed(self, xero: Visitor) -> None:
        xero.fault("error_after_commit")
        assert put(xero).status_code == 500
        assert stored(xero) == ["KX-1"]
        assert len(xero.world.log.entries[-1].committed) == 1

    def test_a_lost_reply_has_committed_and_a_lost_request_has_not(self, xero: Visitor) -> None:
        for kind in ("request_lost", "reply_lost"):
            xero.fault(kind)
        with pytest.raises(requests.exceptions.ConnectionError):
            put(xero)
        assert stored(xero) == []
        with pytest.raises(requests.exceptions.ConnectionError):
            put(xero)
        assert stored(xero) == ["KX-1"]

    def test_a_slow_answer_comes_after_its_commit(self, xero: Visitor) -> None:
        xero.fault("slow_answer", seconds=25, times=2)
        before = xero.world.now()
        assert put(xero, timeout=30).status_code == 200
        assert (xero.world.now() - before).total_seconds() == 25
        with pytest.raises(requests.exceptions.ReadTimeout):
            put(xero, "KX-2", timeout=20)
        assert stored(xero) == ["KX-1", "KX-2"]
        assert (xero.world.now() - before).total_seconds() == 45

    def test_a_slow_commit_happens_after_the_client_gave_up(self, xero: Visitor) -> None:
        xero.fault("slow_commit", seconds=100)
        with pytest.raises(requests.exceptions.ReadTimeout):
            put(xero, timeout=20)
        xero.world.clock.advance(79)
        assert stored(xero) == []
        xero.world.clock.advance(1)
        assert stored(xero) == ["KX-1"]
        entry = xero.world.log.entries[-1]
        assert entry.committed_at is not None
        assert (entry.committed_at - entry.at).total_seconds() == 100

    def test_a_late_commit_loses_against_a_resend_that_was_faster(self, xero: Visitor) -> None:
        xero.fault("slow_commit", seconds=100)
        with pytest.raises(requests.exceptions.ReadTimeout):
            put(xero, timeout=20)
        assert put(xero).status_code == 200
        xero.world.clock.advance(100)
        assert stored(xero) == ["KX-1"]
        assert [len(entry.committed) for entry in xero.world.log.entries] == [0, 1]

    def test_spoilt_bodies_have_committed_unless_told_otherwise(self, xero: Visitor) -> None:
        xero.fault("cut_body")
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            put(xero)
        xero.fault("malformed_json")
        with pytest.raises(requests.exceptions.JSONDecodeError):
            put(xero, "KX-2").json()
        xero.fault("html_body")
        assert put(xero, "KX-3").text.startswith("<!DOCTYPE html>")
        xero.fault("html_400")
        from_a_box = put(xero, "KX-6")
        assert (from_a_box.status_code, from_a_box.headers["Content-Type"]) == (400, "text/html")
        xero.fault("empty_body")
        empty = put(xero, "KX-4")
        assert (empty.status_code, empty.content) == (200, b"")
        xero.fault("empty_body", commit=False)
        put(xero, "KX-5")
        assert stored(xero) == ["KX-1", "KX-2", "KX-3", "KX-6", "KX-4"]

    def test_a_fault_hits_only_what_it_matches(self, xero: Visitor) -> None:
        xero.fault("maintenance", method="PUT", path_prefix="/api.xro/2.0/Invoices", times=None)
        assert xero.call("GET", "Invoices").status_code == 200
        assert xero.call("PUT", "Items", json={"Code": "A"}).status_code == 200
        assert [put(xero).status_code for _ in range(2)] == [503, 503]
        xero.world.faults.remove()
        xero.fault("maintenance", tenant_id="someone-else")
        xero.fault("maintenance", client_id="someone-else")
        assert put(xero).status_code == 200

    def test_a_fault_can_hit_every_third_call_or_skip_some(self, xero: Visitor) -> None:
        xero.fault("maintenance", every=3)
        assert [xero.call("GET", "Organisation").status_code for _ in range(6)] == [200, 200, 503] * 2
        xero.world.faults.remove()
        xero.fault("maintenance", skip=2, times=1)
        assert [xero.call("GET", "Organisation").status_code for _ in range(4)] == [200, 200, 503, 200]

    def test_chance_comes_from_the_faults_seed(self, xero: Visitor) -> None:
        runs = []
        for _ in range(2):
            xero.world.clock.advance(120)
            xero.world.faults.remove()
            xero.fault("maintenance", probability=0.3, seed=11)
            runs.append([xero.call("GET", "Organisation").status_code for _ in range(40)])
        assert runs[0] == runs[1]
        assert 4 <= runs[0].count(503) <= 20

    def test_faults_are_made_listed_and_removed_over_http(self, xero: Visitor) -> None:
        made = xero.site(
            "POST", "/_simulator/faults", json={"kind": "maintenance", "probability": 0.25}
        ).json()
        assert xero.site("GET", "/_simulator/faults").json()["faults"] == [made]
        assert xero.site("DELETE", f"/_simulator/faults/{made['id']}").json() == {"removed": 1}
        for wrong in ({"kind": "gremlins"}, {"kind": "maintenance", "colour": "red"}):
            assert xero.site("POST", "/_simulator/faults", json=wrong).status_code == 400

    def test_xero_can_be_made_to_refuse_in_any_words(self, xero: Visitor) -> None:
        words = "The sky is falling."
        xero.fault("refused", method="PUT", path_prefix="/api.xro/2.0/Invoices", message=words)
        [element] = put(xero, params={"summarizeErrors": "false"}).json()["Invoices"]
        assert (element["StatusAttributeString"], element["ValidationErrors"]) == (
            "ERROR",
            [{"Message": words}],
        )
        xero.fault("refused", message=words)
        assert put(xero).json()["Elements"][0]["ValidationErrors"] == [{"Message": words}]
        assert stored(xero) == []
        xero.fault("refused", path_prefix="/api.xro/2.0/Contacts", message="Unterminated string literal")
        refused = xero.call("GET", "Contacts")
        assert (refused.status_code, refused.json()["Type"]) == (400, "QueryParseException")
        assert xero.call("GET", "Contacts").status_code == 200
        for wrong in ({"kind": "refused"}, {"kind": "maintenance", "message": words}):
            assert xero.site("POST", "/_simulator/faults", json=wrong).status_code == 400

    def test_xero_can_be_made_to_know_an_address_no_more(self, xero: Visitor) -> None:
        xero.fault("not_found", method="PUT")
        assert [put(xero).status_code for _ in range(2)] == [404, 200]

    def test_the_token_endpoint_has_faults_too(self, xero: Visitor) -> None:
        for kind in ("maintenance", "error_before_commit", "rate_limit_minute", "error_after_commit"):
            xero.fault(kind, path_prefix="/connect/token", client_id=xero.app.client_id)
        token = xero.tokens["refresh_token"]
        assert [xero.refresh(token).status_code for _ in range(4)] == [503, 500, 429, 500]
        xero.fault("slow_commit", path_prefix="/connect/token", seconds=50)
        with pytest.raises(requests.exceptions.ReadTimeout):
            xero.refresh(token)
        xero.world.clock.advance(60)
        xero.world.run_due()
        assert xero.world.log.entries[-1].outcome == "granted"


class TestOverSockets:
    def test_dropped_and_cut_answers_reach_a_real_client_as_such(self) -> None:
        world = World(WallClock(), demo=False)
        visitor = Visitor(world)
        with served(world) as url:

            def call() -> requests.Response:
                return requests.get(f"{url}/api.xro/2.0/Accounts", headers=visitor.headers, timeout=5)

            visitor.fault("reply_lost")
            with pytest.raises(requests.exceptions.ConnectionError):
                call()
            visitor.fault("cut_body")
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                call()
            visitor.fault("slow_answer", seconds=30)
            with pytest.raises(requests.exceptions.ReadTimeout):
                requests.get(f"{url}/api.xro/2.0/Accounts", headers=visitor.headers, timeout=0.2)
            requests.post(f"{url}/_simulator/clock", json={"advance": 31}, timeout=5)
            visitor.tokens = world.consent(visitor.app, visitor.user, [visitor.organisation.id])
            assert call().status_code == 200

    def test_parallel_writers_never_share_a_number(self) -> None:
        world = World(WallClock(), demo=False)
        visitor = Visitor(world)
        with served(world) as url:
            statuses: list[int] = []

            def write() -> None:
                answer = requests.put(
                    f"{url}/api.xro/2.0/Invoices", headers=visitor.headers, json=invoice(visitor), timeout=5
                )
                statuses.append(answer.status_code)

            threads = [threading.Thread(target=write) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(statuses) == [200, 400, 400, 400]

    def test_parallel_calls_under_one_key_get_one_answer(self) -> None:
        world = World(WallClock(), demo=False)
        visitor = Visitor(world)
        headers = visitor.headers | {"Idempotency-Key": "one"}
        with served(world) as url:
            answers: list[str] = []

            def write() -> None:
                answer = requests.put(
                    f"{url}/api.xro/2.0/Invoices", headers=headers, json=invoice(visitor), timeout=5
                )
                answers.append(answer.text)

            threads = [threading.Thread(target=write) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(set(answers)) == 1
        assert stored(visitor) == ["KX-1"]

    def test_it_starts_from_the_command_line(self, tmp_path: Path) -> None:
        seed = tmp_path / "world.json"
        seed.write_text('{"organisations": [{"country": "NZ", "name": "From the seed file"}]}')
        command = [sys.executable, "-m", "local.xero", "--port", "0", "--seed-file", str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            address = process.stdout.readline().split()[-1]
            try:
                assert "From the seed file" in requests.get(address, timeout=5).text
            finally:
                process.terminate()


class TestControls:
    def test_the_clock_is_advanced_and_set(self, xero: Visitor) -> None:
        xero.site("POST", "/_simulator/clock", json={"advance": 90})
        assert xero.site("GET", "/_simulator/clock").json()["now"] == "2026-11-23T09:01:30+00:00"
        xero.site("POST", "/_simulator/clock", json={"set": "2027-01-01T00:00:00Z"})
        assert xero.site("GET", "/_simulator/clock").json()["now"] == "2027-01-01T00:00:00+00:00"

    def test_organisations_are_made_and_changed(self, xero: Visitor) -> None:
        given = {"country": "AU", "name": "Prints Pty", "users": [xero.user.email], "day_limit": 1000}
        made = xero.site("POST", "/_simulator/organisations", json=given).json()
        assert (made["base_currency"], made["day_limit"], made["users"]) == ("AUD", 1000, [xero.user.email])
        path = f"/_simulator/organisations/{made['id']}"
        changed = xero.site(
            "PATCH",
            path,
            json={"period_lock_date": "2026-06-30", "subscribe_currency": "CHF", "pays_tax": False},
        ).json()
        assert (changed["period_lock_date"], "CHF" in changed["currencies"], changed["pays_tax"]) == (
            "2026-06-30",
            True,
            False,
        )
        assert xero.site("PATCH", path, json={"colour": "red"}).status_code == 400
        assert xero.site("GET", "/_simulator/organisations/nowhere").status_code == 404

    def test_a_person_changes_the_books_by_hand(self, xero: Visitor) -> None:
        path = f"/_simulator/organisations/{xero.organisation.id}"
        changes = {
            "account_code": {"260": "261"},
            "account_tax_type": {"310": ""},
            "tax_rate_percent": {"OUTPUT2": 21},
            "rename_contact": {"O'Brien Prints": "O'Brien & Daughters"},
            "add_contact": "Nobody Ltd",
            "add_item": "MUG",
        }
        assert xero.site("PATCH", path, json=changes).status_code == 200
        accounts = {
            one.get("Code"): one["TaxType"] for one in xero.call("GET", "Accounts").json()["Accounts"]
        }
        assert ("260" in accounts, "261" in accounts, accounts["310"]) == (False, True, "")
        rates = {
            one["TaxType"]: one["EffectiveRate"] for one in xero.call("GET", "TaxRates").json()["TaxRates"]
        }
        assert rates["OUTPUT2"] == 21
        names = {one["Name"] for one in xero.call("GET", "Contacts").json()["Contacts"]}
        assert {"O'Brien & Daughters", "Nobody Ltd"} <= names
        assert "O'Brien Prints" not in names
        [item] = xero.call("GET", "Items").json()["Items"]
        assert (item["Code"], item["IsTrackedAsInventory"]) == ("MUG", False)
        for wrong in (
            {"account_code": {"999": "1"}},
            {"tax_rate_percent": {"NOSUCH": 1}},
            {"rename_contact": {"Nobody at all": "x"}},
        ):
            assert xero.site("PATCH", path, json=wrong).status_code == 400

    def test_a_reset_forgets_everything(self, xero: Visitor) -> None:
        put(xero)
        xero.site("POST", "/_simulator/reset")
        assert (xero.world.organisations, xero.world.log.entries) == ({}, [])

    def test_a_fresh_world_has_an_organisation_of_every_country_and_two_users(self) -> None:
        world = World(VirtualClock())
        assert {one.country.version for one in world.organisations.values()} == {"UK", "AU", "NZ", "US"}
        assert [len(user.tenant_ids) for user in world.users.values()] == [5, 1]

    def test_every_open_answer_has_a_default_and_can_be_changed(self, xero: Visitor) -> None:
        table = xero.site("GET", "/_simulator/unconfirmed").json()["unconfirmed"]
        for row in table:
            assert row["chosen"] == row["answers"][0]
            last = {row["name"]: row["answers"][-1]}
            assert xero.site("POST", "/_simulator/unconfirmed", json=last).status_code == 200
        assert xero.site("POST", "/_simulator/unconfirmed", json={"plus_in_scope": "?"}).status_code == 400

    def test_a_seed_file_fills_the_world(self) -> None:
        world = World(VirtualClock(), demo=False)
        world.load(
            {
                "users": [{"email": "a@b.example"}],
                "organisations": [{"country": "NZ", "name": "N", "users": ["a@b.example"]}],
                "apps": [
                    {
                        "name": "A",
                        "redirect_uris": ["http://localhost:1/cb"],
                        "client_id": "ID",
                        "client_secret": "S",
                    }
                ],
                "unconfirmed": {"tie_rounding": "half_even"},
                "provider_model": "family_revoked",
            }
        )
        assert world.portal.apps["ID"].knows_secret("S")
        assert world.identity.provider_model == "family_revoked"


class TestPages:
    def test_documents_are_shown_and_deep_links_land_on_them(self, xero: Visitor) -> None:
        put(xero)
        organisation, document = xero.organisation, next(iter(xero.organisation.documents.values()))
        assert organisation.name in xero.site("GET", "/").text
        assert "KX-1" in xero.site("GET", f"/organisation/{organisation.short_code}").text
        for path in (
            f"/app/{organisation.short_code}/invoicing/view/{document.id}",
            f"/organisationlogin/default.aspx?shortcode={organisation.short_code}"
            f"&redirecturl=/AccountsReceivable/View.aspx?InvoiceID={document.id}",
            f"/organisationlogin/default.aspx?shortcode={organisation.short_code}"
            f"&redirecturl=/Accounts/Payable/PurchaseOrders/View/{document.id}/",
        ):
            page = xero.site("GET", path)
            assert page.status_code == 200
            assert "Invoice KX-1" in page.text
            assert "12.00 GBP" in page.text

"""The simulated Xero's identity server: portal, login, consent, tokens, connections, and who may enter what."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
import requests

from local.xero.clock import VirtualClock
from local.xero.portal import CUSTOM_CONNECTION
from local.xero.visitor import BASE_URL, REDIRECT_URI, Visitor
from local.xero.world import World

SCOPES = "openid profile email offline_access accounting.invoices accounting.settings.read"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


@pytest.fixture
def xero() -> Visitor:
    return Visitor(World(VirtualClock(), seed=1, demo=False))


def authorize_path(xero: Visitor, **changes: str | None) -> str:
    usual: dict[str, str | None] = {
        "response_type": "code",
        "client_id": xero.app.client_id,
        "redirect_uri": REDIRECT_URI,
        "scope": SCOPES,
        "state": "st/ate=1",
    }
    query = {key: value for key, value in {**usual, **changes}.items() if value}
    return "/identity/connect/authorize?" + urlencode(query)


def login(xero: Visitor, path: str) -> requests.Response:
    to_login = xero.site("GET", path, allow_redirects=False)
    assert to_login.headers["Location"].startswith("/identity/user/login?returnUrl=")
    back = parse_qs(urlsplit(to_login.headers["Location"]).query)["returnUrl"][0]
    form = {"email": xero.user.email, "password": "demo", "returnUrl": back}
    returned = xero.site("POST", "/identity/user/login", data=form, allow_redirects=False)
    return xero.site("GET", returned.headers["Location"])


def decide(xero: Visitor, page: requests.Response, choice: str, *organisations: str) -> requests.Response:
    consent = re.search(r'name="consent" value="([^"]+)"', page.text)
    assert consent is not None
    form = {"consent": consent[1], "choice": choice, "organisation": list(organisations)}
    return xero.site("POST", "/identity/connect/consent", data=form, allow_redirects=False)


def came_back(answer: requests.Response) -> dict[str, str]:
    assert answer.status_code == 302, answer.text
    location = answer.headers["Location"]
    assert location.startswith(REDIRECT_URI + "?")
    return {key: values[0] for key, values in parse_qs(urlsplit(location).query).items()}


def consented_code(xero: Visitor, **changes: str | None) -> str:
    page = login(xero, authorize_path(xero, **changes))
    return came_back(decide(xero, page, "allow", xero.organisation.id))["code"]


def error_shown(xero: Visitor, **changes: str | None) -> str:
    answer = xero.site("GET", authorize_path(xero, **changes), allow_redirects=False)
    assert answer.headers["Location"].startswith("/identity/error?errorId=")
    page = xero.site("GET", answer.headers["Location"])
    assert page.status_code == 500
    shown = re.search(r"Error: ([^<]*)<", page.text)
    assert shown is not None
    return shown[1]


class TestPortal:
    def test_an_app_is_registered_and_gets_a_secret_on_pages(self, xero: Visitor) -> None:
        form = {"name": "Mugs", "company_url": "https://a.example", "redirect_uri": "http://localhost:9/cb"}
        page = xero.site("POST", "/developer/apps", data=form)
        client_id = re.search(r'id="client_id">(\w+)<', page.text)
        assert client_id is not None
        assert "client_secret" not in page.text
        page = xero.site("POST", f"/developer/apps/{client_id[1]}/secret")
        secret = re.search(r'id="client_secret">(\w+)<', page.text)
        assert secret is not None
        assert xero.world.portal.apps[client_id[1]].secret == secret[1]
        assert secret[1] not in xero.site("GET", f"/developer/apps/{client_id[1]}").text

    @pytest.mark.parametrize("kind", ["Mobile or desktop app", "Custom connection"])
    def test_an_app_of_another_kind_gets_no_secret_and_asks_nobody_for_access(
        self, xero: Visitor, kind: str
    ) -> None:
        form = {
            "name": "Mugs",
            "kind": kind,
            "company_url": "https://a.example",
            "redirect_uri": REDIRECT_URI,
        }
        page = xero.site("POST", "/developer/apps", data=form)
        client_id = page.url.rpartition("/")[2]
        assert kind in page.text
        assert "Generate a secret" not in page.text
        assert xero.site("POST", f"/developer/apps/{client_id}/secret").status_code == 404
        assert error_shown(xero, client_id=client_id) == "unauthorized_client : Invalid scope for client"

    @pytest.mark.parametrize(
        "given",
        [
            {"name": "My Xero app", "redirect_uris": []},
            {"name": "", "redirect_uris": []},
            {"name": "A", "redirect_uris": ["http://127.0.0.1:8000/cb"]},
            {"name": "A", "redirect_uris": ["http://app.example/cb"]},
            {"name": "A", "redirect_uris": ["https://127.0.0.1/cb"]},
            {"name": "A", "kind": "Telegram", "redirect_uris": []},
        ],
    )
    def test_the_portal_refuses_bad_names_and_addresses(self, xero: Visitor, given: dict[str, Any]) -> None:
        assert xero.site("POST", "/_simulator/apps", json=given).status_code == 400


class TestAuthorize:
    def test_a_person_allows_and_the_app_gets_a_code_and_its_state(self, xero: Visitor) -> None:
        page = login(xero, authorize_path(xero))
        assert page.headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        answer = came_back(decide(xero, page, "allow", xero.organisation.id))
        assert answer["state"] == "st/ate=1"
        tokens = xero.token(
            grant_type="authorization_code", code=answer["code"], redirect_uri=REDIRECT_URI
        ).json()
        assert (tokens["expires_in"], tokens["token_type"]) == (1800, "Bearer")
        claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
        assert claims["scope"][:4] == ["openid", "profile", "email", "offline_access"]
        connection = xero.world.connections.of(xero.app.client_id, xero.user.id)[0]
        assert claims["authentication_event_id"] == connection.auth_event_id
        profile = jwt.decode(tokens["id_token"], options={"verify_signature": False})
        assert profile["email"] == xero.user.email
        assert "authentication_event_id" not in profile

    def test_cancelling_comes_back_as_access_denied(self, xero: Visitor) -> None:
        answer = came_back(decide(xero, login(xero, authorize_path(xero)), "cancel"))
        assert answer == {"error": "access_denied", "state": "st/ate=1"}

    def test_state_is_optional(self, xero: Visitor) -> None:
        page = login(xero, authorize_path(xero, state=None))
        assert "state" not in came_back(decide(xero, page, "allow", xero.organisation.id))

    @pytest.mark.parametrize(
        ("changes", "shown"),
        [
            ({"redirect_uri": REDIRECT_URI + "/"}, "unauthorized_client : Invalid redirect_uri"),
            ({"client_id": "NOBODY"}, "unauthorized_client : Unknown client or client not enabled"),
            ({"scope": "accounting.transactions"}, "unauthorized_client : Invalid scope for client"),
            ({"scope": "accounting.unicorns"}, "invalid_scope : accounting.unicorns"),
            ({"scope": None}, "invalid_scope"),
            ({"response_type": "token"}, "unsupported_response_type"),
            (
                {"code_challenge": CHALLENGE, "code_challenge_method": "plain"},
                "invalid_request : Transform algorithm not supported",
            ),
        ],
    )
    def test_configuration_errors_end_on_xeros_own_page(
        self, xero: Visitor, changes: dict[str, str | None], shown: str
    ) -> None:
        assert error_shown(xero, **changes) == shown

    def test_an_app_from_before_march_2026_knows_broad_scopes(self, xero: Visitor) -> None:
        given = {"name": "Old", "redirect_uris": [REDIRECT_URI], "created_at": "2025-06-01T00:00:00+00:00"}
        old = xero.site("POST", "/_simulator/apps", json=given).json()
        login(xero, authorize_path(xero, client_id=old["client_id"], scope="accounting.transactions"))

    def test_plus_signs_between_scopes_follow_the_open_answer(self, xero: Visitor) -> None:
        assert "scope=openid+profile" in authorize_path(xero)
        login(xero, authorize_path(xero))
        xero.world.unconfirmed.choose("plus_in_scope", "refused")
        assert error_shown(xero).startswith("invalid_scope")

    def test_a_third_uncertified_app_cannot_connect_to_an_organisation(self, xero: Visitor) -> None:
        Visitor(xero.world, organisation=xero.organisation, name="Second")
        third = xero.world.portal.register(
            {"name": "Third", "redirect_uris": [REDIRECT_URI]}, xero.world.now()
        )
        page = login(xero, authorize_path(xero, client_id=third.client_id))
        refused = decide(xero, page, "allow", xero.organisation.id)
        assert refused.status_code == 400
        assert "two uncertified app connections" in refused.text
        third.certified = True
        page = xero.site("GET", authorize_path(xero, client_id=third.client_id))
        assert "code" in came_back(decide(xero, page, "allow", xero.organisation.id))

    def test_an_organisation_must_be_chosen_and_be_the_persons_own(self, xero: Visitor) -> None:
        page = login(xero, authorize_path(xero))
        assert decide(xero, page, "allow").status_code == 400
        foreign = xero.world.add_organisation({"country": "AU"})
        assert decide(xero, page, "allow", foreign.id).status_code == 400

    def test_one_consent_can_cover_several_organisations_unless_bulk_is_off(self, xero: Visitor) -> None:
        second = xero.world.add_organisation({"country": "NZ", "users": [xero.user.email]})
        page = login(xero, authorize_path(xero, acr_values="bulk_connect:false"))
        assert decide(xero, page, "allow", xero.organisation.id, second.id).status_code == 400
        page = xero.site("GET", authorize_path(xero))
        came_back(decide(xero, page, "allow", xero.organisation.id, second.id))
        events = {one.auth_event_id for one in xero.world.connections.of(xero.app.client_id, xero.user.id)}
        assert len(events) == 1

    def test_a_wrong_password_does_not_log_in(self, xero: Visitor) -> None:
        form = {"email": xero.user.email, "password": "guess", "returnUrl": "https://evil.example/"}
        answer = xero.site("POST", "/identity/user/login", data=form)
        assert answer.status_code == 401
        assert "evil.example" not in answer.text


class TestCodeExchange:
    def exchange(self, xero: Visitor, code: str, **changes: str) -> requests.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI} | changes
        return xero.token(**form)

    def test_a_code_works_once(self, xero: Visitor) -> None:
        code = consented_code(xero)
        assert self.exchange(xero, code).status_code == 200
        again = self.exchange(xero, code)
        assert (again.status_code, again.json()) == (400, {"error": "invalid_grant"})

    def test_a_code_expires_after_five_minutes(self, xero: Visitor) -> None:
        code = consented_code(xero)
        xero.world.clock.advance(301)
        assert self.exchange(xero, code).json() == {"error": "invalid_grant"}

    def test_the_redirect_address_must_be_the_same(self, xero: Visitor) -> None:
        assert self.exchange(xero, consented_code(xero), redirect_uri=REDIRECT_URI + "/").status_code == 400

    @pytest.mark.parametrize(
        ("verifier", "status"), [(VERIFIER, 200), ("w" * 43, 400), ("short", 400), ("", 400)]
    )
    def test_the_verifier_must_fit_the_challenge(self, xero: Visitor, verifier: str, status: int) -> None:
        code = consented_code(xero, code_challenge=CHALLENGE, code_challenge_method="S256")
        assert self.exchange(xero, code, code_verifier=verifier).status_code == status

    def test_credentials_may_stand_in_the_body(self, xero: Visitor) -> None:
        form = {
            "grant_type": "authorization_code",
            "code": consented_code(xero),
            "redirect_uri": REDIRECT_URI,
            "client_id": xero.app.client_id,
            "client_secret": xero.app.secret,
        }
        assert xero.session.post(f"{BASE_URL}/connect/token", data=form, timeout=5).status_code == 200

    def test_wrong_credentials_are_an_invalid_client(self, xero: Visitor) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": "x"}
        answer = xero.session.post(
            f"{BASE_URL}/connect/token", data=form, auth=(xero.app.client_id, "no"), timeout=5
        )
        assert (answer.status_code, answer.json()) == (400, {"error": "invalid_client"})
        xero.world.unconfirmed.choose("invalid_client_status", "401")
        assert xero.session.post(f"{BASE_URL}/connect/token", data=form, timeout=5).status_code == 401

    def test_another_apps_code_is_an_invalid_grant(self, xero: Visitor) -> None:
        code = consented_code(xero)
        other = Visitor(xero.world, name="Other")
        assert self.exchange(other, code).json() == {"error": "invalid_grant"}

    def test_an_unknown_grant_type_is_unsupported(self, xero: Visitor) -> None:
        assert xero.token(grant_type="password").json() == {"error": "unsupported_grant_type"}

    def test_without_offline_access_there_is_no_refresh_token(self, xero: Visitor) -> None:
        code = consented_code(xero, scope="accounting.invoices")
        tokens = self.exchange(xero, code).json()
        assert not {"refresh_token", "id_token"} & set(tokens)

    def test_errors_can_carry_a_description_if_the_open_answer_says_so(self, xero: Visitor) -> None:
        xero.world.unconfirmed.choose("error_description", "present")
        assert "error_description" in self.exchange(xero, "nonsense").json()


class TestRefresh:
    def test_every_refresh_gives_a_new_refresh_token(self, xero: Visitor) -> None:
        first = xero.refresh(xero.tokens["refresh_token"]).json()
        assert first["refresh_token"] != xero.tokens["refresh_token"]
        assert xero.refresh(first["refresh_token"]).status_code == 200

    def test_a_refreshed_token_still_works_for_thirty_minutes(self, xero: Visitor) -> None:
        old = xero.tokens["refresh_token"]
        xero.refresh(old)
        xero.world.clock.advance(29 * 60)
        assert xero.refresh(old).status_code == 200
        xero.world.clock.advance(2 * 60)
        assert xero.refresh(old).json() == {"error": "invalid_grant"}

    def test_a_refresh_token_lives_sixty_days_from_its_issue(self, xero: Visitor) -> None:
        token = xero.tokens["refresh_token"]
        for _ in range(3):
            xero.world.clock.advance(59 * 86_400)
            token = xero.refresh(token).json()["refresh_token"]
        xero.world.clock.advance(61 * 86_400)
        assert xero.refresh(token).status_code == 400

    def test_lenient_model_lets_every_sibling_live(self, xero: Visitor) -> None:
        old = xero.tokens["refresh_token"]
        siblings = [xero.refresh(old).json()["refresh_token"] for _ in range(3)]
        assert [xero.refresh(token).status_code for token in siblings] == [200, 200, 200]

    @pytest.mark.parametrize("model", ["newest_and_parent", "family_revoked"])
    def test_strict_models_accept_the_newest_and_its_parent_only(self, xero: Visitor, model: str) -> None:
        xero.world.choose_provider_model(model)
        parent = xero.tokens["refresh_token"]
        lost = xero.refresh(parent).json()["refresh_token"]
        newest = xero.refresh(parent).json()["refresh_token"]
        assert xero.refresh(lost).status_code == 400
        assert xero.refresh(newest).status_code == 200

    @pytest.mark.parametrize(("model", "survives"), [("newest_and_parent", 200), ("family_revoked", 400)])
    def test_a_token_older_than_the_parent_ends_the_family_in_one_model(
        self, xero: Visitor, model: str, survives: int
    ) -> None:
        xero.world.choose_provider_model(model)
        oldest = xero.tokens["refresh_token"]
        parent = xero.refresh(oldest).json()["refresh_token"]
        newest = xero.refresh(parent).json()["refresh_token"]
        assert xero.refresh(oldest).status_code == 400
        assert xero.refresh(newest).status_code == survives

    def test_a_lost_reply_has_rotated_the_token(self, xero: Visitor) -> None:
        xero.fault("reply_lost", path_prefix="/connect/token")
        with pytest.raises(requests.exceptions.ConnectionError):
            xero.refresh(xero.tokens["refresh_token"])
        entry = xero.world.log.entries[-1]
        assert (entry.grant_type, entry.outcome, entry.fault) == ("refresh_token", "granted", "reply_lost")
        assert xero.refresh(xero.tokens["refresh_token"]).status_code == 200

    def test_no_secret_reaches_the_truth_log(self, xero: Visitor) -> None:
        xero.refresh(xero.tokens["refresh_token"])
        text = xero.site("GET", "/_simulator/log").text
        for secret in (str(xero.app.secret), xero.tokens["refresh_token"], xero.tokens["access_token"]):
            assert secret not in text
        assert xero.app.client_id in text

    def test_scopes_add_up_over_consents(self, xero: Visitor) -> None:
        tokens = xero.world.consent(xero.app, xero.user, [xero.organisation.id], "accounting.attachments")
        assert {"accounting.attachments", "accounting.invoices"} <= set(tokens["scope"].split())
        assert "refresh_token" not in tokens


class TestCustomConnection:
    """One app, one organisation, no person at the door."""

    SCOPES = "accounting.invoices accounting.settings"

    @pytest.fixture
    def custom(self, xero: Visitor) -> Visitor:
        xero.app = xero.world.portal.register(
            {"name": "Live check", "kind": CUSTOM_CONNECTION}, xero.world.now()
        )
        xero.world.portal.generate_secret(xero.app)
        self.authorise(xero, xero.organisation.id)
        return xero

    def authorise(self, xero: Visitor, organisation: str, **changes: str) -> requests.Response:
        given = {"organisation": organisation, "user": xero.user.email, "scopes": self.SCOPES} | changes
        return xero.site("POST", f"/_simulator/apps/{xero.app.client_id}/authorise", json=given)

    def mint(self, xero: Visitor, scope: str = SCOPES) -> requests.Response:
        return xero.token(grant_type="client_credentials", scope=scope)

    def test_its_credentials_are_worth_an_access_token_alone(self, custom: Visitor) -> None:
        granted = self.mint(custom).json()
        assert granted.keys() == {"access_token", "expires_in", "token_type", "scope"}
        assert granted["expires_in"] == 1800

    def test_its_organisation_needs_no_tenant_header(self, custom: Visitor) -> None:
        custom.tokens = self.mint(custom).json()
        answer = custom.call("GET", "Organisation", headers={"Xero-Tenant-Id": None})
        assert answer.json()["Organisations"][0]["OrganisationID"] == custom.organisation.id
        assert custom.call("GET", "Organisation").status_code == 200
        other = custom.world.add_organisation({"country": "NZ"})
        assert custom.call("GET", "Organisation", headers={"Xero-Tenant-Id": other.id}).status_code == 403

    def test_a_web_app_still_has_to_name_the_organisation(self, xero: Visitor) -> None:
        assert xero.call("GET", "Organisation", headers={"Xero-Tenant-Id": None}).status_code == 403

    def test_it_connects_to_one_organisation_at_a_time(self, custom: Visitor) -> None:
        other = custom.world.add_organisation({"country": "NZ", "users": [custom.user.email]})
        assert self.authorise(custom, other.id).status_code == 200
        custom.tokens = self.mint(custom).json()
        answer = custom.call("GET", "Organisation", headers={"Xero-Tenant-Id": None})
        assert answer.json()["Organisations"][0]["OrganisationID"] == other.id

    @pytest.mark.parametrize("scope", ["", "accounting.contacts", "accounting.invoices accounting.contacts"])
    def test_a_scope_has_to_be_on_the_app_and_in_the_request(self, custom: Visitor, scope: str) -> None:
        refused = self.mint(custom, scope)
        assert (refused.status_code, refused.json()) == (400, {"error": "invalid_scope"})
        custom.tokens = self.mint(custom, "accounting.settings").json()
        assert custom.call("GET", "Invoices").status_code == 401

    def test_no_other_app_gets_a_token_so(self, xero: Visitor) -> None:
        refused = self.mint(xero)
        assert (refused.status_code, refused.json()) == (400, {"error": "unauthorized_client"})

    def test_it_ends_when_a_person_disconnects_it(self, custom: Visitor) -> None:
        custom.tokens = self.mint(custom).json()
        custom.world.connections.drop(client_id=custom.app.client_id)
        assert custom.call("GET", "Organisation", headers={"Xero-Tenant-Id": None}).status_code == 403
        assert self.mint(custom).json() == {"error": "unauthorized_client"}

    def test_it_does_not_count_towards_the_two_uncertified_apps(self, custom: Visitor) -> None:
        # the visitor's own app is the first one
        second = Visitor(custom.world, organisation=custom.organisation)
        connected = custom.world.connections.apps_of(custom.organisation.id)
        assert {custom.app.client_id, second.app.client_id} < connected
        assert len(connected) == 3

    @pytest.mark.parametrize(
        "changes",
        [{"user": "nobody@example.com"}, {"scopes": "accounting.transactions"}, {"scopes": "openid"}],
    )
    def test_what_cannot_be_authorised_is_refused(self, custom: Visitor, changes: dict[str, str]) -> None:
        assert self.authorise(custom, custom.organisation.id, **changes).status_code in (400, 404)

    def test_only_a_custom_connection_is_authorised_and_only_for_a_user_s_own_organisation(
        self, custom: Visitor
    ) -> None:
        other = custom.world.add_organisation({"country": "NZ"})
        assert self.authorise(custom, other.id).status_code == 400
        custom.app = custom.world.portal.register({"name": "Mugs"}, custom.world.now())
        assert self.authorise(custom, custom.organisation.id).status_code == 400


class TestConnections:
    def connections(self, xero: Visitor, query: str = "") -> Any:
        return xero.site("GET", f"/connections{query}", headers=xero.headers).json()

    def test_connections_are_listed_with_seven_fraction_digits(self, xero: Visitor) -> None:
        connection = self.connections(xero)[0]
        assert connection["tenantId"] == xero.organisation.id
        assert connection["tenantType"] == "ORGANISATION"
        assert connection["createdDateUtc"] == "2026-11-23T09:00:00.0000000"

    def test_connecting_again_changes_the_event_and_the_update_only(self, xero: Visitor) -> None:
        before = self.connections(xero)[0]
        xero.world.clock.advance(60)
        xero.tokens = xero.world.consent(xero.app, xero.user, [xero.organisation.id])
        after = self.connections(xero)[0]
        assert after["id"] == before["id"]
        assert after["createdDateUtc"] == before["createdDateUtc"] != after["updatedDateUtc"]
        assert self.connections(xero, f"?authEventId={before['authEventId']}") == []
        assert self.connections(xero, f"?authEventId={after['authEventId']}") == [after]

    def test_a_connection_is_deleted_once(self, xero: Visitor) -> None:
        path = f"/connections/{self.connections(xero)[0]['id']}"
        assert xero.site("DELETE", path, headers=xero.headers).status_code == 204
        assert xero.site("DELETE", path, headers=xero.headers).status_code == 404
        assert xero.call("GET", "Organisation").status_code == 403

    def test_revoking_ends_tokens_and_connections(self, xero: Visitor) -> None:
        assert xero.app.secret is not None
        answer = xero.session.post(
            f"{BASE_URL}/connect/revocation",
            data={"token": xero.tokens["refresh_token"]},
            auth=(xero.app.client_id, xero.app.secret),
            timeout=5,
        )
        assert (answer.status_code, answer.text) == (200, "")
        assert xero.world.connections.all() == []
        assert xero.refresh(xero.tokens["refresh_token"]).status_code == 400
        assert xero.call("GET", "Organisation").json()["Detail"] == "AuthenticationUnsuccessful"

    def test_a_person_disconnects_inside_xero(self, xero: Visitor) -> None:
        dropped = xero.site("DELETE", "/_simulator/connections", json={"tenant_id": xero.organisation.id})
        assert dropped.json() == {"disconnected": 1}
        assert self.connections(xero) == []
        assert xero.refresh(xero.tokens["refresh_token"]).status_code == 200

    def test_discovery_names_the_endpoints(self, xero: Visitor) -> None:
        facts = xero.site("GET", "/.well-known/openid-configuration").json()
        assert facts["issuer"] == "https://identity.xero.com"
        assert facts["token_endpoint"] == f"{BASE_URL}/connect/token"


class TestWhoMayEnter:
    def test_an_expired_token_says_so(self, xero: Visitor) -> None:
        xero.world.clock.advance(1801)
        answer = xero.call("GET", "Organisation")
        assert answer.status_code == 401
        assert answer.json()["Detail"] == "TokenExpired: token expired at 11/23/2026 09:30:00"

    def test_access_tokens_issued_from_now_on_can_live_shorter(self, xero: Visitor) -> None:
        xero.site("POST", "/_simulator/access-tokens", json={"live": 75})
        tokens = xero.refresh(xero.tokens["refresh_token"]).json()
        short, long = ({"Authorization": f"Bearer {one['access_token']}"} for one in (tokens, xero.tokens))
        assert tokens["expires_in"] == 75
        xero.world.clock.advance(74)
        assert xero.call("GET", "Organisation", headers=short).status_code == 200
        xero.world.clock.advance(2)
        assert xero.call("GET", "Organisation", headers=short).status_code == 401
        assert xero.call("GET", "Organisation", headers=long).status_code == 200

    def test_a_token_that_is_none_is_unsuccessful(self, xero: Visitor) -> None:
        for value in ("Bearer nonsense", "Basic eDp5", None):
            answer = xero.call("GET", "Organisation", headers={"Authorization": value})
            assert (answer.status_code, answer.json()["Detail"]) == (401, "AuthenticationUnsuccessful")

    def test_a_missing_scope_is_a_401_that_names_it(self) -> None:
        xero = Visitor(World(VirtualClock(), demo=False), scopes="accounting.settings.read")
        answer = xero.call("GET", "Invoices")
        assert (answer.status_code, answer.json()["Detail"]) == (401, "AuthorizationUnsuccessful")
        assert "insufficent_scope" in answer.headers["WWW-Authenticate"]
        assert xero.call("GET", "Accounts").status_code == 200
        assert xero.call("PUT", "Currencies", json={"Code": "CHF"}).status_code == 401

    @pytest.mark.parametrize(("choice", "status"), [("yes", 200), ("no", 401)])
    def test_items_with_the_invoice_scope_follow_the_open_answer(self, choice: str, status: int) -> None:
        xero = Visitor(World(VirtualClock(), demo=False), scopes="accounting.invoices")
        xero.world.unconfirmed.choose("items_with_invoice_scope", choice)
        assert xero.call("PUT", "Items", json={"Code": "A"}).status_code == status
        assert xero.call("GET", "Items").status_code == 200

    def test_no_tenant_is_a_403_with_lower_case_keys(self, xero: Visitor) -> None:
        answer = xero.call("GET", "Organisation", headers={"Xero-Tenant-Id": None})
        assert (answer.status_code, answer.json()["detail"]) == (403, "AuthenticationUnsuccessful")
        assert xero.world.log.tenant_mismatches == 0

    def test_another_companys_tenant_is_refused_and_counted(self, xero: Visitor) -> None:
        other = Visitor(xero.world, name="Other")
        answer = xero.call("GET", "Organisation", headers={"Xero-Tenant-Id": other.organisation.id})
        assert answer.status_code == 403
        assert xero.site("GET", "/_simulator/log").json()["tenant_mismatches"] == 1

    def test_a_lost_connection_is_no_mismatch(self, xero: Visitor) -> None:
        xero.fault("disconnect")
        assert xero.call("GET", "Organisation").status_code == 403
        assert xero.world.log.tenant_mismatches == 0

    def test_an_organisation_that_is_gone_is_forbidden_and_one_offline_is_unavailable(
        self, xero: Visitor
    ) -> None:
        xero.world.change_organisation(xero.organisation, {"offline": True})
        answer = xero.call("GET", "Organisation")
        assert (answer.status_code, answer.text) == (503, "The Organisation is offline")
        xero.world.change_organisation(xero.organisation, {"gone": True})
        assert xero.call("GET", "Organisation").status_code == 403

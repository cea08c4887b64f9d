"""Companies for the local system, each connected to the simulated Xero the way a person would: app, login, consent."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import requests

from bookkeeping.connecting import Connection
from bookkeeping.settings import Settings
from bookkeeping.tables import ConnectionsTable, SettingsTable

SCOPES: Final = (
    "openid profile email offline_access"
    " accounting.invoices accounting.contacts.read accounting.settings.read"
)
TIME_OUT: Final = 10


@dataclass(frozen=True)
class Company:
    """A company and the organisation it keeps its books in."""

    ref_id: str
    organisation_id: str
    organisation_name: str
    contact_name: str
    address: str
    """The organisation's page in the simulated Xero."""


class SimulatedXero:
    """A person at the simulated Xero: registers apps, logs in, gives consent; and the controls beside it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._browser = requests.Session()

    def control(self, method: str, path: str, body: object = None, **params: str) -> Any:
        answer = requests.request(
            method, f"{self.url}/_simulator/{path}", json=body, params=params, timeout=TIME_OUT
        )
        answer.raise_for_status()
        return answer.json()

    def register_app(self, name: str, redirect_uri: str) -> tuple[str, str]:
        """Client id and secret of a new app."""
        app = self.control("POST", "apps", {"name": name, "redirect_uris": [redirect_uri]})
        secret = self.control("POST", f"apps/{app['client_id']}/secret")
        return app["client_id"], secret["client_secret"]

    def consent(self, client_id: str, redirect_uri: str, organisation_id: str) -> str:
        """Log in, allow the app into the organisation; the code Xero sends the browser back with."""
        query = urlencode(
            {
                "response_type": "code",
                "client_id": client_id,
                "redirect_uri": redirect_uri,
                "scope": SCOPES,
                "state": secrets.token_urlsafe(16),
            },
            quote_via=quote,
        )
        authorize = f"/identity/connect/authorize?{query}"
        self._post("/identity/user/login", email="ada@example.com", password="demo", returnUrl=authorize)
        page = self._browser.get(self.url + authorize, timeout=TIME_OUT).text
        found = re.search(r'name="consent" value="([^"]+)"', page)
        if found is None:
            raise RuntimeError("the simulated Xero shows no consent page")
        back = self._post(
            "/identity/connect/consent", consent=found[1], choice="allow", organisation=organisation_id
        )
        return parse_qs(urlsplit(back).query)["code"][0]

    def _post(self, path: str, **form: str) -> str:
        answer = self._browser.post(self.url + path, data=form, timeout=TIME_OUT, allow_redirects=False)
        answer.raise_for_status()
        return answer.headers.get("Location", "")

    def tokens(self, client_id: str, secret: str, code: str, redirect_uri: str) -> Mapping[str, Any]:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        answer = requests.post(
            f"{self.url}/connect/token", data=form, auth=(client_id, secret), timeout=TIME_OUT
        )
        answer.raise_for_status()
        granted: Mapping[str, Any] = answer.json()
        return granted

    def organisation(self, country: str, name: str, **facts: Any) -> Mapping[str, Any]:
        """A new organisation of that country, which the demonstration's user may enter."""
        given = {"country": country, "name": name, "users": ["ada@example.com"], **facts}
        made: Mapping[str, Any] = self.control("POST", "organisations", given)
        return made


def connect(
    system: Any, xero: SimulatedXero, ref_id: str, organisation: Mapping[str, Any], **settings: Any
) -> Company:
    """A company of the platform that keeps its books in the organisation, with its own Xero app."""
    resource = system.resource("dynamodb")
    now = datetime.now(UTC)
    redirect_uri = f"http://localhost/xero/callback/{ref_id}"
    client_id, secret = xero.register_app(f"Orders of {ref_id}", redirect_uri)
    code = xero.consent(client_id, redirect_uri, organisation["id"])
    granted = xero.tokens(client_id, secret, code, redirect_uri)
    expires_at = now + timedelta(seconds=granted["expires_in"])
    _keep_secret(system, f"{ref_id}/app", {"client_id": client_id, "client_secret": secret})
    _keep_secret(
        system,
        f"{ref_id}/tokens",
        {
            "access_token": granted["access_token"],
            "refresh_token": granted["refresh_token"],
            "expires_at": expires_at.isoformat(),
            "generation": 1,
        },
    )
    connections = ConnectionsTable(resource, system.outputs["connections_table"])
    connections.save_connection(
        Connection(
            ref_id,
            client_id,
            organisation["id"],
            organisation["name"],
            "connected",
            tuple(SCOPES.split()),
            expires_at,
        )
    )
    contact = next(one["Name"] for one in organisation["contacts"] if one["ContactStatus"] == "ACTIVE")
    chosen = Settings.from_json({"contact_name": contact, **settings})
    SettingsTable(resource, system.outputs["settings_table"]).save(ref_id, chosen, seen=0, by="demo", at=now)
    address = f"{xero.url}/organisation/{organisation['short_code'].lstrip('!')}"
    return Company(ref_id, organisation["id"], organisation["name"], contact, address)


def _keep_secret(system: Any, name: str, value: Mapping[str, Any]) -> None:
    full_name = f"{system.outputs['secrets_prefix']}/{name}"
    system.client("secretsmanager").create_secret(Name=full_name, SecretString=json.dumps(value))

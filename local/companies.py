"""Companies for the local system, each set up the way its office would: app, popup, login, consent, settings."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import requests

TIME_OUT: Final = 120
"""Seconds; a busy machine takes its time."""


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
    """A person at the simulated Xero: registers apps, logs in, gives consent. Also calls the controls."""

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

    def consent(self, authorization_url: str, organisation_id: str) -> str:
        """Log in and allow the app into the organisation; the address Xero sends the browser on to."""
        authorize = authorization_url.removeprefix(self.url)
        self._post("/identity/user/login", email="ada@example.com", password="demo", returnUrl=authorize)
        page = self._browser.get(authorization_url, timeout=TIME_OUT).text
        found = re.search(r'name="consent" value="([^"]+)"', page)
        if found is None:
            raise RuntimeError("the simulated Xero shows no consent page")
        return self._post(
            "/identity/connect/consent", consent=found[1], choice="allow", organisation=organisation_id
        )

    def _post(self, path: str, **form: str) -> str:
        answer = self._browser.post(self.url + path, data=form, timeout=TIME_OUT, allow_redirects=False)
        answer.raise_for_status()
        return answer.headers.get("Location", "")

    def organisation(self, country: str, name: str, **facts: Any) -> Mapping[str, Any]:
        """A new organisation of that country, which the demonstration's user may enter."""
        given = {"country": country, "name": name, "users": ["ada@example.com"], **facts}
        made: Mapping[str, Any] = self.control("POST", "organisations", given)
        return made


class Office:
    """A person of a company's office with the settings popup open: its session, and what its page sends."""

    def __init__(self, outputs: Mapping[str, Any], ref_id: str) -> None:
        self._api_url = outputs["api_url"]
        self._ref_id = ref_id
        page = requests.get(f"{outputs['launch_url']}{ref_id}", timeout=TIME_OUT).text
        token = re.search(r'name="token" value="([^"]+)"', page)
        if token is None:
            raise RuntimeError("the platform's page has no launch token")
        platform = urlsplit(outputs["launch_url"])
        answer = self._send(
            "POST", "/launch", "", origin=f"{platform.scheme}://{platform.netloc}", data={"token": token[1]}
        )
        # A cookie jar would not send a Secure cookie to http://localhost. Browsers do.
        self.cookie = answer.headers["Set-Cookie"].partition(";")[0]

    def _send(self, method: str, path: str, cookie: str, origin: str = "", **body: Any) -> requests.Response:
        headers = {"Cookie": cookie, "Origin": origin or self._api_url, "Sec-Fetch-Site": "same-origin"}
        # an office that is refused as one request too many tries again in a moment
        for _ in range(10):
            answer = requests.request(
                method, self._api_url + path, headers=headers, timeout=TIME_OUT, allow_redirects=False, **body
            )
            if answer.status_code != 429:
                break
            time.sleep(0.3)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer of the popup's API under /api/{company}."""
        sent: dict[str, Any] = {"json": body} if body is not None else {}
        return self._send(method, f"/api/{self._ref_id}{path}", self.cookie, **sent).json()

    def connect(self, xero: SimulatedXero, organisation_id: str) -> str:
        """Do all that the help article says, up to the tokens; the status that the popup shows afterwards."""
        redirect_uri = self.ask("GET", "/settings")["app"]["redirect_uri"]
        client_id, secret = xero.register_app(f"Orders of {self._ref_id}", redirect_uri)
        self.ask("PUT", "/credentials", {"client_id": client_id, "client_secret": secret})
        back = xero.consent(self.ask("POST", "/connect", {})["authorization_url"], organisation_id)
        arrived = urlsplit(back)
        self._send("GET", f"{arrived.path}?{arrived.query}", self.cookie)
        status: str = self.ask("GET", "/connection")["status"]
        return status

    def save(self, **settings: Any) -> None:
        version = self.ask("GET", "/settings")["version"]
        self.ask("PUT", "/settings", {"version": version, "settings": settings})


def connect(
    outputs: Mapping[str, Any],
    xero: SimulatedXero,
    ref_id: str,
    organisation: Mapping[str, Any],
    **settings: Any,
) -> Company:
    """A company of the platform that keeps its books in the organisation, with its own Xero app."""
    office = Office(outputs, ref_id)
    status = office.connect(xero, organisation["id"])
    if status != "connected":
        raise RuntimeError(f"company {ref_id} is {status} after connecting")
    contact = next(one["Name"] for one in organisation["contacts"] if one["ContactStatus"] == "ACTIVE")
    office.save(**({"contact_name": contact} | settings))
    address = f"{xero.url}/organisation/{organisation['short_code'].lstrip('!')}"
    return Company(ref_id, organisation["id"], organisation["name"], contact, address)

"""A client that is already connected: an app, a consent and a session, for trying the simulated Xero in process."""

from __future__ import annotations

from typing import Any

import requests

from local.xero.in_process import InProcess
from local.xero.organisations import Contact, Organisation
from local.xero.portal import App
from local.xero.server import create_app
from local.xero.users import User
from local.xero.wire import Json
from local.xero.world import ALL_SCOPES, World

BASE_URL = "http://xero.test"
REDIRECT_URI = "https://app.example/callback"


class Visitor:
    """Calls to one organisation with one app's token. Answers come as `requests.Response`."""

    def __init__(
        self,
        world: World,
        *,
        country: str = "UK",
        name: str = "Kornit X Books",
        scopes: str = ALL_SCOPES,
        organisation: Organisation | None = None,
    ) -> None:
        self.world = world
        self.organisation = organisation or world.add_organisation({"country": country})
        self.user: User = world.add_user(
            {"email": f"{world.new_id()}@example.com", "organisations": [self.organisation.id]}
        )
        self.app: App = world.portal.register({"name": name, "redirect_uris": [REDIRECT_URI]}, world.now())
        world.portal.generate_secret(self.app)
        self.session = requests.Session()
        self.session.mount(BASE_URL, InProcess(create_app(world), world))
        self.tokens: Json = world.consent(self.app, self.user, [self.organisation.id], scopes)

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.tokens['access_token']}",
            "Xero-Tenant-Id": self.organisation.id,
            "Accept": "application/json",
        }

    @property
    def contact(self) -> Contact:
        """The organisation's first contact."""
        return next(iter(self.organisation.contacts.values()))

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """A call below /api.xro/2.0/; `headers` are added to the usual ones, None takes one away."""
        headers = self.headers | options.pop("headers", {})
        return self.session.request(
            method,
            f"{BASE_URL}/api.xro/2.0/{path}",
            headers={name: value for name, value in headers.items() if value is not None},
            timeout=options.pop("timeout", 30),
            **options,
        )

    def token(self, **form: str) -> requests.Response:
        """A call to the token endpoint with the app's credentials."""
        assert self.app.secret is not None
        return self.session.post(
            f"{BASE_URL}/connect/token", data=form, auth=(self.app.client_id, self.app.secret), timeout=30
        )

    def refresh(self, refresh_token: str) -> requests.Response:
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)

    def site(self, method: str, path: str, **options: Any) -> requests.Response:
        """A page or a control."""
        return self.session.request(method, f"{BASE_URL}{path}", timeout=30, **options)

    def fault(self, kind: str, **settings: Any) -> None:
        self.world.faults.add({"kind": kind, **settings})

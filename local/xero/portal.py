"""The developer portal: apps, their secrets and the redirect addresses Xero accepts."""

from __future__ import annotations

import hmac
import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final
from urllib.parse import urlsplit

from local.xero.wire import Json

MARK: Final = "simulated_secret_"
"""Every secret that is issued here starts with this, so that a test finds it wherever it should not be."""

WEB_APP: Final = "Web app"
CUSTOM_CONNECTION: Final = "Custom connection"
KINDS: Final = (WEB_APP, "Mobile or desktop app", CUSTOM_CONNECTION)

GRANULAR_FROM = date(2026, 3, 2)
IDENTITY_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})
BROAD_SCOPES = frozenset(
    {
        "accounting.transactions",
        "accounting.transactions.read",
        "accounting.reports.read",
        "accounting.journals.read",
    }
)
_GRANULAR_WRITES = (
    "accounting.invoices",
    "accounting.payments",
    "accounting.banktransactions",
    "accounting.manualjournals",
)
GRANULAR_SCOPES = frozenset(scope + suffix for scope in _GRANULAR_WRITES for suffix in ("", ".read"))
SHARED_SCOPES = frozenset(
    scope + suffix
    for scope in ("accounting.contacts", "accounting.settings", "accounting.attachments")
    for suffix in ("", ".read")
)
KNOWN_SCOPES = IDENTITY_SCOPES | BROAD_SCOPES | GRANULAR_SCOPES | SHARED_SCOPES


@dataclass
class App:
    """An app of the portal. Only uncertified ones count towards an organisation's cap of two."""

    client_id: str
    name: str
    company_url: str
    redirect_uris: list[str]
    created_at: datetime
    kind: str = WEB_APP
    certified: bool = False
    scopes: tuple[str, ...] = ()
    """What the person allowed who authorised a custom connection."""
    secret: str | None = field(default=None, repr=False)

    def allows(self, scope: str) -> bool:
        """Only a Web app asks people for access; those made since 2 March 2026 know the granular scopes only."""
        if self.kind != WEB_APP:
            return False
        if scope in BROAD_SCOPES:
            return self.created_at.date() < GRANULAR_FROM
        return scope in KNOWN_SCOPES

    def knows_secret(self, secret: str) -> bool:
        return self.secret is not None and hmac.compare_digest(self.secret.encode(), secret.encode())

    def as_json(self) -> Json:
        return {
            "client_id": self.client_id,
            "name": self.name,
            "kind": self.kind,
            "company_url": self.company_url,
            "redirect_uris": self.redirect_uris,
            "created_at": self.created_at.isoformat(),
            "certified": self.certified,
            "has_secret": self.secret is not None,
        }


class Portal:
    """All registered apps by client id."""

    def __init__(self, dice: random.Random) -> None:
        self.apps: dict[str, App] = {}
        self._dice = dice

    def register(self, given: Json, now: datetime) -> App:
        """A new app from `name`, `kind`, `company_url`, `redirect_uris`. ValueError: the portal's objection."""
        name = str(given.get("name", "")).strip()
        if not name:
            raise ValueError("Enter a name for your app.")
        if "xero" in name.lower():
            raise ValueError("The name of an app can't contain 'Xero'.")
        kind = given.get("kind", WEB_APP)
        if kind not in KINDS:
            raise ValueError("Choose what kind of app it is.")
        created = given.get("created_at")
        created_at = datetime.fromisoformat(created).astimezone(UTC) if isinstance(created, str) else now
        app = App(
            client_id=str(given.get("client_id") or f"{self._dice.getrandbits(128):032X}"),
            name=name,
            company_url=str(given.get("company_url", "")),
            redirect_uris=[accepted_redirect(uri) for uri in given.get("redirect_uris", [])],
            created_at=created_at,
            kind=kind,
            certified=bool(given.get("certified", False)),
            secret=given.get("client_secret"),
        )
        self.apps[app.client_id] = app
        return app

    def add_redirect(self, app: App, uri: str) -> None:
        """Raises ValueError with the portal's objection."""
        if uri not in app.redirect_uris:
            app.redirect_uris.append(accepted_redirect(uri))

    def generate_secret(self, app: App) -> str:
        app.secret = MARK + f"{self._dice.getrandbits(256):064x}"[len(MARK) :]
        return app.secret


def accepted_redirect(uri: str) -> str:
    """The address, if Xero takes it: https, or http on localhost by name. Raises ValueError otherwise."""
    parts = urlsplit(uri)
    secure = parts.scheme == "https" and bool(parts.hostname)
    local = parts.scheme == "http" and parts.hostname == "localhost"
    if not (secure or local) or parts.hostname == "127.0.0.1" or parts.fragment:
        raise ValueError(f"{uri} isn't a valid redirect URI: use https, or http://localhost.")
    return uri

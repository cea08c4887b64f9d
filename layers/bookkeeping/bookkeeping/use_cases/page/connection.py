"""A company's connection as the settings page shows it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from bookkeeping.domain.connection import REFRESH_TOKEN_LIVES, of_another_app, words
from bookkeeping.domain.oauth import scopes_in_words
from bookkeeping.use_cases.page.adapters import PageAdapters

MASKED: Final = "••••••••"


def shown_connection(adapters: PageAdapters, company: str) -> dict[str, Any]:
    """The connection as JSON. It shows whether there are tokens and when they expire, never the tokens."""
    known = adapters.connections.connection(company)
    app = adapters.connections.app(company)
    client_id = app.client_id if app else ""
    said, fix = words(known, client_id)
    live = known is not None and known.status != "disconnected"
    expires_at = adapters.connections.tokens_expire_at(company) if live else None
    refresh_until = expires_at - timedelta(minutes=30) + REFRESH_TOKEN_LIVES if expires_at else None
    unsettled = known is not None and known.status in ("choose_organisation", "confirm_organisation")
    return {
        "status": known.status if known else "not_connected",
        "words": said,
        "fix": fix,
        "other_app": of_another_app(known, client_id),
        "organisation": _named_organisation(known.organisation_id, known.organisation_name)
        if known
        else None,
        "previous_organisation": _named_organisation(
            known.previous_organisation_id, known.previous_organisation_name
        )
        if known and unsettled
        else None,
        "choices": [{"id": one.organisation_id, "name": one.organisation_name} for one in known.choices]
        if known and known.status == "choose_organisation"
        else [],
        "tenant_id": known.organisation_id if known and live else "",
        "access_token": {"masked": MASKED if live else None, "expires_at": _iso(expires_at)},
        "refresh_token": {"masked": MASKED if live else None, "expires_at": _iso(refresh_until)},
        "scopes_missing": scopes_in_words(known.scopes_missing) if known and live else "",
        "connected_by": known.connected_by if known else "",
        "connected_at": _iso(known.connected_at) if known else None,
    }


def _named_organisation(id_: str, name: str) -> dict[str, str] | None:
    return {"id": id_, "name": name} if id_ else None


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None

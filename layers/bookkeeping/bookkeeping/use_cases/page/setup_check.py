"""Check setup: whether a company's orders can be posted under the settings on its screen. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from bookkeeping.adapters.containment import contained
from bookkeeping.domain.contacts import Contact
from bookkeeping.domain.ledger import Entry, State
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.settings import Settings
from bookkeeping.domain.setup_check import Check, InXero, Recent, not_looked_at, of_books, of_connection
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.preview import NoAnswer

LOOKED_AT: Final = 20
"""As many orders are looked at: those that arrived last."""
STATES: Final = (State.NEEDS_ATTENTION, State.QUEUED, State.WAITING, State.POSTED, State.SKIPPED)


def check_setup(adapters: PageAdapters, company: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is right and what is wrong, each thing with what to do. `given` are settings that are not saved yet.

    Raises SettingsRefused, and NoAnswer where Xero can't say.
    """
    saved = adapters.settings.saved(company)
    settings = Settings.from_json((saved.settings.to_json() if saved else {}) | dict(given))
    connection, app = adapters.connections.connection(company), adapters.connections.app(company)
    client_id = app.client_id if app else ""
    checks = list(of_connection(connection, client_id))
    if connection is None or connection.status != "connected":
        return _told(adapters, [*checks, *not_looked_at(settings)])
    contacts = [settings.contact_name]
    if settings.process_method == "tracked":
        contacts.append(settings.purchase_order_contact_name)
    said, *lists = adapters.together(
        [
            partial(adapters.ask, company, "setup", contacts=contacts),
            *(
                partial(adapters.orders.list_page, company, state, limit=LOOKED_AT, newest_first=True)
                for state in STATES
            ),
        ]
    )
    if said.get("error") == "access_refused":
        checks = list(of_connection(connection, client_id, refused=True))
        return _told(adapters, [*checks, *not_looked_at(settings)])
    if said.get("error") == "no_calls_left":
        return _told(adapters, [*checks, *not_looked_at(settings, calls_left=0)])
    if "error" in said:
        raise NoAnswer(said.get("message"))
    found = InXero(
        organisation=Organisation.from_json(said["organisation"]),
        actions=said["actions"],
        contacts={one["name"]: _contact(one) for one in said["contacts"]},
        calls_left=said["calls_left"],
    )
    today = found.organisation.calendar(settings.order_time_zone).day(adapters.now())
    recent = _recent(adapters, company, [key for keys, _ in lists for key in keys])
    return _told(adapters, [*checks, *of_books(settings, found, recent, today)])


def _contact(said: Mapping[str, Any]) -> Contact | Problem:
    if "contact" in said:
        return Contact(said["contact"]["id"], said["contact"]["name"], "ACTIVE")
    return Problem(said["code"], said["details"])


def _recent(adapters: PageAdapters, company: str, keys: list[str]) -> list[Recent]:
    """Of these orders those that arrived last and can be read."""
    recent: list[tuple[Entry, Recent]] = []

    def contained_row(item: Mapping[str, Any]) -> AbstractContextManager[None]:
        return contained(company, item["order_id"])

    for entry in adapters.orders.get_many(keys, contained_row):
        with contained(company, entry.order_id):
            if entry.message.content:
                recent.append((entry, Recent(entry.message.order, entry.frozen)))
    recent.sort(key=lambda one: one[0].received_at, reverse=True)
    return [one for _, one in recent[:LOOKED_AT]]


def _told(adapters: PageAdapters, checks: list[Check]) -> dict[str, Any]:
    return {
        "checks": [asdict(check) | {"title": check.title} for check in checks],
        "checked_at": adapters.now().isoformat(),
    }

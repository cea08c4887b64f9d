"""A preview of the documents that an order would become, also under settings that are not saved. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bookkeeping.domain import ledger
from bookkeeping.domain.connection import Connection
from bookkeeping.domain.contacts import Contact
from bookkeeping.domain.document_kinds import contact_setting
from bookkeeping.domain.documents import document_number, wants
from bookkeeping.domain.ledger import UNKNOWN, Entry, Message, State
from bookkeeping.domain.order_message import read_message
from bookkeeping.domain.orders import Order, read_order
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.problems.catalogue import SKIPPED, WAITS
from bookkeeping.domain.problems.problem import OrderStopped, Problem, worded
from bookkeeping.domain.reasons import NOT_SAVED, Explanation, SettingsVersion
from bookkeeping.domain.settings import Settings, freed_by
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.explained import Made, explained, plain, untracked_items
from bookkeeping.use_cases.page.orders import one
from bookkeeping.use_cases.page.settings_form import AS_THEY_COME, on_screen
from bookkeeping.use_cases.xero_facts import KEPT_BY_PAGE, remembered_contact


class NoAnswer(Exception):
    """Xero gave no answer about something the documents need."""


class NotConnected(Exception):
    """Without a connection, accounts and tax rates are unknown."""


class NoSuchOrder(Exception):
    """The company has no order of that id."""


def preview(
    adapters: PageAdapters,
    company: str,
    body: str,
    *,
    order_id: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The documents that an order would become, or why it would stop.

    The order is the one of `order_id`, else the one in `body`. `settings` are those that take the place of saved ones.
    Raises NotConnected, NoAnswer, NoSuchOrder and SettingsRefused.
    """
    connection = adapters.connections.connection(company)
    if connection is None or connection.status != "connected":
        raise NotConnected
    saved = adapters.settings.saved(company)
    kept = saved.settings if saved else AS_THEY_COME
    shown = on_screen(adapters, company, kept, settings) if settings else kept
    version = SettingsVersion(
        shown, saved.number if saved else 0, dict.fromkeys(freed_by(kept, shown), NOT_SAVED)
    )
    try:
        entry = _entry(adapters, company, body, order_id)
        if entry.reason == UNKNOWN:
            return {"documents": [], "skipped": WAITS[UNKNOWN]}
        # a person wants to see the documents before they switch the integration on
        switched_on = shown.model_copy(update={"enabled": True})
        held = ledger.held_back(entry, switched_on, adapters.now())
        if held is None or held.state is State.WAITING:
            organisation = _organisation(adapters, connection)
            calendar = organisation.calendar(shown.order_time_zone)
            held = ledger.held_back(entry, switched_on, adapters.now(), calendar)
        if held is not None and held.problem is not None:
            return {"problem": held.problem.as_json()}
        if held is not None and held.state is State.SKIPPED:
            return {"documents": [], "skipped": worded(SKIPPED[held.reason], {})}
        return {
            "documents": _documents(adapters, connection, entry, version, organisation),
            "waits": _waits(entry, shown, waits_for_dispatch=held is not None),
        }
    except OrderStopped as stopped:
        return {"problem": stopped.problem.as_json()}


def _entry(adapters: PageAdapters, company: str, body: str, order_id: str | None) -> Entry:
    """The order's row; of one that was pasted in, the row that it would get."""
    if order_id is not None:
        entry = one(adapters, company, order_id)
        if entry is None:
            raise NoSuchOrder
        return entry
    order, now = read_order(read_message(body)), adapters.now()
    message = Message.of(order, int(now.timestamp() * 1000))
    return Entry(company, order.id, State.QUEUED, message, now, now)


def _waits(entry: Entry, settings: Settings, *, waits_for_dispatch: bool) -> str | None:
    """Why the documents would not be posted at once; None if they would be."""
    if entry.documents:
        return "This order is in Xero already. What is there stays as it is."
    if not settings.enabled:
        return "The Xero integration is switched off, so nothing is sent."
    return WAITS["dispatch"] if waits_for_dispatch else None


def _documents(
    adapters: PageAdapters,
    connection: Connection,
    entry: Entry,
    version: SettingsVersion,
    organisation: Organisation,
) -> list[dict[str, Any]]:
    order, settings = entry.message.order, version.settings
    # a number stays what it first was
    number = entry.number or document_number(settings.number_prefix, order.id)
    sent_on = organisation.calendar(settings.order_time_zone).day(ledger.sent_at(entry.message))
    untracked = untracked_items(adapters, entry, organisation)
    documents = []
    for kind in wants(order, settings):
        contact = _contact(adapters, connection, order, settings, contact_setting(kind, settings))
        made = Made(order, settings, organisation, contact, number, sent_on)
        document = made.document(kind, untracked_items=untracked, as_draft=entry.as_draft)
        shown = explained(Explanation(document, order, version, organisation))
        documents.append(shown | {"kind": kind, "body": plain(document.body), "notes": list(document.notes)})
    return documents


def _organisation(adapters: PageAdapters, connection: Connection) -> Organisation:
    known = adapters.organisations.get(connection.organisation_id)
    if known is None or adapters.now() - known[1] >= KEPT_BY_PAGE:
        _ask(adapters, connection, "organisation")
        known = adapters.organisations.get(connection.organisation_id)
    if known is None:
        raise NotConnected
    return known[0]


def _ask(adapters: PageAdapters, connection: Connection, task: str, **about: str) -> dict[str, Any]:
    """Have `xero_desk` read missing facts from Xero."""
    said = adapters.ask(connection.company, task, **about)
    if said.get("error") == "not_connected":
        raise NotConnected
    if "error" in said:
        raise NoAnswer
    return said


def _contact(
    adapters: PageAdapters, connection: Connection, order: Order, settings: Settings, setting: str
) -> Contact:
    name = getattr(settings, setting)
    details = {"order": order.id, "setting": setting, "label": Settings.label(setting), "contact": name}
    if not name:
        raise OrderStopped(Problem("setting_missing", details))
    organisation_id = connection.organisation_id
    contact = remembered_contact(adapters.organisations, organisation_id, name, adapters.now())
    code = "contact_not_found"
    if contact is None:
        said = _ask(adapters, connection, "contact", name=name)
        code, details = said.get("code", code), said.get("details", {}) | details
        contact = remembered_contact(adapters.organisations, organisation_id, name, adapters.now())
    if contact is None:
        raise OrderStopped(Problem(code, details))
    return contact

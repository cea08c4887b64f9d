"""A preview of the documents that an order would become under the current settings. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bookkeeping.domain.connection import Connection
from bookkeeping.domain.contacts import Contact
from bookkeeping.domain.document_kinds import contact_setting
from bookkeeping.domain.documents import (
    document_number,
    purchase_order,
    sales_invoice,
    skip_reason,
    sold_before_start,
    waits_for_dispatch,
    wants,
)
from bookkeeping.domain.ledger import no_sale, usual_choice
from bookkeeping.domain.order_message import read_message
from bookkeeping.domain.orders import NO_SALE, Order, read_order
from bookkeeping.domain.organisation import Organisation
from bookkeeping.domain.problems.catalogue import SKIPPED, WAITS
from bookkeeping.domain.problems.problem import OrderStopped, Problem, worded
from bookkeeping.domain.settings import Settings
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.xero_facts import KEPT_BY_PAGE, remembered_contact


class NoAnswer(Exception):
    """Xero gave no answer about something the documents need."""


class NotConnected(Exception):
    """Without a connection, accounts and tax rates are unknown."""


def preview(adapters: PageAdapters, company: str, body: str) -> dict[str, Any]:
    """The documents that the order would become, or why it would stop. Raises NotConnected and NoAnswer."""
    saved = adapters.settings.saved(company)
    connection = adapters.connections.connection(company)
    if connection is None or connection.status != "connected":
        raise NotConnected
    settings = saved.settings if saved else Settings.from_json({})
    try:
        order = read_order(read_message(body))
        # a person wants to see the documents before they switch the integration on
        reason = skip_reason(order, settings.model_copy(update={"enabled": True}))
        if reason is not None:
            return _skipped(reason)
        organisation = _organisation(adapters, connection)
        if sold_before_start(order, settings, organisation.calendar(settings.order_time_zone)):
            return _skipped("before_start")
        choice = usual_choice(order, settings) if order.disposition in NO_SALE else "post"
        if choice == "ask":
            return {"problem": no_sale(order.id, order).as_json()}
        if choice == "skip":
            return _skipped(order.disposition)
        if order.flaw is not None:
            return {"problem": order.flaw.as_json()}
        if order.completion_flaw is not None and settings.post_when == "dispatch":
            return {"problem": order.completion_flaw.as_json()}
        return {
            "documents": _documents(adapters, connection, order, settings, organisation),
            "waits": _waits(order, settings),
        }
    except OrderStopped as stopped:
        return {"problem": stopped.problem.as_json()}


def _skipped(reason: str) -> dict[str, Any]:
    return {"documents": [], "skipped": worded(SKIPPED.get(reason, reason), {})}


def _waits(order: Order, settings: Settings) -> str | None:
    """Why the documents would not be posted at once; None if they would be."""
    if not settings.enabled:
        return "The Xero integration is switched off, so nothing is sent."
    return WAITS["dispatch"] if waits_for_dispatch(order, settings) else None


def _documents(
    adapters: PageAdapters,
    connection: Connection,
    order: Order,
    settings: Settings,
    organisation: Organisation,
) -> list[dict[str, Any]]:
    number = document_number(settings.number_prefix, order.id)
    today = organisation.calendar(settings.order_time_zone).day(adapters.now())
    documents = []
    for kind in wants(order, settings):
        contact = _contact(adapters, connection, order, settings, contact_setting(kind, settings))
        make = purchase_order if kind == "purchase_order" else sales_invoice
        document = make(order, settings, organisation, contact=contact, number=number, sent_on=today)
        documents.append({"kind": kind, "body": _plain(document.body), "notes": list(document.notes)})
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


def _plain(value: Any) -> Any:
    """Amounts as text, so that none becomes a float."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value

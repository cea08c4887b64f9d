"""The Accounting API's routes, and the scopes each asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from local.xero import allocations, contacts, credit_notes, invoices, items, lists, purchase_orders
from local.xero.calls import Call
from local.xero.history import history_of
from local.xero.replies import Reply
from local.xero.unconfirmed import Unconfirmed

BASE = "/api.xro/2.0/"

_Handler = Callable[..., Reply]
"""Takes the call, and the keys of its path: a document's id or number, an allocation's id."""

_INVOICES = frozenset({"accounting.invoices", "accounting.transactions"})
_CONTACTS = frozenset({"accounting.contacts"})
_SETTINGS = frozenset({"accounting.settings"})


@dataclass(frozen=True)
class Below:
    """What lies below a document: what answers each verb, for all of it and for one of it."""

    on_all: dict[str, _Handler]
    on_one: dict[str, _Handler] = field(default_factory=dict)


@dataclass(frozen=True)
class Resource:
    """A resource: its writing scopes (`.read` of them reads), what answers each verb, for all and for one.

    `below` is what lies below one: all of its history, say.
    """

    scopes: frozenset[str]
    on_all: dict[str, _Handler]
    on_one: dict[str, _Handler]
    below: dict[str, Below] = field(default_factory=dict)


RESOURCES = {
    "invoices": Resource(
        _INVOICES,
        {"GET": invoices.get_invoices, "PUT": invoices.put_invoices, "POST": invoices.post_invoices},
        {"GET": invoices.get_invoice, "POST": invoices.post_invoice},
        {"history": Below(history_of("ACCREC", "ACCPAY"))},
    ),
    "creditnotes": Resource(
        _INVOICES,
        {
            "GET": credit_notes.get_credit_notes,
            "PUT": credit_notes.put_credit_notes,
            "POST": credit_notes.post_credit_notes,
        },
        {"GET": credit_notes.get_credit_note, "POST": credit_notes.post_credit_note},
        {
            "allocations": Below(
                {"PUT": allocations.put_allocations}, {"DELETE": allocations.delete_allocation}
            ),
            "history": Below(history_of("ACCRECCREDIT")),
        },
    ),
    "purchaseorders": Resource(
        _INVOICES,
        {
            "GET": purchase_orders.get_purchase_orders,
            "PUT": purchase_orders.put_purchase_orders,
            "POST": purchase_orders.post_purchase_orders,
        },
        {"GET": purchase_orders.get_purchase_order, "POST": purchase_orders.post_purchase_order},
        {"history": Below(history_of("PURCHASEORDER"))},
    ),
    "items": Resource(
        _INVOICES | _SETTINGS,
        {"GET": items.get_items, "PUT": items.put_items, "POST": items.post_items},
        {"GET": items.get_item, "POST": items.post_item, "DELETE": items.delete_item},
    ),
    "contacts": Resource(
        _CONTACTS,
        {"GET": contacts.get_contacts, "PUT": contacts.put_contacts, "POST": contacts.post_contacts},
        {"GET": contacts.get_contact},
    ),
    "organisation": Resource(_SETTINGS, {"GET": lists.get_organisation}, {}),
    "organisation/actions": Resource(_SETTINGS, {"GET": lists.get_actions}, {}),
    "accounts": Resource(_SETTINGS, {"GET": lists.get_accounts}, {"GET": lists.get_account}),
    "taxrates": Resource(_SETTINGS, {"GET": lists.get_tax_rates}, {"GET": lists.get_tax_rate}),
    "currencies": Resource(_SETTINGS, {"GET": lists.get_currencies, "PUT": lists.put_currencies}, {}),
    "brandingthemes": Resource(_SETTINGS, {"GET": lists.get_branding_themes}, {}),
    "trackingcategories": Resource(_SETTINGS, {"GET": lists.get_tracking_categories}, {}),
}


@dataclass(frozen=True)
class Route:
    """Where a path leads: what answers each verb, and the path's ids, numbers or codes."""

    resource: Resource
    name: str
    handlers: dict[str, _Handler]
    keys: tuple[str, ...] = ()

    def endpoint(self, method: str) -> Callable[[Call], Reply] | None:
        handler, keys = self.handlers.get(method), self.keys
        return (lambda call: handler(call, *keys)) if handler else None

    def allowed(self, method: str, scopes: frozenset[str], unconfirmed: Unconfirmed) -> bool:
        """Whether a token with these scopes may do this."""
        granting = self.resource.scopes
        if self.name == "items" and method != "GET" and unconfirmed["items_with_invoice_scope"] == "no":
            granting = _SETTINGS
        if method == "GET":
            granting = granting | {f"{scope}.read" for scope in granting}
        return bool(granting & scopes)


def route(path: str) -> Route | None:
    """The route of a decoded path below /api.xro/2.0/; names of resources don't mind case."""
    name, slash, key = path[len(BASE) :].strip("/").partition("/")
    whole = f"{name}/{key}".lower() if slash else name.lower()
    if whole in RESOURCES:
        return Route(RESOURCES[whole], whole, RESOURCES[whole].on_all)
    resource = RESOURCES.get(name.lower())
    if resource is None or not key or not resource.on_one:
        return None
    # A number may hold slashes: what lies below a document is looked for from the right.
    one, _, last = key.rpartition("/")
    document, _, within = one.rpartition("/")
    if one and last.lower() in resource.below:
        return Route(resource, name.lower(), resource.below[last.lower()].on_all, (one,))
    if document and within.lower() in resource.below:
        return Route(resource, name.lower(), resource.below[within.lower()].on_one, (document, last))
    return Route(resource, name.lower(), resource.on_one, (key,))

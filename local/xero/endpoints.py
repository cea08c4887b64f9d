"""The Accounting API's routes, and the scopes each asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from local.xero import contacts, invoices, items, lists, purchase_orders
from local.xero.calls import Call
from local.xero.replies import Reply
from local.xero.unconfirmed import Unconfirmed

BASE = "/api.xro/2.0/"

_List = Callable[[Call], Reply]
_One = Callable[[Call, str], Reply]

_INVOICES = frozenset({"accounting.invoices", "accounting.transactions"})
_CONTACTS = frozenset({"accounting.contacts"})
_SETTINGS = frozenset({"accounting.settings"})


@dataclass(frozen=True)
class Resource:
    """A resource: its writing scopes (`.read` of them reads), what answers each verb, for all and for one."""

    scopes: frozenset[str]
    on_all: dict[str, _List]
    on_one: dict[str, _One]


RESOURCES = {
    "invoices": Resource(
        _INVOICES,
        {"GET": invoices.get_invoices, "PUT": invoices.put_invoices, "POST": invoices.post_invoices},
        {"GET": invoices.get_invoice, "POST": invoices.post_invoice},
    ),
    "purchaseorders": Resource(
        _INVOICES,
        {
            "GET": purchase_orders.get_purchase_orders,
            "PUT": purchase_orders.put_purchase_orders,
            "POST": purchase_orders.post_purchase_orders,
        },
        {"GET": purchase_orders.get_purchase_order, "POST": purchase_orders.post_purchase_order},
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
    """Where a path leads. `key` is the id, number or code behind the resource's name."""

    resource: Resource
    name: str
    key: str | None

    def endpoint(self, method: str) -> Callable[[Call], Reply] | None:
        if self.key is None:
            return self.resource.on_all.get(method)
        one, key = self.resource.on_one.get(method), self.key
        return (lambda call: one(call, key)) if one else None

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
        return Route(RESOURCES[whole], whole, None)
    resource = RESOURCES.get(name.lower())
    if resource is None or not key or not resource.on_one:
        return None
    return Route(resource, name.lower(), key)

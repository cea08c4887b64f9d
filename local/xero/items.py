"""Items: price list entries, tracked as inventory when two accounts say so."""

from __future__ import annotations

from copy import copy
from decimal import Decimal

from local.xero import fields
from local.xero.batches import Outcome, messages, write_each
from local.xero.calls import Call
from local.xero.money import rounded
from local.xero.organisations import Item
from local.xero.query import listed
from local.xero.replies import Reply, api_exception, not_found, validation_exception
from local.xero.views import item_view
from local.xero.wire import Json

MOST_ITEMS = 500
IN_USE = "Item cannot be deleted as it is used by approved transactions."
_APPROVED_ONCE = frozenset({"AUTHORISED", "BILLED", "PAID", "VOIDED"})
_LENGTHS = {"Code": 30, "Name": 50, "Description": 4000, "PurchaseDescription": 4000}


def get_items(call: Call) -> Reply:
    views = [item_view(item, call.unit_places, call.ties) for item in call.organisation.items.values()]
    return call.envelope({"Items": listed(call, views, "Item")})


def get_item(call: Call, key: str) -> Reply:
    item = call.organisation.items.get(key) or _by_id(call, key)
    return call.envelope({"Items": [item_view(item, call.unit_places, call.ties)]}) if item else not_found()


def put_items(call: Call) -> Reply:
    return _write(call, create_only=True)


def post_items(call: Call) -> Reply:
    return _write(call, create_only=False)


def post_item(call: Call, key: str) -> Reply:
    item = call.organisation.items.get(key) or _by_id(call, key)
    if item is None:
        return not_found()
    changes = call.elements("Items")[:1]
    return write_each(call, "Items", "ItemID", lambda given: _save(call, given, item), only=changes)


def delete_item(call: Call, key: str) -> Reply:
    """Gone for good. A tracked item that an approved document ever held stays."""
    item = call.organisation.items.get(key) or _by_id(call, key)
    if item is None:
        return not_found()
    approved = (one for one in call.organisation.documents.values() if one.status in _APPROVED_ONCE)
    if item.tracked and any(line.item_code == item.code for one in approved for line in one.lines):
        return validation_exception([{"ItemID": item.id, "ValidationErrors": messages([IN_USE])}])
    del call.organisation.items[item.code]
    call.committed.append({"kind": "item", "action": "deleted", "id": item.id, "code": item.code})
    return Reply(204)


def _write(call: Call, *, create_only: bool) -> Reply:
    elements = call.elements("Items")
    if len(elements) > MOST_ITEMS:
        return api_exception(
            400, 10, "ValidationException", f"No more than {MOST_ITEMS} items can be sent in one request"
        )

    def save(given: Json) -> Outcome:
        code = fields.text(given, "Code")
        known = call.organisation.items.get(code or "")
        if known is None and (item_id := fields.identifier(given, "ItemID")) and not create_only:
            known = _by_id(call, item_id)
        if known and create_only:
            return Outcome(given, [f"Price List Item with Code '{code}' already exists"])
        return _save(call, given, known)

    return write_each(call, "Items", "ItemID", save, only=elements)


def _by_id(call: Call, item_id: str) -> Item | None:
    return next((item for item in call.organisation.items.values() if item.id == item_id.lower()), None)


def _save(call: Call, given: Json, known: Item | None) -> Outcome:
    code = fields.text(given, "Code") or (known.code if known else None)
    errors = fields.length_errors(given, _LENGTHS, call.unconfirmed)
    if not code:
        return Outcome(given, [*errors, "Price List Item Code must be specified"])
    holder = call.organisation.items.get(code)
    if known and holder and holder is not known:
        errors.append(f"Price List Item with Code '{code}' already exists")
    item = copy(known) if known else Item(call.world.new_id(), code, call.now)
    item.code = code
    _apply(item, given, call)
    errors += _account_errors(call, item) + _tax_errors(call, item)
    becomes_tracked = known is not None and item.tracked and not known.tracked
    in_use = code in call.organisation.item_codes_in_use
    if becomes_tracked and in_use and call.unconfirmed["untracked_item_becomes_tracked"] == "refused":
        errors.append("Item can't become tracked as it is used by existing transactions.")
    if errors:
        return Outcome(given, errors)
    item.updated_at = call.now
    if known:
        del call.organisation.items[known.code]
    call.organisation.items[code] = item
    call.committed.append(
        {
            "kind": "item",
            "action": "changed" if known else "created",
            "id": item.id,
            "code": code,
            "tracked": item.tracked,
        }
    )
    return Outcome(item_view(item, call.unit_places, call.ties))


def _apply(item: Item, given: Json, call: Call) -> None:
    for key, attribute in (
        ("Name", "name"),
        ("Description", "description"),
        ("PurchaseDescription", "purchase_description"),
        ("InventoryAssetAccountCode", "inventory_account"),
    ):
        if (value := fields.text(given, key)) is not None:
            setattr(item, attribute, value or None)
    for key, attribute in (("IsSold", "is_sold"), ("IsPurchased", "is_purchased")):
        if (yes := fields.flag(given, key)) is not None:
            setattr(item, attribute, yes)
    if sales := fields.part(given, "SalesDetails"):
        item.sale_price = _price(call, sales, item.sale_price)
        item.sale_account = fields.text(sales, "AccountCode") or item.sale_account
        item.sale_tax = fields.text(sales, "TaxType") or item.sale_tax
    if purchases := fields.part(given, "PurchaseDetails"):
        item.purchase_price = _price(call, purchases, item.purchase_price)
        item.purchase_account = fields.text(purchases, "AccountCode") or item.purchase_account
        item.cogs_account = fields.text(purchases, "COGSAccountCode") or item.cogs_account
        item.purchase_tax = fields.text(purchases, "TaxType") or item.purchase_tax
    if not item.is_sold:
        item.sale_price = item.sale_account = item.sale_tax = item.description = None
    if not item.is_purchased:
        item.purchase_price = item.purchase_account = item.purchase_tax = item.purchase_description = None


def _price(call: Call, details: Json, known: Decimal | None) -> Decimal | None:
    price = fields.number(details, "UnitPrice")
    if price is None:
        return known
    return rounded(price, call.unit_places, call.ties)


def _account_errors(call: Call, item: Item) -> list[str]:
    errors = []
    accounts = (item.sale_account, item.purchase_account, item.cogs_account, item.inventory_account)
    for code in dict.fromkeys(filter(None, accounts)):
        account = call.organisation.account(code)
        if account is None or account.status != "ACTIVE":
            errors.append(f"Account code '{code}' is not a valid code for this item.")
    if errors or (item.inventory_account is None and item.cogs_account is None):
        return errors
    inventory = call.organisation.account(item.inventory_account or "")
    cogs = call.organisation.account(item.cogs_account or "")
    if inventory is None or inventory.type != "INVENTORY":
        errors.append("InventoryAssetAccountCode must be an account of type INVENTORY for a tracked item.")
    direct_only = call.unconfirmed["cogs_account_types"] == "direct_costs"
    if cogs is None or cogs.account_class != "EXPENSE" or (direct_only and cogs.type != "DIRECTCOSTS"):
        errors.append("COGSAccountCode must be an expense account for a tracked item.")
    if item.purchase_account:
        errors.append("PurchaseDetails AccountCode can't be used on a tracked item.")
    return errors


def _tax_errors(call: Call, item: Item) -> list[str]:
    return [
        call.unconfirmed["unknown_tax_type_text"].format(tax_type=tax_type)
        for tax_type in (item.sale_tax, item.purchase_tax)
        if tax_type and tax_type not in call.organisation.tax_rates
    ]

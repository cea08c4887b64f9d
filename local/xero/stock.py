"""Tracked stock: quantities move when a sale, bill or credit note is approved, and back when it is voided."""

from __future__ import annotations

from decimal import Decimal

from local.xero.calls import Call
from local.xero.money import CENT, ZERO
from local.xero.organisations import Document, Item, Line, Organisation, StockMove

INSUFFICIENT = "Insufficient stock. Items are eligible for backorder."


def tracked_quantities(organisation: Organisation, lines: list[Line]) -> dict[str, Decimal]:
    """Quantity by code of the tracked items among the lines."""
    quantities: dict[str, Decimal] = {}
    for line in lines:
        item = organisation.items.get(line.item_code or "")
        if item and item.tracked:
            quantities[item.code] = quantities.get(item.code, Decimal(0)) + line.quantity
    return quantities


def stock_errors(call: Call, lines: list[Line], held: Document | None) -> list[str]:
    """What a sale of these lines lacks, leaving aside what `held`, its earlier state, already took."""
    backorders = call.organisation.backorders
    if backorders and call.flag("allowBackorders"):
        return []
    taken = {move.item_code: move for move in (held.stock_moves if held else [])}
    for code, quantity in tracked_quantities(call.organisation, lines).items():
        item = call.organisation.items[code]
        available = item.on_hand - item.on_back_order
        if code in taken:
            available += taken[code].on_back_order - taken[code].on_hand
        if quantity > available:
            return [INSUFFICIENT if backorders else call.unconfirmed["no_stock_text"]]
    return []


def move_stock(call: Call, document: Document) -> None:
    """Book an approved document's quantities, at average cost."""
    organisation = call.organisation
    for code, quantity in tracked_quantities(organisation, document.lines).items():
        item = organisation.items[code]
        if document.kind == "ACCREC":
            shipped = min(quantity, max(item.on_hand, Decimal(0)))
            move = StockMove(code, -shipped, quantity - shipped, -_cost(item, shipped))
        elif document.kind == "ACCRECCREDIT":
            move = _returned(call, item, quantity)
        else:
            cost = sum((line.line_amount for line in document.lines if line.item_code == code), ZERO)
            move = StockMove(code, quantity, Decimal(0), cost)
        document.stock_moves.append(move)
        item.on_hand += move.on_hand
        item.on_back_order += move.on_back_order
        item.cost_pool += move.cost
        if item.on_hand > 0:
            item.average_cost = item.cost_pool / item.on_hand


def _cost(item: Item, quantity: Decimal) -> Decimal:
    return (item.cost_pool * quantity / item.on_hand).quantize(CENT) if quantity else ZERO


def _returned(call: Call, item: Item, quantity: Decimal) -> StockMove:
    """What a credit note gives back. It names no sale, so the item itself says at what cost."""
    waiting = item.on_back_order if call.unconfirmed["credited_backorder"] == "ends" else Decimal(0)
    never_shipped = min(quantity, waiting)
    back = quantity - never_shipped
    unit_cost = item.average_cost
    if call.unconfirmed["cost_of_returned_stock"] == "purchase_price":
        unit_cost = item.purchase_price or ZERO
    return StockMove(item.code, back, -never_shipped, (unit_cost * back).quantize(CENT))


def sold_stock_errors(call: Call, document: Document) -> list[str]:
    """Complaints of a void that takes out more stock than there is left."""
    items = call.organisation.items
    if all(items[move.item_code].on_hand >= move.on_hand for move in document.stock_moves):
        return []
    return [call.unconfirmed["void_of_sold_stock_text"]]


def undo_stock(organisation: Organisation, document: Document) -> None:
    for move in document.stock_moves:
        item = organisation.items[move.item_code]
        item.on_hand -= move.on_hand
        item.on_back_order -= move.on_back_order
        item.cost_pool -= move.cost
    document.stock_moves = []

"""Tracked stock: quantities move when a sale or bill is approved, and move back when it is voided."""

from __future__ import annotations

from decimal import Decimal

from local.xero.calls import Call
from local.xero.money import CENT, ZERO
from local.xero.organisations import Document, Line, Organisation, StockMove

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


def move_stock(organisation: Organisation, document: Document) -> None:
    """Book an approved invoice's or bill's quantities, at average cost."""
    if document.kind == "PURCHASEORDER":
        return
    for code, quantity in tracked_quantities(organisation, document.lines).items():
        item = organisation.items[code]
        if document.kind == "ACCREC":
            shipped = min(quantity, max(item.on_hand, Decimal(0)))
            cost = (item.cost_pool * shipped / item.on_hand).quantize(CENT) if shipped else ZERO
            move = StockMove(code, -shipped, quantity - shipped, -cost)
        else:
            cost = sum((line.line_amount for line in document.lines if line.item_code == code), ZERO)
            move = StockMove(code, quantity, Decimal(0), cost)
        document.stock_moves.append(move)
        item.on_hand += move.on_hand
        item.on_back_order += move.on_back_order
        item.cost_pool += move.cost


def undo_stock(organisation: Organisation, document: Document) -> None:
    for move in document.stock_moves:
        item = organisation.items[move.item_code]
        item.on_hand -= move.on_hand
        item.on_back_order -= move.on_back_order
        item.cost_pool -= move.cost
    document.stock_moves = []

"""The fields of an order as people call them."""

from __future__ import annotations

import re
from typing import Final

_SALE, _SALE_INC_TAX, _COST, _RATE = "sale price", "sale price with tax", "unit cost", "tax rate"
_PLAIN: Final = {
    "id": "order number",
    "company_ref_id": "company's reference number",
    "secondary_company_ref_id": "company's reference number",
    "ref": "reference",
    "external_ref": "channel's reference",
    "sale_datetime": "date of sale",
    "creation_datetime": "date of creation",
    "completion_datetime": "date of completion",
    "currency_code": "currency",
    "is_free_of_charge": "mark “free of charge”",
    "items": "list of lines",
    "sku": "SKU",
    "shipping_price_inc_tax": "shipping price with tax",
    "shipping_tax_rate": "tax rate of the shipping",
    **dict.fromkeys(("unit_sale_price", "unit_price", "sale_price", "unit_retail_price"), _SALE),
    **dict.fromkeys(("unit_sale_price_inc_tax", "unit_price_inc_tax", "sale_price_inc_tax"), _SALE_INC_TAX),
    **dict.fromkeys(("unit_cost_price", "cost_price", "trade_price", "unit_trade_price"), _COST),
    **dict.fromkeys(("unit_supplier_price", "supplier_price"), _COST),
    **dict.fromkeys(("sale_vat_rate", "vat_rate", "tax_rate"), _RATE),
}
"""Where the name is not the same words with underscores."""
_FIELD: Final = re.compile(r"(?:(items)\[([0-9]+)\]\.?)?([a-z0-9_]*)(.*)", re.DOTALL)


def field_in_words(path: str) -> str:
    """A field by its path in the message: `items[0].unit_price` is the sale price of line 1."""
    found = _FIELD.fullmatch(path)
    if found is None or found[4]:
        # deeper inside than any field that is read, or no field of an order
        return f"“{path}”"
    _, index, name, _ = found.groups()
    line = f"line {int(index) + 1}" if index else ""
    plain = _PLAIN.get(name, name.replace("_", " "))
    return f"the {plain} of {line}" if plain and line else line or f"the {plain}"

"""The kinds of document, and what sets one apart from another."""

from __future__ import annotations

from typing import Final, Literal

DocumentKind = Literal["invoice", "purchase_order"]

Created = DocumentKind | Literal["item"]
"""What Xero is asked to create, and may refuse."""

DOCUMENT_WORDS: Final[dict[Created, str]] = {
    "invoice": "sales invoice",
    "purchase_order": "purchase order",
    "item": "tracked item",
}

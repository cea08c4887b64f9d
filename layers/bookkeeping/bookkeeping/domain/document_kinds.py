"""The kinds of document, one row each: its words, its settings, and its names in Xero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    # loading the settings loads pydantic, which not every function needs
    from bookkeeping.domain.settings import Settings

DocumentKind = Literal["invoice", "purchase_order", "credit_note"]

Created = DocumentKind | Literal["item"]
"""Everything we ask Xero to create."""


@dataclass(frozen=True)
class CreatedKind:
    """Something we create in Xero: what people call it, and the settings of its accounts."""

    words: str
    account_settings: tuple[str, ...]


@dataclass(frozen=True)
class KindOfDocument(CreatedKind):
    """A kind of document: everything in which the kinds differ."""

    contact_settings: tuple[str, ...]
    """The settings that name its contact. The first that is not empty counts."""
    resource: str
    number_key: str
    id_key: str
    page: str
    """The path of its page on Xero's website."""


DOCUMENT_KINDS: Final[Mapping[DocumentKind, KindOfDocument]] = {
    "invoice": KindOfDocument(
        words="sales invoice",
        account_settings=(
            "sales_account_code",
            "sales_accounts_by_sku_prefix",
            "shipping_account_code",
            "tax_types",
        ),
        contact_settings=("contact_name",),
        resource="Invoices",
        number_key="InvoiceNumber",
        id_key="InvoiceID",
        page="/app/{short_code}/invoicing/view/{id}",
    ),
    "purchase_order": KindOfDocument(
        words="purchase order",
        account_settings=("inventory_asset_account_code", "cogs_account_code"),
        contact_settings=("purchase_order_contact_name", "contact_name"),
        resource="PurchaseOrders",
        number_key="PurchaseOrderNumber",
        id_key="PurchaseOrderID",
        page="/organisationlogin/default.aspx?shortcode={short_code}"
        "&redirecturl=/Accounts/Payable/PurchaseOrders/View/{id}/",
    ),
    "credit_note": KindOfDocument(
        words="credit note",
        account_settings=(),
        contact_settings=("contact_name",),
        resource="CreditNotes",
        number_key="CreditNoteNumber",
        id_key="CreditNoteID",
        page="/organisationlogin/default.aspx?shortcode={short_code}"
        "&redirecturl=/AccountsReceivable/ViewCreditNote.aspx?creditNoteID={id}",
    ),
}

TRACKED_ITEM: Final = CreatedKind(
    words="tracked item",
    account_settings=(
        "sales_account_code",
        "sales_accounts_by_sku_prefix",
        "cogs_account_code",
        "inventory_asset_account_code",
    ),
)


def created_kind(created: Created) -> CreatedKind:
    return TRACKED_ITEM if created == "item" else DOCUMENT_KINDS[created]


def contact_setting(kind: DocumentKind, settings: Settings) -> str:
    """The setting that names the contact of this kind of document."""
    keys = DOCUMENT_KINDS[kind].contact_settings
    return next((key for key in keys if getattr(settings, key)), keys[-1])

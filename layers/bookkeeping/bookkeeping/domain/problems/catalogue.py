"""Every reason an order can stop: a code, words, who can fix it, how, and what frees it.

Also the words for orders that are skipped and orders that wait, and the reading of Xero's refusals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from bookkeeping.domain.settings import Settings

Who = Literal["office", "accountant", "platform", "operator"]
DocumentKind = Literal["invoice", "purchase_order"]
Created = DocumentKind | Literal["item"]
"""What Xero is asked to create, and may refuse."""
Refusal = Literal["number", "contact", "facts", "stock", "item_exists"]

OF_THE_ORGANISATION: Final = frozenset(
    {
        "account_not_found",
        "account_archived",
        "account_not_fitting",
        "no_tax_type",
        "several_tax_types",
        "tax_type_not_usable",
        "no_purchase_tax_type",
        "purchase_tax_type_not_usable",
        "currency_not_enabled",
        "no_rounding_account",
        "no_rounding_tax_type",
        "date_locked",
    }
)
"""Problems decided by what is known of the organisation, which a person may have put right in Xero meanwhile."""
DOCUMENT_WORDS: Final[dict[Created, str]] = {
    "invoice": "sales invoice",
    "purchase_order": "purchase order",
    "item": "tracked item",
}
LONGEST_QUOTE: Final = 500
"""Characters of one of Xero's messages that are kept and read."""


class _Words(dict[str, str]):
    """Details of a sentence; one that was never given reads as unknown instead of failing the page."""

    def __missing__(self, key: str) -> str:
        return "(not known)"


def worded(words: str, details: Mapping[str, str]) -> str:
    """`words` with its `{names}` filled from `details`; never fails for one that is missing."""
    return words.format_map(_Words(details))


@dataclass(frozen=True)
class Kind:
    """A kind of problem. `sentence` and `fix` are format strings over the problem's details."""

    code: str
    sentence: str
    who: Who
    fix: str
    freed_by: frozenset[str] = frozenset()
    """Settings keys whose change posts the order again by itself; empty: a person presses Retry."""


@dataclass(frozen=True)
class Problem:
    """Why one order stopped."""

    code: str
    details: Mapping[str, str] = field(default_factory=dict)
    xero_says: tuple[str, ...] = ()
    """Xero's own words, as they came."""

    @property
    def kind(self) -> Kind:
        return CATALOGUE[self.code]

    @property
    def sentence(self) -> str:
        return worded(self.kind.sentence, self.details)

    @property
    def fix(self) -> str:
        return worded(self.kind.fix, self.details)


class OrderStopped(Exception):
    """The order cannot go on until the problem is solved; a person must act."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


# --- what can go wrong -------------------------------------------------------------------------------------------

_SEND_AGAIN = "Correct the order on the platform and send it again; it is then posted by itself."
_ACCOUNT_KEYS = frozenset(
    {
        "sales_account_code",
        "shipping_account_code",
        "cogs_account_code",
        "inventory_asset_account_code",
        "sales_accounts_by_sku_prefix",
        "process_method",
    }
)
_TAX_KEYS = frozenset({"tax_types", "purchase_tax_type", "sales_account_code", "shipping_account_code"})
_CONTACT_KEYS = frozenset({"contact_name", "purchase_order_contact_name"})
_TOTAL_KEYS = frozenset({"line_amounts", "invoice_price", "tax_types"})

CATALOGUE: Final[dict[str, Kind]] = {
    kind.code: kind
    for kind in (
        # --- the order as the platform sent it ---
        Kind(
            "unreadable_json",
            "Order {order}: the message from the platform could not be read ({why}).",
            "platform",
            "The platform's team must send the order again as a complete message. Nothing was posted.",
        ),
        Kind(
            "too_large",
            "Order {order}: the message is {size} bytes long; an order may have at most {limit} bytes.",
            "platform",
            "The platform's team must send the order without attachments, or split it. Nothing was posted.",
        ),
        Kind(
            "too_deep",
            "Order {order}: the message is nested more than {limit} levels deep, which no order is.",
            "platform",
            "The platform's team must check what was sent and send the order again. Nothing was posted.",
        ),
        Kind(
            "too_many_lines",
            "Order {order}: it has {lines} lines; at most {limit} fit on one document.",
            "platform",
            "Split the order on the platform and send the parts, or enter it in Xero by hand.",
        ),
        Kind(
            "duplicate_key",
            "Order {order}: the field “{key}” was sent twice, so it is unclear which value holds.",
            "platform",
            "The platform's team must send the order again with “{key}” once. Nothing was posted.",
        ),
        Kind(
            "bad_text",
            "Order {order}: the text in “{field}” contains characters that are not text.",
            "platform",
            "Correct “{field}” on the order and send it again; it is then posted by itself.",
        ),
        Kind(
            "not_text",
            "Order {order}: “{field}” should be text but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "bad_flag",
            "Order {order}: “{field}” should be yes or no but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "missing_field",
            "Order {order}: “{field}” is missing.",
            "platform",
            "Fill in “{field}” on the order and send it again; it is then posted by itself.",
        ),
        Kind(
            "bad_number",
            "Order {order}: “{field}” should be a number but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "bad_quantity",
            "Order {order}: “{field}” should be a quantity of zero or more, with at most 4 decimals,"
            " but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "bad_date",
            "Order {order}: “{field}” should be a date but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "bad_rate",
            "Order {order}: “{field}” should be a tax rate from 0 to 100 % but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "bad_currency",
            "Order {order}: “{field}” should be a currency such as GBP but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "bad_id",
            "Order {order}: “{field}” should be a whole number that names one thing but is “{value}”.",
            "platform",
            "The platform's team must send the order again with a proper “{field}”. Nothing was posted.",
        ),
        Kind(
            "conflicting_prices",
            "Order {order}: “{field}” is {value} and “{other_field}” is {other_value}; they contradict each"
            " other.",
            "platform",
            "Decide which one is right, correct the other on the order and send it again.",
        ),
        Kind(
            "no_lines",
            "Order {order}: it has no lines, so there is nothing to post.",
            "platform",
            "Add the missing lines on the platform and send the order again, or leave it unposted.",
        ),
        Kind(
            "company_not_in_order",
            "Order {order}: it was sent for company {company}, but belongs to {companies}.",
            "platform",
            "The platform's team must send the order to one of its own companies. Nothing was posted.",
        ),
        # --- the order on its way to a document ---
        Kind(
            "missing_price",
            "Order {order}: {line} has no {field}. A missing price is never posted as 0.",
            "platform",
            "Fill in the price on the order and send it again, or choose another “Price on the invoice” in"
            " the settings.",
            frozenset({"invoice_price"}),
        ),
        Kind(
            "missing_cost",
            "Order {order}: {line} has no {field}, which the purchase order needs.",
            "platform",
            "Fill in the unit cost on the order and send it again, or choose “Untracked” in the settings.",
            frozenset({"process_method", "invoice_price"}),
        ),
        Kind(
            "missing_rate",
            "Order {order}: {line} has no tax rate, and its prices do not tell it.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "setting_missing",
            "Order {order}: “{label}” is not filled in in the settings.",
            "office",
            "Open the settings, fill in “{label}” and save. The orders it stopped are then posted by themselves.",
            _ACCOUNT_KEYS | _CONTACT_KEYS,
        ),
        Kind(
            "account_not_found",
            "Order {order}: “{label}” is set to account {account}, which does not exist in Xero or cannot be"
            " used on a {document}.",
            "office",
            "Choose an account that exists in Xero for “{label}” in the settings, or add {account} in Xero"
            " and press Retry.",
            _ACCOUNT_KEYS,
        ),
        Kind(
            "account_archived",
            "Order {order}: “{label}” is set to account {account}, which is archived or deleted in Xero.",
            "accountant",
            "Restore account {account} in Xero and press Retry, or choose another one for “{label}” in the"
            " settings.",
            _ACCOUNT_KEYS,
        ),
        Kind(
            "account_not_fitting",
            "Order {order}: “{label}” is set to account {account} ({account_type}), but has to be {wanted}.",
            "accountant",
            "Choose {wanted} for “{label}” in the settings.",
            _ACCOUNT_KEYS,
        ),
        Kind(
            "no_tax_type",
            "Order {order}: {line} is taxed at {rate} %, and no active tax rate in Xero has that rate."
            " There are: {choices}.",
            "accountant",
            "Choose a tax rate for {rate} % under “Tax rates” in the settings, or add it in Xero and press"
            " Retry.",
            _TAX_KEYS,
        ),
        Kind(
            "several_tax_types",
            "Order {order}: {line} is taxed at {rate} %, and several tax rates in Xero have that rate:"
            " {choices}.",
            "accountant",
            "Choose the right one for {rate} % under “Tax rates” in the settings.",
            _TAX_KEYS,
        ),
        Kind(
            "tax_type_not_usable",
            "Order {order}: the tax rate {tax_type} (for {rate}) cannot be used with account {account} in"
            " Xero.",
            "accountant",
            "Choose another tax rate for {rate} under “Tax rates”, or another account, in the settings.",
            _TAX_KEYS | _ACCOUNT_KEYS,
        ),
        Kind(
            "no_purchase_tax_type",
            "Order {order}: “Tax rate on purchases” is not set, and account {account} has no tax rate of its"
            " own in Xero.",
            "accountant",
            "Choose “Tax rate on purchases” in the settings.",
            _ACCOUNT_KEYS | {"purchase_tax_type"},
        ),
        Kind(
            "purchase_tax_type_not_usable",
            "Order {order}: the tax rate {tax_type} cannot be used for purchases with account {account} in"
            " Xero.",
            "accountant",
            "Choose another “Tax rate on purchases” in the settings.",
            _ACCOUNT_KEYS | {"purchase_tax_type"},
        ),
        Kind(
            "currency_not_enabled",
            "Order {order}: its currency is {currency}, which is not among the currencies of"
            " {organisation} in Xero.",
            "accountant",
            "Add {currency} in Xero (Settings, Currencies; some Xero plans have one currency only), then"
            " press Retry.",
            frozenset({"currency"}),
        ),
        Kind(
            "total_differs",
            "Order {order}: the order comes to {theirs}, but its lines would come to {ours} in Xero"
            " ({difference} apart). More than 0.05 is never posted.",
            "accountant",
            "Compare the order's prices with and without tax; correct them on the platform and send the"
            " order again, or change “Prices with or without tax” or “Price on the invoice” in the settings.",
            _TOTAL_KEYS,
        ),
        Kind(
            "purchase_total_differs",
            "Order {order}: its unit costs come to {theirs}, but the purchase order would come to {ours} in Xero"
            " ({difference} apart), which rounds them to 4 decimals and each line to cents. More than 0.05 is"
            " never posted.",
            "accountant",
            "Round the unit costs on the platform to whole cents and send the order again, or choose “Untracked”"
            " in the settings.",
            frozenset({"process_method"}),
        ),
        Kind(
            "no_rounding_account",
            "Order {order}: it needs a rounding line of {difference}, but {organisation} has no rounding"
            " account in Xero.",
            "accountant",
            "Set “Rounding differences” to “show” in the settings, or ask Xero's support for the rounding"
            " account.",
            frozenset({"rounding"}),
        ),
        Kind(
            "no_rounding_tax_type",
            "Order {order}: it needs a rounding line of {difference}, but no single tax rate of 0 % can be used"
            " with account {account} in Xero. There are: {choices}.",
            "accountant",
            "Choose a tax rate for 0 % under “Tax rates” in the settings, or set “Rounding differences” to"
            " “show”.",
            frozenset({"rounding", "tax_types"}),
        ),
        Kind(
            "amount_too_large",
            "Order {order}: {line} comes to {amount}, more than Xero takes on one line.",
            "platform",
            "Check the quantity and price of {line}, correct the order and send it again.",
            frozenset({"invoice_price"}),
        ),
        Kind(
            "negative_total",
            "Order {order}: it comes to {total}; Xero takes no {document} below zero.",
            "accountant",
            "Enter a credit note in Xero by hand, or correct the order on the platform and send it again.",
            frozenset({"invoice_price"}),
        ),
        Kind(
            "date_locked",
            "Order {order}: its date {date} is in a period that is locked in Xero up to {lock_date}.",
            "accountant",
            "Move the lock date in Xero and press Retry, or set “When the date is locked” to the next open"
            " day in the settings.",
            frozenset({"lock_date_action", "post_when"}),
        ),
        Kind(
            "contact_not_found",
            "Order {order}: the contact “{contact}” does not exist in Xero.",
            "office",
            "Add a contact named exactly “{contact}” in Xero and press Retry, or enter an existing contact's"
            " name under “{label}” in the settings.",
            _CONTACT_KEYS,
        ),
        Kind(
            "contact_archived",
            "Order {order}: the contact “{contact}” is archived in Xero.",
            "office",
            "Restore the contact in Xero and press Retry, or enter another one under “{label}” in the"
            " settings.",
            _CONTACT_KEYS,
        ),
        Kind(
            "contact_not_unique",
            "Order {order}: Xero has more than one contact named “{contact}”.",
            "office",
            "Rename or merge the contacts in Xero so that one “{contact}” is left, then press Retry.",
            _CONTACT_KEYS,
        ),
        Kind(
            "contact_invalid",
            "Order {order}: Xero finds a mistake in the record of the contact “{contact}”.",
            "office",
            "Open the contact in Xero, correct what Xero names below, save it and press Retry.",
            _CONTACT_KEYS,
        ),
        Kind(
            "contact_not_searchable",
            "Order {order}: Xero would not look for a contact named “{contact}”.",
            "office",
            "Give the contact a plainer name in Xero and enter that under “{label}” in the settings. Xero's reason is"
            " below.",
            _CONTACT_KEYS,
        ),
        # --- items and stock ---
        Kind(
            "item_not_tracked",
            "Order {order}: the item {item} exists in Xero but is not a tracked item.",
            "accountant",
            "Press “Use it as it is” to post the order with the item untracked, or make {item} a tracked item"
            " in Xero and press Retry.",
            frozenset({"process_method"}),
        ),
        Kind(
            "item_not_found",
            "Order {order}: the item {item} does not exist in Xero.",
            "office",
            "Press Retry to have {item} added again, or add it in Xero first.",
            frozenset({"process_method"}),
        ),
        Kind(
            "item_refused",
            "Order {order}: Xero did not take the item {item}.",
            "accountant",
            "Add {item} as a tracked item in Xero by hand and press Retry, or choose “Untracked” in the"
            " settings. Xero's reason is below.",
            _ACCOUNT_KEYS,
        ),
        Kind(
            "stock_refused",
            "Order {order}: Xero has too little stock of {item} for the sales invoice, and did not take a"
            " draft either.",
            "accountant",
            "Enter the purchase of {item} in Xero (approve the supplier's bill), then press Retry.",
            frozenset({"process_method", "invoice_status"}),
        ),
        # --- numbers ---
        Kind(
            "number_taken",
            "Order {order}: Xero already has a {document} {number} that did not come from this order.",
            "office",
            "Look at {number} in Xero. If it is this order's, add {ref} to its reference there, else give the other"
            " document another number; then press Retry.",
        ),
        Kind(
            "number_spent",
            "Order {order}: the number {number} belongs to a {document} that was deleted or voided in Xero.",
            "office",
            "Xero takes a number once. If the order belongs in the books, enter it in Xero by hand.",
        ),
        Kind(
            "settings_prefix_clash",
            "Order {order}: the number prefix {prefix} is already used by company {company} in the same Xero"
            " organisation, {organisation}.",
            "office",
            "Enter another “Number prefix” in the settings.",
            frozenset({"number_prefix"}),
        ),
        # --- what Xero refuses ---
        Kind(
            "account_refused",
            "Order {order}: a line of the {document} {number} has no account that Xero takes.",
            "accountant",
            "Compare the accounts in the settings with those in Xero, then press Retry. If Xero still does not take"
            " it, tell whoever runs this integration, naming order {order}.",
            _ACCOUNT_KEYS,
        ),
        Kind(
            "tax_rate_refused",
            "Order {order}: a line of the {document} {number} has no tax rate that Xero takes.",
            "accountant",
            "Look whether “{label}” and the accounts in the settings still fit those in Xero, then press Retry.",
            _TAX_KEYS | _ACCOUNT_KEYS,
        ),
        Kind(
            "tracking_unknown",
            "Order {order}: Xero does not know the tracking categories in the settings: {tracking}.",
            "accountant",
            "Compare “Tracking categories” in the settings with those in Xero, name and option letter by"
            " letter.",
            frozenset({"tracking_categories"}),
        ),
        Kind(
            "branding_unknown",
            "Order {order}: Xero does not know the branding theme in the settings, {branding_theme}.",
            "accountant",
            "Choose another “Branding theme” in the settings, or leave it empty.",
            frozenset({"branding_theme_id"}),
        ),
        Kind(
            "plan_limit",
            "Order {order}: your Xero plan approves no more invoices this month.",
            "accountant",
            "Raise the Xero plan and press Retry, or set “Invoice status” to Draft in the settings.",
            frozenset({"invoice_status"}),
        ),
        Kind(
            "amounts_refused",
            "Order {order}: Xero reckons the amounts of the {document} {number} differently and did not take"
            " it.",
            "operator",
            "Xero's reason is below. Tell whoever runs this integration, naming order {order}; once it is"
            " mended, press Retry.",
            _TOTAL_KEYS,
        ),
        Kind(
            "document_not_allowed",
            "Order {order}: Xero does not let this connection create the {document} {number}.",
            "accountant",
            "Ask whoever administers Xero whether the plan and the connected person's role allow a"
            " {document}, then press Retry.",
            frozenset({"invoice_status", "purchase_order_status"}),
        ),
        Kind(
            "refused_by_xero",
            "Order {order}: Xero did not take the {document} {number}; its reason is below.",
            "accountant",
            "Correct in Xero or in the settings what Xero names, then press Retry.",
        ),
        # --- the document exists, a person should look at it ---
        Kind(
            "posted_total_differs",
            "Order {order}: {number} was posted, but comes to {xero_total} in Xero and {order_total} on the"
            " order.",
            "accountant",
            "Open {number} in Xero, correct it there if need be, and press Retry: it counts as posted, and the sales"
            " invoice is then sent if it is still to come.",
        ),
        Kind(
            "adopted_differs",
            "Order {order}: {number} was found in Xero from an earlier attempt, but its {field} is {xero_value}"
            " there and should be {value}.",
            "accountant",
            "Open {number} in Xero, correct it there if need be, and press Retry: it counts as posted, and the sales"
            " invoice is then sent if it is still to come.",
        ),
        Kind(
            "may_already_be_in",
            "Order {order}: it may already be in the books of {organisation}, to which this company was"
            " connected before.",
            "accountant",
            "Look for {number} in {organisation}. If it is there, leave the order as it is; if not, press Retry.",
        ),
        # --- ours ---
        Kind(
            "our_fault",
            "Order {order}: its message could not be handled because of a mistake in this integration, or an"
            " outage (reference {reference}). The message is kept.",
            "operator",
            "Whoever runs this integration has been told. Once it is mended, they have the kept messages handled"
            " again; the order is then posted by itself.",
        ),
        Kind(
            "sent_wrongly",
            "Order {order}: Xero could make nothing of the way the {document} {number} was sent, which is a"
            " mistake in this integration (reference {reference}). Nothing was posted.",
            "operator",
            "Tell whoever runs this integration, naming the reference; Xero's answer is below. Once it is mended,"
            " press Retry.",
        ),
    )
}

SKIPPED: Final[dict[str, str]] = {
    "on_hold": "The order is on hold on the platform. It is posted once it is released and sent again.",
    "cancelled": "The order is cancelled on the platform.",
    "error": "The order has an error on the platform. It is posted once that is solved and it is sent again.",
    "free_of_charge": "The order is free of charge, so there is nothing to invoice.",
    "before_start": "The order was sold before the “Start from” date in the settings.",
    "integration_off": "The Xero integration was switched off when the order arrived.",
    "already_in_books": "The order is already in these books through company {company}.",
    "all_lines_cancelled": "Every line of the order is cancelled.",
}

WAITS: Final[dict[str, str]] = {
    "not_connected": "Waiting until the company is connected to Xero (“Get Access Token” in the settings).",
    "reconnect": "Waiting until a person connects to Xero again: Xero no longer accepts the connection.",
    "wrong_credentials": "Waiting until a person corrects the client id and secret in the settings: Xero refuses them.",
    "organisation_unchosen": "Waiting until a person chooses the Xero organisation in the settings.",
    "organisation_unconfirmed": "Waiting until a person confirms that orders should go to {organisation}.",
    "dispatch": "Waiting for the order to be dispatched.",
    "minute_limit": "Waiting because Xero takes 60 calls a minute, until {until}.",
    "day_limit": "Waiting because Xero's number of calls for today is used up, until {until}.",
    "xero_offline": "Waiting because Xero does not answer; tried again at {until}.",
    "organisation_offline": "Waiting because Xero has taken {organisation} offline; tried again at {until}.",
    "outcome_unknown": "Waiting to learn from Xero whether {number} arrived; looked up at {until}.",
    "xero_failing": "Waiting because Xero does not answer as it should; tried again at {until}.",
}


# --- what Xero says ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Saying:
    """One of Xero's refusals: words that stay the same in all its variants."""

    words: re.Pattern[str]
    code: str
    refusal: Refusal | None = None


def _saying(words: str, code: str, refusal: Refusal | None = None) -> _Saying:
    return _Saying(re.compile(words, re.IGNORECASE | re.DOTALL), code, refusal)


# The most actionable first: of several messages the one that stands highest here becomes the problem.
_SAYINGS: Final = (
    _saying(r"\b(invoice (#|number)|order number)\s*must be unique", "number_taken", "number"),
    _saying(r"insufficient stock|\bno items? available to sell", "stock_refused", "stock"),
    _saying(r"\block date(, currently set at (?P<lock_date>[\w /-]+\w))?", "date_locked", "facts"),
    _saying(r"\bcontact\b.*\barchived", "contact_archived", "contact"),
    _saying(r"\bcontact name\b.*\balready assigned", "contact_not_unique", "contact"),
    _saying(
        r"another contact has this contact number|email address must be valid", "contact_invalid", "contact"
    ),
    _saying(
        r"\bcontact must be specified|\bcontact must contain at least|\bcontact name must be specified"
        r"|\bcontact(id)?\b.*\b(not found|not be found|not exist|not valid|invalid)",
        "contact_not_found",
        "contact",
    ),
    _saying(
        r"\btaxtype code '(?P<tax_type>[^']*)'.*\baccount code '(?P<account>[^']*)'",
        "tax_type_not_usable",
        "facts",
    ),
    _saying(r"\btaxtype code '?(?P<tax_type>[^' ]*)", "tax_type_not_usable", "facts"),
    _saying(
        r"\baccount code '(?P<account>[^']*)'.*\b(archived|deleted)|\baccount\b.*\barchived",
        "account_archived",
        "facts",
    ),
    # without its item, a line on an inventory account is refused for that, too
    _saying(r"\bitem code '(?P<item>[^']*)'", "item_not_found"),
    _saying(r"\binventory account", "account_not_fitting", "facts"),
    _saying(r"\baccount code '(?P<account>[^']*)' is not a valid", "account_not_found", "facts"),
    _saying(r"\baccount code or id must be specified", "account_refused", "facts"),
    _saying(r"\baccount must be valid", "account_not_found", "facts"),
    _saying(r"\btax rate must be valid", "tax_rate_refused", "facts"),
    _saying(r"\bnot subscribed to currency '?(?P<currency>[a-z]{3})\b", "currency_not_enabled", "facts"),
    _saying(r"\btracking (details|category|option)", "tracking_unknown"),
    _saying(r"\bbranding ?theme", "branding_unknown"),
    _saying(r"\breached the limit of invoices", "plan_limit"),
    _saying(r"\bitem with code '(?P<item>[^']*)' already exists", "item_refused", "item_exists"),
    _saying(r"\bnot of valid status for", "number_spent"),
    _saying(r"\bquantity value '(?P<value>[^']*)' is invalid", "bad_quantity"),
    _saying(
        r"\bline total\b.*\bnot match|\btotal does not equal|\bdiscount rate\b.*\binvalid|\btaxamount|\btax amount",
        "amounts_refused",
    ),
    _saying(r"\bnot (permitted|allowed|authorised|authorized) to\b", "document_not_allowed"),
)


def refusals(messages: Sequence[str]) -> frozenset[Refusal]:
    """What a refusal calls for before a person is asked.

    `number`: the number is in use, so look whose document it is. `contact`: look the contact up again. `facts`: what is
    known of the organisation (accounts, tax rates, currencies, lock dates) is out of date, so read it again. `stock`:
    send the invoice as a draft. `item_exists`: the item is there already.
    """
    return frozenset(
        saying.refusal
        for saying in _SAYINGS
        if saying.refusal is not None
        and any(saying.words.search(message[:LONGEST_QUOTE]) for message in messages)
    )


def from_xero(
    messages: Sequence[str],
    *,
    order: str,
    document: Created,
    settings: Settings,
    number: str = "",
    organisation: str = "",
    sent: Mapping[str, str] | None = None,
) -> Problem:
    """The problem that Xero's validation messages amount to; of several the most actionable.

    `sent` holds details that Xero does not repeat, where the caller knows them: `date`, `currency`, `item`, `contact`,
    `account`, `rate`. Of an item, only an account that Xero names is told of: the rest are words about documents.
    """
    quoted = tuple(message[:LONGEST_QUOTE] for message in messages)
    details: dict[str, str] = {
        "order": order,
        "document": DOCUMENT_WORDS[document],
        "number": number or settings.number_prefix + order,
        **({"organisation": organisation} if organisation else {}),
        **(sent or {}),
    }
    for saying in _SAYINGS:
        found = [match for message in quoted if (match := saying.words.search(message))]
        if found:
            said = {name: value for name, value in found[0].groupdict().items() if value}
            if document == "item" and "account" not in said:
                continue
            code = saying.code
            if code == "tax_type_not_usable" and document == "purchase_order":
                code = "purchase_tax_type_not_usable"
            return Problem(code, _completed(code, {**details, **said}, document, settings), quoted)
    return Problem("refused_by_xero", details, quoted)


def _completed(code: str, details: dict[str, str], document: Created, settings: Settings) -> dict[str, str]:
    """`details` with what the settings know of the thing Xero complains about."""
    complete = _COMPLETIONS.get(code)
    return {**(complete(details, document, settings) if complete else {}), **details}


_ACCOUNTS_OF: Final[dict[Created, tuple[str, ...]]] = {
    "invoice": ("sales_account_code", "sales_accounts_by_sku_prefix", "shipping_account_code"),
    "purchase_order": ("inventory_asset_account_code", "cogs_account_code"),
    "item": (
        "sales_account_code",
        "sales_accounts_by_sku_prefix",
        "cogs_account_code",
        "inventory_asset_account_code",
    ),
}


def _account_details(details: Mapping[str, str], document: Created, settings: Settings) -> dict[str, str]:
    account = details.get("account", "")

    def names_it(setting: str) -> bool:
        value = getattr(settings, setting)
        return account in value.values() if isinstance(value, Mapping) else account == value

    settings_of = _ACCOUNTS_OF[document]
    setting = next(filter(names_it, settings_of), settings_of[0])
    return {
        "setting": setting,
        "label": settings.label(setting),
        "account": account or str(getattr(settings, setting)) or "(none)",
        "account_type": "a stock account",
        "wanted": "an account that Xero takes on a " + DOCUMENT_WORDS[document],
    }


def _tax_details(details: Mapping[str, str], document: Created, settings: Settings) -> dict[str, str]:
    tax_type = details.get("tax_type", "")
    rates = [rate for rate, mapped in settings.tax_types.items() if mapped == tax_type]
    return {
        "rate": ", ".join(f"{rate} %" for rate in rates) or "the order's rate",
        "account": _account_details(details, document, settings)["account"],
    }


def _contact_details(details: Mapping[str, str], document: Created, settings: Settings) -> dict[str, str]:
    key = "contact_name"
    if document == "purchase_order" and settings.purchase_order_contact_name:
        key = "purchase_order_contact_name"
    return {"setting": key, "label": settings.label(key), "contact": str(getattr(settings, key))}


_COMPLETIONS: Final[dict[str, Callable[[Mapping[str, str], Created, Settings], dict[str, str]]]] = {
    "account_not_found": _account_details,
    "account_archived": _account_details,
    "account_not_fitting": _account_details,
    "tax_type_not_usable": _tax_details,
    "purchase_tax_type_not_usable": _tax_details,
    "tax_rate_refused": lambda details, document, settings: {
        "label": settings.label("tax_types" if document == "invoice" else "purchase_tax_type")
    },
    "contact_not_found": _contact_details,
    "contact_archived": _contact_details,
    "contact_not_unique": _contact_details,
    "contact_invalid": _contact_details,
    "tracking_unknown": lambda details, document, settings: {
        "tracking": "; ".join(f"{one['Name']}: {one['Option']}" for one in settings.tracking_categories)
    },
    "branding_unknown": lambda details, document, settings: {"branding_theme": settings.branding_theme_id},
    "bad_quantity": lambda details, document, settings: {"field": "quantity"},
    "currency_not_enabled": lambda details, document, settings: {"organisation": "the organisation"},
    "stock_refused": lambda details, document, settings: {"item": "an item"},
    "number_taken": lambda details, document, settings: {"ref": "the order's reference"},
}

"""Every reason an order can stop: a code, words, who can fix it, how, and what frees it.

Also the words for orders that are skipped and orders that wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Who = Literal["office", "accountant", "platform", "operator"]
Watch = Literal["contacts", "organisation", "accounts", "tax_rates", "currencies"]
"""What is read again in Xero while orders wait for a change there. `organisation`: its lock dates."""

OF_THE_ORGANISATION: Final = frozenset(
    {
        "account_not_found",
        "account_archived",
        "account_not_fitting",
        "no_tax_type",
        "several_tax_types",
        "tax_type_not_usable",
        "tax_type_differs",
        "several_rates_fit",
        "no_rate_fits",
        "destination_unknown",
        "no_purchase_tax_type",
        "purchase_tax_type_not_usable",
        "currency_not_enabled",
        "no_rounding_account",
        "no_rounding_tax_type",
        "date_locked",
    }
)
"""Problems decided by what is known of the organisation, which a person may have put right in Xero meanwhile."""


@dataclass(frozen=True)
class Kind:
    """A kind of problem. `sentence` and `fix` are format strings over the problem's details."""

    code: str
    title: str
    """Its name in lists and filters, in a few words."""
    sentence: str
    who: Who
    fix: str
    freed_by: frozenset[str] = frozenset()
    """Settings keys whose change posts the order again by itself; empty: a person presses Retry."""
    watches: frozenset[Watch] = frozenset()
    """What in Xero a person can put right: once it has changed there, the order is posted again by itself."""
    retry_label: str = "Retry"
    """What the button says that frees the order: what pressing it does."""
    words_with: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """A detail → the sentence and fix of a problem that has it."""


ACCEPT: Final = "Accept as it is in Xero"
"""What frees an order whose document stands in Xero, though not as the order says."""

# --- what can go wrong -------------------------------------------------------------------------------------------

_SEND_AGAIN = "Correct the order on the platform and send it again; it is then posted by itself."
_STATE_RATE = "State the tax rate of {line} on the order and send it again; it is then posted by itself."
_BY_HAND = "enter it in Xero by hand and set it aside"
_ACCOUNT_KEYS = frozenset(
    {
        "tax_types",
        "sales_account_code",
        "shipping_account_code",
        "cogs_account_code",
        "inventory_asset_account_code",
        "sales_accounts_by_sku_prefix",
        "process_method",
    }
)
_PURCHASE_TAX_KEYS = frozenset({"purchase_tax_type", "purchase_tax_types"})
_TAX_KEYS = _PURCHASE_TAX_KEYS | {"tax_types", "sales_account_code", "shipping_account_code"}
_CONTACT_KEYS = frozenset({"contact_name", "purchase_order_contact_name"})
_TOTAL_KEYS = frozenset({"line_amounts", "invoice_price", "tax_types"})
_CONTACTS: Final = frozenset[Watch]({"contacts"})
_ACCOUNTS: Final = frozenset[Watch]({"accounts"})
_TAXES: Final = frozenset[Watch]({"accounts", "tax_rates"})
"""An account's own tax rate counts where no other is chosen."""
_CURRENCIES: Final = frozenset[Watch]({"currencies"})
_LOCK_DATES: Final = frozenset[Watch]({"organisation"})

CATALOGUE: Final[dict[str, Kind]] = {
    kind.code: kind
    for kind in (
        # --- the order as the platform sent it ---
        Kind(
            "unreadable_json",
            "Message could not be read",
            "Order {order}: the message from the platform could not be read ({why}).",
            "platform",
            "Send the order again as a complete message; it is then posted by itself.",
        ),
        Kind(
            "too_large",
            "Message too long",
            "Order {order}: the message is too long. It has {size} bytes; an order may have at most {limit}.",
            "platform",
            "Send the order again without attachments, or split it; it is then posted by itself.",
        ),
        Kind(
            "too_deep",
            "Message nested too deep",
            "Order {order}: the message is not built like an order: it is nested more than {limit} levels deep.",
            "platform",
            "Check what was sent, and send the order again; it is then posted by itself.",
        ),
        Kind(
            "too_many_lines",
            "Too many lines",
            "Order {order}: it has {lines} lines; at most {limit} fit on one document.",
            "platform",
            f"Split the order on the platform and send the parts, or {_BY_HAND}.",
        ),
        Kind(
            "duplicate_key",
            "Field sent twice",
            "Order {order}: {key_in_words} was sent twice, so it is unclear which value holds.",
            "platform",
            "Send the order again with {key_in_words} once; it is then posted by itself.",
        ),
        Kind(
            "bad_text",
            "Broken characters in a text",
            "Order {order}: {field_in_words} contains broken characters.",
            "platform",
            "Correct {field_in_words} on the order and send it again; it is then posted by itself.",
        ),
        Kind(
            "not_text",
            "Not a text",
            "Order {order}: {field_in_words} should be text but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "bad_flag",
            "Neither yes nor no",
            "Order {order}: {field_in_words} should be yes or no but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "missing_field",
            "Field missing",
            "Order {order}: {field_in_words} is missing.",
            "platform",
            "Fill in {field_in_words} on the order and send it again; it is then posted by itself.",
            words_with={
                "found": (
                    "Order {order}: in place of the list of its lines is “{found}”.",
                    _SEND_AGAIN,
                )
            },
        ),
        Kind(
            "bad_number",
            "Not a number",
            "Order {order}: {field_in_words} should be a number but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "bad_quantity",
            "Not a quantity",
            "Order {order}: {field_in_words} should be a quantity of zero or more, with at most 4 decimals,"
            " but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "bad_date",
            "Not a date",
            "Order {order}: {field_in_words} should be a date but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "bad_rate",
            "Not a tax rate",
            "Order {order}: {field_in_words} should be a tax rate from 0 to 100 % but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "bad_currency",
            "Not a currency",
            "Order {order}: {field_in_words} should be a currency such as GBP but is “{value}”.",
            "platform",
            _SEND_AGAIN,
        ),
        Kind(
            "bad_id",
            "Order or company number invalid",
            "Order {order}: {field_in_words} should be a whole number but is “{value}”.",
            "platform",
            "Correct {field_in_words} and send the order again; it is then posted by itself.",
        ),
        Kind(
            "conflicting_prices",
            "Values contradict each other",
            "Order {order}: two of its fields contradict each other: {field_in_words} is {value}, and"
            " {other_field_in_words} is {other_value}.",
            "platform",
            "Decide which one is right, correct the other on the order and send it again; it is then posted by itself.",
        ),
        Kind(
            "no_lines",
            "Order without lines",
            "Order {order}: it has no lines, so there is nothing to post.",
            "platform",
            "Add the missing lines on the platform and send the order again. If it has none, set it aside.",
        ),
        Kind(
            "company_not_in_order",
            "Sent for another company",
            "Order {order}: it was sent for company {company}, but belongs to {companies}.",
            "platform",
            "Send the order again for the company it belongs to; it is then posted by itself.",
        ),
        # --- the order on its way to a document ---
        Kind(
            "missing_price",
            "Price missing",
            "Order {order}: {line} has no {field}. A missing price is never posted as 0.",
            "platform",
            "Fill in the price on the order and send it again; it is then posted by itself.",
            frozenset({"invoice_price"}),
        ),
        Kind(
            "missing_cost",
            "Unit cost missing",
            "Order {order}: {line} has no {field}, which the purchase order needs.",
            "platform",
            "Fill in the unit cost on the order and send it again; it is then posted by itself.",
            frozenset({"process_method", "invoice_price"}),
        ),
        Kind(
            "missing_rate",
            "Tax rate missing",
            "Order {order}: {line} has no tax rate, and its prices do not tell it.",
            "platform",
            _STATE_RATE,
        ),
        Kind(
            "no_rate_fits",
            "Prices fit no tax rate",
            "Order {order}: {line} states no tax rate, and its prices ({net} without, {gross} with tax) fit none of"
            " those that are in use here: {rates}.",
            "platform",
            "State the tax rate of {line} on the platform, or correct its prices there, and send the order again. Do"
            " not add a tax rate in Xero only to make these prices fit.",
            _TAX_KEYS,
            watches=_TAXES,
        ),
        Kind(
            "several_rates_fit",
            "Prices fit several tax rates",
            "Order {order}: {line} states no tax rate that is in use here, and its prices ({net} without, {gross} with"
            " tax) fit more than one: {rates}.",
            "platform",
            _STATE_RATE,
            _TAX_KEYS,
            watches=_TAXES,
        ),
        Kind(
            "destination_unknown",
            "Country of delivery missing",
            "Order {order}: which tax rate {line} has at {rate} % depends on where it is shipped to ({places}), and the"
            " order names no country that can be read.",
            "platform",
            "Fill in the country of the shipping address on the order and send it again; it is then posted by itself.",
            frozenset({"tax_types"}),
            watches=_TAXES,
        ),
        Kind(
            "setting_missing",
            "Setting not filled in",
            "Order {order}: “{label}” is not filled in in the settings.",
            "office",
            "Open the settings, fill in “{label}” and save. The orders it stopped are then posted by themselves.",
            _ACCOUNT_KEYS | _CONTACT_KEYS,
        ),
        Kind(
            "account_not_found",
            "Account not found",
            "Order {order}: account {account}, which “{label}” names, does not exist in Xero.",
            "office",
            "Choose an account that exists in Xero in place of {account} under “{label}” in the settings. If {account}"
            " is right, have your accountant add it in Xero. The order is then posted by itself.",
            _ACCOUNT_KEYS,
            watches=_ACCOUNTS,
        ),
        Kind(
            "account_archived",
            "Account archived",
            "Order {order}: account {account}, which “{label}” names, is archived or deleted in Xero.",
            "accountant",
            "Restore account {account} in Xero, or choose another one in its place under “{label}” in the settings. The"
            " order is then posted by itself.",
            _ACCOUNT_KEYS,
            watches=_ACCOUNTS,
        ),
        Kind(
            "account_not_fitting",
            "Account of the wrong type",
            "Order {order}: account {account} ({account_type}), which “{label}” names, is not {wanted}.",
            "accountant",
            "Choose {wanted} in place of {account} under “{label}” in the settings. The order is then posted by"
            " itself.",
            _ACCOUNT_KEYS,
            watches=_ACCOUNTS,
        ),
        Kind(
            "no_tax_type",
            "Tax rate not in Xero",
            "Order {order}: {line} is taxed at {rate} %, and no usual sales tax rate in Xero has that percentage."
            " There are: {choices}.",
            "accountant",
            "If the price or the tax rate of {line} is wrong, correct it on the platform and send the order again."
            " {advice}",
            _TAX_KEYS,
            watches=_TAXES,
        ),
        Kind(
            "several_tax_types",
            "Several tax rates in Xero",
            "Order {order}: {line} is taxed at {rate} %, and a person has to say which of Xero's tax rates that is:"
            " {choices}.",
            "accountant",
            "Add a row for {rate} % with the right one under “Tax rates” in the settings. The order is then posted by"
            " itself.",
            _TAX_KEYS,
            watches=_TAXES,
        ),
        Kind(
            "tax_type_differs",
            "Tax rate of another percentage",
            "Order {order}: under “Tax rates”, {rate} is set to {tax_type}, which has {percent} in Xero. It must have"
            " {wanted}.",
            "accountant",
            "Choose a tax rate that has {wanted} in Xero under “Tax rates” in the settings, or correct the other one"
            " there. The order is then posted by itself.",
            _TAX_KEYS,
            watches=_TAXES,
        ),
        Kind(
            "tax_type_not_usable",
            "Tax rate unusable with the account",
            "Order {order}: {rate} is taxed as {tax_type}, which cannot be used with account {account} in Xero.",
            "accountant",
            "Choose another tax rate for {rate} under “Tax rates”, or another account, in the settings. The order is"
            " then posted by itself.",
            _TAX_KEYS | _ACCOUNT_KEYS,
            watches=_TAXES,
            words_with={
                "gone": (
                    "Order {order}: under “Tax rates”, {rate} is set to {gone}, which is not among the active tax rates"
                    " in Xero.",
                    "Choose another tax rate for {rate} under “Tax rates” in the settings, or make it active in Xero."
                    " The order is then posted by itself.",
                )
            },
        ),
        Kind(
            "no_purchase_tax_type",
            "Tax rate on purchases missing",
            "Order {order}: “Tax rate on purchases” is not set, and account {account} has no tax rate of its"
            " own in Xero.",
            "accountant",
            "Choose one for “Tax rate on purchases” in the settings. The order is then posted by itself.",
            _ACCOUNT_KEYS | _PURCHASE_TAX_KEYS,
            watches=_TAXES,
        ),
        Kind(
            "purchase_tax_type_not_usable",
            "Tax rate unusable on purchases",
            "Order {order}: the tax rate {tax_type} cannot be used for purchases with account {account} in"
            " Xero.",
            "accountant",
            "Choose another tax rate in place of {tax_type} under “{label}” in the settings. The order is then posted"
            " by itself.",
            _ACCOUNT_KEYS | _PURCHASE_TAX_KEYS,
            watches=_TAXES,
            words_with={
                "gone": (
                    "Order {order}: “{label}” names {gone}, which is not among the active tax rates in Xero.",
                    "Choose another tax rate in place of {gone} under “{label}” in the settings, or make it active in"
                    " Xero. The order is then posted by itself.",
                )
            },
        ),
        Kind(
            "currency_not_enabled",
            "Currency not in Xero",
            "Order {order}: {what} is {currency}, which is not among the currencies of {organisation} in Xero.",
            "accountant",
            "Add {currency} in Xero (Settings, Currencies; some Xero plans have one currency only){or_else}. The order"
            " is then posted by itself.",
            frozenset({"currency", "cost_currency"}),
            watches=_CURRENCIES,
        ),
        Kind(
            "costs_in_another_currency",
            "Unit costs in another currency",
            "Order {order}: its currency is {currency}, and its invoice would carry unit costs, which are in"
            " {cost_currency} as “Currency of unit costs” says.",
            "accountant",
            "Correct “Currency of unit costs” in the settings, or set “Price on the invoice” to “Sale price” there. The"
            " order is then posted by itself.",
            frozenset({"invoice_price", "cost_currency", "currency"}),
        ),
        Kind(
            "total_differs",
            "Total would differ in Xero",
            "Order {order}: {what} comes to {theirs} on the order and would come to {ours} in Xero, {difference} apart."
            " More than {limit} here is no rounding, and never posted.",
            "accountant",
            "Compare the order's prices with and without tax; correct them on the platform and send the"
            " order again, or change “Prices with or without tax” in the settings. The order is then posted by itself.",
            _TOTAL_KEYS,
        ),
        Kind(
            "purchase_total_differs",
            "Purchase total would differ",
            "Order {order}: by its unit costs {what} comes to {theirs}, and on the purchase order would come to {ours}"
            " in Xero ({difference} apart), which rounds them to 4 decimals and each line to cents. More than {limit}"
            " here is never posted.",
            "accountant",
            "Round the unit costs on the platform to whole cents and send the order again; it is then posted by"
            " itself.",
            frozenset({"process_method"}),
        ),
        Kind(
            "no_rounding_account",
            "No rounding account",
            "Order {order}: it needs a rounding line of {difference}, but {organisation} has no rounding"
            " account in Xero.",
            "accountant",
            "Set “Rounding differences” to “Only show it here” in the settings, or ask Xero's support for the"
            " rounding account. The order is then posted by itself.",
            frozenset({"rounding"}),
            watches=_ACCOUNTS,
        ),
        Kind(
            "no_rounding_tax_type",
            "No tax rate for rounding",
            "Order {order}: it needs a rounding line of {difference}, but no single tax rate of 0 % can be used"
            " with account {account} in Xero. There are: {choices}.",
            "accountant",
            "Set “Rounding differences” to “Only show it here” in the settings. A row for 0 % and anywhere under “Tax"
            " rates” helps too, but then holds for your sales at 0 % as well: ask your accountant first. The order is"
            " then posted by itself.",
            frozenset({"rounding", "tax_types"}),
            watches=_TAXES,
        ),
        Kind(
            "amount_too_large",
            "Amount too large",
            "Order {order}: {line} comes to {amount}, more than Xero takes on one line.",
            "platform",
            "Check the quantity and price of {line}, correct the order and send it again; it is then posted by itself.",
            frozenset({"invoice_price"}),
        ),
        Kind(
            "negative_total",
            "Total below zero",
            "Order {order}: it comes to {total}; Xero takes no {document} below zero.",
            "accountant",
            "Enter a credit note in Xero by hand and set the order aside, or correct the order on the platform and send"
            " it again; it is then posted by itself.",
            frozenset({"invoice_price"}),
        ),
        Kind(
            "date_locked",
            "Date in a locked period",
            "Order {order}: its date {date} is in a period that is locked in Xero up to {lock_date}.",
            "accountant",
            "Set “When the date is locked” in the settings to “Use the first open day”, which then holds for all such"
            " orders. Or move the lock date in Xero, if the tax return of that period is not filed yet. The order is"
            " then posted by itself.",
            frozenset({"lock_date_action", "post_when", "order_time_zone"}),
            watches=_LOCK_DATES,
        ),
        Kind(
            "no_sale",
            "Perhaps no sale",
            "Order {order}: it is {status} on the platform, so it may be no sale{half}.",
            "accountant",
            "Press Post if it belongs in the books all the same, or Skip if it does not.{decides}",
            frozenset({"refunded_orders"}),
            retry_label="Post",
        ),
        Kind(
            "contact_not_found",
            "Contact not found",
            "Order {order}: the contact “{contact}” does not exist in Xero.",
            "office",
            "Add a contact named exactly “{contact}” in Xero, or enter an existing contact's name under “{label}” in"
            " the settings. The order is then posted by itself.",
            _CONTACT_KEYS,
            watches=_CONTACTS,
            words_with={
                "now_called": (
                    "Order {order}: the contact “{contact}” does not exist in Xero any more. The contact used before is"
                    " now called “{now_called}”.",
                    "If “{now_called}” is the customer you mean, use it: enter that name under “{label}” in the"
                    " settings. If not, add a contact named exactly “{contact}” in Xero. The order is then posted by"
                    " itself.",
                )
            },
        ),
        Kind(
            "contact_refused",
            "Contact refused by Xero",
            "Order {order}: Xero does not take the contact “{contact}” on the {document} {number}.",
            "office",
            "Look at the contact in Xero. If it was merged or deleted, enter another contact's name under"
            " “{label}” in the settings. If not, put right what Xero names below. The order is then posted by itself.",
            _CONTACT_KEYS,
            watches=_CONTACTS,
        ),
        Kind(
            "contact_archived",
            "Contact archived",
            "Order {order}: the contact “{contact}” is archived in Xero.",
            "office",
            "Restore the contact in Xero, or enter another one under “{label}” in the settings. The order is then"
            " posted by itself.",
            _CONTACT_KEYS,
            watches=_CONTACTS,
            words_with={
                "now_called": (
                    "Order {order}: the contact “{contact}” is archived in Xero. The contact used before was merged, or"
                    " is now called “{now_called}”.",
                    "If “{now_called}” is the customer you mean, use it: enter that name under “{label}” in the"
                    " settings. If not, restore “{contact}” in Xero. The order is then posted by itself.",
                )
            },
        ),
        Kind(
            "contact_not_unique",
            "Several contacts of that name",
            "Order {order}: Xero has more than one contact named “{contact}”.",
            "office",
            "Rename the contacts in Xero that are not meant, so that one “{contact}” is left. Merge them only if"
            " they are the same customer: that cannot be undone. Or enter another contact's name under “{label}” in the"
            " settings. The order is then posted by itself.",
            _CONTACT_KEYS,
            watches=_CONTACTS,
            words_with={
                "similar": (
                    "Order {order}: Xero has no contact named “{contact}”, but several whose names differ from it only"
                    " in their accents: {similar}.",
                    "Enter the exact name of the contact you mean under “{label}” in the settings. The order is then"
                    " posted by itself.",
                )
            },
        ),
        Kind(
            "contact_invalid",
            "Mistake in the contact",
            "Order {order}: Xero finds a mistake in the record of the contact “{contact}”.",
            "office",
            "Open the contact in Xero, correct what Xero names below, and save it. The order is then posted by"
            " itself.",
            _CONTACT_KEYS,
            watches=_CONTACTS,
        ),
        Kind(
            "contact_not_searchable",
            "Contact name not searchable",
            "Order {order}: Xero would not look for a contact named “{contact}”.",
            "office",
            "Give the contact a name without unusual signs in Xero, and enter that under “{label}” in the settings. The"
            " order is then posted by itself. Xero's reason is below.",
            _CONTACT_KEYS,
        ),
        # --- items and stock ---
        Kind(
            "item_not_tracked",
            "Item not tracked",
            "Order {order}: the item {item} exists in Xero but is not a tracked item.",
            "accountant",
            "Press “Use it as it is” to post the order with the item untracked, or make {item} a tracked item"
            " in Xero and press Retry.",
            frozenset({"process_method"}),
        ),
        Kind(
            "item_not_found",
            "Item not found",
            "Order {order}: Xero does not take the item {item} on the {document} {number}.",
            "office",
            "Look for the item in Xero, under Products and services. If it is there, make sure that it is active and"
            " can be bought and sold. Then press Retry: an item that is missing is added.",
            frozenset({"process_method"}),
        ),
        Kind(
            "item_not_shown",
            "Item not shown by Xero",
            "Order {order}: Xero says that the item {item} exists, but does not show it under that code.",
            "accountant",
            "Look for the item in Xero, under Products and services, inactive ones too. Make it active, or give it"
            " exactly that code, and press Retry.",
            frozenset({"process_method"}),
        ),
        Kind(
            "item_refused",
            "Item refused by Xero",
            "Order {order}: Xero did not take the item {item}.",
            "accountant",
            "Xero's reason is below. If it is about an account, choose another one under “Cost of goods sold account”,"
            " “Inventory asset account” or “Sales account” in the settings; the order is then posted by itself. If not,"
            " put right in Xero what it names, and press Retry.",
            _ACCOUNT_KEYS,
        ),
        Kind(
            "stock_refused",
            "Too little stock",
            "Order {order}: Xero has too little stock of {item} for the sales invoice, and did not take a"
            " draft either.",
            "accountant",
            "Bring what is missing into stock in Xero: copy the order's purchase order there to a bill, if that is not"
            " done yet, and approve the bill. Then press Retry.",
            frozenset({"process_method", "invoice_status"}),
        ),
        # --- numbers ---
        Kind(
            "number_taken",
            "Number already in use",
            "Order {order}: Xero already has a {document} {number} that did not come from this order.",
            "office",
            "Look at {number} in Xero. If it is this order's, add {ref} to its reference there and press Retry. If it"
            " is not, and nobody has received it yet, give it another number there and press Retry. If somebody has"
            " received it, enter the order in Xero by hand and set it aside.",
        ),
        Kind(
            "number_spent",
            "Number of a deleted document",
            "Order {order}: the number {number} belongs to a {document} that was deleted or voided in Xero.",
            "office",
            "Xero takes a number once, so the order can't be posted from here. If it belongs in the books, enter it in"
            " Xero by hand. Then set it aside.",
        ),
        Kind(
            "settings_prefix_clash",
            "Number prefix already in use",
            "Order {order}: the number prefix {prefix} is already used by company {company} in the same Xero"
            " organisation, {organisation}.",
            "office",
            "Enter another “Number prefix” in the settings. The orders it stopped are then posted by themselves.",
            frozenset({"number_prefix"}),
        ),
        # --- what Xero refuses ---
        Kind(
            "account_not_usable",
            "Account unusable on the document",
            "Order {order}: Xero does not take account {account}{as_set} on a {document}.",
            "accountant",
            "Look at account {account} in Xero, under Chart of accounts: it must be active, and of a type that fits."
            " Put that right, or choose another account in the settings. The order is then posted by itself.",
            _ACCOUNT_KEYS,
            watches=_ACCOUNTS,
        ),
        Kind(
            "account_refused",
            "Account refused by Xero",
            "Order {order}: a line of the {document} {number} has no account that Xero takes.",
            "accountant",
            "Compare the accounts in the settings with those in Xero, and correct what differs. The order is then"
            " posted by itself. If nothing differs, tell whoever runs this integration, naming order {order}.",
            _ACCOUNT_KEYS,
            watches=_ACCOUNTS,
        ),
        Kind(
            "tax_rate_refused",
            "Tax rate refused by Xero",
            "Order {order}: Xero does not take {tax_rate} of a line of the {document} {number}.",
            "accountant",
            "Look whether “{label}” and the accounts in the settings still fit those in Xero, and correct what does"
            " not. The order is then posted by itself.",
            _TAX_KEYS | _ACCOUNT_KEYS,
            watches=_TAXES,
        ),
        Kind(
            "currency_refused",
            "Currency refused by Xero",
            "Order {order}: Xero does not take the currency {currency} on the {document} {number}.",
            "accountant",
            "Compare the order's currency with those in Xero (Settings, Currencies; some Xero plans have one"
            " currency only), and put right what Xero names below. Once {currency} is added there, the order is posted"
            " by itself; after anything else press Retry.",
            frozenset({"currency", "cost_currency"}),
            watches=_CURRENCIES,
        ),
        Kind(
            "date_refused",
            "Date refused by Xero",
            "Order {order}: Xero does not take a date of the {document} {number}, which is dated {date}.",
            "accountant",
            "Xero's reason is below. If it is about the due date, correct “Payment terms in days” in the settings. If"
            " it is about the date of sale, correct that on the platform and send the order again. The order is then"
            " posted by itself. If something has to change in Xero, do that and press Retry.",
            frozenset({"payment_terms_days", "post_when"}),
            watches=_LOCK_DATES,
        ),
        Kind(
            "document_too_large",
            "Document too large for Xero",
            "Order {order}: the {document} {number} is larger than what Xero takes at once.",
            "platform",
            f"Split the order on the platform and send the parts, or {_BY_HAND}.",
        ),
        Kind(
            "tracking_unknown",
            "Tracking categories not in Xero",
            "Order {order}: Xero does not know the tracking categories in the settings: {tracking}.",
            "accountant",
            "Compare “Tracking categories” in the settings with those in Xero, name and option letter by letter, and"
            " correct or take out what differs: the order is then posted by itself. If they are right, add them in Xero"
            " and press Retry.",
            frozenset({"tracking_categories"}),
        ),
        Kind(
            "branding_unknown",
            "Branding theme not in Xero",
            "Order {order}: Xero does not know the branding theme in the settings, {branding_theme}.",
            "accountant",
            "Leave “Branding theme” in the settings empty, and Xero uses its usual one; or enter the id of another"
            " theme there. The order is then posted by itself.",
            frozenset({"branding_theme_id"}),
        ),
        Kind(
            "plan_limit",
            "Limit of the Xero plan",
            "Order {order}: your Xero plan approves no more invoices this month.",
            "accountant",
            "Set “Invoice status” in the settings to Draft, and the order is posted by itself. Or raise the Xero plan,"
            " or wait for next month, and press Retry.",
            frozenset({"invoice_status"}),
        ),
        Kind(
            "amounts_refused",
            "Amounts refused by Xero",
            "Order {order}: Xero reckons the amounts of the {document} {number} differently and did not take"
            " it.",
            "operator",
            "Xero's reason is below. Tell whoever runs this integration, naming order {order}; once it is"
            " mended, press Retry.",
            _TOTAL_KEYS,
        ),
        Kind(
            "document_not_allowed",
            "Not allowed by Xero",
            "Order {order}: Xero does not let this connection create the {document} {number}.",
            "accountant",
            "Ask whoever administers Xero whether the plan and the connected person's role allow a"
            " {document}, then press Retry.",
            frozenset({"invoice_status", "purchase_order_status"}),
        ),
        Kind(
            "refused_by_xero",
            "Refused by Xero",
            "Order {order}: Xero did not take the {document} {number}; its reason is below.",
            "accountant",
            "Correct in Xero or in the settings what Xero names, then press Retry.",
        ),
        # --- the document exists, a person should look at it ---
        Kind(
            "posted_total_differs",
            "Posted, total differs",
            "Order {order}: {number} was posted, but comes to {xero_total} in Xero and {order_total} on the"
            " order.",
            "accountant",
            "Open {number} in Xero and correct it there if need be. Then press “Accept as it is in Xero”: it counts as"
            " posted, and the order goes on.",
            retry_label=ACCEPT,
        ),
        Kind(
            "posted_tax_differs",
            "Posted, tax differs",
            "Order {order}: {number} was posted with the order's total, but in Xero its tax is another: {taxes}.",
            "accountant",
            "Open {number} in Xero and correct it there if need be. If a tax rate was changed in Xero, put it right"
            " there, or choose another one under “Tax rates” in the settings. Then press “Accept as it is in Xero”: it"
            " counts as posted, and the order goes on.",
            retry_label=ACCEPT,
        ),
        Kind(
            "adopted_differs",
            "Found in Xero, but differs",
            "Order {order}: {number} was found in Xero from an earlier attempt, but its {field} is {xero_value}"
            " there and should be {value}.",
            "accountant",
            "Open {number} in Xero and correct it there if need be. Then press “Accept as it is in Xero”: it counts as"
            " posted, and the order goes on.",
            retry_label=ACCEPT,
        ),
        Kind(
            "posted_contact_differs",
            "Posted, contact differs",
            "Order {order}: {number} was posted for “{xero_value}”, but the settings name “{contact}”. The contact was"
            " renamed in Xero.",
            "office",
            "If “{xero_value}” is the customer you mean, enter that name under “{label}” in the settings. If not, open"
            " {number} in Xero and change its contact to “{contact}”. Then press “Accept as it is in Xero”: it counts"
            " as posted, and the order goes on.",
            retry_label=ACCEPT,
        ),
        Kind(
            "may_already_be_in",
            "Perhaps in the former books",
            "Order {order}: it may already be in the books of {organisation}, to which this company was"
            " connected before.",
            "accountant",
            "Look for {number} in {organisation}. If it is not there, press Retry. If it is there, set the order aside:"
            " after Retry it would be in your books twice.",
        ),
        # --- posted, and changed afterwards ---
        Kind(
            "document_edited",
            "Edited in Xero",
            "Order {order}: {number} was changed in Xero after it was posted, so nothing was done to it. Posted:"
            " {posted}. In Xero now: {now}.",
            "accountant",
            "Credit, void or correct {number} in Xero by hand. Then press “Done by hand”.",
        ),
        Kind(
            "edited_meanwhile",
            "Edited in Xero meanwhile",
            "Order {order}: {number} was changed in Xero in the very moment in which it was {done} from here. Posted:"
            " {posted}. In Xero now: {now}.",
            "accountant",
            "Look at {number} in Xero and correct it there if need be. If it has a credit note now, see to it that it"
            " is allocated. Then press “Done by hand”.",
        ),
        Kind(
            "correction_refused",
            "Correction refused by Xero",
            "Order {order}: Xero did not let {number} be {done}; its reason is below. Nothing was changed.",
            "accountant",
            "Correct in Xero what it names and press “Try again”, or correct {number} there by hand and press “Done by"
            " hand”.",
        ),
        Kind(
            "credited_by_hand",
            "Credited by hand",
            "Order {order}: {number} has a credit note in Xero that was not made from here. {credited} {currency} of it"
            " are credited by now. Nothing further was done.",
            "accountant",
            "Credit in Xero by hand what is left of {number}, or take back what is too much. Then press “Done by"
            " hand”.",
        ),
        Kind(
            "document_not_found",
            "Document not found",
            "Order {order}: its {document} {number} is not to be found in Xero, so nothing was done.",
            "accountant",
            "Look for {number} in Xero, also among what is deleted or voided. Correct it there by hand if need be. Then"
            " press “Done by hand”.",
        ),
        Kind(
            "still_a_draft",
            "Still a draft",
            "Order {order}: {number} is not approved yet, and only approved invoices can be credited.",
            "accountant",
            "Change the draft in Xero and press “Done by hand”; or approve it there and press “Try again”.",
        ),
        Kind(
            "still_in_xero",
            "Document still in Xero",
            "Order {order}: its {document} {number} still stands in Xero, so it was not posted again.",
            "accountant",
            "To post the order again, delete or void {number} in Xero and press “Try again”. If it is to stay as it is,"
            " press “Done by hand”.",
        ),
        Kind(
            "nothing_to_credit",
            "Nothing to credit",
            "Order {order}: what was to be credited of {number} comes to 0.00, so there is no credit note.",
            "accountant",
            "If stock is to come back, book that in Xero by hand. Then press “Done by hand”.",
        ),
        Kind(
            "credit_too_much",
            "More than can be credited",
            "Order {order}: {asked} {currency} was to be credited. At most {left} {currency} can be credited of it on"
            " {number}.",
            "accountant",
            "Press “Done by hand”, then “Credit part of it” with other quantities or amounts; or credit it in Xero by"
            " hand, and press “Done by hand”.",
            words_with={
                "to_bill": (
                    "Order {order}: what is to be credited had lowered {number}. So {to_bill} {currency} would have to"
                    " be billed again, and a credit note can't do that.",
                    "Bill {to_bill} {currency} in Xero by hand. Then press “Done by hand”.",
                )
            },
        ),
        Kind(
            "posted_unrecorded",
            "Posted by an earlier version",
            "Order {order}: {number} was posted by an earlier version of this integration, so it can't be told whether"
            " anybody has changed it in Xero since. Nothing was done to it.",
            "accountant",
            "Credit, void or delete {number} in Xero by hand. Then press “Done by hand”.",
        ),
        Kind(
            "posted_elsewhere",
            "Posted to another organisation",
            "Order {order}: {number} is in the books of another Xero organisation than the company is connected to"
            " now, so nothing was done.",
            "accountant",
            "Correct {number} in that organisation by hand. Then press “Done by hand”.",
        ),
        Kind(
            "correction_fault",
            "Correction stopped by a mistake",
            "Order {order}: the correction of {number} stopped because of a mistake in this integration, or an outage"
            " (reference {reference}). It may be half done; nothing is done twice.",
            "operator",
            "Whoever runs this integration has been told. Once it is mended, press “Try again”: it then looks in Xero"
            " first.",
        ),
        # --- ours ---
        Kind(
            "our_fault",
            "Mistake in this integration",
            "Order {order}: it could not be handled because of a mistake in this integration, or an outage"
            " (reference {reference}). Nothing of it is lost.",
            "operator",
            "Whoever runs this integration has been told. Once it is mended, press Retry. Where there is no Retry, they"
            " have the order's message handled again; the order is then posted by itself.",
        ),
        Kind(
            "xero_unreadable",
            "No answer from Xero",
            "Order {order}: the {document} {number} is not in Xero. It was sent again and again for an hour, and what"
            " answered was not Xero (reference {reference}).",
            "operator",
            "Something on the way to Xero may refuse this order. Press Retry later. If it stops again, tell whoever"
            " runs this integration, naming the reference.",
        ),
        Kind(
            "xero_fails",
            "Failure in Xero",
            "Order {order}: the {document} {number} is not in Xero. It was sent again and again, at last alone, and"
            " Xero failed each time without saying why (reference {reference}).",
            "operator",
            "Look for something unusual in the order, such as a rare character, and press Retry later. If it stops"
            " again, tell whoever runs this integration, naming the reference; or enter the {document} in Xero by hand"
            " and set the order aside.",
        ),
        Kind(
            "sent_wrongly",
            "Sent wrongly to Xero",
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
    "cancelled": "The order is cancelled on the platform. There is nothing to do.",
    "refunded": "The order is refunded on the platform.",
    "returned": "The order is returned on the platform.",
    "rejected": "The order is rejected on the platform.",
    "partially_refunded": "The order is partially refunded on the platform, and a person skipped it.",
    "partially_returned": "The order is partially returned on the platform, and a person skipped it.",
    "unclear": "A person skipped the order for its status on the platform.",
    "error": "The order has an error on the platform. It is posted once that is solved and it is sent again.",
    "free_of_charge": "The order is free of charge, so there is nothing to invoice.",
    "before_start": "The order was sold before the “Start from” date in the settings. To post it all the same, change"
    " that date and press Retry.",
    "integration_off": "The Xero integration was switched off when the order was to be posted. Once “Switched on” is"
    " ticked in the settings, press Retry.",
    "taken_out": "The company was taken out of the Xero integration by whoever runs it.",
    "already_in_books": "The order is already in these books through company {company}. There is nothing to do.",
    "all_lines_cancelled": "Every line of the order is cancelled. There is nothing to do.",
}

CHANGED: Final[dict[str, str]] = {
    "changed": "The order changed on the platform after it was posted. Decide what becomes of its documents in Xero.",
    "correcting": "Its documents in Xero are being corrected.",
    "note_is_draft": "Its credit note waits in Xero for your approval. Once it is approved, it is allocated to the"
    " invoice by itself.",
    "ask_supplier": "The invoice is dealt with. The purchase order stays in Xero: ask the supplier for a credit if you"
    " need one, then press “Done by hand”.",
    "correction_stopped": "Its documents in Xero could not be corrected by themselves.",
}
"""Why a posted order is on the list of those changed after posting."""

WAITS: Final[dict[str, str]] = {
    "newer_version": "Handled by a newer version of this integration.",
    "not_connected": "Waiting until the company is connected to Xero (“Get Access Token” in the settings).",
    "reconnect": "Waiting until a person connects to Xero again (“Reconnect” in the settings): Xero no longer accepts"
    " the connection.",
    "wrong_credentials": "Waiting until a person corrects the client id and secret in the settings: Xero refuses them.",
    "organisation_unchosen": "Waiting until a person chooses the Xero organisation in the settings, under Connection.",
    "organisation_unconfirmed": "Waiting until a person confirms in the settings, under Connection, that orders should"
    " go to {organisation}.",
    "dispatch": "Waiting for the order to be dispatched.",
    "paused": "Waiting because whoever runs this integration paused posting{because}. It goes on by itself once they"
    " resume it.",
    "minute_limit": "Waiting because Xero takes no more than 60 calls a minute.",
    "day_limit": "Waiting because Xero takes only so many calls a day, and those of today are used up.",
    "xero_offline": "Waiting because Xero does not answer.",
    "organisation_offline": "Waiting because Xero has taken {organisation} offline.",
    "outcome_unknown": "Waiting to learn from Xero whether {number} arrived.",
    "xero_failing": "Waiting because Xero does not answer as it should.",
}
"""Why an order waits. Until when is told beside it, for each reader in their own time."""

TITLES: Final[Mapping[str, str]] = {kind.code: kind.title for kind in CATALOGUE.values()} | {
    "on_hold": "On hold",
    "cancelled": "Cancelled",
    "refunded": "Refunded",
    "returned": "Returned",
    "rejected": "Rejected",
    "partially_refunded": "Partially refunded",
    "partially_returned": "Partially returned",
    "unclear": "Skipped for its status",
    "error": "Error on the platform",
    "free_of_charge": "Free of charge",
    "before_start": "Sold before the start",
    "integration_off": "Integration switched off",
    "taken_out": "Company taken out",
    "already_in_books": "Already in these books",
    "all_lines_cancelled": "All lines cancelled",
    "changed": "Changed after posting",
    "correcting": "Being corrected",
    "note_is_draft": "Credit note to approve",
    "ask_supplier": "Purchase order to settle",
    "correction_stopped": "Correction stopped",
    "newer_version": "Handled by a newer version",
    "not_connected": "Not connected to Xero",
    "reconnect": "Connection lost",
    "wrong_credentials": "Client id or secret wrong",
    "organisation_unchosen": "Organisation not chosen",
    "organisation_unconfirmed": "Organisation not confirmed",
    "dispatch": "Not dispatched yet",
    "paused": "Posting paused",
    "minute_limit": "Xero’s limit a minute",
    "day_limit": "Xero’s limit a day",
    "xero_offline": "Xero not answering",
    "organisation_offline": "Organisation offline in Xero",
    "outcome_unknown": "Outcome not known yet",
    "xero_failing": "Xero failing",
}
"""Every problem and reason in a few words, for lists and filters."""


def title(why: str) -> str:
    """A problem or reason in a few words; "" has none."""
    return TITLES.get(why, TITLES["newer_version"]) if why else ""

"""Xero's refusals: what they call for, and the problem they amount to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from bookkeeping.domain.document_kinds import Created, contact_setting, created_kind
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.settings import Settings

Refusal = Literal["number", "contact", "facts", "stock", "item_exists"]

LONGEST_QUOTE: Final = 500
"""Characters of one of Xero's messages that are kept and read."""


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
        "document": created_kind(document).words,
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


def _account_details(details: Mapping[str, str], document: Created, settings: Settings) -> dict[str, str]:
    account = details.get("account", "")

    def names_it(setting: str) -> bool:
        value = getattr(settings, setting)
        return account in value.values() if isinstance(value, Mapping) else account == value

    kind = created_kind(document)
    settings_of = kind.account_settings
    setting = next(filter(names_it, settings_of), settings_of[0])
    return {
        "setting": setting,
        "label": settings.label(setting),
        "account": account or str(getattr(settings, setting)) or "(none)",
        "account_type": "a stock account",
        "wanted": f"an account that Xero takes on a {kind.words}",
    }


def _tax_details(details: Mapping[str, str], document: Created, settings: Settings) -> dict[str, str]:
    tax_type = details.get("tax_type", "")
    rates = dict.fromkeys(row.rate for row in settings.tax_types if row.tax_type == tax_type)
    return {
        "rate": ", ".join(f"{rate} %" for rate in rates) or "the order's rate",
        "account": _account_details(details, document, settings)["account"],
    }


def _contact_details(details: Mapping[str, str], document: Created, settings: Settings) -> dict[str, str]:
    key = "contact_name" if document == "item" else contact_setting(document, settings)
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

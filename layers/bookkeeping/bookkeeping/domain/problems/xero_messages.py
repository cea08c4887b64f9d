"""Xero's refusals: what they call for, and the problem they amount to.

Xero words one refusal in many ways, with and without quotes and codes. So a message is told by what it is about (a
number, a contact, a tax rate, an account, an item ...), and the code it names is looked for afterwards. What Xero does
not name is never guessed: a problem says what Xero does not take, and quotes Xero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from bookkeeping.domain.document_kinds import Created, contact_setting, created_kind
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.settings import Settings

Refusal = Literal["number", "contact", "facts", "stock", "item_exists"]

LONGEST_QUOTE: Final = 500
"""Characters of one of Xero's messages that are kept and read."""
MOST_QUOTES: Final = 20
"""Of Xero's messages that are kept."""


@dataclass(frozen=True)
class _Saying:
    """One kind of Xero's refusals: words that all its variants have, and the details it may name."""

    words: re.Pattern[str]
    code: str
    refusal: Refusal | None = None
    names: tuple[str, ...] = ()


def _saying(words: str, code: str, refusal: Refusal | None = None, *names: str) -> _Saying:
    return _Saying(re.compile(words, re.IGNORECASE | re.DOTALL), code, refusal, names)


_THING_WITH_NUMBER = r"\b(?:invoice|(?:purchase ?)?order|document)\s?(?:#|num(?:ber)?\b|no\b)"

# The most actionable first: of several messages the one that stands highest here becomes the problem.
_SAYINGS: Final = (
    _saying(
        _THING_WITH_NUMBER + r".*(?:\bunique\b|\balready\b|\btaken\b|\bin use\b|\bduplicate|\bexists\b)"
        r"|\bduplicate "
        + _THING_WITH_NUMBER.removeprefix(r"\b")
        + r"|\b(?:invoice|order)\b.*\balready exists",
        "number_taken",
        "number",
    ),
    _saying(
        r"insufficient (?:stock|quantity)|\bno items? available to sell|\bnot enough (?:stock|quantity)|\bout of stock"
        r"|\bquantity (?:on hand|in stock|available)\b",
        "stock_refused",
        "stock",
        "item",
    ),
    _saying(
        r"\block(?:ed)?[ -]?(?:date|period)|\b(?:date|period)\b.*\blocked\b",
        "date_locked",
        "facts",
        "lock_date",
    ),
    _saying(r"\bcontact\b.*\barchived", "contact_archived", "contact"),
    _saying(r"\bcontact has this contact number|\be-?mail address\b.*\bvalid", "contact_invalid", "contact"),
    _saying(
        r"\bcontact(?: ?name)?\b.*\b(?:already assigned|already exists|unique|more than one|duplicate)",
        "contact_not_unique",
        "contact",
    ),
    _saying(
        r"\bcontact(?: ?(?:id|name|number))?\b(?!\s+(?:us|xero|support|your|our|an? admin|the support)\b)",
        "contact_refused",
        "contact",
    ),
    _saying(r"\btax ?(?:type|rate|code)", "tax_type_not_usable", "facts", "tax_type", "account"),
    _saying(r"account.*\b(?:archived|deleted)", "account_archived", "facts", "account"),
    _saying(r"\bitem\b.*\balready exists|\bduplicate item", "item_not_shown", "item_exists", "item"),
    # without its item, a line on an inventory account is refused for that, too
    _saying(r"\bitem ?code\b|(?<!line )\bitem\b", "item_not_found", None, "item", "account"),
    _saying(r"\b(?:\w*account(?: ?(?:code|id|number|type))?)s?\b", "account_refused", "facts", "account"),
    _saying(r"\b(?:multi-?)?currenc(?:y|ies)|\bcurrency ?code", "currency_refused", "facts", "currency"),
    _saying(r"\btracking ?(?:details|category|categories|option)", "tracking_unknown"),
    _saying(r"\bbranding ?theme", "branding_unknown"),
    _saying(r"\breached the limit of invoices", "plan_limit"),
    _saying(r"\bnot of valid status for", "number_spent"),
    _saying(r"\bquantity\b", "bad_quantity", None, "value"),
    _saying(
        r"\btotal\b.*\bnot (?:match|equal)|\bdiscount ?(?:rate|amount)\b|\btax ?amount",
        "amounts_refused",
    ),
    _saying(r"\b(?:due ?)?date\b|\bdelivery ?date\b", "date_refused"),
    _saying(r"\bnot (?:permitted|allowed|authorised|authorized) to\b", "document_not_allowed"),
    _saying(r"\b(?:tax|vat|gst)\b", "tax_type_not_usable", "facts"),
)

_OPEN, _CLOSE = r"['\"“‘«`]", r"['\"”’»`](?=[\s.,;:)]|$)"
_QUOTED = _OPEN + r"(.{1,60}?)" + _CLOSE
_NO_CODE = r"(?!(?:must|is|was|has|have|does|do|can|cannot|not|for|or|code|codes|on|of|and|in|with|to)\b)"
_DAY = r"(\d{4}-\d\d?-\d\d?|\d{1,2}[-/ .][a-z0-9]{1,9}[-/ .]\d{2,4})"


def _named(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE | re.DOTALL) for pattern in patterns)


_NAMED: Final[Mapping[str, tuple[re.Pattern[str], ...]]] = {
    "account": _named(
        r"account(?: ?(?:with )?(?:code|id|number))?\s*[:=#]?\s*" + _QUOTED,
        r"account(?: ?(?:with )?(?:code|id|number))?\s*[:=#]?\s*((?=[\w./-]*\d)[\w./-]*\w)",
        _QUOTED + r" is not an? (?:\w+ ){0,2}account",
        r"\b((?=[\w./-]*\d)[\w./-]*\w) is not an? (?:\w+ ){0,2}account",
    ),
    "tax_type": _named(
        r"\btax ?(?:type|rate|code)s?(?: ?code)?\s*[:=]?\s*" + _QUOTED,
        r"\btax ?(?:type ?)?code\s*[:=]?\s*" + _NO_CODE + r"([\w-]*\w)",
        r"\btax ?(?:type|rate)\s*[:=]?\s*(?-i:([A-Z][A-Z0-9]{2,}))\b",
    ),
    "item": _named(
        r"\bitem(?: ?code)?(?: with code)?\s*[:=#]?\s*" + _QUOTED,
        r"\bitem ?(?:with )?code\s*[:=#]?\s*" + _NO_CODE + r"(\S*[^\s.,;:])",
        r"\bitem\s*[:=#]?\s*(?-i:(?!ID\b)([A-Z0-9][A-Z0-9._/+-]*[A-Z0-9]))(?!\w)",
    ),
    "currency": _named(
        r"currenc(?:y|ies)(?: ?code)?\s*[:=]?\s*['\"“‘]?(?-i:([A-Z]{3}))\b",
        r"['\"“‘]?(?-i:\b([A-Z]{3}))['\"”’]? (?:is|as|for)\b.*currenc",
    ),
    "lock_date": _named(r"\block.*?" + _DAY, _DAY + r".*\block"),
    "value": _named(r"\bquantity(?: value)?\s*(?:of|is|:|=)?\s*['\"“‘]?(-?\d[\d.]*\d|-?\d)"),
}
"""Detail → where a message may name it, the surest first."""


def refusals(messages: Sequence[str]) -> frozenset[Refusal]:
    """What a refusal calls for before a person is asked.

    `number`: the number is in use, so look whose document it is. `contact`: look the contact up again. `facts`: what is
    known of the organisation (accounts, tax rates, currencies, lock dates) is out of date, so read it again. `stock`:
    send the invoice as a draft. `item_exists`: the item is there already.
    """
    found = (_told_by(message) for message in messages)
    return frozenset(saying.refusal for saying in found if saying is not None and saying.refusal is not None)


def _told_by(message: str) -> _Saying | None:
    """The kind of refusal that a message is."""
    return next((saying for saying in _SAYINGS if saying.words.search(message[:LONGEST_QUOTE])), None)


def quoted(messages: Sequence[str]) -> tuple[str, ...]:
    """Xero's messages as they are kept with an order: each once, bounded in number and length."""
    return tuple(dict.fromkeys(message[:LONGEST_QUOTE] for message in messages))[:MOST_QUOTES]


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
    known: dict[str, str] = {
        "order": order,
        "document": created_kind(document).words,
        "number": number or settings.number_prefix + order,
        **({"organisation": organisation} if organisation else {}),
        **(sent or {}),
    }
    found = [(saying, message) for message in messages if (saying := _told_by(message)) is not None]
    for saying, message in sorted(found, key=lambda one: _SAYINGS.index(one[0])):
        said = {name: value for name in saying.names if (value := _value(name, message))}
        if document == "item" and "account" not in said and saying.refusal != "item_exists":
            continue
        completed = _completed(saying.code, {**known, **said}, document, settings)
        if completed is not None:
            code, details = completed
            # what decided is kept, whatever else Xero said before it
            says = quoted(messages)
            if message[:LONGEST_QUOTE] not in says:
                says = (message[:LONGEST_QUOTE], *says[:-1])
            return Problem(code, details, says)
    return Problem("refused_by_xero", known, quoted(messages))


def _value(name: str, message: str) -> str:
    """A detail as a message names it; empty where it does not."""
    found = (pattern.search(message[:LONGEST_QUOTE]) for pattern in _NAMED[name])
    return next((match[1].strip() for match in found if match), "")


def _completed(
    code: str, details: dict[str, str], document: Created, settings: Settings
) -> tuple[str, dict[str, str]] | None:
    """The code and details with what the settings know of the thing; None where it can't be what Xero means."""
    if code in ("account_archived", "account_refused"):
        return _account(code, details, document, settings)
    if code == "item_not_found" and document == "item":
        return _account("account_refused", details, document, settings)
    if code == "tax_type_not_usable":
        return _tax(details, document, settings)
    if code == "tracking_unknown":
        chosen = "; ".join(f"{one['Name']}: {one['Option']}" for one in settings.tracking_categories)
        return (code, {"tracking": chosen, **details}) if chosen else None
    if code == "branding_unknown":
        theme = settings.branding_theme_id
        return (code, {"branding_theme": theme, **details}) if theme else None
    if code == "bad_quantity":
        return (code, {"field": "quantity", **details}) if "value" in details else None
    if code.startswith("contact_"):
        return code, {**_contact(document, settings), **details}
    return code, {**_UNNAMED.get(code, {}), **details}


_UNNAMED: Final[Mapping[str, Mapping[str, str]]] = {
    "number_taken": {"ref": "the order's reference"},
    "stock_refused": {"item": "an item"},
    "item_not_found": {"item": "of a line"},
    "item_not_shown": {"item": "of a line"},
    "date_locked": {"lock_date": "a day that Xero did not name"},
}
"""What stands in a sentence where Xero names nothing."""


def _labels(account: str, document: Created, settings: Settings) -> list[str]:
    """The settings that an account of the document may come from, as the page names them."""

    def names_it(setting: str) -> bool:
        value = getattr(settings, setting)
        if isinstance(value, tuple):
            return any(row.account == account for row in value)
        return account in value.values() if isinstance(value, Mapping) else account == value

    return [
        settings.label(setting) for setting in created_kind(document).account_settings if names_it(setting)
    ]


def _account(
    code: str, details: dict[str, str], document: Created, settings: Settings
) -> tuple[str, dict[str, str]]:
    if "account" not in details:
        return "account_refused", details
    labels = _labels(details["account"], document, settings)
    if labels and code == "account_archived":
        return code, {**details, "label": labels[0]}
    as_set = f" ({', '.join(f'“{label}”' for label in labels)})" if labels else ""
    return "account_not_usable", {**details, "as_set": as_set}


def _tax(details: dict[str, str], document: Created, settings: Settings) -> tuple[str, dict[str, str]]:
    sales = document != "purchase_order"
    tax_type = details.get("tax_type", "")
    if not tax_type or "account" not in details:
        label = settings.label("tax_types") if sales else settings.purchase_tax_label(tax_type)
        named = f"the tax rate {tax_type}" if tax_type else "the tax rate"
        return "tax_rate_refused", {**details, "label": label, "tax_rate": named}
    if not sales:
        return "purchase_tax_type_not_usable", {**details, "label": settings.purchase_tax_label(tax_type)}
    rates = dict.fromkeys(f"{row.rate} %" for row in settings.tax_types if row.tax_type == tax_type)
    return "tax_type_not_usable", {"rate": ", ".join(rates) or "the order's rate", **details}


def _contact(document: Created, settings: Settings) -> dict[str, str]:
    key = "contact_name" if document == "item" else contact_setting(document, settings)
    return {"setting": key, "label": settings.label(key), "contact": str(getattr(settings, key))}

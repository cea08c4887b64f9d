"""The settings page with canned answers: the real templates, script and styles, and an API that says what it is told.

It is here so that every state of the page can be looked at without waiting for it to happen.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

from flask import Flask, Response, jsonify, redirect, request
from jinja2 import Environment, FileSystemLoader
from werkzeug.serving import make_server

from bookkeeping.domain.documents_in_xero import stands_by
from bookkeeping.domain.mail import SWITCHED_OFF, Address, status_words
from bookkeeping.domain.problems.catalogue import CHANGED, title
from bookkeeping.use_cases.page.corrections import LABELS, Asked
from functions.settings_page.join_modules import joined

Json = dict[str, Any]

PAGE = Path(__file__).parents[2] / "functions" / "settings_page"
COMPANY = "77"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

SETTINGS: Json = {
    "enabled": True,
    "process_method": "untracked",
    "sales_account_code": "",
    "cogs_account_code": "",
    "inventory_asset_account_code": "",
    "shipping_account_code": "",
    "sales_accounts_by_sku_prefix": {},
    "contact_name": "",
    "purchase_order_contact_name": "",
    "invoice_status": "DRAFT",
    "purchase_order_status": "DRAFT",
    "number_prefix": "KX-",
    "payment_terms_days": 30,
    "invoice_price": "sale",
    "tax_types": [],
    "purchase_tax_types": [],
    "purchase_tax_type": "",
    "line_amounts": "auto",
    "rounding": "line",
    "currency": "",
    "post_when": "arrival",
    "start_from": None,
    "order_time_zone": "",
    "refunded_orders": "ask",
    "cancellations": "ask",
    "void_approved": False,
    "credit_note_status": "AUTHORISED",
    "cost_currency": "",
    "free_of_charge": "none",
    "lock_date_action": "hold",
    "branding_theme_id": "",
    "tracking_categories": [],
    "errors_email": "",
}
NEEDED = ("sales_account_code", "contact_name")
NEEDED_FOR_TRACKED = (*NEEDED, "cogs_account_code", "inventory_asset_account_code")

ORGANISATION: Json = {"id": "7b1c6f0e-54c8-4f0e-9d0b-3a52f6f2c1aa", "name": "Thistle & Thread Ltd"}
OTHER_ORGANISATION: Json = {
    "id": "c0ffee00-1111-4222-8333-944455566677",
    "name": "Thistle & Thread Scotland Ltd",
}

ACCOUNTS = [
    {"code": "200", "name": "Sales", "type": "REVENUE", "tax_type": "OUTPUT2", "for": "sales shipping"},
    {
        "code": "205",
        "name": "Sales of embroidery",
        "type": "REVENUE",
        "tax_type": "OUTPUT2",
        "for": "sales shipping",
    },
    {
        "code": "260",
        "name": "Other Revenue",
        "type": "REVENUE",
        "tax_type": "OUTPUT2",
        "for": "sales shipping",
    },
    {"code": "310", "name": "Cost of Goods Sold", "type": "DIRECTCOSTS", "tax_type": "INPUT2", "for": "cogs"},
    {"code": "630", "name": "Inventory", "type": "INVENTORY", "tax_type": "NONE", "for": "inventory"},
]
TAX_RATES = [
    {"tax_type": "OUTPUT2", "name": "20% (VAT on Income)", "rate": "20", "for": "sales"},
    {"tax_type": "ZERORATEDOUTPUT", "name": "Zero Rated Income", "rate": "0", "for": "sales"},
    {"tax_type": "INPUT2", "name": "20% (VAT on Expenses)", "rate": "20", "for": "purchases"},
]
CONTACTS = [
    {"id": "1", "name": "Kornit X orders"},
    {"id": "2", "name": "Kornit X wholesale"},
    {"id": "3", "name": "Müller & Søn"},
]


def connection(status: str = "not_connected", **more: Any) -> Json:
    """The connection as the API tells it."""
    words = {
        "not_connected": "This company has not been connected to Xero yet.",
        "choose_organisation": "You gave access to several organisations. Choose one.",
        "connected": "Orders go to Thistle & Thread Ltd.",
        "confirm_organisation": "The connection leads to another organisation than before, so nothing is posted.",
        "needs_reconnect": "Xero no longer accepts the connection, so orders wait here.",
        "wrong_credentials": "Xero refuses the client id or the client secret.",
        "cut_off": "Somebody disconnected this app in Xero, so orders wait here.",
        "disconnected": "The company was disconnected on this page.",
    }[status]
    fix = {
        "needs_reconnect": "Press Reconnect and log in to Xero. Waiting orders are then posted by themselves.",
        "wrong_credentials": "Generate a new secret in Xero's developer portal, enter it here and save.",
        "cut_off": "Press Reconnect, and allow access in Xero.",
    }.get(status)
    linked = status in {
        "connected",
        "confirm_organisation",
        "needs_reconnect",
        "wrong_credentials",
        "cut_off",
    }
    tokens = status in {"connected", "confirm_organisation", "choose_organisation"}
    masked = "••••••••" if tokens else None
    return {
        "status": status,
        "words": words,
        "fix": fix,
        "other_app": False,
        "organisation": ORGANISATION if linked else None,
        "previous_organisation": None,
        "choices": [],
        "tenant_id": ORGANISATION["id"] if linked else "",
        "access_token": {"masked": masked, "expires_at": "2031-03-04T10:42:00Z" if tokens else None},
        "refresh_token": {"masked": masked, "expires_at": "2031-05-03T10:12:00Z" if tokens else None},
        "scopes_missing": "",
        "connected_by": "Ada Moore" if linked else None,
        "connected_at": "2031-03-04T10:12:00Z" if linked else None,
        **more,
    }


def check(name: str, title: str, words: str, result: str = "good", fix: str = "", setting: str = "") -> Json:
    """One thing of Check setup as the API tells it."""
    return {"name": name, "title": title, "result": result, "words": words, "fix": fix, "setting": setting}


def tax_row(rate: str, tax_type: str, ships_to: str = "anywhere", *, reverse_charge: bool = False) -> Json:
    """A row of “Tax rates” as the API tells it."""
    return {
        "rate": rate,
        "ships_to": ships_to,
        "tax_type": tax_type,
        "account": "",
        "reverse_charge": reverse_charge,
    }


def order(order_id: str, state: str = "posted", **more: Any) -> Json:
    """An order as the API tells it."""
    words = {
        "queued": "Will be posted in a moment.",
        "posting": "Is being posted.",
        "posted": "Posted as a draft.",
        "waiting": "Waiting because Xero does not answer.",
        "needs_attention": "Needs attention.",
        "skipped": "The order is cancelled on the platform.",
        "set_aside": "Set aside by Ada Moore: Booked by hand as INV-7",
    }[state]
    documents = [invoice(order_id)] if state == "posted" else []
    about = {
        "reason": {"waiting": "xero_offline", "skipped": "cancelled"}.get(state),
        "problem": problem(order_id) if state == "needs_attention" else None,
        **more,
    }
    return {
        "id": order_id,
        "number": f"KX-{order_id}",
        "state": state,
        "words": words,
        "until": "2031-03-04T10:55:00Z" if state == "waiting" else None,
        "received_at": "2031-03-04T10:40:00Z",
        "changed_at": "2031-03-04T10:41:00Z",
        "title": title(why(about)),
        "ref": f"TT-{order_id}",
        "external_ref": f"SHOP#{order_id[-4:]}",
        "currency": "GBP",
        "sold_on": "2031-03-03",
        "total": "63.35",
        "credited": None,
        "comes_to": more.get("total", "63.35"),
        "documents": documents,
        "changes": [],
        "correction": None,
        "can_retry": state in {"needs_attention", "skipped"},
        "retry_label": "Retry",
        "can_set_aside": state in {"needs_attention", "waiting", "skipped"},
        "set_aside": aside("Ada Moore", "Booked by hand as INV-7") if state == "set_aside" else None,
        **about,
    }


def aside(by: str, because: str) -> Json:
    return {"by": by, "at": "2031-03-04T10:42:00Z", "because": because}


def problem(order_id: str, code: str = "account_not_found") -> Json:
    by_itself = code not in ("item_not_tracked", "no_sale")
    return {"title": title(code), "fields": [], "by_itself": by_itself, "now_called": None} | _problem(
        order_id, code
    )


def _problem(order_id: str, code: str) -> Json:
    if code == "contact_not_found":
        return {
            "code": code,
            "sentence": f"Order {order_id}: the contact “Kornit X orders” does not exist in Xero any more. The contact"
            " used before is now called “Harbour Cafe Ltd”.",
            "who": "office",
            "fix": "If “Harbour Cafe Ltd” is the customer you mean, use it: enter that name under “Contact name” in the"
            " settings. If not, add a contact named exactly “Kornit X orders” in Xero. The order is then posted by"
            " itself.",
            "xero_says": [],
            "now_called": {"setting": "contact_name", "name": "Harbour Cafe Ltd"},
        }
    if code == "item_not_tracked":
        return {
            "code": code,
            "sentence": f"Order {order_id}: the item MUG-01 exists in Xero but is not a tracked item.",
            "who": "accountant",
            "fix": "Press “Use it as it is” to post the order with the item untracked, or make MUG-01 a tracked item"
            " in Xero and press Retry.",
            "xero_says": [],
        }
    if code == "no_sale":
        return {
            "code": code,
            "sentence": f"Order {order_id}: it is refunded on the platform, so it may be no sale.",
            "who": "accountant",
            "fix": "Press Post if it belongs in the books all the same, or Skip if it does not. “Refunded orders” in"
            " the settings decides this for all such orders.",
            "xero_says": [],
        }
    return {
        "code": code,
        "sentence": f"Order {order_id}: “Sales account” is set to account 999, which does not exist in Xero or cannot"
        " be used on a sales invoice.",
        "who": "office",
        "fix": "Choose an account that exists in Xero for “Sales account” in the settings, or add 999 in Xero and"
        " press Retry.",
        "xero_says": ["Account code '999' is not a valid code for this document."],
    }


def invoice(order_id: str, **more: Any) -> Json:
    return {
        "kind": "invoice",
        "number": f"KX-{order_id}",
        "status": "DRAFT",
        "total": "98.45",
        "currency": "GBP",
        "link": f"https://go.xero.com/app/!mBdtL/invoicing/view/{order_id}",
        "notes": [],
        "stands": stands_by(str(more.get("status", "DRAFT"))),
        "read_at": None,
        **more,
    }


AFTER_POSTING: Json = {
    "version": 3,
    "may_credit": True,
    "choices": [],
    "credit_notes": [],
    "creditable": [],
    "may_return_stock": False,
}
"""What the API tells of an order beside what was posted."""


CREDITABLE: list[Json] = [
    {
        "line": 1,
        "description": "Organic T-shirt, navy, XL, front print",
        "quantity": "12",
        "left": "10",
        "credited": "9.90",
    },
    {"line": 2, "description": "Mug “Good morning”", "quantity": "1", "left": "0", "credited": "10.00"},
    {"line": 0, "description": "Shipping", "quantity": "1", "left": "", "credited": "1.00"},
]
CREDITED: Json = {
    "number": "KX-5012340-CN",
    "status": "PAID",
    "total": "20.90",
    "currency": "GBP",
    "link": "https://go.xero.com/note/1",
    "credited": [
        {"line": 1, "pieces": "2", "amount": "9.90"},
        {"line": 2, "pieces": "1", "amount": "10.00"},
        {"line": 0, "pieces": "", "amount": "1.00"},
    ],
}
"""A credit note as the API tells it."""


def offered(*asked: Asked) -> list[Json]:
    """What a person can ask for, as the API tells it."""
    words = {
        "cancel": "KX-5012340 is approved: a credit note over all that is left of it is created, and allocated to the"
        " invoice as far as that is unpaid. What somebody has changed in Xero is left alone, and shown here.",
        "credit": "You enter quantities or amounts, and a credit note over them is created, and allocated to the"
        " invoice as far as that is unpaid. Only an approved invoice can be credited.",
        "post_again": "Only if KX-5012340 is deleted or voided in Xero: the order is posted anew as KX-5012340-2.",
        "try_again": "Xero is asked how its documents stand, and what was asked for goes on from there.",
        "done_by_hand": "Nothing is done in Xero. The order leaves the list of those changed after posting.",
    }
    return [{"asked": one, "label": LABELS[one], "words": words[one]} for one in asked]


def mail_address(address: str, status: str = "new", **more: Any) -> Json:
    """An address as the API tells it."""
    words, fix = status_words(Address(COMPANY, address, status))  # type: ignore[arg-type]
    can_ask = status in {"asked"} | SWITCHED_OFF
    told = {"address": address, "status": status, "words": words, "fix": fix, "can_ask": can_ask}
    return {**told, "changed_at": None if status == "new" else "2031-03-04T10:20:00Z", **more}


def because(about: str, words: str, setting: str = "", title: str = "", field: str = "") -> Json:
    """A reason as the API tells it."""
    named = {"name": setting, "title": title} if setting else None
    return {"about": about, "words": words, "setting": named, "field": field or None}


def explained(order_id: str, account: str = "200 (Sales)", version: str = "version 3", **more: Any) -> Json:
    """A document with its reasons, as the API tells it."""
    price = "Setting “Price on the invoice”, version 3, says sale price."
    return {
        "kind": "invoice",
        "number": f"KX-{order_id}",
        "date": "2031-03-04",
        "due_date": "2031-04-03",
        "currency": "GBP",
        "amounts": "Inclusive",
        "net": "49.50",
        "taxes": [{"name": "20% (VAT on Income) (OUTPUT2, 20 %)", "tax": "9.90"}],
        "total": "59.40",
        "why": [
            because(
                "date",
                "The day of the sale, sent as 2031-03-04 09:12:00, because orders are posted as they arrive (“When to"
                " post”, version 3).",
                "post_when",
                "When to post",
                "sale_datetime",
            ),
            because(
                "date",
                "That day is locked in Xero, so it is the first open day: setting “When the date is locked”, version"
                " 3.",
                "lock_date_action",
                "When the date is locked",
            ),
            because(
                "due_date",
                "30 days after its date: setting “Payment terms in days”, version 3.",
                "payment_terms_days",
                "Payment terms in days",
            ),
            because(
                "contact",
                "“Kornit X orders”: setting “Contact name”, version 3.",
                "contact_name",
                "Contact name",
            ),
            because("currency", "GBP, as the order states it.", field="currency_code"),
        ],
        "lines": [
            {
                "description": "Organic T-shirt, navy, XL, front print, TSHIRT-NAVY-XL",
                "quantity": "12",
                "price": "4.95",
                "why": [
                    because(
                        "account",
                        f"Account {account}: setting “Sales account”, {version}.",
                        "sales_account_code",
                        "Sales account",
                    ),
                    because(
                        "tax", "Tax 20% (VAT on Income) (OUTPUT2, 20 %): the account’s own tax rate in Xero."
                    ),
                    because("rate", "Rate 20 %, as the order states it.", field="sale_vat_rate"),
                    because(
                        "price",
                        f"Price 4.95: the order’s sale price with tax, as sent. {price}",
                        "invoice_price",
                        "Price on the invoice",
                        "unit_sale_price_inc_tax",
                    ),
                ],
            }
        ],
        **more,
    }


def explained_in_xero(order_id: str, **more: Any) -> Json:
    return explained(order_id) | {
        "settings_version": 3,
        "facts_read_at": "2031-03-04T10:50:00Z",
        "remark": None,
        **more,
    }


def contact_note(name: str) -> Json:
    return {
        "name": "contact_name",
        "message": f"There is no contact “{name}” in Xero. Add it there, or choose another.",
    }


def changed(one: Json) -> bool:
    """Whether it changed after it was posted."""
    return one["state"] == "posted" and bool(one["reason"])


def why(one: Json) -> str:
    return str(one["problem"]["code"] if one["problem"] else one["reason"] or "")


LINES = [
    {
        "sku": "TSHIRT-NAVY-XL",
        "description": "Organic T-shirt, navy, XL, front print",
        "quantity": "12",
        "price": "4.1250",
        "price_inc_tax": "4.9500",
        "cost": "2.1000",
        "tax_rate": "20",
        "cancelled": False,
    },
    {
        "sku": "MUG-01",
        "description": "Mug “Good morning”",
        "quantity": "1",
        "price": "8.33",
        "price_inc_tax": "10.00",
        "cost": None,
        "tax_rate": "20",
        "cancelled": True,
    },
]


HISTORY = [
    {
        "at": "2031-03-04T10:41:00Z",
        "by": "",
        "what": "Sent to Xero, which created the sales invoice KX-5012340",
    },
    {"at": "2031-03-04T10:40:30Z", "by": "Grace Okafor", "what": "Pressed Retry"},
    {"at": "2031-03-04T10:40:00Z", "by": "", "what": "Received from the platform"},
]


@cache
def templates() -> Environment:
    return Environment(loader=FileSystemLoader(PAGE / "templates"), autoescape=True)


@cache
def files() -> dict[str, tuple[str, str]]:
    """What the build makes of the page's script and styles: kind and text of each."""
    styles = (PAGE / "static" / "page.css").read_text(encoding="utf-8")
    return {
        "page.js": ("text/javascript", joined(PAGE / "static" / "page.js")),
        "page.css": ("text/css", styles),
    }


@dataclass
class Call:
    method: str
    path: str
    query: dict[str, str]
    body: Any


NEVER_MATCHED: Final[Json] = {
    "state": "never",
    "words": "The books have not been matched yet.",
    "next_at": "2031-03-05T02:10:00Z",
    "result": None,
}


def matched(**changes: Any) -> Json:
    """A match that found no difference."""
    result: Json = {
        "began_at": "2031-03-04T02:10:00Z",
        "ended_at": "2031-03-04T02:11:00Z",
        "in_full": False,
        "first": "2031-01-28",
        "calls": 7,
        "found": 0,
        "differences": [],
        "sums": [
            {
                "kind": "invoice",
                "words": "Sales invoice",
                "currency": "GBP",
                "stands": stands,
                "in_accounts": in_accounts,
                "count": count,
                "net": net,
                "tax": tax,
            }
            for stands, in_accounts, count, net, tax in (
                ("draft", False, 3, "104.50", "20.90"),
                ("paid", True, 1204, "98341.17", "19668.23"),
            )
        ],
        "used": [{"prefix": "KX-", "count": 1207, "first": "KX-5011102", "last": "KX-5012340"}],
        "void": [],
        "voids": 0,
        "skipped": [],
        "skips": 0,
        "others": 0,
        "elsewhere": [],
        "lines_read": 1,
        "lines_left": 0,
    }
    result |= changes
    return {"state": "idle", "words": "", "next_at": "2031-03-05T02:10:00Z", "result": result}


def books_differ() -> Json:
    """A match that found something of most kinds."""
    found = [
        (
            "changed",
            "5012340",
            "Sales invoice KX-5012340 is not as it was posted: tax 3.17 → 0.00; another contact.",
        ),
        ("deleted", "5012339", "Sales invoice KX-5012339 was deleted in Xero."),
        (
            "foreign",
            None,
            "Sales invoice KX-99000001 has the number prefix of these orders, but belongs to no order.",
        ),
    ]
    differences = [
        {
            "code": code,
            "kind": "invoice",
            "number": sentence.split()[2],
            "order_id": order_id,
            "sentence": sentence,
            "fix": "Open it in Xero: “History and notes” says who did it.",
            "link": f"https://go.xero.com/app/!k7Qd/invoicing/view/{place}",
        }
        for place, (code, order_id, sentence) in enumerate(found)
    ]
    return matched(
        found=len(found),
        differences=differences,
        void=["KX-5012339", "KX-5012001"],
        voids=2,
        skipped=[{"number": "KX-5012343", "title": "Contact not found"}],
        skips=1,
        others=17,
        elsewhere=[{"company": "420001", "count": 211}],
        lines_left=12,
    )


def sums(orders: int = 0, *, more: bool = False, **money: tuple[int, str]) -> Json:
    """Orders and what they come to: currency → how many and their total."""
    told = [
        {"currency": currency, "orders": count, "total": total} for currency, (count, total) in money.items()
    ]
    return {"orders": orders, "more": more, "money": told}


def sign(title: str, words: str, result: str = "good", **more: Any) -> Json:
    """One thing of an overview's health as the API tells it."""
    return {"title": title, "result": result, "words": words, "fix": "", "link": "", "at": None, **more}


HEALTH: Final = [
    sign("Connection to Xero", "Connected to Thistle & Thread Ltd.", link="#settings"),
    sign("Posting", "Orders are posted as they come in."),
    sign(
        "Book match",
        "3 differences between what was posted and what is in Xero.",
        "wrong",
        fix="Look at what differs, and put it right in Xero.",
        link="#book-match",
        at="2031-03-04T02:11:00Z",
    ),
    sign("Calls left today", "4873 calls to Xero are left today.", at="2031-03-04T10:41:00Z"),
    sign(
        "Mails",
        "1 of 2 addresses gets no mail yet.",
        "warning",
        fix="The settings say why, and what to do.",
        link="#settings/errors_email",
    ),
]


def overview(**changes: Any) -> Json:
    """How a company with a week's work stands."""
    days = [
        sums(31, GBP=(30, "1873.40"), EUR=(1, "88.00")),
        sums(),
        sums(12, GBP=(12, "604.08")),
        sums(44, GBP=(42, "3120.55"), EUR=(2, "141.10")),
        sums(38, GBP=(38, "2588.19")),
        sums(52, GBP=(51, "4016.00"), EUR=(1, "59.90")),
        sums(9, GBP=(9, "612.35")),
    ]
    dates = [f"2031-02-{day}" for day in range(26, 29)] + [f"2031-03-0{day}" for day in range(1, 5)]
    return {
        "zone": "Europe/London",
        "zone_known": True,
        "no_orders_yet": False,
        "days": [{"day": day} | told for day, told in zip(dates, days, strict=True)],
        "week": sums(186, GBP=(182, "12814.57"), EUR=(4, "289.00")),
        "differences": 3,
        "standing": {
            "needs_attention": sums(3, GBP=(3, "190.05")),
            "changed": sums(2, GBP=(2, "126.70")) | {"to_decide": 1},
            "queued": sums(2, GBP=(2, "96.80")),
            "waiting": sums(4, GBP=(3, "151.20"), EUR=(1, "42.00")),
            "set_aside": sums(1, GBP=(1, "63.35")),
        },
        "connection": {
            name: connection("connected")[name] for name in ("status", "words", "fix", "other_app")
        },
        "health": copy.deepcopy(HEALTH),
        **changes,
    }


@dataclass
class Site:
    """What the page is told, to be set by a test, and what it asked."""

    address: str = ""
    user: str = "Grace Okafor"
    user_id: str = "42"
    version: int = 0
    settings: Json = field(default_factory=lambda: copy.deepcopy(SETTINGS))
    saved_by: str | None = None
    saved_at: str | None = None
    client_id: str = ""
    client_secret_set_at: str | None = None
    history: list[Json] = field(default_factory=list)
    connection: Json = field(default_factory=connection)
    orders: list[Json] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    """States of which there are more orders than were counted."""
    left: dict[str, str] = field(default_factory=dict)
    """Orders that can't be retried, set aside or taken back, and why."""
    page_length: int = 50
    read_again: Json = field(
        default_factory=lambda: {"waiting": False, "read_at": None, "next_at": None, "spent": False}
    )
    """When Xero is read again for stopped orders."""
    overview: Json = field(default_factory=overview)
    book_match: Json = field(default_factory=lambda: copy.deepcopy(NEVER_MATCHED))
    preview: Json | None = None
    """The next preview, where it is not the usual one."""
    notes: list[Json] = field(default_factory=list)
    """What the next Save says beside having saved."""
    advice: list[Json] = field(default_factory=list)
    usual_accounts: Json = field(default_factory=dict)
    checks: list[Json] = field(
        default_factory=lambda: [check("app", "Xero app", "Connected to Thistle & Thread Ltd.")]
    )
    freed: int = 0
    """How many orders the next Save tries again."""
    company_name: str = "Thistle & Thread"
    help_url: str = "https://help.example.com/xero"
    mail: Json = field(default_factory=lambda: {"words": "", "addresses": []})
    session_over: bool = False
    refusals: dict[str, tuple[int, Json]] = field(default_factory=dict)
    """Answers that take the place of the usual ones, by method and path: `PUT settings`."""
    calls: list[Call] = field(default_factory=list)
    on_call: Callable[[Call], None] | None = None

    @property
    def page(self) -> str:
        return f"{self.address}/settings/{COMPANY}"

    @property
    def settings_tab(self) -> str:
        """The address that opens the settings, however the company stands."""
        return f"{self.page}#settings"

    def asked(self, method: str, path: str) -> list[Call]:
        return [call for call in self.calls if (call.method, call.path) == (method, path)]

    def set_up(self, **settings: Any) -> None:
        """A company that is connected and has filled in what is needed."""
        self.version = 3
        self.saved_by, self.saved_at = "Ada Moore", "2031-03-04T10:15:00Z"
        self.client_id, self.client_secret_set_at = "8A1F" * 8, "2031-03-04T10:05:00Z"
        self.settings |= {"sales_account_code": "200", "contact_name": "Kornit X orders", **settings}
        self.connection = connection("connected")
        self.history = [
            {
                "at": "2031-03-04T10:15:00Z",
                "by": "Ada Moore",
                "what": "changed Sales account to 200, Contact name to Kornit X orders",
            },
            {"at": "2031-03-04T10:12:00Z", "by": "Ada Moore", "what": "connected to Thistle & Thread Ltd"},
            {
                "at": "2031-03-04T10:05:00Z",
                "by": "Ada Moore",
                "what": "entered the client id and client secret",
            },
        ]

    def refuse(self, call: str, status: int, code: str, message: str, **more: Any) -> None:
        self.refusals[call] = (status, {"error": {"code": code, "message": message, **more}})

    def settings_answer(self) -> Json:
        needed = NEEDED_FOR_TRACKED if self.settings["process_method"] == "tracked" else NEEDED
        return {
            "version": self.version,
            "saved_by": self.saved_by,
            "saved_at": self.saved_at,
            "settings": copy.deepcopy(self.settings),
            "missing": [name for name in needed if not self.settings[name]],
            "fields": [],
            "advice": self.advice,
            "app": self.app_answer(),
            "usual_accounts": self.usual_accounts,
            "mail": self.mail,
            "history": self.history,
        }

    def app_answer(self) -> Json:
        return {
            "client_id": self.client_id,
            "client_secret_set_at": self.client_secret_set_at,
            "redirect_uri": f"https://accounting.example.com/xero/callback/{COMPANY}",
        }

    def save(self, by: str, settings: Json) -> None:
        self.version += 1
        self.settings |= settings
        self.saved_by, self.saved_at = by, "2031-03-04T11:00:00Z"
        self.history = [
            {"at": self.saved_at, "by": by, "what": f"changed {', '.join(settings) or 'nothing'}"},
            *self.history,
        ]


def create_app(site: Site) -> Flask:
    app = Flask(__name__, static_folder=None)
    api = f"/api/{COMPANY}"
    addresses = {name: f"/static/{name}" for name in files()}

    @app.before_request
    def refuse() -> Response | tuple[Response, int] | None:
        if not request.path.startswith("/api/"):
            return None
        call = Call(
            request.method,
            request.path.removeprefix(f"{api}/"),
            request.args.to_dict(),
            request.get_json() if request.method != "GET" and request.data else None,
        )
        site.calls.append(call)
        if site.on_call:
            site.on_call(call)
        if site.session_over:
            return jsonify({"error": {"code": "no_session", "message": "Open the settings again."}}), 401
        if refusal := site.refusals.get(f"{call.method} {call.path}"):
            return jsonify(refusal[1]), refusal[0]
        return None

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["Cache-Control"] = "no-cache"
        return response

    @app.get("/settings/<company>")
    def page(company: str) -> str:
        if site.session_over:
            return (
                templates()
                .get_template("message.html")
                .render(title="Your session is over", static=addresses)
            )
        person = {"user": site.user_id, "name": site.user, "company_name": site.company_name}
        linked = site.connection["status"] in {"connected", "needs_reconnect", "wrong_credentials", "cut_off"}
        told = {
            "company": company,
            "person": person,
            "static": addresses,
            "help_url": site.help_url,
            "first_tab": "overview" if linked else "settings",
        }
        return templates().get_template("settings.html").render(**told)

    @app.get("/message")
    def message() -> str:
        return templates().get_template("message.html").render(static=addresses, **request.args)

    @app.get("/static/<name>")
    def static_file(name: str) -> Response:
        kind, text = files()[name]
        return Response(text, mimetype=kind)

    @app.get("/modules/<name>")
    def module(name: str) -> Response:
        """One of the page's modules, as it was written."""
        return Response((PAGE / "static" / name).read_text(encoding="utf-8"), mimetype="text/javascript")

    @app.get("/login")
    def login() -> str:
        return "<!doctype html><title>Log in</title><h1>Log in to Xero</h1>"

    @app.get("/callback")
    def callback() -> Any:
        site.connection = connection("connected")
        return redirect(f"/settings/{COMPANY}?connect=connected", 303)

    @app.get(f"{api}/settings")
    def settings() -> Json:
        return site.settings_answer()

    @app.put(f"{api}/settings")
    def put_settings() -> Json | tuple[Json, int]:
        body = request.get_json()
        if body["version"] != site.version:
            titles = {"sales_account_code": "Sales account"}
            changes = [
                {"name": name, "title": titles.get(name, name), "yours": yours, "theirs": site.settings[name]}
                for name, yours in body["settings"].items()
                if site.settings[name] != yours
            ]
            error = {
                "code": "changed_meanwhile",
                "message": f"{site.saved_by} changed the settings meanwhile.",
                "by": site.saved_by,
                "at": site.saved_at,
                "changes": changes,
            }
            return {"error": error, "current": site.settings_answer()}, 409
        site.save(site.user, body["settings"])
        return site.settings_answer() | {"notes": site.notes, "freed": site.freed}

    @app.post(f"{api}/check-setup")
    def check_setup() -> Json:
        return {"checks": site.checks, "checked_at": "2031-03-04T10:50:00Z"}

    @app.post(f"{api}/mail-addresses/confirmation")
    def ask_again() -> Json:
        for one in site.mail["addresses"]:
            if one["address"] == request.get_json()["address"]:
                one.update(mail_address(one["address"]))
        return site.mail

    @app.put(f"{api}/credentials")
    def put_credentials() -> Json:
        body = request.get_json()
        site.client_id = body["client_id"]
        if body.get("client_secret"):
            site.client_secret_set_at = "2031-03-04T10:58:00Z"
        return {"app": site.app_answer()}

    @app.post(f"{api}/connect")
    def connect() -> Json | tuple[Json, int]:
        if not site.client_secret_set_at:
            return {"error": {"code": "app_missing", "message": "Save the client id and secret first."}}, 409
        return {"authorization_url": f"{site.address}/login"}

    @app.delete(f"{api}/session")
    def log_out() -> Json:
        site.session_over = True
        return {"words": "You are logged out."}

    @app.get(f"{api}/connection")
    def get_connection() -> Json:
        return site.connection

    @app.delete(f"{api}/connection")
    def delete_connection() -> Json:
        site.connection = connection("disconnected")
        return {"words": "Disconnected. Access was taken back in Xero, too."}

    @app.post(f"{api}/connection/organisation")
    def organisation() -> Json:
        chosen = request.get_json()["organisation_id"]
        known = {one["id"]: one for one in (ORGANISATION, OTHER_ORGANISATION)}
        words = f"Orders go to {known[chosen]['name']}."
        site.connection = connection("connected", organisation=known[chosen], tenant_id=chosen, words=words)
        return site.connection

    @app.get(f"{api}/book-match")
    def get_book_match() -> Json:
        return site.book_match

    @app.post(f"{api}/book-match")
    def post_book_match() -> Json:
        site.book_match |= {"state": "under_way", "words": "It begins in a moment.", "next_at": None}
        return site.book_match

    @app.get(f"{api}/xero/<kind>")
    def lists(kind: str) -> Json | tuple[Json, int]:
        if site.connection["status"] != "connected":
            return {"error": {"code": "not_connected", "message": "Connect to Xero first."}}, 409
        if kind == "accounts":
            purpose = request.args["for"]
            found = [one for one in ACCOUNTS if purpose == "all" or purpose in one["for"].split()]
            return {"accounts": found, "read_at": "2031-03-04T10:50:00Z"}
        if kind == "contacts":
            text = request.args.get("search", "").lower()
            return {"contacts": [one for one in CONTACTS if text in one["name"].lower()]}
        if kind == "tax-rates":
            return {"tax_rates": [one for one in TAX_RATES if one["for"] == request.args["for"]]}
        return {"currencies": ["EUR", "GBP", "USD"]}

    @app.get(f"{api}/overview")
    def get_overview() -> Json:
        return site.overview

    @app.get(f"{api}/orders")
    def orders() -> Json:
        asked = request.args
        fitting = [
            one
            for one in site.orders
            if asked.get("status", one["state"]) in (one["state"], "changed" if changed(one) else "")
            and (not asked.get("problem") or why(one) == asked["problem"])
            and asked.get("search", "").lower()
            in f"{one['number']} {one['ref']} {one['external_ref']}".lower()
        ]
        start = int(asked.get("cursor", 0))
        end = start + site.page_length
        by_state: dict[str, list[Json]] = {"changed": []}
        stopped: dict[str, list[Json]] = {}
        for one in site.orders:
            by_state.setdefault(one["state"], []).append(one)
            by_state["changed"] += [one] * changed(one)
            if one["problem"]:
                stopped.setdefault(one["problem"]["code"], []).append(one)
        return {
            "orders": fitting[start:end],
            "cursor": str(end) if end < len(fitting) else None,
            "counts": {state: len(found) for state, found in by_state.items()},
            "money": {state: money(found) for state, found in by_state.items()},
            "more": site.more,
            "problems": [
                {"code": code, "title": title(code), "count": len(found)} for code, found in stopped.items()
            ],
            "gathered": [
                {
                    "count": len(found),
                    "more": False,
                    "money": money(found),
                    "order_id": found[-1]["id"],
                    "problem": found[-1]["problem"],
                }
                for found in stopped.values()
            ],
        }

    def money(found: list[Json]) -> dict[str, str]:
        sums: dict[str, Decimal] = {}
        for one in found:
            if one["total"] is not None:
                sums[one["currency"]] = sums.get(one["currency"], Decimal(0)) + Decimal(one["total"])
        return {currency: str(total) for currency, total in sums.items()}

    def found(order_id: str) -> Json | None:
        return next((one for one in site.orders if one["id"] == order_id), None)

    def whole(one: Json) -> Json:
        return {
            "lines": LINES,
            "shipping": {"price": "3.29", "price_inc_tax": "3.95", "tax_rate": "20"},
            "totals": {"net": "52.79", "taxes": [{"rate": "20", "tax": "10.56"}], "total": "63.35"},
            "explained": [explained_in_xero(one["id"], kind=made["kind"]) for made in one["documents"]],
            "same_shipping": [],
            "history": HISTORY,
            **AFTER_POSTING,
            **one,
        }

    @app.get(f"{api}/orders/<order_id>")
    def one_order(order_id: str) -> Json | tuple[Json, int]:
        one = found(order_id)
        if one is None:
            return {"error": {"code": "not_found", "message": "There is no such order."}}, 404
        return whole(one)

    @app.post(f"{api}/orders/<order_id>/correction")
    def correction(order_id: str) -> Json:
        one = found(order_id)
        assert one is not None
        if request.get_json()["asked"] == "done_by_hand":
            one.update(reason=None, words="In Xero.", choices=offered("credit", "cancel", "post_again"))
        else:
            one.update(reason="correcting", words=CHANGED["correcting"], choices=[])
        return whole(one)

    @app.post(f"{api}/orders/<order_id>/look")
    def look(order_id: str) -> Json:
        one = found(order_id)
        assert one is not None
        one["documents"][0].update(stands="part_paid", status="AUTHORISED", read_at="2031-03-04T11:00:00Z")
        return whole(one)

    @app.post(f"{api}/preview")
    def preview() -> Json | tuple[Json, int]:
        asked = request.get_json()
        known = asked.get("id") or asked.get("order_id")
        if "order_id" in asked and found(asked["order_id"]) is None:
            return {"error": {"code": "not_found", "message": "There is nothing here."}}, 404
        if site.preview is not None:
            return site.preview
        account = asked["settings"].get("sales_account_code")
        how = {"account": account, "version": "not saved yet"} if account else {}
        shown = explained(str(known), **how) | {"body": {}, "notes": ["Dated by hand."]}
        return {"documents": [shown], "waits": None}

    @app.post(f"{api}/orders/<order_id>/retry")
    def retry(order_id: str) -> Json:
        one = found(order_id)
        assert one is not None
        skip = request.get_json().get("no_sale") == "skip"
        # only what is half posted is asked about once it is cancelled
        reason = "cancelled" if one["documents"] else "refunded"
        one.update(
            order(order_id, "skipped", reason=reason) if skip else order(order_id, "queued"),
            documents=one["documents"],
            history=[{"at": "2031-03-04T11:00:00Z", "by": site.user, "what": "retried"}],
        )
        return one

    @app.get(f"{api}/xero/read-again")
    @app.post(f"{api}/xero/read-again")
    def read_again() -> Json:
        return site.read_again

    @app.post(f"{api}/orders/set-aside")
    def set_aside() -> Json:
        return moved_to("set_aside", set_aside=aside(site.user, request.get_json()["reason"]))

    @app.post(f"{api}/orders/take-back")
    def take_back() -> Json:
        return moved_to("queued")

    def moved_to(state: str, **more: Any) -> Json:
        ids = request.get_json()["ids"]
        assert len(ids) <= 100
        for id_ in ids:
            one = found(id_)
            assert one is not None
            if id_ not in site.left:
                one.update(order(id_, state, **more))
        left = [{"id": id_, "words": site.left[id_]} for id_ in ids if id_ in site.left]
        return {"done": [id_ for id_ in ids if id_ not in site.left], "left": left}

    @app.post(f"{api}/orders/retry")
    def retry_many() -> Json:
        asked = request.get_json()
        if "ids" in asked:
            moved = moved_to("queued")
            return {"retried": len(moved["done"]), "more": False, "left": moved["left"]}
        same = [one for one in site.orders if why(one) == asked["problem"]]
        for one in same:
            one.update(order(one["id"], "queued"))
        return {"retried": len(same), "more": False}

    return app


class Serving:
    """A site at an address of its own until it is stopped."""

    def __init__(self, site: Site) -> None:
        self._server = make_server("localhost", 0, create_app(site), threaded=True)
        site.address = f"http://localhost:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

"""What a person can change in an organisation from outside: a table of keys, and what each does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from local.xero.organisations import Account, Contact, Item, Organisation, TaxRate

if TYPE_CHECKING:
    from local.xero.world import World

Change = Callable[["World", Organisation, Any], None]
"""Apply a key's value to an organisation. Raises ValueError for one that does not fit."""


def _flag(name: str) -> Change:
    return lambda world, organisation, value: setattr(organisation, name, bool(value))


def _day(name: str) -> Change:
    return lambda world, organisation, value: setattr(
        organisation, name, date.fromisoformat(value) if value else None
    )


def _name(world: World, organisation: Organisation, value: Any) -> None:
    organisation.name = str(value)


def _day_limit(world: World, organisation: Organisation, value: Any) -> None:
    organisation.day_limit = int(value)


def _approval_cap(world: World, organisation: Organisation, value: Any) -> None:
    organisation.approval_cap = None if value is None else int(value)


def _tie_rounding(world: World, organisation: Organisation, value: Any) -> None:
    if value not in ("half_up", "half_even", None):
        raise ValueError(f"tie_rounding is half_up, half_even or null, not {value!r}")
    organisation.tie_rounding = value


# --- accounts and tax rates


def _account(organisation: Organisation, wanted: Any) -> Account:
    account = organisation.account(str(wanted)) or organisation.account_by_id(str(wanted))
    if account is None:
        raise ValueError(f"no account {wanted!r}")
    return account


def _account_status(status: str) -> Change:
    return lambda world, organisation, value: setattr(_account(organisation, value), "status", status)


def _account_code(world: World, organisation: Organisation, value: Mapping[str, str]) -> None:
    for wanted, code in value.items():
        _account(organisation, wanted).code = str(code)


def _account_tax_type(world: World, organisation: Organisation, value: Mapping[str, str]) -> None:
    for wanted, tax_type in value.items():
        _account(organisation, wanted).tax_type = str(tax_type)


def _tax_rate(organisation: Organisation, wanted: str) -> TaxRate:
    if wanted not in organisation.tax_rates:
        raise ValueError(f"no tax rate {wanted!r}")
    return organisation.tax_rates[wanted]


def _tax_rate_status(world: World, organisation: Organisation, value: Mapping[str, str]) -> None:
    for tax_type, status in value.items():
        _tax_rate(organisation, tax_type).status = str(status)


def _tax_rate_percent(world: World, organisation: Organisation, value: Mapping[str, Any]) -> None:
    for tax_type, percent in value.items():
        rate = _tax_rate(organisation, tax_type)
        rate.effective = rate.displayed = Decimal(str(percent))


# --- contacts


def _contact(organisation: Organisation, wanted: Any) -> Contact:
    """By id, else the first of that name."""
    named = (one for one in organisation.contacts.values() if one.name == wanted)
    contact = organisation.contacts.get(str(wanted)) or next(named, None)
    if contact is None:
        raise ValueError(f"no contact {wanted!r}")
    return contact


def _contact_status(status: str) -> Change:
    def change(world: World, organisation: Organisation, value: Any) -> None:
        contact = _contact(organisation, value)
        contact.status, contact.updated_at = status, world.now()

    return change


def _add_contact(world: World, organisation: Organisation, value: Any) -> None:
    contact = Contact(world.new_id(), str(value), world.now())
    organisation.contacts[contact.id] = contact


def _rename_contact(world: World, organisation: Organisation, value: Mapping[str, str]) -> None:
    for wanted, name in value.items():
        contact = _contact(organisation, wanted)
        contact.name, contact.updated_at = str(name), world.now()


def _merge_contact(world: World, organisation: Organisation, value: Mapping[str, str]) -> None:
    """Merge contacts into others: each is archived, and says into which it went."""
    for wanted, into in value.items():
        contact, kept = _contact(organisation, wanted), _contact(organisation, into)
        contact.status, contact.merged_into, contact.updated_at = "ARCHIVED", kept.id, world.now()


# --- items and currencies


def _add_item(world: World, organisation: Organisation, value: Any) -> None:
    """An untracked item with that code."""
    organisation.items[str(value)] = Item(world.new_id(), str(value), world.now(), str(value))


def _stock(world: World, organisation: Organisation, value: Mapping[str, Any]) -> None:
    for code, quantity in value.items():
        item = organisation.items.get(code)
        if item is None or not item.tracked:
            raise ValueError(f"no tracked item {code!r}")
        item.on_hand = Decimal(str(quantity))


def _subscribe_currency(world: World, organisation: Organisation, value: Any) -> None:
    if value not in organisation.currencies:
        organisation.currencies.append(str(value))


def _unsubscribe_currency(world: World, organisation: Organisation, value: Any) -> None:
    organisation.currencies.remove(value)


CHANGES: Mapping[str, Change] = {
    "name": _name,
    "is_demo": _flag("is_demo"),
    "pays_tax": _flag("pays_tax"),
    "multicurrency": _flag("multicurrency"),
    "backorders": _flag("backorders"),
    "offline": _flag("offline"),
    "gone": _flag("gone"),
    "day_limit": _day_limit,
    "approval_cap": _approval_cap,
    "tie_rounding": _tie_rounding,
    "period_lock_date": _day("period_lock_date"),
    "end_of_year_lock_date": _day("end_of_year_lock_date"),
    "archive_account": _account_status("ARCHIVED"),
    "restore_account": _account_status("ACTIVE"),
    "account_code": _account_code,
    "account_tax_type": _account_tax_type,
    "tax_rate_status": _tax_rate_status,
    "tax_rate_percent": _tax_rate_percent,
    "archive_contact": _contact_status("ARCHIVED"),
    "restore_contact": _contact_status("ACTIVE"),
    "add_contact": _add_contact,
    "rename_contact": _rename_contact,
    "merge_contact": _merge_contact,
    "add_item": _add_item,
    "stock": _stock,
    "subscribe_currency": _subscribe_currency,
    "unsubscribe_currency": _unsubscribe_currency,
}

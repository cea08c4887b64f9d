"""Line items: reading, completing from item and account, every check, and their sums."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from local.xero import fields
from local.xero.calls import Call
from local.xero.money import HUNDRED, ZERO, line_tax, line_total, rounded
from local.xero.organisations import SALES, Account, Document, DocumentKind, Item, Line
from local.xero.wire import ExponentDecimal, Json

LINE_AMOUNT_TYPES = ("Exclusive", "Inclusive", "NoTax")
LARGEST_LINE = Decimal("9999999999.99")
QUANTITY_DIGITS = 13
UNIT_AMOUNT_DIGITS = 14
MOST_TRACKING = 2
_LENGTHS = {"Description": 4000, "ItemCode": 30}
# Control accounts and bank accounts take no lines; the rounding account exists for them.
_SYSTEM_ACCOUNTS_FOR_LINES = frozenset({None, "ROUNDING"})


@dataclass
class LineReading:
    """A line as it would be stored, and what is wrong with it."""

    line: Line
    errors: list[str] = field(default_factory=list)


@dataclass
class DocumentRules:
    """What the document around them means for its lines."""

    kind: DocumentKind
    status: str
    line_amount_types: str
    unit_places: int

    @property
    def approved(self) -> bool:
        return self.status in ("AUTHORISED", "BILLED", "PAID")

    @property
    def sale(self) -> bool:
        return self.kind in SALES


def read_line(call: Call, given: Json, rules: DocumentRules) -> LineReading:
    """A line item of a request. Raises RefusedError for values of the wrong kind."""
    unconfirmed, ties = call.unconfirmed, call.ties
    errors = fields.length_errors(given, _LENGTHS, unconfirmed)
    quantity, unit_amount = fields.number(given, "Quantity"), fields.number(given, "UnitAmount")
    line_amount = fields.number(given, "LineAmount")
    if any(isinstance(value, ExponentDecimal) for value in (quantity, unit_amount, line_amount)):
        return LineReading(_unreadable(call), ["Account must be valid.", "Tax rate must be valid."])

    item, item_errors = _item(call, given)
    errors += item_errors
    description = fields.text(given, "Description")
    if not description and item:
        own = item.description if rules.sale else item.purchase_description
        if unconfirmed["description_from_item"] == "yes" or not rules.approved:
            description = own or item.description or item.name
    if rules.approved and not description:
        errors.append(unconfirmed["missing_description_text"])

    quantity = Decimal(1) if quantity is None else quantity
    errors += _digit_errors(call, "quantity", quantity, QUANTITY_DIGITS)
    quantity = rounded(quantity, 4, ties) if abs(quantity) <= LARGEST_LINE else ZERO
    if quantity < 0:
        errors.append(f"The quantity value '{quantity:.4f}' is invalid. Quantity must not be less than zero.")
    if unit_amount is None and line_amount is not None:
        unit_amount = line_amount / quantity if quantity else ZERO
    if unit_amount is None and item:
        unit_amount = item.sale_price if rules.sale else item.purchase_price
    unit_amount = ZERO if unit_amount is None else unit_amount
    errors += _digit_errors(call, "unit amount", unit_amount, UNIT_AMOUNT_DIGITS)
    unit_amount = rounded(unit_amount, rules.unit_places, ties) if abs(unit_amount) <= LARGEST_LINE else ZERO

    discount_rate, discount_amount, discount_errors = _discount(call, given, rules, quantity * unit_amount)
    errors += discount_errors
    total = line_total(quantity, unit_amount, discount_rate, discount_amount, ties)
    if abs(total) > LARGEST_LINE:
        errors.append(f"The line total {total} exceeds the maximum of {LARGEST_LINE}")
    if not discount_errors and line_amount is not None and line_amount != total:
        errors.append(
            f"The line total {_as_sent(line_amount)} does not match the expected line total {total}"
        )

    account, account_errors = _account(call, given, rules, item)
    errors += account_errors
    tax_type, tax_errors = _tax_type(call, given, rules, item, account)
    errors += tax_errors
    tax_amount = _tax_amount(call, given, rules, total, tax_type, errors=errors)
    tracking, tracking_errors = _tracking(call, given, rules)
    errors += tracking_errors
    line = Line(
        id=fields.identifier(given, "LineItemID") or call.world.new_id(),
        description=description,
        quantity=quantity,
        unit_amount=unit_amount,
        line_amount=total,
        tax_amount=tax_amount,
        tax_type=tax_type,
        account_code=account.code if account else None,
        account_id=account.id if account else None,
        item_code=item.code if item else None,
        discount_rate=discount_rate,
        discount_amount=discount_amount,
        tracking=tracking,
    )
    return LineReading(line, errors)


def _unreadable(call: Call) -> Line:
    return Line(
        call.world.new_id(), None, ZERO, ZERO, ZERO, ZERO, None, None, None, None, None, None, tracking=[]
    )


def _as_sent(amount: Decimal) -> str:
    return f"{amount:.2f}" if amount == amount.to_integral_value() and amount != 0 else f"{amount:f}"


def _digit_errors(call: Call, name: str, value: Decimal, limit: int) -> list[str]:
    digits = len(f"{abs(value):f}".replace(".", ""))
    whole = len(f"{abs(value):f}".partition(".")[0])
    # Surplus decimals are rounded away; a number too long even then is refused.
    if min(digits, whole + 4) <= limit and abs(value) <= LARGEST_LINE:
        return []
    text = call.unconfirmed["too_many_digits_text"]
    return [text.format(field=name, value=f"{value:f}", limit=limit)]


def _item(call: Call, given: Json) -> tuple[Item | None, list[str]]:
    code = fields.text(given, "ItemCode")
    if not code:
        return None, []
    item = call.organisation.items.get(code)
    if item is None:
        return None, [call.unconfirmed["unknown_item_text"].format(code=code)]
    return item, []


def _discount(
    call: Call, given: Json, rules: DocumentRules, gross: Decimal
) -> tuple[Decimal | None, Decimal | None, list[str]]:
    rate, amount = fields.number(given, "DiscountRate"), fields.number(given, "DiscountAmount")
    if rate is None and amount is None:
        return None, None, []
    if rules.kind == "ACCPAY":
        return None, None, ["Discounts can't be used on bills."]
    if rules.kind == "ACCRECCREDIT" and (choice := call.unconfirmed["credit_note_discounts"]) != "used":
        return None, None, ["Discounts can't be used on credit notes."] if choice == "refused" else []
    if rules.kind == "PURCHASEORDER" and (rate == 0 or amount == 0):
        total = rounded(gross, 2, call.ties)
        return None, None, [f"The line total 0 does not match the expected line total {total}"]
    too_much = "The discount rate '{}' is invalid. Discount must not be greater than the line total."
    if rate is not None:
        if not 0 <= rate <= HUNDRED:
            return None, None, [too_much.format(f"{rate:.2f}")]
        return rounded(rate, 4, call.ties), None, []
    assert amount is not None
    if amount > gross or amount < 0:
        share = amount / gross * HUNDRED if gross else ZERO
        return None, None, [too_much.format(f"{abs(share):.2f}")]
    return None, rounded(amount, 2, call.ties), []


def _account(
    call: Call, given: Json, rules: DocumentRules, item: Item | None
) -> tuple[Account | None, list[str]]:
    organisation = call.organisation
    code, account_id = fields.text(given, "AccountCode"), fields.identifier(given, "AccountID")
    tracked = item is not None and item.tracked
    if not code and not account_id and item:
        purchased = item.inventory_account if tracked else item.purchase_account
        code = item.sale_account if rules.sale else purchased
    if not code and not account_id:
        return None, ["Account code or ID must be specified"] if rules.approved else []
    account = organisation.account(code) if code else organisation.account_by_id(account_id or "")
    shown = code or account_id or ""
    if account is None:
        return None, [f"Account code '{shown}' is not a valid code for this document."]
    if account.status != "ACTIVE":
        return account, [
            f"Account code '{shown}' has been archived, or has been deleted. "
            "Each line item must reference a valid account."
        ]
    if account.type == "BANK" or account.system_account not in _SYSTEM_ACCOUNTS_FOR_LINES:
        return account, [f"Account code '{shown}' is not a valid code for this document."]
    if account.type == "INVENTORY" and not tracked:
        return account, [call.unconfirmed["inventory_account_text"].format(code=shown)]
    if tracked and item and not rules.sale and account.code != item.inventory_account:
        choice = call.unconfirmed["tracked_item_other_account"]
        if choice == "refused":
            return account, [f"Account code '{shown}' is not a valid code for this document."]
        if choice == "replaced":
            return organisation.account(item.inventory_account or ""), []
    return account, []


def _tax_type(
    call: Call, given: Json, rules: DocumentRules, item: Item | None, account: Account | None
) -> tuple[str | None, list[str]]:
    organisation = call.organisation
    if rules.line_amount_types == "NoTax":
        return "NONE" if "NONE" in organisation.tax_rates else None, []
    tax_type = fields.text(given, "TaxType")
    if not tax_type:
        if item and call.unconfirmed["line_default_tax"] == "item_then_account":
            tax_type = item.sale_tax if rules.sale else item.purchase_tax
        tax_type = tax_type or (account.tax_type if account else None)
        if not organisation.pays_tax:
            return None, []
        if tax_type is None:
            return None, []
    rate = organisation.tax_rates.get(tax_type)
    unknown = call.unconfirmed["unknown_tax_type_text"].format(tax_type=tax_type)
    if rate is None or rate.status != "ACTIVE":
        return tax_type, [unknown]
    taxed_in_vain = rate.effective and not organisation.pays_tax
    if taxed_in_vain and call.unconfirmed["tax_in_an_untaxed_organisation"] == "refused":
        return tax_type, [unknown]
    if account and not rate.fits(account):
        return tax_type, [f"The TaxType code '{tax_type}' cannot be used with account code '{account.code}'."]
    return tax_type, []


def _tax_amount(
    call: Call, given: Json, rules: DocumentRules, total: Decimal, tax_type: str | None, *, errors: list[str]
) -> Decimal:
    rate = call.organisation.tax_rates.get(tax_type or "")
    if rules.line_amount_types == "NoTax" or rate is None:
        return ZERO
    overridden = fields.number(given, "TaxAmount")
    if overridden is None:
        inclusive = rules.line_amount_types == "Inclusive"
        return line_tax(total, rate.effective, inclusive=inclusive, ties=call.ties)
    if abs(overridden) > abs(total) and call.unconfirmed["tax_amount_limit"] == "refused":
        errors.append("The tax amount must not be greater than the line total.")
        return ZERO
    return rounded(overridden, 2, call.ties)


def _tracking(call: Call, given: Json, rules: DocumentRules) -> tuple[list[Json], list[str]]:
    chosen: list[Json] = []
    wanted = fields.parts(given, "Tracking") or []
    unknown = "Unknown tracking details. A Tracking Category did not match a known Active TrackingCategory."
    if len(wanted) > MOST_TRACKING:
        return [], [f"A line item can have at most {MOST_TRACKING} tracking categories."]
    for tracking in wanted:
        name, option = fields.text(tracking, "Name"), fields.text(tracking, "Option")
        # Purchase orders only understand names.
        by_id = rules.kind != "PURCHASEORDER" and name is None
        for category in call.organisation.tracking_categories:
            if category.status != "ACTIVE":
                continue
            if category.name != name and not (by_id and category.id == tracking.get("TrackingCategoryID")):
                continue
            for option_id, title in category.options.items():
                if title == option or (by_id and option_id == tracking.get("TrackingOptionID")):
                    chosen.append(
                        {
                            "Name": category.name,
                            "Option": title,
                            "TrackingCategoryID": category.id,
                            "TrackingOptionID": option_id,
                        }
                    )
    return (chosen, []) if len(chosen) == len(wanted) else ([], [unknown])


def add_up(document: Document) -> None:
    """Set subtotal, tax and total from the lines."""
    amounts = sum((line.line_amount for line in document.lines), ZERO)
    document.total_tax = sum((line.tax_amount for line in document.lines), ZERO)
    if document.line_amount_types == "Inclusive":
        document.sub_total, document.total = amounts - document.total_tax, amounts
    else:
        document.sub_total, document.total = amounts, amounts + document.total_tax


def recreated(call: Call, line: Line, rules: DocumentRules) -> Line:
    """The line as a change of status makes it anew: another id, its price at the decimals of the call."""
    unit_amount = rounded(line.unit_amount, rules.unit_places, call.ties)
    if unit_amount == line.unit_amount:
        return replace(line, id=call.world.new_id())
    total = line_total(line.quantity, unit_amount, line.discount_rate, line.discount_amount, call.ties)
    tax = _tax_amount(call, {}, rules, total, line.tax_type, errors=[])
    return replace(line, id=call.world.new_id(), unit_amount=unit_amount, line_amount=total, tax_amount=tax)


def line_as_given(line: Line) -> Json:
    """A stored line as an update without lines sends it again: without its identity and its sums."""
    given: Json = {
        "Description": line.description,
        "Quantity": line.quantity,
        "UnitAmount": line.unit_amount,
        "ItemCode": line.item_code,
        "AccountCode": line.account_code,
        "TaxType": line.tax_type,
        "DiscountRate": line.discount_rate,
        "DiscountAmount": line.discount_amount,
        "Tracking": [{"Name": one["Name"], "Option": one["Option"]} for one in line.tracking],
    }
    return {key: value for key, value in given.items() if value not in (None, [])}

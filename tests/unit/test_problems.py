"""Every problem reads as a sentence, and everything Xero is known to say becomes one."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from bookkeeping.domain.problems import catalogue
from bookkeeping.domain.problems.catalogue import CATALOGUE, SKIPPED, WAITS
from bookkeeping.domain.problems.problem import Problem, worded
from bookkeeping.domain.problems.xero_messages import from_xero, refusals
from bookkeeping.domain.settings import Settings, TaxRow

SETTINGS = Settings(
    sales_account_code="200",
    shipping_account_code="260",
    cogs_account_code="310",
    inventory_asset_account_code="630",
    sales_accounts_by_sku_prefix={"TEE-": "201"},
    contact_name="Marlow",
    purchase_order_contact_name="Blanks Ltd",
    tax_types=(TaxRow(rate="20", tax_type="OUTPUT2"),),
    branding_theme_id="0b2f6b1c-0000-4000-8000-000000000001",
    tracking_categories=({"Name": "Region", "Option": "North"},),
)
PACKAGE = Path(catalogue.__file__).parents[2]


def names(words: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(words) if name}


def test_there_are_many_and_each_is_filed_under_its_code() -> None:
    assert len(CATALOGUE) >= 30
    assert all(code == kind.code for code, kind in CATALOGUE.items())


@pytest.mark.parametrize("code", CATALOGUE)
def test_a_problem_never_fails_for_a_detail_it_was_not_given(code: str) -> None:
    bare = Problem(code)
    assert "(not known)" in bare.sentence
    assert bare.fix


@pytest.mark.parametrize("code", CATALOGUE)
def test_a_problem_names_its_order_and_all_it_was_given(code: str) -> None:
    kind = CATALOGUE[code]
    details = {name: f"<{name}>" for name in names(kind.sentence) | names(kind.fix)}
    problem = Problem(code, details)
    assert problem.sentence.startswith("Order <order>: ")
    assert problem.sentence.endswith(".")
    assert "(not known)" not in problem.sentence + problem.fix
    assert len(problem.fix) > 20


@pytest.mark.parametrize("code", CATALOGUE)
def test_a_problem_is_freed_by_settings_that_exist(code: str) -> None:
    assert CATALOGUE[code].freed_by <= set(Settings.model_fields)


@pytest.mark.parametrize("code", CATALOGUE)
def test_a_problem_speaks_to_a_bookkeeper(code: str) -> None:
    kind = CATALOGUE[code]
    jargon = re.compile(
        r"\b(JSON|API|HTTP|tenant|token|null|exception|payload|GUID|Decimal|unknown error)\b", re.I
    )
    assert not jargon.search(kind.sentence + kind.fix)


def test_settings_are_named_as_the_page_names_them() -> None:
    labels = {Settings.label(key) for key in Settings.model_fields}
    buttons = {
        "Use it as it is",
        "Untracked",
        "Get Access Token",
        "show",
    }
    words = " ".join(
        [kind.sentence + kind.fix for kind in CATALOGUE.values()] + [*SKIPPED.values(), *WAITS.values()]
    )
    quoted = set(re.findall("“([^”{}]*)”", words))
    assert quoted <= labels | buttons


def test_every_code_used_in_the_package_is_in_the_catalogue() -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    used = set(re.findall(r'\b(?:Problem|_stopped|_stop)\(\s*"([a-z_]+)"', source))
    assert len(used) > 20
    assert used <= set(CATALOGUE)


def test_braces_in_a_detail_are_only_text() -> None:
    assert "{order.__class__}" in Problem("bad_text", {"order": "1", "field": "{order.__class__}"}).sentence


def test_reasons_to_skip_and_to_wait_are_sentences() -> None:
    for words in [*SKIPPED.values(), *WAITS.values()]:
        assert worded(words, {}).endswith(".")


NUMBER, CONTACT, FACTS, STOCK = "number", "contact", "facts", "stock"


@pytest.mark.parametrize(
    ("message", "code", "refusal", "details"),
    [
        ("Invoice # must be unique.", "number_taken", NUMBER, {"number": "KX-7"}),
        ("Order number must be unique", "number_taken", NUMBER, {}),
        (
            "Account code '200' is not a valid code for this document.",
            "account_not_found",
            FACTS,
            {"account": "200"},
        ),
        (
            "account code '260' is not a valid code for this document.",
            "account_not_found",
            FACTS,
            {"label": "Shipping account"},
        ),
        (
            "Account code '201' is not a valid code for this document.",
            "account_not_found",
            FACTS,
            {"label": "Sales accounts by sku"},
        ),
        (
            "Account code '260' has been archived, or has been deleted. Each line item must reference a valid account.",
            "account_archived",
            FACTS,
            {"account": "260"},
        ),
        ("Account code or ID must be specified", "account_refused", FACTS, {"number": "KX-7"}),
        ("Account must be valid.", "account_not_found", FACTS, {}),
        ("Tax rate must be valid.", "tax_rate_refused", FACTS, {"label": "Tax rates"}),
        (
            "The TaxType code 'OUTPUT2' cannot be used with account code '630'.",
            "tax_type_not_usable",
            FACTS,
            {"tax_type": "OUTPUT2", "account": "630", "rate": "20 %"},
        ),
        (
            "The TaxType code 'x' does not exist or cannot be used for this type of transaction.",
            "tax_type_not_usable",
            FACTS,
            {"tax_type": "x"},
        ),
        ("TaxType code 'x' is not valid", "tax_type_not_usable", FACTS, {"tax_type": "x"}),
        (
            "Organisation is not subscribed to currency EUR",
            "currency_not_enabled",
            FACTS,
            {"currency": "EUR"},
        ),
        (
            "Users Organisation is not subscribed to currency NZD",
            "currency_not_enabled",
            FACTS,
            {"currency": "NZD"},
        ),
        (
            "The current organisation is not subscribed to currency 'EUR'.",
            "currency_not_enabled",
            FACTS,
            {"currency": "EUR"},
        ),
        (
            "The document date cannot be before the end of year lock date, currently set at 31-Jul-2013",
            "date_locked",
            FACTS,
            {"lock_date": "31-Jul-2013"},
        ),
        (
            "The document date cannot be before the period lock date, currently set at 2026-10-31",
            "date_locked",
            FACTS,
            {"lock_date": "2026-10-31"},
        ),
        (
            "The contact with the specified contact details has been archived. The contact must be un-archived before"
            " creating new invoices or credit notes.",
            "contact_archived",
            CONTACT,
            {"contact": "Marlow"},
        ),
        ("A Contact must be specified for this type of transaction", "contact_not_found", CONTACT, {}),
        (
            "The Contact must contain at least 1 of the following elements to identify the contact: Name, ContactID,"
            " ContactNumber",
            "contact_not_found",
            CONTACT,
            {},
        ),
        (
            "The Contact with the specified contact details could not be found.",
            "contact_not_found",
            CONTACT,
            {},
        ),
        ("The contact name must be specified", "contact_not_found", CONTACT, {}),
        (
            "The contact name X is already assigned to another contact. The contact name must be unique across all"
            " active contacts.",
            "contact_not_unique",
            CONTACT,
            {},
        ),
        ("Email address must be valid", "contact_invalid", CONTACT, {}),
        (
            "Another contact has this contact number. Please enter a different contact number.",
            "contact_invalid",
            CONTACT,
            {},
        ),
        (
            "Unknown tracking details. A Tracking Category did not match a known Active TrackingCategory.",
            "tracking_unknown",
            None,
            {"tracking": "Region: North"},
        ),
        ("The BrandingThemeID does not match a branding theme.", "branding_unknown", None, {}),
        ("You have reached the limit of invoices you can approve", "plan_limit", None, {}),
        ("Insufficient stock. Items are eligible for backorder.", "stock_refused", STOCK, {}),
        ("No items available to sell", "stock_refused", STOCK, {}),
        ("No item available to sell", "stock_refused", STOCK, {}),
        ("Item code 'MUG' is not valid", "item_not_found", None, {"item": "MUG"}),
        ("Item code 'MUG' could not be found.", "item_not_found", None, {"item": "MUG"}),
        ("Price List Item with Code 'MUG' already exists", "item_refused", "item_exists", {"item": "MUG"}),
        (
            "You cannot save this transaction using an inventory account type",
            "account_not_fitting",
            FACTS,
            {},
        ),
        ("Invoice not of valid status for modification", "number_spent", None, {"number": "KX-7"}),
        ("Invoice not of valid status for creation", "number_spent", None, {}),
        (
            "The quantity value '-1.0000' is invalid. Quantity must not be less than zero.",
            "bad_quantity",
            None,
            {"value": "-1.0000"},
        ),
        (
            "The line total 1.00 does not match the expected line total 100.00",
            "amounts_refused",
            None,
            {},
        ),
        (
            "The discount rate '0.00' is invalid. Discount must not be greater than the line total.",
            "amounts_refused",
            None,
            {},
        ),
        ("The invoice total does not equal the sum of the lines.", "amounts_refused", None, {}),
        ("The tax amount must not be greater than the line total.", "amounts_refused", None, {}),
        ("Something Xero has never said before", "refused_by_xero", None, {"document": "sales invoice"}),
    ],
)
def test_xero_s_refusals_become_problems(
    message: str, code: str, refusal: str | None, details: dict[str, str]
) -> None:
    known = {"currency": "GBP", "date": "2026-01-05"}
    problem = from_xero([message], order="7", document="invoice", settings=SETTINGS, sent=known)
    assert problem.code == code
    assert problem.xero_says == (message,)
    assert details.items() <= problem.details.items()
    assert refusals([message.upper()]) == (frozenset({refusal}) if refusal else frozenset())
    assert problem.sentence.startswith("Order 7: ")
    assert "(not known)" not in problem.sentence + problem.fix


def test_of_several_refusals_the_most_actionable_is_told_and_all_are_kept() -> None:
    messages = ["Item code 'M' is not valid", "The contact has been archived.", "Account must be valid."]
    problem = from_xero(messages, order="7", document="invoice", settings=SETTINGS)
    assert problem.code == "contact_archived"
    assert problem.xero_says == tuple(messages)
    assert refusals(messages) == {"contact", "facts"}


def test_a_purchase_order_s_contact_and_account_are_those_of_purchases() -> None:
    contact = from_xero(
        ["A Contact must be specified"], order="7", document="purchase_order", settings=SETTINGS
    )
    assert contact.details["contact"] == "Blanks Ltd"
    account = from_xero(["Account must be valid."], order="7", document="purchase_order", settings=SETTINGS)
    assert account.details["setting"] == "inventory_asset_account_code"


@pytest.mark.parametrize(
    ("account", "label"),
    [
        ("200", "Sales account"),
        ("201", "Sales accounts by sku"),
        ("310", "Cost of goods sold account"),
        ("630", "Inventory asset account"),
    ],
)
def test_an_item_s_account_is_named_by_the_setting_it_comes_from(account: str, label: str) -> None:
    for words, code in (
        (f"Account code '{account}' is not a valid code for this item.", "account_not_found"),
        (f"Account code '{account}' has been archived, or has been deleted.", "account_archived"),
    ):
        problem = from_xero([words], order="7", document="item", settings=SETTINGS)
        assert (problem.code, problem.details["label"]) == (code, label)
        assert f"“{label}” is set to account {account}" in problem.sentence
        assert "purchase order" not in problem.sentence
        assert "(not known)" not in problem.sentence + problem.fix


@pytest.mark.parametrize(
    "words",
    [
        "Account must be valid.",
        "Account code or ID must be specified",
        "Tax rate must be valid.",
        "COGSAccountCode must be an expense account for a tracked item.",
        "Price List Item with Code 'MUG' already exists",
    ],
)
def test_of_an_item_nothing_is_said_that_xero_does_not_say(words: str) -> None:
    assert from_xero([words], order="7", document="item", settings=SETTINGS).code == "refused_by_xero"


def test_a_purchase_order_s_tax_rate_is_that_of_purchases() -> None:
    problem = from_xero(["Tax rate must be valid."], order="7", document="purchase_order", settings=SETTINGS)
    assert problem.code == "tax_rate_refused"
    assert "“Tax rate on purchases”" in problem.fix
    assert "(not known)" not in problem.sentence + problem.fix


@pytest.mark.parametrize("code", ["posted_total_differs", "adopted_differs", "posted_contact_differs"])
def test_pressing_retry_does_not_end_an_order_whose_invoice_is_still_to_come(code: str) -> None:
    assert "the sales invoice is then sent if it is still to come" in CATALOGUE[code].fix


def test_what_the_caller_knows_fills_what_xero_leaves_out() -> None:
    locked = from_xero(
        ["The document date cannot be before the period lock date"],
        order="7",
        document="invoice",
        settings=SETTINGS,
        sent={"date": "2026-01-05"},
    )
    assert "2026-01-05" in locked.sentence


def test_a_refusal_without_words_is_still_a_sentence() -> None:
    assert from_xero([], order="7", document="invoice", settings=SETTINGS).code == "refused_by_xero"


def test_what_xero_says_is_kept_short() -> None:
    problem = from_xero(["x" * 10_000], order="7", document="invoice", settings=SETTINGS)
    assert len(problem.xero_says[0]) == 500


def test_a_hostile_refusal_is_read_in_no_time() -> None:
    from_xero(["contact " * 20_000 + "'" * 20_000], order="7", document="invoice", settings=SETTINGS)

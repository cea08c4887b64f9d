"""Every problem reads as a sentence, and everything Xero is known to say becomes one."""

from __future__ import annotations

import json
import re
import string
from pathlib import Path

import pytest

from bookkeeping.domain.document_kinds import Created
from bookkeeping.domain.problems import catalogue
from bookkeeping.domain.problems.catalogue import CATALOGUE, CHANGED, SKIPPED, TITLES, WAITS, title
from bookkeeping.domain.problems.field_names import field_in_words
from bookkeeping.domain.problems.problem import Problem, worded
from bookkeeping.domain.problems.xero_messages import from_xero, refusals
from bookkeeping.domain.settings import Settings, TaxRow
from bookkeeping.use_cases.page.corrections import LABELS

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
ROOT = Path(__file__).parents[2]


def names(words: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(words) if name}


def test_there_are_many_and_each_is_filed_under_its_code() -> None:
    assert len(CATALOGUE) >= 30
    assert all(code == kind.code for code, kind in CATALOGUE.items())


def test_every_problem_and_reason_has_a_short_title_of_its_own() -> None:
    assert set(TITLES) == {*CATALOGUE, *SKIPPED, *WAITS, *CHANGED}
    assert len(set(TITLES.values())) == len(TITLES)
    for words in TITLES.values():
        assert re.fullmatch("[A-Z][^_{}.]{1,34}", words)
    assert all(2 <= len(kind.title.split()) <= 6 for kind in CATALOGUE.values())
    assert (title("known later"), title("")) == ("Handled by a newer version", "")


@pytest.mark.parametrize("code", CATALOGUE)
def test_a_problem_never_fails_for_a_detail_it_was_not_given(code: str) -> None:
    bare = Problem(code)
    assert "(not known)" in bare.sentence
    assert bare.fix


@pytest.mark.parametrize("code", CATALOGUE)
def test_a_problem_names_its_order_and_all_it_was_given(code: str) -> None:
    kind = CATALOGUE[code]
    for sentence, fix in [(kind.sentence, kind.fix), *kind.words_with.values()]:
        problem = Problem(code, {name: f"<{name}>" for name in names(sentence) | names(fix)})
        assert problem.sentence.startswith("Order <order>: ")
        assert problem.sentence.endswith(".")
        assert "(not known)" not in problem.sentence + problem.fix
        assert len(problem.fix) > 20


@pytest.mark.parametrize("code", CATALOGUE)
def test_nobody_is_advised_to_bill_the_cost_price(code: str) -> None:
    assert "“Price on the invoice”" not in CATALOGUE[code].fix.replace(
        "“Price on the invoice” to “Sale price”", ""
    )


def test_what_takes_over_a_document_that_differs_says_so() -> None:
    named = {code for code, kind in CATALOGUE.items() if "“Accept as it is in Xero”" in kind.fix}
    assert named == {
        code for code, kind in CATALOGUE.items() if kind.retry_label == "Accept as it is in Xero"
    }
    assert named == {
        code for code in CATALOGUE if code.endswith("_differs") and code.startswith(("posted", "adopted"))
    }


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
        "Accept as it is in Xero",
        "Get Access Token",
        "Reconnect",
        "Only show it here",
        "Use the first open day",
        "Sale price",
        *LABELS.values(),
    }
    words = " ".join(
        [kind.sentence + kind.fix for kind in CATALOGUE.values()]
        + [*SKIPPED.values(), *WAITS.values(), *CHANGED.values()]
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
            "account_not_usable",
            FACTS,
            {"account": "200", "as_set": " (“Sales account”)"},
        ),
        (
            "account code '260' is not a valid code for this document.",
            "account_not_usable",
            FACTS,
            {"as_set": " (“Shipping account”)"},
        ),
        (
            "Account code '201' is not a valid code for this document.",
            "account_not_usable",
            FACTS,
            {"as_set": " (“Sales accounts by sku”)"},
        ),
        (
            "Account code '260' has been archived, or has been deleted. Each line item must reference a valid account.",
            "account_archived",
            FACTS,
            {"account": "260"},
        ),
        ("Account code or ID must be specified", "account_refused", FACTS, {"number": "KX-7"}),
        ("Account must be valid.", "account_refused", FACTS, {"number": "KX-7"}),
        ("Tax rate must be valid.", "tax_rate_refused", FACTS, {"label": "Tax rates"}),
        (
            "The TaxType code 'OUTPUT2' cannot be used with account code '630'.",
            "tax_type_not_usable",
            FACTS,
            {"tax_type": "OUTPUT2", "account": "630", "rate": "20 %"},
        ),
        (
            "The TaxType code 'x' does not exist or cannot be used for this type of transaction.",
            "tax_rate_refused",
            FACTS,
            {"tax_type": "x", "tax_rate": "the tax rate x"},
        ),
        ("TaxType code 'x' is not valid", "tax_rate_refused", FACTS, {"tax_type": "x"}),
        (
            "Organisation is not subscribed to currency EUR",
            "currency_refused",
            FACTS,
            {"currency": "EUR"},
        ),
        (
            "Users Organisation is not subscribed to currency NZD",
            "currency_refused",
            FACTS,
            {"currency": "NZD"},
        ),
        (
            "The current organisation is not subscribed to currency 'EUR'.",
            "currency_refused",
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
        ("A Contact must be specified for this type of transaction", "contact_refused", CONTACT, {}),
        (
            "The Contact must contain at least 1 of the following elements to identify the contact: Name, ContactID,"
            " ContactNumber",
            "contact_refused",
            CONTACT,
            {},
        ),
        (
            "The Contact with the specified contact details could not be found.",
            "contact_refused",
            CONTACT,
            {},
        ),
        ("The contact name must be specified", "contact_refused", CONTACT, {}),
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
        ("Price List Item with Code 'MUG' already exists", "item_not_shown", "item_exists", {"item": "MUG"}),
        (
            "You cannot save this transaction using an inventory account type",
            "account_refused",
            FACTS,
            {"number": "KX-7"},
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
        ("The document DueDate field must be specified.", "date_refused", None, {"date": "2026-01-05"}),
        ("Something Xero has never said before", "refused_by_xero", None, {"document": "sales invoice"}),
        ("One or more line items must be specified", "refused_by_xero", None, {}),
        ("Please contact Xero Support for help.", "refused_by_xero", None, {}),
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
    words = "Account code '630' is not a valid code for this document."
    account = from_xero([words], order="7", document="purchase_order", settings=SETTINGS)
    assert "“Inventory asset account”" in account.sentence


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
    for words, code, told in (
        (
            f"Account code '{account}' is not a valid code for this item.",
            "account_not_usable",
            f"account {account} (“{label}”)",
        ),
        (
            f"Account code '{account}' does not exist or cannot be applied to Items.",
            "account_not_usable",
            f"account {account} (“{label}”)",
        ),
        (
            f"Account code '{account}' has been archived, or has been deleted.",
            "account_archived",
            f"account {account}, which “{label}” names, is archived",
        ),
    ):
        problem = from_xero([words], order="7", document="item", settings=SETTINGS)
        assert problem.code == code
        assert told in problem.sentence
        assert "purchase order" not in problem.sentence
        assert "(not known)" not in problem.sentence + problem.fix


@pytest.mark.parametrize(
    "words",
    [
        "Account must be valid.",
        "Account code or ID must be specified",
        "Tax rate must be valid.",
        "COGSAccountCode must be an expense account for a tracked item.",
        "The item is odd.",
        "Tax type X is not valid",
    ],
)
def test_of_an_item_nothing_is_said_that_xero_does_not_say(words: str) -> None:
    assert from_xero([words], order="7", document="item", settings=SETTINGS).code == "refused_by_xero"


def test_an_account_of_a_row_of_tax_rates_is_known_as_such() -> None:
    how = Settings(tax_types=({"rate": "20", "tax_type": "OUTPUT2", "account": "265"},))  # type: ignore[arg-type]
    problem = from_xero(["Account code '265' is not valid"], order="7", document="invoice", settings=how)
    assert (problem.code, "(“Tax rates”)" in problem.sentence) == ("account_not_usable", True)


def test_a_row_for_purchases_is_named_where_xero_refuses_its_tax_rate() -> None:
    how = Settings(purchase_tax_types=({"rate": "20", "tax_type": "INPUT2"},))  # type: ignore[arg-type]
    for words in (
        "TaxType code 'INPUT2' does not exist",
        "Tax type 'INPUT2' is not allowed for account 310.",
    ):
        problem = from_xero([words], order="7", document="purchase_order", settings=how)
        assert "“Tax rates on purchases by rate”" in problem.fix
        assert "purchase_tax_types" in problem.kind.freed_by


def test_a_purchase_order_s_tax_rate_is_that_of_purchases() -> None:
    problem = from_xero(["Tax rate must be valid."], order="7", document="purchase_order", settings=SETTINGS)
    assert problem.code == "tax_rate_refused"
    assert "“Tax rate on purchases”" in problem.fix
    assert "(not known)" not in problem.sentence + problem.fix


@pytest.mark.parametrize("code", ["posted_total_differs", "adopted_differs", "posted_contact_differs"])
def test_pressing_retry_does_not_end_an_order_whose_invoice_is_still_to_come(code: str) -> None:
    assert "it counts as posted, and the order goes on." in CATALOGUE[code].fix


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


def test_of_many_messages_twenty_are_kept_and_what_decides_is_among_them() -> None:
    messages = [f"Oddity {n}" for n in range(900)] + ["Invoice # must be unique."]
    problem = from_xero(messages, order="7", document="invoice", settings=SETTINGS)
    assert problem.code == "number_taken"
    assert len(problem.xero_says) == 20
    assert "Invoice # must be unique." in problem.xero_says
    assert refusals(messages) == {"number"}
    assert from_xero(["Odd"] * 900, order="7", document="invoice", settings=SETTINGS).xero_says == ("Odd",)


VARIANTS: dict[str, dict[str, dict[str, str]]] = {
    "account_not_usable": {
        "Account code 200 is not a valid code for this document": {"account": "200"},
        'Account code "200" cannot be used here': {"account": "200"},
        "The account code ‘200’ is not active": {"account": "200"},
        "AccountCode: 200 is invalid.": {"account": "200"},
        "'200' is not a valid account code.": {"account": "200"},
        "Line 3: Account 4-1100 does not exist": {"account": "4-1100"},
        "Account 200.": {"account": "200"},
        "The account with code 200 is not active": {"account": "200"},
    },
    "account_refused": {
        "The account code is not a valid code for this document.": {},
        "AccountID must be valid": {},
        "Accounts of this type cannot be used": {},
    },
    "account_archived": {
        "Account code 260 has been archived": {"account": "260", "label": "Shipping account"},
        'The account "260" was deleted.': {"account": "260"},
    },
    "tax_type_not_usable": {
        "The TaxType code OUTPUT2 cannot be used with account code 200": {
            "tax_type": "OUTPUT2",
            "rate": "20 %",
        },
        'Tax type "OUTPUT2" is not allowed for account 200.': {"tax_type": "OUTPUT2", "account": "200"},
        "The tax rate OUTPUT2 cannot be used with account '200'": {"tax_type": "OUTPUT2", "account": "200"},
    },
    "tax_rate_refused": {
        "TaxType code OUTPUT9 does not exist": {"tax_rate": "the tax rate OUTPUT9"},
        "Tax code must be valid": {"tax_rate": "the tax rate"},
        "TaxType must be specified.": {"tax_rate": "the tax rate"},
        "A VAT registration is needed for this.": {"tax_rate": "the tax rate"},
    },
    "contact_refused": {
        "Contact 'Marlow' is not valid": {"contact": "Marlow"},
        "ContactID 0d6c could not be found": {"label": "Contact name"},
        "The contact was merged.": {},
        "Contact must be specified": {},
    },
    "stock_refused": {
        "Quantity on hand for item MUG is not enough": {},
        "Insufficient quantity of item 'MUG' on hand": {"item": "MUG"},
    },
    "amounts_refused": {"The total tax for the invoice does not match the expected total": {}},
    "contact_archived": {"Contact “Marlow” is archived.": {}},
    "date_locked": {
        "The date is in a locked period": {"lock_date": "a day that Xero did not name"},
        "The document date 5 Jan 2026 is before the lock date of 31 January 2026": {
            "lock_date": "31 January 2026"
        },
        "Transactions are locked: lock date 2026-01-31.": {"lock_date": "2026-01-31"},
        "The period is locked up to '31/01/2026'": {},
    },
    "date_refused": {"Invalid Date": {}, "The due date cannot be before the invoice date": {}},
    "currency_refused": {
        "Currency code EUR is not valid": {"currency": "EUR"},
        "'EUR' is not a currency of this organisation": {"currency": "EUR"},
        "Your plan has no multi-currency.": {"currency": "GBP"},
        "CurrencyCode must be valid": {"currency": "GBP"},
    },
    "item_not_found": {
        "Item code MUG-11 is not valid": {"item": "MUG-11"},
        'Item "MUG" is inactive': {"item": "MUG"},
        "The item MUG/11 cannot be sold": {"item": "MUG/11"},
        "ItemCode must be valid.": {"item": "of a line"},
        "Item code 'O'Neil, red' is not valid": {"item": "O'Neil, red"},
    },
    "number_taken": {
        "Invoice number 'KX-7' must be unique": {},
        "Invoice number KX-7 already exists.": {},
        "InvoiceNumber is already in use": {},
        "PurchaseOrderNumber must be unique": {},
        "The order number KX-7 has already been taken": {},
        "Duplicate invoice number": {},
        "Invoice KX-7 already exists": {},
    },
}


@pytest.mark.parametrize(
    ("code", "message"), [(code, message) for code, said in VARIANTS.items() for message in said]
)
def test_a_refusal_is_known_with_or_without_quotes_and_codes(code: str, message: str) -> None:
    known = {"currency": "GBP", "date": "2026-01-05"}
    problem = from_xero([message], order="7", document="invoice", settings=SETTINGS, sent=known)
    assert problem.code == code
    assert VARIANTS[code][message].items() <= problem.details.items()
    assert "(not known)" not in problem.sentence + problem.fix


@pytest.mark.parametrize("document", ["invoice", "purchase_order", "item"])
@pytest.mark.parametrize(
    "message",
    [
        *(message for said in VARIANTS.values() for message in said),
        "Unknown tracking option",
        "Branding theme",
    ],
)
def test_where_nothing_is_set_nobody_is_told_to_look_at_it_or_to_add_what_is_there(
    message: str, document: Created
) -> None:
    bare = Settings(contact_name="Marlow")
    problem = from_xero([message], order="7", document=document, settings=bare)
    told = problem.sentence + problem.fix
    for words in ("(none)", "“”", "Shipping account", "Sales account", " : ", "or add", "Add ", "add it"):
        assert words not in told


def test_a_hostile_refusal_is_read_in_no_time() -> None:
    from_xero(["contact " * 20_000 + "'" * 20_000], order="7", document="invoice", settings=SETTINGS)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("sale_datetime", "the date of sale"),
        ("items[11].unit_cost_price", "the unit cost of line 12"),
        ("items[0]", "line 1"),
        ("shipping_country_code", "the shipping country code"),
        # deeper than what is read, and what is no field
        ("items[0].attributes[1].value", "“items[0].attributes[1].value”"),
        ("items[0].…", "“items[0].…”"),
        ("a key in items[0]", "“a key in items[0]”"),
    ],
)
def test_a_field_is_called_by_its_plain_name(path: str, words: str) -> None:
    assert field_in_words(path) == words


def test_no_plain_name_is_written_with_underscores() -> None:
    described = json.loads((ROOT / "docs" / "schemas" / "order.json").read_text())["$defs"]
    for kind in ("order", "line"):
        for name in described[kind]["properties"]:
            assert "_" not in field_in_words(name)

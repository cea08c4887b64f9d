"""The simulated Xero's books: what the Accounting API stores, answers and refuses."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest

from local.xero.clock import VirtualClock
from local.xero.visitor import Visitor
from local.xero.world import World

ZERO_ID = "00000000-0000-0000-0000-000000000000"
Json = dict[str, Any]


@pytest.fixture
def xero() -> Visitor:
    return Visitor(World(VirtualClock(), seed=1, demo=False))


def line(**changes: Any) -> Json:
    return {
        "Description": "Mug",
        "Quantity": 1,
        "UnitAmount": 10,
        "AccountCode": "200",
        "TaxType": "OUTPUT2",
    } | changes


def invoice(xero: Visitor, **changes: Any) -> Json:
    return {
        "Type": "ACCREC",
        "InvoiceNumber": "KX-1",
        "Contact": {"ContactID": xero.contact.id},
        "Date": "2026-11-23",
        "DueDate": "2026-12-23",
        "LineItems": [line()],
    } | changes


def order(xero: Visitor, **changes: Any) -> Json:
    return {
        "PurchaseOrderNumber": "KX-1",
        "Contact": {"ContactID": xero.contact.id},
        "Date": "2026-11-23",
        "LineItems": [line(AccountCode="310", TaxType="INPUT2")],
    } | changes


def put(xero: Visitor, element: Json, collection: str = "Invoices", query: str = "unitdp=4") -> Json:
    answer = xero.call("PUT", f"{collection}?summarizeErrors=false&{query}", json=element)
    assert answer.status_code == 200, answer.text
    stored: Json = json.loads(answer.text, parse_float=Decimal)[collection][0]
    return stored


def complaints(element: Json) -> list[str]:
    return [error["Message"] for error in element.get("ValidationErrors") or []]


def refusals(
    xero: Visitor, element: Json, collection: str = "Invoices", query: str = "unitdp=4"
) -> list[str]:
    return complaints(put(xero, element, collection, query))


def sums(element: Json) -> tuple[Decimal, Decimal, Decimal]:
    return element["SubTotal"], element["TotalTax"], element["Total"]


def stored_numbers(xero: Visitor) -> list[tuple[str, str]]:
    return [(document.kind, document.number) for document in xero.organisation.documents.values()]


def tracked_item(xero: Visitor, code: str = "TEE") -> None:
    put(
        xero,
        {
            "Code": code,
            "Description": "Tee",
            "SalesDetails": {"UnitPrice": 20, "AccountCode": "200", "TaxType": "OUTPUT2"},
            "PurchaseDetails": {"UnitPrice": 9.4, "COGSAccountCode": "310", "TaxType": "INPUT2"},
            "InventoryAssetAccountCode": "630",
        },
        "Items",
    )


class TestVerbs:
    def test_put_refuses_a_sales_number_that_is_taken(self, xero: Visitor) -> None:
        put(xero, invoice(xero))
        second = put(xero, invoice(xero))
        assert complaints(second) == ["Invoice # must be unique."]
        assert (second["InvoiceID"], second["HasErrors"], second["StatusAttributeString"]) == (
            ZERO_ID,
            True,
            "ERROR",
        )
        assert len(xero.organisation.documents) == 1

    def test_post_overwrites_the_invoice_that_has_the_number(self, xero: Visitor) -> None:
        first = put(xero, invoice(xero))
        posted = xero.call("POST", "Invoices", json=invoice(xero, LineItems=[line(UnitAmount=99)])).json()
        assert posted["Invoices"][0]["InvoiceID"] == first["InvoiceID"]
        assert [one.total for one in xero.organisation.documents.values()] == [Decimal("118.80")]

    def test_numbers_of_invoices_and_purchase_orders_are_separate(self, xero: Visitor) -> None:
        put(xero, invoice(xero))
        assert refusals(xero, order(xero), "PurchaseOrders") == []
        assert refusals(xero, order(xero), "PurchaseOrders") == ["Order number must be unique"]

    def test_bills_may_share_a_number(self, xero: Visitor) -> None:
        bill = invoice(xero, Type="ACCPAY", LineItems=[line(AccountCode="310", TaxType="INPUT2")])
        put(xero, bill)
        assert refusals(xero, bill) == []
        assert len(xero.organisation.documents) == 2

    @pytest.mark.parametrize(
        ("choice", "expected"), [("refused", ["Invoice # must be unique."]), ("allowed", [])]
    )
    def test_the_number_of_a_deleted_invoice_follows_the_open_answer(
        self, xero: Visitor, choice: str, expected: list[str]
    ) -> None:
        xero.world.unconfirmed.choose("dead_number_reuse", choice)
        stored = put(xero, invoice(xero))
        xero.call("POST", f"Invoices/{stored['InvoiceID']}", json={"Status": "DELETED"})
        assert refusals(xero, invoice(xero)) == expected

    def test_posting_over_a_deleted_number_is_not_of_valid_status(self, xero: Visitor) -> None:
        stored = put(xero, invoice(xero))
        xero.call("POST", f"Invoices/{stored['InvoiceID']}", json={"Status": "DELETED"})
        answer = xero.call("POST", "Invoices", json=invoice(xero))
        assert answer.status_code == 400
        assert complaints(answer.json()["Elements"][0]) == ["Invoice not of valid status for modification"]

    def test_a_missing_number_is_given_by_xero(self, xero: Visitor) -> None:
        element = invoice(xero)
        del element["InvoiceNumber"]
        assert put(xero, element)["InvoiceNumber"] == "INV-0001"

    def test_one_number_twice_in_a_batch_is_stored_once(self, xero: Visitor) -> None:
        answer = xero.call("PUT", "Invoices?summarizeErrors=false", json={"Invoices": [invoice(xero)] * 2})
        assert [one["StatusAttributeString"] for one in answer.json()["Invoices"]] == ["OK", "ERROR"]

    def test_an_unsupported_verb_is_not_implemented(self, xero: Visitor) -> None:
        answer = xero.call("DELETE", "Invoices")
        assert (answer.status_code, answer.json()["ErrorNumber"]) == (501, 20)

    def test_what_does_not_exist_is_plain_text(self, xero: Visitor) -> None:
        answer = xero.call("GET", "Invoices/nothing")
        assert (answer.status_code, answer.text) == (404, "The resource you're looking for cannot be found")
        assert xero.call("GET", "Unicorns").status_code == 404


class TestAnswers:
    def test_summarized_errors_are_a_400_with_the_refused_elements_and_the_good_ones_stay(
        self, xero: Visitor
    ) -> None:
        good, bad = invoice(xero), invoice(xero, InvoiceNumber="KX-2", LineItems=[])
        answer = xero.call("PUT", "Invoices", json={"Invoices": [good, bad]})
        body = answer.json()
        assert (answer.status_code, body["ErrorNumber"], body["Type"]) == (400, 10, "ValidationException")
        assert [one["InvoiceNumber"] for one in body["Elements"]] == ["KX-2"]
        assert complaints(body["Elements"][0]) == ["One or more line items must be specified"]
        assert [one.number for one in xero.organisation.documents.values()] == ["KX-1"]

    def test_a_refused_batch_can_store_nothing_if_the_open_answer_says_so(self, xero: Visitor) -> None:
        xero.world.unconfirmed.choose("good_elements_of_a_refused_batch", "dropped")
        xero.call("PUT", "Invoices", json=[invoice(xero), invoice(xero, InvoiceNumber="KX-2", LineItems=[])])
        assert xero.organisation.documents == {}
        assert xero.world.log.entries[-1].committed == []

    @pytest.mark.parametrize(
        ("place", "top", "nested"), [("element", 1, 0), ("line", 0, 1), ("element_and_line", 1, 1)]
    )
    def test_line_errors_sit_where_the_open_answer_puts_them(
        self, xero: Visitor, place: str, top: int, nested: int
    ) -> None:
        xero.world.unconfirmed.choose("place_of_line_errors", place)
        refused = put(xero, invoice(xero, LineItems=[line(AccountCode="999")]))
        assert len(refused["ValidationErrors"]) == top
        assert len(refused["LineItems"][0]["ValidationErrors"]) == nested

    @pytest.mark.parametrize("wrap", [lambda one: one, lambda one: [one], lambda one: {"Invoices": [one]}])
    def test_an_element_may_come_bare_in_an_array_or_wrapped(self, xero: Visitor, wrap: Any) -> None:
        assert xero.call("PUT", "Invoices", json=wrap(invoice(xero))).status_code == 200

    def test_bad_json_is_invalid_post_data(self, xero: Visitor) -> None:
        for body in ("{", '{"Invoices": [1]}', '{"Total": NaN}', "[" * 100_000):
            answer = xero.call("PUT", "Invoices", data=body)
            assert (answer.status_code, answer.json()["ErrorNumber"]) == (400, 14), body[:20]
            assert answer.json()["Type"] == "PostDataInvalidException"

    @pytest.mark.parametrize(
        "change",
        [{"LineAmountTypes": "NO_TAX"}, {"Date": "23/11/2026"}, {"Status": "approved"}, {"Contact": "me"}],
    )
    def test_a_value_of_the_wrong_kind_refuses_the_whole_request(self, xero: Visitor, change: Json) -> None:
        answer = xero.call("PUT", "Invoices?summarizeErrors=false", json=invoice(xero, **change))
        assert (answer.status_code, answer.json()["ErrorNumber"]) == (400, 14)

    def test_an_empty_body_processes_no_data(self, xero: Visitor) -> None:
        answer = xero.call("PUT", "Invoices")
        assert (answer.status_code, answer.json()["Type"]) == (400, "NoDataProcessedException")

    def test_more_than_ten_megabytes_are_too_large(self, xero: Visitor) -> None:
        assert xero.call("PUT", "Invoices", data=b" " * (10 * 1024 * 1024 + 1)).status_code == 413

    def test_without_asking_for_json_the_answer_is_xml(self, xero: Visitor) -> None:
        put(xero, invoice(xero))
        answer = xero.call("GET", "Invoices?page=1", headers={"Accept": "*/*"})
        assert answer.headers["Content-Type"].startswith("text/xml")
        assert "<InvoiceNumber>KX-1</InvoiceNumber>" in answer.text
        refused = xero.call("PUT", "Invoices", data="{", headers={"Accept": None})
        assert refused.text.startswith("<ApiException>")

    def test_amounts_are_plain_numbers_without_float_artefacts(self, xero: Visitor) -> None:
        put(xero, invoice(xero, LineItems=[line(Quantity=3, UnitAmount=0.1)]))
        text = xero.call("GET", "Invoices/KX-1?unitdp=4").text
        assert '"UnitAmount":0.1000' in text
        assert '"LineAmount":0.30' in text
        assert not re.search(r":-?\d+(\.\d+)?[eE]|\d\.\d{7}[^\d]", text)

    def test_dates_come_in_both_of_xeros_formats(self, xero: Visitor) -> None:
        stored = put(xero, invoice(xero, Date="2019-03-07"))
        assert stored["Date"] == "/Date(1551916800000+0000)/"
        assert stored["DateString"] == "2019-03-07T00:00:00"
        assert stored["UpdatedDateUTCString"] == "2026-11-23T09:00:00.000"

    def test_a_date_left_out_is_today_where_the_organisation_is(self) -> None:
        world = World(VirtualClock(), demo=False)
        world.clock.advance(12 * 3600)
        xero = Visitor(world, country="NZ")
        element = invoice(xero)
        del element["Date"]
        assert put(xero, element)["DateString"] == "2026-11-24T00:00:00"


class TestMoney:
    def test_tax_is_rounded_per_line_and_then_added_up(self, xero: Visitor) -> None:
        xero.organisation.tax_rates["OUTPUT2"].effective = Decimal(15)
        lines = [line(UnitAmount=amount) for amount in (25.06, 25.61, 25.63)]
        assert put(xero, invoice(xero, LineItems=lines))["TotalTax"] == Decimal("11.44")

    def test_inclusive_tax_is_taken_out_of_each_line(self, xero: Visitor) -> None:
        stored = put(
            xero, invoice(xero, LineAmountTypes="Inclusive", LineItems=[line(Quantity=2, UnitAmount=13)])
        )
        assert sums(stored) == (Decimal("21.67"), Decimal("4.33"), Decimal("26.00"))

    def test_no_tax_means_no_tax(self, xero: Visitor) -> None:
        stored = put(xero, invoice(xero, LineAmountTypes="NoTax"))
        assert sums(stored) == (Decimal("10.00"), Decimal("0.00"), Decimal("10.00"))
        assert stored["LineItems"][0]["TaxType"] == "NONE"

    @pytest.mark.parametrize(("query", "total"), [("unitdp=2", "32.49"), ("unitdp=4", "32.50")])
    def test_unit_amounts_are_rounded_before_they_are_multiplied(
        self, xero: Visitor, query: str, total: str
    ) -> None:
        element = invoice(xero, LineAmountTypes="NoTax", LineItems=[line(Quantity=3, UnitAmount=10.8333)])
        assert put(xero, element, query=query)["Total"] == Decimal(total)

    @pytest.mark.parametrize(("ties", "tax"), [("half_up", "0.03"), ("half_even", "0.02")])
    def test_half_a_cent_goes_where_the_organisation_says(self, xero: Visitor, ties: Any, tax: str) -> None:
        xero.organisation.tie_rounding = ties
        xero.organisation.tax_rates["OUTPUT2"].effective = Decimal("2.5")
        assert put(xero, invoice(xero, LineItems=[line(UnitAmount=1)]))["TotalTax"] == Decimal(tax)

    def test_purchase_orders_keep_four_decimals_without_being_asked(self, xero: Visitor) -> None:
        lines = [line(AccountCode="310", TaxType="INPUT2", UnitAmount=1.2345, Quantity=100)]
        assert put(xero, order(xero, LineItems=lines), "PurchaseOrders", "")["SubTotal"] == Decimal("123.45")

    def test_a_tax_amount_given_overrides_the_reckoned_one(self, xero: Visitor) -> None:
        assert put(xero, invoice(xero, LineItems=[line(TaxAmount=1.99)]))["TotalTax"] == Decimal("1.99")
        refused = refusals(xero, invoice(xero, InvoiceNumber="KX-2", LineItems=[line(TaxAmount=11)]))
        assert refused == ["The tax amount must not be greater than the line total."]

    @pytest.mark.parametrize(
        ("change", "refused"),
        [
            (
                {"LineAmount": 1.00, "UnitAmount": 100},
                "The line total 1.00 does not match the expected line total 100.00",
            ),
            (
                {"UnitAmount": 795, "DiscountRate": 100, "LineAmount": -795},
                "The line total -795.00 does not match the expected line total 0.00",
            ),
            (
                {"UnitAmount": -5, "DiscountAmount": 0},
                "The discount rate '0.00' is invalid. Discount must not be greater than the line total.",
            ),
            (
                {"Quantity": -2},
                "The quantity value '-2.0000' is invalid. Quantity must not be less than zero.",
            ),
        ],
    )
    def test_sums_that_do_not_hold_are_refused(self, xero: Visitor, change: Json, refused: str) -> None:
        assert refusals(xero, invoice(xero, LineItems=[line(**change)])) == [refused]

    def test_a_zero_discount_on_a_purchase_order_is_refused(self, xero: Visitor) -> None:
        lines = [line(AccountCode="310", TaxType="INPUT2", DiscountRate=0)]
        assert refusals(xero, order(xero, LineItems=lines), "PurchaseOrders") == [
            "The line total 0 does not match the expected line total 10.00"
        ]

    def test_discounts_come_off_the_line(self, xero: Visitor) -> None:
        lines = [line(UnitAmount=100, DiscountRate=15), line(UnitAmount=100, DiscountAmount=7.5)]
        assert put(xero, invoice(xero, LineItems=lines))["SubTotal"] == Decimal("177.50")

    def test_a_negative_unit_amount_is_a_credit_line(self, xero: Visitor) -> None:
        assert put(xero, invoice(xero, LineItems=[line(), line(UnitAmount=-2.5)]))["SubTotal"] == Decimal(
            "7.50"
        )

    def test_a_number_written_with_an_exponent_breaks_the_line(self, xero: Visitor) -> None:
        body = json.dumps(invoice(xero, LineItems=[line(UnitAmount=0.000029104)]))
        assert "e-05" in body
        answer = xero.call("PUT", "Invoices?summarizeErrors=false", data=body)
        assert complaints(answer.json()["Invoices"][0]) == [
            "Account must be valid.",
            "Tax rate must be valid.",
        ]

    def test_too_many_digits_are_refused(self, xero: Visitor) -> None:
        assert refusals(xero, invoice(xero, LineItems=[line(Quantity=12345678901234)]))
        assert refusals(xero, invoice(xero, LineItems=[line(UnitAmount=99999999999.99)]))

    def test_a_total_that_is_not_the_sum_is_refused(self, xero: Visitor) -> None:
        assert refusals(xero, invoice(xero, Total=11)) == [
            "The invoice total does not equal the sum of the lines."
        ]
        assert refusals(xero, invoice(xero, Total=12)) == []


class TestAccountsAndTaxes:
    @pytest.mark.parametrize("code", ["999", "610", "820"])
    def test_unknown_and_control_accounts_are_no_codes_for_a_document(self, xero: Visitor, code: str) -> None:
        assert refusals(xero, invoice(xero, LineItems=[line(AccountCode=code)]))[0] == (
            f"Account code '{code}' is not a valid code for this document."
        )

    def test_an_archived_account_says_so(self, xero: Visitor) -> None:
        xero.world.change_organisation(xero.organisation, {"archive_account": "200"})
        assert refusals(xero, invoice(xero)) == [
            "Account code '200' has been archived, or has been deleted. "
            "Each line item must reference a valid account."
        ]

    def test_the_rounding_account_takes_lines(self, xero: Visitor) -> None:
        assert refusals(xero, invoice(xero, LineItems=[line(AccountCode="860", TaxType="NONE")])) == []

    def test_an_inventory_account_takes_no_untracked_line(self, xero: Visitor) -> None:
        refused = refusals(
            xero, order(xero, LineItems=[line(AccountCode="630", TaxType="INPUT2")]), "PurchaseOrders"
        )
        assert refused == ["You cannot save this transaction using an inventory account type"]

    def test_a_tax_type_must_fit_its_account(self, xero: Visitor) -> None:
        lines = [line(AccountCode="310", TaxType="OUTPUT2")]
        assert refusals(xero, order(xero, LineItems=lines), "PurchaseOrders") == [
            "The TaxType code 'OUTPUT2' cannot be used with account code '310'."
        ]

    @pytest.mark.parametrize("tax_type", ["VAT20", "TAX001"])
    def test_unknown_and_deleted_tax_types_do_not_exist(self, xero: Visitor, tax_type: str) -> None:
        assert refusals(xero, invoice(xero, LineItems=[line(TaxType=tax_type)])) == [
            f"The TaxType code '{tax_type}' does not exist or cannot be used for this type of transaction."
        ]

    def test_a_line_without_tax_type_gets_its_accounts(self, xero: Visitor) -> None:
        bare = line()
        del bare["TaxType"]
        assert put(xero, invoice(xero, LineItems=[bare]))["LineItems"][0]["TaxType"] == "OUTPUT2"

    def test_an_organisation_that_pays_no_tax_takes_none(self, xero: Visitor) -> None:
        xero.organisation.pays_tax = False
        assert "TaxType code" in refusals(xero, invoice(xero))[0]
        assert refusals(xero, invoice(xero, LineAmountTypes="NoTax")) == []

    @pytest.mark.parametrize(("country", "rate"), [("AU", "10"), ("NZ", "15"), ("US", "8.75")])
    def test_every_country_brings_its_own_chart(self, country: str, rate: str) -> None:
        xero = Visitor(World(VirtualClock(), demo=False), country=country)
        accounts = xero.call("GET", "Accounts").json()["Accounts"]
        types = {account["Type"] for account in accounts}
        assert {"REVENUE", "DIRECTCOSTS", "INVENTORY", "BANK"} <= types
        assert any(account.get("SystemAccount") == "ROUNDING" for account in accounts)
        assert any("Code" not in account for account in accounts)
        rates = json.loads(xero.call("GET", "TaxRates").text, parse_float=Decimal)["TaxRates"]
        assert Decimal(rate) in [one["EffectiveRate"] for one in rates if one["CanApplyToRevenue"]]
        zeros = [one for one in rates if one["EffectiveRate"] == 0 and one["CanApplyToRevenue"]]
        assert len(zeros) >= 2

    def test_one_tax_rate_can_be_read(self, xero: Visitor) -> None:
        assert xero.call("GET", "TaxRates/RROUTPUT").json()["TaxRates"][0]["EffectiveRate"] == 5
        assert xero.call("GET", "TaxRates/NOPE").status_code == 404


class TestContacts:
    def test_a_document_needs_a_contact(self, xero: Visitor) -> None:
        assert refusals(xero, invoice(xero, Contact=None)) == [
            "A Contact must be specified for this type of transaction"
        ]
        assert "at least 1 of" in refusals(xero, invoice(xero, Contact={}))[0]

    def test_an_unknown_contact_is_refused(self, xero: Visitor) -> None:
        refused = put(xero, invoice(xero, Contact={"ContactID": xero.world.new_id()}))
        assert complaints(refused["Contact"]) == complaints(refused)
        assert complaints(refused) == [xero.world.unconfirmed["unknown_contact_text"]]

    def test_an_archived_contact_is_refused(self, xero: Visitor) -> None:
        xero.contact.status = "ARCHIVED"
        assert refusals(xero, invoice(xero))[0].startswith(
            "The contact with the specified contact details has been archived."
        )

    def test_keys_beside_the_contact_id_edit_the_contact_and_drop_its_persons(self, xero: Visitor) -> None:
        xero.contact.persons = [{"FirstName": "Ann"}]
        contact_id = xero.contact.id
        put(xero, invoice(xero, Contact={"ContactID": contact_id}))
        assert xero.contact.persons
        put(
            xero,
            invoice(
                xero, InvoiceNumber="KX-2", Contact={"ContactID": contact_id, "EmailAddress": "a@b.example"}
            ),
        )
        assert (xero.contact.persons, xero.contact.email) == ([], "a@b.example")
        assert [one["kind"] for one in xero.world.log.entries[-1].committed] == ["contact", "ACCREC"]

    def test_a_bare_name_creates_a_contact_on_an_invoice_and_is_reused(self, xero: Visitor) -> None:
        first = put(xero, invoice(xero, Contact={"Name": "New Ltd"}))
        second = put(xero, invoice(xero, InvoiceNumber="KX-2", Contact={"Name": "new ltd"}))
        assert first["Contact"]["ContactID"] == second["Contact"]["ContactID"]

    def test_a_purchase_order_never_creates_a_contact(self, xero: Visitor) -> None:
        before = len(xero.organisation.contacts)
        refused = refusals(xero, order(xero, Contact={"Name": "New Ltd"}), "PurchaseOrders")
        assert refused == ["A Contact must be specified for this type of transaction"]
        assert len(xero.organisation.contacts) == before

    def test_contact_names_are_unique(self, xero: Visitor) -> None:
        assert refusals(xero, {"Name": "O'Brien Prints"}, "Contacts") == [
            "The contact name O'Brien Prints is already assigned to another contact. "
            "The contact name must be unique across all active contacts."
        ]
        assert refusals(xero, {"Name": "A", "ContactNumber": "KX-SALES"}, "Contacts") == [
            "Another contact has this contact number. Please enter a different contact number."
        ]
        assert refusals(xero, {"Name": "A", "EmailAddress": "nonsense"}, "Contacts") == [
            "Email address must be valid"
        ]

    @pytest.mark.parametrize("operator", ["=", "=="])
    def test_contacts_are_found_by_name_whatever_its_case(self, xero: Visitor, operator: str) -> None:
        where = f'Name{operator}"o\'brien prints"'
        found = xero.call("GET", "Contacts", params={"where": where}).json()["Contacts"]
        assert [one["Name"] for one in found] == ["O'Brien Prints"]

    def test_contacts_are_found_by_name_whatever_its_accents(self, xero: Visitor) -> None:
        xero.contact.name = "Café Prints"
        found = xero.call("GET", "Contacts", params={"where": 'Name=="CAFE PRINTS"'}).json()["Contacts"]
        assert [one["Name"] for one in found] == ["Café Prints"]

    @pytest.mark.parametrize("name", ['The "Good" Mug Co', 'The \\"Good\\" Mug Co'])
    def test_a_quote_inside_a_name_cannot_be_escaped(self, xero: Visitor, name: str) -> None:
        answer = xero.call("GET", "Contacts", params={"where": f'Name=="{name}"'})
        assert (answer.status_code, answer.json()["ErrorNumber"]) == (400, 16)
        assert answer.json()["Type"] == "QueryParseException"

    def test_a_search_finds_what_a_where_cannot(self, xero: Visitor) -> None:
        found = xero.call("GET", "Contacts", params={"searchTerm": '"good" mug'}).json()
        assert [one["Name"] for one in found["Contacts"]] == ['The "Good" Mug Co']
        assert found["pagination"]["itemCount"] == 1

    def test_archived_contacts_show_only_when_asked_for(self, xero: Visitor) -> None:
        everyone = len(xero.organisation.contacts)
        xero.contact.status = "ARCHIVED"
        assert len(xero.call("GET", "Contacts").json()["Contacts"]) == everyone - 1
        assert len(xero.call("GET", "Contacts?includeArchived=true").json()["Contacts"]) == everyone


class TestStatuses:
    def test_approval_needs_a_due_date_an_account_and_a_description(self, xero: Visitor) -> None:
        bare = {"Quantity": 1, "UnitAmount": 10}
        refused = refusals(xero, invoice(xero, Status="AUTHORISED", DueDate=None, LineItems=[bare]))
        assert refused == [
            "The document DueDate field must be specified.",
            "Description must be specified",
            "Account code or ID must be specified",
        ]
        assert refusals(xero, invoice(xero, LineItems=[bare], DueDate=None)) == []

    def test_new_documents_are_drafts_submitted_or_approved(self, xero: Visitor) -> None:
        assert refusals(xero, invoice(xero, Status="VOIDED")) == ["Invoice not of valid status for creation"]
        assert refusals(xero, invoice(xero, Status="SUBMITTED")) == []

    @pytest.mark.parametrize(
        ("before", "after", "allowed"),
        [
            ("DRAFT", "SUBMITTED", True),
            ("DRAFT", "VOIDED", False),
            ("SUBMITTED", "DRAFT", True),
            ("SUBMITTED", "DELETED", True),
            ("AUTHORISED", "DRAFT", False),
            ("AUTHORISED", "DELETED", False),
            ("AUTHORISED", "VOIDED", True),
        ],
    )
    def test_an_invoice_goes_only_the_ways_xero_knows(
        self, xero: Visitor, before: str, after: str, allowed: bool
    ) -> None:
        stored = put(xero, invoice(xero, Status=before))
        answer = xero.call("POST", f"Invoices/{stored['InvoiceID']}", json={"Status": after})
        assert answer.status_code == (200 if allowed else 400)
        if not allowed:
            assert complaints(answer.json()["Elements"][0]) == [
                "Invoice not of valid status for modification"
            ]

    def test_a_status_change_without_unitdp_loses_four_decimals(self, xero: Visitor) -> None:
        stored = put(xero, invoice(xero, LineItems=[line(Quantity=3, UnitAmount=10.8333)]))
        xero.call("POST", f"Invoices/{stored['InvoiceID']}?unitdp=4", json={"Status": "SUBMITTED"})
        document = xero.organisation.documents[stored["InvoiceID"]]
        assert document.sub_total == Decimal("32.50")
        xero.call("POST", f"Invoices/{stored['InvoiceID']}", json={"Status": "AUTHORISED"})
        document = xero.organisation.documents[stored["InvoiceID"]]
        assert document.sub_total == Decimal("32.49")

    def test_a_paid_invoice_is_not_edited_or_voided(self, xero: Visitor) -> None:
        stored = put(xero, invoice(xero, Status="AUTHORISED"))
        path = f"/_simulator/organisations/{xero.organisation.id}/documents/KX-1"
        assert xero.site("PATCH", path, json={"Pay": 5}).json()["document"]["AmountDue"] == 7
        edit = xero.call("POST", f"Invoices/{stored['InvoiceID']}", json={"Date": "2026-11-24"})
        assert complaints(edit.json()["Elements"][0]) == [
            "This document cannot be edited as it has a payment or credit note allocated to it."
        ]
        void = xero.call("POST", f"Invoices/{stored['InvoiceID']}", json={"Status": "VOIDED"})
        assert complaints(void.json()["Elements"][0])[0].startswith("The status VOIDED cannot be applied")

    def test_the_plans_cap_stops_approving_but_not_drafts(self, xero: Visitor) -> None:
        xero.organisation.approval_cap = 1
        put(xero, invoice(xero, Status="AUTHORISED"))
        second = invoice(xero, InvoiceNumber="KX-2", Status="AUTHORISED")
        assert refusals(xero, second) == ["You have reached the limit of invoices you can approve"]
        assert refusals(xero, invoice(xero, InvoiceNumber="KX-2")) == []
        actions = {
            one["Name"]: one["Status"] for one in xero.call("GET", "Organisation/Actions").json()["Actions"]
        }
        assert actions["CreateApprovedInvoice"] == "NOT-ALLOWED"

    def test_a_draft_purchase_order_marked_as_sent_is_warned_about(self, xero: Visitor) -> None:
        stored = put(xero, order(xero, SentToContact=True), "PurchaseOrders")
        assert (stored["StatusAttributeString"], stored["Warnings"][0]["Message"]) == (
            "WARNING",
            "Only AUTHORISED and BILLED purchase orders may have SentToContact updated.",
        )

    def test_purchase_orders_are_approved_billed_and_deleted_by_post(self, xero: Visitor) -> None:
        stored = put(xero, order(xero, Status="AUTHORISED"), "PurchaseOrders")
        key = stored["PurchaseOrderID"]
        assert xero.call("POST", "PurchaseOrders", json={"PurchaseOrderID": key, "Status": "BILLED"}).ok
        refused = xero.call("POST", "PurchaseOrders", json={"PurchaseOrderID": key, "Status": "DELETED"})
        assert refused.status_code == 400


class TestLocksAndCurrencies:
    def test_dates_must_be_after_both_lock_dates(self, xero: Visitor) -> None:
        xero.world.change_organisation(
            xero.organisation, {"period_lock_date": "2026-10-31", "end_of_year_lock_date": "2026-03-31"}
        )
        assert refusals(xero, invoice(xero, Date="2026-03-31")) == [
            "The document date cannot be before the end of year lock date, currently set at 31-Mar-2026"
        ]
        assert refusals(xero, invoice(xero, Date="2026-10-31")) == [
            "The document date cannot be before the period lock date, currently set at 31-Oct-2026"
        ]
        assert refusals(xero, invoice(xero, Date="2026-11-01")) == []
        facts = xero.call("GET", "Organisation").json()["Organisations"][0]
        assert facts["PeriodLockDate"] == "/Date(1793404800000+0000)/"

    def test_purchase_orders_pass_a_lock_date(self, xero: Visitor) -> None:
        xero.world.change_organisation(xero.organisation, {"period_lock_date": "2026-12-31"})
        assert refusals(xero, order(xero), "PurchaseOrders") == []

    def test_a_currency_must_be_subscribed(self, xero: Visitor) -> None:
        assert refusals(xero, invoice(xero, CurrencyCode="CHF")) == [
            "Organisation is not subscribed to currency CHF"
        ]
        assert xero.call("PUT", "Currencies", json={"Code": "CHF", "Description": "Swiss Franc"}).ok
        assert put(xero, invoice(xero, CurrencyCode="CHF"))["CurrencyCode"] == "CHF"

    def test_a_single_currency_plan_adds_none(self, xero: Visitor) -> None:
        xero.organisation.multicurrency = False
        assert xero.call("PUT", "Currencies", json={"Code": "CHF"}).status_code == 400


class TestItemsAndStock:
    def test_an_item_code_must_exist(self, xero: Visitor) -> None:
        assert refusals(xero, invoice(xero, LineItems=[line(ItemCode="NOPE")])) == [
            "Item code 'NOPE' is not valid"
        ]

    def test_two_accounts_make_an_item_tracked_and_the_flag_does_not(self, xero: Visitor) -> None:
        tracked_item(xero)
        plain = put(xero, {"Code": "MUG", "IsTrackedAsInventory": True}, "Items")
        assert plain["IsTrackedAsInventory"] is False
        tracked = xero.call("GET", "Items/TEE").json()["Items"][0]
        assert (tracked["IsTrackedAsInventory"], tracked["QuantityOnHand"]) == (True, 0)

    def test_an_item_code_is_created_once_and_post_changes_it(self, xero: Visitor) -> None:
        put(xero, {"Code": "MUG"}, "Items")
        assert refusals(xero, {"Code": "MUG"}, "Items") == ["Price List Item with Code 'MUG' already exists"]
        assert (
            xero.call("POST", "Items", json={"Code": "MUG", "Name": "Mug"}).json()["Items"][0]["Name"]
            == "Mug"
        )

    def test_an_item_code_has_at_most_thirty_characters(self, xero: Visitor) -> None:
        assert refusals(xero, {"Code": "X" * 31}, "Items")
        assert refusals(xero, invoice(xero, LineItems=[line(ItemCode="X" * 31)]))

    def test_inventory_needs_an_inventory_account_and_no_purchase_account(self, xero: Visitor) -> None:
        base = {
            "Code": "A",
            "InventoryAssetAccountCode": "200",
            "PurchaseDetails": {"COGSAccountCode": "310"},
        }
        assert "type INVENTORY" in refusals(xero, base, "Items")[0]
        both = {"COGSAccountCode": "310", "AccountCode": "310"}
        changed = base | {"InventoryAssetAccountCode": "630", "PurchaseDetails": both}
        assert refusals(xero, changed, "Items") == [
            "PurchaseDetails AccountCode can't be used on a tracked item."
        ]

    def test_an_item_is_deleted_by_id_or_code_and_its_documents_stay(self, xero: Visitor) -> None:
        item = xero.call("PUT", "Items", json={"Code": "MUG"}).json()["Items"][0]
        assert xero.call("DELETE", f"Items/{item['ItemID']}").status_code == 204
        assert xero.call("GET", "Items/MUG").status_code == 404
        assert xero.call("DELETE", "Items/MUG").status_code == 404

    def test_a_tracked_item_that_an_approved_document_held_stays(self, xero: Visitor) -> None:
        item = {
            "Code": "CAP",
            "InventoryAssetAccountCode": "630",
            "PurchaseDetails": {"COGSAccountCode": "310"},
        }
        assert xero.call("PUT", "Items", json=item).status_code == 200
        line = {"Description": "Cap", "ItemCode": "CAP", "UnitAmount": 5}
        bill = {
            "Type": "ACCPAY",
            "Contact": {"ContactID": xero.contact.id},
            "DueDate": "2026-12-31",
            "LineItems": [line],
        }
        draft = xero.call("PUT", "Invoices", json=bill | {"Status": "DRAFT"})
        assert draft.status_code == 200
        approved = xero.call("PUT", "Invoices", json=bill | {"Status": "AUTHORISED"}).json()["Invoices"][0]
        assert xero.call("DELETE", "Items/CAP").status_code == 400
        voided = {"InvoiceID": approved["InvoiceID"], "Status": "VOIDED"}
        assert xero.call("POST", "Invoices", json=voided).status_code == 200
        assert xero.call("DELETE", "Items/CAP").status_code == 400

    def test_an_item_fills_what_its_line_leaves_out(self, xero: Visitor) -> None:
        tracked_item(xero)
        stored = put(xero, invoice(xero, LineItems=[{"ItemCode": "TEE", "Quantity": 1}]))["LineItems"][0]
        assert (stored["Description"], stored["UnitAmount"], stored["AccountCode"], stored["TaxType"]) == (
            "Tee",
            Decimal("20.0000"),
            "200",
            "OUTPUT2",
        )

    def test_an_approved_sale_without_stock_is_refused_and_a_draft_is_not(self, xero: Visitor) -> None:
        tracked_item(xero)
        sale = invoice(xero, LineItems=[line(ItemCode="TEE", Quantity=2)])
        assert refusals(xero, sale | {"Status": "AUTHORISED"}) == [
            "Insufficient stock. Items are eligible for backorder."
        ]
        assert refusals(xero, sale) == []

    def test_backorders_make_the_available_quantity_negative(self, xero: Visitor) -> None:
        tracked_item(xero)
        sale = invoice(xero, Status="AUTHORISED", LineItems=[line(ItemCode="TEE", Quantity=2)])
        stored = put(xero, sale, query="allowBackorders=true")
        item = xero.call("GET", "Items/TEE").json()["Items"][0]
        assert (item["QuantityAvailable"], item["QuantityOnBackOrder"]) == (-2, 2)
        xero.call("POST", f"Invoices/{stored['InvoiceID']}", json={"Status": "VOIDED"})
        assert xero.organisation.items["TEE"].on_back_order == 0

    def test_without_backorders_nothing_helps(self, xero: Visitor) -> None:
        tracked_item(xero)
        xero.organisation.backorders = False
        sale = invoice(xero, Status="AUTHORISED", LineItems=[line(ItemCode="TEE")])
        assert refusals(xero, sale, query="allowBackorders=true") == ["No items available to sell"]

    def test_only_approved_bills_add_stock_and_purchase_orders_never_do(self, xero: Visitor) -> None:
        tracked_item(xero)
        bought = [line(ItemCode="TEE", Quantity=5, AccountCode="630", TaxType="INPUT2")]
        put(xero, order(xero, Status="AUTHORISED", LineItems=bought), "PurchaseOrders")
        assert xero.organisation.items["TEE"].on_hand == 0
        put(xero, invoice(xero, Type="ACCPAY", Status="AUTHORISED", LineItems=bought))
        assert xero.organisation.items["TEE"].on_hand == 5
        sale = invoice(xero, Status="AUTHORISED", LineItems=[line(ItemCode="TEE", Quantity=3)])
        assert refusals(xero, sale) == []
        assert xero.organisation.items["TEE"].on_hand == 2

    def test_a_tracked_purchase_line_goes_to_the_inventory_account_by_itself(self, xero: Visitor) -> None:
        tracked_item(xero)
        stored = put(xero, order(xero, LineItems=[{"ItemCode": "TEE", "Quantity": 1}]), "PurchaseOrders")
        assert stored["LineItems"][0]["AccountCode"] == "630"

    def test_a_used_item_does_not_become_tracked(self, xero: Visitor) -> None:
        put(xero, {"Code": "TEE", "Description": "Tee"}, "Items")
        put(xero, invoice(xero, LineItems=[line(ItemCode="TEE")]))
        answer = xero.call(
            "POST",
            "Items",
            json={
                "Code": "TEE",
                "InventoryAssetAccountCode": "630",
                "PurchaseDetails": {"COGSAccountCode": "310"},
            },
        )
        assert answer.status_code == 400


class TestOtherFields:
    @pytest.mark.parametrize(
        "change",
        [
            {"InvoiceNumber": "X" * 256},
            {"Reference": "X" * 256},
            {"Url": "https://xero.example/1"},
            {"Url": "nowhere"},
            {"BrandingThemeID": "11111111-1111-1111-1111-111111111111"},
            {"LineItems": [line(Description="X" * 4001)]},
        ],
    )
    def test_fields_have_their_limits(self, xero: Visitor, change: Json) -> None:
        assert len(refusals(xero, invoice(xero, **change))) == 1

    def test_tracking_goes_by_name_and_on_purchase_orders_only_by_name(self, xero: Visitor) -> None:
        named = [{"Name": "Region", "Option": "North"}]
        category = xero.organisation.tracking_categories[0]
        by_id = [{"TrackingCategoryID": category.id, "TrackingOptionID": next(iter(category.options))}]
        stored = put(xero, invoice(xero, LineItems=[line(Tracking=by_id)]))
        assert stored["LineItems"][0]["Tracking"][0]["Option"] == "North"
        bought = line(AccountCode="310", TaxType="INPUT2")
        assert refusals(xero, order(xero, LineItems=[bought | {"Tracking": by_id}]), "PurchaseOrders") == [
            "Unknown tracking details. A Tracking Category did not match a known Active TrackingCategory."
        ]
        assert refusals(xero, order(xero, LineItems=[bought | {"Tracking": named}]), "PurchaseOrders") == []


class TestReading:
    def test_a_list_has_lines_only_on_a_page(self, xero: Visitor) -> None:
        put(xero, invoice(xero))
        plain = xero.call("GET", "Invoices").json()
        assert plain["Invoices"][0]["LineItems"] == []
        assert "pagination" not in plain
        paged = xero.call("GET", "Invoices?page=1").json()
        assert len(paged["Invoices"][0]["LineItems"]) == 1
        assert paged["pagination"] == {"page": 1, "pageSize": 100, "pageCount": 1, "itemCount": 1}

    def test_page_sizes_are_clamped(self, xero: Visitor) -> None:
        for wanted, used in (("0", 1), ("5000", 1000), ("7", 7)):
            page = xero.call("GET", f"Invoices?page=1&pageSize={wanted}").json()["pagination"]
            assert page["pageSize"] == used

    def test_invoices_are_found_by_numbers_ids_statuses_and_search(self, xero: Visitor) -> None:
        for number in range(1, 4):
            put(xero, invoice(xero, InvoiceNumber=f"KX-{number}", Reference=f"REF{number}"))
        ids = [one.id for one in xero.organisation.documents.values()]

        def numbers(query: str) -> list[str]:
            return [one["InvoiceNumber"] for one in xero.call("GET", f"Invoices?{query}").json()["Invoices"]]

        assert numbers("InvoiceNumbers=KX-1,KX-3,KX-9") == ["KX-1", "KX-3"]
        assert numbers(f"IDs={ids[1]}") == ["KX-2"]
        assert numbers("Statuses=AUTHORISED") == []
        assert numbers("searchTerm=ref3") == ["KX-3"]
        assert numbers('where=Reference=="REF2" AND Type=="ACCREC"') == ["KX-2"]
        assert numbers("where=Date>=DateTime(2026,11,24)") == []
        assert numbers(
            f'where=Contact.ContactID==guid("{xero.contact.id}")&page=1&pageSize=2&order=InvoiceNumber DESC'
        ) == [
            "KX-3",
            "KX-2",
        ]

    @pytest.mark.parametrize("where", ['Reference=="x', "Nonsense==1", "Reference==", "Reference ~ 1"])
    def test_a_where_that_does_not_parse_is_a_query_error(self, xero: Visitor, where: str) -> None:
        answer = xero.call("GET", "Invoices", params={"where": where})
        assert (answer.status_code, answer.json()["ErrorNumber"]) == (400, 16)

    def test_created_by_my_app_tells_apps_apart(self, xero: Visitor) -> None:
        put(xero, invoice(xero))
        other = Visitor(xero.world, organisation=xero.organisation, name="Another app")
        put(other, invoice(other, InvoiceNumber="OTHER-1"))
        mine = xero.call("GET", "Invoices?createdByMyApp=true").json()["Invoices"]
        assert [one["InvoiceNumber"] for one in mine] == ["KX-1"]
        assert len(xero.call("GET", "Invoices").json()["Invoices"]) == 2

    def test_purchase_orders_are_always_paged_and_found_by_number(self, xero: Visitor) -> None:
        put(xero, order(xero), "PurchaseOrders")
        assert xero.call("GET", "PurchaseOrders").json()["pagination"]["itemCount"] == 1
        assert xero.call("GET", "PurchaseOrders/KX-1").json()["PurchaseOrders"][0]["Total"] == 12
        assert xero.call("GET", "PurchaseOrders?DateFrom=2026-12-01").json()["PurchaseOrders"] == []

    def test_the_truth_log_names_what_was_committed(self, xero: Visitor) -> None:
        put(xero, invoice(xero, Reference="ABC"))
        entry = xero.site("GET", "/_simulator/log").json()["entries"][-1]
        assert entry["client_id"] == xero.app.client_id
        assert entry["committed"] == [
            {
                "kind": "ACCREC",
                "action": "created",
                "id": next(iter(xero.organisation.documents)),
                "number": "KX-1",
                "reference": "ABC",
                "subtotal": 10.0,
                "total": 12.0,
                "currency": "GBP",
                "contact_id": xero.contact.id,
                "contact": xero.contact.name,
                "status": "DRAFT",
                "lines": 1,
            }
        ]

    def test_a_persons_edit_is_in_the_truth_log(self, xero: Visitor) -> None:
        put(xero, invoice(xero))
        path = f"/_simulator/organisations/{xero.organisation.id}/documents/KX-1"
        assert xero.site("PATCH", path, json={"Reference": "mine"}).json()["reference"] == "mine"
        assert xero.world.log.entries[-1].method == "PERSON"
        assert xero.site("PATCH", path, json={"Status": "DELETED"}).json()["status"] == "DELETED"

    def test_a_person_enters_documents_by_hand(self, xero: Visitor) -> None:
        path = f"/_simulator/organisations/{xero.organisation.id}/documents"
        entered = xero.site("POST", path, json=invoice(xero))
        assert (entered.status_code, stored_numbers(xero)) == (201, [("ACCREC", "KX-1")])
        assert xero.site("POST", path, json=order(xero)).status_code == 201
        assert stored_numbers(xero) == [("ACCREC", "KX-1"), ("PURCHASEORDER", "KX-1")]
        entry = xero.world.log.entries[-1]
        assert (entry.method, entry.committed[0]["action"]) == ("PERSON", "created")
        ours = xero.call("GET", "Invoices", params={"createdByMyApp": "true"}).json()["Invoices"]
        assert ours == []
        assert xero.site("POST", path, json=invoice(xero)).status_code == 400

    def test_the_same_seed_gives_the_same_ids(self) -> None:
        ids = [
            put(visitor, invoice(visitor))["InvoiceID"]
            for visitor in (Visitor(World(VirtualClock(), seed=9)), Visitor(World(VirtualClock(), seed=9)))
        ]
        assert ids[0] == ids[1]

"""What happens to documents in the simulated Xero after they were posted: credits, voids, payments, edits, reading."""

from __future__ import annotations

import contextlib
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from local.xero.clock import VirtualClock
from local.xero.query import FIELDS
from local.xero.visitor import Visitor
from local.xero.world import World
from tests.integration.test_simulated_xero_books import (
    ZERO_ID,
    complaints,
    invoice,
    line,
    order,
    put,
    refusals,
    sums,
    tracked_item,
)

Json = dict[str, Any]
LOCKED_BY_PAYMENT = "This document cannot be edited as it has a payment or credit note allocated to it."
TOO_MUCH = "Credit Note cannot be allocated as amount is greater than amount outstanding"


@pytest.fixture
def xero() -> Visitor:
    return Visitor(World(VirtualClock(), seed=1, demo=False))


def note(xero: Visitor, **changes: Any) -> Json:
    return {
        "Type": "ACCRECCREDIT",
        "CreditNoteNumber": "KX-1-CN",
        "Contact": {"ContactID": xero.contact.id},
        "Date": "2026-11-23",
        "Reference": "KX-1",
        "Status": "AUTHORISED",
        "LineItems": [line()],
    } | changes


def put_note(xero: Visitor, **changes: Any) -> Json:
    stored = put(xero, note(xero, **changes), "CreditNotes")
    assert complaints(stored) == []
    return stored


def note_refusals(xero: Visitor, **changes: Any) -> list[str]:
    return refusals(xero, note(xero, **changes), "CreditNotes")


def put_invoice(xero: Visitor, **changes: Any) -> Json:
    stored = put(xero, invoice(xero, **{"Status": "AUTHORISED"} | changes))
    assert complaints(stored) == []
    return stored


def read(xero: Visitor, path: str) -> Json:
    collection = path.partition("/")[0].partition("?")[0]
    answer = xero.call("GET", path)
    assert answer.status_code == 200, answer.text
    document: Json = json.loads(answer.text, parse_float=Decimal)[collection][0]
    return document


def listed(xero: Visitor, path: str, **options: Any) -> list[Json]:
    answer = xero.call("GET", path, **options)
    assert answer.status_code == 200, answer.text
    found: list[Json] = json.loads(answer.text, parse_float=Decimal)[path.partition("?")[0]]
    return found


def allocate(
    xero: Visitor, amount: Any = 12, invoice_key: str = "KX-1", note_key: str = "KX-1-CN", **more: Any
) -> list[str]:
    """Allocate, and return the complaints."""
    organisation = xero.organisation
    [invoice_id] = [
        one.id for one in organisation.documents.values() if one.is_invoice and one.number == invoice_key
    ]
    element = {"Invoice": {"InvoiceID": invoice_id}, "Amount": amount, "Date": "2026-11-23"} | more
    answer = xero.call("PUT", f"CreditNotes/{note_key}/Allocations", json={"Allocations": [element]})
    if answer.status_code == 200:
        return []
    assert (answer.status_code, answer.json()["Type"]) == (400, "ValidationException")
    return complaints(answer.json()["Elements"][0])


def post(xero: Visitor, path: str, query: str = "unitdp=4", **changes: Any) -> list[str]:
    """Update one document by its id or number, and return the complaints."""
    answer = xero.call("POST", f"{path}?{query}", json=changes)
    if answer.status_code == 200:
        return []
    assert answer.status_code == 400
    return complaints(answer.json()["Elements"][0])


def person(xero: Visitor, key: str, kind: str = "", **changes: Any) -> Json:
    """What somebody does to a document inside Xero."""
    path = f"/_simulator/organisations/{xero.organisation.id}/documents/{key}?kind={kind}".removesuffix(
        "?kind="
    )
    answer = xero.site("PATCH", path, json=changes)
    assert answer.status_code == 200, answer.text
    document: Json = json.loads(answer.text, parse_float=Decimal)["document"]
    return document


def due(xero: Visitor, number: str = "KX-1") -> tuple[Any, ...]:
    found = read(xero, f"Invoices/{number}")
    return found["Status"], found["AmountDue"], found["AmountPaid"], found["AmountCredited"]


def locked_until(xero: Visitor, day: str) -> None:
    xero.world.change_organisation(xero.organisation, {"period_lock_date": day})


class TestCreditNotes:
    def test_a_credit_note_is_created_and_read_by_id_number_and_list(self, xero: Visitor) -> None:
        stored = put_note(xero)
        assert [*sums(stored)] == [10, 2, 12]
        assert (stored["Status"], stored["RemainingCredit"], stored["Allocations"]) == ("AUTHORISED", 12, [])
        by_number = read(xero, "CreditNotes/KX-1-CN")
        assert by_number == read(xero, f"CreditNotes/{stored['CreditNoteID']}")
        assert (by_number["Reference"], by_number["UpdatedDateUTCString"]) == (
            "KX-1",
            "2026-11-23T09:00:00.000",
        )
        assert [one["LineItems"] for one in listed(xero, "CreditNotes")] == [[]]
        assert len(listed(xero, "CreditNotes?page=1")[0]["LineItems"]) == 1
        assert xero.call("GET", "CreditNotes/nothing").status_code == 404

    def test_put_creates_many_and_refuses_a_number_that_is_taken(self, xero: Visitor) -> None:
        notes = [note(xero), note(xero, CreditNoteNumber="KX-2-CN"), note(xero)]
        answer = xero.call("PUT", "CreditNotes?summarizeErrors=false", json={"CreditNotes": notes})
        elements = answer.json()["CreditNotes"]
        assert [one["StatusAttributeString"] for one in elements] == ["OK", "OK", "ERROR"]
        assert complaints(elements[2]) == ["Credit Note # must be unique."]
        assert elements[2]["CreditNoteID"] == ZERO_ID

    def test_post_overwrites_the_note_that_has_the_number(self, xero: Visitor) -> None:
        first = put_note(xero)
        answer = xero.call("POST", "CreditNotes", json=note(xero, LineItems=[line(UnitAmount=99)]))
        assert answer.json()["CreditNotes"][0]["CreditNoteID"] == first["CreditNoteID"]
        assert read(xero, "CreditNotes/KX-1-CN")["Total"] == Decimal("118.80")

    def test_a_note_and_an_invoice_may_share_a_number_unless_the_open_answer_says_no(
        self, xero: Visitor
    ) -> None:
        put_invoice(xero)
        assert note_refusals(xero, CreditNoteNumber="KX-1") == []
        put_invoice(xero, InvoiceNumber="KX-2")
        xero.world.unconfirmed.choose("credit_note_number_of_an_invoice", "refused")
        assert note_refusals(xero, CreditNoteNumber="KX-2") == ["Credit Note # must be unique."]

    def test_type_and_contact_alone_make_a_draft(self, xero: Visitor) -> None:
        bare = {"Type": "ACCRECCREDIT", "Contact": {"ContactID": xero.contact.id}}
        stored = put(xero, bare, "CreditNotes")
        assert (stored["Status"], stored["CreditNoteNumber"], stored["Total"]) == ("DRAFT", "CN-0001", 0)
        assert refusals(xero, bare | {"Status": "AUTHORISED"}, "CreditNotes") == [
            "One or more line items must be specified"
        ]

    def test_money_is_rounded_as_on_invoices(self, xero: Visitor) -> None:
        lines = [line(Quantity=3, UnitAmount="10.8333"), line(UnitAmount="0.0250")]
        for query in ("unitdp=4", "unitdp=2"):
            for ties in ("half_up", "half_even"):
                xero.world.unconfirmed.choose("tie_rounding", ties)
                for amounts in ("Exclusive", "Inclusive", "NoTax"):
                    number = f"{query}-{ties}-{amounts}"
                    changes = {"LineAmountTypes": amounts, "LineItems": lines}
                    sold = put(xero, invoice(xero, InvoiceNumber=number, **changes), query=query)
                    credited = put(xero, note(xero, CreditNoteNumber=number, **changes), "CreditNotes", query)
                    assert sums(credited) == sums(sold)

    def test_rates_of_currencies_are_kept_as_given_and_else_the_days(self, xero: Visitor) -> None:
        put_invoice(xero, CurrencyCode="EUR", CurrencyRate=1.3)
        assert read(xero, "Invoices/KX-1")["CurrencyRate"] == Decimal("1.300000")
        assert put_note(xero, CurrencyCode="EUR", CurrencyRate=1.3)["CurrencyRate"] == Decimal("1.300000")
        rates = {
            put_note(xero, CreditNoteNumber=day, CurrencyCode="EUR", Date=day)["CurrencyRate"]
            for day in ("2026-11-23", "2026-11-24")
        }
        assert len(rates) == 2, "another day, another rate"

    @pytest.mark.parametrize(
        ("choice", "complaint", "total"),
        [
            ("refused", ["Discounts can't be used on credit notes."], None),
            ("ignored", [], 12),
            ("used", [], 6),
        ],
    )
    def test_discounts_follow_the_open_answer(
        self, xero: Visitor, choice: str, complaint: list[str], total: int | None
    ) -> None:
        xero.world.unconfirmed.choose("credit_note_discounts", choice)
        stored = put(xero, note(xero, LineItems=[line(DiscountRate=50)]), "CreditNotes")
        assert (complaints(stored), stored.get("Total")) == (complaint, total)

    def test_an_app_cannot_mark_a_note_as_sent_and_inline_allocations_are_passed_over(
        self, xero: Visitor
    ) -> None:
        sold = put_invoice(xero)
        inline = [{"Invoice": {"InvoiceID": sold["InvoiceID"]}, "Amount": 12, "Date": "2026-11-23"}]
        stored = put_note(xero, SentToContact=True, Allocations=inline)
        assert (stored["SentToContact"], stored["Allocations"]) == (False, [])
        assert due(xero) == ("AUTHORISED", 12, 0, 0)
        assert person(xero, "KX-1-CN", SentToContact=True)["SentToContact"] is True

    def test_a_note_is_dated_today_unless_given_and_after_the_lock_dates(self, xero: Visitor) -> None:
        assert put_note(xero, Date=None)["DateString"] == "2026-11-23T00:00:00"
        locked_until(xero, "2026-11-23")
        assert note_refusals(xero, CreditNoteNumber="KX-2-CN") == [
            "The document date cannot be before the period lock date, currently set at 23-Nov-2026"
        ]

    def test_a_note_needs_its_type_and_fitting_accounts(self, xero: Visitor) -> None:
        assert note_refusals(xero, Type=None) == ["Credit note Type must be specified"]
        assert note_refusals(xero, LineItems=[line(AccountCode="610")]) == [
            "Account code '610' is not a valid code for this document."
        ]


class TestAllocations:
    def test_an_allocation_pays_the_invoice(self, xero: Visitor) -> None:
        sold, credit = put_invoice(xero), put_note(xero, Date="2026-11-25")
        element = {"Invoice": {"InvoiceID": sold["InvoiceID"]}, "Amount": 12, "Date": "2026-11-23"}
        answer = xero.call("PUT", f"CreditNotes/{credit['CreditNoteID']}/Allocations", json=element)
        [made] = answer.json()["Allocations"]
        assert "AllocationID" not in made
        assert made["Invoice"]["InvoiceID"] == sold["InvoiceID"]
        assert made["CreditNote"]["CreditNoteID"] == credit["CreditNoteID"]
        after = read(xero, "Invoices/KX-1")
        assert due(xero) == ("PAID", 0, 0, 12), "and not VOIDED"
        assert [(one["CreditNoteNumber"], one["AppliedAmount"]) for one in after["CreditNotes"]] == [
            ("KX-1-CN", 12)
        ]
        assert after["FullyPaidOnDate"] == "/Date(1795564800000+0000)/"
        credit = read(xero, "CreditNotes/KX-1-CN")
        assert (credit["Status"], credit["RemainingCredit"]) == ("PAID", 0)
        [allocation] = credit["Allocations"]
        assert (allocation["Amount"], allocation["Invoice"]["InvoiceNumber"]) == (12, "KX-1")
        assert allocation["Date"] == after["FullyPaidOnDate"], "the later of both dates, whatever was sent"

    def test_the_same_allocation_again_adds_another(self, xero: Visitor) -> None:
        put_invoice(xero, LineItems=[line(UnitAmount=50)])
        put_note(xero, LineItems=[line(UnitAmount=25)])
        assert [allocate(xero, 12), allocate(xero, 12)] == [[], []]
        assert due(xero) == ("AUTHORISED", 36, 0, 24)
        assert len(read(xero, "CreditNotes/KX-1-CN")["Allocations"]) == 2
        assert allocate(xero, 12) == [TOO_MUCH], "6 remain"

    def test_a_key_keeps_a_repeated_call_from_adding(self, xero: Visitor) -> None:
        sold = put_invoice(xero)
        put_note(xero)
        element = {"Invoice": {"InvoiceID": sold["InvoiceID"]}, "Amount": 5, "Date": "2026-11-23"}
        for _ in range(2):
            answer = xero.call(
                "PUT", "CreditNotes/KX-1-CN/Allocations", json=element, headers={"Idempotency-Key": "a"}
            )
            assert answer.ok
        assert due(xero) == ("AUTHORISED", 7, 0, 5)

    @pytest.mark.parametrize(
        ("note_changes", "invoice_changes", "amount", "expected"),
        [
            ({"LineItems": [line(UnitAmount=5)]}, {}, "6.01", TOO_MUCH),
            ({}, {"LineItems": [line(UnitAmount=5)]}, "6.01", TOO_MUCH),
            ({"Status": "DRAFT"}, {}, 12, "allocation_of_an_unapproved_note_text"),
            ({}, {"Status": "DRAFT"}, 12, "allocation_to_an_unapproved_invoice_text"),
            ({}, {"Status": "SUBMITTED"}, 12, "allocation_to_an_unapproved_invoice_text"),
            ({}, {"Contact": {"Name": "New Ltd"}}, 12, "allocation_to_another_contact_text"),
            ({}, {"CurrencyCode": "EUR"}, 12, "allocation_in_another_currency_text"),
            (
                {},
                {"Type": "ACCPAY", "LineItems": [line(AccountCode="310", TaxType="INPUT2")]},
                12,
                "allocation_to_a_bill_text",
            ),
            ({}, {}, 0, "allocation_of_nothing_text"),
            ({}, {}, -1, "allocation_of_nothing_text"),
        ],
    )
    def test_what_does_not_fit_together_is_refused(
        self, xero: Visitor, note_changes: Json, invoice_changes: Json, amount: Any, expected: str
    ) -> None:
        put_invoice(xero, **invoice_changes)
        put_note(xero, **note_changes)
        text = TOO_MUCH if expected == TOO_MUCH else xero.world.unconfirmed[expected]
        assert allocate(xero, amount) == [text]
        assert read(xero, "CreditNotes/KX-1-CN")["Allocations"] == []

    def test_a_paid_or_unknown_invoice_and_an_amount_under_another_name_are_refused(
        self, xero: Visitor
    ) -> None:
        sold = put_invoice(xero)
        put_note(xero)
        assert allocate(xero, None, AppliedAmount=12) == [
            xero.world.unconfirmed["allocation_of_nothing_text"]
        ]
        person(xero, "KX-1", Pay=12)
        assert allocate(xero) == [
            "The invoice you are trying to allocate to has already been paid off",
            TOO_MUCH,
        ], "one answer names all"
        unknown = {"Invoice": {"InvoiceID": xero.world.new_id()}, "Amount": 1, "Date": "2026-11-23"}
        answer = xero.call("PUT", "CreditNotes/KX-1-CN/Allocations?summarizeErrors=false", json=unknown)
        [element] = answer.json()["Allocations"]
        assert complaints(element) == [xero.world.unconfirmed["allocation_to_nothing_text"]]
        unread = xero.call("PUT", "CreditNotes/KX-1-CN/Allocations", json={"invoice": sold["InvoiceID"]})
        assert (unread.status_code, unread.json()["ErrorNumber"]) == (400, 17)
        assert xero.call("PUT", "CreditNotes/none/Allocations", json=unknown).status_code == 404

    def test_voided_documents_take_no_allocation(self, xero: Visitor) -> None:
        put_invoice(xero)
        put_note(xero)
        assert post(xero, "CreditNotes/KX-1-CN", Status="VOIDED") == []
        assert xero.world.unconfirmed["allocation_of_an_unapproved_note_text"] in allocate(xero)
        put_note(xero, CreditNoteNumber="KX-1-CN2")
        assert post(xero, "Invoices/KX-1", Status="VOIDED") == []
        refused = allocate(xero, note_key="KX-1-CN2")
        assert xero.world.unconfirmed["allocation_to_an_unapproved_invoice_text"] in refused

    def test_a_deleted_allocation_leaves_both_as_before(self, xero: Visitor) -> None:
        put_invoice(xero)
        put_note(xero)
        allocate(xero)
        [allocation] = read(xero, "CreditNotes/KX-1-CN")["Allocations"]
        path = f"CreditNotes/{read(xero, 'CreditNotes/KX-1-CN')['CreditNoteID']}/Allocations"
        deleted = xero.call("DELETE", f"{path}/{allocation['AllocationID']}").json()
        assert (deleted["IsDeleted"], deleted["AllocationID"]) == (True, allocation["AllocationID"])
        assert deleted["Amount"] == 12
        assert due(xero) == ("AUTHORISED", 12, 0, 0)
        credit = read(xero, "CreditNotes/KX-1-CN")
        assert (credit["Status"], credit["RemainingCredit"], credit["Allocations"]) == ("AUTHORISED", 12, [])
        assert xero.call("DELETE", f"{path}/{allocation['AllocationID']}").status_code == 404

    def test_a_locked_period_refuses_allocations_and_their_deletion(self, xero: Visitor) -> None:
        put_invoice(xero)
        put_note(xero)
        allocate(xero, 5)
        [allocation] = read(xero, "CreditNotes/KX-1-CN")["Allocations"]
        locked_until(xero, "2026-11-23")
        assert allocate(xero, 5) != []
        path = f"CreditNotes/KX-1-CN/Allocations/{allocation['AllocationID']}"
        assert xero.call("DELETE", path).status_code == 400
        xero.world.unconfirmed.choose("allocation_in_a_locked_period", "accepted")
        assert xero.call("DELETE", path).ok

    @pytest.mark.parametrize(("choice", "stored"), [("accepted", 2), ("refused", 0)])
    def test_several_at_once_and_an_absent_date_follow_the_open_answers(
        self, xero: Visitor, choice: str, stored: int
    ) -> None:
        sold = put_invoice(xero)
        put_note(xero)
        xero.world.unconfirmed.choose("several_allocations_in_one_call", choice)
        part = {"Invoice": {"InvoiceID": sold["InvoiceID"]}, "Amount": 5}
        xero.call("PUT", "CreditNotes/KX-1-CN/Allocations", json={"Allocations": [part, part]})
        assert len(read(xero, "CreditNotes/KX-1-CN")["Allocations"]) == stored
        xero.world.unconfirmed.choose("allocation_without_date", "refused")
        assert allocate(xero, 1, Date=None) != []

    def test_the_id_and_the_date_sent_are_answered_if_the_open_answers_say_so(self, xero: Visitor) -> None:
        sold = put_invoice(xero)
        put_note(xero)
        xero.world.unconfirmed.choose("allocation_id_in_the_reply", "present")
        xero.world.unconfirmed.choose("date_of_an_allocation", "as_sent")
        part = {"Invoice": {"InvoiceID": sold["InvoiceID"]}, "Amount": 5, "Date": "2026-11-30"}
        [made] = xero.call("PUT", "CreditNotes/KX-1-CN/Allocations", json=part).json()["Allocations"]
        [kept] = listed(xero, "CreditNotes")[0]["Allocations"]
        assert (made["AllocationID"], made["Date"]) == (kept["AllocationID"], kept["Date"])
        assert made["Date"] == "/Date(1795996800000+0000)/"
        xero.world.unconfirmed.choose("amount_of_a_deleted_allocation", "absent")
        path = f"CreditNotes/KX-1-CN/Allocations/{made['AllocationID']}"
        assert "Amount" not in xero.call("DELETE", path).json()


class TestVoidingAndDeleting:
    @pytest.mark.parametrize(
        ("before", "after", "allowed"),
        [
            ("DRAFT", "DELETED", True),
            ("SUBMITTED", "DELETED", True),
            ("AUTHORISED", "VOIDED", True),
            ("DRAFT", "VOIDED", False),
            ("AUTHORISED", "DELETED", False),
        ],
    )
    def test_a_credit_note_goes_the_ways_of_an_invoice(
        self, xero: Visitor, before: str, after: str, allowed: bool
    ) -> None:
        stored = put_note(xero, Status=before)
        path, text = (
            f"CreditNotes/{stored['CreditNoteID']}",
            xero.world.unconfirmed["credit_note_status_text"],
        )
        assert post(xero, path, CreditNoteID=stored["CreditNoteID"], Status=after) == (
            [] if allowed else [text]
        )
        if allowed:
            again = post(xero, path, Status=after)
            assert again == [text], "a second time is an error"
            assert read(xero, path)["RemainingCredit"] == 0

    def test_paid_and_credited_documents_refuse_until_it_is_undone(self, xero: Visitor) -> None:
        put_invoice(xero)
        put_note(xero)
        person(xero, "KX-1", Pay=2)
        person(xero, "KX-1-CN", Allocate={"Invoice": "KX-1"})
        assert due(xero) == ("PAID", 0, 2, 10)
        void = (
            "The status VOIDED cannot be applied to the invoice because it has payments or credit notes "
            "allocated to it."
        )
        assert post(xero, "Invoices/KX-1", Status="VOIDED") == [void]
        assert post(xero, "CreditNotes/KX-1-CN", Status="VOIDED") == [void]
        assert post(xero, "CreditNotes/KX-1-CN", Date="2026-11-24") == [LOCKED_BY_PAYMENT]
        person(xero, "KX-1", Unpay=True)
        assert post(xero, "Invoices/KX-1", Status="VOIDED") == [void]
        person(xero, "KX-1-CN", Unallocate=True)
        assert post(xero, "CreditNotes/KX-1-CN", Status="VOIDED") == []
        assert post(xero, "Invoices/KX-1", Status="VOIDED") == []
        assert due(xero) == ("VOIDED", 0, 0, 0)

    def test_a_part_paid_invoice_is_open_in_few_fields(self, xero: Visitor) -> None:
        stored = put_invoice(xero, LineItems=[line(UnitAmount="10.001", TaxAmount="1.99")])
        [only] = stored["LineItems"]
        person(xero, "KX-1", Pay=2)
        for change in ({"Reference": "new"}, {"DueDate": "2026-12-31"}, {"Contact": {"Name": "New Ltd"}}):
            assert post(xero, "Invoices/KX-1", **change) == []
        for change in ({"Date": "2026-11-24"}, {"CurrencyCode": "GBP"}, {"LineAmountTypes": "NoTax"}):
            assert post(xero, "Invoices/KX-1", **change) == [LOCKED_BY_PAYMENT]
        by_id = {"LineItemID": only["LineItemID"]}
        assert post(xero, "Invoices/KX-1", LineItems=[by_id | {"AccountCode": "260"}]) == []
        assert post(xero, "Invoices/KX-1", LineItems=[by_id | {"UnitAmount": 11}]) == [LOCKED_BY_PAYMENT]
        assert post(
            xero, "Invoices/KX-1", LineItems=[by_id, by_id | {"LineItemID": xero.world.new_id()}]
        ) == [LOCKED_BY_PAYMENT]
        assert post(xero, "Invoices/KX-1", LineItems=[line()]) == [
            "To update fields on a paid invoice line item, you must supply a LineItemID"
        ]
        changed = read(xero, "Invoices/KX-1")
        assert (changed["LineItems"][0]["AccountCode"], changed["Total"]) == ("260", Decimal("11.99"))

    def test_a_credited_invoice_keeps_its_contact(self, xero: Visitor) -> None:
        put_invoice(xero)
        put_note(xero)
        allocate(xero, 5)
        assert post(xero, "Invoices/KX-1", Contact={"Name": "New Ltd"}) == [LOCKED_BY_PAYMENT]
        assert post(xero, "Invoices/KX-1", Reference="new") == []

    def test_a_void_without_unitdp_loses_four_decimals(self, xero: Visitor) -> None:
        lines = [line(Quantity=3, UnitAmount=10.8333)]
        for number, query, total in (("KX-1", "unitdp=4", "39.00"), ("KX-2", "", "38.99")):
            before = put_invoice(xero, InvoiceNumber=number, LineItems=lines)
            assert post(xero, f"Invoices/{number}", query, Status="VOIDED") == []
            after = read(xero, f"Invoices/{number}")
            assert after["Total"] == Decimal(total)
            assert after["LineItems"][0]["LineItemID"] != before["LineItems"][0]["LineItemID"]
        xero.world.unconfirmed.choose("lines_of_a_void", "kept")
        put_invoice(xero, InvoiceNumber="KX-3", LineItems=lines)
        assert post(xero, "Invoices/KX-3", "", Status="VOIDED") == []
        assert read(xero, "Invoices/KX-3")["Total"] == Decimal("39.00")

    def test_a_locked_period_refuses_voids_deletions_and_edits(self, xero: Visitor) -> None:
        put_invoice(xero)
        put_note(xero, Status="DRAFT")
        locked_until(xero, "2026-11-30")
        locked = ["The document date cannot be before the period lock date, currently set at 30-Nov-2026"]
        assert post(xero, "Invoices/KX-1", Status="VOIDED") == locked
        assert post(xero, "CreditNotes/KX-1-CN", Status="DELETED") == locked
        assert post(xero, "Invoices/KX-1", Date="2026-12-01") == locked, "not even out of it"
        xero.world.unconfirmed.choose("void_in_a_locked_period_text", "not_of_valid_status")
        assert post(xero, "Invoices/KX-1", Status="VOIDED") == [
            "Invoice not of valid status for modification"
        ]

    def test_empty_lines_on_a_void_follow_the_open_answer(self, xero: Visitor) -> None:
        put_invoice(xero)
        xero.world.unconfirmed.choose("empty_lines_on_a_void", "refused")
        assert post(xero, "Invoices/KX-1", Status="VOIDED", LineItems=[]) != []
        xero.world.unconfirmed.choose("empty_lines_on_a_void", "ignored")
        assert post(xero, "Invoices/KX-1", Status="VOIDED", LineItems=[]) == []

    @pytest.mark.parametrize("collection", ["Invoices", "CreditNotes", "PurchaseOrders"])
    def test_many_statuses_change_in_one_call_each_with_its_own_answer(
        self, xero: Visitor, collection: str
    ) -> None:
        id_key = {"Invoices": "InvoiceID", "CreditNotes": "CreditNoteID"}.get(collection, "PurchaseOrderID")
        make = {"Invoices": invoice, "CreditNotes": note}.get(collection, order)
        number_key = id_key.removesuffix("ID") + "Number"
        ids = []
        for number, status in (("A", "DRAFT"), ("B", "AUTHORISED"), ("C", "SUBMITTED")):
            stored = put(xero, make(xero, **{number_key: number, "Status": status}), collection)
            ids.append(stored[id_key])
        batch = [{id_key: one, "Status": "DELETED"} for one in ids]
        answer = xero.call("POST", f"{collection}?summarizeErrors=false&unitdp=4", json={collection: batch})
        assert answer.status_code == 200
        elements = answer.json()[collection]
        deleted = [one["Status"] == "DELETED" and not one.get("HasErrors") for one in elements]
        assert deleted == [True, collection == "PurchaseOrders", True]
        if collection == "PurchaseOrders":
            xero.world.unconfirmed.choose("bare_status_of_purchase_orders", "refused")
            again = xero.call("POST", f"{collection}?summarizeErrors=false", json={collection: batch}).json()
            assert complaints(again[collection][0]) == ["One or more line items must be specified"]

    def test_a_call_for_one_document_refuses_with_400_whatever_it_asks(self, xero: Visitor) -> None:
        stored = put_invoice(xero)
        path = f"Invoices/{stored['InvoiceID']}?summarizeErrors=false"
        assert xero.call("POST", path, json={"Status": "DELETED"}).status_code == 400

    def test_a_nil_invoice_can_be_paid_at_once_if_the_open_answer_says_so(self, xero: Visitor) -> None:
        nothing = [line(UnitAmount=0)]
        assert put_invoice(xero, LineItems=nothing)["Status"] == "AUTHORISED"
        assert post(xero, "Invoices/KX-1", Status="VOIDED") == []
        xero.world.unconfirmed.choose("nil_document_status", "PAID")
        assert put_invoice(xero, InvoiceNumber="KX-2", LineItems=nothing)["Status"] == "PAID"

    def test_marking_a_draft_as_sent_is_warned_about(self, xero: Visitor) -> None:
        stored = put(xero, invoice(xero, SentToContact=True))
        assert stored["Warnings"] == [{"Message": "Only AUTHORISED invoices may have SentToContact updated."}]
        assert stored["SentToContact"] is False


class TestPurchaseOrders:
    def test_only_what_is_not_billed_is_deleted(self, xero: Visitor) -> None:
        refused = ["Purchase order not of valid status for modification"]
        for status in ("DRAFT", "SUBMITTED", "AUTHORISED"):
            put(xero, order(xero, PurchaseOrderNumber=status, Status=status), "PurchaseOrders")
            assert post(xero, f"PurchaseOrders/{status}", "", Status="DELETED") == []
            assert post(xero, f"PurchaseOrders/{status}", "", Status="DELETED") == refused
        put(xero, order(xero, Status="AUTHORISED"), "PurchaseOrders")
        assert person(xero, "KX-1", Status="BILLED")["Status"] == "BILLED"
        assert post(xero, "PurchaseOrders/KX-1", "", Status="DELETED") == refused
        assert post(xero, "PurchaseOrders/KX-1", "", Reference="edited") == []

    @pytest.mark.parametrize(
        ("question", "choice", "before", "change", "allowed"),
        [
            ("billing_of_unapproved_orders", "refused", "DRAFT", {"Status": "BILLED"}, False),
            ("billing_of_unapproved_orders", "allowed", "DRAFT", {"Status": "BILLED"}, True),
            ("billed_orders_reopened", "refused", "BILLED", {"Status": "AUTHORISED"}, False),
            ("billed_orders_reopened", "allowed", "BILLED", {"Status": "AUTHORISED"}, True),
            ("billed_orders_deleted", "allowed", "BILLED", {"Status": "DELETED"}, True),
            ("edits_of_billed_orders", "refused", "BILLED", {"Reference": "new"}, False),
        ],
    )
    def test_the_ways_that_nobody_publishes_follow_the_open_answers(
        self, xero: Visitor, question: str, choice: str, before: str, change: Json, allowed: bool
    ) -> None:
        xero.world.unconfirmed.choose(question, choice)
        put(xero, order(xero, Status="DRAFT" if before == "DRAFT" else "AUTHORISED"), "PurchaseOrders")
        if before == "BILLED":
            person(xero, "KX-1", Status="BILLED")
        assert (post(xero, "PurchaseOrders/KX-1", "", **change) == []) is allowed

    def test_a_locked_period_holds_purchase_orders_if_the_open_answer_says_so(self, xero: Visitor) -> None:
        put(xero, order(xero), "PurchaseOrders")
        locked_until(xero, "2026-11-30")
        xero.world.unconfirmed.choose("lock_date_for_purchase_orders", "yes")
        assert post(xero, "PurchaseOrders/KX-1", "", Status="DELETED") != []
        xero.world.unconfirmed.choose("lock_date_for_purchase_orders", "no")
        assert post(xero, "PurchaseOrders/KX-1", "", Status="DELETED") == []


class TestPayments:
    def test_payments_in_parts_make_an_invoice_paid_and_are_taken_back(self, xero: Visitor) -> None:
        put_invoice(xero)
        assert person(xero, "KX-1", Pay=5)["AmountDue"] == 7
        paid = person(xero, "KX-1", Pay=7)
        assert (paid["Status"], [one["Amount"] for one in paid["Payments"]]) == ("PAID", [5, 7])
        assert paid["FullyPaidOnDate"] == paid["Date"]
        assert person(xero, "KX-1", Unpay=True)["Status"] == "AUTHORISED"
        assert due(xero) == ("AUTHORISED", 12, 0, 0)
        assert "FullyPaidOnDate" not in read(xero, "Invoices/KX-1")
        booked = [
            done for entry in xero.world.log.entries for done in entry.committed if done["kind"] == "payment"
        ]
        assert [(done["action"], done["amount"]) for done in booked] == [
            ("created", 5),
            ("created", 7),
            ("deleted", 5),
            ("deleted", 7),
        ]

    def test_a_credit_note_is_refunded(self, xero: Visitor) -> None:
        put_note(xero)
        assert person(xero, "KX-1-CN", Pay=4)["RemainingCredit"] == 8
        assert person(xero, "KX-1-CN", Pay=8)["Status"] == "PAID"

    @pytest.mark.parametrize("amount", [0, -1, "12.01"])
    def test_more_than_is_due_and_nothing_are_no_payment(self, xero: Visitor, amount: Any) -> None:
        put_invoice(xero)
        path = f"/_simulator/organisations/{xero.organisation.id}/documents/KX-1"
        assert xero.site("PATCH", path, json={"Pay": amount}).status_code == 400

    def test_drafts_purchase_orders_and_locked_days_take_no_payment(self, xero: Visitor) -> None:
        put(xero, invoice(xero))
        put(xero, order(xero, PurchaseOrderNumber="PO-1", Status="AUTHORISED"), "PurchaseOrders")
        put_invoice(xero, InvoiceNumber="KX-2")
        locked_until(xero, "2026-11-23")
        for number in ("KX-1", "PO-1", "KX-2"):
            path = f"/_simulator/organisations/{xero.organisation.id}/documents/{number}"
            assert xero.site("PATCH", path, json={"Pay": 1}).status_code == 400
        assert xero.site("PATCH", path, json={"Allocate": {"Invoice": "KX-1"}}).status_code == 400


class TestReading:
    def test_pages_hold_up_to_a_thousand_and_say_how_many_there_are(self, xero: Visitor) -> None:
        for number in range(3):
            put(xero, note(xero, CreditNoteNumber=f"CN-{number}", Status="DRAFT"), "CreditNotes")
            put(xero, order(xero, PurchaseOrderNumber=f"PO-{number}"), "PurchaseOrders")
        for collection in ("CreditNotes", "PurchaseOrders"):
            answer = xero.call("GET", f"{collection}?page=2&pageSize=2").json()
            assert answer["pagination"] == {"page": 2, "pageSize": 2, "pageCount": 2, "itemCount": 3}
            assert len(answer[collection]) == 1
            assert len(answer[collection][0]["LineItems"]) == 1
            clamped = xero.call("GET", f"{collection}?page=1&pageSize=5000").json()
            assert clamped["pagination"]["pageSize"] == 1000

    def test_a_summary_leaves_out_four_fields_and_is_always_paged(self, xero: Visitor) -> None:
        put_invoice(xero)
        whole = read(xero, "Invoices/KX-1")
        answer = xero.call("GET", "Invoices?summaryOnly=true").json()
        [summary] = answer["Invoices"]
        assert set(whole) - set(summary) == {"Payments", "HasAttachments", "LineItems"}
        assert answer["pagination"]["itemCount"] == 1
        assert summary["Contact"]["ContactID"] == xero.contact.id
        refused = xero.call("GET", "Invoices?summaryOnly=true&where=HasAttachments==true")
        assert refused.status_code == 400
        xero.world.unconfirmed.choose("summary_fields", "also_url_sent_and_credit_notes")
        assert "SentToContact" not in listed(xero, "Invoices?summaryOnly=true")[0]

    def test_statuses_bring_lines_and_deleted_documents(self, xero: Visitor) -> None:
        put(xero, invoice(xero))
        post(xero, "Invoices/KX-1", Status="DELETED")
        xero.world.unconfirmed.choose("dead_documents_listed", "no")
        assert listed(xero, "Invoices") == []
        [found] = listed(xero, "Invoices?Statuses=DELETED,VOIDED")
        assert len(found["LineItems"]) == 1
        put_note(xero)
        post(xero, "CreditNotes/KX-1-CN", Status="VOIDED")
        assert listed(xero, "CreditNotes") == []

    def test_credit_notes_are_filtered_by_where_alone(self, xero: Visitor) -> None:
        put_note(xero)
        second = put_note(
            xero, CreditNoteNumber="KX-2-CN", Date="2026-12-01", Status="DRAFT", Reference="KX-2"
        )

        def numbers(query: str) -> list[str]:
            return [one["CreditNoteNumber"] for one in listed(xero, f"CreditNotes?{query}")]

        assert numbers('where=Date>=DateTime(2026,12,01) AND Status=="DRAFT"') == ["KX-2-CN"]
        assert numbers('where=Reference=="KX-1" AND Type=="ACCRECCREDIT"') == ["KX-1-CN"]
        assert numbers(f'where=Contact.ContactID==guid("{xero.contact.id}")') == ["KX-1-CN", "KX-2-CN"]
        strangers = f"IDs={second['CreditNoteID']}&Statuses=VOIDED&createdByMyApp=false&summaryOnly=true"
        assert numbers(strangers) == ["KX-1-CN", "KX-2-CN"], "all of them ignored"
        xero.world.unconfirmed.choose("ids_of_credit_notes", "filter")
        assert numbers(f"IDs={second['CreditNoteID']}") == ["KX-2-CN"]
        assert xero.call("GET", "CreditNotes?where=AmountDue==1").status_code == 400

    @pytest.mark.parametrize("collection", ["Invoices", "CreditNotes", "PurchaseOrders"])
    def test_a_list_is_in_the_order_of_the_last_update_unless_another_is_asked_for(
        self, xero: Visitor, collection: str
    ) -> None:
        id_key = {"Invoices": "InvoiceID", "CreditNotes": "CreditNoteID"}.get(collection, "PurchaseOrderID")
        make = {"Invoices": invoice, "CreditNotes": note}.get(collection, order)
        number_key = id_key.removesuffix("ID") + "Number"
        for number in "ABC":
            put(xero, make(xero, **{number_key: number, "Status": "DRAFT"}), collection)
            xero.world.clock.advance(1)
        person(xero, "A", Reference="edited")

        def column(name: str, query: str = "") -> list[Any]:
            return [one[name] for one in listed(xero, f"{collection}{query}")]

        assert column(number_key) == ["B", "C", "A"], "an edit moves a document to the end"
        assert column(id_key, f"?order={id_key}") == sorted(column(id_key))
        assert column(number_key, f"?order={number_key} DESC") == ["C", "B", "A"]

    @pytest.mark.parametrize(("collection", "kind"), [("Invoices", "Invoice"), ("CreditNotes", "CreditNote")])
    def test_every_field_that_a_where_may_name_is_one_of_the_document(
        self, xero: Visitor, collection: str, kind: str
    ) -> None:
        put_invoice(xero, Url="https://shop.example/1", SentToContact=True)
        put_note(xero)
        person(xero, "KX-1", Pay=12)
        person(xero, "KX-1-CN", Pay=12)
        [shown] = listed(xero, f"{collection}?page=1")
        shown |= {"InvoiceId": shown.get("InvoiceID")}
        numbers_and_words = [
            name for name in FIELDS[kind] if isinstance(shown.get(name), str | Decimal) and "Date" not in name
        ]
        assert len(numbers_and_words) > 9
        for name in numbers_and_words:
            value = shown[name] if isinstance(shown[name], Decimal) else f'"{shown[name]}"'
            assert len(listed(xero, f"{collection}?where={name}=={value}")) == 1, name
        where = f'{collection}?where=Contact.ContactNumber=="{xero.contact.number}"'
        assert len(listed(xero, f"{where} AND FullyPaidOnDate==DateTime(2026,11,23)")) == 1

    def test_amounts_are_ordered_as_numbers(self, xero: Visitor) -> None:
        for number, amount in (("A", 10), ("B", 9), ("C", 100)):
            put(xero, invoice(xero, InvoiceNumber=number, LineItems=[line(UnitAmount=amount)]))
        assert [one["InvoiceNumber"] for one in listed(xero, "Invoices?order=Total")] == ["B", "A", "C"]

    def test_the_order_of_purchase_orders_follows_the_open_answer(self, xero: Visitor) -> None:
        for number in "BA":
            put(xero, order(xero, PurchaseOrderNumber=number), "PurchaseOrders")
        xero.world.unconfirmed.choose("order_of_purchase_orders", "ignored")
        query = "PurchaseOrders?order=PurchaseOrderNumber&where=nonsense"
        assert [one["PurchaseOrderNumber"] for one in listed(xero, query)] == ["B", "A"]


class TestModifiedSince:
    def modified(self, xero: Visitor, since: str = "2026-11-23T09:10:00") -> list[str]:
        """Numbers of what changed since then."""
        headers = {"If-Modified-Since": since}
        return [
            one[key]
            for collection, key in (
                ("Invoices", "InvoiceNumber"),
                ("CreditNotes", "CreditNoteNumber"),
                ("PurchaseOrders", "PurchaseOrderNumber"),
            )
            for one in listed(xero, collection, headers=headers)
        ]

    def a_day_of_documents(self, xero: Visitor) -> None:
        put_invoice(xero)
        put_note(xero)
        put(xero, order(xero, PurchaseOrderNumber="PO-1", Status="AUTHORISED"), "PurchaseOrders")
        xero.world.clock.advance(600)

    @pytest.mark.parametrize(
        ("deed", "seen"),
        [
            (("KX-1", {"Pay": 1}), ["KX-1"]),
            (("KX-1", {"Status": "VOIDED"}), ["KX-1"]),
            (("KX-1", {"Reference": "new"}), ["KX-1"]),
            (("KX-1", {"Reference": ""}), ["KX-1"]),
            (("KX-1", {"DueDate": "2026-12-31"}), ["KX-1"]),
            (("KX-1", {"SentToContact": True}), ["KX-1"]),
            (("KX-1-CN", {"Allocate": {"Invoice": "KX-1"}}), ["KX-1", "KX-1-CN"]),
            (("PO-1", {"Status": "BILLED"}), ["PO-1"]),
            (("PO-1", {"Status": "DELETED"}), ["PO-1"]),
        ],
    )
    def test_what_a_person_does_is_seen_even_an_edit_that_changes_nothing(
        self, xero: Visitor, deed: tuple[str, Json], seen: list[str]
    ) -> None:
        self.a_day_of_documents(xero)
        assert self.modified(xero) == []
        person(xero, deed[0], **deed[1])
        assert self.modified(xero) == seen
        assert self.modified(xero, "Mon, 23 Nov 2026 09:10:01 GMT") == []

    @pytest.mark.parametrize("change", [{"DueDate": "2026-12-31"}, {"SentToContact": True}])
    def test_some_edits_of_a_part_paid_invoice_are_not(self, xero: Visitor, change: Json) -> None:
        put_invoice(xero)
        person(xero, "KX-1", Pay=1)
        xero.world.clock.advance(600)
        before = read(xero, "Invoices/KX-1")
        after = person(xero, "KX-1", **change)
        assert after["UpdatedDateUTC"] == before["UpdatedDateUTC"]
        assert {name for name in before if after[name] != before[name]} & {"DueDate", "SentToContact"}
        person(xero, "KX-1", Reference="new", **change)
        assert self.modified(xero) == ["KX-1"]

    def test_an_account_changed_on_a_line_is_not_unless_the_open_answer_says_so(self, xero: Visitor) -> None:
        put_invoice(xero)
        xero.world.clock.advance(600)
        after = person(xero, "KX-1", LineItems=[line(AccountCode="260")])
        assert after["LineItems"][0]["AccountCode"] == "260"
        assert self.modified(xero) == []
        person(xero, "KX-1", LineItems=[line(AccountCode="260", TaxType="ZERORATEDOUTPUT")])
        assert self.modified(xero) == ["KX-1"]
        xero.world.clock.advance(600)
        xero.world.unconfirmed.choose("update_time_of_an_account_code", "moves")
        person(xero, "KX-1", LineItems=[line(AccountCode="200", TaxType="ZERORATEDOUTPUT")])
        assert self.modified(xero, "2026-11-23T09:20:00") == ["KX-1"]

    def test_notes_in_the_history_and_perhaps_allocations_leave_the_invoice_alone(
        self, xero: Visitor
    ) -> None:
        self.a_day_of_documents(xero)
        [one] = [one for one in xero.organisation.documents.values() if one.number == "KX-1"]
        details = {"HistoryRecords": [{"Details": "Cancelled"}]}
        assert xero.call("PUT", f"Invoices/{one.id}/History", json=details).ok
        assert self.modified(xero) == []
        xero.world.unconfirmed.choose("update_time_of_an_allocated_invoice", "stays")
        allocate(xero)
        assert self.modified(xero) == ["KX-1-CN"]


class TestHistory:
    @pytest.mark.parametrize("collection", ["Invoices", "CreditNotes", "PurchaseOrders"])
    def test_notes_are_added_and_never_changed(self, xero: Visitor, collection: str) -> None:
        make = {"Invoices": invoice, "CreditNotes": note}.get(collection, order)
        put(xero, make(xero), collection)
        [document_id] = xero.organisation.documents
        path = f"{collection}/{document_id}/History"
        notes = {"HistoryRecords": [{"Details": "Cancelled by Ann"}, {"Details": "Order 17"}]}
        answer = xero.call("PUT", path, json=notes).json()["HistoryRecords"]
        assert [(one["Changes"], one["User"], one["Details"]) for one in answer] == [
            ("Note", "System Generated", "Cancelled by Ann"),
            ("Note", "System Generated", "Order 17"),
        ]
        assert xero.world.log.entries[-1].committed[0] == {
            "kind": "note",
            "action": "created",
            "id": document_id,
            "details": "Cancelled by Ann",
        }
        assert xero.call("POST", path, json={"Details": "more"}).ok
        kept = xero.call("GET", path).json()["HistoryRecords"]
        assert [one["Details"] for one in kept] == ["more", "Order 17", "Cancelled by Ann", ""]

    def test_it_tells_who_did_what(self, xero: Visitor) -> None:
        stored = put_invoice(xero)
        put_note(xero)
        person(xero, "KX-1", Reference="mine")
        person(xero, "KX-1-CN", Allocate={"Invoice": "KX-1"})
        person(xero, "KX-1-CN", Unallocate=True)
        person(xero, "KX-1", Pay=1)
        person(xero, "KX-1", Unpay=True)
        person(xero, "KX-1", Status="VOIDED")
        told = xero.call("GET", f"Invoices/{stored['InvoiceID']}/History").json()["HistoryRecords"]
        assert [(one["Changes"], one["User"]) for one in reversed(told)] == [
            ("Created", "System Generated"),
            ("Edited", "Ada Moore"),
            ("Credit Applied", "Ada Moore"),
            ("Credit Applied: undone", "Ada Moore"),
            ("Paid", "Ada Moore"),
            ("Payment Removed", "Ada Moore"),
            ("Voided", "Ada Moore"),
        ]
        xero.world.unconfirmed.choose("user_of_an_apps_edit", "the app's name")
        post(xero, "CreditNotes/KX-1-CN", Status="VOIDED")
        [credit] = [one for one in xero.organisation.documents.values() if one.number == "KX-1-CN"]
        assert credit.history[-1].user == xero.app.name
        note_on_it = {"Details": "why"}
        assert xero.call("PUT", f"Invoices/{stored['InvoiceID']}/History", json=note_on_it).ok, "void or not"

    def test_a_note_that_is_too_long_or_empty_or_for_nothing_is_refused(self, xero: Visitor) -> None:
        stored = put_invoice(xero)
        path = f"Invoices/{stored['InvoiceID']}/History"

        def status(details: str, where: str = path) -> int:
            return xero.call("PUT", where, json={"HistoryRecords": [{"Details": details}]}).status_code

        assert [status("x" * 2500), status("x" * 2501), status("")] == [200, 400, 400]
        xero.world.unconfirmed.choose("longest_history_note", "250")
        assert [status("x" * 250), status("x" * 251)] == [200, 400]
        assert status("x", path.replace("Invoices", "CreditNotes")) == 404
        assert xero.call("GET", path.replace("Invoices", "PurchaseOrders")).status_code == 404


class TestStock:
    @pytest.fixture
    def stocked(self, xero: Visitor) -> Visitor:
        """Five pieces for 40 in all, of which two were sold."""
        tracked_item(xero)
        bought = [line(ItemCode="TEE", Quantity=5, UnitAmount=8, AccountCode="630", TaxType="INPUT2")]
        put_invoice(xero, InvoiceNumber="BILL", Type="ACCPAY", LineItems=bought)
        put_invoice(xero, LineItems=[line(ItemCode="TEE", Quantity=2)])
        return xero

    def stock(self, xero: Visitor) -> tuple[Any, Any]:
        item = xero.organisation.items["TEE"]
        return item.on_hand, item.cost_pool

    def test_a_credit_with_item_codes_returns_stock_and_cost_on_approval(self, stocked: Visitor) -> None:
        assert self.stock(stocked) == (3, 24)
        put_note(stocked, Status="DRAFT", LineItems=[line(ItemCode="TEE", Quantity=2)])
        assert self.stock(stocked) == (3, 24), "not as a draft"
        assert post(stocked, "CreditNotes/KX-1-CN", Status="AUTHORISED") == []
        assert self.stock(stocked) == (5, 40)
        assert post(stocked, "CreditNotes/KX-1-CN", Status="VOIDED") == []
        assert self.stock(stocked) == (3, 24), "a void takes it out again"

    def test_a_credit_without_item_codes_leaves_stock_alone(self, stocked: Visitor) -> None:
        put_note(stocked, LineItems=[line(Quantity=2)])
        assert self.stock(stocked) == (3, 24)

    def test_a_credited_item_fills_what_its_line_leaves_out_as_on_a_sale(self, stocked: Visitor) -> None:
        [only] = put_note(stocked, LineItems=[{"ItemCode": "TEE", "Quantity": 1}])["LineItems"]
        assert (only["Description"], only["UnitAmount"], only["AccountCode"], only["TaxType"]) == (
            "Tee",
            20,
            "200",
            "OUTPUT2",
        )

    @pytest.mark.parametrize(("choice", "cost"), [("average", 8), ("purchase_price", Decimal("9.40"))])
    def test_what_returns_into_an_empty_stock_costs_what_the_open_answer_says(
        self, stocked: Visitor, choice: str, cost: Any
    ) -> None:
        stocked.world.unconfirmed.choose("cost_of_returned_stock", choice)
        put_invoice(stocked, InvoiceNumber="KX-2", LineItems=[line(ItemCode="TEE", Quantity=3)])
        assert self.stock(stocked) == (0, 0)
        put_note(stocked, LineItems=[line(ItemCode="TEE", Quantity=1)])
        assert self.stock(stocked) == (1, cost)

    @pytest.mark.parametrize(("choice", "left"), [("ends", (0, 0)), ("stays", (2, 2))])
    def test_credit_for_a_backorder_follows_the_open_answer(
        self, xero: Visitor, choice: str, left: Any
    ) -> None:
        tracked_item(xero)
        xero.world.unconfirmed.choose("credited_backorder", choice)
        lines = [line(ItemCode="TEE", Quantity=2)]
        put(xero, invoice(xero, Status="AUTHORISED", LineItems=lines), query="allowBackorders=true")
        put_note(xero, LineItems=lines)
        item = xero.organisation.items["TEE"]
        assert (item.on_hand, item.on_back_order) == left
        assert read(xero, "Items/TEE")["QuantityAvailable"] == 0

    def test_a_void_cannot_take_out_what_is_sold(self, stocked: Visitor) -> None:
        put_note(stocked, LineItems=[line(ItemCode="TEE", Quantity=2)])
        put_invoice(stocked, InvoiceNumber="KX-2", LineItems=[line(ItemCode="TEE", Quantity=4)])
        text = [stocked.world.unconfirmed["void_of_sold_stock_text"]]
        assert post(stocked, "CreditNotes/KX-1-CN", Status="VOIDED") == text
        [bill] = [one for one in stocked.organisation.documents.values() if one.kind == "ACCPAY"]
        assert post(stocked, f"Invoices/{bill.id}", Status="VOIDED") == text

    def test_an_edit_that_leaves_the_items_alone_leaves_their_cost_alone(self, stocked: Visitor) -> None:
        dearer = [line(ItemCode="TEE", Quantity=3, UnitAmount=20, AccountCode="630", TaxType="INPUT2")]
        put_invoice(stocked, InvoiceNumber="BILL-2", Type="ACCPAY", LineItems=dearer)
        before = self.stock(stocked)
        assert post(stocked, "Invoices/KX-1", Reference="new") == []
        assert self.stock(stocked) == before
        assert post(stocked, "Invoices/KX-1", LineItems=[line(ItemCode="TEE", Quantity=1)]) == []
        assert self.stock(stocked)[0] == before[0] + 1


class TestFaultsAndRecords:
    @pytest.mark.parametrize(
        ("kind", "status", "committed"),
        [
            ("reply_lost", None, True),
            ("error_after_commit", 500, True),
            ("error_before_commit", 500, False),
            ("request_lost", None, False),
            ("rate_limit_minute", 429, False),
            ("maintenance", 503, False),
            ("refused", 400, False),
        ],
    )
    def test_faults_hit_the_new_calls_as_the_old(
        self, xero: Visitor, kind: str, status: int | None, committed: bool
    ) -> None:
        stored = put_invoice(xero)
        put_note(xero)
        allocate(xero, 2)
        credit = read(xero, "CreditNotes/KX-1-CN")
        base, note_id = "CreditNotes", credit["CreditNoteID"]
        allocations, history = f"{base}/{note_id}/Allocations", f"{base}/{note_id}/History"
        to_invoice = {"Invoice": {"InvoiceID": stored["InvoiceID"]}, "Amount": 3, "Date": "2026-11-23"}
        calls: list[tuple[str, str, Json | None]] = [
            ("PUT", base, note(xero, CreditNoteNumber="KX-2-CN")),
            ("POST", f"{base}/KX-3-CN", {"Status": "VOIDED"}),
            ("PUT", allocations, to_invoice),
            ("DELETE", f"{allocations}/{credit['Allocations'][0]['AllocationID']}", None),
            ("PUT", history, {"HistoryRecords": [{"Details": "why"}]}),
        ]
        put_note(xero, CreditNoteNumber="KX-3-CN")
        for method, path, body in calls:
            words = {"message": "The sky is falling."} if kind == "refused" else {}
            xero.fault(kind, method=method, path_prefix=f"/api.xro/2.0/{path}", **words)
            answer: requests.Response | None = None
            with contextlib.suppress(requests.exceptions.ConnectionError):
                answer = xero.call(method, path, json=body)
            assert getattr(answer, "status_code", None) == status, (method, path)
            assert kind != "refused" or "The sky is falling." in getattr(answer, "text", "")
            assert bool(xero.world.log.entries[-1].committed) is committed, (method, path)

    def test_a_late_commit_of_an_allocation_happens_at_its_own_moment(self, xero: Visitor) -> None:
        put_invoice(xero)
        put_note(xero)
        xero.fault("slow_commit", seconds=100, path_prefix="/api.xro/2.0/CreditNotes/KX-1-CN/Allocations")
        with pytest.raises(requests.exceptions.ReadTimeout):
            allocate(xero)
        assert due(xero) == ("AUTHORISED", 12, 0, 0)
        xero.world.clock.advance(100)
        assert due(xero) == ("PAID", 0, 0, 12)

    def test_the_truth_log_and_the_list_of_documents_tell_of_credits(self, xero: Visitor) -> None:
        sold, credit = put_invoice(xero), put_note(xero)
        created = xero.site("GET", "/_simulator/log").json()["entries"][-1]["committed"]
        assert [(one["kind"], one["number"], one["total"]) for one in created] == [
            ("ACCRECCREDIT", "KX-1-CN", 12)
        ]
        allocate(xero, 5)
        [allocation] = xero.organisation.documents[sold["InvoiceID"]].allocations
        expected = {
            "kind": "allocation",
            "action": "created",
            "id": allocation.id,
            "credit_note_id": credit["CreditNoteID"],
            "credit_note": "KX-1-CN",
            "invoice_id": sold["InvoiceID"],
            "invoice": "KX-1",
            "amount": 5,
            "currency": "GBP",
        }
        assert xero.world.log.entries[-1].committed == [expected]
        person(xero, "KX-1-CN", Unallocate=True)
        assert xero.world.log.entries[-1].method == "PERSON"
        assert xero.world.log.entries[-1].committed == [expected | {"action": "deleted"}]
        allocate(xero, 5)
        facts = xero.site("GET", f"/_simulator/documents?organisation={xero.organisation.id}").json()
        documents = {one["kind"]: one["document"] for one in facts["documents"]}
        assert documents["ACCRECCREDIT"]["Allocations"][0]["Invoice"]["InvoiceNumber"] == "KX-1"
        assert documents["ACCREC"]["CreditNotes"][0]["CreditNoteNumber"] == "KX-1-CN"

    def test_a_person_enters_and_edits_everything_by_hand(self, xero: Visitor) -> None:
        path = f"/_simulator/organisations/{xero.organisation.id}/documents"
        assert xero.site("POST", path, json=note(xero)).status_code == 201
        assert read(xero, "CreditNotes/KX-1-CN")["Status"] == "AUTHORISED"
        put(xero, invoice(xero))
        edited = person(
            xero,
            "KX-1",
            Status="AUTHORISED",
            Date="2026-11-24",
            Contact={"Name": "O'Brien Prints"},
            LineItems=[line(TaxType="ZERORATEDOUTPUT")],
        )
        assert (edited["Status"], edited["TotalTax"], edited["Contact"]["Name"]) == (
            "AUTHORISED",
            0,
            "O'Brien Prints",
        )
        assert person(xero, "KX-1", SentToContact=True)["SentToContact"] is True
        put(xero, order(xero, PurchaseOrderNumber="PO-1", Status="AUTHORISED"), "PurchaseOrders")
        assert person(xero, "PO-1", SentToContact=True)["SentToContact"] is True

    def test_the_scope_of_invoices_is_enough_and_needed(self, xero: Visitor) -> None:
        reader = Visitor(
            xero.world, scopes="accounting.contacts", organisation=xero.organisation, name="Other"
        )
        for method, path in (("GET", "CreditNotes"), ("PUT", "CreditNotes/x/Allocations")):
            assert reader.call(method, path, json={}).status_code == 401


SECTION = Path("docs/simulated-xero.md").read_text().partition("\n## After posting")[2].partition("\n## ")[0]
ROWS = dict(re.findall(r"^\| ([^|]+) \| `((?:PATCH|POST) [^`]+)` \|$", SECTION, re.MULTILINE))
"""What docs/simulated-xero.md says that a person may do after posting, and how."""


class TestTheDocs:
    def do(self, xero: Visitor, what: str) -> None:
        method, path, body = ROWS[what].split(" ", 2)
        path = path.replace("$ORG", xero.organisation.id)
        answer = xero.site(method, f"/_simulator/{path}", data=body.encode())
        assert answer.ok, (what, answer.text)

    def test_drafts_are_deleted_and_purchase_orders_billed_as_the_page_says(self, xero: Visitor) -> None:
        put(xero, invoice(xero))
        self.do(xero, "delete a draft")
        assert due(xero)[0] == "DELETED"
        put(xero, order(xero, Status="AUTHORISED"), "PurchaseOrders")
        self.do(xero, "bill a purchase order")
        assert read(xero, "PurchaseOrders/KX-1")["Status"] == "BILLED"

    def test_every_other_row_of_the_page_does_what_it_says(self, xero: Visitor) -> None:
        put(xero, invoice(xero))
        done = {"delete a draft", "bill a purchase order"}
        for what, expected in (
            ("approve", ("AUTHORISED", 12, 0, 0)),
            ("edit", ("AUTHORISED", 5, 0, 0)),
            ("mark as sent", ("AUTHORISED", 5, 0, 0)),
            ("pay, all or a part", ("PAID", 0, 5, 0)),
            ("take all payments back", ("AUTHORISED", 5, 0, 0)),
            ("credit", ("AUTHORISED", 5, 0, 0)),
            ("allocate a part of it", ("AUTHORISED", 3, 0, 2)),
            ("take all its allocations back", ("AUTHORISED", 5, 0, 0)),
            ("allocate a credit note, as far as it goes", ("PAID", 0, 0, 5)),
            ("take all its allocations back", ("AUTHORISED", 5, 0, 0)),
            ("refund a credit note", ("AUTHORISED", 5, 0, 0)),
            ("void", ("VOIDED", 0, 0, 0)),
        ):
            if what == "credit":
                assert read(xero, "Invoices/KX-1")["SentToContact"] is True
                post(xero, "Invoices/KX-1", Contact={"Name": "Kornit X Sales"})
            self.do(xero, what)
            assert due(xero) == expected, what
            done.add(what)
        assert read(xero, "CreditNotes/KX-1-CN")["RemainingCredit"] == 5
        assert done == set(ROWS)


class TestPages:
    def test_the_books_show_credit_notes_and_what_they_pay(self, xero: Visitor) -> None:
        put_invoice(xero)
        credit = put_note(xero)
        person(xero, "KX-1", Pay=2)
        allocate(xero, 5)
        home = f"/organisation/{xero.organisation.id}"
        assert "Credit notes (1)" in xero.site("GET", home).text
        page = xero.site("GET", f"{home}/document/{credit['CreditNoteID']}").text
        assert "Credit note KX-1-CN" in page
        assert "KX-1</a>" in page
        of_invoice = xero.site("GET", f"{home}/document/KX-1").text
        assert "KX-1-CN</a>" in of_invoice
        assert "5.00" in of_invoice

    @pytest.mark.parametrize("place", ["AccountsReceivable", "AccountsPayable"])
    def test_the_deep_link_that_the_open_answer_names_opens_a_credit_note(
        self, xero: Visitor, place: str
    ) -> None:
        credit = put_note(xero)
        xero.world.unconfirmed.choose("deep_link_of_a_credit_note", place)
        landed = {}
        for tried in ("AccountsReceivable", "AccountsPayable"):
            answer = xero.site(
                "GET",
                "/organisationlogin/default.aspx",
                params={
                    "shortcode": xero.organisation.short_code,
                    "redirecturl": f"/{tried}/ViewCreditNote.aspx?creditNoteID={credit['CreditNoteID']}",
                },
            )
            landed[tried] = "Credit note KX-1-CN" in answer.text
        assert landed == {tried: tried == place for tried in landed}

"""Every answer of Xero that public material leaves open: the one table the simulator reads them from.

`make live-check` asks Xero for each of them, and says which of the answers here is Xero's (docs/live-check.md).
A choice can be changed while running (`POST /_simulator/unconfirmed`), to try a client against each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class OpenAnswer:
    """One open question: the answers simulated, the default first, and where Xero would tell."""

    name: str
    question: str
    answers: tuple[str, ...]
    area: str


OPEN_ANSWERS: tuple[OpenAnswer, ...] = (
    OpenAnswer(
        "plus_in_scope",
        "Does the authorize page read '+' between scopes as a space?",
        ("accepted", "refused"),
        "OAuth authorize parameters",
    ),
    OpenAnswer(
        "third_uncertified_app",
        "What does a person see who connects a third uncertified app to an organisation?",
        (
            "This organisation has reached its limit of two uncertified app connections.",
            "This app can't connect: the organisation has the maximum number of connections.",
        ),
        "OAuth consent, organisation cap",
    ),
    OpenAnswer(
        "invalid_client_status", "HTTP status of invalid_client", ("400", "401"), "OAuth token endpoint"
    ),
    OpenAnswer(
        "error_description",
        "Does the token endpoint explain its errors?",
        ("none", "present"),
        "OAuth token endpoint",
    ),
    OpenAnswer(
        "retry_after_of_concurrent",
        "Is Retry-After sent with the concurrent and app-minute limits?",
        ("no", "yes"),
        "Rate limits",
    ),
    OpenAnswer(
        "idempotency_mismatch_shape",
        "JSON of a key used with a different request",
        ("message", "elements"),
        "Idempotency-Key",
    ),
    OpenAnswer(
        "validation_errors_cached",
        "Is a 400 validation answer kept under its idempotency key?",
        ("yes", "no"),
        "Idempotency-Key",
    ),
    OpenAnswer(
        "same_key_in_flight",
        "A second call under a key whose first call is still running",
        ("waits", "refused", "executes"),
        "Idempotency-Key",
    ),
    OpenAnswer(
        "good_elements_of_a_refused_batch",
        "With summarizeErrors=true and one bad element: are the good ones stored?",
        ("stored", "dropped"),
        "summarizeErrors",
    ),
    OpenAnswer(
        "place_of_line_errors",
        "Where a line item's validation errors sit in an answer",
        ("element_and_line", "element", "line"),
        "Nested validation errors",
    ),
    OpenAnswer(
        "summarize_errors_default",
        "What summarizeErrors is when it isn't sent",
        ("true", "false"),
        "summarizeErrors",
    ),
    OpenAnswer(
        "order_of_elements",
        "Do answered elements keep the order of the request?",
        ("kept", "reversed"),
        "summarizeErrors",
    ),
    OpenAnswer("no_data_error_number", "ErrorNumber of an empty body", ("17", "10"), "Errors"),
    OpenAnswer(
        "correlation_header", "Is there an xero-correlation-id header?", ("present", "absent"), "Errors"
    ),
    OpenAnswer(
        "dead_number_reuse",
        "Can PUT reuse the number of a voided or deleted document?",
        ("refused", "allowed"),
        "Invoice and purchase order numbers",
    ),
    OpenAnswer(
        "post_on_dead_number",
        "POST over the number of a voided or deleted document",
        ("refused", "creates"),
        "Invoice and purchase order numbers",
    ),
    OpenAnswer("number_case", "Do document numbers differ by case?", ("ignored", "kept"), "Document numbers"),
    OpenAnswer(
        "dead_documents_listed",
        "Does a list without Statuses contain voided and deleted documents?",
        ("yes", "no"),
        "Reading documents",
    ),
    OpenAnswer(
        "created_by_my_app_of_purchase_orders",
        "Is createdByMyApp understood on purchase orders?",
        ("ignored", "filters"),
        "Reading purchase orders",
    ),
    OpenAnswer(
        "bare_contact_name",
        "A contact given by Name alone on an invoice",
        ("reused", "created_every_time"),
        "Contact handling",
    ),
    OpenAnswer(
        "purchase_order_contact_by_name",
        "An existing contact given by Name alone on a purchase order",
        ("refused", "accepted"),
        "Contact handling",
    ),
    OpenAnswer(
        "unknown_contact_text",
        "Error for a ContactID the organisation doesn't have",
        (
            "The Contact with the specified contact details could not be found.",
            "A Contact must be specified for this type of transaction",
        ),
        "Contact handling",
    ),
    OpenAnswer(
        "missing_contact_text",
        "Error for a document without a contact",
        (
            "A Contact must be specified for this type of transaction",
            "The Contact must contain at least 1 of the following elements to identify the contact: "
            "Name, ContactID, ContactNumber",
        ),
        "Contact handling",
    ),
    OpenAnswer(
        "missing_contact_name_text",
        "Error for a contact without name",
        ("The contact name must be specified",),
        "Contacts",
    ),
    OpenAnswer(
        "unsubscribed_currency_text",
        "Error for a currency the organisation doesn't have",
        (
            "Organisation is not subscribed to currency {currency}",
            "Users Organisation is not subscribed to currency {currency}",
            "The current organisation is not subscribed to currency '{currency}'.",
        ),
        "Error strings",
    ),
    OpenAnswer(
        "unknown_tax_type_text",
        "Error for a TaxType the organisation doesn't have",
        (
            "The TaxType code '{tax_type}' does not exist or cannot be used for this type of transaction.",
            "TaxType code '{tax_type}' is not valid",
        ),
        "Error strings",
    ),
    OpenAnswer(
        "unknown_item_text",
        "Error for an ItemCode the organisation doesn't have",
        ("Item code '{code}' is not valid", "Item code '{code}' could not be found."),
        "Error strings",
    ),
    OpenAnswer(
        "inventory_account_text",
        "Error for an INVENTORY account on an untracked line",
        (
            "You cannot save this transaction using an inventory account type",
            "Account code '{code}' is not a valid code for this document.",
        ),
        "Error strings",
    ),
    OpenAnswer(
        "too_long_text",
        "Error for a field that is too long",
        ("{field} exceeds the maximum length of {limit}",),
        "Error strings",
    ),
    OpenAnswer(
        "too_many_digits_text",
        "Error for a number with too many digits",
        ("The {field} value '{value}' is invalid. It exceeds the maximum length of {limit}.",),
        "Error strings",
    ),
    OpenAnswer(
        "missing_description_text",
        "Error for an approved line without a description",
        ("Description must be specified", "A line item description must be specified."),
        "Error strings",
    ),
    OpenAnswer(
        "description_from_item",
        "Does an item's description do for an approved line without one?",
        ("yes", "no"),
        "Line items",
    ),
    OpenAnswer(
        "due_date_when_submitted",
        "Does a SUBMITTED invoice need a due date?",
        ("required", "optional"),
        "Invoice fields",
    ),
    OpenAnswer(
        "supplied_total",
        "A Total in a request that isn't the sum of the lines",
        ("refused", "ignored"),
        "Invoice fields",
    ),
    OpenAnswer("tax_amount_limit", "A TaxAmount larger than the line", ("refused", "accepted"), "Money"),
    OpenAnswer(
        "tie_rounding",
        "Which way half a cent goes, unless an organisation says",
        ("half_up", "half_even"),
        "Money",
    ),
    OpenAnswer(
        "line_default_tax",
        "Whose tax type a line without TaxType gets",
        ("item_then_account", "account"),
        "Line items",
    ),
    OpenAnswer(
        "tax_in_an_untaxed_organisation",
        "A taxed line in an organisation whose PaysTax is false",
        ("refused", "accepted"),
        "Tax",
    ),
    OpenAnswer(
        "tracked_item_other_account",
        "A tracked item's purchase order line on another account than its inventory asset account",
        ("accepted", "refused", "replaced"),
        "Tracked items",
    ),
    OpenAnswer(
        "untracked_item_becomes_tracked",
        "Can an untracked item that documents already use become tracked?",
        ("refused", "allowed"),
        "Tracked items",
    ),
    OpenAnswer(
        "cogs_account_types",
        "Account types accepted as a tracked item's cost of goods",
        ("any_expense", "direct_costs"),
        "Tracked items",
    ),
    OpenAnswer(
        "no_stock_text",
        "Error for selling what isn't there where backorders aren't possible",
        ("No items available to sell", "No item available to sell"),
        "Stock",
    ),
    OpenAnswer("stock_of_drafts", "Is stock checked for drafts?", ("not_checked", "checked"), "Stock"),
    OpenAnswer(
        "currency_on_a_single_currency_plan",
        "PUT /Currencies on a plan without multi-currency",
        ("refused", "added"),
        "Currencies",
    ),
    OpenAnswer(
        "items_with_invoice_scope",
        "Can items be written with accounting.invoices alone?",
        ("yes", "no"),
        "Scopes",
    ),
    OpenAnswer("lock_date_for_drafts", "Do lock dates hold drafts too?", ("yes", "no"), "Lock dates"),
    OpenAnswer(
        "lock_date_for_purchase_orders", "Do lock dates hold purchase orders?", ("no", "yes"), "Lock dates"
    ),
    OpenAnswer(
        "lock_date_format_of_period",
        "How the period lock date is written in the error",
        ("day-month-year", "iso"),
        "Lock dates",
    ),
    OpenAnswer(
        "credit_note_number_taken_text",
        "Error for a CreditNoteNumber that is taken",
        ("Credit Note # must be unique.", "Invoice # must be unique."),
        "Credit notes",
    ),
    OpenAnswer(
        "credit_note_number_of_an_invoice",
        "Can a credit note have the number of a sales invoice?",
        ("allowed", "refused"),
        "Credit notes",
    ),
    OpenAnswer(
        "longest_credit_note_number", "Most characters of a CreditNoteNumber", ("255", "50"), "Credit notes"
    ),
    OpenAnswer(
        "credit_note_discounts",
        "A discount on a credit note's line",
        ("refused", "ignored", "used"),
        "Credit notes",
    ),
    OpenAnswer(
        "due_date_of_credit_notes",
        "Does an approved credit note need a due date?",
        ("optional", "required"),
        "Credit notes",
    ),
    OpenAnswer(
        "credit_note_status_text",
        "Error for a change that a credit note's status doesn't allow",
        ("Credit note not of valid status for modification", "Invoice not of valid status for modification"),
        "Credit notes",
    ),
    OpenAnswer(
        "ids_of_credit_notes",
        "Is IDs understood in a list of credit notes?",
        ("ignored", "filter"),
        "Credit notes",
    ),
    OpenAnswer(
        "nil_document_status",
        "Status of an approved invoice or credit note of nothing",
        ("AUTHORISED", "PAID"),
        "Statuses",
    ),
    OpenAnswer(
        "void_in_a_locked_period_text",
        "Error for voiding in a locked period",
        ("lock_date", "not_of_valid_status"),
        "Voiding",
    ),
    OpenAnswer(
        "lines_of_a_void",
        "Does voiding or deleting by status alone make the lines anew, as other changes of status do?",
        ("recreated", "kept"),
        "Voiding",
    ),
    OpenAnswer(
        "empty_lines_on_a_void",
        "An empty LineItems sent with VOIDED or DELETED",
        ("ignored", "refused"),
        "Voiding",
    ),
    OpenAnswer(
        "void_of_sold_stock_text",
        "Error for voiding a bill or credit note whose items have been sold",
        ("This document can't be voided as its tracked items have been sold.", "No items available to sell"),
        "Voiding",
    ),
    OpenAnswer(
        "update_time_of_an_account_code",
        "UpdatedDateUTC when only a line's account changes",
        ("stays", "moves"),
        "If-Modified-Since",
    ),
    OpenAnswer(
        "summary_fields",
        "What summaryOnly leaves out",
        ("all_but_the_four_named", "also_url_sent_and_credit_notes"),
        "Reading documents",
    ),
    OpenAnswer(
        "order_of_purchase_orders",
        "Is order understood on purchase orders?",
        ("by_field", "ignored"),
        "Reading purchase orders",
    ),
    OpenAnswer(
        "bare_status_of_purchase_orders",
        "Elements of id and Status alone posted to PurchaseOrders",
        ("accepted", "refused"),
        "Purchase order statuses",
    ),
    OpenAnswer(
        "billing_of_unapproved_orders",
        "DRAFT or SUBMITTED to BILLED",
        ("refused", "allowed"),
        "Purchase order statuses",
    ),
    OpenAnswer(
        "edits_of_billed_orders",
        "Edits of a purchase order that is billed",
        ("allowed", "refused"),
        "Purchase order statuses",
    ),
    OpenAnswer(
        "billed_orders_reopened", "BILLED to AUTHORISED", ("refused", "allowed"), "Purchase order statuses"
    ),
    OpenAnswer(
        "billed_orders_deleted", "BILLED to DELETED", ("refused", "allowed"), "Purchase order statuses"
    ),
    OpenAnswer(
        "cost_of_returned_stock",
        "Unit cost at which a credit note returns a tracked item",
        ("average", "purchase_price"),
        "Stock",
    ),
    OpenAnswer(
        "credited_backorder",
        "Does a credit note end a backorder before it returns stock?",
        ("ends", "stays"),
        "Stock",
    ),
    OpenAnswer(
        "allocation_to_nothing_text",
        "Error for an allocation to an invoice the organisation doesn't have",
        ("The Invoice to allocate to could not be found",),
        "Allocations",
    ),
    OpenAnswer(
        "allocation_of_an_unapproved_note_text",
        "Error for an allocation of a draft, voided or deleted credit note",
        ("Credit Note is not of valid status for allocation",),
        "Allocations",
    ),
    OpenAnswer(
        "allocation_to_an_unapproved_invoice_text",
        "Error for an allocation to a draft, voided or deleted invoice",
        ("Invoice is not of valid status for allocation",),
        "Allocations",
    ),
    OpenAnswer(
        "allocation_to_a_bill_text",
        "Error for an allocation of a sales credit note to a bill, after its first words",
        ("Credit Note cannot be allocated to an incorrect invoice type",),
        "Allocations",
    ),
    OpenAnswer(
        "allocation_to_another_contact_text",
        "Error for an allocation to another contact's invoice",
        ("Credit Note and Invoice must have the same contact",),
        "Allocations",
    ),
    OpenAnswer(
        "allocation_in_another_currency_text",
        "Error for an allocation to an invoice in another currency",
        ("Credit Note and Invoice must have the same currency",),
        "Allocations",
    ),
    OpenAnswer(
        "allocation_of_nothing_text",
        "Error for an allocation of nothing",
        ("Allocation amount must be greater than zero",),
        "Allocations",
    ),
    OpenAnswer(
        "date_of_an_allocation",
        "Date of an allocation",
        ("later_of_both_documents", "as_sent"),
        "Allocations",
    ),
    OpenAnswer(
        "allocation_without_date", "An allocation without Date", ("accepted", "refused"), "Allocations"
    ),
    OpenAnswer(
        "allocation_in_a_locked_period",
        "An allocation, or its deletion, in a locked period",
        ("refused", "accepted"),
        "Allocations",
    ),
    OpenAnswer(
        "several_allocations_in_one_call",
        "Several allocations in one call",
        ("accepted", "refused"),
        "Allocations",
    ),
    OpenAnswer(
        "allocation_id_in_the_reply",
        "Does the reply to an allocation name its AllocationID?",
        ("absent", "present"),
        "Allocations",
    ),
    OpenAnswer(
        "amount_of_a_deleted_allocation",
        "Does the reply to a deleted allocation name its Amount, without which Xero's own SDK can't read it?",
        ("present", "absent"),
        "Allocations",
    ),
    OpenAnswer(
        "update_time_of_an_allocated_invoice",
        "UpdatedDateUTC of the invoice when a credit note is allocated to it",
        ("moves", "stays"),
        "If-Modified-Since",
    ),
    OpenAnswer(
        "user_of_an_apps_edit",
        "Whom a history names for what an app did, notes apart",
        ("System Generated", "the app's name"),
        "History",
    ),
    OpenAnswer(
        "credit_in_a_history",
        "What a history calls an allocation",
        ("Credit Applied", "Allocated"),
        "History",
    ),
    OpenAnswer("longest_history_note", "Most characters of a history note", ("2500", "250"), "History"),
    OpenAnswer(
        "deep_link_of_a_credit_note",
        "Which deep link opens a sales credit note",
        ("AccountsReceivable", "AccountsPayable"),
        "Deep links",
    ),
)


class Unconfirmed:
    """The answers chosen for the open questions."""

    def __init__(self) -> None:
        self._questions: Mapping[str, OpenAnswer] = {answer.name: answer for answer in OPEN_ANSWERS}
        self._chosen = {answer.name: answer.answers[0] for answer in OPEN_ANSWERS}

    def __getitem__(self, name: str) -> str:
        return self._chosen[name]

    def choose(self, name: str, answer: str) -> None:
        """Raises ValueError for a question or an answer the table doesn't have."""
        if name not in self._questions or answer not in self._questions[name].answers:
            raise ValueError(f"no such open answer: {name} = {answer!r}")
        self._chosen[name] = answer

    def table(self) -> list[dict[str, object]]:
        return [
            {
                "name": answer.name,
                "question": answer.question,
                "chosen": self._chosen[answer.name],
                "answers": list(answer.answers),
                "area": answer.area,
            }
            for answer in OPEN_ANSWERS
        ]

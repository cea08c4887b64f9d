"""What Xero's documentation leaves open about orders' documents, one question after the other.

To add one: write a function that asks Xero through `Books` and says what it made of each try, and put
`@question(...)` above it. The words of the question are followed by the rows of
`local/xero/unconfirmed.py` that hold the simulated Xero's answer.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from urllib.parse import quote

from bookkeeping.domain.time_zones import zone_named
from live_check.books import (
    ID_KEYS,
    Answer,
    Answers,
    Books,
    FailedError,
    Json,
    NotAskedError,
    amount,
    day,
    needed,
)
from live_check.question import as_it_is, question
from local.xero.organisations import Organisation
from local.xero.people import add_document
from local.xero.world import World

SOMEBODY_ELSE: Final = "11111111-1111-4111-8111-111111111111"
"""An id that no contact has."""
RARE_CURRENCIES: Final = ("CHF", "NOK", "DKK", "SEK", "ZAR", "ISK", "THB")


def all_at_once(work: list[Any]) -> list[Answer]:
    """The answers to calls that are out at the same time."""
    with ThreadPoolExecutor(len(work)) as threads:
        return list(threads.map(lambda call: call(), work))


# --- numbers of documents


def _ended(books: Books) -> Iterator[tuple[str, str, Json]]:
    """Documents that were deleted or voided: what it is, its collection, what it was made of."""
    for what, collection, body, end in (
        ("a deleted invoice", "Invoices", books.invoice(), "DELETED"),
        ("a voided invoice", "Invoices", books.invoice(Status="AUTHORISED"), "VOIDED"),
        ("a deleted purchase order", "PurchaseOrders", books.purchase_order(), "DELETED"),
    ):
        made = books.make(collection, body)
        needed(books.end(collection, made[ID_KEYS[collection]], end), f"{end} of {what}")
        yield what, collection, body


def _same_or_new(answer: Answer, collection: str, before: Json) -> str:
    if not answer.accepted:
        return str(answer)
    id_key = ID_KEYS[collection]
    return "changes it" if answer.first(collection).get(id_key) == before.get(id_key) else "makes another"


@question("What becomes of the number of a document that is there?")
def used_number(books: Books) -> Answers:
    answers: Answers = {}
    for what, collection, body in (
        ("an invoice", "Invoices", books.invoice()),
        ("a purchase order", "PurchaseOrders", books.purchase_order()),
    ):
        before = books.make(collection, body)
        answers[f"PUT, {what}"] = _same_or_new(books.put(collection, body), collection, before)
        answers[f"POST, {what}"] = _same_or_new(books.post(collection, body), collection, before)
    return answers


@question("Can PUT use the number of a voided or deleted document again?", "dead_number_reuse")
def dead_number_reuse(books: Books) -> Answers:
    return {what: str(books.put(collection, body)) for what, collection, body in _ended(books)}


@question("What does POST make of the number of a voided or deleted document?", "post_on_dead_number")
def post_on_dead_number(books: Books) -> Answers:
    return {what: str(books.post(collection, body)) for what, collection, body in _ended(books)}


@question("Do numbers that differ by capitals alone count as one?", "number_case")
def number_case(books: Books) -> Answers:
    invoice, order = books.invoice(), books.purchase_order()
    books.make("Invoices", invoice)
    books.make("PurchaseOrders", order)
    invoice["InvoiceNumber"] = invoice["InvoiceNumber"].lower()
    order["PurchaseOrderNumber"] = order["PurchaseOrderNumber"].lower()
    return {
        "an invoice": str(books.put("Invoices", invoice)),
        "a purchase order": str(books.put("PurchaseOrders", order)),
    }


@question("What becomes of the number of a bill that is there, and is a bill's Reference kept?")
def bill_number(books: Books) -> Answers:
    bill = books.bill(Reference="Live check")
    before = books.make("Invoices", bill)
    other = books.make("Contacts", {"Name": f"{books.number()} supplier"})["ContactID"]
    of_other = bill | {"Contact": {"ContactID": other}}
    return {
        "Reference": str(books.read(f"Invoices/{before['InvoiceID']}").get("Reference") or "not kept"),
        "PUT, same contact": _same_or_new(books.put("Invoices", bill), "Invoices", before),
        "PUT, another contact": _same_or_new(books.put("Invoices", of_other), "Invoices", before),
        "POST, same contact": _same_or_new(books.post("Invoices", bill), "Invoices", before),
        "POST, another contact": _same_or_new(books.post("Invoices", of_other), "Invoices", before),
    }


# --- Idempotency-Key


def _put_under_key(books: Books, key: str, *invoices: Json) -> Answer:
    query: Json = {"summarizeErrors": "true", "unitdp": "4"}
    headers = {"Idempotency-Key": key}
    return books.call("PUT", "Invoices", {"Invoices": list(invoices)}, headers=headers, **query)


@question("How is a key answered that was used with another request?", "idempotency_mismatch_shape")
def idempotency_mismatch_shape(books: Books) -> Answers:
    key, invoice = books.number(), books.invoice()
    needed(_put_under_key(books, key, invoice), "PUT Invoices")
    answer = _put_under_key(books, key, invoice | {"Reference": "changed"})
    body, words = answer.body if isinstance(answer.body, dict) else {}, "is used with a different request"
    places = [name for name in ("Message", "Elements") if words in json.dumps(body.get(name), default=str)]
    return {"status": str(answer.status), "the words stand in": ", ".join(places) or f"neither: {answer}"}


@question("Is a refusal kept under its key, once its cause is mended?", "validation_errors_cached")
def validation_errors_cached(books: Books) -> Answers:
    key, item = books.number(), books.item()
    invoice = books.invoice(books.line(ItemCode=item["Code"]))
    if (first := _put_under_key(books, key, invoice)).accepted:
        raise FailedError(f"an invoice with an unknown item was {first}")
    books.make("Items", item)
    return {"the same request again": str(_put_under_key(books, key, invoice))}


@question(
    "What becomes of calls under one key that are out at the same time?",
    "same_key_in_flight",
    only_xero="in one process it answers one call after the other",
)
def same_key_in_flight(books: Books) -> Answers:
    key, bill = books.number(), books.bill()
    answers = all_at_once([lambda: _put_under_key(books, key, bill)] * 4)
    made = {one["InvoiceID"] for answer in answers if answer.accepted for one in answer.elements("Invoices")}
    return {
        "answers": ", ".join(sorted({str(answer) for answer in answers})),
        "bills made": str(len(made)),
    }


# --- batches and errors


@question(
    "With summarizeErrors=true and a bad element, is the good one stored?",
    "good_elements_of_a_refused_batch",
)
def good_elements_of_a_refused_batch(books: Books) -> Answers:
    good, bad = books.invoice(), books.invoice(Contact=None)
    answer = books.put("Invoices", good, bad, summarizeErrors="true")
    stored = books.found(good["InvoiceNumber"])
    return {"status": str(answer.status), "the good one": "stored" if stored else "not stored"}


@question("What is summarizeErrors where it is not sent?", "summarize_errors_default")
def summarize_errors_default(books: Books) -> Answers:
    bad = {"Invoices": [books.invoice(Contact=None)]}
    return {"a bad invoice": f"HTTP {books.call('PUT', 'Invoices', bad).status}"}


@question("Where do the errors of a line stand?", "place_of_line_errors")
def place_of_line_errors(books: Books) -> Answers:
    bad = books.line(AccountCode="NONE-SUCH")
    element = books.put("Invoices", books.invoice(bad, Status="AUTHORISED")).first("Invoices")
    lines = element.get("LineItems") or []
    places = [
        place
        for place, there in (
            ("the document", bool(element.get("ValidationErrors"))),
            ("its line", any(line.get("ValidationErrors") for line in lines)),
        )
        if there
    ]
    return {"an unknown account": " and ".join(places) or "neither the document nor its line"}


@question("Are elements answered in the order they were sent?", "order_of_elements")
def order_of_elements(books: Books) -> Answers:
    bad = books.invoice(books.line(AccountCode="NONE-SUCH"), Status="AUTHORISED")
    sent = [books.invoice(), bad, books.invoice()]
    numbers = [one["InvoiceNumber"] for one in sent]
    answered = [one.get("InvoiceNumber") for one in books.put("Invoices", *sent).elements("Invoices")]
    return {"good, bad, good": "in order" if answered == numbers else "in another order"}


@question("Which ErrorNumber has an empty body?", "no_data_error_number")
def no_data_error_number(books: Books) -> Answers:
    answer = books.call("PUT", "Invoices", b"")
    number = answer.body.get("ErrorNumber") if isinstance(answer.body, dict) else None
    return {"status": str(answer.status), "ErrorNumber": str(number)}


@question("Is there an xero-correlation-id?", "correlation_header")
def correlation_header(books: Books) -> Answers:
    there = "xero-correlation-id" in books.call("GET", "Organisation").headers
    return {"a header": "present" if there else "absent"}


@question("Which status has a wrong secret?", "invalid_client_status")
def invalid_client_status(books: Books) -> Answers:
    answer = books.token_answer({"grant_type": "client_credentials"}, secret="a-wrong-one")  # noqa: S106 nobody's
    return {"status": str(answer.status), "answer": str(answer)}


@question("Does the token endpoint explain its errors?", "error_description")
def error_description(books: Books) -> Answers:
    answer = books.token_answer({"grant_type": "refresh_token", "refresh_token": "none-such"})
    body = answer.body if isinstance(answer.body, dict) else {}
    explained = "explained" if body.get("error_description") else "not explained"
    return {"an unknown refresh token": f"{body.get('error')}, {explained}"}


def _limit_of_calls_at_once(world: World, organisation: Organisation) -> None:
    accounts = {"method": "GET", "path_prefix": "/api.xro/2.0/Accounts"}
    world.faults.add({"kind": "rate_limit_concurrent", **accounts})


@question(
    "Is Retry-After sent with the limit of calls at once?",
    "retry_after_of_concurrent",
    situations={"": _limit_of_calls_at_once},
)
def retry_after_of_concurrent(books: Books) -> Answers:
    for _ in range(3):
        for answer in all_at_once([lambda: books.call("GET", "Accounts", patient=False)] * 10):
            if answer.status == 429:
                return {
                    "X-Rate-Limit-Problem": answer.headers.get("X-Rate-Limit-Problem", "absent").lower(),
                    "Retry-After": "sent" if "Retry-After" in answer.headers else "not sent",
                }
    raise FailedError("ten calls at once, three times over, met no limit")


# --- reading


@question("Does a list without Statuses hold voided and deleted documents?", "dead_documents_listed")
def dead_documents_listed(books: Books) -> Answers:
    invoices: list[Json] = []
    orders: list[Json] = []
    for _, collection, body in _ended(books):
        (invoices if collection == "Invoices" else orders).append(body)
    numbers = {one["InvoiceNumber"] for one in invoices}

    def shown(listed: list[Json], key: str, wanted: set[str]) -> str:
        return ", ".join(sorted(str(one["Status"]) for one in listed if one.get(key) in wanted)) or "none"

    by_contact = books.call("GET", "Invoices", ContactIDs=books.contact, page=1, pageSize=1000)
    of_day = books.call("GET", "PurchaseOrders", DateFrom=books.today, DateTo=books.today, pageSize=1000)
    order_numbers = {one["PurchaseOrderNumber"] for one in orders}
    return {
        "Invoices by number": shown(books.found(*numbers), "InvoiceNumber", numbers),
        "Invoices by contact": shown(by_contact.elements("Invoices"), "InvoiceNumber", numbers),
        "PurchaseOrders of a day": shown(
            of_day.elements("PurchaseOrders"), "PurchaseOrderNumber", order_numbers
        ),
    }


def _an_order_entered_by_hand(world: World, organisation: Organisation) -> None:
    contact = next(iter(organisation.contacts))
    line = {"Description": "By hand", "UnitAmount": 1}
    order = {"PurchaseOrderNumber": "BY-HAND", "Contact": {"ContactID": contact}, "LineItems": [line]}
    add_document(world, organisation, order)


@question(
    "Is createdByMyApp understood on purchase orders?",
    "created_by_my_app_of_purchase_orders",
    situations={"": _an_order_entered_by_hand},
)
def created_by_my_app_of_purchase_orders(books: Books) -> Answers:
    books.make("PurchaseOrders", books.purchase_order())

    def others(**query: Any) -> int:
        listed = books.call("GET", "PurchaseOrders", pageSize=1000, **query).elements("PurchaseOrders")
        return sum(one["PurchaseOrderID"] not in books.made for one in listed)

    if not others():
        raise NotAskedError("nobody else has made a purchase order; enter one in Xero by hand")
    return {"others' orders": "still there" if others(createdByMyApp="true") else "left out"}


@question(
    "Which fields does summaryOnly keep, and do createdByMyApp and where go together?", "summary_fields"
)
def summary_only(books: Books) -> Answers:
    invoice = books.invoice(Url="https://example.com/orders/1", Reference="Live check")
    number = books.make("Invoices", invoice)["InvoiceNumber"]
    answer = books.call("GET", "Invoices", InvoiceNumbers=number, summaryOnly="true", page=1)
    kept = needed(answer, "GET Invoices").first("Invoices")
    where = f'Type=="ACCREC" AND InvoiceNumber=="{number}"'
    both = books.call("GET", "Invoices", where=where, createdByMyApp="true", page=1)
    return {
        "fields": ", ".join(sorted(kept)),
        "Url, SentToContact, CreditNotes": "kept: "
        + (", ".join(sorted({"Url", "SentToContact", "CreditNotes"} & set(kept))) or "none"),
        "createdByMyApp and where": f"{len(both.elements('Invoices'))} found",
    }


@question("Is order understood on purchase orders?", "order_of_purchase_orders")
def order_of_purchase_orders(books: Books) -> Answers:
    later = books.make("PurchaseOrders", books.purchase_order(Date=books.today))["PurchaseOrderID"]
    earlier = books.make("PurchaseOrders", books.purchase_order(Date=books.since))["PurchaseOrderID"]

    def listed(order: str) -> list[object]:
        days: Json = {"DateFrom": books.since, "DateTo": books.today}
        answer = books.call("GET", "PurchaseOrders", order=order, pageSize=1000, **days)
        ids = (
            one["PurchaseOrderID"] for one in needed(answer, "GET PurchaseOrders").elements("PurchaseOrders")
        )
        return [id_ for id_ in ids if id_ in (later, earlier)]

    heeded = listed("Date ASC") == [earlier, later] and listed("Date DESC") == [later, earlier]
    return {"by Date": "heeded" if heeded else "ignored"}


@question("In which form is the organisation's time zone given?")
def time_zone(books: Books) -> Answers:
    given = str(books.facts.get("Timezone"))
    return {str(books.facts.get("CountryCode")): given, "read here as": str(zone_named(given))}


# --- contacts


def _whose(books: Books, answer: Answer, collection: str) -> str:
    if not answer.accepted:
        return str(answer)
    same = answer.first(collection).get("Contact", {}).get("ContactID") == books.contact
    return "the contact of that name" if same else "a new contact"


@question("What does an invoice make of a contact's name alone?", "bare_contact_name")
def bare_contact_name(books: Books) -> Answers:
    name = f"{books.run} Live check"
    assert books.contact
    return {
        how: _whose(books, books.put("Invoices", books.invoice(Contact={"Name": text})), "Invoices")
        for how, text in (("the name", name), ("in capitals", name.upper()))
    }


@question("What does a purchase order make of a contact's name alone?", "purchase_order_contact_by_name")
def purchase_order_contact_by_name(books: Books) -> Answers:
    assert books.contact
    order = books.purchase_order(Contact={"Name": f"{books.run} Live check"})
    return {"the name": _whose(books, books.put("PurchaseOrders", order), "PurchaseOrders")}


@question("Which names of contacts count as equal?")
def contact_name_equality(books: Books) -> Answers:
    name = f"{books.number()} Café Straße"
    books.make("Contacts", {"Name": name})
    answers: Answers = {}
    for how, text in (
        ("as it is", name),
        ("in capitals", name.upper()),
        ("without accents", name.replace("é", "e")),
        ("accent apart from its letter", unicodedata.normalize("NFD", name)),
        ("ss for ß", name.replace("ß", "ss")),
        ("two spaces", name.replace(" ", "  ")),
        ("a space at the end", f"{name} "),
        ("a zero-width space", name.replace("Caf", "Caf\u200b")),
    ):
        found = books.call("GET", "Contacts", where=f'Name=="{text}"')
        answers[how] = str(found) if not found.accepted else ("no", "yes")[bool(found.elements("Contacts"))]
    return answers


@question("How is a ContactID refused that nobody has?", "unknown_contact_text")
def unknown_contact_text(books: Books) -> Answers:
    nobody = {"ContactID": SOMEBODY_ELSE}
    return {
        "an invoice": str(books.put("Invoices", books.invoice(Contact=nobody))),
        "a purchase order": str(books.put("PurchaseOrders", books.purchase_order(Contact=nobody))),
    }


@question("How is a document without a contact refused?", "missing_contact_text")
def missing_contact_text(books: Books) -> Answers:
    return {
        "an invoice": str(books.put("Invoices", books.invoice(Contact=None))),
        "a purchase order": str(books.put("PurchaseOrders", books.purchase_order(Contact=None))),
    }


@question("How is a contact without a name refused?", "missing_contact_name_text")
def missing_contact_name_text(books: Books) -> Answers:
    return {"no name": str(books.put("Contacts", {"ContactNumber": books.number()}))}


# --- fields of documents


def _put_line(books: Books, **changes: object) -> str:
    return str(books.put("Invoices", books.invoice(books.line(**changes))))


@question("How is a currency refused that the organisation does not have?", "unsubscribed_currency_text")
def unsubscribed_currency_text(books: Books) -> Answers:
    code = next(one for one in RARE_CURRENCIES if one not in books.currencies)
    refused = str(books.put("Invoices", books.invoice(CurrencyCode=code)))
    return {"an invoice": refused.replace(code, "CODE")}


@question("How is an unknown TaxType refused?", "unknown_tax_type_text")
def unknown_tax_type_text(books: Books) -> Answers:
    return {"an invoice": _put_line(books, TaxType="NOSUCHTAX")}


@question("How is an unknown ItemCode refused?", "unknown_item_text")
def unknown_item_text(books: Books) -> Answers:
    return {"an invoice": _put_line(books, ItemCode="NO-SUCH-ITEM")}


@question("How is the stock account refused on a line without a tracked item?", "inventory_account_text")
def inventory_account_text(books: Books) -> Answers:
    return {"an invoice": _put_line(books, AccountCode=books.stock["Code"], TaxType=None)}


@question("How is a text refused that is too long?", "too_long_text")
def too_long_text(books: Books) -> Answers:
    return {
        "Reference": str(books.put("Invoices", books.invoice(Reference="x" * 256))),
        "Description": _put_line(books, Description="x" * 4001),
    }


@question("How is a number refused that has too many digits?", "too_many_digits_text")
def too_many_digits_text(books: Books) -> Answers:
    return {"Quantity": _put_line(books, Quantity=12345678901234)}


@question("How is an approved line without a description refused?", "missing_description_text")
def missing_description_text(books: Books) -> Answers:
    approved = books.invoice(books.line(Description=None), Status="AUTHORISED")
    return {"an invoice": str(books.put("Invoices", approved))}


@question("Does an item's description do for an approved line?", "description_from_item")
def description_from_item(books: Books) -> Answers:
    item = books.make("Items", books.item(Description="A mug"))
    line = books.line(Description=None, ItemCode=item["Code"])
    return {"an invoice": str(books.put("Invoices", books.invoice(line, Status="AUTHORISED")))}


@question("Does a submitted invoice need a due date?", "due_date_when_submitted")
def due_date_when_submitted(books: Books) -> Answers:
    return {"none": str(books.put("Invoices", books.invoice(Status="SUBMITTED", DueDate=None)))}


@question("What becomes of a Total that is not the sum of the lines?", "supplied_total")
def supplied_total(books: Books) -> Answers:
    return {"an invoice": str(books.put("Invoices", books.invoice(Total=999)))}


_LENGTHS: Final = {
    "PurchaseOrderNumber": (255, 256),
    "Reference": (255, 256, 4000),
    "DeliveryAddress": (255, 256, 4000),
    "AttentionTo": (255, 256),
    "Telephone": (50, 51, 255),
    "DeliveryInstructions": (500, 501),
}


@question("How long may the texts of a purchase order be?")
def purchase_order_lengths(books: Books) -> Answers:
    tries = [(name, length) for name, lengths in _LENGTHS.items() for length in lengths]
    sent = []
    for name, length in tries:
        order = books.purchase_order()
        sent.append(
            order | {name: (order["PurchaseOrderNumber"] if "Number" in name else "").ljust(length, "x")}
        )
    answered = books.put("PurchaseOrders", *sent).elements("PurchaseOrders")
    kept = {
        (name, length)
        for (name, length), order in zip(tries, sent, strict=True)
        for one in answered
        if one.get("PurchaseOrderNumber") == order["PurchaseOrderNumber"]
        and not one.get("ValidationErrors")
        and one.get(name) == order[name]
    }
    return {
        name: "kept whole: " + (", ".join(str(one) for one in lengths if (name, one) in kept) or "none")
        for name, lengths in _LENGTHS.items()
    }


# --- money and tax


def _tie(rate: Fraction, *, inclusive: bool) -> Decimal | None:
    """A line whose tax ends in half a cent, the cent before it being even."""
    for cents in range(1, 2000):
        tax = Fraction(cents) * rate / (100 + rate if inclusive else 100)
        if tax.denominator == 2 and tax.numerator // 2 % 2 == 0:
            return Decimal(cents) / 100
    return None


def _way(exact: Decimal, given: object) -> str:
    """Which way an exact half was rounded to two places."""
    up, even = exact + Decimal("0.005"), exact - Decimal("0.005")
    return {up: "up", even: "to even"}.get(Decimal(str(given)), f"{exact} became {given}")


@question("Which way does half a cent go?", "tie_rounding")
def tie_rounding(books: Books) -> Answers:
    answers: Answers = {}
    for how, inclusive, kind in (("tax on top", False, "Exclusive"), ("tax within", True, "Inclusive")):
        for tax_type, rate in books.tax_rates.items():
            percent = books.rate(tax_type)
            line_amount = (
                _tie(Fraction(percent), inclusive=inclusive) if rate.get("CanApplyToRevenue") else None
            )
            if line_amount is not None:
                line = books.line(UnitAmount=line_amount, TaxType=tax_type)
                made = books.make("Invoices", books.invoice(line, LineAmountTypes=kind))
                exact = line_amount * percent / (100 + percent if inclusive else 100)
                answers[how] = _way(round(exact, 3), made["TotalTax"])
                break
    half = books.make(
        "Invoices", books.invoice(books.line(Quantity=Decimal("0.5"), UnitAmount=Decimal("0.05")))
    )
    answers["a line's amount"] = _way(Decimal("0.025"), half["LineItems"][0]["LineAmount"])
    two_places = books.make("Invoices", books.invoice(books.line(UnitAmount=Decimal("2.125"))), unitdp="2")
    answers["a unit price"] = _way(Decimal("2.125"), two_places["LineItems"][0]["UnitAmount"])
    return answers


@question("May a TaxAmount be larger than its line?", "tax_amount_limit")
def tax_amount_limit(books: Books) -> Answers:
    return {"11 on a line of 10": _put_line(books, TaxAmount=11)}


@question("Whose tax type does a line without one get?", "line_default_tax")
def line_default_tax(books: Books) -> Answers:
    of_account = books.sales["TaxType"]
    usable = (name for name, rate in books.tax_rates.items() if rate.get("CanApplyToRevenue"))
    of_item = next((name for name in usable if name != of_account), None)
    if of_item is None:
        raise NotAskedError("the organisation has one tax rate for sales only")
    sales = {"AccountCode": books.sales["Code"], "TaxType": of_item}
    item = books.make("Items", books.item(SalesDetails=sales))
    line = books.line(ItemCode=item["Code"], TaxType=None)
    given = books.make("Invoices", books.invoice(line))["LineItems"][0].get("TaxType")
    return {
        "item and account differ": {of_item: "the item's", of_account: "the account's"}.get(given, str(given))
    }


@question("What becomes of a taxed line in an organisation without tax?", "tax_in_an_untaxed_organisation")
def tax_in_an_untaxed_organisation(books: Books) -> Answers:
    if books.facts.get("PaysTax"):
        raise NotAskedError("the organisation is registered for tax")
    taxed = next((name for name in books.tax_rates if books.rate(name)), None)
    if taxed is None:
        raise NotAskedError("the organisation has no tax rate above zero")
    return {"an invoice": _put_line(books, TaxType=taxed).replace(taxed, "TAX")}


@question("Does Xero work out tax on a line of type AVALARA?", only_xero="it works out no tax by address")
def automatic_tax(books: Books) -> Answers:
    if "AVALARA" not in books.tax_rates:
        raise NotAskedError("only American organisations with automatic sales tax have that type")
    made = books.make("Invoices", books.invoice(books.line(UnitAmount=100, TaxType="AVALARA")))
    return {"a line of 100": f"tax of {amount(made.get('TotalTax'))}"}


# --- items and stock


@question("Can items be written with accounting.invoices alone?", "items_with_invoice_scope")
def items_with_invoice_scope(books: Books) -> Answers:
    item = {"Items": [books.item()]}
    return {"PUT": str(books.call("PUT", "Items", item, scopes="accounting.invoices"))}


@question("Which codes of items count as equal, and is one with a slash found?")
def item_code_equality(books: Books) -> Answers:
    code = f"{books.number()}-Ab"
    books.make("Items", books.item(Code=code))
    slash = books.make("Items", books.item(Code=f"{books.number()}/S"))["Code"]
    return {
        "GET in capitals": str(books.call("GET", f"Items/{code.upper()}")),
        "a line in capitals": _put_line(books, ItemCode=code.upper()),
        "PUT in capitals": str(books.put("Items", books.item(Code=code.upper()))),
        "GET with a slash": str(books.call("GET", f"Items/{quote(slash, safe='')}")),
    }


def _no_backorders(world: World, organisation: Organisation) -> None:
    organisation.backorders = False


@question(
    "How is an approved sale refused of what is not in stock, and does allowBackorders let it pass?",
    "no_stock_text",
    situations={"backorders possible": as_it_is, "no backorders": _no_backorders},
)
def no_stock_text(books: Books) -> Answers:
    item = books.make("Items", books.tracked_item())
    sale = books.invoice(books.line(ItemCode=item["Code"]), Status="AUTHORISED")
    return {
        "alone": str(books.put("Invoices", sale)),
        "with allowBackorders": str(books.put("Invoices", sale, allowBackorders="true")),
    }


@question("Is stock looked at for drafts?", "stock_of_drafts")
def stock_of_drafts(books: Books) -> Answers:
    item = books.make("Items", books.tracked_item())
    return {
        status: str(books.put("Invoices", books.invoice(books.line(ItemCode=item["Code"]), Status=status)))
        for status in ("DRAFT", "SUBMITTED")
    }


@question("What becomes of a tracked item's purchase on another account?", "tracked_item_other_account")
def tracked_item_other_account(books: Books) -> Answers:
    item = books.make("Items", books.tracked_item())
    line = books.cost_line(ItemCode=item["Code"], AccountCode=books.costs["Code"], TaxType=None)
    answers: Answers = {}
    for what, collection, body in (
        ("a purchase order", "PurchaseOrders", books.purchase_order(line)),
        ("a bill", "Invoices", books.bill(line)),
    ):
        answer = books.put(collection, body)
        code = (answer.first(collection).get("LineItems") or [{}])[0].get("AccountCode")
        where = {books.costs["Code"]: "kept", books.stock["Code"]: "replaced by the stock account"}
        answers[what] = where.get(code, str(code)) if answer.accepted else str(answer)
    return answers


@question("Can an untracked item become tracked?", "untracked_item_becomes_tracked")
def untracked_item_becomes_tracked(books: Books) -> Answers:
    answers: Answers = {}
    for what, used in (("never used", False), ("on an approved invoice", True)):
        code = books.make("Items", books.item())["Code"]
        if used:
            books.make("Invoices", books.invoice(books.line(ItemCode=code), Status="AUTHORISED"))
        answer = books.post("Items", books.tracked_item(Code=code))
        tracked = answer.first("Items").get("IsTrackedAsInventory")
        answers[what] = f"accepted, tracked: {tracked}" if answer.accepted else str(answer)
    return answers


@question("May the cost of goods be any expense account?", "cogs_account_types")
def cogs_account_types(books: Books) -> Answers:
    expense = {"COGSAccountCode": books.expenses["Code"]}
    return {"an expense account": str(books.put("Items", books.tracked_item(PurchaseDetails=expense)))}


@question("Can a currency be added on a plan with one?", "currency_on_a_single_currency_plan")
def currency_on_a_single_currency_plan(books: Books) -> Answers:
    if books.may_use_currencies:
        raise NotAskedError("the organisation's plan allows several currencies")
    code = next(one for one in RARE_CURRENCIES if one not in books.currencies)
    answer = books.call("PUT", "Currencies", {"Code": code})
    if answer.accepted:
        books.to_stay.append(f"currency {code}")
    return {"PUT": str(answer).replace(code, "CODE")}


# --- lock dates


def _locked(books: Books) -> tuple[str, str]:
    """The latest day that is locked, and which lock date it is. Raises NotAskedError."""
    locks = [
        (day(books.facts[key]), key)
        for key in ("PeriodLockDate", "EndOfYearLockDate")
        if books.facts.get(key)
    ]
    if not locks:
        raise NotAskedError("no lock date is set; set one in Xero, under Advanced accounting")
    return max(locks)


@question("Do lock dates hold drafts?", "lock_date_for_drafts")
def lock_date_for_drafts(books: Books) -> Answers:
    locked_on, _ = _locked(books)
    draft = books.invoice(Date=locked_on)
    return {"a draft invoice": "accepted" if books.put("Invoices", draft).accepted else "refused"}


@question("Do lock dates hold purchase orders?", "lock_date_for_purchase_orders")
def lock_date_for_purchase_orders(books: Books) -> Answers:
    locked_on, _ = _locked(books)
    order = books.purchase_order(Date=locked_on, Status="AUTHORISED")
    return {"an approved one": "accepted" if books.put("PurchaseOrders", order).accepted else "refused"}


@question("How is the period lock date written?", "lock_date_format_of_period")
def lock_date_format_of_period(books: Books) -> Answers:
    locked_on, which = _locked(books)
    return {which: str(books.put("Invoices", books.invoice(Date=locked_on, Status="AUTHORISED")))}


# --- changing and ending documents


@question(
    "Does an invoice keep its lines when it is voided with nothing but its status?",
    "lines_of_a_void",
    "empty_lines_on_a_void",
)
def void_with_smallest_body(books: Books) -> Answers:
    answers: Answers = {}
    four_places: Json = {"unitdp": "4"}
    ways: dict[str, tuple[Json, Json]] = {
        "without unitdp": ({}, {}),
        "with unitdp=4": ({}, four_places),
        "with no lines and unitdp=4": ({"LineItems": []}, four_places),
    }
    for how, (body, query) in ways.items():
        before = books.make(
            "Invoices", books.invoice(books.line(UnitAmount=Decimal("1.2345")), Status="AUTHORISED")
        )
        id_ = before["InvoiceID"]
        answer = books.call("POST", f"Invoices/{id_}", {"InvoiceID": id_, "Status": "VOIDED"} | body, **query)
        if not answer.accepted:
            answers[how] = str(answer)
            continue
        lines = books.read(f"Invoices/{id_}").get("LineItems") or [{}]
        same = lines[0].get("LineItemID") == before["LineItems"][0]["LineItemID"]
        answers[how] = (
            f"{('another', 'the same')[same]} LineItemID, price {amount(lines[0].get('UnitAmount'))}"
        )
    return answers


@question("What becomes of a list of status changes of which one is bad?", "bare_status_of_purchase_orders")
def batch_of_status_changes(books: Books) -> Answers:
    answers: Answers = {}
    for collection, make, bad in (
        ("Invoices", books.invoice, "VOIDED"),
        ("PurchaseOrders", books.purchase_order, "BILLED"),
    ):
        for summarize in ("false", "true"):
            ids = [books.make(collection, make())[ID_KEYS[collection]] for _ in range(3)]
            wanted = ("DELETED", bad, "DELETED")
            changes = [
                {ID_KEYS[collection]: id_, "Status": end} for id_, end in zip(ids, wanted, strict=True)
            ]
            status = books.post(collection, *changes, summarizeErrors=summarize).status
            now = ", ".join(str(books.read(f"{collection}/{id_}")["Status"]) for id_ in ids)
            answers[f"{collection}, summarizeErrors={summarize}"] = f"HTTP {status}; {now}"
    return answers


@question(
    "Which statuses of a purchase order follow one another?",
    "billing_of_unapproved_orders",
    "edits_of_billed_orders",
    "billed_orders_reopened",
    "billed_orders_deleted",
)
def purchase_order_statuses(books: Books) -> Answers:
    answers: Answers = {}
    for way in (
        "DRAFT DELETED",
        "SUBMITTED DELETED",
        "AUTHORISED DELETED",
        "AUTHORISED DRAFT",
        "DRAFT BILLED",
        "AUTHORISED BILLED",
        "AUTHORISED BILLED AUTHORISED",
        "AUTHORISED BILLED DELETED",
    ):
        first, *steps = way.split()
        id_ = books.make("PurchaseOrders", books.purchase_order(Status=first))["PurchaseOrderID"]
        for status in steps:
            answers[way.replace(" ", " → ")] = str(books.end("PurchaseOrders", id_, status))
    billed = books.make("PurchaseOrders", books.purchase_order(Status="AUTHORISED"))["PurchaseOrderID"]
    books.end("PurchaseOrders", billed, "BILLED")
    edit = {"PurchaseOrderID": billed, "Reference": "edited"}
    answers["BILLED, Reference edited"] = str(books.call("POST", f"PurchaseOrders/{billed}", edit))
    page = books.call("GET", "PurchaseOrders", pageSize=1000).body
    answers["pageSize=1000"] = f"{(page or {}).get('pagination', {}).get('pageSize')} a page"
    return answers


BY_HAND: Final = {
    "third_uncertified_app": "What a person sees who connects a third uncertified app: connect three web apps to the"
    " Demo Company, one after the other.",
    "deep_link_of_a_credit_note": "Which address opens a sales credit note: /AccountsReceivable/ViewCreditNote.aspx or"
    " /AccountsPayable/ViewCreditNote.aspx, each with ?creditNoteID=.",
    "void_in_a_locked_period_text": "How a void is refused in a locked period: no app can lock a period, so approve an"
    " invoice, set the lock date after it in Xero, and void it through the API.",
    "allocation_in_a_locked_period": "Whether a lock date holds allocations and their deletion: approve an invoice and"
    " a credit note, set the lock date after both in Xero, then allocate through the API.",
    "webhooks": "Which events come for a void, a deletion, an allocation, an edited line or a note, and how late:"
    " needs an address that Xero can reach.",
}
"""What no program can find out by itself → how a person does."""

"""What is open about documents that are posted: credit notes, their allocations, and the history of a document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal

from bookkeeping.domain.document_kinds import DOCUMENT_KINDS, DocumentKind
from bookkeeping.domain.documents_in_xero import in_xero
from live_check.books import (
    ID_KEYS,
    Answer,
    Answers,
    Books,
    Json,
    NotAskedError,
    amount,
    changed,
    day,
    needed,
)
from live_check.question import question
from live_check.questions import SOMEBODY_ELSE


def _approved(books: Books, **changes: object) -> Json:
    """An approved invoice of ten."""
    return books.make("Invoices", books.invoice(**({"Status": "AUTHORISED"} | changes)))


def _credit(books: Books, **changes: object) -> Json:
    """An approved credit note of ten."""
    return books.make("CreditNotes", books.credit_note(**changes))


def _allocate(books: Books, note: Json, *parts: tuple[Json, object], **changes: object) -> Answer:
    """Allocate a credit note to invoices, each with its amount."""
    allocations = [
        changed(
            {"Invoice": {"InvoiceID": invoice["InvoiceID"]}, "Amount": part, "Date": books.today}, changes
        )
        for invoice, part in parts
    ]
    path = f"CreditNotes/{note['CreditNoteID']}/Allocations"
    return books.call("PUT", path, {"Allocations": allocations}, summarizeErrors="true")


def _allocations(books: Books, note: Json) -> list[Json]:
    found = books.read(f"CreditNotes/{note['CreditNoteID']}").get("Allocations")
    return list(found) if isinstance(found, list) else []


@question(
    "What becomes of a credit note's number that is there?",
    "credit_note_number_taken_text",
    "credit_note_number_of_an_invoice",
    "longest_credit_note_number",
    "credit_note_status_text",
)
def credit_note_number(books: Books) -> Answers:
    note = books.credit_note(Status="DRAFT")
    before = books.make("CreditNotes", note)["CreditNoteID"]
    posted = books.post("CreditNotes", note)
    same = posted.first("CreditNotes").get("CreditNoteID") == before
    answers = {
        "PUT": str(books.put("CreditNotes", note)),
        "POST": ("makes another", "changes it")[same] if posted.accepted else str(posted),
        "an invoice's number": str(
            books.put("CreditNotes", books.credit_note(CreditNoteNumber=_approved(books)["InvoiceNumber"]))
        ),
    }
    voided = books.credit_note()
    id_ = books.make("CreditNotes", voided)["CreditNoteID"]
    needed(books.end("CreditNotes", id_, "VOIDED"), "VOIDED of a credit note")
    edit = {"CreditNoteID": id_, "Reference": "edited"}
    answers["an edit, after a void"] = str(books.call("POST", f"CreditNotes/{id_}", edit))
    answers["PUT, after a void"] = str(books.put("CreditNotes", voided))
    answers["POST, after a void"] = str(books.post("CreditNotes", voided))
    for length in (255, 256):
        long = books.credit_note(Status="DRAFT", CreditNoteNumber=books.number().ljust(length, "x"))
        answers[f"{length} characters"] = str(books.put("CreditNotes", long))
    return answers


@question("What becomes of a discount on a credit note's line?", "credit_note_discounts")
def credit_note_discount(books: Books) -> Answers:
    note = books.credit_note(books.line(DiscountRate=10), Status="DRAFT")
    answer = books.put("CreditNotes", note)
    first = answer.first("CreditNotes")
    return {"10 % of 10": f"net {amount(first.get('SubTotal'))}" if answer.accepted else str(answer)}


@question("Does a credit note need a due date?", "due_date_of_credit_notes")
def credit_note_due_date(books: Books) -> Answers:
    return {
        "without": str(books.put("CreditNotes", books.credit_note())),
        "with": str(books.put("CreditNotes", books.credit_note(DueDate=books.today))),
    }


@question("Does a credit note take the tax and the exchange rate that it is told?")
def credit_note_as_told(books: Books) -> Answers:
    taxed = next((one for one in books.tax_rates.values() if _taxes_sales(books, one)), None)
    answers: Answers = {}
    if taxed is not None:
        line = books.line(TaxType=taxed["TaxType"], TaxAmount=Decimal("0.17"))
        note = _credit(books, LineItems=[line])
        answers["a TaxAmount of 0.17"] = amount(note.get("TotalTax"))
    foreign = next((code for code in books.currencies if code != books.facts.get("BaseCurrency")), None)
    if foreign is not None:
        note = _credit(books, CurrencyCode=foreign, CurrencyRate=Decimal("1.234567"))
        answers["a CurrencyRate of 1.234567"] = f"{note.get('CurrencyRate')}"
    if not answers:
        raise NotAskedError("the organisation has neither a tax on sales nor a second currency")
    return answers


def _taxes_sales(books: Books, rate: Json) -> bool:
    applies = rate.get("CanApplyToRevenue") is not False and rate.get("Status", "ACTIVE") == "ACTIVE"
    return applies and books.rate(rate["TaxType"]) > 0 and rate["TaxType"].startswith("OUTPUT")


@question(
    "Is a document read as it was answered when it was made, also once it is approved, paid off or ended?"
)
def document_read_back(books: Books) -> Answers:
    """What tells whether a person has edited a document has to stay the same as long as nobody does."""
    line = books.line(Quantity=3, UnitAmount=Decimal("0.3333"), Description="  Two  spaces, 11oz “mug” ")
    answers: Answers = {}
    kinds: tuple[tuple[DocumentKind, str, Json], ...] = (
        ("invoice", "Invoices", books.invoice(line)),
        ("purchase_order", "PurchaseOrders", books.purchase_order()),
        ("credit_note", "CreditNotes", books.credit_note(line, Status="DRAFT")),
    )
    for kind, collection, body in kinds:
        made = books.make(collection, body)
        id_, before = made[ID_KEYS[collection]], in_xero(kind, made).fingerprint

        def said(collection: str = collection, id_: str = id_, kind: DocumentKind = kind) -> str:
            return in_xero(kind, books.read(f"{collection}/{id_}")).fingerprint

        read = ["as made" if said() == before else "otherwise"]
        for status in ("AUTHORISED", "VOIDED" if kind != "purchase_order" else "DELETED"):
            needed(books.end(collection, id_, status, unitdp="4"), f"{status} of {collection}")
            read.append(f"{status}: {'as made' if said() == before else 'otherwise'}")
        answers[DOCUMENT_KINDS[kind].words] = ", ".join(read)
    return answers


@question("Which status has an approved document of nothing?", "nil_document_status")
def nil_document_status(books: Books) -> Answers:
    answers: Answers = {}
    nothing = books.line(UnitAmount=0)
    for what, collection, body in (
        ("an invoice", "Invoices", books.invoice(nothing, Status="AUTHORISED")),
        ("a credit note", "CreditNotes", books.credit_note(nothing)),
    ):
        answer = books.put(collection, body)
        answers[what] = str(answer.first(collection).get("Status") if answer.accepted else answer)
    return answers


@question(
    "How is an allocation refused?",
    "allocation_to_nothing_text",
    "allocation_of_an_unapproved_note_text",
    "allocation_to_an_unapproved_invoice_text",
    "allocation_to_a_bill_text",
    "allocation_to_another_contact_text",
    "allocation_of_nothing_text",
)
def allocation_refused(books: Books) -> Answers:
    note, invoice = _credit(books), _approved(books)
    voided = _approved(books)
    needed(books.end("Invoices", voided["InvoiceID"], "VOIDED"), "VOIDED of an invoice")
    other = {"ContactID": books.make("Contacts", {"Name": f"{books.number()} other"})["ContactID"]}
    draft = _credit(books, Status="DRAFT")
    answers = {
        "to nothing": str(_allocate(books, note, ({"InvoiceID": SOMEBODY_ELSE}, 1))),
        "to a draft": str(_allocate(books, note, (_approved(books, Status="DRAFT"), 1))),
        "to a voided invoice": str(_allocate(books, note, (voided, 1))),
        "to another contact's": str(_allocate(books, note, (_approved(books, Contact=other), 1))),
        "of a draft": str(_allocate(books, draft, (invoice, 1))),
        "amount 0": str(_allocate(books, note, (invoice, 0))),
        "below zero": str(_allocate(books, note, (invoice, -1))),
        "more than there is": str(_allocate(books, note, (invoice, 9999))),
    }
    bill = books.make("Invoices", books.bill(Status="AUTHORISED"))
    answers["to a bill"] = str(_allocate(books, note, (bill, 1)))
    paid = _approved(books)
    needed(_allocate(books, _credit(books), (paid, paid["Total"])), "PUT Allocations")
    answers["to a paid invoice"] = str(_allocate(books, note, (paid, 1)))
    return answers


@question("How is an allocation in another currency refused?", "allocation_in_another_currency_text")
def allocation_in_another_currency(books: Books) -> Answers:
    base = books.facts.get("BaseCurrency")
    foreign = next((code for code in books.currencies if code != base), None)
    if foreign is None:
        raise NotAskedError("the organisation has one currency")
    invoice = _approved(books, CurrencyCode=foreign)
    return {"to an invoice": str(_allocate(books, _credit(books), (invoice, 1))).replace(foreign, "CODE")}


@question(
    "What comes back of an allocation?",
    "date_of_an_allocation",
    "allocation_without_date",
    "several_allocations_in_one_call",
    "allocation_id_in_the_reply",
)
def allocation_answered(books: Books) -> Answers:
    note, first, second = _credit(books), _approved(books), _approved(books)
    reply = needed(_allocate(books, note, (first, Decimal("1.006"))), "PUT Allocations").first("Allocations")
    kept = _allocations(books, note)
    two = _allocate(books, note, (first, 1), (second, 1))
    more = len(_allocations(books, note)) - len(kept)
    third = _approved(books)
    backdated = _allocate(books, note, (third, 1), Date="2020-01-01")
    days = [day(one.get("Date")) for one in _allocations(books, note) if third["InvoiceID"] in str(one)]
    return {
        "AllocationID in the reply": "yes" if reply.get("AllocationID") else "no",
        "1.006 becomes": amount(kept[0].get("Amount")) if kept else "nothing",
        "two at once": f"{two}, {more} more",
        "a Date before the invoice's": ", ".join(days).replace(books.today, "the invoice's")
        or str(backdated),
        "no Date": str(_allocate(books, note, (second, 1), Date=None)),
    }


@question(
    "How does an invoice read that was credited in full, and how once that is taken back?",
    "amount_of_a_deleted_allocation",
)
def credited_in_full(books: Books) -> Answers:
    invoice, note = _approved(books), _credit(books)
    needed(_allocate(books, note, (invoice, invoice["Total"])), "PUT Allocations")

    def read() -> str:
        now = books.read(f"Invoices/{invoice['InvoiceID']}")
        paid_on = "with" if now.get("FullyPaidOnDate") else "without"
        credited, due = amount(now.get("AmountCredited")), amount(now.get("AmountDue"))
        return f"{now.get('Status')}, credited {credited}, due {due}, {paid_on} FullyPaidOnDate"

    answers = {"credited": read()}
    notes = books.read(f"Invoices/{invoice['InvoiceID']}").get("CreditNotes") or [{}]
    answers["its CreditNotes have"] = ", ".join(sorted(notes[0]))
    answers["void of the invoice"] = str(books.end("Invoices", invoice["InvoiceID"], "VOIDED"))
    answers["void of the credit note"] = str(books.end("CreditNotes", note["CreditNoteID"], "VOIDED"))
    allocation = _allocations(books, note)[0].get("AllocationID")
    path = f"CreditNotes/{note['CreditNoteID']}/Allocations/{allocation}"
    deleted = books.call("DELETE", path)
    answers["deletion of the allocation"] = str(deleted)
    answers["Amount in the reply to it"] = "present" if '"Amount"' in deleted.text else "absent"
    answers["afterwards"] = read()
    return answers


@question("What does a credit note with a tracked item do to the stock?", "cost_of_returned_stock")
def credit_note_and_stock(books: Books) -> Answers:
    usual = books.tracked_item()
    price = {"PurchaseDetails": usual["PurchaseDetails"] | {"UnitPrice": 7}}
    item = books.make("Items", usual | price)
    bought = books.bill(books.stock_line(item, 2), Status="AUTHORISED")
    books.make("Invoices", bought)

    def stock() -> str:
        now = books.read(f"Items/{item['ItemID']}")
        return f"{amount(now.get('QuantityOnHand'))} worth {amount(now.get('TotalCostPool'))}"

    answers = {"bought": stock()}
    line = books.line(ItemCode=item["Code"])
    _approved(books, LineItems=[line])
    answers["sold"] = stock()
    note = _credit(books, LineItems=[line])
    answers["credited"] = stock()
    answers["void of the credit note"] = str(books.end("CreditNotes", note["CreditNoteID"], "VOIDED"))
    answers["afterwards"] = stock()
    on_stock = books.line(ItemCode=item["Code"], AccountCode=books.stock["Code"], TaxType=None)
    answers["on the stock account"] = str(books.put("CreditNotes", books.credit_note(on_stock)))
    again = _credit(books, LineItems=[line])
    _approved(books, LineItems=[line | {"Quantity": 2}])
    answers["void once its stock is sold"] = str(books.end("CreditNotes", again["CreditNoteID"], "VOIDED"))
    return answers


@question("Does a credit note end a backorder before it returns stock?", "credited_backorder")
def credited_backorder(books: Books) -> Answers:
    item = books.make("Items", books.tracked_item())
    line = books.line(ItemCode=item["Code"])
    sold = books.put("Invoices", books.invoice(line, Status="AUTHORISED"), allowBackorders="true")
    if not sold.accepted:
        raise NotAskedError(f"a sale of what is not in stock is {sold}")
    _credit(books, LineItems=[line])
    return {"in stock": amount(books.read(f"Items/{item['ItemID']}").get("QuantityOnHand"))}


@question("How is the void of a bill refused whose stock is sold?", "void_of_sold_stock_text")
def void_of_a_bill_whose_stock_is_sold(books: Books) -> Answers:
    item = books.make("Items", books.tracked_item())
    bill = books.make("Invoices", books.bill(books.stock_line(item, 1), Status="AUTHORISED"))
    _approved(books, LineItems=[books.line(ItemCode=item["Code"])])
    return {"void": str(books.end("Invoices", bill["InvoiceID"], "VOIDED"))}


@question("Does a list of credit notes heed IDs?", "ids_of_credit_notes")
def credit_notes_by_ids(books: Books) -> Answers:
    wanted, _ = (_credit(books, Status="DRAFT")["CreditNoteID"] for _ in range(2))
    listed = needed(books.call("GET", "CreditNotes", IDs=wanted, page=1), "GET CreditNotes")
    found = {one["CreditNoteID"] for one in listed.elements("CreditNotes")}
    return {"IDs of one of two": "heeded" if found == {wanted} else "ignored"}


@question(
    "Which changes does UpdatedDateUTC tell of?",
    "update_time_of_an_account_code",
    "update_time_of_an_allocated_invoice",
)
def update_times(books: Books) -> Answers:
    ordinary = (one for one in books.accounts if one.get("Type") == books.sales["Type"])
    other = next((one["Code"] for one in ordinary if one["Code"] != books.sales["Code"]), None)
    if other is None:
        raise NotAskedError("the organisation has one account for sales only")
    invoice, note = _approved(books), _credit(books)
    path = f"Invoices/{invoice['InvoiceID']}"
    line = {"LineItemID": invoice["LineItems"][0]["LineItemID"]} | books.line(AccountCode=other)

    def after(change: Callable[[], Answer], step: str) -> str:
        before = books.read(path)["UpdatedDateUTC"]
        books.clock.sleep(2)  # Xero tells whole seconds apart
        needed(change(), step)
        return "stays" if books.read(path)["UpdatedDateUTC"] == before else "moves"

    return {
        "a line's account": after(
            lambda: books.post(path, {"InvoiceID": invoice["InvoiceID"], "LineItems": [line]}),
            "POST Invoices",
        ),
        "an allocation": after(lambda: _allocate(books, note, (invoice, 1)), "PUT Allocations"),
    }


def _history(books: Books, invoice: Json) -> list[Json]:
    answer = books.call("GET", f"Invoices/{invoice['InvoiceID']}/History")
    return needed(answer, "GET History").elements("HistoryRecords")


@question("What does a history say of what an app did?", "user_of_an_apps_edit", "credit_in_a_history")
def history_of_an_app(books: Books) -> Answers:
    invoice = _approved(books)
    before = _history(books, invoice)
    needed(_allocate(books, _credit(books), (invoice, 1)), "PUT Allocations")
    now = _history(books, invoice)
    new = Counter(str(one["Changes"]) for one in now) - Counter(str(one["Changes"]) for one in before)
    users = {("another name", "System Generated")[one.get("User") == "System Generated"] for one in now}
    return {"user": ", ".join(sorted(users)), "an allocation": ", ".join(sorted(new)) or "nothing"}


@question("How long may a note in a document's history be?", "longest_history_note")
def history_note(books: Books) -> Answers:
    invoice = books.make("Invoices", books.invoice())
    answers: Answers = {}
    for length in (250, 251, 2500, 2501):
        note = {"HistoryRecords": [{"Details": "x" * length}]}
        answer = books.call("PUT", f"Invoices/{invoice['InvoiceID']}/History", note)
        if not answer.accepted:
            answers[f"{length} characters"] = str(answer)
            continue
        kept = (len(str(one.get("Details"))) for one in _history(books, invoice))
        answers[f"{length} characters"] = "kept whole" if length in kept else "cut"
    return answers

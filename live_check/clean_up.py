"""Takes back what a run made: allocations deleted, drafts deleted, approved documents voided, contacts archived.

Only what bears the run's id is touched. What cannot be taken back is listed, with Xero's words.
"""

from __future__ import annotations

from typing import Final

from live_check.books import GONE, ID_KEYS, Answer, Books, FailedError, Made, needed

ORDER: Final = ("CreditNotes", "Invoices", "PurchaseOrders", "Items")
"""What holds the others comes first. Contacts stay to the end of a run."""
PAGE: Final = 1000


def remove_documents(books: Books) -> dict[str, str]:
    """Take back all that is known to be there but contacts. What stays → why."""
    return _remove(books, [made for made in _living(books, ORDER) if not made.stuck])


def remove_everything(books: Books) -> dict[str, str]:
    """Look for whatever bears the run's id, also where an answer was lost, and take it back. What stays → why."""
    stays: dict[str, str] = {}
    for collection in ID_KEYS:
        try:
            _look_for(books, collection)
        except FailedError as error:
            stays[f"{collection} that nobody could look for"] = str(error)
    living = _living(books, (*ORDER, "Contacts"))
    return stays | _remove(books, living) | dict.fromkeys(books.to_stay, "Xero never takes it away")


def _look_for(books: Books, collection: str) -> None:
    for page in range(1, 100):
        since = {"If-Modified-Since": f"{books.since}T00:00:00"}
        listed = books.call("GET", collection, headers=since, page=page, pageSize=PAGE)
        elements = needed(listed, f"GET {collection}").elements(collection)
        for element in elements:
            books.note(collection, element)
        if len(elements) < PAGE:
            return


def _remove(books: Books, living: list[Made]) -> dict[str, str]:
    stays: dict[str, str] = {}
    for made in living:
        try:
            answer = _end(books, made)
        except FailedError as error:
            stays[str(made)] = str(error)
            continue
        if not answer.accepted and answer.status != 404:
            stays[str(made)], made.stuck = str(answer), True
    return stays


def _living(books: Books, collections: tuple[str, ...]) -> list[Made]:
    # the last one first: a sale goes before the bill that brought its stock
    newest_first = [made for made in reversed(books.made.values()) if made.state not in GONE]
    return [made for collection in collections for made in newest_first if made.collection == collection]


def _end(books: Books, made: Made) -> Answer:
    if made.collection == "Items":
        answer, end = books.call("DELETE", f"Items/{made.id}"), "DELETED"
    elif made.collection == "Contacts":
        end = "ARCHIVED"
        answer = books.post("Contacts", {"ContactID": made.id, "ContactStatus": end})
    else:
        approved = made.state not in ("DRAFT", "SUBMITTED") and made.collection != "PurchaseOrders"
        if approved and made.collection == "CreditNotes":
            _delete_allocations(books, made)
        end = "VOIDED" if approved else "DELETED"
        answer = books.end(made.collection, made.id, end, unitdp="4")
    if answer.accepted:
        made.state = end
    return answer


def _delete_allocations(books: Books, made: Made) -> None:
    note = books.read(f"CreditNotes/{made.id}")
    for allocation in note.get("Allocations") or ():
        path = f"CreditNotes/{made.id}/Allocations/{allocation.get('AllocationID')}"
        needed(books.call("DELETE", path), "DELETE Allocations")

"""A person sets orders aside that they have booked by hand or dropped, and takes them back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final

from bookkeeping.adapters.containment import contained
from bookkeeping.adapters.tables.books import books_of
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.domain import ledger
from bookkeeping.domain.errors import Conflict
from bookkeeping.domain.ledger import Entry
from bookkeeping.domain.page_access import Person
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.release import publish
from bookkeeping.use_cases.wake_lanes import ring

NO_SUCH_ORDER: Final = "There is no such order."
UNREADABLE: Final = "This order can't be read. Whoever runs this integration has been told."
CHANGED: Final = "This order changed a moment ago. Look at it again."


def set_aside(adapters: PageAdapters, person: Person, ids: Sequence[str], because: str) -> dict[str, Any]:
    """Set the orders aside. Which were, and why the others could not be."""
    refused = "Only an order that waits, is skipped or needs attention can be set aside."
    return _each(
        adapters,
        person,
        ids,
        lambda entry: ledger.set_aside(entry, person.name, because, adapters.now()),
        refused,
    )


def take_back(adapters: PageAdapters, person: Person, ids: Sequence[str]) -> dict[str, Any]:
    """Take back orders that were set aside, as if they had never been. Which were, and why the others could not be."""
    books = books_of(adapters.settings, adapters.connections, person.company)

    def back(entry: Entry) -> Entry | None:
        return ledger.take_back(entry, books, person.name, adapters.now()) if books is not None else None

    return _each(adapters, person, ids, back, "This order is not set aside.")


def read_each(
    adapters: PageAdapters, company: str, ids: Sequence[str]
) -> tuple[list[Entry], list[dict[str, str]]]:
    """The orders that a person has chosen, in their order; and those that can't be read, with words for each."""
    faults: dict[str, str] = {}

    def contained_row(item: Mapping[str, Any]) -> AbstractContextManager[None]:
        return contained(company, item["order_id"], partial(faults.setdefault, item["order_id"]))

    wanted = list(dict.fromkeys(ids))
    keys = [order_key(company, id_) for id_ in wanted]
    found = {entry.order_id: entry for entry in adapters.orders.get_many(keys, contained_row)}
    left = [
        {"id": id_, "words": UNREADABLE if id_ in faults else NO_SUCH_ORDER}
        for id_ in wanted
        if id_ not in found
    ]
    return [found[id_] for id_ in wanted if id_ in found], left


def _each(
    adapters: PageAdapters,
    person: Person,
    ids: Sequence[str],
    change: Callable[[Entry], Entry | None],
    refused: str,
) -> dict[str, Any]:
    entries, left = read_each(adapters, person.company, ids)
    saved: list[Entry] = []
    for entry in entries:
        changed = change(entry)
        if changed is None:
            left.append({"id": entry.order_id, "words": refused})
            continue
        if changed.to_do:
            # should this end before the lane is rung for it, the lane looks again after a while
            ring(adapters.lanes, adapters.wake_ups, {changed.lane: ()}, adapters.now())
        try:
            saved.append(adapters.orders.save_once(changed, ledger.sibling(changed), adapters.now()))
        except Conflict:
            left.append({"id": entry.order_id, "words": CHANGED})
    publish(adapters, saved)
    return {"done": [entry.order_id for entry in saved], "left": left}

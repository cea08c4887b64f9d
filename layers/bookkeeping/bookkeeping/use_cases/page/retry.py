"""A person retries orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bookkeeping.adapters.queues import ReleaseCall
from bookkeeping.adapters.tables.books import books_of
from bookkeeping.adapters.tables.orders import order_key
from bookkeeping.adapters.tables.releases import Release
from bookkeeping.domain.ledger import UNKNOWN, Choice, Entry, State
from bookkeeping.domain.page_access import Person
from bookkeeping.domain.problems.catalogue import CATALOGUE, SKIPPED, WAITS
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.orders import can_retry
from bookkeeping.use_cases.page.set_aside import read_each
from bookkeeping.use_cases.release import continue_release, publish, save


class NothingToRetry(Exception):
    """The order is not stopped, or its outcome is not known yet. `message` says which."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def retry(
    adapters: PageAdapters,
    person: Person,
    entry: Entry,
    *,
    items_as_they_are: bool = False,
    no_sale: Choice | None = None,
) -> Entry:
    """The order after a person pressed Retry, or Post or Skip. Raises NothingToRetry."""
    check(entry)
    books = books_of(adapters.settings, adapters.connections, person.company)
    if books is None:
        raise NothingToRetry("Save the settings first.")
    how = Release(
        person.company,
        "",
        adapters.now(),
        adapters.now(),
        by=person.name,
        items_as_they_are=items_as_they_are,
        no_sale=no_sale,
    )
    saved = save(adapters, person.name, entry, books, how)
    if saved is None:
        raise NothingToRetry("This order changed a moment ago. Look at it again.")
    publish(adapters, [saved])
    return saved


def check(entry: Entry) -> None:
    """Whether Retry is taken for the order. Raises NothingToRetry."""
    if entry.state is State.POSTING:
        raise NothingToRetry(
            "It is not certain yet whether Xero has this order; that is being looked up. Try again soon."
        )
    if entry.reason == UNKNOWN:
        raise NothingToRetry(WAITS[UNKNOWN])
    if entry.state is State.SET_ASIDE:
        raise NothingToRetry("This order is set aside. Take it back first.")
    if not can_retry(entry):
        raise NothingToRetry("This order is not stopped, so there is nothing to retry.")


def retry_many(
    adapters: PageAdapters,
    person: Person,
    ids: Sequence[str],
    *,
    items_as_they_are: bool = False,
    no_sale: Choice | None = None,
) -> dict[str, Any]:
    """Retry these orders: how many are, and why the others are not. It goes on in the background after a crash."""
    entries, left = read_each(adapters, person.company, ids)
    keys: list[str] = []
    for entry in entries:
        try:
            check(entry)
        except NothingToRetry as nothing:
            left.append({"id": entry.order_id, "words": nothing.message})
        else:
            keys.append(order_key(*entry.key))
    release = replace(
        _release(adapters, person, adapters.new_id()),
        chunk=tuple(keys),
        items_as_they_are=items_as_they_are,
        no_sale=no_sale,
    )
    return (_begin(adapters, release) if keys else {"retried": 0, "more": False}) | {"left": left}


def retry_all(adapters: PageAdapters, person: Person, why: str) -> dict[str, Any]:
    """Retry every order that stopped for that reason: some at once, the others in the background.

    Pressed again meanwhile, it goes on with that instead of beginning anew.
    """
    state = stopped_in(why)
    release = _release(adapters, person, f"retry-{why}")
    return _begin(adapters, replace(release, lists=((state, why),)))


def stopped_in(why: str) -> State:
    """The state of orders that stopped for that reason. Raises NothingToRetry."""
    if why in CATALOGUE:
        return State.NEEDS_ATTENTION
    if why in SKIPPED:
        return State.SKIPPED
    raise NothingToRetry("There is no such problem.")


def _release(adapters: PageAdapters, person: Person, id_: str) -> Release:
    now = adapters.now()
    return Release(company=person.company, id=id_, asked_at=now, next_at=now, by=person.name)


def _begin(adapters: PageAdapters, release: Release) -> dict[str, Any]:
    adapters.releases.begin(release)
    call = ReleaseCall(release.company, release.id)
    freed = continue_release(adapters, call, time=timedelta(seconds=5))
    return {"retried": freed, "more": adapters.releases.find(*vars(call).values()) is not None}

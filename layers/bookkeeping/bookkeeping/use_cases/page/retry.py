"""A person retries orders."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bookkeeping.adapters.queues import ReleaseCall
from bookkeeping.adapters.tables.books import books_of
from bookkeeping.adapters.tables.releases import Release
from bookkeeping.domain.ledger import UNKNOWN, Choice, Entry, State
from bookkeeping.domain.page_access import Person
from bookkeeping.domain.problems.catalogue import CATALOGUE, SKIPPED, WAITS
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.orders import can_retry
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
    if entry.state is State.POSTING:
        raise NothingToRetry(
            "It is not certain yet whether Xero has this order; that is being looked up. Try again soon."
        )
    if entry.reason == UNKNOWN:
        raise NothingToRetry(WAITS[UNKNOWN])
    if not can_retry(entry):
        raise NothingToRetry("This order is not stopped, so there is nothing to retry.")
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


def retry_all(adapters: PageAdapters, person: Person, why: str) -> dict[str, Any]:
    """Retry every order that stopped for that reason: some at once, the others in the background."""
    states = [State.NEEDS_ATTENTION] if why in CATALOGUE else [State.SKIPPED] if why in SKIPPED else []
    if not states:
        raise NothingToRetry("There is no such problem.")
    now = adapters.now()
    release = Release(
        company=person.company,
        id=adapters.new_id(),
        asked_at=now,
        next_at=now,
        lists=tuple((state, why) for state in states),
        by=person.name,
    )
    adapters.releases.ask(release)
    call = ReleaseCall(release.company, release.id)
    freed = continue_release(adapters, call, time=timedelta(seconds=5))
    return {"retried": freed, "more": adapters.releases.find(*vars(call).values()) is not None}

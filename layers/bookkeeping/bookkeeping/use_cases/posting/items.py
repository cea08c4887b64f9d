"""The tracked items that a company's orders need: which are in Xero, and creating those that are missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from bookkeeping.adapters.xero_api import NO_REASON, Access, Observe
from bookkeeping.domain.errors import CompanyHeld, Unreadable, XeroError
from bookkeeping.domain.pacing import CALLS_AT_ONCE, IN_VAIN
from bookkeeping.domain.problems.xero_messages import refusals
from bookkeeping.use_cases.posting.lane_holder import LaneHolder

ITEMS_A_CALL: Final = 100
MOST_UNREADABLE: Final = 20
"""So many answers that are not Xero's are no matter of single items."""
SINGLE_ITEM_READS: Final = 3
"""More items than these are looked up in one list of all."""
MOST_KEPT: Final = 500
"""Of a longer list, only the items that orders ask for are kept."""
PLAIN_CODE: Final = re.compile("[A-Za-z0-9_-]+")
ItemAnswers = Mapping[str, tuple[bool, tuple[str, ...]]]
"""Item code → whether it is tracked, and why it was refused."""


class TrackedItems:
    """What one round knows of an organisation's items."""

    def __init__(self, holder: LaneHolder, company: str, access: Access) -> None:
        self._holder = holder
        self._company = company
        self._access = access
        self._tracked: dict[str, bool] = {}
        """Code of an item that is in Xero → whether it is tracked."""
        self._refused: dict[str, tuple[str, ...]] = {}
        """Code of an item that Xero refused to create → Xero's words."""
        self.unreadable: set[str] = set()
        """Codes of items that are not in Xero, and for which no answer came that Xero had written."""

    @property
    def untracked(self) -> frozenset[str]:
        return frozenset(code for code, tracked in self._tracked.items() if not tracked)

    def recall(self, codes: Iterable[str]) -> None:
        """Take what was known of the items before this round. Xero is not asked."""
        self._tracked |= self._holder.adapters.organisations.items(self._access.organisation_id, codes)

    def look_up(self, codes: Sequence[str]) -> None:
        """Ask Xero which of the items it has now, and whether each is tracked."""
        holder, adapters = self._holder, self._holder.adapters
        # in a path a slash or dots lead elsewhere
        if len(codes) > SINGLE_ITEM_READS or not all(map(PLAIN_CODE.fullmatch, codes)):
            listed = holder.call(self._company, lambda observe: adapters.xero.items(self._access, observe))
            self._note_found(codes, listed)
            self._keep_others(listed)
            return
        calls = [self._reading(code) for code in codes]
        for place, tracked in holder.each_answer(self._company, calls, reads=True):
            if isinstance(tracked, XeroError):
                holder.handle_failure(self._company, tracked)
                raise CompanyHeld from tracked
            self._note_found([codes[place]], {} if tracked is None else {codes[place]: tracked})

    def _reading(self, code: str) -> Callable[[Observe], bool | None]:
        xero, access = self._holder.adapters.xero, self._access
        return lambda observe: xero.item(code, access, observe)

    def _note_found(self, codes: Collection[str], there: Mapping[str, bool]) -> None:
        """Keep which of the items Xero has, and that it has no others of them."""
        found = {code: there[code] for code in codes if code in there}
        self._holder.adapters.organisations.save_items(self._access.organisation_id, found)
        self._tracked = {code: known for code, known in self._tracked.items() if code not in codes} | found

    def _keep_others(self, listed: Mapping[str, bool]) -> None:
        """Keep items that no order has asked for yet, so that the next orders need no list."""
        organisations, here = self._holder.adapters.organisations, self._access.organisation_id
        if len(listed) <= MOST_KEPT:
            others = sorted(listed.keys() - self._tracked.keys())
            known = organisations.items(here, others)
            organisations.save_items(here, {code: listed[code] for code in others if code not in known})

    def create_missing(self, wanted: Mapping[str, Any]) -> None:
        """Create the items that Xero does not have. Item code → item in Xero's words."""
        items = [item for code, item in wanted.items() if code not in self._tracked]
        left = [items[start : start + ITEMS_A_CALL] for start in range(0, len(items), ITEMS_A_CALL)]
        # a box on the way to Xero may have a bad moment, or refuse one of the items
        patient = self._holder.tries_in_vain(self._company) < IN_VAIN - 1
        unread: list[Unreadable] = []
        there: list[str] = []
        while left:
            together, left = left[:CALLS_AT_ONCE], left[CALLS_AT_ONCE:]
            calls = [self._creation(some) for some in together]
            for place, answer in self._holder.each_answer(self._company, calls, or_unreadable=not patient):
                some = together[place]
                if not isinstance(answer, XeroError):
                    there += self._keep(answer)
                    continue
                if isinstance(answer, Unreadable):
                    unread.append(answer)
                if len(some) > 1:
                    # one of them is at fault: the others go without it
                    left += [some[: len(some) // 2], some[len(some) // 2 :]]
                elif isinstance(answer, Unreadable):
                    self.unreadable.add(some[0]["Code"])
                else:
                    self._refused[some[0]["Code"]] = answer.messages or (NO_REASON,)
            if len(unread) > MOST_UNREADABLE:
                self._holder.handle_failure(self._company, unread[0])
                raise CompanyHeld
        self.look_up([*there, *sorted(self.unreadable)])
        self.unreadable -= self._tracked.keys()
        self._refused = {code: why for code, why in self._refused.items() if code not in self._tracked}

    def _creation(self, items: Sequence[Any]) -> Callable[[Observe], ItemAnswers]:
        xero, access = self._holder.adapters.xero, self._access
        key = f"{access.organisation_id}:{self._holder.adapters.new_id()}"
        return lambda observe: xero.create_items(items, access, key, observe)

    def _keep(self, answer: ItemAnswers) -> list[str]:
        """Keep the items that are there now, and Xero's words on the others; those that Xero says it has already."""
        created = {code: tracked for code, (tracked, messages) in answer.items() if not messages}
        self._holder.adapters.organisations.save_items(self._access.organisation_id, created)
        self._tracked |= created
        self._refused |= {code: messages for code, (_, messages) in answer.items() if messages}
        return [code for code, (_, messages) in answer.items() if "item_exists" in refusals(messages)]

    def misfit(self, codes: Iterable[str], *, as_they_are: bool) -> tuple[str, tuple[str, ...]] | None:
        """The first item that an order can't be posted with; with Xero's words where Xero refused it."""
        for code in sorted(codes):
            if code in self._refused:
                return code, self._refused[code]
            if not self._tracked.get(code, True) and not as_they_are:
                return code, ()
        return None

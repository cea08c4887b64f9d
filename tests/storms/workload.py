"""The workload of the storms over posting: companies of every kind, and what the platform sends of their orders.

It knows what it provoked, and hands that to the auditor; what came of it, it does not look at.
"""

from __future__ import annotations

import copy
import json
import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from local.samples import TRACKED, UNTRACKED, Maker
from local.xero.organisations import Document, Line
from tests.storms.environment import Environment

CHART: dict[str, Any] = {
    "sales_account_code": "200",
    "cogs_account_code": "310",
    "inventory_asset_account_code": "630",
    "shipping_account_code": "200",
}


SOLD = ("2026-11-20 19:42:07", "2026-11-20T19:42:07Z", "2026-11-20T20:30:00-05:00", "2026-11-20")
"""Moments of sale as senders write them; the second and third are other days in other organisations."""


@dataclass(frozen=True)
class Company:
    ref: str
    organisation_id: str
    prefix: str
    tracked: bool


@dataclass
class Sent:
    """An order, the messages it was sent in (with their sent times in milliseconds), and what was provoked."""

    companies: tuple[Company, ...]
    order_id: str
    messages: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    provoked: str = ""
    """The problem or the reason, as `needs_attention number_taken`."""


class Workload:
    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.companies: list[Company] = []
        self.sent: dict[str, Sent] = {}
        self._make = Maker()
        self._began = environment.now()

    # companies

    def company(
        self, tracked: bool, *, with_: Company | None = None, app_of: Company | None = None
    ) -> Company:
        """A new company; `with_` another one in the same app and organisation, each with its own prefix."""
        ref = f"{412000 + len(self.companies)}"
        environment = self.environment
        client_id = f"APP{app_of.ref:0>29}" if app_of else ""
        if with_ is None:
            organisation = environment.organisation(f"Books of {ref}", "AU" if tracked else "UK")
        else:
            organisation = environment.xero.organisations[with_.organisation_id]
            client_id = f"APP{with_.ref:0>29}"
        company = Company(ref, organisation.id, f"K{len(self.companies)}-", tracked)
        settings: dict[str, Any] = CHART | {
            "contact_name": next(iter(organisation.contacts.values())).name,
            "number_prefix": company.prefix,
            "process_method": "tracked" if tracked else "untracked",
        }
        if not tracked:
            # the British organisation has several rates of 0 %, and only its accountant knows which is meant
            settings["tax_types"] = [{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}]
        environment.company(ref, organisation, client_id, **settings)
        self.companies.append(company)
        return company

    # orders

    def order(
        self,
        company: Company,
        place: int,
        *also: Company,
        after: float = 0.0,
        provoked: str = "",
        **changes: Any,
    ) -> Sent:
        """An order sent that many seconds after the workload's beginning."""
        order = self._make.order(TRACKED if company.tracked else UNTRACKED, place, 1 + place % 3, **changes)
        order["company_ref_id"] = int(company.ref)
        order["sale_datetime"] = SOLD[place // 3 % len(SOLD)]
        order["secondary_company_ref_id"] = also[0].ref if also else ""
        sent = Sent((company, *also), str(order["id"]), provoked=provoked)
        self.sent[sent.order_id] = sent
        self._send(sent, order, after)
        return sent

    def again(self, sent: Sent, after: float) -> None:
        """The same message once more."""
        self._send(sent, copy.deepcopy(sent.messages[-1][1]), after)

    def changed(self, sent: Sent, after: float) -> None:
        """The same order with other content."""
        order = copy.deepcopy(sent.messages[-1][1])
        order["items"][0]["quantity"] += 3
        self._send(sent, order, after)

    def _send(self, sent: Sent, order: dict[str, Any], after: float) -> None:
        moment = self._began + timedelta(seconds=after)
        sent.messages.append((int(moment.timestamp() * 1000), order))
        sent.messages.sort(key=lambda message: message[0])
        body = json.dumps(order, ensure_ascii=False)
        self.environment.send(body, moment)

    def take_number(self, company: Company, order_id: str) -> None:
        """Somebody at the company made an invoice by hand under the number the order would have."""
        organisation = self.environment.xero.organisations[company.organisation_id]
        now = self.environment.now()
        line = Line(
            id=self.environment.xero.new_id(),
            description="By hand",
            quantity=Decimal(1),
            unit_amount=Decimal(5),
            line_amount=Decimal(5),
            tax_amount=Decimal(0),
            tax_type="NONE",
            account_code="200",
            account_id=None,
            item_code=None,
            discount_rate=None,
            discount_amount=None,
            tracking=[],
        )
        document = Document(
            kind="ACCREC",
            id=self.environment.xero.new_id(),
            number=f"{company.prefix}{order_id}",
            contact_id=next(iter(organisation.contacts)),
            dated_on=date(2026, 11, 1),
            status="DRAFT",
            line_amount_types="Exclusive",
            currency=organisation.base_currency,
            currency_rate=Decimal(1),
            created_by=None,
            created_at=now,
            updated_at=now,
            lines=[line],
            reference="by hand",
        )
        organisation.add(document)

    def number_taken(self, company: Company, place: int, after: float) -> Sent:
        sent = self.order(company, place, after=after, provoked="needs_attention number_taken")
        self.take_number(company, sent.order_id)
        return sent


def small(environment: Environment) -> Workload:
    """A few orders of every kind, for faults one by one."""
    work = Workload(environment)
    plain, tracked = work.company(tracked=False), work.company(tracked=True)
    neighbour = work.company(tracked=False, with_=plain)
    work.order(plain, 0)
    twice = work.order(plain, 1)
    work.again(twice, after=0.4)
    early = work.order(plain, 2)
    work.changed(early, after=1.5)
    late = work.order(plain, 3)
    work.changed(late, after=40)
    work.order(plain, 4, neighbour, after=0.2)
    work.number_taken(plain, 5, after=0.1)
    work.order(plain, 0, after=0.3, currency_code="CHF", provoked="needs_attention currency_not_enabled")
    work.order(tracked, 0)
    work.order(tracked, 4, after=0.3)
    return work


def large(
    environment: Environment,
    orders: int,
    companies: int,
    seconds: float,
    chance: random.Random,
    *,
    plain: bool = False,
) -> Workload:
    """Orders over companies of which a third are Tracked and some share an app and an organisation.

    `plain`: all Untracked, and no order that must stop.
    """
    work = Workload(environment)
    for number in range(companies):
        shares = number % 10 == 9 and not work.companies[-1].tracked
        tracked = number % 3 == 1 and not plain
        work.company(tracked and not shares, with_=work.companies[-1] if shares else None)
    pairs = {
        first.ref: second
        for first, second in zip(work.companies, work.companies[1:], strict=False)
        if first.organisation_id == second.organisation_id
    }
    for place in range(orders):
        company = work.companies[place % companies]
        after = chance.uniform(0, seconds)
        dice = 1.0 if plain else chance.random()
        if dice < 0.01 and not company.tracked:
            work.number_taken(company, place, after)
            continue
        if dice < 0.02:
            work.order(
                company,
                place,
                after=after,
                currency_code="CHF",
                provoked="needs_attention currency_not_enabled",
            )
            continue
        if dice < 0.03:
            cancelled: dict[str, Any] = {"status": 128, "status_name": "Cancelled"}
            work.order(company, place, after=after, provoked="skipped cancelled", **cancelled)
            continue
        also = (pairs[company.ref],) if company.ref in pairs and 0.03 < dice < 0.5 else ()
        sent = work.order(company, place, *also, after=after)
        if chance.random() < 0.10:
            work.again(sent, after + chance.uniform(0, 120))
        if chance.random() < 0.05:
            work.changed(sent, after + chance.uniform(0, 120))
    return work

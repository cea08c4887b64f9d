"""Everything that this version of the code stores: a world in which each kind of row is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args
from unittest.mock import patch

from moto import mock_aws

from bookkeeping.adapters.queues import WakeUp
from bookkeeping.adapters.secrets import App, AppSecret
from bookkeeping.adapters.tables.lanes import Failing
from bookkeeping.adapters.tables.pauses import Pauses
from bookkeeping.adapters.tables.releases import Release
from bookkeeping.domain.connection import Choice, Connection, ConnectionStatus
from bookkeeping.domain.ledger import FREED_BY_SETTINGS, Act, Entry, Message, Pause, Posted, SaleStatus, State
from bookkeeping.domain.order_message import read_message
from bookkeeping.domain.orders import Disposition, Order, read_order
from bookkeeping.domain.problems.catalogue import CATALOGUE, SKIPPED, WAITS
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.time_zones import Calendar
from bookkeeping.use_cases.posting import settlement
from bookkeeping.use_cases.release import once_connected
from local.samples import TRACKED, UNTRACKED, Maker
from tests.integration.one_process import CHART, PREFIX, Killed, OneProcess, in_memory
from tests.integration.popup import Popup, context

KINDS_OF = "500500"
"""A company whose rows have every state, problem and reason, and every attribute. Nothing works on them."""
ALSO_TRACKED = "413996"
COMPANIES = {
    UNTRACKED: "Demo Company (UK)",
    TRACKED: "Demo Company (AU)",
    ALSO_TRACKED: "Demo Company (AU)",
}
"""Companies with orders on their way, each with an app of its own → their organisation."""
SOON = timedelta(seconds=10)


@contextmanager
def everything() -> Iterator[Popup]:
    """The world, at a moment when orders are in every place on their way."""
    with mock_aws():
        popup = Popup(OneProcess(tables=in_memory))
        _popup_at_work(popup)
        _orders_on_their_way(popup)
        _each_kind(popup.world)
        popup.world.clock.advance(60)
        popup.world.sweep()
        yield popup


def _popup_at_work(popup: Popup) -> None:
    world = popup.world
    uk = world.organisation(COMPANIES[UNTRACKED])
    office = popup.browser()
    office.app()
    assert office.connect(uk) == "connected"
    settings = CHART | {
        "contact_name": world.contact(uk),
        "tax_types": [{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}],
        "purchase_tax_types": [{"rate": "20", "tax_type": "INPUT2"}],
        "tracking_categories": [{"Name": "Region", "Option": "North"}],
    }
    assert office.save(**settings).status == 200
    assert office.save(payment_terms_days=14).status == 200
    popup.tick()
    office.authorization_url()
    for company, prefix in ((TRACKED, "T-"), (ALSO_TRACKED, "U-")):
        books = world.organisation(COMPANIES[company])
        world.company(company, books, process_method="tracked", number_prefix=prefix)
        app = world.xero.portal.apps[f"APP{company:0>29}"]
        AppSecret(world.secrets, PREFIX).save(company, App(app.client_id, app.secret or ""))


def _orders_on_their_way(popup: Popup) -> None:
    world, make = popup.world, Maker()
    posted, changed, stopped, on_hold, refunded = (make.order(UNTRACKED, place, 2) for place in range(5))
    both = make.order(TRACKED, 1, 2)
    on_hold |= {"status": 256, "status_name": "On hold"}
    refunded |= {"status": 512, "status_name": "Refunded"}
    world.send(posted, changed, stopped | {"currency_code": "CHF"}, on_hold, refunded, both)
    world.run()
    world.clock.advance(60)
    world.send(changed | {"currency_code": "EUR"})
    office = popup.browser()
    assert office.post(f"orders/{refunded['id']}/retry", {"no_sale": "post"}).status == 200
    world.run()
    # processes die with a batch each: of purchase orders, of the invoice after one, of invoices
    world.send(make.order(TRACKED, 2))
    _killed(world, after=1)
    also = int(ALSO_TRACKED)
    world.send(make.order(TRACKED, 3, company_ref_id=also), make.order(UNTRACKED, 6))
    _killed(world, after=0)
    world.queue.lose = lambda: True
    world.send(make.order(UNTRACKED, 7))
    world.queue.lose = lambda: False
    popup.refresh.handler({}, context())


def _killed(world: OneProcess, after: int) -> None:
    """Processes die with a batch that is written down, once so many were sent."""
    send, left = settlement.Settlement.send, [after]

    def killed(*about: Any) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        send(*about)

    with patch.object(settlement.Settlement, "send", killed):
        world.run(SOON, until_quiet=False)


# --- every kind, and every attribute


def _each_kind(world: OneProcess) -> None:
    now = world.clock.now()
    order = read_order(read_message(json.dumps(Maker(1).order(UNTRACKED, 0, 1))))
    plain = Entry(KINDS_OF, "", State.QUEUED, Message.of(order, 1), now, now)
    entries = [replace(plain, state=state) for state in State]
    entries += [replace(plain, state=State.SKIPPED, reason=reason) for reason in SKIPPED]
    entries += [replace(plain, state=State.WAITING, reason=reason) for reason in WAITS]
    entries += [_stopped(plain, code) for code in CATALOGUE]
    entries += [_said(plain, order, disposition) for disposition in get_args(Disposition)]
    entries.append(_full(plain, order))
    for place, entry in enumerate(entries, start=1):
        world.orders.save(replace(entry, order_id=str(place)))
    choice = Choice("org-1", "Org One", "connection-1")
    for place, status in enumerate(get_args(ConnectionStatus), start=1):
        world.connections.save_connection(
            Connection(
                company=f"{KINDS_OF}{place}",
                client_id="APP",
                organisation_id="org-1",
                organisation_name="Org One",
                status=status,
                scopes=("openid",),
                worked_at=now,
                connection_id="connection-1",
                previous_organisation_id="org-2",
                previous_organisation_name="Org Two",
                previous_connection_id="connection-2",
                choices=(choice,),
                to_end_at_xero=(choice,),
                connected_by="Ada Moore",
                connected_at=now,
                prefix_taken_by="1",
                taken_out=status == "disconnected",
            )
        )
    lane = world.lanes.take("APP#org-1", now, SOON)
    assert lane is not None
    lane = replace(
        lane,
        failed_turns=2,
        pause="minute_limit",
        paused_until=now + SOON,
        failing={KINDS_OF: Failing(3, now + SOON, 7), "1": Failing(1, now)},
        created_at=now,
        look_at=now,
    )
    world.lanes.release(lane, next_at=now, calls=[now], though_rung=True, keys=["1#2"], backlog=True)
    Pauses(world.resource, "ConnectionsTable").add(KINDS_OF, Pause("grace", now, "Moving house"))
    release = once_connected(KINDS_OF, ["APP#org-1"], now, "release-1", "{}")
    world.releases.ask(replace(release, chunk=("1#2",), after="2|", list_place=1, step=3, before_version=2))
    world.releases.ask(
        Release(KINDS_OF, "release-2", now, now, by="Ada Moore", no_sale="skip", items_as_they_are=True)
    )


def _stopped(plain: Entry, code: str) -> Entry:
    problem = Problem(code, {"order": "1", "reference": "r"}, ("Xero’s words",))
    return replace(
        plain, state=State.NEEDS_ATTENTION, problem=problem, message=Message.unreadable(problem, 1)
    )


def _said(plain: Entry, order: Order, disposition: Disposition) -> Entry:
    said = replace(order, disposition=disposition, status="Words")
    return replace(plain, message=Message.of(said, 1), sale_status=SaleStatus(1, disposition, "Words"))


def _full(plain: Entry, order: Order) -> Entry:
    """Every attribute has a value of its own."""
    flaw = Problem("bad_date", {"field": "completion_datetime"})
    said = replace(order, flaw=flaw, completion_flaw=flaw, dispatch_by=order.sold_at, ships_to="GB")
    at = plain.received_at
    posted = Posted(
        "id", "KX-9", "PAID", "1.00", "GBP", at, adopted=True, notes=("Note",), settings_version=2
    )
    return replace(
        plain,
        message=replace(Message.of(said, 2), first_sent_at=1),
        reason="dispatch",
        through="1",
        problem=flaw,
        number="KX-1",
        organisation_id="org-1",
        lane="APP#org-1",
        settings_version=3,
        due_at=at + SOON,
        documents={"purchase_order": posted, "invoice": replace(posted, number="KX-1", adopted=False)},
        batch="batch-1",
        settled_in="batch-2",
        refusals=1,
        at_most=25,
        as_draft=True,
        items_as_they_are=True,
        no_sale={"refunded": "post", "returned": "skip"},
        sale_status=SaleStatus(1, "refunded", "Refunded"),
        dated_by=Calendar("Europe/London", "UTC"),
        dated_on_dispatch=True,
        newer=Message.of(said, 3),
        changes=("Currency: GBP → EUR",),
        history=(Act("Ada Moore", "retry", at, "account_not_found", at, 3), Act("", FREED_BY_SETTINGS, at)),
    )


def secrets(popup: Popup) -> dict[str, Any]:
    """The secrets of a company, with values that open nothing."""
    found: dict[str, Any] = {}
    for kind in ("app", "tokens"):
        text = popup.world.secrets.get_secret_value(SecretId=f"{PREFIX}/{UNTRACKED}/{kind}")["SecretString"]
        found[kind] = {
            name: f"made-up-{name}" if name in ("client_secret", "access_token", "refresh_token") else value
            for name, value in json.loads(text).items()
        }
    return found


def messages(popup: Popup) -> list[Any]:
    """What waits on the queues of wake-ups."""
    waiting = [body for _, _, body in popup.world.queue.waiting]
    return [json.loads(body) for body in (*waiting, WakeUp("APP#org-1", backlog=True).to_json())]

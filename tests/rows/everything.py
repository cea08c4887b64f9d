"""Everything that this version of the code stores: a world in which each kind of row is written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, get_args
from unittest.mock import patch

from moto import mock_aws

from bookkeeping.adapters.queues import WakeUp
from bookkeeping.adapters.secrets import App, AppSecret
from bookkeeping.adapters.tables.authorizations import AuthorizationsTable
from bookkeeping.adapters.tables.book_matches import Match, Wish
from bookkeeping.adapters.tables.lanes import Failing, Lane
from bookkeeping.adapters.tables.pauses import Pauses
from bookkeeping.adapters.tables.releases import Release
from bookkeeping.domain.book_match import Difference, Findings, Wanted, folded
from bookkeeping.domain.connection import Choice, Connection, ConnectionStatus
from bookkeeping.domain.corrections import Correction, Credited, CreditNote, Step, What
from bookkeeping.domain.ledger import (
    FREED_BY_SETTINGS,
    Act,
    Entry,
    Message,
    Pause,
    Posted,
    SaleStatus,
    SetAside,
    State,
)
from bookkeeping.domain.mail import Address, AddressStatus, Link, LinkKind
from bookkeeping.domain.order_message import read_message
from bookkeeping.domain.orders import Disposition, Order, read_order
from bookkeeping.domain.problems.catalogue import CATALOGUE, CHANGED, SKIPPED, WAITS
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.domain.rechecks import Recheck
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
    entries += [replace(plain, state=State.POSTED, reason=reason) for reason in CHANGED]
    entries += [_stopped(plain, code) for code in CATALOGUE]
    entries += [_said(plain, order, disposition) for disposition in get_args(Disposition)]
    entries += [_full(plain, order), *_corrected(plain)]
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
        recheck=Recheck(
            stopped_at=now,
            read_at=now,
            looked_at=now,
            next_at=now + SOON,
            seen={"accounts": "0123456789abcdef", "currencies": ""},
            calls={"498000": 3},
            most_left=4_990,
            spent=True,
        ),
    )
    _matched(world, lane)
    world.lanes.release(lane, next_at=now, calls=[now], though_rung=True, keys=["1#2"], backlog=True)
    world.lanes.note_opened("APP#org-1", now)
    world.lanes.ask_to_read("APP#org-1", now)
    Pauses(world.resource, "ConnectionsTable").add(KINDS_OF, Pause("grace", now, "Moving house"))
    _mails(world)
    release = once_connected(KINDS_OF, ["APP#org-1"], now, "release-1", "{}")
    world.releases.ask(replace(release, chunk=("1#2",), after="2|", list_place=1, step=3, before_version=2))
    world.releases.ask(
        Release(
            KINDS_OF,
            "release-2",
            now,
            now,
            by="Ada Moore",
            because="freed by xero",
            no_sale="skip",
            items_as_they_are=True,
        )
    )


def _matched(world: OneProcess, lane: Lane) -> None:
    """A book match that is under way, and what the one before found."""
    now = world.clock.now()
    match = Match(
        now + SOON,
        id="run-2",
        in_full=True,
        began_at=now,
        first="2026-10-20",
        lists=(
            Wanted("invoice", "2026-10-20"),
            Wanted("credit_note", "", "2026-10-19", "2026-11-22T01:00:00"),
        ),
        phase="unseen",
        place=1,
        page=2,
        page_size=500,
        after="1|posted##",
        steps=1,
        calls=3,
        calls_on="2026-11-23",
        day_calls=4,
        day_most=900,
        tries=1,
        waits_for="xero",
        last_id="run-1",
        last_began_at=now,
    )
    changed = Difference("changed", "invoice", "id-1", "KX-1", "1", (("tax", "0.17", "0.00"),))
    findings = Findings(
        documents={"0123456789": "draft"},
        whole=["0123456789"],
        sums={(KINDS_OF, "invoice", "GBP", "draft"): [Decimal(1), Decimal("0.83"), Decimal("0.17")]},
        differences=[(KINDS_OF, changed)],
        void=[(KINDS_OF, "KX-2")],
        used={(KINDS_OF, "KX-"): [1, 1, 1]},
        skipped=[(KINDS_OF, "KX-3", "contact_not_found")],
        unseen=[(KINDS_OF, "4", "invoice", "id-4", "KX-4")],
        carried=[(KINDS_OF, Difference("doubled", "invoice", "id-5", "KX-5-2", "5", other="KX-5"))],
        changed=[(KINDS_OF, "6", "id-6", now.isoformat())],
        others=2,
        elsewhere=Counter({"1": 1}),
    )
    about = {"began_at": now.isoformat(), "ended_at": now.isoformat(), "in_full": True, "first": "2026-10-20"}
    world.matches.save_findings(lane.key, replace(match, steps=0), findings)
    world.matches.save(lane, match)
    world.matches.save_result(lane, KINDS_OF, folded(KINDS_OF, [findings], id="run-1", calls=3, **about))
    world.matches.ask(lane.key, Wish(in_full=True, at=now))


def _mails(world: OneProcess) -> None:
    """An address in each state, with every attribute; a company that is due; a link of each kind."""
    now = world.clock.now()
    for place, status in enumerate(get_args(AddressStatus), start=1):
        address = Address(KINDS_OF, f"a{place}@example.com")
        assert world.mails.begin(address, now, asks=True)
        world.mails.asked(address, now)
        world.mails.change(KINDS_OF, address.address, status, now)
        world.mails.sent(address, now, now)
        if status == "bounced":
            world.mails.refused(replace(address, begun_at=now), now)
    world.mails.look_at(KINDS_OF, now + SOON, lost_at=now, differs_at=now, differs="There is 1 difference.")
    authorizations = AuthorizationsTable(world.resource, "AuthorizationsTable")
    links: list[tuple[LinkKind, datetime | None]] = [("confirm", now), ("stop", None)]
    for kind, asked_at in links:
        authorizations.keep_link(
            kind, Link(kind, KINDS_OF, "a1@example.com", now + timedelta(days=3), asked_at)
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
        "id",
        "KX-9",
        "PAID",
        "1.00",
        "GBP",
        at,
        adopted=True,
        notes=("Note",),
        fingerprint="0123456789abcdef",
        stands="credited",
        dealt_with=True,
        read_at=at,
        tax="0.17",
        dated_on="2026-11-20",
        contact_check="0a1b2c3d",
        lines_check="4e5f6071",
        settings_version=2,
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
        set_aside=SetAside("Ada Moore", at, "Booked by hand as INV-7", State.NEEDS_ATTENTION),
        stage="made",
        credit_notes=(_note(at),),
        dealt_with="0123",
        former=(replace(posted, status="DELETED"),),
    )


def _note(at: datetime) -> CreditNote:
    return CreditNote(
        number="KX-1-CN",
        total="1.20",
        currency="GBP",
        invoice_id="invoice-1",
        credited=(Credited(1, pieces="1", amount="1.20", tax="0.20"), Credited(0, amount="1")),
        id="note-1",
        status="DRAFT",
        at=at,
        settled=True,
        tax="0.20",
        dated_on="2026-11-23",
        contact_check="0a1b2c3d",
    )


def _corrected(plain: Entry) -> Iterator[Entry]:
    """Posted orders whose documents are being corrected: each thing asked for, and each step."""
    at = plain.received_at
    posted = Posted("id", "KX-1", "AUTHORISED", "1.20", "GBP", at, fingerprint="0123456789abcdef")
    entry = replace(plain, state=State.POSTED, number="KX-1", documents={"invoice": posted})
    for what in get_args(What):
        for step in get_args(Step):
            correction = Correction(
                what,
                "Ada Moore",
                at,
                "0123",
                credited=(Credited(1, pieces="1"),),
                of_message=True,
                with_stock=True,
                drafts_only=True,
                noted="KX-1-CN",
                deleted=True,
                rests="note_is_draft",
                problem=Problem("still_a_draft", {"order": "1", "number": "KX-1"}),
                step=step,
                kind="invoice",
                status="DELETED",
                note=replace(_note(at), id="", status="", at=None),
                sent_at=at,
                tries=1,
                taken=2,
                looks=3,
            )
            yield replace(entry, correction=correction)


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

"""The overview of the popup: its figures are the ledger's, whatever the time zone, and its signs are true."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from moto import mock_aws

from bookkeeping.adapters.tables.pauses import Pauses
from bookkeeping.domain.corrections import CreditNote
from bookkeeping.domain.ledger import Entry, Message, Pause, Posted, SetAside, State
from bookkeeping.domain.mail import Address
from bookkeeping.domain.order_message import read_message
from bookkeeping.domain.orders import read_order
from bookkeeping.domain.problems.catalogue import CHANGED
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.use_cases.page import overview as page
from bookkeeping.use_cases.page.overview import overview
from local.samples import UNTRACKED, Maker
from local.xero.people import add_document
from tests.integration.counted import Counted
from tests.integration.one_process import OneProcess, in_memory, raw, spoil
from tests.integration.popup import Browser, Popup
from tests.integration.test_settings_page_at_work import FITTING

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MESSAGE = Message.of(read_order(read_message(json.dumps(Maker().order(UNTRACKED, 0, 2)))), 1)
"""An order of 56.95 GBP."""


@pytest.fixture
def office() -> Iterator[Browser]:
    with mock_aws():
        popup = Popup(OneProcess(tables=in_memory))
        browser = popup.browser()
        browser.app()
        organisation = popup.world.organisation("Demo Company (UK)")
        browser.connect(organisation)
        browser.save(**FITTING, contact_name=popup.world.contact(organisation))
        yield browser


class Ledger:
    """A company's ledger, filled by hand, and the overview at a moment and in a time zone."""

    def __init__(self, now: datetime = NOW) -> None:
        self.environment = Counted("the overview")
        self.orders = self.environment.orders
        self.now = now
        self._ids = count(1)
        self.entries: list[Entry] = []

    def add(self, state: State, at: datetime, invoice: Posted | None = None, **changes: Any) -> Entry:
        entry = Entry(UNTRACKED, str(next(self._ids)), state, MESSAGE, at, at)
        documents: dict[str, Any] = {"documents": {"invoice": invoice}} if invoice else {}
        entry = self.orders.save(replace(entry, **documents, **changes))
        self.entries.append(entry)
        return entry

    def post(self, at: datetime, total: str = "10.00", currency: str = "GBP", **changes: Any) -> Entry:
        return self.add(State.POSTED, at, invoice(at, total, currency), **changes)

    def ask(self, zone: str = "UTC") -> dict[str, Any]:
        return overview(replace(self.environment.page, now=lambda: self.now), UNTRACKED, zone)

    def days(self, zone: str) -> dict[str, int]:
        return {one["day"]: one["orders"] for one in self.ask(zone)["days"] if one["orders"]}


def invoice(at: datetime, total: str, currency: str, status: str = "AUTHORISED") -> Posted:
    return Posted("id", "KX-1", status, total, currency, at)


# --- figures


def test_the_figures_are_the_ledgers() -> None:
    ledger, chance = Ledger(), random.Random(11)
    for _ in range(400):
        at = NOW - timedelta(seconds=chance.randrange(10 * 86_400))
        later = min(NOW, at + timedelta(seconds=chance.choice([0, 0, chance.randrange(4 * 86_400)])))
        state = chance.choice([State.POSTED] * 12 + list(State))
        total = Decimal(chance.randrange(1, 90_000)) / 100
        made = invoice(
            at,
            str(total),
            chance.choice(["GBP", "GBP", "GBP", "EUR", "USD"]),
            chance.choice(["PAID"] * 9 + ["VOIDED"]),
        )
        match state:
            case State.POSTED:
                note = CreditNote(
                    "N", str(min(total, Decimal(5))), made.currency, "id", (), id="n", status="PAID"
                )
                notes = (note,) if chance.random() < 0.2 and made.status == "PAID" else ()
                reason = chance.choice(["", "", "", *CHANGED])
                ledger.add(state, at, made, reason=reason, credit_notes=notes, changed_at=later)
            case State.NEEDS_ATTENTION:
                ledger.add(
                    state, at, problem=Problem(chance.choice(["contact_archived", "account_not_found"]))
                )
            case State.SET_ASIDE:
                ledger.add(state, at, set_aside=SetAside("Ada", at, "by hand", State.WAITING))
            case _:
                ledger.add(
                    state, at, reason={State.WAITING: "reconnect", State.SKIPPED: "cancelled"}.get(state, "")
                )
    told = ledger.ask("Europe/London")
    orders, money = Counter[str](), defaultdict[str, dict[str, Decimal]](dict)
    for entry in ledger.entries:
        if entry.state is not State.POSTED:
            continue
        made = entry.documents["invoice"]
        day = made.at.date().isoformat()  # London's days are those of UTC in November
        left = Decimal(0) if made.status == "VOIDED" else Decimal(made.total)
        left -= sum(Decimal(note.total) for note in entry.credit_notes)
        orders[day] += 1
        money[day][made.currency] = money[day].get(made.currency, Decimal(0)) + left
    days = [(NOW - timedelta(days=before)).date().isoformat() for before in range(6, -1, -1)]
    assert [(one["day"], one["orders"], _money(one)) for one in told["days"]] == [
        (day, orders[day], money[day]) for day in days
    ]
    currencies = {currency for day in days for currency in money[day]}
    week = {one: sum((money[day].get(one, Decimal(0)) for day in days), Decimal(0)) for one in currencies}
    assert (told["week"]["orders"], _money(told["week"])) == (sum(orders[day] for day in days), week)
    assert told["week"]["orders"] > 150
    assert told["week"]["money"][0]["currency"] == "GBP"
    under_way = {State.QUEUED: State.QUEUED, State.POSTING: State.QUEUED}
    standing = Counter(str(under_way.get(entry.state, entry.state)) for entry in ledger.entries)
    changed = [entry for entry in ledger.entries if entry.state is State.POSTED and entry.reason]
    standing["changed"] = len(changed)
    assert {state: one["orders"] for state, one in told["standing"].items()} == {
        state: standing[state] for state in ("needs_attention", "changed", "waiting", "queued", "set_aside")
    }
    assert told["standing"]["changed"]["to_decide"] == sum(entry.reason != "correcting" for entry in changed)
    stopped = told["standing"]["needs_attention"]
    assert _money(stopped) == {"GBP": stopped["orders"] * Decimal("56.95")}
    assert (told["no_orders_yet"], told["zone_known"]) == (False, True)


def test_orders_changed_after_posting_count_however_long_ago_with_what_they_come_to() -> None:
    ledger = Ledger()
    ledger.post(NOW - timedelta(days=90), "7.50", reason="changed")
    ledger.post(NOW, "2.00", "EUR", reason="correcting")
    ledger.post(NOW, "4.00")
    told = ledger.ask()
    changed = told["standing"]["changed"]
    assert (changed["orders"], changed["to_decide"], changed["more"]) == (2, 1, False)
    assert _money(changed) == {"GBP": Decimal("7.50"), "EUR": Decimal("2.00")}
    assert told["week"]["orders"] == 2


def test_currencies_stand_in_their_order_after_the_one_of_the_chart() -> None:
    ledger = Ledger()
    for currency in ("USD", "USD", "EUR", "JPY", "GBP", "GBP", "GBP"):
        ledger.post(NOW, currency=currency)
    for currency in ("USD", "USD", "EUR"):
        ledger.post(NOW - timedelta(days=2), currency=currency)
    told = ledger.ask()
    assert [one["currency"] for one in told["week"]["money"]] == ["USD", "EUR", "GBP", "JPY"]
    assert [one["currency"] for one in told["days"][-1]["money"]] == ["USD", "EUR", "GBP", "JPY"]
    none = Ledger()
    for currency in ("USD", "USD", "EUR"):
        none.post(NOW - timedelta(days=90), currency=currency, reason="changed")
    assert [one["currency"] for one in none.ask()["standing"]["changed"]["money"]] == ["EUR", "USD"]


def test_old_changes_do_not_make_the_week_uncertain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_A_DAY", 3)
    ledger = Ledger()
    ledger.post(NOW)
    for before in range(20, 26):
        ledger.post(NOW - timedelta(days=before), reason="changed")
    assert not ledger.ask()["week"]["more"]
    for _ in range(4):
        ledger.post(NOW, reason="changed")
    assert ledger.ask()["week"]["more"]


def _money(sums: dict[str, Any]) -> dict[str, Decimal]:
    return {one["currency"]: Decimal(one["total"]) for one in sums["money"]}


@pytest.mark.parametrize(
    ("zone", "moments"),
    [
        # a summer day, a winter day, one of 23 hours, and one of 25
        ("Pacific/Auckland", {"2026-11-22": ("2026-11-21T11:00", "2026-11-22T10:59:59.999")}),
        ("Pacific/Auckland", {"2026-06-30": ("2026-06-29T12:00", "2026-06-30T11:59:59.999")}),
        ("Pacific/Auckland", {"2026-09-27": ("2026-09-26T12:00", "2026-09-27T10:59:59.999")}),
        ("Pacific/Auckland", {"2026-04-05": ("2026-04-04T11:00", "2026-04-05T11:59:59.999")}),
        ("America/Los_Angeles", {"2026-11-01": ("2026-11-01T07:00", "2026-11-02T07:59:59.999")}),
        ("America/Los_Angeles", {"2026-03-08": ("2026-03-08T08:00", "2026-03-09T06:59:59.999")}),
        # where clocks go from midnight to one
        ("Asia/Beirut", {"2026-03-29": ("2026-03-28T22:00", "2026-03-29T20:59:59.999")}),
    ],
)
def test_a_day_is_from_midnight_to_midnight_where_the_reader_is(
    zone: str, moments: dict[str, tuple[str, str]]
) -> None:
    [(day, bounds)] = moments.items()
    first, last = (datetime.fromisoformat(f"{text}+00:00") for text in bounds)
    before, after = ((date.fromisoformat(day) + timedelta(days=step)).isoformat() for step in (-1, 1))
    for now in (last, last + timedelta(days=3), last + timedelta(days=5)):
        ledger = Ledger(now)
        moments_of = [first - timedelta(milliseconds=1), first, last, last + timedelta(milliseconds=1)]
        for at in moments_of:
            ledger.post(at)
        assert ledger.days(zone) == {before: 1, day: 2, after: 1} if now > last else {before: 1, day: 2}
        for at in moments_of[:2]:
            # it changed later on, and still counts when it was posted
            ledger.post(at, reason="changed", changed_at=now)
        assert ledger.days(zone)[day] == 3


def test_the_week_begins_at_the_midnight_before_the_six_days_before_today() -> None:
    ledger = Ledger()
    begin = datetime(2026, 11, 17, tzinfo=ZoneInfo("Pacific/Auckland"))
    # it is the evening of the 23rd there
    ledger.post(begin - timedelta(milliseconds=1), reason="changed", changed_at=NOW)
    ledger.post(begin)
    assert ledger.days("Pacific/Auckland") == {"2026-11-17": 1}
    told = ledger.ask("Pacific/Auckland")
    assert [told["days"][place]["day"] for place in (0, -1)] == ["2026-11-17", "2026-11-23"]
    assert not told["no_orders_yet"]


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../../etc/passwd", "Europe", "Etc/Unknown", "x" * 100])
def test_a_time_zone_that_is_none_is_told(zone: str) -> None:
    ledger = Ledger()
    ledger.post(NOW)
    told = ledger.ask(zone)
    assert (told["zone"], told["zone_known"], told["week"]["orders"]) == ("UTC", False, 1)


def test_an_order_without_an_invoice_counts_without_money() -> None:
    ledger = Ledger()
    purchase = invoice(NOW, "7.00", "GBP")
    ledger.add(State.POSTED, NOW, documents={"purchase_order": purchase})
    week = ledger.ask()["week"]
    assert (week["orders"], week["money"]) == (1, [])


def test_where_there_are_too_many_orders_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_A_DAY", 3)
    monkeypatch.setattr(page, "MOST_STANDING", 3)
    ledger = Ledger()
    days = [NOW - timedelta(days=before) for before in range(6, -1, -1)]
    for at in days:
        for _ in range(3):
            ledger.post(at)
    for _ in range(3):
        ledger.add(State.WAITING, NOW, reason="reconnect")
    told = ledger.ask()
    assert [one["more"] for one in (told["week"], told["standing"]["waiting"], *told["days"])] == [False] * 9
    ledger.post(days[3])
    ledger.add(State.WAITING, NOW, reason="reconnect")
    told = ledger.ask()
    assert [one["more"] for one in told["days"]] == [True] * 4 + [False] * 3, "it may be of an earlier day"
    assert (told["week"]["more"], told["standing"]["waiting"]) == (
        True,
        {"orders": 3, "more": True, "money": [{"currency": "GBP", "orders": 3, "total": "170.85"}]},
    )


def test_it_costs_the_same_calls_however_many_orders_there_are_besides() -> None:
    spent: list[Counter[tuple[str, str]]] = []
    side_by_side: list[int] = []

    def together(calls: Sequence[Any]) -> list[Any]:
        side_by_side.append(len(calls))
        return [call() for call in calls]

    for many in (500, 5_000):
        ledger, calls = Ledger(), Counter[tuple[str, str]]()
        ledger.environment.fill(UNTRACKED, many)
        for _ in range(20):
            ledger.post(NOW)
        ledger.environment.page = replace(ledger.environment.page, together=together)

        def spend(kind: str, where: str, units: float, calls: Counter[tuple[str, str]] = calls) -> None:
            calls[kind, where] += units  # type: ignore[assignment] # units may be halves

        ledger.environment.store.spend = spend
        assert ledger.ask()["week"]["orders"] == 20
        spent.append(calls)
    assert spent[0] == spent[1]
    assert not [kind for kind, _ in spent[0] if kind == "write"]
    assert side_by_side == [21, 0] * 2


# --- the page's first tab, and its signs


def signs(office: Browser) -> dict[str, tuple[str, str]]:
    """Title → result and words."""
    told = office.get("overview", zone="Europe/London").json["health"]
    return {one["title"]: (one["result"], one["words"]) for one in told}


def told_of(office: Browser, title: str) -> dict[str, Any]:
    told: list[dict[str, Any]] = office.get("overview", zone="Europe/London").json["health"]
    return next(one for one in told if one["title"] == title)


def first_tab(office: Browser) -> str:
    answer = office.popup.request("GET", f"/settings/{office.company}", cookies=[office.cookie])
    return answer.body.partition('data-first-tab="')[2].partition('"')[0]


def test_before_a_company_is_connected_the_settings_open_and_there_is_nothing_to_see() -> None:
    with mock_aws():
        office = Popup(OneProcess(tables=in_memory)).browser()
        assert first_tab(office) == "settings"
        told = office.get("overview", zone="Europe/London").json
        assert (told["no_orders_yet"], told["connection"]["status"]) == (True, "not_connected")
        assert {title: result for title, (result, _) in signs(office).items()} == {
            "Connection to Xero": "wrong",
            "Posting": "warning",
        }
        office.app()
        told = signs(office)["Posting"]
        assert told == (
            "warning",
            "Not saved yet: orders that arrive are kept here, and nothing is sent to Xero.",
        )
        assert (told_of(office, "Posting")["fix"], told_of(office, "Posting")["link"]) == (
            "Fill in the settings and save.",
            "#settings",
        )


def test_it_opens_first_once_connected_and_as_long_as_the_connection_is_not_ended(office: Browser) -> None:
    connections = office.popup.world.connections
    assert first_tab(office) == "overview"
    connection = connections.connection(office.company)
    assert connection is not None
    connections.lose_connection(connection, "needs_reconnect", office.popup.world.clock.now())
    assert first_tab(office) == "overview"
    assert signs(office)["Connection to Xero"] == (
        "wrong",
        "Xero no longer accepts the connection to Demo Company (UK).",
    )
    assert signs(office)["Posting"] == ("warning", "Orders wait here for the connection to Xero.")
    office.delete("connection")
    assert first_tab(office) == "settings"


def test_all_is_well_where_orders_are_posted_and_no_call_to_xero_is_made_to_say_so(office: Browser) -> None:
    world = office.popup.world
    assert signs(office)["Calls left today"][0] == "unknown"
    world.send(Maker(61530418).order(office.company, 1))
    world.run()
    office.post("book-match")
    world.run()
    calls = len(world.calls())
    told = office.get("overview", zone="Europe/London").json
    assert (told["week"]["orders"], told["days"][-1]["orders"], told["no_orders_yet"]) == (1, 1, False)
    [document] = world.committed("invoice")
    left = world.organisation("Demo Company (UK)").day_limit - calls
    assert signs(office) == {
        "Connection to Xero": ("good", "Connected to Demo Company (UK)."),
        "Posting": ("good", "Orders are posted as they come in."),
        "Book match": ("good", "No difference between what was posted and what is in Xero."),
        "Calls left today": ("good", f"{left} calls to Xero are left today."),
        "Mails": ("warning", "Nobody gets a mail when an order needs attention."),
    }
    assert _money(told["week"]) == {"GBP": document["total"]}
    assert len(world.calls()) == calls
    world.clock.advance(2 * 86_400)
    again = office.popup.browser()
    assert signs(again)["Calls left today"][0] == "unknown", "what Xero said the day before yesterday"


def _switched_off(office: Browser) -> None:
    office.save(enabled=False)


def _no_contact(office: Browser) -> None:
    office.save(contact_name="")


def _nothing_filled_in(office: Browser) -> None:
    office.save(contact_name="", sales_account_code="")


def _no_stock_account(office: Browser) -> None:
    office.save(process_method="tracked", cogs_account_code="310", inventory_asset_account_code="")


def _one_unconfirmed(office: Browser) -> None:
    office.save(errors_email="a@example.com")


def _paused(office: Browser) -> None:
    pause = Pause("Eve", office.popup.world.clock.now(), "a new release")
    Pauses(office.popup.world.resource, "ConnectionsTable").add(office.company, pause)


def _without_calls(office: Browser) -> None:
    world = office.popup.world
    world.organisation("Demo Company (UK)").day_limit = 1
    world.send(Maker(61530418).order(office.company, 1))
    world.run(timedelta(minutes=1))


def _prefix_taken(office: Browser) -> None:
    _connected_as(office, prefix_taken_by="413995")


def _permission_missing(office: Browser) -> None:
    _connected_as(office, scopes=("openid", "accounting.settings.read"))


def _connected_as(office: Browser, **changes: Any) -> None:
    connections = office.popup.world.connections
    connection = connections.connection(office.company)
    assert connection is not None
    connections.save_connection(replace(connection, **changes))


def _other_app(office: Browser) -> None:
    office.put("credentials", {"client_id": "ANOTHER", "client_secret": "secret"})


def _books_differ(office: Browser) -> None:
    world = office.popup.world
    organisation = world.organisation("Demo Company (UK)")
    line = {"Description": "By hand", "UnitAmount": 5, "AccountCode": "200"}
    contact = {"Name": world.contact(organisation)}
    given = {"Type": "ACCREC", "InvoiceNumber": "KX-4711", "Contact": contact, "LineItems": [line]}
    assert add_document(world.xero, organisation, given).status == 200
    office.post("book-match", {"in_full": True})
    world.run()


def _addresses(office: Browser, *confirmed: str) -> None:
    mails, now = office.popup.world.mails, office.popup.world.clock.now()
    office.save(errors_email="a@example.com, b@example.com")
    for address in confirmed:
        assert mails.begin(Address(office.company, address), now, asks=True)
        assert mails.confirm(office.company, address, now, now)


def _nobody_confirmed(office: Browser) -> None:
    _addresses(office)


def _one_confirmed(office: Browser) -> None:
    _addresses(office, "a@example.com")


def _both_confirmed(office: Browser) -> None:
    _addresses(office, "a@example.com", "b@example.com")


def _stopped(office: Browser) -> None:
    world = office.popup.world
    office.save(contact_name="Nobody at all")
    world.send(Maker(61530418).order(office.company, 1))
    world.run(timedelta(minutes=1))


def _stopped_without_calls(office: Browser) -> None:
    _stopped(office)
    world = office.popup.world
    connection = world.connections.connection(office.company)
    assert connection is not None
    key = {"pk": f"lane#{connection.lane}", "sk": "lane"}
    recheck = raw(world, "ConnectionsTable", key)["recheck"]
    spoil(world, "ConnectionsTable", key, recheck=recheck | {"spent": True})


@pytest.mark.parametrize(
    ("happens", "title", "result", "words"),
    [
        (_switched_off, "Posting", "warning", "Switched off"),
        (_no_contact, "Posting", "warning", "“Contact name” is not filled in, so orders stop."),
        (
            _nothing_filled_in,
            "Posting",
            "warning",
            "“Sales account” and “Contact name” are not filled in, so orders stop.",
        ),
        (_no_stock_account, "Posting", "warning", "“Inventory asset account” is not filled in"),
        (_paused, "Posting", "warning", "paused posting (a new release)"),
        (_without_calls, "Posting", "warning", "those of today are used up. They go on by themselves "),
        (_without_calls, "Calls left today", "warning", "0 calls to Xero are left today."),
        (_prefix_taken, "Connection to Xero", "wrong", "company 413995 uses the same number prefix"),
        (_permission_missing, "Connection to Xero", "wrong", "Permissions that are missing: "),
        (_other_app, "Connection to Xero", "wrong", "with another Xero app"),
        (_books_differ, "Book match", "wrong", "1 difference between"),
        (_nobody_confirmed, "Mails", "warning", "2 of 2 addresses get no mail yet."),
        (_one_unconfirmed, "Mails", "warning", "The address gets no mail yet."),
        (_one_confirmed, "Mails", "warning", "1 of 2 addresses gets no mail yet."),
        (_both_confirmed, "Mails", "good", "2 addresses are told"),
        (_stopped, "Orders that wait for a change in Xero", "good", "read again for them by itself"),
        (_stopped_without_calls, "Orders that wait for a change in Xero", "warning", "is used up"),
    ],
)
def test_what_is_not_well_has_a_sign_with_words(
    office: Browser, happens: Callable[[Browser], None], title: str, result: str, words: str
) -> None:
    happens(office)
    told = signs(office)[title]
    assert told[0] == result, told
    assert words in told[1]


@pytest.mark.parametrize(
    ("happens", "title", "fix", "link"),
    [
        (_switched_off, "Posting", "Switch it on in the settings and save.", "#settings/enabled"),
        (_no_contact, "Posting", "Fill it in and save.", "#settings/contact_name"),
        (_nothing_filled_in, "Posting", "Fill them in and save.", "#settings/sales_account_code"),
        (_no_stock_account, "Posting", "Fill it in and save.", "#settings/inventory_asset_account_code"),
        (lambda _: None, "Mails", "Add an address.", "#settings/errors_email"),
    ],
)
def test_a_sign_leads_to_the_setting_that_puts_it_right(
    office: Browser, happens: Callable[[Browser], None], title: str, fix: str, link: str
) -> None:
    happens(office)
    told = told_of(office, title)
    assert (told["fix"], told["link"]) == (fix, link)


def test_the_figures_come_with_the_differences_that_the_last_match_found(office: Browser) -> None:
    assert office.get("overview", zone="UTC").json["differences"] == 0
    _books_differ(office)
    assert office.get("overview", zone="UTC").json["differences"] == 1


def test_where_no_mails_are_sent_at_all_none_are_spoken_of(office: Browser) -> None:
    module: Any = office.popup.page
    module.adapters = replace(module.adapters, mail_from="")
    try:
        assert "Mails" not in signs(office)
    finally:
        module.adapters = replace(module.adapters, mail_from="xero@kornitx.example")

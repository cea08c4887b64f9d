"""Mails to an office, from the problem to what left for SES: its own handler, the popup's, and SES as moto has it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from moto import mock_aws
from moto.events.models import EventPattern

from bookkeeping.adapters.secrets import App, AppSecret
from bookkeeping.adapters.tables.authorizations import AuthorizationsTable
from bookkeeping.domain.events import DETAILS, connection_lost
from bookkeeping.domain.ledger import State
from bookkeeping.domain.problems.problem import Problem
from local.expand import source
from local.samples import UNTRACKED, Maker
from tests.integration.one_function import (
    ENVIRONMENT,
    Call,
    Wire,
    cold_start,
    default_session,
    dimensions,
    event,
    listened_to,
    metrics_in,
)
from tests.integration.one_process import PREFIX, Killed, OneProcess, in_memory, raw, spoil
from tests.integration.popup import Answer, Browser, Popup, context
from tests.our_faults import Fault

COMPANY = UNTRACKED
OTHER = "413995"
OFFICE, BOSS = "accounts@example.com", "boss@example.com"
SENDER = "xero@kornitx.example"
PAGE = "https://popup.example.com"
PLATFORM = "https://platform.example.com"
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Sent:
    """A mail as it left for SES."""

    to: str
    subject: str
    text: str
    html: str
    headers: dict[str, str]
    request: dict[str, Any] = field(repr=False)

    def link(self, kind: str) -> str:
        """The path and query of a link in it."""
        [url] = set(re.findall(rf"{PAGE}(/mail/{kind}\?link=[\w-]+)", self.text))
        assert f"{PAGE}{url}" in self.html.replace("&#39;", "'")
        return str(url)


def sent_in(call: Call) -> Sent:
    body = dict(call.body)
    [to] = body["Destination"]["ToAddresses"]
    simple = body["Content"]["Simple"]
    return Sent(
        to,
        simple["Subject"]["Data"],
        simple["Body"]["Text"]["Data"],
        simple["Body"]["Html"]["Data"],
        {one["Name"]: one["Value"] for one in simple["Headers"]},
        body,
    )


class _Impatient:
    """The queue's client, without the second of patience that is for SQS's many servers."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.delete_message_batch = client.delete_message_batch

    def receive_message(self, **asked: Any) -> Any:
        return self._client.receive_message(**asked | {"WaitTimeSeconds": 0})


class Office:
    """A company's office, its popup and its mailboxes; the mails' function runs every minute."""

    def __init__(self, sender: str = SENDER) -> None:
        session = default_session()
        self.popup = Popup(OneProcess(tables=in_memory))
        self.world = self.popup.world
        page = cast(Any, self.popup).page
        page.adapters = replace(page.adapters, mail_from=sender)
        self.queue = boto3.client("sqs").create_queue(QueueName="ProblemsQueue")["QueueUrl"]
        boto3.client("sesv2").create_email_identity(EmailIdentity="kornitx.example")
        self.wire = Wire()
        environment = ENVIRONMENT | {
            "AUTHORIZATIONS_TABLE": "AuthorizationsTable",
            "PROBLEMS_QUEUE_URL": self.queue,
            "MAIL_FROM": sender,
            "MAIL_CONFIGURATION_SET": PREFIX,
            "PAGE_URL": PAGE,
            "PLATFORM_URL": PLATFORM,
        }
        with listened_to(session, self.wire):
            self.app = cast(Any, cold_start("problem_mail", environment))
        world, queue = self.world, self.app.adapters.queue
        queue._client = _Impatient(queue._client)
        self.app.adapters = replace(
            self.app.adapters,
            mails=world.mails,
            settings=world.settings,
            connections=world.connections,
            orders=world.orders,
            authorizations=AuthorizationsTable(world.resource, "AuthorizationsTable"),
            now=world.clock.now,
        )
        self.make = Maker()
        self.mails: list[Sent] = []
        self._heard = 0

    def opens(self, company: str = COMPANY, **settings: Any) -> None:
        self.world.company(company, **settings)
        # so that its tokens can be renewed
        app = self.world.xero.portal.apps[f"APP{company:0>29}"]
        AppSecret(self.world.secrets, PREFIX).save(company, App(app.client_id, app.secret or ""))

    @property
    def browser(self) -> Browser:
        """Somebody who opened the popup a moment ago: a session ends after an hour."""
        return self.popup.browser(COMPANY)

    def confirmed(self, *addresses: str) -> None:
        """The company's office has these addresses, and everybody pressed Confirm."""
        self.opens()
        assert self.browser.save(errors_email=", ".join(addresses)).status == 200
        self.minute()
        for mail in self.taken():
            assert self.press(mail.link("confirm")).status == 200
        self.minute()
        assert self.taken() == []

    # what happens

    def stop_orders(self, count: int = 1, company: str = COMPANY, **changes: Any) -> list[dict[str, Any]]:
        """Orders arrive that a person must look at: their currency is not among the organisation's."""
        orders = [
            self.make.order(company, place, 1) | {"currency_code": "CHF"} | changes for place in range(count)
        ]
        self.popup.refresh.handler({"company": company}, context())
        self.world.send(*orders)
        self.world.run(timedelta(seconds=20), until_quiet=False)
        for order in orders:
            assert self.world.entry(order, company).state is State.NEEDS_ATTENTION
        return orders

    def mend(self, orders: list[dict[str, Any]]) -> None:
        self.world.send(*[order | {"currency_code": "GBP"} for order in orders])
        self.world.run(timedelta(seconds=20), until_quiet=False)
        for order in orders:
            assert self.world.entry(order).state is not State.NEEDS_ATTENTION

    def put(self, **event: Any) -> None:
        boto3.client("sqs").send_message(QueueUrl=self.queue, MessageBody=json.dumps(event))

    def route_events(self) -> None:
        """What the bus's rule does."""
        for one in self.world.bus.events[self._heard :]:
            if one["type"] in ("OrderNeedsAttention", "ConnectionLost"):
                detail = {name: value for name, value in one.items() if name != "type"}
                self.put(source="kornitx.xero", **{"detail-type": one["type"]}, detail=detail)
        self._heard = len(self.world.bus.events)

    def run(self) -> None:
        """The function runs once."""
        self.wire.calls.clear()
        try:
            self.app.handler(event("problem_mail"), context())
        finally:
            self.mails += [
                sent_in(call)
                for call in self.wire.calls
                if call.operation == "SendEmail" and self.wire.refuse(call) is None
            ]

    def minute(self, count: int = 1) -> None:
        # of a long time not every minute is looked at, so that a test takes less of ours
        step = 5 if count > 20 else 1
        for _ in range(0, count, step):
            self.route_events()
            self.world.clock.advance(60 * step)
            self.run()

    def taken(self) -> list[Sent]:
        """The mails since this was asked last."""
        mails, self.mails = self.mails, []
        return mails

    # what somebody does with a mail

    def open(self, link: str) -> Answer:
        return self.popup.request("GET", link)

    def press(self, link: str, body: str = "") -> Answer:
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.popup.request("POST", link, body=body, headers=kind)

    def shown(self) -> dict[str, Any]:
        """What the popup shows, by address."""
        mail = self.browser.get("settings").json["mail"]
        return {one["address"]: one for one in mail["addresses"]}


@pytest.fixture
def office() -> Iterator[Office]:
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        yield Office()


# --- when there is a mail, and what stands in it


def test_a_mail_goes_out_four_to_five_minutes_after_a_problem_that_still_stands(office: Office) -> None:
    office.confirmed(OFFICE)
    began = office.world.clock.now()
    office.stop_orders()
    office.minute(3)
    assert office.taken() == []
    office.minute(2)
    [mail] = office.taken()
    assert mail.to == OFFICE
    assert office.world.clock.now() - began < timedelta(minutes=5, seconds=30)


def test_many_orders_are_one_mail_in_words_an_office_understands(office: Office) -> None:
    office.confirmed(OFFICE)
    orders = office.stop_orders(9)
    other = office.make.order(COMPANY, 20, 1)
    other["items"] = []
    office.world.send(other)
    office.minute(6)
    [mail] = office.taken()
    assert mail.subject == f"Xero: 10 orders need attention (company {COMPANY})"
    for part in (
        "9 orders: Currency not in Xero",
        "What to do: Add CHF in Xero (Settings, Currencies",
        "posted by itself",
        "Who can do it: Your accountant",
        "1 order: Order without lines",
        "and others",
    ):
        assert part in mail.text
        assert part.removeprefix("What to do: ").removeprefix("Who can do it: ") in mail.html
    named = [str(order["id"]) for order in orders if str(order["id"]) in mail.text]
    assert len(named) == 5, "some of them, by number and reference"
    assert all(str(order["ref"]) in mail.text for order in orders if str(order["id"]) in named)
    assert PLATFORM in mail.text
    assert PLATFORM in mail.html
    assert mail.request["FromEmailAddress"] == SENDER
    assert mail.request["ConfigurationSetName"] == PREFIX
    assert "<img" not in mail.html, "nothing in it reports that it was opened"
    assert "\n\n\n" not in mail.text


def test_a_mail_has_no_text_of_an_order_and_no_name(office: Office) -> None:
    office.confirmed(OFFICE)
    order = office.make.order(COMPANY, 30, 1)
    line = order["items"][0]
    line["name"] = line["description"] = "Mug for Grandma Edith"
    # a sentence about this line names it
    line["price"] = None
    office.world.send(order)
    office.browser.save(contact_name="Edith Grandma")
    office.stop_orders(2, currency_code="GBP")
    office.minute(6)
    [mail] = office.taken()
    assert "Contact not found" in mail.text
    assert "Edith" not in mail.text + mail.html
    assert "Add a contact named exactly “…” in Xero" in mail.text


def test_what_an_order_says_is_text_in_the_html_too(office: Office) -> None:
    office.confirmed(OFFICE)
    office.stop_orders(external_ref="<b>x</b>&")
    office.minute(6)
    [mail] = office.taken()
    assert "<b>x</b>&" in mail.text
    assert "&lt;b&gt;x&lt;/b&gt;&amp;" in mail.html


def test_what_heals_by_itself_within_that_time_sends_nothing(office: Office) -> None:
    office.confirmed(OFFICE)
    orders = office.stop_orders(3)
    office.minute(2)
    office.mend(orders)
    office.minute(70)
    assert office.taken() == []
    assert office.world.mails.read(COMPANY)[0].next_at is None, "nothing is left to look at"


def test_later_problems_are_gathered_to_the_hour(office: Office) -> None:
    office.confirmed(OFFICE)
    office.stop_orders()
    office.minute(6)
    assert len(office.taken()) == 1
    for _ in range(5):
        office.stop_orders()
        office.minute(10)
    assert office.taken() == []
    office.minute(10)
    [mail] = office.taken()
    assert mail.subject.startswith("Xero: 6 orders need attention")
    office.minute(180)
    assert office.taken() == [], "what was said once is not said again"


def test_a_lost_connection_is_mailed_with_what_to_do(office: Office) -> None:
    office.confirmed(OFFICE)
    connection = office.world.connections.connection(COMPANY)
    assert connection is not None
    now = office.world.clock.now()
    office.world.connections.save_connection(replace(connection, status="needs_reconnect"))
    office.world.events.put([connection_lost(COMPANY, connection.organisation_id, "needs_reconnect", now)])
    office.minute(6)
    [mail] = office.taken()
    assert mail.subject.startswith("Xero: the connection is lost, orders wait")
    for text in (mail.text, mail.html):
        assert "Xero no longer accepts the connection to Demo Company (UK)." in text
        assert "Open the Xero settings. Press Reconnect and log in to Xero once more." in text.replace(
            "</strong>", ""
        )


def test_a_connection_that_is_back_within_that_time_sends_nothing(office: Office) -> None:
    office.confirmed(OFFICE)
    connection = office.world.connections.connection(COMPANY)
    assert connection is not None
    lost = connection_lost(COMPANY, connection.organisation_id, "cut_off", office.world.clock.now())
    office.world.events.put([lost])
    office.minute(10)
    assert office.taken() == []


def test_a_book_match_that_differs_is_mailed_once(office: Office) -> None:
    office.confirmed(OFFICE)
    at = office.world.clock.now().isoformat()
    words = "There are 3 differences between Xero and what was posted; 1 is new since the last match."
    named = ["Invoice KX-1 is for Edith Grandma in Xero."]
    detail = {"id": "1", "at": at, "company": COMPANY, "differences": 3, "new": 1, "sentences": named}
    office.put(source="kornitx.xero", **{"detail-type": "BooksDiffer"}, detail=detail)
    office.minute(6)
    [mail] = office.taken()
    assert mail.subject.startswith("Xero: the books and the orders differ")
    assert words in mail.text
    assert words in mail.html
    assert "Edith" not in mail.text + mail.html
    office.minute(60)
    office.stop_orders()
    office.minute(6)
    [mail] = office.taken()
    assert words not in mail.text


def test_a_flood_of_events_is_one_reason_to_look(office: Office) -> None:
    office.confirmed(OFFICE)
    at = office.world.clock.now().isoformat()
    for _ in range(30):
        office.put(
            source="kornitx.xero",
            **{"detail-type": "OrderNeedsAttention"},
            detail={"at": at, "company": COMPANY},
        )
    before = office.world.mails.read(COMPANY)[0].revision
    office.minute()
    assert office.world.mails.read(COMPANY)[0].revision == before + 1
    assert office.wire.operations().count("ReceiveMessage") == 4


def test_more_problems_than_a_mail_names_and_more_orders_than_are_counted(office: Office) -> None:
    office.confirmed(OFFICE)
    orders = office.stop_orders(7)
    entry = office.world.entry(orders[0])
    codes = ["date_locked", "contact_archived", "no_lines"]
    for place, code in enumerate(codes):
        stopped = replace(entry, order_id=f"{place + 1}", problem=Problem(code), version=0)
        office.world.orders.save(stopped)
    seen = office.world.orders.standing(COMPANY, State.NEEDS_ATTENTION, 3)
    assert {(reason, len(rows), more) for reason, rows, more in seen} == {
        ("currency_not_enabled", 3, True),
        *((code, 1, False) for code in codes),
    }
    by_one = office.world.orders.standing(COMPANY, State.NEEDS_ATTENTION, 1)
    assert [len(rows) for _, rows, _ in by_one] == [1, 1, 1, 1]
    whole = office.world.orders.standing(COMPANY, State.NEEDS_ATTENTION, 1000)
    [newest_first] = [rows for reason, rows, _ in whole if reason == "currency_not_enabled"]
    assert [at for _, at in newest_first] == sorted((at for _, at in newest_first), reverse=True)


# --- addresses


def test_an_address_gets_one_confirmation_and_nothing_else_until_it_is_confirmed(office: Office) -> None:
    office.opens()
    saved = office.browser.save(errors_email=f"{OFFICE},{BOSS}")
    assert saved.json["settings"]["errors_email"] == f"{OFFICE}, {BOSS}"
    assert {one["status"] for one in saved.json["mail"]["addresses"]} == {"new"}
    office.stop_orders()
    office.minute(90)
    mails = office.taken()
    assert sorted(mail.to for mail in mails) == [OFFICE, BOSS]
    assert {mail.subject for mail in mails} == {f"Xero: please confirm this address (company {COMPANY})"}
    assert {one["status"] for one in office.shown().values()} == {"asked"}
    # saving something else asks nobody again
    assert office.browser.save(payment_terms_days=14).status == 200
    office.minute(90)
    assert office.taken() == []
    [of_boss] = [mail for mail in mails if mail.to == BOSS]
    office.press(of_boss.link("confirm"))
    office.minute()
    [mail] = office.taken()
    assert (mail.to, "needs attention" in mail.subject) == (BOSS, True), "it is told of what stands"


def test_opening_a_link_changes_nothing_and_pressing_the_button_confirms_once(office: Office) -> None:
    office.opens()
    office.browser.save(errors_email=OFFICE)
    office.minute()
    [mail] = office.taken()
    link = mail.link("confirm")
    for _ in range(3):
        page = office.open(link)
        assert (page.status, '<form method="post">' in page.body) == (200, True)
        assert "form-action 'self'" in page.headers["content-security-policy"]
        assert page.headers["referrer-policy"] == "no-referrer"
    assert office.shown()[OFFICE]["status"] == "asked"
    assert "This address is confirmed" in office.press(link).body
    assert office.shown()[OFFICE]["status"] == "confirmed"
    # once more, and a scanner that looks later
    for again in (office.press(link), office.open(link)):
        assert (again.status, "<form" in again.body) == (200, False)
    # used, it can't undo what came since
    office.press(mail.link("stop"))
    assert office.press(link).status == 410
    assert office.shown()[OFFICE]["status"] == "stopped"


def test_a_link_is_kept_as_a_hash_and_ends_after_three_days(office: Office) -> None:
    office.opens()
    office.browser.save(errors_email=OFFICE)
    office.minute()
    [mail] = office.taken()
    link = mail.link("confirm")
    token = urlsplit(link).query.removeprefix("link=")
    stored = json.dumps(
        [list(table.items.values()) for table in office.world.resource.tables.values()], default=str
    )
    assert token not in stored
    office.world.clock.advance(3 * 24 * 3600)
    assert office.open(link).status == 410
    assert office.press(link).status == 410
    assert office.shown()[OFFICE]["status"] == "asked"


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "%00", "A" * 5000, "../../x"])
def test_a_made_up_link_leads_nowhere(office: Office, token: str) -> None:
    office.opens()
    for kind in ("confirm", "stop"):
        for answer in (office.open(f"/mail/{kind}?link={token}"), office.press(f"/mail/{kind}?link={token}")):
            assert answer.status == 410
            assert "does not work any more" in answer.body
    assert office.open(f"/mail/other?link={token}").status == 404
    assert office.open("/mail/confirm").status == 410


def test_a_link_of_one_kind_does_not_do_the_other(office: Office) -> None:
    office.opens()
    office.browser.save(errors_email=OFFICE)
    office.minute()
    [mail] = office.taken()
    assert office.press(mail.link("stop").replace("stop", "confirm")).status == 410
    assert office.press(mail.link("confirm").replace("confirm", "stop")).status == 410
    assert office.shown()[OFFICE]["status"] == "asked"


def test_the_confirmation_is_sent_again_at_most_once_an_hour_and_only_the_last_link_works(
    office: Office,
) -> None:
    office.opens()
    office.browser.save(errors_email=OFFICE)
    office.minute()
    [first] = office.taken()
    ask = {"address": OFFICE}
    refused = office.browser.post("mail-addresses/confirmation", ask)
    assert (refused.status, refused.error) == (409, "not_asked_again")
    assert "within the last hour" in refused.json["error"]["message"]
    assert not office.shown()[OFFICE]["can_ask"]
    office.minute(60)
    assert office.shown()[OFFICE]["can_ask"]
    for _ in range(3):
        assert office.browser.post("mail-addresses/confirmation", ask).status == 200
    office.minute(5)
    [second] = office.taken()
    assert office.press(first.link("confirm")).status == 410
    assert office.press(second.link("confirm")).status == 200
    confirmed = office.browser.post("mail-addresses/confirmation", ask)
    assert confirmed.json["error"]["message"] == "This address is confirmed."
    unknown = office.browser.post("mail-addresses/confirmation", {"address": "nobody@example.com"})
    assert unknown.json["error"]["message"] == "Save the settings with this address first."


def test_an_address_that_is_taken_out_and_entered_again_is_not_asked_again_within_the_hour(
    office: Office,
) -> None:
    office.opens()
    for _ in range(5):
        office.browser.save(errors_email=OFFICE)
        office.minute(2)
        office.browser.save(errors_email="")
        office.minute(2)
    assert len(office.taken()) == 1
    office.minute(61)
    assert office.world.mails.read(COMPANY)[1] == {}, "nothing is kept of it"
    office.browser.save(errors_email=OFFICE)
    office.minute()
    assert len(office.taken()) == 1


def test_a_stop_link_and_the_mail_programs_own_button_stop_the_mails(office: Office) -> None:
    office.confirmed(OFFICE, BOSS)
    office.stop_orders()
    office.minute(6)
    mails = {mail.to: mail for mail in office.taken()}
    mail = mails[OFFICE]
    assert mail.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.headers["List-Unsubscribe"] == f"<{PAGE}{mail.link('stop')}>"
    assert mail.link("stop") != mails[BOSS].link("stop")
    assert office.open(mail.link("stop")).status == 200
    assert office.shown()[OFFICE]["status"] == "confirmed"
    assert office.press(mail.link("stop"), "List-Unsubscribe=One-Click").status == 200
    assert "Stop in one of the mails" in office.shown()[OFFICE]["words"]
    assert "The mails are stopped" in office.press(mail.link("stop")).body
    office.minute(60)
    office.stop_orders()
    office.minute(6)
    assert [mail.to for mail in office.taken()] == [BOSS]
    office.browser.save(errors_email=BOSS)
    office.minute(61)
    assert office.press(mail.link("stop")).status == 410


# --- SES


def undelivered(kind: str, address: str, company: str = COMPANY, **about: Any) -> dict[str, Any]:
    """An event of SES, as it comes by EventBridge."""
    recipients = {"bounce": "bouncedRecipients", "complaint": "complainedRecipients"}[kind]
    detail = {
        "eventType": kind.capitalize(),
        "mail": {
            "destination": [address],
            "messageId": "0100-1",
            "tags": {"company": [company], "ses:configuration-set": [PREFIX]},
        },
        kind: {recipients: [{"emailAddress": address}], "feedbackId": "0100-2", **about},
    }
    names = {"bounce": "Email Bounced", "complaint": "Email Complaint Received"}
    return {"source": "aws.ses", "detail-type": names[kind], "detail": detail}


@pytest.mark.parametrize(
    ("kind", "about", "status", "words"),
    [
        ("bounce", {"bounceType": "Permanent"}, "bounced", "does not exist or takes no mail"),
        ("complaint", {"complaintFeedbackType": "abuse"}, "complained", "marked as spam"),
        ("complaint", {}, "complained", "marked as spam"),
    ],
)
def test_a_bounce_or_a_complaint_switches_the_address_off_and_the_page_says_what_to_do(
    office: Office, kind: str, about: dict[str, Any], status: str, words: str
) -> None:
    office.confirmed(OFFICE, BOSS)
    office.put(**undelivered(kind, OFFICE.upper(), **about))
    office.minute()
    shown = office.shown()[OFFICE]
    assert (shown["status"], shown["can_ask"]) == (status, True)
    assert words in shown["words"]
    assert "send the confirmation again" in shown["fix"]
    office.stop_orders()
    office.minute(6)
    assert [mail.to for mail in office.taken()] == [BOSS]
    assert office.browser.post("mail-addresses/confirmation", {"address": OFFICE}).status == 200
    office.minute()
    [mail] = office.taken()
    assert office.press(mail.link("confirm")).status == 200
    assert office.shown()[OFFICE]["status"] == "confirmed"


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("bounce", {"bounceType": "Transient", "bounceSubType": "MailboxFull"}),
        ("bounce", {"bounceType": "Undetermined"}),
        ("complaint", {"complaintFeedbackType": "not-spam"}),
    ],
)
def test_a_full_mailbox_or_an_answer_while_away_switches_nothing_off(
    office: Office, kind: str, about: dict[str, Any]
) -> None:
    office.confirmed(OFFICE)
    office.put(**undelivered(kind, OFFICE, **about))
    office.put(**undelivered("bounce", "unknown@example.com", bounceType="Permanent"))
    office.put(**undelivered("bounce", OFFICE, company=OTHER, bounceType="Permanent"))
    office.minute()
    assert office.shown()[OFFICE]["status"] == "confirmed"
    assert set(office.world.mails.read(COMPANY)[1]) == {OFFICE}


def refuse(code: str, to: str = "", *, times: int = 10**6) -> Callable[[Call], str | None]:
    left = [times]

    def answer(call: Call) -> str | None:
        if call.operation != "SendEmail" or (to and to not in call.text) or not left[0]:
            return None
        return code

    return answer


def test_a_throttled_mail_goes_out_a_minute_later_and_nobody_gets_two(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.confirmed(OFFICE, BOSS)
    office.stop_orders()
    office.minute(3)
    office.wire.refuse = refuse("TooManyRequestsException", BOSS)
    office.minute(2)
    assert [mail.to for mail in office.taken()] == [OFFICE]
    assert "could not be sent" in office.shown()[BOSS]["words"]
    office.wire.refuse = lambda call: None
    office.minute()
    assert [mail.to for mail in office.taken()] == [BOSS]
    assert office.shown()[BOSS]["words"] == "Confirmed."
    office.minute(90)
    assert office.taken() == []
    metrics = metrics_in(capsys.readouterr().out)
    assert sum(line["MailsRefused"][0] for line in metrics if "MailsRefused" in line) >= 1
    assert dimensions(metrics) == {"service"}


def test_a_refused_confirmation_is_tried_again_and_the_page_says_so(office: Office) -> None:
    office.opens()
    office.wire.refuse = refuse("MessageRejected")
    office.browser.save(errors_email=OFFICE)
    office.minute()
    shown = office.shown()[OFFICE]
    assert (shown["status"], "could not be sent" in shown["words"]) == ("new", True)
    office.wire.refuse = lambda call: None
    office.minute(5)
    [mail] = office.taken()
    assert office.press(mail.link("confirm")).status == 200


@pytest.mark.parametrize("how", ["time-out", "InternalServiceException"])
def test_a_mail_whose_outcome_is_unknown_is_sent_again_after_an_hour_at_the_earliest(
    office: Office, how: str
) -> None:
    office.confirmed(OFFICE)
    office.stop_orders()
    office.minute(3)

    def time_out(call: Call) -> None:
        if call.operation == "SendEmail":
            raise ReadTimeoutError(endpoint_url="https://email.example.com")

    if how == "time-out":
        office.wire.before = time_out
    else:
        office.wire.refuse = refuse(how)
        real = office.app.adapters.sender._client.send_email

        def send(**request: Any) -> Any:
            try:
                return real(**request)
            except Exception as error:
                error.response["ResponseMetadata"]["HTTPStatusCode"] = 500  # type: ignore[attr-defined]
                raise

        office.app.adapters.sender._client.send_email = send
    office.minute(2)
    office.taken()
    office.wire.before, office.wire.refuse = (lambda call: None), (lambda call: None)
    office.minute(55)
    assert office.taken() == []
    office.minute(6)
    assert len(office.taken()) == 1
    office.minute(90)
    assert office.taken() == []


@pytest.mark.parametrize("before", [True, False], ids=["before it is sent", "once it is sent"])
def test_a_run_that_crashes_halfway_costs_an_address_an_hour_and_sends_no_second_mail(
    office: Office, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    office.confirmed(OFFICE, BOSS)
    office.stop_orders()
    office.minute(3)

    def killed(*_: Any) -> None:
        raise Killed

    if before:
        monkeypatch.setattr(office.app.adapters.sender, "send", killed)
    else:
        monkeypatch.setattr(office.app.adapters.mails, "sent", killed)
    with pytest.raises(Killed):
        office.minute(2)
    monkeypatch.undo()
    crashed_with = [mail.to for mail in office.taken()]
    assert len(crashed_with) == (0 if before else 1)
    office.minute(5)
    # the one that the crash did not reach
    [second] = office.taken()
    assert second.to not in crashed_with
    office.minute(50)
    assert office.taken() == []
    office.minute(10)
    [first] = office.taken()
    assert {first.to, second.to} == {OFFICE, BOSS}
    office.minute(90)
    assert office.taken() == []


def test_a_confirmation_whose_run_crashed_is_sent_after_an_hour(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.opens()
    office.browser.save(errors_email=OFFICE)

    def killed(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(office.app.adapters.sender, "send", killed)
    with pytest.raises(Killed):
        office.minute()
    monkeypatch.undo()
    office.minute(55)
    assert office.taken() == []
    office.minute(10)
    [mail] = office.taken()
    assert office.press(mail.link("confirm")).status == 200


def test_two_runs_at_the_same_time_send_one_mail(office: Office) -> None:
    office.confirmed(OFFICE)
    office.stop_orders()
    office.minute(3)
    entered = list[Call]()

    def second_run(call: Call) -> None:
        if call.operation == "SendEmail" and not entered:
            entered.append(call)
            office.app.handler(event("problem_mail"), context())

    office.wire.before = second_run
    office.minute(2)
    assert entered
    assert len(office.taken()) == 1
    office.minute(90)
    assert office.taken() == []


def test_a_problem_that_comes_while_a_run_looks_is_not_forgotten(office: Office) -> None:
    office.confirmed(OFFICE)
    office.stop_orders()
    office.minute(3)
    once = list[Call]()

    def meanwhile(call: Call) -> None:
        if call.operation == "SendEmail" and not once:
            once.append(call)
            office.world.mails.look_at(COMPANY, office.world.clock.now() + 4 * MINUTE)

    office.wire.before = meanwhile
    while not once:
        office.minute()
    due = office.world.mails.due(office.world.clock.now(), 10)
    assert due == [COMPANY], "it is looked at once more"


def test_the_rules_of_the_template_let_these_events_through_and_no_others() -> None:
    resources = source()["Resources"]

    def lets_through(rule: str, event: dict[str, Any]) -> bool:
        pattern = json.dumps(resources[rule]["Properties"]["EventPattern"])
        pattern = pattern.replace('{"Ref": "MailConfigurationSet"}', json.dumps(PREFIX))
        return bool(EventPattern.load(pattern).matches_event(cast(Any, event)))

    for kind in ("bounce", "complaint"):
        of_ours = undelivered(kind, OFFICE)
        assert lets_through("UndeliveredRule", of_ours)
        assert not lets_through("ProblemsRule", of_ours)
        of_ours["detail"]["mail"]["tags"]["ses:configuration-set"] = ["of another stack"]
        assert not lets_through("UndeliveredRule", of_ours)
    passed = {
        type_
        for type_ in (*DETAILS, "BooksDiffer")
        if lets_through("ProblemsRule", {"source": "kornitx.xero", "detail-type": type_, "detail": {}})
    }
    assert passed == {"OrderNeedsAttention", "ConnectionLost", "BooksDiffer"}


# --- faults


def test_a_company_at_fault_holds_up_no_other(office: Office, our_faults: list[Fault]) -> None:
    office.opens()
    office.browser.save(errors_email=OFFICE)
    spoil(office.world, "SettingsTable", {"company": COMPANY, "version": "current"}, settings="{")
    at_fault = office.world.clock.now()
    office.opens(OTHER, number_prefix="T-")
    assert office.popup.browser(OTHER).save(errors_email=BOSS).status == 200
    office.minute(10)
    assert [mail.to for mail in office.taken()] == [BOSS]
    assert [fault.company for fault in our_faults] == [COMPANY]
    our_faults.clear()
    next_at = office.world.mails.read(COMPANY)[0].next_at
    assert next_at is not None
    assert next_at >= at_fault + timedelta(hours=1)


def test_settings_of_a_newer_version_are_left_alone_and_looked_at_later(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    office.opens()
    office.browser.save(errors_email=OFFICE)
    row = {"company": COMPANY, "version": "current"}
    kept = json.loads(raw(office.world, "SettingsTable", row)["settings"]) | {"post_when": "full moon"}
    spoil(office.world, "SettingsTable", row, settings=json.dumps(kept))
    office.minute(3)
    assert office.taken() == []
    next_at = office.world.mails.read(COMPANY)[0].next_at
    assert next_at is not None
    assert next_at > office.world.clock.now()


def test_an_order_that_cannot_be_read_is_mailed_all_the_same(office: Office, our_faults: list[Fault]) -> None:
    office.confirmed(OFFICE)
    [order] = office.stop_orders()
    spoil(office.world, "OrdersTable", {"key": f"{COMPANY}#{order['id']}"}, message="spoilt")
    office.minute(6)
    [mail] = office.taken()
    assert "1 order: Currency not in Xero" in mail.text
    assert str(order["id"]) in mail.text
    assert our_faults
    our_faults.clear()


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "[]",
        "{}",
        '{"source": "kornitx.xero", "detail": {"company": "1", "at": "noon"}}',
        '{"source": "kornitx.xero", "detail-type": "BooksDiffer",'
        ' "detail": {"company": "1", "at": "2026-11-29T10:00:00+00:00"}}',
    ],
)
def test_an_event_that_says_nothing_is_counted_and_removed(
    office: Office, our_faults: list[Fault], body: str
) -> None:
    boto3.client("sqs").send_message(QueueUrl=office.queue, MessageBody=body)
    office.minute()
    assert len(our_faults) == 1
    our_faults.clear()
    office.minute()
    assert "DeleteMessageBatch" not in office.wire.operations()


def test_a_company_without_settings_or_taken_out_gets_no_mail(office: Office) -> None:
    office.confirmed(OFFICE)
    office.stop_orders()
    connection = office.world.connections.connection(COMPANY)
    assert connection is not None
    office.world.connections.save_connection(replace(connection, taken_out=True, status="disconnected"))
    at = office.world.clock.now().isoformat()
    for company in ("990099", "unknown"):
        office.put(
            source="kornitx.xero",
            **{"detail-type": "OrderNeedsAttention"},
            detail={"at": at, "company": company},
        )
    office.minute(70)
    assert office.taken() == []
    assert office.world.mails.due(office.world.clock.now() + timedelta(days=9), 10) == []


def test_without_a_sender_nothing_is_sent_and_the_page_says_so() -> None:
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        office = Office(sender="")
        office.opens()
        saved = office.browser.save(errors_email=OFFICE)
        assert "No mail is sent" in saved.json["mail"]["words"]
        assert saved.json["mail"]["addresses"] == []
        office.stop_orders()
        office.minute(10)
        assert office.taken() == []
        assert office.wire.operations() == ["ReceiveMessage"]


def test_addresses_that_would_write_into_a_mails_head_are_refused(office: Office) -> None:
    office.opens()
    for bad in ("a@example.com\r\nBcc: x@example.com", "a@example.com\x00", "A <a@example.com>", "a@b"):
        refused = office.browser.save(errors_email=bad)
        assert refused.status == 422, bad
        assert "is not an e-mail address" in refused.json["error"]["fields"][0]["message"]


def test_ten_addresses_are_taken_and_eleven_refused_in_words(office: Office) -> None:
    office.opens()
    addresses = [f"a{place}@example.com" for place in range(11)]
    refused = office.browser.save(errors_email=", ".join(addresses))
    assert refused.json["error"]["fields"][0]["message"] == "at most 10 addresses, not 11"
    assert office.browser.save(errors_email=", ".join(addresses[:10])).status == 200
    office.minute()
    assert len(office.taken()) == 10


def test_no_address_is_logged(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    office.confirmed(OFFICE)
    office.stop_orders()
    office.wire.refuse = refuse("MessageRejected")
    office.minute(10)
    out = capsys.readouterr()
    assert OFFICE not in out.out + out.err

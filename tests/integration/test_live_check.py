"""`make live-check` as a person runs it, with the simulated Xero in the place of Xero. Nothing reaches any other."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from live_check import __main__ as command
from live_check import login, simulated
from live_check.__main__ import LOGIN_QUESTIONS, QUESTIONS, main
from live_check.books import CALLS_A_MINUTE, SCOPES, Answers, Books, FailedError, NotAskedError, needed
from live_check.question import Question, question
from live_check.questions import BY_HAND
from live_check.simulated import CHOICES, custom_connection
from local.companies import SimulatedXero
from local.xero.clock import VirtualClock, WallClock
from local.xero.organisations import DEAD
from local.xero.people import add_document
from local.xero.portal import MARK
from local.xero.server import make_server
from local.xero.truth_log import Entry
from local.xero.unconfirmed import OPEN_ANSWERS
from local.xero.world import World
from tests.canaries import EVERY_TOKEN

ROOT = Path(__file__).parents[2]
ASKED = {one.id: one for one in (*QUESTIONS, *LOGIN_QUESTIONS)}
LIKE = {"CountryCode": "GB", "PaysTax": True}
LIKE_FOR: dict[str, dict[str, object]] = {
    "tax_in_an_untaxed_organisation": {"PaysTax": False},
    "lock_date_for_drafts": {"PeriodLockDate": "/Date(1781049600000+0000)/"},
    "lock_date_for_purchase_orders": {"PeriodLockDate": "/Date(1781049600000+0000)/"},
    "lock_date_format_of_period": {"PeriodLockDate": "/Date(1781049600000+0000)/"},
}
"""What the organisation has to be like for a question to be asked at all."""
SECONDS = 20


class Check:
    """A Demo Company in a world of its own, and the command against it."""

    def __init__(self, world: World, reports: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.world = world
        self.organisation = world.add_organisation(
            {"country": "UK", "name": "Demo Company (UK)", "is_demo": True}
        )
        self.access = custom_connection(world, self.organisation)
        self.reports = reports
        self._capture = capture
        self.said = ""

    def run(self, *asked: Question | str, **environment: str) -> int:
        """Ask these, all where there is none. Returns the exit code."""
        only = [one if isinstance(one, str) else one.id for one in asked]
        given = {
            "XERO_CLIENT_ID": self.access.client_id,
            "XERO_CLIENT_SECRET": self.access.client_secret,
            "XERO_IDENTITY_URL": self.access.identity_url,
            "XERO_API_URL": self.access.api_url,
            "ONLY": ",".join(only),
        }
        try:
            return main(given | environment, self.world.clock, self.reports)
        finally:
            self.said += self._capture.readouterr().out

    @property
    def report(self) -> str:
        [path] = self.reports.iterdir()
        return path.read_text()

    @property
    def living(self) -> list[str]:
        """Whatever of the run is still in the books."""
        books = self.organisation
        return [
            *(one.number for one in books.documents.values() if one.status not in DEAD),
            *(
                one.name
                for one in books.contacts.values()
                if one.name[:3] == "LC-" and one.status == "ACTIVE"
            ),
            *books.items,
        ]

    @property
    def writes(self) -> list[Entry]:
        return [one for one in self.world.log.entries if one.committed]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    world = World(VirtualClock(), seed=3, demo=False)
    monkeypatch.setattr(command, "session", lambda calls_at_once: simulated.in_process(world))
    return Check(world, tmp_path / "reports", capsys)


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Question]:
    """Puts a function among the questions."""

    def add(ask: Callable[[Books], Answers], **given: Any) -> Question:
        added = question("?", **given)(ask)
        monkeypatch.setattr(command, "QUESTIONS", [*command.QUESTIONS, added])
        return added

    return add


def credited_invoice(books: Books) -> None:
    """An invoice that a credit note pays, so that neither can be voided before the allocation is gone."""
    paid = books.make("Invoices", books.invoice(Status="AUTHORISED"))
    note = books.make("CreditNotes", books.credit_note())
    allocation = {"Amount": paid["Total"], "Date": books.today, "Invoice": {"InvoiceID": paid["InvoiceID"]}}
    path = f"CreditNotes/{note['CreditNoteID']}/Allocations"
    needed(books.call("PUT", path, {"Allocations": [allocation]}), "PUT Allocations")


def makes_much(books: Books) -> Answers:
    """One of everything, in each of its states."""
    books.make("Invoices", books.invoice())
    books.make("Invoices", books.invoice(Status="SUBMITTED"))
    item = books.make("Items", books.item())
    books.make("Invoices", books.invoice(books.line(ItemCode=item["Code"]), Status="AUTHORISED"))
    books.make("Invoices", books.bill(Status="AUTHORISED"))
    books.make("PurchaseOrders", books.purchase_order(Status="AUTHORISED"))
    books.make("Contacts", {"Name": f"{books.number()} second"})
    books.make("CreditNotes", books.credit_note(Status="DRAFT"))
    credited_invoice(books)
    return {"all of it": "accepted"}


# --- the questions


def test_every_open_answer_is_asked_for() -> None:
    asked = {fact for one in ASKED.values() for fact in one.facts}
    assert {fact.name for fact in OPEN_ANSWERS} == asked | (BY_HAND.keys() & CHOICES.keys())
    assert not asked & BY_HAND.keys()


def asked_of_the_simulated_xero(asked: Question) -> list[simulated.Simulated]:
    like = LIKE | LIKE_FOR.get(asked.id, {})
    currencies = asked.id != "currency_on_a_single_currency_plan"
    return list(simulated.answers(asked, like, currencies=currencies, now=VirtualClock()))


@pytest.mark.parametrize(
    "id_", [one.id for one in ASKED.values() if (one.facts or len(one.situations) > 1) and not one.only_xero]
)
def test_a_question_tells_the_answers_of_its_facts_apart(id_: str) -> None:
    asked = ASKED[id_]
    given = asked_of_the_simulated_xero(asked)
    assert not [one for one in given if "it could not be asked" in one.answers]
    answers = [tuple(one.answers.items()) for one in given]
    # stock that may be sold short is told apart by more than its fact
    assert len(set(answers)) == len(answers) - (id_ == "no_stock_text")
    # a fact of one choice is a text, and has to be among the answers
    for [text] in (CHOICES[fact] for fact in asked.facts if len(CHOICES[fact]) == 1):
        shown = re.sub(r"\\{\w+\\}", ".*", re.escape(text))
        assert any(re.search(shown, result) for result in given[0].answers.values()), text


@pytest.mark.parametrize("id_", [one.id for one in ASKED.values() if one.only_xero])
def test_nothing_is_kept_from_the_simulated_xero_that_it_could_answer(id_: str) -> None:
    """Fails once it has learnt it: then take the mark away, so that the answers are compared."""
    given = asked_of_the_simulated_xero(Question(**(vars(ASKED[id_]) | {"only_xero": ""})))
    told_apart = len({str(one.answers) for one in given}) == len(given)
    assert not told_apart or re.search("HTTP (404|501)|it could not be asked", str(given))


# --- a run


def test_a_run_asks_everything_and_shows_which_open_answers_are_wrong(
    check: Check, figure: Callable[[str], None]
) -> None:
    world = check.world
    for fact, choice in (
        ("tie_rounding", "half_even"),
        ("number_case", "kept"),
        ("dead_number_reuse", "allowed"),
        ("longest_credit_note_number", "50"),
        ("several_allocations_in_one_call", "refused"),
        ("allocation_id_in_the_reply", "present"),
    ):
        world.unconfirmed.choose(fact, choice)
    world.identity.access_token_lives = timedelta(minutes=4)
    check.organisation.backorders = False
    check.organisation.period_lock_date = world.now().date() - timedelta(days=200)
    by_hand = {"PurchaseOrderNumber": "BY-HAND", "LineItems": [{"Description": "A", "UnitAmount": 1}]}
    contact = {"Contact": {"ContactID": next(iter(check.organisation.contacts))}}
    assert add_document(world, check.organisation, by_hand | contact).status == 200
    world.faults.add({"kind": "rate_limit_concurrent", "path_prefix": "/api.xro/2.0/Accounts", "skip": 1})
    code = check.run()
    wrong = re.search(r"## Where the simulated Xero is wrong\n\n(.*?)\n\n", check.report, re.DOTALL)
    assert wrong is not None
    assert wrong[1].splitlines() == [
        "- `dead_number_reuse`: as with dead_number_reuse = allowed",
        "- `number_case`: as with number_case = kept",
        "- `tie_rounding`: as with tie_rounding = half_even",
        "- `no_stock_text`: as with no backorders",
        "- `credit_note_number`: as with longest_credit_note_number = 50,"
        " but for: PUT, after a void; POST, after a void",
        "- `allocation_answered`: as with several_allocations_in_one_call = refused,"
        " allocation_id_in_the_reply = present",
    ]
    assert "tax within: Xero 'to even', simulated 'up'" in check.said
    answered = re.findall(r"^## (\w+): ", check.report, re.MULTILINE)
    silent = re.findall(r"^- `(\w+)`, ", check.report, re.MULTILINE)
    assert sorted({*answered, *silent}) == sorted(one.id for one in QUESTIONS)
    assert code == command.DONE
    # the ten calls at once are meant to meet a limit; no others do
    paced = [one.at for one in world.log.entries if one.method != "PERSON"]
    later = paced[CALLS_A_MINUTE:]
    assert all(last - first >= timedelta(minutes=1) for first, last in zip(paced, later, strict=False))
    assert not [one for one in world.log.entries if one.limit]
    minted = [one for one in world.log.entries if one.grant_type == "client_credentials"]
    assert len(minted) > 3
    took = world.log.entries[-1].at - world.log.entries[0].at
    figure(
        f"a live check of {len(QUESTIONS)} questions: {len(world.log.entries)} calls, at Xero's pace {took}"
    )


def test_a_run_leaves_nothing_but_what_xero_keeps_and_lists_that(check: Check) -> None:
    asked = ("bill_number", "item_code_equality", "no_stock_text", "batch_of_status_changes")
    assert check.run(*asked, "purchase_order_statuses", "contact_name_equality") == command.DONE
    orders = [one for one in check.organisation.documents.values() if one.status == "BILLED"]
    used = [code for code, item in check.organisation.items.items() if item.tracked]
    assert sorted(check.living) == sorted([*(one.number for one in orders), *used])
    assert len(check.living) > 3
    for left in check.living:
        assert re.search(rf"^- (Items|PurchaseOrders) {left}\b.*: refused: ", check.report, re.MULTILINE)


def test_whatever_is_made_bears_the_run_s_id_and_nothing_else_is_touched(
    check: Check, asking: Callable[..., Question]
) -> None:
    others = {one.id for one in check.organisation.contacts.values()}
    line = {"Description": "A", "UnitAmount": 1, "AccountCode": "200"}
    by_hand = {"Type": "ACCREC", "InvoiceNumber": "BY-HAND", "Contact": {"Name": "O'Brien Prints"}}
    add_document(check.world, check.organisation, by_hand | {"LineItems": [line]})
    assert check.run(asking(makes_much)) == command.DONE
    [run] = re.findall(r"This is run (\S+)\.", check.said)
    ours = [record for entry in check.writes if entry.method != "PERSON" for record in entry.committed]
    assert {record["kind"] for record in ours} >= {"contact", "item"}
    for record in ours:
        labels = (record.get(key) for key in ("number", "code", "name", "credit_note"))
        assert next(label for label in labels if label).startswith(run)
    assert check.living == ["BY-HAND"]
    assert {one.id for one in check.organisation.contacts.values() if one.status == "ACTIVE"} == others


def test_no_token_and_no_secret_is_in_the_report_or_on_the_screen(
    check: Check, asking: Callable[..., Question]
) -> None:
    def shows_all(books: Books) -> Answers:
        answer = books.token_answer({"grant_type": "client_credentials", "scope": SCOPES})
        return {"answer": f"{answer} {answer!r}", "access": repr(books.access)}

    assert check.run(asking(shows_all)) == command.DONE
    check.reports.rename(check.reports.with_name("earlier"))
    check.world.faults.add({"kind": "request_lost", "method": "PUT"})
    assert check.run("used_number") == command.STOPPED
    assert "no answer to PUT Contacts: ConnectionError" in check.said
    assert EVERY_TOKEN not in check.report + check.said
    assert MARK not in check.report + check.said


# --- what it refuses


def test_without_credentials_it_says_what_it_needs(check: Check) -> None:
    assert check.run(XERO_CLIENT_SECRET="") == command.NOT_SET_UP
    assert "XERO_CLIENT_SECRET: its secret" in check.said
    assert "XERO_CLIENT_ID" not in check.said
    assert check.run(LOGIN="1") == command.NOT_SET_UP
    assert "XERO_WEB_CLIENT_ID" in check.said
    assert not check.world.log.entries


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"ONLY": "weather"}, "There is no question weather. There are: used_number,"),
        ({"CLEAN": "KX-1"}, "KX-1 is no run's id"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_ones(
    check: Check, environment: dict[str, str], words: str
) -> None:
    assert check.run(**environment) == command.NOT_SET_UP
    assert words in check.said
    assert not check.world.log.entries


def test_it_refuses_books_that_are_no_demo_company_s(check: Check) -> None:
    check.organisation.is_demo = False
    assert check.run() == command.NOT_A_DEMO_COMPANY
    assert "Demo Company (UK) is no Demo Company" in check.said
    assert [one.method for one in check.world.log.entries] == ["POST", "GET"]
    assert not check.writes


def test_a_wrong_secret_is_said(check: Check) -> None:
    assert check.run(XERO_CLIENT_SECRET="of-somebody-else") == command.STOPPED
    assert "Xero gives no access token for" in check.said
    assert "invalid_client" in check.said
    assert "of-somebody-else" not in check.said


# --- what goes wrong on the way


@pytest.mark.parametrize("error", [FailedError("it is so"), KeyError("LineItems")])
def test_a_question_that_fails_midway_is_cleaned_up_and_the_next_one_asked(
    check: Check, asking: Callable[..., Question], error: Exception
) -> None:
    def fails(books: Books) -> Answers:
        makes_much(books)
        raise error

    assert check.run(asking(fails), "number_case") == command.STOPPED
    assert not check.living
    assert re.search(rf"`fails`, FAILED: .*{error.args[0]}", check.report)
    assert "## number_case: same" in check.report


def test_what_cannot_be_asked_here_is_said_and_is_no_failure(
    check: Check, asking: Callable[..., Question]
) -> None:
    check.organisation.accounts = [one for one in check.organisation.accounts if one.type != "INVENTORY"]
    assert check.run("stock_of_drafts") == command.DONE
    assert "`stock_of_drafts`, not asked: the organisation has no account of type INVENTORY" in check.report


def test_what_only_xero_answers_is_shown_beside_why_the_simulated_one_does_not(
    check: Check, asking: Callable[..., Question]
) -> None:
    def only_here(books: Books) -> Answers:
        if books.run == simulated.RUN:
            raise NotAskedError("it has no such thing")
        return {"it": "accepted"}

    assert check.run(asking(only_here)) == command.DONE
    assert "| it could not be asked | – | it has no such thing |" in check.report


@pytest.mark.parametrize("ends", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_and_a_closed_terminal_clean_up(
    check: Check, asking: Callable[..., Question], ends: type[BaseException]
) -> None:
    def waits(books: Books) -> Answers:
        makes_much(books)
        raise ends

    if ends is SystemExit:
        with pytest.raises(SystemExit):
            check.run(asking(waits))
    else:
        assert check.run(asking(waits)) == command.INTERRUPTED
    assert not check.living
    assert "somebody ended it" in check.report


def test_what_a_run_had_to_leave_a_later_one_takes_back(
    check: Check, asking: Callable[..., Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(books: Books) -> Answers:
        makes_much(books)
        monkeypatch.setattr(Books, "end", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        return {}

    added = asking(ends)
    assert check.run(added) == command.INTERRUPTED
    assert len(check.living) > 5
    [run] = re.findall(r"make live-check CLEAN=(\S+) takes it back", check.said)
    monkeypatch.undo()
    monkeypatch.setattr(command, "session", lambda calls_at_once: simulated.in_process(check.world))
    check.world.clock.advance(3 * 86_400)
    assert check.run(CLEAN=run) == command.DONE
    assert not check.living


def test_a_document_whose_answer_was_lost_is_taken_back_as_well(
    check: Check, asking: Callable[..., Question]
) -> None:
    def loses(books: Books) -> Answers:
        assert books.contact
        return {"it": str(books.put("Invoices", books.invoice(), books.invoice(Status="AUTHORISED")))}

    check.world.faults.add({"kind": "reply_lost", "path_prefix": "/api.xro/2.0/Invoices"})
    assert check.run(asking(loses)) == command.STOPPED
    assert [one.status for one in check.organisation.documents.values()] == ["DELETED", "VOIDED"]


def test_what_nobody_can_look_for_or_take_back_is_listed(
    check: Check, asking: Callable[..., Question]
) -> None:
    def makes(books: Books) -> Answers:
        books.make("Invoices", books.invoice())
        lost = {"times": None, "path_prefix": "/api.xro/2.0/Invoices"}
        check.world.faults.add({"kind": "request_lost", **lost})
        return {"it": "accepted"}

    check.run(asking(makes))
    assert re.search(r"^- Invoices LC-\S+ \(DRAFT\): no answer to POST", check.report, re.MULTILINE)
    assert "- Invoices that nobody could look for: no answer to GET Invoices" in check.report


def test_an_allocation_that_is_not_deleted_at_once_is_at_the_end(
    check: Check, asking: Callable[..., Question]
) -> None:
    def allocates(books: Books) -> Answers:
        credited_invoice(books)
        return {"it": "accepted"}

    check.world.faults.add({"kind": "request_lost", "method": "DELETE"})
    assert check.run(asking(allocates)) == command.DONE
    assert [one.status for one in check.organisation.documents.values()] == ["VOIDED", "VOIDED"]
    assert "Still in Xero" not in check.report


@pytest.mark.parametrize("how", ["closed", "another Demo Company", "no Demo Company any more"])
def test_a_reset_in_the_middle_is_noticed_and_nothing_more_is_written(
    check: Check, asking: Callable[..., Question], how: str
) -> None:
    other = check.world.add_organisation({"country": "UK", "name": "Another", "is_demo": True})

    def resets(books: Books) -> Answers:
        books.make("Invoices", books.invoice())
        if how == "closed":
            check.organisation.gone = True
        elif how == "another Demo Company":
            user = next(iter(check.world.users.values()))
            user.tenant_ids.append(other.id)
            app = check.world.portal.apps[check.access.client_id]
            check.world.identity.authorise(app, user, other.id, app.scopes)
        else:
            check.organisation.is_demo = False
        written.extend(check.writes if books.run != simulated.RUN else [])
        return {"it": "accepted"}

    written: list[Entry] = []
    assert check.run(asking(resets), "number_case") == command.STOPPED
    assert "the Demo Company was reset, or the connection was ended, in the middle" in check.report
    assert "number_case" not in check.report
    assert check.writes == written
    assert not other.documents
    assert re.search(r"^- whatever bears LC-\S+: not cleaned up", check.report, re.MULTILINE)


def test_an_organisation_that_cannot_be_asked_for_is_asked_again_and_then_left_alone(
    check: Check, asking: Callable[..., Question]
) -> None:
    asks = {"method": "GET", "path_prefix": "/api.xro/2.0/Organisation"}
    check.world.faults.add({"kind": "request_lost", "times": 2, **asks})
    assert check.run("number_case") == command.DONE
    check.world.faults.add({"kind": "request_lost", "times": None, **asks})
    assert check.run("number_case") == command.STOPPED
    assert "whether these are a Demo Company's books cannot be told" in check.said


def test_xero_s_limits_are_waited_for(check: Check) -> None:
    check.world.faults.add({"kind": "rate_limit_minute", "times": 3, "method": "PUT"})
    began = check.world.now()
    assert check.run("number_case") == command.DONE
    assert check.world.now() - began > timedelta(seconds=3)


def test_the_limit_of_a_day_ends_the_run(check: Check, asking: Callable[..., Question]) -> None:
    check.world.faults.add({"kind": "rate_limit_day", "method": "PUT"})
    assert check.run("number_case", "used_number") == command.STOPPED
    assert "limit of calls a day is reached" in check.said


def test_a_run_ends_while_there_are_calls_left_to_clean_up(
    check: Check, asking: Callable[..., Question]
) -> None:
    check.organisation.day_limit = 160
    assert check.run("used_number", asking(makes_much), "number_case") == command.STOPPED
    assert "the calls of this day are nearly spent" in check.report
    assert not check.living


def test_no_call_is_waited_for_without_end(check: Check) -> None:
    check.world.faults.add({"kind": "slow_answer", "seconds": 3600, "path_prefix": "/api.xro/2.0/Invoices"})
    assert check.run("number_case", "used_number") == command.STOPPED
    assert "no answer to PUT Invoices: ReadTimeout" in check.report
    assert "## used_number: same" in check.report


def test_an_answer_that_is_no_json_fails_its_question_alone(check: Check) -> None:
    check.world.faults.add({"kind": "html_400", "method": "PUT", "path_prefix": "/api.xro/2.0/Invoices"})
    assert check.run("number_case", "used_number") == command.STOPPED
    assert "PUT Invoices was refused: <html>" in check.report
    assert "## used_number: same" in check.report


# --- over sockets


@contextmanager
def served(world: World) -> Iterator[str]:
    server = make_server(world, 0)
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    try:
        yield f"http://localhost:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_command_cleans_up_after_a_real_ctrl_c(tmp_path: Path) -> None:
    world = World(WallClock(), demo=False)
    organisation = world.add_organisation({"country": "UK", "is_demo": True})
    # the second purchase order is still under way when the signal comes
    world.faults.add(
        {"kind": "slow_answer", "seconds": SECONDS, "method": "PUT", "path_prefix": "/api.xro/2.0/Pur"}
    )
    with served(world) as url:
        access = custom_connection(world, organisation, url)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT / 'layers' / 'bookkeeping'}:{ROOT}",
            "XERO_CLIENT_ID": access.client_id,
            "XERO_CLIENT_SECRET": access.client_secret,
            "XERO_IDENTITY_URL": url,
            "XERO_API_URL": url,
            "ONLY": "used_number",
        }
        with subprocess.Popen(
            [sys.executable, "-m", "live_check"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            _until(lambda: any(one.kind == "PURCHASEORDER" for one in organisation.documents.values()))
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == command.INTERRUPTED, said
    assert {one.status for one in organisation.documents.values()} == {"DELETED"}
    assert not [
        one for one in organisation.contacts.values() if one.name[:3] == "LC-" and one.status == "ACTIVE"
    ]
    [report] = (tmp_path / ".local" / "live-check").iterdir()
    assert "somebody ended it" in report.read_text()


def _until(there: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + SECONDS
    while not there():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


# --- logging in


class LoggingIn:
    """`LOGIN=1` over sockets, and whoever sits at the browser: logs in, and allows one organisation each time."""

    def __init__(self, url: str, world: World, reports: Path) -> None:
        self.world = world
        self.organisation = world.add_organisation(
            {"country": "UK", "name": "Demo Company (UK)", "is_demo": True, "users": ["ada@example.com"]}
        )
        self.xero = SimulatedXero(url)
        self.reports = reports
        self.comes_back = True

    def open(self, address: str) -> bool:
        if self.comes_back:
            threading.Thread(target=self._log_in, args=[address]).start()
        return True

    def _log_in(self, address: str) -> None:
        requests.get(self.xero.consent(address, self.organisation.id), timeout=SECONDS)

    def run(self) -> int:
        client_id, secret = self.xero.register_app("Live check", login.REDIRECT)
        urls = dict.fromkeys(("XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"), self.xero.url)
        app = {"XERO_WEB_CLIENT_ID": client_id, "XERO_WEB_CLIENT_SECRET": secret}
        return main({"LOGIN": "1"} | urls | app, WallClock(), self.reports)

    @property
    def report(self) -> str:
        [path] = self.reports.iterdir()
        return path.read_text()


@pytest.fixture
def logging_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoggingIn]:
    world = World(WallClock())
    with served(world) as url, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
        free.close()
        monkeypatch.setattr(login, "REDIRECT", f"http://localhost:{port}/callback")
        office = LoggingIn(url, world, tmp_path / "reports")
        monkeypatch.setattr(webbrowser, "open", office.open)
        yield office


def test_a_person_who_logs_in_is_asked_for_and_the_app_disconnected(
    logging_in: LoggingIn, capsys: pytest.CaptureFixture[str]
) -> None:
    logging_in.world.choose_provider_model("family_revoked")
    assert logging_in.run() == command.DONE
    assert "## plus_in_scope: same" in logging_in.report
    assert "- `used_refresh_tokens`: as with family_revoked" in logging_in.report
    assert "The web app's connection is ended." in capsys.readouterr().out
    assert not logging_in.world.connections.all()


def test_a_login_to_other_books_is_refused_and_disconnected(
    logging_in: LoggingIn, capsys: pytest.CaptureFixture[str]
) -> None:
    logging_in.organisation.is_demo = False
    assert logging_in.run() == command.NOT_A_DEMO_COMPANY
    assert "is no Demo Company" in capsys.readouterr().out
    assert not logging_in.world.connections.all()


@pytest.mark.parametrize("login_ends", ["nobody comes back", "a port is taken", "the code is refused"])
def test_a_login_that_ends_nowhere_is_said(
    logging_in: LoggingIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    login_ends: str,
) -> None:
    taken = socket.socket()
    if login_ends == "nobody comes back":
        logging_in.comes_back = False
        monkeypatch.setattr(login.Browser.__init__, "__defaults__", (0.2,))
        words = "nobody came back from Xero's login"
    elif login_ends == "a port is taken":
        taken.bind(("127.0.0.1", int(login.REDIRECT.split(":")[2].partition("/")[0])))
        taken.listen()
        words = "of this machine is taken"
    else:
        logging_in.world.faults.add({"kind": "request_lost", "path_prefix": "/connect/token"})
        words = "no answer to POST token: ConnectionError"
    with taken:
        assert logging_in.run() == command.STOPPED
    said = capsys.readouterr().out
    assert words in said
    assert "Nobody logged in, so there is no connection to end." in said


def test_a_connection_that_cannot_be_ended_is_said(
    logging_in: LoggingIn, capsys: pytest.CaptureFixture[str]
) -> None:
    logging_in.world.faults.add({"kind": "request_lost", "method": "DELETE", "times": None})
    assert logging_in.run() == command.DONE
    assert "The web app may still be connected; end it in Xero" in capsys.readouterr().out

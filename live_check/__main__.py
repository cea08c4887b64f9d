"""`make live-check`: asks a Xero Demo Company what Xero's documentation leaves open. docs/live-check.md says how.

make live-check                            every question, in about a quarter of an hour
make live-check ONLY=number_case,used_number    these alone
make live-check LOGIN=1                    the questions about logging in alone, which need a browser
make live-check CLEAN=LC-261129-3F9A       only takes back what that run left
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from bookkeeping.adapters.http import session
from live_check import questions, questions_after_posting, questions_login
from live_check.books import RUN, Access, Books, StoppedError, new_run
from live_check.login import REDIRECT, Browser, Login
from live_check.question import Question
from live_check.report import Report
from live_check.run import NotADemoCompanyError, Run
from local.lifetime import end_with_the_shell
from local.xero.clock import Clock, WallClock

DONE, STOPPED, NOT_SET_UP, NOT_A_DEMO_COMPANY, INTERRUPTED = 0, 1, 2, 3, 130
REPORTS: Final = Path(".local") / "live-check"
CUSTOM_CONNECTION: Final = {
    "XERO_CLIENT_ID": "client id of a custom connection to a Xero Demo Company",
    "XERO_CLIENT_SECRET": "its secret",
}
WEB_APP: Final = {
    "XERO_WEB_CLIENT_ID": f"client id of a web app with the redirect URI {REDIRECT}, made for this alone",
    "XERO_WEB_CLIENT_SECRET": "its secret",
}


def of(module: ModuleType) -> list[Question]:
    return [one for one in vars(module).values() if isinstance(one, Question)]


QUESTIONS: Final = [*of(questions), *of(questions_after_posting)]
LOGIN_QUESTIONS: Final = of(questions_login)


def say(text: str = "") -> None:
    print(text, flush=True)


def main(environment: Mapping[str, str], clock: Clock, reports: Path = REPORTS) -> int:
    login = environment.get("LOGIN") == "1"
    needs = WEB_APP if login else CUSTOM_CONNECTION
    if missing := [f"  {name}: {what}" for name, what in needs.items() if not environment.get(name)]:
        say(
            "Nothing was asked. These have to be in the environment; docs/live-check.md says how to get them:"
        )
        say("\n".join(missing))
        return NOT_SET_UP
    try:
        asked = chosen(LOGIN_QUESTIONS if login else QUESTIONS, environment.get("ONLY", ""))
        run = earlier(environment.get("CLEAN", "")) or new_run(clock.now())
    except ValueError as mistake:
        say(f"Nothing was asked. {mistake}")
        return NOT_SET_UP
    access = Access(
        environment.get("XERO_IDENTITY_URL") or "https://identity.xero.com",
        environment.get("XERO_API_URL") or "https://api.xero.com",
        *(environment[name] for name in needs),
    )
    report = Report(run, clock.now(), reports / f"{run}.md")
    at_once = session(calls_at_once=10)
    if login:
        login_url = environment.get("XERO_LOGIN_URL") or "https://login.xero.com"
        person = Login(access, login_url, Browser(say), run, at_once, clock)
        try:
            return work(Run(person, report, say, after_each=dict, at_the_end=dict), report, asked)
        finally:
            say(person.disconnect())
    report.by_hand = questions.BY_HAND
    books = Books(access, run, at_once, clock)
    return work(Run(books, report, say), report, [] if environment.get("CLEAN") else asked)


def chosen(questions_: Sequence[Question], only: str) -> Sequence[Question]:
    """The questions of these ids, all where none is named. Raises ValueError for an id that there is not."""
    by_id = {question.id: question for question in questions_}
    wanted = [id_.strip() for id_ in only.split(",") if id_.strip()]
    if unknown := [id_ for id_ in wanted if id_ not in by_id]:
        raise ValueError(f"There is no question {', '.join(unknown)}. There are: {', '.join(by_id)}.")
    return [by_id[id_] for id_ in wanted] or questions_


def earlier(run: str) -> str:
    """The id of an earlier run, as it is. Raises ValueError for what is none."""
    if run and not RUN.fullmatch(run):
        raise ValueError(f"{run} is no run's id; one looks like LC-261129-3F9A.")
    return run


def work(run: Run, report: Report, asked: Sequence[Question]) -> int:
    say(f"This is run {report.run}. Whatever it makes in Xero bears that id.")
    try:
        run.ask(asked) if asked else run.clean_up()
    except NotADemoCompanyError as books:
        say(f"Nothing was asked: {books} is no Demo Company. Connect one, and nothing else.")
        return NOT_A_DEMO_COMPANY
    except StoppedError as stopped:
        say(f"Nothing was asked: {stopped}.")
        return STOPPED
    except KeyboardInterrupt:
        say(
            f"Ended. What may still be in Xero is in {report.path}; make live-check CLEAN={report.run} takes it back."
        )
        return INTERRUPTED
    say(f"{report.counts()}." if asked else "Cleaned up.")
    if report.ended:
        say(f"It ended early: {report.ended}")
    for what, why in report.stays.items():
        say(f"Still in Xero: {what}: {why}")
    say(f"The report: {report.path}")
    return STOPPED if report.failed else DONE


if __name__ == "__main__":
    end_with_the_shell()
    sys.exit(main(os.environ, WallClock()))

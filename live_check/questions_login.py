"""What is open about logging in. These need a person and a browser."""

from __future__ import annotations

from live_check.books import Answer, Answers, needed
from live_check.login import LOGIN_SCOPES, Login
from live_check.question import Situation, question
from live_check.questions import all_at_once


@question("Does the login take '+' between scopes?", "plus_in_scope", login=True)
def plus_in_scope(login: Login) -> Answers:
    tokens = login.consented("+")
    if tokens is None:
        return {"scopes joined by +": "nothing came back"}
    missing = [scope for scope in LOGIN_SCOPES if scope not in tokens.scopes]
    return {"scopes joined by +": f"accepted without {', '.join(missing)}" if missing else "accepted"}


def _model(name: str) -> Situation:
    return lambda world, organisation: world.choose_provider_model(name)


@question(
    "Which refresh tokens are good, once they were used?",
    login=True,
    situations={name: _model(name) for name in ("lenient_grace", "newest_and_parent", "family_revoked")},
)
def used_refresh_tokens(login: Login) -> Answers:
    first = login.refresh_token
    at_once = all_at_once([lambda: login.refresh(first)] * 4)
    children = [_refresh_token(answer) for answer in at_once if answer.accepted]
    again = login.refresh(first)
    newest = _refresh_token(needed(again, "the first one once more")) if again.accepted else children[-1]
    answers = {
        "four times at once": f"{len(children)} of 4 granted",
        "the first one once more": str(again),
        "one of those granted at once": str(login.refresh(children[0])),
    }
    last = login.refresh(newest)
    answers["the newest"] = str(last)
    answers["the first one, after that"] = str(login.refresh(first))
    answers["the newest, after that"] = str(login.refresh(_refresh_token(last))) if last.accepted else "–"
    return answers


def _refresh_token(answer: Answer) -> str:
    return str(answer.body["refresh_token"])

"""The simulated Xero's answers to a question, with whatever its table of open facts has to choose from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from urllib.parse import parse_qsl, urlsplit

import requests

from live_check import login
from live_check.books import SCOPES, Access, Answers, Books, FailedError, NotAskedError, StoppedError, day
from live_check.login import Login
from live_check.question import Question, Situation
from local.xero.charts import COUNTRIES
from local.xero.clock import Clock, VirtualClock
from local.xero.identity import AuthorizeError
from local.xero.in_process import InProcess
from local.xero.organisations import Organisation
from local.xero.portal import CUSTOM_CONNECTION
from local.xero.server import create_app
from local.xero.unconfirmed import OPEN_ANSWERS
from local.xero.world import World

URL = "http://xero.test"
RUN = "LC-SIMULATED"
CHOICES = {fact.name: fact.answers for fact in OPEN_ANSWERS}


@dataclass(frozen=True)
class Simulated:
    """What the simulated Xero answers where it is set up so."""

    setup: str
    answers: Answers


def answers(
    question: Question, like: Mapping[str, object], *, currencies: bool, now: Clock
) -> Iterator[Simulated]:
    """The answers of an organisation of the same country, tax, lock dates and plan as the one that is `like` this.

    As it is comes first, then every other choice of the question's facts.
    """
    if question.only_xero:
        return
    for name, situation in question.situations.items():
        for choices in product(*(CHOICES[fact] for fact in question.facts)):
            world = World(VirtualClock(now.now()), demo=False)
            organisation = _organisation(world, like, currencies=currencies)
            setup = [name] if name else []
            for fact, choice in zip(question.facts, choices, strict=True):
                world.unconfirmed.choose(fact, choice)
                setup += [f"{fact} = {choice}"] if choice != CHOICES[fact][0] else []
            yield Simulated(", ".join(setup), _asked(question, world, organisation, situation))


def _asked(question: Question, world: World, organisation: Organisation, situation: Situation) -> Answers:
    books = logged_in(world, organisation) if question.login else connected(world, organisation)
    books.begin(1)
    situation(world, organisation)
    try:
        said = question.ask(books)
    except (NotAskedError, FailedError, StoppedError) as error:
        said = {"it could not be asked": str(error)}
    return {tried: books.masked(result) for tried, result in said.items()}


def _organisation(world: World, like: Mapping[str, object], *, currencies: bool) -> Organisation:
    countries = {country.code: name for name, country in COUNTRIES.items()}
    locks = {"period_lock_date": "PeriodLockDate", "end_of_year_lock_date": "EndOfYearLockDate"}
    return world.add_organisation(
        {
            "country": countries.get(str(like.get("CountryCode")), "UK"),
            "is_demo": True,
            "pays_tax": bool(like.get("PaysTax")),
            "multicurrency": currencies,
        }
        | {name: day(like[key]) for name, key in locks.items() if like.get(key)}
    )


def connected(world: World, organisation: Organisation) -> Books:
    """The books of an organisation through a custom connection, in process."""
    return Books(custom_connection(world, organisation), RUN, in_process(world), world.clock)


def logged_in(world: World, organisation: Organisation) -> Login:
    """The same through a web app, whose user allows whatever is asked."""
    user = world.add_user({"email": f"{world.new_id()}@example.com", "organisations": [organisation.id]})
    app = world.portal.register({"name": "Live check", "redirect_uris": [login.REDIRECT]}, world.now())
    access = Access(URL, URL, app.client_id, world.portal.generate_secret(app))

    def consent(address: str) -> dict[str, str] | None:
        try:
            request = world.identity.authorize_request(urlsplit(address).query)
        except AuthorizeError:
            return None
        return dict(parse_qsl(urlsplit(world.identity.allow(request, user, [organisation.id])).query))

    return Login(access, URL, consent, RUN, in_process(world), world.clock)


def in_process(world: World) -> requests.Session:
    session = requests.Session()
    session.mount(URL, InProcess(create_app(world), world))
    return session


def custom_connection(world: World, organisation: Organisation, url: str = URL) -> Access:
    user = world.add_user({"email": f"{world.new_id()}@example.com", "organisations": [organisation.id]})
    app = world.portal.register({"name": "Live check", "kind": CUSTOM_CONNECTION}, world.now())
    secret = world.portal.generate_secret(app)
    world.identity.authorise(app, user, organisation.id, tuple(SCOPES.split()))
    return Access(url, url, app.client_id, secret)

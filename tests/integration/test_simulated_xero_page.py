"""docs/simulated-xero.md is complete and true: every control is on it, and what it tells a person to do does that."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from werkzeug.routing import Rule

from bookkeeping.domain.problems.catalogue import CATALOGUE, WAITS
from bookkeeping.domain.settings import Settings
from local.sample_kinds import KINDS
from local.xero import faults
from local.xero.changes import CHANGES
from local.xero.clock import VirtualClock
from local.xero.in_process import InProcess
from local.xero.server import SimulatedXero, create_app
from local.xero.world import World
from tests.integration.test_every_problem import AFTER_POSTING, IN_TIME, Scene, Site, site

__all__ = ["site"]

PAGE = Path("docs/simulated-xero.md").read_text()
XERO = "http://xero.test"
PROBLEMS = PAGE.partition("\n## Provoke each problem")[2].partition("\n## All controls")[0]
ROWS = dict(re.findall(r"^\| `(\w+)`(?: \(Tracked\))? \| (.*) \|$", PROBLEMS, re.MULTILINE))
"""What to do, by problem or by reason to wait."""
TRACKED = set(re.findall(r"^\| `(\w+)` \(Tracked\) \|", PROBLEMS, re.MULTILINE))
IN_PROSE = {
    "bad_id",
    "settings_prefix_clash",
    "may_already_be_in",
    "xero_unreadable",
    "xero_fails",
    "our_fault",
    "edited_meanwhile",
    "posted_unrecorded",
    "posted_elsewhere",
    "correction_fault",
}
"""Problems that take more than one page, or long: the page tells how, and other tests provoke them."""


@pytest.fixture(scope="module")
def xero() -> SimulatedXero:
    return create_app(World(VirtualClock()))


def do(xero: SimulatedXero, method: str, path: str, body: str | None, known: Mapping[str, str]) -> None:
    """Call a control, with the values of what the page writes as `$ORG`."""
    session = requests.Session()
    session.mount(XERO, InProcess(xero, xero.world))
    url, data = f"{XERO}/_simulator/{path}", body or ""
    for name, value in known.items():
        url, data = url.replace(name, value), data.replace(name, value)
    answered = session.request(method, url, data=data.encode(), timeout=30)
    assert answered.ok, (method, url, data, answered.text)


# --- the list of controls


def curls() -> list[tuple[str, str, str | None]]:
    """Method, path and body of each example, as a shell reads them."""
    found = []
    for line in PAGE.splitlines():
        if line.startswith("curl "):
            words = shlex.split(line)
            method = words[words.index("-X") + 1] if "-X" in words else "GET"
            body = words[words.index("-d") + 1] if "-d" in words else None
            [url] = [word for word in words if word.startswith("$XERO/_simulator/")]
            found.append((method, url.removeprefix("$XERO/_simulator/"), body))
    return found


def controls(xero: SimulatedXero) -> list[tuple[str, Rule]]:
    return [
        (method, rule)
        for rule in xero.site.url_map.iter_rules()
        if rule.rule.startswith("/_simulator/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    ]


def test_every_control_has_an_example(xero: SimulatedXero) -> None:
    adapter = xero.site.url_map.bind("xero.test")
    shown = {
        (method, adapter.match(f"/_simulator/{path.partition('?')[0]}", method, return_rule=True)[0].rule)
        for method, path, _ in curls()
    }
    assert {(method, rule.rule) for method, rule in controls(xero)} - shown == set()


def test_every_example_works(xero: SimulatedXero) -> None:
    organisation = next(iter(xero.world.organisations.values()))
    app = xero.world.portal.register(
        {"name": "Orders", "redirect_uris": ["http://localhost:1/callback"]}, xero.world.now()
    )
    custom = xero.world.portal.register({"name": "Live check", "kind": "Custom connection"}, xero.world.now())
    known = {"$ORG": organisation.id, "$APP": app.client_id, "$CUSTOM": custom.client_id}
    for method, path, body in curls():
        do(xero, method, path, body, known)


@pytest.mark.parametrize("names", [faults.KINDS, set(CHANGES)], ids=["kinds of fault", "keys of a change"])
def test_every_fault_and_every_change_is_explained(names: set[str]) -> None:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    assert names - set(re.findall(r"`(\w+)`", " ".join(rows))) == set()


# --- the problems


def test_the_page_says_how_to_provoke_each_problem() -> None:
    assert set(CATALOGUE) - set(ROWS) - IN_PROSE == set()
    assert all(f"`{code}`" in PAGE for code in IN_PROSE)


LABELS = {Settings.label(key): key for key in Settings.model_fields}
STEP = re.compile(
    r"“(?P<label>[^”]+)” `(?P<value>[^`]*)`"
    r"|press “(?P<button>[^”]+)”(?:: (?P<pieces>\d+) of line (?P<line>\d+))?"
    r"|\*(?P<sample>[^*]+)\*"
    r"|`(?P<method>[A-Z]+) (?P<path>[^ `]+)(?: (?P<body>[^`]+))?`"
)


class Hand:
    """A person who does what a row says, for one company."""

    def __init__(self, site: Site, row: str, *, tracked: bool) -> None:
        self.scene = Scene(site, tracked=tracked)
        self.scene.office = site.popup.browser(self.scene.company, permissions=["credit"])
        self.xero = create_app(site.world.xero)
        found = [STEP.fullmatch(step) for step in row.split(" → ")]
        self.steps = [step.groupdict() for step in found if step]
        assert len(self.steps) == len(found), row
        self.samples_left = sum(bool(step["sample"]) for step in self.steps)

    def do_all(self) -> None:
        for step in self.steps:
            if step["label"]:
                self.scene.settings(**{LABELS[step["label"]]: _value(step["value"])})
            elif step["sample"]:
                self.send(step["sample"])
            elif step["button"]:
                self.press(step)
            else:
                self.control(step["method"], step["path"], step["body"])

    def send(self, sample: str) -> None:
        """Send the order, and wait for the document that a later step is about."""
        self.samples_left -= 1
        kind = KINDS[sample]
        order = self.scene.good if not self.samples_left else self.scene.order()
        made = self.scene.order(kind.lines) | {"id": order["id"], "ref": order["ref"]}
        self.scene.send(_text(kind.message(made)), kind.company or None)
        if self.steps[-1]["sample"] != sample or self.samples_left:
            before = len(self.scene.organisation.documents)
            while len(self.scene.organisation.documents) == before:
                self.scene.go_on(1)
            self.scene.go_on(2)

    def press(self, step: Mapping[str, Any]) -> None:
        path = f"orders/{self.scene.good['id']}"
        shown = self.scene.office.get(path).json
        [choice] = [one for one in shown["choices"] if one["label"] == step["button"]]
        lines = [{"line": int(step["line"]), "pieces": step["pieces"]}] if step["line"] else []
        body = {"asked": choice["asked"], "version": shown["version"], "lines": lines}
        answer = self.scene.office.post(f"{path}/correction", body)
        assert answer.status == 200, answer

    def control(self, method: str, path: str, body: str | None) -> None:
        known = {"$ORG": self.scene.organisation.id, "$NUMBER": f"KX-{self.scene.good['id']}"}
        do(self.xero, method, path, body, known)


def _value(text: str) -> Any:
    """The value of a setting, as its field takes it."""
    return json.loads(text) if text[:1] in ('"', "{", "[") else text


def _text(message: Any) -> str:
    return message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)


@pytest.fixture
def world_as_before(site: Site) -> Iterator[None]:
    """One world for all rows, so what a row changes for all companies is put back."""
    yield
    site.world.xero.faults.remove()
    for row in site.world.xero.unconfirmed.table():
        site.world.xero.unconfirmed.choose(row["name"], row["answers"][0])  # type: ignore[arg-type, index]


@pytest.mark.parametrize("code", [code for code in ROWS if code in CATALOGUE])
@pytest.mark.usefixtures("world_as_before")
def test_a_person_who_does_what_the_page_says_sees_the_problem(code: str, site: Site) -> None:
    hand = Hand(site, ROWS[code], tracked=code in TRACKED)
    hand.do_all()
    hand.scene.world.run(IN_TIME)
    shown = hand.scene.office.get(f"orders/{hand.scene.good['id']}").json
    if code in AFTER_POSTING:
        assert (shown["state"], shown["correction"]["problem"]["code"]) == ("posted", code), shown
    else:
        assert (shown["state"], shown["problem"]["code"]) == ("needs_attention", code), shown


@pytest.mark.parametrize("reason", [reason for reason in ROWS if reason in WAITS])
@pytest.mark.usefixtures("world_as_before")
def test_a_person_who_does_what_the_page_says_sees_what_an_order_waits_for(reason: str, site: Site) -> None:
    hand = Hand(site, ROWS[reason], tracked=False)
    hand.do_all()
    until = hand.scene.world.clock.now() + timedelta(minutes=10)
    says = re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(WAITS[reason])))
    while not says.fullmatch(words := hand.scene.office.get(f"orders/{hand.scene.good['id']}").json["words"]):
        assert hand.scene.world.clock.now() < until, words
        hand.scene.go_on(1)

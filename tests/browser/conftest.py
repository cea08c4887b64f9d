"""A browser, and the page in it."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, ViewportSize, sync_playwright

from local.samples import Maker
from local.system import LocalSystem
from tests.browser.site import Serving, Site

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZE: ViewportSize = {"width": 1000, "height": 900}
HOW_TO_GET_ONE = (
    "No browser, so the page was not tested: install Chromium (on Debian: apt-get install chromium),"
    " or set CHROMIUM to where it is"
)


def chromium() -> str | None:
    """Where the browser is. One that is named must be there."""
    return os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = chromium()
    if executable is None:
        # `make test` needs Python and make only; CI names its browser, whose lack is an error then, and no skip
        pytest.skip(HOW_TO_GET_ONE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def site() -> Iterator[Site]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    told = Site()
    serving = Serving(told)
    yield told
    serving.stop()


class Tab:
    """A page of 1,000 pixels in a browser window of its own, and what its scripts complain about."""

    def __init__(self, browser: Browser) -> None:
        self._context = browser.new_context(viewport=SIZE, locale="en-GB", timezone_id="Europe/London")
        self._context.set_default_timeout(5_000)
        self._context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.complaints: list[str] = []
        self.page = self._context.new_page()
        self.page.on("console", self._listen)
        self.page.on("pageerror", self._fail)

    def _listen(self, message: ConsoleMessage) -> None:
        # the browser itself reports every refused call; those the tests provoke
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)

    def _fail(self, error: Error) -> None:
        self.complaints.append(str(error))

    def leave(self) -> None:
        """Make the page as it was when it was new, for the next test. A site keeps its own port's storage."""
        self.page.unroute_all()
        self.page.goto("about:blank")
        self.page.mouse.move(0, 0)
        self.page.set_viewport_size(SIZE)
        self.page.emulate_media(color_scheme="null", reduced_motion="null")
        complaints, self.complaints = self.complaints, []
        assert complaints == []

    def close(self) -> None:
        self._context.close()


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Tab]:
    # a new page for each test would take longer than most tests do
    opened = Tab(browser)
    yield opened
    opened.close()


@pytest.fixture
def page(tab: Tab) -> Iterator[Page]:
    """A page that has nothing open. Whatever its scripts complain about fails the test."""
    yield tab.page
    tab.leave()


@pytest.fixture
def page_with_clock(browser: Browser) -> Iterator[Page]:
    """A page whose clock the test moves; it cannot be given back the usual one."""
    tab = Tab(browser)
    tab.page.clock.install()
    yield tab.page
    tab.leave()
    tab.close()


class LocalAddresses:
    """The whole system on this machine, by its addresses."""

    def __init__(self, system: LocalSystem) -> None:
        self._system = system
        self._maker = Maker(first_id=71_000_000)
        self.xero_url: str = system.outputs["xero_url"]

    def launch_url(self, company: str) -> str:
        """Where the platform opens the popup of a company."""
        return f"{self._system.outputs['launch_url']}{company}"

    def send_order(self, company: str) -> str:
        """An order of that company, put on the queue as the platform does; its id."""
        order = self._maker.order(company, 0)
        self._system.client("sqs").send_message(
            QueueUrl=self._system.outputs["orders_queue_url"], MessageBody=json.dumps(order)
        )
        return str(order["id"])

    def documents(self, number: str) -> list[str]:
        """The kinds of document that Xero has under a number."""
        return [
            str(one["kind"]) for one in self._simulator("documents")["documents"] if one["number"] == number
        ]

    def contacts(self, organisation: str) -> list[str]:
        known = {str(one["name"]): one["id"] for one in self._simulator("organisations")["organisations"]}
        return [
            str(one["Name"]) for one in self._simulator(f"organisations/{known[organisation]}")["contacts"]
        ]

    def _simulator(self, path: str) -> Any:
        return requests.get(f"{self.xero_url}/_simulator/{path}", timeout=10).json()


@pytest.fixture(scope="module")
def local_system(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAddresses]:
    with LocalSystem(state=tmp_path_factory.mktemp("system")) as system:
        yield LocalAddresses(system)

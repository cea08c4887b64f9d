"""A flood of the popup in an account that runs ten functions at a time: orders go on."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from typing import Any

import requests

from local.companies import Office, SimulatedXero
from local.system import LocalSystem
from tests.storms.table import Job, Outcome
from tests.whole_system import Site

NEW_ACCOUNT = 10
"""Functions that may run at the same time in an AWS account before its quota is raised."""
COMPANY = "500501"
AT_ONCE = 40
ORDERS, APART = 10, 0.5
PATIENCE = 90.0
WARM = 30
"""Answers after which the popup's functions have started."""


def seconds_to_books(site: Site) -> list[float]:
    """Of a stream of orders: from a message's sending to its commit in Xero."""
    since = site.xero.control("GET", "log")["next"]
    sent: dict[str, float] = {}
    for place in range(ORDERS):
        order = site.order(COMPANY, place)
        sent[site.prefixes[COMPANY] + str(order["id"])] = time.time()
        site.send([json.dumps(order)], MessageGroupId=COMPANY)
        time.sleep(APART)
    took: dict[str, float] = {}
    until = time.time() + PATIENCE
    while sent.keys() - took.keys():
        assert time.time() < until, f"{len(sent.keys() - took.keys())} orders are not in Xero"
        for entry in site.xero.control("GET", "log", since=str(since))["entries"]:
            for done in entry["committed"]:
                if done.get("number") in sent:
                    at = datetime.fromisoformat(entry["committed_at"]).timestamp()
                    took[done["number"]] = at - sent[done["number"]]
        time.sleep(0.1)
    return list(took.values())


def p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20, method="inclusive")[18]


class Flood:
    """So many requests to the popup at any moment, by somebody who has a session: every route in turn."""

    def __init__(self, site: Site) -> None:
        self.answers: Counter[int] = Counter()
        self._url = site.system.outputs["api_url"]
        self._cookie = Office(site.system.outputs, COMPANY).cookie
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._requests, daemon=True) for _ in range(AT_ONCE)]

    def __enter__(self) -> Flood:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _requests(self) -> None:
        headers = {"Cookie": self._cookie, "Sec-Fetch-Site": "same-origin"}
        gets = (
            f"/settings/{COMPANY}",
            f"/api/{COMPANY}/settings",
            f"/api/{COMPANY}/orders",
            f"/api/{COMPANY}/xero/accounts",
            "/static/other/page.js",
            f"/xero/callback/{COMPANY}?state=none",
            "/health",
        )
        asked: Iterator[dict[str, Any]] = cycle(
            [{"method": "GET", "url": self._url + path} for path in gets]
            + [{"method": "POST", "url": f"{self._url}/launch", "data": {"token": "none"}}]
        )
        with requests.Session() as session:
            while not self._over.is_set():
                answer = session.request(**next(asked), headers=headers, timeout=60, allow_redirects=False)
                with self._lock:
                    self.answers[answer.status_code] += 1
                # without this the flood would take this machine's processor, which is no account's
                time.sleep(1)


def flooded() -> Outcome:
    """Orders beside a flood: none is given up, and 95 in 100 take at most twice as long as without it."""
    with (
        tempfile.TemporaryDirectory(prefix="flood-") as state,
        # unscaled: the throttles' seconds are real ones, like a processor's
        LocalSystem(scale=1.0, state=Path(state), functions_at_once=NEW_ACCOUNT) as system,
    ):
        site = Site(system, SimulatedXero(system.outputs["xero_url"]))
        site.wait_until_open()
        site.company(COMPANY)
        system.wait_ready()
        calm = p95(seconds_to_books(site))
        with Flood(site) as flood:
            # Starts of functions share this machine's processor, and last here as they never do on AWS.
            while flood.answers[200] < WARM:
                time.sleep(0.2)
            beside = p95(seconds_to_books(site))
        dead = site.in_queue("orders_dead_letter_queue") + site.in_queue("posting_dead_letter_queue")
    said = (
        f"{AT_ONCE} requests at once beside orders, ten functions: p95 {calm:.1f} s calm, {beside:.1f} s flooded"
        f" (at most twice as long), {dead} dead letters, answers {dict(flood.answers)}"
    )
    kept = dead == 0 and beside <= 2 * calm and min(flood.answers[200], flood.answers[429]) > WARM
    return Outcome(
        faults=flood.answers[429],
        lost=dead,
        bad=[] if kept else [said],
        figures=Counter(orders=2 * ORDERS),
        said=[said],
    )


def jobs(promise: str) -> list[Job]:
    return [Job(promise, "a flood of the popup", flooded, weight=80)]

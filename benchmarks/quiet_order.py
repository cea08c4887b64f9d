"""How long a lone order takes from the queue to the books, in real processes and unscaled."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

from local.companies import SimulatedXero
from local.system import LocalSystem
from tests.whole_system import Site

COMPANY = "500401"
APART = 6.0
"""Seconds between an order's arrival in the books and the next one's sending: its lane has come to rest."""
PATIENCE = 120.0


def quiet_order(orders: int) -> dict[str, Any]:
    """Seconds from the message's sending to its commit in Xero: the first time, and p50 and p95 of `orders` more."""
    with TemporaryDirectory() as folder, LocalSystem(scale=1.0, state=Path(folder)) as system:
        site = Site(system, SimulatedXero(system.outputs["xero_url"]))
        site.wait_until_open()
        site.company(COMPANY)
        system.wait_ready()
        cold = _seconds_to_books(site, 0)
        seconds: list[float] = []
        for place in range(1, orders + 1):
            time.sleep(APART)
            seconds.append(_seconds_to_books(site, place))
    ranks = quantiles(seconds, n=20, method="inclusive")
    return {"orders": orders, "first": cold, "p50": ranks[9], "p95": ranks[18], "slowest": max(seconds)}


def _seconds_to_books(site: Site, place: int) -> float:
    order = site.order(COMPANY, place)
    number = site.prefixes[COMPANY] + str(order["id"])
    since = site.xero.control("GET", "log")["next"]
    began = time.time()
    site.send([json.dumps(order)], MessageGroupId=COMPANY)
    while time.time() - began < PATIENCE:
        for entry in site.xero.control("GET", "log", since=str(since))["entries"]:
            if any(done.get("number") == number for done in entry["committed"]):
                return datetime.fromisoformat(entry["committed_at"]).timestamp() - began
        time.sleep(0.05)
    raise TimeoutError(f"{number} is not in Xero after {PATIENCE:.0f} s")

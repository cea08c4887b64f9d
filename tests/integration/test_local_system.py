"""The local system comes up whole, beside another one, and leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from local.system import XERO_URLS, LocalSystem

ROOT = Path(__file__).parents[2]


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def test_two_systems_run_side_by_side_and_end_without_a_trace(tmp_path: Path) -> None:
    with LocalSystem(state=tmp_path / "one") as one, LocalSystem(state=tmp_path / "two") as two:
        one.wait_ready()
        two.wait_ready()
        written = json.loads((tmp_path / "one" / "outputs.json").read_text())
        assert written == one.outputs
        urls = {system.outputs[name] for system in (one, two) for name in ("aws_url", "xero_url")}
        assert len(urls) == 4
        assert all(map(answers, urls))
        assert all(system.function_pids("PostingSweepFunction") for system in (one, two))
        assert log_levels(one) == {"DEBUG"}
        assert carried(one, "1") == [("OrderPosted", {"id": "1"})]
        assert two.events() == []
    assert not (tmp_path / "one" / "outputs.json").exists()
    assert not any(map(answers, urls))
    assert [system.function_pids("PostingSweepFunction") for system in (one, two)] == [[], []]


def test_xero_s_addresses_set_from_outside_take_the_place_of_the_simulated_xero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = LocalSystem()
    simulated = "http://localhost:8400"
    monkeypatch.setattr(system, "_start_xero", lambda: simulated)
    addresses = system._xero_parameters()
    assert addresses.pop("XeroPortalUrl") == f"{simulated}/developer/apps"
    assert addresses == dict.fromkeys(XERO_URLS, simulated)
    monkeypatch.setenv("XERO_WEB_URL", "https://xero.example")
    assert system._xero_parameters()["XeroWebUrl"] == "https://xero.example"
    assert system._xero_parameters()["XeroApiUrl"] == simulated
    monkeypatch.delattr(system, "_start_xero")
    monkeypatch.delenv("XERO_WEB_URL")
    called = {name: f"https://{name}.example" for name in XERO_URLS if name != "XeroWebUrl"}
    for name, address in called.items():
        monkeypatch.setenv(XERO_URLS[name], address)
    assert system._xero_parameters() == called


def log_levels(system: LocalSystem) -> set[str]:
    """At what level the functions log: what is secret is looked for in all that they have to say."""
    functions = system.client("lambda").list_functions()["Functions"]
    return {function["Environment"]["Variables"]["AWS_LAMBDA_LOG_LEVEL"] for function in functions}


def carried(system: LocalSystem, id_: str) -> list[tuple[str, dict[str, str]]]:
    """What the bus has carried once an event was put on it."""
    entry = {"Source": "kornitx.xero", "DetailType": "OrderPosted", "Detail": json.dumps({"id": id_})}
    bus = {"EventBusName": system.outputs["event_bus"]}
    system.client("events").put_events(Entries=[entry | bus])
    until = time.monotonic() + 10
    while not system.events() and time.monotonic() < until:
        time.sleep(0.1)
    return [(event["detail-type"], event["detail"]) for event in system.events()]


def test_ctrl_c_ends_everything_in_order(tmp_path: Path) -> None:
    script = (
        "import signal, sys, time, pathlib, local.system as s\n"
        # a shell that runs the tests in the background has its children ignore Ctrl-C
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with s.LocalSystem(state=pathlib.Path(sys.argv[1])): time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "outputs.json").exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        outputs = json.loads((tmp_path / "outputs.json").read_text())
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert said.decode().rstrip().endswith("KeyboardInterrupt")
    assert not answers(outputs["aws_url"])
    assert not answers(outputs["xero_url"])

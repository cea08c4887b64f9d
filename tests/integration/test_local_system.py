"""The local system comes up whole, beside another one, and leaves nothing running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.processes import function_pids, pids_folder
from local.system import XERO_URLS, LocalSystem
from local.xero.clock import WallClock
from local.xero.server import make_server
from local.xero.world import World

ROOT = Path(__file__).parents[2]


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def test_xero_s_addresses_set_from_outside_take_the_place_of_the_simulated_xero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = LocalSystem()
    simulated = "http://localhost:8400"
    monkeypatch.setattr(system, "_start_xero", lambda: simulated)
    addresses = system._xero_urls()
    assert addresses.pop("XERO_PORTAL_URL") == f"{simulated}/developer/apps"
    assert addresses == dict.fromkeys(XERO_URLS, simulated)
    monkeypatch.setenv("XERO_WEB_URL", "https://xero.example")
    assert system._xero_urls()["XERO_WEB_URL"] == "https://xero.example"
    assert system._xero_urls()["XERO_API_URL"] == simulated
    monkeypatch.delattr(system, "_start_xero")
    monkeypatch.delenv("XERO_WEB_URL")
    called = {name: f"https://{name}.example" for name in XERO_URLS if name != "XERO_WEB_URL"}
    for name, address in called.items():
        monkeypatch.setenv(name, address)
    assert system._xero_urls() == called


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


# --- as a person starts it, and however it is ended


class Run:
    """A program of the local system that was started as a person would, with its output in a file."""

    def __init__(self, said: Path, *command: str, **environment: str) -> None:
        self._said = said
        # a make above the tests must not hand its own flags down
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
        }
        paths = {"PYTHONPATH": f"{ROOT}/layers/bookkeeping"}
        with said.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=inherited | paths | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def wait_up(self) -> None:
        """Return once it says that it stays up."""
        until = time.monotonic() + 240
        while "stays up" not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < until, self.said
            time.sleep(0.1)

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs it has listed."""
        lines = [line.split(maxsplit=1) for line in self.said.splitlines() if line.startswith("  ")]
        return {line[0]: line[1] for line in lines if len(line) == 2}

    def left_over(self) -> list[str]:
        """What still answers or runs of it."""
        state = Path(self.outputs["logs"]).parent
        urls = [self.outputs[name] for name in ("aws_url", "xero_url", "api_url", "platform_url")]
        pids = [pid for folder in pids_folder(state).iterdir() for pid in function_pids(folder)]
        files = [file.name for file in state.glob("outputs.json")]
        return [url for url in urls if answers(url)] + [f"function {pid}" for pid in pids] + files

    def wait_gone(self, *, xero_stays: bool = False) -> None:
        """Return once nothing of it is left; fails if that takes long."""
        until = time.monotonic() + 60
        stays = {self.outputs["xero_url"]} if xero_stays else set()
        while set(self.left_over()) != stays:
            assert time.monotonic() < until, self.left_over()
            time.sleep(0.2)


UP = (sys.executable, "-m", "local.up")
READY = [".venv/.ready", ".venv-runtime/.ready", ".venv-ministack/.ready", ".local/build/.ready"]
MAKE_UP = ("make", *(f"--old-file={file}" for file in READY), "up")
FAILS = (
    "import functools, pathlib, sys, local.terminal as t\n"
    "def fails(system): raise RuntimeError('the printer is on fire')\n"
    "t.LocalSystem._xero_urls = fails\n"
    # the next system that starts in the usual place takes that place's logs away
    "t.LocalSystem = functools.partial(t.LocalSystem, state=pathlib.Path(sys.argv[1]))\n"
    "sys.exit(t.run(lambda system: 0))"
)


@pytest.fixture
def outside_xero() -> Iterator[str]:
    """A Xero that the local system has not started."""
    server = make_server(World(WallClock()), 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_nothing_is_left_of_it_when_it_or_make_is_killed_and_a_failure_names_the_log(
    tmp_path: Path, outside_xero: str
) -> None:
    names = ("XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL")
    under_make = Run(tmp_path / "under make", *MAKE_UP, **dict.fromkeys(names, outside_xero))
    killed = Run(tmp_path / "killed", *UP)
    failing = Run(tmp_path / "failing", sys.executable, "-c", FAILS, f"{tmp_path / 'its_state'}")
    try:
        under_make.wait_up()
        killed.wait_up()
        # Xero's addresses come from outside, and no other Xero is started
        assert under_make.outputs["xero_url"] == outside_xero
        assert not (Path(under_make.outputs["logs"]) / "xero.log").exists()
        assert "simulated" not in under_make.said
        assert "simulated" in killed.said

        under_make.process.kill()
        killed.process.kill()
        under_make.wait_gone(xero_stays=True)
        killed.wait_gone()

        assert failing.process.wait(240) == 1
        assert "It failed: the printer is on fire\n" in failing.said
        assert "Traceback" not in failing.said
        found = re.search(r"at the end of (\S+);", failing.said)
        assert found
        assert "the printer is on fire" in Path(found[1]).read_text().splitlines()[-1]
    finally:
        for run in (under_make, killed, failing):
            run.process.kill()
            run.process.wait()


STAYS_UNTIL_ENDED = """
import signal, sys, time
from local.lifetime import end_with_the_shell
# whoever runs the tests in the background or by nohup has their children ignore Ctrl-C or the end of the terminal
if "nohup" not in sys.argv:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
end_with_the_shell()
try:
    print("it stays up", flush=True)
    time.sleep(600)
finally:
    print("it ended in order", flush=True)
"""


@pytest.fixture
def makefile(tmp_path: Path) -> Path:
    """One that runs a program which ends with its shell."""
    (tmp_path / "program.py").write_text(STAYS_UNTIL_ENDED)
    made = tmp_path / "Makefile"
    made.write_text(
        f"up:\n\t@PYTHONPATH=layers/bookkeeping:. exec {sys.executable} {tmp_path}/program.py $(HOW)\n"
    )
    return made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_ends_in_order_when_it_is_asked_to_and_when_its_terminal_is_closed(
    tmp_path: Path, makefile: Path, number: signal.Signals
) -> None:
    program = str(makefile.parent / "program.py")
    run = Run(tmp_path / "said", sys.executable, program, PYTHONPATH="layers/bookkeeping:.")
    run.wait_up()
    os.killpg(run.process.pid, number)
    assert run.process.wait(30) == 128 + number
    assert run.said.endswith("it ended in order\n")


@pytest.mark.parametrize("shell", [[], ["sh", "-c", 'make -f "$0" up; exit']])
def test_it_ends_in_order_when_make_or_the_shell_of_make_is_killed(
    tmp_path: Path, makefile: Path, shell: list[str]
) -> None:
    run = Run(tmp_path / "said", *(shell or ["make", "-f"]), str(makefile), *([] if shell else ["up"]))
    run.wait_up()
    run.process.kill()
    run.process.wait()
    until = time.monotonic() + 30
    while "it ended in order" not in run.said:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_who_starts_it_by_nohup_has_it_outlive_the_shell(tmp_path: Path, makefile: Path) -> None:
    command = f"nohup make -f {makefile} up HOW=nohup & wait"
    run = Run(tmp_path / "said", "sh", "-c", command)
    run.wait_up()
    run.process.kill()
    run.process.wait()
    time.sleep(2.5)
    assert "ended" not in run.said
    os.killpg(run.process.pid, signal.SIGTERM)
    until = time.monotonic() + 30
    while "it ended in order" not in run.said:
        assert time.monotonic() < until
        time.sleep(0.1)


CTRL_C = """
import pathlib, signal, sys, time, local.system as s
# a shell that runs the tests in the background has its children ignore Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)
with s.LocalSystem(state=pathlib.Path(sys.argv[1])):
    print("it stays up", flush=True)
    time.sleep(600)
"""


def test_two_systems_run_side_by_side_and_end_without_a_trace_one_by_ctrl_c(tmp_path: Path) -> None:
    beside = Run(tmp_path / "said", sys.executable, "-c", CTRL_C, str(tmp_path / "two"))
    try:
        with LocalSystem(state=tmp_path / "one") as one:
            one.wait_ready()
            beside.wait_up()
            written = json.loads((tmp_path / "one" / "outputs.json").read_text())
            assert written == one.outputs
            launch_key = one.client("secretsmanager").get_secret_value(SecretId=written["launch_key_secret"])
            assert len(launch_key["SecretString"]) >= 32
            other = json.loads((tmp_path / "two" / "outputs.json").read_text())
            urls = {outputs[name] for outputs in (written, other) for name in ("aws_url", "xero_url")}
            assert len(urls) == 4
            assert all(map(answers, urls))
            assert one.function_pids("PostingSweepFunction")
            assert log_levels(one) == {"DEBUG"}
            assert carried(one, "1") == [("OrderPosted", {"id": "1"})]
            os.killpg(beside.process.pid, signal.SIGINT)
            beside.process.wait(30)
        assert beside.said.rstrip().endswith("KeyboardInterrupt")
        assert not any((tmp_path / name / "outputs.json").exists() for name in ("one", "two"))
        assert not any(map(answers, urls))
        assert one.function_pids("PostingSweepFunction") == []
    finally:
        beside.process.kill()

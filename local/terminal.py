"""What the demonstration and `make up` share: a local system that runs, and one sentence when something fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from local.lifetime import end_with_the_shell
from local.system import LocalSystem


def say(text: str = "") -> None:
    print(text, flush=True)


def run(work: Callable[[LocalSystem], int]) -> int:
    """Start a local system, do the work, and end the system. Returns the exit code."""
    end_with_the_shell()
    system = LocalSystem()
    try:
        say("Starting the local system ...")
        began = time.monotonic()
        with system:
            say("Waiting for its functions to start ...")
            system.wait_ready()
            say(f"It runs, after {time.monotonic() - began:.1f} s.")
            return work(system)
    except KeyboardInterrupt:
        say("Ended.")
        return 130
    except Exception as failure:  # noqa: BLE001 the log has all of it
        say()
        say(f"It failed: {failure}")
        if system.own_log:
            say(f"How it came to that is at the end of {system.own_log}; the functions' logs are beside it.")
        return 1


def stay_up() -> None:
    """Return when the person at the terminal presses Ctrl-C."""
    say(f"{datetime.now(UTC):%H:%M:%S} UTC. It stays up until Ctrl-C.")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        say("Ending.")

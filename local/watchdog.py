"""Ends what a local system has started when the system's own process ended without doing so, as by `kill -9`.

A process of its own, which reads a pipe. The system writes to the pipe what it starts, and holds the pipe open as long
as it lives. The end of the pipe therefore means the end of the system, however it came about.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from local.processes import kill_all_functions, runs

ROOT = Path(__file__).parent.parent
ENDS_WITHIN = 5.0


class Watchdog:
    """The system's side of the pipe."""

    def __init__(self, state: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local.watchdog", str(state)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            # In a session of its own, because a signal to the system's process group must not end it.
            start_new_session=True,
        )

    def watch(self, process: subprocess.Popen[bytes], what: str) -> None:
        """Have a process ended with the system. `what` is a part of its command line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{process.pid} {what}\n".encode())
        self._process.stdin.flush()

    def dismiss(self) -> None:
        """Return when the watchdog has ended, and whatever the system had left running with it."""
        self._process.communicate()


def end_all(started: Iterable[tuple[int, str]], state: Path) -> None:
    """End what still runs: functions, what was started, and functions that were started meanwhile."""
    (state / "outputs.json").unlink(missing_ok=True)
    kill_all_functions(state)
    left = [(pid, what) for pid, what in started if runs(pid, what)]
    _signal(left, signal.SIGTERM)
    give_up_at = time.monotonic() + ENDS_WITHIN
    while left and time.monotonic() < give_up_at:
        time.sleep(0.05)
        left = [(pid, what) for pid, what in left if runs(pid, what)]
    _signal(left, signal.SIGKILL)
    kill_all_functions(state)


def _signal(processes: Iterable[tuple[int, str]], number: signal.Signals) -> None:
    for pid, _ in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def main() -> None:
    started = []
    for line in sys.stdin:
        pid, _, what = line.strip().partition(" ")
        started.append((int(pid), what))
    end_all(started, Path(sys.argv[1]))


if __name__ == "__main__":
    main()

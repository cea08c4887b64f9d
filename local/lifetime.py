"""A program that ends with the shell it was started from, and in order: its `with` and `finally` blocks are run."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from local.processes import parent_of

LOOKS_EVERY = 1.0
"""Seconds between two looks at the parent processes."""
ENDING = [signal.SIGTERM, signal.SIGHUP]


def end_with_the_shell() -> None:
    """Have this process end in order when its shell asks it to, or when its shell is gone."""
    # who starts a program by `nohup`, or a script in the background, wants it to outlive the shell
    detached = any(signal.getsignal(number) == signal.SIG_IGN for number in (signal.SIGHUP, signal.SIGINT))
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)
    watched = _parents(detached=detached)
    threading.Thread(target=_watch, args=[watched], daemon=True).start()


def _leave(number: int, _: object) -> None:
    # Ending takes a moment, and a second signal must not interrupt it.
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def _parents(*, detached: bool) -> dict[int, int]:
    """Process → parent that must not go: `make` is ours, and the shell it was called from is the parent of `make`."""
    own, parent = os.getpid(), os.getppid()
    under_make = "MAKELEVEL" in os.environ
    if detached:
        return {own: parent} if under_make else {}
    shell = parent_of(parent) if under_make else None
    return {own: parent} | ({parent: shell} if shell is not None else {})


def _watch(watched: dict[int, int]) -> None:
    while all(parent_of(pid) == parent for pid, parent in watched.items()):
        time.sleep(LOOKS_EVERY)
    # to the main thread, which may be asleep
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

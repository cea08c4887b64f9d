"""The deployed functions: calling them, and the processes they run in."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from local.deploy import Places


def invoke(client: Any, name: str, payload: bytes) -> tuple[bool, bytes]:
    """Call a function by its name on ministack; whether it succeeded, and its answer."""
    answer = client.invoke(FunctionName=name, Payload=payload)
    return "FunctionError" not in answer, answer["Payload"].read()


def pids(places: Places, function: str) -> list[int]:
    """The live processes of a function, oldest first."""
    files = sorted(places.pids(function).iterdir(), key=lambda file: file.stat().st_mtime_ns)
    return [int(file.name) for file in files if _runs_a_function(int(file.name))]


def kill(places: Places, function: str) -> list[int]:
    """End a function's processes with SIGKILL, whatever they are at; the next call starts a new one."""
    killed = pids(places, function)
    for pid in killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return killed


def _runs_a_function(pid: int) -> bool:
    """Whether the process is a function's still: it may have ended, and its number may be another's by now."""
    if Path("/proc/self").exists():
        try:
            return b"awslambdaric" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
    listed = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=False)
    return b"awslambdaric" in listed.stdout

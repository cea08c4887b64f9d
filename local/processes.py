"""Processes of the local system: starting, finding and ending them. Imports little, for the watchdog starts with it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

FUNCTION = "awslambdaric"
"""What the command line of every function's process contains."""
STARTS_WITHIN = 600.0
"""Seconds that only a machine busy with other work needs; a process that has ended is noticed at once."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def started(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Return once something answers at `url`; raise with the end of its log if the process ends or stays silent."""
    give_up_at = time.monotonic() + STARTS_WITHIN
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    end(process)
    raise RuntimeError(f"nothing answers at {url}; the end of {log}:\n{log.read_text()[-2000:]}")


def end(process: subprocess.Popen[bytes], patience: float = 5.0) -> None:
    """Ask a process to end, and see that it does."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def runs(pid: int, what: str) -> bool:
    """Whether the process lives and has `what` in its command line. Its number may be another program's by now."""
    return what in _command_line(pid)


def _command_line(pid: int) -> str:
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    return _ps("args", pid)


def parent_of(pid: int) -> int | None:
    """The process's parent; None where the process has ended."""
    if Path("/proc/self").exists():
        try:
            # the second field is the command's name in brackets, which may hold anything
            return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return None
    found = _ps("ppid", pid).strip()
    return int(found) if found else None


def _ps(column: str, pid: int) -> str:
    listed = subprocess.run(
        ["ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout


def function_pids(folder: Path) -> list[int]:
    """The live processes of the function whose process numbers are the names in a folder, oldest first."""
    files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    return [int(file.name) for file in files if runs(int(file.name), FUNCTION)]


def kill_functions(folder: Path) -> list[int]:
    """End a function's processes with SIGKILL, whatever they do."""
    killed = function_pids(folder)
    for pid in killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return killed


def pids_folder(state: Path) -> Path:
    """Where a system's functions note their processes: a folder for each function, a file for each process."""
    return state / "pids"


def kill_all_functions(state: Path) -> None:
    for folder in pids_folder(state).glob("*"):
        kill_functions(folder)

"""The deployed functions: calling them, and the processes they run in."""

from __future__ import annotations

from typing import Any

from local.deploy import Places
from local.processes import function_pids, kill_functions
from local.triggers import TooManyAtOnce


def invoke(client: Any, name: str, payload: bytes) -> tuple[bool, bytes]:
    """Call a function by its name on ministack; whether it succeeded, and its answer."""
    try:
        answer = client.invoke(FunctionName=name, Payload=payload)
    except client.exceptions.TooManyRequestsException as error:
        raise TooManyAtOnce from error
    return "FunctionError" not in answer, answer["Payload"].read()


def pids(places: Places, function: str) -> list[int]:
    """The live processes of a function, oldest first."""
    return function_pids(places.pids(function))


def kill(places: Places, function: str) -> list[int]:
    """End a function's processes with SIGKILL, whatever they do; the next call starts a new one."""
    return kill_functions(places.pids(function))

"""Invocations of the TokenRefreshFunction and the XeroDeskFunction."""

from __future__ import annotations

import json
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bookkeeping.adapters.queues import BOUNDED


def lambda_service() -> Any:
    return boto3.client("lambda", config=BOUNDED)


class RefreshRequests:
    """Invokes the TokenRefreshFunction for one company."""

    def __init__(self, client: Any, function: str) -> None:
        self._client = client
        self._function = function

    def send(self, company: str, refused: int | None = None) -> None:
        """`refused`: the generation of the token that Xero took for expired."""
        payload = json.dumps(_about(company, refused))
        self._client.invoke(FunctionName=self._function, InvocationType="Event", Payload=payload)

    def wait_for(self, company: str, refused: int | None = None) -> str:
        """Ask for a renewal and wait for its result; empty if the invocation failed."""
        said = _answer(self._client, self._function, _about(company, refused))
        return str(said["what"]) if said else ""


def _about(company: str, refused: int | None) -> dict[str, Any]:
    return {"company": company} if refused is None else {"company": company, "refused": refused}


class XeroDesk:
    """Invokes `xero_desk`, which calls Xero for a person, and waits. The answer has `error` if the function failed."""

    def __init__(self, client: Any, function: str) -> None:
        self._client = client
        self._function = function

    def ask(self, company: str, task: str, **about: Any) -> dict[str, Any]:
        said = _answer(self._client, self._function, {"company": company, "task": task, **about})
        return said or {"error": "desk_failed"}


def _answer(client: Any, function: str, about: dict[str, Any]) -> dict[str, Any] | None:
    """The function's answer; None if it failed or did not answer in time."""
    try:
        answer = client.invoke(FunctionName=function, Payload=json.dumps(about))
        said: dict[str, Any] = json.loads(answer["Payload"].read())
    except (BotoCoreError, ClientError):
        return None
    return None if "FunctionError" in answer else said


def lambda_service_that_waits() -> Any:
    """A client that never retries, and gives up before the page's own time-out."""
    patient = Config(
        connect_timeout=2, read_timeout=22, retries={"mode": "standard", "total_max_attempts": 1}
    )
    return boto3.client("lambda", config=patient)

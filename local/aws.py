"""AWS on this machine: a ministack of our own, which checks signatures and IAM policies."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.expand import ROOT
from local.processes import end, free_port, started

REGION = "eu-west-2"

# A reply takes as long as the function that is called. A client must not repeat a call by itself.
PATIENT = Config(
    connect_timeout=60, read_timeout=900, retries={"total_max_attempts": 1}, max_pool_connections=64
)

# AWS gives a function 10 seconds to start, and so does ministack. On a machine that is busy with other work a start
# takes longer, which says nothing about the function.
START = """
import runpy
from ministack.core import lambda_runtime
assert lambda_runtime._PROVIDED_INIT_TIMEOUT == 10
lambda_runtime._PROVIDED_INIT_TIMEOUT = 600
runpy.run_module("ministack", run_name="__main__", alter_sys=True)
"""


class Ministack:
    """A ministack process with a root user of its own."""

    def __init__(self, state: Path, functions_at_once: int | None = None) -> None:
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self._clients: dict[str, Any] = {}
        self.credentials = {
            "aws_access_key_id": f"AKIA{secrets.token_hex(8).upper()}",
            "aws_secret_access_key": secrets.token_hex(20),
        }
        self._log = state / "logs" / "ministack.log"
        scratch = state / "ministack"
        scratch.mkdir(parents=True, exist_ok=True)
        # A clean environment: ministack and the AWS libraries in it are set by variables with common names.
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "STATE_DIR": str(scratch / "state"),
            "S3_DATA_DIR": str(scratch / "s3"),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "AUTH": "true",
            "MINISTACK_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.credentials["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": self.credentials["aws_secret_access_key"],
            "LOG_LEVEL": "WARNING",
        }
        if functions_at_once is not None:
            environment["LAMBDA_ACCOUNT_CONCURRENCY"] = str(functions_at_once)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(ROOT / ".venv-ministack" / "bin" / "python"), "-c", START],
                cwd=scratch,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to the system alone, which then ends its parts in order.
                start_new_session=True,
            )

    def wait_started(self) -> None:
        started(self.process, f"{self.url}/_ministack/health", self._log)

    def client(self, service: str) -> Any:
        """A client that may do everything."""
        if service not in self._clients:
            self._clients[service] = self._session(self.credentials).client(service, **self._settings)
        return self._clients[service]

    def resource(self, service: str) -> Any:
        """A resource that may do everything; unlike a client, not for more than one thread."""
        return self._session(self.credentials).resource(service, **self._settings)

    def client_as(self, role_arn: str, service: str) -> Any:
        """A client with the rights of a role."""
        answer = self.client("sts").assume_role(
            RoleArn=role_arn, RoleSessionName="trigger", DurationSeconds=43200
        )
        credentials = {
            "aws_access_key_id": answer["Credentials"]["AccessKeyId"],
            "aws_secret_access_key": answer["Credentials"]["SecretAccessKey"],
            "aws_session_token": answer["Credentials"]["SessionToken"],
        }
        return self._session(credentials).client(service, **self._settings)

    @property
    def _settings(self) -> dict[str, Any]:
        return {"endpoint_url": self.url, "config": PATIENT}

    def _session(self, credentials: Mapping[str, str]) -> Any:
        # one of its own: clients must not be made from boto3's default session in several threads
        return boto3.session.Session(region_name=REGION, **credentials)  # type: ignore[arg-type]

    def stop(self) -> None:
        end(self.process)

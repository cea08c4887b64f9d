"""The whole system on one machine: AWS services, the built functions, what triggers them, and a simulated Xero."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, Any, Self
from urllib.request import urlopen

from local import platform
from local.aws import REGION, Ministack
from local.build import build
from local.deploy import Deployed, Places, Plan, deploy, plan
from local.expand import RELEASE, ROOT
from local.functions import invoke, kill, pids
from local.gateway import GatewayServer
from local.processes import end, free_port, kill_all_functions, started
from local.triggers import QueuePoller, Ticker
from local.watchdog import Watchdog

COMPANIES = ["412077", "413995", "420001", "420002"]
"""Companies of the platform's page. The demonstration sets up the first two."""
EVENTS_QUEUE = "what-the-bus-carried"
MAIL_FROM = "xero@kornitx.example"
LOG_LEVEL = "FUNCTIONS_LOG_LEVEL"
"""The environment variable with a log level in place of the template's; the tests set it to DEBUG."""
XERO_URLS = ("XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL", "XERO_WEB_URL")


def _message(body: object) -> dict[str, Any]:
    attributes = {"SentTimestamp": "0", "ApproximateReceiveCount": "1"}
    return {
        "Records": [
            {"messageId": "1", "eventSource": "aws:sqs", "body": json.dumps(body), "attributes": attributes}
        ]
    }


HARMLESS: Mapping[str, Any] = {
    "OrderIntakeFunction": _message({"id": 1, "company_ref_id": 1}),
    "OrderPostingFunction": _message({"release": "none", "company": "none"}),
    "SettingsPageFunction": {
        "version": "2.0",
        "rawPath": "/health",
        "headers": {},
        "requestContext": {"http": {"method": "GET", "path": "/health"}, "stage": "$default"},
    },
    "OauthCallbackFunction": {"rawPath": "/health"},
    "XeroDeskFunction": {"company": "none", "task": "accounts"},
}
"""A call for each function without a schedule: it names what does not exist, so it changes nothing."""

logger = logging.getLogger("local")


class LocalSystem:
    """A context manager: everything it has started has ended when its block is left.

    `scale` multiplies leases, waits, time-outs, visibility and schedules. State, logs and `outputs.json` are in
    `state`: `.local` unless another system runs there, a folder of its own in `.local` then.
    `functions_at_once` is the account's quota of concurrent executions.
    """

    def __init__(
        self,
        root: Path = ROOT,
        scale: float = 0.1,
        state: Path | None = None,
        xero_seed: Path | None = None,
        functions_at_once: int | None = None,
    ) -> None:
        self.root = root
        self.scale = scale
        self.outputs: dict[str, Any] = {}
        self._wanted_state = state
        self._xero_seed = xero_seed
        self._functions_at_once = functions_at_once
        self._stack = contextlib.ExitStack()
        self._stopping = threading.Event()
        self._events: list[dict[str, Any]] = []
        self._running: list[threading.Thread] = []
        self._tickers: dict[str, Ticker] = {}
        self._own_log: Path | None = None
        self._simulates_xero = False
        self._functions: tuple[str, ...] = ()
        self._watchdog: Watchdog
        self._ministack: Ministack
        self._deployed: Deployed
        self._places: Places
        self._platform_port: int
        self._gateway_port: int

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException as failure:
            self._end(failure)
            raise
        return self

    def __exit__(self, _type: object, failure: BaseException | None, _traceback: object) -> None:
        self._end(failure)

    def _end(self, failure: BaseException | None) -> None:
        if isinstance(failure, Exception):
            logger.error("ends because of a failure", exc_info=failure)
        self._stack.close()

    # --- for those who use it ----------------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        return self._places.state

    @property
    def outputs_file(self) -> Path:
        return self._places.state / "outputs.json"

    @property
    def own_log(self) -> Path | None:
        """What the system itself has logged; None as long as there is no such file."""
        return self._own_log

    @property
    def simulates_xero(self) -> bool:
        return self._simulates_xero

    def deployed_output(self, name: str) -> str:
        """What the stack itself says under that name."""
        return self._deployed.outputs[name]

    def client(self, service: str) -> Any:
        """A boto3 client that may do everything."""
        return self._ministack.client(service)

    def resource(self, service: str) -> Any:
        """A boto3 resource that may do everything."""
        return self._ministack.resource(service)

    def log(self, function: str) -> Path:
        return self._places.log(function)

    def invoke(self, function: str, event: Any) -> Any:
        """Call a function and return its answer; raises where it failed."""
        succeeded, answer = self._invoke(function, json.dumps(event).encode())
        if not succeeded:
            raise RuntimeError(f"{function}: {answer.decode()}")
        return json.loads(answer) if answer else None

    def function_pids(self, function: str) -> list[int]:
        """The live processes of a function, oldest first."""
        return pids(self._places, function)

    def kill(self, function: str) -> list[int]:
        """End a function's processes with SIGKILL, whatever they do; the next call starts a new one."""
        return kill(self._places, function)

    def events(self) -> list[dict[str, Any]]:
        """All events of the bus so far, in the order they were read from the queue."""
        sqs = self.client("sqs")
        url = self.outputs["events_queue_url"]
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            self._events += [json.loads(message["Body"]) for message in messages]
            taken = [
                {"Id": str(place), "ReceiptHandle": message["ReceiptHandle"]}
                for place, message in enumerate(messages)
            ]
            sqs.delete_message_batch(QueueUrl=url, Entries=taken)
        return list(self._events)

    def mails(self) -> list[dict[str, Any]]:
        """All mails that SES took, the newest first: `To`, `Subject`, `BodyText`, `BodyHtml`."""
        with urlopen(f"{self._ministack.url}/_ministack/ses/messages", timeout=10) as answer:
            kept = json.load(answer)["messages"].values()
        return sorted(
            (mail for mails in kept for mail in mails), key=lambda mail: mail["Timestamp"], reverse=True
        )

    def wait_ready(self, within: float = 600.0) -> None:
        """Return once every function has started and done something, however long that takes a busy machine.

        A function that has a schedule has answered its own first call by then. The others get a harmless one.
        """
        give_up_at = time.monotonic() + within
        with ThreadPoolExecutor() as calls:
            list(calls.map(partial(self._wait_for, give_up_at), self._functions))

    def _wait_for(self, give_up_at: float, function: str) -> None:
        while not self._has_succeeded(function):
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"{function} has not succeeded yet; see {self.log(function)}")
            time.sleep(0.1)

    def _has_succeeded(self, function: str) -> bool:
        if function in self._tickers:
            return self._tickers[function].succeeded.is_set()
        succeeded, answer = self._invoke(function, json.dumps(HARMLESS[function]).encode())
        # a call may take too long on a busy machine; any other failure would come again
        if not succeeded and not json.loads(answer)["errorType"].startswith("Sandbox."):
            raise RuntimeError(f"{function} failed: {answer.decode()}; see {self.log(function)}")
        return succeeded

    # --- start and end -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        build(self.root)
        state = self._take_state()
        self._places = Places(self.root, state)
        self._own_log = state / "logs" / "local.log"
        self._log_to(self._own_log)
        self._watchdog = Watchdog(state)
        self._stack.callback(self._watchdog.dismiss)
        self._ministack = Ministack(state, self._functions_at_once)
        self._watchdog.watch(self._ministack.process, "ministack")
        self._stack.callback(self._end_aws)
        # chosen before the deploy, because only this page may open the popup, and mails name the popup's address
        self._platform_port, self._gateway_port = free_port(), free_port()
        address = f"http://localhost:{self._platform_port}"
        parameters = {
            "Release": RELEASE,
            "LaunchOrigins": address,
            "HelpUrl": f"{address}/help",
            "MailFrom": MAIL_FROM,
        }
        xero = self._xero_urls()
        self._ministack.wait_started()
        planned = plan(
            self.root,
            self.scale,
            self._ministack.url,
            variables={
                "WAITS_SCALE": str(self.scale),
                "PAGE_URL": f"http://localhost:{self._gateway_port}",
                **xero,
            },
            log_level=os.environ.get(LOG_LEVEL),
        )
        self.client("sesv2").create_email_identity(EmailIdentity=MAIL_FROM.partition("@")[2])
        known = {name: value for name, value in parameters.items() if name in planned.template["Parameters"]}
        self._deployed = deploy(self._ministack, planned, self._places, known)
        self.outputs = self._collect_outputs(xero["XERO_API_URL"])
        self._functions = planned.functions
        self._start_triggers(planned)
        if planned.routes:
            self.outputs["api_url"] = self._start_gateway(planned)
            self.outputs["launch_url"] = self._start_platform()
        self._write_outputs()

    def _take_state(self) -> Path:
        base = self.root / ".local"
        state = self._wanted_state or base
        state.mkdir(parents=True, exist_ok=True)
        lock = _lock(state / "lock")
        if lock is None and self._wanted_state is None:
            state = Path(tempfile.mkdtemp(prefix="system-", dir=base))
            lock = _lock(state / "lock")
        if lock is None:
            raise RuntimeError(f"another system is running in {state}")
        self._stack.callback(lock.close)
        for left in ("logs", "pids", "ministack"):
            shutil.rmtree(state / left, ignore_errors=True)
        (state / "logs").mkdir()
        return state

    def _log_to(self, path: Path) -> None:
        handler = logging.FileHandler(path)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        self._stack.callback(handler.close)
        self._stack.callback(logger.removeHandler, handler)

    def _xero_urls(self) -> dict[str, str]:
        """Xero's addresses: those set from outside. For the others a simulated Xero is started."""
        outside = {name: os.environ[name] for name in XERO_URLS if name in os.environ}
        # Only people follow XERO_WEB_URL. Where all others are set it may stay Xero's own.
        if outside.keys() | {"XERO_WEB_URL"} == set(XERO_URLS):
            return outside
        simulated = self._start_xero()
        self._simulates_xero = True
        portal = {"XERO_PORTAL_URL": f"{simulated}/developer/apps"}
        return dict.fromkeys(XERO_URLS, simulated) | portal | outside

    def _start_xero(self) -> str:
        port = free_port()
        url = f"http://localhost:{port}"
        log = self._places.state / "logs" / "xero.log"
        seed = ["--seed-file", str(self._xero_seed)] if self._xero_seed else []
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "local.xero", "--port", str(port), *seed],
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watchdog.watch(process, "local.xero")
        self._stack.callback(end, process)
        started(process, f"{url}/_simulator/clock", log)
        return url

    def _collect_outputs(self, xero_url: str) -> dict[str, Any]:
        given = self._deployed.outputs
        return {
            "aws_url": self._ministack.url,
            **self._ministack.credentials,
            "xero_url": xero_url,
            "region": REGION,
            "orders_queue_url": given["OrdersQueueUrl"],
            "orders_dead_letter_queue_url": given["OrdersDeadLetterQueueUrl"],
            "dead_letter_reader_function": given["DeadLetterReaderFunction"],
            "posting_queue_url": given["PostingQueueUrl"],
            "posting_dead_letter_queue_url": given["PostingDeadLetterQueueUrl"],
            "events_queue_url": self._listen(given["EventBus"]),
            "orders_table": given["OrdersTable"],
            "settings_table": given["SettingsTable"],
            "connections_table": given["ConnectionsTable"],
            "event_bus": given["EventBus"],
            "secrets_prefix": given["SecretsPrefix"],
            "launch_key_secret": given["LaunchKey"],
            "scale": self.scale,
            "logs": str(self._places.state / "logs"),
        }

    def _listen(self, bus: str) -> str:
        """Have everything on the bus sent to a queue, for `events`."""
        sqs, events = self.client("sqs"), self.client("events")
        url: str = sqs.create_queue(QueueName=EVENTS_QUEUE)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allowed = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": arn,
                }
            ],
        }
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(allowed)})
        events.put_rule(
            Name=EVENTS_QUEUE, EventBusName=bus, EventPattern=json.dumps({"source": [{"prefix": ""}]})
        )
        events.put_targets(Rule=EVENTS_QUEUE, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
        return url

    def _start_triggers(self, planned: Plan) -> None:
        sqs = self.client("sqs")
        for trigger in planned.queue_triggers:
            url = self._deployed.physical[trigger.queue]
            arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
                "QueueArn"
            ]
            for _ in range(trigger.at_once):
                poller = QueuePoller(
                    sqs=self._ministack.client_as(self._deployed.roles[trigger.function], "sqs"),
                    queue_url=url,
                    queue_arn=arn,
                    batch_size=trigger.batch_size,
                    window=trigger.window,
                    reports_failures=trigger.reports_failures,
                    hidden_for=trigger.hidden_for,
                    invoke=partial(self._invoke, trigger.function),
                    stopping=self._stopping,
                )
                self._running.append(threading.Thread(target=poller.run, daemon=True))
        for schedule in planned.schedules:
            ticker = Ticker(schedule.every, partial(self._invoke, schedule.function), self._stopping)
            self._tickers[schedule.function] = ticker
            self._running.append(threading.Thread(target=ticker.run, daemon=True))
        for thread in self._running:
            thread.start()

    def _start_gateway(self, planned: Plan) -> str:
        port = self._gateway_port
        gateway = GatewayServer(port, planned.routes, self._invoke)
        threading.Thread(target=gateway.serve_forever, daemon=True).start()
        self._stack.callback(gateway.server_close)
        self._stack.callback(gateway.shutdown)
        return f"http://localhost:{port}"

    def _start_platform(self) -> str:
        """The platform's page; the address that opens a company's settings when the company is added to it."""
        port = self._platform_port
        pages = platform.site(
            self.outputs["api_url"],
            self._launch_key,
            self.outputs["secrets_prefix"],
            COMPANIES,
            self._send_order,
            self.mails,
        )
        page = platform.server(port, pages)
        threading.Thread(target=page.serve_forever, daemon=True).start()
        self._stack.callback(page.server_close)
        self._stack.callback(page.shutdown)
        self.outputs["platform_url"] = f"http://localhost:{port}"
        self.outputs["mails_url"] = f"http://localhost:{port}/mails"
        return f"http://localhost:{port}/launch/"

    def _launch_key(self) -> str:
        """As it is now: whoever runs the system may rotate it."""
        secret = self.client("secretsmanager").get_secret_value(SecretId=self.outputs["launch_key_secret"])
        return str(secret["SecretString"])

    def _send_order(self, message: str, company: str) -> None:
        attributes = {"company": {"DataType": "String", "StringValue": company}} if company else {}
        self.client("sqs").send_message(
            QueueUrl=self.outputs["orders_queue_url"], MessageBody=message, MessageAttributes=attributes
        )

    def _write_outputs(self) -> None:
        path = self.outputs_file
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(self.outputs, indent=2) + "\n")
        # A program that waits for the file must not read half of it.
        fresh.replace(path)
        self._stack.callback(path.unlink, missing_ok=True)

    def _invoke(self, function: str, payload: bytes) -> tuple[bool, bytes]:
        return invoke(self.client("lambda"), self._deployed.callable[function], payload)

    def _end_aws(self) -> None:
        """End the functions first, so that ministack does not wait for them, and last those started in the meantime."""
        self._stopping.set()
        self._kill_all()
        self._ministack.stop()
        self._kill_all()
        for thread in self._running:
            thread.join()

    def _kill_all(self) -> None:
        kill_all_functions(self._places.state)


def _lock(path: Path) -> IO[str] | None:
    """The open lock file, or None while another process holds it."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file

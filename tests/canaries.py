"""The watch over the whole suite (P11): what is secret, or a consumer's, is found where it does not belong.

Three things are looked for: the mark that secrets of the simulated Xero carry, and the sessions and states that
functions draw here; what every token begins with; and the values that the watch is told, which are those put into the
secret store, the cookies and verifiers of systems in other processes, and the consumers of all sample orders.

Whatever the functions write, answer, keep and send during a test is held until its end and searched then, in every
encoding. Values are never shown.
"""

from __future__ import annotations

import base64
import functools
import json
import logging
import re
import secrets
import time
import traceback
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

import pytest
from botocore.endpoint import Endpoint

from bookkeeping.adapters.tables.packing import unpacked
from bookkeeping.domain.oauth import verifier
from bookkeeping.domain.page_access import session_id_in
from local.companies import SimulatedXero
from local.samples import Maker
from local.system import LocalSystem
from local.xero.in_process import InProcess
from local.xero.portal import MARK
from tests.integration import one_process
from tests.storms import dynamodb, environment, keeping_alive

EVENTS = Path(__file__).parents[1] / "events"
SHORTEST_ENCODED = 12
"""A shorter secret is searched for as it is, for its encodings could be anything."""
FEWEST_CHARACTERS = 6
"""What has fewer different ones, as generated input may, turns up by itself."""
EVERY_TOKEN: Final = "eyJhbGciOiJIUzI1Ni"
"""`{"alg":"HS256` in base64: the beginning of every access token, id token and launch token here."""

BELONGS: Final[Mapping[str, str]] = {
    "secretsmanager": "it is the secret store",
    "OrdersQueue": "the platform puts whole orders there",
    "OrdersDeadLetterQueue": "the same, of those that could not be taken in",
    "Set-Cookie": "a session goes to the browser it was made for",
    "authorization_url": "the browser carries the state to Xero, and back",
    "/connect/": "codes, verifiers, refresh tokens and client secrets are for Xero's identity server",
    "?link=": "a link in a mail is for who reads the mail",
    "Invoke": "on this machine, what a function is called with passes through the tests' own client",
}
"""All places where something secret, or of a consumer, may be, and why. Nothing else is left out of the search."""

CONSUMERS_OWN = re.compile(
    r"customer_|billing_(?!country)|shipping_(address|postcode|company)|additional_info"
)

LINK_IN_A_MAIL = re.compile(r"(/mail/\w+\?link=)[\w-]+")


def forms(secret: str) -> set[str]:
    """A secret as it is, URL-encoded, in JSON (and in JSON within JSON), in hex, in base64 at each of its places."""
    if len(secret) < SHORTEST_ENCODED:
        return {secret}
    raw = secret.encode()
    in_json = json.dumps(secret)[1:-1]
    found = {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        in_json,
        json.dumps(in_json)[1:-1],
        raw.hex(),
    }
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw).decode()
        # the first and last characters depend on what stands beside it
        middle = text[4 if shift else 0 : -4]
        found |= {middle, middle.replace("+", "-").replace("/", "_")}
    return {form for form in found if len(form) >= SHORTEST_ENCODED}


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every JSON object in a value, those in texts included."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def samples() -> dict[str, str]:
    """What is secret, or a consumer's, in the sample orders and events: value → slot."""
    found: dict[str, str] = {}
    read = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(EVENTS.glob("*.json"))]
    for one in _objects([*read, Maker().order("412077", 0)]):
        for name, value in one.items():
            if CONSUMERS_OWN.match(name) and isinstance(value, str) and len(value) > 5:
                found[value] = f"consumer's {name}"
        for cookie in one.get("cookies", ()):
            found[cookie.partition("=")[2]] = "session of a sample"
        for name in {"code", "state"} & one.get("queryStringParameters", {}).keys():
            found[one["queryStringParameters"][name]] = f"{name} of a sample"
    return found


def _encoded(value: str, slot: str) -> dict[bytes, str]:
    return {form.encode(): slot for form in forms(value)}


@dataclass
class Figures:
    """What was searched, and what for."""

    sources: int = 0
    searched: int = 0
    """Bytes."""
    values: int = 0
    hits: int = 0
    seconds: float = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(sum(both) for both in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        return (
            f"{self.searched:,} bytes of {self.sources:,} sources searched for {self.values:,} secrets and"
            f" consumers' data, in every encoding: {self.hits} hits, in {self.seconds:.1f} s"
        )


@dataclass
class Watch:
    """What was seen since the last search, and what is to be found in it."""

    on: bool = False
    systems: int = 0
    """How many systems in other processes are running."""
    figures: Figures = field(default_factory=Figures)

    def __post_init__(self) -> None:
        self._seen: list[tuple[str, bytes]] = []
        self._seen_by_xero: list[tuple[str, bytes]] = []
        self._rows: dict[Any, Any] = {}
        self._told: dict[str, dict[bytes, str]] = {}
        self._consumers: dict[bytes, str] = {}
        self._secrets = _encoded(MARK, "a secret") | _encoded(EVERY_TOKEN, "a token")
        for value, slot in samples().items():
            kept = self._consumers if slot.startswith("consumer") else self._secrets
            kept |= _encoded(value, slot)

    @property
    def always(self) -> int:
        """How many values are looked for in every test."""
        return len({MARK, EVERY_TOKEN} | samples().keys())

    # what is secret

    def secret(self, slot: str, value: str) -> None:
        """Look for this as well, until the test ends, or the systems that it started."""
        if len(value) < SHORTEST_ENCODED or value.startswith((MARK, EVERY_TOKEN)):
            return
        if len(set(value)) < FEWEST_CHARACTERS:
            return
        if value not in self._told:
            self.figures.values += 1
            self._told[value] = _encoded(value, slot)

    def test_ended(self) -> None:
        if not self.systems:
            self._told.clear()

    def kept_secret(self, text: str) -> None:
        """What was put into the secret store."""
        try:
            held = json.loads(text)
        except ValueError:
            held = {"key": text}
        for name in ("client_secret", "access_token", "refresh_token", "key"):
            value = str(held.get(name, ""))
            # generated input has the one for the other
            if value not in str(held.get("client_id")):
                self.secret(name, value)

    # what is seen

    def see(self, where: str, said: Any) -> None:
        """Something that was written, answered, kept or sent."""
        if self.on and said:
            self._seen.append((where, _bytes(said)))

    def see_by_xero(self, where: str, said: Any) -> None:
        """The same, of what Xero may know the secrets in."""
        if self.on and said:
            self._seen_by_xero.append((where, _bytes(said)))

    def see_row(self, row: Any, item: Mapping[str, Any]) -> None:
        if self.on:
            self._rows[row] = item

    def answered(self, function: str, event: Any, answer: Any) -> None:
        """What a function answered, less what the browser it answers must have."""
        if isinstance(answer, Mapping) and "statusCode" in answer:
            answer = dict(answer)
            body = str(answer.get("body") or "")
            if answer.get("isBase64Encoded"):
                body = base64.b64decode(body).decode(errors="replace")
            answer["cookies"] = [self._of_the_session(line) for line in answer.get("cookies") or ()]
            answer["body"] = self._of_the_state(body, event)
        self.see(f"answer of {function}", answer)

    def _of_the_session(self, line: str) -> str:
        id_ = session_id_in([line]) or ""
        self.secret("session", id_)
        return line.replace(id_, f"[{BELONGS['Set-Cookie']}]") if id_ else line

    def _of_the_state(self, body: str, event: Mapping[str, Any]) -> str:
        try:
            url = json.loads(body)["authorization_url"]
        except (ValueError, TypeError, KeyError):
            return body
        state = parse_qs(urlsplit(url).query)["state"][0]
        self.secret("state", state)
        self.secret("verifier", verifier(session_id_in(event.get("cookies", ())) or "", state))
        return body.replace(state, f"[{BELONGS['authorization_url']}]")

    def listening(self, function: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        """The handler, its answers and errors seen."""

        @functools.wraps(handler)
        def listened(event: Any, context: Any) -> Any:
            try:
                answer = handler(event, context)
            except Exception as error:
                # as the runtime logs it
                self.see(f"error of {function}", "".join(traceback.format_exception(error)))
                raise
            self.answered(function, event, answer)
            return answer

        return listened

    # the search

    def hits(self) -> list[str]:
        """What was found, and where, in all that was seen since; that is forgotten."""
        began = time.perf_counter()
        seen, self._seen = self._seen, []
        by_xero, self._seen_by_xero = self._seen_by_xero, []
        rows, self._rows = self._rows, {}
        seen += [(f"table {row[1]}", _bytes(item)) for row, item in rows.items()]
        told = {form: slot for forms in self._told.values() for form, slot in forms.items()}
        found = self._found(seen, {**self._secrets, **told, **self._consumers})
        found += self._found(by_xero, self._consumers)
        sources = [*seen, *by_xero]
        searched = sum(len(said) for _, said in sources)
        self.figures += Figures(len(sources), searched, seconds=time.perf_counter() - began)
        return found

    @staticmethod
    def _found(seen: list[tuple[str, bytes]], needles: Mapping[bytes, str]) -> list[str]:
        everything = b"\n".join(said for _, said in seen)
        there = {form: slot for form, slot in needles.items() if form in everything}
        return list(
            dict.fromkeys(
                f"{slot}: in {where}" for form, slot in there.items() for where, said in seen if form in said
            )
        )


def _bytes(said: Any) -> bytes:
    return said if isinstance(said, bytes) else "\n".join(_texts(said)).encode(errors="surrogatepass")


def _texts(said: Any) -> Iterator[str]:
    """Every text in a value, in JSON within texts as well, so that nothing hides behind escapes."""
    if isinstance(said, str) and said.startswith(("{", "[")):
        try:
            said = json.loads(said)
        except (ValueError, RecursionError):
            yield said
            return
    if isinstance(said, Mapping):
        for name, value in said.items():
            yield str(name)
            yield from _texts(value)
    elif isinstance(said, list | tuple):
        for value in said:
            yield from _texts(value)
    elif isinstance(said, str):
        yield said
    elif isinstance(said, bytes):
        yield _readable(said)


watch = Watch()
WATCHED = "watched"


# --- where it listens


def _belongs(place: str) -> bool:
    return any(known in place for known in BELONGS)


def _listen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(logging.Handler, "format", _logged(logging.Handler.format))
    patch.setattr(pytest.CaptureFixture, "readouterr", _taken(pytest.CaptureFixture.readouterr))
    patch.setattr(secrets, "token_urlsafe", _marked(secrets.token_urlsafe))
    patch.setattr(Endpoint, "make_request", _called(Endpoint.make_request))
    patch.setattr(InProcess, "send", _sent(InProcess.send))
    patch.setattr(dynamodb.Table, "write", _written(dynamodb.Table.write))
    for bus in (one_process.Bus, environment._Bus, keeping_alive.Bus):
        patch.setattr(bus, "put_events", _put("event", bus.put_events))
    for queue in (one_process.Queue, environment._Sqs):
        patch.setattr(queue, "send_message", _put("message", queue.send_message))
    patch.setattr(LocalSystem, "__enter__", _entered(LocalSystem.__enter__))
    patch.setattr(LocalSystem, "__exit__", _left(LocalSystem.__exit__))
    patch.setattr(LocalSystem, "_invoke", _invoked(LocalSystem._invoke))


def _logged(real: Any) -> Any:
    def format_(handler: logging.Handler, record: logging.LogRecord) -> str:
        text: str = real(handler, record)
        watch.see(f"log of {record.name}", text)
        return text

    return format_


def _taken(real: Any) -> Any:
    """What a test takes from the captured output is not there any more when it ends."""

    def readouterr(capture: Any) -> Any:
        taken = real(capture)
        watch.see("stdout", taken.out)
        watch.see("stderr", taken.err)
        return taken

    return readouterr


def _marked(real: Any) -> Any:
    def token_urlsafe(nbytes: int | None = None) -> str:
        drawn: str = real(nbytes)
        # shorter ones are no secrets of a function
        return MARK + drawn[len(MARK) :] if (nbytes or 0) >= 32 else drawn

    return token_urlsafe


def _called(real: Any) -> Any:
    """Every call to AWS, as it leaves: rows that are deleted later were there as well."""

    def make_request(endpoint: Endpoint, operation: Any, request: dict[str, Any]) -> Any:
        service, body = operation.service_model.service_name, request.get("body")
        if isinstance(body, str | bytes | dict) and watch.on:
            here = str(request.get("url")).startswith("http://localhost")
            if service in BELONGS:
                watch.kept_secret(str(json.loads(body).get("SecretString", "")))  # type: ignore[arg-type]
            elif not (service == "sqs" and _belongs(str(_queue(body)))) and not (
                here and operation.name in BELONGS
            ):
                watch.see(f"{service} {operation.name}", _without_links(opened(_text(body))))
        return real(endpoint, operation, request)

    return make_request


def _without_links(body: Any) -> Any:
    """Mails without what their links show to be for who reads them."""
    return LINK_IN_A_MAIL.sub(rf"\1[{BELONGS['?link=']}]", body) if isinstance(body, str) else body


def _text(body: Any) -> Any:
    return body.decode(errors="replace") if isinstance(body, bytes) else body


def _queue(body: Any) -> Any:
    return json.loads(body).get("QueueUrl") if not isinstance(body, dict) else body.get("QueueUrl")


def _sent(real: Any) -> Any:
    def send(adapter: InProcess, request: Any, *args: Any, **options: Any) -> Any:
        path = urlsplit(request.url).path
        see = watch.see_by_xero if _belongs(path) else watch.see
        see(f"body of {request.method} {path}", _text(request.body))
        watch.see(f"address of {request.method} {path}", request.url)
        return real(adapter, request, *args, **options)

    return send


def _written(real: Any) -> Any:
    def write(table: dynamodb.Table, key: tuple[str, ...], item: Any) -> None:
        real(table, key, item)
        if item is not None:
            watch.see_row((id(table.store), table.name, key), item)

    return write


def _put(what: str, real: Any) -> Any:
    @functools.wraps(real)
    def put(client: Any, *parts: Any, **request: Any) -> Any:
        watch.see(what, [parts, request])
        return real(client, *parts, **request)

    return put


def _entered(real: Any) -> Any:
    def enter(system: LocalSystem) -> LocalSystem:
        entered: LocalSystem = real(system)
        watch.systems += 1
        return entered

    return enter


def _left(real: Any) -> Any:
    def leave(system: LocalSystem, *why: Any) -> None:
        try:
            look_through(system)
            documents = SimulatedXero(system.outputs["xero_url"]).control("GET", "documents")
            watch.see("documents in Xero", documents)
        finally:
            watch.systems -= 1
            real(system, *why)

    return leave


def _invoked(real: Any) -> Any:
    def invoke(system: LocalSystem, function: str, payload: bytes) -> tuple[bool, bytes]:
        succeeded, answer = real(system, function, payload)
        if b'"rawPath"' in payload and succeeded:
            watch.answered(function, json.loads(payload), json.loads(answer or b"null"))
        else:
            watch.see(f"answer of {function}", answer)
        return succeeded, answer

    return invoke


def look_through(system: LocalSystem) -> None:
    """See all that a system in other processes has kept, sent and written, before it ends."""
    store, tables, sqs = (system.client(name) for name in ("secretsmanager", "dynamodb", "sqs"))
    for page in store.get_paginator("list_secrets").paginate():
        for secret in page["SecretList"]:
            watch.kept_secret(store.get_secret_value(SecretId=secret["ARN"])["SecretString"])
    for name in tables.list_tables()["TableNames"]:
        for page in tables.get_paginator("scan").paginate(TableName=name):
            watch.see(f"table {name}", page["Items"])
    watch.see("events", system.events())
    for url in sqs.list_queues().get("QueueUrls", ()):
        if _belongs(url):
            continue
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            watch.see(f"queue {url.rpartition('/')[2]}", [message["Body"] for message in messages])
    look_through_logs(system.state)


def look_through_logs(folder: Path) -> None:
    for log in folder.rglob("logs/*.log"):
        watch.see(f"log file {log.name}", log.read_bytes())


# --- pytest asks


def pytest_configure(config: pytest.Config) -> None:
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    patch.setattr(watch, "on", True)
    _listen(patch)
    # what every library has to say at DEBUG, as in a function whose log level that is
    logging.getLogger().setLevel(logging.DEBUG)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "setup" and report.passed:
        return report
    # what was logged is seen already; what was printed earlier is in the report again
    phases = ("setup", "call") if report.when == "call" else (report.when,)
    for name, text in report.sections:
        if "log" not in name and name.endswith(phases):
            watch.see(name, text)
    # a system that ran in a process of its own kept its logs there
    if folder := getattr(item, "funcargs", {}).get("tmp_path"):
        look_through_logs(folder)
    found = watch.hits()
    watch.figures.hits += len(found)
    if found:
        report.outcome = "failed"
        if call.excinfo is not None:
            last = call.excinfo.traceback[-1]
            found.append(f"It failed as well: {call.excinfo.typename} in {last.path}:{last.lineno + 1}")
        report.longrepr = "\n".join(["Where it does not belong, there was", *found])
        # what was captured, or compared, would show it
        report.sections.clear()
    report.user_properties.append((WATCHED, astuple(watch.figures)))
    watch.figures = Figures()
    if report.when == "teardown":
        watch.test_ended()
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = Figures(values=watch.always)
    for report in {id(one): one for ones in terminalreporter.stats.values() for one in ones}.values():
        for name, value in getattr(report, "user_properties", ()):
            if name == WATCHED:
                figures += Figures(*value)
    terminalreporter.section("what is secret")
    terminalreporter.write_line(str(figures))


def opened(body: Any) -> Any:
    """A request's body to DynamoDB with what is compressed in it as it was before."""
    return re.sub(r'{"B": ?("[^"]+")}', _opened, body) if isinstance(body, str) else body


def _opened(binary: re.Match[str]) -> str:
    return json.dumps(_readable(base64.b64decode(json.loads(binary[1]))), ensure_ascii=False)


def kept_text(value: object) -> str:
    """What a table keeps, as text for json.dumps: what is compressed as it was before."""
    kept = getattr(value, "value", value)
    return _readable(kept) if isinstance(kept, bytes) else str(value)


def _readable(kept: bytes) -> str:
    try:
        return unpacked(kept)
    except (ValueError, zlib.error):
        return kept.decode(errors="replace")

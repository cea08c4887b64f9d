"""The gate of every API call: faults, token, tenant, scope, limits, idempotency, and only then the books."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from local.xero.calls import LARGEST_BODY, Call
from local.xero.endpoints import BASE, Route, route
from local.xero.faults import REFUSED_AT_THE_DOOR, Fault
from local.xero.idempotency import LONGEST_KEY, Record, fingerprint
from local.xero.identity import Bearer
from local.xero.limits import too_many
from local.xero.organisations import Organisation
from local.xero.portal import CUSTOM_CONNECTION
from local.xero.replies import (
    RefusedError,
    Reply,
    api_exception,
    forbidden,
    maintenance,
    not_found,
    not_implemented,
    organisation_offline,
    query_parse_error,
    server_error,
    too_large,
    unauthorized,
)
from local.xero.truth_log import Entry
from local.xero.world import World

IN_FLIGHT_POLL = 0.1


class ConnectionDroppedError(ConnectionError):
    """The socket closes and not a byte was answered."""


@dataclass
class Request:
    """A request as it came off the wire. Header names are lower case; `target` is the path with its query."""

    method: str
    path: str
    query_string: str
    headers: dict[str, str]
    body: bytes
    base_url: str = "http://localhost"

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query_string}" if self.query_string else self.path

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass
class Answer:
    """What goes out: a whole body, or less of it than its length announces."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_at: int | None = None


@dataclass
class _Caller:
    """Who a request comes from, as far as its token tells."""

    bearer: Bearer | None
    tenant_id: str | None

    @property
    def client_id(self) -> str | None:
        return self.bearer.client_id if self.bearer else None


@dataclass
class _Admitted:
    """A request that may enter an organisation."""

    bearer: Bearer
    organisation: Organisation
    route: Route

    @property
    def lane(self) -> tuple[str, str]:
        return self.bearer.client_id, self.organisation.id


@dataclass
class _Late:
    """Whether the commit was put off."""

    deferred: bool = False


def answers_for(path: str) -> bool:
    """Whether a path belongs to Xero's machine-readable side."""
    return path.lower().startswith((BASE, "/connections", "/connect/", "/.well-known/"))


def answer(world: World, request: Request) -> Answer:
    """Xero's answer. Raises ConnectionDroppedError or ClientGoneError where there is none."""
    with world.lock:
        entry = world.log.open(world.now(), request.method, request.path, request.query_string)
        caller = _caller(world, request)
        entry.client_id, entry.tenant_id = caller.client_id, caller.tenant_id
        entry.idempotency_key = request.headers.get("idempotency-key")
        fault = world.faults.striking(
            request.method, request.path, caller.tenant_id, _client(world, request, caller), request.body
        )
        entry.fault = fault.kind if fault else None
        if fault and fault.kind == "disconnect" and caller.bearer and caller.tenant_id:
            world.connections.drop(client_id=caller.client_id, tenant_id=caller.tenant_id)
    if fault and fault.kind == "request_lost":
        raise ConnectionDroppedError
    work = _accounting if request.path.lower().startswith(BASE) else _identity
    reply = work(world, request, caller, entry, fault)
    entry.status = reply.status
    return _spoilt(world, request, reply, fault)


def _caller(world: World, request: Request) -> _Caller:
    bearer = world.identity.bearer(request.headers.get("authorization"))
    tenant_id = request.headers.get("xero-tenant-id")
    if tenant_id is None and bearer and world.portal.apps[bearer.client_id].kind == CUSTOM_CONNECTION:
        # it has one organisation, which nobody needs to name
        connected = world.connections.of(bearer.client_id, bearer.user_id)
        tenant_id = next((one.tenant_id for one in connected), None)
    return _Caller(bearer, tenant_id)


def _client(world: World, request: Request, caller: _Caller) -> str | None:
    if request.path.startswith("/connect/"):
        return world.identity.presented_client(request.form, request.headers.get("authorization"))
    return caller.client_id


def _spoilt(world: World, request: Request, reply: Reply, fault: Fault | None) -> Answer:
    """The reply as bytes, damaged where the fault says so."""
    body, content_type = reply.rendered(as_json=_wants_json(request.headers.get("accept", "")))
    answer = Answer(reply.status, {"Content-Type": content_type, **reply.headers}, body)
    if world.unconfirmed["correlation_header"] == "present":
        answer.headers["xero-correlation-id"] = world.new_id()
    match fault.kind if fault else None:
        case "reply_lost":
            raise ConnectionDroppedError
        case "cut_body":
            answer.cut_at = len(body) // 2
        case "malformed_json":
            answer.body = body[: len(body) // 2] + b'"}]'
        case "html_body":
            answer.headers["Content-Type"] = "text/html; charset=utf-8"
            answer.body = b"<!DOCTYPE html><html><head><title>Xero</title></head><body>Sorry</body></html>"
        case "html_400":
            # a box between Xero and whoever called
            answer.status, answer.headers["Content-Type"] = 400, "text/html"
            answer.body = b"<html><head><title>400 Bad Request</title></head><body>Bad Request</body></html>"
        case "empty_body":
            answer.status, answer.body = 200, b""
    return answer


def _wants_json(accept: str) -> bool:
    return "json" in accept.lower()


# Identity and connections


def _identity(world: World, request: Request, caller: _Caller, entry: Entry, fault: Fault | None) -> Reply:
    if fault and (refused := _refused_at_the_door(world, fault, caller)):
        return refused
    if fault and fault.kind == "error_before_commit":
        return server_error(world.new_id())
    if fault and fault.kind == "slow_commit":
        world.defer(
            fault.seconds, lambda: _note(entry, world, _identity_reply(world, request, caller, entry))
        )
        world.sleep(fault.seconds + 1)
        raise ConnectionDroppedError
    with world.lock:
        reply = _identity_reply(world, request, caller, entry)
        _note(entry, world, reply)
    if fault and fault.kind == "slow_answer":
        world.sleep(fault.seconds)
    return server_error(world.new_id()) if fault and fault.kind == "error_after_commit" else reply


def _note(entry: Entry, world: World, reply: Reply) -> None:
    entry.status = reply.status
    entry.committed_at = world.now()


def _identity_reply(world: World, request: Request, caller: _Caller, entry: Entry) -> Reply:
    match request.method, request.path.lower():
        case "POST", "/connect/token" | "/connect/revocation":
            do = world.identity.token if request.path == "/connect/token" else world.identity.revoke
            call = do(request.form, request.headers.get("authorization"))
            entry.client_id, entry.grant_type, entry.outcome = call.client_id, call.grant_type, call.outcome
            return call.reply
        case "GET", "/.well-known/openid-configuration":
            return Reply(200, world.identity.discovery(request.base_url), json_only=True)
        case _, path if path.startswith("/connections"):
            return _connections(world, request, caller, entry)
    return not_found()


def _connections(world: World, request: Request, caller: _Caller, entry: Entry) -> Reply:
    if refused := _token_refusal(world, caller.bearer):
        return refused
    assert caller.bearer is not None
    mine = world.connections.of(caller.bearer.client_id, caller.bearer.user_id)
    if request.method == "GET" and request.path.lower() == "/connections":
        wanted = dict(parse_qsl(request.query_string)).get("authEventId")
        shown = [one for one in mine if wanted in (None, one.auth_event_id)]
        views = [one.as_json(world.organisations[one.tenant_id].name) for one in shown]
        return Reply(200, views, json_only=True)
    connection_id = request.path.lower().removeprefix("/connections/")
    for one in mine:
        if request.method == "DELETE" and one.id == connection_id:
            world.connections.drop(client_id=one.client_id, user_id=one.user_id, tenant_id=one.tenant_id)
            entry.outcome = "disconnected"
            return Reply(204)
    return not_found()


def _token_refusal(world: World, bearer: Bearer | None) -> Reply | None:
    if bearer is None or bearer.revoked:
        return unauthorized("AuthenticationUnsuccessful", world.new_id())
    if bearer.expires_at <= world.now():
        moment = bearer.expires_at.strftime("%m/%d/%Y %H:%M:%S")
        return unauthorized(f"TokenExpired: token expired at {moment}", world.new_id())
    return None


# Accounting


def _refused_at_the_door(world: World, fault: Fault, caller: _Caller) -> Reply | None:
    """The answer of a fault that keeps the request from doing anything."""
    if fault.kind not in REFUSED_AT_THE_DOOR:
        return None
    match fault.kind:
        case "maintenance":
            return maintenance()
        case "organisation_offline":
            return organisation_offline()
        case "token_expired":
            moment = world.now().strftime("%m/%d/%Y %H:%M:%S")
            return unauthorized(f"TokenExpired: token expired at {moment}", world.new_id())
        case "authentication_unsuccessful":
            return unauthorized("AuthenticationUnsuccessful", world.new_id())
        case "authorization_unsuccessful":
            return unauthorized("AuthorizationUnsuccessful", world.new_id(), missing_scope=True)
        case "forbidden":
            return forbidden(world.new_id())
        case "not_found":
            return not_found()
        case "too_large":
            return too_large()
    limit = fault.kind.removeprefix("rate_limit_")
    organisation = world.organisations.get(caller.tenant_id or "")
    if organisation is None or caller.bearer is None:
        return too_many(limit, fault.retry_after)
    lane = (caller.bearer.client_id, organisation.id)
    with world.lock:
        return _limit_reached(world, lane, organisation, limit, fault.retry_after)


def _limit_reached(
    world: World,
    lane: tuple[str, str],
    organisation: Organisation,
    limit: str,
    retry_after: int | None = None,
) -> Reply:
    now = world.now()
    timed = limit in ("minute", "day") or world.unconfirmed["retry_after_of_concurrent"] == "yes"
    if retry_after is None and timed:
        retry_after = world.limits.seconds_left(*lane, now, limit) if limit != "concurrent" else 1
    reply = too_many(limit, retry_after)
    reply.headers |= world.limits.headers(*lane, now, organisation.day_limit)
    spent = {
        "minute": "X-MinLimit-Remaining",
        "day": "X-DayLimit-Remaining",
        "appminute": "X-AppMinLimit-Remaining",
    }
    if limit in spent:
        reply.headers[spent[limit]] = "0"
    return reply


def _accounting(world: World, request: Request, caller: _Caller, entry: Entry, fault: Fault | None) -> Reply:
    if fault and (refused := _refused_at_the_door(world, fault, caller)):
        return refused
    with world.lock:
        admitted = _admit(world, request, caller, entry)
        if isinstance(admitted, Reply):
            return admitted
        organisation, lane = admitted.organisation, admitted.lane
        limit = world.limits.enter(*lane, world.now(), organisation.day_limit)
        if limit:
            entry.limit = limit
            return _limit_reached(world, lane, organisation, limit)
    late = _Late()
    try:
        if seconds := world.answer_seconds(request.method, request.body):
            world.sleep(seconds)
        reply = _within_limits(world, request, admitted, entry, fault, late=late)
        if fault and fault.kind == "slow_answer":
            world.sleep(fault.seconds)
    finally:
        # A late commit counts as a call in progress until it is done.
        if not late.deferred:
            with world.lock:
                world.limits.leave(*lane)
    with world.lock:
        reply.headers = {
            **reply.headers,
            **world.limits.headers(*lane, world.now(), organisation.day_limit),
        }
    return reply


def _admit(world: World, request: Request, caller: _Caller, entry: Entry) -> _Admitted | Reply:
    """Token, tenant, scope, in that order."""
    if refused := _token_refusal(world, caller.bearer):
        return refused
    bearer = caller.bearer
    assert bearer is not None
    tenant_id = caller.tenant_id or ""
    organisation = world.organisations.get(tenant_id)
    connection = world.connections.find(bearer.client_id, bearer.user_id, tenant_id)
    if organisation is None or connection is None or organisation.gone:
        known = world.connections.was_connected(bearer.client_id, bearer.user_id, tenant_id)
        entry.tenant_mismatch = bool(tenant_id) and not known
        return forbidden(world.new_id())
    wanted = route(unquote(request.path))
    if wanted is None:
        return not_found()
    if not wanted.allowed(request.method, bearer.scopes, world.unconfirmed):
        return unauthorized("AuthorizationUnsuccessful", world.new_id(), missing_scope=True)
    if organisation.offline:
        return organisation_offline()
    return _Admitted(bearer, organisation, wanted)


def _within_limits(
    world: World, request: Request, admitted: _Admitted, entry: Entry, fault: Fault | None, *, late: _Late
) -> Reply:
    """The answer kept under the idempotency key, or else the answer of carrying the call out."""
    key = request.headers.get("idempotency-key")
    client_id = admitted.bearer.client_id
    record: Record | None = None
    if key is not None and request.method in ("POST", "PUT", "PATCH"):
        if not 1 <= len(key) <= LONGEST_KEY:
            message = f"Idempotency Key: must be between 1 and {LONGEST_KEY} characters."
            return api_exception(400, 10, "ValidationException", message)
        first_or_answer = _begin_or_answer(world, request, client_id, key)
        if isinstance(first_or_answer, Reply):
            entry.replayed = True
            return first_or_answer
        record = first_or_answer

    def execute() -> Reply:
        with world.lock:
            reply = _execute(world, request, admitted, entry, fault)
            if record is not None and key is not None:
                if 400 <= reply.status < 500 and world.unconfirmed["validation_errors_cached"] == "no":
                    world.idempotency.forget(client_id, key)
                record.reply = reply
            entry.committed_at = world.now()
            return reply

    if fault and fault.kind == "slow_commit":

        def commit_late() -> None:
            execute()
            world.limits.leave(*admitted.lane)

        late.deferred = True
        world.defer(fault.seconds, commit_late)
        world.sleep(fault.seconds + 1)
        raise ConnectionDroppedError
    return execute()


def _begin_or_answer(world: World, request: Request, client_id: str, key: str) -> Record | Reply:
    """A new record where this is the key's first request, else what the first was answered, once it is."""
    print_ = fingerprint(request.method, request.target, request.body)
    while True:
        with world.lock:
            record = world.idempotency.find(client_id, key, world.now())
            choice = world.unconfirmed["same_key_in_flight"]
            if record is None or (record.reply is None and choice == "executes"):
                return world.idempotency.begin(client_id, key, print_, world.now())
            if record.fingerprint != print_:
                return _different_request(world, key)
            if record.reply is not None:
                return Reply(**vars(record.reply))
        if choice == "refused":
            return api_exception(
                409, 10, "ValidationException", f"Idempotency Key: {key} is used by a request in progress."
            )
        world.sleep(IN_FLIGHT_POLL)
        world.run_due()


def _different_request(world: World, key: str) -> Reply:
    message = f"Idempotency Key: {key} is used with a different request."
    if world.unconfirmed["idempotency_mismatch_shape"] == "message":
        return api_exception(400, 10, "ValidationException", message)
    elements = [{"ValidationErrors": [{"Message": message}]}]
    return api_exception(400, 10, "ValidationException", "A validation exception occurred", elements)


def _execute(world: World, request: Request, admitted: _Admitted, entry: Entry, fault: Fault | None) -> Reply:
    """Carry the call out, with the faults before and after the commit."""
    if fault and fault.kind == "error_before_commit":
        return server_error(world.new_id())
    refusal = fault.message if fault else None
    if refusal and request.method == "GET":
        return query_parse_error(refusal).reply
    if fault and not fault.commit:
        return Reply(200, {"Id": world.new_id(), "Status": "OK"})
    endpoint = admitted.route.endpoint(request.method)
    if endpoint is None:
        return not_implemented()
    if len(request.body) > LARGEST_BODY:
        return Reply(413, text="Request Entity Too Large")
    call = Call(
        world=world,
        organisation=admitted.organisation,
        client_id=admitted.bearer.client_id,
        app_name=world.portal.apps[admitted.bearer.client_id].name,
        method=request.method,
        query=_lower_case_query(request.query_string),
        headers=request.headers,
        body=request.body,
        committed=entry.committed,
        refusal=refusal,
    )
    reply = _run(endpoint, call)
    return server_error(world.new_id()) if fault and fault.kind == "error_after_commit" else reply


def _run(endpoint: Callable[[Call], Reply], call: Call) -> Reply:
    try:
        return endpoint(call)
    except RefusedError as refusal:
        return refusal.reply


def _lower_case_query(query_string: str) -> dict[str, str]:
    return {name.lower(): value for name, value in parse_qsl(query_string, keep_blank_values=True)}

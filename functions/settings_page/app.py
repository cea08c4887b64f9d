"""The settings popup and its API. It reads no token and no client secret; `xero_desk` calls Xero for it."""

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import parse_qs

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.models import APIKey
from aws_lambda_powertools.event_handler.openapi.params import Body, Query
from aws_lambda_powertools.event_handler.openapi.params import Path as InPath
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.shared.cookies import Cookie, SameSite
from aws_lambda_powertools.utilities.typing import LambdaContext
from jinja2 import Environment, FileSystemLoader
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bookkeeping.adapters import from_environment
from bookkeeping.adapters.containment import noted
from bookkeeping.domain import page_access
from bookkeeping.domain.connection import words
from bookkeeping.domain.corrections import Credited
from bookkeeping.domain.ledger import Choice, Entry, State
from bookkeeping.domain.mail import Link, LinkKind, MailWaits
from bookkeeping.domain.page_access import COOKIE, Refused, Request, Session, hashed
from bookkeeping.domain.settings import LONGEST_ADDRESS, Settings, SettingsRefused, reason_in_words
from bookkeeping.use_cases import connect
from bookkeeping.use_cases.page import book_match, rereading, settings_form
from bookkeeping.use_cases.page.adapters import PageAdapters
from bookkeeping.use_cases.page.connection import shown_connection
from bookkeeping.use_cases.page.corrections import MOST_LINES, ChangedMeanwhile, NothingToCorrect, correct
from bookkeeping.use_cases.page.corrections import Asked as AskedCorrection
from bookkeeping.use_cases.page.mail_addresses import (
    LinkOutcome,
    NotAskedAgain,
    ask_again,
    find_link,
    use_link,
)
from bookkeeping.use_cases.page.orders import MOST_ROWS, PAGE, Asked, DatesOf, View, one, orders
from bookkeeping.use_cases.page.overview import opens_first, overview
from bookkeeping.use_cases.page.preview import NoAnswer, NoSuchOrder, NotConnected, preview
from bookkeeping.use_cases.page.retry import NothingToRetry, retry, retry_all, retry_many
from bookkeeping.use_cases.page.set_aside import set_aside, take_back
from bookkeeping.use_cases.page.setup_check import check_setup
from bookkeeping.use_cases.page.standing import NothingToRead, look

HERE = Path(__file__).parent
LAUNCH_ISSUER = os.environ["LAUNCH_ISSUER"]
LAUNCH_AUDIENCE = os.environ["LAUNCH_AUDIENCE"]
LAUNCH_ORIGINS = frozenset(os.environ["LAUNCH_ORIGINS"].split(","))
XERO_LOGIN_URL = os.environ["XERO_LOGIN_URL"]
LARGEST_LAUNCH = 16 * 1024
MOST_CHOSEN = 100
"""Orders that a person can choose at once."""
CONTACTS_BEGIN = timedelta(seconds=3)
"""After a save has taken this long, no other contact is looked up, so that the person gets an answer in time."""
KINDS = {".css": "text/css", ".js": "text/javascript"}
STATIC = {
    file.name: file.read_text(encoding="utf-8")
    for file in (HERE / "static").iterdir()
    if file.suffix in KINDS
}
HASHES = {name: hashlib.sha256(text.encode()).hexdigest()[:12] for name, text in STATIC.items()}
STATIC_ADDRESSES = {name: f"/static/{content}/{name}" for name, content in HASHES.items()}
"""Where the page finds a file: another address for other content, so that browsers may keep it for ever."""
SECURE = {
    "Content-Security-Policy": (
        # the only image is the icon, which is in the page itself
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


logger = Logger()
metrics = Metrics()
app = APIGatewayHttpResolver(enable_validation=True)
pages = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True)
launch_key = from_environment.launch_key()
authorizations = from_environment.authorizations_table()
desk = from_environment.xero_desk()
adapters = PageAdapters(
    orders=from_environment.orders_table(),
    settings=from_environment.settings_table(),
    connections=from_environment.connections_table(),
    lanes=from_environment.lanes(),
    matches=from_environment.book_matches(),
    organisations=from_environment.organisations(),
    mails=from_environment.mails(),
    releases=from_environment.releases(),
    apps=from_environment.apps(),
    wake_ups=from_environment.posting_queue(),
    events=from_environment.event_bus(),
    ask=desk.ask,
    # a page of orders needs so many lists and counts at once
    together=from_environment.together(15),
    web_url=os.environ["XERO_WEB_URL"],
    mail_from=os.environ["MAIL_FROM"],
    mail_waits=MailWaits().scaled(float(os.environ["WAITS_SCALE"])),
    now=from_environment.now,
    new_id=from_environment.new_id,
)

Json = dict[str, Any]
Company = Annotated[str, InPath(pattern=r"^[1-9][0-9]{0,18}$")]
OrderId = Annotated[str, InPath(pattern=r"^[1-9][0-9]{0,18}$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class SavedSettings(Strict):
    version: int = Field(ge=0, le=10**9)
    settings: dict[str, Any]


def _printed(text: str) -> str:
    if not all("!" <= character <= "~" for character in text):
        raise ValueError(
            "it has a space, or a character that Xero's ids and secrets don't have; copy it from the app's"
            " Configuration page in Xero's developer portal once more"
        )
    return text


Printed = Annotated[str, AfterValidator(_printed), Field(json_schema_extra={"pattern": "^[!-~]+$"})]


class OnScreen(Strict):
    settings: dict[str, Any] = {}
    """Those that are not saved yet."""


class Credentials(Strict):
    client_id: Printed = Field(min_length=1, max_length=100)
    client_secret: Printed | None = Field(default=None, min_length=1, max_length=500, repr=False)


class MailAddress(Strict):
    address: str = Field(min_length=1, max_length=LONGEST_ADDRESS, repr=False)


class Chosen(Strict):
    organisation_id: str = Field(min_length=1, max_length=100)


class Retry(Strict):
    items_as_they_are: bool = False
    no_sale: Choice | None = None


OrderIds = Annotated[
    list[Annotated[str, Field(pattern=r"^[1-9][0-9]{0,18}$")]], Field(min_length=1, max_length=MOST_CHOSEN)
]


class RetryMany(Retry):
    """All orders with a problem, or those that the person has chosen."""

    problem: str | None = Field(default=None, min_length=1, max_length=100)
    ids: OrderIds | None = None


class ChosenOrders(Strict):
    ids: OrderIds


class SetAside(ChosenOrders):
    reason: str = Field(min_length=1, max_length=500, pattern=r"\S")


class CreditedLine(Strict):
    """How much of one of the order's lines is credited: pieces, or an amount. Line 0 is the shipping."""

    line: int = Field(ge=0, le=MOST_LINES)
    pieces: str = Field(default="", max_length=30)
    amount: str = Field(default="", max_length=30)


class AskedFor(Strict):
    """What becomes of the order's documents. `version` is the order's that the person saw."""

    asked: AskedCorrection
    version: int = Field(ge=0, le=10**9)
    lines: list[CreditedLine] = Field(default=[], max_length=MOST_LINES)
    goods_are_back: bool = False


class Match(Strict):
    in_full: bool = False


class Previewed(BaseModel):
    """An order, bare or as `order`, or the id of one. `settings` take the place of those that are saved."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)
    order_id: str | None = Field(default=None, pattern=r"^[1-9][0-9]{0,18}$")
    settings: dict[str, Any] | None = None


class Nothing(Strict):
    pass


# --- every request -----------------------------------------------------------------------------------------------


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: Json, context: LambdaContext) -> Json:
    metrics.add_metric("PageRequests", MetricUnit.Count, 1)
    try:
        # a failed request may have left its context behind
        app.clear_context()  # type: ignore[no-untyped-call]
        app.append_context(**_admitted(event))  # type: ignore[no-untyped-call]
        answer = app.resolve(event, context)
    except Refused as refused:
        answer = _refusal(event, refused)
    except Exception as error:  # noqa: BLE001 recorded where it is a fault of ours
        logger.error("a request to the settings page failed", kind=noted(error))  # noqa: TRY400 a traceback quotes what it choked on
        metrics.add_metric("SettingsPageFailures", MetricUnit.Count, 1)
        answer = _json(
            500, _error("our_fault", f"This went wrong on our side (reference {context.aws_request_id}).")
        )
    answer["headers"] = {"Cache-Control": "no-store", **SECURE, **answer.get("headers", {})}
    return answer


def _admitted(event: Json) -> Json:
    """Check the request, and return its session for the routes. Raises Refused."""
    path, method = event["rawPath"], event["requestContext"]["http"]["method"]
    headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
    origin = _origin(event, headers)
    parts = path.split("/")
    if parts[1] not in ("api", "settings") or path == "/api/openapi.json":
        return {"origin": origin}
    request = Request(
        method=method,
        company=parts[2] if len(parts) > 2 else "",
        headers=headers,
        # the page itself is come to from the platform, and from Xero
        origin=origin,
        body_size=len(event.get("body") or ""),
    )
    session_id = page_access.session_id_in(event.get("cookies", ()))
    found = authorizations.session(hashed(session_id)) if session_id else None
    if parts[1] == "settings" and method == "GET":
        # without the headers: browsers come to the page itself from the platform's and Xero's sites
        request = Request(method, request.company, {}, origin, 0)
    session = page_access.admit(found, request, adapters.now())
    if event.get("body"):
        _check_json(event)
    return {"origin": origin, "session": session, "session_id": session_id}


def _check_json(event: Json) -> None:
    """Raises Refused for a body that is not strict JSON, before any other parser reads it."""
    try:
        body = event["body"].encode()
        read = json.loads((base64.b64decode(body) if event.get("isBase64Encoded") else body).decode())
        # lone surrogates and NaN can be read but not written, so an answer could not repeat them
        json.dumps(read, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise Refused(page_access.NOT_READABLE) from None


def _origin(event: Json, headers: Mapping[str, str]) -> str:
    """The page's own origin: configured, or else API Gateway's domain name, which a browser cannot choose."""
    configured = os.environ.get("PUBLIC_URL", "").rstrip("/")
    if configured:
        return configured
    domain = str(event["requestContext"].get("domainName", ""))
    if domain.partition(":")[0] == "localhost":
        return f"http://{headers.get('host', domain)}"
    return f"https://{domain}"


def _refusal(event: Json, refused: Refused) -> Json:
    refusal, path = refused.refusal, event["rawPath"]
    logger.info("refused", path=path, why=str(refused))
    metrics.add_metric("RequestsRefused", MetricUnit.Count, 1)
    if path.startswith("/api/"):
        return _json(refusal.status, _error(refusal.code, refusal.message))
    if event.get("rawQueryString") == "connect=session_lost":
        lost = "Your hour here ended while you were in Xero, so nothing was connected."
        return _message(
            refusal.status, "Not connected: your time on this page was over", lost, refusal.message
        )
    return _message(refusal.status, "The settings can’t be opened", refusal.message)


def _json(status: int, body: Json) -> Json:
    text = json.dumps(body, ensure_ascii=False)
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": text,
        "isBase64Encoded": False,
    }


def _message(status: int, title: str, message: str, fix: str = "") -> Json:
    html = pages.get_template("message.html").render(
        title=title, message=message, fix=fix, static=STATIC_ADDRESSES
    )
    headers = {"Content-Type": "text/html; charset=utf-8"}
    return {"statusCode": status, "headers": headers, "body": html, "isBase64Encoded": False}


def _error(code: str, message: str, **more: Any) -> Json:
    return {"error": {"code": code, "message": message, **more}}


def _answer(status: int, body: Json) -> Response[Any]:
    return Response(status, "application/json", json.dumps(body, ensure_ascii=False))


def _session() -> Session:
    session = app.context.get("session")
    if not isinstance(session, Session):
        raise Refused(page_access.NO_SESSION)
    return session


@app.exception_handler(RequestValidationError)  # type: ignore[untyped-decorator]
def invalid(error: RequestValidationError) -> Response[Any]:
    fields = [
        {"name": ".".join(str(step) for step in found["loc"][1:]), "message": reason_in_words(found)}
        for found in error.errors()
    ]
    return _answer(422, _error("invalid", "Some of this can't be taken as it is.", fields=fields))


@app.not_found
def not_found(_: NotFoundError) -> Response[Any]:
    return _answer(404, _error("not_found", "There is nothing here."))


# --- the page ----------------------------------------------------------------------------------------------------


@app.post("/launch", include_in_schema=False, enable_validation=False)
def launch() -> Response[Any]:
    headers = {name.lower(): value for name, value in app.current_event.headers.items()}
    page_access.check_launch_origin(headers.get("origin", ""), LAUNCH_ORIGINS)
    try:
        body = app.current_event.decoded_body or ""
        if len(body) > LARGEST_LAUNCH:
            raise Refused(page_access.LAUNCH_REFUSED, "the form is too large")
        tokens = parse_qs(body, max_num_fields=20).get("token", [])
        if len(tokens) != 1:
            raise Refused(page_access.LAUNCH_REFUSED, "the form has not exactly one token")
        launched = page_access.launch(
            tokens[0],
            launch_key.read(),
            issuer=LAUNCH_ISSUER,
            audience=LAUNCH_AUDIENCE,
            now=adapters.now(),
        )
        session_id = secrets.token_urlsafe(32)
        session = Session(launched.person, hashed(session_id), adapters.now() + page_access.SESSION_LASTS)
        if not authorizations.open_session(launched, session):
            raise Refused(page_access.LAUNCH_USED, "jti was used before")
    except ValueError:
        raise Refused(page_access.LAUNCH_REFUSED, "the form can't be read") from None
    logger.info("launched", company=launched.person.company)
    cookie = _cookie(session_id, page_access.SESSION_LASTS)
    location = f"/settings/{launched.person.company}"
    return Response(HTTPStatus.SEE_OTHER, "text/plain", "", headers={"Location": location}, cookies=[cookie])


def _cookie(session_id: str, lasts: timedelta) -> Cookie:
    return Cookie(
        COOKIE,
        session_id,
        path="/",
        secure=True,
        http_only=True,
        # browsers would not send a Strict cookie when Xero redirects back
        same_site=SameSite.LAX_MODE,
        max_age=int(lasts.total_seconds()),
    )


@app.get("/settings/<company>", include_in_schema=False)
def page(company: Company) -> Response[Any]:
    html = pages.get_template("settings.html").render(
        company=company,
        person=_session().person,
        static=STATIC_ADDRESSES,
        portal_url=os.environ.get("XERO_PORTAL_URL", ""),
        help_url=os.environ.get("HELP_URL", ""),
        first_tab="overview" if opens_first(adapters.connections.connection(company)) else "settings",
    )
    return Response(200, "text/html; charset=utf-8", html)


@app.get("/static/<version>/<file>", include_in_schema=False, enable_validation=False)
def static(version: str, file: str) -> Response[Any]:
    """A file of the page. While a deploy goes on, other code may have made the page: it gets this code's file."""
    if file not in STATIC:
        raise NotFoundError
    kept = "public, max-age=31536000, immutable" if version == HASHES[file] else "no-store"
    kind = KINDS[Path(file).suffix]
    return Response(200, f"{kind}; charset=utf-8", STATIC[file], headers={"Cache-Control": kept})


MAIL_PAGES: dict[tuple[str, str], tuple[str, str, str]] = {
    ("confirm", "open"): (
        "Confirm this address",
        "Mails about orders that need attention, and about the connection to Xero, are to go to {address}.",
        "Confirm",
    ),
    ("confirm", "done"): (
        "This address is confirmed",
        "Mails about orders that need attention go to {address} from now on. You can close this page.",
        "",
    ),
    ("confirm", "gone"): (
        "This link does not work any more",
        "A link to confirm works once, and for three days. In the Xero settings, below “E-mail errors to”, the mail can"
        " be sent again.",
        "",
    ),
    ("stop", "open"): (
        "Stop these mails?",
        "Then no mail about Xero goes to {address} any more. Others of your company go on to get theirs.",
        "Stop the mails",
    ),
    ("stop", "done"): (
        "The mails are stopped",
        "No mail about Xero goes to {address} any more. In the Xero settings they can be switched on again.",
        "",
    ),
    ("stop", "gone"): (
        "This link does not work any more",
        "Either the address was taken out of the Xero settings already, or the link is from an old mail: use the one in"
        " the last mail.",
        "",
    ),
}
"""The title, the words and the button of the pages that links in mails lead to."""
MAIL_PAGE_POLICY = SECURE["Content-Security-Policy"].replace("form-action 'none'", "form-action 'self'")


@app.get("/mail/<kind>", include_in_schema=False, enable_validation=False)
def get_mail_page(kind: str) -> Response[Any]:
    """Only shows a button: programs that look for viruses open every link of a mail."""
    return _mail_page(kind, find_link)


@app.post("/mail/<kind>", include_in_schema=False, enable_validation=False)
def post_mail_page(kind: str) -> Response[Any]:
    """Presses the button. A mail program's own button for stopping sends the same."""
    return _mail_page(kind, use_link)


def _mail_page(kind: str, about: Callable[..., tuple[LinkOutcome, Link | None]]) -> Response[Any]:
    if kind not in get_args(LinkKind):
        raise NotFoundError
    token = (app.current_event.query_string_parameters or {}).get("link", "")
    outcome, link = about(authorizations, adapters.mails, kind, token, adapters.now())
    logger.info("link of a mail", link_kind=kind, outcome=outcome, company=link.company if link else "")
    title, words, button = MAIL_PAGES[kind, outcome]
    html = pages.get_template("mail.html").render(
        title=title,
        message=words.format(address=link.address if link else ""),
        company=link.company if link else "",
        button=button,
        static=STATIC_ADDRESSES,
    )
    status = HTTPStatus.GONE if outcome == "gone" else HTTPStatus.OK
    headers = {"Content-Security-Policy": MAIL_PAGE_POLICY, "Referrer-Policy": "no-referrer"}
    return Response(status, "text/html; charset=utf-8", html, headers=headers)


@app.get("/health", include_in_schema=False, enable_validation=False)
def health() -> Response[Any]:
    return _answer(200, {"status": "ok"})


@app.get("/api/openapi.json", include_in_schema=False, enable_validation=False)
def openapi() -> Response[Any]:
    schema = app.get_openapi_json_schema(
        title="Xero settings of a company",
        version="1",
        description='Errors are `{"error": {"code", "message"}}`, the message being words for the person.',
        security_schemes={"session": APIKey.model_validate({"name": COOKIE, "in": "cookie"})},
        security=[{"session": []}],
    )
    from bookkeeping.use_cases.page.answers import schemas  # noqa: PLC0415 only who reads this document needs them

    answers, definitions = schemas()
    described = json.loads(schema)
    described["components"]["schemas"] |= definitions | {"Error": ERROR}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            answer = {"schema": answers[method, path.removeprefix("/api/{company}/")]}
            operation["responses"]["200"]["content"] = {"application/json": answer}
            operation["responses"] |= _refused_answers(method, path)
            if method != "get":
                operation.setdefault("parameters", []).append(ORIGIN_HEADER)
    return _answer(200, described)


ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}
ORIGIN_HEADER: Json = {
    "name": "Origin",
    "in": "header",
    "required": True,
    "description": "The popup's own origin.",
    "schema": {"type": "string"},
}


def _refused_answers(method: str, path: str) -> Json:
    """The answers of a route that are errors, by status."""
    words = {
        401: "There is no session, or it is over.",
        403: "The session is another company's, or the request comes from another site.",
        422: "The body can't be read, or values are refused.",
        500: "A fault of ours.",
    }
    if "{order_id}" in path or path.endswith("/preview"):
        words[404] = "There is no such order."
    if method != "get":
        words |= {413: "The body is too large.", 415: "The body does not say that it is JSON."}
    if method == "post" or "/xero/" in path or (method, path) == ("put", "/api/{company}/settings"):
        words[409] = "This can't be done as things are now."
    if "/xero/" in path or path.endswith(("/preview", "/check-setup")):
        words[503] = "Xero does not answer."
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {str(status): {"description": text, "content": content} for status, text in words.items()}


@app.delete("/api/<company>/session")
def delete_session(company: Company) -> Response[Any]:
    """Log out."""
    authorizations.end_session(_session().id_hash)
    logger.info("logged out", company=company)
    answer = _answer(200, {"words": "You are logged out."})
    answer.cookies = [_cookie("", timedelta(0))]
    return answer


# --- settings and app --------------------------------------------------------------------------------------------


def _redirect_uri() -> str:
    return f"{app.context['origin']}/xero/callback/{_session().person.company}"


@app.get("/api/<company>/settings")
def get_settings(company: Company) -> Json:
    return settings_form.shown(adapters, company, _redirect_uri())


@app.put("/api/<company>/settings")
def put_settings(company: Company, given: Annotated[SavedSettings, Body()]) -> Response[Any]:
    try:
        saved, freed = settings_form.save(adapters, _session().person, given.version, given.settings)
    except SettingsRefused as refused:
        return _answer(422, _refused_settings("Nothing was saved: some values need correcting.", refused))
    except settings_form.ChangedMeanwhile as changed:
        by, at = changed.saved.by, changed.saved.at.isoformat()
        words = f"{by} changed the settings meanwhile. Look at what changed, then save again."
        changes = [vars(change) for change in changed.changes]
        error = _error("changed_meanwhile", words, by=by, at=at, changes=changes)
        return _answer(409, error | {"current": settings_form.shown(adapters, company, _redirect_uri())})
    notes = _contact_notes(saved.settings)
    return _answer(
        200, settings_form.shown(adapters, company, _redirect_uri()) | {"notes": notes, "freed": freed}
    )


@app.post("/api/<company>/check-setup")
def post_check_setup(company: Company, on_screen: Annotated[OnScreen, Body()]) -> Response[Any]:
    try:
        return _answer(200, check_setup(adapters, company, on_screen.settings))
    except SettingsRefused as refused:
        return _answer(422, _refused_settings("Not checked: some values need correcting.", refused))
    except NoAnswer as none:
        return _no_answer(*none.args)


def _refused_settings(words: str, refused: SettingsRefused) -> Json:
    fields = [{"name": one.field, "message": one.reason, "value": one.value} for one in refused.refused]
    return _error("invalid", words, fields=fields)


def _contact_notes(settings: Settings) -> list[Json]:
    """Have Xero asked who bears the contacts' names now, so that a wrong name shows here and not on an order."""
    began = adapters.now()
    connection = adapters.connections.connection(_session().person.company)
    notes: list[Json] = []
    if connection is None or connection.status != "connected":
        return notes
    for key in ("contact_name", "purchase_order_contact_name"):
        name = getattr(settings, key)
        if name:
            late = adapters.now() - began > CONTACTS_BEGIN
            said = {"error": "late"} if late else _ask_desk("contact", name=name)
            if "error" in said:
                notes.append(
                    {"name": key, "message": f"Xero did not answer; “{name}” was not looked for there."}
                )
            elif "note" in said:
                notes.append({"name": key, "message": said["note"]})
    return notes


def _ask_desk(task: str, **about: Any) -> Json:
    """The answer of `xero_desk`, for the company of the session."""
    company = _session().person.company
    said = desk.ask(company, task, **about)
    if said.get("error") == "desk_failed":
        logger.warning("xero_desk did not answer", company=company, task=task)
    return said


@app.post("/api/<company>/mail-addresses/confirmation")
def post_confirmation(company: Company, about: Annotated[MailAddress, Body()]) -> Response[Any]:
    try:
        return _answer(200, ask_again(adapters, company, about.address))
    except NotAskedAgain as refused:
        return _answer(409, _error("not_asked_again", refused.message))


@app.put("/api/<company>/credentials")
def put_credentials(company: Company, given: Annotated[Credentials, Body()]) -> Response[Any]:
    try:
        known = settings_form.save_app(adapters, _session().person, given.client_id, given.client_secret)
    except settings_form.SecretNeeded:
        words = (
            "This is another client id than before, so enter its client secret, too. If you don't have it any more,"
            " generate a new one in Xero's developer portal."
        )
        fields = [{"name": "client_secret", "message": words}]
        return _answer(422, _error("invalid", "The client secret is missing.", fields=fields))
    return _answer(200, {"app": settings_form.shown_app(known, _redirect_uri())})


# --- the connection ----------------------------------------------------------------------------------------------


@app.post("/api/<company>/connect")
def post_connect(company: Company, _: Annotated[Nothing, Body()]) -> Response[Any]:
    known = adapters.connections.connection(company)
    if known is not None and known.taken_out:
        return _answer(409, _error("taken_out", " ".join(filter(None, words(known)))))
    if known is not None and known.to_end_at_xero:
        # first, because ending the old consent later would also end the new one
        _ask_desk("disconnect")
    url = connect.begin(
        adapters,
        authorizations,
        _session(),
        app.context["session_id"],
        login_url=XERO_LOGIN_URL,
        redirect_uri=_redirect_uri(),
        state=secrets.token_urlsafe(32),
    )
    if url is None:
        return _answer(
            409, _error("app_missing", "Save the client id and client secret of your Xero app first.")
        )
    return _answer(200, {"authorization_url": url})


@app.get("/api/<company>/connection")
def get_connection(company: Company) -> Json:
    return shown_connection(adapters, company)


@app.post("/api/<company>/connection/organisation")
def post_organisation(company: Company, chosen: Annotated[Chosen, Body()]) -> Response[Any]:
    if not connect.choose(adapters, _session().person, chosen.organisation_id):
        return _answer(
            409, _error("no_such_choice", "This organisation can't be chosen now. Load the page anew.")
        )
    return _answer(200, shown_connection(adapters, company))


@app.delete("/api/<company>/connection")
def delete_connection(company: Company) -> Response[Any]:
    if not connect.disconnect(adapters, _session().person):
        return _answer(200, {"words": "There is no connection to end."})
    said = _ask_desk("disconnect")
    words = {
        "ended": "Disconnected. Xero was told; nothing more is posted.",
        "shared": (
            "Disconnected here. Another company of yours uses the same Xero app and organisation, so only this"
            " company's access was forgotten, and Xero still lists the app."
        ),
        "left": (
            "Disconnected here; nothing more is posted. Xero takes this app's access no more, so it could not be told"
            " and may still list the app under Settings, Connected apps. Remove it there."
        ),
    }
    not_yet = (
        "Disconnected here; nothing more is posted. Xero has not confirmed it yet; it is asked again by itself until it"
        " does."
    )
    return _answer(200, {"words": words.get(said.get("ended", ""), not_yet)})


# --- Xero's lists ------------------------------------------------------------------------------------------------


def _listed(task: str, **about: Any) -> Response[Any]:
    said = _ask_desk(task, **about)
    if "error" not in said:
        return _answer(200, said)
    if said["error"] == "not_connected":
        return _answer(409, _error("not_connected", "Connect to Xero first."))
    return _no_answer(said.get("message"))


def _no_answer(message: str | None = None) -> Response[Any]:
    # the alarm on answers of the API above 500 leaves these out
    metrics.add_metric("XeroUnavailable", MetricUnit.Count, 1)
    return _answer(
        503, _error("xero_unavailable", message or "Xero does not answer right now. Try again soon.")
    )


@app.get("/api/<company>/xero/accounts")
def accounts(
    company: Company,
    for_: Annotated[Literal["sales", "cogs", "inventory", "shipping", "all"], Query(alias="for")] = "all",
) -> Response[Any]:
    return _listed("accounts", use=for_)


@app.get("/api/<company>/xero/contacts")
def contacts(company: Company, search: Annotated[str, Query(max_length=255)] = "") -> Response[Any]:
    return _listed("contacts", search=search)


@app.get("/api/<company>/xero/tax-rates")
def tax_rates(
    company: Company,
    for_: Annotated[Literal["sales", "purchases", "all"], Query(alias="for")] = "all",
) -> Response[Any]:
    return _listed("tax_rates", use=for_)


@app.get("/api/<company>/xero/currencies")
def currencies(company: Company) -> Response[Any]:
    return _listed("currencies")


@app.get("/api/<company>/xero/read-again")
def get_read_again(company: Company) -> Response[Any]:
    """When Xero is read for stopped orders. Asking says that the Orders tab is open."""
    try:
        return _answer(200, rereading.shown(adapters, company))
    except rereading.NotConnected:
        return _answer(409, _error("not_connected", "Connect to Xero first."))


@app.post("/api/<company>/xero/read-again")
def post_read_again(company: Company, _: Annotated[Nothing, Body()]) -> Response[Any]:
    try:
        return _answer(200, rereading.read_now(adapters, company))
    except rereading.NotConnected:
        return _answer(409, _error("not_connected", "Connect to Xero first."))


# --- the overview ------------------------------------------------------------------------------------------------


@app.get("/api/<company>/overview")
def get_overview(company: Company, zone: Annotated[str, Query(max_length=100)] = "") -> Json:
    return overview(adapters, company, zone)


# --- orders ------------------------------------------------------------------------------------------------------


@app.get("/api/<company>/orders")
def get_orders(
    company: Company,
    status: Annotated[State | Literal["changed"] | None, Query()] = None,
    problem: Annotated[str, Query(max_length=100)] = "",
    search: Annotated[str, Query(max_length=100)] = "",
    from_: Annotated[date | None, Query(alias="from")] = None,
    to: Annotated[date | None, Query()] = None,
    dates: Annotated[DatesOf, Query()] = "changed",
    sort: Annotated[Literal["newest", "oldest"], Query()] = "newest",
    rows: Annotated[int, Query(ge=1, le=MOST_ROWS)] = PAGE,
    cursor: Annotated[str, Query(max_length=1000)] = "",
) -> Json:
    oldest_first = sort == "oldest"
    asked = Asked(
        status, problem.strip(), search.strip(), from_, to, dates, oldest_first, rows, cursor=cursor
    )
    return orders(adapters, company, asked)


def _view(company: str) -> View:
    return View(adapters, company, *adapters.connections.connection_and_pause(company))


def _order(company: str, order_id: str) -> Entry:
    entry = one(adapters, company, order_id)
    if entry is None:
        raise NotFoundError
    return entry


@app.get("/api/<company>/orders/<order_id>")
def get_order(company: Company, order_id: OrderId) -> Json:
    return _view(company).explained(_order(company, order_id), may_credit=_session().person.may_credit)


@app.post("/api/<company>/orders/<order_id>/retry")
def post_retry(company: Company, order_id: OrderId, how: Annotated[Retry, Body()]) -> Response[Any]:
    entry = _order(company, order_id)
    try:
        saved = retry(
            adapters,
            _session().person,
            entry,
            items_as_they_are=how.items_as_they_are,
            no_sale=how.no_sale,
        )
    except NothingToRetry as nothing:
        return _answer(409, _error("nothing_to_retry", nothing.message))
    return _answer(200, _view(company).order(saved))


@app.post("/api/<company>/orders/<order_id>/correction")
def post_correction(company: Company, order_id: OrderId, how: Annotated[AskedFor, Body()]) -> Response[Any]:
    try:
        saved = correct(
            adapters,
            _session().person,
            _order(company, order_id),
            how.asked,
            version=how.version,
            lines=[Credited(one.line, one.pieces, one.amount) for one in how.lines],
            goods_are_back=how.goods_are_back,
        )
    except ChangedMeanwhile as changed:
        return _answer(409, _error("order_changed", changed.message))
    except NothingToCorrect as nothing:
        return _answer(409, _error("nothing_to_correct", nothing.message))
    return _answer(200, _view(company).explained(saved, may_credit=True))


@app.post("/api/<company>/orders/<order_id>/look")
def post_look(company: Company, order_id: OrderId, _: Annotated[Nothing, Body()]) -> Response[Any]:
    try:
        saved = look(adapters, _order(company, order_id))
    except NothingToRead as nothing:
        return _answer(409, _error("nothing_to_read", nothing.message))
    except NotConnected:
        return _answer(409, _error("not_connected", "Connect to Xero first."))
    except NoAnswer:
        return _no_answer()
    return _answer(200, _view(company).explained(saved, may_credit=_session().person.may_credit))


@app.post("/api/<company>/orders/retry")
def post_retry_many(company: Company, which: Annotated[RetryMany, Body()]) -> Response[Any]:
    person = _session().person
    try:
        if which.ids is not None and which.problem is None:
            retried = retry_many(
                adapters,
                person,
                which.ids,
                items_as_they_are=which.items_as_they_are,
                no_sale=which.no_sale,
            )
            return _answer(200, retried)
        if which.problem is not None and which.ids is None:
            return _answer(200, retry_all(adapters, person, which.problem))
    except NothingToRetry as nothing:
        return _answer(409, _error("nothing_to_retry", nothing.message))
    return _answer(422, _error("invalid", "Name either a problem or the orders."))


@app.post("/api/<company>/orders/set-aside")
def post_set_aside(company: Company, which: Annotated[SetAside, Body()]) -> Response[Any]:
    return _answer(200, set_aside(adapters, _session().person, which.ids, which.reason.strip()))


@app.post("/api/<company>/orders/take-back")
def post_take_back(company: Company, which: Annotated[ChosenOrders, Body()]) -> Response[Any]:
    return _answer(200, take_back(adapters, _session().person, which.ids))


@app.get("/api/<company>/book-match")
def get_book_match(company: Company) -> Json:
    return book_match.book_match(adapters, company)


@app.post("/api/<company>/book-match")
def post_book_match(company: Company, how: Annotated[Match, Body()]) -> Response[Any]:
    try:
        shown = book_match.ask(adapters, company, in_full=how.in_full)
    except book_match.NotConnected:
        return _answer(409, _error("not_connected", "Connect to Xero first."))
    logger.info("book match asked for", company=company, in_full=how.in_full)
    return _answer(200, shown)


@app.post("/api/<company>/preview")
def post_preview(company: Company, asked: Annotated[Previewed, Body()]) -> Response[Any]:
    try:
        # parsed again from the text, because the router has made amounts floats
        body = app.current_event.decoded_body or ""
        return _answer(
            200, preview(adapters, company, body, order_id=asked.order_id, settings=asked.settings)
        )
    except NoSuchOrder:
        raise NotFoundError from None
    except SettingsRefused as refused:
        return _answer(422, _refused_settings("Some values on screen need correcting first.", refused))
    except NotConnected:
        return _answer(409, _error("not_connected", "Connect to Xero first."))
    except NoAnswer:
        return _no_answer()

"""Xero's login and consent pages: what a person sees in a browser on the way to an access token."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from flask import Blueprint, Response, make_response, redirect, render_template, request

from local.xero.identity import AuthorizeError, AuthorizeRequest, ConsentRefusedError
from local.xero.portal import IDENTITY_SCOPES
from local.xero.routes import mount, refuse_framing, route
from local.xero.users import User
from local.xero.world import World

_COOKIE = "xero_identity"

SCOPES_IN_WORDS = {
    "accounting.invoices": "View and manage your invoices, bills, credit notes and purchase orders",
    "accounting.invoices.read": "View your invoices, bills, credit notes and purchase orders",
    "accounting.contacts": "View and manage your contacts",
    "accounting.contacts.read": "View your contacts",
    "accounting.settings": "View and manage your organisation settings",
    "accounting.settings.read": "View your organisation settings",
    "accounting.transactions": "View and manage your business transactions",
}


def blueprint(world: World) -> Blueprint:
    pages = Blueprint("consent", __name__)
    pages.after_request(refuse_framing)
    return mount(pages, _Consent(world))


@dataclass
class _Asked:
    """A consent page that was shown and not yet answered."""

    request: AuthorizeRequest
    user_id: str
    one_organisation: bool


class _Consent:
    """The pages, and who is logged in to them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._logins: dict[str, str] = {}
        self._asked: dict[str, _Asked] = {}
        self._error_pages: dict[str, str] = {}

    @route("GET", "/identity/connect/authorize")
    def authorize(self) -> Response:
        query_string = request.query_string.decode()
        with self._world.lock:
            try:
                wanted = self._world.identity.authorize_request(query_string)
            except AuthorizeError as error:
                return self._show_error(str(error))
            user = self._person()
            if user is None:
                back = quote(f"/identity/connect/authorize?{query_string}", safe="")
                return make_response(redirect(f"/identity/user/login?returnUrl={back}"))
            consent_id = self._secret()
            single = "bulk_connect:false" in request.args.get("acr_values", "")
            self._asked[consent_id] = _Asked(wanted, user.id, single)
            return self._consent_page(consent_id)

    @route("POST", "/identity/connect/consent")
    def consent(self) -> Response:
        with self._world.lock:
            user, asked = self._person(), self._asked.get(request.form.get("consent", ""))
            if user is None or asked is None or asked.user_id != user.id:
                return self._show_error("invalid_request : This request has expired")
            consent_id = request.form["consent"]
            if request.form.get("choice") != "allow":
                del self._asked[consent_id]
                return make_response(redirect(asked.request.answer_url({"error": "access_denied"})))
            chosen = request.form.getlist("organisation")
            if asked.one_organisation and len(chosen) > 1:
                return self._consent_page(consent_id, "Select one organisation.")
            try:
                target = self._world.identity.allow(asked.request, user, chosen)
            except ConsentRefusedError as refusal:
                return self._consent_page(consent_id, str(refusal))
            del self._asked[consent_id]
            return make_response(redirect(target))

    def _consent_page(self, consent_id: str, complaint: str = "") -> Response:
        asked = self._asked[consent_id]
        user = self._world.users[asked.user_id]
        wanted = asked.request.scopes
        page = render_template(
            "consent.html",
            app=self._world.portal.apps[asked.request.client_id],
            user=user,
            consent_id=consent_id,
            organisations=[self._world.organisations[tenant] for tenant in user.tenant_ids],
            wants_books=not set(wanted) <= IDENTITY_SCOPES,
            one_organisation=asked.one_organisation,
            permissions=[
                SCOPES_IN_WORDS.get(scope, scope) for scope in wanted if scope not in IDENTITY_SCOPES
            ],
            complaint=complaint,
        )
        return make_response(page, 400 if complaint else 200)

    def _show_error(self, message: str) -> Response:
        error_id = self._secret()
        self._error_pages[error_id] = message
        return make_response(redirect(f"/identity/error?errorId={error_id}"))

    @route("GET", "/identity/error")
    def error_page(self) -> Response:
        message = self._error_pages.get(request.args.get("errorId", ""), "unknown")
        return make_response(render_template("identity_error.html", message=message), 500)

    @route("GET", "/identity/user/login")
    def login_page(self) -> str:
        return self._login_page()

    @route("POST", "/identity/user/login")
    def login(self) -> Response:
        user = self._world.user_with_email(request.form.get("email", ""))
        if user is None or user.password != request.form.get("password"):
            return make_response(self._login_page("Your email or password is incorrect."), 401)
        cookie = self._secret()
        self._logins[cookie] = user.id
        response = make_response(redirect(_back_address()))
        response.set_cookie(_COOKIE, cookie, httponly=True, samesite="Lax", path="/identity")
        return response

    @route("POST", "/identity/user/logout")
    def logout(self) -> Response:
        self._logins.pop(request.cookies.get(_COOKIE, ""), None)
        return make_response(redirect(_back_address()))

    def _login_page(self, complaint: str = "") -> str:
        users = list(self._world.users.values())
        return render_template("login.html", users=users, back=_back_address(), complaint=complaint)

    def _person(self) -> User | None:
        return self._world.users.get(self._logins.get(request.cookies.get(_COOKIE, ""), ""))

    def _secret(self) -> str:
        return f"{self._world.dice.getrandbits(128):032x}"


def _back_address() -> str:
    back = request.values.get("returnUrl", "")
    return back if back.startswith("/identity/") else "/identity/user/login"

"""Xero's login and consent pages, and the developer portal: what a person sees in a browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request

from local.xero.identity import AuthorizeError, AuthorizeRequest, ConsentRefusedError
from local.xero.portal import IDENTITY_SCOPES, KINDS, WEB_APP
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


@dataclass
class _Asked:
    """A consent page that was shown and not yet answered."""

    request: AuthorizeRequest
    user_id: str
    one_organisation: bool


def blueprint(world: World) -> Blueprint:  # noqa: PLR0915
    site = Blueprint("consent", __name__)
    logins: dict[str, str] = {}
    asked: dict[str, _Asked] = {}
    error_pages: dict[str, str] = {}

    def secret() -> str:
        return f"{world.dice.getrandbits(128):032x}"

    def person() -> User | None:
        return world.users.get(logins.get(request.cookies.get(_COOKIE, ""), ""))

    @site.after_request
    def refuse_framing(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = "frame-ancestors 'none'"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Cache-Control"] = "no-store"
        return response

    @site.get("/identity/connect/authorize")
    def authorize() -> Response:
        query_string = request.query_string.decode()
        with world.lock:
            try:
                wanted = world.identity.authorize_request(query_string)
            except AuthorizeError as error:
                return show_error(str(error))
            user = person()
            if user is None:
                back = quote(f"/identity/connect/authorize?{query_string}", safe="")
                return make_response(redirect(f"/identity/user/login?returnUrl={back}"))
            consent_id = secret()
            single = "bulk_connect:false" in request.args.get("acr_values", "")
            asked[consent_id] = _Asked(wanted, user.id, single)
            return consent_page(consent_id)

    def consent_page(consent_id: str, complaint: str = "") -> Response:
        one = asked[consent_id]
        user = world.users[one.user_id]
        wanted = one.request.scopes
        page = render_template(
            "consent.html",
            app=world.portal.apps[one.request.client_id],
            user=user,
            consent_id=consent_id,
            organisations=[world.organisations[tenant] for tenant in user.tenant_ids],
            wants_books=not set(wanted) <= IDENTITY_SCOPES,
            one_organisation=one.one_organisation,
            permissions=[
                SCOPES_IN_WORDS.get(scope, scope) for scope in wanted if scope not in IDENTITY_SCOPES
            ],
            complaint=complaint,
        )
        return make_response(page, 400 if complaint else 200)

    @site.post("/identity/connect/consent")
    def consent() -> Response:
        with world.lock:
            user, one = person(), asked.get(request.form.get("consent", ""))
            if user is None or one is None or one.user_id != user.id:
                return show_error("invalid_request : This request has expired")
            consent_id = request.form["consent"]
            if request.form.get("choice") != "allow":
                del asked[consent_id]
                return make_response(redirect(one.request.answer_url({"error": "access_denied"})))
            chosen = request.form.getlist("organisation")
            if one.one_organisation and len(chosen) > 1:
                return consent_page(consent_id, "Select one organisation.")
            try:
                target = world.identity.allow(one.request, user, chosen)
            except ConsentRefusedError as refusal:
                return consent_page(consent_id, str(refusal))
            del asked[consent_id]
            return make_response(redirect(target))

    def show_error(message: str) -> Response:
        error_id = secret()
        error_pages[error_id] = message
        return make_response(redirect(f"/identity/error?errorId={error_id}"))

    @site.get("/identity/error")
    def error_page() -> Response:
        message = error_pages.get(request.args.get("errorId", ""), "unknown")
        return make_response(render_template("identity_error.html", message=message), 500)

    @site.get("/identity/user/login")
    def login_page() -> str:
        return render_template(
            "login.html", users=list(world.users.values()), back=back_address(), complaint=""
        )

    @site.post("/identity/user/login")
    def login() -> Response:
        user = world.user_with_email(request.form.get("email", ""))
        if user is None or user.password != request.form.get("password"):
            page = render_template(
                "login.html",
                users=list(world.users.values()),
                back=back_address(),
                complaint="Your email or password is incorrect.",
            )
            return make_response(page, 401)
        cookie = secret()
        logins[cookie] = user.id
        response = make_response(redirect(back_address()))
        response.set_cookie(_COOKIE, cookie, httponly=True, samesite="Lax", path="/identity")
        return response

    @site.post("/identity/user/logout")
    def logout() -> Response:
        logins.pop(request.cookies.get(_COOKIE, ""), None)
        return make_response(redirect(back_address()))

    def back_address() -> str:
        back = request.values.get("returnUrl", "")
        return back if back.startswith("/identity/") else "/identity/user/login"

    # Developer portal

    @site.get("/developer/apps")
    def portal() -> str:
        return portal_page({})

    def portal_page(form: Mapping[str, str], complaint: str = "") -> str:
        return render_template(
            "portal.html",
            apps=list(world.portal.apps.values()),
            kinds=KINDS,
            form={"kind": WEB_APP, **form},
            complaint=complaint,
        )

    @site.post("/developer/apps")
    def register() -> Response:
        form = request.form
        given = {
            "name": form.get("name", ""),
            "kind": form.get("kind", WEB_APP),
            "company_url": form.get("company_url", ""),
            "redirect_uris": [uri.strip() for uri in form.get("redirect_uri", "").split() if uri.strip()],
        }
        try:
            with world.lock:
                app = world.portal.register(given, world.now())
        except ValueError as error:
            return make_response(portal_page(form, str(error)), 400)
        return make_response(redirect(f"/developer/apps/{app.client_id}", 303))

    @site.get("/developer/apps/<client_id>")
    def portal_app(client_id: str) -> str:
        return app_page(client_id)

    @site.post("/developer/apps/<client_id>/secret")
    def generate_secret(client_id: str) -> str:
        app = world.portal.apps.get(client_id) or abort(404)
        if app.kind != WEB_APP:
            abort(404)
        with world.lock:
            return app_page(client_id, shown_secret=world.portal.generate_secret(app))

    @site.post("/developer/apps/<client_id>/redirect-uris")
    def add_redirect(client_id: str) -> Response:
        app = world.portal.apps.get(client_id) or abort(404)
        try:
            world.portal.add_redirect(app, request.form.get("redirect_uri", "").strip())
        except ValueError as error:
            return make_response(app_page(client_id, complaint=str(error)), 400)
        return make_response(redirect(f"/developer/apps/{client_id}", 303))

    def app_page(client_id: str, shown_secret: str = "", complaint: str = "") -> str:
        app = world.portal.apps.get(client_id) or abort(404)
        return render_template("portal_app.html", app=app, secret=shown_secret, complaint=complaint)

    return site

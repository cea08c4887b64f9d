"""The developer portal's pages, where a person registers an app and gets its client id and secret."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request

from local.xero.portal import KINDS, WEB_APP, App
from local.xero.routes import mount, refuse_framing, route
from local.xero.world import World


def blueprint(world: World) -> Blueprint:
    pages = Blueprint("portal", __name__)
    pages.after_request(refuse_framing)
    return mount(pages, _Portal(world))


class _Portal:
    def __init__(self, world: World) -> None:
        self._world = world

    @route("GET", "/developer/apps")
    def portal(self) -> str:
        return self._portal_page({})

    @route("POST", "/developer/apps")
    def register(self) -> Response:
        form = request.form
        given = {
            "name": form.get("name", ""),
            "kind": form.get("kind", WEB_APP),
            "company_url": form.get("company_url", ""),
            "redirect_uris": [uri.strip() for uri in form.get("redirect_uri", "").split() if uri.strip()],
        }
        try:
            with self._world.lock:
                app = self._world.portal.register(given, self._world.now())
        except ValueError as error:
            return make_response(self._portal_page(form, str(error)), 400)
        return make_response(redirect(f"/developer/apps/{app.client_id}", 303))

    @route("GET", "/developer/apps/<client_id>")
    def portal_app(self, client_id: str) -> str:
        return _app_page(self._app(client_id))

    @route("POST", "/developer/apps/<client_id>/secret")
    def generate_secret(self, client_id: str) -> str:
        app = self._app(client_id)
        if app.kind != WEB_APP:
            abort(404)
        with self._world.lock:
            return _app_page(app, secret=self._world.portal.generate_secret(app))

    @route("POST", "/developer/apps/<client_id>/redirect-uris")
    def add_redirect(self, client_id: str) -> Response:
        app = self._app(client_id)
        try:
            self._world.portal.add_redirect(app, request.form.get("redirect_uri", "").strip())
        except ValueError as error:
            return make_response(_app_page(app, complaint=str(error)), 400)
        return make_response(redirect(f"/developer/apps/{client_id}", 303))

    def _portal_page(self, form: Mapping[str, str], complaint: str = "") -> str:
        return render_template(
            "portal.html",
            apps=list(self._world.portal.apps.values()),
            kinds=KINDS,
            form={"kind": WEB_APP, **form},
            complaint=complaint,
        )

    def _app(self, client_id: str) -> App:
        return self._world.portal.apps.get(client_id) or abort(404)


def _app_page(app: App, secret: str = "", complaint: str = "") -> str:
    return render_template("portal_app.html", app=app, secret=secret, complaint=complaint)

"""The simulator's own controls under /_simulator/: what Xero itself would never offer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, request

from local.xero.documents import commit_record
from local.xero.faults import KINDS
from local.xero.identity import PROVIDER_MODELS
from local.xero.organisations import Document, Organisation
from local.xero.people import change_document, find_document
from local.xero.portal import App, accepted_redirect
from local.xero.views import (
    account_view,
    contact_view,
    invoice_view,
    item_view,
    organisation_view,
    purchase_order_view,
    tax_rate_view,
)
from local.xero.wire import Json, parse_json, to_json, utc_string
from local.xero.world import World


class _NoSuchThingError(LookupError):
    """A control that names something the world doesn't have."""


def document_facts(world: World, organisation: Organisation, document: Document) -> Json:
    """A stored document in full, with what only the simulator knows about it."""
    ties = world.ties(organisation)
    view = (
        invoice_view(organisation, document, lines=True, places=4, ties=ties)
        if document.is_invoice
        else purchase_order_view(organisation, document, ties)
    )
    return {
        "tenant_id": organisation.id,
        "created_by": document.created_by,
        "created_at": utc_string(document.created_at),
        **commit_record(organisation.contacts[document.contact_id].name, document, "stored"),
        "lines": len(document.lines),
        "document": view,
    }


def organisation_facts(world: World, organisation: Organisation) -> Json:
    ties = world.ties(organisation)
    return {
        "id": organisation.id,
        "name": organisation.name,
        "short_code": organisation.short_code,
        "country": organisation.country.version,
        "base_currency": organisation.base_currency,
        "day_limit": organisation.day_limit,
        "approval_cap": organisation.approval_cap,
        "pays_tax": organisation.pays_tax,
        "multicurrency": organisation.multicurrency,
        "backorders": organisation.backorders,
        "offline": organisation.offline,
        "gone": organisation.gone,
        "tie_rounding": ties,
        "period_lock_date": str(organisation.period_lock_date) if organisation.period_lock_date else None,
        "end_of_year_lock_date": (
            str(organisation.end_of_year_lock_date) if organisation.end_of_year_lock_date else None
        ),
        "currencies": organisation.currencies,
        "organisation": organisation_view(organisation),
        "accounts": [account_view(account, organisation) for account in organisation.accounts],
        "tax_rates": [tax_rate_view(rate) for rate in organisation.tax_rates.values()],
        "contacts": [contact_view(contact) for contact in organisation.contacts.values()],
        "items": [item_view(item, 4, ties) for item in organisation.items.values()],
        "users": [user.email for user in world.users.values() if organisation.id in user.tenant_ids],
    }


def blueprint(world: World) -> Blueprint:  # noqa: PLR0915
    controls = Blueprint("controls", __name__, url_prefix="/_simulator")

    def given() -> Json:
        body = request.get_data()
        posted: Any = parse_json(body) if body.strip() else {}
        if not isinstance(posted, dict):
            raise TypeError("the body must be a JSON object")
        return posted

    def answer(payload: Any, status: int = 200) -> Response:
        return Response(to_json(payload), status, content_type="application/json")

    def organisation(wanted: str) -> Organisation:
        found = world.organisation(wanted)
        if found is None:
            raise _NoSuchThingError(f"no organisation {wanted}")
        return found

    def app(client_id: str) -> App:
        if client_id not in world.portal.apps:
            raise _NoSuchThingError(f"no app {client_id}")
        return world.portal.apps[client_id]

    def user_id(wanted: str | None) -> str | None:
        if wanted is None:
            return None
        user = world.users.get(wanted) or world.user_with_email(wanted)
        if user is None:
            raise _NoSuchThingError(f"no user {wanted}")
        return user.id

    @controls.errorhandler(ValueError)
    @controls.errorhandler(KeyError)
    @controls.errorhandler(TypeError)
    def refused(error: Exception) -> Response:
        return answer({"error": str(error)}, 400)

    @controls.errorhandler(_NoSuchThingError)
    def missing(error: Exception) -> Response:
        return answer({"error": str(error)}, 404)

    @controls.get("/log")
    def log() -> Response:
        with world.lock:
            entries = world.log.since(int(request.args.get("since", 0)))
            return answer(
                {
                    "entries": [entry.as_json() for entry in entries],
                    "next": len(world.log.entries),
                    "tenant_mismatches": world.log.tenant_mismatches,
                }
            )

    @controls.get("/documents")
    def documents() -> Response:
        wanted = request.args.get("organisation")
        with world.lock:
            organisations = [organisation(wanted)] if wanted else list(world.organisations.values())
            facts = [
                document_facts(world, one, each) for one in organisations for each in one.documents.values()
            ]
            return answer({"documents": facts})

    @controls.get("/faults")
    def faults() -> Response:
        rules = [rule.as_json() for rule in world.faults.rules]
        return answer({"faults": rules, "kinds": sorted(KINDS)})

    @controls.post("/faults")
    def add_fault() -> Response:
        with world.lock:
            return answer(world.faults.add(given()).as_json(), 201)

    @controls.delete("/faults")
    @controls.delete("/faults/<fault_id>")
    def remove_faults(fault_id: str | None = None) -> Response:
        with world.lock:
            return answer({"removed": world.faults.remove(fault_id)})

    @controls.get("/clock")
    def clock() -> Response:
        return answer({"now": world.clock.now().isoformat()})

    @controls.post("/clock")
    def move_clock() -> Response:
        """`advance` in seconds, or `set` to a moment."""
        wanted = given()
        if "set" in wanted:
            seconds = (world.utc(wanted["set"]) - world.clock.now()).total_seconds()
        else:
            seconds = float(wanted["advance"])
        world.clock.advance(seconds)
        world.run_due()
        return clock()

    @controls.get("/organisations")
    def organisations() -> Response:
        with world.lock:
            facts = [organisation_facts(world, one) for one in world.organisations.values()]
            return answer({"organisations": facts})

    @controls.post("/organisations")
    def add_organisation() -> Response:
        return answer(organisation_facts(world, world.add_organisation(given())), 201)

    @controls.get("/organisations/<wanted>")
    def one_organisation(wanted: str) -> Response:
        with world.lock:
            return answer(organisation_facts(world, organisation(wanted)))

    @controls.patch("/organisations/<wanted>")
    def change_organisation(wanted: str) -> Response:
        with world.lock:
            found = organisation(wanted)
            world.change_organisation(found, given())
            return answer(organisation_facts(world, found))

    @controls.patch("/organisations/<wanted>/documents/<path:key>")
    def edit_document(wanted: str, key: str) -> Response:
        """A person's edit: any of Xero's fields (`Status`, `Reference`, `LineItems`…), or `Pay`."""
        found = organisation(wanted)
        document = find_document(found, key, request.args.get("kind"))
        if document is None:
            raise _NoSuchThingError(f"no document {key}")
        reply = change_document(world, found, document, given())
        if reply.status != 200:
            return answer({"error": reply.payload}, reply.status)
        return answer(document_facts(world, found, found.documents[document.id]))

    @controls.get("/apps")
    def apps() -> Response:
        return answer({"apps": [one.as_json() for one in world.portal.apps.values()]})

    @controls.post("/apps")
    def register_app() -> Response:
        with world.lock:
            made = world.portal.register(given(), world.now())
            secret = made.secret or world.portal.generate_secret(made)
        return answer({**made.as_json(), "client_secret": secret}, 201)

    @controls.post("/apps/<client_id>/secret")
    def new_secret(client_id: str) -> Response:
        with world.lock:
            return answer(
                {"client_id": client_id, "client_secret": world.portal.generate_secret(app(client_id))}
            )

    @controls.patch("/apps/<client_id>")
    def change_app(client_id: str) -> Response:
        wanted, found = given(), app(client_id)
        if "redirect_uris" in wanted:
            found.redirect_uris = [accepted_redirect(uri) for uri in wanted["redirect_uris"]]
        if "certified" in wanted:
            found.certified = bool(wanted["certified"])
        return answer(found.as_json())

    @controls.get("/users")
    def users() -> Response:
        return answer({"users": [user.as_json() for user in world.users.values()]})

    @controls.post("/users")
    def add_user() -> Response:
        return answer(world.add_user(given()).as_json(), 201)

    @controls.get("/connections")
    def connections() -> Response:
        with world.lock:
            live = [
                {
                    "client_id": one.client_id,
                    "user_id": one.user_id,
                    **one.as_json(world.organisations[one.tenant_id].name),
                }
                for one in world.connections.all()
            ]
        return answer({"connections": live})

    @controls.delete("/connections")
    def disconnect() -> Response:
        """As a person under Connected apps: `tenant_id`, and `client_id` or `user` to narrow it."""
        wanted = given()
        with world.lock:
            dropped = world.connections.drop(
                client_id=wanted.get("client_id"),
                user_id=user_id(wanted.get("user")),
                tenant_id=wanted.get("tenant_id"),
            )
        return answer({"disconnected": dropped})

    @controls.post("/revoke")
    def revoke() -> Response:
        """End the token sets of `client_id`, of one `user` or of all."""
        wanted = given()
        with world.lock:
            ended = world.identity.revoke_all(app(wanted["client_id"]).client_id, user_id(wanted.get("user")))
        return answer({"revoked": ended})

    @controls.get("/provider-model")
    def provider_model() -> Response:
        return answer({"model": world.identity.provider_model, "models": list(PROVIDER_MODELS)})

    @controls.post("/provider-model")
    def choose_provider_model() -> Response:
        world.choose_provider_model(given()["model"])
        return provider_model()

    @controls.post("/access-tokens")
    def shorten_access_tokens() -> Response:
        """`{"live": seconds}`: how long those live that are issued from now on."""
        world.identity.access_token_lives = timedelta(seconds=int(given()["live"]))
        return answer({"live": int(world.identity.access_token_lives.total_seconds())})

    @controls.get("/unconfirmed")
    def unconfirmed() -> Response:
        return answer({"unconfirmed": world.unconfirmed.table()})

    @controls.post("/unconfirmed")
    def choose() -> Response:
        """`{"name of the question": "answer", …}`"""
        for name, chosen in given().items():
            world.unconfirmed.choose(name, chosen)
        return unconfirmed()

    @controls.post("/reset")
    def reset() -> Response:
        with world.lock:
            world.reset()
        return answer({"organisations": len(world.organisations)})

    return controls

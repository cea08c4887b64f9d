"""The simulator's own controls under /_simulator/: what Xero itself would never offer.

docs/simulated-xero.md has an example of each, grouped as here: a class for each subject.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, request

from local.xero.documents import commit_record
from local.xero.faults import KINDS
from local.xero.identity import PROVIDER_MODELS
from local.xero.organisations import Document, Organisation
from local.xero.people import add_document, change_document, find_document
from local.xero.portal import App, accepted_redirect
from local.xero.routes import mount, route
from local.xero.views import (
    account_view,
    contact_view,
    credit_note_view,
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


def blueprint(world: World) -> Blueprint:
    """All controls, with their errors as JSON: 404 for a thing that is not there, 400 for any other mistake."""
    controls = Blueprint("controls", __name__, url_prefix="/_simulator")
    for mistake in (ValueError, KeyError, TypeError):
        controls.register_error_handler(mistake, lambda error: answer({"error": str(error)}, 400))
    controls.register_error_handler(_NoSuchThingError, lambda error: answer({"error": str(error)}, 404))
    return mount(
        controls,
        LogControls(world),
        FaultControls(world),
        ClockControls(world),
        OrganisationControls(world),
        AccessControls(world),
        BehaviourControls(world),
    )


def given() -> Json:
    """The request's JSON object; an empty body is an empty object."""
    body = request.get_data()
    posted: Any = parse_json(body) if body.strip() else {}
    if not isinstance(posted, dict):
        raise TypeError("the body must be a JSON object")
    return posted


def answer(payload: Any, status: int = 200) -> Response:
    return Response(to_json(payload), status, content_type="application/json")


class _Controls:
    """Controls of one subject."""

    def __init__(self, world: World) -> None:
        self.world = world

    def organisation(self, wanted: str) -> Organisation:
        found = self.world.organisation(wanted)
        if found is None:
            raise _NoSuchThingError(f"no organisation {wanted}")
        return found


class LogControls(_Controls):
    """What happened: every call, and every document there is."""

    @route("GET", "/log")
    def log(self) -> Response:
        world = self.world
        with world.lock:
            entries = world.log.since(int(request.args.get("since", 0)))
            return answer(
                {
                    "entries": [entry.as_json() for entry in entries],
                    "next": len(world.log.entries),
                    "tenant_mismatches": world.log.tenant_mismatches,
                }
            )

    @route("GET", "/documents")
    def documents(self) -> Response:
        world, wanted = self.world, request.args.get("organisation")
        with world.lock:
            organisations = [self.organisation(wanted)] if wanted else list(world.organisations.values())
            facts = [
                document_facts(world, one, each) for one in organisations for each in one.documents.values()
            ]
            return answer({"documents": facts})


class FaultControls(_Controls):
    """Calls that go wrong."""

    @route("GET", "/faults")
    def faults(self) -> Response:
        rules = [rule.as_json() for rule in self.world.faults.rules]
        return answer({"faults": rules, "kinds": sorted(KINDS)})

    @route("POST", "/faults")
    def add_fault(self) -> Response:
        with self.world.lock:
            return answer(self.world.faults.add(given()).as_json(), 201)

    @route("DELETE", "/faults")
    @route("DELETE", "/faults/<fault_id>")
    def remove_faults(self, fault_id: str | None = None) -> Response:
        with self.world.lock:
            return answer({"removed": self.world.faults.remove(fault_id)})


class ClockControls(_Controls):
    """The simulated Xero's clock."""

    @route("GET", "/clock")
    def clock(self) -> Response:
        return answer({"now": self.world.clock.now().isoformat()})

    @route("POST", "/clock")
    def move_clock(self) -> Response:
        """`advance` in seconds, or `set` to a moment."""
        world, wanted = self.world, given()
        if "set" in wanted:
            seconds = (world.utc(wanted["set"]) - world.clock.now()).total_seconds()
        else:
            seconds = float(wanted["advance"])
        world.clock.advance(seconds)
        world.run_due()
        return self.clock()


class OrganisationControls(_Controls):
    """Organisations and their books: what an administrator or an accountant does inside Xero."""

    @route("GET", "/organisations")
    def organisations(self) -> Response:
        world = self.world
        with world.lock:
            facts = [organisation_facts(world, one) for one in world.organisations.values()]
            return answer({"organisations": facts})

    @route("POST", "/organisations")
    def add_organisation(self) -> Response:
        return answer(organisation_facts(self.world, self.world.add_organisation(given())), 201)

    @route("GET", "/organisations/<wanted>")
    def one_organisation(self, wanted: str) -> Response:
        with self.world.lock:
            return answer(organisation_facts(self.world, self.organisation(wanted)))

    @route("PATCH", "/organisations/<wanted>")
    def change_organisation(self, wanted: str) -> Response:
        with self.world.lock:
            found = self.organisation(wanted)
            self.world.change_organisation(found, given())
            return answer(organisation_facts(self.world, found))

    @route("POST", "/organisations/<wanted>/documents")
    def enter_document(self, wanted: str) -> Response:
        """A document that a person enters by hand, in Xero's fields."""
        reply = add_document(self.world, self.organisation(wanted), given())
        return answer(reply.payload, 201 if reply.status == 200 else reply.status)

    @route("PATCH", "/organisations/<wanted>/documents/<path:key>")
    def edit_document(self, wanted: str, key: str) -> Response:
        """A person's edit: Xero's fields (`Status`, `LineItems`…), or `Pay`, `Unpay`, `Allocate`, `Unallocate`."""
        found = self.organisation(wanted)
        document = find_document(found, key, request.args.get("kind"))
        if document is None:
            raise _NoSuchThingError(f"no document {key}")
        reply = change_document(self.world, found, document, given())
        if reply.status != 200:
            return answer({"error": reply.payload}, reply.status)
        return answer(document_facts(self.world, found, found.documents[document.id]))


class AccessControls(_Controls):
    """Who may enter: apps, users, connections and tokens."""

    @route("GET", "/apps")
    def apps(self) -> Response:
        return answer({"apps": [one.as_json() for one in self.world.portal.apps.values()]})

    @route("POST", "/apps")
    def register_app(self) -> Response:
        world = self.world
        with world.lock:
            made = world.portal.register(given(), world.now())
            secret = made.secret or world.portal.generate_secret(made)
        return answer({**made.as_json(), "client_secret": secret}, 201)

    @route("POST", "/apps/<client_id>/authorise")
    def authorise(self, client_id: str) -> Response:
        """A custom connection's one organisation, with the user and the scopes."""
        world, wanted = self.world, given()
        user = world.user_with_email(str(wanted["user"]))
        if user is None:
            raise _NoSuchThingError(f"no user {wanted['user']}")
        organisation, scopes = self.organisation(wanted["organisation"]), tuple(wanted["scopes"].split())
        with world.lock:
            world.identity.authorise(self._app(client_id), user, organisation.id, scopes)
        return answer(self._app(client_id).as_json())

    @route("POST", "/apps/<client_id>/secret")
    def new_secret(self, client_id: str) -> Response:
        with self.world.lock:
            secret = self.world.portal.generate_secret(self._app(client_id))
            return answer({"client_id": client_id, "client_secret": secret})

    @route("PATCH", "/apps/<client_id>")
    def change_app(self, client_id: str) -> Response:
        wanted, found = given(), self._app(client_id)
        if "redirect_uris" in wanted:
            found.redirect_uris = [accepted_redirect(uri) for uri in wanted["redirect_uris"]]
        if "certified" in wanted:
            found.certified = bool(wanted["certified"])
        return answer(found.as_json())

    @route("GET", "/users")
    def users(self) -> Response:
        return answer({"users": [user.as_json() for user in self.world.users.values()]})

    @route("POST", "/users")
    def add_user(self) -> Response:
        return answer(self.world.add_user(given()).as_json(), 201)

    @route("GET", "/connections")
    def connections(self) -> Response:
        world = self.world
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

    @route("DELETE", "/connections")
    def disconnect(self) -> Response:
        """As a person under Connected apps: `tenant_id`, and `client_id` or `user` to narrow it."""
        wanted = given()
        with self.world.lock:
            dropped = self.world.connections.drop(
                client_id=wanted.get("client_id"),
                user_id=self._user_id(wanted.get("user")),
                tenant_id=wanted.get("tenant_id"),
            )
        return answer({"disconnected": dropped})

    @route("POST", "/revoke")
    def revoke(self) -> Response:
        """End the token sets of `client_id`, of one `user` or of all."""
        wanted = given()
        with self.world.lock:
            client_id = self._app(wanted["client_id"]).client_id
            ended = self.world.identity.revoke_all(client_id, self._user_id(wanted.get("user")))
        return answer({"revoked": ended})

    @route("POST", "/access-tokens")
    def shorten_access_tokens(self) -> Response:
        """`{"live": seconds}`: how long those live that are issued from now on."""
        identity = self.world.identity
        identity.access_token_lives = timedelta(seconds=int(given()["live"]))
        return answer({"live": int(identity.access_token_lives.total_seconds())})

    def _app(self, client_id: str) -> App:
        if client_id not in self.world.portal.apps:
            raise _NoSuchThingError(f"no app {client_id}")
        return self.world.portal.apps[client_id]

    def _user_id(self, wanted: str | None) -> str | None:
        if wanted is None:
            return None
        user = self.world.users.get(wanted) or self.world.user_with_email(wanted)
        if user is None:
            raise _NoSuchThingError(f"no user {wanted}")
        return user.id


class BehaviourControls(_Controls):
    """How Xero behaves where its documentation leaves it open, and a fresh start."""

    @route("GET", "/provider-model")
    def provider_model(self) -> Response:
        return answer({"model": self.world.identity.provider_model, "models": list(PROVIDER_MODELS)})

    @route("POST", "/provider-model")
    def choose_provider_model(self) -> Response:
        self.world.choose_provider_model(given()["model"])
        return self.provider_model()

    @route("GET", "/unconfirmed")
    def unconfirmed(self) -> Response:
        return answer({"unconfirmed": self.world.unconfirmed.table()})

    @route("POST", "/unconfirmed")
    def choose(self) -> Response:
        """`{"name of the question": "answer", …}`"""
        for name, chosen in given().items():
            self.world.unconfirmed.choose(name, chosen)
        return self.unconfirmed()

    @route("POST", "/reset")
    def reset(self) -> Response:
        with self.world.lock:
            self.world.reset()
        return answer({"organisations": len(self.world.organisations)})


def document_facts(world: World, organisation: Organisation, document: Document) -> Json:
    """A stored document in full, with what only the simulator knows about it."""
    ties = world.ties(organisation)
    if document.kind == "PURCHASEORDER":
        view = purchase_order_view(organisation, document, ties)
    elif document.kind == "ACCRECCREDIT":
        view = credit_note_view(organisation, document, places=4, ties=ties)
    else:
        view = invoice_view(organisation, document, lines=True, places=4, ties=ties)
    return {
        "tenant_id": organisation.id,
        "created_by": document.created_by,
        "created_at": utc_string(document.created_at),
        **commit_record(organisation.contacts[document.contact_id].name, document, "stored"),
        "lines": len(document.lines),
        "document": view,
    }


def organisation_facts(world: World, organisation: Organisation) -> Json:
    """All that is known of an organisation but its documents."""
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

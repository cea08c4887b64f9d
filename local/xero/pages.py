"""Pages for people: the organisations, and their documents as Xero would show them."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request

from local.xero.organisations import Allocation, Document, Organisation
from local.xero.people import find_document
from local.xero.routes import mount, route
from local.xero.world import World

STATUS_IN_WORDS = {
    "DRAFT": "Draft",
    "SUBMITTED": "Awaiting approval",
    "AUTHORISED": "Awaiting payment",
    "PAID": "Paid",
    "BILLED": "Billed",
    "VOIDED": "Voided",
    "DELETED": "Deleted",
}


def status_in_words(document: Document) -> str:
    if document.kind in ("PURCHASEORDER", "ACCRECCREDIT") and document.status == "AUTHORISED":
        return "Approved"
    return STATUS_IN_WORDS[document.status]


def _other_end(allocation: Allocation, document: Document) -> str:
    """The id of the document at the other end of an allocation."""
    return allocation.invoice_id if document.kind == "ACCRECCREDIT" else allocation.credit_note_id


def blueprint(world: World) -> Blueprint:
    return mount(Blueprint("pages", __name__), _Pages(world))


class _Pages:
    def __init__(self, world: World) -> None:
        self._world = world

    @route("GET", "/")
    def home(self) -> str:
        return render_template("home.html", organisations=list(self._world.organisations.values()))

    @route("GET", "/organisation/<wanted>")
    def books(self, wanted: str) -> str:
        organisation = self._organisation(wanted)
        with self._world.lock:
            documents = sorted(organisation.documents.values(), key=lambda one: one.created_at, reverse=True)
            return render_template(
                "organisation.html",
                organisation=organisation,
                invoices=[one for one in documents if one.kind == "ACCREC"],
                credit_notes=[one for one in documents if one.kind == "ACCRECCREDIT"],
                purchase_orders=[one for one in documents if one.kind == "PURCHASEORDER"],
                bills=[one for one in documents if one.kind == "ACCPAY"],
                status_in_words=status_in_words,
            )

    @route("GET", "/organisation/<wanted>/document/<key>")
    def document_page(self, wanted: str, key: str) -> str:
        organisation = self._organisation(wanted)
        with self._world.lock:
            document = find_document(organisation, key.lower(), None) or abort(404)
            return render_template(
                "document.html",
                organisation=organisation,
                document=document,
                contact=organisation.contacts[document.contact_id],
                allocations=[
                    (one, organisation.documents[_other_end(one, document)]) for one in document.allocations
                ],
                status_in_words=status_in_words,
                tax_names={rate.tax_type: rate.name for rate in organisation.tax_rates.values()},
            )

    # Xero's deep links land on the same pages.

    @route("GET", "/app/<short_code>/invoicing/view/<key>")
    def new_invoice_link(self, short_code: str, key: str) -> Response:
        organisation = self._organisation(short_code)
        return make_response(redirect(f"/organisation/{organisation.id}/document/{key}"))

    @route("GET", "/app/<short_code>/contacts/contact/<key>")
    def contact_link(self, short_code: str, key: str) -> Response:
        return make_response(redirect(f"/organisation/{self._organisation(short_code).id}"))

    @route("GET", "/organisationlogin/default.aspx")
    def classic_link(self) -> Response:
        """`shortcode` names the organisation, `redirecturl` one of its documents."""
        given = {name.lower(): value for name, value in request.args.items()}
        organisation = self._organisation(given.get("shortcode", ""))
        target = urlsplit(given.get("redirecturl", ""))
        query, path = parse_qs(target.query), [part for part in target.path.split("/") if part]
        notes = query.get("creditNoteID", [])
        if self._world.unconfirmed["deep_link_of_a_credit_note"] not in path:
            notes = []
        for part in [*query.get("InvoiceID", []), *notes, *path]:
            if part.lower() in organisation.documents:
                return make_response(redirect(f"/organisation/{organisation.id}/document/{part.lower()}"))
        return make_response(redirect(f"/organisation/{organisation.id}"))

    def _organisation(self, wanted: str) -> Organisation:
        return self._world.organisation(wanted) or abort(404)

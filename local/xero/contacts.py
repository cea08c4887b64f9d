"""Contacts: reading and writing them, and finding the one a document means."""

from __future__ import annotations

import re
from dataclasses import dataclass

from local.xero import fields
from local.xero.batches import Outcome, write_each
from local.xero.calls import Call
from local.xero.organisations import Contact
from local.xero.query import listed, page_of
from local.xero.replies import Reply, not_found
from local.xero.views import contact_view
from local.xero.wire import Json

_LENGTHS = {"Name": 255, "ContactNumber": 50, "AccountNumber": 50, "EmailAddress": 255}
_EMAIL = re.compile(r"^[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")
_DETAILS = ("Addresses", "Phones", "TaxNumber", "Website", "DefaultCurrency")
ARCHIVED = (
    "The contact with the specified contact details has been archived. The contact must be un-archived "
    "before creating new invoices or credit notes."
)


def get_contacts(call: Call) -> Reply:
    rows = list(call.organisation.contacts.values())
    if not call.flag("includeArchived"):
        rows = [contact for contact in rows if contact.status == "ACTIVE"]
    if wanted := call.query.get("ids"):
        rows = [contact for contact in rows if contact.id in wanted.lower().split(",")]
    if term := call.query.get("searchterm"):
        needle = term.casefold()
        rows = [contact for contact in rows if any(needle in one.casefold() for one in _searched(contact))]
    views = listed(call, [contact_view(contact) for contact in rows], "Contact")
    return page_of(call, "Contacts", views, always="searchterm" in call.query)


def _searched(contact: Contact) -> list[str]:
    return [
        contact.name,
        contact.first_name,
        contact.last_name,
        contact.number or "",
        contact.company_number or "",
        contact.email,
    ]


def get_contact(call: Call, key: str) -> Reply:
    contact = call.organisation.contacts.get(key.lower()) or call.organisation.contact_numbered(key)
    return call.envelope({"Contacts": [contact_view(contact)]}) if contact else not_found()


def put_contacts(call: Call) -> Reply:
    return write_each(call, "Contacts", "ContactID", lambda given: _create(call, given))


def post_contacts(call: Call) -> Reply:
    return write_each(call, "Contacts", "ContactID", lambda given: _upsert(call, given))


def _create(call: Call, given: Json) -> Outcome:
    errors = _name_errors(call, given) + _field_errors(call, given)
    organisation, name = call.organisation, fields.text(given, "Name") or ""
    if name and organisation.contact_named(name):
        errors.append(_taken(name))
    number = fields.text(given, "ContactNumber")
    if number and organisation.contact_numbered(number):
        errors.append("Another contact has this contact number. Please enter a different contact number.")
    if errors:
        return Outcome(given, errors)
    return Outcome(contact_view(new_contact(call, given)))


def _upsert(call: Call, given: Json) -> Outcome:
    organisation = call.organisation
    contact_id, number = fields.identifier(given, "ContactID"), fields.text(given, "ContactNumber")
    name = fields.text(given, "Name")
    known = organisation.contacts.get(contact_id) if contact_id else None
    if contact_id and not known:
        return Outcome(given, [call.unconfirmed["unknown_contact_text"]])
    known = known or (organisation.contact_numbered(number) if number else None)
    known = known or (organisation.contact_named(name) if name else None)
    if not known:
        return _create(call, given)
    errors = _field_errors(call, given)
    other = organisation.contact_named(name) if name else None
    if other and other is not known:
        errors.append(_taken(name or ""))
    if errors:
        return Outcome(given, errors)
    edit_contact(call, known, given, keep_persons=True)
    return Outcome(contact_view(known))


def _taken(name: str) -> str:
    return (
        f"The contact name {name} is already assigned to another contact. "
        "The contact name must be unique across all active contacts."
    )


def _name_errors(call: Call, given: Json) -> list[str]:
    name = fields.text(given, "Name")
    if not name or not name.strip():
        return [call.unconfirmed["missing_contact_name_text"]]
    if any(bad in name for bad in "<>") or name != name.strip() or "  " in name:
        return [
            "The contact name is invalid: it can't contain < or >, nor leading, trailing or double spaces."
        ]
    return []


def _field_errors(call: Call, given: Json) -> list[str]:
    errors = fields.length_errors(given, _LENGTHS, call.unconfirmed)
    email = fields.text(given, "EmailAddress")
    if email and not _EMAIL.match(email):
        errors.append("Email address must be valid")
    if len(fields.parts(given, "ContactPersons") or []) > 5:
        errors.append("A contact can have at most 5 contact persons.")
    return errors


def new_contact(call: Call, given: Json) -> Contact:
    contact = Contact(call.world.new_id(), fields.text(given, "Name") or "", call.now)
    call.organisation.contacts[contact.id] = contact
    _apply(contact, given)
    _committed(call, contact, "created")
    return contact


def edit_contact(call: Call, contact: Contact, given: Json, *, keep_persons: bool) -> None:
    """Apply what is given. Without `keep_persons`, contact persons that aren't listed are lost."""
    if not keep_persons:
        contact.persons = []
    _apply(contact, given)
    contact.updated_at = call.now
    _committed(call, contact, "changed")


def _apply(contact: Contact, given: Json) -> None:
    if name := fields.text(given, "Name"):
        contact.name = name
    for key, attribute in (
        ("ContactNumber", "number"),
        ("AccountNumber", "account_number"),
        ("CompanyNumber", "company_number"),
        ("EmailAddress", "email"),
        ("FirstName", "first_name"),
        ("LastName", "last_name"),
    ):
        if (value := fields.text(given, key)) is not None:
            setattr(contact, attribute, value)
    if (persons := fields.parts(given, "ContactPersons")) is not None:
        contact.persons = persons
    if status := fields.one_of(given, "ContactStatus", ("ACTIVE", "ARCHIVED", "GDPRREQUEST")):
        contact.status = status
    contact.details |= {key: given[key] for key in _DETAILS if given.get(key) is not None}


def _committed(call: Call, contact: Contact, action: str) -> None:
    call.committed.append(
        {
            "kind": "contact",
            "action": action,
            "id": contact.id,
            "name": contact.name,
            "status": contact.status,
        }
    )


@dataclass
class MeantContact:
    """The contact a document names: a known one (edited if more than its id was sent), or a new one."""

    known: Contact | None = None
    edits: Json | None = None
    to_create: Json | None = None
    errors: tuple[str, ...] = ()

    def settle(self, call: Call) -> Contact:
        """The contact itself, created or edited as the document asked."""
        if self.known is None:
            return new_contact(call, self.to_create or {})
        if self.edits:
            edit_contact(call, self.known, self.edits, keep_persons=False)
        return self.known


def meant_contact(call: Call, given: Json, *, may_create: bool) -> MeantContact:
    """Read a document's Contact. Invoices create a contact from a bare name, purchase orders never do."""
    organisation, unconfirmed = call.organisation, call.unconfirmed
    contact = fields.part(given, "Contact")
    if contact is None:
        return MeantContact(errors=(unconfirmed["missing_contact_text"],))
    contact_id, number = fields.identifier(contact, "ContactID"), fields.text(contact, "ContactNumber")
    name = fields.text(contact, "Name")
    if contact_id:
        known = organisation.contacts.get(contact_id)
        if known is None:
            return MeantContact(errors=(unconfirmed["unknown_contact_text"],))
        edits = {key: value for key, value in contact.items() if key != "ContactID" and value is not None}
        errors = _edit_errors(call, known, edits)
        return _unless_archived(MeantContact(known, edits or None, errors=tuple(errors)))
    if number and (known := organisation.contact_numbered(number)):
        edits = {key: value for key, value in contact.items() if key != "ContactNumber" and value is not None}
        return _unless_archived(
            MeantContact(known, edits or None, errors=tuple(_edit_errors(call, known, edits)))
        )
    if name and not (may_create or unconfirmed["purchase_order_contact_by_name"] == "accepted"):
        return MeantContact(errors=("A Contact must be specified for this type of transaction",))
    if name:
        known = organisation.contact_named(name)
        if known and (unconfirmed["bare_contact_name"] == "reused" or not may_create):
            return MeantContact(known)
        if not known and (archived := organisation.contact_named(name, status="ARCHIVED")):
            return _unless_archived(MeantContact(archived))
        if may_create:
            errors = _name_errors(call, contact) + _field_errors(call, contact)
            return MeantContact(to_create=contact, errors=tuple(errors))
        return MeantContact(errors=("A Contact must be specified for this type of transaction",))
    if not may_create:
        return MeantContact(errors=("A Contact must be specified for this type of transaction",))
    return MeantContact(
        errors=(
            "The Contact must contain at least 1 of the following elements to identify the contact: "
            "Name, ContactID, ContactNumber",
        )
    )


def _edit_errors(call: Call, known: Contact, edits: Json) -> list[str]:
    errors = _field_errors(call, edits)
    name = fields.text(edits, "Name")
    other = call.organisation.contact_named(name) if name else None
    return [*errors, _taken(name or "")] if other and other is not known else errors


def _unless_archived(meant: MeantContact) -> MeantContact:
    if meant.known and meant.known.status != "ACTIVE":
        return MeantContact(errors=(ARCHIVED,))
    return meant

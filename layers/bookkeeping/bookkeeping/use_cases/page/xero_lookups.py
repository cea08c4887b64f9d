"""Calls to Xero for a person: lists to choose from, a check of a contact, the end of a connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from inspect import signature
from typing import Any, Final

from bookkeeping.adapters.secrets import Tokens, TokenSecret
from bookkeeping.adapters.tables.connections import ConnectionsTable
from bookkeeping.adapters.tables.organisations import Organisations
from bookkeeping.adapters.xero_api import Access, Xero
from bookkeeping.domain.connection import Connection
from bookkeeping.domain.contacts import why_unusable
from bookkeeping.domain.document_kinds import DocumentKind
from bookkeeping.domain.documents_in_xero import DocumentInXero
from bookkeeping.domain.errors import (
    AccessRefused,
    CallRefused,
    StoreUnavailable,
    Throttled,
    TokenExpired,
    XeroError,
)
from bookkeeping.domain.organisation import Account, Organisation
from bookkeeping.domain.pacing import Limits
from bookkeeping.domain.problems.problem import Problem
from bookkeeping.use_cases.xero_facts import KEPT_BY_PAGE, Query, XeroFacts

TOKEN_TO_SPARE: Final = timedelta(seconds=30)
MOST_CONTACTS: Final = 50
USES: Final[Mapping[str, Callable[[Account], bool]]] = {
    "sales": lambda account: account.account_class == "REVENUE",
    "shipping": lambda account: account.account_class == "REVENUE",
    "cogs": lambda account: account.account_class == "EXPENSE",
    "inventory": lambda account: account.type == "INVENTORY",
    "all": lambda account: True,
}
TAXED: Final[Mapping[str, str]] = {"sales": "REVENUE", "purchases": "EXPENSE"}
"""Purpose → the class of account whose tax rates fit."""


@dataclass(frozen=True)
class LookupAdapters:
    connections: ConnectionsTable
    organisations: Organisations
    tokens: TokenSecret
    xero: Xero
    renew_token: Callable[[str, int | None], str]
    """Returns once the company's tokens are as they should be, if they can be: what became of them.

    With a generation: Xero refused the token of that one as expired.
    """
    now: Callable[[], datetime]


class NotConnected(Exception):
    """The company has no usable connection."""


def answer(adapters: LookupAdapters, company: str, task: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a task as JSON, or its `error`."""
    do = TASKS[task]
    # a newer page may say more than this version understands
    known = {name: value for name, value in about.items() if name in signature(do).parameters}
    try:
        return do(XeroLookups(adapters, company), **known)
    except NotConnected:
        return {"error": "not_connected"}
    except Throttled as throttled:
        return {
            "error": "no_calls_left" if throttled.limit == "day" else "xero_unavailable",
            "message": "Xero takes no more calls for the moment. Try again in a minute.",
        }
    except AccessRefused:
        return {
            "error": "access_refused",
            "message": "Xero refuses access. Press Reconnect and allow access again.",
        }
    except (XeroError, StoreUnavailable):
        return {
            "error": "xero_unavailable",
            "message": "Xero does not answer right now. Try again in a moment.",
        }


class XeroLookups:
    """Lookups for one company."""

    def __init__(self, adapters: LookupAdapters, company: str) -> None:
        self._adapters = adapters
        self._company = company
        self._limits: list[Limits] = []

    def accounts(self, use: str = "all") -> dict[str, Any]:
        organisation, read_at = self._organisation()
        fits = USES[use]
        listed = [
            {"code": one.code, "name": one.name, "type": one.type, "tax_type": one.tax_type}
            for one in organisation.accounts
            if one.code
            and one.status == "ACTIVE"
            and not one.system_account
            and one.type != "BANK"
            and fits(one)
        ]
        return {"accounts": sorted(listed, key=lambda one: one["code"]), "read_at": read_at.isoformat()}

    def tax_rates(self, use: str = "all") -> dict[str, Any]:
        organisation, read_at = self._organisation()
        listed = [
            {"tax_type": one.tax_type, "name": one.name, "rate": f"{one.effective_rate.normalize():f}"}
            for one in organisation.tax_rates
            if one.status == "ACTIVE" and (use == "all" or one.fits(TAXED[use]))
        ]
        return {"tax_rates": listed, "read_at": read_at.isoformat()}

    def currencies(self) -> dict[str, Any]:
        organisation, read_at = self._organisation()
        return {"currencies": list(organisation.currencies), "read_at": read_at.isoformat()}

    def contacts(self, search: str = "") -> dict[str, Any]:
        params = {"page": "1", "summaryOnly": "true"} | ({"searchTerm": search} if search.strip() else {})
        [answer] = self._read([("Contacts", params)])
        if isinstance(answer, CallRefused):
            raise answer
        found = answer.get("Contacts")
        listed = [
            {"id": one["ContactID"], "name": one["Name"]}
            for one in (found if isinstance(found, list) else [])
            if isinstance(one, dict) and one.get("ContactStatus", "ACTIVE") == "ACTIVE"
        ]
        return {"contacts": listed[:MOST_CONTACTS]}

    def contact(self, name: str) -> dict[str, Any]:
        """Cache the ContactID of that name for coming orders; a note if the contact can't be used."""
        found = self._facts().look_up_contact(name)
        if isinstance(found, Problem):
            note = " ".join(why_unusable(name, found))
            return {"note": note, "code": found.code, "details": dict(found.details)}
        return {"contact": {"id": found.id, "name": found.name}}

    def setup(self, contacts: Sequence[str] = ()) -> dict[str, Any]:
        """What Xero says now of the organisation, its plan and these contacts, in six calls."""
        facts = self._facts()
        organisation, _ = facts.organisation(timedelta(0))
        names = list(dict.fromkeys(filter(None, contacts)))
        found = facts.contacts_in_one_call(names)
        return {
            "organisation": organisation.to_json(),
            "contacts": [
                {"name": name, "code": one.code, "details": dict(one.details)}
                if isinstance(one, Problem)
                else {"name": name, "contact": {"id": one.id, "name": one.name}}
                for name, one in found.items()
            ],
            "actions": self._actions(),
            "calls_left": next((one.day for one in reversed(self._limits) if one.day is not None), None),
        }

    def _actions(self) -> dict[str, str] | None:
        """What the organisation's plan allows; None where Xero does not tell this app."""
        try:
            [answer] = self._read([("Organisation/Actions", {})])
        except (AccessRefused, CallRefused):
            # the other calls have just been answered
            return None
        listed = answer.get("Actions") if isinstance(answer, Mapping) else None
        return {
            one["Name"]: str(one.get("Status"))
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, Mapping) and isinstance(one.get("Name"), str)
        }

    def organisation(self) -> dict[str, Any]:
        """Read the organisation's facts into the cache, if they are missing or stale."""
        known, read_at = self._organisation()
        return {"organisation": known.id, "read_at": read_at.isoformat()}

    def standing(self, documents: Mapping[DocumentKind, str]) -> dict[str, Any]:
        """Where the documents with these ids stand in Xero now. Of one that is not there, nothing."""
        xero, observe = self._adapters.xero, self._limits.append

        def reading(kind: DocumentKind, id_: str) -> Callable[[Access], DocumentInXero | None]:
            return lambda access: xero.document(kind, id_, access, observe)

        found = self._ask([reading(kind, id_) for kind, id_ in documents.items()])
        for one in found:
            if isinstance(one, CallRefused):
                raise one
        return {
            "documents": {
                one.kind: {"status": one.status, "stands": one.stands} for one in found if one is not None
            }
        }

    def disconnect(self) -> dict[str, Any]:
        """End the access in Xero after a disconnect: `ended`, `shared` or `left`; else the result is not known yet."""
        return {"ended": self._adapters.renew_token(self._company, None)}

    # shared

    def _connection(self) -> Connection:
        connection = self._adapters.connections.connection(self._company)
        if connection is None or connection.status not in ("connected", "confirm_organisation"):
            raise NotConnected
        return connection

    def _tokens(self, refused: int | None = None) -> Tokens:
        """The company's tokens, renewed where they end soon or Xero refused that generation as expired."""
        tokens = self._adapters.tokens.read(self._company)
        ends_soon = tokens is None or tokens.expires_at - self._adapters.now() < TOKEN_TO_SPARE
        if tokens is None or ends_soon or tokens.generation == refused:
            self._adapters.renew_token(self._company, refused)
            tokens = self._adapters.tokens.read(self._company)
        if tokens is None:
            raise NotConnected
        return tokens

    def _facts(self) -> XeroFacts:
        adapters = self._adapters
        organisation_id = self._connection().organisation_id
        return XeroFacts(adapters.organisations, organisation_id, self._read, adapters.now)

    def _organisation(self) -> tuple[Organisation, datetime]:
        return self._facts().organisation(KEPT_BY_PAGE)

    def _read(self, queries: Sequence[Query]) -> list[Any]:
        xero, observe = self._adapters.xero, self._limits.append

        def reading(resource: str, params: Mapping[str, str]) -> Callable[[Access], Any]:
            return lambda access: xero.read(resource, access, observe, **params)

        return self._ask([reading(*query) for query in queries])

    def _ask(self, calls: Sequence[Callable[[Access], Any]]) -> list[Any]:
        """The answers of calls to Xero, or Xero's refusals."""
        organisation_id, tokens = self._connection().organisation_id, self._tokens()
        refused_first: int | None = None
        answers: list[Any] = []
        while len(answers) < len(calls):
            access = Access(organisation_id, tokens.access_token)
            try:
                answers.append(calls[len(answers)](access))
            except TokenExpired as expired:
                if refused_first is not None:
                    # a newer token does not help either
                    raise AccessRefused("token", str(expired)) from None
                refused_first = tokens.generation
                tokens = self._tokens(refused=refused_first)
                if tokens.generation == refused_first:
                    raise
            except CallRefused as refused:
                if refused.status != 400:
                    raise
                answers.append(refused)
        return answers


TASKS: Final[Mapping[str, Callable[..., dict[str, Any]]]] = {
    "accounts": XeroLookups.accounts,
    "tax_rates": XeroLookups.tax_rates,
    "currencies": XeroLookups.currencies,
    "contacts": XeroLookups.contacts,
    "contact": XeroLookups.contact,
    "organisation": XeroLookups.organisation,
    "standing": XeroLookups.standing,
    "setup": XeroLookups.setup,
    "disconnect": XeroLookups.disconnect,
}

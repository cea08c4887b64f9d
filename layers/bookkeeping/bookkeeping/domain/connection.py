"""A company's connection to its Xero organisation, and the rules by which it changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from bookkeeping.domain.oauth import missing_scopes
from bookkeeping.domain.stored import Stored

REFRESH_TOKEN_LIVES: Final = timedelta(days=60)

ConnectionStatus = Literal[
    "connected",
    "choose_organisation",
    "confirm_organisation",
    "needs_reconnect",
    "wrong_credentials",
    "cut_off",
    "disconnected",
]


@dataclass(frozen=True)
class Choice(Stored):
    """An organisation that a consent gave access to. `connection_id` is Xero's id; deleting it ends the access."""

    organisation_id: str
    organisation_name: str
    connection_id: str


@dataclass(frozen=True)
class Connection(Stored):
    company: str
    client_id: str
    organisation_id: str
    organisation_name: str
    status: ConnectionStatus
    scopes: tuple[str, ...] = ()
    worked_at: datetime | None = None
    """When orders were last posted through it, to the hour. Tokens of a connection in use are kept fresh."""
    connection_id: str = ""
    previous_organisation_id: str = ""
    """The organisation that orders went to before. It is set while a person has not confirmed the new one."""
    previous_organisation_name: str = ""
    previous_connection_id: str = ""
    choices: tuple[Choice, ...] = ()
    to_end_at_xero: tuple[Choice, ...] = ()
    """After a person disconnected: the organisations that the app may still have access to."""
    connected_by: str = ""
    connected_at: datetime | None = None
    prefix_taken_by: str = ""
    """Another company that uses this one's number prefix in the same organisation."""
    taken_out: bool = False
    """Whoever runs the integration has taken the company out: it can't be connected, and its orders are skipped."""

    @property
    def lane(self) -> str:
        """The key of the lane: one Xero app on one organisation."""
        return f"{self.client_id}#{self.organisation_id}"

    @property
    def pinned(self) -> Choice:
        """The organisation that a person last agreed to; empty if there was none."""
        if self.status in ("choose_organisation", "confirm_organisation"):
            return self._previous
        return self._here

    @property
    def held(self) -> tuple[Choice, ...]:
        """Every organisation the app has access to for this company: the previous, the present and the choices."""
        known = {one.organisation_id: one for one in (self._previous, self._here, *self.choices)}
        return tuple(one for id_, one in known.items() if id_)

    @property
    def _here(self) -> Choice:
        return Choice(self.organisation_id, self.organisation_name, self.connection_id)

    @property
    def _previous(self) -> Choice:
        return Choice(
            self.previous_organisation_id, self.previous_organisation_name, self.previous_connection_id
        )

    @property
    def scopes_missing(self) -> tuple[str, ...]:
        return missing_scopes(self.scopes) if self.scopes else ()


@dataclass(frozen=True)
class Consent:
    """The result of a person's consent in Xero."""

    client_id: str
    choices: tuple[Choice, ...]
    scopes: tuple[str, ...]
    expires_at: datetime
    by: str
    at: datetime


def after_consent(before: Connection | None, company: str, consent: Consent) -> Connection:
    """The connection after a consent with at least one organisation.

    The organisation never changes silently. If the one a person agreed to before is among the choices, it is kept.
    Another one must be confirmed before anything is posted there.
    """
    pinned = before.pinned if before else Choice("", "", "")
    after = Connection(
        company=company,
        client_id=consent.client_id,
        organisation_id="",
        organisation_name="",
        status="choose_organisation",
        scopes=consent.scopes,
        worked_at=before.worked_at if before else None,
        previous_organisation_id=pinned.organisation_id,
        previous_organisation_name=pinned.organisation_name,
        previous_connection_id=pinned.connection_id,
        choices=consent.choices,
        connected_by=consent.by,
        connected_at=consent.at,
    )
    same = next((one for one in consent.choices if one.organisation_id == pinned.organisation_id), None)
    if same is not None or len(consent.choices) == 1:
        return _at(after, same or consent.choices[0])
    return after


def after_choice(connection: Connection, organisation_id: str) -> Connection | None:
    """The connection after a person chose or confirmed an organisation; None if that one is not available."""
    if connection.status == "confirm_organisation" and connection.organisation_id == organisation_id:
        return replace(connection, status="connected")
    if connection.status != "choose_organisation":
        return None
    choice = next((one for one in connection.choices if one.organisation_id == organisation_id), None)
    return _at(connection, choice) if choice else None


def ended(connection: Connection) -> Connection:
    """The connection after a person disconnected. It keeps the organisation that was confirmed last."""
    known = connection.pinned
    return replace(
        connection,
        status="disconnected",
        organisation_id=known.organisation_id,
        organisation_name=known.organisation_name,
        connection_id="",
        previous_organisation_id="",
        previous_organisation_name="",
        previous_connection_id="",
        choices=(),
        to_end_at_xero=connection.held,
        prefix_taken_by="",
    )


def taken_out(before: Connection | None, company: str) -> Connection:
    """The connection of a company that is taken out. It is disconnected, and stays so."""
    if before is None:
        before = Connection(company, "", "", "", "disconnected")
    return replace(before if before.status == "disconnected" else ended(before), taken_out=True)


def _at(connection: Connection, choice: Choice) -> Connection:
    at = replace(
        connection,
        organisation_id=choice.organisation_id,
        organisation_name=choice.organisation_name,
        connection_id=choice.connection_id,
        choices=(),
    )
    if connection.previous_organisation_id in ("", choice.organisation_id):
        return replace(
            at,
            status="connected",
            previous_organisation_id="",
            previous_organisation_name="",
            previous_connection_id="",
        )
    return replace(at, status="confirm_organisation")


def of_another_app(connection: Connection | None, client_id: str) -> bool:
    """Whether the app entered in the settings is not the connection's app. Only its own app can renew its tokens."""
    if connection is None or connection.status not in ("connected", "wrong_credentials"):
        return False
    return client_id not in ("", connection.client_id)


def words(connection: Connection | None, client_id: str = "") -> tuple[str, str | None]:
    """The connection's status in words, and what a person should do. `client_id` is that of the app entered."""
    if connection is not None and connection.taken_out:
        return (
            "This company is taken out of the Xero integration. Its orders are skipped.",
            "Ask whoever runs this integration to take it in again.",
        )
    if connection is None:
        enter = "Press" if client_id else "Enter client id and secret of your Xero app, save, and press"
        return "Not connected to Xero yet.", f"{enter} Get Access Token."
    here, before = connection.organisation_name, connection.previous_organisation_name
    if of_another_app(connection, client_id):
        goes_on = "ends soon" if connection.status == "connected" else "has ended; orders wait here"
        return (
            f"The connection to {here} was made with another Xero app than the one entered above, and {goes_on}.",
            "Press Reconnect to connect with the app entered above.",
        )
    match connection.status:
        case "connected" if connection.prefix_taken_by:
            return (
                f"Connected to {here}, but company {connection.prefix_taken_by} uses the same number prefix there.",
                "Enter another Number prefix in the settings and save; orders are then posted by themselves.",
            )
        case "connected":
            return f"Connected to {here}.", None
        case "choose_organisation":
            return "Xero gave access to several organisations.", "Choose the one that orders should go to."
        case "confirm_organisation":
            return (
                f"Now connected to {here}; before, orders went to {before}. Nothing is posted until you confirm.",
                f"Confirm {here}, or press Reconnect and choose {before}.",
            )
        case "needs_reconnect":
            return (
                f"Xero no longer accepts the connection to {here}.",
                "Press Reconnect and log in to Xero once more.",
            )
        case "wrong_credentials":
            return (
                "Xero refuses the client id or the client secret.",
                "Generate a new secret in Xero's developer portal, enter it here and save.",
            )
        case "cut_off":
            return (
                f"Access to {here} was taken away in Xero.",
                "Press Reconnect and allow access to it again.",
            )
        case "disconnected":
            listed = (
                " Xero may still list the app under Settings, Connected apps."
                if connection.to_end_at_xero
                else ""
            )
            return (
                f"Disconnected from {here or 'Xero'}. Orders wait here.{listed}",
                "Press Get Access Token to connect again.",
            )
        case _:
            # known to a newer version of this code
            return "This connection is handled by a newer version of this integration.", None

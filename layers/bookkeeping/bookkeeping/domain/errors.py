"""Errors from outside this code, named for what happens next.

XeroError
├── OutcomeUnknown      the call may or may not have been carried out: settle before anything else
├── Unreadable          the same; the answer is a refusal that Xero did not write
├── Throttled           nothing was done; the same again after `retry_after`
├── Offline             outcome unknown, and calling again at once is no use
├── TokenExpired        nothing was done; renew the token, then the same again
├── AccessRefused       nothing was done; a person must reconnect or restore access
├── CallRefused         nothing was done; what was sent is at fault
└── KeyReused           nothing was done; this Idempotency-Key belongs to another request
IdentityError
├── InvalidGrant        nothing was done; Xero refused the code or refresh token: read the store again first
├── InvalidClient       nothing was done; a person must correct the client id or secret; the tokens stay valid
├── IdentityThrottled   nothing was done; retry after `retry_after`
├── IdentityRefused     nothing was done; the request is wrong
└── IdentityUnknown     tokens may or may not have been issued: retry once the first call can no longer take effect
StoreUnavailable        a secret may or may not have been read or written: retry
MailRefused             nothing was sent: try again later
MailOutcomeUnknown      the mail may or may not go out: not again for an hour
BusUnavailable          some events may not be on the bus: the same again
Lost                    another holder has the lane: stop at once, write nothing
TurnEnds                nothing more can be done in this turn; says when to go on
CompanyHeld             nothing more can be done for this company in this turn
Conflict                the row changed since it was read: read it again
MessageFailed           a fault of ours, recorded already, kept a message from one of its companies: it comes again
StillBeingSent          the row cannot take the message until the order is settled: SQS delivers it again
UnknownKind             a newer version of this code wrote it: leave it alone
AlreadyInBooks          another company has this order in the same organisation
PrefixTaken             another company has this number prefix in the same organisation

An order that a person must look at is not one of these errors: see `OrderStopped`. Any other exception is a
fault of ours: see `adapters.containment`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Limit = Literal["minute", "day", "concurrent", "app"]


class Foreseen(Exception):
    """It means: wait, read again, or the lane is lost. Who called knows what to do, so it is no fault of ours."""


class XeroError(Foreseen):
    """A call to Xero failed. The text is for the log and never contains a header or a token."""


class OutcomeUnknown(XeroError):
    """`answered`: Xero did answer, and gives the same answer again for the same Idempotency-Key."""

    def __init__(self, why: str, *, answered: bool = False) -> None:
        super().__init__(why)
        self.answered = answered


class Unreadable(OutcomeUnknown):
    """A refusal whose body is not Xero's: a box in between may have written it. Its body is kept nowhere."""

    def __init__(self, why: str) -> None:
        super().__init__(why, answered=True)


class Offline(OutcomeUnknown):
    """Xero, or this organisation alone, is down."""

    def __init__(self, why: str, *, organisation_only: bool) -> None:
        super().__init__(why, answered=True)
        self.organisation_only = organisation_only


class Throttled(XeroError):
    def __init__(self, limit: Limit, retry_after: float | None) -> None:
        super().__init__(f"{limit} limit")
        self.limit = limit
        self.retry_after = retry_after


class TokenExpired(XeroError):
    pass


class AccessRefused(XeroError):
    """`kind` says which: a scope is missing, the token is revoked, or the organisation is cut off."""

    def __init__(self, kind: Literal["scope", "token", "organisation"], why: str) -> None:
        super().__init__(why)
        self.kind = kind


class CallRefused(XeroError):
    """Xero refused the whole call. `elements` are the documents that Xero sent back with validation errors, if any."""

    def __init__(self, status: int, messages: tuple[str, ...], elements: tuple[Mapping[str, Any], ...] = ()):
        super().__init__(f"{status}: {'; '.join(messages) or 'no reason given'}")
        self.status = status
        self.messages = messages
        self.elements = elements


class KeyReused(XeroError):
    pass


class IdentityError(Foreseen):
    """A call to Xero's identity server failed. The text is for the log and never contains a code or a token."""


class InvalidGrant(IdentityError):
    pass


class InvalidClient(IdentityError):
    pass


class IdentityThrottled(IdentityError):
    def __init__(self, retry_after: float | None) -> None:
        super().__init__("Xero's identity server asks to wait")
        self.retry_after = retry_after


class IdentityRefused(IdentityError):
    pass


class IdentityUnknown(IdentityError):
    pass


class StoreUnavailable(Foreseen):
    """Secrets Manager did not answer, or refused."""

    def __init__(self, operation: str, code: str) -> None:
        super().__init__(f"{operation}: {code}")
        self.code = code


class MailRefused(Foreseen):
    """SES did not take a mail. `throttled`: only because too many were sent at a time, or today."""

    def __init__(self, code: str, *, throttled: bool) -> None:
        super().__init__(code)
        self.throttled = throttled


class MailOutcomeUnknown(Foreseen):
    pass


class BusUnavailable(Foreseen):
    pass


class Lost(Foreseen):
    pass


class TurnEnds(Foreseen):
    pass


class CompanyHeld(Foreseen):
    pass


class Conflict(Foreseen):
    pass


class UnknownKind(Foreseen):
    """What is stored, or sent to us, has a state, problem or kind that only a newer version of this code knows."""


class AlreadyInBooks(Exception):
    pass


class PrefixTaken(Exception):
    def __init__(self, owner: str) -> None:
        super().__init__(f"company {owner} has it")
        self.owner = owner


class MessageFailed(Foreseen):
    pass


class StillBeingSent(Foreseen):
    pass

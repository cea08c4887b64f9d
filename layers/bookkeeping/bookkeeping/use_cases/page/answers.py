"""The answers of the settings API as types, for its own description at `/api/openapi.json`.

Moments are ISO 8601 with a zone. Amounts are decimal numbers as text. The tests hold every answer against its type.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NotRequired

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from bookkeeping.domain.book_match import ListedKind
from bookkeeping.domain.corrections import What
from bookkeeping.domain.document_kinds import DocumentKind
from bookkeeping.domain.documents_in_xero import Stands
from bookkeeping.domain.ledger import State
from bookkeeping.domain.reasons import About
from bookkeeping.use_cases.page.corrections import Asked


class Answer(TypedDict):
    # a key that nobody described is a mistake
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc] # pydantic's own way for a TypedDict


class Words(Answer):
    words: str


class Act(Answer):
    """What a person did, or what happened by itself, and when."""

    at: str
    by: str
    what: str


class SettingChange(Answer):
    """A setting that a save changed. Of a table the rows that differ."""

    name: str
    old: Any
    new: Any


class SettingsAct(Act):
    changes: NotRequired[list[SettingChange]]


class Named(Answer):
    id: str
    name: str


class NowCalled(Answer):
    """The name that the contact of a setting bears in Xero by now."""

    setting: str
    name: str


class Problem(Answer):
    """Why an order stopped, who can act, and how.

    `fields`: what it is about, as the message calls them, for those who send it.
    `by_itself`: Xero is read again for it, and the order posted once it is put right there.
    """

    code: str
    title: str
    sentence: str
    who: str
    fix: str
    xero_says: list[str]
    fields: list[str]
    by_itself: bool
    now_called: NowCalled | None


# --- settings and the connection


class Field(Answer):
    name: str
    title: str
    description: str
    type: Literal["boolean", "integer", "text", "date", "choice", "table", "list"]
    choices: NotRequired[list[str]]


class Note(Answer):
    """What to know about one setting."""

    name: str
    message: str


class App(Answer):
    """The company's own Xero app. Its client secret is never shown."""

    client_id: str
    client_secret_set_at: str | None
    redirect_uri: str


class MailAddress(Answer):
    """How it is with an address of `errors_email`."""

    address: str
    status: str
    words: str
    fix: str
    changed_at: str | None
    can_ask: bool
    """Whether the confirmation can be sent again now."""


class MailAddresses(Answer):
    words: str
    """Why no mail is sent at all; empty if mails are sent."""
    addresses: list[MailAddress]


class Settings(Answer):
    version: int
    saved_by: str | None
    saved_at: str | None
    settings: dict[str, Any]
    missing: list[str]
    fields: list[Field]
    advice: list[Note]
    app: App
    mail: MailAddresses
    usual_accounts: dict[str, str]
    history: list[SettingsAct]
    notes: NotRequired[list[Note]]
    freed: NotRequired[int]


class SavedApp(Answer):
    app: App


class Consent(Answer):
    """Where the browser goes to log in at Xero."""

    authorization_url: str


class Token(Answer):
    """Whether there is one, and until when it holds. It is never shown."""

    masked: str | None
    expires_at: str | None


class Connection(Answer):
    status: str
    words: str
    fix: str
    other_app: bool
    organisation: Named | None
    previous_organisation: Named | None
    choices: list[Named]
    tenant_id: str
    access_token: Token
    refresh_token: Token
    scopes_missing: str
    """In words; empty if nothing is missing."""
    connected_by: str
    connected_at: str | None


class SetupCheck(Answer):
    """One thing that was looked at, in words, and how to put it right."""

    name: str
    title: str
    result: Literal["good", "warning", "wrong", "unknown"]
    words: str
    fix: str
    setting: str
    """The setting that puts it right; empty if none does."""


class SetupChecks(Answer):
    checks: list[SetupCheck]
    checked_at: str


# --- lists of Xero


class Account(Answer):
    code: str
    name: str
    type: str
    tax_type: str


class Accounts(Answer):
    accounts: list[Account]
    read_at: str


class TaxRate(Answer):
    tax_type: str
    name: str
    rate: str


class TaxRates(Answer):
    tax_rates: list[TaxRate]
    read_at: str


class Currencies(Answer):
    currencies: list[str]
    read_at: str


class Contacts(Answer):
    contacts: list[Named]


# --- orders


class Document(Answer):
    kind: DocumentKind
    number: str
    status: str
    total: str
    currency: str
    link: str | None
    notes: list[str]
    stands: Stands
    read_at: str | None


class SetAside(Answer):
    """Who set the order aside, when, and why."""

    by: str
    at: str
    because: str


class Correction(Answer):
    """What was asked to be done to the documents of an order that is posted."""

    what: What
    by: str
    at: str
    problem: Problem | None


class Order(Answer):
    """`total`: what the order comes to by its own prices; none where a part of it can't be read.

    `comes_to`: what its invoice comes to by now, less what credit notes take back of it (`credited`); before there is
    one, the order itself. It is what the list sums up.
    """

    id: str
    number: str
    state: State
    words: str
    until: str | None
    received_at: str
    changed_at: str
    reason: str | None
    title: str
    problem: Problem | None
    ref: str
    external_ref: str
    currency: str
    sold_on: str | None
    total: str | None
    credited: str | None
    comes_to: str | None
    documents: list[Document]
    changes: list[str]
    correction: Correction | None
    can_retry: bool
    retry_label: str
    can_set_aside: bool
    set_aside: SetAside | None


class OrderLine(Answer):
    sku: str
    description: str
    quantity: str
    price: str | None
    price_inc_tax: str | None
    cost: str | None
    tax_rate: str | None
    cancelled: bool


class CreditedLine(Answer):
    line: int
    pieces: str
    amount: str


class CreditNote(Answer):
    number: str
    status: str
    total: str
    currency: str
    link: str | None
    credited: list[CreditedLine]


class Offered(Answer):
    """What a person can ask for, what its button says, and what will happen."""

    asked: Asked
    label: str
    words: str


class Creditable(Answer):
    """A line of the order, or line 0, its shipping, and what credit notes took back of it."""

    line: int
    description: str
    quantity: str
    left: str
    credited: str


class Shipping(Answer):
    price: str | None
    price_inc_tax: str | None
    tax_rate: str | None


class RateAndTax(Answer):
    """`rate`: percent; none where the order states none."""

    rate: str | None
    tax: str


class Totals(Answer):
    """What the order comes to by its own prices and rates."""

    net: str
    taxes: list[RateAndTax]
    total: str


class Setting(Answer):
    name: str
    title: str


class Why(Answer):
    """Why one thing of a document is as it is. `field`: the order's field, by the name that the platform gives it."""

    about: About
    words: str
    setting: Setting | None
    field: str | None


class ExplainedLine(Answer):
    """A line item of Xero's, and why it is as it is."""

    description: str
    quantity: str
    price: str
    why: list[Why]


class NamedTax(Answer):
    name: str
    tax: str


class Explained(Answer):
    """A document as it is made. `amounts` are Xero's LineAmountTypes."""

    number: str
    date: str
    due_date: str | None
    currency: str
    amounts: Literal["Exclusive", "Inclusive", "NoTax"]
    net: str
    taxes: list[NamedTax]
    total: str
    why: list[Why]
    lines: list[ExplainedLine]


class ExplainedInXero(Answer):
    """A document in Xero, made again from its settings and what is known of accounts and tax rates today.

    `remark`: how it would be another one today. Where it could not be made any more, there are no lines.
    """

    kind: DocumentKind
    settings_version: int
    facts_read_at: str
    remark: str | None
    lines: list[ExplainedLine]
    why: list[Why]
    number: NotRequired[str]
    date: NotRequired[str]
    due_date: NotRequired[str | None]
    currency: NotRequired[str]
    amounts: NotRequired[Literal["Exclusive", "Inclusive", "NoTax"]]
    net: NotRequired[str]
    taxes: NotRequired[list[NamedTax]]
    total: NotRequired[str]


class WholeOrder(Order):
    """`same_shipping`: the ids of orders with the same reference of the sales channel and the same shipping."""

    lines: list[OrderLine]
    shipping: Shipping | None
    totals: Totals | None
    explained: list[ExplainedInXero]
    same_shipping: list[str]
    history: list[Act]
    version: int
    may_credit: bool
    choices: list[Offered]
    creditable: list[Creditable]
    may_return_stock: bool
    credit_notes: list[CreditNote]


ByCurrency = dict[str, str]
"""Currency → amount."""


class Counted(Answer):
    """How many orders a problem stops, or how many changed after posting for a reason."""

    code: str
    title: str
    count: int


class Gathered(Answer):
    """How many orders a problem stops, what they come to, and the problem as the latest of them has it.

    `more`: there are more than were counted.
    """

    count: int
    more: bool
    money: ByCurrency
    order_id: str
    problem: Problem


class Orders(Answer):
    """A page. The first one has the numbers of all orders, too."""

    orders: list[Order]
    cursor: str | None
    counts: NotRequired[dict[State | Literal["changed"], int]]
    money: NotRequired[dict[State | Literal["changed"], ByCurrency]]
    more: NotRequired[list[State | Literal["changed"]]]
    """Of these, there are more than were counted."""
    problems: NotRequired[list[Counted]]
    gathered: NotRequired[list[Gathered]]


class Left(Answer):
    """An order that was left as it is, and why."""

    id: str
    words: str


class Retried(Answer):
    """How many are tried again, and whether more follow in the background. Of chosen ones, also which are not."""

    retried: int
    more: bool
    left: NotRequired[list[Left]]


class Done(Answer):
    """The ids of the orders that it was done to, and those that were left."""

    done: list[str]
    left: list[Left]


class ReadAgain(Answer):
    """When Xero was last read for orders that wait for something in it, and when it is next.

    `waiting`: whether there are such orders. `spent`: their share of the day's calls is used up until `next_at`.
    """

    waiting: bool
    read_at: str | None
    next_at: str | None
    spent: bool


class PreviewedDocument(Explained):
    """`body` as it would be sent to Xero."""

    kind: DocumentKind
    body: dict[str, Any]
    notes: list[str]


class Preview(Answer):
    documents: NotRequired[list[PreviewedDocument]]
    waits: NotRequired[str | None]
    skipped: NotRequired[str]
    problem: NotRequired[Problem]


# --- the overview


class Money(Answer):
    """What orders in one currency come to."""

    currency: str
    orders: int
    total: str


class Sums(Answer):
    """Orders and what they come to: first in the currency of the chart, the others by their codes.

    `more`: there are more orders than were counted.
    """

    orders: int
    more: bool
    money: list[Money]


class Day(Sums):
    day: str


class Changed(Sums):
    """Orders that changed after they were posted. `to_decide`: those that a person has to do something about."""

    to_decide: int


class Standing(Answer):
    """How many orders stand where now, and what they come to."""

    needs_attention: Sums
    changed: Changed
    queued: Sums
    waiting: Sums
    set_aside: Sums


class ShortConnection(Answer):
    status: str
    words: str
    fix: str | None
    other_app: bool


class Sign(Answer):
    """How one thing is. `link`: an address within the popup. `at`: when that was so."""

    title: str
    result: Literal["good", "warning", "wrong", "unknown"]
    words: str
    fix: str
    link: str
    at: str | None


class Overview(Answer):
    """The last seven days, today last, and how things stand now.

    An order counts on the day on which its invoice was posted, with what the invoice comes to less its credit notes.
    `zone`: the time zone of the days; not the one asked for where `zone_known` is false.
    `differences`: those that the last book match found, which the figures know nothing of.
    """

    zone: str
    zone_known: bool
    no_orders_yet: bool
    days: list[Day]
    week: Sums
    differences: int
    standing: Standing
    connection: ShortConnection
    health: list[Sign]


# --- the book match


class Difference(Answer):
    """A document in which the books differ from what was posted, and what to do about it."""

    code: str
    kind: ListedKind
    number: str
    order_id: str | None
    sentence: str
    fix: str
    link: str | None


class Sum(Answer):
    """Documents of one kind, currency and state."""

    kind: ListedKind
    words: str
    currency: str
    stands: str
    in_accounts: bool
    count: int
    net: str
    tax: str


class UsedNumbers(Answer):
    prefix: str
    count: int
    first: str
    last: str


class SkippedNumber(Answer):
    number: str
    title: str


class Elsewhere(Answer):
    """Documents of another company in the same organisation, which has a match of its own."""

    company: str
    count: int


class MatchResult(Answer):
    """What the last finished match found. Long lists are cut; the numbers beside them are whole."""

    began_at: str
    ended_at: str
    in_full: bool
    first: str
    calls: int
    found: int
    differences: list[Difference]
    sums: list[Sum]
    used: list[UsedNumbers]
    void: list[str]
    voids: int
    skipped: list[SkippedNumber]
    skips: int
    others: int
    elsewhere: list[Elsewhere]
    lines_read: int
    lines_left: int


class BookMatch(Answer):
    state: Literal["never", "under_way", "waiting", "idle"]
    words: str
    next_at: str | None
    result: MatchResult | None


ANSWERS: Final[dict[tuple[str, str], Any]] = {
    ("get", "settings"): Settings,
    ("put", "settings"): Settings,
    ("post", "check-setup"): SetupChecks,
    ("post", "mail-addresses/confirmation"): MailAddresses,
    ("put", "credentials"): SavedApp,
    ("post", "connect"): Consent,
    ("get", "connection"): Connection,
    ("delete", "connection"): Words,
    ("post", "connection/organisation"): Connection,
    ("delete", "session"): Words,
    ("get", "xero/accounts"): Accounts,
    ("get", "xero/contacts"): Contacts,
    ("get", "xero/tax-rates"): TaxRates,
    ("get", "xero/currencies"): Currencies,
    ("get", "overview"): Overview,
    ("get", "orders"): Orders,
    ("get", "orders/{order_id}"): WholeOrder,
    ("post", "orders/{order_id}/retry"): Order,
    ("post", "orders/{order_id}/correction"): WholeOrder,
    ("post", "orders/{order_id}/look"): WholeOrder,
    ("post", "orders/retry"): Retried,
    ("post", "orders/set-aside"): Done,
    ("post", "orders/take-back"): Done,
    ("get", "xero/read-again"): ReadAgain,
    ("post", "xero/read-again"): ReadAgain,
    ("post", "preview"): Preview,
    ("get", "book-match"): BookMatch,
    ("post", "book-match"): BookMatch,
}
"""The answer with which each route succeeds, by its method and its path after the company's."""


def schemas() -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """A JSON Schema for each route, and what they refer to, by name."""
    made, definitions = TypeAdapter.json_schemas(
        [(route, "serialization", TypeAdapter(answer)) for route, answer in ANSWERS.items()],
        ref_template="#/components/schemas/{model}",
    )
    return {route: schema for (route, _), schema in made.items()}, definitions["$defs"]

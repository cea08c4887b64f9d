"""The books of one organisation as a question sees them: calls that are paced and bounded, and what they made.

Whatever is made bears the run's id at the beginning of its number, code or name. Nothing else is ever touched.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import requests
from urllib3.exceptions import HTTPError

from bookkeeping.adapters.http import read_bounded
from local.xero.clock import Clock
from local.xero.wire import parse_date, to_json

Json = dict[str, Any]
Answers = dict[str, str]
"""What was tried → what Xero made of it."""

SCOPES: Final = "accounting.invoices accounting.contacts accounting.settings"
CALLS_A_MINUTE: Final = 55
"""Xero allows 60."""
CALLS_LEFT_A_DAY: Final = 150
"""With fewer than these, nothing more is asked: the rest is for the clean-up, and for others who use the app."""
TIME_OUT: Final = 60.0
ANSWER_AT_MOST: Final = 20 * 1024 * 1024
TRIES: Final = 5
LONGEST_WAIT: Final = 65.0
BEFORE_EXPIRY: Final = timedelta(minutes=2)
GONE: Final = frozenset({"VOIDED", "DELETED", "ARCHIVED"})
NOBODY: Final = "00000000-0000-0000-0000-000000000000"

_ID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
ID_KEYS: Final = {
    "Invoices": "InvoiceID",
    "CreditNotes": "CreditNoteID",
    "PurchaseOrders": "PurchaseOrderID",
    "Items": "ItemID",
    "Contacts": "ContactID",
}
_LABELS: Final = ("InvoiceNumber", "CreditNoteNumber", "PurchaseOrderNumber", "Code", "Name", "ContactNumber")


class NotAskedError(Exception):
    """This organisation does not have what the question needs."""


class FailedError(Exception):
    """A question got no further: no answer came, or a step that it builds on was refused."""


class StoppedError(Exception):
    """Nothing more can be asked in this run, and why."""


@dataclass(frozen=True)
class Access:
    """Where Xero is, and the custom connection's id and secret."""

    identity_url: str
    api_url: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What came back: `body` is None where it is no JSON."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)
    text: str = field(repr=False)

    def elements(self, collection: str) -> list[Json]:
        found = self.body.get(collection) if isinstance(self.body, dict) else None
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def first(self, collection: str) -> Json:
        return next(iter(self.elements(collection)), {})

    @property
    def messages(self) -> list[str]:
        """Every complaint in the body, each once; else what it says of itself."""
        found = list(dict.fromkeys(_complaints(self.body)))
        if found or not isinstance(self.body, dict) or self.status < 300:
            return found
        said = {key.lower(): value for key, value in self.body.items()}
        return [str(said[key]) for key in ("message", "detail", "error") if said.get(key)][:1]

    @property
    def accepted(self) -> bool:
        return self.status < 300 and not self.messages

    def __str__(self) -> str:
        """In the words of the report."""
        if self.accepted:
            return "accepted"
        words = " | ".join(self.messages) or self.text[:80].strip()
        return (
            f"refused: {words}" if self.status in (200, 400) else f"HTTP {self.status}: {words}".strip(": ")
        )


def _complaints(body: Any) -> Iterator[str]:
    if isinstance(body, dict):
        for complaint in body.get("ValidationErrors") or ():
            yield str(complaint.get("Message"))
        for name, inner in body.items():
            if name != "ValidationErrors":
                yield from _complaints(inner)
    elif isinstance(body, list):
        for inner in body:
            yield from _complaints(inner)


@dataclass
class Made:
    """Something this run made, as Xero showed it last."""

    collection: str
    id: str
    label: str
    state: str
    stuck: bool = False
    """Xero would not take it back."""

    def __str__(self) -> str:
        return f"{self.collection} {self.label}" + (f" ({self.state})" if self.state else "")


def new_run(now: datetime) -> str:
    """An id for a run. It begins every number, code and name, and tells the day, so that a later run can clean up."""
    return f"LC-{now:%y%m%d}-{secrets.token_hex(2).upper()}"


RUN: Final = re.compile(r"LC-(\d\d)(\d\d)(\d\d)-[0-9A-F]{4}")


class Pace:
    """At most so many calls in any minute, whoever makes them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sent: deque[Any] = deque(maxlen=CALLS_A_MINUTE)
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            if len(self._sent) == CALLS_A_MINUTE:
                left = 60 - (self._clock.now() - self._sent[0]).total_seconds()
                if left > 0:
                    self._clock.sleep(left)
            self._sent.append(self._clock.now())


class Books:
    """Calls to the one organisation of a custom connection. Safe to use from several threads at once."""

    def __init__(self, access: Access, run: str, session: requests.Session, clock: Clock) -> None:
        self.access = access
        self.run = run
        self.clock = clock
        self.made: dict[str, Made] = {}
        self.to_stay: list[str] = []
        """What Xero has no way to take back."""
        self.day_nearly_spent = False
        self._session = session
        self._pace = Pace(clock)
        self._tokens: dict[str, tuple[str, Any]] = {}
        self._prefix, self._numbers = run, 0
        self._names: dict[str, str] = {}

    # --- calls

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        scopes: str = SCOPES,
        patient: bool = True,
        **query: Any,
    ) -> Answer:
        """One call below /api.xro/2.0/; a patient one waits where Xero says so. Raises FailedError or StoppedError."""
        url = f"{self.access.api_url.rstrip('/')}/api.xro/2.0/{path}"
        sent = body if body is None or isinstance(body, bytes) else to_json(body).encode()
        all_headers = {"Accept": "application/json", "Content-Type": "application/json", **(headers or {})}
        for _ in range(TRIES):
            answer = self.send(method, url, data=sent, headers=all_headers | self.entry(scopes), params=query)
            if answer.status != 429 or not patient:
                break
            if answer.headers.get("X-Rate-Limit-Problem", "").lower().startswith("day"):
                raise StoppedError("Xero's limit of calls a day is reached. Go on tomorrow.")
            self.clock.sleep(min(float(answer.headers.get("Retry-After") or 5), LONGEST_WAIT))
        left = answer.headers.get("X-DayLimit-Remaining", "")
        self.day_nearly_spent |= left.isdigit() and int(left) < CALLS_LEFT_A_DAY
        if method in ("PUT", "POST"):
            self._note(answer)
        return answer

    def put(self, collection: str, *elements: Json, **query: Any) -> Answer:
        """Create, one answer for each element."""
        usual: Json = {"summarizeErrors": "false", "unitdp": "4"}
        return self.call("PUT", collection, {collection: list(elements)}, **(usual | query))

    def post(self, path: str, *elements: Json, **query: Any) -> Answer:
        """Create or change, one answer for each element."""
        usual: Json = {"summarizeErrors": "false", "unitdp": "4"}
        return self.call("POST", path, {path.partition("/")[0]: list(elements)}, **(usual | query))

    def make(self, collection: str, element: Json, **query: Any) -> Json:
        """Create something that the question builds on. Raises FailedError where Xero refuses it."""
        return needed(self.put(collection, element, **query), f"PUT {collection}").first(collection)

    def read(self, path: str, **query: Any) -> Json:
        """One document as it is now."""
        answer = needed(self.call("GET", path, unitdp="4", **query), f"GET {path.partition('/')[0]}")
        return answer.first(path.partition("/")[0])

    def end(self, collection: str, id_: str, status: str, **query: Any) -> Answer:
        """Void or delete a document by its id, with the smallest body that does it."""
        return self.call("POST", f"{collection}/{id_}", {ID_KEYS[collection]: id_, "Status": status}, **query)

    def found(self, *numbers: str) -> list[Json]:
        """The invoices and bills under these numbers."""
        answer = self.call("GET", "Invoices", InvoiceNumbers=",".join(numbers), unitdp="4", page=1)
        listed = needed(answer, "GET Invoices by number").elements("Invoices")
        for one in listed:
            self.note("Invoices", one)
        return listed

    @cached_property
    def facts(self) -> Json:
        """The organisation as it was at the first look."""
        return self.organisation()

    @cached_property
    def currencies(self) -> list[str]:
        answer = needed(self.call("GET", "Currencies"), "GET Currencies")
        return [str(one.get("Code")) for one in answer.elements("Currencies")]

    @cached_property
    def may_use_currencies(self) -> bool:
        answer = needed(self.call("GET", "Organisation/Actions"), "GET Organisation/Actions")
        allowed = {one.get("Name"): one.get("Status") for one in answer.elements("Actions")}
        return allowed.get("UseMulticurrency") == "ALLOWED"

    def organisation(self) -> Json:
        return needed(self.call("GET", "Organisation"), "GET Organisation").first("Organisations")

    def token_answer(self, form: Mapping[str, str], secret: str | None = None) -> Answer:
        """What the token endpoint makes of a form; for questions about its refusals."""
        url = f"{self.access.identity_url.rstrip('/')}/connect/token"
        auth = (self.access.client_id, secret or self.access.client_secret)
        return self.send("POST", url, data=form, headers={"Accept": "application/json"}, auth=auth)

    def entry(self, scopes: str) -> dict[str, str]:
        """The headers that let a call in. A custom connection need not name its organisation."""
        return {"Authorization": f"Bearer {self._token(scopes)}"}

    def _token(self, scopes: str) -> str:
        token, good_until = self._tokens.get(scopes, ("", None))
        if good_until is None or self.clock.now() >= good_until:
            asked_at = self.clock.now()
            answer = self.token_answer({"grant_type": "client_credentials", "scope": scopes})
            granted = answer.body if isinstance(answer.body, dict) else {}
            if answer.status != 200 or "access_token" not in granted:
                raise StoppedError(f"Xero gives no access token for {scopes}: {answer}")
            token = str(granted["access_token"])
            lives = timedelta(seconds=int(granted.get("expires_in", 1800)))
            self._tokens[scopes] = token, asked_at + lives - BEFORE_EXPIRY
        return token

    def send(self, method: str, url: str, **options: Any) -> Answer:
        """One call to anywhere, paced and bounded. Raises FailedError where no answer comes."""
        self._pace.wait()
        until = time.monotonic() + TIME_OUT
        try:
            with self._session.request(
                method, url, timeout=(5, TIME_OUT), stream=True, allow_redirects=False, **options
            ) as response:
                body = read_bounded(response, until, ANSWER_AT_MOST)
        except (requests.RequestException, HTTPError, OSError) as error:
            # the library's own words can hold the headers
            raise FailedError(f"no answer to {method} {_path(url)}: {type(error).__name__}") from None
        if body is None:
            raise FailedError(f"the answer to {method} {_path(url)} is too long, or takes too long")
        text = body.decode(errors="replace")
        try:
            parsed = json.loads(text, parse_float=Decimal)
        except ValueError:
            parsed = None
        return Answer(response.status_code, response.headers, parsed, text)

    # --- what was made

    def _note(self, answer: Answer) -> None:
        for collection in ID_KEYS:
            for element in answer.elements(collection):
                self.note(collection, element)
                if isinstance(element.get("Contact"), dict):
                    self.note("Contacts", element["Contact"])

    def note(self, collection: str, element: Json) -> bool:
        """Remember something that is this run's, for the clean-up. False for anything else."""
        id_ = str(element.get(ID_KEYS[collection]) or NOBODY)
        labels = (str(element.get(key) or "") for key in _LABELS)
        label = next((one for one in labels if one.casefold().startswith(self.run.casefold())), None)
        if id_ == NOBODY or label is None:
            return False
        known = self.made.get(id_)
        state = element.get("Status") or element.get("ContactStatus") or (known.state if known else "")
        self.made[id_] = Made(collection, id_, label, str(state))
        return True

    @property
    def since(self) -> str:
        """The day before the run began, which is early enough in every time zone."""
        day = RUN.fullmatch(self.run)
        began = date(2000 + int(day[1]), int(day[2]), int(day[3])) if day else self.clock.now().date()
        return (began - timedelta(days=1)).isoformat()

    # --- names

    def begin(self, place: int) -> None:
        """Start a question: its numbers begin with the run's id and its own place."""
        self._prefix, self._numbers = f"{self.run}-{place}-", 0

    def number(self) -> str:
        """A number, code or name of this run that nothing has yet."""
        self._numbers += 1
        return f"{self._prefix}{self._numbers}"

    def masked(self, text: str) -> str:
        """The text without what differs between any two runs or organisations."""
        text = re.sub(re.escape(self._prefix), "N-", text, flags=re.IGNORECASE)
        text = re.sub(re.escape(self.run), "RUN", text, flags=re.IGNORECASE)
        for name, stands_for in self._names.items():
            text = text.replace(f"'{name}'", f"'{stands_for}'")
        return re.sub(r"/Date\([^)]*\)/", "DATE", _ID.sub("ID", text))

    # --- what the organisation has

    @cached_property
    def accounts(self) -> list[Json]:
        found = needed(self.call("GET", "Accounts"), "GET Accounts").elements("Accounts")
        return [one for one in found if one.get("Status") == "ACTIVE" and one.get("Code")]

    @cached_property
    def tax_rates(self) -> dict[str, Json]:
        found = needed(self.call("GET", "TaxRates"), "GET TaxRates").elements("TaxRates")
        return {str(one["TaxType"]): one for one in found if one.get("Status") == "ACTIVE"}

    def rate(self, tax_type: object) -> Decimal:
        return Decimal(str(self.tax_rates.get(str(tax_type), {}).get("EffectiveRate", 0)))

    def account(self, *kinds: str) -> Json:
        """An ordinary account of one of these types, one with tax on it if there is one. Raises NotAskedError."""
        found = [one for one in self.accounts if one.get("Type") in kinds and not one.get("SystemAccount")]
        found.sort(key=lambda one: not self.rate(one.get("TaxType")))
        if not found:
            raise NotAskedError(f"the organisation has no account of type {' or '.join(kinds)}")
        self._names |= {str(found[0]["Code"]): kinds[0], str(found[0]["AccountID"]): kinds[0]}
        return found[0]

    @cached_property
    def sales(self) -> Json:
        return self.account("REVENUE", "SALES")

    @cached_property
    def costs(self) -> Json:
        return self.account("DIRECTCOSTS")

    @cached_property
    def expenses(self) -> Json:
        return self.account("EXPENSE", "OVERHEADS")

    @cached_property
    def stock(self) -> Json:
        return self.account("INVENTORY")

    @cached_property
    def contact(self) -> str:
        """The run's own contact."""
        name = f"{self.run} Live check"
        return str(self.make("Contacts", {"Name": name})["ContactID"])

    # --- what is sent

    @property
    def today(self) -> str:
        return self.clock.now().date().isoformat()

    def line(self, **changes: object) -> Json:
        """A line of ten on the sales account."""
        usual = {
            "Description": "Live check",
            "Quantity": 1,
            "UnitAmount": 10,
            "AccountCode": self.sales["Code"],
            "TaxType": self.sales["TaxType"],
        }
        return changed(usual, changes)

    def cost_line(self, **changes: object) -> Json:
        usual = {"AccountCode": self.expenses["Code"], "TaxType": self.expenses["TaxType"]}
        return self.line(**(usual | changes))

    def invoice(self, *lines: Json, **changes: object) -> Json:
        usual = {
            "Type": "ACCREC",
            "Status": "DRAFT",
            "InvoiceNumber": self.number(),
            "Contact": {"ContactID": self.contact},
            "Date": self.today,
            "DueDate": self.today,
            "LineAmountTypes": "Exclusive",
            "LineItems": list(lines) or [self.line()],
        }
        return changed(usual, changes)

    def bill(self, *lines: Json, **changes: object) -> Json:
        return self.invoice(*(lines or [self.cost_line()]), **({"Type": "ACCPAY"} | changes))

    def purchase_order(self, *lines: Json, **changes: object) -> Json:
        usual = {
            "PurchaseOrderNumber": self.number(),
            "Status": "DRAFT",
            "Contact": {"ContactID": self.contact},
            "Date": self.today,
            "LineItems": list(lines) or [self.cost_line()],
        }
        return changed(usual, changes)

    def credit_note(self, *lines: Json, **changes: object) -> Json:
        usual = {
            "Type": "ACCRECCREDIT",
            "Status": "AUTHORISED",
            "CreditNoteNumber": self.number(),
            "Contact": {"ContactID": self.contact},
            "Date": self.today,
            "LineAmountTypes": "Exclusive",
            "LineItems": list(lines) or [self.line()],
        }
        return changed(usual, changes)

    def item(self, **changes: object) -> Json:
        return changed({"Code": self.number(), "Name": "Live check"}, changes)

    def tracked_item(self, **changes: object) -> Json:
        usual = {
            "InventoryAssetAccountCode": self.stock["Code"],
            "PurchaseDetails": {"COGSAccountCode": self.costs["Code"]},
        }
        return self.item(**(usual | changes))

    def stock_line(self, item: Json, quantity: int, **changes: object) -> Json:
        """A line of a bill that brings so many of a tracked item."""
        usual = {"ItemCode": item["Code"], "Quantity": quantity, "AccountCode": self.stock["Code"]}
        return self.line(**(usual | {"TaxType": None} | changes))


def needed(answer: Answer, step: str) -> Answer:
    """The answer to a step that has to succeed. Raises FailedError."""
    if answer.status in (401, 403):
        raise StoppedError(f"Xero lets us in no longer ({step}: HTTP {answer.status}): {ENDED}")
    if not answer.accepted:
        raise FailedError(f"{step} was {answer}")
    return answer


ENDED: Final = "the Demo Company was reset, or the connection was ended, in the middle"


def day(given: object) -> str:
    """A day as it is sent, from `/Date(1551916800000+0000)/` or as it is."""
    return parse_date(str(given)).isoformat()


def changed(usual: Json, changes: Mapping[str, object]) -> Json:
    """The usual element with changes. None takes a key away."""
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def _path(url: str) -> str:
    return url.partition("/api.xro/2.0/")[2] or url.rpartition("/")[2]


def amount(value: object) -> str:
    """An amount as text, without idle zeros."""
    if value is None:
        return "none"
    return f"{Decimal(str(value)).normalize():f}"

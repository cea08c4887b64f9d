"""Every problem of the catalogue, provoked the way it comes about, and read as a person reads it.

One world for all: each problem has a company of its own, in an organisation of its own. A problem that is new to the
catalogue fails here until something provokes it.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from moto import mock_aws
from requests import PreparedRequest, Response
from urllib3 import HTTPHeaderDict, HTTPResponse

from bookkeeping.domain.ledger import State
from bookkeeping.domain.problems.catalogue import CATALOGUE
from bookkeeping.domain.problems.xero_messages import refusals
from bookkeeping.domain.settings import Settings
from bookkeeping.use_cases.page.corrections import LABELS
from bookkeeping.use_cases.posting import corrections
from local.samples import TRACKED, UNTRACKED, Maker
from local.xero.organisations import Contact, Document, Item, Organisation
from local.xero.people import add_document, change_document
from tests.integration import popup as popups
from tests.integration.one_process import CHART, XERO, Killed, OneProcess, in_memory
from tests.integration.popup import ENVIRONMENT, Browser, Popup, context
from tests.our_faults import Fault

IN_TIME = timedelta(minutes=5)
JARGON = re.compile(
    r"(?i:\b(JSON|API|HTTP|UTF-8|tenant|token|null|exception|traceback|payload|GUID|Decimal|delimiter"
    r"|unknown error|unexpected error|not known)\b)|\b(None|True|False|\w+Error)\b|[{}<>\\]|\[object|"
    r"[0-9a-f]{8}-[0-9a-f]{4}-"
)
Json = dict[str, Any]


class DeadLetters:
    """SQS's client for the dead-letter queue, on virtual time."""

    def __init__(self) -> None:
        self.messages: dict[str, Json] = {}
        self.hidden: set[str] = set()

    def give_up(self, body: str, sent_at: datetime) -> None:
        id_ = f"message-{len(self.messages)}"
        stamp = str(int(sent_at.timestamp() * 1000))
        self.messages[id_] = {
            "MessageId": id_,
            "ReceiptHandle": id_,
            "Body": body,
            "Attributes": {"SentTimestamp": stamp},
        }

    def receive_message(self, **_: Any) -> Json:
        shown = [message for id_, message in self.messages.items() if id_ not in self.hidden][:10]
        self.hidden |= {message["MessageId"] for message in shown}
        return {"Messages": shown} if shown else {}

    def change_message_visibility(self, ReceiptHandle: str, **_: Any) -> None:  # noqa: N803
        self.hidden.discard(ReceiptHandle)


@dataclass
class Site:
    """The functions and the people of all companies."""

    popup: Popup
    reader: Any
    dead_letters: DeadLetters
    numbers: Iterator[int] = field(default_factory=lambda: count(700_001))

    @property
    def world(self) -> OneProcess:
        return self.popup.world


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with mock_aws(), patch.object(boto3, "DEFAULT_SESSION", None):
        world = OneProcess(tables=in_memory)
        environment = ENVIRONMENT | {
            "ORDERS_DEAD_LETTER_QUEUE_URL": "dead letters",
            "ORDERS_QUEUE_URL": "orders",
        }
        with (
            patch("bookkeeping.adapters.tables.dynamodb.dynamodb", lambda: world.resource),
            patch.object(popups, "load", popups.load.__wrapped__),
            patch.object(popups, "ENVIRONMENT", environment),
        ):
            popup, reader = Popup(world), popups.load("dead_letter_reader")
        letters = DeadLetters()
        reader.dead_letters._client = letters
        reader.bus = world.events  # type: ignore[attr-defined]
        object.__setattr__(reader.adapters, "now", world.clock.now)
        yield Site(popup, reader, letters)


# --- a company, and what people do -------------------------------------------------------------------------------


class Scene:
    """A company of its own, connected to an organisation of its own."""

    def __init__(self, site: Site, *, tracked: bool = False, **settings: Any) -> None:
        self.site, self.world = site, site.world
        number = next(site.numbers)
        self.company = str(number)
        self.organisation = self.another_organisation("AU" if tracked else "UK")
        self.like = TRACKED if tracked else UNTRACKED
        self._make = Maker(first_id=number * 100)
        method = {"process_method": "tracked"} if tracked else {}
        self.settle_in(method | settings)
        self.office: Browser = site.popup.browser(self.company)
        self.sent: list[datetime] = []
        self.good: Json = self.order()
        self.undo: list[Callable[[], None]] = []

    def settle_in(self, settings: Json) -> None:
        self.world.company(self.company, self.organisation, **settings)

    def another_organisation(self, country: str = "UK") -> Organisation:
        name = f"Books of {next(self.site.numbers)}"
        given = {"country": country, "name": name, "users": ["ada@example.com"]}
        return self.world.xero.add_organisation(given)

    def order(self, lines: int = 1, **changes: Any) -> Json:
        """An order as the platform sends it; its lines are changed by `items`."""
        return self._make.order(self.like, 0, lines, company_ref_id=int(self.company)) | changes

    def send(self, order: Any, company: str | None = None) -> None:
        self.sent.append(self.world.clock.now())
        self.world.clock.advance(0.5)
        self.world.send(order, company=company)

    def go_on(self, seconds: float) -> None:
        self.world.run(timedelta(seconds=seconds), until_quiet=False)

    def settings(self, **changes: Any) -> None:
        answer = self.office.save(**changes)
        assert answer.status == 200, answer

    def retry(self, **how: Any) -> None:
        answer = self.office.post(f"orders/{self.good['id']}/retry", how)
        assert answer.status == 200, answer

    def in_xero(self, **changes: Any) -> None:
        """What an administrator changes in the organisation."""
        self.world.xero.change_organisation(self.organisation, changes)

    def choose(self, **answers: str) -> None:
        """How Xero behaves where nobody knows, while this scene lasts."""
        for question, answer in answers.items():
            before = self.world.xero.unconfirmed[question]
            self.undo.append(lambda q=question, b=before: self.world.xero.unconfirmed.choose(q, b))  # type: ignore[misc]
            self.world.xero.unconfirmed.choose(question, answer)

    def fault(self, kind: str, path: str = "Invoices", **more: Any) -> None:
        here = {"method": "PUT", "path_prefix": f"/api.xro/2.0/{path}", "tenant_id": self.organisation.id}
        self.world.xero.faults.add({"kind": kind, **here, **more})

    def at_the_wire(
        self,
        answer: Callable[[PreparedRequest], tuple[int, Json] | None],
        method: str = "PUT",
        path: str = "Invoices",
    ) -> None:
        """Answer what this organisation is sent in Xero's place; None lets the call through."""
        adapter = self.world.posting.xero.session.get_adapter(XERO)
        through = adapter.send

        def send(request: PreparedRequest, *about: Any, **more: Any) -> Response:
            ours = request.headers.get("Xero-Tenant-Id") == self.organisation.id
            ours = ours and request.method == method and path in (request.url or "")
            answered = answer(request) if ours else None
            if answered is None:
                return through(request, *about, **more)
            body = io.BytesIO(json.dumps(answered[1]).encode())
            headers = HTTPHeaderDict({"Content-Type": "application/json"})
            raw = HTTPResponse(body=body, headers=headers, status=answered[0], preload_content=False)
            return adapter.build_response(request, raw)  # type: ignore[attr-defined,no-any-return]

        adapter.send = send  # type: ignore[method-assign]
        self.undo.append(lambda: setattr(adapter, "send", through))

    def xero_says(self, words: str, times: int = 1, path: str = "Invoices") -> None:
        """Xero refuses what it is to create with words that the simulated one has no occasion for."""
        left = [words] * times

        def refused(request: PreparedRequest) -> tuple[int, Json] | None:
            if not left:
                return None
            left.pop()
            error = {"StatusAttributeString": "ERROR", "ValidationErrors": [{"Message": words}]}
            return 200, {path: [one | error for one in json.loads(request.body or "")[path]]}

        self.at_the_wire(refused, path=path)


Cure = Callable[[Scene], None]


@dataclass
class Provocation:
    """How a problem comes about, what its sentence must name, and what a person does about it, as the fix says."""

    provoke: Callable[[Site], Scene]
    names: tuple[str, ...]
    cure: Cure | None


PROVOCATIONS: dict[str, Provocation] = {}


def provokes(
    code: str, *names: str, cure: Cure | None = None
) -> Callable[[Callable[[Site], Scene]], Callable[[Site], Scene]]:
    def kept(provoke: Callable[[Site], Scene]) -> Callable[[Site], Scene]:
        assert code not in PROVOCATIONS
        PROVOCATIONS[code] = Provocation(provoke, names, cure)
        return provoke

    return kept


def sent_again(scene: Scene) -> None:
    """The platform corrects the order and sends it again."""
    scene.send(scene.good)


def saved(**settings: Any) -> Cure:
    return lambda scene: scene.settings(**settings)


def then_retried(put_right: Callable[[Scene], object]) -> Cure:
    def cure(scene: Scene) -> None:
        put_right(scene)
        scene.retry()

    return cure


def retried(scene: Scene) -> None:
    scene.retry()


def accepted(scene: Scene) -> None:
    """The document is taken over; what differs stays in sight."""
    differs = _now(scene)["problem"]["sentence"].split(": ", 1)[1]
    scene.retry()
    [document] = _now(scene)["documents"]
    assert any(note.startswith(differs) for note in document["notes"])


# --- the order as the platform sent it


def bad_message(code: str, *names: str, change: Callable[[Json], Any], company: str | None = None) -> None:
    """A problem of the message: the order that is sent is `change`d; corrected and sent again, it is posted."""

    @provokes(code, *names, cure=sent_again)
    def _(site: Site) -> Scene:
        scene = Scene(site)
        message = change(json.loads(json.dumps(scene.good)))
        scene.send(message, company)
        return scene


def with_line(**changes: Any) -> Callable[[Json], Json]:
    """The order with its first line changed; None takes a field out."""

    def change(order: Json) -> Json:
        line = order["items"][0] | changes
        order["items"][0] = {key: value for key, value in line.items() if value is not None}
        return order

    return change


def nested(levels: int) -> Json:
    inner: Json = {}
    for _ in range(levels):
        inner = {"deeper": inner}
    return inner


bad_message("unreadable_json", "breaks off", change=lambda order: json.dumps(order)[:-40])
bad_message("too_large", "262144", change=lambda order: order | {"additional_info": "x" * 300_000})
bad_message("too_deep", "20", change=lambda order: order | {"attributes": nested(30)})
bad_message("too_many_lines", "501", "500", change=lambda order: order | {"items": order["items"] * 501})
bad_message("duplicate_key", "reference", change=lambda order: json.dumps(order)[:-1] + ', "ref": "2"}')
bad_message(
    "bad_text",
    "description of line 1",
    change=lambda order: json.dumps(with_line(description="Mug ~")(order)).replace("~", "\\ud83d"),
)
bad_message("not_text", "description of line 1", change=with_line(description={"en": "Mug"}))
bad_message("missing_field", "date of sale", change=lambda order: order | {"sale_datetime": ""})
bad_message(
    "bad_number",
    "sale price of line 1",
    "“12,50”",
    change=with_line(unit_sale_price="12,50"),
)
bad_message(
    "bad_flag",
    "mark “free of charge”",
    "“maybe”",
    change=lambda order: order | {"is_free_of_charge": "maybe"},
)
bad_message("bad_quantity", "quantity of line 1", "“-1”", change=with_line(quantity=-1))
bad_message(
    "bad_date",
    "date of sale",
    "31",
    change=lambda order: order | {"sale_datetime": "2026-06-31 10:00"},
)
bad_message(
    "bad_rate",
    "tax rate of line 1",
    "“a fifth”",
    change=with_line(sale_vat_rate="a fifth", unit_sale_price=None),
)
bad_message(
    "bad_currency",
    "currency",
    "“POUNDS”",
    change=lambda order: order | {"currency_code": "POUNDS"},
)
bad_message(
    "conflicting_prices",
    "sale price of line 1",
    "sale price of line 1",
    "10.8333",
    "11.50",
    change=with_line(unit_price="11.50"),
)
bad_message("no_lines", change=lambda order: order | {"items": []})
bad_message("company_not_in_order", "999001", change=lambda order: order, company="999001")
bad_message(
    "missing_price",
    "line 1 (MUG-11OZ-WHT)",
    "sale price",
    change=with_line(unit_sale_price=None, unit_sale_price_inc_tax=None),
)
bad_message(
    "missing_rate", "line 1 (MUG-11OZ-WHT)", change=with_line(sale_vat_rate=None, unit_sale_price=None)
)
bad_message(
    "amount_too_large",
    "line 1",
    "9999999999",
    change=with_line(unit_sale_price="9999999999", unit_sale_price_inc_tax=None, quantity=3),
)


def negative(order: Json) -> Json:
    free_shipping = {"shipping_price": 0, "shipping_price_inc_tax": 0}
    return with_line(unit_sale_price="-50", unit_sale_price_inc_tax="-60", quantity=1)(order) | free_shipping


bad_message("negative_total", "-60", "sales invoice", change=negative)


@provokes("missing_cost", "line 1", "unit cost", cure=saved(process_method="untracked"))
def _(site: Site) -> Scene:
    scene = Scene(site, tracked=True)
    scene.send(with_line(unit_cost_price=None)(scene.good))
    return scene


# --- settings and what Xero has


def another_contact(scene: Scene, name: str) -> Contact:
    contact = Contact(scene.world.xero.new_id(), name, scene.world.clock.now())
    scene.organisation.contacts[contact.id] = contact
    return contact


def as_set(code: str, *names: str, cure: Cure, tracked: bool = False, **settings: Any) -> None:
    """A problem of these settings with the organisation as it comes."""

    @provokes(code, *names, cure=cure)
    def _(site: Site) -> Scene:
        scene = Scene(site, tracked=tracked, **settings)
        scene.send(scene.good)
        return scene


as_set("setting_missing", "“Sales account”", sales_account_code="", cure=saved(sales_account_code="200"))
as_set(
    "account_not_fitting",
    "“Sales account”",
    "310",
    "Cost of Goods Sold",
    "a revenue account",
    sales_account_code="310",
    cure=saved(sales_account_code="200"),
)
as_set(
    "tax_type_not_usable",
    "INPUT2",
    "20 %",
    "200",
    tax_types=[{"rate": "20", "tax_type": "INPUT2"}],
    cure=saved(tax_types=[{"rate": "20", "tax_type": "OUTPUT2"}]),
)
as_set(
    "tax_type_differs",
    "RROUTPUT",
    "5 %",
    "20 %",
    tax_types=[{"rate": "20", "tax_type": "RROUTPUT"}],
    cure=saved(tax_types=[{"rate": "20", "tax_type": "OUTPUT2"}]),
)
as_set(
    "purchase_tax_type_not_usable",
    "GST on Income (OUTPUT, 10 %)",
    "purchases",
    "630",
    tracked=True,
    purchase_tax_type="OUTPUT",
    cure=saved(purchase_tax_type=""),
)
as_set(
    "costs_in_another_currency",
    "USD",
    "“Currency of unit costs”",
    tracked=True,
    invoice_price="trade",
    cost_currency="USD",
    cure=saved(cost_currency=""),
)
as_set(
    "contact_not_found",
    "“Nobody Ltd”",
    contact_name="Nobody Ltd",
    cure=then_retried(lambda scene: another_contact(scene, "Nobody Ltd")),
)
as_set(
    "tracking_unknown",
    "Mood: Sunny",
    tracking_categories=({"Name": "Mood", "Option": "Sunny"},),
    cure=saved(tracking_categories=[]),
)
THEME = "0b2f6b1c-0000-4000-8000-000000000001"
as_set("branding_unknown", THEME, branding_theme_id=THEME, cure=saved(branding_theme_id=""))


def put(scene: Scene, of: str, **changes: Any) -> None:
    """Change things of the organisation by hand: what Xero's own pages would."""
    for key, value in changes.items():
        setattr(scene.organisation.account(of), key, value)


@provokes(
    "account_not_found",
    "“Sales account”",
    "241",
    cure=lambda scene: put(scene, "260", code="241"),
)
def _(site: Site) -> Scene:
    scene = Scene(site, sales_account_code="241")
    scene.send(scene.good)
    return scene


@provokes(
    "account_archived",
    "“Sales account”",
    "260",
    cure=lambda scene: scene.in_xero(restore_account="260"),
)
def _(site: Site) -> Scene:
    scene = Scene(site, sales_account_code="260")
    scene.in_xero(archive_account="260")
    scene.send(scene.good)
    return scene


@provokes(
    "no_tax_type",
    "line 1",
    "17.5 %",
    "20% (VAT on Income)",
    cure=lambda scene: scene.in_xero(tax_rate_status={"TAX001": "ACTIVE"}),
)
def _(site: Site) -> Scene:
    scene = Scene(site)
    change = with_line(unit_sale_price="10.00", unit_sale_price_inc_tax="11.75", sale_vat_rate="17.5")
    scene.send(change(scene.good))
    return scene


@provokes(
    "no_rate_fits",
    "line 1",
    "11.75",
    "0 %, 5 %, 20 %",
    cure=sent_again,
)
def _(site: Site) -> Scene:
    scene = Scene(site)
    change = with_line(unit_sale_price="10.00", unit_sale_price_inc_tax="11.75", sale_vat_rate=None)
    scene.send(change(scene.order()) | {"id": scene.good["id"]})
    return scene


@provokes("several_rates_fit", "line 1", "0.03", "0 %, 5 %, 20 %", cure=sent_again)
def _(site: Site) -> Scene:
    scene = Scene(site)
    change = with_line(unit_sale_price="0.03", unit_sale_price_inc_tax="0.03", sale_vat_rate=-1)
    scene.send(
        change(scene.order()) | {"id": scene.good["id"], "shipping_price": 0, "shipping_price_inc_tax": 0}
    )
    return scene


@provokes("destination_unknown", "line 1", "20 %", "home, EU", cure=sent_again)
def _(site: Site) -> Scene:
    rows = [{"rate": "20", "ships_to": place, "tax_type": "OUTPUT2"} for place in ("home", "EU")]
    scene = Scene(site, tax_types=rows)
    scene.good["shipping_country_code"] = "FR"
    scene.send(scene.good | {"shipping_country_code": "", "shipping_country": "Somewhere nice"})
    return scene


@provokes(
    "several_tax_types",
    "line 1",
    "0 %",
    "Zero Rated Income",
    "Exempt Income",
    cure=saved(tax_types=[{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}]),
)
def _(site: Site) -> Scene:
    scene = Scene(site, tax_types=[])
    change = with_line(unit_sale_price="13.00", unit_sale_price_inc_tax="13.00", sale_vat_rate="0")
    scene.send(change(scene.good))
    return scene


@provokes("no_purchase_tax_type", "“Tax rate on purchases”", "310", cure=saved(purchase_tax_type="INPUT"))
def _(site: Site) -> Scene:
    scene = Scene(site, tracked=True)
    put(scene, "310", tax_type="")
    scene.send(scene.good)
    return scene


@provokes(
    "currency_not_enabled",
    "CHF",
    "Books of",
    cure=lambda scene: scene.in_xero(subscribe_currency="CHF"),
)
def _(site: Site) -> Scene:
    scene = Scene(site)
    scene.send(scene.good | {"currency_code": "CHF"})
    return scene


def thirds(scene: Scene) -> Json:
    """Three lines of a third: 1.00 on the order, and 0.99 in Xero."""
    third = {"unit_sale_price": None, "unit_sale_price_inc_tax": "0.3333", "sale_vat_rate": 10}
    order = scene.good
    lines = [order["items"][0] | third | {"id": place} for place in range(3)]
    return order | {"items": lines, "shipping_price": 0, "shipping_price_inc_tax": 0}


@provokes("total_differs", "0.0594", "0.07", cure=saved(line_amounts="auto"))
def _(site: Site) -> Scene:
    scene = Scene(site, tracked=True, line_amounts="exclusive")
    cheap = {"unit_sale_price": None, "unit_sale_price_inc_tax": "0.0027", "quantity": 22}
    scene.send(with_line(**cheap, sale_vat_rate=10)(scene.good))
    return scene


@provokes("purchase_total_differs", "0.045034", "0.06", cure=saved(process_method="untracked"))
def _(site: Site) -> Scene:
    scene = Scene(site, tracked=True)
    scene.send(with_line(unit_cost_price="0.000506", quantity=89)(scene.good))
    return scene


@provokes("no_rounding_account", "0.01", "Books of", cure=saved(rounding="show"))
def _(site: Site) -> Scene:
    scene = Scene(site, tracked=True, line_amounts="exclusive")
    scene.in_xero(archive_account="860")
    scene.send(thirds(scene))
    return scene


def free_of_tax(scene: Scene, status: str) -> None:
    rates = (rate for rate in scene.organisation.tax_rates.values() if not rate.effective)
    scene.in_xero(tax_rate_status={rate.tax_type: status for rate in rates})


@provokes(
    "no_rounding_tax_type",
    "0.01",
    "860",
    cure=lambda scene: free_of_tax(scene, "ACTIVE"),
)
def _(site: Site) -> Scene:
    scene = Scene(site, tracked=True, line_amounts="exclusive")
    free_of_tax(scene, "DELETED")
    scene.send(thirds(scene))
    return scene


@provokes(
    "date_locked",
    "2026-11-20",
    "2026-11-30",
    cure=lambda scene: scene.in_xero(period_lock_date=None),
)
def _(site: Site) -> Scene:
    scene = Scene(site)
    scene.in_xero(period_lock_date="2026-11-30")
    scene.send(scene.good)
    return scene


@provokes("no_sale", "refunded", cure=lambda scene: scene.retry(no_sale="post"))
def _(site: Site) -> Scene:
    scene = Scene(site)
    scene.send(scene.good | {"status": 1024, "status_name": "Refunded"})
    return scene


def contact_of(scene: Scene) -> Contact:
    name = scene.world.contact(scene.organisation)
    return next(contact for contact in scene.organisation.contacts.values() if contact.name == name)


def restored(scene: Scene) -> None:
    for contact in scene.organisation.contacts.values():
        contact.status = "ACTIVE"


@provokes(
    "contact_archived",
    "is archived in Xero",
    cure=then_retried(restored),
)
def _(site: Site) -> Scene:
    scene = Scene(site)
    contact_of(scene).status = "ARCHIVED"
    scene.send(scene.good)
    return scene


@provokes(
    "contact_not_unique",
    "more than one",
    cure=then_retried(lambda scene: setattr(list(scene.organisation.contacts.values())[-1], "name", "Twin")),
)
def _(site: Site) -> Scene:
    scene = Scene(site)
    another_contact(scene, contact_of(scene).name)
    scene.send(scene.good)
    return scene


@provokes("contact_not_searchable", "Kornit X Sales", cure=saved(contact_name="Other"))
def _(site: Site) -> Scene:
    scene = Scene(site, contact_name="Kornit X Sales ((")
    another_contact(scene, "Other")
    syntax = {"ErrorNumber": 16, "Type": "QueryParseException", "Message": "Unterminated string literal"}
    scene.at_the_wire(
        lambda request: (400, syntax) if "Kornit" in (request.url or "") else None, "GET", "Contacts"
    )
    scene.send(scene.good)
    return scene


# --- items and stock


def tracked_in_xero(scene: Scene) -> None:
    item = scene.organisation.items["CAP-RED-S"]
    item.inventory_account, item.cogs_account = "630", "310"


@provokes("item_not_tracked", "CAP-RED-S", cure=then_retried(tracked_in_xero))
def _(site: Site) -> Scene:
    scene = Scene(site, tracked=True)
    item = Item(scene.world.xero.new_id(), "CAP-RED-S", scene.world.clock.now(), "Cap")
    scene.organisation.items["CAP-RED-S"] = item
    scene.send(scene.good)
    return scene


@provokes("item_not_found", "CAP-RED-S", cure=retried)
def _(site: Site) -> Scene:
    scene = Scene(site, tracked=True)
    left = [None] * 2

    def deleted_first(_: PreparedRequest) -> None:
        if left:
            left.pop()
            scene.organisation.items.clear()

    scene.at_the_wire(deleted_first, path="PurchaseOrders")
    scene.send(scene.good)
    return scene


@provokes("item_refused", "CAP-RED-S", cure=saved(cogs_account_code="310"))
def _(site: Site) -> Scene:
    scene = Scene(site, tracked=True, cogs_account_code="429")
    scene.choose(cogs_account_types="direct_costs")
    scene.send(scene.good)
    return scene


@provokes("item_not_shown", "CAP-RED-S", cure=retried)
def _(site: Site) -> Scene:
    scene = Scene(site, tracked=True)
    scene.xero_says("Price List Item with Code 'CAP-RED-S' already exists", path="Items")
    scene.send(scene.good)
    return scene


@provokes("stock_refused", "too little stock", "sales invoice", cure=saved(process_method="untracked"))
def _(site: Site) -> Scene:
    scene = Scene(site, tracked=True, invoice_status="AUTHORISED")
    scene.in_xero(backorders=False)
    scene.choose(stock_of_drafts="checked")
    scene.send(scene.good)
    return scene


# --- numbers and documents


def document_of(scene: Scene) -> Any:
    return next(iter(scene.organisation.documents.values()))


def referred_to(scene: Scene) -> None:
    document_of(scene).reference += f" {scene.good['ref']}"


@provokes("number_taken", "sales invoice", "KX-", cure=then_retried(referred_to))
def _(site: Site) -> Scene:
    scene = Scene(site)
    other = str(next(site.numbers))
    site.world.company(other, scene.organisation)
    site.world.send(scene.good | {"company_ref_id": int(other), "ref": "FFFF000011112222"})
    site.world.run()
    scene.send(scene.good)
    return scene


@provokes("number_spent", "sales invoice", "KX-")
def _(site: Site) -> Scene:
    scene = Scene(site)
    scene.fault("error_after_commit")
    scene.send(scene.good)
    while not scene.organisation.documents:
        scene.go_on(1)
    document_of(scene).status = "DELETED"
    return scene


class ThroughThePopup(Scene):
    """A company that saved its settings and connected as people do."""

    def settle_in(self, settings: Json) -> None:
        self.connected_by = self.site.popup.browser(self.company)
        self.connected_by.app()
        fitting = CHART | {"tax_types": [{"rate": "0", "tax_type": "ZERORATEDOUTPUT"}]}
        self.connected_by.save(**fitting, contact_name=self.world.contact(self.organisation), **settings)
        assert self.connected_by.connect(self.organisation) == "connected"


@provokes("settings_prefix_clash", "KX-", "700", "Books of", cure=saved(number_prefix="B-"))
def _(site: Site) -> Scene:
    first = ThroughThePopup(site)

    class There(ThroughThePopup):
        def another_organisation(self, country: str = "UK") -> Organisation:
            return first.organisation

    scene = There(site)
    scene.send(scene.good)
    return scene


@provokes("plan_limit", "plan", cure=saved(invoice_status="DRAFT"))
def _(site: Site) -> Scene:
    scene = Scene(site, invoice_status="AUTHORISED")
    scene.in_xero(approval_cap=0)
    scene.send(scene.good)
    return scene


def refused(code: str, words: str, *names: str, cure: Cure | None = retried) -> None:
    """Xero says so until a person must act, and then no more: whatever it was has been put right."""

    @provokes(code, *names, cure=cure)
    def _(site: Site) -> Scene:
        scene = Scene(site)
        scene.xero_says(words, times=len(refusals([words])) + 1)
        scene.send(scene.good)
        return scene


refused("contact_invalid", "Email address must be valid", "“")
refused(
    "contact_refused", "A Contact must be specified for this type of transaction", "“", "sales invoice", "KX-"
)
refused(
    "account_not_usable",
    "Account code '200' is not a valid code for this document.",
    "200",
    "“Sales account”",
    "sales invoice",
)
refused("currency_refused", "Currency code GBP is not valid", "GBP", "sales invoice", "KX-")
refused("date_refused", "The due date cannot be before the invoice date.", "2026-", "sales invoice", "KX-")
refused("account_refused", "Account code or ID must be specified", "sales invoice", "KX-")
refused("tax_rate_refused", "Tax rate must be valid.", "sales invoice", "KX-")
refused("amounts_refused", "The tax amount must not be greater than the line total.", "sales invoice", "KX-")
refused("document_not_allowed", "You are not permitted to create invoices.", "sales invoice", "KX-")
refused("refused_by_xero", "The sky is falling.", "sales invoice", "KX-")


@provokes("sent_wrongly", "sales invoice", "KX-", "id-", cure=retried)
def _(site: Site) -> Scene:
    scene = Scene(site)
    left = [None]

    def nowhere(_: PreparedRequest) -> tuple[int, Json] | None:
        if left:
            left.pop()
            number, words = 20, "The Api Method called is not implemented"
            return 501, {"ErrorNumber": number, "Type": "ApiMethodNotImplementedException", "Message": words}
        return None

    scene.at_the_wire(nowhere)
    scene.send(scene.good)
    return scene


@provokes("document_too_large", "sales invoice", "KX-")
def _(site: Site) -> Scene:
    scene = Scene(site)
    scene.at_the_wire(lambda _: (413, {"message": "Request Entity Too Large"}))
    scene.send(scene.good)
    return scene


@provokes("xero_unreadable", "sales invoice", "KX-", "id-", cure=retried)
def _(site: Site) -> Scene:
    # an hour takes more than one access token
    scene = ThroughThePopup(site)
    stops: list[bool] = []
    scene.at_the_wire(lambda _: None if stops else (400, {"message": "Forbidden"}))
    scene.send(scene.good)
    scene.go_on(IN_TIME.total_seconds())
    # what it waits for is in sight meanwhile
    assert "Waiting to learn from Xero whether KX-" in _now(scene)["words"]
    while scene.world.entry(scene.good, scene.company).state is State.POSTING:
        scene.go_on(30)
    stops.append(True)
    # the person's session was over after an hour
    scene.office = site.popup.browser(scene.company)
    scene.sent[0] = scene.world.clock.now()
    return scene


@provokes("xero_fails", "sales invoice", "KX-", "id-", cure=retried)
def _(site: Site) -> Scene:
    scene = ThroughThePopup(site)
    scene.fault("error_before_commit", times=None, body_has=f"KX-{scene.good['id']}")
    scene.world.send(scene.order())
    scene.send(scene.good)
    scene.go_on(IN_TIME.total_seconds())
    assert "Waiting to learn from Xero whether KX-" in _now(scene)["words"]
    while scene.world.entry(scene.good, scene.company).state is State.POSTING:
        scene.go_on(30)
    scene.world.xero.faults.remove()
    # the person's session was over after an hour
    scene.office = site.popup.browser(scene.company)
    scene.sent[0] = scene.world.clock.now()
    return scene


@provokes("posted_total_differs", "KX-", "in Xero", cure=accepted)
def _(site: Site) -> Scene:
    return posted_at_another_rate(site, line_amounts="exclusive")


@provokes("posted_tax_differs", "KX-", "(OUTPUT2, 20 %)", "by the order", "in Xero", cure=accepted)
def _(site: Site) -> Scene:
    return posted_at_another_rate(site, line_amounts="inclusive")


def posted_at_another_rate(site: Site, **settings: Any) -> Scene:
    scene = Scene(site, **settings)
    scene.world.send(scene.order())
    scene.world.run()
    # the rate is changed in Xero, and what is known of the organisation is hours old
    scene.organisation.tax_rates["OUTPUT2"].effective = Decimal(21)
    scene.send(scene.good)
    return scene


@provokes("adopted_differs", "KX-", "contact", "Another Ltd", cure=accepted)
def _(site: Site) -> Scene:
    scene = Scene(site)
    scene.fault("error_after_commit")

    def edited_before_it_is_looked_up(_: PreparedRequest) -> None:
        edit = {"Contact": {"ContactID": another_contact(scene, "Another Ltd").id}}
        assert change_document(scene.world.xero, scene.organisation, document_of(scene), edit).status == 200

    scene.at_the_wire(edited_before_it_is_looked_up, "GET")
    scene.send(scene.good)
    return scene


@provokes("posted_contact_differs", "KX-", "Harbour Cafe Ltd", "Kornit X Sales", cure=accepted)
def _(site: Site) -> Scene:
    scene = Scene(site)
    scene.world.send(scene.order())
    scene.world.run()
    next(iter(scene.organisation.contacts.values())).name = "Harbour Cafe Ltd"
    scene.send(scene.good)
    return scene


@provokes("may_already_be_in", "Books of")
def _(site: Site) -> Scene:
    scene = ThroughThePopup(site)
    scene.fault("reply_lost", times=None)
    scene.send(scene.good)
    scene.go_on(5)
    elsewhere = scene.another_organisation()
    assert scene.office.connect(elsewhere) == "confirm_organisation"
    answer = scene.office.post("connection/organisation", {"organisation_id": elsewhere.id})
    assert answer.status == 200, answer
    return scene


@provokes("our_fault", "message-", cure=sent_again)
def _(site: Site) -> Scene:
    scene, orders = Scene(site), site.world.orders
    began = scene.world.clock.now()
    with patch.object(orders, "save", side_effect=Killed):
        for _receive in range(3):
            with pytest.raises(Killed):
                scene.send(scene.good)
            # the message's visibility time-out
            scene.go_on(59.5)
    site.dead_letters.give_up(json.dumps(scene.good), began)
    # at worst the reader looked a moment ago
    scene.go_on(60)
    with patch.dict("os.environ", ENVIRONMENT):
        site.reader.handler({}, context())
    return scene


# --- after posting -----------------------------------------------------------------------------------------------


AFTER_POSTING: dict[str, Provocation] = {}
"""Problems of an order that is posted, and whose documents are to be corrected."""


class Corrected(Scene):
    """An order that is in the books, and a person who may have its documents corrected."""

    def __init__(self, site: Site, lines: int = 2, *, tracked: bool = False, **settings: Any) -> None:
        super().__init__(site, tracked=tracked, **{"invoice_status": "AUTHORISED", **settings})
        self.office = site.popup.browser(self.company, permissions=["credit"])
        self.good = self.order(lines)
        self.world.send(self.good)
        self.world.run()
        assert self.world.entry(self.good, self.company).state is State.POSTED

    def document(self, kind: str = "ACCREC") -> Document:
        return next(one for one in self.organisation.documents.values() if one.kind == kind)

    def by_hand(self, changes: Json, kind: str = "ACCREC") -> None:
        """What a person changes in Xero."""
        answer = change_document(self.world.xero, self.organisation, self.document(kind), changes)
        assert answer.status == 200, answer

    def ask(self, asked: str, **how: Any) -> None:
        self.sent.append(self.world.clock.now())
        answer = self.office.post(
            f"orders/{self.good['id']}/correction",
            {"asked": asked, "version": _now(self)["version"], **how},
        )
        assert answer.status == 200, answer

    def cancel(self) -> None:
        self.world.send(self.good | {"status": 128, "status_name": "Cancelled"})
        self.ask("cancel")


def provokes_after_posting(
    code: str, *names: str, cure: Callable[[Any], None]
) -> Callable[[Callable[[Site], Corrected]], Callable[[Site], Corrected]]:
    def kept(provoke: Callable[[Site], Corrected]) -> Callable[[Site], Corrected]:
        assert code not in AFTER_POSTING
        AFTER_POSTING[code] = Provocation(provoke, names, cure)
        return provoke

    return kept


def done_by_hand(scene: Corrected) -> None:
    scene.ask("done_by_hand")


EDIT: Json = {"Date": "2026-11-24"}


@provokes_after_posting("document_edited", "KX-", "GBP, dated 2026-11-24, for “", cure=done_by_hand)
def _(site: Site) -> Corrected:
    scene = Corrected(site)
    scene.by_hand(EDIT)
    scene.cancel()
    return scene


@provokes_after_posting("edited_meanwhile", "KX-", "dated 2026-11-24", "credited", cure=done_by_hand)
def _(site: Site) -> Corrected:
    scene = Corrected(site)

    def edited_first(_: PreparedRequest) -> None:
        if scene.document().dated_on.day == 20:
            scene.by_hand(EDIT)

    scene.at_the_wire(edited_first, path="CreditNotes")
    scene.cancel()
    return scene


def reopened(scene: Corrected) -> None:
    """The account is active again in Xero."""
    account = next(one for one in scene.organisation.accounts if one.code == "260")
    account.status = "ACTIVE"
    scene.ask("try_again")


@provokes_after_posting("correction_refused", "KX-", "credited", cure=reopened)
def _(site: Site) -> Corrected:
    scene = Corrected(site, sales_account_code="260")
    scene.in_xero(archive_account="260")
    scene.cancel()
    return scene


@provokes_after_posting("document_not_found", "KX-", "sales invoice", cure=done_by_hand)
def _(site: Site) -> Corrected:
    scene = Corrected(site)
    scene.at_the_wire(lambda _: (404, {}), method="GET", path="Invoices/")
    scene.cancel()
    return scene


def approved(scene: Corrected) -> None:
    scene.by_hand({"Status": "AUTHORISED"})
    scene.ask("try_again")


@provokes_after_posting("still_a_draft", "KX-", cure=approved)
def _(site: Site) -> Corrected:
    scene = Corrected(site, invoice_status="DRAFT")
    scene.ask("credit", lines=[{"line": 1, "pieces": "1"}])
    return scene


def deleted_in_xero(scene: Corrected) -> None:
    scene.by_hand({"Status": "DELETED"})
    scene.ask("try_again")


@provokes_after_posting("still_in_xero", "KX-", "sales invoice", cure=deleted_in_xero)
def _(site: Site) -> Corrected:
    scene = Corrected(site, invoice_status="DRAFT")
    scene.ask("post_again")
    return scene


@provokes_after_posting("nothing_to_credit", "KX-", "0.00", cure=done_by_hand)
def _(site: Site) -> Corrected:
    scene = Corrected(site)
    scene.good = scene.order(2)
    free = {"unit_sale_price": "0", "unit_sale_price_inc_tax": "0"}
    scene.good["items"] = [scene.good["items"][0], scene.good["items"][1] | free]
    scene.world.send(scene.good)
    scene.world.run()
    scene.ask("credit", lines=[{"line": 2, "pieces": "1"}])
    return scene


def less(scene: Corrected) -> None:
    done_by_hand(scene)
    scene.ask("credit", lines=[{"line": 1, "amount": "1.00"}])


@provokes_after_posting("credit_too_much", "KX-", "26.00 GBP", "13.00 GBP", cure=less)
def _(site: Site) -> Corrected:
    scene = Corrected(site)
    assert scene.good["items"][0]["quantity"] == 1
    scene.ask("credit", lines=[{"line": 1, "pieces": "2"}])
    return scene


@provokes_after_posting("credited_by_hand", "KX-", "5.00 GBP", cure=done_by_hand)
def _(site: Site) -> Corrected:
    scene = Corrected(site)
    invoice = scene.document()
    note = {
        "Type": "ACCRECCREDIT",
        "Status": "AUTHORISED",
        "Contact": {"ContactID": invoice.contact_id},
        "LineItems": [
            {"Description": "By hand", "UnitAmount": "5.00", "AccountCode": "200", "TaxType": "NONE"}
        ],
    }
    assert add_document(scene.world.xero, scene.organisation, note).status == 200
    scene.by_hand({"Allocate": {"Invoice": invoice.id}}, "ACCRECCREDIT")
    scene.cancel()
    return scene


@provokes_after_posting("posted_unrecorded", "KX-", "earlier version", cure=done_by_hand)
def _(site: Site) -> Corrected:
    scene = Corrected(site)
    entry = scene.world.entry(scene.good, scene.company)
    posted = replace(entry.documents["invoice"], fingerprint="")
    scene.world.orders.save(replace(entry, documents={"invoice": posted}))
    scene.cancel()
    return scene


@provokes_after_posting("posted_elsewhere", "KX-", "another Xero organisation", cure=done_by_hand)
def _(site: Site) -> Corrected:
    class There(Corrected, ThroughThePopup):
        pass

    scene = There(site, credit_note_status="DRAFT")
    scene.cancel()
    scene.go_on(5)
    elsewhere = scene.another_organisation()
    assert scene.office.connect(elsewhere) == "confirm_organisation"
    answer = scene.office.post("connection/organisation", {"organisation_id": elsewhere.id})
    assert answer.status == 200, answer
    return scene


def tried_again(scene: Corrected) -> None:
    for undo in scene.undo:
        undo()
    scene.ask("try_again")


@provokes_after_posting("correction_fault", "KX-", cure=tried_again)
def _(site: Site) -> Corrected:
    scene = Corrected(site)
    faulty = patch.object(corrections, "next_step", side_effect=ZeroDivisionError)
    faulty.start()
    scene.undo.append(faulty.stop)
    scene.cancel()
    return scene


@pytest.mark.parametrize("code", AFTER_POSTING)
def test_a_problem_after_posting_is_seen_in_words_with_buttons_that_help(
    code: str, site: Site, our_faults: list[Fault]
) -> None:
    assert code in CATALOGUE
    provocation = AFTER_POSTING[code]
    scene = provocation.provoke(site)
    assert isinstance(scene, Corrected)
    try:
        scene.world.run(scene.sent[-1] + IN_TIME - scene.world.clock.now())
        shown = _now(scene)
        assert (shown["state"], shown["correction"]["problem"]["code"]) == ("posted", code)
        sentence, fix = shown["correction"]["problem"]["sentence"], shown["correction"]["problem"]["fix"]
        assert sentence.startswith(f"Order {scene.good['id']}: ")
        told = _read_by_a_person(sentence, fix, provocation.names)
        buttons = set(re.findall("“([^”]*)”", fix))
        assert buttons <= set(LABELS.values())
        pressed = {label for label in buttons if label != LABELS["credit"]}
        assert pressed <= {choice["label"] for choice in shown["choices"]}, shown["choices"]
        assert bool(our_faults) == (code == "correction_fault")
        our_faults.clear()
        if "reason is below" in told:
            assert shown["correction"]["problem"]["xero_says"]
        assert provocation.cure
        provocation.cure(scene)
        scene.world.run(IN_TIME)
        assert scene.world.entry(scene.good, scene.company).reason == "", _now(scene)
    finally:
        for undo in reversed(scene.undo):
            undo()


# --- what a person sees ------------------------------------------------------------------------------------------


def test_nothing_is_provoked_that_is_not_in_the_catalogue() -> None:
    assert {*PROVOCATIONS, *AFTER_POSTING} <= set(CATALOGUE)


NOBODYS = "bad_id"
"""Of an order that names no company, or has no id, no company's page can tell."""


def test_an_order_that_names_no_company_is_told_of_in_words_to_whoever_runs_this(site: Site) -> None:
    scene = Scene(site)
    scene.send(scene.good | {"company_ref_id": "x17"})
    scene.world.run(IN_TIME)
    [told] = [event for event in scene.world.bus.of("OrderNeedsAttention") if event["problem"] == NOBODYS]
    assert told["company"] == "unknown"
    assert told["sentence"].startswith(f"Order {scene.good['id']}: the company's reference number")
    _read_by_a_person(told["sentence"], told["fix"], ("company's reference number", "“x17”"))
    sent_again(scene)
    scene.world.run(IN_TIME)
    assert scene.world.entry(scene.good, scene.company).state is State.POSTED


@pytest.mark.parametrize("code", [code for code in CATALOGUE if code not in (NOBODYS, *AFTER_POSTING)])
def test_a_problem_is_seen_in_time_in_words_with_who_can_fix_it_and_how(code: str, site: Site) -> None:
    assert code in PROVOCATIONS, f"nothing here provokes {code}"
    provocation = PROVOCATIONS[code]
    scene = provocation.provoke(site)
    try:
        _seen_in_time(code, provocation, scene)
        if provocation.cure:
            provocation.cure(scene)
            scene.world.run(IN_TIME)
            assert scene.world.entry(scene.good, scene.company).state is State.POSTED, _now(scene)
    finally:
        for undo in reversed(scene.undo):
            undo()


@pytest.mark.parametrize(
    ("broken", "by"),
    [
        (', "sku"', ' "sku"'),
        ('"sku":', '"sku"'),
        ('"sku"', "sku"),
        ('"sku": ', '"sku": <'),
        ("}", "}}"),
        ("MUG", "M\nUG"),
        ("MUG", "M\\UG"),
        ("MUG", "M\\u00zzUG"),
        ('"MUG-11OZ-WHT"', "NaN"),
        ('"MUG-11OZ-WHT"', "None"),
    ],
)
def test_however_a_message_is_broken_it_is_said_in_words(broken: str, by: str, site: Site) -> None:
    scene = Scene(site)
    scene.send(json.dumps(scene.good).replace(broken, by, 1))
    scene.world.run(IN_TIME)
    problem = _now(scene)["problem"]
    assert problem["code"] == "unreadable_json"
    _read_by_a_person(problem["sentence"], problem["fix"], ())


def _now(scene: Scene) -> Any:
    return scene.office.get(f"orders/{scene.good['id']}").json


def _seen_in_time(code: str, provocation: Provocation, scene: Scene) -> None:
    order_id = str(scene.good["id"])
    left = scene.sent[0] + IN_TIME - scene.world.clock.now()
    assert left >= timedelta()
    scene.world.run(left)
    assert scene.world.clock.now() <= scene.sent[0] + IN_TIME + timedelta(seconds=1)

    # in the list of what needs attention, under its own problem
    page = scene.office.get("orders", status="needs_attention", problem=code).json
    assert [order["id"] for order in page["orders"]] == [order_id], _now(scene)
    shown = _now(scene)
    assert {"code": code, "title": shown["title"], "count": 1} in page["problems"]
    assert shown["state"] == "needs_attention"
    problem = shown["problem"]
    assert problem == page["orders"][0]["problem"]
    assert problem["code"] == code
    assert shown["words"] == problem["sentence"]

    # in words
    sentence, fix = problem["sentence"], problem["fix"]
    assert sentence.startswith(f"Order {order_id}: ")
    told = _read_by_a_person(sentence, fix, provocation.names)

    # who can fix it, and how: with buttons and settings that are there, and Xero's words where they are referred to
    assert problem["who"] in ("office", "accountant", "platform", "operator")
    told_to_press = re.search("Retry|“Use it as it is”|“Accept", fix.replace("Where there is no Retry", ""))
    if told_to_press and (shown["can_retry"] or "Where there is no Retry" not in fix):
        assert shown["can_retry"], fix
        # the button is called what the person is told to press
        assert shown["retry_label"] in fix or "“Use it as it is”" in fix
    # what could not be read has no lines, and trying it again changes nothing; nor does it free a number that is spent
    assert shown["can_retry"] is (bool(shown["lines"]) and code != "number_spent")
    labels = {Settings.label(key) for key in Settings.model_fields}
    buttons = {
        "Use it as it is",
        "Accept as it is in Xero",
        "Only show it here",
        "Use the first open day",
        "Sale price",
    }
    quoted = set(re.findall("“([^”]*)”", fix)) - set(re.findall("“([^”]*)”", sentence))
    assert quoted <= labels | buttons, fix
    if re.search(r"(reason is|answer is|names) below", told):
        assert problem["xero_says"]
    freed_by = {Settings.label(key) for key in CATALOGUE[code].freed_by}
    if freed_by:
        by_itself = CATALOGUE[code].watches and "by itself" in fix
        assert "Retry" in fix or "send" in fix or "settings" in fix or by_itself, fix

    # and on the bus
    events = [
        event
        for event in scene.world.bus.of("OrderNeedsAttention")
        if (event["company"], event["order_id"], event["problem"]) == (scene.company, order_id, code)
    ]
    assert events
    assert {(event["sentence"], event["fix"]) for event in events} == {(sentence, fix)}


def _read_by_a_person(sentence: str, fix: str, names: Sequence[str]) -> str:
    """All that is said, without the names that only this order has: whole, and in words."""
    assert sentence.endswith(".")
    assert len(fix) > 20
    told = sentence + " " + fix
    for name in names:
        assert name in sentence, sentence
        told = told.replace(name, "")
    assert not JARGON.search(told), (JARGON.search(told), sentence, fix)
    return told


def test_every_problem_that_says_retry_is_retried_here() -> None:
    """Else nobody knows whether pressing it helps."""
    says = {code for code, kind in CATALOGUE.items() if "Retry" in kind.fix}
    tried = {code for code, provocation in PROVOCATIONS.items() if provocation.cure}
    assert says - tried <= {"may_already_be_in"}


def test_what_is_put_right_in_xero_counts_for_the_orders_of_five_minutes_later(site: Site) -> None:
    scene = Scene(site)
    scene.send(scene.good | {"currency_code": "CHF"})
    scene.world.run()
    scene.in_xero(subscribe_currency="CHF")
    scene.world.clock.advance(300)
    later = scene.order(currency_code="CHF")
    scene.send(later)
    scene.world.run()
    assert scene.world.entry(later, scene.company).state is State.POSTED


def test_a_stream_of_orders_that_stop_is_no_stream_of_calls(site: Site) -> None:
    scene = Scene(site)
    before = len(scene.world.calls())
    for _ in range(40):
        scene.send(scene.order(currency_code="CHF"))
        scene.world.run(timedelta(seconds=10), until_quiet=False)
    states = [event["company"] for event in scene.world.bus.of("OrderNeedsAttention")]
    assert states.count(scene.company) == 40
    # seven minutes: what is known of the organisation was read at first, and once more; and the currencies alone
    assert len(scene.world.calls()) - before <= 11
